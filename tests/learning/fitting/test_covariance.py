"""Standard errors: against closed forms, by hand, and missing with a reason."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fits import XS, YS, cloud_fit, faithful_fit, gamma_fit, line, line_fit, oring_fit, share_fit
from maxima import fitted, likelihood_in, maximum_of
from mpmath import matrix as exact
from mpmath import mp
from scipy import special

from genparams import custom_random, gen, init_param, mixture, normal, param, positive, product
from genparams.datasets import oring
from genparams.errors import InvalidValue
from genparams.learning.fitting.covariance import inverse_of
from genparams.learning.fitting.result import FitResult

DESIGN = np.column_stack([XS, np.ones_like(XS)])


def least_squares():
    beta, *_ = np.linalg.lstsq(DESIGN, YS, rcond=None)
    residuals = YS - DESIGN @ beta
    return beta, residuals, float(np.sqrt(np.mean(residuals**2)))


def test_a_regression_has_its_closed_form():
    beta, _, sigma = least_squares()
    result = line_fit()
    cov = sigma**2 * np.linalg.inv(DESIGN.T @ DESIGN)
    assert [result.estimates[k] for k in ("slope", "intercept")] == pytest.approx(beta)
    assert result.estimates["sigma"] == pytest.approx(sigma)
    for kind in ("observed", "expected"):
        np.testing.assert_allclose(result.cov(kind)[:2, :2], cov, rtol=1e-9)
        assert result.cov(kind)[2, 2] == pytest.approx(sigma**2 / (2 * len(XS)))
        np.testing.assert_allclose(result.cov(kind)[2, :2], 0.0, atol=1e-12)


def scores_by_hand():
    """The gradient of each observation by slope, intercept and log sigma."""
    _, residuals, sigma = least_squares()
    z = residuals / sigma
    return np.column_stack([z[:, None] / sigma * DESIGN, z**2 - 1.0]), sigma


def test_outer_products_are_those_of_the_observations():
    rows, sigma = scores_by_hand()
    scale = np.diag([1.0, 1.0, sigma])
    expected = scale @ np.linalg.inv(rows.T @ rows) @ scale
    np.testing.assert_allclose(line_fit().cov("opg"), expected, rtol=1e-8)


def test_the_sandwich_is_robust_to_unequal_variances():
    """White's HC0 for the coefficients, which econometrics packages print."""
    _, residuals, _ = least_squares()
    bread = np.linalg.inv(DESIGN.T @ DESIGN)
    white = bread @ (DESIGN.T * residuals**2) @ DESIGN @ bread
    result = line_fit().with_errors("sandwich")
    np.testing.assert_allclose(result.cov()[:2, :2], white, rtol=1e-8)
    assert result.std_errors["slope"] == pytest.approx(np.sqrt(white[0, 0]))


def test_a_logistic_regression_agrees_with_its_information():
    data, result = oring(), oring_fit()
    design = np.column_stack([np.ones(23), data["temp"]])
    p = special.expit(design @ [result.estimates["intercept"], result.estimates["temp"]])
    cov = np.linalg.inv((design.T * (p * (1 - p))) @ design)
    np.testing.assert_allclose(result.cov(), cov, rtol=1e-8)
    np.testing.assert_allclose(result.cov("expected"), cov, rtol=1e-8)
    published = [7.378636, 0.108236]  # R, summary(glm(distress ~ temp, binomial))
    assert list(result.std_errors.values()) == pytest.approx(published, abs=2e-6)


def test_a_gamma_fit_has_the_inverse_of_the_information_of_both_parameters():
    result = gamma_fit()
    shape, scale = result.estimates["shape"], result.estimates["scale"]
    information = 60 * np.array(
        [[special.polygamma(1, shape), 1 / scale], [1 / scale, shape / scale**2]]
    )
    for kind in ("observed", "expected"):
        np.testing.assert_allclose(result.cov(kind), np.linalg.inv(information), rtol=1e-8)


def test_a_probability_has_the_binomial_error():
    result = share_fit(3, 20)
    assert result.std_errors["p"] == pytest.approx(np.sqrt(0.15 * 0.85 / 20))


def test_a_simplex_has_a_singular_covariance():
    result = faithful_fit()
    cov = result.cov()
    np.testing.assert_allclose(cov[0], -cov[1], atol=1e-12)
    assert result.num_params == 5
    assert len(result.entries) == 6
    assert result.corr()[0, 1] == pytest.approx(-1.0)


def test_the_mixture_agrees_with_differences_of_its_gradient_on_the_natural_scale():
    """The covariance of w[0], mu and sigma from a Hessian by those, not by coordinates."""
    result = faithful_fit()
    likelihood = likelihood_in(result)
    vector = likelihood.vector
    w, mu, sigma = (result.estimates[k] for k in ("w", "mu", "sigma"))
    at = np.array([w[0], *mu, *sigma])

    def value(t):
        x = [np.log(t[0] / (1 - t[0])), t[1], np.log(t[2] - t[1]), np.log(t[3]), np.log(t[4])]
        return likelihood.log_prob(np.array(x))

    assert vector.size == 5
    h = 1e-3 * np.array([0.1, 1.0, 1.0, 1.0, 1.0])
    hessian = np.empty((5, 5))
    for i in range(5):
        for j in range(5):
            a, b = h[i] * np.eye(5)[i], h[j] * np.eye(5)[j]
            corners = value(at + a + b) - value(at + a - b) - value(at - a + b) + value(at - a - b)
            hessian[i, j] = corners / (4 * h[i] * h[j])
    expected = np.sqrt(np.diag(np.linalg.inv(-hessian)))
    found = result.errors().std_errors[[0, 2, 3, 4, 5]]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_cholesky_factor_has_no_error_above_its_diagonal():
    result = cloud_fit()
    assert result.missing == {"L[0, 1]": "always 0"}
    assert np.isnan(result.std_errors["L"][0, 1])
    np.testing.assert_allclose(np.sqrt(np.diag(result.cov()))[:2], result.std_errors["mu"])


@pytest.mark.parametrize("n", [1, 12])
def test_a_product_has_the_expected_information_of_its_batch(n):
    @gen
    def pairs(n):
        parts = [normal(param("m", 0.0), 1.0), normal(0.0, param("s", 1.0, positive))]
        return product(parts, size=n) @ "x"

    x = np.random.default_rng(0).normal(size=(2, n))
    result = fitted(pairs, (n,), {"x": tuple(x)}, kind="expected")
    s = result.estimates["s"]
    assert result.num_obs == n
    assert result.std_errors["m"] == pytest.approx(1.0 / np.sqrt(n))
    assert result.std_errors["s"] == pytest.approx(s / np.sqrt(2.0 * n))


def test_choices_in_a_loop_have_the_errors_of_a_batch():
    @gen
    def loop(xs):
        slope, intercept = param("slope", 0.0), param("intercept", 0.0)
        sigma = param("sigma", 1.0, positive)
        for i, x in enumerate(xs):
            normal(slope * x + intercept, sigma) @ i

    result, whole = fitted(loop, (list(XS),), dict(enumerate(YS))), line_fit()
    assert result.num_obs == whole.num_obs
    for kind in ("observed", "expected", "opg", "sandwich"):
        np.testing.assert_allclose(result.cov(kind), whole.cov(kind), rtol=1e-7, atol=1e-12)


def test_a_choice_without_a_log_probability_for_each_entry_is_one_term():
    def log_prob(x, mu):
        return -0.5 * float(np.sum((x - mu) ** 2))

    def gradients(x, mu):
        return mu - x, np.sum(x - mu)

    group = custom_random(None, log_prob, gradients, params=["mu"], name="group")

    @gen
    def groups():
        for i in range(4):
            group() @ i

    init_param(group, "mu", 0.0)
    x = np.array([[1.0, 2.0], [0.5, 3.0], [-1.0, 0.0], [2.0, 2.5]])
    result = fitted(groups, (), dict(enumerate(x)))
    assert result.num_obs == 4
    mu = np.mean(x)
    assert result.estimates["mu"] == pytest.approx(mu)
    assert result.std_errors["mu"] == pytest.approx(1.0 / np.sqrt(8))
    by_hand = np.sum(np.sum(x - mu, axis=1) ** 2)
    assert result.cov("opg")[0, 0] == pytest.approx(1.0 / by_hand)


def test_a_product_of_batches_of_two_shapes_is_one_term():
    @gen
    def uneven():
        m = param("m", 0.0)
        return product([normal(m + np.zeros(3), 1.0), normal(2.0 * m, 1.0)]) @ "x"

    result = fitted(uneven, (), {"x": (np.array([1.0, 2.0, 3.0]), 1.0)}, kind="opg")
    m = result.estimates["m"]
    assert m == pytest.approx((6.0 + 2.0) / 7.0)
    assert result.num_obs == 3
    assert result.missing == {} or set(result.missing) == {"aicc", "m"}
    np.testing.assert_allclose(result.cov("expected"), [[1.0 / 7.0]])


# --- Expected information by simulation


def test_without_a_closed_form_the_expected_information_is_simulated():
    """The information of the mean of one component is that of a normal distribution.

    The variance of an estimated variance of 100 000 terms is 2e-5 of it, so 2 per cent fail less
    than once in a million.
    """

    @gen
    def single(n):
        call = normal(np.array([param("mu", 0.0)]), np.array([param("s", 1.0, positive)]))
        return mixture(np.array([1.0]), call, size=n) @ "x"

    x = np.random.default_rng(1).normal(2.0, 3.0, 50)
    result = fitted(single, (50,), {"x": x}).with_errors("expected")
    s = result.estimates["s"]
    assert result.notes == ("expected information from 2000 simulated data sets, seed 20260",)
    assert result.std_errors["mu"] == pytest.approx(s / np.sqrt(50), rel=0.02)
    assert result.std_errors["s"] == pytest.approx(s / np.sqrt(100), rel=0.02)


def test_a_simulated_information_is_the_same_for_every_call():
    one, other = (faithful_fit().cov("expected") for _ in range(2))
    np.testing.assert_array_equal(one, other)


# --- What is never a number


@gen
def sum_of_two(n):
    return normal(param("a", 0.0) + param("b", 0.0), 1.0, size=n) @ "x"


def test_a_flat_direction_is_named():
    result = fitted(sum_of_two, (5,), {"x": np.arange(5.0)})
    assert result.missing["a"] == "the log likelihood is flat along a - b"
    assert np.isnan(result.std_errors["a"])
    assert np.all(np.isnan(result.cov()))
    assert result.condition == np.inf
    assert all(np.isnan(end) for end in result.conf_int()["a"])


def test_a_maximum_that_is_none_has_no_errors():
    maximum = line_maximum()
    saddle = maximum.hessian.copy()
    saddle[0, 0] = abs(saddle[0, 0])
    result = FitResult.of(replace(maximum, hessian=saddle))
    assert result.missing["sigma"] == "the log likelihood is flat or not concave along slope"
    broken = maximum.hessian.copy()
    broken[2, 2] = np.nan
    reason = FitResult.of(replace(maximum, hessian=broken)).missing["slope"]
    assert reason == "the curvature is not finite along log(sigma)"


def line_maximum():
    line_fit()
    trace, _ = line.generate((XS,), {"ys": YS})
    return maximum_of(trace)


def test_a_matrix_that_is_not_definite_names_its_direction():
    a = np.array([[1.0, 2.0], [2.0, 1.0]])
    found = inverse_of(a, ["a", "b"])
    assert found.reason == "the log likelihood is not concave along a - b"
    assert np.all(np.isnan(found.matrix))


def test_a_coordinate_without_an_error_leaves_the_others_theirs():
    maximum = replace(line_maximum(), missing={2: "at its bound"})
    result = FitResult.of(maximum)
    _, _, sigma = least_squares()
    cov = sigma**2 * np.linalg.inv(DESIGN.T @ DESIGN)
    assert result.missing == {"sigma": "at its bound"}
    np.testing.assert_allclose(result.cov()[:2, :2], cov, rtol=1e-9)
    assert np.all(np.isnan(result.cov()[2]))


def test_outer_products_of_few_observations_are_singular():
    init_param(line, "sigma", 1.0, constraint=positive)
    line.params["sigma"].freeze()
    try:
        result = fitted(line, (XS[:1],), {"ys": YS[:1]}, kind="opg")
    finally:
        line.params["sigma"].thaw()
    assert result.missing["slope"].startswith("the sum of outer products of gradients is flat")


# --- Bad scaling


def test_the_inverse_of_a_badly_scaled_matrix_is_right():
    years = np.arange(1947.0, 1963.0)
    rng = np.random.default_rng(0)
    columns = [np.ones(16), years, 3e5 + 1e5 * rng.random(16), 100.0 * years + 1e3 * rng.random(16)]
    design = np.column_stack(columns)
    information = design.T @ design
    names = ["a", "b", "c", "d"]
    mp.dps = 60
    inverse: Any = exact(information.tolist()) ** -1
    true = np.array(inverse.tolist(), dtype=float)
    found = inverse_of(information, names)
    np.testing.assert_allclose(np.sqrt(np.diag(found.matrix)), np.sqrt(np.diag(true)), rtol=1e-5)
    values = np.linalg.svd(design, compute_uv=False)
    assert found.condition == pytest.approx(values[0] / values[-1], rel=1e-5)
    assert found.condition > 1e8


def test_the_condition_number_is_in_the_units_of_the_coordinates():
    block = np.array([[1e-10, 0.5e1], [0.5e1, 1e12]])
    hessian = -np.block([[block, np.zeros((2, 1))], [np.zeros((1, 2)), np.ones((1, 1))]])
    values = np.linalg.eigvalsh(np.array([[1.0, 0.5], [0.5, 1.0]]))
    result = FitResult.of(replace(line_maximum(), hessian=hessian))
    assert result.condition == pytest.approx(1e11 / np.sqrt(np.prod(values)), rel=1e-9)


def test_a_parameter_that_depends_on_no_other_does_not_make_the_condition_worse():
    hessian = -np.diag([1e-10, 1.0, 1e12])
    assert FitResult.of(replace(line_maximum(), hessian=hessian)).condition == pytest.approx(1.0)


def test_an_unknown_kind_is_refused():
    wrong: Any = 3
    with pytest.raises(InvalidValue, match="did you mean observed"):
        line_fit().with_errors("obsrved")
    with pytest.raises(InvalidValue, match="no standard error of kind 3"):
        line_fit().cov(kind=wrong)
