"""E steps: how Monte Carlo expectation maximisation draws what was not observed.

An E step is a function `draw(model, args, observed, rng=generator)` that gives weighted traces of
the model which agree with the observations, an approximation of the posterior at the present
parameters. It returns them, and is called again at the next iteration; or it is a generator, which
yields them at each iteration and keeps what it likes in between, such as the state of a chain:

    def e_step(model, args, observed, rng):
        trace, _ = model.generate(args, observed, rng)
        while True:
            for _ in range(10):
                trace, accepted = metropolis_hastings(trace, "z", rng=rng)
            yield [trace], [0.0]
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from genparams.errors import ArgumentError
from genparams.learning.checks import check_count, one_of
from genparams.learning.latent.guided import GuideArgs, appended
from genparams.learning.latent.lecture import refuse_other, tuple_of
from genparams.learning.sampling.importance import importance_sampling
from genparams.learning.sampling.mcmc import mcmc
from genparams.learning.sampling.particle_filter import ParticleFilter
from genparams.learning.sampling.particles import Particles
from genparams.learning.sampling.resampling import SCHEMES
from genparams.mistakes import closed, explained, refuse_other_functions
from genparams.text import brief
from genparams.trace.choices import ChoiceMap
from genparams.trace.trace import Trace

EXPECTED = "expected complete log probability"
MARGINAL = "log marginal likelihood"
"""What an iteration reports: the first needs draws from the posterior only, the second an E step
that estimates the marginal likelihood."""


@closed()
@explained
@dataclass(frozen=True, slots=True)
class EStep:
    """A function that draws completions, and what an iteration with it reports.

        EStep(draw, "log marginal likelihood")

    for a function `draw(model, args, observed, rng=generator)` that returns, or as a generator
    yields, `Particles` or a pair `traces, log_weights`.

    Args:
        objective: "expected complete log probability"; or "log marginal likelihood", for `draw`
            that gives `Particles` whose `log_marginal_likelihood` is an estimate.
    """

    draw: Callable[..., Any]
    objective: str = EXPECTED

    def __post_init__(self) -> None:
        if self.draw in (importance_e_step, mcmc_e_step, filter_e_step):
            name = self.draw.__name__
            raise ArgumentError(f"{name} makes an E step; call it, as in {name}(100)")
        refuse_other_functions("an E step", self.draw, "model, args, observed", rng=None)
        one_of("objective", self.objective, (EXPECTED, MARGINAL))


@explained
def importance_e_step(
    num_samples: int,
    proposal: Any = None,
    proposal_args: GuideArgs | None = None,
    resample: int | None = None,
) -> EStep:
    """Completions by importance sampling, from the model or from a proposal.

    Args:
        num_samples: How many completions of each datum.
        proposal: A generative function that makes hidden choices. None: the model draws them, which
            is good only where the data say little about them.
        proposal_args: A function of `(args, observed)` that returns the arguments of the proposal;
            by default it is called with `(*args, observed)`.
        resample: How many traces of equal weight are kept, drawn in proportion to the weights,
            where an M step with all of them would take long. None keeps them all, weighted.

    Raises:
        InvalidValue: a count is too small.
        ArgumentError: the proposal is no generative function.

    Reference: Wei and Tanner, 1990, https://doi.org/10.1080/01621459.1990.10474930.
    """
    check_count("num_samples", num_samples)
    if resample is not None:
        check_count("resample", resample)
    if proposal is not None:
        refuse_other("proposal", proposal)
    given = appended if proposal_args is None else proposal_args
    refuse_other_functions("proposal_args", given, "args, observed")

    def draw(model: Any, args: Any, observed: ChoiceMap, rng: Any) -> Particles:
        named: dict[str, Any] = {}
        if proposal is not None:
            found = tuple_of("proposal_args", given(args, observed), proposal)
            named = {"proposal": proposal, "proposal_args": found}
        particles = importance_sampling(model, args, observed, num_samples, rng=rng, **named)
        return particles if resample is None else particles.resample(resample, rng=rng)

    return EStep(draw, MARGINAL)


@explained
def mcmc_e_step(kernel: Any, draws: int = 10, warmup: int = 100, rewarm: int = 25) -> EStep:
    """Completions by a Markov chain for each datum, which goes on from iteration to iteration.

    The parameters move a little between two iterations, so that the chain is near the new posterior
    already. With few draws and steps of a falling rate this is stochastic approximation.

    Args:
        kernel: As for `mcmc`: a function `kernel(trace, rng=generator)` or a list of them.
        draws: How many states of the chain each iteration uses.
        warmup: How many iterations of the chain come before the first of them.
        rewarm: How many come before the draws of each later iteration, if the kernel learns a step
            size in its warm-up: it learns the step size again there, and keeps a metric.

    Raises:
        InvalidValue: a count is too small.
        ArgumentError: a kernel is not a function of `(trace, rng=...)`.

    Reference: Gu and Kong, 1998, https://doi.org/10.1073/pnas.95.13.7270; Levine and Casella, 2001,
    https://doi.org/10.1198/106186001317115045.
    """
    for name, count, least in (("draws", draws, 1), ("warmup", warmup, 0), ("rewarm", rewarm, 0)):
        check_count(name, count, least)
    kernels = list(kernel) if isinstance(kernel, (list, tuple)) else [kernel]
    for one in kernels:
        refuse_other_functions("a kernel", one, "trace", rng=None)

    def draw(model: Any, args: Any, observed: ChoiceMap, rng: Any) -> Iterator[Particles]:
        trace, _ = model.generate(args, observed, rng)
        mine, count = kernels, warmup
        while True:
            found = mcmc(mine, trace, draws, count, rng=rng)
            mine = list(map(_with_metric, mine, found.adapted[0]))
            count = rewarm if any(found.adapted[0]) else 0
            (traces,) = found.traces
            trace = traces[-1]
            yield equally_weighted(traces)

    return EStep(draw)


def _with_metric(kernel: Any, adapted: Mapping[str, Any]) -> Any:
    """A kernel with the metric that it learnt, if it learnt one."""
    if "metric" not in adapted:
        return kernel
    return functools.partial(kernel, metric=adapted["metric"])


@explained
def filter_e_step(
    num_particles: int,
    stages: Callable[[tuple[Any, ...], ChoiceMap], Sequence[Any]],
    ess_threshold: float | None = None,
    method: str = "systematic",
) -> EStep:
    """Completions by a particle filter, for models of series such as `unfold`.

        filter_e_step(500, lambda args, observed: [
            ((t + 1,), {("steps", t, "y"): observed["steps", t, "y"]}) for t in range(args[0])])

    After many stages most particles descend from few of the first stage, so that the expectations
    about early states vary more than those about late ones.

    Args:
        stages: From the arguments and what was observed to a list of pairs (args, constraints): the
            arguments of each stage, and what is observed newly there.
        ess_threshold, method: As for `ParticleFilter.maybe_resample`, before each stage.

    Raises:
        InvalidValue: `num_particles` is too small, or there is no such method.

    Reference: Andrieu, Doucet and Tadic, 2005, On-line parameter estimation in general state-space
    models, IEEE Conference on Decision and Control, 332-337.
    """
    check_count("num_particles", num_particles)
    one_of("resampling", method, SCHEMES)
    refuse_other_functions("stages", stages, "args, observed")

    def draw(model: Any, args: Any, observed: ChoiceMap, rng: Any) -> Particles:
        found = ParticleFilter(model, num_particles, rng)
        for i, stage in enumerate(_stages(stages(args, observed), observed)):
            if i > 0:
                found.maybe_resample(ess_threshold, method)
                found.step(*stage)
            else:
                found.initialize(*stage)
        return found.particles

    return EStep(draw, MARGINAL)


def _stages(given: Any, observed: ChoiceMap) -> list[tuple[tuple[Any, ...], ChoiceMap]]:
    """The stages of a filter, which together hold what was observed.

    Raises:
        ArgumentError: they are no pairs, there is none, or they leave out an observation.
    """
    found = []
    for stage in given:
        if not (isinstance(stage, tuple) and len(stage) == 2 and isinstance(stage[1], Mapping)):
            raise ArgumentError(
                f"stages gives pairs (args, constraints), one for each stage, got {brief(stage)}"
            )
        found.append((stage[0], ChoiceMap(stage[1])))
    seen = {address for _, constraints in found for address in constraints}
    left = [address for address in observed if address not in seen]
    if left or not found:
        what = f"leaves out the observation at {brief(left[0])}" if left else "gives no stage"
        raise ArgumentError(f"stages {what}; each observation belongs to one stage")
    return found


def equally_weighted(traces: Sequence[Trace]) -> Particles:
    """Particles of equal weights, which say nothing about the marginal likelihood."""
    n = len(traces)
    return Particles(tuple(traces), np.full(n, -np.log(n)), float("nan"))
