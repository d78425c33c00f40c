"""Recording what a loop does, at little cost: numbers are kept as they are and joined later."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from genparams.learning.training.history import History, Recorded
from genparams.learning.training.tracked import Tracked
from genparams.params import structure
from genparams.types import Array
from genparams.update.burst import NOTHING, Noted
from genparams.update.param_update import ParamUpdate

FEW = 100
"""Parameters of at most so many numbers are recorded, unless it is said otherwise."""
COLUMNS = {"steps": int, "epochs": int, "log_prob": float, "grad_norm": float, "seconds": float}

CHUNK = 1 << 14
"""So many numbers of records are kept as they are before they are made into arrays."""

Chunk = tuple[dict[str, Array], dict[str, Array]]
"""Arrays with a row for each record: the columns, and the values of parameters by name."""


@dataclass(slots=True)
class _Rows:
    """Records as they are made: flat lists, which are quick to append to."""

    columns: list[Any] = field(default_factory=list)
    numbers: list[float] = field(default_factory=list)
    """The values of parameters that are numbers."""
    arrays: list[Array] = field(default_factory=list)
    """The values of parameters that are arrays."""


class Recorder:
    """The records of a loop so far.

    Args:
        record_params: Whether the values of parameters are recorded; None for a few numbers only.
    """

    def __init__(self, updates: Sequence[ParamUpdate], record_params: bool | None):
        self._updates = updates
        self.tracked = self._found()
        self._keeps = self.tracked.size <= FEW if record_params is None else record_params
        self._rows = _Rows()
        self._chunks: list[Chunk] = []

    def _found(self) -> Tracked:
        return Tracked(p for update in self._updates for p in update.covers())

    def now(self) -> Tracked:
        """The parameters, found again if they may have changed."""
        if self.tracked.structure is not structure.now:
            self._join()
            self.tracked = self._found()
        return self.tracked

    def add(self, row: tuple[Any, ...]) -> None:
        """Add a record: an entry of each of `COLUMNS`, and the present values of parameters."""
        tracked, rows = self.now(), self._rows
        rows.columns += row
        if self._keeps:
            tracked.write(rows.numbers, rows.arrays)
        if len(rows.columns) >= CHUNK:
            self._join()

    def noted(self) -> Noted:
        """The parameters whose values are recorded."""
        return self.now().noted if self._keeps else NOTHING

    def add_all(self, columns: Sequence[Array], numbers: list[float], arrays: list[Array]) -> None:
        """Add records: columns, and the values of parameters as `Tracked.write` appends them."""
        if len(columns[0]):
            self._join()
            found = self.tracked.split(numbers, arrays) if self._keeps else {}
            self._chunks.append((dict(zip(COLUMNS, columns, strict=True)), found))

    def _join(self) -> None:
        """Make a chunk of the records that are of the same parameters."""
        if self._rows.columns:
            self._chunks.append(self._chunk(self._rows))
            self._rows = _Rows()

    def _chunk(self, rows: "_Rows") -> Chunk:
        found = self.tracked.split(rows.numbers, rows.arrays) if self._keeps else {}
        width = len(COLUMNS)
        count = min([len(rows.columns) // width, *map(len, found.values())])  # if interrupted
        columns = {
            name: np.array(rows.columns[k : count * width : width], kind)
            for k, (name, kind) in enumerate(COLUMNS.items())
        }
        return columns, {name: values[:count] for name, values in found.items()}

    # --- The result

    def joined(self) -> Chunk:
        """All records: the columns, and the values of parameters by name."""
        self._join()
        found = _joined(self._chunks)
        self._chunks = [found] if len(found[0]["steps"]) else []
        return found

    def restore(self, numbers: Mapping[str, Array], values: Mapping[str, Array]) -> None:
        """Begin with the records of an earlier loop, in place of all that there are."""
        self._rows = _Rows()
        self._chunks = [(dict(numbers), dict(values))] if len(numbers["steps"]) else []

    def history(self, objective: str, stopped_because: str, last: tuple[Any, ...]) -> History:
        """The records as a history, with a record of the last step if it has none yet."""
        self._join()
        chunks = self._chunks
        if last and (not chunks or chunks[-1][0]["steps"][-1] != last[0]):
            rows = _Rows([*last])
            self.now().write(rows.numbers, rows.arrays)
            chunks = [*chunks, self._chunk(rows)]
        numbers, values = _joined(chunks)
        for column in [*numbers.values(), *values.values()]:
            column.setflags(write=False)
        why = "" if self._keeps else _not_recorded(self.tracked.size)
        return History(
            objective, **numbers, params=Recorded(values, why), stopped_because=stopped_because
        )


def _joined(chunks: Sequence[Chunk]) -> Chunk:
    numbers = {
        name: np.concatenate([np.empty(0, kind), *(n[name] for n, _ in chunks)])
        for name, kind in COLUMNS.items()
    }
    names = list(dict.fromkeys(name for _, values in chunks for name in values))
    return numbers, {name: _series(name, chunks, len(numbers["steps"])) for name in names}


def _series(name: str, chunks: Sequence[Chunk], count: int) -> Array:
    """The values of one parameter; NaN where it had none, or had another shape than it has."""
    last = next(values[name] for _, values in reversed(chunks) if name in values)
    found = np.full((count, *last.shape[1:]), np.nan, last.dtype)
    start = 0
    for numbers, values in chunks:
        stop = start + len(numbers["steps"])
        if name in values and values[name].shape[1:] == last.shape[1:]:
            found[start:stop] = values[name]
        start = stop
    return found


def _not_recorded(size: int) -> str:
    return (
        f"the parameters have {size} numbers, and their values were not recorded; write "
        "record_params=True, with history_every=k to record them every k steps"
    )
