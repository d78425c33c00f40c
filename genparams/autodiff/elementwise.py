"""Elementwise functions: for each argument, the derivative as one line in the result and the
arguments.

A derivative keeps its digits wherever its function does: at large and small arguments, and where
the obvious formula subtracts two nearly equal numbers.
"""

import math
import operator
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import numpy
from scipy import special as scipy_special

from genparams.autodiff.tape import (
    Box,
    linear,
    np,
    operand,
    paired,
    raw,
    refusal,
    settle,
    shape_of,
    strip,
)
from genparams.numeric import arrays, psi_less_log, scalars, stirling

special: Any = scipy_special

Derivative = Callable[..., Any] | None
"""The derivative by one argument; None where it is not known, and asking for it is refused."""

_LOG_2 = math.log(2.0)
_LOG_10 = math.log(10.0)
_ROOT_PI = math.sqrt(math.pi)
_ROOT_TWO_PI = math.sqrt(2.0 * math.pi)
_TWO_OVER_ROOT_PI = 2.0 / _ROOT_PI
_TWO_OVER_ROOT_TWO_PI = 2.0 / _ROOT_TWO_PI
_ROOT_HALF = math.sqrt(0.5)
_DEGREE = math.pi / 180.0


# --- Parts of derivatives


def _over(y: Any, x: Any) -> Any:
    """y / x, of floats too infinite where x is 0."""
    return scalars.ratio(y, x) if type(x) is float and type(y) is float else y / x


def _sign(x: Any) -> Any:
    return np.sign(raw(x))


def _wins(x: Any, y: Any, sign: float) -> Any:
    """1 where `sign * (x - y) > 0`, 0 where it is below, and 1/2 at a tie."""
    x, y = raw(x), raw(y)
    return 0.5 + 0.5 * np.where(np.equal(x, y), 0.0, sign * np.sign(np.subtract(x, y)))


def _power_slope(x: Any, y: Any) -> Any:
    """The derivative of x^y by x."""
    return y * np.power(x, np.where(raw(y) == 0.0, 1.0, y - 1.0))


def _sech_squared(x: Any) -> Any:
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


def _erfcx_slope(r: Any, x: Any) -> Any:
    """2 x erfcx(x) - 2 / sqrt(pi), which cancels for large x."""
    far = raw(x) > 8.0
    y = np.where(far, x, 8.0)
    series = _TWO_OVER_ROOT_PI * _tail(_half_over_square(y), -1.0)
    return np.where(far, series, 2.0 * np.where(far, 0.0, x) * r - _TWO_OVER_ROOT_PI)


def _half_over_square(x: Any) -> Any:
    return 0.5 * (1.0 / x) * (1.0 / x)


def _dawsn_slope(r: Any, x: Any) -> Any:
    """1 - 2 x dawsn(x), which cancels for large x."""
    far = np.absolute(raw(x)) > 8.0
    y = np.where(far, x, 8.0)
    return np.where(far, -_tail(_half_over_square(y), 1.0), 1.0 - 2.0 * np.where(far, 0.0, x) * r)


def sinc_slope(x: Any) -> Any:
    """(cos(pi x) - sinc(x)) / x, which cancels near 0.

    The series is pi sum_k (-1)^k 2k y^(2k - 1) / (2k + 1)!, k = 1, 2, ..., in y = pi x.
    """
    near = np.absolute(raw(x)) < 0.3
    y = math.pi * np.where(near, x, 0.0)
    series: Any = 0.0
    for k in range(9, 0, -1):
        series = (-1) ** k * 2 * k / math.factorial(2 * k + 1) + y * y * series
    z = np.where(near, 1.0, x)
    return np.where(near, math.pi * y * series, (np.cos(math.pi * z) - np.sinc(z)) / z)


def _psi_difference(a: Any, b: Any) -> Any:
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
            return settle(special.polygamma(order, x))
    return linear(x, polygamma(order, x.value), lambda g, v=x.value: g * polygamma(order + 1, v))


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


def _i0e_slope(r: Any, x: Any) -> Any:
    size = np.absolute(x)
    return -_sign(x) * _i0e_less_i1e(r, special.i1e(size), size)


def _i1e_slope(r: Any, x: Any) -> Any:
    """i0e - i1e - i1e / x for x > 0, and the same for -x; 1/2 at 0."""
    size = np.absolute(x)
    r = np.absolute(r)
    zero = raw(size) == 0.0
    ratio = np.where(zero, 0.5, r / np.where(zero, 1.0, size))
    return _i0e_less_i1e(special.i0e(size), r, size) - ratio


def _ratio_at_0(r: Any, x: Any, limit: float) -> Any:
    """r / x, and its limit where x is 0."""
    zero = raw(x) == 0.0
    return np.where(zero, limit, r / np.where(zero, 1.0, x))


def _k0e_less_k1e(x: Any) -> Any:
    far = raw(x) > 25.0
    y = np.where(far, x, 25.0)
    tail = math.sqrt(0.5 * math.pi) * _i_tail(y, 1.0) / np.sqrt(y)
    return np.where(far, tail, special.k0e(x) - special.k1e(x))


def _normal_density(x: Any) -> Any:
    return np.exp(-0.5 * x * x) / _ROOT_TWO_PI


def _gamma_density(a: Any, x: Any) -> Any:
    """x^(a - 1) exp(-x) / Gamma(a), to all digits of log(x / a)."""
    u = np.log(x / a)
    log_density = stirling(arrays, a) + a * (np.expm1(u) - u)
    return np.exp(-log_density) * a / x


def _beta_density(a: Any, b: Any, x: Any) -> Any:
    """x^(a - 1) (1 - x)^(b - 1) / B(a, b)."""
    return np.exp(special.xlogy(a - 1.0, x) + special.xlog1py(b - 1.0, -x) - special.betaln(a, b))


def _expm1_slope(z: Any) -> Any:
    """d/dz expm1(z) / z = (z exp(z) - expm1(z)) / z^2, which cancels near 0."""
    near = np.absolute(raw(z)) < 0.5
    y = np.where(near, z, 0.0)
    series: Any = 0.0
    for k in range(14, -1, -1):
        series = 1.0 / (math.factorial(k) * (k + 2)) + y * series
    far = np.where(near, 1.0, z)
    return np.where(near, series, (far * np.exp(far) - np.expm1(far)) / (far * far))


def _boxcox_slope(x: Any, power: Any) -> Any:
    """d/dp (x^p - 1) / p."""
    log_x = np.log(x)
    return log_x * log_x * _expm1_slope(power * log_x)


# --- The table


def _one(f: Callable[[Any, Any], Any]) -> tuple[Derivative]:
    return (f,)


DERIVATIVES: dict[Any, tuple[Derivative, ...]] = {
    np.add: (lambda r, x, y: 1.0, lambda r, x, y: 1.0),
    np.subtract: (lambda r, x, y: 1.0, lambda r, x, y: -1.0),
    np.multiply: (lambda r, x, y: y, lambda r, x, y: x),
    np.true_divide: (lambda r, x, y: _over(1.0, y), lambda r, x, y: _over(-r, y)),
    np.power: (
        lambda r, x, y: _power_slope(x, y),
        lambda r, x, y: r * np.log(np.where(raw(x) == 0.0, 1.0, x)),
    ),
    np.float_power: (
        lambda r, x, y: _power_slope(x, y),
        lambda r, x, y: r * np.log(np.where(raw(x) == 0.0, 1.0, x)),
    ),
    np.remainder: (lambda r, x, y: 1.0, lambda r, x, y: -np.floor_divide(raw(x), raw(y))),
    np.fmod: (lambda r, x, y: 1.0, lambda r, x, y: -np.trunc(np.divide(raw(x), raw(y)))),
    np.negative: _one(lambda r, x: -1.0),
    np.positive: _one(lambda r, x: 1.0),
    np.conjugate: _one(lambda r, x: 1.0),
    np.absolute: _one(lambda r, x: _sign(x)),
    np.fabs: _one(lambda r, x: _sign(x)),
    np.exp: _one(lambda r, x: r),
    np.exp2: _one(lambda r, x: _LOG_2 * r),
    np.expm1: _one(lambda r, x: np.exp(x)),
    np.log: _one(lambda r, x: _over(1.0, x)),
    np.log2: _one(lambda r, x: _over(1.0 / _LOG_2, x)),
    np.log10: _one(lambda r, x: _over(1.0 / _LOG_10, x)),
    np.log1p: _one(lambda r, x: _over(1.0, 1.0 + x)),
    np.sqrt: _one(lambda r, x: _over(0.5, r)),
    np.cbrt: _one(lambda r, x: _over(1.0, 3.0 * r * r)),
    np.square: _one(lambda r, x: 2.0 * x),
    np.reciprocal: _one(lambda r, x: -r * r),
    np.sin: _one(lambda r, x: np.cos(x)),
    np.cos: _one(lambda r, x: -np.sin(x)),
    np.tan: _one(lambda r, x: 1.0 + r * r),
    np.arcsin: _one(lambda r, x: _over(1.0, np.sqrt((1.0 - x) * (1.0 + x)))),
    np.arccos: _one(lambda r, x: _over(-1.0, np.sqrt((1.0 - x) * (1.0 + x)))),
    np.arctan: _one(lambda r, x: 1.0 / (1.0 + x * x)),
    np.arctan2: (
        lambda r, y, x: _over(_over(x, np.hypot(x, y)), np.hypot(x, y)),
        lambda r, y, x: _over(_over(-y, np.hypot(x, y)), np.hypot(x, y)),
    ),
    np.hypot: (lambda r, x, y: _over(x, r), lambda r, x, y: _over(y, r)),
    np.sinh: _one(lambda r, x: np.cosh(x)),
    np.cosh: _one(lambda r, x: np.sinh(x)),
    np.tanh: _one(lambda r, x: _sech_squared(x)),
    np.arcsinh: _one(lambda r, x: 1.0 / np.hypot(x, 1.0)),
    np.arccosh: _one(lambda r, x: _over(1.0, np.sqrt(x - 1.0) * np.sqrt(x + 1.0))),
    np.arctanh: _one(lambda r, x: _over(1.0, (1.0 - x) * (1.0 + x))),
    np.degrees: _one(lambda r, x: 1.0 / _DEGREE),
    np.rad2deg: _one(lambda r, x: 1.0 / _DEGREE),
    np.radians: _one(lambda r, x: _DEGREE),
    np.deg2rad: _one(lambda r, x: _DEGREE),
    np.maximum: (lambda r, x, y: _wins(x, y, 1.0), lambda r, x, y: _wins(x, y, -1.0)),
    np.minimum: (lambda r, x, y: _wins(x, y, -1.0), lambda r, x, y: _wins(x, y, 1.0)),
    np.fmax: (lambda r, x, y: _wins(x, y, 1.0), lambda r, x, y: _wins(x, y, -1.0)),
    np.fmin: (lambda r, x, y: _wins(x, y, -1.0), lambda r, x, y: _wins(x, y, 1.0)),
    np.logaddexp: (lambda r, x, y: special.expit(x - y), lambda r, x, y: special.expit(y - x)),
    np.logaddexp2: (
        lambda r, x, y: special.expit(_LOG_2 * (x - y)),
        lambda r, x, y: special.expit(_LOG_2 * (y - x)),
    ),
    np.copysign: (
        lambda r, x, y: np.copysign(1.0, raw(x)) * np.copysign(1.0, raw(y)),
        lambda r, x, y: np.zeros(shape_of(r)),
    ),
    np.heaviside: (
        lambda r, x, y: np.zeros(shape_of(r)),
        lambda r, x, y: np.where(raw(x) == 0.0, 1.0, 0.0),
    ),
    special.expit: _one(lambda r, x: r * special.expit(-x)),
    special.log_expit: _one(lambda r, x: special.expit(-x)),
    special.logit: _one(lambda r, x: _over(1.0, x * (1.0 - x))),
    special.exp10: _one(lambda r, x: _LOG_10 * r),
    special.exp2: _one(lambda r, x: _LOG_2 * r),
    special.expm1: _one(lambda r, x: np.exp(x)),
    special.log1p: _one(lambda r, x: _over(1.0, 1.0 + x)),
    special.cbrt: _one(lambda r, x: _over(1.0, 3.0 * r * r)),
    special.cosm1: _one(lambda r, x: -np.sin(x)),
    special.gamma: _one(lambda r, x: r * special.psi(x)),
    special.rgamma: _one(lambda r, x: -r * special.psi(x)),
    special.gammaln: _one(lambda r, x: special.psi(x)),
    special.loggamma: _one(lambda r, x: special.psi(x)),
    special.psi: _one(lambda r, x: polygamma(1, x)),
    special.beta: (
        lambda r, x, y: r * _psi_difference(x, y),
        lambda r, x, y: r * _psi_difference(y, x),
    ),
    special.betaln: (
        lambda r, x, y: _psi_difference(x, y),
        lambda r, x, y: _psi_difference(y, x),
    ),
    special.gammainc: (None, lambda r, a, x: _gamma_density(a, x)),
    special.gammaincc: (None, lambda r, a, x: -_gamma_density(a, x)),
    special.gammaincinv: (None, lambda r, a, p: 1.0 / _gamma_density(a, r)),
    special.gammainccinv: (None, lambda r, a, p: -1.0 / _gamma_density(a, r)),
    special.betainc: (None, None, lambda r, a, b, x: _beta_density(a, b, x)),
    special.betaincinv: (None, None, lambda r, a, b, p: 1.0 / _beta_density(a, b, r)),
    special.xlogy: (lambda r, x, y: np.log(y), lambda r, x, y: _over(x, y)),
    special.xlog1py: (lambda r, x, y: np.log1p(y), lambda r, x, y: _over(x, 1.0 + y)),
    special.entr: _one(lambda r, x: -np.log(x) - 1.0),
    special.rel_entr: (
        lambda r, x, y: np.log(x / y) + 1.0,
        lambda r, x, y: -x / y,
    ),
    special.kl_div: (lambda r, x, y: np.log(x / y), lambda r, x, y: (y - x) / y),
    special.huber: (None, lambda r, delta, x: np.minimum(np.maximum(x, -delta), delta)),
    special.exprel: _one(lambda r, x: _expm1_slope(x)),
    special.poch: (
        lambda r, x, m: -r * _psi_difference(x, m),
        lambda r, x, m: r * special.psi(x + m),
    ),
    special.binom: (
        lambda r, n, k: -r * _psi_difference(n - k + 1.0, k),
        lambda r, n, k: r * (special.psi(n - k + 1.0) - special.psi(k + 1.0)),
    ),
    special.boxcox: (
        lambda r, x, p: np.exp((p - 1.0) * np.log(x)),
        lambda r, x, p: _boxcox_slope(x, p),
    ),
    special.erf: _one(lambda r, x: _TWO_OVER_ROOT_PI * np.exp(-x * x)),
    special.erfc: _one(lambda r, x: -_TWO_OVER_ROOT_PI * np.exp(-x * x)),
    special.erfcx: _one(_erfcx_slope),
    special.erfinv: _one(lambda r, x: 0.5 * _ROOT_PI * np.exp(r * r)),
    special.erfcinv: _one(lambda r, x: -0.5 * _ROOT_PI * np.exp(r * r)),
    special.dawsn: _one(_dawsn_slope),
    special.ndtr: _one(lambda r, x: _normal_density(x)),
    special.log_ndtr: _one(lambda r, x: _TWO_OVER_ROOT_TWO_PI / special.erfcx(-x * _ROOT_HALF)),
    special.ndtri: _one(lambda r, x: _ROOT_TWO_PI * np.exp(0.5 * r * r)),
    special.i0: _one(lambda r, x: special.i1(x)),
    special.i1: _one(lambda r, x: special.i0(x) - _ratio_at_0(r, x, 0.5)),
    special.i0e: _one(_i0e_slope),
    special.i1e: _one(_i1e_slope),
    special.iv: (None, lambda r, v, x: 0.5 * (special.iv(v - 1.0, x) + special.iv(v + 1.0, x))),
    special.j0: _one(lambda r, x: -special.j1(x)),
    special.j1: _one(lambda r, x: special.j0(x) - _ratio_at_0(r, x, 0.5)),
    special.jv: (None, lambda r, v, x: 0.5 * (special.jv(v - 1.0, x) - special.jv(v + 1.0, x))),
    special.y0: _one(lambda r, x: -special.y1(x)),
    special.y1: _one(lambda r, x: special.y0(x) - r / x),
    special.k0: _one(lambda r, x: -special.k1(x)),
    special.k1: _one(lambda r, x: -special.k0(x) - r / x),
    special.k0e: _one(lambda r, x: _k0e_less_k1e(x)),
    special.k1e: _one(lambda r, x: -_k0e_less_k1e(x) - r / x),
    special.kv: (None, lambda r, v, x: -0.5 * (special.kv(v - 1.0, x) + special.kv(v + 1.0, x))),
    special.expi: _one(lambda r, x: np.exp(x) / x),
    special.exp1: _one(lambda r, x: -np.exp(-x) / x),
}

FLAT = {
    *(np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal),
    *(np.sign, np.signbit, np.floor, np.ceil, np.trunc, np.floor_divide),
    *(np.isfinite, np.isnan, np.isinf),
    *(np.logical_and, np.logical_or, np.logical_not, np.logical_xor),
}
"""Functions whose result does not change with their arguments, or does so in jumps."""

_ON_FLOATS: dict[Any, Callable[[float], float]] = {
    np.exp: scalars.exp,
    np.log: scalars.log,
    np.log1p: scalars.log1p,
    np.expm1: scalars.expm1,
    np.sqrt: lambda x: math.sqrt(x) if x >= 0.0 else math.nan,
    np.tanh: math.tanh,
    np.sin: lambda x: math.sin(x) if math.isfinite(x) else math.nan,
    np.cos: lambda x: math.cos(x) if math.isfinite(x) else math.nan,
    np.square: lambda x: x * x,
    np.negative: operator.neg,
    np.absolute: abs,
    special.expit: scalars.expit,
    special.log_expit: scalars.log_expit,
}
"""The functions that take a box of one float past numpy."""


def elementwise(ufunc: numpy.ufunc, inputs: Sequence[Any]) -> Any:
    """Apply a ufunc to arguments of which at least one is a box, or a list with boxes."""
    on_float = _ON_FLOATS.get(ufunc)
    if on_float and type(inputs[0]) is Box and type(inputs[0].value) is float:
        (box,) = inputs
        tape, x = box.tape, box.value
        r = on_float(x)
        child = tape.node()
        tape.edges.append((child, box.index, _number(DERIVATIVES[ufunc][0], r, (x,))))
        return Box(r, tape, child)
    derivatives = DERIVATIVES.get(ufunc)
    if derivatives is None and ufunc not in FLAT:
        raise refusal(f"{ufunc.__name__}", "it in functions that have a derivative rule")
    inputs = [v if type(v) is Box else _plain(ufunc, v) for v in inputs]
    if derivatives is None:
        return ufunc(*map(raw, inputs))
    tape, values = strip(inputs)
    assert tape is not None
    result = settle(ufunc(*values))
    child = tape.node()
    for given, value, derivative in zip(inputs, values, derivatives, strict=True):
        if type(given) is Box and given.tape is tape:
            if derivative is None:
                place = 1 + next(i for i, v in enumerate(inputs) if v is given)
                raise refusal(f"argument {place} of {ufunc.__name__}", "it as a constant")
            if type(result) is float:
                partial = _number(derivative, result, values)
            else:
                partial = _pullback(derivative, result, values, shape_of(value))
            tape.edges.append((child, given.index, partial))
    return Box(result, tape, child)


def _plain(ufunc: numpy.ufunc, value: Any) -> Any:
    """An argument without boxes as a float or an array; a list of boxes as one box."""
    try:
        return operand(value)
    except TypeError as error:
        raise refusal(f"{ufunc.__name__} with {_kind(value)} ({error})", "real numbers") from None


def _kind(value: Any) -> str:
    dtype = getattr(value, "dtype", None)
    return f"{type(value).__name__}" + (f" of {dtype}" if dtype is not None else "")


def _number(derivative: Any, result: Any, values: Sequence[Any]) -> Any:
    """A derivative of floats, with numpy's infinities where Python's floats raise."""
    try:
        return settle(derivative(result, *values))
    except (ArithmeticError, ValueError):
        with np.errstate(all="ignore"):
            parts = [np.float64(v) if type(v) is float else v for v in (result, *values)]
            return settle(derivative(*parts))


def _pullback(derivative: Any, result: Any, values: Sequence[Any], shape: tuple) -> Callable:
    return lambda g: paired(g, derivative(result, *values), shape)


def binary_operator(
    ufunc: numpy.ufunc, on_floats: Callable[[float, float], float], swap: bool = False
) -> Callable:
    """A binary operator of `Box`.

    What models do most, arithmetic of boxes of one tape, floats and arrays of floats, is written
    out: it takes half the time of the general way, and of two floats, the bulk of a model that
    loops over its data, a tenth (benchmarks/step.py).
    """
    by_left, by_right = DERIVATIVES[ufunc]
    by_mine, by_other = (by_right, by_left) if swap else (by_left, by_right)
    assert by_mine is not None
    assert by_other is not None
    fixed = None  # of a sum or a difference both derivatives are numbers, known before
    if ufunc in (np.add, np.subtract):
        fixed = by_mine(0.0, 0.0, 0.0), by_other(0.0, 0.0, 0.0)

    def apply(self: Box, other: Any) -> Any:
        x, tape, kind = self.value, self.tape, type(other)
        partner: Any = None
        if kind is Box:
            if other.tape is not tape:
                return elementwise(ufunc, (other, self) if swap else (self, other))
            partner, y = other, other.value
        elif kind is float or (kind is numpy.ndarray and other.ndim and other.dtype.kind == "f"):
            y = other
        elif isinstance(other, (float, int)):
            y = float(other)
        elif is_operand(other):
            return elementwise(ufunc, (other, self) if swap else (self, other))
        else:
            return NotImplemented
        left, right = x, y
        if swap:
            left, right = y, x
        add_edge = tape.edges.append
        if type(x) is float and type(y) is float:
            r = on_floats(left, right)
            child = tape.node()
            add_edge((child, self.index, fixed[0] if fixed else by_mine(r, left, right)))
            if partner is not None:
                add_edge((child, partner.index, fixed[1] if fixed else by_other(r, left, right)))
            return Box(r, tape, child)
        r = settle(ufunc(left, right))
        child = tape.node()
        add_edge((child, self.index, _pullback(by_mine, r, (left, right), shape_of(x))))
        if partner is not None:
            add_edge((child, partner.index, _pullback(by_other, r, (left, right), shape_of(y))))
        return Box(r, tape, child)

    return apply


def is_operand(value: Any) -> bool:
    """Whether an operator of a box takes this beside it."""
    return (
        isinstance(value, (Box, float, int, complex, list, tuple, numpy.ndarray, np.generic))
        or hasattr(value, "__array__")
        or (isinstance(value, (Real, Sequence)) and not isinstance(value, (str, bytes)))
    )
