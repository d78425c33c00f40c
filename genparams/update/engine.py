"""The engine: the steps of an elementwise rule on certain parameters, computed aside.

An engine says where the numbers of a rule's state lie in memory. It changes nothing: from the
current numbers it computes the next ones, and the update makes them current.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from genparams.memory import Arrays, ArraysNow, Changes, Floats, Vector, gaps, new_tuple
from genparams.params import Parameter, is_finite
from genparams.update.rule import Pieces
from genparams.update.runs import Given, Group, Parts, Run, Scratch, Singles, at_path, is_short
from genparams.update.state import entered, replaced

Singletons = list[list[tuple[float, ...]]]
"""For each part of single numbers the fields of each parameter."""
Flat = list[list[np.ndarray]]
"""For each run its fields."""


Held = tuple[Singletons, Flat]
"""The part of a rule's state that lies as an engine says."""


class Progress(NamedTuple):
    """Everything that a step changes in an update."""

    steps: int
    skipped: int
    known: frozenset[Parameter]
    """The parameters that the state has entries for."""
    state: dict[Any, Any]
    """The rule's state; None by parameter for what the engine holds."""
    engine: "Engine | None"
    taken: int
    """How many steps the engine has taken."""
    held: Held
    """The part of the state that the engine holds."""

    def whole(self) -> dict[Any, Any]:
        """The rule's state with what the engine holds, for reading."""
        if self.engine is None:
            return self.state
        return self.engine.whole(self.state, self.taken, self.held)


class Engine:
    """An elementwise rule on certain parameters.

    Args:
        pieces: The rule's formulas, as `Rule.pieces` gives them.
        state: The rule's whole state.
    """

    def __init__(
        self,
        pieces: Callable[[Any], Pieces],
        state: Mapping[str, Any],
        parameters: dict[Parameter, None],
        minimize: bool,
    ):
        self.parameters = parameters
        self.made_for: Any = None
        self.memories: list[Floats | Arrays]
        """Where its parameters were when it was made: it is of no use once one has left."""
        self._scratch = Scratch()
        self._advances = [
            (path, piece.advance) for path, piece in pieces(None) if piece.advance is not None
        ]
        for store in {p.store: None for p in parameters}:
            store.pack()
        groups: dict[Any, Group] = {}

        def group_of(p: Parameter) -> Group:
            parts: Parts = pieces(p)
            counts = [at_path(state, at)["t"][p] if one.counts else 0 for at, one in parts]
            key = tuple(zip(parts, counts, strict=True))
            if key not in groups:
                groups[key] = Group(parts, counts, minimize)
            return groups[key]

        alike = {p: group_of(p) for p in parameters}
        singles: dict[Any, list[Parameter]] = {}
        for p in parameters:
            if not p.shape:
                singles.setdefault((p._at[0], alike[p]), []).append(p)
        self._singles = [Singles(group, found) for (_, group), found in singles.items()]
        runs = [
            Run(alike[together[0]], together)
            for together in _side_by_side([p for p in parameters if p.shape], alike)
        ]
        self._runs = runs
        self._memories = [(m, list(mine)) for m, mine in groupby(runs, key=lambda run: run.memory)]
        self.memories = [*(part.memory for part in self._singles), *(m for m, _ in self._memories)]
        self._gaps = [list(gaps([run.place for run in mine], m.size)) for m, mine in self._memories]

    # --- The state

    def laid(self, state: dict[str, Any]) -> tuple[dict[str, Any], Held]:
        """A state without the entries that the engine holds, which are None there; and those."""
        singles = [part.begin(state) for part in self._singles]
        held = singles, [part.begin(state) for part in self._runs]
        for part in (*self._singles, *self._runs):
            nothing = dict.fromkeys(part.parameters)
            for path, name in part.group.fields():
                state = entered(state, path, {name: nothing})
        return state, held

    def whole(self, state: dict[str, Any], taken: int, held: Held) -> dict[str, Any]:
        """The state with the entries that the engine holds, for reading."""
        singles = zip(self._singles, held[0], strict=True)
        for part, mine in [*singles, *zip(self._runs, held[1], strict=True)]:
            for (path, name), entries in zip(part.group.fields(), part.entries(mine), strict=True):
                state = entered(state, path, {name: entries})
            for (path, piece), count in zip(part.group.parts, part.group.counts, strict=True):
                if piece.counts:
                    t = dict.fromkeys(part.parameters, count + taken)
                    state = entered(state, path, {"t": t})
        return state

    # --- A step

    def step(
        self, progress: Progress, given: Given, around: Mapping[Parameter, Any]
    ) -> tuple[Changes, Progress] | None:
        """What a step changes in parameters, and the next progress.

        None if a gradient is not finite. Accumulators that are used are emptied.

        Args:
            given: Gradients; None for the accumulated ones.
            around: Entries of arrays that do not move and whose state stays.

        Raises:
            UpdateError: the step leads to a value that is not finite.
        """
        steps, skipped, known, state, _, taken, (held, runs) = progress
        changes: Changes = {}
        singles: Singletons = []
        for part in self._singles:
            memory = part.memory
            now = changes.get(memory) or memory.now
            constants = part.group.constants(taken, state)
            found = part.stepped(now, given, held[len(singles)], constants)
            if found is None:
                return None
            changes[memory], after = found
            singles.append(after)
        if self._runs:
            with np.errstate(all="ignore"):  # what is not finite is looked for
                gradients = [run.gradient(run.memory.now, given) for run in self._runs]
                short = [is_short(g) for g in gradients]
                if not all(short) and not all(map(is_finite, gradients)):
                    return None
                rows = zip(gradients, short, runs, strict=True)
                runs = self._step_runs(rows, state, taken, given is None, around, changes)
        for path, advance in self._advances:
            at = at_path(state, path)
            state = replaced(state, path, {**at, **advance(at)})
        after = steps + 1, skipped, known, state, self, taken + 1, (singles, runs)
        return changes, new_tuple(Progress, after)

    def _step_runs(
        self,
        rows: Iterator[tuple[np.ndarray, bool, list[np.ndarray]]],
        state: dict[str, Any],
        taken: int,
        emptied: bool,
        around: Mapping[Parameter, Any],
        changes: Changes,
    ) -> Flat:
        """Enter what changes in arrays, and return the next fields.

        Args:
            rows: For each run the gradient, whether its square is finite, and the fields.
        """
        after = []
        for (memory, runs), left in zip(self._memories, self._gaps, strict=True):
            now: ArraysNow = memory.now
            new = memory.fresh()
            old, into = now.theta.numbers, new.numbers
            for gap in left:
                into[gap] = old[gap]
            values: list[tuple[int, np.ndarray]] = []
            for run in runs:
                g, is_short, mine = next(rows)
                constants = run.group.constants(taken, state)
                here, to = old[run.place], into[run.place]
                fields, natural = run.stepped(
                    here, g, is_short, mine, constants, around, to, self._scratch
                )
                after.append(fields)
                values += natural
            changes[memory] = _record(memory, now, new, runs, values, emptied)
        return after


def _record(
    memory: Arrays,
    now: ArraysNow,
    theta: Vector,
    runs: list[Run],
    values: list[tuple[int, np.ndarray]],
    emptied: bool,
) -> ArraysNow:
    """The next record of a memory."""
    value = now.value
    grad: list[Any] = now.grad
    fault: list[Any] = now.fault
    if values:
        value = value[:]
        for i, new in values:
            value[i] = new
    if emptied:
        if sum(len(run.parameters) for run in runs) == memory.count:
            grad, fault = [None] * memory.count, [None] * memory.count
        else:
            grad, fault = grad[:], fault[:]
            for run in runs:
                for i in run.indices:
                    grad[i] = fault[i] = None
    return ArraysNow(theta, now.slope, value, grad, fault, now.frozen)


def _side_by_side(
    parameters: Iterable[Parameter], alike: Mapping[Parameter, Group]
) -> list[list[Parameter]]:
    """Parameters that follow each other in memory and step alike, together."""
    found: list[list[Parameter]] = []
    end: Any = None
    for p in sorted(parameters, key=lambda p: (id(p._at[0]), p._at[1])):
        memory, i = p._at
        if (memory, i, alike[p]) == end:
            found[-1].append(p)
        else:
            found.append([p])
        end = memory, i + 1, alike[p]
    return found
