"""Reading and validating the files of a checkpoint."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from ms_gan_callbacks.errors import CheckpointError
from ms_gan_callbacks.storage.tensors import Arrays

FORMAT = 1
FILES = ("weights.safetensors", "state.json")


def read_manifest(path: Path, step: int) -> dict[str, Any]:
    """Return the manifest of a step's checkpoint.

    Raises:
        CheckpointError: it is missing, damaged, or of another format or step.
    """
    if not path.is_dir():
        raise CheckpointError(f"there is no checkpoint {path}")
    try:
        manifest = json.loads((path / "manifest.json").read_bytes())
        version, of_step, files = manifest["format"], manifest["step"], manifest["files"]
        names = files.keys()
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is damaged: it has no manifest.json") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: manifest.json cannot be read") from error
    if version != FORMAT or isinstance(version, bool):
        newer = isinstance(version, int) and version > FORMAT
        why = "was written by a newer version of ms-gan-callbacks" if newer else "has an unknown format"
        raise CheckpointError(f"{path} {why} (format {version!r}, supported: {FORMAT})")
    if of_step != step or not set(FILES) <= set(names):
        raise CheckpointError(f"{path} is damaged: its manifest belongs to another checkpoint")
    return dict(manifest)


def read_checked(path: Path, entry: Any) -> bytes:
    """Return a file's content after checking its size and sha256 against the manifest entry.

    Raises:
        CheckpointError: the file cannot be read or does not match.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path.parent} is damaged: {path.name}: {error.strerror or error}") from error
    size = entry.get("bytes") if isinstance(entry, dict) else None
    if len(content) != size:
        raise CheckpointError(f"{path.parent} is damaged: {path.name} has {len(content)} bytes instead of {size}")
    if hashlib.sha256(content).hexdigest() != entry.get("sha256"):
        raise CheckpointError(f"{path.parent} is damaged: the sha256 of {path.name} differs")
    return content


def check_like(path: Path, weights: Arrays, like: Arrays) -> None:
    """Check that weights have the names, shapes and types of ``like``.

    Raises:
        CheckpointError: they differ.
    """
    for name in [*(name for name in like if name not in weights), *(name for name in weights if name not in like)]:
        has, lacks = ("the run", "the checkpoint") if name in like else ("the checkpoint", "the run")
        raise CheckpointError(f"{path} is of other networks: {has} has {name!r}, {lacks} does not")
    for name, array in like.items():
        found = weights[name]
        if (found.shape, found.dtype) != (array.shape, array.dtype):
            raise CheckpointError(
                f"{path} is of other networks: {name} is {found.dtype} {found.shape}, "
                f"the run's is {array.dtype} {array.shape}"
            )
