"""The text of operations on single numbers, as numba compiles them."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import special

from genparams.compiled.native.special_numbers import FUNCTIONS
from genparams.errors import CannotRecord
from genparams.program.recorded import as_type
from genparams.program.write import NAMES
from genparams.program.write import template as write_template

_MORE: dict[Any, str] = {
    np.fabs: "abs({})",
    np.isfinite: "abs({}) < inf",  # `x - x == 0.0` may be folded, where sums may be reordered
    np.isnan: "{0} != {0}",
    np.isinf: "abs({}) == inf",
    np.reciprocal: "1.0 / {}",
    np.float_power: "pow({}, {})",
    np.logical_xor: "{} != {}",
    np.bitwise_xor: "{} != {}",
    **dict.fromkeys((np.logical_and, np.bitwise_and), "{} & {}"),  # without a branch
    **dict.fromkeys((np.logical_or, np.bitwise_or), "{} | {}"),
    np.fmax: "{0} if {0} > {1} or {1} != {1} else {1}",
    np.fmin: "{0} if {0} < {1} or {1} != {1} else {1}",
    np.fmod: "fmod({}, {})",
    np.degrees: "{} * " + repr(180.0 / math.pi),
    np.radians: "{} * " + repr(math.pi / 180.0),
    np.heaviside: "0.0 if {0} < 0.0 else 1.0 if {0} > 0.0 else {1} if {0} == 0.0 else {0}",
    special.gamma: "gamma({})",
    special.exp10: "pow(10.0, {})",
    special.exp2: "pow(2.0, {})",
    special.loggamma: "lgamma({0}) if {0} > 0.0 else nan",
}
_BY_NUMPY = {np.floor, np.ceil, np.trunc, np.rint, np.cbrt, np.floor_divide}
_OURS = {np.logaddexp: "logaddexp", np.remainder: "remainder"}
_SELECTIONS = {np.where: "pick", np.maximum: "larger", np.minimum: "smaller"}
_CONNECTIVES = {
    np.logical_and, np.logical_or, np.logical_not, np.logical_xor, np.bitwise_and, np.bitwise_or,
    np.bitwise_xor, np.invert,
}  # fmt: skip
_COMPARISONS = {
    np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal,
}  # fmt: skip

MATH = {**NAMES, "fmod": math.fmod, "gamma": math.gamma}
"""What the text takes from the module math."""


def expression(op: Any, args: Sequence[str], kinds: Sequence[str], kind: str) -> str:
    """The text of an operation.

    Args:
        args: Names and numbers.
        kinds, kind: The kinds of the arguments and of the result: "b", "i" or "f".

    Raises:
        CannotRecord: no text is known.
    """
    if op is as_type:
        return converted(args[0], kinds[0], kind)
    if kind == "f" and op in _SELECTIONS:
        return _selection(op, args, kinds)
    if op in _CONNECTIVES:
        if kind != "b":
            raise CannotRecord(f"np.{op.__name__} of whole numbers")
        args = [a if k == "b" else f"({a} != 0)" for a, k in zip(args, kinds, strict=True)]
    elif op is np.where:
        first = args[0] if kinds[0] == "b" else f"({args[0]} != 0)"
        args = [first, *map(converted, args[1:], kinds[1:], kind * 2)]
    elif op not in _COMPARISONS and kind != "b":
        args = [converted(a, k, kind) for a, k in zip(args, kinds, strict=True)]
    elif kind == "b" and "b" in kinds and op in (np.add, np.multiply, np.maximum, np.minimum):
        return f"{args[0]} {'|' if op in (np.add, np.maximum) else '&'} {args[1]}"
    if kind == "i" and op in (np.power, np.true_divide, np.remainder, np.floor_divide):
        raise CannotRecord(f"np.{op.__name__} of whole numbers")
    return template(op, len(args)).format(*args)


def _selection(op: Any, args: Sequence[str], kinds: Sequence[str]) -> str:
    """A choice between floats without a branch."""
    last = [converted(a, k, "f") for a, k in zip(args[-2:], kinds[-2:], strict=True)]
    if op is np.where:
        last.insert(0, args[0] if kinds[0] == "b" else f"{args[0]} != 0")
    return f"{_SELECTIONS[op]}({', '.join(last)})"


def converted(x: str, kind: str, to: str) -> str:
    if kind == to:
        return x
    if to == "b":
        return f"{x} != 0"
    if kind == "b":
        return f"({x} * {'1.0' if to == 'f' else '1'})"
    if to == "i":
        return f"int({x})"
    return f"{x}.0" if x.isdigit() else f"float({x})"


def template(op: Any, count: int) -> str:
    """The text of an operation with a `{}` for each of its arguments."""
    known = _MORE.get(op) or write_template(op)
    if known:
        return known
    name = getattr(op, "__name__", str(op))
    holes = ", ".join(["{}"] * count)
    if op in _BY_NUMPY:
        return f"np.{name}({holes})"
    if op in _OURS or (name in FUNCTIONS and getattr(special, name, None) is op):
        return f"{_OURS.get(op, name)}({holes})"
    raise CannotRecord(f"{name} in a function that numba compiles")


def literal(x: Any) -> str:
    """A constant number."""
    if isinstance(x, (bool, int)):
        return f"({x!r})" if x < 0 else repr(x)
    if x != x:
        return "nan"
    if math.isinf(x):
        return "inf" if x > 0 else "(-inf)"
    return f"({x!r})" if x < 0 or (x == 0 and math.copysign(1.0, x) < 0) else repr(x)


def kind_of(x: Any) -> str:
    """The kind of a constant number."""
    return "b" if isinstance(x, bool) else "i" if isinstance(x, int) else "f"
