"""The parameters that a loop moves, read where they are in memory.

A loop reads every value and every gradient in each step. It finds the places once, and again only
when the structure of the stores has changed.
"""

import math
from array import array
from collections.abc import Iterable
from typing import Any

import numpy as np

from genparams.learning.entries import keys_of
from genparams.numeric import quiet
from genparams.params import Parameter, lock, place_of, structure
from genparams.params.memory import Arrays, Floats
from genparams.types import Array
from genparams.update.clipping import norm


class Tracked:
    """Parameters, by the memories in which they are."""

    def __init__(self, parameters: Iterable[Parameter]):
        with lock:
            self.structure = structure.now  # as long as it is this, they are where they are
            self.names = keys_of(dict.fromkeys(parameters))
            self.size = sum(math.prod(p.value_shape) for p in self.names)
            self._floats: dict[Floats, list[tuple[Parameter, int]]] = {}
            self._arrays: list[tuple[Parameter, Arrays, int]] = []
            for p in self.names:
                memory, i = place_of(p)
                if isinstance(memory, Floats):
                    self._floats.setdefault(memory, []).append((p, i))
                else:
                    self._arrays.append((p, memory, i))
            self._width = sum(memory.count for memory in self._floats) + sum(
                math.prod(p.value_shape) for p, _, _ in self._arrays
            )
            self._places = [(m, [i for _, i in mine]) for m, mine in self._floats.items()]

    def grad_norm(self) -> float:
        """The norm of all accumulated gradients together, in unconstrained coordinates."""
        parts: list[float] = []
        for memory, places in self._places:
            grads = memory.now.grad
            parts += [g for i in places if (g := grads[i]) is not None]
        if self._arrays:
            parts += self._lengths()
        return math.hypot(*parts)

    @quiet
    def _lengths(self) -> list[float]:
        """The norm of the gradient of each array that has one."""
        with lock:
            return [
                _length(memory.now.slope[memory.places[i]])
                for _, memory, i in self._arrays
                if memory.now.grad[i]
            ]

    def write(self, row: array) -> None:
        """Append all values, as numbers."""
        for memory, _ in self._places:
            row.extend(memory.now.value)
        if self._arrays:
            with lock:
                for _, memory, i in self._arrays:
                    now = memory.now
                    value = now.value[i]
                    numbers = now.theta.numbers[memory.places[i]] if value is None else value
                    row.frombytes(np.asarray(numbers, float).tobytes())

    def split(self, rows: array) -> dict[str, Array]:
        """What `write` has appended, by parameter name, a row for each time."""
        found, at = {}, 0
        table = np.array(rows).reshape(-1, self._width)
        for memory, mine in self._floats.items():
            found |= {self.names[p]: table[:, at + i] for p, i in mine}
            at += memory.count
        for p, _, _ in self._arrays:
            end = at + math.prod(p.value_shape)
            found[self.names[p]] = table[:, at:end].reshape(len(table), *p.value_shape)
            at = end
        return {name: found[name] for name in self.names.values()}

    def present(self) -> dict[str, Any]:
        """The values by name."""
        return {name: p.value for p, name in self.names.items()}


def _length(g: Array) -> float:
    """The norm of an array, at once where its square neither overflows nor underflows."""
    square = float(g @ g) if g.dtype == float else 0.0
    return math.sqrt(square) if 1e-280 < square < 1e300 else norm(g)
