"""Keep the tests apart from the machine's own MNIST, cache and proxies; hand out small IDX files."""

from __future__ import annotations

import gzip
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import platformdirs
import pytest

WHOLE = os.environ.get("MS_GAN_DATA", "")
needs_whole = pytest.mark.skipif(not WHOLE, reason="MS_GAN_DATA names no folder with all of MNIST")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No data of the machine's, an empty cache, no network unless a test opens it."""
    monkeypatch.delenv("MS_GAN_DATA", raising=False)
    monkeypatch.setenv("MS_GAN_OFFLINE", "1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def cache(alone: None) -> Path:
    """Where a downloaded MNIST is kept; not yet there."""
    folder = Path(platformdirs.user_cache_dir("ms_gan_callbacks", appauthor=False)) / "mnist"
    assert not folder.exists()
    return folder


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
