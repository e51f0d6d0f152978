"""TensorBoard: writes curves, image grids, the recipe and its arguments as event files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ms_gan_callbacks.callbacks.event_file import EventFile, drop_events_after
from ms_gan_callbacks.callbacks.tensorboardx import Summary, summary
from ms_gan_callbacks.data.images import to_png
from ms_gan_callbacks.events.callback import Writer
from ms_gan_callbacks.events.events import Every
from ms_gan_callbacks.events.run import Run


def make_layout(run: Run) -> dict[str, dict[str, list[Any]]]:
    """Return the charts that show all players: their losses, and probabilities or a critic's scores."""
    critic = run.critic
    if "d_real" not in run.epoch_means.names:
        return {"Players": {"losses": ["Multiline", [f"gan/{name}" for name in run.losses]]}}
    scores = "D(x) and D(G(z)), scores of a critic" if critic else "D(x) and D(G(z)), both 0.5 at equilibrium"
    value = "D(x) - D(G(z))" if critic else "V(D, G), -1.386 at equilibrium"
    return {
        "Generator against discriminator": {
            "losses": ["Multiline", ["gan/d_loss", "gan/g_loss"]],
            scores: ["Multiline", ["gan/d_real", "gan/d_fake"]],
            value: ["Multiline", ["gan/value"]],
        }
    }


NOT_A_RESULT = "value"
"""The scalar that the HPARAMS tab does not show, in addition to the arguments of a run."""


class TensorBoard(Writer):
    """Writes event files to ``tensorboard/`` in the run directory.

    Scalars have the tag ``gan/<name>``, or ``model/<name>`` in a ``mindspore.train.Model``; learning rates
    ``optimizer/learning_rate_<player>``; speed ``performance/steps_per_second``. Values logged by callbacks are
    written at the step in which they are logged. The learning rate is the one used by the step's update; the speed
    is the mean since the previous point, without compilation. A write error ends the writing, not the run.

    Args:
        every: which steps to write.
        flush_seconds: maximum delay before TensorBoard can read a value, in seconds.
    """

    optional = True
    writes = ("tensorboard/*",)

    def __init__(self, every: Every = Every.steps(50), flush_seconds: float = 10) -> None:
        super().__init__(every)
        self.flush_seconds = flush_seconds
        self._file: EventFile | None = None
        self._rates: dict[str, float] = {}
        self._seen: tuple[int, float] | None = None

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            file.close()

    def on_train_begin(self, run: Run) -> None:
        drop_events_after(run.out_dir / "tensorboard", run.step if run.step else -1)
        self._file = EventFile(run.out_dir / "tensorboard", f".{run.step}.{os.getpid()}", self.flush_seconds)
        self._seen = None
        if run.step == 0:
            self._file.add(_describe_run(run), 0)

    def state(self) -> dict[str, Any]:
        if self._file is not None:
            self._file.flush()  # the curves must not be behind the checkpoint
        return super().state()

    def on_train_step_begin(self, run: Run) -> None:
        # After the update a schedule returns the next step's rate.
        self._rates = run.learning_rates() if self.every.due(run.progress) or run.step == run.steps else {}

    def on_train_step_end(self, run: Run) -> None:
        if self._seen is None:
            self._seen = (run.step, perf_counter())
        super().on_train_step_end(run)

    def on_eval_end(self, run: Run) -> None:
        self._add(run, {f"metrics/{name}": value for name, value in run.metrics.items()})
        self.see_logged(run)

    def on_train_end(self, run: Run) -> None:
        super().on_train_end(run)
        if self._file is not None and run.manifest.arguments:
            *_, success = summary.hparams({}, {})
            self._file.add([success], run.step)

    def act(self, run: Run) -> None:
        values = {f"{run.group}/{name}": value for name, value in run.scalars.of_step().items()}
        values |= {f"optimizer/learning_rate_{player}": rate for player, rate in self._rates.items()}
        self._add(run, values | self._measure_speed(run))

    def write(self, run: Run, values: Mapping[str, float]) -> None:
        self._add(run, {name if "/" in name else f"{run.group}/{name}": value for name, value in values.items()})

    def write_images(self, run: Run, images: Mapping[str, NDArray[np.uint8]]) -> None:
        if self._file is not None:
            self._file.add([_make_image(name, one) for name, one in images.items()], run.step)

    def _add(self, run: Run, values: Mapping[str, float]) -> None:
        if self._file is not None:
            self._file.add([values], run.step)

    def _measure_speed(self, run: Run) -> dict[str, float]:
        now = perf_counter()
        step, then = self._seen or (run.step, now)
        self._seen = (run.step, now)
        return {"performance/steps_per_second": (run.step - step) / (now - then)} if run.step > step else {}


def _make_image(tag: str, image: NDArray[np.uint8]) -> Any:
    """Return the summary of an image; tensorboardX would encode gray images as RGB, in twice the time."""
    height, width, *channels = image.shape
    encoded = Summary.Image(
        height=height, width=width, colorspace=(*channels, 1)[0], encoded_image_string=to_png(image)
    )
    return Summary(value=[Summary.Value(tag=tag, image=encoded)])


def _describe_run(run: Run) -> list[Any]:
    """Return the summaries written once: the chart layout, the data, the recipe and the HPARAMS row."""
    parts = [summary.custom_scalars(make_layout(run))] if run.group == "gan" else []
    parts.append(summary.text("data", _format_values(run.manifest.data.facts)))
    if run.recipe_source:
        parts.append(summary.text("recipe", _format_code(run.recipe_source.splitlines())))
    arguments = run.manifest.arguments or {}
    if arguments:
        parts.append(summary.text("arguments", _format_values(arguments)))
        # The table supports only these types.
        plain = {
            name: value if isinstance(value, (bool, int, float, str)) else repr(value)
            for name, value in arguments.items()
        }
        results = [f"{run.group}/{name}" for name in run.epoch_means.names if name != NOT_A_RESULT]
        *begin, _ = summary.hparams(plain, dict.fromkeys(results))  # the last part is written in on_train_end
        parts += begin
    return parts


def _format_values(values: Mapping[str, Any]) -> str:
    width = max(map(len, values), default=0)
    return _format_code(f"{name:<{width}} = {value!r}" for name, value in values.items())


def _format_code(lines: Iterable[str]) -> str:
    """Format lines as Markdown code: indented by a tab, which needs no escaping."""
    return "\n".join("\t" + line for line in lines)
