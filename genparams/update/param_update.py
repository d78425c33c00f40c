"""Parameter updates: a rule bound to the parameters that it moves."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from genparams.errors import (
    NonFiniteGradient,
    NothingAccumulated,
    ShapeError,
    StateMismatch,
    UnknownFunction,
    UpdateError,
)
from genparams.params import Parameter, ParamStore, is_finite, lock, named
from genparams.update.rule import Rule, State

Key = tuple[str, str]
Live = dict[Key, tuple[Parameter, ParamStore]]


class ParamUpdate:
    """Moves parameters along their accumulated gradients by a rule.

        ParamUpdate(rule, foo=["a", "b"], bar=["theta"])      by the names of functions
        ParamUpdate(rule, {foo: ["a", "b"], bar: ["theta"]})  by the functions themselves
        ParamUpdate(rule, foo)                                all that foo owns at each `apply`
        ParamUpdate(rule, foo, callees=True)                  and all that its runs have read
        ParamUpdate(rule, theta)                              a store that stands alone

    Args:
        targets: Generative functions, stores, or dictionaries from these (or their names) to
            lists of names.
        callees: Whether functions given whole stand for what their runs read, nested calls
            included.
        minimize: Whether the gradients are of a loss: their sign is turned once, before the rule
            sees them.
        by_name: Lists of parameter names, by the name of a live function.

    Raises:
        UnknownFunction, UnknownParameter: a name is not there, or two live functions have it.
    """

    def __init__(
        self,
        rule: Rule,
        *targets: Any,
        callees: bool = False,
        minimize: bool = False,
        **by_name: Iterable[str],
    ):
        if not isinstance(rule, Rule):
            raise UpdateError(f"an update takes a rule such as ADAM(0.01), got {rule!r}")
        self.rule = rule
        self.minimize = minimize
        self.steps = 0
        self._wholes: list[Any] = []
        self._named: list[tuple[ParamStore, str]] = []
        self._callees = callees
        for target in (*targets, by_name):
            if isinstance(target, Mapping) and not isinstance(target, ParamStore):
                for owner, names in target.items():
                    self._name(owner, names)
            else:
                if callees and not hasattr(target, "seen"):
                    raise UpdateError(f"callees=True needs generative functions, got {target!r}")
                self._wholes.append(target)
        if not self._wholes and not self._named:
            raise UpdateError(
                "an update needs parameters: ParamUpdate(rule, f), or ParamUpdate(rule, f=['a'])"
            )
        self._stores = dict.fromkeys([*map(_store, self._wholes), *(s for s, _ in self._named)])
        self._found: Live = {}
        self._found_at: list[int] = []
        self._bound: dict[Key, Parameter] = {}
        self._state: State | None = None

    def _name(self, owner: Any, names: Iterable[str]) -> None:
        store = _store(named(owner) if isinstance(owner, str) else owner)
        if isinstance(names, str):
            raise UpdateError(
                f"the parameters of an update are a list of names, got {names!r}; write [{names!r}]"
            )
        for name in names:
            self._named.append((store, store[name].name))

    def parameters(self) -> Live:
        """The parameters that `apply` would move now, by function and name, without frozen ones."""
        return {key: found for key, found in self._resolved().items() if not found[0].frozen}

    def _resolved(self) -> Live:
        """The parameters meant, looked up again when one was initialised or read since the last
        time.
        """
        if self._age() == self._found_at:
            return self._found
        found: dict[tuple[ParamStore, str], None] = {}
        for whole in self._wholes:
            found.update({(_store(whole), name): None for name in _store(whole)})
            if self._callees:
                found.update({(s, name): None for s, name in whole.seen if name in s})
        found.update({(store, name): None for store, name in self._named if name in store})
        labels: dict[ParamStore, str] = {}
        for store, _ in found:
            if store not in labels:
                twins = sum(other.owner == store.owner for other in labels)
                labels[store] = (store.owner or "theta") + (f"#{twins + 1}" if twins else "")
        self._stores.update({store: None for store, _ in found})
        self._found = {(labels[s], name): (s[name], s) for s, name in found}
        self._found_at = self._age()
        return self._found

    def _age(self) -> list[int]:
        seen = [len(whole.seen) for whole in self._wholes] if self._callees else []
        return [store.version for store in self._stores] + seen

    def apply(self, grads: Mapping[Any, Any] | None = None) -> None:
        """Take one step, and empty the accumulators of the parameters that it moved.

        Args:
            grads: Gradients to use in place of the accumulated ones, which then stay as they are:
            by parameter name
                for a single store or function, else by function and then by name. Parameters that
                are missing or None are left alone, and so is their state.

        Raises:
            NothingAccumulated: no gradient was accumulated for any of the parameters.
            NonFiniteGradient: a gradient has a NaN or an infinity.
            UnknownParameter, ShapeError: `grads` does not fit.

        If it raises, nothing has changed.
        """
        live = self.parameters()
        if not live:
            raise NothingAccumulated(
                "this update has no parameters: none is initialised, or all are frozen"
            )
        if grads is None:
            if not any(p.accumulated for p, _ in live.values()):
                which = ", ".join(f"{f}.{name}" for f, name in live)
                raise NothingAccumulated(
                    f"no gradient was accumulated for {which}; call "
                    "trace.accumulate_param_gradients() before apply()"
                )
            g = {key: p._grad for key, (p, _) in live.items()}
        else:
            g = self._given(grads, live)
        for key, d in g.items():
            if not is_finite(d):
                raise NonFiniteGradient(
                    *key, self.steps + 1, live[key][0].fault if grads is None else None
                )
        if self.minimize:
            g = {key: -d for key, d in g.items()}
        theta = {key: p.coordinates for key, (p, _) in live.items()}
        fresh = self._fresh(live)
        directions, state = self.rule.apply(g, self._state_for(fresh, theta), theta)
        try:
            moved = [(live[key][0], *live[key][0].stepped(d)) for key, d in directions.items()]
        except ShapeError as error:
            raise UpdateError(f"{self.rule!r} cannot be applied: {error}") from None
        with lock:
            for parameter, coordinates, value in moved:
                parameter.place(coordinates, value)
                if grads is None:
                    parameter.zero_grad()
            self._state = state
            self._bound.update(fresh)
            self.steps += 1

    def _given(self, grads: Mapping[Any, Any], live: Live) -> dict[Key, Any]:
        """The user's gradients by key, checked."""
        by_store: dict[ParamStore, Mapping[str, Any]] = {}
        for owner, inner in grads.items():
            if isinstance(inner, Mapping):
                by_store[self._store_of(owner, live)] = inner
        flat = {name: g for name, g in grads.items() if not isinstance(g, Mapping)}
        if flat:
            stores = list({store: None for _, store in live.values()})
            if len(stores) > 1:
                raise UpdateError(
                    f"this update moves parameters of {len(stores)} functions; give "
                    f"gradients as {{function: {{name: g}}}}"
                )
            by_store[stores[0]] = flat
        keys = {(store, key[1]): key for key, (_, store) in live.items()}
        found = {}
        for store, inner in by_store.items():
            for name, g in inner.items():
                parameter = store[name]
                if g is None or parameter.frozen:
                    continue
                if (store, name) not in keys:
                    raise UpdateError(
                        f"this update does not move {store.owner or 'theta'}.{name}; leave "
                        "it out of grads"
                    )
                found[keys[store, name]] = parameter.checked_grad(g)
        if not found:
            raise NothingAccumulated("grads names no parameter that this update moves")
        return found

    def _store_of(self, owner: Any, live: Live) -> ParamStore:
        if not isinstance(owner, str):
            return _store(owner)
        for (label, _), (_, store) in live.items():
            if label == owner:
                return store
        return _store(named(owner))

    def _fresh(self, live: Live) -> dict[Key, Parameter]:
        """The parameters that the state knows nothing of: new ones, and those begun again."""
        return {key: p for key, (p, _) in live.items() if self._bound.get(key) is not p}

    def _state_for(self, fresh: Mapping[Key, Parameter], theta: Mapping[Key, Any]) -> State:
        """The rule's state, with a beginning for fresh parameters."""
        if not fresh and self._state is not None:
            return self._state
        begun = self.rule.init({key: theta[key] for key in fresh})
        return begun if self._state is None else _joined(self._state, begun)

    def state_dict(self) -> dict[str, np.ndarray]:
        """The number of steps and the rule's state, as arrays by name: those of a parameter end in
        function/name.
        """
        live = self.parameters()
        theta = {key: p.coordinates for key, (p, _) in live.items()}
        state = self._state_for(self._fresh(live), theta)
        return {
            "steps": np.array(self.steps),
            **{k: np.array(v) for k, v in _leaves(state).items()},
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Take up a state that `state_dict` gave.

        Raises:
            StateMismatch: names or shapes differ; the message lists each difference, and nothing is
            changed.
        """
        live = self.parameters()
        template = self.rule.init({key: p.coordinates for key, (p, _) in live.items()})
        expected = {"steps": 0, **_leaves(template)}
        wrong = [f"{k} is missing" for k in expected if k not in saved]
        wrong += [f"{k} is not in this update" for k in saved if k not in expected]
        wrong += [
            f"{k} has shape {np.shape(saved[k])}, expected {np.shape(v)}"
            for k, v in expected.items()
            if k in saved and np.shape(saved[k]) != np.shape(v)
        ]
        if wrong:
            raise StateMismatch(f"the saved state does not fit {self!r}: " + "; ".join(wrong))
        self._state = _filled(template, saved)
        self._bound = {key: p for key, (p, _) in live.items()}
        self.steps = int(saved["steps"])

    def __repr__(self) -> str:
        which = ", ".join(f"{f}.{name}" for f, name in self.parameters())
        return (
            f"ParamUpdate({self.rule!r}, "
            f"{which or 'no parameters yet'}{', minimize=True' if self.minimize else ''})"
        )


def _store(owner: Any) -> ParamStore:
    store = owner if isinstance(owner, ParamStore) else getattr(owner, "params", None)
    if not isinstance(store, ParamStore):
        raise UnknownFunction(f"expected a generative function or a ParamStore, got {owner!r}")
    return store


def _joined(old: Any, new: Any) -> Any:
    """A state with the entries of new parameters added; a counter of both stays the old one."""
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return old
    return {
        k: (new[k] if isinstance(k, tuple) else _joined(old[k], new[k]))
        if k in old and k in new
        else (old | new)[k]  # type: ignore[operator]
        for k in dict.fromkeys([*old, *new])
    }


def _leaves(state: State, prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in state.items():
        name = prefix + ("/".join(key) if isinstance(key, tuple) else str(key))
        found.update(_leaves(value, name + "/") if isinstance(value, Mapping) else {name: value})
    return found


def _filled(template: State, saved: Mapping[str, Any], prefix: str = "") -> dict[Any, Any]:
    filled: dict[Any, Any] = {}
    for key, value in template.items():
        name = prefix + ("/".join(key) if isinstance(key, tuple) else str(key))
        if isinstance(value, Mapping):
            filled[key] = _filled(value, saved, name + "/")
        elif isinstance(value, np.ndarray):
            filled[key] = np.array(saved[name], dtype=value.dtype)
        else:
            filled[key] = type(value)(saved[name])
    return filled
