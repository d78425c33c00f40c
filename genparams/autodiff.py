"""Derivatives: a tape, the boxes that write on it, and the numpy functions that they know.

A `Box` stands for a value on a `Tape`. An operation on boxes computes its value at once and writes
one *edge* for each boxed argument: `(child, parent, partial)`, where `partial` is the derivative
itself or a function that carries a cotangent from the child to the parent. Edges are written in the
order of computing, so the way back is one loop over them in reverse, without sorting.

A box is not an ndarray. It takes part in numpy through `__array_ufunc__` and `__array_function__`,
so that models use plain `numpy` (or `autograd.numpy`, which hands over to numpy what it does not
know). Rules for the operations that models are made of stand in the tables below; every other
function takes its rule from autograd.

Second derivatives need nothing more: a box whose value is a box of an outer tape records on that
tape whatever the inner one computes, the way back included. Tapes are numbered as they are made and
an inner tape is always made later, so that the number alone says which of two boxes is the inner
one, in any number of threads.

This is the only file that imports autograd.
"""

import itertools
import linecache
import math
import operator
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from types import FrameType, FunctionType, TracebackType
from typing import Any

import numpy
from numpy.lib.array_utils import normalize_axis_tuple
from scipy import special

from genparams.errors import TracedValueError
from genparams.numeric import scalars

__all__ = [
    "Box",
    "Tape",
    "gradient",
    "hessian",
    "np",
    "operand",
    "paired",
    "raw",
    "refusal",
    "scatter",
    "shape_of",
    "special",
    "strip",
    "sum_to",
    "total",
]

np: Any = numpy  # boxes speak numpy's protocols, which its type stubs cannot know

_level = itertools.count(1)


class Tape:
    """The record of one differentiated computation."""

    __slots__ = ("edges", "leaves", "level")

    def __init__(self) -> None:
        self.edges: list[tuple[int, int, Any]] = []
        self.leaves = 0
        self.level = next(_level)

    def leaf(self, value: Any) -> "Box":
        """A box for something to differentiate by: a float, an array of floats, or a box of an
        outer tape.
        """
        self.leaves += 1  # numbered -1, -2, ...: from the end of a list that begins with the edges
        return Box(_settle(value), self, -self.leaves)

    def record(self, value: Any, edges: Iterable[tuple["Box", Any]]) -> "Box":
        """A box for `value`, given each boxed argument with its partial derivative or pullback."""
        child = len(self.edges)
        for parent, partial in edges:
            self.edges.append((child, parent.index, partial))
        return Box(value, self, child)

    def gradients(self, seeds: Iterable[tuple["Box", Any]], sources: Sequence["Box"]) -> list[Any]:
        """The gradient of `sum(seed * value for value, seed in seeds)` by each source; None where
        there is none.
        """
        cotangents: list[Any] = [None] * (len(self.edges) + self.leaves)
        for box, seed in seeds:
            old = cotangents[box.index]
            cotangents[box.index] = seed if old is None else old + seed
        with np.errstate(all="ignore"):  # what is not finite is found by looking at the results
            for child, parent, partial in reversed(self.edges):
                g = cotangents[child]
                if g is not None:
                    g = partial(g) if type(partial) is FunctionType else g * partial
                    old = cotangents[parent]
                    cotangents[parent] = g if old is None else old + g
        return [cotangents[source.index] for source in sources]


class Box:
    """A value being differentiated: a float, an array of floats, or a box of an outer tape."""

    __slots__ = ("index", "tape", "value")
    __hash__ = None  # type: ignore[assignment]  # boxes compare by value

    def __init__(self, value: Any, tape: Tape, index: int):
        self.value = value
        self.tape = tape
        self.index = index

    def __array_ufunc__(
        self, ufunc: numpy.ufunc, method: str, *inputs: Any, out: Any = None, **kwargs: Any
    ) -> Any:
        if out is not None:
            raise refusal("in-place arithmetic on an array", "x = x + y instead of x += y")
        if method == "__call__":
            if ufunc is np.matmul:
                return _apply(np.matmul, inputs, kwargs)
            if not kwargs:
                return _elementwise(ufunc, inputs)
        elif method == "reduce" and ufunc is np.add:
            return _apply(np.sum, inputs, {"axis": 0, **kwargs})
        elif method == "reduce" and ufunc is np.logaddexp and kwargs.keys() <= {"axis", "keepdims"}:
            return _log_sum_exp(*inputs, **kwargs)
        raise refusal(
            f"numpy.{ufunc.__name__}.{method} with {sorted(kwargs)}", "the plain function"
        )

    def __array_function__(self, func: Callable, types: Any, args: tuple, kwargs: dict) -> Any:
        return _apply(func, args, kwargs)

    shape = property(lambda self: shape_of(self.value))
    ndim = property(lambda self: len(shape_of(self.value)))
    size = property(lambda self: math.prod(shape_of(self.value)))
    dtype = property(lambda self: getattr(raw(self), "dtype", np.dtype(float)))
    T = property(lambda self: np.transpose(self))

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a single number has no length")
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        return _apply(_getitem, (self, index), {})

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"traced {raw(self)!r}"

    def __neg__(self) -> "Box":
        return _elementwise(np.negative, (self,))

    def __pos__(self) -> "Box":
        return self

    def __abs__(self) -> "Box":
        return _elementwise(np.absolute, (self,))

    def __format__(self, spec: str) -> str:
        return format(raw(self), spec)

    def __round__(self, digits: int | None = None) -> float:
        raise refusal("round()", "the value as it is")

    def __bool__(self) -> bool:
        return bool(raw(self))

    def __setitem__(self, index: Any, value: Any) -> None:
        raise refusal(
            "assignment into an array", "np.where(condition, new, old) or np.stack([...])"
        )

    def __float__(self) -> float:
        raise refusal(
            "float(), a function of the math module, or assignment into an array",
            "np.exp, np.stack, ...",
        )

    def __int__(self) -> int:
        raise refusal("int()", "an argument or a discrete choice for what counts or indexes")

    __index__ = __complex__ = __int__

    def __getattr__(self, name: str) -> Callable:
        """An array's method, as the numpy function of that name; numpy also asks for them in arrays
        of boxes.
        """
        function = getattr(np, name, None) if not name.startswith("_") else None
        if not callable(function):
            raise AttributeError(f"a value that is being differentiated has no attribute {name!r}")
        return lambda *args, **kwargs: function(self, *args, **kwargs)

    def flatten(self, order: str = "C") -> "Box":
        return np.ravel(self, order=order)

    def astype(self, dtype: Any, copy: bool = True) -> "Box":
        if not np.issubdtype(dtype, np.floating):
            raise refusal(f"astype({dtype!r})", "the value as it is")
        return self

    def copy(self) -> "Box":
        return self

    def view(self, *kind: Any) -> "Box":
        return self

    def item(self) -> "Box":
        return self.reshape(())

    def reshape(self, *shape: Any, **kwargs: Any) -> Any:
        return np.reshape(self, shape[0] if len(shape) == 1 else shape, **kwargs)

    def transpose(self, *axes: Any) -> Any:
        return np.transpose(self, (axes[0] if len(axes) == 1 else axes) or None)


def _package(frame: FrameType) -> str:
    return frame.f_globals.get("__name__", "").split(".")[0]


def refusal(what: str, instead: str, trail: TracebackType | None = None) -> TracedValueError:
    """The error for a use that would lose the derivative, with the user's own line in it.

    The line is that of the innermost frame outside this package, numpy and autograd: of the frames
    of a traceback, if one is given, else of the calls in progress.
    """
    if trail is None:
        steps = list(traceback.walk_stack(sys._getframe(1)))
    else:
        steps = [*traceback.walk_tb(trail)][::-1]
    ours = ("genparams", "numpy", "scipy", "autograd")
    theirs = [step for step in steps if _package(step[0]) not in ours]
    frame, number = (theirs or steps)[0]
    file = frame.f_code.co_filename
    line = linecache.getline(file, number).strip()
    where = f"line {number} of {file}" + (f": {line}" if line else "")
    return TracedValueError(
        f"{what} cannot take a value that is being differentiated; write {instead} ({where})"
    )


# --- Values inside boxes


def _settle(value: Any) -> Any:
    """The form in which a box holds a value: a plain float for one number, an array otherwise."""
    kind = type(value)
    if (
        kind is float
        or kind is Box
        or (kind is np.ndarray and value.ndim and value.dtype.kind == "f")
    ):
        return value
    value = np.asarray(
        value, dtype=None if getattr(value, "dtype", np.dtype(int)).kind == "f" else float
    )
    return value if value.ndim else float(value)


def raw(value: Any) -> Any:
    """The number or array inside any depth of boxes."""
    while type(value) is Box:
        value = value.value
    return value


def shape_of(value: Any) -> tuple[int, ...]:
    """The shape of a number, an array or a box."""
    kind = type(value)
    if kind is float:
        return ()
    if kind is numpy.ndarray:
        return value.shape
    return shape_of(value.value) if kind is Box else np.shape(value)


def strip(values: Sequence[Any]) -> tuple[Tape | None, Sequence[Any]]:
    """The innermost tape among the values, and the values with that tape's boxes opened."""
    tape: Any = None
    for value in values:
        if type(value) is Box and (tape is None or value.tape.level > tape.level):
            tape = value.tape
    if tape is None:
        return None, values
    return tape, [v.value if type(v) is Box and v.tape is tape else v for v in values]


def operand(value: Any) -> Any:
    """`value` as a float, an array of floats or a box; a list or an object array of boxes is
    stacked into one.
    """
    kind = type(value)
    if kind is float or kind is Box:
        return value
    if kind is numpy.ndarray and value.dtype.kind == "f":
        return value if value.ndim else float(value)
    if isinstance(value, (int, float, np.number, np.bool_)):
        return float(value)
    if kind is np.ndarray and value.dtype == object:
        return operand(value.tolist())
    if isinstance(value, (list, tuple)):
        parts = [operand(v) for v in value]
        if any(type(p) is Box for p in parts):
            return np.stack(parts)
        value = parts
    value = np.asarray(value)
    if value.dtype.kind not in "fiub":
        raise TypeError(f"expected numbers, found {value.dtype} {value!r}")
    return value.astype(float) if value.ndim else float(value)


def sum_to(g: Any, shape: tuple[int, ...]) -> Any:
    """`g` summed over the axes along which an argument of that shape was broadcast."""
    have = shape_of(g)
    if have == shape:
        return g
    if not shape:
        return total(g)
    g = np.sum(g, axis=tuple(range(len(have) - len(shape)))) if len(have) > len(shape) else g
    stretched = tuple(i for i, n in enumerate(shape) if n == 1 and shape_of(g)[i] != 1)
    return np.sum(g, axis=stretched, keepdims=True) if stretched else g


def total(value: Any) -> Any:
    """The sum of every entry, as a float or a box."""
    return float(np.add.reduce(value, axis=None)) if type(value) is np.ndarray else np.sum(value)


def paired(g: Any, partial: Any, shape: tuple[int, ...]) -> Any:
    """`sum_to(g * partial, shape)`."""
    if type(partial) is float and partial == 1.0:
        return sum_to(g, shape)
    if (
        not shape
        and type(g) is numpy.ndarray
        and type(partial) is numpy.ndarray
        and g.shape == partial.shape
    ):
        return float(np.dot(g.ravel(), partial.ravel()))  # one pass and no temporary
    return sum_to(g * partial, shape)


# --- Elementwise functions

# For each argument, the derivative as a function of the result and the arguments.
_DERIVATIVES: dict[Any, tuple[Callable, ...]] = {
    np.add: (lambda r, x, y: 1.0, lambda r, x, y: 1.0),
    np.subtract: (lambda r, x, y: 1.0, lambda r, x, y: -1.0),
    np.multiply: (lambda r, x, y: y, lambda r, x, y: x),
    np.true_divide: (lambda r, x, y: _over(1.0, y), lambda r, x, y: _over(-r, y)),
    np.power: (
        lambda r, x, y: y * x ** np.where(raw(y) == 0.0, 1.0, y - 1.0),
        lambda r, x, y: r * np.log(np.where(raw(x) == 0.0, 1.0, x)),
    ),
    np.negative: (lambda r, x: -1.0,),
    np.positive: (lambda r, x: 1.0,),
    np.exp: (lambda r, x: r,),
    np.expm1: (lambda r, x: r + 1.0,),
    np.log: (lambda r, x: _over(1.0, x),),
    np.log1p: (lambda r, x: _over(1.0, 1.0 + x),),
    np.sqrt: (lambda r, x: _over(0.5, r),),
    np.square: (lambda r, x: 2.0 * x,),
    np.reciprocal: (lambda r, x: -r * r,),
    np.sin: (lambda r, x: np.cos(x),),
    np.cos: (lambda r, x: -np.sin(x),),
    np.tanh: (lambda r, x: 1.0 - r * r,),
    np.absolute: (lambda r, x: np.sign(raw(x)),),
    np.maximum: (lambda r, x, y: _wins(x, y, 1.0), lambda r, x, y: _wins(x, y, -1.0)),
    np.minimum: (lambda r, x, y: _wins(x, y, -1.0), lambda r, x, y: _wins(x, y, 1.0)),
    np.logaddexp: (lambda r, x, y: special.expit(x - y), lambda r, x, y: special.expit(y - x)),
    special.expit: (lambda r, x: r * special.expit(-x),),
    special.log_expit: (lambda r, x: special.expit(-x),),
    special.logit: (lambda r, x: _over(1.0, x * (1.0 - x)),),
    special.gammaln: (lambda r, x: special.psi(x),),
    special.psi: (lambda r, x: _polygamma(1, x),),
    special.betaln: (
        lambda r, x, y: special.psi(x) - special.psi(x + y),
        lambda r, x, y: special.psi(y) - special.psi(x + y),
    ),
    special.xlogy: (lambda r, x, y: np.log(y), lambda r, x, y: _over(x, y)),
    special.xlog1py: (lambda r, x, y: np.log1p(y), lambda r, x, y: _over(x, 1.0 + y)),
    special.erf: (lambda r, x: _TWO_OVER_ROOT_PI * np.exp(-x * x),),
    special.erfc: (lambda r, x: -_TWO_OVER_ROOT_PI * np.exp(-x * x),),
    special.erfcx: (lambda r, x: 2.0 * x * r - _TWO_OVER_ROOT_PI,),
    special.i0e: (lambda r, x: special.i1e(x) - np.sign(raw(x)) * r,),
    special.i1e: (lambda r, x: special.i0e(x) - np.sign(raw(x)) * r - _i1e_over(r, x),),
    special.ndtr: (lambda r, x: np.exp(-0.5 * x * x) / _ROOT_TWO_PI,),
    special.log_ndtr: (lambda r, x: np.exp(-0.5 * x * x - r) / _ROOT_TWO_PI,),
}
_TWO_OVER_ROOT_PI = 2.0 / math.sqrt(math.pi)
_ROOT_TWO_PI = math.sqrt(2.0 * math.pi)

# Functions whose result does not move with their arguments, or does so in jumps.
_CONSTANT = {
    *(
        np.less,
        np.less_equal,
        np.greater,
        np.greater_equal,
        np.equal,
        np.not_equal,
        np.sign,
        np.floor,
        np.ceil,
        np.rint,
    ),
    *(
        np.trunc,
        np.floor_divide,
        np.isfinite,
        np.isnan,
        np.isinf,
        np.logical_and,
        np.logical_or,
        np.logical_not,
    ),
    *(
        np.signbit,
        np.shape,
        np.ndim,
        np.size,
        np.result_type,
        np.iscomplexobj,
        np.argmax,
        np.argmin,
        np.argsort,
    ),
    *(
        np.all,
        np.any,
        np.zeros_like,
        np.ones_like,
        np.full_like,
        np.empty_like,
        np.array_equal,
        np.allclose,
    ),
    *(
        np.isclose,
        np.array_repr,
        np.array_str,
        np.searchsorted,
        np.count_nonzero,
        np.isscalar,
        np.round,
    ),
}


def _polygamma(order: int, x: Any) -> Any:
    """The derivative of that order of psi, which scipy has for plain numbers only."""
    if type(x) is not Box:
        return _settle(special.polygamma(order, x))
    return _linear(x, _polygamma(order, x.value), lambda g: g * _polygamma(order + 1, x.value))


def _i1e_over(r: Any, x: Any) -> Any:
    """i1e(x) / x, which is 1/2 where x is 0."""
    zero = raw(x) == 0.0
    return np.where(zero, 0.5 * special.i0e(x), r / np.where(zero, 1.0, x))


def _over(y: Any, x: Any) -> Any:
    """y / x, of floats too infinite where x is 0."""
    return scalars.ratio(y, x) if type(x) is float and type(y) is float else y / x


def _wins(x: Any, y: Any, sign: float) -> Any:
    """1 where `sign * (x - y) > 0`, 0 where it is below, and 1/2 at a tie."""
    return 0.5 + 0.5 * sign * np.sign(raw(x) - np.asarray(raw(y)))


def _elementwise(ufunc: numpy.ufunc, inputs: Sequence[Any]) -> Any:
    """Apply a ufunc to arguments of which at least one is a box."""
    on_float = _ON_FLOATS.get(ufunc)
    if on_float and type(inputs[0]) is Box and type(inputs[0].value) is float:
        (box,) = inputs
        r = on_float(box.value)
        return box.tape.record(r, [(box, _settle(_DERIVATIVES[ufunc][0](r, box.value)))])
    derivatives = _DERIVATIVES.get(ufunc)
    if derivatives is None:
        constant = ufunc in _CONSTANT
        return ufunc(*map(raw, inputs)) if constant else _by_autograd(ufunc, inputs, {})
    tape, values = strip(inputs)
    assert tape is not None
    result = ufunc(*values)
    if type(result) is numpy.ndarray and result.dtype.kind == "O":
        return _elementwise(ufunc, [operand(v) for v in inputs])
    result = _settle(result)
    edges = tape.edges
    child = len(edges)
    for given, value, derivative in zip(inputs, values, derivatives, strict=True):
        if type(given) is Box and given.tape is tape:
            if type(result) is float:
                edges.append((child, given.index, _settle(derivative(result, *values))))
            else:
                pull = _pullback(derivative, result, values, shape_of(value))
                edges.append((child, given.index, pull))
    return Box(result, tape, child)


def _pullback(derivative: Callable, result: Any, values: Sequence[Any], shape: tuple) -> Callable:
    return lambda g: paired(g, derivative(result, *values), shape)


def _operator(
    ufunc: numpy.ufunc, on_floats: Callable[[float, float], float], swap: bool = False
) -> Callable:
    """A binary operator of `Box`.

    Two floats, the bulk of a model that loops over its data, skip numpy: their partial derivatives
    are computed on the way and appended to the tape by hand, which is ten times faster
    (benchmarks/step.py, scalar choices).
    """
    by_left, by_right = _DERIVATIVES[ufunc]

    def apply(self: Box, other: Any) -> Any:
        x = self.value
        if type(x) is float:
            tape = self.tape
            if type(other) is Box:
                y = other.value
                if type(y) is float and other.tape is tape:
                    r = on_floats(x, y)
                    edges = tape.edges
                    child = len(edges)
                    edges.append((child, self.index, by_left(r, x, y)))
                    edges.append((child, other.index, by_right(r, x, y)))
                    return Box(r, tape, child)
            elif isinstance(other, (float, int)):
                y = float(other)
                edges = tape.edges
                child = len(edges)
                if swap:
                    r = on_floats(y, x)
                    edges.append((child, self.index, by_right(r, y, x)))
                else:
                    r = on_floats(x, y)
                    edges.append((child, self.index, by_left(r, x, y)))
                return Box(r, tape, child)
        if type(other) is numpy.ndarray or isinstance(other, (Box, float, int, np.generic, list)):
            return _elementwise(ufunc, (other, self) if swap else (self, other))
        return NotImplemented

    return apply


for _name, _ufunc, _on_floats in [
    ("add", np.add, operator.add),
    ("sub", np.subtract, operator.sub),
    ("mul", np.multiply, operator.mul),
    ("truediv", np.true_divide, operator.truediv),
]:
    setattr(Box, f"__{_name}__", _operator(_ufunc, _on_floats))
    setattr(Box, f"__r{_name}__", _operator(_ufunc, _on_floats, swap=True))

for _name, _ufunc in [
    ("pow", np.power),
    ("matmul", np.matmul),
    ("mod", np.remainder),
    ("floordiv", np.floor_divide),
    ("lt", np.less),
    ("le", np.less_equal),
    ("gt", np.greater),
    ("ge", np.greater_equal),
    ("eq", np.equal),
    ("ne", np.not_equal),
]:
    setattr(Box, f"__{_name}__", lambda self, other, ufunc=_ufunc: ufunc(self, other))
    if _name in ("pow", "matmul", "mod", "floordiv"):
        setattr(Box, f"__r{_name}__", lambda self, other, ufunc=_ufunc: ufunc(other, self))


# --- Functions of whole arrays


def _apply(func: Callable, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Apply a numpy function, one of whose arguments holds a box."""
    if func in _CONSTANT:
        return func(*map(raw, args), **{k: raw(v) for k, v in kwargs.items()})
    if func in _OF_LISTS:
        return _OF_LISTS[func](*args, **kwargs)
    rule = _RULES.get(func)
    return rule(*args, **kwargs) if rule else _by_autograd(func, args, kwargs)


def _linear(box: Box, value: Any, pull: Callable) -> Box:
    """The box for a function of one box, given its value and its pullback."""
    return box.tape.record(_settle(value), [(box, pull)])


def _sum(
    x: Box, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False
) -> Box:
    if dtype is not None or out is not None:
        raise refusal("numpy.sum with dtype or out", "the plain sum")
    shape = x.shape
    value = np.sum(x.value, axis=axis, keepdims=keepdims)
    if axis is None or not shape:
        return _linear(
            x,
            value,
            lambda g: np.broadcast_to(np.reshape(g, (1,) * len(shape)), shape) if shape else g,
        )
    axes = normalize_axis_tuple(axis, len(shape))
    kept = tuple(1 if i in axes else n for i, n in enumerate(shape))
    return _linear(x, value, lambda g: np.broadcast_to(np.reshape(g, kept), shape))


def _mean(
    x: Box, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False
) -> Any:
    result = np.sum(x, axis=axis, dtype=dtype, out=out, keepdims=keepdims)
    return result / (x.size / max(math.prod(shape_of(result)), 1))


def _log_sum_exp(x: Box, axis: Any = 0, keepdims: bool = False) -> Any:
    """The logarithm of a sum of exponentials, which `np.logaddexp.reduce` asks for."""
    top = np.max(raw(x), axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0.0)
    level = top if keepdims else np.squeeze(top, axis=axis)
    return np.log(np.sum(np.exp(x - top), axis=axis, keepdims=keepdims)) + level


def _repeat(x: Box, repeats: Any, axis: int | None = None) -> Any:
    if axis is None:
        x, axis = np.ravel(x), 0
    places = np.repeat(np.arange(x.shape[axis]), repeats)
    return x[(slice(None),) * (axis % x.ndim) + (places,)]


def _reshape(x: Box, shape: Any, order: str = "C") -> Box:
    old = x.shape
    value = np.reshape(x.value, shape, order=order)
    return _linear(x, value, lambda g: np.reshape(g, old, order=order))


def _transpose(x: Box, axes: Any = None) -> Box:
    back = None if axes is None else np.argsort(normalize_axis_tuple(axes, x.ndim)).tolist()
    return _linear(x, np.transpose(x.value, axes), lambda g: np.transpose(g, back))


def _diagonal(x: Box, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    places = np.arange(x.size).reshape(x.shape)
    return np.ravel(x)[np.diagonal(places, offset, axis1, axis2)]


def _broadcast_to(x: Box, shape: Any, subok: bool = False) -> Box:
    old = x.shape
    return _linear(x, np.broadcast_to(x.value, shape), lambda g: sum_to(g, old))


def _getitem(x: Any, index: Any) -> Any:
    if type(x) is not Box:
        return x[index]
    if type(index) is Box or (isinstance(index, tuple) and any(type(i) is Box for i in index)):
        raise refusal("an index", "a constant or a discrete choice as the index")
    shape = x.shape
    return _linear(x, _getitem(x.value, index), lambda g: scatter(g, index, shape))


def scatter(g: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of that shape with `g` added at `index`: the transpose of `_getitem`."""
    if type(g) is Box:
        return _linear(g, scatter(g.value, index, shape), lambda h: _getitem(h, index))
    zeros = np.zeros(shape)
    keys = index if isinstance(index, tuple) else (index,)
    if all(isinstance(k, (int, slice, np.integer)) or k is None or k is Ellipsis for k in keys):
        zeros[index] = g
    else:
        np.add.at(zeros, index, g)  # an index that may name an entry twice
    return zeros


def _where(condition: Any, x: Any, y: Any) -> Any:
    condition = raw(condition)
    tape, (a, b) = strip((x, y))
    if tape is None:
        return np.where(condition, a, b)
    value = np.where(condition, a, b)
    edges = []
    if type(x) is Box and x.tape is tape:
        edges.append((x, lambda g: sum_to(g * np.where(condition, 1.0, 0.0), shape_of(a))))
    if type(y) is Box and y.tape is tape:
        edges.append((y, lambda g: sum_to(g * np.where(condition, 0.0, 1.0), shape_of(b))))
    return tape.record(_settle(value), edges)


def _matmul(a: Any, b: Any) -> Any:
    """`a @ b`; the rules for stacks of matrices are autograd's."""
    if len(shape_of(a)) > 2 or len(shape_of(b)) > 2:
        return _by_autograd(np.matmul, (a, b), {})
    tape, (x, y) = strip((operand(a), operand(b)))
    value = x @ y
    edges = []
    if type(a) is Box and a.tape is tape:
        edges.append((a, lambda g: _left_factor(g, x, y)))
    if type(b) is Box and b.tape is tape:
        edges.append((b, lambda g: _right_factor(g, x, y)))
    assert tape is not None
    return tape.record(_settle(value), edges)


def _left_factor(g: Any, x: Any, y: Any) -> Any:
    if len(shape_of(y)) == 1:
        return g * y if len(shape_of(x)) == 1 else np.reshape(g, (-1, 1)) * y
    return y @ g if len(shape_of(x)) == 1 else g @ np.transpose(y)


def _right_factor(g: Any, x: Any, y: Any) -> Any:
    if len(shape_of(x)) == 1:
        return g * x if len(shape_of(y)) == 1 else np.reshape(x, (-1, 1)) * g
    return np.transpose(x) @ g


def _dot(a: Any, b: Any) -> Any:
    if not shape_of(a) or not shape_of(b):
        return a * b
    if len(shape_of(a)) > 2 or len(shape_of(b)) > 2:
        return _by_autograd(np.dot, (a, b), {})
    return _matmul(a, b)


def _slogdet(a: Box) -> tuple[Any, Box]:
    sign, value = np.linalg.slogdet(a.value)

    def pull(g: Any) -> Any:
        return np.reshape(g, (*shape_of(g), 1, 1)) * np.swapaxes(np.linalg.inv(a.value), -1, -2)

    return sign, _linear(a, value, pull)


def _concatenate(parts: Sequence[Any], axis: int | None = 0) -> Any:
    parts = [p if type(p) is Box else np.asarray(p) for p in parts]
    if axis is None:
        parts, axis = [np.ravel(p) for p in parts], 0
    tape, values = strip(parts)
    if tape is None:
        return np.concatenate(values, axis=axis)
    ends = np.cumsum([shape_of(v)[axis] for v in values]).tolist()
    slices = [
        (*(slice(None),) * (axis % len(shape_of(values[0]))), slice(end - shape_of(v)[axis], end))
        for v, end in zip(values, ends, strict=True)
    ]
    value = np.concatenate(values, axis=axis)
    edges = [
        (part, lambda g, here=here: g[here])
        for part, here in zip(parts, slices, strict=True)
        if type(part) is Box and part.tape is tape
    ]
    return tape.record(_settle(value), edges)


def _stack(parts: Sequence[Any], axis: int = 0) -> Any:
    parts = [p if type(p) is Box else np.asarray(p) for p in parts]
    tape, values = strip(parts)
    if tape is None:
        return np.stack(values, axis=axis)
    value = np.stack(values, axis=axis)
    here = (slice(None),) * (axis % value.ndim)
    edges = [
        (part, lambda g, i=i: _entry(g, (*here, i)))
        for i, part in enumerate(parts)
        if type(part) is Box and part.tape is tape
    ]
    return tape.record(_settle(value), edges)


def _entry(g: Any, index: tuple) -> Any:
    g = g[index]
    return _settle(g)


def _as_columns(part: Any) -> Any:
    part = operand(part)
    return np.reshape(part, (-1, 1)) if len(shape_of(part)) < 2 else part


def _hstack(parts: Sequence[Any]) -> Any:
    parts = [np.atleast_1d(p) for p in parts]
    return _concatenate(parts, axis=0 if len(shape_of(parts[0])) == 1 else 1)


_RULES: dict[Any, Callable] = {
    _getitem: _getitem,
    np.sum: _sum,
    np.mean: _mean,
    np.reshape: _reshape,
    np.ravel: lambda x, order="C": _reshape(x, (-1,), order),
    np.diagonal: _diagonal,
    np.repeat: _repeat,
    np.transpose: _transpose,
    np.broadcast_to: _broadcast_to,
    np.where: _where,
    np.matmul: _matmul,
    np.dot: _dot,
    np.linalg.slogdet: _slogdet,
    np.copy: lambda x, *args, **kwargs: x,
}
_OF_LISTS: dict[Any, Callable] = {
    np.concatenate: lambda parts, axis=0: _concatenate(parts, axis),
    np.stack: lambda parts, axis=0: _stack(parts, axis),
    np.hstack: _hstack,
    np.vstack: lambda parts: _concatenate([np.atleast_2d(p) for p in parts], axis=0),
    np.column_stack: lambda parts: _concatenate([_as_columns(p) for p in parts], axis=1),
    np.append: lambda a, b, axis=None: _concatenate([np.atleast_1d(a), np.atleast_1d(b)], axis),
}


@lru_cache(maxsize=1)
def _autograd_rules() -> dict[Any, Callable]:
    """Autograd's table: from a numpy function to its maker of pullbacks. Imported when first
    needed.
    """
    import autograd.numpy  # noqa: F401
    from autograd.core import primitive_vjps
    from autograd.tracer import trace_primitives_map

    return {f: primitive_vjps[p] for f, p in trace_primitives_map.items() if p in primitive_vjps}


def _by_autograd(func: Callable, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Apply a numpy function with the derivative rule that autograd has for it."""
    name = getattr(func, "__name__", repr(func))
    maker = _autograd_rules().get(func)
    tape, values = strip(args)
    if maker is None or tape is None:
        raise refusal(f"numpy's {name}", "it in terms of functions that have a derivative rule")
    result = func(*values, **kwargs)
    if isinstance(result, tuple):
        raise refusal(f"numpy's {name}, which returns several arrays,", "functions that return one")
    result = _settle(result)

    def pullback(place: int) -> Callable:
        def pull(g: Any) -> Any:
            try:
                return next(iter(maker((place,), result, tuple(values), kwargs)(g)))
            except (TypeError, ValueError, NotImplementedError) as error:
                raise refusal(f"numpy's {name} in this form ({error})", "a plainer form") from error

        return pull

    places = [i for i, a in enumerate(args) if type(a) is Box and a.tape is tape]
    return tape.record(result, [(args[i], pullback(i)) for i in places])


# The elementwise functions that take a box of one float past numpy.
_ON_FLOATS = {
    np.exp: scalars.exp,
    np.log: scalars.log,
    np.log1p: scalars.log1p,
    np.expm1: scalars.expm1,
    np.sqrt: lambda x: math.sqrt(x) if x >= 0.0 else math.nan,
    np.tanh: math.tanh,
    np.sin: lambda x: math.sin(x) if math.isfinite(x) else math.nan,
    np.cos: lambda x: math.cos(x) if math.isfinite(x) else math.nan,
    np.square: lambda x: x * x,
    np.negative: operator.neg,
    np.absolute: abs,
    special.expit: scalars.expit,
    special.log_expit: scalars.log_expit,
}


# --- Derivatives of a function


def gradient(f: Callable[[Any], Any], x: Any) -> Any:
    """The gradient at `x` of a function from a number or an array to a number."""
    tape = Tape()
    source = tape.leaf(x)
    result = f(source)
    if type(result) is not Box or result.tape is not tape:
        return np.zeros(shape_of(x)) if shape_of(x) else 0.0
    g = tape.gradients([(result, 1.0)], [source])[0]
    return (np.zeros(shape_of(x)) if shape_of(x) else 0.0) if g is None else g


def hessian(f: Callable[[Any], Any], x: Any) -> Any:
    """The second derivatives at the vector `x` of a function from a vector to a number."""
    x = np.asarray(x, dtype=float)
    tape = Tape()
    source = tape.leaf(x)
    g = gradient(f, source)
    if type(g) is not Box:
        return np.zeros((x.size, x.size))
    rows = [tape.gradients([(g, row)], [source])[0] for row in np.eye(x.size)]
    return np.stack([np.zeros(x.size) if row is None else row for row in rows])
