"""What was observed against what was fitted, or both over the only predictor."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from genparams.errors import GenParamsError
from genparams.learning.fitting.by_address import key_of
from genparams.learning.fitting.model import unchanged
from genparams.learning.fitting.result import FitResult
from genparams.mistakes import explained
from genparams.numeric import quiet
from genparams.plotting.canvas import (
    GUIDE,
    LINE,
    axes_for,
    check_axes,
    legend,
    name_axes,
    points,
)
from genparams.plotting.curve import argument_of
from genparams.plotting.observed import joined, mean_at, name_of, series_of, sites_of
from genparams.types import Address, Array

GRID = 200
"""How many points a curve has, and at how many of the data it is compared with the means there."""


@explained
def plot_fit(result: FitResult, ax: Any = None, address: Any = None) -> Any:
    """Draw what was observed and what was fitted.

    The points are what was observed against its mean at the estimates, with the line y = x. If one
    choice is drawn, a vector, and the only array among the arguments of the model is a vector of as
    many numbers, the points are over this predictor, and the fitted means are a curve. The curve is
    `result.predict` on a grid. Where the model has no mean on a grid, or another one than in the
    data, the fitted means are points.

    Args:
        ax: The axes to draw on; None for a new figure.
        address: The choice to draw, or a key under which choices are; None for all choices.

    Returns:
        The axes.

    Raises:
        UnknownAddress: there is no such choice.
        InvalidValue: a choice has no mean.
        MissingExtra: matplotlib is not installed.
    """
    check_axes("plot_fit", ax)
    found = _predictor(result, address)
    return _against_fitted(result, ax, address) if found is None else _over(result, ax, found)


def _against_fitted(result: FitResult, ax: Any, address: Any) -> Any:
    """Observed against fitted, and the line y = x."""
    series = [(s.name, s.fitted, s.observed) for s in series_of(result, "plot_fit", address)]
    ends = [f(joined(fitted for _, fitted, _ in series)) for f in (np.min, np.max)]

    axes = axes_for(ax)
    axes.plot(ends, ends, label="observed = fitted", **GUIDE)
    for i, (name, fitted, observed) in enumerate(series):
        points(axes, fitted, observed, name, series=i)
    name_axes(axes, "fitted mean", "observed")
    legend(axes)
    return axes


# --- One predictor


@dataclass(frozen=True, slots=True)
class Predictor:
    """The only array among the arguments, as long as the only choice."""

    address: Address
    args: tuple[Any, ...]
    place: int
    x: Array
    fitted: Array
    observed: Array


def _predictor(result: FitResult, address: Any) -> Predictor | None:
    """The predictor of the data, if there is one."""
    sites = sites_of(result, "plot_fit", address)
    traces = unchanged(result, "plot_fit").likelihood.traces
    if len(sites) != 1 or len(traces) != 1:
        return None
    ((at, site),), args = sites.items(), traces[0].args
    arrays = [i for i, a in enumerate(args) if not _is_single(a)]
    if len(arrays) != 1:
        return None
    x, fitted = _numbers(args[arrays[0]]), mean_at(site)
    if x is None or not x.shape == fitted.shape == (len(x),):
        return None
    return Predictor(at, args, arrays[0], x, fitted, np.asarray(site.value, dtype=float))


def _is_single(argument: Any) -> bool:
    return isinstance(argument, str) or (
        np.isscalar(argument) or argument is None or getattr(argument, "ndim", 1) == 0
    )


def _numbers(argument: Any) -> Array | None:
    """A vector of finite numbers; None if the argument is none."""
    if not isinstance(argument, np.ndarray | list | tuple):
        return None
    try:
        found = np.asarray(argument)
    except ValueError:  # ragged
        return None
    is_vector = found.ndim == 1 and len(found) > 0 and found.dtype.kind in "iuf"
    return found if is_vector and np.all(np.isfinite(found)) else None


def _over(result: FitResult, ax: Any, data: Predictor) -> Any:
    """Observed and fitted over the predictor."""
    curve = _curve(result, data)

    axes = axes_for(ax)
    points(axes, data.x, data.observed, "observed")
    if curve is None:
        points(axes, data.x, data.fitted, "fitted mean", series=3)
    else:
        axes.plot(*curve, label="fitted mean", **LINE)
    name_axes(axes, argument_of(result, data.place), name_of(data.address))
    legend(axes)
    return axes


@quiet
def _curve(result: FitResult, data: Predictor) -> tuple[Array, Array] | None:
    """The means on a grid; None unless some of the data, put into the grid, keep their means."""
    some = np.unique(np.linspace(0, len(data.x) - 1, GRID).round().astype(int))
    x = data.x[np.argsort(data.x, kind="stable")[some]]
    wanted = data.fitted[np.argsort(data.x, kind="stable")[some]]
    grid = np.unique(np.concatenate([x, np.linspace(x[0], x[-1], GRID)]))
    args = (*data.args[: data.place], grid, *data.args[data.place + 1 :])
    try:
        mean = result.predict(args)[key_of(data.address)].mean
    except (GenParamsError, LookupError, TypeError, ValueError, ArithmeticError):
        return None
    if mean.shape != grid.shape or not np.all(np.isfinite(mean)):
        return None
    size = np.max(np.abs(wanted))
    here = mean[np.searchsorted(grid, x)]
    return (grid, mean) if np.allclose(here, wanted, rtol=1e-9, atol=1e-9 * size) else None
