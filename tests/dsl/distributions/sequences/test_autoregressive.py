"""Autoregressive series: their density, gradients, draws and forecasts, and wrong arguments."""

import importlib
import pickle
from typing import Any

import numpy as np
import pytest
from common import slope
from scipy import stats
from scipy.linalg import toeplitz

from genparams import (
    autoregressive,
    autoregressive_coefficients,
    autoregressive_forecast,
    fit,
    gen,
    init_param,
    interval,
    normal,
    param,
    positive,
    select,
)
from genparams.autodiff import gradient, hessian, jacobian
from genparams.dsl.distributions.sequences import autoregression, loops_autoregression
from genparams.errors import ArgumentError, DistributionError, ShapeError

dense: Any = stats.multivariate_normal

Y = np.array([0.5, -0.2, 1.1, 0.9, 0.3, -0.8, -0.4, 0.6, 1.5, 0.7, 0.1, -0.3])
TREND = 0.2 + 0.5 * np.arange(12) / 10


def traced(y, call):
    """The log density for a value or arguments that may be traced."""
    return call.fn.log_prob_of(y, list(call.args))


def covariance(phi, std, n):
    """The covariance of n values, by the response of a value to all innovations before it."""
    psi = np.zeros(4000)
    psi[0] = 1.0
    for t in range(1, len(psi)):
        past = psi[max(0, t - len(phi)) : t][::-1]
        psi[t] = past @ phi[: len(past)]
    return std**2 * toeplitz([psi[: len(psi) - k] @ psi[k:] for k in range(n)])


def coefficients(order, seed=0):
    return autoregressive_coefficients(np.random.default_rng(seed).uniform(-0.8, 0.8, order))


# --- The density


@pytest.mark.parametrize(("order", "n"), [(1, 1), (1, 6), (2, 2), (2, 9), (4, 4), (4, 6), (7, 30)])
def test_the_density_is_a_normal_with_the_stationary_covariance(order, n):
    phi, y = coefficients(order, seed=n), np.random.default_rng(n).normal(size=n)
    wanted = dense.logpdf(y, np.full(n, 0.3), covariance(phi, 0.7, n))
    found = autoregressive(phi, 0.7, n, 0.3).log_prob(y)
    assert type(found) is float
    assert found == pytest.approx(wanted, rel=1e-11)


@pytest.mark.parametrize(
    ("phi", "variance", "mean", "wanted"),
    [
        (0.6, 0.49, 0.0, -12.335204581689165),
        ([0.5, -0.3], 0.49, 0.0, -11.30916951956055),
        ([0.4, 0.2, -0.25], 0.36, 0.0, -12.235433212048136),
        ([0.4, -0.1], 0.25, TREND, -12.246661665309837),
    ],
)
def test_the_density_is_that_of_statsmodels(phi, variance, mean, wanted):
    """ARIMA(Y, order=(p, 0, 0), trend="n").loglike([*phi, variance]); with a trend, exog=x."""
    found = autoregressive(phi, np.sqrt(variance), 12, mean).log_prob(Y)
    assert found == pytest.approx(wanted, rel=1e-12)


def test_the_density_given_the_values_before_is_that_of_statsmodels():
    """AutoReg(Y, 2, trend="c").fit(): its params, sigma2 and llf."""
    c, phi = 0.461975231, [0.489885350, -0.662218237]
    call = autoregressive(phi, np.sqrt(0.2425213007), 10, c / (1.0 - sum(phi)), initial=Y[:2])
    assert call.log_prob(Y[2:]) == pytest.approx(-7.106056659458569, rel=1e-9)


def test_the_density_is_that_of_the_first_values_times_that_of_the_others_given_them():
    phi, std, mean = coefficients(3), 0.7, np.linspace(0.0, 1.0, 12)
    whole = autoregressive(phi, std, 12, mean).log_prob(Y)
    first = autoregressive(phi, std, 3, mean[:3]).log_prob(Y[:3])
    rest = autoregressive(phi, std, 9, mean, initial=Y[:3]).log_prob(Y[3:])
    assert first + rest == pytest.approx(whole, rel=1e-13)


def test_a_series_given_values_before_it_may_be_shorter_than_p_and_not_stationary():
    found = autoregressive([2.0, 0.5], 1.0, 1, initial=[1.0, 3.0]).log_prob([6.0])
    assert found == pytest.approx(stats.norm.logpdf(6.0, 6.5, 1.0), rel=1e-14)


def test_a_series_that_is_nearly_a_random_walk_keeps_its_digits():
    gap = 2.0**-40  # 1 - phi
    found = autoregressive(1.0 - gap, 0.7, 2, 1.0).log_prob([3.0, 3.5])
    first = stats.norm.logpdf(2.0, 0.0, 0.7 / np.sqrt(gap * (2.0 - gap)))
    wanted = first + stats.norm.logpdf(0.5 + 2.0 * gap, 0.0, 0.7)
    assert found == pytest.approx(wanted, rel=1e-14)


def test_a_batch_is_that_many_series():
    phi = autoregressive_coefficients([[0.5, 0.1], [-0.3, 0.6], [0.0, -0.7]])
    std, mean = np.array([0.5, 1.0, 2.0]), np.array([[0.0], [1.0], [2.0]])
    y = np.random.default_rng(0).normal(size=(3, 8))
    call = autoregressive(phi, std, 8, mean + np.zeros(8))
    each = [autoregressive(phi[i], std[i], 8, mean[i, 0]).log_prob(y[i]) for i in range(3)]
    np.testing.assert_allclose(call.log_probs(y), each, rtol=1e-13)
    assert call.log_prob(y) == pytest.approx(sum(each), rel=1e-13)
    shared = autoregressive(phi[0], 0.5, 8, size=3)
    each = [autoregressive(phi[0], 0.5, 8).log_prob(row) for row in y]
    assert shared.log_prob(y) == pytest.approx(sum(each), rel=1e-13)


def test_a_value_that_is_infinite_has_density_0_and_no_gradient():
    y = Y.copy()
    y[3] = np.inf
    assert autoregressive(0.5, 1.0, 12).log_prob(y) == -np.inf
    assert autoregressive(0.5, 1.0, 12).log_prob(1e200 * Y) == -np.inf
    found = gradient(lambda phi: traced(y, autoregressive(phi, 1.0, 12)), np.array([0.5]))
    assert found == 0.0


# --- Gradients

CALLS = {
    "stationary": (
        lambda phi, std, mean, _: autoregressive(phi, std, 9, mean[2:]),
        [coefficients(2), 0.7, np.linspace(0.0, 1.0, 11), np.array([0.2, -0.4])],
    ),
    "stationary of order 4": (
        lambda phi, std, mean, _: autoregressive(phi, std, 9, mean),
        [coefficients(4), 1.3, 0.4, 0.0],
    ),
    "given the values before": (
        lambda phi, std, mean, initial: autoregressive(phi, std, 9, mean, initial),
        [np.array([0.9, 0.4]), 0.7, np.linspace(0.0, 1.0, 11), np.array([0.2, -0.4])],
    ),
    "batch": (
        lambda phi, std, mean, initial: autoregressive(phi, std, 9, mean, initial, size=(2, 3)),
        [
            np.array([[0.9, 0.4], [0.1, -0.2], [0.5, -1.4]]),
            np.array([[0.7], [1.2]]),
            np.linspace(0.0, 1.0, 11),
            np.array([[0.2, -0.4], [1.0, 0.5], [0.2, 0.6]]),
        ],
    ),
    "stationary batch": (
        lambda phi, std, mean, _: autoregressive(phi, std, 9, mean, size=(2, 3)),
        [
            autoregressive_coefficients([[0.9, 0.4], [0.1, -0.2], [0.5, -0.4]]),
            np.array([[0.7], [1.2]]),
            np.linspace(0.0, 1.0, 9),
            0.0,
        ],
    ),
}
every_call = pytest.mark.parametrize("name", CALLS)


def flattened(name):
    """The log density as a function of one vector, of the value and the arguments; and a point."""
    make, args = CALLS[name]
    batch = make(*args).options or ()
    values = [np.random.default_rng(1).normal(size=(*batch, 9)), *args]
    ends = np.cumsum([np.size(v) for v in values])[:-1]

    def unpacked(theta):
        parts = np.split(theta, ends)
        return [p.reshape(np.shape(v)) for p, v in zip(parts, values, strict=True)]

    def f(theta):
        y, *rest = unpacked(theta)
        return traced(y, make(*rest))

    return f, np.concatenate([np.ravel(v) for v in values])


@every_call
def test_every_gradient_is_the_slope_of_the_log_density(name):
    f, at = flattened(name)
    found = gradient(f, at)
    for seed in range(4):
        step = 0.05 * np.random.default_rng(seed).normal(size=len(at))
        assert found @ step == pytest.approx(slope(lambda h: f(at + h * step)), rel=1e-8)  # noqa: B023


@every_call
def test_every_second_derivative_is_the_slope_of_the_gradient(name):
    f, at = flattened(name)
    found = hessian(f, at)
    np.testing.assert_allclose(found, found.T, rtol=1e-9, atol=1e-9)
    step = 0.05 * np.random.default_rng(5).normal(size=len(at))
    wanted = slope(lambda h: gradient(f, at + h * step))
    np.testing.assert_allclose(found @ step, wanted, rtol=1e-6, atol=1e-6)


def test_the_density_of_each_series_has_a_jacobian():
    phi, std = autoregressive_coefficients([0.5, -0.2]), np.array([0.5, 1.0, 2.0])
    y = np.random.default_rng(0).normal(size=(3, 8))

    def each(theta):
        call = autoregressive(theta[:2], std * theta[2], 8, size=3)
        return call.fn.log_probs_of(y, list(call.args))

    at = np.array([*phi, 1.0])
    step = np.array([0.2, -0.1, 0.3])
    wanted = slope(lambda h: each(at + h * step))
    np.testing.assert_allclose(jacobian(each, at) @ step, wanted, rtol=1e-8)


def test_coefficients_and_partial_autocorrelations_determine_each_other():
    partial = np.random.default_rng(0).uniform(-1.0, 1.0, (5, 6))
    orders = autoregression.step_down(autoregressive_coefficients(partial))
    np.testing.assert_allclose(
        np.stack([a[..., -1] for a in orders[::-1]], axis=-1), partial, rtol=1e-8
    )
    roots = np.roots([1.0, *-autoregressive_coefficients(partial[0])])
    assert np.max(np.abs(roots)) < 1.0


# --- The same function as loops


def deviations(kernel, order):
    rng = np.random.default_rng(order)
    phi = autoregressive_coefficients(rng.uniform(-0.8, 0.8, (3, order)))
    return rng.normal(size=(3, 10)), phi, np.array([0.5, 1.0, 2.0])


def assert_same(found, wanted):
    for a, b in zip(found, wanted, strict=True):
        assert a.dtype == np.float64
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("kernel", ["stationary", "conditional"])
@pytest.mark.parametrize("order", [1, 2, 5])
def test_the_loops_compute_the_same(kernel, order):
    given = deviations(kernel, order)
    wanted = getattr(autoregression, kernel)(*given)
    assert_same(getattr(loops_autoregression, kernel)(*given), wanted)


@pytest.mark.parametrize("phi", [[[1.2]], [[1.0]], [[0.5, 1.0]], [[0.4, 1.3]], [[np.nan]]])
def test_neither_has_a_density_where_the_series_is_not_stationary(phi):
    given = np.ones((1, 5)), np.array(phi), np.ones(1)
    with np.errstate(all="ignore"):
        assert not np.isfinite(autoregression.stationary(*given)[0])
    assert not np.isfinite(loops_autoregression.stationary(*given)[0])


@pytest.mark.parametrize("kernel", ["stationary", "conditional"])
def test_the_loops_compile(kernel):
    numba = pytest.importorskip("numba")
    given = deviations(kernel, 2)
    compiled = numba.njit(getattr(loops_autoregression, kernel))
    assert_same(compiled(*given), getattr(autoregression, kernel)(*given))


# --- Draws


@pytest.mark.parametrize("order", [1, 2, 4])
def test_draws_have_the_covariance_of_the_series(order):
    """Their products with a random line are standard normal; 1 of 10000 right samplers fails."""
    phi, rng = coefficients(order, seed=3), np.random.default_rng(order)
    draws = autoregressive(phi, 0.7, 8, 2.0, size=4000).sample(rng=1)
    for n in (order, 8):
        line = rng.normal(size=n)
        std = np.sqrt(line @ covariance(phi, 0.7, n) @ line)
        assert stats.kstest((draws[:, :n] - 2.0) @ line / std, "norm").pvalue > 1e-4


def test_draws_given_values_before_follow_them():
    call = autoregressive([0.5, 0.3], 1e-9, 3, 1.0, initial=[2.0, 3.0])
    np.testing.assert_allclose(call.sample(rng=0), [2.3, 2.25, 2.015], atol=1e-6)


def test_draws_of_a_batch_each_have_their_own_arguments():
    phi = autoregressive_coefficients([[0.9], [-0.9]])
    draws = autoregressive(phi, np.array([1.0, 2.0]), 5000).sample(rng=0)
    assert draws.shape == (2, 5000)
    lag = np.mean(draws[:, 1:] * draws[:, :-1], axis=1) / np.var(draws, axis=1)
    np.testing.assert_allclose(lag, [0.9, -0.9], atol=0.03)
    np.testing.assert_allclose(np.std(draws, axis=1) * np.sqrt(0.19), [1.0, 2.0], rtol=0.1)


# --- Forecasts


def test_forecasts_are_the_ones_of_statsmodels():
    """ARIMA(Y, order=(2, 0, 0), trend="c").smooth([0.3, 0.5, -0.3, 0.49]).get_forecast(4)."""
    found = autoregressive_forecast(Y, 4, [0.5, -0.3], 0.7, 0.3)
    np.testing.assert_allclose(found.mean, [0.06, 0.36, 0.402, 0.333], rtol=1e-12)
    wanted = [0.7, 0.78262379, 0.78340602, 0.79292575]
    np.testing.assert_allclose(found.std, wanted, rtol=1e-8)


def test_forecasts_are_a_normal_given_the_series():
    phi, mean = coefficients(3), np.linspace(0.0, 2.0, 17)
    found = autoregressive_forecast(Y, 5, phi, 0.7, mean)
    cov = covariance(phi, 0.7, 17)
    gain = np.linalg.solve(cov[:12, :12], cov[:12, 12:])
    np.testing.assert_allclose(found.mean, mean[12:] + (Y - mean[:12]) @ gain, rtol=1e-9)
    np.testing.assert_allclose(found.cov, cov[12:, 12:] - cov[12:, :12] @ gain, rtol=1e-8)
    np.testing.assert_allclose(found.std, np.sqrt(np.diagonal(found.cov)), rtol=1e-14)


# --- In models


@gen
def wander(n):
    partial = param("partial", [0.0, 0.0], constraint=interval(-1.0, 1.0))
    phi = autoregressive_coefficients(partial)
    return autoregressive(phi, param("std", 1.0, positive), n, param("level", 0.0)) @ "ys"


def test_a_fit_finds_the_estimates_of_statsmodels():
    """ARIMA(Y, order=(2, 0, 0), trend="c").fit(): params and llf."""
    result = fit(wander, (12,), {"ys": Y})
    assert result.log_likelihood == pytest.approx(-8.552040709525997, rel=1e-8)
    phi = autoregressive_coefficients(result.estimates["partial"])
    np.testing.assert_allclose(phi, [0.46194077, -0.61330354], atol=1e-4)
    assert result.estimates["level"] == pytest.approx(0.37734471, abs=1e-4)
    assert result.estimates["std"] ** 2 == pytest.approx(0.22350376, rel=1e-4)
    assert np.all(np.isfinite(result.std_errors["partial"]))


def test_it_is_a_distribution_like_every_other():
    trace = wander.simulate((12,), rng=0)
    assert trace["ys"].shape == (12,)
    weight, _ = wander.assess((12,), {"ys": trace["ys"]})
    assert weight == trace.log_prob
    again, weight = wander.generate((12,), {"ys": Y})
    assert weight == again.log_prob
    moved, weight, discard = again.update({"ys": trace["ys"]})
    assert weight == pytest.approx(trace.log_prob - again.log_prob, rel=1e-12)
    assert discard["ys"] is not None
    assert moved.log_prob == trace.log_prob


def test_the_gradient_flows_to_choices_that_it_depends_on():
    @gen
    def model():
        level = normal(0.0, 1.0) @ "level"
        return autoregressive(0.5, 1.0, 12, level) @ "ys"

    trace, _ = model.generate((), {"ys": Y, "level": 0.4})
    found = trace.choice_gradients(select("level", "ys"))[2]

    def f(level):
        return model.assess((), {"ys": Y, "level": level})[0]

    assert found["level"] == pytest.approx(slope(lambda h: f(0.4 + h)), rel=1e-9)


def test_its_distribution_pickles():
    call = autoregressive(0.5, 1.0, 3)
    assert pickle.loads(pickle.dumps(call.fn)) is call.fn


# --- Wrong arguments

untyped: Any = autoregressive


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: untyped(0.5, 1.0, 0), ArgumentError, "length .* whole number above 0, got"),
        (lambda: untyped(0.5, 1.0, 2.5), ArgumentError, "length .* whole number above 0"),
        (lambda: untyped(0.5, 1.0, Y), ArgumentError, "length .* whole number above 0"),
        (lambda: untyped([], 1.0, 12), ShapeError, "needs at least one number"),
        (lambda: untyped(0.5, 1.0, 12, Y[:5]), ShapeError, "has 12 entries along its last"),
        (
            lambda: untyped(0.5, 1.0, 11, Y[1:], initial=Y[:1]),
            ShapeError,
            r"12 = 1 \+ 11 entries",
        ),
        (lambda: untyped([0.1, 0.2], 1.0, 1), ShapeError, "give the values before it"),
        (
            lambda: untyped([0.1, 0.2], 1.0, 9, initial=[1.0]),
            ShapeError,
            "one value for each",
        ),
        (
            lambda: untyped([0.5, 0.6], 1.0, 12),
            DistributionError,
            r"partial autocorrelations \[1.25, 0.6 *\].*autoregressive_coefficients\(partial\)",
        ),
        (lambda: untyped(1.0, 1.0, 12), DistributionError, "stationary series"),
        (lambda: untyped(np.nan, 1.0, 12), DistributionError, "got nan"),
        (lambda: untyped(0.5, 0.0, 12), DistributionError, "std .* above 0"),
        (lambda: untyped(0.5, -1.0, 12), DistributionError, "std .* above 0"),
        (lambda: untyped(0.5, 1.0, 12, np.nan), DistributionError, "mean .* finite"),
        (lambda: untyped("a", 1.0, 12), ArgumentError, "must be a number or an array"),
        (lambda: untyped(0.5, 1.0, count=12), ArgumentError, "no argument 'count'"),
    ],
)
def test_a_wrong_argument_says_what_to_write(call, error, message):
    with pytest.raises(error, match=message):
        call().log_prob(Y)
    with pytest.raises(error, match=message):
        call().sample(rng=0)


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (Y[:5], ShapeError, r"shape \(12,\) here, got \(5,\)"),
        (np.where(Y > 1.0, np.nan, Y), DistributionError, "contains NaN"),
        (np.stack([Y, Y]), ShapeError, r"autoregressive\(\.\.\., size=\(2,\)\)"),
    ],
)
def test_a_wrong_value_says_what_to_write(y, error, message):
    @gen
    def model():
        return autoregressive(0.5, 1.0, 12) @ "ys"

    with pytest.raises(error, match=message):
        model.generate((), {"ys": y})


def test_whole_numbers_are_taken_as_floats():
    assert autoregressive([0], 1, 3).log_prob([1, 2, 3]) == pytest.approx(
        np.sum(stats.norm.logpdf([1, 2, 3])), rel=1e-14
    )


@pytest.mark.parametrize("partial", [1.0, [0.5, -1.0], np.nan])
def test_partial_autocorrelations_are_between_minus_1_and_1(partial):
    with pytest.raises(DistributionError, match=r"partial .* between -1 and 1"):
        autoregressive_coefficients(partial)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: autoregressive_forecast(Y, 0, 0.5, 1.0), ArgumentError, "steps .* above 0"),
        (lambda: autoregressive_forecast(Y[:1], 3, [0.1, 0.2], 1.0), ShapeError, "at least 2"),
        (lambda: autoregressive_forecast(Y, 3, 0.5, 1.0, Y), ShapeError, r"15 = 12 \+ 3"),
        (lambda: autoregressive_forecast(Y, 3, 0.5, 0.0), DistributionError, "std .* above 0"),
        (lambda: autoregressive_forecast(Y * np.nan, 3, 0.5, 1.0), DistributionError, "finite"),
        (lambda: autoregressive_forecast([Y, Y], 3, 0.5, 1.0), ShapeError, "one vector"),
    ],
)
def test_a_wrong_argument_of_a_forecast_says_what_to_write(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_the_loops_need_only_numpy_and_math():
    module = importlib.import_module(loops_autoregression.__name__)
    assert {n for n in vars(module) if not n.startswith("_")} == {
        "conditional",
        "math",
        "np",
        "stationary",
    }


def test_parameters_reach_the_fit_of_a_regression_with_autoregressive_errors():
    @gen
    def regression(xs):
        mean = param("slope", 0.0) * xs
        return autoregressive(0.4, 0.5, len(xs), mean) @ "ys"

    xs = np.arange(12.0)
    init_param(regression, "slope", 0.0)
    found = fit(regression, (xs,), {"ys": Y})
    precision = np.linalg.inv(covariance(np.array([0.4]), 0.5, 12))
    wanted = (xs @ precision @ Y) / (xs @ precision @ xs)
    assert found.estimates["slope"] == pytest.approx(wanted, rel=1e-6)
    assert found.std_errors["slope"] == pytest.approx((xs @ precision @ xs) ** -0.5, rel=1e-6)
