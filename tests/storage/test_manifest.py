"""``run.json`` is read whatever version wrote it, refused in one line where it is damaged, and written back."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from conftest import tiny_runner

from ms_gan_callbacks import Callback, Checkpoint, Evaluation, Run, thumbnails
from ms_gan_callbacks.errors import RunDirError
from ms_gan_callbacks.storage.manifest import Manifest

RUN = Path("run")
FIRST = """{
  "recipe": "recipes/mlp.py",
  "recipe_sha256": "ab12",
  "arguments": {"epochs": 2, "shape": [1, 4, 4], "name": null},
  "git_revision": null,
  "callbacks": ["ImageGrid:rows=2"],
  "plugins": {"ink": "0.1.0"},
  "seed": 7,
  "noise_dim": 3,
  "objective": "Hinge()",
  "penalty": null,
  "generator_every": 5,
  "clip_norm": 1,
  "ema": 0.9,
  "classes": null,
  "critic": true,
  "epochs": 2,
  "data": {"name": "mnist train", "count": 60000, "sha256": "cd34"},
  "batch_size": 32,
  "accelerated": {"Dense": 4},
  "device": "CPU",
  "started": "2026-01-02T03:04:05+00:00",
  "platform": "Linux",
  "cpu": "AMD",
  "cpus": 2,
  "versions": {"python": "3.11.7"},
  "environment": {"MS_DEV_SOMETHING": "1"},
  "history": [
    {"resumed": "2026-01-03T03:04:05+00:00", "from_step": 5, "changes": {"epochs": [1, 2]}},
    {"rolled_back": "2026-01-04T03:04:05+00:00", "step": 9, "to_step": 8, "reason": "nan", "learning_rate": 0.5}
  ],
  "evaluation": {"samples": 8, "features": "pixels", "floors": {"fld": 0.25, "kid": 0}}
}
"""
"""A ``run.json`` as it was before there was a format."""


def put(content: str | bytes) -> Path:
    RUN.mkdir(exist_ok=True)
    path = RUN / "run.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def on_disk() -> dict:
    return json.loads((RUN / "run.json").read_bytes())


def test_a_file_without_a_format_is_of_the_first() -> None:
    put(FIRST)
    found = Manifest.read(RUN)
    assert found.format == 1
    assert (found.recipe, found.recipe_sha256, found.git_revision) == ("recipes/mlp.py", "ab12", None)
    assert found.arguments == {"epochs": 2, "shape": [1, 4, 4], "name": None}
    assert (found.callbacks, found.metrics, found.plugins) == (["ImageGrid:rows=2"], None, {"ink": "0.1.0"})
    assert (found.seed, found.noise_dim, found.objective, found.penalty) == (7, 3, "Hinge()", None)
    assert (found.generator_every, found.clip_norm, found.ema, found.classes) == (5, 1, 0.9, None)
    assert (found.critic, found.epochs, found.batch_size, found.accelerated) == (True, 2, 32, {"Dense": 4})
    assert (found.data.name, found.data.count, found.data.sha256) == ("mnist train", 60000, "cd34")
    assert found.data.labels_sha256 is None
    assert (found.device, found.platform, found.cpu, found.cpus) == ("CPU", "Linux", "AMD", 2)
    assert (found.started, found.versions) == ("2026-01-02T03:04:05+00:00", {"python": "3.11.7"})
    assert found.environment == {"MS_DEV_SOMETHING": "1"}
    assert [(entry.from_step, entry.to_step) for entry in found.history] == [(5, None), (None, 8)]
    assert (found.history[0].resumed, found.history[1].rolled_back) == (
        "2026-01-03T03:04:05+00:00",
        "2026-01-04T03:04:05+00:00",
    )
    assert (found.evaluation.samples, found.evaluation.features) == (8, "pixels")
    assert found.evaluation.floors == {"fld": 0.25, "kid": 0}


def test_what_was_not_written_down_has_its_default() -> None:
    put("{}")
    found = Manifest.read(RUN)
    assert (found.format, found.generator_every, found.critic) == (1, 1, False)
    assert (found.data.name, found.data.count, found.data.sha256, found.data.labels_sha256) == ("", 0, None, None)
    assert (found.evaluation.samples, found.evaluation.features, found.evaluation.floors) == (0, "", {})
    assert (found.plugins, found.versions, [*found.history]) == ({}, {}, [])
    assert (found.players, [*found.timings]) == ({}, [])
    assert (found.ranks, found.sync_batch_norm) == (1, False)
    told = {"facts", "format", "generator_every", "critic", "data", "evaluation", "plugins", "versions", "history"}
    told |= {"players", "timings", "ranks", "sync_batch_norm"}
    others = [one.name for one in fields(Manifest) if one.name not in told]
    assert len(others) == 27
    assert {name: getattr(found, name) for name in others} == dict.fromkeys(others)


@pytest.mark.parametrize("version", [3, 10**9])
def test_a_newer_format_is_refused_whatever_else_it_says(version: int) -> None:
    put(f'{{"format": {version}, "versions": 3}}')
    with pytest.raises(RunDirError) as caught:
        Manifest.read(RUN)
    assert str(caught.value) == (
        f"run/run.json was written by a newer version of ms-gan-callbacks (format {version}, supported: 2)"
    )


DAMAGE = {
    "no object": ("[1]", "the file is [1], not an object"),
    "null": ("null", "the file is None, not an object"),
    "format as text": ('{"format": "2"}', "format is '2', not an integer"),
    "format as bool": ('{"format": true}', "format is True, not an integer"),
    "format null": ('{"format": null}', "format is None, not an integer"),
    "format 0": ('{"format": 0}', "format is 0, not an integer from 1 to 2"),
    "versions": ('{"versions": 3}', "versions is 3, not an object"),
    "a version": ('{"versions": {"numpy": 2}}', "versions['numpy'] is 2, not a string"),
    "a version in lines": ('{"versions": {"a\\nb": 2}}', r"versions['a\nb'] is 2, not a string"),
    "arguments": ('{"arguments": []}', "arguments is [], not an object"),
    "callbacks": ('{"callbacks": "Counts"}', "callbacks is 'Counts', not a list"),
    "a metric": ('{"metrics": ["gap", 1]}', "metrics[1] is 1, not a string"),
    "seed": ('{"seed": 1.0}', "seed is 1.0, not an integer"),
    "seed as bool": ('{"seed": true}', "seed is True, not an integer"),
    "ema": ('{"ema": "0.9"}', "ema is '0.9', not a number"),
    "clip_norm as bool": ('{"clip_norm": false}', "clip_norm is False, not a number"),
    "critic": ('{"critic": 1}', "critic is 1, not true or false"),
    "generator_every": ('{"generator_every": null}', "generator_every is None, not an integer"),
    "recipe_sha256": ('{"recipe_sha256": 1}', "recipe_sha256 is 1, not a string"),
    "data": ('{"data": null}', "data is None, not an object"),
    "data.count": ('{"data": {"count": "60000"}}', "data.count is '60000', not an integer"),
    "accelerated": ('{"accelerated": {"Dense": 0.5}}', "accelerated['Dense'] is 0.5, not an integer"),
    "environment": ('{"environment": ["MS_A"]}', "environment is ['MS_A'], not an object"),
    "history": ('{"history": {}}', "history is {}, not a list"),
    "an entry": ('{"history": [{}, 5]}', "history[1] is 5, not an object"),
    "a step": ('{"history": [{"to_step": "8"}]}', "history[0].to_step is '8', not an integer"),
    "floors": ('{"evaluation": {"floors": {"kid": null}}}', "evaluation.floors['kid'] is None, not a number"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_value_of_another_type_is_named_in_one_line(kind: str) -> None:
    content, message = DAMAGE[kind]
    put(content)
    with pytest.raises(RunDirError) as caught:
        Manifest.read(RUN)
    assert str(caught.value) == f"run/run.json is damaged: {message}"


@pytest.mark.parametrize("content", [b"", b"{", b'{"seed": 1', b"\xff\xfe\xfd", b"[" * 100_000])
def test_what_is_no_json_is_damaged(content: bytes) -> None:
    put(content)
    with pytest.raises(RunDirError, match=r"^run/run\.json is damaged: ") as caught:
        Manifest.read(RUN)
    assert "\n" not in str(caught.value)


def test_where_there_is_no_run_it_says_so() -> None:
    with pytest.raises(RunDirError, match=r"^run directory not found: run$"):
        Manifest.read(RUN)
    RUN.mkdir()
    with pytest.raises(RunDirError, match=r"^run is not a run directory: it has no run\.json$"):
        Manifest.read(RUN)


def test_a_folder_that_cannot_be_written_to_is_one_line() -> None:
    Path("file").touch()
    with pytest.raises(RunDirError, match=r"^cannot write to file/run: .*$"):
        Manifest().write(Path("file/run"))


def test_a_manifest_is_written_for_people_with_its_format_first() -> None:
    Manifest.new(seed=1, penalty=None, data={"name": "Ziffern ä", "count": 2}).write(RUN)
    assert (RUN / "run.json").read_text(encoding="utf-8") == (
        '{\n  "format": 2,\n  "seed": 1,\n  "penalty": null,\n'
        '  "data": {\n    "name": "Ziffern ä",\n    "count": 2\n  }\n}\n'
    )
    found = Manifest.read(RUN)
    assert (found.format, found.seed, found.data.name) == (2, 1, "Ziffern ä")
    found.write(RUN)
    assert Manifest.read(RUN) == found


def test_a_file_of_the_first_format_is_written_back_with_the_format_alone_added() -> None:
    put(FIRST)
    Manifest.read(RUN).write(RUN)
    assert on_disk() == {**json.loads(FIRST), "format": 2}
    assert "metrics" not in on_disk()
    put('{"format": 1, "seed": 7}')
    Manifest.read(RUN).write(RUN)
    assert on_disk() == {"format": 2, "seed": 7}


UNKNOWN = {"self": 1, "cls": [2], "facts": {"a": None}, "a key": "of a plugin"}


def test_unknown_keys_are_kept_also_inside() -> None:
    inside = {
        "data": {"name": "x", "licence": "MIT"},
        "evaluation": {"samples": 8, "cut": [1]},
        "history": [{"to_step": 3, "who": {"name": "me"}}],
    }
    put(json.dumps(UNKNOWN | inside))
    Manifest.read(RUN).replace(seed=1).add_history({"from_step": 4}).write(RUN)
    history = [*inside["history"], {"from_step": 4}]
    assert on_disk() == {"format": 2, "seed": 1, **UNKNOWN, **inside, "history": history}


def test_a_run_that_goes_on_keeps_its_start_its_history_and_what_is_unknown_here() -> None:
    then = Manifest.new(
        started="then", metrics=["gap"], evaluation={"samples": 8}, history=[{"from_step": 1}], **UNKNOWN
    )
    now = Manifest.new(started="now", seed=1).continue_from(then)
    assert now.facts == {"format": 2, "started": "then", "seed": 1, "history": [{"from_step": 1}], **UNKNOWN}
    assert (now.started, now.metrics, now.evaluation.samples) == ("then", None, 0)
    assert Manifest.new(started="now").continue_from(Manifest.new()).facts == {"format": 2, "started": None}


def test_nobody_changes_it_by_hand() -> None:
    manifest = Manifest.new(seed=1)
    with pytest.raises(AttributeError):
        manifest.seed = 2  # type: ignore[misc]
    with pytest.raises(TypeError):
        manifest.facts["seed"] = 2  # type: ignore[index]


class Looks(Callback):
    """Reads what a run was made of, as the callbacks of users do."""

    def on_train_end(self, run: Run) -> None:
        self.seen = run.facts


def test_callbacks_read_what_is_written_and_every_key_of_it_is_declared(images: np.ndarray) -> None:
    looks = Looks()
    measure = Evaluation({"gap": lambda real, fake: 0.5}, samples=8, extractor=thumbnails)
    tiny_runner().train(1, images, [looks], evaluation=measure, batch_size=4, quiet=True)
    written = on_disk()
    [timing] = written.pop("timings")  # written after the last event
    assert (timing["from_step"], timing["to_step"], set(timing["callbacks"])) == (
        0,
        5,
        {"Looks", "MetricsLog", "DivergenceGuard"},
    )
    assert timing["seconds"] > sum(timing["callbacks"].values())
    assert looks.seen == written
    assert (looks.seen["format"], looks.seen["data"]["count"], looks.seen["batch_size"]) == (2, 20, 4)
    assert looks.seen["evaluation"]["samples"] == 8
    assert on_disk().keys() <= Manifest.keys()
    with pytest.raises(TypeError):
        looks.seen["seed"] = 1  # type: ignore[index]


def test_a_run_of_the_first_format_goes_on_with_what_is_unknown_here(images: np.ndarray) -> None:
    tiny_runner().train(1, images, [Checkpoint()], batch_size=4, quiet=True)
    first = {name: value for name, value in on_disk().items() if name != "format"}
    put(json.dumps({**first, "started": "then", **UNKNOWN}))
    runner = tiny_runner(resume=True)
    assert runner.train(2, images, [Checkpoint()], batch_size=4, quiet=True).step == 10
    told = on_disk()
    assert {name: told[name] for name in ("format", "started", *UNKNOWN)} == {
        "format": 2,
        "started": "then",
        **UNKNOWN,
    }
    assert [entry["from_step"] for entry in told["history"]] == [5]
    # And in the same process, where an evaluation writes the file again.
    measure = Evaluation({"gap": lambda real, fake: 0.5}, samples=8, extractor=thumbnails)
    runner.train(1, images, [Checkpoint()], evaluation=measure, batch_size=4, quiet=True)
    now = on_disk()
    assert [(one["from_step"], one["to_step"]) for one in now["timings"]] == [(0, 5), (5, 10), (10, 15)]
    assert now == {**told, "epochs": 3, "evaluation": now["evaluation"], "timings": now["timings"]}
