"""MetricsLog: writes scalars to ``metrics.jsonl``, one JSON object per line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from io import TextIOBase
from typing import Any

from ms_gan_callbacks.events.callback import Writer
from ms_gan_callbacks.events.events import Every
from ms_gan_callbacks.events.run import Run
from ms_gan_callbacks.storage.files import replace_file
from ms_gan_callbacks.storage.names import LOG


class MetricsLog(Writer):
    """Writes scalars on a schedule, values logged by callbacks, and epoch means; attached to every run.

    A line is ``{"step": 50, "epoch": 1, "d_loss": ...}``; the last line of an epoch has the means under
    ``epoch_means``. The file contains no times, so it is reproducible.

    Args:
        every: which steps to write.
    """

    optional = True
    writes = (LOG,)

    def __init__(self, every: Every = Every.steps(50)) -> None:
        super().__init__(every)
        self._file: TextIOBase | None = None

    def check(self, run: Run) -> Iterable[str]:
        return ()  # its schedule is a default, so a run that is shorter needs no warning

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def on_train_begin(self, run: Run) -> None:
        path = run.out_dir / LOG
        with suppress(FileNotFoundError):
            # A resumed run rewrites the lines after its checkpoint; the last line may be incomplete.
            content = path.read_bytes()
            kept = b"".join(line for line in content.splitlines(True) if _is_kept(line, run))
            if kept and not kept.endswith(b"\n"):
                kept += b"\n"  # an editor may have removed it
            if kept != content:
                replace_file(path, kept)
        self._file = path.open("a", encoding="utf-8")

    def state(self) -> dict[str, Any]:
        if self._file is not None:
            self._file.flush()  # the log must not be behind the checkpoint
        return super().state()

    def write(self, run: Run, values: Mapping[str, float]) -> None:
        self._write(run, {name: _convert_number(value) for name, value in values.items()})

    def on_train_epoch_end(self, run: Run) -> None:
        super().on_train_epoch_end(run)
        means = {name: _convert_number(value) for name, value in run.epoch_means.items()}
        self._write(run, {"epoch_means": means})
        if self._file is not None:
            self._file.flush()

    def on_checkpoint(self, run: Run) -> None:
        super().on_checkpoint(run)
        if self._file is not None:
            self._file.flush()  # a run resumed from this checkpoint does not emit this event again

    def on_train_end(self, run: Run) -> None:
        # Unlike other writers, not the last step: it would be an additional line if the run is resumed with more
        # epochs.
        self.see_logged(run)

    def _write(self, run: Run, values: Mapping[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps({"step": run.step, "epoch": run.epoch, **values}, allow_nan=False) + "\n")


def _is_kept(line: bytes, run: Run) -> bool:
    """Return whether a line is not after the checkpoint; complete lines in another format are kept."""
    try:
        found = json.loads(line)
        step, epoch = found["step"], found["epoch"]
        # Lines logged at the beginning of an epoch have the same step as those at the end of the epoch before.
        return bool(run.step > 0 and (step < run.step or (step == run.step and epoch <= run.epoch)))
    except (ValueError, KeyError, TypeError):
        return line.endswith(b"\n")


def _convert_number(value: float) -> float | None:
    """Replace NaN and infinity, which JSON does not support, by None."""
    return value if math.isfinite(value) else None
