"""Replays: a trace's function run again on the choices of the trace."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from traceback import walk_tb
from types import TracebackType
from typing import Any

import numpy as np

from genparams.autodiff import raw, refusal, user_line
from genparams.dsl.interpreter import Call, Choose, Operands, Read, Run
from genparams.errors import (
    ArgumentError,
    ForeignParameters,
    GenParamsError,
    InvalidValue,
    MissingChoice,
    ReplayDiffers,
    TracedValueError,
    UninitializedParameter,
    UnusedConstraint,
)
from genparams.text import brief
from genparams.trace.choices import same
from genparams.trace.trace import Trace, origin_of, settle
from genparams.types import Address, show

NOT_A_FUNCTION = (
    "Without gradients it differs too: the body draws at random by itself, changes an argument in "
    "place or reads a global that changed, or an argument was changed after the run. Write draws "
    "as choices, change copies, make a new trace of new data"
)
NOT_TRACED = (
    "Without gradients it finds the same: the body changes an array in place, swallows an error in "
    "try, or asks for the type of a value, which is another one while it is differentiated"
)


def held(trace: Trace, at_run: bool = False) -> Choose:
    """The answer to what a choice is when every choice is held as the trace has it.

    Args:
        at_run: Whether the parameters are read as they were in the run, even if they have moved.
    """
    given = trace.choices._values

    def choose(address: Address, distribution: Any, operands: Operands, size: Any) -> Any:
        try:
            return given[address]
        except KeyError:
            if at_run or not trace.is_stale:
                raise ReplayDiffers(
                    trace.gen_fn.__name__, show(address), None, "visited", NOT_A_FUNCTION
                ) from None
            raise MissingChoice(
                f"at the present parameters {trace.gen_fn.__name__} visits {show(address)}, "
                "which this trace does not have; make a new trace with generate or update"
            ) from None

    return choose


def all_held(trace: Trace, at_run: bool = False) -> Callable[[Run], None]:
    """A check that a replay visits every choice of the trace."""

    def check(run: Run) -> None:
        if trace._origin is not None and not at_run:
            refuse_foreign(trace, ended=True)
        if len(run.values) == len(trace.choices):
            return
        gone = next(a for a in trace.choices if a not in run.values)
        if at_run or not trace.is_stale:
            raise ReplayDiffers(trace.gen_fn.__name__, show(gone), "visited", None, NOT_A_FUNCTION)
        raise UnusedConstraint(
            f"at the present parameters {trace.gen_fn.__name__} no longer visits {show(gone)}; "
            "make a new trace with generate or update"
        )

    return check


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
        runs: Where the run is noted before it begins, by a caller who keeps or forgets what it
            declares; else it is kept.
        at_run: As in `held`.

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
    try:
        call = Call(trace.gen_fn, args, None)
        retval = run.execute(call, all_held(trace, at_run), keep=runs is None)
    except Exception as error:
        fails_again = partial(_fails_plainly, trace, read, args, run.choose, at_run)
        clearer = _clearer(trace, error, run, fails_again)
        if clearer is error:
            raise
        raise clearer from error
    return run, retval


def _clearer(
    trace: Trace, error: Exception, run: Run, fails_again: Callable[[], bool]
) -> Exception:
    """An error of a model under differentiation; one about a traced value says where it was.

    An error is about traced values if the same run without them does not fail.
    """
    said, made = str(error), error
    if isinstance(error, UninitializedParameter) and origin_of(trace) is not None:
        return _foreign_parameter(trace, ended=True) or error
    if isinstance(error, GenParamsError) and not isinstance(error, TracedValueError):
        cause = error.__cause__  # one of Python's, which was given a hint
        if cause is None or isinstance(cause, GenParamsError):
            return error
        if not isinstance(error, (ArgumentError, InvalidValue)):
            return error
        said, made = str(cause), cause
    if not isinstance(error, TracedValueError):
        if isinstance(error, RecursionError) or fails_again():
            return error
        foreign = _foreign_arguments(trace, error)
        if foreign:
            what = f"an object of {foreign[0][1]}"
            instead = "numpy arrays: " + " or ".join(way for way, _ in foreign)
            said = str(refusal(what, instead, _line_of_the_model(error, foreign[0][1])))
        elif "array element" in said:
            instead = "np.where or np.stack"
            said = str(refusal("assignment into an array", instead, error.__traceback__))
        else:
            said = _of_plain_numbers(made)
    where = (
        f"after the choice {show(next(reversed(run.values)))}"
        if run.values
        else "before its first choice"
    )
    return TracedValueError(f"{said}, in {trace.gen_fn.__name__} {where}")


def _of_plain_numbers(error: BaseException) -> str:
    """What is said of a line that works on numbers and arrays, and failed on traced values."""
    said = re.sub(r"'?\bBox\b'?", "a traced value", str(error)).strip() or "no message"
    return (
        f"a line that ran with plain numbers fails while they are differentiated "
        f"({type(error).__name__}: {said}); write it in functions of numpy, with np.stack([...]) "
        f"in place of np.array([...]) ({user_line(error.__traceback__)})"
    )


def _fails_plainly(
    trace: Trace, read: Read, args: tuple[Any, ...], choose: Choose, at_run: bool
) -> bool:
    """Whether a replay fails without derivatives as well."""

    def plain(address: Address, distribution: Any, operands: list[Any], size: Any) -> Any:
        return mapped(raw, choose(address, distribution, operands, size))

    run = Run(plain, lambda parameter: raw(read(parameter)))
    try:
        places = trace.gen_fn.grad_places
        given = [mapped(raw, a) if i in places else a for i, a in enumerate(args)]
        call = Call(trace.gen_fn, tuple(given), None)
        run.execute(call, all_held(trace, at_run), keep=False)
    except Exception:
        return True
    finally:
        run.forget()
    return False


def mapped(f: Callable[[Any], Any], tree: Any) -> Any:
    """Tuples, lists and dictionaries with a function of each value that is in them."""
    if isinstance(tree, dict):
        return {k: mapped(f, v) for k, v in tree.items()}
    if isinstance(tree, (tuple, list)):
        parts = [mapped(f, v) for v in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return f(tree)


# --- Traces of other processes


def refuse_foreign(trace: Trace, ended: bool = False) -> None:
    """Refuse a trace of another process whose parameters are not here as they were there.

    Args:
        ended: Whether a run has read every parameter, and declared those that its body declares.
    """
    if origin_of(trace) is None:
        return
    error = _foreign_parameter(trace, ended)
    if error is not None:
        raise error
    if ended:
        settle(trace)


def _foreign_parameter(trace: Trace, ended: bool) -> ForeignParameters | None:
    origin = origin_of(trace)
    for (function, name), then in trace.parameters.items():
        store = function.params
        parameter = store[name] if name in store else None  # noqa: SIM401  # a store has no `get`
        wanted = origin.constraints.get((function, name)) if origin else None
        if parameter is None:
            now = "has no value" if ended else ""
        elif not same(parameter.value, then):
            now = f"is {brief(parameter.value)}"
        else:
            other = wanted is not None and wanted != parameter.constraint
            now = f"is constrained to be {parameter.constraint!r}, not {wanted!r}" if other else ""
        if now:
            return ForeignParameters(function.__name__, name, brief(then), now)
    return None


# --- Arguments of other packages


def _foreign_arguments(trace: Trace, error: Exception) -> list[tuple[str, str]]:
    """The arguments of other packages than numpy that an error is about.

    For each, how to make an array of it, and its package. The error is about them if it was raised
    inside their package, or if it speaks of a traced value.
    """
    names = trace.gen_fn.argument_names
    names = names + names[-1:] * (len(trace.args) - len(names))
    found = [pair for name, a in zip(names, trace.args, strict=False) for pair in _foreign(name, a)]
    if "Box" in str(error) or "traced" in str(error):
        return found
    packages = {_top(f.f_globals.get("__name__", "")) for f, _ in walk_tb(error.__traceback__)}
    packages.discard(_top(getattr(trace.gen_fn, "__module__", "")))  # the model itself
    return [(way, package) for way, package in found if package in packages]


def _foreign(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _foreign(f"{name}[{key!r}]", part)
    elif isinstance(value, (list, tuple)):
        for i, part in enumerate(value):
            yield from _foreign(f"{name}[{i}]", part)
    elif not isinstance(value, (np.ndarray, np.generic)):
        column = '["column"]' if hasattr(value, "columns") else ""
        package = _top(type(value).__module__)
        if hasattr(value, "to_numpy"):
            yield f"{name}{column}.to_numpy()", package
        elif hasattr(value, "toarray"):
            yield f"{name}.toarray()", package
        elif hasattr(value, "__array__"):
            yield f"np.asarray({name})", package


def _line_of_the_model(error: Exception, package: str) -> TracebackType | None:
    """The innermost place of a traceback that is outside a package and what it calls."""
    found, trail = None, error.__traceback__
    while trail is not None:
        module = _top(trail.tb_frame.f_globals.get("__name__", ""))
        if module == package:
            break
        if module not in ("numpy", "scipy", "genparams", "autograd"):
            found = TracebackType(None, trail.tb_frame, trail.tb_lasti, trail.tb_lineno)
        trail = trail.tb_next
    return found or error.__traceback__


def _top(module: str) -> str:
    return module.split(".")[0]
