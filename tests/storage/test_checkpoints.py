"""Checkpoints: what is saved comes back to the byte, what is damaged never does, a kill leaves no half."""

from __future__ import annotations

import json
import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ms_gan_callbacks.errors import CheckpointError, GanWarning
from ms_gan_callbacks.storage.checkpoints import Checkpoint, CheckpointStore
from ms_gan_callbacks.storage.files import make_draft_path

Weights = dict[str, np.ndarray]
FILES = ["manifest.json", "state.json", "weights.safetensors"]
SHORT = settings(max_examples=100, deadline=None, derandomize=True)


def weights_at(step: int) -> Weights:
    draw = np.random.default_rng(step)
    return {
        "generator.weight": draw.standard_normal((4, 3), dtype=np.float32),
        "g_optimizer.global_step": np.array(step, np.int32),
        "discriminator.bias": draw.standard_normal(2),
    }


def state_at(step: int) -> dict:
    return {
        "progress": {"step": step},
        "metrics": {"fld": step / 3},
        "callbacks": {"Löss": {"best": [step, None]}},
    }


def store_of(*steps: int, folder: Path | str = "checkpoints") -> CheckpointStore:
    store = CheckpointStore(Path(folder))
    for step in steps:
        store.save(step, weights_at(step), state_at(step))
    return store


LIKE = weights_at(0)


def assert_equal(found: Weights, saved: Weights) -> None:
    def told(weights: Weights) -> dict:
        return {name: (array.shape, array.dtype, array.tobytes()) for name, array in weights.items()}

    assert told(found) == told(saved)


def assert_whole(found: Checkpoint | None, step: int) -> None:
    assert found is not None
    assert (found.step, found.state) == (step, state_at(step))
    assert_equal(found.weights, weights_at(step))


def refused(store: CheckpointStore, step: int, like: Weights = LIKE) -> str:
    """Load what must not load; return the reason, which is one line and names the place."""
    with pytest.raises(CheckpointError) as caught:
        store.load(step, like)
    reason = str(caught.value)
    assert "\n" not in reason
    assert f"step-{step:08d}" in reason
    return reason


def goes_back(store: CheckpointStore, newer: int, older: int, reason: str) -> None:
    """Check that the newest whole one is the older, and that what is wrong with the newer is said."""
    pattern = rf"step-{newer:08d}.*{reason}.*using step-{older:08d} instead$"
    with pytest.warns(GanWarning, match=pattern) as told:
        assert_whole(store.load_newest(LIKE), older)
    assert len(told) == 1


def entries(store: CheckpointStore) -> set[str]:
    return {path.name for path in store.folder.iterdir()}


# What is saved comes back.


def test_every_shape_and_type_comes_back_to_the_byte() -> None:
    types = [np.float16, np.float32, np.float64, np.bool_]
    types += [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]
    weights: Weights = {}
    for kind in types:
        name = np.dtype(kind).name
        weights[f"{name}.0-d"] = np.array(1, kind)
        weights[f"{name}.empty"] = np.zeros((0, 3), kind)
        weights[f"{name}.matrix"] = np.arange(6).reshape(2, 3).astype(kind)
    weights["strided"] = np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1)[::2]
    weights["special"] = np.array([np.nan, -0.0, np.inf, -np.inf, 1e-45], np.float32)
    store = CheckpointStore(Path("checkpoints"))
    store.save(1, weights, {})
    assert_equal(store.load(1, weights).weights, weights)


kinds = st.one_of(hnp.floating_dtypes(endianness="<"), hnp.integer_dtypes(endianness="<"), hnp.boolean_dtypes())
arrays = kinds.filter(lambda kind: kind.itemsize <= 8).flatmap(
    lambda kind: hnp.arrays(kind, hnp.array_shapes(min_dims=0, min_side=0, max_side=4))
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@SHORT
@given(st.dictionaries(st.text(min_size=1).filter(lambda name: name != "__metadata__"), arrays), json_values)
def test_whatever_is_saved_comes_back_to_the_byte(weights: Weights, value: object) -> None:
    store = CheckpointStore(Path("any"))
    store.save(1, weights, {"value": value})
    found = store.load(1, weights)
    assert_equal(found.weights, weights)
    assert found.state == {"value": value}


def test_a_checkpoint_is_three_files_of_which_the_manifest_vouches_for_two() -> None:
    path = store_of(468).get_path(468)
    assert path == Path("checkpoints/step-00000468")
    assert sorted(file.name for file in path.iterdir()) == FILES
    manifest = json.loads((path / "manifest.json").read_text())
    assert (manifest["format"], manifest["step"]) == (1, 468)
    sizes = {name: entry["bytes"] for name, entry in manifest["files"].items()}
    assert sizes == {name: (path / name).stat().st_size for name in FILES[1:]}
    assert b"pickle" not in (path / "weights.safetensors").read_bytes()
    assert json.loads((path / "state.json").read_text()) == state_at(468)


def test_the_manifest_is_written_last_and_only_what_is_whole_gets_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    synced: list[tuple[set[str], bool]] = []
    real = os.fsync

    def watch(descriptor: int) -> None:
        drafts = list(Path("checkpoints").glob(".*.tmp"))
        synced.append(({file.name for draft in drafts for file in draft.iterdir()}, bool(list_of_final())))
        real(descriptor)

    def list_of_final() -> list[Path]:
        return list(Path("checkpoints").glob("step-*"))

    monkeypatch.setattr(os, "fsync", watch)
    store_of(1)
    before = [names for names, final in synced if not final]
    assert {"weights.safetensors", "state.json"} in before, "both files are on the disk before there is a manifest"
    assert before[-1] == set(FILES), "the draft's folder is on the disk before it gets its name"
    assert synced[-1] == (set(), True), "the new name is on the disk before a save returns"


def test_a_step_that_is_saved_again_is_replaced_whole() -> None:
    store = store_of(1, 2)
    other = {"only": np.arange(3)}
    store.save(2, other, {"second": True})
    found = store.load(2, other)
    assert_equal(found.weights, other)
    assert found.state == {"second": True}
    assert sorted(file.name for file in store.get_path(2).iterdir()) == FILES
    assert entries(store) == {"step-00000001", "step-00000002"}


def test_a_draft_of_a_killed_process_with_the_same_id_is_in_nobodys_way() -> None:
    store = store_of(1)
    draft = make_draft_path(store.get_path(2))
    draft.mkdir()
    (draft / "weights.safetensors").write_bytes(b"half")
    store.save(2, weights_at(2), state_at(2))
    assert_whole(store.load_newest(LIKE), 2)
    assert entries(store) == {"step-00000001", "step-00000002"}


def test_where_nothing_was_saved_there_is_nothing() -> None:
    store = CheckpointStore(Path("none"))
    assert store.list_steps() == []
    assert store.load_newest(LIKE) is None
    store.prune([1])
    store.go_back_to(0)
    assert not store.folder.exists()
    assert "there is no checkpoint" in refused(store, 1)


def test_only_directories_with_the_name_of_a_step_are_listed_oldest_first() -> None:
    store = store_of(12, 3, 100_000_000)
    for name in ("step-7", "step-00000012-old", "step-", "step-x", "step-٠٠٠٠٠٠٠٩", ".step-00000005.1.tmp"):
        (store.folder / name).mkdir()
    (store.folder / "step-00000008").write_text("a file")
    assert store.list_steps() == [3, 12, 100_000_000]
    store.prune([])
    assert store.list_steps() == [100_000_000]


# The kept fixture.


def test_a_checkpoint_of_format_1_loads_for_ever() -> None:
    # Typed by hand from the folder's README. If this fails, formats have changed and FORMAT must, too.
    saved = {
        "generator.weight": np.array([[0, 1, 2], [3, 4, 5]], np.float32),
        "generator.half": np.array([0.5, -0.5], np.float16),
        "g_optimizer.global_step": np.array(3, np.int32),
        "g_optimizer.empty": np.zeros((0, 4), np.float32),
        "discriminator.mask": np.array([True, False]),
    }
    store = CheckpointStore(ROOT / "tests/fixtures/checkpoint-format-1")
    assert store.list_steps() == [3]
    for found in (store.load(3, saved), store.load_newest(saved)):
        assert found is not None
        assert_equal(found.weights, saved)
        assert found.state == {
            "progress": {"step": 3, "epoch": 1},
            "metrics": {"fld": 0.1, "name": "Ü"},
            "kept": {},
            "callbacks": {},
        }


# Who goes and who stays.


def test_pruning_removes_what_nobody_wants_and_never_the_newest() -> None:
    store = store_of(1, 2, 3, 4)
    store.prune([2, 7])
    assert store.list_steps() == [2, 4]
    store.prune([])
    assert store.list_steps() == [4]
    store.prune([])
    assert entries(store) == {"step-00000004"}
    assert_whole(store.load_newest(LIKE), 4)


class Killed(BaseException):
    """Stands for a kill: nothing may catch it and tidy up."""


def test_a_kill_in_the_middle_of_a_removal_leaves_no_half_checkpoint_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = store_of(1, 2)
    real = os.unlink

    def unlink(*arguments: object, **named: object) -> None:
        real(*arguments, **named)  # type: ignore[arg-type]
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(os, "unlink", unlink)
        store.prune([])
    assert store.list_steps() == [2]
    assert any(name.endswith(".gone") for name in entries(store)), "the kill came before the removal began"
    assert_whole(store.load_newest(LIKE), 2)
    store.go_back_to(2)
    assert entries(store) == {"step-00000002"}


def test_a_kill_while_a_step_is_replaced_leaves_its_old_checkpoint() -> None:
    # What stands on the disk between the two renames of a replacement; the pid is that of a dead process.
    store = store_of(1, 2)
    store.get_path(2).rename(store.folder / ".step-00000002.99.old")
    shutil.copytree(store.get_path(1), store.folder / ".step-00000002.99.tmp")
    assert_whole(store.load_newest(LIKE), 2)
    store.go_back_to(2)
    assert entries(store) == {"step-00000001", "step-00000002"}


def test_a_kill_after_a_step_was_replaced_does_not_bring_its_old_checkpoint_back() -> None:
    store = store_of(1, 2)
    shutil.copytree(store.get_path(1), store.folder / ".step-00000002.99.old")
    assert_whole(store.load_newest(LIKE), 2)
    store.go_back_to(2)
    assert entries(store) == {"step-00000001", "step-00000002"}


def test_an_exception_while_a_step_is_replaced_leaves_it_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_of(1, 2)
    real = Path.rename

    def rename(path: Path, target: Path) -> Path:
        if path.name.endswith(".tmp"):
            raise KeyboardInterrupt
        return real(path, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "rename", rename)
        store.save(2, weights_at(7), state_at(7))
    assert_whole(store.load(2, LIKE), 2)  # at once, not only when the run is resumed
    assert entries(store) == {"step-00000001", "step-00000002"}


def test_going_back_sets_later_checkpoints_aside_whole_and_sweeps_leftovers() -> None:
    store = store_of(1, 2, 3, 4)
    for leftover in (".step-00000009.99.tmp", ".step-00000001.99.old", ".step-00000001.99.gone"):
        shutil.copytree(store.get_path(1), store.folder / leftover)
    store.go_back_to(2)
    assert entries(store) == {"step-00000001", "step-00000002", "set-aside"}
    aside = CheckpointStore(store.folder / "set-aside")
    assert aside.list_steps() == [3, 4]
    for step in (3, 4):
        assert_whole(aside.load(step, LIKE), step)
    assert_whole(store.load_newest(LIKE), 2)


def test_what_is_set_aside_a_second_time_leaves_the_first_alone() -> None:
    store = store_of(1, 2)
    store.go_back_to(1)
    store.save(2, {"only": np.arange(3)}, state_at(2))
    store.go_back_to(1)
    aside = store.folder / "set-aside"
    assert sorted(path.name for path in aside.iterdir()) == ["step-00000002", "step-00000002-2"]
    assert_whole(CheckpointStore(aside).load(2, LIKE), 2)


def test_a_directory_with_something_of_the_users_is_neither_removed_nor_replaced() -> None:
    store = store_of(1, 2, 3)
    (store.get_path(1) / "notes.txt").write_text("the best so far")
    store.prune([])
    assert store.list_steps() == [1, 3]
    (store.get_path(3) / "notes.txt").write_text("and this one")
    store.save(3, weights_at(3), state_at(3))
    assert sorted(file.name for file in store.get_path(3).iterdir()) == FILES
    assert (store.get_path(1) / "notes.txt").read_text() == "the best so far"
    assert (store.folder / "set-aside/step-00000003/notes.txt").read_text() == "and this one"


def test_only_what_a_run_names_so_is_taken_for_a_leftover() -> None:
    store = store_of(1)
    for name in (".step-notes", ".step-00000001.tmp", ".step-00000001.old"):
        (store.folder / name).mkdir()
        (store.folder / name / "mine").touch()
    store.go_back_to(1)
    assert {".step-notes", ".step-00000001.tmp", ".step-00000001.old"} <= entries(store)


def test_somebody_who_only_reads_moves_nothing_that_a_run_may_be_replacing() -> None:
    store = store_of(1, 2)
    store.get_path(2).rename(store.folder / ".step-00000002.99.old")
    found = store.load_newest(LIKE, repair=False)
    assert_whole(found, 1)
    assert entries(store) == {"step-00000001", ".step-00000002.99.old"}
    assert_whole(store.load_newest(LIKE), 2)


# What is damaged never comes back.


def flips(content: bytes) -> Iterator[bytes]:
    for position in range(len(content) * 8):
        flipped = bytearray(content)
        flipped[position // 8] ^= 1 << position % 8
        yield bytes(flipped)


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_noticed_wherever_it_is(name: str) -> None:
    store = store_of(1, 2)
    file = store.get_path(2) / name
    for content in flips(file.read_bytes()):
        file.write_bytes(content)
        refused(store, 2)


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_short_or_grown_is_noticed_wherever_it_is(name: str) -> None:
    store = store_of(1, 2)
    file = store.get_path(2) / name
    whole = file.read_bytes()
    # A manifest says the same without its last byte, a newline; with any other gone it says nothing.
    for length in range(len(whole) - 1):
        file.write_bytes(whole[:length])
        refused(store, 2)
    for more in (b"\0", b"x", whole):
        file.write_bytes(whole + more)
        refused(store, 2)


places = st.tuples(st.sampled_from(FILES), st.integers(0, 10_000), st.integers(0, 40), st.binary(max_size=40))


@SHORT
@given(st.lists(places, min_size=1, max_size=4))
def test_whatever_is_overwritten_cut_out_or_inserted_nothing_else_than_what_was_saved_is_read(
    damage: list,
) -> None:
    shutil.rmtree("checkpoints", ignore_errors=True)
    store = store_of(1, 2)
    before = {name: (store.get_path(2) / name).read_bytes() for name in FILES}
    for name, place, length, new in damage:
        file = store.get_path(2) / name
        content = file.read_bytes()
        start = place % (len(content) + 1)
        file.write_bytes(content[:start] + new + content[start + length :])
    untouched = all((store.get_path(2) / name).read_bytes() == content for name, content in before.items())
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = store.load_newest(LIKE)
    assert found is not None
    assert_whole(found, found.step)
    assert found.step == 2 or not untouched
    assert len(told) == (0 if found.step == 2 else 1)


def at_random(store: CheckpointStore, name: str) -> Iterator[int]:
    size = (store.get_path(2) / name).stat().st_size
    yield from np.random.default_rng(0).integers(0, size - 1, 100).tolist()


@pytest.mark.parametrize("name", FILES)
def test_a_run_goes_back_behind_whatever_is_flipped_or_cut_and_says_so(name: str) -> None:
    store = store_of(1, 2)
    file = store.get_path(2) / name
    whole = file.read_bytes()
    for place in at_random(store, name):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        goes_back(store, 2, 1, "(damaged|format)")
        file.write_bytes(whole[:place])
        goes_back(store, 2, 1, "damaged")


def write_manifest(path: Path, **changes: object) -> None:
    manifest = json.loads((path / "manifest.json").read_text()) | changes
    (path / "manifest.json").write_text(json.dumps(manifest))


def swap(store: CheckpointStore, name: str) -> None:
    one, two = store.get_path(1) / name, store.get_path(2) / name
    shutil.copy(one, "kept")
    two.replace(one)
    Path("kept").replace(two)


def foreign(store: CheckpointStore) -> None:
    shutil.rmtree(store.get_path(2))
    store.get_path(2).mkdir()
    (store.get_path(2) / "holiday.jpg").write_bytes(b"\xff\xd8")


def folder_for_file(store: CheckpointStore) -> None:
    (store.get_path(2) / "state.json").unlink()
    (store.get_path(2) / "state.json").mkdir()


def other_step(store: CheckpointStore) -> None:
    shutil.rmtree(store.get_path(2))
    shutil.copytree(store_of(5, folder="others").get_path(5), store.get_path(2))


def set_manifest(**changes: object) -> Callable[[CheckpointStore], None]:
    return lambda store: write_manifest(store.get_path(2), **changes)


def write(name: str, content: bytes) -> Callable[[CheckpointStore], object]:
    return lambda store: (store.get_path(2) / name).write_bytes(content)


def remove(name: str) -> Callable[[CheckpointStore], None]:
    return lambda store: (store.get_path(2) / name).unlink()


NO_KNOWN = "has an unknown format"
DAMAGE: dict[str, tuple[Callable[[CheckpointStore], object], str]] = {
    "no manifest": (remove("manifest.json"), "is damaged: it has no manifest.json"),
    "no weights": (remove("weights.safetensors"), "is damaged: weights.safetensors: No such file"),
    "no state": (remove("state.json"), "is damaged: state.json: No such file"),
    "empty manifest": (write("manifest.json", b""), "is damaged: manifest.json cannot be read"),
    "empty weights": (write("weights.safetensors", b""), r"weights.safetensors has 0 bytes instead of \d+"),
    "empty state": (write("state.json", b""), r"state.json has 0 bytes instead of \d+"),
    "a folder for a file": (folder_for_file, "is damaged: state.json: Is a directory"),
    "nested without end": (write("manifest.json", b"[" * 100_000), "manifest.json cannot be read"),
    "a list for a manifest": (write("manifest.json", b"[]"), "manifest.json cannot be read"),
    "null for a manifest": (write("manifest.json", b"null"), "manifest.json cannot be read"),
    "not UTF-8": (write("manifest.json", b'{"format": "\xff"}'), "manifest.json cannot be read"),
    "files is a list": (set_manifest(files=[]), "manifest.json cannot be read"),
    "files is empty": (set_manifest(files={}), "its manifest belongs to another checkpoint"),
    "entries are none": (
        set_manifest(files={"weights.safetensors": None, "state.json": None}),
        r"weights.safetensors has \d+ bytes instead of None",
    ),
    "foreign directory": (foreign, "is damaged: it has no manifest.json"),
    "another step": (other_step, "its manifest belongs to another checkpoint"),
    "future format": (set_manifest(format=2), r"written by a newer version of ms-gan-callbacks \(format 2"),
    "older format": (set_manifest(format=0), NO_KNOWN),
    "format is text": (set_manifest(format="1"), NO_KNOWN),
    "format is true": (set_manifest(format=True), NO_KNOWN),
    "format is nothing": (set_manifest(format=None), NO_KNOWN),
    "format is a list": (set_manifest(format=[1]), NO_KNOWN),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_what_is_wrong_is_named_and_the_older_one_is_used(kind: str) -> None:
    store = store_of(1, 2)
    damage, reason = DAMAGE[kind]
    damage(store)
    assert re.search(reason, refused(store, 2))
    goes_back(store, 2, 1, reason)
    store.go_back_to(1)
    assert entries(store) == {"step-00000001", "set-aside"}
    assert_whole(store.load_newest(LIKE), 1)


@pytest.mark.parametrize("name", FILES)
def test_files_swapped_between_two_checkpoints_are_noticed_in_both(name: str) -> None:
    store = store_of(1, 2)
    swap(store, name)
    for step in (1, 2):
        refused(store, step)
    with pytest.raises(
        CheckpointError, match=r"^no usable checkpoint: .*step-00000002 .*; .*step-00000001 .*"
    ) as caught:
        store.load_newest(LIKE)
    assert "\n" not in str(caught.value)


def test_every_damaged_one_on_the_way_back_is_named_once() -> None:
    store = store_of(1, 2, 3)
    (store.get_path(3) / "state.json").unlink()
    (store.get_path(2) / "manifest.json").unlink()
    with pytest.warns(GanWarning) as told:
        assert_whole(store.load_newest(LIKE), 1)
    first, second = (str(warning.message) for warning in told)
    assert re.search(r"step-00000003 is damaged: state.json.*using step-00000001 instead$", first)
    assert re.search(r"step-00000002 is damaged: it has no manifest.*using step-00000001 instead$", second)


def test_the_newest_that_is_wanted_is_found_and_damaged_ones_after_it_are_not_looked_at() -> None:
    store = store_of(1, 2, 3, 4)
    (store.get_path(4) / "manifest.json").unlink()
    assert_whole(store.load_newest(LIKE, until=3), 3)
    assert_whole(store.load_newest(LIKE, until=3, where=lambda found: found.state["progress"]["step"] < 3), 2)
    assert store.load_newest(LIKE, until=0) is None
    assert store.load_newest(LIKE, until=3, where=lambda found: False) is None
    (store.get_path(2) / "state.json").unlink()
    with pytest.warns(GanWarning, match=r"step-00000002 is damaged: .*; using step-00000001 instead$"):
        assert_whole(store.load_newest(LIKE, until=3, where=lambda found: found.step != 3), 1)
    with pytest.raises(CheckpointError, match=r"^no usable checkpoint: \S+step-00000002 is damaged: .*$"):
        store.load_newest(LIKE, until=3, where=lambda found: found.step == 2)


def without(name: str) -> Weights:
    return {other: array for other, array in LIKE.items() if other != name}


@pytest.mark.parametrize(
    ("like", "reason"),
    [
        (without("discriminator.bias"), "the checkpoint has 'discriminator.bias', the run does not"),
        (LIKE | {"more": np.zeros(1)}, "the run has 'more', the checkpoint does not"),
        (
            LIKE | {"generator.weight": np.zeros((3, 4), np.float32)},
            r"generator.weight is float32 \(4, 3\), the run's is float32 \(3, 4\)",
        ),
        (
            LIKE | {"discriminator.bias": np.zeros(2, np.float32)},
            r"discriminator.bias is float64 \(2,\), the run's is float32 \(2,\)",
        ),
        (
            LIKE | {"g_optimizer.global_step": np.zeros(1, np.int32)},
            r"g_optimizer.global_step is int32 \(\), the run's is int32 \(1,\)",
        ),
    ],
)
def test_a_checkpoint_of_other_networks_is_refused_by_the_parameters_name(like: Weights, reason: str) -> None:
    store = store_of(1)
    assert re.search(f"is of other networks: {reason}", refused(store, 1, like))
    with pytest.raises(CheckpointError, match=f"no usable checkpoint: .*{reason}"):
        store.load_newest(like)


def test_what_stopped_a_publication_is_told_and_not_what_came_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a step that was not there before, nothing is put back; of one that is there already, neither."""
    store, real = store_of(1), Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if path.name.endswith(".tmp"):
            raise OSError(28, "No space left on device")
        return real(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(CheckpointError, match="No space left on device; the newest checkpoint is step-00000001"):
        store.save(2, weights_at(2), state_at(2))
    assert entries(store) == {"step-00000001"}
    with pytest.raises(CheckpointError, match="No space left on device"):
        store.save(1, weights_at(2), state_at(2))
    assert_whole(store.load_newest(LIKE), 1)

    def interrupt(path: Path, target: Path) -> Path:
        moved = real(path, target)
        if path.name.endswith(".tmp"):
            raise KeyboardInterrupt
        return moved

    monkeypatch.setattr(Path, "rename", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.save(1, weights_at(1), state_at(1))
    monkeypatch.setattr(Path, "rename", real)
    assert_whole(store.load_newest(LIKE), 1)
