"""The table of a fit."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from fakes import FakeFit, FakeTest, one
from hypothesis import given
from hypothesis import strategies as st

from genparams import positive, reporting
from genparams.errors import InvalidValue, ShapeError
from genparams.reporting import Missing, summary

ORING = """\
Maximum likelihood fit of oring

log likelihood  -10.158    observations        23
AIC              24.315    parameters           2
AICc             24.915    degrees of freedom  21
BIC              26.586    converged           yes, newton, 6 iterations, 7 evaluations

           estimate  std. error       z   P>|z|  95% low  95% high
------------------------------------------------------------------
intercept   15.043       7.379    2.039  0.0415   0.581    29.505
slope       -0.2322      0.1082  -2.145  0.0320  -0.4443   -0.0200

Standard errors: observed information (inverse of minus the Hessian of the full log likelihood),
  maximum likelihood; no n/(n-p) correction as lm and nls use."""

DOUBTFUL = FakeFit(
    function="mixed",
    estimates={"beta": np.array([1234.5678, -1e-17]), "sigma": 2.5e-3, "tau": 0.0, "mu": 3.0},
    std_errors={
        "beta": np.array([0.01234, 0.0522]),
        "sigma": 3.1e-4,
        "tau": math.nan,
        "mu": math.nan,
    },
    entries=("beta[0]", "beta[1]", "sigma", "tau", "mu"),
    changed_constraints={"sigma": positive, "tau": positive},
    changed_status={"tau": "at its bound", "mu": "frozen"},
    missing={"tau": "the variance is at its bound 0"},
    priors=("sigma",),
    aicc=math.nan,
    num_params=22,
    converged=False,
    message="100 iterations were not enough",
    iterations=1,
    warnings=("tau runs to 0", "tau runs to 0", "100 iterations were not enough"),
)
DOUBTFUL_SHOWN = """\
Maximum a posteriori fit of mixed

log likelihood  -10.158    observations        23
AIC              24.315    parameters          22
AICc              -[1]     degrees of freedom  21
BIC              26.586    converged           no, newton, 1 iteration, 7 evaluations
log posterior   -11.500

             estimate  std. error           z    P>|z|       95% low      95% high  status
------------------------------------------------------------------------------------------------
beta[0]  1234.56780     0.01234    100046.013  <0.0001  1234.54361    1234.59199
beta[1]     0.00000     0.05220         0.000   1.0000    -0.10231       0.10231
sigma       0.0025000   0.0003100                          0.0018924     0.0031076
tau         0           -[2]                               -[2]          -[2]       at its bound
mu          3.0000      -[3]            -[3]    -[3]       -[3]          -[3]       frozen

-[1] : AICc needs more than 23 observations
-[2] : the variance is at its bound 0
-[3] : frozen
Standard errors: observed information (inverse of minus the Hessian of the full log likelihood and
  log prior), maximum a posteriori; no n/(n-p) correction as lm and nls use.
Priors on sigma: the log likelihood is not at its maximum, and AIC, AICc and BIC are not those of a
  maximum likelihood.
Intervals are computed in unconstrained coordinates. A parameter with a constraint has no test
  against 0.
Warning: tau runs to 0
Warning: 100 iterations were not enough"""


def lines(text):
    return str(text).splitlines()


def cells(fit, level=0.95) -> dict[str, Any]:
    """The cells of a fit of one parameter, by their headers."""
    table = summary(fit, level)
    ((_, row),) = table.rows
    return dict(zip(table.headers, row, strict=True))


def shown(fit):
    """The texts in the row of a fit of one parameter."""
    at = next(k for k, line in enumerate(lines(summary(fit))) if line.startswith("theta"))
    return lines(summary(fit))[at].split()[1:]


def test_the_summary_of_a_fit():
    assert lines(summary(FakeFit())) == lines(ORING)


def test_the_summary_of_a_doubtful_fit():
    assert lines(summary(DOUBTFUL)) == lines(DOUBTFUL_SHOWN)


def test_the_level_is_in_the_headers_and_in_the_intervals():
    row = cells(one(1.0, 1.0), level=0.5)
    assert row["50% low"].value == pytest.approx(1.0 - 0.674490)
    assert row["50% high"].value == pytest.approx(1.0 + 0.674490)


@pytest.mark.parametrize("level", [0.0, 1.0, 95, math.nan])
def test_a_level_is_a_probability(level):
    with pytest.raises(InvalidValue, match=r"between 0 and 1, as 0\.95"):
        summary(FakeFit(), level)


def test_intervals_by_name_are_taken_too():
    class ByName(FakeFit):
        def conf_int(self, level):
            return dict(reversed([*zip(self.entries, super().conf_int(level), strict=True)]))

    assert summary(ByName()) == summary(FakeFit())


def test_the_test_against_0_is_that_of_a_standard_normal():
    from scipy.stats import norm

    row = cells(one(-1.5, 0.75))
    assert row["z"].value == -2.0
    assert row["P>|z|"].value == pytest.approx(2 * norm.sf(2.0), rel=1e-14)


def test_a_parameter_with_a_constraint_has_no_test_against_0():
    fit = FakeFit(changed_constraints={"slope": positive})
    table = summary(fit)
    tests = [table.headers.index("z"), table.headers.index("P>|z|")]
    assert [table.rows[1][1][j] for j in tests] == ["", ""]
    fit = one(2.0, 0.5, changed_constraints={"theta": positive})
    assert summary(fit).headers == ("estimate", "std. error", "95% low", "95% high")
    assert "no test against 0" in summary(fit).notes[1]
    assert len(summary(one(2.0, 0.5)).notes) == 1


def test_an_interval_of_a_positive_parameter_is_not_rounded_to_0():
    class Wide(FakeFit):
        def conf_int(self, level):
            return np.array([[1e-9, 40.0]])

    fit = Wide(
        estimates={"theta": 2.0},
        std_errors={"theta": 10.0},
        entries=("theta",),
        changed_constraints={"theta": positive},
    )
    assert shown(fit) == ["2.00", "10.00", "1.0e-09", "40.00"]


@pytest.mark.parametrize(
    ("estimate", "std_error", "texts"),
    [
        (15.0429, 7.37864, ["15.043", "7.379"]),
        (1234.5678, 0.01234, ["1234.56780", "0.01234"]),
        (5.0, 1.234e-12, ["5.000000000", "1.234e-12"]),
        (123456789.0, 123400.0, ["1.234568e+08", "1.234e+05"]),
        (2.5e-8, 1.5e-9, ["2.5000e-08", "1.500e-09"]),
        (-1e-16, 0.25, ["0.0000", "0.2500"]),
    ],
)
def test_estimates_have_the_digits_that_standard_errors_give_them(estimate, std_error, texts):
    assert shown(one(estimate, std_error))[:2] == texts


positives = st.floats(1e-12, 1e12)


@given(positives, positives, st.booleans())
def test_no_digit_that_a_standard_error_supports_is_lost(size, std_error, is_negative):
    estimate = -size if is_negative else size
    center, error = map(float, shown(one(estimate, std_error))[:2])
    assert error == pytest.approx(std_error, rel=5.1e-4)
    assert abs(center - estimate) <= max(0.51e-3 * std_error, 0.51e-9 * abs(estimate), 0.51e-9)


def test_a_standard_error_of_0_gives_no_test():
    row = cells(one(1.0, 0.0))
    assert row["z"] == row["P>|z|"] == Missing("the standard error is 0")


def test_an_infinite_estimate_is_shown_with_the_reason_for_the_rest():
    fit = one(math.inf, math.nan, missing={"theta": "it grows without a maximum"})
    assert shown(fit) == ["inf", "-", "-", "-", "-", "-"]
    assert "- : it grows without a maximum" in lines(summary(fit))


def test_a_nan_without_a_reason_gets_the_status_or_a_plain_reason():
    assert cells(one(1.0, math.nan))["z"] == Missing("it could not be computed")
    fit = one(1.0, math.nan, changed_status={"theta": "never moved"})
    assert cells(fit)["z"] == Missing("never moved")


def test_a_status_has_a_column_only_if_something_is_not_ok():
    assert "status" not in summary(FakeFit()).headers
    fit = FakeFit(changed_status={"slope": "flat direction"})
    assert [row[-1] for _, row in summary(fit).rows] == ["", "flat direction"]


@pytest.mark.parametrize("kind", ["observed", "expected", "opg", "sandwich"])
def test_the_kind_of_standard_error_is_named(kind):
    (note,) = summary(FakeFit(kind=kind)).notes
    name = {"opg": "outer products"}.get(kind, kind)
    assert note.startswith(f"Standard errors: {name} ")
    assert note.endswith("; no n/(n-p) correction as lm and nls use.")


def test_the_notes_of_a_fit_follow_the_kind_of_standard_error():
    note = "expected information in closed form"
    shown = "Expected information in closed form."
    assert summary(FakeFit(kind="expected", notes=(note,))).notes[1:] == (shown,)


def test_an_unknown_kind_of_standard_error_is_refused():
    with pytest.raises(InvalidValue, match="kind 'observe'; did you mean observed"):
        summary(FakeFit(kind="observe"))


@pytest.mark.parametrize(
    "change", ["aic", "bic", "aicc", "log_likelihood", "num_obs", "df_residual"]
)
@pytest.mark.parametrize("unknown", [None, math.nan])
def test_an_unknown_number_is_missing_with_its_reason(change, unknown):
    fit = dataclasses.replace(FakeFit(), **{change: unknown})
    assert sum(isinstance(value, Missing) for _, value in summary(fit).facts) == 1


def test_a_fit_must_have_one_of_each_number_for_every_entry():
    with pytest.raises(ShapeError, match="3 entries, 2 estimates, 2 standard errors and 2 interv"):
        summary(FakeFit(entries=("a", "b", "c")))


def test_a_fit_without_parameters_has_no_rows():
    fit = FakeFit(estimates={}, std_errors={}, entries=())

    class Empty(FakeFit):
        def conf_int(self, level):
            return np.zeros((0, 2))

    assert summary(Empty(**dataclasses.asdict(fit))).rows == ()


# --- Tests of hypotheses


def test_the_table_of_a_test():
    assert lines(reporting.hypothesis_table(FakeTest(message="not at a bound"))) == [
        "Hypothesis test",
        "",
        "  statistic  df       P",
        "-----------------------",
        "     7.9520   1  0.0048",
        "",
        "not at a bound",
    ]


def test_a_test_that_could_not_be_done_says_why():
    table = reporting.hypothesis_table(FakeTest(math.nan, 1, math.nan, "not nested"))
    assert lines(table)[-3:] == ["          -   1  -", "", "- : not nested"]
