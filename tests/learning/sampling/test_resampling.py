"""Resampling schemes: n w_i copies of particle i on average."""

from typing import Any

import numpy as np
import pytest

from genparams.learning.sampling.resampling import SCHEMES, residual, systematic

WEIGHTS = np.array([0.05, 0.0, 0.45, 0.3, 0.2])
N = 7


def copies(scheme, rng, n=N, weights=WEIGHTS):
    return np.bincount(scheme(weights, n, rng), minlength=len(weights))


@pytest.mark.parametrize("name", SCHEMES)
def test_the_mean_number_of_copies_is_in_proportion_to_the_weight(name):
    """4000 resamplings: 5 standard errors for each of 5 weights, once in 300 000 seeds."""
    rng = np.random.default_rng(2)
    each = np.array([copies(SCHEMES[name], rng) for _ in range(4000)])
    assert np.all(each.sum(axis=1) == N)
    error = np.sqrt(N * WEIGHTS * (1.0 - WEIGHTS) / 4000)
    assert np.all(np.abs(each.mean(axis=0) - N * WEIGHTS) <= 5.0 * error)
    assert np.all(each[:, 1] == 0)
    if name == "multinomial":
        spread = each.var(axis=0)[WEIGHTS > 0.0]
        expected = (N * WEIGHTS * (1.0 - WEIGHTS))[WEIGHTS > 0.0]
        np.testing.assert_allclose(spread, expected, rtol=0.15)


@pytest.mark.parametrize("name", SCHEMES)
def test_no_scheme_varies_more_than_independent_draws(name):
    rng = np.random.default_rng(3)
    each = np.array([copies(SCHEMES[name], rng) for _ in range(2000)])
    assert np.all(each.var(axis=0) <= 1.15 * N * WEIGHTS * (1.0 - WEIGHTS))


def test_systematic_copies_are_rounded_up_or_down():
    rng = np.random.default_rng(4)
    for _ in range(50):
        found = copies(systematic, rng)
        assert np.all(found >= np.floor(N * WEIGHTS))
        assert np.all(found <= np.ceil(N * WEIGHTS))


def test_residual_copies_are_at_least_the_whole_part():
    rng = np.random.default_rng(4)
    for _ in range(50):
        assert np.all(copies(residual, rng) >= np.floor(N * WEIGHTS))
    whole = np.array([0.25, 0.75])
    np.testing.assert_array_equal(copies(residual, rng, 4, whole), [1, 3])
    equal = np.exp(np.full(49, -np.log(49)))
    np.testing.assert_array_equal(copies(residual, rng, 49, equal), 1)


@pytest.mark.parametrize("name", SCHEMES)
def test_the_ends_of_the_interval_are_inside(name):
    """A uniform number just below 1, and weights whose sum is rounded."""

    class Ends(np.random.Generator):
        def random(self, size: Any = None, *args: Any, **named: Any) -> Any:
            last = np.nextafter(1.0, 0.0)
            return last if size is None else np.full(size, last)

    rng = Ends(np.random.PCG64(0))
    weights = np.array([*np.full(10, 0.1), 0.0])
    found = SCHEMES[name](weights, 10, rng)
    assert np.all(found < 10)
