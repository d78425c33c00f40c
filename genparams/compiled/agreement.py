"""The comparison of a replay with the interpreter."""

from typing import Any

import numpy as np

from genparams.compiled.kept import Replayed
from genparams.dsl.gradients import Gradient
from genparams.dsl.replay import replay_aside
from genparams.errors import StaticDiffers
from genparams.params import Parameter
from genparams.trace.trace import Trace
from genparams.types import Address, show

EXACT = 1e-6
"""Relative differences that are rounding: sums are added in another order."""


def refuse_other(trace: Trace, name: str, done: Replayed, found: Gradient) -> None:
    """Refuse a replay that found something else than the interpreter.

    Raises:
        StaticDiffers: naming the address of the first choice whose log probability differs.
    """
    then = dict(zip(done.bound.parameters, done.theta, strict=True))
    if any(then[p] is not at for p, at in found.theta.items()):
        return  # another thread moved a parameter in between
    size = abs(found.log_prob)
    if not agree(done.log_prob, found.log_prob, size):
        at = _address(trace, done)
        where = f" at {show(at)}" if at is not None else ""
        raise StaticDiffers(refusal_of(name, f"the log probability{where}"))
    mine = done.gradient()
    for p, g in found.grads.items():
        if not agree(mine.grads[p], g, size):
            raise StaticDiffers(refusal_of(name, f"the gradient by parameter {p.name!r}"))


def agree(a: Any, b: Any, size: float) -> bool:
    a, b = np.asarray(a), np.asarray(b)
    largest = np.max(np.abs(b), initial=0.0)
    return bool(np.all(np.abs(a - b) <= EXACT * (np.abs(b) + 1e-2 * (largest + size))))


def _address(trace: Trace, done: Replayed) -> Address | None:
    """The first choice whose log probability is not what it was when the program was recorded, at
    the same parameters; None if there is none."""
    kept = done.kept
    then: dict[Parameter, Any] = {}
    for p, theta in zip(done.bound.parameters, kept.theta, strict=True):
        then[p] = p.constraint.natural(theta)
    run, _ = replay_aside(trace, lambda p: then.get(p, p.value))
    for address, log_prob in run.log_probs.items():
        before = kept.log_probs.get(address)
        if before is None or not agree(log_prob, before, abs(before)):
            return address
    return None


def refusal_of(name: str, what: str) -> str:
    return (
        f"{name} is static, and {what} is not what was recorded: the body reads a global that "
        "changes, draws at random by itself, or keeps numbers outside of the model. Make that an "
        "argument or a choice, or write @gen without static=True"
    )
