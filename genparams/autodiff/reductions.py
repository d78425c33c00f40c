"""Functions along axes: sums, products, order statistics, running sums, averages."""

import math
from collections.abc import Callable
from typing import Any

from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from genparams.autodiff.elementwise import special
from genparams.autodiff.tape import Box, linear, np, operand, raw, refusal, shape_of, strip

Axis = int | tuple[int, ...] | None


# --- Along rows


def _axes(x: Any, axis: Axis) -> tuple[int, ...]:
    ndim = len(shape_of(x))
    if axis is None or not ndim:  # a single number has an axis 0 for numpy
        return tuple(range(ndim))
    return normalize_axis_tuple(axis, ndim)


def _kept(x: Any, axis: Axis) -> tuple[int, ...]:
    """The shape of a reduction that keeps its axes, with length 1."""
    axes = _axes(x, axis)
    return tuple(1 if i in axes else n for i, n in enumerate(shape_of(x)))


def _rows(x: Any, axis: Axis) -> Any:
    """`x` with the axes to be reduced made one, the last."""
    axes, shape = _axes(x, axis), shape_of(x)
    others = [i for i in range(len(shape)) if i not in axes]
    if axis is None or not others:
        return np.reshape(x, (-1,))
    x = np.transpose(x, (*others, *axes))
    return np.reshape(x, (*(shape[i] for i in others), math.prod(shape[i] for i in axes)))


def reduction(of_rows: Callable[..., Any]) -> Callable[..., Any]:
    """A function along axes, given the one along the last axis."""

    def reduce(a: Any, axis: Axis = None, *, keepdims: Any = False) -> Any:
        a = operand(a)
        result = of_rows(_rows(a, axis))
        return np.reshape(result, _kept(a, axis)) if _is_kept(keepdims) else result

    return reduce


def _is_kept(keepdims: Any) -> bool:
    return keepdims is not np._NoValue and bool(raw(keepdims))


def _last(x: Any, start: int | None, stop: int | None = None, step: int | None = None) -> Any:
    return x[..., slice(start, stop, step)]


def _on_last(x: Any, axis: int) -> Any:
    return np.moveaxis(x, axis, -1)


# --- Sums and means


def sum_(a: Box, axis: Axis = None, *, keepdims: Any = False) -> Any:
    shape = a.shape
    value = np.sum(a.value, axis=axis, keepdims=_is_kept(keepdims))
    kept = _kept(a, axis)
    if not shape:
        return linear(a, value, lambda g: g)
    return linear(a, value, lambda g: np.broadcast_to(np.reshape(g, kept), shape))


def mean(a: Any, axis: Axis = None, *, keepdims: Any = False) -> Any:
    result = np.sum(operand(a), axis=axis, keepdims=_is_kept(keepdims))
    return result / _count(a, axis)


def _count(a: Any, axis: Axis) -> float:
    count = math.prod(shape_of(a)[i] for i in _axes(a, axis))
    if not count:
        raise refusal("an average of nothing", "data that are not empty")
    return float(count)


def nansum(a: Any, axis: Axis = None, *, keepdims: Any = False) -> Any:
    a = operand(a)
    return np.sum(np.where(np.isnan(raw(a)), 0.0, a), axis=axis, keepdims=_is_kept(keepdims))


def nanmean(a: Any, axis: Axis = None, *, keepdims: Any = False) -> Any:
    a = operand(a)
    counts = np.sum(~np.isnan(raw(a)), axis=axis, keepdims=_is_kept(keepdims))
    return nansum(a, axis, keepdims=keepdims) / counts


def nanvar(a: Any, axis: Axis = None, *, ddof: float = 0, keepdims: Any = False) -> Any:
    a = operand(a)
    there = ~np.isnan(raw(a))
    counts = np.sum(there, axis=axis, keepdims=_is_kept(keepdims)) - float(ddof)
    if np.any(counts <= 0.0):
        raise refusal("a variance without a degree of freedom", "more data than ddof")
    a = np.where(there, a, 0.0)
    centre = np.sum(a, axis=axis, keepdims=True) / np.sum(there, axis=axis, keepdims=True)
    off = np.where(there, a - centre, 0.0)
    return np.sum(off * off, axis=axis, keepdims=_is_kept(keepdims)) / counts


def nanstd(a: Any, axis: Axis = None, **options: Any) -> Any:
    return _root(nanvar(a, axis, **options), a, axis)


def var(
    a: Any,
    axis: Axis = None,
    *,
    ddof: float = 0,
    keepdims: Any = False,
    correction: Any = np._NoValue,
) -> Any:
    a = operand(a)
    ddof = float(ddof if correction is np._NoValue else correction)
    off = a - np.mean(a, axis=axis, keepdims=True)
    squares = np.sum(off * off, axis=axis, keepdims=_is_kept(keepdims))
    return squares / _degrees(_count(a, axis) - ddof)


def _degrees(count: float) -> float:
    if count <= 0.0:
        raise refusal("a variance without a degree of freedom", "more data than ddof")
    return count


def std(a: Any, axis: Axis = None, **options: Any) -> Any:
    return _root(var(a, axis, **options), a, axis)


def _root(variance: Any, a: Any, axis: Axis) -> Any:
    """The root of a variance; that of one number is 0 whatever the number."""
    return variance if _count(operand(a), axis) == 1.0 else np.sqrt(variance)


def average(a: Any, axis: Axis = None, weights: Any = None, *, keepdims: Any = False) -> Any:
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
    keep = _is_kept(keepdims)
    total = np.sum(weights, axis=axis, keepdims=keep)
    return np.sum(a * weights, axis=axis, keepdims=keep) / total


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
    if type(weights) is not Box:
        return np.bincount(x, weights, minlength)
    return linear(weights, bincount(x, weights.value, minlength), lambda g: g[x])


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    y = _on_last(operand(y), axis)
    if x is not None:
        x = operand(x)
        dx = np.diff(x if len(shape_of(x)) == 1 else _on_last(x, axis))
    return np.sum(dx * (_last(y, 1) + _last(y, None, -1)), axis=-1) / 2.0


# --- Running sums and differences


def cumsum(a: Any, axis: int | None = None) -> Any:
    if axis is None or not shape_of(a):
        a, axis = np.reshape(a, (-1,)), 0
    if type(a) is not Box:
        return np.cumsum(a, axis=axis)

    def pull(g: Any) -> Any:
        return np.flip(np.cumsum(np.flip(g, axis), axis=axis), axis)

    return linear(a, cumsum(a.value, axis), pull)


def cumprod(a: Any, axis: int | None = None) -> Any:
    """The running product; where a factor is zero, one multiplication after the other."""
    if axis is None or not shape_of(a):
        a, axis = np.reshape(a, (-1,)), 0
    if type(a) is not Box:
        return np.cumprod(a, axis=axis)
    if not np.all(raw(a)):
        x = np.moveaxis(a, axis, 0)
        parts = [x[0]] if len(x) else []
        for k in range(1, len(x)):
            parts.append(parts[-1] * x[k])
        return np.moveaxis(np.stack(parts), 0, axis) if parts else x
    x, y = a.value, cumprod(a.value, axis)
    return linear(a, y, lambda g: np.flip(np.cumsum(np.flip(g * y, axis), axis=axis), axis) / x)


def cumulative(running: Callable[..., Any], first: float) -> Callable[..., Any]:
    """`np.cumulative_sum` and `np.cumulative_prod`."""

    def cumulate(x: Any, /, *, axis: int | None = None, include_initial: bool = False) -> Any:
        if axis is None and len(shape_of(x)) > 1:
            raise ValueError("axis is needed for an array of more than one axis")
        axis = axis or 0
        result = running(np.reshape(x, (-1,)) if not shape_of(x) else x, axis)
        if not include_initial:
            return result
        begin = np.full(_kept(result, axis), first)
        return np.concatenate([begin, result], axis=axis)

    return cumulate


def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    a = operand(a)
    axis = normalize_axis_index(axis, len(shape_of(a)))
    around = []
    for extra in (prepend, append):
        if extra is not None:
            extra = operand(extra)
            extra = extra if shape_of(extra) else extra * np.ones(_kept(a, axis))
        around.append(extra)
    a = np.concatenate([p for p in (around[0], a, around[1]) if p is not None], axis=axis)
    a = _on_last(a, axis)
    for _ in range(n):
        a = _last(a, 1) - _last(a, None, -1)
    return np.moveaxis(a, -1, axis)


def ediff1d(ary: Any) -> Any:
    return diff(np.reshape(ary, (-1,)))


def np_gradient(f: Any, *spacing: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """`np.gradient`: along each axis the matrix that numpy applies, found from unit vectors."""
    axes = _axes(f, axis)
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


# --- Products and extremes


def _others(x: Any) -> Any:
    """Along the last axis, for each entry the product of all others."""
    if not shape_of(x)[-1]:
        return x
    one = np.ones((*shape_of(x)[:-1], 1))
    before = np.concatenate([one, cumprod(_last(x, None, -1), -1)], axis=-1)
    turned = np.concatenate([one, cumprod(np.flip(_last(x, 1), -1), -1)], axis=-1)
    return before * np.flip(turned, -1)


def _prod_of_rows(x: Box) -> Any:
    def pull(g: Any, x: Any = x.value) -> Any:
        return np.expand_dims(g, -1) * _others(x)

    return linear(x, _plain_or_rule(np.prod, _prod_of_rows, x.value), pull)


def _plain_or_rule(plain: Callable, rule: Callable, value: Any) -> Any:
    return rule(value) if type(value) is Box else plain(value, axis=-1)


def _extreme_of_rows(function: Any) -> Callable[[Box], Any]:
    """A largest or smallest entry; entries that tie share its gradient."""

    def rule(x: Box) -> Any:
        values = raw(x)
        found = values == np.expand_dims(function(values, axis=-1), -1)
        share = found / np.sum(found, axis=-1, keepdims=True) if values.size else found
        value = _plain_or_rule(function, rule, x.value)
        return linear(x, value, lambda g: np.expand_dims(g, -1) * share)

    return rule


prod = reduction(_prod_of_rows)
max_ = reduction(_extreme_of_rows(np.max))
min_ = reduction(_extreme_of_rows(np.min))


def ptp(a: Any, axis: Axis = None, *, keepdims: Any = False) -> Any:
    return max_(a, axis, keepdims=keepdims) - min_(a, axis, keepdims=keepdims)


def _without_nan(function: Callable, fill: float) -> Callable[..., Any]:
    def rule(a: Any, axis: Axis = None, *, keepdims: Any = False) -> Any:
        a = operand(a)
        gone = np.isnan(raw(a))
        if np.any(np.all(gone, axis=axis)):
            raise refusal("a row of NaN alone", "it without that row")
        return function(np.where(gone, fill, a), axis, keepdims=keepdims)

    return rule


nanmax = _without_nan(max_, -math.inf)
nanmin = _without_nan(min_, math.inf)
nanprod = _without_nan(prod, 1.0)


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
    keepdims: Any = False,
    scale: float = 1.0,
) -> Any:
    """The quantile between two entries, along a straight line."""
    if method != "linear" or type(q) is Box:
        raise refusal(f"numpy.quantile by {method!r} or at a traced q", "method 'linear'")
    a, q = operand(a), np.asarray(q, dtype=float) / scale
    rows = sort(_rows(a, axis))
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
        parts.append(np.reshape(part, _kept(a, axis)) if _is_kept(keepdims) else part)
    if not q.shape:
        return parts[0]
    stacked = np.stack(parts)
    return np.reshape(stacked, (*q.shape, *shape_of(stacked)[1:]))


def percentile(a: Any, q: Any, axis: Axis = None, **options: Any) -> Any:
    return quantile(a, q, axis, scale=100.0, **options)


def median(a: Any, axis: Axis = None, *, keepdims: Any = False) -> Any:
    return quantile(a, 0.5, axis, keepdims=keepdims)


# --- Sums of exponentials


def logsumexp(a: Any, axis: Axis = None, b: Any = None, keepdims: bool = False) -> Any:
    """log sum_i b_i exp(a_i), with the derivative b_i exp(a_i - result) by a_i."""
    a = operand(a)
    if b is not None:
        b = operand(b)
        shape = np.broadcast_shapes(shape_of(a), shape_of(b))
        a, b = np.broadcast_to(a, shape), np.broadcast_to(b, shape)
    tape, (x, y) = strip((a, b))
    kept, keepdims = _kept(a, axis), _is_kept(keepdims)
    if tape is None:
        result = special.logsumexp(x, axis=axis, b=y, keepdims=keepdims)
        return np.reshape(result, kept) if keepdims else result
    value = logsumexp(x, axis, y, keepdims)

    def weights() -> Any:
        level = np.reshape(value, kept)
        gone = np.isneginf(raw(level)) | np.isneginf(raw(x))
        return np.where(gone, 0.0, np.exp(np.where(gone, 0.0, x) - np.where(gone, 0.0, level)))

    by = 1.0 if y is None else y
    edges = [
        (a, lambda g: np.reshape(g, kept) * (by * weights())),
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
