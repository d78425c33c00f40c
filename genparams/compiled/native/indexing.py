"""Indexing by arrays of whole numbers, and its pullback, as jobs of a plan."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from genparams.compiled.algebra.builder import holds_node
from genparams.compiled.algebra.ir import Node
from genparams.compiled.native.entrywise import aligned, fill
from genparams.compiled.native.fuse import SMALL, Lines, Names, Value, loop_axes, space_of
from genparams.compiled.native.values import Values, loaded
from genparams.compiled.native.views import View, is_basic, seeing
from genparams.errors import CannotRecord


@dataclass(frozen=True, slots=True)
class Index:
    """An index with arrays in it, into an array of some shape.

    Args:
        rest: The index with 0 in place of each array.
        arrays: The arrays, each with the axis that it indexes.
        checked: For each of them whether the function checks that it is within the axis; the
            others are checked when data are bound.
        shape: What the arrays are broadcast to.
        first: The axis of the result at which that shape begins.
    """

    rest: tuple[Any, ...]
    arrays: list[tuple[int, Value]]
    checked: list[bool]
    shape: tuple[int, ...]
    first: int


def indexed(values: Values, index: Any, shape: tuple[int, ...]) -> Index:
    """An index taken apart, by numpy's rules."""
    parts = list(_without_masks(index if type(index) is tuple else (index,)))
    if Ellipsis in [p for p in parts if p is Ellipsis]:
        i = next(i for i, p in enumerate(parts) if p is Ellipsis)
        used = sum(p is not None and p is not Ellipsis for p in parts)
        parts[i : i + 1] = [slice(None)] * (len(shape) - used)
    arrays, checked, rest, at, axis = [], [], [], [], 0
    for i, p in enumerate(parts):
        if p is not None and type(p) is not slice:
            value = values.of(p)
            if value.kind != "i":
                raise CannotRecord("an index that is no array of whole numbers, for numba")
            arrays.append((axis, value))
            checked.append(isinstance(p, Node) and p not in values.given)
            if not checked[-1]:
                values.indices.append((p, shape[axis]))
            at.append(i)
        rest.append(0 if at and at[-1] == i else p)
        axis += p is not None
    together = np.broadcast_shapes(*(v.shape for _, v in arrays))
    adjacent = at == list(range(at[0], at[0] + len(at)))
    first = sum(type(p) is slice or p is None for p in parts[: at[0]]) if adjacent else 0
    return Index(tuple(rest), arrays, checked, together, first)


def _without_masks(parts: Any) -> Any:
    """The parts of an index, with the places of the truths for a mask."""
    for p in parts:
        if isinstance(p, np.ndarray) and p.dtype == bool:
            yield from np.nonzero(p)
        else:
            yield p


def gathered(values: Values, node: Node) -> Value:
    """`x[index]` with arrays of whole numbers in the index."""
    source, at = node.args[0], values.answered(node.args[1])
    x = values.of(source)
    if max(x.size, math.prod(node.shape)) <= SMALL and not holds_node(at):
        return values.in_section(node, [x], lambda lines, given: given[0][at])
    index = indexed(values, at, x.shape)
    view = values.plan.stored(x)
    around = loop_axes(node.shape) if np.prod(node.shape) > SMALL else ()
    args, arg_axes = _arguments(index, node.shape, around)
    before = values.plan.read_in_section(x)

    def compute(lines: Lines, given: list[Names]) -> Names:
        short = [1 if a in around else n for a, n in enumerate(node.shape)]
        found = np.empty(short, object)
        for at in np.ndindex(found.shape):
            places = [f"i{around.index(a)}" if a in around else k for a, k in enumerate(at)]
            found[at] = lines.name(_entry(lines, index, view, given, at, places))
        return found

    if not around:
        level = max(before, values.plan.read_in_section(*args))
        found = values.new(node, ready=level, names=np.empty(node.shape, object))

        def job(section: Lines) -> None:
            found.names = compute(section, [section.load(a) for a in args])

        values.plan.in_section(level, job)
        return found
    return values.in_loop(node, args, arg_axes, around, compute, before)


def _arguments(
    index: Index, shape: tuple[int, ...], around: tuple[int, ...]
) -> tuple[list[Value], list[tuple[int, ...]]]:
    """The arrays of an index, and which of their axes meet those of a loop over the result."""
    end = index.first + len(index.shape)
    inside = [a - index.first if index.first <= a < end else -1 for a in around]
    arg_axes = []
    for _, v in index.arrays:
        shift = len(index.shape) - len(v.shape)
        arg_axes.append(
            tuple([a - shift if a >= shift and v.shape[a - shift] > 1 else -1 for a in inside])
        )
    return [v for _, v in index.arrays], arg_axes


def _entry(
    lines: Lines, index: Index, view: View, given: list[Names], at: Any, places: list[Any]
) -> str:
    """The text of the entry that an index names at a place of its result."""
    rank = len(index.shape)
    basic = view.through(seeing(_getitem, (index.rest,), {}))
    assert basic is not None
    text = basic.at([*places[: index.first], *places[index.first + rank :]])
    block = at[index.first : index.first + rank]
    terms = []
    for (axis, _), checked, names in zip(index.arrays, index.checked, given, strict=True):
        near = block[rank - names.ndim :]
        name = names[tuple([0 if n == 1 else k for k, n in zip(near, names.shape, strict=True)])]
        length = view.shape[axis]
        if checked:
            lines.body.append(f"if {name} < {-length} or {name} >= {length}: return False, 0.0")
        safe = lines.name(f"{name} if {name} >= 0 else {name} + {length}")
        terms.append(f"{view.strides[axis]} * {safe}")
    return f"{text[:-1]} + {' + '.join(terms)}]"


def _getitem(array: np.ndarray, index: Any) -> Any:
    found = array[index]
    return found if isinstance(found, np.ndarray) else array[(*index, ...)]


def scattered(values: Values, node: Node) -> Value:
    """Zeros of a shape with `g` added at an index."""
    g, (index, shape) = values.of(node.args[0]), values.answered(node.args[1:])
    if is_basic(index):
        return _placed(values, node, g, index)
    if max(math.prod(shape), g.size) <= SMALL and not holds_node(index):
        return values.in_section(node, [g], _added_at(index, shape))
    found = values.new(node)
    view = found.view = values.plan.memory(shape, found.kind)
    inside = indexed(values, index, shape)
    target = _target_shape(inside, shape)
    around = loop_axes(target)
    args, arg_axes = _arguments(inside, target, around)
    space = space_of(target, around)
    all_args = [g, *args]
    all_axes = [aligned(g.shape, target, around), *arg_axes]
    if around:
        level = values.plan.read_in_loop([*zip(all_args, all_axes, strict=True)], space)
    else:
        level = values.plan.read_in_section(*all_args)
    fill(values, level, found, "0.0")
    found.ready = level + 1

    def job(lines: Lines) -> None:
        rows, *given = loaded(lines, all_args, all_axes)
        short = [1 if a in around else n for a, n in enumerate(target)]
        rows = np.broadcast_to(rows, short)
        for at in np.ndindex(*short):
            places = [f"i{around.index(a)}" if a in around else k for a, k in enumerate(at)]
            entry = _entry(lines, inside, view, given, at, places)
            lines.body.append(f"{entry} += {rows[at]}")

    if around:
        values.plan.in_loop(level, space, job)
    else:
        values.plan.in_section(level, job)
    return found


def _added_at(index: Any, shape: tuple[int, ...]) -> Any:
    """Names added among zeros."""

    def compute(lines: Lines, given: list[Names]) -> Names:
        places = np.arange(math.prod(shape)).reshape(shape)[index]
        terms: list[list[str]] = [[] for _ in range(math.prod(shape))]
        for place, name in np.broadcast(places, given[0]):
            terms[place].append(name)
        names = [lines.name(" + ".join(t)) if len(t) > 1 else (t or ["0.0"])[0] for t in terms]
        return np.array(names, object).reshape(shape)

    return compute


def _target_shape(index: Index, shape: tuple[int, ...]) -> tuple[int, ...]:
    rest = np.empty(shape, np.int8)[index.rest].shape
    return (*rest[: index.first], *index.shape, *rest[index.first :])


def _placed(values: Values, node: Node, g: Value, index: Any) -> Value:
    """`g` at a basic index among zeros."""
    from genparams.compiled.native.assembling import copied

    if np.prod(node.shape) <= SMALL:

        def compute(lines: Lines, given: list[Names]) -> Names:
            found = np.full(node.shape, "0.0", object)
            found[index] = given[0] if given[0].shape else given[0][()]
            return found

        return values.in_section(node, [g], compute)
    found = values.new(node)
    view = found.view = values.plan.memory(node.shape, found.kind)
    fill(values, 0, found, "0.0")
    to = view.through(seeing(_getitem, (index,), {}))
    assert to is not None
    if g.shape != to.shape:
        raise CannotRecord("zeros with a broadcast part, for numba")
    found.ready = copied(values, g, to)
    return found
