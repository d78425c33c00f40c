"""The default method by itself: where a climb ends, and why."""

import numpy as np
import pytest

from genparams.dsl.likelihood.likelihood import Second
from genparams.learning.fitting.trust_region import Region, climb, has_converged, is_flat, is_small


class Smooth:
    """An objective of a value, a gradient and a Hessian alone."""

    def __init__(self, of, logarithmic):
        self.of, self.logarithmic = of, np.array(logarithmic)
        self.iterations = 0

    def settled(self, x):
        return x

    def noise(self, x):
        return np.ones(len(x))

    def scoring(self, x):
        return None

    def newton(self, x):
        value, gradient, hessian = self.of(x)
        return Second(value, np.array(gradient), -np.array(hessian))


def saddle(x):
    value = -(x[0] ** 4) + x[0] ** 2 - x[1] ** 2
    gradient = [-4 * x[0] ** 3 + 2 * x[0], -2 * x[1]]
    return value, gradient, np.diag([-12 * x[0] ** 2 + 2, -2.0])


def rising(x):
    """-exp(-x), which has a supremum and no maximum."""
    e = np.exp(-x[0])
    return -e, [e], [[-e]]


def kinked(x):
    """-|x - 1| - x^2 / 1000, whose derivatives say nothing of the maximum at 1."""
    sign = np.sign(x[0] - 1.0)
    return -abs(x[0] - 1.0) - 1e-3 * x[0] ** 2, [-sign - 2e-3 * x[0]], [[-2e-3]]


def level(x):
    """-(x + y)^2, which is flat along x - y."""
    s = x[0] + x[1]
    return -(s**2), [-2.0 * s, -2.0 * s], [[-2.0, -2.0], [-2.0, -2.0]]


@pytest.mark.parametrize("start", [(0.01, 1.0), (1e-9, 0.0), (5.0, -3.0)])
def test_a_saddle_is_left(start):
    end = climb(Smooth(saddle, [False] * 2), np.array(start), 200)
    assert end.reason == "converged"
    assert end.x == pytest.approx([np.sqrt(0.5), 0.0], abs=1e-9)
    assert has_converged(end.x, end.at)


@pytest.mark.parametrize("logarithmic", [False, True])
@pytest.mark.parametrize("start", [0.0, 20.0, 45.0, 100.0])
def test_a_plateau_is_no_maximum_wherever_the_search_begins(start, logarithmic):
    end = climb(Smooth(rising, [logarithmic]), np.array([start]), 200)
    assert end.reason == "plateau"
    assert end.at.log_prob > -1e-12


def test_a_kink_is_no_plateau():
    end = climb(Smooth(kinked, [False]), np.array([4.0]), 200)
    assert end.reason == "stalled"
    assert not is_flat(end.x, end.at)


def test_a_flat_direction_is_a_plateau_with_the_largest_value():
    for start in ([3.0, 1.0], [1.0, -1.0]):
        end = climb(Smooth(level, [False] * 2), np.array(start), 200)
        assert end.reason == "plateau"
        assert end.at.log_prob == pytest.approx(0.0, abs=1e-15)


def test_derivatives_that_are_not_finite_end_a_search():
    end = climb(Smooth(lambda x: (np.nan, [np.nan], [[np.nan]]), [False]), np.zeros(1), 200)
    assert end.reason == "undefined"
    assert not has_converged(end.x, end.at)


def test_the_steps_are_counted_and_limited():
    objective = Smooth(rising, [False])
    assert climb(objective, np.zeros(1), 3).reason == "iterations"
    assert objective.iterations == 3


def test_a_search_over_nothing_ends_at_once():
    objective = Smooth(lambda x: (2.0, [], np.zeros((0, 0))), np.zeros(0, bool))
    end = climb(objective, np.zeros(0), 200)
    assert (end.reason, end.at.log_prob, objective.iterations) == ("converged", 2.0, 0)
    assert has_converged(end.x, end.at)


@pytest.mark.parametrize(("gradient", "expected"), [(1e-3, False), (1e-5, True), (0.0, True)])
def test_a_step_is_small_beside_the_standard_error(gradient, expected):
    """The parameter is 0, its standard error 0.5, and 1e-5 of it is small."""
    at = Second(-1.0, np.array([gradient]), np.array([[4.0]]))
    region = Region(at, np.zeros(1), np.ones(1), np.zeros(1, bool))
    assert is_small(region.step(at), np.zeros(1), at, region) == expected
