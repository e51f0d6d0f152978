"""How long training stands still for a checkpoint of the first recipe.

Run as ``python -m benchmarks.checkpoint [FOLDER]``, FOLDER being on the disk in question.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from ms_gan_callbacks import load_recipe
from ms_gan_callbacks.store import CheckpointStore
from ms_gan_callbacks.training import Players


def main() -> None:
    """Save twenty times and print the stall."""
    recipe = load_recipe(Path(__file__).parent.parent / "recipes" / "mnist_mlp.py")
    players = Players(recipe.generator, recipe.discriminator, recipe.optimizer, seed=0)
    stalls = []
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        store = CheckpointStore(Path(folder))
        for step in range(1, 21):
            began = perf_counter()
            store.save(step, players.weights(), {})
            store.prune([step - 1])
            stalls.append(1000 * (perf_counter() - began))
        size = (store.path(20) / "weights.safetensors").stat().st_size
    low, median, high = min(stalls), statistics.median(stalls), max(stalls)
    print(f"{size / 1e6:.0f} MB: median {median:.0f} ms, from {low:.0f} to {high:.0f}")


if __name__ == "__main__":
    main()
