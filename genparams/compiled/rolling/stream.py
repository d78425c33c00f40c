"""Operations in a row as tables of whole numbers, in which loops are found fast.

An operation has *operands*: the nodes and the numbers in its arguments. What is left of the
arguments is its *form*: None, shapes, slices, tuples with places for the operands. Two operations
have one *code* if they differ in their operands at most.
"""

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from genparams.compiled.algebra.ir import Node
from genparams.compiled.rolling.periods import LEAST
from genparams.errors import CannotRecord
from genparams.program.record import Operation
from genparams.program.recorded import Recorded

CONSTANT = -1
"""The place of an operand that is a number or an array. Inputs have places below it."""

_FLOAT = ((), "f")
_INDEXED = {operator.getitem}
_SMALL = 30
"""The most operations that are put at the beginning for one that is read in many places."""
_FOLLOWING = 2
_ARITHMETIC = {np.add, np.subtract, np.multiply, np.true_divide}


class CannotRoll(CannotRecord):
    """Operations are left as they are."""


class Place:
    """The place of an operand in a form."""

    def __repr__(self) -> str:
        return "_"


PLACE = Place()


@dataclass(frozen=True, slots=True)
class Window:
    """The place of a slice of so many entries, of which the operand is the first index."""

    length: int

    def at(self, first: Any) -> Any:
        """The slice; or, for the first indices of all iterations, the indices."""
        if isinstance(first, Rows):
            return Rows(np.add.outer(first.value, np.arange(self.length)))
        return slice(first, first + self.length)


@dataclass(frozen=True, slots=True)
class Rows:
    """A value for each iteration of a loop, along the first axis."""

    value: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one value."""
        return np.shape(self.value)[1:] if type(self.value) is not Node else self.value.shape[1:]


class Stream:
    """Operations in an order in which they can be computed.

    Args:
        operations: Recorded values or nodes. Those without an operation are inputs.
        indexed: Functions of which the second argument is an index.
        replaced: For what is read and is not among the operations, the operation that stands for
            it.
    """

    def __init__(
        self,
        operations: Iterable[Any],
        indexed: Iterable[Any] = (),
        replaced: Mapping[Any, Any] | None = None,
    ):
        self.operations = [r for r in operations if r.op is not None]
        self.forms: list[tuple[Any, ...] | None] = []
        """For each code the form of the arguments; None if every argument is an operand."""
        reader = _Reader(self, _INDEXED.union(indexed), replaced or {})
        codes, counts, self.operands = reader.read(self.operations)
        self.codes = np.array(codes, np.int32)
        self.first = np.concatenate(([0], np.cumsum(counts, dtype=int)))
        """Where the operands of each operation begin."""
        self.places = np.array(reader.places, np.int64)
        """For each operand the number of its operation among all."""
        self.place_of = reader.place_of()

    def __len__(self) -> int:
        return len(self.operations)

    def users(self) -> np.ndarray:
        """For each operand the number of the operation that it belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.first))

    def places_of(self, i: int) -> list[int]:
        return self.places[self.first[i] : self.first[i + 1]].tolist()

    def operands_of(self, i: int) -> Sequence[Any]:
        return self.operands[self.first[i] : self.first[i + 1]]

    def args(self, i: int, operands: Iterable[Any]) -> tuple[Any, ...]:
        """The arguments of an operation, with other operands."""
        form = self.forms[self.codes[i]]
        return tuple(operands) if form is None else filled(form, iter(operands))

    def ordered(self, order: np.ndarray) -> None:
        """Put the operations into another order."""
        new = np.empty(len(order), np.int64)
        new[order] = np.arange(len(order))
        counts = np.diff(self.first)[order]
        first = np.concatenate(([0], np.cumsum(counts)))
        flat = np.repeat(self.first[order] - first[:-1], counts) + np.arange(first[-1])
        places = self.places[flat]
        places[places >= 0] = new[places[places >= 0]]
        self.operations = [self.operations[i] for i in order.tolist()]
        self.operands = [self.operands[i] for i in flat.tolist()]
        self.codes, self.first, self.places = self.codes[order], first, places
        self.place_of = {r: int(new[i]) for r, i in self.place_of.items()}


def filled(form: tuple[Any, ...], operands: Any) -> tuple[Any, ...]:
    """A form with operands in its places."""
    return tuple([_filled(a, operands) for a in form])


def _filled(a: Any, operands: Any) -> Any:
    if a is PLACE:
        return next(operands)
    if type(a) is Window:
        return a.at(next(operands))
    return filled(a, operands) if type(a) is tuple else a


class _Reader:
    """The reading of operations into tables."""

    def __init__(self, stream: Stream, indexed: set[Any], replaced: Mapping[Any, Any]):
        self.forms, self.indexed = stream.forms, indexed
        self.places: list[int] = []
        self.known: dict[Any, tuple[int, Any]] = {}
        """The place of each node that has been read, and what it is, for codes."""
        self._stands_for: dict[Any, list[Any]] = {}
        for r, new in replaced.items():
            self._stands_for.setdefault(new, []).append(r)
        self._inputs = 0
        self._codes: dict[Any, int] = {}

    def read(self, operations: Sequence[Any]) -> tuple[list[int], list[int], list[Any]]:
        codes, counts, operands = [], [], []
        for i, r in enumerate(operations):
            before = len(operands)
            key = None if r.options else self._plain_key(r, operands)
            form = None
            if key is None:
                del operands[before:], self.places[before:]
                form, key = self._form_and_key(r, operands)
            code = self._codes.get(key)
            if code is None:
                code = self._codes[key] = len(self.forms)
                self.forms.append(form)
            codes.append(code)
            counts.append(len(operands) - before)
            known = self.known[r] = i, _kind(r)
            for other in self._stands_for.get(r, ()):
                self.known[other] = known
        return codes, counts, operands

    def place_of(self) -> dict[Any, int]:
        return {r: place for r, (place, _) in self.known.items() if place >= 0}

    def _plain_key(self, r: Any, operands: list[Any]) -> Any:
        """The key of an operation on nodes and floats; None if it has other arguments."""
        key: list[Any] = [r.op]
        for a in r.args:
            kind = type(a)
            if kind is Recorded or kind is Node:
                place, what = self.known.get(a) or self._input(a)
            elif kind is float:
                place, what = CONSTANT, _FLOAT
            elif kind is int and r.op in _ARITHMETIC and _is_float(r):
                a, place, what = float(a), CONSTANT, _FLOAT
            else:
                return None
            key.append(what)
            self.places.append(place)
            operands.append(a)
        return tuple(key)

    def _form_and_key(self, r: Any, operands: list[Any]) -> tuple[tuple[Any, ...], Any]:
        kinds: list[Any] = []
        form = tuple(
            [
                self._form(a, i == 1 and r.op in self.indexed, operands, kinds)
                for i, a in enumerate(r.args)
            ]
        )
        options = tuple(r.options.items()) if isinstance(r.options, dict) else r.options
        if any(isinstance(x, Operation) for _, x in options):
            raise CannotRoll("an option that is computed")
        return form, (r.op, _key(form), tuple(kinds), _key(options), "form")

    def _form(self, a: Any, is_index: bool, operands: list[Any], kinds: list[Any]) -> Any:
        """The form of an argument, whose operands are added to the list."""
        if isinstance(a, Operation):
            place, what = self.known.get(a) or self._input(a)
            kinds.append(what)
        elif type(a) is float:
            kinds.append(_FLOAT)
            place = CONSTANT
        elif isinstance(a, np.ndarray):
            kinds.append((a.shape, a.dtype))
            place = CONSTANT
        elif is_index and type(a) is int:
            kinds.append(int)
            place = CONSTANT
        elif type(a) is tuple:
            return tuple([self._form(x, is_index, operands, kinds) for x in a])
        elif type(a) is slice and any(isinstance(x, Operation) for x in (a.start, a.stop, a.step)):
            raise CannotRoll("a slice whose ends are computed")
        elif is_index and type(a) is slice and _is_window(a):
            kinds.append(int)
            operands.append(a.start)
            self.places.append(CONSTANT)
            return Window(a.stop - a.start)
        else:
            return a
        operands.append(a)
        self.places.append(place)
        return PLACE

    def _input(self, a: Any) -> tuple[int, Any]:
        self._inputs += 1
        known = self.known[a] = CONSTANT - self._inputs, _kind(a)
        return known


def _is_window(a: slice) -> bool:
    return a.step is None and type(a.start) is type(a.stop) is int and 0 <= a.start <= a.stop


def _kind(a: Any) -> Any:
    """What a node or an array is, for codes."""
    return _FLOAT if a.shape == () and _is_float(a) else (a.shape, a.dtype)


def _is_float(a: Any) -> bool:
    return a.dtype is not None and a.dtype.kind == "f"


def _key(a: Any) -> Any:
    """A key that is equal for equal forms."""
    kind = type(a)
    if kind is tuple:
        return tuple(map(_key, a))
    if kind is slice:
        return (slice, _key(a.start), _key(a.stop), _key(a.step))
    return (
        (kind, a)
        if kind in (int, bool, str, Window) or a is None or a is Ellipsis
        else _identity(a)
    )


def _identity(a: Any) -> Any:
    return a if isinstance(a, (np.dtype, Operation)) else id(a)


# --- What many places share, first


def shared_first(stream: Stream) -> None:
    """Put at the beginning what is read in many places and depends on inputs by few operations.

    A computation that loops is recorded without what an earlier iteration has computed, such as
    the parameters of a group that has been there before: without this, no iteration is like the
    next.
    """
    shared = _read_alike(stream)
    moved: set[int] = set()
    for i in np.flatnonzero(shared | _is_entry(stream)).tolist():
        moved |= _needed(stream, i, moved, _SMALL if shared[i] else 1)
    for _ in range(_FOLLOWING):
        moved |= _once(stream, moved)
    if moved:
        first = np.array(sorted(moved))
        rest = np.ones(len(stream), bool)
        rest[first] = False
        stream.ordered(np.concatenate((first, np.flatnonzero(rest))))


def _read_alike(stream: Stream) -> np.ndarray:
    """Where an operation is read by many operations of one code."""
    inside = stream.places >= 0
    readers = stream.codes[stream.users()[inside]].astype(np.int64)
    pairs, count = np.unique(
        stream.places[inside] * len(stream.forms) + readers, return_counts=True
    )
    found = np.zeros(len(stream), bool)
    found[pairs[count >= LEAST] // len(stream.forms)] = True
    return found


def _is_entry(stream: Stream) -> np.ndarray:
    """Where an operation takes entries of an array by constant indices."""
    found = np.zeros(len(stream), bool)
    for i, r in enumerate(stream.operations):
        if r.op is operator.getitem:
            own = stream.places[stream.first[i] + 1 : stream.first[i + 1]]
            found[i] = bool(np.all(own == CONSTANT))
    return found


def _needed(stream: Stream, i: int, moved: set[int], most: int) -> set[int]:
    """An operation and those that it needs and that are not moved; empty if they are too many."""
    found, waiting = {i}, [i]
    while waiting:
        for place in stream.places_of(waiting.pop()):
            if place >= 0 and place not in moved and place not in found:
                found.add(place)
                waiting.append(place)
                if len(found) > most:
                    return set()
    return found


def _once(stream: Stream, moved: set[int]) -> set[int]:
    """The operations that need moved ones only, each the only one of its kind that reads them."""
    is_moved = np.zeros(len(stream), bool)
    is_moved[list(moved)] = True
    users = stream.users()
    fine = (stream.places == CONSTANT) | is_moved[np.maximum(stream.places, 0)]
    fine &= stream.places >= CONSTANT
    count = np.bincount(users[fine], minlength=len(stream))
    kinds: dict[Any, list[int]] = {}
    for i in np.flatnonzero((count == np.diff(stream.first)) & ~is_moved).tolist():
        kinds.setdefault((stream.codes[i], *stream.places_of(i)), []).append(i)
    return {found[0] for found in kinds.values() if len(found) == 1}
