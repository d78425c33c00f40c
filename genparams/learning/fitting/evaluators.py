"""What evaluates likelihoods where `fit` is asked to be static."""

from collections.abc import Sequence
from typing import Any

from genparams.errors import InvalidValue
from genparams.text import brief
from genparams.trace.trace import Trace


def check_static(static: Any) -> None:
    """Refuse what is neither True nor False.

    Raises:
        InvalidValue: it is something else.
    """
    if static not in (True, False):
        raise InvalidValue(f"static is True or False, got {brief(static)}")


def evaluators_of(traces: Sequence[Trace], backend: str) -> dict[Any, Any]:
    """What records and replays the quantities of traces, by function; not for functions that are
    static by themselves.

    Raises:
        ArgumentError, MissingExtra: there is no such backend here.
    """
    from genparams.compiled.quantities import StaticQuantities  # only when needed

    found: dict[Any, Any] = {}
    for f in {t.gen_fn: None for t in traces}:
        if not isinstance(f.trace_quantities, StaticQuantities):
            found[f] = StaticQuantities(f.__name__, backend)
    return found
