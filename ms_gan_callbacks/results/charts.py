"""Line charts: inline SVG for pages, whose colours follow the page's theme, and panels of a figure."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ms_gan_callbacks.results.log import PAIRS, Lines, collect_points, list_logged, list_means

SIZE = (5.2, 2.5)
"""Width and height of a chart in inches."""
MOST_POINTS = 400
"""Maximum number of points of a curve in a page."""
INK, COLOURS = "#010203", [f"#0102{number:02x}" for number in range(0x10, 0x18)]
"""Colours that stand for those of the page's theme, in the SVG."""
PRINTED = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown", "tab:pink", "tab:olive")
"""The same colours in a figure."""


@dataclass(frozen=True)
class Series:
    """A curve: values by step or epoch, NaN for gaps.

    Attributes:
        label: its name.
        x: steps or epochs.
        y: values.
        colour: number of its colour.
        style: "line" with a marker at each point, "pale" for values in the background, "level" for a constant.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    colour: int = 0
    style: str = "line"


@dataclass(frozen=True)
class Chart:
    """A chart of several curves.

    Attributes:
        title: heading of the chart.
        unit: label of the horizontal axis.
        series: the curves.
        limits: range of the vertical axis, or None.
    """

    title: str
    unit: str
    series: Sequence[Series]
    limits: tuple[float, float] | None = None


@dataclass(frozen=True)
class Drawn:
    """A chart as part of a page.

    Attributes:
        chart: the chart.
        svg: the SVG element.
        data: positions and values, from which a script shows the values under the pointer.
    """

    chart: Chart
    svg: Markup
    data: Mapping[str, Any] = field(default_factory=dict)


def make_charts(lines: Lines, floors: Mapping[str, float], critic: bool) -> list[Chart]:
    """Return the charts of a run: losses, outputs of the discriminator, each metric, other logged values."""
    charts, means = [], list_means(lines)
    for title, names in PAIRS.items():
        series = []
        for colour, (name, label) in enumerate(names.items()):
            series.append(Series(label, *collect_points(lines, name), colour, "pale"))
            series.append(Series(label, *collect_points(means, name), colour))
        series = [one for one in series if one.x]
        probabilities = title != "losses" and not critic
        if series and probabilities:
            series.append(Series("equilibrium", [], [0.5], style="level"))
        if series:
            shown = "mean critic scores" if critic and title != "losses" else title
            charts.append(Chart(shown, "step", series, (0.0, 1.0) if probabilities else None))
    for name in list_logged(lines, floors):
        series = [Series(name, *collect_points(lines, name), 2)]
        if name in floors:
            series.append(Series(f"floor (real images), {floors[name]:.3g}", [], [floors[name]], style="level"))
        charts.append(Chart(name, "step", series))
    return charts


def draw_chart(chart: Chart) -> Drawn:
    """Draw a chart for a page."""
    salt = f"{chart.title} {chart.series[0].label if chart.series else ''}"
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt, "font.family": "sans-serif"}):
        figure = Figure(figsize=SIZE, layout="constrained")
        panel = figure.subplots()
        draw_panel(panel, chart, COLOURS, INK)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    (left, bottom), (right, top) = panel.get_position().get_points().tolist()
    width, height = (72 * inches for inches in SIZE)
    curves = [
        {"label": one.label, "colour": one.colour, "x": list(one.x), "y": _round(one.y)}
        for one in map(_thin_out, chart.series)
        if one.style == "line"
    ]
    data = {
        "box": [left * width, (1 - top) * height, right * width, (1 - bottom) * height],
        "x": list(panel.get_xlim()),
        "y": list(panel.get_ylim()),
        "unit": chart.unit,
        "series": curves,
    }
    return Drawn(chart, _clean(buffer.getvalue().decode()), data)


def draw_panel(panel: Axes, chart: Chart, colours: Sequence[str] = PRINTED, ink: str = "black") -> None:
    """Draw a chart in a panel of a figure, without title and legend."""
    for one in map(_thin_out, chart.series):
        colour = colours[one.colour % len(colours)]
        if one.style == "level":
            panel.axhline(one.y[0], color=ink, linestyle="--", linewidth=0.8, alpha=0.7, label=one.label)
        elif one.style == "pale":
            panel.plot(one.x, one.y, color=colour, alpha=0.35, linewidth=0.7)
        else:
            panel.plot(one.x, one.y, color=colour, marker="o", markersize=2.5, linewidth=1.4, label=one.label)
    if chart.limits:
        panel.set_ylim(*chart.limits)
    panel.set_xlabel(chart.unit, color=ink)
    panel.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    panel.tick_params(colors=ink)
    panel.grid(color=ink, alpha=0.12, linewidth=0.6)
    panel.spines[:].set_color(ink)
    panel.spines[["top", "right"]].set_visible(False)


def _thin_out(series: Series) -> Series:
    """Return a curve of at most MOST_POINTS points, among them the first and the last."""
    if len(series.x) <= MOST_POINTS:
        return series
    kept = np.linspace(0, len(series.x) - 1, MOST_POINTS).round().astype(int)
    x, y = ([values[place] for place in kept] for values in (series.x, series.y))
    return Series(series.label, x, y, series.colour, series.style)


def _round(values: Sequence[float]) -> list[float | None]:
    """Return values with six digits; None in place of NaN, which JSON does not support."""
    return [float(f"{value:.6g}") if math.isfinite(value) else None for value in values]


def _clean(svg: str) -> Markup:
    """Return the SVG element of a file, with the colours of the page in place of those that stand for them.

    It does not contain any text of a run: titles and legends are part of the page, which escapes them.
    """
    svg = svg[svg.index("<svg") :]
    for unused in (r"<metadata>.*?</metadata>", r"<style.*?</style>", r"<!--.*?-->"):
        svg = re.sub(unused, "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"|(<svg[^>]*?) height="[^"]*"', r"\1\2", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)  # a page has several
    svg = re.sub(r"font-family: [^;]*; ", "", svg)
    svg = svg.replace(INK, "currentColor")
    for number, colour in enumerate(COLOURS):
        svg = svg.replace(colour, f"var(--c{number})")
    return Markup(re.sub(r"\s*\n\s*", "\n", svg))
