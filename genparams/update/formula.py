"""Rules that treat every number alike, each written as one formula.

A formula is a function of array expressions. `elementwise` makes a `Rule` of it, and an update
makes code from the same formula, which steps floats and blocks of arrays in place.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from genparams.errors import UpdateError
from genparams.mistakes import refuse_other_functions
from genparams.update.rule import Ranges, Rule, State, Tree, remembered
from genparams.update.settings import float_type


@dataclass(frozen=True, slots=True, eq=False)
class Elementwise:
    """What a rule does to every number alike.

    Args:
        formula: From a direction, the coordinate, constants and fields to the next direction and
            the next fields, as expressions of numpy's ufuncs and `np.where`.
        fields: What is kept for each number, by name, and what it is at the start.
        constants: The numbers of one step: from `shared` if there is any, else from
            t = 1, 2, ..., the count of steps that the parameter took part in.
        shared: What is kept once for the whole rule, by name.
        advance: The next `shared`.
        dtype: The type of the fields and of the computation; None for that of the parameter.
    """

    formula: Callable[..., Any]
    fields: Mapping[str, float] = field(default_factory=dict)
    constants: Callable[[Any], tuple[float, ...]] | None = None
    shared: Mapping[str, Any] | None = None
    advance: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
    dtype: np.dtype | None = None

    @property
    def counts(self) -> bool:
        """Whether its state counts the steps of each parameter."""
        return self.constants is not None and self.shared is None

    def constants_at(self, t: int, shared: Mapping[str, Any]) -> tuple[float, ...]:
        """The constants of a step."""
        if self.constants is None:
            return ()
        return self.constants(t if self.shared is None else shared)

    def applied(self, g: Any, theta: Any, constants: tuple, fields: list[Any]) -> tuple:
        """The direction, followed by the next fields."""
        found = self.formula(g, theta, *constants, *fields)
        found = found if isinstance(found, tuple) else (found,)
        if len(found) != 1 + len(self.fields):
            raise UpdateError(
                f"an elementwise formula returns a direction and {len(self.fields)} fields "
                f"({', '.join(self.fields) or 'it has none'}), got {len(found)} values"
            )
        return found


@remembered
def elementwise(
    formula: Callable[..., Any],
    fields: Mapping[str, float] | None = None,
    constants: Callable[[Any], tuple[float, ...]] | None = None,
    shared: Mapping[str, Any] | None = None,
    advance: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None,
    name: str = "elementwise",
    dtype: Any = None,
    ranges: Ranges | None = None,
    **settings: Any,
) -> Rule:
    """A rule that treats every number alike, which makes it fast.

        formula(g, theta, *constants, *fields) -> direction, or direction, *next fields

    For instance, momentum is

        elementwise(lambda g, theta, v: (0.9 * v + g, 0.9 * v + g), fields={"v": 0.0})

    Args:
        formula: Array expressions of numpy's ufuncs and `np.where`.
        fields: What is kept for each number, by name, and its first value.
        constants: `constants(t)` gives the numbers of one step, t = 1, 2, ... counting the steps
            that the parameter took part in; or `constants(shared)`, if there is any.
        shared: What is kept once for all parameters, by name.
        advance: From `shared` to that of the next step.
        dtype: The type of floats in which fields are kept and the formula computed for arrays,
            "float32" or "float64"; None for that of each parameter.
        ranges: The least and the greatest value of what is kept, by name, such as
            {"v": (0.0, np.inf)}: a saved state outside them is refused.

    Raises:
        UpdateError: a name is kept twice; or, at the first step, the formula is not elementwise.
        InvalidValue: `dtype` is no type of floats.
    """
    kept = dict(fields or {})
    given = ["g", "theta", *(() if constants else kept)]
    refuse_other_functions(
        "the formula of elementwise", formula, ", ".join(given), UpdateError, partly=bool(constants)
    )
    twice = kept.keys() & {*(shared or ()), *(("t",) if constants and shared is None else ())}
    if twice:
        raise UpdateError(f"{name}: the name {min(twice)!r} is kept twice; rename the field")
    one = Elementwise(formula, kept, constants, shared, advance, float_type(dtype))

    def init(theta: Tree) -> State:
        state: dict[str, Any] = dict(shared or {})
        if one.counts:
            state["t"] = dict.fromkeys(theta, 0)
        for f, start in kept.items():
            state[f] = {k: filled_like(x, start, one.dtype) for k, x in theta.items()}
        return state

    def apply(g: Tree, state: State, theta: Tree) -> tuple[dict, State]:
        after = {k: dict(v) if isinstance(v, Mapping) else v for k, v in state.items()}
        after.update(advance(state) if advance else {})
        directions = {}
        for k, d in g.items():
            t = 0
            if one.counts:
                t = after["t"][k] = state["t"][k] + 1
            found = one.applied(
                _cast(d, one.dtype),
                _cast(theta[k], one.dtype),
                one.constants_at(t, state),
                [state[f][k] for f in kept],
            )
            found = [float(v) for v in found] if type(d) is float else found
            directions[k], *new = found
            for f, v in zip(kept, new, strict=True):
                after[f][k] = typed_like(state[f][k], v)
        return directions, after

    return Rule(
        init, apply, name, settings, pieces=lambda key: [((), one)], ranges=dict(ranges or {})
    )


def filled_like(x: Any, start: float, dtype: Any = None) -> Any:
    """A float, or an array of the shape of x, full of one number."""
    return float(start) if type(x) is float else np.full_like(x, start, dtype)


def typed_like(old: Any, new: Any) -> Any:
    """What follows an array in a state, in its type: a rule before may work in another one."""
    arrays = isinstance(old, np.ndarray) and isinstance(new, np.ndarray)
    return new.astype(old.dtype, copy=False) if arrays else new


def _cast(x: Any, dtype: Any) -> Any:
    return x if dtype is None or type(x) is float else np.asarray(x, dtype)
