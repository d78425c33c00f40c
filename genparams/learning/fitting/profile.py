"""Profile likelihoods: the largest log likelihood at each value of one entry.

    zeta(v) = sign(v - estimate) sqrt(2 (l - l(v))),    l(v) = max over x with entry = v of l(x)

The interval of level P holds the values with |zeta| below the normal quantile of P. Zeta is a
straight line where the log likelihood is a parabola.

Reference: Bates and Watts, 1988, Nonlinear Regression Analysis and its Applications, section 6.1.
"""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from genparams.dsl.likelihood.likelihood import Likelihood
from genparams.errors import FitError, InvalidValue, NoProfile
from genparams.learning.fitting.along import Entry, Point, highest
from genparams.learning.fitting.intervals import Intervals, natural_end, normal_quantile
from genparams.learning.fitting.model import unchanged
from genparams.learning.fitting.search import starts_from
from genparams.mistakes import closed
from genparams.numeric import quiet
from genparams.types import Array

if TYPE_CHECKING:
    from genparams.learning.fitting.result import FitResult

REACH = 3.0
"""The |zeta| up to which a profile is computed."""
SPACING = 0.5
"""The distance in zeta of its points, about."""
DOUBLINGS = 40
FAR = 100.0
"""How far a flat likelihood is followed, in estimates or standard errors."""
HIGHER = 1e-7
"""A log likelihood that is higher than the fit's by this, relatively, is another maximum."""


@dataclass(frozen=True)
class Curve:
    """zeta as a function of the coordinate of an entry."""

    likelihood: Likelihood
    entry: Entry
    name: str
    doubtful: Array
    """The coordinates without a standard error: at a bound, or in a flat direction."""
    top: Point
    error: float
    """The standard error of the coordinate, or a guess."""
    known: list[Point] = field(default_factory=list)

    def point(self, at: float) -> Point:
        """The maximum at a coordinate, from the nearest one that is known."""
        nearest = min([self.top, *self.known], key=lambda p: abs(p.at - at))
        if nearest.at == at:
            return nearest
        found = highest(self.likelihood, self.entry, at, starts_from(nearest.x, self.doubtful))
        if found.log_prob > self.top.log_prob + HIGHER * (1.0 + abs(self.top.log_prob)):
            raise NoProfile(
                f"the profile of {self.name} finds a log likelihood of {found.log_prob:.9g}, above "
                f"{self.top.log_prob:.9g} of the fit: fit again from there, or from several starts"
            )
        if math.isfinite(found.log_prob):
            self.known.append(found)
        return found

    def zeta(self, at: float) -> float:
        """The signed root of twice the fall of the log likelihood; infinite if it falls to -inf."""
        fall = 2.0 * max(self.top.log_prob - self.point(at).log_prob, 0.0)
        return math.copysign(math.sqrt(fall), at - self.top.at)

    def end(self, sign: float, z: float) -> tuple[float, str]:
        """Where |zeta| is z on one side, as a coordinate; infinite with the reason if nowhere."""
        found = self._bracket(sign, z)
        if isinstance(found, str):
            return sign * math.inf, found
        from scipy.optimize import brentq  # heavy: only when needed

        def over(at: float) -> float:
            return min(abs(self.zeta(at)), z + 10.0) - z

        root: Any = brentq(over, *found, xtol=1e-10 * self.error, maxiter=200)
        return float(root), ""

    def _bracket(self, sign: float, z: float) -> tuple[float, float] | str:
        """Two coordinates between which |zeta| reaches z, or why there are none."""
        inner, before, flat = self.top.at, 0.0, 0
        step = 1.1 * z * self.error
        for _ in range(DOUBLINGS):
            outer = self.top.at + sign * step
            fall = abs(self.zeta(outer))
            if fall >= z:
                return inner, outer
            flat = flat + 1 if fall - before < 1e-5 * z else 0
            if flat >= 3 and step > FAR * max(abs(self.top.at), z * self.error):
                break
            inner, before, step = outer, fall, 2.0 * step
        side = "above" if sign > 0.0 else "below"
        drop, wanted = 0.5 * before**2, 0.5 * z**2
        return (
            f"{side} the estimate the log likelihood falls by {drop:.3g} only, and {wanted:.3g} is "
            "needed"
        )

    def steps(self, sign: float) -> list[Point]:
        """Points on one side, about evenly spaced in zeta."""
        found, at = [], self.top.at + sign * SPACING * self.error
        while len(found) < 4 * REACH / SPACING:
            point = self.point(at)
            zeta = abs(self.zeta(at))
            if not math.isfinite(zeta):
                break
            found.append(point)
            if zeta > REACH:
                break
            rate = abs(point.slope) / zeta if zeta else 0.0
            near = SPACING * self.error
            at += sign * (min(SPACING / rate, 10.0 * near) if rate else near)
        return found


@closed()
@dataclass(frozen=True, eq=False)
class Profile:
    """The largest log likelihood at each value of one entry."""

    entry: str
    values: Array
    """Values of the entry, increasing, the estimate among them."""
    log_likelihood: Array
    """The largest log likelihood at each; with priors, the log posterior."""
    zeta: Array
    """The signed root of twice its fall: straight for a parabola."""
    estimate: float
    _curve: Curve

    def conf_int(self, level: float = 0.95) -> tuple[float, float]:
        """The ends of the interval, each an infinity, or the bound of the entry, where it is open.

        Raises:
            InvalidValue: the level is not between 0 and 1.
            NoProfile: the likelihood has no maximum over the other parameters.
        """
        low, high, _ = ends_of(self._curve, normal_quantile(level))
        return low, high

    def why_open(self, level: float = 0.95) -> str:
        """Why an end of the interval is open; empty if none is."""
        return ends_of(self._curve, normal_quantile(level))[2]

    def __repr__(self) -> str:
        return (
            f"Profile({self.entry}, {len(self.values)} values from {self.values[0]:.6g} to "
            f"{self.values[-1]:.6g})"
        )


@quiet
def ends_of(curve: Curve, z: float) -> tuple[float, float, str]:
    """The ends of an interval on the natural scale, and why one of them is open."""
    (low, below), (high, above) = curve.end(-1.0, z), curve.end(1.0, z)
    ends = sorted(natural_end(curve.entry.scale, end) for end in (low, high))
    return ends[0], ends[1], "; ".join(filter(None, (below, above)))


@quiet
def profiled(result: "FitResult", entry: str) -> Profile:
    """The profile of an entry."""
    curve = curve_of(result, entry)
    points = [*reversed(curve.steps(-1.0)), curve.top, *curve.steps(1.0)]
    scale = curve.entry.scale
    values = np.array([natural_end(scale, p.at) for p in points])
    order = np.argsort(values)
    log_likelihood = np.array([p.log_prob for p in points])
    zeta = np.array([curve.zeta(p.at) for p in points])
    if values[0] > values[-1]:
        zeta = -zeta
    estimate = natural_end(scale, curve.top.at)
    return Profile(entry, values[order], log_likelihood[order], zeta[order], estimate, curve)


def curve_of(result: "FitResult", entry: str) -> Curve:
    """The curve of an entry.

    Raises:
        UnknownParameter: there is no such entry.
        InvalidValue: it is frozen or constant.
    """
    row = result.place_of(entry)
    model = unchanged(result, "a profile")
    places = model.places
    if row in places.reasons:
        raise InvalidValue(f"{entry} has no profile: it is {places.reasons[row]}")
    p = next(p for p, rows in places.rows.items() if rows.start <= row < rows.stop)
    vector, scale = model.likelihood.vector, places.scales[row]
    assert scale is not None  # it is not constant
    index = row - places.rows[p].start
    where = Entry(p, vector.places[p], index, scale, places.own.get(row))
    at = where.coordinate(model.x)
    top = Point(at, model.x, model.maximum.found.log_prob, 0.0)
    error = result.errors("observed").spread[row]
    guess = error if math.isfinite(error) and error > 0.0 else _guess(model.maximum.hessian, where)
    return Curve(model.likelihood, where, entry, ~model.maximum.usable, top, guess)


def _guess(hessian: Array, entry: Entry) -> float:
    """A standard error of a coordinate, with the others as they are."""
    curvature = -hessian[entry.own, entry.own] if entry.own is not None else math.nan
    return float(1.0 / math.sqrt(curvature)) if curvature > 1e-12 else 1.0


def profile_intervals(result: "FitResult", level: float) -> Intervals:
    """The profile interval of each entry; NaN with the reason where it cannot be computed."""
    z, entries = normal_quantile(level), result.entries
    low, high = np.full(len(entries), np.nan), np.full(len(entries), np.nan)
    missing: dict[str, str] = {}
    constant = unchanged(result, "a profile").places.reasons
    for row, entry in enumerate(entries):
        if row in constant:
            missing[entry] = constant[row]
            continue
        try:
            low[row], high[row], why = ends_of(curve_of(result, entry), z)
        except FitError as error:
            why = str(error)
        if why:
            missing[entry] = why
    return Intervals(entries, low, high, level, "profile", missing)
