"""What a search maximises: a likelihood over its free coordinates. It keeps the best point seen."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from genparams.dsl.likelihood.likelihood import First, Likelihood, Second
from genparams.dsl.likelihood.scales import Scales
from genparams.errors import (
    AddressConflict,
    ChoicesDiffer,
    MissingChoice,
    ReplayDiffers,
    UnusedConstraint,
)
from genparams.learning.fitting.secant import Secants, is_costly
from genparams.types import Array, Real

OUTSIDE = (ArithmeticError, ValueError, np.linalg.LinAlgError)
"""Errors of a model at parameters outside its domain. A search then takes a shorter step.

`InvalidValue`, of arguments outside the domain of a distribution, is a `ValueError`.
"""
LIMIT = 200.0
"""The farthest that a coordinate of a constraint, most often a logarithm, goes from the start."""
JUMP = (
    "at other parameters the model makes other choices, so that its likelihood has a jump and no "
    "derivative there; let the same choices be made at all parameters. The choices differ"
)
Watch = Callable[[Array, float], None]


@contextmanager
def same_choices() -> Iterator[None]:
    """Explain a run that makes other choices than its trace.

    Raises:
        ChoicesDiffer: it does.
    """
    try:
        yield
    except (AddressConflict, MissingChoice, UnusedConstraint) as error:
        raise ChoicesDiffer(f"{JUMP} ({error})") from error
    except ReplayDiffers as error:
        raise ChoicesDiffer(f"{JUMP} at {error.address}") from error


class Objective:
    """The log probability as a function of the free coordinates, and the best point seen.

    The other coordinates are held. A matrix is minus the Hessian or the information. Outside the
    domain of the model the log probability is -inf and the derivatives are NaN.
    """

    def __init__(self, likelihood: Likelihood, x: Array, free: Array, watch: Watch | None = None):
        self.likelihood = likelihood
        self.free = free
        self._block = np.ix_(free, free)
        self.best, self.best_log_prob = x, -np.inf
        self.evaluations = 0
        self.iterations = 0
        self.refusal: Exception | None = None
        """The last error of the model outside its domain."""
        self.impossible: Array | None = None
        """The last point at which a choice had no density."""
        self._all = x
        self._limits = np.where(logarithmic(likelihood), LIMIT, np.inf)
        self._last_hessian: tuple[Array, Second] | None = None
        self._watch = watch
        self._scales = Scales({})
        self.is_costly = is_costly(likelihood)
        """Whether a matrix of second derivatives costs many gradients."""
        scoring = self._exact_scoring
        self._scoring = Secants(scoring, self.gradient) if self.is_costly else scoring

    @property
    def start(self) -> Array:
        """The free coordinates of the start."""
        return self._all[self.free]

    @property
    def logarithmic(self) -> Array:
        """Which free coordinates are those of a constraint, most often logarithms."""
        return np.isfinite(self._limits)[self.free]

    def whole(self, x: Array) -> Array:
        """All coordinates, from the free ones."""
        whole = self._all.copy()
        whole[self.free] = x
        return whole

    def find_scales(self) -> None:
        """Find the standard deviations with a maximum in closed form, for `settled` and `noise`."""
        try:
            with same_choices():
                found = self.likelihood.scales(self._all)
        except OUTSIDE:
            return
        places = {j: k for k, j in enumerate(np.flatnonzero(self.free).tolist())}
        self._scales = Scales({j: e for j, e in found.entries.items() if j in places})

    def settled(self, x: Array) -> Array:
        """x with the standard deviations that have a maximum in closed form at their maximum."""
        try:
            with same_choices():
                return self.likelihood.settled(self.whole(x), self._scales)[self.free]
        except OUTSIDE:
            return x

    def noise(self, x: Array) -> Array:
        """The noise by which the curvature of each coordinate is divided, by these deviations."""
        return self._scales.noise(self.whole(x))[self.free]

    def scoring(self, x: Array) -> Second | None:
        """The derivatives with the expected information; None if it has no closed form."""
        return self._scoring(x)

    def _exact_scoring(self, x: Array) -> Second | None:
        return self._second(self.likelihood.information, x, 1.0)

    def newton(self, x: Array) -> Second:
        """The derivatives with minus the Hessian."""
        found = self._second(self._hessian, x, -1.0)
        assert found is not None
        return found

    def gradient(self, x: Array) -> First:
        """The log probability and its gradient."""
        found = self._evaluated(self.likelihood.gradient, x)
        return First(found.log_prob, found.gradient[self.free])

    @property
    def at_best(self) -> Second | None:
        """The derivatives of the likelihood at the best point, if the last Hessian was there."""
        if self._last_hessian is None:
            return None
        x, found = self._last_hessian
        return found if np.array_equal(x, self.best) else None

    def move_best(self, x: Array, at: First | Second) -> None:
        """Take a point as the best, even if rounding makes it lower than the best one seen."""
        self.best, self.best_log_prob = self.whole(x), at.log_prob

    def _hessian(self, x: Array) -> Second:
        found = self.likelihood.hessian(x)
        self._last_hessian = x, found
        return found

    def _second(self, f: Callable[[Array], Any], x: Array, sign: float) -> Second | None:
        found = self._evaluated(f, x)
        if found is None:
            return None
        matrix = sign * found.matrix[self._block]
        return Second(found.log_prob, found.gradient[self.free], matrix)

    def _evaluated(self, f: Callable[[Array], Any], x: Array) -> Any:
        """What the likelihood gives at x; -inf and NaN outside the model's domain."""
        whole = self.whole(x)
        self.evaluations += 1
        if np.any(np.abs(whole - self._all) > self._limits):
            return nowhere(len(whole))
        try:
            with same_choices():
                found = f(whole)
        except OUTSIDE as error:
            self.refusal = error
            return nowhere(len(whole))
        if found is not None:
            if found.log_prob == -np.inf:
                self.impossible = whole
            if np.isfinite(found.log_prob) and found.log_prob > self.best_log_prob:
                self.best, self.best_log_prob = whole, found.log_prob
            if self._watch is not None:
                self._watch(self.best, self.best_log_prob)
        return found


def logarithmic(likelihood: Likelihood) -> Array:
    """Which coordinates are those of a constraint, most often logarithms."""
    found = np.zeros(likelihood.vector.size, bool)
    for p, place in likelihood.vector.places.items():
        found[place] = not isinstance(p.constraint, Real)
    return found


def nowhere(n: int) -> Second:
    """What a likelihood gives outside the model's domain."""
    return Second(-np.inf, np.full(n, np.nan), np.full((n, n), np.nan))
