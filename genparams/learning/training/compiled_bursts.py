"""Bursts in one call of a compiled loop, which takes the gradients and moves the coordinates."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from genparams.numeric import quiet
from genparams.params import DOUBLE, Parameter, coordinates_and_value, place_of
from genparams.types import Array, Real
from genparams.update.burst import Burst, Noted, Piece
from genparams.update.number_loop import Notes

MOST = 1 << 16
"""The most steps of one call."""
GROWTH = 8
"""How many times as many steps the next call may take."""
MOST_NUMBERS = 1 << 22
"""The most numbers that the coordinates of all steps of a call may have."""


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
        bound: Any,
        bounds: Iterator[Any] | None,
        most: int,
        scale: float,
        notes: Notes,
        noted: Noted,
    ) -> bool:
        """Take steps; False, and the burst has to begin again, if a value is not finite.

        Args:
            bound: The data of the first step.
            bounds: The data of each step, the first included; None if all have the same.
        """
        code, burst, pieces = self._code, self._burst, self._burst.pieces()
        groups, owners = self._groups(pieces)
        wanted = len(noted.floats) + len(noted.arrays) > 0
        theta = code.flat(burst.theta)
        start = notes.clock()
        steps = min(most, self._steps, MOST_NUMBERS // (len(theta) + self._size(bound, bounds)))
        if bounds is not None:
            bound = list(islice(bounds, steps))
            steps = len(bound)
        fields = np.zeros((max((len(p.fields) for p in pieces), default=0), len(theta)))
        places = [code.theta_parts[p.moved.target] for p in pieces]
        for at, piece in zip(places, pieces, strict=True):
            for k, a in enumerate(piece.fields):
                fields[k, at] = a
        tables = [burst.table(piece.rule, piece.group, steps) for piece in owners]
        path = np.empty((steps, len(theta) if wanted else 0))
        constants = np.ascontiguousarray(np.concatenate(tables, axis=1))
        done = code.loop(groups, theta, fields, constants, bound, scale, path)
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

    def _size(self, bound: Any, bounds: Any) -> int:
        """How many numbers the data of each step are, if they differ."""
        return 0 if bounds is None else sum(a.size for a in bound.named().values())

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
