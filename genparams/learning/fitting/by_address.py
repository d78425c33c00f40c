"""Numbers of choices, found by the addresses of these choices."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Generic, TypeVar

import numpy as np

from genparams.errors import InvalidValue, UnknownAddress, nearest
from genparams.learning.views import view
from genparams.mistakes import closed
from genparams.trace.address import path
from genparams.types import Address, show

V = TypeVar("V")

SHOWN = 10
"""The most addresses that are shown."""
NUMBERS = 6
"""The most numbers of an array that are shown."""


@closed()
@dataclass(frozen=True, eq=False)
class ByAddress(Mapping[Any, V], Generic[V]):
    """Something of each choice, by address: one key alone, or a path of several."""

    found: Mapping[Address, V]
    unknown: Mapping[Address, str] = field(default_factory=dict)
    """Why other choices have nothing."""

    def __getitem__(self, address: Any) -> V:
        """What belongs to the choice at an address.

        Raises:
            UnknownAddress: there is no choice.
            InvalidValue: the choice has nothing, and why.
        """
        at = path(address)
        if at in self.unknown:
            raise InvalidValue(self.unknown[at])
        if at not in self.found:
            known = map(show, self.found)
            raise UnknownAddress(f"there is no choice {show(at)}; {nearest(show(at), known)}")
        return self.found[at]

    def get(self, address: Any, default: Any = None) -> Any:
        """What belongs to the choice at an address; `default` if there is nothing."""
        return self.found.get(path(address), default)

    def __contains__(self, address: object) -> bool:
        return path(address) in self.found

    def __iter__(self) -> Iterator[Any]:
        return (key_of(address) for address in self.found)

    def __len__(self) -> int:
        return len(self.found)

    def __repr__(self) -> str:
        rows, more = listed(self, numbers)
        width = max((len(name) for name, _ in rows), default=0)
        return "\n".join([*(f"{name:<{width}}  {text}" for name, text in rows), *more])

    def _repr_html_(self) -> str:
        rows, more = listed(self, numbers)
        cells = [(name, [text]) for name, text in rows]
        return view("reporting", "Table")("", (), ["numbers"], cells, more)._repr_html_()


def key_of(address: Address) -> Any:
    """An address as a person writes it: one key alone, else the path."""
    return address[0] if len(address) == 1 else address


def listed(
    by_address: ByAddress[V], text: Callable[[V], str]
) -> tuple[list[tuple[str, str]], list[str]]:
    """The first addresses with the texts of what they have, or why they have nothing, and how many
    more there are.
    """
    found, unknown = by_address.found, by_address.unknown
    rows = [(show(a), text(v)) for a, v in islice(found.items(), SHOWN)]
    rows += [(show(a), why) for a, why in islice(unknown.items(), SHOWN - len(rows))]
    hidden = len(found) + len(unknown) - len(rows)
    more = f"and {hidden} more" if hidden else "" if rows else "no choices"
    return rows, [more] if more else []


def numbers(value: Any) -> str:
    """An array in one line, without the middle of each long axis."""
    array = np.asarray(value)
    text = np.array2string(
        array,
        threshold=NUMBERS,
        edgeitems=3 if array.ndim < 2 else 1,
        formatter={"float_kind": lambda x: f"{x:.6g}"},
    )
    return " ".join(text.split())


def some(found: Mapping[Address, V], unknown: Mapping[Address, str]) -> ByAddress[V]:
    """What was found.

    Raises:
        InvalidValue: nothing was found, and why.
    """
    if unknown and not found:
        raise InvalidValue(next(iter(unknown.values())))
    return ByAddress(found, unknown)
