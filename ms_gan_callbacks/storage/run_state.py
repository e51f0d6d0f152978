"""The state of a run, from the files in its directory; nothing is written."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from ms_gan_callbacks.errors import CheckpointError
from ms_gan_callbacks.storage.checkpoint_files import FILES, read_manifest
from ms_gan_callbacks.storage.checkpoints import CheckpointStore
from ms_gan_callbacks.storage.manifest import Manifest
from ms_gan_callbacks.storage.names import LOCK

STATES = ("running", "finished", "interrupted", "failed", "damaged")


def is_running(folder: Path) -> bool:
    """Return whether a process is training in a run directory."""
    path = folder / LOCK
    if not path.is_file():
        return False
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return True
    except OSError:
        return False  # a directory that cannot be written to cannot be trained in
    lock.release()
    return False


def find_damage(folder: Path) -> str:
    """Describe the damage of the newest checkpoint of a run; an empty string if there is none.

    Its files are compared with the sizes in its manifest, but not read.
    """
    store = CheckpointStore(folder / "checkpoints")
    try:
        steps = store.list_steps()
        if not steps:
            return ""
        path = store.get_path(steps[-1])
        files = read_manifest(path, steps[-1])["files"]
        for name in FILES:
            size = (path / name).stat().st_size
            if size != files[name].get("bytes"):
                return f"{path} is damaged: {name} has {size} bytes instead of {files[name].get('bytes')}"
    except CheckpointError as error:
        return str(error)
    except (OSError, AttributeError) as error:
        return f"{path} is damaged: {error}"
    return ""


def find_end(manifest: Manifest, step: int, complete: bool) -> tuple[str, str]:
    """Return how the training of a run that is not running has ended, and the reason or an empty string.

    Args:
        manifest: its ``run.json``.
        step: the last step that is known.
        complete: whether that is the last step of its last epoch.
    """
    starts = [entry.resumed for entry in manifest.history if entry.resumed]
    last = manifest.timings[-1] if manifest.timings else None
    if last is not None and last.ended and (not starts or (last.at or "") >= starts[-1]):
        return last.ended, last.reason or ""
    return ("finished", "") if complete else ("interrupted", f"killed at step {step:,} or later")
