"""Functions that only rearrange numbers: each takes its rule from numpy itself.

Such a function is applied to the places of the numbers instead of the numbers. What numpy returns
then says from where each entry of the result was taken, whatever the axes, modes and keywords, and
the result is one indexing of the numbers laid end to end. Place 0 is the number zero, which `tril`
or `pad` puts in.
"""

from collections.abc import Callable, Sequence
from typing import Any

from genparams.autodiff.refusals import refusal
from genparams.autodiff.shapes import concatenate
from genparams.autodiff.tape import Box, holds_box, np, operand, shape_of

EVERY = "every"
"""In `REARRANGED`: all positional arguments hold numbers."""

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


def rearrange(func: Callable, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Apply a function of `REARRANGED`."""
    data, places = REARRANGED[func], _Places()
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
