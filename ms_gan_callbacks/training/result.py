"""The result of a run and its closing summary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from ms_gan_callbacks.errors import Interrupted, RunDirError, describe, format_seconds, pluralize, warn
from ms_gan_callbacks.events.bus import CallbackBus
from ms_gan_callbacks.events.run import Run
from ms_gan_callbacks.events.summary import format_metrics, format_summary
from ms_gan_callbacks.storage.environment import get_time


@dataclass(frozen=True)
class RunResult:
    """Result of :meth:`Runner.train`.

    Attributes:
        out_dir: the run directory.
        epoch: number of epochs begun.
        step: number of steps, including those before the run was resumed.
        seconds: duration of this call, including compilation.
        steps_per_second: mean speed of this call, including compilation.
        stop_reason: reason given by the callback that stopped the run; None if the run is complete.
        scalars: mean of every scalar over the last epoch.
        metrics: latest quality metrics.
        data: name, count and sha256 of the training data.
        accelerated: number of stock layers of each kind that were replaced by fast layers.
        callback_seconds: time spent in each callback.
        highlights: summaries of callbacks, such as the path of the latest image grid.
        rollbacks: rollbacks of the run, with their reasons.
        faults: exceptions of optional callbacks.
        ranks: number of processes that each batch was divided among.
        batch_norm: the statistics that batch normalisation used, if there were several.
    """

    out_dir: Path
    epoch: int
    step: int
    seconds: float
    steps_per_second: float
    stop_reason: str | None
    scalars: Mapping[str, float]
    metrics: Mapping[str, float]
    data: Mapping[str, str | int | None]
    callback_seconds: Mapping[str, float]
    accelerated: Mapping[str, int] = field(default_factory=dict)
    highlights: Mapping[str, str] = field(default_factory=dict)
    rollbacks: tuple[Mapping[str, Any], ...] = ()
    faults: tuple[str, ...] = ()
    ranks: int = 1
    batch_norm: str | None = None

    @classmethod
    def of(cls, run: Run, bus: CallbackBus, seconds: float, first_step: int) -> RunResult:
        """Return the result of a run whose last call started at ``first_step`` and took ``seconds``."""
        return cls(
            out_dir=run.out_dir,
            epoch=run.epoch,
            step=run.step,
            seconds=seconds,
            steps_per_second=(run.step - first_step) / seconds,
            stop_reason=run.stop_reason,
            scalars=dict(run.epoch_means),
            metrics=dict(run.metrics),
            data=dict(run.manifest.data.facts),
            callback_seconds=bus.costs(),
            accelerated=run.manifest.accelerated or {},
            highlights=bus.summaries(),
            rollbacks=tuple(run.rollbacks),
            faults=tuple(bus.faults()),
            ranks=run.manifest.ranks,
            batch_norm=run.manifest.batch_norm,
        )

    def summary(self) -> str:
        """Return the closing summary, one line per entry."""
        ended = f"stopped: {self.stop_reason}" if self.stop_reason else "finished"
        length = (
            f"{pluralize(self.step, 'steps')}, {pluralize(self.epoch, 'epochs')}; {format_seconds(self.seconds)}"
        )
        data = f"{self.data['name']}, {self.data['count']:,} images" if self.data else ""
        if self.data.get("sha256"):
            data += f", sha256 {str(self.data['sha256'])[:12]}..."
        rows = [("run", ended), ("length", f"{length}, {self.steps_per_second:.0f} steps/s"), ("data", data)]
        if self.ranks > 1:
            rows += [("ranks", str(self.ranks)), ("BatchNorm", self.batch_norm or "")]
        rows += [("fast layers", ", ".join(f"{count} {kind}" for kind, count in self.accelerated.items()))]
        rows += [("metrics", format_metrics(self.metrics.items()))]
        rows += list(self.highlights.items())
        rows += [("rolled back", f"to step {one['to_step']:,}: {one['reason']}") for one in self.rollbacks]
        rows += [("FAULT", fault) for fault in self.faults]
        shares = {name: 100 * spent / self.seconds for name, spent in self.callback_seconds.items()}
        rows += [("callbacks' time", ", ".join(f"{name} {share:.1f} %" for name, share in shares.items()))]
        return format_summary(rows, self.out_dir)


@contextmanager
def record_timing(run: Run, bus: CallbackBus, began: float) -> Iterator[None]:
    """Record in ``run.json`` how long a call took and how it ended, also if it is interrupted or fails.

    Args:
        run: the run.
        bus: the callbacks, with the time spent in each.
        began: the start of the call, a value of ``perf_counter``.
    """
    first_step = run.step

    def record(ended: str, reason: str | None) -> None:
        timing = {"from_step": first_step, "to_step": run.step, "seconds": round(perf_counter() - began, 3)}
        end = {"ended": ended, "reason": reason, "at": get_time()}
        costs = {name: round(seconds, 3) for name, seconds in bus.costs().items()}
        run.manifest = run.manifest.add_timing({**timing, **end, "callbacks": costs})
        try:
            run.manifest.write(run.out_dir)
        except RunDirError as error:
            if run.step > first_step:
                warn(f"the duration of the run is not recorded: {error}")

    try:
        yield
    except BaseException as error:
        interrupted = isinstance(error, (Interrupted, KeyboardInterrupt))
        record(*(("interrupted", None) if interrupted else ("failed", describe(error))))
        raise
    record("finished", run.stop_reason)
