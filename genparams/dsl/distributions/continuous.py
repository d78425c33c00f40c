"""Distributions over real numbers."""

import math

from genparams.dsl.distributions.base import Domain, above_zero, anything, elementwise, per
from genparams.errors import ArgumentError

HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


@elementwise(mu=anything, std=above_zero, draw=lambda rng, mu, std, size: rng.normal(mu, std, size))
def normal(m, x, mu, std):
    """The normal distribution with mean `mu` and standard deviation `std` (not variance).

    log p(x) = -(x - mu)^2 / (2 std^2) - log std - log(2 pi) / 2
    """
    z = (x - mu) / std
    return (
        -0.5 * (z * z) - (m.log(std) + HALF_LOG_TWO_PI),
        (lambda: -z / std, lambda: z / std, lambda: (z * z - 1.0) / std),
    )


@elementwise(
    mu=anything,
    sigma=above_zero,
    support=lambda x, mu, sigma: x > 0.0,
    draw=lambda rng, mu, sigma, size: rng.lognormal(mu, sigma, size),
)
def lognormal(m, x, mu, sigma):
    """The distribution of exp(y) for y ~ normal(mu, sigma); x > 0.

    log p(x) = -(log x - mu)^2 / (2 sigma^2) - log(x sigma) - log(2 pi) / 2
    """
    log_x = m.log(x)
    z = (log_x - mu) / sigma
    return (
        -0.5 * (z * z) - log_x - (m.log(sigma) + HALF_LOG_TWO_PI),
        (lambda: -(1.0 + z / sigma) / x, lambda: z / sigma, lambda: (z * z - 1.0) / sigma),
    )


@elementwise(
    df=above_zero,
    loc=anything,
    scale=above_zero,
    draw=lambda rng, df, loc, scale, size: loc + scale * rng.standard_t(df, size),
)
def student_t(m, x, df, loc, scale):
    """Student's t with `df` degrees of freedom, moved to `loc` and stretched by `scale`.

    With z = (x - loc) / scale,

    log p(x) = -(df + 1) / 2 log(1 + z^2 / df) - log scale - log(df) / 2 - log B(1/2, df / 2)
    """
    z = (x - loc) / scale
    u = z * z / df
    log_u = m.log1p(u)
    pull = (df + 1.0) * z / (df * (1.0 + u))  # minus the derivative by z
    return (
        -0.5 * (df + 1.0) * log_u - (m.log(scale) + 0.5 * m.log(df) + m.betaln(0.5, 0.5 * df)),
        (
            lambda: -pull / scale,
            lambda: (
                0.5 * (pull * z / df - log_u - 1.0 / df + m.psi(0.5 * (df + 1.0)) - m.psi(0.5 * df))
            ),
            lambda: pull / scale,
            lambda: (pull * z - 1.0) / scale,
        ),
    )


@elementwise(
    loc=anything, scale=above_zero, draw=lambda rng, loc, scale, size: rng.laplace(loc, scale, size)
)
def laplace(m, x, loc, scale):
    """The Laplace (double exponential) distribution.

    log p(x) = -|x - loc| / scale - log(2 scale)
    """
    z = (x - loc) / scale
    side = m.sign(x - loc)
    return (
        -m.abs(z) - m.log(2.0 * scale),
        (lambda: -side / scale, lambda: side / scale, lambda: (m.abs(z) - 1.0) / scale),
    )


@elementwise(
    low=anything,
    high=anything,
    joint=Domain("low below high", lambda low, high: low < high),
    support=lambda x, low, high: (x >= low) & (x <= high),
    draw=lambda rng, low, high, size: rng.uniform(low, high, size),
)
def uniform(m, x, low, high):
    """The uniform distribution on the closed interval from `low` to `high`.

    log p(x) = -log(high - low)
    """
    width = high - low
    return -m.log(width) + 0.0 * x, (lambda: 0.0 * x, lambda: 1.0 / width, lambda: -1.0 / width)


@elementwise(
    rate=above_zero,
    support=lambda x, rate: x >= 0.0,
    draw=lambda rng, rate, size: rng.exponential(1.0 / rate, size),
)
def exponential(m, x, rate):
    """The exponential distribution with a rate, the inverse of its mean; x >= 0.

    log p(x) = log rate - rate x
    """
    return m.log(rate) - rate * x, (lambda: -rate + 0.0 * x, lambda: 1.0 / rate - x)


def _gamma_by_rate(shape=None, *, rate, size=None):
    if shape is None:
        raise ArgumentError("gamma(shape, rate=...) needs the shape")
    return gamma(shape, scale=1.0 / rate, size=size)


@elementwise(
    shape=above_zero,
    scale=above_zero,
    positional=1,
    keywords={"rate": _gamma_by_rate},
    support=lambda x, shape, scale: x >= 0.0,
    draw=lambda rng, shape, scale, size: rng.gamma(shape, scale, size),
)
def gamma(m, x, shape, scale):
    """The gamma distribution over x >= 0, with `scale=` or `rate=`, its inverse.

    log p(x) = (shape - 1) log x - x / scale - log Gamma(shape) - shape log scale
    """
    y = x / scale
    return (
        m.xlogy(shape - 1.0, y) - y - m.gammaln(shape) - m.log(scale),
        (
            lambda: per(m, shape - 1.0, x) - 1.0 / scale,
            lambda: m.log(y) - m.psi(shape),
            lambda: (y - shape) / scale,
        ),
    )


@elementwise(
    alpha=above_zero,
    beta=above_zero,
    support=lambda x, alpha, beta: (x >= 0.0) & (x <= 1.0),
    draw=lambda rng, alpha, beta, size: rng.beta(alpha, beta, size),
)
def beta(m, x, alpha, beta):
    """The beta distribution on [0, 1].

    log p(x) = (alpha - 1) log x + (beta - 1) log(1 - x) - log B(alpha, beta)
    """
    return (
        m.xlogy(alpha - 1.0, x) + m.xlog1py(beta - 1.0, -x) - m.betaln(alpha, beta),
        (
            lambda: per(m, alpha - 1.0, x) - per(m, beta - 1.0, 1.0 - x),
            lambda: m.log(x) - m.psi(alpha) + m.psi(alpha + beta),
            lambda: m.log1p(-x) - m.psi(beta) + m.psi(alpha + beta),
        ),
    )
