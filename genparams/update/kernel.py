"""A kernel: elementwise formulas that run one after the other, written as code.

Code is written for single numbers, for blocks of arrays, and for one loop that numba compiles. No
code writes to its inputs. What depends on constants alone is computed once in each step.
"""

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from itertools import islice
from typing import Any

import numpy as np

from genparams.errors import UpdateError
from genparams.params import Parameter
from genparams.program.record import Symbol, program
from genparams.program.write import array_lines, function, indented, number_lines, row, text
from genparams.update.formula import Elementwise


def constants_of(formulas: Sequence[Elementwise], tag: str = "") -> list[Symbol]:
    """Symbols of the constants of a step.

    Args:
        tag: How their names end.
    """
    counts = [len(one.constants_at(1, one.shared or {})) for one in formulas]
    return [Symbol(f"c{i}{tag}", constant=True) for i in range(sum(counts))]


def applied(
    formulas: Sequence[Elementwise],
    g: Symbol,
    theta: Symbol,
    constants: Sequence[Symbol],
    tag: str = "",
) -> tuple[list[Symbol], list[Any]]:
    """Symbols of the fields; and of the next coordinates and the next fields.

    Args:
        tag: How the names of fields end.
    """
    direction: Any = g
    left = iter(constants)
    fields: list[Symbol] = []
    results: list[Any] = []
    for one in formulas:
        count = len(one.constants_at(1, one.shared or {}))
        kept = [Symbol(f"f{len(fields) + i}{tag}") for i in range(len(one.fields))]
        direction, *new = one.applied(direction, theta, tuple(islice(left, count)), kept)
        fields += kept
        results += new
    return fields, [theta + direction, *results]


class Kernel:
    """The code of formulas.

    Args:
        formulas: Each takes the direction that the formula before it gives.
    """

    def __init__(self, formulas: tuple[Elementwise, ...]):
        g, theta, constants = Symbol("g"), Symbol("theta"), constants_of(formulas)
        fields, results = applied(formulas, g, theta, constants)
        self.program = program([theta, g, *fields], constants, results)
        self._fields = fields
        self._outputs = [f"n{i}" for i in range(len(results))]
        self.can_fuse = True

    @cached_property
    def over_floats(self) -> Callable[..., Any]:
        """`f(thetas, gradients, fields, constants)` steps floats; a gradient of None is 0.

        Returns the new coordinates and fields; or None if a coordinate would not be finite, or if a
        gradient is not finite or is too large to be squared.
        """
        theta, *fields = self.program.results
        lines = [
            "def f(thetas, gradients, fields, constants):",
            f"  [{row(self.program.constants)}] = constants",
            "  moved, after = [], []",
            *indented(number_lines(self.program.folded)),
            f"  for theta, g, ({row(self._fields)}) in zip(thetas, gradients, fields):",
            "    if g is None: g = 0.0",
            "    if not -1e150 < g < 1e150: return None",
            *indented(number_lines(self.program.steps), 2),
            f"    if {text(theta)} - {text(theta)} != 0.0: return None",
            f"    moved.append({text(theta)})",
            f"    after.append(({row(fields)}))",
            "  return moved, after",
        ]
        return function(lines)

    @cached_property
    def folded(self) -> Callable[..., tuple[float, ...]]:
        """`f(*constants)`: the constants of a step, and what is computed from them alone."""
        known = [*self.program.constants, *self.program.folded]
        lines = [f"def f({row(self.program.constants)}):"]
        lines += indented(number_lines(self.program.folded))
        return function([*lines, f"  return ({row(known)})"])

    @cached_property
    def over_arrays(self) -> tuple[Callable[..., None], int]:
        """`f(theta, g, *fields, *new, *buffers, *folded)` steps arrays; and how many buffers.

        The new coordinates and fields are written to `new`, which overlaps no input.
        """
        return self._over_arrays(True)

    @cached_property
    def over_mixed_arrays(self) -> tuple[Callable[..., None], int]:
        """The same for arrays of several dtypes: `new` holds no intermediate numbers."""
        return self._over_arrays(False)

    def _over_arrays(self, use_outputs: bool) -> tuple[Callable[..., None], int]:
        lines, buffers = array_lines(self.program, self._outputs, use_outputs)
        taken = self._arguments(*(s.name for s in self.program.inputs), *self._outputs, *buffers)
        return function([f"def f({taken}):", *indented(lines or ["pass"])]), len(buffers)

    def _arguments(self, *names: str) -> str:
        known = (*self.program.constants, *self.program.folded)
        return ", ".join([*names, *(s.name for s in known)])

    @cached_property
    def fused(self) -> Callable[..., int]:
        """`f(theta, g, *fields, *new, *folded)` steps arrays in one loop of numba's.

        Returns how many new coordinates are not finite.
        """
        import numba  # type: ignore[import-not-found]

        inputs, results = [s.name for s in self.program.inputs], self.program.results
        theta, outputs = text(results[0]), zip(self._outputs, results, strict=True)
        taken = self._arguments(*(f"{name}_" for name in (*inputs, *self._outputs)))
        lines = [
            "from numba import prange",
            f"def f({taken}):",
            "  bad = 0",
            "  for i in prange(theta_.size):",
            *(f"    {name} = {name}_[i]" for name in inputs),
            *indented(number_lines(self.program.steps), 2),
            *(f"    {name}_[i] = {text(result)}" for name, result in outputs),
            f"    if {theta} - {theta} != 0.0: bad += 1",
            "  return bad",
        ]
        return numba.njit(parallel=True, error_model="numpy")(function(lines))

    def fuses(self, arrays: list[np.ndarray], folded: tuple[float, ...]) -> int | None:
        """What `fused` returns; None, from then on, if numba cannot compile the formulas."""
        from numba.core.errors import NumbaError  # type: ignore[import-not-found]

        if self.can_fuse:
            try:
                return self.fused(*arrays, *folded)
            except NumbaError:
                self.can_fuse = False
        return None


@lru_cache(maxsize=256)
def kernel(formulas: tuple[Elementwise, ...]) -> Kernel:
    """The code of formulas that run one after the other."""
    return Kernel(formulas)


def overflow(parameter: Parameter) -> UpdateError:
    """The error for a step that leads beyond what floats hold."""
    return UpdateError(
        f"the step takes parameter {parameter.name!r}, or its state, to a value that is not "
        "finite; lower the step size, or clip the gradient"
    )
