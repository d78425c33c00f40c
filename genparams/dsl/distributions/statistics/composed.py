"""What is known of distributions that are made of others."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.continuous import (
    beta,
    exponential,
    gamma,
    half_normal,
    laplace,
    logistic,
    normal,
    uniform,
    von_mises,
)
from genparams.dsl.distributions.limits.families import FAMILIES
from genparams.dsl.distributions.statistics import sums
from genparams.dsl.distributions.statistics.cdf import at, of_censored, of_truncated
from genparams.dsl.distributions.statistics.contraction import ByEntries, Pair
from genparams.dsl.distributions.statistics.families import OF_A_MIXTURE
from genparams.dsl.distributions.statistics.functions import statistics_of
from genparams.dsl.distributions.statistics.known import (
    NO_FORMULA,
    NOTHING,
    Information,
    NoInformation,
    Shape,
    Statistics,
    Unknown,
)

_LIGHT = {
    beta,
    exponential,
    gamma,
    gamma(1.0, rate=1.0).fn,
    half_normal,
    laplace,
    logistic,
    normal,
    uniform,
    von_mises,
}
"""Continuous families whose variance, between any limits, is within reach of the nodes."""

# --- Between limits


def _limited(make: Callable[..., Any], base: Distribution, reason: str) -> Information:
    """The information by the arguments of a base that has entries, for limits that do not move."""
    own = statistics_of(base).information
    if isinstance(own, ByEntries):
        return ByEntries(make(FAMILIES[base]), (-2, -1), reason)
    return own if isinstance(own, NoInformation) else NO_FORMULA


def statistics_of_truncated(base: Distribution) -> Statistics:
    """The statistics of a base between two limits."""
    if base not in FAMILIES:
        return NOTHING
    family = FAMILIES[base]

    def moment(place: int) -> Callable[..., Any] | None:
        if base.kind.continuous and base not in _LIGHT:
            return None
        return lambda *args: sums.moments(family, args[-2], args[-1], args[:-2])[place]

    return Statistics(
        information=_limited(
            sums.truncated_entries, base, "the ends of its support depend on a parameter"
        ),
        mean=moment(0),
        variance=moment(1),
        cdf=of_truncated(family),
    )


def statistics_of_censored(base: Distribution) -> Statistics:
    """The statistics of a base that is recorded at a limit beyond it."""
    below = statistics_of(base).cdf
    return Statistics(
        information=_limited(
            sums.censored_entries, base, "the limits where it has a mass depend on a parameter"
        ),
        cdf=below and of_censored(below),
    )


# --- With more zeros


def of_zero_inflated(base: Distribution) -> Statistics:
    """The statistics of 0 with probability p, else a draw of a base.

    With f the probability of 0 by the base, s the derivatives of log f, and P = p + (1 - p) f,

        (1 - f) / (P (1 - p))                     by p
        f s_i / P                                 by p and argument i
        (1 - p) (I_ij - f s_i s_j p / P)          by two arguments, of information I_ij by the base
    """
    own = statistics_of(base)
    information, mean, variance, cdf = own.information, own.mean, own.variance, own.cdf

    def mixed_variance(p: Any, *args: Any) -> Any:
        return (1.0 - p) * (variance(*args) + p * np.square(mean(*args)))  # type: ignore[misc]

    more = Statistics(
        mean=mean and (lambda p, *args: (1.0 - p) * mean(*args)),
        variance=mean and variance and mixed_variance,
        cdf=cdf and (lambda x, p, *args: p * (x >= 0.0) + (1.0 - p) * cdf(x, *args)),
    )
    if isinstance(information, ByEntries):
        entries = _zero_inflated_entries(base, information.entries)
        found: Information = ByEntries(entries, information.fixed, information.reason)
    else:
        found = information if isinstance(information, NoInformation) else NO_FORMULA
    return Statistics(information=found, mean=more.mean, variance=more.variance, cdf=more.cdf)


def _zero_inflated_entries(base: Distribution, own: Any) -> Callable[..., Mapping[Pair, Any]]:
    def entries(pairs: Sequence[Pair], p: Any, *args: Any) -> Mapping[Pair, Any]:
        f, s = _at_zero(base, args, {i - 1 for pair in pairs for i in pair if i})
        total = p + (1.0 - p) * f
        inner = [(i - 1, j - 1) for i, j in pairs if i]
        by_base = own(inner, *args) if inner else {}
        found = {
            (i + 1, j + 1): (1.0 - p) * (by_base.get((i, j), 0.0) - f * s[i] * s[j] * p / total)
            for i, j in inner
        }
        found |= {(0, j): f * s[j - 1] / total for i, j in pairs if not i and j}
        return found | {(0, 0): (1.0 - f) / (total * (1.0 - p))}

    return entries


def _at_zero(base: Distribution, args: Sequence[Any], places: set[int]) -> tuple[Any, Any]:
    """The probability of 0, and the derivatives of its log by some arguments."""
    args = np.broadcast_arrays(*args)
    batch = np.shape(args[0])
    log_f, (_, *pulls) = base.declared.terms(np.zeros(batch), *args)
    slopes: dict[int, Any] = {i: pulls[i](np.ones(batch)) for i in places}  # type: ignore[misc]
    return np.exp(log_f), slopes


# --- Through a bijection


def of_transformed(base: Distribution, bijection: Any, is_affine: bool) -> Statistics:
    """The statistics of a bijection of a draw; its arguments are those of the base, and then those
    of the bijection.

    A bijection without parameters leaves the information as it is.
    """
    count = len(base.arguments)
    own = statistics_of(base)

    def information(args: Sequence[Any], tangents: Sequence[Any], batch: Shape) -> Any:
        if any(t is not None for t in tangents[count:]):
            return Unknown("it has no formula where loc or scale of affine depends on a parameter")
        return own.information(args[:count], tangents[:count], batch)

    scalar = not base.kind.rank and not bijection.rank
    if not is_affine:
        through = _monotonic_cdf(own.cdf, bijection) if own.cdf and scalar else None
        return Statistics(information=information, cdf=through)
    mean, variance = own.mean, own.variance
    return Statistics(
        information=information,
        mean=mean and (lambda *args: args[-2] + args[-1] * mean(*args[:count])),
        variance=variance and (lambda *args: np.square(args[-1]) * variance(*args[:count])),
        cdf=_affine_cdf(own.cdf) if own.cdf and scalar else None,
    )


def _affine_cdf(cdf: Callable[..., Any]) -> Callable[..., Any]:
    def through(x: Any, *args: Any) -> Any:
        *own, loc, scale = args
        below = cdf((x - loc) / scale, *own)
        return np.where(scale > 0.0, below, 1.0 - below)

    return through


def _monotonic_cdf(cdf: Callable[..., Any], bijection: Any) -> Callable[..., Any]:
    """The distribution function through a bijection of numbers, whose values are an interval."""

    def through(x: Any, *args: Any) -> Any:
        first, last = (bijection.natural(np.asarray(end)) for end in (-np.inf, np.inf))
        rises = last > first
        some = bijection.contains(x)
        high = np.maximum(first, last)
        outside = np.where(x >= high, 1.0, np.where(x <= np.minimum(first, last), 0.0, np.nan))

        def inside(x: Any, *args: Any) -> Any:
            below = cdf(bijection.inverse(x), *args)
            return below if rises else 1.0 - below

        return at(some, inside, (x, *args), outside)

    return through


def in_vectors(base: Distribution, event: Callable[[Sequence[Any]], Shape]) -> Statistics:
    """The statistics of a base with its last batch axis as the axis of a vector."""
    own = statistics_of(base)

    def information(args: Sequence[Any], tangents: Sequence[Any], batch: Shape) -> Any:
        return own.information(args, tangents, (*batch, *event(args)))

    return Statistics(information=information, mean=own.mean, variance=own.variance)


# --- Mixtures


def of_mixture(components_of: Callable[..., Any], column: Sequence[Distribution]) -> Statistics:
    """The statistics of a mixture; `components_of(args, count)` is for each component a
    distribution and its arguments."""
    each = [statistics_of(part) for part in column]
    rank = column[0].kind.rank

    def total(w: Any, args: Sequence[Any], of: Callable[..., Any]) -> Any:
        """The sum of the weight of each component times a function of it."""
        parts = components_of(args, np.shape(w)[-1])
        first = np.moveaxis(w, -1, 0)
        shares = np.reshape(first, (*first.shape, *(1,) * rank))
        return sum(
            share * of(statistics_of(part), own)
            for share, (part, own) in zip(shares, parts, strict=True)
        )

    def mean(w: Any, *args: Any) -> Any:
        return total(w, args, lambda own, a: own.mean(*a))

    def variance(w: Any, *args: Any) -> Any:
        middle = mean(w, *args)
        return total(w, args, lambda own, a: own.variance(*a) + np.square(own.mean(*a) - middle))

    def cdf(x: Any, w: Any, *args: Any) -> Any:
        return np.minimum(total(w, args, lambda own, a: own.cdf(x, *a)), 1.0)

    means = all(s.mean for s in each)
    return Statistics(
        information=NoInformation(OF_A_MIXTURE),
        mean=mean if means else None,
        variance=variance if means and all(s.variance for s in each) else None,
        cdf=cdf if all(s.cdf for s in each) and not rank else None,
    )
