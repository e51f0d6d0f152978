"""Time per step and memory as a run gets longer, its data larger, its batches bigger."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.arena import Bout, contest
from benchmarks.contestants import Entrant

SMALL = 6_400  # images: an epoch of 200 steps, so that fifty of them end in minutes
PARTS = 8  # of such an epoch, a quarter of a second each
COUNTS = (5_000, 60_000, 600_000)
BATCHES = (16, 32, 64, 128, 256, 512, 1024)


def measure(rounds: int, quick: bool, say: Callable[[str], Any]) -> dict[str, Any]:
    """Measure all; with all default callbacks where a run gets longer, without any elsewhere.

    Whether late epochs take longer than early ones is measured by two runs, one of them old, in turns: the
    machine's own speed changes more between a run's first minute and its third than what is looked for.

    Args:
        rounds: rounds among the sizes of data, and among those of a batch.
        quick: 12 short epochs instead of 50, two sizes of data, three of a batch.
        say: told what goes on.
    """
    epochs, count = (12, SMALL // 4) if quick else (50, SMALL)
    say(f"scaling: {epochs} epochs of {count:,} images, then epochs of that run against a fresh one's")
    both = {name: Entrant("runner", count=count) for name in ("runner", "fresh")}
    grow_old = [Bout(epochs, seconds=0, names=("runner",), limit=1800), Bout(2, seconds=0, names=("fresh",))]
    against = Bout(2 if quick else 20, seconds=0, names=("runner", "fresh"), parts=PARTS)
    longer = contest(both, [*grow_old, against], say)
    counts, batches = (COUNTS[:2], (32, 128, 512)) if quick else (COUNTS, BATCHES)
    turns = [Bout(rounds, 0.5 if quick else 1.0)]
    say("scaling: images")
    images = contest({f"{count}": Entrant("runner-plain", count=count) for count in counts}, turns, say)
    say("scaling: batch")
    batch = contest({f"{size}": Entrant("runner-plain", batch=size) for size in batches}, turns, say)
    return {"epochs": longer, "images": images, "batch": batch}
