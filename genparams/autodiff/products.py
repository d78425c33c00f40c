"""Products of matrices and tensors."""

import math
from collections.abc import Sequence
from functools import reduce
from string import ascii_letters
from typing import Any

import numpy

from genparams.autodiff.refusals import refusal
from genparams.autodiff.tape import np, operand, shape_of, sum_to, unbox


def matmul(a: Any, b: Any, /) -> Any:
    """`a @ b`, of vectors, matrices and stacks of matrices."""
    a, b = operand(a), operand(b)
    tape, (x, y) = unbox((a, b))
    value = np.matmul(x, y)
    if tape is None:
        return value
    edges = [(a, lambda g: _left_factor(g, x, y)), (b, lambda g: _right_factor(g, x, y))]
    return tape.record(value, edges)


def _left_factor(g: Any, x: Any, y: Any) -> Any:
    rows, columns = len(shape_of(x)) == 1, len(shape_of(y)) == 1
    if columns:
        return sum_to((g if rows else np.expand_dims(g, -1)) * y, shape_of(x))
    # a vector meets each matrix of the stack from the left
    found = _matrix_times(y, g) if rows else np.matmul(g, _turned(y))
    return sum_to(found, shape_of(x))


def _right_factor(g: Any, x: Any, y: Any) -> Any:
    rows, columns = len(shape_of(x)) == 1, len(shape_of(y)) == 1
    if columns:
        if rows:
            return g * x
        return sum_to(_matrix_times(_turned(x), g), shape_of(y))
    found = np.expand_dims(x, -1) * np.expand_dims(g, -2) if rows else np.matmul(_turned(x), g)
    return sum_to(found, shape_of(y))


def _turned(a: Any) -> Any:
    """The transpose of a matrix, or of each of a stack."""
    if type(a) is numpy.ndarray and a.ndim == 2:
        return a.T
    return np.swapaxes(a, -1, -2)


def _matrix_times(a: Any, g: Any) -> Any:
    """A matrix, or each of a stack, times a vector, or each of a stack."""
    if len(shape_of(a)) == 2 and len(shape_of(g)) == 1:
        return np.matmul(a, g)
    return np.matmul(a, np.expand_dims(g, -1))[..., 0]


def dot(a: Any, b: Any) -> Any:
    a, b = operand(a), operand(b)
    if not shape_of(a) or not shape_of(b):
        return a * b
    if len(shape_of(b)) == 1 or len(shape_of(a)) <= 2 >= len(shape_of(b)):
        return matmul(a, b)
    return tensordot(a, b, axes=([-1], [-2]))


def vdot(a: Any, b: Any, /) -> Any:
    return np.sum(np.reshape(operand(a), (-1,)) * np.reshape(operand(b), (-1,)))


def inner(a: Any, b: Any, /) -> Any:
    a, b = operand(a), operand(b)
    if not shape_of(a) or not shape_of(b):
        return a * b
    return tensordot(a, b, axes=([-1], [-1]))


def outer(a: Any, b: Any) -> Any:
    return np.reshape(operand(a), (-1, 1)) * np.reshape(operand(b), (1, -1))


def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """One product of matrices, whose inner axis is all axes that are summed over."""
    a, b = operand(a), operand(b)
    n, m = len(shape_of(a)), len(shape_of(b))
    if isinstance(axes, int):
        of_a, of_b = list(range(n - axes, n)), list(range(axes))
    else:
        of_a, of_b = (
            [i % k for i in np.atleast_1d(e).tolist()] for e, k in zip(axes, (n, m), strict=True)
        )
    kept_a = [i for i in range(n) if i not in of_a]
    kept_b = [i for i in range(m) if i not in of_b]
    count = _size(a, of_a)
    left = np.reshape(np.transpose(a, (*kept_a, *of_a)), (_size(a, kept_a), count))
    right = np.reshape(np.transpose(b, (*of_b, *kept_b)), (count, _size(b, kept_b)))
    shape = (*(shape_of(a)[i] for i in kept_a), *(shape_of(b)[i] for i in kept_b))
    return np.reshape(matmul(left, right), shape)


def _size(a: Any, axes: Sequence[int]) -> int:
    return math.prod(shape_of(a)[i] for i in axes)


def kron(a: Any, b: Any) -> Any:
    a, b = operand(a), operand(b)
    n = max(len(shape_of(a)), len(shape_of(b)))
    s, t = ((1,) * (n - len(shape_of(v))) + shape_of(v) for v in (a, b))
    wide_a = np.reshape(a, tuple(k for i in s for k in (i, 1)))
    wide_b = np.reshape(b, tuple(k for i in t for k in (1, i)))
    return np.reshape(wide_a * wide_b, tuple(i * k for i, k in zip(s, t, strict=True)))


def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return np.sum(np.diagonal(a, offset, axis1, axis2), axis=-1)


def linalg_trace(x: Any, /, *, offset: int = 0) -> Any:
    return trace(x, offset, -2, -1)


def vecdot(a: Any, b: Any, /, *, axis: int = -1) -> Any:
    a, b = np.moveaxis(operand(a), axis, -1), np.moveaxis(operand(b), axis, -1)
    return np.sum(a * b, axis=-1)


def matvec(a: Any, b: Any, /) -> Any:
    return np.matmul(operand(a), np.expand_dims(operand(b), -1))[..., 0]


def vecmat(a: Any, b: Any, /) -> Any:
    return np.matmul(np.expand_dims(operand(a), -2), operand(b))[..., 0, :]


def multi_dot(arrays: Sequence[Any]) -> Any:
    return reduce(dot, arrays)


def matrix_power(a: Any, n: int) -> Any:
    if n < 0:
        a, n = np.linalg.inv(a), -n
    if n == 0:
        return np.linalg.matrix_power(np.ones(shape_of(a)), 0)
    return reduce(matmul, [a] * n)


def cross(a: Any, b: Any, axis: int = -1) -> Any:
    a, b = np.moveaxis(operand(a), axis, -1), np.moveaxis(operand(b), axis, -1)
    if shape_of(a)[-1] != 3 or shape_of(b)[-1] != 3:
        raise refusal("numpy.cross of vectors of two entries", "vectors of three")
    x, y = [1, 2, 0], [2, 0, 1]
    return np.moveaxis(a[..., x] * b[..., y] - a[..., y] * b[..., x], -1, axis)


def linalg_cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    return cross(x1, x2, axis)


# --- einsum


def einsum(subscripts: Any, *operands: Any, optimize: Any = False) -> Any:
    """`np.einsum` with its subscripts as one string.

    First each operand is reduced until it has no index twice, and no index that occurs nowhere
    else. The cotangent of an operand is then an einsum too, of the cotangent of the result and the
    other operands.
    """
    if not isinstance(subscripts, str):
        raise refusal("numpy.einsum without a string of subscripts", "einsum('ij,j->i', a, b)")
    given = [operand(v) for v in operands]
    inputs, output = _subscripts(subscripts, [len(shape_of(v)) for v in given])
    for i, v in enumerate(given):
        inputs[i], given[i] = _without_twice(inputs[i], v)
    for i, v in enumerate(given):
        elsewhere = set(output).union(*(s for k, s in enumerate(inputs) if k != i))
        lone = tuple(k for k, c in enumerate(inputs[i]) if c not in elsewhere)
        if lone:
            given[i] = np.sum(v, axis=lone)
            inputs[i] = "".join(c for c in inputs[i] if c in elsewhere)
    _refuse_stretching(inputs, given)
    tape, values = unbox(given)
    value = np.einsum(f"{','.join(inputs)}->{output}", *values)
    if tape is None:
        return value

    def pull_to(i: int) -> Any:
        others = [k for k in range(len(values)) if k != i]
        formula = f"{','.join([output, *(inputs[k] for k in others)])}->{inputs[i]}"
        return lambda g: np.einsum(formula, g, *(values[k] for k in others))

    return tape.record(value, [(v, pull_to(i)) for i, v in enumerate(given)])


def _subscripts(text: str, ndims: Sequence[int]) -> tuple[list[str], str]:
    """The indices of each operand and of the result, with letters in place of an ellipsis."""
    text = text.replace(" ", "")
    left, arrow, right = text.partition("->")
    inputs = left.split(",")
    free = [c for c in ascii_letters if c not in text]
    depths = [n - len(s.replace("...", "")) for s, n in zip(inputs, ndims, strict=True)]
    depth = max((d for s, d in zip(inputs, depths, strict=True) if "..." in s), default=0)
    letters = "".join(free[:depth])
    inputs = [
        s.replace("...", letters[depth - d :] if d > 0 else "")
        for s, d in zip(inputs, depths, strict=True)
    ]
    if arrow:
        return inputs, right.replace("...", letters)
    counts = "".join(inputs)
    once = sorted(c for c in set(counts) if counts.count(c) == 1 and c not in letters)
    return inputs, letters + "".join(once)


def _without_twice(names: str, value: Any) -> tuple[str, Any]:
    """An operand with the diagonal taken where an index occurs twice."""
    for c in names:
        while names.count(c) > 1:
            first = names.index(c)
            second = names.index(c, first + 1)
            value = np.diagonal(value, axis1=first, axis2=second)
            names = "".join(n for k, n in enumerate(names) if k not in (first, second)) + c
    return names, value


def _refuse_stretching(inputs: Sequence[str], given: Sequence[Any]) -> None:
    lengths: dict[str, int] = {}
    for names, value in zip(inputs, given, strict=True):
        for c, n in zip(names, shape_of(value), strict=True):
            if lengths.setdefault(c, n) != n:
                raise refusal("numpy.einsum that broadcasts an axis of length 1", "equal lengths")


# --- Convolution


def convolve(a: Any, v: Any, mode: str = "full") -> Any:
    """sum_i a_i v_{k - i}: a matrix of shifted `v` times `a`."""
    a, v = np.reshape(operand(a), (-1,)), np.reshape(operand(v), (-1,))
    if shape_of(a)[0] < shape_of(v)[0]:
        a, v = v, a
    n, m = shape_of(a)[0], shape_of(v)[0]
    if mode not in ("full", "same", "valid"):
        raise refusal(f"numpy.convolve in mode {mode!r}", "mode 'full', 'same' or 'valid'")
    start, stop = {
        "full": (0, n + m - 1),
        "same": ((m - 1) // 2, (m - 1) // 2 + n),
        "valid": (m - 1, n),
    }[mode]
    places = np.arange(start, stop)[:, None] - np.arange(m)
    inside = (places >= 0) & (places < n)
    return matmul(np.where(inside, a[np.where(inside, places, 0)], 0.0), v)


def correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    a, v = np.reshape(operand(a), (-1,)), np.reshape(operand(v), (-1,))
    if shape_of(a)[0] < shape_of(v)[0]:
        if mode == "same":
            raise refusal("numpy.correlate of a short array with a long one", "the long one first")
        return np.flip(convolve(np.flip(a), v, mode))
    return convolve(a, np.flip(v), mode)
