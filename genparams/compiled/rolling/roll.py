"""Rolling: an unrolled loop of a recording becomes operations on arrays again.

A loop in Python leaves the same operations again and again in a recording. `rolled` finds
stretches of operations that repeat, sees what each operand is in terms of the number of the
iteration, and computes each statement for all iterations at once where it can. Loops in loops are
rolled from the inside: a rolled loop is a row of operations on arrays, in which loops are found
again.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from genparams.autodiff import scatter
from genparams.compiled.algebra.builder import Builder
from genparams.compiled.algebra.ir import Program, Test
from genparams.compiled.algebra.simplify import live, straight
from genparams.compiled.rolling.classify import loops
from genparams.compiled.rolling.lowering import Lowering
from genparams.compiled.rolling.stream import CannotRoll, Rows, Stream, shared_first
from genparams.compiled.rolling.sums import added, with_sums
from genparams.program.record import Operation
from genparams.program.recorded import Recording


def rolled(recording: Recording, results: Sequence[Any]) -> Program:
    """The program of a recording, with loops as operations on arrays.

    Every input of the recording is one of the program, in the same order. Where no loop is found,
    it is the program `straight(recording, results)`.

    Args:
        results: Recorded values and constants.
    """
    recording.close()
    tests = [Test(asked, answer) for asked, answer in recording.tests.items()]
    program = _rolled(live(recording, results), recording.inputs, results, tests)
    if program is None:
        return straight(recording, results)
    while True:
        inputs = [*program.parameters, *program.data]
        again = _rolled(program.nodes, inputs, program.results, program.tests)
        if again is None or len(again.nodes) >= len(program.nodes):
            return program
        program = again


def _rolled(
    operations: Sequence[Any], inputs: Sequence[Any], results: Sequence[Any], tests: list[Test]
) -> Program | None:
    """The program of operations in a row; None if there is no loop among them."""
    wanted = [*results, *(t.asked for t in tests)]
    operations, replaced = with_sums(operations, wanted)
    try:
        stream = Stream(operations, {scatter}, replaced)
    except CannotRoll:
        return None
    shared_first(stream)
    found = loops(stream)
    if not found and not any(r.op is added for r in replaced.values()):
        return None
    builder = Builder()
    lowered = {x: builder.input(x.stage, x.shape, x.dtype, x.name) for x in inputs}
    lowering = Lowering(builder, stream, found, lowered)
    lowering.run(wanted)
    asked = _tests(lowering, tests)
    return builder.program([lowering.value(r) for r in results], asked)


def _tests(lowering: Lowering, tests: Sequence[Test]) -> list[Test]:
    """The tests of a program; those of a rolled statement are one."""
    alone: list[Test] = []
    groups: dict[tuple[int, int], list[tuple[int, Any]]] = {}
    for test in tests:
        place = lowering.stream.place_of.get(test.asked, -1) if _is_single(test) else -1
        at = int(lowering.loop_at[place])
        if place < 0 or at < 0:
            alone.append(Test(lowering.value(test.asked), test.answer))
            continue
        loop = lowering.rolled[at].loop
        groups.setdefault((at, (place - loop.start) % loop.period), []).append((place, test.answer))
    for (at, statement), group in groups.items():
        alone += _of_loop(lowering, at, statement, group)
    return alone


def _is_single(test: Test) -> bool:
    return isinstance(test.asked, Operation) and type(test.answer) in (bool, int)


def _of_loop(
    lowering: Lowering, at: int, statement: int, group: list[tuple[int, Any]]
) -> list[Test]:
    """The tests of one rolled statement as one test, or as two."""
    rolled, make = lowering.rolled[at], lowering.builder.make
    if not isinstance(rolled.values[statement], Rows):
        return [Test(lowering.value(lowering.stream.operations[p]), a) for p, a in group]
    found = []
    owner = rolled.loop.start + statement
    for answer in (True, False):
        places = [p for p, a in group if a is answer]
        if places:
            rows = lowering.rows(owner, np.array(places))
            found.append(Test(make(np.all if answer else np.any, (rows,)), answer))
    numbers = [(p, a) for p, a in group if type(a) is int]
    if numbers:
        rows = lowering.rows(owner, np.array([p for p, _ in numbers]))
        found.append(Test(rows, np.array([a for _, a in numbers])))
    return found
