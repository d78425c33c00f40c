"""Writes a program as the two functions of `numpy_code`."""

from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np

from genparams.compiled.algebra.builder import nodes_in, shape_of
from genparams.compiled.algebra.ir import Node, Program
from genparams.compiled.writing.blocks import Loop, axis_of, block_size, blocks_of, schedule
from genparams.compiled.writing.buffers import Buffers
from genparams.compiled.writing.calls import array_text, bare, may_be_view, takes_out
from genparams.compiled.writing.statements import FEW, Statements, as_number, key_of, row_of
from genparams.program.recorded import DATA
from genparams.program.write import indented

_ADDED: dict[Any, tuple[str, str, str]] = {
    np.max: ("-inf", "np.full({}, -inf)", "np.maximum({}, {})"),
    np.min: ("inf", "np.full({}, inf)", "np.minimum({}, {})"),
    np.all: ("True", "np.ones({}, bool)", "np.logical_and({}, {})"),
    np.any: ("False", "np.zeros({}, bool)", "np.logical_or({}, {})"),
}
"""How results of blocks are put together: what they begin with, as a number or an array of a
shape, and the text for two of them. All other results are added."""


@final
class Writer(Statements):
    """Writes the two functions of a program."""

    def __init__(self, program: Program):
        super().__init__(program, schedule(program))

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
        unpack = [f"{row_of(given)} = bound"] if given else []
        return [
            *head,
            *indented([*self._bind_lines, f"return {row_of(given)}"]),
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
        self._lines.append(f"return {row_of(texts)}")

    def _copied(self, a: Any) -> str:
        return f"np.array({self._text(a)})"

    # --- Loops over blocks

    def _loop(self, loop: Loop) -> None:
        """Run the operations of a loop block by block."""
        long = self._long_arguments(loop)
        cut = [a for a in long if not isinstance(a, Node) or a.stage == DATA]
        before, outside, here = self._lines, self._buffers, self._place
        self._buffers = Buffers([[n] for n in loop.nodes], [])
        local = {key_of(a): self.names.fresh(f"{self._text(a)}_rows") for a in long}
        self._lines = [
            f"{local[key_of(a)]} = {self._text(a)}{_rows(a, loop.length)}"
            for a in long if isinstance(a, Node) and a.stage != DATA
        ]  # fmt: skip
        self._local = dict(local)
        for place, n in enumerate(loop.nodes):
            self._place = place
            before += self._in_block(n, loop)
            self._buffers.release(self._place)
        columns = [local[key_of(a)] for a in cut]
        buffers = [name for name, _, _ in self._buffers.made]
        self._local = {}
        blocks = self._blocks(loop, cut, long)
        head = f"for {', '.join(['here', *columns, *buffers])}{'' if columns + buffers else ','} in"
        self._lines = [*before, f"{head} {blocks}:", *indented(self._lines)]
        self._buffers, self._place = outside, here
        for n in loop.ends:
            if not n.shape:
                self._lines.append(f"{self._name[n]} = {as_number(n, self._name[n])}")
            self._test(n)

    def _long_arguments(self, loop: Loop) -> list[Any]:
        """The arrays that a loop reads by blocks."""
        found: dict[Any, Any] = {}
        for n in loop.nodes:
            for a in arrays_in(n.args):
                if axis_of(a, loop.length) is not None and a not in loop:
                    found[key_of(a)] = a
        return list(found.values())

    def _blocks(self, loop: Loop, cut: Sequence[Any], long: Sequence[Any]) -> str:
        """The name of the blocks, which `bind` makes."""
        assert self._buffers is not None
        owners = {
            key_of(b): b for a in long for b in ([a] if not isinstance(a, Node) else roots(a))
        }
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
