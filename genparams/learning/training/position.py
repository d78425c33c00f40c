"""The position of a learner in its data, which a checkpoint holds."""

from collections.abc import Mapping
from typing import Any


class Finished(Exception):
    """Raised by the work of a step that cannot be done, as the data have ended; says why."""


class Position:
    """Where a learner is in its data. Here each step is an epoch, as without data to go through."""

    epoch: int = 0
    """The number of the epoch of the last step, from 1."""
    end_of_epoch: bool = True
    """Whether the last step was the last one of its epoch."""

    drawn_from: Any = None
    """The state of the generator before what was drawn for steps that were not yet taken."""

    def step(self) -> None:
        """Called after each step."""
        self.epoch += 1

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs to go on from here, as JSON can hold it."""
        return {"epoch": self.epoch}

    def check(self, state: Mapping[str, Any]) -> None:
        """Refuse a state of other data; nothing has been restored yet."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.epoch = int(state["epoch"])
