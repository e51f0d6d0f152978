"""Times one epoch on all of MNIST, whole processes, in alternation: the tutorial's loop, then ``ms-gan run``.

Run as ``MS_GAN_DATA=<folder of MNIST's IDX files> python -m benchmarks [PAIRS]``; a pair takes minutes.
"""

from __future__ import annotations

import gzip
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).parent.parent


def unpack(folder: Path) -> None:
    """Put MNIST's files, unpacked, where MnistDataset can read them."""
    data = Path(os.environ["MS_GAN_DATA"])
    for path in data.glob("*-ubyte*"):
        content = path.read_bytes()
        (folder / path.name.removesuffix(".gz")).write_bytes(
            gzip.decompress(content) if path.suffix == ".gz" else content
        )


def seconds(*command: str) -> float:
    """Run a process to its end; return how long it took, its start included."""
    began = perf_counter()
    subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=True, capture_output=True)
    return perf_counter() - began


def main() -> None:
    """Print each pair, and the median of the ratios."""
    if not os.environ.get("MS_GAN_DATA"):
        raise SystemExit("set MS_GAN_DATA to the folder of MNIST's IDX files")
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    print(f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    ratios = []
    with tempfile.TemporaryDirectory() as name:
        unpack(Path(name))
        for pair in range(pairs):
            ours = seconds(
                "ms_gan_callbacks",
                "run",
                "recipes/mnist_mlp.py",
                "--set",
                "epochs=1",
                "--out",
                f"{name}/run-{pair}",
            )
            tutorial = seconds("benchmarks.tutorial", name)
            ratios.append(tutorial / ours)
            print(f"tutorial {tutorial:.0f} s, ms-gan run {ours:.1f} s: {ratios[-1]:.1f} times", flush=True)
    print(f"median ratio {statistics.median(ratios):.1f}")


if __name__ == "__main__":
    main()
