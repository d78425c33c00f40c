"""Curvature from gradients, where a matrix of second derivatives costs many gradients.

For n observations and p coordinates a gradient takes n p products and the information n p^2. In
place of a new information at every step, the matrix of the last point is changed so that it
explains how the gradient changed along the step (benchmarks/fit.py, the large logistic regression).
After a few such steps the information is computed again.

Reference: Nocedal and Wright, 2006, Numerical Optimization, formula 6.19 (BFGS).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from genparams.dsl.likelihood.likelihood import First, Likelihood, Second
from genparams.structure import leaves
from genparams.types import Array

SHARE = 6
"""Steps between two matrices: p / SHARE, about as many gradients as one matrix costs."""
COORDINATES, PRODUCTS = 24, 2**19
"""Below so many coordinates, or products in a gradient, a matrix does not cost much more."""


def is_costly(likelihood: Likelihood) -> bool:
    """Whether a matrix costs many gradients, by the number of products in both."""
    p = likelihood.vector.size
    values = (v for trace in likelihood.traces for v in trace.choices.values())
    n = sum(np.size(part) for value in values for part in leaves(value))
    return p >= COORDINATES and n * p >= PRODUCTS


class Secants:
    """The model at each point, with an information or with a matrix changed by a step."""

    def __init__(self, information: Callable[[Array], Any], gradient: Callable[[Array], First]):
        self._information = information
        self._gradient = gradient
        self._steps = 0
        """Steps since the information was computed."""
        self._last: tuple[Array, Second] | None = None
        """The best point so far, with its model: a search goes on from there."""

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
        if not (np.isfinite(found.log_prob) and np.all(np.isfinite(found.matrix))):
            return False
        if self._last is None:
            return True
        best = self._last[1].log_prob
        return found.log_prob >= best - 1e-11 * max(abs(best), 1.0)


def updated(last: Second, step: Array, new: First) -> Second:
    """A model at the end of a step, with the matrix of the model at its start, changed:

        M <- M - M s s'M / s'Ms + y y' / s'y,      s the step, y minus the change of the gradient

    M stays positive definite. It stays as it is where s'y is not positive: the function is not
    concave along the step.
    """
    y, ms = last.gradient - new.gradient, last.matrix @ step
    before, after = float(step @ ms), float(step @ y)
    if not (before > 0.0 and after > 1e-8 * before):
        return Second(*new, last.matrix)
    matrix = last.matrix - np.outer(ms, ms) / before + np.outer(y, y) / after
    return Second(*new, matrix)
