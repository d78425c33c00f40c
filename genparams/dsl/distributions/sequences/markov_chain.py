"""Markov chains: sequences of states, each of which depends on the one before it."""

import math
from typing import Any

from genparams.autodiff import as_array, np, shape_of, sum_to
from genparams.dsl.call import Call
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.declaration import (
    Declaration,
    Pullback,
    Terms,
    with_axes,
)
from genparams.dsl.distributions.domains import ValueKind, as_operand, weights, whole
from genparams.dsl.distributions.parts import made_of_parts
from genparams.dsl.distributions.sequences import loops_markov_chain
from genparams.dsl.distributions.sequences.autoregressive import whole_length
from genparams.errors import ShapeError
from genparams.mistakes import explained
from genparams.program.recorded import recordable
from genparams.types import Array, Numbers, Size

NAME = "markov_chain"


@explained
def markov_chain(
    initial: Numbers, transition: Numbers, length: int, *, size: Size = None
) -> Call[Array]:
    """A sequence of states 0, ..., K - 1, each of which depends on the state before it.

        log p(s) = log initial[s_0] + sum_t log transition[s_{t-1}, s_t],    t = 1, ..., length - 1

    A state or a transition of probability 0 never occurs. The gradients are counts over
    probabilities, for free entries. For rows that sum to 1 use a parameter with the constraint
    `simplex`:

        transition = param("transition", np.full((2, 2), 0.5), constraint=simplex)
        markov_chain([0.5, 0.5], transition, len(states)) @ "states"

    Args:
        initial: The probabilities of the first state, of shape (K,).
        transition: Row i holds the probabilities of the states after state i: shape (K, K). Or one
            matrix for each step, of shape (length - 1, K, K).
        length: How many states the sequence has.
        size: The shape of a batch of independent sequences.

    Raises:
        ArgumentError: `length` is not a whole number above 0.
        ShapeError: the shapes do not fit together.
        DistributionError: when it is used, probabilities are negative or do not sum to 1.
    """
    transition = as_operand(NAME, "transition", transition)
    varying = len(shape_of(transition)) > 2
    return Call(
        _markov_chain(whole_length(length, where=NAME), varying), (initial, transition), size
    )


@made_of_parts
def _markov_chain(length: int, varying: bool) -> Distribution:
    return Distribution(
        Declaration(
            name=NAME,
            arguments={"initial": weights, "transition": weights.within(1 + varying)},
            kind=ValueKind(1, whole.convert),
            draw=lambda rng, initial, transition, size: draw_states(
                rng, initial, transition, size, length, varying
            ),
            terms=lambda x, initial, transition: _terms(x, initial, transition, varying),
            fit=lambda initial, transition: check_states(NAME, initial, transition, length),
            event=lambda args: (length,),
            support=f"sequences of {length} states from 0 to K - 1, for K initial probabilities, "
            "whose first state and transitions have probabilities above 0",
            doc=markov_chain.__doc__,
        )
    )


def check_states(name: str, initial: Any, transition: Any, length: int) -> None:
    """Raise unless the transitions are between the states that have initial probabilities."""
    states, shape = shape_of(initial)[-1], shape_of(transition)
    if shape[-2:] != (states, states):
        raise ShapeError(
            f"transition of {name} must be {states} x {states} for {states} initial "
            f"probabilities, got shape {shape}"
        )
    if len(shape) > 2 and shape[-3] != length - 1:
        raise ShapeError(
            f"transition of {name} has a matrix for each of {length - 1} steps between {length} "
            f"states, or one matrix for all, got shape {shape}"
        )


def _terms(x: Any, initial: Any, transition: Any, varying: bool) -> Terms:
    """The log density by counts: of the first state, and of each pair of neighbours."""
    x = as_array(x)
    states = shape_of(initial)[-1]
    inside = np.all((x >= 0) & (x < states) & (x == np.floor(x)), axis=-1)
    x = np.where(inside[..., None], x, 0).astype(np.int64)
    pairs = x[..., :-1] * states + x[..., 1:]
    pairs = _counts(pairs[..., None] if varying else pairs, states**2)
    pairs = np.reshape(pairs, (*pairs.shape[:-1], states, states))
    by_initial = _log_power(initial, _counts(x[..., :1], states), 1)
    by_pairs = _log_power(transition, pairs, 2 + varying)
    log_p = np.where(inside, by_initial[0] + by_pairs[0], -np.inf)

    def pullback(probs: Any, slopes: Any, axes: int) -> Pullback:
        def pull(g: Any) -> Any:
            return sum_to(with_axes(g * np.where(inside, 1.0, 0.0), axes) * slopes, shape_of(probs))

        return pull

    return log_p, (
        None,
        pullback(initial, by_initial[1], 1),
        pullback(transition, by_pairs[1], 2 + varying),
    )


def _counts(codes: Any, kinds: int) -> Any:
    """How often each of 0, ..., kinds - 1 occurs along the last axis."""
    *front, length = codes.shape
    found = counted(np.reshape(codes, (math.prod(front), length)), kinds)
    return np.reshape(found, (*front, kinds))


@recordable(loops_markov_chain.counted)
def counted(codes: Any, kinds: int) -> Any:
    """How often each of 0, ..., kinds - 1 occurs in each row."""
    rows = len(codes)
    at = codes + kinds * np.arange(rows)[:, None]
    return np.reshape(np.bincount(at.ravel(), minlength=rows * kinds), (rows, kinds))


def _log_power(probs: Any, counts: Any, axes: int) -> tuple[Any, Any]:
    """sum of counts * log probs over the last axes, and its derivative by each probability."""
    some = counts > 0
    safe = np.where(some, probs, 1.0)
    return np.sum(counts * np.log(safe), axis=tuple(range(-axes, 0))), counts / safe


# --- Draws


def draw_states(
    rng: Any, initial: Any, transition: Any, size: tuple[int, ...], length: int, varying: bool
) -> Array:
    """Sequences of states, of shape (*size, length), by an array of numbers between 0 and 1."""
    u = np.reshape(rng.random((*size, length)), (-1, length))
    first = _rows(np.cumsum(initial, axis=-1), 1, size)
    edges = _rows(np.cumsum(transition, axis=-1), 2 + varying, size)
    member = np.arange(len(edges)) if len(edges) > 1 else 0
    states = np.empty(u.shape, dtype=np.int64)
    for t in range(length):
        if t == 0:
            here = first
        elif varying:
            here = edges[member, t - 1, states[:, t - 1]]
        else:
            here = edges[member, states[:, t - 1]]
        states[:, t] = np.sum(u[:, t, None] * here[:, -1:] >= here, axis=-1)
    return np.reshape(states, (*size, length))


def _rows(a: Array, rank: int, size: tuple[int, ...]) -> Array:
    """An array with one axis for the batch, of length 1 if all members share it."""
    event = a.shape[a.ndim - rank :]
    full = a if math.prod(a.shape[:-rank]) == 1 else np.broadcast_to(a, (*size, *event))
    return np.reshape(full, (math.prod(full.shape[: full.ndim - rank]), *event))
