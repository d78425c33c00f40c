"""Algebra of slices: parts of a vector that follow each other are one part.

The first and the last iteration of a loop often read other numbers than the rest. Their parts of a
sum are put back to the part of the rest here.
"""

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from genparams.compiled.algebra.ir import Node
from genparams.compiled.algebra.totals import dot, inner

if TYPE_CHECKING:
    from genparams.compiled.algebra.builder import Builder


def getitem(b: "Builder", args: tuple[Any, ...], options: Any, shape: Any, dtype: Any) -> Any:
    """A slice of a vector in its plain form; the whole vector as it is."""
    x, index = args
    if not isinstance(x, Node) or len(x.shape) != 1:
        return None
    (n,) = x.shape
    if type(index) is tuple and len(index) == 1:
        return b.make(operator.getitem, (x, index[0]), (), shape, dtype)
    if type(index) is int:
        plain: Any = index + n if index < 0 else index
    else:
        plain = _as_slice(index, n)
        if plain == slice(0, n, None):
            return x
    if plain is None or plain == index or (type(plain) is int and plain == index):
        return None
    return b.node(operator.getitem, (x, plain), (), shape, dtype)


def _as_slice(index: Any, n: int) -> slice | None:
    """A slice with plain ends for a slice, or for places that follow each other."""
    if type(index) is slice:
        if any(isinstance(k, Node) for k in (index.start, index.stop, index.step)):
            return None
        first, last, step = index.indices(n)
        if step < 0:
            return index
        return slice(first, max(first, last), None if step == 1 else step)
    if isinstance(index, np.ndarray) and index.dtype.kind == "i" and index.ndim == 1 and index.size:
        first = int(index[0]) % n
        if np.array_equal(index % n, np.arange(first, first + index.size)):
            return slice(first, first + index.size, None)
    return None


def concatenate(b: "Builder", args: tuple[Any, ...], options: Any, shape: Any, dtype: Any) -> Any:
    """Slices of one vector that follow each other are one slice."""
    parts = args[0]
    if len(shape) != 1 or type(parts) is not tuple:
        return None
    merged: list[Any] = []
    for part in parts:
        both = merged and _joined(b, merged[-1], part)
        if both:
            merged[-1] = both
        else:
            merged.append(part)
    if len(merged) == 1:
        return merged[0]
    if len(merged) < len(parts):
        return b.node(np.concatenate, (tuple(merged),), (), shape, dtype)
    return None


def _joined(b: "Builder", u: Any, v: Any) -> Any:
    one, two = _slice_of(u), _slice_of(v)
    if one is None or two is None or one[0] is not two[0] or one[2] != two[1]:
        return None
    return b.make(operator.getitem, (one[0], slice(one[1], two[2])))


def _slice_of(u: Any) -> tuple[Node, int, int] | None:
    """The vector, the first place and the end of a slice."""
    if not isinstance(u, Node) or u.op is not operator.getitem:
        return None
    x, index = u.args
    if type(index) is slice and index.step is None and len(x.shape) == 1:
        return x, index.start, index.stop
    return None


def only_place(u: Any) -> int | None:
    """The place of the entry that a slice consists of."""
    found = _slice_of(u)
    return found[1] if found and found[2] - found[1] == 1 else None


# --- Sums


def added(b: "Builder", u: Any, v: Any) -> Any:
    """u + v, where both are parts of a sum over a vector that follow each other; else None."""
    both = _merged(b, u, v)
    if both is not None:
        return both
    for sum_, part in ((u, v), (v, u)):
        if isinstance(sum_, Node) and sum_.op is np.add:
            for p, q in (sum_.args, sum_.args[::-1]):
                both = _merged(b, p, part)
                if both is not None:
                    return b.make(np.add, (both, q))
    return None


def _merged(b: "Builder", u: Any, v: Any) -> Any:
    one, two = _part(u), _part(v)
    if one is None or two is None or not _alike(one[:2], two[:2]):
        return None
    if one[2] > two[2]:
        one, two = two, one
    (x, y, first, end), (_, _, then, last) = one, two
    if end != then:
        return None
    rows = [b.make(operator.getitem, (a, slice(first, last))) for a in (x, y) if a is not None]
    return dot(b, *rows) if y is not None else b.make(np.sum, rows)


def _alike(one: tuple[Any, Any], two: tuple[Any, Any]) -> bool:
    return all(map(operator.is_, one, two)) or all(map(operator.is_, one, two[::-1]))


def _part(u: Any) -> tuple[Node, Node | None, int, int] | None:
    """The vector, or the two vectors, and the places from which a part of a sum comes."""
    if not isinstance(u, Node) or u.shape != () or not u.args:
        return None
    if u.op is np.sum and not u.options:
        found = _slice_of(u.args[0])
        return found and (found[0], None, *found[1:])
    if u.op is operator.getitem:
        found = _entry_of(u)
        return found and (found[0], None, *found[1:])
    if u.op in (inner, np.multiply):
        one, two = map(_slice_of if u.op is inner else _entry_of, u.args)
        if one is not None and two is not None and one[1:] == two[1:]:
            return one[0], two[0], *one[1:]
    return None


def _entry_of(u: Any) -> tuple[Node, int, int] | None:
    if not isinstance(u, Node) or u.op is not operator.getitem:
        return None
    x, index = u.args
    if type(index) is int and isinstance(x, Node) and len(x.shape) == 1 and x.dtype == float:
        return x, index, index + 1
    return None
