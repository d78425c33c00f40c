"""The search near a good start."""

import numpy as np
import pytest
from fits import XS, YS, faithful_fit, line, line_fit, start
from maxima import likelihood_in, likelihood_of

from genparams import bernoulli, gen, param
from genparams.dsl.likelihood.likelihood import Second
from genparams.learning.newton import climb, maximise_over


def test_the_gradient_vanishes_at_the_end():
    likelihood = likelihood_in(faithful_fit())
    x = likelihood.vector.now()
    found = maximise_over(likelihood, x + 0.2, np.ones(5, bool))
    assert found.converged
    assert np.max(np.abs(likelihood.gradient(found.x).gradient)) < 1e-9


def test_coordinates_that_are_not_free_stay():
    line_fit()
    start(line, slope=0.0, intercept=0.0, sigma=1.0)
    trace, _ = line.generate((XS,), {"ys": YS})
    likelihood = likelihood_of(trace)
    found = maximise_over(likelihood, likelihood.vector.now(), np.array([True, False, True]))
    assert found.converged
    assert found.x[1] == 0.0
    assert found.x[0] == pytest.approx(XS @ YS / (XS @ XS))


def test_a_saddle_is_left():
    def second(x):
        value = -(x[0] ** 4) + x[0] ** 2 - x[1] ** 2
        gradient = np.array([-4 * x[0] ** 3 + 2 * x[0], -2 * x[1]])
        return Second(value, gradient, np.diag([-12 * x[0] ** 2 + 2, -2.0]))

    peak = climb(second, lambda x: second(x).log_prob, np.array([0.01, 1.0]))
    assert peak.converged
    assert peak.x == pytest.approx([np.sqrt(0.5), 0.0], abs=1e-9)


def test_a_likelihood_without_a_maximum_is_not_converged():
    @gen
    def separated(x):
        return bernoulli(logits=param("a", 0.0) + param("b", 0.0) * x) @ "y"

    x = np.arange(-5.0, 6.0)
    trace, _ = separated.generate((x,), {"y": x > 0.5})
    likelihood = likelihood_of(trace)
    found = maximise_over(likelihood, likelihood.vector.now(), np.ones(2, bool))
    assert not found.converged
    assert found.message == "a coordinate runs off: the likelihood has no maximum"


def test_derivatives_that_are_not_finite_end_a_search():
    def second(x):
        return Second(np.nan, np.array([np.nan]), np.array([[np.nan]]))

    peak = climb(second, lambda x: np.nan, np.zeros(1))
    assert not peak.converged
    assert peak.message == "the derivatives are not finite"


def test_a_search_over_nothing_ends_at_once():
    likelihood = likelihood_in(faithful_fit())
    x = likelihood.vector.now()
    found = maximise_over(likelihood, x, np.zeros(5, bool))
    assert found.converged
    assert found.iterations == 0
    np.testing.assert_array_equal(found.x, x)
