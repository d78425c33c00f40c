"""Sums of gradients: pairwise, in a tree that the order of the terms fixes.

Neighbours are added, then neighbouring sums, and so on. So 2^k terms from a multiple of 2^k on are
a branch, whose sum is the same wherever it is computed: workers sum branches, and the whole is
equal to the bit for any number of workers. Rounding errors grow with the logarithm of the number of
terms.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypeVar

import numpy as np

K = TypeVar("K")


class PairwiseSum(Generic[K]):
    """The sum of gradients by key; a gradient that a term does not have counts as 0."""

    __slots__ = ("_branches",)

    def __init__(self) -> None:
        self._branches: list[tuple[int, dict[K, Any]]] = []

    def add(self, term: Mapping[K, Any], count: int = 1) -> None:
        """Add a term, or a branch of `count` terms; any but the last has a power of 2."""
        branch = dict(term)
        while self._branches and self._branches[-1][0] == count:
            branch = _added(self._branches.pop()[1], branch)
            count *= 2
        self._branches.append((count, branch))

    def total(self) -> dict[K, Any]:
        """The sum; no terms may be added afterwards."""
        found: dict[K, Any] = {}
        while self._branches:
            _, branch = self._branches.pop()
            found = _added(branch, found) if found else branch
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


def pairwise_sum(terms: Iterable[Mapping[K, Any]]) -> dict[K, Any]:
    """The sum of gradients by key."""
    found: PairwiseSum[K] = PairwiseSum()
    with np.errstate(over="ignore", invalid="ignore"):  # an update finds what is not finite
        for term in terms:
            found.add(term)
        return found.total()
