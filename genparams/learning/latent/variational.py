"""Black-box variational inference: a guide is trained to be near the posterior of a model."""

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from genparams.dsl.execution import Rng, seeded
from genparams.errors import NothingToTrain, UntrainedParameter
from genparams.learning.latent.bound_gradients import (
    BoundGradients,
    Estimate,
    elbo_bound,
    vimco_bound,
)
from genparams.learning.latent.bounds import Bound
from genparams.learning.latent.completion import Problem, problem_of
from genparams.learning.training.events import Callback
from genparams.learning.training.history import History
from genparams.learning.training.loop import LoopOptions, checked_updates, run_loop
from genparams.mistakes import explained
from genparams.params import Parameter, structure
from genparams.update.param_update import ParamUpdate
from genparams.update.targets import dotted


@explained
def black_box_vi(
    model: Any,
    args: tuple[Any, ...],
    observations: Mapping[Any, Any] | None,
    guide: Any,
    guide_args: tuple[Any, ...],
    update: ParamUpdate | Sequence[ParamUpdate],
    *,
    steps: int | None = 1000,
    num_particles: int = 1,
    vectorized: bool = False,
    estimator: Any = None,
    baseline: str | None = None,
    callbacks: Sequence[Callback] = (),
    history_every: int = 1,
    record_params: bool | None = None,
    progress: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
    rng: Rng = None,
) -> History:
    """Train a guide q, and the model p with it, by steps along gradients of the ELBO.

        ELBO = E_q[log p(observations, z) - log q(z)]
             = log p(observations) - KL(q(z) || p(z | observations))

    By the parameters of the guide it rises as the guide nears the posterior of the model; by those
    of the model it rises with a lower bound on the log probability of the observations. Each step
    does what this does in the open:

        accumulate_elbo_gradients(model, args, observations, guide, guide_args, rng=rng, ...)
        update.apply()

    but differentiates by the parameters of the updates only. `accumulate_elbo_gradients` documents
    the estimators, and is there for minibatches, where the arguments change from step to step.

    Args:
        update: An update of the guide, or one of guide and model, or a list of both. Parameters
            that no update covers stay as they are.
        steps: How many steps; None: until a callback stops the loop.
        num_particles, vectorized, estimator, baseline: As in `accumulate_elbo_gradients`.
        callbacks, history_every, record_params, progress, checkpoint, checkpoint_every, resume: As
            in `train`.
        rng: A generator, a seed, or None.

    Returns:
        The history. Its `log_prob` holds the estimate of the ELBO of each step, before the step.

    Raises:
        NothingToTrain: an update covers no parameter that the guide or the model reads.
        AccumulatorsNotEmpty: a gradient waits at the start.
        AddressConflict, UnusedConstraint, GuideMismatch, ImpossibleTrace, DistributionError,
        ShapeError, InvalidValue: as `accumulate_elbo_gradients`.

    Warns:
        UntrainedParameter: the guide reads a parameter that is not frozen and no update covers.
    """
    bound = elbo_bound(num_particles, baseline)
    particles = num_particles if vectorized else None
    problem = problem_of(model, args, observations, guide, guide_args, estimator, particles)
    options = LoopOptions(
        steps=steps,
        objective=bound.name,
        title="black_box_vi",
        functions=(model, guide),
        callbacks=callbacks,
        history_every=history_every,
        record_params=record_params,
        progress=progress,
        checkpoint=checkpoint,
        checkpoint_every=checkpoint_every,
        resume=resume,
        rng=seeded(rng),
    )
    return _train(problem, bound, num_particles, update, options)


@explained
def black_box_vimco(
    model: Any,
    args: tuple[Any, ...],
    observations: Mapping[Any, Any] | None,
    guide: Any,
    guide_args: tuple[Any, ...],
    update: ParamUpdate | Sequence[ParamUpdate],
    *,
    num_particles: int,
    steps: int | None = 1000,
    vectorized: bool = False,
    estimator: Any = None,
    baseline: str = "geometric",
    callbacks: Sequence[Callback] = (),
    history_every: int = 1,
    record_params: bool | None = None,
    progress: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
    rng: Rng = None,
) -> History:
    """Train a guide, and the model with it, by steps along gradients of the multi-sample bound.

        E[log (1 / K) sum_k w_k],    log w_k = log p(observations, z_k) - log q(z_k),    z_k ~ q

    It is nearer to log p(observations) than the ELBO, and the guide is trained to be a proposal of
    importance sampling: it covers the posterior, where black_box_vi seeks one of its modes.

    Args:
        num_particles: K, at least 2.
        baseline: "geometric" or "arithmetic", as in `accumulate_vimco_gradients`.
        update, steps, vectorized, estimator, rng and the options of the loop: As in `black_box_vi`.

    Returns:
        The history. Its `log_prob` holds the estimate of the bound of each step, before the step.

    Raises:
        InvalidValue: K is less than 2, or an option has a value that it does not take.
        NothingToTrain, AccumulatorsNotEmpty, AddressConflict, UnusedConstraint, GuideMismatch,
        ImpossibleTrace, DistributionError, ShapeError: as `black_box_vi`.

    Warns:
        UntrainedParameter: the guide reads a parameter that is not frozen and no update covers.

    Reference: Mnih and Rezende, 2016, https://arxiv.org/abs/1602.06725.
    """
    bound = vimco_bound(num_particles, baseline)
    particles = num_particles if vectorized else None
    problem = problem_of(model, args, observations, guide, guide_args, estimator, particles)
    options = LoopOptions(
        steps=steps,
        objective=bound.name,
        title="black_box_vimco",
        functions=(model, guide),
        callbacks=callbacks,
        history_every=history_every,
        record_params=record_params,
        progress=progress,
        checkpoint=checkpoint,
        checkpoint_every=checkpoint_every,
        resume=resume,
        rng=seeded(rng),
    )
    return _train(problem, bound, num_particles, update, options)


def _train(
    problem: Problem,
    bound: Bound,
    num_particles: int,
    update: ParamUpdate | Sequence[ParamUpdate],
    options: LoopOptions,
) -> History:
    updates = checked_updates(options.title, update)
    gradients = BoundGradients(problem, bound, num_particles)
    covered = _Covered(updates, problem)
    rng: Any = options.rng

    def work() -> float:
        found = gradients.accumulated(rng, fixed=covered.fixed, only=covered.now)
        covered.note(found)
        return found.value

    return run_loop(work, updates, options)


class _Covered:
    """The parameters that the updates move, looked up when they may have changed."""

    def __init__(self, updates: Sequence[ParamUpdate], problem: Problem):
        self.updates, self.problem = updates, problem
        self.structure: object = None
        self.noted: object = None
        self.parameters: set[Parameter] = set()
        self.fixed: set[Parameter] = set()
        """Parameters that were read and that no update moves."""

    def now(self) -> set[Parameter]:
        """The parameters that the updates move, after the runs of a step declared theirs."""
        if self.structure is not structure.now:
            self.structure, self.fixed = structure.now, set()
            self.parameters = {p for update in self.updates for p in update.covers()}
        return self.parameters

    def note(self, found: Estimate) -> None:
        """After an estimate: what no update moves is constant in the next ones."""
        if self.noted is self.structure:
            return
        if self.noted is None:
            self._check(found)
        self.fixed = {p for p in found.values if p not in self.parameters}
        self.noted = self.structure

    def _check(self, found: Estimate) -> None:
        """At the first step, refuse an update of other parameters, and warn of forgotten ones."""
        guide, model = self.problem.guide.fn, self.problem.model.fn
        for update in self.updates:
            mine = update.covers()
            if not any(p in found.values for p in mine):
                read = dotted(found.values) or "no parameter"
                raise NothingToTrain(
                    f"an update moves {dotted(mine) or 'no parameter'}, and the guide "
                    f"{guide.__name__} and the model {model.__name__} read {read}; write "
                    f"ParamUpdate(rule, {guide.__name__})"
                )
        seen = {(store, name) for store, name in getattr(guide, "seen", ())}
        left = [p for p in found.theta if (p.store, p.name) in seen and p not in self.parameters]
        if left:
            warnings.warn(
                f"the guide {guide.__name__} reads {dotted(left)}, and no update moves it; write "
                f"ParamUpdate(rule, {guide.__name__}, callees=True), or freeze it: "
                f"{left[0].store.owner or 'f'}.params[{left[0].name!r}].freeze()",
                UntrainedParameter,
                stacklevel=2,
            )
