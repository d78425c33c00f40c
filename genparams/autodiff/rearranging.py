"""Functions that only rearrange numbers: one rule for all of them.

The rule numbers the entries of all arguments 1, 2, ..., and applies the function of numpy to these
positions in place of the entries. The result has, at each entry, the position that the entry comes
from, for any axes, modes and keywords. So the function is one indexing of the concatenated
arguments by those positions. Position 0 is the number zero, which `tril` or `pad` inserts.
"""

from collections.abc import Callable, Sequence
from typing import Any

from genparams.autodiff.refusals import refusal
from genparams.autodiff.shapes import concatenate
from genparams.autodiff.tape import Box, holds_box, np, operand, shape_of

EVERY = "every"
"""In `REARRANGED`: every positional argument holds numbers."""

REARRANGED: dict[Any, Any] = {
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
        if type(value) is not Box and np.asarray(value).dtype.kind in "iub":
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


def rearrange(func: Callable, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
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
        args = [positions.of(a if holds_box(a) else np.asarray(a)) for a in args]
        return positions.gather(func(*args, **kwargs))
    args = [positions.of(a) if i in data else _constant(func, a) for i, a in enumerate(args)]
    named = data.values()
    kwargs = {k: positions.of(v) if k in named else _constant(func, v) for k, v in kwargs.items()}
    return positions.gather(func(*args, **kwargs))


def _constant(func: Callable, value: Any) -> Any:
    """An argument that holds no numbers to rearrange: an axis, a condition, an index."""
    if type(value) is Box:
        raise refusal(f"numpy.{func.__name__} with a traced axis, condition or place", "a constant")
    return value
