"""The parametric bootstrap."""

import numpy as np
import pytest
from fits import XS, YS, cloud_fit, gamma_fit, line, line_fit, oring_fit, start
from maxima import fitted, model_in

from genparams import bernoulli, cauchy, gen, normal, param, positive
from genparams.errors import InvalidValue
from genparams.learning.fitting.bootstrap import bootstrapped
from genparams.learning.fitting.maximum import Found


def test_the_draws_spread_as_the_standard_errors_say():
    """200 draws: the ratio of standard deviations is within 20 per cent but once in 10 000."""
    result = line_fit()
    found = result.bootstrap(200, rng=1)
    assert found.failed == 0
    assert found.draws["slope"].shape == (200,)
    assert found.std_errors["slope"] == pytest.approx(result.std_errors["slope"], rel=0.2)
    assert found.std_errors["slope"] == pytest.approx(np.std(found.draws["slope"], ddof=1))


def test_a_bootstrap_repeats_to_the_bit():
    one, other = (gamma_fit().bootstrap(5, rng=3).draws for _ in range(2))
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])
    different = gamma_fit().bootstrap(5, rng=4).draws["shape"]
    assert not np.any(one["shape"] == different)


def test_the_intervals_are_quantiles_of_the_draws():
    result = line_fit()
    found = result.bootstrap(40, rng=2)
    low, high = np.quantile(found.draws["slope"], [0.05, 0.95])
    assert found.conf_int(0.9)["slope"] == pytest.approx((low, high))
    twice = 2 * result.estimates["slope"]
    basic = found.conf_int(0.9, kind="basic")["slope"]
    assert basic == pytest.approx((twice - high, twice - low))


def test_a_bootstrap_moves_no_parameter_and_follows_none():
    result = line_fit()
    expected = result.bootstrap(3, rng=0).draws["slope"]
    start(line, slope=9.0, intercept=9.0, sigma=9.0)
    np.testing.assert_array_equal(result.bootstrap(3, rng=0).draws["slope"], expected)
    assert [line.params[n].value for n in ("slope", "intercept", "sigma")] == [9.0] * 3


def test_fits_that_fail_are_counted():
    @gen
    def risk_of_few(x):
        return bernoulli(logits=param("a", 0.0) + param("b", 0.0) * x) @ "y"

    x = np.arange(8.0)
    y = np.array([0, 0, 1, 0, 1, 0, 1, 1], bool)
    found = fitted(risk_of_few, (x,), {"y": y}).bootstrap(40, rng=0)
    assert 0 < found.failed < 40
    assert found.failed == len(found.failures) == np.sum(np.isnan(found.draws["a"]))
    assert all("the likelihood has no maximum" in why for why in found.failures.values())
    assert np.all(np.isfinite(found.conf_int().table))
    assert repr(found) == f"Bootstrap(40 draws, {found.failed} failed)"


def test_a_sample_that_the_temperature_separates_has_no_fit():
    """Its likelihood is flat where the search stops, and was curved at the estimates."""
    found = oring_fit().bootstrap(20, rng=1)
    assert found.failed == 1
    (draw,) = found.failures
    assert np.all(np.isnan(found.table[draw]))


def test_ctrl_c_ends_a_bootstrap():
    """One run in the middle of the first search is interrupted."""
    runs, last = [], None

    @gen
    def slow(n):
        runs.append(n)
        if len(runs) == last:
            raise KeyboardInterrupt
        return cauchy(param("m", 0.0), param("s", 1.0, positive), size=n) @ "x"

    result = fitted(slow, (12,), {"x": YS})
    runs, last = [], 4
    with pytest.raises(KeyboardInterrupt):
        result.bootstrap(3, rng=0)
    assert len(runs) == last


def test_without_fits_that_succeed_the_numbers_are_missing():
    def refit(likelihood, x, free):
        return Found(x, 0.0, False, "no", 0, 0)

    found = bootstrapped(line_fit(), 3, 0, refit)
    assert found.failed == 3
    assert found.missing["slope"] == "0 of 3 fits succeeded"
    assert np.isnan(found.conf_int()["slope"][0])


def test_the_seam_of_the_fit_is_used():
    seen = []

    def refit(likelihood, x, free):
        seen.append((likelihood.traces[0]["ys"], x.copy(), free.copy()))
        return Found(x + len(seen), 0.0, True, "", 1, 1)

    result = line_fit()
    found = bootstrapped(result, 2, 0, refit)
    assert found.draws["slope"] == pytest.approx(result.estimates["slope"] + np.array([1.0, 2.0]))
    assert not np.array_equal(seen[0][0], seen[1][0])
    assert not np.array_equal(seen[0][0], YS)
    np.testing.assert_array_equal(seen[0][1], model_in(result).x)


def test_constant_and_frozen_entries_have_no_error():
    found = cloud_fit().bootstrap(3, rng=0)
    assert found.missing == {"L[0, 1]": "always 0"}
    assert np.isnan(found.std_errors["L"][0, 1])
    assert np.isnan(found.conf_int()["L[0, 1]"][0])

    @gen
    def partly(n):
        return normal(param("m", 0.0), param("s", 1.0), size=n) @ "x"

    partly.simulate((1,))
    partly.params["s"].freeze()
    found = fitted(partly, (5,), {"x": XS[:5]}).bootstrap(3, rng=0)
    assert found.missing == {"s": "frozen"}
    assert np.all(found.draws["s"] == 1.0)


@pytest.mark.parametrize("n", [1, 0, -1, 2.5, True, "10"])
def test_a_number_of_draws_that_is_none_is_refused(n):
    with pytest.raises(InvalidValue, match="a whole number of at least 2"):
        line_fit().bootstrap(n)


def test_another_kind_of_interval_is_refused():
    with pytest.raises(InvalidValue, match="did you mean percentile"):
        line_fit().bootstrap(2, rng=0).conf_int(kind="percentil")
