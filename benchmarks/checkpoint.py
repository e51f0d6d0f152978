"""How long training stands still for a checkpoint of the first recipe, and how much memory that takes.

Run as ``python -m benchmarks.checkpoint [FOLDER]``, FOLDER being on the disk in question.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from time import perf_counter

import psutil

from benchmarks import ROOT
from benchmarks.numbers import Spread
from benchmarks.pacing import peak_rss
from ms_gan_callbacks import load_recipe
from ms_gan_callbacks.models.two_players import TwoPlayers
from ms_gan_callbacks.storage.checkpoints import CheckpointStore


def stalls(saves: int, folder: str | None = None) -> tuple[list[float], int, int]:
    """Save some times below a folder; return the milliseconds of each, the size and the memory taken in bytes."""
    recipe = load_recipe(ROOT / "recipes" / "mnist_mlp.py")
    players = TwoPlayers(recipe.generator, recipe.discriminator, recipe)
    milliseconds = []
    before = peak_rss(psutil.Process().memory_info())
    with tempfile.TemporaryDirectory(dir=folder) as name:
        store = CheckpointStore(Path(name))
        for step in range(1, saves + 1):
            began = perf_counter()
            store.save(step, players.weights(copy=False), {})
            store.prune([step - 1])
            milliseconds.append(1000 * (perf_counter() - began))
        memory = peak_rss(psutil.Process().memory_info()) - before
        return milliseconds, (store.get_path(saves) / "weights.safetensors").stat().st_size, memory


def main() -> None:
    """Save twenty times and print the stall."""
    milliseconds, size, memory = stalls(20, sys.argv[1] if len(sys.argv) > 1 else None)
    low, median, high = min(milliseconds), Spread.of(milliseconds).median, max(milliseconds)
    time = f"median {median:.0f} ms, from {low:.0f} to {high:.0f}"
    print(f"{size / 1e6:.0f} MB: {time}; {memory / 1e6:.0f} MB of memory")


if __name__ == "__main__":
    main()
