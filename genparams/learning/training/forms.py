"""The forms in which a user gives the data of a training loop."""

import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from genparams.dsl.function import GenerativeFunction
from genparams.errors import ArgumentError, InvalidValue
from genparams.learning.checks import check_count
from genparams.learning.training.batches import Cuts, Item, Items, Source, Stream, Whole, once
from genparams.learning.training.cutting import Table
from genparams.mistakes import refuse_other_functions
from genparams.text import brief
from genparams.trace.trace import Trace


def source_of(
    f: GenerativeFunction,
    data: Any,
    batch_size: int | None = None,
    shuffle: bool = True,
    whole: Collection[str] = (),
    count: str | None = None,
    counts_rows: bool = False,
) -> Source:
    """The data in epochs of minibatches.

    Args:
        counts_rows: Whether the number of rows is needed also if there are no minibatches.

    Raises:
        ArgumentError: they have none of the forms.
        InvalidValue: they are empty, or fewer than `batch_size`.
        ShapeError: arrays have different lengths.
    """
    if batch_size is not None:
        check_count("batch_size", batch_size)
    is_pair = isinstance(data, tuple) and len(data) == 2 and isinstance(data[1], Mapping)
    if is_pair:
        return _of_arrays(f, data, batch_size, shuffle, whole, count, counts_rows)
    if whole or count is not None:
        raise ArgumentError("whole and count are for data that are arrays, (args, constraints)")
    if isinstance(data, Mapping | str | np.ndarray | Trace | GenerativeFunction):
        raise _wrong_form(data)
    if isinstance(data, Sequence):
        if not data:
            raise InvalidValue("train was given no data: the list is empty")
        if isinstance(data, tuple | list) and (wrong := _looks_like_one_pair(data)):
            raise ArgumentError(wrong)
        _refuse_larger(batch_size, len(data))
        return Items(data, batch_size, shuffle)
    if isinstance(data, Iterator):
        return Stream(once(data), batch_size or 1, is_once=True)
    if callable(data):
        return Stream(_epochs_of(data), batch_size or 1, is_once=False)
    raise _wrong_form(data)


def _epochs_of(function: Callable[..., Any]) -> Callable[[int], Iterator[Any]]:
    """From the number of an epoch to what a user's function gives for it.

    The function is given the number if it takes an argument by position, also one with a default.

    Raises:
        ArgumentError: it takes more than the number of the epoch.
    """
    takes_none = _takes_none(function)
    if not takes_none:
        refuse_other_functions("data", function, "epoch")

    def make(epoch: int) -> Iterator[Any]:
        found = function() if takes_none else function(epoch)
        if not isinstance(found, Iterable):
            raise ArgumentError(
                f"the function of the data gave {brief(found)} for epoch {epoch}; it gives a "
                "generator of pairs (args, constraints)"
            )
        return iter(found)

    return make


def _takes_none(function: Callable[..., Any]) -> bool:
    """Whether a function takes nothing by position, not even as an option."""
    try:
        signature = inspect.signature(function)
        signature.bind()
    except (TypeError, ValueError):
        return False
    try:
        signature.bind(1)
    except TypeError:
        return True
    return False


def _of_arrays(
    f: GenerativeFunction,
    data: Item,
    batch_size: int | None,
    shuffle: bool,
    whole: Collection[str],
    count: str | None,
    counts_rows: bool,
) -> Source:
    args, constraints = data
    if not isinstance(args, tuple):
        raise ArgumentError(
            f"the arguments of the model are a tuple, got {brief(args)}; write ((x,), {{'y': y}})"
        )
    if isinstance(whole, str):
        raise InvalidValue(f"whole is a list of names of arguments, got {whole!r}")
    if batch_size is None and not counts_rows:
        return Whole(data, None)
    table = Table(args, constraints, f.argument_names, whole, count)
    if batch_size is None:
        return Whole(data, table.length)
    _refuse_larger(batch_size, table.length)
    return Cuts(table, batch_size, shuffle)


def _looks_like_one_pair(data: Sequence[Any]) -> str:
    """What to write for data that are a model's arguments and values, but no pair of them."""
    if any(isinstance(item, tuple | list) and len(item) == 2 for item in data[1:]):
        return ""
    first = data[0]
    if isinstance(first, tuple) and len(data) == 2 and not isinstance(data[1], tuple | list):
        return (
            f"the data of the choices are given by address, got {brief(data[1])}; write "
            "((x,), {'y': y})"
        )
    if isinstance(data, tuple) and not isinstance(first, tuple | Mapping):
        return (
            f"data are no tuple of {len(data)} values, got {brief(data)}; write "
            "((x,), {'y': y}): the model's arguments in a tuple, the data of its choices by address"
        )
    return ""


def _wrong_form(data: Any) -> ArgumentError:
    return ArgumentError(
        "data are a pair (args, constraints), such as ((xs,), {'ys': ys}); a list of such pairs; a "
        f"generator of pairs; or a function of the epoch that makes one; got {brief(data)}"
    )


def _refuse_larger(batch_size: int | None, data: int) -> None:
    if batch_size is not None and batch_size > data:
        raise InvalidValue(
            f"a minibatch of {batch_size} is larger than the data, which are {data}; leave out "
            "batch_size to use all data in each step"
        )


def check_length(source: Source, epochs: int | None, steps: int | None) -> None:
    """Refuse a length of training that the data do not have.

    Raises:
        ArgumentError: there is no end, or a generator would have to begin again.
    """
    if epochs is not None:
        check_count("epochs", epochs, 0)
        if source.is_once and epochs > 1:
            raise ArgumentError(
                f"a generator gives its data once, and {epochs} epochs are asked for; give the "
                "function that makes it, data=lambda epoch: pairs()"
            )
    if epochs is None and steps is None and not source.is_once:
        raise ArgumentError("say how long to train: epochs=10, or steps=1000")


def expected_steps(source: Source, epochs: int | None, steps: int | None) -> int | None:
    """How many steps there will be, if nothing stops them."""
    if epochs is None or source.batches is None:
        return steps
    return epochs * source.batches if steps is None else min(steps, epochs * source.batches)
