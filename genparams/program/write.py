"""Programs written as Python text: over single numbers, and over arrays.

One table holds the text of each operation. `number_lines` computes with Python floats, as does a
loop that numba compiles; `array_lines` calls numpy with `out=`, so that only comparisons and
`np.where` allocate arrays.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from scipy import special

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
    np.exp2: "pow(2.0, {})",
    np.expm1: "expm1({})",
    np.log: "log({})",
    np.log1p: "log1p({})",
    np.log2: "log2({})",
    np.log10: "log10({})",
    np.sin: "sin({})",
    np.cos: "cos({})",
    np.tan: "tan({})",
    np.arcsin: "asin({})",
    np.arccos: "acos({})",
    np.arctan: "atan({})",
    np.arctan2: "atan2({}, {})",
    np.sinh: "sinh({})",
    np.cosh: "cosh({})",
    np.tanh: "tanh({})",
    np.hypot: "hypot({}, {})",
    np.copysign: "copysign({}, {})",
    np.isfinite: "isfinite({})",
    np.isnan: "isnan({})",
    np.isinf: "isinf({})",
    np.positive: "{}",
    special.gammaln: "lgamma({})",
    special.erf: "erf({})",
    special.erfc: "erfc({})",
    special.xlogy: "{0} * log({1}) if {0} else 0.0 if {1} == {1} else {1}",
    special.xlog1py: "{0} * log1p({1}) if {0} else 0.0 if {1} == {1} else {1}",
}
"""The text of an operation on single numbers; any other is called by its name in numpy."""

_MATH = """
    sqrt exp expm1 log log1p log2 log10 sin cos tan asin acos atan atan2 sinh cosh tanh hypot
    copysign pow lgamma erf erfc isfinite isnan isinf inf nan
"""
NAMES: dict[str, Any] = {name: getattr(math, name) for name in _MATH.split()}
"""What the text of operations on single numbers names."""


def template(op: Any) -> str | None:
    """The text of an operation on single numbers, with places for its arguments; None if it has to
    be called."""
    return _TEXT.get(op)


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


def function(
    lines: Iterable[str], name: str = "f", given: Mapping[str, Any] | None = None
) -> Callable[..., Any]:
    """The function that lines of text define.

    Args:
        given: What else the text names.
    """
    space: dict[str, Any] = {"np": np, **NAMES, **(given or {})}
    exec("\n".join(lines), space)  # the text is made here, of names, numbers and operators
    return space[name]


def indented(lines: Iterable[str], depth: int = 1) -> list[str]:
    return ["  " * depth + line for line in lines]
