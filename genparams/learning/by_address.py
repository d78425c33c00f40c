"""Numbers of choices, found by the addresses of these choices."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from genparams.errors import InvalidValue, UnknownAddress, nearest
from genparams.mistakes import closed
from genparams.trace.address import path
from genparams.types import Address, show

V = TypeVar("V")

SHOWN = 10
"""The most addresses that are shown."""


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

    def __contains__(self, address: object) -> bool:
        return path(address) in self.found

    def __iter__(self) -> Iterator[Any]:
        return (key_of(address) for address in self.found)

    def __len__(self) -> int:
        return len(self.found)

    def __repr__(self) -> str:
        return f"ByAddress({shown(self.found)})"


def key_of(address: Address) -> Any:
    """An address as a person writes it: one key alone, else the path."""
    return address[0] if len(address) == 1 else address


def shown(addresses: Mapping[Address, Any]) -> str:
    """The first addresses, and how many more there are."""
    found = [show(address) for address in addresses]
    more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    return ", ".join([*found[:SHOWN], *more])


def some(found: Mapping[Address, V], unknown: Mapping[Address, str]) -> ByAddress[V]:
    """What was found.

    Raises:
        InvalidValue: nothing was found, and why.
    """
    if unknown and not found:
        raise InvalidValue(next(iter(unknown.values())))
    return ByAddress(found, unknown)
