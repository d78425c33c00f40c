"""Training: steps along the gradient of the log probability of data, by minibatches."""

import os
from collections.abc import Collection, Sequence
from typing import Any

from genparams.dsl.execution import Rng, seeded
from genparams.dsl.function import GenerativeFunction
from genparams.errors import ArgumentError
from genparams.learning.checks import one_of
from genparams.learning.static import static_while
from genparams.learning.training.bursts import Bursts
from genparams.learning.training.events import Callback
from genparams.learning.training.forms import check_length, expected_steps, source_of
from genparams.learning.training.history import History
from genparams.learning.training.loop import LoopOptions, checked_updates, run_loop
from genparams.learning.training.passes import Passes
from genparams.learning.training.runs import Runs
from genparams.learning.training.weights import Weights
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
    executor: Any = None,
    rng: Rng = None,
    static: bool = False,
    backend: str = "numpy",
) -> History:
    """Train parameters by steps along the gradient of the log probability of data.

        train(f, (args, constraints), update, steps=500)                   all data in each step
        train(f, (args, constraints), update, epochs=9, batch_size=100)    rows of the arrays
        train(f, [(args, constraints), ...], update, epochs=9)             a run for each pair
        train(f, generator, update)                                        pairs as they come

    A step does what the loop in the open does, with the same bits:

        traces = [f.generate(args, constraints)[0] for args, constraints in minibatch]
        accumulate_param_gradients(traces, scale)
        update.apply()

    Every epoch goes through all data once, in a new order drawn from `rng`. Every datum has one
    weight, also in a shorter last minibatch. With n data in b minibatches the scale is

        1                  reduction="sum", the default: the gradient of the minibatch
        b total / n        with `total`: an estimate of the gradient of `total` data
        b / n              reduction="mean": an estimate of the mean gradient of a datum

    With total=n or the mean, the mean of the scaled gradients of an epoch, at the same parameters,
    is the gradient of all data or the mean gradient. For a generator n / b is `batch_size`, and
    this is true only without a shorter last minibatch. `log_prob` of the history is the objective
    of all data, estimated from the minibatch of the step.

    Args:
        f: The model. All of its choices have data; see `latent`.
        data: In one of the forms above. A pair of arguments and arrays is one run; with
            `batch_size` each minibatch is one run, of rows of the arrays. Which arguments are cut:
            arrays, lists and columns of a table, also inside tuples and dictionaries. All else,
            such as a number or a string, is passed whole. A function is called with the number of
            the epoch, if it takes one, and returns an iterator of pairs. A generator is gone
            through once, and its end is the end of the training.
        update: An update, or several that move different parameters, each with its own rule. In a
            step that gives no gradient to an update, the update does nothing.
        epochs, steps: How long to train. With both, the first that is reached ends it.
        batch_size: The data in a minibatch: rows of arrays, or pairs. None: all, or one pair of a
            generator.
        shuffle: Whether the order of the data is drawn anew in each epoch.
        whole: Names of arguments that are passed whole although they are arrays.
        count: The name of the argument that is the number of rows.
        reduction: "sum" or "mean".
        total: The number of data whose gradient is estimated.
        latent: What a choice without data does: "error"; or "prior", which draws it in each step
            from its distribution. The gradient is then the gradient of log p(data, choice), which
            is no estimate of the gradient of log p(data).
        callbacks: Functions of an `Event`, called after each step in this order. A callback stops
            the training by `event.stop(reason)`: see `EarlyStopping`, `StopAtPlateau`,
            `StopAtGradient`, `StopAtChange`, `TensorBoardLogger`.
        history_every: Every so many steps are recorded, and the last one.
        record_params: Whether the values of parameters are recorded. None: if the updates move at
            most 100 numbers.
        progress: Whether a bar (with tqdm) or lines are shown, where the standard error output is
            a terminal or a notebook.
        checkpoint: A file. The state after the last step is written there when training ends,
            also by Ctrl-C or an error.
        checkpoint_every: Every so many steps it is written too.
        resume: Whether to go on from the checkpoint, if the file exists. Training that was stopped
            at any step and goes on, also in another process, equals training that was not
            stopped, to the bit. The program makes the model, the data, the update and the
            callbacks as before. A training that a callback stopped is finished, and takes no
            further step.
        executor: What computes the gradients of the pairs of a minibatch: an object with the method
            `submit` of `concurrent.futures.Executor`, such as `LocalProcesses()`, or a dask
            `Client`. A list of pairs goes to the workers once. The bits are the same for any
            number of workers, and without an executor. None means this process.
        rng: A generator, a seed, or None. A seeded training repeats to the bit.
        static: Whether the function is static while it is trained, as `@gen(static=True)` makes
            it. Where all data are in each step, the rule treats every number alike, and no
            callback has to be called in between, many steps are then taken at once. The result is
            the same, but for rounding.
        backend: What runs the recorded code of a function that `static` makes static: "numpy", or
            "numba" where it is installed.

    Returns:
        What was recorded, and why training ended. After Ctrl-C the present step is finished.

    Raises:
        ArgumentError: the data have none of the forms; or there is no end: neither `epochs` nor
            `steps`; or there is no such backend.
        MissingExtra: `backend` is "numba", which cannot be imported.
        InvalidValue: an option has a value that it does not take; there are no data; a minibatch
            is larger than the data; or the state of a callback cannot be saved.
        ShapeError: arrays have different lengths.
        NothingToTrain: an update shares no parameter with the model.
        AccumulatorsNotEmpty: a gradient waits from before, or a callback leaves one.
        UpdateError: these are no updates, one has minimize=True, or two move one parameter.
        LatentChoice: a choice has no data.
        NotPicklable, WorkersLost: as `accumulate_param_gradients` with an executor.
        StateMismatch: the checkpoint is of another model, other updates, other data, other options
            or other callbacks.
        CheckpointError: the checkpoint is damaged.

    These are raised before anything moves, but for a choice or a shape that only later data show.
    An error of the model, of the data or of a callback goes on after the last complete step, whose
    values the parameters have; the attribute `history` of the error has what was recorded.
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
    runs = Runs(f, source, latent == "prior", generator, executor)
    runs.check_shared(updates, source.some())
    passes = Passes(source, generator, epochs, steps)
    scale, estimate = weights.scale, weights.estimate

    def work() -> float:
        batch = passes.next()
        return estimate(runs.accumulate(batch, scale), batch.size)

    options = LoopOptions(
        steps=steps,
        expected=expected_steps(source, epochs, steps),
        functions=(f,),
        callbacks=callbacks,
        history_every=history_every,
        record_params=record_params,
        progress=progress,
        rng=generator,
        checkpoint=checkpoint,
        checkpoint_every=checkpoint_every,
        resume=resume,
        compared={
            "reduction": reduction,
            "total": total,
            "shuffle": source.is_random,
            "latent": latent,
        },
        position=passes,
        bursts=Bursts(runs, passes, updates, scale, estimate),
    )
    with static_while(f, static, backend):
        return run_loop(work, updates, options)
