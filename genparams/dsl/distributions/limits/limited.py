"""Distributions that are restricted to an interval, or recorded at a limit beyond it."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from genparams.autodiff import np, raw
from genparams.dsl.call import Call
from genparams.dsl.distributions import signatures
from genparams.dsl.distributions.base import AbstractDistribution, Distribution
from genparams.dsl.distributions.composite import TupleDistribution
from genparams.dsl.distributions.continuous import normal
from genparams.dsl.distributions.declaration import Declaration, Formula, LogDensity
from genparams.dsl.distributions.domains import (
    Domain,
    at_index,
    check_order,
    first_index,
    in_words,
)
from genparams.dsl.distributions.elementwise import terms_of
from genparams.dsl.distributions.limits import categories
from genparams.dsl.distributions.limits.cases import (
    Point,
    by_base,
    by_cases,
    constant,
    zero,
)
from genparams.dsl.distributions.limits.categories import CATEGORICAL
from genparams.dsl.distributions.limits.families import FAMILIES
from genparams.dsl.distributions.limits.family import Family, everywhere
from genparams.dsl.distributions.limits.masses import draw_between, log_mass, log_tail
from genparams.dsl.distributions.limits.normal import normal_between
from genparams.dsl.distributions.parts import base_of, made_of_parts
from genparams.dsl.distributions.regions import Region, cut, interval_of, no_region
from genparams.dsl.distributions.signatures import called_as
from genparams.dsl.distributions.statistics.composed import (
    statistics_of_censored,
    statistics_of_truncated,
)
from genparams.errors import ArgumentError, DistributionError
from genparams.mistakes import explained
from genparams.types import Numbers, R, Size

BLOCK_WIDTH = 16
"""For the size of blocks. There are ten times as many nodes, but entries often share them."""
SMALLEST = -1e8
"""The least log mass of a truncated distribution, whose log density then has 8 digits."""

_number = Domain("a number, or infinite", lambda v: v == v)
_whole_number = Domain("a whole number, or infinite", lambda v: v == np.floor(v), smooth=False)


def _values_of(fn: AbstractDistribution) -> str:
    if fn.kind.rank:
        return "vectors or matrices"
    return "tuples" if isinstance(fn, TupleDistribution) else "labels"


def _limited_call(
    what: str,
    make: Callable[[Distribution], Distribution],
    base: Call[Any],
    low: Any,
    high: Any,
    size: Size,
) -> Call[Any]:
    """The call of `make(base.fn)` with the arguments of `base` and the limits."""
    if isinstance(base, Call) and isinstance(base.fn, AbstractDistribution):
        fn = base.fn
        if fn.kind.rank or not isinstance(fn, Distribution):
            raise ArgumentError(
                f"{what} takes a distribution over numbers, such as normal(mu, std); values of "
                f"{fn.__name__} are {_values_of(fn)}, which have no order"
            )
    fn = base_of(what, base, f"{what}(base, low, high)")
    if fn not in FAMILIES and fn not in CATEGORICAL:
        known = ", ".join(sorted({f.__name__ for f in (*FAMILIES, *CATEGORICAL)}))
        raise ArgumentError(f"{what} does not know the tails of {fn.__name__}; it takes {known}")
    if low is None and high is None:
        raise ArgumentError(f"{what} needs a limit; write {what}({base!r}, low=..., high=...)")
    limits = (-math.inf if low is None else low, math.inf if high is None else high)
    return Call(make(fn), (*base.args, *limits), size)


def _limited(
    base: Distribution, name: str, fit: Callable[..., None] | None = None, **more: Any
) -> Distribution:
    """A distribution with the arguments of a base and two limits; `fit(own, low, high)` checks more
    than their order."""
    own_arguments = {
        f"{n} of {base.__name__}" if n in ("low", "high") else n: d.within()
        for n, d in base.arguments.items()
    }
    base_fit, continuous = base.declared.fit, base.kind.continuous
    limit = _number if continuous else _whole_number

    def check(*args: Any) -> None:
        *own, low, high = args
        if base_fit is not None:
            base_fit(*own)
        if continuous:
            check_order(name, low, high, low < high)
        else:
            check_order(name, low, high, low <= high, "at most")
        if fit is not None:
            fit(own, low, high)

    arguments = own_arguments | {"low": limit, "high": limit}
    return Distribution(
        Declaration(name=name, arguments=arguments, kind=base.kind, fit=check, **more)
    )


# --- Truncated


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
    return _limited_call("truncated", _truncated, base, low, high, size)


@made_of_parts
def _truncated(base: Distribution) -> Distribution:
    name, doc = f"truncated {base.__name__}", truncated.__doc__
    if base is normal:
        name, doc = "truncated_normal", normal_between.__doc__
    make = _truncated_categories if base in CATEGORICAL else _truncated_numbers
    return make(base, name, doc=doc, support=f"{base.support}, from low to high")


def _truncated_categories(base: Distribution, name: str, **more: Any) -> Distribution:
    def fit(own: Sequence[Any], low: Any, high: Any) -> None:
        (table,) = own
        some = categories.log_mass_between(base, table, low, high) > -np.inf
        _check_some_mass(base, some, low, high)

    def draw(rng: Any, table: Any, low: Any, high: Any, size: tuple[int, ...]) -> Any:
        return base.draw(rng, [categories.restricted(base, table, low, high)], size or None)

    terms = partial(categories.truncated_terms, base)
    return _limited(base, name, fit, draw=draw, terms=terms, **more)


def _truncated_numbers(base: Distribution, name: str, **more: Any) -> Distribution:
    family = FAMILIES[base]
    inside = _inside(base)
    formula = family.between or _by_mass(family)

    def fit(own: Sequence[Any], low: Any, high: Any) -> None:
        bottom, top = family.edges(*own)
        some = (low < top + family.step) & (high > bottom - family.step)
        _check_some_mass(base, some, low, high)

    def draw(rng: Any, *args: Any, size: tuple[int, ...] | None) -> Any:
        *own, low, high = args
        x = draw_between(family, rng, low, high, own, size)
        return x if base.kind.continuous else base.kind.convert(x)

    def region(*args: Any) -> Region:
        *own, low, high = args
        return cut(interval_of(base.region_of(own), name), low, high)

    return _limited(
        base,
        name,
        None if family.edges is everywhere else fit,
        draw=draw,
        terms=terms_of(formula, inside),
        formula=formula,
        inside=inside,
        region=region if base.kind.continuous else None,
        block_width=BLOCK_WIDTH,
        draws_floats=True,
        statistics=statistics_of_truncated(base),
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
            (from_bottom, partial(_on_one_side, family, False)),
            (to_top, partial(_on_one_side, family, True)),
            (lambda at: True, partial(_between, family)),
        ]
    )


def _on_one_side(family: Family, upper: bool, at: Point) -> LogDensity:
    """The log density above the low limit if `upper`, else below the high one."""
    mass, (fall, *by_mass) = log_tail(family, at.m, upper, at.low if upper else at.high, at.own)
    value, (*partials, by_low, by_high) = _over_mass(family, at, (mass, by_mass))
    by_limit = fall and (lambda: -fall())
    return value, [*partials, *((by_limit, by_high) if upper else (by_low, by_limit))]


def _between(family: Family, at: Point) -> LogDensity:
    mass, by_mass = log_mass(family, at.m, at.low, at.high, at.own)
    value, partials = _over_mass(family, at, (mass, by_mass))
    if not family.base.kind.continuous:
        return value, partials
    formula: Any = family.base.declared.formula

    def density(limit: Any) -> Any:
        return at.m.exp(formula(at.m, limit, *at.own)[0] - mass)

    return value, [*partials[:-2], lambda: density(at.low), lambda: -density(at.high)]


def _over_mass(family: Family, at: Point, log_mass: LogDensity) -> LogDensity:
    """log f - log mass, for limits by which the log mass is not differentiated here."""
    value, (by_x, *by_own, by_low, by_high) = by_base(family.base, at)
    mass, by_mass = log_mass
    _check_mass_is_large_enough(family, raw(mass))
    by_own = [
        d and fall and (lambda d=d, fall=fall: d() - fall())
        for d, fall in zip(by_own, by_mass, strict=True)
    ]
    return value - mass, [by_x, *by_own, by_low, by_high]


def _check_some_mass(base: Distribution, some: Any, low: Any, high: Any) -> None:
    if some is True or np.all(some):
        return
    at, _ = first_index(~np.asarray(some))
    low, high = (np.broadcast_to(v, np.shape(some))[at] for v in (low, high))
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


# --- Censored


@explained
def censored(
    base: Call[R], low: Numbers | None = None, high: Numbers | None = None, size: Size = None
) -> Call[R]:
    """A distribution recorded at the limit `low` or `high` beyond it; None is no limit.

        log p(x) = log P(X <= low)       x <= low
                   log p_base(x)         low < x < high
                   log P(X >= high)      x >= high

    A value equal to a limit says that X is there or beyond, and so does a value beyond it; a draw
    is never beyond. The density is one over the interval, with a mass at each limit. The logs of
    tails do not underflow.

    Args:
        base: A call such as `normal(mu, std)` or `poisson(rate)`, of a distribution over numbers:
            any that `truncated` takes.
        low, high: The limits, whole numbers if the base is discrete; in an array an infinite one is
            no limit, as for a datum that was seen.
        size: The shape of the batch, as for any distribution.

    Raises:
        ArgumentError: the base's values have no order, its tails are not known, or there is no
            limit.
    """
    return _limited_call("censored", _censored, base, low, high, size)


@made_of_parts
def _censored(base: Distribution) -> Distribution:
    more: dict[str, Any] = {"terms": partial(categories.censored_terms, base)}
    if base not in CATEGORICAL:
        formula = _by_tails(FAMILIES[base])
        more = {
            "terms": terms_of(formula, None),
            "formula": formula,
            "block_width": BLOCK_WIDTH,
            "draws_floats": base.declared.draws_floats,
            "statistics": statistics_of_censored(base),
        }

    def draw(rng: Any, *args: Any, size: tuple[int, ...] | None) -> Any:
        *own, low, high = args
        drawn = base.declared.draw(rng, *own, size=size)  # which may overflow beyond a limit
        if size is None:
            return min(max(drawn, low), high)
        return base.kind.convert(np.clip(drawn, low, high))

    name = f"censored {base.__name__}"

    def region(*args: Any) -> Region:
        raise no_region(name, "each limit has a probability, besides the density between them")

    return _limited(
        base,
        name,
        draw=draw,
        region=region,
        doc=censored.__doc__,
        support=f"{base.support}; a value at a limit means at or beyond it",
        **more,
    )


def _by_tails(family: Family) -> Formula:
    """A tail of the base at a limit, and the density of the base between the limits.

    A tail without mass makes the value impossible, and one with all of the mass makes it certain.
    """
    inside = family.base.declared.inside
    nothing, certain = constant(-math.inf), constant(0.0)

    def lowest(at: Point) -> Any:
        return family.edges(*at.own)[0]

    def highest(at: Point) -> Any:
        return family.edges(*at.own)[1]

    def supported(at: Point) -> Any:
        return np.isfinite(at.x) if inside is None else inside(at.x, *at.own)

    # A limit of a discrete family is itself in the tail: the tail has mass one step further out.
    return by_cases(
        [
            (lambda at: np.isinf(at.x), nothing),
            (lambda at: (at.x <= at.low) & (at.low <= lowest(at) - family.step), nothing),
            (lambda at: (at.x <= at.low) & (at.low >= highest(at)), certain),
            (lambda at: at.x <= at.low, partial(_at_limit, family, False)),
            (lambda at: (at.x >= at.high) & (at.high >= highest(at) + family.step), nothing),
            (lambda at: (at.x >= at.high) & (at.high <= lowest(at)), certain),
            (lambda at: at.x >= at.high, partial(_at_limit, family, True)),
            (supported, partial(by_base, family.base)),
            (lambda at: True, nothing),
        ]
    )


def _at_limit(family: Family, upper: bool, at: Point) -> LogDensity:
    """The log of the tail above the high limit if `upper`, else below the low one."""
    value, (by_limit, *by_own) = log_tail(family, at.m, upper, at.high if upper else at.low, at.own)
    still = zero if family.base.kind.continuous else None
    by_limits = (still, by_limit) if upper else (by_limit, still)
    return value + 0.0 * at.x, [still, *by_own, *by_limits]
