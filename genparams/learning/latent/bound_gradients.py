"""Gradients of bounds: the estimates that variational inference follows uphill."""

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from genparams.autodiff import Box, Tape, last_refusal, raw
from genparams.dsl.execution import Rng, seeded
from genparams.dsl.interpreter import Read, Run, keep_declared
from genparams.dsl.traced_replay import boxing
from genparams.errors import InvalidValue, TracedValueError
from genparams.learning.checks import check_count, one_of
from genparams.learning.latent.bounds import Bound, Seed, elbo, log_weights, multi_sample, seeds
from genparams.learning.latent.completion import Completion, Problem, completed, problem_of
from genparams.learning.latent.confirming import confirm
from genparams.learning.latent.particles_as_arrays import refuse_without_axis
from genparams.mistakes import explained
from genparams.numeric import quiet
from genparams.params import Parameter, added, finite_scale, has_moved, is_finite, lock
from genparams.types import show

BASELINES = ("geometric", "arithmetic")
LEAVE_ONE_OUT = "leave_one_out"


@explained
def accumulate_elbo_gradients(
    model: Any,
    args: tuple[Any, ...],
    observations: Mapping[Any, Any] | None,
    guide: Any,
    guide_args: tuple[Any, ...] = (),
    *,
    num_particles: int = 1,
    vectorized: bool = False,
    estimator: Any = None,
    baseline: str | None = None,
    scale: float = 1.0,
    rng: Rng = None,
) -> float:
    """Add the gradient of an estimate of the ELBO to the accumulators; returns the estimate.

        ELBO = E_q[log p(observations, z) - log q(z)],    z ~ q

    for the guide q. The gradient is unbiased, and is by every parameter that the guide or the model
    reads and that is not frozen. A step of variational inference is this and `update.apply()`.

    A choice of the guide whose distribution has path derivatives has the pathwise estimator: the
    gradient goes through its value. Any other choice has the score function: its value is constant,
    and the derivative of its log q is multiplied by log p - log q. The pathwise estimator needs a
    model whose log probability is continuous in the choice: write score for a choice that the model
    compares with a number. Choices of the model that neither the observations nor the guide make
    are drawn from the model.

    Args:
        args: The arguments of the model, a tuple.
        observations: The data: a choice map, or a dictionary by address.
        guide: A generative function that makes the other choices of the model.
        guide_args: The arguments of the guide, a tuple.
        num_particles: How many completions the estimate is the mean of.
        vectorized: Whether the guide and the model run once, on arrays whose first axis is the
            particles: the guide writes `size=(num_particles, ...)`. An observation without this
            axis is the same for every particle.
        estimator: "score" or "pathwise" for all choices, or a mapping from addresses or selections
            to these; None chooses by distribution.
        baseline: "leave_one_out" subtracts the mean of the other particles in the score function;
            None subtracts nothing.
        scale: A factor of the gradient, such as the number of data over the number in a minibatch.
        rng: A generator, a seed, or None.

    Raises:
        AddressConflict: the guide makes a choice that is observed.
        UnusedConstraint: the model never visits the address of an observation.
        GuideMismatch: the model does not make a choice of the guide, or has no density at its
            value.
        ImpossibleTrace: another log probability is not finite.
        DistributionError: the pathwise estimator is asked for where there is none.
        ShapeError: a choice has no axis of particles, or mixes them.
        InvalidValue: an option has a value that it does not take.

    If it raises, nothing was accumulated.
    """
    problem = problem_of(
        model,
        args,
        observations,
        guide,
        guide_args,
        estimator,
        num_particles if vectorized else None,
    )
    bound = elbo_bound(num_particles, baseline)
    return BoundGradients(problem, bound, num_particles).accumulated(seeded(rng), scale).value


def elbo_bound(num_particles: int, baseline: str | None) -> Bound:
    """The ELBO with a baseline for the score function."""
    check_count("num_particles", num_particles)
    if baseline is not None:
        one_of("baseline", baseline, (LEAVE_ONE_OUT,))
        if num_particles < 2:
            raise InvalidValue(
                'baseline="leave_one_out" is the mean of the other particles; write '
                f"num_particles=2 or more, got {num_particles}"
            )
    return elbo(baseline is not None)


@explained
def accumulate_vimco_gradients(
    model: Any,
    args: tuple[Any, ...],
    observations: Mapping[Any, Any] | None,
    guide: Any,
    guide_args: tuple[Any, ...] = (),
    *,
    num_particles: int,
    vectorized: bool = False,
    estimator: Any = None,
    baseline: str = "geometric",
    scale: float = 1.0,
    rng: Rng = None,
) -> float:
    """Add the gradient of the multi-sample bound to the accumulators; returns its estimate.

        L = log (1 / K) sum_k w_k,    log w_k = log p(observations, z_k) - log q(z_k),    z_k ~ q

    E[L] is a lower bound on log p(observations) that rises with the number K of particles, and with
    K = 1 is the ELBO. Choices with the score function have a baseline for each particle, made of
    the weights of the others, so that the gradient is unbiased.

    Args:
        num_particles: K, at least 2.
        baseline: "geometric" or "arithmetic": the mean of the other weights in the place of a
            particle's own.
        args, observations, guide, guide_args, vectorized, estimator, scale, rng: As in
            `accumulate_elbo_gradients`.

    Raises:
        InvalidValue: K is less than 2, or an option has a value that it does not take.
        AddressConflict, UnusedConstraint, GuideMismatch, ImpossibleTrace, DistributionError,
        ShapeError: as `accumulate_elbo_gradients`.

    Reference: Mnih and Rezende, 2016, https://arxiv.org/abs/1602.06725.
    """
    bound = vimco_bound(num_particles, baseline)
    problem = problem_of(
        model,
        args,
        observations,
        guide,
        guide_args,
        estimator,
        num_particles if vectorized else None,
    )
    return BoundGradients(problem, bound, num_particles).accumulated(seeded(rng), scale).value


def vimco_bound(num_particles: int, baseline: str) -> Bound:
    """The multi-sample bound with one of two baselines."""
    if check_count("num_particles", num_particles) < 2:
        raise InvalidValue(
            "the multi-sample bound compares each particle with the others; write num_particles=2 "
            "or more, or black_box_vi for one particle"
        )
    return multi_sample(one_of("baseline", baseline, BASELINES))


# --- The gradient of one estimate


@dataclass(slots=True)
class Estimate:
    """An estimate of a bound with its gradient."""

    value: float
    grads: dict[Parameter, Any]
    faults: dict[Parameter, str | None]
    """For gradients that are not finite, the address that made them."""
    theta: dict[Parameter, Any]
    """The coordinates at which it was taken."""
    values: dict[Parameter, Any]
    """Every parameter that was read."""


_counts: WeakKeyDictionary[Any, WeakKeyDictionary[Any, Counter[Any]]] = WeakKeyDictionary()
"""How many gradients were taken, by model, guide, and how many particles an array holds."""


@dataclass(slots=True)
class BoundGradients:
    """Estimates of one bound for one problem, with their gradients."""

    problem: Problem
    bound: Bound
    num_particles: int
    _taken: Counter[Any] | None = None

    def accumulated(
        self,
        rng: np.random.Generator,
        scale: float = 1.0,
        fixed: Collection[Parameter] = (),
        only: Callable[[], Collection[Parameter]] | None = None,
    ) -> Estimate:
        """Add the gradient of an estimate times a scale to the accumulators, all or nothing.

        Args:
            fixed: Parameters that are constants.
            only: Gives the parameters whose gradients are added, asked after the runs, which may
                declare parameters; None for all.
        """
        scale = finite_scale(scale)
        runs: list[Run] = []
        try:
            found = self._estimate(rng, runs, scale, fixed)
            with lock:
                if any(has_moved(p, at) for p, at in found.theta.items()):
                    # another thread moved a parameter: once more, while no thread can
                    found = self._estimate(rng, runs, scale, fixed)
                wanted = found.grads if only is None else only()
                terms = [(p, g, found.faults.get(p)) for p, g in found.grads.items() if p in wanted]
                keep_declared(runs, added(terms))
        except BaseException:
            for run in runs:
                run.forget()
            raise
        return found

    @quiet
    def _estimate(
        self,
        rng: np.random.Generator,
        runs: list[Run],
        scale: float,
        fixed: Collection[Parameter],
    ) -> Estimate:
        problem, particles = self.problem, self.problem.particles
        theta: dict[Parameter, Any] = {}
        values: dict[Parameter, Any] = {}
        before = last_refusal()
        with Tape() as tape:
            read = boxing(tape, theta, values, fixed)
            count = 1 if particles is not None else self.num_particles
            done = [completed(problem, tape, read, rng, runs) for _ in range(count)]
            if last_refusal() is not before:
                raise TracedValueError(
                    "a body catches an error about a value that is being differentiated, and goes "
                    "on without its derivative; write functions of numpy, and let the error be "
                    "raised"
                )
            self._confirm(done, read)
            value, begin = self._begin(done)
            found = tape.gradients(_on(tape, begin, scale), [*theta.values()])
            grads, faults = {}, {}
            for (p, leaf), g in zip(theta.items(), found, strict=True):
                grads[p] = g = _dense(g, p)
                if not _is_finite(g):
                    faults[p] = _fault(tape, begin, leaf)
            at = {p: leaf.value for p, leaf in theta.items()}
        return Estimate(value, grads, faults, at, values)

    def _begin(self, done: Sequence[Completion]) -> tuple[float, list[Seed]]:
        """The estimate, and the seeds of its gradient."""
        particles, bound = self.problem.particles, self.bound
        if particles is not None and not bound.needs_weights and not done[0].scored:
            return self._begin_with_one_factor(done[0], particles)
        log_w = log_weights(done, particles)
        factors = bound.factors(log_w)
        return bound.estimate(log_w), seeds(done, factors, particles, bound.needs_weights)

    def _begin_with_one_factor(self, one: Completion, particles: int) -> tuple[float, list[Seed]]:
        """The same, where every particle has the same factors."""
        for site in (*one.guide_sites, *one.model_sites):
            refuse_without_axis(site.address, site.batch or (), particles)
        mean = float(log_weights([one], None)[0]) / particles
        factors = self.bound.factors(np.full(particles, mean))
        return mean, seeds([one], factors, particles, False)

    def _confirm(self, done: Sequence[Completion], read: Read) -> None:
        """Compare with plain runs, at the first estimate, the fourth, the sixteenth and so on."""
        problem, taken = self.problem, self._taken
        if taken is None:
            by_guide = _counts.setdefault(problem.model.fn, WeakKeyDictionary())
            taken = self._taken = by_guide.setdefault(problem.guide.fn, Counter())
        count = taken[problem.particles] + 1
        if count & (count - 1) == 0 and count.bit_length() % 2 == 1:
            for one in done:
                confirm(problem, one, read)
        taken[problem.particles] = count


def _on(tape: Tape, begin: Sequence[Seed], scale: float) -> list[tuple[Box, Any]]:
    """Seeds times a scale, if they all are on a tape."""
    for address, box, _ in begin:
        if box.tape is not tape:
            raise TracedValueError(
                f"the log probability at {show(address)} is made of values of another gradient, "
                "which is computed at the same time or around this one; compute what depends on a "
                "parameter again in each run"
            )
    return [(box, factor if scale == 1.0 else scale * factor) for _, box, factor in begin]


def _dense(g: Any, p: Parameter) -> Any:
    """A gradient in the shape of the coordinates; zeros where there is none."""
    if g is None:
        return np.zeros(p.shape) if p.shape else 0.0
    return g if p.shape else float(raw(g))


def _is_finite(g: Any) -> bool:
    """Whether every entry is finite, without numpy's warnings."""
    return g - g == 0.0 if type(g) is float else math.isfinite(g.sum()) or is_finite(g)


def _fault(tape: Tape, begin: Sequence[Seed], leaf: Box) -> str | None:
    """The first choice whose log probability makes the gradient by a leaf not finite."""
    for address, box, factor in begin:
        g = tape.gradients([(box, factor)], [leaf])[0]
        if g is not None and not is_finite(g):
            return show(address)
    return None
