"""Standard deviations that have their maximum in closed form, given the other parameters.

Let coordinate j be the logarithm of the standard deviation of some normal choices (or of their
logarithms, for lognormal ones), and change nothing else. For the n entries with residuals z in
standard deviations the log likelihood is then largest where j has grown by

    log(sum z^2 / n) / 2

The derivatives at one point cannot tell a logarithm from other coordinates: a standard deviation of
1 that is a coordinate itself has the same ones there. So a second run, at a moved point, confirms
what the derivatives say.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from genparams.dsl.distributions.continuous import lognormal, normal
from genparams.dsl.likelihood.sites import Site, Stacked
from genparams.types import Array

ROUNDING = 16 * np.finfo(float).eps
"""Rounding alone may explain a standard deviation below this part of the values."""
MOVE = -0.5
"""A move of a logarithm; downwards, where nothing overflows."""
RESIDUALS = {
    normal: lambda x, mu, std: (x - mu) / std,
    lognormal: lambda x, mu, sigma: (np.log(x) - mu) / sigma,
}
"""The residuals in standard deviations, by distribution."""


@dataclass(frozen=True, slots=True)
class Scales:
    """The coordinates that are logarithms of standard deviations, and the entries of each."""

    entries: dict[int, list[tuple[int, Any]]]
    """By coordinate: the place of each stack of choices, and a mask of its entries."""

    def settled(self, x: Array, stacks: Sequence[Stacked]) -> Array:
        """x with each scale at its maximum, given the choices of a run at x."""
        x = x.copy()
        for j in self.entries:
            mean = self._mean_square(j, stacks)
            if 0.0 < mean < np.inf:
                x[j] += 0.5 * np.log(mean)
        return x

    def _mean_square(self, j: int, stacks: Sequence[Stacked]) -> float:
        """The mean square of the residuals in standard deviations."""
        squares = [np.square(_residuals(stacks[k]))[mask] for k, mask in self.entries[j]]
        return float(np.mean(np.concatenate(squares)))

    def moved(self, x: Array) -> Array:
        """x with each scale moved."""
        x = x.copy()
        x[[*self.entries]] += MOVE
        return x

    def confirmed(self, before: Sequence[Stacked], after: Sequence[Stacked]) -> "Scales":
        """The scales whose standard deviations all changed by the factor of the move, where the
        means did not change.

        Two coordinates of one standard deviation, as in exp(a + b), change it by another factor.

        Args:
            before, after: The choices of the runs at a point and at the moved one.
        """
        return Scales({j: p for j, p in self.entries.items() if _is_moved(p, before, after)})

    def exact(self, stacks: Sequence[Stacked]) -> list[int]:
        """The coordinates whose residuals are rounding errors: the model fits the data exactly."""
        return [j for j in self.entries if self._largest_ratio(j, stacks) < ROUNDING]

    def _largest_ratio(self, j: int, stacks: Sequence[Stacked]) -> float:
        """The largest ratio of a standard deviation to the root mean square of the values."""
        ratios = []
        for k, mask in self.entries[j]:
            std = np.broadcast_to(stacks[k].args[1], mask.shape)[mask]
            values = np.sqrt(np.mean(np.square(np.asarray(stacks[k].value)[mask])))
            ratios.append(float(np.max(std) / max(values, 1e-300)))
        return max(ratios)

    def noise(self, x: Array) -> Array:
        """For each other coordinate the standard deviation, in geometric mean; 1 if there is none,
        and for those that are one.
        """
        found = np.ones(len(x))
        if self.entries:
            found[:] = np.exp(np.mean(x[[*self.entries]]))
            found[[*self.entries]] = 1.0
        return found


def may_have_scale(site: Site | Stacked) -> bool:
    """Whether a choice is of a distribution whose standard deviation is an argument."""
    return site.distribution in RESIDUALS


def scales_of(stacks: Sequence[Stacked], size: int, fixed: Iterable[int]) -> Scales:
    """The coordinates that are scales, by the derivatives of the arguments of every choice.

    Args:
        fixed: Coordinates on which something else depends, such as a prior.
    """
    entries: dict[int, list[tuple[int, Any]]] = {}
    others = set(fixed)
    for k, stack in enumerate(stacks):
        masks = _masks(stack)
        for j, mask in masks.items():
            entries.setdefault(j, []).append((k, mask))
        for t in stack.tangents:
            if t is not None:
                moved = np.any(t.reshape(size, -1) != 0.0, axis=1)
                others |= {int(j) for j in np.flatnonzero(moved) if int(j) not in masks}
    return Scales({j: places for j, places in entries.items() if j not in others})


def _masks(stack: Stacked) -> dict[int, Array]:
    """The entries of a stack whose log standard deviation is a coordinate, by coordinate."""
    if not may_have_scale(stack) or stack.tangents[1] is None:
        return {}
    std, shape = np.asarray(stack.args[1]), np.shape(stack.value)
    by_mean, relative = stack.tangents[0], stack.tangents[1] / std
    found: dict[int, Array] = {}
    for j in np.flatnonzero(np.any(relative.reshape(len(relative), -1) != 0.0, axis=1)):
        one = np.abs(relative[j] - 1.0) < 1e-9
        is_shift = by_mean is not None and np.any(by_mean[j] != 0.0)
        if not is_shift and np.all(one | (relative[j] == 0.0)):
            found[int(j)] = np.broadcast_to(one, shape)
    return found


def _is_moved(
    places: list[tuple[int, Any]], before: Sequence[Stacked], after: Sequence[Stacked]
) -> bool:
    """Whether the standard deviations changed by the factor of the move, and no mean changed."""
    for k, mask in places:
        (mu, std), (mu_after, std_after) = ((s[k].args[0], s[k].args[1]) for s in (before, after))
        factors = np.broadcast_to(np.asarray(std_after) / np.asarray(std), mask.shape)[mask]
        shifts = np.broadcast_to(np.asarray(mu_after) - np.asarray(mu), mask.shape)[mask]
        size = np.broadcast_to(np.abs(mu) + np.abs(std), mask.shape)[mask]
        same = np.all(np.abs(shifts) <= 1e-12 * size)
        if not (same and np.allclose(factors, np.exp(MOVE), rtol=1e-9, atol=0.0)):
            return False
    return True


def _residuals(stack: Stacked) -> Array:
    return np.asarray(RESIDUALS[stack.distribution](stack.value, *stack.args))
