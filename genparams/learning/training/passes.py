"""Passes through data: which minibatch is next, and where a checkpoint goes on."""

import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np

from genparams.errors import InvalidValue, StateMismatch
from genparams.learning.training.batches import Batch, Source
from genparams.learning.training.position import Finished, Position
from genparams.text import counted


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
        self._order: Any = None  # the state of the generator as the epoch began
        self._done = 0  # steps of this epoch
        self._taken = 0
        self._next: Batch | None = None
        self.epoch, self.end_of_epoch = 0, True

    def next(self) -> Batch:
        """The data of the next step.

        Raises:
            Finished: there are no more.
        """
        if self._batches is None:
            self._begin()
            if self._only is not None:
                self._next = self._only
                return self._only
        batch = next(self._batches, None)  # type: ignore[arg-type]
        if batch is None:
            raise InvalidValue(
                f"epoch {self._begun} has no data; the function that makes the data returns a new "
                "iterator at each call"
                if self._begun > 1
                else "there are no data"
            )
        self._next = batch
        return batch

    def ahead(self) -> tuple[Batch | None, int]:
        """The data of the next steps if they are the same, and of how many; (None, 0) if not."""
        if self._only is None or self._batches is not None:
            return None, 0
        left = sys.maxsize if self._epochs is None else self._epochs - self._begun
        return self._only, left

    def epochs_ahead(self) -> int:
        """The number of the epoch of the first of these steps; each is an epoch."""
        return self._begun + 1

    def skip(self, steps: int) -> None:
        """Note that so many of them were taken."""
        self._begun += steps
        self._taken += steps
        self._next, self._done = self._only, 1
        self.epoch, self.end_of_epoch = self._begun, True

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
        self._done = 0
        if self._only is None:
            self._batches = self._source.epoch(self._begun, self._rng)

    def step(self) -> None:
        assert self._next is not None
        self.epoch, self.end_of_epoch = self._begun, self._next.is_last
        self._done += 1
        self._taken += 1
        if self.end_of_epoch:
            self._batches = None

    # --- Checkpoints

    def state(self) -> dict[str, Any]:
        return {
            **self._described(),
            "epoch": self.epoch,
            "done": self._done,
            "taken": self._taken,
            "end_of_epoch": self.end_of_epoch,
            "order": self._order,
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
        self._batches = None
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
