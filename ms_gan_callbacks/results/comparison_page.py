"""A comparison of runs as tables of a terminal, as an HTML page and as one picture."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ms_gan_callbacks.data.images import image_grid
from ms_gan_callbacks.errors import UsageError, warn
from ms_gan_callbacks.results.charts import PRINTED, Chart, draw_chart, draw_panel
from ms_gan_callbacks.results.comparison import (
    RunFacts,
    decide,
    explain_noise,
    list_differences,
    list_environment_differences,
    make_comparison_charts,
    measure_spreads,
)
from ms_gan_callbacks.results.pages import embed_images, format_number, render_page
from ms_gan_callbacks.results.report import find_arrows

IMAGES = 25
STYLES = {"better": "green", "worse": "red", "differs": "yellow", "within noise": "dim"}


@dataclass(frozen=True)
class Cell:
    """The value of a metric of a run, its standard error, and the comparison with the first run."""

    value: str
    noise: str
    verdict: str


def list_metrics(runs: Sequence[RunFacts]) -> Iterator[tuple[str, list[Cell]]]:
    """Yield each metric with an arrow for its direction, and its value for each run."""
    spreads, arrows = measure_spreads(runs), find_arrows()
    for name in dict.fromkeys(name for run in runs for name in run.values):
        cells = []
        for run in runs:
            value, noise = format_number(run.values.get(name)), format_number(run.noise.get(name))
            cells.append(Cell(value, noise, decide(name, run, runs[0], spreads.get(name))))
        yield name + arrows.get(name, ""), cells


def make_tables(runs: Sequence[RunFacts]) -> Iterator[Table | str]:
    """Yield the tables of a comparison, and the notes below them."""
    settings = list_differences([run.list_settings() for run in runs])
    if settings:
        table = _make_table("Settings that differ", ["setting", *(run.name for run in runs)])
        for name, values in settings:
            table.add_row(*map(escape, (name, *values)))
        yield table
    else:
        yield "The settings do not differ."
    metrics = list(list_metrics(runs))
    if metrics:
        real = dict.fromkeys(run.real for run in runs if run.real)
        table = _make_table(f"Metrics of {'; '.join(real)}", ["metric", *(run.name for run in runs)])
        for name, cells in metrics:
            table.add_row(escape(name), *map(_format_cell, cells))
        yield table
        yield escape(explain_noise(runs, measure_spreads(runs)))
        if len(real) > 1:
            yield "Values for different images or features are not comparable."


def _make_table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=escape(title), title_justify="left", box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        table.add_column(escape(column), overflow="fold")
    return table


def _format_cell(cell: Cell) -> str:
    noise = f" ± {cell.noise}" if cell.noise else ""
    style = STYLES.get(cell.verdict)
    return f"{cell.value}{noise}" + (f"  [{style}]{cell.verdict}[/{style}]" if style else "")


def draw_grids(runs: Sequence[RunFacts], count: int = IMAGES) -> tuple[list[tuple[Image.Image, str]], str]:
    """Return an image grid for each run whose generator takes noise, with its name, and a note.

    The noise is the same for all runs if the length of its vectors is; runs of other games are left out.
    """
    known = [(run, run.trained) for run in runs if run.trained is not None]
    shown = [(run, trained) for run, trained in known if trained.takes_noise]
    for run, trained in known:
        if not trained.takes_noise:
            warn(f"{run.name} does not generate images from noise; its images are left out")
    pictures, lengths = [], set()
    for run, trained in shown:
        noise = trained.noise(count, seed=shown[0][1].recipe.seed)
        lengths.add(noise.shape[1])
        images, classes = trained.generate(noise), trained.recipe.classes
        columns = classes if classes and classes <= count else round(count**0.5)
        try:
            grid = image_grid(images, columns, scale=None)
        except ValueError as error:
            raise UsageError(f"{run.name}: {error}") from error
        pictures.append((Image.fromarray(grid), f"{run.name}, step {trained.step:,}"))
    same = "the same noise" if len(lengths) < 2 else "noise of different lengths"
    return pictures, f"Images of {same} in each grid."


def make_comparison_page(runs: Sequence[RunFacts]) -> bytes:
    """Return a comparison as a self-contained HTML page."""
    pictures, note = draw_grids(runs)
    metrics = list(list_metrics(runs))
    return render_page(
        "compare.html",
        command="ms-gan compare",
        names=[run.name for run in runs],
        settings=list_differences([run.list_settings() for run in runs]),
        environment=list_environment_differences(runs),
        metrics=metrics,
        real=list(dict.fromkeys(run.real for run in runs if run.real)),
        noise_note=explain_noise(runs, measure_spreads(runs)) if metrics else "",
        charts=[draw_chart(chart) for chart in make_comparison_charts(runs)],
        pictures=embed_images(pictures) if pictures else [],
        pictures_note=note,
    )


def draw_comparison(runs: Sequence[RunFacts]) -> bytes:
    """Return a comparison as a PNG file: curves, grids, and the tables as text."""
    charts, (pictures, _) = make_comparison_charts(runs), draw_grids(runs)
    text = "\n\n".join(_print_plain(part) for part in make_tables(runs))
    rows = -(-len(charts) // 2)
    heights = (0.3 + 2.6 * rows, 4.0 if pictures else 0.01, 0.17 * (text.count("\n") + 2))
    figure = Figure(figsize=(11, sum(heights)), layout="constrained")
    top, middle, bottom = np.ravel(np.asarray(figure.subfigures(3, 1, height_ratios=heights)))
    if charts:
        _draw_curves(top, charts, runs)
    for panel, (image, title) in zip(_add_panels(middle, 1, len(pictures)), pictures, strict=True):
        panel.imshow(np.asarray(image), cmap="gray", vmin=0, vmax=255)
        panel.set_title(title, fontsize="medium", parse_math=False)
        panel.set_axis_off()
    bottom.text(0.01, 0.98, text, va="top", family="DejaVu Sans Mono", fontsize=8, parse_math=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _draw_curves(figure: SubFigure, charts: Sequence[Chart], runs: Sequence[RunFacts]) -> None:
    panels = _add_panels(figure, -(-len(charts) // 2), 2)
    for panel, chart in zip(panels, charts, strict=False):
        draw_panel(panel, chart)
        panel.set_title(chart.title, fontsize="medium", parse_math=False)
    for panel in panels[len(charts) :]:
        panel.set_axis_off()
    handles = [Line2D([], [], color=PRINTED[place % len(PRINTED)]) for place in range(len(runs))]
    legend = figure.legend(handles, [run.name for run in runs], loc="outside upper left", ncols=4)
    for label in legend.get_texts():
        label.set_parse_math(False)


def _add_panels(figure: SubFigure, rows: int, columns: int) -> list[Axes]:
    return list(np.ravel(np.asarray(figure.subplots(rows, columns, squeeze=False)))) if rows * columns else []


def _print_plain(part: Table | str) -> str:
    buffer = io.StringIO()
    Console(file=buffer, width=140, highlight=False, color_system=None).print(part)
    return "\n".join(line.rstrip() for line in buffer.getvalue().rstrip().splitlines())
