"""Targets: which parameters an update moves."""

import weakref
from collections.abc import Iterable, Mapping
from pickle import PicklingError
from typing import Any

from genparams.errors import NothingAccumulated, UnknownFunction, UpdateError, likely
from genparams.params import Parameter, ParamStore, gradient_of, labels
from genparams.registry import named, replaced
from genparams.text import brief


class Targets:
    """Parameters meant by functions, by stores, or by name; what they are now is looked up."""

    def __init__(self, targets: Iterable[Any], callees: bool):
        self._wholes: list[Any] = []
        self._named: list[tuple[ParamStore, str]] = []
        self._owners: list[tuple[weakref.ref[Any], list[str]]] = []
        self._callees = callees
        for target in targets:
            if isinstance(target, Mapping):
                for owner, names in target.items():
                    self._name(owner, names)
            elif isinstance(target, str):
                raise UpdateError(
                    "functions are named together with their parameters, "
                    f"ParamUpdate(rule, {target}=[...]), or given themselves; got {brief(target)}"
                )
            elif callees and not hasattr(target, "seen"):
                raise UpdateError(f"callees=True needs generative functions, got {brief(target)}")
            else:
                store_of(target)
                self._wholes.append(target)
        if not self._wholes and not self._named:
            raise UpdateError(
                "an update needs parameters: ParamUpdate(rule, f), or ParamUpdate(rule, f=['a'])"
            )

    def _name(self, owner: Any, names: Iterable[str]) -> None:
        owner = named(owner) if isinstance(owner, str) else owner
        store = store_of(owner)
        if isinstance(names, str):
            raise UpdateError(
                f"the parameters of an update are a list of names, got {names!r}; write [{names!r}]"
            )
        names = [store[name].name for name in names]
        self._named += [(store, name) for name in names]
        self._owners.append((weakref.ref(owner), names))

    def __reduce__(self) -> Any:
        owned: list[Any] = [({ref(): names}, ref()) for ref, names in self._owners]
        if any(owner is None for _, owner in owned):
            raise PicklingError(
                "the function whose parameters this update moves is gone; keep it, or make the "
                "update with the function itself"
            )
        return Targets, ([*self._wholes, *(target for target, _ in owned)], self._callees)

    def parameters(self) -> list[Parameter]:
        """Every parameter meant now, frozen or not."""
        wanted: dict[tuple[ParamStore, str], None] = {}
        for whole in self._wholes:
            store = store_of(whole)
            wanted.update({(store, name): None for name in store})
            if self._callees:
                wanted.update(dict.fromkeys(_read_by(whole)))
        wanted.update(dict.fromkeys(self._named))
        return [store[name] for store, name in wanted if name in store]

    def why_none(self) -> str:
        """The end of a sentence that says why no parameter can be moved."""
        if self.parameters():
            return "all of its parameters are frozen"
        read = {store.owner for whole in self._wholes for store, _ in _read_by(whole)}
        if read:
            return f"its runs read parameters of {', '.join(sorted(read))} only; write callees=True"
        return "none of its parameters is initialised"

    # --- What is likely a mistake

    def passed_over(self) -> list[Parameter]:
        """What the runs of functions given whole have read, except the parameters meant."""
        known = {*self.parameters()}
        read = [store[n] for f in self._wholes for store, n in _read_by(f) if n in store]
        return [p for p in read if p not in known]

    def unread(self) -> list[tuple[str, str, str]]:
        """Parameters that no run has read and whose names resemble one that runs do read: nearly
        always misspellings. For each the name of the function, its own, and the one that is read.
        """
        owners = [*self._wholes, *(ref() for ref, _ in self._owners)]
        found = []
        for owner in (owner for owner in owners if owner is not None):
            store = store_of(owner)
            read = {name for s, name in _read_by(owner) if s is store}
            for name in store if read else ():
                if name in read or (store.source is not None and store.source.reads(name)):
                    continue
                near = likely(name, read)  # compares the name with every other
                if near is not None:
                    found.append((store.owner, name, near))
        return found

    def replaced(self) -> list[str]:
        """The names of the functions that were defined again since."""
        stores = [*map(store_of, self._wholes), *(store for store, _ in self._named)]
        origins = [store_of(getattr(whole, "origin", whole)) for whole in self._wholes]
        return list(dict.fromkeys(s.owner for s in (*stores, *origins) if replaced(s)))

    # --- Gradients from the user

    def given(self, grads: Mapping[Any, Any]) -> dict[Parameter, Any]:
        """A user's gradients, by parameter or by function and then by parameter, checked."""
        if not isinstance(grads, Mapping):
            raise UpdateError(
                f"grads are a dictionary by parameter, such as {{'a': 1.0}}, got {brief(grads)}"
            )
        known = dict.fromkeys(self.parameters())
        names = labels(p.store for p in known)
        by_store: dict[ParamStore, dict[str, Any]] = {}
        for owner, inner in grads.items():
            if isinstance(inner, Mapping):
                labelled = [store for store, label in names.items() if label == owner]
                store = labelled[0] if labelled else _owner_store(owner)
                by_store.setdefault(store, {}).update(inner)
        flat = {name: g for name, g in grads.items() if not isinstance(g, Mapping)}
        if flat and len(names) != 1:
            raise UpdateError(
                f"this update moves parameters of {len(names)} functions; give gradients as "
                "{function: {name: g}}"
            )
        for store in names if flat else ():
            by_store.setdefault(store, {}).update(flat)
        found = {}
        for store, inner in by_store.items():
            for name, g in inner.items():
                parameter = store[name]
                if parameter not in known:
                    raise UpdateError(
                        f"this update does not move {store.owner or 'theta'}.{name}; leave it out "
                        "of grads"
                    )
                if g is not None and not parameter.frozen:
                    found[parameter] = gradient_of(parameter, g)
        if not found:
            frozen = any(p.frozen for p in known)
            why = "; those that are frozen do not count" if frozen else ""
            raise NothingAccumulated(f"grads names no parameter that this update moves{why}")
        return found


def _read_by(whole: Any) -> Iterable[tuple[ParamStore, str]]:
    """What a function's runs have read; nothing for a store."""
    return tuple(getattr(whole, "seen", ()))


def _owner_store(owner: Any) -> ParamStore:
    return store_of(named(owner) if isinstance(owner, str) else owner)


def store_of(owner: Any) -> ParamStore:
    """The store of a target."""
    store = owner if isinstance(owner, ParamStore) else getattr(owner, "params", None)
    if not isinstance(store, ParamStore):
        raise UnknownFunction(
            f"expected a generative function or a ParamStore, got {brief(owner)}; write "
            "ParamUpdate(rule, f), ParamUpdate(rule, f, g) or ParamUpdate(rule, f=['a'])"
        )
    return store


def names_of(parameters: Iterable[Parameter]) -> dict[Parameter, tuple[str, str]]:
    """The names of a function and of a parameter, for each parameter."""
    parameters = list(parameters)
    of_store = labels(p.store for p in parameters)
    return {p: (of_store[p.store], p.name) for p in parameters}


def dotted(parameters: Iterable[Parameter]) -> str:
    """The names in a sentence: `f.a, f.b`."""
    return ", ".join(f"{f}.{name}" for f, name in names_of(parameters).values())
