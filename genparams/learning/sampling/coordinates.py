"""Selected choices of a trace as one vector of unconstrained real numbers.

Methods that follow a gradient need a density over all real vectors. Each selected choice is mapped
to coordinates by its own bijection: log for what is positive, logit for what lies between two
bounds, the coordinates of a constraint for what is jointly constrained, and the value itself for
what may be any number (`genparams.dsl.distributions.regions`). Other choices, the arguments and the
parameters are held.
"""

from dataclasses import dataclass
from typing import Any

from genparams.dsl.unconstrained_replay import Layout, first_replay, replay_at, trace_at
from genparams.errors import ArgumentError
from genparams.text import brief
from genparams.trace.selection import selection_of
from genparams.trace.trace import Trace
from genparams.types import Address, Array


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """Coordinates u, with the log density there and its gradient by u."""

    u: Array
    log_density: float
    gradient: Array


class Coordinates:
    """The selected choices t of a trace as a function of coordinates u, with the density

        log p(t(u); x) + log |d t / d u|

    or, without `jacobian`, log p(t(u); x) alone. The density is taken at the parameters as they are
    when the object is made, and nothing is accumulated.

    `start` is the point of the trace, `at(u)` the point at other coordinates, and `trace_at(u)` the
    trace there.
    """

    def __init__(self, trace: Trace, selection: Any, jacobian: bool = True):
        """Compute the coordinates of the trace, and the density there.

        Raises:
            ArgumentError: `trace` is not a trace, or the selection is empty.
            DistributionError: a selected choice is discrete, or is at a bound, or its distribution
                has no unconstrained coordinates.
            UnknownAddress: a selected address is not in the trace.
            ImpossibleTrace, ReplayDiffers, ForeignParameters: as `Trace.choice_gradients`.
        """
        if isinstance(trace, tuple) and len(trace) == 2 and isinstance(trace[0], Trace):
            raise ArgumentError(
                f"the first argument is a trace, got a trace and {brief(trace[1])}; a kernel "
                "returns two things: write trace, accepted = ..."
            )
        if not isinstance(trace, Trace):
            raise ArgumentError(
                "the first argument is a trace, as in trace, weight = model.generate(args, "
                f"observations), got {brief(trace)}"
            )
        selected = selection_of(selection, trace.choices)
        self.trace = trace
        self._values: dict[Any, Any] = {}  # of the parameters
        self._layout: Layout
        self._layout, u, found = first_replay(trace, selected, self._values, jacobian)
        if not self._layout.size:
            raise ArgumentError(
                f"{brief(selection)} selects no choice of this trace; select one or several"
            )
        self.start = Point(u, *found)

    @property
    def size(self) -> int:
        """The length of u."""
        return self._layout.size

    @property
    def addresses(self) -> list[Address]:
        """The selected choices, in the order of the run, which is their order in u."""
        return list(self._layout.pieces)

    def at(self, u: Array) -> Point | None:
        """The point at coordinates u; None where the density is 0, not finite or not computable.

        Raises:
            StructureChange: there the function visits other choices than the trace has.
        """
        found = replay_at(self.trace, self._layout, u, self._values)
        return None if found is None else Point(u, *found)

    def trace_at(self, u: Array) -> Trace:
        """The trace with the selected choices at coordinates u."""
        return trace_at(self.trace, self._layout, u)
