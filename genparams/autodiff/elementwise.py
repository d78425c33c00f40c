"""Elementwise functions: a table with the derivative by each argument, and its application.

A derivative is one line in the result `r` and the arguments. It is as accurate as its function, at
large and small arguments too; `slopes` has the formulas that need more than one line for that.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy

from genparams.autodiff import slopes
from genparams.autodiff.refusals import refusal
from genparams.autodiff.slopes import ratio
from genparams.autodiff.tape import (
    Box,
    canonical,
    np,
    operand,
    raw,
    shape_of,
    special,
    sum_product_to,
    unbox,
)
from genparams.numeric import arrays, scalars

Derivative = Callable[..., Any] | None
"""The derivative by one argument; None where it is not known, and is refused."""


_LOG_2 = math.log(2.0)
_LOG_10 = math.log(10.0)
_ROOT_PI = math.sqrt(math.pi)
_ROOT_TWO_PI = math.sqrt(2.0 * math.pi)
_TWO_OVER_ROOT_PI = 2.0 / _ROOT_PI
_TWO_OVER_ROOT_TWO_PI = 2.0 / _ROOT_TWO_PI
_ROOT_HALF = math.sqrt(0.5)
_DEGREE = math.pi / 180.0


# --- The table


def _one(f: Callable[[Any, Any], Any]) -> tuple[Derivative]:
    return (f,)


DERIVATIVES: dict[Any, tuple[Derivative, ...]] = {
    np.add: (lambda r, x, y: 1.0, lambda r, x, y: 1.0),
    np.subtract: (lambda r, x, y: 1.0, lambda r, x, y: -1.0),
    np.multiply: (lambda r, x, y: y, lambda r, x, y: x),
    np.true_divide: (lambda r, x, y: ratio(1.0, y), lambda r, x, y: ratio(-r, y)),
    np.power: (
        lambda r, x, y: y * np.power(x, np.where(raw(y) == 0.0, 1.0, y - 1.0)),
        lambda r, x, y: r * np.log(np.where(raw(x) == 0.0, 1.0, x)),
    ),
    np.remainder: (lambda r, x, y: 1.0, lambda r, x, y: -np.floor_divide(raw(x), raw(y))),
    np.fmod: (lambda r, x, y: 1.0, lambda r, x, y: -np.trunc(np.divide(raw(x), raw(y)))),
    np.negative: _one(lambda r, x: -1.0),
    np.positive: _one(lambda r, x: 1.0),
    np.conjugate: _one(lambda r, x: 1.0),
    np.absolute: _one(lambda r, x: np.sign(raw(x))),
    np.exp: _one(lambda r, x: r),
    np.exp2: _one(lambda r, x: _LOG_2 * r),
    np.expm1: _one(lambda r, x: np.exp(x)),
    np.log: _one(lambda r, x: ratio(1.0, x)),
    np.log2: _one(lambda r, x: ratio(1.0 / _LOG_2, x)),
    np.log10: _one(lambda r, x: ratio(1.0 / _LOG_10, x)),
    np.log1p: _one(lambda r, x: ratio(1.0, 1.0 + x)),
    np.sqrt: _one(lambda r, x: ratio(0.5, r)),
    np.cbrt: _one(lambda r, x: ratio(1.0, 3.0 * r * r)),
    np.square: _one(lambda r, x: 2.0 * x),
    np.reciprocal: _one(lambda r, x: -r * r),
    np.sin: _one(lambda r, x: np.cos(x)),
    np.cos: _one(lambda r, x: -np.sin(x)),
    np.tan: _one(lambda r, x: 1.0 + r * r),
    np.arcsin: _one(lambda r, x: ratio(1.0, np.sqrt((1.0 - x) * (1.0 + x)))),
    np.arccos: _one(lambda r, x: ratio(-1.0, np.sqrt((1.0 - x) * (1.0 + x)))),
    np.arctan: _one(lambda r, x: 1.0 / (1.0 + x * x)),
    np.arctan2: (
        lambda r, y, x: ratio(ratio(x, np.hypot(x, y)), np.hypot(x, y)),
        lambda r, y, x: ratio(ratio(-y, np.hypot(x, y)), np.hypot(x, y)),
    ),
    np.hypot: (lambda r, x, y: ratio(x, r), lambda r, x, y: ratio(y, r)),
    np.sinh: _one(lambda r, x: np.cosh(x)),
    np.cosh: _one(lambda r, x: np.sinh(x)),
    np.tanh: _one(lambda r, x: slopes.tanh(x)),
    np.arcsinh: _one(lambda r, x: 1.0 / np.hypot(x, 1.0)),
    np.arccosh: _one(lambda r, x: ratio(1.0, np.sqrt(x - 1.0) * np.sqrt(x + 1.0))),
    np.arctanh: _one(lambda r, x: ratio(1.0, (1.0 - x) * (1.0 + x))),
    np.degrees: _one(lambda r, x: 1.0 / _DEGREE),
    np.radians: _one(lambda r, x: _DEGREE),
    np.maximum: (
        lambda r, x, y: slopes.first_wins(x, y, 1.0),
        lambda r, x, y: slopes.first_wins(x, y, -1.0),
    ),
    np.minimum: (
        lambda r, x, y: slopes.first_wins(x, y, -1.0),
        lambda r, x, y: slopes.first_wins(x, y, 1.0),
    ),
    np.fmax: (
        lambda r, x, y: slopes.number_wins(x, y, 1.0),
        lambda r, x, y: slopes.number_wins(y, x, 1.0),
    ),
    np.fmin: (
        lambda r, x, y: slopes.number_wins(x, y, -1.0),
        lambda r, x, y: slopes.number_wins(y, x, -1.0),
    ),
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
    special.logit: _one(lambda r, x: ratio(1.0, x * (1.0 - x))),
    special.exp10: _one(lambda r, x: _LOG_10 * r),
    special.cosm1: _one(lambda r, x: -np.sin(x)),
    special.gamma: _one(lambda r, x: r * special.psi(x)),
    special.rgamma: _one(lambda r, x: -r * special.psi(x)),
    special.gammaln: _one(lambda r, x: special.psi(x)),
    special.loggamma: _one(lambda r, x: special.psi(x)),
    special.psi: _one(lambda r, x: slopes.polygamma(1, x)),
    special.beta: (
        lambda r, x, y: r * slopes.psi_difference(x, y),
        lambda r, x, y: r * slopes.psi_difference(y, x),
    ),
    special.betaln: (
        lambda r, x, y: slopes.psi_difference(x, y),
        lambda r, x, y: slopes.psi_difference(y, x),
    ),
    special.gammainc: (None, lambda r, a, x: slopes.gamma_density(a, x)),
    special.gammaincc: (None, lambda r, a, x: -slopes.gamma_density(a, x)),
    special.gammaincinv: (None, lambda r, a, p: 1.0 / slopes.gamma_density(a, r)),
    special.gammainccinv: (None, lambda r, a, p: -1.0 / slopes.gamma_density(a, r)),
    special.betainc: (None, None, lambda r, a, b, x: slopes.beta_density(a, b, x)),
    special.betaincinv: (None, None, lambda r, a, b, p: 1.0 / slopes.beta_density(a, b, r)),
    special.xlogy: (lambda r, x, y: np.log(y), lambda r, x, y: ratio(x, y)),
    special.xlog1py: (lambda r, x, y: np.log1p(y), lambda r, x, y: ratio(x, 1.0 + y)),
    special.entr: _one(lambda r, x: -np.log(x) - 1.0),
    special.rel_entr: (lambda r, x, y: np.log(x / y) + 1.0, lambda r, x, y: -x / y),
    special.kl_div: (lambda r, x, y: np.log(x / y), lambda r, x, y: (y - x) / y),
    special.huber: (None, lambda r, delta, x: np.minimum(np.maximum(x, -delta), delta)),
    special.exprel: _one(lambda r, x: slopes.exprel(x)),
    special.poch: (
        lambda r, x, m: -r * slopes.psi_difference(x, m),
        lambda r, x, m: r * special.psi(x + m),
    ),
    special.binom: (
        lambda r, n, k: -r * slopes.psi_difference(n - k + 1.0, k),
        lambda r, n, k: r * (special.psi(n - k + 1.0) - special.psi(k + 1.0)),
    ),
    special.boxcox: (
        lambda r, x, p: np.exp((p - 1.0) * np.log(x)),
        lambda r, x, p: slopes.boxcox_by_power(x, p),
    ),
    special.erf: _one(lambda r, x: _TWO_OVER_ROOT_PI * np.exp(-x * x)),
    special.erfc: _one(lambda r, x: -_TWO_OVER_ROOT_PI * np.exp(-x * x)),
    special.erfcx: _one(slopes.erfcx),
    special.erfinv: _one(lambda r, x: 0.5 * _ROOT_PI * np.exp(r * r)),
    special.erfcinv: _one(lambda r, x: -0.5 * _ROOT_PI * np.exp(r * r)),
    special.dawsn: _one(slopes.dawsn),
    special.ndtr: _one(lambda r, x: np.exp(-0.5 * x * x) / _ROOT_TWO_PI),
    special.log_ndtr: _one(lambda r, x: _TWO_OVER_ROOT_TWO_PI / special.erfcx(-x * _ROOT_HALF)),
    special.ndtri: _one(lambda r, x: _ROOT_TWO_PI * np.exp(0.5 * r * r)),
    special.i0: _one(lambda r, x: special.i1(x)),
    special.i1: _one(lambda r, x: special.i0(x) - slopes.ratio_at_0(r, x, 0.5)),
    special.i0e: _one(slopes.i0e),
    special.i1e: _one(slopes.i1e),
    special.iv: (None, lambda r, v, x: 0.5 * (special.iv(v - 1.0, x) + special.iv(v + 1.0, x))),
    special.j0: _one(lambda r, x: -special.j1(x)),
    special.j1: _one(lambda r, x: special.j0(x) - slopes.ratio_at_0(r, x, 0.5)),
    special.jv: (None, lambda r, v, x: 0.5 * (special.jv(v - 1.0, x) - special.jv(v + 1.0, x))),
    special.y0: _one(lambda r, x: -special.y1(x)),
    special.y1: _one(lambda r, x: special.y0(x) - r / x),
    special.k0: _one(lambda r, x: -special.k1(x)),
    special.k1: _one(lambda r, x: -special.k0(x) - r / x),
    special.k0e: _one(lambda r, x: slopes.k0e_less_k1e(x)),
    special.k1e: _one(lambda r, x: -slopes.k0e_less_k1e(x) - r / x),
    special.kv: (None, lambda r, v, x: -0.5 * (special.kv(v - 1.0, x) + special.kv(v + 1.0, x))),
    special.expi: _one(lambda r, x: np.exp(x) / x),
    special.exp1: _one(lambda r, x: -np.exp(-x) / x),
}

_SAME = {
    np.float_power: np.power,
    np.fabs: np.absolute,
    np.rad2deg: np.degrees,
    np.deg2rad: np.radians,
    special.exp2: np.exp2,
    special.expm1: np.expm1,
    special.log1p: np.log1p,
    special.cbrt: np.cbrt,
}
"""Functions with the same derivatives as another function."""

DERIVATIVES |= {ufunc: DERIVATIVES[other] for ufunc, other in _SAME.items()}

FLAT = {
    *(np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal),
    *(np.sign, np.signbit, np.floor, np.ceil, np.trunc, np.floor_divide),
    *(np.isfinite, np.isnan, np.isinf),
    *(np.logical_and, np.logical_or, np.logical_not, np.logical_xor),
}
"""Functions with a derivative of zero: the result is constant, or changes in jumps."""

_ON_FLOATS: dict[Any, Callable[[float], float]] = {
    getattr(arrays, name): getattr(scalars, name)
    for name in ("exp", "log", "log1p", "expm1", "sqrt", "square", "negative", "abs", "tanh")
    + ("sin", "cos", "expit")
} | {special.log_expit: scalars.log_expit}
"""The functions that compute the value of a single number by `math`, which is faster."""


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
    if len(inputs) == 1 and type(inputs[0]) is Box and derivatives is not None:
        return _of_one(ufunc, inputs[0], derivatives[0])
    if derivatives is None and ufunc not in FLAT:
        raise refusal(f"{ufunc.__name__}", "it in functions that have a derivative rule")
    inputs = [v if type(v) is Box else _plain(ufunc, v) for v in inputs]
    if derivatives is None:
        return ufunc(*map(raw, inputs))
    tape, values = unbox(inputs)
    assert tape is not None
    result = canonical(ufunc(*values))
    child = tape.node()
    for given, value, derivative in zip(inputs, values, derivatives, strict=True):
        if type(given) is Box and given.tape is tape:
            if derivative is None:
                place = 1 + next(i for i, v in enumerate(inputs) if v is given)
                raise refusal(f"argument {place} of {ufunc.__name__}", "it as a constant")
            if type(result) is float:
                partial = _number(derivative, result, values)
            else:
                partial = pullback(derivative, result, values, shape_of(value))
            tape.edges.append((child, given.index, partial))
    return Box(result, tape, child)


def _of_one(ufunc: numpy.ufunc, box: Box, derivative: Any) -> Box:
    """A ufunc of one box."""
    x = box.value
    r = canonical(ufunc(x))
    if type(r) is float:
        partial = _number(derivative, r, (x,))
    else:
        partial = pullback(derivative, r, (x,), shape_of(x))
    child = box.tape.node()
    box.tape.edges.append((child, box.index, partial))
    return Box(r, box.tape, child)


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
    """A derivative of floats; infinite or NaN, as in numpy, where Python's floats raise."""
    try:
        return canonical(derivative(result, *values))
    except (ArithmeticError, ValueError):
        with np.errstate(all="ignore"):
            parts = [np.float64(v) if type(v) is float else v for v in (result, *values)]
            return canonical(derivative(*parts))


def pullback(derivative: Any, result: Any, values: Sequence[Any], shape: tuple) -> Callable:
    """From a cotangent of the result to one of the argument that has this derivative and shape."""
    return lambda g: sum_product_to(g, derivative(result, *values), shape)
