"""The information about parameters from the information about the arguments of a choice.

With A_i the tangents of argument i, and W_ij the information by a pair of arguments,

    I = sum over the batch, and over i and j, of A_i W_ij A_j^T

An argument that is shared by the batch is not repeated: W is summed over what shares it.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from genparams.autodiff import sum_to
from genparams.dsl.distributions.statistics.known import Shape, Unknown
from genparams.errors import ShapeError

Pair = tuple[int, int]
"""The places of two arguments, the first not after the second."""


@dataclass(frozen=True, slots=True)
class ByEntries:
    """The information of a distribution over numbers by numbers, given for each pair of arguments.

    `entries(pairs, *args)` has the information of each member of the batch by some pairs of
    arguments: at least those asked for that are not zero.
    """

    entries: Callable[..., Mapping[Pair, Any]]
    fixed: tuple[int, ...] = ()
    """The places of arguments by which there is no information."""
    reason: str = ""
    """Why there is none by these."""

    def __call__(self, args: Sequence[Any], tangents: Sequence[Any], batch: Shape) -> Any:
        if any(tangents[i] is not None for i in self.fixed):
            return Unknown(self.reason)
        pairs = pairs_of(tangents)
        found = self.entries(pairs, *args)
        for w in found.values():
            _check_broadcasts(w, batch)
        return sum(
            between(tangents[i], tangents[j], found[i, j], batch, i == j)
            for i, j in pairs
            if (i, j) in found
        ) + np.zeros((count_of(tangents),) * 2)


def _check_broadcasts(weights: Any, batch: Shape) -> None:
    shape = np.shape(weights)
    if len(shape) > len(batch) or any(
        n not in (1, m) for n, m in zip(shape[::-1], batch[::-1], strict=False)
    ):
        raise ShapeError(
            f"an entry of the information has shape {shape} for a batch of shape {batch}; return "
            "the information of each entry of the value"
        )


def by_entries(entries: Callable[..., Mapping[Pair, Any]]) -> ByEntries:
    """The information by a function of the arguments alone, which gives every pair."""
    return ByEntries(lambda pairs, *args: entries(*args))


def pairs_of(tangents: Sequence[Any]) -> list[Pair]:
    """The pairs of arguments that depend on the parameters."""
    places = [i for i, t in enumerate(tangents) if t is not None]
    return [(i, j) for i in places for j in places if i <= j]


def count_of(tangents: Iterable[Any]) -> int:
    """The number of parameters."""
    return next(np.shape(t)[0] for t in tangents if t is not None)


def between(a: Any, b: Any, weights: Any, batch: Shape, same: bool) -> Any:
    """The sum over the batch of a W b^T, with b W a^T unless a and b are the `same`."""
    if np.size(a) > np.size(b):
        a, b = b, a
    shape = np.broadcast_shapes(np.shape(a)[1:], np.shape(b)[1:])
    if not np.all(np.isfinite(weights)):
        weights = np.where(_moves(a) & _moves(b), weights, 0.0)
    summed = summed_to(weights, batch, shape)
    a = padded(a, len(shape))
    if same and np.all(summed >= 0.0):  # a product with its own transpose takes half the time
        half = (a * np.sqrt(summed)).reshape(len(a), -1)
        return half @ half.T
    scaled = sum_to(padded(b, len(shape)) * summed, (len(b), *a.shape[1:]))
    product = a.reshape(len(a), -1) @ scaled.reshape(len(b), -1).T
    return product if same else product + product.T


def _moves(tangent: Any) -> Any:
    """Where an argument depends on a parameter: elsewhere there is no information by it."""
    return np.any(np.asarray(tangent) != 0.0, axis=0)


def summed_to(weights: Any, batch: Shape, shape: Shape) -> Any:
    """Weights of the members of a batch, summed over what shares one entry of a shape."""
    if np.shape(weights) == shape == batch:
        return weights
    kept = np.broadcast_shapes(np.shape(weights), shape)
    times = math.prod(batch) / math.prod(kept) if math.prod(kept) else 0.0
    return times * sum_to(np.broadcast_to(weights, kept), shape)


def padded(tangent: Any, axes: int, event: int = 0) -> Any:
    """A tangent whose batch has so many axes: new ones of length 1 come after the parameters."""
    tangent = np.asarray(tangent)
    missing = (1,) * (axes + event + 1 - tangent.ndim)
    return tangent.reshape(tangent.shape[:1] + missing + tangent.shape[1:])
