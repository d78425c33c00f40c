"""Expectations over normal draws, by Gauss-Hermite quadrature.

The mean of a result over the nodes is its expectation, exactly where it is a polynomial of a degree
below twice their number. Uniform draws fall into given parts of [0, 1] as in `cells`.
"""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np


class Nodes(np.random.Generator):
    """A generator with given standard normal draws, and uniform draws in given parts."""

    def __init__(self, nodes: tuple[float, ...], parts: tuple[int, ...] = (), count: int = 1):
        super().__init__(np.random.PCG64(0))
        self.left, self.parts = list(nodes), [(part + 0.5) / count for part in parts]

    def standard_normal(self, size: Any = None, *args: Any, **named: Any) -> Any:
        if not size:
            return self.left.pop(0)
        return np.reshape([self.left.pop(0) for _ in range(np.prod(size))], size)

    def random(self, size: Any = None, *args: Any, **named: Any) -> Any:
        if not size:
            return self.parts.pop(0)
        return np.reshape([self.parts.pop(0) for _ in range(np.prod(size))], size)


def expectation(
    result: Callable[[Nodes], Any], draws: int, degree: int = 4, parts: int = 0, count: int = 1
) -> Any:
    """The expectation of a result of normal draws, and of uniform draws that fall into parts.

    Args:
        draws: How many normal draws a result uses.
        degree: How many nodes there are for each.
        parts: How many uniform draws a result uses, of which each falls into one of `count` parts.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(degree)
    weights = weights / weights.sum()
    total: Any = 0.0
    for picked in product(range(degree), repeat=draws):
        share = np.prod(weights[list(picked)]) / count**parts
        for ways in product(range(count), repeat=parts):
            rng = Nodes(tuple(nodes[list(picked)]), ways, count)
            total = total + share * result(rng)
            assert not rng.left
            assert not rng.parts
    return total
