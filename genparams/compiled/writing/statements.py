"""The lines of single operations of a program, in the function that is being written."""

import operator
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from genparams.compiled.algebra.builder import is_elementwise, nodes_in
from genparams.compiled.algebra.ir import Node, Program, Recurrence
from genparams.compiled.writing.blocks import Loop
from genparams.compiled.writing.buffers import Buffers
from genparams.compiled.writing.calls import (
    CONVERSIONS,
    Names,
    array_text,
    bare,
    number_template,
    takes_out,
    written,
)
from genparams.compiled.writing.recurrence_text import recurrence_lines
from genparams.program.recorded import DATA, PART

FEW = 20
"""With more data inputs than this, `bind` names only the ones that the step reads."""


class Statements:
    """What the text calls each node, and the lines that compute them.

    Args:
        items: What the step runs: operations, and loops of them.
    """

    def __init__(self, program: Program, items: Sequence[Node | Loop]):
        self.program = program
        self.names = Names()
        self.items = items
        self._name: dict[Node, str] = {}
        self._local: dict[Any, str] = {}  # names inside the loop that is being written
        self._readers: dict[Node, list[Node]] = {}
        for n in program.nodes:
            for a in nodes_in(n.args):
                self._readers.setdefault(a, []).append(n)
        self._results = [n for r in program.results for n in nodes_in(r)]
        self._tests: dict[Node, list[Any]] = {}
        for test in program.tests:
            for n in nodes_in(test.asked):
                self._tests.setdefault(n, []).append(test.answer)
        loops = [item for item in self.items if isinstance(item, Loop)]
        self._inside = {n for loop in loops for n in loop.nodes}
        uses = Counter([*self._results, *(a for n in program.nodes for a in nodes_in(n.args))])
        self._once = {
            n for n, times in uses.items()
            if times == 1 and n not in self._tests and n not in self._results
            and all(self._reads_once(m, n) for m in self._readers[n])
        }  # fmt: skip
        self._lines: list[str] = []
        self._bind_lines: list[str] = []
        self._given: list[str] = []  # what bind hands to step
        self._kept: dict[Node, list[str]] = {}  # the lists that a recurrence fills
        self._lists: dict[Node, str] = {}  # of vectors of data
        self._lists_of_constants: dict[int, list[float]] = {}
        self._buffers: Buffers | None = None
        self._place = 0
        self._count = 0  # of buffers

    def _reads_once(self, m: Node, n: Node) -> bool:
        """Whether a node reads another one in the same function, and in no loop."""
        return m not in self._inside and m.stage == n.stage and not isinstance(m.op, Recurrence)

    # --- Single operations

    def _text(self, a: Any) -> str:
        """What a node or a constant array is called."""
        key = a if isinstance(a, Node) else id(a)
        if key in self._local:
            return self._local[key]
        return self._name[a] if isinstance(a, Node) else self.names.of(a, "k")

    def _assign(self, n: Node, into_buffer: bool = False) -> None:
        """Write the line of a node, or keep its text for the only place that reads it."""
        if isinstance(n.op, Recurrence):
            self._recurrence(n)
        elif self._is_list(n):
            if self._needs_array(n):
                self._define(n, f"np.array({self._list(n)})")
        elif (form := number_template(n)) is not None:
            self._assign_number(n, form)
        else:
            out = self._out(n) if into_buffer and takes_out(n) else None
            self._define(n, self._call(n, out))

    def _out(self, n: Node) -> str:
        """A buffer for the result of a node."""
        assert self._buffers is not None
        if is_elementwise(n.op):
            self._buffers.release(self._place)  # it may overwrite what it reads
        name = self._buffers.take(n, f"b{self._count}")
        self._count = max(self._count, int(name[1:]) + 1)
        return name

    def _call(self, n: Node, out: str | None = None) -> str:
        text = self._gathered(n) or self._entry(n) or array_text(n, self.names, self._text, out)
        return as_number(n, text) if n.shape == () and n.dtype is not None else text

    def _assign_number(self, n: Node, form: str) -> None:
        args = [self.names.literal(a, self._text) for a in n.args]
        for i, a in enumerate(args):
            if a.startswith("(") and form.count(f"{{{i}}}") > 1:
                args[i] = self.names.fresh()
                self._lines.append(f"{args[i]} = {bare(a)}")
        text = written(form, args)
        if n in self._once and len(text) < 60:
            self._name[n] = f"({text})"
        else:
            self._define(n, text)

    def _define(self, n: Node, text: str) -> None:
        self._name[n] = self.names.fresh()
        self._lines.append(f"{self._name[n]} = {text}")
        self._test(n)

    def _test(self, n: Node) -> None:
        """Leave the function if a test has another answer."""
        for answer in self._tests.get(n, ()):
            name = self._text(n)
            if answer is True or answer is False:
                wrong = f"not {name}" if answer else name
            elif isinstance(answer, np.ndarray):
                wrong = f"not np.array_equal({name}, {self._text(answer)})"
            else:
                wrong = f"{name} != {answer!r}"
            self._lines.append(f"if {wrong}: return None")

    def _gathered(self, n: Node) -> str | None:
        """The text for many data inputs that are put into one array."""
        if n.op not in (np.stack, np.array) or type(n.args[0]) is not tuple:
            return None
        names = [self._name.get(a, "") for a in n.args[0] if isinstance(a, Node)]
        if len(names) < len(n.args[0]) or len(self.program.data) <= FEW:
            return None
        places = {x: i for i, x in enumerate(self.program.data)}
        first = places.get(n.args[0][0])
        parts = self.program.data[first : first + len(names)] if first is not None else []
        if parts != list(n.args[0]) or dict(n.options).get("axis", 0) != 0:
            return None
        return f"np.array(data[{first}:{first + len(parts)}])" if first is not None else None

    # --- Recurrences

    def _recurrence(self, n: Node) -> None:
        kept = self._kept[n] = [self.names.fresh() for _ in n.op.kept]
        self._lines += recurrence_lines(
            n.op,
            self.names,
            lambda k: self.names.literal(n.args[k], self._text),
            lambda k: self._list(n.args[k]),
            kept,
        )

    def _is_list(self, n: Any) -> bool:
        """Whether a node is a vector that a recurrence left as a list, or a slice of one."""
        if not isinstance(n, Node) or len(n.shape) != 1 or not n.args:
            return False
        if n.op is PART:
            return isinstance(n.args[0].op, Recurrence)
        return n.op is operator.getitem and type(n.args[1]) is slice and self._is_list(n.args[0])

    def _needs_array(self, n: Node) -> bool:
        readers = self._readers.get(n, [])
        return n in self._results or not all(
            self._is_listed(n, m) or (m.op is operator.getitem and type(m.args[1]) in (int, slice))
            for m in readers
        )

    def _is_listed(self, a: Node, n: Node) -> bool:
        """Whether a node reads an argument as a list."""
        return isinstance(n.op, Recurrence) and bool(a.shape)

    def _entry(self, n: Node) -> str | None:
        """The text of one entry of a list."""
        if n.op is operator.getitem and type(n.args[1]) is int and self._is_list(n.args[0]):
            return f"{self._list(n.args[0])}[{n.args[1]}]"
        return None

    def _list(self, a: Any) -> str:
        """The text of a vector as a list."""
        if isinstance(a, np.ndarray):
            return self.names.of(self._lists_of_constants.setdefault(id(a), a.tolist()), "k")
        if self._is_list(a):
            if a.op is PART:
                name = self._kept[a.args[0]][a.args[1]]
                self._given += [name] if a.stage == DATA else []
                return name
            return f"{self._list(a.args[0])}[{self.names.index(a.args[1], self._text)}]"
        if a.stage != DATA:
            return f"{self._text(a)}.tolist()"
        if a not in self._lists:
            self._lists[a] = self.names.fresh()
            self._bind_lines.append(f"{self._lists[a]} = {self._text(a)}.tolist()")
            self._given.append(self._lists[a])
        return self._lists[a]


def key_of(a: Any) -> Any:
    return a if isinstance(a, Node) else id(a)


def row_of(texts: Sequence[str]) -> str:
    return f"({', '.join(texts)}{',' if len(texts) == 1 else ''})"


def as_number(n: Node, text: str) -> str:
    assert n.dtype is not None
    return f"{CONVERSIONS.get(n.dtype.kind, '')}({text})"
