"""Base class of fast layers."""

from __future__ import annotations

from typing import Any, ClassVar

from mindspore import nn


class Fast:
    """Base class of fast layers, in front of MindSpore's layer: ``class Dense(Fast, nn.Dense)``.

    Attributes:
        of_stock: all fast classes, by the MindSpore class that they replace.
        counts: whether :func:`accelerate` counts it: it is faster than the MindSpore layer, or can do more.
    """

    of_stock: ClassVar[dict[type[nn.Cell], type[Fast]]] = {}
    counts: ClassVar[bool] = True

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.of_stock[cls._stock()] = cls

    @classmethod
    def _stock(cls) -> type[nn.Cell]:
        """Return the MindSpore class that this class replaces."""
        return next(base for base in cls.__bases__ if issubclass(base, nn.Cell))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.refit()

    def add_flags(self, **flags: Any) -> nn.Cell:
        """Change back to MindSpore's class if ``to_float`` is used, because the operators here do not cast."""
        super().add_flags(**flags)  # type: ignore[misc]
        if self.mixed_precision_type is not None:  # type: ignore[attr-defined]
            self.__class__ = self._stock()
        return self

    @staticmethod
    def stands_for(layer: nn.Cell) -> bool:
        """Return whether this class is an improvement over a MindSpore layer."""
        return True

    def refit(self) -> None:
        """Set the attributes that ``construct`` requires from the settings of the MindSpore layer, if any."""
