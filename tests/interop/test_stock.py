"""Stock callbacks in a run: what they are told, what they may ask, what survives, what cannot work."""

from __future__ import annotations

import json
import math
import re
import signal
from functools import partial
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from click.testing import CliRunner
from conftest import tiny_runner, weights_of
from mindspore import nn, train
from mindspore.train import (
    BackupAndRestore,
    CheckpointConfig,
    FlopsUtilizationCollector,
    History,
    LambdaCallback,
    LearningRateScheduler,
    LossMonitor,
    ModelCheckpoint,
    OnRequestExit,
    ReduceLROnPlateau,
    TimeMonitor,
)
from processes import TINY_GAN

from ms_gan_callbacks import (
    Callback,
    CallbackError,
    Checkpoint,
    EarlyStopping,
    Evaluation,
    Event,
    Every,
    GanWarning,
    MindSporeCallback,
    Run,
    optional,
)
from ms_gan_callbacks.cli import main
from ms_gan_callbacks.events.bus import CallbackBus
from ms_gan_callbacks.interop.stock import adapt_callbacks
from ms_gan_callbacks.testing import Script, Trace, assert_leaves_training_alone, assert_state_round_trips, drive


def play(*callbacks: object, **script: object) -> Trace:
    """Drive callbacks, stock ones among them."""
    return drive(*adapt_callbacks(callbacks), **script)


class Old(train.Callback):
    """A user's own, in the old style."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[object, ...]] = []

    def _take(self, hook: str, context: train.RunContext) -> None:
        parameters = context.original_args()
        loss = float(parameters.net_outputs.asnumpy()) if "net_outputs" in parameters else None
        self.told.append((hook, parameters.cur_step_num, parameters.cur_epoch_num, parameters.mode, loss))

    def begin(self, context: train.RunContext) -> None:
        self._take("begin", context)

    def epoch_begin(self, context: train.RunContext) -> None:
        self._take("epoch_begin", context)

    def step_begin(self, context: train.RunContext) -> None:
        self._take("step_begin", context)

    def step_end(self, context: train.RunContext) -> None:
        self._take("step_end", context)

    def epoch_end(self, context: train.RunContext) -> None:
        self._take("epoch_end", context)

    def end(self, context: train.RunContext) -> None:
        self._take("end", context)


def test_an_old_style_callback_is_told_what_model_tells_it() -> None:
    old = Old()
    play(old, epochs=2, steps_per_epoch=2, scalars={"g_loss": [1.0, 2.0, 3.0, 4.0]}, metrics={"m": 1.0})
    assert old.told == [
        ("begin", 0, 0, "train", None),
        ("epoch_begin", 0, 1, "train", None),
        ("step_begin", 1, 1, "train", None),
        ("step_end", 1, 1, "train", 1.0),
        ("step_begin", 2, 1, "train", 1.0),
        ("step_end", 2, 1, "train", 2.0),
        ("epoch_end", 2, 1, "train", 2.0),
        ("epoch_begin", 2, 2, "train", 2.0),
        ("step_begin", 3, 2, "train", 2.0),
        ("step_end", 3, 2, "train", 3.0),
        ("step_begin", 4, 2, "train", 3.0),
        ("step_end", 4, 2, "train", 4.0),
        ("epoch_end", 4, 2, "train", 4.0),
        ("end", 4, 2, "train", 4.0),
    ]


def test_a_callback_of_ones_own_hears_of_evaluations_in_eval_mode() -> None:
    heard = []

    def hear(context: train.RunContext) -> None:
        parameters = context.original_args()
        heard.append((parameters.mode, parameters.metrics, parameters.eval_results))

    play(LambdaCallback(on_eval_begin=hear, on_eval_end=hear), epochs=2, metrics={"m": [3.0, 0.0]})
    assert heard == [("eval", {"m": value}, {"m": value}) for value in (3.0, 3.0, 0.0, 0.0)]


def test_metrics_are_seen_from_an_evaluation_to_the_end_of_its_epoch() -> None:
    seen = []

    def see(context: train.RunContext) -> None:
        parameters = context.original_args()
        seen.append((parameters.cur_step_num, parameters.get("metrics"), hasattr(parameters, "eval_results")))

    play(
        LambdaCallback(on_train_epoch_end=see),
        epochs=4,
        steps_per_epoch=1,
        metrics={"m": 2.0},
        evaluate=Every(2, "epochs"),
    )
    assert seen == [(1, None, False), (2, {"m": 2.0}, True), (3, None, False), (4, {"m": 2.0}, True)]


def test_a_stop_that_is_asked_for_ends_the_run_and_names_who_asked() -> None:
    asks = LambdaCallback(
        on_train_step_end=lambda context: context.original_args().cur_step_num == 3 and context.request_stop()
    )
    sees: list[bool] = []
    late = LambdaCallback(on_train_end=lambda context: sees.append(context.get_stop_requested()))
    trace = play(late, asks, epochs=2)
    assert (trace.stopped, trace.stop_reason) == (3, "LambdaCallback 2 requested a stop at step 3")
    assert sees == [True]
    again = play(late, asks, epochs=2)  # a second training of the same objects begins afresh
    assert again.stopped == 3


def test_what_there_is_none_of_is_named_with_who_asked_for_it() -> None:
    reads = LambdaCallback(on_train_step_end=lambda context: context.original_args().loss_scale)
    with pytest.raises(
        CallbackError, match=r"LambdaCallback reads cb_params.loss_scale, which a GAN's run does not provide; did"
    ):
        play(reads)
    gets = LambdaCallback(on_train_step_end=lambda context: context.original_args()["dataset_helper"])
    with pytest.raises(CallbackError, match=r"^LambdaCallback reads cb_params.dataset_helper, which"):
        play(gets)
    early = LambdaCallback(on_train_begin=lambda context: context.original_args().net_outputs)
    with pytest.raises(CallbackError, match=r"LambdaCallback reads cb_params.net_outputs before"):
        play(early)
    asked = []
    polite = LambdaCallback(
        on_train_begin=lambda context: asked.append(
            (
                getattr(context.original_args(), "train_dataset_element", "none"),
                context.original_args().get("sink_size"),
            )
        )
    )
    play(polite)
    assert asked == [("none", None)]


def test_callbacks_share_one_context_and_can_reach_the_run() -> None:
    def write(context: train.RunContext) -> None:
        context.original_args().mine = context.original_args().cur_step_num
        context.original_args().run.log(logged=7.0)

    read: list[int] = []
    reads = LambdaCallback(on_train_step_end=lambda context: read.append(context.original_args().mine))
    first, second = LambdaCallback(on_train_step_end=write), reads
    trace = play(MindSporeCallback(first, name="first"), second, epochs=1, steps_per_epoch=2)
    assert read == [1, 2]
    assert trace.logged == [(1, "logged", 7.0), (2, "logged", 7.0)]
    context = adapt_callbacks([first, second])
    assert context[0]._context is context[1]._context
    assert context[0]._context.callbacks == [first, second]


def test_it_listens_to_no_more_than_the_callback_does() -> None:
    table = CallbackBus(adapt_callbacks([LossMonitor(), LambdaCallback(on_train_end=print)])).table()
    assert {event: labels for event, labels in table.items() if labels} == {
        Event.TRAIN_STEP_END: ["LossMonitor"],
        Event.EVAL_END: ["LossMonitor", "LambdaCallback"],
        Event.TRAIN_EPOCH_END: ["LossMonitor"],
        Event.TRAIN_END: ["LambdaCallback"],
    }


def test_the_loss_is_a_scalar_tensor_so_that_a_nan_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="epoch: 1 step: 2, loss is NAN or INF") as caught:
        play(LossMonitor(), scalars={"d_loss": 1.0, "g_loss": [0.5, math.nan]})
    assert caught.value.__notes__ == ["raised by LossMonitor.on_train_step_end at step 2"]
    assert capsys.readouterr().out == "epoch: 1 step: 1, loss is 0.5\n"
    chosen = MindSporeCallback(LossMonitor(4), loss="d_loss")
    play(
        chosen,
        epochs=1,
        steps_per_epoch=4,
        scalars={"d_loss": [1.0, 2.0, 3.0, 4.0], "g_loss": 0.5},
        metrics={"fld": 9.0},
    )
    assert capsys.readouterr().out.splitlines() == [
        "epoch: 1 step: 4, loss is 4.0",
        "Eval result: epoch 1, metrics: {'fld': 9.0}",
    ]


def test_an_optional_one_is_detached() -> None:
    trace = play(optional(LossMonitor()), scalars={"g_loss": math.nan})
    assert trace.stopped is None
    assert "LossMonitor.on_train_step_end at step 1 raised ValueError" in trace.warnings[0]


class Enters(train.Callback):
    def __init__(self) -> None:
        super().__init__()
        self.told: list[object] = []

    def __enter__(self) -> train.Callback:
        self.told.append("enter")
        return self

    def __exit__(self, *failure: object) -> None:
        self.told.append(failure[0])


def test_it_is_entered_and_released_with_the_failure() -> None:
    enters = Enters()
    play(enters)
    assert enters.told == ["enter", None]
    with pytest.raises(ValueError, match="NAN"):
        play(enters, LossMonitor(), scalars={"g_loss": math.nan})
    assert enters.told == ["enter", ValueError]  # as it was made: another run begins afresh


class Installs(train.Callback):
    def on_train_begin(self, context: train.RunContext) -> None:
        signal.signal(signal.SIGUSR1, lambda *_: None)


@pytest.mark.parametrize("fails", [False, True])
def test_signal_handlers_are_put_back(fails: bool) -> None:
    mine = signal.getsignal(signal.SIGUSR1)
    during: list[object] = []
    looks = LambdaCallback(on_train_step_end=lambda context: during.append(signal.getsignal(signal.SIGUSR1)))
    scalars = {"g_loss": [0.5, math.nan if fails else 0.5]}
    try:
        play(Installs(), MindSporeCallback(Installs(), name="another"), looks, LossMonitor(), scalars=scalars)
    except ValueError:
        assert fails
    assert during[0] is not mine
    assert signal.getsignal(signal.SIGUSR1) is mine


def test_a_handler_that_somebody_installed_since_stays() -> None:
    mine, theirs = signal.getsignal(signal.SIGUSR1), lambda *_: None

    class Later(Callback):
        def on_train_step_end(self, run: Run) -> None:
            signal.signal(signal.SIGUSR1, theirs)

    play(Installs(), Later())
    assert signal.signal(signal.SIGUSR1, mine) is theirs


def test_a_signal_ends_a_run_that_on_request_exit_would_let_go_on(tmp_path: Path) -> None:
    kept = signal.getsignal(signal.SIGTERM)
    sends = LambdaCallback(
        on_train_step_end=lambda context: (
            context.original_args().cur_step_num == 3 and signal.raise_signal(signal.SIGTERM)
        )
    )
    leaves = OnRequestExit(save_ckpt=False, save_mindir=False, directory=str(tmp_path))
    trace = play(sends, leaves)
    assert (trace.stopped, trace.stop_reason) == (3, f"OnRequestExit: received signal {int(signal.SIGTERM)}")
    assert signal.getsignal(signal.SIGTERM) is kept


# What survives.


class Remembers(train.Callback):
    def __init__(self) -> None:
        super().__init__()
        self.total, self.list = np.float32(0), [np.int64(1)]

    def on_train_step_end(self, context: train.RunContext) -> None:
        parameters = context.original_args()
        self.total = self.total + parameters.cur_step_num
        parameters.run.log(total=self.total)


@pytest.mark.parametrize(
    "callback",
    [
        MindSporeCallback(Remembers(), persistent=("total", "list")),
        MindSporeCallback(train.EarlyStopping("m", mode="min", patience=3)),
        MindSporeCallback(train.EarlyStopping("m", mode="max", patience=4, min_delta=0.5)),
        MindSporeCallback(History()),
        MindSporeCallback(LossMonitor(3)),
        MindSporeCallback(TimeMonitor()),
    ],
    ids=lambda callback: callback.name,
)
def test_what_is_kept_goes_on_where_it_was(
    callback: MindSporeCallback, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = {"m": [3.0, 1.0, 2.0, 0.0, 4.0, 5.0, 6.0]}
    assert_state_round_trips(callback, epochs=7, steps_per_epoch=2, metrics=metrics)


def test_what_is_not_kept_is_forgotten() -> None:
    with pytest.raises(AssertionError, match="Remembers, resumed after step 1"):
        assert_state_round_trips(MindSporeCallback(Remembers()))


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((print,), {}, "requires a callback of mindspore.train, not <built-in function print>"),
        ((LossMonitor,), {}, r"not <class .*LossMonitor'> \(a class: pass an instance\)"),
        (
            (LossMonitor(),),
            {"persistent": ("_last",)},
            "LossMonitor: persistent lists '_last', which is not an attribute",
        ),
        ((LossMonitor(),), {"persistent": "x"}, r"persistent must be a tuple of names: persistent=\('x',\)"),
        (
            (TimeMonitor(),),
            {"persistent": ("data_sink",)},
            "TimeMonitor.data_sink is persistent, but cannot be stored as JSON",
        ),
        ((LossMonitor(),), {"loss": "loss"}, "unknown loss 'loss'; did you mean"),
    ],
)
def test_what_is_no_callback_or_no_option_is_refused(arguments: tuple, options: dict, message: str) -> None:
    with pytest.raises(CallbackError, match=message):
        drive(MindSporeCallback(*arguments, **options))


def test_names_are_told_apart_and_nobody_is_attached_twice() -> None:
    ours, monitors = EarlyStopping("m", mode="min"), [LossMonitor(), LossMonitor()]
    stock = train.EarlyStopping("m", mode="min", patience=1)
    names = [callback.name for callback in adapt_callbacks([*monitors, stock, ours])]
    assert names == ["LossMonitor", "LossMonitor 2", "EarlyStopping 2", "EarlyStopping"]
    with pytest.raises(CallbackError, match=r"callbacks\[1\], LossMonitor 2, is attached twice"):
        adapt_callbacks([monitors[0], monitors[0]])
    with pytest.raises(CallbackError, match="two stateful callbacks are named 'History'"):
        CallbackBus([MindSporeCallback(History()), MindSporeCallback(History())])


# What is wrong with them.


def better(**ways: str) -> dict[str, object]:
    return {
        "metrics": dict.fromkeys(ways, 1.0) or {"m": 1.0},
        "better": {name: way for name, way in ways.items() if way != "?"},
    }


@pytest.mark.parametrize(
    ("stock", "script", "message"),
    [
        (train.EarlyStopping("fld", patience=2), better(fld="min"), "assumes that a higher fld is better"),
        (train.EarlyStopping("a", mode="min", patience=2), better(a="max"), "that a lower a .* mode='max'"),
        (train.EarlyStopping("fld", mode="min"), better(fld="min"), "patience=0.*stops after the first"),
        (train.EarlyStopping("fld", 0.25, 2, mode="min", baseline=50.0), better(fld="min"), "uses min_delta"),
        (train.EarlyStopping(patience=2), better(fld="min"), "unknown monitor 'eval_loss'"),
        (ReduceLROnPlateau("fld"), better(fld="min"), "assumes that a higher fld is better"),
        (ReduceLROnPlateau("d_loss"), {}, "unknown monitor 'd_loss'; did you mean 'loss'"),
        (FlopsUtilizationCollector(5), {}, "cannot work in a GAN's run: MindSpore counts"),
    ],
)  # fmt: skip
def test_what_would_go_wrong_is_refused_before_the_first_step(stock: object, script: dict, message: str) -> None:
    with pytest.raises(CallbackError, match=message):
        play(stock, **script)


@pytest.mark.parametrize(
    ("stock", "script", "message"),
    [
        (train.EarlyStopping("a", patience=2), better(a="?"), "mode='auto' assumes that a higher a is better"),
        (train.EarlyStopping("loss", patience=2), {}, "monitors g_loss at the last step of each epoch"),
        (ReduceLROnPlateau("loss"), {}, "EarlyStopping or CollapseGuard of ms_gan_callbacks can monitor metrics"),
        (LearningRateScheduler(lambda rate, step: rate), {}, "changes the learning rate of the generator only"),
        (LambdaCallback(on_eval_step_end=print), {}, "LambdaCallback.on_eval_step_end is never called"),
    ],
)  # fmt: skip
def test_what_goes_otherwise_than_one_may_think_is_warned_of(stock: object, script: dict, message: str) -> None:
    adapter, found = MindSporeCallback(stock), []
    run = Script(
        scalars={"g_loss": 1.0}, metrics=script.get("metrics", {}), fields={"better": script.get("better", {})}
    )

    class Stops(Callback):
        def on_train_begin(self, run: Run) -> None:
            found.append(list(adapter.check(run)))

    run.play(Stops())
    assert any(message in warning for warning in found[0])


def test_files_that_would_be_loaded_over_a_run_are_noticed(tmp_path: Path) -> None:
    backup = BackupAndRestore(str(tmp_path))
    assert any("saves weights without the step" in text for text in MindSporeCallback(backup).check(drive().run))
    Path(backup.backup_file).touch()
    with pytest.raises(
        CallbackError, match=r"BackupAndRestore would replace this run's weights by those in .*backup.ckpt"
    ):
        play(backup)
    leaves = OnRequestExit(directory=str(tmp_path), save_mindir=False)
    play(leaves)
    Path(f"{leaves.train_name}.ckpt").touch()
    with pytest.raises(CallbackError, match="OnRequestExit would replace this run's weights"):
        play(leaves)
    with pytest.raises(CallbackError, match=r"save_mindir=True\), its default, .* pass save_mindir=False"):
        play(OnRequestExit(directory=str(tmp_path)))


def test_a_number_of_exactly_zero_is_not_missing() -> None:
    zeros = [0.0, 1.0, 2.0, 3.0]
    stopping = train.EarlyStopping("m", mode="min", patience=2)
    assert play(stopping, epochs=4, steps_per_epoch=1, metrics={"m": zeros}).stopped == 3
    assert stopping.best == 0.0
    by_loss = MindSporeCallback(train.EarlyStopping("loss", patience=2), loss="d_loss")
    assert play(by_loss, epochs=4, steps_per_epoch=1, scalars={"d_loss": zeros}).stopped == 3


# With networks.


def flat(pixels: np.ndarray) -> np.ndarray:
    return pixels.reshape(len(pixels), -1).astype(np.float32)


def count_up() -> object:
    """Return a metric that is worse at every look."""
    looks = iter(range(1, 100))
    return lambda real, fake: next(looks)


def test_the_learning_rate_of_the_player_that_is_asked_for_is_changed(images: np.ndarray) -> None:
    halve = MindSporeCallback(LearningRateScheduler(lambda rate, step: rate / 2), player="discriminator")
    rates = []
    after = LambdaCallback(on_train_end=lambda context: rates.append(context.original_args().run.learning_rates()))
    tiny_runner().train(1, images, [halve, after], batch_size=4, quiet=True)
    assert rates == [{"discriminator": pytest.approx(0.01 / 32), "generator": pytest.approx(0.01)}]


def test_a_learning_rate_that_is_a_schedule_is_refused(images: np.ndarray) -> None:
    scheduled = partial(nn.Adam, learning_rate=nn.ExponentialDecayLR(1e-2, 0.9, 4))
    runner = tiny_runner(optimizer=scheduled)
    with pytest.raises(
        CallbackError, match="the generator's optimizer has a schedule or parameter groups; remove one of the two"
    ):
        runner.train(1, images, [LearningRateScheduler(lambda rate, step: rate)], batch_size=4, quiet=True)


@pytest.mark.slow
def test_weights_that_early_stopping_puts_back_are_those_of_the_best(images: np.ndarray) -> None:
    at_epochs = {}

    class Keeps(Callback):
        def on_train_epoch_end(self, run: Run) -> None:
            at_epochs[run.epoch] = weights_of(runner)

    runner = tiny_runner(fresh=True)
    stopping = train.EarlyStopping("m", mode="min", patience=2, restore_best_weights=True)
    evaluation = Evaluation({"m": count_up()}, samples=8, extractor=flat)
    with pytest.warns(GanWarning, match=r"restore_best_weights=True\) replaces the weights during the run"):
        result = runner.train(9, images, [stopping, Keeps()], evaluation=evaluation, batch_size=4, quiet=True)
    assert result.stop_reason == "EarlyStopping requested a stop at step 15"
    now = weights_of(runner)
    assert all(np.array_equal(now[name], at_epochs[1][name]) for name in now)


@pytest.mark.slow
def test_a_resumed_run_keeps_what_its_stock_callbacks_knew(images: np.ndarray) -> None:
    whole, first, second = History(), History(), History()
    evaluation = partial(Evaluation, samples=8, extractor=flat)
    tiny_runner("whole").train(
        3, images, [whole], evaluation=evaluation({"m": lambda real, fake: 2.0}), batch_size=4, quiet=True
    )
    options = {"evaluation": evaluation({"m": lambda real, fake: 2.0}), "batch_size": 4, "quiet": True}
    tiny_runner("parted").train(2, images, [first, Checkpoint()], **options)
    tiny_runner("parted", resume=True).train(3, images, [second, Checkpoint()], **options)
    assert second.epoch == whole.epoch == {"epoch": [1, 2, 3]}
    assert [float(loss) for loss in second.history["net_output"]] == [
        float(loss) for loss in whole.history["net_output"]
    ]
    assert second.history["m"] == [2.0, 2.0, 2.0]
    state = json.loads(Path("parted/checkpoints/step-00000015/state.json").read_text())
    assert state["callbacks"]["History"]["epoch"] == {"epoch": [1, 2, 3]}


@pytest.mark.slow
def test_stock_callbacks_leave_training_alone(tmp_path: Path) -> None:
    config = CheckpointConfig(save_checkpoint_steps=2)
    with pytest.warns(GanWarning, match="removes its oldest file before writing the new one"):
        assert_leaves_training_alone(MindSporeCallback(ModelCheckpoint("m", str(tmp_path), config)))
    saved = ms.load_checkpoint(str(tmp_path / "m-2_5.ckpt"))
    assert {name.split(".")[0] for name in saved} == {"generator", "discriminator", "g_optimizer", "d_optimizer"}


# In a recipe.

CROWD = """
from mindspore.train import History, LossMonitor


def recipe(epochs: int = 2):
    return tiny_gan(epochs, [LossMonitor(2), History(), Checkpoint(keep=1), optional(LossMonitor(5))])
"""


@pytest.mark.slow
def test_a_recipe_takes_them_and_its_run_is_shown_trained_and_resumed() -> None:
    Path("crowd.py").write_text(TINY_GAN + CROWD)
    shown = CliRunner().invoke(main, ["show", "crowd.py"])
    assert re.search(r"on_train_step_end .*LossMonitor, LossMonitor 2", " ".join(shown.output.split()))
    trained = CliRunner().invoke(main, ["run", "crowd.py", "--out", "run", "--quiet"])
    assert trained.exit_code == 0, trained.output
    resumed = CliRunner().invoke(main, ["resume", "run", "--set", "epochs=3"])
    assert resumed.exit_code == 0, resumed.output
    assert re.findall(r"epoch: (\d) step: (\d), loss is", resumed.output) == [("3", "2"), ("3", "4"), ("3", "5")]
    state = json.loads(Path("run/checkpoints/step-00000015/state.json").read_text())["callbacks"]
    assert state["History"]["epoch"] == {"epoch": [1, 2, 3]}
    assert {name for name in state if name.startswith("Loss")} == {"LossMonitor", "LossMonitor 2"}
