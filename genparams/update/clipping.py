"""Rules that bound directions, or move their mean to zero."""

import math
from typing import Any

import numpy as np

from genparams.update.formula import elementwise
from genparams.update.norm import norm
from genparams.update.rule import (
    AT_LEAST_0,
    Rule,
    State,
    Tree,
    remembered,
    stateful,
    stateless,
)
from genparams.update.settings import ABOVE_0, number


@remembered
def clip(delta: float) -> Rule:
    """Bound every number: direction = min(max(g, -delta), delta).

    Raises:
        InvalidValue: `delta` is not a finite number above 0.
    """
    delta = number("clip", "delta", delta, ABOVE_0)
    return elementwise(
        lambda g, theta: np.minimum(np.maximum(g, -delta), delta), name="clip", delta=delta
    )


@remembered
def clip_by_norm(max_norm: float) -> Rule:
    """Bound the length of each parameter's direction.

        direction = g min(1, max_norm / |g|),   |g|^2 = sum of g_i^2

    The sum is over all numbers of one parameter, whatever its shape.

    Raises:
        InvalidValue: `max_norm` is not a finite number above 0.
    """
    max_norm = number("clip_by_norm", "max_norm", max_norm, ABOVE_0)

    def apply(g: Tree, theta: Tree) -> dict[Any, Any]:
        return {k: _shortened(d, norm(d), max_norm) for k, d in g.items()}

    return stateless(apply, "clip_by_norm", max_norm=max_norm)


@remembered
def clip_by_global_norm(max_norm: float) -> Rule:
    """Bound the length of the directions of all parameters together.

        norm = sqrt(sum over all parameters of |g|^2)
        direction = g min(1, max_norm / norm)

    All parameters are those that have a direction in this step. The state holds `norm`, as it was
    before clipping.

    Raises:
        InvalidValue: `max_norm` is not a finite number above 0.

    Reference: Pascanu, Mikolov and Bengio, 2013, https://arxiv.org/abs/1211.5063, algorithm 1.
    """
    max_norm = number("clip_by_global_norm", "max_norm", max_norm, ABOVE_0)

    def init(theta: Tree) -> State:
        return {"norm": 0.0}

    def apply(g: Tree, state: State, theta: Tree) -> tuple[dict[Any, Any], State]:
        whole = math.hypot(*map(norm, g.values()))
        return {k: _shortened(d, whole, max_norm) for k, d in g.items()}, {"norm": whole}

    ranges = {"norm": AT_LEAST_0}
    return stateful(init, apply, "clip_by_global_norm", ranges, max_norm=max_norm)


@remembered
def centralize() -> Rule:
    """Subtract from each slice of an array, taken along its first axis, the mean of that slice.

        direction_i = g_i - mean(g_i),   i the index of axis 0

    Parameters of rank 0 and 1 are left as they are.

    Reference: Yong, Huang, Hua and Zhang, 2020, https://arxiv.org/abs/2004.01461, equation 1, in
    the orientation of Axon and optax, whose slices run along axis 0.
    """
    return stateless(lambda g, theta: {k: _centred(d) for k, d in g.items()}, "centralize")


def _centred(d: Any) -> Any:
    if np.ndim(d) < 2 or np.size(d) == 0:
        return d
    mean = np.mean(d, axis=tuple(range(1, np.ndim(d))), dtype=np.float64, keepdims=True)
    return (d - mean).astype(d.dtype, copy=False)


def _shortened(d: Any, length: float, max_norm: float) -> Any:
    if length <= max_norm:
        return d
    if type(d) is float:
        return d / length * max_norm
    unit = np.divide(d, length, dtype=np.float64)  # max_norm / length may be too small for a float
    return (unit * max_norm).astype(d.dtype, copy=False)
