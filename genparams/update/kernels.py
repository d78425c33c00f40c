"""Elementwise formulas turned into straight-line code.

A formula is written once, as array expressions: `formula(g, theta, *constants, *fields)` returns a
direction, followed by the new fields. It is run once on symbols, which note each operation, and
the notes are written out as a function: over floats, over blocks of arrays, or as one loop for
numba. None of them writes to its inputs. What depends on constants alone is computed once for each
step, and factors that follow each other become one.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from genparams.errors import UpdateError
from genparams.update.formula import Elementwise

# --- Taking notes


class Symbol(NDArrayOperatorsMixin):
    """A number that is not known yet: a name, or an operation on others."""

    def __init__(self, name: str = "", op: Any = None, args: tuple = (), constant: bool = False):
        self.name, self.op, self.args, self.constant = name, op, args, constant

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options or getattr(np, ufunc.__name__, None) is not ufunc:
            raise UpdateError(
                f"an elementwise formula cannot use {ufunc.__name__}.{method}; such a rule is made "
                "with stateless or stateful"
            )
        return noted(ufunc, *inputs)

    def __array_function__(self, f: Any, types: Any, args: tuple, options: dict) -> Any:
        if f is not np.where or len(args) != 3:
            raise UpdateError(
                f"an elementwise formula cannot use np.{f.__name__}, only ufuncs and np.where; "
                "such a rule is made with stateless or stateful"
            )
        return noted(np.where, *args)

    def __bool__(self) -> bool:
        raise UpdateError(
            "an elementwise formula cannot branch on a number; write np.where(condition, a, b)"
        )

    def __hash__(self) -> int:  # a symbol is itself
        return id(self)


def _is_constant(x: Any) -> bool:
    return not isinstance(x, Symbol) or x.constant


def noted(op: Any, *args: Any) -> Any:
    """The symbol of an operation, or its value if all of its arguments are plain numbers."""
    tests = [isinstance(a, Symbol) and a.op in _TESTS for a in args]
    if any(tests[1:] if op is np.where else tests) and op not in _JOINED:
        raise UpdateError(
            f"an elementwise formula cannot take a comparison for a number, as np.{op.__name__} "
            "does here; write np.where(comparison, 1.0, 0.0)"
        )
    if not any(isinstance(a, Symbol) for a in args):
        with np.errstate(all="ignore"):
            return float(op(*args))
    if op is np.power and _is_two(args[1]):
        return noted(np.square, args[0])
    if op is np.multiply:
        x, c = args if _is_constant(args[1]) else args[::-1]
        if _is_constant(c) and isinstance(x, Symbol) and x.op is op and _is_constant(x.args[1]):
            return noted(op, x.args[0], noted(op, x.args[1], c))
        args = x, c
    return Symbol("", op, args, all(map(_is_constant, args)))


def _is_two(x: Any) -> bool:
    return not isinstance(x, Symbol) and x == 2


@dataclass(frozen=True, slots=True)
class Notes:
    """What a formula does, in order."""

    theta: Symbol
    constants: list[Symbol]
    """Inputs that are the same for all numbers."""
    fields: list[Symbol]
    folded: list[Symbol]
    """Operations on constants alone."""
    steps: list[Symbol]
    """The other operations."""
    results: list[Any]
    """The new coordinate, and the new fields."""


def taken(pieces: tuple[Elementwise, ...], minimize: bool) -> Notes:
    """The notes of formulas that run one after the other, and of the step itself."""
    g, theta = Symbol("g"), Symbol("theta")
    direction: Any = -g if minimize else g
    constants, fields, results = [], [], []
    for piece in pieces:
        count = len(piece.constants_at(1, piece.shared or {}))
        mine = [Symbol(f"c{len(constants) + i}", constant=True) for i in range(count)]
        kept = [Symbol(f"f{len(fields) + i}") for i in range(len(piece.fields))]
        direction, *new = piece.applied(direction, theta, tuple(mine), kept)
        constants += mine
        fields += kept
        results += new
    results = [theta + direction, *results]
    order: dict[Symbol, None] = {}
    for result in [*results[1:], results[0]]:  # the coordinate moves when nothing else needs it
        _visit(result, order)
    for i, symbol in enumerate(order):
        symbol.name = f"x{i}"
    folded = [s for s in order if s.constant]
    steps = [s for s in order if not s.constant]
    return Notes(theta, constants, fields, folded, steps, results)


def _visit(symbol: Any, order: dict[Symbol, None]) -> None:
    """Put a symbol's operation after those that it needs."""
    if isinstance(symbol, Symbol) and symbol.op is not None and symbol not in order:
        for a in symbol.args:
            _visit(a, order)
        order[symbol] = None


# --- Writing them out

_FLOAT: dict[Any, str] = {
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
_JOINED = {np.bitwise_and, np.bitwise_or, np.invert, np.logical_and, np.logical_or, np.logical_not}
_TESTS = {np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal, *_JOINED}


def _shown(x: Any) -> str:
    return x.name if isinstance(x, Symbol) else f"({float(x)!r})"


def _float_line(s: Symbol) -> str:
    template = _FLOAT.get(s.op)
    if template is None:
        template = f"float(np.{s.op.__name__}({', '.join(['{}'] * len(s.args))}))"
    return f"{s.name} = {template.format(*map(_shown, s.args))}"


def _made(lines: list[str], name: str) -> Callable[..., Any]:
    space: dict[str, Any] = {"np": np, **{k: getattr(math, k) for k in ("sqrt", "exp", "log")}}
    space.update(tanh=math.tanh, pow=math.pow, inf=math.inf, nan=math.nan)
    exec("\n".join(lines), space)  # the text is ours: names, floats and operators
    return space[name]


def _listed(symbols: list[Any]) -> str:
    return ", ".join(map(_shown, symbols)) + ("," if len(symbols) == 1 else "")


class Kernel:
    """The code of a chain of elementwise formulas."""

    def __init__(self, notes: Notes):
        self.notes = notes
        self.can_fuse = True

    @staticmethod
    def cannot_fuse() -> type[Exception]:
        """The error of numba for what it cannot compile."""
        from numba.core.errors import NumbaError  # type: ignore[import-not-found]

        return NumbaError

    @cached_property
    def over_floats(self) -> Callable[..., Any]:
        """`f(thetas, gradients, fields, constants)` steps floats; None is a gradient of 0.

        Returns the new coordinates and fields; or None if one of them would not be finite, or if a
        gradient is not or is too large to be squared.
        """
        notes = self.notes
        kept = f"({_listed(notes.fields)})" if notes.fields else "_"
        theta = _shown(notes.results[0])
        lines = [
            "def f(thetas, gradients, fields, constants):",
            f"  [{_listed(notes.constants)}] = constants",
            "  moved, after = [], []",
            *("  " + _float_line(s) for s in notes.folded),
            f"  for theta, g, {kept} in zip(thetas, gradients, fields):",
            "    if g is None: g = 0.0",
            "    if not -1e150 < g < 1e150: return None",
            *("    " + _float_line(s) for s in notes.steps),
            f"    if {theta} - {theta} != 0.0: return None",
            f"    moved.append({theta})",
            f"    after.append(({_listed(notes.results[1:])}))",
            "  return moved, after",
        ]
        return _made(lines, "f")

    @cached_property
    def folded(self) -> Callable[..., tuple[float, ...]]:
        """`f(*constants)`: those and what is computed from them alone."""
        notes = self.notes
        every = [*notes.constants, *notes.folded]
        lines = [f"def f({', '.join(c.name for c in notes.constants)}):"]
        lines += ["  " + _float_line(s) for s in notes.folded]
        return _made([*lines, f"  return ({_listed(every)})"], "f")

    @cached_property
    def over_arrays(self) -> tuple[Callable[..., None], int]:
        """`f(theta, g, *fields, *new, *scratch, *folded)` steps arrays; and how much scratch.

        The new coordinates and fields are written to `new`, which overlaps no input.
        """
        return _with_outputs(self.notes, True)

    @cached_property
    def over_mixed_arrays(self) -> tuple[Callable[..., None], int]:
        """The same where not all arrays have one dtype: `new` holds no intermediate results."""
        return _with_outputs(self.notes, False)

    @cached_property
    def fused(self) -> Callable[..., int]:
        """`f(theta, g, *fields, *new, *folded)` steps arrays in one loop of numba's.

        Returns how many new coordinates are not finite.
        """
        import numba  # type: ignore[import-not-found]

        notes = self.notes
        inputs = ["theta", "g", *(f.name for f in notes.fields)]
        outputs = _outputs(notes)
        folded = [s.name for s in (*notes.constants, *notes.folded)]
        arrays = [name + "_" for name in (*inputs, *outputs)]
        lines = [f"def f({', '.join([*arrays, *folded])}):", "  bad = 0"]
        lines += ["  for i in prange(theta_.size):"]
        lines += [f"    {name} = {name}_[i]" for name in inputs]
        lines += ["    " + _float_line(s) for s in notes.steps]
        results = [_shown(r) for r in notes.results]
        lines += [f"    {name}_[i] = {new}" for name, new in zip(outputs, results, strict=True)]
        lines += [f"    if {results[0]} - {results[0]} != 0.0: bad += 1", "  return bad"]
        loop = _made(["from numba import prange", *lines], "f")
        return numba.njit(parallel=True, error_model="numpy")(loop)


def _outputs(notes: Notes) -> list[str]:
    """The names of the arrays for the results."""
    return [f"n{i}" for i in range(len(notes.results))]


def _with_outputs(notes: Notes, reuse: bool) -> tuple[Callable[..., None], int]:
    """Each operation writes to scratch, or to an output if `reuse`, that nothing reads any more.

    A result is computed where it belongs if that is free, else in scratch, and copied at the end.
    """
    end = len(notes.steps)
    last: dict[Symbol, int] = {}  # the place of the last operation that reads it
    for i, s in enumerate(notes.steps):
        last.update({a: i for a in s.args if isinstance(a, Symbol)})
    last.update({r: end for r in notes.results if isinstance(r, Symbol)})
    outputs = _outputs(notes)
    at: dict[Symbol, str] = {}  # what holds the result of an operation
    scratch: list[str] = []
    lines: list[str] = []

    def shown(x: Any) -> str:
        return at.get(x, x.name) if isinstance(x, Symbol) else _shown(x)

    for i, s in enumerate(notes.steps):
        given = [shown(a) for a in s.args]
        if s.op in _TESTS:
            lines.append(f"{s.name} = np.{s.op.__name__}({', '.join(given)})")
            continue
        held = {place for other, place in at.items() if last.get(other, -1) > i}
        free = [place for place in (*outputs, *scratch) if place not in held]
        homes = [home for home, r in zip(outputs, notes.results, strict=True) if r is s]
        wanted = [home for home in homes if home in free]
        if not wanted:
            usable = [place for place in free if place in scratch or (reuse and not homes)]
            wanted = [place for place in given if place in usable] + usable
        if not wanted:
            wanted = [f"s{len(scratch)}"]
            scratch += wanted
        place = at[s] = wanted[0]
        if s.op is np.where:
            c, a, b = given
            lines.append(f"np.copyto({place}, np.where({c}, {a}, {b}))")
        else:
            lines.append(f"np.{s.op.__name__}({', '.join(given)}, out={place})")
    results = zip(outputs, map(shown, notes.results), strict=True)
    lines += [f"{name}[...] = {new}" for name, new in results if new != name]
    inputs = ["theta", "g", *(f.name for f in notes.fields), *outputs, *scratch]
    inputs += [s.name for s in (*notes.constants, *notes.folded)]
    text = [f"def f({', '.join(inputs)}):", *("  " + line for line in lines)]
    return _made(text, "f"), len(scratch)


@lru_cache(maxsize=256)
def kernel(pieces: tuple[Elementwise, ...], minimize: bool) -> Kernel:
    """The code of formulas that run one after the other."""
    return Kernel(taken(pieces, minimize))
