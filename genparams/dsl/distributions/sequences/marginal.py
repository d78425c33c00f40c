"""The sum over the hidden states, as part of a log density with gradients."""

import math
from collections.abc import Sequence
from typing import Any

from genparams.autodiff import np, raw, shape_of, sum_to
from genparams.dsl.distributions.declaration import Pullback, with_axes
from genparams.dsl.distributions.domains import Domain, weights
from genparams.dsl.distributions.sequences.forward_backward import forward_backward


def chain_arguments(varying: bool) -> dict[str, Domain]:
    """The arguments of a hidden chain, whose transition may be one for each step."""
    return {"initial": weights, "transition": weights.within(1 + varying)}


def marginal(
    initial: Any, transition: Any, log_e: Any, varying: bool
) -> tuple[Any, Sequence[Pullback]]:
    """log p of each sequence from a table of shape (*batch, K, T), and its pullbacks."""
    operands = initial, transition, log_e
    batch, ranks = shape_of(log_e)[:-2], (1, 2 + varying, 2)

    def flat(a: Any, rank: int) -> Any:
        shape = shape_of(a)
        if len(shape) == rank:
            return a[None]
        event = shape[len(shape) - rank :]
        full = a if shape == batch + event else np.broadcast_to(a, batch + event)
        return np.reshape(full, (math.prod(batch), *event))

    pi, a, table = (flat(v, rank) for v, rank in zip(operands, ranks, strict=True))
    log_p, *slopes = forward_backward(pi, a if varying else a[:, None], table)
    log_p = np.reshape(log_p, batch)
    good = np.where(np.isfinite(raw(log_p)), 1.0, 0.0)

    def pullback(argument: Any, slope: Any, rank: int) -> Pullback:
        shape = shape_of(argument)
        slope = np.reshape(slope, (*batch, *shape[len(shape) - rank :]))
        return lambda g: sum_to(with_axes(good * g, rank) * slope, shape)

    return log_p, [pullback(*row) for row in zip(operands, slopes, ranks, strict=True)]
