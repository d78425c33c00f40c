"""Runs: parameters that step together, as floats or as one long array.

Parameters whose arrays lie side by side, go through the same formulas and have taken part in as
many steps form a *run*, which is stepped by blocks that stay in the cache. Single numbers are
stepped as floats. Neither changes anything: new numbers go into lists or arrays that nobody sees.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from genparams.errors import UpdateError
from genparams.memory import Arrays, ArraysNow, Floats, FloatsNow, new_tuple
from genparams.numeric import quiet
from genparams.params import DOUBLE, Parameter, is_finite
from genparams.types import Real
from genparams.update.kernels import Elementwise, Kernel, kernel

Path = tuple[str, ...]
Parts = Sequence[tuple[Path, Elementwise]]
"""Formulas that run one after the other, each with the path of its state."""
Given = Mapping[Parameter, Any] | None
"""Gradients by parameter; None for the accumulated ones."""

CACHE = 1 << 21
"""The bytes of all arrays of a block: what stays in the cache, with few calls for each number."""
FUSED = 1 << 18
"""From how many numbers on numba's loop is worth the time that it takes to compile."""


def at_path(state: Mapping[str, Any], path: Path) -> Any:
    """The part of a nested state."""
    for name in path:
        state = state[name]
    return state


class Group:
    """What parameters that step alike have in common: formulas, constants and counts."""

    __slots__ = ("_makers", "code", "counts", "parts")

    def __init__(self, parts: Parts, counts: Sequence[int], minimize: bool):
        self.parts, self.counts = parts, counts
        self.code: Kernel = kernel(tuple([piece for _, piece in parts]), minimize)
        self._makers = [
            (piece.constants, count if piece.counts else None, path)
            for (path, piece), count in zip(parts, counts, strict=True)
            if piece.constants is not None
        ]

    def constants(self, taken: int, state: Mapping[str, Any]) -> list[float]:
        """The constants of the step after those that the engine has taken."""
        found: list[float] = []
        for make, count, path in self._makers:
            if count is not None:
                found += make(count + taken + 1)
            elif len(path) == 1:
                found += make(state[path[0]])
            else:
                found += make(at_path(state, path))
        return found

    def fields(self) -> list[tuple[Path, str]]:
        """The path and the name of each field."""
        return [(path, name) for path, piece in self.parts for name in piece.fields]


class Singles:
    """Parameters of one memory that are single numbers, stepped as floats."""

    __slots__ = ("_constrained", "_is_whole", "_places", "group", "memory", "parameters")

    def __init__(self, group: Group, parameters: list[Parameter]):
        self.group = group
        self.parameters = sorted(parameters, key=lambda p: p._at[1])
        memory = parameters[0]._at[0]
        assert isinstance(memory, Floats)
        self.memory = memory
        self._places = [p._at[1] for p in self.parameters]
        self._is_whole = len(self._places) == memory.count
        self._constrained = [
            (i, p)
            for i, p in enumerate(self.parameters)
            if type(p.constraint) is not Real or p.dtype is not DOUBLE
        ]

    def begin(self, state: Mapping[str, Any]) -> list[tuple[float, ...]]:
        """The fields of each parameter, from the rule's state."""
        fields = [at_path(state, path)[name] for path, name in self.group.fields()]
        return [tuple([field[p] for field in fields]) for p in self.parameters]

    def entries(self, held: list[tuple[float, ...]]) -> list[dict[Parameter, Any]]:
        """Each field by parameter."""
        columns = zip(*held, strict=True) if held else ()
        return [dict(zip(self.parameters, column, strict=True)) for column in columns]

    def stepped(
        self, now: FloatsNow, given: Given, held: list[tuple[float, ...]], constants: list[float]
    ) -> tuple[FloatsNow, list[tuple[float, ...]]] | None:
        """The next record and fields; None if a gradient is not finite.

        Raises:
            UpdateError: a step leads to a value that is not finite.
        """
        if self._is_whole and given is None:
            thetas, grads = now.theta, now.grad
        else:
            thetas = [now.theta[i] for i in self._places]
            grads = [now.grad[i] for i in self._places] if given is None else self._given(given)
        try:
            found = self.group.code.over_floats(thetas, grads, held, constants)
        except (ArithmeticError, ValueError):  # as 1 / 0 for a float, where an array gives inf
            found = None
        if found is None:
            found = self._stepped_as_arrays(thetas, grads, held, constants)
            if found is None:
                return None
        moved, after = found
        values = moved
        if self._constrained:
            values = self._land(moved)
        if self._is_whole and given is None:
            emptied: list[Any] = [None] * len(moved)
            return new_tuple(FloatsNow, (moved, values, emptied, emptied[:], now.frozen)), after
        new: dict[str, list[Any]] = {"theta": moved, "value": values}
        if given is None:
            new["grad"] = new["fault"] = [None] * len(moved)
        return now._replace(
            **{k: self._scattered(getattr(now, k), v) for k, v in new.items()}
        ), after

    @quiet
    def _land(self, moved: list[float]) -> list[float]:
        """The values at new coordinates, which are rounded to the types of their parameters."""
        values = moved[:]
        for i, p in self._constrained:
            moved[i], values[i] = landed(p, moved[i])
        return values

    def _given(self, given: Mapping[Parameter, Any]) -> list[float]:
        return [given[p] for p in self.parameters]

    def _scattered(self, old: list[Any], new: list[Any]) -> list[Any]:
        made = old[:]
        for i, entry in zip(self._places, new, strict=True):
            made[i] = entry
        return made

    def _stepped_as_arrays(
        self,
        thetas: Sequence[float],
        grads: Sequence[float | None],
        held: list[tuple[float, ...]],
        constants: list[float],
    ) -> tuple[list[float], list[tuple[float, ...]]] | None:
        """The same, slowly, with what numpy's numbers can do and Python's cannot."""
        if not all(g is None or math.isfinite(g) for g in grads):
            return None
        f, count = self.group.code.over_arrays
        try:
            folded = self.group.code.folded(*constants)
        except (ArithmeticError, ValueError):
            raise overflow(self.parameters[0]) from None
        moved, after = [], []
        rows = zip(self.parameters, thetas, grads, held, strict=True)
        with np.errstate(all="ignore"):
            for p, theta, g, fields in rows:
                inputs = [np.array([v]) for v in (theta, 0.0 if g is None else g, *fields)]
                new = [np.empty(1) for _ in inputs[1:]]
                f(*inputs, *new, *(np.empty(1) for _ in range(count)), *folded)
                numbers = [float(a[0]) for a in new]
                if not all(map(math.isfinite, numbers)):
                    raise overflow(p)
                moved.append(numbers[0])
                after.append(tuple(numbers[1:]))
        return moved, after


def landed(p: Parameter, theta: Any) -> tuple[Any, Any]:
    """Coordinates in the type of a parameter, and the value there.

    Raises:
        UpdateError: they are not finite.
    """
    if type(theta) is float and p.dtype is not DOUBLE:
        theta = float(p.dtype.type(theta))
    value = p.natural(theta)
    if not is_finite(value) or not is_finite(theta):
        raise overflow(p)
    return theta, value


class Run:
    """Parameters that lie side by side, stepped as one array."""

    __slots__ = (
        "_block",
        "_constrained",
        "_dtype",
        "_is_mixed",
        "_parts",
        "_pool",
        "_widest",
        "group",
        "indices",
        "memory",
        "parameters",
        "place",
    )

    def __init__(self, group: Group, parameters: list[Parameter]):
        self.group, self.parameters = group, parameters
        memory = parameters[0]._at[0]
        assert isinstance(memory, Arrays)
        self.memory = memory
        self.indices = [p._at[1] for p in parameters]  # where they were when the engine was made
        begin, end = memory.places[self.indices[0]].start, memory.places[self.indices[-1]].stop
        self.place = slice(begin, end)
        self._parts = [
            (p, slice(memory.places[i].start - begin, memory.places[i].stop - begin), p.shape)
            for p, i in zip(parameters, self.indices, strict=True)
        ]
        self._constrained = [
            (i, p)
            for i, p in zip(self.indices, parameters, strict=True)
            if type(p.constraint) is not Real
        ]
        self._pool: list[list[np.ndarray]] = []

    @property
    def size(self) -> int:
        return self.place.stop - self.place.start

    def begin(self, state: Mapping[str, Any]) -> list[np.ndarray]:
        """The fields side by side, from the rule's state."""
        fields = [self._side_by_side(at_path(state, p)[name]) for p, name in self.group.fields()]
        own = self.memory.now.slope.dtype
        named = (piece.dtype for _, piece in self.group.parts)
        self._dtype = next((d for d in named if d is not None), own)
        dtypes = {own, self._dtype, *(f.dtype for f in fields)}
        self._is_mixed, self._widest = len(dtypes) > 1, np.result_type(*dtypes)
        width = self._widest.itemsize * (3 + 2 * len(fields))
        self._block = max(1024, CACHE // width // 1024 * 1024)
        self._pool = [fields]
        return fields

    def _side_by_side(self, field: Mapping[Parameter, Any]) -> np.ndarray:
        flat = np.empty(self.size, field[self.parameters[0]].dtype)
        for p, part in self.split(flat):
            part[...] = field[p]
        return flat

    def entries(self, held: list[np.ndarray]) -> list[dict[Parameter, Any]]:
        """Each field by parameter, as views."""
        return [dict(self.split(flat)) for flat in held]

    def split(self, flat: np.ndarray) -> list[tuple[Parameter, np.ndarray]]:
        """The parts of an array of the run that belong to each parameter."""
        return [(p, flat[place].reshape(shape)) for p, place, shape in self._parts]

    def gradient(self, now: ArraysNow, given: Given) -> np.ndarray:
        if given is not None:
            parts = [np.asarray(given[p], now.slope.dtype).ravel() for p in self.parameters]
            return parts[0] if len(parts) == 1 else np.concatenate(parts)
        if None in now.grad:
            for i in self.indices:
                if not now.grad[i]:
                    now.slope[self.memory.places[i]] = 0.0
        return now.slope[self.place]

    def _fresh(self, held: list[np.ndarray]) -> list[np.ndarray]:
        """Arrays for the next fields, which nobody sees."""
        for fields in self._pool:
            if fields is not held:
                return fields
        fields = [np.empty_like(a) for a in held]
        self._pool = [held, fields]
        return fields

    def stepped(
        self,
        theta: np.ndarray,
        g: np.ndarray,
        is_short: bool,
        held: list[np.ndarray],
        constants: list[float],
        around: Mapping[Parameter, Any],
        into: np.ndarray,
        scratch: "Scratch",
    ) -> tuple[list[np.ndarray], list[tuple[int, np.ndarray]]]:
        """Write the next coordinates to `into`; return the next fields and the constrained values.

        Args:
            theta: The coordinates of the run.
            is_short: Whether the square of the gradient's length is finite.
            around: Entries that do not move and whose fields stay.

        Raises:
            UpdateError: the step leads to a value that is not finite.
        """
        try:
            folded = self.group.code.folded(*constants)
        except (ArithmeticError, ValueError):
            raise overflow(self.parameters[0]) from None
        fields = self._fresh(held)
        fine = self._move([theta, g, *held], [into, *fields], folded, scratch)
        spoilt = [] if is_short else fields  # a large gradient may do that
        for at in spoilt if fine else [into, *spoilt]:
            if not is_finite(at):
                raise overflow(next(p for p, part in self.split(at) if not is_finite(part)))
        if around:
            for old, new in zip((theta, *held), (into, *fields), strict=True):
                for (p, kept), (_, part) in zip(self.split(old), self.split(new), strict=True):
                    if p in around:
                        np.copyto(part, kept, where=around[p])
        if not self._constrained:
            return fields, []
        parts = dict(self.split(into))
        return fields, [(i, landed(p, parts[p])[1]) for i, p in self._constrained]

    def _move(
        self,
        inputs: list[np.ndarray],
        outputs: list[np.ndarray],
        constants: Any,
        scratch: "Scratch",
    ) -> bool:
        """Step by blocks; False if a new coordinate is not finite."""
        code, size, block = self.group.code, self.size, self._block
        if size >= FUSED and not self._is_mixed and _has_numba() and code.can_fuse:
            try:
                return code.fused(*inputs, *outputs, *constants) == 0
            except code.cannot_fuse():  # it does not compile
                code.can_fuse = False
        f, count = code.over_mixed_arrays if self._is_mixed else code.over_arrays
        fine = True
        for start in range(0, size, block):
            here, to = inputs, outputs
            if size > block:
                end = start + block
                here, to = ([a[start:end] for a in arrays] for arrays in (inputs, outputs))
            space = scratch.of(count, len(to[0]), self._widest)
            if self._is_mixed:
                theta, g = here[0].astype(self._widest), here[1].astype(self._dtype)
                moved = np.empty_like(theta)
                f(theta, g, *here[2:], moved, *to[1:], *space, *constants)
                to[0][...] = moved
            else:
                f(*here, *to, *space, *constants)
            fine = fine and _is_finite(to[0])  # while it is in the cache
        return fine


@cache
def _has_numba() -> bool:
    return find_spec("numba") is not None


def is_short(v: np.ndarray) -> bool:
    """Whether the square of its length is finite: one pass at the speed of the memory."""
    return math.isfinite(np.dot(v, v))


def _is_finite(v: np.ndarray) -> bool:
    return is_short(v) or is_finite(v)


def overflow(parameter: Parameter) -> UpdateError:
    """The error for a step that leads beyond what floats hold."""
    return UpdateError(
        f"the step takes parameter {parameter.name!r}, or its state, to a value that is not "
        "finite; lower the step size, or clip the gradient"
    )


class Scratch:
    """Memory for intermediate results, used again and again."""

    def __init__(self) -> None:
        self._arrays: dict[np.dtype, list[np.ndarray]] = {}

    def of(self, count: int, size: int, dtype: np.dtype) -> list[np.ndarray]:
        if not count:
            return []
        arrays = self._arrays.setdefault(dtype, [])
        if len(arrays) < count or len(arrays[0]) < size:
            arrays[:] = [np.empty(size, dtype) for _ in range(max(count, len(arrays)))]
        return [a if len(a) == size else a[:size] for a in arrays[:count]]
