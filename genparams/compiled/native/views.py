"""Arrays in memory, seen through slices, transpositions, broadcasts and reshapes.

Generated loops read flat arrays. A `View` knows where in a flat array each entry of an array lies.
It keeps numpy's own account of that: an array of bytes that nothing ever reads, whose strides tell
what numpy's functions do to the array.
"""

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

VIEWING = {
    np.reshape, np.transpose, np.broadcast_to, np.ravel, np.swapaxes, np.moveaxis, np.expand_dims,
    np.squeeze, np.diagonal, np.flip, operator.getitem, np.atleast_1d, np.atleast_2d,
    np.matrix_transpose,
}  # fmt: skip
"""Functions whose result is, or can be, a view of their first argument."""

See = Callable[[np.ndarray], Any]
"""A function of numpy that shows an array in another way."""


class View:
    """Entries of a flat array.

    Args:
        base: The name of the flat array.
        start: Where in it the array begins of which this is a view.
    """

    __slots__ = ("_root", "_seen", "base", "start")

    def __init__(self, base: str, start: int, root: np.ndarray, seen: np.ndarray):
        self.base, self.start, self._root, self._seen = base, start, root, seen

    @property
    def shape(self) -> tuple[int, ...]:
        return self._seen.shape

    @property
    def strides(self) -> tuple[int, ...]:
        """How far the entries along each axis are apart."""
        return self._seen.strides

    @property
    def first(self) -> int:
        """Where in the flat array the first entry is."""
        return self.start + _address(self._seen) - _address(self._root)

    @property
    def is_contiguous(self) -> bool:
        return self._seen.flags.c_contiguous

    def through(self, see: See) -> "View | None":
        """The view that a function makes of this one; None if the function makes a copy."""
        seen = seen_through(see, self._seen)
        return None if seen is None else View(self.base, self.start, self._root, seen)

    def at(self, place: Sequence[Any]) -> str:
        """The text of an entry. A place is a number or the name of a variable."""
        constant, terms = self.first, []
        for i, stride in zip(place, self.strides, strict=True):
            if isinstance(i, int):
                constant += i * stride
            elif stride:
                terms.append(i if stride == 1 else f"{stride} * {i}")
        if constant or not terms:
            terms.append(str(constant))
        return f"{self.base}[{' + '.join(terms)}]"

    def matrix(self) -> str | None:
        """The text of a matrix, contiguous by rows or by columns; None if it is neither."""
        if self.is_contiguous:
            return self._whole(self.shape)
        if self._seen.flags.f_contiguous:
            return f"{self._whole(self.shape[::-1])}.T"
        return None

    def _whole(self, shape: tuple[int, ...]) -> str:
        end = self.first + math.prod(shape)
        return f"{self.base}[{self.first}:{end}].reshape({shape})"


def whole(base: str, start: int, shape: tuple[int, ...]) -> View:
    """The view of an array that begins at `start` in a flat array."""
    root = np.empty(shape, np.int8)
    return View(base, start, root, root)


def seeing(op: Any, args: tuple[Any, ...], options: dict[str, Any]) -> See:
    """An operation of `VIEWING` as a function of its first argument."""
    if op is operator.getitem:
        index = args[0] if type(args[0]) is tuple else (args[0],)
        if not any(i is Ellipsis for i in index):
            index = (*index, Ellipsis)  # so that a single entry is an array too
        return lambda array: array[index]
    return lambda array: op(array, *args, **options)


def is_basic(index: Any) -> bool:
    """Whether an index names a view: whole numbers, slices, new axes."""
    if type(index) is tuple:
        return all(map(is_basic, index))
    return index is None or index is Ellipsis or type(index) in (int, slice)


def seen_through(see: See, array: np.ndarray) -> np.ndarray | None:
    """What a function makes of an array, if it is a view."""
    seen = see(array)
    return seen if np.may_share_memory(seen, array) else None


def entries_through(
    see: See, shape: tuple[int, ...], axes: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[np.ndarray, ...]] | None:
    """What a function does to an array of which a loop over some axes computes the entries.

    Returns the same axes of the result, and for each entry of the result in one iteration the
    place among the entries of the array; both with one entry along the axes of the loop. None if an
    iteration would need the entries of another one.
    """
    array = np.empty(shape, np.int8)
    seen = seen_through(see, array)
    if seen is None:
        return None
    found = [_same_axis(seen, shape[a], array.strides[a]) for a in axes]
    if None in found:
        return None
    now = tuple(slice(0, 1) if i in found else slice(None) for i in range(seen.ndim))
    first = seen[now]
    flat = np.full(first.shape, _address(first) - _address(array))
    for i, stride in enumerate(first.strides):
        flat += stride * np.arange(first.shape[i]).reshape(-1, *[1] * (first.ndim - 1 - i))
    places = np.unravel_index(flat, shape)
    if any(np.any(places[a]) for a in axes):
        return None
    return tuple(b for b in found if b is not None), places


def _same_axis(seen: np.ndarray, length: int, stride: int) -> int | None:
    for i in range(seen.ndim):
        if seen.shape[i] == length and seen.strides[i] == stride:
            return i
    return None


def _address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]
