"""The callbacks that are attached to every run."""

from __future__ import annotations

from typing import Any

from ms_gan_callbacks.callbacks.console import Console
from ms_gan_callbacks.callbacks.divergence_guard import DivergenceGuard
from ms_gan_callbacks.callbacks.metrics_log import MetricsLog
from ms_gan_callbacks.events.callback import Callback
from ms_gan_callbacks.interop.stock import adapt_callbacks


def add_default_callbacks(callbacks: Any, quiet: bool) -> list[Callback]:
    """Adapt MindSpore's callbacks; add MetricsLog, DivergenceGuard and, unless quiet, Console if missing."""
    attached: list[Callback] = adapt_callbacks(callbacks)
    for kind in (MetricsLog, DivergenceGuard) if quiet else (MetricsLog, DivergenceGuard, Console):
        if not any(isinstance(callback, kind) for callback in attached):
            attached.append(kind())
    return attached
