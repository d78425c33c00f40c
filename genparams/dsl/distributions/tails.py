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

LOG_TWO = math.log(2.0)
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

    def log_tail(self, m: Any, upper: bool, limit: Any, args: Sequence[Any]) -> tuple[Any, list]:
        """The log of what lies above a limit, or below, and the derivatives by limit and args."""
        z, by = self.standard(m, limit, *args)
        value, slope = (self.log_sf if upper else self.log_cdf)(m, z)
        return value, [lambda d=d: slope() * d() for d in by]


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


def _symmetric(log_cdf: Callable, standard: Callable = _by_loc_and_scale) -> Tails:
    return Tails(standard, log_cdf, _mirrored(log_cdf))


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


CLOSED: dict[Distribution, Tails] = {
    normal: _symmetric(_normal_log_cdf),
    lognormal: _symmetric(_normal_log_cdf, _by_log),
    laplace: _symmetric(_laplace_log_cdf),
    logistic: _symmetric(_logistic_log_cdf),
    cauchy: _symmetric(_cauchy_log_cdf),
    exponential: Tails(_by_rate, _exponential_log_cdf, _exponential_log_sf),
    weibull: Tails(_by_power, _exponential_log_cdf, _exponential_log_sf),
    half_normal: Tails(_by_scale, _half_normal_log_cdf, _half_normal_log_sf),
    half_cauchy: Tails(_by_scale, _half_cauchy_log_cdf, _half_cauchy_log_sf),
    uniform: Tails(_by_ends, _uniform_log_cdf, _uniform_log_sf),
}
"""The families whose tails are functions that numpy and scipy have."""
