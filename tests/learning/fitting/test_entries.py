"""The names of parameters and of their entries."""

import numpy as np
import pytest
from fits import cloud_fit, faithful_fit, line_fit
from maxima import fitted

from genparams import gen, init_param, normal, param, unit_interval
from genparams.errors import InvalidValue, ShapeError, UnknownParameter
from genparams.learning.fitting.entries import combination


@gen
def regression(x):
    return normal(x @ param("beta"), 1.0) @ "y"


X = np.random.default_rng(0).normal(size=(9, 3))


def regression_fit(labels=None):
    init_param(regression, "beta", np.zeros(3))
    return fitted(regression, (X,), {"y": X @ np.array([1.0, 2.0, 3.0]) + 0.1}, labels=labels)


def test_a_number_has_the_name_of_its_parameter():
    assert line_fit().entries == ["slope", "intercept", "sigma"]


def test_entries_of_arrays_are_numbered():
    assert regression_fit().entries == ["beta[0]", "beta[1]", "beta[2]"]
    assert cloud_fit().entries[2:] == ["L[0, 0]", "L[0, 1]", "L[1, 0]", "L[1, 1]"]
    assert faithful_fit().entries[:3] == ["w[0]", "w[1]", "mu[0]"]


def test_labels_name_the_entries():
    result = regression_fit({"beta": ["dose", "age", "sex"]})
    assert result.entries == ["beta[dose]", "beta[age]", "beta[sex]"]
    assert result.conf_int()["beta[age]"][0] < 2.1 < result.conf_int()["beta[age]"][1]


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ({"beta": ["dose", "age"]}, ShapeError, r"labels for shape \(3,\)"),
        ({"beta": "abc"}, ShapeError, "one list of labels for each axis"),
        ({"beta": ["a", "a", "b"]}, InvalidValue, "each given once"),
        ({"bta": ["a", "b", "c"]}, UnknownParameter, "did you mean beta"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, error, message):
    with pytest.raises(error, match=message):
        regression_fit(labels)


def twins():
    """Two functions of one name, each with a parameter of the same name."""

    def make(mean):
        @gen
        def part():
            return normal(param("mu", 0.0), 1.0) @ "y"

        return part

    return make(0.0), make(1.0)


def test_parameters_that_share_a_name_have_the_names_of_their_functions():
    one, other = twins()

    @gen
    def other_name():
        return normal(param("mu", 0.0) + param("nu", 0.0), 1.0) @ "z"

    @gen
    def both():
        a = one() @ "one"
        b = other() @ "other"
        return a, b, other_name() @ "third"

    init_param(other_name, "nu", 0.0)
    other_name.params["nu"].freeze()
    data = {("one", "y"): 1.0, ("other", "y"): 2.0, ("third", "z"): 3.0}
    result = fitted(both, (), data)
    assert list(result.estimates) == ["part.mu", "part#2.mu", "other_name.mu", "nu"]
    found = [result.estimates[k] for k in list(result.estimates)[:3]]
    assert found == pytest.approx([1.0, 2.0, 3.0])


def test_a_combination_leaves_out_what_hardly_counts():
    assert combination(np.array([0.7, -0.7, 1e-9]), ["a", "b", "c"]) == "a - b"
    assert combination(np.array([0.5, 0.25]), ["a", "b"]) == "a + 0.5 b"


def test_reasons_name_coordinates():
    @gen
    def flat():
        p, s = param("p", 0.5, unit_interval), param("s", 0.5, unit_interval)
        return normal(np.log(p / (1.0 - p)) + np.log(s / (1.0 - s)), 1.0) @ "y"

    result = fitted(flat, (), {"y": 1.0})
    assert "flat along logit(p) - logit(s)" in result.missing["p"]
