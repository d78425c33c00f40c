"""Curvature from gradients, where a matrix of second derivatives costs many gradients.

For n observations and p coordinates a gradient takes n p products, and the information n p^2. So
the information is not computed at every step. The matrix of the last point is changed so that it
explains how the gradient changed along the step. After p / 6 such steps the information is computed
again. benchmarks/fit.py measures this on a large logistic regression.

Reference: Nocedal and Wright, 2006, Numerical Optimization, formula 6.19 (BFGS).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from genparams.dsl.likelihood.likelihood import First, Likelihood, Second
from genparams.learning.fitting.curvature import is_finite
from genparams.structure import leaves
from genparams.types import Array

SHARE = 6
"""Steps between two matrices: p / SHARE, about as many gradients as one matrix costs."""
COORDINATES, PRODUCTS = 24, 2**19
"""With fewer coordinates, or fewer products in a gradient, a matrix is not much dearer."""


def is_costly(likelihood: Likelihood) -> bool:
    """Whether a matrix costs many gradients: there are many coordinates and many products."""
    p = likelihood.vector.size
    values = (v for trace in likelihood.traces for v in trace.choices.values())
    n = sum(np.size(part) for value in values for part in leaves(value))
    return p >= COORDINATES and n * p >= PRODUCTS


class Secants:
    """The derivatives at each point, with the information or with a changed matrix.

    A call gives what `Objective.scoring` gives; None if the information has no formula.
    """

    def __init__(self, information: Callable[[Array], Any], gradient: Callable[[Array], First]):
        self._information = information
        self._gradient = gradient
        self._steps = 0
        """Steps since the information was computed."""
        self._last: tuple[Array, Second] | None = None
        """The best point so far, with its derivatives. A search goes on from there."""

    def __call__(self, x: Array) -> Second | None:
        if self._last is None or self._steps >= len(x) // SHARE:
            self._steps, found = 0, self._information(x)
        else:
            at, model = self._last
            self._steps, found = self._steps + 1, updated(model, x - at, self._gradient(x))
        if found is not None and self._is_best(found):
            self._last = x, found
        return found

    def _is_best(self, found: Second) -> bool:
        if not is_finite(found):
            return False
        if self._last is None:
            return True
        best = self._last[1].log_prob
        return found.log_prob >= best - 1e-11 * max(abs(best), 1.0)


def updated(last: Second, step: Array, new: First) -> Second:
    """The derivatives at the end of a step, with the matrix at its start, changed:

        M <- M - M s s'M / s'Ms + y y' / s'y,      s the step, y minus the change of the gradient

    M stays positive definite. Where s'y is not positive, so that the function is not concave along
    the step, M is not changed.
    """
    y, ms = last.gradient - new.gradient, last.matrix @ step
    before, after = float(step @ ms), float(step @ y)
    if not (before > 0.0 and after > 1e-8 * before):
        return Second(*new, last.matrix)
    matrix = last.matrix - np.outer(ms, ms) / before + np.outer(y, y) / after
    return Second(*new, matrix)
