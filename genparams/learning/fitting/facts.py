"""The numbers of a fit that need no model: they can be saved, and are compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genparams.learning.fitting.model import FROZEN, Model
from genparams.learning.fitting.observations import count_of, has_mixture, hash_of
from genparams.params.numbers import read_only
from genparams.types import Array, Constraint


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a fit beside its standard errors."""

    function: str
    method: str
    estimates: Mapping[str, Any]
    constraints: Mapping[str, Constraint]
    status: Mapping[str, str]
    priors: tuple[str, ...]
    names: Mapping[str, Sequence[str]]
    """The names of the entries of each parameter."""
    values: Array
    """The natural value of each entry."""
    scales: Sequence[Constraint | None]
    """The constraint in whose coordinate the interval of an entry is built; None for a constant."""
    at: Array
    """Each entry in the coordinate of its interval."""
    log_likelihood: float
    log_posterior: float | None
    num_params: int
    num_obs: int
    converged: bool
    message: str
    iterations: int
    evaluations: int
    warnings: tuple[str, ...]
    data_id: str
    """A hash of the addresses and values of the choices."""
    is_mixture: bool


def facts_of(model: Model) -> Facts:
    """The facts of a fit."""
    maximum, likelihood, found = model.maximum, model.likelihood, model.maximum.found
    status = {p: maximum.status.get(p, "ok") for p in likelihood.vector.parameters}
    by_key = {key: p for p, key in model.keys.items()}
    return Facts(
        function=" and ".join(dict.fromkeys(t.gen_fn.__name__ for t in likelihood.traces)),
        method=maximum.method,
        estimates={key: read_only(model.values[p]) for key, p in by_key.items()},
        constraints={key: p.constraint for key, p in by_key.items()},
        status={key: status.get(p, FROZEN) for key, p in by_key.items()},
        priors=tuple(model.keys[p] for p in likelihood.priors),
        names=model.names,
        values=model.places.values,
        scales=model.places.scales,
        at=model.places.at,
        log_likelihood=likelihood.log_likelihood(found.x),
        log_posterior=float(found.log_prob) if likelihood.priors else None,
        num_params=likelihood.vector.size,
        num_obs=count_of(model.sites),
        converged=found.converged,
        message=found.message,
        iterations=found.iterations,
        evaluations=found.evaluations,
        warnings=tuple(f"{type(w).__name__}: {w}" for w in maximum.warnings),
        data_id=hash_of(likelihood.traces),
        is_mixture=has_mixture(model.sites),
    )
