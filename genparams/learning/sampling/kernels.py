"""What kernels share: the state that they start from, and the decision to accept."""

from typing import Any

import numpy as np

from genparams.errors import ArgumentError, NoDensity
from genparams.learning.sampling.moved import Moved
from genparams.text import brief
from genparams.trace.trace import Trace
from genparams.types import show


def state(trace: Any, kernel: str) -> Trace:
    """The trace that a kernel is given, at the present parameters.

    Raises:
        ArgumentError: it is not a trace.
    """
    if isinstance(trace, tuple) and len(trace) == 2 and isinstance(trace[0], Trace):
        raise ArgumentError(
            f"{kernel} moves a trace, got a trace and {brief(trace[1])}; a kernel returns two "
            "things: write trace, accepted = ..."
        )
    if not isinstance(trace, Trace):
        raise ArgumentError(
            f"{kernel} moves a trace, which comes first, got {brief(trace)}; write "
            f"{kernel}(trace, ...), or functools.partial({kernel}, name=value) with every other "
            "argument by name"
        )
    return trace.rescored() if trace.is_stale else trace


def decided(
    rng: np.random.Generator, trace: Trace, proposed: Trace, log_ratio: float, **stats: float
) -> Moved:
    """Accept a proposed trace with probability min(1, exp(log_ratio)), else keep the old one.

    Raises:
        NoDensity: the ratio is NaN.
    """
    if np.isnan(log_ratio):
        raise nan_ratio(trace, proposed)
    accept_prob = float(np.exp(min(log_ratio, 0.0)))
    accepted = rng.random() < accept_prob
    return Moved(proposed if accepted else trace, accepted, accept_prob, stats=stats)


def nan_ratio(trace: Trace, proposed: Trace) -> Exception:
    """The error of an acceptance ratio that is NaN, which names the choice that makes it."""
    for one, what in (
        (trace, "a chain cannot move on from this trace"),
        (proposed, "a proposed trace cannot be accepted or rejected"),
    ):
        for address, log_prob in one.log_probs.items():
            if not np.isfinite(log_prob):
                return NoDensity(one.gen_fn.__name__, show(address), float(log_prob), what)
    name = trace.gen_fn.__name__
    return NoDensity(name, "the proposal", np.nan, "an acceptance ratio cannot be computed")
