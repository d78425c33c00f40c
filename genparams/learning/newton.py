"""The maximum of a smooth function near a good start: Newton steps, damped where needed."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from genparams.constraints import Interval, Positive, Simplex
from genparams.dsl.likelihood.likelihood import Likelihood, Second
from genparams.errors import GenParamsError
from genparams.learning.maximum import Found
from genparams.types import Array, Constraint

STEPS, HALVINGS = 200, 40
PLATEAU = 1e-4
"""A step that is longer than this part of the way so far does not end a search."""
LEVEL = 1e-10
"""A curvature of this part of the largest, scaled, is that of a flat direction."""
RUNS_OFF = "a coordinate runs off: the likelihood has no maximum"
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
    beyond: Array
    """The step along the coordinates that run off, 0 for the others. If there are any, the function
    is at its supremum but for rounding.
    """


def climb(second: Callable[[Array], Second], value: Callable[[Array], float], x: Array) -> Peak:
    """The maximum of a function, from x.

    A step solves |S| s = g in coordinates scaled by the curvature, with the absolute values of
    the eigenvalues of S; it is halved until the function grows.
    """
    start, peak = x, Peak(x, _evaluated(second, x), False, "", 0, 1, np.zeros(len(x)))
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
    long = np.abs(step) > PLATEAU * far
    if peak.iterations > 5 and np.any(long):
        return replace(peak, message=RUNS_OFF, beyond=np.where(long, step, 0.0))
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
    least = LEVEL * max(np.max(np.abs(values)), 1e-300)
    size = np.maximum(np.abs(values), least)
    step = vectors @ (vectors.T @ (at.gradient / d) / size) / d
    return step, float(at.gradient @ step), bool(values[0] > -least)


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
    """The maximum over the coordinates that are `free`, with the others as in x.

    A search has converged too where a coordinate goes to a bound of its constraint: the value is
    then at the bound, but for rounding.
    """

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
    beyond = np.zeros(len(x))
    beyond[free] = peak.beyond
    bounded = peak.message == RUNS_OFF and _to_a_bound(likelihood, beyond)
    return Found(
        x=at(peak.x),
        log_prob=peak.at.log_prob,
        converged=peak.converged or bounded,
        message="the maximum is at a bound" if bounded else peak.message,
        iterations=peak.iterations,
        evaluations=peak.evaluations,
    )


def starts_from(x: Array, doubtful: Array) -> list[Array]:
    """x, and points where the coordinates that are doubtful, such as at a bound, are nearer to 0.

    At a bound the gradient vanishes, even if the maximum is elsewhere.
    """
    if not np.any(doubtful):
        return [x]
    return [np.where(doubtful, share * x, x) for share in (1.0, 0.5, 0.25, 0.0)]


def _to_a_bound(likelihood: Likelihood, step: Array) -> bool:
    """Whether every coordinate that a step moves goes to a finite bound of its constraint."""
    return all(
        not np.any(step[place]) or _is_bounded(p.constraint, step[place])
        for p, place in likelihood.vector.places.items()
    )


def _is_bounded(constraint: Constraint, step: Array) -> bool:
    if isinstance(constraint, (Interval, Simplex)):
        return True
    return isinstance(constraint, Positive) and bool(np.all(step <= 0.0))
