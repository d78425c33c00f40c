"""Functions that reduce axes: sums, products, extremes, sums of exponentials."""

import math
from collections.abc import Callable
from typing import Any

from genparams.autodiff.axes import Axis, kept_shape, rows_of
from genparams.autodiff.refusals import refusal
from genparams.autodiff.tape import Box, np, operand, raw, shape_of, special, unary, unbox


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
