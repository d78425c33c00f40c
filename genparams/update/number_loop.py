"""A loop of single numbers: a gradient and rules take turns in one function made of text.

It computes what the steps of a burst do, without the calls in between, which take longer than the
arithmetic of a few numbers (benchmarks/static.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from genparams.params import DOUBLE, Parameter
from genparams.program.record import Symbol, program
from genparams.program.write import function, indented, number_lines, row, text
from genparams.types import Real
from genparams.update.group import Group
from genparams.update.kernel import applied, constants_of

MOST = 32
"""The most numbers of a loop: each has lines of its own."""


@dataclass(frozen=True, slots=True, eq=False)
class Moved:
    """A parameter that a loop moves.

    Args:
        source: The place of its gradient in what the gradient returns; None if it has none.
        target: The place of its coordinate in what the gradient takes; None if it is not taken.
    """

    parameter: Parameter
    source: int | None
    target: int | None

    @property
    def is_plain(self) -> bool:
        """Whether coordinate and value are floats of Python."""
        return self.parameter.dtype is DOUBLE and self.parameter.value_shape == ()


@dataclass(frozen=True, slots=True, eq=False)
class Together:
    """Parameters of one group, which the update of number `rule` moves."""

    rule: int
    group: Group
    moved: Sequence[Moved]


@dataclass(slots=True, eq=False)
class Numbers:
    """What a loop changes; lists in the order of the parameters that it moves."""

    coordinates: Sequence[float]
    values: Sequence[float]
    fields: Sequence[tuple[float, ...]]
    taken: Sequence[int]
    """For each update how many steps it has taken, and the state that its parameters share."""
    states: Sequence[Any]
    steps: int = 0


@dataclass(slots=True, eq=False)
class Notes:
    """What a loop notes of each step."""

    clock: Callable[[], float]
    deadline: float
    """After which time by the clock the loop ends."""
    first: int
    """The number of the first step."""
    every: int
    """Of every so many steps the values of parameters are noted."""
    log_probs: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    numbers: list[float] = field(default_factory=list)
    arrays: list[Any] = field(default_factory=list)
    """The values of parameters that are single numbers, and of those that are arrays."""

    def clear(self) -> None:
        """Forget all steps."""
        self.log_probs, self.norms, self.seconds = [], [], []
        self.numbers, self.arrays = [], []


class NumberLoop:
    """A loop.

    Args:
        groups: The parameters that it moves.
        advances: For each update what advances the state that its parameters share, or None.
        taken: How many coordinates the gradient takes.
        found: How many numbers it returns.
        noted: The values that are noted: places among the parameters; None for another number.
    """

    def __init__(
        self,
        groups: Sequence[Together],
        advances: Sequence[Callable[[Any], Any] | None],
        taken: int,
        found: int,
        noted: Sequence[int | None],
    ):
        self._groups, self._advances = groups, advances
        self._taken, self._found, self.noted = taken, found, noted
        self._moved = [m for one in groups for m in one.moved]
        self._count = len(self._moved)
        self._names = [f"b{k}" if m.target is None else f"a{m.target}" for k, m in self._all()]
        self._space: dict[str, Any] = {
            f"natural{k}": m.parameter.constraint.natural for k, m in self._all()
        }
        self._record()
        lines = [
            "def loop(gradient, bounds, scale, theta, now, others, notes):",
            *indented(self._begin()),
            "  done = 0",
            "  try:",
            "    for bound in bounds:",
            *indented([*self._gradient(), *self._move(), *self._turn(), *self._note()], 3),
            "  except Exception: pass  # whatever it is, a step of the usual kind shows it",
            *indented(self._end()),
        ]
        self.text = "\n".join(lines)
        self.run: Callable[..., None] = function(lines, "loop", self._space)
        """`run(gradient, bounds, scale, theta, now, others, notes)` changes `now`."""

    def _all(self) -> "enumerate[Moved]":
        return enumerate(self._moved)

    def _record(self) -> None:
        """Record the formulas of all parameters as one program."""
        self._calls: list[str] = []  # lines for the constants of a step
        self._calls_before: list[str] = []  # lines for those that stay
        symbols: list[Symbol] = []
        self._fields: list[list[Symbol]] = []
        self._new: list[list[Any]] = []  # next coordinates and fields
        for i, one in enumerate(self._groups):
            formulas = [formula for _, formula in one.group.parts]
            constants = constants_of(formulas, f"_{i}")
            self._call(one, constants)
            symbols += constants
            for _ in one.moved:
                k = len(self._new)
                g, theta = Symbol(f"g{k}"), Symbol(self._names[k])
                fields, new = applied(formulas, g, theta, constants, f"_{k}")
                self._fields.append(fields)
                self._new.append(new)
        inputs = [s for fields in self._fields for s in fields]
        self._program = program(inputs, symbols, [r for new in self._new for r in new])

    def _call(self, one: Together, constants: Sequence[Symbol]) -> None:
        """Write the lines that give the constants of a group."""
        left, rule = iter(constants), one.rule
        with_constants = [formula for _, formula in one.group.parts if formula.constants]
        for formula, source in zip(with_constants, one.group.sources(), strict=True):
            number = len(self._space)
            names = row(islice(left, len(formula.constants_at(1, formula.shared or {}))))
            self._space[f"call{number}"], before, self._space[f"at{number}"] = source
            if before is not None:
                self._calls.append(f"{names} = call{number}(taken{rule} + {before + 1})")
                continue
            is_fixed = self._advances[rule] is None
            where = self._calls_before if is_fixed else self._calls
            where.append(f"{names} = call{number}(at{number}(state{rule}))")

    # --- The parts of the text

    def _begin(self) -> list[str]:
        names = [f"a{i}" for i in range(self._taken)]
        others = [f"other{i}" for i, k in enumerate(self.noted) if k is None]
        none = [f"g{k} = 0.0" for k, m in self._all() if m.source is None]
        return [
            f"{_target(names)} = theta",
            f"{_target(self._names)} = now.coordinates",
            f"{_target(f'v{k}' for k in range(self._count))} = now.values",
            f"{_target(_target(map(text, fields)) for fields in self._fields)} = now.fields",
            f"{_target(f'taken{r}' for r in range(len(self._advances)))} = now.taken",
            f"{_target(f'state{r}' for r in range(len(self._advances)))} = now.states",
            f"{_target(others)} = others",
            *none,
            *self._calls_before,
            "log_probs, norms = notes.log_probs.append, notes.norms.append",
            "seconds, numbers = notes.seconds.append, notes.numbers.extend",
            "clock, deadline, every = notes.clock, notes.deadline, notes.every",
            "first = notes.first",
        ]

    def _gradient(self) -> list[str]:
        """Lines that compute the gradient, and end the loop if it is too large to be squared."""
        given = "".join(f"a{i}, " for i in range(self._taken))
        found = {m.source: f"g{k}" for k, m in self._all() if m.source is not None}
        names = ["log_prob", *(found.get(i, "_") for i in range(1, self._found))]
        scaled = [f"{g} = scale * {g}" for g in found.values()]
        small = [f"-1e150 < {g} < 1e150" for g in found.values()]
        return [
            f"found = gradient({given}bound)",
            "if found is None: break",
            f"{_target(names)} = found",
            f"if scale != 1.0: {'; '.join(scaled)}",
            f"if not ({' and '.join(['log_prob - log_prob == 0.0', *small])}): break",
        ]

    def _move(self) -> list[str]:
        """Lines that compute the next numbers, and end the loop if one is not finite."""
        values = []
        for k, m in self._all():
            at = text(self._new[k][0])
            if type(m.parameter.constraint) is Real:
                values.append(f"if {at} - {at} != 0.0: break")
                continue
            values += [f"w{k} = float(natural{k}({at}))"]
            values.append(f"if {at} - {at} != 0.0 or w{k} - w{k} != 0.0: break")
        return [
            *self._calls,
            *number_lines(self._program.folded),
            *number_lines(self._program.steps),
            *values,
            *(f"next{r} = advance{r}(state{r})" for r in self._advancing()),
        ]

    def _advancing(self) -> list[int]:
        for r, advance in enumerate(self._advances):
            self._space[f"advance{r}"] = advance
        return [r for r, advance in enumerate(self._advances) if advance is not None]

    def _turn(self) -> list[str]:
        """Lines that make the next numbers the present ones."""
        kept = [s.name for fields in self._fields for s in fields]
        then = [text(r) for new in self._new for r in new[1:]]
        moved = [text(new[0]) for new in self._new]
        lines = [_assigned([*self._names, *kept], [*moved, *then])]
        for k, m in self._all():
            is_real = type(m.parameter.constraint) is Real
            lines.append(f"v{k} = {self._names[k] if is_real else f'w{k}'}")
        lines += [f"state{r} = next{r}" for r in self._advancing()]
        return [*lines, *(f"taken{r} += 1" for r in range(len(self._advances)))]

    def _note(self) -> list[str]:
        lengths = ", ".join(f"g{k}" for k in range(self._count))
        values = [f"other{i}" if k is None else f"v{k}" for i, k in enumerate(self.noted)]
        return [
            "log_probs(log_prob)",
            f"norms(hypot({lengths}))",
            *([f"if (first + done) % every == 0: numbers({_target(values)})"] if values else []),
            "done += 1",
            "seconds(second := clock())",
            "if second > deadline: break",
        ]

    def _end(self) -> list[str]:
        updates = range(len(self._advances))
        return [
            "now.steps = done",
            f"now.coordinates = [{', '.join(self._names)}]",
            f"now.values = [{', '.join(f'v{k}' for k in range(self._count))}]",
            f"now.fields = [{', '.join(_target(map(text, f)) for f in self._fields)}]",
            f"now.taken = [{', '.join(f'taken{r}' for r in updates)}]",
            f"now.states = [{', '.join(f'state{r}' for r in updates)}]",
        ]


def _target(names: Any) -> str:
    """A tuple, of names to assign to or to read."""
    return f"({''.join(f'{name}, ' for name in names)})"


def _assigned(names: Sequence[str], values: Sequence[str]) -> str:
    """An assignment of all at once: a value may be another's name."""
    return f"{_target(names)} = {_target(values)}"
