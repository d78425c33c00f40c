"""Which operations share a loop, and when each runs.

A plan divides a program into levels. A level begins with a section of straight lines, which
compute single numbers and small arrays entry by entry; its loops follow. Each operation on a large
array runs in a loop over the long axes of its result; its entries along the short axes are names
in the loop. It runs on the first level on which its arguments are known, and all operations of one
level over axes of the same lengths share one loop. An entry that an operation in the same loop
reads is never written to memory; what other loops read is.

    level 0    v0 = theta[0] * n[3]              section
               for i0 in range(100):             loop: entries, sums into names, ...
    level 1    ...                               what needs those sums
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from genparams.compiled.native.scalar_text import kind_of, literal
from genparams.compiled.native.views import View, whole
from genparams.errors import CannotRecord

SMALL = 64
"""The most entries of an array that is computed in straight lines."""
UNROLL = 16
"""The most entries of an array that one iteration of a loop computes in straight lines."""
BLOCK = 256
"""How many rows of a long matrix are multiplied at once: what fits in a processor's cache."""
MOST_LINES = 6000
"""The most lines of a function: numba takes a millisecond or more for each."""

Names = Any
"""Texts of the entries of an array, names and numbers, as an array of objects."""
Space = tuple[int, ...]
"""The lengths of nested loops."""


@dataclass(slots=True, eq=False)
class Value:
    """The result of an operation, an input or a constant.

    Args:
        ready: The first level whose section can read it, if it is stored or in names.
        names: Its entries. Of a value that a loop computes, with one entry along the loop's axes.
        level, space, axes: The loop that computes its entries, and the axes of the value over
            which that loop runs.
        view: Where it is stored.
        origin: The value of which it is a view, and the function that shows it.
    """

    shape: tuple[int, ...]
    kind: str
    ready: int = 0
    names: Names | Callable[[], Names] | None = None
    level: int = -1
    space: Space | None = None
    axes: tuple[int, ...] = ()
    view: View | None = None
    origin: tuple["Value", Callable[[np.ndarray], Any]] | None = None

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def entries(self) -> Names:
        """The names, which are known once the value's job has run."""
        assert self.names is not None
        return self.names() if callable(self.names) else self.names


@dataclass(slots=True)
class Lines:
    """Lines of one section, or of the body of one loop."""

    plan: "Plan"
    level: int
    space: Space = ()
    before: list[str] = field(default_factory=list)
    body: list[str] = field(default_factory=list)
    block_before: list[str] = field(default_factory=list)
    """Lines before each block of iterations, from `start` to `stop`."""
    block_after: list[str] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)
    """The name of each expression."""
    outer: "Lines | None" = None

    def name(self, expression: str) -> str:
        """A name for the value of an expression."""
        found = self.known.get(expression) or (self.outer and self.outer.known.get(expression))
        if not found:
            found = self.known[expression] = self.plan.new_name()
            self.body.append(f"{found} = {expression}")
        return found

    def load(self, value: Value, places: Mapping[int, str | int] | None = None) -> Names:
        """The entries of a value, with one along each axis whose place is given.

        Args:
            places: The place along axes, such as the variable of a loop.
        """
        places = places or {}
        if value.space is None:
            in_names = value.names is not None and not places
        else:
            here = (value.level, value.space) == (self.level, self.space)
            in_names = here and tuple(places) == value.axes
        if in_names:
            return value.entries()
        assert value.view is not None
        shape = tuple([1 if i in places else n for i, n in enumerate(value.shape)])
        found = np.empty(shape, object)
        home = self if places or self.outer is None else self.outer
        for at in np.ndindex(shape):
            found[at] = home.name(value.view.at([places.get(i, k) for i, k in enumerate(at)]))
        return found

    def text(self) -> list[str]:
        """The lines, in their loops."""
        ranges = [str(n) for n in self.space]
        if self.block_before or self.block_after:
            ranges[0] = "start, stop"
        head = [f"{'  ' * d}for i{d} in range({r}):" for d, r in enumerate(ranges)]
        deep = "  " * len(self.space)
        lines = [*head, *(deep + line for line in self.body or ["pass"])]
        if ranges[:1] == ["start, stop"]:
            lines = [
                f"for start in range(0, {self.space[0]}, {BLOCK}):",
                f"  stop = min(start + {BLOCK}, {self.space[0]})",
                *("  " + line for line in [*self.block_before, *lines, *self.block_after]),
            ]
        return [*self.before, *lines]


Job = Callable[[Lines], None]


class Plan:
    """Jobs that write the lines of a function, by level."""

    def __init__(self) -> None:
        self.sizes = {"f": 0, "i": 0, "b": 0}
        """The sizes of the flat arrays in which results are stored, by kind."""
        self.checks: dict[int, list[Job]] = {}
        self._sections: dict[int, list[Job]] = {}
        self._loops: dict[tuple[int, Space], list[Job]] = {}
        self._count = 0

    def new_name(self) -> str:
        self._count += 1
        return f"v{self._count}"

    def in_section(self, level: int, job: Job) -> None:
        self._sections.setdefault(level, []).append(job)

    def in_loop(self, level: int, space: Space, job: Job) -> None:
        self._loops.setdefault((level, space), []).append(job)

    def memory(self, shape: tuple[int, ...], kind: str) -> View:
        """A place for an array among the stored results."""
        start = self.sizes[kind]
        self.sizes[kind] += math.prod(shape)
        return whole({"f": "w", "i": "wi", "b": "wb"}[kind], start, shape)

    def stored(self, value: Value) -> View:
        """Where a value is stored; from now on it is."""
        if value.view is None and value.origin is not None:
            source, see = value.origin
            value.view = self.stored(source).through(see)
        if value.view is None:
            value.view = self.memory(value.shape, value.kind)
            self.write(value, value.view)
        assert value.view is not None
        return value.view

    def write(self, value: Value, to: View) -> None:
        """Write a value to memory where it is computed."""
        if value.space is None:
            self.in_section(value.ready, lambda section: _write(section, value, to, {}))
        else:
            places = {a: f"i{d}" for d, a in enumerate(value.axes)}
            self.in_loop(value.level, value.space, lambda loop: _write(loop, value, to, places))

    def read_in_section(self, *values: Value) -> int:
        """The level on which a section can read values."""
        for v in values:
            if v.space is not None or v.names is None:
                self.stored(v)
        return max([v.ready for v in values], default=0)

    def read_in_loop(
        self, reads: Sequence[tuple[Value, Sequence[int]]], space: Space, level: int = 0
    ) -> int:
        """The first level, from `level` on, on which a loop can read the entries of values.

        Args:
            reads: Values, each with its axes over which the loop runs; -1 is for an axis of the
                loop along which the value is the same.
        """
        for value, along in reads:
            axes = tuple([a for a in along if a >= 0])
            here = value.space == space and value.axes == axes
            if not here and (value.space is not None or value.names is None or axes):
                self.stored(value)
            level = max(level, value.level if here else value.ready)
        for value, _ in reads:
            if value.space is not None and value.level != level:
                self.stored(value)
        return level

    def text(self) -> list[str]:
        """All lines, level by level."""
        found: list[str] = []
        known: dict[str, str] = {}
        levels = [*self._sections, *(level for level, _ in self._loops), *self.checks]
        for level in range(max(levels, default=-1) + 1):
            section = Lines(self, level, known=known)
            for job in [*self._sections.get(level, ()), *self.checks.get(level, ())]:
                job(section)
            loops = []
            for (at, space), jobs in self._loops.items():
                if at == level:
                    loops.append(Lines(self, level, space, outer=section))
                    for job in jobs:
                        job(loops[-1])
            found += section.body
            found += [line for loop in loops for line in loop.text()]
            if len(found) > MOST_LINES:
                raise CannotRecord(f"a function of more than {MOST_LINES} lines for numba")
        return found


def _write(lines: Lines, value: Value, to: View, places: Mapping[int, str]) -> None:
    names = value.entries()
    for at in np.ndindex(names.shape):
        lines.body.append(f"{to.at([places.get(i, k) for i, k in enumerate(at)])} = {names[at]}")


def loop_axes(shape: Sequence[int]) -> tuple[int, ...]:
    """The axes over which a loop runs that computes an array: the long ones."""
    axes: list[int] = []
    left = math.prod(shape)
    for axis in sorted(range(len(shape)), key=lambda a: -shape[a]):
        if left <= UNROLL:
            break
        axes.append(axis)
        left //= max(shape[axis], 1)
    return tuple(sorted(axes))


def space_of(shape: Sequence[int], axes: Sequence[int]) -> Space:
    return tuple([shape[a] for a in axes])


def constant_value(x: Any) -> Value:
    """A constant number."""
    names = np.empty((), object)
    names[()] = literal(x)
    return Value((), kind_of(x), 0, names)
