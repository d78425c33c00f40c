"""Hamiltonian dynamics: the moves that `hmc` and `nuts` are made of.

With momenta p and a metric Sigma, the energy

    H(u, p) = -log density(u) + p^T Sigma p / 2

is constant along exact trajectories. The leapfrog integrator follows them in steps. It preserves
volume and is reversible, so that its error in H is all that an acceptance step has to correct.

Reference: Neal, 2011, MCMC using Hamiltonian dynamics, https://arxiv.org/abs/1206.1901.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from genparams.errors import InvalidValue
from genparams.learning.sampling.coordinates import Coordinates, Point
from genparams.learning.sampling.metric import Metric
from genparams.numeric import quiet
from genparams.text import brief
from genparams.types import Array

LARGEST_ERROR = 1000.0
"""An energy error above this one is a divergence: the integrator has left the trajectory."""


class State(NamedTuple):
    """A point with a momentum."""

    point: Point
    p: Array
    velocity: Array
    energy: float


@quiet
def state_of(point: Point, p: Array, metric: Metric) -> State:
    """A point with a momentum, and its energy."""
    velocity = metric.velocity(p)
    return State(point, p, velocity, 0.5 * float(p @ velocity) - point.log_density)


@quiet
def leapfrog(space: Coordinates, metric: Metric, state: State, step: float) -> State | None:
    """One leapfrog step; None where the density is 0 or not finite. A negative step goes back.

    p <- p + (step / 2) d log density / d u
    u <- u + step Sigma p
    p <- p + (step / 2) d log density / d u
    """
    half = 0.5 * step
    p = state.p + half * state.point.gradient
    point = space.at(state.point.u + step * metric.velocity(p))
    if point is None:
        return None
    return state_of(point, p + half * point.gradient, metric)


def accept_prob(start: State, end: State | None) -> float:
    """min(1, exp(H(start) - H(end))); 0 where the density is 0."""
    if end is None:
        return 0.0
    fall = start.energy - end.energy
    if fall != fall:
        return 0.0
    return 1.0 if fall >= 0.0 else math.exp(fall)


def is_divergent(start: State, end: State | None) -> bool:
    """Whether the energy rose by more than `LARGEST_ERROR`, or is not finite."""
    return end is None or not end.energy - start.energy <= LARGEST_ERROR


def check_step_size(given: Any) -> float:
    """A step size, which is a number above 0.

    Raises:
        InvalidValue: it is not.
    """
    if isinstance(given, bool) or not isinstance(given, (int, float, np.number)):
        raise InvalidValue(f"step_size is a number above 0, got {brief(given)}")
    step = float(given)  # type: ignore[arg-type]
    if not 0.0 < step < math.inf:
        raise InvalidValue(f"step_size is a number above 0, got {step}")
    return step
