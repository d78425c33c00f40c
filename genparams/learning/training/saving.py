"""Checkpoints of a loop: all that it needs to go on, in the middle of an epoch, to the bit."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genparams.errors import GenParamsError, InvalidValue, StateMismatch
from genparams.learning.training.position import Position
from genparams.learning.training.recorder import COLUMNS, Recorder
from genparams.params import ParamStore, find, labels
from genparams.text import enumerated
from genparams.types import Array
from genparams.update.checkpoint import checkpoint_metadata, load_checkpoint, save_checkpoint
from genparams.update.checkpoint_file import File, opened
from genparams.update.checkpoint_parts import part_of
from genparams.update.param_update import ParamUpdate

PARAMETERS = "parameters of "
"""How the name of the part of a store begins."""
ENTRIES = (
    "last",
    "stopped_because",
    "position",
    "records",
    "recorded",
    "options",
    "frozen",
    "made",
    "callbacks",
)
"""What the metadata of a loop are."""
AGAIN = "train without resume=True, or with another file, to begin anew"

Columns = Mapping[str, Array]


class Saving:
    """The checkpoint of a loop, at one path.

    Args:
        stores: Gives the stores of all parameters that the work may read, as far as they are known.
        options: What a resume may not change, by name.

    Raises:
        InvalidValue: the state of a callback cannot be saved.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        stores: Callable[[], Iterable[ParamStore]],
        updates: Sequence[ParamUpdate],
        callbacks: Sequence[Any],
        rng: np.random.Generator | None,
        position: Position,
        recorder: Recorder,
        options: Mapping[str, Any],
    ):
        self._path, self._position, self._recorder = Path(path), position, recorder
        self._find_stores, self._options = stores, dict(options)
        self._others: dict[str, Any] = {f"update {i}": u for i, u in enumerate(updates, 1)}
        self._callbacks = {
            f"callback {i}": callback
            for i, callback in enumerate(callbacks, 1)
            if hasattr(callback, "state_dict") and hasattr(callback, "load_state_dict")
        }
        for name, callback in self._callbacks.items():
            _refuse_unsaveable(name, callback)
        if rng is not None:
            self._others["rng"] = rng
        self._frozen_at_first = self._frozen()

    def _stores(self) -> dict[str, ParamStore]:
        """The stores by the names of their parts."""
        return {PARAMETERS + name: s for s, name in labels(self._find_stores()).items()}

    def _frozen(self) -> dict[str, list[str]]:
        """The names of the frozen parameters of each store."""
        stores = self._stores().items()
        return {part: [n for n, p in store.items() if p.frozen] for part, store in stores}

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
            "options": self._options,
            "frozen": [self._frozen_at_first, self._frozen()],
            "made": {name: _made(callback) for name, callback in self._callbacks.items()},
            "callbacks": {name: _forms(c.state_dict()) for name, c in self._callbacks.items()},
        }
        history = _Records(numbers, values)
        parts = {"history": history, **self._callbacks, **self._stores(), **self._others}
        save_checkpoint(self._path, metadata={"loop": metadata}, **parts)

    def load(self) -> tuple[tuple[Any, ...], str]:
        """Restore everything; the record of the last step, and why a callback ended the loop.

        Raises:
            StateMismatch: it is of another model, other updates, other data, other options or other
                callbacks, or of no loop.
            CheckpointError: it is damaged.
        """
        saved = self._of_loop(checkpoint_metadata(self._path))
        history = _Records.empty(saved["records"], saved["recorded"])
        self._position.check(saved["position"])
        self._refuse_other_options(saved["options"])
        self._refuse_other_callbacks(saved["made"])
        self._refuse_other_frozen(*saved["frozen"])
        callbacks = {
            name: _Growing(callback, saved["callbacks"].get(name, {}))
            for name, callback in self._callbacks.items()
        }
        new = self._declared()
        try:
            parts = {"history": history, **callbacks, **self._stores(), **self._others}
            saved = self._of_loop(load_checkpoint(self._path, **parts))
        except BaseException:
            for store, name in new:
                store.discard(name)
            raise
        self._frozen_at_first = saved["frozen"][0]
        self._position.restore(saved["position"])
        self._recorder.now()
        self._recorder.restore(history.numbers, history.values)
        return tuple(saved["last"]), saved["stopped_because"]

    def _refuse_other_options(self, there: Mapping[str, Any]) -> None:
        here = self._options
        if differ := [name for name in here if there.get(name) != here[name]]:
            of_file, mine = (
                enumerated([f"{name}={options.get(name)!r}" for name in differ])
                for options in (there, here)
            )
            raise StateMismatch(
                f"{self._path} is of training with {of_file}; here is {mine}; write what the file "
                f"has, or {AGAIN}"
            )

    def _refuse_other_callbacks(self, there: Mapping[str, str]) -> None:
        here = {name: _made(callback) for name, callback in self._callbacks.items()}
        for name in [*there, *here]:
            was, now = there.get(name), here.get(name, "no callback with a state")
            if was != now:
                said = (
                    f"was {was}, is {now}" if was else f"is {now}, and the file has no state of it"
                )
                raise StateMismatch(
                    f"{self._path} is of training with other callbacks: {name} {said}; give the "
                    f"callbacks as before, or {AGAIN}"
                )

    def _refuse_other_frozen(
        self, at_first: Mapping[str, Sequence[str]], at_last: Mapping[str, Sequence[str]]
    ) -> None:
        """Refuse parameters that are frozen here as they were neither at first nor at last."""
        here = self._frozen_at_first
        if all(set(names) == set(at_last.get(part, ())) for part, names in here.items()):
            return
        for part in [part for part in here if part in at_first]:
            for name in sorted({*here[part]} ^ {*at_first[part]}):
                of = part.removeprefix(PARAMETERS)
                was, now, do = (
                    ("not frozen", "is", "thaw")
                    if name in here[part]
                    else ("frozen", "is not", "freeze")
                )
                raise StateMismatch(
                    f"the parameter {of}.{name} was {was} when the training of {self._path} began, "
                    f"and {now} frozen here; write {of}.params[{name!r}].{do}() before, or {AGAIN}"
                )

    def _declared(self) -> list[tuple[ParamStore, str]]:
        """Declare the parameters that the file has and only later data read; those that are new.

        Raises:
            StateMismatch: it is not known how; nothing is declared.
        """
        new: list[tuple[ParamStore, str]] = []
        stores = self._stores()
        with opened(self._path) as file:
            there = {k: v for k, v in file.header["parts"].items() if k.startswith(PARAMETERS)}
            if not stores.keys() & there.keys():  # another model
                return new
            unknown = [part.removeprefix(PARAMETERS) for part in there if part not in stores]
            left = []
            for part in [part for part in there if part in stores]:
                store = stores[part]
                for name in [n for n in there[part]["parameters"] if n not in store]:
                    if _declare(store, name, file, part):
                        new.append((store, name))
                    else:
                        left.append((part.removeprefix(PARAMETERS), name))
        if not unknown and not left:
            return new
        for store, name in new:
            store.discard(name)
        if unknown:
            raise StateMismatch(
                f"{self._path} has a part {PARAMETERS + unknown[0]!r}, and no run has called "
                f"{unknown[0]} here yet. If later data call it, run the model on such data before "
                f"training, as in f.generate(args, constraints); if the model is another, {AGAIN}"
            )
        of, name = left[0]
        raise StateMismatch(
            f"{self._path} has {enumerated([f'{of}.{name}' for of, name in left])}, which no run "
            f"has read here yet. If later data read it, write init_param({of}, {name!r}, value) "
            f"before the update is made; if the model is another, {AGAIN}"
        )

    def _of_loop(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        if not isinstance(metadata.get("loop"), dict):
            raise StateMismatch(
                f"{self._path} is a checkpoint that no training loop has written; load it with "
                "load_checkpoint and train without resume=True"
            )
        if missing := [name for name in ENTRIES if name not in metadata["loop"]]:
            raise StateMismatch(
                f"{self._path} has no {enumerated(missing)} of the loop, as another version "
                f"of genparams wrote it; go on with that version, or {AGAIN}"
            )
        return metadata["loop"]


def _declare(store: ParamStore, name: str, file: File, part: str) -> bool:
    """Declare a parameter of a file; False if the model does not say that it has one like it."""
    if store.source is None or not store.source.declares(name):
        return False
    try:
        if (p := find(store, name)) is None:
            p = store.init(name, file.arrays_of(part)[f"value/{name}"])
    except GenParamsError:
        return False
    if repr(p.constraint) == file.header["parts"][part]["parameters"][name]["constraint"]:
        return True
    store.discard(name)
    return False


def _refuse_unsaveable(name: str, callback: Any) -> None:
    kind = type(callback).__name__
    try:
        part_of(callback, name)
    except (InvalidValue, ValueError) as error:
        raise InvalidValue(
            f"{name}, {kind}, has a state_dict() that a checkpoint cannot hold: {error}; give a "
            "dictionary of numbers and arrays by name"
        ) from None


def _made(callback: Any) -> str:
    """The class of a callback, and those of its settings that are simple."""
    settings = []
    for f in fields(callback) if is_dataclass(callback) else ():
        value = getattr(callback, f.name)
        if f.init and (value is None or isinstance(value, bool | int | float | str)):
            settings.append(f"{f.name}={value!r}")
        elif f.init and callable(value):
            settings.append(f"{f.name}=a function")
    return f"{type(callback).__name__}({', '.join(settings)})"


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
