"""Means over the values between two limits, by the nodes at which a mass is summed.

The information of a distribution that is restricted to an interval, or recorded at a limit beyond
it, is made of means of the derivatives s_i of log p(x) by the arguments of its base:

    truncated    cov(s_i, s_j | low <= X <= high)
    censored     E[s_i s_j; low < X < high], and P t_i t_j for the log of each tail, of mass P
                 and with the derivatives t

Sums and integrals are over the nodes of `limits.masses`, which reach to 1e-18 of the mass.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from genparams.dsl.distributions.limits.family import Family
from genparams.dsl.distributions.limits.masses import log_mass, log_tail, nodes_between
from genparams.dsl.distributions.statistics.contraction import Pair
from genparams.numeric import arrays, quiet

_BLOCK = 2048
"""How many members of a batch are summed at once; each has hundreds of nodes."""

Entries = Mapping[Pair, Any]


def in_blocks(f: Callable[..., Sequence[Any]], *args: Any) -> list[Any]:
    """Arrays that `f` makes of numbers that broadcast, for equal ones once, and block by block."""
    batch = np.broadcast_shapes(*map(np.shape, args))
    rows = np.stack([np.ravel(np.broadcast_to(a, batch)) for a in args], axis=-1)
    each, which = np.unique(rows, axis=0, return_inverse=True)
    blocks = [f(*each[i : i + _BLOCK].T) for i in range(0, max(len(each), 1), _BLOCK)]
    joined = [np.concatenate(parts) for parts in zip(*blocks, strict=True)]
    return [np.reshape(v[np.ravel(which)], batch) for v in joined]


def _weights(log_f: Any, log_weight: Any) -> Any:
    """The share of each node in the mass."""
    each = log_f + log_weight
    each = np.where(np.isnan(each), -np.inf, each)
    share = np.exp(each - np.max(each, axis=-1, keepdims=True))
    return share / np.sum(share, axis=-1, keepdims=True)


def _mean(share: Any, values: Any) -> Any:
    """The mean over the nodes, of values that matter only where a node has a share."""
    return np.sum(np.where(share > 0.0, values, 0.0) * share, axis=-1)


@quiet
def _products(
    family: Family, pairs: Sequence[Pair], about_mean: bool, low: Any, high: Any, *args: Any
) -> list[Any]:
    """E[s_i s_j | low <= X <= high] for pairs of arguments, of s less its mean if `about_mean`."""
    y, log_weight, columns = nodes_between(family, low, high, args)
    log_f, slopes = family.along(y, *columns)
    share = _weights(log_f, log_weight)
    scores = {}
    for i in {i for pair in pairs for i in pair}:
        slope: Any = slopes[i]
        score = np.broadcast_to(slope(), share.shape)
        scores[i] = score - _mean(share, score)[..., None] if about_mean else score
    return [_mean(share, scores[i] * scores[j]) for i, j in pairs]


def products(
    family: Family,
    pairs: Sequence[Pair],
    low: Any,
    high: Any,
    args: Sequence[Any],
    about_mean: bool = False,
) -> Entries:
    """E[s_i s_j | low <= X <= high] for pairs of arguments, of s less its mean if `about_mean`."""

    def found(*values: Any) -> Sequence[Any]:
        return _products(family, pairs, about_mean, *values)

    return dict(zip(pairs, in_blocks(found, low, high, *args), strict=True))


def moments(family: Family, low: Any, high: Any, args: Sequence[Any]) -> tuple[Any, Any]:
    """The mean and the variance of X, given that low <= X <= high."""

    @quiet
    def found(low: Any, high: Any, *args: Any) -> Sequence[Any]:
        y, log_weight, columns = nodes_between(family, low, high, args)
        share = _weights(family.along(y, *columns)[0], log_weight)
        x = family.back(y, *columns)
        mean = _mean(share, x)
        return mean, _mean(share, np.square(x - mean[..., None]))

    mean, variance = in_blocks(found, low, high, *args)
    return mean, variance


def truncated_entries(family: Family) -> Callable[..., Entries]:
    """The entries of a truncated family: of the arguments of the base, and then the limits."""

    def entries(pairs: Sequence[Pair], *args: Any) -> Entries:
        *own, low, high = args
        return products(family, pairs, low, high, own, about_mean=True)

    return entries


def censored_entries(family: Family) -> Callable[..., Entries]:
    """The entries of a censored family."""

    def entries(pairs: Sequence[Pair], *args: Any) -> Entries:
        def found(*values: Any) -> Sequence[Any]:
            return _censored(family, pairs, *values)

        return dict(zip(pairs, in_blocks(found, *args), strict=True))

    return entries


@quiet
def _censored(family: Family, pairs: Sequence[Pair], *args: Any) -> list[Any]:
    *own, low, high = args
    lowest, highest = (np.broadcast_to(edge, np.shape(low)) for edge in family.edges(*own))
    step = family.step
    start, end = np.maximum(low + step, lowest), np.minimum(high - step, highest)
    some = start < end + step
    total = [np.zeros(np.shape(low)) for _ in pairs]
    _add_between(total, family, pairs, some, start, end, own)
    _add_tail(total, family, pairs, False, (low > lowest - step) & (low < highest), low, own)
    _add_tail(total, family, pairs, True, (high < highest + step) & (high > lowest), high, own)
    return total


def _add_between(
    total: list[Any], family: Family, pairs: Any, some: Any, low: Any, high: Any, own: Any
) -> None:
    """Add E[s_i s_j; low <= X <= high], for some members of a batch."""
    if not np.any(some):
        return
    low, high, *own = (a[some] for a in (low, high, *own))
    mass = np.exp(log_mass(family, arrays, low, high, own)[0])
    found = _products(family, pairs, False, low, high, *own)
    for entry, product in zip(total, found, strict=True):
        entry[some] += mass * product


def _add_tail(
    total: list[Any], family: Family, pairs: Any, upper: bool, some: Any, limit: Any, own: Any
) -> None:
    """Add P t_i t_j of a tail with mass P and derivatives t of its log, for some members."""
    if not np.any(some):
        return
    value, (_, *slopes) = log_tail(family, arrays, upper, limit[some], [a[some] for a in own])
    t: dict[int, Any] = {i: slopes[i]() for i in {i for pair in pairs for i in pair}}
    for entry, (i, j) in zip(total, pairs, strict=True):
        entry[some] += np.exp(value) * t[i] * t[j]
