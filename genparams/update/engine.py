"""The engine: elementwise rules on flat memory, in place.

Parameters of one store whose arrays lie side by side, go through the same formulas and have taken
part in as many steps form a *run*, which is stepped as one long array, by blocks that stay in the
cache. Single numbers are stepped as floats. The state that a rule describes is a dictionary by
parameter; what a run holds is the memory behind it.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from genparams.errors import UpdateError
from genparams.params import Buffer, Parameter, Real, is_finite
from genparams.tree import brief
from genparams.update.kernels import Elementwise, Kernel, kernel
from genparams.update.rule import Rule

Parts = list[tuple[Elementwise, dict[str, Any]]]
"""Formulas that run one after the other, each with its part of the rule's state."""

CACHE = 1 << 21
"""The bytes of all arrays of a block: what stays in the cache, with few calls for each number."""
FUSED = 1 << 18
"""From how many numbers on numba's loop is worth the time that it takes to compile."""


class Group:
    """What parameters that step alike have in common: formulas, constants and counts."""

    __slots__ = ("_makers", "_parts", "code", "counts", "fields")

    def __init__(self, parts: Parts, minimize: bool, parameter: Parameter):
        self._parts = parts
        self.code: Kernel = kernel(tuple([piece for piece, _ in parts]), minimize)
        self.counts = [_count(piece, state, parameter) for piece, state in parts]
        self.fields = [state[name] for piece, state in parts for name in piece.fields]
        self._makers = [
            (piece.constants, i if piece.counts else None, state)
            for i, (piece, state) in enumerate(parts)
            if piece.constants is not None
        ]

    def constants(self) -> list[float]:
        """The constants of the next step."""
        found: list[float] = []
        for make, i, state in self._makers:
            found += make(state if i is None else self.counts[i] + 1)
        return found

    def counted(self) -> None:
        """A step was taken."""
        self.counts = [t + 1 for t in self.counts]

    def note_counts(self, parameters: Iterable[Parameter]) -> None:
        """Write the counts into the rule's state."""
        for (piece, state), t in zip(self._parts, self.counts, strict=True):
            if piece.counts:
                state["t"].update(dict.fromkeys(parameters, t))


def _count(piece: Elementwise, state: dict[str, Any], parameter: Parameter) -> int:
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

    def stepped(self, given: Mapping[Parameter, Any] | None) -> list[tuple] | Parameter:
        """Each slot with its new coordinate, fields and value; or one that has none.

        Coordinate and value are the same where only three are given.
        """
        gradients = [p._grad if given is None else given[p] for p in self.parameters]
        constants = self.group.constants()
        try:
            found = self.group.code.over_floats(self.slots, gradients, *constants)
        except (ArithmeticError, ValueError):  # as 1 / 0 for a float, where an array gives inf
            return self._failing(gradients, constants)
        if self._plain or isinstance(found, Parameter):
            return found
        with np.errstate(all="ignore"):
            for i, (slot, theta, fields) in enumerate(found):
                if not slot.plain:
                    theta, value = slot.parameter.moved(theta)
                    if not is_finite(value):
                        return slot.parameter
                    found[i] = slot, theta, fields, value
        return found

    def _failing(self, gradients: list[float], constants: list[float]) -> Parameter:
        """The parameter whose step cannot be computed."""
        for slot, g in zip(self.slots, gradients, strict=True):
            try:
                self.group.code.over_floats([slot], [g], *constants)
            except (ArithmeticError, ValueError):
                return slot.parameter
        raise AssertionError("one of them failed before")

    def note(self) -> None:
        """Write counts and fields into the rule's state."""
        self.group.note_counts(self.parameters)
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
        self.dtype = self.buffer.theta.dtype if dtype is None else dtype
        self.wide = self.dtype != self.buffer.theta.dtype
        self.constrained = [p for p in parameters if type(p.constraint) is not Real]
        self._values: list[tuple[Parameter, Any]] = []
        self.fields = [self._side_by_side(field) for field in group.fields]
        width = self.dtype.itemsize * (3 + len(self.fields))
        self.block = max(1024, CACHE // width // 1024 * 1024)

    def _side_by_side(self, field: dict[Parameter, Any]) -> np.ndarray:
        """One array of what a field holds, of which the field from now on holds views."""
        flat = np.empty(self.size, self.dtype)
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

    def note(self) -> None:
        """Write counts into the rule's state."""
        self.group.note_counts(self.parameters)

    def saved(self, safe: bool) -> list[np.ndarray]:
        """Copies of what a step will change, if it is small or not safe.

        A long run whose gradients can be squared is stepped without: a rule that then still takes
        a number beyond what floats hold has taken a part of the step when that is found.
        """
        if safe and self.size > self.block:
            return []
        return [a.copy() for a in (self.buffer.theta[self.place], *self.fields)]

    def restore(self, saved: list[np.ndarray]) -> None:
        """Undo a step."""
        if saved:
            for a, old in zip((self.buffer.own()[self.place], *self.fields), saved, strict=True):
                a[...] = old

    def step(self, g: np.ndarray, scratch: "Scratch") -> None:
        """Step in place.

        Raises:
            UpdateError: it leads to a value that is not finite.
        """
        theta = self.buffer.own()[self.place]
        constants = self.group.code.folded(*self.group.constants())
        if not self._move([theta, g, *self.fields], constants, scratch):
            raise overflow(next(p for p, at in self.split(theta) if not is_finite(at)))
        self._values = []
        for p in self.constrained:
            value = p.moved(p.coordinates)[1]
            if not is_finite(value):
                raise overflow(p)
            self._values.append((p, value))

    def finish(self, emptied: bool) -> None:
        """Count the step, take new values, and empty the accumulators if they were used."""
        self.group.counted()
        for p, value in self._values:
            p._value = value
        if emptied:
            for p in self.parameters:
                p.accumulated = False

    def _move(self, arrays: list[np.ndarray], constants: Any, scratch: "Scratch") -> bool:
        """Step in place by blocks; False if that leads to a value that is not finite."""
        code, size, block = self.group.code, self.size, self.block
        if size >= FUSED and not self.wide and _has_numba():
            return code.fused(*arrays, *constants) == 0
        f, count = code.over_arrays
        fine = True
        for start in range(0, size, block):
            here = arrays if size <= block else [a[start : start + block] for a in arrays]
            space = scratch.of(count, len(here[0]), self.dtype)
            if self.wide:
                wide = [a.astype(self.dtype) for a in here[:2]]
                f(*wide, *here[2:], *space, *constants)
                here[0][...] = wide[0]
            else:
                f(*here, *space, *constants)
            fine = fine and _is_finite(here[0])  # while it is in the cache
        return fine


@cache
def _has_numba() -> bool:
    return find_spec("numba") is not None


def _is_short(v: np.ndarray) -> bool:
    """Whether the square of its length is finite: one pass at the speed of the memory."""
    return math.isfinite(np.dot(v, v))


def _is_finite(v: np.ndarray) -> bool:
    return _is_short(v) or is_finite(v)


def overflow(parameter: Parameter) -> UpdateError:
    """The error for a step that leads beyond what floats hold."""
    return UpdateError(
        f"the step takes parameter {parameter.name!r} from {brief(parameter.value)} to a value "
        "that is not finite; lower the step size"
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


class Engine:
    """An elementwise rule on certain parameters.

    Args:
        state: The rule's state, to which the engine writes from now on. What it holds by
            parameter is up to date after `note`.
    """

    def __init__(
        self,
        rule: Rule,
        state: dict[str, Any],
        parameters: dict[Parameter, None],
        minimize: bool,
    ):
        self.parameters = parameters
        self.made_for: Any = None
        self._scratch = Scratch()
        parts = {p: _parts(rule, state, p) for p in parameters}
        self._shared = [
            (piece.advance, at)
            for piece, at in _parts(rule, state, None)
            if piece.advance is not None
        ]
        for store in {p.store: None for p in parameters}:
            store.pack()

        def alike(p: Parameter) -> Any:
            return [(piece, id(s), _count(piece, s, p)) for piece, s in parts[p]]

        self.singles: list[Singles] = []
        singles: dict[Any, list[Parameter]] = {}
        for p in parameters:
            if p.buffer is None:
                singles.setdefault(tuple(alike(p)), []).append(p)
        for together in singles.values():
            group = Group(parts[together[0]], minimize, together[0])
            self.singles.append(Singles(group, together))
        self.runs: list[Run] = []
        for together in _side_by_side([p for p in parameters if p.buffer is not None], alike):
            group = Group(parts[together[0]], minimize, together[0])
            self.runs.append(Run(group, together, _dtype(parts[together[0]])))

    def is_current(self) -> bool:
        """Whether its parameters still lie where they lay."""
        return all([run.parameters[0].buffer is run.buffer for run in self.runs])  # noqa: C419  # quick

    def note(self) -> None:
        """Write what is kept by parameter into the rule's state."""
        for part in (*self.singles, *self.runs):
            part.note()

    def step(self, given: Mapping[Parameter, Any] | None) -> bool:
        """Step along given gradients, or the accumulated ones; False if one is not finite.

        Accumulators that were used are emptied. Unless it returns True, nothing has changed.

        Raises:
            UpdateError: the step leads to a value that is not finite.
        """
        moved: list[tuple] = []
        for part in self.singles:
            found = part.stepped(given)
            if isinstance(found, Parameter):
                g = found._grad if given is None else given[found]
                if math.isfinite(g):
                    raise overflow(found)
                return False
            moved += found
        if self.runs and not self._step_runs(given):
            return False
        for slot, theta, fields, *value in moved:
            p = slot.parameter
            p._theta = theta
            p._value = value[0] if value else theta
            slot.fields = fields
            if given is None:
                p._grad, p.accumulated = 0.0, False
        for part in self.singles:
            part.group.counted()
        for advance, state in self._shared:
            state.update(advance(state))
        return True

    def _step_runs(self, given: Mapping[Parameter, Any] | None) -> bool:
        saved: list[tuple[Run, list[np.ndarray]]] = []
        with np.errstate(all="ignore"):  # what is not finite is looked for
            gradients = [run.gradient(given) for run in self.runs]
            short = [_is_short(g) for g in gradients]
            if not all(short) and not all(map(is_finite, gradients)):
                return False
            try:
                for run, g, safe in zip(self.runs, gradients, short, strict=True):
                    saved.append((run, run.saved(safe)))
                    run.step(g, self._scratch)
            except BaseException:
                for run, old in saved:
                    run.restore(old)
                raise
        for run in self.runs:
            run.finish(emptied=given is None)
        return True


def _parts(rule: Rule, state: dict[str, Any], parameter: Parameter | None) -> Parts:
    """The formulas that a parameter goes through, or all, each with its part of the state."""
    assert rule.pieces is not None
    found = []
    for path, piece in rule.pieces(parameter):
        at = state
        for name in path:
            at = at[name]
        found.append((piece, at))
    return found


def _dtype(parts: Parts) -> np.dtype | None:
    return next((piece.dtype for piece, _ in parts if piece.dtype is not None), None)


def _side_by_side(
    parameters: Iterable[Parameter], alike: Callable[[Parameter], Any]
) -> list[list[Parameter]]:
    """Those that follow each other in memory and step alike, together."""
    found: list[list[Parameter]] = []
    end: Any = None
    for buffer, at, p in sorted(map(_lying, parameters), key=lambda lying: lying[:2]):
        if (buffer, at, alike(p)) == end:
            found[-1].append(p)
        else:
            found.append([p])
        end = buffer, at + int(np.prod(p.shape)), alike(p)
    return found


def _lying(p: Parameter) -> tuple[int, int, Parameter]:
    """Where the numbers of a parameter are: in which memory, and from which place on."""
    assert p.buffer is not None
    return id(p.buffer), p.buffer.places[p].start, p
