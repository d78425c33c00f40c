"""The states of a hidden Markov chain, given the observations."""

from typing import Any, NamedTuple

import numpy as np

from genparams.autodiff import raw
from genparams.dsl.call import Call
from genparams.dsl.distributions.sequences.autoregressive import whole_length
from genparams.dsl.distributions.sequences.forward_backward import forward_backward
from genparams.dsl.distributions.sequences.hidden_markov import NAME, log_emissions_of
from genparams.dsl.distributions.sequences.markov_chain import draw_states
from genparams.dsl.execution import Rng, seeded
from genparams.errors import ArgumentError, DistributionError
from genparams.mistakes import explained
from genparams.text import brief
from genparams.types import Array


class StateProbabilities(NamedTuple):
    """The distribution of the states of a hidden Markov chain, given all observations."""

    probs: Array
    """P(s_t = k | ys), of shape (length, K)."""
    pairs: Array
    """P(s_t = i, s_{t+1} = j | ys), of shape (length - 1, K, K)."""
    log_prob: float
    """log p(ys)."""


class StatePath(NamedTuple):
    """A sequence of states."""

    states: Array
    """Whole numbers from 0 to K - 1, of shape (length,)."""
    log_prob: float
    """log p(states, ys)."""


@explained
def hidden_markov_smoother(call: Call[Any], ys: Any) -> StateProbabilities:
    """The probabilities of the states given all observations, by the forward-backward algorithm.

    The last row of `probs` is the distribution of the state now; `probs[-1] @ transition` is the
    distribution of the next one.

    Args:
        call: A call of `hidden_markov` for one sequence.
        ys: The observations, NaN where they are missing.

    Returns:
        `probs` of shape (length, K), the probability of each state at each step; `pairs` of shape
        (length - 1, K, K), the probabilities of states at neighbouring steps; and `log_prob`, that
        of the observations.

    Raises:
        ArgumentError: `call` is something else, or is for several sequences.
        ShapeError: `ys` does not have the shape of a value.
        DistributionError: an argument is outside its domain, or the observations are impossible.

    Reference: Rabiner, 1989, A tutorial on hidden Markov models, section III.B.
    """
    initial, transition, log_e = _checked("hidden_markov_smoother", call, ys)
    log_p, _, slopes, probs = forward_backward(initial[None], transition[None], log_e[None])
    return StateProbabilities(probs[0].T, slopes[0] * transition, float(log_p[0]))


@explained
def hidden_markov_states(
    call: Call[Any], ys: Any, size: int | None = None, rng: Rng = None
) -> Array:
    """Draws of the states given the observations, all steps together.

    Given the observations the states are a Markov chain too, whose transitions change with time.

    Args:
        call, ys: As for `hidden_markov_smoother`.
        size: How many draws; None for one, without an axis for it.
        rng: A `numpy.random.Generator`, a seed, or None.

    Returns:
        Whole numbers from 0 to K - 1, of shape (length,), after the axis of `size`.

    Raises:
        ArgumentError, ShapeError, DistributionError: As for `hidden_markov_smoother`.
    """
    found = hidden_markov_smoother(call, ys)
    shape = () if size is None else (whole_length(size, "size", "hidden_markov_states"),)
    total = np.sum(found.pairs, axis=-1, keepdims=True)
    some = total > 0.0
    steps = np.where(some, found.pairs, 1.0) / np.where(some, total, 1.0)
    return draw_states(seeded(rng), found.probs[0], steps, shape, len(found.probs), True)


@explained
def hidden_markov_path(call: Call[Any], ys: Any) -> StatePath:
    """The most likely sequence of states given the observations, by the Viterbi algorithm.

    It maximises log p(states, ys). It is not the sequence of the most likely states, which is
    `hidden_markov_smoother(call, ys).probs.argmax(axis=1)`.

    Args:
        call, ys: As for `hidden_markov_smoother`.

    Returns:
        `states` of shape (length,), and `log_prob`, that of these states and the observations.

    Raises:
        ArgumentError, ShapeError, DistributionError: As for `hidden_markov_smoother`.

    Reference: Rabiner, 1989, A tutorial on hidden Markov models, section III.B.
    """
    initial, transition, log_e = _checked("hidden_markov_path", call, ys)
    with np.errstate(divide="ignore"):
        log_p, log_a = np.log(initial) + log_e[:, 0], np.log(transition)
    length = log_e.shape[1]
    before = np.zeros((length, len(initial)), dtype=np.int64)
    for t in range(1, length):
        each = log_p[:, None] + log_a[t - 1]
        before[t] = np.argmax(each, axis=0)
        log_p = np.max(each, axis=0) + log_e[:, t]
    states = np.empty(length, dtype=np.int64)
    states[-1] = np.argmax(log_p)
    for t in range(length - 1, 0, -1):
        states[t - 1] = before[t, states[t]]
    return StatePath(states, float(np.max(log_p)))


def _checked(where: str, call: Any, ys: Any) -> tuple[Array, Array, Array]:
    """The initial probabilities, a matrix for each step, and the log emissions, (K, length)."""
    table = log_emissions_of(call, ys) if isinstance(call, Call) else None
    if table is None:
        raise ArgumentError(f"{where} takes a call {NAME}(...) and observations, got {brief(call)}")
    if table.ndim != 2:
        raise ArgumentError(
            f"{where} takes one sequence; call {NAME} without size and without axes of a batch"
        )
    initial, transition = (np.asarray(raw(a), dtype=float) for a in call.args[:2])
    states, length = table.shape
    if not np.isfinite(call.log_prob(ys)):
        args = call.fn.operands(call.args)
        raise DistributionError(
            f"the observations given to {where} have no finite log probability: "
            f"{call.fn.why_impossible(call.fn.broadcast(ys, args, None), args)}"
        )
    return initial, np.broadcast_to(transition, (length - 1, states, states)), table
