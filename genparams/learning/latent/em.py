"""Monte Carlo expectation maximisation: maximum likelihood where some choices are not observed."""

import inspect
import os
from collections.abc import Mapping, Sequence
from typing import Any

from genparams.dsl.execution import Rng, seeded
from genparams.dsl.function import GenerativeFunction
from genparams.errors import ArgumentError, InvalidValue
from genparams.learning.checks import check_count
from genparams.learning.latent.completing import completions
from genparams.learning.latent.e_steps import MARGINAL, EStep
from genparams.learning.latent.lecture import refuse_other
from genparams.learning.latent.m_steps import Completed, accumulate, accumulate_way_to_maximum
from genparams.learning.latent.pair import read_by, refuse_unrelated
from genparams.learning.latent.phases import as_choices
from genparams.learning.training.batches import Item, Items, Whole
from genparams.learning.training.events import Callback
from genparams.learning.training.forms import source_of
from genparams.learning.training.history import History
from genparams.learning.training.loop import LoopOptions, checked_updates, run_loop
from genparams.learning.training.position import Position
from genparams.mistakes import explained
from genparams.text import brief
from genparams.trace.choices import ChoiceMap
from genparams.update.named_rules import SGD
from genparams.update.param_update import ParamUpdate


@explained
def monte_carlo_em(
    model: GenerativeFunction,
    data: Any,
    e_step: Any,
    update: Any = None,
    *,
    steps: int | None = None,
    m_steps: int = 1,
    callbacks: Sequence[Callback] = (),
    history_every: int = 1,
    record_params: bool | None = None,
    progress: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
    executor: Any = None,
    rng: Rng = None,
) -> History:
    """Maximise log p(x; theta) of data x by the parameters of a model p(z, x; theta) with hidden z.

        E step   draw completions z_k of each datum, with weights v_k that sum to 1, near the
                 posterior p(z | x; theta) at the present parameters
        M step   raise Q(theta') = sum_k v_k log p(z_k, x; theta')

    With exact expectations no iteration lowers log p(x), and the gradient of Q at theta is the
    gradient of log p(x) (Fisher's identity). With draws the parameters end in a random walk around
    the maximum, which is narrow with many draws or, with an update, with a falling rate.

        monte_carlo_em(model, data, importance_e_step(100), steps=50)
        monte_carlo_em(model, data, mcmc_e_step(partial(nuts, selection="z")),
                       ParamUpdate(ADAM(0.01), model), steps=1000)

    Args:
        data: A pair (args, constraints), or a list of such pairs, whose log probabilities are
            added. All are used in each iteration.
        e_step: `importance_e_step(...)`, `mcmc_e_step(...)`, `filter_e_step(...)`, or a function of
            your own; see `EStep`.
        update: What moves the parameters, by gradient steps on Q: an update or a list. None: each M
            step goes to the maximum of Q, which the search of `fit` finds.
        steps: How many M steps; None: until a callback stops the loop.
        m_steps: How many gradient steps follow an E step. An epoch of the history is an E step with
            the M steps that follow it.
        callbacks, history_every, record_params, progress, rng: As for `train`.
        checkpoint, checkpoint_every, resume: As for `train`; only for an E step that keeps nothing
            between iterations, such as importance sampling, with m_steps=1.
        executor: As for `train`: what computes the gradients of the completions, with an update.

    Returns:
        The history. Its `log_prob` is, before each step, an estimate of log p(x) whose exponential
        is unbiased, "log marginal likelihood", where the E step gives one; else Q, the "expected
        complete log probability". Without an update, `grad_norm` is the length of the step.

    Raises:
        UnusedConstraint: the model never visits an observed choice.
        InferenceError: the E step changes an observation.
        NoDensity: every weight is 0.
        NothingToTrain: the update moves no parameter that the model reads, or all are frozen.
        ChoicesDiffer: without an update: the model makes other choices at other parameters.
        InvalidValue, ArgumentError: an argument has a value or a form that it does not take.

    Warns:
        NotConverged: without an update: the search of an M step did not end at a maximum.

    Reference: Wei and Tanner, 1990, https://doi.org/10.1080/01621459.1990.10474930; Dempster, Laird
    and Rubin, 1977, for exact expectations.
    """
    refuse_other("model", model)
    check_count("m_steps", m_steps)
    chosen = e_step if isinstance(e_step, EStep) else EStep(e_step)
    if update is None and m_steps > 1:
        raise InvalidValue(
            f"m_steps={m_steps} is for gradient steps; without an update one M step goes to the "
            "maximum"
        )
    updates = checked_updates("monte_carlo_em", _whole(model) if update is None else update)
    iterations = Iterations(m_steps)
    if update is None and executor is not None:
        raise InvalidValue(
            "executor is for gradient steps; without an update the search of an M step runs here"
        )
    if checkpoint is not None:
        _refuse_state(chosen, m_steps)
    items, generator = _items(model, data), seeded(rng)
    sources = [completions(chosen, model, args, observed, generator) for args, observed in items]
    completed: Completed | None = None

    def work() -> float:
        nonlocal completed
        if completed is None or iterations.begins:
            is_first = completed is None
            drawn = [next(source) for source in sources]
            completed = Completed(drawn, chosen.objective == MARGINAL)
            if is_first and update is not None:
                read = read_by(completed.weighted.traces)
                refuse_unrelated("update", updates, read, model)
        if update is None:
            return accumulate_way_to_maximum(completed)
        return accumulate(completed, executor)

    options = LoopOptions(
        steps=steps,
        objective=chosen.objective,
        title="monte_carlo_em",
        functions=(model,),
        callbacks=callbacks,
        history_every=history_every,
        record_params=record_params,
        progress=progress,
        rng=generator,
        checkpoint=checkpoint,
        checkpoint_every=checkpoint_every,
        resume=resume,
        position=iterations,
    )
    return run_loop(work, updates, options)


class Iterations(Position):
    """E steps, each followed by so many M steps."""

    def __init__(self, m_steps: int):
        self._m_steps, self._done = m_steps, 0
        self.epoch, self.end_of_epoch = 0, True

    @property
    def begins(self) -> bool:
        """Whether the next step begins with an E step."""
        return self._done % self._m_steps == 0

    def step(self) -> None:
        self.epoch = self._done // self._m_steps + 1
        self._done += 1
        self.end_of_epoch = self.begins

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        self._done = self.epoch * self._m_steps


def _whole(model: GenerativeFunction) -> ParamUpdate:
    """The update that goes the whole way to the maximum."""
    return ParamUpdate(SGD(1.0), model, callees=True)


def _items(model: GenerativeFunction, data: Any) -> list[tuple[tuple[Any, ...], ChoiceMap]]:
    """The arguments and observations of each datum.

    Raises:
        ArgumentError: the data are neither a pair nor a sequence of pairs.
        InvalidValue: there are none.
    """
    source = source_of(model, data)
    if not isinstance(source, Whole | Items):
        raise ArgumentError(
            "monte_carlo_em uses all data in each iteration: give a pair (args, constraints) or a "
            f"list of them, got {brief(data)}"
        )
    found: list[Item] = list(source.some())
    return [(args, as_choices(constraints)) for args, constraints in found]


def _refuse_state(e_step: EStep, m_steps: int) -> None:
    """Refuse checkpoints where completions would be lost with the process.

    Raises:
        InvalidValue: the E step or the M steps keep them.
    """
    if m_steps > 1 or inspect.isgeneratorfunction(e_step.draw):
        why = "m_steps > 1" if m_steps > 1 else "an E step that goes on from its last draws"
        raise InvalidValue(
            f"a checkpoint does not hold completions, which {why} keeps between steps; leave out "
            "checkpoint, and begin again from the parameters"
        )
