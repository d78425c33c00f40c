"""The logarithms of what lies below and above a value, in closed form.

The log of a tail does not underflow where the tail does, thirty standard deviations out. A family
is known by a number z that moves with its value, and by its tails as functions of z alone:

    P(X <= x) = exp(log_cdf(z)),    P(X > x) = exp(log_sf(z)),    z = standard(x, *args)
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from genparams.autodiff import np, special
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.continuous import (
    cauchy,
    exponential,
    half_cauchy,
    half_normal,
    laplace,
    logistic,
    lognormal,
    normal,
    uniform,
    weibull,
)
from genparams.numeric import arrays, scalars

LOG_TWO = math.log(2.0)
MOST = 0.75
"""How much of a mass may be taken off without losing digits."""
ROOT_TWO, ROOT_TWO_PI = math.sqrt(2.0), math.sqrt(2.0 * math.pi)

Slope = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Tails:
    """What a family's tails are made of; only asked for limits inside its support."""

    standard: Callable[..., tuple[Any, Sequence[Slope]]]
    """`standard(m, x, *args)` gives z, and its derivatives by x and by each argument."""
    log_cdf: Callable[[Any, Any], tuple[Any, Slope]]
    """`log_cdf(m, z)` and its derivative."""
    log_sf: Callable[[Any, Any], tuple[Any, Slope]]
    from_cdf: Callable[[Any], Any]
    """z with P(Z <= z) = exp(log_p), for log_p of at most log(1/2); of arrays."""
    from_sf: Callable[[Any], Any]
    """z with P(Z > z) = exp(log_p), likewise."""
    back: Callable[..., Any]
    """`back(z, *args)` is x."""

    def log_tail(self, m: Any, upper: bool, limit: Any, args: Sequence[Any]) -> tuple[Any, list]:
        """The log of what lies above a limit, or below, and the derivatives by limit and args."""
        z, by = self.standard(m, limit, *args)
        value, slope = (self.log_sf if upper else self.log_cdf)(m, z)
        return value, [lambda d=d: slope() * d() for d in by]

    def log_between(
        self, low: float, high: float, args: Sequence[float]
    ) -> tuple[float, list[Slope]] | None:
        """The log of what lies between two limits, and the derivatives by the args, of floats.

        None where it is a small difference of tails, which would lose digits.

            log(1 - P(X < low) - P(X > high)),
            log(P(X <= high) - P(X < low)),  or  log(P(X >= low) - P(X > high))
        """
        below, (_, *by_low) = self.log_tail(scalars, False, low, args)
        above, (_, *by_high) = self.log_tail(scalars, True, high, args)
        outside = math.exp(below) + math.exp(above)
        if outside < MOST:
            a, b = math.exp(below) / (1.0 - outside), math.exp(above) / (1.0 - outside)
            return math.log1p(-outside), [
                lambda d=d, e=e: -(a * d() + b * e()) for d, e in zip(by_low, by_high, strict=True)
            ]
        upper = below > above  # whether most of the mass is below both limits
        whole, by = self.log_tail(scalars, upper, low if upper else high, args)
        part, by_part = (above, by_high) if upper else (below, by_low)
        share = math.exp(part - whole)
        if share > MOST:
            return None
        return whole + math.log1p(-share), [
            lambda d=d, e=e: (d() - share * e()) / (1.0 - share)
            for d, e in zip(by[1:], by_part, strict=True)
        ]

    def draw(self, rng: Any, low: Any, high: Any, args: Sequence[Any], ends: Any, size: Any) -> Any:
        """Values between limits inside `ends`, by inverting the tails; None if they are too close.

        Both tails of a draw are mixed from the tails at the limits, and the smaller is inverted.
        """
        first, last = low <= ends[0], high >= ends[1]
        bottom, top = np.where(first, high, low), np.where(last, low, high)  # inside the support
        bottom, top = np.where(first & last, self.back(0.5, *args), (bottom, top))
        sides = [(upper, x) for x in (bottom, top) for upper in (False, True)]
        tails = [self.log_tail(arrays, upper, x, args)[0] for upper, x in sides]
        cdf_low, sf_low = np.where(first, -np.inf, tails[0]), np.where(first, 0.0, tails[1])
        cdf_high, sf_high = np.where(last, 0.0, tails[2]), np.where(last, -np.inf, tails[3])
        apart = np.maximum(cdf_high - cdf_low, sf_low - sf_high)
        if not np.all(apart > CLOSE):
            return None
        u = 1.0 - rng.random(size)  # above 0
        here, there = np.log1p(-u), np.log(u)
        cdf = np.logaddexp(here + cdf_low, there + cdf_high)
        sf = np.logaddexp(here + sf_low, there + sf_high)
        lower = cdf < sf
        z = np.where(
            lower,
            self.from_cdf(np.where(lower, cdf, -1.0)),
            self.from_sf(np.where(lower, -1.0, sf)),
        )
        return np.clip(self.back(z, *args), low, high)

    def draw_one(
        self, rng: Any, low: float, high: float, args: Sequence[float], ends: Any
    ) -> float | None:
        """`draw` of one number, from the same random numbers."""
        first, last = low <= ends[0], high >= ends[1]

        def tails(limit: float, beyond: bool, outer: tuple[float, float]) -> tuple[float, float]:
            if beyond:
                return outer
            cdf, _ = self.log_tail(scalars, False, limit, args)
            return cdf, self.log_tail(scalars, True, limit, args)[0]

        cdf_low, sf_low = tails(low, first, (-math.inf, 0.0))
        cdf_high, sf_high = tails(high, last, (0.0, -math.inf))
        if not max(cdf_high - cdf_low, sf_low - sf_high) > CLOSE:
            return None
        u = 1.0 - rng.random()
        here, there = scalars.log1p(-u), scalars.log(u)
        cdf = scalars.logaddexp(here + cdf_low, there + cdf_high)
        sf = scalars.logaddexp(here + sf_low, there + sf_high)
        z = self.from_cdf(cdf) if cdf < sf else self.from_sf(sf)
        return min(max(float(self.back(z, *args)), low), high)


CLOSE = 1e-6
"""Limits whose tails differ relatively by less are too close for a draw by the tails."""


def _log_part(m: Any, mass: Any, rest: Any) -> Any:
    """log mass, where mass + rest = 1: to all digits also where it is near 1."""
    small = mass < 0.5
    return m.where(small, m.log(m.where(small, mass, 0.5)), m.log1p(-m.where(small, 0.5, rest)))


def _by_loc_and_scale(m: Any, x: Any, loc: Any, scale: Any) -> tuple[Any, Sequence[Slope]]:
    z = (x - loc) / scale
    return z, (lambda: 1.0 / scale, lambda: -1.0 / scale, lambda: -z / scale)


def _by_log(m: Any, x: Any, mu: Any, sigma: Any) -> tuple[Any, Sequence[Slope]]:
    z = (m.log(x) - mu) / sigma
    return z, (lambda: 1.0 / (sigma * x), lambda: -1.0 / sigma, lambda: -z / sigma)


def _by_rate(m: Any, x: Any, rate: Any) -> tuple[Any, Sequence[Slope]]:
    return rate * x, (lambda: rate, lambda: x)


def _by_scale(m: Any, x: Any, scale: Any) -> tuple[Any, Sequence[Slope]]:
    z = x / scale
    return z, (lambda: 1.0 / scale, lambda: -z / scale)


def _by_power(m: Any, x: Any, shape: Any, scale: Any) -> tuple[Any, Sequence[Slope]]:
    log_ratio = m.log(x / scale)
    z = m.exp(shape * log_ratio)
    return z, (lambda: shape * z / x, lambda: z * log_ratio, lambda: -shape * z / scale)


def _by_ends(m: Any, x: Any, low: Any, high: Any) -> tuple[Any, Sequence[Slope]]:
    width = high - low
    z = (x - low) / width
    return z, (lambda: 1.0 / width, lambda: (z - 1.0) / width, lambda: -z / width)


def _mirrored(log_cdf: Callable) -> Callable[[Any, Any], tuple[Any, Slope]]:
    """The upper tail of a family that is symmetric about z = 0."""

    def log_sf(m: Any, z: Any) -> tuple[Any, Slope]:
        value, slope = log_cdf(m, -z)
        return value, lambda: -slope()

    return log_sf


def _along_line(z: Any, loc: Any, scale: Any) -> Any:
    return loc + scale * z


def _symmetric(
    log_cdf: Callable,
    from_cdf: Callable[[Any], Any],
    standard: Callable = _by_loc_and_scale,
    back: Callable[..., Any] = _along_line,
) -> Tails:
    return Tails(
        standard, log_cdf, _mirrored(log_cdf), from_cdf, lambda log_p: -from_cdf(log_p), back
    )


def _normal_log_cdf(m: Any, z: Any) -> tuple[Any, Slope]:
    value = float(special.log_ndtr(z)) if type(z) is float else special.log_ndtr(z)
    return value, lambda: m.exp(-0.5 * z * z - value) / ROOT_TWO_PI


def _half_normal_log_sf(m: Any, z: Any) -> tuple[Any, Slope]:
    far, slope = _normal_log_cdf(m, -z)
    near = z < 0.5
    value = m.where(near, m.log1p(-m.erf(m.where(near, z, 0.5) / ROOT_TWO)), far + LOG_TWO)
    return value, lambda: -slope()


def _half_normal_log_cdf(m: Any, z: Any) -> tuple[Any, Slope]:
    value = _log_part(m, m.erf(z / ROOT_TWO), m.exp(_half_normal_log_sf(m, z)[0]))
    return value, lambda: m.exp(-0.5 * z * z - value) * 2.0 / ROOT_TWO_PI


def _logistic_log_cdf(m: Any, z: Any) -> tuple[Any, Slope]:
    return m.log_expit(z), lambda: m.expit(-z)


def _cauchy_above(m: Any, z: Any) -> Any:
    """P(Z > z)."""
    arctan = math.atan if type(z) is float else np.arctan
    far = z > 1.0
    beyond = arctan(1.0 / m.where(far, z, 1.0))
    return m.where(far, beyond, 0.5 * math.pi - arctan(m.where(far, 1.0, z))) / math.pi


def _cauchy_log_cdf(m: Any, z: Any) -> tuple[Any, Slope]:
    mass = _cauchy_above(m, -z)
    value = _log_part(m, mass, _cauchy_above(m, z))
    return value, lambda: 1.0 / (math.pi * (1.0 + z * z) * mass)


def _half_cauchy_log_cdf(m: Any, z: Any) -> tuple[Any, Slope]:
    arctan = math.atan if type(z) is float else np.arctan
    mass = arctan(z) * 2.0 / math.pi
    value = _log_part(m, mass, 2.0 * _cauchy_above(m, z))
    return value, lambda: 2.0 / (math.pi * (1.0 + z * z) * mass)


def _half_cauchy_log_sf(m: Any, z: Any) -> tuple[Any, Slope]:
    arctan = math.atan if type(z) is float else np.arctan
    mass = 2.0 * _cauchy_above(m, z)
    value = _log_part(m, mass, arctan(z) * 2.0 / math.pi)
    return value, lambda: -2.0 / (math.pi * (1.0 + z * z) * mass)


def _laplace_log_cdf(m: Any, z: Any) -> tuple[Any, Slope]:
    below = z < 0.0
    half = 0.5 * m.exp(-m.abs(z))
    return (
        m.where(below, z - LOG_TWO, m.log1p(-half)),
        lambda: m.where(below, 1.0, half / (1.0 - half)),
    )


def _exponential_log_cdf(m: Any, z: Any) -> tuple[Any, Slope]:
    return _log_part(m, -m.expm1(-z), m.exp(-z)), lambda: m.ratio(1.0, m.expm1(z))


def _uniform_log_cdf(m: Any, z: Any) -> tuple[Any, Slope]:
    return m.log(z), lambda: m.ratio(1.0, z)


def _uniform_log_sf(m: Any, z: Any) -> tuple[Any, Slope]:
    return m.log1p(-z), lambda: m.ratio(-1.0, 1.0 - z)


def _exponential_log_sf(m: Any, z: Any) -> tuple[Any, Slope]:
    return -z, lambda: -1.0


def _rest(log_p: Any) -> Any:
    """log(1 - p)."""
    return np.log(-np.expm1(log_p))


_EXPONENTIAL = (
    _exponential_log_cdf,
    _exponential_log_sf,
    lambda log_p: -_rest(log_p),
    lambda log_p: -log_p,
)

CLOSED: dict[Distribution, Tails] = {
    normal: _symmetric(_normal_log_cdf, special.ndtri_exp),
    lognormal: _symmetric(
        _normal_log_cdf, special.ndtri_exp, _by_log, lambda z, *args: np.exp(_along_line(z, *args))
    ),
    laplace: _symmetric(_laplace_log_cdf, lambda log_p: log_p + LOG_TWO),
    logistic: _symmetric(_logistic_log_cdf, lambda log_p: log_p - _rest(log_p)),
    cauchy: _symmetric(_cauchy_log_cdf, lambda log_p: -1.0 / np.tan(math.pi * np.exp(log_p))),
    exponential: Tails(_by_rate, *_EXPONENTIAL, lambda z, rate: z / rate),
    weibull: Tails(_by_power, *_EXPONENTIAL, lambda z, shape, scale: scale * z ** (1.0 / shape)),
    half_normal: Tails(
        _by_scale,
        _half_normal_log_cdf,
        _half_normal_log_sf,
        lambda log_p: ROOT_TWO * special.erfinv(np.exp(log_p)),
        lambda log_p: -special.ndtri_exp(log_p - LOG_TWO),
        lambda z, scale: scale * z,
    ),
    half_cauchy: Tails(
        _by_scale,
        _half_cauchy_log_cdf,
        _half_cauchy_log_sf,
        lambda log_p: np.tan(0.5 * math.pi * np.exp(log_p)),
        lambda log_p: 1.0 / np.tan(0.5 * math.pi * np.exp(log_p)),
        lambda z, scale: scale * z,
    ),
    uniform: Tails(
        _by_ends,
        _uniform_log_cdf,
        _uniform_log_sf,
        np.exp,
        lambda log_p: -np.expm1(log_p),
        lambda z, low, high: low + (high - low) * z,
    ),
}
"""The families whose tails are functions that numpy and scipy have."""
