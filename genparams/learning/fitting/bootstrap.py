"""The parametric bootstrap: simulate data at the estimates, and fit again.

Reference: Efron and Tibshirani, 1993, An Introduction to the Bootstrap, chapters 6 and 13.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from genparams.constraints import Interval, Positive, Simplex
from genparams.dsl.execution import Rng, seeded
from genparams.dsl.likelihood.likelihood import Likelihood, Second
from genparams.errors import FitError
from genparams.learning.checks import check_count, one_of
from genparams.learning.fitting.diagnosis import diagnosed
from genparams.learning.fitting.intervals import Intervals, check_level
from genparams.learning.fitting.maximum import Found, Maximum
from genparams.learning.fitting.model import Model, needed, unchanged
from genparams.learning.fitting.objective import OUTSIDE
from genparams.learning.fitting.search import INTERRUPTED, brief_error, search, starts_from
from genparams.learning.fitting.trust_region import has_converged
from genparams.mistakes import closed, explained
from genparams.types import Array

if TYPE_CHECKING:
    from genparams.learning.fitting.result import FitResult

Refit = Callable[[Likelihood, Array, Array], Found]
"""From a likelihood of other data, a start and which coordinates are free to a maximum."""

WITH_BOUNDS = (Interval, Positive, Simplex)
"""The constraints at whose bounds a fit is a maximum too: the value is there but for rounding."""


@closed()
@dataclass(frozen=True, eq=False)
class Bootstrap:
    """The estimates of simulated data."""

    draws: Mapping[str, Array]
    """The estimates by parameter name, along the first axis; NaN for a fit that failed."""
    std_errors: Mapping[str, Any]
    """The standard deviation of the draws, in the shape of the estimates."""
    failed: int
    """How many fits failed; they take no part in the numbers."""
    failures: Mapping[int, str]
    """Why, by the number of the draw."""
    entries: Sequence[str]
    table: Array
    """The draws with a column for each entry."""
    values: Array
    """The estimates of the data, by entry."""
    missing: Mapping[str, str]
    """Why an entry has no standard error."""

    @explained
    def conf_int(self, level: float = 0.95, kind: str = "percentile") -> Intervals:
        """An interval for each entry: "percentile", the quantiles of the draws, or "basic", twice
        the estimate less these quantiles.

        Raises:
            InvalidValue: the level is not between 0 and 1, or there is no such kind.
        """
        tail = 0.5 * (1.0 - check_level(level))
        one_of("bootstrap interval", kind, ("percentile", "basic"))
        good = self.table[np.all(np.isfinite(self.table), axis=1)]
        low, high = (
            np.quantile(good, [tail, 1.0 - tail], axis=0)
            if len(good) > 1
            else np.full((2, len(self.values)), np.nan)
        )
        if kind == "basic":
            low, high = 2.0 * self.values - high, 2.0 * self.values - low
        constant = [entry in self.missing for entry in self.entries]
        low, high = (np.where(constant, np.nan, end) for end in (low, high))
        return Intervals(self.entries, low, high, level, f"{kind} bootstrap", self.missing)

    def __repr__(self) -> str:
        return f"Bootstrap({len(self.table)} draws, {self.failed} failed)"


def refitted(before: Maximum, likelihood: Likelihood, x: Array, free: Array) -> Found:
    """The maximum of the likelihood of other data, near x.

    It may be at a bound, and flat where the likelihood was flat `before`.
    """
    try:
        found = search(likelihood, x, free)
    except (FitError, *OUTSIDE) as error:
        return Found(x, -np.inf, False, brief_error(error), 0, 0)
    if found.message == INTERRUPTED:
        raise KeyboardInterrupt
    return found if found.converged else _judged(before, diagnosed(likelihood, found, x, "newton"))


def _judged(before: Maximum, end: Maximum) -> Found:
    """The end of a search that did not converge, with what the diagnosis says."""
    left = end.usable
    rest = Second(end.found.log_prob, end.gradient[left], -end.hessian[np.ix_(left, left)])
    good = has_converged(end.found.x[left], rest) and all(
        status == "ok"
        or (status == "at its bound" and isinstance(p.constraint, WITH_BOUNDS))
        or (status.startswith("flat") and status == before.status[p])
        for p, status in end.status.items()
    )
    return end.found._replace(converged=good, message=str(end.warnings[0]))


def bootstrapped(result: "FitResult", n: int, rng: Rng, refit: Refit | None = None) -> Bootstrap:
    """Fits of n data sets that are simulated at the estimates.

    Args:
        refit: How a simulated data set is fitted; as `refitted` does by default.
    """
    model, generator = unchanged(result, "bootstrap"), seeded(rng)
    check_count("the number of draws", n, 2)
    refit = refit or partial(refitted, model.maximum)
    table = np.full((n, len(result.facts.values)), np.nan)
    failures: dict[int, str] = {}
    for i in range(n):
        found = _refitted(model, generator, refit)
        if found.converged:
            table[i] = _flat(model, found.x)
        else:
            failures[i] = found.message
    return _summarised(result, table, failures)


def _refitted(model: Model, rng: np.random.Generator, refit: Refit) -> Found:
    traces = model.simulate(rng)
    likelihood, free = replace(model.likelihood, traces=traces), np.ones(len(model.x), bool)
    starts = starts_from(model.x, ~model.maximum.usable)
    found = [refit(likelihood, start, free) for start in starts]
    return max(found, key=lambda f: (f.converged, f.log_prob))


def _flat(model: Model, x: Array) -> Array:
    values = model.likelihood.natural(x)
    return np.concatenate([np.ravel(values[p]) for p in model.keys])


def _summarised(result: "FitResult", table: Array, failures: Mapping[int, str]) -> Bootstrap:
    good = table[[i for i in range(len(table)) if i not in failures]]
    entries, few = result.entries, len(good) < 2
    errors = np.full(table.shape[1], np.nan) if few else np.std(good, axis=0, ddof=1)
    held = dict(needed(result.model, "bootstrap").places.reasons)
    held |= {i: r for i, r in result.errors("observed").missing.items() if np.all(errors[i] == 0.0)}
    errors[list(held)] = np.nan
    missing = {entries[i]: reason for i, reason in held.items()}
    if few:
        missing |= {e: f"{len(good)} of {len(table)} fits succeeded" for e in entries}
    by_name = [result.shaped(row) for row in table]
    return Bootstrap(
        draws={key: np.array([row[key] for row in by_name]) for key in result.facts.estimates},
        std_errors=result.shaped(errors),
        failed=len(failures),
        failures=failures,
        entries=entries,
        table=table,
        values=result.facts.values,
        missing=missing,
    )
