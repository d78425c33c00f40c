"""Functions that only rearrange numbers: each takes its rule from numpy itself.

Such a function is applied to the places of the numbers instead of the numbers. What numpy returns
then says from where each entry of the result was taken, whatever the axes, modes and keywords, and
the result is one indexing of the numbers laid end to end. Place 0 is the number zero, which `tril`
or `pad` puts in.
"""

from collections.abc import Callable, Sequence
from typing import Any

from genparams.autodiff.tape import (
    Box,
    holds_box,
    linear,
    np,
    operand,
    raw,
    refusal,
    settle,
    shape_of,
    strip,
    sum_to,
)

EVERY = "every"
"""In `MOVES`: all positional arguments hold numbers."""

MOVES: dict[Any, Any] = {
    np.squeeze: {0: "a"},
    np.expand_dims: {0: "a"},
    np.atleast_1d: EVERY,
    np.atleast_2d: EVERY,
    np.atleast_3d: EVERY,
    np.swapaxes: {0: "a"},
    np.moveaxis: {0: "a"},
    np.rollaxis: {0: "a"},
    np.matrix_transpose: {0: "x"},
    np.linalg.matrix_transpose: {0: "x"},
    np.flip: {0: "m"},
    np.fliplr: {0: "m"},
    np.flipud: {0: "m"},
    np.rot90: {0: "m"},
    np.roll: {0: "a"},
    np.fft.fftshift: {0: "x"},
    np.fft.ifftshift: {0: "x"},
    np.take: {0: "a"},
    np.take_along_axis: {0: "arr"},
    np.compress: {1: "a"},
    np.extract: {1: "arr"},
    np.delete: {0: "arr"},
    np.repeat: {0: "a"},
    np.tile: {0: "A"},
    np.resize: {0: "a"},
    np.diagonal: {0: "a"},
    np.linalg.diagonal: {0: "x"},
    np.split: {0: "ary"},
    np.array_split: {0: "ary"},
    np.hsplit: {0: "ary"},
    np.vsplit: {0: "ary"},
    np.dsplit: {0: "ary"},
    np.unstack: {0: "x"},
    np.broadcast_arrays: EVERY,
    np.meshgrid: EVERY,
    np.hstack: {0: "tup"},
    np.vstack: {0: "tup"},
    np.dstack: {0: "tup"},
    np.column_stack: {0: "tup"},
    np.block: {0: "arrays"},
    np.append: {0: "arr", 1: "values"},
    np.insert: {0: "arr", 2: "values"},
    np.select: {1: "choicelist", 2: "default"},
    np.choose: {1: "choices"},
    np.tril: {0: "m"},
    np.triu: {0: "m"},
    np.diag: {0: "v"},
    np.diagflat: {0: "v"},
    np.pad: {0: "array", 3: "constant_values"},
}
"""By function: which of its arguments hold numbers, by position and by name."""

_PADS = ("constant", "edge", "reflect", "symmetric", "wrap")
_CHANGING = ("out", "dtype", "casting")


class _Places:
    """The numbers met so far, and the place of each."""

    def __init__(self) -> None:
        self.parts: list[Any] = []
        self.plain: list[tuple[int, Any]] = []  # arrays of whole numbers or of truth values
        self.next = 1

    def of(self, value: Any) -> Any:
        """The places of the numbers in an array, or in a list of arrays."""
        if isinstance(value, (list, tuple)):
            return type(value)([self.of(v) for v in value])
        if type(value) is not Box and np.asarray(value).dtype.kind in "iub":
            self.plain.append((self.next, np.asarray(value)))
        value = operand(value)
        shape = shape_of(value)
        count = int(np.prod(shape, dtype=int))
        places = np.arange(self.next, self.next + count).reshape(shape)
        self.parts.append(np.reshape(value, (-1,)))
        self.next += count
        return places

    def gather(self, places: Any) -> Any:
        """The numbers at those places."""
        if isinstance(places, (list, tuple)):
            return type(places)([self._part(p) for p in places])
        if len(self.parts) == 1 and np.min(places, initial=1) > 0:
            return self.parts[0][places - 1]
        return concatenate([np.zeros(1), *self.parts])[places]

    def _part(self, places: Any) -> Any:
        """One of several results: of whole numbers, if all of it comes from such an array."""
        for start, array in self.plain:
            if places.size and start <= places.min() and places.max() < start + array.size:
                return array.ravel()[places - start]
        return self.gather(places)


def move(func: Callable, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Apply a function of `MOVES`."""
    data, places = MOVES[func], _Places()
    for name in _CHANGING:
        if name in kwargs:
            raise refusal(f"numpy.{func.__name__} with {name}", "it without")
    if func is np.pad:
        mode = args[2] if len(args) > 2 else kwargs.get("mode", "constant")
        if mode not in _PADS or kwargs.get("reflect_type", "even") != "even":
            raise refusal("numpy.pad in this mode", f"one of the modes {', '.join(_PADS)}")
    if data is EVERY:
        args = [places.of(a if holds_box(a) else np.asarray(a)) for a in args]
        return places.gather(func(*args, **kwargs))
    args = [places.of(a) if i in data else _constant(func, a) for i, a in enumerate(args)]
    named = data.values()
    kwargs = {k: places.of(v) if k in named else _constant(func, v) for k, v in kwargs.items()}
    return places.gather(func(*args, **kwargs))


def _constant(func: Callable, value: Any) -> Any:
    """An argument that does not hold numbers to be moved: an axis, a condition, places."""
    if type(value) is Box:
        raise refusal(f"numpy.{func.__name__} with a traced axis, condition or place", "a constant")
    return value


# --- Those that models are made of have rules of their own, which cost less


def getitem(x: Any, index: Any) -> Any:
    """`x[index]`."""
    if type(x) is not Box:
        return np.float64(x)[index] if type(x) is float else x[index]
    if type(index) is Box or (isinstance(index, tuple) and any(type(i) is Box for i in index)):
        raise refusal("an index", "a constant or a discrete choice as the index")
    shape = x.shape
    return linear(x, getitem(x.value, index), lambda g: scatter(g, index, shape))


def scatter(g: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of that shape with `g` added at `index`: the transpose of `getitem`."""
    if type(g) is Box:
        return linear(g, scatter(g.value, index, shape), lambda h: getitem(h, index))
    zeros = np.zeros(shape)
    keys = index if isinstance(index, tuple) else (index,)
    if all(isinstance(k, (int, slice, np.integer)) or k is None or k is Ellipsis for k in keys):
        zeros[index] = g
    else:
        np.add.at(zeros, index, g)  # an index that may name an entry twice
    return zeros if shape else float(zeros)


def reshape(a: Box, /, shape: Any, order: str = "C") -> Any:
    if order == "F":
        places = np.reshape(np.arange(a.size).reshape(a.shape), shape, order="F")
        return reshape(a, (-1,))[places]
    if order != "C":
        raise refusal(f"reshape with order {order!r}", "order 'C' or 'F'")
    old = a.shape
    return linear(a, np.reshape(a.value, shape), lambda g: np.reshape(g, old))


def ravel(a: Box, order: str = "C") -> Any:
    return reshape(a, (-1,), order)


def transpose(a: Box, axes: Any = None) -> Any:
    if axes is None:
        return linear(a, np.transpose(a.value), lambda g: np.transpose(g))
    back = np.argsort([axis % a.ndim for axis in axes]).tolist()
    return linear(a, np.transpose(a.value, axes), lambda g: np.transpose(g, back))


def broadcast_to(array: Box, shape: Any, subok: bool = False) -> Any:
    old = array.shape
    return linear(array, np.broadcast_to(array.value, shape), lambda g: sum_to(g, old))


def where(condition: Any, x: Any, y: Any) -> Any:
    condition = raw(operand(condition) if not isinstance(condition, np.ndarray) else condition)
    x, y = operand(x), operand(y)
    tape, (a, b) = strip((x, y))
    value = np.where(condition, a, b)
    if tape is None:
        return value
    edges = [
        (x, lambda g: sum_to(g * np.where(condition, 1.0, 0.0), shape_of(a))),
        (y, lambda g: sum_to(g * np.where(condition, 0.0, 1.0), shape_of(b))),
    ]
    return tape.record(value, edges)


def concatenate(arrays: Any, axis: int | None = 0) -> Any:
    parts = [operand(p) for p in arrays]
    if axis is None or not all(map(shape_of, parts)):
        parts, axis = [np.reshape(p, (-1,)) for p in parts], 0
    tape, values = strip(parts)
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
    tape, values = strip(parts)
    value = np.stack(values, axis=axis)
    if tape is None:
        return value
    here = (slice(None),) * (axis % len(shape_of(value)))
    edges = [(part, lambda g, i=i: settle(g[(*here, i)])) for i, part in enumerate(parts)]
    return tape.record(value, edges)


def copy(a: Any, order: str = "K", subok: bool = False) -> Any:
    """The same value as an array of its own."""
    return a.tape.record(a.value, [(a, 1.0)])
