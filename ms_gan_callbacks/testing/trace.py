"""Trace: events, logged values and requests of a simulated run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ms_gan_callbacks.events.events import Event
from ms_gan_callbacks.events.requests import RollBack
from ms_gan_callbacks.events.run import Run


@dataclass
class Trace:
    """Events, logged values and requests of a simulated run, in order.

    Attributes:
        run: the run after its last step.
        events: emitted events: (hook name, step).
        logged: logged numbers: (step, name, value).
        images: logged images: (step, name).
        checkpoints: requested checkpoints: (step, owner, number to retain).
        warnings: warnings returned by ``check``, and the messages of all GanWarnings.
        roll_backs: requested rollbacks; the first one ends the run.
        states: for each step, the states of the stateful callbacks by name.
        stopped: the step after which a callback stopped the run, or None.
    """

    run: Run
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
        """Reason of the first stop request, or None."""
        return self.run.stop_reason

    def note(self, event: Event) -> None:
        """Record an emitted event and the values logged in it."""
        step = self.run.step
        self.events.append((event.value, step))
        self.logged += [(step, name, value) for name, value in self.run.logged.items()]
        self.images += [(step, name) for name in self.run.images]
        if self.run.stop_reason and self.stopped is None:
            self.stopped = step

    def after(self, step: int) -> dict[str, object]:
        """Return logged values, requests and states after a step, by kind."""
        lists: Mapping[str, list[Any]] = {
            "logged numbers": self.logged,
            "logged images": self.images,
            "requested checkpoints": self.checkpoints,
        }
        return {
            **{kind: [entry for entry in entries if entry[0] > step] for kind, entries in lists.items()},
            "stop": (self.stopped, self.stop_reason),
            "rollbacks": self.roll_backs,
            "state": {then: state for then, state in self.states.items() if then > step},
        }


def find_difference(left: Mapping[str, object], right: Mapping[str, object]) -> str:
    """Describe the first difference between two traces; empty if they are equal."""
    show = partial(json.dumps, default=repr)
    for kind, value in left.items():
        if show(value) != show(right[kind]):
            return f"{kind}: {show(right[kind])}, not {show(value)}"
    return ""
