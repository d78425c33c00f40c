"""Linear algebra of small matrices in flat arrays, for loops that numba compiles.

A matrix of n rows lies row by row from `first` on. What cannot be computed is NaN.
"""

from math import nan, sqrt
from typing import Any

Flat = Any
"""A flat array of floats."""


def cholesky(a: Flat, first: int, out: Flat, to: int, n: int) -> None:
    """The lower triangular factor L of a positive definite matrix, a = L L'."""
    for i in range(n):
        for j in range(n):
            out[to + n * i + j] = 0.0
        for j in range(i + 1):
            total = a[first + n * i + j]
            for k in range(j):
                total -= out[to + n * i + k] * out[to + n * j + k]
            if i == j:
                out[to + n * i + i] = sqrt(total) if total > 0.0 else nan
            else:
                out[to + n * i + j] = total / out[to + n * j + j]


def solve(a: Flat, first: int, room: int, out: Flat, to: int, n: int, m: int) -> float:
    """Solve a x = b by elimination with pivots: b, of m columns, lies in `out` and becomes x.

    Returns the determinant of the matrix.

    Args:
        room: Where in `a` there is room for a copy of the matrix.
    """
    for i in range(n * n):
        a[room + i] = a[first + i]
    determinant = 1.0
    for k in range(n):
        pivot = k
        for i in range(k + 1, n):
            if abs(a[room + n * i + k]) > abs(a[room + n * pivot + k]):
                pivot = i
        if pivot != k:
            determinant = -determinant
            for j in range(n):
                a[room + n * k + j], a[room + n * pivot + j] = (
                    a[room + n * pivot + j],
                    a[room + n * k + j],
                )
            for j in range(m):
                u, v = to + m * k + j, to + m * pivot + j
                out[u], out[v] = out[v], out[u]
        top = a[room + n * k + k]
        determinant *= top
        if m > 0 and top == 0.0:
            top = nan
        for i in range(k + 1, n):
            factor = a[room + n * i + k] / top if top != 0.0 else 0.0
            for j in range(k + 1, n):
                a[room + n * i + j] -= factor * a[room + n * k + j]
            for j in range(m):
                out[to + m * i + j] -= factor * out[to + m * k + j]
    for k in range(n - 1, -1, -1):
        top = a[room + n * k + k]
        if top == 0.0:
            top = nan
        for j in range(m):
            total = out[to + m * k + j]
            for i in range(k + 1, n):
                total -= a[room + n * k + i] * out[to + m * i + j]
            out[to + m * k + j] = total / top
    return determinant


FUNCTIONS = {f.__name__: f for f in (cholesky, solve)}
