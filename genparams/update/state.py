"""The states of rules: dictionaries of dictionaries, down to plain data by parameter."""

from collections.abc import Mapping, Set
from typing import Any

import numpy as np

from genparams.params import Parameter
from genparams.update.rule import State


def joined(old: Any, new: Any) -> Any:
    """A state with the entries of new parameters added; a counter of both stays the old one."""
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return old
    return {**new, **{k: joined(v, new[k]) if k in new else v for k, v in old.items()}}


def without(state: Mapping[Any, Any], gone: Set[Parameter]) -> dict[Any, Any]:
    """A state without the entries of some parameters."""
    return {
        k: without(v, gone) if isinstance(v, Mapping) else v
        for k, v in state.items()
        if k not in gone
    }


def replaced(state: Mapping[str, Any], path: tuple[str, ...], part: Any) -> dict[str, Any]:
    """A nested state with another part at a path."""
    if not path:
        return part
    return {**state, path[0]: replaced(state[path[0]], path[1:], part)}


def entered(
    state: Mapping[str, Any], path: tuple[str, ...], entries: Mapping[str, Mapping[Any, Any]]
) -> dict[str, Any]:
    """A nested state with entries by parameter, by the name of a field, set at a path."""
    if path:
        return {**state, path[0]: entered(state[path[0]], path[1:], entries)}
    return {**state, **{name: {**state[name], **new} for name, new in entries.items()}}


def kept_of(state: Mapping[Any, Any], parameter: Parameter) -> dict[Any, Any]:
    """Copies of the arrays that a state keeps for a parameter, entry by entry."""
    found: dict[Any, Any] = {}
    for key, value in state.items():
        if isinstance(value, Mapping):
            found[key] = kept_of(value, parameter)
        elif key is parameter and np.shape(value) == parameter.shape:
            found[key] = np.array(value)
    return found


def put_back(
    state: Mapping[Any, Any], old: Mapping[Any, Any], parameter: Parameter, entries: Any
) -> dict[Any, Any]:
    """A state with some entries of a parameter as `kept_of` found them."""
    made = dict(state)
    for key, value in old.items():
        if isinstance(value, Mapping):
            made[key] = put_back(state[key], value, parameter, entries)
        else:
            made[key] = np.where(entries, value, state[key])
    return made


def leaves(state: State, names: Mapping[Parameter, str], prefix: str = "") -> dict[str, Any]:
    """The plain data of a state by name; parameters that have no name are left out."""
    found: dict[str, Any] = {}
    for key, value in state.items():
        if isinstance(key, Parameter) and key not in names:
            continue
        name = prefix + (names[key] if isinstance(key, Parameter) else str(key))
        if isinstance(value, Mapping):
            found.update(leaves(value, names, name + "/"))
        else:
            found[name] = value
    return found


def differences(expected: Mapping[str, Any], saved: Mapping[str, Any]) -> list[str]:
    """What keeps saved data from being filled in for `expected`."""
    wrong = [f"{k} is missing" for k in expected if k not in saved]
    wrong += [f"{k} is not in this update" for k in saved if k not in expected]
    for k, v in [(k, v) for k, v in expected.items() if k in saved]:
        found = np.asarray(saved[k])
        if found.shape != np.shape(v):
            wrong.append(f"{k} has shape {found.shape}, expected {np.shape(v)}")
        elif found.dtype.kind not in "fiub":
            wrong.append(f"{k} is {saved[k]!r}, expected numbers")
        elif isinstance(v, np.ndarray) and found.dtype != v.dtype:
            wrong.append(f"{k} is {found.dtype}, expected {v.dtype}")
        elif isinstance(v, int) and not (found >= 0 and found % 1 == 0):
            wrong.append(f"{k} is {saved[k]!r}, expected a count")
        elif not np.all(np.isfinite(found) | ~np.isfinite(v)):
            wrong.append(f"{k} is not made of finite numbers")
    return wrong


def filled(
    template: State, names: Mapping[Parameter, str], saved: Mapping[str, Any], prefix: str = ""
) -> dict[Any, Any]:
    """The template with saved data in the places of its own."""
    made: dict[Any, Any] = {}
    for key, value in template.items():
        name = prefix + (names[key] if isinstance(key, Parameter) else str(key))
        if isinstance(value, Mapping):
            made[key] = filled(value, names, saved, name + "/")
        elif isinstance(value, np.ndarray):
            made[key] = np.array(saved[name], dtype=value.dtype)
        else:
            made[key] = type(value)(saved[name])
    return made
