"""Operations entry by entry, and sums, products and maxima of entries, as jobs of a plan."""

import math
from typing import Any

import numpy as np

from genparams.compiled.algebra.builder import shape_of
from genparams.compiled.algebra.ir import Node
from genparams.compiled.algebra.shapes import axes_of
from genparams.compiled.native.fuse import SMALL, Lines, Names, Space, Value, loop_axes, space_of
from genparams.compiled.native.scalar_text import converted, expression
from genparams.compiled.native.values import Compute, Values
from genparams.errors import CannotRecord
from genparams.program.recorded import as_type

_INITIAL = {
    np.sum: "0", np.prod: "1", np.max: "(-inf)", np.min: "inf", np.all: "True", np.any: "False"
}  # fmt: skip
_COMBINED = {
    np.sum: np.add, np.prod: np.multiply, np.max: np.maximum, np.min: np.minimum,
    np.all: np.logical_and, np.any: np.logical_or,
}  # fmt: skip


def elementwise(values: Values, node: Node) -> Value:
    """An operation on each entry."""
    numbers = node.args[:1] if node.op is as_type else node.args
    args = [values.of(a) for a in numbers]
    kinds, op = [a.kind for a in args], node.op
    assert node.dtype is not None
    kind = node.dtype.kind

    def compute(lines: Lines, given: list[Names]) -> Names:
        parts: Any = np.broadcast_arrays(*given)
        found = np.empty(parts[0].shape, object)
        for at in np.ndindex(found.shape):
            found[at] = lines.name(expression(op, [p[at] for p in parts], kinds, kind))
        return found

    axes = best_axes(node.shape, args)
    if not axes:
        return values.in_section(node, args, compute)
    return values.in_loop(
        node, args, [aligned(a.shape, node.shape, axes) for a in args], axes, compute
    )


def best_axes(shape: tuple[int, ...], args: list[Value]) -> tuple[int, ...]:
    """The axes of the loop that computes an array: those of an argument in a loop, if they fit."""
    if np.prod(shape) <= SMALL:
        return ()
    axes = loop_axes(shape)
    fits = [a.axes for a in args if a.space is not None and a.shape == shape]
    return fits[0] if fits and axes not in fits else axes


def aligned(shape: tuple[int, ...], to: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of an array that meet axes of the array to which it is broadcast; else -1."""
    shift = len(to) - len(shape)
    return tuple([a - shift if a >= shift and shape[a - shift] > 1 else -1 for a in axes])


# --- Reductions


def reduction(values: Values, node: Node) -> Value:
    """A sum, product, maximum, ... of some axes."""
    options = dict(node.options)
    if node.op in (np.max, np.min) and "initial" in options:
        return _with_initial(values, node, options)
    if node.op is np.mean:
        return _mean(values, node)
    x = values.of(node.args[0])
    axes = axes_of(options.pop("axis", None), len(x.shape))
    options.pop("keepdims", None)
    if options:
        raise CannotRecord(f"np.{node.op.__name__} with {', '.join(options)}, for numba")
    return reduced(values, node, node.op, x, axes, lambda lines, given: given[0], [x])


def _with_initial(values: Values, node: Node, options: dict[str, Any]) -> Value:
    """A maximum of entries and of a number."""
    initial = options.pop("initial")
    entries = Node(node.op, node.args, tuple(options.items()), node.shape, node.dtype)
    both = (entries, float(initial))
    return values.of(Node(_COMBINED[node.op], both, (), node.shape, node.dtype))


def _mean(values: Values, node: Node) -> Value:
    """The sum over the number of entries."""
    count = math.prod(shape_of(node.args[0])) / math.prod(node.shape)
    total = Node(np.sum, node.args, node.options, node.shape, node.dtype)
    return values.of(Node(np.true_divide, (total, count), (), node.shape, node.dtype))


def inner_product(values: Values, node: Node) -> Value:
    """The sum of the products of all entries of two arrays of one shape."""
    args = [values.of(a) for a in node.args]

    def product(lines: Lines, given: list[Names]) -> Names:
        found = np.empty(given[0].shape, object)
        for at in np.ndindex(found.shape):
            found[at] = lines.name(f"{given[0][at]} * {given[1][at]}")
        return found

    return reduced(values, node, np.sum, args[0], tuple(range(len(args[0].shape))), product, args)


def reduced(
    values: Values,
    node: Node,
    op: Any,
    like: Value,
    axes: tuple[int, ...],
    entries: Compute,
    args: list[Value],
) -> Value:
    """What an operation such as a sum makes of the entries along some axes.

    Args:
        like: A value of the shape that is reduced.
        entries: Computes the entries of that value from those of `args`, which have its shape.
    """
    shape = like.shape
    around = best_axes(shape, args)
    if around and not set(around) & set(axes):  # each entry of the result in one iteration
        kept = tuple([_axis_after(a, axes, shape, node.shape) for a in around])
        return values.in_loop(
            node, args, [around] * len(args), kept, _straight(node, op, like.kind, axes, entries)
        )
    if not around:
        return values.in_section(node, args, _straight(node, op, like.kind, axes, entries))
    space = space_of(shape, around)
    level = values.plan.read_in_loop([(a, around) for a in args], space)
    accumulate = _in_names if set(around) <= set(axes) else _in_memory
    return accumulate(values, node, op, like, axes, entries, args, (level, space, around))


def _axis_after(axis: int, reduced: tuple[int, ...], shape: Any, after: Any) -> int:
    return axis if len(shape) == len(after) else axis - sum(a < axis for a in reduced)


def _straight(node: Node, op: Any, kind: str, axes: tuple[int, ...], entries: Compute) -> Compute:
    assert node.dtype is not None
    made = node.dtype.kind

    def compute(lines: Lines, given: list[Names]) -> Names:
        x = entries(lines, given)
        rest = [a for a in range(x.ndim) if a not in axes]
        kept = [x.shape[a] for a in rest]
        rows = x.transpose(*rest, *axes).reshape(*kept, -1)
        found = np.empty(rows.shape[:-1], object)
        for at in np.ndindex(found.shape):
            first, *others = rows[at]
            total = first if kind == made else lines.name(converted(first, kind, made))
            for other in others:
                total = lines.name(expression(_COMBINED[op], [total, other], [made, kind], made))
            found[at] = total
        if len(node.shape) == x.ndim:  # the axes are kept, with one entry
            return found.reshape([1 if a in axes else x.shape[a] for a in range(x.ndim)])
        return found

    return compute


def _initial(op: Any, kind: str) -> str:
    if kind == "i" and op in (np.max, np.min):
        raise CannotRecord(f"np.{op.__name__} of whole numbers, for numba")
    return _INITIAL[op] + (".0" if kind == "f" and op in (np.sum, np.prod) else "")


At = tuple[int, Space, tuple[int, ...]]
"""A loop: its level, lengths and axes."""


def _in_names(
    values: Values, node: Node, op: Any, like: Value, axes: tuple[int, ...], entries: Compute,
    args: list[Value], loop_at: At,
) -> Value:  # fmt: skip
    """A loop that adds to names, one for each entry of the result."""
    level, space, around = loop_at
    assert node.dtype is not None
    kind = node.dtype.kind
    totals: Names = np.empty(node.shape, object)
    for at in np.ndindex(totals.shape):
        totals[at] = values.plan.new_name()
    if totals.size > SMALL:
        raise CannotRecord("a reduction of this shape, for numba")
    straight = _straight(node, op, like.kind, axes, entries)

    def job(loop: Lines) -> None:
        places = {a: f"i{d}" for d, a in enumerate(around)}
        found = straight(loop, [loop.load(a, places) for a in args])
        for at in np.ndindex(totals.shape):
            name = totals[at]
            loop.before.append(f"{name} = {_initial(op, kind)}")
            combined = expression(_COMBINED[op], [found[at], name], [kind, kind], kind)
            loop.body.append(f"{name} = {combined}")

    values.plan.in_loop(level, space, job)
    return values.new(node, ready=level + 1, names=totals)


def _in_memory(
    values: Values, node: Node, op: Any, like: Value, axes: tuple[int, ...], entries: Compute,
    args: list[Value], loop_at: At,
) -> Value:  # fmt: skip
    """A loop over axes of which some are kept: it adds to the result where it is stored."""
    level, space, around = loop_at
    found = values.new(node, ready=level + 1)
    view = found.view = values.plan.memory(node.shape, found.kind)
    fill(values, level, found, _initial(op, found.kind))

    def job(loop: Lines) -> None:
        rows = entries(
            loop, [loop.load(a, {b: f"i{d}" for d, b in enumerate(around)}) for a in args]
        )
        for at in np.ndindex(rows.shape):
            full = [f"i{around.index(a)}" if a in around else k for a, k in enumerate(at)]
            place = [k for a, k in enumerate(full) if a not in axes]
            if len(node.shape) == len(full):
                place = [0 if a in axes else k for a, k in enumerate(full)]
            target = view.at(place)
            combined = expression(
                _COMBINED[op], [rows[at], target], [like.kind, found.kind], found.kind
            )
            loop.body.append(f"{target} = {combined}")

    values.plan.in_loop(level, space, job)
    return found


def fill(values: Values, level: int, value: Value, number: str) -> None:
    """Fill the memory of a value, which is contiguous, in the section of a level."""
    view = value.view
    assert view is not None

    def job(section: Lines) -> None:
        first, end = view.first, view.first + value.size
        section.body.append(f"{view.base}[{first}:{end}] = {number}")

    values.plan.in_section(level, job)
