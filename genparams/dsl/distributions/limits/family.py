"""What a base distribution gives to be truncated or censored."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from genparams.autodiff import np, raw, shape_of
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.limits.tails import Slope, Tails

LogDensity = tuple[Any, Sequence[Slope | None]]
"""A log density, and its derivatives; None by what has none."""


def everywhere(*args: Any) -> tuple[float, float]:
    """The ends of the support of a distribution over all real numbers."""
    return -math.inf, math.inf


@dataclass(frozen=True, slots=True)
class Family:
    """A distribution over numbers, with a coordinate y along which it is integrated.

    y is an increasing function of x, chosen so that the density of y has few modes. The functions
    take arrays; `*args` are the arguments of the distribution.
    """

    base: Distribution
    to: Callable[..., Any]
    """`to(x, *args)` is y, for x in the support or at an end of it."""
    back: Callable[..., Any]
    """`back(y, *args)` is x."""
    along: Callable[..., LogDensity]
    """`along(y, *args)` is the log density of y, with the derivatives of log p(x) by the args."""
    edges: Callable[..., tuple[Any, Any]] = everywhere
    """`edges(*args)` are the ends of the support, in x."""
    turns: Callable[..., Sequence[Any]] = lambda *args: ()
    """`turns(*args)` are the modes and minima of the density of y, in order."""
    gap: Callable[..., Any] | None = None
    """`gap(width, low, *args)` is the distance in y from low to low + width, without rounding."""
    tails: Tails | None = None
    """The tails in closed form, where there is one."""
    between: Callable[..., LogDensity] | None = None
    """`between(m, x, *args, low, high)` is the truncated log density, with its derivatives by x,
    the args and the limits, where it has a closed form that is exact for all limits."""

    @property
    def step(self) -> float:
        """From one value to the next: 0 for a continuous family."""
        return 0.0 if self.base.kind.continuous else 1.0


def column(a: Any) -> Any:
    """Entries of a batch as a column, to broadcast with nodes along the last axis."""
    return np.reshape(a, (*shape_of(a), 1)) if shape_of(a) else a


def limits_along(family: Family, low: Any, high: Any, args: Sequence[Any]) -> tuple[Any, Any]:
    """Two limits in y, each moved to the end of the support if it is beyond.

    An end of the support does not move in y, so it is computed from arguments without boxes.
    """
    own = [raw(a) for a in args]
    middle = family.back(0.0, *own)
    lowest, highest = family.edges(*own)

    def place(limit: Any, end: Any, beyond: Any) -> Any:
        within = family.to(np.where(beyond, middle, limit), *args)
        return np.where(beyond, family.to(end, *own), within)

    return place(low, lowest, raw(low) <= lowest), place(high, highest, raw(high) >= highest)


def gap_along(family: Family, low: Any, high: Any, args: Sequence[Any]) -> Any:
    """The distance in y of two limits, infinite unless both are inside the support."""
    if family.gap is None:
        return None
    own = [raw(a) for a in args]
    middle = family.back(0.0, *own)
    lowest, highest = family.edges(*own)
    inside = (raw(low) > lowest) & (raw(high) < highest)
    start = np.where(inside, low, middle)
    found = family.gap(np.where(inside, high, middle) - start, start, *args)
    return column(np.where(inside, found, np.inf))
