"""A table whose numbers are texts: what every form of a table is written from."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from genparams.reporting.cells import Cell, Missing, text_of


@dataclass(frozen=True, slots=True)
class Entry:
    """The text of a cell, and whether it is aligned as a number."""

    text: str
    is_number: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """The parts of a table as texts. `is_number` says which columns are aligned as numbers."""

    title: str
    facts: tuple[tuple[str, Entry], ...]
    headers: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Entry, ...]], ...]
    notes: tuple[str, ...]

    @property
    def is_number(self) -> tuple[bool, ...]:
        columns = [[cells[j] for _, cells in self.rows] for j in range(len(self.headers))]
        return tuple(not c or any(entry.is_number for entry in c) for c in columns)


class Marks:
    """The marks of missing numbers: `-`, with a number in brackets if there are several reasons."""

    def __init__(self, cells: Iterable[Cell]) -> None:
        reasons = dict.fromkeys(clean(c.reason) for c in cells if isinstance(c, Missing))
        marks = [f"-[{k}]" for k in range(1, len(reasons) + 1)] if len(reasons) > 1 else ["-"]
        self.marks = dict(zip(reasons, marks, strict=False))

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(f"{mark} : {reason}" for reason, mark in self.marks.items())

    def entry(self, cell: Cell) -> Entry:
        if isinstance(cell, Missing):
            return Entry(self.marks[clean(cell.reason)], True)
        return Entry(clean(cell), False) if isinstance(cell, str) else Entry(text_of(cell), True)


def clean(text: str) -> str:
    """A text on one line; characters that cannot be printed are written as their escapes."""
    spaced = re.sub(r"[\t\n\r]+", " ", text)
    return "".join(c if c.isprintable() else _escape(c) for c in spaced)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def width(text: str) -> int:
    """The columns of a terminal that a text takes."""
    return len(text) if text.isascii() else sum(map(_character_width, text))


def _character_width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
