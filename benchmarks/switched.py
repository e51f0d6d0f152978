"""What callbacks cost in one process: a run in which they are switched on and off, every fraction of a second.

Two processes of the same program differ by two percent, which is more than callbacks cost; and the speed of a
machine changes within an epoch. So a run delivers its events to the callbacks in every other piece of an epoch,
and in the next epoch in the other pieces: two epochs have one with all that callbacks do in an epoch, and one
without.

Run as ``python -m benchmarks.switched JSON``; prints JSON.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from time import perf_counter
from typing import Any

from rich.console import Console as Terminal

from benchmarks import THREADS
from benchmarks.data import digits
from benchmarks.ours import builtin, never, recipe
from ms_gan_callbacks import ArraySource, Callback, CallbackBus, Console, Event, MetricsLog, Run, Runner

PARTS = 40  # of an epoch
BATCH = 32


class SwitchedTerminal(Terminal):
    """A terminal to nowhere that draws nothing while it is switched off; a progress display has its own thread."""

    def __init__(self) -> None:
        super().__init__(file=io.StringIO(), force_terminal=True, width=80)
        self.on = True

    def print(self, *objects: Any, **options: Any) -> None:
        """Print if it is switched on."""
        if self.on:
            super().print(*objects, **options)


def deliver(event: Event) -> Callable[[Switched, Run], None]:
    """Return a hook that passes an event on."""

    def hook(self: Switched, run: Run) -> None:
        self.get_bus().emit(event, run)

    return hook


class Switched(Callback):
    """Passes events to callbacks in every other piece of an epoch, and measures the pieces.

    Attributes:
        pieces: (epoch, whether the callbacks were on, seconds) of each, the epoch counted from 0.
    """

    order = -1000

    def __init__(self, callbacks: Iterable[Callback], terminal: SwitchedTerminal, steps: int) -> None:
        self.bus, self.terminal, self._steps = CallbackBus(callbacks), terminal, steps
        self._empty = CallbackBus([])  # so that a second bus costs the same on and off
        self.publishes = tuple(self.bus.publishes())
        self.pieces: list[tuple[int, bool, float]] = []
        self._piece: tuple[int, int] | None = None
        self._began = 0.0

    def __enter__(self) -> Switched:
        self.bus.__enter__()
        return self

    def __exit__(self, *failure: Any) -> None:
        self.bus.__exit__(*failure)

    def check(self, run: Run) -> Iterable[str]:
        """Let the callbacks prepare for the run."""
        return self.bus.check(run)

    def on_train_step_begin(self, run: Run) -> None:
        """Switch at the beginning of a piece; a checkpoint is written between the events of two steps."""
        epoch, step = divmod(run.step - 1, self._steps)
        piece = (epoch, step * PARTS // self._steps)
        if piece != self._piece:
            now = perf_counter()
            if self._piece is not None:
                self.pieces.append((self._piece[0], self.terminal.on, now - self._began))
            self._piece, self.terminal.on = piece, sum(piece) % 2 == 1
            self._began = perf_counter()
        self.get_bus().emit(Event.TRAIN_STEP_BEGIN, run)

    def get_bus(self) -> CallbackBus:
        """Return the bus that events are passed to now."""
        return self.bus if self.terminal.on else self._empty

    on_train_begin = deliver(Event.TRAIN_BEGIN)
    on_train_epoch_begin = deliver(Event.TRAIN_EPOCH_BEGIN)
    on_train_step_end = deliver(Event.TRAIN_STEP_END)
    on_train_epoch_end = deliver(Event.TRAIN_EPOCH_END)
    on_checkpoint = deliver(Event.CHECKPOINT)

    def sum_round(self, number: int, on: bool) -> float:
        """Return the milliseconds per step of a round's epoch with callbacks, or of the one without."""
        epochs = (2 * number, 2 * number + 1)
        seconds = sum(took for epoch, was_on, took in self.pieces if epoch in epochs and was_on is on)
        return 1000 * seconds / self._steps


def make_callbacks(name: str, terminal: SwitchedTerminal) -> Sequence[Callback]:
    """Return what a name stands for: "all" default callbacks, "nothing", or one built-in callback."""
    if name == "all":
        return [*recipe("mlp").callbacks, MetricsLog(), Console(terminal)]
    if name == "nothing":
        return []
    return [Console(terminal) if name == "Console" else builtin(name)]


def measure(name: str, rounds: int, images: int) -> dict[str, Any]:
    """Return the milliseconds per step ``with`` and ``without`` callbacks in every round, a list each.

    A round before them, in which the graph that makes images is compiled, is left out.
    """
    source, terminal = ArraySource(digits(images), BATCH), SwitchedTerminal()
    switched = Switched(make_callbacks(name, terminal), terminal, source.steps_per_epoch)
    with tempfile.TemporaryDirectory() as folder:
        # One more epoch, because a piece ends when the next begins.
        epochs = 2 * (1 + rounds) + 1
        runner = Runner.from_recipe(recipe("mlp"), f"{folder}/run")
        runner.train(epochs, source, [switched, never()], quiet=True)
    numbers = range(1, rounds + 1)
    return {
        "with": [switched.sum_round(number, True) for number in numbers],
        "without": [switched.sum_round(number, False) for number in numbers],
    }


def main() -> None:
    """Measure what the argument says, and print the numbers."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is not among the answers
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
    print(json.dumps(measure(**json.loads(sys.argv[1]))), file=answers, flush=True)


if __name__ == "__main__":
    main()
