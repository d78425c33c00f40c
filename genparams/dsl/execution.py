"""Executions that leave a trace."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from genparams.dsl.interpreter import Choose, Run
from genparams.errors import ArgumentError, InvalidValue
from genparams.params import Parameter
from genparams.trace.choices import ChoiceMap
from genparams.trace.trace import Trace
from genparams.types import Address

Rng = np.random.Generator | int | None


def drawing(rng: Rng) -> Callable[[], np.random.Generator]:
    """The generator of a run, which is seeded when a choice is drawn and not before if `rng` is
    None: seeding takes longer than a small run.
    """
    made = [] if rng is None else [np.random.default_rng(rng)]

    def generator() -> np.random.Generator:
        if not made:
            made.append(np.random.default_rng())
        return made[0]

    return generator


def natural(parameter: Parameter) -> Any:
    """The answer to what a parameter is, outside of differentiation."""
    return parameter.value


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
        raise ArgumentError(
            f"the arguments of {function.__name__} are one tuple and come first, got "
            f"{type(args).__name__}; write ({', '.join(function.argument_names)},)"
        )
    call = function.complete(args)
    run = Run(choose, natural)
    retval = run.execute(call, check)
    return Trace(
        gen_fn=function,
        args=call.args,
        retval=retval,
        choices=ChoiceMap.trusted(run.values),
        log_probs=run.log_probs,
        calls=run.calls,
        parameters={(f, p.name): p.value for p, f in run.reads.items()},
    )


def choice_values(choices: Mapping[Any, Any] | None) -> dict[Address, Any]:
    """The values of a choice map, or of a dictionary by address, by path."""
    if choices is not None and not isinstance(choices, Mapping):
        raise InvalidValue(f"choices are a dictionary by address or a ChoiceMap, got {choices!r}")
    return (choices if isinstance(choices, ChoiceMap) else ChoiceMap(choices))._values


def all_visited(given: Mapping[Address, Any]) -> Callable[[Run], None]:
    """A check that a run asked for every value that was given."""

    def check(run: Run) -> None:
        for address in given:
            if address not in run.values:
                raise run.unvisited(address)

    return check
