"""The types that every floor shares."""

import sys
from collections.abc import Hashable
from pickle import PicklingError
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:  # with defaults, so that `Call` and `GenFunction` can be written without [...]
    from typing_extensions import ParamSpec, TypeVar

    P = ParamSpec("P", default=...)
    R = TypeVar("R", covariant=True, default=Any)
else:
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")
    R = TypeVar("R", covariant=True)

Array = np.ndarray
Address = tuple[Hashable, ...]
"""A path of keys; the empty path is the root."""


class SupportsArray(Protocol):
    """What numpy makes an array of: arrays, numbers of numpy, columns of a table."""

    def __array__(self) -> np.ndarray[Any, Any]: ...


Numbers = float | SupportsArray | list[Any] | tuple[Any, ...]
"""A number or an array: the arguments of distributions, which broadcast."""
Size = int | tuple[int, ...] | None
"""The shape of a batch; None for the shape to which the arguments broadcast."""


class Constraint(Protocol):
    """A smooth bijection between a set of natural values and unconstrained coordinates.

    `natural` is written in operations that can be differentiated; `coordinates` raises
    `ConstraintError` for a value outside the set.
    """

    @property
    def name(self) -> str: ...

    def natural(self, theta: Any) -> Any: ...

    def coordinates(self, value: Any) -> Any: ...


def show(address: Address) -> str:
    """An address as a person would write it: one key alone, several as a tuple."""
    return repr(address[0]) if len(address) == 1 else repr(address)


def calling_module() -> str:
    """The name of the module outside of the library that is calling, for pickling by name."""
    frame: Any = sys._getframe(1)
    while frame.f_globals.get("__name__", "").startswith("genparams."):
        frame = frame.f_back
    return frame.f_globals.get("__name__", "__main__")


def global_name(thing: Any, module: str, guess: str = "") -> str:
    """The name by which a module knows a thing, for pickling it by name.

    Raises:
        PicklingError: it has none; local functions do not pickle, in Python at large.
    """
    at: Any = sys.modules[module]
    for part in guess.split("."):
        at = getattr(at, part, None)
    if at is thing:
        return guess
    for name, value in vars(sys.modules[module]).items():
        if value is thing:
            return name
    raise PicklingError(
        f"{thing!r} is local, or has no name at the top of {module}; define it there to pickle it"
    )
