"""Regions: where distributions have a density, with unconstrained coordinates of the values there.

A sampler that follows gradients moves a point over all real vectors u. A region maps u to a value:

| values | region | coordinates u |
| --- | --- | --- |
| all real numbers | `WHOLE_LINE` | x |
| x > low | `Between(low, inf)` | log(x - low) |
| x < high | `Between(-inf, high)` | log(high - x) |
| low < x < high | `Between(low, high)` | logit((x - low) / (high - low)) |
| positive entries with sum 1 | `SIMPLEX` | the coordinates of `simplex` |
| values of a constraint, such as `ordered` | `Through` | the coordinates of the constraint |
| tuples | `Together` | a tuple of coordinates |

The bounds may be arrays, and may be boxes: a bound that depends on another choice moves with it,
and the gradient follows. A region may be larger than the support: the density is then 0 in a part
of it, and a sampler rejects what it finds there.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Protocol

from genparams.autodiff import Box, np, raw, shape_of, sum_to, total, unbox
from genparams.constraints import simplex
from genparams.dsl.distributions.bounded import (
    LOG_DET,
    NATURAL,
    Side,
    functions_of,
    inside_bounds,
    sides_of,
)
from genparams.errors import DistributionError


class Region(Protocol):
    """A smooth bijection from coordinates, all real numbers, to the values in a set."""

    def natural(self, u: Any) -> Any:
        """The value at coordinates u."""
        ...

    def inverse(self, value: Any) -> Any:
        """The coordinates of a value without boxes; not finite at a bound and outside."""
        ...

    def log_det(self, u: Any) -> Any:
        """log |d natural(u) / d u|: one number, the sum over all entries."""
        ...


RegionOf = Callable[..., Region]
"""From the arguments of a distribution, which may be boxes, to the region of its values."""


@dataclass(frozen=True, slots=True, eq=False)
class Between:
    """Every entry between two bounds, one or both of which may be infinite."""

    low: Any
    high: Any
    sides: Side = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sides", sides_of(raw(self.low), raw(self.high)))

    def natural(self, u: Any) -> Any:
        sides = self.sides
        if sides is Side.NONE:
            return u
        given = u, self.low, self.high
        tape, (x, low, high) = unbox(given)
        value, partials = NATURAL[sides](functions_of(x, low, high), x, low, high)
        value = inside_bounds(value, raw(low), raw(high))
        return value if tape is None else _recorded(tape, value, given, partials)

    def log_det(self, u: Any) -> Any:
        sides = self.sides
        if sides is Side.NONE:
            return 0.0
        if sides is Side.LOWER or sides is Side.UPPER:
            return _total(u)
        given = u, self.low, self.high
        tape, (x, low, high) = unbox(given)
        each, partials = LOG_DET[sides](functions_of(x, low, high), x, low, high)
        value, batch = _total(each), shape_of(each)
        return value if tape is None else _recorded(tape, value, given, partials, batch)

    def inverse(self, value: Any) -> Any:
        low, high, sides = raw(self.low), raw(self.high), self.sides
        if sides is Side.NONE:
            return value
        with np.errstate(all="ignore"):
            if sides is Side.MIXED:
                lower, upper = np.isfinite(low), np.isfinite(high)
                above = np.log(np.where(lower, value - np.where(lower, low, 0.0), 1.0))
                below = np.log(np.where(upper, np.where(upper, high, 0.0) - value, 1.0))
                u = np.where(lower & upper, above - below, above + below)
                return np.where(lower | upper, u, value)
            u = 0.0 if sides is Side.UPPER else np.log(value - low)
            if sides is not Side.LOWER:
                below = np.log(high - value)
                u = below if sides is Side.UPPER else u - below
        return u if np.ndim(u) else float(u)


WHOLE_LINE = Between(-math.inf, math.inf)
ABOVE_0 = Between(0.0, math.inf)
UNIT = Between(0.0, 1.0)


def _total(x: Any) -> Any:
    return total(x) if shape_of(x) else x


def _recorded(
    tape: Any, value: Any, given: Sequence[Any], partials: Sequence[Any], batch: Any = None
) -> Any:
    """A node for a function of each entry, given its derivatives by several values.

    Args:
        batch: The shape of the entries, if `value` is their sum.
    """
    edges = []
    for one, partial in zip(given, partials, strict=True):
        if type(one) is not Box:
            continue
        if type(value) is float and not batch:
            edges.append((one, partial))
        else:
            edges.append((one, _pullback(partial, shape_of(one), batch or shape_of(value))))
    return tape.record(value, edges)


def _pullback(partial: Any, shape: tuple[int, ...], batch: tuple[int, ...]) -> Any:
    return lambda g: sum_to(np.broadcast_to(g * partial, batch), shape)


# --- Vectors and tuples


@dataclass(frozen=True, slots=True, eq=False)
class Through:
    """Values of a bijection, whose own coordinates y are in another region."""

    bijection: Any
    extra: Sequence[Any] = ()
    """Arguments of the bijection that may be boxes."""
    region: Region = WHOLE_LINE

    def natural(self, u: Any) -> Any:
        return self.bijection.natural(self.region.natural(u), *self.extra)

    def inverse(self, value: Any) -> Any:
        with np.errstate(all="ignore"):
            return self.region.inverse(self.bijection.inverse(value, *map(raw, self.extra)))

    def log_det(self, u: Any) -> Any:
        y = self.region.natural(u)
        own = self.bijection.log_det_jacobian(y, *self.extra)
        return self.region.log_det(u) + _total(own)


@dataclass(frozen=True, slots=True, eq=False)
class OnSimplex:
    """Positive entries that sum to 1 along the last axis, as `simplex`; each of its functions is
    one node.
    """

    def natural(self, u: Any) -> Any:
        tape, (at,) = unbox((u,))
        x = simplex.natural(at)
        if tape is None:
            return x

        def pull(g: Any) -> Any:
            return (x * (g - np.sum(g * x, axis=-1, keepdims=True)))[..., :-1]

        return tape.record(x, [(u, pull)])

    def inverse(self, value: Any) -> Any:
        with np.errstate(all="ignore"):
            return simplex.inverse(value)

    def log_det(self, u: Any) -> Any:
        """sum_k log x_k, whose derivative by u_j is 1 - K x_j."""
        tape, (at,) = unbox((u,))
        value = _total(simplex.log_det_jacobian(at))
        if tape is None:
            return value
        count = shape_of(at)[-1] + 1
        slope = 1.0 - count * simplex.natural(at)[..., :-1]
        return tape.record(value, [(u, lambda g: g * slope)])


SIMPLEX = OnSimplex()


@dataclass(frozen=True, slots=True, eq=False)
class Together:
    """Tuples, each entry in a region of its own."""

    regions: Sequence[Region]

    def natural(self, u: Any) -> Any:
        return tuple([r.natural(part) for r, part in zip(self.regions, u, strict=True)])

    def inverse(self, value: Any) -> Any:
        return tuple([r.inverse(part) for r, part in zip(self.regions, value, strict=True)])

    def log_det(self, u: Any) -> Any:
        return sum(r.log_det(part) for r, part in zip(self.regions, u, strict=True))


# --- Regions made of others


def always(region: Region) -> RegionOf:
    """The same region for all arguments."""
    return lambda *args: region


def no_region(name: str, why: str) -> DistributionError:
    """The error for a distribution without a region."""
    return DistributionError(f"values of {name} have no unconstrained coordinates: {why}")


def interval_of(region: Region, name: str) -> Between:
    """The region of a distribution of numbers.

    Raises:
        DistributionError: it is a region of something else.
    """
    if not isinstance(region, Between):
        raise no_region(name, "they are not all of the numbers between two bounds")
    return region


def cut(region: Between, low: Any, high: Any) -> Between:
    """The part of a region between two limits."""
    return Between(_greater(region.low, low), _lesser(region.high, high))


def hull(regions: Sequence[Region], name: str) -> Region:
    """A region that holds all of several regions.

    Raises:
        DistributionError: no region does.
    """
    first = regions[0]
    if all(r is first for r in regions):
        return first
    if len({*map(_plain_bijection, regions)}) == 1 and _plain_bijection(first) is not None:
        return first
    between = [interval_of(r, name) for r in regions]
    low = reduce(_lesser, [r.low for r in between])
    return Between(low, reduce(_greater, [r.high for r in between]))


def _plain_bijection(region: Region) -> Any:
    """The bijection of a region that is all values of one; None for another region."""
    is_plain = isinstance(region, Through) and region.region is WHOLE_LINE and not region.extra
    return region.bijection if is_plain else None  # type: ignore[attr-defined]


def _greater(a: Any, b: Any) -> Any:
    return max(a, b) if type(a) is float and type(b) is float else _of_boxes(np.maximum, a, b)


def _lesser(a: Any, b: Any) -> Any:
    return min(a, b) if type(a) is float and type(b) is float else _of_boxes(np.minimum, a, b)


def _of_boxes(f: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    """`f` of two bounds; a box whose value never matters is left out, as its bound is infinite."""
    if type(a) is not Box and type(b) is not Box:
        return f(a, b)
    chosen = f(raw(a), raw(b))
    for one in (a, b):
        if shape_of(one) == np.shape(chosen) and np.all(raw(one) == chosen):
            return one
    return f(a, b)
