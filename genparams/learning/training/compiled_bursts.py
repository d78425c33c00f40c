"""Bursts in one call of a compiled loop, which takes the gradients and moves the coordinates."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import islice, takewhile
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from genparams.learning.training.batches import Batch, Cut
from genparams.numeric import quiet
from genparams.params import DOUBLE, Parameter, coordinates_and_value, place_of
from genparams.trace.choices import choice_values
from genparams.types import Array, Real
from genparams.update.burst import Burst, Noted, Piece
from genparams.update.number_loop import Notes

if TYPE_CHECKING:
    from genparams.compiled.kept import Kept

MOST = 1 << 16
"""The most steps of one call."""
GROWTH = 8
"""How many times as many steps the next call may take."""
MOST_NUMBERS = 1 << 22
"""The most numbers that the coordinates and the data of all steps of a call may have."""


class Data(NamedTuple):
    """The data of some steps, as a compiled loop takes them."""

    code: Any
    bound: Any
    """The data of all steps, or a list with those of each."""
    each_step: Sequence[Array]
    """The inputs that differ from step to step, where `bound` has those of the first."""
    steps: int


def same(kept: "Kept", bound: Any, steps: int) -> Data:
    """The same data in all steps."""
    return Data(kept.code, bound, (), steps)


def listed(kept: "Kept", bounds: Iterable[Any], steps: int) -> Data:
    """Data that are bound step by step."""
    found = list(islice(bounds, steps))
    return Data(kept.code, found, (), len(found))


def cut(kept: "Kept", batches: Sequence[Batch]) -> Data | None:
    """Rows of one table, which are cut out for all steps at once; None if the inputs are others."""
    found = _alike([batch.items for batch in batches])
    if not found:
        return None
    first, rows = found[0], np.concatenate([one.rows for one in found])
    inputs = _inputs(kept, *first[0])
    each = _inputs(kept, *first.table.rows(rows, first.size))
    if inputs is None or each is None:
        return None
    places = tuple([i for i, (a, b) in enumerate(zip(inputs, each, strict=True)) if a is not b])
    if not all(type(inputs[i]) is np.ndarray for i in places):
        return None
    code = _of_each_step(kept.code, places)
    bound = code.bind(*inputs)
    stacked = [each[i].reshape(len(found), *inputs[i].shape) for i in places]
    return None if bound is None else Data(code, bound, stacked, len(found))


def _alike(items: Sequence[Any]) -> list[Cut]:
    """The first items, as far as they are rows of one table, and as many."""
    first = items[0] if items else None
    if type(first) is not Cut or not isinstance(first.rows, np.ndarray):
        return []
    table, size = first.table, first.size
    is_like = (type(one) is Cut and one.table is table and one.size == size for one in items)
    return [one for one, _ in takewhile(itemgetter(1), zip(items, is_like, strict=True))]


def _inputs(kept: "Kept", args: Sequence[Any], choices: Mapping[Any, Any]) -> list[Any] | None:
    """Arguments and choices in the order of a program's inputs; None if they are not the inputs."""
    _, _, (_, forms), order, (_, forms_of_choices) = kept.key
    given = choice_values(choices)
    if len(order) != len(given) or any(a not in given for a in order):
        return None
    found = [*args, *(given[a] for a in order)]
    kinds = {*map(type, found)}
    is_flat = len(args) == len(forms) and len(found) == len(forms) + len(forms_of_choices)
    return found if is_flat and kinds <= {float, np.ndarray} else None


@lru_cache(maxsize=16)
def _of_each_step(code: Any, places: tuple[int, ...]) -> Any:
    """The code whose inputs at some places may differ from step to step."""
    return type(code)(code.program, places)


class CompiledBursts:
    """Runs bursts by the `loop` of a compiled program.

    Args:
        code: The program.
    """

    def __init__(self, code: Any, burst: Burst):
        self._code, self._burst = code, burst
        self._steps = 2  # of the next call, so that it takes the time of a burst

    @classmethod
    def of(cls, code: Any, burst: Burst) -> "CompiledBursts | None":
        """What runs bursts of a program; None if it has no loop, or its loop cannot."""
        if not hasattr(code, "loop"):
            return None
        burst.begin()
        moved = [piece.moved for piece in burst.pieces()]
        if any(m.source is None or m.target is None for m in moved):
            return None
        if any(m.parameter.dtype is not DOUBLE for m in moved):
            return None
        if any(a.dtype != float for piece in burst.pieces() for a in piece.fields):
            return None
        return cls(code, burst) if len(moved) == len(code.gradient_parts) else None

    @quiet
    def run(
        self,
        data_of: Callable[[int], Data],
        most: int,
        size: int,
        scale: float,
        notes: Notes,
        noted: Noted,
    ) -> bool:
        """Take steps; False, and the burst has to begin again, if a value is not finite.

        Args:
            data_of: Gives the data of so many steps, or of fewer.
            size: How many numbers the data of each step are, if they differ.
        """
        code, burst, pieces = self._code, self._burst, self._burst.pieces()
        groups, owners = self._groups(pieces)
        wanted = len(noted.floats) + len(noted.arrays) > 0
        theta = code.flat(burst.theta)
        start = notes.clock()
        steps = min(most, self._steps, max(1, MOST_NUMBERS // (len(theta) + size)))
        code, bound, each_step, steps = data_of(steps)
        fields = np.zeros((max((len(p.fields) for p in pieces), default=0), len(theta)))
        places = [code.theta_parts[p.moved.target] for p in pieces]
        for at, piece in zip(places, pieces, strict=True):
            for k, a in enumerate(piece.fields):
                fields[k, at] = a
        tables = [burst.table(piece.rule, piece.group, steps) for piece in owners]
        path = np.empty((steps, len(theta) if wanted else 0))
        constants = np.ascontiguousarray(np.concatenate(tables, axis=1))
        done = code.loop(groups, theta, fields, constants, bound, scale, path, each_step)
        end = notes.clock()
        self._pace(done.steps, end - start, notes.deadline - start)
        found = [
            Piece(
                p.rule, p.group, p.moved, theta[at], [fields[k, at] for k in range(len(p.fields))]
            )
            for at, p in zip(places, pieces, strict=True)
        ]
        if done.steps and not burst.replace(found, done.steps):
            return False
        notes.log_probs, notes.norms = done.log_probs, done.norms
        notes.seconds = np.linspace(start, end, done.steps + 1)[1:]  # type: ignore[assignment]
        rows = path[: done.steps][-notes.first % notes.every :: notes.every]
        return not wanted or self._note(rows, pieces, places, notes, noted)

    def _pace(self, steps: int, seconds: float, wanted: float) -> None:
        """Choose how many steps the next call takes."""
        if steps:
            fitting = int(wanted * steps / max(seconds, 1e-9))
            self._steps = max(1, min(MOST, GROWTH * self._steps, fitting))

    def _groups(self, pieces: Sequence[Piece]) -> tuple[list[Any], list[Piece]]:
        """The groups of the loop, each with a piece of it: neighbours that step alike are one."""
        from genparams.compiled.native.training_loop import Group  # only when needed

        groups: list[Group] = []
        owners: list[Piece] = []
        for piece in sorted(pieces, key=lambda p: p.moved.target or 0):
            m, code = piece.moved, self._code
            at, source = code.theta_parts[m.target], code.gradient_parts[m.source - 1]  # type: ignore[operator]
            last, count = groups[-1] if groups else None, at.stop - at.start
            if (
                last is not None
                and owners[-1].group is piece.group
                and owners[-1].rule == piece.rule
                and (at.start, source.start)
                == (last.theta + last.count, last.gradient + last.count)
            ):
                groups[-1] = Group(last.kernel, last.theta, last.gradient, last.count + count)
            else:
                groups.append(Group(piece.group.code, at.start, source.start, count))
                owners.append(piece)
        return groups, owners

    def _note(
        self,
        rows: Array,
        pieces: Sequence[Piece],
        places: Sequence[slice],
        notes: Notes,
        noted: Noted,
    ) -> bool:
        """Note the values at the coordinates of some steps; False if one is not finite."""
        values = {
            place_of(p.moved.parameter): _values(p.moved.parameter, rows[:, at])
            for p, at in zip(pieces, places, strict=True)
        }
        if not all(np.isfinite(v).all() for v in values.values()):
            return False
        columns = []
        for memory in noted.floats:
            for i, now in enumerate(memory.now.value):
                columns.append(values.get((memory, i), np.full(len(rows), now)))
        if columns:
            notes.numbers = np.stack(columns, axis=1).ravel()  # type: ignore[assignment]
        arrays = [
            values.get(place, [place[0].value(place[1])] * len(rows)) for place in noted.arrays
        ]
        notes.arrays = [array[k] for k in range(len(rows)) for array in arrays]
        return True


def _values(p: Parameter, rows: Array) -> Array:
    """The values of a parameter at rows of coordinates."""
    theta = rows.reshape(len(rows), *p.shape)
    if type(p.constraint) is Real:
        return theta
    if type(p.constraint).__module__.partition(".")[0] == "genparams":
        return np.asarray(p.constraint.natural(theta))
    single = [coordinates_and_value(p, at if p.shape else float(at))[1] for at in theta]
    return np.array(single).reshape(len(rows), *p.value_shape)
