"""What a kernel returns: the next state of a Markov chain."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from genparams.trace.results import Results
from genparams.trace.trace import Trace
from genparams.types import Array

_NONE: Mapping[str, float] = MappingProxyType({})


class Moved(Results):
    """The pair `trace, accepted` of one step of a Markov chain, and what is known of the step.

        trace, accepted = metropolis_hastings(trace, "mu")

    A rejected step returns the trace that it was given.
    """

    made_by = "kernel"
    parts = "trace, accepted"

    accept_prob: float
    """The probability with which the proposal was accepted."""
    divergent: bool
    """Whether the trajectory left the region where its integrator is accurate."""
    stats: Mapping[str, float]
    """Other numbers of the step by name, such as `step_size` and `tree_depth`."""
    coordinates: Array | None
    """The unconstrained coordinates of the selected choices after the step, where a kernel uses
    them: the warm-up of `mcmc` learns a metric from them."""

    def __new__(
        cls,
        trace: Trace,
        accepted: bool,
        accept_prob: float | None = None,
        divergent: bool = False,
        stats: Mapping[str, float] = _NONE,
        coordinates: Array | None = None,
    ) -> "Moved":
        self = super().__new__(cls, (trace, bool(accepted)))
        self.accept_prob = float(accepted) if accept_prob is None else float(accept_prob)
        self.divergent = bool(divergent)
        self.stats = stats
        self.coordinates = coordinates
        return self

    @property
    def trace(self) -> Trace:
        return self[0]

    @property
    def accepted(self) -> bool:
        return self[1]

    def __reduce__(self) -> tuple[Any, ...]:
        rest = (self.accept_prob, self.divergent, dict(self.stats), self.coordinates)
        return Moved, (*self, *rest)
