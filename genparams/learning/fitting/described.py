"""What a result says without its model and its errors: estimates, the search, and criteria."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from genparams.errors import UnknownParameter, nearest
from genparams.learning.fitting.facts import Facts
from genparams.text import brief
from genparams.types import Array, Constraint


@dataclass(frozen=True, eq=False, repr=False)
class Described:
    """The part of a `FitResult` that reads its facts."""

    facts: Facts

    # --- Estimates

    @property
    def function(self) -> str:
        """The name of the function that was fitted."""
        return self.facts.function

    @property
    def method(self) -> str:
        """How the maximum was searched for."""
        return self.facts.method

    @property
    def estimates(self) -> dict[str, Any]:
        """The natural value of each parameter by name, frozen ones included."""
        return dict(self.facts.estimates)

    @property
    def entries(self) -> list[str]:
        """The name of each number in the estimates, in order."""
        return [name for names in self.facts.names.values() for name in names]

    @property
    def labels(self) -> dict[str, list[str]]:
        """The names of the entries of each parameter."""
        return {key: list(names) for key, names in self.facts.names.items()}

    @property
    def constraints(self) -> dict[str, Constraint]:
        """The constraint of each parameter."""
        return dict(self.facts.constraints)

    @property
    def priors(self) -> tuple[str, ...]:
        """The names of the parameters that have a prior."""
        return self.facts.priors

    @property
    def status(self) -> dict[str, str]:
        """For each parameter `"ok"`, `"frozen"`, or what is wrong in a few words."""
        return dict(self.facts.status)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to doubt, in sentences."""
        return self.facts.warnings

    # --- The search

    @property
    def converged(self) -> bool:
        """Whether the search ended at a maximum."""
        return self.facts.converged

    @property
    def message(self) -> str:
        """Why the search ended, in words."""
        return self.facts.message

    @property
    def iterations(self) -> int:
        """The steps of the search."""
        return self.facts.iterations

    @property
    def evaluations(self) -> int:
        """How often the search evaluated the likelihood."""
        return self.facts.evaluations

    # --- Log likelihood and criteria

    @property
    def log_likelihood(self) -> float:
        """The log probability of the data at the estimates, without priors."""
        return self.facts.log_likelihood

    @property
    def log_posterior(self) -> float:
        """The log likelihood and the log density of the priors; without priors the same."""
        found = self.facts.log_posterior
        return self.log_likelihood if found is None else found

    @property
    def num_params(self) -> int:
        """The number of free unconstrained coordinates: a simplex of K entries has K - 1."""
        return self.facts.num_params

    @property
    def num_obs(self) -> int:
        """The number of observations: members of the batches of all choices."""
        return self.facts.num_obs

    @property
    def data_id(self) -> str:
        """A hash of the addresses and values of the data: fits of the same data have the same."""
        return self.facts.data_id

    @property
    def df_residual(self) -> int:
        """The number of observations without the number of parameters."""
        return self.num_obs - self.num_params

    @property
    def aic(self) -> float:
        """Akaike's criterion, 2 p - 2 log likelihood; NaN where the likelihood has no bound."""
        return math.nan if self._unbounded else 2.0 * (self.num_params - self.log_likelihood)

    @property
    def aicc(self) -> float:
        """AIC + 2 p (p + 1) / (n - p - 1); NaN unless n > p + 1."""
        p, n = self.num_params, self.num_obs
        return self.aic + 2.0 * p * (p + 1) / (n - p - 1) if n > p + 1 else math.nan

    @property
    def bic(self) -> float:
        """The criterion of Schwarz, p log n - 2 log likelihood; NaN unless n > 1, or where the
        likelihood has no bound.
        """
        if self.num_obs < 2 or self._unbounded:
            return math.nan
        return self.num_params * math.log(self.num_obs) - 2.0 * self.log_likelihood

    @property
    def _unbounded(self) -> bool:
        return "without bound" in self.facts.status.values()

    @property
    def missing_criteria(self) -> dict[str, str]:
        """Why an information criterion is NaN, by its name."""
        if self._unbounded:
            return dict.fromkeys(("aic", "aicc", "bic"), "the likelihood has no bound")
        found, few = {}, self.num_params + 1
        if self.num_obs <= few:
            found["aicc"] = f"AICc needs more than {few} observations"
        if self.num_obs < 2:
            found["bic"] = "BIC needs more than one observation; a vector alone is one"
        return found

    # --- Entries

    def shaped(self, flat: Array) -> dict[str, Any]:
        """Numbers of the entries, by parameter name in the shape of the estimates."""
        found, start = {}, 0
        for key, value in self.facts.estimates.items():
            part = flat[start : start + np.size(value)]
            start += np.size(value)
            found[key] = part.reshape(np.shape(value)) if np.ndim(value) else float(part[0])
        return found

    def place_of(self, entry: str) -> int:
        """The place of an entry.

        Raises:
            UnknownParameter: there is none of that name.
        """
        entries = self.entries
        if entry in entries:
            return entries.index(entry)
        if entry in self.facts.names:
            first = self.facts.names[entry][0] if self.facts.names[entry] else entry
            raise UnknownParameter(f"{entry!r} has several entries; write one, such as {first!r}")
        raise UnknownParameter(f"there is no entry {brief(entry)}; {nearest(str(entry), entries)}")
