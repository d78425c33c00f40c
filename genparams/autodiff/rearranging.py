"""Functions that only rearrange numbers.

The ones that models use most have rules of their own, which makes them faster. All others have one
rule: `rearrange` numbers the entries of all arguments 1, 2, ..., and applies the function of numpy
to these positions in place of the entries. The result has, at each entry, the position that the
entry comes from, for any axes, modes and keywords. So the function is one indexing of the
concatenated arguments by those positions. Position 0 is the number zero, which `tril` or `pad`
inserts.
"""

import math
from collections.abc import Callable
from typing import Any

from genparams.autodiff.batch import Batch
from genparams.autodiff.batching import is_basic
from genparams.autodiff.refusals import refusal
from genparams.autodiff.tape import (
    Box,
    canonical,
    holds_box,
    np,
    operand,
    raw,
    shape_of,
    sum_to,
    unary,
    unbox,
)
from genparams.program.recorded import Recorded, holds_recorded, indexed, note

# --- Rules of their own


def getitem(x: Any, index: Any) -> Any:
    """`x[index]`."""
    if type(x) is not Box:
        return np.float64(x)[index] if type(x) is float else indexed(x, index)
    if type(index) is Box or (isinstance(index, tuple) and any(type(i) is Box for i in index)):
        raise refusal("an index", "a constant or a discrete choice as the index")
    shape = x.shape
    return unary(x, getitem(x.value, index), lambda g: scatter(g, index, shape))


def scatter(g: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of a shape with `g` added at `index`: the pullback of `getitem`."""
    if type(g) is Box:
        return unary(g, scatter(g.value, index, shape), lambda h: getitem(h, index))
    if type(g) is Batch:
        return Batch(_scatter_rows(g.value, index, shape))
    if type(g) is Recorded or holds_recorded(index):
        return note(scatter, (g, index, shape))
    zeros = np.zeros(shape)
    if is_basic(index):
        zeros[index] = g
    else:
        np.add.at(zeros, index, g)  # an index that may name an entry twice
    return zeros if shape else float(zeros)


def _scatter_rows(rows: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """`scatter` of each of the rows."""
    count = rows.shape[0]
    if is_basic(index):
        keys = index if isinstance(index, tuple) else (index,)
        every = (slice(None), *keys)
        if type(rows) in (Box, Recorded):
            return scatter(rows, every, (count, *shape))
        zeros = np.zeros((count, *shape))
        zeros[every] = rows
        return zeros
    size = math.prod(shape)
    places = indexed(np.arange(size).reshape(shape), index).ravel()
    flat = np.reshape(rows, (count, -1))
    if type(flat) in (Box, Recorded) or type(places) is Recorded:
        return np.reshape(scatter(flat, (slice(None), places), (count, size)), (count, *shape))
    each = [np.bincount(places, row, size) for row in flat]
    return np.reshape(np.stack(each), (count, *shape))


def reshape(a: Box, /, shape: Any, order: str = "C") -> Any:
    if order == "F":
        places = np.reshape(np.arange(a.size).reshape(a.shape), shape, order="F")
        return reshape(a, (-1,))[places]
    if order != "C":
        raise refusal(f"reshape with order {order!r}", "order 'C' or 'F'")
    old = a.shape
    return unary(a, np.reshape(a.value, shape), lambda g: np.reshape(g, old))


def ravel(a: Box, order: str = "C") -> Any:
    return reshape(a, (-1,), order)


def transpose(a: Box, axes: Any = None) -> Any:
    if axes is None:
        return unary(a, np.transpose(a.value), lambda g: np.transpose(g))
    back = np.argsort([axis % a.ndim for axis in axes]).tolist()
    return unary(a, np.transpose(a.value, axes), lambda g: np.transpose(g, back))


def broadcast_to(array: Box, shape: Any, subok: bool = False) -> Any:
    old = array.shape
    return unary(array, np.broadcast_to(array.value, shape), lambda g: sum_to(g, old))


def where(condition: Any, x: Any, y: Any) -> Any:
    if not isinstance(condition, (np.ndarray, Recorded)):
        condition = raw(operand(condition))
    x, y = operand(x), operand(y)
    tape, (a, b) = unbox((x, y))
    value = np.where(condition, a, b)
    if tape is None:
        return value
    edges = [
        (x, lambda g: sum_to(np.where(condition, g, 0.0), shape_of(a))),
        (y, lambda g: sum_to(np.where(condition, 0.0, g), shape_of(b))),
    ]
    return tape.record(value, edges)


def concatenate(arrays: Any, axis: int | None = 0) -> Any:
    parts = [operand(p) for p in arrays]
    if axis is None or not all(map(shape_of, parts)):
        parts, axis = [np.reshape(p, (-1,)) for p in parts], 0
    tape, values = unbox(parts)
    value = np.concatenate(values, axis=axis)
    if tape is None:
        return value
    axis = axis % len(shape_of(values[0]))
    end, edges = 0, []
    for part, v in zip(parts, values, strict=True):
        start, end = end, end + shape_of(v)[axis]
        here = (*(slice(None),) * axis, slice(start, end))
        edges.append((part, lambda g, here=here: g[here]))
    return tape.record(value, edges)


def stack(arrays: Any, axis: int = 0) -> Any:
    parts = [operand(p) for p in arrays]
    tape, values = unbox(parts)
    value = np.stack(values, axis=axis)
    if tape is None:
        return value
    here = (slice(None),) * (axis % len(shape_of(value)))
    edges = [(part, lambda g, i=i: canonical(g[(*here, i)])) for i, part in enumerate(parts)]
    return tape.record(value, edges)


def copy(a: Any, order: str = "K", subok: bool = False) -> Any:
    """The same value in a new box, which can be changed in place."""
    return a.tape.record(a.value, [(a, 1.0)])


# --- One rule for all others

EVERY = "every"
"""In `REARRANGED`: every positional argument holds numbers."""

_FIRST = {
    "a": (
        *(np.squeeze, np.expand_dims, np.swapaxes, np.moveaxis, np.rollaxis, np.roll),
        *(np.take, np.repeat, np.resize, np.diagonal),
    ),
    "x": (
        *(np.matrix_transpose, np.linalg.matrix_transpose, np.linalg.diagonal, np.unstack),
        *(np.fft.fftshift, np.fft.ifftshift),
    ),
    "m": (np.flip, np.fliplr, np.flipud, np.rot90, np.tril, np.triu),
    "v": (np.diag, np.diagflat),
    "A": (np.tile,),
    "arr": (np.take_along_axis, np.delete),
    "ary": (np.split, np.array_split, np.hsplit, np.vsplit, np.dsplit),
    "tup": (np.hstack, np.vstack, np.dstack, np.column_stack),
    "arrays": (np.block,),
}
"""The functions of which the first argument alone holds numbers, by its name."""

REARRANGED: dict[Any, Any] = {
    **{function: {0: name} for name, functions in _FIRST.items() for function in functions},
    np.atleast_1d: EVERY,
    np.atleast_2d: EVERY,
    np.atleast_3d: EVERY,
    np.broadcast_arrays: EVERY,
    np.meshgrid: EVERY,
    np.compress: {1: "a"},
    np.extract: {1: "arr"},
    np.append: {0: "arr", 1: "values"},
    np.insert: {0: "arr", 2: "values"},
    np.select: {1: "choicelist", 2: "default"},
    np.choose: {1: "choices"},
    np.pad: {0: "array", 3: "constant_values"},
}
"""Each function, with its arguments that hold numbers: their positions and names."""

_PADS = ("constant", "edge", "reflect", "symmetric", "wrap")
_CHANGING = ("out", "dtype", "casting")


class _Positions:
    """The entries of the arguments so far, each with its position."""

    def __init__(self) -> None:
        self.parts: list[Any] = []
        self.plain: list[tuple[int, Any]] = []  # arrays of whole numbers or of truth values
        self.next = 1

    def of(self, value: Any) -> Any:
        """The positions of the entries of an array, or of a list of arrays."""
        if isinstance(value, (list, tuple)):
            return type(value)([self.of(v) for v in value])
        if type(value) not in (Box, Recorded) and np.asarray(value).dtype.kind in "iub":
            self.plain.append((self.next, np.asarray(value)))
        value = operand(value)
        shape = shape_of(value)
        count = int(np.prod(shape, dtype=int))
        positions = np.arange(self.next, self.next + count).reshape(shape)
        self.parts.append(np.reshape(value, (-1,)))
        self.next += count
        return positions

    def gather(self, positions: Any) -> Any:
        """The entries at these positions."""
        if isinstance(positions, (list, tuple)):
            return type(positions)([self._part(p) for p in positions])
        if len(self.parts) == 1 and np.min(positions, initial=1) > 0:
            return self.parts[0][positions - 1]
        return concatenate([np.zeros(1), *self.parts])[positions]

    def _part(self, positions: Any) -> Any:
        """One of several results; a part of an array of whole numbers stays whole."""
        for start, array in self.plain:
            if positions.size and start <= positions.min() and positions.max() < start + array.size:
                return array.ravel()[positions - start]
        return self.gather(positions)


def rearrange(func: Callable, /, *args: Any, **kwargs: Any) -> Any:
    """Apply a function of `REARRANGED` to its positions, and take the entries there."""
    data, positions = REARRANGED[func], _Positions()
    for name in _CHANGING:
        if name in kwargs:
            raise refusal(f"numpy.{func.__name__} with {name}", "it without")
    if func is np.pad:
        mode = args[2] if len(args) > 2 else kwargs.get("mode", "constant")
        if mode not in _PADS or kwargs.get("reflect_type", "even") != "even":
            raise refusal("numpy.pad in this mode", f"one of the modes {', '.join(_PADS)}")
    if data is EVERY:
        found = [positions.of(a if holds_box(a) else np.asarray(a)) for a in args]
        return positions.gather(func(*found, **kwargs))
    found = [positions.of(a) if i in data else _constant(func, a) for i, a in enumerate(args)]
    named = data.values()
    kwargs = {k: positions.of(v) if k in named else _constant(func, v) for k, v in kwargs.items()}
    return positions.gather(func(*found, **kwargs))


def _constant(func: Callable, value: Any) -> Any:
    """An argument that holds no numbers to rearrange: an axis, a condition, an index."""
    if type(value) is Box:
        raise refusal(f"numpy.{func.__name__} with a traced axis, condition or place", "a constant")
    return value
