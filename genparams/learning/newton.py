"""The maximum of a smooth function near a good start: Newton steps, damped where needed."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from genparams.dsl.likelihood.likelihood import Likelihood, Second
from genparams.errors import GenParamsError
from genparams.learning.maximum import Found
from genparams.types import Array

STEPS, HALVINGS = 200, 40
PLATEAU = 1e-4
"""A step that is longer than this part of the way so far does not end a search."""
NEAR, DONE = 1e-9, 1e-22
"""Twice the expected gain of a step below which only full steps are taken, and no more steps."""


@dataclass(frozen=True, slots=True)
class Peak:
    """Where a search ended."""

    x: Array
    at: Second
    """The value, gradient and second derivatives there."""
    converged: bool
    message: str
    iterations: int
    evaluations: int


def climb(second: Callable[[Array], Second], value: Callable[[Array], float], x: Array) -> Peak:
    """The maximum of a function, from x.

    A step solves |S| s = g in coordinates scaled by the curvature, with the absolute values of
    the eigenvalues of S; it is halved until the function grows.
    """
    start, peak = x, Peak(x, _evaluated(second, x), False, "", 0, 1)
    for _ in range(STEPS):
        step, gain, concave = _step(peak.at)
        if not np.isfinite(gain):
            return replace(peak, message="the derivatives are not finite")
        if concave and gain < DONE:
            return _ended(peak, start, step)
        if concave and gain < NEAR * (1.0 + abs(peak.at.log_prob)) ** 0.5:
            moved = _moved(peak, second, step, 1)
            if not _step(moved.at)[1] < 0.5 * gain:  # rounding noise
                return _ended(peak, start, step)
            peak = moved
            continue
        found = _damped(peak, second, value, step, gain)
        if found is None:
            return replace(peak, message="no step raises the log likelihood")
        peak = found
    return replace(peak, message=f"{STEPS} steps were not enough")


def _ended(peak: Peak, start: Array, step: Array) -> Peak:
    """The end of a search: a maximum, unless the function only becomes flatter far away.

    There the gradient is tiny and a step is long beside the way so far.
    """
    far = np.maximum(np.abs(peak.x), np.abs(peak.x - start))
    if peak.iterations > 5 and np.any(np.abs(step) > PLATEAU * far):
        return replace(peak, message="a coordinate runs off: the likelihood has no maximum")
    return replace(peak, converged=True, message="the gradient vanishes")


def _step(at: Second) -> tuple[Array, float, bool]:
    """A step uphill, twice the gain that it promises, and whether the function is concave."""
    if not (np.all(np.isfinite(at.matrix)) and np.all(np.isfinite(at.gradient))):
        return at.gradient, np.nan, False
    if not len(at.gradient):
        return at.gradient, 0.0, True
    diagonal = np.abs(np.diag(at.matrix))
    d = np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))
    values, vectors = np.linalg.eigh(-at.matrix / np.outer(d, d))
    size = np.maximum(np.abs(values), 1e-10 * max(np.max(np.abs(values)), 1e-300))
    step = vectors @ (vectors.T @ (at.gradient / d) / size) / d
    return step, float(at.gradient @ step), bool(values[0] > 0.0)


def _evaluated(second: Callable[[Array], Second], x: Array) -> Second:
    try:
        return second(x)
    except (GenParamsError, FloatingPointError, np.linalg.LinAlgError):
        return Second(-np.inf, np.full(len(x), np.nan), np.full((len(x),) * 2, np.nan))


def _moved(peak: Peak, second: Callable[[Array], Second], step: Array, tried: int) -> Peak:
    x = peak.x + step
    counts = {"iterations": peak.iterations + 1, "evaluations": peak.evaluations + tried}
    return replace(peak, x=x, at=_evaluated(second, x), **counts)


def _damped(
    peak: Peak,
    second: Callable[[Array], Second],
    value: Callable[[Array], float],
    step: Array,
    gain: float,
) -> Peak | None:
    """The point after a step that raises the function enough; None if no step does."""
    for tried in range(1, HALVINGS):
        if _value(value, peak.x + step) >= peak.at.log_prob + 1e-4 * gain:
            return _moved(peak, second, step, tried + 1)
        step, gain = 0.5 * step, 0.5 * gain
    return None


def _value(value: Callable[[Array], float], x: Array) -> float:
    try:
        found = value(x)
    except (GenParamsError, FloatingPointError):
        return -np.inf
    return found if found == found else -np.inf


def maximise_over(likelihood: Likelihood, x: Array, free: Array) -> Found:
    """The maximum over the coordinates that are `free`, with the others as in x."""

    def at(part: Array) -> Array:
        full = x.copy()
        full[free] = part
        return full

    def second(part: Array) -> Second:
        found = likelihood.hessian(at(part))
        return Second(found.log_prob, found.gradient[free], found.matrix[np.ix_(free, free)])

    def value(part: Array) -> float:
        return likelihood.gradient(at(part)).log_prob  # in double precision, as `second`

    peak = climb(second, value, x[free])
    return Found(
        x=at(peak.x),
        log_prob=peak.at.log_prob,
        converged=peak.converged,
        message=peak.message,
        iterations=peak.iterations,
        evaluations=peak.evaluations,
    )
