"""The first addition of a chain, which a recording leaves out.

Where a loop adds terms to a total that is nothing at first, its first iteration gives the term and
does not add:

    total = term(0);     total = total + term(1);     total = total + term(2);     ...

With an addition to -0.0, which changes no number, the first iteration is as the others.
"""

from dataclasses import dataclass

import numpy as np

from genparams.compiled.chains import chain_of
from genparams.compiled.classify import Before, Loop
from genparams.compiled.distribute import components
from genparams.compiled.ir import Node
from genparams.compiled.stream import CONSTANT, Stream
from genparams.program.record import Operation


@dataclass(frozen=True, slots=True)
class Missing:
    """An addition that is missing.

    Args:
        at: The operation before which it belongs.
        like: The same addition in the iteration after.
        slot: Which of the two operands is the total.
        reader, operand: The operation that reads the result, and at which of its operands.
    """

    at: int
    like: int
    slot: int
    reader: int
    operand: int


def with_starts(stream: Stream, loops: list[Loop]) -> bool:
    """Add the first additions of chains before loops; whether there are any."""
    missing = sorted((m for loop in loops for m in _missing(loop)), key=lambda m: m.at)
    count = len(stream)
    added = [_added(stream, m) for m in missing]
    if not any(added):
        return False
    before = [m.at for m, is_added in zip(missing, added, strict=True) if is_added]
    stream.ordered(np.insert(np.arange(count), before, np.arange(count, len(stream))))
    return True


def _missing(loop: Loop) -> list[Missing]:
    """The additions that are missing in the iteration before the first; none if what is there is no
    iteration of this loop."""
    slots = _slots(loop)
    stream, at = loop.stream, loop.start
    place_of: dict[int, int] = {}
    found: dict[int, int] = {}
    for j in reversed(range(loop.period)):
        if j in slots:
            found[j] = at
        elif at > 0 and stream.codes[at - 1] == stream.codes[loop.start + j]:
            at -= 1
            place_of[j] = at
        else:
            return []
    made = []
    for j, place in found.items():
        slot, reader, operand = slots[j]
        by = loop.start + j if reader == j else place_of[reader]
        made.append(Missing(place, loop.start + j, slot, by, operand))
    return made[::-1]


def _slots(loop: Loop) -> dict[int, tuple[int, int, int]]:
    """For each statement with which an iteration begins to add to a chain: the operand that is the
    total, and the statement that reads the result, with the operand."""
    needs = [[j for j, _ in row] for row in loop.needs()]
    found = {}
    for part in components(needs):
        if (len(part) == 1 and part[0] not in needs[part[0]]) or chain_of(loop, part) is None:
            continue
        reads = {
            (o.statement, o.distance): (j, k)
            for j in part
            for k, o in enumerate(loop.operands[j])
            if type(o) is Before and o.statement in part
        }
        entry, slot = next(reads[key] for key in reads if key[1] == 1)
        found[entry] = slot, *reads.get((entry, 0), (entry, slot))
    return found


def _added(stream: Stream, m: Missing) -> bool:
    """Append a missing addition; whether there is something to add."""
    at = int(stream.first[m.reader]) + m.operand
    term, place = stream.operands[at], int(stream.places[at])
    r = stream.operations[m.like]
    if not isinstance(term, Operation) or getattr(term, "shape", None) != r.shape:
        return False
    operands, places = [-0.0, term], [CONSTANT, place]
    if m.slot:
        operands, places = operands[::-1], places[::-1]
    made = Node(r.op, tuple(operands), (), r.shape, r.dtype, r.stage)
    stream.operands[at], stream.places[at] = made, len(stream)
    stream.append(made, int(stream.codes[m.like]), operands, places)
    return True
