"""The logarithms of what lies below and above a value, for families of distributions.

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
    natural: Callable[..., Any]
    """`natural(z, *args)` is x."""
    log_cdf: Callable[[Any, Any], tuple[Any, Slope]]
    """`log_cdf(m, z)` and its derivative."""
    log_sf: Callable[[Any, Any], tuple[Any, Slope]]
    from_log_cdf: Callable[[Any], Any]
    """The z whose `log_cdf` that is."""
    from_log_sf: Callable[[Any], Any]
    median: float
    """That of z."""
    edges: Callable[..., tuple[Any, Any]] = lambda *args: (-math.inf, math.inf)
    """`edges(*args)` are the ends of the support."""

    def log_tail(self, m: Any, upper: bool, limit: Any, args: Sequence[Any]) -> tuple[Any, list]:
        """The log of what lies above a limit, or below, and the derivatives by limit and args."""
        z, by = self.standard(m, limit, *args)
        value, slope = (self.log_sf if upper else self.log_cdf)(m, z)
        return value, [lambda d=d: slope() * d() for d in by]


def log1mexp(m: Any, d: Any) -> Any:
    """log(1 - exp(d)) for d < 0."""
    far = d < -LOG_TWO
    return m.where(
        far,
        m.log1p(-m.exp(m.where(far, d, -1.0))),
        m.log(-m.expm1(m.where(far, -0.1, d))),
    )


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


def _symmetric(log_cdf: Callable, from_log_cdf: Callable, standard: Callable) -> Tails:
    natural = lambda z, loc, scale: loc + scale * z  # noqa: E731
    return Tails(
        standard,
        natural if standard is _by_loc_and_scale else lambda z, *args: np.exp(natural(z, *args)),
        log_cdf,
        _mirrored(log_cdf),
        from_log_cdf,
        lambda log_p: -from_log_cdf(log_p),
        0.0,
        *(() if standard is _by_loc_and_scale else (_above_zero,)),
    )


def _above_zero(*args: Any) -> tuple[float, float]:
    return 0.0, math.inf


def _normal_log_cdf(m: Any, z: Any) -> tuple[Any, Slope]:
    value = float(special.log_ndtr(z)) if type(z) is float else special.log_ndtr(z)
    return value, lambda: m.exp(-0.5 * z * z - value) / ROOT_TWO_PI


def _half_normal_log_sf(m: Any, z: Any) -> tuple[Any, Slope]:
    value, slope = _normal_log_cdf(m, -z)
    return value + LOG_TWO, lambda: -slope()


def _half_normal_log_cdf(m: Any, z: Any) -> tuple[Any, Slope]:
    value = m.log(m.erf(z / ROOT_TWO))
    return value, lambda: m.exp(-0.5 * z * z - value) * 2.0 / ROOT_TWO_PI


def _half_normal_from_log_cdf(log_p: Any) -> Any:
    return np.where(
        log_p < -1.0,
        ROOT_TWO * special.erfinv(np.exp(log_p)),
        -special.ndtri_exp(np.log(-0.5 * np.expm1(log_p))),
    )


def _logistic_log_cdf(m: Any, z: Any) -> tuple[Any, Slope]:
    return m.log_expit(z), lambda: m.expit(-z)


def _cauchy_log_cdf(m: Any, z: Any) -> tuple[Any, Slope]:
    below = z < 0.0
    inverse = -1.0 / m.where(below, z, -1.0)
    upper = m.where(below, 0.0, z)
    arctan = math.atan if type(z) is float else np.arctan
    mass = m.where(below, arctan(inverse), 0.5 * math.pi + arctan(upper)) / math.pi
    return m.log(mass), lambda: 1.0 / (math.pi * (1.0 + z * z) * mass)


def _laplace_log_cdf(m: Any, z: Any) -> tuple[Any, Slope]:
    below = z < 0.0
    half = 0.5 * m.exp(-m.abs(z))
    return (
        m.where(below, z - LOG_TWO, m.log1p(-half)),
        lambda: m.where(below, 1.0, half / (1.0 - half)),
    )


def _laplace_from_log_cdf(log_p: Any) -> Any:
    upper = -LOG_TWO - np.log(-np.expm1(log_p))
    return np.where(log_p < -LOG_TWO, log_p + LOG_TWO, upper)


def _exponential_log_cdf(m: Any, z: Any) -> tuple[Any, Slope]:
    return log1mexp(m, -z), lambda: m.ratio(1.0, m.expm1(z))


def _uniform_log_cdf(m: Any, z: Any) -> tuple[Any, Slope]:
    return m.log(z), lambda: m.ratio(1.0, z)


def _uniform_log_sf(m: Any, z: Any) -> tuple[Any, Slope]:
    return m.log1p(-z), lambda: m.ratio(-1.0, 1.0 - z)


def _exponential(standard: Callable, natural: Callable) -> Tails:
    return Tails(
        standard,
        natural,
        _exponential_log_cdf,
        lambda m, z: (-z, lambda: -1.0),
        lambda log_p: -np.log(-np.expm1(log_p)),
        lambda log_p: -log_p,
        LOG_TWO,
        _above_zero,
    )


TAILS: dict[Distribution, Tails] = {
    normal: _symmetric(_normal_log_cdf, special.ndtri_exp, _by_loc_and_scale),
    lognormal: _symmetric(_normal_log_cdf, special.ndtri_exp, _by_log),
    laplace: _symmetric(_laplace_log_cdf, _laplace_from_log_cdf, _by_loc_and_scale),
    logistic: _symmetric(
        _logistic_log_cdf, lambda log_p: log_p - np.log(-np.expm1(log_p)), _by_loc_and_scale
    ),
    cauchy: _symmetric(
        _cauchy_log_cdf, lambda log_p: -1.0 / np.tan(math.pi * np.exp(log_p)), _by_loc_and_scale
    ),
    exponential: _exponential(_by_rate, lambda z, rate: z / rate),
    weibull: _exponential(_by_power, lambda z, shape, scale: scale * z ** (1.0 / shape)),
    half_normal: Tails(
        _by_scale,
        lambda z, scale: scale * z,
        _half_normal_log_cdf,
        _half_normal_log_sf,
        _half_normal_from_log_cdf,
        lambda log_p: -special.ndtri_exp(log_p - LOG_TWO),
        0.6744897501960817,
        _above_zero,
    ),
    uniform: Tails(
        _by_ends,
        lambda z, low, high: low + z * (high - low),
        _uniform_log_cdf,
        _uniform_log_sf,
        np.exp,
        lambda log_p: -np.expm1(log_p),
        0.5,
        lambda low, high: (low, high),
    ),
}
"""The families that can be truncated and censored."""
