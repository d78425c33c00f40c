"""The search for the maximum of a likelihood over some of its coordinates."""

import numpy as np
import pytest
from fits import XS, YS, faithful_fit, line, line_fit, start
from maxima import likelihood_of

from genparams import bernoulli, gen, mixture, normal, param
from genparams.errors import FitError
from genparams.learning.fitting.search import search, starts_from


def likelihood_of_two_normals():
    model = faithful_fit().model
    assert model is not None
    return model.likelihood


def test_a_step_from_the_end_is_nothing_beside_the_standard_errors():
    likelihood = likelihood_of_two_normals()
    x = likelihood.vector.now()
    found = search(likelihood, x + 0.2)
    assert found.converged
    _, gradient, hessian = likelihood.hessian(found.x)
    step = np.linalg.solve(-hessian, gradient)
    assert np.max(np.abs(step / np.sqrt(np.diag(np.linalg.inv(-hessian))))) < 1e-9


def test_coordinates_that_are_not_free_stay():
    line_fit()
    start(line, slope=0.0, intercept=0.0, sigma=1.0)
    trace, _ = line.generate((XS,), {"ys": YS})
    likelihood = likelihood_of(trace)
    found = search(likelihood, likelihood.vector.now(), np.array([True, False, True]))
    assert found.converged
    assert found.x[1] == 0.0
    assert found.x[0] == pytest.approx(XS @ YS / (XS @ XS))


@gen
def separated(x):
    return bernoulli(logits=param("a", 0.0) + param("b", 0.0) * x) @ "y"


def test_a_likelihood_without_a_maximum_is_not_converged():
    x = np.arange(-5.0, 6.0)
    trace, _ = separated.generate((x,), {"y": x > 0.5})
    likelihood = likelihood_of(trace)
    found = search(likelihood, likelihood.vector.now())
    assert not found.converged
    assert found.message.startswith("stopped on a plateau")
    again = search(likelihood, found.x)
    assert not again.converged


def test_a_start_without_finite_derivatives_is_refused():
    @gen
    def steep(n):
        weights, means = np.array([0.5, 0.5]), np.array([0.0, 1.0]) + param("a", 0.0) ** 1.5
        return mixture(weights, normal(means, 1.0), size=n) @ "y"

    trace, _ = steep.generate((2,), {"y": np.array([1.0, 3.0])})
    with pytest.raises(FitError, match=r'not finite at the start; .* method="BFGS"'):
        search(likelihood_of(trace), np.zeros(1))


def test_a_search_over_nothing_ends_at_once():
    likelihood = likelihood_of_two_normals()
    x = likelihood.vector.now()
    found = search(likelihood, x, np.zeros(5, bool))
    assert found.converged
    assert found.iterations == 0
    np.testing.assert_array_equal(found.x, x)


def test_a_doubtful_coordinate_starts_nearer_to_0_too():
    x = np.array([3.0, -8.0])
    assert len(starts_from(x, np.array([False, False]))) == 1
    found = starts_from(x, np.array([False, True]))
    np.testing.assert_array_equal(found, [[3.0, -8.0], [3.0, -4.0], [3.0, -2.0], [3.0, 0.0]])


@pytest.mark.parametrize("size", [0.1, 1.0, 1000.0])
def test_a_standard_deviation_of_1_without_a_constraint_is_no_logarithm(size):
    @gen
    def plain(n):
        return normal(param("mu", 0.0), param("std", 1.0), size=n) @ "y"

    y = size * (YS - np.mean(YS))
    trace, _ = plain.generate((len(y),), {"y": y})
    likelihood = likelihood_of(trace)
    x = likelihood.vector.now()
    assert not likelihood.scales(x).entries
    found = search(likelihood, x)
    assert found.converged
    assert np.abs(found.x[1]) == pytest.approx(np.std(y))


def test_two_coordinates_of_one_standard_deviation_have_no_closed_form():
    @gen
    def groups(z):
        mean, log_std = param("mu", 0.0), param("a", 0.0) + param("b", 0.0) * z
        return normal(mean, np.exp(log_std)) @ "y"

    z = np.arange(len(YS)) % 2.0
    trace, _ = groups.generate((z,), {"y": YS})
    likelihood = likelihood_of(trace)
    assert not likelihood.scales(likelihood.vector.now()).entries
