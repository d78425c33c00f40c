"""Programs written as Python text: over single numbers, and over arrays.

One table holds the text of each operation. `number_lines` computes with Python floats, as does a
loop that numba compiles; `array_lines` calls numpy with `out=`, so that only comparisons and
`np.where` allocate arrays.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from genparams.program.record import TESTS, Program, Symbol

_TEXT: dict[Any, str] = {
    np.add: "{} + {}",
    np.subtract: "{} - {}",
    np.multiply: "{} * {}",
    np.true_divide: "{} / {}",
    np.negative: "-{}",
    np.power: "pow({}, {})",
    np.square: "{0} * {0}",
    np.sqrt: "sqrt({})",
    np.absolute: "abs({})",
    np.maximum: "{0} if {0} > {1} or {0} != {0} else {1}",
    np.minimum: "{0} if {0} < {1} or {0} != {0} else {1}",
    np.sign: "1.0 if {0} > 0.0 else -1.0 if {0} < 0.0 else {0}",
    np.where: "{1} if {0} else {2}",
    np.greater: "{} > {}",
    np.greater_equal: "{} >= {}",
    np.less: "{} < {}",
    np.less_equal: "{} <= {}",
    np.equal: "{} == {}",
    np.not_equal: "{} != {}",
    np.bitwise_and: "{} and {}",
    np.bitwise_or: "{} or {}",
    np.invert: "not {}",
    np.logical_and: "{} and {}",
    np.logical_or: "{} or {}",
    np.logical_not: "not {}",
    np.exp: "exp({})",
    np.log: "log({})",
    np.tanh: "tanh({})",
}
"""The text of an operation on single numbers; any other is called by its name in numpy."""


def text(x: Any) -> str:
    """A symbol's name, or a plain number."""
    return x.name if isinstance(x, Symbol) else f"({float(x)!r})"


def row(values: Iterable[Any]) -> str:
    """Symbols and numbers as the inside of a tuple."""
    return "".join(f"{text(x)}, " for x in values)


def number_lines(steps: Iterable[Symbol]) -> list[str]:
    """Assignments that compute operations on single numbers."""
    lines = []
    for s in steps:
        call = f"float(np.{s.op.__name__}({', '.join(['{}'] * len(s.args))}))"
        lines.append(f"{s.name} = {_TEXT.get(s.op, call).format(*map(text, s.args))}")
    return lines


def array_lines(
    program: Program, outputs: list[str], use_outputs: bool
) -> tuple[list[str], list[str]]:
    """Calls of numpy that compute a program over arrays, and the names of the buffers they need.

    Each operation writes into a buffer that no later operation reads. A result is computed in its
    output if that is free then, else in a buffer, and copied at the end.

    Args:
        outputs: The names of the arrays for the results.
        use_outputs: Whether outputs may also hold intermediate numbers; they must have their type.
    """
    end = len(program.steps)
    last: dict[Symbol, int] = {}  # the last operation that reads a symbol
    for i, s in enumerate(program.steps):
        last.update({a: i for a in s.args if isinstance(a, Symbol)})
    last.update({r: end for r in program.results if isinstance(r, Symbol)})
    place_of: dict[Symbol, str] = {}
    buffers: list[str] = []
    lines: list[str] = []

    def where(x: Any) -> str:
        return place_of.get(x, x.name) if isinstance(x, Symbol) else text(x)

    def chosen(s: Symbol, i: int, given: list[str]) -> str:
        """An array for the result of an operation: its output, an argument's, any, or a new one."""
        used = {place for other, place in place_of.items() if last.get(other, -1) > i}
        free = [place for place in (*outputs, *buffers) if place not in used]
        homes = [home for home, r in zip(outputs, program.results, strict=True) if r is s]
        usable = [p for p in free if p in buffers or (use_outputs and not homes)]
        wanted = [home for home in homes if home in free] or [p for p in given if p in usable]
        if not (wanted or usable):
            buffers.append(f"b{len(buffers)}")
            return buffers[-1]
        return (wanted or usable)[0]

    for i, s in enumerate(program.steps):
        given = [where(a) for a in s.args]
        if s.op in TESTS:
            lines.append(f"{s.name} = np.{s.op.__name__}({', '.join(given)})")
            continue
        place = place_of[s] = chosen(s, i, given)
        if s.op is np.where:
            c, a, b = given
            lines.append(f"np.copyto({place}, np.where({c}, {a}, {b}))")
        else:
            lines.append(f"np.{s.op.__name__}({', '.join(given)}, out={place})")
    results = zip(outputs, map(where, program.results), strict=True)
    lines += [f"{name}[...] = {new}" for name, new in results if new != name]
    return lines, buffers


def function(lines: Iterable[str], name: str = "f") -> Callable[..., Any]:
    """The function that lines of text define."""
    space: dict[str, Any] = {"np": np, **{k: getattr(math, k) for k in ("sqrt", "exp", "log")}}
    space.update(tanh=math.tanh, pow=math.pow, inf=math.inf, nan=math.nan)
    exec("\n".join(lines), space)  # the text is made here, of names, numbers and operators
    return space[name]


def indented(lines: Iterable[str], depth: int = 1) -> list[str]:
    return ["  " * depth + line for line in lines]
