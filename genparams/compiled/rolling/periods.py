"""Stretches of a sequence of codes that repeat themselves."""

from dataclasses import dataclass

import numpy as np

LEAST = 8
"""The fewest repetitions that count."""
_LONGEST = 4000
"""The longest period."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a sequence in which each code equals the one a period before."""

    start: int
    period: int
    length: int


def stretches(codes: np.ndarray) -> list[Stretch]:
    """Stretches with at least `LEAST` periods, in order, none in two of them.

    The period is chosen that leaves the fewest codes when each stretch is cut down to one period;
    then the parts between its stretches are searched again.
    """
    found: list[Stretch] = []
    waiting = [(0, len(codes))]
    while waiting:
        low, high = waiting.pop()
        best = _best(codes[low:high])
        if not best:
            continue
        at = low
        for s in best:
            start = low + s.start
            waiting.append((at, start))
            found.append(Stretch(start, s.period, s.length))
            at = start + s.length
        waiting.append((at, high))
    return sorted(found, key=lambda s: s.start)


def _best(codes: np.ndarray) -> list[Stretch]:
    """The stretches of the period that saves the most codes."""
    best: list[Stretch] = []
    saved, n = 0, len(codes)
    for period in range(1, min(n // LEAST, _LONGEST) + 1):
        same = codes[:-period] == codes[period:]
        if np.count_nonzero(same) <= saved:
            continue
        runs = _runs(same, period)
        saving = sum(r.length - period for r in runs)
        if saving > saved:
            best, saved = runs, saving
    return [_primitive(codes, r) for r in best]


def _runs(same: np.ndarray, period: int) -> list[Stretch]:
    edges = np.flatnonzero(np.diff(same.view(np.int8), prepend=0, append=0))
    starts, lengths = edges[::2], edges[1::2] - edges[::2] + period
    long = lengths >= LEAST * period
    each = zip(starts[long].tolist(), lengths[long].tolist(), strict=True)
    found: list[Stretch] = []
    for start, length in each:  # a stretch may share its first period with the one before
        end = found[-1].start + found[-1].length if found else 0
        length -= max(0, end - start)
        if length >= LEAST * period:
            found.append(Stretch(max(start, end), period, length))
    return found


def _primitive(codes: np.ndarray, s: Stretch) -> Stretch:
    """The same stretch by its shortest period."""
    part = codes[s.start : s.start + s.length]
    for period in range(1, s.period):
        if part[0] == part[period] and np.array_equal(part[:-period], part[period:]):
            return Stretch(s.start, period, s.length)
    return s
