"""Arrays in files in the safetensors format."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import save_file

Arrays = Mapping[str, NDArray[Any]]
"""Arrays by name."""


def write_tensors(path: Path, arrays: Arrays, facts: Mapping[str, str] | None = None) -> None:
    """Write arrays to a file in the safetensors format, without a copy of them in memory.

    Args:
        path: the file; replaced if it exists.
        arrays: any number of arrays by name.
        facts: metadata of the file.

    Raises:
        OSError: the file cannot be written.
    """
    path.touch()  # safetensors makes files that only their owner can read
    mode = path.stat().st_mode
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    try:
        save_file(contiguous, path, None if facts is None else dict(facts))
    except SafetensorError as error:
        raise _convert_error(error) from error
    path.chmod(mode)


def _convert_error(error: SafetensorError) -> OSError:
    """Return the error of the operating system, whose number is in the message.

    Messages are "I/O error: No space left on device (os error 28)", or "IoError(Os { code: 28, ... })" in older
    versions of safetensors.
    """
    number = re.search(r"(?:os error|code:) (\d+)", str(error))
    return OSError(int(number[1]), os.strerror(int(number[1]))) if number else OSError(str(error))
