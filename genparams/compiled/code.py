"""From a recorded gradient to the code that replays it."""

from typing import Any

from genparams.compiled.numpy_code import numpy_code
from genparams.compiled.recording import RecordedGradient
from genparams.compiled.roll import rolled
from genparams.errors import ArgumentError, nearest

BACKENDS = ("numpy", "numba")


def checked_backend(backend: str) -> str:
    """The name of a backend that can be used here.

    Raises:
        ArgumentError: there is none of that name.
        MissingExtra: it is not installed.
    """
    if backend not in BACKENDS:
        raise ArgumentError(
            f"backend is one of {BACKENDS}, got {backend!r}; {nearest(backend, BACKENDS)}"
        )
    return backend


def code_of(found: RecordedGradient, backend: str) -> Any:
    """The code of a recorded gradient, for numpy or for numba."""
    program = rolled(found.recording, [found.log_prob, *found.grads])
    return numpy_code(program)
