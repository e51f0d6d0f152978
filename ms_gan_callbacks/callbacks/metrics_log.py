"""Keeps the run's numbers in ``metrics.jsonl``, one JSON object a line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from io import TextIOBase
from types import TracebackType
from typing import Any

from ms_gan_callbacks.events.callback import Writer
from ms_gan_callbacks.events.events import Every
from ms_gan_callbacks.events.run import Run
from ms_gan_callbacks.storage.files import replace_file


class MetricsLog(Writer):
    """Writes every step that is due, what callbacks log, and the means of every epoch; attached to every run.

    A line is ``{"step": 50, "epoch": 1, "d_loss": ...}``; the one that closes an epoch holds its means under
    ``epoch_means``. The numbers depend on the run alone, never on the clock.

    Args:
        every: which steps to write.
    """

    optional = True
    writes = ("metrics.jsonl",)

    def __init__(self, every: Every = Every.steps(50)) -> None:
        super().__init__(every)
        self._file: TextIOBase | None = None

    def check(self, run: Run) -> Iterable[str]:
        return ()  # nobody chose its schedule for this run, so there is nobody to warn

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def on_train_begin(self, run: Run) -> None:
        path = run.out_dir / "metrics.jsonl"
        with suppress(FileNotFoundError):
            # A run that goes on writes the lines after its checkpoint anew; a kill may have torn the last one.
            content = path.read_bytes()
            kept = b"".join(line for line in content.splitlines(True) if _stays(line, run))
            if kept and not kept.endswith(b"\n"):
                kept += b"\n"  # an editor has taken it away
            if kept != content:
                replace_file(path, kept)
        self._file = path.open("a", encoding="utf-8")

    def state(self) -> dict[str, Any]:
        if self._file is not None:
            self._file.flush()  # a checkpoint must not be ahead of its log
        return super().state()

    def write(self, run: Run, values: Mapping[str, float]) -> None:
        self._write(run, {name: _json_number(value) for name, value in values.items()})

    def on_train_epoch_end(self, run: Run) -> None:
        super().on_train_epoch_end(run)
        means = {name: _json_number(value) for name, value in run.epoch_means.items()}
        self._write(run, {"epoch_means": means})
        if self._file is not None:
            self._file.flush()

    def on_checkpoint(self, run: Run) -> None:
        super().on_checkpoint(run)
        if self._file is not None:
            self._file.flush()  # a run that goes on from here is not told of this checkpoint again

    def on_train_end(self, run: Run) -> None:
        # Not the last step, which is no more due than it was: a run that is resumed and extended would have a line
        # that an uninterrupted one has not.
        self.see_logged(run)

    def _write(self, run: Run, values: Mapping[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps({"step": run.step, "epoch": run.epoch, **values}, allow_nan=False) + "\n")


def _stays(line: bytes, run: Run) -> bool:
    """Whether a line is of what the checkpoint has seen; what is none of ours, but whole, stays as well."""
    try:
        found = json.loads(line)
        step, epoch = found["step"], found["epoch"]
        # The epoch tells what is logged at a beginning from what was logged at the end before it.
        return bool(run.step > 0 and (step < run.step or (step == run.step and epoch <= run.epoch)))
    except (ValueError, KeyError, TypeError):
        return line.endswith(b"\n")


def _json_number(value: float) -> float | None:
    """JSON has no NaN and no infinity: null stands for both."""
    return value if math.isfinite(value) else None
