"""Choice maps: the values of random choices, by address."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import numpy as np

from genparams.errors import AddressConflict, UnknownAddress
from genparams.trace.address import path
from genparams.types import Address, show


class ChoiceMap(Mapping[Address, Any]):
    """Values at flat addresses, unchanging.

    As a mapping its keys are paths, in the order in which they were made. Indexing by the address
    of a choice gives its value, by the prefix of several a view of those below it:

        choices = ChoiceMap({"mu": 1.0, "group": {0: 2.0, 1: 3.0}})
        choices["mu"], choices["group", 1], choices["group"][1]

    Args:
        values: A mapping by key or by path, nested or flat; a mapping inside stands for what is
        below its key.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[Any, Any] | None = None):
        self._values: dict[Address, Any] = {}
        if values is not None:
            self._take((), values)
            self._refuse_overlap()

    @classmethod
    def trusted(cls, values: dict[Address, Any]) -> "ChoiceMap":
        """Wrap a dictionary of paths and frozen values that nothing else will change."""
        choices = cls()
        choices._values = values
        return choices

    def _take(self, prefix: Address, values: Mapping[Any, Any]) -> None:
        for key, value in values.items():
            address = prefix + path(key)
            if isinstance(value, Mapping):
                self._take(address, value)
            elif address in self._values:
                raise AddressConflict(f"a value for {show(address)} is given twice")
            else:
                self._values[address] = frozen(value)

    def _refuse_overlap(self) -> None:
        for address in self._values:
            for length in range(len(address)):
                if address[:length] in self._values:
                    raise AddressConflict(
                        f"a value for {show(address)} lies below the one for "
                        f"{show(address[:length])}"
                    )

    def __getitem__(self, address: Any) -> Any:
        address = path(address)
        if address in self._values:
            return self._values[address]
        view = self.view(address)
        if not view:
            near = get_close_matches(show(address), map(show, self._values), n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {len(self._values)} choices"
            raise UnknownAddress(f"there is no choice at {show(address)}; {hint}")
        return view

    def view(self, prefix: Any) -> "ChoiceMap":
        """The choices below a prefix, by the rest of their addresses; empty if there are none."""
        prefix = path(prefix)
        n = len(prefix)
        return ChoiceMap.trusted(
            {a[n:]: v for a, v in self._values.items() if len(a) > n and a[:n] == prefix}
        )

    def __contains__(self, address: object) -> bool:
        return path(address) in self._values

    def __iter__(self) -> Iterator[Address]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        other = other if isinstance(other, ChoiceMap) else ChoiceMap(other)
        return self.keys() == other.keys() and all(
            same(v, other._values[a]) for a, v in self._values.items()
        )

    __hash__ = None  # type: ignore[assignment]

    def to_dict(self) -> dict[Any, Any]:
        """The same values as nested dictionaries."""
        tree: dict[Any, Any] = {}
        for address, value in self._values.items():
            node = tree
            for key in address[:-1]:
                node = node.setdefault(key, {})
            node[address[-1] if address else ()] = value
        return tree

    def __repr__(self) -> str:
        return f"ChoiceMap({self.to_dict()!r})"


def frozen(value: Any) -> Any:
    """A value that cannot be changed from outside: a writeable array is copied."""
    if isinstance(value, np.ndarray):
        owner = value if value.base is None else value.base
        if value.flags.writeable or not isinstance(owner, np.ndarray) or owner.flags.writeable:
            value = value.copy()
            value.setflags(write=False)
        return value
    if isinstance(value, list):
        return frozen(np.asarray(value))
    if type(value) is tuple:
        return tuple(frozen(v) for v in value)
    return value.item() if isinstance(value, np.generic) else value


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal: numbers and arrays, or structures of them."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.shape(a) == np.shape(b) and bool(np.all(np.asarray(a) == np.asarray(b)))
    if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(v, b[k]) for k, v in a.items())
    return bool(a == b)
