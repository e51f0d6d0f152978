"""Reader of IDX files, the format of MNIST, plain or gzipped, with all content checked.

::

    0 0 8 3 | count | rows | columns | pixels ...     images; numbers are 32 bits, big-endian
    0 0 8 1 | count | labels ...                      labels
"""

from __future__ import annotations

import gzip
import math
import stat
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.errors import DataError

LARGEST = 1 << 30  # bytes of content; EMNIST has 0.6 GB
_CHUNK = 1 << 20
_MAGIC = {"images": 0x00000803, "labels": 0x00000801}


def read_idx(path: Path, kind: str) -> NDArray[np.uint8]:
    """Return "images" (count, rows, columns) or "labels" (count,); raise DataError if the file is damaged."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe could block forever
            raise DataError(f"{path}: cannot be read (not a regular file)")
        with path.open("rb") as plain:
            is_packed = plain.read(2) == b"\x1f\x8b"  # gzip is detected by content, not by name
            plain.seek(0)
            return _parse(gzip.GzipFile(fileobj=plain) if is_packed else plain, path, kind)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: damaged gzip file ({error})") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


def _parse(file: BinaryIO | gzip.GzipFile, path: Path, kind: str) -> NDArray[np.uint8]:
    shape = _read_header(file, path, kind)
    expected = math.prod(shape)
    size = f"{' x '.join(f'{length:,}' for length in shape)} = {expected:,} bytes"
    if not 0 < expected <= LARGEST:
        raise DataError(f"{path}: its header declares {size}, expected 1 to {LARGEST:,}")
    content = _read_up_to(file, expected + 1)  # one more, to detect excess data and verify gzip's checksum
    if len(content) != expected:
        found = f"the file has only {len(content):,}" if len(content) < expected else "the file has more"
        raise DataError(f"{path}: its header declares {size}, but {found}")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _read_header(file: BinaryIO | gzip.GzipFile, path: Path, kind: str) -> tuple[int, ...]:
    """Check the magic number; return the sizes declared by the header."""
    magic = _MAGIC[kind]
    wanted = f"expected {kind} (0x{magic:08x})"
    start = file.read(4)
    if len(start) < 4:
        raise DataError(f"{path}: holds {len(start)} bytes, {wanted}")
    found = int.from_bytes(start, "big")
    for other in _MAGIC.keys() - {kind}:
        if found == _MAGIC[other]:
            raise DataError(f"{path}: holds {other} (0x{found:08x}), {wanted}")
    if found != magic:
        raise DataError(f"{path}: is not an IDX file of bytes, it starts with 0x{found:08x}, {wanted}")
    dimensions = magic & 0xFF
    sizes = file.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise DataError(f"{path}: ends within its header of {4 + 4 * dimensions} bytes")
    shape: tuple[int, ...] = struct.unpack(f">{dimensions}I", sizes)
    return shape


def _read_up_to(file: BinaryIO | gzip.GzipFile, limit: int) -> bytearray:
    """Return at most ``limit`` of the remaining bytes; memory use depends on their number only."""
    content = bytearray()
    while len(content) < limit and (chunk := file.read(min(_CHUNK, limit - len(content)))):
        content += chunk
    return content
