"""Runs: parameters that step together, as floats or as one long array in place.

Parameters of one store whose arrays lie side by side, go through the same formulas and have taken
part in as many steps form a *run*, which is stepped by blocks that stay in the cache. Single
numbers are stepped as floats. The state that a rule describes is a dictionary by parameter; what a
run holds is the memory behind it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from genparams.errors import UpdateError
from genparams.params import Buffer, Parameter, Real, is_finite
from genparams.update.kernels import Elementwise, Kernel, kernel

Parts = list[tuple[Elementwise, dict[str, Any]]]
"""Formulas that run one after the other, each with its part of the rule's state."""

CACHE = 1 << 21
"""The bytes of all arrays of a block: what stays in the cache, with few calls for each number."""
FUSED = 1 << 18
"""From how many numbers on numba's loop is worth the time that it takes to compile."""


class Group:
    """What parameters that step alike have in common: formulas, constants and counts."""

    __slots__ = ("_counts", "_makers", "_parts", "code", "fields")

    def __init__(self, parts: Parts, minimize: bool, parameter: Parameter):
        self._parts = parts
        self.code: Kernel = kernel(tuple([piece for piece, _ in parts]), minimize)
        self._counts = [count_of(piece, state, parameter) for piece, state in parts]
        self.fields = [state[name] for piece, state in parts for name in piece.fields]
        self._makers = [
            (piece.constants, i if piece.counts else None, state)
            for i, (piece, state) in enumerate(parts)
            if piece.constants is not None
        ]

    def constants(self, taken: int) -> list[float]:
        """The constants of the step after those that the engine has taken."""
        found: list[float] = []
        for make, i, state in self._makers:
            found += make(state if i is None else self._counts[i] + taken + 1)
        return found

    def note_counts(self, parameters: Iterable[Parameter], taken: int) -> None:
        """Write the counts into the rule's state."""
        for (piece, state), t in zip(self._parts, self._counts, strict=True):
            if piece.counts:
                state["t"].update(dict.fromkeys(parameters, t + taken))


def count_of(piece: Elementwise, state: dict[str, Any], parameter: Parameter) -> int:
    return state["t"][parameter] if piece.counts else 0


class Slot:
    """A parameter that is a single number, and its fields."""

    __slots__ = ("fields", "parameter", "plain")

    def __init__(self, parameter: Parameter, fields: Sequence[dict[Parameter, Any]]):
        self.parameter = parameter
        self.fields = tuple([field[parameter] for field in fields])
        self.plain = type(parameter.constraint) is Real and parameter.dtype == np.float64


class Singles:
    """Parameters that are single numbers, stepped as floats."""

    __slots__ = ("_plain", "group", "parameters", "slots")

    def __init__(self, group: Group, parameters: list[Parameter]):
        self.group, self.parameters = group, parameters
        self.slots = [Slot(p, group.fields) for p in parameters]
        self._plain = all(slot.plain for slot in self.slots)

    def stepped(
        self, given: Mapping[Parameter, Any] | None, taken: int
    ) -> list[tuple[Any, ...]] | None:
        """Each slot with its new coordinate, fields and value.

        None if a gradient is not finite.

        Raises:
            UpdateError: a step leads to a value that is not finite.
        """
        gradients = [p._grad if given is None else given[p] for p in self.parameters]
        constants = self.group.constants(taken)
        try:
            moved = self.group.code.over_floats(self.slots, gradients, *constants)
        except (ArithmeticError, ValueError):  # as 1 / 0 for a float, where an array gives inf
            moved = None
        if type(moved) is not list:
            moved = self._stepped_as_arrays(gradients, constants)
        if self._plain or moved is None:
            return moved
        with np.errstate(all="ignore"):
            for i, (slot, theta, fields, _) in enumerate(moved):
                if not slot.plain:
                    theta, value = slot.parameter.moved(theta)
                    if not is_finite(value):
                        raise overflow(slot.parameter)
                    moved[i] = slot, theta, fields, value
        return moved

    def _stepped_as_arrays(
        self, gradients: list[float], constants: list[float]
    ) -> list[tuple[Any, ...]] | None:
        """The same, slowly, with what numpy's numbers can do and Python's cannot."""
        if not all(map(math.isfinite, gradients)):
            return None
        f, count = self.group.code.over_arrays
        folded = self.group.code.folded(*constants)
        moved = []
        with np.errstate(all="ignore"):
            for slot, g in zip(self.slots, gradients, strict=True):
                arrays = [np.array([v]) for v in (slot.parameter._theta, g, *slot.fields)]
                f(*arrays, *(np.empty(1) for _ in range(count)), *folded)
                theta, _, *fields = (float(a[0]) for a in arrays)
                if not all(map(math.isfinite, (theta, *fields))):
                    raise overflow(slot.parameter)
                moved.append((slot, theta, tuple(fields), theta))
        return moved

    def note(self, taken: int) -> None:
        """Write counts and fields into the rule's state."""
        self.group.note_counts(self.parameters, taken)
        for slot in self.slots:
            for field, value in zip(self.group.fields, slot.fields, strict=True):
                field[slot.parameter] = value


class Run:
    """Parameters that lie side by side, stepped as one array."""

    def __init__(self, group: Group, parameters: list[Parameter], dtype: np.dtype | None):
        self.group, self.parameters = group, parameters
        assert parameters[0].buffer is not None
        self.buffer: Buffer = parameters[0].buffer
        places = [self.buffer.places[p] for p in parameters]
        self.place = slice(places[0].start, places[-1].stop)
        self.size = self.place.stop - self.place.start
        own = self.buffer.theta.dtype
        self.dtype = own if dtype is None else dtype  # that of the gradient in a formula
        self.constrained = [p for p in parameters if type(p.constraint) is not Real]
        self._values: list[tuple[Parameter, Any]] = []
        self.fields = [self._side_by_side(field) for field in group.fields]
        self.widest = np.result_type(own, self.dtype, *self.fields)
        self.mixed = self.dtype != own
        width = self.widest.itemsize * (3 + len(self.fields))
        self.block = max(1024, CACHE // width // 1024 * 1024)
        self.is_long = self.size > self.block

    def _side_by_side(self, field: dict[Parameter, Any]) -> np.ndarray:
        """One array of what a field holds, of which the field from now on holds views."""
        flat = np.empty(self.size, field[self.parameters[0]].dtype)
        for p, view in self.split(flat):
            view[...] = field[p]
            field[p] = view
        return flat

    def split(self, flat: np.ndarray) -> list[tuple[Parameter, np.ndarray]]:
        """The parts of an array that belong to each parameter."""
        begin, of = self.place.start, self.buffer.places
        ends = [(p, of[p].start - begin, of[p].stop - begin) for p in self.parameters]
        return [(p, flat[a:b].reshape(p.shape)) for p, a, b in ends]

    def gradient(self, given: Mapping[Parameter, Any] | None) -> np.ndarray:
        if given is not None:
            parts = [np.asarray(given[p], self.buffer.grad.dtype).ravel() for p in self.parameters]
            return parts[0] if len(parts) == 1 else np.concatenate(parts)
        for p in self.parameters:
            if not p.accumulated:
                p.gathered_grad()
        return self.buffer.grad[self.place]

    def note(self, taken: int) -> None:
        """Write counts into the rule's state."""
        self.group.note_counts(self.parameters, taken)

    def saved(self, short: bool) -> list[np.ndarray]:
        """Copies of what a step will change, if it is small or its gradient is too large to square.

        A long run is stepped without: a rule that takes a gradient of moderate size beyond what
        floats hold has taken a part of the step when that is found.
        """
        if short and self.is_long:
            return []
        return [a.copy() for a in (self.buffer.theta[self.place], *self.fields)]

    def restore(self, saved: list[np.ndarray]) -> None:
        """Undo a step."""
        if saved:
            for a, old in zip((self.buffer.own()[self.place], *self.fields), saved, strict=True):
                a[...] = old

    def step(self, g: np.ndarray, short: bool, taken: int, scratch: "Scratch") -> None:
        """Step in place.

        Raises:
            UpdateError: it leads to a value that is not finite.
        """
        theta = self.buffer.own()[self.place]
        try:
            constants = self.group.code.folded(*self.group.constants(taken))
        except (ArithmeticError, ValueError):
            raise overflow(self.parameters[0]) from None
        fine = self._move([theta, g, *self.fields], constants, scratch)
        spoilt = [] if short else self.fields  # a large gradient may do that
        for at in spoilt if fine else [theta, *spoilt]:
            if not is_finite(at):
                bad = next(p for p, part in self.split(at) if not is_finite(part))
                undone = not (short and self.is_long)
                raise overflow(bad, "" if undone else ". A part of the step was taken")
        self._values = []
        for p in self.constrained:
            value = p.moved(p.coordinates)[1]
            if not is_finite(value):
                raise overflow(p)
            self._values.append((p, value))

    def finish(self, emptied: bool) -> None:
        """Take new values, and empty the accumulators if they were used."""
        for p, value in self._values:
            p._value = value
        if emptied:
            for p in self.parameters:
                p.accumulated = False

    def _move(self, arrays: list[np.ndarray], constants: Any, scratch: "Scratch") -> bool:
        """Step in place by blocks; False if that leads to a value that is not finite."""
        code, size, block = self.group.code, self.size, self.block
        if size >= FUSED and not self.mixed and _has_numba() and code.can_fuse:
            try:
                return code.fused(*arrays, *constants) == 0
            except code.cannot_fuse():  # it does not compile, and nothing has moved
                code.can_fuse = False
        f, count = code.over_arrays
        fine = True
        for start in range(0, size, block):
            here = arrays if size <= block else [a[start : start + block] for a in arrays]
            space = scratch.of(count, len(here[0]), self.widest)
            if self.mixed:
                theta, g = here[0].astype(self.widest), here[1].astype(self.dtype)
                f(theta, g, *here[2:], *space, *constants)
                here[0][...] = theta
            else:
                f(*here, *space, *constants)
            fine = fine and _is_finite(here[0])  # while it is in the cache
        return fine


@cache
def _has_numba() -> bool:
    return find_spec("numba") is not None


def is_short(v: np.ndarray) -> bool:
    """Whether the square of its length is finite: one pass at the speed of the memory."""
    return math.isfinite(np.dot(v, v))


def _is_finite(v: np.ndarray) -> bool:
    return is_short(v) or is_finite(v)


def overflow(parameter: Parameter, more: str = "") -> UpdateError:
    """The error for a step that leads beyond what floats hold."""
    return UpdateError(
        f"the step takes parameter {parameter.name!r}, or its state, to a value that is not "
        f"finite; lower the step size, or clip the gradient{more}"
    )


class Scratch:
    """Memory for intermediate results, used again and again."""

    def __init__(self) -> None:
        self._arrays: dict[np.dtype, list[np.ndarray]] = {}

    def of(self, count: int, size: int, dtype: np.dtype) -> list[np.ndarray]:
        arrays = self._arrays.setdefault(dtype, [])
        if len(arrays) < count or (arrays and len(arrays[0]) < size):
            arrays[:] = [np.empty(size, dtype) for _ in range(max(count, len(arrays)))]
        return [a if len(a) == size else a[:size] for a in arrays[:count]]
