"""Pictures of residuals."""

import numpy as np
import pytest
from models import N, X, Y, band, coins_of, explained, line_of, two_functions
from scipy import stats

from genparams import cauchy, exponential, fit, gen, mvnormal, param, positive
from genparams.errors import InvalidValue
from genparams.plotting import plot_qq, plot_residuals

# --- Over fitted means


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("response", "observed less fitted"),
        ("pearson", "Pearson residual"),
        ("quantile", "quantile residual"),
    ],
)
def test_the_points_are_the_residuals_over_the_means(ax, kind, name):
    result = line_of()
    assert result.plot_residuals(ax=ax, kind=kind) is ax
    points = ax.lines[0]
    slope, intercept = np.polyfit(X, Y, 1)
    fitted = intercept + slope * X
    residual = Y - fitted
    scale = 1.0 if kind == "response" else residual.std()
    np.testing.assert_allclose(points.get_xdata(), fitted, rtol=1e-7)
    np.testing.assert_allclose(points.get_ydata(), residual / scale, rtol=1e-5, atol=1e-7)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("fitted mean", name)


def test_lines_hold_most_quantile_residuals(ax):
    line_of().plot_residuals(ax=ax, kind="quantile")
    ends = sorted(line.get_ydata()[0] for line in ax.lines[1:])
    assert ends == pytest.approx([*(stats.norm.ppf([0.025])), 0.0, *stats.norm.ppf([0.975])])


def test_two_functions_have_markers_of_their_own(ax):
    result = two_functions()
    result.plot_residuals(ax=ax, kind="pearson")
    assert explained(ax) == ["first: y", "second: n"]
    first, second = ax.lines[:2]
    assert first.get_marker() != second.get_marker()
    mean = np.exp(result.estimates["rate"] * X[:25])
    np.testing.assert_allclose(second.get_ydata(), (N - mean) / np.sqrt(mean), rtol=1e-9)


def test_random_residuals_are_those_of_the_result(ax):
    result = coins_of()
    result.plot_residuals(ax=ax, kind="quantile", rng=5)
    assert np.array_equal(ax.lines[0].get_ydata(), result.residuals("quantile", rng=5)["heads"])


def test_a_kind_that_is_not_there_is_an_error(ax):
    with pytest.raises(InvalidValue, match="no residual of kind 'deviance'"):
        line_of().plot_residuals(ax=ax, kind="deviance")


def test_residuals_over_a_mean_that_does_not_exist_are_an_error(ax):
    with pytest.raises(InvalidValue, match="does not exist"):
        wild().plot_residuals(ax=ax, kind="quantile")


def wild(y=Y):
    @gen
    def drawn(n):
        return cauchy(param("at", 5.0), param("width", 1.0, constraint=positive), size=n) @ "y"

    return fit(drawn, (len(y),), {"y": y})


# --- Quantiles


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_the_band_is_between_quantiles_of_betas(ax, level):
    assert plot_qq(line_of(), ax=ax, level=level) is ax
    x, low, high = band(ax)
    n = len(Y)
    order = stats.beta(np.arange(1, n + 1), np.arange(n, 0, -1))
    np.testing.assert_allclose(x, stats.norm.ppf(order.median()), rtol=1e-9)
    np.testing.assert_allclose(low, stats.norm.ppf(order.ppf((1.0 - level) / 2.0)), rtol=1e-9)
    np.testing.assert_allclose(high, stats.norm.ppf(order.ppf((1.0 + level) / 2.0)), rtol=1e-9)
    assert explained(ax) == [f"{100 * level:g}% at each point"]


def test_the_points_are_the_residuals_in_order(ax):
    result = line_of()
    result.plot_qq(ax=ax)
    line, points = ax.lines
    assert np.array_equal(points.get_ydata(), np.sort(result.residuals("quantile")["y"]))
    assert np.array_equal(points.get_xdata(), line.get_xdata())
    assert np.array_equal(line.get_ydata(), line.get_xdata())
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("standard normal quantile", "quantile residual")


def test_it_needs_no_mean(ax):
    result = wild()
    result.plot_qq(ax=ax)
    at, width = result.estimates["at"], result.estimates["width"]
    expected = np.sort(stats.norm.ppf(stats.cauchy.cdf(Y, at, width)))
    np.testing.assert_allclose(ax.lines[1].get_ydata(), expected, rtol=1e-7, atol=1e-9)


def test_all_choices_are_in_one_order(ax):
    result = two_functions()
    result.plot_qq(ax=ax)
    found = result.residuals("quantile")
    expected = np.sort(np.concatenate([np.ravel(r) for r in found.values()]))
    assert np.array_equal(ax.lines[1].get_ydata(), expected)


def test_residuals_that_are_infinite_are_counted(ax):
    @gen
    def lives(n):
        return exponential(param("rate", 1.0, constraint=positive), size=n) @ "y"

    y = np.array([1e-3] * 400 + [1.0])
    result = fit(lives, (401,), {"y": y})
    assert np.isinf(result.residuals("quantile")["y"][-1])
    plot_qq(result, ax=ax)
    assert explained(ax)[-1] == "1 infinite, not drawn"


def test_a_distribution_function_that_is_not_known_is_an_error(ax):
    @gen
    def pairs():
        return mvnormal(param("mu", [0.0, 0.0]), np.eye(2), size=3) @ "y"

    y = [[1.0, 2.0], [0.0, 1.0], [1.0, 1.0]]
    with pytest.raises(InvalidValue, match="distribution function of mvnormal"):
        plot_qq(fit(pairs, (), {"y": y}), ax=ax)


def test_a_choice_without_a_mean_has_no_residuals(ax):
    from genparams import categorical, init_param, simplex

    @gen
    def kinds(n):
        return categorical(param("p"), size=n) @ "kind"

    init_param(kinds, "p", [0.5, 0.5], constraint=simplex)
    result = fit(kinds, (3,), {"kind": [0, 1, 1]})
    with pytest.raises(InvalidValue, match="of categorical at 'kind' is not known"):
        plot_residuals(result, ax=ax)
