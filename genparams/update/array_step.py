"""Steps of arrays that are side by side in memory, by blocks that stay in the cache."""

import math
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from genparams.params import Parameter, coordinates_and_value, is_finite, place_of
from genparams.params.memory import ArrayRecord, Arrays, Vector
from genparams.types import Real
from genparams.update.group import Given, Group, at_path
from genparams.update.kernel import overflow

BLOCK_BYTES = 1 << 21
"""The bytes of all arrays of a block: few enough for the cache, many for each call of numpy."""
FUSED_SIZE = 1 << 18
"""From how many numbers on numba's loop is worth the time that it takes to compile."""

Fields = list[np.ndarray]
"""What the rule keeps, in flat arrays."""


class ArrayStep:
    """The step of parameters that are neighbours in one memory and step alike."""

    __slots__ = (
        "_block",
        "_buffers",
        "_constrained",
        "_dtype",
        "_is_mixed",
        "_parts",
        "_pool",
        "_widest",
        "group",
        "memory",
        "parameters",
        "place",
        "places",
    )

    def __init__(
        self,
        group: Group,
        parameters: list[Parameter],
        state: Mapping[str, Any],
        buffers: "Buffers",
    ):
        self.group, self.parameters, self._buffers = group, parameters, buffers
        memory = place_of(parameters[0])[0]
        assert isinstance(memory, Arrays)
        self.memory = memory
        self.places = [place_of(p)[1] for p in parameters]
        slices = [memory.places[i] for i in self.places]
        begin = slices[0].start
        self.place = slice(begin, slices[-1].stop)
        self._parts = [
            (p, slice(s.start - begin, s.stop - begin), p.shape)
            for p, s in zip(parameters, slices, strict=True)
        ]
        self._constrained = [
            (i, p)
            for i, p in zip(self.places, parameters, strict=True)
            if type(p.constraint) is not Real
        ]
        own, first = memory.now.slope.dtype, parameters[0]
        chosen = (formula.dtype for _, formula in group.parts)
        self._dtype = next((d for d in chosen if d is not None), own)
        kept = [at_path(state, path)[name][first].dtype for path, name in group.fields]
        dtypes = {own, self._dtype, *kept}
        self._is_mixed, self._widest = len(dtypes) > 1, np.result_type(*dtypes)
        width = self._widest.itemsize * (3 + 2 * len(kept))
        self._block = max(1024, BLOCK_BYTES // width // 1024 * 1024)
        self._pool: list[Fields] = []

    @property
    def size(self) -> int:
        return self.place.stop - self.place.start

    def split(self, flat: np.ndarray) -> list[tuple[Parameter, np.ndarray]]:
        """The parts of a flat array that belong to each parameter."""
        return [(p, flat[place].reshape(shape)) for p, place, shape in self._parts]

    def begin(self, state: Mapping[str, Any]) -> Fields:
        """The fields, taken from the rule's state."""
        fields = [self._joined(at_path(state, p)[name]) for p, name in self.group.fields]
        self._pool = [fields]
        return fields

    def _joined(self, field: Mapping[Parameter, Any]) -> np.ndarray:
        flat = np.empty(self.size, field[self.parameters[0]].dtype)
        for p, part in self.split(flat):
            part[...] = field[p]
        return flat

    def entries(self, fields: Fields) -> list[dict[Parameter, Any]]:
        """The fields by parameter, copied: a view would keep the whole array alive."""
        return [{p: part.copy() for p, part in self.split(flat)} for flat in fields]

    def slope(self, given: Given) -> "Slope":
        """The gradients; a view of the record, whose empty parts are set to 0, if none is given."""
        now = self.memory.now
        if given is not None:
            parts = [np.asarray(given[p], now.slope.dtype).ravel() for p in self.parameters]
            return Slope(parts[0] if len(parts) == 1 else np.concatenate(parts))
        if None in now.grad:
            for i in self.places:
                if not now.grad[i]:
                    now.slope[self.memory.places[i]] = 0.0
        return Slope(now.slope[self.place])

    def step(
        self,
        now: ArrayRecord,
        new: Vector,
        slope: "Slope",
        fields: Fields,
        constants: list[float],
        fixed: Mapping[Parameter, Any],
    ) -> tuple[Fields, list[tuple[int, np.ndarray]]]:
        """Write the next coordinates to `new`; return the next fields and the constrained values.

        Args:
            fixed: Masks of entries that do not move and whose fields stay.

        Raises:
            UpdateError: the step leads to a value that is not finite.
        """
        theta, into = now.theta.numbers[self.place], new.numbers[self.place]
        after = self.spare(fields)
        self.move(theta, slope, fields, into, after, constants)
        if fixed:
            for old, found in zip((theta, *fields), (into, *after), strict=True):
                for (p, kept), (_, part) in zip(self.split(old), self.split(found), strict=True):
                    if p in fixed:
                        np.copyto(part, kept, where=fixed[p])
        return after, self.values(into)

    def move(
        self,
        theta: np.ndarray,
        slope: "Slope",
        fields: Fields,
        into: np.ndarray,
        after: Fields,
        constants: list[float],
    ) -> None:
        """Write the next coordinates to `into`, and the next fields to `after`.

        Raises:
            UpdateError: the step leads to a number that is not finite.
        """
        folded = self.group.folded(constants, self.parameters[0])
        is_fine = self._move([theta, slope.g, *fields], [into, *after], folded)
        # where the square overflows, a field may have too
        doubtful = ([] if is_fine else [into]) + ([] if slope.square_is_finite else after)
        for found in doubtful:
            if not is_finite(found):
                raise overflow(next(p for p, part in self.split(found) if not is_finite(part)))

    def values(self, theta: np.ndarray) -> list[tuple[int, np.ndarray]]:
        """The values of constrained parameters at new coordinates, by place.

        Raises:
            UpdateError: a value is not finite.
        """
        if not self._constrained:
            return []
        parts = dict(self.split(theta))
        values = [(i, p, coordinates_and_value(p, parts[p])[1]) for i, p in self._constrained]
        for _, p, value in values:
            if not is_finite(value):
                raise overflow(p)
        return [(i, value) for i, _, value in values]

    def spare(self, fields: Fields) -> Fields:
        """Arrays for the next fields, of which nobody has a view."""
        for spare in self._pool:
            if spare is not fields:
                return spare
        spare = [np.empty_like(a) for a in fields]
        self._pool = [fields, spare]
        return spare

    def _move(self, inputs: Fields, outputs: Fields, folded: tuple[float, ...]) -> bool:
        """Step all numbers; False if a new coordinate may be not finite."""
        code, size, block = self.group.code, self.size, self._block
        if size >= FUSED_SIZE and not self._is_mixed and _has_numba():
            bad = code.fuses([*inputs, *outputs], folded)
            if bad is not None:
                return bad == 0
        f, count = code.over_mixed_arrays if self._is_mixed else code.over_arrays
        is_fine = True
        for start in range(0, size, block):
            here, to = inputs, outputs
            if size > block:
                end = start + block
                here, to = ([a[start:end] for a in arrays] for arrays in (inputs, outputs))
            space = self._buffers.of(count, len(to[0]), self._widest)
            if self._is_mixed:
                theta, g = here[0].astype(self._widest), here[1].astype(self._dtype)
                new = np.empty_like(theta)
                f(theta, g, *here[2:], new, *to[1:], *space, *folded)
                to[0][...] = new
            else:
                f(*here, *to, *space, *folded)
            # while the block is in the cache
            is_fine = is_fine and (has_finite_square(to[0]) or is_finite(to[0]))
        return is_fine


@cache
def _has_numba() -> bool:
    return find_spec("numba") is not None


def has_finite_square(v: np.ndarray) -> bool:
    """Whether the square of a vector's norm is finite: one pass at the speed of the memory."""
    return math.isfinite(np.dot(v, v))


class Slope:
    """The gradients of parameters, side by side."""

    __slots__ = ("g", "square", "square_is_finite")

    def __init__(self, g: np.ndarray):
        self.g = g
        self.square = float(np.dot(g, g))
        self.square_is_finite = math.isfinite(self.square)


class Buffers:
    """Arrays for intermediate numbers, used again in every step."""

    def __init__(self) -> None:
        self._arrays: dict[np.dtype, list[np.ndarray]] = {}

    def of(self, count: int, size: int, dtype: np.dtype) -> list[np.ndarray]:
        """So many arrays of one size."""
        if not count:
            return []
        arrays = self._arrays.setdefault(dtype, [])
        if len(arrays) < count or len(arrays[0]) < size:
            arrays[:] = [np.empty(size, dtype) for _ in range(max(count, len(arrays)))]
        return [a if len(a) == size else a[:size] for a in arrays[:count]]
