"""The coordinates of several parameters, read together."""

from collections.abc import Sequence
from typing import Any

from genparams.params.memory import Floats
from genparams.params.parameter import Parameter, has_moved, read


class Positions:
    """Where several parameters are in memory, for reading all of them at each step.

    It is for one record of `structure`: a parameter may move to other memory when that changes.
    Single numbers in one memory are read and compared as one list (benchmarks/static.py).
    """

    __slots__ = ("_memory", "_places", "parameters")

    def __init__(self, parameters: Sequence[Parameter]):
        self.parameters = tuple(parameters)
        memories = {p._at[0] for p in parameters}
        self._memory: Floats | None = None
        if len(memories) == 1 and isinstance(memory := memories.pop(), Floats):
            self._memory = memory
        self._places = [p._at[1] for p in parameters]

    def read(self) -> tuple[list[Any], Any]:
        """The coordinates in order, and what `have_moved` compares."""
        if self._memory is None:
            found = [read(p)[0] for p in self.parameters]
            return found, found
        thetas = self._memory.now.theta
        return [thetas[i] for i in self._places], thetas

    def have_moved(self, then: Any) -> bool:
        """Whether a parameter has moved since `read` returned `then`."""
        if self._memory is None:
            return any(map(has_moved, self.parameters, then))
        return self._memory.now.theta is not then
