"""Resampling: which particles are kept, in how many copies, in proportion to their weights.

Each scheme takes weights w that sum to 1 and gives n places. The expected number of copies of
particle i is n w_i in all of them; they differ in how much the numbers vary.

Reference: Douc, Cappé and Moulines, 2005, https://arxiv.org/abs/cs/0507025.
"""

from collections.abc import Callable

import numpy as np

from genparams.types import Array

Scheme = Callable[[Array, int, np.random.Generator], Array]
"""From the weights, a number and a generator to the places of the particles that are kept."""


ROUNDING = 1e-12
"""How far below a whole number a number of copies may be by rounding."""


def multinomial(weights: Array, n: int, rng: np.random.Generator) -> Array:
    """n independent draws."""
    return _places(weights, rng.random(n))


def stratified(weights: Array, n: int, rng: np.random.Generator) -> Array:
    """One draw in each of n parts of equal probability."""
    return _places(weights, (np.arange(n) + rng.random(n)) / n)


def systematic(weights: Array, n: int, rng: np.random.Generator) -> Array:
    """n equidistant draws, moved by one random number.

    Particle i has n w_i copies, rounded up or down.
    """
    return _places(weights, (np.arange(n) + rng.random()) / n)


def residual(weights: Array, n: int, rng: np.random.Generator) -> Array:
    """n w_i copies, rounded down, of each particle; the rest are independent draws."""
    copies = np.floor(n * weights * (1.0 + ROUNDING)).astype(int)
    rest = np.maximum(n * weights - copies, 0.0)
    sure = np.repeat(np.arange(len(weights)), copies)
    if len(sure) == n:
        return sure
    return np.concatenate([sure, multinomial(rest, n - len(sure), rng)])


SCHEMES: dict[str, Scheme] = {
    "multinomial": multinomial,
    "residual": residual,
    "systematic": systematic,
    "stratified": stratified,
}


def _places(weights: Array, at: Array) -> Array:
    """The particle at each place of the cumulative distribution, from 0 up to 1."""
    total = np.cumsum(weights)
    return np.searchsorted(total / total[-1], np.minimum(at, np.nextafter(1.0, 0.0)), side="right")
