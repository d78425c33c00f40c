"""The mode of a posterior."""

import warnings
from typing import Any

import numpy as np

from genparams.errors import NotConverged
from genparams.learning.checks import check_count
from genparams.learning.sampling.coordinates import Coordinates, Point
from genparams.learning.sampling.kernels import state
from genparams.mistakes import explained
from genparams.trace.trace import Trace
from genparams.types import Array

GAIN = 1e-9
"""A search has converged if it expects to gain at most so much in log probability."""


@explained
def map_optimize(trace: Trace, selection: Any, max_iterations: int = 1000) -> Trace:
    """Move the selected choices to a maximum of log p(t; x), with all other choices held.

    If every choice that is not observed is selected, this is the maximum a posteriori estimate. The
    density is the one of the values as the model has them: no Jacobian of a change of variables is
    part of it. The search is in unconstrained coordinates (the logarithm of what is positive), by
    L-BFGS-B, until it converges, so that values stay in their support.

    It is a local maximum near the trace. At a bound of the support, where the density may be
    largest, the value comes near the bound.

    Args:
        selection: A selection of continuous choices, an address, or a list of addresses.
        max_iterations: The most steps of the search.

    Returns:
        The trace at the maximum, at the present parameters; its log probability is never lower than
        that of the given trace.

    Raises:
        DistributionError: a selected choice is discrete, or is at a bound of its support.
        UnknownAddress: a selected address is not in the trace.
        ArgumentError: the selection is empty.
        StructureChange: the model makes other choices where a selected choice has another value.
        ImpossibleTrace, ReplayDiffers, ForeignParameters: as `Trace.choice_gradients`.

    Warns:
        NotConverged: the search did not end at a maximum, such as where the density has no bound.

    Reference: Byrd, Lu, Nocedal and Zhu, 1995, SIAM Journal on Scientific Computing 16.
    """
    check_count("max_iterations", max_iterations)
    trace = state(trace, "map_optimize")
    search = _Search(Coordinates(trace, selection, jacobian=False))
    message = search.run(max_iterations)
    if message:
        warnings.warn(NotConverged(f"map_optimize: {message}"), stacklevel=3)
    new = search.space.trace_at(search.best.u)
    return new if new.log_prob >= trace.log_prob else trace


class _Search:
    """A search for the maximum of a density; it keeps the best point seen."""

    def __init__(self, space: Coordinates):
        self.space = space
        self.best: Point = space.start

    def run(self, max_iterations: int) -> str:
        """Search; returns why the end is no maximum, or nothing."""
        from scipy.optimize import minimize

        done = minimize(
            self._minus,
            self.best.u,
            method="L-BFGS-B",
            jac=True,
            options={
                "maxiter": max_iterations,
                "maxfun": 20 * max_iterations,
                "maxcor": 20,
                "ftol": 0.0,
                "gtol": 1e-8,
            },
        )
        g = self.best.gradient
        gain = 0.5 * float(g @ done.hess_inv.dot(g))
        if gain <= GAIN * max(1.0, 1e-5 * abs(self.best.log_density)):
            return ""
        return f"the search stopped short of a maximum, and may gain {gain:.2g}: {done.message}"

    def _minus(self, u: Array) -> tuple[float, Array]:
        point = self.space.at(np.array(u))
        if point is None:
            return np.inf, np.zeros_like(u)
        if point.log_density > self.best.log_density:
            self.best = point
        return -point.log_density, -point.gradient
