"""A table as plain text, at most 100 columns wide.

The numbers of a column are aligned at their decimal points. Long texts continue on the next line.
Columns that do not fit beside the others follow below them, with the names again.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, zip_longest
from textwrap import wrap
from typing import TypeAlias

from genparams.reporting.shown import Entry, Shown, width

WIDTH = 100
"""The widest line."""
LONGEST = 32
"""The widest text in a cell or header; more of it continues on the next line."""
GAP = "  "

Column: TypeAlias = list[list[str]]
"""The cells of a column from the top, each as lines of one width."""
Justify: TypeAlias = Callable[[str, int], str]


def plain(shown: Shown) -> str:
    """The title, the facts, the rows under their headers, and the notes."""
    parts = [
        wrapped(shown.title, WIDTH) if shown.title else [],
        list(_facts(shown.facts)),
        list(_body(shown)),
        list(chain.from_iterable(wrapped(note, WIDTH, GAP) for note in shown.notes)),
    ]
    return "\n\n".join("\n".join(line.rstrip() for line in part) for part in parts if part)


def wrapped(text: str, most: int, indent: str = "") -> list[str]:
    """A text as lines of at most so many columns, all but the first with an indent."""
    if width(text) <= most:
        return [text]
    characters = most // 2 if any(width(c) == 2 for c in text) else most
    return wrap(text, characters, break_on_hyphens=False, subsequent_indent=indent) or [""]


def left(text: str, to: int) -> str:
    return text + " " * (to - width(text))


def right(text: str, to: int) -> str:
    return " " * (to - width(text)) + text


# --- Facts


def _facts(facts: Sequence[tuple[str, Entry]]) -> Iterator[str]:
    """Labels and values in two columns; in one if two are too wide."""
    if not facts:
        return
    half = (len(facts) + 1) // 2
    lines = _fact_lines([facts[:half], facts[half:]])
    if max(map(width, lines)) > WIDTH:
        lines = _fact_lines([facts])
    yield from lines


def _fact_lines(sides: Sequence[Sequence[tuple[str, Entry]]]) -> list[str]:
    columns = []
    for side in filter(None, sides):
        labels = _texts([label for label, _ in side], LONGEST, left)
        values = _entries([value for _, value in side], WIDTH - LONGEST - len(GAP), left)
        columns.append(_rows([labels, values], GAP))
    return [line for lines in _rows(columns, GAP * 2) for line in lines]


# --- Rows


def _body(shown: Shown) -> Iterator[str]:
    if not shown.headers:
        yield from chain.from_iterable(wrapped(name, WIDTH) for name, _ in shown.rows)
        return
    columns = [_column(shown, j) for j in range(len(shown.headers))]
    used = sum(_width(c) + len(GAP) for c in columns)
    names = _texts(["", *(name for name, _ in shown.rows)], max(LONGEST, WIDTH - used), left)
    for place, block in enumerate(_blocks(columns, WIDTH - _width(names))):
        if place:
            yield ""
        header, *rows = _rows([names, *block], GAP)
        yield from header
        yield "-" * width(header[0])
        yield from chain.from_iterable(rows)


def _column(shown: Shown, j: int) -> Column:
    """A column with its header, which stands above the right end of numbers."""
    justify = right if shown.is_number[j] else left
    header = _texts([shown.headers[j]], LONGEST, justify)
    cells = _entries([cells[j] for _, cells in shown.rows], LONGEST, justify)
    return _same_width([*header, *cells], justify)


def _blocks(columns: list[Column], room: int) -> Iterator[list[Column]]:
    """The columns in groups that fit in the room beside the names."""
    block, used = [], 0
    for column in columns:
        needed = _width(column) + len(GAP)
        if block and used + needed > room:
            yield block
            block, used = [], 0
        block, used = [*block, column], used + needed
    yield block


# --- Columns


def _entries(entries: Sequence[Entry], most: int, justify: Justify) -> Column:
    """Entries as a column, with the numbers aligned at their points."""
    parts = [_split(entry) for entry in entries]
    before = max((width(head) for head, _ in filter(None, parts)), default=0)
    after = max((width(tail) for _, tail in filter(None, parts)), default=0)
    column = [
        [right(part[0], before) + left(part[1], after)] if part else wrapped(entry.text, most)
        for entry, part in zip(entries, parts, strict=True)
    ]
    return _same_width(column, justify)


def _split(entry: Entry) -> tuple[str, str] | None:
    """A number at the point, or where it would be; None for a text."""
    if not entry.is_number:
        return None
    whole = re.match(r"-?inf|[-<]*\d*", entry.text)
    end = whole.end() if whole else 0
    return entry.text[:end], entry.text[end:]


def _texts(texts: Iterable[str], most: int, justify: Justify) -> Column:
    return _same_width([wrapped(text, most) for text in texts], justify)


def _same_width(column: Column, justify: Justify) -> Column:
    to = max((width(line) for lines in column for line in lines), default=0)
    return [[justify(line, to) for line in lines] for lines in column]


def _width(column: Column) -> int:
    return width(column[0][0]) if column else 0


def _rows(columns: Sequence[Column], gap: str) -> Column:
    """Columns side by side, as one; a short column and a cell of few lines are filled up."""
    blanks = [" " * _width(column) for column in columns]
    rows = []
    for cells in zip_longest(*columns, fillvalue=[]):
        lines = zip_longest(*cells)
        rows.append([gap.join(_filled(line, blanks)) for line in lines])
    return rows


def _filled(line: Iterable[str | None], blanks: list[str]) -> list[str]:
    return [blank if text is None else text for text, blank in zip(line, blanks, strict=True)]
