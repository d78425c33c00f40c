"""Gradients: the derivative of a replay.

A trace is run again with every choice held fixed and the present parameters on a tape, one tape
across all nested calls, so that old and new values never mix.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from genparams.autodiff import Box, Tape, last_refusal, mark_shared, operand, raw, shape_of
from genparams.dsl.comparison import Replayed, confirm
from genparams.dsl.execution import recorder
from genparams.dsl.interpreter import Operands, Run, keeping
from genparams.dsl.replay import held, mapped, replay
from genparams.errors import (
    ArgumentError,
    DistributionError,
    GradientShapeError,
    ReplayDiffers,
    ShapeError,
    TracedValueError,
)
from genparams.mistakes import explained
from genparams.params import Parameter, added, all_at_once, finite, is_finite, labels, lock
from genparams.text import brief
from genparams.trace.choices import ChoiceMap, frozen
from genparams.trace.selection import selection_of
from genparams.trace.trace import ArgGrads, Trace
from genparams.types import Address, show


@dataclass(slots=True)
class Differentiated:
    """What one replay gives."""

    log_prob: float
    leaves: dict[Parameter, Box]
    """By parameter the leaf of the tape, which holds the coordinates that were read."""
    grads: dict[Parameter, Any]
    arg_grads: ArgGrads
    faults: dict[Parameter, str | None]
    """For gradients that are not finite, the address that made them, if one did."""


def differentiate(
    trace: Trace, retval_grad: Any = None, runs: list[Run] | None = None
) -> Differentiated:
    """Differentiate log p(t; x) + <retval_grad, r> by the parameters read and arguments named.

    Args:
        runs: Where the runs are noted, by a caller who keeps or forgets what they declare.
    """
    if runs is None:
        with kept() as runs:
            return differentiate(trace, retval_grad, runs)
    done = _differentiate(trace, retval_grad, runs)
    for parameter, leaf in done.leaves.items():
        if not parameter.stands_at(leaf.value):
            with lock:  # another thread moved it under way: once more, while all are held
                return _differentiate(trace, retval_grad, runs)
    return done


@contextmanager
def kept() -> Iterator[list[Run]]:
    """A list for runs: what they declare is kept at the end, and forgotten after an error."""
    runs: list[Run] = []
    try:
        yield runs
        all_at_once(keeping(runs))
    except BaseException:
        for run in runs:
            run.forget()
        raise


def _differentiate(trace: Trace, retval_grad: Any, runs: list[Run]) -> Differentiated:
    with Tape() as tape:
        return _on_tape(tape, trace, retval_grad, runs)


def _on_tape(tape: Tape, trace: Trace, retval_grad: Any, runs: list[Run]) -> Differentiated:
    leaves: dict[Parameter, Box] = {}
    values: dict[Parameter, Any] = {}

    def read(parameter: Parameter) -> Any:
        value = values.get(parameter)
        if value is None:  # boxed once, as it is first read
            theta, value, is_frozen = parameter.at()
            if not is_frozen:
                leaf = leaves[parameter] = tape.leaf(theta)
                natural = parameter.constraint.natural(leaf)
                if natural is not leaf:
                    natural.value = value  # as a run reads it, to the bit
                    if type(value) is not float:
                        mark_shared(natural)
                value = natural
            values[parameter] = value
        return value

    args, before = _boxed_args(trace, tape), last_refusal()
    run, retval = replay(trace, read, args, runs=runs)
    sources = [*leaves.values(), *_arg_leaves(trace, args)]
    done = Replayed(run, retval, tape, values, sources)
    log_prob = confirm(trace, done, retval_grad is not None)
    found = _backward(done, retval_grad)
    if last_refusal() is not before:

        def value(moved: list[Any]) -> float:
            at = dict(zip(leaves, moved, strict=False))
            rest = iter(moved[len(leaves) :])
            return _value(trace, _replaced(args, rest), retval_grad, theta=at)

        _confirm_by_difference(trace, done, found, value)
    grads, faults = {}, {}
    for (p, leaf), g in zip(leaves.items(), found, strict=False):
        if type(g) is not float or type(leaf.value) is not float:
            g = _checked(p, g)
        grads[p] = g
        if not (g - g == 0.0 if type(g) is float else is_finite(g)):
            faults[p] = _fault(tape, leaf, run)
    arg_grads = _arg_grads(trace, args, found[len(leaves) :])
    return Differentiated(log_prob, leaves, grads, arg_grads, faults)


def _checked(parameter: Parameter, g: Any) -> Any:
    """A gradient of the shape of a parameter's coordinates, made of real numbers.

    Raises:
        GradientShapeError: it is not, by a rule that gave another shape than its argument has.
    """
    shape, kind = np.shape(g), np.asarray(g).dtype.kind
    if shape != parameter.shape or kind not in "fiub":
        raise GradientShapeError(
            f"the gradient by parameter {parameter.name!r} of {parameter.store.owner or 'theta'} "
            f"has shape {shape} and dtype {np.asarray(g).dtype}, where its coordinates have shape "
            f"{parameter.shape}; check the gradients given by hand in this model"
        )
    return g


def log_prob_of_run(run: Run) -> float:
    """log p(t; x), without its derivative."""
    return float(sum([lp if type(lp) is float else raw(lp) for lp in run.log_probs.values()]))


def choice_gradients(
    trace: Trace, selection: Any, retval_grad: Any
) -> tuple[ArgGrads, ChoiceMap, ChoiceMap]:
    """The work of `Trace.choice_gradients`."""
    with kept() as runs:
        return _choice_gradients(trace, selection, retval_grad, runs)


def _choice_gradients(
    trace: Trace, selection: Any, retval_grad: Any, runs: list[Run]
) -> tuple[ArgGrads, ChoiceMap, ChoiceMap]:
    with Tape() as tape:
        return _of_choices(tape, trace, selection, retval_grad, runs)


def _of_choices(
    tape: Tape, trace: Trace, selection: Any, retval_grad: Any, runs: list[Run]
) -> tuple[ArgGrads, ChoiceMap, ChoiceMap]:
    selection = selection_of(selection, trace.choices._values)
    answer = held(trace)
    chosen: dict[Address, Any] = {}

    def choose(address: Address, distribution: Any, operands: Operands, size: Any) -> Any:
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

    args, before = _boxed_args(trace, tape), last_refusal()
    read, values = recorder()
    run, retval = replay(trace, read, args, choose, runs)
    of_args = _arg_leaves(trace, args)
    of_choices = _leaves(list(chosen.values()))
    done = Replayed(run, retval, tape, values, of_args + of_choices)
    confirm(trace, done, retval_grad is not None)
    found = _backward(done, retval_grad)
    if last_refusal() is not before:

        def value(moved: list[Any]) -> float:
            rest = iter(moved)
            there = _replaced(args, rest)
            at = {a: _replaced(tree, rest) for a, tree in chosen.items()}
            return _value(trace, there, retval_grad, choices=at)

        _confirm_by_difference(trace, done, found, value)
    rest = iter(found[len(of_args) :])
    grads = {a: frozen(mapped(lambda _: next(rest), tree)) for a, tree in chosen.items()}
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
    places = trace.gen_fn.grad_places
    return _leaves([args[i] for i in places]) if places else []


def _arg_grads(trace: Trace, args: tuple[Any, ...], found: Sequence[Any]) -> ArgGrads:
    """Gradients in the structure of the arguments; None for what is not wanted or no number."""
    if not trace.gen_fn.grad_places:
        return (None,) * len(args)
    rest = iter(found)

    def gradient(part: Any) -> Any:
        return next(rest) if type(part) is Box else None

    places = trace.gen_fn.grad_places
    return tuple([mapped(gradient, a) if i in places else None for i, a in enumerate(args)])


def _backward(done: Replayed, retval_grad: Any) -> list[Any]:
    """The gradients of log p(t; x) + <retval_grad, r> by the leaves of the tape."""
    tape = done.tape
    for address, lp in done.run.log_probs.items():
        if type(lp) is Box and lp.tape is not tape:
            raise _of_another(f"the log probability at {show(address)}")
    # Every log probability is summed at once: each is seeded with 1 on the way back.
    seeds = [(lp, 1.0) for lp in done.run.log_probs.values() if type(lp) is Box and lp.tape is tape]
    if retval_grad is not None:
        seeds += _pair(done.retval, retval_grad, tape, "the return value")
    found = tape.gradients(seeds, done.sources)
    pairs = zip(found, done.sources, strict=True)
    return [g if type(g) is float else _dense(g, leaf) for g, leaf in pairs]


def _of_another(what: str) -> TracedValueError:
    return TracedValueError(
        f"{what} is made of values of another gradient, which is computed at the same time or "
        "around this one; compute what depends on a parameter anew in each run"
    )


# --- A gradient after an error that the body caught


def _confirm_by_difference(
    trace: Trace, done: Replayed, found: list[Any], value: Callable[[list[Any]], float]
) -> None:
    """Compare a gradient with differences of the log probability, where the body went on after
    the error of a value that lost its derivative.

    Raises:
        ReplayDiffers: they disagree.
    """
    at = [raw(leaf) for leaf in done.sources]
    rng = np.random.default_rng(0)
    along = [rng.choice([-1.0, 1.0], shape_of(x)) * (1.0 + np.abs(x)) for x in at]
    ahead, behind = (
        value([x + h * d for x, d in zip(at, along, strict=True)]) for h in (_STEP, -_STEP)
    )
    difference = (ahead - behind) / (2.0 * _STEP)
    terms = [np.sum(g * d) for g, d in zip(found, along, strict=True)]
    slope = float(sum(terms))
    off = 1e-3 * (1.0 + float(sum(map(abs, terms)))) + 1e-9 * abs(ahead) / _STEP
    if not abs(slope - difference) <= off:
        raise ReplayDiffers(
            trace.gen_fn.__name__,
            None,
            f"of slope {difference:.6g}",
            f"of slope {slope:.6g}",
            "The body catches an error about a value that is being differentiated, and goes on "
            "without its derivative. Write functions of numpy, and let the error be raised",
        )


_STEP = 1e-5


def _value(
    trace: Trace,
    args: tuple[Any, ...],
    retval_grad: Any,
    theta: Mapping[Parameter, Any] = {},
    choices: Mapping[Address, Any] = {},
) -> float:
    """log p(t; x) + <retval_grad, r> without derivatives, some inputs replaced."""

    def read(parameter: Parameter) -> Any:
        if parameter in theta:
            return parameter.constraint.natural(theta[parameter])
        return parameter.value

    def choose(address: Address, distribution: Any, operands: list[Any], size: Any) -> Any:
        return choices[address] if address in choices else trace.choices._values[address]

    runs: list[Run] = []
    try:
        run, retval = replay(trace, read, args, choose, runs, at_run=True)
        paired = _paired(retval, retval_grad)
        return log_prob_of_run(run) + paired
    finally:
        for run in runs:
            run.forget()


def _paired(retval: Any, grad: Any) -> float:
    """<grad, retval>, for a return value without boxes."""
    if grad is None:
        return 0.0
    if isinstance(grad, Mapping):
        return sum(_paired(retval[k], g) for k, g in grad.items())
    if isinstance(retval, (tuple, list)):
        return sum(_paired(r, g) for r, g in zip(retval, grad, strict=True))
    return float(np.sum(np.asarray(retval) * grad))


def _replaced(boxed: Any, moved: Iterator[Any]) -> Any:
    """A structure with its boxed entries, in order, replaced by other values."""
    return mapped(lambda part: next(moved) if type(part) is Box else part, boxed)


def accumulate(
    traces: Sequence[Trace], retval_grads: Sequence[Any], scales: Sequence[float]
) -> list[tuple[float, ArgGrads]]:
    """Differentiate each trace, then add everything to the accumulators: all of it, or nothing."""
    scales = [finite(scale) for scale in scales]
    runs: list[Run] = []
    try:
        done = [differentiate(t, g, runs) for t, g in zip(traces, retval_grads, strict=True)]
        result = [(one.log_prob, one.arg_grads) for one in done]
        scaled = [
            (parameter, g if scale == 1.0 else scale * g, one.faults.get(parameter))
            for one, scale in zip(done, scales, strict=True)
            for parameter, g in one.grads.items()
        ]
        with lock:
            all_at_once(added(scaled) + keeping(runs))
    except BaseException:
        for run in runs:
            run.forget()
        raise
    return result


@explained
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
    if not isinstance(traces, Iterable) or isinstance(traces, Mapping):
        traces = [traces]  # type: ignore[list-item]
    traces = [traces] if isinstance(traces, Trace) else list(traces)
    for trace in traces:
        if not isinstance(trace, Trace):
            raise ArgumentError(
                f"expected a trace or several, got {brief(trace)}; write trace, weight = "
                "f.generate(args, constraints)"
            )
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
    return g if shape else float(g)


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


# --- Values with structure: numbers and arrays, or tuples, lists and dictionaries of them


def _boxed(tape: Tape, tree: Any) -> Any:
    """The tree with a leaf of the tape for each number and array in it."""
    return mapped(lambda value: value if value is None else tape.leaf(operand(value)), tree)


def _leaves(tree: Any) -> list[Box]:
    """The boxes in a structure, in order."""
    found: list[Any] = []
    mapped(found.append, tree)
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
                f"{where} is a dictionary with keys {list(retval)}; retval_grad gives {brief(grad)}"
            )
        return [
            seed for k, g in grad.items() for seed in _pair(retval[k], g, tape, f"{where}[{k!r}]")
        ]
    if isinstance(retval, (tuple, list)):
        if not isinstance(grad, (tuple, list, np.ndarray)) or len(grad) != len(retval):
            raise ShapeError(f"{where} has {len(retval)} parts; retval_grad gives {brief(grad)}")
        return [
            seed
            for i, (r, g) in enumerate(zip(retval, grad, strict=True))
            for seed in _pair(r, g, tape, f"{where}[{i}]")
        ]
    try:
        retval, grad = operand(retval), operand(grad)
    except TypeError:
        raise ShapeError(f"{where} is {brief(retval)}; retval_grad gives {brief(grad)}") from None
    if shape_of(grad) != shape_of(retval):
        raise ShapeError(
            f"{where} has shape {shape_of(retval)}; retval_grad has shape {shape_of(grad)}"
        )
    return [(retval, grad)] if type(retval) is Box and retval.tape is tape else []
