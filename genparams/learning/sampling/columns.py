"""The choices of many traces as arrays, one array for each address."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from genparams.errors import ShapeError
from genparams.learning.fitting.by_address import ByAddress
from genparams.trace.trace import Trace
from genparams.types import Address, Array, show


def values_of(traces: Sequence[Trace], shape: tuple[int, ...]) -> ByAddress[Array]:
    """The values at each address as an array of shape (*shape, *value).

    An address that some traces do not have has no array, and its error says why.

    Args:
        traces: The traces in order, as many as an array of this shape has entries.
    """
    count = Counter(address for trace in traces for address in trace.choices)
    everywhere = [address for address, times in count.items() if times == len(traces)]
    unknown = {
        address: _not_everywhere(address, times, len(traces))
        for address, times in count.items()
        if times < len(traces)
    }
    return ByAddress(Columns(traces, shape, everywhere), unknown)


class Columns(Mapping[Address, Array]):
    """The array of an address, made when it is first read."""

    def __init__(self, traces: Sequence[Trace], shape: tuple[int, ...], addresses: list[Address]):
        self._traces, self._shape = traces, shape
        self._found: dict[Address, Array | None] = dict.fromkeys(addresses)

    def __getitem__(self, address: Address) -> Array:
        """The array of the values at an address.

        Raises:
            ShapeError: the values have different shapes.
        """
        found = self._found[address]
        if found is None:
            each = [trace.choices[address] for trace in self._traces]
            found = self._found[address] = stacked(each, self._shape, show(address))
        return found

    def __iter__(self) -> Iterator[Address]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


def stacked(each: Sequence[Any], shape: tuple[int, ...], what: str) -> Array:
    """Values as one read-only array of shape (*shape, *value).

    Tuples and other objects are the entries of an array of objects.

    Raises:
        ShapeError: the values have different shapes.
    """
    if any(isinstance(value, (tuple, dict)) for value in each):
        array = np.empty(len(each), dtype=object)
        array[:] = each
    else:
        shapes = {np.shape(value) for value in each}
        if len(shapes) > 1:
            one, other = sorted(shapes)[:2]
            raise ShapeError(
                f"the values of {what} have different shapes, such as {one} and {other}, and are "
                f"no array; write a list, such as [trace[{what}] for trace in ...]"
            )
        array = np.array(each)
    array = array.reshape(*shape, *array.shape[1:])
    array.setflags(write=False)
    return array


def _not_everywhere(address: Address, times: int, total: int) -> str:
    at = show(address)
    return (
        f"{at} is in {times} of {total} traces, as the model makes other choices in the others; "
        f"write [trace[{at}] for trace in ... if {at} in trace]"
    )
