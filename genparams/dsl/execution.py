"""Runs that leave a trace, and the answers that they are given."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np

from genparams.autodiff import Box, holds_box
from genparams.dsl.explanations import unvisited
from genparams.dsl.interpreter import Choose, Operands, Read, Run
from genparams.errors import ArgumentError, InvalidValue, TracedValueError
from genparams.params import Parameter, ParamStore
from genparams.structure import ATOMS, leaves
from genparams.text import brief
from genparams.trace.record import MOMENTS, Record, frame_of
from genparams.trace.trace import Trace
from genparams.types import Address

T = TypeVar("T")
Rng = np.random.Generator | int | None


def seeded(rng: Rng) -> np.random.Generator:
    """The generator of `rng`, which may be a seed."""
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError):
        raise InvalidValue(
            "rng is a numpy.random.Generator, a whole number of at least 0 as a seed, or None, got "
            f"{brief(rng)}; write np.random.default_rng(seed)"
        ) from None


def drawn(rng: Rng) -> Choose:
    """A `Choose` that draws every choice.

    For None a generator is made at the first draw: to make one takes longer than a small run.
    """
    generator = None if rng is None else seeded(rng)

    def choose(address: Address, distribution: Any, operands: Operands, size: Any) -> Any:
        nonlocal generator
        if generator is None:
            generator = np.random.default_rng()
        return distribution.draw(generator, operands, size)

    return choose


def answers(given: Mapping[Address, Any], otherwise: Choose) -> Choose:
    """A `Choose` that gives the value in `given`, and else what `otherwise` gives."""

    def choose(address: Address, distribution: Any, operands: Operands, size: Any) -> Any:
        if address in given:
            return distribution.coerce(given[address], operands, size)
        return otherwise(address, distribution, operands, size)

    return choose


def visits(given: Iterable[Address], strict: bool = True) -> Callable[[Run], None]:
    """A check that a run visited the given addresses or, if not strict, might have."""

    def check(run: Run) -> None:
        for address in given:
            if address not in run.values and (strict or run.leaves_no_room(address)):
                raise unvisited(run, address)

    return check


def natural(parameter: Parameter) -> Any:
    """A `Read` that gives the value of each parameter."""
    return parameter.value


def by_place(given: Mapping[Parameter, T]) -> dict[tuple[ParamStore, str], T]:
    """Things by the store and the name of a parameter, which `init_param` makes anew."""
    return {(p.store, p.name): thing for p, thing in given.items()}


def recorder(
    given: Mapping[Parameter, Any] = MappingProxyType({}),
) -> tuple[Read, dict[Parameter, Any]]:
    """A `Read` that gives each parameter one value throughout a run, and the values it gave.

    Args:
        given: The values of some parameters, in place of their present ones.
    """
    values: dict[Parameter, Any] = {}
    fixed = by_place(given) if given else {}

    def read(parameter: Parameter) -> Any:
        value = values.get(parameter)
        if value is None and fixed:
            value = values[parameter] = fixed.get((parameter.store, parameter.name))
        if value is None:
            value = values[parameter] = parameter.value
        return value

    return read, values


def refuse_masked(names: Sequence[str], args: Iterable[Any]) -> None:
    """Refuse masked arrays among arguments: a model would read the hidden entries."""
    for i, a in enumerate(args):
        if type(a) in ATOMS:
            continue
        if any(issubclass(kind, np.ma.MaskedArray) for kind in {*map(type, leaves(a))}):
            name = names[min(i, len(names) - 1)]
            raise InvalidValue(
                f"argument {name} is a masked array, whose hidden entries would be read; write "
                f"{name}.compressed() for the entries that are not hidden, or {name}.filled(value)"
            )


_FEW = 4096
"""An array of at most so many numbers is compared whole, a larger one at 2000 to 3100 places."""


def fingerprint(value: Any) -> Any:
    """The numbers in an argument, or some of them; None for what is not compared."""
    if type(value) is np.ndarray:
        if value.dtype == object:
            return None
        if value.size <= _FEW:
            return value.tobytes()
        return value.flat[:: value.size // (_FEW // 2)].tobytes()
    if type(value) in (list, tuple):
        return [fingerprint(v) for v in value[:: 1 + len(value) // _FEW]]
    if type(value) is dict:
        return {k: fingerprint(v) for k, v in value.items()}
    return value if type(value) in (float, int, str, bool) else None


def _is_traced(retval: Any) -> bool:
    """Whether a return value has a leaf that is being differentiated."""
    if type(retval) is float:
        return False
    found = leaves(retval)
    kinds = {*map(type, found)}
    if np.ndarray in kinds:
        arrays = (leaf for leaf in found if type(leaf) is np.ndarray)
        return Box in kinds or any(a.dtype == object and holds_box(a) for a in arrays)
    return Box in kinds


def execute(
    function: Any,
    args: tuple[Any, ...],
    choose: Choose,
    check: Callable[[Run], None] | None = None,
    given: Mapping[Parameter, Any] = MappingProxyType({}),
) -> Trace:
    """Run a generative function at the root; if `check` raises, the run has failed.

    Args:
        given: The values of some parameters, in place of their present ones.
    """
    if not isinstance(args, tuple):
        raise ArgumentError(_not_a_tuple(function, args))
    call = function.complete(args)
    refuse_masked(function.argument_names, call.args)
    prints = tuple(map(fingerprint, call.args))
    read, values = recorder(given)
    run, born = Run(choose, read), next(MOMENTS)
    retval = run.execute(call, check)
    refuse_traced(function, run.log_probs, [retval])
    resumable = getattr(function, "resume", None) is not None
    root = frame_of(function, retval if resumable else None, call.args, None, run.parts)
    return Trace(
        gen_fn=function,
        args=call.args,
        retval=retval,
        parameters={(f, p.name): values[p] for p, f in run.reads.items()},
        _record=Record(run.values, run.log_probs, run.frames, root, born=born),
        _prints=prints,
    )


def refuse_traced(function: Any, log_probs: Mapping[Address, Any], results: Sequence[Any]) -> None:
    """Refuse a run without gradients that found values which are being differentiated."""
    if Box in map(type, log_probs.values()) or any(map(_is_traced, results)):
        raise TracedValueError(
            f"a run of {function.__name__} without gradients found a value that is being "
            "differentiated; pass numbers to it, and compute what depends on a parameter "
            "in each run instead of keeping it in a global, a cache or an object"
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
