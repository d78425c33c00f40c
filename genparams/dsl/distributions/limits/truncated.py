"""Distributions that are restricted to an interval."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from genparams.autodiff import np, raw
from genparams.dsl.call import Call
from genparams.dsl.distributions import signatures
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.continuous import normal
from genparams.dsl.distributions.declaration import Formula
from genparams.dsl.distributions.domains import at_index, in_words
from genparams.dsl.distributions.elementwise import terms_of
from genparams.dsl.distributions.limits.builder import (
    BLOCK_WIDTH,
    LimitedDensity,
    Point,
    by_base,
    by_cases,
    limited,
    limited_call,
)
from genparams.dsl.distributions.limits.categories import (
    CATEGORICAL,
    log_mass_between,
    restricted,
    truncated_terms,
)
from genparams.dsl.distributions.limits.draws import draw_between
from genparams.dsl.distributions.limits.families import FAMILIES
from genparams.dsl.distributions.limits.family import Family, everywhere
from genparams.dsl.distributions.limits.masses import log_mass, log_tail
from genparams.dsl.distributions.limits.tails import Slope
from genparams.dsl.distributions.signatures import called_as
from genparams.dsl.made import made_of_parts
from genparams.errors import DistributionError
from genparams.mistakes import explained
from genparams.types import Numbers, R, Size

SMALLEST = -1e8
"""The least log mass of a truncated distribution, whose log density then has 8 digits."""


@explained
def truncated(
    base: Call[R], low: Numbers | None = None, high: Numbers | None = None, size: Size = None
) -> Call[R]:
    """A distribution restricted to the closed interval from `low` to `high`; None is no limit.

        log p(x) = log p_base(x) - log P(low <= X <= high),    low <= x <= high

    Differentiated by the value, the base's arguments and, if it is continuous, the limits. The mass
    keeps its digits however far out the limits are, and however close to each other.
    `truncated(normal(mu, std), low, high)` is `truncated_normal(mu, std, low, high)`.

    Args:
        base: A call such as `normal(mu, std)` or `poisson(rate)`, of a distribution over numbers:
            normal, lognormal, half_normal, student_t, cauchy, half_cauchy, laplace, logistic,
            exponential, gamma, inv_gamma, weibull, beta, uniform or von_mises; bernoulli, binomial,
            poisson, geometric, neg_binomial, beta_binomial, uniform_discrete or categorical.
        low, high: The limits, whole numbers if the base is discrete; an infinite one is no limit.
        size: The shape of the batch, as for any distribution.

    Raises:
        ArgumentError: the base's values have no order, its tails are not known, or there is no
            limit.
    """
    return limited_call("truncated", _truncated, base, low, high, size)


@made_of_parts
def _truncated(base: Distribution) -> Distribution:
    name, doc = f"truncated {base.__name__}", truncated.__doc__
    if base is normal:
        name, doc = "truncated_normal", _NORMAL_DOC
    make = _truncated_categories if base in CATEGORICAL else _truncated_numbers
    return make(base, name, doc=doc, support=f"{base.support}, from low to high")


_NORMAL_DOC = """normal(mu, std) given that it is between `low` and `high`, either of which may be
infinite.

With z, a, b = (x - mu) / std, (low - mu) / std, (high - mu) / std,

log p(x) = -z^2 / 2 - log std - log(2 pi) / 2 - log(Phi(b) - Phi(a))

It is the distribution of `truncated(normal(mu, std), low, high)`.
"""


# --- Categories


def _truncated_categories(base: Distribution, name: str, **more: Any) -> Distribution:
    def fit(own: Sequence[Any], low: Any, high: Any) -> None:
        (table,) = own
        _check_some_mass(base, log_mass_between(base, table, low, high) > -np.inf, low, high)

    def draw(rng: Any, table: Any, low: Any, high: Any, size: tuple[int, ...]) -> Any:
        return base.draw(rng, [restricted(base, table, low, high)], size or None)

    return limited(base, name, fit, draw=draw, terms=partial(truncated_terms, base), **more)


# --- Numbers


def _truncated_numbers(base: Distribution, name: str, **more: Any) -> Distribution:
    family = FAMILIES[base]
    inside = _inside(base)
    formula = family.between or _by_mass(family)

    def fit(own: Sequence[Any], low: Any, high: Any) -> None:
        bottom, top = family.edges(*own)
        if base.kind.continuous:
            _check_some_mass(base, (low < top) & (high > bottom), low, high)
        else:
            _check_some_mass(base, (low <= top) & (high >= bottom), low, high)

    def draw(rng: Any, *args: Any, size: tuple[int, ...] | None) -> Any:
        *own, low, high = args
        x = draw_between(family, rng, low, high, own, size)
        return x if base.kind.continuous else base.kind.convert(x)

    return limited(
        base,
        name,
        None if family.edges is everywhere else fit,
        draw=draw,
        terms=terms_of(formula, inside),
        formula=formula,
        inside=inside,
        block_width=BLOCK_WIDTH,
        draws_floats=True,
        **more,
    )


def _inside(base: Distribution) -> Callable[..., Any]:
    """Whether a value has a density."""
    inside_base = base.declared.inside
    if inside_base is None:
        return lambda x, *args: (x >= args[-2]) & (x <= args[-1]) & (abs(x) < math.inf)

    def inside(x: Any, *args: Any) -> Any:
        *own, low, high = args
        return (x >= low) & (x <= high) & inside_base(x, *own)

    return inside


def _by_mass(family: Family) -> Formula:
    """The log density as a difference from the log mass between the limits."""

    def from_bottom(at: Point) -> Any:
        return at.low <= family.edges(*at.own)[0]

    def to_top(at: Point) -> Any:
        return at.high >= family.edges(*at.own)[1]

    return by_cases(
        [
            (lambda at: from_bottom(at) & to_top(at), partial(by_base, family.base)),
            (from_bottom, partial(_below_high, family)),
            (to_top, partial(_above_low, family)),
            (lambda at: True, partial(_between, family)),
        ]
    )


def _below_high(family: Family, at: Point) -> LimitedDensity:
    mass, (fall, *by_own) = log_tail(family, at.m, False, at.high, at.own)
    found = _over_mass(family, at, mass, by_own)
    return found._replace(by_high=fall and (lambda: -fall()))


def _above_low(family: Family, at: Point) -> LimitedDensity:
    mass, (fall, *by_own) = log_tail(family, at.m, True, at.low, at.own)
    found = _over_mass(family, at, mass, by_own)
    return found._replace(by_low=fall and (lambda: -fall()))


def _between(family: Family, at: Point) -> LimitedDensity:
    mass, by_own = log_mass(family, at.m, at.low, at.high, at.own)
    found = _over_mass(family, at, mass, by_own)
    if not family.base.kind.continuous:
        return found
    formula: Any = family.base.declared.formula

    def density(limit: Any) -> Any:
        return at.m.exp(formula(at.m, limit, *at.own)[0] - mass)

    return found._replace(by_low=lambda: density(at.low), by_high=lambda: -density(at.high))


def _over_mass(
    family: Family, at: Point, mass: Any, by_mass: Sequence[Slope | None]
) -> LimitedDensity:
    """log f - log mass, given the derivatives of the log mass by the arguments of the base."""
    found = by_base(family.base, at)
    _check_mass_is_large_enough(family, raw(mass))
    by_own = [
        d and fall and (lambda d=d, fall=fall: d() - fall())
        for d, fall in zip(found.by_own, by_mass, strict=True)
    ]
    return found._replace(value=found.value - mass, by_own=by_own)


# --- Refusals


def _check_some_mass(base: Distribution, some: Any, low: Any, high: Any) -> None:
    if some is True or np.all(some):
        return
    some = np.asarray(some)
    at = tuple(int(i) for i in np.argwhere(~some)[0])
    low, high = (np.broadcast_to(v, some.shape)[at] for v in (low, high))
    raise DistributionError(
        f"{base.__name__} has no mass between low {in_words(low)} and high {in_words(high)}"
        f"{at_index(at)}"
    )


def _check_mass_is_large_enough(family: Family, log_mass: Any) -> None:
    """Raise where the log density, a difference from the log mass, would lose its digits."""
    some = log_mass > SMALLEST
    if some is True or np.all(some):
        return
    found = np.min(np.where(np.isnan(log_mass), -np.inf, log_mass))
    raise DistributionError(
        f"truncated {family.base.__name__} has too little mass between its limits: the log of the "
        f"mass is {float(found)}; move the limits or the distribution"
    )


truncated_normal = called_as(signatures.truncated_normal)(_truncated(normal))
