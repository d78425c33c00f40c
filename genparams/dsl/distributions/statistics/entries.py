"""The expected information of distributions over numbers, by pairs of their arguments in order."""

import math
from typing import Any

import numpy as np
from scipy import special

_LESS_EULER = 1.0 - np.euler_gamma


def trigamma(x: Any) -> Any:
    return special.polygamma(1, x)


def location_scale(by_loc: float, by_scale: float) -> Any:
    """The entries of a symmetric density along (x - loc) / scale, for a scale of 1."""

    def entries(loc: Any, scale: Any) -> Any:
        per = 1.0 / np.square(scale)
        return {(0, 0): by_loc * per, (1, 1): by_scale * per}

    return entries


def scale_alone(by_scale: float) -> Any:
    """The entries of a density along x / scale, for a scale of 1."""
    return lambda scale: {(0, 0): by_scale / np.square(scale)}


# --- Student's t

_FAR = 30.0
_T_SERIES = (-1 / 2, 3 / 2, -17 / 2, 155 / 2, -2073 / 2, 38227 / 2)
"""(psi'(df / 2) - psi'((df + 1) / 2)) / 4 by odd powers of u = 1 / df, from u^5 on.

The terms before are (u^2 + u^3) / 2.
"""


def _by_df(df: Any) -> Any:
    """(psi'(df / 2) - psi'((df + 1) / 2)) / 4 - (df + 5) / (2 df (df + 1) (df + 3)).

    About 7 / (2 df^4) for large df, where the difference would lose its digits.
    """
    far = df > _FAR
    u = 1.0 / np.where(far, df, _FAR)
    rest = u**5 * np.polynomial.polynomial.polyval(u * u, _T_SERIES)
    series = u**4 * (7.0 + 3.0 * u) / (2.0 * (1.0 + u) * (1.0 + 3.0 * u)) + rest
    near = np.where(far, _FAR, df)
    drop = 0.25 * (trigamma(0.5 * near) - trigamma(0.5 * near + 0.5))
    return np.where(far, series, drop - (near + 5.0) / (2.0 * near * (near + 1.0) * (near + 3.0)))


def student_t(df: Any, loc: Any, scale: Any) -> Any:
    per = 1.0 / np.square(scale)
    return {
        (0, 0): _by_df(df),
        (0, 2): -2.0 / (scale * (df + 1.0) * (df + 3.0)),
        (1, 1): (df + 1.0) / (df + 3.0) * per,
        (2, 2): 2.0 * df / (df + 3.0) * per,
    }


# --- Families of the gamma function


def gamma(shape: Any, scale: Any) -> Any:
    return {
        (0, 0): trigamma(shape),
        (0, 1): 1.0 / scale,
        (1, 1): shape / np.square(scale),
    }


def gamma_by_rate(shape: Any, rate: Any) -> Any:
    """The entries of `inv_gamma` too, whose scale is the rate of a gamma."""
    return gamma(shape, rate) | {(0, 1): -1.0 / rate}


def _trigamma_drop(a: Any, b: Any) -> Any:
    """psi'(a) - psi'(a + b), by a series in b where b is small."""
    small = b < 0.01 * a
    step = np.where(small, b, 0.0)
    series = -sum(step**k / math.factorial(k) * special.polygamma(k + 1, a) for k in range(1, 8))
    return np.where(small, series, trigamma(a) - trigamma(a + b))


def beta(alpha: Any, beta: Any) -> Any:
    return {
        (0, 0): _trigamma_drop(alpha, beta),
        (0, 1): -trigamma(alpha + beta),
        (1, 1): _trigamma_drop(beta, alpha),
    }


def weibull(shape: Any, scale: Any) -> Any:
    return {
        (0, 0): (math.pi**2 / 6.0 + _LESS_EULER**2) / np.square(shape),
        (0, 1): -_LESS_EULER / scale,
        (1, 1): np.square(shape / scale),
    }


# --- The von Mises distribution

_CONCENTRATED = 50.0


def _mean_cosine_series(count: int) -> list[float]:
    """The coefficients c_n of A = I1(kappa) / I0(kappa) = sum_n c_n kappa^-n.

    They follow from A' = 1 - A / kappa - A^2.
    """
    c = [1.0, -0.5]
    for n in range(2, count):
        c.append(0.5 * ((n - 2) * c[n - 1] - sum(c[i] * c[n - i] for i in range(1, n))))
    return c


_SLOPE_SERIES = [0.0, 0.0, *(-n * c for n, c in enumerate(_mean_cosine_series(12)) if n)]
"""The coefficients of A' by powers of 1 / kappa."""


def von_mises(mu: Any, kappa: Any) -> Any:
    """With A the mean of cos(x - mu): kappa A by mu, and A' = 1 - A / kappa - A^2 by kappa."""
    mean = special.i1e(kappa) / special.i0e(kappa)
    far, none = kappa > _CONCENTRATED, kappa < 1e-8
    near = np.where(none, 1.0, kappa)
    exact = np.where(none, 0.5, 1.0 - mean / near - mean * mean)
    u = 1.0 / np.where(far, kappa, _CONCENTRATED)
    series = np.polynomial.polynomial.polyval(u, _SLOPE_SERIES)
    return {(0, 0): kappa * mean, (1, 1): np.where(far, series, exact)}


# --- Whole numbers


def bernoulli(probs: Any) -> Any:
    return {(0, 0): 1.0 / (probs * (1.0 - probs))}


def bernoulli_by_logits(logits: Any) -> Any:
    return {(0, 0): special.expit(logits) * special.expit(-logits)}


def binomial(n: Any, probs: Any) -> Any:
    return {(1, 1): n * bernoulli(probs)[0, 0]}


def binomial_by_logits(n: Any, logits: Any) -> Any:
    return {(1, 1): n * bernoulli_by_logits(logits)[0, 0]}


def poisson(rate: Any) -> Any:
    return {(0, 0): 1.0 / rate}


def geometric(probs: Any) -> Any:
    return {(0, 0): 1.0 / (np.square(probs) * (1.0 - probs))}


def neg_binomial(r: Any, probs: Any) -> Any:
    """All but the entry by r alone, which has no closed form."""
    return {(0, 1): -1.0 / probs, (1, 1): r * geometric(probs)[0, 0]}
