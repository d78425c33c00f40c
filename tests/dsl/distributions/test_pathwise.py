"""Path derivatives: each is the derivative of the quantile function at a fixed uniform number."""

from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import pytest
from common import slope
from scipy import integrate, optimize, special, stats

import genparams
from genparams import (
    Distribution,
    affine,
    beta,
    cauchy,
    censored,
    dirichlet,
    distribution,
    exponential,
    gamma,
    half_cauchy,
    half_normal,
    interval,
    inv_gamma,
    laplace,
    logistic,
    lognormal,
    mixture,
    mvnormal,
    normal,
    poisson,
    positive,
    product,
    simplex,
    student_t,
    transformed,
    truncated,
    truncated_normal,
    uniform,
    von_mises,
    weibull,
)
from genparams.autodiff import Tape, raw
from genparams.dsl.distributions.pathwise import has_path, moving


def von_mises_quantile(u, mu, kappa):
    def density(x, mu, kappa):
        return np.exp(kappa * np.cos(x - mu)) / (2.0 * np.pi * special.i0(kappa))

    def one(u, mu, kappa):
        def below(x):
            return integrate.quad(density, -np.pi, x, (mu, kappa), epsabs=1e-14)[0] - u

        return optimize.brentq(below, -np.pi, np.pi, xtol=1e-14)

    return np.vectorize(one)(u, mu, kappa)


def within(family):
    """The quantile function of a family between two limits."""

    def quantile(u, *args):
        *own, low, high = args
        at_low, at_high = family(*own).cdf(low), family(*own).cdf(high)
        return family(*own).ppf(at_low + u * (at_high - at_low))

    return quantile


@dataclass(frozen=True)
class Row:
    call: Any
    quantile: Any
    args: tuple[Any, ...]

    @property
    def fn(self):
        return self.call(*self.args).fn


LOC, SCALE = np.array([[-0.7], [1.3]]), np.array([0.6, 1.0, 2.5])
ROWS = {
    "normal": Row(normal, stats.norm.ppf, (LOC, SCALE)),
    "lognormal": Row(
        lognormal, lambda u, m, s: stats.lognorm.ppf(u, s, scale=np.exp(m)), (LOC, SCALE)
    ),
    "student_t": Row(student_t, stats.t.ppf, (np.array([[2.5], [7.0]]), 0.4, SCALE)),
    "laplace": Row(laplace, stats.laplace.ppf, (LOC, SCALE)),
    "cauchy": Row(cauchy, stats.cauchy.ppf, (LOC, SCALE)),
    "logistic": Row(logistic, stats.logistic.ppf, (LOC, SCALE)),
    "uniform": Row(uniform, lambda u, a, b: stats.uniform.ppf(u, a, b - a), (LOC, 2.0 + SCALE)),
    "exponential": Row(exponential, lambda u, r: stats.expon.ppf(u, scale=1.0 / r), (SCALE,)),
    "gamma": Row(
        lambda a, b: gamma(a, scale=b),
        lambda u, a, b: stats.gamma.ppf(u, a, scale=b),
        (np.array([[0.4], [3.0]]), SCALE),
    ),
    "gamma by rate": Row(
        lambda a, b: gamma(a, rate=b),
        lambda u, a, b: stats.gamma.ppf(u, a, scale=1.0 / b),
        (np.array([[0.4], [3.0]]), SCALE),
    ),
    "inv_gamma": Row(
        inv_gamma,
        lambda u, a, b: stats.invgamma.ppf(u, a, scale=b),
        (np.array([[1.4], [3.0]]), SCALE),
    ),
    "beta": Row(beta, stats.beta.ppf, (np.array([[0.7], [3.0]]), SCALE)),
    "weibull": Row(
        weibull,
        lambda u, a, b: stats.weibull_min.ppf(u, a, scale=b),
        (np.array([[0.8], [3.0]]), SCALE),
    ),
    "half_normal": Row(half_normal, lambda u, s: stats.halfnorm.ppf(u, scale=s), (SCALE,)),
    "half_cauchy": Row(half_cauchy, lambda u, s: stats.halfcauchy.ppf(u, scale=s), (SCALE,)),
    "von_mises": Row(von_mises, von_mises_quantile, (np.array([-2.5, 0.3]), 1.7)),
    "truncated_normal": Row(truncated_normal, within(stats.norm), (LOC, SCALE, -1.0, 2.5)),
    "truncated gamma": Row(
        lambda a, b, low, high: truncated(gamma(a, scale=b), low, high),
        within(lambda a, b: stats.gamma(a, scale=b)),
        (np.array([[0.9], [3.0]]), SCALE, 0.3, 2.0),
    ),
    "transformed by affine": Row(
        lambda m, s, a, b: transformed(normal(m, s), affine(a, b)),
        lambda u, m, s, a, b: a + b * stats.norm.ppf(u, m, s),
        (LOC, SCALE, 0.3, 1.7),
    ),
    "transformed to an interval": Row(
        lambda m, s: transformed(logistic(m, s), interval(-1.0, 2.0)),
        lambda u, m, s: interval(-1.0, 2.0).natural(stats.logistic.ppf(u, m, s)),
        (LOC, SCALE),
    ),
    "transformed to a simplex": Row(
        lambda m, s: transformed(normal(m, s), simplex),
        lambda u, m, s: simplex.natural(stats.norm.ppf(u, m, s)),
        (np.array([[-0.7, 0.2], [1.3, 0.1]]), np.array([0.5, 2.0])),
    ),
}
WITHOUT = {
    *("bernoulli", "beta_binomial", "binomial", "categorical", "geometric", "neg_binomial"),
    *("poisson", "uniform_discrete", "multinomial", "piecewise_uniform", "beta_uniform"),
}
"""Public distributions that have no path derivatives."""
VECTORS = {"mvnormal", "dirichlet"}


def test_every_public_distribution_has_path_derivatives_or_says_that_it_has_none():
    public = {n: getattr(genparams, n) for n in genparams.__all__}
    found = {n: has_path(d) for n, d in public.items() if isinstance(d, Distribution)}
    assert found == {n: n not in WITHOUT for n in found}
    assert {n for n, has in found.items() if has} <= {*ROWS, *VECTORS}


@pytest.mark.parametrize(
    "call",
    [
        mixture([0.5, 0.5], normal([0.0, 1.0], 1.0)),
        censored(normal(0.0, 1.0), low=0.0),
        truncated(poisson(2.0), high=3),
        product([normal(0.0, 1.0), poisson(2.0)]),
        transformed(mixture([0.5, 0.5], normal([0.0, 1.0], 1.0)), positive),
        distribution(lambda rng, a, size: rng.normal(a, 1.0, size), lambda x, a: -((x - a) ** 2))(
            0.0
        ),
    ],
    ids=lambda call: call.fn.__name__,
)
def test_a_distribution_made_of_others_without_paths_has_none(call):
    assert not has_path(call.fn)


def pulled(fn, x, args, g):
    """The gradients of sum(g x) by each argument."""
    with Tape() as tape:
        leaves = [tape.leaf(a) for a in args]
        box = moving(tape, fn, x, leaves)
        assert raw(box) is x
        return tape.gradients([(box, g)], leaves)


@pytest.mark.parametrize("name", ROWS)
def test_a_path_derivative_is_the_derivative_of_the_quantile_function(name):
    row, rng = ROWS[name], np.random.default_rng(1)
    args = [np.asarray(a, float) if np.ndim(a) else float(a) for a in row.args]
    u = rng.uniform(0.03, 0.97, np.broadcast_shapes(*map(np.shape, args)))
    x = np.asarray(row.quantile(u, *args))
    g = rng.normal(size=x.shape)
    found = pulled(row.fn, x, args, g)
    for i, a in enumerate(args):
        along = rng.normal(size=np.shape(a)) * 0.3

        def moved(step, i=i, a=a, along=along):
            changed = [*args[:i], a + step * along, *args[i + 1 :]]
            return float(np.sum(g * row.quantile(u, *changed)))

        assert np.shape(found[i]) == np.shape(a)
        assert np.sum(found[i] * along) == pytest.approx(slope(moved), rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("name", [n for n in ROWS if n != "transformed to a simplex"])
def test_a_path_derivative_of_one_number_is_that_of_an_entry(name):
    row = ROWS[name]
    args = [float(np.ravel(a)[-1]) for a in row.args]
    x = float(row.quantile(0.7, *args))
    found = pulled(row.fn, x, args, 2.0)
    entries = pulled(row.fn, np.array([x]), args, np.array([2.0]))
    assert all(type(g) is float for g in found)
    assert found == pytest.approx(entries, rel=1e-12)


@pytest.mark.parametrize("shape", [0.05, 0.7, 4.0, 300.0])
def test_the_derivatives_by_quadrature_have_nearly_all_digits(shape):
    def exact(mass, density, x):
        with mpmath.workdps(40):
            return float(-mpmath.diff(lambda a: mass(a, mpmath.mpf(x)), shape) / density(x))

    x = stats.gamma.ppf([0.001, 0.3, 0.9], shape)
    expected = [
        exact(
            lambda a, x: mpmath.gammainc(a, 0, x, regularized=True),
            lambda x: mpmath.exp(
                (shape - 1) * mpmath.log(x) - mpmath.mpf(x) - mpmath.loggamma(shape)
            ),
            v,
        )
        for v in x
    ]
    found = pulled(gamma(1.0, scale=1.0).fn, x, [np.full(3, shape), 1.0], np.ones(3))
    assert found[0] == pytest.approx(expected, rel=1e-10)
    x = stats.beta.ppf([0.001, 0.3, 0.9], shape, 2.0)
    expected = [
        exact(
            lambda a, x: mpmath.betainc(a, 2, 0, x, regularized=True),
            lambda x: mpmath.mpf(x) ** (shape - 1) * (1 - mpmath.mpf(x)) / mpmath.beta(shape, 2),
            v,
        )
        for v in x
    ]
    found = pulled(beta, x, [np.full(3, shape), 2.0], np.ones(3))
    assert found[0] == pytest.approx(expected, rel=1e-10)


def test_a_draw_at_the_end_of_its_support_does_not_move():
    found = pulled(gamma(1.0, scale=1.0).fn, np.array([0.0, 1.0]), [0.01, 1.0], np.array([1.0, 0]))
    assert found == [0.0, 0.0]
    assert pulled(weibull, 0.0, [0.5, 1.0], 1.0) == [0.0, 0.0]
    assert pulled(beta, np.array([1.0]), [0.01, 0.01], np.ones(1)) == [0.0, 0.0]


@pytest.mark.parametrize("batch", [(), (4,)])
def test_the_path_of_a_multivariate_normal_is_through_its_cholesky_factor(batch):
    rng = np.random.default_rng(2)
    mean, z = rng.normal(size=3), rng.normal(size=(*batch, 3))
    a = rng.normal(size=(3, 3))
    cov = a @ a.T + np.eye(3)
    factor = np.linalg.cholesky(cov)
    x, g = mean + z @ factor.T, rng.normal(size=z.shape)
    by_mean, by_cov = pulled(mvnormal, x, [mean, cov], g)
    also, by_factor = pulled(mvnormal(mean, scale_tril=factor).fn, x, [mean, factor], g)
    assert by_mean == pytest.approx(g.reshape(-1, 3).sum(axis=0))
    assert also == pytest.approx(by_mean)
    v = rng.normal(size=(3, 3))

    def by(cov_of):
        return slope(lambda step: float(np.sum(g * (z @ np.linalg.cholesky(cov_of(step)).T))))

    assert np.sum(by_cov * (v + v.T)) == pytest.approx(by(lambda s: cov + s * (v + v.T)), rel=1e-9)
    assert by_cov == pytest.approx(by_cov.T)
    assert by_factor == pytest.approx(
        np.tril(np.einsum("ni,nj->ij", g.reshape(-1, 3), z.reshape(-1, 3)))
    )


def test_by_each_concentration_a_dirichlet_moves_one_entry_as_a_beta():
    alpha, x = np.array([0.7, 2.0, 1.5, 4.0]), np.array([0.1, 0.35, 0.2, 0.35])
    g = np.array([0.3, -1.2, 0.8, 2.0])
    (found,) = pulled(dirichlet, x, [alpha], g)
    for j, (a, b) in enumerate(zip(alpha, alpha.sum() - alpha, strict=True)):
        u = stats.beta.cdf(x[j], a, b)

        def moved(step, j=j, a=a, b=b, u=u):
            entry = stats.beta.ppf(u, a + step, b)
            rest = x * (1.0 - entry) / (1.0 - x[j])
            return g @ np.where(np.arange(4) == j, entry, rest)

        assert found[j] == pytest.approx(slope(moved), rel=1e-8)
    (rows,) = pulled(dirichlet, np.stack([x, x]), [alpha], np.stack([g, 2.0 * g]))
    assert rows == pytest.approx(3.0 * found)


def test_the_mean_of_a_dirichlet_has_its_derivative():
    """The mean of 4000 draws, within 5 standard errors: fails once in 400,000 seeds."""
    alpha, rng = np.array([0.8, 2.0, 1.2]), np.random.default_rng(3)
    x = rng.dirichlet(alpha, 4000)
    each = np.stack([pulled(dirichlet, row, [alpha], 2.0 * row)[0] for row in x[:500]])
    total = alpha.sum()

    def second_moment(a):
        return np.sum(a * (a + 1.0)) / (a.sum() * (a.sum() + 1.0))

    assert total == pytest.approx(4.0)
    for j in range(3):
        expected = slope(lambda s, j=j: second_moment(alpha + s * (np.arange(3) == j)))
        error = np.std(each[:, j]) / np.sqrt(len(each))
        assert abs(each[:, j].mean() - expected) < 5.0 * error


def test_the_parts_of_a_product_move_each_alone():
    with Tape() as tape:
        mean, scale = tape.leaf(0.5), tape.leaf(2.0)
        fn = product([normal(0.0, 1.0), half_normal(1.0)]).fn
        x = moving(tape, fn, (0.3, 3.0), [mean, 1.0, scale])
        assert tape.gradients([(x[0], 1.0), (x[1], 1.0)], [mean, scale]) == [1.0, 1.5]


def test_a_draw_is_a_plain_number_where_no_argument_is_traced():
    with Tape() as tape:
        assert moving(tape, normal, 0.3, [0.0, 1.0]) == 0.3
