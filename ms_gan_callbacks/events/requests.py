"""Requests of callbacks to the training loop."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class RollBack:
    """A request to return both players to an earlier checkpoint.

    Attributes:
        reason: the reason, shown in the summary.
        healthy: the last step whose state is known to be good; 0 for the initial state.
        learning_rate: factor for both players' learning rates.
    """

    reason: str
    healthy: int
    learning_rate: float = 1.0


@dataclass
class Requests:
    """Requests made by callbacks and not yet carried out by the loop."""

    stop_reason: str | None = None
    checkpoints: dict[str, int | None] = field(default_factory=dict)  # number to retain, by owner
    roll_back: RollBack | None = None
    end_with: int | None = None
