"""The parameters that a loop moves, read where they are in memory.

A loop reads every value and every gradient in each step. It finds the places once, and again only
when the structure of the stores has changed.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from genparams.learning.entries import keys_of
from genparams.params import Parameter, lock, place_of, structure
from genparams.params.memory import Arrays, Floats
from genparams.types import Array
from genparams.update.clipping import norm


class Tracked:
    """Parameters, by the memories in which they are."""

    def __init__(self, parameters: Iterable[Parameter]):
        with lock:
            self._structure = structure.now
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

    def is_current(self) -> bool:
        """Whether the parameters are still where they were."""
        return structure.now is self._structure

    def grad_norm(self) -> float:
        """The norm of all accumulated gradients together, in unconstrained coordinates."""
        parts: list[float] = []
        for memory, mine in self._floats.items():
            grads = memory.now.grad
            parts += [g for _, i in mine if (g := grads[i]) is not None]
        if self._arrays:
            with lock:
                for _, memory, i in self._arrays:
                    now = memory.now
                    if now.grad[i]:
                        parts.append(norm(now.slope[memory.places[i]]))
        return math.hypot(*parts)

    def values(self) -> list[Any]:
        """All values, in a form that `rows` understands and that is quick to make."""
        found: list[Any] = [memory.now.value for memory in self._floats]
        if self._arrays:
            with lock:
                for _, memory, i in self._arrays:
                    now = memory.now
                    value = now.value[i]
                    numbers = now.theta.numbers[memory.places[i]] if value is None else value
                    found.append(numbers.ravel().copy())
        return found

    def rows(self, values: list[list[Any]]) -> dict[str, Array]:
        """Several results of `values` by parameter name, along the first axis."""
        found: dict[str, Array] = {}
        columns = list(zip(*values, strict=True))
        for column, mine in zip(columns, self._floats.values(), strict=False):
            table = np.array(column, dtype=float)
            found |= {self.names[p]: table[:, i] for p, i in mine}
        for column, (p, _, _) in zip(columns[len(self._floats) :], self._arrays, strict=True):
            found[self.names[p]] = np.array(column).reshape(len(column), *p.value_shape)
        return {name: found[name] for name in self.names.values()}

    def present(self) -> dict[str, Any]:
        """The values by name."""
        return {name: p.value for p, name in self.names.items()}
