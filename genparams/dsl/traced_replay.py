"""Traced replays: replays on a tape, with boxes for the inputs to differentiate by.

The inputs of a replay are its parameters, arguments and choices. Which of them are boxed is all
that distinguishes the gradient by parameters from the gradient by choices.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from genparams.autodiff import Box, Tape, mark_shared, operand
from genparams.dsl.execution import recorder
from genparams.dsl.interpreter import Choose, Operands, Read, Run
from genparams.dsl.replay import as_in_run, held, replay
from genparams.errors import DistributionError
from genparams.params import Parameter, read
from genparams.structure import leaves, map_leaves
from genparams.trace.selection import Selection
from genparams.trace.trace import Trace
from genparams.types import Address, show


class Inputs(NamedTuple):
    """The inputs by which a gradient is wanted, or the gradients by them."""

    theta: dict[Parameter, Any]
    """The coordinates of parameters."""
    args: tuple[Any, ...]
    """The arguments; None for one by which no gradient is wanted."""
    choices: dict[Address, Any]

    def with_leaves(self, values: Sequence[Any]) -> "Inputs":
        """The same structures with other leaves, in order."""
        theta = dict(zip(self.theta, values, strict=False))
        if len(values) == len(theta):
            return Inputs(theta, self.args, self.choices)
        rest = map(own, values[len(theta) :])
        return Inputs(theta, _refilled(self.args, rest), _refilled(self.choices, rest))


def own(g: Any) -> Any:
    """A gradient that its receiver may change: the gradients of two inputs may be one array."""
    return g.copy() if isinstance(g, np.ndarray) else g


@dataclass(slots=True)
class TracedReplay:
    """A replay on a tape, not yet differentiated."""

    tape: Tape
    run: Run
    retval: Any
    values: dict[Parameter, Any]
    """Each parameter that the replay read, with its value, boxed or not."""
    inputs: Inputs
    leaves: list[Box]
    """The boxes of the inputs, in order."""


def traced_replay(
    trace: Trace, tape: Tape, runs: list[Run], selection: Selection | None = None
) -> TracedReplay:
    """Run a trace's function again at the present parameters, on a tape.

    The arguments that `arg_grads` names are boxed, and with them the selected choices or, if no
    selection is given, the parameters.
    """
    inputs = Inputs({}, _boxed_args(trace, tape), {})
    given = trace.args
    if trace.gen_fn.grad_places:
        pairs = zip(inputs.args, given, strict=True)
        given = tuple([a if boxed is None else boxed for boxed, a in pairs])
    if selection is None:
        values: dict[Parameter, Any] = {}
        answer, choose = boxing(tape, inputs.theta, values), None
    else:
        answer, values = recorder()
        choose = _boxing_choices(trace, tape, selection, inputs.choices)
    run, retval = replay(trace, answer, given, choose, runs)
    boxes = list(inputs.theta.values())
    if inputs.choices or trace.gen_fn.grad_places:
        boxes += [x for x in leaves([inputs.args, inputs.choices]) if x is not None]
    return TracedReplay(tape, run, retval, values, inputs, boxes)


def traced_replay_at_run(trace: Trace, tape: Tape, runs: list[Run]) -> TracedReplay:
    """Run a trace's function again at the parameter values of its run, which are boxed."""
    natural = as_in_run(trace)
    theta: dict[Parameter, Any] = {}
    values: dict[Parameter, Any] = {}

    def answer(parameter: Parameter) -> Any:
        if parameter not in values:
            value = values[parameter] = natural(parameter)
            if not parameter.frozen:
                values[parameter] = theta[parameter] = tape.leaf(value)
        return values[parameter]

    run, retval = replay(trace, answer, trace.args, runs=runs, at_run=True)
    inputs = Inputs(theta, (None,) * len(trace.args), {})
    return TracedReplay(tape, run, retval, values, inputs, list(theta.values()))


def boxing(
    tape: Tape,
    theta: dict[Parameter, Any],
    values: dict[Parameter, Any],
    fixed: Collection[Parameter] = (),
) -> Read:
    """A `Read` that gives each value as a function of its boxed coordinates.

    Args:
        fixed: Parameters that are constants, as the frozen ones are.
    """

    def answer(parameter: Parameter) -> Any:
        value = values.get(parameter)
        if value is None:  # boxed once, as it is first read
            at, value, is_frozen = read(parameter)
            if not is_frozen and parameter not in fixed:
                leaf = theta[parameter] = tape.leaf(at)
                natural = parameter.constraint.natural(leaf)
                if natural is not leaf:
                    natural.value = value  # the number that a run reads, to the bit
                    if type(value) is not float:
                        mark_shared(natural)
                value = natural
            values[parameter] = value
        return value

    return answer


def _boxing_choices(
    trace: Trace, tape: Tape, selection: Selection, chosen: dict[Address, Any]
) -> Choose:
    """A `Choose` that holds every choice, boxed if it is selected."""
    answer = held(trace)

    def choose(address: Address, distribution: Any, operands: Operands, size: Any) -> Any:
        value = answer(address, distribution, operands, size)
        if address not in selection:
            return value
        if not distribution.kind.continuous:
            raise DistributionError(
                f"the choice at {show(address)} is discrete ({distribution.__name__}) and has no "
                "gradient; select continuous choices only"
            )
        chosen[address] = _boxed(tape, value)
        return chosen[address]

    return choose


def _boxed_args(trace: Trace, tape: Tape) -> tuple[Any, ...]:
    places = trace.gen_fn.grad_places
    if not places:
        return (None,) * len(trace.args)
    return tuple([_boxed(tape, a) if i in places else None for i, a in enumerate(trace.args)])


def _boxed(tape: Tape, tree: Any) -> Any:
    """The structure with a leaf of the tape for each number and array in it."""
    return map_leaves(lambda value: value if value is None else tape.leaf(operand(value)), tree)


def _refilled(tree: Any, rest: Any) -> Any:
    return map_leaves(lambda leaf: None if leaf is None else next(rest), tree)
