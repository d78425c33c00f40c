"""A distribution along a coordinate, where its density falls, and the nodes at which it is summed.

Between two turns a density is monotonic. Such a stretch has its *top* at the end with the higher
density, and the density falls from there. A stretch is divided from its top into panels, each as
long as all before it. What is more than `DEPTH` below the top, in log density, is left out: it is
less than 1e-18 of the mass.

    continuous    Gauss-Legendre quadrature in each panel
    discrete      every value if they are few, else Gauss quadrature for a sum, in panels that are
                  short at both ends
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

from genparams.autodiff import np, raw, shape_of
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.declaration import LogDensity
from genparams.dsl.distributions.limits.tails import Tails


def everywhere(*args: Any) -> tuple[float, float]:
    """The ends of the support of a distribution over all real numbers."""
    return -math.inf, math.inf


@dataclass(frozen=True, slots=True)
class Family:
    """A distribution over numbers, with a coordinate y along which it is integrated.

    y is an increasing function of x, chosen so that the density of y has few modes. The functions
    take arrays; `*args` are the arguments of the distribution.
    """

    base: Distribution
    to: Callable[..., Any]
    """`to(x, *args)` is y, for x in the support or at an end of it."""
    back: Callable[..., Any]
    """`back(y, *args)` is x."""
    along: Callable[..., LogDensity]
    """`along(y, *args)` is the log density of y, with the derivatives of log p(x) by the args."""
    edges: Callable[..., tuple[Any, Any]] = everywhere
    """`edges(*args)` are the ends of the support, in x."""
    turns: Callable[..., Sequence[Any]] = lambda *args: ()
    """`turns(*args)` are the modes and minima of the density of y, in order."""
    gap: Callable[..., Any] | None = None
    """`gap(width, low, *args)` is the distance in y from low to low + width, without rounding."""
    tails: Tails | None = None
    """The tails in closed form, where there is one."""
    between: Callable[..., LogDensity] | None = None
    """`between(m, x, *args, low, high)` is the truncated log density, with its derivatives by x,
    the args and the limits, where it has a closed form that is exact for all limits."""

    @property
    def step(self) -> float:
        """From one value to the next: 0 for a continuous family."""
        return 0.0 if self.base.kind.continuous else 1.0


def column(a: Any) -> Any:
    """Entries of a batch as a column, to broadcast with nodes along the last axis."""
    return np.reshape(a, (*shape_of(a), 1)) if shape_of(a) else a


def limits_along(family: Family, low: Any, high: Any, args: Sequence[Any]) -> tuple[Any, Any]:
    """Two limits in y, each moved to the end of the support if it is beyond.

    An end of the support does not move in y, so it is computed from arguments without boxes.
    """
    own = [raw(a) for a in args]
    middle = family.back(0.0, *own)
    lowest, highest = family.edges(*own)

    def place(limit: Any, end: Any, beyond: Any) -> Any:
        within = family.to(np.where(beyond, middle, limit), *args)
        return np.where(beyond, family.to(end, *own), within)

    return place(low, lowest, raw(low) <= lowest), place(high, highest, raw(high) >= highest)


def gap_along(family: Family, low: Any, high: Any, args: Sequence[Any]) -> Any:
    """The distance in y of two limits, infinite unless both are inside the support."""
    if family.gap is None:
        return None
    own = [raw(a) for a in args]
    middle = family.back(0.0, *own)
    lowest, highest = family.edges(*own)
    inside = (raw(low) > lowest) & (raw(high) < highest)
    start = np.where(inside, low, middle)
    found = family.gap(np.where(inside, high, middle) - start, start, *args)
    return column(np.where(inside, found, np.inf))


DEPTH = 45.0
NODES = 16
PANELS = 14
FEW_VALUES = 128
"""Up to so many values are summed one by one."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A falling density, from its top as far as it matters; entries of a batch in a column."""

    top: Any
    sign: Any
    """1 if it falls towards larger y, else -1."""
    length: Any
    """For a discrete family, how many values."""


def stretches(
    family: Family, low: Any, high: Any, args: Sequence[Any], gap: Any = None
) -> Iterator[Stretch]:
    """The stretches between two limits in y; low, high and args are columns, perhaps boxes.

    `gap` is the distance of the limits, where it is known to more digits than their difference.
    """
    own = [raw(a) for a in args]
    step = family.step

    def height(y: Any) -> Any:
        finite = np.isfinite(y)
        h = family.along(np.where(finite, y, 0.0), *own)[0]
        return np.where(finite & (h == h), h, -np.inf)

    start = low
    for turn in (*family.turns(*own), None):
        end = high if turn is None else np.minimum(np.maximum(turn, start - step), high)
        first, last = raw(start), raw(end)
        down = height(first) < height(last)
        top = np.where(down, end, start)
        sign = np.where(down, -1.0, 1.0)
        length = end - start + step
        if gap is not None:
            whole = (first == raw(low)) & (last == raw(high)) & (raw(gap) < 1.0)
            length = np.where(whole, gap, length)
        peak, room = np.where(down, last, first), last - first
        offsets = np.minimum(_OFFSETS[step], room)
        deep = height(peak + sign * np.maximum(offsets, 0.0)) < height(peak) - DEPTH
        place = np.where(np.any(deep, axis=-1), np.argmax(deep, axis=-1), -1)
        reach = np.maximum(_OFFSETS[step][place][..., None], step)
        yield Stretch(top, sign, np.where(raw(length) <= reach, length, reach))
        start = end + step


_OFFSETS = {0.0: 4.0 ** np.arange(-30.0, 31.0), 1.0: 2.0 ** np.arange(0.0, 53.0)}
"""How far from a top, by step, to look for where a density has fallen."""


# --- Nodes and weights


def _composite() -> tuple[Any, Any]:
    """Nodes and weights of Gauss-Legendre quadrature on [0, 1], in panels that double from 0."""
    t, w = np.polynomial.legendre.leggauss(NODES)
    ends = np.concatenate([[0.0], 2.0 ** np.arange(1.0 - PANELS, 1.0)])
    half = 0.5 * np.diff(ends)[:, None]
    return np.ravel(ends[:-1, None] + half * (1.0 + t)), np.ravel(half * w)


PANEL_NODES, PANEL_WEIGHTS = _composite()


@lru_cache(maxsize=1024)
def _gauss_sum(count: int) -> tuple[Any, Any]:
    """Nodes and weights in 0, 1, ..., count - 1 for the sum of a polynomial of degree < 2 NODES.

    This is Gauss quadrature for a sum. Its nodes are the eigenvalues of the matrix of the
    recurrence of the discrete Chebyshev polynomials, and its weights are squares of the first
    entries of the eigenvectors (Golub and Welsch, 1969).
    """
    if count <= NODES:
        return np.arange(float(count)), np.ones(count)
    j = np.arange(1.0, NODES)
    across = 0.5 * j * np.sqrt((count - j) / (2.0 * j - 1.0) * (count + j) / (2.0 * j + 1.0))
    nodes, vectors = np.linalg.eigh(np.diag(across, 1) + np.diag(across, -1))
    return nodes + 0.5 * (count - 1.0), count * vectors[0] ** 2


@lru_cache(maxsize=1024)
def _nodes_of_count(count: int) -> tuple[Any, Any]:
    """Nodes and weights for a sum over 0, 1, ..., count - 1."""
    if count <= FEW_VALUES:
        return np.arange(float(count)), np.ones(count)
    ends = [0, NODES]
    while 4 * ends[-1] <= count:
        ends.append(2 * ends[-1])
    bounds = [*ends, *(count - e for e in reversed(ends))]
    rules = [_gauss_sum(end - start) for start, end in pairwise(bounds)]
    nodes = [start + t for start, (t, _) in zip(bounds, rules, strict=False)]
    return np.concatenate(nodes), np.concatenate([w for _, w in rules])


def nodes_of_counts(counts: Any) -> tuple[Any, Any]:
    """`_nodes_of_count` of each entry of a column, padded with weights of zero."""
    each, which = np.unique(np.maximum(counts, 0.0), return_inverse=True)
    rules = [_nodes_of_count(int(n)) for n in each]
    longest = max(len(nodes) for nodes, _ in rules)
    padded = [[np.pad(v, (0, longest - len(v))) for v in rule] for rule in rules]
    which = which.reshape(np.shape(counts)[:-1])
    return np.stack([n for n, _ in padded])[which], np.stack([w for _, w in padded])[which]
