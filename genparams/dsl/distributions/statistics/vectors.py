"""The expected information of distributions with vectors or matrices as arguments.

It is summed from the tangents themselves: no matrix is made for each member of the batch but those
that the tangents hold.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import special

from genparams.dsl.distributions.statistics.contraction import count_of, padded, summed_to
from genparams.dsl.distributions.statistics.entries import trigamma
from genparams.dsl.distributions.statistics.known import Information, Shape, Unknown

_OFF_SIMPLEX = Unknown("the derivatives of its probs by a parameter do not sum to 0")


def gram(a: Any, weights: Any) -> Any:
    """The sum of w a a^T over all axes of the tangents `a` but the first."""
    rows = a.reshape(len(a), -1)
    return (rows * np.broadcast_to(weights, a.shape[1:]).ravel()) @ rows.T


def _column(weights: Any) -> Any:
    return np.asarray(weights)[..., None]


# --- Probabilities and log weights


def by_probs(probs: Any, tangent: Any, times: Any, batch: Shape) -> Any:
    """sum_k times_k da_k db_k / probs_k, for `times` draws of one category each."""
    moves = np.any(tangent != 0.0, axis=0)
    if np.any(np.abs(np.sum(tangent, axis=-1)) > 1e-6 * np.sum(np.abs(tangent), axis=-1)):
        return _OFF_SIMPLEX
    weights = np.divide(1.0, probs, where=moves, out=np.zeros(np.shape(probs)))
    return gram(tangent, weights * _column(summed_to(times, batch, np.shape(probs)[:-1])))


def _by_logits(logits: Any, tangent: Any, batch: Shape) -> Any:
    """The covariance of the tangents' entries, where entry k has the probability of category k."""
    probs = special.softmax(logits, axis=-1)
    off = tangent - np.sum(probs * tangent, axis=-1, keepdims=True)
    return gram(off, probs * _column(summed_to(1.0, batch, np.shape(logits)[:-1])))


def categorical(args: Sequence[Any], tangents: Sequence[Any], batch: Shape) -> Any:
    return by_probs(args[0], tangents[0], 1.0, batch)


def categorical_by_logits(args: Sequence[Any], tangents: Sequence[Any], batch: Shape) -> Any:
    return _by_logits(args[0], tangents[0], batch)


def multinomial(args: Sequence[Any], tangents: Sequence[Any], batch: Shape) -> Any:
    n, probs = args
    return by_probs(probs, tangents[1], n, batch)


# --- Dirichlet


def _trigamma_excess(x: Any) -> Any:
    """psi'(x) - 1 / x: about 1 / (2 x^2) for large x."""
    large = x > 30.0
    b = 1.0 / np.where(large, x, 30.0)
    c = b * b
    rest = 1 / 6 - c * (1 / 30 - c * (1 / 42 - c * (1 / 30 - c * (5 / 66 - c * 691 / 2730))))
    near = np.where(large, 30.0, x)
    return np.where(large, c * (0.5 + b * rest), trigamma(near) - 1.0 / near)


def dirichlet(args: Sequence[Any], tangents: Sequence[Any], batch: Shape) -> Any:
    """diag(psi'(alpha)) - psi'(sum alpha), with 1 / alpha taken out of each psi'.

    What is taken out is the variance of the tangents of log alpha, by weights alpha.
    """
    (alpha,), (tangent,) = args, tangents
    times = summed_to(1.0, batch, np.shape(alpha)[:-1])
    mass, total = np.sum(alpha, axis=-1), np.sum(tangent, axis=-1)
    off = tangent / alpha - _column(total / mass)
    each = gram(tangent, _trigamma_excess(alpha) * _column(times))
    return gram(off, alpha * _column(times)) + each - gram(total, _trigamma_excess(mass) * times)


# --- The multivariate normal


def _symmetric(a: Any) -> Any:
    return 0.5 * (a + np.swapaxes(a, -1, -2))


def _by_cov(inverse: Any, tangent: Any, factor: Any) -> Any:
    """L^-1 dcov L^-T / sqrt(2)."""
    moved = inverse @ tangent @ np.swapaxes(inverse, -1, -2)
    return math.sqrt(0.5) * _symmetric(moved)


def _by_factor(inverse: Any, tangent: Any, factor: Any) -> Any:
    """L^-1 dcov L^-T / sqrt(2), for dcov = dL L^T + L dL^T."""
    return math.sqrt(2.0) * _symmetric(inverse @ np.tril(tangent))


def _normal(factor_of: Callable[[Any], Any], moved: Callable[..., Any]) -> Information:
    """With V = L^-1 dcov L^-T, dmean^T cov^-1 dmean + trace(V V) / 2."""

    def information(args: Sequence[Any], tangents: Sequence[Any], batch: Shape) -> Any:
        mean, matrix = args
        by_mean, by_matrix = tangents
        factor = factor_of(matrix)
        inverse = np.linalg.inv(factor)
        found = np.zeros((count_of(tangents),) * 2)
        if by_mean is not None:
            shape = np.broadcast_shapes(np.shape(mean)[:-1], np.shape(matrix)[:-2])
            rows = padded(by_mean, len(shape), 1)
            z = _times_rows(rows, np.swapaxes(inverse, -1, -2))
            found += gram(z, _column(summed_to(1.0, batch, shape)))
        if by_matrix is not None:
            shape = np.shape(matrix)[:-2]
            v = moved(inverse, by_matrix, factor)
            found += gram(v, _column(_column(summed_to(1.0, batch, shape))))
        return found

    return information


def _times_rows(rows: Any, matrix: Any) -> Any:
    """Each vector of `rows` times its matrix, or the one matrix of all."""
    return rows @ matrix if matrix.ndim == 2 else np.squeeze(rows[..., None, :] @ matrix, -2)


mvnormal = _normal(np.linalg.cholesky, _by_cov)
mvnormal_by_factor = _normal(lambda factor: factor, _by_factor)
