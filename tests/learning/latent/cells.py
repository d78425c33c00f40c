"""Expectations over the draws of a generator, by enumeration.

Where every probability of a program is a multiple of 1 / n, its outcome depends only on the n-th
part of [0, 1] that each uniform draw falls into. The mean of a result over every choice of parts is
then its expectation, without an error of sampling.
"""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np


class Parts(np.random.Generator):
    """A generator whose uniform draws are the middles of given parts of [0, 1]."""

    def __init__(self, parts: tuple[int, ...], count: int):
        super().__init__(np.random.PCG64(0))
        self.left = [(part + 0.5) / count for part in parts]

    def random(self, size: Any = None, *args: Any, **named: Any) -> Any:
        if not size:
            return self.left.pop(0)
        return np.reshape([self.left.pop(0) for _ in range(np.prod(size))], size)


def every_part(count: int, draws: int) -> Iterator[Parts]:
    """A generator for every way in which `draws` uniform draws fall into `count` parts."""
    for parts in product(range(count), repeat=draws):
        yield Parts(parts, count)


def expectation(result: Callable[[Parts], Any], count: int, draws: int) -> Any:
    """The mean of a result over every way; each way must use every draw."""
    found = []
    for rng in every_part(count, draws):
        found.append(result(rng))
        assert not rng.left, "a run used fewer draws than were given"
    return np.mean(found, axis=0)
