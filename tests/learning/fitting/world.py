"""A world: a model with its data, starts from which to fit it, and the fit that is right."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genparams import ParamStore, init_param
from genparams.datasets import ReferenceFit

Values = Mapping[str, Any]

COMPUTED = json.loads(Path(__file__).with_name("world_references.json").read_text("utf-8"))
"""Fits by name that `world_references` computes."""


@dataclass(frozen=True, slots=True)
class World:
    """A model, its data, and its maximum-likelihood fit from elsewhere.

    Args:
        name: `table.fit` where the fit is one of `genparams.datasets`.
        function: The model. Its body declares the constraints of its parameters.
        reference: An estimate and a standard error of the observed information for each
            parameter, on its natural scale; no standard error if the estimate is at its bound.
        num_obs: The number of independent observations.
        starts: Values of all parameters, legal and poor.
    """

    name: str
    function: Any
    args: tuple[Any, ...]
    constraints: Mapping[Any, Any]
    reference: Mapping[str, tuple[Any, Any]]
    log_likelihood: float
    num_obs: int
    starts: tuple[Values, ...]

    def make(self, start: int = 0) -> tuple[Any, tuple[Any, ...], Mapping[Any, Any]]:
        """The model with new parameters at a start, the arguments and the constraints."""
        return self.at(self.starts[start]), self.args, self.constraints

    def at(self, values: Values) -> Any:
        """The model with new parameters of these values."""
        function = self.function.with_params(ParamStore())
        for name, value in values.items():
            init_param(function, name, value)
        return function

    @property
    def estimates(self) -> dict[str, Any]:
        return {name: estimate for name, (estimate, _) in self.reference.items()}

    @property
    def at_bound(self) -> bool:
        return any(error is None for _, error in self.reference.values())


def printed(
    name: str,
    fit: ReferenceFit,
    function: Any,
    args: tuple[Any, ...],
    constraints: Mapping[Any, Any],
    num_obs: int,
    *starts: Values,
) -> World:
    """A world whose reference is a fit of `genparams.datasets` with a number per parameter."""
    errors = {n: fit.std_errors.get(n) for n in fit.estimates}
    reference = {n: (fit.estimates[n], errors[n]) for n in fit.estimates}
    return World(name, function, args, constraints, reference, fit.log_likelihood, num_obs, starts)


def computed(
    name: str,
    function: Any,
    args: tuple[Any, ...],
    constraints: Mapping[Any, Any],
    num_obs: int,
    *starts: Values,
) -> World:
    """A world whose reference is in `world_references.json`."""
    fit = COMPUTED[name]
    pairs = zip(fit["estimates"].items(), fit["std_errors"].values(), strict=True)
    reference = {n: (_plain(value), _plain(error)) for (n, value), error in pairs}
    value = fit["log_likelihood"]
    return World(name, function, args, constraints, reference, value, num_obs, starts)


def _plain(value: Any) -> Any:
    return np.array(value) if isinstance(value, list) else value
