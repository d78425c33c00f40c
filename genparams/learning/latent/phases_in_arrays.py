"""Reweighted wake-sleep with all particles of a datum in one run, as arrays."""

from collections.abc import Iterable

import numpy as np

from genparams.learning.latent.bound_gradients import BoundGradients
from genparams.learning.latent.bounds import Bound, Factors, log_mean_exp
from genparams.learning.latent.completion import problem_of
from genparams.learning.latent.pair import Pair, refuse_unrelated
from genparams.learning.latent.phases import Updates, Weighted, as_choices
from genparams.learning.training.batches import Item
from genparams.params import Parameter
from genparams.types import Array


def reweighted(model_share: float, guide_share: float) -> Bound:
    """The wake phase as the gradient of a bound: the factors are shares of the weights.

    No gradient goes through a draw, so every choice has the estimator "score". A choice that the
    model draws itself is part of log p.
    """

    def factors(log_w: Array) -> Factors:
        share = np.exp(log_w - log_mean_exp(log_w)) / len(log_w)
        model, guide = model_share * share, guide_share * share
        return Factors(model=model, path=guide, score=guide, drawn=model)

    return Bound("log marginal likelihood", log_mean_exp, factors, True)


class LearningInArrays:
    """The gradients of a model and of a guide that run once for all particles of a datum.

    Args:
        sleep: The share of the sleep phase in the gradient of the guide.
    """

    def __init__(
        self,
        pair: Pair,
        model_updates: Updates,
        guide_updates: Updates,
        particles: int,
        sleep: float,
        rng: np.random.Generator,
    ):
        self._pair, self._particles, self._rng = pair, particles, rng
        self._updates = [*model_updates, *guide_updates]
        self._sleep = sleep if guide_updates else 0.0
        guide_share = 1.0 - sleep if guide_updates else 0.0
        self._bound = reweighted(float(bool(model_updates)), guide_share)
        self._checked = False

    def accumulate(self, items: Iterable[Item], scale: float) -> float:
        """Add the gradients of some data, times `scale`; the sum of their objectives.

        Raises:
            NothingToTrain: an update moves no parameter that is read.
            ShapeError: a choice has no axis of particles.
        """
        total, dreams = 0.0, Weighted()
        for args, constraints in items:
            observed, pair = as_choices(constraints), self._pair
            given = pair.args_of_guide(args, observed)
            problem = problem_of(
                pair.model, args, observed, pair.guide, given, "score", self._particles
            )
            wake = BoundGradients(problem, self._bound, self._particles)
            found = wake.accumulated(self._rng, scale, only=self._moved)
            if not self._checked:
                refuse_unrelated("an update", self._updates, found.values, pair.model)
                self._checked = True
            total += found.value
            if self._sleep > 0.0:
                dream = pair.dreamed(args, observed, self._rng)
                dreams.add([dream], [self._sleep / self._particles])
        if dreams.traces:
            dreams.accumulate(scale)
        return total

    def _moved(self) -> set[Parameter]:
        return {p for update in self._updates for p in update.covers()}
