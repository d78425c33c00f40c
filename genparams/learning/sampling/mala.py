"""The Metropolis-adjusted Langevin algorithm."""

import math
from typing import Any

import numpy as np

from genparams.dsl.execution import Rng, seeded
from genparams.learning.sampling.coordinates import Coordinates, Point
from genparams.learning.sampling.hamiltonian import LARGEST_ERROR, check_step_size
from genparams.learning.sampling.moved import Moved
from genparams.mistakes import explained
from genparams.numeric import quiet
from genparams.trace.trace import Trace


@explained
def mala(trace: Trace, selection: Any, step_size: float = 0.1, rng: Rng = None) -> Moved:
    """One step of the Metropolis-adjusted Langevin algorithm: a gradient step, and noise.

        trace, accepted = mala(trace, ["mu", "tau"], step_size=0.01)

    In unconstrained coordinates u, as for `hmc`, with the log density
    l(u) = log p(t(u); x) + log |d t / d u| and g = d l / d u, the proposal is

        u' ~ q(. | u) = normal(u + step_size g(u), sqrt(2 step_size))

    accepted with probability min(1, exp(l(u') - l(u)) q(u | u') / q(u' | u)).

    Args:
        selection: As in `hmc`.
        step_size: tau in Gen: the variance of the proposal is twice this number.

    Returns:
        `trace, accepted`, a `Moved`. A proposal with a density of 0 or a value that is not finite
        is rejected, and the step is `divergent`.

    Raises:
        As `hmc`.

    Reference: Roberts and Tweedie, 1996, Exponential convergence of Langevin distributions and
    their discrete approximations.
    """
    tau = check_step_size(step_size)
    space, rng = Coordinates(trace, selection), seeded(rng)
    start = space.start
    noise = math.sqrt(2.0 * tau) * rng.standard_normal(space.size)
    end = space.at(start.u + tau * start.gradient + noise)
    log_ratio = _log_ratio(start, end, tau)
    diverged = not log_ratio >= -LARGEST_ERROR
    chance = 0.0 if diverged else math.exp(min(0.0, log_ratio))
    accepted = end is not None and rng.random() < chance
    return Moved(
        space.trace_at(end.u) if accepted and end is not None else trace,
        accepted,
        chance,
        diverged,
        {"step_size": tau},
        end.u if accepted and end is not None else start.u,
    )


@quiet
def _log_ratio(start: Point, end: Point | None, tau: float) -> float:
    """log [p(u') q(u | u') / (p(u) q(u' | u))]; -inf where the density at u' is 0."""
    if end is None:
        return -math.inf

    def log_q(to: Point, at: Point) -> float:
        off = to.u - at.u - tau * at.gradient
        return -float(np.dot(off, off)) / (4.0 * tau)

    return end.log_density - start.log_density + log_q(start, end) - log_q(end, start)
