"""Which operations of a program run block by block along one long axis.

A chain of operations on arrays with 100 000 rows reads and writes each array from memory. In
blocks of rows that stay in cache, it reads its inputs from memory once. An operation runs in blocks
if each row of its result needs the same row of its arguments alone. A sum over the rows, or a
product of matrices along them, ends a chain: it is the sum over blocks.
"""

import math
import operator
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from genparams.compiled.algebra.builder import is_elementwise, nodes_in, shape_of
from genparams.compiled.algebra.ir import Node, Program
from genparams.compiled.algebra.shapes import axes_of
from genparams.compiled.algebra.totals import inner
from genparams.program.recorded import PARAMETERS

LONG = 8192
"""The shortest axis along which blocks are worth their calls."""
CACHE = 1_000_000
"""How many bytes the arrays of a block may take."""


@dataclass(eq=False)
class Loop:
    """Operations that run together, block by block."""

    length: int
    nodes: dict[Node, None]

    def __contains__(self, n: Any) -> bool:
        return isinstance(n, Node) and n in self.nodes

    @property
    def ends(self) -> list[Node]:
        """The operations whose results are added up over the blocks."""
        return [n for n in self.nodes if axis_of(n, self.length) is None]


def axis_of(a: Any, length: int) -> int | None:
    """The axis of an argument that has that length; None if it has none, or more than one."""
    shape = shape_of(a) if isinstance(a, (Node, np.ndarray)) else ()
    return shape.index(length) if shape.count(length) == 1 else None


def schedule(program: Program) -> list[Node | Loop]:
    """The operations on parameters in the order in which they run, some together in loops."""
    nodes = [n for n in program.nodes if n.stage == PARAMETERS]
    length = _longest(nodes)
    if length is None:
        return list(nodes)
    inside = {n for n in nodes if _runs_in_blocks(n, length) or _is_end(n, length)}
    if len(inside) < 2:
        return list(nodes)
    level = _levels(nodes, inside, length)
    found: list[Node | Loop] = []
    for i in range(1 + max(level.values())):
        mine = [n for n in nodes if level[n] == i]
        found += [n for n in mine if n not in inside]
        loop = Loop(length, dict.fromkeys(n for n in mine if n in inside))
        found += [loop] if loop.nodes else []
    return found


def _longest(nodes: list[Node]) -> int | None:
    """The length of the axis that most entries of arrays lie along."""
    entries: Counter[int] = Counter()
    for n in nodes:
        for length in {k for k in n.shape if k >= LONG}:
            entries[length] += math.prod(n.shape)
    return max(entries, key=lambda k: entries[k]) if entries else None


def _levels(nodes: list[Node], inside: set[Node], length: int) -> dict[Node, int]:
    """The loop in which, or before which, each operation runs: what needs the result of a loop runs
    after it."""
    level: dict[Node, int] = {}

    def ready(a: Node, reader: Node) -> int:
        if a not in level:
            return 0  # an input, or known from data
        ends = a in inside and (axis_of(a, length) is None or reader not in inside)
        return level[a] + ends

    for n in nodes:
        level[n] = max([ready(a, n) for a in nodes_in(n.args)], default=0)
    return level


# --- Single operations


def _long_args(n: Node, length: int) -> list[Any] | None:
    """The arguments with the long axis; None if an argument has it twice, or unlike arguments."""
    arrays = [a for a in _flat(n.args) if isinstance(a, (Node, np.ndarray))]
    if any(shape_of(a).count(length) > 1 for a in arrays):
        return None
    return [a for a in arrays if length in shape_of(a)]


def _flat(args: tuple[Any, ...]) -> list[Any]:
    return [x for a in args for x in (_flat(a) if type(a) is tuple else [a])]


def _runs_in_blocks(n: Node, length: int) -> bool:
    axis = axis_of(n, length)
    if axis is None or n.op is None or not _long_args(n, length):
        return False
    if is_elementwise(n.op) and not n.options:
        return True
    if n.op in (np.sum, np.max, np.min, np.all, np.any):
        return not dict(n.options).keys() - {"axis", "keepdims", "initial"}
    if n.op is np.matmul:
        return True
    if n.op is np.transpose:
        return len(n.args) == 2
    if n.op is np.reshape:
        return _same_before(n.args[0], n, length)
    if n.op in (np.stack, np.concatenate):
        return _joins_rows(n, length)
    return n.op is operator.getitem and _keeps_axis(n.args[0], n.args[1], length)


def _same_before(x: Any, n: Node, length: int) -> bool:
    i, j = axis_of(x, length), axis_of(n, length)
    return None not in (i, j) and math.prod(shape_of(x)[:i]) == math.prod(n.shape[:j])


def _joins_rows(n: Node, length: int) -> bool:
    parts = n.args[0]
    axis = dict(n.options).get("axis", n.args[1] if len(n.args) > 1 else 0)
    if type(parts) is not tuple or type(axis) is not int:
        return False
    return axis % len(n.shape) != axis_of(n, length) and all(length in shape_of(a) for a in parts)


def _keeps_axis(x: Any, index: Any, length: int) -> bool:
    """Whether an index of plain numbers and slices takes all of the long axis."""
    keys = index if type(index) is tuple else (index,)
    if not all(type(k) in (int, slice) for k in keys) or length not in shape_of(x):
        return False
    at = shape_of(x).index(length)
    return at >= len(keys) or keys[at] == slice(None)


def _is_end(n: Node, length: int) -> bool:
    """Whether an operation adds up over the long axis."""
    long = _long_args(n, length)
    if length in n.shape or not long:
        return False
    if n.op in (np.sum, np.max, np.min, np.all, np.any):
        axes = axes_of(dict(n.options).get("axis"), len(shape_of(n.args[0])))
        return axis_of(n.args[0], length) in axes and not (
            dict(n.options).keys() - {"axis", "keepdims", "initial"}
        )
    return n.op is inner or (n.op is np.matmul and len(long) == 2)


# --- The size of blocks


def block_size(loop: Loop, sliced: float) -> int:
    """How many rows a block has, for arrays of so many numbers in each row."""
    made = sum(math.prod(n.shape) for n in loop.nodes if axis_of(n, loop.length) is not None)
    numbers = sliced + made / loop.length / 2.0  # about half of them are there at a time
    rows = int(CACHE / 8.0 / max(numbers, 1.0)) // 256 * 256
    return min(max(rows, 512), 16384)


def blocks_of(length: int, size: int, arrays: Any, buffers: Any) -> list[tuple[Any, ...]]:
    """For each block its slice, the rows of the arrays, and buffers.

    Args:
        arrays: Each with its long axis.
        buffers: Their shapes, long axes and dtypes.
    """
    whole = [np.empty(_with(shape, axis, size), dtype) for shape, axis, dtype in buffers]
    blocks = []
    for first in range(0, length, size):
        rows = min(size, length - first)
        here = slice(first, first + rows)
        cut = [a[(slice(None),) * axis + (here,)] for a, axis in arrays]
        mine = whole if rows == size else [
            b.ravel()[: b.size // size * rows].reshape(_with(shape, axis, rows))
            for b, (shape, axis, _) in zip(whole, buffers, strict=True)
        ]  # fmt: skip
        blocks.append((here, *cut, *mine))
    return blocks


def _with(shape: tuple[int, ...], axis: int, length: int) -> tuple[int, ...]:
    return shape[:axis] + (length,) + shape[axis + 1 :]
