"""The default method: Newton's method in a trust region, by Fisher scoring until it is near.

One step maximises the quadratic model

    m(s) = f + g's - s'Ms / 2       subject to  |D s| <= radius

M is the expected information where the choices have one in closed form, which is never indefinite,
and minus the Hessian near the maximum or where there is no other. D is the root of the largest
diagonal of M that was seen (More, 1978), so that the units of a parameter do not matter. The radius
grows and shrinks by the ratio of the gain that a step brings to the gain that the model predicts.

The search has converged where a step of Newton's method with the exact Hessian stays inside the
region, has a predicted gain of almost 0, and is small beside each parameter or its standard error.
A plateau has a small gradient too, but there the step is large.

Reference: Conn, Gould and Toint, 2000, Trust-Region Methods, SIAM; More, 1978, The
Levenberg-Marquardt algorithm, Lecture Notes in Mathematics 630, 105-116.
"""

from typing import NamedTuple, Protocol

import numpy as np

from genparams.dsl.likelihood.likelihood import Second
from genparams.learning.fitting.curvature import is_finite, spectrum
from genparams.numeric import quiet
from genparams.types import Array

NEAR = 0.1
"""The predicted gain below which the exact Hessian is used: of a step of half a standard error."""
LOST = 1e-6
"""The curvature of a plateau is at most this part of the largest that was seen, both scaled."""
SMALL = 1e-6
"""A small step, as a part of a parameter. The next step is about its square: rounding."""
TINY, NOISE = 1e-9, 1e-3
"""A step beside a parameter, and its gain, that rounding alone may still find at a maximum. In a
logarithm, of a standard deviation close to the rounding errors, it may be longer.
"""
NEAR_BY_GRADIENTS = 1e-16
"""`NEAR` where a Hessian costs many gradients: rounding of gradients hides gains below 1e-20."""
EXACT = 1e-20
"""A gain that changes no digit of an estimate: a step of 1e-10 standard errors."""
PLATEAU = 1e-9
"""A gain that does not matter."""
LONGEST = 2.0
"""The longest step in a logarithm, a factor of 7: the quadratic model is poor further away."""
WORTH = 0.1
"""A step is made if it brings more than this part of its predicted gain."""
PATIENCE = 10
"""A search ends after more steps than this in a row with a predicted gain below `PLATEAU`."""

SHORT = 3
"""Steps of scoring that are too short, in a row, before the exact Hessian is used."""

REASONS = {
    "converged": "converged: the last step of Newton's method was small beside every estimate",
    "plateau": "stopped on a plateau: no step, however long, promises a higher log likelihood",
    "stalled": "stopped: no step raises the log likelihood, however short",
    "iterations": "stopped at max_iterations before the steps were small",
    "undefined": "the second derivatives of the log likelihood are not finite at the start",
}
"""Why a search ends."""


class Objective(Protocol):
    """What is maximised. The matrix of a `Second` is minus the Hessian or the information."""

    iterations: int
    """How many steps were tried."""

    def settled(self, x: Array, /) -> Array:
        """The point, with the coordinates that have a maximum in closed form at it."""
        ...

    def scoring(self, x: Array, /) -> Second | None:
        """The derivatives at x, with the expected information; None if it has no formula.

        They are not finite where the model fails.
        """
        ...

    @property
    def logarithmic(self) -> Array:
        """Which coordinates are those of a constraint, most often logarithms."""
        ...

    def noise(self, x: Array, /) -> Array:
        """For each coordinate the standard deviation at x of the noise by whose square the
        curvature is divided; 1 where there is none.
        """
        ...

    def newton(self, x: Array, /) -> Second:
        """The derivatives at x, with minus the Hessian; not finite where the model fails."""
        ...


class Step(NamedTuple):
    step: Array
    gain: float
    """The gain that the model predicts."""
    length: float
    """|D s|."""
    is_interior: bool
    """Whether the step ends at the maximum of the model, which lies inside the region."""


class Ending(NamedTuple):
    """Where a search ended."""

    x: Array
    at: Second
    reason: str
    """A key of `REASONS`."""


class Region:
    """A trust region: the scale of each coordinate, and a radius."""

    def __init__(self, at: Second, x: Array, noise: Array, logarithmic: Array):
        self.scale = np.zeros_like(x)
        self.logarithmic = logarithmic
        self.noise = noise
        self.radius = 0.0
        self.rescale(at.matrix, noise)
        length = float(np.linalg.norm((self.scale * x)[~logarithmic]))
        self.radius = length if length > 1e-8 else np.inf

    def rescale(self, matrix: Array, noise: Array) -> None:
        """Take the curvature at a new point into the scale.

        Noise that shrinks makes every curvature larger: the old scale and the radius follow it.
        """
        shrunk = self.noise / noise
        self.scale *= shrunk
        self.radius *= float(shrunk[np.argmax(np.abs(np.log(shrunk)))]) if shrunk.size else 1.0
        self.noise = noise
        self.scale = np.maximum(self.scale, np.sqrt(np.abs(np.diag(matrix))))

    @property
    def divisors(self) -> Array:
        """The scale, with 1 for a coordinate without any curvature so far."""
        return np.where(self.scale > 0.0, self.scale, 1.0)

    def step(self, at: Second) -> Step:
        """The step that maximises the model in the region, at most `LONGEST` in a logarithm."""
        d = self.divisors
        found = self._step(at, d, self.radius)
        far = self.logarithmic & (np.abs(found.step) > LONGEST)
        if np.any(far):  # a region of the same length that is narrower there
            narrow = np.where(far, np.maximum(d, found.length / LONGEST), d)
            return self._step(at, narrow, found.length)
        return found

    def _step(self, at: Second, d: Array, radius: float) -> Step:
        values, vectors = spectrum(at.matrix, d)
        q = vectors.T @ (at.gradient / d)
        if radius == np.inf:  # no radius yet: the length of a step of Newton's method
            sure = np.maximum(np.abs(values), 1e-8 * max(np.max(np.abs(values)), 1e-290))
            radius = self.radius = min(max(float(np.linalg.norm(q / sure)), 1.0), 1e100)
        y, is_interior = _bounded(values, q, radius)
        gain = float(q @ y - 0.5 * (values * y) @ y)
        return Step(vectors @ y / d, gain, float(np.linalg.norm(y)), is_interior)

    def adapt(self, step: Step, ratio: float) -> None:
        """Change the radius by the ratio of the gain of a step to its predicted gain."""
        if not ratio >= 0.25:
            self.radius = 0.25 * min(step.length, self.radius)
        elif step.is_interior:
            self.radius = 2.0 * step.length
        elif ratio > 0.75 and step.gain > PLATEAU:
            self.radius = max(self.radius, 2.0 * step.length)


def _bounded(values: Array, q: Array, radius: float) -> tuple[Array, bool]:
    """The y that maximises q'y - sum(values y^2) / 2 with |y| <= radius.

    Returns:
        y, and whether it is the maximum without a bound too.
    """
    tiny = 1e-14 * max(float(np.max(np.abs(values))), 1e-300)
    if values[0] > tiny:
        y = q / values
        if np.linalg.norm(y) <= radius:
            return y, True
    y = q / (values + _shift(values, q, radius, max(0.0, -float(values[0])) + tiny))
    length = float(np.linalg.norm(y))
    if values[0] < 0.0 and length < radius:  # the hard case: the rest along the lowest eigenvector
        y[0] += np.copysign(np.sqrt(radius**2 - length**2), q[0])
    return y, False


def _shift(values: Array, q: Array, radius: float, low: float) -> float:
    """The shift of the eigenvalues, at least `low`, that gives the step the length of the radius.

    It is the root of 1 / |y| - 1 / radius, which is nearly linear in the shift (Hebden, 1973).
    """
    if np.linalg.norm(q / (values + low)) <= radius:
        return low
    high = low + float(np.linalg.norm(q)) / radius
    shift = high
    for _ in range(60):
        y = q / (values + shift)
        length = float(np.linalg.norm(y))
        if abs(length - radius) <= 0.01 * radius:
            break
        low, high = (shift, high) if length > radius else (low, shift)
        slope = float((y * y) @ (1.0 / (values + shift)))
        shift += (length / radius - 1.0) * length**2 / slope
        if not low < shift < high:
            shift = np.sqrt(low * high)
    return shift


@quiet
def climb(objective: Objective, x: Array, max_iterations: int, near: float = NEAR) -> Ending:
    """Search for the maximum from x.

    Args:
        near: The predicted gain below which the exact Hessian is used.
    """
    climber = Climber(objective, x, near)
    if not is_finite(climber.at):
        return Ending(climber.x, climber.at, "undefined")
    if not x.size:
        return Ending(climber.x, climber.at, "converged")
    for _ in range(max_iterations):
        objective.iterations += 1
        reason = climber.advance()
        if reason:
            return Ending(climber.x, climber.at, reason)
    return Ending(climber.x, climber.at, "iterations")


class Climber:
    """A search: the point, the model there, the trust region, and which kind of model is used."""

    def __init__(self, objective: Objective, x: Array, near: float):
        self.objective = objective
        self.near = near
        self.x = objective.settled(x)
        scoring = objective.scoring(self.x)
        self.has_scoring = scoring is not None
        self.is_exact = scoring is None or not is_finite(scoring)
        self.at = objective.newton(self.x) if scoring is None or self.is_exact else scoring
        self.region = Region(self.at, self.x, objective.noise(self.x), objective.logarithmic)
        self.flat = 0
        """Steps in a row with a predicted gain below `PLATEAU`."""
        self.short = 0
        """Steps of scoring in a row that gained far more than predicted."""
        self.rest = 0
        """Steps until the exact Hessian is tried again, after a poor step with it."""

    def advance(self) -> str:
        """Try one step; the reason to stop, or an empty string."""
        step = self._step()
        if self.is_exact and step.is_interior and is_small(step, self.x, self.at, self.region):
            x, at = _polished(self.objective, self.x, self.at, step)
            if _keeps_curvature(step.step, self.at, at):
                self.x, self.at = x, at
                return "converged"
        self.flat = self.flat + 1 if step.gain < PLATEAU else 0
        shortest = 1e-14 * float(np.linalg.norm(self.region.divisors * self.x))
        if self.flat > PATIENCE or step.length <= shortest:
            return "plateau" if is_flat(self.x, self.at) else "stalled"
        self._try(step)
        return ""

    def _step(self) -> Step:
        """The step of the present model; near the maximum, of the model with the exact Hessian."""
        step = self.region.step(self.at)
        if self.is_exact or self.rest or not self._is_near(step):
            return step
        newton = self.objective.newton(self.x)
        if not np.all(np.isfinite(newton.matrix)):
            return step
        exact = self.region.step(newton)
        if not exact.is_interior:
            return step
        self.at, self.is_exact = newton, True
        return exact

    def _is_near(self, step: Step) -> bool:
        return step.gain < self.near or self.flat > PATIENCE // 3

    def _try(self, step: Step) -> None:
        """Go to the end of a step, if its gain is enough of what was predicted."""
        x = self.objective.settled(self.x + step.step)
        new = (None if self.is_exact else self.objective.scoring(x)) or self.objective.newton(x)
        ratio = _ratio(new, self.at, step)
        self.region.adapt(step, ratio)
        self.rest = max(0, self.rest - 1)
        if ratio > WORTH:
            self.x, self.at = x, new
            self.region.rescale(new.matrix, self.objective.noise(x))
            self._use_curvature(step, ratio)
        if self.is_exact and self.has_scoring and ratio < 0.25:
            scoring = self.objective.scoring(self.x)
            if scoring is not None and is_finite(scoring):
                self.is_exact, self.rest, self.at = False, 5, scoring

    def _use_curvature(self, step: Step, ratio: float) -> None:
        """Turn to the exact Hessian where the information predicts far less than a step brings.

        It is larger than the curvature there, which may be negative, and its steps are short. Not
        so where a standard deviation is eliminated: its maximum adds to every gain.
        """
        is_short = not self.is_exact and step.is_interior and ratio > 1.5
        self.short = self.short + 1 if is_short and np.all(self.region.noise == 1.0) else 0
        if self.short >= SHORT:
            self.short, newton = 0, self.objective.newton(self.x)
            if is_finite(newton):
                self.at, self.is_exact = newton, True


def _ratio(new: Second, at: Second, step: Step) -> float:
    """The gain over the predicted gain.

    Where rounding hides the gain, it is the mean of the slopes at both ends times the step.
    """
    if not is_finite(new) or step.gain <= 0.0:
        return -np.inf
    gain, rounding = new.log_prob - at.log_prob, 1e-13 * max(abs(at.log_prob), 1.0)
    if step.gain < 100.0 * rounding and abs(gain) < 100.0 * rounding:
        gain = 0.5 * float((at.gradient + new.gradient) @ step.step)
    return gain / step.gain


def is_small(step: Step, x: Array, at: Second, region: Region) -> bool:
    """Whether a step of Newton's method is small beside each parameter or its standard error.

    Directions whose curvature is far below the largest that was seen take no part in the standard
    error. On a plateau the standard error would be so large that every step is small beside it.
    Where residuals are hardly larger than rounding errors, no gain gets small: there a tiny step is
    enough.
    """
    s, scale = np.abs(step.step), region.divisors
    if not step.gain < SMALL:
        tiny = np.where(region.logarithmic, 1e4 * TINY, TINY * np.abs(x))
        return step.gain < NOISE and bool(np.all(s <= tiny))
    values, vectors = spectrum(at.matrix, scale)
    kept = values > LOST * np.max(np.abs(values))
    error = np.sqrt(np.square(vectors[:, kept]) @ (1.0 / values[kept])) / scale
    return bool(np.all((s <= SMALL * np.abs(x)) | (s <= 10.0 * SMALL * error)))


def _keeps_curvature(s: Array, at: Second, new: Second) -> bool:
    """Whether the curvature along a small step stays about the same, as near a maximum.

    On a plateau it falls.
    """
    before, after = s @ at.matrix @ s, s @ new.matrix @ s
    return bool(abs(after - before) <= 0.3 * before)


def has_converged(x: Array, at: Second) -> bool:
    """Whether a step of Newton's method from x is small, judged by the curvature at x alone."""
    if not x.size or not is_finite(at):
        return is_finite(at)
    region = _unbounded(x, at)
    step = region.step(at)
    return step.is_interior and is_small(step, x, at, region)


def is_flat(x: Array, at: Second) -> bool:
    """Whether the predicted gain of every step from x is below `PLATEAU`."""
    return _unbounded(x, at).step(at).gain < PLATEAU


def _unbounded(x: Array, at: Second) -> Region:
    """A region at x with the scale of this point alone, and no radius yet."""
    region = Region(at, x, np.ones(len(x)), np.zeros(len(x), bool))
    region.radius = np.inf
    return region


def _polished(objective: Objective, x: Array, at: Second, step: Step) -> tuple[Array, Second]:
    """The end of a small step, unless it is a worse point by more than rounding."""
    if step.gain < EXACT and np.all(np.abs(step.step) <= SMALL * np.abs(x)):
        return x, at
    new = objective.newton(x + step.step)
    floor = at.log_prob - 1e-12 * max(abs(at.log_prob), 1.0)
    return (x + step.step, new) if is_finite(new) and new.log_prob >= floor else (x, at)
