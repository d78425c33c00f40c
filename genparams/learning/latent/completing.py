"""The completions of data by an E step: one source of weighted traces for each datum."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from genparams.errors import ArgumentError, InferenceError, InvalidValue, ShapeError
from genparams.learning.latent.e_steps import MARGINAL, EStep
from genparams.learning.sampling.particles import Particles, log_sum_exp, refuse_weights
from genparams.text import brief
from genparams.trace.choices import ChoiceMap, same
from genparams.trace.trace import Trace
from genparams.types import show


def completions(
    e_step: EStep, model: Any, args: tuple[Any, ...], observed: ChoiceMap, rng: Any
) -> Iterator[Particles]:
    """Weighted traces of one datum, each time at the parameters as they are then.

    Raises:
        ArgumentError: the E step gives something else, or ends.
        InferenceError: a trace does not agree with the observations.
        NoDensity: every weight is 0.
    """
    while True:
        found = e_step.draw(model, args, observed, rng=rng)
        if not isinstance(found, Iterator):
            yield _checked(found, e_step, model, observed)
            continue
        for one in found:
            yield _checked(one, e_step, model, observed)
        raise ArgumentError(
            "the generator of an E step ended; let it yield completions for ever, while True: ..."
        )


def _checked(found: Any, e_step: EStep, model: Any, observed: ChoiceMap) -> Particles:
    particles = found if isinstance(found, Particles) else _of_pair(found)
    for trace in particles.traces:
        if trace.gen_fn is not model:
            raise ArgumentError(
                f"an E step gives traces of {model.__name__}, got one of {trace.gen_fn.__name__}"
            )
        for address, value in observed.items():
            now = trace.choices._values.get(address)
            if now is None or not same(now, value):
                has = "has no such choice" if now is None else f"has {brief(now)}"
                raise InferenceError(
                    f"{brief(value)} was observed at {show(address)}, and a trace of the E step "
                    f"{has}; an E step draws hidden choices only"
                )
    if e_step.objective == MARGINAL and not np.isfinite(particles.log_marginal_likelihood):
        raise InvalidValue(
            f"the E step gives the log marginal likelihood {particles.log_marginal_likelihood}; "
            "leave out the objective of EStep where it is not estimated"
        )
    return particles


def _of_pair(found: Any) -> Particles:
    """Particles of a pair of traces and log weights, which need not be normalised."""
    is_pair = isinstance(found, tuple) and len(found) == 2
    traces = list(found[0]) if is_pair and isinstance(found[0], (list, tuple)) else []
    if not traces or not all(isinstance(trace, Trace) for trace in traces):
        raise ArgumentError(
            "an E step gives Particles, or a pair of a list of traces and a list of log weights, "
            f"got {brief(found)}"
        )
    log_weights = np.asarray(found[1], dtype=float)
    if log_weights.shape != (len(traces),):
        raise ShapeError(
            f"an E step gives a log weight for each trace: {len(traces)} traces, and log weights "
            f"of shape {log_weights.shape}"
        )
    refuse_weights(traces, log_weights)
    return Particles(tuple(traces), log_weights - log_sum_exp(log_weights), float("nan"))
