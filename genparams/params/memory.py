"""The numbers of parameters: Python floats in lists, or arrays side by side in one flat vector.

A parameter is a place in one of these memories. An entry of a parameter has the keys

    theta   its coordinates: a float, or an array
    value   its natural value; None for an array whose value is its coordinates
    grad    the accumulated gradient; None if nothing is accumulated
    fault   the address that made a gradient not finite, if it is known
    frozen  whether updates leave it where it is

An edit has some of these keys.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from genparams.params.records import Cell, new_tuple

Edit = Mapping[str, Any]
EMPTY: Edit = {"grad": None, "fault": None}
"""The edit that empties an accumulator."""


class FloatRecord(NamedTuple):
    """The entries of parameters that are single numbers, a column for each key."""

    theta: list[float]
    value: list[float]
    grad: list[float | None]
    fault: list[str | None]
    frozen: list[bool]


class Floats(Cell):
    """Parameters that are single numbers."""

    __slots__ = ("count",)

    def __init__(self, entries: Sequence[Edit]):
        columns = [[entry[key] for entry in entries] for key in FloatRecord._fields]
        super().__init__(FloatRecord(*columns))
        self.count = len(entries)

    def at(self, i: int) -> tuple[float, float, bool]:
        """The coordinate, the value, and whether it is frozen, all of the same record."""
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
        """Whether these coordinates, which `at` gave, are still the current ones."""
        return self.now.theta[i] is theta

    def entry(self, i: int) -> dict[str, Any]:
        """All entries of one parameter."""
        return {key: column[i] for key, column in zip(FloatRecord._fields, self.now, strict=True)}

    def edited(self, edits: Mapping[int, Edit], now: FloatRecord) -> FloatRecord:
        """The record with some entries replaced."""
        columns: dict[str, list[Any]] = {}
        for i, edit in edits.items():
            for key, entry in edit.items():
                if key not in columns:
                    columns[key] = list(getattr(now, key))
                columns[key][i] = entry
        return now._replace(**columns)

    def with_own_grads(self) -> FloatRecord:
        """The record with a copy of its accumulators."""
        theta, value, grad, fault, frozen = self.now
        return new_tuple(FloatRecord, (theta, value, grad[:], fault, frozen))

    def stepped(
        self,
        now: FloatRecord,
        places: Sequence[int] | None,
        theta: list[float],
        value: list[float],
        empties: bool,
    ) -> FloatRecord:
        """The record after a step.

        Args:
            places: Where the parameters are that moved; None for all.
            empties: Whether their accumulators were used.
        """
        if places is None:
            grad, fault = now.grad, now.fault
            if empties:
                grad, fault = [None] * self.count, [None] * self.count
            return new_tuple(FloatRecord, (theta, value, grad, fault, now.frozen))
        columns = {"theta": theta, "value": value}
        if empties:
            columns["grad"] = columns["fault"] = [None] * len(theta)  # type: ignore[list-item]
        found = {}
        for key, column in columns.items():
            found[key] = getattr(now, key)[:]
            for i, entry in zip(places, column, strict=True):
                found[key][i] = entry
        return now._replace(**found)


class Vector:
    """A flat array of numbers; once a view of it was handed out, it is never written to."""

    __slots__ = ("has_views", "numbers")

    def __init__(self, numbers: np.ndarray):
        self.numbers = numbers
        self.has_views = False


class ArrayRecord(NamedTuple):
    """The entries of parameters that are arrays: two flat vectors, and columns."""

    theta: Vector
    slope: np.ndarray
    """The accumulators; numbers where nothing is accumulated have no meaning."""
    value: list[np.ndarray | None]
    grad: list[bool | None]
    """True where something is accumulated."""
    fault: list[str | None]
    frozen: list[bool]


class Arrays(Cell):
    """Parameters that are arrays of one dtype, side by side.

    A step writes into the vector before the current one if no view of it was handed out, and else
    into a new vector.
    """

    __slots__ = ("_pool", "count", "places", "shapes", "size")

    def __init__(self, entries: Sequence[Edit]):
        dtype = entries[0]["theta"].dtype
        self.shapes = [entry["theta"].shape for entry in entries]
        ends = np.cumsum([0, *map(math.prod, self.shapes)]).tolist()
        self.places = [slice(begin, end) for begin, end in pairwise(ends)]
        self.count, self.size = len(entries), ends[-1]
        theta, slope = np.empty(self.size, dtype), np.empty(self.size, dtype)
        for place, entry in zip(self.places, entries, strict=True):
            theta[place] = entry["theta"].ravel()
            if entry["grad"] is not None:
                slope[place] = entry["grad"].ravel()
        vector = Vector(theta)
        self._pool = [vector]
        value, fault, frozen = ([e[key] for e in entries] for key in ("value", "fault", "frozen"))
        grad = [None if entry["grad"] is None else True for entry in entries]
        super().__init__(ArrayRecord(vector, slope, value, grad, fault, frozen))

    def spare(self) -> Vector:
        """A vector for the next coordinates, of which nobody has a view."""
        current = self.now.theta
        for vector in self._pool:
            if vector is not current and not vector.has_views:
                return vector
        self._pool = [current]  # releases a vector whose views are gone
        vector = Vector(np.empty_like(current.numbers))
        self._pool = [current, vector]
        return vector

    def part(self, flat: np.ndarray, i: int) -> np.ndarray:
        """The part of a flat array that belongs to one parameter, in its shape."""
        return flat[self.places[i]].reshape(self.shapes[i])

    def at(self, i: int) -> tuple[np.ndarray, np.ndarray, bool]:
        """The coordinates, the value, and whether it is frozen, all of the same record."""
        while True:
            now = self.now
            now.theta.has_views = True
            if self.now is now:  # else another thread may already write to this vector
                break
        theta = self.part(now.theta.numbers, i)
        theta.setflags(write=False)
        value = now.value[i]
        return theta, theta if value is None else value, now.frozen[i]

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
        """Whether these coordinates, which `at` gave, are still the current ones."""
        return theta.base is self.now.theta.numbers

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

    def edited(self, edits: Mapping[int, Edit], now: ArrayRecord) -> ArrayRecord:
        """The record with some entries replaced."""
        columns: dict[str, Any] = {}

        def given(key: str) -> dict[int, Any]:
            return {i: edit[key] for i, edit in edits.items() if key in edit}

        for key in ("value", "fault", "frozen"):
            if new := given(key):
                columns[key] = [new.get(i, old) for i, old in enumerate(getattr(now, key))]
        if thetas := given("theta"):
            columns["theta"] = vector = self.spare()
            vector.numbers[...] = now.theta.numbers
            for i, theta in thetas.items():
                self.part(vector.numbers, i)[...] = theta
        if grads := given("grad"):
            slope = now.slope
            if any(g is not None and (now.grad[i] or self.now.grad[i]) for i, g in grads.items()):
                slope = columns["slope"] = slope.copy()
            columns["grad"] = list(now.grad)
            for i, g in grads.items():
                columns["grad"][i] = None if g is None else True
                if g is not None:  # nobody reads the number there if nothing was accumulated
                    self.part(slope, i)[...] = g
        return now._replace(**columns)

    def stepped(
        self,
        now: ArrayRecord,
        theta: Vector,
        values: Iterable[tuple[int, np.ndarray]],
        emptied: Sequence[int],
    ) -> ArrayRecord:
        """The record after a step.

        Args:
            values: The new values of constrained parameters, by place.
            emptied: Where the parameters are whose accumulators were used.
        """
        value = now.value
        grad: list[Any] = now.grad
        fault: list[Any] = now.fault
        for i, new in values:
            if value is now.value:
                value = value[:]
            value[i] = new
        if len(emptied) == self.count:
            grad, fault = [None] * self.count, [None] * self.count
        elif emptied:
            grad, fault = grad[:], fault[:]
            for i in emptied:
                grad[i] = fault[i] = None
        return ArrayRecord(theta, now.slope, value, grad, fault, now.frozen)
