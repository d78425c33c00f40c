"""Addresses: the names of choices and calls within a run.

An address is a path of keys. A key is anything hashable that is not a tuple; a tuple is a path.
`"y"` and `("y",)` are the same address.
"""

from typing import Any

from genparams.errors import AddressError
from genparams.text import brief
from genparams.types import Address


def path(address: Any) -> Address:
    """The path of an address.

    Raises:
        AddressError: it is not hashable, or NaN.
    """
    if type(address) is not tuple:
        _check_key(address, address)
        return (address,)
    for key in address:
        if type(key) is not str and type(key) is not int:
            _check_key(key, address)
    return address


def _check_key(key: Any, address: Any) -> None:
    if type(key) is tuple:
        raise AddressError(
            f"a path is a flat tuple of keys, got {brief(address)}; write {brief(flatten(address))}"
        )
    if type(key).__hash__ is None:
        raise AddressError(
            f"an address is made of hashable keys, got {_shown(key, address)}; write a string, a "
            "number or a tuple of them"
        )
    if isinstance(key, float) and key != key:
        shown = _shown(key, address)
        raise AddressError(f"an address equals itself, and NaN does not, got {shown}")


def _shown(key: Any, address: Any) -> str:
    return brief(key) if key is address else f"{brief(key)} in {brief(address)}"


def flatten(address: Any) -> Address:
    """The keys of nested tuples, in order."""
    return (
        tuple(k for part in address for k in flatten(part))
        if isinstance(address, tuple)
        else (address,)
    )
