"""The parameters that a loop moves, read where they are in memory.

A loop reads every value and every gradient in each step. It finds the places once, and again only
when the structure of the stores has changed.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from genparams.learning.fitting.entries import keys_of
from genparams.numeric import quiet
from genparams.params import Parameter, lock, place_of, structure
from genparams.params.memory import Arrays, Floats
from genparams.types import Array
from genparams.update.burst import Noted
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
            self._places = [(m, [i for _, i in mine]) for m, mine in self._floats.items()]
            first = next(iter(self._floats), None)
            self.noted = Noted([*self._floats], [(m, i) for _, m, i in self._arrays])
            is_all = first is not None and first.count == len(self.names)
            self._only = first if is_all else None  # the one memory, if all of it is meant

    def grad_norm(self) -> float:
        """The norm of all accumulated gradients together, in unconstrained coordinates."""
        if self._only is not None and None not in (grads := self._only.now.grad):
            return math.hypot(*grads)  # type: ignore[arg-type]
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

    def waiting(self) -> int:
        """How many parameters have an accumulated gradient."""
        found = 0
        for memory, places in self._places:
            grads = memory.now.grad
            found += sum([grads[i] is not None for i in places])
        for _, memory, i in self._arrays:
            found += bool(memory.now.grad[i])
        return found

    def write(self, numbers: list[float], arrays: list[Array]) -> None:
        """Append all values: those that are numbers, and copies of those that are arrays."""
        for memory, _ in self._places:
            numbers += memory.now.value
        if self._arrays:
            with lock:
                for _, memory, i in self._arrays:
                    now = memory.now
                    value = now.value[i]
                    whole = now.theta.numbers[memory.places[i]] if value is None else value
                    arrays.append(whole.copy())

    def split(self, numbers: list[float], arrays: list[Array]) -> dict[str, Array]:
        """What `write` has appended, by parameter name, a row for each time."""
        found, at, width = {}, 0, sum(memory.count for memory in self._floats)
        for memory, mine in self._floats.items():
            for p, i in mine:
                found[self.names[p]] = np.array(numbers[at + i :: width])
            at += memory.count
        for k, (p, _, _) in enumerate(self._arrays):
            column = arrays[k :: len(self._arrays)]
            found[self.names[p]] = np.array(column, float).reshape(len(column), *p.value_shape)
        return {name: found[name] for name in self.names.values()}

    def present(self) -> dict[str, Any]:
        """The values by name."""
        return {name: p.value for p, name in self.names.items()}


def _length(g: Array) -> float:
    """The norm of an array, at once where its square neither overflows nor underflows."""
    square = float(g @ g) if g.dtype == float else 0.0
    return math.sqrt(square) if 1e-280 < square < 1e300 else norm(g)
