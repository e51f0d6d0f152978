"""Writes the generator of a run to a file, which is read back and compared before it is left on the disk."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.errors import GanError, UsageError, extract_message, warn
from ms_gan_callbacks.results.export.mindir import load_mindir, write_mindir
from ms_gan_callbacks.results.export.ports import Port
from ms_gan_callbacks.results.export.subject import Subject
from ms_gan_callbacks.results.inference import Trained

BATCHES = (1, 7, 64)
"""Batch sizes at which a file is compared with the generator."""
TOLERANCE = 1e-5
"""Largest difference of images in [-1, 1]."""
FORMATS = {".mindir": "MindSpore", ".onnx": "onnxruntime", ".safetensors": "PyTorch"}
"""The program that a file is read back with, by suffix."""
TANH_ERROR = 1.1e-4
"""Largest error of tanh on a CPU in MindSpore."""
NEEDS: dict[str, tuple[str, ...]] = {
    ".mindir": (),
    ".onnx": ("onnx", "onnxruntime"),
    ".safetensors": ("onnx", "torch"),
}
"""Packages that each format needs, by suffix."""


@dataclass(frozen=True)
class ExportedFile:
    """A file that has been compared with the generator.

    Attributes:
        content: its content.
        listing: the source of a PyTorch module that loads it, or None.
        inputs: its inputs.
        output: its output.
        averaged: whether the weights are a moving average.
        difference: the largest difference from the generator, for images in [-1, 1].
    """

    content: bytes
    listing: bytes | None
    inputs: tuple[Port, ...]
    output: Port
    averaged: bool
    difference: float


def check_packages(ending: str) -> None:
    """Raise UsageError if a package that a format needs is not installed."""
    for package in NEEDS[ending]:
        if importlib.util.find_spec(package) is None:
            extra = {".onnx": "onnx", ".safetensors": "torch"}[ending]
            raise UsageError(f"{ending} requires the package {package}: pip install 'ms-gan-callbacks[{extra}]'")


def export(trained: Trained, name: str, network: str | None = None, uint8: bool = False) -> ExportedFile:
    """Return the content of a file with the generator of a run, compared with it at batches of 1, 7 and 64.

    Args:
        trained: the run. Networks that have a moving average are replaced by it.
        name: name of the file, ending in .mindir, .onnx or .safetensors.
        network: a network of a game that is exported alone.
        uint8: whether images are uint8 in the file, instead of floats in [-1, 1].

    Raises:
        UsageError: a package is missing, or the generator cannot be exported to this format.
        GanError: the file makes other images than the generator.

    Warns:
        GanWarning: images differ by more than 1e-5 because of MindSpore's tanh.
    """
    ending = Path(name).suffix.lower()
    check_packages(ending)
    subject = Subject(trained, network, uint8)
    facts = {
        "recipe": Path(trained.manifest.recipe or "").name,  # without folders of this machine
        "step": str(trained.step),
        "weights": "moving average" if subject.averaged else "newest",
        "recipe_sha256": trained.manifest.recipe_sha256 or "",
        "written_by": "ms-gan export",
    }
    with tempfile.TemporaryDirectory(prefix="ms-gan-") as folder:
        path = Path(folder, name)
        try:
            return _write(subject, path, facts)
        except GanError:
            raise
        except OSError as error:
            raise GanError(f"cannot write to {folder}: {error.strerror or error}") from error
        except Exception as error:  # of three frameworks
            raise UsageError(f"the generator cannot be exported to {ending}: {extract_message(error)}") from error


def _write(subject: Subject, path: Path, facts: Mapping[str, str]) -> ExportedFile:
    ending = path.suffix.lower()
    if ending == ".mindir":
        inputs = write_mindir(subject, path, facts)
        run, expected = load_mindir(path, inputs), subject.images
    else:
        from ms_gan_callbacks.results.export import onnx_file, weights_file

        write = onnx_file.write_onnx if ending == ".onnx" else weights_file.write_weights
        load = onnx_file.load_onnx if ending == ".onnx" else weights_file.load_weights
        inputs, expected = write(subject, path, facts), subject.compute_exactly()
        run = load(path, inputs)
    content, listing = path.read_bytes(), path.with_suffix(".py")
    differences = {}
    for count in BATCHES:
        images = run({name: rows[:count] for name, rows in subject.arrays.items()})
        differences[count] = measure_difference(images, expected[:count])
    source = listing.read_bytes() if listing.exists() else None
    _check(differences, ending, b"Tanh" in content or b".tanh()" in (source or b""))
    return ExportedFile(content, source, inputs, subject.output, subject.averaged, max(differences.values()))


def measure_difference(images: NDArray[Any], expected: NDArray[Any]) -> float:
    """Return the largest difference of images in [-1, 1]; of uint8 images, that beyond rounding."""
    if images.shape != expected.shape:
        return float("inf")
    if images.dtype != np.uint8:
        return float(np.abs(images - expected).max())
    scaled = (np.clip(expected.astype(np.float64), -1, 1) + 1) * 127.5
    return float(max(np.abs(images - scaled).max() - 0.5, 0) / 127.5)


def _check(differences: Mapping[int, float], ending: str, has_tanh: bool) -> None:
    """Raise GanError if a difference is too large; differences are given by the batch size."""
    worst = max(differences, key=lambda count: differences[count])
    difference = differences[worst]
    if difference <= TOLERANCE:
        return
    if has_tanh and difference <= TANH_ERROR:
        warn(f"images differ by {difference:.1e}: tanh of MindSpore is wrong by up to 1e-4 on a CPU")
        return
    reason = f"images of the {ending} file differ by {difference:.1e} from the run's, at a batch of {worst}"
    if differences[max(BATCHES)] <= TOLERANCE:
        reason += "; in this generator, an image depends on the others of its batch"
    raise GanError(f"the generator cannot be exported: {reason}")
