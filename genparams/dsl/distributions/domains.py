"""What arguments and values of distributions are: where they lie, their ranks and their types."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from genparams.autodiff import np, raw, shape_of
from genparams.errors import DistributionError, ShapeError


@dataclass(frozen=True, slots=True)
class Domain:
    """Where an argument may lie: a description, and a test that works on floats and arrays."""

    rule: str
    test: Callable[..., Any] | None
    rank: int = 0
    """The axes of one member of a batch: 0 for a number, 1 for a vector, 2 for a matrix."""
    late: bool = False
    """Whether an argument outside makes the log density non-finite, and is looked for only then."""

    def check(self, distribution: str, name: str, value: Any) -> None:
        if self.rank and len(shape_of(value)) < self.rank:
            raise ShapeError(
                f"{name} of {distribution} needs at least {self.rank} axes, got shape "
                f"{shape_of(value)}"
            )
        if self.test is None:
            return
        value = raw(value)
        if not (self.test(value) if type(value) is float else np.all(self.test(value))):
            raise DistributionError(f"{name} of {distribution} must be {self.rule}, got {value!r}")


anything = Domain("finite", lambda v: v - v == 0.0, late=True)
above_zero = Domain("above 0 and finite", lambda v: (v > 0.0) & (v < math.inf))
at_least_zero = Domain("at least 0 and finite", lambda v: (v >= 0.0) & (v < math.inf))
probability = Domain("between 0 and 1", lambda v: (v >= 0.0) & (v <= 1.0))
count = Domain(
    "a whole number, at least 0", lambda v: (v >= 0.0) & (v < math.inf) & (v == np.floor(v))
)
vector = Domain("a vector", None, rank=1)
weights = Domain(
    "at least 0 and sum to 1 along the last axis",
    lambda v: v.min(initial=0.0) >= 0.0 and np.abs(v.sum(axis=-1) - 1.0).max(initial=0.0) < 1e-8,
    rank=1,
)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a distribution's values are."""

    rank: int
    convert: Callable[[Any], Any]
    continuous: bool = False
    free: bool = True
    """Whether every entry can move alone, so that the density is one over all of them."""


def _to_float(value: Any) -> Any:
    if isinstance(value, np.ma.MaskedArray):
        raise DistributionError("the value is a masked array; leave out what is masked")
    value = np.asarray(value)
    if value.dtype.kind not in "fiub":
        raise DistributionError(f"expected numbers, got {value!r}")
    if value.dtype.kind == "f" and np.any(np.isnan(value)):
        raise DistributionError("the value contains NaN; leave missing data out, or draw it")
    return value.astype(np.float64) if value.ndim else float(value)


def _to_whole(value: Any) -> Any:
    """Whole numbers as ints; what is not whole stays, and has probability zero."""
    if type(value) is int:
        return value
    value = np.asarray(_to_float(value))
    if (
        not np.all(np.isfinite(value))
        or np.any(value != np.floor(value))
        or np.any(np.abs(value) > 2.0**53)
    ):
        return value if value.ndim else float(value)
    return value.astype(np.int64) if value.ndim else int(value)


def _to_bool(value: Any) -> Any:
    if type(value) is bool:
        return value
    value = np.asarray(_to_float(value))
    if np.any((value != 0.0) & (value != 1.0)):
        return value if value.ndim else float(value)
    return value.astype(bool) if value.ndim else bool(value)


real_number = Kind(0, _to_float, continuous=True)
real_vector = Kind(1, _to_float, continuous=True)
bound_vector = Kind(1, _to_float, continuous=True, free=False)
bound_matrix = Kind(2, _to_float, continuous=True, free=False)
whole = Kind(0, _to_whole)
boolean = Kind(0, _to_bool)
