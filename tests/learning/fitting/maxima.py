"""Maxima for the tests of results, near the present parameters."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from genparams.dsl.likelihood.likelihood import Likelihood
from genparams.learning.fitting.maximum import Maximum
from genparams.learning.fitting.model import Model
from genparams.learning.fitting.result import FitResult
from genparams.learning.fitting.search import search
from genparams.params.vector import Vector


def likelihood_of(traces: Any, priors: Mapping[Any, Any] | None = None) -> Likelihood:
    """The likelihood of traces, over every parameter that they read and that is not frozen."""
    traces = traces if isinstance(traces, list) else [traces]
    read = dict.fromkeys(f.params[name] for t in traces for f, name in t.parameters)
    return Likelihood(traces, Vector(p for p in read if not p.frozen), dict(priors or {}))


def maximum_of(
    traces: Any,
    priors: Mapping[Any, Any] | None = None,
    missing: Mapping[int, str] | None = None,
) -> Maximum:
    """The maximum near the present parameters, which move there."""
    likelihood = likelihood_of(traces, priors)
    missing = dict(missing or {})
    free = np.ones(likelihood.vector.size, bool)
    free[list(missing)] = False
    found = search(likelihood, likelihood.vector.now(), free)
    likelihood.vector.move_to(found.x)
    at = likelihood.hessian(found.x)
    status = {
        p: "at its bound" if any(k in range(*s.indices(10**6)) for k in missing) else "ok"
        for p, s in likelihood.vector.places.items()
    }
    return Maximum(likelihood, found, at.gradient, at.matrix, status, missing, (), "newton")


def model_in(result: FitResult) -> Model:
    """The model of a result that was not loaded from a file."""
    assert result.model is not None
    return result.model


def likelihood_in(result: FitResult) -> Likelihood:
    """The likelihood of a result."""
    return model_in(result).likelihood


def data_in(result: FitResult, address: Any) -> np.ndarray:
    """The choice of the data at an address."""
    return np.asarray(likelihood_in(result).traces[0][address])


def fitted(
    function: Any, args: tuple[Any, ...], data: Mapping[Any, Any], **named: Any
) -> FitResult:
    """The result of a fit from the present parameters."""
    trace, _ = function.generate(args, data)
    of = {k: named.pop(k) for k in ("labels", "kind") if k in named}
    return FitResult.of(maximum_of(trace, **named), **of)
