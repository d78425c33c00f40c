"""The expected information of every distribution is the mean of the products of its scores.

The mean is computed otherwise: a sum over the values of a discrete distribution, an integral by the
double exponential formula of a continuous one, a Gauss-Hermite sum of a normal vector.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy import special, stats
from test_table import BATCH, ROWS

from genparams import (
    affine,
    bernoulli,
    beta,
    beta_binomial,
    binomial,
    categorical,
    censored,
    dirichlet,
    distribution,
    exponential,
    from_scipy,
    gamma,
    geometric,
    interval,
    inv_gamma,
    laplace,
    lognormal,
    mixture,
    mvnormal,
    neg_binomial,
    normal,
    poisson,
    positive,
    product,
    student_t,
    transformed,
    truncated,
    uniform,
    uniform_discrete,
    unit_interval,
    von_mises,
    weibull,
    zero_inflated,
)
from genparams.autodiff import gradient, hessian, operand
from genparams.constraints import ordered, simplex
from genparams.dsl.distributions.statistics.functions import (
    expected_information,
    why_unknown,
)
from genparams.errors import ArgumentError, DistributionError, ShapeError

P = 4
"""The number of parameters in these tests."""

# --- The values of a distribution, and their weights in a sum or an integral

STEPS = np.arange(-4.6, 4.6, 1.0 / 48.0)


def half_line(start: float, sign: float) -> tuple[Any, Any]:
    """Nodes and weights from a number to an infinity: x = start + sign exp(pi / 2 sinh t)."""
    away = np.exp(0.5 * np.pi * np.sinh(STEPS))
    return start + sign * away, away * 0.5 * np.pi * np.cosh(STEPS) / 48.0


def line_piece(low: float, high: float) -> tuple[Any, Any]:
    """Nodes and weights between two numbers, which come as close to the ends as floats do."""
    y = np.pi * np.sinh(STEPS)
    share, width = special.expit(y), high - low
    x = np.where(y < 0.0, low + width * share, high - width * special.expit(-y))
    weight = width * share * special.expit(-y) * np.pi * np.cosh(STEPS) / 48.0
    inside = (x > low) & (x < high)
    return x[inside], weight[inside]


def over(low: float, high: float, middle: float) -> tuple[Any, Any]:
    """Nodes and weights between two ends, either of which may be infinite."""
    below = line_piece(low, middle) if np.isfinite(low) else half_line(middle, -1.0)
    above = line_piece(middle, high) if np.isfinite(high) else half_line(middle, 1.0)
    return np.concatenate([below[0], above[0]]), np.concatenate([below[1], above[1]])


def whole(top: int) -> tuple[Any, Any]:
    return np.arange(top + 1), np.ones(top + 1)


def normal_vectors(mean: Any, factor: Any) -> tuple[Any, Any]:
    """Points whose mean of a polynomial of degree 5 in each entry is exact; weights with p."""
    z, w = np.polynomial.hermite_e.hermegauss(4)
    grid = np.array(list(itertools.product(z, repeat=len(mean))))
    weights = np.prod(list(itertools.product(w / np.sum(w), repeat=len(mean))), axis=-1)
    return mean + grid @ factor.T, weights


def counts(n: int, k: int) -> tuple[Any, Any]:
    x = [v for v in itertools.product(range(n + 1), repeat=k) if sum(v) == n]
    return np.array(x), np.ones(len(x))


def scores(call: Any, x: Any, tangents: Any) -> Any:
    """The derivatives of log p of each value by the parameters, by the library's gradients."""
    args = [operand(np.asarray(a, dtype=float)) for a in call.args]
    many = [np.broadcast_to(a, (len(x), *np.shape(a))) for a in args]
    total = np.zeros((P, len(x)))
    for i, tangent in enumerate(tangents):
        if tangent is None:
            continue

        def f(a, i=i):
            return call.fn.log_prob_of(x, [*many[:i], a, *many[i + 1 :]])

        by_arg = gradient(f, np.array(many[i]))
        total += np.reshape(tangent, (P, -1)) @ np.reshape(by_arg, (len(x), -1)).T
    return total


def mean_product(call: Any, tangents: Any, nodes: tuple[Any, Any], dense: bool = True) -> Any:
    """The mean of the products of the scores; weights of nodes have p in them unless dense."""
    x, weight = nodes
    if dense:
        each = call.fn.log_probs_of(x, [operand(np.asarray(a, dtype=float)) for a in call.args])
        some = each > -600.0
        x, weight = x[some], weight[some] * np.exp(each[some])
    s = scores(call, x, tangents)
    return (s * weight) @ s.T


def tangents_of(arguments: Any, args: Any, seed: int = 0) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [
        None if a.move is None else np.stack([a.move(rng, v) for _ in range(P)])
        for a, v in zip(arguments, args, strict=True)
    ]


def any_tangents(args: Any, free: Any = None) -> list[Any]:
    """Tangents of the arguments at some places, or of all."""
    rng = np.random.default_rng(1)
    return [
        rng.normal(size=(P, *np.shape(a))) if free is None or i in free else None
        for i, a in enumerate(args)
    ]


def agree(found: Any, wanted: Any, rtol: float = 1e-7) -> None:
    np.testing.assert_allclose(found, wanted, rtol=rtol, atol=rtol * np.max(np.abs(wanted)))


def is_information(found: Any) -> None:
    np.testing.assert_array_equal(found, found.T)
    assert found.shape == (P, P)
    assert np.min(np.linalg.eigvalsh(found)) > -1e-12 * np.max(found)


# --- The table

HALF = {"lognormal", "exponential", "gamma-by-scale", "gamma-by-rate", "inv_gamma", "weibull"}
HALF |= {"half_normal", "half_cauchy"}
EXPONENTIAL = {"beta", "dirichlet"}
"""Families of log densities whose second derivatives by the arguments do not depend on the value,
and whose values come closer to 1 than floats do."""
COUNTED = {"categorical": 3, "categorical-by-logits": 3, "bernoulli": 1, "bernoulli-by-logits": 1}
UNKNOWN = {
    "uniform": "uniform: it has no expected information where the ends of its support move",
    "piecewise_uniform": "piecewise_uniform: it has no expected information where the ends",
    "beta_uniform": "beta_uniform: the information of a mixture has no closed form",
    "uniform_discrete": "uniform_discrete: none of its arguments depends on a parameter",
    "truncated_normal": "truncated_normal: the ends of its support depend on a parameter",
    "truncated_normal-above": "the ends of its support depend on a parameter",
    "truncated_normal-below": "the ends of its support depend on a parameter",
    "truncated_normal-short": "the ends of its support depend on a parameter",
    "mixture-of-normals": "the information of a mixture has no closed form",
    "mixture-of-mvnormals": "the information of a mixture has no closed form",
    "mixture-of-normal-and-laplace": "the information of a mixture has no closed form",
    "mixture-of-poissons": "the information of a mixture has no closed form",
    "autoregressive": "autoregressive: it has no formula for its expected information",
}
"""The rows of the table of distributions that have no information by all of their arguments."""


def nodes_of(row: Any, args: Any) -> tuple[Any, Any]:
    """The nodes of a row, whose weights have no density in them but for normal vectors."""
    if row.name in COUNTED:
        return whole(COUNTED[row.name])
    if row.name == "multinomial":
        return counts(int(args[0]), 3)
    if row.name.startswith("mvnormal"):
        factor = args[1] if "factor" in row.name else np.linalg.cholesky(args[1])
        return normal_vectors(args[0], factor)
    if row.move is None:
        return whole(int(args[0]) if "binomial" in row.name and row.name[0] != "n" else 1500)
    if row.name == "von_mises":
        return over(-np.pi, np.pi, 0.3)
    middle = args[-2] if len(args) > 1 else 1.0
    return over(0.0, np.inf, 1.0) if row.name in HALF else over(-np.inf, np.inf, float(middle))


known_row = pytest.mark.parametrize(
    "row", [pytest.param(row, id=row.name) for row in ROWS if row.name not in UNKNOWN]
)
unknown_row = pytest.mark.parametrize(
    "row", [pytest.param(row, id=row.name) for row in ROWS if row.name in UNKNOWN]
)


def information(row: Any, args: Any, tangents: Any, size: Any = None) -> Any:
    call = row.call(*args)
    return expected_information(call.fn, call.args, in_call(row, call, args, tangents), size)


def in_call(row: Any, call: Any, args: Any, tangents: Any) -> list[Any]:
    """The tangents in the order of the arguments of the call."""
    assert len(call.args) >= len(args)
    return [
        next((t for t, v in zip(tangents, args, strict=True) if v is a), None) for a in call.args
    ]


@known_row
@pytest.mark.parametrize("seed", range(4))
def test_the_information_is_the_mean_of_the_products_of_the_scores(row, seed):
    args = row.settings(seed)
    tangents = tangents_of(row.arguments, args, seed)
    found = information(row, args, tangents)
    is_information(found)
    call = row.call(*args)
    if row.name in EXPONENTIAL:
        x = row.values(seed, args)
        as_one = (lambda v: [v]) if row.name == "dirichlet" else list
        curvature = -hessian(lambda v: row.log_prob(x, *as_one(v)), np.ravel(args))
        t = np.reshape(np.moveaxis(np.asarray(tangents), 0, 1), (P, -1))
        agree(found, t @ curvature @ t.T)
        return
    dense = not row.name.startswith("mvnormal")
    wanted = mean_product(call, tangents, nodes_of(row, args), dense)
    agree(found, wanted)


@unknown_row
def test_a_distribution_without_information_says_why(row):
    args = row.settings(0)
    call = row.call(*args)
    tangents = in_call(row, call, args, tangents_of(row.arguments, args))
    assert expected_information(call.fn, call.args, tangents) is None
    assert UNKNOWN[row.name] in why_unknown(call.fn, call.args, tangents)


@known_row
@pytest.mark.parametrize("seed", range(4))
def test_the_information_of_a_batch_is_the_sum_over_its_entries(row, seed):
    args = row.mixed_settings(seed)
    tangents = tangents_of(row.arguments, args, seed)
    full = [
        np.broadcast_to(v, (*BATCH, *np.shape(v)[np.ndim(v) - a.rank :]))
        for v, a in zip(args, row.arguments, strict=True)
    ]
    wide = [
        None if t is None else np.broadcast_to(spread(t, np.ndim(f)), (P, *np.shape(f)))
        for t, f in zip(tangents, full, strict=True)
    ]
    each = [
        information(row, [f[at] for f in full], [t if t is None else t[:, *at] for t in wide])
        for at in np.ndindex(*BATCH)
    ]
    agree(information(row, args, tangents, BATCH), sum(each), 1e-11)
    agree(information(row, full, wide), sum(each), 1e-11)
    agree(information(row, full, wide, (5, *BATCH)), 5.0 * sum(each), 1e-11)


def spread(tangent: Any, axes: int) -> Any:
    """A tangent with axes of length 1 after its first."""
    missing = (1,) * (axes + 1 - np.ndim(tangent))
    return np.reshape(tangent, (P, *missing, *np.shape(tangent)[1:]))


@known_row
def test_size_makes_so_many_of_one(row):
    args = row.settings(2)
    tangents = tangents_of(row.arguments, args)
    one = information(row, args, tangents)
    agree(information(row, args, tangents, (3, 4)), 12.0 * one, 1e-12)
    np.testing.assert_array_equal(information(row, args, tangents, 0), np.zeros((P, P)))


@known_row
def test_an_argument_that_does_not_move_leaves_the_others_as_they_are(row):
    args = row.settings(3)
    tangents = tangents_of(row.arguments, args)
    places = [i for i, t in enumerate(tangents) if t is not None]
    for i in places:
        alone = [t if k == i else None for k, t in enumerate(tangents)]
        still = [t if k == i or t is None else 0.0 * t for k, t in enumerate(tangents)]
        agree(information(row, args, alone), information(row, args, still), 1e-12)


# --- Other parametrisations


@pytest.mark.parametrize("shape", [(), (5,)])
def test_information_by_logits_is_the_one_by_probabilities_by_the_chain_rule(shape):
    logits = np.random.default_rng(0).normal(size=shape)
    t = np.random.default_rng(1).normal(size=(P, *shape))
    p = special.expit(logits)
    by_p = p * (1.0 - p) * t
    agree(
        expected_information(bernoulli(logits=0.0).fn, [logits], [t]),
        expected_information(bernoulli, [p], [by_p]),
        1e-12,
    )
    agree(
        expected_information(binomial(7, logits=0.0).fn, [7, logits], [None, t]),
        expected_information(binomial, [7, p], [None, by_p]),
        1e-12,
    )


def test_information_of_categories_by_log_weights_is_the_one_by_probabilities():
    logits = np.random.default_rng(0).normal(size=(5, 3))
    t = np.random.default_rng(1).normal(size=(P, 5, 3))
    p = special.softmax(logits, axis=-1)
    by_p = p * (t - np.sum(p * t, axis=-1, keepdims=True))
    agree(
        expected_information(categorical(logits=logits).fn, [logits], [t]),
        expected_information(categorical, [p], [by_p]),
        1e-12,
    )


def test_information_by_a_rate_is_the_one_by_a_scale():
    shape, rate = np.array([0.5, 4.0]), 3.0
    by_shape, by_rate = any_tangents([shape, rate])
    agree(
        expected_information(gamma(shape, rate=rate).fn, [shape, rate], [by_shape, by_rate]),
        expected_information(gamma, [shape, 1.0 / rate], [by_shape, -by_rate / rate**2]),
        1e-12,
    )


def test_information_by_a_factor_is_the_one_by_a_covariance():
    rng = np.random.default_rng(0)
    factor = np.tril(rng.normal(size=(3, 3))) + 3.0 * np.eye(3)
    mean, by_mean, by_factor = rng.normal(size=3), rng.normal(size=(P, 3)), None
    by_factor = np.tril(rng.normal(size=(P, 3, 3)))
    half = by_factor @ factor.T
    agree(
        expected_information(
            mvnormal(mean, scale_tril=factor).fn, [mean, factor], [by_mean, by_factor]
        ),
        expected_information(
            mvnormal, [mean, factor @ factor.T], [by_mean, half + np.swapaxes(half, 1, 2)]
        ),
        1e-12,
    )


# --- Far out


def test_information_keeps_its_digits_where_a_formula_would_cancel():

    mp: Any = mpmath.MPContext()
    mp.dps = 60

    def trigamma(x):
        return mp.psi(1, mp.mpf(x))

    one = np.ones((1,))
    for df in (0.1, 5.0, 29.9, 30.1, 100.0, 1e4, 1e7):
        v = mp.mpf(df)
        wanted = (trigamma(v / 2) - trigamma((v + 1) / 2)) / 4
        wanted -= (v + 5) / (2 * v * (v + 1) * (v + 3))
        found = expected_information(student_t, [df, 0.0, 1.0], [one, None, None])
        np.testing.assert_allclose(found, float(wanted), rtol=1e-11)
    for kappa in (0.0, 1e-9, 1e-5, 0.5, 49.9, 50.1, 200.0, 1e6):
        k = mp.mpf(kappa)
        a = mp.besseli(1, k) / mp.besseli(0, k)
        wanted = 1 - a * a - a / k if kappa else 0.5
        found = expected_information(von_mises, [0.0, kappa], [None, one])
        np.testing.assert_allclose(found, float(wanted), rtol=1e-11)
    for a, b in [(1e6, 1e-3), (2.0, 0.0199), (2.0, 0.0201), (3.0, 4.0)]:
        found = expected_information(beta, [a, b], [one, None])
        wanted = trigamma(a) - trigamma(mp.mpf(a) + mp.mpf(b))
        np.testing.assert_allclose(found, float(wanted), rtol=1e-11)


@pytest.mark.parametrize(
    ("n", "a", "b"), [(10, 1e6, 2e6), (3, 1e4, 1e-2), (50, 1e3, 1e5), (200, 0.3, 0.4)]
)
def test_information_of_beta_binomial_is_the_sum_over_its_values(n, a, b):
    mp: Any = mpmath.MPContext()
    mp.dps = 50
    first, second = mp.mpf(a), mp.mpf(b)

    def slope(own, x):
        total = first + second
        return mp.psi(0, x + own) - mp.psi(0, n + total) - mp.psi(0, own) + mp.psi(0, total)

    wanted = mp.zeros(2)
    for x in range(n + 1):
        mass = mp.binomial(n, x) * mp.beta(x + first, n - x + second) / mp.beta(first, second)
        s = mp.matrix([slope(first, x), slope(second, n - x)])
        wanted += mass * s * s.T
    found = expected_information(beta_binomial, [n, a, b], [None, *np.eye(2)])
    np.testing.assert_allclose(found, np.array(wanted.tolist(), dtype=float), rtol=1e-12)


def test_information_of_a_concentration_keeps_its_digits():
    mp: Any = mpmath.MPContext()
    mp.dps = 50
    alpha = [1e6, 2e6, 3e5]
    along = [mp.mpf(v) for v in alpha]
    wanted = mp.fsum(v**2 * mp.psi(1, v) for v in along)
    wanted -= mp.fsum(along) ** 2 * mp.psi(1, mp.fsum(along))
    found = expected_information(dirichlet, [alpha], [np.array([alpha])])
    np.testing.assert_allclose(found, float(wanted), rtol=1e-13)


@pytest.mark.parametrize(
    ("r", "p"),
    [(0.3, 0.5), (2.5, 0.02), (2.5, 0.021), (400.0, 0.3), (150.0, 0.5), (1e-3, 0.9), (3.0, 1e-4)]
    + [(1e-6, 0.5), (0.7, 0.9999), (5e3, 0.99), (0.2, 1e-3)],
)
def test_information_by_r_is_the_sum_of_its_series(r, p):
    """psi'(r) - E[psi'(r + X)] = sum_j P(X > j) / (r + j)^2."""
    top = int(stats.nbinom.isf(1e-18, r, p)) + 50
    j = np.arange(top)
    wanted = np.sum(special.betainc(j + 1.0, r, 1.0 - p) / (r + j) ** 2)
    found = expected_information(neg_binomial, [r, p], [np.ones(1), None])
    np.testing.assert_allclose(found, wanted, rtol=1e-10)


def test_information_of_an_impossible_edge_is_unknown():
    assert expected_information(poisson, [0.0], [np.ones(1)]) is None
    assert "not finite" in why_unknown(poisson, [0.0], [np.ones(1)])
    assert expected_information(binomial, [3, 1.0], [None, np.ones(1)]) is None


def test_an_argument_at_an_edge_that_does_not_move_there_adds_nothing():
    probs, moving = np.array([0.3, 1.0]), np.array([[0.5, 0.0]])
    found = expected_information(bernoulli, [probs], [moving])
    np.testing.assert_allclose(found, 0.25 / 0.21)
    still = np.array([[0.3, -0.3, 0.0]])
    found = expected_information(categorical, [[0.4, 0.6, 0.0]], [still])
    np.testing.assert_allclose(found, 0.09 / 0.4 + 0.09 / 0.6)


def test_probabilities_that_leave_the_simplex_have_no_information():
    why = why_unknown(categorical, [[0.4, 0.6]], [np.array([[0.3, 0.0]])])
    assert "do not sum to 0" in why


# --- Made of others


@dataclass(frozen=True)
class Made:
    """A call of a distribution that is made of others, and its values."""

    name: str
    call: Callable[..., Any]
    args: tuple[Any, ...]
    nodes: tuple[Any, Any]
    free: tuple[int, ...] | None = None
    """The places of the arguments of the call that move; None is all."""


def with_limits(low: float, high: float, middle: float, *ends: float) -> tuple[Any, Any]:
    """Nodes between two ends, and limits, whose weight is 1."""
    x, weight = over(low, high, middle)
    return np.append(x, ends), np.append(weight, np.ones(len(ends)))


INF = np.inf
MADE = [
    Made("zero-inflated-poisson", lambda p, r: zero_inflated(p, poisson(r)), (0.3, 2.5), whole(80)),
    Made("zero-inflated-rare", lambda p, r: zero_inflated(p, poisson(r)), (0.6, 0.05), whole(30)),
    Made(
        "zero-inflated-binomial",
        lambda p, n, q: zero_inflated(p, binomial(n, q)),
        (0.3, 9, 0.2),
        whole(9),
        (0, 2),
    ),
    Made(
        "zero-inflated-neg_binomial",
        lambda p, r, q: zero_inflated(p, neg_binomial(r, q)),
        (0.2, 1.7, 0.4),
        whole(300),
    ),
    Made(
        "zero-inflated-geometric",
        lambda p, q: zero_inflated(p, geometric(q)),
        (0.2, 0.4),
        whole(200),
    ),
    Made(
        "zero-inflated-beta_binomial",
        lambda p, n, a, b: zero_inflated(p, beta_binomial(n, a, b)),
        (0.2, 12, 1.3, 2.0),
        whole(12),
        (0, 2, 3),
    ),
    Made(
        "hurdle-poisson",
        lambda p, r: zero_inflated(p, truncated(poisson(r), low=1)),
        (0.3, 2.5),
        whole(80),
        (0, 1),
    ),
    Made(
        "truncated-normal",
        lambda mu, s: truncated(normal(mu, s), -1.0, 2.5),
        (0.3, 1.7),
        over(-1.0, 2.5, 0.3),
        (0, 1),
    ),
    Made(
        "truncated-normal-far",
        lambda mu, s: truncated(normal(mu, s), low=8.0),
        (0.3, 1.1),
        over(8.0, INF, 8.5),
        (0, 1),
    ),
    Made(
        "truncated-gamma",
        lambda a, s: truncated(gamma(a, scale=s), 0.5, 6.0),
        (1.4, 2.0),
        over(0.5, 6.0, 2.0),
        (0, 1),
    ),
    Made(
        "truncated-student_t",
        lambda df, mu, s: truncated(student_t(df, mu, s), low=-1.0),
        (2.4, 0.2, 1.3),
        over(-1.0, INF, 0.2),
        (0, 1, 2),
    ),
    Made(
        "truncated-laplace",
        lambda mu, s: truncated(laplace(mu, s), low=-1.0),
        (0.2, 1.3),
        over(-1.0, INF, 0.2),
        (0, 1),
    ),
    Made(
        "truncated-poisson", lambda r: truncated(poisson(r), low=1, high=9), (2.5,), whole(9), (0,)
    ),
    Made(
        "truncated-neg_binomial",
        lambda r, p: truncated(neg_binomial(r, p), low=1),
        (1.5, 0.4),
        whole(300),
        (0, 1),
    ),
    Made(
        "censored-normal",
        lambda mu, s: censored(normal(mu, s), high=1.5),
        (0.3, 1.7),
        with_limits(-INF, 1.5, 0.3, 1.5),
        (0, 1),
    ),
    Made(
        "censored-normal-both",
        lambda mu, s: censored(normal(mu, s), -1.0, 1.5),
        (0.3, 1.7),
        with_limits(-1.0, 1.5, 0.3, -1.0, 1.5),
        (0, 1),
    ),
    Made(
        "censored-exponential",
        lambda rate: censored(exponential(rate), high=1.5),
        (0.7,),
        with_limits(0.0, 1.5, 0.5, 1.5),
        (0,),
    ),
    Made(
        "censored-weibull",
        lambda k, s: censored(weibull(k, s), high=1.5),
        (1.7, 2.0),
        with_limits(0.0, 1.5, 0.5, 1.5),
        (0, 1),
    ),
    Made(
        "censored-gamma",
        lambda k, s: censored(gamma(k, scale=s), low=0.4),
        (1.7, 2.0),
        with_limits(0.4, INF, 2.0, 0.4),
        (0, 1),
    ),
    Made(
        "censored-poisson",
        lambda r: censored(poisson(r), low=1, high=4),
        (2.5,),
        (np.arange(1, 5), np.ones(4)),
        (0,),
    ),
    Made(
        "lognormal-by-transform",
        lambda mu, s: transformed(normal(mu, s), positive),
        (0.3, 0.8),
        over(0.0, INF, 1.0),
    ),
    Made(
        "logit-normal",
        lambda mu, s: transformed(normal(mu, s), unit_interval),
        (0.3, 0.8),
        over(0.0, 1.0, 0.5),
    ),
    Made(
        "affine",
        lambda mu, s: transformed(student_t(5.0, mu, s), affine(2.0, -3.0)),
        (0.3, 0.8),
        over(-INF, INF, 1.1),
        (1, 2),
    ),
]


every_made = pytest.mark.parametrize("made", [pytest.param(m, id=m.name) for m in MADE])


@every_made
def test_the_information_of_what_is_made_of_others_is_the_mean_of_products(made):
    call = made.call(*made.args)
    tangents = any_tangents(call.args, made.free)
    found = expected_information(call.fn, call.args, tangents)
    is_information(found)
    agree(found, mean_product(call, tangents, made.nodes))


@every_made
def test_the_information_of_a_batch_of_what_is_made_is_a_sum(made):
    call = made.call(*made.args)
    tangents = any_tangents(call.args, made.free)
    one = expected_information(call.fn, call.args, tangents)
    batch = [np.full((3, 1), a) if i % 2 else a for i, a in enumerate(call.args)]
    wide = [
        t if t is None or not np.shape(a) else np.repeat(t[:, None, None], 3, axis=1)
        for t, a in zip(tangents, batch, strict=True)
    ]
    agree(expected_information(call.fn, batch, wide, (3, 700)), 2100.0 * one, 1e-11)


def test_the_information_of_a_product_is_the_sum_over_its_parts():
    call = product([normal(0.3, 2.0), poisson(3.0), binomial(4, 0.2)])
    tangents = any_tangents(call.args, (0, 1, 2))
    wanted = expected_information(normal, call.args[:2], tangents[:2])
    wanted = wanted + expected_information(poisson, call.args[2:3], tangents[2:3])
    agree(expected_information(call.fn, call.args, tangents), wanted, 1e-14)
    agree(expected_information(call.fn, call.args, tangents, 5), 5.0 * wanted, 1e-14)


def test_a_product_with_a_part_without_information_has_none():
    call = product([normal(0.3, 2.0), uniform(0.0, 1.0)])
    why = why_unknown(call.fn, call.args, any_tangents(call.args))
    assert "of uniform, it has no expected information" in why
    still = any_tangents(call.args, (0, 1))
    assert expected_information(call.fn, call.args, still) is not None


def test_labels_leave_the_information_as_it_is():
    logits = np.array([0.2, -1.0, 0.4])
    t = any_tangents([logits])
    labelled = categorical(logits=logits, labels=["a", "b", "c"])
    agree(
        expected_information(labelled.fn, [logits], t),
        expected_information(categorical(logits=logits).fn, [logits], t),
        1e-15,
    )


@pytest.mark.parametrize("bijection", [simplex, ordered, positive, interval(-1.0, 2.0)])
def test_a_bijection_of_vectors_leaves_the_information_as_it_is(bijection):
    mean, cov = np.array([0.3, -0.2, 0.5]), np.eye(3) + 0.2
    tangents = [any_tangents([mean])[0], None]
    through = transformed(mvnormal(mean, cov), bijection)
    wanted = expected_information(mvnormal, [mean, cov], tangents)
    agree(expected_information(through.fn, through.args, tangents), wanted, 1e-14)


def test_a_bijection_of_vectors_of_numbers_sums_over_their_coordinates():
    mu, std = np.array([0.3, -0.2, 0.5]), np.array([1.4])
    tangents = any_tangents([mu, std])
    through = transformed(normal(mu, std), simplex)
    wanted = expected_information(normal, [mu, std], tangents)
    agree(expected_information(through.fn, through.args, tangents), wanted, 1e-14)
    found = expected_information(through.fn, through.args, tangents, (4,))
    agree(found, 4.0 * wanted, 1e-14)


SHARES = [0.2, 0.3, 0.5]
NO_INFORMATION = {
    "truncated categorical": (truncated(categorical(SHARES), high=1), "no formula", (0,)),
    "censored categorical": (censored(categorical(SHARES), high=1), "no formula", (0,)),
    "truncated uniform": (truncated(uniform(0.0, 2.0), high=1.0), "ends of its support", (0,)),
    "censored uniform": (censored(uniform(0.0, 2.0), high=1.0), "ends of its support", (0,)),
    "truncated by its limit": (truncated(lognormal(0.0, 1.0), high=1.0), "depend on", (0, 3)),
    "censored by its limit": (censored(inv_gamma(1.0, 1.0), high=1.0), "depend on", (3,)),
    "censored counts": (censored(poisson(1.0), high=1), "no derivative by high", (0, 2)),
    "zero-inflated categorical": (zero_inflated(0.2, categorical(SHARES)), "no formula", None),
    "zero-inflated uniform": (zero_inflated(0.5, uniform_discrete(0, 4)), "no derivatives", (0,)),
    "affine": (transformed(normal(0.0, 1.0), affine(1.0, 2.0)), "affine depends", None),
    "transformed uniform": (transformed(uniform(0.0, 1.0), positive), "support move", None),
    "mixture of products": (
        mixture([0.5, 0.5], [product([poisson(1.0)]), product([poisson(2.0)])]),
        "mixture",
        None,
    ),
    "scipy's": (from_scipy(stats.gumbel_r)(1.0, 2.0), "no formula", None),
}
"""Calls, why they have no information, and the places of the arguments that move."""


@pytest.mark.parametrize("name", NO_INFORMATION)
def test_what_is_made_without_information_says_why(name):
    call, reason, free = NO_INFORMATION[name]
    tangents = any_tangents(call.args, free)
    assert expected_information(call.fn, call.args, tangents) is None
    assert reason in why_unknown(call.fn, call.args, tangents)


# --- A user's own


def gumbel_log_prob(x, loc, scale):
    z = (x - loc) / scale
    return -z - np.exp(-z) - np.log(scale)


def gumbel_of(information: Any) -> Any:
    return distribution(
        lambda rng, loc, scale, size: rng.gumbel(loc, scale, size),
        gumbel_log_prob,
        information=information,
    )


def gumbel_information(loc, scale):
    rest = 1.0 - np.euler_gamma
    return {
        ("loc", "loc"): 1.0 / scale**2,
        ("scale", "loc"): -rest / scale**2,
        ("scale", "scale"): (np.pi**2 / 6.0 + rest**2) / scale**2,
    }


def test_a_distribution_of_ones_own_takes_its_information():
    call = gumbel_of(gumbel_information)(0.5, 2.0)
    tangents = any_tangents(call.args)
    found = expected_information(call.fn, call.args, tangents)
    agree(found, mean_product(call, tangents, over(-INF, INF, 0.5)))


def test_a_distribution_of_ones_own_has_no_information_unless_it_is_given():
    call = gumbel_of(None)(0.5, 2.0)
    assert expected_information(call.fn, call.args, any_tangents(call.args)) is None


def test_zeros_in_a_distribution_of_ones_own_have_the_information_of_the_same_family():
    own = distribution(
        lambda rng, rate, size: rng.poisson(rate, size),
        lambda x, rate: x * np.log(rate) - rate - special.gammaln(x + 1.0),
        discrete=True,
        name="counts",
        information=lambda rate: {("rate", "rate"): 1.0 / rate},
    )
    calls = [zero_inflated(0.3, base(np.array([2.5, 0.4]))) for base in (own, poisson)]
    found, wanted = (
        expected_information(call.fn, call.args, any_tangents(call.args)) for call in calls
    )
    agree(found, wanted, 1e-12)


def test_information_by_a_name_that_is_no_argument_is_refused():
    call = gumbel_of(lambda loc, scale: {("mu", "mu"): 1.0})(0.5, 2.0)
    with pytest.raises(ArgumentError, match=r"pairs of its arguments loc, scale, got"):
        expected_information(call.fn, call.args, any_tangents(call.args))


def test_information_of_another_shape_is_refused():
    call = gumbel_of(lambda loc, scale: {("loc", "loc"): np.ones(3)})(0.5, 2.0)
    with pytest.raises(ShapeError, match=r"shape \(3,\) for a batch of shape \(\)"):
        expected_information(call.fn, call.args, any_tangents(call.args))


# --- What is refused


def test_tangents_that_are_not_one_for_each_argument_are_refused():
    with pytest.raises(ArgumentError, match="2 arguments and 1 tangents"):
        expected_information(normal, [0.0, 1.0], [np.ones(2)])


def test_a_tangent_of_another_shape_is_refused():
    with pytest.raises(ShapeError, match=r"tangent of std of normal has shape \(3,\)"):
        expected_information(normal, [0.0, 1.0], [np.ones(2), np.ones(3)])


def test_arguments_outside_their_domain_are_refused():
    with pytest.raises(DistributionError, match="std of normal must be above 0"):
        expected_information(normal, [0.0, -1.0], [np.ones(2), None])
