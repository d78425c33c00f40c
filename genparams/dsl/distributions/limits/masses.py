"""The probability between two limits, or beyond one, with its derivatives, and draws there.

Tails in closed form are used where they keep their digits. Elsewhere the density is summed over
the nodes of `family.py`. The derivative of a log mass by an argument a of the family is a mean over
the same nodes,

    d log P(low <= X <= high) / da = E[d log p(X) / da | low <= X <= high].
"""

import math
from collections.abc import Sequence
from typing import Any

from genparams.autodiff import np, raw, shape_of, special
from genparams.dsl.distributions.declaration import LogDensity, Slope
from genparams.dsl.distributions.limits.family import (
    PANEL_NODES,
    PANEL_WEIGHTS,
    Family,
    Stretch,
    column,
    gap_along,
    limits_along,
    nodes_of_counts,
    stretches,
)
from genparams.numeric import arrays, scalars


def log_mass(family: Family, m: Any, low: Any, high: Any, args: Sequence[Any]) -> LogDensity:
    """log P(low <= X <= high), and its derivatives by the args."""
    if m is not scalars:
        return _by_quadrature(family, low, high, args)
    found = None
    if family.tails is not None:
        found = family.tails.log_between(low, high, args)
        found = _between_close_limits(family, low, high, args) if found is None else found
    return found or _as_floats(_by_quadrature(family, low, high, args))


def log_tail(family: Family, m: Any, upper: bool, limit: Any, args: Sequence[Any]) -> LogDensity:
    """log P(X >= limit) if `upper`, else log P(X <= limit); the derivatives by limit and args."""
    if family.tails is not None:
        return family.tails.log_tail(m, upper, limit, args)
    value, slopes = _tail_by_quadrature(family, upper, limit, args)
    value, slopes = _as_floats((value, slopes)) if m is scalars else (value, slopes)
    if family.step:
        return value, [None, *slopes]
    f: Any = family.base.declared.formula

    def by_limit() -> Any:
        density = m.exp(f(m, limit, *args)[0] - value)
        return -density if upper else density

    return value, [by_limit, *slopes]


def _as_floats(found: LogDensity) -> LogDensity:
    value, slopes = found
    return float(value), [d and (lambda d=d: float(d())) for d in slopes]


def _tail_by_quadrature(family: Family, upper: bool, limit: Any, args: Sequence[Any]) -> LogDensity:
    """log P = log expit(log P - log(1 - P)), so that P and 1 - P both keep their digits."""
    lowest, highest = family.edges(*args)
    above, below = (limit, limit - family.step) if upper else (limit + family.step, limit)
    parts = [
        _by_quadrature(family, lowest, below, args),
        _by_quadrature(family, above, highest, args),
    ]
    (own, by_own), (other, by_other) = parts[::-1] if upper else parts
    smaller = raw(own) < raw(other)

    def by_arg(d: Slope, e: Slope) -> Slope:
        """From the smaller mass: what one gains, the other loses."""
        return lambda: arrays.choose(smaller, d, lambda: -np.exp(other - own) * e())

    slopes = [d and e and by_arg(d, e) for d, e in zip(by_own, by_other, strict=True)]
    return special.log_expit(own - other), slopes


# --- A few floats

_FEW_NODES = [
    (0.5 + 0.5 * t, 0.5 * w)
    for t, w in zip(*(v.tolist() for v in np.polynomial.legendre.leggauss(8)), strict=True)
]


def _between_close_limits(
    family: Family, low: float, high: float, args: Sequence[float]
) -> LogDensity | None:
    """`log_mass` by quadrature along x, of floats.

    None unless the limits are so close that the density is smooth and y is nearly linear in x.
    """
    with np.errstate(all="ignore"):
        start, end = family.to(low, *args), family.to(high, *args)
        middle = family.back(0.5 * (start + end), *args)
    width = high - low
    linear = abs(middle - 0.5 * (low + high)) < 0.05 * width
    turns = any(start < turn < end for turn in family.turns(*args))
    if turns or not linear or not end - start < 1.0:
        return None
    f: Any = family.base.declared.formula
    found = [f(scalars, low + width * t, *args) for t, _ in _FEW_NODES]
    peak = max(log_f for log_f, _ in found)
    share = [
        w * math.exp(log_f - peak) for (log_f, _), (_, w) in zip(found, _FEW_NODES, strict=True)
    ]
    mass = sum(share)

    def mean(i: int) -> Slope:
        return lambda: sum(s * by[i]() for s, (_, by) in zip(share, found, strict=True)) / mass

    slopes = [d and mean(i) for i, d in enumerate(found[0][1])]
    return peak + math.log(mass * width), slopes[1:]


# --- Arrays


def _by_quadrature(family: Family, low: Any, high: Any, args: Sequence[Any]) -> LogDensity:
    """`log_mass` of arrays and boxes."""
    with np.errstate(all="ignore"):
        y, log_weight, columns = nodes_between(family, low, high, args)
        log_f, partials = family.along(y, *columns)
        each = log_f + log_weight
        peak = np.max(np.where(raw(each) == raw(each), raw(each), -np.inf), axis=-1, keepdims=True)
        some = raw(each) > peak - 800.0  # nowhere, if there is no mass
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


def nodes_between(
    family: Family, low: Any, high: Any, args: Sequence[Any]
) -> tuple[Any, Any, Sequence[Any]]:
    """The nodes between two limits, in y along the last axis, the logs of their weights, and the
    args as columns."""
    gap = gap_along(family, low, high, args)
    low, high = limits_along(family, low, high, args)
    batch = np.broadcast_shapes(*map(shape_of, (low, high, *args)))
    low, high, *args = map(column, (low, high, *args))
    if not batch:
        low, high = np.reshape(low, (1,)), np.reshape(high, (1,))
    nodes, log_weights = [], []
    for stretch in stretches(family, low, high, args, gap):
        if family.step:
            offsets, weights = nodes_of_counts(stretch.length)
            y = np.clip(stretch.top + stretch.sign * offsets, low, high)
            log_weight = np.log(weights)
        else:
            y, log_weight = _nodes_of_stretch(stretch)
        for values, v in ((nodes, y), (log_weights, log_weight)):
            values.append(np.broadcast_to(v, (*batch, shape_of(v)[-1])))
    return np.concatenate(nodes, axis=-1), np.concatenate(log_weights, axis=-1), args


def _nodes_of_stretch(stretch: Stretch) -> tuple[Any, Any]:
    """The nodes of a continuous stretch, and the logs of their weights."""
    some = raw(stretch.length) > 0.0
    length = np.where(some, stretch.length, 1.0)
    log_weight = np.where(some, np.log(length) + np.log(PANEL_WEIGHTS), -np.inf)
    return stretch.top + stretch.sign * stretch.length * PANEL_NODES, log_weight


# --- Draws

HALVINGS = 64
"""How often the first panel of a continuous stretch halves its length."""


def draw_between(
    family: Family, rng: Any, low: Any, high: Any, args: Sequence[Any], size: Any
) -> Any:
    """Values between the limits: an array of the shape `size`, or one number if it is None.

    A tail in closed form is inverted. Elsewhere, and where the limits are too close for that, a
    draw is made by rejection.
    """
    with np.errstate(all="ignore"):
        if family.tails is not None:
            m = scalars if size is None else arrays
            x = family.tails.draw(m, rng, low, high, args, family.edges(*args), size)
            if x is not None:
                return min(max(x, low), high) if size is None else np.clip(x, low, high)
        batch = np.broadcast_shapes(*map(np.shape, (low, high, *args)))
        low, high, *args = (np.ravel(np.broadcast_to(v, batch)) for v in (low, high, *args))
        row = np.arange(math.prod(batch)).reshape(batch)
        row = np.ravel(np.broadcast_to(row, size or ()))
        y = _by_rejection(family, rng, low, high, args, row)
        x = family.back(y, *(a[row] for a in args))
        return np.clip(x, low[row], high[row]).reshape(size or ())


def _by_rejection(
    family: Family, rng: Any, low: Any, high: Any, args: Sequence[Any], row: Any
) -> Any:
    """A y for each entry of `row`, which is the index of its limits and args.

        a panel, with a probability proportional to its length times the density at its upper end;
        a uniform value in the panel;
        accepted with the density there over the density at the upper end as its probability

    The width of a panel times the density at its upper end is at most twice the mass of the panel
    above it, so at least one
    draw in three is accepted.
    """
    start, width, sign, level = _panels(family, low, high, args)
    below = np.cumsum(np.exp(level - np.max(level, axis=-1, keepdims=True)), axis=-1)
    if not np.all(below[..., -1] > 0.0):
        raise ValueError("the mass between its limits is too small, or NaN")
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
    raise ValueError("its density between two turns does not only fall")


def _panels(family: Family, low: Any, high: Any, args: Sequence[Any]) -> tuple[Any, Any, Any, Any]:
    """For each entry its panels: their upper ends, widths and directions, and the log of the width
    times the density at the upper end."""
    low, high = limits_along(family, low, high, args)
    columns = [column(a) for a in args]
    starts, widths, signs = [], [], []
    for stretch in stretches(family, column(low), column(high), columns):
        length = np.maximum(stretch.length, 0.0)
        if family.step:
            last = max(1, int(np.max(length, initial=0.0)).bit_length())
            ends = np.minimum(np.concatenate([[0.0], 2.0 ** np.arange(0.0, last + 1.0)]), length)
        else:
            ends = length * np.concatenate([[0.0], 2.0 ** np.arange(-HALVINGS, 1.0)])
        starts.append(stretch.top + stretch.sign * ends[..., :-1])
        widths.append(np.diff(ends, axis=-1))
        signs.append(np.broadcast_to(stretch.sign, widths[-1].shape))
    start, width, sign = (np.concatenate(v, axis=-1) for v in (starts, widths, signs))
    at_top = np.where(width > 0.0, start, start[..., :1])
    level = family.along(at_top, *columns)[0] + np.log(width)
    return start, width, sign, np.where(width > 0.0, level, -np.inf)
