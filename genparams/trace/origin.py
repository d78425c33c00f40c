"""The origin of a trace: the process that made it.

A pickled trace carries the parameter values of its run and its origin. Another process uses the
trace only where its parameters have the same values and constraints.
"""

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from genparams.errors import ForeignParameters
from genparams.text import brief
from genparams.trace.choices import same

if TYPE_CHECKING:
    from genparams.trace.trace import Trace

_TOKEN = os.urandom(8)


class Origin(NamedTuple):
    """A process, and the constraints that the parameters of a trace had there."""

    process: tuple[int, bytes]
    constraints: Mapping[tuple[Any, str], Any]


def this_process() -> tuple[int, bytes]:
    """A name of this process, which a fork of it does not have."""
    return os.getpid(), _TOKEN


def origin_here(parameters: Iterable[tuple[Any, str]]) -> Origin:
    """The origin of a trace of this process that read some parameters, by function and name."""
    constraints = {(f, n): f.params[n].constraint for f, n in parameters if n in f.params}
    return Origin(this_process(), constraints)


def refuse_foreign(trace: "Trace", ended: bool = False) -> None:
    """Refuse a trace of another process unless its parameters are here as they were there.

    Args:
        ended: Whether a run has read every parameter, and declared what its body declares.

    Raises:
        ForeignParameters: naming the first parameter that differs.
    """
    if trace._origin is None:
        return
    for (function, name), then in trace.parameters.items():
        parameter = function.params[name] if name in function.params else None  # noqa: SIM401  # a store has no `get`
        constraint = trace._origin.constraints.get((function, name))
        now = ""
        if parameter is None:
            now = "has no value" if ended else ""
        elif not same(parameter.value, then):
            now = f"is {brief(parameter.value)}"
        elif constraint not in (None, parameter.constraint):
            now = f"is constrained to be {parameter.constraint!r}, not {constraint!r}"
        if now:
            raise ForeignParameters(function.__name__, name, brief(then), now)
    if ended:
        settle(trace)


def settle(trace: "Trace") -> None:
    """Note that the parameters of a trace of another process are the same here."""
    object.__setattr__(trace, "_origin", None)
