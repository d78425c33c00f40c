"""Particles: traces with weights, an approximation of a posterior."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from genparams.dsl.execution import Rng, seeded
from genparams.errors import NoDensity
from genparams.learning.checks import check_count, one_of
from genparams.learning.fitting.by_address import ByAddress
from genparams.learning.sampling.columns import stacked, values_of
from genparams.learning.sampling.resampling import SCHEMES
from genparams.mistakes import answering, closed, explained
from genparams.numeric import quiet
from genparams.trace.trace import Trace
from genparams.types import Array, show


@closed()
@answering(
    samples="write particles.values[address], which go with particles.weights",
    weights_log="write particles.log_weights",
    ess="write particles.effective_sample_size",
    log_ml="write particles.log_marginal_likelihood",
    log_evidence="write particles.log_marginal_likelihood",
)
@dataclass(frozen=True, eq=False, repr=False)
class Particles:
    """Weighted traces: the expectation of f under the posterior is near sum_i w_i f(trace_i)."""

    traces: tuple[Trace, ...]
    log_weights: Array
    """The logarithms of the weights w_i, which sum to 1."""
    log_marginal_likelihood: float
    """An estimate of log p(observations; args). Its exponential is unbiased."""

    @property
    def weights(self) -> Array:
        """The weights w_i, which sum to 1."""
        return np.exp(self.log_weights)

    @property
    def effective_sample_size(self) -> float:
        """1 / sum_i w_i^2, from 1 to the number of particles."""
        return effective_sample_size(self.log_weights)

    @cached_property
    def values(self) -> ByAddress[Array]:
        """The values of each choice by address: arrays of shape (particles, *value)."""
        return values_of(self.traces, (len(self.traces),))

    @explained
    def expectation(self, function: Callable[[Trace], Any]) -> Any:
        """sum_i w_i function(trace_i), for a function that gives numbers or arrays of one shape.

            particles.expectation(lambda trace: trace["mu"])

        A trace of weight 0 counts as 0, whatever the function gives.

        Raises:
            ShapeError: the function gives values of different shapes.
        """
        each = [function(trace) for trace in self.traces]
        values = stacked(each, (len(each),), "the function").astype(float)
        w = self.weights
        return np.tensordot(w[w > 0.0], values[w > 0.0], axes=1)[()]

    @explained
    def resample(self, n: int | None = None, method: str = "multinomial", rng: Rng = None) -> Any:
        """n traces of equal weight, drawn in proportion to the weights.

        Args:
            n: How many; as many as there are, by default.
            method: "multinomial", "residual", "systematic" or "stratified".

        Returns:
            Particles of equal weights, with the same marginal likelihood.

        Raises:
            InvalidValue: n is no whole number of at least 1, or there is no such method.
        """
        n = len(self.traces) if n is None else check_count("n", n)
        one_of("resampling", method, SCHEMES)
        kept = SCHEMES[method](self.weights, n, seeded(rng))
        return Particles(
            tuple([self.traces[i] for i in kept]),
            np.full(n, -np.log(n)),
            self.log_marginal_likelihood,
        )

    def __len__(self) -> int:
        return len(self.traces)

    def __repr__(self) -> str:
        return (
            f"Particles({len(self.traces)}, effective {self.effective_sample_size:.1f}, "
            f"log marginal likelihood {self.log_marginal_likelihood:.6g})"
        )


def particles_of(traces: Sequence[Trace], log_weights: Array, log_ml: float = 0.0) -> Particles:
    """Particles with weights that do not sum to 1 yet.

    Args:
        log_ml: The log marginal likelihood so far, to which the log of the mean weight is added.

    Raises:
        NoDensity: every weight is 0, or one is NaN or infinite.
    """
    refuse_weights(traces, log_weights)
    total = log_sum_exp(log_weights)
    return Particles(
        tuple(traces),
        _frozen(log_weights - total),
        float(log_ml + total - np.log(len(log_weights))),
    )


def effective_sample_size(log_weights: Array) -> float:
    """(sum_i w_i)^2 / sum_i w_i^2 of weights that need not sum to 1."""
    return float(np.exp(2.0 * log_sum_exp(log_weights) - log_sum_exp(2.0 * log_weights)))


@quiet
def log_sum_exp(x: Array) -> float:
    """log sum_i exp(x_i); -inf where every x is."""
    top = np.max(x)
    return float(top + np.log(np.sum(np.exp(x - top)))) if np.isfinite(top) else float(top)


def refuse_weights(traces: Sequence[Trace], log_weights: Array) -> None:
    """Refuse weights that are all 0, and a weight that is NaN or infinite.

    Raises:
        NoDensity: naming the choice that most traces with such a weight have no density at.
    """
    good = np.isfinite(log_weights)
    bad = np.isnan(log_weights) | (log_weights == np.inf)
    if np.any(good) and not np.any(bad):
        return
    n = len(traces)
    at_fault = [t for t, fault in zip(traces, bad, strict=True) if fault] or traces
    what = "a weight is not finite" if np.any(bad) else f"all {n} weights are zero"
    count = Counter(
        (show(a), float(lp)) for t in at_fault for a, lp in t.log_probs.items() if lp - lp != 0.0
    )
    name = traces[0].gen_fn.__name__
    if not count:
        raise NoDensity(name, "the proposal", float(log_weights[~good][0]), what)
    ((address, log_prob), times), *_ = count.most_common(1)
    raise NoDensity(name, address, log_prob, f"{what} ({times} of {n} traces)" if n > 1 else what)


def _frozen(array: Array) -> Array:
    array.setflags(write=False)
    return array
