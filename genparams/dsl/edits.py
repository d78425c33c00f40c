"""Edits: other traces made from a trace, and their weights.

Each edit runs the function again at the present parameters, on some choices of the trace. `Trace`
documents what each returns.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from genparams.dsl.execution import Rng, answers, drawn, execute, visits
from genparams.dsl.interpreter import Choose, Operands, Run
from genparams.dsl.partial_run import Partial, partial_run
from genparams.dsl.replay import held
from genparams.errors import (
    AddressConflict,
    ConstraintError,
    ShapeError,
    UninitializedParameter,
    UnusedConstraint,
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
from genparams.trace.record import Record
from genparams.trace.results import Regenerated, Updated
from genparams.trace.selection import Selection, as_selection
from genparams.trace.trace import Trace
from genparams.types import Address, Constraint, real, show


def update(
    trace: Trace, constraints: Mapping[Any, Any] | None, args: tuple[Any, ...] | None, rng: Rng
) -> tuple[Trace, float, ChoiceMap]:
    """Run with the constraints; else with the choices of the trace; else draw."""
    draw = _drawn_once(rng)
    given, record = choice_values(constraints), trace._record
    changed = [a for a in given if record.log_prob(a) is not None]
    choose = answers(given, recorded(record, draw))
    part = None
    with suppress(UnusedConstraint):  # a run of the whole function says what it visits
        part = _partial(trace, changed, args, choose, visits(given))
    if part is None:
        return _updated(trace, given, args, choose)
    known = [lp for a, lp in part.visited.items() if a in given or record.log_prob(a) is not None]
    before = [record.log_prob(a) for a in (*part.visited, *part.gone)]
    weight = float(sum(known) - sum(lp for lp in before if lp is not None))
    gone = {a: record.value(a) for a in (*changed, *part.gone)}
    return Updated((part.trace, weight, unchecked(gone)))  # type: ignore[return-value]


def _updated(
    trace: Trace, given: Mapping[Address, Any], args: tuple[Any, ...] | None, choose: Choose
) -> tuple[Trace, float, ChoiceMap]:
    """`update` by a run of the whole function."""
    old = trace.choices._values
    new = _continued(trace, args, choose, visits(given))
    kept = sum(lp for a, lp in new.log_probs.items() if a in given or a in old)
    now = new.choices._values
    gone = {a: v for a, v in old.items() if a in given or a not in now}
    weight = float(kept - trace.log_prob)
    return Updated((new, weight, unchecked(gone)))  # type: ignore[return-value]


def regenerate(
    trace: Trace, selection: Any, args: tuple[Any, ...] | None, rng: Rng
) -> tuple[Trace, float]:
    """Run with the choices of the trace that are not selected; else draw."""
    draw, selection, record = _drawn_once(rng), as_selection(selection), trace._record
    selected = _selected(record, selection)
    if selected is not None:
        drawing = {*selected}
        kept = recorded(record, draw)

        def choose(address: Address, distribution: Any, operands: Operands, size: Any) -> Any:
            answer = draw if address in drawing else kept
            return answer(address, distribution, operands, size)

        part = _partial(trace, selected, args, choose, lambda run: None)
        if part is not None:
            each = [(lp, record.log_prob(a)) for a, lp in part.visited.items() if a not in drawing]
            weight = float(sum(now - then for now, then in each if then is not None))
            return Regenerated((part.trace, weight))  # type: ignore[return-value]
    return _regenerated(trace, selection, args, draw)


def _regenerated(
    trace: Trace, selection: Selection, args: tuple[Any, ...] | None, draw: Choose
) -> tuple[Trace, float]:
    """`regenerate` by a run of the whole function."""
    selection.check(trace.choices._values)
    kept = {a: v for a, v in trace.choices.items() if not selection.selects(a)}
    new = _continued(trace, args, answers(kept, draw), lambda run: None)
    now, then = new.log_probs, trace.log_probs
    weight = float(sum(now[a] - then[a] for a in kept if a in now))
    return Regenerated((new, weight))  # type: ignore[return-value]


def _selected(record: Record, selection: Selection) -> list[Address] | None:
    """The choices of a record that are selected by their addresses or by the address of a call."""
    found: dict[Address, None] = {}
    for address in selection.named() or ():
        if not address or (record.log_prob(address) is None and record.frame(address) is None):
            return None
        found.update(dict.fromkeys(record.below(address)[0]))
    return [*found] or None


def _drawn_once(rng: Rng) -> Choose:
    """A `Choose` that draws each choice once: a whole run after a partial one has its draws.

    Else a draw for which a partial run fails would be drawn again, and would be too rare.
    """
    draw, known = drawn(rng), {}

    def choose(address: Address, distribution: Any, operands: Operands, size: Any) -> Any:
        if address in known:
            return distribution.coerce(known[address], operands, size)
        value = known[address] = draw(address, distribution, operands, size)
        return value

    return choose


def recorded(record: Record, otherwise: Choose) -> Choose:
    """A `Choose` that gives the value in a record, and else what `otherwise` gives."""

    def choose(address: Address, distribution: Any, operands: Operands, size: Any) -> Any:
        try:
            value = record.value(address)
        except KeyError:
            return otherwise(address, distribution, operands, size)
        return distribution.coerce(value, operands, size)

    return choose


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


def _partial(
    trace: Trace,
    changed: list[Address],
    args: tuple[Any, ...] | None,
    choose: Choose,
    check: Callable[[Run], None],
) -> Partial | None:
    """A partial run of the same calls; None where the whole function is to be run."""

    def both(run: Run) -> None:
        check(run)
        _same_calls(trace, run)

    return partial_run(trace, changed, args, choose, both)


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
