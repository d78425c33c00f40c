"""The inverse of an information matrix, or the reason why there is none."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from genparams.learning.fitting.entries import combination
from genparams.types import Array

FLAT = 1e-13
"""An eigenvalue of the scaled matrix below this part of the largest is rounding noise."""


APART = 1e-2
"""A correlation of coordinates that do not depend on each other."""


@dataclass(frozen=True, slots=True)
class Inverse:
    """The inverse of an information matrix, NaN if there is none."""

    matrix: Array
    condition: float
    """The square root of the largest over the smallest eigenvalue of the matrix as it is, or of its
    worst block. For a linear regression it is the condition number of the design matrix, which
    packages print: the standard deviation of the noise is a block by itself.
    """
    reason: str = ""
    """Why there is no inverse; empty if there is one."""


def inverse_of(
    information: Array, names: Sequence[str], what: str = "the log likelihood"
) -> Inverse:
    """The inverse of a symmetric positive definite matrix, computed with a diagonal of ones.

        S = diag(d)^-1 A diag(d)^-1,    d_i = sqrt(A_ii),    A^-1 = diag(d)^-1 S^-1 diag(d)^-1

    S does not depend on the units of the coordinates.

    Args:
        names: Of the coordinates, for the reason if there is no inverse.
        what: Whose curvature it is, for the reason too.
    """
    if not len(information):
        return Inverse(information, 1.0)
    if not np.all(np.isfinite(information)):
        return _none(information, _not_finite(information, names))
    diagonal = np.diag(information)
    if np.any(diagonal <= 0.0):
        low = [name for name, d in zip(names, diagonal, strict=True) if d <= 0.0]
        return _none(information, f"{what} is flat or not concave along {', '.join(low)}")
    d = np.sqrt(diagonal)
    values, vectors = np.linalg.eigh(information / np.outer(d, d))
    if values[0] <= FLAT * values[-1]:
        along = combination(vectors[:, 0] / d, names)
        shape = "not concave" if values[0] < -FLAT * values[-1] else "flat"
        return _none(information, f"{what} is {shape} along {along}")
    half = vectors / np.sqrt(values) / d[:, None]
    matrix = half @ half.T
    return Inverse(matrix, _condition(information, matrix))


def _none(information: Array, reason: str) -> Inverse:
    return Inverse(np.full_like(information, np.nan), np.inf, reason)


def _not_finite(information: Array, names: Sequence[str]) -> str:
    wrong = ~np.all(np.isfinite(information), axis=1)
    named = ", ".join(name for name, bad in zip(names, wrong, strict=True) if bad)
    return f"the curvature is not finite along {named}"


def _condition(information: Array, inverse: Array) -> float:
    """The worst condition of the blocks of coordinates that depend on each other."""
    d = np.sqrt(np.diag(information))
    blocks = _blocks(np.abs(information / np.outer(d, d)) > APART)
    pairs = [(information[np.ix_(b, b)], inverse[np.ix_(b, b)]) for b in blocks]
    largest = [(np.linalg.eigvalsh(m)[-1], np.linalg.eigvalsh(i)[-1]) for m, i in pairs]
    return float(max(np.sqrt(a * b) for a, b in largest))


def _blocks(linked: Array) -> list[Array]:
    """The sets of coordinates that are linked, directly or by others."""
    labels = np.arange(len(linked))
    for _ in labels:
        lowest = np.min(np.where(linked, labels, len(linked)), axis=1)
        if np.array_equal(lowest, labels):
            break
        labels = lowest
    return [np.flatnonzero(labels == label) for label in np.unique(labels)]
