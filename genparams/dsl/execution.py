"""Executions that leave a trace."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from genparams.autodiff import Box, holds_box
from genparams.dsl.interpreter import Choose, Read, Run
from genparams.errors import ArgumentError, InvalidValue, TracedValueError
from genparams.params import Parameter
from genparams.text import brief
from genparams.trace.choices import unchecked
from genparams.trace.fingerprint import fingerprint
from genparams.trace.trace import Trace
from genparams.types import Address

Rng = np.random.Generator | int | None


def seeded(rng: Rng) -> np.random.Generator:
    """The generator of `rng`, which may be a seed.

    Raises:
        InvalidValue: it is not a generator, a seed or None.
    """
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError):
        raise InvalidValue(
            "rng is a numpy.random.Generator, a whole number of at least 0 as a seed, or None, got "
            f"{brief(rng)}; write np.random.default_rng(seed)"
        ) from None


def drawing(rng: Rng) -> Callable[[], np.random.Generator]:
    """The generator of a run, which is seeded when a choice is drawn and not before if `rng` is
    None: seeding takes longer than a small run.
    """
    made = [] if rng is None else [seeded(rng)]

    def generator() -> np.random.Generator:
        if not made:
            made.append(np.random.default_rng())
        return made[0]

    return generator


def natural(parameter: Parameter) -> Any:
    """The answer to what a parameter is, outside of differentiation."""
    return parameter.value


def recorder() -> tuple[Read, dict[Parameter, Any]]:
    """The answer to what a parameter is, the same one throughout a run; and the answers given."""
    values: dict[Parameter, Any] = {}

    def read(parameter: Parameter) -> Any:
        value = values.get(parameter)
        if value is None:
            value = values[parameter] = parameter.value
        return value

    return read, values


_NUMBERS = {float, int, bool, str, type(None), np.float64, np.int64}
_PLAIN = {float, int, bool, str, np.ndarray, type(None), np.float64, np.int64}


def refuse_masked(names: Sequence[str], args: Iterable[Any]) -> None:
    """Refuse masked arrays among arguments, whose hidden entries a model would read.

    Raises:
        InvalidValue: naming the argument.
    """
    for i, a in enumerate(args):
        if type(a) not in _PLAIN and _is_masked(a):
            name = names[min(i, len(names) - 1)]
            raise InvalidValue(
                f"argument {name} is a masked array, whose hidden entries would be read; write "
                f"{name}.compressed() for the entries that are not hidden, or {name}.filled(value)"
            )


def _is_masked(value: Any) -> bool:
    """Whether a value is a masked array or holds one."""
    if type(value) in _PLAIN:
        return False
    if isinstance(value, Mapping):
        return any(map(_is_masked, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_is_masked, value))
    return isinstance(value, np.ma.MaskedArray)


def _is_traced(value: Any) -> bool:
    """Whether a return value is traced, or holds a traced value."""
    kind = type(value)
    if kind in _NUMBERS:
        return False
    if isinstance(value, Mapping):
        return any(map(_is_traced, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_is_traced, value))
    return kind is Box or (kind is np.ndarray and value.dtype == object and holds_box(value))


def execute(
    function: Any,
    args: tuple[Any, ...],
    choose: Choose,
    check: Callable[[Run], None] | None = None,
) -> Trace:
    """Run a generative function at the root.

    Args:
        choose: The answer to what a choice is.
        check: Looks at the run when it has ended; if it raises, the run has failed.
    """
    if not isinstance(args, tuple):
        raise ArgumentError(_not_a_tuple(function, args))
    call = function.complete(args)
    refuse_masked(function.argument_names, call.args)
    prints = tuple(map(fingerprint, call.args))
    read, values = recorder()
    run = Run(choose, read)
    retval = run.execute(call, check)
    if Box in map(type, run.log_probs.values()) or _is_traced(retval):
        raise TracedValueError(
            f"a run of {function.__name__} without gradients found a value that is being "
            "differentiated; pass numbers to it, and compute what depends on a parameter anew in "
            "each run instead of keeping it in a global, a cache or an object"
        )
    return Trace(
        gen_fn=function,
        args=call.args,
        retval=retval,
        choices=unchecked(run.values),
        log_probs=run.log_probs,
        calls=run.calls,
        parameters={(f, p.name): values[p] for p, f in run.reads.items()},
        _prints=prints,
    )


def _not_a_tuple(function: Any, args: Any) -> str:
    names = ", ".join(function.argument_names)
    write = f"({names},)" if len(function.argument_names) == 1 else f"({names})"
    swapped = (
        "; choices come after them in generate(args, constraints) and assess(args, choices), and "
        "before them in trace.update(constraints, args)"
        if isinstance(args, Mapping)
        else ""
    )
    return (
        f"the arguments of {function.__name__} are one tuple and come first, got "
        f"{type(args).__name__}; write {write}{swapped}"
    )


def all_fit(given: Mapping[Address, Any]) -> Callable[[Run], None]:
    """A check that what was given and never asked for could be asked for by another run."""

    def check(run: Run) -> None:
        for address in given:
            if address not in run.values and run.leaves_no_room(address):
                raise run.unvisited(address)

    return check


def all_visited(given: Mapping[Address, Any]) -> Callable[[Run], None]:
    """A check that a run asked for every value that was given."""

    def check(run: Run) -> None:
        for address in given:
            if address not in run.values:
                raise run.unvisited(address)

    return check
