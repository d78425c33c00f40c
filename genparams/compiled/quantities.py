"""Quantities of the traces of a static function, recorded once and replayed.

A likelihood, its Hessian, and the density of a sampler are quantities (`dsl.quantities`). After
some evaluations that are interpreted, a quantity is recorded as a program. The numbers that move
are inputs of the program; arguments, choices and parameters that are held are its data. The rules
are those of `compiled.static`: a replay gives what the interpreter gives, or nothing, and the first
replay, the fourth, the sixteenth and so on are compared with the interpreter.
"""

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from genparams.autodiff import raw
from genparams.compiled.agreement import agree, is_rounding, nudged, refusal_of
from genparams.compiled.code import checked_backend, code_for
from genparams.compiled.keys import key_of
from genparams.compiled.outside import Outside
from genparams.compiled.programs import Programs
from genparams.compiled.recording import CAP, Open, data_of, entered, without_collection
from genparams.dsl.comparison import refuse_changed_arguments
from genparams.dsl.execution import by_place
from genparams.dsl.quantities import Point, Quantity, evaluate, holding
from genparams.errors import ReplayDiffers, StaticDiffers
from genparams.numeric import quiet
from genparams.params import Parameter, ParamStore
from genparams.params.records import structure
from genparams.program.recorded import DATA, PARAMETERS, Recorded, Recording, plain
from genparams.structure import leaves, map_leaves
from genparams.trace.trace import Trace, bound_of
from genparams.types import Address, show

AFTER = 16
"""A quantity is recorded at this evaluation. A recording costs as much as 20 to 50 evaluations, and
a single fit makes about 10."""
RESULT = object()
"""Stands for a number that the program computes, in the structure of a result."""
Place = tuple[ParamStore, str]


@dataclass(slots=True, eq=False)
class KeptQuantity:
    """A recorded quantity."""

    key: tuple[Any, ...]
    opened: Open
    code: Any
    shape: Any
    """The structure of the result, with `RESULT` for each number that is computed."""
    held: dict[Place, Any]
    """The parameters that are data, with the values at which it was recorded."""
    theta: Mapping[Any, Any]
    """What moves, as it was when it was recorded."""
    log_probs: dict[Address, Any]
    """The log probability of each choice then."""
    hits: int = 0


@dataclass(slots=True, eq=False)
class BoundQuantity:
    """A recorded quantity with the data of one trace, for one thread."""

    kept: KeptQuantity
    values: Any
    held: list[Any]
    """The values of `kept.held` that are in `values`."""
    structure: Any
    """The record of `structure` at the time of binding: no parameter was made anew since."""

    def has_data(self, given: Mapping[Place, Any]) -> bool:
        """Whether the parameters that are data have the values that they had."""
        for value, place in zip(self.held, self.kept.held, strict=True):
            now = _value(place, given)
            if now is not value and not np.array_equal(now, value):
                return False
        return True

    @quiet
    def run(self, theta: Mapping[Any, Any]) -> Any:
        """The quantity; None where the interpreter has to answer."""
        try:
            found = self.kept.code.step(*leaves([*theta.values()]), self.values)
        except Exception:  # whatever it is, the interpreter shows it
            return None
        if found is None:
            return None
        if not all(map(_is_finite, found)):
            return None
        rest = iter(found)
        return map_leaves(lambda leaf: next(rest) if leaf is RESULT else leaf, self.kept.shape)


@dataclass(frozen=True, slots=True)
class Asked:
    """A quantity at a point of a trace, as `dsl.quantities.evaluate` takes it."""

    quantity: Quantity
    trace: Trace
    theta: Mapping[Any, Any]
    held: Mapping[Parameter, Any]

    def interpreted(self) -> Any:
        return evaluate(self.quantity, self.trace, self.theta, self.held)

    def place(self) -> tuple[Any, ...]:
        """Where the trace keeps the program that was used last."""
        return threading.get_ident(), self.quantity, *self.theta

    def key(self, opened: Open) -> tuple[Any, ...]:
        """Everything on which a program depends but the numbers of its inputs."""
        moving = tuple([_form(at, part) for at, part in self.theta.items()])
        return moving, *key_of(self.trace, opened)


class StaticQuantities:
    """What evaluates the quantities of the traces of a static function.

    Args:
        name: The name of the function.
        backend: What runs the programs: "numpy", or "numba".
        after: The number of the evaluation of a quantity at which it is recorded.
    """

    def __init__(self, name: str, backend: str = "numpy", after: int = AFTER):
        self.name, self.backend, self.after = name, checked_backend(backend), after
        self.programs: dict[Quantity, Programs] = {}
        self._mode = os.environ.get("GENPARAMS_STATIC", "")

    def evaluate(
        self,
        quantity: Quantity,
        trace: Trace,
        theta: Mapping[Any, Any],
        held: Mapping[Parameter, Any],
    ) -> Any:
        """`dsl.quantities.evaluate`, by a replay where one is right.

        Raises:
            StaticDiffers: a replay found something else than the interpreter.
        """
        asked = Asked(quantity, trace, theta, held)
        if self._mode == "off" or not _is_current(trace):
            return asked.interpreted()
        programs = self.programs.get(quantity)
        if programs is None:
            what = f"evaluations of {_what(quantity)}"
            programs = self.programs.setdefault(quantity, Programs(self.name, what))
        bound, done = _replayed(programs, asked)
        if bound is not None and not self._is_due(bound.kept):
            return done
        found = asked.interpreted()
        if bound is None:
            self._learn(programs, asked, found)
        elif bound.has_data(by_place(held)):  # else another thread moved a parameter in between
            _refuse_other(self.name, asked, bound.kept, done, found)
        return found

    def _is_due(self, kept: KeptQuantity) -> bool:
        """Whether a replay is to be compared with the interpreter."""
        n = kept.hits
        return self._mode == "check" or (n & (n - 1) == 0 and n.bit_length() % 2 == 1)

    def _learn(self, programs: Programs, asked: Asked, found: Any) -> None:
        """Record a quantity for which no program was right, if it was often asked for."""
        if found is None or not all(map(_is_finite, leaves(found))):
            return
        programs.asked += 1
        if programs.asked >= self.after:
            programs.learn(asked.key, lambda opened: self._recorded(asked, opened))

    def _recorded(self, asked: Asked, opened: Open) -> KeptQuantity:
        found = record_quantity(asked, opened)
        results = [leaf for leaf in leaves([found.tree]) if type(leaf) is Recorded]
        kept = KeptQuantity(
            asked.key(opened),
            opened,
            code_for(found.recording, results, self.backend),
            map_leaves(lambda x: RESULT if type(x) is Recorded else x, found.tree),
            found.held,
            asked.theta,
            found.log_probs,
        )
        bound_of(asked.trace)[kept] = None  # it was recorded from this trace
        return kept


def _replayed(programs: Programs, asked: Asked) -> tuple[BoundQuantity | None, Any]:
    """The program that was right, and the quantity; None where there is none."""
    place, known, given = asked.place(), asked.trace._bound, by_place(asked.held)
    last: BoundQuantity | None = known.get(place) if known is not None else None
    if last is not None and not (last.structure is structure.now and last.has_data(given)):
        last = None
    if last is not None:
        done = last.run(asked.theta)
        if done is not None:
            last.kept.hits += 1
            return last, done
    for kept in programs.of(asked.key(programs.level)):
        if last is not None and kept is last.kept:
            continue
        bound = _bound(kept, asked.trace, given)
        done = None if bound is None else bound.run(asked.theta)
        if done is not None:
            bound_of(asked.trace)[place] = bound
            programs.used(kept, has_flipped=last is not None)
            return bound, done
    return None, None


def _refuse_other(name: str, asked: Asked, kept: KeptQuantity, done: Any, found: Any) -> None:
    """Refuse a replay that differs from what the interpreter found.

    Raises:
        StaticDiffers: naming the address of the first choice whose log probability differs, if the
            program was recorded from this trace.
    """
    mine, theirs = (_numbers(tree) for tree in (done, found))

    def near(rng: np.random.Generator) -> list[Any]:
        theta = {at: map_leaves(lambda x: nudged(x, rng), x) for at, x in asked.theta.items()}
        return _numbers(evaluate(asked.quantity, asked.trace, theta, asked.held))

    if len(mine) == len(theirs) and is_rounding(mine, theirs, near):
        return
    at = _address(asked, kept)
    where = f" at {show(at)}" if at is not None else ""
    raise StaticDiffers(refusal_of(name, f"{_what(asked.quantity)}{where}"))


def _what(quantity: Quantity) -> str:
    """What a quantity is, in words."""
    return f"the {quantity.__name__.replace('_', ' ')}"


def _is_current(trace: Trace) -> bool:
    """Whether the arguments of a trace hold the numbers of its run."""
    try:
        refuse_changed_arguments(trace)
    except ReplayDiffers:
        return False
    return True


def _numbers(tree: Any) -> list[Any]:
    return [x for x in leaves([tree]) if _is_number(x)]


def _is_number(value: Any) -> bool:
    return type(value) is float or (isinstance(value, np.ndarray) and value.dtype.kind == "f")


def _is_finite(x: Any) -> bool:
    if type(x) is float:
        return x - x == 0.0
    return not _is_number(x) or bool(np.isfinite(x).all())


def _address(asked: Asked, kept: KeptQuantity) -> Address | None:
    """The first choice whose log probability is not what it was when the program was recorded, at
    the same parameters; None if there is none."""
    trace = asked.trace
    if kept not in bound_of(trace):
        return None
    held = holding({store[name]: value for (store, name), value in kept.held.items()})
    point = Point(kept.theta, held, trace.args, trace.choices._values)
    asked.quantity(trace, point)
    for address, lp in point.log_probs.items():
        before = kept.log_probs.get(address)
        if before is None or not agree(raw(lp), before, abs(before)):
            return address
    return None


# --- Keys and data


def _form(at: Any, part: Any) -> Any:
    form = tuple([np.shape(leaf) for leaf in leaves(part)])
    return (at.store, at.name, at.constraint, form) if isinstance(at, Parameter) else (at, form)


def _value(place: Place, given: Mapping[Place, Any]) -> Any:
    value = given.get(place)
    return place[0][place[1]].value if value is None else value


def _bound(kept: KeptQuantity, trace: Trace, given: Mapping[Place, Any]) -> BoundQuantity | None:
    """A program with the data of a trace; None if it is not its program."""
    data = [x for _, x in data_of(trace, kept.opened)]
    try:
        held = [_value(place, given) for place in kept.held]
        if any(np.shape(a) != np.shape(b) for a, b in zip(held, kept.held.values(), strict=True)):
            return None
        values = _bind(kept, data, held)
    except Exception:  # whatever it is, the interpreter shows it
        return None
    return None if values is None else BoundQuantity(kept, values, held, structure.now)


@quiet
def _bind(kept: KeptQuantity, data: list[Any], held: list[Any]) -> Any:
    return kept.code.bind(*data, *held)


# --- Recording


@dataclass(slots=True)
class RecordedQuantity:
    """A quantity, and how it was computed."""

    recording: Recording
    tree: Any
    """The result: recorded values and constants."""
    held: dict[Place, Any]
    """The values of the parameters that are inputs and do not move, in the order of the inputs."""
    log_probs: dict[Address, Any]


@quiet
@without_collection
def record_quantity(asked: Asked, opened: Open) -> RecordedQuantity:
    """Record a quantity of a trace.

    Raises:
        CannotRecord: something in the run cannot be recorded.
    """
    recording, trace = Recording(CAP), asked.trace
    data = iter([recording.input(x, DATA, name) for name, x in data_of(trace, opened)])
    args = entered(trace.args, data) if opened >= Open.ALL else trace.args
    choices: Mapping[Address, Any] = trace.choices._values
    if opened >= Open.CHOICES:
        choices = {address: entered(value, data) for address, value in choices.items()}
    moving = {at: _moving(recording, at, part) for at, part in asked.theta.items()}
    present = holding(asked.held)
    read: dict[Place, Recorded] = {}

    def answer(parameter: Parameter) -> Any:
        place = parameter.store, parameter.name
        if place not in read:
            read[place] = recording.input(present(parameter), DATA, parameter.name)
        return read[place]

    point = Point(moving, answer, args, choices)
    with Outside(trace):
        tree = asked.quantity(trace, point)
    recording.close()
    log_probs = {a: plain(raw(lp)) for a, lp in point.log_probs.items()}
    held_values = {place: one.value for place, one in read.items()}
    return RecordedQuantity(recording, tree, held_values, log_probs)


def _moving(recording: Recording, at: Any, part: Any) -> Any:
    name = at.name if isinstance(at, Parameter) else show(at)
    return map_leaves(lambda x: recording.input(x, PARAMETERS, name), part)
