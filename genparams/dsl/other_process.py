"""Traces of other processes: refused where their parameters have other values than in the run."""

from genparams.errors import ForeignParameters
from genparams.text import brief
from genparams.trace.choices import same
from genparams.trace.trace import Trace, origin_of, settle


def refuse_foreign(trace: Trace, ended: bool = False) -> None:
    """Refuse a trace of another process unless its parameters are here as they were there.

    Args:
        ended: Whether a run has read every parameter, and declared what its body declares.

    Raises:
        ForeignParameters: naming the first parameter that differs.
    """
    error = foreign_parameter(trace, ended)
    if error is not None:
        raise error
    if ended:
        settle(trace)


def foreign_parameter(trace: Trace, ended: bool) -> ForeignParameters | None:
    """The error for the first parameter of a trace of another process that differs here."""
    origin = origin_of(trace)
    if origin is None:
        return None
    for (function, name), then in trace.parameters.items():
        parameter = function.params[name] if name in function.params else None  # noqa: SIM401  # a store has no `get`
        constraint = origin.constraints.get((function, name))
        now = ""
        if parameter is None:
            now = "has no value" if ended else ""
        elif not same(parameter.value, then):
            now = f"is {brief(parameter.value)}"
        elif constraint not in (None, parameter.constraint):
            now = f"is constrained to be {parameter.constraint!r}, not {constraint!r}"
        if now:
            return ForeignParameters(function.__name__, name, brief(then), now)
    return None
