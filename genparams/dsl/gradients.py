"""Gradients: the derivative of a replay.

A trace is run again with every choice held fixed and today's parameters on a tape, one tape across
all nested calls, so that old and new values never mix.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from genparams.autodiff import Box, Tape, operand, raw, refusal, shape_of
from genparams.dsl.execution import natural
from genparams.dsl.interpreter import Call, Choose, Read, Run
from genparams.errors import (
    ArgumentError,
    DistributionError,
    GenParamsError,
    InvalidValue,
    MissingChoice,
    ShapeError,
    TracedValueError,
    UnusedConstraint,
)
from genparams.params import Parameter, added, all_at_once, is_finite, labels, lock
from genparams.trace.choices import ChoiceMap, frozen
from genparams.trace.selection import selection_of
from genparams.trace.trace import ArgGrads, Trace
from genparams.types import Address, show


@dataclass(slots=True)
class Differentiated:
    """What one replay gives."""

    log_prob: float
    read: dict[Parameter, Any]
    """The coordinates at which each parameter was read."""
    grads: dict[Parameter, Any]
    arg_grads: ArgGrads
    faults: dict[Parameter, str | None]
    """For gradients that are not finite, the address that made them, if one did."""


def held(trace: Trace) -> Choose:
    """The answer to what a choice is when every choice is held as the trace has it."""
    given = trace.choices._values

    def choose(address: Address, distribution: Any, operands: list[Any], size: Any) -> Any:
        try:
            return given[address]
        except KeyError:
            raise MissingChoice(
                f"at today's parameters {trace.gen_fn.__name__} visits {show(address)}, "
                "which this trace does not have; make a new trace with generate or update"
            ) from None

    return choose


def _all_there(trace: Trace) -> Callable[[Run], None]:
    """A check that a replay visits every choice of the trace."""

    def check(run: Run) -> None:
        if len(run.values) < len(trace.choices):
            gone = next(a for a in trace.choices if a not in run.values)
            raise UnusedConstraint(
                f"at today's parameters {trace.gen_fn.__name__} no longer visits {show(gone)}; "
                "make a new trace with generate or update"
            )

    return check


def replay(
    trace: Trace, read: Read, args: tuple[Any, ...], choose: Choose | None = None
) -> tuple[Run, Any]:
    """Run a trace's function again, its choices held unless `choose` answers otherwise.

    Raises:
        MissingChoice, UnusedConstraint: under these parameters the function makes other choices
        than the trace has.
    """
    run = Run(choose or held(trace), read)
    try:
        retval = run.execute(Call(trace.gen_fn, args, None), _all_there(trace))
    except (TypeError, ValueError) as error:
        told = _told_again(trace, error, run)
        if told is error:
            raise
        raise told from error
    return run, retval


def differentiate(trace: Trace, retval_grad: Any = None) -> Differentiated:
    """Differentiate log p(t; x) + <retval_grad, r> by the parameters read and arguments named."""
    done = _differentiate(trace, retval_grad)
    if not all(parameter.stands_at(at) for parameter, at in done.read.items()):
        with lock:  # another thread moved them under way: once more, while they stand still
            done = _differentiate(trace, retval_grad)
    return done


def _differentiate(trace: Trace, retval_grad: Any) -> Differentiated:
    tape = Tape()
    leaves: dict[Parameter, tuple[Box, Any]] = {}

    def read(parameter: Parameter) -> Any:
        if parameter.frozen:
            return parameter.value
        known = leaves.get(parameter)
        if known is None:  # boxed once, as it is first read
            theta, value = parameter.at()
            leaf = tape.leaf(theta)
            natural = parameter.constraint.natural(leaf)
            if natural is not leaf:
                natural.value = value  # as the run has it, to the bit: not as rounded on the way
            known = leaves[parameter] = leaf, natural
        return known[1]

    args = _boxed_args(trace, tape)
    run, retval = replay(trace, read, args)
    sources = [leaf for leaf, _ in leaves.values()]
    found = _backward(tape, run, retval, retval_grad, sources + _arg_leaves(trace, args))
    grads = dict(zip(leaves, found, strict=False))
    return Differentiated(
        log_prob=log_prob_of_run(run),
        read={parameter: leaf.value for parameter, (leaf, _) in leaves.items()},
        grads=grads,
        arg_grads=_arg_grads(trace, args, found[len(leaves) :]),
        faults={p: _fault(tape, leaves[p][0], run) for p, g in grads.items() if not is_finite(g)},
    )


def log_prob_of_run(run: Run) -> float:
    """log p(t; x), without its derivative."""
    return float(sum([lp if type(lp) is float else raw(lp) for lp in run.log_probs.values()]))


def choice_gradients(
    trace: Trace, selection: Any, retval_grad: Any
) -> tuple[ArgGrads, ChoiceMap, ChoiceMap]:
    """The work of `Trace.choice_gradients`."""
    selection = selection_of(selection, trace.choices._values)
    tape, answer = Tape(), held(trace)
    chosen: dict[Address, Any] = {}

    def choose(address: Address, distribution: Any, operands: list[Any], size: Any) -> Any:
        value = answer(address, distribution, operands, size)
        if address not in selection:
            return value
        if not distribution.kind.continuous:
            raise DistributionError(
                f"the choice at {show(address)} is discrete ({distribution.__name__}) and has no "
                "gradient; select continuous choices only"
            )
        chosen[address] = _boxed(tape, value)
        return chosen[address]

    args = _boxed_args(trace, tape)
    run, retval = replay(trace, natural, args, choose)
    of_args = _arg_leaves(trace, args)
    of_choices = _leaves(list(chosen.values()))
    found = _backward(tape, run, retval, retval_grad, of_args + of_choices)
    rest = iter(found[len(of_args) :])
    grads = {a: frozen(_map(lambda _: next(rest), tree)) for a, tree in chosen.items()}
    values = {a: trace.choices._values[a] for a in chosen}
    arg_grads = _arg_grads(trace, args, found[: len(of_args)])
    return arg_grads, ChoiceMap.trusted(values), ChoiceMap.trusted(grads)


def _boxed_args(trace: Trace, tape: Tape) -> tuple[Any, ...]:
    """The arguments, those boxed whose gradients are wanted."""
    places = trace.gen_fn.grad_places
    if not places:
        return trace.args
    return tuple([_boxed(tape, a) if i in places else a for i, a in enumerate(trace.args)])


def _arg_leaves(trace: Trace, args: tuple[Any, ...]) -> list[Box]:
    return _leaves([args[i] for i in trace.gen_fn.grad_places])


def _arg_grads(trace: Trace, args: tuple[Any, ...], found: Sequence[Any]) -> ArgGrads:
    """Gradients in the structure of the arguments; None for what is not wanted or no number."""
    if not trace.gen_fn.grad_places:
        return (None,) * len(args)
    rest = iter(found)

    def gradient(part: Any) -> Any:
        return next(rest) if type(part) is Box else None

    places = trace.gen_fn.grad_places
    return tuple([_map(gradient, a) if i in places else None for i, a in enumerate(args)])


def _backward(
    tape: Tape, run: Run, retval: Any, retval_grad: Any, sources: Sequence[Box]
) -> list[Any]:
    """The gradients of log p(t; x) + <retval_grad, r> by leaves of the tape."""
    # Every log probability is summed at once: each is seeded with 1 on the way back.
    seeds = [(lp, 1.0) for lp in run.log_probs.values() if type(lp) is Box and lp.tape is tape]
    if retval_grad is not None:
        try:
            seeds += _pair(retval, retval_grad, tape, "the return value")
        except ShapeError:
            run.forget()
            raise
    found = tape.gradients(seeds, sources)
    return [_dense(g, leaf) for g, leaf in zip(found, sources, strict=True)]


def accumulate(
    traces: Sequence[Trace], retval_grads: Sequence[Any], scales: Sequence[float]
) -> list[tuple[float, ArgGrads]]:
    """Differentiate each trace, then add everything to the accumulators: all of it, or nothing."""
    scales = [_number(scale) for scale in scales]
    done = [differentiate(trace, g) for trace, g in zip(traces, retval_grads, strict=True)]
    scaled = [
        (parameter, g if scale == 1.0 else scale * g, one.faults.get(parameter))
        for one, scale in zip(done, scales, strict=True)
        for parameter, g in one.grads.items()
    ]
    with lock:
        all_at_once(added(scaled))
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
    for trace in traces:
        if not isinstance(trace, Trace):
            raise ArgumentError(f"expected a trace or several, got {trace!r}; make it by generate")
    scales: Any = [scale] * len(traces) if np.ndim(scale) == 0 else scale
    if len(scales) != len(traces):
        raise ShapeError(f"{len(traces)} traces need one scale or {len(traces)}, got {len(scales)}")
    return accumulate(traces, [None] * len(traces), scales)


def param_gradients(trace: Trace, retval_grad: Any) -> dict[str, dict[str, Any]]:
    """The work of `Trace.param_gradients`, in the form that `ParamUpdate.apply` takes."""
    grads = differentiate(trace, retval_grad).grads
    names = labels(parameter.store for parameter in grads)
    found: dict[str, dict[str, Any]] = {}
    for parameter, g in grads.items():
        found.setdefault(names[parameter.store], {})[parameter.name] = g
    return found


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
    if isinstance(tree, (tuple, list)):
        parts = [_map(f, v) for v in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return f(tree)


def _boxed(tape: Tape, tree: Any) -> Any:
    """The tree with a leaf of the tape for each number and array in it."""
    return _map(lambda value: value if value is None else tape.leaf(operand(value)), tree)


def _leaves(tree: Any) -> list[Box]:
    """The boxes in a structure, in order."""
    found: list[Any] = []
    _map(found.append, tree)
    return [part for part in found if type(part) is Box]


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
