"""Truncated and censored distributions: one row per base, and the laws that all obey."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import pytest
from calls import FAILURE_RATE, ends, log_prob, sample, traced
from scipy import special, stats

from genparams import (
    Call,
    bernoulli,
    beta,
    beta_binomial,
    binomial,
    categorical,
    cauchy,
    censored,
    dirichlet,
    exponential,
    gamma,
    geometric,
    half_cauchy,
    half_normal,
    inv_gamma,
    laplace,
    logistic,
    lognormal,
    mixture,
    multinomial,
    mvnormal,
    neg_binomial,
    normal,
    poisson,
    product,
    student_t,
    truncated,
    truncated_normal,
    uniform,
    uniform_discrete,
    von_mises,
    weibull,
)
from genparams.autodiff import gradient, hessian
from genparams.errors import ArgumentError, DistributionError

# --- One row per base


class Angles:
    """Scipy's von Mises, cut open at -pi."""

    logpdf = staticmethod(lambda x, mu, kappa: stats.vonmises.logpdf(x, kappa, mu))

    @staticmethod
    def cdf(x, mu, kappa):
        bottom = stats.vonmises.cdf(-math.pi, kappa, mu)
        return stats.vonmises.cdf(np.clip(x, -math.pi, math.pi), kappa, mu) - bottom


@dataclass(frozen=True)
class Row:
    name: str
    call: Callable[..., Call]
    args: tuple[float, ...]
    family: Callable[..., Any]
    """Scipy's, given the arguments."""
    limits: tuple[tuple[float | None, float | None], ...]
    fixed: tuple[int, ...] = ()
    """The places of arguments by which there is no derivative."""
    rtol: float = 1e-12
    """Of scipy's tails."""

    @property
    def discrete(self) -> bool:
        return not self.call(*self.args).fn.kind.continuous


def frozen(family: Any) -> Callable[..., Any]:
    """An object with a frozen distribution's methods, of one whose methods take arguments."""

    class Frozen:
        def __init__(self, *args: float):
            self.args = args

        def logpdf(self, x):
            return family.logpdf(x, *self.args)

        def cdf(self, x):
            return family.cdf(x, *self.args)

        def sf(self, x):
            return 1.0 - self.cdf(x)

        def logcdf(self, x):
            return np.log(self.cdf(x))

        def logsf(self, x):
            return np.log(self.sf(x))

    return Frozen


def gamma_by_scale(k, s):
    return gamma(k, scale=s)


def scipys_gamma(k, s):
    return stats.gamma(k, scale=s)


ABOVE_ZERO = ((0.5, 2.0), (0.2, None), (None, 1.5), (1.1, 1.1001), (-5.0, 2.0), (3.0, 8.0))
EVERYWHERE = ((0.5, 2.0), (-0.2, None), (None, 1.5), (-0.2, -0.1999), (-4.0, 1.9))
COUNTS = ((1, None), (None, 4), (2, 5), (3, 3), (-2, 6), (4, None))
CONTINUOUS = [
    Row("normal", normal, (0.3, 1.2), stats.norm, EVERYWHERE),
    Row("laplace", laplace, (0.3, 1.2), stats.laplace, EVERYWHERE),
    Row("logistic", logistic, (0.3, 1.2), stats.logistic, EVERYWHERE),
    Row("cauchy", cauchy, (0.3, 1.2), stats.cauchy, EVERYWHERE),
    Row("student_t", student_t, (2.7, 0.3, 1.2), stats.t, EVERYWHERE),
    Row(
        "lognormal",
        lognormal,
        (0.3, 0.8),
        lambda mu, s: stats.lognorm(s, scale=np.exp(mu)),
        ABOVE_ZERO,
    ),
    Row("half_normal", half_normal, (1.3,), lambda s: stats.halfnorm(scale=s), ABOVE_ZERO),
    Row("half_cauchy", half_cauchy, (1.3,), lambda s: stats.halfcauchy(scale=s), ABOVE_ZERO),
    Row("exponential", exponential, (0.7,), lambda r: stats.expon(scale=1.0 / r), ABOVE_ZERO),
    Row("weibull", weibull, (1.7, 1.3), lambda k, s: stats.weibull_min(k, scale=s), ABOVE_ZERO),
    Row("gamma", gamma_by_scale, (2.3, 0.8), scipys_gamma, ABOVE_ZERO),
    Row("gamma-small", gamma_by_scale, (0.3, 1.8), scipys_gamma, ABOVE_ZERO),
    Row(
        "gamma-rate",
        lambda k, r: gamma(k, rate=r),
        (2.3, 0.8),
        lambda k, r: stats.gamma(k, scale=1.0 / r),
        ABOVE_ZERO,
    ),
    Row("inv_gamma", inv_gamma, (2.3, 1.8), lambda k, s: stats.invgamma(k, scale=s), ABOVE_ZERO),
    Row("uniform", uniform, (-1.0, 4.0), lambda a, b: stats.uniform(a, b - a), EVERYWHERE),
    Row(
        "beta",
        beta,
        (2.3, 0.6),
        stats.beta,
        ((0.1, 0.6), (0.2, None), (None, 0.9), (0.4, 0.40001), (-1.0, 0.7)),
    ),
    Row(
        "von_mises",
        von_mises,
        (2.5, 1.7),
        frozen(Angles),
        ((-1.0, 2.0), (0.3, None), (None, -1.2), (2.6, 3.1), (-4.0, 1.0)),
    ),
]
DISCRETE = [
    Row("poisson", poisson, (2.7,), stats.poisson, COUNTS),
    Row("binomial", binomial, (9, 0.4), stats.binom, COUNTS, fixed=(0,)),
    Row(
        "binomial-logits",
        lambda n, t: binomial(n, logits=t),
        (9, -0.3),
        lambda n, t: stats.binom(n, special.expit(t)),
        COUNTS,
        fixed=(0,),
    ),
    Row("geometric", geometric, (0.3,), lambda p: stats.geom(p, loc=-1), COUNTS),
    Row("neg_binomial", neg_binomial, (2.4, 0.4), stats.nbinom, COUNTS),
    Row("beta_binomial", beta_binomial, (9, 2.1, 1.3), stats.betabinom, COUNTS, fixed=(0,)),
    Row("beta_binomial-u", beta_binomial, (9, 0.3, 0.4), stats.betabinom, COUNTS, fixed=(0,)),
    Row(
        "uniform_discrete",
        uniform_discrete,
        (0, 7),
        lambda a, b: stats.randint(a, b + 1),
        COUNTS,
        fixed=(0, 1),
    ),
    Row(
        "categorical",
        lambda *p: categorical(np.stack(p)),
        (0.1, 0.2, 0.0, 0.25, 0.15, 0.1, 0.2),
        lambda *p: stats.rv_discrete(values=(np.arange(7), p)),
        COUNTS,
        fixed=tuple(range(7)),
    ),
    Row(
        "categorical-logits",
        lambda *t: categorical(logits=np.stack(t)),
        (0.1, -0.2, 0.9, 0.25, 1.15, 0.1, -1.2),
        lambda *t: stats.rv_discrete(values=(np.arange(7), special.softmax(t))),
        COUNTS,
    ),
    Row("bernoulli", bernoulli, (0.3,), stats.bernoulli, ((0, None), (1, 1), (None, 0))),
    Row(
        "bernoulli-logits",
        lambda t: bernoulli(logits=t),
        (0.3,),
        lambda t: stats.bernoulli(special.expit(t)),
        ((0, None), (1, 1), (None, 0)),
    ),
]
ROWS = CONTINUOUS + DISCRETE


def rows_of(rows):
    return pytest.mark.parametrize("row", [pytest.param(r, id=r.name) for r in rows])


def with_limits(rows):
    return pytest.mark.parametrize(
        ("row", "low", "high"),
        [
            pytest.param(r, low, high, id=f"{r.name}-{low}-{high}")
            for r in rows
            for low, high in r.limits
        ],
    )


def values_between(row: Row, low, high) -> Any:
    """Some values inside the support and the limits."""
    a, b = ends(low, high)
    if row.discrete:
        top = 1.0 if row.name.startswith("bernoulli") else 6.0
        return np.arange(max(a, 0.0), min(b, top) + 1.0)
    top = {"beta": 0.95, "von_mises": 3.0, "uniform": 3.9}.get(row.name, 9.0)
    bottom = -3.0 if row.limits is EVERYWHERE or row.name == "von_mises" else 0.01
    bottom = -0.9 if row.name == "uniform" else bottom
    return np.array([[0.7, 0.3], [0.3, 0.7]]) @ [max(a, bottom), min(b, top)]


def log_mass(family, a, b):
    """log P(a <= X <= b) by scipy, for whole limits of a discrete family."""
    step = 1.0 if hasattr(family, "pmf") else 0.0
    return np.log(family.cdf(b) - family.cdf(a - step))


# --- Values


@with_limits(ROWS)
def test_a_truncated_density_is_the_base_s_over_the_mass_inside(row, low, high):
    a, b = ends(low, high)
    family = row.family(*row.args)
    call = truncated(row.call(*row.args), low, high)
    x = values_between(row, low, high)
    with np.errstate(divide="ignore"):
        log_f = family.logpmf(x) if row.discrete else family.logpdf(x)
        wanted = log_f - log_mass(family, a, b)
    close = 1e-11 if b - a > 1e-3 or row.discrete else 1e-9  # scipy's differ by few digits there
    got = [log_prob(v, call) for v in x]
    np.testing.assert_allclose(got, wanted, rtol=close, atol=1e-12)
    if np.all(np.isfinite(wanted)):
        together = log_prob(x, truncated(row.call(*row.args), low, high, size=len(x)))
        np.testing.assert_allclose(together, np.sum(wanted), rtol=close, atol=1e-12)
    for outside in (a - 1.0, b + 1.0):
        assert not np.isfinite(outside) or log_prob(outside, call) == -np.inf


@with_limits(ROWS)
def test_the_mass_at_a_censoring_limit_is_what_lies_there_and_beyond(row, low, high):
    family = row.family(*row.args)
    with np.errstate(divide="ignore"):
        low_mass = -np.inf if low is None else family.logcdf(low)
        high_mass = np.inf if high is None else family.logsf(high - (1.0 if row.discrete else 0.0))
    if low is not None and low == high:
        call = censored(row.call(*row.args), low=low)  # of two limits at one place, low comes first
    else:
        call = censored(row.call(*row.args), low, high)
    if low is not None:
        np.testing.assert_allclose(log_prob(low, call), low_mass, rtol=row.rtol, atol=1e-15)
        assert log_prob(low - 1.0, call) == log_prob(low, call)
    if high is not None and low != high:
        np.testing.assert_allclose(log_prob(high, call), high_mass, rtol=row.rtol, atol=1e-15)
        assert log_prob(high + 1.0, call) == log_prob(high, call)


@rows_of(ROWS)
def test_entries_with_their_own_arguments_and_limits_are_each_computed_as_if_alone(row):
    rng = np.random.default_rng(0)
    n = 40
    limits = [row.limits[i % len(row.limits)] for i in range(n)]
    low, high = np.array([ends(*pair) for pair in limits]).T
    if row.name.startswith("categorical"):
        base = row.call(*row.args)
    else:
        around = 1.0 + 0.1 * rng.random((len(row.args), n))
        args = [
            np.full(n, a) if i in row.fixed else a * r
            for i, (a, r) in enumerate(zip(row.args, around, strict=True))
        ]
        base = row.call(*args)
    x = np.array([values_between(row, *pair)[0] for pair in limits])
    x = np.where(rng.random(n) < 0.3, np.where(np.isfinite(high), high, x), x)
    for make in (truncated, censored):
        call = make(base, low, high)
        each = [
            log_prob(v, Call(call.fn, tuple(_entry(a, i, n) for a in call.args), None))
            for i, v in enumerate(x)
        ]
        with np.errstate(all="ignore"):
            got = call.log_probs(x)
        np.testing.assert_allclose(got, each, rtol=1e-12, atol=1e-13)


def _entry(a, i, n):
    return a[i] if np.shape(a) == (n,) else a


@rows_of(CONTINUOUS)
@pytest.mark.parametrize("width", [1e-3, 1e-6, 1e-10])
def test_two_limits_that_are_close_cost_no_digits(row, width):
    low = 0.45
    high = low + width
    x = low + 0.5 * width
    got = log_prob(x, truncated(row.call(*row.args), low, high)) + math.log(high - low)
    bend = hessian(lambda v: traced(v[0], row.call(*row.args)), [x])[0, 0]
    slope = gradient(lambda v: traced(v, row.call(*row.args)), x)
    wanted = -(bend + slope**2) * width**2 / 24.0
    np.testing.assert_allclose(got, wanted, atol=2e-12 + 2e-16 / width + width**3)


def test_two_limits_that_are_close_only_in_probability_cost_no_digits():
    """The limits are a power of ten apart, and a tail changes by less than a quarter."""
    with mpmath.workdps(40):
        wanted = float(mpmath.log(mpmath.exp(-1) - mpmath.exp(-(10 ** mpmath.mpf(0.1)))))
    base = weibull(0.1, 1.0)
    call = truncated(base, 1.0, 10.0)
    for log_p in (call.log_prob(2.0), call.log_probs([2.0])[0]):
        np.testing.assert_allclose(base.log_prob(2.0) - log_p, wanted, rtol=1e-12)


@pytest.mark.parametrize("limits", [(-1.0, 2.0), (31.0, 32.0), (-np.inf, 1.0), (0.0, np.inf)])
def test_truncated_normal_is_a_name_for_a_truncated_normal(limits):
    x = max(limits[0], -5.0) + 0.25
    named, general = truncated_normal(0.1, 1.5, *limits), truncated(normal(0.1, 1.5), *limits)
    assert named.log_prob(x) == general.log_prob(x)
    assert named.sample(rng=0) == general.sample(rng=0)
    assert repr(general.fn) == "truncated_normal(mu, std, low, high)"


# --- Far out, by mpmath


def gamma_above(shape, x):
    return mpmath.gammainc(shape, x, mpmath.inf, regularized=True)


def gamma_below(shape, x):
    """By its series, which keeps its digits however small the mass is."""
    total = mpmath.hyp1f1(1, 1 + shape, x) / shape
    return total * mpmath.exp(shape * mpmath.log(x) - x - mpmath.loggamma(shape))


def beta_below(a, b, x):
    total = mpmath.hyp2f1(1, a + b, a + 1, x) / a
    return total * x**a * (1 - x) ** b / mpmath.beta(a, b)


def t_above(df, x):
    return beta_below(df / 2, mpmath.mpf(1) / 2, df / (df + x * x)) / 2


FAR = [
    # the base, whether above the limit, the limit, and P by the arguments and the limit
    ("gamma-above", gamma(2.3, scale=1.5), True, 1000.0, lambda a, s, x: gamma_above(a, x / s)),
    ("gamma-below", gamma(2.3, scale=1.5), False, 1e-30, lambda a, s, x: gamma_below(a, x / s)),
    ("gamma-flat", gamma(0.1, scale=1.0), False, 1e-100, lambda a, s, x: gamma_below(a, x / s)),
    ("gamma-flatter", gamma(0.01, scale=1.0), True, 5.0, lambda a, s, x: gamma_above(a, x / s)),
    ("gamma-large", gamma(1e4, scale=1.0), True, 1.1e4, lambda a, s, x: gamma_above(a, x / s)),
    ("gamma-rate", gamma(2.3, rate=1.5), True, 300.0, lambda a, r, x: gamma_above(a, x * r)),
    ("inv_gamma-above", inv_gamma(2.3, 1.5), True, 1e30, lambda a, s, x: gamma_below(a, s / x)),
    ("inv_gamma-below", inv_gamma(2.3, 1.5), False, 0.001, lambda a, s, x: gamma_above(a, s / x)),
    ("beta-below", beta(2.0, 3.0), False, 1e-100, beta_below),
    ("beta-above", beta(0.5, 0.5), True, 1.0 - 1e-13, lambda a, b, x: beta_below(b, a, 1 - x)),
    ("beta-uneven", beta(1e4, 0.3), False, 0.99, beta_below),
    ("beta-large", beta(2e3, 3e3), True, 0.6, lambda a, b, x: beta_below(b, a, 1 - x)),
    ("t-far", student_t(3.0, 0.0, 1.0), True, 1e50, lambda v, c, s, x: t_above(v, (x - c) / s)),
    ("t-flat", student_t(0.05, 0.0, 1.0), True, 3.0, lambda v, c, s, x: t_above(v, (x - c) / s)),
    ("t-light", student_t(1e3, 0.5, 2.0), True, 50.0, lambda v, c, s, x: t_above(v, (x - c) / s)),
    ("t-below", student_t(3.0, 0.0, 1.0), False, -1e9, lambda v, c, s, x: t_above(v, (c - x) / s)),
    ("half_cauchy", half_cauchy(1.5), True, 1e30, lambda s, x: 2 * mpmath.atan(s / x) / mpmath.pi),
    (
        "cauchy",
        cauchy(0.5, 1.5),
        False,
        1e8,
        lambda c, s, x: 1 - mpmath.atan(s / (x - c)) / mpmath.pi,
    ),
    ("half_normal", half_normal(2.0), False, 13.0, lambda s, x: mpmath.erf(x / s / mpmath.sqrt(2))),
    ("poisson-above", poisson(3.5), True, 400, lambda r, x: gamma_below(x, r)),
    ("poisson-below", poisson(1e3), False, 3, lambda r, x: gamma_above(x + 1, r)),
    ("poisson-many", poisson(1e6), False, 990000, lambda r, x: gamma_above(x + 1, r)),
    ("poisson-most", poisson(0.001), False, 5, lambda r, x: gamma_above(x + 1, r)),
    ("binomial", binomial(1000, 0.3), True, 900, lambda n, p, x: beta_below(x, n - x + 1, p)),
    ("neg_binomial", neg_binomial(0.1, 0.01), True, 9000, lambda r, p, x: beta_below(x, r, 1 - p)),
    (
        "neg_binomial-many",
        neg_binomial(1.5, 1e-5),
        False,
        999,
        lambda r, p, x: beta_below(r, x + 1, p),
    ),
    ("geometric", geometric(1e-9), True, 10**12, lambda p, x: (1 - p) ** x),
]


@pytest.mark.parametrize(
    ("base", "upper", "limit", "mass"), [pytest.param(*row, id=name) for name, *row in FAR]
)
def test_tails_and_their_gradients_keep_their_digits_far_out(base, upper, limit, mass):
    side = "high" if upper else "low"
    args = [mpmath.mpf(a) for a in base.args]
    with mpmath.workdps(60):
        exact = mpmath.log(mass(*args, mpmath.mpf(limit)))
    assert log_prob(limit, censored(base, **{side: limit})) == pytest.approx(
        float(exact), rel=1e-11, abs=0.0
    )
    for i, name in enumerate(base.fn.arguments):
        if name == "n":
            continue

        def moved(a, i=i):
            own = [*base.args[:i], a, *base.args[i + 1 :]]
            return traced(limit, censored(Call(base.fn, tuple(own), None), **{side: limit}))

        with mpmath.workdps(120):
            h = mpmath.mpf(10) ** -25 * (abs(args[i]) or 1)

            def at(step, i=i):
                own = [*args[:i], args[i] + step, *args[i + 1 :]]
                return mpmath.log(mass(*own, mpmath.mpf(limit)))

            slope = (at(h) - at(-h)) / (2 * h)
        assert gradient(moved, float(base.args[i])) == pytest.approx(
            float(slope), rel=1e-9, abs=0.0
        )


# --- Gradients


def limited_calls(row: Row):
    """Functions from the arguments and limits to calls, where they are, and a value."""
    for low, high in row.limits:
        if row.discrete and low == high:
            continue
        for make in (truncated, censored):
            limits = [v for v in (low, high) if v is not None]

            def build(*args, make=make, low=low, high=high):
                own = args[: len(row.args)]
                given = list(args[len(row.args) :])
                a = None if low is None else given.pop(0)
                b = None if high is None else given.pop(0)
                return make(row.call(*own), a, b)

            inside = values_between(row, low, high)
            points = [inside[0]] if make is truncated else [inside[0], *limits]
            for x in points:
                yield build, [*row.args, *limits], x


@rows_of(ROWS)
def test_every_gradient_and_second_derivative_is_that_of_central_differences(row):
    for build, at, x in limited_calls(row):
        for i in range(len(at)):
            if i in row.fixed or (row.discrete and i >= len(row.args)):
                continue
            at_limit = i >= len(row.args) and x == at[i]

            def f(t, i=i, build=build, at=at, x=x, at_limit=at_limit):
                moved = at[i] + t
                value = moved if at_limit else x  # a value at a limit moves with it
                return traced(value, build(*at[:i], moved, *at[i + 1 :]))

            if f(0.0) == -np.inf:
                assert gradient(f, 0.0) == 0.0
                continue
            narrow = i >= len(row.args) and len(at) == len(row.args) + 2
            h = min(1e-5, 1e-3 * (at[-1] - at[-2])) if narrow else 1e-5
            slope = gradient(f, 0.0)
            rough = (f(h) - f(-h)) / (2 * h)
            np.testing.assert_allclose(slope, rough, rtol=1e-6, atol=1e-6)
            curve = (gradient(f, h) - gradient(f, -h)) / (2 * h)
            bend = hessian(lambda t, f=f: f(t[0]), [0.0])[0, 0]
            np.testing.assert_allclose(bend, curve, rtol=1e-5, atol=1e-5)


def test_a_table_of_probabilities_has_the_gradient_of_free_entries():
    probs = np.array([0.1, 0.2, 0.3, 0.4])
    slope = gradient(lambda p: traced(2, truncated(categorical(p), 1, 2)), probs)
    np.testing.assert_allclose(slope, [0.0, -2.0, 1.0 / 0.3 - 2.0, 0.0])
    slope = gradient(lambda p: traced(2, censored(categorical(p), high=2)), probs)
    np.testing.assert_allclose(slope, [0.0, 0.0, 1.0 / 0.7, 1.0 / 0.7])


def test_a_batch_of_counts_sums_the_gradients_of_its_entries():
    x = np.array([1, 3, 2, 5])
    rate = np.array([0.5, 2.0, 3.0, 4.0])
    together = gradient(lambda r: traced(x, truncated(poisson(r), low=1)), rate)
    alone = [
        gradient(lambda r, v=v: traced(int(v), truncated(poisson(r), low=1)), float(r))
        for v, r in zip(x, rate, strict=True)
    ]
    np.testing.assert_allclose(together, alone, rtol=1e-12)
    np.testing.assert_allclose(alone, x / rate - 1.0 / -np.expm1(-rate), rtol=1e-12)


def test_some_entries_at_a_limit_share_the_gradient_of_one_argument():
    x = np.array([0.5, 2.0, 1.0, 2.0])

    def f(shape):
        return traced(x, censored(gamma(shape, scale=1.0), high=2.0))

    h = 1e-6
    np.testing.assert_allclose(gradient(f, 1.3), (f(1.3 + h) - f(1.3 - h)) / (2 * h), rtol=1e-8)


# --- Draws


def draws(rows):
    """Every row and limits, and some far out where no draw of the base would lie."""
    far = [
        (Row("far-normal", normal, (0.0, 1.0), stats.norm, ()), 20.0, 20.1),
        (Row("far-t", student_t, (3.0, 0.0, 1.0), stats.t, ()), None, -1e4),
        (Row("far-poisson", poisson, (2.0,), stats.poisson, ()), 20, None),
        (Row("many-poisson", poisson, (1e6,), stats.poisson, ()), 999000, 1001000),
        (Row("many-failures", neg_binomial, (0.02, 1e-4), stats.nbinom, ()), 10, None),
    ]
    usual = [(r, low, high) for r in rows for low, high in r.limits]
    return [pytest.param(*row, id=f"{row[0].name}-{row[1]}-{row[2]}") for row in usual + far]


@pytest.mark.parametrize(("row", "low", "high"), draws(ROWS))
def test_truncated_draws_follow_the_density(row, low, high):
    a, b = ends(low, high)
    family = row.family(*row.args)
    drawn = sample(truncated(row.call(*row.args), low, high, size=3000), rng=1)
    assert np.all((drawn >= a) & (drawn <= b))
    if not row.discrete:
        if row.name.startswith("far"):
            tail = family.sf if a > 0.0 else family.cdf
            start, end = (tail(a), tail(b)) if a > 0.0 else (0.0, tail(b))
            found = (tail(drawn) - start) / (end - start)
        else:
            found = (family.cdf(drawn) - family.cdf(a)) / (family.cdf(b) - family.cdf(a))
        assert stats.kstest(found, stats.uniform.cdf).pvalue > FAILURE_RATE
        return
    assert drawn.dtype == (bool if row.name.startswith("bernoulli") else np.int64)
    start = family.cdf(a - 1.0) if row.name != "far-poisson" else 0.0
    mass = family.sf(a - 1.0) if row.name == "far-poisson" else family.cdf(b) - start
    edges = np.unique(np.quantile(1 * drawn, np.linspace(0.0, 1.0, 12)).astype(int))
    expected, found = [], []
    for left, right in zip([-np.inf, *edges], [*edges, np.inf], strict=True):
        left, right = max(left, a - 1.0), min(right, b)
        if row.name == "far-poisson":
            expected.append(3000 * (family.sf(left) - family.sf(right)) / mass)
        else:
            expected.append(3000 * (family.cdf(right) - family.cdf(left)) / mass)
        found.append(np.sum((drawn > left) & (drawn <= right)))
    some = np.array(expected) > 1e-9
    assert np.sum(np.array(found)[~some]) == 0
    if np.sum(some) > 1:
        found, expected = np.array(found)[some], np.array(expected)[some]
        expected = expected * np.sum(found) / np.sum(expected)
        assert stats.chisquare(found, expected).pvalue > FAILURE_RATE


@rows_of(ROWS)
def test_censored_draws_lie_at_a_limit_as_often_as_beyond(row):
    low, high = row.limits[2][1], None
    call = censored(row.call(*row.args), low, high, size=4000)
    drawn = sample(call, rng=2)
    kind = np.int64 if row.discrete else np.float64
    assert drawn.dtype == (bool if row.name.startswith("bernoulli") else kind)
    mass = row.family(*row.args).cdf(low)
    found = int(np.sum(drawn == low))
    assert stats.binomtest(found, 4000, min(mass, 1.0)).pvalue > FAILURE_RATE


@pytest.mark.parametrize("family", [normal, laplace, logistic, cauchy])
def test_arguments_of_a_batch_are_drawn_between_limits_that_they_share(family):
    drawn = sample(truncated(family(np.array([-3.0, 0.0, 40.0]), 1.5), -1.0, 2.0))
    assert drawn.shape == (3,)
    assert np.all((drawn >= -1.0) & (drawn <= 2.0))


def test_a_draw_has_the_shape_of_its_arguments_and_obeys_each_limit():
    rate = np.array([[0.5], [20.0]])
    low = np.array([0.0, 3.0, 40.0])
    drawn = sample(truncated(poisson(rate), low=low, size=(100, 2, 3)))
    assert drawn.shape == (100, 2, 3)
    assert np.all(drawn >= low)
    assert type(sample(truncated(poisson(2.0), low=1))) is int
    assert type(sample(truncated(gamma(2.0, scale=1.0), low=1.0))) is float
    assert sample(truncated(bernoulli(0.01), low=1)) is True
    drawn = sample(truncated(categorical([0.2, 0.3, 0.5]), low=np.array([0, 2]), size=(50, 2)))
    assert drawn.shape == (50, 2)
    assert np.all(drawn[:, 1] == 2)


# --- Edges


def test_limits_of_a_discrete_base_are_inside():
    assert log_prob(3, truncated(poisson(2.0), 3, 3)) == pytest.approx(0.0, abs=1e-15)
    np.testing.assert_allclose(
        log_prob(0, censored(poisson(2.0), low=0)), poisson.log_prob(0, 2.0), rtol=1e-14
    )
    np.testing.assert_allclose(
        log_prob(9, censored(binomial(9, 0.4), high=9)), binomial.log_prob(9, 9, 0.4), rtol=1e-14
    )
    assert log_prob(12, censored(binomial(9, 0.4), low=12)) == 0.0
    assert log_prob(0, censored(binomial(9, 0.4), high=0)) == 0.0
    assert log_prob(-1, censored(poisson(2.0), low=-1)) == -np.inf
    assert log_prob(10, censored(binomial(9, 0.4), high=10)) == -np.inf
    assert log_prob(2.5, truncated(poisson(2.0), 1, 4)) == -np.inf
    assert log_prob(np.inf, censored(categorical([0.5, 0.5]), high=1)) == -np.inf


def test_a_base_that_is_one_value_stays_it():
    assert log_prob(0, truncated(poisson(0.0), high=4)) == 0.0
    assert log_prob(4, censored(poisson(0.0), high=4)) == -np.inf
    assert log_prob(3, truncated(binomial(3, 1.0), low=1)) == 0.0
    assert sample(truncated(geometric(1.0), high=4, size=5)).tolist() == [0] * 5


def test_where_there_is_no_density_there_is_no_gradient():
    for make, x in [
        (lambda a: truncated(gamma(a, scale=1.0), 0.5, 2.0), 3.0),
        (lambda a: truncated(poisson(a), 1, 4), 0),
        (lambda a: censored(gamma(a, scale=1.0), low=-1.0), -1.0),
        (lambda a: truncated(categorical(logits=np.stack([a, 0.2, 0.1])), high=1), 2),
    ]:
        f = lambda a, make=make, x=x: traced(x, make(a))  # noqa: E731
        assert f(0.7) == -np.inf
        assert gradient(f, 0.7) == 0.0
        assert hessian(lambda t, f=f: f(t[0]), [0.7])[0, 0] == 0.0


def test_a_limit_of_a_discrete_base_has_no_derivative():
    with pytest.raises(DistributionError, match="no derivative by low"):
        gradient(lambda low: traced(3, truncated(poisson(2.0), low=low)), 2.0)
    with pytest.raises(DistributionError, match="no derivative by high"):
        gradient(lambda high: traced(np.array([3, 4]), censored(poisson(2.0), high=high)), 4.0)


# --- Refusals


@pytest.mark.parametrize("make", [truncated, censored])
@pytest.mark.parametrize(
    ("base", "message"),
    [
        (mvnormal([0.0, 1.0], np.eye(2)), "values of mvnormal are vectors or matrices"),
        (dirichlet([1.0, 1.0]), "values of dirichlet are vectors"),
        (multinomial(3, [0.5, 0.5]), "values of multinomial are vectors"),
        (product([normal(0.0, 1.0)]), "values of product of normal are tuples"),
        (mixture([0.5, 0.5], normal([0.0, 1.0], 1.0)), "the tails of mixture of normal; it takes"),
    ],
)
def test_a_base_without_order_or_known_tails_is_refused_by_name(make, base, message):
    with pytest.raises(ArgumentError, match=message):
        make(base, low=0.5)


def test_limits_that_make_no_sense_are_refused():
    for call, x, message in [
        (truncated(poisson(1.0), low=0.5), 1, "low of truncated poisson must be a whole number"),
        (censored(categorical([0.5, 0.5]), high=0.5), 1, "high of censored categorical must be"),
        (truncated(poisson(1.0), 3, 2), 3, "needs low at most high"),
        (truncated(gamma(1.0, scale=1.0), 2.0, 2.0), 2.0, "needs low below high"),
        (truncated(binomial(3, 0.5), low=4), 4, "binomial has no mass between"),
        (truncated(beta(2.0, 3.0), low=1.0), 1.0, "beta has no mass between"),
        (truncated(categorical([0.5, 0.5, 0.0]), low=2), 2, "categorical has no mass between"),
        (truncated(gamma(-1.0, scale=1.0), low=1.0), 2.0, "shape of truncated gamma"),
        (truncated(uniform_discrete(3, 1), low=0), 2, re.escape("needs low at most high")),
    ]:
        with pytest.raises(DistributionError, match=message):
            log_prob(x, call)
        with pytest.raises(DistributionError, match=message):
            sample(call)
