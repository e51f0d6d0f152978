"""What is known of MindSpore's own callbacks: what survives a resume, and what is wrong with them (in 2.10.0)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mindspore import Parameter, train

from ms_gan_callbacks.errors import CallbackError, choices
from ms_gan_callbacks.events.run import Run

if TYPE_CHECKING:
    from ms_gan_callbacks.interop.stock import MindSporeCallback

Check = Callable[["MindSporeCallback", Run], Iterable[str]]


def _nothing(stock: MindSporeCallback, run: Run) -> Iterable[str]:
    return ()


def _never(callback: Any) -> str | None:
    return None


@dataclass(frozen=True)
class Known:
    """What a kind of stock callback needs.

    Attributes:
        keeps: the attributes that survive a resume.
        check: looks at a run before its first step, as :meth:`Callback.check` does.
        wants_to_stop: says why a callback wants to stop that does not ask to.
        loss_as_number: whether it takes a loss of exactly 0.0 for a missing one, unless it gets a number of ours.
        hears_evaluations: whether it is told of them, if it has a method for that.
    """

    keeps: tuple[str, ...] = ()
    check: Check = _nothing
    wants_to_stop: Callable[[Any], str | None] = _never
    loss_as_number: bool = False
    hears_evaluations: bool = True


def known(callback: Any) -> Known:
    """Return what is known of a callback's kind."""
    for name, entry in KNOWN.items():
        kind = getattr(train, name, None)
        if kind is not None and isinstance(callback, kind):
            return entry
    return Known()


def _check_monitor(stock: MindSporeCallback, run: Run, ours: str) -> Iterator[str]:
    """Look at what a callback monitors, and at which way it takes to be better."""
    callback, name = stock.callback, stock.name
    monitor, mode = callback.monitor, callback.mode
    if monitor == "loss":
        if not stock.loss_chosen:
            yield (
                f"{name} watches {stock.loss}, a raw loss, at each epoch's last step, which says little about "
                f"quality in a GAN; {ours} watches metrics"
            )
        return
    if monitor not in run.metric_names:
        there = choices(monitor, ["loss", *sorted(run.metric_names)])
        raise CallbackError(f"{name} monitors {monitor!r}, which this run does not measure; {there}")
    takes = "min" if callback.is_improvement(-1e30, 1e30) else "max"
    better = run.better.get(monitor)
    if better not in (None, takes):
        higher = "higher" if takes == "max" else "lower"
        raise CallbackError(
            f"{name}(monitor={monitor!r}, mode={mode!r}) takes a {higher} {monitor} for the better one, and it is "
            f"the other way round; pass mode={better!r}, or use {ours}"
        )
    if better is None and mode == "auto":
        yield f"{name}: mode='auto' takes a higher {monitor} for the better one; say mode='min' or mode='max'"


def _early_stopping(stock: MindSporeCallback, run: Run) -> Iterator[str]:
    callback, name, ours = stock.callback, stock.name, "EarlyStopping of ms_gan_callbacks"
    if callback.patience == 0:
        raise CallbackError(
            f"{name}(patience=0), its default, stops after the first epoch whatever happens; pass patience=1 or "
            f"more, or use {ours}"
        )
    if callback.baseline is not None and callback.baseline == callback.min_delta:
        raise CallbackError(
            f"{name}(baseline=...) keeps min_delta, {callback.min_delta}, in place of the baseline; leave it out, "
            f"or use {ours}"
        )
    if callback.restore_best_weights:
        yield (
            f"{name}(restore_best_weights=True) puts weights back into the run itself, and its last checkpoint "
            f"will be of those; {ours} has restore_best=True"
        )
    yield from _check_monitor(stock, run, ours)


def _plateau(stock: MindSporeCallback, run: Run) -> Iterator[str]:
    yield from _learning_rate(stock, run)
    yield from _check_monitor(stock, run, "EarlyStopping or CollapseGuard of ms_gan_callbacks")


def _learning_rate(stock: MindSporeCallback, run: Run) -> Iterator[str]:
    optimizer = stock.optimizer(run)
    if optimizer is not None and not isinstance(optimizer.learning_rate, Parameter):
        raise CallbackError(
            f"{stock.name} changes a learning rate that is one number, and the {stock.player}'s optimizer has "
            "a schedule or groups; leave one of the two out"
        )
    if not stock.player_chosen:
        other = "discriminator" if stock.player == "generator" else "generator"
        yield (
            f"{stock.name} changes the {stock.player}'s learning rate alone; for the other's attach another one, "
            f"MindSporeCallback({stock.name}(...), player={other!r}, name=...)"
        )


def _model_checkpoint(stock: MindSporeCallback, run: Run) -> Iterator[str]:
    yield (
        f"{stock.name} removes its oldest file before the new one is written, and no run can be resumed from its "
        "files; Checkpoint of ms_gan_callbacks does better"
    )
    if getattr(getattr(stock.callback, "_config", None), "exception_save", False):
        yield f"{stock.name}: exception_save=True does nothing outside of mindspore.train.Model"


def _backup(stock: MindSporeCallback, run: Run) -> Iterator[str]:
    _check_no_file(stock, str(stock.callback.backup_file))
    yield (
        f"{stock.name} keeps weights, but neither the step nor callbacks' state, and deletes them when the run "
        "ends; Checkpoint of ms_gan_callbacks and `ms-gan resume` go on to the same bytes"
    )


def _on_request_exit(stock: MindSporeCallback, run: Run) -> Iterator[str]:
    if stock.callback.save_mindir:
        raise CallbackError(
            f"{stock.name}(save_mindir=True), its default, exports one network with the batch it saw last, which "
            "a GAN's step is not; pass save_mindir=False"
        )
    if stock.callback.save_ckpt:
        _check_no_file(stock, f"{stock.callback.train_name}.ckpt")
    return
    yield


def _check_no_file(stock: MindSporeCallback, path: str) -> None:
    if Path(path).is_file():
        raise CallbackError(
            f"{stock.name} would load {path} over this run's weights; remove it, or go on with a run by "
            "Checkpoint of ms_gan_callbacks and `ms-gan resume`"
        )


def _signalled(callback: Any) -> str | None:
    """OnRequestExit itself goes on to the last epoch, unless the network has a parameter of its own for it."""
    return f"received signal {int(callback.sig)}" if callback.exit else None


def _refused(why: str) -> Check:
    def check(stock: MindSporeCallback, run: Run) -> Iterable[str]:
        raise CallbackError(f"{stock.name} cannot work in a GAN's run: {why}")

    return check


KNOWN = {
    "LossMonitor": Known(keeps=("_last_print_time",)),
    "History": Known(keeps=("history", "epoch")),
    "ModelCheckpoint": Known(keeps=("_last_triggered_step",), check=_model_checkpoint),
    "EarlyStopping": Known(keeps=("wait", "best", "stopped_epoch"), check=_early_stopping, loss_as_number=True),
    "ReduceLROnPlateau": Known(keeps=("wait", "best", "cooldown_counter"), check=_plateau, loss_as_number=True),
    "LearningRateScheduler": Known(check=_learning_rate),
    "OnRequestExit": Known(check=_on_request_exit, wants_to_stop=_signalled, hears_evaluations=False),
    "BackupAndRestore": Known(check=_backup),
    "FlopsUtilizationCollector": Known(
        check=_refused("MindSpore counts the operations of one network; TensorBoard shows steps a second")
    ),
    "TrainFaultTolerance": Known(check=_refused("it repairs clusters of Ascend devices that train one network")),
}
