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
from genparams.update.rule import ByParameter, Ranges, Rule, State, rule_maker
from genparams.update.settings import float_type


@dataclass(frozen=True, slots=True, eq=False)
class Elementwise:
    """A formula that a rule applies to every number alike; see `elementwise` for its parts."""

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

    def init(self, theta: ByParameter) -> State:
        """The state before the first step."""
        state: dict[str, Any] = dict(self.shared or {})
        if self.counts:
            state["t"] = dict.fromkeys(theta, 0)
        for name, start in self.fields.items():
            state[name] = {k: filled_like(x, start, self.dtype) for k, x in theta.items()}
        return state

    def apply(
        self, g: ByParameter, state: State, theta: ByParameter
    ) -> tuple[dict[Any, Any], State]:
        """The directions and the next state."""
        after = {k: dict(v) if isinstance(v, Mapping) else v for k, v in state.items()}
        after.update(self.advance(state) if self.advance else {})
        directions = {}
        for k, d in g.items():
            t = 0
            if self.counts:
                t = after["t"][k] = state["t"][k] + 1
            found = self.applied(
                _cast(d, self.dtype),
                _cast(theta[k], self.dtype),
                self.constants_at(t, state),
                [state[name][k] for name in self.fields],
            )
            found = [float(v) for v in found] if type(d) is float else found
            directions[k], *new = found
            for name, v in zip(self.fields, new, strict=True):
                after[name][k] = typed_like(state[name][k], v)
        return directions, after


@rule_maker()
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
    """A rule that applies one formula to every number, which makes it fast.

        formula(g, theta, *constants, *fields) -> direction, or direction, *next fields

    For instance, momentum is

        elementwise(lambda g, theta, v: (0.9 * v + g, 0.9 * v + g), fields={"v": 0.0})

    Args:
        formula: Array expressions of numpy's ufuncs and `np.where`.
        fields: The state of each number, by name: its first value.
        constants: `constants(t)` gives the numbers of one step, where t = 1, 2, ... counts the
            steps that the parameter took part in; or `constants(shared)`, if there is any.
        shared: The state that all parameters share, by name.
        advance: From `shared` to the `shared` of the next step.
        dtype: The type of the fields and of the computation for arrays, "float32" or "float64";
            None for the type of each parameter.
        ranges: The least and the greatest value of parts of the state, by name, such as
            {"v": (0.0, np.inf)}: a saved state outside them is refused.

    Raises:
        UpdateError: two parts of the state have one name; or, at the first step, the formula is
            not elementwise.
        InvalidValue: `dtype` is not a type of floats.
    """
    fields = dict(fields or {})
    given = ["g", "theta", *(() if constants else fields)]
    refuse_other_functions(
        "the formula of elementwise", formula, ", ".join(given), UpdateError, partly=bool(constants)
    )
    twice = fields.keys() & {*(shared or ()), *(("t",) if constants and shared is None else ())}
    if twice:
        raise UpdateError(f"{name}: the name {min(twice)!r} is kept twice; rename the field")
    one = Elementwise(formula, fields, constants, shared, advance, float_type(dtype))
    ranges = dict(ranges or {})
    return Rule(one.init, one.apply, name, settings, {}, lambda key: [((), one)], ranges=ranges)


def filled_like(x: Any, start: float, dtype: Any = None) -> Any:
    """A float, or an array of the shape of x, full of one number."""
    return float(start) if type(x) is float else np.full_like(x, start, dtype)


def typed_like(old: Any, new: Any) -> Any:
    """The next value of a part of a state, in the type of the old one."""
    arrays = isinstance(old, np.ndarray) and isinstance(new, np.ndarray)
    return new.astype(old.dtype, copy=False) if arrays else new


def _cast(x: Any, dtype: Any) -> Any:
    return x if dtype is None or type(x) is float else np.asarray(x, dtype)
