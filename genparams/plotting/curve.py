"""A curve with its band: the mean of a choice at a grid of arguments."""

import inspect
from collections.abc import Callable, Mapping
from textwrap import fill
from typing import Any

import numpy as np

from genparams.errors import InvalidValue, ShapeError
from genparams.learning.fitting.intervals import check_level
from genparams.learning.fitting.model import needed
from genparams.learning.fitting.prediction import Prediction
from genparams.learning.fitting.result import FitResult
from genparams.mistakes import explained
from genparams.plotting.canvas import (
    BAND,
    LINE,
    axes_for,
    check_axes,
    legend,
    name_axes,
    percent,
    points,
)
from genparams.plotting.observed import name_of
from genparams.text import brief
from genparams.trace.address import path
from genparams.types import Address, Array

Args = tuple[Any, ...] | Callable[[Array], tuple[Any, ...]]


@explained
def plot_curve(
    result: FitResult,
    x: Any,
    args: Args | None = None,
    ax: Any = None,
    level: float = 0.95,
    observed: tuple[Any, Any] | None = None,
    address: Any = None,
    constraints: Mapping[Any, Any] | None = None,
) -> Any:
    """Draw the mean of a choice over x, with a band that holds the mean at each x.

    The band is a pointwise confidence interval of the mean, `result.predict(...).conf_int(level)`.
    It is not an interval for new data.

    Args:
        x: A vector, in any order: where the curve is drawn.
        args: The arguments of the model at which the mean has an entry for each of x: a tuple, or a
            function from x, as in `lambda x: (x - mean,)`. None for x itself, as the only argument.
        ax: The axes to draw on; None for a new figure.
        level: Of the band.
        observed: Points to draw, a pair of vectors.
        address: Of the choice, if there are several.
        constraints: Values of choices on which others depend, as in `result.predict`.

    Returns:
        The axes.

    Raises:
        ShapeError: the mean does not have the shape of x.
        InvalidValue: the choice has no mean or depends on another choice, or several choices are
            predicted and there is no address.
        MissingExtra: matplotlib is not installed.
    """
    check_axes("plot_curve", ax)
    check_level(level)
    x = _vector("x", x)
    data = None if observed is None else _pair(observed)
    given = (x,) if args is None else args(x) if callable(args) else args
    at, found = _one(result.predict(given, constraints), address)
    if found.mean.shape != x.shape:
        raise ShapeError(
            f"plot_curve needs a mean for each of the {len(x)} entries of x, and the mean at these "
            f"arguments has shape {found.mean.shape}; write args, a tuple or a function from x"
        )

    axes = axes_for(ax)
    if data is not None:
        points(axes, *data, label="observed")
    _draw(axes, x, found, level)
    name_axes(axes, argument_of(result, 0) if args is None else "x", f"mean of {name_of(at)}")
    legend(axes)
    return axes


def _draw(axes: Any, x: Array, found: Prediction, level: float) -> None:
    order = np.argsort(x, kind="stable")
    low, high = (end[order] for end in found.conf_int(level))
    why = found.missing.partition(": ")[0]
    label = "mean" + (f" (without a band: {why})" if why else "")
    axes.plot(x[order], found.mean[order], label=fill(label, 50), **LINE)
    if np.any(high > low):
        axes.fill_between(
            x[order], low, high, label=f"{percent(level)} interval of the mean", **BAND
        )


def _one(predictions: Mapping[Any, Prediction], address: Any) -> tuple[Address, Prediction]:
    """The prediction at an address, or the only one there is."""
    if address is not None:
        return path(address), predictions[address]
    if len(predictions) != 1:
        raise InvalidValue(
            f"{len(predictions)} choices are predicted, {brief(list(predictions))}; write "
            f"address={next(iter(predictions), 'y')!r}"
        )
    ((key, found),) = predictions.items()
    return path(key), found


def _pair(observed: Any) -> tuple[Array, Array]:
    if not isinstance(observed, tuple | list) or len(observed) != 2:
        raise InvalidValue(f"observed is a pair of vectors (x, y), got {brief(observed)}")
    x, y = _vector("the x of observed", observed[0]), _vector("the y of observed", observed[1])
    if x.shape != y.shape:
        raise ShapeError(f"observed has {len(x)} values of x and {len(y)} of y")
    return x, y


def _vector(name: str, given: Any) -> Array:
    """A vector of finite numbers.

    Raises:
        InvalidValue: it is none.
    """
    try:
        found = np.asarray(given, dtype=float)
    except (TypeError, ValueError):
        found = np.zeros(())
    if found.ndim != 1 or not len(found) or not np.all(np.isfinite(found)):
        raise InvalidValue(f"{name} is a vector of finite numbers, got {brief(given)}")
    return found


def argument_of(result: FitResult, place: int) -> str:
    """The name of an argument of the function that was fitted."""
    function = needed(result.model, "a picture").likelihood.traces[0].gen_fn
    names = list(inspect.signature(function).parameters)
    return names[place] if place < len(names) else "x"
