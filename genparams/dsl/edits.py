"""Trace edits: other traces near a trace, and what they weigh.

Each runs the function again, at the present parameters, and takes the choices from the trace and
from what the edit brings.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from genparams.dsl.execution import Rng, all_visited, choice_values, drawing, execute
from genparams.dsl.interpreter import Choose, Operands, Run
from genparams.dsl.replay import held, refuse_foreign
from genparams.errors import (
    AddressConflict,
    ConstraintError,
    ShapeError,
    UninitializedParameter,
)
from genparams.params import Parameter, lock
from genparams.trace.choices import ChoiceMap, same
from genparams.trace.results import Regenerated, Updated
from genparams.trace.selection import selection_of
from genparams.trace.trace import Trace, origin_of, settle
from genparams.types import Address, real, show


def update(
    trace: Trace, constraints: Mapping[Any, Any] | None, args: tuple[Any, ...] | None, rng: Rng
) -> tuple[Trace, float, ChoiceMap]:
    """The work of `Trace.update`."""
    generator = drawing(rng)
    given, old = choice_values(constraints), trace.choices._values
    fresh: set[Address] = set()

    def choose(address: Address, d: Any, x: Operands, size: Any) -> Any:
        if address in given:
            return d.coerce(given[address], x, size)
        if address in old:
            return d.coerce(old[address], x, size)
        fresh.add(address)
        return d.draw(generator(), x, size)

    new = _continued(trace, args, choose, all_visited(given))
    kept = sum(lp for address, lp in new.log_probs.items() if address not in fresh)
    gone = {a: v for a, v in old.items() if a in given or a not in new.choices._values}
    weight = float(kept - trace.log_prob)
    return Updated((new, weight, ChoiceMap.trusted(gone)))  # type: ignore[return-value]


def regenerate(
    trace: Trace, selection: Any, args: tuple[Any, ...] | None, rng: Rng
) -> tuple[Trace, float]:
    """The work of `Trace.regenerate`."""
    generator = drawing(rng)
    selection = selection_of(selection, trace.choices._values)
    kept = {a: v for a, v in trace.choices.items() if a not in selection}

    def choose(address: Address, d: Any, x: Operands, size: Any) -> Any:
        return d.coerce(kept[address], x, size) if address in kept else d.draw(generator(), x, size)

    new = _continued(trace, args, choose, lambda run: None)
    both = [address for address in kept if address in new.log_probs]
    weight = float(sum(new.log_probs[a] - trace.log_probs[a] for a in both))
    return Regenerated((new, weight))  # type: ignore[return-value]


def project(trace: Trace, selection: Any) -> float:
    """The work of `Trace.project`."""
    selection = selection_of(selection, trace.choices._values)
    return float(sum(lp for address, lp in trace.log_probs.items() if address in selection))


def rescored(trace: Trace) -> Trace:
    """The work of `Trace.rescored`."""
    return execute(trace.gen_fn, trace.args, held(trace), all_visited(trace.choices._values))


def restore_parameters(trace: Trace) -> None:
    """The work of `Trace.restore_parameters`."""
    origin = origin_of(trace)
    with lock:
        there = {(f, name): f.params[name] for f, name in trace.parameters if name in f.params}
        constraints = {key: parameter.constraint for key, parameter in there.items()}
        for key, wanted in (origin.constraints if origin else {}).items():
            if constraints.setdefault(key, wanted) != wanted:
                raise ConstraintError(
                    f"parameter {key[1]!r} of {key[0].__name__} is {constraints[key]!r} here and "
                    f"was {wanted!r} in the run of the trace"
                )
        values = {key: v for key, v in trace.parameters.items() if not _has(there.get(key), v)}
        fresh = {
            key: Parameter(key[1], value, constraints.get(key, real), key[0].params)
            for key, value in values.items()
        }
        for key, parameter in fresh.items():
            if key in there and parameter.shape != there[key].shape:
                raise ShapeError(
                    f"parameter {key[1]!r} of {key[0].__name__} has shape "
                    f"{np.shape(there[key].value)} here and {np.shape(values[key])} in the trace"
                )
        for key, value in values.items():
            if key in there:
                there[key].set(value)
            else:
                key[0].params.init(key[1], value, constraints.get(key, real))
    settle(trace)


def _has(parameter: Parameter | None, value: Any) -> bool:
    return parameter is not None and same(parameter.value, value)


def _continued(
    trace: Trace, args: tuple[Any, ...] | None, choose: Choose, check: Callable[[Run], None]
) -> Trace:
    """The trace of a run that continues another one, with its calls and its parameters."""

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
    """Refuse another function at the address of a call: its choices continue nothing."""
    for address, (function, _) in run.calls.items():
        if address in trace.calls and not _same(trace.calls[address][0], function):
            raise AddressConflict(
                f"the call at {show(address)} changed from {trace.calls[address][0].__name__} to "
                f"{function.__name__}; give each function an address of its own"
            )


def _same(one: Any, other: Any) -> bool:
    """Whether two functions are one: a model may define or clone a function anew in each run."""
    return one is other or (
        one.__name__ == other.__name__
        and getattr(one.body, "__code__", one.body) is getattr(other.body, "__code__", other.body)
    )
