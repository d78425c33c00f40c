"""The numbers that rules are made with: what each kind of them may be, checked in one place."""

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

from genparams.errors import InvalidValue
from genparams.text import brief

FloatType = str | type | np.dtype | None
"""A type of floats, such as "float32" or np.float64; None for that of each parameter."""


class Kind(NamedTuple):
    """What a number must be, in words and as a test, one that would do, and its plain type."""

    words: str
    holds: Callable[[Any], bool]
    example: str
    becomes: Callable[[Any], float] = float

    def accepts(self, value: Any) -> bool:
        """Whether a value is a number of this kind."""
        return isinstance(value, Real) and not isinstance(value, bool) and self.holds(value)


FINITE = Kind("a finite number", math.isfinite, "0.1")
ABOVE_0 = Kind("above 0 and finite", lambda v: 0 < v < math.inf, "0.001")
RATE = Kind("at least 0 and finite", lambda v: 0 <= v < math.inf, "0.001")
AT_LEAST_0 = Kind("at least 0 and finite", lambda v: 0 <= v < math.inf, "0.0")
SHARE = Kind("at least 0 and below 1", lambda v: 0 <= v < 1, "0.9")
COUNT = Kind(
    "a whole number from 0 on", lambda v: 0 <= v < math.inf and v == int(v), "100", becomes=int
)


def number(owner: str, name: str, value: Any, kind: Kind) -> Any:
    """A value as a plain Python number, which leaves the type of an array as it is.

    Raises:
        InvalidValue: it is not of this kind.
    """
    if kind.accepts(value):
        return kind.becomes(value)
    hint = f"; write {name}={kind.example}" if name.isidentifier() else ""
    raise InvalidValue(f"{owner}: {name} must be {kind.words}, got {brief(value)}{hint}")


def checked(owner: str, kind: Kind, **values: Any) -> list[Any]:
    """Several values of one kind, as plain Python numbers.

    Raises:
        InvalidValue: one of them is not of this kind.
    """
    return [number(owner, name, value, kind) for name, value in values.items()]


def plain(value: Any) -> Any:
    """A number as Python's own; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return value
    return int(value) if isinstance(value, Integral) else float(value)


def float_type(dtype: FloatType) -> np.dtype | None:
    """The type of floats that is meant.

    Raises:
        InvalidValue: it is none, or has fewer digits and a smaller range than float32.
    """
    if dtype is None:
        return None
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found is None or found.kind != "f":
        raise InvalidValue(
            f"dtype must be a type of floats, got {brief(dtype)}; write dtype='float32' or "
            "dtype='float64'"
        )
    if found.itemsize < 4:
        raise InvalidValue(
            f"dtype must be at least float32, got {found}: the squares of gradients overflow, and "
            "epsilon underflows; write dtype='float32'"
        )
    return found
