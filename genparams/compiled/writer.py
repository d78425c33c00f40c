"""Writes a program as the two functions of `numpy_code`."""

import operator
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from genparams.compiled.blocks import Loop, axis_of, block_size, blocks_of, schedule
from genparams.compiled.buffers import Buffers
from genparams.compiled.builder import is_elementwise, nodes_in, shape_of
from genparams.compiled.calls import (
    CONVERSIONS,
    Names,
    array_text,
    bare,
    may_be_view,
    number_template,
    takes_out,
    written,
)
from genparams.compiled.ir import Node, Program, Recurrence
from genparams.compiled.recurrence_text import recurrence_lines
from genparams.program.recorded import DATA, PART
from genparams.program.write import indented

FEW = 20
"""With more data inputs than this, `bind` names only the ones that the step reads."""

_ADDED: dict[Any, tuple[str, str, str]] = {
    np.max: ("-inf", "np.full({}, -inf)", "np.maximum({}, {})"),
    np.min: ("inf", "np.full({}, inf)", "np.minimum({}, {})"),
    np.all: ("True", "np.ones({}, bool)", "np.logical_and({}, {})"),
    np.any: ("False", "np.zeros({}, bool)", "np.logical_or({}, {})"),
}
"""How results of blocks are put together: what they begin with, as a number or an array of a
shape, and the text for two of them. All other results are added."""


class Writer:
    """Writes the two functions of a program."""

    def __init__(self, program: Program):
        self.program = program
        self.names = Names()
        self.items = schedule(program)
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

    def function_lines(self) -> list[str]:
        """The lines of `bind` and `step`."""
        for p in self.program.parameters:
            self._name[p] = self.names.fresh(p.name)
        head = self._data_head()
        self._lines = self._bind_lines
        for n in self.program.data:
            self._test(n)
        for n in self.program.nodes:
            if n.stage == DATA:
                self._assign(n)
        self._lines = []
        self._steps()
        read = [self._name[n] for n in self._read_by_step()]
        given = list(dict.fromkeys([*read, *self._given]))
        taken = [*(self._name[p] for p in self.program.parameters), "bound"]
        comments = self._comments(self.program.parameters)
        unpack = [f"{_tuple(given)} = bound"] if given else []
        return [
            *head,
            *indented([*self._bind_lines, f"return {_tuple(given)}"]),
            "",
            f"def step({', '.join(taken)}):",
            *indented([*comments, *unpack, *self._lines]),
        ]

    # --- Inputs

    def _data_head(self) -> list[str]:
        """The first lines of `bind`, which name the inputs."""
        data = self.program.data
        if len(data) <= FEW:
            for x in data:
                self._name[x] = self.names.fresh(x.name)
            taken = ", ".join(self._name[x] for x in data)
            return [f"def bind({taken}):", *indented(self._comments(data))]
        lines = [f"# {len(data)} inputs, {data[0].name!r} to {data[-1].name!r}"]
        read = set(self._read_by_step())
        for i, x in enumerate(data):
            self._name[x] = f"data[{i}]"
            if x in read:
                self._name[x] = self.names.fresh(x.name)
                lines.append(f"{self._name[x]} = data[{i}]")
        return ["def bind(*data):", *indented(lines)]

    def _comments(self, inputs: Sequence[Node]) -> list[str]:
        """A line on each input: its own name, and its shape."""
        return [
            f"# {self._name[x]}: {x.name}, {f'an array {x.shape}' if x.shape else 'a number'}"
            for x in inputs
        ]

    def _read_by_step(self) -> list[Node]:
        """The inputs and results of bind that the step reads, other than by blocks."""
        read = set(self._results)
        for n in self.program.nodes:
            if n.stage != DATA:
                found = nodes_in(n.args)
                if n in self._inside:
                    found = [a for a in found if not self._is_cut(a)]
                read.update(a for a in found if not self._is_listed(a, n))
        known = [*self.program.data, *self.program.nodes]
        return [n for n in known if n in read and n.stage == DATA]

    def _is_cut(self, a: Node) -> bool:
        """Whether a loop reads an array by its blocks."""
        return any(isinstance(i, Loop) and axis_of(a, i.length) is not None for i in self.items)

    # --- The step

    def _reads_once(self, m: Node, n: Node) -> bool:
        """Whether a node reads another one in the same function, and in no loop."""
        return m not in self._inside and m.stage == n.stage and not isinstance(m.op, Recurrence)

    def _steps(self) -> None:
        groups = [list(i.nodes) if isinstance(i, Loop) else [i] for i in self.items]
        self._buffers = Buffers(groups, [*self._results, *self._tests])
        fresh = bases(self._results)
        for p in self.program.parameters:
            self._test(p)
        for place, item in enumerate(self.items):
            self._place = place
            if isinstance(item, Loop):
                self._loop(item)
            else:
                self._assign(item, item not in fresh)
            self._buffers.release(self._place)
        for name, shape, dtype in self._buffers.made:
            self._bind_lines.append(f"{name} = np.empty({shape}, {dtype.name!r})")
            self._given.append(name)
        self._return()

    def _return(self) -> None:
        """Return arrays of their own: no buffers, inputs, or one array twice."""
        given: set[Node] = set()
        texts = []
        for r in self.program.results:
            if isinstance(r, Node):
                mine = bases([r])
                own = r.stage != DATA and not any(n.op is None or n in given for n in mine)
                own = own and r.op is not np.broadcast_to
                texts.append(bare(self._text(r)) if own or not r.shape else self._copied(r))
                given |= mine
            else:
                number = not isinstance(r, np.ndarray)
                texts.append(
                    self.names.literal(float(r), self._text) if number else self._copied(r)
                )
        self._lines.append(f"return {_tuple(texts)}")

    def _copied(self, a: Any) -> str:
        return f"np.array({self._text(a)})"

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
        return _as_number(n, text) if n.shape == () and n.dtype is not None else text

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

    # --- Loops over blocks

    def _loop(self, loop: Loop) -> None:
        """Run the operations of a loop block by block."""
        long = self._long_arguments(loop)
        cut = [a for a in long if not isinstance(a, Node) or a.stage == DATA]
        before, outside, here = self._lines, self._buffers, self._place
        self._buffers = Buffers([[n] for n in loop.nodes], [])
        local = {_key(a): self.names.fresh(f"{self._text(a)}_rows") for a in long}
        self._lines = [
            f"{local[_key(a)]} = {self._text(a)}{_rows(a, loop.length)}"
            for a in long if isinstance(a, Node) and a.stage != DATA
        ]  # fmt: skip
        self._local = dict(local)
        for place, n in enumerate(loop.nodes):
            self._place = place
            before += self._in_block(n, loop)
            self._buffers.release(self._place)
        columns = [local[_key(a)] for a in cut]
        buffers = [name for name, _, _ in self._buffers.made]
        self._local = {}
        blocks = self._blocks(loop, cut, long)
        head = f"for {', '.join(['here', *columns, *buffers])}{'' if columns + buffers else ','} in"
        self._lines = [*before, f"{head} {blocks}:", *indented(self._lines)]
        self._buffers, self._place = outside, here
        for n in loop.ends:
            if not n.shape:
                self._lines.append(f"{self._name[n]} = {_as_number(n, self._name[n])}")
            self._test(n)

    def _long_arguments(self, loop: Loop) -> list[Any]:
        """The arrays that a loop reads by blocks."""
        found: dict[Any, Any] = {}
        for n in loop.nodes:
            for a in arrays_in(n.args):
                if axis_of(a, loop.length) is not None and a not in loop:
                    found[_key(a)] = a
        return list(found.values())

    def _blocks(self, loop: Loop, cut: Sequence[Any], long: Sequence[Any]) -> str:
        """The name of the blocks, which `bind` makes."""
        assert self._buffers is not None
        owners = {_key(b): b for a in long for b in ([a] if not isinstance(a, Node) else roots(a))}
        width = sum(np.prod(shape_of(a)) for a in owners.values()) / loop.length
        size = block_size(loop, width)
        arrays = [f"({self._text(a)}, {axis_of(a, loop.length)})" for a in cut]
        buffers = [
            f"({shape}, {shape.index(loop.length)}, {dtype.name!r})"
            for _, shape, dtype in self._buffers.made
        ]
        name = self.names.fresh("blocks")
        self.names.space["blocks_of"] = blocks_of
        self._bind_lines += [
            f"{name} = blocks_of({loop.length}, {size},",
            f"  [{', '.join(arrays)}],",
            f"  [{', '.join(buffers)}])",
        ]
        self._given.append(name)
        return name

    def _in_block(self, n: Node, loop: Loop) -> list[str]:
        """Write the line of a node in a loop; returns what has to come before the loop."""
        if axis_of(n, loop.length) is None:
            return self._end(n)
        text = self._reshaped(n, loop.length)
        if text is None:
            text = array_text(n, self.names, self._text, self._out(n) if takes_out(n) else None)
        local = self.names.fresh()
        self._lines.append(f"{local} = {text}")
        self._local[n] = local
        readers = self._readers.get(n, [])
        if n not in self._results and n not in self._tests and all(m in loop for m in readers):
            return []
        whole = self._name[n] = self.names.fresh()
        self._lines.append(f"{whole}{_rows(n, loop.length)} = {local}")
        assert n.dtype is not None
        return [f"{whole} = np.empty({n.shape}, {n.dtype.name!r})"]

    def _reshaped(self, n: Node, length: int) -> str | None:
        """The text of a reshape, whatever the number of rows."""
        if n.op is not np.reshape:
            return None
        shape = tuple([-1 if k == length else k for k in n.shape])
        return f"{self._text(n.args[0])}.reshape({shape})"

    def _end(self, n: Node) -> list[str]:
        """Add the result of a block; returns the line with which the sum begins."""
        name = self.names.fresh()
        text = array_text(n, self.names, self._text, None)
        number, array, together = _ADDED.get(n.op, ("0.0", "np.zeros({})", ""))
        line = f"{name} = {together.format(name, text)}" if together else f"{name} += {text}"
        self._lines.append(line)
        self._name[n] = name
        return [f"{name} = {array.format(n.shape) if n.shape else number}"]

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
                return self._kept[a.args[0]][a.args[1]]
            return f"{self._list(a.args[0])}[{self.names.index(a.args[1], self._text)}]"
        if a.stage != DATA:
            return f"{self._text(a)}.tolist()"
        if a not in self._lists:
            self._lists[a] = self.names.fresh()
            self._bind_lines.append(f"{self._lists[a]} = {self._text(a)}.tolist()")
            self._given.append(self._lists[a])
        return self._lists[a]


def _key(a: Any) -> Any:
    return a if isinstance(a, Node) else id(a)


def _tuple(texts: Sequence[str]) -> str:
    return f"({', '.join(texts)}{',' if len(texts) == 1 else ''})"


def _as_number(n: Node, text: str) -> str:
    assert n.dtype is not None
    return f"{CONVERSIONS.get(n.dtype.kind, '')}({text})"


def _rows(a: Any, length: int) -> str:
    """The index of the rows of a block."""
    axis = axis_of(a, length)
    assert axis is not None
    return f"[{':, ' * axis}here]"


def arrays_in(a: Any) -> list[Any]:
    """The nodes and constant arrays in an argument."""
    if type(a) is tuple:
        return [n for x in a for n in arrays_in(x)]
    return [a] if isinstance(a, (Node, np.ndarray)) else []


def roots(a: Node) -> list[Node]:
    """The nodes whose memory a node is a view of; the node, if it is no view."""
    inner = nodes_in(a.args) if a.args and may_be_view(a) else []
    return [b for x in inner for b in roots(x)] or [a]


def bases(nodes: Iterable[Node]) -> set[Node]:
    """The nodes whose memory results may share, and the nodes themselves."""
    found: set[Node] = set()
    waiting = list(nodes)
    while waiting:
        n = waiting.pop()
        found.add(n)
        if may_be_view(n):
            waiting += nodes_in(n.args)
    return found
