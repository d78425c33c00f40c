"""Algebra of sums: a sum of products is one inner product, and factors leave the sum.

A sum of a difference stays one sum: the sums of both parts could be large and nearly equal.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from genparams.compiled.algebra.ir import Node
from genparams.compiled.algebra.shapes import axes_of

if TYPE_CHECKING:
    from genparams.compiled.algebra.builder import Builder


def inner(x: Any, y: Any) -> float:
    """The sum of the products of all entries of two arrays of one shape."""
    return float(np.dot(np.ravel(x), np.ravel(y)))


def summed(b: "Builder", x: Any, options: tuple[Any, ...], shape: tuple[int, ...]) -> Any:
    """The sum of floats along axes, simplified; None if there is nothing to simplify."""
    if isinstance(x, np.ndarray):
        return None
    given = dict(options)
    if given.keys() - {"axis", "keepdims"}:
        return None
    axes = axes_of(given.get("axis"), len(x.shape))
    if not any(x.shape[a] != 1 for a in axes):
        return b.make(np.reshape, (x, shape), (), shape, x.dtype) if x.shape != shape else x
    if x.op is np.broadcast_to:
        return _of_repeated(b, x, axes, shape)
    if given.get("keepdims"):
        return b.make(np.reshape, (_along(b, x, axes), shape), (), shape, x.dtype)
    outside = _factored(b, x, lambda y: _along(b, y, axes))
    if outside is not None:
        return outside
    if shape == ():
        return _total(b, x)
    return _of_reshaped(b, x, axes, shape) if x.op is np.reshape else None


def _of_floats(x: Node) -> bool:
    """Whether an operation has no truth values or whole numbers as arguments."""
    return all(getattr(a, "dtype", np.dtype(float)) == np.dtype(float) for a in x.args)


def _along(b: "Builder", x: Any, axes: tuple[int, ...]) -> Any:
    return b.make(np.sum, (x,), (("axis", axes),))


def _of_reshaped(b: "Builder", x: Node, axes: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    """The sum of an array in which axes of length 1 came or went: of what it was before."""
    y = x.args[0]
    if [n for n in _shape(y) if n != 1] != [n for n in x.shape if n != 1]:
        return None
    after = [a for a, n in enumerate(x.shape) if n != 1]
    before = [a for a, n in enumerate(_shape(y)) if n != 1]
    mine = tuple([i for a, i in zip(after, before, strict=True) if a in axes])
    return b.make(np.reshape, (_along(b, y, mine), shape), (), shape, x.dtype)


def _of_repeated(b: "Builder", x: Node, axes: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    """The sum of an array that was broadcast: of what it was before, times a number."""
    y = x.args[0]
    before = (1,) * (len(x.shape) - len(y.shape)) + y.shape
    times = math.prod(x.shape[a] for a in axes if before[a] == 1)
    rest = tuple([a for a in axes if before[a] != 1])
    if shape == () and not rest:
        return b.make(np.multiply, (b.make(np.reshape, (y, ()), (), (), x.dtype), float(times)))
    y = b.make(np.reshape, (y, before), (), before, x.dtype) if y.shape != before else y
    if rest:
        y = b.make(np.sum, (y,), (("axis", rest), ("keepdims", True)))
    y = b.make(np.multiply, (y, float(times)))
    kept = tuple([1 if a in axes else n for a, n in enumerate(x.shape)])
    return b.make(np.reshape, (b.broadcast(y, kept), shape), (), shape, x.dtype)


def _factored(b: "Builder", x: Node, of: Any) -> Any:
    """`of(x)`, a sum, with factors that are single numbers, and signs, outside."""
    if x.op is np.negative:
        return b.make(np.negative, (of(x.args[0]),))
    if x.op in (np.multiply, np.true_divide) and _of_floats(x):
        u, v = x.args
        if _shape(v) == () and _shape(u) == x.shape:
            return b.make(x.op, (of(u), v))
        if x.op is np.multiply and _shape(u) == () and _shape(v) == x.shape:
            return b.make(x.op, (of(v), u))
    return None


def _total(b: "Builder", x: Node) -> Any:
    """The sum of all entries."""
    if not _of_floats(x):
        return None
    if x.op is np.multiply and _shape(x.args[0]) == _shape(x.args[1]) == x.shape:
        return dot(b, *x.args)
    if x.op in (np.add, np.subtract):
        u, v = x.args
        if _shape(u) == _shape(v) == x.shape:
            return b.make(x.op, (_sum(b, u), _sum(b, v))) if _one_sided(x) else None
        if _shape(v) == () and _bends(u):
            return b.make(x.op, (_sum(b, u), _times(b, v, x.shape)))
        if _shape(u) == () and _bends(v):
            return b.make(x.op, (_times(b, u, x.shape), _sum(b, v)))
    if x.op in (np.reshape, np.transpose):
        return _sum(b, x.args[0])
    return None


def _sum(b: "Builder", x: Any) -> Any:
    return b.make(np.sum, (x,), (), (), np.dtype(float))


def _times(b: "Builder", x: Any, shape: tuple[int, ...]) -> Any:
    return b.make(np.multiply, (x, float(math.prod(shape))))


def dot(b: "Builder", x: Any, y: Any) -> Any:
    """The inner product of arrays of one shape, with factors and signs outside."""
    for u, v in ((x, y), (y, x)):
        if isinstance(u, Node):
            outside = _factored(b, u, lambda w, v=v: dot(b, w, v))
            if outside is not None:
                return outside
            if u.op is np.broadcast_to and u.args[0].shape == ():
                return b.make(np.multiply, (_sum(b, v), u.args[0]))
    return _of_shifted(b, x, y) or b.make(inner, (x, y), (), (), np.dtype(float))


def _of_shifted(b: "Builder", x: Any, y: Any) -> Any:
    """The inner product of z - c and z + c for a number c: that of z and z, less n c^2."""
    if not (isinstance(x, Node) and isinstance(y, Node)) or {x.op, y.op} != {np.add, np.subtract}:
        return None
    (z, c), (w, d) = x.args, y.args
    if z is not w or type(c) is not float or c != d or _shape(z) != x.shape or not _of_floats(x):
        return None
    return b.make(np.subtract, (dot(b, z, z), float(math.prod(x.shape)) * c * c))


def _shape(a: Any) -> tuple[int, ...]:
    return a.shape if isinstance(a, Node) else np.shape(a)


_BENT = {np.log, np.log1p, np.exp, np.square, np.sqrt, np.absolute, special.gammaln}


def _bends(x: Any) -> bool:
    """Whether entries are made by a product or a function that a single number does not shift.

    A residual `y - mean` must not be split: both sums may be large.
    """
    if not isinstance(x, Node):
        return False
    if x.op is np.multiply and () not in map(_shape, x.args):
        return True
    if x.op is np.negative or (x.op in (np.multiply, np.true_divide) and _shape(x.args[1]) == ()):
        return _bends(x.args[0])
    return x.op in _BENT or (x.op in (np.add, np.subtract) and all(map(_bends, x.args)))


def _one_sided(x: Node) -> bool:
    """Whether the parts of a sum or difference have the same sign, so that nothing cancels."""
    signs = [_sign(a) for a in x.args]
    return 0 not in signs and (signs[0] == signs[1]) == (x.op is np.add)


def _sign(x: Any) -> int:
    """The sign that every entry has, or 0 if it is not known."""
    if type(x) is float:
        return 1 if x > 0.0 else -1 if x < 0.0 else 0
    if not isinstance(x, Node):
        return 0
    if x.op is np.negative:
        return -_sign(x.args[0])
    if x.op is np.multiply:
        return 1 if x.args[0] is x.args[1] else _sign(x.args[0]) * _sign(x.args[1])
    if x.op in (np.exp, np.absolute, np.sqrt):
        return 1
    if x.op is np.log1p:
        return 1 if _sign(x.args[0]) > 0 else 0
    if x.op is np.minimum and x.args[1] == 0.0:
        return -1
    if x.op is np.maximum and x.args[1] == 0.0:
        return 1
    if x.op in (np.add, np.subtract) and _one_sided(x):
        return _sign(x.args[0])
    return 0
