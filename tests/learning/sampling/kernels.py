"""What the tests of kernels share: chosen momenta, and ranks that a right kernel makes uniform."""

from collections.abc import Callable
from typing import Any

import numpy as np

from genparams import Trace


class Scripted(np.random.Generator):
    """A generator whose standard normal draws are given; the others are those of seed 0."""

    def __init__(self, normals: Any):
        super().__init__(np.random.PCG64(0))
        self.normals = np.asarray(normals, dtype=float)

    def standard_normal(self, size: Any = None, *args: Any, **named: Any) -> Any:
        return self.normals.copy()


def ranks(
    kernel: Callable[..., Any],
    simulated: Callable[[np.random.Generator], Trace],
    of: Callable[[Trace], float],
    repetitions: int,
    steps: int = 9,
    seed: int = 0,
) -> np.ndarray:
    """The rank of each draw of a prior among `steps` states of a chain of its posterior.

    A trace of the whole model is a draw of the posterior given its own data. From it a reversible
    kernel goes on for a random number of steps, and again from it for the others, as if backwards.
    The states are then exchangeable, so that the rank is uniform on 0, ..., `steps` however slowly
    the chain mixes (Besag and Clifford, 1989). This is simulation-based calibration without error.
    """
    rng, found = np.random.default_rng(seed), []
    for _ in range(repetitions):
        start = simulated(rng)
        ahead = int(rng.integers(steps + 1))
        states = []
        for length in (ahead, steps - ahead):
            trace = start
            for _ in range(length):
                trace, _ = kernel(trace, rng=rng)
                states.append(of(trace))
        below = sum(s < of(start) for s in states)
        ties = sum(s == of(start) for s in states)  # where proposals were rejected
        found.append(below + int(rng.integers(ties + 1)))
    return np.array(found)


def chi_square(found: np.ndarray, bins: int) -> float:
    """How far counts of 0, ..., bins - 1 are from uniform ones."""
    expected = len(found) / bins
    return float(np.sum((np.bincount(found, minlength=bins) - expected) ** 2) / expected)
