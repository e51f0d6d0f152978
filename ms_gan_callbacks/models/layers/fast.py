"""What all fast layers share, beside the stock layer that each of them is."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from mindspore import nn


class Fast:
    """Goes before the stock layer, ``class Dense(Fast, nn.Dense)``, and takes its arguments.

    Attributes:
        of_stock: every fast class, by the stock one that it replaces.
    """

    of_stock: ClassVar[dict[type[nn.Cell], type[Fast]]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.of_stock[cls.__bases__[1]] = cls

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.refit()

    def add_flags(self, **flags: Any) -> nn.Cell:
        """Become the stock layer again where ``to_float`` asks for casts, which the operators here do not make."""
        super().add_flags(**flags)  # type: ignore[misc]
        if self.mixed_precision_type is not None:  # type: ignore[attr-defined]
            self.__class__ = type(self).__bases__[1]
        return self

    @staticmethod
    def stands_for(layer: nn.Cell) -> bool:
        """Whether this class does better than a stock layer."""
        return True

    @abstractmethod
    def refit(self) -> None:
        """Derive what ``construct`` needs from the stock layer's settings."""
