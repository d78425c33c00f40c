"""Where a density falls, and the nodes at which it is summed there.

Between two turns a density only falls, away from the end with the higher density: the *top* of that
stretch. A stretch is divided from its top into panels, each as long as all before it. What is more
than `DEPTH` below the top, in log density, is left out: it is less than 1e-18 of the mass.

    continuous    Gauss-Legendre quadrature in each panel
    discrete      every value if they are few, else Gauss quadrature for a sum, in panels that are
                  short at both ends
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

from genparams.autodiff import np, raw
from genparams.dsl.distributions.limits.family import Family

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
