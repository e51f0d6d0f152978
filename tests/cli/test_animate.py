"""``ms-gan animate``: what each frame shows, in every format, and folders of which there is nothing to show."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from cli.test_resume_command import TINY, ms_gan, trained
from ms_gan_callbacks.results import animation
from ms_gan_callbacks.results.frames import interpolate, list_grids
from ms_gan_callbacks.results.inference import Trained

WITH_GRIDS = TINY.replace(
    "callbacks=[Checkpoint()]", "callbacks=[Checkpoint(keep=None), ImageGrid(rows=2)]"
).replace("import ArraySource,", "import ArraySource, ImageGrid,")
GRID = (5 * 86 + 2, 2 * 86 + 2)

pytestmark = pytest.mark.slow  # trains runs


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(WITH_GRIDS, tmp_path_factory.mktemp("animate"))


@pytest.fixture
def run_dir(once: Path) -> Path:
    """Return a copy of a run of two epochs, whose log has a value of fld after each."""
    shutil.copytree(once, ".", dirs_exist_ok=True)
    log = Path("runs/one/metrics.jsonl")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    measured = [{"step": step, "epoch": step // 5, "fld": 40.0 / step} for step in (5, 10)]
    log.write_text("".join(json.dumps(line) + "\n" for line in [*lines, *measured]))
    facts = json.loads(Path("runs/one/run.json").read_text())
    facts["evaluation"] = {"samples": 100, "features": "lenet", "floors": {"fld": 0.1}}
    Path("runs/one/run.json").write_text(json.dumps(facts))
    return Path("runs/one")


def frames(path: str) -> list[np.ndarray]:
    with Image.open(path) as image:
        return [np.asarray(frame.convert("L"), int) for frame in ImageSequence.Iterator(image)]


def test_a_frame_is_a_saved_grid_with_its_caption_below(run_dir: Path) -> None:
    result = ms_gan("animate", str(run_dir))
    assert (result.exit_code, result.stdout) == (0, f"2 frames of the grids in {run_dir}/samples: animation.gif\n")
    assert [grid.make_caption("fld") for grid in list_grids(run_dir)] == ["epoch 1, fld 8", "epoch 2, fld 4"]
    shown = frames("animation.gif")
    assert len(shown) == 2
    for number, frame in enumerate(shown, 1):
        saved = np.asarray(Image.open(run_dir / f"samples/epoch-000{number}.png").convert("L"), int)
        assert saved.shape == GRID[::-1]
        np.testing.assert_array_equal(frame[: len(saved)], saved)
        assert frame[len(saved) :].max() > 200
    assert ms_gan("animate", str(run_dir)).stdout.endswith(": animation-2.gif\n")


def test_the_last_frame_is_held_and_the_animation_repeats(run_dir: Path) -> None:
    assert ms_gan("animate", str(run_dir), "-o", "a.gif", "--fps", "4").exit_code == 0
    with Image.open("a.gif") as image:
        assert image.info["loop"] == 0
        assert [frame.info["duration"] for frame in ImageSequence.Iterator(image)] == [250, 1750]


def test_webp_shows_the_same(run_dir: Path) -> None:
    assert ms_gan("animate", str(run_dir), "-o", "a.webp").exit_code == 0
    for number, frame in enumerate(frames("a.webp"), 1):
        saved = np.asarray(Image.open(run_dir / f"samples/epoch-000{number}.png").convert("L"), int)
        assert np.abs(frame[: len(saved)] - saved).mean() < 8


@pytest.mark.slow
def test_a_video_has_all_frames_and_even_sides(run_dir: Path) -> None:
    ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="needs pip install -e '.[video]'").get_ffmpeg_exe()
    assert ms_gan("animate", str(run_dir), "-o", "a.mp4", "--fps", "2").exit_code == 0
    subprocess.run([ffmpeg, "-loglevel", "error", "-i", "a.mp4", "frame-%d.png"], check=True)
    assert len(list(Path().glob("frame-*.png"))) == 2 + 3  # the last one is held for 1.5 s
    shown = np.asarray(Image.open("frame-2.png").convert("L"), int)
    saved = np.asarray(Image.open(run_dir / "samples/epoch-0002.png").convert("L"), int)
    assert not (shown.shape[0] % 2 or shown.shape[1] % 2)
    assert np.abs(shown[: len(saved), : saved.shape[1]] - saved).mean() < 12


def test_without_the_extra_a_video_is_refused_before_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(animation, "find_spec", lambda name: None)
    result = ms_gan("animate", "nowhere", "-o", "a.mp4")
    assert result.exit_code == 2
    [line] = result.stderr.splitlines()
    assert "needs imageio-ffmpeg: pip install 'ms-gan-callbacks[video]', or write .gif or .webp" in line


def test_a_walk_is_closed_and_begins_with_the_grid_of_its_noise(run_dir: Path) -> None:
    result = ms_gan("animate", str(run_dir), "--interpolate", "--frames", "9", "-n", "4", "-o", "a.gif")
    assert result.stdout == "9 frames of a walk in latent space, step 10: a.gif\n", result.stderr
    assert ms_gan("sample", str(run_dir), "-n", "4", "-o", "a.png").exit_code == 0
    shown = frames("a.gif")
    np.testing.assert_array_equal(shown[0][: 2 * 86 + 2], np.asarray(Image.open("a.png").convert("L"), int))
    steps = [np.abs(one - next_one).mean() for one, next_one in zip(shown, [*shown[1:], shown[0]], strict=True)]
    assert steps[-1] < 2 * max(steps[:-1])


def test_without_grids_the_checkpoints_are_the_frames(run_dir: Path) -> None:
    shutil.move(run_dir / "samples", "samples")
    result = ms_gan("animate", str(run_dir), "-n", "10", "-o", "a.gif")
    assert result.stdout == f"2 frames of the checkpoints in {run_dir}/checkpoints: a.gif\n", result.stderr
    trained = Trained(run_dir)
    first, last = frames("a.gif")
    for step, frame in ((5, first), (10, last)):
        trained.load(step)
        mean = ((trained.generate(trained.noise(10)) + 1) * 127.5).mean()
        assert abs(frame[: 4 * 86 + 2].mean() * (4 * 86 + 2) * (3 * 86 + 2) / (10 * 84 * 84) - mean) < 2


@pytest.mark.filterwarnings("default::ms_gan_callbacks.errors.GanWarning")
def test_a_damaged_grid_is_left_out_and_named(run_dir: Path) -> None:
    (run_dir / "samples/epoch-0001.png").write_bytes(b"\x89PNG nonsense")
    (run_dir / "samples/notes.txt").write_text("mine")
    result = ms_gan("animate", str(run_dir), "-o", "a.gif")
    assert result.stdout.startswith("1 frame of")
    [line] = result.stderr.splitlines()
    assert re.search(r"epoch-0001\.png is damaged: .*; the frame is left out$", line)


def test_grids_after_the_newest_epoch_of_the_log_are_of_an_abandoned_attempt(run_dir: Path) -> None:
    shutil.copy(run_dir / "samples/epoch-0002.png", run_dir / "samples/epoch-0003.png")
    assert [grid.epoch for grid in list_grids(run_dir)] == [1, 2]


@pytest.mark.parametrize("dim", [1, 2, 100])
def test_spherical_interpolation_keeps_the_norm_between_those_of_its_ends(dim: int) -> None:
    start, end = np.random.default_rng(0).standard_normal((2, 50, dim), dtype=np.float32)
    norms = np.linalg.norm([start, end], axis=2)
    np.testing.assert_allclose(interpolate(start, end, 0.0), start, atol=1e-5)
    np.testing.assert_allclose(interpolate(start, end, 1.0), end, atol=1e-5)
    if dim > 1:  # on a line, the way between opposite vectors leads through zero
        middle = np.linalg.norm(interpolate(start, end, 0.5), axis=1)
        np.testing.assert_allclose(middle, norms.mean(0), rtol=1e-3)
    assert np.isfinite(interpolate(start, -start, 0.5)).all()
    assert np.isfinite(interpolate(np.zeros_like(start), end, 0.5)).all()


MISTAKES = {
    "no such folder": (["runs/two"], "run directory not found: runs/two"),
    "no run": (["runs"], "runs is not a run directory: it has no run.json"),
    "another ending": (["runs/one", "-o", "a.avi"], "a.avi must end in .gif, .webp or .mp4"),
    "no classes": (
        ["runs/one", "--class", "1"],
        "--class is for conditional runs, and runs/one was",
    ),
    "a length without a walk": (
        ["runs/one", "--frames", "9"],
        "--frames is for a walk: pass --interpolate, too",
    ),
    "a checkpoint without a walk": (["runs/one", "--checkpoint", "5"], "--checkpoint is for a walk"),
    "a count of saved grids": (["runs/one", "-n", "9"], "--count is for generated images: pass --interpolate"),
    "no such checkpoint": (["runs/one", "--interpolate", "--checkpoint", "7"], "there is no checkpoint"),
    "too large": (["runs/one", "--interpolate", "-n", "1000", "--frames", "2000"], "too many for one animation"),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_no_file(kind: str, run_dir: Path) -> None:
    arguments, message = MISTAKES[kind]
    before = sorted(Path().rglob("*"))
    result = ms_gan("animate", *arguments)
    assert result.exit_code == 2
    [line] = result.stderr.splitlines()
    assert message in line
    assert sorted(Path().rglob("*")) == before


def test_an_empty_and_a_damaged_run_are_one_line(run_dir: Path) -> None:
    Path("empty").mkdir()
    Path("empty/run.json").write_text("{}")
    damaged = Path("damaged")
    shutil.copytree(run_dir, damaged)
    (damaged / "metrics.jsonl").write_text('{"step": "x"}\n')
    for folder, message in (
        ("empty", "empty was not created from a recipe"),
        ("damaged", "metrics.jsonl is damaged"),
    ):
        result = ms_gan("animate", folder, "-o", "a.gif")
        [line] = result.stderr.splitlines()
        assert (result.exit_code, message in line) == (2, True), line
    assert not Path("a.gif").exists()
