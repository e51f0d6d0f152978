"""Our callbacks in a real ``mindspore.train.Model``: train, fit and eval, resumed, stopped, failing."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from callbacks.events import points, read
from click.testing import CliRunner
from mindspore import Tensor, nn, ops, train
from mindspore import dataset as ds

from ms_gan_callbacks import (
    BestCheckpoint,
    Callback,
    CallbackError,
    Checkpoint,
    CollapseGuard,
    Console,
    DivergenceError,
    DivergenceGuard,
    EarlyStopping,
    Event,
    Every,
    GanWarning,
    ImageGrid,
    MetricsLog,
    Run,
    RunDirError,
    TensorBoard,
    UsageError,
    for_model,
)
from ms_gan_callbacks.cli import main
from ms_gan_callbacks.interop.model import ModelCallback
from ms_gan_callbacks.storage.checkpoints import CheckpointStore
from ms_gan_callbacks.storage.manifest import Manifest

STEPS = 4


def data(batch_size: int = 4) -> ds.Dataset:
    """Return four batches of four: points and on which side of a line they are."""
    draw = np.random.default_rng(0)
    inputs = draw.normal(size=(16, 3)).astype(np.float32)
    labels = (inputs.sum(1) > 0).astype(np.int32)
    return ds.NumpySlicesDataset({"x": inputs, "y": labels}, shuffle=False).batch(batch_size)


def model(rate: float = 0.1, metrics: tuple[str, ...] = ("acc",)) -> train.Model:
    """Return a model of one layer, always of the same weights."""
    network = nn.Dense(3, 2, weight_init="zeros", bias_init="zeros")
    optimizer = nn.Adam(network.trainable_params(), learning_rate=rate)
    loss = nn.SoftmaxCrossEntropyWithLogits(sparse=True, reduction="mean")
    return train.Model(network, loss_fn=loss, optimizer=optimizer, metrics=set(metrics))


class TakesDown(Callback):
    """Writes down everything that it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, int]] = []

    def __enter__(self) -> Callback:
        self.told.append(("enter", 0, 0))
        return self

    def __exit__(self, *failure: object) -> None:
        self.told.append(("exit", 0, 0))


for _event in Event:
    setattr(
        TakesDown,
        _event.value,
        lambda self, run, hook=_event.value: self.told.append((hook, run.step, run.epoch)),
    )


def steps(*numbers: int, epoch: int) -> list[tuple[str, int, int]]:
    return [(hook, number, epoch) for number in numbers for hook in ("on_train_step_begin", "on_train_step_end")]


def lines() -> list[dict]:
    return [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]


def weights(of: train.Model) -> dict[str, np.ndarray]:
    return {parameter.name: parameter.asnumpy().copy() for parameter in of.train_network.get_parameters()}


def test_fit_is_told_in_the_order_of_a_run() -> None:
    takes = TakesDown()
    callback = for_model([takes, Checkpoint()], "run", quiet=True)
    model().fit(2, data(), data(), callbacks=callback)
    assert takes.told == [
        ("enter", 0, 0),
        ("on_train_begin", 0, 0),
        ("on_train_epoch_begin", 0, 1),
        *steps(1, 2, 3, 4, epoch=1),
        ("on_eval_end", 4, 1),
        ("on_train_epoch_end", 4, 1),
        ("on_checkpoint", 4, 1),
        ("on_train_epoch_begin", 4, 2),
        *steps(5, 6, 7, 8, epoch=2),
        ("on_eval_end", 8, 2),
        ("on_train_epoch_end", 8, 2),
        ("on_checkpoint", 8, 2),
        ("on_train_end", 8, 2),
        ("exit", 0, 0),
    ]
    assert callback.epoch == 2


def test_what_our_callbacks_write_is_what_model_measured(capsys: pytest.CaptureFixture[str]) -> None:
    history, each = train.History(), []
    stock = train.LambdaCallback(
        on_train_step_end=lambda context: each.append(float(context.original_args().net_outputs.asnumpy()))
    )
    ours = [TensorBoard(Every.steps(2)), MetricsLog(Every.steps(1)), Console(), EarlyStopping("acc", mode="max")]
    with pytest.warns(GanWarning, match="patience=5 cannot run out within this run's 2 epochs"):
        model().fit(2, data(), data(), callbacks=[for_model(ours, "run"), history, stock])
    assert [line["loss"] for line in lines() if "loss" in line] == each
    means = [line["epoch_means"]["loss"] for line in lines() if "epoch_means" in line]
    assert means == pytest.approx([np.mean(each[:4]), np.mean(each[4:])])
    assert [line["acc"] for line in lines() if "acc" in line] == history.history["acc"]
    assert all("eval_loss" in line for line in lines() if "acc" in line)
    events = read(Path("run"))
    assert points(events, "model/loss") == [(n, pytest.approx(each[n - 1])) for n in (2, 4, 6, 8)]
    assert [step for step, _ in points(events, "metrics/acc")] == [4, 8]
    assert points(events, "optimizer/learning_rate_model")[0] == (2, pytest.approx(0.1))
    assert not [tag for tag in events.Tags()["scalars"] if tag.startswith("gan/")]
    shown = capsys.readouterr()
    assert "epoch 2/2  loss " in shown.err
    assert "NumpySlicesDataset" in shown.err or "BatchDataset, 16 images" in shown.err
    assert "watch" in shown.out and "tensorboard --logdir run" in shown.out
    facts = json.loads(Path("run/run.json").read_text())
    assert (facts["network"], facts["optimizer"], facts["epochs"]) == ("Dense", "Adam", 2)


@pytest.fixture(params=[ms.PYNATIVE_MODE, ms.GRAPH_MODE], ids=["pynative", "graph"])
def mode(request: pytest.FixtureRequest) -> Iterator[None]:
    before = ms.get_context("mode")
    ms.set_context(mode=request.param)
    yield
    ms.set_context(mode=before)


@pytest.mark.usefixtures("mode")
def test_our_callbacks_change_nothing() -> None:
    alone, watched = model(), model()
    alone.train(2, data())
    watched.train(
        2,
        data(),
        callbacks=for_model([TensorBoard(Every.steps(2)), Checkpoint(Every.steps(1)), MetricsLog()], "run"),
    )
    left, right = weights(alone), weights(watched)
    assert all(left[name].tobytes() == right[name].tobytes() for name in left)


@pytest.mark.parametrize(("stop_at", "complete"), [(6, False), (8, True)])
def test_a_stop_ends_training_and_an_epoch_that_is_cut_short_is_not_told_as_ended(
    stop_at: int, complete: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    class Stops(Callback):
        def on_train_step_end(self, run: Run) -> None:
            if run.step == stop_at:
                run.stop("enough")

    takes = TakesDown()
    callback = for_model([takes, Stops(), Checkpoint()], "run")
    model().fit(5, data(), data(), callbacks=callback)
    assert takes.told[-1] == ("exit", 0, 0)
    assert ("on_train_epoch_end", stop_at, 2) in takes.told or not complete
    assert (("on_train_epoch_end", stop_at, 2) in takes.told) == complete
    assert takes.told[-3:-1] == [("on_train_end", stop_at, 2), ("on_checkpoint", stop_at, 2)] or complete
    assert max(step for _, step, _ in takes.told) == stop_at
    assert "stopped: enough" in capsys.readouterr().out


@pytest.mark.usefixtures("mode")
def test_early_stopping_watches_the_loss_and_restores_the_best() -> None:
    stopping = EarlyStopping("loss", mode="min", patience=2, restore_best=True)
    trained = model(rate=0.05)
    at: dict[int, dict[str, np.ndarray]] = {}

    class Spoils(Callback):
        """From the third epoch on it gets worse."""

        def on_train_epoch_end(self, run: Run) -> None:
            at[run.epoch] = weights(trained)
            if run.epoch >= 2:
                ops.assign(trained.train_network.optimizer.learning_rate, Tensor(-0.5, ms.float32))

    callback = for_model([Spoils(), stopping], "run", quiet=True)
    trained.train(9, data(), callbacks=callback)
    assert callback.run is not None and callback.run.stop_reason is not None
    assert callback.run.stop_reason.startswith(f"loss was best at epoch {stopping.best_epoch}")
    left, right = weights(trained), at[stopping.best_epoch]
    assert stopping.best_epoch < callback.epoch
    assert all(np.array_equal(left[name], right[name]) for name in ("weight", "bias"))


def test_a_name_that_nobody_measures_is_warned_of_after_the_first_epoch() -> None:
    stopping = EarlyStopping("accuracy", mode="max", patience=1)
    with pytest.warns(GanWarning, match="EarlyStopping: monitor 'accuracy' was not measured in the first"):
        model().fit(2, data(), data(), callbacks=for_model([stopping], "run", quiet=True))


@pytest.mark.parametrize(
    ("callbacks", "message"),
    [
        (
            [ImageGrid()],
            "ImageGrid needs a generator, which mindspore.train.Model does not have; use it in a Runner",
        ),
        ([CollapseGuard()], "CollapseGuard needs a generator"),
        ([DivergenceGuard(action="roll back")], "DivergenceGuard needs rollbacks"),
        ([train.LossMonitor()], r"LossMonitor is a callback of MindSpore: pass it to the Model, not to for_model"),
        ([print], r"callbacks\[0\] is <built-in function print>, not a Callback"),
    ],
)
def test_what_cannot_work_is_refused_where_it_is_made(callbacks: list, message: str) -> None:
    with pytest.raises(CallbackError, match=message):
        for_model(callbacks, "run")
    assert not Path("run").exists()


def test_a_callback_that_did_not_say_what_it_needs_is_named_with_the_step() -> None:
    class Draws(Callback):
        def on_train_step_end(self, run: Run) -> None:
            run.sample(1)

    with pytest.raises(RuntimeError, match=r"a mindspore.train.Model does not have a generator") as caught:
        model().train(1, data(), callbacks=for_model([Draws()], "run"))
    assert caught.value.__notes__ == ["raised by Draws.on_train_step_end at step 1"]


def test_a_failure_releases_and_leaves_no_folder_if_nothing_was_trained() -> None:
    class Fails(Callback):
        def on_train_epoch_begin(self, run: Run) -> None:
            raise OSError("the disk is full")

    takes, log = TakesDown(), MetricsLog()
    with pytest.raises(OSError, match="the disk is full"):
        model().train(1, data(), callbacks=for_model([takes, log, Fails()], "run"))
    assert takes.told[-1] == ("exit", 0, 0)
    assert log._file is None
    assert not Path("run").exists()
    raises = train.LambdaCallback(on_train_step_end=lambda context: 1 / 0)
    again = TakesDown()
    with pytest.raises(ZeroDivisionError):
        model().train(1, data(), callbacks=[for_model([again, log], "run"), raises])
    assert again.told[-1] == ("exit", 0, 0)
    assert log._file is None
    assert Path("run/run.json").exists()


def test_an_epoch_counts_as_complete_when_it_ends() -> None:
    callback = for_model([], "run", quiet=True)
    seen: list[int] = []

    def look(context: object) -> None:
        seen.append(callback.epoch)
        if len(seen) == STEPS + 2:  # in the second epoch
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model().train(2, data(), callbacks=[callback, train.LambdaCallback(on_train_step_end=look)])
    assert seen == [0, 0, 0, 0, 1, 1]
    assert callback.epoch == 1


def test_a_folder_that_is_taken_is_left_alone() -> None:
    callback = for_model([MetricsLog()], "run", quiet=True)
    with pytest.raises(RunDirError, match="run contains other files"):
        Path("run").mkdir()
        Path("run/mine.txt").write_text("mine")
        model().train(1, data(), callbacks=callback)
    assert Path("run/mine.txt").read_text() == "mine"
    with pytest.raises(RunDirError, match="contains other files"):
        for_model([], "run")
    with pytest.raises(RunDirError, match="run directory not found: elsewhere"):
        for_model([], "elsewhere", resume=True)


def test_divergence_is_noticed() -> None:
    trained = model()

    class Breaks(Callback):
        def on_train_step_begin(self, run: Run) -> None:
            if run.step == 3:
                bias = trained.train_network.trainable_params()[1]
                ops.assign(bias, Tensor([np.nan, 0], ms.float32))

    guard = DivergenceGuard(Every.steps(1))
    with pytest.raises(DivergenceError, match="loss is nan at step 3"):
        trained.train(1, data(), callbacks=for_model([Breaks(), guard], "run"))


@pytest.mark.usefixtures("mode")
def test_a_checkpoint_holds_the_network_and_its_optimizer_and_a_resumed_model_goes_on_the_same() -> None:
    whole = model()
    stopping = lambda: EarlyStopping("loss", mode="min", patience=2)  # noqa: E731
    whole.train(4, data(), callbacks=for_model([stopping(), MetricsLog(Every.steps(1))], "whole", quiet=True))
    parted = model()
    first = for_model([stopping(), MetricsLog(Every.steps(1)), Checkpoint(Every.steps(3))], "run", quiet=True)

    class Dies(Callback):
        def on_train_step_end(self, run: Run) -> None:
            if run.step == 14:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        parted.train(4, data(), callbacks=[first, for_model([Dies()], "other")])
    assert CheckpointStore(Path("run/checkpoints")).list_steps() == [6, 9, 12]
    resumed = for_model([stopping(), MetricsLog(Every.steps(1)), Checkpoint()], "run", resume=True, quiet=True)
    assert resumed.epoch == 3
    fresh = model()
    with pytest.raises(UsageError, match=r"3 epochs: train with initial_epoch=3, not 0"):
        fresh.train(4, data(), callbacks=resumed)
    fresh.train(4, data(), callbacks=resumed, initial_epoch=3)
    left, right = weights(whole), weights(fresh)
    assert all(left[name].tobytes() == right[name].tobytes() for name in left)
    assert Path("run/metrics.jsonl").read_bytes() == Path("whole/metrics.jsonl").read_bytes()


def test_the_same_object_trains_on_from_where_it_was() -> None:
    callback = for_model([MetricsLog(Every.steps(1)), TensorBoard(Every.steps(1))], "run", quiet=True)
    trained = model()
    trained.train(1, data(), callbacks=callback)
    with pytest.raises(UsageError, match="1 epoch: train with initial_epoch=1, not 0"):
        trained.train(2, data(), callbacks=callback)
    trained.train(2, data(), callbacks=callback, initial_epoch=1)
    assert [line["step"] for line in lines() if "loss" in line] == list(range(1, 9))
    assert [step for step, _ in points(read(Path("run")), "model/loss")] == list(range(1, 9))


def test_an_evaluation_by_itself_is_written_and_told_to_nobody_else() -> None:
    takes, trained = TakesDown(), model()
    callback = for_model([takes, MetricsLog(), TensorBoard(Every.steps(2))], "run", quiet=True)
    trained.train(1, data(), callbacks=callback)
    told = len(takes.told)
    found = trained.eval(data(), callbacks=callback)
    assert len(takes.told) == told
    assert lines()[-1] == {"step": 4, "epoch": 1, "acc": found["acc"]}
    assert points(read(Path("run")), "metrics/acc") == [(4, pytest.approx(found["acc"]))]
    untrained = for_model([MetricsLog()], "other", quiet=True)
    model().eval(data(), callbacks=[untrained])
    assert json.loads(Path("other/metrics.jsonl").read_text())["step"] == 0


def test_several_outputs_have_names_and_a_metric_of_the_same_name_another() -> None:
    class Pair(nn.Cell):
        """A step of its own that returns two losses."""

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Dense(3, 2)

        def construct(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            return ops.mean(self.layer(x)), ops.ReduceSum()(x, 1)

    custom = train.Model(Pair())
    custom.train(
        1,
        data(),
        callbacks=for_model([MetricsLog(Every.steps(1))], "run", outputs=("d_loss", "g_loss"), quiet=True),
    )
    sums = data().create_tuple_iterator(output_numpy=True, num_epochs=1)
    expected = [batch[0].sum(1).mean() for batch in sums]
    assert [line["g_loss"] for line in lines() if "g_loss" in line] == pytest.approx(expected, abs=1e-6)
    with pytest.raises(UsageError, match=r"the network returns 2 outputs, fewer than outputs=\('a', 'b', 'c'\)"):
        custom.train(1, data(), callbacks=for_model([], "other", outputs=("a", "b", "c")))
    model(metrics=("loss",)).fit(1, data(), data(), callbacks=(named := for_model([], "third", quiet=True)))
    assert named.run is not None and set(named.run.metrics) == {"eval_loss"}


def test_metrics_that_are_no_numbers_are_left_out_with_a_word() -> None:
    network = nn.Dense(3, 2)
    loss = nn.SoftmaxCrossEntropyWithLogits(sparse=True, reduction="mean")
    optimizer = nn.SGD(network.trainable_params())
    fits = train.Model(
        network, loss_fn=loss, optimizer=optimizer, metrics={"confusion_matrix": train.ConfusionMatrix(2)}
    )
    with pytest.warns(
        GanWarning, match="the metric 'confusion_matrix' is not a number and is not passed to callbacks"
    ):
        fits.fit(1, data(), data(), callbacks=for_model([], "run", quiet=True))


def test_a_dataset_sink_tells_of_an_epoch_as_one_step() -> None:
    """The CPU has no such: its calls are made here, as ``Model`` makes them elsewhere, in both modes it has."""
    for counted_as in (1, 50):
        takes, folder = TakesDown(), f"run-{counted_as}"
        callback = for_model(
            [takes, MetricsLog(Every.steps(50)), TensorBoard(Every.steps(40))], folder, quiet=True
        )
        parameters = train.callback._InternalCallbackParam(
            cur_step_num=0, batch_num=50, epoch_num=2, dataset_sink_mode=True, mode="train", train_dataset=data(),
            network=nn.Dense(3, 2), train_network=nn.Dense(3, 2), optimizer=None,
        )  # fmt: skip
        context = train.RunContext(parameters)
        with callback:
            callback.on_train_begin(context)
            for epoch in (1, 2):
                parameters.cur_epoch_num = epoch
                if epoch == 1:
                    with pytest.warns(
                        GanWarning, match=r"TensorBoard: .* step events occur only every 50 steps, and Every"
                    ) as caught:
                        callback.on_train_epoch_begin(context)
                    assert len(caught) == 1
                else:
                    callback.on_train_epoch_begin(context)
                parameters.cur_step_num += counted_as
                callback.on_train_step_begin(context)
                parameters.net_outputs = Tensor(0.5 / epoch, ms.float32)
                callback.on_train_step_end(context)
                callback.on_train_epoch_end(context)
            callback.on_train_end(context)
        assert [told for told in takes.told if told[0] == "on_train_step_end"] == [
            ("on_train_step_end", 50, 1),
            ("on_train_step_end", 100, 2),
        ]
        assert ("on_train_epoch_end", 100, 2) in takes.told


def test_sink_mode_on_a_cpu_is_as_without() -> None:
    takes = TakesDown()
    model().train(1, data(), callbacks=for_model([takes], "run", quiet=True), dataset_sink_mode=True)
    assert [step for hook, step, _ in takes.told if hook == "on_train_step_end"] == [1, 2, 3, 4]


def test_a_runner_refuses_it_and_says_what_to_do(images: np.ndarray) -> None:
    from conftest import tiny_runner

    callback = for_model([MetricsLog()], "other")
    assert isinstance(callback, ModelCallback)
    with pytest.raises(
        CallbackError, match=r"is for mindspore.train.Model; pass its callbacks to the Runner directly"
    ):
        tiny_runner().train(1, images, [callback], batch_size=4, quiet=True)


def test_one_callback_is_a_list_of_one(images: np.ndarray) -> None:
    from conftest import tiny_runner

    model().train(1, data(), callbacks=for_model(MetricsLog(Every.steps(1)), "run", quiet=True))
    assert [line["step"] for line in lines() if "loss" in line] == [1, 2, 3, 4]
    history = train.History()
    tiny_runner("gan").train(1, images, history, batch_size=4, quiet=True)
    assert history.epoch == {"epoch": [1]}


def test_the_command_line_plots_what_a_model_wrote_and_cannot_resume_it() -> None:
    model().fit(
        2, data(), data(), callbacks=for_model([MetricsLog(Every.steps(1)), Checkpoint()], "run", quiet=True)
    )
    plotted = CliRunner().invoke(main, ["plot", "run"])
    assert plotted.exit_code == 0, plotted.output
    resumed = CliRunner().invoke(main, ["resume", "run"])
    assert "run was not created from a recipe" in resumed.output


def warned(*callbacks: Callback, epochs: int = 4, validate: bool = True, **fit: object) -> list[str]:
    """Return what was said of names that nobody measures."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GanWarning)
        for_them = for_model(callbacks, "run", quiet=True)
        model().fit(epochs, data(), data() if validate else None, callbacks=for_them, **fit)
    return [str(warning.message) for warning in caught if "was not measured" in str(warning.message)]


@pytest.mark.parametrize("frequency", [1, 2, [3], [2, 4]])
@pytest.mark.parametrize("start", [0, 1])
def test_a_metric_that_is_measured_in_a_later_epoch_is_not_missed(frequency: object, start: int) -> None:
    stopping, best = EarlyStopping("acc", mode="max", patience=1), BestCheckpoint("acc", mode="max")
    assert warned(stopping, best, valid_frequency=frequency, initial_epoch=start) == []


def test_a_typing_error_is_told_at_the_first_evaluation_and_whose_it_is() -> None:
    class Epochs(Callback):
        def on_train_epoch_begin(self, run: Run) -> None:
            warnings.warn(f"was not measured before {run.epoch}", GanWarning, stacklevel=1)

    told = warned(Checkpoint(best=BestCheckpoint("accuracy", mode="max")), Epochs(), valid_frequency=2)
    assert told[2].startswith(
        "BestCheckpoint: monitor 'accuracy' was not measured in the first 2 epochs; did you mean 'acc'?"
    )
    assert len(told) == 5


@pytest.mark.parametrize("fit", [{"validate": False}, {"valid_frequency": 9}, {"valid_frequency": [9]}])
def test_a_run_without_an_evaluation_is_told_of_at_its_end(fit: dict) -> None:
    [told] = warned(EarlyStopping("acc", mode="max", patience=1), epochs=2, **fit)
    assert told.startswith("EarlyStopping: monitor 'acc' was not measured in the first 2 epochs")


def test_what_a_callback_logs_without_a_word_is_measured() -> None:
    class Logs(Callback):
        def on_train_epoch_end(self, run: Run) -> None:
            run.log(mine=run.epoch)

    assert warned(BestCheckpoint("mine", mode="max"), Logs()) == []


def test_a_run_does_not_go_on_with_epochs_of_another_length() -> None:
    model().train(1, data(), callbacks=for_model([Checkpoint()], "run", quiet=True))
    resumed = for_model([Checkpoint()], "run", quiet=True, resume=True)
    with pytest.raises(UsageError, match=r"this run has epochs of 4 steps, not of 8 steps: use the same data"):
        model().train(2, data(batch_size=2), callbacks=resumed, initial_epoch=1)
    model().train(2, data(), callbacks=resumed, initial_epoch=1)
    assert resumed.epoch == 2


def test_a_run_that_goes_on_was_started_when_it_was_and_keeps_what_is_unknown_here() -> None:
    model().train(1, data(), callbacks=for_model([Checkpoint()], "run", quiet=True))
    facts = json.loads(Path("run/run.json").read_text())
    assert facts.keys() <= Manifest.keys()
    del facts["format"]
    Path("run/run.json").write_text(json.dumps({**facts, "started": "then", "mine": [1]}))
    callback = for_model([Checkpoint()], "run", quiet=True, resume=True)
    model().train(2, data(), callbacks=callback, initial_epoch=1)
    expected = {**facts, "format": 2, "started": "then", "mine": [1]}
    assert json.loads(Path("run/run.json").read_text()) == {**expected, "epochs": 2}


def test_callbacks_begin_a_second_model_as_they_were_made_and_go_on_in_the_same() -> None:
    stopping = EarlyStopping("loss", target=-1e9, patience=9)
    first, second = (for_model([stopping], folder, quiet=True) for folder in ("one", "two"))
    with pytest.warns(GanWarning, match="patience=9 cannot run out"):
        model().train(2, data(), callbacks=first)
    assert stopping.best_epoch == 2
    trained = model()
    with pytest.warns(GanWarning, match="patience=9 cannot run out"):
        trained.train(1, data(), callbacks=second)
    assert stopping.best_epoch == 1
    with pytest.warns(GanWarning, match="patience=9 cannot run out"):
        trained.train(2, data(), callbacks=second, initial_epoch=1)
    assert (stopping.best_epoch, second.epoch) == (2, 2)
