"""Memory whose contents are replaced, several at a time, in one assignment.

A `Cell` holds a record that is not changed but replaced. `swap` replaces the records of several
cells at once: each new record is laid beside the old one, where nobody sees it, and one assignment
makes all of them current. An exception at any line, Ctrl-C included, leaves every old record or
every new one.

`Floats` and `Arrays` are cells with the numbers of several parameters: Python floats in lists, or
arrays as one flat vector. A parameter is a place in one of them.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

_DONE = [True]


class Cell:
    """A record that is replaced as a whole."""

    __slots__ = ("_latest",)

    def __init__(self, record: Any):
        # whether the swap is done that brought the latest record; that record; the one before
        self._latest: tuple[list[bool], Any, Any] = (_DONE, record, None)

    @property
    def now(self) -> Any:
        """The current record."""
        (done,), after, before = self._latest
        return after if done else before

    def forget(self) -> None:
        """Let go of the record before the current one."""
        self._latest = _DONE, self.now, None


Changes = dict[Any, Any]
"""By cell, the next record."""
Edit = Mapping[str, Any]
"""New entries for one parameter: theta, value, grad (None for an empty one), fault, frozen."""


def aside(changes: Changes) -> list[bool]:
    """Lay the next records of several cells beside the current ones; hold the lock.

    They become current, together, when the first entry of the list is made True.
    """
    done = [False]
    for cell, after in changes.items():
        (is_done,), current, before = cell._latest
        cell._latest = done, after, current if is_done else before
    return done


def swap(changes: Changes) -> None:
    """Make the next records of several cells current, in one assignment; hold the lock."""
    done = aside(changes)
    done[0] = True  # until here every cell has its old record, from here on its new one


new_tuple = tuple.__new__
"""`new_tuple(Record, entries)` makes a record in half the time of `Record(*entries)`."""


# --- Single numbers


class FloatsNow(NamedTuple):
    """The record of `Floats`: one entry for each parameter."""

    theta: list[float]
    value: list[float]
    grad: list[float | None]
    """None where nothing is accumulated."""
    fault: list[str | None]
    frozen: list[bool]


class Floats(Cell):
    """Parameters that are single numbers."""

    __slots__ = ("count", "left")

    def __init__(self, entries: Sequence[Edit]):
        columns = [[entry[name] for entry in entries] for name in FloatsNow._fields]
        super().__init__(FloatsNow(*columns))
        self.count = len(columns[0])
        self.left = False  # whether its parameters have moved to other memory

    def at(self, i: int) -> tuple[float, float, bool]:
        """The coordinate and the value of a parameter and whether it is frozen, of one moment."""
        theta, value, _, _, frozen = self.now
        return theta[i], value[i], frozen[i]

    def theta(self, i: int) -> float:
        return self.now.theta[i]

    def value(self, i: int) -> float:
        return self.now.value[i]

    def grad(self, i: int) -> float:
        g = self.now.grad[i]
        return 0.0 if g is None else g

    def is_at(self, i: int, theta: Any) -> bool:
        return self.now.theta[i] is theta

    def with_own_grads(self) -> FloatsNow:
        """The record with a copy of its accumulators."""
        theta, value, grad, fault, frozen = self.now
        return new_tuple(FloatsNow, (theta, value, grad[:], fault, frozen))

    def edited(self, edits: Mapping[int, Edit], now: FloatsNow) -> FloatsNow:
        """A record with some entries replaced."""
        columns: dict[str, list[Any]] = {}
        for i, edit in edits.items():
            for name, entry in edit.items():
                column = columns.get(name)
                if column is None:
                    column = columns[name] = list(getattr(now, name))
                column[i] = entry
        return now._replace(**columns)

    def entry(self, i: int) -> dict[str, Any]:
        """All entries of one parameter."""
        return {name: column[i] for name, column in zip(FloatsNow._fields, self.now, strict=True)}


# --- Arrays


class Vector:
    """Numbers side by side, and whether a view of them was handed out: then they never change."""

    __slots__ = ("numbers", "seen")

    def __init__(self, numbers: np.ndarray):
        self.numbers = numbers
        self.seen = False


class ArraysNow(NamedTuple):
    """The record of `Arrays`: two flat vectors, and one entry for each parameter."""

    theta: Vector
    slope: np.ndarray
    """The accumulators; where nothing is accumulated, the number there has no meaning."""
    value: list[np.ndarray | None]
    """None where the value is its own coordinates."""
    grad: list[bool | None]
    """None where nothing is accumulated."""
    fault: list[str | None]
    frozen: list[bool]


class Arrays(Cell):
    """Parameters that are arrays of one dtype, side by side.

    A step is computed into the vector before the current one, if no view of that was handed out,
    and else into a new one.
    """

    __slots__ = ("_pool", "count", "left", "places", "shapes", "size")

    def __init__(self, entries: Sequence[Edit]):
        dtype = entries[0]["theta"].dtype
        self.shapes = [entry["theta"].shape for entry in entries]
        ends = np.cumsum([0, *map(math.prod, self.shapes)]).tolist()
        self.places = [slice(*ends) for ends in pairwise(ends)]
        self.count = len(entries)
        self.size = ends[-1]
        self.left = False
        theta, slope = np.empty(self.size, dtype), np.empty(self.size, dtype)
        for place, entry in zip(self.places, entries, strict=True):
            theta[place] = entry["theta"].ravel()
            if entry["grad"] is not None:
                slope[place] = entry["grad"].ravel()
        vector = Vector(theta)
        self._pool = [vector]
        super().__init__(
            ArraysNow(
                vector,
                slope,
                [entry["value"] for entry in entries],
                [None if entry["grad"] is None else True for entry in entries],
                [entry["fault"] for entry in entries],
                [entry["frozen"] for entry in entries],
            )
        )

    def fresh(self) -> Vector:
        """A vector for the next coordinates, which nobody sees."""
        current = self.now.theta
        for vector in self._pool:
            if vector is not current and not vector.seen:
                return vector
        self._pool = [current]  # frees a vector of which no view is held any more
        self.forget()
        vector = Vector(np.empty_like(current.numbers))
        self._pool = [current, vector]
        return vector

    def at(self, i: int) -> tuple[np.ndarray, np.ndarray, bool]:
        """The coordinates and the value of a parameter and whether it is frozen, of one moment."""
        while True:
            now = self.now
            now.theta.seen = True
            if self.now is now:  # else another thread may already write to this vector again
                break
        theta = self.part(now.theta.numbers, i)
        theta.setflags(write=False)
        value = now.value[i]
        return theta, theta if value is None else value, now.frozen[i]

    def part(self, flat: np.ndarray, i: int) -> np.ndarray:
        """The part of a flat array that belongs to one parameter, in its shape."""
        return flat[self.places[i]].reshape(self.shapes[i])

    def theta(self, i: int) -> np.ndarray:
        return self.at(i)[0]

    def value(self, i: int) -> np.ndarray:
        value = self.now.value[i]
        return self.at(i)[0] if value is None else value

    def grad(self, i: int) -> np.ndarray:
        now = self.now
        part = self.part(now.slope, i)
        return part.copy() if now.grad[i] else np.zeros_like(part)

    def is_at(self, i: int, theta: Any) -> bool:
        return theta.base is self.now.theta.numbers

    def edited(self, edits: Mapping[int, Edit], now: ArraysNow) -> ArraysNow:
        """A record with some entries replaced."""
        columns: dict[str, Any] = {}
        for name in ("value", "fault", "frozen"):
            given = {i: edit[name] for i, edit in edits.items() if name in edit}
            if given:
                columns[name] = [given.get(i, old) for i, old in enumerate(getattr(now, name))]
        thetas = {i: edit["theta"] for i, edit in edits.items() if "theta" in edit}
        if thetas:
            columns["theta"] = vector = self.fresh()
            vector.numbers[...] = now.theta.numbers
            for i, theta in thetas.items():
                self.part(vector.numbers, i)[...] = theta
        grads = {i: edit["grad"] for i, edit in edits.items() if "grad" in edit}
        if grads:
            slope = now.slope
            if any(g is not None and now.grad[i] for i, g in grads.items()):
                slope = columns["slope"] = slope.copy()
            for i, g in grads.items():
                if g is not None:  # where nothing is accumulated, nobody sees it
                    self.part(slope, i)[...] = g
            columns["grad"] = list(now.grad)
            for i, g in grads.items():
                columns["grad"][i] = None if g is None else True
        return now._replace(**columns)

    def entry(self, i: int) -> dict[str, Any]:
        """All entries of one parameter."""
        now = self.now
        return {
            "theta": self.part(now.theta.numbers, i).copy(),
            "value": now.value[i],
            "grad": self.part(now.slope, i).copy() if now.grad[i] else None,
            "fault": now.fault[i],
            "frozen": now.frozen[i],
        }


def gaps(places: Iterable[slice], size: int) -> Iterator[slice]:
    """What lies between places that are in order and do not overlap."""
    end = 0
    for place in places:
        if place.start > end:
            yield slice(end, place.start)
        end = max(end, place.stop)
    if end < size:
        yield slice(end, size)
