"""What is known of every family, in one table."""

import math
from typing import Any

import numpy as np
from scipy import special

from genparams.dsl.distributions import continuous as c
from genparams.dsl.distributions import discrete as d
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.categorical import categorical
from genparams.dsl.distributions.limits.families import FAMILIES
from genparams.dsl.distributions.multivariate import dirichlet, multinomial
from genparams.dsl.distributions.mvnormal import mvnormal
from genparams.dsl.distributions.piecewise import piecewise_uniform
from genparams.dsl.distributions.statistics import cdf, entries, moments, sums, vectors
from genparams.dsl.distributions.statistics.contraction import ByEntries, Pair, by_entries
from genparams.dsl.distributions.statistics.known import NoInformation, Statistics
from genparams.dsl.distributions.statistics.successes import by_r

MOVING_ENDS = "it has no expected information where the ends of its support move"
OF_A_MIXTURE = "the information of a mixture has no closed form"


def _neg_binomial(pairs: Any, *args: Any) -> dict[Pair, Any]:
    found = entries.neg_binomial(*args)
    if (0, 0) in pairs:
        found[0, 0] = by_r(*args)
    return found


def _beta_binomial(pairs: Any, n: Any, *args: Any) -> Any:
    return sums.products(FAMILIES[d.beta_binomial], pairs, 0.0, n, (n, *args))


def _over_numbers(
    base: Distribution, information: Any, mean: Any = None, variance: Any = None
) -> Statistics:
    """The statistics of a family with tails; information is given by entries if it is a function
    of the arguments."""
    return Statistics(
        information=information if isinstance(information, ByEntries) else by_entries(information),
        mean=mean,
        variance=variance,
        cdf=cdf.of_family(FAMILIES[base]),
    )


def _no_information(base: Distribution, reason: str, **more: Any) -> Statistics:
    return Statistics(information=NoInformation(reason), cdf=cdf.of_family(FAMILIES[base]), **more)


def _located(by_loc: float, by_scale: float, variance: float, base: Distribution) -> Statistics:
    """A symmetric density along (x - loc) / scale: its statistics for a scale of 1."""
    return _over_numbers(
        base,
        entries.location_scale(by_loc, by_scale),
        lambda loc, scale: loc + 0.0 * scale,
        lambda loc, scale: variance * np.square(scale) + 0.0 * loc,
    )


def _binomial_mean(n: Any, probs: Any) -> Any:
    return n * probs


def _by_logits(f: Any) -> Any:
    """A function of probabilities, of log odds as the last argument."""
    return lambda *args: f(*args[:-1], special.expit(args[-1]))


def _binomial_variance(n: Any, p: Any) -> Any:
    return n * p * (1.0 - p)


_PI2 = math.pi**2
_gamma_by_rate = c.gamma(1.0, rate=1.0).fn
_bernoulli_logits = d.bernoulli(logits=0.0).fn
_binomial_logits = d.binomial(1, logits=0.0).fn
_categorical_logits = categorical(logits=[0.0]).fn
_mvnormal_tril = mvnormal([0.0], scale_tril=[[1.0]]).fn

FAMILY_STATISTICS: dict[Distribution, Statistics] = {
    c.normal: _located(1.0, 2.0, 1.0, c.normal),
    c.laplace: _located(1.0, 1.0, 2.0, c.laplace),
    c.logistic: _located(1.0 / 3.0, (3.0 + _PI2) / 9.0, _PI2 / 3.0, c.logistic),
    c.cauchy: _over_numbers(
        c.cauchy,
        entries.location_scale(0.5, 0.5),
        lambda loc, scale: math.nan * (loc + scale),
        lambda loc, scale: math.nan * (loc + scale),
    ),
    c.lognormal: _over_numbers(
        c.lognormal,
        entries.location_scale(1.0, 2.0),
        lambda mu, sigma: np.exp(mu + 0.5 * np.square(sigma)),
        moments.lognormal_variance,
    ),
    c.student_t: _over_numbers(
        c.student_t, entries.student_t, moments.student_t_mean, moments.student_t_variance
    ),
    c.half_normal: _over_numbers(
        c.half_normal,
        entries.scale_alone(2.0),
        lambda scale: moments.HALF_NORMAL_MEAN * scale,
        lambda scale: (1.0 - moments.HALF_NORMAL_MEAN**2) * np.square(scale),
    ),
    c.half_cauchy: _over_numbers(
        c.half_cauchy,
        entries.scale_alone(0.5),
        lambda scale: np.inf * scale,
        lambda scale: np.inf * scale,
    ),
    c.exponential: _over_numbers(
        c.exponential,
        entries.scale_alone(1.0),
        lambda rate: 1.0 / rate,
        lambda rate: 1.0 / np.square(rate),
    ),
    c.gamma: _over_numbers(
        c.gamma,
        entries.gamma,
        lambda shape, scale: shape * scale,
        lambda shape, scale: shape * np.square(scale),
    ),
    _gamma_by_rate: _over_numbers(
        _gamma_by_rate,
        entries.gamma_by_rate,
        lambda shape, rate: shape / rate,
        lambda shape, rate: shape / np.square(rate),
    ),
    c.inv_gamma: _over_numbers(
        c.inv_gamma, entries.gamma_by_rate, moments.inv_gamma_mean, moments.inv_gamma_variance
    ),
    c.weibull: _over_numbers(
        c.weibull, entries.weibull, moments.weibull_mean, moments.weibull_variance
    ),
    c.beta: _over_numbers(c.beta, entries.beta, moments.beta_mean, moments.beta_variance),
    c.beta_uniform: Statistics(
        information=NoInformation(OF_A_MIXTURE),
        mean=moments.beta_uniform_mean,
        variance=moments.beta_uniform_variance,
        cdf=cdf.beta_uniform(cdf.of_family(FAMILIES[c.beta])),
    ),
    c.uniform: _no_information(
        c.uniform,
        MOVING_ENDS,
        mean=lambda low, high: 0.5 * (low + high),
        variance=lambda low, high: np.square(high - low) / 12.0,
    ),
    c.von_mises: _over_numbers(c.von_mises, entries.von_mises),
    piecewise_uniform: Statistics(
        information=NoInformation(MOVING_ENDS),
        mean=moments.piecewise_mean,
        variance=moments.piecewise_variance,
        cdf=cdf.piecewise_uniform,
    ),
    d.bernoulli: _over_numbers(
        d.bernoulli, entries.bernoulli, lambda p: 1.0 * p, lambda p: _binomial_variance(1.0, p)
    ),
    _bernoulli_logits: _over_numbers(
        _bernoulli_logits,
        entries.bernoulli_by_logits,
        special.expit,
        lambda logits: special.expit(logits) * special.expit(-logits),
    ),
    d.binomial: _over_numbers(d.binomial, entries.binomial, _binomial_mean, _binomial_variance),
    _binomial_logits: _over_numbers(
        _binomial_logits,
        entries.binomial_by_logits,
        _by_logits(_binomial_mean),
        lambda n, logits: n * special.expit(logits) * special.expit(-logits),
    ),
    d.poisson: _over_numbers(
        d.poisson, entries.poisson, lambda rate: 1.0 * rate, lambda rate: 1.0 * rate
    ),
    d.geometric: _over_numbers(
        d.geometric,
        entries.geometric,
        lambda p: (1.0 - p) / p,
        lambda p: (1.0 - p) / np.square(p),
    ),
    d.neg_binomial: _over_numbers(
        d.neg_binomial,
        ByEntries(_neg_binomial),
        lambda r, p: r * (1.0 - p) / p,
        lambda r, p: r * (1.0 - p) / np.square(p),
    ),
    d.beta_binomial: _over_numbers(
        d.beta_binomial,
        ByEntries(_beta_binomial),
        lambda n, alpha, beta: n * moments.beta_mean(alpha, beta),
        moments.beta_binomial_variance,
    ),
    d.uniform_discrete: _no_information(
        d.uniform_discrete,
        "its arguments have no derivatives",
        mean=lambda low, high: 0.5 * (low + high),
        variance=lambda low, high: (np.square(high - low + 1.0) - 1.0) / 12.0,
    ),
    categorical: Statistics(information=vectors.categorical),
    _categorical_logits: Statistics(information=vectors.categorical_by_logits),
    multinomial: Statistics(
        information=vectors.multinomial,
        mean=moments.multinomial_mean,
        variance=lambda n, probs: moments.multinomial_mean(n, probs) * (1.0 - probs),
    ),
    dirichlet: Statistics(
        information=vectors.dirichlet,
        mean=moments.dirichlet_mean,
        variance=moments.dirichlet_variance,
    ),
    mvnormal: Statistics(
        information=vectors.mvnormal,
        mean=lambda mean, cov: mean + 0.0 * moments.covariance_diagonal(mean, cov),
        variance=moments.covariance_diagonal,
    ),
    _mvnormal_tril: Statistics(
        information=vectors.mvnormal_by_factor,
        mean=lambda mean, factor: mean + 0.0 * moments.factor_diagonal(mean, factor),
        variance=moments.factor_diagonal,
    ),
}
"""The statistics of each family; those of a distribution made of others are in its declaration."""
