"""What TensorBoard's own reader finds in a run's folder: curves, pictures, texts, charts, and nothing twice."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from conftest import tiny_runner
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event as TFEvent

from callbacks.events import points, read
from ms_gan_callbacks import Callback, Every, GanWarning, ImageGrid, Run, Runner, TensorBoard, load_recipe
from ms_gan_callbacks.callbacks.metrics_log import MetricsLog
from ms_gan_callbacks.testing import make_run

SCALARS = ("d_loss", "g_loss", "d_real", "d_fake", "value")
STEPS = [3, 6, 9, 10, 12, 15]  # every third of 2 epochs of 5 steps, their last, then every third of one epoch more
TITLE = "it's | `so`"
SOURCE = f'''\
"""A tiny GAN.

    # Not a heading, <b>not bold</b>, not a fence:
```
"""
from conftest import TinyDiscriminator, TinyGenerator, adam
from ms_gan_callbacks import ArraySource, NonSaturating, Recipe
import numpy as np


def recipe(batch_size: int = 4, title: str = "{TITLE}", folder: str | None = None) -> Recipe:
    images = np.random.default_rng(0).integers(0, 256, (20, 1, 4, 4), dtype=np.uint8)
    return Recipe(generator=TinyGenerator, discriminator=TinyDiscriminator, objective=NonSaturating(), epochs=2,
                  optimizer=adam, data=lambda: ArraySource(images, batch_size), noise_dim=3, callbacks=[])
'''


class Logs(Callback):
    picture = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)

    def on_train_step_end(self, run: Run) -> None:
        if run.step in (4, 6):
            run.log(mine=run.step / 4)
        if run.step == 4:
            run.log(**{"mine/picture": self.picture, "mine/number": -1})

    def on_train_epoch_end(self, run: Run) -> None:
        run.log(at_epoch=run.epoch)


def callbacks() -> list[Callback]:
    every = Every.steps(3)
    return [TensorBoard(every), MetricsLog(every), ImageGrid(Every.epochs(1), rows=2, columns=3), Logs()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run of two epochs, trained on for one more."""
    folder = tmp_path_factory.mktemp("tensorboard")
    path = folder / "tiny.py"
    path.write_text(SOURCE)
    runner = Runner.from_recipe(load_recipe(path), folder / "run")
    runner.train(callbacks=callbacks(), quiet=True)
    runner.train(1, callbacks=callbacks(), quiet=True)
    return folder / "run"


@pytest.fixture(scope="module")
def events(folder: Path) -> EventAccumulator:
    return read(folder)


def text(events: EventAccumulator, tag: str) -> str:
    (event,) = events.Tensors(f"{tag}/text_summary")
    return event.tensor_proto.string_val[0].decode()


def test_the_curves_are_all_there_and_no_others(events: EventAccumulator) -> None:
    assert set(events.Tags()["scalars"]) == {
        *(f"gan/{name}" for name in (*SCALARS, "mine", "at_epoch")),
        "mine/number",
        "optimizer/learning_rate_generator",
        "optimizer/learning_rate_discriminator",
        "performance/steps_per_second",
    }


@pytest.mark.parametrize("name", SCALARS)
def test_a_curve_has_one_point_a_due_step_equal_to_the_metrics_logs(
    name: str, events: EventAccumulator, folder: Path
) -> None:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    logged = [(line["step"], line[name]) for line in lines if name in line]
    # The log keeps to its schedule; TensorBoard also shows where a run ended, here in mid-schedule at step 10.
    assert [step for step, _ in logged] == [step for step in STEPS if step % 3 == 0]
    curve = points(events, f"gan/{name}")
    assert [step for step, _ in curve] == STEPS
    assert [point for point in curve if point[0] % 3 == 0] == logged


def test_what_callbacks_log_appears_once_at_its_step(events: EventAccumulator) -> None:
    assert points(events, "gan/mine") == [(4, 1.0), (6, 1.5)]
    assert points(events, "mine/number") == [(4, -1.0)]
    assert points(events, "gan/at_epoch") == [(5, 1.0), (10, 2.0), (15, 3.0)]


def test_learning_rates_and_speed_are_told_at_every_due_step(events: EventAccumulator) -> None:
    for player in ("generator", "discriminator"):
        assert points(events, f"optimizer/learning_rate_{player}") == [
            (step, pytest.approx(0.01)) for step in STEPS
        ]
    speed = points(events, "performance/steps_per_second")
    assert [step for step, _ in speed] == STEPS
    assert all(value > 0 for _, value in speed)


def pictures(events: EventAccumulator, tag: str) -> list[tuple[int, np.ndarray]]:
    return [
        (event.step, np.asarray(Image.open(io.BytesIO(event.encoded_image_string))))
        for event in events.Images(tag)
    ]


def test_grids_are_the_pngs_on_disk(events: EventAccumulator, folder: Path) -> None:
    shown = pictures(events, "samples/grid")
    assert [step for step, _ in shown] == [5, 10, 15]
    for epoch, (_, grid) in enumerate(shown, start=1):
        on_disk = np.asarray(Image.open(folder / "samples" / f"epoch-{epoch:04d}.png"))
        assert on_disk.shape == (2 * 86 + 2, 3 * 86 + 2)  # enlarged: 4 pixels a side are 84
        np.testing.assert_array_equal(grid, on_disk)


def test_pictures_of_other_callbacks_keep_their_colours(events: EventAccumulator) -> None:
    ((step, picture),) = pictures(events, "mine/picture")
    assert step == 4
    np.testing.assert_array_equal(picture, Logs.picture)


def test_the_recipe_is_shown_word_for_word_as_code(events: EventAccumulator) -> None:
    lines = text(events, "recipe").split("\n")
    assert all(line.startswith("\t") for line in lines)
    assert [line[1:] for line in lines] == SOURCE.splitlines()


def test_arguments_and_data_are_shown_as_text(events: EventAccumulator, folder: Path) -> None:
    arguments = text(events, "arguments").split("\n")
    assert arguments == ["\tbatch_size = 4", f"\ttitle      = {TITLE!r}", "\tfolder     = None"]
    data = json.loads((folder / "run.json").read_text())["data"]
    assert f"\tsha256 = {data['sha256']!r}" in text(events, "data").split("\n")
    assert "\tcount  = 20" in text(events, "data").split("\n")


def hparams(events: EventAccumulator, tag: str) -> HParamsPluginData:
    content = events.SummaryMetadata(f"_hparams_/{tag}").plugin_data.content
    return HParamsPluginData.FromString(content)


def test_the_table_of_hparams_has_the_arguments_and_results(events: EventAccumulator) -> None:
    start = hparams(events, "session_start_info").session_start_info.hparams
    assert start["batch_size"].number_value == 4
    assert start["title"].string_value == TITLE
    assert start["folder"].string_value == "None"
    experiment = hparams(events, "experiment").experiment
    assert {info.name for info in experiment.hparam_infos} == {"batch_size", "title", "folder"}
    results = {info.name.tag for info in experiment.metric_infos}
    assert results
    assert results <= set(events.Tags()["scalars"])


def test_both_players_share_a_chart_and_every_chart_has_data(events: EventAccumulator) -> None:
    (event,) = events.Tensors("custom_scalars__config__")
    (category,) = Layout.FromString(event.tensor_proto.string_val[0]).category
    charts = [set(chart.multiline.tag) for chart in category.chart]
    assert {"gan/d_loss", "gan/g_loss"} in charts
    assert {"gan/d_real", "gan/d_fake"} in charts
    assert set().union(*charts) <= set(events.Tags()["scalars"])


def test_each_call_of_train_writes_a_file_that_differs_in_more_than_its_second(folder: Path) -> None:
    names = [path.name for path in (folder / "tensorboard").iterdir()]
    assert len({re.sub(r"tfevents\.\d+", "", name) for name in names}) == len(names) == 2


def test_a_library_run_without_a_recipe_shows_what_there_is(images: np.ndarray) -> None:
    tiny_runner().train(1, images, [TensorBoard(Every.steps(5))], batch_size=4, quiet=True)
    tags: Mapping[str, list[str]] = read(Path("run")).Tags()
    assert {"data/text_summary", "custom_scalars__config__"} == set(tags["tensors"])
    assert "gan/d_loss" in tags["scalars"]


def begin(step: int) -> None:
    """Let a TensorBoard begin a run that goes on after a step, and write a point of the next one."""
    board, run = TensorBoard(Every.steps(1)), make_run("run", step=step, epochs=9)
    with board:
        board.on_train_begin(run)
        run.progress.step += 1
        board.write(run, {"mine": step + 1.0})


def test_only_event_files_of_ours_are_touched_when_a_run_goes_on() -> None:
    begin(4)
    theirs = {
        "my-tfevents-notes.txt": b"keep this",
        "events.out.tfevents.1700000000.host.17.0": EventsWriter,
        "events.out.tfevents.1700000000.host.0.17": b"",
        "old.events.out.tfevents.1.host.0.1.ms-gan.bak": b"a copy",
    }
    for name, content in theirs.items():
        path = Path("run/tensorboard", name)
        if isinstance(content, bytes):
            path.write_bytes(content)
            continue
        writer = EventsWriter(str(path.with_name("other")))
        writer.write_event(TFEvent(step=99, file_version="brain.Event:2"))
        writer.close()
        Path(writer._file_name).rename(path)
    before = {name: Path("run/tensorboard", name).read_bytes() for name in theirs}
    Path("elsewhere.ms-gan").write_bytes(b"somebody's")
    Path("run/tensorboard/linked.ms-gan").symlink_to(Path("elsewhere.ms-gan").resolve())
    Path("run/tensorboard/folder.ms-gan").mkdir()
    begin(3)
    assert {name: Path("run/tensorboard", name).read_bytes() for name in theirs} == before
    assert Path("elsewhere.ms-gan").read_bytes() == b"somebody's"
    ours = [path for path in Path("run/tensorboard").iterdir() if path.name.endswith(".ms-gan") and path.is_file()]
    [mine] = [path for path in ours if not path.is_symlink()]  # the first one held nothing up to step 3
    assert ".3." in mine.name


@pytest.mark.parametrize("at", [0, 3, 40])
def test_a_damaged_event_file_is_left_as_it_is_with_a_word(at: int) -> None:
    begin(4)
    [path] = Path("run/tensorboard").iterdir()
    content = bytearray(path.read_bytes())
    assert len(content) > 60
    start = 0 if at < 12 else 12 + int.from_bytes(content[:8], "little") + 4
    content[start + at % 12] ^= 0xFF
    path.write_bytes(content)
    with pytest.warns(GanWarning, match="is damaged and left unchanged"):
        begin(9)
    assert path.read_bytes() == bytes(content)


def test_a_torn_event_is_cut_off() -> None:
    begin(4)
    [path] = Path("run/tensorboard").iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:20])
    begin(9)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("before", [False, True], ids=["not imported before", "imported before"])
def test_pytorch_is_not_imported_where_it_is_installed(tmp_path: Path, before: bool) -> None:
    package = tmp_path / "torch"
    package.mkdir()
    (package / "__init__.py").write_text("Tensor = int\n")
    program = f"""
import sys
{"import torch" if before else ""}
from ms_gan_callbacks import TensorBoard
TensorBoard()
import ms_gan_callbacks.callbacks.tensorboard
assert ("torch" in sys.modules) is {before}
import torch
assert torch.Tensor is int
"""
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "PYTHONPATH": path})
