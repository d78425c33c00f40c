"""Between natural values and unconstrained coordinates: every number that a parameter takes passes
here.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from genparams.errors import ConstraintError, InvalidValue, ShapeError
from genparams.params.memory import Edit
from genparams.params.numbers import DOUBLE, as_floats, float_or_array, read_only
from genparams.text import brief
from genparams.types import Constraint, Real, real

if TYPE_CHECKING:
    from genparams.params.parameter import Parameter


def natural(p: "Parameter", theta: Any) -> Any:
    """The value at some coordinates: in the parameter's type, and inside the constraint."""
    if isinstance(p.constraint, Real):
        return theta
    if type(theta) is float and p.dtype is not DOUBLE:
        theta = p.dtype.type(theta)  # the constraint rounds to what is inside for this type
    value = p.constraint.natural(theta)
    if type(value) is np.float64:
        return float(value)
    if isinstance(value, np.ndarray) and (value is theta or value.base is not None):
        value = value.copy()  # a view of numbers that the next step may write to
    return value if type(value) is float else float_or_array(np.asarray(value, p.dtype))


def coordinates_and_value(p: "Parameter", theta: Any) -> tuple[Any, Any]:
    """Coordinates rounded to the parameter's type, and the value there; neither need be finite."""
    if type(theta) is not float or p.dtype is not DOUBLE:
        theta = float_or_array(np.asarray(theta, p.dtype))
    return theta, natural(p, theta)


def edit_to(p: "Parameter", theta: Any, value: Any) -> dict[str, Any]:
    """The edit that moves a parameter to coordinates and the value there."""
    same = isinstance(p.constraint, Real) and type(value) is not float
    return {"theta": theta, "value": None if same else read_only(value)}


def edit_to_value(p: "Parameter", value: np.ndarray) -> dict[str, Any]:
    """The edit that moves a parameter to a natural value.

    Raises:
        ConstraintError: the value is outside the constraint.
    """
    try:
        theta = p.constraint.coordinates(value)
    except ConstraintError as error:
        raise ConstraintError(f"parameter {p.name!r}: {error}") from None
    if np.asarray(theta).dtype.kind not in "fiub":
        raise ConstraintError(
            f"the coordinates that {p.constraint!r} gives for parameter {p.name!r} must "
            f"be real numbers, got {brief(theta)}"
        )
    return edit_to(p, float_or_array(np.asarray(theta, p.dtype)), float_or_array(value))


def edit_to_saved(p: "Parameter", saved: Edit) -> dict[str, Any]:
    """The edit that restores entries, such as a checkpoint holds, to the bit.

    Args:
        saved: Some of theta and value, grad (None for an empty accumulator), frozen.

    Raises:
        ShapeError: an array has another shape.
        InvalidValue: the value differs from the value at its coordinates.
        ConstraintError: the value is outside the constraint.
    """
    found: dict[str, Any] = {}
    if "theta" in saved:
        theta, value = (
            as_floats(saved[key], f"{key} of parameter {p.name!r}") for key in ("theta", "value")
        )
        if theta.shape != p.shape or value.shape != p.value_shape:
            raise ShapeError(
                f"parameter {p.name!r} has shape {p.value_shape} and coordinates of shape "
                f"{p.shape}, got {value.shape} and {theta.shape}"
            )
        theta, value = theta.astype(p.dtype), value.astype(p.dtype)
        edit_to_value(p, value)  # refuses a value that is not inside
        if not _belong_together(p, theta, value):
            raise InvalidValue(
                f"the value of parameter {p.name!r} differs from the value at its coordinates"
            )
        found = edit_to(p, float_or_array(theta), float_or_array(value))
    if "grad" in saved:
        grad = saved["grad"]
        found.update(grad=None if grad is None else gradient_of(p, grad), fault=None)
    if "frozen" in saved:
        found["frozen"] = bool(saved["frozen"])
    return found


def _belong_together(p: "Parameter", theta: np.ndarray, value: np.ndarray) -> bool:
    """Whether a value is the one at the coordinates, but for rounding on the way and back."""
    if isinstance(p.constraint, Real):
        return np.array_equal(theta, value)
    with np.errstate(all="ignore"):
        expected = np.asarray(natural(p, float_or_array(theta)), np.float64)
    if not np.all(np.isfinite(value) & np.isfinite(expected)):
        return False
    largest = max(np.max(np.abs(expected), initial=0.0), np.max(np.abs(value), initial=0.0))
    relative = 1e-4 if p.dtype == np.float32 else 1e-7
    tolerance = relative * np.abs(value) + 1e4 * np.finfo(p.dtype).eps * largest
    return bool(np.all(np.abs(expected - value) <= tolerance))


def gradient_of(p: "Parameter", grad: Any) -> Any:
    """A gradient by a parameter's coordinates, as a float or an array.

    Raises:
        InvalidValue: it is not made of numbers.
        ShapeError: it does not have the shape of the coordinates.
    """
    g = as_floats(grad, f"the gradient of parameter {p.name!r}")
    if g.shape != p.shape:
        coordinates = (
            f" in the unconstrained coordinates of {p.constraint!r}" if p.constraint != real else ""
        )
        raise ShapeError(
            f"the gradient of parameter {p.name!r} must have shape "
            f"{p.shape}{coordinates}, got {g.shape}"
        )
    with np.errstate(over="ignore"):  # what overflows in single precision is infinite, and found
        return g.astype(p.dtype, copy=False) if g.ndim else float(g)


# --- Constraints from outside


def refuse_other_than_constraints(name: str, constraint: Any) -> None:
    """Refuse what is not a constraint.

    Raises:
        ConstraintError: it lacks `natural` or `coordinates`, or is a class.
    """
    has_both = all(callable(getattr(constraint, f, None)) for f in ("natural", "coordinates"))
    if not has_both or isinstance(constraint, type):
        raise ConstraintError(
            f"the constraint of parameter {name!r} is one such as positive or interval(0, 1), "
            f"got {brief(constraint)}"
        )


def refuse_unsound(name: str, constraint: Constraint, value: np.ndarray, theta: np.ndarray) -> None:
    """Refuse a user's constraint that does not lead from a value to coordinates and back.

    Raises:
        ConstraintError: `natural` and `coordinates` are not inverse to each other.
    """

    def shown(a: np.ndarray) -> str:
        return brief(a if a.ndim else float(a))

    given = theta.copy()
    with np.errstate(all="ignore"):
        back = np.asarray(constraint.natural(given if given.ndim else float(given)))
    scale = np.max(np.abs(value), initial=0.0)
    wrong = ""
    if not np.all(np.isfinite(theta)):
        wrong = f"coordinates({shown(value)}) is {shown(theta)}, which is not finite"
    elif not np.array_equal(given, theta):
        wrong = "natural(theta) changes theta, which must stay as it is"
    elif back.shape != value.shape or back.dtype.kind != "f":
        wrong = (
            f"natural(coordinates(value)) has shape {back.shape} and dtype {back.dtype}, "
            f"expected {value.shape} and a type of floats"
        )
    elif not np.all(np.abs(back - value) <= 1e-3 * scale):
        wrong = f"natural(coordinates({shown(value)})) is {shown(back)}"
    if wrong:
        raise ConstraintError(
            f"{constraint!r} of parameter {name!r} is no constraint: {wrong}; "
            "natural and coordinates must be inverse to each other"
        )
