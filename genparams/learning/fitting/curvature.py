"""Matrices of second derivatives, in coordinates of any units."""

import numpy as np

from genparams.dsl.likelihood.likelihood import Second
from genparams.types import Array


def scale_of(matrix: Array) -> Array:
    """The root of the size of each diagonal entry; 1 for an entry of 0."""
    found = np.sqrt(np.abs(np.diag(matrix)))
    return np.where(found > 0.0, found, 1.0)


def spectrum(matrix: Array, scale: Array) -> tuple[Array, Array]:
    """The eigenvalues, in ascending order, and eigenvectors of D^-1 A D^-1, for D = diag(scale)."""
    values, vectors = np.linalg.eigh(matrix / scale / scale[:, None])
    return values, vectors


def is_finite(at: Second) -> bool:
    """Whether all numbers are finite."""
    return bool(
        np.isfinite(at.log_prob)
        and np.all(np.isfinite(at.gradient))
        and np.all(np.isfinite(at.matrix))
    )
