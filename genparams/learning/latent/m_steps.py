"""M steps: how Monte Carlo expectation maximisation moves the parameters, given completions."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from genparams.dsl.likelihood.likelihood import Likelihood
from genparams.errors import NotConverged, NothingToTrain
from genparams.learning.fitting.search import search
from genparams.learning.latent.pair import read_by
from genparams.learning.latent.phases import Weighted
from genparams.learning.sampling.particles import Particles
from genparams.params.vector import Vector
from genparams.types import Array


class Completed:
    """The completions of all data at one iteration."""

    def __init__(self, particles: Sequence[Particles], marginal: bool):
        self._marginal = marginal
        self.weighted = Weighted()
        self._sizes: list[int] = []
        for one in particles:
            before = len(self.weighted.traces)
            self.weighted.add(one.traces, one.weights)
            self._sizes.append(len(self.weighted.traces) - before)
        self._log_ml = [one.log_marginal_likelihood for one in particles]
        self._log_probs: Array | None = None  # at the parameters of the E step

    def objective(self, log_probs: Sequence[float]) -> float:
        """What an iteration reports, from the log probability of each trace at present.

            sum_k v_k log p(t_k; theta)                        expected complete log probability
            L + log sum_k v_k p(t_k; theta) / p(t_k; theta0)   log marginal likelihood

        for the estimate L at the parameters theta0 of the E step; summed over data. The exponential
        of the second is unbiased at every theta.
        """
        now, v = np.array(log_probs), np.array(self.weighted.scales)
        if not self._marginal:
            return float(v @ now)
        if self._log_probs is None:
            self._log_probs = now
        ends = np.cumsum(self._sizes)
        ratios = np.split(now - self._log_probs, ends[:-1])
        weights = np.split(v, ends[:-1])
        return float(sum(map(_estimate, self._log_ml, weights, ratios)))


def _estimate(log_ml: float, weights: Array, log_ratios: Array) -> float:
    top = np.max(log_ratios)
    return float(log_ml + top + np.log(weights @ np.exp(log_ratios - top)))


def accumulate(completed: Completed, executor: Any) -> float:
    """Accumulate sum_k v_k d/dtheta log p(t_k; theta) over all data; what the step reports."""
    return completed.objective(completed.weighted.accumulate(executor=executor))


def accumulate_way_to_maximum(completed: Completed) -> float:
    """Accumulate the way to the maximum of sum_k v_k log p(t_k; theta), for a step of rate 1.

    Raises:
        NothingToTrain: no parameter is free.
        ChoicesDiffer: the model makes other choices at other parameters.

    Warns:
        NotConverged: the search did not end at a maximum.
    """
    found = completed.weighted
    free = [p for p in read_by(found.traces) if not p.frozen]
    name = found.traces[0].gen_fn.__name__
    if not free:
        raise NothingToTrain(
            f"{name} reads no parameter that is not frozen, so that an M step has nothing to move"
        )
    vector = Vector(free)
    likelihood = Likelihood(found.traces, vector, {}, weights=found.scales)
    start = vector.now()
    best = search(likelihood, start)
    if not best.converged:
        warnings.warn(
            f"an M step of {name} did not end at a maximum: {best.message}",
            NotConverged,
            stacklevel=2,
        )
    for p, way in vector.parts(best.x - start).items():
        p.increment_grad(way)
    return completed.objective(likelihood.log_probs(start))
