"""Rules for some of the parameters, and rules around other rules.

Which parameters are meant is said by a *where*:

    "w"                      the parameter of that name
    "*bias", "encoder.*"     a shell-style pattern of the name, or of function.name
    ("w", "encoder.*")       any of these
    {"w": True, "b": False}  one by one; to leave a name out is an error
    lambda key: ...          a predicate of the key, which in a `ParamUpdate` is the parameter

All parameters of a function f are "f.*". A `ParamUpdate` refuses a name that none of its parameters
has; a pattern may match none.
"""

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from genparams.errors import UpdateError
from genparams.mistakes import refuse_other_functions
from genparams.text import brief
from genparams.update.formula import filled_like, typed_like
from genparams.update.rule import (
    Pieces,
    Rule,
    State,
    Tree,
    chain,
    identity,
    ranges_of,
    remembered,
    stateless,
)
from genparams.update.scaling import scale_by_schedule
from genparams.update.settings import Kind, number

Where = str | Sequence[str] | Mapping[str, bool] | Callable[[Any], bool]

_WHOLE = Kind("a whole number above 0", lambda v: 1 <= v < np.inf and v == int(v), "4", int)


@remembered
def only(rule: Rule, where: Where) -> Rule:
    """Apply a rule to some parameters; the directions of the others pass unchanged.

    Raises:
        UpdateError: `where` cannot be read, or is a mapping that leaves a parameter out.
    """
    return _routed([(where, rule), ("*", identity)], "only", rule=rule, where=where)


@remembered
def partition(rules: Mapping[Any, Rule]) -> Rule:
    """Send each parameter through the first rule whose `where` it matches.

        partition({"*bias": scale(0.1), ("w", "v"): ADAM(0.01), "*": scale(0.01)})

    Each rule sees its own parameters only: a norm over all of them, for instance, is one for each
    rule. Every rule is applied in every step, so that all of them count the same steps. The state
    holds that of each rule under its place and `where`, as in `"0 *bias"`.

    Raises:
        UpdateError: a `where` cannot be read; or, once it meets the parameters, one of them
            matches none.
    """
    if not isinstance(rules, Mapping) or not rules:
        raise UpdateError(
            "a partition is a mapping such as {'*bias': scale(0.1), '*': ADAM()}, got "
            f"{brief(rules)}"
        )
    return _routed(list(rules.items()), "partition", rules=dict(rules))


def _routed(routes: list[tuple[Any, Rule]], name: str, **settings: Any) -> Rule:
    for where, rule in routes:
        if not isinstance(rule, Rule):
            raise UpdateError(
                f"{name} takes rules such as scale(0.1), got {brief(rule)} for {_shown(where)}"
            )
    tests = {f"{i} {_shown(where)}": _test(where) for i, (where, _) in enumerate(routes)}
    rules = dict(zip(tests, [rule for _, rule in routes], strict=True))

    def place_of(key: Any) -> str:
        for place, test in tests.items():
            if test(key):
                return place
        raise UpdateError(
            f"no rule of this partition is for {_names(key)[-1]!r}: they are for "
            f"{', '.join(_shown(where) for where, _ in routes)}; add '*' for the rest"
        )

    def split(tree: Tree) -> dict[str, dict[Any, Any]]:
        found: dict[str, dict[Any, Any]] = {place: {} for place in rules}
        for k, v in tree.items():
            found[place_of(k)][k] = v
        return found

    def init(theta: Tree) -> State:
        mine = split(theta)
        return {place: rule.init(mine[place]) for place, rule in rules.items()}

    def apply(g: Tree, state: State, theta: Tree) -> tuple[dict[Any, Any], State]:
        directions, after = {}, {}
        given, at = split(g), split(theta)
        for place, rule in rules.items():
            mine, after[place] = rule.apply(given[place], state[place], at[place])
            directions.update(mine)
        ordered = {k: directions.pop(k) for k in g if k in directions}
        return {**ordered, **directions}, after

    makers = {place: rule.pieces for place, rule in rules.items() if rule.pieces}

    def pieces(key: Any) -> Pieces:
        """The formulas for a key; for None those for all, so that one may find what they share."""
        places = makers if key is None else [place_of(key)]
        return [((p, *path), piece) for p in places for path, piece in makers[p](key)]

    fast = len(makers) == len(rules)
    names = frozenset[str]().union(*(rule.names for rule in rules.values()))
    names = names.union(*(_literal(where) for where, _ in routes))
    return Rule(
        init,
        apply,
        name,
        settings,
        pieces=pieces if fast else None,
        names=names,
        ranges=ranges_of(rules),
    )


@remembered
def project(rule: Rule, projection: Callable[[Any], Any], where: Where | None = None) -> Rule:
    """Follow the step of a rule by a projection.

        direction = projection(theta + d) - theta,   d from the rule

    theta are the unconstrained coordinates, which for a parameter without a constraint are its
    values. It lands on projection(theta + d) up to the rounding of one subtraction.

    Args:
        projection: From an array to the nearest one that is allowed, of the same shape, such as
            `functools.partial(project_box, low=0.0, high=1.0)`.
        where: The parameters that are projected; None for all.

    Raises:
        UpdateError: `where` cannot be read, or the projection gives another shape.
    """
    refuse_other_functions("a projection", projection, "array", UpdateError)

    def projected(k: Any, theta: Any, d: Any) -> Any:
        to = projection(np.asarray(theta + d))
        if np.asarray(to).dtype.kind not in "fiu":
            raise UpdateError(
                f"the projection of {_names(k)[-1]!r} must give numbers, got {brief(to)}"
            )
        if np.shape(to) != np.shape(theta):
            raise UpdateError(
                f"the projection of {_names(k)[-1]!r} must keep its shape {np.shape(theta)}, got "
                f"{np.shape(to)}"
            )
        return float(to - theta) if type(theta) is float else np.asarray(to - theta, theta.dtype)

    def apply(g: Tree, theta: Tree) -> dict[Any, Any]:
        return {k: projected(k, theta[k], d) for k, d in g.items()}

    last = stateless(apply, "projection")
    return chain(
        rule,
        last if where is None else only(last, where),
        name="project",
        rule=rule,
        projection=projection,
        **({} if where is None else {"where": where}),
    )


@remembered
def with_schedule(rule: Rule, schedule: Callable[[int], float]) -> Rule:
    """Multiply a rule's directions by schedule(count), `chain(rule, scale_by_schedule(...))`.

    count = 0, 1, ... counts the calls.
    """
    refuse_other_functions("a schedule", schedule, "count", UpdateError)
    return chain(
        rule, scale_by_schedule(schedule), name="with_schedule", rule=rule, schedule=schedule
    )


@remembered
def accumulate(rule: Rule, k: int, mean: bool = True) -> Rule:
    """Apply a rule to every k gradients together.

        total <- total + g
        direction = rule(total / k), total <- 0     in every k-th call
        direction = 0                               in the others, which leave the rule alone

    The calls are counted once for all parameters. A gradient that is missing in a call counts as
    zero; a parameter that was given none in all k calls is missing for the rule too.

    Args:
        mean: Whether the rule sees total / k, or total.

    Reference: the mean is as in GoMLX's AccumulateGradients and optax's MultiSteps.

    Raises:
        InvalidValue: `k` is not a whole number above 0.
    """
    k = number("accumulate", "k", k, _WHOLE)
    if not isinstance(rule, Rule):
        raise UpdateError(f"accumulate takes a rule such as ADAM(0.01), got {brief(rule)}")
    share = k if mean else 1

    def init(theta: Tree) -> State:
        return {
            "calls": 0,
            "given": dict.fromkeys(theta, 0),
            "total": {key: filled_like(x, 0.0) for key, x in theta.items()},
            "rule": rule.init(theta),
        }

    def apply(g: Tree, state: State, theta: Tree) -> tuple[dict[Any, Any], State]:
        given = {**state["given"], **{key: state["given"][key] + 1 for key in g}}
        total = dict(state["total"])
        total.update({key: typed_like(total[key], total[key] + d) for key, d in g.items()})
        after = {**state, "calls": state["calls"] + 1, "given": given, "total": total}
        directions = {key: filled_like(d, 0.0) for key, d in g.items()}
        if after["calls"] == k:
            whole = {key: total[key] / share for key in theta if given[key]}
            moves, begun = rule.apply(whole, state["rule"], theta)
            directions.update(moves)
            zero = {key: filled_like(x, 0.0) for key, x in total.items()}
            after = {"calls": 0, "given": dict.fromkeys(given, 0), "total": zero, "rule": begun}
        return directions, after

    settings = {"rule": rule, "k": k, **({} if mean else {"mean": False})}
    ranges = {"calls": (0, k - 1), "given": (0, k - 1), **ranges_of({"rule": rule})}
    return Rule(init, apply, "accumulate", settings, names=rule.names, ranges=ranges)


# --- Which parameters


def _names(key: Any) -> tuple[str, ...]:
    """What a key is called, last as fully as possible."""
    store = getattr(key, "store", None)
    if store is None:
        return (str(key),)
    return (key.name, f"{store.owner or 'theta'}.{key.name}")


def _test(where: Any) -> Callable[[Any], bool]:
    """The predicate of keys that a `where` means."""
    if isinstance(where, str):
        return lambda key: any(n == where or fnmatchcase(n, where) for n in _names(key))
    if isinstance(where, Mapping):
        return lambda key: _marked(where, key)
    if callable(where):
        return lambda key: bool(where(key))
    if isinstance(where, list | tuple) and all(isinstance(part, str) for part in where):
        tests = [_test(part) for part in where]
        return lambda key: any(test(key) for test in tests)
    raise UpdateError(
        "parameters are chosen by a name, a pattern such as '*bias', a tuple of these, a mapping "
        f"from names to booleans or a predicate, got {brief(where)}"
    )


def _literal(where: Any) -> frozenset[str]:
    """The names in a `where` that are no patterns."""
    named = [where] if isinstance(where, str) else where
    if not isinstance(named, list | tuple | Mapping):
        return frozenset()
    return frozenset(n for n in named if isinstance(n, str) and not any(c in n for c in "*?["))


def _marked(where: Mapping[str, bool], key: Any) -> bool:
    names = _names(key)
    for name in reversed(names):
        if name in where:
            return bool(where[name])
    raise UpdateError(
        f"the mapping says nothing about {names[-1]!r}, only about {', '.join(map(repr, where))}; "
        "add it, or choose by a pattern"
    )


def _shown(where: Any) -> str:
    if isinstance(where, str):
        return where
    if isinstance(where, Mapping):
        return ", ".join(name for name, marked in where.items() if marked)
    if callable(where):
        return getattr(where, "__name__", type(where).__name__)
    return ", ".join(map(str, where)) if isinstance(where, list | tuple) else repr(where)
