"""Values of a declared distribution that are given from outside: their types and their shapes."""

from collections.abc import Sequence
from typing import Any

from genparams.autodiff import Box, np, shape_of
from genparams.dsl.distributions.declaration import Declaration
from genparams.dsl.distributions.domains import real_number
from genparams.errors import ShapeError


def coerce_value(declared: Declaration, value: Any, args: Sequence[Any], size: Any) -> Any:
    """A value in the type and the shape of a draw, read-only.

    Raises:
        ShapeError: it does not have the shape of a draw.
    """
    if type(value) is float and declared.kind is real_number and size is None:
        for a in args:
            if type(a) is not float and shape_of(a):
                break
        else:
            if value == value:
                return value
    value = declared.kind.convert(value)
    batch = declared.batch_shape(args, size)
    shape = np.shape(value)
    event = declared.event_shape(args)
    if shape != batch + event:
        wanted = shape[: len(shape) - len(event)]
        hint = f"; for independent draws give the call size={wanted}"
        if declared.name.isidentifier():
            hint = f"; for independent draws write {declared.name}(..., size={wanted})"
        raise ShapeError(
            f"a value of {declared.name} has shape {batch + event} here, got {shape}"
            f"{hint if size is None and len(shape) > len(batch + event) else ''}"
        )
    if shape:
        value.setflags(write=False)
    return value


def broadcast_value(declared: Declaration, x: Any, args: Sequence[Any], size: Any) -> Any:
    """A value outside a model, broadcast with the arguments unless there is a size.

    Raises:
        ShapeError: they do not broadcast.
    """
    if type(x) is not Box and (
        size is not None or (isinstance(x, (int, float)) and not any(map(shape_of, args)))
    ):
        return coerce_value(declared, x, args, size)
    value = x if type(x) is Box else declared.kind.convert(x)
    shape, event = shape_of(value), declared.event_shape(args)
    batch = declared.batch_shape(args, size)
    front = shape[: len(shape) - len(event)]
    try:
        if shape[len(front) :] != event:
            raise ValueError
        full = np.broadcast_shapes(batch, front) + event
        if size is not None and full != batch + event:
            raise ValueError
    except ValueError:
        raise ShapeError(
            f"a value of {declared.name} has shape {batch + event} here, got {shape}, "
            "which does not broadcast"
        ) from None
    return value if shape == full else np.broadcast_to(value, full)
