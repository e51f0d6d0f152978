"""What callbacks did in a run by script."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from typing import Any

from ms_gan_callbacks.events.events import Event
from ms_gan_callbacks.events.run import RollBack, Run


@dataclass
class Trace:
    """What happened, in order, and what callbacks did about it; the counters are steps.

    Attributes:
        run: the run, as it ended.
        scratch: its folder, where that is a temporary one.
        events: what the callbacks were told: the hook's name and the step.
        logged: the numbers that they logged: step, name, value.
        images: the pictures that they logged: step, name.
        checkpoints: those they asked for: step, owner, how many to keep.
        warnings: the texts of what ``check`` yielded, and of every GanWarning.
        roll_backs: the wishes to roll back; the first one ends the script.
        states: what a checkpoint after each step holds of the callbacks that keep state, by their names.
        stopped: the step after which somebody asked to stop; None if nobody did.
    """

    run: Run
    scratch: TemporaryDirectory[str] | None = field(default=None, repr=False)
    events: list[tuple[str, int]] = field(default_factory=list)
    logged: list[tuple[int, str, float]] = field(default_factory=list)
    images: list[tuple[int, str]] = field(default_factory=list)
    checkpoints: list[tuple[int, str, int | None]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    roll_backs: list[RollBack] = field(default_factory=list)
    states: dict[int, dict[str, dict[str, Any]]] = field(default_factory=dict)
    stopped: int | None = None

    @property
    def stop_reason(self) -> str | None:
        """Why somebody asked to stop."""
        return self.run.stop_reason

    def note(self, event: Event) -> None:
        """Take down an event that has just been told, and what was logged in it."""
        step = self.run.step
        self.events.append((event.value, step))
        self.logged += [(step, name, value) for name, value in self.run.logged.items()]
        self.images += [(step, name) for name in self.run.images]
        if self.run.stop_reason and self.stopped is None:
            self.stopped = step

    def after(self, step: int) -> dict[str, object]:
        """Return what callbacks did after a step, by what it is."""
        lists: Mapping[str, list[Any]] = {
            "log": self.logged,
            "log pictures": self.images,
            "ask for checkpoints": self.checkpoints,
        }
        did: dict[str, object] = {
            what: [entry for entry in entries if entry[0] > step] for what, entries in lists.items()
        }
        keep = {then: state for then, state in self.states.items() if then > step}
        return {
            **did,
            "ask to stop": (self.stopped, self.stop_reason),
            "ask to roll back": self.roll_backs,
            "keep": keep,
        }


def first_difference(
    left: Mapping[str, object], right: Mapping[str, object], show: Callable[[object], str]
) -> str:
    """Tell what two traces have not in common, in words; nothing if they are the same."""
    for what, value in left.items():
        if show(value) != show(right[what]):
            return f"to {what}: {show(right[what])}, not {show(value)}"
    return ""
