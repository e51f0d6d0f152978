"""Ten steps of training in a separate process, to check MindSpore and to measure its speed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

from ms_gan_callbacks.cli.installation import BROKEN, OK, WARNING, Check
from ms_gan_callbacks.storage.files import hash_file

STEPS, BATCH, TIMEOUT = 10, 32, 300
RECIPE = "mnist_mlp"


def check_training() -> Iterator[Check]:
    """Yield the results of importing MindSpore, and of training twice, which must give the same weights."""
    code = f"from {__name__} import print_facts; print_facts()"
    with tempfile.TemporaryDirectory(prefix="ms-gan-") as folder:
        path = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, "PYTHONPATH": path}
        try:
            done = subprocess.run(
                [sys.executable, "-c", code],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            yield Check("training", BROKEN, f"has not ended after {TIMEOUT} seconds", "end other programs")
            return
    facts: dict[str, Any] = {}
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            facts |= json.loads(line)
    yield from _judge(facts, done.returncode, _find_reason(done.stderr))


def _judge(facts: dict[str, Any], code: int, reason: str) -> list[Check]:
    """Return checks from what the process has reported before it ended."""
    if "device" not in facts:
        cure = "pip install --force-reinstall 'mindspore>=2.9,<3' 'numpy>=1.26,<2'"
        return [Check("MindSpore", BROKEN, f"cannot be imported: {reason or f'exit code {code}'}", cure)]
    missing = ", ".join(facts["missing"])
    checks = [Check("device", OK, facts["device"])]
    if missing:
        cure = "pip install 'mindspore==2.10.0', with which this version was tested"
        checks.append(Check("MindSpore", WARNING, f"does not have {missing}", cure))
    if code or "sha256" not in facts:
        text = f"{STEPS} steps failed: {reason or f'exit code {code}'}"
        return [*checks, Check("training", BROKEN, text, "cure the lines above, or report this one")]
    first, second = facts["sha256"]
    text = f"{STEPS} steps of {RECIPE}, {facts['milliseconds']:.1f} ms per step, sha256 {first}"
    if first != second:
        return [*checks, Check("training", BROKEN, f"{text}, and {second} when repeated", "report this line")]
    return [*checks, Check("training", OK, text)]


def _find_reason(errors: str) -> str:
    """Return the last line of a traceback."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    named = [line for line in lines if line.partition(":")[0].endswith(("Error", "Exception"))]
    return (named or lines or [""])[-1]


def print_facts() -> None:
    """Print the facts of a training as JSON, one object per line; called in a separate process."""
    os.environ.setdefault("GLOG_v", "3")
    os.environ.setdefault("MS_OM_PATH", tempfile.gettempdir())
    import mindspore as ms

    from ms_gan_callbacks.models.mindspore_private import find_missing

    print(json.dumps({"device": ms.get_context("device_target"), "missing": find_missing()}), flush=True)
    results = [_train(Path(name)) for name in ("first", "second")]
    facts = {"sha256": [digest for digest, _ in results], "milliseconds": min(speed for _, speed in results)}
    print(json.dumps(facts), flush=True)


def _train(folder: Path) -> tuple[str, float]:
    """Train; return the sha256 of the weights and the duration of a step in milliseconds."""
    from statistics import median

    from ms_gan_callbacks.callbacks.checkpoint import Checkpoint
    from ms_gan_callbacks.config.catalog import list_built_in
    from ms_gan_callbacks.config.evaluation import Evaluation
    from ms_gan_callbacks.config.recipe import load_recipe
    from ms_gan_callbacks.data.mnist import mnist
    from ms_gan_callbacks.events.callback import Callback
    from ms_gan_callbacks.events.run import Run
    from ms_gan_callbacks.training.runner import Runner

    class Clock(Callback):
        """Reads the time after every step."""

        def __init__(self) -> None:
            self.times: list[float] = []

        def on_train_step_end(self, run: Run) -> None:
            float(run.scalars["d_loss"])  # waits for the device
            self.times.append(perf_counter())

    clock = Clock()
    runner = Runner.from_recipe(load_recipe(list_built_in()[RECIPE]), folder)
    data = mnist(count=STEPS * BATCH, batch_size=BATCH)
    runner.train(1, data, [Checkpoint(), clock], quiet=True, evaluation=Evaluation())
    [weights] = folder.glob("checkpoints/*/weights.safetensors")
    durations = [1000 * (after - before) for before, after in zip(clock.times, clock.times[1:], strict=False)]
    return hash_file(weights), median(durations)
