"""The names of a fit: its parameters, the entries of their values, and their coordinates.

A parameter has its own name, or `f.name` where two parameters share one. An entry of an array is
`beta[2]` or `W[0, 1]`, or has labels: `beta[dose]`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from genparams.constraints import (
    Interval,
    LowerCholesky,
    Positive,
    Simplex,
    positive,
    unit_interval,
)
from genparams.errors import InvalidValue, ShapeError, UnknownParameter, nearest
from genparams.params import Parameter, labels
from genparams.text import brackets, brief
from genparams.types import Array, Constraint, Real, real

Labels = Mapping[str, Sequence[Any]]


def keys_of(parameters: Iterable[Parameter]) -> dict[Parameter, str]:
    """A unique name for each parameter: its own, or `f.name` where two share one."""
    parameters = list(parameters)
    count = Counter(p.name for p in parameters)
    functions = labels(p.store for p in parameters)
    return {
        p: p.name if count[p.name] == 1 else f"{functions[p.store]}.{p.name}" for p in parameters
    }


def entry_names(shapes: Mapping[str, tuple[int, ...]], given: Labels) -> dict[str, list[str]]:
    """The names of the entries of each parameter, in order.

    Raises:
        UnknownParameter: labels are given for another name.
        ShapeError: there is another number of labels than of entries along an axis.
        InvalidValue: a label is given twice.
    """
    for key in given:
        if key not in shapes:
            raise UnknownParameter(f"labels name {key!r}; {nearest(key, shapes)}")
    return {key: _names(key, shape, given.get(key)) for key, shape in shapes.items()}


def _names(key: str, shape: tuple[int, ...], given: Sequence[Any] | None) -> list[str]:
    axes = [range(n) for n in shape] if given is None else _axes(key, shape, given)
    each = (tuple(axis[i] for axis, i in zip(axes, at, strict=True)) for at in np.ndindex(*shape))
    return [f"{key}{brackets(at)}" for at in each]


def _axes(key: str, shape: tuple[int, ...], given: Any) -> list[Sequence[Any]]:
    """The labels along each axis, checked."""
    axes = [given] if len(shape) == 1 else given
    listed = not isinstance(axes, str) and all(isinstance(a, (list, tuple)) for a in axes)
    if not listed or tuple(map(len, axes)) != shape or not shape:
        wanted = "no labels: it is one number" if not shape else f"labels for shape {shape}"
        raise ShapeError(
            f"parameter {key!r} takes {wanted}, got {brief(given)}; write one list of labels for "
            "each axis"
        )
    for axis in axes:
        if len({*map(str, axis)}) < len(axis):
            raise InvalidValue(f"the labels of {key!r} are each given once, got {brief(axis)}")
    return list(axes)


# --- Scales


def is_entrywise(p: Parameter) -> bool:
    """Whether each entry of the value is a function of one coordinate."""
    return isinstance(p.constraint, (Real, Positive, Interval)) or p.shape == p.value_shape == ()


def scales_of(p: Parameter) -> list[Constraint | None]:
    """For each entry, the constraint whose coordinate is used for its interval; None for an entry
    that is constant.
    """
    size = int(np.prod(p.value_shape))
    if is_entrywise(p):
        return [p.constraint] * size
    if isinstance(p.constraint, Simplex):
        return [unit_interval] * size
    if isinstance(p.constraint, LowerCholesky):
        return [_in_triangle(i, j) for *_, i, j in np.ndindex(*p.value_shape)]
    return [real] * size


def _in_triangle(i: int, j: int) -> Constraint | None:
    return positive if i == j else real if j < i else None


# --- Coordinates


def coordinate_names(p: Parameter, entries: Sequence[str]) -> list[str]:
    """The names of the unconstrained coordinates of a parameter, given those of its entries."""
    if isinstance(p.constraint, Real):
        return list(entries)
    if isinstance(p.constraint, Positive):
        return [f"log({entry})" for entry in entries]
    if isinstance(p.constraint, Interval):
        return [f"logit({entry})" for entry in entries]
    key = entries[0].partition("[")[0]
    return [f"coordinate{brackets(i)} of {key}" for i in np.ndindex(*p.shape)]


def combination(weights: Array, names: Sequence[str]) -> str:
    """A weighted sum in words, such as `a - 0.5 b`, without what hardly counts."""
    shares = weights / weights[int(np.argmax(np.abs(weights)))]
    terms = [(w, name) for w, name in zip(shares, names, strict=True) if abs(w) > 1e-3]
    text = " ".join(f"{'-' if w < 0 else '+'} {_times(abs(w))}{name}" for w, name in terms)
    return text.removeprefix("+ ")


def _times(weight: float) -> str:
    return "" if abs(weight - 1.0) < 5e-4 else f"{weight:.3g} "
