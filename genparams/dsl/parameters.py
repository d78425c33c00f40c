"""The parameters of a generative function, by name."""

from typing import Any, Protocol

import numpy as np

from genparams.errors import UnknownFunction
from genparams.params import ParamStore, real
from genparams.types import Constraint


class HasParams(Protocol):
    """A generative function."""

    @property
    def params(self) -> ParamStore: ...


def init_param(f: HasParams, name: str, value: Any, constraint: Constraint = real) -> None:
    """Give a parameter its first value, or start it anew, with an empty accumulator.

    Args:
        value: A number, a list or an array; kept as float64 (float32 if it is), copied.
        constraint: Where its values lie. Its gradient and its updates live in the constraint's
        coordinates.

    Raises:
        ConstraintError: the value lies outside the constraint; nothing is changed.
        InvalidValue: it is not made of numbers; nothing is changed.
    """
    if not hasattr(f, "params"):
        raise UnknownFunction(f"expected a generative function, got {f!r}; decorate it with @gen")
    f.params.init(name, value, constraint)


def get_param(f: HasParams, name: str) -> Any:
    """The natural value, copied: a float or an array.

    Raises:
        UnknownParameter: there is no parameter of that name.
    """
    return _copied(f.params[name].value)


def set_param(f: HasParams, name: str, value: Any) -> None:
    """Replace the natural value by one of the same shape; the accumulator stays.

    Raises:
        UnknownParameter, ShapeError, ConstraintError: nothing is changed.
    """
    f.params[name].set(value)


def get_param_grad(f: HasParams, name: str) -> Any:
    """The accumulated gradient by the unconstrained coordinates, copied.

    Raises:
        UnknownParameter: there is no parameter of that name.
    """
    return f.params[name].grad


def set_param_grad(f: HasParams, name: str, grad: Any) -> None:
    """Overwrite the accumulator.

    Raises:
        UnknownParameter, ShapeError: nothing is changed.
    """
    f.params[name].set_grad(grad)


def zero_param_grad(f: HasParams, name: str) -> None:
    """Empty the accumulator.

    Raises:
        UnknownParameter: there is no parameter of that name.
    """
    f.params[name].zero_grad()


def increment_param_grad(f: HasParams, name: str, grad: Any, scale: float = 1.0) -> None:
    """Add `scale * grad` to the accumulator.

    Raises:
        UnknownParameter, ShapeError: nothing is changed.
    """
    f.params[name].increment_grad(grad, scale)


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value
