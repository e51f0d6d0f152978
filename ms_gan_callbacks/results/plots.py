"""Plots a run's losses, discriminator outputs and metrics."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ms_gan_callbacks.errors import UsageError
from ms_gan_callbacks.results.log import PAIRS, Lines, collect_points, list_logged, list_means, read_log
from ms_gan_callbacks.storage.manifest import Manifest

EQUILIBRIUM = 0.5
COLOURS = ("tab:blue", "tab:orange")
DIGEST = "ms-gan curves"
"""Name of the PNG text chunk with the sha256 of the pixels, which identifies unmodified plots of this package."""


def draw_curves(run_dir: Path, ending: str = ".png") -> bytes:
    """Plot the values in a run's ``metrics.jsonl``; return the content of an image file of the given type.

    Values per step are pale, means per epoch bold. Each metric and each value logged by callbacks has a panel.

    Raises:
        RunDirError: the directory does not contain a run, or a file in it is damaged.
        UsageError: ``metrics.jsonl`` is empty or missing.
    """
    manifest, lines = Manifest.read(run_dir), read_log(run_dir)
    if not lines:
        raise UsageError(f"{run_dir} does not contain values to plot: metrics.jsonl is empty")
    floors = manifest.evaluation.floors
    logged = list_logged(lines, floors)
    rows, columns = 1 + -(-len(logged) // 2), 2
    figure = Figure(figsize=(11, 3.2 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for panel, (title, pair) in zip(panels, PAIRS.items(), strict=False):
        _draw_players(panel, title, pair, lines, manifest.critic)
    for panel, name in zip(panels[len(PAIRS) :], logged, strict=False):
        _draw_metric(panel, name, lines, floors.get(name))
    for panel in panels[len(PAIRS) + len(logged) :]:
        panel.set_axis_off()
    for entry in manifest.history:
        if entry.to_step is not None:
            for panel in panels[: len(PAIRS) + len(logged)]:
                panel.axvline(entry.to_step, color="tab:red", linestyle=":", linewidth=1)
    used = manifest.evaluation
    metrics = f"; metrics from {used.samples:,} images each, {used.features}" if used.samples else ""
    figure.suptitle(f"{run_dir.name}: {manifest.data.name}, seed {manifest.seed}{metrics}")
    return _render(figure, ending)


def _render(figure: Figure, ending: str) -> bytes:
    buffer = io.BytesIO()
    if ending != ".png":
        figure.savefig(buffer, format=ending[1:], dpi=110)
        return buffer.getvalue()
    figure.set_dpi(110)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    image, info = Image.fromarray(pixels).convert("RGB"), PngInfo()
    info.add_text(DIGEST, hashlib.sha256(image.tobytes()).hexdigest())
    image.save(buffer, format="PNG", pnginfo=info)
    return buffer.getvalue()


def is_curves(path: Path) -> bool:
    """Whether a file is an unmodified PNG of :func:`draw_curves`."""
    try:
        if path.is_symlink() or not path.is_file():
            return False
        with Image.open(path) as image:
            digest = getattr(image, "text", {}).get(DIGEST)
            return digest is not None and hashlib.sha256(image.tobytes()).hexdigest() == digest
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False


def _draw_players(panel: Axes, title: str, names: Mapping[str, str], lines: Lines, critic: bool) -> None:
    means = list_means(lines)
    for (name, label), colour in zip(names.items(), COLOURS, strict=True):
        panel.plot(*collect_points(lines, name), color=colour, alpha=0.25, linewidth=0.8)
        panel.plot(*collect_points(means, name), color=colour, marker="o", markersize=3, label=label)
    if "d_real" in names and critic:
        title = "mean critic scores"
    elif "d_real" in names:
        panel.axhline(EQUILIBRIUM, color="grey", linestyle="--", linewidth=1, label="equilibrium")
        panel.set_ylim(0, 1)
    _label(panel, title)


def _draw_metric(panel: Axes, name: str, lines: Lines, floor: float | None) -> None:
    panel.plot(*collect_points(lines, name), color="tab:green", marker="o", markersize=3, label=name)
    if floor is not None:
        panel.axhline(floor, color="grey", linestyle="--", linewidth=1, label=f"floor (real images), {floor:.3g}")
    _label(panel, name)


def _label(panel: Axes, title: str) -> None:
    panel.set_title(title, fontsize="medium")
    panel.set_xlabel("step")
    panel.legend(fontsize="small")
