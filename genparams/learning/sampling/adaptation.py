"""What a warm-up learns: a step size by dual averaging, and a metric from the states it visits.

Everything here is a value: a state, a function from a state and an observation to the next state,
and what the state says. The warm-up of `mcmc` applies these functions as Stan does. The step size
is adapted at every iteration. The metric is estimated in windows, each twice as long as the one
before, between a first phase in which the chain finds the posterior and a last one in which the
step size settles.

References: Hoffman and Gelman, 2014, The No-U-Turn Sampler, sections 3.2 and 3.2.1; Stan Reference
Manual, "HMC algorithm parameters"; Welford, 1962, Note on a method for calculating corrected sums
of squares and products.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from genparams.errors import NoStepSize
from genparams.learning.sampling.coordinates import Coordinates
from genparams.learning.sampling.hamiltonian import leapfrog, state_of
from genparams.learning.sampling.metric import Metric
from genparams.types import Array

GAMMA, T0, KAPPA = 0.05, 10.0, 0.75
"""The constants of dual averaging in the paper and in Stan."""


@dataclass(frozen=True, slots=True)
class DualAveraging:
    """Step sizes that bring the mean acceptance probability to a target.

        off_t          = (1 - 1 / (t + t0)) off_{t-1} + (target - accept_t) / (t + t0)
        log step_{t+1} = mu - sqrt(t) / gamma off_t
        log mean_{t+1} = t^-kappa log step_{t+1} + (1 - t^-kappa) log mean_t,   t = 1, 2, ...

    with mu = log(10 step_1).
    """

    target: float
    mu: float
    log_step: float
    log_mean: float = 0.0
    off: float = 0.0
    count: int = 0

    @classmethod
    def begun(cls, step_size: float, target: float) -> "DualAveraging":
        return cls(target, math.log(10.0 * step_size), math.log(step_size))

    def after(self, accept_prob: float) -> "DualAveraging":
        """The state after a step that was accepted with this probability."""
        t = self.count + 1
        off = self.off + (self.target - accept_prob - self.off) / (t + T0)
        log_step = self.mu - math.sqrt(t) / GAMMA * off
        weight = t**-KAPPA
        log_mean = weight * log_step + (1.0 - weight) * self.log_mean
        return replace(self, log_step=log_step, log_mean=log_mean, off=off, count=t)

    @property
    def step_size(self) -> float:
        """The step size to try next."""
        return math.exp(self.log_step)

    @property
    def mean(self) -> float:
        """The step size to keep: a weighted mean of the logarithms."""
        return math.exp(self.log_mean) if self.count else self.step_size


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """The running mean of vectors, and the sum of the squares or products of their deviations."""

    count: int
    mean: Array
    products: Array
    """Of shape (d,) for variances, (d, d) for covariances."""

    @classmethod
    def begun(cls, size: int, dense: bool) -> "Moments":
        return cls(0, np.zeros(size), np.zeros((size, size) if dense else size))

    def after(self, u: Array) -> "Moments":
        """The moments with one more vector (Welford)."""
        count = self.count + 1
        off = u - self.mean
        mean = self.mean + off / count
        rest = u - mean
        more = np.outer(rest, off) if self.products.ndim == 2 else rest * off
        return Moments(count, mean, self.products + more)

    @property
    def metric(self) -> Array:
        """The variances or the covariance, drawn towards 0.001 by a weight of 5 vectors, as in
        Stan.
        """
        n = self.count
        estimate = self.products / max(n - 1, 1)
        small = np.eye(len(self.mean)) if self.products.ndim == 2 else np.ones(len(self.mean))
        found = n / (n + 5.0) * estimate + 1e-3 * (5.0 / (n + 5.0)) * small
        return 0.5 * (found + found.T) if found.ndim == 2 else found


@dataclass(frozen=True, slots=True)
class Windows:
    """When a warm-up collects states for the metric, and when it estimates the metric."""

    first: int
    """The first iteration that is collected."""
    ends: tuple[int, ...]
    """The iterations after which the metric is estimated; each begins a new window."""


FIRST, LAST, BASE, LEAST = 75, 50, 25, 20
"""The lengths of the first and the last phase and of the first window in Stan, and the shortest
warm-up that estimates a metric."""


def windows(warmup: int) -> Windows:
    """The windows of a warm-up of so many iterations, as in Stan."""
    if warmup < LEAST:
        return Windows(warmup, ())
    first, last, size = FIRST, LAST, BASE
    if first + last + size > warmup:
        first, last = int(0.15 * warmup), int(0.1 * warmup)
        size = warmup - first - last
    ends, stop = [first + size - 1], warmup - last - 1
    while ends[-1] < stop:
        size *= 2
        end = ends[-1] + size
        ends.append(stop if end + 2 * size > stop else end)
    return Windows(first, tuple(ends))


def first_step_size(
    space: Coordinates, metric: Metric, rng: np.random.Generator, step_size: float = 1.0
) -> float:
    """A step size at which one leapfrog step is accepted with a probability of about 0.8.

    It is doubled or halved until the probability crosses 0.8.

    Raises:
        NoStepSize: it never does.

    Reference: Hoffman and Gelman, 2014, algorithm 4, with the threshold of Stan.
    """

    def is_accurate(step: float) -> bool:
        start = state_of(space.start, metric.momentum(rng), metric)
        end = leapfrog(space, metric, start, step)
        return end is not None and start.energy - end.energy > math.log(0.8)

    grows = is_accurate(step_size)
    while is_accurate(step_size) == grows:
        step_size *= 2.0 if grows else 0.5
        if not 1e-12 < step_size < 1e7:
            raise NoStepSize(space.trace.gen_fn.__name__, step_size)
    return step_size
