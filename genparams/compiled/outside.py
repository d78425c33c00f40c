"""What a body changes outside of itself, which a replay would leave out."""

from collections.abc import Iterator
from typing import Any

from genparams.trace.trace import Trace

_GROWING = (list, dict, set)


def sizes(trace: Trace) -> dict[str, int]:
    """The sizes of the lists, dictionaries and sets that the bodies of a trace name."""
    functions = [trace.gen_fn, *(function for function, _ in trace.calls.values())]
    found: dict[str, int] = {}
    for function in dict.fromkeys(functions):
        for name, thing in _named(getattr(function, "body", None)):
            if isinstance(thing, _GROWING):
                found[f"{name} in {function.__name__}"] = len(thing)
    return found


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
