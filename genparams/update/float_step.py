"""Steps of single numbers, as Python floats."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from genparams.numeric import quiet
from genparams.params import DOUBLE, Parameter, coordinates_and_value, is_finite, place_of
from genparams.params.memory import FloatRecord, Floats
from genparams.types import Real
from genparams.update.group import Given, Group, at_path
from genparams.update.kernel import overflow

Fields = list[tuple[float, ...]]
"""What the rule keeps for each parameter."""


class FloatStep:
    """The step of parameters in one memory that are single numbers and step alike."""

    __slots__ = ("_constrained", "_places", "group", "memory", "parameters")

    def __init__(self, group: Group, parameters: list[Parameter]):
        self.group = group
        self.parameters = sorted(parameters, key=lambda p: place_of(p)[1])
        memory = place_of(parameters[0])[0]
        assert isinstance(memory, Floats)
        self.memory = memory
        places = [place_of(p)[1] for p in self.parameters]
        self._places = None if len(places) == memory.count else places
        self._constrained = [
            (i, p)
            for i, p in enumerate(self.parameters)
            if type(p.constraint) is not Real or p.dtype is not DOUBLE
        ]

    def begin(self, state: Mapping[str, Any]) -> Fields:
        """The fields, taken from the rule's state."""
        columns = [at_path(state, path)[name] for path, name in self.group.fields]
        return [tuple([column[p] for column in columns]) for p in self.parameters]

    def entries(self, fields: Fields) -> list[dict[Parameter, Any]]:
        """The fields by parameter."""
        columns = zip(*fields, strict=True) if fields else ()
        return [dict(zip(self.parameters, column, strict=True)) for column in columns]

    def step(
        self, now: FloatRecord, given: Given, fields: Fields, constants: list[float]
    ) -> tuple[FloatRecord, Fields] | None:
        """The next record and fields; None if a gradient is not finite.

        Raises:
            UpdateError: the step leads to a value that is not finite.
        """
        thetas, _, grads, _, _ = now
        places = self._places
        if places is not None:
            thetas, grads = [thetas[i] for i in places], [grads[i] for i in places]
        if given is not None:
            grads = [given[p] for p in self.parameters]
        found = self.quickly(thetas, grads, fields, constants)
        found = found or self._step_as_arrays(thetas, grads, fields, constants)
        if found is None:
            return None
        theta, after = found
        values = self._values_quietly(theta) if self._constrained else theta
        return self.stepped(now, theta, values, given is None), after

    def quickly(
        self,
        thetas: Sequence[float],
        grads: Sequence[float | None],
        fields: Fields,
        constants: list[float],
    ) -> tuple[list[float], Fields] | None:
        """The next coordinates and fields; None where Python's floats raise, as for 1 / 0, or where
        a number is not finite or too large."""
        try:
            return self.group.code.over_floats(thetas, grads, fields, constants)
        except (ArithmeticError, ValueError):
            return None

    @property
    def is_whole(self) -> bool:
        """Whether these are all parameters of the memory."""
        return self._places is None

    def coordinates(self, now: FloatRecord) -> list[float]:
        """The coordinates of the parameters."""
        return now.theta if self._places is None else [now.theta[i] for i in self._places]

    def values(self, theta: list[float]) -> list[float]:
        """The values at new coordinates, which are rounded in place to their parameters' types.

        Raises:
            UpdateError: a value is not finite.
        """
        if not self._constrained:
            return theta
        values = theta[:]
        for i, p in self._constrained:
            theta[i], values[i] = at, value = coordinates_and_value(p, theta[i])
            if type(value) is float and at - at == 0.0 and value - value == 0.0:
                continue
            if not is_finite(value) or not is_finite(at):
                raise overflow(p)
        return values

    _values_quietly = quiet(values)

    def stepped(
        self, now: FloatRecord, theta: list[float], values: list[float], empties: bool
    ) -> FloatRecord:
        """The record after a step."""
        return self.memory.stepped(now, self._places, theta, values, empties)

    def _step_as_arrays(
        self,
        thetas: Sequence[float],
        grads: Sequence[float | None],
        fields: Fields,
        constants: list[float],
    ) -> tuple[list[float], Fields] | None:
        """The same with numpy's numbers, slowly, where Python's raise or overflow."""
        if not all(g is None or math.isfinite(g) for g in grads):
            return None
        f, count = self.group.code.over_arrays
        folded = self.group.folded(constants, self.parameters[0])
        moved, after = [], []
        rows = zip(self.parameters, thetas, grads, fields, strict=True)
        with np.errstate(all="ignore"):
            for p, theta, g, mine in rows:
                inputs = [np.array([v]) for v in (theta, 0.0 if g is None else g, *mine)]
                new = [np.empty(1) for _ in inputs[1:]]
                f(*inputs, *new, *(np.empty(1) for _ in range(count)), *folded)
                numbers = [float(a[0]) for a in new]
                if not all(map(math.isfinite, numbers)):
                    raise overflow(p)
                moved.append(numbers[0])
                after.append(tuple(numbers[1:]))
        return moved, after
