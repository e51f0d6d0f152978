"""What all fast layers share, beside the stock layer that each of them is."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from mindspore import nn


class Fast:
    """Goes before the stock layer, ``class Dense(Fast, nn.Dense)``, and takes its arguments."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.refit()

    @staticmethod
    def stands_for(layer: nn.Cell) -> bool:
        """Whether this class does better than a stock layer."""
        return True

    @abstractmethod
    def refit(self) -> None:
        """Derive what ``construct`` needs from the stock layer's settings."""
