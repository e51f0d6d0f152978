from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file

from ms_gan_callbacks.storage import tensors
from ms_gan_callbacks.storage.tensors import write_tensors


@pytest.fixture(params=[0o022, 0o027, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def get_mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_arrays_of_any_layout_come_back_with_their_facts() -> None:
    square = np.arange(6, dtype=np.float32).reshape(2, 3)
    write_tensors(Path("new.safetensors"), {"turned": square.T, "step": np.array(7, np.int32)}, {"by": "a test"})
    found = load_file("new.safetensors")
    assert found.keys() == {"turned", "step"}
    np.testing.assert_array_equal(found["turned"], [[0, 3], [1, 4], [2, 5]])
    assert (found["step"].shape, found["step"].dtype, int(found["step"])) == ((), np.int32, 7)
    with safe_open("new.safetensors", "numpy") as file:
        assert file.metadata() == {"by": "a test"}


def test_a_new_file_has_the_permissions_that_other_new_files_have(umask: int) -> None:
    write_tensors(Path("new.safetensors"), {"a": np.zeros(3)})
    Path("other").write_text("")
    assert get_mode(Path("new.safetensors")) == get_mode(Path("other")) == 0o666 & ~umask


def test_a_replaced_file_keeps_its_permissions() -> None:
    path = Path("old.safetensors")
    path.write_bytes(b"old")
    path.chmod(0o640)
    write_tensors(path, {"a": np.ones(3)})
    assert get_mode(path) == 0o640
    np.testing.assert_array_equal(load_file(path)["a"], [1, 1, 1])


def test_a_missing_folder_is_told_as_by_the_system() -> None:
    with pytest.raises(FileNotFoundError):
        write_tensors(Path("nowhere/new.safetensors"), {"a": np.zeros(3)})


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        ("Error while serializing: I/O error: no room (os error 28)", errno.ENOSPC, "No space left on device"),
        (
            "Error while serializing: IoError(Os { code: 5, kind: Other })",
            errno.EIO,
            "Input/output error",
        ),
        ("a message without a number", None, None),
    ],
    ids=["newer", "older", "other"],
)
def test_an_error_of_safetensors_becomes_that_of_the_system(
    message: str, code: int | None, reason: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise SafetensorError(message)

    monkeypatch.setattr(tensors, "save_file", fail)
    with pytest.raises(OSError) as caught:
        write_tensors(Path("new.safetensors"), {"a": np.zeros(3)})
    assert (caught.value.errno, caught.value.strerror) == (code, reason)
    assert reason or str(caught.value) == message
