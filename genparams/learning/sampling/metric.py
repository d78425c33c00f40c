"""Metrics: how momenta are scaled to the coordinates that they move.

A metric is an estimate Sigma of the covariance of the coordinates u. Momenta are drawn from
normal(0, Sigma^-1), and u moves by the velocity Sigma p. With the posterior covariance as Sigma, a
normal posterior is as easy to sample as independent standard normals. Sigma is the inverse of the
mass matrix; Stan calls it `inv_metric`.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from genparams.errors import InvalidValue, ShapeError
from genparams.text import brief
from genparams.types import Array


class Metric(Protocol):
    """A covariance of the coordinates."""

    @property
    def value(self) -> Array:
        """The variances, or the covariance matrix."""
        ...

    def momentum(self, rng: np.random.Generator) -> Array:
        """A draw from normal(0, Sigma^-1)."""
        ...

    def velocity(self, p: Array) -> Array:
        """Sigma p."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Diagonal:
    """A metric of variances alone."""

    value: Array
    mass_root: Array

    def momentum(self, rng: np.random.Generator) -> Array:
        return self.mass_root * rng.standard_normal(len(self.value))

    def velocity(self, p: Array) -> Array:
        return self.value * p


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """A metric with covariances."""

    value: Array
    mass_root: Array
    """R with R R^T = Sigma^-1."""

    def momentum(self, rng: np.random.Generator) -> Array:
        return self.mass_root @ rng.standard_normal(len(self.value))

    def velocity(self, p: Array) -> Array:
        return self.value @ p


def metric_of(given: Any, size: int) -> Metric:
    """The metric of `size` coordinates from None, variances, a covariance, or a metric.

    Raises:
        ShapeError: it has another shape.
        InvalidValue: a variance is not positive, or the covariance not positive definite.
    """
    if given is None:
        return Diagonal(np.ones(size), np.ones(size))
    metric = given if isinstance(given, (Diagonal, Dense)) else _from_array(given)
    if len(metric.value) != size:
        raise ShapeError(
            f"the selected choices have {size} coordinates; metric is an array of {size} variances "
            f"or a covariance matrix, got shape {metric.value.shape}"
        )
    return metric


def _from_array(given: Any) -> Diagonal | Dense:
    try:
        sigma = np.array(given, dtype=float)
    except (TypeError, ValueError):
        raise InvalidValue(f"metric is an array of numbers, got {brief(given)}") from None
    if sigma.ndim == 1:
        if not np.all((sigma > 0.0) & np.isfinite(sigma)):
            raise InvalidValue(f"the variances of a metric are above 0, got {brief(sigma)}")
        return Diagonal(sigma, 1.0 / np.sqrt(sigma))
    if sigma.ndim != 2 or sigma.shape[0] != sigma.shape[1]:
        raise ShapeError(
            f"metric is an array of variances or a square matrix, got shape {sigma.shape}"
        )
    if not np.allclose(sigma, sigma.T, rtol=1e-8, atol=0.0):
        raise InvalidValue("the covariance matrix of a metric is symmetric; this one is not")
    try:
        factor = np.linalg.cholesky(sigma)
    except np.linalg.LinAlgError:
        raise InvalidValue(
            "the covariance matrix of a metric is positive definite; this one is not"
        ) from None
    return Dense(sigma, np.linalg.inv(factor).T)
