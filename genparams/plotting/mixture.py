"""The density of a mixture over a histogram of the data."""

from collections.abc import Callable
from typing import Any

import numpy as np

from genparams.dsl.call import Call
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.mixture import mixed
from genparams.dsl.likelihood.sites import Site
from genparams.errors import InvalidValue, ShapeError
from genparams.learning.fitting.result import FitResult
from genparams.mistakes import explained
from genparams.numeric import quiet
from genparams.plotting.canvas import axes_for, check_axes, legend, name_axes
from genparams.plotting.observed import joined, name_of, sites_of
from genparams.text import brief
from genparams.types import Array, show

GRID, MARGIN = 500, 0.1
"""The points of a density, and how far it goes beyond the data, as a part of their range."""
DASHES = ("--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 3)))
"""The dashes of the components, in turn."""
Density = FitResult | Call[Any] | Callable[[Array], Any]


@explained
def plot_mixture(
    x: Any, density: Density, ax: Any = None, bins: Any = "auto", address: Any = None
) -> Any:
    """Draw a density over a histogram of x; of a mixture also each component times its weight.

    It also draws the density of a distribution that is no mixture. The probabilities of a discrete
    distribution are points, and each bar of the histogram is over one whole number.

    Args:
        x: The data. None for the choice of a fit.
        density: The result of a fit; a call of a distribution, as in `mixture([0.4, 0.6],
            normal(means, stds))`; or a function from a vector to its densities.
        ax: The axes to draw on; None for a new figure.
        bins: Of the histogram, as in `numpy.histogram`; of discrete data always whole numbers.
        address: The choice of a fit, if there are several.

    Returns:
        The axes.

    Raises:
        InvalidValue: the distribution differs between the observations, has values that are not
            single numbers, or is censored; or x is not finite numbers.
        MissingExtra: matplotlib is not installed.
    """
    check_axes("plot_mixture", ax)
    name = "x"
    if isinstance(density, FitResult):
        sites = list(sites_of(density, "plot_mixture", address).values())
        x = joined(np.asarray(s.value) for s in sites) if x is None else x
        name, density = name_of(sites[0].address[:1]), _call_of(sites)
    x = _numbers(x)
    is_discrete = isinstance(density, Call) and not _distribution(density).kind.continuous
    grid = _whole(x) if is_discrete else _grid(x)
    total, parts = _densities(density, grid)

    axes = axes_for(ax)
    edges = np.append(grid, grid[-1] + 1) - 0.5 if is_discrete else bins
    axes.hist(x, bins=edges, density=True, color="0.85", label=f"{len(x)} observations")
    for k, (weight, part) in enumerate(parts):
        style = {"linestyle": DASHES[k % len(DASHES)], "color": f"C{k % 10}"}
        axes.plot(grid, part, label=f"component {k + 1}, weight {weight:.3g}", **style)
    marker = {"marker": "o", "markersize": 4} if is_discrete else {}
    axes.plot(grid, total, color="black", label="mixture" if parts else "density", **marker)
    name_axes(axes, name, "probability" if is_discrete else "density")
    legend(axes)
    return axes


# --- Densities


def _densities(density: Any, grid: Array) -> tuple[Array, list[tuple[float, Array]]]:
    """The density on a grid, and each component of a mixture: its weight, and its part of it."""
    if not isinstance(density, Call):
        found = np.asarray(density(grid), dtype=float)
        if found.shape != grid.shape:
            raise ShapeError(
                f"a density of {len(grid)} numbers has as many values, got shape {found.shape}"
            )
        return found, []
    fn, args = _distribution(density), density.fn.operands(density.args)
    weights, components = mixed(fn, args) or ((), [])
    pairs = zip(np.ravel(weights).tolist(), components, strict=True)
    parts = [(w, w * _density(part, own, grid)) for w, (part, own) in pairs]
    return _density(fn, args, grid), parts


@quiet
def _density(fn: Any, args: Any, grid: Array) -> Array:
    """exp(log p); NaN, a gap in the line, where it is infinite."""
    found = np.exp(Call(fn, tuple(args), None).log_probs(grid))
    return np.where(np.isfinite(found), found, np.nan)


def _distribution(call: Call[Any]) -> Distribution:
    """The distribution of a call, of single numbers, with one density for all.

    Raises:
        InvalidValue: it is another one.
    """
    fn = call.fn
    if not isinstance(fn, Distribution) or fn.kind.rank or fn.__name__.startswith("censored"):
        raise InvalidValue(
            f"plot_mixture draws a distribution of single numbers with a density, got {call!r}"
        )
    if fn.declared.batch_shape(fn.operands(call.args), None):
        raise InvalidValue(
            f"the arguments of {call!r} differ between observations, so that there is no one "
            "density over a histogram; plot_qq compares such data with their distributions"
        )
    return fn


def _call_of(sites: list[Site]) -> Call[Any]:
    """The distribution that all choices have.

    Raises:
        InvalidValue: they differ.
    """
    first = sites[0]
    for site in sites:
        same = site.distribution is first.distribution and all(
            np.array_equal(a, b) for a, b in zip(site.args, first.args, strict=True)
        )
        if not same:
            raise InvalidValue(
                f"the choices at {show(first.address)} and {show(site.address)} have different "
                "distributions; write address=..., or draw the density of one, a call"
            )
    return Call(first.distribution, tuple(first.args), None)


# --- Numbers


def _numbers(x: Any) -> Array:
    """The data as finite numbers.

    Raises:
        InvalidValue: they are not.
    """
    try:
        found = np.ravel(np.asarray(x, dtype=float))
    except (TypeError, ValueError):
        found = np.zeros(0)
    if not len(found) or not np.all(np.isfinite(found)):
        raise InvalidValue(f"x is finite numbers, got {brief(x)}")
    return found


def _grid(x: Array) -> Array:
    margin = MARGIN * (np.ptp(x) or 1.0)
    return np.linspace(np.min(x) - margin, np.max(x) + margin, GRID)


def _whole(x: Array) -> Array:
    return np.arange(np.floor(np.min(x)), np.floor(np.max(x)) + 2.0)
