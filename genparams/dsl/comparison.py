"""A replay is the run: what a replay must find again before it is differentiated.

At the parameters of a trace's run a replay must find every log probability of the trace again, and
the return value where a gradient by it is given. Where it does not, its gradient would be the
gradient of another model.

Which differences are rounding? A replay computes with traced values where the run computed with
numbers, and the two may round differently. Differences below `EXACT` are accepted at once. For a
larger difference the tape tells how far such roundings reach: moving every leaf theta of the tape
by `ROUNDING * (1 + |theta|)` moves a log probability by at most

    ROUNDING * sum_theta |d log p / d theta| (1 + |theta|)

This derivative vanishes at a maximum, where the roundings of single entries do not cancel. So what
moving each entry of each argument of the distribution by a random factor of at most `1 + ROUNDING`
does to its log probability is added. A larger difference is an error. `ROUNDING` is the rounding of
single precision, as a model may compute with float32 numbers.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from genparams.autodiff import Box, Tape, operand, raw, shape_of
from genparams.dsl.interpreter import Run
from genparams.dsl.replay import NOT_A_FUNCTION, NOT_TRACED, replay
from genparams.errors import (
    AddressError,
    DistributionError,
    ImpossibleTrace,
    ReplayDiffers,
    TracedValueError,
)
from genparams.params import Parameter
from genparams.text import brief
from genparams.trace.fingerprint import fingerprint
from genparams.trace.trace import Trace, count_gradient
from genparams.types import Address, show

T = TypeVar("T")

CHANGED = (
    "Arguments are not copied: give generate a copy, or make a new trace of new data, and write no "
    "argument in place in the function"
)
EXACT = 1e-10
"""Relative differences that are accepted without a second look."""
ROUNDING = 1e-6
"""A relative rounding error of a few operations in single precision."""


@dataclass(slots=True)
class Replayed:
    """A replay on a tape, not yet differentiated."""

    run: Run
    retval: Any
    tape: Tape
    values: dict[Parameter, Any]
    """The value that each parameter had in the replay, traced or not."""
    sources: Sequence[Box]
    """The leaves of the tape."""


@dataclass(slots=True)
class _Difference:
    """Two numbers that should be one: the log probability at an address, or in the return value."""

    address: Address | None
    then: Any
    now: Any
    box: Any
    """What `now` was read from."""
    entry: tuple[int, ...] = ()

    @property
    def size(self) -> float:
        if isinstance(self.now, str):  # of another structure
            return float("inf")
        return abs(self.now - self.then)


def confirm(trace: Trace, done: Replayed, with_retval: bool) -> float:
    """log p(t; x) of a replay that is the run of its trace, and possible.

    The comparison is made at every gradient while the parameters are at the values of the run.
    After they have moved it is made by one more replay at those values: at the first gradient of
    the trace, at the fourth, the sixteenth and so on.

    Raises:
        ReplayDiffers: the replay is not the run.
        ImpossibleTrace: a log probability is not finite.
    """
    if trace._prints:
        _refuse_changed_arguments(trace)
    values = [lp.value if type(lp) is Box else lp for lp in done.run.log_probs.values()]
    log_probs = [lp if type(lp) is float else raw(lp) for lp in values]
    count = count_gradient(trace)
    if with_retval or log_probs != list(trace.log_probs.values()):
        if not _has_moved(trace, done):
            _compare(trace, done, with_retval)
        elif count & (count - 1) == 0 and count.bit_length() & 1:  # a power of four
            _compare_at_run(trace, with_retval)
    total = float(sum(log_probs))
    if total - total != 0.0:
        raise _impossible(trace, done)
    return total


def _refuse_changed_arguments(trace: Trace) -> None:
    for i, (value, then) in enumerate(zip(trace.args, trace._prints, strict=True)):
        if then is not None and fingerprint(value) != then:
            names = trace.gen_fn.argument_names
            name = names[min(i, len(names) - 1)]
            found = f"the numbers in its argument {name} have changed since the run began"
            raise ReplayDiffers(trace.gen_fn.__name__, None, None, None, CHANGED, found)


def _has_moved(trace: Trace, done: Replayed) -> bool:
    """Whether a parameter had another value in the replay than in the run."""
    known, reads = trace.parameters, done.run.reads
    for parameter, value in done.values.items():
        then = known.get((reads[parameter], parameter.name))
        if then is None:
            then = _value_in_run(trace, done.run, parameter)
        if then is not None and not _same_value(then, raw(value)):
            return True
    return False


def _value_in_run(trace: Trace, run: Run, parameter: Parameter) -> Any:
    """The value that a parameter had in the run of the trace; None if that run did not read it."""
    known = trace.parameters
    then = known.get((run.reads[parameter], parameter.name))
    if then is None:
        for (function, name), value in known.items():  # of a clone that the body makes anew
            if name == parameter.name and function.params is parameter.store:
                return value
    return then


def _same_value(a: Any, b: Any) -> bool:
    if type(a) is float or type(b) is float:
        return a == b if type(a) is type(b) else False
    if a is b:
        return True
    return a.shape == b.shape and (not a.size or a.flat[0] == b.flat[0]) and bool(np.all(a == b))


def _compare_at_run(trace: Trace, with_retval: bool) -> None:
    """Compare a replay at the parameter values of the run, which have moved since."""
    runs: list[Run] = []
    tape = Tape()
    leaves: dict[Parameter, Box] = {}
    values: dict[Parameter, Any] = {}

    def read(parameter: Parameter) -> Any:
        if parameter not in values:
            then = _value_in_run(trace, runs[0], parameter)
            value = values[parameter] = parameter.value if then is None else then
            if not parameter.frozen:
                leaves[parameter] = tape.leaf(value)
        return leaves[parameter] if parameter in leaves else values[parameter]

    try:
        with tape:
            run, retval = replay(trace, read, trace.args, runs=runs, at_run=True)
            done = Replayed(run, retval, tape, values, list(leaves.values()))
            _compare(trace, done, with_retval)
    except (TracedValueError, DistributionError):
        pass  # at those values the function has no gradient to compare
    finally:
        for run in runs:
            run.forget()


def _compare(trace: Trace, done: Replayed, with_retval: bool) -> None:
    """Compare a replay at the parameter values of the run with its trace, choice by choice.

    Raises:
        ReplayDiffers: naming the first choice that differs.
    """
    differences = list(_differences(trace, done.run, done.retval, with_retval))
    if not differences:
        return
    first = differences[0]
    if not _plainly_the_same(trace, with_retval):
        raise _differs(trace, first, NOT_A_FUNCTION)
    for difference in (first, max(differences, key=lambda d: d.size)):
        if not difference.size <= _rounding(trace, difference, done):
            raise _differs(trace, difference, NOT_TRACED)


def _differs(trace: Trace, difference: _Difference, cause: str) -> ReplayDiffers:
    at = None if difference.address is None else show(difference.address)
    then, now = difference.then, difference.now
    if difference.address is None and difference.entry:
        then, now = (f"{v!r} at {list(difference.entry)}" for v in (then, now))
    return ReplayDiffers(trace.gen_fn.__name__, at, then, now, cause)


def _differences(trace: Trace, run: Run, retval: Any, with_retval: bool) -> Iterator[_Difference]:
    for address, then in trace.log_probs.items():
        lp = run.log_probs[address]
        if not _close(raw(lp), then):
            yield _Difference(address, then, raw(lp), lp)
    if with_retval:
        yield from _of_values(trace.retval, retval)


def _of_values(then: Any, now: Any) -> Iterator[_Difference]:
    """Where the numbers in two return values differ, or the structures that hold them."""
    if _structure(then) != _structure(now):
        yield _Difference(None, _structure(then), _structure(now), None)
    elif isinstance(then, dict):
        for k, v in then.items():
            yield from _of_values(v, now[k])
    elif isinstance(then, (tuple, list)):
        for a, b in zip(then, now, strict=True):
            yield from _of_values(a, b)
    else:
        yield from _of_numbers(then, now)


def _structure(value: Any) -> str:
    """What kind of structure a value is, in words; for all single values and arrays the same."""
    if isinstance(value, dict):
        return f"a dictionary with keys {list(value)}"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    return "None" if value is None else "a value"


def _of_numbers(then: Any, now: Any) -> Iterator[_Difference]:
    try:
        a, box = np.asarray(operand(then)), operand(now)
    except (TypeError, ValueError):
        return  # no numbers, which have no gradient
    b = np.asarray(raw(box))
    if a.shape != b.shape:
        yield _Difference(None, f"of shape {a.shape}", f"of shape {b.shape}", None)
        return
    for place in np.argwhere(~_close(b, a))[:1].tolist():
        entry = tuple(place)
        yield _Difference(None, float(a[entry]), float(b[entry]), box, entry)


def _close(now: Any, then: Any) -> Any:
    """Whether numbers differ by little, or are infinite or NaN alike."""
    if type(now) is float and type(then) is float:
        near = abs(now - then) <= EXACT * (1.0 + abs(then))
        return near or now == then or (now != now and then != then)
    with np.errstate(all="ignore"):
        near = np.abs(now - then) <= EXACT * (1.0 + np.abs(then))
        return (now == then) | near | (np.isnan(now) & np.isnan(then))


def _plainly_the_same(trace: Trace, with_retval: bool) -> bool:
    """Whether the function, run again without gradients on the values of its run, is the run."""
    runs: list[Run] = []

    def read(parameter: Parameter) -> Any:
        then = _value_in_run(trace, runs[0], parameter)
        return parameter.value if then is None else then

    try:
        run, retval = replay(trace, read, trace.args, runs=runs, at_run=True)
        return not any(_differences(trace, run, retval, with_retval))
    except (AddressError, ReplayDiffers):
        return False
    finally:
        for run in runs:
            run.forget()


def _rounding(trace: Trace, difference: _Difference, done: Replayed) -> float:
    """How far roundings may move the number that differs."""
    box = difference.box
    if type(box) is not Box or box.tape is not done.tape or not np.isfinite(difference.size):
        return 0.0
    seed: Any = 1.0
    if difference.entry:
        seed = np.zeros(shape_of(box.value))
        seed[difference.entry] = 1.0
    grads = done.tape.gradients([(box, seed)], done.sources)
    with np.errstate(all="ignore"):
        reach = sum(
            float(np.sum(np.abs(raw(g)) * (1.0 + np.abs(raw(leaf)))))
            for g, leaf in zip(grads, done.sources, strict=True)
            if g is not None
        )
    if reach != reach:
        return np.inf
    if difference.address is None:
        return ROUNDING * reach
    return ROUNDING * reach + _jitter(trace, difference.address, done.values)


def _jitter(trace: Trace, address: Address, values: dict[Parameter, Any]) -> float:
    """How far a log probability moves as entries of its arguments move by random factors."""
    rng = np.random.default_rng(0)

    def moved(x: Any) -> Any:
        factor = 1.0 + ROUNDING * rng.uniform(-1.0, 1.0, shape_of(x))
        return x * factor if shape_of(x) else float(x * factor)

    def reach(distribution: Any, x: Any, operands: list[Any]) -> float:
        at, found = distribution.log_prob_of(x, operands), 0.0
        for i, arg in enumerate(operands):
            try:
                others = [[*operands[:i], moved(arg), *operands[i + 1 :]] for _ in range(4)]
                found += max(abs(distribution.log_prob_of(x, given) - at) for given in others)
            except (TypeError, ValueError):
                continue  # an argument that is no number, or cannot move
        return found if np.isfinite(found) else 0.0

    return sum(_asked(trace, address, values, reach))


def _asked(
    trace: Trace,
    address: Address,
    values: dict[Parameter, Any],
    ask: Callable[[Any, Any, list[Any]], T],
) -> list[T]:
    """What the distribution at an address answers of its value and arguments, without a tape."""
    given, runs = trace.choices._values, []
    found: list[T] = []

    def choose(at: Address, distribution: Any, operands: list[Any], size: Any) -> Any:
        if at == address:
            found.append(ask(distribution, given[at], [raw(x) for x in operands]))
        return given[at]

    try:
        replay(trace, lambda p: raw(values.get(p, p.value)), trace.args, choose, runs, at_run=True)
    except AddressError:
        pass  # it is not visited then
    finally:
        for run in runs:
            run.forget()
    return found


# --- Log probabilities that are not finite


def _impossible(trace: Trace, done: Replayed) -> ImpossibleTrace:
    """The error for the first choice whose log probability is not finite."""
    log_probs = {a: raw(lp) for a, lp in done.run.log_probs.items()}
    address = next(
        (a for a, lp in log_probs.items() if lp - lp != 0.0),
        max(log_probs, key=lambda a: abs(log_probs[a])),  # finite each, and not their sum
    )
    why = _asked(trace, address, done.values, lambda d, x, args: d.why_impossible(x, args))
    return ImpossibleTrace(
        trace.gen_fn.__name__,
        show(address),
        log_probs[address],
        why[0] if why else f"its value is {brief(trace.choices[address])}",
    )
