"""Records that are replaced and never changed, so that an operation happens whole or not at all.

A `Cell` holds the current record of something that changes: the numbers of parameters, the progress
of an update. An operation computes the next records without touching the current ones. `swap` then
makes all of them current in one assignment. An exception at any line, Ctrl-C included, leaves every
cell with its old record or every cell with its new one.
"""

import threading
from typing import Any

lock = threading.RLock()
"""Held while next records are computed and swapped in."""

_DONE = [True]


class Cell:
    """Holds a record, which is replaced as a whole."""

    __slots__ = ("_latest",)

    def __init__(self, record: Any):
        # whether the swap to the latest record is done; that record; the record before it
        self._latest: tuple[list[bool], Any, Any] = (_DONE, record, None)

    @property
    def now(self) -> Any:
        """The current record."""
        (done,), after, before = self._latest
        return after if done else before

    def forget(self) -> None:
        """Release the memory of the record before the current one."""
        self._latest = _DONE, self.now, None


Changes = dict[Cell, Any]
"""The next record of each cell that an operation changes."""


def prepare(changes: Changes) -> list[bool]:
    """Store the next records beside the current ones; hold the lock.

    They become current, together, when the first entry of the returned list is set to True.
    """
    done = [False]
    for cell, after in changes.items():
        (is_done,), current, before = cell._latest
        cell._latest = done, after, current if is_done else before
    return done


def swap(changes: Changes) -> None:
    """Make the next records of several cells current, in one assignment; hold the lock."""
    done = prepare(changes)
    done[0] = True  # before this line every cell has its old record, after it its new one


new_tuple = tuple.__new__
"""`new_tuple(Record, entries)` makes a named tuple in half the time of `Record(*entries)`."""


structure = Cell(object())
"""Gets another record whenever parameters, in any store, were initialised, forgotten, frozen,
thawed or moved to other memory: who has looked for parameters before looks again."""


def restructured() -> Changes:
    """The change that tells others to look for parameters again."""
    return {structure: object()}
