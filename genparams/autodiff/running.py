"""Running sums and products, and differences along an axis."""

from collections.abc import Callable
from typing import Any

from numpy.lib.array_utils import normalize_axis_index

from genparams.autodiff.axes import axes_of, kept_shape
from genparams.autodiff.refusals import refusal
from genparams.autodiff.tape import np, operand, raw, shape_of, unary


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    y = np.moveaxis(operand(y), axis, -1)
    if x is not None:
        x = operand(x)
        dx = np.diff(x if len(shape_of(x)) == 1 else np.moveaxis(x, axis, -1))
    return np.sum(dx * (y[..., 1:] + y[..., :-1]), axis=-1) / 2.0


# --- Running sums and differences


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
