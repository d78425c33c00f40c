"""Operations that put parts of arrays together, or take arrays apart, as jobs of a plan."""

import operator
from typing import Any

import numpy as np

from genparams.compiled.algebra.ir import Node
from genparams.compiled.native.fuse import SMALL, Lines, Names, Value, loop_axes, space_of
from genparams.compiled.native.indexing import gathered
from genparams.compiled.native.values import Values, is_plain
from genparams.compiled.native.views import View
from genparams.errors import CannotRecord

MOVING = {
    np.tril, np.triu, np.flip, np.roll, np.repeat, np.tile, np.diag, np.take, np.fliplr, np.flipud,
}  # fmt: skip
"""Functions that only move entries, or put zeros in their place; for small arrays."""


def joined(values: Values, node: Node) -> Value:
    """`np.stack`, `np.concatenate`, and `np.array` of a row of numbers or arrays."""
    options = dict(node.options)
    members, *more = node.args
    axis = options.pop("axis", more[0] if more else 0)
    if node.op is np.array and (axis or type(members) is not tuple):
        raise CannotRecord("np.array of these arguments, for numba")
    if options or axis is None:
        raise CannotRecord(f"np.{node.op.__name__} with options, for numba")
    axis %= len(node.shape)
    parts = [values.of(p) for p in members]
    op = np.concatenate if node.op is np.concatenate else np.stack

    def compute(lines: Lines, given: list[Names]) -> Names:
        return op(given, axis=axis)

    around = loop_axes(node.shape) if np.prod(node.shape) > SMALL else ()
    if not around:
        return values.in_section(node, parts, compute)
    if axis in around:
        return _joined_in_memory(values, node, parts, axis)
    before = tuple([a - (op is np.stack and a > axis) for a in around])
    return values.in_loop(node, parts, [before] * len(parts), around, compute)


def _joined_in_memory(values: Values, node: Node, parts: list[Value], axis: int) -> Value:
    """Each part is written to its place in memory."""
    found = values.new(node)
    view = found.view = values.plan.memory(node.shape, found.kind)
    start = 0
    for part in parts:
        is_long = node.op is np.concatenate
        length = part.shape[axis] if is_long else 1
        here = slice(start, start + length) if is_long else start
        index = (*(slice(None),) * axis, here, ...)
        to = view.through(lambda x, index=index: x[index])
        assert to is not None
        found.ready = max(found.ready, copied(values, part, to))
        start += length
    return found


def copied(values: Values, value: Value, to: View) -> int:
    """Write a value to memory; from which level on it can be read there."""
    if value.space is not None or (value.names is not None and value.size <= SMALL):
        values.plan.write(value, to)
        return value.ready
    axes = loop_axes(value.shape)
    space = space_of(value.shape, axes)

    def job(loop: Lines) -> None:
        places = {a: f"i{d}" for d, a in enumerate(axes)}
        names = loop.load(value, places)
        for at in np.ndindex(names.shape):
            target = to.at([places.get(i, k) for i, k in enumerate(at)])
            loop.body.append(f"{target} = {names[at]}")

    if space:
        values.plan.in_loop(value.ready, space, job)
        return value.ready + 1
    values.plan.in_section(value.ready, job)
    return value.ready


def in_memory(values: Values, x: Value) -> Value:
    """A copy that lies in one piece among the stored results."""
    view = values.plan.memory(x.shape, x.kind)
    return Value(x.shape, x.kind, copied(values, x, view), view=view)


def rearranged(values: Values, node: Node) -> Value:
    """A function that only shows its argument in another way; a copy where it cannot."""
    found = values.viewed(node)
    if found is not None:
        return found
    if node.op is operator.getitem:
        return gathered(values, node)
    source, *args = node.args
    if not is_plain(args):
        raise CannotRecord(f"{node.op.__name__} of these arguments, for numba")
    x = values.of(source)
    if max(x.size, np.prod(node.shape)) <= SMALL:
        return values.in_section(node, [x], _moved(node.op, args, dict(node.options)))
    if node.op not in (np.reshape, np.ravel):
        raise CannotRecord(f"{node.op.__name__} of a large array, for numba")
    view = values.plan.memory(node.shape, x.kind)
    to = view.through(lambda a: a.reshape(x.shape))
    assert to is not None
    return values.new(node, ready=copied(values, x, to), view=view)


def _moved(op: Any, args: list[Any], options: dict[str, Any]) -> Any:
    def compute(lines: Lines, given: list[Names]) -> Names:
        found = np.array(op(given[0], *args, **options), object)
        for at in np.ndindex(found.shape):
            found[at] = found[at] or "0.0"
        return found

    return compute
