"""Operations recorded: a formula that is run once on symbols becomes a list of operations.

The recorder folds as it goes: an operation on plain numbers is computed, a power of two is a
square, and constant factors that follow each other become one. What depends on constants alone is
kept apart, so that it is computed once and not for every entry of an array.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from genparams.errors import UpdateError

LOGICAL = {
    np.bitwise_and, np.bitwise_or, np.invert, np.logical_and, np.logical_or, np.logical_not,
}  # fmt: skip
TESTS = {np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal, *LOGICAL}
"""Operations whose result is true or false."""


class Operation:
    """An operation on numbers or arrays, or an input, which has no operation."""

    __slots__ = ("args", "name", "op")

    name: str
    """What it is called in a program's text."""
    op: Any
    """The function that makes it; None for an input."""
    args: tuple[Any, ...]
    """The arguments of the function: operations and constants."""


class Symbol(Operation, NDArrayOperatorsMixin):
    """A number that is not known yet: an input, or an operation on other numbers.

    Args:
        name: What it is called in the program's text.
        op: The numpy function that makes it; None for an input.
        args: The arguments of the operation: symbols and plain numbers.
        constant: Whether it is the same for every entry of the arrays.
    """

    def __init__(self, name: str = "", op: Any = None, args: tuple = (), constant: bool = False):
        self.name, self.op, self.args, self.constant = name, op, args, constant

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options or getattr(np, ufunc.__name__, None) is not ufunc:
            raise UpdateError(
                f"an elementwise formula cannot use {ufunc.__name__}.{method}; such a rule is made "
                "with stateless or stateful"
            )
        return record(ufunc, *inputs)

    def __array_function__(self, f: Any, types: Any, args: tuple, options: dict) -> Any:
        if f is not np.where or len(args) != 3:
            raise UpdateError(
                f"an elementwise formula cannot use np.{f.__name__}, only ufuncs and np.where; "
                "such a rule is made with stateless or stateful"
            )
        return record(np.where, *args)

    def __bool__(self) -> bool:
        raise UpdateError(
            "an elementwise formula cannot branch on a number; write np.where(condition, a, b)"
        )

    def __hash__(self) -> int:  # NDArrayOperatorsMixin defines ==, which removes the hash
        return id(self)


def record(op: Any, *args: Any) -> Any:
    """The symbol of an operation, or its value if every argument is a plain number."""
    tests = [isinstance(a, Symbol) and a.op in TESTS for a in args]
    if any(tests[1:] if op is np.where else tests) and op not in LOGICAL:
        raise UpdateError(
            f"an elementwise formula cannot use a comparison as a number, as np.{op.__name__} "
            "does here; write np.where(comparison, 1.0, 0.0)"
        )
    if not any(isinstance(a, Symbol) for a in args):
        with np.errstate(all="ignore"):
            return float(op(*args))
    if op is np.power and not isinstance(args[1], Symbol) and args[1] == 2:
        return record(np.square, args[0])
    if op is np.multiply:
        x, c = args if _is_constant(args[1]) else args[::-1]
        if _is_constant(c) and isinstance(x, Symbol) and x.op is op and _is_constant(x.args[1]):
            return record(op, x.args[0], record(op, x.args[1], c))
        args = x, c
    return Symbol("", op, args, all(map(_is_constant, args)))


def _is_constant(x: Any) -> bool:
    return not isinstance(x, Symbol) or x.constant


@dataclass(frozen=True, slots=True)
class Program:
    """Operations in the order in which they can be computed."""

    inputs: list[Symbol]
    """Numbers that differ from entry to entry."""
    constants: list[Symbol]
    """Inputs that are the same for every entry."""
    folded: list[Symbol]
    """The operations on constants alone."""
    steps: list[Symbol]
    """The other operations."""
    results: list[Any]
    """What the program computes: symbols and plain numbers."""


def program(inputs: list[Symbol], constants: list[Symbol], results: list[Any]) -> Program:
    """The operations that lead from inputs to results, named x0, x1, ..."""
    order: dict[Symbol, None] = {}
    for result in [*results[1:], results[0]]:  # the first result may overwrite what others read
        _visit(result, order)
    for i, symbol in enumerate(order):
        symbol.name = f"x{i}"
    folded = [s for s in order if s.constant]
    return Program(inputs, constants, folded, [s for s in order if not s.constant], results)


def _visit(symbol: Any, order: dict[Symbol, None]) -> None:
    """Add a symbol's operation after the operations that it needs."""
    if isinstance(symbol, Symbol) and symbol.op is not None and symbol not in order:
        for a in symbol.args:
            _visit(a, order)
        order[symbol] = None


def names(symbols: Iterable[Symbol]) -> list[str]:
    return [s.name for s in symbols]
