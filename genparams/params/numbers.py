"""Numbers from outside: floats, and arrays of floats that nobody else can write to."""

from typing import Any

import numpy as np

from genparams.errors import InvalidValue
from genparams.text import brief

DOUBLE = np.dtype(np.float64)


def as_floats(value: Any, what: str) -> np.ndarray:
    """A fresh float array, float32 if it is, from a number, a list or an array.

    Raises:
        InvalidValue: the value is not made of numbers.
    """
    try:
        given = np.asarray(value)
        if given.dtype.kind not in "fiub":
            raise TypeError
    except (TypeError, ValueError):
        raise InvalidValue(
            f"{what} must be a number or an array of numbers, got {brief(value)}"
        ) from None
    return np.array(given, dtype=np.float32 if given.dtype == np.float32 else np.float64)


def finite_scale(scale: Any) -> float:
    """A factor of gradients.

    Raises:
        InvalidValue: it is not one finite number.
    """
    if type(scale) is float and scale - scale == 0.0:
        return scale
    value = np.asarray(scale)
    if value.ndim or value.dtype.kind not in "fiub" or not np.isfinite(value):
        raise InvalidValue(f"scale must be a finite number, got {brief(scale)}")
    return float(value)


def is_finite(g: Any) -> bool:
    """Whether every entry is finite; nearly always the sum shows it, which allocates nothing."""
    if type(g) is float:
        return g - g == 0.0
    with np.errstate(all="ignore"):
        return bool(np.isfinite(np.add.reduce(g, axis=None))) or bool(np.all(np.isfinite(g)))


def read_only(value: Any) -> Any:
    """An array that cannot be written to; unpickling forgets that."""
    if isinstance(value, np.ndarray):
        value.setflags(write=False)
    return value


def float_or_array(array: np.ndarray) -> Any:
    """A Python float, or an array that cannot be written to."""
    return read_only(array) if array.ndim else float(array)
