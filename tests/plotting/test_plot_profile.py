"""The picture of a profile."""

import numpy as np
import pytest
from models import X, Y, drawn, explained, line_of, sample_of
from scipy import stats

from genparams import fit, gen, init_param, normal, param, positive
from genparams.errors import InvalidValue, NoModel, UnknownParameter
from genparams.learning.fitting.result import FitResult


def test_the_curve_of_a_normal_mean_is_its_closed_form(ax):
    sample_of().plot_profile("mu", ax=ax)
    at, ratio = drawn(ax, "profile")
    exact = -0.5 * len(Y) * np.log1p((at - Y.mean()) ** 2 / Y.var())
    assert len(at) > 50
    np.testing.assert_allclose(ratio, exact, atol=2e-3)


def test_the_marks_are_the_numbers_of_the_profile(ax):
    result = line_of()
    profile = result.profile("beta[slope]")
    result.plot_profile("beta[slope]", ax=ax)
    (curve,) = [one for one in ax.lines if one.get_label() == "profile"]
    marked = dict(np.asarray(curve.get_xydata())[curve.get_markevery()])
    for value, log_likelihood in zip(profile.values, profile.log_likelihood, strict=True):
        near = min(marked, key=lambda v: abs(v - value))
        assert near == pytest.approx(value, rel=1e-12)
        expected = log_likelihood - result.log_likelihood
        assert marked[near] == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.999])
def test_the_curve_meets_the_line_of_a_level_at_the_ends_of_the_interval(ax, level):
    result = sample_of()
    result.plot_profile("sd", ax=ax, level=level)
    at, ratio = drawn(ax, "profile")
    line = -0.5 * stats.chi2.ppf(level, 1)
    low, high = result.profile("sd").conf_int(level)
    for end in (low, high):
        assert ratio[np.argmin(abs(at - end))] == pytest.approx(line, rel=1e-9)
    (ends,) = ax.collections
    assert [path.vertices[0, 0] for path in ends.get_paths()] == pytest.approx([low, high])
    label = f"{100 * level:g}% interval\n{low:.4g} to {high:.4g}"
    assert explained(ax) == ["profile", "Wald", label]
    assert drawn(ax, label)[1] == pytest.approx([line, line])
    assert ax.get_ylim()[0] < line


def test_the_dashed_curve_is_a_parabola_in_the_logarithm_of_a_positive_parameter(ax):
    sample_of().plot_profile("sd", ax=ax)
    at, wald = drawn(ax, "Wald")
    error = 1.0 / np.sqrt(2.0 * len(Y))
    np.testing.assert_allclose(
        wald, -0.5 * (np.log(at / Y.std()) / error) ** 2, rtol=1e-5, atol=1e-12
    )


def test_the_dashed_curve_has_the_standard_error_that_the_result_shows(ax):
    result = line_of()
    result.with_errors("sandwich").plot_profile("beta[slope]", ax=ax)
    at, wald = drawn(ax, "Wald")
    error = np.sqrt(result.cov("sandwich")[1, 1])
    slope = result.estimates["beta"][1]
    np.testing.assert_allclose(wald, -0.5 * ((at - slope) / error) ** 2, rtol=1e-9, atol=1e-15)


def test_the_legend_is_above_the_curves(ax):
    line_of().plot_profile("beta[slope]", ax=ax)
    ax.figure.canvas.draw()
    below = ax.get_legend().get_window_extent().y0
    assert ax.transData.transform((0.0, 0.0))[1] < below
    assert max(ax.get_yticks()) == 0.0


def test_the_axes_are_the_ones_given_and_have_labels(ax):
    assert line_of().plot_profile("beta[slope]", ax=ax) is ax
    assert ax.get_xlabel() == "beta[slope]"
    assert ax.get_ylabel() == "profile log likelihood ratio"


def test_with_a_prior_it_is_a_posterior(ax):
    @gen
    def sample(n):
        return normal(param("mu", 0.0), 1.0, size=n) @ "y"

    fit(sample, (40,), {"y": Y}, priors={"mu": normal(0.0, 1.0)}).plot_profile("mu", ax=ax)
    assert ax.get_ylabel() == "profile log posterior ratio"


def test_an_entry_that_a_constraint_holds_in_a_simplex_has_a_picture(ax):
    from models import mixture_of

    result = mixture_of()
    low, high = result.conf_int()["weights[0]"]
    result.plot_profile("weights[0]", ax=ax)
    at, wald = drawn(ax, "Wald")
    ends = np.interp(-0.5 * stats.chi2.ppf(0.95, 1), wald[at < 0.38], at[at < 0.38])
    assert ends == pytest.approx(low, abs=2e-3)
    assert low < result.estimates["weights"][0] < high


def test_an_open_interval_has_one_end_and_says_so(ax):
    @gen
    def far(n):
        return normal(1.0 / param("shift"), 1.0, size=n) @ "y"

    init_param(far, "shift", 1.0, constraint=positive)
    y = np.array([0.1, 0.9, 1.5, -0.4])
    result = fit(far, (4,), {"y": y})
    low, high = result.profile("shift").conf_int()
    assert np.isinf(high)
    result.plot_profile("shift", ax=ax)
    (ends,) = ax.collections
    assert [path.vertices[0, 0] for path in ends.get_paths()] == pytest.approx([low])
    assert "to inf" in explained(ax)[-1]


def test_a_parameter_at_its_bound_has_one_end_and_no_dashed_curve(ax):
    error = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])

    @gen
    def schools(error):
        tau = param("tau", 5.0, constraint=positive)
        return normal(param("mu", 5.0), (tau**2 + error**2) ** 0.5) @ "y"

    with pytest.warns(UserWarning, match="bound"):
        result = fit(schools, (error,), {"y": [28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0]})
    result.plot_profile("tau", ax=ax)
    at, ratio = drawn(ax, "profile")
    high = result.profile("tau").conf_int()[1]
    (ends,) = ax.collections
    assert [path.vertices[0, 0] for path in ends.get_paths()] == pytest.approx([high])
    assert np.all(ratio[at < 1.0] > -0.1)
    assert explained(ax) == ["profile", f"95% interval\n0 to {high:.4g}"]


def test_wrong_names_and_levels_are_errors(ax):
    result = line_of()
    with pytest.raises(UnknownParameter, match=r"did you mean beta\[slope\]"):
        result.plot_profile("beta[slpe]", ax=ax)
    with pytest.raises(InvalidValue, match=r"between 0 and 1.*write 0.95"):
        result.plot_profile("noise", ax=ax, level=95)
    assert not ax.lines


def test_a_result_from_a_file_says_that_it_needs_its_model():
    loaded = FitResult.from_json(line_of(X, Y).to_json())
    with pytest.raises(NoModel, match="without its model"):
        loaded.plot_profile("noise")
