"""Results as tables: for the terminal, and in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console as Terminal
from rich.table import Table as RichTable

from benchmarks.marks import judge
from benchmarks.numbers import Spread, above_import, blocks_of, per_step, ratio, spread_of_starts, switched_ratio

REFERENCES = ("torch", "torch-layer", "torch-network")
VERDICTS = {True: "met", False: "not met", None: "not measured"}


@dataclass(frozen=True)
class Table:
    """A title, column heads and rows of text."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """Write it in Markdown."""
        lines = [self.head, ["---", *("---:" for _ in self.head[1:])], *self.rows]
        return "\n".join([f"**{self.title}**", "", *(f"| {' | '.join(line)} |" for line in lines)])

    def print(self, terminal: Terminal) -> None:
        """Draw it."""
        drawn = RichTable(title=self.title, title_justify="left")
        for number, name in enumerate(self.head):
            drawn.add_column(name, justify="right" if number else "left", overflow="fold")
        for row in self.rows:
            drawn.add_row(*row)
        terminal.print(drawn)


def tables(results: Mapping[str, Any]) -> Iterator[Table]:
    """Yield a table for all that was measured, the marks first."""
    yield _marks(results)
    for setting, match in results.get("speed", {}).items():
        if setting != "facts":
            yield _contest(f"speed: {setting}", match, next((r for r in REFERENCES if r in match["first"]), ""))
    callbacks = results.get("callbacks", {})
    if callbacks:
        yield _costs({"all": callbacks["all"], **callbacks.get("each", {})})
        yield _acts(callbacks["acts"])
    scaling = results.get("scaling", {})
    if scaling:
        yield _epochs(scaling["epochs"]["bouts"][0]["runner"])
        yield _contest("scaling: images in an epoch", scaling["images"], "60000")
        yield _contest("scaling: batch", scaling["batch"], "32")


def _marks(results: Mapping[str, Any]) -> Table:
    rows = []
    for verdict in judge(results):
        found = verdict["measured"]
        measured = Spread(**found).text(3) if found else ""
        rows.append(
            [f"{verdict['number']}. {verdict['what']}", verdict["limit"], measured, VERDICTS[verdict["holds"]]]
        )
    return Table("targets", ("target", "limit", "median (range)", ""), rows)


def _contest(title: str, match: Mapping[str, Any], reference: str) -> Table:
    rows = []
    for name in match["first"]:
        blocks = blocks_of(match, name)
        if not blocks:
            continue
        pace = Spread.of(per_step(block) for block in blocks)
        against = ratio(match, name, reference) if reference in match["first"] else None
        rows.append(
            [
                name,
                pace.text(),
                f"{1000 / pace.median:.4g}",
                f"{Spread.of(per_step(block, 'cpu_seconds') for block in blocks).median:.2f}",
                against.text(3) if against else "",
                f"{max(block['peak_rss'] for block in blocks) / 1e6:.0f}",
                f"{max(map(above_import, blocks)):.0f}",
                spread_of_starts(match, name).text(1),
            ]
        )
    rows += [[name, f"left out: {why}", *[""] * 6] for name, why in match["left_out"].items()]
    head = (
        "",
        "ms/step",
        "steps/s",
        "CPU ms/step",
        f"/ {reference}",
        "peak MB",
        "above import",
        "s to first step",
    )
    return Table(f"{title}, median (range)", head, rows)


def _costs(costs: Mapping[str, Any]) -> Table:
    rows = [
        [name, Spread.of(cost["without"]).text(), Spread.of(cost["with"]).text(), switched_ratio(cost).text(3)]
        for name, cost in costs.items()
    ]
    head = ("", "ms/step without", "ms/step with", "with / without")
    return Table("callbacks: switched on and off in one run, whole epochs, median (range)", head, rows)


def _acts(acts: Mapping[str, Any]) -> Table:
    rows = [
        [f"an event with {count} callbacks, us", Spread.of(values).text()]
        for count, values in acts["dispatch_us"].items()
    ]
    rows += [
        [f"a checkpoint of {acts['checkpoint_bytes'] / 1e6:.0f} MB, ms", Spread.of(acts["checkpoint_ms"]).text(1)],
        ["a 5 x 5 grid, ms", Spread.of(acts["grid_ms"]).text(1)],
        ["a point in TensorBoard, flushed, ms", Spread.of(acts["tensorboard_flush_ms"]).text(2)],
        ["`fld` on 2,000 images, ms", Spread.of(acts["evaluation_ms"]).text(0)],
    ]
    rows += [
        [f"{name}: share of an epoch of {acts['bus_share_images']:,} images, by the bus, %", f"{share:.2f}"]
        for name, share in acts["bus_share_percent"].items()
    ]
    return Table("callbacks: single acts", ("", "median (range)"), rows)


def _epochs(epochs: Sequence[Mapping[str, Any]]) -> Table:
    shown = [number for number in (1, 2, 10, 25, 50) if number <= len(epochs)]
    rows = [
        [str(n), f"{sum(e['seconds'] for e in epochs[:n]):.1f}", f"{per_step(epochs[n - 1]):.2f}",
         f"{epochs[n - 1]['rss'] / 1e6:.0f}"]
        for n in shown
    ]  # fmt: skip
    head = ("epochs", "total s", "ms/step in the last", "MB after it")
    return Table(f"scaling: epochs of {epochs[0]['steps']} steps, all default callbacks", head, rows)
