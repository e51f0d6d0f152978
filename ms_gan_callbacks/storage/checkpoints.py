"""Checkpoints on disk: a directory for each step, there whole or not at all, never trusted without its hashes.

::

    checkpoints/step-00000468/
        weights.safetensors   both networks and both optimizers
        state.json            progress, epoch means, metrics, callback states, who wants which checkpoint
        manifest.json         format, step, sha256 and size of the two files; written last
    checkpoints/set-aside/    what a resume went back behind, or found damaged; nothing reads it
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from ms_gan_callbacks.errors import CheckpointError, warn
from ms_gan_callbacks.storage.checkpoint_files import (
    FILES,
    FORMAT,
    Arrays,
    check_like,
    read_checked,
    read_manifest,
)
from ms_gan_callbacks.storage.files import draft_of, list_folder, sync_folder, to_json, write_durably

# What a kill leaves of a checkpoint, by older versions of this package, too.
_LEFTOVER = re.compile(r"\.(?P<step>step-[0-9]{8,})\.[0-9]+\.(ms-gan\.)?(?P<kind>tmp|old|gone)")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that has been read and found whole."""

    step: int
    weights: dict[str, NDArray[Any]]
    state: dict[str, Any]


class CheckpointStore:
    """Writes checkpoints so that a kill or a full disk at any instant leaves the older ones as they were.

    Args:
        folder: where the step directories live; made when the first one is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def steps(self) -> list[int]:
        """Return the steps that have a directory, oldest first, damaged ones included."""
        with _told(f"look into {self.folder}"):
            names = [path.name for path in self._entries() if path.name.startswith("step-") and path.is_dir()]
        numbers = [int(name[5:]) for name in names if name[5:].isdecimal()]
        return sorted(step for step in set(numbers) if self.path(step).name in names)

    def _entries(self) -> list[Path]:
        try:
            return list_folder(self.folder)
        except FileNotFoundError:
            return []  # no checkpoint has been written yet

    def path(self, step: int) -> Path:
        """Return the directory of a step's checkpoint, whether it exists or not."""
        return self.folder / f"step-{step:08d}"

    def save(self, step: int, weights: Arrays, state: Mapping[str, Any]) -> Path:
        """Write a checkpoint; return its directory once the disk has it.

        Raises:
            CheckpointError: the disk refuses; what was there before is untouched.
        """
        final = self.path(step)
        draft = draft_of(final)
        older = [self.path(other).name for other in self.steps() if other < step]
        rest = f"the newest before it is {older[-1]}" if older else "there is none before it"
        with _told(f"save a checkpoint at step {step}", rest):
            _discard(draft)  # of a killed process that had the same id
            try:
                draft.mkdir(parents=True)
                _fill(draft, step, weights, state)
                self._publish(draft, final)
            except BaseException:
                _discard(draft)
                raise
        return final

    def _publish(self, draft: Path, final: Path) -> None:
        old = draft_of(final, "old")
        try:
            if final.exists():
                if not _is_ours(final):
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
        """Read a checkpoint, trusting nothing.

        Args:
            step: which.
            like: parameters of the names, shapes and types that the run has.

        Raises:
            CheckpointError: it is not there, damaged, from a newer version, or of other networks.
        """
        path = self.path(step)
        manifest = read_manifest(path, step)
        contents = {name: read_checked(path / name, manifest["files"].get(name)) for name in FILES}
        try:
            weights = load_tensors(contents["weights.safetensors"])
            state = json.loads(contents["state.json"])
        except (SafetensorError, ValueError) as error:
            raise CheckpointError(f"{path} cannot be read: {error}") from error
        check_like(path, weights, like)
        return Checkpoint(step, weights, state)

    def newest(
        self,
        like: Arrays,
        *,
        until: float = math.inf,
        where: Callable[[Checkpoint], bool] = lambda found: True,
        repair: bool = True,
    ) -> Checkpoint | None:
        """Return the newest checkpoint that is whole and as wanted; None where no checkpoint is wanted.

        Args:
            like: parameters of the names, shapes and types that the run has.
            until: the last step that is wanted.
            where: whether a checkpoint is wanted, once it has been read.
            repair: whether to :meth:`repair` first; not while another process may be training in the folder.

        Raises:
            CheckpointError: there are checkpoints that may be wanted, and none can be used.

        Warns:
            GanWarning: a newer one is damaged; says what is wrong with it.
        """
        if repair:
            self.repair()
        wrong = []
        for step in [step for step in reversed(self.steps()) if step <= until]:
            try:
                found = self.load(step, like)
            except CheckpointError as error:
                wrong.append(str(error))
                continue
            if not where(found):
                continue
            for reason in wrong:
                warn(f"{reason}; going back to {self.path(step).name}")
            return found
        if wrong:
            raise CheckpointError("no checkpoint can be used: " + "; ".join(wrong))
        return None

    def prune(self, wanted: Iterable[int]) -> None:
        """Remove the checkpoints that nobody wants; the newest always stays.

        So does a directory that holds anything beside a checkpoint's own files.

        Raises:
            CheckpointError: the disk refuses; no checkpoint is damaged.
        """
        steps = self.steps()
        for step in set(steps[:-1]) - set(wanted):
            # Out of sight first: a kill in the middle of a removal must not leave half a checkpoint.
            gone = draft_of(self.path(step), "gone")
            _discard(gone)
            with _told(f"remove {self.path(step)}"):
                if not _is_ours(self.path(step)):
                    continue
                self.path(step).rename(gone)
            _discard(gone)

    def repair(self) -> None:
        """Undo a replacement that a kill cut short: the old checkpoint of that step is still out of its place.

        Only the process that holds the run may call this: another one may be replacing a checkpoint just now.

        Raises:
            CheckpointError: the disk refuses; no checkpoint is damaged.
        """
        with _told(f"look into {self.folder}"):
            found = [(path, _LEFTOVER.fullmatch(path.name)) for path in self._entries()]
            for old, words in found:
                if words and words["kind"] == "old" and not (self.folder / words["step"]).exists():
                    old.rename(self.folder / words["step"])

    def go_back_to(self, step: int) -> None:
        """Set aside every checkpoint after a step, and remove what a killed process left behind.

        Raises:
            CheckpointError: the disk refuses; no checkpoint is damaged.
        """
        self.repair()
        with _told(f"look into {self.folder}"):
            leftovers = [path for path in self._entries() if _LEFTOVER.fullmatch(path.name)]
        for leftover in leftovers:
            _discard(leftover)
        for later in self.steps():
            if later > step:
                self._set_aside(self.path(later))

    def _set_aside(self, path: Path) -> None:
        """Move a directory to ``set-aside/``, under a name of its own where one of that name lies there."""
        aside = self.folder / "set-aside"
        with _told(f"set {path} aside"):
            aside.mkdir(exist_ok=True)
            names = (f"{path.name}{'' if number == 1 else f'-{number}'}" for number in count(1))
            path.rename(next(free for name in names if not os.path.lexists(free := aside / name)))


@contextmanager
def _told(what: str, rest: str = "") -> Iterator[None]:
    """Say in one line what the disk refuses."""
    try:
        yield
    except OSError as error:
        reason = f"cannot {what}: {error.strerror or error}"
        raise CheckpointError(f"{reason}; {rest}" if rest else reason) from error


def _is_ours(path: Path) -> bool:
    """Whether a directory holds nothing but a checkpoint's own files."""
    return not path.is_symlink() and {entry.name for entry in list_folder(path)} <= {*FILES, "manifest.json"}


def _discard(path: Path) -> None:
    with suppress(OSError):  # which rmtree may raise nevertheless, when it closes a folder
        shutil.rmtree(path, ignore_errors=True)


def _fill(draft: Path, step: int, weights: Arrays, state: Mapping[str, Any]) -> None:
    contiguous = {name: np.asarray(array, order="C") for name, array in weights.items()}
    contents = dict(zip(FILES, (save_tensors(contiguous), to_json(state)), strict=True))
    manifest: dict[str, Any] = {"format": FORMAT, "step": step, "files": {}}
    for name, content in contents.items():
        write_durably(draft / name, content)
        manifest["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    write_durably(draft / "manifest.json", to_json(manifest))
    sync_folder(draft)
