"""Parameters: values that are trained, with the accumulators of their gradients.

A parameter is kept in unconstrained coordinates theta; its *value* is `constraint.natural(theta)`.
Its gradient accumulator, whatever is added to it by hand, and every update live in the coordinates
theta. For the constraint `real`, the default, the two are the same.

Values are float64 (float32 where given so), a single number is a Python float. Values are copied
in. What is handed out is a copy, or an array that cannot be written to and that never changes.

The numbers of a store's parameters lie side by side in `memory`, and a parameter is a place there.
Every change computes the next record of the memory aside and makes it current in one assignment.
"""

import threading
from collections import deque
from collections.abc import ItemsView, Iterable, Iterator, Mapping, ValuesView
from itertools import starmap
from operator import call, getitem, setitem
from typing import Any, Protocol

import numpy as np

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
from genparams.memory import Arrays, Cell, Changes, Edit, Floats, aside, swap
from genparams.mistakes import answering, closed, explained
from genparams.text import brief, html_tree
from genparams.types import Constraint, Real, real

lock = threading.RLock()
"""Held for the moment in which gradients are added or parameters are moved."""


census = Cell(object())
"""Has another record whenever parameters were initialised, forgotten, frozen or thawed, in any
store: who has looked for parameters before looks again."""

DOUBLE = np.dtype(np.float64)
LARGE = 1 << 15
"""Arrays of so many numbers have memory of their own: to set another one does not copy them."""


class Parameter:
    """One trainable parameter: value, constraint, gradient accumulator and whether it is frozen."""

    __slots__ = (
        "_at",
        "constraint",
        "dtype",
        "is_declared",
        "is_stated",
        "name",
        "shape",
        "store",
        "value_shape",
    )

    shape: tuple[int, ...]
    """The shape of the unconstrained coordinates, which is the shape of the gradient."""
    is_declared: bool
    """Whether a run gave it its first value."""
    is_stated: bool
    """Whether its constraint was given to `init`, and not by a model."""

    def __init__(self, name: str, value: Any, constraint: Constraint, store: "ParamStore"):
        if not isinstance(name, str):
            raise InvalidValue(f"a parameter's name is a string and comes first, got {brief(name)}")
        bijects = all(callable(getattr(constraint, f, None)) for f in ("natural", "coordinates"))
        if not bijects or isinstance(constraint, type):
            raise ConstraintError(
                f"the constraint of parameter {name!r} is one such as positive or interval(0, 1), "
                f"got {brief(constraint)}"
            )
        self.name = name
        self.store = store
        self.constraint = constraint
        self.is_declared = False
        self.is_stated = False
        numbers = _numbers(value, f"parameter {name!r}")
        self.dtype = numbers.dtype
        self.value_shape = numbers.shape
        edit = self._edit_to(numbers)
        self.shape = np.shape(edit["theta"])
        if type(constraint).__module__.partition(".")[0] != "genparams":
            self._refuse_unsound(numbers, np.array(edit["theta"], self.dtype))
        self._keep({**edit, **_EMPTY, "frozen": False})

    def _keep(self, entry: Edit) -> None:
        """Take memory of its own."""
        kind = Floats if type(entry["theta"]) is float else Arrays
        self._at: tuple[Floats | Arrays, int] = kind([entry]), 0

    def _entry(self) -> dict[str, Any]:
        memory, i = self._at
        return memory.entry(i)

    def __reduce__(self) -> Any:
        """One of a store is pickled with its store, so that all are of the same moment."""
        with lock:
            if self.store.holds(self):
                return getitem, (self.store, self.name)
            return _loose, (self._saved(), self.store)

    def __copy__(self) -> "Parameter":
        with lock:
            return _loose(self._saved(), self.store)

    def _saved(self) -> dict[str, Any]:
        """All that it is but for its store; hold the lock."""
        named = [name for name in self.__slots__ if name not in ("_at", "store")]
        return {**{name: getattr(self, name) for name in named}, "entry": self._entry()}

    # --- Reading

    @property
    def value(self) -> Any:
        """The natural value: a float, or an array that cannot be written to."""
        memory, i = self._at
        return memory.value(i)

    @value.setter
    def value(self, value: Any) -> None:
        raise self._not_set("value", f"set({value!r})" if np.ndim(value) == 0 else "set(value)")

    @property
    def coordinates(self) -> Any:
        """The unconstrained coordinates theta: a float, or an array that cannot be written to."""
        memory, i = self._at
        return memory.theta(i)

    @coordinates.setter
    def coordinates(self, theta: Any) -> None:
        raise self._not_set("coordinates", "set(value), which takes the natural value")

    def _not_set(self, name: str, instead: str) -> UnknownAttribute:
        of = self.store.owner
        at = f"{of}.params[{self.name!r}]" if of else f"theta[{self.name!r}]"
        return UnknownAttribute(
            f"the {name} of parameter {self.name!r} is not set by assignment; write {at}.{instead}"
        )

    def at(self) -> tuple[Any, Any, bool]:
        """Coordinates, value and whether it is frozen, of the same moment, also while another
        thread moves it.
        """
        memory, i = self._at
        return memory.at(i)

    def stands_at(self, theta: Any) -> bool:
        """Whether it has not moved since it gave `theta` as its coordinates."""
        memory, i = self._at
        return memory.is_at(i, theta)

    @property
    def frozen(self) -> bool:
        """Whether updates leave it where it is."""
        memory, i = self._at
        return memory.now.frozen[i]

    @property
    def grad(self) -> Any:
        """The accumulated gradient by the unconstrained coordinates, copied."""
        with lock:
            memory, i = self._at
            return memory.grad(i)

    @grad.setter
    def grad(self, grad: Any) -> None:
        raise self._not_set("grad", "set_grad(grad), or zero_grad()")

    @property
    def accumulated(self) -> bool:
        """Whether a gradient was added since the accumulator was emptied."""
        memory, i = self._at
        return memory.now.grad[i] is not None

    @property
    def fault(self) -> str | None:
        """The address that made an accumulated gradient that is not finite, where it is known."""
        memory, i = self._at
        return memory.now.fault[i]

    def same_as(self, other: "Parameter") -> bool:
        """Whether another parameter has the same constraint, value and freedom."""
        return (self.constraint, self.frozen, self.shape) == (
            other.constraint,
            other.frozen,
            other.shape,
        ) and bool(np.all(self.coordinates == other.coordinates))

    # --- Moving

    @explained
    def set(self, value: Any) -> None:
        """Give it a value of the same shape; the accumulator stays.

        Raises:
            ShapeError, ConstraintError: nothing is changed.
        """
        new = _numbers(value, f"parameter {self.name!r}")
        if new.shape != self.value_shape:
            raise ShapeError(
                f"parameter {self.name!r} has shape {self.value_shape}, got {new.shape}; "
                "init_param starts it again with another shape"
            )
        with np.errstate(over="ignore"):  # a number beyond single precision is found as infinite
            self._edit(self._edit_to(new.astype(self.dtype)))

    def _edit_to(self, value: np.ndarray) -> dict[str, Any]:
        """What changes when it takes a natural value."""
        try:
            theta = self.constraint.coordinates(value)
        except ConstraintError as error:
            raise ConstraintError(f"parameter {self.name!r}: {error}") from None
        if np.asarray(theta).dtype.kind not in "fiub":
            raise ConstraintError(
                f"the coordinates that {self.constraint!r} gives for parameter {self.name!r} must "
                f"be real numbers, got {brief(theta)}"
            )
        theta = _plain(np.asarray(theta, self.dtype))
        return {"theta": theta, "value": self._entry_of(_plain(value))}

    def _refuse_unsound(self, value: np.ndarray, theta: np.ndarray) -> None:
        """Refuse a user's constraint that does not lead from a value to coordinates and back."""

        def shown(a: np.ndarray) -> str:
            return brief(a if a.ndim else float(a))

        given = theta.copy()
        with np.errstate(all="ignore"):
            back = np.asarray(self.constraint.natural(given if given.ndim else float(given)))
        scale = np.max(np.abs(value), initial=0.0)
        wrong = ""
        if not np.all(np.isfinite(theta)):
            wrong = f"coordinates({shown(value)}) is {shown(theta)}, which is not finite"
        elif not np.array_equal(given, theta):
            wrong = "natural(theta) changes theta, which must stay as it is"
        elif back.shape != value.shape or back.dtype.kind != "f":
            wrong = (
                f"natural(coordinates(value)) has shape {back.shape} and dtype {back.dtype}, "
                f"expected {value.shape} and a type of floats"
            )
        elif not np.all(np.abs(back - value) <= 1e-3 * scale):
            wrong = f"natural(coordinates({shown(value)})) is {shown(back)}"
        if wrong:
            raise ConstraintError(
                f"{self.constraint!r} of parameter {self.name!r} is no constraint: {wrong}; "
                "natural and coordinates must be inverse to each other"
            )

    def _entry_of(self, value: Any) -> Any:
        """A value as the memory keeps it: no array where the coordinates are the value."""
        is_real = isinstance(self.constraint, Real) and type(value) is not float
        return None if is_real else _locked(value)

    def _edit(self, edit: Edit, changes: Changes | None = None) -> None:
        with lock:
            swap(edited({self: edit}, changes))

    def natural(self, theta: Any) -> Any:
        """The value at some coordinates: of its type, and inside the constraint to the last bit."""
        if isinstance(self.constraint, Real):
            return theta
        if type(theta) is float and self.dtype is not DOUBLE:
            theta = self.dtype.type(theta)  # the constraint rounds to what is inside for this type
        value = self.constraint.natural(theta)
        if type(value) is np.float64:
            return float(value)
        if isinstance(value, np.ndarray) and (value is theta or value.base is not None):
            value = value.copy()  # a view of numbers that the next step may write to
        return _plain(np.asarray(value, self.dtype)) if type(value) is not float else value

    def moved(self, theta: Any) -> dict[str, Any]:
        """What changes when it moves to `theta`, a float or an array.

        Raises:
            InvalidValue: the coordinates or the value are not finite.
        """
        if type(theta) is not float or self.dtype is not DOUBLE:
            theta = _plain(np.asarray(theta, self.dtype))
        value = self.natural(theta)
        if not is_finite(theta) or not is_finite(value):
            raise InvalidValue(
                f"it takes parameter {self.name!r} from {brief(self.value)} to {brief(value)}; "
                "lower the step size"
            )
        return {"theta": theta, "value": self._entry_of(value)}

    def restore(self, theta: Any, value: Any) -> None:
        """Take coordinates and value as they once were, of the right shapes, to the bit.

        Raises:
            ShapeError, InvalidValue, ConstraintError: nothing is changed.
        """
        self._edit(_restored(self, {"theta": theta, "value": value}))

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

    def stepped(self, direction: Any) -> dict[str, Any]:
        """What changes in a step.

        Raises:
            ShapeError: the direction has another shape.
            InvalidValue: the step leads to a value that is not finite.
        """
        with np.errstate(all="ignore"):  # what is not finite is looked for
            return self.moved(self.coordinates + self.checked_direction(direction))

    # --- The accumulator

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
        self._edit({"grad": self.checked_grad(grad), "fault": None})

    def zero_grad(self) -> None:
        """Empty the accumulator."""
        self._edit(_EMPTY)

    def freeze(self) -> None:
        """Keep updates from moving it."""
        self._edit({"frozen": True}, {census: object()})

    def thaw(self) -> None:
        """Let updates move it again."""
        self._edit({"frozen": False}, {census: object()})

    def __repr__(self) -> str:
        kind = "" if self.constraint == real else f", constraint={self.constraint!r}"
        return f"Parameter({self.name!r}, {self.value!r}{kind}{', frozen' if self.frozen else ''})"


def _loose(saved: Mapping[str, Any], store: "ParamStore") -> Parameter:
    """A parameter as it was saved, which is of a store and not in it."""
    parameter = Parameter.__new__(Parameter)
    parameter.store = store
    for name, value in saved.items():
        if name != "entry":
            setattr(parameter, name, value)
    entry = saved["entry"]
    parameter._keep({**entry, "value": _locked(entry["value"])})
    return parameter


_EMPTY: dict[str, Any] = {"grad": None, "fault": None}


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


def edited(edits: Mapping[Parameter, Edit], changes: Changes | None = None) -> Changes:
    """What `swap` takes to change some entries of parameters, after other changes if there are any.

    An edit has some of the keys theta, value, grad, fault and frozen, in the form in which `memory`
    keeps them. Hold the lock from here to the swap.
    """
    found = dict(changes or {})
    by_memory: dict[Any, dict[int, Edit]] = {}
    for p, edit in edits.items():
        memory, i = p._at
        by_memory.setdefault(memory, {})[i] = edit
    for memory, mine in by_memory.items():
        found[memory] = memory.edited(mine, found.get(memory, memory.now))
    return found


def emptied(parameters: Iterable[Parameter], changes: Changes | None = None) -> Changes:
    """What `swap` takes to empty the accumulators of parameters, after other changes."""
    return edited(dict.fromkeys(parameters, _EMPTY), changes)


def added(grads: Iterable[tuple[Parameter, Any, str | None]]) -> list[tuple[Any, ...]]:
    """The call for `all_at_once` that adds gradients, known to fit, with their faults.

    A fault is the address that made a gradient that is not finite. A parameter may occur several
    times. The sums are computed here, aside; hold the lock.
    """
    changes: Changes = {}
    sums: dict[Parameter, Any] = {}
    edits: dict[Parameter, dict[str, Any]] = {}
    for p, g, fault in grads:
        if p.shape:
            old = sums.get(p, p.grad if p.accumulated else None)
            sums[p] = p.plus(old, g)
        else:
            memory: Any = p._at[0]
            i, now = p._at[1], changes.get(memory)
            if now is None:
                now = changes[memory] = memory.with_own_grads()
            old = now.grad[i]
            now.grad[i] = float(g) if old is None else old + float(g)
        if fault is not None:
            edits.setdefault(p, {"fault": p.fault or fault})
    for p, total in sums.items():
        edits.setdefault(p, {})["grad"] = total
    return [(setitem, aside(edited(edits, changes) if edits else changes), 0, True)]


def all_at_once(calls: list[tuple[Any, ...]]) -> None:
    """Make calls of functions written in C, `(function, *arguments)`, all of them or none.

    They are made by one call into C. Python handles signals and traces lines between its own
    instructions only, so that neither Ctrl-C nor another interruption comes between two of them.
    """
    deque(starmap(call, calls), maxlen=0)


class Source(Protocol):
    """What the model that owns a store says of its parameters before it runs."""

    def declaration(self, name: str) -> tuple[Any, Constraint | None] | None: ...

    def constraint(self, name: str) -> Constraint | None: ...

    def declares(self, name: str) -> bool: ...

    def reads(self, name: str) -> bool: ...


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

    def __init__(self, values: Mapping[str, Any] | None = None, /, **named: Any):
        if values is not None and not isinstance(values, Mapping):
            raise InvalidValue(
                f"a store is made of values by name, ParamStore(W=..., b=...), got {brief(values)}"
            )
        self.owner = ""
        self.source = None
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
            parameter = Parameter(name, value, meant, self)
            known = self._parameters.get(name)
            parameter.is_stated = constraint is not None or (known is not None and known.is_stated)
            return self.add(parameter)

    def _constraint_of(self, name: Any) -> Constraint:
        """The constraint of a parameter that is given a value alone."""
        if isinstance(name, str) and name in self._parameters:
            return self._parameters[name].constraint
        declared = None if self.source is None else self.source.constraint(name)
        return declared or real

    def add(self, parameter: Parameter) -> Parameter:
        """Take a parameter that was made for this store, in place of one of its name."""
        with lock:
            self._changed()
            self._parameters[parameter.name] = parameter
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
        if constraint not in (None, known.constraint) and not known.is_stated:
            of = self.owner or "theta"
            if repr(constraint) == repr(known.constraint):
                raise ConstraintError(
                    f"the model declares parameter {name!r} of {of} with another "
                    f"{constraint!r} each time, and these are not equal; make the constraint once, "
                    f"outside the function, or give {type(constraint).__name__} an __eq__"
                )
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
        known = self._parameters[name]
        if known.is_declared and known.value_shape != shape:
            of = self.owner or "theta"
            raise ShapeError(
                f"parameter {name!r} of {of} has shape {known.value_shape} since its first run, "
                f"and its value in the model has shape {shape} here; write init_param({of}, "
                f"{name!r}, value) to start it again"
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

    def _changed(self) -> None:
        """Note a change, before it is made."""
        self.version += 1
        swap({census: object()})

    def pack(self) -> None:
        """Lay small parameters side by side, so that an update moves them at once."""
        if self._packed == self.version:
            return
        groups: dict[Any, list[Parameter]] = {}
        for p in self._parameters.values():
            size = int(np.prod(p.shape))
            kind = p if size >= LARGE else p.dtype if p.shape else None
            groups.setdefault(kind, []).append(p)
        for parameters in groups.values():
            _lay_together(parameters)
        self._packed = self.version

    def restored(self, saved: Mapping[str, Edit]) -> Changes:
        """What `swap` takes to give parameters coordinates, values, gradients and freedom of old.

        With the changes of other stores and updates, one `swap` restores all or none. Hold the lock
        from here to the swap.

        Args:
            saved: By name, some of theta, value (with theta), grad (None for an empty accumulator)
                and frozen.

        Raises:
            UnknownParameter, ShapeError, InvalidValue, ConstraintError: nothing is changed.
        """
        edits = {self[name]: _restored(self[name], edit) for name, edit in saved.items()}
        return edited(edits, {census: object()})

    def restore(self, saved: Mapping[str, Edit]) -> None:
        """Restore parameters as `restored` says: all, or none if it raises."""
        with lock:
            swap(self.restored(saved))

    def __getstate__(self) -> dict[str, Any]:
        with lock:  # parameters of the same moment
            saved = {name: p._saved() for name, p in self._parameters.items()}
            return {**vars(self), "_packed": -1, "source": None, "_parameters": saved}

    def __setstate__(self, state: dict[str, Any]) -> None:
        saved = state["_parameters"]
        vars(self).update(state, _parameters={k: _loose(p, self) for k, p in saved.items()})

    def discard(self, name: str) -> None:
        """Forget a parameter, if it is there."""
        with lock:
            if name in self._parameters:
                self._changed()
                del self._parameters[name]

    def holds(self, parameter: Parameter) -> bool:
        """Whether a parameter is here, and was not initialised anew or forgotten since."""
        return self._parameters.get(parameter.name) is parameter

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
        return iter([*self._parameters])  # another thread may add to them

    def __len__(self) -> int:
        return len(self._parameters)

    def __eq__(self, other: object) -> bool:
        """Whether both hold the same parameters with the same values; gradients do not count."""
        if not isinstance(other, ParamStore):
            return NotImplemented
        with lock:
            return self is other or (
                self._parameters.keys() == other._parameters.keys()
                and all(p.same_as(other[name]) for name, p in self._parameters.items())
            )

    def __hash__(self) -> int:
        return id(self)  # it changes: as a key it is itself, whatever it holds

    def items(self) -> ItemsView[str, Parameter]:
        """Names and parameters now, in the order in which they were initialised."""
        return self._parameters.copy().items()

    def values(self) -> ValuesView[Parameter]:
        """Parameters now, in the order in which they were initialised."""
        return self._parameters.copy().values()

    def __repr__(self) -> str:
        with lock:
            lines = "".join(f"\n  {p!r}{_waiting(p)}" for p in self._parameters.values())
        return f"ParamStore({self.owner or 'theta'}:{lines or ' no parameters'})"

    def _repr_html_(self) -> str:
        with lock:
            entries = {name: _described(p) for name, p in self._parameters.items()}
        return html_tree(f"ParamStore({self.owner or 'theta'})", entries)


def _described(p: Parameter) -> str:
    kind = "" if p.constraint == real else f", {p.constraint!r}"
    return f"{brief(p.value)}{kind}{', frozen' if p.frozen else ''}{_waiting(p)}"


def _waiting(p: Parameter) -> str:
    return ", a gradient is waiting" if p.accumulated else ""


def _lay_together(parameters: list[Parameter]) -> None:
    """Give parameters of one kind one memory."""
    memories = {p._at[0] for p in parameters}
    if memories == {parameters[0]._at[0]} and parameters[0]._at[0].count == len(parameters):
        return
    entries = [p._entry() for p in parameters]
    together = (Floats if not parameters[0].shape else Arrays)(entries)
    for memory in memories:
        memory.left = True  # before the first leaves
    for i, p in enumerate(parameters):
        p._at = together, i


def _restored(p: Parameter, saved: Edit) -> dict[str, Any]:
    """An edit from numbers that were saved, checked."""
    found: dict[str, Any] = {}
    if "theta" in saved:
        theta, value = (_numbers(saved[k], f"{k} of parameter {p.name!r}") for k in _AT)
        if theta.shape != p.shape or value.shape != p.value_shape:
            raise ShapeError(
                f"parameter {p.name!r} has shape {p.value_shape} and coordinates of shape "
                f"{p.shape}, got {value.shape} and {theta.shape}"
            )
        theta, value = theta.astype(p.dtype), value.astype(p.dtype)
        p._edit_to(value)  # refuses what is not inside
        tolerance = 1e-3 if p.dtype == np.float32 else 1e-8
        with np.errstate(all="ignore"):
            expected = np.asarray(p.natural(_plain(theta)))
            scale = np.max(np.abs(value), initial=0.0)
            if not np.all(np.abs(expected - value) <= tolerance * scale):
                raise InvalidValue(
                    f"the value of parameter {p.name!r} differs from the value at its coordinates"
                )
        found = {"theta": _plain(theta), "value": p._entry_of(_plain(value))}
    if "grad" in saved:
        grad = saved["grad"]
        found.update(grad=None if grad is None else p.checked_grad(grad), fault=None)
    if "frozen" in saved:
        found["frozen"] = bool(saved["frozen"])
    return found


_AT = ("theta", "value")


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
