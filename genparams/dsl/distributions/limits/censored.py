"""Distributions that are recorded at a limit beyond it."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from genparams.autodiff import np
from genparams.dsl.call import Call
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.declaration import Formula
from genparams.dsl.distributions.elementwise import terms_of
from genparams.dsl.distributions.limits.builder import (
    BLOCK_WIDTH,
    LimitedDensity,
    Point,
    by_base,
    by_cases,
    constant,
    limited,
    limited_call,
    zero,
)
from genparams.dsl.distributions.limits.categories import CATEGORICAL, censored_terms
from genparams.dsl.distributions.limits.families import FAMILIES
from genparams.dsl.distributions.limits.family import Family
from genparams.dsl.distributions.limits.masses import log_tail
from genparams.dsl.made import made_of_parts
from genparams.mistakes import explained
from genparams.types import Numbers, R, Size


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
    return limited_call("censored", _censored, base, low, high, size)


@made_of_parts
def _censored(base: Distribution) -> Distribution:
    more: dict[str, Any] = {"terms": partial(censored_terms, base)}
    if base not in CATEGORICAL:
        formula = _by_tails(FAMILIES[base])
        more = {
            "terms": terms_of(formula, None),
            "formula": formula,
            "block_width": BLOCK_WIDTH,
            "draws_floats": base.declared.draws_floats,
        }
    return limited(
        base,
        f"censored {base.__name__}",
        draw=_clipped(base),
        doc=censored.__doc__,
        support=f"{base.support}; a limit is for all at and beyond it",
        **more,
    )


def _clipped(base: Distribution) -> Callable[..., Any]:
    """Draws of the base, moved to a limit if they are beyond it."""

    def draw(rng: Any, *args: Any, size: tuple[int, ...] | None) -> Any:
        *own, low, high = args
        drawn = base.draw(rng, own, size or None)
        if size is None:
            return min(max(drawn, low), high)
        return base.kind.convert(np.clip(drawn, low, high))

    return draw


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
            (lambda at: at.x <= at.low, partial(_at_low, family)),
            (lambda at: (at.x >= at.high) & (at.high >= highest(at) + family.step), nothing),
            (lambda at: (at.x >= at.high) & (at.high <= lowest(at)), certain),
            (lambda at: at.x >= at.high, partial(_at_high, family)),
            (supported, partial(by_base, family.base)),
            (lambda at: True, nothing),
        ]
    )


def _at_low(family: Family, at: Point) -> LimitedDensity:
    value, (by_low, *by_own) = log_tail(family, at.m, False, at.low, at.own)
    still = zero if family.base.kind.continuous else None
    return LimitedDensity(value + 0.0 * at.x, still, by_own, by_low, still)


def _at_high(family: Family, at: Point) -> LimitedDensity:
    value, (by_high, *by_own) = log_tail(family, at.m, True, at.high, at.own)
    still = zero if family.base.kind.continuous else None
    return LimitedDensity(value + 0.0 * at.x, still, by_own, still, by_high)
