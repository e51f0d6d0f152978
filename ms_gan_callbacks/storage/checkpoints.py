"""Checkpoints on disk: one directory per step, written atomically and verified by sha256.

::

    checkpoints/step-00000468/
        weights.safetensors   both networks and both optimizers
        state.json            progress, epoch means, metrics, callback states, retained checkpoints by owner
        manifest.json         format, step, sha256 and size of the two files; written last
    checkpoints/set-aside/    checkpoints after the step of a resume, or damaged; never read
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors

from ms_gan_callbacks.errors import CheckpointError, warn
from ms_gan_callbacks.storage.checkpoint_files import (
    FILES,
    FORMAT,
    check_like,
    read_checked,
    read_manifest,
)
from ms_gan_callbacks.storage.files import (
    convert_errors,
    hash_file,
    list_folder,
    make_draft_path,
    sync_file,
    sync_folder,
    to_json,
    write_durably,
)
from ms_gan_callbacks.storage.tensors import Arrays, write_tensors

# Temporary directories left by a killed process, also of older versions of this package.
_LEFTOVER = re.compile(r"\.(?P<step>step-[0-9]{8,})\.[0-9]+\.(ms-gan\.)?(?P<kind>tmp|old|gone)")


@dataclass(frozen=True)
class Checkpoint:
    """The verified content of a checkpoint."""

    step: int
    path: Path
    weights: dict[str, NDArray[Any]]
    state: dict[str, Any]


class CheckpointStore:
    """Writes and reads checkpoints; a kill or a full disk at any time leaves the existing ones intact.

    All methods raise CheckpointError if the disk cannot be read or written.

    Args:
        folder: directory of the checkpoints; created when the first one is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def list_steps(self) -> list[int]:
        """Return the steps that have a directory, oldest first, including damaged ones."""
        with convert_errors(CheckpointError, f"read {self.folder}"):
            names = [path.name for path in self._list_entries() if path.name.startswith("step-") and path.is_dir()]
        numbers = [int(name[5:]) for name in names if name[5:].isdecimal()]
        return sorted(step for step in set(numbers) if self.get_path(step).name in names)

    def _list_entries(self) -> list[Path]:
        try:
            return list_folder(self.folder)
        except FileNotFoundError:
            return []  # no checkpoint has been written yet

    def get_path(self, step: int) -> Path:
        """Return the directory of a step's checkpoint, which may not exist."""
        return self.folder / f"step-{step:08d}"

    def save(self, step: int, weights: Arrays, state: Mapping[str, Any]) -> Path:
        """Write a checkpoint, flush it to disk and return its directory."""
        final = self.get_path(step)
        draft = make_draft_path(final)
        older = [self.get_path(other).name for other in self.list_steps() if other < step]
        rest = f"the newest checkpoint is {older[-1]}" if older else "there is no earlier checkpoint"
        with convert_errors(CheckpointError, f"save a checkpoint at step {step}", rest):
            _discard(draft)  # left by a killed process with the same id
            try:
                draft.mkdir(parents=True)
                _write_files(draft, step, weights, state)
                self._publish(draft, final)
            except BaseException:
                _discard(draft)
                raise
        return final

    def _publish(self, draft: Path, final: Path) -> None:
        old = make_draft_path(final, "old")
        try:
            if final.exists():
                if not _has_only_own_files(final):
                    self._set_aside(final)
                else:
                    _discard(old)
                    final.rename(old)
            draft.rename(final)
        except BaseException:
            if old.exists() and not final.exists():
                old.rename(final)
            raise
        sync_folder(self.folder)
        _discard(old)

    def load(self, step: int, like: Arrays) -> Checkpoint:
        """Read a checkpoint and verify it; its names, shapes and types of parameters must be those of ``like``.

        Raises:
            CheckpointError: it is missing, damaged, from a newer version, or of other networks.
        """
        path = self.get_path(step)
        manifest = read_manifest(path, step)
        contents = {name: read_checked(path / name, manifest["files"].get(name)) for name in FILES}
        try:
            weights = load_tensors(contents["weights.safetensors"])
            state = json.loads(contents["state.json"])
        except (SafetensorError, ValueError) as error:
            raise CheckpointError(f"{path} cannot be read: {error}") from error
        check_like(path, weights, like)
        return Checkpoint(step, path, weights, state)

    def load_newest(
        self,
        like: Arrays,
        *,
        until: float = math.inf,
        where: Callable[[Checkpoint], bool] = lambda found: True,
        repair: bool = True,
    ) -> Checkpoint | None:
        """Return the newest intact checkpoint that meets the conditions; None if there is none.

        Args:
            like: parameters with the expected names, shapes and types.
            until: the last step to consider.
            where: a condition on the content of a checkpoint.
            repair: call :meth:`repair` first; not allowed while another process trains in the run directory.

        Raises:
            CheckpointError: all candidates are damaged or incompatible.

        Warns:
            GanWarning: a newer checkpoint is damaged; the message describes the damage.
        """
        if repair:
            self.repair()
        wrong = []
        for step in [step for step in reversed(self.list_steps()) if step <= until]:
            try:
                found = self.load(step, like)
            except CheckpointError as error:
                wrong.append(str(error))
                continue
            if not where(found):
                continue
            for reason in wrong:
                warn(f"{reason}; using {self.get_path(step).name} instead")
            return found
        if wrong:
            raise CheckpointError("no usable checkpoint: " + "; ".join(wrong))
        return None

    def prune(self, wanted: Iterable[int]) -> None:
        """Remove all checkpoints except those of the steps in ``wanted`` and the newest.

        Directories that contain other files are not removed.
        """
        steps = self.list_steps()
        for step in set(steps[:-1]) - set(wanted):
            # Renamed first, so that a kill during the removal does not leave a partial checkpoint.
            gone = make_draft_path(self.get_path(step), "gone")
            _discard(gone)
            with convert_errors(CheckpointError, f"remove {self.get_path(step)}"):
                if not _has_only_own_files(self.get_path(step)):
                    continue
                self.get_path(step).rename(gone)
            _discard(gone)

    def repair(self) -> None:
        """Restore the old checkpoint of a step whose replacement was interrupted by a kill.

        Only the process that holds the lock of the run may call this, since another one may be replacing it now.
        """
        with convert_errors(CheckpointError, f"read {self.folder}"):
            found = [(path, _LEFTOVER.fullmatch(path.name)) for path in self._list_entries()]
            for old, words in found:
                if words and words["kind"] == "old" and not (self.folder / words["step"]).exists():
                    old.rename(self.folder / words["step"])

    def go_back_to(self, step: int) -> None:
        """Move checkpoints after a step to ``set-aside/``; remove temporary directories of killed processes."""
        self.repair()
        with convert_errors(CheckpointError, f"read {self.folder}"):
            leftovers = [path for path in self._list_entries() if _LEFTOVER.fullmatch(path.name)]
        for leftover in leftovers:
            _discard(leftover)
        for later in self.list_steps():
            if later > step:
                self._set_aside(self.get_path(later))

    def _set_aside(self, path: Path) -> None:
        """Move a directory to ``set-aside/``, with a number in its name if the name exists there."""
        aside = self.folder / "set-aside"
        with convert_errors(CheckpointError, f"move {path} to {aside}"):
            aside.mkdir(exist_ok=True)
            names = (f"{path.name}{'' if number == 1 else f'-{number}'}" for number in count(1))
            path.rename(next(free for name in names if not os.path.lexists(free := aside / name)))


def _has_only_own_files(path: Path) -> bool:
    """Return whether a directory contains only the files of a checkpoint."""
    return not path.is_symlink() and {entry.name for entry in list_folder(path)} <= {*FILES, "manifest.json"}


def _discard(path: Path) -> None:
    with suppress(OSError):  # rmtree can raise despite ignore_errors, when it closes a directory
        shutil.rmtree(path, ignore_errors=True)


def _write_files(draft: Path, step: int, weights: Arrays, state: Mapping[str, Any]) -> None:
    weights_file, state_file = paths = [draft / name for name in FILES]
    write_tensors(weights_file, weights)
    with ThreadPoolExecutor(1) as pool:  # hash while the disk writes; both release Python's lock
        digest = pool.submit(hash_file, weights_file)
        sync_file(weights_file)
        write_durably(state_file, to_json(state))
        hashes = (digest.result(), hash_file(state_file))
    files = {
        path.name: {"sha256": sha256, "bytes": path.stat().st_size}
        for path, sha256 in zip(paths, hashes, strict=True)
    }
    write_durably(draft / "manifest.json", to_json({"format": FORMAT, "step": step, "files": files}))
    sync_folder(draft)
