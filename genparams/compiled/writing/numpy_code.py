"""Programs as Python functions that call numpy.

`bind(*data)` computes what depends on no parameter, and makes the buffers; `step(*theta, bound)` is
one evaluation. Both return None where a test has another answer than the one recorded. Arithmetic
on single numbers may raise, as Python's does; the program has no value then.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from genparams.compiled.algebra.ir import Program
from genparams.compiled.writing.writer import Writer


@dataclass(frozen=True, slots=True, eq=False)
class Code:
    """A program as text and as functions."""

    text: str
    size: int
    """How many operations it has."""
    bind: Callable[..., tuple[Any, ...] | None]
    """What a step needs of data: one thread may use it at a time, because it holds buffers."""
    step: Callable[..., tuple[Any, ...] | None]


def numpy_code(program: Program) -> Code:
    """The code of a program."""
    writer = Writer(program)
    text = "\n".join([*writer.function_lines(), ""])
    space = writer.names.space
    exec(compile(text, "<program>", "exec"), space)  # made here, of names, numbers and operators
    return Code(text, len(program.nodes), space["bind"], space["step"])
