"""Carried parameters: the parameters of another process or moment, in place of a store's own.

Work that another process or thread does for a caller is done at the caller's parameters, which are
carried there as records. `carried` puts them in place of the parameters of their stores, for one
thread and as long as a `with` block lasts. In that block a store has the carried parameters and no
others: a run finds the values, constraints and frozen flags of the caller, never the store's own.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from genparams.params.parameter import saved

if TYPE_CHECKING:
    from genparams.params.parameter import Parameter
    from genparams.params.store import ParamStore

Layer = dict["ParamStore", dict[str, "Parameter"]]

_present: ContextVar[Layer | None] = ContextVar("carried", default=None)
active: dict[int, Layer] = {}
"""The layers of all threads. While it is empty, a store looks at its own parameters only."""


def parameters_of(store: "ParamStore") -> "dict[str, Parameter]":
    """The parameters that a store has in this thread."""
    layer = _present.get()
    return store._own if layer is None else layer.setdefault(store, {})


@contextmanager
def carried(given: Mapping["ParamStore", Sequence["Parameter"]]) -> Iterator[Layer]:
    """Give stores other parameters in this thread; a store that is not given has none.

    Yields:
        The parameters of the stores, with those that runs declare.
    """
    layer: Layer = {store: {p.name: p for p in mine} for store, mine in given.items()}
    token = _present.set(layer)
    active[id(layer)] = layer
    try:
        yield layer
    finally:
        del active[id(layer)]
        _present.reset(token)


def record_of(p: "Parameter") -> dict[str, Any]:
    """Everything of a parameter except its store and accumulator; hold the lock."""
    found = saved(p)
    return {**found, "entry": {**found["entry"], "grad": None, "fault": None}}
