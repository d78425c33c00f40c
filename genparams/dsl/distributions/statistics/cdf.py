"""P(X <= x) of distributions over numbers, from the tails and masses of `limits`."""

from collections.abc import Callable
from typing import Any

import numpy as np

from genparams.dsl.distributions.limits.family import Family
from genparams.dsl.distributions.limits.masses import log_mass, log_tail
from genparams.numeric import arrays

Cdf = Callable[..., Any]


def at(some: Any, f: Callable[..., Any], values: tuple[Any, ...], other: Any) -> Any:
    """`f(*values)` where `some` holds, computed there alone, and another value elsewhere."""
    values = np.broadcast_arrays(*values)
    some, other = np.broadcast_to(some, values[0].shape), np.asarray(other, dtype=float)
    found = np.array(np.broadcast_to(other, some.shape))
    if np.any(some):
        with np.errstate(all="ignore"):
            found[some] = f(*(v[some] for v in values))
    return found


def of_family(family: Family) -> Cdf:
    """P(X <= x) of a family that has tails."""

    def inside(x: Any, *args: Any) -> Any:
        return np.exp(log_tail(family, arrays, False, x, args)[0])

    def cdf(x: Any, *args: Any) -> Any:
        x = np.floor(x) if family.step else np.asarray(x, dtype=float)
        low, high = family.edges(*args)
        outside = np.where(x >= high, 1.0, np.where(np.isnan(x), np.nan, 0.0))
        # A limit of a discrete family has a mass of its own.
        return at((x > low - family.step) & (x < high), inside, (x, *args), outside)

    return cdf


def of_truncated(family: Family) -> Cdf:
    """P(X <= x) between limits."""

    def inside(x: Any, *args: Any) -> Any:
        *own, low, high = args
        below = log_mass(family, arrays, low, x, own)[0]
        return np.exp(below - log_mass(family, arrays, low, high, own)[0])

    def cdf(x: Any, *args: Any) -> Any:
        x = np.floor(x) if family.step else np.asarray(x, dtype=float)
        *own, low, high = args
        lowest, highest = family.edges(*own)
        low, high = np.maximum(low, lowest), np.minimum(high, highest)
        outside = np.where(x >= high, 1.0, np.where(np.isnan(x), np.nan, 0.0))
        return at((x > low - family.step) & (x < high), inside, (x, *own, low, high), outside)

    return cdf


def of_censored(base: Cdf) -> Cdf:
    """P(X <= x) where what is beyond a limit is recorded at the limit."""

    def cdf(x: Any, *args: Any) -> Any:
        *own, low, high = args
        return np.where(x >= high, 1.0, np.where(x < low, 0.0, base(x, *own)))

    return cdf


def beta_uniform(beta: Cdf) -> Cdf:
    def cdf(x: Any, theta: Any, *args: Any) -> Any:
        return np.minimum(theta * beta(x, *args) + (1.0 - theta) * np.clip(x, 0.0, 1.0), 1.0)

    return cdf


def piecewise_uniform(x: Any, bounds: Any, probs: Any) -> Any:
    low, width = bounds[..., :-1], np.diff(bounds, axis=-1)
    share = np.clip((np.asarray(x)[..., None] - low) / width, 0.0, 1.0)
    return np.minimum(np.sum(probs * share, axis=-1), 1.0)
