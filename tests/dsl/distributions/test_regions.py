"""Every continuous distribution has unconstrained coordinates, or says why it has none."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

import genparams
from genparams import (
    Distribution,
    affine,
    beta,
    beta_uniform,
    cauchy,
    censored,
    custom_random,
    dirichlet,
    distribution,
    exponential,
    from_scipy,
    gamma,
    half_cauchy,
    half_normal,
    interval,
    inv_gamma,
    laplace,
    logistic,
    lognormal,
    lower_cholesky,
    mixture,
    mvnormal,
    normal,
    ordered,
    piecewise_uniform,
    poisson,
    positive,
    product,
    simplex,
    student_t,
    transformed,
    truncated,
    truncated_normal,
    uniform,
    unit_interval,
    von_mises,
    weibull,
    zero_inflated,
)
from genparams.autodiff import gradient
from genparams.dsl.distributions.regions import WHOLE_LINE, Between
from genparams.errors import ArgumentError, DistributionError


def triangle_log_prob(x, low, high):
    inside = (x > low) & (x < high)
    return np.where(
        inside, np.log(2.0 * np.where(inside, x - low, 1.0)) - 2.0 * np.log(high - low), -np.inf
    )


triangle = distribution(
    lambda rng, low, high, size: low + (high - low) * np.sqrt(rng.random(size)),
    triangle_log_prob,
    name="triangle",
)
squared = distribution(
    lambda rng, size: rng.exponential(size=size),
    lambda x: np.where(x > 0.0, -x, -np.inf),
    name="squared",
    constraint=positive,
)
by_hand = custom_random(
    lambda rng, mu: rng.normal(mu),
    lambda x, mu: -0.5 * (x - mu) ** 2 - 0.5 * math.log(2.0 * math.pi),
    lambda x, mu: (mu - x, x - mu),
)

NUMBERS = {
    "normal": normal(0.3, 1.2),
    "lognormal": lognormal(0.3, 0.7),
    "student_t": student_t(4.0, 0.3, 1.2),
    "laplace": laplace(0.3, 1.2),
    "cauchy": cauchy(0.3, 1.2),
    "logistic": logistic(0.3, 1.2),
    "uniform": uniform(-1.0, 2.5),
    "exponential": exponential(1.7),
    "gamma": gamma(1.4, scale=0.8),
    "gamma by its rate": gamma(1.4, rate=0.8),
    "inv_gamma": inv_gamma(2.3, 1.1),
    "beta": beta(1.6, 2.3),
    "weibull": weibull(1.7, 1.2),
    "half_normal": half_normal(1.3),
    "half_cauchy": half_cauchy(1.3),
    "truncated_normal": truncated_normal(0.2, 1.0, -1.0, 2.0),
    "von_mises": von_mises(0.4, 1.5),
    "beta_uniform": beta_uniform(0.4, 2.0, 3.0),
    "truncated above": truncated(gamma(2.0, scale=1.0), low=0.5),
    "truncated below": truncated(normal(0.0, 1.0), high=0.5),
    "truncated twice": truncated(lognormal(0.0, 1.0), low=0.5, high=3.0),
    "truncated beyond its support": truncated(beta(2.0, 2.0), low=-1.0, high=0.7),
    "mixture of two": mixture([0.3, 0.7], [gamma(2.0, scale=1.0), lognormal(0.0, 1.0)]),
    "mixture with hull": mixture([0.3, 0.7], [beta(2.0, 2.0), beta(3.0, 2.0)]),
    "mixture of one call": mixture([0.3, 0.7], exponential(np.array([1.0, 3.0]))),
    "transformed": transformed(normal(0.1, 0.8), positive),
    "transformed to an interval": transformed(normal(0.1, 0.8), interval(-1.0, 3.0)),
    "transformed twice": transformed(transformed(normal(0.1, 0.8), positive), affine(1.0, -2.0)),
    "transformed positive": transformed(gamma(2.0, scale=1.0), affine(1.0, 2.0)),
    "own on the line": distribution(
        lambda rng, size: rng.normal(size=size),
        lambda x: -0.5 * x**2 - 0.5 * math.log(2.0 * math.pi),
        name="own",
    )(),
    "own with a constraint": squared(),
    "scipy's gumbel": from_scipy(stats.gumbel_r)(0.3, 1.2),
    "scipy's pareto": from_scipy(stats.pareto)(3.0, 0.5, 2.0),
    "scipy's triangle": from_scipy(stats.triang)(0.4, 1.0, 2.0),
}
"""Calls of distributions over numbers, by a name; public distributions by their own."""

JUMPS = {
    "piecewise_uniform": piecewise_uniform([-1.0, 0.5, 2.0], [0.4, 0.6]),
    "own with bounds": triangle(-1.0, 2.0),
    "mixture of intervals": mixture([0.3, 0.7], [uniform(0.0, 1.0), uniform(0.5, 3.0)]),
    "mixture of a line and a half": mixture([0.3, 0.7], [normal(0.0, 1.0), exponential(1.0)]),
}
"""Calls whose density has a jump inside their region."""

VECTORS = {
    "mvnormal": mvnormal([0.1, 0.2], [[1.0, 0.3], [0.3, 0.8]]),
    "mvnormal by its factor": mvnormal([0.1, 0.2], scale_tril=[[1.0, 0.0], [0.3, 0.8]]),
    "dirichlet": dirichlet([1.2, 2.0, 0.8]),
    "mixture of dirichlets": mixture([0.5, 0.5], [dirichlet([1.0, 2.0]), dirichlet([3.0, 1.0])]),
    "through simplex": transformed(mvnormal([0.1, 0.2], np.eye(2)), simplex),
    "through ordered": transformed(normal(np.zeros(3), 1.0), ordered),
    "through lower_cholesky": transformed(normal(np.zeros(3), 1.0), lower_cholesky),
}


def region(call: Any) -> Any:
    return call.fn.region_of(call.fn.operands(call.args))


def slopes(r, u):
    """d natural(u) / d u for each entry."""
    return gradient(lambda v: np.sum(r.natural(v)), u)


def test_no_public_continuous_distribution_is_left_out():
    public = {name: getattr(genparams, name) for name in genparams.__all__}
    ours = {n for n, d in public.items() if isinstance(d, Distribution) and d.kind.continuous}
    assert ours
    assert ours <= {*NUMBERS, *JUMPS, *VECTORS}


@pytest.mark.parametrize("name", NUMBERS | JUMPS | VECTORS)
def test_draws_have_coordinates_that_lead_back(name):
    call = (NUMBERS | JUMPS | VECTORS)[name]
    r = region(call)
    for seed in range(20):
        x = call.sample(rng=seed)
        u = r.inverse(x)
        assert np.all(np.isfinite(u))
        assert np.asarray(r.natural(u)) == pytest.approx(np.asarray(x), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", NUMBERS | JUMPS)
def test_the_density_of_the_coordinates_is_the_density_times_the_slope(name):
    r, u = region((NUMBERS | JUMPS)[name]), np.linspace(-5.0, 4.0, 7)
    assert r.log_det(u) == pytest.approx(np.sum(np.log(np.abs(slopes(r, u)))), abs=1e-9)
    one = [r.log_det(float(v)) for v in u]
    assert sum(one) == pytest.approx(float(r.log_det(u)), abs=1e-9)


@pytest.mark.parametrize("name", NUMBERS | JUMPS)
def test_the_density_of_the_coordinates_has_mass_1(name):
    call = (NUMBERS | JUMPS)[name]
    r = region(call)
    if r is WHOLE_LINE:
        u, close = np.sinh(np.linspace(-12.0, 12.0, 6001)), 1e-3
    else:
        u, close = np.linspace(-60.0, 60.0, 6001), 1e-5
    x = np.asarray(r.natural(u))
    density = np.exp(call.log_probs(x)) * np.abs(slopes(r, u))
    assert np.trapezoid(density, u) == pytest.approx(1.0, abs=1e-2 if name in JUMPS else close)


def free_entries(x):
    """The entries over which a density is one: all, or all but the last, or a triangle."""
    if x.ndim == 2:
        return x[np.tril_indices(len(x))]
    return x[:-1] if abs(np.sum(x) - 1.0) < 1e-9 else x


@pytest.mark.parametrize("name", VECTORS)
def test_the_determinant_of_vectors_is_of_their_free_entries(name):
    call = VECTORS[name]
    r = region(call)
    u = np.asarray(r.inverse(call.sample(rng=3)))
    steps = 1e-6 * np.eye(len(u))
    columns = [
        (free_entries(np.asarray(r.natural(u + h))) - free_entries(np.asarray(r.natural(u - h))))
        / 2e-6
        for h in steps
    ]
    found = np.linalg.slogdet(np.column_stack(columns))[1]
    assert r.log_det(u) == pytest.approx(found, abs=1e-6)


@pytest.mark.parametrize("low", [-np.inf, 0.5])
@pytest.mark.parametrize("high", [np.inf, 2.0])
def test_bounds_may_differ_between_entries(low, high):
    lows, highs = np.array([low, 0.0, -np.inf, -1.0]), np.array([high, np.inf, 1.0, 3.0])
    r, u = Between(lows, highs), np.array([0.3, -0.7, 1.1, 0.4])
    each = [Between(float(a), float(b)) for a, b in zip(lows, highs, strict=True)]
    alone = [one.natural(float(v)) for one, v in zip(each, u, strict=True)]
    assert r.natural(u) == pytest.approx(alone)
    assert r.log_det(u) == pytest.approx(
        sum(o.log_det(float(v)) for o, v in zip(each, u, strict=True))
    )
    assert r.inverse(r.natural(u)) == pytest.approx(u)
    found = gradient(lambda v: np.sum(r.natural(v)) + r.log_det(v), u)
    by_hand = [
        gradient(lambda v, o=o: o.natural(v) + o.log_det(v), float(v))
        for o, v in zip(each, u, strict=True)
    ]
    assert found == pytest.approx(by_hand)


def test_tuples_have_a_tuple_of_coordinates():
    call = product([normal(0.0, 1.0), gamma(2.0, scale=1.0), dirichlet([1.0, 1.0])])
    r = region(call)
    x = call.sample(rng=0)
    u = r.inverse(x)
    assert r.natural(u)[1] == pytest.approx(x[1])
    assert r.log_det(u) == pytest.approx(u[1] + math.log(x[2][0] * x[2][1]))
    mixed = mixture([0.5, 0.5], [product([normal(0.0, 1.0), gamma(2.0, scale=1.0)])] * 2)
    assert region(mixed).log_det((0.3, 0.4)) == pytest.approx(0.4)


def test_a_random_function_by_hand_has_the_whole_line():
    assert by_hand.region_of([0.0]) is WHOLE_LINE


def test_a_value_that_rounds_to_a_bound_is_moved_inside():
    r = Between(1.0, 3.0)
    assert r.natural(-800.0) == np.nextafter(1.0, 2.0)
    assert r.natural(800.0) == np.nextafter(3.0, 2.0)
    assert gradient(r.natural, -1.0) == pytest.approx(
        2.0 * math.exp(1.0) / (1.0 + math.exp(1.0)) ** 2
    )


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (censored(normal(0.0, 1.0), low=0.0), "each limit has a probability"),
        (poisson(3.0), "not known"),
        (zero_inflated(0.2, poisson(3.0)), "not known"),
        (truncated(poisson(3.0), low=1), "not known"),
        (genparams.categorical([0.5, 0.5], labels=["a", "b"]), "they are labels"),
        (mixture([0.5, 0.5], [dirichlet([1.0, 1.0]), mvnormal([0.0, 0.0], np.eye(2))]), "between"),
    ],
)
def test_what_has_no_coordinates_says_why(call, why):
    with pytest.raises(DistributionError, match=f"no unconstrained coordinates.*{why}"):
        region(call)


def test_the_constraint_of_an_own_distribution_is_one_on_each_entry():
    def log_prob(x):
        return -x

    with pytest.raises(ArgumentError, match=r"one on each entry.*got simplex"):
        distribution(lambda rng, size: rng.random(size), log_prob, constraint=simplex)
    with pytest.raises(ArgumentError, match="discrete values have no constraint"):
        distribution(lambda rng, size: 0, log_prob, discrete=True, constraint=positive)


def test_bounds_of_scipy_that_move_with_a_traced_shape_are_refused():
    family = from_scipy(stats.genpareto)

    def bound(c):
        return family.region_of([c, 0.0, 1.0]).natural(0.0)

    with pytest.raises(DistributionError, match="its bounds move with a shape"):
        gradient(bound, -0.5)


def test_unit_intervals_use_their_constraint():
    assert region(beta(1.0, 1.0)).natural(-800.0) == unit_interval.natural(-800.0)
