"""From a recorded gradient to the code that replays it."""

import warnings
from collections.abc import Sequence
from typing import Any

from genparams.compiled.native.numba_code import numba, numba_code
from genparams.compiled.recording import RecordedGradient, without_collection
from genparams.compiled.rolling.roll import rolled
from genparams.compiled.writing.numpy_code import numpy_code
from genparams.errors import ArgumentError, CannotRecord, NotStatic, nearest
from genparams.program.recorded import Recording

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
    if backend == "numba":
        numba()
    return backend


def code_of(found: RecordedGradient, backend: str) -> Any:
    """The code of a recorded gradient, for numpy or for numba."""
    return code_for(found.recording, [found.log_prob, *found.grads], backend)


@without_collection
def code_for(recording: Recording, results: Sequence[Any], backend: str) -> Any:
    """The code that computes results of a recording, for numpy or for numba.

    Warns:
        NotStatic: numba cannot compile an operation, and numpy runs the code.
    """
    program = rolled(recording, results)
    if backend == "numba":
        try:
            return numba_code(program)
        except CannotRecord as error:
            warnings.warn(NotStatic(f"numpy runs what numba cannot compile: {error}"), stacklevel=2)
    return numpy_code(program)
