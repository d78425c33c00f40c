"""Special functions of single numbers, for loops that numba compiles."""

from math import (
    atanh,
    erfc,
    exp,
    floor,
    fmod,
    inf,
    lgamma,
    log,
    log1p,
    nan,
    pi,
    sqrt,
    tan,
)  # fmt: skip

_ROOT_HALF = sqrt(0.5)
_ONE_OVER_ROOT_PI = 1.0 / sqrt(pi)


def expit(x: float) -> float:
    """1 / (1 + exp(-x))"""
    e = exp(-abs(x))
    return (1.0 if x >= 0.0 else e) / (1.0 + e)


def log_expit(x: float) -> float:
    """log expit(x)"""
    e = log1p(exp(-abs(x)))
    return (x if x < 0.0 else 0.0) - e if x == x else x


def logit(p: float) -> float:
    """log(p / (1 - p))"""
    if 0.3 < p < 0.65:
        return atanh(2.0 * p - 1.0) * 2.0
    if p < 0.0 or p > 1.0 or p != p:
        return nan
    if p == 1.0:
        return inf
    return log(p / (1.0 - p)) if p > 0.0 else -inf


def logaddexp(x: float, y: float) -> float:
    """log(exp(x) + exp(y))"""
    if x == y:
        return x + log(2.0)
    return (x if x > y else y) + log1p(exp(-abs(x - y)))


def psi(x: float) -> float:
    """The derivative of log Gamma: by recurrence to x >= 10, then by the asymptotic series."""
    if x <= 0.0:
        if x == floor(x):
            return -inf if x == 0.0 else nan
        return psi_above(1.0 - x) - pi / tan(pi * (x - floor(x)))
    return psi_above(x)


def psi_above(x: float) -> float:
    """`psi` of a positive number."""
    below = 0.0
    while x < 10.0:
        below += 1.0 / x
        x += 1.0
    s = 1.0 / (x * x)
    series = 1.0 / 12.0 - s * (1.0 / 120.0 - s * (1.0 / 252.0 - s * (1.0 / 240.0 - s * (
        1.0 / 132.0 - s * (691.0 / 32760.0 - s / 12.0)))))  # fmt: skip
    return log(x) - 0.5 / x - s * series - below


def stirling(x: float) -> float:
    """What Stirling's formula for log Gamma lacks, for x >= 10."""
    s = 1.0 / (x * x)
    return (1.0 / 12.0 - s * (1.0 / 360.0 - s * (1.0 / 1260.0 - s * (
        1.0 / 1680.0 - s * (1.0 / 1188.0 - s * 691.0 / 360360.0))))) / x  # fmt: skip


def betaln(a: float, b: float) -> float:
    """log of Gamma(a) Gamma(b) / Gamma(a + b), for positive a and b."""
    p, q = (a, b) if a < b else (b, a)
    if not p > 0.0:
        return nan
    if q < 10.0:
        return lgamma(p) + lgamma(q) - lgamma(p + q)
    rest = stirling(q) - stirling(p + q)
    if p < 10.0:
        return lgamma(p) + rest + p - p * log(p + q) + (q - 0.5) * log1p(-p / (p + q))
    rest += stirling(p) - 0.5 * log(q) + 0.9189385332046727
    return rest + (p - 0.5) * log(p / (p + q)) + q * log1p(-p / (p + q))


def erfcx(x: float) -> float:
    """exp(x^2) erfc(x)"""
    if x < 12.0:
        near = floor(16.0 * x) / 16.0  # its square has no rounding error
        return exp(near * near) * (exp((x - near) * (x + near)) * erfc(x))
    s = 0.5 / (x * x)
    series = 1.0
    for n in range(19, 0, -2):
        series = 1.0 - n * s * series
    return _ONE_OVER_ROOT_PI / x * series


def ndtr(x: float) -> float:
    """The distribution function of the standard normal distribution."""
    return 0.5 * erfc(-x * _ROOT_HALF)


def log_ndtr(x: float) -> float:
    """log ndtr(x)"""
    if x > 0.0:
        return log1p(-0.5 * erfc(x * _ROOT_HALF))
    return log(0.5 * erfcx(-x * _ROOT_HALF)) - 0.5 * x * x


def entr(x: float) -> float:
    """-x log(x)"""
    if x > 0.0:
        return -x * log(x)
    return 0.0 if x == 0.0 else (x if x != x else -inf)


def remainder(x: float, y: float) -> float:
    """x - floor(x / y) y, with the sign of y."""
    r = fmod(x, y)
    return r + y if r != 0.0 and (r < 0.0) != (y < 0.0) else r


FUNCTIONS = {
    f.__name__: f
    for f in (
        expit, log_expit, logit, logaddexp, psi_above, psi, erfcx, ndtr, log_ndtr, entr, remainder,
        stirling, betaln,
    )
}  # fmt: skip
