"""The picture of a fit: over one predictor, or observed against fitted."""

import numpy as np
import pytest
from models import RNG_HEADS, N, X, Y, coins_of, drawn, explained, line_of, sample_of, two_functions

from genparams import categorical, cauchy, fit, gen, init_param, normal, param, simplex
from genparams.errors import InvalidValue, UnknownAddress


def test_one_predictor_is_the_axis_and_the_fit_a_curve(ax):
    result = line_of()
    assert result.plot_fit(ax=ax) is ax
    x, y = drawn(ax, "observed")
    assert np.array_equal(x, X)
    assert np.array_equal(y, Y)
    grid, mean = drawn(ax, "fitted mean")
    slope, intercept = np.polyfit(X, Y, 1)
    assert np.all(np.diff(grid) > 0.0)
    assert (grid[0], grid[-1]) == (X.min(), X.max())
    np.testing.assert_allclose(mean, intercept + slope * grid, rtol=1e-7)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x", "y")
    assert explained(ax) == ["observed", "fitted mean"]


def test_the_curve_of_a_logistic_regression_has_its_probabilities(ax):
    result = coins_of()
    result.plot_fit(ax=ax)
    grid, mean = drawn(ax, "fitted mean")
    a, b = result.estimates["a"], result.estimates["b"]
    np.testing.assert_allclose(mean, 1.0 / (1.0 + np.exp(-a - b * (grid - 2.0))), rtol=1e-12)
    assert np.array_equal(drawn(ax, "observed")[1], RNG_HEADS)


def test_a_mean_that_depends_on_all_of_the_predictor_is_drawn_at_the_data_alone(ax):
    @gen
    def centred(x):
        return normal(param("a", 0.0) + param("b", 0.0) * (x - x.mean()), 1.0) @ "y"

    skewed = X**3
    result = fit(centred, (skewed,), {"y": Y})
    result.plot_fit(ax=ax)
    x, mean = drawn(ax, "fitted mean")
    assert np.array_equal(x, skewed)
    np.testing.assert_allclose(mean, result.fitted()["y"], rtol=1e-12)


def test_groups_by_their_number_have_a_mean_each(ax):
    group = np.repeat([0, 1, 2], 5)

    @gen
    def groups(group):
        return normal(param("mu", np.zeros(3))[group], 1.0) @ "y"

    fit(groups, (group,), {"y": Y[:15]}).plot_fit(ax=ax)
    x, mean = drawn(ax, "fitted mean")
    assert np.array_equal(x, group)
    np.testing.assert_allclose(mean, np.repeat(Y[:15].reshape(3, 5).mean(axis=1), 5), rtol=1e-9)


def test_without_a_single_predictor_observed_is_over_fitted(ax):
    result = sample_of()
    result.plot_fit(ax=ax)
    line, points = ax.lines
    assert np.array_equal(points.get_ydata(), Y)
    np.testing.assert_allclose(points.get_xdata(), Y.mean(), rtol=1e-9)
    assert list(line.get_xdata()) == list(line.get_ydata())
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("fitted mean", "observed")


def test_two_predictors_give_observed_over_fitted(ax):
    @gen
    def plane(x, z):
        return normal(param("a", 0.0) * x + param("b", 0.0) * z, 1.0) @ "y"

    result = fit(plane, (X, X**2), {"y": Y})
    result.plot_fit(ax=ax)
    line, points = ax.lines
    np.testing.assert_allclose(points.get_xdata(), result.fitted()["y"], rtol=1e-12)
    assert np.array_equal(points.get_ydata(), Y)
    ends = [min(points.get_xdata()), max(points.get_xdata())]
    assert [list(line.get_xdata()), list(line.get_ydata())] == [ends, ends]


def test_two_functions_have_points_of_their_own(ax):
    result = two_functions()
    result.plot_fit(ax=ax)
    assert explained(ax) == ["observed = fitted", "first: y", "second: n"]
    assert np.array_equal(drawn(ax, "first: y")[1], Y)
    x, n = drawn(ax, "second: n")
    assert np.array_equal(n, N)
    np.testing.assert_allclose(x, np.exp(result.estimates["rate"] * X[:25]), rtol=1e-9)


@pytest.mark.parametrize("address", ["n", (1, "n"), 1])
def test_an_address_selects_the_choices_under_it(ax, address):
    two_functions().plot_fit(ax=ax, address=address)
    assert np.array_equal(ax.lines[1].get_ydata(), N)


def test_one_choice_of_two_can_be_over_the_predictor(ax):
    @gen
    def both(x):
        normal(param("a", 1.0) * x, 1.0) @ "first"
        categorical(param("p")) @ "kind"

    init_param(both, "p", [0.5, 0.5], constraint=simplex)
    with pytest.warns(UserWarning, match="bound"):
        result = fit(both, (X,), {"first": Y, "kind": 1})
    result.plot_fit(ax=ax, address="first")
    a = np.dot(X, Y) / np.dot(X, X)
    grid, mean = drawn(ax, "fitted mean")
    np.testing.assert_allclose(mean, a * grid, rtol=1e-9)
    with pytest.raises(InvalidValue, match="the mean of categorical at 'kind' is not known"):
        result.plot_fit(ax=ax)


def test_a_mean_that_does_not_exist_is_an_error(ax):
    @gen
    def wild(x):
        return cauchy(param("at", 0.0) * x, 1.0) @ "y"

    with pytest.raises(InvalidValue, match="mean of cauchy at 'y' does not exist"):
        fit(wild, (X,), {"y": Y}).plot_fit(ax=ax)


def test_an_address_that_is_not_there_is_an_error(ax):
    with pytest.raises(UnknownAddress, match=r"no choice 'yy'; did you mean 'y'"):
        line_of().plot_fit(ax=ax, address="yy")
