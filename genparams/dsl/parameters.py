"""The parameters of a generative function, by name."""

from typing import Any, Protocol

import numpy as np

from genparams.autodiff import Box, user_line
from genparams.dsl.call import in_progress
from genparams.errors import TracedValueError, UnknownFunction
from genparams.mistakes import explained
from genparams.params import ParamStore
from genparams.text import brief
from genparams.types import Constraint


class HasParams(Protocol):
    """A generative function."""

    @property
    def params(self) -> ParamStore: ...


def _store(f: HasParams | ParamStore) -> ParamStore:
    store = f if isinstance(f, ParamStore) else getattr(f, "params", None)
    if not isinstance(store, ParamStore):
        raise UnknownFunction(
            f"expected a generative function, got {brief(f)}; decorate it with @gen, and give it "
            "before the name of the parameter"
        )
    return store


@explained
def init_param(
    f: HasParams | ParamStore, name: str, value: Any, constraint: Constraint | None = None
) -> None:
    """Give a parameter its first value, or a new one, with an empty accumulator.

    Args:
        value: A number, a list or an array; copied, as float64, or as float32 if it is float32.
        constraint: The set of its values. Its gradient and its updates are in the coordinates of
            the constraint. None means the constraint that the parameter has; else the one that the
            body declares, `param(name, value, constraint=...)`; else `real`. A constraint given
            here takes precedence over the constraint in the body. If the body declares another one
            that only a run can find, the first run raises ConstraintError.

    Raises:
        ConstraintError: the value is outside the constraint; nothing is changed.
        InvalidValue: it is not made of numbers; nothing is changed.
    """
    _store(f).init(name, value, constraint)


@explained
def get_param(f: HasParams | ParamStore, name: str) -> Any:
    """A copy of the natural value: a float or an array.

    A parameter that the body declares with a constant, `param(name, 1.0)`, has that value before
    the first run too.

    Raises:
        UnknownParameter: there is no parameter of that name.
        TracedValueError: a gradient is being computed; it would miss that the value depends on the
            parameter.
    """
    parameter = _store(f)[name]
    run = in_progress()
    if run is not None and type(run.read(parameter)) is Box:
        raise TracedValueError(
            f"get_param(f, {name!r}) inside a run gives a number, and the gradient would miss "
            f"that it depends on the parameter; write param({name!r}) in the body of the function "
            f"that owns it, or freeze it to use it as a constant ({user_line()})"
        )
    value = parameter.value
    return value.copy() if isinstance(value, np.ndarray) else value


@explained
def set_param(f: HasParams | ParamStore, name: str, value: Any) -> None:
    """Replace the natural value by one of the same shape; the accumulator does not change.

    Raises:
        UnknownParameter, ShapeError, ConstraintError: nothing is changed.
    """
    _store(f)[name].set(value)


@explained
def get_param_grad(f: HasParams | ParamStore, name: str) -> Any:
    """A copy of the accumulated gradient by the unconstrained coordinates.

    Raises:
        UnknownParameter: there is no parameter of that name.
    """
    return _store(f)[name].grad


@explained
def set_param_grad(f: HasParams | ParamStore, name: str, grad: Any) -> None:
    """Overwrite the accumulator.

    Raises:
        UnknownParameter, ShapeError: nothing is changed.
    """
    _store(f)[name].set_grad(grad)


@explained
def zero_param_grad(f: HasParams | ParamStore, name: str) -> None:
    """Empty the accumulator.

    Raises:
        UnknownParameter: there is no parameter of that name.
    """
    _store(f)[name].zero_grad()


@explained
def increment_param_grad(
    f: HasParams | ParamStore, name: str, grad: Any, scale: float = 1.0
) -> None:
    """Add `scale * grad` to the accumulator.

    Raises:
        UnknownParameter, ShapeError: nothing is changed.
    """
    _store(f)[name].increment_grad(grad, scale)
