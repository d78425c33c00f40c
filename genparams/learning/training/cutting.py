"""Cutting arguments and data along the first axis of their arrays: rows for a minibatch."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from genparams.errors import ArgumentError, InvalidValue, ShapeError, nearest
from genparams.text import brief
from genparams.trace.choices import ChoiceMap, choice_values, unchecked
from genparams.types import show

Rows = Any
"""What indexes the first axis of an array: whole numbers, or a slice."""
Cut = Callable[[Rows], Any]


class Table:
    """The arguments of a function and data for its choices, as a table whose rows are data.

    Arrays (all that has a shape, such as a sparse matrix or a data frame), lists and columns of a
    table are cut along their first axis, also inside tuples and dictionaries; everything else, such
    as a number or a string, is passed whole.

    Args:
        names: The names of the arguments.
        whole: The names of arguments that are passed whole although they are arrays.
        count: The name of the argument that is the number of rows.

    Raises:
        ShapeError: the arrays have different lengths, or there are none.
        InvalidValue: data for a choice cannot be cut.
        ArgumentError: there is no argument of a name in `whole` or `count`.
    """

    def __init__(
        self,
        args: tuple[Any, ...],
        constraints: Mapping[Any, Any],
        names: Collection[str],
        whole: Collection[str],
        count: str | None,
    ):
        called = [*names, *(f"#{i}" for i in range(len(names), len(args)))]
        for name in [*whole, *([count] if count is not None else [])]:
            if name not in called[: len(args)]:
                raise ArgumentError(f"no argument {name!r} is given; {nearest(name, called)}")
        self._lengths: dict[str, int] = {}
        self._args: list[Cut] = [
            _length_of
            if name == count
            else _whole(a)
            if name in whole
            else self._cut(a, f"argument {name}")
            for name, a in zip(called, args, strict=False)
        ]
        self._choices = {
            address: self._cut(value, f"the data at {show(address)}", is_data=True)
            for address, value in choice_values(constraints).items()
        }
        self.length = self._common_length(count)

    def rows(self, rows: Rows, size: int) -> tuple[tuple[Any, ...], ChoiceMap]:
        """The arguments and the data of so many rows."""
        args = tuple([size if cut is _length_of else cut(rows) for cut in self._args])
        return args, unchecked({a: _fixed(cut(rows)) for a, cut in self._choices.items()})

    def _cut(self, value: Any, name: str, is_data: bool = False) -> Cut:
        """What gives the rows of a value."""
        if isinstance(value, Mapping):
            cuts = {key: self._cut(v, f"{name}[{key!r}]", is_data) for key, v in value.items()}
            return lambda rows: {key: cut(rows) for key, cut in cuts.items()}
        if isinstance(value, tuple):
            parts = [self._cut(v, f"{name}[{i}]", is_data) for i, v in enumerate(value)]
            return lambda rows: tuple([cut(rows) for cut in parts])
        array = _as_array(value, name)
        if shape := getattr(array, "shape", ()):
            self._lengths[name] = shape[0]
            at = getattr(array, "iloc", array)
            return lambda rows: at[rows]
        if is_data:
            raise InvalidValue(
                f"{name} is {brief(value)}, which has no rows, and would be counted in each "
                "minibatch; leave out batch_size, or write a generator of (args, constraints)"
            )
        return _whole(value)

    def _common_length(self, count: str | None) -> int:
        if not self._lengths:
            raise ShapeError(
                "batch_size cuts arrays, and there are none among the arguments and the data; "
                "leave it out, or give a list of (args, constraints)"
            )
        found = {length: name for name, length in reversed(self._lengths.items())}
        if len(found) > 1:
            each = ", ".join(f"{name} has {n}" for n, name in reversed(found.items()))
            raise ShapeError(
                f"minibatches are rows of arrays of one length: {each}; write whole=['name'] for "
                "an argument that is not data"
            )
        return next(iter(found))


def _length_of(rows: Rows) -> Any:
    raise AssertionError("the number of rows is known")


def _whole(value: Any) -> Cut:
    return lambda rows: value


def _as_array(value: Any, name: str) -> Any:
    """A list or a column as an array; all else, such as a data frame, as it is."""
    if isinstance(value, list) or (hasattr(value, "to_numpy") and np.ndim(value) == 1):
        try:
            return np.asarray(value)
        except ValueError:
            raise ShapeError(
                f"{name} is a list of parts of different lengths, got {brief(value)}; give a list "
                "of (args, constraints), one for each part"
            ) from None
    return value


def _fixed(value: Any) -> Any:
    """A value of a choice that nothing else changes: what was cut out is a copy, or is copied."""
    if isinstance(value, np.ndarray):
        value = value if value.base is None else value.copy()
        value.setflags(write=False)
        return value
    if isinstance(value, tuple):
        return tuple(map(_fixed, value))
    return value.item() if isinstance(value, np.generic) else value
