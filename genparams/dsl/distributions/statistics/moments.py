"""Means and variances of distributions, as functions of their arguments.

A moment that is infinite is inf, and one that does not exist is NaN.
"""

import math
from typing import Any

import numpy as np
from scipy import special

from genparams.numeric import quiet

HALF_NORMAL_MEAN = math.sqrt(2.0 / math.pi)


def where_above(x: Any, bound: float, value: Any, other: Any = np.inf) -> Any:
    """A value where x is above a bound."""
    return np.where(x > bound, value, other)


@quiet
def student_t_mean(df: Any, loc: Any, scale: Any) -> Any:
    return where_above(df, 1.0, loc + 0.0 * scale, np.nan)


@quiet
def student_t_variance(df: Any, loc: Any, scale: Any) -> Any:
    exact = np.square(scale) * df / (df - 2.0)
    return where_above(df, 2.0, exact, where_above(df, 1.0, np.inf, np.nan)) + 0.0 * loc


@quiet
def inv_gamma_mean(shape: Any, scale: Any) -> Any:
    return where_above(shape, 1.0, scale / (shape - 1.0))


@quiet
def inv_gamma_variance(shape: Any, scale: Any) -> Any:
    return where_above(shape, 2.0, np.square(scale / (shape - 1.0)) / (shape - 2.0))


def lognormal_variance(mu: Any, sigma: Any) -> Any:
    square = np.square(sigma)
    return np.expm1(square) * np.exp(2.0 * mu + square)


def weibull_mean(shape: Any, scale: Any) -> Any:
    return scale * special.gamma(1.0 + 1.0 / shape)


def weibull_variance(shape: Any, scale: Any) -> Any:
    """scale^2 (Gamma(1 + 2 / shape) - Gamma(1 + 1 / shape)^2)."""
    a = 1.0 / shape
    once, twice = special.gammaln(1.0 + a), special.gammaln(1.0 + 2.0 * a)
    return np.square(scale) * np.exp(2.0 * once) * np.expm1(twice - 2.0 * once)


def beta_mean(alpha: Any, beta: Any) -> Any:
    return alpha / (alpha + beta)


def beta_variance(alpha: Any, beta: Any) -> Any:
    n = alpha + beta
    return (alpha / n) * (beta / n) / (n + 1.0)


def beta_uniform_mean(theta: Any, alpha: Any, beta: Any) -> Any:
    return theta * beta_mean(alpha, beta) + 0.5 * (1.0 - theta)


def beta_uniform_variance(theta: Any, alpha: Any, beta: Any) -> Any:
    between = theta * (1.0 - theta) * np.square(beta_mean(alpha, beta) - 0.5)
    return theta * beta_variance(alpha, beta) + (1.0 - theta) / 12.0 + between


def beta_binomial_variance(n: Any, alpha: Any, beta: Any) -> Any:
    mass = alpha + beta
    return n * (alpha / mass) * (beta / mass) * (mass + n) / (mass + 1.0)


# --- In pieces, and vectors


def piecewise_mean(bounds: Any, probs: Any) -> Any:
    middles = 0.5 * (bounds[..., 1:] + bounds[..., :-1])
    return np.sum(probs * middles, axis=-1)


def piecewise_variance(bounds: Any, probs: Any) -> Any:
    middles = 0.5 * (bounds[..., 1:] + bounds[..., :-1])
    off = middles - piecewise_mean(bounds, probs)[..., None]
    return np.sum(probs * (np.diff(bounds, axis=-1) ** 2 / 12.0 + off**2), axis=-1)


def multinomial_mean(n: Any, probs: Any) -> Any:
    return np.asarray(n)[..., None] * probs


def dirichlet_mean(alpha: Any) -> Any:
    return alpha / np.sum(alpha, axis=-1, keepdims=True)


def dirichlet_variance(alpha: Any) -> Any:
    mean = dirichlet_mean(alpha)
    return mean * (1.0 - mean) / (1.0 + np.sum(alpha, axis=-1, keepdims=True))


def covariance_diagonal(mean: Any, cov: Any) -> Any:
    diagonal = np.diagonal(cov, axis1=-2, axis2=-1)
    return np.broadcast_to(diagonal, np.broadcast_shapes(np.shape(mean), diagonal.shape))


def factor_diagonal(mean: Any, factor: Any) -> Any:
    return covariance_diagonal(mean, factor @ np.swapaxes(factor, -1, -2))
