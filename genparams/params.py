"""Parameters: values that are trained, with the accumulators of their gradients.

A parameter is kept in unconstrained coordinates theta; its *value* is `constraint.natural(theta)`.
Its gradient accumulator, whatever is added to it by hand, and every update live in the coordinates
theta. For the constraint `real`, the default, the two are the same.

Values are float64 (float32 where given so), a single number is a Python float. They are copied in
and out, and no array that was handed out is ever written to, so that old traces stay as they were:
an update writes in place only where nobody else holds the array, and else replaces it.
"""

import sys
import threading
from collections import deque
from collections.abc import ItemsView, Iterable, Iterator, Mapping, ValuesView
from dataclasses import dataclass
from itertools import pairwise, starmap
from operator import call
from typing import Any, Protocol

import numpy as np

from genparams.attributes import closed
from genparams.errors import (
    ConstraintError,
    ImmutableError,
    InvalidValue,
    ShapeError,
    UninitializedParameter,
    UnknownAttribute,
    UnknownParameter,
    nearest,
)
from genparams.keywords import answering, explained
from genparams.tree import brief, html_tree, offence
from genparams.types import Constraint


@dataclass(frozen=True, slots=True)
class Real:
    """All real numbers: the value is its own coordinates."""

    name: str = "real"

    def natural(self, theta: Any) -> Any:
        return theta

    def coordinates(self, value: Any) -> Any:
        finite = np.isfinite(value)
        if not np.all(finite):
            raise ConstraintError(
                f"{offence(value, finite)} is not real: every entry must be finite"
            )
        return value

    def __repr__(self) -> str:
        return self.name


real = Real()


lock = threading.RLock()
"""Held for the moment in which gradients are added or parameters are moved."""


class _Changes:
    """Counts what was initialised, forgotten, frozen or thawed, in any store."""

    __slots__ = ("count",)


changes = _Changes()
changes.count = 0


class Parameter:
    """One trainable parameter: value, constraint, gradient accumulator and whether it is frozen."""

    __slots__ = (
        "_grad",
        "_theta",
        "_value",
        "accumulated",
        "buffer",
        "constraint",
        "dtype",
        "fault",
        "frozen",
        "name",
        "store",
    )

    def __init__(self, name: str, value: Any, constraint: Constraint, store: "ParamStore"):
        if not isinstance(name, str):
            raise InvalidValue(f"a parameter's name is a string and comes first, got {brief(name)}")
        if not hasattr(constraint, "coordinates") or isinstance(constraint, type):
            raise ConstraintError(
                f"the constraint of parameter {name!r} is one such as positive or interval(0, 1), "
                f"got {brief(constraint)}"
            )
        self.name = name
        self.store = store
        self.constraint = constraint
        value = _numbers(value, f"parameter {name!r}")
        self.dtype = value.dtype
        self.buffer: Buffer | None = None
        self._take(value)
        self.frozen = False
        self._grad: Any = 0.0 if type(self._theta) is float else np.zeros(self.shape, self.dtype)
        self.zero_grad()

    def __getstate__(self) -> tuple[None, dict[str, Any]]:
        state = {name: getattr(self, name) for name in self.__slots__}
        return None, {**state, "_grad": self.grad, "buffer": None}

    def __setstate__(self, state: tuple[None, dict[str, Any]]) -> None:
        for name, value in state[1].items():
            setattr(self, name, value)
        self.place(*map(_locked, (self._theta, self._value)))

    @property
    def value(self) -> Any:
        """The natural value: a float, or an array that cannot be written to."""
        value = self._value
        if type(value) is float:
            return value
        with lock:  # no step is under way, and the view counts before the next begins
            return self._value[...]

    @value.setter
    def value(self, value: Any) -> None:
        raise self._not_set("value", f"set({value!r})" if np.ndim(value) == 0 else "set(value)")

    @property
    def coordinates(self) -> Any:
        """The unconstrained coordinates theta: a float, or an array that cannot be written to."""
        theta = self._theta
        if type(theta) is float:
            return theta
        with lock:
            return self._theta[...]

    @coordinates.setter
    def coordinates(self, theta: Any) -> None:
        raise self._not_set("coordinates", "set(value), which takes the natural value")

    def _not_set(self, name: str, instead: str) -> UnknownAttribute:
        of = self.store.owner
        at = f"{of}.params[{self.name!r}]" if of else f"theta[{self.name!r}]"
        return UnknownAttribute(
            f"the {name} of parameter {self.name!r} is not set by assignment; write {at}.{instead}"
        )

    def stands_at(self, theta: Any) -> bool:
        """Whether it has not moved since it gave `theta` as its coordinates."""
        mine = self._theta
        if type(mine) is float:
            return mine is theta
        return (theta if theta.base is None else theta.base) is (
            mine if mine.base is None else mine.base
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the unconstrained coordinates, which is the shape of the gradient."""
        return np.shape(self._theta)

    @property
    def grad(self) -> Any:
        """The accumulated gradient by the unconstrained coordinates, copied."""
        if type(self._grad) is float:
            return self._grad
        return self._grad.copy() if self.accumulated else np.zeros_like(self._grad)

    @grad.setter
    def grad(self, grad: Any) -> None:
        raise self._not_set("grad", "set_grad(grad), or zero_grad()")

    def same_as(self, other: "Parameter") -> bool:
        """Whether another parameter has the same constraint, value and freedom."""
        return (self.constraint, self.frozen, self.shape) == (
            other.constraint,
            other.frozen,
            other.shape,
        ) and bool(np.all(self._theta == other._theta))

    @explained
    def set(self, value: Any) -> None:
        """Give it a value of the same shape; the accumulator stays.

        Raises:
            ShapeError, ConstraintError: nothing is changed.
        """
        new = _numbers(value, f"parameter {self.name!r}")
        if new.shape != np.shape(self._value):
            raise ShapeError(
                f"parameter {self.name!r} has shape {np.shape(self._value)}, got {new.shape}; "
                "init_param starts it again with another shape"
            )
        with lock:
            self._take(new.astype(self.dtype))

    def _take(self, value: np.ndarray) -> None:
        """Take a natural value."""
        try:
            theta = self.constraint.coordinates(value)
        except ConstraintError as error:
            raise ConstraintError(f"parameter {self.name!r}: {error}") from None
        self.place(self.moved(theta)[0], _plain(value))

    def moved(self, theta: Any) -> tuple[Any, Any]:
        """Its coordinates and value if it were at `theta`, in the form in which it keeps them."""
        if type(theta) is not float or self.dtype != np.float64:
            theta = _plain(np.asarray(theta, dtype=self.dtype))
        if isinstance(self.constraint, Real):
            return theta, theta
        value = self.constraint.natural(theta)
        if type(value) is np.float64:
            value = float(value)
        if type(value) is not float or self.dtype != np.float64:
            value = _plain(np.asarray(value, dtype=self.dtype))
        return theta, value

    def checked_direction(self, direction: Any) -> Any:
        """A direction of the shape of its coordinates.

        Raises:
            ShapeError: it has another shape.
        """
        if np.shape(direction) != self.shape:
            raise ShapeError(
                f"it gave a direction of shape {np.shape(direction)} for parameter "
                f"{self.name!r}, whose gradient has shape {self.shape}"
            )
        return direction if self.shape else float(direction)

    def stepped(self, direction: Any) -> tuple[Any, Any]:
        """Its coordinates and value after a step.

        Raises:
            ShapeError: the direction has another shape.
            InvalidValue: the step leads to a value that is not finite.
        """
        theta, value = self.moved(self._theta + self.checked_direction(direction))
        if not is_finite(theta) or not is_finite(value):
            raise InvalidValue(
                f"it takes parameter {self.name!r} from {brief(self._value)} to {brief(value)}; "
                "lower the step size"
            )
        return theta, value

    def place(self, theta: Any, value: Any) -> None:
        """Take what `moved` returned."""
        if self.buffer is None:
            self._theta = theta
        else:
            self.buffer.write(self, theta)
        self._value = self._theta if value is theta else value

    def restore(self, theta: np.ndarray, value: np.ndarray) -> None:
        """Take coordinates and value as they once were, of the right shapes, to the bit."""
        at = _plain(np.array(theta, self.dtype))
        self.place(
            at, at if isinstance(self.constraint, Real) else _plain(np.array(value, self.dtype))
        )

    def checked_grad(self, grad: Any) -> Any:
        """`grad` as a float or an array, if it has the shape of this parameter's coordinates."""
        g = _numbers(grad, f"the gradient of parameter {self.name!r}")
        if g.shape != self.shape:
            coordinates = (
                ""
                if self.constraint == real
                else f" in the unconstrained coordinates of {self.constraint!r}"
            )
            raise ShapeError(
                f"the gradient of parameter {self.name!r} must have shape "
                f"{self.shape}{coordinates}, got {g.shape}"
            )
        with np.errstate(over="ignore"):  # a number beyond single precision is found as infinite
            return g.astype(self.dtype, copy=False) if g.ndim else float(g)

    @explained
    def increment_grad(self, grad: Any, scale: float = 1.0) -> None:
        """Add `scale * grad` to the accumulator.

        Raises:
            ShapeError, InvalidValue: nothing is changed.
        """
        g = finite(scale) * self.checked_grad(grad)
        with lock:
            all_at_once(added([(self, g, None)]))

    def plus(self, old: Any, g: Any) -> np.ndarray:
        """An accumulated array with a gradient added, in its precision; None if it is empty."""
        with np.errstate(over="ignore", invalid="ignore"):  # an update finds what is not finite
            total = np.asarray(g) if old is None else np.add(old, g)
            return total.astype(self.dtype, copy=False)

    @explained
    def set_grad(self, grad: Any) -> None:
        """Overwrite the accumulator."""
        g = self.checked_grad(grad)
        with lock:
            marks = [(setattr, self, "accumulated", True), (setattr, self, "fault", None)]
            all_at_once([self.filled(g), *marks])

    def filled(self, total: Any) -> tuple[Any, ...]:
        """The call for `all_at_once` that makes `total` the sum in the accumulator."""
        if type(total) is float:
            return setattr, self, "_grad", total
        return np.copyto, self._grad, total

    def zero_grad(self) -> None:
        """Empty the accumulator."""
        if type(self._grad) is float:
            self._grad = 0.0
        self.accumulated = False  # what an array holds now counts for nothing
        self.fault: str | None = None

    def gathered_grad(self) -> Any:
        """The accumulator itself, for reading."""
        if not self.accumulated and type(self._grad) is not float:
            self._grad[...] = 0.0
        return self._grad

    def freeze(self) -> None:
        """Keep updates from moving it."""
        self.frozen = True
        changes.count += 1

    def thaw(self) -> None:
        """Let updates move it again."""
        self.frozen = False
        changes.count += 1

    def __repr__(self) -> str:
        kind = "" if self.constraint == real else f", constraint={self.constraint!r}"
        return f"Parameter({self.name!r}, {self.value!r}{kind}{', frozen' if self.frozen else ''})"


class Source(Protocol):
    """What the model that owns a store says of its parameters before it runs."""

    def declaration(self, name: str) -> tuple[Any, Constraint | None] | None: ...

    def constraint(self, name: str) -> Constraint | None: ...

    def declares(self, name: str) -> bool: ...

    def reads(self, name: str) -> bool: ...


def finite(scale: Any) -> float:
    """A scale of gradients.

    Raises:
        InvalidValue: it is not one finite number.
    """
    if type(scale) is float and scale - scale == 0.0:
        return scale
    value = np.asarray(scale)
    if value.ndim or value.dtype.kind not in "fiub" or not np.isfinite(value):
        raise InvalidValue(f"scale must be a finite number, got {brief(scale)}")
    return float(value)


def added(
    grads: Iterable[tuple[Parameter, Any, str | None]],
) -> list[tuple[Any, ...]]:
    """The calls for `all_at_once` that add gradients, known to fit, with their faults.

    The sums are computed here, aside, one gradient after the other; the lock must be held.
    """
    sums: dict[Parameter, Any] = {}
    calls: list[tuple[Any, ...]] = []
    for p, g, fault in grads:
        old = sums.get(p, p._grad)
        if type(old) is float:
            sums[p] = old + float(g)
        else:
            sums[p] = p.plus(old if p in sums or p.accumulated else None, g)
        if fault is not None and p.fault is None:
            calls.append((setattr, p, "fault", fault))
    calls.reverse()  # the first fault of a parameter is the one that stays
    for p, total in sums.items():
        calls.append(p.filled(total))
        if not p.accumulated:
            calls.append((setattr, p, "accumulated", True))
    return calls


def all_at_once(calls: list[tuple[Any, ...]]) -> None:
    """Make calls of functions written in C, `(function, *arguments)`, all of them or none.

    They are made by one call into C. Python handles signals and traces lines between its own
    instructions only, so that neither Ctrl-C nor another interruption comes between two of them.
    """
    deque(starmap(call, calls), maxlen=0)


class Buffer:
    """Coordinates and accumulators of several parameters, side by side.

    What is handed out is a view of `theta`, and a view keeps a reference to it: while there are no
    more of these than its own parameters hold, `theta` may be written in place.
    """

    def __init__(self, parameters: Iterable[Parameter]):
        parameters = list(parameters)
        ends = np.cumsum([0, *(np.size(p._theta) for p in parameters)]).tolist()
        self.places = {p: slice(*at) for p, at in zip(parameters, pairwise(ends), strict=True)}
        self.theta = np.concatenate([p._theta.ravel() for p in parameters])
        self.grad = np.concatenate([p.gathered_grad().ravel() for p in parameters])
        for p, at in self.places.items():
            p._grad = self.grad[at].reshape(p.shape)
        self._bind()

    def _bind(self) -> None:
        for p, at in self.places.items():
            real_valued = p._value is p._theta
            p._theta = _locked(self.theta[at].reshape(p.shape))
            p._value = p._theta if real_valued else p._value
            p.buffer = self
        self._references = sys.getrefcount(self.theta)

    def own(self) -> np.ndarray:
        """The coordinates, for writing."""
        if sys.getrefcount(self.theta) > self._references:
            self.theta = self.theta.copy()
            self._bind()
        return self.theta

    def release(self, p: Parameter) -> None:
        """Let a parameter go on with arrays of its own."""
        is_real = p._value is p._theta
        p._theta, p._grad, p.buffer = _locked(p._theta.copy()), p._grad.copy(), None
        p._value = p._theta if is_real else p._value
        del self.places[p]
        self._references -= 1

    def write(self, parameter: Parameter, theta: np.ndarray) -> None:
        """Replace the coordinates of one parameter."""
        self.own()[self.places[parameter]] = theta.ravel()


def _advice(store: "ParamStore", name: str) -> str:
    if name in store:
        return f"write store[{name!r}].set(value), or set_param(f, {name!r}, value)"
    return f"a new parameter is store.init({name!r}, value), or init_param(f, {name!r}, value)"


@explained
@closed(advice=_advice)
@answering(
    get="write store[name]",
    set="write store[name].set(value)",
    freeze="write store[name].freeze() for each name",
    thaw="write store[name].thaw() for each name",
    parameters="write store.values()",
    state_dict="write save_checkpoint(path, model=store)",
    zero_grad="write store[name].zero_grad() for each name",
)
class ParamStore:
    """Parameters by name. Every generative function owns one; it also works without a function.

        theta = ParamStore(W=np.zeros((3, 2)), b=0.0)
        theta["W"].value

    Its keys are names; it changes only by `init` and by what is done to its parameters.
    """

    owner: str
    source: Source | None
    """What the model that owns it says of its parameters; None if no model owns it."""
    version: int
    _packed: int
    _parameters: dict[str, Parameter]
    _stated: set[str]
    """The names of parameters whose constraint `init` was given."""
    declared: dict[str, tuple[int, ...]]
    """The shapes of the first values that a run declared, where `init` gave none since."""

    def __init__(self, values: Mapping[str, Any] | None = None, /, **named: Any):
        if values is not None and not isinstance(values, Mapping):
            raise InvalidValue(
                f"a store is made of values by name, ParamStore(W=..., b=...), got {brief(values)}"
            )
        self.owner = ""
        self.source = None
        self._stated = set()
        self.declared = {}
        self.version = 0  # counts what was initialised or forgotten
        self._packed = -1  # the version at which arrays were last laid side by side
        self._parameters = {}
        for name, value in {**(values or {}), **named}.items():
            self.init(name, value)

    @explained
    def init(self, name: str, value: Any, constraint: Constraint | None = None) -> Parameter:
        """Give a parameter its first value, or start it anew: value, constraint and accumulator.

        Args:
            constraint: Where its values lie. None means the constraint that it has, else
                the one that the function declares, `param(name, value, constraint=...)`, else for
                `real`.

        Raises:
            ConstraintError, InvalidValue: the value cannot be taken; nothing is changed.
        """
        with lock:
            meant = self._constraint_of(name) if constraint is None else constraint
            parameter = self.add(Parameter(name, value, meant, self))
            self.declared.pop(name, None)
            if constraint is not None:
                self._stated.add(name)
        return parameter

    def _constraint_of(self, name: Any) -> Constraint:
        """The constraint of a parameter that is given a value alone."""
        if isinstance(name, str) and name in self._parameters:
            return self._parameters[name].constraint
        declared = None if self.source is None else self.source.constraint(name)
        return declared or real

    def add(self, parameter: Parameter) -> Parameter:
        """Take a parameter that was made for this store, in place of one of its name."""
        with lock:
            self._release(parameter.name)
            self._parameters[parameter.name] = parameter
            self._changed()
        return parameter

    def declare(self, name: str, value: Any, constraint: Constraint | None) -> Parameter:
        """Give a parameter the value and the constraint of a model, unless it has some.

        Raises:
            ConstraintError: the value cannot be taken; or the parameter has another constraint,
                which is not one that `init` was given. Nothing is changed.
        """
        known = self._parameters.get(name)
        if known is None:
            return self.add(Parameter(name, value, constraint or real, self))
        if constraint not in (None, known.constraint) and name not in self._stated:
            of = self.owner or "theta"
            raise ConstraintError(
                f"parameter {name!r} of {of} has the constraint {known.constraint!r} and its model "
                f"declares {constraint!r}; write init_param({of}, {name!r}, value, "
                f"constraint={constraint!r}), or declare it alike everywhere"
            )
        return known

    def refuse_other_shape(self, name: str, shape: tuple[int, ...]) -> None:
        """Refuse a first value of a model whose shape is not the one that a run declared.

        Raises:
            ShapeError: it is not.
        """
        known = self.declared.get(name, shape)
        if known != shape:
            of = self.owner or "theta"
            raise ShapeError(
                f"parameter {name!r} of {of} has shape {known} since its first run, and its value "
                f"in the model has shape {shape} here; write init_param({of}, {name!r}, value) to "
                "start it again"
            )

    def find(self, name: str) -> Parameter | None:
        """The parameter of that name, declared now if its model says how; None if there is none."""
        known = self._parameters.get(name)
        if known is None and self.source is not None:
            declared = self.source.declaration(name)
            if declared is not None:
                with lock:
                    known = self.declare(name, *declared)
        return known

    def _release(self, name: str) -> None:
        """Let the parameter of that name, if there is one, go on alone."""
        old = self._parameters.get(name)
        if old is not None and old.buffer is not None:
            old.buffer.release(old)

    def _changed(self) -> None:
        self.version += 1
        changes.count += 1

    def pack(self) -> None:
        """Lay its arrays side by side, so that an update can move all of them at once."""
        if self._packed == self.version:
            return
        by_dtype: dict[np.dtype, list[Parameter]] = {}
        for p in self._parameters.values():
            if type(p._theta) is not float:
                by_dtype.setdefault(p.dtype, []).append(p)
        for parameters in by_dtype.values():
            Buffer(parameters)
        self._packed = self.version

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_packed": -1, "source": None}

    def discard(self, name: str) -> None:
        """Forget a parameter, if it is there."""
        with lock:
            self._release(name)
            if self._parameters.pop(name, None) is not None:
                self.declared.pop(name, None)
                self._stated.discard(name)
                self._changed()

    def lookup(self, name: str) -> Parameter:
        """The parameter of that name, for a running model.

        Raises:
            UninitializedParameter: it has no value yet.
        """
        try:
            return self._parameters[name]
        except KeyError:
            of = self.owner or "theta"
            line = (
                f"init_param({of}, {name!r}, value)"
                if self.owner
                else f"theta.init({name!r}, value)"
            )
            hint = f"; {nearest(name, self._parameters)}" if self._parameters else ""
            raise UninitializedParameter(
                f"parameter {name!r} of {of} has no value: write {line}, or param({name!r}, "
                f"value) in the model{hint}"
            ) from None

    def __getitem__(self, name: str) -> Parameter:
        known = self.find(name) if isinstance(name, str) else None
        if known is not None:
            return known
        of = self.owner or "this store"
        if self.source is not None and self.source.declares(name):
            raise UnknownParameter(
                f"{of} declares parameter {name!r} at its first run; run it, as in "
                f"{of}.simulate(args), or write init_param({of}, {name!r}, value)"
            )
        hint = nearest(str(name), self._parameters)
        if not self._parameters:
            hint = f"it has none yet; write init_param({of}, {name!r}, value)"
        raise UnknownParameter(f"{of} has no parameter {name!r}; {hint}")

    def __setitem__(self, name: str, value: Any) -> None:
        of = self.owner or "theta"
        raise ImmutableError(
            f"a parameter gets a value by set_param({of}, {name!r}, value), and its first one by "
            f"init_param({of}, {name!r}, value)"
        )

    def __contains__(self, name: object) -> bool:
        return name in self._parameters

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)

    def __eq__(self, other: object) -> bool:
        """Whether both hold the same parameters with the same values; gradients do not count."""
        if not isinstance(other, ParamStore):
            return NotImplemented
        return self is other or (
            self._parameters.keys() == other._parameters.keys()
            and all(p.same_as(other[name]) for name, p in self._parameters.items())
        )

    def __hash__(self) -> int:
        return id(self)  # it changes: as a key it is itself, whatever it holds

    def items(self) -> ItemsView[str, Parameter]:
        """Names and parameters, in the order in which they were initialised."""
        return self._parameters.items()

    def values(self) -> ValuesView[Parameter]:
        """Parameters, in the order in which they were initialised."""
        return self._parameters.values()

    def __repr__(self) -> str:
        lines = "".join(f"\n  {p!r}{_waiting(p)}" for p in self._parameters.values())
        return f"ParamStore({self.owner or 'theta'}:{lines or ' no parameters'})"

    def _repr_html_(self) -> str:
        entries = {name: _described(p) for name, p in self._parameters.items()}
        return html_tree(f"ParamStore({self.owner or 'theta'})", entries)


def _described(p: Parameter) -> str:
    kind = "" if p.constraint == real else f", {p.constraint!r}"
    return f"{brief(p.value)}{kind}{', frozen' if p.frozen else ''}{_waiting(p)}"


def _waiting(p: Parameter) -> str:
    return ", a gradient is waiting" if p.accumulated else ""


def labels(stores: Iterable[ParamStore]) -> dict[ParamStore, str]:
    """A name for each store: its function's, numbered where two functions share one."""
    found: dict[ParamStore, str] = {}
    for store in stores:
        if store not in found:
            twins = sum(other.owner == store.owner for other in found)
            found[store] = (store.owner or "theta") + (f"#{twins + 1}" if twins else "")
    return found


def _numbers(value: Any, what: str) -> np.ndarray:
    """A fresh float array from a number, a list or an array."""
    try:
        given = np.asarray(value)
        if given.dtype.kind not in "fiub":
            raise TypeError
    except (TypeError, ValueError):
        raise InvalidValue(
            f"{what} must be a number or an array of numbers, got {brief(value)}"
        ) from None
    return np.array(given, dtype=np.float32 if given.dtype == np.float32 else np.float64)


def is_finite(g: Any) -> bool:
    """Whether every entry is finite; the sum tells nearly always, without a temporary."""
    if type(g) is float:
        return g - g == 0.0
    with np.errstate(all="ignore"):
        return bool(np.isfinite(np.add.reduce(g, axis=None))) or bool(np.all(np.isfinite(g)))


def _locked(value: Any) -> Any:
    """An array that cannot be written to, which unpickling forgets."""
    if isinstance(value, np.ndarray):
        value.setflags(write=False)
    return value


def _plain(array: np.ndarray) -> Any:
    if array.ndim == 0:
        return float(array)
    return _locked(array)
