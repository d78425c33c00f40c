"""The gradient of a trace, recorded: a replay on a tape whose numbers note each operation.

The replay and its way back are those of the interpreter. Only the inputs differ: the coordinates of
parameters, and the numbers in arguments and choices, are recorded values.
"""

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import wraps
from typing import Any

import numpy as np

from genparams.autodiff import Box, Tape, operand
from genparams.compiled.outside import Outside
from genparams.dsl.interpreter import Choose, Operands
from genparams.dsl.replay import held, replay
from genparams.dsl.traced_replay import Inputs
from genparams.numeric import quiet
from genparams.params import Parameter, read
from genparams.program.recorded import DATA, PARAMETERS, Recorded, Recording, plain
from genparams.structure import leaves, map_leaves
from genparams.trace.selection import Selection
from genparams.trace.trace import Trace
from genparams.types import Address, P, R, show

CAP = 1_000_000
"""The most operations of a recording."""


class Open(IntEnum):
    """Which numbers of a trace may change from one use of a recording to the next."""

    ALL = 2
    """The numbers in arguments, and the choices."""
    CHOICES = 1
    """The choices; what depends on arguments is constant."""
    NOTHING = 0


@dataclass(slots=True)
class RecordedGradient:
    """The gradient of a trace, and how it was computed."""

    recording: Recording
    parameters: list[Parameter]
    """Those that were read, in the order of the recording's inputs."""
    log_prob: Any
    """A recorded value, or a number that depends on no input."""
    inputs: Inputs
    """What the gradient is by; the leaves are boxes."""
    grads: list[Any]
    """The gradients by these leaves: recorded values, or constants."""
    log_probs: dict[Address, Any]
    """The log probability of each choice."""


def is_input(value: Any) -> bool:
    """Whether a leaf of the arguments, or a choice, is an input: a float, or an array of numbers.

    Single whole numbers and truth values are constants: they count, index and branch.
    """
    kind = type(value)
    return kind is float or (kind is np.ndarray and value.ndim > 0 and value.dtype.kind in "fiub")


def data_of(trace: Trace, opened: Open) -> Iterator[tuple[str, Any]]:
    """The inputs of a trace that are no parameters, each with what it is called."""
    if opened >= Open.ALL:
        names = trace.gen_fn.argument_names
        for i, value in enumerate(trace.args):
            for leaf in leaves(value):
                if is_input(leaf):
                    yield names[min(i, len(names) - 1)], leaf
    if opened >= Open.CHOICES:
        for address, value in trace.choices._values.items():
            for leaf in leaves(value):
                if is_input(leaf):
                    yield show(address), leaf


def numbers_of(trace: Trace, opened: Open) -> list[Any]:
    """The same inputs, without their names."""
    trees = [trace.args] if opened >= Open.ALL else []
    if opened >= Open.CHOICES:
        trees.append((*trace.choices._values.values(),))
    return [leaf for leaf in leaves(trees) if is_input(leaf)]


def without_collection(function: Callable[P, R]) -> Callable[P, R]:
    """The function, run without garbage collection: a recording keeps all that it makes, and the
    collector would search it many times, for half of the time of a long one (benchmarks/static.py).
    """

    @wraps(function)
    def run(*args: P.args, **named: P.kwargs) -> R:
        was_on = gc.isenabled()
        gc.disable()
        try:
            return function(*args, **named)
        finally:
            if was_on:
                gc.enable()

    return run


@quiet
@without_collection
def record_gradient(
    trace: Trace, opened: Open, selection: Selection | None = None
) -> RecordedGradient:
    """Record the gradient of a trace, as `differentiate_trace` computes it.

    Raises:
        CannotRecord: something in the run cannot be recorded.
    """
    recording, outside = Recording(CAP), Outside(trace)
    data = iter([recording.input(x, DATA, name) for name, x in data_of(trace, opened)])
    args = entered(trace.args, data) if opened >= Open.ALL else trace.args
    choices = trace.choices._values
    if opened >= Open.CHOICES:
        choices = {address: entered(value, data) for address, value in choices.items()}
    with Tape() as tape, outside:
        boxed = _boxed_args(trace, args, tape)
        inputs = Inputs({}, boxed, {})
        given = tuple([a if b is None else b for a, b in zip(args, boxed, strict=True)])
        parameters: list[Parameter] = []
        read = _reading(recording, tape, inputs.theta if selection is None else None, parameters)
        run, _ = replay(trace, read, given, _giving(trace, choices, tape, selection, inputs))
        log_probs = list(run.log_probs.values())
        boxes = [*inputs.theta.values()]
        boxes += [box for box in leaves([boxed, inputs.choices]) if box is not None]
        found = tape.gradients([(lp, 1.0) for lp in log_probs if type(lp) is Box], boxes)
    recording.close()
    grads = [_dense(g, box) for g, box in zip(found, boxes, strict=True)]
    numbers = [lp.value if type(lp) is Box else lp for lp in log_probs]
    each = dict(zip(run.log_probs, map(plain, numbers), strict=True))
    return RecordedGradient(recording, parameters, sum(numbers), inputs, grads, each)


def _dense(g: Any, box: Box) -> Any:
    """A gradient; zeros in the shape of its box where there is none."""
    if g is None:
        return np.zeros(box.shape) if box.shape else 0.0
    return g


def entered(tree: Any, data: Iterator[Recorded]) -> Any:
    """The structure with a recorded value in place of each input."""
    return map_leaves(lambda leaf: next(data) if is_input(leaf) else leaf, tree)


def _boxed_args(trace: Trace, args: tuple[Any, ...], tape: Tape) -> tuple[Any, ...]:
    """The arguments whose gradients are wanted, with a box for each leaf; None for others."""
    places = trace.gen_fn.grad_places
    return tuple([_boxed(tape, a) if i in places else None for i, a in enumerate(args)])


def _boxed(tape: Tape, tree: Any) -> Any:
    return map_leaves(lambda value: value if value is None else tape.leaf(operand(value)), tree)


def _reading(
    recording: Recording,
    tape: Tape,
    theta: dict[Parameter, Any] | None,
    parameters: list[Parameter],
) -> Callable[[Parameter], Any]:
    """A `Read` that gives each value as a function of its recorded coordinates.

    Args:
        theta: Where the boxes of parameters are put that are not frozen; None if none is boxed.
        parameters: Where the parameters are put as they are read.
    """
    values: dict[Parameter, Any] = {}

    def answer(parameter: Parameter) -> Any:
        if parameter not in values:
            at, _, is_frozen = read(parameter)
            parameters.append(parameter)
            leaf: Any = recording.input(at, PARAMETERS, parameter.name)
            if theta is not None and not is_frozen:
                leaf = theta[parameter] = tape.leaf(leaf)
            values[parameter] = parameter.constraint.natural(leaf)
        return values[parameter]

    return answer


def _giving(
    trace: Trace,
    choices: dict[Address, Any],
    tape: Tape,
    selection: Selection | None,
    inputs: Inputs,
) -> Choose:
    """A `Choose` that holds every choice at its recorded value, boxed if it is selected."""
    answer = held(trace)

    def choose(address: Address, distribution: Any, operands: Operands, size: Any) -> Any:
        if address not in choices:
            return answer(address, distribution, operands, size)  # an error
        value = choices[address]
        if selection is not None and address in selection:
            value = inputs.choices[address] = _boxed(tape, value)
        return value

    return choose
