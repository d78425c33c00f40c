"""Comparison of completions with plain runs: a gradient is right only if they agree.

The guide and the model are run again without a tape, on the same choices. A body that computes
something else while it is differentiated, or draws at random by itself, is found so. With particles
as arrays each particle but the last is given the choices of the next one, and the log probabilities
must follow: a body that mixes particles, or lacks their axis where the data happen to have as many
entries, is found so.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from genparams.autodiff import raw
from genparams.dsl.call import Call
from genparams.dsl.interpreter import Choose, Operands, Read, Run
from genparams.dsl.likelihood.sites import Site, recording
from genparams.errors import ReplayDiffers, ShapeError
from genparams.learning.latent.completion import Completion, Problem
from genparams.learning.latent.particles_as_arrays import log_probs_by_particle, plain
from genparams.structure import map_leaves
from genparams.types import Address, Array, show

CLOSE = 1e-6
"""The largest relative difference that is taken for rounding."""
CAUSE = (
    "The body draws at random by itself, changes an array in place, catches an error, reads a "
    "global that changed, or tests the type of a value. Write draws as choices, and change copies"
)


def confirm(problem: Problem, found: Completion, read: Read) -> None:
    """Compare a completion with plain runs on the same choices.

    Raises:
        ReplayDiffers: they give other log probabilities.
        ShapeError: the particles are not independent entries of the first axis.
    """
    pairs = [
        (problem.guide, found.guide_sites, {}),
        (problem.model, found.model_sites, problem.observed),
    ]
    for call, sites, observed in pairs:
        _confirm_one(call, sites, observed, problem.particles, read)


def _confirm_one(
    call: Call[Any],
    sites: Sequence[Site],
    observed: Mapping[Address, Any],
    particles: int | None,
    read: Read,
) -> None:
    sites = [plain(site) for site in sites]
    if particles is not None:
        for site in sites:
            log_probs_by_particle(site, particles)  # refuses a choice without the axis
        order = _moved if particles > 1 else _as_it_is
        bad = _difference(call, sites, observed, particles, read, order)
        if bad is None:
            return
        same = _difference(call, sites, observed, particles, read, _as_it_is)
        if same is None:
            raise _not_independent(call, bad[0], particles)
        raise _differs(call, *same)
    bad = _difference(call, sites, observed, None, read, _as_it_is)
    if bad is not None:
        raise _differs(call, *bad)


def _moved(value: Any) -> Any:
    """Each entry of the first axis but the last is the next one."""
    return np.concatenate([value[1:], value[-1:]])


def _as_it_is(value: Any) -> Any:
    return value


def _difference(
    call: Call[Any],
    sites: Sequence[Site],
    observed: Mapping[Address, Any],
    particles: int | None,
    read: Read,
    order: Any,
) -> tuple[Address, Any, Any] | None:
    """The first choice with another log probability in a plain run: its address and both."""
    given = {
        s.address: s.value if s.address in observed else map_leaves(order, s.value) for s in sites
    }
    again: dict[Address, Site] = {s.address: s for s in _run_plainly(call, given, read)}
    for site in sites:
        if site.address not in again:
            return site.address, _log_probs(site, particles), None
        then = order(_log_probs(site, particles))
        now = _log_probs(again[site.address], particles)
        if not np.all(np.abs(now - then) <= CLOSE * (1.0 + np.abs(then))):
            return site.address, then, now
    return None


def _log_probs(site: Site, particles: int | None) -> Array:
    if particles is None:
        return np.asarray(site.distribution.log_prob_of(site.value, site.operands))
    return log_probs_by_particle(site, particles)


def _run_plainly(call: Call[Any], given: Mapping[Address, Any], read: Read) -> list[Site]:
    """The choices of a run without a tape, on given values; what it declares is forgotten."""
    sites: list[Site] = []

    def choose(address: Address, distribution: Any, operands: Operands, size: Any) -> Any:
        if address not in given:
            name, at = call.fn.__name__, show(address)
            raise ReplayDiffers(name, at, None, "visited", CAUSE)
        return given[address]

    answer: Choose = recording(choose, sites)
    run = Run(answer, lambda parameter: raw(read(parameter)))
    try:
        run.execute(call, keep=False)
    finally:
        run.forget()
    return sites


def _differs(call: Call[Any], address: Address, then: Any, now: Any) -> ReplayDiffers:
    then, now = (None if v is None else float(np.sum(v)) for v in (then, now))
    return ReplayDiffers(call.fn.__name__, show(address), then, now, CAUSE)


def _not_independent(call: Call[Any], address: Address, particles: int) -> ShapeError:
    return ShapeError(
        f"in {call.fn.__name__} the {particles} particles are not independent: where one is given "
        f"the choices of another, its log probability of {show(address)} is not the other's. With "
        "vectorized=True the first axis of every choice runs over the particles and nothing else: "
        "do not sum over it or index it, and give data and parameters that have an axis of "
        f"{particles} by themselves their own axis after it"
    )
