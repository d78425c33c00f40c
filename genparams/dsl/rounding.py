"""How far roundings may move a number of a replay.

A replay computes with traced values where the run computed with numbers, and the two may round
differently. The tape tells how far such roundings reach: moving every leaf theta of the tape by
`ROUNDING * (1 + |theta|)` moves a log probability by at most

    ROUNDING * sum_theta |d log p / d theta| (1 + |theta|)

This derivative vanishes at a maximum, where the roundings of single entries do not cancel. So a
second term is added: the change of the log probability when each entry of each argument of its
distribution is multiplied by a random factor of at most `1 + ROUNDING`. `ROUNDING` is the rounding
of single precision, as a model may compute with float32 numbers.
"""

from typing import Any

import numpy as np

from genparams.autodiff import Box, raw, shape_of
from genparams.dsl.replay import distribution_at
from genparams.dsl.traced_replay import TracedReplay
from genparams.trace.trace import Trace
from genparams.types import Address

ROUNDING = 1e-6
"""A relative rounding error of a few operations in single precision."""


def reach_of_rounding(
    trace: Trace, done: TracedReplay, address: Address | None, box: Any, entry: tuple[int, ...]
) -> float:
    """How far roundings may move one entry of the value `box` of a replay.

    The value is the log probability at an address. The address is None for a return value.
    """
    if type(box) is not Box or box.tape is not done.tape:
        return 0.0
    reach = _reach_on_tape(done, box, entry)
    if reach != reach:
        return np.inf
    return ROUNDING * reach + (0.0 if address is None else _jitter(trace, done, address))


def _reach_on_tape(done: TracedReplay, box: Box, entry: tuple[int, ...]) -> float:
    """The sum over the leaves theta of |d value / d theta| (1 + |theta|)."""
    seed: Any = 1.0
    if entry:
        seed = np.zeros(shape_of(box.value))
        seed[entry] = 1.0
    grads = done.tape.gradients([(box, seed)], done.leaves)
    found = [(raw(g), raw(x)) for g, x in zip(grads, done.leaves, strict=True) if g is not None]
    with np.errstate(all="ignore"):
        return sum(float(np.sum(np.abs(g) * (1.0 + np.abs(theta)))) for g, theta in found)


def _jitter(trace: Trace, done: TracedReplay, address: Address) -> float:
    """How far a log probability moves as entries of its arguments move by random factors."""
    asked = distribution_at(trace, address, done.values)
    if asked is None:
        return 0.0
    rng = np.random.default_rng(0)
    distribution, operands = asked
    x = trace.choices._values[address]

    def moved(a: Any) -> Any:
        factor = 1.0 + ROUNDING * rng.uniform(-1.0, 1.0, shape_of(a))
        return a * factor if shape_of(a) else float(a * factor)

    at, found = distribution.log_prob_of(x, operands), 0.0
    for i, a in enumerate(operands):
        try:
            others = [[*operands[:i], moved(a), *operands[i + 1 :]] for _ in range(4)]
            found += max(abs(distribution.log_prob_of(x, given) - at) for given in others)
        except (TypeError, ValueError):
            continue  # an argument that is not a number, or cannot be moved
    return found if np.isfinite(found) else 0.0
