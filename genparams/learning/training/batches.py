"""The data of a training loop, in the forms that a user has them: epochs of minibatches."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, count, islice
from typing import Any, NamedTuple, Protocol

import numpy as np

from genparams.errors import ArgumentError
from genparams.learning.training.cutting import Rows, Table
from genparams.text import brief

Item = tuple[tuple[Any, ...], Mapping[Any, Any]]
"""The arguments of a run, and the values of its choices."""


class Batch(NamedTuple):
    """The data of one step."""

    items: Sequence[Item]
    keys: Sequence[int] | None
    """A number of each item by which it can be known again; None if it never comes back."""
    size: int
    """How many data these are: the items, or the rows in an item."""
    is_last: bool
    """Whether the epoch ends with this step."""


class Source(Protocol):
    """Data in epochs of minibatches."""

    @property
    def data(self) -> int | None:
        """How many data an epoch has; None if that is not known."""
        ...

    @property
    def batches(self) -> int | None:
        """How many minibatches an epoch has."""
        ...

    @property
    def batch_size(self) -> int:
        """How many data a minibatch has, but for a shorter last one."""
        ...

    @property
    def is_random(self) -> bool:
        """Whether an epoch draws its order."""
        ...

    @property
    def is_once(self) -> bool:
        """Whether there is one epoch only."""
        ...

    @property
    def only(self) -> "Batch | None":
        """The minibatch of every epoch, if it is always the same one."""
        ...

    def epoch(self, number: int, rng: np.random.Generator) -> Iterator[Batch]:
        """The minibatches of an epoch; the first one is number 1."""
        ...

    def some(self) -> Iterator[Item]:
        """Items to look at before the first epoch, which costs the epochs nothing.

        All of them, in the order of their keys, where items have keys.
        """
        ...

    def describe(self) -> str:
        """The form and number of the data, for checkpoints."""
        ...


class Whole:
    """The arguments and the data of one run, all in each step."""

    batches, batch_size, is_random, is_once = 1, 1, False, False

    def __init__(self, item: Item, data: int | None):
        self.only = Batch([item], [0], 1 if data is None else data, True)
        self.data = data

    def epoch(self, number: int, rng: np.random.Generator) -> Iterator[Batch]:
        return iter([self.only])

    def some(self) -> Iterator[Item]:
        return iter(self.only.items)

    def describe(self) -> str:
        return "one run of all data"


class Cut(Sequence[Item]):
    """One item, of rows of a table, which are cut out when it is first read."""

    __slots__ = ("_item", "rows", "size", "table")

    def __init__(self, table: Table, rows: Rows, size: int):
        self.table, self.rows, self.size = table, rows, size
        self._item: Item | None = None

    def __len__(self) -> int:
        return 1

    def __getitem__(self, i: Any) -> Any:
        if i not in (0, -1):
            raise IndexError(i)
        if self._item is None:
            self._item = self.table.rows(self.rows, self.size)
        return self._item


class Cuts:
    """Rows of arrays: each minibatch is one run."""

    is_once, only = False, None

    def __init__(self, table: Table, batch_size: int, shuffle: bool):
        self._table = table
        self.data, self.batch_size = table.length, batch_size
        self.batches = -(-self.data // batch_size)
        self.is_random = shuffle and self.batches > 1

    def epoch(self, number: int, rng: np.random.Generator) -> Iterator[Batch]:
        order = rng.permutation(self.data) if self.is_random else None
        for i in range(self.batches):
            yield self._batch(i, order)

    def _batch(self, i: int, order: Any) -> Batch:
        begin, end = i * self.batch_size, min((i + 1) * self.batch_size, self.data)
        rows = slice(begin, end) if order is None else order[begin:end]
        item = Cut(self._table, rows, end - begin)
        return Batch(item, None if self.is_random else [i], end - begin, end == self.data)

    def some(self) -> Iterator[Item]:
        return (self._batch(i, None).items[0] for i in range(self.batches))

    def describe(self) -> str:
        return f"{self.data} rows"


class Items:
    """A sequence of arguments and data: each is a run, and a minibatch is several."""

    is_once, only = False, None

    def __init__(self, items: Sequence[Item], batch_size: int | None, shuffle: bool):
        self._items = items
        self._keeps = isinstance(items, list | tuple)  # others may make each item as it is read
        self.data = len(items)
        self.batch_size = self.data if batch_size is None else batch_size
        self.batches = -(-self.data // self.batch_size)
        self.is_random = shuffle and self.batches > 1

    def epoch(self, number: int, rng: np.random.Generator) -> Iterator[Batch]:
        order = rng.permutation(self.data) if self.is_random else np.arange(self.data)
        for begin in range(0, self.data, self.batch_size):
            chosen: list[int] = order[begin : begin + self.batch_size].tolist()
            items = [checked_item(self._items[i], i) for i in chosen]
            is_last = begin + self.batch_size >= self.data
            yield Batch(items, chosen if self._keeps else None, len(items), is_last)

    def some(self) -> Iterator[Item]:
        return (checked_item(self._items[i], i) for i in range(self.data))

    def describe(self) -> str:
        return f"{self.data} pairs"


class Stream:
    """Arguments and data that an iterator gives, in its order.

    Args:
        make: From the number of an epoch to its iterator.
    """

    data = batches = None
    is_random, only = False, None

    def __init__(self, make: Callable[[int], Iterator[Any]], batch_size: int, is_once: bool):
        self._make, self.batch_size, self.is_once = make, batch_size, is_once
        self._begun: Iterator[Any] | None = None

    def epoch(self, number: int, rng: np.random.Generator) -> Iterator[Batch]:
        begun = self._begun if number == 1 else None
        self._begun = None
        pairs = zip(count(), begun or self._make(number), strict=False)
        items = (checked_item(item, i) for i, item in pairs)
        batch = list(islice(items, self.batch_size))
        while batch:
            after = list(islice(items, self.batch_size))
            yield Batch(batch, None, len(batch), not after)
            batch = after

    def some(self) -> Iterator[Item]:
        first = list(islice(items := self._make(1), 1))
        self._begun = chain(first, items)
        return (checked_item(item, i) for i, item in enumerate(first))

    def describe(self) -> str:
        return "a stream"


def checked_item(item: Any, place: int) -> Item:
    """A pair of arguments and data.

    Raises:
        ArgumentError: it is something else.
    """
    if not (isinstance(item, tuple | list) and len(item) == 2):
        raise ArgumentError(
            f"item {place} of the data is {brief(item)}; each is a pair (args, constraints), such "
            'as ((x,), {"y": y})'
        )
    return item[0], item[1]


def once(items: Iterable[Any]) -> Callable[[int], Iterator[Any]]:
    """What makes the only epoch of an iterator."""
    iterator = iter(items)
    return lambda number: iterator
