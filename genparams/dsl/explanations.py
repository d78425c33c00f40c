"""The errors of a run: what a model did, and what to write instead."""

import sys
from collections.abc import Mapping
from types import CodeType
from typing import TYPE_CHECKING, Any

from genparams.dsl.call import Call
from genparams.errors import (
    AddressConflict,
    ArgumentError,
    DeepRecursion,
    GenParamsError,
    InvalidValue,
    UnaddressedAttribute,
    UnaddressedChoice,
    UnusedConstraint,
    nearest,
)
from genparams.structure import leaves
from genparams.types import Address, show

if TYPE_CHECKING:
    from genparams.dsl.interpreter import Run


# --- Addresses


def visited_twice(run: "Run", address: Address) -> AddressConflict:
    is_prefix = address not in run.values and address not in run.frames
    return AddressConflict(
        f"{_name(run)} visited {show(address)} twice"
        f"{'; other choices are nested under it' if is_prefix else ''}; give each choice its own "
        "address"
    )


def visited_under(run: "Run", address: Address, prefix: Address) -> AddressConflict:
    kind = "choice" if prefix in run.values else "call"
    return AddressConflict(
        f"{_name(run)} visited {show(address)}, nested under the {kind} at {show(prefix)}"
    )


def _name(run: "Run") -> str:
    return run.function.__name__ if run.function else "a run"


def unvisited(run: "Run", address: Address) -> UnusedConstraint:
    """The error for a value that was given for an address which the run did not visit."""
    hint = _hint_for_unvisited(run, address)
    return UnusedConstraint(f"{run.root.__name__} never visited {show(address)}; {hint}")


def _hint_for_unvisited(run: "Run", address: Address) -> str:
    at, rows = show(address), _rows(run.values, address)
    if address in run.frames:
        return f"{at} is a call; give values for the choices nested under it{rows}"
    if address in run.branches:
        nested = next(a for a in run.values if a[: len(address)] == address)
        return f"choices such as {show(nested)} are nested under it; write {{{at}: {{...}}}}{rows}"
    if rows:
        return f"it is visited once for each call{rows}"
    for n in range(1, len(address)):
        if address[:n] in run.values:
            above = show(address[:n])
            return f"{above} is a choice and has one value; write {{{above}: value}}"
    if run.values:
        return nearest(at, map(show, run.values))
    return "it made no choices"


def _rows(values: Mapping[Address, Any], address: Address) -> str:
    """How to give an array to the choices that `map_` or `unfold` visits once for each call."""
    words = [k for k in address if type(k) is not int]
    for a in values:
        numbers = [i for i, k in enumerate(a) if type(k) is int]
        at = numbers[0] if numbers else 0
        if numbers and ([k for k in a if type(k) is not int] == words or a[:at] == address):
            rows = f"ChoiceMap.rows({{{show(a[at + 1 :])}: array}})"
            return f"; for one array write {f'{{{show(a[:at])}: {rows}}}' if at else rows}"
    return ""


# --- Calls


def error_of_choice(
    distribution: Any, args: tuple[Any, ...], address: Address, error: TypeError
) -> TypeError:
    """A clearer error for a choice that failed, or `error` itself."""
    for name, a in zip(distribution.arguments, args, strict=False):
        if isinstance(a, Call):
            return UnaddressedChoice(
                f'{name} of {distribution.__name__} is {a!r}; write {a!r} @ "name"'
            )
    if type(error) is ArgumentError:
        return ArgumentError(f"at {show(address)}: {error}")
    return error


def error_of_body(
    function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception
) -> Exception:
    """A clearer error for a body that failed, or `error` itself."""
    if isinstance(error, GenParamsError):
        return error
    if isinstance(error, AttributeError):
        call, name = error.obj, error.name
        if type(call) is not Call:
            return error
        return UnaddressedAttribute(
            f'{call!r} was asked for .{name} before it was run; write ({call!r} @ "name").{name}'
        )
    wrong = function.wrong_arguments(args, kwargs) if type(error) is TypeError else None
    if wrong is not None:
        return wrong
    hint = next((hint for part, hint in _HINTS.items() if part in str(error)), None)
    if hint is None:
        return error
    kind = ArgumentError if isinstance(error, TypeError) else InvalidValue
    return kind(f"{function.__name__}: {error}; {hint}")


_HINTS = {
    "operand type(s) for @": 'what is before @ must be a call, as in normal(mu, std) @ "name"',
    "ufunc 'matmul' did not contain a loop": (
        'what is before @ must be a call, as in normal(mu, std) @ "name"'
    ),
    "cannot be interpreted as an integer": (
        "parameters and real choices are floats; take a count or an index from an argument"
    ),
    "multiply sequence by non-int of type 'float'": "write np.array([...]) for the list",
    "assignment destination is read-only": (
        "values of parameters, choices and data are not changed; write np.where, or np.stack([...])"
    ),
    "truth value of an array": (
        "a condition takes one number; write np.where(condition, a, b) for one of each entry"
    ),
    "param() ": 'write param("name"), or param("name", value, constraint=positive)',
}
"""What to write instead, by a part of the error that Python or numpy raises."""


def refuse_calls(function: Any, retval: Any) -> None:
    """Refuse a return value that has a call in it which was not run."""
    found = leaves(retval)
    if Call in map(type, found):
        call = next(leaf for leaf in found if type(leaf) is Call)
        raise UnaddressedChoice(
            f'{function.__name__} returned {call!r} without running it; write {call!r} @ "name"'
        )


def too_deep(error: RecursionError, nested: CodeType) -> RecursionError:
    """A clearer error for functions that call themselves too deeply, or `error` itself.

    Args:
        nested: The code that runs each body.
    """
    frames, names, trail = 0, [], error.__traceback__
    while trail is not None:
        frames += 1
        if trail.tb_frame.f_code is nested:
            names.append(trail.tb_frame.f_locals["function"].__name__)
        trail = trail.tb_next
    if len(names) * 12 < frames:
        return error  # a function of Python calls itself
    return DeepRecursion(names[-1], len(names), sys.getrecursionlimit())
