"""Projections: the nearest point of a set, for use after a step.

Each solves

    minimise |y - x|^2 over y in the set

and returns the one solution as a new array of x's shape; the input does not change. float32 stays
float32, whole numbers become floats. A point of the set is its own projection. Results are in the
set up to rounding.

Only `project_monotonic_approximately` is not a projection, but GoMLX's approximation of one.
"""

from typing import Any

import numpy as np

from genparams.errors import InvalidValue, ShapeError
from genparams.text import brief
from genparams.types import Array
from genparams.update.settings import ABOVE_0, FINITE, checked


@checked()
def project_box(x: Any, low: Any, high: Any) -> Any:
    """The nearest point between two bounds: min(max(x, low), high), entry by entry.

        minimise |y - x|^2 subject to low <= y <= high

    Args:
        x: A number or an array.
        low: A number or an array that broadcasts to x's shape; -inf is no bound.
        high: The same; inf is no bound.

    Returns:
        A new array of x's shape and type, a float for a float.

    Raises:
        InvalidValue: x is not finite, a bound is NaN, or no number is between the bounds.
        ShapeError: the bounds do not broadcast to x's shape.
    """
    at = _finite("project_box", "x", x)
    low = _broadcast("project_box", "low", _numbers("project_box", "low", low), at)
    high = _broadcast("project_box", "high", _numbers("project_box", "high", high), at)
    crossed = ~((low <= high) & (low < np.inf) & (high > -np.inf))
    if np.any(crossed):
        first = tuple(np.argwhere(crossed)[0].tolist())
        raise InvalidValue(
            f"project_box: low must be at most high, got low = {low[first]} and high = "
            f"{high[first]}{_place(first)}; write low=-inf or high=inf for no bound"
        )
    return _like(x, np.minimum(np.maximum(at, low), high))


@checked(radius=ABOVE_0)
def project_ball(x: Any, radius: float, center: Any = 0.0) -> Any:
    """The nearest point of a ball, over all entries at once.

        minimise |y - x|^2 subject to |y - center| <= radius

        y = x                                                 within the ball
        y = center + radius (x - center) / |x - center|       outside

    |.| is the root of the sum of the squares of all entries.

    Args:
        x: A number or an array.
        center: A number or an array that broadcasts to x's shape.

    Returns:
        A new array of x's shape and type, a float for a float.

    Raises:
        InvalidValue: x or `center` is not finite.
        ShapeError: `center` does not broadcast to x's shape.
    """
    at = _finite("project_ball", "x", x)
    center = _broadcast("project_ball", "center", _finite("project_ball", "center", center), at)
    away = at - center
    size = np.max(np.abs(away), initial=0.0)
    unit = away / (size or 1.0)  # its square cannot overflow
    length = np.sqrt(np.sum(unit * unit))
    return _like(x, at if size * length <= radius else center + unit * (radius / length))


@checked(total=ABOVE_0)
def project_simplex(x: Any, axis: int = -1, total: float = 1.0) -> Array:
    """The nearest point of a simplex, for every slice along an axis.

        minimise |y - x|^2 subject to y >= 0, sum y = total

    The solution is y = max(x - tau, 0), with the one tau that gives this sum: for the entries in
    decreasing order u_1 >= u_2 >= ..., tau = (u_1 + ... + u_k - total) / k with the greatest k for
    which u_k > tau.

    References: Held, Wolfe and Crowder, 1974, https://doi.org/10.1007/BF01580223; Duchi et al.,
    2008, https://doi.org/10.1145/1390156.1390191, figure 1 (by sorting).

    Args:
        x: An array of at least one entry along `axis`.

    Raises:
        InvalidValue: x is not finite.
        ShapeError: x has no such axis, or no entries along it.
    """
    at = _along("project_simplex", x, axis, least=1)
    at = at - np.max(at, axis=-1, keepdims=True)  # y is the same, and large numbers keep digits
    u = -np.sort(-at, axis=-1)
    tau = (np.cumsum(u, axis=-1) - total) / np.arange(1, at.shape[-1] + 1)
    k = np.count_nonzero(u > tau, axis=-1, keepdims=True)
    y = np.maximum(at - np.take_along_axis(tau, k - 1, axis=-1), 0.0)
    return _like(x, np.moveaxis(y, -1, axis))


@checked(margin=FINITE)
def project_monotonic(x: Any, margin: float = 0.0, axis: int = -1) -> Array:
    """The nearest sequence that increases by at least a margin, for every slice along an axis.

        minimise |y - x|^2 subject to y[i + 1] - y[i] >= margin

    z[i] = y[i] - margin i must not decrease, so z is the isotonic regression of x[i] - margin i,
    which scipy computes. With a negative margin y may decrease by that much. For sequences that
    decrease by at least a margin, write `-project_monotonic(-x, margin)`.

    Reference: Busing, 2022, https://doi.org/10.18637/jss.v102.c01.

    Args:
        x: An array of at least two points along `axis`.

    Raises:
        InvalidValue: x is not finite.
        ShapeError: x has no such axis, or fewer than two points along it.
    """
    from scipy.optimize import isotonic_regression

    at = _along("project_monotonic", x, axis, least=2)
    rise = margin * np.arange(at.shape[-1])
    y = at.copy()
    for place in np.ndindex(at.shape[:-1]):
        if np.any(np.diff(at[place]) < margin):
            y[place] = isotonic_regression(at[place] - rise).x + rise
    return _like(x, np.moveaxis(y, -1, axis))


@checked(margin=FINITE)
def project_monotonic_approximately(x: Any, margin: float = 0.0, axis: int = -1) -> Array:
    """A sequence near x that increases by at least a margin: GoMLX's MonotonicProjection.

    One pass keeps the first point. It raises each difference that is below the margin and subtracts
    as much from the next difference, three times; then it raises each difference that is still
    below. A second pass does the same from right to left, and keeps the last point. The result is
    the mean of the two. A sequence that increases by the margin does not change, but other results
    are not the nearest: with margin 0.1, the last point of [5, 0, 0, 0, 0, 0, 9] moves to 11.6,
    and `project_monotonic` keeps it at 9.

    Args:
        x: An array of at least two points along `axis`.

    Raises:
        InvalidValue: x is not finite.
        ShapeError: x has no such axis, or fewer than two points along it.
    """
    at = _along("project_monotonic_approximately", x, axis, least=2)
    first, d = at[..., :1], np.diff(at, axis=-1)
    right = _raised(d, margin)
    left = _raised(d[..., ::-1], margin)[..., ::-1]
    lower = first - (np.sum(left, axis=-1, keepdims=True) - np.sum(d, axis=-1, keepdims=True))
    y = 0.5 * (_summed(first, right) + _summed(lower, left))
    return _like(x, np.moveaxis(y, -1, axis))


def _raised(d: Array, margin: float) -> Array:
    """Differences of at least `margin`; what is added to one is subtracted from the next."""
    for _ in range(3):
        raised = np.maximum(d, margin)
        raised[..., 1:] += (d - raised)[..., :-1]
        d = raised
    return np.maximum(d, margin)


def _summed(first: Array, d: Array) -> Array:
    return np.cumsum(np.concatenate([first, d], axis=-1), axis=-1)


def _numbers(function: str, name: str, x: Any) -> Array:
    """An array of floats of at least 64 bits."""
    found = np.asarray(x)
    if found.dtype.kind not in "fiu":
        raise InvalidValue(
            f"{function}: {name} must be real numbers, got {brief(x)}; "
            "np.asarray(x, dtype=float) makes an array of them"
        )
    return found.astype(np.promote_types(found.dtype, np.float64))


def _finite(function: str, name: str, x: Any) -> Array:
    found = _numbers(function, name, x)
    finite = np.isfinite(found)
    if not np.all(finite):
        first = tuple(np.argwhere(~finite)[0].tolist())
        raise InvalidValue(
            f"{function}: {name} must be finite, got {found[first]}{_place(first)}; it has no "
            "nearest point; correct the step that made it"
        )
    return found


def _place(index: tuple[int, ...]) -> str:
    return f" at {index}" if index else ""


def _along(function: str, x: Any, axis: int, least: int) -> Array:
    """The array as floats, with `axis` last, which must have at least `least` points."""
    found = _finite(function, "x", x)
    if not -found.ndim <= axis < found.ndim:
        raise ShapeError(
            f"{function}: axis {axis} is out of range for an array of shape {found.shape}; "
            f"give one from {-found.ndim} to {found.ndim - 1}"
            if found.ndim
            else f"{function}: a single number has no axis {axis}; give an array"
        )
    if found.shape[axis] < least:
        raise ShapeError(
            f"{function}: axis {axis} must hold at least {least} point{'s'[: least - 1]}, got "
            f"{found.shape[axis]} in shape {found.shape}"
        )
    return np.moveaxis(found, axis, -1)


def _broadcast(function: str, name: str, value: Array, x: Array) -> Array:
    try:
        return np.broadcast_to(value, x.shape)
    except ValueError:
        raise ShapeError(
            f"{function}: {name} of shape {value.shape} does not broadcast to x's shape {x.shape}"
        ) from None


def _like(x: Any, y: Array) -> Any:
    """A result in the type of the input: a float, or a new array."""
    if isinstance(x, float | int):
        return float(y)
    kind = np.asarray(x).dtype
    return np.array(y, dtype=kind if kind.kind == "f" else np.float64)
