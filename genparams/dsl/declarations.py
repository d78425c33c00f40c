"""Parameters that runs declare by `param(name, init)`.

A declared parameter is in its store at once, and is undecided while the run that declared it is in
progress. Other runs in progress may read it too. It is kept when one of these runs ends, and
removed when the last of them fails.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from genparams import params
from genparams.params import (
    Cell,
    Changes,
    Parameter,
    ParamStore,
    is_current,
    lock,
    removal,
    restructured,
    swap,
    swap_and_call,
)
from genparams.types import Constraint

if TYPE_CHECKING:
    from genparams.dsl.interpreter import Run

undecided = Cell({})
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
        params.refuse_other_shape(store, name, init.shape)
    if constraint is None and name in store and not undecided.now:
        return
    with lock:
        if name in store:
            hold(run, params.declare(store, name, init, constraint))
            return
        parameter = params.declared_by_run(store, name, init, constraint)
        run.held[parameter] = None
        swap({undecided: {**undecided.now, parameter: frozenset([run])}})
        params.add(store, parameter)


def hold(run: "Run", parameter: Parameter) -> bool:
    """Note that a run reads a parameter; returns whether the parameter is still in its store."""
    with lock:
        holders = undecided.now.get(parameter)
        if holders is not None:
            run.held[parameter] = None
            swap({undecided: {**undecided.now, parameter: holders | {run}}})
        return is_current(parameter)


def forget(run: "Run") -> None:
    """Remove the undecided parameters of a run that failed, unless another run holds them."""
    with lock:
        left, gone = dict(undecided.now), []
        for parameter in run.held:
            others = left.pop(parameter, frozenset()) - {run}
            if others:
                left[parameter] = others
            elif parameter in undecided.now and is_current(parameter):
                gone.append(parameter)
        if left != undecided.now:
            changes = {undecided: left, **(restructured() if gone else {})}
            swap_and_call(changes, map(removal, gone))


def keep_declared(runs: Iterable["Run"], changes: Changes) -> None:
    """Make changes and keep what runs have declared, all at once; the caller holds the lock."""
    _decide([parameter for run in runs for parameter in run.held], changes)


def _decide(parameters: list[Parameter], changes: Changes) -> None:
    """Make changes, and note that parameters are no longer undecided."""
    if not parameters:
        swap(changes)
        return
    left = {p: holders for p, holders in undecided.now.items() if p not in {*parameters}}
    swap({**changes, undecided: left})
