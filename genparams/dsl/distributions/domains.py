"""The domains of arguments, the kinds of values, and how both are converted from outside."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from genparams.autodiff import Box, np, operand, raw, shape_of
from genparams.errors import ArgumentError, DistributionError, GenParamsError, ShapeError
from genparams.program.recorded import Recorded
from genparams.text import brackets, brief, offence

LARGEST_WHOLE = 2.0**53
"""Every whole number up to this one is a float."""


@dataclass(frozen=True, slots=True)
class Domain:
    """The values that an argument may have: a rule in words, and tests on floats and arrays."""

    rule: str
    test: Callable[..., Any] | None
    """Whether each number is in the domain; None if every number is."""
    rank: int = 0
    """The axes of one member of a batch: 0 for a number, 1 for a vector, 2 for a matrix."""
    lazy: bool = False
    """Whether to check an argument only where the log density is not finite.

    This is enough where each number outside the domain makes the log density infinite or NaN.
    """
    smooth: bool = True
    """Whether the log density has a derivative by the argument."""
    member: Callable[[Any], Any] | None = None
    """Whether each vector or matrix is in the domain, where all of its numbers are."""
    fault: Callable[[Any], str] = lambda one: in_words(one)
    """What is wrong with a vector or matrix, in a few words."""

    def within(self, rank: int = 0) -> "Domain":
        """The same domain with more axes, checked before the log density is computed."""
        return replace(self, rank=self.rank + rank, lazy=False)

    def check(self, distribution: str, name: str, value: Any) -> None:
        """Raise unless the value is in the domain, with the first index and value that are not."""
        if self.rank and len(shape_of(value)) < self.rank:
            raise ShapeError(
                f"{name} of {distribution} needs at least {self.rank} axes, got shape "
                f"{shape_of(value)}"
            )
        if self.test is None:
            return
        value = raw(value)
        good, fault = self.test(value), in_words
        if good is True or (good.all() if type(good) is np.ndarray else np.all(good)):
            if self.member is None:
                return
            good, fault = self.member(value), self.fault
            if np.all(good):
                return
        found = first_bad(value, good, fault)
        raise DistributionError(f"{name} of {distribution} must be {self.rule}, got {found}")


def first_bad(value: Any, good: Any, fault: Callable[[Any], str]) -> str:
    """The first entry that is not good, in words, its index, and how many there are."""
    at, count = first_index(~np.asarray(good))
    more = f", the first of {count}" if count > 1 else ""
    return f"{fault(np.asarray(value)[at])}{at_index(at)}{more}"


def first_index(bad: Any) -> tuple[tuple[int, ...], int]:
    """The first index of a mask that is True, and how many there are."""
    found = np.argwhere(bad)
    return tuple(int(i) for i in found[0]), len(found)


def at_index(index: tuple[int, ...]) -> str:
    """An index in a sentence."""
    return f" at {brackets(index)}" if index else ""


def in_words(value: Any) -> str:
    """A number or a short array, in a sentence."""
    value = np.asarray(value)
    if value.ndim:
        return np.array2string(value, separator=", ", threshold=6, edgeitems=2).replace("\n", "")
    return repr(value.item())


def check_order(name: str, low: Any, high: Any, good: Any, order: str = "below") -> None:
    """Raise unless every entry of `good` holds, which says that `low` is below `high`."""
    if good is True or np.all(good):
        return
    low, high = np.broadcast_arrays(low, high)
    at, _ = first_index(~np.broadcast_to(good, low.shape))
    raise DistributionError(
        f"{name} needs low {order} high, got {in_words(low[at])} and {in_words(high[at])}"
        f"{at_index(at)}"
    )


def _finite(v: Any) -> Any:
    """Whether numbers are finite. If the sum of an array is finite, each of its numbers is."""
    if type(v) is not np.ndarray:
        return v - v == 0.0
    return True if math.isfinite(v.sum()) else np.isfinite(v)


def _sums_to_one(v: Any) -> Any:
    return np.abs(v.sum(axis=-1) - 1.0) < 1e-8


def _sum_in_words(row: Any) -> str:
    return f"{in_words(row)}, which sums to {float(np.sum(row)):.10g}"


lazy_finite = Domain("finite", _finite, lazy=True)
finite = Domain("finite", _finite)
above_zero = Domain("above 0 and finite", lambda v: (v > 0.0) & (v < math.inf))
at_least_zero = Domain("at least 0 and finite", lambda v: (v >= 0.0) & (v < math.inf))
probability = Domain("between 0 and 1", lambda v: (v >= 0.0) & (v <= 1.0))
count = Domain(
    "a whole number, at least 0 and at most 2^53",
    lambda v: (v >= 0.0) & (v <= LARGEST_WHOLE) & (v == np.floor(v)),
    smooth=False,
)
whole_number = Domain(
    "a whole number between -2^53 and 2^53",
    lambda v: (v == np.floor(v)) & (abs(v) <= LARGEST_WHOLE),
    smooth=False,
)
lazy_vector = Domain("finite", _finite, rank=1, lazy=True)
weights = Domain(
    "at least 0 and sum to 1 along the last axis",
    lambda v: (v >= 0.0) & (v < math.inf),
    rank=1,
    member=_sums_to_one,
    fault=_sum_in_words,
)


@dataclass(frozen=True, slots=True)
class ValueKind:
    """What the values of a distribution are."""

    rank: int
    """The axes of one value: 0 for a number, 1 for a vector, 2 for a matrix."""
    convert: Callable[[Any], Any]
    """A value from outside in the type of a draw."""
    continuous: bool = False
    free: bool = True
    """Whether the density is over all entries of a value, with no constraint between them."""
    support: str = "the finite numbers"


# --- Arguments and values from outside


def as_operand(distribution: str, name: str, value: Any) -> Any:
    """An argument as a float, an array of floats or a box."""
    kind = type(value)
    if kind is float or kind is Box or kind is Recorded:
        return operand(value)
    if is_masked(value):
        raise DistributionError(
            f"{name} of {distribution} is a masked array; leave out what is masked, or fill it"
        )
    try:
        return operand(value)
    except GenParamsError:
        raise
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"{name} of {distribution} must be a number or an array of numbers, got {brief(value)}"
        ) from error


def is_masked(value: Any) -> bool:
    """Whether a value is a masked array, or a list that holds one."""
    if isinstance(value, (list, tuple)):
        return any(is_masked(v) for v in value if isinstance(v, (list, tuple, np.ma.MaskedArray)))
    return isinstance(value, np.ma.MaskedArray)


def _to_float(value: Any) -> Any:
    if is_masked(value):
        raise DistributionError("the value is a masked array; leave out what is masked")
    value = np.asarray(value)
    if value.dtype.kind not in "fiub":
        of = f" of type {value.dtype}; np.asarray(..., dtype=float) makes an array of numbers"
        given = brief(value) if value.ndim else brief(value.item())
        raise DistributionError(f"expected numbers, got {given}{of if value.ndim else ''}")
    if value.dtype.kind == "f" and np.any(np.isnan(value)):
        raise DistributionError(
            f"the value contains NaN: {offence(value, ~np.isnan(value))}; leave missing data out, "
            "or draw it"
        )
    return value.astype(np.float64) if value.ndim else float(value)


def _to_whole(value: Any) -> Any:
    """Whole numbers as ints; other numbers stay floats, and have probability 0."""
    if type(value) is int:
        return value
    value = np.asarray(_to_float(value))
    fits = (value == np.floor(value)) & (np.abs(value) <= LARGEST_WHOLE)
    return _converted(value, np.int64, fits)


def _to_bool(value: Any) -> Any:
    if type(value) is bool:
        return value
    value = np.asarray(_to_float(value))
    return _converted(value, bool, (value == 0.0) | (value == 1.0))


def _converted(value: Any, dtype: Any, fits: Any) -> Any:
    """An array in another type if all entries fit; a number of Python if it has no axes."""
    value = value.astype(dtype) if np.all(fits) else value
    return value if value.ndim else value.item()


real_number = ValueKind(0, _to_float, continuous=True)
real_vector = ValueKind(1, _to_float, continuous=True, support="vectors of finite numbers")
bound_vector = ValueKind(1, _to_float, continuous=True, free=False, support="vectors")
bound_matrix = ValueKind(2, _to_float, continuous=True, free=False, support="matrices")
whole = ValueKind(0, _to_whole, support="whole numbers")
boolean = ValueKind(0, _to_bool, support="0 and 1")
