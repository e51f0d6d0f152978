"""A run's curves as one picture: losses, what the discriminator thinks, and quality with its floor."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ms_gan_callbacks.errors import RunDirError, UsageError
from ms_gan_callbacks.storage.manifest import Manifest

PAIRS = {
    "losses": {"d_loss": "D's loss", "g_loss": "G's loss"},
    "what D thinks is real": {"d_real": "D(x)", "d_fake": "D(G(z))"},
}
EQUILIBRIUM = 0.5
KNOWN = {"step", "epoch", "epoch_means", "value", *PAIRS["losses"], *PAIRS["what D thinks is real"]}
COLOURS = ("tab:blue", "tab:orange")
DIGEST = "ms-gan curves"
"""What a PNG's text chunk is called that holds the sha256 of its pixels: a picture of ours, as we have left it."""

Lines = Sequence[Mapping[str, Any]]


def draw_curves(run_dir: Path, ending: str = ".png") -> bytes:
    """Draw what a run's ``metrics.jsonl`` holds; return the content of a picture file of that ending.

    Steps are pale, the means of epochs bold. Metrics, and whatever callbacks logged, have a panel each.

    Raises:
        RunDirError: the folder holds no run, or a damaged one.
        UsageError: the run has no numbers yet.
    """
    manifest, lines = Manifest.read(run_dir), _lines(run_dir / "metrics.jsonl")
    if not lines:
        raise UsageError(f"{run_dir} has no numbers yet: its metrics.jsonl is empty")
    floors = manifest.evaluation.floors
    logged = sorted({name for line in lines for name in line} - KNOWN, key=lambda name: (name not in floors, name))
    columns = 2
    rows = 1 + -(-len(logged) // columns)
    figure = Figure(figsize=(11, 3.2 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for panel, (title, names) in zip(panels, PAIRS.items(), strict=False):
        _draw_players(panel, title, names, lines, manifest.critic)
    for panel, name in zip(panels[len(PAIRS) :], logged, strict=False):
        _draw_metric(panel, name, lines, floors.get(name))
    for panel in panels[len(PAIRS) + len(logged) :]:
        panel.set_axis_off()
    for entry in manifest.history:
        if entry.to_step is not None:
            for panel in panels[: len(PAIRS) + len(logged)]:
                panel.axvline(entry.to_step, color="tab:red", linestyle=":", linewidth=1)
    figure.suptitle(_title(run_dir, manifest))
    return _content(figure, ending)


def _content(figure: Figure, ending: str) -> bytes:
    buffer = io.BytesIO()
    if ending != ".png":
        figure.savefig(buffer, format=ending[1:], dpi=110)
        return buffer.getvalue()
    figure.set_dpi(110)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    picture, told = Image.fromarray(pixels).convert("RGB"), PngInfo()
    told.add_text(DIGEST, hashlib.sha256(picture.tobytes()).hexdigest())
    picture.save(buffer, format="PNG", pnginfo=told)
    return buffer.getvalue()


def is_curves(path: Path) -> bool:
    """Whether a file is a PNG of :func:`draw_curves` that has not been changed since."""
    try:
        if path.is_symlink() or not path.is_file():
            return False
        with Image.open(path) as picture:
            told = getattr(picture, "text", {}).get(DIGEST)
            return told is not None and hashlib.sha256(picture.tobytes()).hexdigest() == told
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False  # what cannot be read as such is none


def _draw_players(panel: Axes, title: str, names: Mapping[str, str], lines: Lines, critic: bool) -> None:
    means = [{"step": line["step"], **line["epoch_means"]} for line in lines if "epoch_means" in line]
    for (name, label), colour in zip(names.items(), COLOURS, strict=True):
        panel.plot(*_points(lines, name), color=colour, alpha=0.25, linewidth=0.8)
        panel.plot(*_points(means, name), color=colour, marker="o", markersize=3, label=label)
    if "d_real" in names and critic:
        title = "the critic's mean scores"
    elif "d_real" in names:
        panel.axhline(EQUILIBRIUM, color="grey", linestyle="--", linewidth=1, label="equilibrium")
        panel.set_ylim(0, 1)
    _label(panel, title)


def _draw_metric(panel: Axes, name: str, lines: Lines, floor: float | None) -> None:
    panel.plot(*_points(lines, name), color="tab:green", marker="o", markersize=3, label=name)
    if floor is not None:
        panel.axhline(floor, color="grey", linestyle="--", linewidth=1, label=f"real against real, {floor:.3g}")
    _label(panel, name)


def _label(panel: Axes, title: str) -> None:
    panel.set_title(title, fontsize="medium")
    panel.set_xlabel("step")
    panel.legend(fontsize="small")


def _points(lines: Lines, name: str) -> tuple[list[int], list[float]]:
    """Return the steps at which a number was written, and the numbers: NaN, a gap, where it was not finite."""
    found = [line for line in lines if name in line]
    return [line["step"] for line in found], [math.nan if line[name] is None else line[name] for line in found]


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise RunDirError(f"{path} cannot be read: {error}") from error
    whole = text.splitlines()[: text.count("\n")]  # a run that trains may be writing the last one
    try:
        return [dict(json.loads(line)) for line in whole]
    except (ValueError, TypeError) as error:
        raise RunDirError(f"{path} is damaged: {error}") from error


def _title(run_dir: Path, manifest: Manifest) -> str:
    told = manifest.evaluation
    judged = f"; metrics from {told.samples:,} images each, {told.features}" if told.samples else ""
    return f"{run_dir.name}: {manifest.data.name}, seed {manifest.seed}{judged}"
