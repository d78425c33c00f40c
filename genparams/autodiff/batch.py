"""Many cotangents as one value.

A backward pass multiplies one cotangent by the Jacobian of each step. A `Batch` is p cotangents of
one shape: it holds an array with p rows. A function of a batch is the function of each row. A
pullback is an ordinary function of its cotangent, and takes a batch without any change. So one pass
over a tape gives p gradients.

A function of numpy that has a rule in `batching` is applied to all rows at once. Any other function
is called with each row, and its results are stacked. A rule saves time and changes no value.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy

np: Any = numpy  # the rows may be held by a box, which the type stubs of numpy do not know


class Batch:
    """p cotangents of one shape. `genparams.autodiff.batching` gives it operators and methods.

    `shape` and `ndim` are those of one cotangent.
    """

    __slots__ = ("value",)
    wraps = "an array with a row for each cotangent"

    __mul__: Any

    def __init__(self, value: Any):
        self.value = value
        """An array, or a box of an outer tape, of shape (p, *shape)."""

    shape = property(lambda self: self.value.shape[1:])
    ndim = property(lambda self: len(self.value.shape) - 1)
    size = property(lambda self: int(np.prod(self.value.shape[1:], dtype=int)))
    dtype = property(lambda self: self.value.dtype)
    count = property(lambda self: self.value.shape[0])
    """The number of cotangents, p."""

    def row(self, i: int) -> Any:
        """One cotangent: a float or an array, as in a pass with this cotangent alone."""
        found = self.value[i]
        return float(found) if isinstance(found, np.floating) else found


def by_row(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function that calls `function` with each row of its batches.

    It is for code that does not take batches, such as a gradient that the user gives.
    """

    def apply(*args: Any) -> Any:
        if any(type(a) is Batch for a in args):
            return loop(function, args, {})
        return function(*args)

    return apply


def loop(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """The results of a function for each row of the batches among its arguments, stacked.

    If the results are tuples or lists, so is the answer, and its members are batches. None stays
    None.
    """
    count = next(batches_in([*args, *kwargs.values()])).count
    results = [
        function(*(_at(a, i) for a in args), **{k: _at(v, i) for k, v in kwargs.items()})
        for i in range(count)
    ]
    return _together(results)


def batches_in(values: Sequence[Any]) -> Iterator[Batch]:
    """The batches among values, and in the lists and tuples among them."""
    for value in values:
        if type(value) is Batch:
            yield value
        elif isinstance(value, (list, tuple)):
            yield from batches_in(value)


def _at(value: Any, i: int) -> Any:
    """An argument with row i in place of each batch."""
    if type(value) is Batch:
        return value.row(i)
    if isinstance(value, (list, tuple)) and next(batches_in(value), None) is not None:
        return type(value)([_at(v, i) for v in value])
    return value


def _together(results: Sequence[Any]) -> Any:
    """The results of all rows as batches."""
    first = results[0]
    if isinstance(first, (list, tuple)):
        parts = [_together(parts) for parts in zip(*results, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
    return None if first is None else Batch(np.stack(results))
