"""Records: what a run visited, by address.

An edit changes a few addresses of a trace that may have thousands. Its record holds these few, and
shares the rest with an earlier record, so that an edit costs what it changes. The two are merged
when all of them are asked for.
"""

from collections.abc import Iterable
from functools import partial
from itertools import count
from math import isqrt
from typing import Any, NamedTuple

import numpy as np

from genparams.types import Address

ATOMS = {float, int, bool, str, bytes, type(None), np.float64, np.int64, np.bool_}
"""The types of values that cannot change."""


MOMENTS = count()
"""Numbers for the moments at which functions are made and runs begin, in order."""


class Frame(NamedTuple):
    """A call of a generative function that was run."""

    function: Any
    retval: Any
    """A list is a copy, which the body of the caller cannot change."""
    is_plain: bool
    """Whether the return value is one of `ATOMS`, or a list of them: nobody can change it."""
    args: tuple[Any, ...]
    options: dict[str, Any] | None
    parts: list[Address]
    """The addresses of the choices and calls that the body made itself, in order."""


def frame_of(
    function: Any, retval: Any, args: tuple[Any, ...], options: Any, parts: list[Address]
) -> Frame:
    """The frame of a call."""
    kind = type(retval)
    if kind is list:
        retval = retval[:]
        is_plain = {*map(type, retval)} <= ATOMS
    else:
        is_plain = kind in ATOMS
    return as_frame((function, retval, is_plain, args, options, parts))


as_frame = partial(tuple.__new__, Frame)
"""A frame of a tuple, as fast as a tuple."""


_NONE: Any = object()
_GONE: Any = object()
"""The value of an address that the earlier record has and this one has not."""


class Record:
    """The values of choices, their log probabilities, and the calls of a run.

    With a `base`, the dictionaries hold what differs from the base, which has none itself.
    """

    __slots__ = ("_whole", "base", "born", "frames", "log_probs", "root", "values")

    def __init__(
        self,
        values: dict[Address, Any],
        log_probs: dict[Address, float],
        frames: dict[Address, Frame],
        root: Frame | None = None,
        base: "Record | None" = None,
        born: int = 0,
    ):
        self.values = values
        self.log_probs = log_probs
        self.frames = frames
        self.root = root
        """The call at the root; None where it is not known, as in a trace that was unpickled."""
        self.base = base
        self.born = born
        """The moment at which the run began, of an edited record the first run."""
        self._whole: Record | None = None

    def value(self, address: Address) -> Any:
        """The value of a choice.

        Raises:
            KeyError: there is no choice at the address.
        """
        found = self.values.get(address, _NONE)
        if found is _NONE and self.base is not None:
            found = self.base.values.get(address, _NONE)
        if found is _NONE or found is _GONE:
            raise KeyError(address)
        return found

    def log_prob(self, address: Address) -> float | None:
        """log p of a choice; None if there is no choice at the address."""
        found = self.log_probs.get(address)
        if found is None and self.base is not None:
            found = self.base.log_probs.get(address)
        return None if found is _GONE else found

    def frame(self, address: Address) -> Frame | None:
        """The call at an address, () for the root; None if there is none."""
        if not address:
            return self.root
        found = self.frames.get(address)
        if found is None and self.base is not None:
            found = self.base.frames.get(address)
        return None if found is _GONE else found

    def below(self, address: Address) -> tuple[list[Address], list[Address]]:
        """The choices and the calls at an address and nested under it."""
        frame = self.frame(address)
        if frame is None:
            return [address], []
        choices, calls = [], [address]
        for part in frame.parts:
            more = self.below(part)
            choices += more[0]
            calls += more[1]
        return choices, calls

    def whole(self) -> "Record":
        """The same record without a base."""
        if self.base is None:
            return self
        if self._whole is None:
            self._whole = Record(
                _merged(self.base.values, self.values),
                _merged(self.base.log_probs, self.log_probs),
                _merged(self.base.frames, self.frames),
                self.root,
                born=self.born,
            )
        return self._whole

    def edited(
        self, changed: "Record", gone_choices: Iterable[Address], gone_calls: Iterable[Address]
    ) -> "Record":
        """The record with other values at some addresses.

        A record holds at most about as many changes as the root of the number of choices: then a
        chain of n edits costs O(n) copies of O(sqrt n) entries.
        """
        base = self if self.base is None else self.base
        values, log_probs, frames = changed.values, changed.log_probs, changed.frames
        if base is not self:
            if len(self.values) + len(values) > 16 + 2 * isqrt(len(base.values)):
                base = self.whole()
            else:
                values = {**self.values, **values}
                log_probs = {**self.log_probs, **log_probs}
                frames = {**self.frames, **frames}
        for address in gone_choices:
            values[address] = log_probs[address] = _GONE
        for address in gone_calls:
            frames[address] = _GONE
        return Record(values, log_probs, frames, changed.root or self.root, base, self.born)


def _merged(base: dict[Address, Any], changes: dict[Address, Any]) -> dict[Address, Any]:
    merged = {**base, **changes}
    for address, value in changes.items():
        if value is _GONE:
            del merged[address]
    return merged
