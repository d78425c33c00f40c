"""A recording as a program: only what its results need, each operation in its simplest form."""

from collections.abc import Sequence
from typing import Any

from genparams.compiled.algebra.builder import Builder
from genparams.compiled.algebra.ir import Program, Test
from genparams.errors import CannotRecord
from genparams.program.recorded import Recorded, Recording, holds_recorded


def live(recording: Recording, results: Sequence[Any]) -> list[Recorded]:
    """The operations and inputs that results and tests read, in their order."""
    recording.close()
    found: set[Recorded] = set()
    waiting: list[Any] = [*results, *recording.tests]
    while waiting:
        r = waiting.pop()
        if type(r) is Recorded:
            if r not in found:
                found.add(r)
                waiting += r.args
                waiting += r.options.values()
        elif type(r) in (tuple, list):
            waiting += r
        elif type(r) is slice:
            waiting += (r.start, r.stop, r.step)
    return [r for r in recording.operations if r in found]


def straight(recording: Recording, results: Sequence[Any]) -> Program:
    """The program of a recording, operation by operation.

    Every input of the recording is one of the program, in the same order.

    Args:
        results: Recorded values and constants.
    """
    recording.close()
    builder = Builder()
    lowered: dict[Recorded, Any] = {
        x: builder.input(x.stage, x.shape, x.dtype, x.name) for x in recording.inputs
    }
    for r in live(recording, results):
        if r.op is not None:
            lowered[r] = lower(builder, r, lowered)
    tests = [Test(lowered[asked], answer) for asked, answer in recording.tests.items()]
    return builder.program([in_program(r, lowered) for r in results], tests)


def lower(builder: Builder, r: Recorded, lowered: dict[Recorded, Any]) -> Any:
    """The node or constant of a recorded operation, of whose arguments the nodes are known."""
    if any(map(holds_recorded, r.options.values())):
        raise CannotRecord(f"an input as a keyword argument of {r.op.__name__}")
    args = [in_program(a, lowered) for a in r.args]
    return builder.make(r.op, args, tuple(sorted(r.options.items())), r.shape, r.dtype)


def in_program(a: Any, lowered: dict[Recorded, Any]) -> Any:
    """An argument with nodes in place of recorded values."""
    if type(a) is Recorded:
        return lowered[a]
    if type(a) in (tuple, list):
        return tuple([in_program(x, lowered) for x in a])
    if type(a) is slice:
        return slice(*(in_program(x, lowered) for x in (a.start, a.stop, a.step)))
    return a
