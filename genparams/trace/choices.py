"""Choice maps: the values of random choices, by address."""

from collections.abc import Callable, Iterator, Mapping
from numbers import Real
from typing import Any

import numpy as np

from genparams.errors import (
    AddressConflict,
    AddressError,
    ImmutableError,
    InvalidValue,
    ShapeError,
    UnknownAddress,
    nearest,
)
from genparams.mistakes import answering, explained
from genparams.structure import leaves, map_leaves
from genparams.text import Nested, brief, html_tree, text_tree
from genparams.trace.address import path
from genparams.trace.selection import as_selection, selection_of
from genparams.types import Address, show

_UNCHANGING = (
    "a choice map does not change; write choices.merge({address: value}), after "
    "choices.without(address) to replace a value"
)
_SWAPPED = (
    "; arguments come first in generate(args, constraints) and assess(args, choices), and after "
    "the choices in trace.update(constraints, args)"
)


@explained
@answering(
    clear=_UNCHANGING,
    pop=_UNCHANGING,
    popitem=_UNCHANGING,
    setdefault=_UNCHANGING,
    update=_UNCHANGING,
    get_value="write choices[address]",
    set_value=_UNCHANGING,
    get_submap="write choices.view(address)",
)
class ChoiceMap(Mapping[Address, Any]):
    """Values at flat addresses, which do not change.

    As a mapping its keys are paths, in the order in which they were made. Indexing by the address
    of a choice gives its value; indexing by a prefix gives a view of the choices nested under it:

        choices = ChoiceMap({"mu": 1.0, "group": {0: 2.0, 1: 3.0}})
        choices["mu"], choices["group", 1], choices["group"][1]

    Args:
        values: A mapping by key or by path, nested or flat; the keys of a mapping inside are nested
            under its key.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[Any, Any] | None = None):
        self._values: dict[Address, Any] = {}
        if values is not None:
            if not isinstance(values, Mapping):
                swapped = _SWAPPED if isinstance(values, tuple) else ""
                raise InvalidValue(
                    f"choices are a dictionary by address, such as {{'y': 1.0}}, got "
                    f"{brief(values)}{swapped}"
                )
            self._take((), values)
            self._refuse_overlap()

    @classmethod
    @explained
    def rows(cls, values: Mapping[Any, Any]) -> "ChoiceMap":
        """The choices of `map_` and `unfold`: entry i of each array, nested under i.

            model.generate((100,), {"steps": ChoiceMap.rows({"y": ys})})

        gives `ys[i]` to the choice at `("steps", i, "y")`.

        Args:
            values: Arrays or lists of one length, by address within a call, nested or flat.

        Raises:
            ShapeError: they have different lengths, one has no length, or there are none.
            InvalidValue: `values` is not a mapping.
        """
        columns = cls(values)._values
        lengths = {a: np.shape(column)[:1] for a, column in columns.items()}
        first = next(iter(lengths), None)
        for a, length in lengths.items():
            if not length:
                raise ShapeError(
                    f"rows takes one entry for each call, got {brief(columns[a])} for {show(a)}"
                )
            if first is not None and length != lengths[first]:
                raise ShapeError(
                    f"rows takes arrays of one length, got {length[0]} for {show(a)} and "
                    f"{lengths[first][0]} for {show(first)}"
                )
        if first is None:
            raise ShapeError('rows takes one array or several, such as rows({"y": ys})')
        return cls({(i, *a): columns[a][i] for i in range(lengths[first][0]) for a in columns})

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
                        f"a value for {show(address)} is nested under the value for "
                        f"{show(address[:length])}"
                    )

    def __getitem__(self, address: Any) -> Any:
        address = _path(address)
        if address in self._values:
            return self._values[address]
        view = self.view(address)
        if not view:
            raise UnknownAddress(
                f"there is no choice at {show(address)}; "
                f"{nearest(show(address), map(show, self._values))}"
            )
        return view

    def view(self, prefix: Any) -> "ChoiceMap":
        """The choices nested under a prefix, by the rest of their addresses; empty if none is.

        Raises:
            UnknownAddress: a choice is at the prefix or above it, so that none can be nested there.
        """
        prefix = _path(prefix)
        n = len(prefix)
        for length in range(n + 1):
            if prefix[:length] in self._values:
                raise UnknownAddress(
                    f"nothing is nested under {show(prefix)}: {show(prefix[:length])} is a choice; "
                    f"write choices[{show(prefix[:length])}] for its value"
                )
        return unchecked(
            {a[n:]: v for a, v in self._values.items() if len(a) > n and a[:n] == prefix}
        )

    def get(self, address: Any, default: Any = None) -> Any:
        """The value at an address, or the view of a prefix; `default` if there is neither."""
        try:
            return self[address]
        except UnknownAddress:
            return default

    def __contains__(self, address: object) -> bool:
        """Whether a choice is at an address."""
        return _path(address) in self._values

    def __setitem__(self, address: Any, value: Any) -> None:
        raise ImmutableError(_UNCHANGING)

    def __delitem__(self, address: Any) -> None:
        raise ImmutableError(_UNCHANGING)

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

    @explained
    def to_dict(self) -> dict[Any, Any]:
        """The same values as nested dictionaries."""
        tree: dict[Any, Any] = {}
        for address, value in self._values.items():
            node = tree
            for key in address[:-1]:
                node = node.setdefault(key, {})
            node[address[-1] if address else ()] = value
        return tree

    @explained
    def merge(self, other: Mapping[Any, Any]) -> "ChoiceMap":
        """The choices of both maps; neither has precedence.

        Raises:
            AddressConflict: both have a value at one address, or a value of one map is nested under
                a value of the other.
        """
        other = other if isinstance(other, ChoiceMap) else ChoiceMap(other)
        for address, value in self._values.items():
            if address in other._values:
                raise AddressConflict(
                    f"both maps have a value for {show(address)}: {brief(value)} and "
                    f"{brief(other._values[address])}; leave one out by choices.without(...)"
                )
        merged = unchecked({**self._values, **other._values})
        merged._refuse_overlap()
        return merged

    @explained
    def select(self, selection: Any) -> "ChoiceMap":
        """The choices in a selection (or at and nested under an address, or a list of addresses).

        Raises:
            UnknownAddress: there is nothing at a selected address; see `Selection.check`.
        """
        selection = selection_of(selection, self._values)
        return unchecked({a: v for a, v in self._values.items() if selection.selects(a)})

    @explained
    def without(self, selection: Any) -> "ChoiceMap":
        """The choices outside a selection.

        Raises:
            UnknownAddress: there is nothing at a selected address; see `Selection.check`.
        """
        return self.select(~as_selection(selection))

    @explained
    def to_array(self) -> np.ndarray:
        """All numbers as one float64 vector, which does not depend on the order of insertion.

        Each level has first its values, sorted by key, then the nested maps, sorted by key. Numbers
        sort together, other keys by the name of their type, then by value. Arrays are flattened by
        rows, tuples from first to last.

        Raises:
            InvalidValue: a value is not made of numbers.
        """
        parts = [
            _vector(leaf, address)
            for address in _canonical(self._values)
            for leaf in leaves(self._values[address])
        ]
        return np.concatenate([np.empty(0), *parts])

    @explained
    def from_array(self, array: Any) -> "ChoiceMap":
        """The map whose `to_array` is `array`, with the addresses and shapes of this map.

        A whole number or a truth value keeps its type if the new number has a value of that type;
        else it becomes a float.

        Raises:
            ShapeError: `array` is not a vector of as many numbers as this map has.
            InvalidValue: `array` or a value of this map is not made of numbers.
        """
        numbers, count = _vector(array, None), len(self.to_array())
        if np.ndim(array) != 1 or len(numbers) != count:
            raise ShapeError(
                f"these choices have {count} numbers; from_array takes a vector of that length, "
                f"got shape {np.shape(array)}"
            )
        like = _reader(numbers)
        new = {a: map_leaves(like, self._values[a]) for a in _canonical(self._values)}
        return unchecked({a: new[a] for a in self._values})

    def __reduce__(self) -> tuple[Any, ...]:
        return ChoiceMap, (self._values,)  # freezes the arrays, which pickle makes writeable

    def _tree(self) -> tuple[str, Nested]:
        """A title, and the values as nested texts."""
        count = len(self)
        texts = unchecked({a: brief(v) for a, v in self._values.items()})
        return f"ChoiceMap: {count or 'no'} choice{'' if count == 1 else 's'}", texts.to_dict()

    def __repr__(self) -> str:
        return text_tree(*self._tree())

    def _repr_html_(self) -> str:
        return html_tree(*self._tree())


def unchecked(values: dict[Address, Any]) -> ChoiceMap:
    """A choice map of paths and frozen values, which nothing else will change."""
    choices = ChoiceMap()
    choices._values = values
    return choices


def choice_values(choices: Mapping[Any, Any] | None) -> dict[Address, Any]:
    """The values by path of a choice map, or of a dictionary by address."""
    return (choices if isinstance(choices, ChoiceMap) else ChoiceMap(choices))._values


def _path(address: Any) -> Address:
    """An address as a path, of which every key can be hashed."""
    address = path(address)
    try:
        hash(address)
    except TypeError:
        raise AddressError(f"{show(address)} is not hashable") from None
    return address


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
    if isinstance(value, tuple):
        parts = [frozen(v) for v in value]
        return tuple(parts) if type(value) is tuple else type(value)(*parts)  # a named tuple
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


# --- Choices as one vector


def _canonical(addresses: Mapping[Address, Any]) -> list[Address]:
    """Addresses in an order of their keys alone: at each level values first, then nested maps."""

    def order(value: Callable[[Any], Any]) -> list[Address]:
        return sorted(
            addresses,
            key=lambda a: [(n < len(a), _kind(k), value(k)) for n, k in enumerate(a, start=1)],
        )

    try:
        return order(lambda key: key)
    except TypeError:  # keys that Python does not order
        return order(repr)


def _kind(key: Any) -> str:
    """The name of a key's type; numbers have one, as 1 and 1.0 are the same key."""
    return "number" if isinstance(key, Real) else type(key).__name__


def _vector(value: Any, address: Address | None) -> np.ndarray:
    """The numbers in a value as a float64 vector; the address of the choice is for the error."""
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "fiub":
            raise TypeError
    except (TypeError, ValueError):
        what = "a vector" if address is None else f"the choice at {show(address)}"
        raise InvalidValue(f"{what} must be made of real numbers, got {brief(value)}") from None
    return array.astype(np.float64).ravel()


def _reader(numbers: np.ndarray) -> Callable[[Any], Any]:
    """A function that gives the next of `numbers` in the shape and, if it can, type of a leaf."""
    start = 0

    def like(leaf: Any) -> Any:
        nonlocal start
        model = np.asarray(leaf)
        part = numbers[start : start + model.size].reshape(model.shape)
        start += model.size
        if model.dtype.kind in "iub":
            with np.errstate(invalid="ignore"):
                whole = part.astype(model.dtype)
            part = whole if np.array_equal(whole, part) else part
        return frozen(part) if isinstance(leaf, np.ndarray) else part.item()

    return like
