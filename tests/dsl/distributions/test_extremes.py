"""Log densities at huge and tiny arguments, and far out, against fifty digits and more.

A formula in mpmath beside each distribution; the arguments are the floats themselves, so that
nothing but the library's own rounding is seen.
"""

import math
import random
from itertools import product
from typing import Any

import mpmath
import numpy as np
import pytest

from genparams import (
    bernoulli,
    beta,
    beta_binomial,
    beta_uniform,
    binomial,
    cauchy,
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
    multinomial,
    neg_binomial,
    normal,
    piecewise_uniform,
    poisson,
    student_t,
    truncated,
    truncated_normal,
    uniform,
    uniform_discrete,
    von_mises,
    weibull,
)
from genparams.autodiff import gradient
from genparams.numeric import arrays, deviance, exact_product, psi_less_log, scalars, stirling

mp: Any = mpmath.MPContext()
mp.dps = 50


def f(v):
    return mp.mpf(v)


# --- The formulas


def exact_normal(x, mu, std):
    z = (f(x) - f(mu)) / f(std)
    return -z * z / 2 - mp.log(std) - mp.log(2 * mp.pi) / 2


def exact_cauchy(x, loc, scale):
    z = (f(x) - f(loc)) / f(scale)
    return -mp.log1p(z * z) - mp.log(mp.pi * f(scale))


def exact_logistic(x, loc, scale):
    z = abs((f(x) - f(loc)) / f(scale))
    return -z - 2 * mp.log1p(mp.exp(-z)) - mp.log(scale)


def exact_laplace(x, loc, scale):
    return -abs(f(x) - f(loc)) / f(scale) - mp.log(2 * f(scale))


def exact_lognormal(x, mu, sigma):
    return exact_normal(mp.log(x), mu, sigma) - mp.log(x)


def exact_student_t(x, df, loc, scale):
    df, z = f(df), (f(x) - f(loc)) / f(scale)
    constant = mp.loggamma((df + 1) / 2) - mp.loggamma(df / 2) - mp.log(df * mp.pi) / 2
    return constant - mp.log(scale) - (df + 1) / 2 * mp.log1p(z * z / df)


def exact_gamma(x, shape, scale):
    y, shape = f(x) / f(scale), f(shape)
    return (shape - 1) * mp.log(y) - y - mp.loggamma(shape) - mp.log(scale)


def exact_inv_gamma(x, shape, scale):
    x, shape, scale = f(x), f(shape), f(scale)
    return shape * mp.log(scale) - mp.loggamma(shape) - (shape + 1) * mp.log(x) - scale / x


def exact_weibull(x, shape, scale):
    z, shape = f(x) / f(scale), f(shape)
    return mp.log(shape / f(scale)) + (shape - 1) * mp.log(z) - z**shape


def exact_beta(x, a, b):
    x, a, b = f(x), f(a), f(b)
    constant = mp.loggamma(a + b) - mp.loggamma(a) - mp.loggamma(b)
    return (a - 1) * mp.log(x) + (b - 1) * mp.log1p(-x) + constant


def exact_beta_uniform(x, theta, a, b):
    return mp.log(f(theta) * mp.exp(exact_beta(x, a, b)) + 1 - f(theta))


def exact_truncated_normal(x, mu, std, low, high):
    def below(bound):
        return (f(bound) - f(mu)) / f(std)

    with mp.workdps(max(80, mp.dps)):
        a, b = (below(v) / mp.sqrt(2) if abs(v) < math.inf else f(v) for v in (low, high))
        mass = (mp.erfc(a) - mp.erfc(b)) / 2 if a > 0 else (mp.erfc(-b) - mp.erfc(-a)) / 2
        return exact_normal(x, mu, std) - mp.log(mass)


def exact_von_mises(x, mu, kappa):
    kappa = f(kappa)
    if kappa < 1000:
        log_bessel = mp.log(mp.besseli(0, kappa)) - kappa
    else:  # the asymptotic series, to fifty digits
        terms = [f(1)]
        while abs(terms[-1]) > f(10) ** -60 and len(terms) < 500:
            k = len(terms)
            terms.append(terms[-1] * (2 * k - 1) ** 2 / (8 * k * kappa))
        log_bessel = mp.log(mp.fsum(terms)) - mp.log(2 * mp.pi * kappa) / 2
    return kappa * (mp.cos(f(x) - f(mu)) - 1) - log_bessel - mp.log(2 * mp.pi)


def log_factorial(n):
    return mp.loggamma(f(n) + 1)


def exact_poisson(x, rate):
    return x * mp.log(rate) - f(rate) - log_factorial(x)


def exact_binomial(x, n, p):
    p = f(p)
    choose = log_factorial(n) - log_factorial(x) - log_factorial(n - x)
    return choose + x * mp.log(p) + (n - x) * mp.log1p(-p)


def exact_logits(x, n, t):
    p = 1 / (1 + mp.exp(-f(t)))
    choose = log_factorial(n) - log_factorial(x) - log_factorial(n - x)
    return choose + x * mp.log(p) + (n - x) * (mp.log(p) - f(t))


def exact_geometric(x, p):
    return mp.log(p) + x * mp.log1p(-f(p))


def exact_neg_binomial(x, r, p):
    r, p = f(r), f(p)
    choose = mp.loggamma(x + r) - mp.loggamma(r) - log_factorial(x)
    return choose + r * mp.log(p) + (x * mp.log1p(-p) if x else 0)


def exact_beta_binomial(x, n, a, b):
    def log_beta(a, b):
        return mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)

    a, b = f(a), f(b)
    choose = log_factorial(n) - log_factorial(x) - log_factorial(n - x)
    return choose + log_beta(x + a, n - x + b) - log_beta(a, b)


def exact_dirichlet(x, alpha):
    pairs = [(f(v), f(a)) for v, a in zip(x, alpha, strict=True)]
    constant = mp.loggamma(mp.fsum(a for _, a in pairs))
    return constant + mp.fsum((a - 1) * mp.log(v) - mp.loggamma(a) for v, a in pairs)


def exact_multinomial(x, n, probs):
    pairs = [(k, f(p)) for k, p in zip(x, probs, strict=True)]
    return log_factorial(n) + mp.fsum(k * mp.log(p) - log_factorial(k) for k, p in pairs)


def exact_piecewise(x, bounds, probs):
    k = sum(b <= x for b in bounds) - 1
    return mp.log(probs[k]) - mp.log(f(bounds[k + 1]) - f(bounds[k]))


# --- The extremes

MILLION, BILLION, TRILLION = 10**6, 10**9, 10**12
INF = math.inf

EXTREMES = [
    (normal, exact_normal, (1e8, 0.0, 1.0)),
    (normal, exact_normal, (1e-9, 0.0, 1e-10)),
    (normal, exact_normal, (1e-300, 0.0, 1e-300)),
    (lognormal, exact_lognormal, (1e-300, 0.5, 2.0)),
    (lognormal, exact_lognormal, (1e300, 0.5, 2.0)),
    (student_t, exact_student_t, (1e10, 1.0, 0.0, 1.0)),
    (student_t, exact_student_t, (5.0, 1e-3, 0.0, 1.0)),
    (student_t, exact_student_t, (2.0, 1e6, 0.0, 1.0)),
    (student_t, exact_student_t, (2.0, 1e12, 0.0, 1.0)),
    (exponential, lambda x, r: mp.log(r) - f(x) * r, (1e6, 3.0)),
    (gamma, exact_gamma, (1e-10, 1e-5, 2.0)),
    (gamma, exact_gamma, (1e-300, 3.0, 2.0)),
    (gamma, exact_gamma, (1e6, 3.0, 2.0)),
    (beta, exact_beta, (1e-12, 0.01, 0.02)),
    (beta, exact_beta, (1.0 - 1e-12, 2.0, 30.0)),
    (beta, exact_beta, (0.5, 500.0, 500.0)),
    (poisson, exact_poisson, (3, 1e-10)),
    (poisson, exact_poisson, (200, 1.0)),
    (poisson, exact_poisson, (1000, 1000.0)),
    (binomial, exact_binomial, (3, 100, 1e-9)),
    (binomial, exact_binomial, (1, 1000, 0.999)),
    (bernoulli, lambda x, p: mp.log(p), (1, 1e-12)),
    (bernoulli, lambda x, p: mp.log1p(-f(p)), (0, 1e-12)),
    (normal, exact_normal, (40.0, 0.0, 1.0)),
    (normal, exact_normal, (-40.0, 0.0, 1.0)),
    (normal, exact_normal, (1e8 + 40.0, 1e8, 1.0)),
    (student_t, exact_student_t, (1.5, 1e8, 0.0, 1.0)),
    (student_t, exact_student_t, (40.0, 1e8, 0.0, 1.0)),
    (cauchy, exact_cauchy, (1e200, 0.0, 1.0)),
    (cauchy, exact_cauchy, (1e-200, 0.0, 1e-200)),
    (cauchy, exact_cauchy, (3e8, 0.0, 1.0)),
    (half_cauchy, exact := lambda x, s: exact_cauchy(x, 0.0, s) + mp.log(2), (1e300, 1.0)),
    (half_cauchy, exact, (0.0, 1e-5)),
    (half_normal, lambda x, s: exact_normal(x, 0.0, s) + mp.log(2), (40.0, 1.0)),
    (logistic, exact_logistic, (800.0, 0.0, 1.0)),
    (logistic, exact_logistic, (-1e5, 0.0, 1.0)),
    (logistic, exact_logistic, (1e-9, 0.0, 1.0)),
    (gamma, exact_gamma, (1e6, 1e6, 1.0)),
    (gamma, exact_gamma, (1e6 + 3000.0, 1e6, 1.0)),
    (gamma, exact_gamma, (0.3 * 1e6, 1e6, 0.3)),
    (gamma, exact_gamma, (0.7e12, 1e12, 0.7)),
    (gamma, exact_gamma, (1e12 + 4e7, 1e12, 1.0)),
    (gamma, exact_gamma, (1e-5, 1e6, 1.0)),
    (gamma, exact_gamma, (1e-300, 1e6, 1.0)),
    (gamma, exact_gamma, (1e-300, 1e-3, 2.0)),
    (gamma, exact_gamma, (31.0, 30.5, 1.0)),
    (inv_gamma, exact_inv_gamma, (1e-6, 1e6, 1.0)),
    (inv_gamma, exact_inv_gamma, (3e-6, 1e6, 3.0)),
    (inv_gamma, exact_inv_gamma, (1e-5, 2.0, 1.0)),
    (inv_gamma, exact_inv_gamma, (1e300, 2.0, 1.0)),
    (weibull, exact_weibull, (1e-300, 0.5, 1.0)),
    (weibull, exact_weibull, (1.01, 500.0, 1.0)),
    (weibull, exact_weibull, (1e10, 0.1, 1e-10)),
    (beta, exact_beta, (1e-300, 0.5, 0.5)),
    (beta, exact_beta, (1e-300, 200.0, 3.0)),
    (beta, exact_beta, (1e-12, 1.0, 1e12)),
    (beta, exact_beta, (0.4, 60.0, 80.0)),
    (gamma, exact_gamma, (99.0, 100.5, 1.0)),
    (beta, exact_beta, (1.0 - 2.0**-53, 2.0, 0.01)),
    (beta, exact_beta, (1.0 - 2.0**-53, 1e3, 0.5)),
    (beta, exact_beta, (0.5, 1e12, 1e12)),
    (beta, exact_beta, (0.3, 3e9, 7e9)),
    (beta, exact_beta, (0.3 + 1e-5, 3e9, 7e9)),
    (beta, exact_beta, (0.3, 1e-10, 1e-10)),
    (beta, exact_beta, (0.3, 1e-10, 1e6)),
    (beta, lambda x, a, b: mp.log(b), (0.0, 1.0, 1e6)),
    (beta, exact_beta, (0.9, 1e-3, 1e3)),
    (beta_uniform, exact_beta_uniform, (0.01, 0.5, 200.0, 300.0)),
    (beta_uniform, exact_beta_uniform, (0.3, 1e-12, 3e9, 7e9)),
    (truncated_normal, exact_truncated_normal, (30.1, 0.0, 1.0, 30.0, 40.0)),
    (truncated_normal, exact_truncated_normal, (-30.1, 0.0, 1.0, -40.0, -30.0)),
    (truncated_normal, exact_truncated_normal, (39.9, 0.0, 1.0, 30.0, 40.0)),
    (truncated_normal, exact_truncated_normal, (1.00001e4, 0.0, 1.0, 1e4, 2e4)),
    (truncated_normal, exact_truncated_normal, (30.0, 0.0, 1.0, 30.0, 30.0 + 1e-9)),
    (truncated_normal, exact_truncated_normal, (-0.5, 0.0, 1.0, -0.5, -0.5 + 1e-6)),
    (truncated_normal, exact_truncated_normal, (0.0, 0.0, 1.0, -1e-9, 1e-9)),
    (truncated_normal, exact_truncated_normal, (1.5, 0.0, 1.0, 1.0, 1.999)),
    (truncated_normal, exact_truncated_normal, (1.5, 0.0, 1.0, 1.0, 2.001)),
    (truncated_normal, exact_truncated_normal, (40.0, 0.0, 1.0, 38.0, INF)),
    (truncated_normal, exact_truncated_normal, (-40.0, 0.0, 1.0, -INF, -38.0)),
    (truncated_normal, exact_truncated_normal, (3.0, 0.0, 1.0, -INF, INF)),
    (truncated_normal, exact_truncated_normal, (3.0, 5.0, 0.1, 0.0, 40.0)),
    (truncated_normal, exact_truncated_normal, (1e-3, -2.0, 2.0, 1e-300, INF)),
    (von_mises, exact_von_mises, (0.3, 0.3001, 1e8)),
    (von_mises, exact_von_mises, (-3.0, 0.3, 1e8)),
    (von_mises, exact_von_mises, (0.5, 0.25, 1e-8)),
    (von_mises, exact_von_mises, (0.5, 100.25, 600.0)),
    (poisson, exact_poisson, (TRILLION, 1e12)),
    (poisson, exact_poisson, (TRILLION + 3 * MILLION, 1e12)),
    (poisson, exact_poisson, (TRILLION - 40 * MILLION, 1e12)),
    (poisson, exact_poisson, (3 * TRILLION, 1e12)),
    (poisson, exact_poisson, (0, 1e12)),
    (poisson, exact_poisson, (5, 1e12)),
    (poisson, exact_poisson, (40, 1e-310)),
    (poisson, exact_poisson, (123, 100.5)),
    (binomial, exact_binomial, (TRILLION // 2, TRILLION, 0.5)),
    (binomial, exact_binomial, (3 * 10**11 + MILLION, TRILLION, 0.3)),
    (binomial, exact_binomial, (3 * 10**11 - 20 * MILLION, TRILLION, 0.3)),
    (binomial, exact_binomial, (3, TRILLION, 1e-12)),
    (binomial, exact_binomial, (0, TRILLION, 1e-14)),
    (binomial, exact_binomial, (TRILLION, TRILLION, 1.0 - 2.0**-40)),
    (binomial, exact_binomial, (TRILLION - 1, TRILLION, 1.0 - 2.0**-40)),
    (binomial, exact_binomial, (47, 90, 0.5)),
    (geometric, exact_geometric, (TRILLION, 1e-12)),
    (geometric, exact_geometric, (5, 1.0 - 2.0**-53)),
    (neg_binomial, exact_neg_binomial, (10, 1e12, 1.0 - 1e-11)),
    (neg_binomial, exact_neg_binomial, (TRILLION, 1e12, 0.5)),
    (neg_binomial, exact_neg_binomial, (TRILLION + 5 * MILLION, 1e12, 0.5)),
    (neg_binomial, exact_neg_binomial, (7 * 10**12 // 3, 1e12, 0.3)),
    (neg_binomial, exact_neg_binomial, (3, 1e-10, 0.4)),
    (neg_binomial, exact_neg_binomial, (300, 1e-10, 0.4)),
    (neg_binomial, exact_neg_binomial, (0, 1e12, 0.4)),
    (neg_binomial, exact_neg_binomial, (1000, 1e-300, 1e-300)),
    (beta_binomial, exact_beta_binomial, (30, 100, 3e10, 7e10)),
    (beta_binomial, exact_beta_binomial, (3 * 10**11, TRILLION, 3.0, 7.0)),
    (beta_binomial, exact_beta_binomial, (3 * 10**11, TRILLION, 3e11, 7e11)),
    (beta_binomial, exact_beta_binomial, (5, TRILLION, 1e-5, 1e5)),
    (beta_binomial, exact_beta_binomial, (0, 1000, 1e-3, 1e3)),
    (uniform_discrete, lambda x, low, high: -mp.log(high - low + 1), (0, -(2**50), 2**50)),
    (
        multinomial,
        exact_multinomial,
        ([25 * 10**7 + 10**4, 5 * 10**8, 25 * 10**7 - 10**4], BILLION, [0.25, 0.5, 0.25]),
    ),
    (
        multinomial,
        exact_multinomial,
        ([10**11, 2 * 10**11, 7 * 10**11], TRILLION, [0.1, 0.2, 0.7]),
    ),
    (multinomial, exact_multinomial, ([3, 0, 200], 203, [1e-10, 1e-5, 1.0 - 1e-5 - 1e-10])),
    (dirichlet, exact_dirichlet, ([0.25, 0.5, 0.25], [1e12, 2e12, 1e12])),
    (dirichlet, exact_dirichlet, ([0.3 + 1e-6, 0.2, 0.5 - 1e-6], [3e11, 2e11, 5e11])),
    (dirichlet, exact_dirichlet, ([0.1, 0.2, 0.7], [0.1e8 / 3, 0.2e8 / 3, 0.7e8 / 3])),
    (dirichlet, exact_dirichlet, ([0.5, 0.2, 0.3], [1e10, 1e10, 1e10])),
    (dirichlet, exact_dirichlet, ([1e-12, 0.4, 0.6 - 1e-12], [0.7, 4e12, 6e12])),
    (dirichlet, exact_dirichlet, ([1e-300, 0.5, 0.5], [3.0, 1e6, 1e6])),
    (dirichlet, exact_dirichlet, ([0.3, 0.7], [60.5, 80.0])),
    (dirichlet, exact_dirichlet, ([1e-200, 1.0], [1e-3, 1e-3])),
    (piecewise_uniform, exact_piecewise, (1e-9, [0.0, 1e-8, 1e8], [1e-12, 1.0 - 1e-12])),
]
extremes = pytest.mark.parametrize(
    ("distribution", "exact", "values"),
    [pytest.param(*row, id=f"{row[0].__name__}-{row[2]}") for row in EXTREMES],
)


@extremes
def test_the_log_density_is_right_to_twelve_digits(distribution, exact, values):
    x, *args = values
    wanted = float(exact(*values))
    named = dict(zip(distribution.arguments, args, strict=True))
    found = distribution.log_prob(x, **named), distribution.log_prob([x], size=1, **named)
    np.testing.assert_allclose(found, wanted, rtol=1.5e-12)


@pytest.mark.parametrize("t", [-800.0, -40.0, -12.0, -1e-9, 0.0, 12.0, 40.0, 800.0])
def test_large_logits_lose_no_digits(t):
    """Where the outcome is likely, log p is a tiny number that x logits - log(...) would cancel."""
    for x in (0, 1):
        wanted = float(exact_logits(x, 1, t))
        np.testing.assert_allclose(bernoulli.log_prob(x, logits=t), wanted, rtol=1e-14, atol=1e-300)
        np.testing.assert_allclose(
            bernoulli.log_prob([x], logits=t, size=1), wanted, rtol=1e-14, atol=1e-300
        )
        g = gradient(lambda s: bernoulli.log_prob(x, logits=s), t)  # noqa: B023
        assert abs(g) <= 1.0
    np.testing.assert_allclose(
        binomial.log_prob(2, 7, logits=t), float(exact_logits(2, 7, t)), rtol=1e-12
    )


@pytest.mark.parametrize("n", [BILLION, TRILLION])
@pytest.mark.parametrize("t", [-3.0, -0.4, 0.0, 1.0])
def test_by_logits_a_huge_binomial_loses_only_what_rounding_the_probability_does(n, t):
    """Half a unit in the last place of p moves the mean by 1e-16 n, which is 1e-16 sqrt(n) of its
    standard deviations.
    """
    x = int(n / (1.0 + math.exp(-t)))
    np.testing.assert_allclose(
        binomial.log_prob(x, n, logits=t), float(exact_logits(x, n, t)), rtol=1e-15 * math.sqrt(n)
    )


@pytest.mark.parametrize("t", [-800.0, -690.0, -40.0, -25.0, 25.0, 40.0, 690.0, 800.0])
@pytest.mark.parametrize("rare", [0, 1, 3])
def test_by_extreme_logits_a_huge_binomial_is_right_to_twelve_digits(t, rare):
    n = TRILLION
    x = rare if t < 0.0 else n - rare
    with mp.workdps(800):
        wanted = float(exact_logits(x, n, t))
    found = binomial.log_prob(x, n, logits=t), binomial.log_prob([x, x], n, logits=[t, t]) / 2.0
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    beside = binomial.log_prob([x, 5], n, logits=[t, 0.0])
    np.testing.assert_allclose(beside, wanted + binomial.log_prob(5, n, logits=0.0), rtol=1e-12)


def test_the_gradient_of_a_huge_dirichlet_keeps_its_digits():
    alpha = np.array([0.7, 3.1e11, 2.2e12, 7.7e12])
    x = dirichlet.sample(alpha, rng=0)
    total = mp.fsum(map(f, alpha))
    wanted = [
        float(mp.log(f(v)) + mp.psi(0, total) - mp.psi(0, f(a)))
        for v, a in zip(x, alpha, strict=True)
    ]
    found = gradient(lambda a: dirichlet.log_prob(x, a), alpha)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


@extremes
def test_no_gradient_is_nan(distribution, exact, values):
    x, *args = values
    named = dict(zip(distribution.arguments, args, strict=True))
    discrete = {"n", "low", "high"} if distribution is not truncated_normal else set()
    for name in named.keys() - discrete:
        for value, size in ((x, None), ([x], 1)):

            def of(t, name=name, value=value, size=size):
                return distribution.log_prob(value, size=size, **{**named, name: t})

            at = named[name]
            g = gradient(of, np.array(at) if np.ndim(at) else float(at))
            assert not np.any(np.isnan(g))


# --- What they are made of


@pytest.mark.parametrize("x", [0.0, 1e-300, 1e-9, 0.3, 14.999, 15.001, 40.0, 1e6, 1e15])
def test_the_rest_of_a_factorial_is_right_to_the_last_digits(x):
    wanted = float(mp.loggamma(f(x) + 1) - (f(x) * mp.log(x) if x else 0) + f(x))
    for found in (stirling(scalars, x), *stirling(arrays, np.array([x, 20.0]))[:1]):
        np.testing.assert_allclose(found, wanted, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("x", [1e-9, 0.3, 14.999, 15.001, 40.0, 1e6, 1e15])
def test_psi_less_log_is_right_to_the_last_digits(x):
    wanted = float(mp.digamma(x) - mp.log(x))
    for found in (psi_less_log(scalars, x), *psi_less_log(arrays, np.array([x, 20.0]))[:1]):
        np.testing.assert_allclose(found, wanted, rtol=1e-13)


@pytest.mark.parametrize("mean", [0.0, 1e-300, 1e-3, 0.9, 1.0, 1.0 + 1e-9, 1.22, 1.23, 5.0, 1e300])
@pytest.mark.parametrize("x", [0.0, 1.0])
def test_a_deviance_is_right_to_the_last_digits(x, mean):
    wanted = float((x * mp.log(x / f(mean)) if mean else INF) + f(mean) - x) if x else mean
    for m in (scalars, arrays):
        with np.errstate(divide="ignore"):
            found = deviance(m, x, mean, x - mean)
        np.testing.assert_allclose(found, wanted, rtol=1e-13)


@pytest.mark.parametrize("x", [0.1, 1e12 + 0.1, -3e-5, 1e270])
@pytest.mark.parametrize("y", [0.3, 7e11 / 3, 1e-9])
def test_a_product_and_what_it_lost_are_the_product(x, y):
    high, low = exact_product(scalars, x, y)
    assert f(high) + f(low) == f(x) * f(y)
    assert exact_product(arrays, np.array(x), y) == (high, low)


def test_a_product_too_large_to_split_loses_what_it_loses():
    assert exact_product(scalars, 1e300, 2.0) == (2e300, 0.0)


# --- On a grid of extreme arguments, with every gradient, against seven hundred digits
#
# log density   to 1e-12 of itself, and to 2e-14 where it crosses zero
# gradient      to 1e-10 of itself, and where it crosses zero to 1e-13 of what a change of the
#               argument by its own size does to the log density

DIGITS = 700
EACH = 12
"""How many points of each grid are tried."""

SCALES = [1e-300, 1e-100, 1e-30, 1e-12, 1e-5, 0.3, 1.0, 7.0, 120.0, 1e5, 1e12, 1e30, 1e100]
ABOVE = [1e-300, 1e-9, 0.3, 1.0, 1.5, 40.0, 1e8, 1e100]
PLACES = [0.0, *ABOVE, *(-v for v in ABOVE)]
CHANCES = [1e-300, 1e-20, 1e-3, 0.3, 0.5, 0.999, 1.0 - 2.0**-53]
COUNTS = [0, 1, 3, 50, 1000, 10**6, 10**12]


def stretches():
    """Truncated normals: short, long, about zero and far out; at both ends and between."""
    for mu, std, low, width, part in product(
        (0.0, 1.0),
        (0.7, 1e3),
        (-1e4, -8.0, -0.5, 0.0, 0.3, 8.0, 1e3, 1e5),
        (1e-8, 1e-3, 0.5, 1.0, 2.1, 9.0),
        (0.0, 0.3, 1.0),
    ):
        high = low + width
        yield min(low + width * part, high), mu, std, low, high


GRIDS: dict[Any, tuple[Any, Any]] = {
    normal: (exact_normal, product(PLACES, (0.0, 1.0, -1e8), SCALES)),
    lognormal: (exact_lognormal, product(ABOVE, (0.0, -3.0, 1e3), SCALES[3:])),
    student_t: (
        exact_student_t,
        product((0.0, 1e-30, 0.3, 40.0, 1e8, 1e160), SCALES, (0.0, 0.5), (1e-100, 0.7, 1e30)),
    ),
    laplace: (exact_laplace, product(PLACES, (0.1,), SCALES)),
    cauchy: (exact_cauchy, product(PLACES, (0.1,), SCALES)),
    logistic: (exact_logistic, product(PLACES, (0.1,), SCALES)),
    half_cauchy: (lambda x, s: exact_cauchy(x, 0, s) + mp.log(2), product(ABOVE, SCALES)),
    half_normal: (lambda x, s: exact_normal(x, 0, s) + mp.log(2), product(ABOVE, SCALES)),
    exponential: (lambda x, r: mp.log(r) - f(r) * f(x), product(ABOVE, SCALES)),
    uniform: (
        lambda x, low, high: -mp.log(f(high) - f(low)),
        [(0.5, 0.0, 1.0), (1e-300, 0.0, 1e-200), (0.1, 0.1, 0.1 + 1e-9)],
    ),
    gamma: (exact_gamma, product(ABOVE, SCALES[:-2], (1e-100, 0.7, 1e30))),
    inv_gamma: (exact_inv_gamma, product(ABOVE, SCALES[:-2], (1e-100, 0.7, 1e30))),
    weibull: (exact_weibull, product(ABOVE, SCALES, (1e-100, 0.7, 1e30))),
    beta: (exact_beta, product(CHANCES, SCALES, SCALES)),
    beta_uniform: (
        exact_beta_uniform,
        product((1e-300, 1e-3, 0.3, 0.999), (1e-300, 0.3, 0.999), SCALES[2:11], SCALES[2:11]),
    ),
    von_mises: (
        exact_von_mises,
        product((-3.0, 0.0, 0.5, 3.14), (0.1, 1e-9), (1e-300, 1e-9, 0.3, 7.0, 499.0, 501.0)),
    ),
    truncated_normal: (exact_truncated_normal, stretches()),
    bernoulli: (
        lambda x, p: mp.log(p) if x else mp.log1p(-f(p)),
        product((0, 1), CHANCES),
    ),
    poisson: (exact_poisson, product(COUNTS, SCALES)),
    geometric: (exact_geometric, product(COUNTS, CHANCES)),
    neg_binomial: (exact_neg_binomial, product(COUNTS, SCALES, CHANCES)),
    binomial: (
        exact_binomial,
        [(x, n, p) for n in COUNTS for x in COUNTS if x <= n for p in CHANCES],
    ),
    beta_binomial: (
        exact_beta_binomial,
        [
            (x, n, a, b)
            for n in COUNTS[1:]
            for x in COUNTS
            if x <= n
            for a in SCALES
            for b in SCALES
        ],
    ),
}


CANCELLING = [
    (truncated_normal, exact_truncated_normal, (30.1, 0.0, 1.0, 30.0, 40.0)),
    (truncated_normal, exact_truncated_normal, (-30.1, 0.0, 1.0, -40.0, -30.0)),
    (truncated_normal, exact_truncated_normal, (1.05, 0.0, 1.0, 1.0, 1.1)),
    (truncated_normal, exact_truncated_normal, (0.3, 0.1, 1.5, -1.0, 2.0)),
    (neg_binomial, exact_neg_binomial, (10, 1e8, 0.9999)),
    (neg_binomial, exact_neg_binomial, (1000, 20.0, 0.01)),
    (beta_binomial, exact_beta_binomial, (40, 100, 30.0, 70.0)),
    (beta_binomial, exact_beta_binomial, (40, 100, 3e5, 7e5)),
    (poisson, exact_poisson, (TRILLION + 1000, 1e12)),
    (von_mises, exact_von_mises, (0.3, 0.31, 1e4)),
    (inv_gamma, exact_inv_gamma, (0.01, 100.0, 1.0)),
]
"""Points at which a gradient would cancel."""


def points():
    for distribution, (exact, values) in GRIDS.items():
        chosen = list(values)
        random.Random(5).shuffle(chosen)
        for at in chosen[:EACH]:
            yield distribution, exact, at
    yield from CANCELLING


def exact_slope(exact, values, place):
    """The derivative by a difference of which three hundred digits are left."""
    a = f(values[place])
    h = abs(a) * f(10) ** -100 if a else f(10) ** -400
    up, down = ([a + s * h if i == place else v for i, v in enumerate(values)] for s in (1, -1))
    return (exact(*up) - exact(*down)) / (2 * h)


@pytest.mark.parametrize(
    ("distribution", "exact", "values"),
    [pytest.param(*row, id=f"{row[0].__name__}-{row[2]}") for row in points()],
)
def test_the_log_density_and_its_gradients_keep_their_digits(distribution, exact, values):
    x, *args = values
    names = list(distribution.arguments)
    named = dict(zip(names, args, strict=True))
    with mp.workdps(DIGITS):
        wanted = exact(*values)
    if abs(wanted) > 1e307:
        assert distribution.log_prob(x, **named) < -1e306
        return
    level = float(wanted)
    for found in (distribution.log_prob(x, **named), distribution.log_probs([x], **named)[0]):
        assert abs(found - level) <= 1e-12 * abs(level) + 2e-14

    for i, (name, smooth) in enumerate(distribution.has_gradients.items()):
        if not smooth or (i == 0 and distribution is uniform):
            continue
        with mp.workdps(DIGITS):
            exactly = exact_slope(exact, values, i)
        if abs(exactly) > 1e300 or 0 < abs(exactly) < 1e-300:
            continue

        def of(t, i=i, name=name):
            if i == 0:
                return distribution(**named).log_prob(t)
            return distribution.log_prob(x, **{**named, name: t})

        at = float(values[i])
        crossing = 1e-13 * (1.0 + abs(level)) / abs(at) if at else 0.0
        for g in (gradient(of, at), gradient(of, np.array([at]))[0]):
            assert math.isfinite(g)
            assert abs(g - float(exactly)) <= 1e-10 * abs(float(exactly)) + crossing, name


# --- Between limits that are close

SHORT = [
    (laplace(0.1, 3.0), lambda x: -(x - f(0.1)) / 3, 1.0),
    (logistic(0.1, 3.0), lambda x: exact_logistic(x, 0.1, 3.0), 1.0),
    (cauchy(0.1, 0.7), lambda x: exact_cauchy(x, 0.1, 0.7), 1.0),
    (student_t(3.3, 0.1, 0.7), lambda x: exact_student_t(x, 3.3, 0.1, 0.7), 1.0),
    (lognormal(0.1, 0.7), lambda x: exact_lognormal(x, 0.1, 0.7), 1.0),
    (gamma(2.3, scale=0.7), lambda x: exact_gamma(x, 2.3, 0.7), 1.0),
    (inv_gamma(2.3, 0.7), lambda x: exact_inv_gamma(x, 2.3, 0.7), 0.1),
    (weibull(2.3, 0.7), lambda x: exact_weibull(x, 2.3, 0.7), 1.0),
    (beta(2.3, 4.1), lambda x: exact_beta(x, 2.3, 4.1), 0.3),
    (von_mises(0.1, 0.7), lambda x: f(0.7) * mp.cos(x - f(0.1)), 1.0),
    (exponential(0.7), lambda x: -f(0.7) * x, 1.0),
    (half_normal(0.7), lambda x: exact_normal(x, 0.0, 0.7), 1.0),
    (half_cauchy(0.7), lambda x: exact_cauchy(x, 0.0, 0.7), 1.0),
    (normal(0.3, 0.7), lambda x: exact_normal(x, 0.3, 0.7), 1.0),
]


@pytest.mark.parametrize("width", [1e-11, 1e-7, 1e-3, 0.1])
@pytest.mark.parametrize(
    ("base", "exact", "low"), SHORT, ids=[base.fn.__name__ for base, _, _ in SHORT]
)
def test_a_truncated_density_keeps_its_digits_between_close_limits(base, exact, low, width):
    high = low + width
    x = min(low + width / 3, high)
    start = exact(f(low))
    mass = mp.quad(lambda t: mp.exp(exact(t) - start), [f(low), f(high)])
    wanted = float(exact(f(x)) - start - mp.log(mass))
    call = truncated(base, low, high)
    np.testing.assert_allclose(
        [call.log_prob(x), call.log_probs([x])[0]], wanted, rtol=1e-13, atol=1e-14
    )
