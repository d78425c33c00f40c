"""Truncated and censored distributions.

Which formula holds depends on where the value and the limits lie: that is what a list of cases
says. Each entry of an array is computed by the one formula that holds for it, so that no other can
leak a NaN into a derivative.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from genparams.autodiff import np, raw, scatter, shape_of, sum_to
from genparams.dsl.distributions.base import AbstractDistribution, Distribution
from genparams.dsl.distributions.bounded import truncated_normal
from genparams.dsl.distributions.continuous import normal
from genparams.dsl.distributions.declaration import Declaration
from genparams.dsl.distributions.domains import Domain, at_index, check_order, in_words
from genparams.dsl.distributions.elementwise import terms_of
from genparams.dsl.distributions.limits.families import FAMILIES
from genparams.dsl.distributions.limits.listed import (
    LISTED,
    censored_terms,
    mass_between,
    restricted,
    truncated_terms,
)
from genparams.dsl.distributions.limits.tails import Slope
from genparams.dsl.distributions.parts import base_of
from genparams.dsl.distributions.pullbacks import Terms
from genparams.dsl.interpreter import Call
from genparams.dsl.made import made_of_parts
from genparams.errors import ArgumentError, DistributionError
from genparams.mistakes import explained
from genparams.numeric import arrays
from genparams.types import Numbers, R, Size

Formula = Callable[..., tuple[Any, Sequence[Slope | None]]]
"""`formula(m, x, *args)` is a log density, with its derivatives by x and by each argument; None by
what has none."""
Case = tuple[Callable[..., Any] | None, Formula]
"""`test(m, x, *args)`, None if it always holds, and the formula to use where it is the first."""


# --- Formulas by cases


def by_cases(cases: Sequence[Case]) -> tuple[Formula, Callable[..., Terms]]:
    """The formula and the terms of a density that has different formulas at different places."""

    def density(m: Any, *values: Any) -> Any:
        for test, formula in cases:
            if test is None or test(m, *values):
                return formula(m, *values)
        raise AssertionError("the last case always holds")

    def terms(*values: Any) -> Terms:
        plain = [raw(v) for v in values]
        batch = np.broadcast_shapes(*map(np.shape, plain))
        left = np.ones(batch, dtype=bool)
        parts = []
        for test, formula in cases:
            here = left if test is None else left & test(arrays, *plain)
            if here.all():
                return terms_of(formula, None)(*values)
            if here.any():
                some = (np.broadcast_to(v, batch)[here] if shape_of(v) else v for v in values)
                parts.append((here, *terms_of(formula, None)(*some)))
            left = left & ~here

        def pullback(place: int, shape: tuple[int, ...]) -> Callable[[Any], Any] | None:
            if any(pulls[place] is None for _, _, pulls in parts):
                return None

            def pull(g: Any) -> Any:
                g = np.broadcast_to(g, batch)
                each = [(here, pulls[place](g[here])) for here, _, pulls in parts]
                whole = [scatter(d, here, batch) if shape else d for here, d in each]
                return sum_to(sum(whole[1:], whole[0]), shape)

            return pull

        log_density = 0.0
        for here, log_f, _ in parts:
            log_density = np.where(here, scatter(log_f, here, batch), log_density)
        return log_density, [pullback(i, shape_of(v)) for i, v in enumerate(values)]

    return density, terms


def _constant(value: float) -> Formula:
    def formula(m: Any, x: Any, *args: Any) -> tuple[Any, Sequence[Slope]]:
        batch = np.broadcast_shapes(shape_of(x), *map(shape_of, args))
        level = np.full(batch, value) if batch else value
        return level, [lambda: 0.0] * (1 + len(args))

    return formula


nothing = _constant(-math.inf)
certain = _constant(0.0)


# --- What both take


def _limited(what: str, make: Callable, base: Call, low: Any, high: Any, size: Size) -> Call:
    if isinstance(base, Call) and isinstance(base.fn, AbstractDistribution):
        _refuse_unordered(what, base.fn)
    fn = base_of(what, base, f"{what}(base, low, high)")
    if fn not in FAMILIES and fn not in LISTED:
        known = ", ".join(sorted({f.__name__ for f in (*FAMILIES, *LISTED)}))
        raise ArgumentError(f"{what} does not know the tails of {fn.__name__}; it takes {known}")
    if low is None and high is None:
        raise ArgumentError(f"{what} needs a limit; write {what}({base!r}, low=..., high=...)")
    limits = (-math.inf if low is None else low, math.inf if high is None else high)
    return Call(make(fn), (*base.args, *limits), size)


def _refuse_unordered(what: str, fn: AbstractDistribution) -> None:
    values = "vectors or matrices" if fn.kind.rank else "tuples"
    if fn.kind.rank or not isinstance(fn, Distribution):
        raise ArgumentError(
            f"{what} takes a distribution over numbers, such as normal(mu, std); values of "
            f"{fn.__name__} are {values}, which have no order"
        )


_number = Domain("a number, or infinite", lambda v: v == v)
_whole_number = Domain("a whole number, or infinite", lambda v: v == np.floor(v), smooth=False)


def _arguments(base: Distribution) -> dict[str, Any]:
    """The base's arguments, and the two limits."""
    mine = {
        f"{n} of {base.__name__}" if n in ("low", "high") else n: d.within()
        for n, d in base.arguments.items()
    }
    limit = _number if base.kind.continuous else _whole_number
    return mine | {"low": limit, "high": limit}


def _check_limits(name: str, base: Distribution) -> Callable[..., None]:
    def check(*args: Any) -> None:
        *own, low, high = args
        base.declared.check_fit(own)
        if base.kind.continuous:
            check_order(name, low, high, low < high)
        else:
            check_order(name, low, high, low <= high, "at most")

    return check


def _still(base: Distribution) -> Slope | None:
    """The derivative by a limit that does not count, of a continuous base; else there is none."""
    return (lambda: 0.0) if base.kind.continuous else None


def _refuse_no_mass(base: Distribution, some: Any, low: Any, high: Any) -> None:
    if some is True or np.all(some):
        return
    some = np.asarray(some)
    at = tuple(int(i) for i in np.argwhere(~some)[0])
    low, high = (np.broadcast_to(v, some.shape)[at] for v in (low, high))
    raise DistributionError(
        f"{base.__name__} has no mass between low {in_words(low)} and high {in_words(high)}"
        f"{at_index(at)}"
    )


def _refuse_small_mass(name: str, log_mass: Any) -> None:
    """Raise where the log density, a difference from the log mass, would lose its digits."""
    some = log_mass > SMALLEST
    if some is True or np.all(some):
        return
    found = np.min(np.where(np.isnan(log_mass), -np.inf, log_mass))
    raise DistributionError(
        f"{name} has too little mass between its limits: the log of the mass is {float(found)}; "
        "move the limits or the distribution"
    )


# --- Truncated


SMALLEST = -1e8
"""The least log mass of a truncated distribution, whose log density then has 8 digits."""


@explained
def truncated(
    base: Call[R], low: Numbers | None = None, high: Numbers | None = None, size: Size = None
) -> Call[R]:
    """A distribution kept to the closed interval from `low` to `high`; None is no limit.

        log p(x) = log p_base(x) - log P(low <= X <= high),    low <= x <= high

    Differentiated by the value, the base's arguments and, if it is continuous, the limits. The mass
    keeps its digits however far out the limits lie, and however close to each other.

    Args:
        base: A call such as `normal(mu, std)` or `poisson(rate)`, of a distribution over numbers:
            normal, lognormal, half_normal, student_t, cauchy, half_cauchy, laplace, logistic,
            exponential, gamma, inv_gamma, weibull, beta, uniform or von_mises; bernoulli, binomial,
            poisson, geometric, neg_binomial, beta_binomial, uniform_discrete or categorical.
        low, high: The limits, whole numbers if the base is discrete; in an array an infinite one is
            none.
        size: The shape of the batch, as for any distribution.

    Raises:
        ArgumentError: the base's values have no order, its tails are not known, or there is no
            limit.
    """
    return _limited("truncated", _truncated, base, low, high, size)


@made_of_parts
def _truncated(base: Distribution) -> Distribution:
    if base is normal:
        return truncated_normal
    if base in LISTED:
        return _truncated_list(base)
    family = FAMILIES[base]
    name = f"truncated {base.__name__}"
    f: Any = base.declared.formula
    fit = _check_limits(name, base)
    at_limit = _still(base)

    def check(*args: Any) -> None:
        fit(*args)
        *own, low, high = args
        bottom, top = family.edges(*own)
        if base.kind.continuous:
            some = (low < top) & (high > bottom)
        else:
            some = (low <= top) & (high >= bottom)
        _refuse_no_mass(base, some, low, high)

    def outside(m: Any, x: Any, *args: Any) -> Any:
        *own, low, high = args
        there = True if base.declared.inside is None else base.declared.inside(x, *own)
        return m.negate((x >= low) & (x <= high) & there)

    def given(m: Any, x: Any, own: Any, mass: Any, falls: Sequence[Any]) -> Any:
        """log f - mass, and its derivatives by x and the base's arguments."""
        log_f, by = f(m, x, *own)
        _refuse_small_mass(name, raw(mass))
        mine = [
            d and fall and (lambda d=d, fall=fall: d() - fall())
            for d, fall in zip(by[1:], falls, strict=True)
        ]
        return log_f - mass, (by[0], *mine)

    def unlimited(m: Any, x: Any, *args: Any) -> tuple[Any, Sequence[Slope | None]]:
        log_f, by = f(m, x, *args[:-2])
        return log_f, (*by, at_limit, at_limit)

    def one_sided(upper: bool) -> Formula:
        """With one limit: `low` if what remains is the upper tail, else `high`."""

        def formula(m: Any, x: Any, *args: Any) -> tuple[Any, Sequence[Slope | None]]:
            *own, low, high = args
            mass, (fall, *falls) = family.log_tail(m, upper, low if upper else high, own)
            value, by = given(m, x, own, mass, falls)
            rise = fall and (lambda: -fall())
            return value, (*by, rise, at_limit) if upper else (*by, at_limit, rise)

        return formula

    def two_sided(m: Any, x: Any, *args: Any) -> tuple[Any, Sequence[Slope | None]]:
        *own, low, high = args
        mass, falls = family.log_mass(m, low, high, own)
        value, by = given(m, x, own, mass, falls)
        if not base.kind.continuous:
            return value, (*by, None, None)

        def density(limit: Any) -> Any:
            return m.exp(f(m, limit, *own)[0] - mass)

        return value, (*by, lambda: density(low), lambda: -density(high))

    def from_bottom(m: Any, x: Any, *args: Any) -> Any:
        return args[-2] <= family.edges(*args[:-2])[0]

    def to_top(m: Any, x: Any, *args: Any) -> Any:
        return args[-1] >= family.edges(*args[:-2])[1]

    density, terms = by_cases(
        [
            (outside, nothing),
            (lambda *v: from_bottom(*v) & to_top(*v), unlimited),
            (from_bottom, one_sided(upper=False)),
            (to_top, one_sided(upper=True)),
            (None, two_sided),
        ]
    )

    def draw(rng: Any, *args: Any, size: tuple[int, ...]) -> Any:
        *own, low, high = args
        return base.kind.convert(family.draw(rng, low, high, own, size))

    return Distribution(
        Declaration(
            name=name,
            arguments=_arguments(base),
            kind=base.kind,
            draw=draw,
            terms=terms,
            formula=density,
            fit=check,
            block_width=WIDTH,
            draws_floats=True,
            doc=truncated.__doc__,
            support=f"{base.support}, from low to high",
        )
    )


def _truncated_list(base: Distribution) -> Distribution:
    name = f"truncated {base.__name__}"
    fit = _check_limits(name, base)

    def check(table: Any, low: Any, high: Any) -> None:
        fit(table, low, high)
        _refuse_no_mass(base, mass_between(base, table, low, high) > -np.inf, low, high)

    def draw(rng: Any, table: Any, low: Any, high: Any, size: tuple[int, ...]) -> Any:
        return base.draw(rng, [restricted(base, table, low, high)], size or None)

    return Distribution(
        Declaration(
            name=name,
            arguments=_arguments(base),
            kind=base.kind,
            draw=draw,
            terms=partial(truncated_terms, base),
            fit=check,
            doc=truncated.__doc__,
            support=f"{base.support}, from low to high",
        )
    )


WIDTH = 16
"""What blocks of a batch make of the nodes, which are ten times as many but often shared."""


# --- Censored


@explained
def censored(
    base: Call[R], low: Numbers | None = None, high: Numbers | None = None, size: Size = None
) -> Call[R]:
    """A distribution recorded at the limit `low` or `high` beyond it; None is no limit.

        log p(x) = log P(X <= low)       x <= low
                   log p_base(x)         low < x < high
                   log P(X >= high)      x >= high

    A value equal to a limit says that X lies there or beyond, and so does a value beyond it; a draw
    never lies beyond. The density is one over the interval, with a mass at each limit. The logs of
    tails do not underflow.

    Args:
        base: A call such as `normal(mu, std)` or `poisson(rate)`, of a distribution over numbers:
            any that `truncated` takes.
        low, high: The limits, whole numbers if the base is discrete; in an array an infinite one is
            none, as for a datum that was seen.
        size: The shape of the batch, as for any distribution.

    Raises:
        ArgumentError: the base's values have no order, its tails are not known, or there is no
            limit.
    """
    return _limited("censored", _censored, base, low, high, size)


@made_of_parts
def _censored(base: Distribution) -> Distribution:
    if base in LISTED:
        return _censored_list(base)
    family = FAMILIES[base]
    name = f"censored {base.__name__}"
    f: Any = base.declared.formula
    at_limit = _still(base)

    def below(m: Any, x: Any, *args: Any) -> tuple[Any, Sequence[Slope | None]]:
        *own, low, _ = args
        value, by = family.log_tail(m, False, low, own)
        return value + 0.0 * x, (at_limit, *by[1:], by[0], at_limit)

    def above(m: Any, x: Any, *args: Any) -> tuple[Any, Sequence[Slope | None]]:
        *own, _, high = args
        value, by = family.log_tail(m, True, high, own)
        return value + 0.0 * x, (at_limit, *by[1:], at_limit, by[0])

    def between(m: Any, x: Any, *args: Any) -> tuple[Any, Sequence[Slope | None]]:
        log_f, by = f(m, x, *args[:-2])
        return log_f, (*by, at_limit, at_limit)

    def first(args: Sequence[Any]) -> Any:
        """Limits from which on some of the mass is below: where there is some, if discrete."""
        return family.edges(*args[:-2])[0] - family.step

    def last(args: Sequence[Any]) -> Any:
        return family.edges(*args[:-2])[1] + family.step

    def edges(args: Sequence[Any]) -> tuple[Any, Any]:
        return family.edges(*args[:-2])

    def supported(m: Any, x: Any, *args: Any) -> Any:
        return (
            np.isfinite(x) if base.declared.inside is None else base.declared.inside(x, *args[:-2])
        )

    density, terms = by_cases(
        [
            (lambda m, x, *a: np.isinf(x), nothing),
            (lambda m, x, *a: (x <= a[-2]) & (a[-2] <= first(a)), nothing),
            (lambda m, x, *a: (x <= a[-2]) & (a[-2] >= edges(a)[1]), certain),
            (lambda m, x, *a: x <= a[-2], below),
            (lambda m, x, *a: (x >= a[-1]) & (a[-1] >= last(a)), nothing),
            (lambda m, x, *a: (x >= a[-1]) & (a[-1] <= edges(a)[0]), certain),
            (lambda m, x, *a: x >= a[-1], above),
            (supported, between),
            (None, nothing),
        ]
    )

    return Distribution(
        Declaration(
            name=name,
            arguments=_arguments(base),
            kind=base.kind,
            draw=_clipped(base),
            terms=terms,
            formula=density,
            fit=_check_limits(name, base),
            block_width=WIDTH,
            draws_floats=base.declared.draws_floats,
            doc=censored.__doc__,
            support=f"{base.support}; a limit is for all at and beyond it",
        )
    )


def _clipped(base: Distribution) -> Callable[..., Any]:
    def draw(rng: Any, *args: Any, size: tuple[int, ...]) -> Any:
        drawn = base.draw(rng, args[:-2], size or None)
        if size is None:
            return min(max(drawn, args[-2]), args[-1])
        return base.kind.convert(np.clip(drawn, *args[-2:]))

    return draw


def _censored_list(base: Distribution) -> Distribution:
    name = f"censored {base.__name__}"
    return Distribution(
        Declaration(
            name=name,
            arguments=_arguments(base),
            kind=base.kind,
            draw=_clipped(base),
            terms=partial(censored_terms, base),
            fit=_check_limits(name, base),
            doc=censored.__doc__,
            support=f"{base.support}; a limit is for all at and beyond it",
        )
    )
