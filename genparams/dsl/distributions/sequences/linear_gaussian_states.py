"""The states of a linear Gaussian model given its observations, and forecasts."""

from typing import Any, NamedTuple

import numpy as np

from genparams.autodiff import raw
from genparams.dsl.call import Call
from genparams.dsl.distributions.sequences.autoregressive import whole_length
from genparams.dsl.distributions.sequences.kalman import (
    Filtered,
    Model,
    adjoint_means,
    filtered_means,
    kalman_adjoint,
    kalman_filter,
    smoothed_means,
    times,
    turned,
)
from genparams.dsl.distributions.sequences.linear_gaussian_density import NAME, Form, in_full
from genparams.dsl.distributions.sequences.linear_gaussian_draws import simulated
from genparams.dsl.execution import Rng, seeded
from genparams.errors import ArgumentError, DistributionError
from genparams.mistakes import explained
from genparams.text import brief
from genparams.types import Array, Numbers


class FilteredStates(NamedTuple):
    """What the observations up to each time say.

    With n states and p observations at a time, a mean has shape (length, n) or (length, p), and a
    covariance (length, n, n) or (length, p, p). Where states or observations are numbers, each has
    shape (length,), and `cov` is a variance.
    """

    mean: Array
    """The mean of x_t given y_0 ... y_t."""
    cov: Array
    predicted_mean: Array
    """The mean of x_t given y_0 ... y_{t-1}."""
    predicted_cov: Array
    observation_mean: Array
    """The mean of y_t given y_0 ... y_{t-1}, also where y_t is missing."""
    observation_cov: Array


class SmoothedStates(NamedTuple):
    """What all observations say of each state, in the shapes of `FilteredStates`."""

    mean: Array
    """The mean of x_t given y."""
    cov: Array
    lag_cov: Array
    """The covariance of x_{t+1} and x_t given y, for the first length - 1 times t."""


class StateForecast(NamedTuple):
    """The distribution of each of the next observations and states, as in `FilteredStates`."""

    mean: Array
    """The mean of the observation."""
    cov: Array
    """The covariance of the observation, with its noise."""
    state_mean: Array
    state_cov: Array


@explained
def linear_gaussian_filter(call: Call[Array], ys: Numbers) -> FilteredStates:
    """The states of a model given the observations up to each time, by the Kalman filter.

    Args:
        call: A call of `linear_gaussian`, of one sequence.
        ys: The observations, NaN where they are missing.

    Returns:
        `mean` and `cov` of each state given the observations up to its time; `predicted_mean` and
        `predicted_cov` given those before it; `observation_mean` and `observation_cov` of each
        observation given those before it. With n states and p observations at a time, a mean has
        shape (length, n) or (length, p), and a covariance one axis more; of numbers both have shape
        (length,).

    Raises:
        ArgumentError: `call` is something else, or has a size.
        ShapeError: `ys` does not have the shape of a draw.
        DistributionError: an argument is outside its domain, or the covariance of an observation
            given those before it is singular.
    """
    form, y, model = _checked("linear_gaussian_filter", call, ys)
    f = _filtered(y, model)
    P, gain = f.P[f.at], f.Kf[f.at]
    found = (
        f.a + times(gain, f.v),
        f.Pf[f.at],
        f.a,
        P,
        times(model.H, f.a) + model.d,
        model.H @ P @ turned(model.H) + model.R,
    )
    kinds = (form.state, form.state, form.state, form.state, form.seen, form.seen)
    return FilteredStates(*map(_numbers, found, kinds))


@explained
def linear_gaussian_smoother(call: Call[Array], ys: Numbers) -> SmoothedStates:
    """The states of a model given all observations: their means and covariances.

    Args:
        call, ys: As for `linear_gaussian_filter`.

    Returns:
        `mean` and `cov` of each state, and `lag_cov`, the covariance of the state at t + 1 and the
        state at t, for the first length - 1 times t; in shapes as in `linear_gaussian_filter`.

    Raises:
        ArgumentError: `call` is something else, or has a size.
        ShapeError: `ys` does not have the shape of a draw.
        DistributionError: an argument is outside its domain, or the covariance of an observation
            given those before it is singular.

    Reference: Durbin and Koopman, 2012, Time series analysis by state space methods, section 4.4.
    """
    form, y, model = _checked("linear_gaussian_smoother", call, ys)
    f = _filtered(y, model)
    r, N, _ = kalman_adjoint(f)
    at = f.at[:-1]
    LP = f.A @ f.Pf
    cov, P = f.Pf[f.at], f.P[f.at]
    mean = smoothed_means(f, f.a, f.v, r)
    cov[:-1] -= turned(LP)[at] @ N[1:] @ LP[at]
    lag = LP[at] - P[1:] @ N[1:] @ LP[at]
    return SmoothedStates(*(_numbers(v, form.state) for v in (mean, cov, lag)))


@explained
def linear_gaussian_states(
    call: Call[Array], ys: Numbers, size: int | None = None, rng: Rng = None
) -> Array:
    """Draws of the states given the observations, all times together.

    A draw (x, y) of the model is moved: x + E[states | ys] - E[states | y].

    Args:
        call, ys: As for `linear_gaussian_filter`.
        size: How many draws; None for one, without an axis for it.
        rng: A `numpy.random.Generator`, a seed, or None.

    Returns:
        States of shape (length, n), or (length,) where they are numbers, after the axis of `size`.

    Raises:
        ArgumentError: `call` is something else, or has a size.
        ShapeError: `ys` does not have the shape of a draw.
        DistributionError: as for `linear_gaussian_filter`.

    Reference: Durbin and Koopman, 2002, A simple and efficient simulation smoother for state space
    time series analysis.
    """
    form, y, model = _checked("linear_gaussian_states", call, ys)
    count = 1 if size is None else whole_length(size, "size", "linear_gaussian_states")
    x, drawn = simulated(model, form.length, count, seeded(rng))
    f = _filtered(y, model)
    for own, observed in zip(x, drawn, strict=True):
        z = np.where(f.present, y - observed, 0.0)
        a, v = filtered_means(f, z, 0.0 * model.mean, 0.0 * model.c)
        own += smoothed_means(f, a, v, adjoint_means(f, v)[0])
    found = _numbers(x, form.state, 2)
    return found[0] if size is None else found


@explained
def linear_gaussian_forecast(call: Call[Array], ys: Numbers, steps: int) -> StateForecast:
    """The distribution of the observations that follow a sequence, and of their states.

    Args:
        call, ys: As for `linear_gaussian_filter`. The model is the same at all times. For a model
            that changes with time, make the call for all times, and use `linear_gaussian_filter`
            with NaN for the observations to come.
        steps: How many observations to forecast.

    Returns:
        `mean` and `cov` of each observation, `state_mean` and `state_cov` of each state.

    Raises:
        ArgumentError: `call` is something else, has a size, or has arguments that change with
            time; `steps` is not a whole number above 0.
        ShapeError: `ys` does not have the shape of a draw.
        DistributionError: as for `linear_gaussian_filter`.
    """
    where = "linear_gaussian_forecast"
    form, y, model = _checked(where, call, ys)
    steps = whole_length(steps, "steps", where)
    if any(form.varying):
        raise ArgumentError(
            f"{where} needs a model that is the same at all times; call {NAME} for "
            f"{form.length + steps} times, and write linear_gaussian_filter(call, ys) with ys that "
            "end in NaN"
        )
    later = np.full((steps, y.shape[1]), np.nan)
    f = _filtered(np.append(y, later, axis=0), model)
    a, P, H = f.a[form.length :], f.P[f.at[form.length :]], model.H
    found = times(H, a) + model.d, H @ P @ turned(H) + model.R, a, P
    return StateForecast(*map(_numbers, found, (form.seen, form.seen, form.state, form.state)))


def _checked(where: str, call: Any, ys: Any) -> tuple[Form, Array, Model]:
    """The form of a call, the observations, and the arguments in full."""
    if not isinstance(call, Call) or getattr(call.fn, "__name__", "") != NAME:
        raise ArgumentError(f"{where} takes a call {NAME}(...) and observations, got {brief(call)}")
    if call.options is not None:
        raise ArgumentError(f"{where} takes one sequence; call {NAME} without size")
    args = [raw(a) for a in call.args]
    fn = call.fn
    y = fn.coerce(ys, args, None)
    fn.declared.check(args)
    fn.declared.check_lazy(args)
    if np.any(np.isinf(y)):
        raise DistributionError(f"{where} takes finite observations, and NaN for missing ones")
    (form,) = fn.recipe[1]
    y, *full = in_full(form, (y, *args))
    return form, y, Model(*full)


def _filtered(y: Array, model: Model) -> Filtered:
    with np.errstate(all="ignore"):
        f = kalman_filter(y, model)
    if not np.isfinite(f.log_prob):
        raise DistributionError(
            f"the covariance of an observation of {NAME}, given the observations before it, is "
            "singular or overflows; give it more noise, observation_cov"
        )
    return f


def _numbers(v: Array, vectors: int, axes: int = 1) -> Array:
    """An array with its first axes, without the axes of vectors of one number unless asked."""
    return v if vectors else v.reshape(v.shape[:axes])
