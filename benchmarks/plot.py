"""Results as one picture: time per step against PyTorch, and how runs scale."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.numbers import Spread, blocks_of, per_step, ratio
from benchmarks.report import REFERENCES

CUT = 2.5
"""The longest bar, in medians of all bars of a panel."""


def draw(results: Mapping[str, Any], path: Path) -> bool:
    """Draw what there is into a PNG; return whether there was anything."""
    speed = {name: match for name, match in results.get("speed", {}).items() if name != "facts"}
    scaling = results.get("scaling", {})
    panels = [(_bars, name, match) for name, match in speed.items()]
    if scaling:
        panels += [(_epochs, "epochs", scaling["epochs"]), (_sizes, "images in an epoch", scaling["images"])]
        panels += [(_sizes, "batch", scaling["batch"])]
    if not panels:
        return False
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    with mpl.rc_context({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(4.4 * columns, 3 * rows), layout="constrained")
        for number, (panel, title, match) in enumerate(panels, 1):
            axes = figure.add_subplot(rows, columns, number)
            axes.set_title(title)
            panel(axes, match)
        figure.savefig(path, dpi=150)
    return True


def _bars(axes: Axes, match: Mapping[str, Any]) -> None:
    reference = next((name for name in REFERENCES if name in match["first"]), None)
    names = [name for name in match["first"] if blocks_of(match, name)][::-1]
    found = [
        ratio(match, name, reference) if reference else Spread.of(map(per_step, blocks_of(match, name)))
        for name in names
    ]
    known = [(name, spread) for name, spread in zip(names, found, strict=True) if spread]
    medians = [spread.median for _, spread in known]
    ranges = [[s.median - s.low for _, s in known], [s.high - s.median for _, s in known]]
    others = ("tutorial", "floor", "runner-stock", "layer-stock")
    ours = [not (name.startswith("torch") or name in others) for name, _ in known]
    axes.barh([name for name, _ in known], medians, xerr=ranges, color=["C0" if own else "0.7" for own in ours])
    axes.set_xlabel(f"time per step / {reference}" if reference else "ms a step")
    # Bars start at zero, so that their lengths can be compared; a much longer one is cut, with its value. The bar
    # of the reference has a length of 1.
    most = max(CUT * sorted(medians)[len(medians) // 2], 1.05 if reference else 0)
    if max(medians) > most:
        axes.set_xlim(0, most)
        for place, median in enumerate(medians):
            if median > most:
                axes.text(most, place, f"{median:.3g} ", ha="right", va="center")
    else:
        axes.set_xlim(left=0)


def _epochs(axes: Axes, match: Mapping[str, Any]) -> None:
    epochs = match["bouts"][0]["runner"]
    numbers = range(1, len(epochs) + 1)
    axes.plot(numbers, [per_step(epoch) for epoch in epochs], label="ms a step")
    axes.set_ylim(bottom=0)
    axes.set_ylabel("ms a step")
    memory = axes.twinx()
    memory.plot(numbers, [epoch["rss"] / 1e6 for epoch in epochs], color="C1")
    memory.set_ylim(bottom=0)
    memory.set_ylabel("MB", color="C1")


def _sizes(axes: Axes, match: Mapping[str, Any]) -> None:
    sizes = [int(name) for name in match["first"]]
    spreads = [Spread.of(map(per_step, blocks_of(match, str(size)))) for size in sizes]
    ranges = [[s.median - s.low for s in spreads], [s.high - s.median for s in spreads]]
    axes.errorbar(sizes, [spread.median for spread in spreads], yerr=ranges, marker="o")
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_ylabel("ms a step")
