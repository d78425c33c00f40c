"""Tests of hypotheses."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fits import (
    XS,
    YS,
    constant,
    constant_fit,
    faithful_fit,
    gamma_fit,
    line,
    line_fit,
    oring_fit,
    start,
)
from maxima import data_in, fitted, maximum_of
from scipy import stats

from genparams import bernoulli, gen, normal, param
from genparams.datasets import oring
from genparams.errors import InvalidValue, NotComparable, ShapeError, UnknownParameter
from genparams.learning.fitting.maximum import Found
from genparams.learning.fitting.result import FitResult


@gen
def no_temperature(temp):
    return bernoulli(logits=param("intercept", 0.0), size=len(temp)) @ "distress"


def null_fit():
    data = oring()
    return fitted(no_temperature, (data["temp"],), {"distress": data["distress"] > 0})


def test_the_likelihood_ratio_of_the_orings_is_the_published_deviance():
    """R, anova(glm(distress ~ temp, binomial), test = "Chisq"): 7.952, P = 0.004804."""
    for test in (oring_fit().lr_test(null_fit()), null_fit().lr_test(oring_fit())):
        assert test.statistic == pytest.approx(7.952, abs=5e-4)
        assert test.df == 1
        assert test.p_value == pytest.approx(0.004804, abs=2e-6)
        assert test.p_value == pytest.approx(stats.chi2.sf(test.statistic, 1), rel=1e-12)
        assert test.message == ""


def test_a_regression_has_the_likelihood_ratio_of_its_sums_of_squares():
    one, other = line_fit(), constant_fit()
    ratio = constant_fit().estimates["sigma"] / line_fit().estimates["sigma"]
    assert one.lr_test(other).statistic == pytest.approx(2 * len(XS) * np.log(ratio))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: (line_fit(), oring_fit()), "fitted to different data"),
        (lambda: (line_fit(), line_fit()), "both have 3 parameters"),
        (lambda: (line_fit(), other_data()), r"different data \(12 and 12 observations\)"),
        (lambda: (line_fit(), unconverged()), "has not converged: stopped"),
        (lambda: (line_fit(), with_prior()), "fitted with priors on intercept"),
        (lambda: (poor_line(), constant_fit()), "it is not at its maximum, or"),
    ],
)
def test_fits_that_cannot_be_compared_are_refused(make, message):
    one, other = make()
    with pytest.raises(NotComparable, match=message):
        one.lr_test(other)


def other_data():
    start(constant, intercept=0.0, sigma=1.0)
    return fitted(constant, (XS,), {"ys": YS[::-1]})


def changed(maximum, x=None, converged=True, message=""):
    """The result of a maximum of which something else is said."""
    old = maximum.found
    x = old.x if x is None else x
    found = Found(x, old.log_prob, converged, message, old.iterations, old.evaluations)
    return FitResult.of(replace(maximum, found=found))


def unconverged():
    constant_fit()
    trace, _ = constant.generate((XS,), {"ys": YS})
    return changed(maximum_of(trace), converged=False, message="stopped")


def poor_line():
    line_fit()
    trace, _ = line.generate((XS,), {"ys": YS})
    return changed(maximum_of(trace), x=np.array([-5.0, 9.0, 2.0]))


def with_prior():
    constant_fit()
    trace, _ = constant.generate((XS,), {"ys": YS})
    prior = {constant.params["intercept"]: normal(0.0, 10.0)}
    return FitResult.of(maximum_of(trace, prior))


def test_another_thing_is_no_fit():
    wrong: Any = 3.0
    with pytest.raises(InvalidValue, match="the result of another fit"):
        line_fit().lr_test(wrong)


def test_mixtures_and_bounds_are_doubted():
    @gen
    def one_normal(n):
        return normal(param("m", 70.0), param("s", 10.0), size=n) @ "waiting"

    waiting = data_in(faithful_fit(), "waiting")
    single = fitted(one_normal, (len(waiting),), {"waiting": waiting})
    test = faithful_fit().lr_test(single)
    assert test.df == 3
    assert "a mixture is fitted" in test.message
    line_fit()
    trace, _ = line.generate((XS,), {"ys": YS})
    maximum = maximum_of(trace)
    status = {**maximum.status, line.params["sigma"]: "at its bound"}
    bound = FitResult.of(replace(maximum, status=status))
    assert "sigma (at its bound)" in bound.lr_test(constant_fit()).message
    stopped = Found(*maximum.found[:2], False, "stopped", 1, 1)
    bound = FitResult.of(replace(maximum, status=status, found=stopped))
    assert bound.lr_test(constant_fit()).statistic > 10.0


# --- Wald


def test_a_wald_test_is_the_square_of_z():
    result = oring_fit()
    z = result.estimates["temp"] / result.std_errors["temp"]
    every = ({"temp": 0.0}, "temp", [[0.0, 1.0]], lambda b: b["temp"])
    for hypothesis in every:
        test = result.wald_test(hypothesis)
        assert test.statistic == pytest.approx(z**2)
        assert test.p_value == pytest.approx(2 * stats.norm.sf(abs(z)))
        assert test.df == 1


def test_a_joint_hypothesis_uses_the_covariance():
    result = line_fit()
    r = np.array([result.estimates["slope"] - 1.0, result.estimates["intercept"] + 1.0])
    expected = r @ np.linalg.inv(result.cov()[:2, :2]) @ r
    rows = np.eye(3)[:2]
    for test in (
        result.wald_test({"slope": 1.0, "intercept": -1.0}),
        result.wald_test(rows, [1.0, -1.0]),
        result.wald_test(lambda b: np.stack([b["slope"] - 1.0, b["intercept"] + 1.0])),
    ):
        assert test.statistic == pytest.approx(expected)
        assert test.df == 2


def test_a_parameter_with_entries_is_tested_as_a_whole():
    result = faithful_fit()
    test = result.wald_test("sigma", 6.0)
    assert test.df == 2
    assert test.statistic == pytest.approx(result.wald_test({"sigma": [6.0, 6.0]}).statistic)


def test_the_robust_kind_is_used_by_the_test():
    result = line_fit().with_errors("sandwich")
    z = result.estimates["slope"] / result.std_errors["slope"]
    assert result.wald_test("slope").statistic == pytest.approx(z**2)


def test_a_value_at_a_bound_is_doubted():
    message = gamma_fit().wald_test({"scale": 0.0}).message
    assert "0 is not inside the constraint positive of scale" in message


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        (({"slop": 0.0},), UnknownParameter, "did you mean slope"),
        (({},), InvalidValue, "at least one entry"),
        (({"slope": [1.0, 2.0]},), ShapeError, "'slope' has 1 entries"),
        (({"slope": 0.0}, 1.0), InvalidValue, "leave out the second argument"),
        (([[1.0, 0.0]],), ShapeError, "a column for each of the 3 entries"),
        (([[1.0, 0.0, 0.0], [2.0, 0.0, 0.0]],), InvalidValue, "depend on each other"),
        ((lambda b: b["nothing"],), InvalidValue, "no parameter 'nothing'"),
        (([["a", 0.0, 0.0]],), InvalidValue, "a hypothesis is"),
    ],
)
def test_a_hypothesis_that_means_nothing_is_refused(args, error, message):
    with pytest.raises(error, match=message):
        line_fit().wald_test(*args)


def test_a_missing_variance_is_no_test():
    @gen
    def sum_of_two(n):
        return normal(param("a", 0.0) + param("b", 0.0), 1.0, size=n) @ "x"

    result = fitted(sum_of_two, (5,), {"x": np.arange(5.0)})
    with pytest.raises(InvalidValue, match="missing: the log likelihood is flat along a - b"):
        result.wald_test("a")
