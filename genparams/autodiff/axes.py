"""The axes of a reduction: which they are, and the shapes with and without them."""

import math
from typing import Any

from numpy.lib.array_utils import normalize_axis_tuple

from genparams.autodiff.tape import np, shape_of

Axis = int | tuple[int, ...] | None


def axes_of(x: Any, axis: Axis) -> tuple[int, ...]:
    ndim = len(shape_of(x))
    if axis is None or not ndim:  # a single number has an axis 0 for numpy
        return tuple(range(ndim))
    return normalize_axis_tuple(axis, ndim)


def kept_shape(x: Any, axis: Axis) -> tuple[int, ...]:
    """The shape of a reduction that keeps its axes, with length 1."""
    axes = axes_of(x, axis)
    return tuple(1 if i in axes else n for i, n in enumerate(shape_of(x)))


def rows_of(x: Any, axis: Axis) -> Any:
    """`x` with the axes to be reduced made one, the last."""
    axes, shape = axes_of(x, axis), shape_of(x)
    others = [i for i in range(len(shape)) if i not in axes]
    if axis is None or not others:
        return np.reshape(x, (-1,))
    x = np.transpose(x, (*others, *axes))
    return np.reshape(x, (*(shape[i] for i in others), math.prod(shape[i] for i in axes)))
