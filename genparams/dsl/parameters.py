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


def _store(f: HasParams | ParamStore) -> ParamStore:
    store = f if isinstance(f, ParamStore) else getattr(f, "params", None)
    if not isinstance(store, ParamStore):
        raise UnknownFunction(f"expected a generative function, got {f!r}; decorate it with @gen")
    return store


def init_param(
    f: HasParams | ParamStore, name: str, value: Any, constraint: Constraint = real
) -> None:
    """Give a parameter its first value, or start it anew, with an empty accumulator.

    Args:
        value: A number, a list or an array; kept as float64 (float32 if it is), copied.
        constraint: Where its values lie. Its gradient and its updates live in the constraint's
            coordinates.

    Raises:
        ConstraintError: the value lies outside the constraint; nothing is changed.
        InvalidValue: it is not made of numbers; nothing is changed.
    """
    _store(f).init(name, value, constraint)


def get_param(f: HasParams | ParamStore, name: str) -> Any:
    """The natural value, copied: a float or an array.

    Raises:
        UnknownParameter: there is no parameter of that name.
    """
    return _copied(_store(f)[name].value)


def set_param(f: HasParams | ParamStore, name: str, value: Any) -> None:
    """Replace the natural value by one of the same shape; the accumulator stays.

    Raises:
        UnknownParameter, ShapeError, ConstraintError: nothing is changed.
    """
    _store(f)[name].set(value)


def get_param_grad(f: HasParams | ParamStore, name: str) -> Any:
    """The accumulated gradient by the unconstrained coordinates, copied.

    Raises:
        UnknownParameter: there is no parameter of that name.
    """
    return _store(f)[name].grad


def set_param_grad(f: HasParams | ParamStore, name: str, grad: Any) -> None:
    """Overwrite the accumulator.

    Raises:
        UnknownParameter, ShapeError: nothing is changed.
    """
    _store(f)[name].set_grad(grad)


def zero_param_grad(f: HasParams | ParamStore, name: str) -> None:
    """Empty the accumulator.

    Raises:
        UnknownParameter: there is no parameter of that name.
    """
    _store(f)[name].zero_grad()


def increment_param_grad(
    f: HasParams | ParamStore, name: str, grad: Any, scale: float = 1.0
) -> None:
    """Add `scale * grad` to the accumulator.

    Raises:
        UnknownParameter, ShapeError: nothing is changed.
    """
    _store(f)[name].increment_grad(grad, scale)


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value
