"""Training: steps along the gradient of the log probability of data, by minibatches."""

import os
from collections.abc import Collection, Sequence
from typing import Any

from genparams.dsl.execution import Rng, seeded
from genparams.dsl.function import GenerativeFunction
from genparams.errors import ArgumentError
from genparams.learning.batches import Source
from genparams.learning.checks import one_of
from genparams.learning.events import Callback
from genparams.learning.forms import check_length, source_of
from genparams.learning.history import History
from genparams.learning.loop import LoopOptions, checked_updates, run_loop
from genparams.learning.passes import Passes
from genparams.learning.runs import Runs
from genparams.learning.weights import Weights
from genparams.mistakes import explained
from genparams.text import brief
from genparams.update.param_update import ParamUpdate


@explained
def train(
    f: GenerativeFunction,
    data: Any,
    update: ParamUpdate | Sequence[ParamUpdate],
    *,
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    shuffle: bool = True,
    whole: Collection[str] = (),
    count: str | None = None,
    reduction: str = "sum",
    total: float | None = None,
    latent: str = "error",
    callbacks: Sequence[Callback] = (),
    history_every: int = 1,
    record_params: bool | None = None,
    progress: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
    rng: Rng = None,
) -> History:
    """Train parameters by steps along the gradient of the log probability of data.

        train(f, (args, constraints), update, steps=500)                   all data in each step
        train(f, (args, constraints), update, epochs=9, batch_size=100)    rows of the arrays
        train(f, [(args, constraints), ...], update, epochs=9)             a run for each pair
        train(f, generator, update)                                        pairs as they come

    A step is what the loop in the open does, with the same bits:

        trace, weight = f.generate(args, constraints)      for each pair in the minibatch
        accumulate_param_gradients(traces, scale)
        update.apply()

    Every epoch goes through all data once, in a new order drawn from `rng`.
    """
    if not isinstance(f, GenerativeFunction):
        raise ArgumentError(f"train takes a generative function first, got {brief(f)}")
    updates = checked_updates("train", update)
    one_of("latent", latent, ("error", "prior"))
    generator = seeded(rng)
    needs_rows = reduction != "sum" or total is not None
    source = source_of(f, data, batch_size, shuffle, whole, count, needs_rows)
    check_length(source, epochs, steps)
    weights = Weights(source, reduction, total)
    runs = Runs(f, latent == "prior", generator)
    runs.check_shared(updates, source.some())
    passes = Passes(source, generator, epochs, steps)
    scale, estimate = weights.scale, weights.estimate

    def work() -> float:
        batch = passes.next()
        return estimate(runs.accumulate(batch, scale), batch.size)

    options = LoopOptions(
        steps=steps,
        expected=_expected(source, epochs, steps),
        functions=(f,),
        callbacks=callbacks,
        history_every=history_every,
        record_params=record_params,
        progress=progress,
        rng=generator,
        checkpoint=checkpoint,
        checkpoint_every=checkpoint_every,
        resume=resume,
        position=passes,
    )
    return run_loop(work, updates, options)


def _expected(source: Source, epochs: int | None, steps: int | None) -> int | None:
    """How many steps there will be, if nothing stops them."""
    if epochs is None or source.batches is None:
        return steps
    return epochs * source.batches if steps is None else min(steps, epochs * source.batches)
