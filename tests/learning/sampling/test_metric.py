"""Metrics: the covariance of the coordinates, from which momenta are drawn by its inverse."""

import numpy as np
import pytest

from genparams.errors import InvalidValue, ShapeError
from genparams.learning.sampling.metric import metric_of

COV = np.array([[1.0, 0.3], [0.3, 0.5]])


class Columns(np.random.Generator):
    """A generator whose standard normal draws are a unit vector."""

    def __init__(self, k):
        super().__init__(np.random.PCG64(0))
        self.k = k

    def standard_normal(self, size=None, *args, **named):
        return np.eye(size)[self.k]  # type: ignore[call-overload]


@pytest.mark.parametrize("given", [None, [2.0, 0.5], COV])
def test_momenta_have_the_inverse_of_the_metric_as_covariance(given):
    metric = metric_of(given, 2)
    root = np.column_stack([metric.momentum(Columns(k)) for k in range(2)])
    velocities = np.column_stack([metric.velocity(e) for e in np.eye(2)])
    assert root @ root.T @ velocities == pytest.approx(np.eye(2))
    expected = np.eye(2) if given is None else np.diag(given) if np.ndim(given) == 1 else given
    assert velocities == pytest.approx(expected)


def test_a_metric_is_its_own_metric():
    metric = metric_of(COV, 2)
    assert metric_of(metric, 2) is metric


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ([1.0, 2.0, 3.0], ShapeError, r"2 coordinates.*shape \(3,\)"),
        (np.eye(3), ShapeError, r"2 coordinates.*shape \(3, 3\)"),
        (np.ones((2, 3)), ShapeError, r"square matrix, got shape \(2, 3\)"),
        (1.0, ShapeError, r"square matrix, got shape \(\)"),
        ([1.0, 0.0], InvalidValue, "variances of a metric are above 0"),
        ([1.0, np.nan], InvalidValue, "variances of a metric are above 0"),
        ([[1.0, 2.0], [2.0, 1.0]], InvalidValue, "positive definite"),
        ([[1.0, 0.5], [0.0, 1.0]], InvalidValue, "symmetric"),
        ("dense", InvalidValue, "array of numbers, got 'dense'"),
    ],
)
def test_what_is_no_metric_is_refused(given, error, message):
    with pytest.raises(error, match=message):
        metric_of(given, 2)
