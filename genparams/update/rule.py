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

A rule that treats every number alike says so: it is made by `elementwise` from one formula, from
which an update also makes the code that steps floats and blocks of arrays in place.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial, wraps
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np

from genparams.errors import UpdateError
from genparams.mistakes import closed, explained, refuse_other_functions
from genparams.text import brief
from genparams.update.settings import plain

if TYPE_CHECKING:
    from genparams.update.formula import Elementwise

P = ParamSpec("P")

Tree = Mapping[Any, Any]
State = Mapping[Any, Any]
Ranges = Mapping[str, tuple[Any, Any]]
"""The least and the greatest value of parts of a state, by path, such as "0 scale_by_adam/v"."""
AT_LEAST_0 = (0.0, math.inf)
"""The range of squares, sizes and rates."""
Pieces = list[tuple[tuple[str, ...], "Elementwise"]]
"""Formulas that run one after the other, each with the path of its state."""


def _advice(rule: "Rule", name: str) -> str:
    return (
        "a rule does not change: make another, or set the rate of an update, update.learning_rate"
    )


@explained
@closed(advice=_advice)
@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A pair of pure functions, and what it is called.

    Args:
        init: From the parameters to the first state.
        apply: From directions, state and parameters to directions and the next state.
        name: What it is, for `repr` and for the names in a saved state.
        settings: The numbers it was made with.
        parts: The rules it is a chain of, by the names of their states.
        pieces: From a parameter to the formulas that it goes through, or from None to all
            formulas, if every number is treated alike; None if that cannot be said.
        names: The parameters that it is for by name: an update without them is refused.
        ranges: The least and the greatest value of parts of its state, by path, where they are
            known. A saved state outside them is refused.

    A rule that a function made is pickled as that function and its arguments.
    """

    init: Callable[[Tree], State]
    apply: Callable[[Tree, State, Tree], tuple[dict[Any, Any], State]]
    name: str = "rule"
    settings: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, "Rule"] = field(default_factory=dict)
    pieces: Callable[[Any], Pieces] | None = None
    names: frozenset[str] = frozenset()
    ranges: Ranges = field(default_factory=dict)
    recipe: tuple[Any, ...] | None = field(default=None, init=False)
    """The function that made it, and its arguments."""

    def __copy__(self) -> "Rule":
        return self  # a rule does not change

    def __deepcopy__(self, memo: Any) -> "Rule":
        return self

    def __reduce__(self) -> Any:
        if self.recipe is not None:
            return _made_again, self.recipe
        return Rule, tuple([getattr(self, f.name) for f in fields(self) if f.init])

    def __repr__(self) -> str:
        shown = [repr(part) for part in self.parts.values() if not self.settings]
        shown += [f"{k}={_shown(v)}" for k, v in self.settings.items()]
        return f"{self.name}({', '.join(shown)})"


def _shown(value: Any) -> str:
    """The text of a setting, in which functions go by their names: the same in every process."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_shown(k)}: {_shown(v)}' for k, v in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_shown, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, partial):
        given = [*map(_shown, value.args), *(f"{k}={_shown(v)}" for k, v in value.keywords.items())]
        return f"partial({', '.join([_shown(value.func), *given])})"
    if callable(value) and type(value).__repr__ is object.__repr__:
        return f"{type(value).__qualname__}(...)"
    is_function = isinstance(value, FunctionType | MethodType | BuiltinFunctionType)
    return value.__qualname__ if is_function else repr(value)


def _made_again(make: Callable[..., Rule], args: tuple[Any, ...], options: Any) -> Rule:
    return make(*args, **options)


def remembered(make: Callable[P, Rule]) -> Callable[P, Rule]:
    """A maker of rules that are pickled as the maker and its arguments."""

    explaining = explained(make)

    @wraps(make)
    def made(*args: P.args, **options: P.kwargs) -> Rule:
        rule = replace(explaining(*args, **options))
        object.__setattr__(rule, "recipe", (made, args, options))
        return rule

    return made


@remembered
def stateless(
    apply: Callable[[Tree, Tree], dict[Any, Any]], name: str = "stateless", **settings: Any
) -> Rule:
    """A rule without a state, from `apply(directions, theta)`."""
    refuse_other_functions("apply of stateless", apply, "directions, theta", UpdateError)
    return Rule(lambda theta: {}, lambda g, state, theta: (apply(g, theta), state), name, settings)


@remembered
def stateful(
    init: Callable[[Tree], State],
    apply: Callable[[Tree, State, Tree], tuple[dict[Any, Any], State]],
    name: str = "stateful",
    ranges: Ranges | None = None,
    **settings: Any,
) -> Rule:
    """A rule from `init(theta)` and `apply(directions, state, theta)`.

    Args:
        ranges: The least and the greatest value of parts of the state, by name: a saved state
            outside them is refused.
    """
    refuse_other_functions("init of stateful", init, "theta", UpdateError)
    refuse_other_functions("apply of stateful", apply, "directions, state, theta", UpdateError)
    return Rule(init, apply, name, settings, ranges=ranges or {})


def named(make: Callable[P, Rule]) -> Callable[P, Rule]:
    """A maker of rules that show its name and what they were made with.

    Options that are off by default, and were left so, are not shown.
    """
    signature = inspect.signature(make)

    explaining = explained(make)

    @wraps(make)
    def made(*args: P.args, **options: P.kwargs) -> Rule:
        rule = explaining(*args, **options)
        given = signature.bind(*args, **options)
        given.apply_defaults()
        shown = {
            k: plain(v)
            for k, v in given.arguments.items()
            if not _is_left_off(v, signature.parameters[k].default)
        }
        return replace(rule, name=make.__name__, settings=shown)

    return remembered(made)


def _is_left_off(value: Any, default: Any) -> bool:
    is_option = not default or default is True
    return is_option and (value is default or (not callable(value) and value == default))


@remembered
def chain(*rules: Rule, name: str = "chain", **settings: Any) -> Rule:
    """Apply rules one after the other, each to the directions that the one before it gave.

    The state holds that of each part under its place and name, as in `"0 scale_by_adam"`.
    """
    for rule in rules:
        if not isinstance(rule, Rule):
            raise UpdateError(
                f"a chain is made of rules such as scale(0.1), got {brief(rule)}; write "
                "chain(first, second)"
            )
    parts = {f"{i} {rule.name}": rule for i, rule in enumerate(rules)}

    def init(theta: Tree) -> State:
        return {place: rule.init(theta) for place, rule in parts.items()}

    def apply(g: Tree, state: State, theta: Tree) -> tuple[dict[Any, Any], State]:
        after = {}
        for place, rule in parts.items():
            g, after[place] = rule.apply(g, state[place], theta)
        return dict(g), after

    names = frozenset[str]().union(*(rule.names for rule in rules))
    return Rule(init, apply, name, settings, parts, pieces_of(parts), names, ranges_of(parts))


def ranges_of(parts: Mapping[str, Rule]) -> Ranges:
    """The ranges of the states of several rules, by path."""
    return {
        f"{place}/{path}": bounds
        for place, rule in parts.items()
        for path, bounds in rule.ranges.items()
    }


def out_of_range(ranges: Ranges, saved: Mapping[str, Any]) -> list[str]:
    """What lies outside its range in a saved state, a sentence each."""
    return [
        f"{name} is not between {least} and {greatest}"
        for path, (least, greatest) in ranges.items()
        for name, value in saved.items()
        if name == path or name.startswith(path + "/")
        if not np.all((np.asarray(value) >= least) & (np.asarray(value) <= greatest))
    ]


def pieces_of(parts: Mapping[str, Rule]) -> Callable[[Any], Pieces] | None:
    """The formulas of a chain of these parts; None if one is not made of formulas."""
    makers = {place: rule.pieces for place, rule in parts.items() if rule.pieces}
    if len(makers) < len(parts):
        return None
    return lambda key: [
        ((place, *path), piece) for place, of in makers.items() for path, piece in of(key)
    ]


def split(rule: Rule) -> tuple[dict[str, Rule], Callable[[Any], Pieces] | None]:
    """A chain's parts that see whole parameters, by place, and the formulas that come after them.

    The latter as `Rule.pieces` gives them; None if there are none.
    """
    if rule.pieces is not None:
        return {}, rule.pieces
    head, tail = dict(rule.parts), {}
    while head and (last := next(reversed(head.items())))[1].pieces is not None:
        tail = {last[0]: head.pop(last[0]), **tail}
    return head, pieces_of(tail) if tail else None


identity = chain(name="identity")
"""The rule that leaves directions as they are."""
