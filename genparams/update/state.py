"""Operations on the states of rules, which are nested dictionaries.

The keys are strings, and in the innermost dictionaries parameters. No operation changes a state.
"""

from collections.abc import Mapping, Set
from typing import Any

import numpy as np

from genparams.params import Parameter


def joined(old: Any, new: Any) -> Any:
    """An old state with the entries of new parameters added; what both have stays the old."""
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
    """A state whose fields at a path have new entries: by field, those of some parameters."""
    if path:
        return {**state, path[0]: entered(state[path[0]], path[1:], entries)}
    return {**state, **{name: {**state[name], **new} for name, new in entries.items()}}


def with_fixed(
    after: Mapping[Any, Any], before: Mapping[Any, Any], parameter: Parameter, mask: Any
) -> dict[Any, Any]:
    """A state in which the entries of a parameter's arrays under a mask are as they were before."""
    found = dict(after)
    for key, value in before.items():
        if isinstance(value, Mapping):
            found[key] = with_fixed(after[key], value, parameter, mask)
        elif key is parameter and np.shape(value) == parameter.shape:
            found[key] = np.where(mask, value, after[key])
    return found
