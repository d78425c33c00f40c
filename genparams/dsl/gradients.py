"""Gradients: the derivative of a replay.

A trace is run again with every choice held fixed and today's parameters on a tape, one tape across
all nested calls, so that old and new values never mix.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from genparams.autodiff import Box, Tape, operand, raw, refusal, shape_of
from genparams.dsl.interpreter import Call, Run
from genparams.errors import (
    GenParamsError,
    InvalidValue,
    MissingChoice,
    ShapeError,
    TracedValueError,
    UnusedConstraint,
)
from genparams.params import Parameter, ParamStore, is_finite, lock
from genparams.trace.trace import ArgGrads, Trace
from genparams.types import Address, show


@dataclass(slots=True)
class Differentiated:
    """What one replay gives: log p(t; x), gradients by parameter and by argument, and where a bad
    one came from.
    """

    log_prob: float
    grads: dict[Parameter, tuple[ParamStore, Any]]
    arg_grads: ArgGrads
    faults: dict[Parameter, str | None]


def replay(
    trace: Trace, read: Callable[[Parameter], Any], args: tuple[Any, ...]
) -> tuple[Run, Any]:
    """Run a trace's function on its choices, with parameters as `read` answers them.

    Raises:
        MissingChoice, UnusedConstraint: under these parameters the function makes other choices
        than the trace has.
    """
    given = trace.choices._values

    def choose(address: Address, distribution: Any, operands: list[Any], size: Any) -> Any:
        try:
            return given[address]
        except KeyError:
            raise MissingChoice(
                f"at today's parameters {trace.gen_fn.__name__} visits {show(address)}, "
                "which this trace does not have; make a new trace with generate"
            ) from None

    run = Run(choose, read)
    try:
        retval = run.execute(Call(trace.gen_fn, args, None))
    except (TypeError, ValueError) as error:
        told = _told_again(trace, error, run)
        if told is error:
            raise
        raise told from error
    if len(run.values) < len(given):
        gone = next(a for a in given if a not in run.values)
        raise UnusedConstraint(
            f"at today's parameters {trace.gen_fn.__name__} no longer visits {show(gone)}; "
            "make a new trace with generate"
        )
    return run, retval


def differentiate(trace: Trace, retval_grad: Any = None) -> Differentiated:
    """Differentiate log p(t; x) + <retval_grad, r> by the parameters read and arguments named."""
    tape = Tape()
    leaves: dict[Parameter, tuple[Any, Any]] = {}

    def read(parameter: Parameter) -> Any:
        if parameter.frozen:
            return parameter.value
        known = leaves.get(parameter)
        if known is None:
            leaf = tape.leaf(parameter.coordinates)
            known = leaves[parameter] = (
                leaf,
                parameter.constraint.natural(leaf),
            )  # boxed once, as it is first read
        return known[1]

    places = trace.gen_fn.grad_places
    args = list(trace.args)
    for i in places:
        args[i] = _map(lambda value: tape.leaf(operand(value)), args[i])
    run, retval = replay(trace, read, tuple(args))

    # Every log probability is summed at once: each is seeded with 1 on the way back.
    log_probs = run.log_probs.values()
    seeds = [(lp, 1.0) for lp in log_probs if type(lp) is Box]
    if retval_grad is not None:
        seeds += _pair(retval, retval_grad, tape, "the return value")
    boxed: list[Box] = []
    for i in places:
        _map(boxed.append, args[i])
    found = iter(tape.gradients(seeds, [leaf for leaf, _ in leaves.values()] + boxed))
    grads = {p: (run.reads[p], _dense(next(found), leaf)) for p, (leaf, _) in leaves.items()}
    by_place = {i: _map(lambda leaf: _dense(next(found), leaf), args[i]) for i in places}
    faults = {p: _fault(tape, leaves[p][0], run) for p, (_, g) in grads.items() if not is_finite(g)}
    return Differentiated(
        log_prob=float(sum([raw(lp) for lp in log_probs])),
        grads=grads,
        arg_grads=tuple([by_place.get(i) for i in range(len(args))]),
        faults=faults,
    )


def accumulate(
    traces: Sequence[Trace], retval_grads: Sequence[Any], scales: Sequence[float]
) -> list[tuple[float, ArgGrads]]:
    """Differentiate each trace, then add everything to the accumulators: all of it, or nothing."""
    scales = [_number(scale) for scale in scales]
    done = [differentiate(trace, g) for trace, g in zip(traces, retval_grads, strict=True)]
    with lock:
        for one, scale in zip(done, scales, strict=True):
            for parameter, (_, g) in one.grads.items():
                parameter.increment_grad(g if scale == 1.0 else scale * g)
            for parameter, address in one.faults.items():
                parameter.fault = address
    return [(one.log_prob, one.arg_grads) for one in done]


def _number(scale: Any) -> float:
    if type(scale) is float:
        return scale
    value = np.asarray(scale)
    if value.ndim or value.dtype.kind not in "fiub":
        raise InvalidValue(f"scale must be a number, got {scale!r}")
    return float(value)


def accumulate_param_gradients(
    traces: Trace | Iterable[Trace], scale: float | Sequence[float] = 1.0
) -> list[tuple[float, ArgGrads]]:
    """Add the gradients of one or several traces to their parameters' accumulators.

        accumulator(theta) += sum_i scale_i * d/d theta log p(t_i; x_i, theta)

    Either every trace's gradient is added or, if anything fails, none.

    Args:
        scale: One factor for all, or one for each trace.

    Returns:
        For each trace what `Trace.accumulate_param_gradients` returns.
    """
    traces = [traces] if isinstance(traces, Trace) else list(traces)
    scales: Any = [scale] * len(traces) if np.ndim(scale) == 0 else scale
    if len(scales) != len(traces):
        raise ShapeError(f"{len(traces)} traces need one scale or {len(traces)}, got {len(scales)}")
    return accumulate(traces, [None] * len(traces), scales)


def by_name(grads: Mapping[Parameter, tuple[ParamStore, Any]]) -> dict[str, dict[str, Any]]:
    """Gradients by the name of the function and of the parameter, as `ParamUpdate.apply` takes
    them.
    """
    named: dict[str, dict[str, Any]] = {}
    for parameter, (store, g) in grads.items():
        named.setdefault(store.owner, {})[parameter.name] = g
    return named


def _dense(g: Any, leaf: Box) -> Any:
    """A gradient in the shape of what it is by; zeros where there is none."""
    shape = shape_of(leaf.value)
    if g is None:
        return np.zeros(shape) if shape else 0.0
    return g if type(g) is float or shape else float(g)


def _fault(tape: Tape, leaf: Box, run: Run) -> str | None:
    """The first address whose log probability makes the gradient by `leaf` non-finite.

    Found by bisection; None if the gradient of the return value made it.
    """
    sites = [(a, lp) for a, lp in run.log_probs.items() if type(lp) is Box]

    def bad(count: int) -> bool:
        g = tape.gradients([(lp, 1.0) for _, lp in sites[:count]], [leaf])[0]
        return g is not None and not is_finite(g)

    if not bad(len(sites)):
        return None
    low, high = 0, len(sites)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if bad(middle) else (middle, high)
    return show(sites[high - 1][0])


_OF_OBJECTS = ("does not support argument", "unsupported in linalg", "not supported for the input")
"""What numpy and scipy say of an array whose entries are traced values."""


def _told_again(trace: Trace, error: Exception, run: Run) -> Exception:
    """An error of a model under differentiation; one about a traced value says where it stood."""
    said = str(error)
    if isinstance(error, GenParamsError) and not isinstance(error, TracedValueError):
        return error
    if "array element" in said:
        said = str(refusal("assignment into an array", "np.where or np.stack", error.__traceback__))
    elif any(complaint in said for complaint in _OF_OBJECTS):
        what = "a function that turns its arguments into arrays"
        instead = "it in functions of numpy, and np.stack([...]) in place of np.array([...])"
        said = str(refusal(what, instead, error.__traceback__))
    elif not isinstance(error, TracedValueError):
        return error
    where = (
        f"after the choice {show(next(reversed(run.values)))}"
        if run.values
        else "before its first choice"
    )
    return TracedValueError(f"{said}, in {trace.gen_fn.__name__} {where}")


# --- Values with structure: numbers and arrays, or tuples, lists and dictionaries of them


def _map(f: Callable[[Any], Any], tree: Any) -> Any:
    if isinstance(tree, dict):
        return {k: _map(f, v) for k, v in tree.items()}
    nested = isinstance(tree, list) and any(isinstance(v, (list, tuple, dict)) for v in tree)
    if isinstance(tree, tuple) or nested:
        parts = [_map(f, v) for v in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return f(tree)


def _pair(retval: Any, grad: Any, tape: Tape, where: str) -> list[tuple[Box, Any]]:
    """The seeds that pair a return value with a gradient of the same structure.

    Raises:
        ShapeError: the structures or the shapes differ.
    """
    if grad is None:
        return []
    if isinstance(retval, Mapping):
        if not isinstance(grad, Mapping) or not set(grad) <= set(retval):
            raise ShapeError(
                f"{where} is a dictionary with keys {list(retval)}; retval_grad gives {grad!r}"
            )
        return [
            seed for k, g in grad.items() for seed in _pair(retval[k], g, tape, f"{where}[{k!r}]")
        ]
    if isinstance(retval, (tuple, list)):
        if not isinstance(grad, (tuple, list, np.ndarray)) or len(grad) != len(retval):
            raise ShapeError(f"{where} has {len(retval)} parts; retval_grad gives {grad!r}")
        return [
            seed
            for i, (r, g) in enumerate(zip(retval, grad, strict=True))
            for seed in _pair(r, g, tape, f"{where}[{i}]")
        ]
    try:
        retval, grad = operand(retval), operand(grad)
    except TypeError:
        raise ShapeError(f"{where} is {retval!r}; retval_grad gives {grad!r}") from None
    if shape_of(grad) != shape_of(retval):
        raise ShapeError(
            f"{where} has shape {shape_of(retval)}; retval_grad has shape {shape_of(grad)}"
        )
    return [(retval, grad)] if type(retval) is Box and retval.tape is tape else []
