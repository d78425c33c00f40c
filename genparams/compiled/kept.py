"""Programs that are kept, and their use for one trace."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from genparams.compiled.keys import key_of_data
from genparams.compiled.recording import Open, RecordedGradient, is_input, numbers_of
from genparams.dsl.gradients import Gradient
from genparams.dsl.traced_replay import Inputs
from genparams.numeric import quiet
from genparams.params import Parameter, ParamStore, Positions
from genparams.params.records import structure
from genparams.structure import leaves
from genparams.trace.trace import Trace
from genparams.types import Address, Constraint


@dataclass(frozen=True, slots=True)
class Place:
    """A parameter of a program: any that has this name and form, also one initialised later."""

    store: ParamStore
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    constraint: Constraint
    frozen: bool

    @classmethod
    def of(cls, p: Parameter) -> "Place":
        return cls(p.store, p.name, p.shape, p.dtype, p.constraint, p.frozen)

    def parameter(self) -> Parameter | None:
        """The parameter that is there now; None if it has another form."""
        if self.name not in self.store:
            return None
        found = self.store[self.name]
        return found if Place.of(found) == self else None


@dataclass(slots=True, eq=False)
class Kept:
    """A program that is kept."""

    key: tuple[Any, ...]
    opened: Open
    places: list[Place]
    code: Any
    free: list[int]
    """Which of the parameters the gradient is by."""
    shape: Inputs
    """What the gradient is by; theta is empty."""
    theta: list[Any]
    """The coordinates at which it was recorded, and the log probability of each choice there."""
    log_probs: dict[Address, float]
    calls: dict[Address, Any]
    """The functions that were called."""
    hits: int = 0
    checked: Any = None
    """The record of `structure` when it was last found to be the program of a trace."""
    positions: Positions | None = None
    """Its parameters, at that record."""

    @classmethod
    def made(
        cls, key: tuple[Any, ...], trace: Trace, opened: Open, found: RecordedGradient, code: Any
    ) -> "Kept":
        return cls(
            key,
            opened,
            [Place.of(p) for p in found.parameters],
            code,
            [i for i, p in enumerate(found.parameters) if p in found.inputs.theta],
            found.inputs._replace(theta={}),
            [p.coordinates for p in found.parameters],
            found.log_probs,
            called(trace),
        )

    def bound(self, trace: Trace) -> "Bound | None":
        """The program with the data of a trace; None if it is not its program."""
        positions = self.positions if self.checked is structure.now else self._looked_up()
        if positions is None or called(trace) != self.calls:
            return None
        try:
            values = self._bind(trace)
        except Exception:  # whatever it is, the interpreter shows it
            return None
        if values is None:
            return None
        self.checked, self.positions = structure.now, positions
        return Bound(self, positions, values, self.checked)

    def _looked_up(self) -> Positions | None:
        """The parameters that are there now; None if one has another form."""
        found = [place.parameter() for place in self.places]
        return None if None in found else Positions([p for p in found if p is not None])

    def values(self, args: tuple[Any, ...], choices: Mapping[Address, Any]) -> Any:
        """What `bind` makes of the data of a trace that has these arguments and choices, without
        the trace; None if it is not its program. It is to be called where numpy is quiet."""
        _, opened, (_, forms), order, (_, forms_of_choices) = self.key
        if opened is not Open.ALL or len(order) != len(choices):
            return None
        try:
            values = [choices[address] for address in order]
            if _have(args, forms) and _have(values, forms_of_choices):
                return self.code.bind(*args, *values)
            ordered = dict(zip(order, values, strict=True))
            if (None, *key_of_data(args, ordered, opened)) != self.key:
                return None
            inputs = [x for part in (args, values) for x in leaves(part) if is_input(x)]
            return self.code.bind(*inputs)
        except Exception:  # whatever it is, the interpreter shows it
            return None

    @quiet
    def _bind(self, trace: Trace) -> Any:
        return self.code.bind(*numbers_of(trace, self.opened))


def called(trace: Trace) -> dict[Address, Any]:
    """The functions that a trace called, by address; a function may be defined anew."""
    return {address: function for address, (function, _) in trace.calls.items()}


def _have(values: Sequence[Any], forms: Sequence[Any]) -> bool:
    """Whether values are arrays and floats that all have the forms of inputs in a key."""
    if len(values) != len(forms):
        return False
    for x, form in zip(values, forms, strict=True):
        kind = type(x)
        if kind is np.ndarray:
            if (x.shape, x.dtype) != form:
                return False
        elif kind is not float or form is not float:
            return False
    return True


@dataclass(slots=True, eq=False)
class Replayed:
    """What a replay found."""

    bound: "Bound"
    log_prob: float
    grads: list[Any]
    theta: list[Any]
    """The coordinates of all parameters of the program."""
    then: Any
    """What `Positions.have_moved` compares."""

    @property
    def kept(self) -> Kept:
        return self.bound.kept

    @property
    def by_parameter(self) -> dict[Parameter, Any]:
        return dict(zip(self.bound.free, self.grads, strict=False))

    def gradient(self) -> Gradient:
        """The same as what `differentiate` returns."""
        shape = self.kept.shape._replace(theta=self.by_parameter)
        theta = dict(zip(self.bound.parameters, self.theta, strict=True))
        free = {p: theta[p] for p in self.bound.free}
        return Gradient(self.log_prob, *shape.with_leaves(self.grads), {}, free)


@dataclass(slots=True, eq=False)
class Bound:
    """A program with the data of one trace, for one thread."""

    kept: Kept
    positions: Positions
    values: Any
    structure: Any
    """The record of `structure` at the time of binding: no parameter was frozen since."""
    free: list[Parameter] = field(init=False)

    def __post_init__(self) -> None:
        self.free = [self.parameters[i] for i in self.kept.free]

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.positions.parameters

    @quiet
    def run(self) -> Replayed | None:
        """Replay at the present parameters; None where the interpreter has to answer."""
        theta, then = self.positions.read()
        try:
            found = self.kept.code.step(*theta, self.values)
        except Exception:  # whatever it is, the interpreter shows it
            return None
        if found is None:
            return None
        for g in found:
            if not (g - g == 0.0 if type(g) is float else np.isfinite(g).all()):
                return None
        log_prob, *grads = found
        return Replayed(self, log_prob, grads, theta, then)
