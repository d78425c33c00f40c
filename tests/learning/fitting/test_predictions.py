"""Means with their bands, and simulated data."""

from typing import Any

import numpy as np
import pytest
from fits import XS, YS, faithful_fit, gamma_fit, line, line_fit, oring_fit, start
from maxima import data_in, fitted, maximum_of
from scipy import special, stats

from genparams import (
    bernoulli,
    binomial,
    categorical,
    cauchy,
    gen,
    normal,
    param,
    poisson,
    positive,
    product,
)
from genparams.errors import ArgumentError, InvalidValue, UnknownAddress, UnusedConstraint
from genparams.learning.fitting.result import FitResult

Z = stats.norm.ppf(0.975)


def test_a_line_has_the_band_of_the_textbook():
    result, xs = line_fit(), np.array([-2.0, 0.0, 5.0])
    found = result.predict((xs,))["ys"]
    design = np.column_stack([xs, np.ones(3), np.zeros(3)])
    mean = result.estimates["slope"] * xs + result.estimates["intercept"]
    errors = np.sqrt(np.diag(design @ result.cov() @ design.T))
    np.testing.assert_allclose(found.mean, mean)
    np.testing.assert_allclose(found.std_errors, errors, rtol=1e-8)
    low, high = found.conf_int()
    np.testing.assert_allclose(low, mean - Z * errors, rtol=1e-8)
    np.testing.assert_allclose(high, mean + Z * errors, rtol=1e-8)


def test_a_risk_has_a_band_between_0_and_1():
    """The forecast of the O-rings at 31 F, with the band of the logit."""
    result, temps = oring_fit(), np.array([31.0, 53.0, 81.0])
    found = result.predict((temps,))["distress"]
    design = np.column_stack([np.ones(3), temps])
    logits = design @ [result.estimates["intercept"], result.estimates["temp"]]
    errors = np.sqrt(np.diag(design @ result.cov() @ design.T))
    p = special.expit(logits)
    np.testing.assert_allclose(found.mean, p, rtol=1e-10)
    np.testing.assert_allclose(found.std_errors, errors * p * (1 - p), rtol=1e-6)
    low, high = found.conf_int()
    np.testing.assert_allclose(low, special.expit(logits - Z * errors), rtol=1e-6)
    np.testing.assert_allclose(high, special.expit(logits + Z * errors), rtol=1e-6)
    assert found.mean[0] == pytest.approx(0.9996, abs=1e-4)


def test_a_rate_has_a_positive_band():
    @gen
    def counts(x):
        return poisson(np.exp(param("a", 0.0) + param("b", 0.0) * x)) @ "n"

    x = np.arange(6.0)
    result = fitted(counts, (x,), {"n": np.array([0, 1, 0, 2, 1, 3])})
    found = result.predict((np.array([-3.0]),))["n"]
    low, high = found.conf_int(0.999)
    assert 0.0 < low[0] < found.mean[0] < high[0]
    slopes = found.mean[0] * np.array([1.0, -3.0])
    assert found.std_errors[0] == pytest.approx(np.sqrt(slopes @ result.cov() @ slopes))


def test_the_kind_of_the_result_is_used():
    result = line_fit()
    robust = result.with_errors("sandwich").predict((XS,))["ys"]
    design = np.column_stack([XS, np.ones(12), np.zeros(12)])
    expected = np.sqrt(np.diag(design @ result.cov("sandwich") @ design.T))
    np.testing.assert_allclose(robust.std_errors, expected, rtol=1e-8)


def test_predictions_do_not_move_parameters_and_do_not_follow_them():
    result = line_fit()
    expected = result.predict((XS,))["ys"].mean
    start(line, slope=9.0, intercept=9.0, sigma=9.0)
    np.testing.assert_array_equal(result.predict((XS,))["ys"].mean, expected)
    draws = [t["ys"] for t in result.simulate(400, rng=0)]
    assert np.abs(np.mean(draws) - np.mean(YS)) < 0.1
    assert line.params["slope"].value == 9.0


def test_without_arguments_the_means_are_those_of_the_data():
    result = line_fit()
    found = result.predict()
    assert list(found) == ["ys"]
    np.testing.assert_allclose(found["ys"].mean, result.fitted()["ys"])


@gen
def chain(n):
    """Each value depends on the one before it."""
    phi, last = param("phi", 0.5), 0.0
    for t in range(n):
        last = normal(phi * last, 1.0) @ t
    return last


def test_a_choice_that_depends_on_a_drawn_one_is_refused():
    values = [1.0, 0.8, 0.1, -0.5]
    result = fitted(chain, (4,), dict(enumerate(values)))
    with pytest.raises(InvalidValue, match="depends on one of 0, 1, 2, which is drawn"):
        result.predict((4,))
    found = result.predict((3,), {0: 2.0, 1: 1.0})
    assert list(found) == [2]
    assert found[2].mean == pytest.approx(result.estimates["phi"])
    assert found[2].std_errors == pytest.approx(result.std_errors["phi"])
    one_ahead = result.fitted()
    phi = result.estimates["phi"]
    assert [one_ahead[t] for t in range(4)] == pytest.approx([0.0, *(phi * v for v in values[:3])])


def test_a_rare_label_on_which_others_depend_is_found():
    @gen
    def labelled():
        z = bernoulli(param("p", 0.001, positive)) @ "z"
        return normal(param("m", 0.0) + (10.0 if z else 0.0), 1.0) @ "x"

    labelled.simulate(())
    labelled.params["p"].freeze()
    result = fitted(labelled, (), {"z": False, "x": 1.0})
    with pytest.raises(InvalidValue, match="depends on one of"):
        result.predict(())
    assert result.predict((), {"z": True})["x"].mean == pytest.approx(11.0)


def test_an_index_on_which_others_depend_is_found():
    @gen
    def indexed():
        k = categorical([0.9, 0.1]) @ "k"
        return normal(np.array([0.0, 5.0])[k] + param("m", 0.0), 1.0) @ "x"

    result = fitted(indexed, (), {"k": 0, "x": 1.0})
    with pytest.raises(InvalidValue, match="depends on one of"):
        result.predict(())


def test_a_distribution_without_a_mean_is_named():
    @gen
    def wild(n):
        return cauchy(param("m", 0.0), 1.0, size=n) @ "x"

    result = fitted(wild, (5,), {"x": np.array([-1.0, 0.0, 0.2, 0.4, 3.0])})
    with pytest.raises(InvalidValue, match="the mean of cauchy at 'x' does not exist"):
        result.predict((5,))


def test_a_choice_without_a_mean_leaves_the_others_theirs():
    @gen
    def mixed(n):
        m = param("m", 0.0)
        return cauchy(m, 1.0) @ "wild", normal(m, 1.0, size=n) @ "tame"

    result = fitted(mixed, (2,), {"wild": 0.3, "tame": np.array([0.1, 0.5])})
    for found in (result.predict((2,)), result.predict(), result.fitted()):
        assert list(found) == ["tame"]
        with pytest.raises(InvalidValue, match="the mean of cauchy at 'wild' does not exist"):
            found["wild"]
    assert set(result.residuals("quantile")) == {"wild", "tame"}


def test_the_band_of_a_count_ends_below_its_total():
    @gen
    def damaged(n):
        return binomial(n, 1.0 / (1.0 + np.exp(-param("a", 0.0)))) @ "k"

    result = fitted(damaged, (np.array([6, 6]),), {"k": np.array([6, 5])})
    found = result.predict((np.array([6, 0]),))["k"]
    low, high = found.conf_int()
    a = result.conf_int()["a"]
    assert (low[0], high[0]) == pytest.approx(tuple(6.0 * special.expit(np.array(a))))
    assert high[0] < 6.0
    assert (low[1], high[1]) == (0.0, 0.0)


def test_several_traces_have_numbers_before_their_addresses():
    halves = [line.generate((XS[i::2],), {"ys": YS[i::2]})[0] for i in range(2)]
    start(line, slope=0.0, intercept=0.0, sigma=1.0)
    result = FitResult.of(maximum_of(halves))
    assert list(result.fitted()) == [(0, "ys"), (1, "ys")]
    np.testing.assert_allclose(result.residuals()[1, "ys"], YS[1::2] - result.fitted()[1, "ys"])
    np.testing.assert_allclose(result.predict()[0, "ys"].mean, result.fitted()[0, "ys"])


@pytest.mark.parametrize("kind", ["tuple", "label"])
def test_a_choice_that_follows_a_tuple_or_a_label_is_found(kind):
    @gen
    def follows():
        if kind == "tuple":
            a, _ = product([bernoulli(0.01), normal(0.0, 1.0)]) @ "first"
        else:
            a = ["no", "yes"].index(categorical([0.9, 0.1], labels=["no", "yes"]) @ "first")
        return normal(param("m", 0.0) + 3.0 * a, 1.0) @ "x"

    first = (False, 0.2) if kind == "tuple" else "no"
    result = fitted(follows, (), {"first": first, "x": 1.0})
    with pytest.raises(InvalidValue, match="depends on one of"):
        result.predict(())
    assert result.predict((), {"first": first})["x"].mean == pytest.approx(1.0)


def test_new_data_are_drawn():
    """2000 draws: the ends are right to 0.15 standard deviations, but once in 1000."""
    result = line_fit()
    found = result.predict((np.array([1.0]),), draws=2000, rng=1)["ys"]
    assert found.draws is not None
    assert found.draws.shape == (2000, 1)
    error = np.hypot(result.estimates["sigma"], found.std_errors[0])
    low, high = found.interval(0.9)
    assert low[0] == pytest.approx(found.mean[0] - 1.645 * error, abs=0.15 * error)
    assert high[0] == pytest.approx(found.mean[0] + 1.645 * error, abs=0.15 * error)
    again = result.predict((np.array([1.0]),), draws=2000, rng=1)["ys"]
    np.testing.assert_array_equal(again.draws, found.draws)


def test_an_interval_of_new_data_needs_draws():
    with pytest.raises(InvalidValue, match="draws=1000"):
        line_fit().predict((XS,))["ys"].interval()


def test_unknown_addresses_are_refused():
    result = line_fit()
    wrong: Any = XS
    with pytest.raises(UnknownAddress, match="did you mean 'ys'"):
        result.predict((XS,))["y"]
    with pytest.raises(UnusedConstraint, match="never visited 'zs'"):
        result.predict((XS,), {"zs": 1.0})
    with pytest.raises(ArgumentError, match=r"write predict\(\(xs,\)\)"):
        result.predict(wrong)


def test_predictions_as_a_frame():
    pytest.importorskip("pandas")
    frame = line_fit().predict((XS[:2],)).to_frame()
    assert list(frame.index) == ["ys[0]", "ys[1]"]
    assert list(frame.columns) == ["mean", "std_error", "low", "high"]


def test_a_missing_error_has_its_reason():
    @gen
    def sum_of_two(n):
        return normal(param("a", 0.0) + param("b", 0.0), 1.0, size=n) @ "x"

    result = fitted(sum_of_two, (5,), {"x": np.arange(5.0)})
    found = result.predict((5,))["x"]
    assert np.all(np.isnan(found.std_errors))
    assert found.missing == "the log likelihood is flat along a - b"


# --- Residuals


def test_residuals_are_what_the_mean_leaves():
    result = line_fit()
    response = YS - result.fitted()["ys"]
    np.testing.assert_allclose(result.residuals()["ys"], response)
    pearson = result.residuals("pearson")["ys"]
    np.testing.assert_allclose(pearson, response / result.estimates["sigma"])
    np.testing.assert_allclose(result.residuals("quantile")["ys"], pearson, atol=1e-10)


def test_pearson_residuals_of_risks_are_the_textbook_ones():
    result = oring_fit()
    p = result.fitted()["distress"]
    y = data_in(result, "distress")
    expected = (y - p) / np.sqrt(p * (1 - p))
    np.testing.assert_allclose(result.residuals("pearson")["distress"], expected)


def test_quantile_residuals_of_a_gamma_are_normal_quantiles():
    result = gamma_fit()
    x = data_in(result, "x")
    b = result.estimates
    expected = stats.norm.ppf(stats.gamma.cdf(x, b["shape"], scale=b["scale"]))
    np.testing.assert_allclose(result.residuals("quantile")["x"], expected, rtol=1e-8)


def test_quantile_residuals_of_counts_lie_between_their_probabilities():
    result = oring_fit()
    p = result.fitted()["distress"]
    y = data_in(result, "distress")
    found = stats.norm.cdf(result.residuals("quantile", rng=1)["distress"])
    low, high = np.where(y, 1 - p, 0.0), np.where(y, 1.0, 1 - p)
    assert np.all((low <= found) & (found <= high))
    again = result.residuals("quantile", rng=1)["distress"]
    np.testing.assert_array_equal(stats.norm.cdf(again), found)


def test_a_mixture_has_residuals():
    result = faithful_fit()
    b = result.estimates
    waiting = data_in(result, "waiting")
    np.testing.assert_allclose(result.residuals()["waiting"], waiting - b["w"] @ b["mu"])


def test_residuals_that_do_not_exist_are_refused():
    with pytest.raises(InvalidValue, match="did you mean pearson"):
        line_fit().residuals("pearsn")
