"""State to save of MindSpore's callbacks, and workarounds for their known defects (in 2.10.0)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mindspore import Parameter, train

from ms_gan_callbacks.errors import CallbackError, suggest
from ms_gan_callbacks.events.run import Run

if TYPE_CHECKING:
    from ms_gan_callbacks.interop.stock import MindSporeCallback

Check = Callable[["MindSporeCallback", Run], Iterable[str]]


@dataclass(frozen=True)
class Quirks:
    """Special treatment of a class of MindSpore callbacks.

    Attributes:
        keeps: attributes to save in checkpoints.
        check: checks a run before its first step, as :meth:`Callback.check` does.
        find_stop: returns a reason to stop that the callback does not report by ``request_stop``, or None.
        loss_as_number: whether to pass the loss as a :class:`Number`, because a Tensor of 0.0 counts as missing.
        evaluates: whether to call the evaluation hooks.
    """

    keeps: tuple[str, ...] = ()
    check: Check = lambda stock, run: ()
    find_stop: Callable[[Any], str | None] = lambda callback: None
    loss_as_number: bool = False
    evaluates: bool = True


def find_quirks(callback: Any) -> Quirks:
    """Return the quirks of a callback's class."""
    for name, quirks in QUIRKS.items():
        kind = getattr(train, name, None)
        if kind is not None and isinstance(callback, kind):
            return quirks
    return Quirks()


def _check_monitor(stock: MindSporeCallback, run: Run, ours: str) -> Iterator[str]:
    """Check the monitored name of a callback, and the direction it assumes."""
    callback, name = stock.callback, stock.name
    monitor, mode = callback.monitor, callback.mode
    if monitor == "loss":
        if not stock.loss_chosen:
            yield (
                f"{name} monitors {stock.loss} at the last step of each epoch, but GAN losses do not measure "
                f"quality; {ours} can monitor metrics"
            )
        return
    if monitor not in run.metric_names:
        known = suggest(monitor, ["loss", *sorted(run.metric_names)])
        raise CallbackError(f"{name}: unknown monitor {monitor!r}; {known}")
    takes = "min" if callback.is_improvement(-1e30, 1e30) else "max"
    better = run.better.get(monitor)
    if better not in (None, takes):
        higher = "higher" if takes == "max" else "lower"
        raise CallbackError(
            f"{name}(monitor={monitor!r}, mode={mode!r}) assumes that a {higher} {monitor} is better, but the "
            f"opposite is true; pass mode={better!r}, or use {ours}"
        )
    if better is None and mode == "auto":
        yield f"{name}: mode='auto' assumes that a higher {monitor} is better; pass mode='min' or mode='max'"


def _check_early_stopping(stock: MindSporeCallback, run: Run) -> Iterator[str]:
    callback, name, ours = stock.callback, stock.name, "EarlyStopping of ms_gan_callbacks"
    if callback.patience == 0:
        raise CallbackError(
            f"{name}(patience=0), its default, always stops after the first epoch; pass patience=1 or more, "
            f"or use {ours}"
        )
    if callback.baseline is not None and callback.baseline == callback.min_delta:
        raise CallbackError(
            f"{name}(baseline=...) uses min_delta, {callback.min_delta}, instead of the baseline; remove it, "
            f"or use {ours}"
        )
    if callback.restore_best_weights:
        yield (
            f"{name}(restore_best_weights=True) replaces the weights during the run, so the last checkpoint "
            f"contains them; use restore_best=True of {ours}"
        )
    yield from _check_monitor(stock, run, ours)


def _check_plateau(stock: MindSporeCallback, run: Run) -> Iterator[str]:
    yield from _check_learning_rate(stock, run)
    yield from _check_monitor(stock, run, "EarlyStopping or CollapseGuard of ms_gan_callbacks")


def _check_learning_rate(stock: MindSporeCallback, run: Run) -> Iterator[str]:
    optimizer = stock.optimizer(run)
    if optimizer is not None and not isinstance(optimizer.learning_rate, Parameter):
        raise CallbackError(
            f"{stock.name} requires a constant learning rate, but the {stock.player}'s optimizer has a schedule "
            "or parameter groups; remove one of the two"
        )
    if not stock.player_chosen:
        other = "discriminator" if stock.player == "generator" else "generator"
        yield (
            f"{stock.name} changes the learning rate of the {stock.player} only; for the other player add "
            f"MindSporeCallback({stock.name}(...), player={other!r}, name=...)"
        )


def _check_model_checkpoint(stock: MindSporeCallback, run: Run) -> Iterator[str]:
    yield (
        f"{stock.name} removes its oldest file before writing the new one, and runs cannot be resumed from its "
        "files; use Checkpoint of ms_gan_callbacks"
    )
    if getattr(getattr(stock.callback, "_config", None), "exception_save", False):
        yield f"{stock.name}: exception_save=True has no effect outside of mindspore.train.Model"


def _check_backup(stock: MindSporeCallback, run: Run) -> Iterator[str]:
    _check_no_file(stock, str(stock.callback.backup_file))
    yield (
        f"{stock.name} saves weights without the step and the state of callbacks, and deletes them when the run "
        "ends; use Checkpoint of ms_gan_callbacks and `ms-gan resume`, which resume exactly"
    )


def _check_request_exit(stock: MindSporeCallback, run: Run) -> Iterable[str]:
    if stock.callback.save_mindir:
        raise CallbackError(
            f"{stock.name}(save_mindir=True), its default, exports a single network with its last batch, which "
            "does not work for a GAN; pass save_mindir=False"
        )
    if stock.callback.save_ckpt:
        _check_no_file(stock, f"{stock.callback.train_name}.ckpt")
    return ()


def _check_no_file(stock: MindSporeCallback, path: str) -> None:
    if Path(path).is_file():
        raise CallbackError(
            f"{stock.name} would replace this run's weights by those in {path}; remove the file, or use "
            "Checkpoint of ms_gan_callbacks and `ms-gan resume`"
        )


def _find_signal(callback: Any) -> str | None:
    """Return the reason to stop; OnRequestExit itself stops only networks with a certain parameter."""
    return f"received signal {int(callback.sig)}" if callback.exit else None


def _refuse(why: str) -> Check:
    def check(stock: MindSporeCallback, run: Run) -> Iterable[str]:
        raise CallbackError(f"{stock.name} cannot work in a GAN's run: {why}")

    return check


QUIRKS = {
    "LossMonitor": Quirks(keeps=("_last_print_time",)),
    "History": Quirks(keeps=("history", "epoch")),
    "ModelCheckpoint": Quirks(keeps=("_last_triggered_step",), check=_check_model_checkpoint),
    "EarlyStopping": Quirks(
        keeps=("wait", "best", "stopped_epoch"), check=_check_early_stopping, loss_as_number=True
    ),
    "ReduceLROnPlateau": Quirks(
        keeps=("wait", "best", "cooldown_counter"), check=_check_plateau, loss_as_number=True
    ),
    "LearningRateScheduler": Quirks(check=_check_learning_rate),
    "OnRequestExit": Quirks(check=_check_request_exit, find_stop=_find_signal, evaluates=False),
    "BackupAndRestore": Quirks(check=_check_backup),
    "FlopsUtilizationCollector": Quirks(
        check=_refuse("MindSpore counts the operations of a single network; TensorBoard shows steps per second")
    ),
    "TrainFaultTolerance": Quirks(check=_refuse("it is for clusters of Ascend devices that train one network")),
}
