"""Errors of replays, explained: a model that runs with numbers may fail while it is differentiated.

numpy, Python and other packages report such a failure in terms of their own. The error that leaves
the library says which line it was, after which choice, and what to write instead.
"""

import re
from collections.abc import Callable, Iterator
from traceback import walk_tb
from types import TracebackType
from typing import Any

import numpy as np

from genparams.autodiff import refusal, user_line
from genparams.dsl.interpreter import Run
from genparams.errors import ArgumentError, GenParamsError, InvalidValue, TracedValueError
from genparams.structure import indexed, paths
from genparams.trace.trace import Trace
from genparams.types import show


def explained_error(
    trace: Trace, error: Exception, run: Run, fails_plainly: Callable[[], bool]
) -> Exception:
    """The error to raise for an error of a replay: the same one, or one that explains it.

    It is not about traced values if the replay fails plainly too, without derivatives.
    """
    cause = _cause(error)
    if cause is None:
        return error
    message = str(error)
    if not isinstance(error, TracedValueError):
        if fails_plainly():
            return error
        message = _about_traced_values(trace, error, cause)
    last = next(reversed(run.values), None)
    where = "before its first choice" if last is None else f"after the choice {show(last)}"
    return TracedValueError(f"{message}, in {trace.gen_fn.__name__} {where}")


def _cause(error: Exception) -> BaseException | None:
    """The error that may be about a traced value: itself, or what it adds a hint to; else None."""
    if isinstance(error, RecursionError):
        return None
    if isinstance(error, TracedValueError) or not isinstance(error, GenParamsError):
        return error
    cause = error.__cause__
    is_hint = isinstance(error, (ArgumentError, InvalidValue))
    return cause if is_hint and not isinstance(cause, GenParamsError) else None


def _about_traced_values(trace: Trace, error: Exception, cause: BaseException) -> str:
    """What to say of an error that a run without derivatives does not raise."""
    foreign = _foreign_arguments(trace, error)
    if foreign:
        package = foreign[0][1]
        instead = "numpy arrays: " + " or ".join(way for way, _ in foreign)
        line = _line_outside(error, package)
        return str(refusal(f"an object of {package}", instead, line))
    if "array element" in str(cause):
        instead = "np.where or np.stack"
        return str(refusal("assignment into an array", instead, error.__traceback__))
    found = re.sub(r"'?\bBox\b'?", "a traced value", str(cause)).strip() or "no message"
    return (
        f"a line that ran with plain numbers fails while they are differentiated "
        f"({type(cause).__name__}: {found}); write it in functions of numpy, with "
        f"np.stack([...]) in place of np.array([...]) ({user_line(cause.__traceback__)})"
    )


# --- Arguments of other packages


def _foreign_arguments(trace: Trace, error: Exception) -> list[tuple[str, str]]:
    """The arguments that an error is about: how to make an array of each, and its package.

    It was raised inside their package, or speaks of a traced value.
    """
    names = trace.gen_fn.argument_names
    names = names + names[-1:] * (len(trace.args) - len(names))
    found = [pair for name, a in zip(names, trace.args, strict=False) for pair in _foreign(name, a)]
    if "Box" in str(error) or "traced" in str(error):
        return found
    packages = {_package(frame) for frame, _ in walk_tb(error.__traceback__)}
    packages.discard(_top(getattr(trace.gen_fn, "__module__", "")))  # the model itself
    return [(way, package) for way, package in found if package in packages]


def _foreign(name: str, argument: Any) -> Iterator[tuple[str, str]]:
    for path, value in paths(argument):
        if isinstance(value, (np.ndarray, np.generic)):
            continue
        at, package = name + indexed(path), _top(type(value).__module__)
        column = '["column"]' if hasattr(value, "columns") else ""
        if hasattr(value, "to_numpy"):
            yield f"{at}{column}.to_numpy()", package
        elif hasattr(value, "toarray"):
            yield f"{at}.toarray()", package
        elif hasattr(value, "__array__"):
            yield f"np.asarray({at})", package


def _line_outside(error: Exception, package: str) -> TracebackType | None:
    """The innermost line of a traceback before the first call into a package."""
    found, trail = None, error.__traceback__
    while trail is not None and _package(trail.tb_frame) != package:
        if _package(trail.tb_frame) not in ("numpy", "scipy", "genparams", "autograd"):
            found = TracebackType(None, trail.tb_frame, trail.tb_lasti, trail.tb_lineno)
        trail = trail.tb_next
    return found or error.__traceback__


def _package(frame: Any) -> str:
    return _top(frame.f_globals.get("__name__", ""))


def _top(module: str) -> str:
    return module.split(".")[0]
