"""Sums over small arrays that are written out entry by entry: `np.einsum` and `np.cumsum`."""

import math
import string
from typing import Any

import numpy as np

from genparams.compiled.algebra.ir import Node
from genparams.compiled.native.fuse import SMALL, Lines, Names, Value
from genparams.compiled.native.values import Values
from genparams.errors import CannotRecord

_TERMS = 512
"""The most products that are written out."""


def einsum(values: Values, node: Node) -> Value:
    """`np.einsum` of small arrays."""
    subscripts, *rest = node.args
    args = [values.of(a) for a in rest]
    if not isinstance(subscripts, str) or node.dtype != np.dtype(float):
        raise CannotRecord("np.einsum of these arguments, for numba")
    inputs, output = letters(subscripts, [len(a.shape) for a in args])
    lengths: dict[str, int] = {}
    for letter, n in _pairs(inputs, args):
        lengths[letter] = max(lengths.get(letter, 1), n)
    if math.prod(lengths.values()) > _TERMS or max(a.size for a in args) > SMALL:
        raise CannotRecord("np.einsum of large arrays, for numba")
    summed = [x for x in lengths if x not in output]

    def compute(lines: Lines, given: list[Names]) -> Names:
        found = np.empty(node.shape, object)
        for at in np.ndindex(found.shape):
            terms = []
            for inner in np.ndindex(*(lengths[x] for x in summed)):
                place = dict(zip([*output, *summed], [*at, *inner], strict=True))
                terms.append(" * ".join(_entries(given, inputs, place)))
            found[at] = lines.name(" + ".join(terms))
        return found

    return values.in_section(node, args, compute)


def letters(subscripts: str, ranks: list[int]) -> tuple[list[str], str]:
    """The letters of the axes of each argument and of the result, without dots."""
    left, arrow, output = subscripts.replace(" ", "").partition("->")
    free = [x for x in string.ascii_letters if x not in subscripts]
    inputs, dots = [], ""
    for part, rank in zip(left.split(","), ranks, strict=True):
        missing = rank - len(part.replace("...", ""))
        dots = max(dots, "".join(free[:missing]), key=len)
        inputs.append((part, missing))
    inputs = [part.replace("...", dots[len(dots) - missing :]) for part, missing in inputs]
    if not arrow:
        joined = "".join(inputs)
        output = "..." + "".join(sorted(x for x in set(joined) - {*dots} if joined.count(x) == 1))
    return inputs, output.replace("...", dots)


def _pairs(inputs: list[str], args: list[Value]) -> Any:
    for part, a in zip(inputs, args, strict=True):
        yield from zip(part, a.shape, strict=True)


def _entries(given: list[Names], inputs: list[str], place: dict[str, int]) -> list[str]:
    """One entry of each argument."""
    found = []
    for names, part in zip(given, inputs, strict=True):
        at = [place[x] if n > 1 else 0 for x, n in zip(part, names.shape, strict=True)]
        found.append(names[tuple(at)])
    return found


def cumulative(values: Values, node: Node) -> Value:
    """`np.cumsum` of a small array, or of a vector."""
    options = dict(node.options)
    source, *more = node.args
    axis = options.pop("axis", more[0] if more else None)
    x = values.of(source)
    flat = axis is None and len(x.shape) > 1
    if options or flat or x.kind != "f" or not x.shape:
        raise CannotRecord("np.cumsum of these arguments, for numba")
    axis = (axis or 0) % len(x.shape)
    if x.size > SMALL:
        return _running(values, node, x)

    def compute(lines: Lines, given: list[Names]) -> Names:
        rows = np.moveaxis(given[0], axis, 0)
        found = rows.copy()
        for k, *at in list(np.ndindex(rows.shape)):
            if k:
                found[(k, *at)] = lines.name(f"{found[(k - 1, *at)]} + {rows[(k, *at)]}")
        return np.moveaxis(found, 0, axis)

    return values.in_section(node, [x], compute)


def _running(values: Values, node: Node, x: Value) -> Value:
    if len(x.shape) > 1:
        raise CannotRecord("np.cumsum of a large matrix, for numba")
    view = values.plan.stored(x)
    found = values.new(node, ready=values.plan.read_in_section(x))
    to = found.view = values.plan.memory(node.shape, "f")

    def job(section: Lines) -> None:
        total = section.plan.new_name()
        section.body += [
            f"{total} = 0.0",
            f"for t in range({x.size}):",
            f"  {total} += {view.at(['t'])}",
            f"  {to.at(['t'])} = {total}",
        ]

    values.plan.in_section(found.ready, job)
    return found
