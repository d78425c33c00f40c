"""Trees of values as text, and as HTML for notebooks; values in one short line; counts and indices.

A tree is a nested mapping. The entry of a key is the text of a leaf, a mapping of the entries
nested under it, or a pair of both. `brief` makes the text of any value.
"""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, TypeAlias, TypeVar

import numpy as np

Nested: TypeAlias = "Mapping[Any, str | Nested | tuple[str, Nested]]"
T = TypeVar("T")

WIDTH = 70
"""The characters of a value that are shown."""
ENTRIES = 4
"""The entries of an array that are shown."""


def text_tree(title: str, nested: Nested, limit: int = 40) -> str:
    """A tree as lines, `key : text`. Of more than `limit` lines the middle is left out."""
    lines = list(_lines(nested))
    first, hidden, last = _halves(lines, limit)
    return "\n".join([title, *first, *([f"... {hidden} more lines ..."] if hidden else []), *last])


def html_tree(title: str, nested: Nested, limit: int = 40) -> str:
    """A tree as nested lists that open and close, each of at most `limit` items."""
    return f"<details open><summary>{escape(title)}</summary>{_list(nested, limit)}</details>"


def brief(value: Any) -> str:
    """A value in one short line; an array as its shape and its first entries."""
    if isinstance(value, np.ndarray):
        shown = [_entry(value.dtype, x) for x in np.asarray(value).flat[:ENTRIES]]
        more = ["..."] if value.size > ENTRIES else []
        return f"array {value.shape} [{', '.join(shown + more)}]"
    if type(value) in (list, tuple):
        shown = [brief(v) for v in value[:ENTRIES]] + ["..."] * (len(value) > ENTRIES)
        if type(value) is list:
            return _cut(f"[{', '.join(shown)}]")
        return _cut(f"({', '.join(shown)}{',' if len(value) == 1 else ''})")
    if isinstance(value, (FunctionType, MethodType, BuiltinFunctionType)):
        return f"the function {value.__name__}"
    return _cut(" ".join(repr(value).split()) if not isinstance(value, str) else repr(value))


def enumerated(names: Sequence[str]) -> str:
    """Names as in a sentence: a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def counted(number: int, thing: str) -> str:
    """A number of things: 1 iteration, 2 iterations."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def brackets(index: tuple[Any, ...]) -> str:
    """An index as it follows a name: `[0, 1]`; nothing if it is empty."""
    return f"[{', '.join(map(str, index))}]" if index else ""


def offence(value: Any, inside: Any) -> str:
    """The first wrong entry of a value, its index, and how many entries are wrong.

    Args:
        inside: Whether each entry is right, or each vector along the last axis, or the whole value.
    """
    value, inside = np.asarray(value), np.asarray(inside, dtype=bool)
    wrong = np.argwhere(~inside)
    if not inside.ndim or value.shape[: inside.ndim] != inside.shape or not len(wrong):
        return brief(value if value.ndim else value.item())
    first = tuple(wrong[0].tolist())
    entry = value[first]
    place = first[0] if len(first) == 1 else first
    what = "entries" if inside.shape == value.shape else "parts"
    return (
        f"{brief(entry if entry.ndim else entry.item())} at index {place} "
        f"({len(wrong)} of {inside.size} {what})"
    )


def _entry(dtype: np.dtype, x: Any) -> str:
    if dtype.kind in "fc":
        return f"{x:.4g}"
    return _cut(repr(x.item() if isinstance(x, np.generic) else x))


def _cut(text: str) -> str:
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 3]}..."


def _key(key: Any) -> str:
    """The text of a key; a plain word is written without quotes."""
    return key if isinstance(key, str) and key.isidentifier() else _cut(repr(key))


def _parts(entry: Any) -> tuple[str, Nested]:
    """The text of an entry, and the entries nested under it."""
    if isinstance(entry, str):
        return entry, {}
    return ("", entry) if isinstance(entry, Mapping) else entry


def _lines(nested: Nested, indent: str = "") -> Iterator[str]:
    last = len(nested) - 1
    for place, (key, entry) in enumerate(nested.items()):
        text, below = _parts(entry)
        corner, bar = ("`- ", "   ") if place == last else ("|- ", "|  ")
        yield f"{indent}{corner}{_key(key)}{' : ' if text else ''}{text}"
        yield from _lines(below, indent + bar)


def _list(nested: Nested, limit: int) -> str:
    first, hidden, last = _halves(list(nested.items()), limit)
    items = [*(_item(*pair, limit) for pair in first)]
    items += [f"<li>... {hidden} more ...</li>"] if hidden else []
    items += [_item(*pair, limit) for pair in last]
    return f"<ul>{''.join(items)}</ul>"


def _item(key: Any, entry: Any, limit: int) -> str:
    text, below = _parts(entry)
    head = f"{escape(_key(key))} : <code>{escape(text)}</code>" if text else escape(_key(key))
    if not below:
        return f"<li>{head}</li>"
    return f"<li><details><summary>{head}</summary>{_list(below, limit)}</details></li>"


def _halves(items: list[T], limit: int) -> tuple[list[T], int, list[T]]:
    """The first and the last of more than `limit` items, and the number of items between."""
    if len(items) <= limit:
        return items, 0, []
    last = limit // 2 - 1
    first = limit - 1 - last
    return items[:first], len(items) - first - last, items[len(items) - last :]
