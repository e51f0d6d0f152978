"""folder_images for folders larger than memory: the same batches, decoded as they are needed."""

from __future__ import annotations

import resource
from pathlib import Path

import mindspore.dataset as ds
import numpy as np
import pytest
from PIL import Image

from ms_gan_callbacks import ArraySource, DataError, DatasetSource, GanWarning, RecipeError, folder_images
from ms_gan_callbacks.data import folder_source, memory
from ms_gan_callbacks.data.folder_source import FolderSource
from ms_gan_callbacks.data.memory import fits_in_memory

COUNT = 21


def write_images(folder: Path, count: int = COUNT) -> None:
    draw = np.random.default_rng(0)
    for number in range(count):
        path = folder / f"class{number % 3}" / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (12, 10, 3), dtype=np.uint8)).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_images(tmp_path / "photos")
    return tmp_path / "photos"


def read_both(folder: Path, **settings: object) -> tuple[ArraySource, FolderSource]:
    stored, decoded = (
        folder_images(folder, size=8, batch_size=4, in_memory=kept, **settings) for kept in (True, False)
    )  # type: ignore[arg-type]
    assert isinstance(stored, ArraySource) and isinstance(decoded, FolderSource)
    return stored, decoded


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize(("epoch", "start"), [(1, 0), (2, 3)])
def test_batches_are_those_of_images_in_memory(folder: Path, grey: bool, epoch: int, start: int) -> None:
    stored, decoded = read_both(folder, grey=grey)
    left, right = (list(one.batches(3, epoch, start)) for one in (stored, decoded))
    assert len(left) == len(right) == 5 - start
    for one, other in zip(left, right, strict=True):
        assert one.keys() == other.keys() == {"real", "labels"}
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])
    for name in ("count", "image_shape", "steps_per_epoch", "columns", "name", "batch_size"):
        assert getattr(stored, name) == getattr(decoded, name)
    assert stored.sha256() == decoded.sha256()


def test_ranks_decode_their_rows_of_each_batch(folder: Path) -> None:
    _, source = read_both(folder)
    parts = [list(source.divide(rank, 2).batches(0, 1)) for rank in (0, 1)]
    for whole, first, second in zip(source.batches(0, 1), *parts, strict=True):
        for name in ("real", "labels"):
            np.testing.assert_array_equal(whole[name], np.concatenate([first[name], second[name]]))


def test_damaged_files_are_left_out_of_both(folder: Path) -> None:
    path = folder / "class1" / "004.png"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.warns(GanWarning, match="1 of 21 images, which cannot be read: class1/004.png"):
        stored, decoded = read_both(folder)
    assert (decoded.count, decoded.sha256()) == (20, stored.sha256())
    np.testing.assert_array_equal(next(stored.batches(0, 1))["real"], next(decoded.batches(0, 1))["real"])


def test_files_are_checked_once_until_one_changes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = folder_images(folder, size=8, batch_size=4, in_memory=False)
    looks: list[str] = []
    decode_all = folder_source._decode_all
    monkeypatch.setattr(
        folder_source, "_decode_all", lambda name, *rest: (looks.append(name), decode_all(name, *rest))[1]
    )
    again = folder_images(folder, size=8, batch_size=4, in_memory=False)
    assert (looks, again.sha256()) == ([], first.sha256())
    Image.new("RGB", (9, 9)).save(folder / "class0" / "000.png")
    changed = folder_images(folder, size=8, batch_size=4, in_memory=False)
    assert looks == ["photos"]
    assert changed.sha256() != first.sha256()


def test_a_damaged_cache_is_not_used(folder: Path) -> None:
    first = folder_images(folder, size=8, batch_size=4, in_memory=False)
    [cached] = (Path(folder_source.platformdirs.user_cache_dir("ms_gan_callbacks")) / "folders").glob("*.json")
    for text in ("", "[]", '{"key": 1}', '{"key": "x", "sha256": "y", "damaged": []}'):
        cached.write_text(text)
        assert folder_images(folder, size=8, batch_size=4, in_memory=False).sha256() == first.sha256()


def test_a_file_that_is_removed_during_a_run_is_named(folder: Path) -> None:
    source = folder_images(folder, size=8, batch_size=4, in_memory=False)
    (folder / "class1" / "001.png").unlink()
    with pytest.raises(DataError, match=r"001\.png was intact and can no longer be read"):
        list(source.batches(0, 1))


@pytest.mark.parametrize("wrong", ["yes", 2, 0.5])
def test_in_memory_is_checked(folder: Path, wrong: object) -> None:
    with pytest.raises(RecipeError, match=r"folder_images\(in_memory=\.\.\.\) takes True, False or None"):
        folder_images(folder, in_memory=wrong)  # type: ignore[arg-type]


def test_images_that_take_more_than_half_of_the_memory_are_decoded(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "CGROUP_LIMITS", (str(limit),))
    size = COUNT * 3 * 8 * 8
    limit.write_text(str(2 * size))
    assert isinstance(folder_images(folder, size=8, batch_size=4), ArraySource)
    limit.write_text(str(2 * size - 2))
    assert isinstance(folder_images(folder, size=8, batch_size=4), FolderSource)
    limit.write_text("max")
    assert fits_in_memory(size)
    assert not fits_in_memory(2**60)


def test_the_limit_of_the_process_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (1000, 1000))
    assert fits_in_memory(500)
    assert not fits_in_memory(501)


def test_progress_is_shown_while_files_are_checked(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(folder_source, "monotonic", iter(range(0, 10**6, 100)).__next__)
    folder_images(folder, size=8, batch_size=4, in_memory=False)
    assert "photos: 21 of 21 images checked, once" in capsys.readouterr().err


def test_a_shuffle_that_repeats_all_work_is_named_with_its_cure() -> None:
    pixels = np.zeros((10_001, 1, 2, 2), np.uint8)
    pixels[:, 0, 0] = 255
    with pytest.warns(GanWarning, match=r"\.shuffle\(500\) repeats all work .* let the reader shuffle"):
        DatasetSource(ds.NumpySlicesDataset({"image": pixels}).shuffle(500).batch(10))
    DatasetSource(ds.NumpySlicesDataset({"image": pixels}).batch(10))
