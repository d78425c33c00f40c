"""The logarithms of what lies below and above a value, in closed form.

The log of a tail does not underflow where the tail does, thirty standard deviations out. A family
is described by a number z, which is monotonic in its value, and by its tails, functions of z alone:

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
from genparams.dsl.distributions.declaration import Slope
from genparams.numeric import scalars

LOG_TWO = math.log(2.0)
ROOT_TWO, ROOT_TWO_PI = math.sqrt(2.0), math.sqrt(2.0 * math.pi)
LARGEST_SHARE = 0.75
"""The largest share of a probability that may be subtracted from it without losing digits."""
CLOSEST = 1e-6
"""Limits whose log tails differ by less are too close for a draw by the tails."""

LogTail = Callable[[Any, Any], tuple[Any, Slope]]
"""`log_tail(m, z)` is the log of a tail at z, and its derivative by z."""


@dataclass(frozen=True, slots=True)
class Tails:
    """The tails of a family, for limits inside its support.

    Without `log_sf` the family is symmetric about z = 0, and `log_sf(z)` is `log_cdf(-z)`.
    """

    standard: Callable[..., tuple[Any, Sequence[Slope]]]
    """`standard(m, x, *args)` is z, with its derivatives by x and by each argument."""
    back: Callable[..., Any]
    """`back(z, *args)` is x."""
    log_cdf: LogTail
    from_cdf: Callable[[Any], Any]
    """z where P(Z <= z) = exp(log_p)."""
    log_sf: LogTail | None = None
    from_sf: Callable[[Any], Any] | None = None
    """z where P(Z > z) = exp(log_p)."""
    median: float = 0.0
    """The median of Z."""

    def log_tail(self, m: Any, upper: bool, limit: Any, args: Sequence[Any]) -> tuple[Any, list]:
        """log P(X > limit) if `upper`, else log P(X <= limit); derivatives by limit and args."""
        z, by = self.standard(m, limit, *args)
        if upper and self.log_sf is None:
            value, fall = self.log_cdf(m, -z)
            return value, [lambda d=d: -fall() * d() for d in by]
        value, slope = self.log_sf(m, z) if upper and self.log_sf else self.log_cdf(m, z)
        return value, [lambda d=d: slope() * d() for d in by]

    def log_between(
        self, low: float, high: float, args: Sequence[float]
    ) -> tuple[float, list[Slope]] | None:
        """log P(low <= X <= high) and its derivatives by the args, of floats.

        None if it is a small difference of tails, which would lose digits.

            log(1 - P(X < low) - P(X > high)),
            log(P(X <= high) - P(X < low)),  or  log(P(X >= low) - P(X > high))
        """
        below, (_, *by_low) = self.log_tail(scalars, False, low, args)
        above, (_, *by_high) = self.log_tail(scalars, True, high, args)
        outside = math.exp(below) + math.exp(above)
        if outside < LARGEST_SHARE:
            a, b = math.exp(below) / (1.0 - outside), math.exp(above) / (1.0 - outside)
            return math.log1p(-outside), [
                lambda d=d, e=e: -(a * d() + b * e()) for d, e in zip(by_low, by_high, strict=True)
            ]
        upper = below > above  # most of the mass is below both limits
        whole, by = self.log_tail(scalars, upper, low if upper else high, args)
        part, by_part = (above, by_high) if upper else (below, by_low)
        share = math.exp(part - whole)
        if share > LARGEST_SHARE:
            return None
        return whole + math.log1p(-share), [
            lambda d=d, e=e: (d() - share * e()) / (1.0 - share)
            for d, e in zip(by[1:], by_part, strict=True)
        ]

    def draw(
        self, m: Any, rng: Any, low: Any, high: Any, args: Sequence[Any], ends: Any, size: Any
    ) -> Any:
        """Values between limits by inverting a tail, or None if some limits are too close.

        Where `low` is above the median the upper tail is inverted, else the lower one: a tail far
        out has digits that one minus it has lost. A limit at or beyond the `ends` of the support
        leaves nothing outside.
        """
        from_bottom, to_top = low <= ends[0], high >= ends[1]

        def at(limit: Any, beyond: Any) -> Any:
            """z at a limit, or the median if the limit is not inside the support."""
            inside = m.choose(beyond, lambda: self.back(self.median, *args), lambda: limit)
            z = self.standard(m, inside, *args)[0]
            return m.choose(beyond, lambda: m.where(beyond, self.median, z), lambda: z)

        z_low, z_high = at(low, from_bottom), at(high, to_top)
        upper = z_low > self.median
        at_low = m.choose(
            from_bottom,
            lambda: m.where(upper, 0.0, -math.inf),
            lambda: self._log_tail_at(m, upper, z_low),
        )
        at_high = m.choose(
            to_top,
            lambda: m.where(upper, -math.inf, 0.0),
            lambda: self._log_tail_at(m, upper, z_high),
        )
        if not np.all(m.abs(at_high - at_low) > CLOSEST):
            return None
        u = 1.0 - rng.random(size)  # above 0
        outer, inner = m.where(upper, at_high, at_low), m.where(upper, at_low, at_high)
        z = self._inverse(m, upper, m.logaddexp(m.log1p(-u) + outer, m.log(u) + inner))
        return self.back(z, *args)

    def _log_tail_at(self, m: Any, upper: Any, z: Any) -> Any:
        """The log of the upper tail at z where `upper` holds, else of the lower one."""
        log_sf, log_cdf = self.log_sf, self.log_cdf
        if log_sf is None:
            return log_cdf(m, z * m.where(upper, -1.0, 1.0))[0]
        return m.choose(upper, lambda: log_sf(m, z)[0], lambda: log_cdf(m, z)[0])

    def _inverse(self, m: Any, upper: Any, log_p: Any) -> Any:
        """The z whose log tail, the upper one where `upper` holds, is `log_p`."""
        from_sf, from_cdf = self.from_sf, self.from_cdf
        if from_sf is None:
            z = from_cdf(log_p)
            return m.where(upper, -z, z)
        return m.choose(upper, lambda: from_sf(log_p), lambda: from_cdf(log_p))


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


def _normal_log_cdf(m: Any, z: Any) -> tuple[Any, Slope]:
    value = m.log_ndtr(z)
    return value, lambda: m.exp(-0.5 * z * z - value) / ROOT_TWO_PI


def _cauchy_above(m: Any, z: Any) -> Any:
    """P(Z > z)."""
    far = z > 1.0
    beyond = m.arctan(1.0 / m.where(far, z, 1.0))
    return m.where(far, beyond, 0.5 * math.pi - m.arctan(m.where(far, 1.0, z))) / math.pi


def _cauchy_log_cdf(m: Any, z: Any) -> tuple[Any, Slope]:
    mass = _cauchy_above(m, -z)
    value = _log_part(m, mass, _cauchy_above(m, z))
    return value, lambda: 1.0 / (math.pi * (1.0 + z * z) * mass)


def _laplace_log_cdf(m: Any, z: Any) -> tuple[Any, Slope]:
    below = z < 0.0
    half = 0.5 * m.exp(-m.abs(z))
    return (
        m.where(below, z - LOG_TWO, m.log1p(-half)),
        lambda: m.where(below, 1.0, half / (1.0 - half)),
    )


def _half(
    full: Tails, mass: Callable[[Any, Any], Any], from_cdf: Callable[[Any], Any], median: float
) -> Tails:
    """The tails of scale |Z| for a Z that is symmetric about 0, where mass(m, z) = P(|Z| <= z)."""

    def log_sf(m: Any, z: Any) -> tuple[Any, Slope]:
        far, slope = full.log_cdf(m, -z)
        below = mass(m, z)
        near = below < 0.5
        value = m.where(near, m.log1p(-m.where(near, below, 0.5)), far + LOG_TWO)
        return value, lambda: -slope()

    def log_cdf(m: Any, z: Any) -> tuple[Any, Slope]:
        far, slope = full.log_cdf(m, -z)
        value = _log_part(m, mass(m, z), 2.0 * m.exp(far))
        return value, lambda: 2.0 * m.exp(far - value) * slope()

    return Tails(
        _by_scale,
        lambda z, scale: scale * z,
        log_cdf,
        from_cdf,
        log_sf,
        lambda log_p: -full.from_cdf(log_p - LOG_TWO),
        median,
    )


def _exponential_log_cdf(m: Any, z: Any) -> tuple[Any, Slope]:
    return _log_part(m, -m.expm1(-z), m.exp(-z)), lambda: m.ratio(1.0, m.expm1(z))


# --- The inverses


def _from_laplace_cdf(log_p: Any) -> Any:
    below = log_p < -LOG_TWO
    rest = np.where(below, 0.5, -np.expm1(log_p))
    return np.where(below, log_p + LOG_TWO, -np.log(2.0 * rest))


def _log_rest(log_p: Any) -> Any:
    """log(1 - p)."""
    return np.log(-np.expm1(log_p))


def _on_line(z: Any, loc: Any, scale: Any) -> Any:
    return loc + scale * z


_EXPONENTIAL = (
    _exponential_log_cdf,
    lambda log_p: -_log_rest(log_p),
    lambda m, z: (-z, lambda: -1.0),
    np.negative,
)

CLOSED: dict[Distribution, Tails] = {
    normal: Tails(_by_loc_and_scale, _on_line, _normal_log_cdf, special.ndtri_exp),
    lognormal: Tails(
        _by_log,
        lambda z, mu, sigma: np.exp(mu + sigma * z),
        _normal_log_cdf,
        special.ndtri_exp,
    ),
    laplace: Tails(_by_loc_and_scale, _on_line, _laplace_log_cdf, _from_laplace_cdf),
    logistic: Tails(
        _by_loc_and_scale,
        _on_line,
        lambda m, z: (m.log_expit(z), lambda: m.expit(-z)),
        lambda log_p: log_p - _log_rest(log_p),
    ),
    cauchy: Tails(
        _by_loc_and_scale,
        _on_line,
        _cauchy_log_cdf,
        lambda log_p: -1.0 / np.tan(math.pi * np.exp(log_p)),
    ),
    exponential: Tails(_by_rate, lambda z, rate: z / rate, *_EXPONENTIAL, median=LOG_TWO),
    weibull: Tails(
        _by_power,
        lambda z, shape, scale: scale * z ** (1.0 / shape),
        *_EXPONENTIAL,
        median=LOG_TWO,
    ),
    uniform: Tails(
        _by_ends,
        lambda z, low, high: low + (high - low) * z,
        lambda m, z: (m.log(z), lambda: m.ratio(1.0, z)),
        np.exp,
        lambda m, z: (m.log1p(-z), lambda: m.ratio(-1.0, 1.0 - z)),
        lambda log_p: -np.expm1(log_p),
        median=0.5,
    ),
}
"""The families whose tails are functions of numpy and scipy."""

CLOSED[half_normal] = _half(
    CLOSED[normal],
    lambda m, z: m.erf(z / ROOT_TWO),
    lambda log_p: ROOT_TWO * special.erfinv(np.exp(log_p)),
    median=0.6745,
)
CLOSED[half_cauchy] = _half(
    CLOSED[cauchy],
    lambda m, z: m.arctan(z) * 2.0 / math.pi,
    lambda log_p: np.tan(0.5 * math.pi * np.exp(log_p)),
    median=1.0,
)
