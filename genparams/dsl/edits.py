"""Trace edits: other traces near a trace, and what they weigh.

Each runs the function again, at today's parameters, and answers what a choice is from the trace's
choices and from what the edit brings.
"""

from collections.abc import Mapping
from typing import Any

from genparams.dsl.execution import Rng, all_visited, choice_values, drawing, execute
from genparams.dsl.gradients import held
from genparams.dsl.interpreter import Run
from genparams.errors import AddressConflict
from genparams.trace.choices import ChoiceMap
from genparams.trace.results import Regenerated, Updated
from genparams.trace.selection import selection_of
from genparams.trace.trace import Trace
from genparams.types import Address, show


def update(
    trace: Trace, constraints: Mapping[Any, Any] | None, args: tuple[Any, ...] | None, rng: Rng
) -> tuple[Trace, float, ChoiceMap]:
    """The work of `Trace.update`."""
    generator = drawing(rng)
    given, old = choice_values(constraints), trace.choices._values
    fresh: set[Address] = set()

    def choose(address: Address, d: Any, x: list[Any], size: Any) -> Any:
        if address in given:
            return d.coerce(given[address], x, size)
        if address in old:
            return d.coerce(old[address], x, size)
        fresh.add(address)
        return d.draw(generator(), x, size)

    visited = all_visited(given)

    def check(run: Run) -> None:
        visited(run)
        _same_calls(trace, run)

    new = execute(trace.gen_fn, trace.args if args is None else args, choose, check)
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

    def choose(address: Address, d: Any, x: list[Any], size: Any) -> Any:
        return d.coerce(kept[address], x, size) if address in kept else d.draw(generator(), x, size)

    args = trace.args if args is None else args
    new = execute(trace.gen_fn, args, choose, lambda run: _same_calls(trace, run))
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
