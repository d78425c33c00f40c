"""A mixture over a histogram."""

import numpy as np
import pytest
from models import WAITS, Y, drawn, explained, mixture_of, two_functions
from scipy import stats

from genparams import (
    categorical,
    censored,
    exponential,
    fit,
    gamma,
    gen,
    mixture,
    mvnormal,
    normal,
    param,
    poisson,
    positive,
)
from genparams.errors import InvalidValue, ShapeError
from genparams.plotting import plot_mixture


def heights(ax):
    """The left edges and the heights of the bars."""
    bars = ax.patches
    return np.array([(b.get_x(), b.get_height()) for b in bars]).T


def test_the_lines_are_the_density_and_its_components(ax):
    result = mixture_of()
    assert plot_mixture(WAITS, result, ax=ax) is ax
    weights, means, sds = (result.estimates[name] for name in ("weights", "means", "sds"))
    x, total = drawn(ax, "mixture")
    each = weights * stats.norm.pdf(x[:, np.newaxis], means, sds)
    np.testing.assert_allclose(total, each.sum(axis=1), rtol=1e-10)
    for k, label in enumerate(explained(ax)[1:3]):
        assert label == f"component {k + 1}, weight {weights[k]:.3g}"
        np.testing.assert_allclose(drawn(ax, label)[1], each[:, k], rtol=1e-10)
    assert x[0] < WAITS.min()
    assert x[-1] > WAITS.max()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("wait", "density")


def test_the_bars_are_a_histogram_of_density(ax):
    plot_mixture(WAITS, mixture_of(), ax=ax, bins=12)
    edges, height = heights(ax)
    expected, at = np.histogram(WAITS, bins=12, density=True)
    np.testing.assert_allclose(height, expected, rtol=1e-12)
    np.testing.assert_allclose(edges, at[:-1], rtol=1e-12)
    assert "150 observations" in explained(ax)


def test_the_data_of_the_fit_are_drawn_if_none_are_given(ax):
    plot_mixture(None, mixture_of(), ax=ax)
    _, height = heights(ax)
    np.testing.assert_allclose(height, np.histogram(WAITS, bins="auto", density=True)[0])


def test_a_call_of_different_components_is_drawn(ax):
    call = mixture([0.3, 0.7], [normal(2.0, 1.0), gamma(3.0, scale=2.0)])
    plot_mixture(np.abs(Y), call, ax=ax)
    x, total = drawn(ax, "mixture")
    parts = 0.3 * stats.norm.pdf(x, 2.0, 1.0), 0.7 * stats.gamma.pdf(x, 3.0, scale=2.0)
    np.testing.assert_allclose(drawn(ax, "component 1, weight 0.3")[1], parts[0], rtol=1e-10)
    np.testing.assert_allclose(drawn(ax, "component 2, weight 0.7")[1], parts[1], rtol=1e-10)
    np.testing.assert_allclose(total, sum(parts), rtol=1e-10)


def test_a_discrete_mixture_has_a_bar_and_a_point_for_each_whole_number(ax):
    counts = np.array([0, 1, 1, 2, 5, 9, 9, 8])
    plot_mixture(counts, mixture([0.5, 0.5], poisson([1.0, 9.0])), ax=ax)
    edges, height = heights(ax)
    x, total = drawn(ax, "mixture")
    np.testing.assert_allclose(edges + 0.5, x)
    np.testing.assert_allclose(height, [np.mean(counts == k) for k in x], rtol=1e-12)
    expected = 0.5 * stats.poisson.pmf(x, 1.0) + 0.5 * stats.poisson.pmf(x, 9.0)
    np.testing.assert_allclose(total, expected, rtol=1e-10)
    assert ax.get_ylabel() == "probability"


def test_a_distribution_that_is_no_mixture_has_one_line(ax):
    @gen
    def lives(y):
        for i in range(len(y)):
            exponential(param("rate", 1.0, constraint=positive)) @ ("life", i)

    y = np.abs(Y)
    result = fit(lives, (y,), {("life", i): v for i, v in enumerate(y)})
    plot_mixture(None, result, ax=ax)
    x, density = drawn(ax, "density")
    np.testing.assert_allclose(density, stats.expon.pdf(x, scale=y.mean()), rtol=1e-8)
    assert ax.get_xlabel() == "life"


def test_a_density_can_be_a_function(ax):
    plot_mixture(Y, lambda x: stats.norm.pdf(x, 5.0, 1.0), ax=ax)
    x, density = drawn(ax, "density")
    assert np.array_equal(density, stats.norm.pdf(x, 5.0, 1.0))


def test_an_infinite_density_is_a_gap(ax):
    y = np.linspace(0.0, 1.0, 11)
    x = np.linspace(-0.1, 1.1, 500)
    assert plot_mixture(y, gamma(0.5, scale=1.0), ax=ax) is ax
    assert np.array_equal(drawn(ax, "density")[0], x)
    assert np.all(drawn(ax, "density")[1][x < 0.0] == 0.0)
    assert not np.any(np.isinf(drawn(ax, "density")[1]))


@pytest.mark.parametrize(
    ("x", "density", "error", "message"),
    [
        (Y, mvnormal([0.0, 0.0], np.eye(2)), InvalidValue, "single numbers with a density"),
        (Y, categorical([0.5, 0.5]), None, ""),
        (Y, censored(normal(0.0, 1.0), low=0.0), InvalidValue, "single numbers with a density"),
        (Y, normal(Y, 1.0), InvalidValue, "differ between observations.*plot_qq"),
        ([], normal(0.0, 1.0), InvalidValue, "x is finite numbers"),
        ([np.inf], normal(0.0, 1.0), InvalidValue, "x is finite numbers"),
        (Y, lambda x: 1.0, ShapeError, "has as many values"),
    ],
)
def test_what_has_no_single_density_is_an_error(ax, x, density, error, message):
    if error is None:
        assert plot_mixture(np.array([0, 1, 1]), density, ax=ax) is ax
        return
    with pytest.raises(error, match=message):
        plot_mixture(x, density, ax=ax)
    assert not ax.lines


def test_choices_of_other_distributions_are_an_error(ax):
    with pytest.raises(InvalidValue, match="have different distributions; write address"):
        plot_mixture(None, two_functions(), ax=ax)
