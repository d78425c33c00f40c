"""Programs: the operations of a recorded computation, to be simplified, rolled and written."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from genparams.program.record import Operation
from genparams.program.recorded import PARAMETERS


class Node(Operation):
    """An operation of a program, or an input, which has no operation.

    Args:
        args: Nodes, tuples with nodes in them, and constants: numbers, truth values, arrays, None,
            slices, dtypes.
        options: Keyword arguments, which are constants.
        shape, dtype: Of the result; the dtype is that of numpy, also for single numbers. A node
            whose result is a tuple has the dtype None.
        stage: What it depends on: DATA or PARAMETERS.
    """

    __slots__ = ("dtype", "options", "shape", "stage")

    def __init__(
        self,
        op: Any,
        args: tuple[Any, ...] = (),
        options: tuple[tuple[str, Any], ...] = (),
        shape: tuple[int, ...] = (),
        dtype: np.dtype | None = np.dtype(float),  # noqa: B008  # a constant
        stage: int = PARAMETERS,
        name: str = "",
    ):
        self.op, self.args, self.options, self.name = op, args, options, name
        self.shape, self.dtype, self.stage = shape, dtype, stage

    def __repr__(self) -> str:
        return f"<{getattr(self.op, '__name__', self.op)} {self.shape} {self.name}>"


@dataclass(slots=True)
class Test:
    """What a computation asked, and the answer without which the program is not its program."""

    asked: Any
    """A node, or a constant after simplification."""
    answer: Any
    """A truth value, a whole number, or an array that has to be equal."""


@dataclass(slots=True)
class Program:
    """The operations that lead from inputs to results, in the order of their computation."""

    parameters: list[Node]
    """The inputs that change at every step: coordinates of parameters."""
    data: list[Node]
    """The inputs that are bound once for many steps: float arguments and choices."""
    nodes: list[Node]
    results: list[Any]
    """Nodes and constants: the log probability, then the gradients."""
    tests: list[Test] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """One operation on single numbers in the body of a recurrence.

    Args:
        args: Each one of

            ("input", k)        argument k of the recurrence, a single number
            ("entry", k)        entry t of argument k of the recurrence, which is a vector
            ("local", j)        what statement j computes in this iteration
            ("before", j, d)    what statement j computed d iterations ago
            ("constant", c)     a number
    """

    op: Any
    args: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Recurrence:
    """A loop whose iterations need the ones before them: the `op` of a node.

    The result is a tuple of vectors, what each of the statements `kept` gave in all iterations.

    Args:
        length: The number of iterations, t = 0, 1, ...
        first: For each statement that is read d iterations later, which arguments of the node are
            its values before the first iteration, the latest last: {j: (k_-d, ..., k_-1)}.
    """

    length: int
    body: Sequence[Statement]
    first: dict[int, tuple[int, ...]]
    kept: tuple[int, ...]
