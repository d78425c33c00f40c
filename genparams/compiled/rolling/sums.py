"""Long chains of additions as one operation.

    total = x0 + x1;     total = total + x2;     total = total + x3;     ...

is a sum of all x. In a recording the additions lie between the operations of loops, and the first
of them is missing; without them one iteration is like the next.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np

from genparams.compiled.algebra.ir import Node
from genparams.compiled.rolling.periods import LEAST
from genparams.program.record import Operation
from genparams.program.recorded import Recorded


def added(*terms: Any) -> Any:
    """The sum of several numbers or arrays."""
    return reduce(np.add, terms)


def with_sums(operations: Sequence[Any], wanted: Iterable[Any]) -> tuple[list[Any], dict[Any, Any]]:
    """The operations with long chains of additions as one, and what replaces others.

    An addition belongs to a chain if only the next one reads it. Products 1.0 * x, with which the
    way back begins, are x.

    Args:
        wanted: What is read when all operations are done.
    """
    several = _read_again(operations, wanted)
    sums: dict[Any, Any] = {}
    replaced: dict[Any, Any] = {}
    for r in operations:
        if r.op is np.multiply and _is_seeded(r, several):
            replaced[r] = replaced.get(r.args[1], r.args[1])
    gone = set(replaced)
    next_of, length = _links(operations, several)
    inner = set(next_of.values())
    for r, n in length.items():
        if n < LEAST or r in inner:
            continue
        terms = []
        at = r
        while at in next_of:
            terms.append(_other(at, next_of[at]))
            at = next_of[at]
            gone.add(at)
        terms = [_read(x, replaced) for x in (*terms, *at.args[::-1])]
        sums[r] = Node(added, tuple(terms[::-1]), (), r.shape, r.dtype, r.stage)
    for r, x in replaced.items():
        replaced[r] = sums.get(x, x)
    return _late([r for r in operations if r not in gone], sums), replaced | sums


def _read(x: Any, replaced: Mapping[Any, Any]) -> Any:
    return replaced.get(x, x) if isinstance(x, Operation) else x


def _is_seeded(r: Any, several: set[Any]) -> bool:
    """Whether an operation is 1.0 * x, and x is read by nothing else.

    A product with data that are 1.0 by chance has to stay, to be like other products.
    """
    one, x = r.args
    if type(one) is not float or one != 1.0:
        return False
    return isinstance(x, Operation) and x.op is not None and x not in several


def _late(operations: Sequence[Any], replaced: dict[Any, Node]) -> list[Any]:
    """The operations with each sum just before the first operation that reads it: not between the
    operations of the iteration that added last."""
    found: list[Any] = []
    waiting: dict[Any, Node] = {}

    def put(r: Any) -> None:
        if waiting:
            for a in nodes_in(r.args):
                if a in waiting:
                    put(waiting.pop(a))
        found.append(r)

    for r in operations:
        if r in replaced:
            waiting[r] = replaced[r]
        else:
            put(r)
    while waiting:
        put(waiting.pop(next(iter(waiting))))
    return found


def nodes_in(args: tuple[Any, ...]) -> list[Any]:
    """The operations in arguments."""
    found = []
    for a in args:
        kind = type(a)
        if kind is Recorded or kind is Node:
            found.append(a)
        elif kind is tuple:
            found += nodes_in(a)
    return found


def _links(operations: Sequence[Any], several: set[Any]) -> tuple[dict[Any, Any], dict[Any, int]]:
    """For each addition the one that it goes on from, and the length of the chain up to it."""
    next_of: dict[Any, Any] = {}
    length: dict[Any, int] = {}
    for r in operations:
        if r.op is not np.add or r.options or r.dtype.kind != "f":
            continue
        nodes: list[Any] = [a for a in r.args if isinstance(a, Operation) and a not in several]
        before = [a for a in nodes if a in length and a.shape == r.shape]
        length[r] = 1
        if before:
            longest = next_of[r] = max(before, key=length.__getitem__)
            length[r] += length[longest]
    return next_of, length


def _other(r: Any, one: Any) -> Any:
    """The operand of an addition that is not the given one."""
    return r.args[1] if r.args[0] is one else r.args[0]


def _read_again(operations: Sequence[Any], wanted: Iterable[Any]) -> set[Any]:
    """What is read by more than one operation, or at the end."""
    once: set[Any] = set()
    again: set[Any] = {a for a in wanted if isinstance(a, Operation)}
    for r in operations:
        for a in nodes_in(r.args):
            (again if a in once else once).add(a)
    return again
