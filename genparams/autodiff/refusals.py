"""The error for a use of a value that would lose its derivative, with the user's own line in it."""

import linecache
import sys
import traceback
from types import FrameType, TracebackType

from genparams.errors import TracedValueError

_OURS = {"genparams", "numpy", "scipy", "autograd", *sys.stdlib_module_names}

_refused: list[object] = [None]


def last_refusal() -> object:
    """A new object for each refusal, so that a caller knows of a refusal that was caught."""
    return _refused[0]


def refusal(what: str, instead: str, trail: TracebackType | None = None) -> TracedValueError:
    """The error for a use that would lose the derivative, with the user's own line in it.

    The line is from the innermost frame of the user in a traceback, or in the current calls if no
    traceback is given.
    """
    _refused[0] = object()
    return TracedValueError(
        f"{what} cannot take a value that is being differentiated; write {instead} "
        f"({user_line(trail)})"
    )


def user_line(trail: TracebackType | None = None) -> str:
    """The innermost line outside this package, numpy, scipy, autograd and Python's own library."""
    if trail is None:
        steps = list(traceback.walk_stack(sys._getframe(1)))
    else:
        steps = [*traceback.walk_tb(trail)][::-1]
    theirs = [step for step in steps if _package(step[0]) not in _OURS]
    frame, number = (theirs or steps)[0]
    file = frame.f_code.co_filename
    line = linecache.getline(file, number).strip()
    return f"line {number} of {file}" + (f": {line}" if line else "")


def _package(frame: FrameType) -> str:
    return frame.f_globals.get("__name__", "").split(".")[0]
