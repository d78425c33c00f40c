"""The gradients of traces: a gradient is the derivative of a replay.

A trace is run again with every choice held fixed and the present parameters on a tape, one tape
across all nested calls, so that old and new values never mix. Gradients are returned, or added to
accumulators, all of them or none. `Trace` documents what each function returns.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from genparams.autodiff import Box, Tape, last_refusal, operand, shape_of
from genparams.dsl.comparison import confirm
from genparams.dsl.differences import confirm_by_difference
from genparams.dsl.interpreter import Run, keep_declared
from genparams.dsl.sums import BLOCK, total_of
from genparams.dsl.traced_replay import TracedReplay, own, traced_replay
from genparams.errors import ArgumentError, GradientShapeError, ShapeError, TracedValueError
from genparams.mistakes import explained
from genparams.params import Parameter, added, finite_scale, has_moved, is_finite, labels, lock
from genparams.structure import pairs
from genparams.text import brief
from genparams.trace.choices import ChoiceMap, frozen, unchecked
from genparams.trace.selection import Selection, selection_of
from genparams.trace.trace import ArgGrads, Trace
from genparams.types import Address, show


def accumulate(
    traces: Sequence[Trace], retval_grads: Sequence[Any], scales: Sequence[float]
) -> list[tuple[float, ArgGrads]]:
    """Differentiate each trace, then add everything to the accumulators: all of it, or nothing."""
    found = differentiate(traces, retval_grads, scales=[finite_scale(scale) for scale in scales])
    return [(one.log_prob, one.arg_grads) for one in found]


@explained
def accumulate_param_gradients(
    traces: Trace | Iterable[Trace],
    scale: float | Sequence[float] = 1.0,
    executor: Any = None,
) -> list[tuple[float, ArgGrads]]:
    """Add the gradients of one or several traces to their parameters' accumulators.

        accumulator(theta) += sum_i scale_i * d/d theta log p(t_i; x_i, theta)

    Either every trace's gradient is added or, if anything fails, none. The sum is in an order that
    the number of traces decides, and equal to the bit with and without an executor: 64 traces or
    less are added one after another, more in blocks of 64, whose sums are added pairwise.

    Args:
        traces: One, several, or what `place(traces, executor)` returns.
        scale: One factor for all, or one for each trace.
        executor: What computes the gradients, for many traces: an object with the method `submit`
            of `concurrent.futures.Executor`, such as `LocalProcesses()`, or a dask `Client`. The
            present values of the parameters are sent with the work. None means this process.

    Returns:
        For each trace what `Trace.accumulate_param_gradients` returns.

    Raises:
        ArgumentError: `traces` holds something else than traces, or `executor` is none.
        ShapeError: there is neither one scale nor one for each trace.
        ImpossibleTrace, ReplayDiffers, ForeignParameters: as `Trace.accumulate_param_gradients`.
        NotPicklable: something in a trace cannot be sent to another process.
        WorkersLost: the same traces have ended several workers.
    """
    several = sequence_of_traces(traces)
    scales: Any = [scale] * len(several) if np.ndim(scale) == 0 else scale
    if len(scales) != len(several):
        count = len(several)
        raise ShapeError(f"{count} traces need one scale or {count}, got {len(scales)}")
    if executor is None and type(several) is list:
        return accumulate(several, [None] * len(several), scales)
    return import_module("genparams.dsl.parallel.step").accumulate(several, scales, executor)


def sequence_of_traces(traces: Any) -> Sequence[Trace]:
    """One or several traces as a list; placed traces as they are.

    Raises:
        ArgumentError: there is something else among them.
    """
    if getattr(traces, "is_placed", False):
        return traces
    if not isinstance(traces, Iterable) or isinstance(traces, Mapping | Trace):
        traces = [traces]
    found = list(traces)
    for trace in found:
        if not isinstance(trace, Trace):
            raise ArgumentError(
                f"expected a trace or several, got {brief(trace)}; write trace, weight = "
                "f.generate(args, constraints)"
            )
    return found


def param_gradients(trace: Trace, retval_grad: Any) -> dict[str, dict[str, Any]]:
    """The gradients by function and parameter name, in the form that `ParamUpdate.apply` takes."""
    (done,) = differentiate([trace], [retval_grad])
    names = labels(parameter.store for parameter in done.grads)
    found: dict[str, dict[str, Any]] = {}
    for parameter, g in done.grads.items():
        found.setdefault(names[parameter.store], {})[parameter.name] = own(g)
    return found


def choice_gradients(
    trace: Trace, selection: Any, retval_grad: Any
) -> tuple[ArgGrads, ChoiceMap, ChoiceMap]:
    values = trace.choices._values
    (done,) = differentiate([trace], [retval_grad], selection_of(selection, values))
    chosen = {a: values[a] for a in done.choice_grads}
    grads = {a: frozen(g) for a, g in done.choice_grads.items()}
    return done.arg_grads, unchecked(chosen), unchecked(grads)


# --- The derivative of a replay


@dataclass(slots=True)
class Gradient:
    """The gradient of log p(t; x) + <retval_grad, r>, and log p(t; x)."""

    log_prob: float
    grads: dict[Parameter, Any]
    """By the coordinates of parameters."""
    arg_grads: ArgGrads
    """By arguments; None for those by which no gradient is wanted."""
    choice_grads: dict[Address, Any]
    faults: dict[Parameter, str | None]
    """For gradients that are not finite, the address that made them, if one did."""
    theta: dict[Parameter, Any]
    """The coordinates at which it was taken."""

    def scaled(self, scale: float) -> dict[Parameter, Any]:
        """The gradients by parameters, times a factor."""
        if scale == 1.0:
            return self.grads
        return {parameter: scale * g for parameter, g in self.grads.items()}


def differentiate(
    traces: Sequence[Trace],
    retval_grads: Sequence[Any],
    selection: Selection | None = None,
    scales: Sequence[float] = (),
) -> list[Gradient]:
    """Differentiate each trace by its arguments, and by parameters or selected choices.

    The replays may declare parameters. These are kept and, if there are scales, the gradients by
    parameters times the scales are added to the accumulators: all of it, or nothing after an error.

    Args:
        selection: The choices to differentiate by; None means by every parameter that is read.
    """
    runs: list[Run] = []
    try:
        each = list(zip(traces, retval_grads, strict=True))
        found = [_differentiated(trace, g, runs, selection) for trace, g in each]
        with lock:
            if any(has_moved(p, at) for one in found for p, at in one.theta.items()):
                # another thread moved a parameter: once more, while no thread can
                found = [_differentiated(trace, g, runs, selection) for trace, g in each]
            keep_declared(runs, added(summed(found, scales)))
    except BaseException:
        for run in runs:
            run.forget()
        raise
    return found


def _differentiated(
    trace: Trace, retval_grad: Any, runs: list[Run], selection: Selection | None
) -> Gradient:
    """`differentiate_trace`, or what stands in for it in a static function."""
    differentiate = trace.gen_fn.trace_gradients.differentiate_trace
    return differentiate(trace, retval_grad, runs, selection)


def differentiate_trace(
    trace: Trace, retval_grad: Any, runs: list[Run], selection: Selection | None = None
) -> Gradient:
    """Differentiate one trace; what its replay declares is kept or forgotten by the caller."""
    with Tape() as tape:
        before = last_refusal()
        done = traced_replay(trace, tape, runs, selection)
        log_prob = confirm(trace, done, retval_grad is not None)
        found = _backward(done, retval_grad)
        if last_refusal() is not before:  # and the body caught the error
            confirm_by_difference(trace, retval_grad, done, found)
        theta, faults = {}, {}
        for (parameter, leaf), g in zip(done.inputs.theta.items(), found, strict=False):
            theta[parameter] = leaf.value
            if type(g) is float and type(leaf.value) is float and g - g == 0.0:
                continue
            _refuse_other_shape(parameter, g)
            if not is_finite(g):
                faults[parameter] = _fault(done, leaf)
    return Gradient(log_prob, *done.inputs.with_leaves(found), faults, theta)


def summed(
    found: Sequence[Gradient], scales: Sequence[float]
) -> list[tuple[Parameter, Any, str | None]]:
    """What to add to accumulators, in order: scaled gradients, of many traces their sum."""
    each = zip(found, scales, strict=False)
    if len(found) <= BLOCK:
        return [
            (parameter, g if scale == 1.0 else scale * g, one.faults.get(parameter))
            for one, scale in each
            for parameter, g in one.grads.items()
        ]
    faults = first_faults(found)
    total = total_of((one.scaled(scale), 1) for one, scale in each)
    return [(parameter, g, faults.get(parameter)) for parameter, g in total.items()]


def first_faults(found: Iterable[Gradient]) -> dict[Parameter, str]:
    """The first address that made a gradient that is not finite, where one is known."""
    faults: dict[Parameter, str] = {}
    for one in found:
        for parameter, fault in one.faults.items():
            if fault is not None:
                faults.setdefault(parameter, fault)
    return faults


# --- The way back


def _backward(done: TracedReplay, retval_grad: Any) -> list[Any]:
    """The gradients of log p(t; x) + <retval_grad, r> by the leaves of the tape."""
    tape, log_probs = done.tape, done.run.log_probs
    boxes = [lp for lp in log_probs.values() if type(lp) is Box]
    # Every log probability is summed at once: each is seeded with 1 on the way back.
    seeds = [(lp, 1.0) for lp in boxes if lp.tape is tape]
    if len(seeds) < len(boxes):
        strange = next(a for a, lp in log_probs.items() if type(lp) is Box and lp.tape is not tape)
        raise TracedValueError(
            f"the log probability at {show(strange)} is made of values of another gradient, which "
            "is computed at the same time or around this one; compute what depends on a parameter "
            "again in each run"
        )
    if retval_grad is not None:
        seeds += _seeds_of_retval(done, retval_grad)
    found = tape.gradients(seeds, done.leaves)
    each = zip(found, done.leaves, strict=True)
    return [g if type(g) is float else _dense(g, leaf) for g, leaf in each]


def _seeds_of_retval(done: TracedReplay, retval_grad: Any) -> list[tuple[Box, Any]]:
    """The boxes in the return value, each with the gradient by it."""
    found: list[tuple[Box, Any]] = []
    for name, part, g in pairs(done.retval, retval_grad, "the return value", "retval_grad"):
        try:
            value, grad = operand(part), operand(g)
        except (TypeError, ValueError):
            raise ShapeError(f"{name} is {brief(part)}; retval_grad gives {brief(g)}") from None
        if shape_of(grad) != shape_of(value):
            raise ShapeError(
                f"{name} has shape {shape_of(value)}; retval_grad has shape {shape_of(grad)}"
            )
        if type(value) is Box and value.tape is done.tape:
            found.append((value, grad))
    return found


def _dense(g: Any, leaf: Box) -> Any:
    """A gradient in the shape of a leaf; zeros where there is none."""
    shape = shape_of(leaf.value)
    if g is None:
        return np.zeros(shape) if shape else 0.0
    return g if shape else float(g)


def _refuse_other_shape(parameter: Parameter, g: Any) -> None:
    """Refuse a gradient that is not of real numbers in the shape of the coordinates."""
    shape, kind = np.shape(g), np.asarray(g).dtype.kind
    if shape != parameter.shape or kind not in "fiub":
        raise GradientShapeError(
            f"the gradient by parameter {parameter.name!r} of {parameter.store.owner or 'theta'} "
            f"has shape {shape} and dtype {np.asarray(g).dtype}, where its coordinates have shape "
            f"{parameter.shape}; check the gradients given by hand in this model"
        )


def _fault(done: TracedReplay, leaf: Box) -> str | None:
    """The first address that makes the gradient by `leaf` not finite; None for the return value."""
    sites = [(a, lp) for a, lp in done.run.log_probs.items() if type(lp) is Box]

    def bad(count: int) -> bool:
        g = done.tape.gradients([(lp, 1.0) for _, lp in sites[:count]], [leaf])[0]
        return g is not None and not is_finite(g)

    if not bad(len(sites)):
        return None
    low, high = 0, len(sites)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if bad(middle) else (middle, high)
    return show(sites[high - 1][0])
