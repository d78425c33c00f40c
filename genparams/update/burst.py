"""Bursts: many steps of updates on numbers of their own, which become current all at once.

In a step of an update the gradients go through accumulators, and new records of parameters and of
the rule's state become current. A burst does the same arithmetic without these: it begins with
copies, and its last numbers become the current records, unless something else has changed them.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from typing import Any

import numpy as np

from genparams.errors import UpdateError
from genparams.numeric import quiet
from genparams.params import Changes, Parameter, is_finite, lock, place_of, read, structure, swap
from genparams.params.memory import Arrays, Floats
from genparams.params.records import Cell
from genparams.types import Array
from genparams.update.array_step import ArrayStep, Slope
from genparams.update.clipping import norm
from genparams.update.float_step import FloatStep
from genparams.update.group import Group
from genparams.update.number_loop import MOST, Moved, Notes, NumberLoop, Numbers, Together
from genparams.update.param_update import ParamUpdate
from genparams.update.stepper import Progress, Stepper

Found = tuple[Any, ...]
"""The log probability, followed by the gradients."""


@dataclass(frozen=True, slots=True, eq=False)
class Noted:
    """The memories and places of the parameters whose values are noted."""

    floats: Sequence[Floats]
    """Of these the values of all parameters."""
    arrays: Sequence[tuple[Arrays, int]]


NOTHING = Noted((), ())


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """The numbers of one parameter that a burst moves.

    Args:
        rule: The number of the update that moves it.
        coordinates, fields: Flat arrays.
    """

    rule: int
    group: Group
    moved: Moved
    coordinates: Array
    fields: Sequence[Array]


class _Rule:
    """The progress of one update in a burst."""

    __slots__ = ("cell", "parts", "state", "stepper", "taken", "then")

    def __init__(self, cell: Cell, stepper: Stepper):
        self.cell, self.stepper = cell, stepper
        self.parts: list[_Floats | _Arrays] = []

    def begin(self) -> None:
        self.then: Progress = self.cell.now
        self.state, self.taken = self.then.state, self.then.taken

    def table(self, group: Group, steps: int) -> Array:
        """The folded constants of the next steps of a group, a row for each."""
        if not self.stepper.advances:
            return group.table(self.taken, steps, self.state)
        rows, state = [], self.state
        for taken in range(self.taken, self.taken + steps):
            rows.append(group.code.folded(*group.constants(taken, state)))
            state = self.stepper.advanced(state)
        return np.array(rows, float).reshape(steps, -1)

    def progress(self) -> Progress:
        count = self.taken - self.then.taken
        return self.then._replace(
            steps=self.then.steps + count,
            state=self.state,
            taken=self.taken,
            fields={part.part: part.kept() for part in self.parts},
        )


class _Floats:
    """The numbers of a `FloatStep` in a burst."""

    __slots__ = (
        "fields", "grads", "moved", "new", "part", "pick", "places", "rule", "theta", "values",
    )  # fmt: skip

    def __init__(self, rule: _Rule, part: FloatStep, given: "_Given"):
        self.rule, self.part = rule, part
        self.moved = [Moved(p, given.gradient(p), given.input(p)) for p in part.parameters]
        self.pick = _picker([m.source for m in self.moved])
        self.places = given.places(part.parameters)
        self.grads: Sequence[float | None] = ()

    def begin(self, theta: list[Any]) -> None:
        self.theta = self.part.coordinates(self.part.memory.now)
        self.values = self.part.values(self.theta[:])
        self.fields = self.rule.then.fields[self.part]
        self.put(theta)

    def move(self, found: Found) -> bool:
        """Compute the next numbers; False if the step cannot be taken here.

        Raises:
            UpdateError: the step leads to a value that is not finite.
        """
        part, rule = self.part, self.rule
        grads = self.pick(found)
        constants = part.group.constants(rule.taken, rule.state)
        moved = part.quickly(self.theta, grads, self.fields, constants)
        if moved is None:
            return False
        self.new = (*moved, part.values(moved[0]), grads)
        return True

    def turn(self, theta: list[Any]) -> None:
        """Make the next numbers the present ones."""
        self.theta, self.fields, self.values, self.grads = self.new
        self.put(theta)

    def put(self, theta: list[Any]) -> None:
        """Put the coordinates where the gradient is taken."""
        mine = self.theta
        for i, j in self.places:
            theta[i] = mine[j]

    def pieces(self) -> Iterator[tuple[Moved, Array, list[Array]]]:
        """The numbers of each parameter."""
        for m, at, fields in zip(self.moved, self.theta, self.fields, strict=True):
            yield m, np.array([at]), [np.array([f]) for f in fields]

    def replace(self, pieces: Iterator[Piece], theta: list[Any]) -> None:
        """Take other numbers.

        Raises:
            UpdateError: a value is not finite.
        """
        mine = list(islice(pieces, len(self.moved)))
        self.theta = [float(piece.coordinates[0]) for piece in mine]
        self.fields = [tuple([float(f[0]) for f in piece.fields]) for piece in mine]
        self.values = self.part.values(self.theta)
        self.put(theta)

    def lengths(self) -> Sequence[float]:
        """Numbers whose norm is that of the last gradient."""
        return self.grads if None not in self.grads else [g for g in self.grads if g is not None]  # type: ignore[return-value]

    def kept(self) -> Any:
        return self.fields

    def change(self, changes: Changes) -> None:
        memory = self.part.memory
        now = changes.get(memory, memory.now)
        changes[memory] = self.part.stepped(now, self.theta, self.values, False)


class _Arrays:
    """The numbers of an `ArrayStep` in a burst: two of each array, which take turns."""

    __slots__ = (
        "_square",
        "fields",
        "grads",
        "moved",
        "new_values",
        "other",
        "other_fields",
        "part",
        "places",
        "rule",
        "slope",
        "sources",
        "theta",
        "values",
        "views",
    )  # fmt: skip

    def __init__(self, rule: _Rule, part: ArrayStep, given: "_Given"):
        self.rule, self.part = rule, part
        dtype = part.memory.now.slope.dtype
        self.theta, self.other, self.grads = (np.zeros(part.size, dtype) for _ in range(3))
        self.views = {id(a): [v for _, v in part.split(a)] for a in (self.theta, self.other)}
        self.moved = [Moved(p, given.gradient(p), given.input(p)) for p in part.parameters]
        slopes = [v for _, v in part.split(self.grads)]
        each = zip(slopes, self.moved, strict=True)
        self.sources = [(view, m.source) for view, m in each if m.source is not None]
        self.places = given.places(part.parameters)
        self._square = 0.0
        self.fields: list[Array] | None = None

    def begin(self, theta: list[Any]) -> None:
        now = self.part.memory.now
        self.theta[...] = now.theta.numbers[self.part.place]
        fields = self.rule.then.fields[self.part]
        if self.fields is None:
            self.fields = [np.empty_like(a) for a in fields]
            self.other_fields = [np.empty_like(a) for a in fields]
        for mine, a in zip(self.fields, fields, strict=True):
            mine[...] = a
        self.values = [(i, now.value[i]) for i, _ in self.part.values(self.theta)]
        self._square = 0.0
        self.put(theta)

    def move(self, found: Found) -> bool:
        """Compute the next numbers; False if the step cannot be taken here.

        Raises:
            UpdateError: the step leads to a value that is not finite.
        """
        part, rule = self.part, self.rule
        for view, i in self.sources:
            view[...] = found[i]
        slope = Slope(self.grads)
        if not slope.square_is_finite and not is_finite(self.grads):
            return False
        assert self.fields is not None
        constants = part.group.constants(rule.taken, rule.state)
        part.move(self.theta, slope, self.fields, self.other, self.other_fields, constants)
        self.new_values = part.values(self.other)
        self._square = slope.square
        return True

    def turn(self, theta: list[Any]) -> None:
        """Make the next numbers the present ones."""
        assert self.fields is not None
        self.theta, self.other = self.other, self.theta
        self.fields, self.other_fields = self.other_fields, self.fields
        self.values = self.new_values
        self.put(theta)

    def put(self, theta: list[Any]) -> None:
        """Put the coordinates where the gradient is taken."""
        views = self.views[id(self.theta)]
        for i, j in self.places:
            theta[i] = views[j]

    def pieces(self) -> Iterator[tuple[Moved, Array, list[Array]]]:
        """The numbers of each parameter."""
        assert self.fields is not None
        each = [[a.ravel() for _, a in self.part.split(flat)] for flat in self.fields]
        for j, (_, at) in enumerate(self.part.split(self.theta)):
            yield self.moved[j], at.ravel(), [field[j] for field in each]

    def replace(self, pieces: Iterator[Piece], theta: list[Any]) -> None:
        """Take other numbers.

        Raises:
            UpdateError: a value is not finite.
        """
        mine = list(islice(pieces, len(self.moved)))
        np.concatenate([piece.coordinates for piece in mine], out=self.theta)
        for k, field in enumerate(self.fields or ()):
            np.concatenate([piece.fields[k] for piece in mine], out=field)
        self.values = self.part.values(self.theta)
        self.put(theta)

    def lengths(self) -> Sequence[float]:
        """Numbers whose norm is that of the last gradient."""
        square = self._square if self.grads.dtype == float else 0.0
        return [math.sqrt(square) if 1e-280 < square < 1e300 else norm(self.grads)]

    def kept(self) -> Any:
        assert self.fields is not None
        fields = self.part.spare(self.rule.then.fields[self.part])
        for into, a in zip(fields, self.fields, strict=True):
            into[...] = a
        return fields

    def change(self, changes: Changes) -> None:
        memory, now = self.part.memory, self.part.memory.now
        if memory not in changes:
            new = memory.spare()
            new.numbers[...] = now.theta.numbers
            changes[memory] = now._replace(theta=new)
        now = changes[memory]
        now.theta.numbers[self.part.place] = self.theta
        changes[memory] = memory.stepped(now, now.theta, self.values, [])


class _Given:
    """Where the parameters of a gradient are among its inputs and results."""

    def __init__(self, parameters: Sequence[Parameter], free: Sequence[Parameter]):
        self._inputs = {p: i for i, p in enumerate(parameters)}
        self._grads = {p: i for i, p in enumerate(free, 1)}

    def gradient(self, p: Parameter) -> int | None:
        """The place of a gradient in `Found`; None if there is none."""
        return self._grads.get(p)

    def input(self, p: Parameter) -> int | None:
        """The place of a coordinate among the inputs; None if there is none."""
        return self._inputs.get(p)

    def places(self, parameters: Sequence[Parameter]) -> list[tuple[int, int]]:
        """The places of parameters among the inputs, each with its place in the sequence."""
        return [(i, j) for j, p in enumerate(parameters) if (i := self.input(p)) is not None]


def _picker(places: Sequence[int | None]) -> Callable[[Found], Sequence[Any]]:
    """What gives the entries at some places; None for no place."""
    if None in places:
        return lambda found: [None if i is None else found[i] for i in places]
    if len(places) == 1:
        return lambda found: (found[places[0]],)  # type: ignore[index]
    return itemgetter(*places)  # type: ignore[arg-type]


class Burst:
    """Steps of updates along the gradients of one program, on numbers of their own.

    Args:
        updates: Those that move something; `plain_steps` of each is above 0.
        parameters: The parameters whose coordinates `theta` has, in this order.
        free: Those by which the gradients are, in this order.
    """

    def __init__(
        self,
        updates: Sequence[ParamUpdate],
        parameters: Sequence[Parameter],
        free: Sequence[Parameter],
    ):
        self.theta: list[Any] = []
        """The present coordinates."""
        self.updates = updates
        self._parameters, self._found = parameters, len(free)
        self._loop: tuple[Noted, NumberLoop | None] | None = None
        self._structure = structure.now
        given = _Given(parameters, free)
        self._rules: list[_Rule] = []
        for update in updates:
            ((cell, progress),) = update.present().items()
            stepper: Stepper = progress.stepper
            self._rules.append(rule := _Rule(cell, stepper))
            rule.parts += [_Floats(rule, part, given) for part in stepper.floats]
            rule.parts += [_Arrays(rule, part, given) for part in stepper.arrays]
        self._parts = [part for rule in self._rules for part in rule.parts]
        self._memories = {place_of(p)[0] for p in parameters} | {p.part.memory for p in self._parts}
        self._floats: dict[Any, list[_Floats]] = {}
        self._arrays: dict[Any, tuple[_Arrays, int]] = {}
        for part in self._parts:
            if isinstance(part, _Floats):
                self._floats.setdefault(part.part.memory, []).append(part)
                continue
            for j, i in enumerate(part.part.places):
                self._arrays[part.part.memory, i] = part, j

    def is_current(self) -> bool:
        """Whether the updates still step as when this was made."""
        return structure.now is self._structure and all(
            rule.cell.now.stepper is rule.stepper for rule in self._rules
        )

    def begin(self) -> None:
        """Begin with the current records."""
        with lock:
            self._then = {memory: memory.now for memory in self._memories}
            self.theta[:] = [read(p)[0] for p in self._parameters]
            for rule in self._rules:
                rule.begin()
            for part in self._parts:
                part.begin(self.theta)

    def step(self, found: Found) -> bool:
        """Take one step; False, and nothing is changed, if it has to be taken in the usual way."""
        try:
            for part in self._parts:
                if not part.move(found):
                    return False
        except UpdateError:
            return False
        for part in self._parts:
            part.turn(self.theta)
        for rule in self._rules:
            rule.taken += 1
            rule.state = rule.stepper.advanced(rule.state)
        return True

    @quiet
    def run(
        self,
        gradient: Callable[..., Found | None],
        bounds: Iterable[Any],
        scale: float,
        notes: Notes,
        noted: Noted,
    ) -> None:
        """Take steps until one has to be taken in the usual way, or the time is over.

        Args:
            gradient: `gradient(*theta, bound)` returns the log probability and the gradients; None
                where it does not apply. Whatever it raises ends the burst.
            bounds: Its data in each step.
            scale: The factor of gradients.
            noted: What is noted of parameters.
        """
        loop = self._loop_for(noted)
        if loop is not None:
            self._run_loop(loop, gradient, bounds, scale, notes, noted)
            return
        theta, every = self.theta, notes.every
        for k, bound in enumerate(bounds, notes.first):
            try:
                found = gradient(*theta, bound)
            except Exception:  # whatever it is, a step of the usual kind shows it
                return
            if found is None or found[0] - found[0] != 0.0:
                return
            if scale != 1.0:
                found = (found[0], *[scale * g for g in found[1:]])
            if not self.step(found):
                return
            notes.log_probs.append(found[0])
            notes.norms.append(self.grad_norm())
            if k % every == 0:
                self.note(notes, noted)
            notes.seconds.append(now := notes.clock())
            if now > notes.deadline:
                return

    def note(self, notes: Notes, noted: Noted) -> None:
        """Note the present values."""
        for memory in noted.floats:
            notes.numbers += self.numbers(memory)
        for memory, i in noted.arrays:
            notes.arrays.append(self.array(memory, i).copy())

    def _loop_for(self, noted: Noted) -> NumberLoop | None:
        """The loop of single numbers; None if there are arrays, or too many numbers."""
        if self._loop is None or self._loop[0] is not noted:
            self._loop = noted, self._made_loop(noted)
        return self._loop[1]

    def _made_loop(self, noted: Noted) -> NumberLoop | None:
        moved = [m for part in self._parts if isinstance(part, _Floats) for m in part.moved]
        is_long = len(moved) > MOST or noted.arrays
        if is_long or self._arrays or not all(m.is_plain for m in moved):
            return None
        place = {place_of(m.parameter): k for k, m in enumerate(moved)}
        return NumberLoop(
            [
                Together(r, part.part.group, part.moved)
                for r, rule in enumerate(self._rules)
                for part in rule.parts
                if isinstance(part, _Floats)
            ],
            [rule.stepper.advanced if rule.stepper.advances else None for rule in self._rules],
            len(self._parameters),
            1 + self._found,
            [place.get((memory, i)) for memory in noted.floats for i in range(memory.count)],
        )

    def _run_loop(
        self,
        loop: NumberLoop,
        gradient: Callable[..., Found | None],
        bounds: Iterable[Any],
        scale: float,
        notes: Notes,
        noted: Noted,
    ) -> None:
        parts = [part for part in self._parts if isinstance(part, _Floats)]
        values = [v for memory in noted.floats for v in memory.now.value]
        others = [v for v, k in zip(values, loop.noted, strict=True) if k is None]
        now = Numbers(
            [x for part in parts for x in part.theta],
            [x for part in parts for x in part.values],
            [x for part in parts for x in part.fields],
            [rule.taken for rule in self._rules],
            [rule.state for rule in self._rules],
        )
        loop.run(gradient, bounds, scale, self.theta, now, others, notes)
        begin = 0
        for part in parts:
            end = begin + len(part.theta)
            part.theta, part.values = [*now.coordinates[begin:end]], [*now.values[begin:end]]
            part.fields = [*now.fields[begin:end]]
            part.put(self.theta)
            begin = end
        for rule, taken, state in zip(self._rules, now.taken, now.states, strict=True):
            rule.taken, rule.state = taken, state

    def pieces(self) -> list[Piece]:
        """The present numbers of all parameters that are moved; they are not to be written to."""
        return [
            Piece(r, part.part.group, *found)
            for r, rule in enumerate(self._rules)
            for part in rule.parts
            for found in part.pieces()
        ]

    def replace(self, pieces: Iterable[Piece], steps: int) -> bool:
        """Take the numbers after so many steps; False, and there are no numbers until the next
        `begin`, if a value is not finite."""
        left = iter(pieces)
        try:
            for part in self._parts:
                part.replace(left, self.theta)
        except UpdateError:
            return False
        for rule in self._rules:
            rule.taken += steps
            for _ in range(steps if rule.stepper.advances else 0):
                rule.state = rule.stepper.advanced(rule.state)
        return True

    def table(self, rule: int, group: Group, steps: int) -> Array:
        """`Kernel.folded` of the next steps of a group, a row for each."""
        return self._rules[rule].table(group, steps)

    def grad_norm(self) -> float:
        """The norm of the gradient of the last step."""
        return math.hypot(*[x for part in self._parts for x in part.lengths()])

    def numbers(self, memory: Floats) -> list[float]:
        """The present values of all parameters of a memory."""
        parts = self._floats.get(memory, ())
        if len(parts) == 1 and parts[0].part.is_whole:
            return parts[0].values
        now = memory.now
        for part in parts:
            now = part.part.stepped(now, part.theta, part.values, False)
        return now.value

    def array(self, memory: Arrays, i: int) -> Array:
        """The present value of one parameter of a memory, which the next step may write to."""
        if (memory, i) not in self._arrays:
            return memory.value(i)
        part, j = self._arrays[memory, i]
        return dict(part.values).get(i, part.views[id(part.theta)][j])

    def changes(self) -> Changes:
        """The records after the steps."""
        changes: Changes = {}
        for part in self._parts:
            part.change(changes)
        for rule in self._rules:
            changes[rule.cell] = rule.progress()
        return changes

    def is_committed(self) -> bool:
        """Whether the numbers have become current since this began."""
        return all(rule.cell.now is not rule.then for rule in self._rules)

    def commit(self) -> bool:
        """Make the numbers current; False, and nothing is changed, if others have changed them."""
        with lock:
            if structure.now is not self._structure:
                return False
            if any(memory.now is not then for memory, then in self._then.items()):
                return False
            if any(rule.cell.now is not rule.then for rule in self._rules):
                return False
            swap(self.changes())
        return True
