"""Functions along axes: sums, products and extremes, differences and running sums."""

import math
from collections.abc import Callable
from typing import Any

from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from genparams.autodiff.refusals import refusal
from genparams.autodiff.tape import Box, np, operand, raw, shape_of, special, unary, unbox

Axis = int | tuple[int, ...] | None


def axes_of(x: Any, axis: Axis) -> tuple[int, ...]:
    ndim = len(shape_of(x))
    if axis is None or not ndim:  # a single number has an axis 0 for numpy
        return tuple(range(ndim))
    return normalize_axis_tuple(axis, ndim)


def kept_shape(x: Any, axis: Axis) -> tuple[int, ...]:
    """The shape of a reduction that keeps its axes, with length 1."""
    axes = axes_of(x, axis)
    return tuple(1 if i in axes else n for i, n in enumerate(shape_of(x)))


def rows_of(x: Any, axis: Axis) -> Any:
    """`x` with the axes to be reduced made one, the last."""
    axes, shape = axes_of(x, axis), shape_of(x)
    others = [i for i in range(len(shape)) if i not in axes]
    if axis is None or not others:
        return np.reshape(x, (-1,))
    x = np.transpose(x, (*others, *axes))
    return np.reshape(x, (*(shape[i] for i in others), math.prod(shape[i] for i in axes)))


def reduction(of_rows: Callable[..., Any]) -> Callable[..., Any]:
    """A function along axes, given the one along the last axis."""

    def reduce(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
        a = operand(a)
        result = of_rows(rows_of(a, axis))
        return np.reshape(result, kept_shape(a, axis)) if keepdims else result

    return reduce


# --- Sums


def sum_(a: Box, axis: Axis = None, *, keepdims: bool = False) -> Any:
    shape = a.shape
    value = np.sum(a.value, axis=axis, keepdims=keepdims)
    kept = kept_shape(a, axis)
    if not shape:
        return unary(a, value, lambda g: g)
    return unary(a, value, lambda g: np.broadcast_to(np.reshape(g, kept), shape))


# --- Products and extremes


def _others(x: Any) -> Any:
    """Along the last axis, for each entry the product of all others."""
    if not shape_of(x)[-1]:
        return x
    one = np.ones((*shape_of(x)[:-1], 1))
    before = np.concatenate([one, np.cumprod(x[..., :-1], -1)], axis=-1)
    turned = np.concatenate([one, np.cumprod(np.flip(x[..., 1:], -1), -1)], axis=-1)
    return before * np.flip(turned, -1)


def _prod_of_rows(x: Box) -> Any:
    def pull(g: Any, x: Any = x.value) -> Any:
        return np.expand_dims(g, -1) * _others(x)

    return unary(x, np.prod(x.value, axis=-1), pull)


def _extreme_of_rows(function: Any) -> Callable[[Box], Any]:
    """A largest or smallest entry; entries that tie share its gradient."""

    def rule(x: Box) -> Any:
        values = raw(x)
        found = values == np.expand_dims(function(values, axis=-1), -1)
        share = found / np.sum(found, axis=-1, keepdims=True) if values.size else found
        return unary(x, function(x.value, axis=-1), lambda g: np.expand_dims(g, -1) * share)

    return rule


prod = reduction(_prod_of_rows)
max_ = reduction(_extreme_of_rows(np.max))
min_ = reduction(_extreme_of_rows(np.min))


def ptp(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    return max_(a, axis, keepdims=keepdims) - min_(a, axis, keepdims=keepdims)


def _without_nan(function: Callable, fill: float) -> Callable[..., Any]:
    def rule(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
        a = operand(a)
        gone = np.isnan(raw(a))
        if np.any(np.all(gone, axis=axis)):
            raise refusal("a row of NaN alone", "it without that row")
        return function(np.where(gone, fill, a), axis, keepdims=keepdims)

    return rule


nanmax = _without_nan(max_, -math.inf)
nanmin = _without_nan(min_, math.inf)
nanprod = _without_nan(prod, 1.0)


# --- Sums of exponentials


def logsumexp(a: Any, axis: Axis = None, b: Any = None, keepdims: bool = False) -> Any:
    """log sum_i b_i exp(a_i), with the derivative b_i exp(a_i - result) by a_i."""
    a = operand(a)
    if b is not None:
        b = operand(b)
        shape = np.broadcast_shapes(shape_of(a), shape_of(b))
        a, b = np.broadcast_to(a, shape), np.broadcast_to(b, shape)
    tape, (x, y) = unbox((a, b))
    kept = kept_shape(a, axis)
    value = special.logsumexp(x, axis=axis, b=y, keepdims=keepdims)
    value = np.reshape(value, kept) if keepdims else value
    if tape is None:
        return value

    def weights() -> Any:
        level = np.reshape(value, kept)
        gone = np.isneginf(raw(level)) | np.isneginf(raw(x))
        return np.where(gone, 0.0, np.exp(np.where(gone, 0.0, x) - np.where(gone, 0.0, level)))

    by = 1.0 if y is None else y
    edges = [
        (a, lambda g: np.reshape(g, kept) * np.where(raw(by) == 0.0, 0.0, by * weights())),
        (b, lambda g: np.reshape(g, kept) * weights()),
    ]
    return tape.record(value, edges)


def softmax(x: Any, axis: Axis = None) -> Any:
    return np.exp(log_softmax(x, axis))


def log_softmax(x: Any, axis: Axis = None) -> Any:
    """x - max x - log(1 + sum of the other exp(x - max x)): neither this nor its derivative loses
    digits where one entry is far above the others.
    """
    x = operand(x)
    value = np.asarray(raw(x))
    ties = value == np.max(value, axis=axis, keepdims=True)
    place = np.where(ties, np.arange(value.size).reshape(value.shape), value.size)
    first = place == np.min(place, axis=axis, keepdims=True)
    top = np.sum(np.where(first, x, 0.0), axis=axis, keepdims=True)
    off = np.where(first, 0.0, x - top)
    others = np.sum(np.where(first, 0.0, np.exp(off)), axis=axis, keepdims=True)
    return off - np.log1p(others)


# --- Running sums and products, and differences


def cumsum(a: Any, axis: int | None = None) -> Any:
    if axis is None or not shape_of(a):
        a, axis = np.reshape(a, (-1,)), 0
    return unary(a, np.cumsum(a.value, axis), lambda g: _sums_from_end(g, axis))


def _sums_from_end(x: Any, axis: int) -> Any:
    return np.flip(np.cumsum(np.flip(x, axis), axis), axis)


def cumprod(a: Any, axis: int | None = None) -> Any:
    """The running product; where a factor is zero, one multiplication after the other."""
    if axis is None or not shape_of(a):
        a, axis = np.reshape(a, (-1,)), 0
    if not np.all(raw(a)):
        x = np.moveaxis(a, axis, 0)
        parts = [x[0]] if len(x) else []
        for k in range(1, len(x)):
            parts.append(parts[-1] * x[k])
        return np.moveaxis(np.stack(parts), 0, axis) if parts else x
    x, y = a.value, np.cumprod(a.value, axis)
    return unary(a, y, lambda g: _sums_from_end(g * y, axis) / x)


def cumulative(running: Callable[..., Any], first: float) -> Callable[..., Any]:
    """`np.cumulative_sum` and `np.cumulative_prod`."""

    def cumulate(x: Any, /, *, axis: int | None = None, include_initial: bool = False) -> Any:
        if axis is None and len(shape_of(x)) > 1:
            raise ValueError("axis is needed for an array of more than one axis")
        axis = axis or 0
        result = running(np.reshape(x, (-1,)) if not shape_of(x) else x, axis)
        if not include_initial:
            return result
        begin = np.full(kept_shape(result, axis), first)
        return np.concatenate([begin, result], axis=axis)

    return cumulate


def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    a = operand(a)
    axis = normalize_axis_index(axis, len(shape_of(a)))
    around = []
    for extra in (prepend, append):
        if extra is not None:
            extra = operand(extra)
            extra = extra if shape_of(extra) else extra * np.ones(kept_shape(a, axis))
        around.append(extra)
    a = np.concatenate([p for p in (around[0], a, around[1]) if p is not None], axis=axis)
    a = np.moveaxis(a, axis, -1)
    for _ in range(n):
        a = a[..., 1:] - a[..., :-1]
    return np.moveaxis(a, -1, axis)


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    y = np.moveaxis(operand(y), axis, -1)
    if x is not None:
        x = operand(x)
        dx = np.diff(x if len(shape_of(x)) == 1 else np.moveaxis(x, axis, -1))
    return np.sum(dx * (y[..., 1:] + y[..., :-1]), axis=-1) / 2.0


def ediff1d(ary: Any) -> Any:
    return diff(np.reshape(ary, (-1,)))


def np_gradient(f: Any, *spacing: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """`np.gradient`: along each axis the matrix that numpy applies, found from unit vectors."""
    axes = axes_of(f, axis)
    spacing = tuple(map(np.asarray, spacing)) or (np.asarray(1.0),)
    spacing = spacing * len(axes) if len(spacing) == 1 else spacing
    if len(spacing) != len(axes) or any(s.dtype == object for s in spacing):
        raise refusal("numpy.gradient with a traced spacing", "a constant spacing")
    results = []
    for i, step in zip(axes, spacing, strict=True):
        units = np.eye(shape_of(f)[i])
        matrix = np.gradient(units, step, axis=0, edge_order=edge_order)
        results.append(np.moveaxis(np.tensordot(matrix, f, axes=(1, i)), 0, i))
    return results[0] if len(results) == 1 else tuple(results)
