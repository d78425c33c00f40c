"""The no-U-turn sampler: Hamiltonian Monte Carlo that chooses the length of its trajectories.

A trajectory is doubled, each time forwards or backwards at random, until its ends begin to come
back towards each other. The next state is drawn from all of its states, each with the weight
exp(-H), later doublings preferred.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from genparams.dsl.execution import Rng, seeded
from genparams.learning.checks import check_count
from genparams.learning.sampling.coordinates import Coordinates
from genparams.learning.sampling.hamiltonian import (
    State,
    accept_prob,
    check_step_size,
    is_divergent,
    leapfrog,
    state_of,
)
from genparams.learning.sampling.metric import metric_of
from genparams.learning.sampling.moved import Moved
from genparams.mistakes import explained
from genparams.trace.trace import Trace
from genparams.types import Array


@explained
def nuts(
    trace: Trace,
    selection: Any,
    step_size: float = 0.1,
    max_depth: int = 10,
    metric: Any = None,
    rng: Rng = None,
) -> Moved:
    """One step of the no-U-turn sampler: `hmc` with as many leapfrog steps as it takes.

        trace, accepted = nuts(trace, ["mu", "tau"], step_size=0.1)

    The trajectory is doubled until it turns: until p_sharp . rho <= 0 at an end of a subtree, for
    the velocity p_sharp = metric p at that end and the sum rho of all momenta between. The next
    state is drawn from the trajectory in proportion to exp(-H), a later subtree preferred.

    Args:
        selection, metric: As in `hmc`.
        max_depth: The largest number of doublings: at most 2^max_depth - 1 leapfrog steps.

    Returns:
        `trace, accepted`, a `Moved`. `accepted` says whether the state moved; `accept_prob` is the
        mean of min(1, exp(H_0 - H)) over the states of the trajectory. The trajectory ends where
        the density is 0, a value is not finite, or the energy error is above 1000, and the step is
        `divergent`.

    Raises:
        As `hmc`.

    Reference: Betancourt, 2017, https://arxiv.org/abs/1701.02434, appendix A, with multinomial
    sampling, and as in Stan the criterion between neighbouring subtrees too; Hoffman and Gelman,
    2014, The No-U-Turn Sampler.
    """
    step, limit = check_step_size(step_size), check_count("max_depth", max_depth)
    space, rng = Coordinates(trace, selection), seeded(rng)
    sigma = metric_of(metric, space.size)
    start = state_of(space.start, sigma.momentum(rng), sigma)

    def move(state: State, direction: float) -> State | None:
        return leapfrog(space, sigma, state, direction * step)

    tree, walk, depth = _leaf(start), _Walk(start, move, rng), 0
    while depth < limit:
        direction = 1.0 if rng.random() > 0.5 else -1.0
        other = walk.subtree(tree.end(direction), depth, direction)
        if other is None:
            break
        depth += 1
        tree = walk.joined(tree, other, direction, prefer_new=True)
        if tree.turns:
            break
    kept = tree.proposal
    return Moved(
        trace if kept is start else space.trace_at(kept.point.u),
        kept is not start,
        walk.accept_sum / walk.steps,
        walk.diverged,
        {
            "step_size": step,
            "tree_depth": float(depth),
            "n_steps": float(walk.steps),
            "energy": kept.energy,
        },
        kept.point.u,
    )


@dataclass(slots=True)
class _Tree:
    """A part of a trajectory, in the order of time."""

    first: State
    last: State
    rho: Array
    """The sum of the momenta."""
    log_weight: float
    """log sum exp(H_0 - H)."""
    proposal: State
    turns: bool = False

    def end(self, direction: float) -> State:
        return self.last if direction > 0.0 else self.first


def _leaf(state: State, log_weight: float = 0.0) -> _Tree:
    return _Tree(state, state, state.p, log_weight, state)


class _Walk:
    """The leapfrog steps of one trajectory, and what was met on the way."""

    def __init__(
        self,
        start: State,
        move: Callable[[State, float], State | None],
        rng: np.random.Generator,
    ):
        self.start, self.move, self.rng = start, move, rng
        self.steps, self.accept_sum, self.diverged = 0, 0.0, False

    def subtree(self, end: State, depth: int, direction: float) -> _Tree | None:
        """2^depth further states; None if they diverge, or a part of them turns."""
        if depth == 0:
            return self._step(end, direction)
        near = self.subtree(end, depth - 1, direction)
        if near is None:
            return None
        far = self.subtree(near.end(direction), depth - 1, direction)
        if far is None:
            return None
        both = self.joined(near, far, direction, prefer_new=False)
        return None if both.turns else both

    def _step(self, end: State, direction: float) -> _Tree | None:
        state = self.move(end, direction)
        self.steps += 1
        self.accept_sum += accept_prob(self.start, state)
        if state is None or is_divergent(self.start, state):
            self.diverged = True
            return None
        return _leaf(state, self.start.energy - state.energy)

    def joined(self, old: _Tree, new: _Tree, direction: float, prefer_new: bool) -> _Tree:
        """Two neighbouring parts as one; `new` is further in the direction of time.

        The proposal is the one of `new` with probability w_new / (w_old + w_new) or, to prefer it,
        min(1, w_new / w_old).
        """
        log_weight = _logaddexp(old.log_weight, new.log_weight)
        log_share = new.log_weight - (old.log_weight if prefer_new else log_weight)
        is_new = log_share >= 0.0 or self.rng.random() < math.exp(log_share)
        left, right = (old, new) if direction > 0.0 else (new, old)
        rho = left.rho + right.rho
        return _Tree(
            left.first,
            right.last,
            rho,
            log_weight,
            (new if is_new else old).proposal,
            _turns(left.first, right.last, rho)
            or _turns(left.first, right.first, left.rho + right.first.p)
            or _turns(left.last, right.last, right.rho + left.last.p),
        )


def _turns(first: State, last: State, rho: Array) -> bool:
    """Whether a trajectory comes back at one of its ends."""
    return not (float(last.velocity @ rho) > 0.0 and float(first.velocity @ rho) > 0.0)


def _logaddexp(a: float, b: float) -> float:
    low, high = min(a, b), max(a, b)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))
