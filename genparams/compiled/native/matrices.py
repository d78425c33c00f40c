"""Linear algebra of small matrices, as jobs of a plan."""

import math
from typing import Any

import numpy as np

from genparams.compiled.algebra.builder import shape_of
from genparams.compiled.algebra.ir import Node
from genparams.compiled.native.assembling import copied, in_memory
from genparams.compiled.native.fuse import Lines, Value
from genparams.compiled.native.values import Values
from genparams.compiled.native.views import View
from genparams.errors import CannotRecord

LARGEST = 32
"""Larger matrices are better left to LAPACK."""


def inverse(values: Values, node: Node) -> Value:
    """`np.linalg.inv` of a matrix, or of each of a stack."""
    a, n, count = _matrices(values, node.args[0])
    return _solved(values, node, a, n, count, n, None)


def solution(values: Values, node: Node) -> Value:
    """`np.linalg.solve`."""
    a, n, count = _matrices(values, node.args[0])
    b = values.of(node.args[1])
    if math.prod(node.shape) != b.size or (b.shape[-1:] != (n,) and len(b.shape) < 2):
        raise CannotRecord("np.linalg.solve with broadcasting, for numba")
    return _solved(values, node, a, n, count, b.size // (n * count), b)


def determinant(values: Values, node: Node) -> Value:
    """`np.linalg.det`."""
    a, n, count = _matrices(values, node.args[0])
    found = values.new(node, ready=a.ready)
    found.view = values.plan.memory(node.shape, "f")
    _each(values, a, n, count, 0, None, found.view)
    return found


def sign_and_log(values: Values, node: Node) -> Value:
    """`np.linalg.slogdet`: the sign of the determinant, and the logarithm of its size."""
    a = node.args[0]
    det = Node(np.linalg.det, (a,), (), shape_of(a)[:-2], np.dtype(float))
    size = Node(np.absolute, (det,), (), det.shape, det.dtype)
    both = [Node(op, (x,), (), det.shape, det.dtype) for op, x in ((np.sign, det), (np.log, size))]
    values.parts[node] = [values.of(x) for x in both]
    return values.parts[node][0]


def factor(values: Values, node: Node) -> Value:
    """`np.linalg.cholesky`."""
    a, n, count = _matrices(values, node.args[0])
    found = values.new(node, ready=a.ready)
    to = found.view = values.plan.memory(node.shape, "f")
    view = a.view
    assert view is not None

    def job(section: Lines) -> None:
        places = f"{view.first} + {n * n} * k, {to.base}, {to.first} + {n * n} * k, {n}"
        section.body += [f"for k in range({count}):", f"  cholesky({view.base}, {places})"]

    values.plan.in_section(a.ready, job)
    return found


def _matrices(values: Values, x: Any) -> tuple[Value, int, int]:
    """Matrices that lie one after the other in memory, their size, and how many there are."""
    a = values.of(x)
    n = a.shape[-1]
    if a.kind != "f" or n > LARGEST:
        raise CannotRecord(f"linear algebra of matrices with {n} rows, for numba")
    values.plan.read_in_section(a)
    if not values.plan.stored(a).is_contiguous or a.view is None or a.view.base != "w":
        a = in_memory(values, a)
    return a, n, a.size // (n * n)


def _solved(
    values: Values, node: Node, a: Value, n: int, count: int, m: int, b: Value | None
) -> Value:
    """a^-1 b; the inverse where b is None."""
    view = values.plan.memory(node.shape, "f")
    level = a.ready
    if b is None:
        level = max(level, _identities(values, view, n, count))
    else:
        level = max(level, copied(values, b, view))
    found = values.new(node, ready=level, view=view)
    _each(values, Value(a.shape, "f", level, view=a.view), n, count, m, view, None)
    return found


def _identities(values: Values, view: View, n: int, count: int) -> int:
    def job(section: Lines) -> None:
        first, end = view.first, view.first + n * n * count
        section.body += [
            f"w[{first}:{end}] = 0.0",
            f"for k in range({count}):",
            f"  for i in range({n}): w[{first} + {n * n} * k + {n + 1} * i] = 1.0",
        ]

    values.plan.in_section(0, job)
    return 0


def _each(
    values: Values, a: Value, n: int, count: int, m: int, out: View | None, det: View | None
) -> None:
    """Solve with each matrix of a stack, or find its determinant."""
    room = values.plan.memory((n * n,), "f").first
    source = a.view
    assert source is not None
    to = f"{out.first} + {n * m} * k" if out else "0"

    def job(section: Lines) -> None:
        call = f"solve(w, {source.first} + {n * n} * k, {room}, w, {to}, {n}, {m})"
        line = f"w[{det.first} + k] = {call}" if det else call
        section.body += [f"for k in range({count}):", f"  {line}"]

    values.plan.in_section(a.ready, job)


LINEAR_ALGEBRA = {
    np.linalg.inv: inverse,
    np.linalg.solve: solution,
    np.linalg.det: determinant,
    np.linalg.slogdet: sign_and_log,
    np.linalg.cholesky: factor,
}
