"""Algebra of single operations: what an operation is when its arguments are special.

A rule holds for all numbers, up to rounding and the sign of zero: NaN and infinity stay what they
are, so x * 0 is not 0. Factors that are single numbers move outwards, to where a sum makes single
numbers of arrays; so do signs.
"""

import math
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from genparams.compiled.algebra.ir import Node
from genparams.compiled.algebra.slices import added, concatenate, getitem, only_place
from genparams.compiled.algebra.totals import summed

if TYPE_CHECKING:
    from genparams.compiled.algebra.builder import Builder

_FLOAT, _BOOL = np.dtype(float), np.dtype(bool)

Rule = Callable[["Builder", tuple[Any, ...], tuple[Any, ...], Any, Any], Any]


def _is_number(a: Any) -> bool:
    """Whether an argument is a constant float."""
    return type(a) is float


def _is_array(a: Any) -> bool:
    return isinstance(a, (Node, np.ndarray)) and a.shape != ()


def _is_single(a: Any) -> bool:
    return not _is_array(a)


def _is(a: Any, op: Any) -> bool:
    return isinstance(a, Node) and a.op is op


def _of_floats(rule: Callable[..., Any]) -> Rule:
    """A rule for operations on floats of double precision, `rule(builder, *args)`."""

    def checked(b: "Builder", args: tuple[Any, ...], options: Any, shape: Any, dtype: Any) -> Any:
        if dtype != _FLOAT or any(getattr(a, "dtype", _FLOAT) != _FLOAT for a in args):
            return None
        if any(type(a) is bool or type(a) is int for a in args):
            return None
        result = rule(b, *args)
        return result if result is None else b.broadcast(result, shape)

    return checked


# --- Arithmetic


def _add(b: "Builder", x: Any, y: Any) -> Any:
    """Constants of one sign become one; others may round on purpose, as (x + 1e16) - 1e16 does."""
    if _is_number(x):
        x, y = y, x
    if _is_number(y):
        if y == 0.0:
            return x
        if _is(x, np.add) and _is_number(x.args[1]) and x.args[1] * y > 0.0:
            return b.make(np.add, (x.args[0], x.args[1] + y))
        if _is(x, np.subtract) and _is_number(x.args[1]) and x.args[1] * y < 0.0:
            return b.make(np.add, (x.args[0], y - x.args[1]))
        return b.node(np.add, (x, y), (), x.shape, x.dtype)
    if _is(y, np.negative):
        return b.make(np.subtract, (x, y.args[0]))
    if _is(x, np.negative):
        return b.make(np.subtract, (y, x.args[0]))
    return added(b, x, y) if _is_single(x) and _is_single(y) else None


def _subtract(b: "Builder", x: Any, y: Any) -> Any:
    if _is_number(y):
        return b.make(np.add, (x, -y)) if y == 0.0 or _is(x, np.add) else None
    if _is(y, np.negative):
        return b.make(np.add, (x, y.args[0]))
    if _is_number(x) and x == 0.0:
        return b.make(np.negative, (y,))
    if _is(x, np.negative) and _is_single(x) == _is_single(y):
        return b.make(np.negative, (b.make(np.add, (x.args[0], y)),))
    opposite = b.existing(np.subtract, (y, x))
    return opposite and b.node(np.negative, (opposite,), (), opposite.shape, _FLOAT)


def _negative(b: "Builder", x: Any) -> Any:
    if _is(x, np.negative):
        return x.args[0]
    if _is(x, np.multiply) and _is_number(x.args[1]):
        return b.make(np.multiply, (x.args[0], -x.args[1]))
    if _is(x, np.true_divide) and _is_number(x.args[0]):
        return b.make(np.true_divide, (-x.args[0], x.args[1]))
    return None


def _multiply(b: "Builder", x: Any, y: Any) -> Any:
    if _is_number(x) or (_is_single(x) and _is_array(y)):
        x, y = y, x  # single numbers are last
    if _is_number(y):
        return _times_number(b, x, y)
    if _is(x, np.negative) and _is(y, np.negative):
        return b.make(np.multiply, (x.args[0], y.args[0]))
    for u, v in ((x, y), (y, x)):
        if _is(u, np.negative):
            if _is_array(u) and _is_single(v):
                return b.make(np.multiply, (u.args[0], b.make(np.negative, (v,))))
            if _is_single(u) == _is_single(v):
                return b.make(np.negative, (b.make(np.multiply, (u.args[0], v)),))
        scaled = _is(u, np.multiply) and _is_mild(u.args[1])
        if scaled and _is_single(u) == _is_single(v):
            return b.make(np.multiply, (b.make(np.multiply, (u.args[0], v)), u.args[1]))
        if scaled and _is_array(u):
            return b.make(np.multiply, (u.args[0], b.make(np.multiply, (v, u.args[1]))))
    return b.node(
        np.multiply, (x, y), (), np.broadcast_shapes(_shape(x), _shape(y)), np.dtype(float)
    )


def _is_mild(c: Any) -> bool:
    """Whether a factor may be moved: products with it overflow or underflow in neither order."""
    return _is_number(c) and 1e-6 < abs(c) < 1e6


def _times_number(b: "Builder", x: Any, c: float) -> Any:
    if c == 1.0:
        return x
    if c == -1.0:
        return b.make(np.negative, (x,))
    if _is(x, np.negative):
        return b.make(np.multiply, (x.args[0], -c))
    if _is(x, np.multiply) and _is_mild(x.args[1]) and _is_mild(c):
        return b.make(np.multiply, (x.args[0], x.args[1] * c))
    if _is(x, np.true_divide) and _is_mild(x.args[0]) and _is_mild(c):
        return b.make(np.true_divide, (x.args[0] * c, x.args[1]))
    return b.node(np.multiply, (x, c), (), x.shape, _FLOAT)


def _divide(b: "Builder", x: Any, y: Any) -> Any:
    if _is_number(y):
        if y == 1.0:
            return x
        if y == -1.0:
            return b.make(np.negative, (x,))
        if abs(np.frexp(y)[0]) == 0.5 and abs(y) < 2.0**1000 and abs(y) > 2.0**-1000:
            return b.make(np.multiply, (x, 1.0 / y))  # exact, for a power of two
    if _is(x, np.negative) and _is(y, np.negative):
        return b.make(np.true_divide, (x.args[0], y.args[0]))
    if _is(x, np.negative) and _is_single(x) == _is_single(y):
        return b.make(np.negative, (b.make(np.true_divide, (x.args[0], y)),))
    if _is(y, np.negative):
        return b.make(np.true_divide, (b.make(np.negative, (x,)), y.args[0]))
    return None


def _power(b: "Builder", x: Any, n: Any) -> Any:
    if not _is_number(n):
        return None
    if n == 1.0:
        return x
    if n == 0.5:
        return b.make(np.sqrt, (x,))
    if n in (2.0, 3.0, 4.0):
        square = b.make(np.multiply, (x, x))
        other = {2.0: 1.0, 3.0: x, 4.0: square}[n]
        return b.make(np.multiply, (square, other))
    if n in (-1.0, -2.0, -3.0):
        return b.make(np.true_divide, (1.0, b.make(np.power, (x, -n))))
    return None


def _square(b: "Builder", x: Any) -> Any:
    if _is(x, np.negative) or _is(x, np.absolute):
        return b.make(np.square, x.args)
    return b.make(np.multiply, (x, x))


def _reciprocal(b: "Builder", x: Any) -> Any:
    return b.make(np.true_divide, (1.0, x))


def _absolute(b: "Builder", x: Any) -> Any:
    if _is(x, np.absolute) or _is(x, np.exp):
        return x
    return b.make(np.absolute, x.args) if _is(x, np.negative) else None


def _shape(a: Any) -> tuple[int, ...]:
    return np.shape(a) if not isinstance(a, Node) else a.shape


# --- Functions


def _decay(b: "Builder", x: Any) -> Any:
    """exp(-|x|), which `expit` and `log_expit` of x and of -x share."""
    return b.make(np.exp, (b.make(np.negative, (b.make(np.absolute, (x,)),)),))


def _expit(b: "Builder", x: Any) -> Any:
    """1 / (1 + exp(-x)), without overflow."""
    e = _decay(b, x)
    if _is(x, np.negative):
        top = b.make(np.where, (b.make(np.greater, (x.args[0], 0.0)), e, 1.0))
    else:
        top = b.make(np.where, (b.make(np.greater, (x, 0.0)), 1.0, e))
    return b.make(np.true_divide, (top, b.make(np.add, (e, 1.0))))


def _log_expit(b: "Builder", x: Any) -> Any:
    low = b.make(np.minimum, (x, 0.0))
    return b.make(np.subtract, (low, b.make(np.log1p, (_decay(b, x),))))


def _where(b: "Builder", args: tuple[Any, ...], options: Any, shape: Any, dtype: Any) -> Any:
    condition, x, y = args
    if type(condition) is bool:
        chosen = b.broadcast(x if condition else y, shape)
        return chosen if getattr(chosen, "dtype", np.dtype(type(chosen))) == dtype else None
    if x is y and isinstance(x, Node):
        return b.broadcast(x, shape)
    if _is(condition, np.logical_not) and condition.args[0].dtype == _BOOL:
        return b.make(np.where, (condition.args[0], y, x))
    return None


# --- Truth values


def _and(b: "Builder", args: tuple[Any, ...], options: Any, shape: Any, dtype: Any) -> Any:
    return _logical(b, args, shape, dtype, neutral=True)


def _or(b: "Builder", args: tuple[Any, ...], options: Any, shape: Any, dtype: Any) -> Any:
    return _logical(b, args, shape, dtype, neutral=False)


def _logical(b: "Builder", args: tuple[Any, ...], shape: Any, dtype: Any, neutral: bool) -> Any:
    if dtype != _BOOL:
        return None
    for x, y in (args, args[::-1]):
        if type(x) is bool and getattr(y, "dtype", None) == _BOOL:
            absorbed = np.broadcast_to(x, shape) if shape else x
            return b.broadcast(y, shape) if x is neutral else absorbed
    return b.broadcast(args[0], shape) if args[0] is args[1] else None


def _equal(b: "Builder", args: tuple[Any, ...], options: Any, shape: Any, dtype: Any) -> Any:
    """x - x = 0 where x is finite."""
    for x, y in (args, args[::-1]):
        if _is_number(y) and y == 0.0 and _is(x, np.subtract) and x.args[0] is x.args[1]:
            return b.make(np.isfinite, x.args[:1])
    return None


def _not(b: "Builder", args: tuple[Any, ...], options: Any, shape: Any, dtype: Any) -> Any:
    (x,) = args
    if dtype == _BOOL and x.dtype == _BOOL and x.op in (np.logical_not, np.invert):
        return x.args[0]
    return None


def _extreme(b: "Builder", args: tuple[Any, ...], options: Any, shape: Any, dtype: Any) -> Any:
    """`all`, `any`, `max` and `min` of a number, and of one that is repeated."""
    inner = b.narrow(args[0])
    alone = _shape(inner) == shape == () and not any(k == "initial" for k, _ in options)
    return inner if alone and inner.dtype == dtype else None


def _mean(b: "Builder", args: tuple[Any, ...], options: Any, shape: Any, dtype: Any) -> Any:
    (x,) = args
    if dtype != _FLOAT or dict(options).keys() - {"axis", "keepdims"}:
        return None
    count = math.prod(x.shape) / max(math.prod(shape), 1)
    return b.make(np.true_divide, (b.make(np.sum, args, options), count)) if count else None


# --- Rearranging


def _reshape(b: "Builder", args: tuple[Any, ...], options: Any, shape: Any, dtype: Any) -> Any:
    if options or len(args) != 2:
        return None
    x, asked = args
    if _shape(x) == shape and isinstance(x, Node):
        return x
    if _is(x, np.broadcast_to) and _shape(x.args[0]) == ():
        return b.broadcast(x.args[0], shape)
    if _is(x, np.reshape) and not x.options and len(x.args) == 2:
        return b.make(np.reshape, (x.args[0], shape), (), shape, dtype)
    if shape == () and (place := only_place(x)) is not None:
        return b.make(operator.getitem, (x.args[0], place), (), (), dtype)
    if asked != shape:
        return b.node(np.reshape, (x, shape), (), shape, dtype)
    return None


def _ravel(b: "Builder", args: tuple[Any, ...], options: Any, shape: Any, dtype: Any) -> Any:
    return (
        None if options or len(args) > 1 else b.make(np.reshape, (*args, shape), (), shape, dtype)
    )


def _broadcast_to(b: "Builder", args: tuple[Any, ...], options: Any, shape: Any, dtype: Any) -> Any:
    inner = b.narrow(args[0])
    if _shape(inner) == shape:
        return inner
    if inner is not args[0] or args[1] != shape:
        return b.node(np.broadcast_to, (inner, shape), (), shape, dtype)
    return None


def _swapaxes(b: "Builder", args: tuple[Any, ...], options: Any, shape: Any, dtype: Any) -> Any:
    if options or len(args) != 3:
        return None
    order = list(range(len(shape)))
    i, j = args[1] % len(shape), args[2] % len(shape)
    order[i], order[j] = order[j], order[i]
    return b.make(np.transpose, (args[0], tuple(order)), (), shape, dtype)


def _transpose(b: "Builder", args: tuple[Any, ...], options: Any, shape: Any, dtype: Any) -> Any:
    if options:
        return None
    (x, *rest) = args
    rank = len(shape)
    given = rest[0] if rest and rest[0] is not None else tuple(range(rank))[::-1]
    axes = tuple([a % rank for a in given])
    if axes == tuple(range(rank)) and isinstance(x, Node):
        return x
    if _is(x, np.transpose) and not x.options:
        inner = x.args[1]
        return b.make(np.transpose, (x.args[0], tuple([inner[a] for a in axes])), (), shape, dtype)
    return b.node(np.transpose, (x, axes), (), shape, dtype)


def _sum(b: "Builder", args: tuple[Any, ...], options: Any, shape: Any, dtype: Any) -> Any:
    return summed(b, args[0], options, shape) if dtype == _FLOAT else None


RULES: dict[Any, Rule] = {
    np.add: _of_floats(_add),
    np.subtract: _of_floats(_subtract),
    np.negative: _of_floats(_negative),
    np.multiply: _of_floats(_multiply),
    np.true_divide: _of_floats(_divide),
    np.power: _of_floats(_power),
    np.float_power: _of_floats(_power),
    np.square: _of_floats(_square),
    np.reciprocal: _of_floats(_reciprocal),
    np.absolute: _of_floats(_absolute),
    special.expit: _of_floats(_expit),
    special.log_expit: _of_floats(_log_expit),
    np.where: _where,
    np.bitwise_and: _and,
    np.logical_and: _and,
    np.bitwise_or: _or,
    np.logical_or: _or,
    np.logical_not: _not,
    np.invert: _not,
    np.equal: _equal,
    np.all: _extreme,
    np.any: _extreme,
    np.max: _extreme,
    np.min: _extreme,
    np.mean: _mean,
    np.reshape: _reshape,
    np.ravel: _ravel,
    np.broadcast_to: _broadcast_to,
    np.transpose: _transpose,
    np.swapaxes: _swapaxes,
    np.sum: _sum,
    operator.getitem: getitem,
    np.concatenate: concatenate,
}
"""A rule takes the builder, and the arguments, options, shape and dtype of an operation. It gives a
node or a constant of that shape, or None if there is nothing to simplify."""
