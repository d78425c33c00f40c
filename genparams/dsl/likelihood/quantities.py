"""The log probability of a trace, with derivatives by the coordinates of some parameters."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from genparams.autodiff import Box, Tape, columns, np, raw, rows, shape_of
from genparams.dsl.likelihood.sites import (
    ByOperand,
    Site,
    Stacked,
    recording,
    stacked,
    traced_operands,
)
from genparams.dsl.quantities import Point, run_at
from genparams.errors import TracedValueError
from genparams.params import Parameter
from genparams.trace.trace import Trace

Terms = Callable[[Mapping[Parameter, Any]], Sequence[Any]]
"""Log probabilities whose sum is differentiated, given the coordinates of parameters."""


def gradient(trace: Trace, point: Point) -> list[Any]:
    """The log probability, and its gradient by each parameter of theta."""
    return first(partial(_log_probs, trace, point), point.theta)


def hessian(trace: Trace, point: Point) -> list[Any]:
    """The log probability, its gradient by each parameter of theta, and its second derivatives.

    They are one matrix over all entries of theta, in order.
    """
    return second(partial(_log_probs, trace, point), point.theta)


def first(terms: Terms, theta: Mapping[Parameter, Any]) -> list[Any]:
    """The sum of terms, and its gradient by each parameter."""
    with Tape() as tape:
        leaves = boxed(tape, theta)
        found = terms(leaves)
        return [_total(found), *_gradients(tape, found, leaves)]


def second(terms: Terms, theta: Mapping[Parameter, Any]) -> list[Any]:
    """The sum of terms, its gradient by each parameter, and the matrix of second derivatives."""
    with Tape() as outer:
        above = boxed(outer, theta)
        with Tape() as inner:
            leaves = boxed(inner, above)
            found = terms(leaves)
            first = _gradients(inner, found, leaves)
        return [_total(found), *map(raw, first), rows(outer, first, [*above.values()])]


def arguments_of_choices(trace: Trace, point: Point) -> list[Stacked]:
    """The choices, in stacks, with the arguments of their distributions."""
    sites: list[Site] = []
    _log_probs(trace, point, point.theta, sites)
    return stacked(sites, {}, 0)


def derivatives_of_arguments(trace: Trace, point: Point) -> tuple[list[Any], list[Stacked]] | None:
    """What `gradient` returns, and the choices, in stacks, with the derivatives of the arguments.

    Returns:
        None where the model gives a gradient by hand that cannot be differentiated.
    """
    with Tape() as tape:
        leaves, sites = boxed(tape, point.theta), []
        terms = _log_probs(trace, point, leaves, sites)
        found = [_total(terms), *_gradients(tape, terms, leaves)]
        by_operand = tangents_by_operand(tape, leaves, sites)
        if by_operand is None:
            return None
        size = sum(math.prod(leaf.shape) for leaf in leaves.values())
        return found, stacked(sites, by_operand, size)


def tangents_by_operand(
    tape: Tape, leaves: Mapping[Parameter, Box], sites: Sequence[Site]
) -> ByOperand | None:
    """The derivatives of each traced argument by all entries of the leaves, by its `id`; None where
    a gradient by hand cannot be differentiated."""
    operands = traced_operands(sites)
    try:
        found = columns(tape, operands, [*leaves.values()])
    except TracedValueError:
        return None
    return {id(o): by_theta for o, by_theta in zip(operands, found, strict=True)}


def boxed(tape: Tape, theta: Mapping[Parameter, Any]) -> dict[Parameter, Box]:
    """A leaf of a tape for each parameter."""
    return {p: tape.leaf(part) for p, part in theta.items()}


def _log_probs(
    trace: Trace, point: Point, leaves: Mapping[Parameter, Any], sites: list[Site] | None = None
) -> Sequence[Any]:
    around = None if sites is None else partial(recording, sites=sites)
    return [*run_at(trace, point, point.read(leaves), around).log_probs.values()]


def _total(terms: Iterable[Any]) -> Any:
    return sum(map(raw, terms))


def _gradients(tape: Tape, terms: Iterable[Any], leaves: Mapping[Parameter, Box]) -> list[Any]:
    seeds = [(lp, 1.0) for lp in terms if type(lp) is Box and lp.tape is tape]
    found = tape.gradients(seeds, [*leaves.values()])
    each = zip(leaves.values(), found, strict=True)
    return [_zeros(shape_of(leaf)) if g is None else g for leaf, g in each]


def _zeros(shape: tuple[int, ...]) -> Any:
    return np.zeros(shape) if shape else 0.0
