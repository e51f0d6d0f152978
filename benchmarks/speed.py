"""Time per step of every contestant, for each model and batch size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.arena import Bout, contest, measure_starts
from benchmarks.contestants import Entrant, check_names

GANS = ("runner", "runner-plain", "step", "torch", "torch-best", "torch-joined", "torch-compile")
MLP = ("tutorial", *GANS, "floor")
PAIR = ("runner-plain", "torch", "torch-best")
NETWORK = ("network", "torch-network")
LAYERS = ("layer", "layer-stock", "torch-layer")
SETTINGS: dict[str, tuple[str, int, tuple[str, ...]]] = {
    "mlp-32": ("mlp", 32, MLP),
    "mlp-128": ("mlp", 128, MLP),
    "dcgan-16": ("dcgan", 16, PAIR),
    "dcgan-64": ("dcgan", 64, (*GANS, "runner-stock")),
    "dcgan-128": ("dcgan", 128, PAIR),
    "unet-16": ("unet", 16, NETWORK),
    "residual-16": ("residual", 16, NETWORK),
    "conv-64": ("conv", 64, LAYERS),
    "conv-transpose-64": ("conv-transpose", 64, LAYERS),
}
PAIRS = (("runner-plain", "step"), ("runner-plain", "torch-best"), ("network", "torch-network"))
SLOW_TO_COMPILE = "torch-compile"
STARTED = ("mlp-32", "dcgan-64")
"""The settings whose pair is started repeatedly, to measure the time to the first step."""


def measure(rounds: int, pair_rounds: int, quick: bool, only: Sequence[str], say: Callable[[str], Any]) -> Any:
    """Run the settings, and within each the contestants, that ``only`` names; all where it names none.

    Args:
        rounds: rounds among all contestants of a setting.
        pair_rounds: more rounds, after those, for the pairs that must be told apart closely, and starts of them.
        quick: the first setting only, without ``torch.compile``.
        only: names of settings and contestants.
        say: told what goes on.

    Raises:
        UsageError: there is no such setting or contestant.
    """
    everybody = {name for _, _, names in SETTINGS.values() for name in names}
    check_names(only, [*SETTINGS, *sorted(everybody)])
    settings = [name for name in SETTINGS if name in only] or list(SETTINGS)[: 1 if quick else None]
    chosen = set(only) & everybody or everybody - ({SLOW_TO_COMPILE} if quick else set())
    matches = {}
    for setting in settings:
        model, batch, names = SETTINGS[setting]
        entrants = {name: Entrant(name, model, batch) for name in names if name in chosen}
        if entrants:
            say(f"{setting}: {', '.join(entrants)}")
            pairs = [Bout(pair_rounds, names=pair) for pair in PAIRS] if pair_rounds else []
            match = contest(entrants, [Bout(rounds, 0.5 if quick else 1.0), *pairs], say)
            if setting in STARTED and pair_rounds:
                started = {name: entrants[name] for name in PAIR if name in match["first"]}
                match["starts"] = measure_starts(started, pair_rounds)
            matches[setting] = match
    return matches
