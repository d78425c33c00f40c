"""A parameter: a value that is trained, with the accumulator of its gradient.

A parameter is kept in unconstrained coordinates theta; its *value* is `constraint.natural(theta)`.
Its accumulator, the gradients added by hand, and every update are in the coordinates theta. For the
constraint `real`, the default, coordinates and value are the same.

Values are float64 (float32 where given so); a single number is a Python float. Values are copied
in. What is handed out is a copy, or an array that cannot be written to and that never changes.
"""

from collections.abc import Mapping
from operator import getitem
from typing import TYPE_CHECKING, Any

import numpy as np

from genparams.errors import InvalidValue, ShapeError, UnknownAttribute
from genparams.mistakes import explained
from genparams.params.changes import added, edited
from genparams.params.conversions import (
    edit_to_value,
    gradient_of,
    refuse_other_than_constraints,
    refuse_unsound,
)
from genparams.params.memory import EMPTY, Arrays, Edit, Floats
from genparams.params.numbers import as_floats, finite_scale, read_only
from genparams.params.records import Changes, lock, restructured, swap
from genparams.text import brief
from genparams.types import Constraint, real

if TYPE_CHECKING:
    from genparams.params.store import ParamStore

INITIALISED, CONSTRAINED, DECLARED = "initialised", "constrained", "declared"
"""Who gave a parameter its first value: `init`, `init` with a constraint, or a model's body."""


class Parameter:
    """One trainable parameter: value, constraint, gradient accumulator and whether it is frozen."""

    __slots__ = (
        "_at",
        "_origin",
        "constraint",
        "dtype",
        "name",
        "shape",
        "store",
        "value_shape",
    )

    shape: tuple[int, ...]
    """The shape of the unconstrained coordinates, which is the shape of the gradient."""

    def __init__(
        self,
        name: str,
        value: Any,
        constraint: Constraint,
        store: "ParamStore",
        source: str = INITIALISED,
    ):
        if not isinstance(name, str):
            raise InvalidValue(f"a parameter's name is a string and comes first, got {brief(name)}")
        refuse_other_than_constraints(name, constraint)
        self.name, self.store, self.constraint = name, store, constraint
        self._origin = source
        numbers = as_floats(value, f"parameter {name!r}")
        self.dtype, self.value_shape = numbers.dtype, numbers.shape
        edit = edit_to_value(self, numbers)
        self.shape = np.shape(edit["theta"])
        if type(constraint).__module__.partition(".")[0] != "genparams":
            refuse_unsound(name, constraint, numbers, np.array(edit["theta"], self.dtype))
        self._give_memory({**edit, **EMPTY, "frozen": False})

    def _give_memory(self, entry: Edit) -> None:
        """Move it to a memory of its own."""
        kind = Floats if type(entry["theta"]) is float else Arrays
        self._at: tuple[Floats | Arrays, int] = kind([entry]), 0

    def __reduce__(self) -> Any:
        """Pickled with the whole store, if it is in its store: all values are of one moment."""
        with lock:
            if is_current(self):
                return getitem, (self.store, self.name)
            return loose, (saved(self), self.store)

    def __copy__(self) -> "Parameter":
        with lock:
            return loose(saved(self), self.store)

    # --- Reading

    @property
    def value(self) -> Any:
        """The natural value: a float, or an array that cannot be written to."""
        memory, i = self._at
        return memory.value(i)

    @value.setter
    def value(self, value: Any) -> None:
        raise self._not_set("value", f"set({value!r})" if np.ndim(value) == 0 else "set(value)")

    @property
    def coordinates(self) -> Any:
        """The unconstrained coordinates theta: a float, or an array that cannot be written to."""
        memory, i = self._at
        return memory.theta(i)

    @coordinates.setter
    def coordinates(self, theta: Any) -> None:
        raise self._not_set("coordinates", "set(value), which takes the natural value")

    @property
    def grad(self) -> Any:
        """The accumulated gradient by the unconstrained coordinates, copied."""
        with lock:
            memory, i = self._at
            return memory.grad(i)

    @grad.setter
    def grad(self, grad: Any) -> None:
        raise self._not_set("grad", "set_grad(grad), or zero_grad()")

    def _not_set(self, name: str, instead: str) -> UnknownAttribute:
        of = self.store.owner
        at = f"{of}.params[{self.name!r}]" if of else f"theta[{self.name!r}]"
        return UnknownAttribute(
            f"the {name} of parameter {self.name!r} is not set by assignment; write {at}.{instead}"
        )

    @property
    def accumulated(self) -> bool:
        """Whether a gradient was added since the accumulator was emptied."""
        memory, i = self._at
        return memory.now.grad[i] is not None

    @property
    def fault(self) -> str | None:
        """The address that made an accumulated gradient that is not finite, where it is known."""
        memory, i = self._at
        return memory.now.fault[i]

    @property
    def frozen(self) -> bool:
        """Whether updates leave it where it is."""
        memory, i = self._at
        return memory.now.frozen[i]

    # --- Changing

    @explained
    def set(self, value: Any) -> None:
        """Give it a value of the same shape; the accumulator stays.

        Raises:
            ShapeError, ConstraintError: nothing is changed.
        """
        new = as_floats(value, f"parameter {self.name!r}")
        if new.shape != self.value_shape:
            raise ShapeError(
                f"parameter {self.name!r} has shape {self.value_shape}, got {new.shape}; "
                "init_param starts it again with another shape"
            )
        with np.errstate(over="ignore"):  # what overflows in single precision is infinite
            self._edit(edit_to_value(self, new.astype(self.dtype)))

    @explained
    def increment_grad(self, grad: Any, scale: float = 1.0) -> None:
        """Add `scale * grad` to the accumulator.

        Raises:
            ShapeError, InvalidValue: nothing is changed.
        """
        g = finite_scale(scale) * gradient_of(self, grad)
        with lock:
            swap(added([(self, g, None)]))

    @explained
    def set_grad(self, grad: Any) -> None:
        """Overwrite the accumulator.

        Raises:
            ShapeError, InvalidValue: nothing is changed.
        """
        self._edit({"grad": gradient_of(self, grad), "fault": None})

    def zero_grad(self) -> None:
        """Empty the accumulator."""
        self._edit(EMPTY)

    def freeze(self) -> None:
        """Keep updates from moving it."""
        self._edit({"frozen": True}, restructured())

    def thaw(self) -> None:
        """Let updates move it again."""
        self._edit({"frozen": False}, restructured())

    def _edit(self, edit: Edit, changes: Changes | None = None) -> None:
        with lock:
            swap(edited({self: edit}, changes))

    def __repr__(self) -> str:
        kind = "" if self.constraint == real else f", constraint={self.constraint!r}"
        return f"Parameter({self.name!r}, {self.value!r}{kind}{', frozen' if self.frozen else ''})"


def is_current(p: Parameter) -> bool:
    """Whether its store still has it: it was not initialised again or forgotten."""
    return p.store._parameters.get(p.name) is p


def read(p: Parameter) -> tuple[Any, Any, bool]:
    """Coordinates, value and whether it is frozen, of one moment, also while a thread moves it."""
    memory, i = p._at
    return memory.at(i)


def has_moved(p: Parameter, theta: Any) -> bool:
    """Whether a parameter has moved since it gave `theta` as its coordinates."""
    memory, i = p._at
    return not memory.is_at(i, theta)


# --- Saved parameters, for pickling and copying


def saved(p: Parameter) -> dict[str, Any]:
    """Everything of a parameter except its store; hold the lock."""
    memory, i = p._at
    named = [name for name in p.__slots__ if name not in ("_at", "store")]
    return {**{name: getattr(p, name) for name in named}, "entry": memory.entry(i)}


def loose(saved: Mapping[str, Any], store: "ParamStore") -> Parameter:
    """A parameter as it was saved, which names a store and is not in it."""
    p = Parameter.__new__(Parameter)
    p.store = store
    for name, value in saved.items():
        if name != "entry":
            setattr(p, name, value)
    entry = saved["entry"]
    p._give_memory({**entry, "value": read_only(entry["value"])})
    return p
