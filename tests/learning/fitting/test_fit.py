"""`fit` against the world: estimates, standard errors and log likelihoods from elsewhere."""

import warnings
from functools import cache

import numpy as np
import pytest
from worlds import WORLDS

from genparams import datasets, fit, gen, init_param, normal, param, positive, student_t
from genparams.errors import AtBoundary, IllConditioned

FITS = [(world, start) for world in WORLDS for start in range(len(world.starts))]
each_fit = pytest.mark.parametrize(
    ("world", "start"), FITS, ids=[f"{world.name}-{start}" for world, start in FITS]
)


def near(found, wanted, std_error):
    """Whether estimates agree; one that is exactly 0 is met to 1e-9 of its standard error."""
    return np.allclose(found, wanted, rtol=1e-5, atol=1e-9 * np.min(std_error))


@cache
def fitted(name, start):
    """A world's function, fitted, its result, and what the fit warned of."""
    world = next(w for w in WORLDS if w.name == name)
    function, args, constraints = world.make(start)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        return function, fit(function, args, constraints), [w.category for w in said]


@each_fit
def test_a_fit_is_the_one_from_elsewhere(world, start):
    _, result, said = fitted(world.name, start)
    assert said == ([AtBoundary] if world.at_bound else [])
    assert result.log_likelihood == pytest.approx(world.log_likelihood, abs=1e-6)
    assert result.num_obs == world.num_obs
    assert result.converged is not world.at_bound
    for name, (estimate, std_error) in world.reference.items():
        if std_error is not None:
            assert near(result.estimates[name], estimate, std_error), name
            assert np.allclose(result.std_errors[name], std_error, rtol=1e-5), name
            assert result.status[name] == "ok"


@each_fit
def test_the_parameters_are_at_the_maximum(world, start):
    function, result, _ = fitted(world.name, start)
    for name, estimate in result.estimates.items():
        assert np.array_equal(function.params[name].value, estimate)
        assert not function.params[name].accumulated
    trace, _ = function.generate(world.args, world.constraints)
    assert trace.log_prob == pytest.approx(result.log_likelihood, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("name", datasets.nist_names())
def test_nist_is_met_to_six_digits_with_its_residual_deviation(name, start):
    certified = datasets.nist(name)
    world = next(w for w in WORLDS if w.name == f"nist.{name}")
    _, result, _ = fitted(world.name, start)
    estimates = np.concatenate(
        [np.ravel(result.estimates[b]) for b in world.starts[0] if b != "sigma"]
    )
    assert np.allclose(estimates, certified.certified, rtol=5e-7, atol=0.0)
    n = len(certified.y)
    residual_std = result.estimates["sigma"] * np.sqrt(n / (n - len(estimates)))
    assert residual_std == pytest.approx(certified.residual_std, rel=1e-6)


# --- Longley: certified by NIST for linear regression

LONGLEY = np.array(
    [
        [60323, 83.0, 234289, 2356, 1590, 107608, 1947],
        [61122, 88.5, 259426, 2325, 1456, 108632, 1948],
        [60171, 88.2, 258054, 3682, 1616, 109773, 1949],
        [61187, 89.5, 284599, 3351, 1650, 110929, 1950],
        [63221, 96.2, 328975, 2099, 3099, 112075, 1951],
        [63639, 98.1, 346999, 1932, 3594, 113270, 1952],
        [64989, 99.0, 365385, 1870, 3547, 115094, 1953],
        [63761, 100.0, 363112, 3578, 3350, 116219, 1954],
        [66019, 101.2, 397469, 2904, 3048, 117388, 1955],
        [67857, 104.6, 419180, 2822, 2857, 118734, 1956],
        [68169, 108.4, 442769, 2936, 2798, 120445, 1957],
        [66513, 110.8, 444546, 4681, 2637, 121950, 1958],
        [68655, 112.6, 482704, 3813, 2552, 123366, 1959],
        [69564, 114.2, 502601, 3931, 2514, 125368, 1960],
        [69331, 115.7, 518173, 4806, 2572, 127852, 1961],
        [70551, 116.9, 554894, 4007, 2827, 130081, 1962],
    ]
)
"""Employment in thousands; prices, product, unemployed, armed forces, population, year.

Source: Longley, 1967, Journal of the American Statistical Association 62, 819-841.
"""
CERTIFIED = [
    *(-3482258.63459582, 15.0618722713733, -0.358191792925910e-01, -2.02022980381683),
    *(-1.03322686717359, -0.511041056535807e-01, 1829.15146461355),
]
STD_DEVS = [
    *(890420.383607373, 84.9149257747669, 0.334910077722432e-01, 0.488399681651699),
    *(0.214274163161675, 0.226073200069370, 455.478499142212),
]
"""Certified with n - p in place of n."""


@gen
def employment(X):
    sigma = param("sigma", 1000.0, positive)
    return normal(X @ param("beta", np.zeros(7)), sigma) @ "employed"


def test_longley_is_right_and_its_condition_number_is_named():
    init_param(employment, "beta", np.zeros(7))
    X = np.column_stack([np.ones(16), LONGLEY[:, 1:]])
    with pytest.warns(IllConditioned, match=r"condition number is 4.86e\+09"):
        result = fit(employment, (X,), {"employed": LONGLEY[:, 0]})
    assert result.converged
    assert np.allclose(result.estimates["beta"], CERTIFIED, rtol=1e-6, atol=0.0)
    unbiased = np.sqrt(16 / 9)
    assert np.allclose(unbiased * result.std_errors["beta"], STD_DEVS, rtol=1e-5, atol=0.0)
    assert unbiased * result.estimates["sigma"] == pytest.approx(304.854073561965, rel=1e-8)


# --- Residuals that are hardly larger than rounding errors


@gen
def three_decays(x):
    b = param("b", np.zeros(6))
    mean = b[0] * np.exp(-b[1] * x) + b[2] * np.exp(-b[3] * x) + b[4] * np.exp(-b[5] * x)
    return normal(mean, param("sigma", 1.0, positive)) @ "y"


DECAYS = [(1.2, 0.3, 5.6, 5.5, 6.5, 7.6), (0.5, 0.7, 3.6, 4.2, 4.0, 6.3), (0.2, 1.5, 0.5, 2, 1, 6)]


@pytest.mark.parametrize("start", DECAYS)
@pytest.mark.parametrize("digits", [8, 10, 12, 13])
def test_data_with_many_digits_have_a_fit_and_its_errors(digits, start):
    true = np.array([0.1, 1.1, 0.9, 2.9, 1.4, 5.2])
    x = np.arange(24) * 0.05
    exact = true[0] * np.exp(-true[1] * x) + true[2] * np.exp(-true[3] * x)
    y = np.array([float(f"{v:.{digits - 1}e}") for v in exact + true[4] * np.exp(-true[5] * x)])
    init_param(three_decays, "b", np.array(start))
    init_param(three_decays, "sigma", 1.0, positive)
    result = fit(three_decays, (x,), {"y": y})
    assert result.converged
    parts = sorted(zip(*np.reshape(result.estimates["b"], (3, 2)).T[::-1], strict=True))
    found = np.array([[b, a] for a, b in parts]).ravel()
    errors = np.ravel(result.std_errors["b"])
    assert np.all(np.abs(found - true) < 5.0 * np.max(errors) + 1e-12)
    assert result.estimates["sigma"] < 10.0 ** (1 - digits)


@pytest.mark.parametrize("distance", [20.0, 2000.0])
def test_a_start_far_out_in_a_tail_is_left(distance):
    """There the curvature is negative, and the expected information says nothing of it."""
    y = distance + np.array([-1.3, -0.4, 0.1, 0.7, 1.9])

    @gen
    def heavy_tailed(n):
        return student_t(4.0, param("loc", 0.0), 1.0, size=n) @ "y"

    result = fit(heavy_tailed, (5,), {"y": y})
    assert result.converged
    assert result.iterations < 100
    near = fit(heavy_tailed, (5,), {"y": y})
    assert result.estimates["loc"] == pytest.approx(near.estimates["loc"], rel=1e-9)
    assert result.estimates["loc"] == pytest.approx(distance, abs=1.0)
