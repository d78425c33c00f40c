"""Curvature from gradients: the matrix after a step, and fits of many data that use it."""

import numpy as np
import pytest

from genparams import ParamStore, bernoulli, fit, gen, normal, param, positive
from genparams.autodiff import hessian
from genparams.autodiff import np as boxed
from genparams.dsl.likelihood.likelihood import First, Likelihood, Second
from genparams.learning.fitting.secant import Secants, is_costly, updated
from genparams.params.vector import Vector


def random_model(rng, p):
    half = rng.normal(size=(p, p))
    return Second(-1.0, rng.normal(size=p), half @ half.T + np.eye(p))


@pytest.mark.parametrize("seed", range(5))
def test_a_changed_matrix_explains_the_change_of_the_gradient(seed):
    rng = np.random.default_rng(seed)
    last, true = random_model(rng, 6), random_model(rng, 6).matrix
    step = rng.normal(size=6)
    found = updated(last, step, First(-0.5, last.gradient - true @ step))
    assert found.log_prob == -0.5
    assert found.matrix @ step == pytest.approx(true @ step, rel=1e-9)
    assert np.linalg.eigvalsh(found.matrix)[0] > 0.0


def test_a_matrix_stays_as_it_is_along_a_step_on_which_the_function_is_not_concave():
    rng = np.random.default_rng(0)
    last, step = random_model(rng, 4), rng.normal(size=4)
    found = updated(last, step, First(0.0, last.gradient + step))
    assert np.array_equal(found.matrix, last.matrix)


def test_a_new_information_follows_some_steps_with_changed_ones():
    p, calls = 24, []

    def information(x):
        calls.append("information")
        return Second(-float(x @ x), -2.0 * x, 2.0 * np.eye(p))

    def gradient(x):
        calls.append("gradient")
        return First(-float(x @ x), -2.0 * x)

    scoring = Secants(information, gradient)
    for size in np.linspace(1.0, 0.1, 11):
        scoring(size * np.ones(p))
    assert calls == 2 * (["information"] + 4 * ["gradient"]) + ["information"]


def test_a_point_outside_of_the_domain_is_no_start_of_a_change():
    at, nowhere = np.ones(24), First(-np.inf, np.full(24, np.nan))
    inside = Second(-1.0, np.ones(24), np.eye(24))
    answers = iter([nowhere, First(-0.5, 0.5 * np.ones(24))])
    scoring = Secants(lambda x: inside, lambda x: next(answers))
    found = [scoring(x) for x in (at, 9.0 * at, 1.5 * at)]
    assert found[-1] is not None
    assert np.all(np.isfinite(found[-1].matrix))


def regression(n, p):
    rng = np.random.default_rng(3)
    x = rng.standard_normal((n, p))
    return x, rng.random(n) < 1.0 / (1.0 + np.exp(-x @ rng.standard_normal(p)))


@gen
def logistic(x):
    return bernoulli(logits=x @ param("w", np.zeros(x.shape[1]))) @ "y"


@gen
def line(x):
    mean = x @ param("w", np.zeros(x.shape[1]))
    return normal(mean, param("sigma", 1.0, positive)) @ "y"


@pytest.mark.parametrize(
    ("n", "p", "wanted"), [(30_000, 30, True), (30_000, 5, False), (99, 30, False)]
)
def test_a_matrix_is_costly_for_many_data_and_coordinates(n, p, wanted):
    f = logistic.with_params(ParamStore(w=np.zeros(p)))
    trace, _ = f.generate((np.zeros((n, p)),), {"y": np.zeros(n, bool)})
    assert is_costly(Likelihood([trace], Vector(f.params.values()), {})) is wanted


def test_a_large_logistic_regression_ends_at_its_maximum():
    x, y = regression(20_000, 30)
    f = logistic.with_params(ParamStore(w=np.zeros(30)))
    result = fit(f, (x,), {"y": y})
    mean = 1.0 / (1.0 + np.exp(-x @ result.estimates["w"]))
    information = (x.T * (mean * (1.0 - mean))) @ x
    error = np.linalg.solve(information, x.T @ (y - mean))
    assert result.converged
    assert np.max(np.abs(error) / result.std_errors["w"]) < 1e-8
    expected = np.sqrt(np.diag(np.linalg.inv(information)))
    assert result.std_errors["w"] == pytest.approx(expected, rel=1e-8)


def test_a_large_regression_with_collinear_predictors_ends_at_least_squares():
    rng = np.random.default_rng(5)
    x = rng.standard_normal((20_000, 30))
    x[:, 1] = x[:, 2] + 1e-5 * x[:, 1]
    y = x @ rng.standard_normal(30) + rng.standard_normal(20_000)
    f = line.with_params(ParamStore(w=np.zeros(30)))
    result = fit(f, (x,), {"y": y})
    assert result.converged
    wanted = np.linalg.lstsq(x, y, rcond=None)[0]
    assert np.max(np.abs(result.estimates["w"] - wanted) / result.std_errors["w"]) < 1e-6


@pytest.mark.parametrize("p", [3, 12])
def test_a_hessian_by_parts_of_a_large_matrix_is_the_product(p):
    x = np.random.default_rng(p).standard_normal((2000 * p, p))
    w = np.linspace(-1.0, 1.0, p)
    found = hessian(lambda w: boxed.sum(boxed.exp(x @ w)), w)
    assert found == pytest.approx((x.T * np.exp(x @ w)) @ x, rel=1e-12)
