"""Draws of a linear Gaussian model: its observations, and its states given the observations."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from genparams.dsl.distributions.sequences.kalman import (
    Model,
    root_of,
    turned,
)
from genparams.dsl.distributions.sequences.kalman_scalar import Array
from genparams.dsl.distributions.sequences.linear_gaussian_density import Form, in_full


def draw(form: Form, rng: np.random.Generator, args: Sequence[Any], size: tuple[int, ...]) -> Array:
    """Sequences of observations, in a batch of a shape."""
    _, *full = in_full(form, (np.empty(0), *args))
    _, y = simulated(Model(*full), form.length, math.prod(size), rng)
    return y.reshape(*size, form.length, *(y.shape[2:] if form.seen else ()))


def simulated(
    model: Model, length: int, count: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """States of shape (count, length, n) and observations of shape (count, length, p)."""
    mean, cov, A, c, Q, H, d, R = model
    n, p = H.shape[2], H.shape[1]
    x = np.empty((length, count, n))
    x[0] = mean + rng.standard_normal((count, n)) @ root_of(cov).T
    steps = np.broadcast_to(turned(A), (length - 1, n, n))
    x[1:] = rng.standard_normal((length - 1, count, n)) @ turned(root_of(Q)) + c[:, None]
    for t, step in enumerate(steps):
        x[t + 1] += x[t] @ step
    noise = rng.standard_normal((length, count, p)) @ turned(root_of(R))
    y = x @ turned(H) + d[:, None] + noise
    return x.swapaxes(0, 1), y.swapaxes(0, 1)
