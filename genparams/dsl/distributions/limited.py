"""Truncated and censored distributions.

Which formula holds depends on where the value and the limits lie: that is what a list of cases
says. Each entry of an array is computed by the one formula that holds for it, so that no other can
leak a NaN into a derivative.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from genparams.autodiff import np, raw, scatter, shape_of, sum_to
from genparams.dsl.distributions.base import Distribution, Size, Terms, base_of, terms_of
from genparams.dsl.distributions.domains import Domain
from genparams.dsl.distributions.tails import TAILS, Slope, log1mexp
from genparams.dsl.interpreter import Call
from genparams.errors import ArgumentError, DistributionError
from genparams.numeric import arrays

Formula = Callable[..., tuple[Any, Sequence[Slope]]]
"""`formula(m, x, *args)` is a log density, with its derivatives by x and by each argument."""
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
                wide = (np.broadcast_to(v, batch)[here] for v in values)
                parts.append((here, *terms_of(formula, None)(*wide)))
            left = left & ~here

        def pullback(place: int, shape: tuple[int, ...]) -> Callable[[Any], Any]:
            def pull(g: Any) -> Any:
                g = np.broadcast_to(g, batch)
                each = [scatter(pulls[place](g[here]), here, batch) for here, _, pulls in parts]
                return sum_to(sum(each[1:], each[0]), shape)

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


# --- Truncated


def truncated(base: Call, low: Any = None, high: Any = None, size: Size = None) -> Call:
    """A distribution kept to the closed interval from `low` to `high`; None is no limit.

        log p(x) = log p_base(x) - log P(low <= X <= high),    low <= x <= high

    Differentiated by the base's arguments, the value and the limits. A log of the mass between two
    limits keeps its digits however far out both lie; between two limits near the median that are
    close to each other it loses as many as the mass is small.

    Args:
        base: A call such as `normal(mu, std)`, of a distribution with known tails: normal,
            lognormal, half_normal, laplace, logistic, cauchy, exponential, weibull or uniform.
        low, high: The limits; in an array an infinite one is none.
        size: The shape of the batch, as for any distribution.

    Raises:
        ArgumentError: the base's tails are not known, or there is no limit.
    """
    return _limited("truncated", _truncated, base, low, high, size)


def _limited(what: str, make: Callable, base: Call, low: Any, high: Any, size: Size) -> Call:
    fn = base_of(what, base)
    if fn not in TAILS:
        known = ", ".join(sorted(f.__name__ for f in TAILS))
        raise ArgumentError(f"{what} does not know the tails of {fn.__name__}; it takes {known}")
    if low is None and high is None:
        raise ArgumentError(f"{what} needs a limit; write {what}({base!r}, low=..., high=...)")
    limits = (-math.inf if low is None else low, math.inf if high is None else high)
    return Call(make(fn), (*base.args, *limits), size)


_limit = Domain("a number, or infinite", lambda v: v == v)


def _arguments(base: Distribution) -> dict[str, Any]:
    """The base's arguments, and the two limits."""
    mine = {
        f"{n} of {base.__name__}" if n in ("low", "high") else n: d
        for n, d in base.arguments.items()
    }
    return mine | {"low": _limit, "high": _limit}


def _check_limits(name: str, base: Distribution) -> Callable[..., None]:
    def check(*args: Any) -> None:
        *own, low, high = args
        base.check_joint(own)
        if not np.all(np.asarray(low) < high):
            raise DistributionError(f"{name} needs low below high, got {low!r} and {high!r}")

    return check


@cache
def _truncated(base: Distribution) -> Distribution:
    tails = TAILS[base]
    name = f"truncated {base.__name__}"
    f: Any = base.density
    fit = _check_limits(name, base)

    def check(*args: Any) -> None:
        fit(*args)
        *own, low, high = args
        lowest, highest = tails.edges(*own)
        if np.any(np.asarray(low) >= highest) or np.any(np.asarray(high) <= lowest):
            raise DistributionError(
                f"{base.__name__} has no mass between low {low!r} and high {high!r}"
            )

    def inside(m: Any, x: Any, *args: Any) -> Any:
        *own, low, high = args
        there = True if base.support is None else base.support(x, *own)
        return (x >= low) & (x <= high) & there

    def unbounded(m: Any, x: Any, *args: Any) -> tuple[Any, Sequence[Slope]]:
        log_f, by = f(m, x, *args[:-2])
        return log_f, (*by, lambda: 0.0, lambda: 0.0)

    def one_sided(upper: bool) -> Formula:
        """With one limit: `low` if what remains is the upper tail, else `high`."""

        def formula(m: Any, x: Any, *args: Any) -> tuple[Any, Sequence[Slope]]:
            *own, low, high = args
            log_f, by = f(m, x, *own)
            mass, falls = tails.log_tail(m, upper, low if upper else high, own)
            mine = (
                lambda d=d, fall=fall: d() - fall()
                for d, fall in zip(by[1:], falls[1:], strict=True)
            )
            at_limit = lambda: -falls[0]()  # noqa: E731
            zero = lambda: 0.0  # noqa: E731
            limits = (at_limit, zero) if upper else (zero, at_limit)
            return log_f - mass, (by[0], *mine, *limits)

        return formula

    def two_sided(upper: bool) -> Formula:
        """As the difference of two upper tails or of two lower ones."""

        def formula(m: Any, x: Any, *args: Any) -> tuple[Any, Sequence[Slope]]:
            *own, low, high = args
            log_f, by = f(m, x, *own)
            near, near_by = tails.log_tail(m, upper, low if upper else high, own)
            far, far_by = tails.log_tail(m, upper, high if upper else low, own)
            mass = near + log1mexp(m, far - near)
            falls = [
                lambda d=d, e=e: m.exp(near - mass) * d() - m.exp(far - mass) * e()
                for d, e in zip(near_by[1:], far_by[1:], strict=True)
            ]
            mine = (
                lambda d=d, fall=fall: d() - fall() for d, fall in zip(by[1:], falls, strict=True)
            )
            at_near = lambda: -m.exp(near - mass) * near_by[0]()  # noqa: E731
            at_far = lambda: m.exp(far - mass) * far_by[0]()  # noqa: E731
            limits = (at_near, at_far) if upper else (at_far, at_near)
            return log_f - mass, (by[0], *mine, *limits)

        return formula

    def lowest(args: Sequence[Any]) -> Any:
        return tails.edges(*args[:-2])[0]

    def highest(args: Sequence[Any]) -> Any:
        return tails.edges(*args[:-2])[1]

    def above_median(m: Any, *args: Any) -> Any:
        *own, low, _ = args
        return tails.standard(m, low, *own)[0] > tails.median

    density, terms = by_cases(
        [
            (lambda m, *v: np.logical_not(inside(m, *v)), nothing),
            (lambda m, x, *a: (a[-2] <= lowest(a)) & (a[-1] >= highest(a)), unbounded),
            (lambda m, x, *a: a[-2] <= lowest(a), one_sided(upper=False)),
            (lambda m, x, *a: a[-1] >= highest(a), one_sided(upper=True)),
            (lambda m, x, *a: above_median(m, *a), two_sided(upper=True)),
            (None, two_sided(upper=False)),
        ]
    )

    def draw(rng: Any, *args: Any, size: tuple[int, ...]) -> Any:
        *own, low, high = args
        bottom, top = tails.edges(*own)
        v = np.minimum(1.0 - rng.random(size), 1.0 - 2.0**-53)
        with np.errstate(all="ignore"):  # each entry has one of the two sides from a valid formula
            cut_low, cut_high = low > bottom, high < top

            def side(upper: bool) -> Any:
                at_low = tails.log_tail(arrays, upper, np.asarray(low), own)[0]
                at_high = tails.log_tail(arrays, upper, np.asarray(high), own)[0]
                at_low = np.where(cut_low, at_low, 0.0 if upper else -np.inf)
                at_high = np.where(cut_high, at_high, -np.inf if upper else 0.0)
                near, far = (at_low, at_high) if upper else (at_high, at_low)
                log_p = near + np.log(v + (1.0 - v) * np.exp(far - near))
                return (tails.from_log_sf if upper else tails.from_log_cdf)(log_p)

            by_upper = cut_low & above_median(arrays, *own, np.asarray(low), high)
            z = np.where(by_upper, side(True), side(False))
            x = tails.natural(z, *own)
        return np.clip(x, np.maximum(low, bottom), np.minimum(high, top))

    return Distribution(
        name,
        _arguments(base),
        base.kind,
        draw,
        terms,
        density,
        joint=check,
        width=base.width,
        doc=truncated.__doc__,
    )


# --- Censored


def censored(base: Call, low: Any = None, high: Any = None, size: Size = None) -> Call:
    """A distribution seen through a meter that ends at `low` and `high`; None is no limit.

        log p(x) = log P(X <= low)       x <= low
                   log p_base(x)         low < x < high
                   log P(X >= high)      x >= high

    A value equal to a limit says that X lies there or beyond, and so does a value beyond it; a draw
    never lies beyond. The density is one over the interval, with a mass at each limit.

    Args:
        base: A call such as `normal(mu, std)`, of a distribution with known tails: normal,
            lognormal, half_normal, laplace, logistic, cauchy, exponential, weibull or uniform.
        low, high: The limits; in an array an infinite one is none, as for a datum that was seen.
        size: The shape of the batch, as for any distribution.

    Raises:
        ArgumentError: the base's tails are not known, or there is no limit.
    """
    return _limited("censored", _censored, base, low, high, size)


@cache
def _censored(base: Distribution) -> Distribution:
    tails = TAILS[base]
    name = f"censored {base.__name__}"
    f: Any = base.density

    def below(m: Any, x: Any, *args: Any) -> tuple[Any, Sequence[Slope]]:
        *own, low, _ = args
        value, by = tails.log_tail(m, False, low, own)
        return value + 0.0 * x, (lambda: 0.0, *by[1:], by[0], lambda: 0.0)

    def above(m: Any, x: Any, *args: Any) -> tuple[Any, Sequence[Slope]]:
        *own, _, high = args
        value, by = tails.log_tail(m, True, high, own)
        return value + 0.0 * x, (lambda: 0.0, *by[1:], lambda: 0.0, by[0])

    def between(m: Any, x: Any, *args: Any) -> tuple[Any, Sequence[Slope]]:
        log_f, by = f(m, x, *args[:-2])
        return log_f, (*by, lambda: 0.0, lambda: 0.0)

    def edges(args: Sequence[Any]) -> tuple[Any, Any]:
        return tails.edges(*args[:-2])

    def supported(m: Any, x: Any, *args: Any) -> Any:
        return np.isfinite(x) if base.support is None else base.support(x, *args[:-2])

    density, terms = by_cases(
        [
            (lambda m, x, *a: np.isinf(x), nothing),
            (lambda m, x, *a: (x <= a[-2]) & (a[-2] <= edges(a)[0]), nothing),
            (lambda m, x, *a: (x <= a[-2]) & (a[-2] >= edges(a)[1]), certain),
            (lambda m, x, *a: x <= a[-2], below),
            (lambda m, x, *a: (x >= a[-1]) & (a[-1] >= edges(a)[1]), nothing),
            (lambda m, x, *a: (x >= a[-1]) & (a[-1] <= edges(a)[0]), certain),
            (lambda m, x, *a: x >= a[-1], above),
            (supported, between),
            (None, nothing),
        ]
    )
    return Distribution(
        name,
        _arguments(base),
        base.kind,
        lambda rng, *args, size: np.clip(base.draw(rng, args[:-2], size or None), *args[-2:]),
        terms,
        density,
        joint=_check_limits(name, base),
        width=base.width,
        doc=censored.__doc__,
    )
