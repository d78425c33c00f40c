"""Loops as operations on arrays.

Each statement of a loop is computed for all iterations at once where that is possible. A chain of
additions becomes a sum; statements that need their own earlier values become a `Recurrence`.
"""

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from genparams.compiled.algebra.builder import Builder, shape_of
from genparams.compiled.rolling.batch import Batch, taken
from genparams.compiled.rolling.chains import chain_of, over_iterations, running
from genparams.compiled.rolling.classify import Before, Listed, Loop, Operand, Same
from genparams.compiled.rolling.distribute import components
from genparams.compiled.rolling.gather import Gathering, joined
from genparams.compiled.rolling.periods import LEAST
from genparams.compiled.rolling.recurrent import Component
from genparams.compiled.rolling.stream import CannotRoll, Rows, Stream
from genparams.compiled.rolling.sums import added
from genparams.program.record import Operation


def options_of(r: Any) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(dict(r.options).items()))


@dataclass(slots=True)
class Rolled:
    """A loop with the values of its statements: `Rows`, nodes or constants.

    Args:
        is_flipped: Whether the rows are in reverse, the last iteration first.
    """

    loop: Loop
    values: list[Any]
    is_flipped: bool

    def rows_of(self, places: np.ndarray) -> np.ndarray:
        """The rows in which the values at places are."""
        t = (places - self.loop.start) // self.loop.period
        return self.loop.length - 1 - t if self.is_flipped else t


class Lowering:
    """The operations of a stream, given to a builder."""

    def __init__(self, builder: Builder, stream: Stream, loops: Sequence[Loop], lowered: dict):
        self.builder, self.stream, self.lowered = builder, stream, lowered
        self.loops = loops
        self.rolled: list[Rolled] = []
        self.loop_at = np.full(len(stream) + 1, -1)
        """The number of the rolled loop that an operation is in; -1 if it is in none."""
        self.gathering = Gathering(builder, self.value, self._owners, self.rows)
        self.outside: np.ndarray = np.zeros(len(stream), bool)
        """Whether the value of an operation is read outside of its loop."""

    def run(self, wanted: Sequence[Any]) -> None:
        """Lower every operation.

        Args:
            wanted: What is read when all operations are done.
        """
        self._find_outside(wanted)
        at = 0
        for loop in self.loops:
            self._alone(at, loop.start)
            try:
                self._roll(loop)
            except CannotRoll:
                self._alone(loop.start, loop.stop)
            at = loop.stop
        self._alone(at, len(self.stream))

    def _alone(self, low: int, high: int) -> None:
        """Lower operations one by one."""
        for i in range(low, high):
            r = self.stream.operations[i]
            if r.op is added:
                self.lowered[r] = self._sum(i)
                continue
            if self._is_list(i):
                own = self.stream.places[self.stream.first[i] : self.stream.first[i + 1]]
                self.lowered[r] = self.gathering.listed(own, self.stream.operands_of(i))
                continue
            args = self.stream.args(i, map(self.value, self.stream.operands_of(i)))
            self.lowered[r] = self.builder.make(r.op, args, options_of(r), r.shape, r.dtype)

    def _is_list(self, i: int) -> bool:
        """Whether an operation puts many values together along a new first axis."""
        r = self.stream.operations[i]
        if r.op is not np.stack or len(r.args) > 1 or dict(r.options).get("axis", 0) != 0:
            return False
        operands: Sequence[Any] = self.stream.operands_of(i)
        shapes = {np.shape(a) if type(a) is float else a.shape for a in operands}
        return len(operands) == r.shape[0] >= LEAST and shapes == {r.shape[1:]}

    def _sum(self, i: int) -> Any:
        """A sum of many values: those of rolled statements are summed at once."""
        places = np.array(self.stream.places_of(i))
        arrays, terms = self.gathering.terms(places, self.stream.operands_of(i))
        terms += [over_iterations(self.builder, Rows(a), shape_of(a)[0]) for a in arrays]
        found = reduce(lambda x, y: self.builder.make(np.add, (x, y)), terms)
        return self.builder.broadcast(found, self.stream.operations[i].shape)

    def _find_outside(self, wanted: Sequence[Any]) -> None:
        number = np.full(len(self.stream) + 1, -1)
        for k, loop in enumerate(self.loops):
            number[loop.start : loop.stop] = k
        places = self.stream.places
        other = (places >= 0) & (number[np.maximum(places, 0)] != number[self.stream.users()])
        self.outside[places[other]] = True
        for r in wanted:
            if isinstance(r, Operation) and r.op is not None:
                self.outside[self.stream.place_of[r]] = True

    # --- Values

    def value(self, a: Any) -> Any:
        """The node or constant of a recorded value."""
        if not isinstance(a, Operation):
            return a
        known = self.lowered.get(a)
        if known is None:
            place = self.stream.place_of[a]
            if self.loop_at[place] >= 0:
                known = self._element(place)
            else:
                known = self.lowered[self.stream.operations[place]]
            self.lowered[a] = known
        return known

    def _element(self, place: int) -> Any:
        rolled = self.rolled[self.loop_at[place]]
        found = rolled.values[(place - rolled.loop.start) % rolled.loop.period]
        assert found is not None
        if not isinstance(found, Rows):
            return found
        row = int(rolled.rows_of(np.array(place)))
        return self.builder.make(operator.getitem, (found.value, row))

    def _owners(self, places: np.ndarray) -> np.ndarray:
        at = self.loop_at[np.where(places >= 0, places, -1)]
        found = np.full(len(places), -1)
        for k in np.unique(at[at >= 0]).tolist():
            loop = self.rolled[k].loop
            own = at == k
            found[own] = loop.start + (places[own] - loop.start) % loop.period
        return found

    def rows(self, owner: int, places: np.ndarray) -> Any:
        """The values of a rolled statement at places."""
        rolled = self.rolled[self.loop_at[owner]]
        found = rolled.values[owner - rolled.loop.start]
        if isinstance(found, Rows):
            return taken(self.builder, found.value, rolled.rows_of(places))
        return self.builder.broadcast(found, (len(places), *shape_of(found)))

    # --- Loops

    def _roll(self, loop: Loop) -> None:
        rolling = _Rolling(self, loop)
        rolling.run()
        self.loop_at[loop.start : loop.stop] = len(self.rolled)
        self.rolled.append(Rolled(loop, rolling.values, rolling.is_flipped))


class _Rolling:
    """One loop while its statements are lowered."""

    def __init__(self, lowering: Lowering, loop: Loop):
        self.lowering, self.builder, self.loop = lowering, lowering.builder, loop
        self.values: list[Any] = [None] * loop.period
        self.needs = loop.needs()
        seen = lowering.outside[loop.start : loop.stop].reshape(loop.length, loop.period)
        self.seen = np.any(seen, axis=0)
        self.parts = components([[j for j, _ in row] for row in self.needs])
        self.is_flipped = self._is_backward()

    def run(self) -> None:
        for part in self.parts:
            if self._is_cyclic(part):
                self._finish(part, self._heads(part))
            else:
                self.values[part[0]] = self._statement(part[0])

    def _is_cyclic(self, part: Sequence[int]) -> bool:
        return len(part) > 1 or any(j == part[0] for j, _ in self.needs[part[0]])

    def _heads(self, part: Sequence[int]) -> dict[int, Rows]:
        """The values of statements that need each other which cross from one iteration to the
        next."""
        value, argument = self.lowering.value, self.argument
        chain = chain_of(self.loop, part)
        if chain is None:
            return Component(self.builder, self.loop, part, value, argument).lowered()
        return {chain.head: running(self.builder, chain, value(chain.first), argument, self.loop)}

    def _is_backward(self) -> bool:
        """Whether to compute the loop in reverse: then it reads an earlier loop forwards."""
        if any(distance for row in self.needs for _, distance in row):
            return False
        steps = [self._step(o) for row in self.loop.operands for o in row if type(o) is Listed]
        return sum(steps) < 0

    def _step(self, o: Listed) -> int:
        """1 if a list is an earlier loop's values in their order, -1 if in reverse."""
        low, high = o.places[len(o.places) // 2], o.places[len(o.places) // 2 + 1]
        at = self.lowering.loop_at[[max(low, -1), max(high, -1)]]
        if low < 0 or high < 0 or at[0] != at[1] or at[0] < 0:
            return 0
        rolled = self.lowering.rolled[at[0]]
        return int(np.sign(rolled.rows_of(high) - rolled.rows_of(low)))

    def _finish(self, part: Sequence[int], heads: dict[int, Rows]) -> None:
        """The other statements of a part, given what crosses from one iteration to the next."""
        for j, rows in heads.items():
            self.values[j] = rows
        inside, wanted = set(part), []
        for k, row in enumerate(self.needs):
            wanted += [j for j, _ in row if k not in inside and j in inside]
        wanted += [j for j in part if self.seen[j]]
        needed: set[int] = set(heads)
        while wanted:
            j = wanted.pop()
            if j not in needed:
                needed.add(j)
                wanted += [k for k, _ in self.needs[j] if k in inside]
        for j in part:
            if j in needed and j not in heads:
                self.values[j] = self._statement(j)

    def _statement(self, j: int) -> Any:
        """A statement for all iterations at once; once, if it is the same in all."""
        loop = self.loop
        r = loop.stream.operations[loop.start + j]
        operands = [self.argument(o) for o in loop.operands[j]]
        args = loop.stream.args(loop.start + j, operands)
        options = options_of(r)
        if not any(isinstance(a, Rows) for a in operands):
            return self.builder.make(r.op, args, options, r.shape, r.dtype)
        return Batch(self.builder, loop.length, r.shape, r.dtype).make(r.op, args, options)

    def argument(self, o: Operand) -> Any:
        """An operand as `Rows`, or as a node or a constant that is the same in all iterations."""
        if isinstance(o, Same):
            return self.lowering.value(o.value)
        if isinstance(o, Listed):
            o = o.reversed() if self.is_flipped else o
            return Rows(self.lowering.gathering.listed(o.places, o.values))
        found = self.values[o.statement]
        return found if not o.distance else self._shifted(found, o)

    def _shifted(self, a: Any, o: Before) -> Any:
        """The values of a statement some iterations ago."""
        first = [self.lowering.value(x) for x in o.first]
        if not isinstance(a, Rows) and all(x is a for x in first):
            return a
        length = self.loop.length
        if isinstance(a, Rows):
            rest = taken(self.builder, a.value, np.arange(length - o.distance))
        else:
            rest = self.builder.broadcast(a, (length - o.distance, *shape_of(a)))
        shape = shape_of(rest)[1:]
        first = [self.builder.broadcast(x, shape) if shape else x for x in first]
        return Rows(joined(self.builder, [self.lowering.gathering.stacked(first), rest]))
