"""Distributions of angles."""

import math

from genparams.autodiff import np
from genparams.dsl.distributions import signatures
from genparams.dsl.distributions.domains import at_least_zero, lazy_finite
from genparams.dsl.distributions.elementwise import elementwise
from genparams.dsl.distributions.signatures import called_as


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
