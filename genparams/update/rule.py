"""Update rules: pairs of pure functions from gradients to directions.

    state = rule.init(theta)
    directions, state = rule.apply(directions, state, theta)

`theta`, the directions and each part of a state that belongs to the parameters are dictionaries
with one key for each parameter; a value is a float or an array. A `ParamUpdate` uses the
parameters themselves as keys, so that a rule can read `key.name`. The directions may lack some
parameters; the state of these parameters does not change. Directions point uphill: the parameters
move by adding them. A rule does not change its inputs.

A chain of rules is a rule. A state is a dictionary of plain data, which can be read, saved and
compared.

Every function that makes a rule is decorated with `rule_maker`.
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
from genparams.update.settings import REQUIREMENTS, Requirement, checked, plain

if TYPE_CHECKING:
    from genparams.update.formula import Elementwise

P = ParamSpec("P")

ByParameter = Mapping[Any, Any]
"""A float or an array for each parameter."""
State = Mapping[Any, Any]
Ranges = Mapping[str, tuple[Any, Any]]
"""The least and the greatest value of parts of a state, by path, such as "0 scale_by_adam/v"."""
NOT_NEGATIVE = (0.0, math.inf)
"""The range of squares, sizes and rates."""
Pieces = list[tuple[tuple[str, ...], "Elementwise"]]
"""Formulas that run one after the other, each with the path of its state."""


_ADVICE = "a rule does not change: make another, or set the rate of an update, update.learning_rate"


@explained
@closed(advice=lambda rule, name: _ADVICE)
@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A pair of pure functions, with a name.

    Args:
        init: From the parameters to the first state.
        apply: From directions, state and parameters to directions and the next state.
        name: Its name in `repr` and in a saved state.
        settings: The arguments that `repr` shows.
        parts: The rules of a chain, by the names of their states.
        pieces: From a parameter to the formulas that its numbers go through, or from None to all
            formulas; None if the rule is not made of formulas.
        names: The parameters that the rule names: an update without one of them is refused.
        ranges: The least and the greatest value of parts of its state, by path, where they are
            known. A saved state outside them is refused.

    A rule from a function of this library is pickled as that function and its arguments.
    """

    init: Callable[[ByParameter], State]
    apply: Callable[[ByParameter, State, ByParameter], tuple[dict[Any, Any], State]]
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
            return _remake, self.recipe
        return Rule, tuple([getattr(self, f.name) for f in fields(self) if f.init])

    def __repr__(self) -> str:
        shown = [repr(part) for part in self.parts.values() if not self.settings]
        shown += [f"{k}={_text(v)}" for k, v in self.settings.items()]
        return f"{self.name}({', '.join(shown)})"


def _remake(make: Callable[..., Rule], args: tuple[Any, ...], options: Any) -> Rule:
    return make(*args, **options)


def _text(setting: Any) -> str:
    """The text of a setting, the same in every process: functions are shown by name."""
    if isinstance(setting, Mapping):
        return f"{{{', '.join(f'{_text(k)}: {_text(v)}' for k, v in setting.items())}}}"
    if isinstance(setting, list | tuple):
        return f"({', '.join(map(_text, setting))}{',' if len(setting) == 1 else ''})"
    if isinstance(setting, partial):
        keywords = [f"{k}={_text(v)}" for k, v in setting.keywords.items()]
        return f"partial({', '.join([*map(_text, (setting.func, *setting.args)), *keywords])})"
    if callable(setting) and type(setting).__repr__ is object.__repr__:
        return f"{type(setting).__qualname__}(...)"
    is_function = isinstance(setting, FunctionType | MethodType | BuiltinFunctionType)
    return setting.__qualname__ if is_function else repr(setting)


def rule_maker(**requirements: Requirement) -> Callable[[Callable[P, Rule]], Callable[P, Rule]]:
    """The decorator of every function that makes a rule.

    It checks the numbers that the function is given: what each must be is listed in `REQUIREMENTS`
    by name, or given here for this function alone. The rule gets the function's name, and its
    arguments as settings, unless the function takes a `name` or sets the settings itself. The
    function and the arguments are recorded: the rule is pickled as these.
    """

    def decorate(make: Callable[P, Rule]) -> Callable[P, Rule]:
        signature = inspect.signature(make)
        known = {name: REQUIREMENTS[name] for name in signature.parameters if name in REQUIREMENTS}
        checking = checked(**known | requirements)(make)
        has_name = "name" in signature.parameters

        @wraps(checking)
        def made(*args: P.args, **options: P.kwargs) -> Rule:
            rule = checking(*args, **options)
            if has_name or rule.settings:
                rule = replace(rule)
            else:
                shown = _shown_arguments(signature, args, options)
                rule = replace(rule, name=make.__name__, settings=shown)
            object.__setattr__(rule, "recipe", (made, args, options))
            return rule

        return made

    return decorate


def _shown_arguments(signature: inspect.Signature, args: Any, options: Any) -> dict[str, Any]:
    """The arguments that `repr` shows: all but options that are off, and off by default."""
    given = signature.bind(*args, **options)
    given.apply_defaults()
    defaults = {name: p.default for name, p in signature.parameters.items()}
    return {
        name: plain(value)
        for name, value in given.arguments.items()
        if not _is_left_off(value, defaults[name])
    }


def _is_left_off(value: Any, default: Any) -> bool:
    is_option = not default or default is True
    return is_option and (value is default or (not callable(value) and value == default))


@rule_maker()
def stateless(
    apply: Callable[[ByParameter, ByParameter], dict[Any, Any]],
    name: str = "stateless",
    **settings: Any,
) -> Rule:
    """A rule without a state, from `apply(directions, theta)`."""
    refuse_other_functions("apply of stateless", apply, "directions, theta", UpdateError)
    return Rule(lambda theta: {}, lambda g, state, theta: (apply(g, theta), state), name, settings)


@rule_maker()
def stateful(
    init: Callable[[ByParameter], State],
    apply: Callable[[ByParameter, State, ByParameter], tuple[dict[Any, Any], State]],
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


@rule_maker()
def chain(*rules: Rule, name: str = "chain", **settings: Any) -> Rule:
    """Apply rules one after the other, each to the directions from the rule before it.

    The state holds the state of each rule under its place and name, such as `"0 scale_by_adam"`.
    """
    for rule in rules:
        if not isinstance(rule, Rule):
            raise UpdateError(
                f"a chain is made of rules such as scale(0.1), got {brief(rule)}; write "
                "chain(first, second)"
            )
    parts = {f"{i} {rule.name}": rule for i, rule in enumerate(rules)}

    def init(theta: ByParameter) -> State:
        return {place: rule.init(theta) for place, rule in parts.items()}

    def apply(g: ByParameter, state: State, theta: ByParameter) -> tuple[dict[Any, Any], State]:
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
    """One sentence for each part of a saved state that is out of its range."""
    return [
        f"{name} is not between {least} and {greatest}"
        for path, (least, greatest) in ranges.items()
        for name, value in saved.items()
        if name == path or name.startswith(path + "/")
        if not np.all((np.asarray(value) >= least) & (np.asarray(value) <= greatest))
    ]


def pieces_of(
    parts: Mapping[str, Rule], place_of: Callable[[Any], str] | None = None
) -> Callable[[Any], Pieces] | None:
    """The formulas of several rules, as `Rule.pieces`; None if a rule is not made of formulas.

    `place_of` finds the one rule that is for a parameter; without it all rules are.
    """
    if not all(rule.pieces for rule in parts.values()):
        return None

    def pieces(key: Any) -> Pieces:
        places = parts if place_of is None or key is None else [place_of(key)]
        makers = {place: parts[place].pieces for place in places}
        return [((p, *path), piece) for p, of in makers.items() if of for path, piece in of(key)]

    return pieces


def split(rule: Rule) -> tuple[dict[str, Rule], Callable[[Any], Pieces] | None]:
    """The parts of a chain that need whole parameters, and `Rule.pieces` of those after them."""
    if rule.pieces is not None:
        return {}, rule.pieces
    head, tail = dict(rule.parts), {}
    while head and (last := next(reversed(head.items())))[1].pieces is not None:
        tail = {last[0]: head.pop(last[0]), **tail}
    return head, pieces_of(tail) if tail else None


identity = chain(name="identity")
"""The rule that leaves directions as they are."""
