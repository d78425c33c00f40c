"""Wald intervals: built in unconstrained coordinates."""

import numpy as np
import pytest
from fits import cloud_fit, faithful_fit, gamma_fit, line_fit, share_fit
from maxima import fitted
from scipy import special, stats

from genparams import bernoulli, gen, interval, normal, param, positive, real, unit_interval
from genparams.errors import InvalidValue, UnknownParameter
from genparams.learning.fitting.intervals import natural_end

Z = stats.norm.ppf(0.975)


def test_a_coefficient_has_a_plain_interval():
    result = line_fit()
    low, high = result.conf_int()["slope"]
    center, error = result.estimates["slope"], result.std_errors["slope"]
    assert (low, high) == pytest.approx((center - Z * error, center + Z * error))


def test_a_positive_parameter_has_an_interval_of_its_logarithm():
    result = gamma_fit()
    for name in ("shape", "scale"):
        center, error = result.estimates[name], result.std_errors[name]
        factor = np.exp(Z * error / center)
        assert result.conf_int()[name] == pytest.approx((center / factor, center * factor))


def test_a_probability_has_an_interval_of_its_logit():
    result = share_fit(1, 8)
    p, error = result.estimates["p"], result.std_errors["p"]
    reach = Z * error / (p * (1 - p))
    expected = special.expit(special.logit(p) + np.array([-reach, reach]))
    assert result.conf_int()["p"] == pytest.approx(tuple(expected))


def test_the_weights_of_a_simplex_have_intervals_of_their_logits():
    result = faithful_fit()
    ends, p, error = result.conf_int(), result.estimates["w"][1], result.std_errors["w"][1]
    reach = Z * error / (p * (1 - p))
    expected = special.expit(special.logit(p) + np.array([-reach, reach]))
    assert ends["w[1]"] == pytest.approx(tuple(expected))
    low, high = ends["w[0]"]
    assert ends["w[1]"] == pytest.approx((1 - high, 1 - low))


def test_the_diagonal_of_a_factor_has_a_positive_interval():
    result = cloud_fit()
    ends = result.conf_int(level=0.999999)
    assert ends["L[1, 1]"][0] > 0.0
    low, high = ends["L[1, 0]"]
    assert low + high == pytest.approx(2 * result.estimates["L"][1, 0])
    assert np.isnan(ends["L[0, 1]"][0])
    assert ends.missing["L[0, 1]"] == "always 0"


class AboveOne:
    """A user's constraint: numbers above 1."""

    name = "above 1"

    def natural(self, theta):
        return 1.0 + np.exp(theta)

    def coordinates(self, value):
        return np.log(value - 1.0)


above_one = AboveOne()


def test_a_constraint_of_a_user_is_respected():
    @gen
    def above(n):
        return normal(param("m", 2.0, above_one), 1.0, size=n) @ "x"

    result = fitted(above, (4,), {"x": np.array([1.0, 1.3, 1.6, 2.0])})
    low, high = result.conf_int()["m"]
    assert 1.0 < low < result.estimates["m"] < high
    assert result.std_errors["m"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("scale", "theta", "end"),
    [
        (positive, -800.0, 0.0),
        (positive, 800.0, np.inf),
        (positive, -700.0, np.exp(-700.0)),
        (unit_interval, -800.0, 0.0),
        (unit_interval, 800.0, 1.0),
        (interval(2.0, 5.0), -np.inf, 2.0),
        (real, -800.0, -800.0),
    ],
)
def test_an_end_at_a_bound_is_the_bound(scale, theta, end):
    with np.errstate(over="ignore"):
        assert natural_end(scale, theta) == end


def test_intervals_are_a_mapping_and_a_table():
    ends = gamma_fit().conf_int(0.9)
    assert list(ends) == ["shape", "scale"]
    assert ends.table.shape == (2, 2)
    assert ends["scale"] == tuple(ends.table[1])
    assert (ends.level, ends.kind) == (0.9, "wald")
    assert "90% Wald intervals" in repr(ends)


def test_intervals_as_a_frame():
    pandas = pytest.importorskip("pandas")
    frame = gamma_fit().conf_int().to_frame()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.index) == ["shape", "scale"]
    assert list(frame.columns) == ["low", "high"]


def test_a_wider_level_is_a_wider_interval():
    result = gamma_fit()
    narrow, wide = result.conf_int(0.5)["shape"], result.conf_int(0.99)["shape"]
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


@pytest.mark.parametrize("level", [0.0, 1.0, -1.0, "0.95", None, True, np.nan])
def test_a_level_outside_0_and_1_is_refused(level):
    with pytest.raises(InvalidValue, match="between 0 and 1"):
        gamma_fit().conf_int(level)


def test_percents_are_explained():
    with pytest.raises(InvalidValue, match=r"write 0\.95"):
        gamma_fit().conf_int(95)


def test_other_kinds_and_entries_are_refused():
    with pytest.raises(InvalidValue, match="did you mean profile"):
        gamma_fit().conf_int(kind="profil")
    with pytest.raises(UnknownParameter, match="did you mean shape"):
        gamma_fit().conf_int()["shap"]


def test_a_bernoulli_near_its_bound_keeps_its_interval_inside():
    @gen
    def often(n):
        return bernoulli(logits=param("a", 0.0), size=n) @ "x"

    result = fitted(often, (50,), {"x": np.arange(50) < 49})
    prob = result.derive(lambda b: 1.0 / (1.0 + np.exp(-b["a"])))
    low, high = result.conf_int()["a"]
    assert special.expit(low) < 0.98 < special.expit(high) < 1.0
    assert prob.estimates == pytest.approx(0.98)
    assert prob.conf_int()["value"][1] > 1.0  # a derived quantity has a plain interval
