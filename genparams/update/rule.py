"""Update rules: pairs of pure functions from gradients to directions.

    state = rule.init(theta)
    directions, state = rule.apply(directions, state, theta)

`theta`, the directions and every part of a state that follows the parameters are dictionaries with
the same keys, one entry for each parameter: a float or an array. A `ParamUpdate` uses the
parameters themselves as keys, so that a rule can ask for `key.name`. A rule leaves its inputs
alone.
`directions` may lack some parameters; then the state of those stays. Directions point uphill: the
parameters move by adding them.

A chain of rules is a rule. A state is a dictionary of plain data, so that it can be read, saved and
compared.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from genparams.errors import UpdateError

Tree = Mapping[Any, Any]
State = Mapping[Any, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A pair of pure functions, and what it is called.

    Args:
        init: From the parameters to the first state.
        apply: From directions, state and parameters to directions and the next state.
        name: What it is, for `repr` and for the names in a saved state.
        settings: The numbers it was made with.
        parts: The rules it is a chain of.
    """

    init: Callable[[Tree], State]
    apply: Callable[[Tree, State, Tree], tuple[dict[Any, Any], State]]
    name: str = "rule"
    settings: Mapping[str, Any] = field(default_factory=dict)
    parts: tuple["Rule", ...] = ()

    def __repr__(self) -> str:
        shown = [repr(part) for part in self.parts if not self.settings]
        shown += [f"{k}={v!r}" for k, v in self.settings.items()]
        return f"{self.name}({', '.join(shown)})"


def stateless(
    apply: Callable[[Tree, Tree], dict[Any, Any]], name: str = "stateless", **settings: Any
) -> Rule:
    """A rule without a state, from `apply(directions, theta)`."""
    return Rule(lambda theta: {}, lambda g, state, theta: (apply(g, theta), state), name, settings)


def chain(*rules: Rule, name: str = "chain", **settings: Any) -> Rule:
    """Apply rules one after the other, each to the directions that the one before it gave.

    The state holds that of each part under its place and name, as in `"0 scale_by_adam"`.
    """
    for rule in rules:
        if not isinstance(rule, Rule):
            raise UpdateError(f"a chain is made of rules such as scale(0.1), got {rule!r}")
    places = [f"{i} {rule.name}" for i, rule in enumerate(rules)]

    def init(theta: Tree) -> State:
        return {place: rule.init(theta) for place, rule in zip(places, rules, strict=True)}

    def apply(g: Tree, state: State, theta: Tree) -> tuple[dict[Any, Any], State]:
        after = {}
        for place, rule in zip(places, rules, strict=True):
            g, after[place] = rule.apply(g, state[place], theta)
        return dict(g), after

    return Rule(init, apply, name, settings, rules)


def sqrt(x: Any) -> Any:
    """The square root of a float or an array."""
    return math.sqrt(x) if type(x) is float else np.sqrt(x)


def zeros(x: Any) -> Any:
    """Zeros shaped as a float or an array."""
    return 0.0 if type(x) is float else np.zeros_like(x)
