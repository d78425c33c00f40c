"""Functions of numpy whose rule is their definition, written in other functions that have rules."""

from typing import Any

from genparams.autodiff import slopes
from genparams.autodiff.refusals import refusal
from genparams.autodiff.tape import np, operand, raw, shape_of, special, unary


def clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    low, high = min if a_min is None else a_min, max if a_max is None else a_max
    a = operand(a) if low is None else np.maximum(a, low)
    return a if high is None else np.minimum(a, high)


def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None) -> Any:
    x, xp, fp = operand(x), operand(xp), operand(fp)
    count = shape_of(xp)[0]
    if count < 2:
        raise refusal("numpy.interp with one point", "two points or more")
    i = np.clip(np.searchsorted(raw(xp), raw(x), side="right") - 1, 0, count - 2)
    share = (x - xp[i]) / (xp[i + 1] - xp[i])
    inside = fp[i] + share * (fp[i + 1] - fp[i])
    below, above = raw(x) < raw(xp)[0], raw(x) > raw(xp)[-1]
    inside = np.where(below, fp[0] if left is None else left, inside)
    return np.where(above, fp[-1] if right is None else right, inside)


def nan_to_num(
    x: Any, copy: bool = True, nan: float = 0.0, posinf: Any = None, neginf: Any = None
) -> Any:
    x = operand(x)
    value = raw(x)
    plain = np.nan_to_num(value, nan=nan, posinf=posinf, neginf=neginf)
    return np.where(np.isfinite(value), x, plain)


def polyval(p: Any, x: Any) -> Any:
    p, x = operand(p), operand(x)
    result: Any = np.zeros(shape_of(x)) if shape_of(x) else 0.0
    for k in range(shape_of(p)[0]):
        result = result * x + p[k]
    return result


def vander(x: Any, N: Any = None, increasing: bool = False) -> Any:  # numpy's name
    x = operand(x)
    powers = range(shape_of(x)[0] if N is None else N)
    columns = [x**k for k in (powers if increasing else reversed(powers))]
    return np.stack(columns, axis=-1)


def linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, *, axis: int = 0) -> Any:
    start, stop = operand(start), operand(stop)
    ndim = max(len(shape_of(start)), len(shape_of(stop)))
    shares = np.linspace(0.0, 1.0, num, endpoint).reshape(-1, *(1,) * ndim)
    result = (1.0 - shares) * start + shares * stop
    return result if axis in (0, -ndim - 1) else np.moveaxis(result, 0, axis)


def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0, *, axis: int = 0
) -> Any:
    return np.power(base, linspace(start, stop, num, endpoint, axis=axis))


def full_like(a: Any, fill_value: Any) -> Any:
    shape = shape_of(a)
    return np.broadcast_to(operand(fill_value), shape) + np.zeros(shape)


def sinc(x: Any) -> Any:
    return unary(x, np.sinc(x.value), lambda g, v=x.value: g * slopes.sinc(v))


def i0(x: Any) -> Any:
    return special.i0(np.absolute(x))
