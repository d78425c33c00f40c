"""How models and checkpoints find, add and declare the parameters of a store.

A user initialises a parameter by `store.init`. A model declares one in its body; the declaration
never replaces a value, and never a constraint that `init` was given.
"""

from functools import partial
from operator import setitem
from typing import TYPE_CHECKING, Any

from genparams.errors import ConstraintError, ShapeError, UninitializedParameter, nearest
from genparams.params.carried import active
from genparams.params.conversions import refuse_other_than_constraints
from genparams.params.parameter import CONSTRAINED, DECLARED, Parameter
from genparams.params.records import lock, restructured, swap
from genparams.types import Constraint, real

if TYPE_CHECKING:
    from genparams.params.store import ParamStore


def add(store: "ParamStore", parameter: Parameter) -> Parameter:
    """Put a parameter into its store, in place of one of its name."""
    with lock:
        swap(restructured())  # first: an interrupt after it leaves no plan of the old
        store._parameters[parameter.name] = parameter
    return parameter


def removal(parameter: Parameter) -> partial[Any]:
    """The call, of a function written in C, that removes a parameter from its store."""
    return partial(parameter.store._parameters.pop, parameter.name, None)


def addition(parameter: Parameter) -> partial[Any]:
    """The call, of a function written in C, that puts a parameter into its store."""
    return partial(setitem, parameter.store._parameters, parameter.name, parameter)


def lookup(store: "ParamStore", name: str) -> Parameter:
    """The parameter of that name, for a running model.

    Raises:
        UninitializedParameter: it has no value yet.
    """
    try:
        return (store._parameters if active else store._own)[name]
    except KeyError:
        of = store.owner or "theta"
        init = (
            f"init_param({of}, {name!r}, value)" if store.owner else f"theta.init({name!r}, value)"
        )
        hint = f"; {nearest(name, store)}" if len(store) else ""
        raise UninitializedParameter(
            f"parameter {name!r} of {of} has no value: write {init}, or param({name!r}, "
            f"value) in the model{hint}"
        ) from None


def find(store: "ParamStore", name: str) -> Parameter | None:
    """The parameter of that name, declared now if its model says how; None if there is none."""
    known = store._parameters.get(name)
    if known is None and store.source is not None:
        declared = store.source.declaration(name)
        if declared is not None:
            with lock:
                known = declare(store, name, *declared)
    return known


def declare(store: "ParamStore", name: str, value: Any, constraint: Constraint | None) -> Parameter:
    """The parameter that a model declares; one that is there keeps its value.

    Raises:
        ConstraintError: the value is outside the constraint; or the parameter has another
            constraint, which is not one that `init` was given. Nothing is changed.
    """
    known = store._parameters.get(name)
    if known is None:
        return add(store, Parameter(name, value, _or_real(constraint), store))
    if constraint is None or known._origin == CONSTRAINED:
        return known
    refuse_other_than_constraints(name, constraint)
    if constraint == known.constraint:
        return known
    of = store.owner or "theta"
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


def declared_by_run(
    store: "ParamStore", name: str, value: Any, constraint: Constraint | None
) -> Parameter:
    """A parameter with the first value that a run gives it, not yet in the store."""
    return Parameter(name, value, _or_real(constraint), store, DECLARED)


def _or_real(constraint: Constraint | None) -> Constraint:
    return real if constraint is None else constraint


def refuse_other_shape(store: "ParamStore", name: str, shape: tuple[int, ...]) -> None:
    """Refuse a first value in a model whose shape differs from the one that a run declared.

    Raises:
        ShapeError: it differs.
    """
    known = store._parameters.get(name)
    if known is not None and known._origin == DECLARED and known.value_shape != shape:
        of = store.owner or "theta"
        raise ShapeError(
            f"parameter {name!r} of {of} has shape {known.value_shape} since its first run, "
            f"and its value in the model has shape {shape} here; write init_param({of}, "
            f"{name!r}, value) to start it again"
        )
