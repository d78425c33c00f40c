"""Draws: the states of Markov chains, as traces and as arrays."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np

from genparams.learning.fitting.by_address import ByAddress
from genparams.learning.sampling.columns import stacked, values_of
from genparams.learning.sampling.exports import to_arviz, to_frame
from genparams.mistakes import answering, closed, explained
from genparams.text import counted
from genparams.trace.trace import Trace
from genparams.types import Array


@dataclass(frozen=True, slots=True)
class Chain:
    """One Markov chain after its warm-up."""

    traces: tuple[Trace, ...]
    accept_probs: Array
    """The mean probability of acceptance of each kernel between two draws: (draws, kernels)."""
    divergent: Array
    """Whether a trajectory between two draws diverged: (draws,)."""
    stats: Mapping[str, Array]
    """Other numbers of the step that ended at each draw, by name: (draws,)."""
    adapted: tuple[Mapping[str, Any], ...]
    """What the warm-up chose for each kernel, by the name of the argument."""


@closed()
@answering(
    samples="write draws.values[address]",
    posterior="write draws.values[address]",
    get_samples="write draws.values[address]",
    lp="write draws.log_prob",
    diverging="write draws.divergent",
    summary="write arviz.summary(draws.to_arviz())",
)
@dataclass(frozen=True, eq=False, repr=False)
class Draws:
    """The draws of one Markov chain or several, in order; the warm-up is left out.

    draws.values["mu"]          an array of shape (chains, draws, *value)
    draws.traces[chain][draw]   a trace
    """

    chains: tuple[Chain, ...]

    @property
    def traces(self) -> tuple[tuple[Trace, ...], ...]:
        """The trace of each draw, by chain."""
        return tuple(one.traces for one in self.chains)

    @property
    def shape(self) -> tuple[int, int]:
        """The number of chains, and of draws in each."""
        return len(self.chains), len(self.chains[0].traces)

    @cached_property
    def values(self) -> ByAddress[Array]:
        """The values of each choice by address: arrays of shape (chains, draws, *value)."""
        return values_of(list(chain.from_iterable(self.traces)), self.shape)

    @cached_property
    def log_prob(self) -> Array:
        """log p(t; x) of each draw, all choices included: an array of shape (chains, draws)."""
        return np.array([[trace.log_prob for trace in one] for one in self.traces])

    @property
    def accept_probs(self) -> Array:
        """The probability of acceptance, of shape (chains, draws, kernels): for each kernel of the
        cycle its mean over the steps since the draw before.
        """
        return np.stack([one.accept_probs for one in self.chains])

    @property
    def accept_rate(self) -> Array:
        """The mean probability of acceptance in each chain, of shape (chains,)."""
        return np.mean(self.accept_probs, axis=(1, 2))

    @property
    def divergent(self) -> Array:
        """Whether a trajectory diverged since the draw before, of shape (chains, draws)."""
        return np.stack([one.divergent for one in self.chains])

    @property
    def stats(self) -> dict[str, Array]:
        """Other numbers of each draw by name, such as `tree_depth`; shape (chains, draws)."""
        return {
            name: np.stack([one.stats[name] for one in self.chains])
            for name in self.chains[0].stats
        }

    @property
    def adapted(self) -> tuple[tuple[Mapping[str, Any], ...], ...]:
        """What the warm-up chose, by chain and kernel: such as `{"step_size": 0.1}`."""
        return tuple(one.adapted for one in self.chains)

    @explained
    def collect(self, function: Callable[[Trace], Any]) -> Array:
        """A function of each trace, as an array of shape (chains, draws, *value).

            draws.collect(lambda trace: trace.retval)

        Raises:
            ShapeError: the function returns values of different shapes.
        """
        each = [function(trace) for one in self.traces for trace in one]
        return stacked(each, self.shape, "the function")

    @explained
    def to_frame(self, selection: Any = None) -> Any:
        """A data frame of pandas with a row for each draw, chain after chain.

        Its columns are `chain`, `draw`, `log_prob`, and one for each number of each choice: `mu`,
        `theta[0]`, `steps[3].y`. A choice that a draw does not have is None there.

        Args:
            selection: The choices to show. None leaves out those that are the same in every draw,
                such as data.

        Raises:
            MissingExtra: pandas is not installed.
            UnknownAddress: a selected address is in no draw.
        """
        return to_frame(self.traces, self.values, self.log_prob, selection)

    @explained
    def to_arviz(self, observed: Any = None, log_likelihood: bool = True) -> Any:
        """The draws as inference data of ArviZ: an `InferenceData`, or a `DataTree` from its
        version 1 on.

            arviz.summary(draws.to_arviz(observed="ys"))

        The groups are `posterior`, `sample_stats` (`lp`, `diverging`, `acceptance_rate` and what
        the kernels report), `observed_data`, and `log_likelihood` with one number for each datum.
        Truth values become 0 and 1.

        Args:
            observed: The addresses of the data: a selection, an address or a list of addresses.
            log_likelihood: Whether to compute log likelihoods, which takes a run of the model for
                each draw.

        Raises:
            MissingExtra: ArviZ is not installed.
            ArgumentError: `observed` is not given; the error names what seems to be observed.
            InvalidValue: an observed choice is not the same in every draw; or a choice is not in
                every draw.
            UnknownAddress: there is no choice at an observed address.
        """
        stats = {
            "lp": self.log_prob,
            "diverging": self.divergent,
            "acceptance_rate": np.mean(self.accept_probs, axis=2),
            **self.stats,
        }
        return to_arviz(self.traces, self.values, stats, observed, log_likelihood)

    def __repr__(self) -> str:
        chains, draws = self.shape
        lost = int(np.sum(self.divergent))
        more = f", {lost} divergent" if lost else ""
        rates = ", ".join(f"{rate:.2f}" for rate in self.accept_rate)
        size = f"{counted(chains, 'chain')} of {counted(draws, 'draw')}"
        return f"Draws({size}, accepted {rates}{more})"
