"""Parameters that runs declare by `param(name, init)`.

A declared parameter is in its store at once, and is undecided while the run that declared it is in
progress. Other runs in progress may read it too. It is kept when one of these runs ends, and
removed when the last of them fails.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from genparams.params import Parameter, ParamStore, lock, real
from genparams.types import Constraint

if TYPE_CHECKING:
    from genparams.dsl.interpreter import Run

undecided: dict[Parameter, set["Run"]] = {}
"""The undecided parameters, each with the runs in progress that declared or read it. The `held` of
each of these runs has the parameter as a key."""


def declare(
    run: "Run", store: ParamStore, name: str, init: Any, constraint: Constraint | None
) -> None:
    """Give a parameter its first value, if it has none.

    Raises:
        ConstraintError: it has another constraint, which no call of `init_param` asked for.
        ShapeError: a run declared it with another shape.
    """
    if type(init) is np.ndarray and name in store:
        store.refuse_other_shape(name, init.shape)
    if constraint is None and name in store and not undecided:
        return
    with lock:
        if name in store:
            hold(run, store.declare(name, init, constraint))
            return
        parameter = Parameter(name, init, constraint or real, store)
        parameter.is_declared = True
        run.held[parameter] = None
        undecided[parameter] = {run}
        store.add(parameter)


def hold(run: "Run", parameter: Parameter) -> bool:
    """Note that a run reads a parameter; returns whether the parameter is still in its store."""
    with lock:
        if parameter in undecided:
            run.held[parameter] = None
            undecided[parameter].add(run)
        store, name = parameter.store, parameter.name
        return name in store and store[name] is parameter


def forget(run: "Run") -> None:
    """Remove the undecided parameters of a run that failed, unless another run holds them."""
    with lock:
        for parameter in run.held:
            holders = undecided.get(parameter)
            if holders is None:
                continue
            holders.discard(run)
            if not holders:
                store = parameter.store
                if store.holds(parameter):
                    store.discard(parameter.name)
                undecided.pop(parameter, None)


def keeping(runs: Iterable["Run"]) -> list[tuple[Any, ...]]:
    """The calls for `all_at_once` that keep what runs have declared."""
    return [(undecided.pop, parameter, None) for run in runs for parameter in run.held]
