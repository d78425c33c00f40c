"""Fits side by side."""

import math
from typing import Any

import numpy as np
import pytest
from fakes import FakeFit

from genparams import fit, gen, normal, param
from genparams.errors import InvalidValue
from genparams.reporting import Missing, compare

FULL = FakeFit()
NULL = FakeFit(
    log_likelihood=-14.133575, aic=30.267150, aicc=30.457626, bic=31.402644, num_params=1
)


def column(table, header) -> list[Any]:
    j = table.headers.index(header)
    return [cells[j] for _, cells in table.rows]


def test_fits_are_compared_by_their_criteria():
    text = str(compare({"null": NULL, "temperature": FULL}))
    assert [line.rstrip() for line in text.splitlines()] == [
        "Comparison of fits",
        "",
        "             log likelihood  parameters     AIC    AICc     BIC  delta AIC  weight",
        "----------------------------------------------------------------------------------",
        "null                -14.134           1  30.267  30.458  31.403      5.952  0.0485",
        "temperature         -10.158           2  24.315  24.915  26.586      0.000  0.9515",
    ]


def test_fits_have_the_names_of_their_functions_with_numbers_where_they_repeat():
    other = FakeFit(function="other")
    assert [name for name, _ in compare([FULL, other, NULL]).rows] == [
        "oring (1)",
        "other",
        "oring (2)",
    ]


def test_weights_are_those_of_the_formula_and_add_up_to_1():
    aics = np.array([-1e4, -1e4 + 1.0, -1e4 + 5.0])
    weights = column(compare([FakeFit(aic=aic) for aic in aics]), "weight")
    wanted = np.exp(-(aics - aics.min()) / 2)
    assert [w.value for w in weights] == pytest.approx(list(wanted / wanted.sum()), rel=1e-12)


def test_an_aic_far_from_the_best_has_weight_0():
    weights = column(compare([FakeFit(aic=0.0), FakeFit(aic=1e9)]), "weight")
    assert [w.value for w in weights] == [1.0, 0.0]


def test_fits_of_other_data_have_no_differences():
    table = compare([FULL, FakeFit(data_id="other")])
    missing = Missing("the fits are of different data: other values, or at other addresses")
    assert column(table, "delta AIC") == column(table, "weight") == [missing, missing]


def test_fits_of_other_values_of_as_many_observations_are_of_different_data():
    @gen
    def sample(n):
        return normal(param("mean", 0.0), 1.0, size=n) @ "y"

    y = np.array([1.0, 2.0, 4.0])
    one, same, other = (fit(sample, (3,), {"y": values}) for values in (y, y + 0.0, y + 1e-9))
    assert one.num_obs == other.num_obs
    assert one.data_id == same.data_id != other.data_id
    assert not any(isinstance(w, Missing) for w in column(compare([one, same]), "weight"))
    assert all(isinstance(w, Missing) for w in column(compare([one, other]), "weight"))


@pytest.mark.parametrize("aic", [math.nan, math.inf, None])
def test_a_fit_without_a_criterion_has_no_weight_and_leaves_the_others_theirs(aic):
    weights = column(compare([FULL, FakeFit(aic=aic)]), "weight")
    assert weights[0].value == 1.0
    assert weights[1] == Missing("AIC is not finite")


def test_doubtful_fits_are_named():
    doubtful = FakeFit(converged=False, message="too few steps", priors=("slope",))
    assert compare({"one": FULL, "other": doubtful}).notes == (
        "Warning: other has not converged: too few steps",
        "Warning: other has priors: its criteria are not those of a maximum likelihood",
    )


@pytest.mark.parametrize("nothing", [[], {}])
def test_nothing_is_not_compared(nothing):
    with pytest.raises(InvalidValue, match="no fit to compare"):
        compare(nothing)
