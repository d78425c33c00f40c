"""Passes through data: which minibatch is next, and where a checkpoint goes on."""

import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from genparams.errors import InvalidValue, StateMismatch
from genparams.learning.training.batches import Batch, Source
from genparams.learning.training.position import Finished, Position
from genparams.text import counted


class Next(NamedTuple):
    """The data of one step."""

    batch: Batch
    epoch: int
    order: Any
    """The state of the generator as the epoch began."""


class Passes(Position):
    """Epochs of minibatches, in an order drawn from `rng` as each epoch begins.

    Args:
        epochs: How many epochs at most; None for no limit.
        steps: How many steps are wanted, for the words at the end.
    """

    def __init__(
        self, source: Source, rng: np.random.Generator, epochs: int | None, steps: int | None
    ):
        self._source, self._rng, self._epochs, self._steps = source, rng, epochs, steps
        self._only = source.only
        self._begun = 0  # the number of the epoch whose batches these are
        self._batches: Iterator[Batch] | None = None
        self._order: Any = None  # the state of the generator as that epoch began
        self._ahead: deque[Next] = deque()  # steps that were looked at
        self._error: Exception | None = None  # of data that were looked at
        self._now: Next | None = None
        self._order_of_last: Any = None  # the state of the generator as the epoch of `_done` began
        self._done = 0  # steps of the epoch of the last step
        self._taken = 0
        self.epoch, self.end_of_epoch = 0, True

    def next(self) -> Batch:
        """The data of the next step.

        Raises:
            Finished: there are no more.
        """
        self._now = self._ahead.popleft() if self._ahead else self._fetched()
        return self._now.batch

    def _fetched(self) -> "Next":
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        if self._batches is None:
            self._begin()
        if self._only is not None:
            return Next(self._only, self._begun, self._order)
        batch = next(self._batches, None)  # type: ignore[arg-type]
        if batch is None:
            raise InvalidValue(
                f"epoch {self._begun} has no data; the function that makes the data returns a new "
                "iterator at each call"
                if self._begun > 1
                else "there are no data"
            )
        if batch.is_last:
            self._batches = None
        return Next(batch, self._begun, self._order)

    def look(self, steps: int) -> Sequence["Next"]:
        """The data of so many of the next steps, which stay ahead; of fewer if they cannot be
        known."""
        ahead, fetched = self._ahead, self._fetched
        try:
            while len(ahead) < steps:
                ahead.append(fetched())
        except Finished:
            pass
        except Exception as error:  # it is raised at its step
            self._error = error
        return ahead

    @property
    def same(self) -> tuple[Batch | None, int]:
        """The data of all steps, if they are the same, and how many steps are left."""
        left = sys.maxsize if self._epochs is None else self._epochs - self._begun
        return self._only, left

    def epochs_and_sizes(self, steps: int) -> tuple[Any, Any]:
        """The numbers of the epochs of the next steps, and the sizes of their data."""
        if self._only is not None:
            return np.arange(self._begun + 1, self._begun + 1 + steps), self._only.size
        ahead = list(islice(self._ahead, steps))
        return np.array([n.epoch for n in ahead]), np.array([n.batch.size for n in ahead])

    def skip(self, steps: int) -> None:
        """Note that so many of the next steps were taken."""
        self._taken += steps
        if self._only is not None:
            self._begun += steps
            self._done = 1
            self.epoch, self.end_of_epoch = self._begun, True
            return
        for _ in range(steps):
            now = self._ahead.popleft()
            self._done = 1 if now.epoch != self.epoch else self._done + 1
            self.epoch = now.epoch
            self._order_of_last, self.end_of_epoch = now.order, now.batch.is_last

    def _begin(self) -> None:
        if self._epochs is not None and self._begun >= self._epochs:
            were = "was" if self._epochs == 1 else "were"
            raise Finished(f"{counted(self._epochs, 'epoch')} {were} done")
        if self._source.is_once and self._begun:
            short = self._steps is not None and f", {self._steps - self._taken} steps too early"
            raise Finished(f"the data ended after {counted(self._taken, 'step')}{short or ''}")
        if self._source.is_random:
            self._order = plain(self._rng.bit_generator.state)
        self._begun += 1
        if self._only is None:
            self._batches = self._source.epoch(self._begun, self._rng)

    def step(self) -> None:
        now = self._now
        assert now is not None
        self._done = 1 if now.epoch != self.epoch else self._done + 1
        self.epoch, self.end_of_epoch = now.epoch, now.batch.is_last
        self._order_of_last, self._now = now.order, None
        self._taken += 1

    @property
    def drawn_from(self) -> Any:
        """The state of the generator before the order of an epoch that no step belongs to yet."""
        for ahead in self._ahead if self._source.is_random else ():
            if ahead.epoch != self.epoch:
                return ahead.order
        return None

    # --- Checkpoints

    def state(self) -> dict[str, Any]:
        return {
            **self._described(),
            "epoch": self.epoch,
            "done": self._done,
            "taken": self._taken,
            "end_of_epoch": self.end_of_epoch,
            "order": self._order_of_last,
        }

    def _described(self) -> dict[str, Any]:
        source = self._source
        return {"data": source.describe(), "batch_size": source.batch_size}

    def check(self, state: Mapping[str, Any]) -> None:
        """Refuse a state of other data.

        Raises:
            StateMismatch: the number of data or the size of the minibatches differs.
        """
        here = self._described()
        there = {name: state.get(name) for name in here}
        if there != here:
            raise StateMismatch(
                f"the checkpoint is of training with {there['data']} and batch_size="
                f"{there['batch_size']}; here are {here['data']} and batch_size="
                f"{here['batch_size']}"
            )

    def restore(self, state: Mapping[str, Any]) -> None:
        self.epoch = self._begun = state["epoch"]
        self.end_of_epoch, self._done = state["end_of_epoch"], state["done"]
        self._taken, self._order = state["taken"], state["order"]
        self._order_of_last = self._order
        self._batches, self._error = None, None
        self._ahead.clear()
        if not self.end_of_epoch:
            batches = self._source.epoch(self._begun, self._as_it_began())
            self._batches = islice(batches, self._done, None)

    def _as_it_began(self) -> np.random.Generator:
        """A generator in the state that `rng` had as the epoch began."""
        bits = type(self._rng.bit_generator)()
        if self._order is not None:
            bits.state = self._order
        return np.random.Generator(bits)


def plain(state: Any) -> Any:
    """The state of a generator as JSON can hold it."""
    if isinstance(state, Mapping):
        return {key: plain(value) for key, value in state.items()}
    return state.tolist() if isinstance(state, np.ndarray | np.generic) else state
