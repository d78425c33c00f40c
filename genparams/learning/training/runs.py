"""The runs of a training loop: traces of minibatches, and their gradients."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from genparams.dsl.function import GenerativeFunction
from genparams.dsl.gradients import accumulate_param_gradients
from genparams.errors import (
    InvalidValue,
    LatentChoice,
    MissingChoice,
    NothingToTrain,
    UnusedConstraint,
)
from genparams.learning.training.batches import Batch, Item, Items, Source
from genparams.params import Parameter
from genparams.text import enumerated
from genparams.trace.choices import ChoiceMap, choice_values
from genparams.trace.trace import Trace
from genparams.types import show
from genparams.update.param_update import ParamUpdate
from genparams.update.targets import dotted


class Runs:
    """Makes the traces of minibatches, and accumulates their gradients.

    A trace whose choices all have data serves in every epoch, since a gradient replays it at the
    present parameters.

    Args:
        draws: Whether choices without data are drawn in each step.
        executor: What computes the gradients; None for this process.
    """

    def __init__(
        self,
        f: GenerativeFunction,
        source: Source,
        draws: bool,
        rng: np.random.Generator,
        executor: Any = None,
    ):
        self._f, self._source, self._draws, self._rng = f, source, draws, rng
        self._executor = executor
        self._kept: dict[int, Trace] = {}
        self._batch: Batch | None = None
        self._ready: Any = []
        self._placed: Any = None

    def accumulate(self, batch: Batch, scale: float) -> float:
        """Add the gradients of a minibatch, times `scale`; its log probability.

        Raises:
            LatentChoice: a choice has no data.
            UnusedConstraint: data are given for an address that the run does not visit.
            ImpossibleTrace: the log probability is not finite.
        """
        if batch is not self._batch or self._draws:
            self._batch, self._ready = batch, self._traces(batch)
        traces = self._ready
        try:
            if self._executor is None:  # without the checks of what is known here
                done = self.gradients.accumulate(
                    traces, [None] * len(traces), [scale] * len(traces)
                )
            else:
                done = self._by_workers(traces, scale)
        except (MissingChoice, UnusedConstraint):
            self._kept, self._placed = {}, None  # at the present parameters the runs differ
            self._ready = self._traces(batch)
            done = self._by_workers(self._ready, scale)
        return done[0][0] if len(done) == 1 else float(sum([log_prob for log_prob, _ in done]))

    def trace_of(self, batch: Batch) -> Trace | None:
        """The one trace of a minibatch; None if there are several, or there is none yet."""
        if batch is not self._batch or not self.is_plain:
            return None
        return self._ready[0] if len(self._ready) == 1 else None

    @property
    def is_plain(self) -> bool:
        """Whether all choices have data, and this process computes the gradients."""
        return not self._draws and self._executor is None

    def data_of(self, batch: Batch) -> tuple[tuple[Any, ...], Mapping[Any, Any]] | None:
        """The arguments and the choices of the one run of a minibatch; None if there are several,
        or the run has to be made."""
        if len(batch.items) != 1 or not self.is_plain:
            return None
        args, given = batch.items[0]
        if type(args) is not tuple:
            return None
        if len(args) < len(self._f.argument_names):
            args = self._f.complete(args).args
        return args, choice_values(given)

    @property
    def gradients(self) -> Any:
        """What computes the gradients of the traces."""
        return self._f.trace_gradients

    def _by_workers(self, traces: Sequence[Trace], scale: float) -> list[tuple[float, Any]]:
        placed = getattr(traces, "is_placed", False)
        return accumulate_param_gradients(traces, scale, None if placed else self._executor)

    def _traces(self, batch: Batch) -> Any:
        if batch.keys is None or self._draws:
            return [self._run(item, self._rng) for item in batch.items]
        if self._executor is not None:
            return self._on_workers(batch.keys)
        kept = self._kept
        found = []
        for key, item in zip(batch.keys, batch.items, strict=True):
            if key not in kept:
                kept[key] = self._numbered(key, item, self._rng)
            found.append(kept[key])
        return found

    def _on_workers(self, keys: Sequence[int]) -> Any:
        """The traces of some items, all of which the workers keep."""
        if self._placed is None:
            from genparams.dsl.parallel.placed import place  # only when needed

            items = enumerate(self._source.some())
            traces = [self._numbered(key, item, self._rng) for key, item in items]
            self._placed = place(traces, self._executor)
        is_all = len(keys) == len(self._placed) and list(keys) == [*range(len(keys))]
        return self._placed if is_all else self._placed.chosen(keys)

    def _numbered(self, key: int, item: Item, rng: np.random.Generator | None) -> Trace:
        """A run; an error of it has a note of the pair."""
        try:
            return self._run(item, rng)
        except Exception as error:
            if isinstance(self._source, Items):
                error.add_note(f"in pair {key} of the data, counted from 0")
            raise

    def _run(self, item: Item, rng: np.random.Generator | None) -> Trace:
        args, constraints = item
        given = constraints if isinstance(constraints, ChoiceMap) else ChoiceMap(constraints)
        trace, _ = self._f.generate(args, given, rng)
        if len(trace.choices) != len(given) and not self._draws:
            raise self._latent(trace, given)
        return trace

    def _latent(self, trace: Trace, given: ChoiceMap) -> LatentChoice:
        latent = [show(a) for a in trace.choices if a not in given]
        some = f"{enumerated(latent[:3])}{' and more' if len(latent) > 3 else ''}"
        return LatentChoice(
            f"{self._f.__name__} chose {some}, for which there are no data. Give the data, sum the "
            "choice out in the model (a mixture, a marginal distribution), or learn from "
            'incomplete data with black_box_vi, wake_sleep or monte_carlo_em; latent="prior" '
            "draws it in each step, whose gradient is not an estimate of the gradient of the data"
        )

    # --- Before the first step

    def check_shared(self, updates: Sequence[ParamUpdate], items: Iterator[Item]) -> None:
        """Refuse an update that shares no parameter with the runs, before anything moves.

        One run is looked at; more only if some update does not share a parameter with it.

        Raises:
            NothingToTrain: there is such an update.
            InvalidValue: there are no data.
            LatentChoice, UnusedConstraint, ...: the first run fails.
        """
        read: dict[Parameter, None] | None = None
        left = list(updates)
        for key, item in enumerate(items):
            rng = np.random.default_rng(0) if self._draws else None
            trace = self._numbered(key, item, rng)
            if not self._draws:
                self._kept[key] = trace
            new = dict.fromkeys(f.params[name] for f, name in trace.parameters)
            read = new if read is None else read | new
            left = [update for update in left if not any(p in new for p in update.covers())]
            if not left:
                return
        if read is None:
            raise InvalidValue(f"there are no data to train {self._f.__name__} on")
        raise NothingToTrain(self._why_nothing(left[0], read))

    def _why_nothing(self, update: ParamUpdate, read: Iterable[Parameter]) -> str:
        name, read = self._f.__name__, list(read)
        mine = dotted(update.covers()) or "no parameters, since none is initialised"
        if not read:
            return f'{name} has nothing to train: it reads no parameter; write param("a", 0.0)'
        return (
            f"an update moves {mine}, and {name} reads {dotted(read)} only; write "
            f"ParamUpdate(rule, {name}), or with callees=True for nested functions too"
        )
