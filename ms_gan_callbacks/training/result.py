"""How a run ended: the numbers for a program, the closing summary for a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ms_gan_callbacks.errors import pluralize
from ms_gan_callbacks.events.bus import CallbackBus
from ms_gan_callbacks.events.run import Run


@dataclass(frozen=True)
class RunResult:
    """What :meth:`Runner.train` returns.

    Attributes:
        out_dir: the run's folder.
        epoch: epochs begun.
        step: steps taken, over the run's whole life.
        seconds: how long this call took, the compiling included.
        steps_per_second: the mean speed of this call, likewise.
        stop_reason: why a callback ended the run; None if it came to its end.
        scalars: the last epoch's mean of every scalar.
        metrics: the newest quality metrics.
        data: name, count and sha256 of what it trained on.
        accelerated: how many stock layers of each kind were replaced by their fast equals.
        callback_seconds: the time spent in each callback.
        highlights: what callbacks have to tell, such as the newest picture.
        rollbacks: how often the run went back to an older state, and why.
        faults: what went wrong in optional callbacks.
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

    @classmethod
    def of(cls, run: Run, bus: CallbackBus, seconds: float, first_step: int) -> RunResult:
        """Return how a run ended that took ``seconds`` from ``first_step`` on."""
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
        )

    def summary(self) -> str:
        """Return the closing summary, some lines of text."""
        ended = f"stopped: {self.stop_reason}" if self.stop_reason else "finished"
        length = f"{pluralize(self.step, 'steps')}, {pluralize(self.epoch, 'epochs')}; {_duration(self.seconds)}"
        data = f"{self.data['name']}, {self.data['count']:,} images" if self.data else ""
        if self.data.get("sha256"):
            data += f", sha256 {str(self.data['sha256'])[:12]}..."
        rows = [("run", ended), ("length", f"{length}, {self.steps_per_second:.0f} steps/s"), ("data", data)]
        rows += [("fast layers", ", ".join(f"{count} {kind}" for kind, count in self.accelerated.items()))]
        rows += [("metrics", "  ".join(f"{name} {value:.4g}" for name, value in self.metrics.items()))]
        rows += list(self.highlights.items())
        rows += [("rolled back", f"to step {one['to_step']:,}: {one['reason']}") for one in self.rollbacks]
        rows += [("FAULT", fault) for fault in self.faults]
        rows += [("callbacks' time", self._shares()), ("folder", str(self.out_dir))]
        if (self.out_dir / "tensorboard").is_dir():
            rows.append(("watch", f"tensorboard --logdir {_quoted(self.out_dir)}"))
        rows = [(name, text) for name, text in rows if text]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {text}" for name, text in rows)

    def _shares(self) -> str:
        shares = {name: 100 * spent / self.seconds for name, spent in self.callback_seconds.items()}
        return ", ".join(f"{name} {share:.1f} %" for name, share in shares.items())


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def _quoted(path: Path) -> str:
    return f"'{path}'" if " " in str(path) else str(path)
