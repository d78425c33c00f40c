"""Tests of hypotheses: likelihood ratios, and Wald's by the covariance of the estimates."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from genparams.errors import ConstraintError, InvalidValue, NotComparable, ShapeError
from genparams.learning.fitting.covariance import inverse_of
from genparams.learning.fitting.derive import carried, linearised
from genparams.learning.views import view
from genparams.mistakes import answering, closed
from genparams.text import brief
from genparams.types import Array

if TYPE_CHECKING:
    from genparams.learning.fitting.result import FitResult

AT_BOUND = "at its bound"
"""The status of a parameter whose likelihood is largest at a bound: its value is known there."""
BELOW = 1e-6
"""By so much, relative to the log likelihood, rounding may lower the one of the larger model."""


@closed()
@answering(
    pvalue="write p_value", p="write p_value", stat="write statistic", chi2="write statistic"
)
@dataclass(frozen=True, slots=True)
class TestResult:
    """A statistic, with its distribution under the hypothesis: chi-square."""

    __test__ = False  # no test class for pytest

    statistic: float
    df: int
    p_value: float
    """The probability of a larger statistic under the hypothesis."""
    message: str = ""
    """Why the chi-square distribution may not hold; empty if nothing is known against it."""

    def __str__(self) -> str:
        return str(view("reporting", "hypothesis_table")(self))

    def _repr_html_(self) -> str:
        return view("reporting", "hypothesis_table")(self)._repr_html_()


def _chi_square(statistic: float, df: int, message: str) -> TestResult:
    return TestResult(float(statistic), df, float(special.chdtrc(df, statistic)), message)


# --- Likelihood ratio


def likelihood_ratio(one: "FitResult", other: "FitResult") -> TestResult:
    """2 (log L1 - log L0), with as many degrees of freedom as the models differ by."""
    refuse_incomparable(one, other)
    small, large = sorted((one, other), key=lambda r: r.num_params)
    statistic = 2.0 * (large.log_likelihood - small.log_likelihood)
    if statistic < -BELOW * (1.0 + abs(large.log_likelihood)):
        raise NotComparable(
            f"{large.function} with {large.num_params} parameters has the log likelihood "
            f"{large.log_likelihood:.6g}, below {small.log_likelihood:.6g} of {small.function} "
            f"with {small.num_params}: it is not at its maximum, or the models are not nested"
        )
    return _chi_square(
        max(statistic, 0.0), large.num_params - small.num_params, _doubts(small, large)
    )


def refuse_incomparable(one: Any, other: Any) -> None:
    """Refuse a likelihood-ratio test that would have no meaning.

    Raises:
        InvalidValue: the other is no result of a fit.
        NotComparable: they do not allow the test.
    """
    if type(other) is not type(one):
        raise InvalidValue(f"lr_test takes the result of another fit, got {brief(other)}")
    for result in (one, other):
        if result.priors:
            raise NotComparable(
                f"{result.function} was fitted with priors on {', '.join(result.priors)}: a "
                "likelihood-ratio test needs maximum likelihood; fit without priors"
            )
        if not result.converged and AT_BOUND not in result.status.values():
            raise NotComparable(f"the fit of {result.function} has not converged: {result.message}")
    if one.num_obs != other.num_obs or one.data_id != other.data_id:
        raise NotComparable(
            f"{one.function} and {other.function} were fitted to different data ({one.num_obs} and "
            f"{other.num_obs} observations): fit both to the same choices at the same addresses"
        )
    if one.num_params == other.num_params:
        raise NotComparable(
            f"{one.function} and {other.function} both have {one.num_params} parameters: neither "
            "is nested in the other; compare their aic"
        )


def _doubts(small: "FitResult", large: "FitResult") -> str:
    """Why the chi-square distribution may not hold."""
    found = []
    if small.facts.is_mixture or large.facts.is_mixture:
        found.append(
            "a mixture is fitted, and a model with fewer components is at the bound of one with "
            "more: the chi-square distribution does not hold; simulate the statistic"
        )
    for result in (small, large):
        at_bound = [k for k, text in result.status.items() if text not in ("ok", "frozen")]
        if at_bound:
            states = ", ".join(f"{k} ({result.status[k]})" for k in at_bound)
            found.append(
                f"{result.function} is not at an interior maximum: {states}; the chi-square "
                "distribution does not hold"
            )
    return ". ".join(found)


# --- Wald


def wald(result: "FitResult", hypothesis: Any, value: Any) -> TestResult:
    """r^T (R V R^T)^-1 r, for the differences r from the hypothesis and their derivatives R."""
    differences, rows, message = _restrictions(result, hypothesis, value)
    errors = result.errors()
    cov, lost = carried(rows, errors.cov, errors.missing)
    if lost:
        raise InvalidValue(
            f"this test needs a variance that is missing: {next(iter(lost.values()))}"
        )
    inverse = inverse_of(cov, [f"restriction {i + 1}" for i in range(len(cov))])
    if inverse.reason:
        raise InvalidValue(
            "the restrictions of this test depend on each other, or on nothing that varies: leave "
            "out those that follow from the others"
        )
    statistic = float(differences @ inverse.matrix @ differences)
    return _chi_square(statistic, len(cov), message)


def _restrictions(result: "FitResult", hypothesis: Any, value: Any) -> tuple[Array, Array, str]:
    if isinstance(hypothesis, Mapping):
        if value is not None:
            raise InvalidValue("a dictionary has the values already; leave out the second argument")
        return _of_entries(result, hypothesis)
    if isinstance(hypothesis, str):
        return _of_entries(result, {hypothesis: 0.0 if value is None else value})
    if callable(hypothesis):
        return _of_function(result, hypothesis, value)
    return _of_matrix(result, hypothesis, value)


def _of_entries(result: "FitResult", wanted: Mapping[str, Any]) -> tuple[Array, Array, str]:
    places, values, notes = [], [], []
    if not wanted:
        raise InvalidValue("a hypothesis names at least one entry, as {'beta[1]': 0.0}")
    for name, value in wanted.items():
        found = _places(result, name)
        try:
            values += [float(v) for v in np.broadcast_to(value, len(found))]
        except (TypeError, ValueError):
            raise ShapeError(
                f"{name!r} has {len(found)} entries, got {brief(value)} to test them against"
            ) from None
        places += found
        notes += _at_bound(result, name, found, values[-len(found) :])
    rows = np.eye(len(result.facts.values))[places]
    return result.facts.values[places] - values, rows, ". ".join(notes)


def _places(result: "FitResult", name: str) -> list[int]:
    if name in result.facts.names:
        entries = result.entries
        return [entries.index(entry) for entry in result.facts.names[name]]
    entry, equals, value = (
        map(str.strip, name.partition("=")) if isinstance(name, str) else (name, "", "")
    )
    if equals and entry in result.entries:
        raise InvalidValue(f"a hypothesis is a dictionary: write wald_test({{{entry!r}: {value}}})")
    return [result.place_of(name)]


def _at_bound(result: "FitResult", name: str, places: list[int], values: list[float]) -> list[str]:
    """A note if a value is not inside the constraint of its entry."""
    for place, value in zip(places, values, strict=True):
        scale = result.facts.scales[place]
        try:
            if scale is not None:
                scale.coordinates(np.float64(value))
        except ConstraintError:
            return [
                f"{value:g} is not inside the constraint {scale!r} of {name}: the chi-square "
                "distribution does not hold"
            ]
    return []


def _of_function(
    result: "FitResult", function: Callable[..., Any], value: Any
) -> tuple[Array, Array, str]:
    found, rows = linearised(function, result.estimates)
    parts = found.values() if isinstance(found, Mapping) else [found]
    flat = np.concatenate([np.ravel(part) for part in parts])
    return flat - _right_side(value, len(flat)), rows, ""


def _of_matrix(result: "FitResult", matrix: Any, value: Any) -> tuple[Array, Array, str]:
    size = len(result.facts.values)
    try:
        rows = np.atleast_2d(np.asarray(matrix, dtype=float))
    except (TypeError, ValueError):
        raise InvalidValue(
            "a hypothesis is {entry: value}, a name, a matrix of numbers or a function of the "
            f"estimates, got {brief(matrix)}"
        ) from None
    if rows.ndim != 2 or rows.shape[1] != size:
        raise ShapeError(
            f"the matrix of a hypothesis has a column for each of the {size} entries "
            f"{', '.join(result.entries[:5])}, got shape {np.shape(matrix)}"
        )
    return rows @ result.facts.values - _right_side(value, len(rows)), rows, ""


def _right_side(value: Any, size: int) -> Array:
    try:
        return np.broadcast_to(np.asarray(0.0 if value is None else value, dtype=float), size)
    except (TypeError, ValueError):
        raise ShapeError(f"the hypothesis has {size} restrictions, got {brief(value)}") from None
