"""Small IDX files for the tests of data, and a home folder of their own."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every test has a home folder of its own."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def idx_bytes(array: np.ndarray) -> bytes:
    """The IDX file of a uint8 array, written from the format's description."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def digits() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    return rng.integers(0, 256, (40, 28, 28), np.uint8), rng.integers(0, 10, 40, np.uint8)


@pytest.fixture
def save(digits: tuple[np.ndarray, np.ndarray]) -> Callable[..., Path]:
    """Write a folder of MNIST's layout; what is not given comes from ``digits``."""

    def write(
        folder: Path,
        *,
        images: np.ndarray | None = None,
        labels: np.ndarray | None = None,
        split: str = "train",
        dot: str = "-",
        gz: bool = False,
    ) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        files = {
            f"{split}-images{dot}idx3-ubyte": digits[0] if images is None else images,
            f"{split}-labels{dot}idx1-ubyte": digits[1] if labels is None else labels,
        }
        for name, array in files.items():
            content = idx_bytes(array)
            (folder / (name + ".gz" * gz)).write_bytes(gzip.compress(content) if gz else content)
        return folder

    return write


def one_line(error: pytest.ExceptionInfo[BaseException]) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert text.strip() == text != ""
    return text
