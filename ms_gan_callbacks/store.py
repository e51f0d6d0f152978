"""Checkpoints on disk: a directory for each step, there whole or not at all.

::

    checkpoints/step-00000468/
        weights.safetensors   both networks and both optimizers
        state.json            progress, metrics, callback states
        manifest.json         format, step, sha256 and size of the two files; written last
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from ms_gan_callbacks.files import sync_folder, to_json, write_durably

FORMAT = 1


class CheckpointStore:
    """Writes checkpoints so that a kill or a full disk at any instant leaves the older ones as they were.

    Args:
        folder: where the step directories live; made when the first one is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def steps(self) -> list[int]:
        """Return the steps that have a checkpoint, oldest first."""
        names = (path.name for path in self.folder.glob("step-*") if (path / "manifest.json").is_file())
        return sorted(int(name[5:]) for name in names if name[5:].isdigit())

    def path(self, step: int) -> Path:
        """Return the directory of a step's checkpoint, whether it exists or not."""
        return self.folder / f"step-{step:08d}"

    def save(self, step: int, weights: Mapping[str, NDArray[Any]], state: Mapping[str, Any]) -> Path:
        """Write a checkpoint; return its directory once the disk has it.

        Raises:
            OSError: the disk refuses; what was there before is untouched.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        final = self.path(step)
        draft = self.folder / f".{final.name}.{os.getpid()}.tmp"
        try:
            draft.mkdir()
            self._fill(draft, step, weights, state)
            if final.exists():
                shutil.rmtree(final)
            draft.rename(final)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        sync_folder(self.folder)
        return final

    def _fill(self, draft: Path, step: int, weights: Mapping[str, NDArray[Any]], state: Mapping[str, Any]) -> None:
        contiguous = {name: np.ascontiguousarray(array) for name, array in weights.items()}
        files = {"weights.safetensors": save(contiguous), "state.json": to_json(state)}
        manifest: dict[str, Any] = {"format": FORMAT, "step": step, "files": {}}
        for name, content in files.items():
            write_durably(draft / name, content)
            digest = hashlib.sha256(content).hexdigest()
            manifest["files"][name] = {"sha256": digest, "bytes": len(content)}
        write_durably(draft / "manifest.json", to_json(manifest))
        sync_folder(draft)

    def prune(self, keep: int | None) -> None:
        """Remove all but the newest ``keep`` checkpoints; None keeps all, and the newest always stays."""
        if keep is None:
            return
        for step in self.steps()[: -max(keep, 1)]:
            shutil.rmtree(self.path(step))
