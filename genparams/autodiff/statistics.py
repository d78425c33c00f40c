"""Means, variances, covariances and order statistics."""

import math
from typing import Any

from genparams.autodiff.reductions import Axis, axes_of, kept_shape, rows_of
from genparams.autodiff.refusals import refusal
from genparams.autodiff.tape import Box, np, operand, raw, shape_of, unary


def mean(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    result = np.sum(operand(a), axis=axis, keepdims=keepdims)
    return result / _count(a, axis)


def _count(a: Any, axis: Axis) -> float:
    count = math.prod(shape_of(a)[i] for i in axes_of(a, axis))
    if not count:
        raise refusal("an average of nothing", "data that are not empty")
    return float(count)


def nansum(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    a = operand(a)
    return np.sum(np.where(np.isnan(raw(a)), 0.0, a), axis=axis, keepdims=keepdims)


def nanmean(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    a = operand(a)
    counts = np.sum(~np.isnan(raw(a)), axis=axis, keepdims=keepdims)
    return nansum(a, axis, keepdims=keepdims) / counts


def nanvar(a: Any, axis: Axis = None, *, ddof: float = 0, keepdims: bool = False) -> Any:
    a = operand(a)
    there = ~np.isnan(raw(a))
    degrees = _degrees(np.sum(there, axis=axis, keepdims=keepdims) - float(ddof))
    a = np.where(there, a, 0.0)
    centre = np.sum(a, axis=axis, keepdims=True) / np.sum(there, axis=axis, keepdims=True)
    off = np.where(there, a - centre, 0.0)
    return np.sum(off * off, axis=axis, keepdims=keepdims) / degrees


def nanstd(a: Any, axis: Axis = None, **options: Any) -> Any:
    variance = nanvar(a, axis, **options)
    kept = options.get("keepdims", False)
    lone = np.sum(~np.isnan(raw(operand(a))), axis=axis, keepdims=kept) == 1
    return np.where(lone, 0.0, np.sqrt(np.where(lone, 1.0, variance)))


def var(
    a: Any,
    axis: Axis = None,
    *,
    ddof: float = 0,
    keepdims: bool = False,
    correction: float | None = None,
) -> Any:
    a = operand(a)
    ddof = float(ddof if correction is None else correction)
    off = a - np.mean(a, axis=axis, keepdims=True)
    squares = np.sum(off * off, axis=axis, keepdims=keepdims)
    return squares / _degrees(_count(a, axis) - ddof)


def _degrees(count: Any) -> Any:
    if np.any(count <= 0.0):
        raise refusal("a variance without a degree of freedom", "more data than ddof")
    return count


def std(a: Any, axis: Axis = None, **options: Any) -> Any:
    return _root(var(a, axis, **options), a, axis)


def _root(variance: Any, a: Any, axis: Axis) -> Any:
    """The root of a variance; the variance of a single number is constant at 0."""
    return variance if _count(operand(a), axis) == 1.0 else np.sqrt(variance)


def average(a: Any, axis: Axis = None, weights: Any = None, *, keepdims: bool = False) -> Any:
    a = operand(a)
    if weights is None:
        return mean(a, axis, keepdims=keepdims)
    weights = operand(weights)
    if shape_of(weights) != shape_of(a):
        if not isinstance(axis, int):
            raise refusal("numpy.average with weights of another shape", "weights shaped as a")
        lengths = [1] * len(shape_of(a))
        lengths[axis] = -1
        weights = np.reshape(weights, tuple(lengths)) * np.ones(shape_of(a))
    total = np.sum(weights, axis=axis, keepdims=keepdims)
    return np.sum(a * weights, axis=axis, keepdims=keepdims) / total


def _centred(m: Any, rowvar: bool) -> Any:
    m = operand(m)
    m = np.reshape(m, (1, -1)) if len(shape_of(m)) < 2 else m
    return m if rowvar or shape_of(m)[0] == 1 else np.transpose(m)


def cov(
    m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None
) -> Any:
    m = _centred(m, rowvar)
    if y is not None:
        m = np.concatenate([m, _centred(y, rowvar)], axis=0)
    off = m - np.mean(m, axis=1, keepdims=True)
    count = _degrees(_count(m, 1) - float((0 if bias else 1) if ddof is None else ddof))
    return np.squeeze(np.matmul(off, np.transpose(off)) / count)


def corrcoef(x: Any, y: Any = None, rowvar: bool = True) -> Any:
    c = cov(x, y, rowvar)
    if not shape_of(c):
        return c / c
    scale = np.sqrt(np.diagonal(c))
    return c / scale[:, None] / scale


def bincount(x: Any, /, weights: Any, minlength: int = 0) -> Any:
    if type(x) is Box:
        raise refusal("numpy.bincount of traced places", "constant places")
    x = np.asarray(x)
    x = x.astype(np.intp) if x.dtype == bool else x
    return unary(weights, np.bincount(x, weights.value, minlength), lambda g: g[x])


# --- Order statistics


def sort(a: Any, axis: int | None = -1, kind: Any = None, *, stable: Any = None) -> Any:
    if axis is None:
        a, axis = np.reshape(a, (-1,)), 0
    order = np.argsort(raw(a), axis=axis, kind="stable")
    return np.take_along_axis(a, order, axis=axis)


def quantile(
    a: Any,
    q: Any,
    axis: Axis = None,
    *,
    method: str = "linear",
    keepdims: bool = False,
    scale: float = 1.0,
) -> Any:
    """The quantile between two entries, along a straight line."""
    if method != "linear" or type(q) is Box:
        raise refusal(f"numpy.quantile by {method!r} or at a traced q", "method 'linear'")
    a, q = operand(a), np.asarray(q, dtype=float) / scale
    rows = sort(rows_of(a, axis))
    count = shape_of(rows)[-1]
    if np.any(np.isnan(raw(rows))) or not count:
        raise refusal("numpy.quantile of NaN or of nothing", "data without NaN")
    parts = []
    for at in q.ravel() * (count - 1):
        low = min(int(at), count - 1)
        high, share = min(low + 1, count - 1), at - low
        below, above = rows[..., low], rows[..., high]
        step = above - below
        part = below + step * share if share < 0.5 else above - step * (1.0 - share)
        parts.append(np.reshape(part, kept_shape(a, axis)) if keepdims else part)
    if not q.shape:
        return parts[0]
    stacked = np.stack(parts)
    return np.reshape(stacked, (*q.shape, *shape_of(stacked)[1:]))


def percentile(a: Any, q: Any, axis: Axis = None, **options: Any) -> Any:
    return quantile(a, q, axis, scale=100.0, **options)


def median(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    return quantile(a, 0.5, axis, keepdims=keepdims)
