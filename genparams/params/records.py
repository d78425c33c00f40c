"""Records that are replaced and never changed, so that an operation happens whole or not at all.

A `Cell` holds the current record of something that changes: the numbers of parameters, the progress
of an update. An operation computes the next records and leaves the current ones as they are. `swap`
then makes all of the next records current. An exception at any line, Ctrl-C included, leaves every
cell with its old record or every cell with its new one.
"""

import threading
from collections import deque
from collections.abc import Iterable
from functools import partial
from itertools import repeat
from operator import call
from typing import Any

lock = threading.RLock()
"""Held while next records are computed and swapped in."""


class Cell:
    """Holds a record, which is replaced as a whole."""

    __slots__ = ("now",)

    def __init__(self, record: Any):
        self.now = record


Changes = dict[Cell, Any]
"""The next record of each cell that an operation changes."""


def swap(changes: Changes) -> None:
    """Make the next records of several cells current, all or none; hold the lock.

    It is one call into C. Python handles signals and traces lines between its own instructions, so
    that neither Ctrl-C nor another exception comes between two assignments.
    """
    any(map(setattr, changes, _NOW, changes.values()))  # through all: setattr returns None


_NOW = repeat("now")


def swap_and_call(changes: Changes, calls: Iterable[partial[Any]]) -> None:
    """The same, followed by calls of functions written in C."""
    swaps = [partial(setattr, cell, "now", record) for cell, record in changes.items()]
    deque(map(call, [*swaps, *calls]), 0)


new_tuple = tuple.__new__
"""`new_tuple(Record, entries)` makes a named tuple in half the time of `Record(*entries)`."""


structure = Cell(object())
"""Gets another record whenever an update may have other parameters than before, or in other memory:
parameters of any store were initialised, forgotten, frozen, thawed or laid out again, a run read a
parameter for the first time, or a function was defined again."""


def restructured() -> Changes:
    """The change that tells others to look for parameters again."""
    return {structure: object()}
