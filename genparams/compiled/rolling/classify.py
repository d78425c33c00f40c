"""What the operands of a loop are: the same in all iterations, listed, or of an iteration before.

A stretch of operations with equal codes is a loop if each operand, as a function of the number t of
the iteration, is one of these:

    Same      one value
    Listed    values from outside of the loop, one for each t
    Before    what a statement of the loop computed d iterations before, d = 0, 1, ...

An iteration in the middle shows which. First and last iterations that differ are left out of the
loop, and stay the single operations that they are.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from genparams.compiled.rolling.periods import LEAST, Stretch, stretches
from genparams.compiled.rolling.stream import CONSTANT, Stream


@dataclass(frozen=True, slots=True)
class Same:
    """An operand that is the same in all iterations: a node or a constant."""

    value: Any


@dataclass(frozen=True, slots=True)
class Listed:
    """An operand that is a value from outside of the loop, for each iteration another one."""

    places: np.ndarray
    """The places of the values, as in a stream."""
    values: list[Any]

    def reversed(self) -> "Listed":
        return Listed(self.places[::-1], self.values[::-1])


@dataclass(frozen=True, slots=True)
class Before:
    """An operand that a statement of the loop computed some iterations ago.

    Args:
        first: The values of the iterations before the first, the latest last.
    """

    statement: int
    distance: int
    first: tuple[Any, ...] = ()


Operand = Same | Listed | Before

_MULTIPLES = 16
"""The most periods of the codes in one iteration."""


@dataclass(slots=True)
class Loop:
    """Operations start, ..., start + length * period - 1 of a stream, as a loop.

    Iteration t consists of the operations from start + t * period on, its *statements*.
    """

    stream: Stream
    start: int
    period: int
    length: int
    operands: list[list[Operand]]
    """The operands of each statement."""
    seen: list[set[int]] = field(default_factory=list)
    """For each statement the iterations whose values are read outside of the loop."""

    @property
    def stop(self) -> int:
        return self.start + self.period * self.length

    def needs(self) -> list[list[tuple[int, int]]]:
        """For each statement the statements that it reads, with distances."""
        return [
            [(o.statement, o.distance) for o in row if type(o) is Before] for row in self.operands
        ]


def loops(stream: Stream) -> list[Loop]:
    """The loops of a stream, in order."""
    found: list[Loop] = []
    for s in stretches(stream.codes):
        # What is left of the stretch before may be the beginning of this one.
        end, start = found[-1].stop if found else 0, s.start
        while start > end and stream.codes[start - 1] == stream.codes[start - 1 + s.period]:
            start -= 1
        found += loops_of(stream, Stretch(start, s.period, s.start + s.length - start))
    return found


def loops_of(stream: Stream, stretch: Stretch) -> list[Loop]:
    """The loops of a stretch, in order; there are several if it changes on the way."""
    found: list[Loop] = []
    waiting = [stretch]
    while waiting:
        part = waiting.pop()
        loop = _loop_of(stream, part)
        if loop is None:
            continue
        found.append(loop)
        waiting.append(Stretch(part.start, part.period, loop.start - part.start))
        end = part.start + part.length
        waiting.append(Stretch(loop.stop, part.period, end - loop.stop))
    return sorted(found, key=lambda loop: loop.start)


def _loop_of(stream: Stream, stretch: Stretch) -> Loop | None:
    """The loop of most of a stretch; None if there is none.

    Its period is that of the codes or a multiple, because two statements may have one code.
    """
    best = None
    for times in range(1, _MULTIPLES + 1):
        loop = _with_period(stream, stretch, times * stretch.period)
        if loop is None:
            continue
        lag = _lag(loop)
        regular = _with_period(stream, stretch, loop.period * lag) if lag > 1 else None
        loop = regular or loop
        if _size(loop) > _size(best):
            best = loop
        if 2 * _size(best) > stretch.length:
            break
    return best


def _size(loop: Loop | None) -> int:
    return 0 if loop is None else loop.stop - loop.start


def _with_period(stream: Stream, stretch: Stretch, period: int) -> Loop | None:
    """The loop with iterations of so many operations."""
    if stretch.length < LEAST * period:
        return None
    start = stretch.start + _phase(stream, Stretch(stretch.start, period, stretch.length))
    length = (stretch.start + stretch.length - start) // period
    if length < LEAST:
        return None
    best = None
    for middle in (length // 2, length // 4, 3 * length // 4):
        best = max(best, _Columns(stream, start, period, length, middle).loop(), key=_size)
        if 2 * _size(best) > stretch.length:
            break
    return best


def _lag(loop: Loop) -> int:
    """The number of iterations after which lists go on as they began: 1, or more if they take from
    several statements in turn."""
    lags = [_lag_of(o.places) for row in loop.operands for o in row if type(o) is Listed]
    return max(lags, default=1)


def _lag_of(places: np.ndarray) -> int:
    for lag in range(1, min(_MULTIPLES, len(places) // LEAST) + 1):
        steps = places[lag:] - places[:-lag]
        if 4 * np.count_nonzero(steps[lag:] - steps[:-lag]) <= len(places):
            return lag
    return 1


def _phase(stream: Stream, s: Stretch) -> int:
    """The statement to begin the body with, so that few values cross from one iteration to the
    next."""
    period, count = s.period, s.length // s.period
    at = s.start + (count // 2 - 1) * period
    low, middle, high = (int(stream.first[at + k * period]) for k in range(3))
    now, then = stream.places[low:middle], stream.places[middle:high]
    users = np.repeat(np.arange(period), np.diff(stream.first[at : at + period + 1]))
    distance = at + users - now
    regular = (then == now + period) & (now >= s.start)
    furthest = np.zeros(period, np.int64)
    np.maximum.at(furthest, (now[regular] - s.start) % period, distance[regular])
    made = np.flatnonzero(furthest)
    whole = int(np.sum(furthest[made] // period))
    change = np.zeros(2 * period + 1, np.int64)
    np.add.at(change, made + 1, 1)
    np.add.at(change, made + furthest[made] % period + 1, -1)
    crossing = np.cumsum(change)[: 2 * period]
    return int(np.argmin(whole + crossing[:period] + crossing[period:]))


class _Columns:
    """The operands of a stretch as a table: a row for each iteration.

    Args:
        middle: The iteration that shows what the operands are.
    """

    def __init__(self, stream: Stream, start: int, period: int, length: int, middle: int):
        self.stream, self.start, self.period, self.length = stream, start, period, length
        first = stream.first[start : start + period + 1]
        self.width = int(first[-1] - first[0])
        self.statements = np.repeat(np.arange(period), np.diff(first))
        begin = int(first[0])
        self.begin = begin
        self.table = stream.places[begin : begin + length * self.width].reshape(length, self.width)
        self.steps = np.arange(length)[:, None]
        self.middle = middle

    def loop(self) -> Loop | None:
        at = self.table[self.middle]
        inside = at >= self.start
        following = self.table[self.middle + 1] == at + self.period
        carried = inside & following
        back = np.where(carried, at - self.start - self.middle * self.period, 0)
        distance = np.where(carried, -(back // self.period), 0)
        fine = np.where(
            carried,
            self.table - self.start - self.steps * self.period == back,
            np.where(inside, self.table == at, self.table < self.start),
        )
        wrong = np.flatnonzero(~np.all(fine | (self.steps < distance), axis=1))
        low, high = self._bounds(wrong)
        low = self._after_shared(low, high, carried)
        low = self._agreed(low, high, carried, back, distance)
        if high - low < LEAST or low < 0:
            return None
        return self._loop(low, high, carried, back, distance)

    def _bounds(self, wrong: np.ndarray) -> tuple[int, int]:
        """The first iteration and the end of the loop around the middle."""
        before, after = wrong[wrong < self.middle], wrong[wrong >= self.middle]
        low = int(before[-1]) + 1 if len(before) else 0
        return low, int(after[0]) if len(after) else self.length

    def _after_shared(self, low: int, high: int, carried: np.ndarray) -> int:
        """The first iteration that computes nothing that all later ones read."""
        last = int(np.max(self.table[low:high, ~carried], initial=CONSTANT))
        return max(low, (last - self.start) // self.period + 1)

    def _agreed(
        self, low: int, high: int, carried: np.ndarray, back: np.ndarray, distance: np.ndarray
    ) -> int:
        """The first iteration before which all that read a statement agree on its values; -1 if
        there is none."""
        deepest = int(np.max(distance, initial=0))
        for start in (low, low + deepest):
            if start + max(LEAST, deepest + 1) > high:
                return -1
            if all(self._agree(start, carried, back, distance)):
                return start
        return -1

    def _agree(
        self, low: int, carried: np.ndarray, back: np.ndarray, distance: np.ndarray
    ) -> list[bool]:
        known: dict[tuple[int, int], Any] = {}
        agreed = []
        for c in np.flatnonzero(carried & (distance > 0)).tolist():
            statement, d = int(back[c]) % self.period, int(distance[c])
            for k in range(d):
                key = (statement, d - k)
                value = self._operand(low + k, c)
                other = known.setdefault(key, value)
                same = value is other or (type(value) is float and value == other)
                agreed.append(same and self.table[low + k, c] < self.start + low * self.period)
        return agreed

    def _operand(self, t: int, column: int) -> Any:
        return self.stream.operands[self.begin + t * self.width + column]

    def _loop(
        self, low: int, high: int, carried: np.ndarray, back: np.ndarray, distance: np.ndarray
    ) -> Loop:
        rows: list[list[Operand]] = [[] for _ in range(self.period)]
        for c in range(self.width):
            row = rows[self.statements[c]]
            if carried[c]:
                d = int(distance[c])
                first = tuple([self._operand(low + k, c) for k in range(d)])
                row.append(Before(int(back[c]) % self.period, d, first))
            else:
                row.append(self._outside(c, low, high))
        start = self.start + low * self.period
        return Loop(self.stream, start, self.period, high - low, rows)

    def _outside(self, column: int, low: int, high: int) -> Same | Listed:
        places = self.table[low:high, column]
        begin = self.begin + low * self.width + column
        end = self.begin + high * self.width
        values = self.stream.operands[begin : end : self.width]
        if np.all(places == places[0]) and (places[0] != CONSTANT or _all_equal(values)):
            return Same(values[0])
        return Listed(places, values)


def _all_equal(values: list[Any]) -> bool:
    """Whether constants are one number or one object."""
    first = values[0]
    if type(first) is float:
        return first == first and len({*map(repr, values)}) == 1
    if type(first) is int:
        return all(v == first for v in values)
    return all(v is first for v in values)
