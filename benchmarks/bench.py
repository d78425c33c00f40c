"""How every benchmark measures: two things in turns, on one thread, and the ratio of their times.

A time alone says nothing on a machine that others use too; the shortest times of many turns have a
ratio that stays the same. Import this module before numpy, which reads the number of threads when
it is loaded.
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402

Work = Callable[[], Any]


def ratio(ours: Work, other: Work, rounds: int, before: Work | None = None) -> float:
    """The shortest time of `ours` over the shortest of `other`, run in turns.

    Args:
        before: Prepares each run of `ours`, and is not measured.
    """
    mine, theirs = shortest(ours, other, rounds, before)
    return mine / theirs


def shortest(
    ours: Work, other: Work, rounds: int, before: Work | None = None
) -> tuple[float, float]:
    """The shortest times of `ours` and of `other` in seconds, run in turns.

    Args:
        before: Prepares each run of `ours`, and is not measured.
    """
    mine = _prepared(ours, before) if before else _repeated(ours)
    theirs = _repeated(other)
    turns = [(mine(), theirs()) for _ in range(rounds)]
    return min(t for t, _ in turns), min(t for _, t in turns)


def _repeated(work: Work) -> Callable[[], float]:
    """What measures as many runs as take two milliseconds: more than the grain of the clock."""

    def seconds(times: int) -> float:
        start = time.perf_counter()
        for _ in range(times):
            work()
        return (time.perf_counter() - start) / times

    seconds(2)
    times = max(1, int(0.002 / seconds(2)))
    return lambda: seconds(times)


def _prepared(work: Work, before: Work) -> Callable[[], float]:
    """What measures the shortest of three runs."""

    def once() -> float:
        before()
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return lambda: min(once() for _ in range(3))
