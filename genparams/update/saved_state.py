"""The saved state of an update: plain arrays by name."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from genparams.errors import StateMismatch, UpdateError
from genparams.params import Cell, Changes, Parameter
from genparams.update.names import names_of
from genparams.update.rule import State, out_of_range
from genparams.update.state import differences, filled, leaves
from genparams.update.steps import Steps


class SavedState:
    """What the saved state of an update looks like, and how one is loaded.

    Args:
        parameters: The parameters that the update moves, frozen ones included.
        progress: Where the update keeps its progress.
    """

    def __init__(self, steps: Steps, parameters: list[Parameter], progress: Cell):
        self._steps, self._parameters, self._progress = steps, parameters, progress
        self._names = {p: "/".join(name) for p, name in names_of(parameters).items()}

    @cached_property
    def _first(self) -> State:
        return self._steps.chain.init({p: p.coordinates for p in self._parameters})

    @cached_property
    def expected(self) -> dict[str, Any]:
        """A first state, by name."""
        return {"steps": 0, "skipped": 0, **leaves(self._first, self._names)}

    def now(self) -> dict[str, np.ndarray]:
        """The number of steps and the rule's state as arrays."""
        progress = self._steps.covering(self._progress.now, self._parameters)
        found = {"steps": np.array(progress.steps), "skipped": np.array(progress.skipped)}
        for k, v in leaves(progress.whole_state(), self._names).items():
            found[k] = np.array(v)
            if found[k].dtype.kind not in "fiub":
                raise UpdateError(f"a state holds numbers and arrays of them; {k} is {v!r}")
        return found

    def differences(self, saved: Mapping[str, Any]) -> list[str]:
        """What keeps a saved state from being loaded, a sentence each."""
        if not isinstance(saved, Mapping):
            return [f"a state is a dictionary, as state_dict gives it, and not {saved!r}"]
        wrong = differences(self.expected, saved)
        return wrong or out_of_range(self._steps.chain.ranges, saved)

    def restored(self, saved: Mapping[str, Any]) -> Changes:
        """Changes that load a state; hold the lock from here to the swap.

        Raises:
            StateMismatch: names, shapes or kinds differ, or a value is outside its range.
        """
        if wrong := self.differences(saved):
            raise StateMismatch(
                f"the saved state does not fit {self._steps.rule!r}: " + "; ".join(wrong)
            )
        progress = self._steps.beginning()._replace(
            steps=int(saved["steps"]),
            skipped=int(saved["skipped"]),
            known=frozenset(self._names),
            state=filled(self._first, self._names, saved),
        )
        return {self._progress: progress}
