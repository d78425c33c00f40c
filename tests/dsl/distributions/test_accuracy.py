"""Log densities and every gradient on a grid of extreme arguments, against seven hundred digits.

log density   to 1e-12 of itself, and to 2e-14 where it crosses zero
gradient      to 1e-10 of itself, and where it crosses zero to 1e-13 of what a change of the
              argument by its own size does to the log density
"""

import math
import random
from itertools import product
from typing import Any

import numpy as np
import pytest
from test_extremes import (
    exact_beta,
    exact_beta_binomial,
    exact_beta_uniform,
    exact_binomial,
    exact_cauchy,
    exact_gamma,
    exact_geometric,
    exact_inv_gamma,
    exact_logistic,
    exact_neg_binomial,
    exact_normal,
    exact_poisson,
    exact_student_t,
    exact_truncated_normal,
    exact_von_mises,
    exact_weibull,
    f,
    mp,
)

from genparams import (
    bernoulli,
    beta,
    beta_binomial,
    beta_uniform,
    binomial,
    cauchy,
    exponential,
    gamma,
    geometric,
    half_cauchy,
    half_normal,
    inv_gamma,
    laplace,
    logistic,
    lognormal,
    neg_binomial,
    normal,
    poisson,
    student_t,
    truncated,
    truncated_normal,
    uniform,
    von_mises,
    weibull,
)
from genparams.autodiff import gradient

DIGITS = 700
EACH = 12
"""How many points of each grid are tried."""

SCALES = [1e-300, 1e-100, 1e-30, 1e-12, 1e-5, 0.3, 1.0, 7.0, 120.0, 1e5, 1e12, 1e30, 1e100]
ABOVE = [1e-300, 1e-9, 0.3, 1.0, 1.5, 40.0, 1e8, 1e100]
PLACES = [0.0, *ABOVE, *(-v for v in ABOVE)]
CHANCES = [1e-300, 1e-20, 1e-3, 0.3, 0.5, 0.999, 1.0 - 2.0**-53]
COUNTS = [0, 1, 3, 50, 1000, 10**6, 10**12]


def exact_laplace(x, loc, scale):
    return -abs(f(x) - f(loc)) / f(scale) - mp.log(2 * f(scale))


def exact_lognormal(x, mu, sigma):
    return exact_normal(mp.log(x), mu, sigma) - mp.log(x)


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


def points():
    for distribution, (exact, values) in GRIDS.items():
        chosen = list(values)
        random.Random(5).shuffle(chosen)
        for at in chosen[:EACH]:
            yield pytest.param(distribution, exact, at, id=f"{distribution.__name__}-{at}")


def slope(exact, values, place):
    """The derivative by a difference of which three hundred digits are left."""
    a = f(values[place])
    h = abs(a) * f(10) ** -100 if a else f(10) ** -400
    up, down = ([a + s * h if i == place else v for i, v in enumerate(values)] for s in (1, -1))
    return (exact(*up) - exact(*down)) / (2 * h)


@pytest.mark.parametrize(("distribution", "exact", "values"), list(points()))
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
            exactly = slope(exact, values, i)
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
