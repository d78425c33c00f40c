"""Checking gradients by differences."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from genparams.dsl.differences import objective
from genparams.dsl.execution import Rng, natural, seeded
from genparams.dsl.gradients import choice_gradients, differentiate
from genparams.dsl.replay import replay
from genparams.errors import ArgumentError, WrongGradient
from genparams.mistakes import closed, explained
from genparams.structure import indexed, leaves, map_leaves, paths, replace
from genparams.text import brackets, brief
from genparams.trace.trace import Trace
from genparams.types import Address, show


@closed()
@dataclass(frozen=True, slots=True)
class GradientCheck:
    """The entry of a gradient that differs most from a central difference."""

    worst: str
    """The input of this entry, such as "line.slope" or "argument mu[2]"."""
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

    The gradients are of the log probability plus a random linear function of the return value: by
    every parameter that the run reads, in unconstrained coordinates; by every argument that
    `arg_grads` names; and by every continuous choice whose entries can move alone, but for missing
    observations, which are NaN.

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
    worst, given, difference = max(compared, key=lambda entry: _error(*entry[1:]))
    check = GradientCheck(worst, given, difference, _error(given, difference), len(compared))
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
    (done,) = differentiate([trace], [weights])
    value = partial(objective, trace, weights)
    for p, g in done.grads.items():
        name = f"{p.store.owner or 'theta'}.{p.name}"
        yield from _entries(name, p.coordinates, g, lambda v, p=p: value(theta={p: v}))
    names = trace.gen_fn.argument_names
    for i in trace.gen_fn.grad_places:
        name, g = f"argument {names[i]}", done.arg_grads[i]
        yield from _entries(name, trace.args[i], g, lambda v, i=i: value(args={i: v}))
    for a in _free(trace):
        name, g = f"choice {show(a)}", choice_gradients(trace, a, weights)[2][a]
        yield from _entries(name, trace.choices[a], g, lambda v, a=a: value(choices={a: v}))


def _entries(
    name: str, tree: Any, grad: Any, value: Callable[[Any], float]
) -> Iterator[tuple[str, float, float]]:
    """The comparisons for each number in an input, whose other values `value` evaluates."""
    for (path, leaf), g in zip(paths(tree), leaves(grad), strict=True):
        if leaf is None:
            continue
        at, g = np.asarray(leaf, dtype=float), np.asarray(g, dtype=float)
        for place in map(tuple, np.argwhere(~np.isnan(at))):  # NaN is a missing observation
            step = 6e-6 * max(1.0, abs(at[place]))
            ahead, behind = at.copy(), at.copy()
            ahead[place] += step
            behind[place] -= step
            change = value(replace(tree, path, ahead[()])) - value(replace(tree, path, behind[()]))
            difference = change / (ahead[place] - behind[place])
            yield name + indexed(path) + brackets(place), float(g[place]), float(difference)


def _free(trace: Trace) -> list[Address]:
    """The continuous choices whose entries can move alone; the entries of a simplex cannot."""
    found: list[Address] = []

    def choose(address: Address, distribution: Any, x: Any, size: Any) -> Any:
        value = trace.choices[address]
        kind = distribution.kind
        if kind.continuous and kind.free and all(map(_is_float, leaves(value))):
            found.append(address)
        return value

    replay(trace, natural, trace.args, choose)
    return found


def _weights(retval: Any, generator: np.random.Generator) -> Any:
    """Random weights for the numbers in a return value; None for other leaves, and for arrays with
    missing numbers.
    """

    def weight(leaf: Any) -> Any:
        is_number = isinstance(leaf, (float, np.ndarray)) and _is_float(leaf)
        if not is_number or np.any(np.isnan(leaf)):
            return None
        return generator.standard_normal(np.shape(leaf))

    return map_leaves(weight, retval)


def _is_float(leaf: Any) -> bool:
    return np.asarray(leaf).dtype.kind == "f"
