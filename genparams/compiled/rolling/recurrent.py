"""What stays sequential in a loop: a `Recurrence` over single numbers.

Its statements are those that need each other's earlier values. It keeps only the values that cross
from one iteration to the next. Given these, the other statements do not need each other any more,
and are computed for all iterations at once.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from genparams.compiled.algebra.builder import Builder, shape_of
from genparams.compiled.algebra.ir import Node, Recurrence, Statement
from genparams.compiled.rolling.apart import LARGEST, Body, Name
from genparams.compiled.rolling.classify import Before, Loop, Operand
from genparams.compiled.rolling.stream import CannotRoll, Rows
from genparams.program.recorded import PART

_FURTHEST = 8
"""The most iterations that a recurrence looks back."""

Value = Callable[[Any], Any]
Argument = Callable[[Operand], Any]


class Component:
    """Statements of a loop that need each other, while they become a recurrence.

    Args:
        statements: In their order.
        value: Gives the node or constant of an operand from outside of the loop.
        argument: Gives an operand that is not of this component: `Rows`, a node or a constant.
    """

    def __init__(
        self,
        builder: Builder,
        loop: Loop,
        statements: Sequence[int],
        value: Value,
        argument: Argument,
    ):
        self.builder, self.loop, self.statements = builder, loop, statements
        self.value, self.argument = value, argument
        self.args: list[Any] = []
        self._places: dict[Any, int] = {}
        self._taken: set[int] = set()  # statements of the body that are entries of heads
        self.body = Body()
        self.made: dict[int, np.ndarray] = {}
        """The names of each statement's value."""

    def heads(self) -> dict[int, dict[int, Any]]:
        """The values of each statement that others read in later iterations, by the number of
        iterations before the first."""
        found: dict[int, dict[int, Any]] = {}
        inside = set(self.statements)
        for j in self.statements:
            for o in self.loop.operands[j]:
                if type(o) is Before and o.distance and o.statement in inside:
                    if o.distance > _FURTHEST:
                        raise CannotRoll("a recurrence that looks back too far")
                    before = found.setdefault(o.statement, {})
                    before.update({o.distance - k: x for k, x in enumerate(o.first)})
        return found

    def lowered(self) -> dict[int, Rows]:
        """The values of the heads, for all iterations.

        Raises:
            CannotRoll: an operation is not known for single numbers.
        """
        heads = self.heads()
        for j in self.statements:
            self.made[j] = self._statement(j)
        locals_of = {j: self._as_locals(j) for j in heads}
        node = self._node(heads, locals_of)
        return {j: self._rows(node, j, i) for j, i in _offsets(locals_of).items()}

    # --- The body

    def _statement(self, j: int) -> np.ndarray:
        stream, at = self.loop.stream, self.loop.start + j
        r = stream.operations[at]
        if r.dtype is None or int(np.prod(r.shape)) > LARGEST:
            raise CannotRoll("a recurrence of large arrays")
        operands = [self._operand(o) for o in self.loop.operands[j]]
        made = self.body.operation(r.op, stream.args(at, operands), dict(r.options))
        if made.shape != r.shape:
            made = np.broadcast_to(made, r.shape)
        return made

    def _operand(self, o: Operand) -> Any:
        """An operand as names; constants as they are."""
        if type(o) is Before and o.statement in self.statements:
            if not o.distance:
                return self.made[o.statement]
            shape = self.loop.stream.operations[self.loop.start + o.statement].shape
            found = np.empty(shape, object)
            for i, at in enumerate(np.ndindex(shape)):
                found[at] = ("before", (o.statement, i), o.distance)
            return found
        a = self.argument(o)
        if isinstance(a, Rows):
            return self._entries("entry", a.value, a.shape)
        return self._entries("input", a, a.shape) if isinstance(a, Node) else a

    def _entries(self, kind: str, a: Any, shape: tuple[int, ...]) -> np.ndarray:
        """The names of the entries of an argument."""
        if int(np.prod(shape)) > LARGEST:
            raise CannotRoll("a recurrence of large arrays")
        found = np.empty(shape, object)
        lead = (slice(None),) if kind == "entry" else ()
        for at in np.ndindex(shape):
            index = (*lead, *at)
            one = self.builder.make(operator.getitem, (a, index)) if shape else a
            found[at] = (kind, self._argument(one))
        return found

    def _argument(self, a: Any) -> int:
        """The number of a node or a constant among the arguments."""
        key = self.builder.key(a)
        if key not in self._places:
            self._places[key] = len(self.args)
            self.args.append(a)
        return self._places[key]

    # --- The node

    def _as_locals(self, j: int) -> list[int]:
        """The statement of the body for each entry of a head; each entry has its own."""
        found: list[int] = []
        for name in self.made[j].flat:
            if name[0] != "local" or name[1] in self._taken:
                name = self.body.copied(name)
            self._taken.add(name[1])
            found.append(name[1])
        return found

    def _node(self, heads: dict[int, dict[int, Any]], locals_of: dict[int, list[int]]) -> Node:
        local_of = {(j, i): at for j, row in locals_of.items() for i, at in enumerate(row)}
        settled = [Statement(s.op, _settled(s.args, local_of)) for s in self.body.statements]
        kept = [at for row in locals_of.values() for at in row]
        statements, new = _read(settled, kept)
        first = {
            new[at]: row
            for j, before in heads.items()
            for at, row in zip(locals_of[j], self._first(j, before), strict=True)
        }
        op = Recurrence(self.loop.length, statements, first, tuple([new[at] for at in kept]))
        return self.builder.node(op, tuple(self.args), (), (), None)

    def _first(self, j: int, before: dict[int, Any]) -> list[tuple[int, ...]]:
        """For each entry of a head the arguments that are its values before the first iteration."""
        shape = self.loop.stream.operations[self.loop.start + j].shape
        rows = [self._first_entries(before[d], shape) for d in sorted(before, reverse=True)]
        return list(zip(*rows, strict=True))

    def _first_entries(self, a: Any, shape: tuple[int, ...]) -> list[int]:
        a = self.value(a)
        if shape_of(a) != shape:
            a = self.builder.broadcast(a, shape)
        if not isinstance(a, Node):
            constants = np.asarray(a, float)
            return [self._argument(constants[at].item()) for at in np.ndindex(shape)]
        if not shape:
            return [self._argument(a)]
        make = self.builder.make
        return [self._argument(make(operator.getitem, (a, at))) for at in np.ndindex(shape)]

    def _rows(self, node: Node, j: int, offset: int) -> Rows:
        r = self.loop.stream.operations[self.loop.start + j]
        if r.dtype.kind != "f":
            raise CannotRoll("a recurrence of other numbers than floats")
        length, make = self.loop.length, self.builder.make
        parts = [
            make(PART, (node, offset + i), (), (length,), float)
            for i in range(int(np.prod(r.shape)))
        ]
        if not r.shape:
            return Rows(parts[0])
        stacked = make(np.stack, (tuple(parts),), (("axis", 1),))
        return Rows(make(np.reshape, (stacked, (length, *r.shape))))


def _offsets(rows: dict[int, list[int]]) -> dict[int, int]:
    """Where each head's entries begin among all."""
    found, at = {}, 0
    for j, row in rows.items():
        found[j] = at
        at += len(row)
    return found


def _settled(args: tuple[Name, ...], local_of: dict[Any, int]) -> tuple[Name, ...]:
    """Arguments with the statements that heads became."""
    return tuple([("before", local_of[a[1]], a[2]) if a[0] == "before" else a for a in args])


def _read(
    statements: Sequence[Statement], kept: Sequence[int]
) -> tuple[list[Statement], dict[int, int]]:
    """The statements that the kept ones read, and their new numbers."""
    found, waiting = set(kept), list(kept)
    while waiting:
        for a in statements[waiting.pop()].args:
            if a[0] in ("local", "before") and a[1] not in found:
                found.add(a[1])
                waiting.append(a[1])
    new = {at: i for i, at in enumerate(sorted(found))}

    def renamed(a: Name) -> Name:
        return (a[0], new[a[1]], *a[2:]) if a[0] in ("local", "before") else a

    read = [statements[at] for at in new]
    return [Statement(s.op, tuple(map(renamed, s.args))) for s in read], new
