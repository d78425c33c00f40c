"""One row per distribution, and the laws that every row obeys.

A row says how to make the call, how to draw its arguments and its values, what scipy takes the log
density to be, and one cumulative distribution function or the mass function, for the sampler. A new
distribution is a new row.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from calls import FAILURE_RATE
from common import slope
from scipy import linalg, special, stats

from genparams import (
    Call,
    autoregressive,
    bernoulli,
    beta,
    beta_binomial,
    beta_uniform,
    binomial,
    categorical,
    cauchy,
    dirichlet,
    exponential,
    gamma,
    gen,
    geometric,
    half_cauchy,
    half_normal,
    init_param,
    inv_gamma,
    laplace,
    logistic,
    lognormal,
    mixture,
    multinomial,
    mvnormal,
    neg_binomial,
    normal,
    param,
    piecewise_uniform,
    poisson,
    student_t,
    truncated_normal,
    uniform,
    uniform_discrete,
    von_mises,
    weibull,
)
from genparams.autodiff import gradient, hessian, operand
from genparams.errors import ReplayDiffers

Shape = tuple[int, ...]
BATCH = (3, 2)


# --- How an argument is drawn, and in which directions it may move


@dataclass(frozen=True)
class Argument:
    draw: Callable[[np.random.Generator, Shape], Any]
    move: Callable[[np.random.Generator, Any], Any] | None
    """A direction that stays in the domain; None where there is no derivative."""
    rank: int = 0


def anywhere(rng, x):
    return rng.normal(size=np.shape(x))


def in_proportion(rng, x):
    return 0.3 * x * rng.normal(size=np.shape(x))


def along_the_simplex(rng, x):
    v = x * rng.normal(size=np.shape(x))
    return v - np.mean(v, axis=-1, keepdims=True)


def symmetric(rng, x):
    v = 0.1 * rng.normal(size=np.shape(x))
    return v + np.swapaxes(v, -1, -2)


def triangular(rng, x):
    return np.tril(0.1 * rng.normal(size=np.shape(x)))


def covariance(rng, shape):
    a = rng.normal(size=shape)
    return 0.3 * a @ np.swapaxes(a, -1, -2) + np.eye(shape[-1])


def real(*event: int) -> Argument:
    return Argument(lambda rng, shape: rng.normal(0.0, 2.0, (*shape, *event)), anywhere, len(event))


def positive(*event: int) -> Argument:
    return Argument(
        lambda rng, shape: np.exp(rng.normal(0.3, 0.6, (*shape, *event))), in_proportion, len(event)
    )


def between(low: float, high: float) -> Argument:
    return Argument(lambda rng, shape: rng.uniform(low, high, shape), in_proportion)


def increasing(k: int) -> Argument:
    return Argument(
        lambda rng, shape: np.cumsum(rng.uniform(0.5, 2.0, (*shape, k)), axis=-1) - 0.5 * k,
        lambda rng, x: 0.1 * rng.normal(size=np.shape(x)),
        1,
    )


def whole_between(low: int, high: int) -> Argument:
    return Argument(lambda rng, shape: rng.integers(low, high, shape), None)


def simplex(k: int) -> Argument:
    return Argument(lambda rng, shape: rng.dirichlet(np.full(k, 3.0), shape), along_the_simplex, 1)


def cov(*event: int) -> Argument:
    return Argument(lambda rng, shape: covariance(rng, (*shape, *event)), symmetric, len(event))


whole_number = whole_between(1, 20)
coefficients = Argument(
    lambda rng, shape: rng.uniform(-0.4, 0.4, (*shape, 2)),
    lambda rng, x: 0.1 * rng.normal(size=np.shape(x)),
    1,
)
factor = Argument(
    lambda rng, shape: np.linalg.cholesky(covariance(rng, (*shape, 3, 3))), triangular, 2
)


# --- The table


@dataclass(frozen=True)
class Row:
    name: str
    call: Callable[..., Call]
    arguments: tuple[Argument, ...]
    value: Callable[..., Any]
    """`value(rng, shape, *args)` gives values inside the support, whose batch has that shape."""
    reference: Callable[..., Any]
    """`reference(x, *args)` gives the log density of each member of the batch."""
    kind: type = float
    cdf: Callable[..., Any] | None = None
    """`cdf(y, *args)` of `project(x)`; None for a discrete distribution."""
    mass: Callable[..., Any] | None = None
    """The log mass function of `project(x)`; that of x, unless said."""
    project: Callable[[Any], Any] = lambda x: x
    move: Callable[..., Any] | None = anywhere
    """A direction for the value; None where it is discrete."""
    rank: int = 0

    def settings(self, seed: int, shape: Shape = ()) -> list[Any]:
        rng = np.random.default_rng(seed)
        return [a.draw(rng, shape) for a in self.arguments]

    def mixed_settings(self, seed: int) -> list[Any]:
        """Arguments that are whole, a row, a column and one alone, in turn, to be broadcast."""
        rng = np.random.default_rng(seed)
        shapes = [BATCH[-1:], (), (BATCH[0], 1), BATCH]
        return [a.draw(rng, shapes[(i + seed) % 4]) for i, a in enumerate(self.arguments)]

    def values(self, seed: int, args: list[Any], shape: Shape = ()) -> Any:
        return self.value(np.random.default_rng((7, seed)), shape, *args)

    def log_prob(self, x: Any, *args: Any, size: Any = None) -> Any:
        """`log_prob` of the distribution in this row's parametrisation."""
        call = self.call(*args)
        return call.fn.log_prob(x, size=size, **by_name(call))

    def traced_log_prob(self, x: Any, args: list[Any]) -> Any:
        """The same as the interpreter asks it, for a value that is being differentiated."""
        call = self.call(*args)
        return call.fn.log_prob_of(x, [operand(a) for a in call.args])

    def sample(self, *args: Any, size: Any = None, rng: Any = 0) -> Any:
        call = self.call(*args)
        return call.fn.sample(size=size, rng=rng, **by_name(call))


def by_name(call: Call) -> dict[str, Any]:
    return dict(zip(call.fn.arguments, call.args, strict=True))


def batched(f: Callable[..., Any], signature: str) -> Callable[..., Any]:
    return np.vectorize(f, signature=f"{signature}->()")


def log_sum(w, log_f):
    return special.logsumexp(np.log(w) + log_f, axis=-1)


def mixed(f: Callable[..., Any]) -> Callable[..., Any]:
    """A mixture's cumulative distribution function from those of its components."""
    return lambda y, w, *args: np.sum(w * f(np.asarray(y)[..., None], *args), axis=-1)


log_normal_density = batched(stats.multivariate_normal.logpdf, "(d),(d),(d,d)")
log_multinomial = batched(stats.multinomial.logpmf, "(k),(),(k)")
log_dirichlet = batched(stats.dirichlet.logpdf, "(k),(k)")
LINE = np.array([1.0, -2.0, 0.5])
"""The line that vectors are projected on; every entry of the covariance shows on it."""


def cdf_on_line(y, mean, cov):
    return stats.norm.cdf(y, mean @ LINE, np.sqrt(LINE @ cov @ LINE))


def pick(x, table):
    return np.take_along_axis(
        np.broadcast_to(table, (*np.shape(x), np.shape(table)[-1])), np.asarray(x)[..., None], -1
    )[..., 0]


def piecewise(x, bounds, probs):
    """Which piece each x is in: its bounds and its probability."""
    x = np.asarray(x)
    k = np.sum(x[..., None] >= bounds, axis=-1) - 1
    return pick(k, bounds), pick(k + 1, bounds), pick(k, probs)


def log_piecewise(x, bounds, probs):
    low, high, p = piecewise(x, bounds, probs)
    return np.log(p / (high - low))


def log_beta_uniform(x, theta, alpha, beta):
    return np.log(theta * stats.beta.pdf(x, alpha, beta) + 1.0 - theta)


def variances(phi):
    """The covariances of three values in a row of an autoregressive series with std 1."""
    companion = np.array([phi, [1.0, 0.0]])
    near, far = linalg.solve_discrete_lyapunov(companion, np.diag([1.0, 0.0]))[0]
    return linalg.toeplitz([near, far, phi @ [far, near]])


def log_autoregressive(x, phi, std, mean):
    return stats.multivariate_normal.logpdf(x, mean, std * std * variances(phi))


def truncated(mu, std, low, high):
    return stats.truncnorm((low - mu) / std, (high - mu) / std, mu, std)


def scipys(family: Callable[..., Any]) -> dict[str, Any]:
    """The log density and the cumulative distribution function of a family of scipy's."""
    return {
        "reference": lambda x, *args: family(*args).logpdf(x),
        "cdf": lambda y, *args: family(*args).cdf(y),
    }


def discrete(*parts: Any, kind: type = int, **more: Any) -> Row:
    return Row(*parts, kind=kind, move=None, **more)


def draw_counts(rng, shape, n, probs):
    return rng.multinomial(np.broadcast_to(n, shape), np.full(np.shape(probs)[-1], 1 / 3))


ROWS = [
    Row(
        "normal",
        normal,
        (real(), positive()),
        lambda rng, shape, mu, std: rng.normal(0.0, 3.0, shape),
        **scipys(stats.norm),
    ),
    Row(
        "lognormal",
        lognormal,
        (real(), positive()),
        lambda rng, shape, mu, sigma: np.exp(rng.normal(0.0, 1.5, shape)),
        **scipys(lambda mu, sigma: stats.lognorm(sigma, scale=np.exp(mu))),
        move=in_proportion,
    ),
    Row(
        "student_t",
        student_t,
        (positive(), real(), positive()),
        lambda rng, shape, df, loc, scale: rng.normal(0.0, 5.0, shape),
        **scipys(stats.t),
    ),
    Row(
        "laplace",
        laplace,
        (real(), positive()),
        lambda rng, shape, loc, scale: rng.normal(0.0, 3.0, shape),
        **scipys(stats.laplace),
    ),
    Row(
        "uniform",
        uniform,
        (between(-4.0, -1.0), between(1.0, 4.0)),
        lambda rng, shape, low, high: rng.uniform(-0.9, 0.9, shape),
        **scipys(lambda low, high: stats.uniform(low, high - low)),
        move=in_proportion,
    ),
    Row(
        "exponential",
        exponential,
        (positive(),),
        lambda rng, shape, rate: rng.exponential(1.0, shape),
        **scipys(lambda rate: stats.expon(scale=1.0 / rate)),
        move=in_proportion,
    ),
    Row(
        "gamma-by-scale",
        lambda shape, scale, size=None: gamma(shape, scale=scale, size=size),
        (positive(), positive()),
        lambda rng, size, shape, scale: rng.gamma(2.0, 1.5, size),
        **scipys(lambda shape, scale: stats.gamma(shape, scale=scale)),
        move=in_proportion,
    ),
    Row(
        "gamma-by-rate",
        lambda shape, rate, size=None: gamma(shape, rate=rate, size=size),
        (positive(), positive()),
        lambda rng, size, shape, rate: rng.gamma(2.0, 1.5, size),
        **scipys(lambda shape, rate: stats.gamma(shape, scale=1.0 / rate)),
        move=in_proportion,
    ),
    Row(
        "beta",
        beta,
        (positive(), positive()),
        lambda rng, shape, a, b: rng.uniform(0.1, 0.9, shape),
        **scipys(stats.beta),
        move=lambda rng, x: x * (1.0 - x) * rng.normal(size=np.shape(x)),
    ),
    discrete(
        "bernoulli",
        bernoulli,
        (between(0.1, 0.9),),
        lambda rng, shape, p: rng.random(shape) < 0.5,
        stats.bernoulli.logpmf,
        kind=bool,
    ),
    discrete(
        "bernoulli-by-logits",
        lambda logits, size=None: bernoulli(logits=logits, size=size),
        (real(),),
        lambda rng, shape, logits: rng.random(shape) < 0.5,
        lambda x, logits: special.log_expit(np.where(x, logits, -logits)),
        kind=bool,
    ),
    discrete(
        "binomial",
        binomial,
        (whole_number, between(0.1, 0.9)),
        lambda rng, shape, n, p: rng.integers(0, n + 1, shape),
        stats.binom.logpmf,
    ),
    discrete(
        "binomial-by-logits",
        lambda n, logits, size=None: binomial(n, logits=logits, size=size),
        (whole_number, real()),
        lambda rng, shape, n, logits: rng.integers(0, n + 1, shape),
        lambda x, n, logits: stats.binom.logpmf(x, n, special.expit(logits)),
    ),
    discrete(
        "categorical",
        categorical,
        (simplex(4),),
        lambda rng, shape, probs: rng.integers(0, 4, shape),
        lambda x, probs: np.log(pick(x, probs)),
    ),
    discrete(
        "categorical-by-logits",
        lambda logits, size=None: categorical(logits=logits, size=size),
        (real(4),),
        lambda rng, shape, logits: rng.integers(0, 4, shape),
        lambda x, logits: pick(x, special.log_softmax(logits, axis=-1)),
    ),
    discrete(
        "poisson",
        poisson,
        (positive(),),
        lambda rng, shape, rate: rng.integers(0, 12, shape),
        stats.poisson.logpmf,
    ),
    Row(
        "cauchy",
        cauchy,
        (real(), positive()),
        lambda rng, shape, loc, scale: rng.normal(0.0, 5.0, shape),
        **scipys(stats.cauchy),
    ),
    Row(
        "logistic",
        logistic,
        (real(), positive()),
        lambda rng, shape, loc, scale: rng.normal(0.0, 5.0, shape),
        **scipys(stats.logistic),
    ),
    Row(
        "inv_gamma",
        inv_gamma,
        (positive(), positive()),
        lambda rng, size, shape, scale: 1.0 / rng.gamma(2.0, 1.5, size),
        **scipys(lambda shape, scale: stats.invgamma(shape, scale=scale)),
        move=in_proportion,
    ),
    Row(
        "weibull",
        weibull,
        (positive(), positive()),
        lambda rng, size, shape, scale: rng.gamma(2.0, 1.0, size),
        **scipys(lambda shape, scale: stats.weibull_min(shape, scale=scale)),
        move=in_proportion,
    ),
    Row(
        "half_normal",
        half_normal,
        (positive(),),
        lambda rng, shape, scale: rng.gamma(2.0, 1.0, shape),
        **scipys(lambda scale: stats.halfnorm(scale=scale)),
        move=in_proportion,
    ),
    Row(
        "half_cauchy",
        half_cauchy,
        (positive(),),
        lambda rng, shape, scale: rng.gamma(2.0, 2.0, shape),
        **scipys(lambda scale: stats.halfcauchy(scale=scale)),
        move=in_proportion,
    ),
    Row(
        "truncated_normal",
        truncated_normal,
        (real(), positive(), between(-4.0, -1.0), between(1.0, 4.0)),
        lambda rng, shape, *args: rng.uniform(-0.9, 0.9, shape),
        **scipys(truncated),
        move=in_proportion,
    ),
    Row(
        "truncated_normal-above",
        lambda mu, std, low, size=None: truncated_normal(mu, std, low, np.inf, size=size),
        (real(), positive(), between(1.0, 4.0)),
        lambda rng, shape, *args: 4.0 + rng.gamma(2.0, 0.5, shape),
        **scipys(lambda mu, std, low: truncated(mu, std, low, np.inf)),
        move=in_proportion,
    ),
    Row(
        "truncated_normal-below",
        lambda mu, std, high, size=None: truncated_normal(mu, std, -np.inf, high, size=size),
        (real(), positive(), between(-4.0, -1.0)),
        lambda rng, shape, *args: -4.0 - rng.gamma(2.0, 0.5, shape),
        **scipys(lambda mu, std, high: truncated(mu, std, -np.inf, high)),
        move=in_proportion,
    ),
    Row(
        "truncated_normal-short",
        truncated_normal,
        (real(), positive(), between(1.0, 1.1), between(1.3, 1.4)),
        lambda rng, shape, *args: rng.uniform(1.15, 1.25, shape),
        **scipys(truncated),
        move=lambda rng, x: 0.1 * in_proportion(rng, x),
    ),
    Row(
        "von_mises",
        von_mises,
        (real(), positive()),
        lambda rng, shape, mu, kappa: rng.uniform(-2.5, 2.5, shape),
        lambda x, mu, kappa: stats.vonmises.logpdf(x, kappa, mu),
        cdf=lambda x, mu, kappa: (
            stats.vonmises.cdf(x, kappa, mu) - stats.vonmises.cdf(-np.pi, kappa, mu)
        ),
        move=in_proportion,
    ),
    Row(
        "beta_uniform",
        beta_uniform,
        (between(0.1, 0.9), positive(), positive()),
        lambda rng, shape, *args: rng.uniform(0.1, 0.9, shape),
        log_beta_uniform,
        cdf=lambda y, theta, a, b: theta * stats.beta.cdf(y, a, b) + (1.0 - theta) * y,
        move=lambda rng, x: x * (1.0 - x) * rng.normal(size=np.shape(x)),
    ),
    Row(
        "piecewise_uniform",
        piecewise_uniform,
        (increasing(5), simplex(4)),
        lambda rng, shape, bounds, probs: (
            bounds[..., 1] + rng.uniform(0.1, 0.9, shape) * (bounds[..., 2] - bounds[..., 1])
        ),
        log_piecewise,
        cdf=lambda y, bounds, probs: np.interp(y, bounds, np.append(0.0, np.cumsum(probs))),
        move=lambda rng, x: 1e-3 * rng.normal(size=np.shape(x)),
    ),
    discrete(
        "geometric",
        geometric,
        (between(0.1, 0.9),),
        lambda rng, shape, p: rng.integers(0, 12, shape),
        lambda x, p: stats.geom.logpmf(np.asarray(x) + 1, p),
    ),
    discrete(
        "neg_binomial",
        neg_binomial,
        (positive(), between(0.2, 0.9)),
        lambda rng, shape, r, p: rng.integers(0, 50, shape),
        stats.nbinom.logpmf,
    ),
    discrete(
        "beta_binomial",
        beta_binomial,
        (whole_between(1, 50), positive(), positive()),
        lambda rng, shape, n, a, b: rng.integers(0, n + 1, shape),
        stats.betabinom.logpmf,
    ),
    discrete(
        "uniform_discrete",
        uniform_discrete,
        (whole_between(0, 6), whole_between(7, 30)),
        lambda rng, shape, low, high: rng.integers(low, high + 1, shape),
        lambda x, low, high: stats.randint.logpmf(x, low, high + 1),
    ),
    discrete(
        "multinomial",
        multinomial,
        (whole_between(2, 50), simplex(3)),
        draw_counts,
        log_multinomial,
        mass=lambda y, n, probs: stats.binom.logpmf(y, n, probs[..., 1]),
        project=lambda x: x[..., 1],
        rank=1,
    ),
    Row(
        "mvnormal",
        mvnormal,
        (real(3), cov(3, 3)),
        lambda rng, shape, mean, cov: rng.normal(0.0, 2.0, (*shape, 3)),
        log_normal_density,
        cdf=cdf_on_line,
        project=lambda x: x @ LINE,
        rank=1,
    ),
    Row(
        "mvnormal-by-factor",
        lambda mean, factor, size=None: mvnormal(mean, scale_tril=factor, size=size),
        (real(3), factor),
        lambda rng, shape, mean, factor: rng.normal(0.0, 2.0, (*shape, 3)),
        lambda x, mean, L: log_normal_density(x, mean, L @ np.swapaxes(L, -1, -2)),
        cdf=lambda y, mean, L: cdf_on_line(y, mean, L @ np.swapaxes(L, -1, -2)),
        project=lambda x: x @ LINE,
        rank=1,
    ),
    Row(
        "dirichlet",
        dirichlet,
        (positive(4),),
        lambda rng, shape, alpha: rng.dirichlet(np.full(4, 3.0), shape),
        log_dirichlet,
        cdf=lambda y, alpha: stats.beta.cdf(y, alpha[..., 1], np.sum(alpha) - alpha[..., 1]),
        project=lambda x: x[..., 1],
        move=along_the_simplex,
        rank=1,
    ),
    Row(
        "mixture-of-normals",
        lambda w, mu, std, size=None: mixture(w, normal(mu, std), size=size),
        (simplex(3), real(3), positive(3)),
        lambda rng, shape, w, mu, std: rng.normal(0.0, 3.0, shape),
        lambda x, w, mu, std: log_sum(w, stats.norm.logpdf(np.asarray(x)[..., None], mu, std)),
        cdf=mixed(stats.norm.cdf),
    ),
    Row(
        "mixture-of-mvnormals",
        lambda w, mean, cov, size=None: mixture(w, mvnormal(mean, cov), size=size),
        (simplex(2), real(2, 3), cov(2, 3, 3)),
        lambda rng, shape, w, mean, cov: rng.normal(0.0, 2.0, (*shape, 3)),
        lambda x, w, mean, cov: log_sum(w, log_normal_density(x[..., None, :], mean, cov)),
        cdf=mixed(cdf_on_line),
        project=lambda x: x @ LINE,
        rank=1,
    ),
    Row(
        "mixture-of-normal-and-laplace",
        lambda w, mu, std, loc, scale, size=None: mixture(
            w, [normal(mu, std), laplace(loc, scale)], size=size
        ),
        (simplex(2), real(), positive(), real(), positive()),
        lambda rng, shape, *args: rng.normal(0.0, 3.0, shape),
        lambda x, w, mu, std, loc, scale: log_sum(
            w,
            np.stack(
                np.broadcast_arrays(
                    stats.norm.logpdf(x, mu, std), stats.laplace.logpdf(x, loc, scale)
                ),
                axis=-1,
            ),
        ),
        cdf=lambda y, w, mu, std, loc, scale: (
            w[..., 0] * stats.norm.cdf(y, mu, std) + w[..., 1] * stats.laplace.cdf(y, loc, scale)
        ),
    ),
    discrete(
        "mixture-of-poissons",
        lambda w, rate, size=None: mixture(w, poisson(rate), size=size),
        (simplex(2), positive(2)),
        lambda rng, shape, w, rate: rng.integers(0, 12, shape),
        lambda x, w, rate: log_sum(w, stats.poisson.logpmf(np.asarray(x)[..., None], rate)),
    ),
    Row(
        "autoregressive",
        lambda phi, std, mean, size=None: autoregressive(phi, std, 3, mean, size=size),
        (coefficients, positive(), real(3)),
        lambda rng, shape, phi, std, mean: rng.normal(0.0, 2.0, (*shape, 3)),
        batched(log_autoregressive, "(t),(p),(),(t)"),
        cdf=lambda y, phi, std, mean: stats.norm.cdf(
            y, mean[..., 1], std * np.sqrt(variances(phi)[0, 0])
        ),
        project=lambda x: x[..., 1],
        rank=1,
    ),
]

every_row = pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in ROWS])
continuous_row = pytest.mark.parametrize(
    "row", [pytest.param(row, id=row.name) for row in ROWS if row.move is not None]
)
smooth_row = pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, id=row.name)
        for row in ROWS
        if row.move is not None or any(a.move is not None for a in row.arguments)
    ],
)
two_settings = pytest.mark.parametrize("seed", [0, 1])


def plain(value: Any) -> Any:
    """A zero-dimensional array as the number in it."""
    return value.item() if isinstance(value, (np.ndarray, np.generic)) and not value.ndim else value


def agree(found: Any, wanted: Any) -> None:
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-14)


# --- The log density


@every_row
@pytest.mark.parametrize("seed", range(20))
def test_the_log_density_of_one_value_agrees_with_scipy(row, seed):
    args = row.settings(seed)
    x = row.values(seed, args)
    found = row.log_prob(plain(x), *map(plain, args))
    assert type(found) is float
    agree(found, row.reference(x, *args))


@every_row
@two_settings
def test_the_log_density_of_an_array_is_the_sum_over_its_entries(row, seed):
    args = row.settings(seed)
    x = row.values(seed, args, BATCH)
    one_by_one = [row.log_prob(x[i], *args) for i in np.ndindex(*BATCH)]
    found = row.log_prob(x, *args, size=BATCH)
    assert type(found) is float
    agree(found, sum(one_by_one))
    agree(found, np.sum(row.reference(x, *args)))


@every_row
@two_settings
def test_arrays_of_arguments_go_with_the_entries_of_the_value(row, seed):
    args = row.settings(seed, BATCH)
    x = row.values(seed, args, BATCH)
    agree(row.log_prob(x, *args), np.sum(row.reference(x, *args)))


@every_row
@pytest.mark.parametrize("seed", range(4))
def test_arguments_broadcast_against_each_other_and_the_value(row, seed):
    args = row.mixed_settings(seed)
    x = row.values(seed, args, BATCH)
    agree(row.log_prob(x, *args, size=BATCH), np.sum(row.reference(x, *args)))


@every_row
def test_lists_and_numpy_numbers_are_arguments_too(row):
    args = row.settings(3, BATCH)
    x = row.values(3, args, BATCH)
    wanted = row.log_prob(x, *args)
    agree(row.log_prob(x.tolist(), *(a.tolist() for a in args)), wanted)
    one = row.settings(3)
    y = row.values(3, one)
    agree(row.log_prob(np.asarray(y)[()], *map(np.asarray, one)), row.log_prob(plain(y), *one))


@every_row
def test_the_log_density_leaves_what_it_was_given_alone(row):
    args = row.settings(4, BATCH)
    x = row.values(4, args, BATCH)
    before = [x.copy(), *(a.copy() for a in args)]
    row.log_prob(x, *args)
    row.sample(*args, rng=0)
    for old, new in zip(before, [x, *args], strict=True):
        assert new.flags.writeable
        np.testing.assert_array_equal(old, new)


# --- Gradients


def same_slope(found: Any, wanted: float) -> None:
    np.testing.assert_allclose(found, wanted, rtol=1e-7, atol=1e-8)


def check_argument_gradients(row: Row, x: Any, args: list[Any], size: Any) -> None:
    rng = np.random.default_rng(9)
    for i, argument in enumerate(row.arguments):
        if argument.move is None:
            continue

        def f(t, i=i):
            return row.log_prob(x, *args[:i], t, *args[i + 1 :], size=size)

        direction = argument.move(rng, args[i])
        g = gradient(f, args[i])
        assert np.shape(g) == np.shape(args[i])
        same_slope(np.sum(g * direction), slope(lambda h: f(args[i] + h * direction)))  # noqa: B023


@every_row
@two_settings
def test_the_gradient_by_each_argument_is_that_of_finite_differences(row, seed):
    args = [plain(a) for a in row.settings(seed)]
    check_argument_gradients(row, plain(row.values(seed, args)), args, None)


@every_row
@two_settings
def test_an_argument_that_is_shared_by_an_array_has_the_sum_of_the_gradients(row, seed):
    args = [plain(a) for a in row.settings(seed)]
    check_argument_gradients(row, row.values(seed, args, BATCH), args, BATCH)


@every_row
@pytest.mark.parametrize("seed", range(4))
def test_gradients_have_the_shapes_of_the_arguments_that_were_broadcast(row, seed):
    args = row.mixed_settings(seed)
    check_argument_gradients(row, row.values(seed, args, BATCH), args, BATCH)


@continuous_row
@pytest.mark.parametrize("shape", [(), BATCH], ids=["one", "array"])
@two_settings
def test_the_gradient_by_the_value_is_that_of_finite_differences(row, seed, shape):
    args = row.settings(seed)
    x = row.values(seed, args, shape)
    direction = row.move(np.random.default_rng(seed), x)
    g = gradient(lambda t: row.traced_log_prob(t, args), plain(x))
    assert np.shape(g) == np.shape(x)
    size = shape or None
    same_slope(
        np.sum(g * direction),
        slope(lambda h: row.log_prob(x + h * direction, *args, size=size)),
    )


@continuous_row
def test_log_prob_takes_a_value_that_is_being_differentiated(row):
    args = row.settings(0)
    x = plain(row.values(0, args))
    np.testing.assert_array_equal(
        gradient(lambda t: row.log_prob(t, *args), x),
        gradient(lambda t: row.traced_log_prob(t, args), x),
    )


@smooth_row
@pytest.mark.parametrize(
    ("of_args", "shape"), [((), ()), ((), (2,)), ((2,), (2,))], ids=["one", "shared", "array"]
)
@two_settings
def test_second_derivatives_are_the_differences_of_gradients(row, seed, of_args, shape):
    """By the value and all arguments at once, so that every mixed derivative is in it."""
    args = row.settings(seed, of_args)
    x = row.values(seed, args, shape)
    rng = np.random.default_rng(seed)
    places = [i for i, a in enumerate(row.arguments) if a.move is not None]
    parts = [(args[i], row.arguments[i].move(rng, args[i])) for i in places]  # type: ignore[misc]
    if row.move is not None:
        parts.append((x, row.move(rng, x)))
    ends = np.cumsum([np.size(part) for part, _ in parts])
    at = np.concatenate([np.ravel(part) for part, _ in parts])
    direction = np.concatenate([np.ravel(way) for _, way in parts])

    def f(v):
        pieces = [
            np.reshape(v[end - np.size(part) : end], np.shape(part))
            for (part, _), end in zip(parts, ends, strict=True)
        ]
        now = dict(zip(places, pieces, strict=False))
        value = pieces[-1] if row.move is not None else x
        return row.traced_log_prob(value, [now.get(i, a) for i, a in enumerate(args)])

    found = hessian(f, at) @ direction
    wanted = slope(lambda h: gradient(f, at + h * direction))
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-7)


@every_row
def test_the_gradient_of_a_gradient_by_a_number_is_the_difference_of_gradients(row):
    args = [plain(a) for a in row.settings(5)]
    x = plain(row.values(5, args))
    for i, (a, argument) in enumerate(zip(args, row.arguments, strict=True)):
        if argument.rank or argument.move is None:
            continue

        def first(t, i=i):
            return gradient(lambda s: row.log_prob(x, *args[:i], s, *args[i + 1 :]), t)

        np.testing.assert_allclose(
            gradient(first, a),
            slope(lambda h: first(a + h)),  # noqa: B023
            rtol=1e-6,
            atol=1e-7,
        )


# --- Choices so large that they are worked on in blocks


LARGE = 25_000


def repeated(a: Any) -> Any:
    return np.concatenate([a] * LARGE)


@every_row
def test_a_large_choice_with_arguments_of_its_own_is_many_small_ones(row):
    args = row.settings(0, (3,))
    x = row.values(0, args, (3,))
    many = [repeated(a) for a in args]
    np.testing.assert_allclose(
        row.log_prob(repeated(x), *many), LARGE * row.log_prob(x, *args), rtol=1e-11
    )
    for i, argument in enumerate(row.arguments):
        if argument.move is None:
            continue

        def of(t, value, others, i=i):
            return row.log_prob(value, *others[:i], t, *others[i + 1 :])

        found = gradient(lambda t: of(t, repeated(x), many), many[i])
        wanted = gradient(lambda t: of(t, x, args), args[i])
        np.testing.assert_allclose(found, repeated(wanted), rtol=1e-11, atol=1e-12)


@every_row
@pytest.mark.parametrize("shape", [(), (3,)], ids=["shared", "row"])
def test_a_large_choice_with_shared_arguments_sums_their_gradients(row, shape):
    args = row.settings(1, shape)
    x = row.values(1, args, (3,))
    large = np.stack([x] * LARGE)
    size = (LARGE, 3)
    np.testing.assert_allclose(
        row.log_prob(large, *args, size=size), LARGE * row.log_prob(x, *args, size=3), rtol=1e-11
    )
    for i, argument in enumerate(row.arguments):
        if argument.move is None:
            continue

        def of(t, value, size, i=i):
            return row.log_prob(value, *args[:i], t, *args[i + 1 :], size=size)

        found = gradient(lambda t: of(t, large, size), args[i])
        wanted = LARGE * gradient(lambda t: of(t, x, 3), args[i])
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9 * LARGE)


# --- Samples


@every_row
def test_one_draw_has_the_type_of_its_kind(row):
    value = row.sample(*map(plain, row.settings(0)))
    if row.rank:
        assert value.shape == row.values(0, row.settings(0)).shape
        assert value.dtype == {float: np.float64, int: np.int64}[row.kind]
        assert not value.flags.writeable
    else:
        assert type(value) is row.kind


@every_row
@pytest.mark.parametrize(
    ("args", "size", "shape"),
    [("scalar", 5, (5,)), ("scalar", (2, 3), (2, 3)), ("array", None, BATCH)]
    + [("array", (4, *BATCH), (4, *BATCH)), ("mixed", BATCH, BATCH), ("scalar", 0, (0,))],
    ids=["size", "shape", "arguments", "both", "broadcast", "none"],
)
def test_draws_are_read_only_arrays_of_the_shape_asked_for(row, args, size, shape):
    make = {"scalar": row.settings, "mixed": row.mixed_settings}
    args = row.settings(0, BATCH) if args == "array" else make[args](0)
    values = row.sample(*args, size=size)
    assert values.shape[: values.ndim - row.rank] == shape
    assert values.dtype == {float: np.float64, int: np.int64, bool: np.bool_}[row.kind]
    assert not values.flags.writeable
    assert np.isfinite(row.log_prob(values, *args, size=size))


@every_row
def test_a_seed_repeats_draws_to_the_bit_and_another_does_not(row):
    args = row.settings(0)
    draws = [row.sample(*args, size=50, rng=seed) for seed in (3, 3, 4, np.random.default_rng(3))]
    np.testing.assert_array_equal(draws[0], draws[1])
    np.testing.assert_array_equal(draws[0], draws[3])
    assert np.any(draws[0] != draws[2])


def p_value(row: Row, values: Any, args: list[Any]) -> float:
    """How likely a sample from the reference fits it worse: Kolmogorov-Smirnov, or chi-square."""
    if row.cdf is not None:
        cdf = row.cdf
        return stats.kstest(row.project(values), lambda y: cdf(y, *args)).pvalue
    values = row.project(values)
    top = int(np.max(values)) + 1
    chance = np.exp((row.mass or row.reference)(np.arange(top), *args))
    expected = len(values) * np.append(chance, max(1.0 - np.sum(chance), 0.0))
    counts = np.bincount(values.astype(int), minlength=top + 1)
    rare = expected < 5.0
    found = np.append(counts[~rare], np.sum(counts[rare]))
    wanted = np.append(expected[~rare], np.sum(expected[rare]))
    found, wanted = found[wanted > 0.0], wanted[wanted > 0.0]
    return stats.chisquare(found, wanted * (np.sum(found) / np.sum(wanted))).pvalue


@every_row
def test_an_array_of_draws_follows_the_density(row):
    args = row.settings(2, (2,))
    values = row.sample(*args, size=(4000, 2), rng=1)
    for column in range(2):
        own = [a[column] for a in args]
        assert p_value(row, values[:, column], own) > FAILURE_RATE


@every_row
def test_draws_made_one_at_a_time_follow_the_density(row):
    args = row.settings(6)
    rng = np.random.default_rng(2)
    values = np.array([row.sample(*args, rng=rng) for _ in range(500)])
    assert p_value(row, values, args) > FAILURE_RATE


@every_row
def test_a_sampler_with_other_arguments_fails_the_goodness_of_fit_test(row):
    values = row.sample(*row.settings(2), size=4000, rng=1)
    assert p_value(row, values, row.settings(3)) < FAILURE_RATE


# --- Inside a model


@every_row
@pytest.mark.parametrize("shape", [(), BATCH], ids=["one", "array"])
def test_a_model_of_one_choice_agrees_with_the_density(row, shape):
    @gen
    def model(*args):
        return row.call(*args) @ "x"

    args = tuple(row.settings(0, shape))
    trace = model.simulate(args, rng=0)
    x = trace["x"]
    assert trace.log_prob == row.log_prob(x, *args)
    np.testing.assert_array_equal(x, row.sample(*args, rng=0))
    np.testing.assert_array_equal(trace.retval, x)

    weight, retval = model.assess(args, {"x": x})
    assert weight == trace.log_prob
    np.testing.assert_array_equal(retval, x)

    again, weight = model.generate(args, {"x": x})
    assert weight == again.log_prob == trace.log_prob

    free, weight = model.generate(args, {}, rng=0)
    assert weight == 0.0
    np.testing.assert_array_equal(free["x"], x)


@every_row
def test_size_in_a_model_makes_one_choice_of_independent_draws(row):
    @gen
    def model(*args):
        return row.call(*args, size=BATCH) @ "x"

    args = tuple(row.settings(1))
    trace = model.simulate(args, rng=0)
    assert trace["x"].shape[: len(BATCH)] == BATCH
    agree(trace.log_prob, np.sum(row.reference(trace["x"], *args)))


# --- A replay is its run, whatever numpy and traced values round differently

ROUND_TRIPS = [
    lambda x: np.exp(np.log(np.abs(x) + 1.0)) - 1.0 + (x - np.abs(x)),
    lambda x: np.sum(np.stack([x / 3.0, x / 3.0, x / 3.0]), axis=0),
    lambda x: np.tanh(0.1) * x / np.tanh(0.1),
    lambda x: (x * 1e3 + x) / 1001.0,
    lambda x: np.sqrt(x * x + 1.0) ** 2 * x / (x * x + 1.0),
]
"""Functions that are the identity, and round."""
DTYPES = [np.float64, np.float32]


def traced_model(row, args, dtype, seed):
    """A model of one choice of a distribution, its arguments parameters; and the scale that they
    are multiplied by, where they may be.
    """
    places = [i for i, a in enumerate(row.arguments) if a.move]
    free = [i for i in places if not row.arguments[i].rank]
    scale = [1.0]

    @gen
    def f():
        used = list(args)
        for i in places:
            used[i] = param(f"p{i}")
            if i in free:
                used[i] = ROUND_TRIPS[(seed + i) % len(ROUND_TRIPS)](used[i]) * scale[0]
        return row.call(*used) @ "x"

    for i in places:
        init_param(f, f"p{i}", np.asarray(args[i]).astype(dtype if i in free else np.float64))
    return f, free, scale


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("shape", [(), (7,)], ids=repr)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_no_distribution_is_refused_for_rounding(row, shape, dtype):
    for seed in range(4):
        args = row.settings(seed, shape)
        x = row.values(seed, args, shape)
        f, _, _ = traced_model(row, args, dtype, seed)
        trace, _ = f.generate((), {"x": x})
        if math.isfinite(trace.log_prob):
            trace.param_gradients()


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_distribution_is_refused_for_a_real_difference(row, dtype):
    refused = 0
    for seed in range(6):
        args = row.settings(seed, (7,))
        x = row.values(seed, args, (7,))
        f, free, scale = traced_model(row, args, dtype, seed)
        if not free:
            return  # vectors are not scaled, as a simplex stays one
        trace, _ = f.generate((), {"x": x})
        scale[0] = 1.001
        changed = f.assess((), {"x": x})[0] - trace.log_prob
        if not math.isfinite(changed) or abs(changed) < 1e-4:
            continue
        with pytest.raises(ReplayDiffers):
            trace.param_gradients()
        refused += 1
    assert refused
