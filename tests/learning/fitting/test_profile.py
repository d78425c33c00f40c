"""Profile likelihoods: against published intervals, closed forms and searches by scipy."""

import numpy as np
import pytest
from fits import (
    XS,
    cloud_fit,
    faithful_fit,
    gamma_fit,
    line_fit,
    oring_fit,
    share_fit,
    start,
)
from maxima import fitted, likelihood_in
from scipy import optimize, stats

from genparams import categorical, gen, init_param, normal, ordered, param, positive, simplex
from genparams.errors import InvalidValue, NoProfile, UnknownParameter

DROP = 0.5 * stats.chi2.ppf(0.95, 1)


def test_the_interval_of_the_oring_temperature_is_the_published_one():
    result = oring_fit()
    assert result.profile("temp").conf_int() == pytest.approx((-0.51543254, -0.06078626), rel=2e-7)
    both = result.conf_int(kind="profile")
    assert both["temp"] == pytest.approx((-0.51543254, -0.06078626), rel=2e-7)
    assert both["intercept"] == pytest.approx((3.330585, 34.34215), abs=3e-3)  # R, confint(glm)


def test_a_slope_has_the_closed_form():
    """n log(1 + t^2 / (n - 2)) falls by the quantile of chi-square, for the t of the slope."""
    result, n = line_fit(), len(XS)
    beta = result.estimates["slope"]
    error = result.std_errors["slope"] * np.sqrt(n / (n - 2))
    t = np.sqrt((n - 2) * np.expm1(2 * DROP / n))
    expected = beta - t * error, beta + t * error
    assert result.profile("slope").conf_int() == pytest.approx(expected, rel=1e-7)


def test_a_standard_deviation_has_the_closed_form():
    """n (log r - (1 - 1 / r^2) / 2) = drop, for the ratio r to the estimate."""
    result, n = line_fit(), len(XS)
    sigma = result.estimates["sigma"]

    def fall(r):
        return n * (np.log(r) - 0.5 * (1.0 - r**-2)) - DROP

    ends = optimize.brentq(fall, 0.3, 1.0), optimize.brentq(fall, 1.0, 5.0)
    expected = tuple(sigma * r for r in ends)
    assert result.profile("sigma").conf_int() == pytest.approx(expected, rel=1e-7)


def test_a_probability_has_the_likelihood_interval():
    def fall(p):
        return 3 * np.log(0.15 / p) + 17 * np.log(0.85 / (1 - p)) - DROP

    expected = optimize.brentq(fall, 1e-6, 0.15), optimize.brentq(fall, 0.15, 0.99)
    assert share_fit(3, 20).profile("p").conf_int() == pytest.approx(expected, rel=1e-7)


def test_the_ends_have_the_likelihood_that_the_level_asks_for():
    profile = gamma_fit().profile("shape")
    for level in (0.5, 0.9, 0.99):
        low, high = profile.conf_int(level)
        refit = [highest_gamma(v) for v in (low, high)]
        fall = gamma_fit().log_likelihood - np.array(refit)
        np.testing.assert_allclose(fall, 0.5 * stats.chi2.ppf(level, 1), rtol=1e-6)


def highest_gamma(shape):
    x = np.random.default_rng(5).gamma(2.5, 1.5, 60)
    return np.sum(stats.gamma.logpdf(x, shape, scale=np.mean(x) / shape))


def test_the_curve_is_the_largest_likelihood_at_each_value():
    profile = gamma_fit().profile("shape")
    expected = [highest_gamma(v) for v in profile.values]
    np.testing.assert_allclose(profile.log_likelihood, expected, rtol=1e-10)
    assert np.all(np.diff(profile.values) > 0.0)
    assert np.all(np.diff(profile.zeta) > 0.0)
    np.testing.assert_allclose(
        profile.zeta**2, 2.0 * (max(expected) - np.array(expected)), atol=1e-7
    )
    assert profile.zeta[0] < -2.6
    assert profile.zeta[-1] > 2.6


# --- Entries of several coordinates


def constrained(result, entry_of, value):
    """The largest log likelihood with an entry held, by scipy."""
    likelihood = likelihood_in(result)
    x = result.model.x

    def entry(at):
        return entry_of({p.name: v for p, v in likelihood.natural(at).items()}) - value

    found = optimize.minimize(
        lambda at: -likelihood.log_prob(at),
        x,
        jac=lambda at: -likelihood.gradient(at).gradient,
        constraints={"type": "eq", "fun": entry},
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-14},
    )
    return -found.fun


@pytest.mark.parametrize(
    ("make", "entry", "entry_of"),
    [
        (faithful_fit, "w[0]", lambda v: v["w"][0]),
        (faithful_fit, "w[1]", lambda v: v["w"][1]),
        (faithful_fit, "mu[0]", lambda v: v["mu"][0]),
        (faithful_fit, "mu[1]", lambda v: v["mu"][1]),
        (cloud_fit, "L[0, 0]", lambda v: v["L"][0, 0]),
        (cloud_fit, "L[1, 0]", lambda v: v["L"][1, 0]),
    ],
)
def test_a_constrained_profile_agrees_with_a_constrained_search(make, entry, entry_of):
    result = make()
    for end in result.profile(entry).conf_int():
        found = constrained(result, entry_of, end)
        assert result.log_likelihood - found == pytest.approx(DROP, rel=1e-4)


def test_the_two_weights_of_a_mixture_have_mirrored_intervals():
    ends = faithful_fit().conf_int(kind="profile")
    low, high = ends["w[0]"]
    assert ends["w[1]"] == pytest.approx((1.0 - high, 1.0 - low), rel=1e-7)


@gen
def two_groups(group):
    """Categories with probabilities of their own in each group."""
    probs = param("probs", np.full((2, 3), 1.0 / 3.0), simplex)
    return categorical(probs[group]) @ "k"


def test_a_cell_of_a_multinomial_has_the_interval_of_a_binomial():
    init_param(two_groups, "probs", np.full((2, 3), 1.0 / 3.0), constraint=simplex)
    group = np.repeat([0, 1], 30)
    k = np.concatenate([np.repeat([0, 1, 2], [5, 10, 15]), np.repeat([0, 1, 2], [20, 6, 4])])
    ends = fitted(two_groups, (group,), {"k": k}).conf_int(kind="profile")
    counts = {"probs[0, 0]": 5, "probs[0, 2]": 15, "probs[1, 1]": 6, "probs[1, 2]": 4}
    for entry, count in counts.items():
        p = count / 30

        def fall(q, count=count, p=p):
            return count * np.log(p / q) + (30 - count) * np.log((1 - p) / (1 - q)) - DROP

        expected = optimize.brentq(fall, 1e-9, p), optimize.brentq(fall, p, 1 - 1e-9)
        assert ends[entry] == pytest.approx(expected, rel=1e-7)


def test_values_in_single_precision_have_a_profile():
    @gen
    def single(n):
        return normal(param("m"), param("s"), size=n) @ "x"

    init_param(single, "m", np.float32(0.0))
    init_param(single, "s", np.float32(1.0), constraint=positive)
    x = np.random.default_rng(0).normal(3.0, 2.0, 30)
    low, high = fitted(single, (30,), {"x": x}).profile("m").conf_int()
    reach = np.std(x) * np.sqrt(np.expm1(2 * DROP / 30))
    assert (low, high) == pytest.approx((np.mean(x) - reach, np.mean(x) + reach), rel=1e-5)


@gen
def three_levels(x):
    levels = param("levels", np.array([0.0, 1.0, 2.0]), ordered)
    return normal(levels[x], 1.0) @ "y"


def test_an_ordered_level_that_is_free_has_its_plain_interval():
    init_param(three_levels, "levels", [0.0, 1.0, 2.0], constraint=ordered)
    x = np.repeat([0, 1, 2], 40)
    result = fitted(three_levels, (x,), {"y": 5.0 * x + np.tile([-1.0, 1.0], 60)})
    reach = np.sqrt(2 * DROP / 40)
    for k in range(3):
        expected = 5.0 * k - reach, 5.0 * k + reach
        assert result.profile(f"levels[{k}]").conf_int() == pytest.approx(expected, abs=1e-6)


# --- Open ends, and what has no profile


def test_an_end_that_the_likelihood_does_not_reach_is_open():
    @gen
    def floor(n):
        return normal(0.0, np.sqrt(1.0 + param("extra", 0.2, positive) ** 2), size=n) @ "x"

    x = np.random.default_rng(0).normal(0.0, 1.2, 30)
    result = fitted(floor, (30,), {"x": x})
    profile = result.profile("extra")
    low, high = profile.conf_int()
    assert low == 0.0
    assert result.estimates["extra"] < high < 2.0
    assert "below the estimate the log likelihood falls by" in profile.why_open()
    assert "extra" in result.conf_int(kind="profile").missing


def test_another_maximum_that_is_higher_is_no_profile():
    @gen
    def two_peaks():
        t = param("t", -1.0)
        return normal(t * t + 0.05 * t, 2.5) @ "y", normal(t, 3.0) @ "z"

    result = fitted(two_peaks, (), {"y": 4.0, "z": 4.0})
    assert result.estimates["t"] < 0.0
    with pytest.raises(NoProfile, match="fit again from there"):
        result.profile("t").conf_int(0.9999)


def test_what_has_no_profile_is_refused():
    result = cloud_fit()
    with pytest.raises(InvalidValue, match="it is always 0"):
        result.profile("L[0, 1]")
    with pytest.raises(UnknownParameter, match=r"write one, such as 'mu\[0\]'"):
        result.profile("mu")
    with pytest.raises(UnknownParameter, match=r"did you mean mu\[1\]"):
        result.profile("mu[1")
    with pytest.raises(InvalidValue, match="between 0 and 1"):
        result.profile("mu[0]").conf_int(95)


def test_a_profile_does_not_move_the_parameters():
    result = line_fit()
    before = likelihood_in(result).vector.now()
    result.profile("slope")
    np.testing.assert_array_equal(likelihood_in(result).vector.now(), before)


def test_a_profile_is_at_the_parameters_of_the_fit():
    result = line_fit()
    expected = result.profile("slope").conf_int()
    start(likelihood_in(result).traces[0].gen_fn, slope=9.0, sigma=4.0)
    assert result.profile("slope").conf_int() == expected
