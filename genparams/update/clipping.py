"""Rules that bound directions, set their length, or move their mean to zero."""

import math
from typing import Any

import numpy as np

from genparams.update.formula import elementwise
from genparams.update.rule import (
    NOT_NEGATIVE,
    ByParameter,
    Rule,
    State,
    rule_maker,
    stateful,
    stateless,
)


@rule_maker()
def clip(delta: float) -> Rule:
    """Bound every number: direction = min(max(g, -delta), delta)."""
    return elementwise(
        lambda g, theta: np.minimum(np.maximum(g, -delta), delta), name="clip", delta=delta
    )


@rule_maker()
def clip_by_norm(max_norm: float) -> Rule:
    """Bound the length of each parameter's direction.

        direction = g min(1, max_norm / |g|),   |g|^2 = sum of g_i^2

    The sum is over all numbers of one parameter, whatever its shape.
    """

    def apply(g: ByParameter, theta: ByParameter) -> dict[Any, Any]:
        return {k: _shortened(d, norm(d), max_norm) for k, d in g.items()}

    return stateless(apply, "clip_by_norm", max_norm=max_norm)


@rule_maker()
def clip_by_global_norm(max_norm: float) -> Rule:
    """Bound the length of the directions of all parameters together.

        norm = sqrt(sum over all parameters of |g|^2)
        direction = g min(1, max_norm / norm)

    Parameters without a direction in this step do not count. The state holds `norm`, the
    length before clipping.

    Reference: Pascanu, Mikolov and Bengio, 2013, https://arxiv.org/abs/1211.5063, algorithm 1.
    """

    def init(theta: ByParameter) -> State:
        return {"norm": 0.0}

    def apply(g: ByParameter, state: State, theta: ByParameter) -> tuple[dict[Any, Any], State]:
        whole = math.hypot(*map(norm, g.values()))
        return {k: _shortened(d, whole, max_norm) for k, d in g.items()}, {"norm": whole}

    ranges = {"norm": NOT_NEGATIVE}
    return stateful(init, apply, "clip_by_global_norm", ranges, max_norm=max_norm)


@rule_maker()
def scale_by_trust_ratio(
    min_norm: float = 0.0, trust_coefficient: float = 1.0, epsilon: float = 0.0
) -> Rule:
    """Give each parameter's direction a length proportional to the length of the parameter.

        norm(x) = max(|x|, min_norm),    |x|^2 = sum of x_i^2
        direction = g trust_coefficient norm(theta) / (norm(g) + epsilon),    or g if a norm is 0

    The sum is over all numbers of one parameter, whatever its shape; theta are unconstrained
    coordinates. It is the form of Axon, which takes vectors and matrices only, and optax.

    Reference: You, Gitman and Ginsburg, 2017, https://arxiv.org/abs/1708.03888, equation 6.
    """

    def scaled(g: Any, theta: Any) -> Any:
        length, wanted = max(norm(g), min_norm), max(norm(theta), min_norm)
        if length == 0.0 or wanted == 0.0:
            return g
        return g / (length + epsilon) * (trust_coefficient * wanted)

    def apply(g: ByParameter, theta: ByParameter) -> dict[Any, Any]:
        return {k: scaled(d, theta[k]) for k, d in g.items()}

    return stateless(apply)


@rule_maker()
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


def norm(d: Any) -> float:
    """The root of the sum of squares, also where the squares themselves would overflow."""
    if type(d) is float:
        return abs(d)
    flat = np.asarray(d, np.float64).ravel()
    with np.errstate(over="ignore", under="ignore"):
        square = float(flat @ flat)
        if 1e-280 < square < math.inf:
            return math.sqrt(square)
        top = float(np.max(np.abs(flat), initial=0.0))
        if top == 0.0 or not math.isfinite(top):
            return top
        ratios = flat / top
        return top * math.sqrt(float(ratios @ ratios))
