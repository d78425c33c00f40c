"""The learning rates of a rule's state: the factors that may be read and set while training."""

from collections.abc import Mapping
from typing import Any

from genparams.errors import UpdateError, nearest
from genparams.text import brief
from genparams.update.rule import Rule
from genparams.update.settings import RATE, number
from genparams.update.state import replaced

Path = tuple[str, ...]


def rates_of(state: Mapping[Any, Any]) -> dict[str, float]:
    """The rates, by the place of each in the rule."""
    return {"/".join(path): at["factor"] for path, at in _parts_with_a_rate(state).items()}


def only_rate(rule: Rule, rates: Mapping[str, float]) -> float:
    """The one rate of a rule.

    Raises:
        UpdateError: there is none, or there are several that differ.
    """
    if not rates:
        raise UpdateError(
            f"{rule!r} has no rate that can be read and set; make it with a number as "
            "learning_rate, or chain(..., scale_by_state(rate)); for a schedule, read "
            "schedule(update.steps)"
        )
    if len(set(rates.values())) != 1:
        found = ", ".join(f"{path!r}: {rate}" for path, rate in rates.items())
        raise UpdateError(
            f"{rule!r} has several rates; read learning_rates, and write "
            f"set_learning_rates({{{found}}})"
        )
    return next(iter(rates.values()))


def with_rates(state: dict[Any, Any], rates: Mapping[str, float]) -> dict[Any, Any]:
    """The state with other rates.

    Raises:
        UpdateError: there is no rate of that name.
        InvalidValue: a rate is not a finite number from 0 on.
    """
    parts = _parts_with_a_rate(state)
    paths = {"/".join(path): path for path in parts}
    if not isinstance(rates, Mapping):
        raise UpdateError(
            f"rates are a dictionary by name, got {brief(rates)}; the names are "
            f"{', '.join(map(repr, paths)) or 'none'}; write update.learning_rate for one "
            "rate"
        )
    for name, rate in rates.items():
        if name not in paths:
            raise UpdateError(f"there is no rate {name!r}; {nearest(name, paths)}")
        number("ParamUpdate", "learning_rate", rate, RATE)
        path = paths[name]
        state = replaced(state, path, {**parts[path], "factor": float(rate)})
    return state


def _parts_with_a_rate(state: Mapping[Any, Any], path: Path = ()) -> dict[Path, Mapping[str, Any]]:
    """The parts of a state that hold a factor, by path."""
    is_one = isinstance(state.get("factor"), float)  # a field of that name is by parameter
    found: dict[Path, Mapping[str, Any]] = {path: state} if is_one else {}
    for key, value in state.items():
        if isinstance(key, str) and isinstance(value, Mapping):
            found.update(_parts_with_a_rate(value, (*path, key)))
    return found
