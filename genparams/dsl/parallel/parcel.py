"""Parcels: bytes that carry traces and functions to another process.

Functions and stores travel by name where another process can import them. What has no such name (a
function of a notebook or a local one, a store, a clone) travels by a key: every parcel with the
same key gives the same object there, and the object itself when it comes back here. The contents of
a store are not sent with it; parameters are sent with each piece of work.

With the package cloudpickle, which dask installs, functions of `__main__` and local ones are sent
whole. Without it they must have a name.
"""

import io
import pickle
import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from itertools import count
from threading import RLock
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np

from genparams.dsl.function import GenerativeFunction
from genparams.dsl.parallel import layout
from genparams.params import ParamStore
from genparams.trace.origin import this_process

Key = tuple[tuple[int, bytes], int]

_by_key: "WeakValueDictionary[Key, Any]" = WeakValueDictionary()
_keys: "WeakKeyDictionary[Any, Key]" = WeakKeyDictionary()
_names: "WeakKeyDictionary[Any, tuple[str, str] | None]" = WeakKeyDictionary()
"""Where things were found that can be imported; None for what was found nowhere."""
_numbers = count()
_lock = RLock()
_LEFT_OUT = ("combined", "source")
"""What a function or a store finds out about itself, and does not need to be sent."""


def packed(thing: Any) -> bytes:
    """A parcel with a thing in it."""
    memory = io.BytesIO()
    pickler: Any = _Pickler if find_spec("cloudpickle") is None else _whole_pickler()
    with _lock:
        pickler(memory, protocol=5).dump(thing)
    return memory.getvalue()


def unpacked(parcel: bytes) -> Any:
    """What is in a parcel."""
    with _lock:
        return pickle.loads(parcel)


# --- How each kind of thing is reduced


def _reduced(thing: Any, sends_whole: bool) -> Any:
    """How to pickle a thing; `NotImplemented` for as it is pickled anywhere."""
    kind = type(thing)
    if kind is np.ndarray:
        return layout.reduced(thing) if layout.has_gaps(thing) else NotImplemented
    if kind is ParamStore:
        return _named(thing, sends_whole) or (_store, (_key(thing), thing.owner))
    if not issubclass(kind, GenerativeFunction) or getattr(thing, "recipe", None) is not None:
        return NotImplemented
    if getattr(thing, "origin", thing) is not thing:
        by_parts = _clone, (_key(thing), thing.origin, thing.params)
        return _named(thing, sends_whole) or by_parts
    if sends_whole and not _has_name(thing):
        return _whole(thing)
    return NotImplemented


class _Pickler(pickle.Pickler):
    def reducer_override(self, thing: Any) -> Any:  # called by pickle
        return _reduced(thing, sends_whole=False)


def _whole_pickler() -> Any:
    """A pickler that sends functions whole where another process cannot import them."""
    cloudpickle = import_module("cloudpickle")

    class WholePickler(cloudpickle.Pickler):
        def reducer_override(self, thing: Any) -> Any:
            found = _reduced(thing, sends_whole=True)
            return super().reducer_override(thing) if found is NotImplemented else found

    return WholePickler


# --- By name


def _has_name(function: Any) -> bool:
    """Whether other processes can import a function."""
    if getattr(function, "__module__", None) == "__main__":
        return False
    try:
        function.__reduce__()
    except (pickle.PicklingError, AttributeError):
        return False
    return True


def _named(thing: Any, sends_whole: bool) -> Any:
    """How to pickle a thing that a module has by name, or the store of such a function."""
    if thing not in _names or not _is_at(thing, *(_names[thing] or ("", ""))):
        _names[thing] = _place_of(thing)
    place = _names[thing]
    if place is None or (sends_whole and place[0] == "__main__"):
        return None
    return _thing_at, (type(thing) is ParamStore, *place)


def _place_of(thing: Any) -> tuple[str, str] | None:
    """The module and the name of a thing, or of the function whose store it is."""
    for module in [*sys.modules]:
        for name in [*getattr(sys.modules.get(module), "__dict__", {})]:
            if module != "__mp_main__" and _is_at(thing, module, name):
                return module, name
    return None


def _is_at(thing: Any, module: str, name: str) -> bool:
    if not module:
        return True
    value = vars(sys.modules[module]).get(name)
    if value is thing or type(thing) is not ParamStore:
        return value is thing
    return GenerativeFunction in type(value).__mro__ and getattr(value, "params", None) is thing


def _thing_at(is_store: bool, module: str, name: str) -> Any:
    found = getattr(import_module(module), name)
    return found.params if is_store and type(found) is not ParamStore else found


# --- By key


def _key(thing: Any) -> Key:
    """A key of an object, the same whenever it is sent."""
    if thing not in _keys:
        key = this_process(), next(_numbers)
        _keys[thing], _by_key[key] = key, thing
    return _keys[thing]


def _known(key: Key, thing: Any) -> Any:
    """The object of a key here: one that has it already, else this one."""
    if key not in _by_key:
        _keys[thing], _by_key[key] = key, thing
    return _by_key[key]


def _store(key: Key, owner: str) -> ParamStore:
    store = ParamStore()
    store.owner = owner
    return _known(key, store)


def _clone(key: Key, origin: Any, store: ParamStore) -> Any:
    return _known(key, origin.with_params(store))


def _whole(function: Any) -> Any:
    """How to pickle a function whole; it may refer to itself."""
    state = {name: value for name, value in vars(function).items() if name not in _LEFT_OUT}
    if "seen" in state:
        state["seen"] = {}
    return _shell, (_key(function), type(function)), state, None, None, _fill


def _shell(key: Key, kind: Any) -> Any:
    return _known(key, object.__new__(kind))


def _fill(function: Any, state: Mapping[str, Any]) -> None:
    if "__name__" not in vars(function):
        vars(function).update(state)
