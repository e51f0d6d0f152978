"""The callbacks that every run has."""

from __future__ import annotations

from collections.abc import Iterable

from ms_gan_callbacks.callback import Callback
from ms_gan_callbacks.callbacks.console import Console
from ms_gan_callbacks.callbacks.metrics_log import MetricsLog


def with_defaults(callbacks: Iterable[Callback], quiet: bool) -> list[Callback]:
    """Add the metrics log, and the console unless it is to be quiet, where the author has not."""
    attached = list(callbacks)
    if not any(isinstance(callback, MetricsLog) for callback in attached):
        attached.append(MetricsLog())
    if not quiet and not any(isinstance(callback, Console) for callback in attached):
        attached.append(Console())
    return attached
