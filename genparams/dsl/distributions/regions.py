"""Regions: where distributions have a density, with unconstrained coordinates of the values there.

A sampler that follows gradients moves a point over all real vectors u. A region maps u to a value:

| values | region | coordinates u |
| --- | --- | --- |
| all real numbers | `WHOLE_LINE` | x |
| x > low | `Between(low, inf)` | log(x - low) |
| x < high | `Between(-inf, high)` | log(high - x) |
| low < x < high | `Between(low, high)` | logit((x - low) / (high - low)) |
| values of a constraint, such as `simplex` | `Through` | the coordinates of the constraint |
| tuples | `Together` | a tuple of coordinates |

The bounds may be arrays, and may be boxes: a bound that depends on another choice moves with it,
and the gradient follows. A region may be larger than the support: the density is then 0 in a part
of it, and a sampler rejects what it finds there.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol

from genparams.autodiff import Box, np, raw, shape_of, special, total
from genparams.constraints import positive, unit_interval
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

    def natural(self, u: Any) -> Any:
        row = _ROWS.get(self)
        if row is not None:
            return row.natural(u)
        lower, upper = self._sides()
        if _none(lower) and _none(upper):
            return u
        low, high = _safe(self.low, lower), _safe(self.high, upper)
        if _all(lower) and _all(upper):
            value = low + (high - low) * special.expit(u)
        elif _all(lower) and _none(upper):
            value = low + np.exp(u)
        elif _none(lower) and _all(upper):
            value = high - np.exp(u)
        else:
            both, one = lower & upper, lower ^ upper
            away = np.exp(np.where(one, u, 0.0))
            inside = low + (high - low) * special.expit(u)
            half = np.where(lower, low + away, high - away)
            value = np.where(both, inside, np.where(one, half, u))
        return _inside(value, raw(self.low), raw(self.high))

    def inverse(self, value: Any) -> Any:
        low, high = raw(self.low), raw(self.high)
        lower, upper = self._sides()
        with np.errstate(all="ignore"):
            above = np.log(np.where(lower, value - _safe(low, lower), 1.0))
            below = np.log(np.where(upper, _safe(high, upper) - value, 1.0))
            u = np.where(np.logical_and(lower, upper), above - below, above + below)
            u = np.where(np.logical_or(lower, upper), u, value)
        return u if np.ndim(u) else float(u)

    def log_det(self, u: Any) -> Any:
        lower, upper = self._sides()
        if _none(lower) and _none(upper):
            return 0.0
        if (_all(lower) and _none(upper)) or (_none(lower) and _all(upper)):
            return _total(u)
        both = np.logical_and(lower, upper)
        one, logits = np.logical_xor(lower, upper), np.where(both, u, 0.0)
        width = np.where(both, _safe(self.high, upper) - _safe(self.low, lower), 1.0)
        inside = np.log(width) + special.log_expit(logits) + special.log_expit(-logits)
        return _total(np.where(both, inside, np.where(one, u, 0.0)))

    def _sides(self) -> tuple[Any, Any]:
        """Whether there is a finite bound below, and above: for each entry, or for all."""
        return _is_finite(raw(self.low)), _is_finite(raw(self.high))


WHOLE_LINE = Between(-math.inf, math.inf)
ABOVE_0 = Between(0.0, math.inf)
UNIT = Between(0.0, 1.0)
_ROWS: dict[Any, Any] = {ABOVE_0: positive, UNIT: unit_interval}
"""The regions that are the set of a constraint."""


def _is_finite(bound: Any) -> Any:
    """True or False if one answer holds for all entries, else an array."""
    if type(bound) is float:
        return math.isfinite(bound)
    finite = np.isfinite(bound)
    first = bool(np.ravel(finite)[0]) if np.size(finite) else True
    return first if np.all(finite == first) else finite


def _all(side: Any) -> bool:
    return side is True


def _none(side: Any) -> bool:
    return side is False


def _safe(bound: Any, finite: Any) -> Any:
    """A bound, with 0 in place of what is infinite."""
    return bound if finite is True else np.where(finite, bound, 0.0)


def _total(x: Any) -> Any:
    return total(x) if shape_of(x) else x


def _inside(value: Any, low: Any, high: Any) -> Any:
    """A value moved to the next float inside where rounding made it equal a bound.

    A traced value keeps its derivative.
    """
    at = raw(value)
    if np.all((at > low) & (at < high)) or np.any(np.isnan(at)):
        return value
    inside = np.clip(at, np.nextafter(low, math.inf), np.nextafter(high, -math.inf))
    with np.errstate(invalid="ignore"):
        shift = np.where(at == inside, 0.0, inside - at)
    return value + shift


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
