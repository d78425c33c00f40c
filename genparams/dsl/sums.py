"""Sums of gradients, in an order that nothing but the number of terms decides.

Up to `BLOCK` terms are added one after another. More terms are added in blocks of `BLOCK`, and the
sums of blocks pairwise: neighbours, then neighbouring sums, and so on. A branch is a range of terms
whose sum is a part of this order: one term, or 2^k blocks from a multiple of 2^k blocks on. Its sum
is the same wherever it is computed. So workers sum branches, and the whole is equal to the bit for
any number of workers.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypeVar

import numpy as np

K = TypeVar("K")
Range = tuple[int, int]

BLOCK = 64
"""How many terms are added one after another."""


class Sum(Generic[K]):
    """The sum of gradients by key; a gradient that a term does not have counts as 0."""

    __slots__ = ("_branches", "_last")

    def __init__(self) -> None:
        self._branches: list[tuple[int, dict[K, Any]]] = []
        self._last: tuple[int, dict[K, Any]] = 0, {}
        """The block that is not full yet: how many terms it has, and their sum."""

    def add(self, term: Mapping[K, Any], count: int = 1) -> None:
        """Add a term, or the sum of a branch of `count` terms."""
        if count >= BLOCK:
            self._add_branch(dict(term), count)
            return
        known, before = self._last
        self._last = known + count, _added(before, term)
        if known + count == BLOCK:
            self._add_branch(self._last[1], BLOCK)
            self._last = 0, {}

    def _add_branch(self, branch: dict[K, Any], count: int) -> None:
        while self._branches and self._branches[-1][0] == count:
            branch = _added(self._branches.pop()[1], branch)
            count *= 2
        self._branches.append((count, branch))

    def total(self) -> dict[K, Any]:
        """The sum; no terms may be added afterwards."""
        found = self._last[1]
        while self._branches:
            found = _added(self._branches.pop()[1], found)
        return found


def _added(left: dict[K, Any], right: Mapping[K, Any]) -> dict[K, Any]:
    """The sum of two branches, in the dictionary of the left one."""
    for key, g in right.items():
        old = left.get(key)
        if old is None:
            left[key] = g
        elif type(old) is float:
            left[key] = old + g
        else:
            left[key] = np.add(old, g)
    return left


def total_of(branches: Iterable[tuple[Mapping[K, Any], int]]) -> dict[K, Any]:
    """The sum of branches, each with the number of its terms."""
    found: Sum[K] = Sum()
    with np.errstate(over="ignore", invalid="ignore"):  # an update finds what is not finite
        for term, count in branches:
            found.add(term, count)
        return found.total()


def branches_of(begin: int, end: int, terms: int) -> list[Range]:
    """The largest branches that make up a range of the terms of a sum, in order."""
    found: list[Range] = []
    while begin < end:
        size = 1
        if begin % BLOCK == 0 and terms > BLOCK:
            size = _largest(begin // BLOCK, (end - begin) // BLOCK) * BLOCK
            if size == 0:  # less than a block, which is a branch at the end of the sum
                size = end - begin if end == terms else 1
        found.append((begin, begin + size))
        begin += size
    return found


def _largest(begin: int, room: int) -> int:
    """The largest power of 2 that divides `begin` and is at most `room`; 0 for no room."""
    if room == 0:
        return 0
    most = 1 << room.bit_length() - 1
    return min(begin & -begin, most) if begin else most
