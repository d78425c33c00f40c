"""Hamiltonian Monte Carlo with a fixed number of steps."""

from typing import Any

from genparams.dsl.execution import Rng, seeded
from genparams.learning.checks import check_count
from genparams.learning.sampling.coordinates import Coordinates
from genparams.learning.sampling.hamiltonian import (
    State,
    accept_prob,
    check_step_size,
    is_divergent,
    leapfrog,
    state_of,
)
from genparams.learning.sampling.metric import metric_of
from genparams.learning.sampling.moved import Moved
from genparams.mistakes import explained
from genparams.trace.trace import Trace


@explained
def hmc(
    trace: Trace,
    selection: Any,
    step_size: float = 0.1,
    steps: int = 10,
    metric: Any = None,
    rng: Rng = None,
) -> Moved:
    """One step of Hamiltonian Monte Carlo: move the selected choices along their gradient.

        trace, accepted = hmc(trace, ["mu", "tau"], step_size=0.1, steps=10)

    The choices move in unconstrained coordinates u: the logarithm of what is positive, the logit of
    what lies between two bounds, and so on. A momentum p ~ normal(0, metric^-1) is drawn, `steps`
    leapfrog steps are made, and the end (u', p') is accepted with probability

        min(1, exp(H(u, p) - H(u', p'))),    H(u, p) = -log p(t(u); x) - log |d t / d u|
                                                        + p^T metric p / 2

    All other choices, the arguments and the parameters are held. In `mcmc` the warm-up chooses
    `step_size` and `metric` where they are not given.

    Args:
        selection: Continuous choices: a selection, an address, or a list of addresses. They must
            not decide which other choices there are.
        steps: The number of leapfrog steps.
        metric: An estimate of the covariance of u: an array of variances or a covariance matrix,
            None for ones. It is the inverse of the mass matrix (Stan: `inv_metric`). The
            coordinates are in the order in which the function visits the choices.

    Returns:
        `trace, accepted`, a `Moved`. A trajectory that meets a density of 0 or a value that is not
        finite is rejected, and the step is `divergent`; so it is at an energy error above 1000.

    Raises:
        DistributionError: a selected choice is discrete, has no unconstrained coordinates, or is at
            a bound.
        StructureChange: the trajectory changes which choices there are.
        InvalidValue, ShapeError: a step size, a number of steps or a metric that cannot be.
        UnknownAddress, ImpossibleTrace, ReplayDiffers, ForeignParameters: as
            `Trace.choice_gradients`.

    Reference: Duane, Kennedy, Pendleton and Roweth, 1987, Hybrid Monte Carlo; Neal, 2011,
    https://arxiv.org/abs/1206.1901.
    """
    step, count = check_step_size(step_size), check_count("steps", steps)
    space, rng = Coordinates(trace, selection), seeded(rng)
    sigma = metric_of(metric, space.size)
    start = state_of(space.start, sigma.momentum(rng), sigma)
    end: State | None = start
    diverged, done = False, 0
    while end is not None and done < count:
        end, done = leapfrog(space, sigma, end, step), done + 1
        diverged = diverged or is_divergent(start, end)
    chance = accept_prob(start, end)
    kept = end if end is not None and rng.random() < chance else start
    return Moved(
        trace if kept is start else space.trace_at(kept.point.u),
        kept is not start,
        chance,
        diverged,
        {"step_size": step, "n_steps": float(done), "energy": kept.energy},
        kept.point.u,
    )
