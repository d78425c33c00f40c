"""Edits: other traces made from a trace, and their weights.

Each edit runs the function again at the present parameters, on some choices of the trace. `Trace`
documents what each returns.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from genparams.dsl.execution import Rng, answers, drawn, execute, visits
from genparams.dsl.interpreter import Choose, Run
from genparams.dsl.replay import held
from genparams.errors import (
    AddressConflict,
    ConstraintError,
    ShapeError,
    UninitializedParameter,
)
from genparams.params import (
    Parameter,
    addition,
    edit_to_value,
    edited,
    lock,
    restructured,
    swap_and_call,
)
from genparams.trace.choices import ChoiceMap, choice_values, same, unchecked
from genparams.trace.origin import refuse_foreign, settle
from genparams.trace.results import Regenerated, Updated
from genparams.trace.selection import selection_of
from genparams.trace.trace import Trace
from genparams.types import Constraint, real, show


def update(
    trace: Trace, constraints: Mapping[Any, Any] | None, args: tuple[Any, ...] | None, rng: Rng
) -> tuple[Trace, float, ChoiceMap]:
    """Run with the constraints; else with the choices of the trace; else draw."""
    draw = drawn(rng)
    given, old = choice_values(constraints), trace.choices._values
    known = {**old, **given}
    new = _continued(trace, args, answers(known, draw), visits(given))
    kept = sum(lp for address, lp in new.log_probs.items() if address in known)
    gone = {a: v for a, v in old.items() if a in given or a not in new.choices._values}
    weight = float(kept - trace.log_prob)
    return Updated((new, weight, unchecked(gone)))  # type: ignore[return-value]


def regenerate(
    trace: Trace, selection: Any, args: tuple[Any, ...] | None, rng: Rng
) -> tuple[Trace, float]:
    """Run with the choices of the trace that are not selected; else draw."""
    draw = drawn(rng)
    selection = selection_of(selection, trace.choices._values)
    kept = {a: v for a, v in trace.choices.items() if a not in selection}
    new = _continued(trace, args, answers(kept, draw), lambda run: None)
    both = [address for address in kept if address in new.log_probs]
    weight = float(sum(new.log_probs[a] - trace.log_probs[a] for a in both))
    return Regenerated((new, weight))  # type: ignore[return-value]


def rescored(trace: Trace) -> Trace:
    """Run with every choice of the trace."""
    return execute(trace.gen_fn, trace.args, held(trace), visits(trace.choices._values))


def restore_parameters(trace: Trace) -> None:
    """Check every parameter, then set or initialise those that differ, all at once."""
    constraints = trace._origin.constraints if trace._origin else {}
    with lock:
        changed = [
            new
            for (function, name), value in trace.parameters.items()
            if (new := _restored(function, name, value, constraints.get((function, name))))
        ]
        edits, missing = {}, []
        for new in changed:
            if new.name in new.store:
                here = new.store[new.name]
                edits[here] = edit_to_value(here, np.asarray(new.value, here.dtype))
            else:
                missing.append(addition(new))
        swap_and_call(edited(edits, restructured()), missing)
    settle(trace)


def _restored(
    function: Any, name: str, value: Any, constraint: Constraint | None
) -> Parameter | None:
    """A parameter with the value that it had in a run; None if it has this value already."""
    store = function.params
    if name not in store:
        return Parameter(name, value, real if constraint is None else constraint, store)
    here = store[name]
    if constraint is not None and here.constraint != constraint:
        raise ConstraintError(
            f"parameter {name!r} of {function.__name__} is {here.constraint!r} here and was "
            f"{constraint!r} in the run of the trace"
        )
    if same(here.value, value):
        return None
    new = Parameter(name, value, here.constraint, store)
    if new.shape != here.shape:
        raise ShapeError(
            f"parameter {name!r} of {function.__name__} has shape {np.shape(here.value)} here and "
            f"{np.shape(value)} in the trace"
        )
    return new


def _continued(
    trace: Trace, args: tuple[Any, ...] | None, choose: Choose, check: Callable[[Run], None]
) -> Trace:
    """The trace of a run of the same calls, which is refused where the trace is foreign."""

    def both(run: Run) -> None:
        refuse_foreign(trace, ended=True)
        check(run)
        _same_calls(trace, run)

    refuse_foreign(trace)
    try:
        return execute(trace.gen_fn, trace.args if args is None else args, choose, both)
    except UninitializedParameter:
        refuse_foreign(trace, ended=True)
        raise


def _same_calls(trace: Trace, run: Run) -> None:
    """Refuse another function at the address of a call."""
    for address, frame in run.frames.items():
        before = trace._record.frame(address)
        if before is not None and not _same(before.function, frame.function):
            raise AddressConflict(
                f"the call at {show(address)} changed from {before.function.__name__} to "
                f"{frame.function.__name__}; give each function an address of its own"
            )


def _same(one: Any, other: Any) -> bool:
    """Whether two functions are equal: a model may define or clone a function in each run."""
    return one is other or (
        one.__name__ == other.__name__
        and getattr(one.body, "__code__", one.body) is getattr(other.body, "__code__", other.body)
    )
