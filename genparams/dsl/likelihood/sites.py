"""The choices of a traced replay with their distributions and arguments, not yet differentiated."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from genparams.autodiff import Box, np, raw, shape_of
from genparams.dsl.interpreter import Choose, Operands
from genparams.types import Address, Array


@dataclass(frozen=True, slots=True)
class Site:
    """One choice of a run: its distribution, arguments and value."""

    address: Address
    distribution: Any
    operands: list[Any]
    """The arguments: numbers, arrays, or boxes of the tape of the run."""
    value: Any

    @property
    def args(self) -> list[Any]:
        """The arguments as plain numbers and arrays."""
        return [raw(o) for o in self.operands]


@dataclass(frozen=True, slots=True)
class Stack:
    """Sites of one distribution whose arguments are single numbers, or one site of any kind."""

    sites: list[Site]

    @property
    def is_one(self) -> bool:
        return len(self.sites) == 1

    def args(self) -> list[Any]:
        """The arguments, side by side."""
        if self.is_one:
            return self.sites[0].args
        return [np.array(column) for column in zip(*(s.args for s in self.sites), strict=True)]

    def value(self) -> Any:
        return self.sites[0].value if self.is_one else np.array([s.value for s in self.sites])

    def tangents(self, columns: dict[int, Array], size: int) -> list[Array | None]:
        """The derivatives of the arguments by the vector, of shape (size, *shape).

        Args:
            columns: The derivatives of a traced argument, by its `id`.
        """
        if self.is_one:
            return [columns.get(id(o)) for o in self.sites[0].operands]
        each = zip(*(s.operands for s in self.sites), strict=True)
        return [_side_by_side(column, columns, size) for column in each]


def _side_by_side(column: Sequence[Any], columns: dict[int, Array], size: int) -> Array | None:
    if not any(id(o) in columns for o in column):
        return None
    nothing = np.zeros(size)
    return np.stack([columns.get(id(o), nothing) for o in column], axis=-1)


def stacks(sites: Iterable[Site]) -> list[Stack]:
    """The sites, with those of one distribution and single numbers together."""
    together: dict[Any, list[Site]] = {}
    for site in sites:
        one = not shape_of(site.value) and not any(map(shape_of, site.operands))
        labels = isinstance(site.value, str)
        key = site.distribution if one and not labels else site.address
        together.setdefault((one, key), []).append(site)
    return [Stack(found) for found in together.values()]


def traced_operands(sites: Iterable[Site]) -> list[Box]:
    """Each argument that is traced, once."""
    found = {id(o): o for site in sites for o in site.operands if type(o) is Box}
    return list(found.values())


def recording(choose: Choose, sites: list[Site]) -> Choose:
    """A `Choose` that appends each choice to `sites`."""

    def answer(address: Address, distribution: Any, operands: Operands, size: Any) -> Any:
        value = choose(address, distribution, operands, size)
        sites.append(Site(address, distribution, operands, value))
        return value

    return answer
