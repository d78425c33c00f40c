"""What a program looks like: its text, its size, its inputs and its tests."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from genparams.compiled.code import checked_backend, code_of
from genparams.compiled.recording import Open, record_gradient
from genparams.errors import CannotRecord
from genparams.program.recorded import PARAMETERS, Recorded
from genparams.program.write import template
from genparams.text import counted
from genparams.trace.trace import Trace

DEPTH = 3
"""How many operations deep a test is shown."""


@dataclass(frozen=True, slots=True, eq=False)
class StaticProgram:
    """The straight-line code of a static function's gradient; `print` shows its text."""

    name: str
    """The name of the function."""
    backend: str
    text: str
    """The code, in Python: `bind` computes what depends on data alone, and `step` the log
    probability and the gradients by the unconstrained coordinates of the parameters."""
    operations: int
    """How many operations were recorded: those of the run, and of the way back."""
    size: int
    """How many of them are left in the code: each once, and loops as operations on arrays."""
    inputs: dict[str, tuple[int, ...]]
    """The shapes of the inputs, by the names of parameters and arguments, and addresses."""
    tests: list[str]
    """What the run asked about numbers, with the answers. A gradient with another answer is
    interpreted."""

    def __str__(self) -> str:
        each = _few(self.inputs)
        inputs = ", ".join(f"{name}{list(shape) if shape else ''}" for name, shape in each)
        heading = [
            f"# {self.name}, for {self.backend}: {counted(self.operations, 'operation')} recorded, "
            f"{self.size} left",
            f"# inputs: {inputs}",
            *(f"# test: {test}" for test in self.tests[:8]),
            *([f"# and {len(self.tests) - 8} more tests"] if len(self.tests) > 8 else []),
        ]
        return "\n".join([*heading, "", self.text.rstrip()])

    def __repr__(self) -> str:
        count = counted(self.size, "operation")
        return f"<program of {self.name}: {count}, {counted(len(self.inputs), 'input')}>"


def _few(inputs: dict[str, tuple[int, ...]]) -> list[tuple[str, tuple[int, ...]]]:
    found = list(inputs.items())
    return found if len(found) <= 12 else [*found[:11], ("...", ())]


def program_of(trace: Trace, backend: str) -> StaticProgram:
    """The program that a static function replays for the gradient of a trace.

    Raises:
        CannotRecord: it cannot be recorded.
        ArgumentError, MissingExtra: there is no such backend here.
    """
    checked_backend(backend)
    refusal: Exception | None = None
    for opened in sorted(Open, reverse=True):
        try:
            found = record_gradient(trace, opened)
            code = code_of(found, backend)
        except CannotRecord as error:
            refusal = refusal or error
            continue
        recording = found.recording
        return StaticProgram(
            trace.gen_fn.__name__,
            backend,
            code.text,
            len(recording.operations) - len(recording.inputs),
            code.size,
            {one.name: one.shape for one in recording.inputs},
            [_test(asked, answer) for asked, answer in recording.tests.items()],
        )
    assert refusal is not None
    raise refusal


# --- Tests in words


def _test(asked: Recorded, answer: Any) -> str:
    said = _expression(asked, DEPTH)
    if isinstance(answer, bool):
        return said if answer else f"not ({said})"
    if isinstance(answer, np.ndarray):
        return f"{said} has the entries of the recording"
    return f"{said} == {answer!r}"


def _expression(value: Any, depth: int) -> str:
    if not isinstance(value, Recorded):
        return f"{value:.6g}" if isinstance(value, float) else _constant(value)
    if value.op is None:
        return value.name
    if not depth:
        return "..." if value.stage == PARAMETERS else "data"
    args = [_expression(a, depth - 1) for a in value.args]
    form = template(value.op)
    if form is not None and len(args) <= 2:
        return form.format(*args) if depth == DEPTH else f"({form.format(*args)})"
    return f"{getattr(value.op, '__name__', value.op)}({', '.join(args)})"


def _constant(value: Any) -> str:
    return f"array{list(np.shape(value))}" if np.ndim(value) else repr(value)
