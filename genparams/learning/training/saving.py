"""Checkpoints of a loop: all that it needs to go on, in the middle of an epoch, to the bit."""

import os
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np

from genparams.errors import StateMismatch
from genparams.learning.training.position import Position
from genparams.learning.training.recorder import COLUMNS, Recorder
from genparams.params import ParamStore, labels
from genparams.types import Array
from genparams.update.checkpoint import checkpoint_metadata, load_checkpoint, save_checkpoint
from genparams.update.param_update import ParamUpdate

Columns = Mapping[str, Array]


class Saving:
    """The checkpoint of a loop, at one path."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        stores: Iterable[ParamStore],
        updates: Sequence[ParamUpdate],
        callbacks: Sequence[Any],
        rng: np.random.Generator | None,
        position: Position,
        recorder: Recorder,
    ):
        self._path, self._position, self._recorder = Path(path), position, recorder
        self._parts: dict[str, Any] = {
            f"parameters of {name}": store for store, name in labels(stores).items()
        }
        self._parts |= {f"update {i}": update for i, update in enumerate(updates, 1)}
        self._callbacks = {
            f"callback {i}": callback
            for i, callback in enumerate(callbacks, 1)
            if hasattr(callback, "state_dict") and hasattr(callback, "load_state_dict")
        }
        if rng is not None:
            self._parts["rng"] = rng

    def exists(self) -> bool:
        """Whether there is a checkpoint."""
        return self._path.exists()

    def save(self, last: tuple[Any, ...], stop: str) -> None:
        """Write a checkpoint after a step, in place of the old one.

        Args:
            last: A record of the step.
            stop: Why a callback ended the loop with it; empty if none did.
        """
        numbers, values = self._recorder.joined()
        metadata = {
            "last": last,
            "stopped_because": stop,
            "position": self._position.state(),
            "records": len(numbers["steps"]),
            "recorded": {name: list(array.shape[1:]) for name, array in values.items()},
            "callbacks": {name: _forms(c.state_dict()) for name, c in self._callbacks.items()},
        }
        parts = {"history": _Records(numbers, values), **self._callbacks, **self._parts}
        save_checkpoint(self._path, metadata={"loop": metadata}, **parts)

    def load(self) -> tuple[tuple[Any, ...], str]:
        """Restore everything; the record of the last step, and why a callback ended the loop.

        Raises:
            StateMismatch: it is of another model, other updates or other data, or of no loop.
            CheckpointError: it is damaged.
        """
        saved = self._of_loop(checkpoint_metadata(self._path))
        history = _Records.empty(saved["records"], saved["recorded"])
        self._position.check(saved["position"])
        callbacks = {
            name: _Growing(callback, saved["callbacks"].get(name, {}))
            for name, callback in self._callbacks.items()
        }
        parts = {"history": history, **callbacks, **self._parts}
        saved = self._of_loop(load_checkpoint(self._path, **parts))
        self._position.restore(saved["position"])
        self._recorder.now()
        self._recorder.restore(history.numbers, history.values)
        return tuple(saved["last"]), saved.get("stopped_because", "")

    def _of_loop(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        if not isinstance(metadata.get("loop"), dict):
            raise StateMismatch(
                f"{self._path} is a checkpoint that no training loop has written; load it with "
                "load_checkpoint and train without resume=True"
            )
        return metadata["loop"]


class _Records:
    """The records of a history, as a part of a checkpoint."""

    def __init__(self, numbers: Columns, values: Columns):
        self.numbers, self.values = dict(numbers), dict(values)

    @classmethod
    def empty(cls, records: int, recorded: Mapping[str, Sequence[int]]) -> "_Records":
        """Records of these shapes, to be loaded into."""
        numbers = {name: np.zeros(records, kind) for name, kind in COLUMNS.items()}
        return cls(numbers, {name: np.zeros((records, *s)) for name, s in recorded.items()})

    def state_dict(self) -> dict[str, Array]:
        return {**self.numbers, **{f"value of {name}": v for name, v in self.values.items()}}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        self.numbers = {name: np.atleast_1d(state[name]) for name in self.numbers}
        self.values = {name: state[f"value of {name}"] for name in self.values}


class _Growing:
    """A callback whose state has the names and shapes of the saved one, which it may not have yet.

    A checkpoint compares both before it loads anything.
    """

    def __init__(self, callback: Any, forms: Mapping[str, tuple[str, Sequence[int]]]):
        self._callback, self._before = callback, deepcopy(callback.state_dict())
        self._forms, self._is_loaded = forms, False

    def state_dict(self) -> dict[str, Any]:
        return {name: np.zeros(shape, kind) for name, (kind, shape) in self._forms.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a state; the second time, after an error, the callback's own from before."""
        self._callback.load_state_dict(self._before if self._is_loaded else state)
        self._is_loaded = True


def _forms(state: Mapping[str, Any]) -> dict[str, tuple[str, Sequence[int]]]:
    """The type and the shape of each number or array of a state."""
    arrays = {name: np.asarray(value) for name, value in state.items()}
    return {name: (array.dtype.str, array.shape) for name, array in arrays.items()}
