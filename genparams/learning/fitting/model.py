"""The model of a fit: what is needed for numbers that were not computed yet.

It holds every parameter that the runs read at its value at the time of the fit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from genparams.dsl.likelihood.aside import simulate_at
from genparams.dsl.likelihood.likelihood import Likelihood
from genparams.dsl.likelihood.sites import Site
from genparams.errors import ModelChanged, NoModel
from genparams.learning.fitting.entries import coordinate_names, entry_names, keys_of, scales_of
from genparams.learning.fitting.errors import Places
from genparams.learning.fitting.maximum import Maximum
from genparams.params import Parameter
from genparams.params.vector import Vector
from genparams.trace.trace import Trace
from genparams.types import Array

if TYPE_CHECKING:
    from genparams.learning.fitting.result import FitResult

T = TypeVar("T")

FROZEN = "frozen"
"""The status of a parameter that is frozen, and why its entries have no standard error."""


@dataclass(frozen=True)
class Model:
    """A maximum with the names of its parameters, those that are held included."""

    maximum: Maximum
    keys: Mapping[Parameter, str]
    """The name of each parameter, in order: first those of the vector, then those held."""
    names: Mapping[str, Sequence[str]]
    """The names of the entries of each parameter."""

    @property
    def likelihood(self) -> Likelihood:
        return self.maximum.likelihood

    @property
    def x(self) -> Array:
        """The coordinates of the maximum."""
        return self.maximum.found.x

    @cached_property
    def values(self) -> dict[Parameter, Any]:
        """The natural values of all parameters, as fitted or as held."""
        return self.likelihood.natural(self.x)

    @cached_property
    def sites(self) -> list[list[Site]]:
        """The choices of each trace, with the arguments of their distributions."""
        return self.likelihood.sites(self.x)

    @cached_property
    def places(self) -> Places:
        """Where the entries are."""
        free = self.likelihood.vector.parameters
        scales = [scale for p in self.keys for scale in scales_of(p)]
        coordinates = [n for p in free for n in coordinate_names(p, self.names[self.keys[p]])]
        reasons, held = {}, [p not in free for p in self.keys for _ in scales_of(p)]
        for row, (scale, is_held) in enumerate(zip(scales, held, strict=True)):
            if is_held or scale is None:
                reasons[row] = FROZEN if is_held else "always 0"
        return Places(self.maximum, list(self.keys), scales, coordinates, reasons)

    def simulate(self, rng: np.random.Generator) -> list[Trace]:
        """Data drawn with the fitted parameters and the arguments of the data, none of it moved."""
        traces = self.likelihood.traces
        return [simulate_at(t.gen_fn, t.args, self.values, rng) for t in traces]

    def __reduce__(self) -> Any:
        return _restored, (self._record(),)

    def _record(self) -> dict[str, Any]:
        """What is pickled: parameters by function and name, so that unpickling finds them again."""
        maximum, likelihood = self.maximum, self.likelihood
        owners = {(f.params, n): (f, n) for t in likelihood.traces for f, n in t.parameters}
        named = {p: owners[p.store, p.name] for p in self.keys}
        fields = ("found", "gradient", "hessian", "missing", "warnings", "method")
        return {
            "traces": list(likelihood.traces),
            "free": [named[p] for p in likelihood.vector.parameters],
            "priors": [(named[p], call) for p, call in likelihood.priors.items()],
            "held": [(named[p], value) for p, value in likelihood.held.items()],
            "status": [(named[p], text) for p, text in maximum.status.items() if p in named],
            "keys": [(named[p], key) for p, key in self.keys.items()],
            "names": dict(self.names),
            "maximum": {name: getattr(maximum, name) for name in fields},
        }


def unchanged(result: "FitResult", what: str) -> Model:
    """The model of a result, which still gives the log likelihood that the result has.

    Raises:
        NoModel: the result has none.
        ModelChanged: an argument or a global that the model reads has changed since the fit.
    """
    model = needed(result.model, what)
    then, now = result.log_likelihood, model.likelihood.log_likelihood(model.x)
    if not abs(now - then) <= 1e-9 * max(1.0, abs(then)) and then == then:
        raise ModelChanged(
            f"{what} runs {result.function} again, and at the estimates its log likelihood is now "
            f"{now:.9g}; at the fit it was {then:.9g}. An argument was changed in place, or "
            "something else that the function reads: fit again, with copies"
        )
    return model


def needed(model: T | None, what: str, known: str = "") -> T:
    """The model of a result, or what only a model gives.

    Args:
        what: What needs it, for an error message.
        known: The kinds of standard error that the result has without it.

    Raises:
        NoModel: the result has none.
    """
    if model is None:
        has = f"; it has those of kind {known}" if known else ""
        raise NoModel(
            f"this result was loaded without its model, which {what} needs{has}. Fit again, or "
            "pickle the result with functions that are defined at the top of a module"
        )
    return model


def model_of(maximum: Maximum, labels: Mapping[str, Sequence[Any]]) -> Model:
    """The model of a maximum, with the parameters that it does not move held as they are now."""
    likelihood = maximum.likelihood
    free = likelihood.vector.parameters
    read = {f.params[n]: None for t in likelihood.traces for f, n in t.parameters}
    held = {p: likelihood.held.get(p, p.value) for p in read if p not in free}
    keys = keys_of([*free, *held])
    names = entry_names({key: p.value_shape for p, key in keys.items()}, labels)
    return Model(replace(maximum, likelihood=replace(likelihood, held=held)), keys, names)


def _restored(record: dict[str, Any]) -> Model | None:
    """A model that was pickled; None where its functions do not have its parameters."""

    def found(pairs: Sequence[tuple[Any, Any]]) -> dict[Parameter, Any]:
        return {f.params[name]: value for (f, name), value in pairs}

    if any(name not in f.params for (f, name), _ in record["keys"]):
        return None
    free = Vector(f.params[name] for f, name in record["free"])
    likelihood = Likelihood(record["traces"], free, found(record["priors"]), found(record["held"]))
    maximum = Maximum(likelihood, status=found(record["status"]), **record["maximum"])
    return Model(maximum, found(record["keys"]), record["names"])
