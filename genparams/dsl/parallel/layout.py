"""Arrays whose memory has gaps, sent to another process with their gaps.

A view such as `table[:, 0]` or `xs[::-1]` would arrive without gaps, and numpy may sum it there in
another order. Its copy has gaps at the same axes instead, of the least size, so that numpy computes
with it as with the view, to the bit.
"""

from typing import Any

import numpy as np


def has_gaps(array: np.ndarray) -> bool:
    """Whether the numbers of an array are not one after another in memory."""
    flags = array.flags
    return not (flags.c_contiguous or flags.f_contiguous) and array.dtype != object


def reduced(array: np.ndarray) -> tuple[Any, tuple[Any, ...]]:
    """How to pickle an array with gaps."""
    return _with_strides, (np.ascontiguousarray(array), _least_strides(array))


def _least_strides(array: np.ndarray) -> tuple[int, ...]:
    """Strides with gaps at the same axes, of one entry each; in entries, not in bytes."""
    strides = [0] * array.ndim
    tight, extent = array.itemsize, 1
    for axis in sorted(range(array.ndim), key=lambda i: abs(array.strides[i])):
        given, length = array.strides[axis], array.shape[axis]
        if given == 0 or length < 2:
            continue
        step = extent if abs(given) == tight else extent + 1
        strides[axis] = step if given > 0 else -step
        extent, tight = step * (length - 1) + extent, abs(given) * length
    return tuple(strides)


def _with_strides(array: np.ndarray, strides: tuple[int, ...]) -> np.ndarray:
    """A copy of an array with the given strides."""
    reach = [s * (n - 1) for s, n in zip(strides, array.shape, strict=True)]
    first = -sum(r for r in reach if r < 0)
    memory = np.zeros(1 + first + sum(r for r in reach if r > 0), array.dtype)
    size = array.itemsize
    view = np.ndarray(
        array.shape, array.dtype, memory, first * size, tuple(s * size for s in strides)
    )
    view[...] = array
    return view
