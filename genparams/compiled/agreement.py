"""The comparison of a replay with the interpreter."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from genparams.compiled.kept import Replayed
from genparams.compiled.recording import RecordedGradient
from genparams.dsl.gradients import Gradient
from genparams.dsl.likelihood.likelihood import Likelihood
from genparams.dsl.replay import replay_aside
from genparams.errors import CannotRecord, StaticDiffers
from genparams.params import Parameter
from genparams.params.vector import Vector
from genparams.program.recorded import PARAMETERS, plain
from genparams.trace.trace import Trace
from genparams.types import Address, show

NUDGE, MUCH = 1e-13, 30.0
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
    size, mine = abs(found.log_prob), done.gradient()
    both = [mine.grads.get(p) for p in found.grads], [*found.grads.values()]
    if None not in both[0] and is_rounding(
        [done.log_prob, *both[0]], [found.log_prob, *both[1]], lambda rng: _near(trace, found, rng)
    ):
        return
    if not agree(done.log_prob, found.log_prob, size):
        at = _address(trace, done)
        where = f" at {show(at)}" if at is not None else ""
        raise StaticDiffers(refusal_of(name, f"the log probability{where}"))
    for p, g in found.grads.items():
        if p not in mine.grads or not agree(mine.grads[p], g, size):
            raise StaticDiffers(refusal_of(name, f"the gradient by parameter {p.name!r}"))


def is_rounding(
    mine: Sequence[Any], theirs: Sequence[Any], near: Callable[[np.random.Generator], Sequence[Any]]
) -> bool:
    """Whether two lists of numbers and arrays agree up to rounding.

    Args:
        near: The second list at a point very near: where rounding errors are large, as with a
            matrix that is almost singular, it differs by as much.
    """
    size = max((float(np.max(np.abs(x), initial=0.0)) for x in theirs), default=0.0)
    if all(agree(a, b, size) for a, b in zip(mine, theirs, strict=True)):
        return True
    rng, spread = np.random.default_rng(0), [0.0] * len(theirs)
    try:
        for _ in range(8):
            moved = [_apart(a, b) for a, b in zip(near(rng), theirs, strict=True)]
            spread = [max(s, m) for s, m in zip(spread, moved, strict=True)]
    except Exception:  # the point is at the border of the domain of the model
        return False
    pairs = zip(mine, theirs, spread, strict=True)
    return all(agree(a, b, size) or _apart(a, b) <= MUCH * s for a, b, s in pairs)


def _apart(a: Any, b: Any) -> float:
    return float(np.max(np.abs(np.asarray(a) - np.asarray(b)), initial=0.0))


def nudged(x: Any, rng: np.random.Generator) -> Any:
    """Coordinates moved by a few roundings."""
    factor = 1.0 + NUDGE * rng.uniform(-1.0, 1.0, np.shape(x))
    return x * factor if np.ndim(x) else float(x * factor)


def _near(trace: Trace, found: Gradient, rng: np.random.Generator) -> list[Any]:
    """The log probability and the gradients at parameters that are very near."""
    vector = Vector(found.theta)
    x = vector.joined({p: nudged(at, rng) for p, at in found.theta.items()})
    log_prob, g = Likelihood([trace], vector, {}).gradient(x)
    return [log_prob, *vector.parts(g).values()]


def refuse_recording(recorded: RecordedGradient, found: Gradient) -> None:
    """Refuse a recording whose own numbers are not those of the interpreter.

    Raises:
        CannotRecord: they differ, because the run tells recorded numbers from others.
    """
    inputs = [x for x in recorded.recording.inputs if x.stage == PARAMETERS]
    if any(found.theta.get(p, x.value) is not x.value for p, x in _pairs(recorded, inputs)):
        return  # another thread moved a parameter in between
    size = abs(found.log_prob)
    mine = recorded.inputs.with_leaves([plain(g) for g in recorded.grads]).theta
    if agree(plain(recorded.log_prob), found.log_prob, size) and all(
        p in mine and agree(mine[p], g, size) for p, g in found.grads.items()
    ):
        return
    raise CannotRecord(
        "while it is recorded it computes something else: it tests the type of a value, or changes "
        "an array in place"
    )


def _pairs(recorded: RecordedGradient, inputs: list[Any]) -> Any:
    return zip(recorded.parameters, inputs, strict=True)


def finds_run(trace: Trace, done: Replayed) -> bool:
    """Whether a replay finds the log probability of the run, if no parameter has moved since."""
    then = trace.log_prob
    if abs(done.log_prob - then) <= EXACT * abs(then):  # at once, nearly always
        return True
    return trace.is_stale or agree(done.log_prob, then, abs(then))


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
        f"{name} is static, and {what} is not what was recorded: the body reads a global or an "
        "object that changes, draws at random by itself, or keeps numbers outside of the model. "
        "Make that an argument or a choice, or write @gen without static=True. From now on "
        f"{name} is interpreted"
    )
