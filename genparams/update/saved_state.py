"""The saved state of an update: plain arrays by name."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from genparams.errors import UpdateError
from genparams.params import Cell, Changes, Parameter
from genparams.update.rule import State, out_of_range
from genparams.update.steps import Steps
from genparams.update.targets import names_of


class SavedState:
    """What the saved state of an update of some parameters looks like, and how one is loaded."""

    def __init__(self, steps: Steps, parameters: list[Parameter], progress: Cell):
        self._steps, self._parameters, self._progress = steps, parameters, progress
        self._names = {p: "/".join(name) for p, name in names_of(parameters).items()}

    @cached_property
    def _first(self) -> State:
        return self._steps.chain.init({p: p.coordinates for p in self._parameters})

    @cached_property
    def expected(self) -> dict[str, Any]:
        """A first state, by name."""
        return {"steps": 0, "skipped": 0, **_by_name(self._first, self._names)}

    def now(self) -> dict[str, np.ndarray]:
        """The number of steps and the rule's state as arrays."""
        progress = self._steps.covering(self._progress.now, self._parameters)
        found = {"steps": np.array(progress.steps), "skipped": np.array(progress.skipped)}
        for k, v in _by_name(progress.whole_state(), self._names).items():
            found[k] = np.array(v)
            if found[k].dtype.kind not in "fiub":
                raise UpdateError(f"a state holds numbers and arrays of them; {k} is {v!r}")
        return found

    def differences(self, saved: Mapping[str, Any]) -> list[str]:
        """What keeps a saved state from being loaded, a sentence each."""
        if not isinstance(saved, Mapping):
            return [f"a state is a dictionary, as state_dict gives it, and not {saved!r}"]
        wrong = _differences(self.expected, saved)
        return wrong or out_of_range(self._steps.chain.ranges, saved)

    def restored(self, saved: Mapping[str, Any]) -> Changes:
        """Changes that load a state that has no differences; hold the lock up to the swap."""
        progress = self._steps.beginning()._replace(
            steps=int(saved["steps"]),
            skipped=int(saved["skipped"]),
            known=frozenset(self._names),
            state=_filled(self._first, self._names, saved),
        )
        return {self._progress: progress}


def _by_name(state: State, names: Mapping[Parameter, str], prefix: str = "") -> dict[str, Any]:
    """The plain data of a state by name; parameters that have no name are left out."""
    found: dict[str, Any] = {}
    for key, value in state.items():
        if isinstance(key, Parameter) and key not in names:
            continue
        name = prefix + (names[key] if isinstance(key, Parameter) else str(key))
        if isinstance(value, Mapping):
            found.update(_by_name(value, names, name + "/"))
        else:
            found[name] = value
    return found


def _differences(expected: Mapping[str, Any], saved: Mapping[str, Any]) -> list[str]:
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


def _filled(
    template: State, names: Mapping[Parameter, str], saved: Mapping[str, Any], prefix: str = ""
) -> dict[Any, Any]:
    """The template with saved data in the places of its own."""
    made: dict[Any, Any] = {}
    for key, value in template.items():
        name = prefix + (names[key] if isinstance(key, Parameter) else str(key))
        if isinstance(value, Mapping):
            made[key] = _filled(value, names, saved, name + "/")
        elif isinstance(value, np.ndarray):
            made[key] = np.array(saved[name], dtype=value.dtype)
        else:
            made[key] = type(value)(saved[name])
    return made
