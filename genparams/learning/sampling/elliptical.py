"""Elliptical slice sampling: choices with a normal prior move along an ellipse.

Reference: Murray, Adams and MacKay, 2010, Elliptical slice sampling, AISTATS, figure 2.
"""

from importlib import import_module
from typing import Any

import numpy as np

from genparams.dsl.execution import Rng, seeded
from genparams.errors import InferenceError, InvalidValue, ShapeError, UnknownAddress
from genparams.learning.sampling.kernels import nan_ratio, state
from genparams.learning.sampling.mcmc import refuse_without_density
from genparams.learning.sampling.moved import Moved
from genparams.mistakes import explained
from genparams.text import brief, enumerated
from genparams.trace.address import path
from genparams.trace.trace import Trace
from genparams.types import Address, Array, show

AGREES = 1e-6
"""How far the log density of the prior may be from that of the model, relative to its size or 1."""


@explained
def elliptical_slice(trace: Trace, address: Any, mean: Any, cov: Any, *, rng: Rng = None) -> Moved:
    """One step of elliptical slice sampling; it is always accepted.

    Write f for the choices, N(mean, cov) for their prior, and L(f) for the density of all other
    choices given f. A draw nu ~ N(0, cov) gives the ellipse

        f'(angle) = mean + (f - mean) cos(angle) + nu sin(angle)

    and the angle is drawn until L(f') > u L(f), with u ~ U(0, 1), from an interval that shrinks
    towards f after each refusal. There is no step size.

    Args:
        address: The address of a choice, or a list of addresses.
        mean: The prior mean of the choices, flattened and one after the other: a number or an
            array. Or a function of the trace, where it depends on other choices.
        cov: The prior covariance, of shape (n, n) for n numbers; a variance for one number. Or a
            function of the trace.
        rng: A generator, a seed, or None.

    Returns:
        `trace, accepted`, as `Moved`, with `accepted` true; `stats["evaluations"]` counts the
        angles that were tried.

    Raises:
        InferenceError: the prior of the model is not N(mean, cov), or the model makes other choices
            at other values of f.
        ShapeError: mean or cov do not have the size of the choices.
        InvalidValue: cov is not a covariance, or a choice is not made of real numbers.
        UnknownAddress: there is no choice at an address.
        NoDensity: the log probability of the trace is not finite.
    """
    trace, generator = state(trace, "elliptical_slice"), seeded(rng)
    refuse_without_density(trace, "elliptical_slice cannot begin at this trace")
    return _Ellipse(trace, address, mean, cov).sampled(generator)


class _Ellipse:
    """The choices at some addresses as one vector with a normal prior."""

    def __init__(self, trace: Trace, address: Any, mean: Any, cov: Any):
        self.trace = trace
        self.addresses = _addresses(trace, address)
        self._name = enumerated([show(a) for a in self.addresses])
        self.start = np.concatenate([_numbers(trace, a) for a in self.addresses])
        n = self.start.size
        self.mean = _shaped(_given(mean, trace), (n,), "mean")
        self.factor = _factor(_shaped(_given(cov, trace), (n, n), "cov"))
        self._prior = self._prior_at(trace, self.start)

    def sampled(self, rng: np.random.Generator) -> Moved:
        nu = self.factor @ rng.normal(size=self.start.size)
        level = -rng.exponential()  # log u
        angle = rng.uniform(0.0, 2.0 * np.pi)
        low, high = angle - 2.0 * np.pi, angle
        tried = 1
        while True:
            new, log_ratio = self._at(angle, nu)
            if log_ratio > level:
                return Moved(new, True, stats={"evaluations": float(tried)})
            if angle < 0.0:
                low = angle
            else:
                high = angle
            if high - low < np.finfo(float).eps:  # f' is f but for rounding
                return Moved(self.trace, True, stats={"evaluations": float(tried)})
            angle, tried = rng.uniform(low, high), tried + 1

    def _at(self, angle: float, nu: Array) -> tuple[Trace, float]:
        """The trace at an angle, and log L(f') - log L(f)."""
        f = self.mean + (self.start - self.mean) * np.cos(angle) + nu * np.sin(angle)
        new, weight, discard = self.trace.update(self._choices(f))
        if len(discard) > len(self.addresses) or len(new.choices) != len(self.trace.choices):
            raise InferenceError(
                f"{self.trace.gen_fn.__name__} makes other choices where {self._name} has other "
                "values, and elliptical_slice keeps all others; write metropolis_hastings(trace, "
                "selection) for a choice that decides which others there are"
            )
        if np.isnan(weight):
            raise nan_ratio(self.trace, new)
        return new, weight - (self._prior_at(new, f) - self._prior) if weight > -np.inf else weight

    def _choices(self, f: Array) -> dict[Address, Any]:
        """The values of the choices, from the vector of all numbers in them."""
        found, start = {}, 0
        for address in self.addresses:
            old = np.asarray(self.trace.choices[address])
            part = f[start : start + old.size].reshape(old.shape)
            found[address] = part if old.shape else float(part)
            start += old.size
        return found

    def _prior_at(self, trace: Trace, f: Array) -> float:
        """The log density of the choices in the model, which must be that of N(mean, cov).

        Raises:
            InferenceError: it is another one.
        """
        found, z = float(sum(trace.log_probs[a] for a in self.addresses)), self._whitened(f)
        size = np.sum(np.log(np.diag(self.factor))) + 0.5 * f.size * np.log(2.0 * np.pi)
        expected = -0.5 * float(z @ z) - float(size)
        if not abs(found - expected) <= AGREES * max(1.0, abs(expected), float(z @ z)):
            raise InferenceError(
                f"the prior of {self._name} in {trace.gen_fn.__name__} is not N(mean, cov): its "
                f"log density at {brief(f)} is {found:.8g}, and that of N(mean, cov) is "
                f"{expected:.8g}. Give the mean and the covariance (not the standard deviation) "
                "of the prior; where they depend on other choices, as functions of the trace"
            )
        return found

    def _whitened(self, f: Array) -> Array:
        solve = import_module("scipy.linalg").solve_triangular  # slow to import
        return solve(self.factor, f - self.mean, lower=True, check_finite=False)


def _addresses(trace: Trace, address: Any) -> list[Address]:
    """The paths of one address or of a list of them, each that of a choice."""
    if isinstance(address, list):
        found = [path(a) for a in address]
        if not found or len({*found}) < len(found):
            raise InvalidValue(
                f"elliptical_slice takes one address or a list of different ones, got "
                f"{brief(address)}"
            )
    else:
        found = [path(address)]
    for a in found:
        if a not in trace.choices:
            below = trace.choices[a]  # raises where nothing is there
            raise UnknownAddress(
                f"{show(a)} is no choice; nested under it are {list(below)}: write the address of "
                "each choice"
            )
    return found


def _numbers(trace: Trace, address: Address) -> Array:
    value = trace.choices[address]
    array = np.asarray(value) if not isinstance(value, (tuple, dict)) else np.empty(0, object)
    if array.dtype.kind != "f":
        raise InvalidValue(
            f"the choice at {show(address)} is {brief(value)}; a normal prior is of real numbers"
        )
    return np.ravel(array).astype(float)


def _given(value: Any, trace: Trace) -> Any:
    return value(trace) if callable(value) else value


def _shaped(value: Any, shape: tuple[int, ...], name: str) -> Array:
    """A mean or a covariance, of finite numbers in the given shape; one number for one choice."""
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise InvalidValue(f"{name} is made of numbers, got {brief(value)}") from None
    if name == "mean" and array.shape != () and array.size == shape[0]:
        array = np.ravel(array)
    elif name == "mean" and array.shape == ():
        array = np.full(shape, array)
    elif array.shape == () and shape == (1, 1):
        array = array.reshape(1, 1)
    if array.shape != shape:
        raise ShapeError(f"{name} has shape {np.shape(value)}; the choices need {shape}")
    if not np.all(np.isfinite(array)):
        raise InvalidValue(f"{name} is made of finite numbers, got {brief(value)}")
    return array


def _factor(cov: Array) -> Array:
    """The lower triangular L with cov = L L^T."""
    symmetric = np.allclose(cov, cov.T, rtol=1e-10, atol=0.0)
    try:
        if not symmetric:
            raise np.linalg.LinAlgError("not symmetric")
        return np.linalg.cholesky(cov)
    except np.linalg.LinAlgError as error:
        raise InvalidValue(
            f"cov is a symmetric positive definite matrix, got {brief(cov)} ({error})"
        ) from None
