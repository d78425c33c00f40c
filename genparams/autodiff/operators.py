"""The operators of a box: arithmetic, comparisons, operators in place, and those that are refused.

Arithmetic follows the elementwise rules. A comparison compares the plain values. An operator in
place changes a box as it changes an array: every name of the array sees the change. It is refused
where another name may see the array: a parameter, an argument, a part of a larger array, or an
array of which a part was taken.
"""

import operator
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import numpy

from genparams.autodiff.batch import Batch
from genparams.autodiff.dispatch import call_ufunc
from genparams.autodiff.elementwise import DERIVATIVES, elementwise, pullback
from genparams.autodiff.refusals import refusal
from genparams.autodiff.tape import Box, canonical, np, raw, shape_of


def binary_operator(
    ufunc: numpy.ufunc, on_floats: Callable[[float, float], float], swap: bool = False
) -> Callable:
    """A binary operator of `Box`.

    Arithmetic of boxes of one tape, floats and arrays of floats is most of what models do. It is
    written out here, in half the time of `elementwise`, and in a tenth for two floats
    (benchmarks/step.py).
    """
    by_left, by_right = DERIVATIVES[ufunc]
    by_mine, by_other = (by_right, by_left) if swap else (by_left, by_right)
    assert by_mine is not None
    assert by_other is not None
    fixed = None  # the derivatives of a sum or a difference are constants
    if ufunc in (np.add, np.subtract):
        fixed = by_mine(0.0, 0.0, 0.0), by_other(0.0, 0.0, 0.0)

    def apply(self: Box, other: Any) -> Any:
        x, tape, kind = self.value, self.tape, type(other)
        partner: Any = None
        if kind is Box:
            if other.tape is not tape:
                return elementwise(ufunc, (other, self) if swap else (self, other))
            partner, y = other, other.value
        elif kind is float or (kind is numpy.ndarray and other.ndim and other.dtype.kind == "f"):
            y = other
        elif isinstance(other, (float, int)):
            y = float(other)
        elif is_operand(other):
            return elementwise(ufunc, (other, self) if swap else (self, other))
        else:
            return NotImplemented
        left, right = x, y
        if swap:
            left, right = y, x
        add_edge = tape.edges.append
        if type(x) is float and type(y) is float:
            r = on_floats(left, right)
            child = tape.node()
            add_edge((child, self.index, fixed[0] if fixed else by_mine(r, left, right)))
            if partner is not None:
                add_edge((child, partner.index, fixed[1] if fixed else by_other(r, left, right)))
            return Box(r, tape, child)
        r = canonical(ufunc(left, right))
        child = tape.node()
        add_edge((child, self.index, pullback(by_mine, r, (left, right), shape_of(x))))
        if partner is not None:
            add_edge((child, partner.index, pullback(by_other, r, (left, right), shape_of(y))))
        return Box(r, tape, child)

    return apply


def is_operand(value: Any) -> bool:
    """Whether this can be the other operand of a box."""
    return type(value) is not Batch and (
        isinstance(value, (Box, float, int, complex, list, tuple, numpy.ndarray, np.generic))
        or hasattr(value, "__array__")
        or (isinstance(value, (Real, Sequence)) and not isinstance(value, (str, bytes)))
    )


# --- Operators of two


def _by_ufunc(ufunc: numpy.ufunc, swap: bool) -> Callable[[Any, Any], Any]:
    def apply(self: Any, other: Any) -> Any:
        if not is_operand(other):
            return NotImplemented
        return call_ufunc(ufunc, "__call__", (other, self) if swap else (self, other), {})

    return apply


def _by_value(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda self, other: compare(raw(self), raw(other))


def _in_place(symbol: str, apply: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def change(self: Any, other: Any) -> Any:
        if not self.shape:
            return NotImplemented  # Python makes a new number
        if self.index in self.tape.shared:
            raise refusal(
                f"{symbol} on an array that another name may see (a parameter, an argument, a part "
                "of an array, or an array of which a part was taken)",
                f"x = x {symbol[:-1]} y, or x = x.copy() before it",
            )
        result = apply(self, other)
        if type(result) is not Box:
            result = self.tape.record(result, [])  # flat: x //= y
        if result.shape != self.shape:
            raise refusal(f"{symbol} that changes the shape", f"x = x {symbol[:-1]} y")
        self.value, self.tape, self.index = result.value, result.tape, result.index
        return self

    return change


def _refused(what: str, instead: str) -> Callable[..., Any]:
    def refuse(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise refusal(what, instead)

    return refuse


def _two(name: str, apply: Callable, swapped: Callable, symbol: str | None) -> dict[str, Any]:
    """An operator, the one for a box on the right, and the one in place."""
    found = {f"__{name}__": apply, f"__r{name}__": swapped}
    if symbol:
        found[f"__i{name}__"] = _in_place(f"{symbol}=", getattr(operator, name))
    return found


_WHOLE = "an argument or a discrete choice for what counts or indexes"
OPERATORS: dict[str, Callable[..., Any]] = {}
"""The operators of a box, by the names of their methods."""

for _name, _symbol, _ufunc, _on_floats in [
    ("add", "+", np.add, operator.add),
    ("sub", "-", np.subtract, operator.sub),
    ("mul", "*", np.multiply, operator.mul),
    ("truediv", "/", np.true_divide, operator.truediv),
]:
    _left = binary_operator(_ufunc, _on_floats)
    _right = binary_operator(_ufunc, _on_floats, swap=True)
    OPERATORS |= _two(_name, _left, _right, _symbol)
for _name, _symbol, _ufunc in [
    ("pow", "**", np.power),
    ("matmul", "@", np.matmul),
    ("mod", "%", np.remainder),
    ("floordiv", "//", np.floor_divide),
    ("divmod", None, np.divmod),
]:
    OPERATORS |= _two(_name, _by_ufunc(_ufunc, False), _by_ufunc(_ufunc, True), _symbol)
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    OPERATORS[f"__{_name}__"] = _by_value(getattr(operator, _name))
for _name, _what, _instead in [
    (
        "float",
        "float(), a function of the math module, or assignment into an array",
        "np.exp, np.stack, ...",
    ),
    ("round", "round()", "the value as it is"),
    ("floor", "math.floor()", "np.floor, whose derivative is 0"),
    ("ceil", "math.ceil()", "np.ceil, whose derivative is 0"),
    ("trunc", "math.trunc()", "np.trunc, whose derivative is 0"),
    ("int", "int()", _WHOLE),
    ("index", "int()", _WHOLE),
    ("complex", "complex()", "real numbers"),
    ("hash", "a dictionary key, a set or a function's cache (hash())", "it as a value, not a key"),
]:
    OPERATORS[f"__{_name}__"] = _refused(_what, _instead)
