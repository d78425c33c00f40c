"""Distributions over real numbers."""

import math
import sys

from genparams.autodiff import np
from genparams.dsl.distributions import signatures
from genparams.dsl.distributions.domains import (
    above_zero,
    at_least_zero,
    check_order,
    lazy_finite,
    probability,
)
from genparams.dsl.distributions.elementwise import elementwise, per
from genparams.dsl.distributions.regions import ABOVE_0, UNIT, Between, always
from genparams.dsl.distributions.signatures import called_as
from genparams.numeric import (
    FEW,
    HALF_LOG_TWO_PI,
    binomial_excess,
    deviance,
    exact_product,
    log1p_ratio,
    log_beta,
    log_binomial,
    log_near,
    log_ratio,
    psi_less_log,
    stirling,
)

LARGEST = sys.float_info.max
ABOVE_ZERO, AT_LEAST_ZERO = "the finite numbers above 0", "the finite numbers of at least 0"
LOG_TWO = math.log(2.0)
HALF_LOG_HALF_PI = 0.5 * math.log(0.5 * math.pi)
_ZERO = 1e-290
"""Products below this number have fewer digits."""


@called_as(signatures.normal)
@elementwise(
    mu=lazy_finite,
    std=above_zero,
    draw=lambda rng, mu, std, size: mu + std * rng.standard_normal(size),
)
def normal(m, x, mu, std):
    """The normal distribution with mean `mu` and standard deviation `std` (not variance).

    log p(x) = -(x - mu)^2 / (2 std^2) - log std - log(2 pi) / 2

    As `scipy.stats.norm(mu, std)`.
    """
    z = (x - mu) / std
    return (
        -0.5 * (z * z) - (m.log(std) + HALF_LOG_TWO_PI),
        (lambda: -z / std, lambda: z / std, lambda: (z - 1.0) * (z + 1.0) / std),
    )


@called_as(signatures.lognormal)
@elementwise(
    mu=lazy_finite,
    sigma=above_zero,
    inside=lambda x, mu, sigma: (x > 0.0) & (x < math.inf),
    region=always(ABOVE_0),
    support=ABOVE_ZERO,
    draw=lambda rng, mu, sigma, size: rng.lognormal(mu, sigma, size),
)
def lognormal(m, x, mu, sigma):
    """The distribution of exp(y) for y ~ normal(mu, sigma); x > 0.

    log p(x) = -(log x - mu)^2 / (2 sigma^2) - log(x sigma) - log(2 pi) / 2

    As `scipy.stats.lognorm(sigma, scale=exp(mu))`.
    """
    log_x = m.log(x)
    z = (log_x - mu) / sigma
    return (
        -0.5 * (z * z) - log_x - (m.log(sigma) + HALF_LOG_TWO_PI),
        (lambda: -(1.0 + z / sigma) / x, lambda: z / sigma, lambda: (z - 1.0) * (z + 1.0) / sigma),
    )


def _half_step(m, df):
    """log Gamma(a + 1/2) - log Gamma(a) - log(a) / 2 for a = df / 2, and its derivative by a.

    For large a the difference loses every digit; the first terms of its expansion in 1 / a are
    exact to float64 there.
    """
    a = 0.5 * df
    large = a > 50.0
    b = 1.0 / m.where(large, a, 50.0)
    c = b * b
    near = m.where(large, 50.0, a)
    series = b * (-1.0 / 8.0 + c * (1.0 / 192.0 + c * (-1.0 / 640.0 + c * 17.0 / 14336.0)))
    half_log = 0.5 * (m.log(m.where(large, 100.0, df)) - LOG_TWO)
    exact = m.gammaln(near + 0.5) - m.gammaln(near + 1.0) + half_log

    def slope():
        by_series = c * (1.0 / 8.0 + c * (-1.0 / 64.0 + c * (1.0 / 128.0 - c * 17.0 / 2048.0)))
        by_psi = m.psi(near + 0.5) - m.psi(near) - 0.5 / near
        return m.where(large, by_series, by_psi)

    return m.where(large, series, exact), slope


@called_as(signatures.student_t)
@elementwise(
    df=above_zero,
    loc=lazy_finite,
    scale=above_zero,
    draw=lambda rng, df, loc, scale, size: loc + scale * rng.standard_t(df, size),
)
def student_t(m, x, df, loc, scale):
    """Student's t with `df` degrees of freedom, moved to `loc` and stretched by `scale`.

    With z = (x - loc) / scale,

    log p(x) = -(df + 1) / 2 log(1 + z^2 / df) - log scale - log(df) / 2 - log B(1/2, df / 2)

    As `scipy.stats.t(df, loc, scale)`.
    """
    away = x - loc
    z = away / scale
    far = (m.abs(z) > 1e140) | (z * z > 1e280 * df)
    y = m.where(far, 1.0, z)
    square = y * y
    rest = df + square
    log_u = m.where(
        far,
        2.0 * (m.log(m.where(far, m.abs(away), 1.0)) - m.log(scale)) - m.log(df),
        m.log1p(square / df),
    )
    rise, slope = _half_step(m, df)

    def pull():
        """Minus the derivative by z."""
        return (df + 1.0) * m.where(far, 1.0 / m.where(far, z, 1.0), y / rest)

    def by_df():
        share = m.where(far, 1.0, square / rest)  # u / (1 + u)
        small = share < 0.1
        v = m.where(small, share, 0.0)
        series = 0.0
        for k in range(17, 1, -1):
            series = 1.0 / k + v * series
        excess = m.where(small, v * v * series, log_u - share)
        return 0.5 * (share / df - excess + slope())

    return (
        -0.5 * (df + 1.0) * log_u - m.log(scale) - HALF_LOG_TWO_PI + rise,
        (
            lambda: -pull() / scale,
            by_df,
            lambda: pull() / scale,
            lambda: df * m.where(far, 1.0, (square - 1.0) / rest) / scale,
        ),
    )


@called_as(signatures.located)
@elementwise(
    loc=lazy_finite,
    scale=above_zero,
    draw=lambda rng, loc, scale, size: rng.laplace(loc, scale, size),
)
def laplace(m, x, loc, scale):
    """The Laplace (double exponential) distribution.

    log p(x) = -|x - loc| / scale - log(2 scale)

    As `scipy.stats.laplace(loc, scale)`.
    """
    z = (x - loc) / scale
    side = m.sign(x - loc)
    return (
        -m.abs(z) - m.log(2.0 * scale),
        (lambda: -side / scale, lambda: side / scale, lambda: (m.abs(z) - 1.0) / scale),
    )


def _log_one_plus_square(m, away, scale):
    """log(1 + z^2) for z = away / scale, and its derivative by `away`."""
    z = away / scale
    far = m.abs(z) > 1e8
    near, beyond = m.where(far, 0.0, z), m.where(far, away, 1.0)
    log_z = m.log(m.abs(beyond)) - m.log(m.where(far, scale, 1.0))
    return (
        m.where(far, 2.0 * log_z, m.log1p(near * near)),
        lambda: m.where(far, 2.0 / beyond, 2.0 * near / (1.0 + near * near) / scale),
    )


def _square_over(m, z):
    """(z^2 - 1) / (z^2 + 1)."""
    far = m.abs(z) > 1e100
    y = m.where(far, 1.0, z)
    return m.where(far, 1.0, (y - 1.0) * (y + 1.0) / (y * y + 1.0))


@called_as(signatures.located)
@elementwise(
    loc=lazy_finite,
    scale=above_zero,
    draw=lambda rng, loc, scale, size: loc + scale * rng.standard_cauchy(size),
)
def cauchy(m, x, loc, scale):
    """The Cauchy distribution: Student's t with 1 degree of freedom.

    log p(x) = -log(1 + ((x - loc) / scale)^2) - log(pi scale)

    As `scipy.stats.cauchy(loc, scale)`.
    """
    z = (x - loc) / scale
    value, slope = _log_one_plus_square(m, x - loc, scale)
    return (
        -value - m.log(math.pi * scale),
        (
            lambda: -slope(),
            lambda: slope(),
            lambda: _square_over(m, z) / scale,
        ),
    )


@called_as(signatures.scaled)
@elementwise(
    scale=above_zero,
    inside=lambda x, scale: x >= 0.0,
    region=always(ABOVE_0),
    support=AT_LEAST_ZERO,
    draw=lambda rng, scale, size: scale * np.abs(rng.standard_cauchy(size)),
)
def half_cauchy(m, x, scale):
    """The distribution of |y| for y ~ cauchy(0, scale); x >= 0.

    log p(x) = -log(1 + (x / scale)^2) - log(pi scale / 2)

    As `scipy.stats.halfcauchy(scale=scale)`.
    """
    z = x / scale
    value, slope = _log_one_plus_square(m, x, scale)
    return (
        -value - m.log(0.5 * math.pi * scale),
        (lambda: -slope(), lambda: _square_over(m, z) / scale),
    )


@called_as(signatures.scaled)
@elementwise(
    scale=above_zero,
    inside=lambda x, scale: x >= 0.0,
    region=always(ABOVE_0),
    support=AT_LEAST_ZERO,
    draw=lambda rng, scale, size: np.abs(rng.normal(0.0, scale, size)),
)
def half_normal(m, x, scale):
    """The distribution of |y| for y ~ normal(0, scale); x >= 0.

    log p(x) = -x^2 / (2 scale^2) - log scale + log(2 / pi) / 2

    As `scipy.stats.halfnorm(scale=scale)`.
    """
    z = x / scale
    return (
        -0.5 * (z * z) - (m.log(scale) + HALF_LOG_HALF_PI),
        (lambda: -z / scale, lambda: (z - 1.0) * (z + 1.0) / scale),
    )


@called_as(signatures.located)
@elementwise(
    loc=lazy_finite,
    scale=above_zero,
    draw=lambda rng, loc, scale, size: rng.logistic(loc, scale, size),
)
def logistic(m, x, loc, scale):
    """The logistic distribution, whose cumulative function is expit((x - loc) / scale).

    log p(x) = -z - 2 log(1 + exp(-z)) - log scale,   z = (x - loc) / scale

    As `scipy.stats.logistic(loc, scale)`.
    """
    z = (x - loc) / scale
    return (
        m.log_expit(z) + m.log_expit(-z) - m.log(scale),
        (
            lambda: -m.tanh(0.5 * z) / scale,
            lambda: m.tanh(0.5 * z) / scale,
            lambda: (z * m.tanh(0.5 * z) - 1.0) / scale,
        ),
    )


def _low_below_high(low, high):
    check_order("uniform", low, high, low < high)


@called_as(signatures.between)
@elementwise(
    low=lazy_finite,
    high=lazy_finite,
    fit=_low_below_high,
    inside=lambda x, low, high: (x >= low) & (x <= high),
    region=Between,
    support="the numbers from low to high",
    draw=lambda rng, low, high, size: rng.uniform(low, high, size),
)
def uniform(m, x, low, high):
    """The uniform distribution on the closed interval from `low` to `high`.

    log p(x) = -log(high - low)

    As `scipy.stats.uniform(low, high - low)`.
    """
    width = high - low
    return -m.log(width) + 0.0 * x, (lambda: 0.0 * x, lambda: 1.0 / width, lambda: -1.0 / width)


@called_as(signatures.rated)
@elementwise(
    rate=above_zero,
    inside=lambda x, rate: (x >= 0.0) & (x < math.inf),
    region=always(ABOVE_0),
    support=AT_LEAST_ZERO,
    draw=lambda rng, rate, size: rng.exponential(1.0 / rate, size),
)
def exponential(m, x, rate):
    """The exponential distribution with a rate, the inverse of its mean; x >= 0.

    log p(x) = log rate - rate x

    As `scipy.stats.expon(scale=1 / rate)`.
    """
    return m.log(rate) - rate * x, (lambda: -rate + 0.0 * x, lambda: 1.0 / rate - x)


def _log_gamma(m, power, shape, y, lost, log_y):
    """power log y - y - log Gamma(shape), given the rounding error of y, `lost()`, and log y."""
    large = (shape > FEW) & (y > _ZERO)

    def saddle():
        s, z = m.where(large, shape, FEW), m.where(large, y, 1.0)
        rest = (m.where(large, power, FEW) - s) * m.log(z)
        return m.log(s) - stirling(m, s) - deviance(m, s, z, s - z - lost()) + rest

    return m.choose(large, saddle, lambda: _times(m, power, log_y) - y - m.gammaln(shape))


def _times(m, x, log_y):
    """x log y, and 0 where x is 0."""
    return m.where(x == 0.0, 0.0, x * m.where(x == 0.0, 0.0, log_y))


def _log_less_psi(m, y, shape, log_y):
    """log y - psi(shape), given log y."""
    close = m.abs(y - shape) < 0.5 * shape
    near = m.log1p(m.where(close, y - shape, 0.0) / shape)
    return m.where(close, near, log_y - m.log(shape)) - psi_less_log(m, shape)


def _lost_by_division(m, x, y, ratio):
    """x / y less its rounded `ratio`."""
    back, lost = exact_product(m, ratio, y)
    return (x - back - lost) / y


@elementwise(
    name="gamma",
    shape=above_zero,
    rate=above_zero,
    keyword_only=1,
    inside=lambda x, shape, rate: (x >= 0.0) & (x < math.inf) & (x * rate < math.inf),
    region=always(ABOVE_0),
    support=AT_LEAST_ZERO,
    draw=lambda rng, shape, rate, size: rng.gamma(shape, 1.0 / rate, size),
)
def _gamma_by_rate(m, x, shape, rate):
    """`gamma` by its rate = 1 / scale."""
    y = x * rate
    usual = (y > 1e-300) & (y < math.inf)
    log_y = m.choose(usual, lambda: m.log(y), lambda: m.log(x) + m.log(rate))
    lost = lambda: exact_product(m, x, rate)[1]  # noqa: E731
    return (
        _log_gamma(m, shape - 1.0, shape, y, lost, log_y) + m.log(rate),
        (
            lambda: per(m, shape - 1.0, x) - rate,
            lambda: _log_less_psi(m, y, shape, log_y),
            lambda: (shape - y) / rate,
        ),
    )


@called_as(signatures.gamma)
@elementwise(
    shape=above_zero,
    scale=above_zero,
    keyword_only=1,
    forms={"rate": _gamma_by_rate},
    region=always(ABOVE_0),
    support=AT_LEAST_ZERO,
    inside=lambda x, shape, scale: (x >= 0.0) & (x < math.inf) & (x < LARGEST * scale),
    draw=lambda rng, shape, scale, size: rng.gamma(shape, scale, size),
)
def gamma(m, x, shape, scale):
    """The gamma distribution over x >= 0, with `scale=` or `rate=`, its inverse.

    log p(x) = (shape - 1) log x - x / scale - log Gamma(shape) - shape log scale

    As `scipy.stats.gamma(shape, scale=scale)`.
    """
    y, log_y = x / scale, log_ratio(m, x, scale)
    lost = lambda: _lost_by_division(m, x, scale, y)  # noqa: E731
    return (
        _log_gamma(m, shape - 1.0, shape, y, lost, log_y) - m.log(scale),
        (
            lambda: per(m, shape - 1.0, x) - 1.0 / scale,
            lambda: _log_less_psi(m, y, shape, log_y),
            lambda: (y - shape) / scale,
        ),
    )


@called_as(signatures.shaped)
@elementwise(
    shape=above_zero,
    scale=above_zero,
    inside=lambda x, shape, scale: (x * LARGEST > scale) & (x < math.inf),
    region=always(ABOVE_0),
    support=ABOVE_ZERO,
    draw=lambda rng, shape, scale, size: scale / rng.standard_gamma(shape, size),
)
def inv_gamma(m, x, shape, scale):
    """The distribution of 1 / y for y ~ gamma(shape, rate=scale); x > 0.

    log p(x) = shape log scale - log Gamma(shape) - (shape + 1) log x - scale / x

    As `scipy.stats.invgamma(shape, scale=scale)`.
    """
    y, log_y = scale / x, log_ratio(m, scale, x)
    lost = lambda: _lost_by_division(m, scale, x, y)  # noqa: E731
    return (
        _log_gamma(m, shape, shape, y, lost, log_y) - m.log(x),
        (
            lambda: (y - shape - 1.0) / x,
            lambda: _log_less_psi(m, y, shape, log_y),
            lambda: (shape - y) / scale,
        ),
    )


@called_as(signatures.shaped)
@elementwise(
    shape=above_zero,
    scale=above_zero,
    inside=lambda x, shape, scale: (x >= 0.0) & (x < math.inf) & (x < LARGEST * scale),
    region=always(ABOVE_0),
    support=AT_LEAST_ZERO,
    draw=lambda rng, shape, scale, size: scale * rng.weibull(shape, size),
)
def weibull(m, x, shape, scale):
    """The Weibull distribution over x >= 0; with shape 1 it is exponential.

    log p(x) = log(shape / scale) + (shape - 1) log(x / scale) - (x / scale)^shape

    As `scipy.stats.weibull_min(shape, scale=scale)`.
    """
    log_z = log_ratio(m, x, scale)
    y = m.exp(_times(m, shape, log_z))  # z^shape
    return (
        m.log(shape) - m.log(scale) + _times(m, shape - 1.0, log_z) - y,
        (
            lambda: m.choose(
                x > 0.0,
                lambda: (shape - 1.0 - shape * y) / m.where(x > 0.0, x, 1.0),
                lambda: (
                    per(m, shape - 1.0, x) - shape / scale * m.exp(_times(m, shape - 1.0, log_z))
                ),
            ),
            lambda: 1.0 / shape + log_z - _times(m, y, log_z),
            lambda: shape / scale * (y - 1.0),
        ),
    )


def _log_beta_density(m, x, alpha, beta):
    """The formula of `beta`."""
    n, q = alpha + beta, 1.0 - x
    large = (n > FEW) & (x > _ZERO) & (q > 0.0)

    def saddle():
        y = m.where(large, x, 0.5)
        a, b = m.where(large, alpha, 1.0), m.where(large, beta, 1.0)
        return log_binomial(m, a, b, y) - log_ratio(m, y, b) - m.log1p(-y) - log1p_ratio(m, b, a)

    def by_own(own, sign, log_of_ratio):
        """log(mean / own) - (log n - psi(n)) + (log own - psi(own)), for the mean of `own`."""
        excess = sign * binomial_excess(m, alpha, beta, x)
        return log_near(m, excess, own, log_of_ratio) + psi_less_log(m, n) - psi_less_log(m, own)

    return (
        m.choose(
            large,
            saddle,
            lambda: m.xlogy(alpha - 1.0, x) + m.xlog1py(beta - 1.0, -x) - log_beta(m, alpha, beta),
        ),
        (
            lambda: per(m, alpha - 1.0, x) - per(m, beta - 1.0, q),
            lambda: by_own(alpha, -1.0, lambda: m.log(x) - m.log(alpha) + m.log(n)),
            lambda: by_own(beta, 1.0, lambda: m.log1p(-x) - m.log(beta) + m.log(n)),
        ),
    )


@called_as(signatures.beta)
@elementwise(
    alpha=above_zero,
    beta=above_zero,
    inside=lambda x, alpha, beta: (x >= 0.0) & (x <= 1.0),
    region=always(UNIT),
    support="the numbers from 0 to 1",
    draw=lambda rng, alpha, beta, size: rng.beta(alpha, beta, size),
)
def beta(m, x, alpha, beta):
    """The beta distribution on [0, 1].

    log p(x) = (alpha - 1) log x + (beta - 1) log(1 - x) - log B(alpha, beta)

    As `scipy.stats.beta(alpha, beta)`.
    """
    return _log_beta_density(m, x, alpha, beta)


@called_as(signatures.beta_uniform)
@elementwise(
    theta=probability,
    alpha=above_zero,
    beta=above_zero,
    inside=lambda x, theta, alpha, beta: (x >= 0.0) & (x <= 1.0),
    region=always(UNIT),
    support="the numbers from 0 to 1",
    draw=lambda rng, theta, alpha, beta, size: np.where(
        rng.random(size) < theta, rng.beta(alpha, beta, size), rng.random(size)
    ),
)
def beta_uniform(m, x, theta, alpha, beta):
    """beta(alpha, beta) with probability `theta`, else uniform on [0, 1].

    log p(x) = log(theta exp(log_beta(x)) + 1 - theta)

    where log_beta is the log density of beta(alpha, beta).
    """
    log_beta, partials = _log_beta_density(m, x, alpha, beta)
    some = theta > 0.0
    log_first = m.where(some, m.log(m.where(some, theta, 1.0)) + log_beta, -math.inf)
    log_p = m.logaddexp(log_first, m.log1p(-theta))
    bounded = m.abs(log_p) < math.inf  # elsewhere the density is infinite, or 0
    level = m.where(bounded, log_p, 0.0)

    def through(partial):
        """A derivative of the beta, times the share of the beta in the density."""
        share = m.where(bounded, m.exp(m.where(bounded, log_first, 0.0) - level), 1.0)
        some = share > 0.0
        return m.where(some, share * m.where(some, partial(), 0.0), 0.0)

    def by_theta():
        rise = m.exp(m.where(bounded, log_beta, 0.0) - level) - m.exp(-level)
        at_end = m.where(log_p > 0.0, m.ratio(1.0, m.where(bounded, 1.0, theta)), -math.inf)
        return m.where(bounded, rise, at_end)

    by_x, by_alpha, by_beta = partials
    return log_p, (
        lambda: through(by_x),
        by_theta,
        lambda: through(by_alpha),
        lambda: through(by_beta),
    )


def _draw_von_mises(rng, mu, kappa, size):
    angle = mu + rng.vonmises(0.0, kappa, size)
    return np.mod(angle + math.pi, 2.0 * math.pi) - math.pi


def _one_less_mean_cosine(m, kappa):
    """1 - I1(kappa) / I0(kappa)."""
    large = kappa > 500.0

    def by_series():
        b = 1.0 / m.where(large, kappa, 500.0)
        rest = 1 / 8 + b * (25 / 128 + b * (13 / 32 + b * 1073 / 1024))
        return b * (1 / 2 + b * (1 / 8 + b * rest))

    def by_bessel():
        k = m.where(large, 500.0, kappa)
        return 1.0 - m.i1e(k) / m.i0e(k)

    return m.choose(large, by_series, by_bessel)


@called_as(signatures.von_mises)
@elementwise(
    mu=lazy_finite,
    kappa=at_least_zero,
    inside=lambda x, mu, kappa: (x >= -math.pi) & (x <= math.pi),
    region=always(Between(-math.pi, math.pi)),
    support="the angles from -pi to pi",
    draw=_draw_von_mises,
)
def von_mises(m, x, mu, kappa):
    """The von Mises distribution of an angle x in [-pi, pi] around `mu`, any angle.

    log p(x) = kappa cos(x - mu) - log(2 pi I0(kappa))
    """
    off = x - mu
    half = m.sin(0.5 * off)
    return (
        -2.0 * kappa * (half * half) - m.log(2.0 * math.pi * m.i0e(kappa)),
        (
            lambda: -kappa * m.sin(off),
            lambda: kappa * m.sin(off),
            lambda: _one_less_mean_cosine(m, kappa) - 2.0 * (half * half),
        ),
    )
