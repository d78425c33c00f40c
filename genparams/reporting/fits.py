"""What the tables ask of a fit and of a hypothesis test, and numbers that may be missing."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from genparams.reporting.cells import Cell, Missing, Rounded
from genparams.types import Constraint

CRITERION_PLACES = 3
"""The decimals of log likelihoods and information criteria: their differences are what matters."""


class Fit(Protocol):
    """The result of a fit.

    `estimates`, `std_errors`, `constraints` and `status` have the same parameter names in the same
    order. `entries` names each number of the estimates, in order. `missing` has the reason for each
    entry without a standard error. `priors` names the parameters with a prior. `notes` says more of
    how the standard errors were computed. Fits of the same data have the same `data_id`. `conf_int`
    returns the two ends for each entry: a mapping from entries to pairs, or an array with a row for
    each.
    """

    @property
    def function(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def estimates(self) -> Mapping[str, Any]: ...
    @property
    def std_errors(self) -> Mapping[str, Any]: ...
    @property
    def constraints(self) -> Mapping[str, Constraint]: ...
    @property
    def status(self) -> Mapping[str, str]: ...
    @property
    def entries(self) -> Sequence[str]: ...
    @property
    def missing(self) -> Mapping[str, str]: ...
    @property
    def priors(self) -> Collection[str]: ...
    @property
    def log_likelihood(self) -> float: ...
    @property
    def log_posterior(self) -> float: ...
    @property
    def aic(self) -> float: ...
    @property
    def aicc(self) -> float: ...
    @property
    def bic(self) -> float: ...
    @property
    def num_params(self) -> int: ...
    @property
    def num_obs(self) -> int: ...
    @property
    def data_id(self) -> str: ...
    @property
    def df_residual(self) -> int: ...
    @property
    def converged(self) -> bool: ...
    @property
    def message(self) -> str: ...
    @property
    def iterations(self) -> int: ...
    @property
    def evaluations(self) -> int: ...
    @property
    def notes(self) -> Sequence[str]: ...
    @property
    def warnings(self) -> Sequence[str]: ...
    def conf_int(self, level: float) -> Any: ...


class HypothesisTest(Protocol):
    """The result of a hypothesis test; `message` is empty if there is nothing to say."""

    @property
    def statistic(self) -> float: ...
    @property
    def df(self) -> float: ...
    @property
    def p_value(self) -> float: ...
    @property
    def message(self) -> str: ...


def is_known(value: float | None) -> bool:
    """Whether there is a number, finite or infinite."""
    return value is not None and not math.isnan(value)


def known(value: float | None, reason: str) -> Cell:
    """A number; missing, with the reason, if it is None or NaN."""
    return Missing(reason) if value is None or math.isnan(value) else value


def criterion(value: float | None, reason: str) -> Cell:
    """A log likelihood or an information criterion; missing if it is None or NaN."""
    return (
        Missing(reason) if value is None or math.isnan(value) else Rounded(value, CRITERION_PLACES)
    )


def criteria(result: Fit) -> dict[str, Cell]:
    """The log likelihood and the information criteria of a fit."""
    why = result.missing
    return {
        "log likelihood": criterion(result.log_likelihood, "the log likelihood is not known"),
        "AIC": criterion(result.aic, why.get("aic", "AIC is not known")),
        "AICc": criterion(
            result.aicc,
            why.get("aicc", f"AICc needs more than {result.num_params + 1} observations"),
        ),
        "BIC": criterion(result.bic, why.get("bic", "BIC is not known")),
    }


def flat(values: Mapping[str, Any]) -> np.ndarray:
    """The numbers of arrays, one after the other."""
    return np.concatenate([np.zeros(0), *(np.ravel(v) for v in values.values())])


def not_converged(result: Fit) -> str:
    """What a fit says that has not converged."""
    return f"not converged: {result.message}" if result.message else "not converged"
