"""Forecasts of autoregressive series."""

from typing import Any, NamedTuple

import numpy as np

from genparams.dsl.distributions.domains import above_zero, as_operand, finite
from genparams.dsl.distributions.sequences.autoregressive import (
    mean_of,
    recursion,
    vector_of,
    whole_length,
)
from genparams.errors import ShapeError
from genparams.mistakes import explained
from genparams.types import Array, Numbers

NAME = "autoregressive_forecast"


class Forecast(NamedTuple):
    """The normal distribution of the values that follow a series."""

    mean: Array
    std: Array
    """The standard deviation of each value."""
    cov: Array
    """The covariance of all of them."""


@explained
def autoregressive_forecast(
    ys: Numbers, steps: int, coefficients: Numbers, std: Numbers, mean: Numbers = 0.0
) -> Forecast:
    """The distribution of the values after a series of `autoregressive`, given the series.

    With psi the response to one innovation, psi_0 = 1, the errors of the forecasts are
    sum_(j < h) psi_j e_(t+h-j) for h = 1, ..., steps.

    Args:
        ys: A series of at least p values.
        steps: How many values to forecast.
        coefficients, std: As for `autoregressive`, of one series.
        mean: A number, or the means of the series and of the values to come, one after the other.

    Returns:
        `mean`, `std` of shape (steps,) and `cov` of shape (steps, steps).

    Raises:
        ArgumentError: `steps` is not a whole number above 0.
        ShapeError: the series is shorter than p, or the mean has another length.
        DistributionError: an argument is outside its domain.
    """
    values, phi = _series("ys", ys), _series("coefficients", coefficients)
    steps, deviation = whole_length(steps, "steps", NAME), as_operand(NAME, "std", std)
    above_zero.check(NAME, "std", deviation)
    count, before = len(values), len(phi)
    if count < before:
        raise ShapeError(f"{NAME} needs at least {before} values of the series, got {count}")
    means = _series("mean", mean_of(mean, count + steps, count, NAME))
    right = np.zeros((before + steps, 1 + steps))
    right[:before, 0] = (values - means[:count])[count - before :]
    right[before:, 1:] = np.eye(steps)
    found = recursion(phi, [], right)[before:]
    cov = deviation**2 * found[:, 1:] @ found[:, 1:].T
    return Forecast(means[count:] + found[:, 0], np.sqrt(np.diagonal(cov)), cov)


def _series(name: str, value: Any) -> Array:
    """An argument as one vector of finite numbers."""
    value = vector_of(name, value, NAME)
    finite.check(NAME, name, value)
    if value.ndim > 1:
        raise ShapeError(f"{name} of {NAME} is one vector, got shape {value.shape}")
    return value
