"""The maximum of a likelihood where one entry of a parameter has a given value.

Write s(x) for the coordinate of the entry, such as the logit of an entry of a simplex, as a
function of the coordinates x of the likelihood. The others are free. A direction d along which s
grows is eliminated: x = u + d c, where u is 0 at the place m of d, and c solves s(x) = target. With
a = ds/dx, Q = d^2s/dx^2 and the gradient g and second derivatives H of the log likelihood,

    T = dx/du = I - d a^T / (a . d)      (without the column m)
    dl/du = T^T g        d^2l/du^2 = T^T (H - lambda Q) T,    lambda = g . d / (a . d)

and at the maximum lambda is the derivative of the log likelihood by the target.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from genparams.autodiff import gradient, hessian
from genparams.constraints import Ordered, Simplex
from genparams.dsl.likelihood.likelihood import Likelihood, Second
from genparams.errors import NoProfile
from genparams.learning.fitting.objective import OUTSIDE, logarithmic, nowhere, same_choices
from genparams.learning.fitting.trust_region import REASONS, climb
from genparams.numeric import quiet
from genparams.params import Parameter
from genparams.types import Array, Constraint

STEPS = 200
"""How many steps a search makes; the point next to it is near the maximum."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a free parameter: its place in the vector, and its coordinate s."""

    parameter: Parameter
    place: slice
    index: int
    """Its place among the entries of the value."""
    scale: Constraint
    """The constraint whose coordinate s is."""
    own: int | None
    """The one coordinate that s is; None if it depends on several."""

    def coordinate(self, x: Array) -> float:
        """s(x)."""
        return float(x[self.own]) if self.own is not None else float(self._of(x[self.place]))

    def slopes(self, x: Array) -> Array:
        """a = ds/dx."""
        found = np.zeros(len(x))
        if self.own is not None:
            found[self.own] = 1.0
        else:
            found[self.place] = gradient(self._of, x[self.place])
        return found

    def bends(self, x: Array) -> Array:
        """Q = d^2s/dx^2."""
        found = np.zeros((len(x), len(x)))
        if self.own is None:
            found[self.place, self.place] = hessian(self._of, x[self.place])
        return found

    def _of(self, theta: Any) -> Any:
        value = self.parameter.constraint.natural(theta.reshape(self.parameter.shape))
        entry = value.reshape(-1)[self.index]
        inverse: Callable[[Any], Any] | None = getattr(self.scale, "inverse", None)
        return entry if inverse is None else inverse(entry)

    def direction(self, x: Array) -> tuple[Array, int]:
        """d and its place m: s goes from -inf to inf along d where it can.

        theta_k for entry k of a simplex, all of its coordinates for the last entry, the first
        coordinate for an ordered vector, and elsewhere the coordinate of the largest slope.
        """
        found, block = np.zeros(len(x)), self._block()
        if isinstance(self.parameter.constraint, Simplex):
            at = self.index % self.parameter.value_shape[-1]
            places, sign = (block[at : at + 1], 1.0) if at < len(block) else (block, -1.0)
        elif isinstance(self.parameter.constraint, Ordered):
            places, sign = block[:1], 1.0
        else:
            places, sign = [int(np.argmax(np.abs(self.slopes(x))))], 1.0
        found[places] = sign
        return found, places[0]

    def _block(self) -> list[int]:
        """The coordinates of the vector that the entry is in."""
        width = self.parameter.value_shape[-1] if self.parameter.value_shape else 1
        own = self.parameter.shape[-1] if self.parameter.shape else 1
        start = self.place.start + (self.index // width) * own
        return list(range(start, start + own))


@dataclass(frozen=True, slots=True)
class Point:
    """The maximum at one coordinate of the entry."""

    at: float
    x: Array
    log_prob: float
    slope: float
    """The derivative of the largest log likelihood by the coordinate."""


@dataclass(slots=True)
class Slice:
    """The likelihood where the entry has the coordinate `target`, by u: an `Objective`."""

    likelihood: Likelihood
    entry: Entry
    target: float
    base: Array
    d: Array
    m: int
    others: Array
    """The places of u: all but m."""
    iterations: int = 0

    def x(self, u: Array) -> Array:
        """The coordinates with s(x) = target."""
        x = self.base.copy()
        c = self.base[self.m] / self.d[self.m]
        for _ in range(60):
            x[self.others] = u + self.d[self.others] * c
            x[self.m] = self.d[self.m] * c
            off = self.entry.coordinate(x) - self.target
            step = off / float(self.entry.slopes(x) @ self.d)
            if not np.isfinite(step):
                break
            c -= step
            if abs(step) <= 1e-14 * (1.0 + abs(c)):
                break
        x[self.others] = u + self.d[self.others] * c
        x[self.m] = self.d[self.m] * c
        return x

    def start(self) -> Array:
        """u at the base."""
        c = self.base[self.m] / self.d[self.m]
        return self.base[self.others] - self.d[self.others] * c

    def holds(self, x: Array) -> bool:
        """Whether s(x) = target."""
        return abs(self.entry.coordinate(x) - self.target) <= 1e-10 * (1.0 + abs(self.target))

    @property
    def logarithmic(self) -> Array:
        return logarithmic(self.likelihood)[self.others]

    def settled(self, u: Array) -> Array:
        return u

    def noise(self, u: Array) -> Array:
        return np.ones(len(u))

    def scoring(self, u: Array) -> None:
        return None

    def newton(self, u: Array) -> Second:
        x = self.x(u)
        try:
            with same_choices():
                found = self.likelihood.hessian(x)
        except OUTSIDE:
            return nowhere(len(u))
        if not self.holds(x):
            return nowhere(len(u))._replace(log_prob=found.log_prob)
        return self._eliminated(x, found)

    def _eliminated(self, x: Array, found: Second) -> Second:
        """The derivatives by u, from those by x."""
        a = self.entry.slopes(x)
        along = float(a @ self.d)
        t = np.eye(len(x))[:, self.others] - np.outer(self.d, a[self.others]) / along
        bent = found.matrix - float(found.gradient @ self.d) / along * self.entry.bends(x)
        return Second(found.log_prob, t.T @ found.gradient, -t.T @ bent @ t)


@quiet
def highest(likelihood: Likelihood, entry: Entry, target: float, starts: Sequence[Array]) -> Point:
    """The maximum where the entry has the coordinate `target`: the best of several searches.

    A plateau has the supremum but for rounding: another coordinate goes to a bound or grows.

    Raises:
        ChoicesDiffer: the model makes other choices than the traces have.
        NoProfile: no search ends at a maximum.
    """
    found, messages = [], []
    for start in starts:
        point = _highest(likelihood, entry, target, start)
        (found if isinstance(point, Point) else messages).append(point)
    if not found:
        raise NoProfile(f"no maximum over the other parameters was found: {messages[0]}")
    return max(found, key=lambda p: p.log_prob)


def _highest(likelihood: Likelihood, entry: Entry, target: float, start: Array) -> Point | str:
    """The end of one search, or why it is no maximum."""
    d, m = entry.direction(start)
    others = np.delete(np.arange(len(start)), m)
    held = Slice(likelihood, entry, target, start, d, m, others)
    end = climb(held, held.start(), STEPS)
    x = held.x(end.x)
    if not np.isfinite(end.at.log_prob):
        return Point(target, x, -np.inf, 0.0)
    if not held.holds(x):
        return "the entry cannot have this value"
    if end.reason not in ("converged", "plateau"):
        return REASONS[end.reason]
    g, a = likelihood.gradient(x).gradient, entry.slopes(x)
    return Point(target, x, end.at.log_prob, float(g @ d / (a @ d)))
