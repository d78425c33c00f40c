"""The exact transition matrix of a kernel on a discrete model, by running every way it can go."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from genparams import distribution
from genparams.learning.sampling.moved import Moved


class Branching(np.random.Generator):
    """A generator that follows a path of given outcomes, and accepts whatever can be accepted."""

    def __init__(self, path: Sequence[int]):
        super().__init__(np.random.PCG64(0))
        self.path, self.taken, self.prob = path, [], 1.0

    def pick(self, probs: Sequence[float]) -> int:
        """The next outcome; the first one after the end of the path."""
        place = len(self.taken)
        i = self.path[place] if place < len(self.path) else 0
        self.taken.append((i, len(probs)))
        self.prob *= probs[i]
        return i

    def random(self, *args: Any, **named: Any) -> Any:
        return 0.0


def _sampled(rng: Any, p: Any, size: Any) -> int:
    return rng.pick([1.0 - p, p]) if isinstance(rng, Branching) else int(rng.uniform() < p)


flip = distribution(
    sample=_sampled,
    log_prob=lambda x, p: np.where(x == 1, np.log(p), np.log1p(-p)),
    name="flip",
    discrete=True,
)
"""One of 0 and 1, with probability p of 1."""


class Gridded(Branching):
    """A `Branching` whose uniform numbers are 1/8, 3/8, 5/8 and 7/8, with equal probability.

    This is exact where what is done depends on the quarter of the number alone.
    """

    def random(self, size: Any = None, *args: Any, **named: Any) -> Any:
        each = [(self.pick([0.25] * 4) + 0.5) / 4.0 for _ in range(1 if size is None else size)]
        return each[0] if size is None else np.array(each)


def outcomes(
    act: Callable[[Any], Any], kind: type[Branching] = Branching
) -> list[tuple[float, Any]]:
    """Every outcome of something that draws flips, with its probability."""
    found, waiting = [], [[]]
    while waiting:
        path = waiting.pop()
        rng = kind(path)
        result = act(rng)
        found.append((rng.prob, result))
        for place in range(len(path), len(rng.taken)):
            before = [i for i, _ in rng.taken[:place]]
            waiting += [[*before, i] for i in range(1, rng.taken[place][1])]
    return found


def key(trace: Any) -> frozenset[Any]:
    return frozenset((address, int(value)) for address, value in trace.choices.items())


def transitions(kernel: Callable[..., Any], start: Any) -> tuple[np.ndarray, np.ndarray, list[Any]]:
    """The posterior and the transition matrix over all states that are reached, and the states.

    Returns:
        pi, P and the traces, with P[i, j] the probability to go from state i to state j.
    """
    states, rows, place = [start], [], {key(start): 0}
    for trace in states:  # grows
        row: dict[int, float] = {}
        for prob, moved in outcomes(lambda rng, trace=trace: kernel(trace, rng=rng)):
            accept = moved.accept_prob if isinstance(moved, Moved) else float(moved[1])
            if key(moved[0]) not in place:
                place[key(moved[0])] = len(states)
                states.append(moved[0])
            here, there = place[key(trace)], place[key(moved[0])]
            row[there] = row.get(there, 0.0) + prob * accept
            row[here] = row.get(here, 0.0) + prob * (1.0 - accept)
        rows.append(row)
    P = np.zeros((len(states), len(states)))
    for i, row in enumerate(rows):
        P[i, list(row)] = list(row.values())
    pi = np.exp([trace.log_prob for trace in states])
    return pi / pi.sum(), P, states
