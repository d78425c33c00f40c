"""The types that every floor shares."""

from collections.abc import Hashable
from typing import Any, Protocol

import numpy as np

Array = np.ndarray
Address = tuple[Hashable, ...]
"""A path of keys; the empty path is the root."""


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
