"""Means of choices, and their derivatives by the parameters of a fit."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from genparams.dsl.distributions.statistics import functions
from genparams.dsl.likelihood.sites import Site
from genparams.errors import InvalidValue
from genparams.numeric import quiet
from genparams.types import Array, show

STEP = 1e-3
"""The largest relative change of an argument in a difference."""


def known(what: str, function: Callable[..., Any], site: Site, *args: Any) -> Any:
    """A number of a choice's distribution.

    Raises:
        InvalidValue: it is not known or does not exist, or the choice is no array of numbers.
    """
    try:
        found = function(site.distribution, *args)
    except (TypeError, AttributeError):
        found = None
    unknown = found is None or isinstance(found, tuple)
    numbers = np.zeros(0) if unknown else np.asarray(found, dtype=float)
    if unknown or np.any(np.isnan(numbers)):
        raise InvalidValue(
            f"the {what} of {site.distribution.__name__} at {show(site.address)} "
            f"{'is not known' if unknown else 'does not exist'}; simulate(n) draws from it"
        )
    return numbers


def mean_of(site: Site) -> Array:
    """The mean of a choice, in the shape of its value."""
    return _as_value(site, known("mean", functions.mean, site, site.args))


def std_of(site: Site) -> Array:
    """The standard deviation of a choice, in the shape of its value."""
    found = known("standard deviation", functions.std, site, site.args)
    if np.any(np.isinf(found)):
        raise InvalidValue(
            f"the standard deviation of {site.distribution.__name__} at {show(site.address)} is "
            'infinite; write residuals("quantile")'
        )
    return _as_value(site, found)


def cdf_of(site: Site, value: Any) -> Array:
    """The probability of at most a value."""
    return known("distribution function", functions.cdf, site, value, site.args)


def _as_value(site: Site, found: Array) -> Array:
    return np.broadcast_to(found, np.broadcast_shapes(found.shape, np.shape(site.value)))


@quiet
def mean_slopes(site: Site, tangents: Sequence[Array], size: int) -> Array:
    """The derivatives of the mean by the coordinates, of shape (size, *shape of the mean).

    They are central differences of fourth order along each coordinate, in the arguments.

    Args:
        tangents: The derivatives of each argument, of shape (size, *shape).
    """
    args = [np.asarray(a, dtype=float) for a in site.args]
    result = np.zeros((size, *np.shape(mean_of(site))))
    for k in range(size):
        along = [t[k] for t in tangents]
        h = _step(args, along)
        if h > 0.0:
            result[k] = _difference(site, args, along, h)
    return result


def _step(args: Sequence[Array], along: Sequence[Array]) -> float:
    """A step that changes no argument by more than a thousandth of itself; 0 if none moves."""
    rates = [
        np.max(np.abs(t) / np.where(a == 0.0, 1.0, np.abs(a)), initial=0.0)
        for a, t in zip(args, along, strict=True)
    ]
    fastest = max(rates, default=0.0)
    return STEP / float(fastest) if fastest > 0.0 else 0.0


def _difference(site: Site, args: Sequence[Array], along: Sequence[Array], h: float) -> Array:
    def at(step: float) -> Array:
        moved = [a + step * t for a, t in zip(args, along, strict=True)]
        return mean_of(Site(site.address, site.distribution, moved, site.value))

    near, far = at(h) - at(-h), at(2.0 * h) - at(-2.0 * h)
    return (8.0 * near - far) / (12.0 * h)
