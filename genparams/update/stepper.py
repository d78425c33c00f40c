"""The stepper: steps of an elementwise rule on certain parameters.

A stepper knows where the numbers of the parameters and of the rule's state are in memory. From the
current records it computes the next ones, and the update makes them current.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from genparams.params import Changes, Parameter, is_finite, lay_together, place_of
from genparams.params.memory import Arrays
from genparams.params.records import new_tuple
from genparams.update.array_step import ArrayStep, Buffers
from genparams.update.float_step import FloatStep
from genparams.update.group import Given, Group, Parts, at_path
from genparams.update.rule import Pieces
from genparams.update.state import entered, replaced

Fields = dict[FloatStep | ArrayStep, Any]
"""What the rule keeps for the parameters of each part of a stepper."""


class Progress(NamedTuple):
    """Everything that a step changes in an update."""

    steps: int
    skipped: int
    known: frozenset[Parameter]
    """The parameters that the state has entries for."""
    state: dict[Any, Any]
    """The rule's state; None by parameter for what the fields hold."""
    stepper: "Stepper | None"
    taken: int
    """How many steps the stepper has taken."""
    fields: Fields
    """The part of the state that is laid out as the stepper needs it."""

    def whole_state(self) -> dict[Any, Any]:
        """The rule's state with what the fields hold, for reading."""
        if self.stepper is None:
            return self.state
        return self.stepper.whole_state(self.state, self.taken, self.fields)


class Stepper:
    """An elementwise rule on certain parameters.

    Args:
        pieces: The rule's formulas, as `Rule.pieces` gives them.
        state: The rule's whole state.
    """

    def __init__(
        self,
        pieces: Callable[[Any], Pieces],
        state: Mapping[str, Any],
        parameters: tuple[Parameter, ...],
    ):
        self.parameters = parameters
        for store in {p.store: None for p in parameters}:
            lay_together(store)
        self._places = [place_of(p) for p in parameters]
        buffers = Buffers()
        self.advances = [
            (path, formula.advance) for path, formula in pieces(None) if formula.advance is not None
        ]
        group_of = _grouped(pieces, state, parameters)
        floats: dict[Any, list[Parameter]] = {}
        for p in parameters:
            if not p.shape:
                floats.setdefault((place_of(p)[0], group_of[p]), []).append(p)
        self.floats = [FloatStep(group, found) for (_, group), found in floats.items()]
        self.arrays = [
            ArrayStep(group_of[together[0]], together, state, buffers)
            for together in _neighbours([p for p in parameters if p.shape], group_of)
        ]
        self._parts = [*self.floats, *self.arrays]
        self._memories: dict[Arrays, tuple[list[ArrayStep], list[slice]]] = {}
        for memory, found in groupby(self.arrays, key=lambda part: part.memory):
            mine = list(found)
            self._memories[memory] = mine, list(_gaps([a.place for a in mine], memory.size))

    def is_current(self) -> bool:
        """Whether every parameter is still where it was when the stepper was made."""
        return self._places == [place_of(p) for p in self.parameters]

    # --- The state

    def laid_out(self, state: dict[str, Any]) -> tuple[dict[str, Any], Fields]:
        """A state with None for the entries that become fields; and the fields."""
        fields: Fields = {part: part.begin(state) for part in self._parts}
        for part in self._parts:
            nothing = dict.fromkeys(part.parameters)
            for path, name in part.group.fields:
                state = entered(state, path, {name: nothing})
        return state, fields

    def whole_state(self, state: dict[str, Any], taken: int, fields: Fields) -> dict[str, Any]:
        """The state with the entries that the fields hold, for reading."""
        for part in self._parts:
            each = part.entries(fields[part])
            for (path, name), entries in zip(part.group.fields, each, strict=True):
                state = entered(state, path, {name: entries})
            for (path, formula), count in zip(part.group.parts, part.group.counts, strict=True):
                if formula.counts:
                    t = dict.fromkeys(part.parameters, count + taken)
                    state = entered(state, path, {"t": t})
        return state

    # --- A step

    def step(
        self, progress: Progress, given: Given, fixed: Mapping[Parameter, Any]
    ) -> tuple[Changes, Progress] | None:
        """What a step changes in parameters, and the next progress.

        None if a gradient is not finite. Accumulators that are used are emptied.

        Args:
            given: Gradients; None for the accumulated ones.
            fixed: Masks of entries of arrays that do not move and whose state stays.

        Raises:
            UpdateError: the step leads to a value that is not finite.
        """
        steps, skipped, known, state, _, taken, fields = progress
        changes: Changes = {}
        after: Fields = {}
        for part in self.floats:
            now = changes.get(part.memory, part.memory.now)
            constants = part.group.constants(taken, state)
            found = part.step(now, given, fields[part], constants)
            if found is None:
                return None
            changes[part.memory], after[part] = found
        if self.arrays:
            with np.errstate(all="ignore"):  # numbers that are not finite are looked for
                slopes = {part: part.slope(given) for part in self.arrays}
                if not all(s.square_is_finite or is_finite(s.g) for s in slopes.values()):
                    return None
                for memory, (parts, gaps) in self._memories.items():
                    now, new = memory.now, memory.spare()
                    for gap in gaps:
                        new.numbers[gap] = now.theta.numbers[gap]
                    values = []
                    for part in parts:
                        constants = part.group.constants(taken, state)
                        after[part], natural = part.step(
                            now, new, slopes[part], fields[part], constants, fixed
                        )
                        values += natural
                    used = [i for part in parts for i in part.places] if given is None else []
                    changes[memory] = memory.stepped(now, new, values, used)
        state = self.advanced(state)
        done = steps + 1, skipped, known, state, self, taken + 1, after
        return changes, new_tuple(Progress, done)

    def advanced(self, state: dict[str, Any]) -> dict[str, Any]:
        """The state that all parameters share, after one more step."""
        for path, advance in self.advances:
            at = at_path(state, path)
            state = replaced(state, path, {**at, **advance(at)})
        return state


def _grouped(
    pieces: Callable[[Any], Pieces],
    state: Mapping[str, Any],
    parameters: Iterable[Parameter],
) -> dict[Parameter, Group]:
    """Parameters that go through the same formulas, as many times so far, have one group."""
    groups: dict[Any, Group] = {}
    found = {}
    for p in parameters:
        parts: Parts = pieces(p)
        counts = [at_path(state, at)["t"][p] if one.counts else 0 for at, one in parts]
        key = tuple(zip(parts, counts, strict=True))
        if key not in groups:
            groups[key] = Group(parts, counts)
        found[p] = groups[key]
    return found


def _neighbours(
    parameters: Iterable[Parameter], group_of: Mapping[Parameter, Group]
) -> list[list[Parameter]]:
    """Parameters that are next to each other in memory and step alike, together."""
    found: list[list[Parameter]] = []
    end: Any = None
    for p in sorted(parameters, key=lambda p: (id(place_of(p)[0]), place_of(p)[1])):
        memory, i = place_of(p)
        if (memory, i, group_of[p]) == end:
            found[-1].append(p)
        else:
            found.append([p])
        end = memory, i + 1, group_of[p]
    return found


def _gaps(places: Iterable[slice], size: int) -> Iterator[slice]:
    """What is between places that are in order and do not overlap."""
    end = 0
    for place in places:
        if place.start > end:
            yield slice(end, place.start)
        end = max(end, place.stop)
    if end < size:
        yield slice(end, size)
