"""IDX files: what is right is read, and what is wrong is named."""

from __future__ import annotations

import gzip
import os
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ms_gan_callbacks.data.idx import LARGEST, read_idx
from ms_gan_callbacks.errors import DataError

from .conftest import idx_bytes, one_line

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
GOOD = idx_bytes(IMAGES)
PACKED = gzip.compress(GOOD, mtime=0)
LABELS = idx_bytes(np.array([1, 2], np.uint8))


def header(*sizes: int, magic: int = 0x803) -> bytes:
    return struct.pack(f">{1 + len(sizes)}I", magic, *sizes)


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(array=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=3, max_dims=3)), packed=st.booleans())
def test_images_come_back_as_written(tmp_path: Path, array: np.ndarray, packed: bool) -> None:
    path = tmp_path / "any-name"
    path.write_bytes(gzip.compress(idx_bytes(array)) if packed else idx_bytes(array))
    assert np.array_equal(read_idx(path, "images"), array)


def test_labels_come_back_as_written(tmp_path: Path) -> None:
    (tmp_path / "labels").write_bytes(LABELS)
    assert read_idx(tmp_path / "labels", "labels").tolist() == [1, 2]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", r"holds 0 bytes, expected images \(0x00000803\)"),
        (GOOD[:3], "holds 3 bytes"),
        (GOOD[:4], "ends within its header of 16 bytes"),
        (GOOD[:15], "ends within its header"),
        (GOOD[:16], "declares 2 x 3 x 4 = 24 bytes, but the file has only 0"),
        (GOOD[:-1], "declares 2 x 3 x 4 = 24 bytes, but the file has only 23"),
        (GOOD + b"x", "declares 2 x 3 x 4 = 24 bytes, but the file has more"),
        (LABELS, r"holds labels \(0x00000801\), expected images \(0x00000803\)"),
        (b"<!DOCTYPE html><html>", "not an IDX file of bytes, it starts with 0x3c21444f"),
        (header(2, 3, 4, magic=0x0D03) + bytes(96), "starts with 0x00000d03"),  # floats
        (header(2, 3, 4, magic=0x03080000) + bytes(24), "starts with 0x03080000"),  # little-endian
        (header(0, 3, 4), "declares 0 x 3 x 4 = 0 bytes, expected 1 to"),
        (header(2, 0, 4), "declares 2 x 0 x 4 = 0 bytes"),
        (
            header(2**32 - 1, 2**32 - 1, 2**32 - 1) + bytes(9),
            "declares 4,294,967,295 x .*, expected 1 to 1,073,741,824",
        ),
        (header(2**30, 1, 1) + bytes(9), "1,073,741,824 bytes, but the file has only 9"),
        (PACKED[:-1], "damaged gzip file"),
        (PACKED[:12], "damaged gzip file"),
        (PACKED[:2], "damaged gzip file"),
        (PACKED[:-8] + b"\0\0\0\0" + PACKED[-4:], "damaged gzip file .*CRC"),
        (PACKED + b"garbage", "damaged gzip file"),
        (PACKED[:10] + b"\xff" * 20, "damaged gzip file"),
        (gzip.compress(GOOD[:-1], mtime=0), "the file has only 23"),
        (gzip.compress(GOOD + b"x", mtime=0), "the file has more"),
        (gzip.compress(LABELS, mtime=0), "holds labels"),
        (gzip.compress(b"", mtime=0), "holds 0 bytes"),
        (gzip.compress(PACKED, mtime=0), "not an IDX file of bytes, it starts with 0x1f8b"),
    ],
)
def test_a_wrong_file_is_named_with_what_was_found(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "some-images"
    path.write_bytes(content)
    with pytest.raises(DataError, match=told) as error:
        read_idx(path, "images")
    assert one_line(error).startswith(f"{path}: ")


def test_images_are_no_labels(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(GOOD)
    with pytest.raises(DataError, match=r"holds images \(0x00000803\), expected labels \(0x00000801\)"):
        read_idx(tmp_path / "file", "labels")


@pytest.mark.parametrize("name", ["absent", "."])
def test_what_cannot_be_opened_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="cannot be read") as error:
        read_idx(tmp_path / name, "images")
    one_line(error)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), packed=st.booleans())
def test_any_damage_is_a_data_error_or_an_array(tmp_path: Path, data: st.DataObject, packed: bool) -> None:
    content = bytearray(PACKED if packed else GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "file").write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        array = read_idx(tmp_path / "file", "images")
    except DataError:
        return
    assert array.dtype == np.uint8 and array.ndim == 3


def bomb(start: bytes, mebibytes: int) -> bytes:
    """A small gzip file of ``start`` and very many zeros."""
    packer = zlib.compressobj(wbits=31)
    pieces = [packer.compress(start)] + [packer.compress(bytes(1 << 20)) for _ in range(mebibytes)]
    return b"".join(pieces) + packer.flush()


def peak_of(action: object) -> int:
    tracemalloc.start()
    try:
        action()  # type: ignore[operator]
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_bomb_is_left_once_it_exceeds_its_promise(tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(bomb(GOOD, 100))

    def read() -> None:
        with pytest.raises(DataError, match="24 bytes, but the file has more"):
            read_idx(path, "images")

    assert peak_of(read) < 10 << 20


def test_a_promise_of_a_gibibyte_takes_no_memory(tmp_path: Path) -> None:
    (tmp_path / "liar").write_bytes(header(LARGEST, 1, 1) + bytes(100))

    def read() -> None:
        with pytest.raises(DataError, match="the file has only 100"):
            read_idx(tmp_path / "liar", "images")

    assert peak_of(read) < 10 << 20


@pytest.mark.parametrize("name", ["pipe", "link"])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    with pytest.raises(DataError, match=r"cannot be read \(not a regular file\)") as error:
        read_idx(tmp_path / name, "images")
    one_line(error)
