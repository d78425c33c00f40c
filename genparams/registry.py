"""Generative functions by name, for updates; and which of them were defined again."""

import weakref
from collections.abc import Iterable
from gc import collect
from typing import Any

from genparams.errors import UnknownFunction, nearest

_owners: dict[str, "weakref.WeakSet[Any]"] = {}
_replaced: "weakref.WeakSet[Any]" = weakref.WeakSet()


def register(function: Any, replaces: Iterable[Any] = ()) -> None:
    """Register a function with parameters under its `__name__`, in place of older definitions."""
    live = _owners.setdefault(function.__name__, weakref.WeakSet())
    for old in replaces:
        live.discard(old)
        if function.__name__.isidentifier():  # lambdas share a name and do not replace each other
            _replaced.update((old, old.params))
    live.add(function)


def replaced(thing: Any) -> bool:
    """Whether a function, or the function of a store, was defined again later."""
    return thing in _replaced


def live(name: str) -> list[Any]:
    """The functions of a name that are still in use."""
    if len(_owners.get(name, ())) > 1:
        collect()  # a recursive function refers to itself, so only the collector frees it
    return list(_owners.get(name, ()))


def named(name: str) -> Any:
    """The one live function of a name.

    Raises:
        UnknownFunction: no live function has the name, or several have it.
    """
    found = live(name)
    if len(found) == 1:
        return found[0]
    if found:
        raise UnknownFunction(
            f"{len(found)} live functions are named {name!r}: "
            f"{', '.join(f'{f.__module__}.{f.__qualname__}' for f in found)}; pass the function "
            "itself, ParamUpdate(rule, {f: [...]})"
        )
    known = [other for other, functions in _owners.items() if len(functions)]
    raise UnknownFunction(f"no generative function is named {name!r}; {nearest(name, known)}")
