"""Pullbacks: how a gradient goes from a batch of log densities to a value and to each argument.

A pullback takes the gradient of some function by the log densities (an array of the batch's shape,
or 1.0, which stands for ones) and returns the gradient by one value, in the shape of that value.
"""

from collections.abc import Callable, Sequence
from typing import Any

from genparams.autodiff import np, shape_of

Pullback = Callable[[Any], Any]
Terms = tuple[Any, Sequence[Pullback | None]]
"""The log density of each member of a batch, and a pullback for the value and each argument.

A pullback is None where there is no derivative.
"""


def once(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`f`, with its last result kept: for what several pullbacks share."""
    last: list[Any] = []

    def remembered(g: Any) -> Any:
        if not last or last[0] is not g:
            last[:] = g, f(g)
        return last[1]

    return remembered


def is_one(g: Any) -> bool:
    """Whether a gradient is 1.0, which stands for ones."""
    return type(g) is float and g == 1.0


def with_axes(g: Any, axes: int) -> Any:
    """A gradient by a batch, with so many trailing axes of length 1."""
    return np.reshape(g, (*shape_of(g), *(1,) * axes)) if shape_of(g) else g
