"""Selections: sets of addresses, described and not listed.

An address selects every address at it and nested under it. Selections combine as sets do. A
selection does not know the addresses of a trace: `address in selection` decides for each.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from genparams.errors import AddressError, InvalidValue, UnknownAddress, nearest
from genparams.mistakes import closed, explained
from genparams.text import brief
from genparams.trace.address import path
from genparams.types import Address, show


class Selection(ABC):
    """A set of addresses, which does not change: `~s`, `s | t`, `s & t`, and `address in s`."""

    __slots__ = ()

    @abstractmethod
    def selects(self, address: Address) -> bool:
        """Whether a path is selected."""

    @abstractmethod
    def wanted(self) -> tuple[Address, ...]:
        """The paths that were named with `missing="error"`."""

    @abstractmethod
    def named(self) -> tuple[Address, ...] | None:
        """The paths of which it is made, each with what is nested under it; None if of others."""

    @explained
    def check(self, addresses: Iterable[Address]) -> None:
        """Refuse a selection that names an address which a trace does not have.

        Args:
            addresses: The paths of all choices of the trace.

        Raises:
            UnknownAddress: no choice is at or nested under an address that was selected, here or in
                a part of this selection, without `missing="ignore"`.
        """
        if not (wanted := self.wanted()):
            return
        known = {a[:n] for a in addresses for n in range(len(a) + 1)}
        for address in wanted:
            if address and address not in known:
                each = [(key,) for key in address if (key,) in known]
                hint = nearest(show(address), (show(a) for a in known if a))
                if len(address) > 1 and len(each) == len(address):
                    hint = f"a tuple is one path; write [{', '.join(map(show, each))}]"
                raise UnknownAddress(
                    f"there is nothing at or below the selected address {show(address)}; {hint}"
                )

    def __contains__(self, address: Any) -> bool:
        return self.selects(path(address))

    def __invert__(self) -> "Selection":
        return _Complement(self)

    def __or__(self, other: "Selection") -> "Selection":
        return _Pair("|", self, other) if isinstance(other, Selection) else NotImplemented

    def __and__(self, other: "Selection") -> "Selection":
        return _Pair("&", self, other) if isinstance(other, Selection) else NotImplemented


@closed()
@dataclass(frozen=True, slots=True, repr=False)
class _Addresses(Selection):
    """Addresses, each with every address nested under it."""

    addresses: tuple[Address, ...] = field(compare=False)
    members: frozenset[Address]
    missing: str

    def selects(self, address: Address) -> bool:
        return any(address[:n] in self.members for n in range(len(address) + 1))

    def wanted(self) -> tuple[Address, ...]:
        return self.addresses if self.missing == "error" else ()

    def named(self) -> tuple[Address, ...] | None:
        return self.addresses

    def __repr__(self) -> str:
        if self in (everything, nothing):
            return "everything" if self == everything else "nothing"
        option = [] if self.missing == "error" else [f"missing={self.missing!r}"]
        return f"select({', '.join([*map(show, self.addresses), *option])})"


@closed()
@dataclass(frozen=True, slots=True, repr=False)
class _Complement(Selection):
    """The addresses that a selection does not have."""

    of: Selection

    def selects(self, address: Address) -> bool:
        return not self.of.selects(address)

    def wanted(self) -> tuple[Address, ...]:
        return self.of.wanted()

    def named(self) -> None:
        return None

    def __repr__(self) -> str:
        return f"~{_grouped(self.of)}"


@closed()
@dataclass(frozen=True, slots=True, repr=False)
class _Pair(Selection):
    """The addresses in either of two selections, or in both."""

    sign: Literal["|", "&"]
    left: Selection
    right: Selection

    def selects(self, address: Address) -> bool:
        of = any if self.sign == "|" else all
        return of(s.selects(address) for s in (self.left, self.right))

    def wanted(self) -> tuple[Address, ...]:
        return self.left.wanted() + self.right.wanted()

    def named(self) -> None:
        return None

    def __repr__(self) -> str:
        return f"{_grouped(self.left)} {self.sign} {_grouped(self.right)}"


def _grouped(selection: Selection) -> str:
    return f"({selection!r})" if isinstance(selection, _Pair) else repr(selection)


@explained
def select(*addresses: Any, missing: Literal["error", "ignore"] = "error") -> Selection:
    """The addresses given, each with every address nested under it.

        select("mu", ("group", 0))

    Args:
        addresses: Keys, or tuples of keys.
        missing: Whether it is an error that a trace has no choice at or nested under an address.

    Raises:
        AddressError: an argument is not an address.
        InvalidValue: `missing` is neither "error" nor "ignore".
    """
    if missing not in ("error", "ignore"):
        raise InvalidValue(f'missing is "error" or "ignore", got {missing!r}')
    for address in addresses:
        if isinstance(address, Selection):
            raise AddressError(
                f"select takes addresses, got {brief(address)}; join selections by |"
            )
    paths = tuple(dict.fromkeys(map(path, addresses)))
    return _Addresses(paths, frozenset(paths), missing)


def as_selection(x: Any) -> Selection:
    """A selection from itself, from one address (a tuple is one path), or a list or set of them."""
    if isinstance(x, Selection):
        return x
    if isinstance(x, Mapping):
        names = ", ".join(repr(key) for key in [*x][:3])
        raise AddressError(
            f"a selection has addresses, not values, got {brief(x)}; write [{names}]"
        )
    return select(*x) if isinstance(x, (list, set)) else select(x)


nothing = select()
everything = select(())


def selection_of(x: Any, addresses: Iterable[Address]) -> Selection:
    """`as_selection(x)`, checked against the paths of all choices of a trace.

    Raises:
        UnknownAddress: it names an address that is not among them.
    """
    selection = as_selection(x)
    selection.check(addresses)
    return selection
