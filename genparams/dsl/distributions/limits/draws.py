"""Draws between two limits.

Where the tails have closed forms one of them is inverted. Elsewhere, and where the limits are too
close for that, a draw is made by rejection, from the panels of `family.py`:

    a panel, with a probability proportional to its length times the density at its upper end;
    a uniform value in the panel;
    accepted with the density there, relative to the density at the upper end, as its probability

A panel has at most twice the mass of the panel above it under its upper end, so at least one draw
in three is accepted.
"""

import math
from collections.abc import Sequence
from typing import Any

from genparams.autodiff import np
from genparams.dsl.distributions.limits.family import Family, column, limits_along, stretches
from genparams.numeric import arrays, scalars

HALVINGS = 64
"""How often the first panel of a continuous stretch halves its length."""


def draw_between(
    family: Family, rng: Any, low: Any, high: Any, args: Sequence[Any], size: Any
) -> Any:
    """Values between the limits: an array of the shape `size`, or one number if it is None."""
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
    """A y for each entry of `row`, which is the index of its limits and args."""
    start, width, sign, level = _panels(family, low, high, args)
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
            last = max(1, int(np.max(length)).bit_length())
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
