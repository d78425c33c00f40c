"""Derivatives and parts of derivatives that need more than one line.

A function named as one of numpy or scipy.special is the derivative of that function, except
`polygamma`, which is itself. Where the plain formula would subtract two nearly equal numbers, a
series is used in its place.
"""

import math
from typing import Any

from genparams.autodiff.tape import Box, canonical, np, raw, special, unary
from genparams.numeric import arrays, psi_less_log, scalars, stirling

_ROOT_PI = math.sqrt(math.pi)
_TWO_OVER_ROOT_PI = 2.0 / _ROOT_PI
_ROOT_TWO_PI = math.sqrt(2.0 * math.pi)


def ratio(y: Any, x: Any) -> Any:
    """y / x, which is infinite where x is 0, also for floats."""
    return scalars.ratio(y, x) if type(x) is float and type(y) is float else y / x


def first_wins(x: Any, y: Any, sign: float) -> Any:
    """1 where `sign * (x - y) > 0`, 0 where it is below, and 1/2 at a tie."""
    x, y = raw(x), raw(y)
    return 0.5 + 0.5 * np.where(np.equal(x, y), 0.0, sign * np.sign(np.subtract(x, y)))


def number_wins(x: Any, y: Any, sign: float) -> Any:
    """`first_wins` for fmax and fmin, where a number wins against NaN."""
    x, y = raw(x), raw(y)
    return np.where(np.isnan(y), 1.0, np.where(np.isnan(x), 0.0, first_wins(x, y, sign)))


def tanh(x: Any) -> Any:
    e = np.exp(-2.0 * np.absolute(x))
    return 4.0 * e / ((1.0 + e) * (1.0 + e))


def _tail(y: Any, sign: float) -> Any:
    """sum_k sign^k (2k - 1)!! y^k, k = 1, 2, ..., for small y: what is left of 1 in the tails of
    `erfcx` and `dawsn`.
    """
    rest: Any = 0.0
    for k in range(24, 0, -1):
        rest = sign * (2 * k - 1) * y * (1.0 + rest)
    return rest


def erfcx(r: Any, x: Any) -> Any:
    """2 x erfcx(x) - 2 / sqrt(pi), which cancels for large x."""
    far = raw(x) > 8.0
    y = np.where(far, x, 8.0)
    series = _TWO_OVER_ROOT_PI * _tail(_half_over_square(y), -1.0)
    return np.where(far, series, 2.0 * np.where(far, 0.0, x) * r - _TWO_OVER_ROOT_PI)


def _half_over_square(x: Any) -> Any:
    return 0.5 * (1.0 / x) * (1.0 / x)


def dawsn(r: Any, x: Any) -> Any:
    """1 - 2 x dawsn(x), which cancels for large x."""
    far = np.absolute(raw(x)) > 8.0
    y = np.where(far, x, 8.0)
    return np.where(far, -_tail(_half_over_square(y), 1.0), 1.0 - 2.0 * np.where(far, 0.0, x) * r)


def sinc(x: Any) -> Any:
    """The derivative of sinc: (cos(pi x) - sinc(x)) / x, where the terms cancel near 0.

    The series is pi sum_k (-1)^k 2k y^(2k - 1) / (2k + 1)!, k = 1, 2, ..., in y = pi x.
    """
    near = np.absolute(raw(x)) < 0.3
    y = math.pi * np.where(near, x, 0.0)
    series: Any = 0.0
    for k in range(9, 0, -1):
        series = (-1) ** k * 2 * k / math.factorial(2 * k + 1) + y * y * series
    z = np.where(near, 1.0, x)
    return np.where(near, math.pi * y * series, (np.cos(math.pi * z) - np.sinc(z)) / z)


def psi_difference(a: Any, b: Any) -> Any:
    """psi(a) - psi(a + b); to all digits for a and b above 0."""
    small = (raw(b) >= 0.0) & (raw(b) < 1e-3 * np.minimum(raw(a), 1e300))
    large = (raw(b) >= 0.0) & (raw(a) > 15.0)
    step = np.where(small, b, 0.0)
    taylor: Any = 0.0
    for k in range(6, 0, -1):
        taylor = (polygamma(k, a) + taylor) * (step / k)
    big, step = np.where(large, a, 20.0), np.where(large, b, 0.0)
    far = psi_less_log(arrays, big) - psi_less_log(arrays, big + step) - np.log1p(step / big)
    direct = special.psi(a) - special.psi(a + b)
    return np.where(small, -taylor, np.where(large, far, direct))


def polygamma(order: int, x: Any) -> Any:
    """The derivative of that order of psi, which scipy has for plain numbers only."""
    if type(x) is not Box:
        with np.errstate(all="ignore"):
            return canonical(special.polygamma(order, x))
    return unary(x, polygamma(order, x.value), lambda g, v=x.value: g * polygamma(order + 1, v))


def _i_tail(x: Any, sign: float) -> Any:
    """sqrt(x) times the difference of order 0 and 1 in the tails of the scaled Bessel functions,
    with `sign` -1 for I and 1 for K; x > 25.
    """
    total: Any = 0.0
    coefficients = []
    zero = one = 1.0
    for k in range(1, 22):
        zero *= (0.0 - (2 * k - 1) ** 2) / (8.0 * k)
        one *= (4.0 - (2 * k - 1) ** 2) / (8.0 * k)
        coefficients.append(sign**k * (zero - one))
    for c in reversed(coefficients):
        total = (total + c) / x
    return total


def _i0e_less_i1e(r0: Any, r1: Any, x: Any) -> Any:
    """i0e(x) - i1e(x) for x >= 0, which cancels for large x."""
    far = raw(x) > 25.0
    y = np.where(far, x, 25.0)
    return np.where(far, _i_tail(y, -1.0) / (_ROOT_TWO_PI * np.sqrt(y)), r0 - r1)


def i0e(r: Any, x: Any) -> Any:
    size = np.absolute(x)
    return -np.sign(raw(x)) * _i0e_less_i1e(r, special.i1e(size), size)


def i1e(r: Any, x: Any) -> Any:
    """i0e - i1e - i1e / x for x > 0, and the same for -x; 1/2 at 0."""
    size = np.absolute(x)
    r = np.absolute(r)
    zero = raw(size) == 0.0
    ratio = np.where(zero, 0.5, r / np.where(zero, 1.0, size))
    return _i0e_less_i1e(special.i0e(size), r, size) - ratio


def ratio_at_0(r: Any, x: Any, limit: float) -> Any:
    """r / x, and its limit where x is 0."""
    zero = raw(x) == 0.0
    return np.where(zero, limit, r / np.where(zero, 1.0, x))


def k0e_less_k1e(x: Any) -> Any:
    far = raw(x) > 25.0
    y = np.where(far, x, 25.0)
    tail = math.sqrt(0.5 * math.pi) * _i_tail(y, 1.0) / np.sqrt(y)
    return np.where(far, tail, special.k0e(x) - special.k1e(x))


def gamma_density(a: Any, x: Any) -> Any:
    """x^(a - 1) exp(-x) / Gamma(a), to all digits of log(x / a)."""
    u = np.log(x / a)
    log_density = stirling(arrays, a) + a * (np.expm1(u) - u)
    return np.exp(-log_density) * a / x


def beta_density(a: Any, b: Any, x: Any) -> Any:
    """x^(a - 1) (1 - x)^(b - 1) / B(a, b)."""
    n = a + b
    inside = (raw(x) > 0.0) & (raw(x) < 1.0)
    y = np.where(inside, x, 0.5)
    u, v = np.log(y * n / a), np.log((1.0 - y) * n / b)
    rest = stirling(arrays, a) + stirling(arrays, b) - stirling(arrays, n)
    log_density = rest + a * (np.expm1(u) - u) + b * (np.expm1(v) - v)
    at_end = np.exp(special.xlogy(a - 1.0, x) + special.xlog1py(b - 1.0, -x) - special.betaln(a, b))
    return np.where(inside, np.exp(-log_density) * a * b / (n * y * (1.0 - y)), at_end)


def exprel(z: Any) -> Any:
    """d/dz expm1(z) / z = (z exp(z) - expm1(z)) / z^2, which cancels near 0."""
    near = np.absolute(raw(z)) < 0.5
    y = np.where(near, z, 0.0)
    series: Any = 0.0
    for k in range(14, -1, -1):
        series = 1.0 / (math.factorial(k) * (k + 2)) + y * series
    far = np.where(near, 1.0, z)
    return np.where(near, series, (far * np.exp(far) - np.expm1(far)) / (far * far))


def boxcox_by_power(x: Any, power: Any) -> Any:
    """d/dp (x^p - 1) / p."""
    log_x = np.log(x)
    return log_x * log_x * exprel(power * log_x)
