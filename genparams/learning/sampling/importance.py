"""Importance sampling: traces that agree with the observations, and their weights."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from genparams.dsl.execution import Rng, seeded
from genparams.dsl.function import GenerativeFunction
from genparams.errors import (
    AddressConflict,
    ArgumentError,
    ProposalMismatch,
    UnusedConstraint,
    nearest,
)
from genparams.learning.checks import check_count
from genparams.learning.sampling.particles import Particles, particles_of
from genparams.mistakes import explained
from genparams.text import brief
from genparams.trace.choices import ChoiceMap
from genparams.trace.results import Results
from genparams.trace.trace import Trace
from genparams.types import Address, show


class Resampled(Results):
    """What `importance_resampling` returns."""

    made_by = "importance_resampling"
    parts = "trace, log_marginal_likelihood"


@explained
def importance_sampling(
    model: Any,
    args: tuple[Any, ...],
    observations: Mapping[Any, Any],
    num_samples: int,
    *,
    proposal: Any = None,
    proposal_args: tuple[Any, ...] = (),
    rng: Rng = None,
) -> Particles:
    """Draw traces that agree with the observations y, and weigh them.

        w = p(t, y; x) / q(t)

    The proposal q draws the choices that it makes, the model draws the others from its own
    distributions. The mean weight is an unbiased estimate of p(y; x). It varies little where q is
    near the posterior and has heavier tails.

    Args:
        model: A generative function.
        args: The arguments x, a tuple.
        observations: The values of some choices, by address.
        proposal: A generative function of `proposal_args` that chooses at addresses of the model
            which are not observed. None means that the model draws all of them.
        rng: A generator, a seed, or None. A seeded run repeats to the bit.

    Raises:
        UnusedConstraint: the model does not visit an address that is observed.
        ProposalMismatch: the proposal chooses at an address that is observed, or that the model
            does not visit.
        NoDensity: every weight is 0, or one is not finite; the error names a choice.
        InvalidValue: `num_samples` is no whole number of at least 1.
        ArgumentError: the model or the proposal is not a generative function.

    Reference: Robert and Casella, 2004, Monte Carlo Statistical Methods, section 3.3.
    """
    check_count("num_samples", num_samples)
    check_functions(model, proposal, proposal_args)
    given, generator = ChoiceMap(observations), seeded(rng)
    each = [
        weighted_trace(model, args, given, proposal, proposal_args, generator)
        for _ in range(num_samples)
    ]
    traces, log_weights = zip(*each, strict=True)
    return particles_of(traces, np.array(log_weights))


@explained
def importance_resampling(
    model: Any,
    args: tuple[Any, ...],
    observations: Mapping[Any, Any],
    num_samples: int,
    *,
    proposal: Any = None,
    proposal_args: tuple[Any, ...] = (),
    rng: Rng = None,
) -> tuple[Trace, float]:
    """One trace, drawn from the traces of `importance_sampling` in proportion to their weights.

    It is near a draw from the posterior if `num_samples` is large. For several traces write
    `importance_sampling(...).resample(n)`.

    Args:
        model, args, observations, num_samples, proposal, proposal_args, rng: as for
            `importance_sampling`, and with the same errors.

    Returns:
        The trace, and an estimate of log p(y; x).

    Reference: Rubin, 1988, Using the SIR algorithm to simulate posterior distributions.
    """
    generator = seeded(rng)
    found = importance_sampling(
        model,
        args,
        observations,
        num_samples,
        proposal=proposal,
        proposal_args=proposal_args,
        rng=generator,
    )
    trace = found.resample(1, rng=generator).traces[0]
    return Resampled((trace, found.log_marginal_likelihood))  # type: ignore[return-value]


def weighted_trace(
    model: Any,
    args: tuple[Any, ...],
    observations: ChoiceMap,
    proposal: Any,
    proposal_args: tuple[Any, ...],
    rng: np.random.Generator,
) -> tuple[Trace, float]:
    """A trace that agrees with the observations, and the logarithm of its weight."""
    if proposal is None:
        return model.generate(args, observations, rng)
    proposed, log_q, _ = proposal.propose(proposal_args, rng)
    given = merged(observations, proposed, proposal)
    trace, weight = model.generate(args, given, rng, strict=False)
    _refuse_unvisited(trace, observations, proposed, proposal)
    return trace, weight - log_q


def merged(observations: ChoiceMap, proposed: ChoiceMap, proposal: Any) -> ChoiceMap:
    """The observations and what a proposal chose.

    Raises:
        ProposalMismatch: it chose at an address that is observed, or above or below one.
    """
    try:
        return observations.merge(proposed)
    except AddressConflict as error:
        both = next((a for a in proposed if a in observations), None)
        what = f"chooses {show(both)}, which is observed" if both else f"does not fit: {error}"
        raise ProposalMismatch(
            f"the proposal {proposal.__name__} {what}; let it choose only what is not observed"
        ) from None


def _refuse_unvisited(
    trace: Trace, observations: ChoiceMap, proposed: ChoiceMap, proposal: Any
) -> None:
    name, known = trace.gen_fn.__name__, [show(a) for a in trace.choices]
    for address in observations:
        if address not in trace.choices:
            raise UnusedConstraint(
                f"{name} never visited {show(address)}; {nearest(show(address), known)}"
            )
    for address in proposed:
        if address not in trace.choices:
            raise _proposed_in_vain(proposal, address, name, known)


def _proposed_in_vain(
    proposal: Any, address: Address, name: str, known: list[str]
) -> ProposalMismatch:
    return ProposalMismatch(
        f"the proposal {proposal.__name__} chooses {show(address)}, which {name} did not visit in "
        f"this run; {nearest(show(address), known)}. A proposal chooses at addresses that the "
        "model visits whenever it does"
    )


def check_functions(model: Any, proposal: Any, proposal_args: Any) -> None:
    """Refuse a model or a proposal that is no generative function, and arguments in no tuple."""
    if not isinstance(model, GenerativeFunction):
        raise ArgumentError(
            f"a model is a generative function, got {brief(model)}; write @gen above its definition"
        )
    if proposal is not None and not isinstance(proposal, GenerativeFunction):
        raise ArgumentError(f"a proposal is a generative function, got {brief(proposal)}")
    if not isinstance(proposal_args, tuple):
        raise ArgumentError(
            f"proposal_args is a tuple, got {brief(proposal_args)}; write ({brief(proposal_args)},)"
        )
    if proposal is None and proposal_args:
        raise ArgumentError(
            "proposal_args were given without a proposal; write proposal=f, a generative function"
        )
