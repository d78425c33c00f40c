"""What the parts of a result show when they are printed, and intervals of derived quantities."""

import numpy as np
import pytest

from genparams import (
    bernoulli,
    datasets,
    fit,
    gen,
    interval,
    mixture,
    normal,
    param,
    positive,
    unit_interval,
)
from genparams.errors import ArgumentError, Collapse, FitError, InvalidValue, Separation
from genparams.learning.fitting.by_address import ByAddress
from genparams.types import Address


@pytest.fixture(scope="module")
def oring():
    @gen
    def flights(temp):
        logits = param("intercept", 0.0) + param("slope", 0.0) * temp
        return bernoulli(logits=logits) @ "distress"

    table = datasets.oring()
    return fit(flights, (table["temp"],), {"distress": table["distress"]})


def odds_ratio(theta):
    return np.exp(-10.0 * theta["slope"])


def test_a_test_is_printed_as_a_table(oring):
    test = oring.wald_test("slope")
    assert str(test).splitlines()[-1].split() == ["4.6008", "1", "0.0320"]
    assert "<table" in test._repr_html_()


def test_a_prediction_shows_its_means_and_errors(oring):
    few = oring.predict((np.array([31.0, 50.0]),))["distress"]
    assert repr(few) == "0.999609 +- 0.00158\n0.968774 +- 0.0612"
    many = oring.predict((np.linspace(31.0, 80.0, 25),))["distress"]
    assert len(repr(many).splitlines()) == 11
    assert repr(many).endswith("and 15 more")


def test_predictions_show_some_addresses_only():
    @gen
    def separate(n):
        for i in range(n):
            bernoulli(logits=param("a", 0.0)) @ ("coin", i)

    result = fit(separate, (15,), {("coin", i): i % 2 == 0 for i in range(15)})
    lines = repr(result.predict()).splitlines()
    assert lines[0] == "('coin', 0)  0.533333 +- 0.129"
    assert (len(lines), lines[-1]) == (11, "and 5 more")


def test_residuals_and_means_are_shown_with_their_numbers(oring):
    found = oring.fitted()
    ends = found["distress"][[0, 1, 2, -3, -2, -1]]
    first, last = (" ".join(f"{x:.6g}" for x in part) for part in (ends[:3], ends[3:]))
    assert repr(found) == f"'distress'  [{first} ... {last}]"
    assert f'<td style="text-align: left">[{first} ... {last}]</td>' in found._repr_html_()
    assert repr(oring.residuals("pearson")).startswith("'distress'  [-0.869")


def test_numbers_by_address_show_what_is_missing_and_how_many_there_are():
    rows: dict[Address, np.ndarray] = {("x", i): np.full((2, 9), float(i)) for i in range(9)}
    found = ByAddress(rows, {("a",): "no mean", ("b",): "no mean"})
    lines = repr(found).splitlines()
    assert lines[1] == "('x', 1)  [[1 ... 1] [1 ... 1]]"
    assert lines[-2:] == ["'a'       no mean", "and 1 more"]
    assert repr(ByAddress({})) == "no choices"


def test_what_has_addresses_is_a_mapping(oring):
    for found in (oring.fitted(), oring.predict()):
        assert list(found) == list(found.keys()) == ["distress"]
        assert "distress" in found
        assert "stress" not in found
        assert found.get("stress") is None
        assert found.get("distress") is found["distress"]


def test_intervals_are_a_mapping(oring):
    ends = oring.conf_int()
    assert list(ends.values()) == [ends["intercept"], ends["slope"]]
    assert dict(ends) == dict(ends.items())
    np.testing.assert_array_equal(ends.table, np.array(list(ends.values())))
    assert "slop" not in ends
    assert ends.get("slop", 3) == 3
    assert ends.get("slope") == ends["slope"]
    assert repr(ends).startswith("95% Wald intervals\n")


def test_the_band_of_one_mean_is_two_numbers(oring):
    low, high = oring.predict((31.0,))["distress"].conf_int()
    assert (float(low), float(high)) == pytest.approx((0.481609, 0.99999986), abs=1e-6)


def test_the_interval_of_a_positive_quantity_is_built_in_its_logarithm(oring):
    ends = oring.derive(odds_ratio, constraint=positive).conf_int()
    slopes = oring.conf_int()["slope"]
    assert ends["odds_ratio"] == pytest.approx([np.exp(-10.0 * s) for s in reversed(slopes)])
    assert oring.derive(odds_ratio).conf_int()["odds_ratio"][0] < 0.0


def test_the_interval_of_a_probability_is_built_in_its_logit(oring):
    def risk(theta):
        return 1.0 / (1.0 + np.exp(-theta["intercept"] - 31.0 * theta["slope"]))

    ends = oring.derive(risk, constraint=unit_interval).conf_int()
    assert ends["risk"] == pytest.approx(oring.predict((31.0,))["distress"].conf_int())


def test_a_constraint_that_a_derived_quantity_does_not_have_is_refused(oring):
    with pytest.raises(InvalidValue, match=r"odds_ratio is 10\.1\d*, not inside unit_interval"):
        oring.derive(odds_ratio, constraint=unit_interval)
    with pytest.raises(InvalidValue, match=r"is positive or unit_interval, got interval"):
        oring.derive(odds_ratio, constraint=interval(0.0, 20.0))


def test_a_fit_without_a_maximum_has_a_summary_with_the_reason_once():
    @gen
    def separated(x):
        return bernoulli(logits=param("a", 0.0) + param("b", 0.0) * x) @ "y"

    x = np.arange(6.0)
    with pytest.warns(Separation):
        result = fit(separated, (x,), {"y": x > 2.5})
    assert str(result).count("the likelihood has no maximum") == 1
    assert np.isnan(list(result.std_errors.values())).all()


def test_a_fit_without_a_bound_has_no_standard_error_at_all():
    @gen
    def two(n):
        parts = normal(param("means", [43.0, 70.0]), param("stds", [0.01, 13.0], positive))
        return mixture([0.5, 0.5], parts, size=n) @ "waiting"

    waits = datasets.faithful()["waiting"]
    with pytest.warns(Collapse, match=r"as stds\[0\] goes to its limit"):
        result = fit(two, (len(waits),), {"waiting": waits})
    assert np.isnan(np.diag(result.cov())).all()
    assert result.status == {"means": "ok", "stds": "without bound"}
    assert set(result.missing) == {*result.entries, "aic", "aicc", "bic"}


def test_data_without_observations_are_refused():
    @gen
    def empty(n):
        return normal(param("mean", 0.0), 1.0, size=n) @ "y"

    with pytest.raises(FitError, match="the data of empty have no observations"):
        fit(empty, (0,), {"y": np.zeros(0)})


def test_a_call_in_place_of_a_function_is_refused():
    with pytest.raises(ArgumentError, match=r"write fit\(normal, args, \{.*got normal\("):
        fit(normal(0, 1), None, {"y": 1.0})


def test_the_name_of_an_entry_in_place_of_a_level_is_refused(oring):
    with pytest.raises(InvalidValue, match=r"write conf_int\(\)\['slope'\] for one entry"):
        oring.conf_int("slope")


def test_the_name_of_an_entry_in_a_derived_quantity_is_refused():
    @gen
    def weighted(x):
        return normal(x @ param("beta", np.zeros(2)), 1.0) @ "y"

    result = fit(weighted, (np.eye(2),), {"y": np.ones(2)}, labels={"beta": ["dose", "age"]})
    assert result.derive(lambda theta: theta["beta"][0]).estimates == pytest.approx(1.0)
    with pytest.raises(InvalidValue, match=r"beta\[dose\] is an entry: .*\['beta'\]\[0\]"):
        result.derive(lambda theta: theta["beta[dose]"])
