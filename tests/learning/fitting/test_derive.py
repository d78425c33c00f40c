"""Functions of the parameters by the delta method."""

from typing import Any

import numpy as np
import pytest
from fits import cloud_fit, faithful_fit, line_fit, oring_fit
from maxima import data_in, fitted

from genparams import gen, normal, param
from genparams.errors import InvalidValue


def test_a_ratio_has_the_textbook_error():
    result = oring_fit()
    found = result.derive(lambda b: -b["intercept"] / b["temp"])
    a, b = result.estimates["intercept"], result.estimates["temp"]
    slopes = np.array([-1 / b, a / b**2])
    assert found.estimates == pytest.approx(-a / b)
    assert found.std_errors == pytest.approx(np.sqrt(slopes @ result.cov() @ slopes))
    assert found.cov.shape == (1, 1)


def test_a_curve_has_the_error_of_each_point():
    result, xs = line_fit(), np.linspace(0.0, 2.0, 5)
    found = result.derive(lambda b: b["intercept"] + b["slope"] * xs)
    design = np.column_stack([xs, np.ones(5), np.zeros(5)])
    np.testing.assert_allclose(found.cov, design @ result.cov() @ design.T, rtol=1e-10)
    np.testing.assert_allclose(found.std_errors, np.sqrt(np.diag(found.cov)))
    low, high = found.conf_int(0.9).low, found.conf_int(0.9).high
    np.testing.assert_allclose(0.5 * (low + high), found.estimates)
    assert found.entries == [f"value[{i}]" for i in range(5)]


def test_a_dictionary_gives_names():
    def summary(b):
        return {"odds": np.exp(b["temp"]), "both": np.stack([b["temp"], b["intercept"]])}

    found = oring_fit().derive(summary)
    assert set(found.estimates) == {"odds", "both"}
    assert found.entries == ["odds", "both[0]", "both[1]"]
    assert found.std_errors["both"].shape == (2,)
    assert found.conf_int()["odds"][0] < found.estimates["odds"]
    assert "odds = 0.79" in repr(found)


def test_a_named_function_names_its_value():
    def half_point(b):
        return -b["intercept"] / b["temp"]

    assert oring_fit().derive(half_point).entries == ["half_point"]


def test_a_covariance_matrix_is_derived_from_its_factor():
    result = cloud_fit()
    found = result.derive(lambda b: b["L"] @ b["L"].T)
    sigma = found.estimates
    np.testing.assert_allclose(found.std_errors[0, 0], sigma[0, 0] * np.sqrt(2 / 40), rtol=1e-6)
    variance = (sigma[0, 0] * sigma[1, 1] + sigma[0, 1] ** 2) / 40
    assert found.std_errors[0, 1] == pytest.approx(np.sqrt(variance), rel=1e-6)


def test_a_mean_of_a_mixture_knows_that_the_weights_sum_to_1():
    result = faithful_fit()
    total = result.derive(lambda b: np.sum(b["w"]))
    assert total.std_errors == pytest.approx(0.0, abs=1e-8)
    mean = result.derive(lambda b: np.sum(b["w"] * b["mu"]))
    waiting = data_in(result, "waiting")
    assert mean.estimates == pytest.approx(np.mean(waiting))
    assert mean.std_errors == pytest.approx(np.std(waiting) / np.sqrt(272), rel=0.02)


def test_a_frozen_parameter_is_a_constant():
    @gen
    def known_shift(n):
        return normal(param("a", 0.0) + param("shift", 1.0), 1.0, size=n) @ "x"

    known_shift.simulate((1,))
    known_shift.params["shift"].freeze()
    result = fitted(known_shift, (4,), {"x": np.arange(4.0)})
    found = result.derive(lambda b: b["a"] * b["shift"] + b["shift"])
    assert found.std_errors == pytest.approx(0.5)
    assert found.missing == {}


def test_what_needs_a_missing_variance_is_missing():
    @gen
    def sum_of_two(n):
        return normal(param("a", 0.0) + param("b", 0.0), 1.0, size=n) @ "x"

    result = fitted(sum_of_two, (5,), {"x": np.arange(5.0)})
    found = result.derive(lambda b: {"a": b["a"], "one": 1.0 + 0.0 * b["b"]})
    assert np.isnan(found.std_errors["a"])
    assert found.missing["a"] == "the log likelihood is flat along a - b"


def test_what_is_no_function_of_the_parameters_is_refused():
    wrong: Any = "temp"
    result = oring_fit()
    with pytest.raises(InvalidValue, match="takes a function of the estimates"):
        result.derive(wrong)
    with pytest.raises(InvalidValue, match="no parameter 'tmp'; known: intercept, temp"):
        result.derive(lambda b: b["tmp"])
    with pytest.raises(InvalidValue, match="a number, an array or a dictionary"):
        result.derive(lambda b: "odds")
