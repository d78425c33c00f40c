"""What a body changes outside of itself, which a replay would leave out."""

from collections import deque
from collections.abc import Iterator
from typing import Any

from genparams.errors import CannotRecord
from genparams.trace.trace import Trace

_MOST = 10_000
"""The most members of a container that is compared."""


class Outside:
    """The lists, dictionaries and sets that the bodies of a trace name, as they were."""

    def __init__(self, trace: Trace):
        functions = [trace.gen_fn, *(function for function, _ in trace.calls.values())]
        self._then: dict[int, tuple[str, Any, Any]] = {}
        for function in dict.fromkeys(functions):
            for name, thing in _named(getattr(function, "body", None)):
                if isinstance(thing, (list, dict, set, deque)) and len(thing) <= _MOST:
                    self._then[id(thing)] = f"{name} in {function.__name__}", thing, thing.copy()

    def __enter__(self) -> "Outside":
        return self

    def __exit__(self, *error: Any) -> None:
        """Put back what was changed since.

        Raises:
            CannotRecord: something was, unless there is an error already.
        """
        changed = [found for found in self._then.values() if not _is_same(*found[1:])]
        for _, thing, then in changed:
            thing.clear()
            thing.extend(then) if isinstance(thing, (list, deque)) else thing.update(then)
        if changed and error[0] is None:
            raise CannotRecord(f"it changes {changed[0][0]}, which a replay would leave as it is")


def _is_same(thing: Any, then: Any) -> bool:
    """Whether two containers hold the same objects."""
    if len(thing) != len(then):
        return False
    if isinstance(thing, set):
        return thing == then
    if isinstance(thing, dict):
        pairs = zip(thing.items(), then.items(), strict=True)
        return all(key is was and value is old for (key, value), (was, old) in pairs)
    return all(value is old for value, old in zip(thing, then, strict=True))


def _named(body: Any) -> Iterator[tuple[str, Any]]:
    """The globals and the variables of an enclosing function that a body reads."""
    code = getattr(body, "__code__", None)
    if code is None:
        return
    for name in code.co_names:
        if name in body.__globals__:
            yield name, body.__globals__[name]
    for name, cell in zip(code.co_freevars, body.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not assigned yet
            continue
