"""The types that all modules share: arrays, addresses, constraints, names for pickling."""

import sys
from collections.abc import Hashable
from dataclasses import dataclass
from pickle import PicklingError
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from genparams.errors import ConstraintError
from genparams.text import offence

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


@dataclass(frozen=True, slots=True)
class Real:
    """All real numbers: the value is its own coordinates. A parameter has it by default."""

    name: str = "real"

    def natural(self, theta: Any) -> Any:
        return theta

    def coordinates(self, value: Any) -> Any:
        finite = np.isfinite(value)
        if not np.all(finite):
            raise ConstraintError(
                f"{offence(value, finite)} is not real: every entry must be finite"
            )
        return value

    def __repr__(self) -> str:
        return self.name


real = Real()


def show(address: Address) -> str:
    """An address as a person would write it: one key alone, several as a tuple."""
    return repr(address[0]) if len(address) == 1 else repr(address)


def calling_module() -> str:
    """The name of the module outside the library that is calling, for pickling by name."""
    frame: Any = sys._getframe(1)
    while frame.f_globals.get("__name__", "").startswith("genparams."):
        frame = frame.f_back
    return frame.f_globals.get("__name__", "__main__")


def global_name(thing: Any, module: str, guess: str = "") -> str:
    """The name of a thing in a module, for pickling it by name.

    Raises:
        PicklingError: it has none. Python pickles no local function.
    """
    home: Any = sys.modules.get(module)
    at = home
    for part in guess.split("."):
        at = getattr(at, part, None)
    if at is thing:
        return guess
    for name, value in getattr(home, "__dict__", {}).items():
        if value is thing:
            return name
    raise PicklingError(
        f"{thing!r} is local, or has no name at the top of {module}; define it there to pickle it"
    )
