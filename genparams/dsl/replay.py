"""Replays: a trace's function run again on the choices of the trace."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from genparams.autodiff import raw
from genparams.dsl.call import Call
from genparams.dsl.interpreter import Choose, Operands, Read, Run
from genparams.dsl.replay_errors import explained_error
from genparams.errors import (
    GenParamsError,
    MissingChoice,
    ReplayDiffers,
    UninitializedParameter,
    UnusedConstraint,
)
from genparams.params import Parameter
from genparams.structure import map_leaves
from genparams.trace.origin import refuse_foreign
from genparams.trace.trace import Trace
from genparams.types import Address, show

NOT_A_FUNCTION = (
    "Without gradients it differs too: the body draws at random by itself, changes an argument in "
    "place or reads a global that changed, or an argument was changed after the run. Write draws "
    "as choices, change copies, make a new trace of new data"
)


def replay(
    trace: Trace,
    read: Read,
    args: tuple[Any, ...],
    choose: Choose | None = None,
    runs: list[Run] | None = None,
    at_run: bool = False,
) -> tuple[Run, Any]:
    """Run a trace's function again, its choices held unless `choose` answers otherwise.

    Args:
        runs: A list to which the run is appended before it begins; the caller then keeps or forgets
            the parameters that the run declares. None keeps them.
        at_run: Whether `read` gives the values of the trace's run. A trace of any process is then
            accepted, and other choices than the trace has are always `ReplayDiffers`.

    Raises:
        MissingChoice, UnusedConstraint: under these parameters the function makes other choices
            than the trace has.
        ReplayDiffers: it does so under the parameters of the trace's run.
        ForeignParameters: the trace comes from a process where parameters had other values.
    """
    if trace._origin is not None and not at_run:
        refuse_foreign(trace)
    run = Run(choose or held(trace, at_run), read)
    if runs is not None:
        runs.append(run)
    call, check = Call(trace.gen_fn, args, None), all_held(trace, at_run)
    try:
        return run, run.execute(call, check, keep=runs is None)
    except UninitializedParameter:
        refuse_foreign(trace, ended=True)
        raise
    except Exception as error:
        explained = explained_error(trace, error, run, lambda: _fails_plainly(run, call, check))
        if explained is error:
            raise
        raise explained from error


def replay_aside(
    trace: Trace, read: Read, args: tuple[Any, ...] | None = None, choose: Choose | None = None
) -> tuple[Run, Any]:
    """A replay that keeps no parameter that it declares, and accepts a trace of any process."""
    runs: list[Run] = []
    try:
        return replay(trace, read, trace.args if args is None else args, choose, runs, at_run=True)
    finally:
        for run in runs:
            run.forget()


def distribution_at(
    trace: Trace, address: Address, values: dict[Parameter, Any]
) -> tuple[Any, Operands] | None:
    """The distribution of a choice and its arguments, at these values; None if not visited."""
    found: list[tuple[Any, Operands]] = []

    def choose(at: Address, distribution: Any, operands: Operands, size: Any) -> Any:
        if at == address:
            found.append((distribution, [raw(x) for x in operands]))
        return trace.choices._values[at]

    with suppress(LookupError, GenParamsError):  # it makes other choices than the trace has
        replay_aside(trace, lambda p: raw(values.get(p, p.value)), choose=choose)
    return found[0] if found else None


def as_in_run(trace: Trace) -> Read:
    """A `Read` that gives the values that the run of a trace read, and else the present ones."""
    values = {(f.params, name): value for (f, name), value in trace.parameters.items()}

    def read(parameter: Parameter) -> Any:
        return values.get((parameter.store, parameter.name), parameter.value)

    return read


def held(trace: Trace, at_run: bool = False) -> Choose:
    """A `Choose` that holds every choice at its value in the trace."""
    given = trace.choices._values

    def choose(address: Address, distribution: Any, operands: Operands, size: Any) -> Any:
        try:
            return given[address]
        except KeyError:
            raise _other_choices(trace, address, at_run, visited="replay") from None

    return choose


def all_held(trace: Trace, at_run: bool = False) -> Callable[[Run], None]:
    """A check that a replay visits every choice of the trace."""

    def check(run: Run) -> None:
        if trace._origin is not None and not at_run:
            refuse_foreign(trace, ended=True)
        if len(run.values) != len(trace.choices):
            gone = next(a for a in trace.choices if a not in run.values)
            raise _other_choices(trace, gone, at_run, visited="run")

    return check


def _other_choices(trace: Trace, address: Address, at_run: bool, visited: str) -> Exception:
    """The error for a choice that only the run or only the replay visits."""
    name, at, new = trace.gen_fn.__name__, show(address), visited == "replay"
    if at_run or not trace.is_stale:
        then, now = (None, "visited") if new else ("visited", None)
        return ReplayDiffers(name, at, then, now, NOT_A_FUNCTION)
    said = f"visits {at}, which this trace does not have" if new else f"no longer visits {at}"
    kind = MissingChoice if new else UnusedConstraint
    return kind(
        f"at the present parameters {name} {said}; make a new trace with generate or update"
    )


def _fails_plainly(failed: Run, call: Call[Any], check: Callable[[Run], None]) -> bool:
    """Whether a replay that failed fails without derivatives as well."""

    def choose(address: Address, distribution: Any, operands: Operands, size: Any) -> Any:
        return map_leaves(raw, failed.choose(address, distribution, operands, size))

    run = Run(choose, lambda parameter: raw(failed.read(parameter)))
    places = call.fn.grad_places
    args = [map_leaves(raw, a) if i in places else a for i, a in enumerate(call.args)]
    try:
        run.execute(Call(call.fn, tuple(args), None), check, keep=False)
    except Exception:
        return True
    finally:
        run.forget()
    return False
