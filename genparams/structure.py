"""Structures: nested tuples, lists and dictionaries, with a value (a leaf) at the end of each path.

A path is a tuple of keys and indices, empty for a structure that is one leaf. None is a leaf. A
named tuple keeps its class; a mapping becomes a dictionary.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from genparams.errors import ShapeError
from genparams.text import brief

Path = tuple[Any, ...]


def map_leaves(f: Callable[[Any], Any], tree: Any) -> Any:
    """The structure with `f(leaf)` in the place of each leaf."""
    if type(tree) in ATOMS:
        return f(tree)
    if isinstance(tree, Mapping):
        return {key: map_leaves(f, part) for key, part in tree.items()}
    if isinstance(tree, (tuple, list)):
        return _like(tree, [map_leaves(f, part) for part in tree])
    return f(tree)


def leaves(tree: Any) -> list[Any]:
    """The leaves in order."""
    if type(tree) in ATOMS:
        return [tree]
    if isinstance(tree, (tuple, list)):
        parts = tree
    elif isinstance(tree, Mapping):
        parts = tree.values()
    else:
        return [tree]
    if {*map(type, parts)} <= ATOMS:
        return [*parts]
    return [leaf for part in parts for leaf in leaves(part)]


ATOMS = {float, int, bool, str, type(None), np.ndarray, np.float64, np.int64}
"""Types of leaves that are recognised at once, for speed."""


def paths(tree: Any) -> Iterator[tuple[Path, Any]]:
    """Each leaf with its path, in the order of `leaves`."""
    if isinstance(tree, (tuple, list)):
        parts = enumerate(tree)
    elif isinstance(tree, Mapping):
        parts = tree.items()
    else:
        yield (), tree
        return
    for key, part in parts:
        for path, leaf in paths(part):
            yield (key, *path), leaf


def replace(tree: Any, path: Path, part: Any) -> Any:
    """The structure with another part at a path."""
    if not path:
        return part
    key, *rest = path
    new = replace(tree[key], tuple(rest), part)
    if isinstance(tree, Mapping):
        return {**tree, key: new}
    return _like(tree, [*tree[:key], new, *tree[key + 1 :]])


def indexed(path: Path) -> str:
    """A path as it is written in Python after the name of the structure: `[0]['y']`."""
    return "".join(f"[{key!r}]" for key in path)


def pairs(tree: Any, other: Any, name: str, other_name: str) -> Iterator[tuple[str, Any, Any]]:
    """Each leaf with the part of `other` at its path, and the name of the leaf.

    None in `other` leaves out everything at its path, and a dictionary may leave out keys. A row of
    an array is a part of it.

    Args:
        name: How errors call the structure.
        other_name: How errors call the other one.

    Raises:
        ShapeError: the structures differ.
    """
    if other is None:
        return
    if isinstance(tree, Mapping):
        if not isinstance(other, Mapping) or not set(other) <= set(tree):
            raise ShapeError(
                f"{name} is a dictionary with keys {list(tree)}; {other_name} gives {brief(other)}"
            )
        keys = other
    elif isinstance(tree, (tuple, list)):
        if not isinstance(other, (tuple, list, np.ndarray)) or len(other) != len(tree):
            raise ShapeError(f"{name} has {len(tree)} parts; {other_name} gives {brief(other)}")
        keys = range(len(tree))
    else:
        yield name, tree, other
        return
    for key in keys:
        yield from pairs(tree[key], other[key], f"{name}[{key!r}]", other_name)


def _like(tree: Any, parts: list[Any]) -> Any:
    """A tuple or list of the class of another one."""
    return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
