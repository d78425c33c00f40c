"""The particle filter: importance sampling as the observations come in.

Reference: Gordon, Salmond and Smith, 1993, IEE Proceedings F 140; Del Moral, Doucet and Jasra,
2006, https://arxiv.org/abs/cond-mat/0212648.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from genparams.dsl.execution import Rng, seeded
from genparams.errors import InferenceError, InvalidValue, ProposalMismatch
from genparams.learning.checks import check_count, one_of
from genparams.learning.sampling.importance import check_functions, merged, weighted_trace
from genparams.learning.sampling.mcmc import stepped
from genparams.learning.sampling.particles import (
    Particles,
    effective_sample_size,
    particles_of,
    refuse_weights,
)
from genparams.learning.sampling.resampling import SCHEMES
from genparams.mistakes import answering, closed, explained, refuse_other_functions
from genparams.text import brief
from genparams.trace.choices import ChoiceMap
from genparams.trace.trace import Trace
from genparams.types import Array, show


@closed(
    advice=lambda filter, name: (
        "its methods initialize, step, maybe_resample and move change a particle filter"
    )
)
@answering(
    resample="write maybe_resample(ess_threshold=math.inf) to resample in any case",
    log_ml_estimate="write filter.log_marginal_likelihood",
    ess="write filter.effective_sample_size",
    update="write filter.step(args, observations)",
)
@explained
@closed()
class ParticleFilter:
    """Weighted traces of a model that grows, such as `unfold`, one step after another.

        filter = ParticleFilter(model, 1000, rng=0)
        filter.initialize((1,), {("steps", 0, "y"): ys[0]})
        for t in range(1, len(ys)):
            filter.maybe_resample()
            filter.step((t + 1,), {("steps", t, "y"): ys[t]})
        filter.particles, filter.log_marginal_likelihood

    A method that fails changes nothing.

    Args:
        model: A generative function.
        num_particles: How many traces.
        rng: A generator, a seed, or None. A seeded filter repeats to the bit.

    Raises:
        ArgumentError: the model is no generative function.
        InvalidValue: `num_particles` is no whole number of at least 1.
    """

    _model: Any
    _count: int
    _rng: np.random.Generator
    _traces: tuple[Trace, ...]
    _log_weights: Array
    _log_ml: float

    def __init__(self, model: Any, num_particles: int, rng: Rng = None):
        check_functions(model, None, ())
        self._model = model
        self._count = check_count("num_particles", num_particles)
        self._rng = seeded(rng)
        self._traces: tuple[Trace, ...] = ()
        self._log_weights: Array = np.zeros(0)
        self._log_ml = 0.0

    _model: Any
    _count: int
    _rng: np.random.Generator
    _traces: tuple[Trace, ...]
    _log_weights: Array
    """Since the particles were resampled, not normalised."""
    _log_ml: float
    """The log marginal likelihood up to the time when the particles were resampled."""

    @explained
    def initialize(
        self,
        args: tuple[Any, ...],
        observations: Mapping[Any, Any],
        proposal: Any = None,
        proposal_args: tuple[Any, ...] = (),
    ) -> None:
        """Begin with traces of the model that agree with the first observations.

        Args:
            proposal: A generative function of `proposal_args`, as for `importance_sampling`, whose
                errors this method has.
        """
        check_functions(self._model, proposal, proposal_args)
        given = ChoiceMap(observations)
        found = [
            weighted_trace(self._model, args, given, proposal, proposal_args, self._rng)
            for _ in range(self._count)
        ]
        self._begin([t for t, _ in found], np.array([w for _, w in found]), 0.0)

    @explained
    def step(
        self,
        args: tuple[Any, ...],
        observations: Mapping[Any, Any],
        proposal: Any = None,
        proposal_args: tuple[Any, ...] = (),
    ) -> None:
        """Extend each trace by `trace.update(observations, args)`, and multiply its weight.

            w <- w p(t'; x') / (p(t; x) q(new choices | t))

        Args:
            args: The new arguments of the model, such as one step more.
            observations: The values of choices that are new.
            proposal: A generative function that is called with `(trace, *proposal_args)`, the
                trace before the step. It chooses at addresses that are new and not observed. None
                means that the model draws every new choice.

        Raises:
            InferenceError: the filter was not initialized.
            ProposalMismatch: a choice that the trace has would be replaced or removed; or the
                proposal chooses at an address that is observed.
            UnusedConstraint: the model does not visit an address that is observed or proposed.
            NoDensity: every weight is 0, or one is not finite.
        """
        check_functions(self._model, proposal, proposal_args)
        given = ChoiceMap(observations)
        found = [
            self._extended(trace, args, given, proposal, proposal_args)
            for trace in self._initialized()
        ]
        before = self._log_weights
        # A trace of weight 0 stays so: the change of its log probability is infinite or NaN.
        after = [w + now if w > -np.inf else w for w, (_, now) in zip(before, found, strict=True)]
        self._begin([t for t, _ in found], np.array(after), self._log_ml)

    def _extended(
        self,
        trace: Trace,
        args: tuple[Any, ...],
        given: ChoiceMap,
        proposal: Any,
        proposal_args: tuple[Any, ...],
    ) -> tuple[Trace, float]:
        log_q = 0.0
        if proposal is not None:
            proposed, log_q, _ = proposal.propose((trace, *proposal_args), self._rng)
            given = merged(given, proposed, proposal)
        new, weight, discard = trace.update(given, args, self._rng)
        for address in discard:
            what = "would be replaced" if address in given else "is no longer visited"
            raise ProposalMismatch(
                f"a step of a particle filter makes new choices, and {show(address)}, which the "
                f"trace has, {what}; give observations of new choices, and move old ones by "
                "filter.move(kernel)"
            )
        return new, weight - log_q

    @explained
    def maybe_resample(
        self, ess_threshold: float | None = None, method: str = "multinomial"
    ) -> bool:
        """Resample if the effective sample size is below a threshold; returns whether it did.

        Args:
            ess_threshold: Half the number of particles, by default.
            method: "multinomial", "residual", "systematic" or "stratified". The marginal
                likelihood is unbiased with all of them.

        Raises:
            InvalidValue: the threshold is no number, or there is no such method.
            InferenceError: the filter was not initialized.

        Reference: Douc, Cappé and Moulines, 2005, https://arxiv.org/abs/cs/0507025.
        """
        self._initialized()
        one_of("resampling", method, SCHEMES)
        threshold = 0.5 * self._count if ess_threshold is None else ess_threshold
        if isinstance(threshold, bool) or not isinstance(threshold, (int, float, np.number)):
            raise InvalidValue(f"ess_threshold is a number, got {brief(threshold)}")
        if not self.effective_sample_size < threshold:
            return False
        now = self.particles
        kept = SCHEMES[method](now.weights, self._count, self._rng)
        self._begin(
            [self._traces[i] for i in kept],
            np.zeros(self._count),
            now.log_marginal_likelihood,
        )
        return True

    @explained
    def move(self, kernel: Any) -> float:
        """Move each trace by one step of a kernel, which leaves the weights as they are.

        Args:
            kernel: As for `mcmc`: it must leave the posterior given all observations so far
                invariant. It gives variety to traces that resampling has made equal.

        Returns:
            The mean probability of acceptance.

        Raises:
            InferenceError: the filter was not initialized.
            ArgumentError: the kernel is not a function of `(trace, rng=...)`.
        """
        refuse_other_functions("a kernel", kernel, "trace", rng=None)
        moves = [stepped(kernel, trace, self._rng) for trace in self._initialized()]
        self._traces = tuple([moved.trace for moved in moves])
        return float(np.mean([moved.accept_prob for moved in moves]))

    @property
    def num_particles(self) -> int:
        """How many traces there are."""
        return self._count

    @property
    def particles(self) -> Particles:
        """The traces with their weights."""
        return particles_of(self._initialized(), self._log_weights, self._log_ml)

    @property
    def log_marginal_likelihood(self) -> float:
        """An estimate of log p(all observations so far). Its exponential is unbiased."""
        return self.particles.log_marginal_likelihood

    @property
    def effective_sample_size(self) -> float:
        """1 / sum_i w_i^2 of the weights as they are now."""
        self._initialized()
        return effective_sample_size(self._log_weights)

    def _begin(self, traces: Sequence[Trace], log_weights: Array, log_ml: float) -> None:
        """Take new traces and weights, unless the weights are all 0."""
        refuse_weights(traces, log_weights)
        self._traces, self._log_weights, self._log_ml = tuple(traces), log_weights, log_ml

    def _initialized(self) -> tuple[Trace, ...]:
        if not self._traces:
            raise InferenceError(
                "the particle filter has no traces yet; write filter.initialize(args, "
                "observations) first"
            )
        return self._traces

    def __repr__(self) -> str:
        if not self._traces:
            return f"ParticleFilter({self._model.__name__}, {self._count}, not initialized)"
        return f"ParticleFilter({self._model.__name__}, {self.particles!r})"
