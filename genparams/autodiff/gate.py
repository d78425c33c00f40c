"""The gate: the one place through which numpy's functions reach a traced value.

A function has a rule in one of the tables here, or it is refused. A rule's own signature names the
arguments that it knows; a call with any other argument is refused. Lists and object arrays that
hold boxes are stacked first. What a rule returns is compared with what numpy returns for the plain
values, in shape and in structure, so that a rule cannot answer another question than numpy does.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy

from genparams.autodiff import linalg, moves, products, reductions
from genparams.autodiff.elementwise import elementwise, sinc_slope, special
from genparams.autodiff.tape import (
    Box,
    holds_box,
    linear,
    np,
    operand,
    raw,
    refusal,
    shape_of,
    share,
)
from genparams.errors import TracedValueError

# --- Functions with a rule of a few lines


def _clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    low = min if a_min is None or a_min is np._NoValue else a_min
    high = max if a_max is None or a_max is np._NoValue else a_max
    a = operand(a)
    a = a if low is None or low is np._NoValue else np.maximum(a, low)
    return a if high is None or high is np._NoValue else np.minimum(a, high)


def _interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None) -> Any:
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


def _nan_to_num(
    x: Any, copy: bool = True, nan: float = 0.0, posinf: Any = None, neginf: Any = None
) -> Any:
    x = operand(x)
    value = raw(x)
    plain = np.nan_to_num(value, nan=nan, posinf=posinf, neginf=neginf)
    return np.where(np.isfinite(value), x, plain)


def _polyval(p: Any, x: Any) -> Any:
    p, x = operand(p), operand(x)
    result: Any = np.zeros(shape_of(x)) if shape_of(x) else 0.0
    for k in range(shape_of(p)[0]):
        result = result * x + p[k]
    return result


def _vander(x: Any, N: Any = None, increasing: bool = False) -> Any:  # numpy's name
    x = operand(x)
    powers = range(shape_of(x)[0] if N is None else N)
    columns = [x**k for k in (powers if increasing else reversed(powers))]
    return np.stack(columns, axis=-1)


def _linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, *, axis: int = 0) -> Any:
    start, stop = operand(start), operand(stop)
    ndim = max(len(shape_of(start)), len(shape_of(stop)))
    shares = np.linspace(0.0, 1.0, num, endpoint).reshape(-1, *(1,) * ndim)
    result = (1.0 - shares) * start + shares * stop
    return result if axis in (0, -ndim - 1) else np.moveaxis(result, 0, axis)


def _logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0, *, axis: int = 0
) -> Any:
    return np.power(base, _linspace(start, stop, num, endpoint, axis=axis))


def _full_like(a: Any, fill_value: Any) -> Any:
    shape = shape_of(a)
    return np.broadcast_to(operand(fill_value), shape) + np.zeros(shape)


def _sinc(x: Any) -> Any:
    if type(x) is not Box:
        return np.sinc(x)
    return linear(x, _sinc(x.value), lambda g, v=x.value: g * sinc_slope(v))


def _i0(x: Any) -> Any:
    return special.i0(np.absolute(x))


def _outer_of(ufunc: numpy.ufunc) -> Callable[..., Any]:
    def rule(a: Any, b: Any) -> Any:
        a, b = operand(a), operand(b)
        return ufunc(np.reshape(a, shape_of(a) + (1,) * len(shape_of(b))), b)

    return rule


def _along(f: Callable[..., Any]) -> Callable[..., Any]:
    """A reduction as a method of its ufunc, along the first axis unless told otherwise."""

    def rule(a: Any, axis: Any = 0, *, keepdims: bool = False) -> Any:
        return f(a, axis, keepdims=keepdims)

    return rule


def _running(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a, axis=0: f(a, axis)


# --- The tables

PRIMITIVES: dict[Any, Callable[..., Any]] = {
    np.sum: reductions.sum_,
    np.reshape: moves.reshape,
    np.ravel: moves.ravel,
    np.transpose: moves.transpose,
    np.broadcast_to: moves.broadcast_to,
    np.where: moves.where,
    np.concatenate: moves.concatenate,
    np.stack: moves.stack,
    np.copy: moves.copy,
    np.matmul: products.matmul,
    np.dot: products.dot,
}
"""Rules whose values numpy computes itself, which need no comparison."""

RULES: dict[Any, Callable[..., Any]] = {
    np.mean: reductions.mean,
    np.nansum: reductions.nansum,
    np.nanmean: reductions.nanmean,
    np.var: reductions.var,
    np.std: reductions.std,
    np.average: reductions.average,
    np.cov: reductions.cov,
    np.corrcoef: reductions.corrcoef,
    np.bincount: reductions.bincount,
    np.trapezoid: reductions.trapezoid,
    np.cumsum: reductions.cumsum,
    np.cumprod: reductions.cumprod,
    np.cumulative_sum: reductions.cumulative(reductions.cumsum, 0.0),
    np.cumulative_prod: reductions.cumulative(reductions.cumprod, 1.0),
    np.diff: reductions.diff,
    np.ediff1d: reductions.ediff1d,
    np.gradient: reductions.np_gradient,
    np.prod: reductions.prod,
    np.max: reductions.max_,
    np.amax: reductions.max_,
    np.min: reductions.min_,
    np.amin: reductions.min_,
    np.ptp: reductions.ptp,
    np.nanvar: reductions.nanvar,
    np.nanstd: reductions.nanstd,
    np.nanmax: reductions.nanmax,
    np.nanmin: reductions.nanmin,
    np.nanprod: reductions.nanprod,
    np.sort: reductions.sort,
    np.quantile: reductions.quantile,
    np.percentile: reductions.percentile,
    np.median: reductions.median,
    np.vdot: products.vdot,
    np.inner: products.inner,
    np.outer: products.outer,
    np.linalg.outer: products.outer,
    np.tensordot: products.tensordot,
    np.linalg.tensordot: products.tensordot,
    np.linalg.matmul: products.matmul,
    np.linalg.vecdot: products.vecdot,
    np.kron: products.kron,
    np.trace: products.trace,
    np.linalg.trace: products.linalg_trace,
    np.cross: products.cross,
    np.linalg.cross: products.linalg_cross,
    np.einsum: products.einsum,
    np.convolve: products.convolve,
    np.correlate: products.correlate,
    np.linalg.multi_dot: products.multi_dot,
    np.linalg.matrix_power: products.matrix_power,
    np.linalg.inv: linalg.inv,
    np.linalg.solve: linalg.solve,
    np.linalg.lstsq: linalg.lstsq,
    np.linalg.det: linalg.det,
    np.linalg.slogdet: linalg.slogdet,
    np.linalg.cholesky: linalg.cholesky,
    np.linalg.eigh: linalg.eigh,
    np.linalg.eigvalsh: linalg.eigvalsh,
    np.linalg.svd: linalg.svd,
    np.linalg.svdvals: linalg.svdvals,
    np.linalg.pinv: linalg.pinv,
    np.linalg.qr: linalg.qr,
    np.linalg.norm: linalg.norm,
    np.linalg.vector_norm: linalg.vector_norm,
    np.linalg.matrix_norm: linalg.matrix_norm,
    np.clip: _clip,
    np.interp: _interp,
    np.nan_to_num: _nan_to_num,
    np.polyval: _polyval,
    np.vander: _vander,
    np.linspace: _linspace,
    np.logspace: _logspace,
    np.full_like: _full_like,
    np.sinc: _sinc,
    np.i0: _i0,
    np.real: lambda val: val,
}

FLAT = {
    *(np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.common_type),
    *(np.iscomplexobj, np.isrealobj, np.isreal, np.iscomplex, np.isposinf, np.isneginf),
    *(np.argmax, np.argmin, np.argsort, np.argpartition, np.argwhere, np.nonzero, np.flatnonzero),
    *(np.nanargmax, np.nanargmin, np.lexsort, np.searchsorted, np.digitize, np.count_nonzero),
    *(np.all, np.any, np.isclose, np.allclose, np.array_equal, np.array_equiv, np.isin),
    *(np.zeros_like, np.ones_like, np.empty_like, np.linalg.matrix_rank),
    *(np.may_share_memory, np.shares_memory, np.imag),
}
"""Functions whose result does not change with their arguments, or does so in jumps."""

TEXT = {np.array_repr, np.array_str, np.array2string}
"""Functions whose result is text, which is marked so that no number is read from it again."""

METHODS: dict[tuple[Any, str], Callable[..., Any]] = {
    (np.add, "reduce"): _along(reductions.sum_),
    (np.multiply, "reduce"): _along(reductions.prod),
    (np.maximum, "reduce"): _along(reductions.max_),
    (np.minimum, "reduce"): _along(reductions.min_),
    (np.logaddexp, "reduce"): _along(reductions.logsumexp),
    (np.add, "accumulate"): _running(reductions.cumsum),
    (np.multiply, "accumulate"): _running(reductions.cumprod),
    **{(u, "outer"): _outer_of(u) for u in (np.add, np.subtract, np.multiply, np.true_divide)},
    (np.matmul, "__call__"): products.matmul,
    (np.vecdot, "__call__"): products.vecdot,
    (np.divmod, "__call__"): lambda x, y, /: (np.floor_divide(x, y), np.remainder(x, y)),
    (np.modf, "__call__"): lambda x, /: (x - np.trunc(x), np.trunc(raw(x))),
}
for _name, _rule in (("matvec", products.matvec), ("vecmat", products.vecmat)):
    if hasattr(np, _name):  # numpy 2.2
        METHODS[getattr(np, _name), "__call__"] = _rule

ADVICE = {
    **dict.fromkeys((np.round, np.fix, np.rint), "the value as it is"),
    **dict.fromkeys((np.copyto, np.put, np.place, np.putmask), "np.where(condition, new, old)"),
    np.fill_diagonal: "np.where(np.eye(n, dtype=bool), new, old)",
    np.put_along_axis: "np.where(condition, new, old)",
    np.partition: "np.sort",
    **dict.fromkeys((np.unique, np.histogram), "it of constants"),
}
"""What to write in place of functions that are refused."""

_LISTS = {np.concatenate, np.stack, np.linalg.multi_dot, np.einsum}
"""Functions whose first argument is a list of arrays, or whose rules stack by themselves."""


# --- Passing through


def call(func: Callable, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Apply a numpy function of which an argument is or holds a box."""
    name = _name_of(func)
    if func in FLAT:
        return _plain(func, args, kwargs)
    if func in TEXT:
        return f"traced {_plain(func, args, kwargs)}"
    if func not in _LISTS and func not in moves.MOVES:
        args = [_stacked(name, a) for a in args]
        kwargs = {k: _stacked(name, v) for k, v in kwargs.items()}
    kwargs = {k: v for k, v in kwargs.items() if v is not None or k not in ("out", "dtype")}
    rule = PRIMITIVES.get(func)
    if rule is not None:
        return apply_rule(rule, name, args, kwargs, func)
    rule = _move(func) if func in moves.MOVES else RULES.get(func)
    if rule is None:
        raise refusal(name, ADVICE.get(func, "it in functions that have a derivative rule"))
    plain = _plain(func, args, kwargs)
    return _checked(name, plain, args, apply_rule(rule, name, args, kwargs, func))


def _move(func: Callable) -> Callable[..., Any]:
    return lambda *args, **kwargs: moves.move(func, args, kwargs)


def call_ufunc(ufunc: numpy.ufunc, method: str, inputs: Sequence[Any], kwargs: dict) -> Any:
    """Apply a ufunc or a method of one, of which an argument is a box."""
    rule = METHODS.get((ufunc, method))
    if rule is None and method == "__call__" and not kwargs:
        return elementwise(ufunc, inputs)
    name = f"numpy.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
    if rule is None:
        raise refusal(name + (f" with {', '.join(kwargs)}" if kwargs else ""), "the plain function")
    inputs = [_stacked(name, v) for v in inputs]
    return apply_rule(rule, name, inputs, kwargs, getattr(ufunc, method))


def apply_rule(
    rule: Callable, name: str, args: Sequence[Any], kwargs: dict[str, Any], func: Callable
) -> Any:
    """Apply a rule; where numpy takes the call and the rule does not, that is a refusal."""
    try:
        return rule(*args, **kwargs)
    except TracedValueError:
        raise
    except Exception as error:
        _plain(func, args, kwargs)  # numpy's own error, if it has one
        given = "".join(f" {k}=" for k in kwargs)
        form = f"with{given}" if given else "in this form"
        raise refusal(f"{name} {form} ({error})", "a plainer form of it") from error


def _plain(func: Callable, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What numpy returns for the plain values."""
    try:
        with np.errstate(all="ignore"):
            return func(*map(_raw, args), **{k: _raw(v) for k, v in kwargs.items()})
    except TypeError as error:
        raise refusal(f"{_name_of(func)} in this form ({error})", "a plainer form of it") from None
    except ValueError as error:
        if "read-only" not in str(error) and "output array" not in str(error):
            raise
        what = f"{_name_of(func)} that writes into an array"
        raise refusal(what, "it without out= or overwriting") from None


def _checked(name: str, plain: Any, args: Sequence[Any], result: Any) -> Any:
    """A rule's result, once it is known to have the form of numpy's own."""
    if not isinstance(plain, (tuple, list)):
        return _compared(name, plain, args, result)
    if not isinstance(result, (tuple, list)) or len(result) != len(plain):
        raise _other(name)
    parts = [_compared(name, p, args, r) for p, r in zip(plain, result, strict=True)]
    return type(plain)(*parts) if hasattr(plain, "_fields") else type(plain)(parts)


def _compared(name: str, plain: Any, args: Sequence[Any], result: Any) -> Any:
    if np.iscomplexobj(plain):
        raise refusal(f"{name} with complex values", "functions of real numbers")
    value = raw(result)
    if np.shape(value) != np.shape(plain) or not _agree(value, plain):
        raise _other(name)
    if type(result) is Box and np.asarray(plain).dtype.kind != "f":
        raise refusal(f"{name} that cuts its result to whole numbers", "numbers with a fraction")
    _note_view(plain, result, args)
    return result


def _agree(value: Any, plain: Any) -> bool:
    """Whether two values are one, up to rounding."""
    value, plain = np.asarray(value), np.asarray(plain)
    if plain.dtype.kind != "f":
        return np.array_equal(value, plain)
    with np.errstate(all="ignore"):
        far = np.abs(value - plain) > 1e-6 * (np.abs(plain) + np.max(np.abs(plain), initial=0.0))
        return not np.any(far & (value != plain)) and bool(
            np.array_equal(np.isnan(value), np.isnan(plain))
        )


def _other(name: str) -> TracedValueError:
    return refusal(f"{name} in this form", "a plainer form of it")


def _note_view(plain: Any, result: Any, args: Iterable[Any]) -> None:
    """Mark a part of an array that numpy gives as a view, and the array, as shared."""
    if getattr(plain, "base", None) is None:
        return
    for a in args:
        for box in a if isinstance(a, (list, tuple)) else (a,):
            if type(box) is Box and np.may_share_memory(plain, raw(box)):
                share(result, box)


def _name_of(func: Any) -> str:
    module = getattr(func, "__module__", None) or "numpy"
    return f"{module}.{getattr(func, '__name__', func)}"


def _stacked(name: str, value: Any) -> Any:
    """A list or an object array that holds boxes as one box."""
    if type(value) is Box or not isinstance(value, (list, tuple, numpy.ndarray)):
        if isinstance(value, (complex, np.complexfloating)):
            raise refusal(f"{name} with a complex number", "real numbers")
        return value
    if isinstance(value, numpy.ndarray) and value.dtype.kind == "c":
        raise refusal(f"{name} with complex numbers", "real numbers")
    try:
        return operand(value) if holds_box(value) else value
    except (TypeError, ValueError) as error:
        raise refusal(f"{name} with such a list ({error})", "np.stack([...])") from None


def _raw(value: Any) -> Any:
    """The plain value of an argument, lists and object arrays of boxes included.

    numpy may read it and not write to it: an argument may be where numpy writes its result.
    """
    if type(value) is Box:
        value = raw(value)
        if type(value) is float:
            return np.float64(value)
        value = value.view()
        value.flags.writeable = False
        return value
    if isinstance(value, (list, tuple)) and holds_box(value):
        return type(value)(map(_raw, value))
    if type(value) is numpy.ndarray and holds_box(value):
        return raw(operand(value))
    return value
