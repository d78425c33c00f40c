"""Residuals against fitted means, and quantile residuals against normal quantiles."""

from typing import Any

import numpy as np
from scipy import special

from genparams.dsl.execution import Rng, seeded
from genparams.learning.checks import one_of
from genparams.learning.fitting.intervals import check_level, normal_quantile
from genparams.learning.fitting.residuals import KINDS
from genparams.learning.fitting.result import FitResult
from genparams.mistakes import explained
from genparams.numeric import quiet
from genparams.plotting.canvas import (
    BAND,
    GUIDE,
    axes_for,
    check_axes,
    legend,
    name_axes,
    percent,
    points,
)
from genparams.plotting.observed import Series, joined, series_of, sites_of
from genparams.types import Array

NAMES = {
    "response": "observed less fitted",
    "pearson": "Pearson residual",
    "quantile": "quantile residual",
}


@explained
def plot_residuals(
    result: FitResult,
    ax: Any = None,
    kind: str = "response",
    address: Any = None,
    rng: Rng = 0,
) -> Any:
    """Draw residuals against fitted means.

    Dotted lines at +-1.96 hold 95% of quantile residuals, which are standard normal if the model is
    right.

    Args:
        ax: The axes to draw on; None for a new figure.
        kind: "response", "pearson" or "quantile", as in `result.residuals`.
        address: The choice to draw, or a key under which choices are; None for all choices.
        rng: For the quantile residuals of discrete choices, which are randomised.

    Returns:
        The axes.

    Raises:
        UnknownAddress: there is no such choice.
        InvalidValue: a choice has no mean, or there is no such kind.
        MissingExtra: matplotlib is not installed.
    """
    check_axes("plot_residuals", ax)
    series = _residuals(result, "plot_residuals", one_of("residual", kind, KINDS), address, rng)
    drawn = [(each.name, each.fitted, found) for each, found in series]

    axes = axes_for(ax)
    for i, (name, fitted, found) in enumerate(drawn):
        points(axes, fitted, found, name, series=i)
    end = normal_quantile(0.95)
    for y in (0.0, -end, end) if kind == "quantile" else (0.0,):
        axes.axhline(y, **GUIDE)
    name_axes(axes, "fitted mean", NAMES[kind])
    legend(axes)
    return axes


@explained
def plot_qq(
    result: FitResult,
    ax: Any = None,
    address: Any = None,
    level: float = 0.95,
    rng: Rng = 0,
) -> Any:
    """Draw the quantile residuals in order against the quantiles of a standard normal.

    If the model is right, the residual of rank i of n is about the normal quantile of a variable
    from beta(i, n + 1 - i). The points are over the normal quantiles of the medians of these
    variables, and the band is between the quantiles that hold the level, at each rank alone: some
    points are outside now and then. The parameters were fitted to the same data, so that the points
    of a small sample are nearer to the line.

    Args:
        ax: The axes to draw on; None for a new figure.
        address: The choice to draw, or a key under which choices are; None for all choices.
        level: Of the band.
        rng: For the residuals of discrete choices, which are randomised.

    Returns:
        The axes.

    Raises:
        UnknownAddress: there is no such choice.
        InvalidValue: a choice has no distribution function, or the level is not between 0 and 1.
        MissingExtra: matplotlib is not installed.

    Reference: Dunn and Smyth, 1996, Journal of Computational and Graphical Statistics 5, 236-244.
    """
    check_axes("plot_qq", ax)
    tail = 0.5 * (1.0 - check_level(level))
    found = _residuals(result, "plot_qq", "quantile", address, rng)
    ordered = np.sort(joined(each for _, each in found))
    low, middle, high = (_of_ranks(len(ordered), p) for p in (tail, 0.5, 1.0 - tail))

    axes = axes_for(ax)
    axes.fill_between(middle, low, high, label=f"{percent(level)} at each point", **BAND)
    axes.plot(middle, middle, **GUIDE)
    points(axes, middle, ordered, "")
    name_axes(axes, "standard normal quantile", "quantile residual")
    legend(axes, "upper left")
    return axes


def _of_ranks(n: int, p: float) -> Array:
    """The quantile p of each of n ordered draws from a standard normal."""
    rank = np.arange(1, n + 1)
    return special.ndtri(special.betaincinv(rank, n + 1 - rank, p))


@quiet
def _residuals(
    result: FitResult, what: str, kind: str, address: Any, rng: Rng
) -> list[tuple[Series, Array]]:
    """The residuals of each series; the draws are in the order of the choices."""
    generator = seeded(rng)
    each = {
        id(site): KINDS[kind](site, generator) for site in sites_of(result, what, address).values()
    }
    series = series_of(result, what, address)
    return [(one, joined(each[id(site)] for site in one.sites)) for one in series]
