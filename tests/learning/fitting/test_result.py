"""The result of a fit as a whole."""

from typing import Any

import numpy as np
import pytest
from fits import XS, YS, cloud_fit, constant, faithful_fit, line, line_fit, oring_fit, start
from maxima import fitted, maximum_of
from scipy import stats

from genparams import categorical, gen, normal, param, positive
from genparams.errors import ArgumentError, InvalidValue, UnknownAttribute
from genparams.learning.fitting.result import FitResult


def test_the_criteria_are_those_of_the_textbook():
    result = line_fit()
    log_likelihood = np.sum(stats.norm.logpdf(YS, *at_each(result)))
    assert result.log_likelihood == pytest.approx(log_likelihood)
    assert result.log_posterior == result.log_likelihood
    assert (result.num_params, result.num_obs, result.df_residual) == (3, 12, 9)
    assert result.aic == pytest.approx(6 - 2 * log_likelihood)
    assert result.aicc == pytest.approx(result.aic + 24 / 8)
    assert result.bic == pytest.approx(3 * np.log(12) - 2 * log_likelihood)


def at_each(result):
    b = result.estimates
    return b["slope"] * XS + b["intercept"], b["sigma"]


def test_the_search_is_described():
    result = line_fit()
    assert result.converged
    assert result.message.startswith("converged")
    assert result.iterations > 1
    assert result.evaluations >= result.iterations
    assert result.method == "newton"
    assert result.function == "line"
    assert result.status == {"slope": "ok", "intercept": "ok", "sigma": "ok"}
    assert result.warnings == ()
    assert result.notes == ()


def test_free_coordinates_are_counted():
    assert faithful_fit().num_params == 5
    assert cloud_fit().num_params == 5


def test_members_of_batches_are_the_observations():
    assert cloud_fit().num_obs == 40
    assert oring_fit().num_obs == 23

    @gen
    def several(n):
        p = param("logits", np.zeros(3))
        a = categorical(logits=p, size=n) @ "a"
        return a, normal(param("m", 0.0), 1.0) @ "b"

    several.simulate((1,))
    several.params["logits"].freeze()
    result = fitted(several, (7,), {"a": np.zeros(7, int), "b": 1.0})
    assert result.num_obs == 8


def test_a_frozen_parameter_is_an_estimate_without_an_error():
    start(line, slope=0.0, intercept=0.0, sigma=2.0)
    line.params["sigma"].freeze()
    try:
        result = fitted(line, (XS,), {"ys": YS})
        line.params["sigma"].set(5.0)
        assert result.estimates["sigma"] == 2.0
        assert result.status["sigma"] == "frozen"
        assert result.missing == {"sigma": "frozen"}
        assert np.isnan(result.std_errors["sigma"])
        assert result.num_params == 2
        design = np.column_stack([XS, np.ones(12)])
        expected = 4.0 * np.linalg.inv(design.T @ design)
        for kind in ("observed", "expected"):
            np.testing.assert_allclose(result.cov(kind)[:2, :2], expected, rtol=1e-9)
        rows = (YS - at_each(result)[0])[:, None] / 4.0 * design
        np.testing.assert_allclose(
            result.cov("opg")[:2, :2], np.linalg.inv(rows.T @ rows), rtol=1e-8
        )
        low, high = result.profile("slope").conf_int()
        reach = np.sqrt(stats.chi2.ppf(0.95, 1) * expected[0, 0])
        assert (high - low) == pytest.approx(2 * reach)
    finally:
        line.params["sigma"].thaw()


def test_a_prior_is_in_the_curvature_and_not_in_the_likelihood():
    @gen
    def mean_only(n):
        return normal(param("m", 0.0), 1.0, size=n) @ "x"

    x = np.array([1.0, 2.0, 3.0])
    trace, _ = mean_only.generate((3,), {"x": x})
    prior = {mean_only.params["m"]: normal(0.0, 0.5)}
    result = FitResult.of(maximum_of(trace, prior))
    precision = 3.0 + 4.0
    assert result.priors == ("m",)
    assert result.estimates["m"] == pytest.approx(6.0 / precision)
    for kind in ("observed", "expected"):
        assert result.cov(kind)[0, 0] == pytest.approx(1.0 / precision)
    opg = np.sum((x - 6.0 / precision) ** 2) + 4.0
    assert result.cov("opg")[0, 0] == pytest.approx(1.0 / opg)
    log_likelihood = np.sum(stats.norm.logpdf(x, 6.0 / precision, 1.0))
    assert result.log_likelihood == pytest.approx(log_likelihood)
    log_prior = stats.norm.logpdf(6.0 / precision, 0.0, 0.5)
    assert result.log_posterior == pytest.approx(log_likelihood + log_prior)


def test_a_small_sample_has_no_aicc():
    start(line, slope=0.0, intercept=0.0, sigma=1.0)
    result = fitted(line, (XS[:4],), {"ys": YS[:4]})
    assert np.isnan(result.aicc)
    assert result.missing == {"aicc": "AICc needs more than 4 observations"}


def test_several_traces_are_one_fit():
    start(line, slope=0.0, intercept=0.0, sigma=1.0)
    halves = [line.generate((XS[i::2],), {"ys": YS[i::2]})[0] for i in range(2)]
    result, whole = FitResult.of(maximum_of(halves)), line_fit()
    assert result.estimates == pytest.approx(whole.estimates)
    assert result.std_errors == pytest.approx(whole.std_errors)
    assert result.num_obs == 12
    assert result.function == "line"
    assert len(result.simulate(3, rng=0)) == 6


def test_a_result_stays_where_the_fit_was():
    result = line_fit()
    before = result.estimates, result.std_errors, result.fitted()["ys"]
    start(line, slope=7.0, intercept=7.0, sigma=7.0)
    assert result.estimates == before[0]
    assert result.with_errors("sandwich").with_errors("observed").std_errors == before[1]
    np.testing.assert_array_equal(result.fitted()["ys"], before[2])
    assert result.cov("opg").shape == (3, 3)
    assert line.params["slope"].value == 7.0


def test_what_is_handed_out_cannot_change_the_result():
    result = faithful_fit()
    with pytest.raises(ValueError, match="read-only"):
        result.estimates["mu"][0] = 0.0
    result.cov()[:] = 0.0
    result.estimates.clear()
    assert np.all(np.diag(result.cov()) > 0.0)
    assert list(result.estimates) == ["w", "mu", "sigma"]


def test_correlations_have_a_diagonal_of_ones():
    result = line_fit()
    np.testing.assert_allclose(np.diag(result.corr()), 1.0)
    cov = result.cov()
    assert result.corr()[0, 1] == pytest.approx(cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1]))


def test_another_kind_is_shown_by_another_result():
    result = line_fit()
    robust = result.with_errors("sandwich")
    assert (result.kind, robust.kind) == ("observed", "sandwich")
    assert robust.std_errors != result.std_errors
    assert robust.conf_int()["slope"] != result.conf_int()["slope"]
    assert robust.estimates == result.estimates


def test_a_result_as_a_frame():
    pytest.importorskip("pandas")
    frame = faithful_fit().to_frame()
    assert list(frame.columns) == ["estimate", "std_error", "low", "high"]
    assert frame.loc["mu[1]", "estimate"] == pytest.approx(80.0911, abs=1e-4)


def test_a_result_in_one_line():
    assert repr(line_fit()) == (
        f"FitResult(line, log_likelihood={line_fit().log_likelihood:.6g}, 3 parameters, "
        "12 observations)"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [("params", "write estimates"), ("bse", "write std_errors"), ("llf", "log_likelihood")],
)
def test_names_of_other_packages_are_explained(name, message):
    with pytest.raises(UnknownAttribute, match=message):
        getattr(line_fit(), name)


def test_a_result_does_not_change():
    result: Any = line_fit()
    with pytest.raises(UnknownAttribute, match="has no attribute 'estimates' that can be set"):
        result.estimates = {}
    with pytest.raises(ArgumentError, match="has no argument 'alpha'"):
        result.conf_int(alpha=0.05)


def test_an_unknown_kind_is_refused_when_a_result_is_made():
    trace, _ = constant.generate((XS,), {"ys": YS})
    with pytest.raises(InvalidValue, match="did you mean sandwich"):
        FitResult.of(maximum_of(trace), kind="sandwhich")


def test_parameters_that_the_data_do_not_read_are_left_out():
    line.params.init("unread", 3.0)
    try:
        assert "unread" not in line_fit().estimates
    finally:
        line.params.discard("unread")


def test_a_positive_parameter_near_0_keeps_its_digits():
    @gen
    def tiny(n):
        return normal(0.0, param("s", 1e-9, positive), size=n) @ "x"

    x = 1e-9 * np.array([1.0, -2.0, 0.5, 1.5])
    result = fitted(tiny, (4,), {"x": x})
    s = np.sqrt(np.mean(x**2))
    assert result.estimates["s"] == pytest.approx(s)
    assert result.std_errors["s"] == pytest.approx(s / np.sqrt(8))
