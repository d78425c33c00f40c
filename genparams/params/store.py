"""Stores: parameters by name. Every generative function owns one, and a store works alone too."""

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Protocol

import numpy as np

from genparams.errors import ImmutableError, InvalidValue, UnknownParameter, nearest
from genparams.mistakes import answering, closed, explained
from genparams.params.carried import active, parameters_of
from genparams.params.declaring import add, find
from genparams.params.parameter import CONSTRAINED, INITIALISED, Parameter, loose, saved
from genparams.params.records import lock, restructured, swap
from genparams.text import brief, html_tree
from genparams.types import Constraint, real


class Source(Protocol):
    """What the model that owns a store says about its parameters before it runs."""

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

    Its keys are names. It changes by `init`, by `discard`, through its parameters, and when a run
    declares a parameter.
    """

    owner: str
    """The name of the function that owns it; empty if it stands alone."""
    source: Source | None
    """What the model that owns it says about its parameters; None if no model owns it."""
    _own: dict[str, Parameter]

    @property
    def _parameters(self) -> dict[str, Parameter]:
        """Its own parameters, unless others are carried here in their place."""
        return parameters_of(self) if active else self._own

    def __init__(self, values: Mapping[str, Any] | None = None, /, **named: Any):
        if values is not None and not isinstance(values, Mapping):
            raise InvalidValue(
                f"a store is made of values by name, ParamStore(W=..., b=...), got {brief(values)}"
            )
        self.owner = ""
        self.source = None
        self._own = {}
        for name, value in {**(values or {}), **named}.items():
            self.init(name, value)

    @explained
    def init(self, name: str, value: Any, constraint: Constraint | None = None) -> Parameter:
        """Give a parameter its first value, or start it again: value, constraint and accumulator.

        Args:
            constraint: Where its values are. None means the constraint that it has; else the one
                that the function declares, `param(name, value, constraint=...)`; else `real`.

        Raises:
            ConstraintError, InvalidValue: the value cannot be used; nothing is changed.
        """
        with lock:
            known = self._parameters.get(name) if isinstance(name, str) else None
            source = CONSTRAINED if constraint is not None else INITIALISED
            if constraint is None and known is not None:
                constraint, source = known.constraint, known._origin
            elif constraint is None and self.source is not None:
                constraint = self.source.constraint(name)
            source = CONSTRAINED if source == CONSTRAINED else INITIALISED
            constraint = real if constraint is None else constraint
            return add(self, Parameter(name, value, constraint, self, source))

    def discard(self, name: str) -> None:
        """Forget a parameter, if it is there."""
        with lock:
            if name in self._parameters:
                swap(restructured())  # first: an interrupt after it leaves no plan of the old
                del self._parameters[name]

    # --- Reading

    def __getitem__(self, name: str) -> Parameter:
        known = find(self, name) if isinstance(name, str) else None
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

    def keys(self) -> KeysView[str]:
        """Names now, in the order in which they were initialised."""
        return self._parameters.copy().keys()

    def items(self) -> ItemsView[str, Parameter]:
        """Names and parameters now, in the order in which they were initialised."""
        return self._parameters.copy().items()

    def values(self) -> ValuesView[Parameter]:
        """Parameters now, in the order in which they were initialised."""
        return self._parameters.copy().values()

    def __eq__(self, other: object) -> bool:
        """Whether both hold equal parameters; gradients are not compared."""
        if not isinstance(other, ParamStore):
            return NotImplemented
        with lock:
            return self is other or (
                self._parameters.keys() == other._parameters.keys()
                and all(_equal(p, other[name]) for name, p in self._parameters.items())
            )

    __hash__ = object.__hash__  # it changes: as a key it is itself, whatever it holds

    def __getstate__(self) -> dict[str, Any]:
        with lock:  # parameters of the same moment
            parameters = {name: saved(p) for name, p in self._parameters.items()}
            return {**vars(self), "source": None, "_own": parameters}

    def __setstate__(self, state: dict[str, Any]) -> None:
        parameters = {name: loose(entry, self) for name, entry in state["_own"].items()}
        vars(self).update(state, _own=parameters)

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


def _equal(a: Parameter, b: Parameter) -> bool:
    """Whether two parameters have the same constraint and value, and both or none is frozen."""
    same_kind = (a.constraint, a.frozen, a.shape) == (b.constraint, b.frozen, b.shape)
    return same_kind and bool(np.all(a.coordinates == b.coordinates))


def labels(stores: Iterable[ParamStore]) -> dict[ParamStore, str]:
    """A name for each store: its function's, numbered where two functions share one."""
    found: dict[ParamStore, str] = {}
    for store in stores:
        if store not in found:
            twins = sum(other.owner == store.owner for other in found)
            found[store] = (store.owner or "theta") + (f"#{twins + 1}" if twins else "")
    return found
