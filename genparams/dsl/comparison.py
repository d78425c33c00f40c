"""The comparison of a replay with the run: its gradient is the gradient of the model only if they
agree.

At the parameters of a trace's run a replay must find every log probability of the trace again, and
the return value where a gradient by it is given. Differences below `EXACT` are accepted at once,
larger ones if roundings explain them (`rounding`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from genparams.autodiff import Box, Tape, operand, raw
from genparams.dsl.execution import fingerprint
from genparams.dsl.interpreter import Run
from genparams.dsl.replay import (
    NOT_A_FUNCTION,
    as_in_run,
    distribution_at,
    replay_aside,
)
from genparams.dsl.rounding import reach_of_rounding
from genparams.dsl.traced_replay import TracedReplay, traced_replay_at_run
from genparams.errors import (
    AddressError,
    DistributionError,
    ImpossibleTrace,
    ReplayDiffers,
    TracedValueError,
)
from genparams.structure import map_leaves, paths
from genparams.text import brief
from genparams.trace.trace import Trace, count_gradient
from genparams.types import Address, show

NOT_TRACED = (
    "Without gradients it finds the same: the body changes an array in place, catches an error, or "
    "tests the type of a value, which differs while it is differentiated"
)
CHANGED = (
    "Arguments are not copied: give generate a copy, or make a new trace of new data, and do not "
    "change an argument in place in the function"
)
EXACT = 1e-10
"""Relative differences that are accepted at once."""


def confirm(trace: Trace, done: TracedReplay, with_retval: bool) -> float:
    """log p(t; x) of a replay that agrees with the run of its trace, and is possible.

    The comparison is made at every gradient while the parameters are at the values of the run.
    After they have moved it is made by one more replay at those values: at the first gradient of
    the trace, at the fourth, the sixteenth and so on.

    Raises:
        ReplayDiffers: the replay does not agree with the run.
        ImpossibleTrace: a log probability is not finite.
    """
    refuse_changed_arguments(trace)
    log_probs = [lp.value if type(lp) is Box else lp for lp in done.run.log_probs.values()]
    if {*map(type, log_probs)} != {float}:  # numbers of numpy, or boxes of an outer tape
        log_probs = list(map(raw, log_probs))
    count = count_gradient(trace)
    if with_retval or log_probs != list(trace.log_probs.values()):
        if not _has_moved(trace, done):
            _compare(trace, done, with_retval)
        elif _is_power_of_four(count):
            _compare_at_run(trace, with_retval)
    total = float(sum(log_probs))
    if total - total != 0.0:
        raise _impossible(trace, done)
    return total


def refuse_changed_arguments(trace: Trace) -> None:
    """Refuse a trace whose arguments hold other numbers than when its run began.

    Raises:
        ReplayDiffers: naming the argument.
    """
    for i, (value, then) in enumerate(zip(trace.args, trace._prints, strict=False)):
        if then is not None and fingerprint(value) != then:
            names = trace.gen_fn.argument_names
            name = names[min(i, len(names) - 1)]
            found = f"the numbers in its argument {name} have changed since the run began"
            raise ReplayDiffers(trace.gen_fn.__name__, None, None, None, CHANGED, found)


def _has_moved(trace: Trace, done: TracedReplay) -> bool:
    """Whether a parameter had another value in the replay than in the run."""
    for (function, name), then in trace.parameters.items():
        if name in function.params:
            now = done.values.get(function.params[name], then)
            if not _same_value(then, raw(now)):
                return True
    return False


def _same_value(a: Any, b: Any) -> bool:
    """Whether two values of a parameter are equal; one entry nearly always shows that it moved."""
    if type(a) is float or type(b) is float:
        return type(a) is type(b) and a == b
    return a is b or (
        a.shape == b.shape and (not a.size or a.flat[0] == b.flat[0]) and bool(np.all(a == b))
    )


def _is_power_of_four(count: int) -> bool:
    return count & (count - 1) == 0 and count.bit_length() % 2 == 1


# --- Differences


@dataclass(slots=True)
class _Difference:
    """A log probability, or an entry of the return value, that the replay did not find again."""

    address: Address | None
    """None for the return value."""
    then: Any
    now: Any
    size: float
    box: Any = None
    """The traced value that holds `now`."""
    entry: tuple[int, ...] = ()


def _compare_at_run(trace: Trace, with_retval: bool) -> None:
    """Compare a replay at the parameter values of the run, which have moved since."""
    runs: list[Run] = []
    try:
        with Tape() as tape:
            _compare(trace, traced_replay_at_run(trace, tape, runs), with_retval)
    except (TracedValueError, DistributionError):
        pass  # at those values the function has no gradient to compare
    finally:
        for run in runs:
            run.forget()


def _compare(trace: Trace, done: TracedReplay, with_retval: bool) -> None:
    """Compare a replay at the parameter values of the run with its trace, choice by choice."""
    differences = list(_differences(trace, done.run, done.retval, with_retval))
    if not differences:
        return
    first, largest = differences[0], max(differences, key=lambda d: d.size)
    if not _agrees_without_derivatives(trace, with_retval):
        raise _error(trace, first, NOT_A_FUNCTION)
    for d in (first, largest):
        if not d.size <= reach_of_rounding(trace, done, d.address, d.box, d.entry):
            raise _error(trace, d, NOT_TRACED)


def _error(trace: Trace, d: _Difference, cause: str) -> ReplayDiffers:
    name, then, now = trace.gen_fn.__name__, d.then, d.now
    if d.address is not None:
        return ReplayDiffers(name, show(d.address), then, now, cause)
    if d.entry:
        then, now = (f"{value!r} at {list(d.entry)}" for value in (then, now))
    return ReplayDiffers(name, None, then, now, cause)


def _agrees_without_derivatives(trace: Trace, with_retval: bool) -> bool:
    """Whether a replay without derivatives, at the parameter values of the run, is the run."""
    try:
        run, retval = replay_aside(trace, as_in_run(trace))
    except (AddressError, ReplayDiffers):
        return False
    return not any(_differences(trace, run, retval, with_retval))


def _differences(trace: Trace, run: Run, retval: Any, with_retval: bool) -> Iterator[_Difference]:
    for address, then in trace.log_probs.items():
        box = run.log_probs[address]
        now = raw(box)
        if not _close(now, then):
            yield _Difference(address, then, now, abs(now - then), box)
    if with_retval:
        yield from _differences_of_retval(trace.retval, retval)


def _differences_of_retval(then: Any, now: Any) -> Iterator[_Difference]:
    """Where the numbers in two return values differ; or that their structures differ."""
    before, after = list(paths(then)), list(paths(now))
    if [(at, x is None) for at, x in before] != [(at, x is None) for at, x in after]:
        yield _Difference(None, brief(then), brief(map_leaves(raw, now)), np.inf)
        return
    for (_, a), (_, b) in zip(before, after, strict=True):
        yield from _differences_of_leaf(a, b)


def _differences_of_leaf(then: Any, now: Any) -> Iterator[_Difference]:
    """The first entry in which two numbers or arrays differ; or that their shapes differ."""
    try:
        a, box = np.asarray(operand(then)), operand(now)
    except (TypeError, ValueError):
        return  # not numbers, so without a gradient
    b = np.asarray(raw(box))
    if a.shape != b.shape:
        yield _Difference(None, f"of shape {a.shape}", f"of shape {b.shape}", np.inf)
        return
    for place in np.argwhere(~_close(b, a))[:1].tolist():
        entry = tuple(place)
        then, now = float(a[entry]), float(b[entry])
        yield _Difference(None, then, now, abs(now - then), box, entry)


def _close(now: Any, then: Any) -> Any:
    """Whether numbers differ by little, or are infinite or NaN alike."""
    with np.errstate(all="ignore"):
        near = np.abs(now - then) <= EXACT * (1.0 + np.abs(then))
        return (now == then) | near | (np.isnan(now) & np.isnan(then))


# --- Log probabilities that are not finite


def _impossible(trace: Trace, done: TracedReplay) -> ImpossibleTrace:
    """The error for the first choice whose log probability is not finite."""
    log_probs = {a: raw(lp) for a, lp in done.run.log_probs.items()}
    address = next(
        (a for a, lp in log_probs.items() if lp - lp != 0.0),
        max(log_probs, key=lambda a: abs(log_probs[a])),  # each is finite, their sum is not
    )
    asked, why = distribution_at(trace, address, done.values), ""
    if asked is not None:
        why = asked[0].why_impossible(trace.choices._values[address], asked[1])
    return ImpossibleTrace(
        trace.gen_fn.__name__,
        show(address),
        log_probs[address],
        why or f"its value is {brief(trace.choices[address])}",
    )
