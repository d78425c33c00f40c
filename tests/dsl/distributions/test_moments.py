"""Means, variances and distribution functions are the ones of scipy, for every distribution."""

from typing import Any

import numpy as np
import pytest
from scipy import special, stats
from test_table import BATCH, ROWS, by_name
from test_table import truncated as truncated_by_scipy

from genparams import (
    affine,
    bernoulli,
    beta,
    categorical,
    cauchy,
    censored,
    exponential,
    from_scipy,
    gamma,
    half_cauchy,
    interval,
    inv_gamma,
    laplace,
    logistic,
    lognormal,
    mixture,
    mvnormal,
    neg_binomial,
    normal,
    poisson,
    positive,
    product,
    student_t,
    transformed,
    truncated,
    uniform,
    weibull,
    zero_inflated,
)
from genparams.dsl.distributions.statistics.functions import cdf, mean, std, variance

INF = np.inf


def truncated_above(mu: Any, std: Any, low: Any) -> Any:
    return truncated_by_scipy(mu, std, low, INF)


SCIPY: dict[str, Any] = {
    "normal": stats.norm,
    "lognormal": lambda mu, sigma: stats.lognorm(sigma, scale=np.exp(mu)),
    "student_t": stats.t,
    "laplace": stats.laplace,
    "uniform": lambda low, high: stats.uniform(low, high - low),
    "exponential": lambda rate: stats.expon(scale=1.0 / rate),
    "gamma-by-scale": lambda shape, scale: stats.gamma(shape, scale=scale),
    "gamma-by-rate": lambda shape, rate: stats.gamma(shape, scale=1.0 / rate),
    "beta": stats.beta,
    "bernoulli": stats.bernoulli,
    "bernoulli-by-logits": lambda logits: stats.bernoulli(special.expit(logits)),
    "binomial": stats.binom,
    "binomial-by-logits": lambda n, logits: stats.binom(n, special.expit(logits)),
    "poisson": stats.poisson,
    "cauchy": stats.cauchy,
    "logistic": stats.logistic,
    "inv_gamma": lambda shape, scale: stats.invgamma(shape, scale=scale),
    "weibull": lambda shape, scale: stats.weibull_min(shape, scale=scale),
    "half_normal": lambda scale: stats.halfnorm(scale=scale),
    "half_cauchy": lambda scale: stats.halfcauchy(scale=scale),
    "truncated_normal": truncated_by_scipy,
    "truncated_normal-above": truncated_above,
    "truncated_normal-below": lambda mu, std, high: truncated_by_scipy(mu, std, -INF, high),
    "truncated_normal-short": truncated_by_scipy,
    "geometric": lambda p: stats.geom(p, loc=-1),
    "neg_binomial": stats.nbinom,
    "beta_binomial": stats.betabinom,
    "uniform_discrete": lambda low, high: stats.randint(low, high + 1),
}
"""A frozen distribution of scipy, by the arguments of a row."""

BY_DRAWS = {"beta_uniform", "piecewise_uniform", "multinomial", "dirichlet"}
BY_DRAWS |= {"mvnormal", "mvnormal-by-factor", "mixture-of-normals", "mixture-of-mvnormals"}
BY_DRAWS |= {"mixture-of-normal-and-laplace", "mixture-of-poissons", "autoregressive"}
"""Rows that scipy has no moments for: these agree with the draws."""

NO_MOMENTS = {"categorical", "categorical-by-logits", "von_mises"}
"""Rows whose mean depends on the names of categories, or on where a circle is cut."""

NO_CDF = {"categorical", "categorical-by-logits", "multinomial", "mvnormal", "dirichlet"}
NO_CDF |= {"autoregressive", "mvnormal-by-factor", "mixture-of-mvnormals"}

every_row = pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in ROWS])


def chosen(names: Any) -> Any:
    rows = [pytest.param(row, id=row.name) for row in ROWS if row.name in names]
    assert len(rows) == len(names)
    return pytest.mark.parametrize("row", rows)


def test_every_row_has_moments_to_compare_or_none():
    assert {row.name for row in ROWS} == SCIPY.keys() | BY_DRAWS | NO_MOMENTS


def same(found: Any, wanted: Any, rtol: float = 1e-9) -> None:
    assert np.shape(found) == np.shape(wanted)
    np.testing.assert_allclose(found, wanted, rtol=rtol, atol=1e-13)


@chosen(SCIPY.keys())
@pytest.mark.parametrize("shape", [(), BATCH])
@pytest.mark.parametrize("seed", range(4))
def test_the_moments_are_the_ones_of_scipy(row, shape, seed):
    args = row.settings(seed, shape)
    call, reference = row.call(*args), SCIPY[row.name](*args)
    # scipy's variance between close limits is a difference
    rtol = 1e-5 if row.name == "truncated_normal-short" else 1e-8
    # where there is no mean there is no variance, but scipy has an infinite mean of Student's t
    middle = np.where(np.isnan(reference.var()), np.nan, reference.mean())
    same(mean(call.fn, call.args), np.broadcast_to(middle, shape))
    same(variance(call.fn, call.args), np.broadcast_to(reference.var(), shape), rtol)
    same(std(call.fn, call.args), np.broadcast_to(reference.std(), shape), rtol)


@chosen(BY_DRAWS)
def test_the_moments_are_the_ones_of_draws(row):
    """Each z is within 5, which fails once in 1e6 for each entry."""
    n = 20_000
    args = row.settings(1, (2,))
    call = row.call(*args)
    x = call.fn.sample(size=(n, 2), rng=3, **by_name(call))
    middle, spread = mean(call.fn, call.args), variance(call.fn, call.args)
    assert middle.shape == spread.shape == x.shape[1:]
    off = x - middle
    assert np.max(np.abs(np.mean(off, axis=0)) * np.sqrt(n / spread)) < 5.0
    error = np.std(off**2, axis=0) / np.sqrt(n)
    assert np.max(np.abs(np.mean(off**2, axis=0) - spread) / error) < 5.0


@chosen(NO_MOMENTS)
def test_moments_that_are_not_known_are_none(row):
    call = row.call(*row.settings(0))
    assert (
        mean(call.fn, call.args) is variance(call.fn, call.args) is std(call.fn, call.args) is None
    )


@every_row
@pytest.mark.parametrize("seed", range(4))
def test_moments_broadcast_as_draws_do(row, seed):
    args = row.mixed_settings(seed)
    call = row.call(*args)
    found = mean(call.fn, call.args)
    if found is not None:
        assert found.shape == np.shape(call.fn.sample(rng=0, **by_name(call)))
        assert variance(call.fn, call.args).shape == found.shape


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        (student_t(1.0, 0.0, 2.0), (np.nan, np.nan)),
        (student_t(1.5, 3.0, 2.0), (3.0, INF)),
        (student_t(2.0, 3.0, 2.0), (3.0, INF)),
        (inv_gamma(0.5, 2.0), (INF, INF)),
        (inv_gamma(2.0, 2.0), (2.0, INF)),
        (cauchy(0.0, 1.0), (np.nan, np.nan)),
        (half_cauchy(1.0), (INF, INF)),
    ],
)
def test_a_moment_that_is_infinite_or_none_says_so(call, wanted):
    np.testing.assert_equal((mean(call.fn, call.args), variance(call.fn, call.args)), wanted)


# --- Distribution functions


@every_row
@pytest.mark.parametrize("seed", range(3))
def test_the_distribution_function_is_the_one_of_scipy(row, seed):
    args = row.settings(seed)
    call = row.call(*args)
    x = row.values(seed, args, (40,))
    found = cdf(call.fn, x, call.args)
    if row.name in NO_CDF:
        assert found is None
        return
    if row.cdf is not None:
        np.testing.assert_allclose(found, row.cdf(x, *args), rtol=1e-9, atol=1e-12)
        return
    k = np.arange(-2, 60)
    wanted = np.cumsum(np.exp([row.log_prob(v, *args) for v in k.tolist()]))
    np.testing.assert_allclose(cdf(call.fn, k, call.args), wanted, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(cdf(call.fn, k + 0.5, call.args), wanted, rtol=1e-9, atol=1e-15)


@every_row
@pytest.mark.parametrize("seed", range(4))
def test_a_distribution_function_broadcasts_and_rises_from_0_to_1(row, seed):
    if row.name in NO_CDF:
        return
    args = row.mixed_settings(seed)
    call = row.call(*args)
    low, middle, high = (cdf(call.fn, x, call.args) for x in (-1e8, np.full(BATCH, 0.7), 1e8))
    assert middle.shape == BATCH
    assert np.all((low >= 0.0) & (low < 0.02))
    assert np.all((high <= 1.0) & (high > 0.98))
    assert np.all((middle >= low) & (middle <= high))
    assert np.all(np.isnan(cdf(call.fn, np.nan, call.args)))
    assert np.all(cdf(call.fn, -INF, call.args) == 0.0)
    np.testing.assert_allclose(cdf(call.fn, INF, call.args), 1.0, rtol=1e-15)


def between(base: Any, low: float, high: float, x: Any) -> Any:
    """A distribution function between limits, by the one of scipy."""
    below = base.cdf(low)
    return (base.cdf(np.clip(x, low, high)) - below) / (base.cdf(high) - below)


X = np.array([-8.0, -1.0, -0.5, 0.0, 0.3, 1.0, 1.5, 2.0, 3.7, 9.0])
LOGNORMAL = stats.lognorm(0.8, scale=np.exp(0.3))
MADE = {
    "truncated normal": (
        truncated(normal(0.3, 1.2), -1.0, 2.0),
        between(stats.norm(0.3, 1.2), -1.0, 2.0, X),
    ),
    "truncated gamma": (
        truncated(gamma(2.0, scale=1.5), low=1.0),
        between(stats.gamma(2.0, scale=1.5), 1.0, INF, X),
    ),
    "truncated cauchy": (
        truncated(cauchy(0.3, 1.2), high=2.0),
        between(stats.cauchy(0.3, 1.2), -INF, 2.0, X),
    ),
    "truncated poisson": (
        truncated(poisson(2.0), low=1, high=8),
        between(stats.poisson(2.0), 0, 8, X),
    ),
    "censored normal": (
        censored(normal(0.3, 1.2), -1.0, 2.0),
        np.where(X < -1.0, 0.0, np.where(X >= 2.0, 1.0, stats.norm.cdf(X, 0.3, 1.2))),
    ),
    "censored poisson": (
        censored(poisson(2.0), high=3),
        np.where(X >= 3, 1.0, stats.poisson.cdf(X, 2.0)),
    ),
    "zero-inflated": (
        zero_inflated(0.3, neg_binomial(1.5, 0.4)),
        np.where(X < 0.0, 0.0, 0.3 + 0.7 * stats.nbinom.cdf(X, 1.5, 0.4)),
    ),
    "lognormal": (transformed(normal(0.3, 0.8), positive), LOGNORMAL.cdf(X)),
    "interval": (
        transformed(logistic(0.0, 1.0), interval(-1.0, 2.0)),
        stats.uniform.cdf(X, -1.0, 3.0),
    ),
    "affine": (
        transformed(gamma(2.0, scale=1.5), affine(1.0, -2.0)),
        stats.gamma.sf((X - 1.0) / -2.0, 2.0, scale=1.5),
    ),
    "mixture": (
        mixture([0.3, 0.7], [normal(0.0, 1.0), laplace(1.0, 2.0)]),
        0.3 * stats.norm.cdf(X) + 0.7 * stats.laplace.cdf(X, 1.0, 2.0),
    ),
}


@pytest.mark.parametrize("name", MADE)
def test_the_distribution_function_of_what_is_made_of_others(name):
    call, wanted = MADE[name]
    np.testing.assert_allclose(cdf(call.fn, X, call.args), wanted, rtol=1e-9, atol=1e-14)


MOMENTS = {
    "truncated exponential": (
        truncated(exponential(0.5), high=3.0),
        stats.truncexpon(1.5, scale=2.0),
    ),
    "truncated poisson": (
        truncated(poisson(2.0), low=1),
        stats.rv_discrete(
            values=(np.arange(1, 60), stats.poisson.pmf(np.arange(1, 60), 2.0) / -np.expm1(-2.0))
        ),
    ),
    "zero-inflated": (
        zero_inflated(0.3, poisson(2.0)),
        stats.rv_discrete(
            values=(
                np.arange(60),
                0.3 * (np.arange(60) == 0) + 0.7 * stats.poisson.pmf(np.arange(60), 2.0),
            )
        ),
    ),
    "affine": (
        transformed(gamma(2.0, scale=1.5), affine(1.0, 2.0)),
        stats.gamma(2.0, loc=1.0, scale=3.0),
    ),
}


@pytest.mark.parametrize("name", MOMENTS)
def test_the_moments_of_what_is_made_of_others(name):
    call, reference = MOMENTS[name]
    np.testing.assert_allclose(mean(call.fn, call.args), reference.mean(), rtol=1e-10)
    np.testing.assert_allclose(variance(call.fn, call.args), reference.var(), rtol=1e-9)


def test_moments_of_a_product_are_tuples():
    call = product([normal(0.3, 2.0), mvnormal([1.0, 2.0], np.eye(2))])
    first, second = mean(call.fn, call.args)
    assert first == 0.3
    np.testing.assert_array_equal(second, [1.0, 2.0])
    assert std(call.fn, call.args)[0] == 2.0


@pytest.mark.parametrize(
    "call",
    [
        censored(normal(0.0, 1.0), high=1.0),
        truncated(lognormal(0.0, 1.0), high=1.0),
        truncated(weibull(2.0, 1.0), high=1.0),
        transformed(normal(0.0, 1.0), positive),
        from_scipy(stats.gumbel_r)(0.0, 1.0),
        product([normal(0.0, 1.0), categorical([0.5, 0.5])]),
        categorical([0.5, 0.5], labels=["a", "b"]),
        mixture([0.5, 0.5], [product([poisson(1.0)]), product([poisson(2.0)])]),
    ],
    ids=repr,
)
def test_what_has_no_mean_in_closed_form_has_none(call):
    assert mean(call.fn, call.args) is variance(call.fn, call.args) is None


def test_what_has_no_distribution_function_has_none():
    calls = [from_scipy(stats.gumbel_r)(0.0, 1.0), product([normal(0.0, 1.0)])]
    assert all(cdf(call.fn, 0.5, call.args) is None for call in calls)


def test_far_tails_keep_their_digits():
    np.testing.assert_allclose(cdf(normal, -30.0, [0.0, 1.0]), stats.norm.cdf(-30.0), rtol=1e-12)
    np.testing.assert_allclose(cdf(beta, 1e-30, [0.5, 2.0]), stats.beta.cdf(1e-30, 0.5, 2.0))
    np.testing.assert_allclose(
        cdf(uniform, [-1.0, 0.25, 2.0], [0.0, 1.0]), [0.0, 0.25, 1.0], atol=0.0
    )
    np.testing.assert_allclose(cdf(bernoulli, [-1, 0, 1], [0.3]), [0.0, 0.7, 1.0])
