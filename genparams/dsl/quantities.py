"""Quantities: functions of a trace and of numbers that move.

A quantity is a plain function `f(trace, point)`, for example the log probability with its gradient
by some parameters. It depends on the numbers in the point and on what the trace is otherwise, and
on nothing else. Its result is a structure of numbers and arrays, or None where there is none.

A function's `trace_quantities` evaluates them: this module by calling them, a static function by
recorded code.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from genparams.dsl.execution import by_place
from genparams.dsl.interpreter import Choose, Operands, Read, Run
from genparams.dsl.replay import held, replay
from genparams.params import Parameter
from genparams.trace.trace import Trace
from genparams.types import Address


@dataclass(frozen=True, slots=True)
class Point:
    """The numbers on which a quantity of a trace depends."""

    theta: Mapping[Any, Any]
    """What moves: the coordinates of parameters, or of choices by their addresses."""
    held: Read
    """Gives the natural value of a parameter that does not move."""
    args: tuple[Any, ...]
    choices: Mapping[Address, Any]
    log_probs: dict[Address, Any] = field(default_factory=dict)
    """Receives the log probability of each choice of the last run."""

    def read(self, theta: Mapping[Parameter, Any]) -> Read:
        """A `Read` of the parameters, given the coordinates of those that move."""
        return reading(theta, self.held)


Quantity = Callable[[Trace, Point], Any]


def evaluate(
    quantity: Quantity, trace: Trace, theta: Mapping[Any, Any], held: Mapping[Parameter, Any]
) -> Any:
    """A quantity of a trace at its own arguments and choices.

    Args:
        theta: What moves.
        held: The natural values of some other parameters; the others have their present ones.
    """
    return quantity(trace, Point(theta, holding(held), trace.args, trace.choices._values))


def holding(held: Mapping[Parameter, Any]) -> Read:
    """A `Read` that gives these values, and the present ones of other parameters."""

    def read(parameter: Parameter) -> Any:
        value = held.get(parameter)
        if value is None and held:  # it may have been made anew
            value = by_place(held).get((parameter.store, parameter.name))
        return parameter.value if value is None else value

    return read


def reading(theta: Mapping[Parameter, Any], held: Read) -> Read:
    """A `Read` of parameters, some of them at these coordinates, which may be boxes."""
    values: dict[Any, Any] = {}
    free = by_place({p: (p.constraint, leaf) for p, leaf in theta.items()})

    def read(parameter: Parameter) -> Any:
        place = parameter.store, parameter.name
        value = values.get(place)
        if value is None:
            constraint, leaf = free.get(place, (None, None))
            value = held(parameter) if constraint is None else constraint.natural(leaf)
            values[place] = value
        return value

    return read


def run_at(
    trace: Trace, point: Point, read: Read, around: Callable[[Choose], Choose] | None = None
) -> Run:
    """Run a trace's function again with the choices of a point; what it declares is forgotten.

    Args:
        around: Makes another `Choose` of the one that gives these choices.

    Raises:
        ReplayDiffers: the function makes other choices than the trace has.
    """
    choices, refuse = point.choices, held(trace, at_run=True)

    def choose(address: Address, distribution: Any, operands: Operands, size: Any) -> Any:
        try:
            return choices[address]
        except KeyError:
            return refuse(address, distribution, operands, size)

    runs: list[Run] = []
    try:
        answer = choose if around is None else around(choose)
        run, _ = replay(trace, read, point.args, answer, runs, at_run=True)
    finally:
        for one in runs:
            one.forget()
    point.log_probs.update(run.log_probs)
    return run
