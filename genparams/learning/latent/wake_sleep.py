"""The wake-sleep algorithm, plain and reweighted: a model and a guide teach each other."""

import os
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from genparams.dsl.execution import Rng, seeded
from genparams.dsl.function import GenerativeFunction
from genparams.errors import InvalidValue
from genparams.learning.checks import check_count, one_of
from genparams.learning.latent.guided import GuideArgs, refuse_unguided
from genparams.learning.latent.pair import Pair, pair_of, refuse_idle, updates_of
from genparams.learning.latent.phases import Accumulates, Args, Learning, Updates, Weighted
from genparams.learning.latent.phases_in_arrays import LearningInArrays
from genparams.learning.sampling.particles import particles_of
from genparams.learning.training.events import Callback
from genparams.learning.training.forms import check_length, expected_steps, source_of
from genparams.learning.training.history import History
from genparams.learning.training.loop import LoopOptions, run_loop
from genparams.learning.training.passes import Passes
from genparams.learning.training.weights import Weights
from genparams.mistakes import explained
from genparams.text import brief
from genparams.trace.choices import ChoiceMap


@explained
def wake_sleep(
    model: GenerativeFunction,
    guide: GenerativeFunction,
    data: Any,
    model_update: Any = None,
    guide_update: Any = None,
    *,
    guide_args: GuideArgs | None = None,
    num_samples: int = 1,
    unguided: str = "error",
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    shuffle: bool = True,
    whole: Collection[str] = (),
    count: str | None = None,
    reduction: str = "sum",
    total: float | None = None,
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
    """Train a model p(z, x; theta) whose choices z are hidden, and a guide q(z | x; phi).

    Each step does, for each datum x of its minibatch,

        wake     z ~ q(z | x; phi)              theta gets d/dtheta log p(z, x; theta)
        sleep    (z', x') ~ p(z, x; theta)      phi gets d/dphi log q(z' | x'; phi)

    both at the parameters before the step, and then applies the updates. The wake phase climbs the
    bound E_q[log p(z, x) - log q(z | x)] of log p(x) by theta. The sleep phase fits the guide to
    the posterior of the model, for data that the model draws. The two climb no common objective:
    where the guide cannot be the posterior, the model is biased towards what the guide can explain.
    `reweighted_wake_sleep` loses this bias as its particles become many.

        wake_sleep(model, guide, data, ParamUpdate(ADAM(0.01), model),
                   ParamUpdate(ADAM(0.01), guide), steps=1000)

    Args:
        model: Its observed choices have the addresses of the data.
        guide: Makes the hidden choices of the model, at the same addresses.
        data: Pairs (args, constraints) in the forms that `train` takes, with the same options.
        model_update: What moves the parameters of the model: an update or a list. None holds the
            model, so that only the guide learns, in the sleep phase.
        guide_update: Likewise for the guide. None holds it, and there is no sleep phase.
        guide_args: A function of `(args, observed)`, the arguments of the model and a choice map of
            what is observed, that returns the arguments of the guide, a tuple. By default the guide
            is called with `(*args, observed)`. In the sleep phase `observed` holds what the model
            drew at the addresses of the data.
        num_samples: How many times both phases are done for each datum; their gradients are
            averaged.
        unguided: What is done with a hidden choice that the guide does not make: "error", or
            "prior", where the model draws it given the choices before it. This is poor where the
            data say much about it.
        executor: As for `train`: what computes the gradients. The draws are made here.
        epochs, steps, ...: As for `train`.

    Returns:
        The history. Its `log_prob` is the mean of log p(z, x) - log q(z | x) over the draws of the
        wake phase, an estimate of the bound, which is called "ELBO".

    Raises:
        AddressConflict: the guide makes a choice that is observed.
        UnusedConstraint: the model never visits an observed choice.
        GuideMismatch: the guide leaves out a hidden choice, or makes one that the model does not
            make.
        NothingToTrain: an update moves no parameter of its function.
        ImpossibleTrace: a draw of the guide has no density under the model, or the other way round.

    Reference: Hinton, Dayan, Frey and Neal, 1995, https://doi.org/10.1126/science.7761831.
    """
    one_of("unguided", unguided, ("error", "prior"))
    check_count("num_samples", num_samples)
    pair, generator = pair_of(model, guide, guide_args), seeded(rng)
    share, trains_guide = [1.0 / num_samples] * num_samples, guide_update is not None

    def gradients(args: Args, observed: ChoiceMap, models: Weighted, guides: Weighted) -> float:
        found = [pair.completed(args, observed, generator) for _ in range(num_samples)]
        for one in found if unguided == "error" else ():
            refuse_unguided(one, observed, 'write unguided="prior" to have the model draw it')
        models.add([one.trace for one in found], share)
        if trains_guide:
            guides.add([pair.dreamed(args, observed, generator) for _ in range(num_samples)], share)
        return float(np.mean([one.log_weight for one in found]))

    return _learned(
        "wake_sleep",
        "ELBO",
        pair,
        lambda models, guides: Learning(pair, models, guides, gradients, executor),
        data,
        model_update,
        guide_update,
        epochs=epochs,
        steps=steps,
        batch_size=batch_size,
        shuffle=shuffle,
        whole=whole,
        count=count,
        reduction=reduction,
        total=total,
        callbacks=callbacks,
        history_every=history_every,
        record_params=record_params,
        progress=progress,
        checkpoint=checkpoint,
        checkpoint_every=checkpoint_every,
        resume=resume,
        rng=generator,
    )


@explained
def reweighted_wake_sleep(
    model: GenerativeFunction,
    guide: GenerativeFunction,
    data: Any,
    model_update: Any = None,
    guide_update: Any = None,
    *,
    num_particles: int = 10,
    sleep: float = 0.0,
    vectorized: bool = False,
    guide_args: GuideArgs | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    shuffle: bool = True,
    whole: Collection[str] = (),
    count: str | None = None,
    reduction: str = "sum",
    total: float | None = None,
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
    """Train a model p(z, x; theta) and a guide q(z | x; phi) by weighted draws of the guide.

    Each step does, for each datum x of its minibatch and K particles z_k ~ q(z | x; phi) with the
    weights w_k = p(z_k, x) / q(z_k | x), and v_k = w_k / sum_j w_j,

        wake-theta      theta gets sum_k v_k d/dtheta log p(z_k, x; theta)
        wake-phi        phi gets (1 - sleep) sum_k v_k d/dphi log q(z_k | x; phi)
        sleep-phi       phi gets sleep d/dphi log q(z' | x'; phi),    (z', x') ~ p(z, x; theta)

    at the parameters before the step, and then applies the updates. The first is an estimate of
    the gradient of log p(x); its bias falls as 1 / K. The second fits the guide to the posterior
    for the data at hand, in the divergence KL(p(z | x) || q(z | x)), which makes it cover all of
    the posterior. No gradient goes through a draw, so the choices may be of any kind.

    Args:
        num_particles: K. With one particle the wake phase of the model is as in `wake_sleep`.
        sleep: The share of the sleep phase in the gradient of the guide, from 0 to 1; 0 is called
            wake-wake, 1 wake-sleep.
        vectorized: Whether the guide and the model run once for each datum, on arrays whose first
            axis is the particles: the guide writes `size=(num_particles, ...)`. What is observed,
            without this axis, is the same for every particle. In the sleep phase the model draws as
            many data at once. Every particle must then have a density.
        executor: As for `wake_sleep`; not for `vectorized`.
        model, guide, data, model_update, guide_update, guide_args: As for `wake_sleep`. A hidden
            choice that the guide does not make is drawn by the model given the choices before it,
            and the weights remain right.
        epochs, steps, ...: As for `train`.

    Returns:
        The history. Its `log_prob` is the sum over data of log (1/K) sum_k w_k, an estimate of log
        p(x) whose exponential is unbiased: "log marginal likelihood".

    Raises:
        NoDensity: every particle of a datum has weight 0.
        AddressConflict, UnusedConstraint, GuideMismatch, NothingToTrain: As for `wake_sleep`.

    Reference: Bornschein and Bengio, 2015, https://arxiv.org/abs/1406.2751; Le, Kosiorek,
    Siddharth, Teh and Wood, 2019, https://arxiv.org/abs/1805.10469, for the choice of `sleep`.
    """
    check_count("num_particles", num_particles)
    if vectorized and executor is not None:
        raise InvalidValue("executor is for particles that are traces; leave out vectorized=True")
    _check_share(sleep)
    pair, generator = pair_of(model, guide, guide_args), seeded(rng)
    has_sleep = guide_update is not None and sleep > 0.0

    def gradients(args: Args, observed: ChoiceMap, models: Weighted, guides: Weighted) -> float:
        found = [pair.completed(args, observed, generator) for _ in range(num_particles)]
        log_weights = np.array([one.log_weight for one in found])
        particles = particles_of([one.trace for one in found], log_weights)
        models.add(particles.traces, particles.weights)
        guides.add([one.guide for one in found], (1.0 - sleep) * particles.weights)
        if has_sleep:
            guides.add([pair.dreamed(args, observed, generator)], [sleep])
        return particles.log_marginal_likelihood

    def learning(models: Updates, guides: Updates) -> Accumulates:
        if vectorized:
            return LearningInArrays(pair, models, guides, num_particles, sleep, generator)
        return Learning(pair, models, guides, gradients, executor)

    return _learned(
        "reweighted_wake_sleep",
        "log marginal likelihood",
        pair,
        learning,
        data,
        model_update,
        guide_update,
        epochs=epochs,
        steps=steps,
        batch_size=batch_size,
        shuffle=shuffle,
        whole=whole,
        count=count,
        reduction=reduction,
        total=total,
        callbacks=callbacks,
        history_every=history_every,
        record_params=record_params,
        progress=progress,
        checkpoint=checkpoint,
        checkpoint_every=checkpoint_every,
        resume=resume,
        rng=generator,
    )


def _learned(
    title: str,
    objective: str,
    pair: Pair,
    learning: Callable[[Updates, Updates], Accumulates],
    data: Any,
    model_update: Any,
    guide_update: Any,
    *,
    epochs: int | None,
    steps: int | None,
    batch_size: int | None,
    shuffle: bool,
    whole: Collection[str],
    count: str | None,
    reduction: str,
    total: float | None,
    rng: np.random.Generator,
    **options: Any,
) -> History:
    """Run the loop.

    Args:
        learning: Makes what accumulates gradients, from the updates of the model and of the guide.
        options: Of the loop, by name.
    """
    model_updates = updates_of(title, "model_update", model_update)
    guide_updates = updates_of(title, "guide_update", guide_update)
    refuse_idle(title, model_updates, guide_updates)
    counts_rows = reduction != "sum" or total is not None
    source = source_of(pair.model, data, batch_size, shuffle, whole, count, counts_rows)
    check_length(source, epochs, steps)
    weights = Weights(source, reduction, total)
    gradients = learning(model_updates, guide_updates)
    passes = Passes(source, rng, epochs, steps)

    def work() -> float:
        batch = passes.next()
        return weights.estimate(gradients.accumulate(batch.items, weights.scale), batch.size)

    every = LoopOptions(
        steps=steps,
        expected=expected_steps(source, epochs, steps),
        objective=objective,
        title=title,
        functions=(pair.model, pair.guide),
        rng=rng,
        compared={"reduction": reduction, "total": total, "shuffle": source.is_random},
        position=passes,
        **options,
    )
    return run_loop(work, [*model_updates, *guide_updates], every)


def _check_share(sleep: Any) -> None:
    is_number = isinstance(sleep, (int, float)) and not isinstance(sleep, bool)
    if not is_number or not 0.0 <= sleep <= 1.0:
        raise InvalidValue(
            f"sleep is the share of the sleep phase, from 0.0 to 1.0, got {brief(sleep)}"
        )
