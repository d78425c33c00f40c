"""Metropolis-Hastings: propose another trace, then accept it or keep the old one.

Write t for the choices of the trace and p(t) for their density. The three forms differ in how t' is
proposed, and each leaves p invariant given the choices that it does not change.

Reference: Hastings, 1970, Biometrika 57; Green, 1995, Biometrika 82, for moves between spaces of
several dimensions; Cusumano-Towner, Lew and Mansinghka, 2020, https://arxiv.org/abs/2007.09871, for
the involutive form.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from genparams.dsl.execution import Rng, seeded
from genparams.dsl.function import GenerativeFunction
from genparams.errors import ArgumentError, InferenceError, ProposalMismatch
from genparams.learning.sampling.involution import involutive
from genparams.learning.sampling.kernels import decided, state
from genparams.learning.sampling.moved import Moved
from genparams.mistakes import explained
from genparams.text import brief
from genparams.trace.choices import ChoiceMap
from genparams.trace.selection import as_selection, nothing
from genparams.trace.trace import Trace
from genparams.types import Address, show


@explained
def metropolis_hastings(
    trace: Trace,
    selection: Any = None,
    proposal_args: tuple[Any, ...] = (),
    involution: Callable[..., Any] | None = None,
    *,
    proposal: Any = None,
    check: bool = False,
    rng: Rng = None,
) -> Moved:
    """One step of Metropolis-Hastings, in one of three forms.

        metropolis_hastings(trace, selection)
            draws the selected choices again, each from its distribution in the model
        metropolis_hastings(trace, proposal, proposal_args)
            takes new values from a generative function
        metropolis_hastings(trace, proposal, proposal_args, involution)
            takes new values from an involution of the trace and the choices of the proposal

    With the proposal density q, t' is accepted with probability

        min(1, p(t') q(t | t') / (p(t) q(t' | t)) |det J|)

    with J of the involution, else 1. A selection, and a proposal, may change which choices the
    model makes: choices that only one of the two traces has, and that the proposal does not make,
    are drawn from the model, and their densities are part of q. A log ratio of -inf is rejected.

    Args:
        selection: A selection, an address or a list of addresses; or the proposal.
        proposal_args: Arguments of the proposal after the trace: it is called with
            `(trace, *proposal_args)`. Its choices have the addresses of the model.
        involution: A function `involution(trace, choices, retval, proposal_args)` of the trace, the
            choices of the proposal and what it returned. It returns `constraints, back,
            log_abs_det`: new values for the model, the choices of the proposal that lead back, and
            log |det J| of the map from the changed choices and `choices` to their new values and
            `back`. The addresses of the proposal are then its own.
        proposal: The proposal, by name.
        check: Whether the involution is checked at each step: applied again it must lead back, and
            the determinant must be that of finite differences.
        rng: A generator, a seed, or None.

    Returns:
        `trace, accepted`, as `Moved`.

    Raises:
        ArgumentError: the arguments fit none of the three forms.
        UnknownAddress: a selected address is not in the trace.
        InferenceError: the selection selects no choice.
        UnusedConstraint: the model does not visit an address that the proposal gives.
        ProposalMismatch: the proposal cannot propose the way back.
        NotInvolution: the involution does not give every choice; or it fails the check.
        NoDensity: the ratio is NaN.
    """
    trace, generator = state(trace, "metropolis_hastings"), seeded(rng)
    if isinstance(selection, GenerativeFunction) and proposal is None:
        selection, proposal = None, selection
    _check_form(selection, proposal, proposal_args, involution)
    if proposal is None:
        return _by_selection(trace, selection, generator)
    if involution is None:
        return _by_proposal(trace, proposal, proposal_args, generator)
    return involutive(trace, proposal, proposal_args, involution, check, generator)


def _by_selection(trace: Trace, selection: Any, rng: np.random.Generator) -> Moved:
    new, weight = trace.regenerate(selection, rng=rng)
    if weight == 0.0:  # so it is if nothing is selected; then look, which takes time
        _refuse_empty(trace, selection)
    return decided(rng, trace, new, weight)


def _refuse_empty(trace: Trace, selection: Any) -> None:
    chosen = as_selection(selection)
    if chosen != nothing and (chosen.named() or not chosen.wanted()):
        return  # the trace has the addresses, or select(..., missing="ignore")
    if not any(address in chosen for address in trace.choices):
        raise InferenceError(
            f"{chosen!r} selects no choice of {trace.gen_fn.__name__}, so that nothing can move; "
            "write the address of a choice"
        )


def _by_proposal(
    trace: Trace, proposal: Any, proposal_args: tuple[Any, ...], rng: np.random.Generator
) -> Moved:
    """Update the trace by the choices of the proposal; the choices that were replaced lead back."""
    forward, log_forward, _ = proposal.propose((trace, *proposal_args), rng)
    new, weight, discard = trace.update(forward, rng=rng)
    log_back = _log_prob_back(proposal, (new, *proposal_args), trace, new, discard)
    return decided(rng, trace, new, weight - log_forward + log_back)


def _log_prob_back(
    proposal: Any, args: tuple[Any, ...], trace: Trace, new: Trace, discard: ChoiceMap
) -> float:
    """log q(t | t'): the proposal gives the choices that were replaced, and the model draws those
    that the new trace does not have and the proposal does not make.
    """
    back, weight = proposal.generate(args, discard, strict=False)
    for address in back.choices:
        if address not in discard:
            raise _no_way_back(proposal, address, "would change", "this proposal did not")
    rest = [address for address in discard if address not in back.choices]
    for address in rest:
        if address in new.choices:
            raise _no_way_back(proposal, address, "would not change", "this proposal did")
    return weight + sum(trace.log_probs[address] for address in rest)


def _no_way_back(proposal: Any, address: Address, way_back: str, way: str) -> ProposalMismatch:
    return ProposalMismatch(
        f"the move has no way back: from the proposed trace {proposal.__name__} {way_back} "
        f"{show(address)}, and {way}. Let it choose the same addresses in both directions, or "
        "choose at random between moves by a choice of the model"
    )


def _check_form(selection: Any, proposal: Any, proposal_args: Any, involution: Any) -> None:
    if (selection is None) == (proposal is None):
        given = "neither" if proposal is None else "both"
        raise ArgumentError(
            f"metropolis_hastings takes a selection or a proposal, got {given}; write "
            "metropolis_hastings(trace, selection) or metropolis_hastings(trace, proposal, "
            "proposal_args)"
        )
    if proposal is not None and not isinstance(proposal, GenerativeFunction):
        raise ArgumentError(f"a proposal is a generative function, got {brief(proposal)}")
    if isinstance(proposal_args, Trace):
        raise ArgumentError(
            "metropolis_hastings takes one trace and a tuple of proposal_args, for which it got a "
            "trace; mcmc gives each kernel its trace: write functools.partial(metropolis_hastings, "
            "selection=...) without one"
        )
    if not isinstance(proposal_args, tuple):
        raise ArgumentError(
            f"proposal_args is a tuple, got {brief(proposal_args)}; write ({brief(proposal_args)},)"
        )
    if proposal is None and (involution is not None or proposal_args):
        what = "an involution" if involution is not None else "proposal_args"
        raise ArgumentError(
            f"metropolis_hastings got {what} with a selection, and takes it with a proposal: a "
            "generative function of (trace, *proposal_args)"
        )
