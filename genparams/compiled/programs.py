"""The programs that a static function keeps, and when it records another one.

A program is found by its key. There may be several for one key, for the branches that a function
takes; the one that was used last is tried first. A recording costs as much as many evaluations, so
that the next one waits the longer, the more recordings in a row were never used.
"""

import threading
import warnings
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from genparams.compiled.recording import Open
from genparams.errors import NotStatic, TooManyOperations

MOST = 16
"""The most programs that are kept."""
FLIPS = 32
"""So many evaluations for which the program of the evaluation before was not the right one are
told."""
USELESS = 8
"""So many programs in a row that were never used are told."""


class Kept(Protocol):
    """A program that is kept."""

    key: tuple[Any, ...]
    hits: int
    """How often it was used."""


class Programs:
    """Programs by their keys.

    Args:
        name: The name of the function.
        what: What the programs compute, for warnings.
    """

    def __init__(self, name: str, what: str):
        self.name, self.what = name, what
        self.by_key: dict[tuple[Any, ...], list[Any]] = {}
        """The programs of each key, the one used last at the end."""
        self.level = Open.ALL
        """Which numbers of a trace are inputs: fewer, if a recording of more was refused."""
        self.reason: str | None = None
        """Why nothing can be recorded, if that is so."""
        self.asked = 0
        """How many evaluations were interpreted."""
        self._lock = threading.RLock()
        self._wait, self._patience, self._useless, self._flips = 0, 0, 0, 0
        self._told: set[str] = set()
        self._missed: Any = None
        self._last: Kept | None = None

    def of(self, key: tuple[Any, ...]) -> Iterable[Any]:
        """The programs of a key, the one used last first."""
        with self._lock:
            return self.by_key.get(key, ())[::-1]

    def newest(self) -> list[Any]:
        """Of each key the program that was used last, the newest key first."""
        with self._lock:
            return [programs[-1] for programs in self.by_key.values()][::-1]

    def used(self, kept: Kept, has_flipped: bool) -> None:
        """Take note that a program was right.

        Args:
            has_flipped: Whether another one was right for the evaluation before.
        """
        with self._lock:
            kept.hits += 1
            self._useless = self._patience = 0
            programs = self.by_key.get(kept.key)
            if programs and kept in programs:
                programs.remove(kept)
                programs.append(kept)
            self._flips += has_flipped
            if self._flips == FLIPS:
                self._tell(
                    f"{self.name} is static, and {FLIPS} times it took another branch than at the "
                    f"time before, for {self.what}; each costs a second attempt. The results are "
                    "right"
                )

    def stop(self, reason: str) -> None:
        """Drop all programs, and record no more."""
        with self._lock:
            self.reason = reason
            self.by_key.clear()

    def stop_and_tell(self, reason: str) -> None:
        """The same, with a warning."""
        self.stop(reason)
        self._tell_reason(reason)

    def _tell_reason(self, reason: str) -> None:
        self._tell(
            f"{self.name} is static; the interpreter computes {self.what}, because that cannot be "
            f"recorded: {reason}"
        )

    def learn(
        self, key_at: Callable[[Open], tuple[Any, ...]], record: Callable[[Open], Kept | None]
    ) -> Any:
        """Record a program, as none was right; None if that is useless.

        Args:
            key_at: Gives the key at a level.
            record: Makes the program at a level, or raises.
        """
        with self._lock:
            if self.reason is not None:
                return None
            if self._wait:
                self._wait -= 1
                return None
            key = key_at(self.level)
            if key in self.by_key and self._missed != key:
                self._missed = key  # recorded anew if it happens again
                return None
            self._drop_useless()
            kept = self._recorded(record)
            if kept is not None:
                self.by_key.setdefault(kept.key, []).append(kept)
                self._last = kept
            return kept

    def _recorded(self, record: Callable[[Open], Kept | None]) -> Kept | None:
        while True:
            try:
                return record(self.level)
            except Exception as error:
                is_last = self.level == Open.NOTHING or any(self.by_key.values())
                if is_last or isinstance(error, TooManyOperations):
                    self.reason = str(error)
                    self._tell_reason(self.reason)
                    return None
                self.level = Open(self.level - 1)

    def _drop_useless(self) -> None:
        """Drop the last program if it was never used, and wait longer before the next recording;
        drop the program that was used least if there are too many."""
        last = self._last
        if last is not None and not last.hits:
            self._remove(last)
            self._useless += 1
            self._patience = min(2 * self._patience + 1, 1023)
            self._wait = self._patience
            if self._useless == USELESS:
                self._tell(
                    f"{self.name} is static, and none of its last {USELESS} recordings could be "
                    "used again: shapes, whole numbers, branches or arguments that are no arrays "
                    "of numbers differ at every step. Such steps are interpreted"
                )
        if sum(map(len, self.by_key.values())) >= MOST:
            self._remove(min((k for some in self.by_key.values() for k in some), key=_hits))

    def _remove(self, kept: Kept) -> None:
        programs = self.by_key.get(kept.key, [])
        if kept in programs:
            programs.remove(kept)
        if not programs:
            self.by_key.pop(kept.key, None)

    def _tell(self, what: str) -> None:
        if what not in self._told:
            self._told.add(what)
            warnings.warn(NotStatic(what), stacklevel=2)


def _hits(kept: Kept) -> int:
    return kept.hits
