"""Parameters as one flat vector: their unconstrained coordinates, one after another."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from genparams.params.changes import edited
from genparams.params.conversions import coordinates_and_value, edit_to
from genparams.params.parameter import Parameter
from genparams.params.records import lock, swap
from genparams.types import Array


class Vector:
    """The places of several parameters in one vector of unconstrained coordinates."""

    __slots__ = ("parameters", "places", "size")

    def __init__(self, parameters: Iterable[Parameter]):
        self.parameters: tuple[Parameter, ...] = tuple(parameters)
        self.places: dict[Parameter, slice] = {}
        self.size = 0
        for p in self.parameters:
            end = self.size + math.prod(p.shape)
            self.places[p] = slice(self.size, end)
            self.size = end

    def now(self) -> Array:
        """The present coordinates of the parameters."""
        with lock:
            return self.joined({p: p.coordinates for p in self.parameters})

    def joined(self, parts: Mapping[Parameter, Any]) -> Array:
        """The vector with these parts; zeros for a parameter that has none."""
        x = np.zeros(self.size)
        for p, part in parts.items():
            x[self.places[p]] = np.ravel(part)
        return x

    def parts(self, x: Array) -> dict[Parameter, Any]:
        """The coordinates of each parameter, as a float or in their shape."""
        return {
            p: x[place].reshape(p.shape) if p.shape else float(x[place.start])
            for p, place in self.places.items()
        }

    def values(self, x: Array) -> dict[Parameter, Any]:
        """The natural value of each parameter, in its type."""
        return {p: coordinates_and_value(p, part)[1] for p, part in self.parts(x).items()}

    def move_to(self, x: Array) -> None:
        """Move all parameters to these coordinates at once."""
        edits = {
            p: edit_to(p, *coordinates_and_value(p, part)) for p, part in self.parts(x).items()
        }
        with lock:
            swap(edited(edits))
