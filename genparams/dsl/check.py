"""Checking gradients by differences."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from genparams.dsl.differences import log_prob_of_run
from genparams.dsl.execution import Rng, natural, seeded
from genparams.dsl.gradients import choice_gradients, differentiate, keep_or_forget
from genparams.dsl.replay import replay
from genparams.errors import ArgumentError, WrongGradient
from genparams.mistakes import closed, explained
from genparams.params import Parameter
from genparams.text import brief
from genparams.trace.trace import Trace
from genparams.types import Address, show


@closed()
@dataclass(frozen=True, slots=True)
class GradientCheck:
    """The entry of a gradient that differs most from a central difference."""

    worst: str
    """What it is the gradient by, as in "line.slope" or "argument mu[2]"."""
    given: float
    difference: float
    error: float
    """|given - difference| / max(1, |given|, |difference|)."""
    entries: int
    """How many entries were compared."""


@explained
def check_gradients(
    f: Any,
    args: tuple[Any, ...] = (),
    constraints: Mapping[Any, Any] | None = None,
    rng: Rng = 0,
    tolerance: float = 1e-6,
) -> GradientCheck:
    """Compare the gradients of a generative function with central differences at one trace.

    By every parameter that the run reads, in unconstrained coordinates; by every argument that
    `arg_grads` names; and by every continuous choice whose entries can move alone. What is
    differentiated is the log probability plus a random linear function of the return value.

    Args:
        tolerance: The largest error allowed, relative to entries above 1.

    Returns:
        The worst entry.

    Raises:
        ArgumentError: `f` is not a generative function.
        WrongGradient: the worst entry's error is above the tolerance.
    """
    if not hasattr(f, "grad_places"):
        raise ArgumentError(
            f"check_gradients takes a generative function, got {brief(f)}; write "
            "check_gradients(f, args, constraints)"
        )
    generator = seeded(rng)
    trace, _ = f.generate(args, constraints, generator)
    weights = _weights(trace.retval, generator)
    compared = list(_compared(trace, weights))
    if not compared:
        return GradientCheck("nothing to differentiate by", 0.0, 0.0, 0.0, 0)
    label, given, difference = max(compared, key=lambda entry: _error(*entry[1:]))
    check = GradientCheck(label, given, difference, _error(given, difference), len(compared))
    if not check.error <= tolerance:
        raise WrongGradient(
            f"the gradient of {f.__name__} by {check.worst} is {check.given:.9g}, by differences "
            f"{check.difference:.9g}: error {check.error:.2g}, the worst of {check.entries}"
        )
    return check


def _error(given: float, difference: float) -> float:
    error = abs(given - difference) / max(1.0, abs(given), abs(difference))
    return error if error == error else np.inf


def _compared(trace: Trace, weights: Any) -> Iterator[tuple[str, float, float]]:
    """For each entry: its name, the gradient by it, and the central difference."""
    with keep_or_forget([]) as runs:
        done = differentiate(trace, weights, runs)
    for parameter, g in done.grads.items():
        name = f"{parameter.store.owner or 'theta'}.{parameter.name}"
        at = np.asarray(parameter.coordinates, dtype=float)
        yield from _entries(
            name, g, at, lambda v, p=parameter: _value(trace, weights, theta={p: v})
        )
    names = trace.gen_fn.argument_names
    for i in trace.gen_fn.grad_places:
        for place, part, g, put in _parts(trace.args[i], done.arg_grads[i]):
            at = np.asarray(part, dtype=float)
            of = lambda v, i=i, put=put: _value(trace, weights, args={i: put(v)})  # noqa: E731
            yield from _entries(f"argument {names[i]}{place}", g, at, of)
    for address in _free(trace):
        found = choice_gradients(trace, address, weights)[2][address]
        for place, part, g, put in _parts(trace.choices[address], found):
            at = np.asarray(part, dtype=float)
            of = lambda v, a=address, put=put: _value(trace, weights, choices={a: put(v)})  # noqa: E731
            yield from _entries(f"choice {show(address)}{place}", g, at, of)


def _free(trace: Trace) -> list[Address]:
    """The choices that differences can move, entry by entry: of a point of a simplex, say, not."""
    found: list[Address] = []

    def choose(address: Address, distribution: Any, x: Any, size: Any) -> Any:
        value = trace.choices[address]
        kind = distribution.kind
        if kind.continuous and kind.free and _are_floats(value):
            found.append(address)
        return value

    replay(trace, natural, trace.args, choose)
    return found


def _are_floats(value: Any) -> bool:
    if type(value) is tuple:
        return all(map(_are_floats, value))
    return np.asarray(value).dtype.kind == "f"


def _parts(tree: Any, g: Any) -> Iterator[tuple[str, Any, Any, Callable[[Any], Any]]]:
    """For each number or array in an argument: its place, itself, the gradient by it, and what
    gives the argument with another one there.
    """
    if isinstance(tree, (dict, list, tuple)):
        for k in tree if isinstance(tree, dict) else range(len(tree)):
            for place, part, by_part, put in _parts(tree[k], g[k]):
                yield f"[{k!r}]{place}", part, by_part, lambda v, k=k, p=put: _with(tree, k, p(v))
    elif tree is not None:
        yield "", tree, g, lambda v: v[()]


def _with(tree: Any, k: Any, part: Any) -> Any:
    """A dictionary, list or tuple with another entry at one place."""
    if isinstance(tree, dict):
        return {**tree, k: part}
    parts = [*tree[:k], part, *tree[k + 1 :]]
    return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)


def _entries(name: str, g: Any, at: np.ndarray, value: Any) -> Iterator[tuple[str, float, float]]:
    g = np.asarray(g, dtype=float)
    for place in np.ndindex(at.shape):
        step = 6e-6 * max(1.0, abs(at[place]))
        ahead, behind = at.copy(), at.copy()
        ahead[place] += step
        behind[place] -= step
        difference = (value(ahead) - value(behind)) / (ahead[place] - behind[place])
        yield (
            name + (f"[{', '.join(map(str, place))}]" if place else ""),
            float(g[place]),
            float(difference),
        )


def _value(
    trace: Trace,
    weights: Any,
    theta: Mapping[Parameter, np.ndarray] = {},
    args: Mapping[int, Any] = {},
    choices: Mapping[Address, Any] = {},
) -> float:
    """The log probability plus the weighted return value, with some inputs replaced."""

    def read(parameter: Parameter) -> Any:
        if parameter in theta:
            return parameter.constraint.natural(theta[parameter][()])
        return natural(parameter)

    def choose(address: Any, distribution: Any, x: Any, size: Any) -> Any:
        return choices[address] if address in choices else trace.choices[address]

    given = [args.get(i, a) for i, a in enumerate(trace.args)]
    run, retval = replay(trace, read, tuple(given), choose)
    return log_prob_of_run(run) + _weighted(retval, weights)


def _weights(retval: Any, generator: np.random.Generator) -> Any:
    """Random weights for the numbers in a return value, None for what is no number."""
    if isinstance(retval, dict):
        return {k: _weights(v, generator) for k, v in retval.items()}
    if isinstance(retval, (tuple, list)):
        return [_weights(v, generator) for v in retval]
    number = isinstance(retval, float) or (
        isinstance(retval, np.ndarray) and retval.dtype.kind == "f"
    )
    return generator.standard_normal(np.shape(retval)) if number else None


def _weighted(retval: Any, weights: Any) -> float:
    if weights is None:
        return 0.0
    if isinstance(weights, dict):
        return sum(_weighted(retval[k], w) for k, w in weights.items())
    if isinstance(weights, list):
        return sum(_weighted(r, w) for r, w in zip(retval, weights, strict=True))
    return float(np.sum(np.asarray(retval) * weights))
