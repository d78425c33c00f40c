"""A curve with its band."""

import numpy as np
import pytest
from models import X, Y, band, coins_of, drawn, explained, line_of, two_functions
from scipy import stats

from genparams import fit, gen, normal, param, positive
from genparams.errors import InvalidValue, ShapeError, UnknownAddress
from genparams.plotting import plot_curve

GRID = np.linspace(0.0, 4.0, 31)


def test_the_band_of_a_line_is_its_closed_form(ax):
    assert line_of().plot_curve(GRID, ax=ax, level=0.9) is ax
    x, mean = drawn(ax, "mean")
    slope, intercept = np.polyfit(X, Y, 1)
    rows = np.column_stack([np.ones_like(X), X])
    inverse = np.linalg.inv(rows.T @ rows) * np.mean((Y - intercept - slope * X) ** 2)
    at = np.column_stack([np.ones_like(GRID), GRID])
    half = stats.norm.ppf(0.95) * np.sqrt(np.einsum("ni,ij,nj->n", at, inverse, at))
    assert np.array_equal(x, GRID)
    np.testing.assert_allclose(mean, intercept + slope * GRID, rtol=1e-7)
    _, low, high = band(ax)
    np.testing.assert_allclose(low, mean - half, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(high, mean + half, rtol=1e-6, atol=1e-9)
    assert explained(ax) == ["mean", "90% interval of the mean"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x", "mean of y")


def test_the_band_of_a_probability_is_between_0_and_1(ax):
    result = coins_of()
    plot_curve(result, GRID, ax=ax, observed=(X, Y))
    low, high = result.predict((GRID,))["heads"].conf_int()
    _, drawn_low, drawn_high = band(ax)
    np.testing.assert_allclose(drawn_low, low, rtol=1e-12)
    np.testing.assert_allclose(drawn_high, high, rtol=1e-12)
    assert np.all((low > 0.0) & (high < 1.0))
    assert np.array_equal(drawn(ax, "observed")[1], Y)


@pytest.mark.parametrize("args", [(GRID - 2.0,), lambda x: (x - 2.0,)])
def test_the_arguments_are_a_tuple_or_a_function(ax, args):
    result = line_of(X - 2.0)
    plot_curve(result, GRID, args, ax=ax)
    x, mean = drawn(ax, "mean")
    assert np.array_equal(x, GRID)
    np.testing.assert_allclose(mean, result.predict((GRID - 2.0,))["y"].mean, rtol=1e-12)
    assert ax.get_xlabel() == "x"


def test_x_in_any_order_is_one_curve(ax):
    result = line_of()
    plot_curve(result, GRID[::-1], ax=ax)
    x, mean = drawn(ax, "mean")
    assert np.array_equal(x, GRID)
    np.testing.assert_allclose(mean, result.predict((GRID,))["y"].mean, rtol=1e-12)


def test_a_band_that_is_missing_has_its_reason(ax):
    @gen
    def line(x):
        noise = param("noise", 1.0, constraint=positive)
        return normal((param("a", 1.0) + param("b", 1.0)) * x, noise) @ "y"

    with pytest.warns(UserWarning, match="do not determine a and b apart"):
        result = fit(line, (X,), {"y": Y})
    plot_curve(result, GRID, ax=ax)
    assert not ax.collections
    label = " ".join(explained(ax)[0].split())
    assert label == "mean (without a band: the data do not determine a and b apart)"


def test_several_choices_need_an_address(ax):
    @gen
    def both(x):
        normal(param("a", 1.0) * x, 1.0) @ "first"
        normal(param("b", 1.0) * x, 1.0) @ "second"

    result = fit(both, (X,), {"first": Y, "second": -Y})
    with pytest.raises(InvalidValue, match=r"2 choices are predicted.*write address='first'"):
        plot_curve(result, GRID, ax=ax)
    plot_curve(result, GRID, ax=ax, address="second")
    assert ax.get_ylabel() == "mean of second"
    assert drawn(ax, "mean")[1][-1] < 0.0
    with pytest.raises(UnknownAddress, match="did you mean 'first'"):
        plot_curve(result, GRID, ax=ax, address="frist")


def test_a_choice_on_which_another_depends_is_given(ax):
    @gen
    def nested(x):
        level = normal(0.0, 1.0) @ "level"
        return normal(level + param("b", 1.0) * x, param("sd", 1.0, constraint=positive)) @ "y"

    result = fit(nested, (X,), {"level": 0.5, "y": Y})
    with pytest.raises(InvalidValue, match="depends on"):
        plot_curve(result, GRID, ax=ax)
    plot_curve(result, GRID, ax=ax, constraints={"level": 3.0})
    at, mean = drawn(ax, "mean")
    np.testing.assert_allclose(mean, 3.0 + result.estimates["b"] * at, rtol=1e-9)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"x": GRID.reshape(-1, 1)}, InvalidValue, "x is a vector of finite numbers"),
        ({"x": "temp"}, InvalidValue, "x is a vector of finite numbers"),
        ({"x": [0.0, np.nan]}, InvalidValue, "x is a vector of finite numbers"),
        ({"args": (GRID[:5],)}, ShapeError, r"mean for each of the 31.*has shape \(5,\)"),
        ({"observed": X}, InvalidValue, "a pair of vectors"),
        ({"observed": (X, Y[:3])}, ShapeError, "40 values of x and 3 of y"),
        ({"level": 1.0}, InvalidValue, "between 0 and 1"),
    ],
)
def test_wrong_input_is_an_error(ax, given, error, message):
    with pytest.raises(error, match=message):
        plot_curve(line_of(), **({"x": GRID, "ax": ax} | given))
    assert not ax.lines


def test_several_functions_have_no_one_curve(ax):
    with pytest.raises(InvalidValue, match="several functions"):
        plot_curve(two_functions(), GRID, ax=ax)
