"""What lies between two limits, and draws from there, for any family of numbers.

A density is integrated along a coordinate y, a growing function of x that is chosen so that the
density of y has few turns: `gamma` along log x and `beta` along log odds have one, their mode.
Between two turns the density only falls, away from the end that is called the *top*. Everything
here starts at the tops and goes down in panels, each as long as all before it:

    continuous    Gauss and Legendre's rule in each panel
    discrete      every value if they are few, else Gauss's rule for a sum, in panels that are
                  short at both ends
    a draw        a panel, by its length times the density at its upper end; a uniform value in it;
                  accepted by the density there over that at the upper end

What is more than `DEPTH` below a top, in log density, is left out: it is less than 1e-18 of the
mass. A panel of a falling density has at most twice the mass of the panel above it under its upper
end, so at least one draw in three is accepted.

The derivative of a log mass by an argument a of the family is a mean over the same nodes,

    d log P(low <= X <= high) / da = E[d log p(X) / da | low <= X <= high].
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

from genparams.autodiff import np, raw, shape_of, special
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.limits.tails import Slope, Tails
from genparams.numeric import arrays, scalars

DEPTH = 45.0
NODES = 16
PANELS = 14
FEW_VALUES = 128
"""Sums of so many values are not shortened."""
FINEST = 64
"""How often a draw halves a continuous stretch to come to its first panel."""


@dataclass(frozen=True, slots=True)
class Family:
    """A distribution over numbers, as its masses see it."""

    base: Distribution
    to: Callable[..., Any]
    """`to(x, *args)` is y, also of an end of the support."""
    back: Callable[..., Any]
    """`back(y, *args)` is x."""
    along: Callable[..., tuple[Any, Sequence[Slope | None]]]
    """`along(y, *args)` is the log density of y, and the derivatives of that of x by the args."""
    edges: Callable[..., tuple[Any, Any]] = lambda *args: (-math.inf, math.inf)
    """`edges(*args)` are the ends of the support, in x."""
    turns: Callable[..., Sequence[Any]] = lambda *args: ()
    """`turns(*args)` are the y, in order, where the density stops rising or falling."""
    gap: Callable[..., Any] | None = None
    """`gap(width, low, *args)` is the distance in y of low and low + width, to all its digits."""
    tails: Tails | None = None
    """The tails in closed form, where there is one."""

    @property
    def step(self) -> float:
        """From one value to the next: 0 for a continuous family."""
        return 0.0 if self.base.kind.continuous else 1.0

    def log_mass(self, m: Any, low: Any, high: Any, args: Sequence[Any]) -> tuple[Any, list]:
        """log P(low <= X <= high), and its derivatives by the args."""
        if m is scalars and self.tails is not None:
            found = self.tails.log_between(low, high, args)
            if found is None:
                with np.errstate(all="ignore"):
                    found = _log_stretch(self, low, high, args)
            if found is not None:
                return found
        value, slopes = _log_mass(self, low, high, args)
        return _plain(m, value), [d and (lambda d=d: _plain(m, d())) for d in slopes]

    def log_tail(self, m: Any, upper: bool, limit: Any, args: Sequence[Any]) -> tuple[Any, list]:
        """The log of what lies at a limit and above, or below, and the derivatives by the limit and
        the args.

        log P = log expit(log own - log other): of the two masses that the limit parts.
        """
        if self.tails is not None:
            return self.tails.log_tail(m, upper, limit, args)
        lowest, highest = self.edges(*args)
        above, below = (limit, limit - self.step) if upper else (limit + self.step, limit)
        parts = [
            _log_mass(self, lowest, below, args),
            _log_mass(self, above, highest, args),
        ]
        (own, by_own), (other, by_other) = parts[::-1] if upper else parts
        value = special.log_expit(own - other)

        def by_arg(d: Slope, e: Slope) -> Slope:
            """By the smaller mass: what one gains, the other loses."""
            smaller = raw(own) < raw(other)
            return lambda: _plain(m, arrays.choose(smaller, d, lambda: -np.exp(other - own) * e()))

        f: Any = self.base.declared.formula

        def by_limit() -> Any:
            density = m.exp(f(m, limit, *args)[0] - _plain(m, value))
            return -density if upper else density

        slopes = [d and e and by_arg(d, e) for d, e in zip(by_own, by_other, strict=True)]
        return _plain(m, value), [None if self.step else by_limit, *slopes]

    def draw(self, rng: Any, low: Any, high: Any, args: Sequence[Any], size: Any) -> Any:
        """Values between the limits, an array of that shape; of numbers one, if it is None."""
        if size is None:
            if self.tails is not None:
                with np.errstate(all="ignore"):
                    x = self.tails.draw_one(rng, low, high, args, self.edges(*args))
                if x is not None:
                    return x
            size = ()
        if self.tails is not None:
            with np.errstate(all="ignore"):
                x = self.tails.draw(rng, low, high, args, self.edges(*args), size)
            if x is not None:
                return x
        batch = np.broadcast_shapes(*map(np.shape, (low, high, *args)))
        low, high, *args = (np.ravel(np.broadcast_to(v, batch)) for v in (low, high, *args))
        row = np.arange(math.prod(batch)).reshape(batch)
        row = np.ravel(np.broadcast_to(row, size))
        with np.errstate(all="ignore"):
            y = _draw(self, rng, low, high, args, row)
            x = self.back(y, *(a[row] for a in args))
        return np.clip(x, low[row], high[row]).reshape(size)


def _plain(m: Any, value: Any) -> Any:
    """A float, in a formula of floats."""
    return float(value) if m is scalars else value


def _column(a: Any) -> Any:
    """An argument of a batch, against nodes along a last axis."""
    return np.reshape(a, (*shape_of(a), 1)) if shape_of(a) else a


def _limits(family: Family, low: Any, high: Any, args: Sequence[Any]) -> tuple[Any, Any]:
    """Two limits in y, each at most as far out as the support, whose ends do not move in y."""
    own = [raw(a) for a in args]
    middle = family.back(0.0, *own)
    lowest, highest = family.edges(*own)

    def place(limit: Any, end: Any, beyond: Any) -> Any:
        within = family.to(np.where(beyond, middle, limit), *args)
        return np.where(beyond, family.to(end, *own), within)

    return place(low, lowest, raw(low) <= lowest), place(high, highest, raw(high) >= highest)


def _gap(family: Family, low: Any, high: Any, args: Sequence[Any]) -> Any:
    """The distance in y of two limits inside the support, as a column; else infinite."""
    if family.gap is None:
        return None
    own = [raw(a) for a in args]
    middle = family.back(0.0, *own)
    lowest, highest = family.edges(*own)
    inside = (raw(low) > lowest) & (raw(high) < highest)
    start = np.where(inside, low, middle)
    found = family.gap(np.where(inside, high, middle) - start, start, *args)
    return _column(np.where(inside, found, np.inf))


# --- Stretches on which the density falls from a top


@dataclass(frozen=True, slots=True)
class Stretch:
    """A falling density, from its top on as far as it matters; entries of a batch in a column."""

    top: Any
    sign: Any
    """1 if it falls towards larger y, else -1."""
    length: Any
    """For a discrete family, how many values."""


def _stretches(
    family: Family, low: Any, high: Any, args: Sequence[Any], gap: Any = None
) -> Iterator[Stretch]:
    """Those between two limits in y; low, high and args are columns, some perhaps boxes.

    `gap` is the distance of the limits, where it is known better than by their difference.
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


# --- Sums over nodes


def _composite() -> tuple[Any, Any]:
    """Nodes and weights on [0, 1] of Gauss and Legendre's rule in panels that double from 0 on."""
    t, w = np.polynomial.legendre.leggauss(NODES)
    ends = np.concatenate([[0.0], 2.0 ** np.arange(1.0 - PANELS, 1.0)])
    half = 0.5 * np.diff(ends)[:, None]
    return np.ravel(ends[:-1, None] + half * (1.0 + t)), np.ravel(half * w)


_T, _W = _composite()


@lru_cache(maxsize=1024)
def _sum_of(count: int) -> tuple[Any, Any]:
    """Nodes and weights in 0, 1, ..., count - 1 for the sum of a polynomial of degree < 2 NODES.

    Gauss's rule whose orthogonal polynomials are Gram's (discrete Chebyshev): the nodes and the
    squares of the first entries of the vectors equal the ones of the eigenvectors of the matrix of
    their recurrence (Golub and Welsch, 1969). For large counts it is Legendre's.
    """
    if count <= NODES:
        return np.arange(float(count)), np.ones(count)
    j = np.arange(1.0, NODES)
    across = 0.5 * j * np.sqrt((count - j) / (2.0 * j - 1.0) * (count + j) / (2.0 * j + 1.0))
    nodes, vectors = np.linalg.eigh(np.diag(across, 1) + np.diag(across, -1))
    return nodes + 0.5 * (count - 1.0), count * vectors[0] ** 2


@lru_cache(maxsize=1024)
def _counted(count: int) -> tuple[Any, Any]:
    """Nodes and weights for a sum over 0, 1, ..., count - 1."""
    if count <= FEW_VALUES:
        return np.arange(float(count)), np.ones(count)
    ends = [0, NODES]
    while 4 * ends[-1] <= count:
        ends.append(2 * ends[-1])
    bounds = [*ends, *(count - e for e in reversed(ends))]
    parts = [(start + t, w) for start, end in pairwise(bounds) for t, w in [_sum_of(end - start)]]
    nodes, weights = zip(*parts, strict=True)
    return np.concatenate(nodes), np.concatenate(weights)


def _all_counted(counts: Any) -> tuple[Any, Any]:
    """`_counted` of each entry of a column, padded with weights of zero."""
    each, which = np.unique(np.maximum(counts, 0.0), return_inverse=True)
    rules = [_counted(int(n)) for n in each]
    longest = max(len(nodes) for nodes, _ in rules)
    padded = [[np.pad(v, (0, longest - len(v))) for v in rule] for rule in rules]
    which = which.reshape(np.shape(counts)[:-1])
    return np.stack([n for n, _ in padded])[which], np.stack([w for _, w in padded])[which]


_FEW_T, _FEW_W = (0.5 * v for v in np.polynomial.legendre.leggauss(NODES))
_FEW_T = _FEW_T + 0.5
_SHORT = [
    (0.5 + 0.5 * t, 0.5 * w)
    for t, w in zip(*(v.tolist() for v in np.polynomial.legendre.leggauss(8)), strict=True)
]


def _log_stretch(
    family: Family, low: float, high: float, args: Sequence[float]
) -> tuple[float, list] | None:
    """`Family.log_mass` between two close limits, by one panel; None if a turn is between them.

    Along x if the limits are so close that their distance in y would lose digits.
    """
    start, end = float(family.to(low, *args)), float(family.to(high, *args))
    if any(start < turn < end for turn in family.turns(*args)) or not end - start < 8.0:
        return None
    if end - start < 0.5:
        return _log_short(family, low, high - low, args)
    width = end - start
    log_f, partials = family.along(start + width * _FEW_T, *args)
    peak = float(log_f.max())
    share = np.exp(log_f - peak) * _FEW_W
    mass = float(share.sum())

    def mean(partial: Slope) -> Slope:
        return lambda: float(np.sum(partial() * share)) / mass

    return peak + math.log(mass * width), [d and mean(d) for d in partials]


def _log_short(
    family: Family, low: float, width: float, args: Sequence[float]
) -> tuple[float, list]:
    """`Family.log_mass` over a width that is short beside the scale, by a few floats."""
    f: Any = family.base.declared.formula
    found = [f(scalars, low + width * t, *args) for t, _ in _SHORT]
    peak = max(log_f for log_f, _ in found)
    share = [w * math.exp(log_f - peak) for (log_f, _), (_, w) in zip(found, _SHORT, strict=True)]
    mass = sum(share)

    def mean(i: int) -> Slope:
        return lambda: sum(s * by[i]() for s, (_, by) in zip(share, found, strict=True)) / mass

    slopes = [d and mean(i) for i, d in enumerate(found[0][1])]
    return peak + math.log(mass * width), slopes[1:]


def _log_mass(family: Family, low: Any, high: Any, args: Sequence[Any]) -> tuple[Any, list]:
    """`Family.log_mass` by arrays."""
    with np.errstate(all="ignore"):
        gap = _gap(family, low, high, args)
        low, high = _limits(family, low, high, args)
        batch = np.broadcast_shapes(*map(shape_of, (low, high, *args)))
        low, high, *args = map(_column, (low, high, *args))
        if not batch:
            low, high = np.reshape(low, (1,)), np.reshape(high, (1,))
        nodes, log_weights = [], []
        for stretch in _stretches(family, low, high, args, gap):
            if family.step:
                offsets, weights = _all_counted(stretch.length)
                y = np.clip(stretch.top + stretch.sign * offsets, low, high)
                log_weight = np.log(weights)
            else:
                y = stretch.top + stretch.sign * stretch.length * _T
                some = raw(stretch.length) > 0.0
                length = np.where(some, stretch.length, 1.0)
                log_weight = np.where(some, np.log(length) + np.log(_W), -np.inf)
            for values, v in ((nodes, y), (log_weights, log_weight)):
                values.append(np.broadcast_to(v, (*batch, shape_of(v)[-1])))
        y, log_weight = (np.concatenate(v, axis=-1) for v in (nodes, log_weights))
        log_f, partials = family.along(y, *args)
        each = log_f + log_weight
        peak = np.max(np.where(raw(each) == raw(each), raw(each), -np.inf), axis=-1, keepdims=True)
        some = raw(each) > peak - 800.0  # not so where there is no mass at all
        share = np.where(some, np.exp(np.where(some, each - peak, 0.0)), 0.0)
        mass = np.sum(share, axis=-1)
        value = peak[..., 0] + np.log(mass)

    def mean(partial: Slope) -> Slope:
        def d() -> Any:
            with np.errstate(all="ignore"):
                slopes = partial() + 0.0 * share
                here = raw(share) > 0.0
                each = np.where(here, slopes, 0.0) * share
                return np.sum(each, axis=-1) / np.where(raw(mass) > 0.0, mass, 1.0)

        return d

    return value, [d and mean(d) for d in partials]


# --- Draws


def _draw(family: Family, rng: Any, low: Any, high: Any, args: Sequence[Any], row: Any) -> Any:
    """A y for each entry of `row`, which says whose limits and args are its own."""
    low, high = _limits(family, low, high, args)
    columns = [_column(a) for a in args]
    starts, widths, signs = [], [], []
    for stretch in _stretches(family, _column(low), _column(high), columns):
        length = np.maximum(stretch.length, 0.0)
        if family.step:
            last = max(1, int(np.max(length)).bit_length())
            ends = np.minimum(np.concatenate([[0.0], 2.0 ** np.arange(0.0, last + 1.0)]), length)
        else:
            ends = length * np.concatenate([[0.0], 2.0 ** np.arange(-FINEST, 1.0)])
        starts.append(stretch.top + stretch.sign * ends[..., :-1])
        widths.append(np.diff(ends, axis=-1))
        signs.append(np.broadcast_to(stretch.sign, widths[-1].shape))
    start, width, sign = (np.concatenate(v, axis=-1) for v in (starts, widths, signs))
    at_top = np.where(width > 0.0, start, start[..., :1])
    level = family.along(at_top, *columns)[0] + np.log(width)
    level = np.where(width > 0.0, level, -np.inf)
    below = np.cumsum(np.exp(level - np.max(level, axis=-1, keepdims=True)), axis=-1)
    if not np.all(below[..., -1] > 0.0):
        raise ValueError("the mass between its limits is too small, or no number")
    y = np.empty(row.shape)
    left = np.arange(row.size)
    for _ in range(1000):  # one draw in three is accepted
        if not left.size:
            return y
        at = row[left]
        u = rng.random(left.size) * below[at, -1]
        panel = np.sum(u[:, None] >= below[at], axis=-1)
        offset = rng.random(left.size) * width[at, panel]
        offset = np.floor(offset) if family.step else offset
        y[left] = start[at, panel] + sign[at, panel] * offset
        height = family.along(y[left], *(a[at] for a in args))[0] + np.log(width[at, panel])
        accepted = np.log1p(-rng.random(left.size)) <= height - level[at, panel]
        left = left[~accepted]
    raise ValueError("the density between its limits is not that of a falling stretch")
