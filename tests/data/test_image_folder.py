"""folder_images(): pictures of every kind become what they show, in one order; what is no picture is named."""

from __future__ import annotations

import os
import socket
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ms_gan_callbacks import ArraySource, DataError, GanWarning, RecipeError, folder_images

from .conftest import one_line

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


def quarters(width: int = 16, height: int = 16, mode: str = "RGB") -> Image.Image:
    """Return a picture whose quarters are red, green (above), blue and white (below)."""
    pixels = np.empty((height, width, 3), np.uint8)
    for rows, columns, colour in (
        (slice(None, height // 2), slice(None, width // 2), RED),
        (slice(None, height // 2), slice(width // 2, None), GREEN),
        (slice(height // 2, None), slice(None, width // 2), BLUE),
        (slice(height // 2, None), slice(width // 2, None), WHITE),
    ):
        pixels[rows, columns] = colour
    return Image.fromarray(pixels).convert(mode)


def only(folder: Path, size: int = 4, **settings: Any) -> np.ndarray:
    """Return the pixels (C, size, size) of the only picture in a folder."""
    source = folder_images(folder, size=size, batch_size=1, **settings)
    assert source.count == 1
    return source.images[0]


def corners(pixels: np.ndarray) -> list[list[int]]:
    return [pixels[:, row, column].tolist() for row in (0, -1) for column in (0, -1)]


def near(one: Any, other: Any, by: int = 0) -> None:
    np.testing.assert_allclose(np.asarray(one, int), np.asarray(other, int), atol=by, rtol=0)


@pytest.mark.parametrize(
    ("name", "settings", "by"),
    [
        ("a.png", {}, 0),
        ("a.PNG", {"format": "PNG"}, 0),
        ("a.bmp", {}, 0),
        ("a.gif", {}, 0),
        ("a.webp", {"lossless": True}, 0),
        ("a.jpg", {"quality": 100, "subsampling": 0}, 4),
        ("a.JPEG", {"quality": 100, "subsampling": 0, "format": "JPEG"}, 4),
    ],
)
def test_every_kind_of_file_is_read(tmp_path: Path, name: str, settings: dict, by: int) -> None:
    quarters().save(tmp_path / name, **settings)
    near(corners(only(tmp_path, size=16)), [RED, GREEN, BLUE, WHITE], by)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK"])
def test_every_mode_of_colour_is_read(tmp_path: Path, mode: str) -> None:
    quarters(mode=mode).save(tmp_path / ("a.jpg" if mode == "CMYK" else "a.png"))
    near(corners(only(tmp_path, size=16)), [RED, GREEN, BLUE, WHITE], 8 if mode == "CMYK" else 0)


def test_grey_is_the_luma_of_bt_601(tmp_path: Path) -> None:
    quarters().save(tmp_path / "a.png")
    pixels = only(tmp_path, size=16, grey=True)
    assert pixels.shape == (1, 16, 16)
    near(corners(pixels), [[0.299 * 255], [0.587 * 255], [0.114 * 255], [255]], 1)


@pytest.mark.parametrize("grey", [False, True])
def test_grey_files_of_one_eight_and_sixteen_bits(tmp_path: Path, grey: bool) -> None:
    ramp = np.array([[0, 65535], [32896, 257 * 200]], np.uint16)
    for name, picture, expected in (
        ("one", Image.fromarray(ramp > 40000), [0, 255, 0, 255]),
        ("eight", Image.fromarray((ramp // 257).astype(np.uint8)), [0, 255, 128, 200]),
        ("sixteen", Image.fromarray(ramp), [0, 255, 128, 200]),
    ):
        (tmp_path / name).mkdir()
        picture.save(tmp_path / name / "a.png")
        channels = 1 if grey else 3
        near(corners(only(tmp_path / name, size=2, grey=grey)), [[value] * channels for value in expected])


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
@pytest.mark.parametrize("grey", [False, True])
def test_what_is_transparent_lies_on_white(tmp_path: Path, mode: str, grey: bool) -> None:
    if mode == "P":
        picture = Image.new("P", (8, 8), 1)
        picture.putpalette([*BLACK, *BLACK])
        picture.paste(0, (0, 0, 4, 8))
        picture.save(tmp_path / "a.png", transparency=0)
    else:
        picture = Image.new(mode, (8, 8), BLACK[:1] * (len(mode) - 1) + (255,))
        picture.paste(BLACK[:1] * (len(mode) - 1) + (0,), (0, 0, 4, 8))
        picture.save(tmp_path / "a.png")
    white, black = ([value] * (1 if grey else 3) for value in (255, 0))
    near(corners(only(tmp_path, size=8, grey=grey)), [white, black, white, black])


def test_half_transparent_is_half_way_to_white(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (*BLACK, 128)).save(tmp_path / "a.webp", lossless=True)
    near(only(tmp_path), 127, 1)


@pytest.mark.parametrize(("width", "height"), [(32, 16), (16, 32), (33, 16)])
def test_the_middle_square_is_taken(tmp_path: Path, width: int, height: int) -> None:
    picture = Image.new("RGB", (width, height), BLUE)
    left, top = (width - 16) // 2, (height - 16) // 2
    picture.paste(RED, (left, top, left + 16 + width % 2, top + 16))
    picture.save(tmp_path / "a.png")
    pixels = only(tmp_path, size=8)
    near(pixels[0], 255)
    near(pixels[2], 0)


# What a camera writes that was turned, and where the quarters then lie in the file.
TURNED = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_photographs_are_turned_upright(tmp_path: Path, orientation: int, name: str) -> None:
    picture, turn = quarters(64, 64), TURNED[orientation]
    picture = picture if turn is None else picture.transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(tmp_path / name, exif=exif, **({"quality": 100, "subsampling": 0} if name == "a.jpg" else {}))
    near(corners(only(tmp_path)), [RED, GREEN, BLUE, WHITE], 4)


def test_of_an_animation_the_first_frame_is_taken(tmp_path: Path) -> None:
    for name in ("a.gif", "b.webp", "c.png"):
        frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    images = folder_images(tmp_path, size=4, batch_size=3).images
    near(images[:, 0], 255, 2)
    near(images[:, 2], 0, 2)


@pytest.mark.parametrize("side", [2, 400])
def test_small_pictures_are_enlarged_and_large_ones_shrunk_without_noise(tmp_path: Path, side: int) -> None:
    for number, name in enumerate(("a.png", "b.jpg")):
        picture = quarters(side, side)
        if side > 100:  # stripes of one pixel, which must become their mean and not a pattern
            stripes = np.zeros((side, side, 3), np.uint8)
            stripes[: side // 2, ::2] = 255
            picture = Image.fromarray(stripes)
        picture.save(tmp_path / name, **({"quality": 100, "subsampling": 0} if number else {}))
    images = folder_images(tmp_path, size=8, batch_size=2).images
    assert images.shape == (2, 3, 8, 8)
    if side > 100:
        near(images[:, :, :3], 127, 6)
        near(images[:, :, 5:], 0, 6)
    else:
        near(corners(images[0]), [RED, GREEN, BLUE, WHITE], 1)


def many(folder: Path, names: list[str]) -> None:
    """Write small pictures, each of its own shade: 10 for the first name, 20 for the second."""
    for number, name in enumerate(names, 1):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), 10 * number).save(folder / name)


def shades(source: ArraySource) -> list[int]:
    return source.images[:, 0, 0, 0].tolist()


def test_the_order_is_that_of_the_paths_and_hidden_files_are_not_taken(tmp_path: Path) -> None:
    many(tmp_path, ["b/2.png", "a.png", "b/1.png", "b/c/d.png", ".hidden.png", ".cache/x.png", "b/.x.png"])
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.warns(GanWarning, match="left out: ") as warned:
        source = folder_images(tmp_path, size=2, grey=True, batch_size=1)
    assert [str(one.message) for one in warned] == [
        f"{tmp_path}: left out: 3 hidden files and folders (.cache, .hidden.png, b/.x.png);"
        " 1 file of another type (notes.txt)"
    ]
    assert shades(source) == [20, 30, 10, 40]
    assert source.labels is None  # a.png lies in no subfolder
    assert source.name == tmp_path.name
    with pytest.warns(GanWarning, match="left out: "):
        assert source.sha256() == folder_images(tmp_path, size=2, grey=True, batch_size=2).sha256()


def test_subfolders_are_classes_if_every_picture_lies_in_one(tmp_path: Path) -> None:
    many(tmp_path, ["dog/1.png", "cat/2.png", "cat/old/3.png", "ant/4.png"])
    source = folder_images(tmp_path, size=2, grey=True, batch_size=1)
    assert shades(source) == [40, 20, 30, 10]
    assert source.labels.tolist() == [0, 1, 1, 2]


def test_a_home_folder_is_expanded_and_a_link_to_a_folder_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many(tmp_path / "home" / "mine", ["a.png"])
    assert folder_images("~/mine", batch_size=1).count == 1
    (tmp_path / "link").symlink_to(tmp_path / "home" / "mine")
    assert folder_images(tmp_path / "link", batch_size=1).name == "mine"


def damage(folder: Path, name: str, content: bytes) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)


def test_damaged_pictures_are_left_out_and_named(tmp_path: Path) -> None:
    many(tmp_path, [f"{kind}/{number}.png" for kind in "xy" for number in range(4)])
    whole = tmp_path / "whole.png"
    quarters(200, 200).save(whole)
    content = whole.read_bytes()
    whole.unlink()
    damage(tmp_path, "w/text.png", b"I am no picture")
    damage(tmp_path, "x/cut.png", content[: len(content) // 2])
    damage(tmp_path, "y/empty.jpg", b"")
    told = (
        r"left out: 3 of 11 images, which cannot be read: w/text.png \(not an image\), "
        r"x/cut.png \(OSError: .*truncated.*\), y/empty.jpg \(empty\); "
        r"1 class folder without images, with unused labels \(w: 0\)$"
    )
    with pytest.warns(GanWarning, match=told) as warned:
        source = folder_images(tmp_path, size=2, grey=True, batch_size=1)
    assert warned[0].filename == __file__ and len(warned) == 1
    assert shades(source) == [10, 20, 30, 40, 50, 60, 70, 80]
    assert source.labels.tolist() == [1] * 4 + [2] * 4  # numbered by the folders, whatever is damaged


def test_flipped_bytes_never_end_in_anything_but_a_picture_or_a_line(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = [("png", {}), ("jpg", {}), ("gif", {}), ("webp", {}), ("bmp", {})]
    for number in range(60):
        ending, settings = names[number % 5]
        path = tmp_path / f"{number}.{ending}"
        quarters(20, 20).save(path, **settings)
        if number >= 10:
            content = bytearray(path.read_bytes())
            for place in rng.integers(0, len(content), 4):
                content[place] = rng.integers(0, 256)
            path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            assert folder_images(tmp_path, size=4, batch_size=10).count >= 10
        except DataError as error:
            assert "\n" not in str(error)


def test_a_folder_of_mostly_damaged_pictures_is_refused(tmp_path: Path) -> None:
    many(tmp_path, [f"{number}.png" for number in range(4)])
    for number in range(4):
        damage(tmp_path, f"bad{number}.png", b"x")
    with pytest.raises(
        DataError, match=r"4 of 8 images in .* cannot be read: bad0.png \(not an image\), "
    ) as error:
        folder_images(tmp_path, batch_size=2)
    assert one_line(error).endswith(", ...")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("nowhere", "data folder 'nowhere' does not exist"),
        ("", "data folder '' does not exist"),
        ("one/a.png", "one/a.png is a file, expected the folder that contains the images"),
        ("void", r"void has no images \(.bmp, .gif, .jpeg, .jpg, .png, .webp\): it is empty"),
        (
            "papers",
            r"papers has no images \(.*\): it contains 2 files of other types \(1 .tiff, 1 .txt: a.tiff, b.txt",
        ),
        ("mixed", r"mixed: 1 images do not fill one batch of 2; left out: 1 file of another type \(a.tiff\)"),
        ("one\0", "does not exist"),
        ("~nobody-of-this-name/x", "does not exist"),
        ("one", "one: 1 images do not fill one batch of 2"),
    ],
)
def test_a_folder_that_is_of_no_use_is_one_line(path: str, told: str) -> None:
    many(Path("one"), ["a.png"])
    Path("void/deeper").mkdir(parents=True)
    Path("papers").mkdir()
    for name in ("a.tiff", "b.txt"):
        Path("papers", name).touch()
    many(Path("mixed"), ["a.png"])
    Path("mixed/a.tiff").touch()
    with pytest.raises(DataError, match=told) as error:
        folder_images(path, batch_size=2)
    one_line(error)


def test_a_missing_folder_is_answered_with_the_nearest_next_to_it() -> None:
    many(Path("deep/animals"), ["a.png"])
    Path("deep/animols").touch()  # a file
    with pytest.raises(DataError, match=r"'deep/animas' does not exist; did you mean 'deep/animals'\?$"):
        folder_images("deep/animas", batch_size=1)
    with pytest.raises(DataError, match=r"'deep/x' does not exist$"):
        folder_images("deep/x", batch_size=1)


def test_a_link_to_nothing_is_named(tmp_path: Path) -> None:
    many(tmp_path, ["1.png", "2.png", "3.png"])
    (tmp_path / "gone.png").symlink_to("nowhere.png")
    with pytest.warns(GanWarning, match=r"left out: 1 of 4 .*: gone.png \(broken link\)$"):
        assert folder_images(tmp_path, batch_size=3).count == 3


def test_too_few_are_left_when_damaged_ones_are_out(tmp_path: Path) -> None:
    many(tmp_path, ["1.png", "2.png", "3.png"])
    damage(tmp_path, "bad.png", b"x")
    with (
        pytest.warns(GanWarning, match=r"left out: 1 of 4 "),
        pytest.raises(DataError, match="3 images do not fill one batch of 4"),
    ):
        folder_images(tmp_path, batch_size=4)


@pytest.fixture
def readable() -> Iterator[Path]:
    """Return a folder that anybody may enter, as pytest's own is not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Give up root's rights, which reads everything, for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("locked", ["", "cats", "cats/deep", "cats/link", "cats/behind"])
def test_a_folder_that_may_not_be_read_is_an_error(readable: Path, locked: str) -> None:
    mine, vault = readable / "mine", readable / "vault"
    many(mine, ["ant/1.png", "cats/2.png"])
    (vault / "inside").mkdir(parents=True)
    (mine / "cats" / "deep").mkdir()
    closed = [mine / locked]
    if locked in ("cats/link", "cats/behind"):
        closed = [vault]
        (mine / locked).symlink_to(vault if locked == "cats/link" else vault / "inside", target_is_directory=True)
    closed[0].chmod(0)
    with as_nobody(), pytest.raises(DataError, match=r"cannot be read \(Permission denied\)$") as error:
        folder_images(mine, batch_size=1)
    closed[0].chmod(0o755)
    assert one_line(error).startswith(f"{mine / locked} ")


def test_linked_folders_are_classes_like_others(tmp_path: Path) -> None:
    many(tmp_path / "away", ["cats/1.png", "cats/2.png"])
    many(tmp_path / "mine", ["ant/3.png", "dog/4.png"])
    (tmp_path / "mine" / "cat").symlink_to(tmp_path / "away" / "cats", target_is_directory=True)
    (tmp_path / "mine" / "dog" / "more").symlink_to("../../away", target_is_directory=True)
    source = folder_images(tmp_path / "mine", size=2, grey=True, batch_size=1)
    assert source.labels.tolist() == [0, 1, 1, 2, 2, 2]
    assert shades(source) == [10, 10, 20, 20, 10, 20]


def test_links_that_go_round_are_followed_once_and_named(tmp_path: Path) -> None:
    many(tmp_path, ["a/1.png", "b/2.png"])
    for name, target in (("a/self", "."), ("a/up", ".."), ("a/b", "../b"), ("b/a", "../a")):
        (tmp_path / name).symlink_to(target, target_is_directory=True)
    with pytest.warns(GanWarning, match="left out: ") as warned:
        source = folder_images(tmp_path, size=2, grey=True, batch_size=1)
    [told] = [str(one.message) for one in warned]
    assert told.endswith(": left out: 6 links to parent folders (a/b/a, a/self, a/up, ...)"), told
    assert source.labels.tolist() == [0, 0, 1, 1]  # a/1, a/b/2, b/2, b/a/1


def test_whatever_is_left_out_is_counted_and_named_in_one_warning(tmp_path: Path) -> None:
    many(tmp_path, ["b/1.PNG", "b/2.JpG", "d/3.png", "d/4.gif"])
    for folder in ("a", "c/deep", ".git"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("d/5.tif", "d/6.tif", "d/7.TIF", "d/8.tif", "notes", "b/labels.csv", "d/.DS_Store", "b/x\ny.txt"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "d" / "empty.png").touch()
    (tmp_path / "d" / "gone.png").symlink_to("nowhere.png")
    (tmp_path / "gone").symlink_to("/no/such/disk")
    (tmp_path / "b" / "round").symlink_to("round")
    os.mkfifo(tmp_path / "d" / "pipe.png")
    (tmp_path / "d" / "device.png").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(tmp_path / "d")  # the name of a socket must be short
        server.bind("socket.png")
        with pytest.warns(GanWarning, match="left out: ") as warned:
            source = folder_images(tmp_path, size=2, grey=True, batch_size=4)
    [told] = [str(one.message) for one in warned]
    assert set(told.removeprefix(f"{tmp_path}: left out: ").split("; ")) == {
        "2 of 6 images, which cannot be read: d/empty.png (empty), d/gone.png (broken link)",
        "2 hidden files and folders (.git, d/.DS_Store)",
        "7 files of other types (4 .tif, 1 without a suffix, 1 .csv: b/labels.csv, 'b/x\\ny.txt', d/5.tif, ...)",
        "2 broken links (b/round, gone)",
        "3 special files (d/device.png, d/pipe.png, d/socket.png)",
        "3 class folders without images, with unused labels (a: 0, c: 2, gone: 4)",
    }
    assert source.labels.tolist() == [1, 1, 3, 3]


def test_an_empty_class_shifts_no_label(tmp_path: Path) -> None:
    many(tmp_path, ["ant/1.png", "cat/2.png", "dog/3.png"])
    labels = dict(zip("abc", folder_images(tmp_path, size=2, batch_size=1).labels, strict=True))
    (tmp_path / "cat" / "2.png").rename(tmp_path / "cat" / "2.txt")
    with pytest.warns(GanWarning, match=r"1 class folder without images, with unused labels \(cat: 1\)"):
        source = folder_images(tmp_path, size=2, batch_size=1)
    assert source.labels.tolist() == [labels["a"], labels["c"]]
    (tmp_path / "cat" / "2.txt").unlink()
    with pytest.warns(GanWarning, match=r"^[^;]*: 1 class folder without images"):
        assert folder_images(tmp_path, size=2, batch_size=1).labels.tolist() == [0, 2]


def test_a_damaged_picture_among_classes_does_not_take_the_labels_away(tmp_path: Path) -> None:
    many(tmp_path, ["ant/1.png", "cat/2.png", "dog/3.png"])
    (tmp_path / "preview.png").touch()
    with pytest.warns(GanWarning, match=r"preview.png \(empty\)"):
        assert folder_images(tmp_path, size=2, batch_size=1).labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"size": 0}, r"folder_images\(size=...\) must be a whole number of at least 1, got 0"),
        ({"size": 32.0}, "must be a whole number of at least 1, got 32.0"),
        ({"size": True}, "must be a whole number of at least 1, got True"),
        ({"grey": "yes"}, r"folder_images\(grey=...\) takes True or False, not 'yes'"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
    ],
)
def test_settings_are_checked_before_any_file(settings: dict, told: str) -> None:
    with pytest.raises(RecipeError, match=told) as error:
        folder_images("nowhere", **settings)
    one_line(error)
