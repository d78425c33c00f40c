"""The choices of a run with their distributions and arguments, which may be boxes of a tape."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from genparams.autodiff import Box, np, operand, raw, shape_of
from genparams.dsl.distributions.statistics.functions import expected_information
from genparams.dsl.interpreter import Choose, Operands
from genparams.errors import ShapeError
from genparams.types import Address, Array

Tangents = list[Array | None]
"""The derivatives of each argument of a distribution by the vector, of shape (size, *shape); None
for an argument that does not depend on it."""
ByOperand = dict[int, Array]
"""The derivatives of each traced argument by the vector, by its `id`."""


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

    def log_probs(self) -> Any:
        """log p of each entry; of the whole choice where single entries have no log p."""
        each = getattr(self.distribution, "log_probs_of", self.distribution.log_prob_of)
        try:
            return each(self.value, self.operands)
        except ShapeError:  # a tuple of batches of different shapes
            return self.distribution.log_prob_of(self.value, self.operands)

    @property
    def batch(self) -> tuple[int, ...] | None:
        """The shape of the batch of the value; None for a tuple with several batches."""
        if not isinstance(self.value, tuple):
            return _batch(self.value, self.distribution)
        parts = getattr(self.distribution, "parts", ())
        found = {_batch(v, part) for v, part in zip(self.value, parts, strict=False)}
        return found.pop() if len(found) == 1 else None


def _batch(value: Any, distribution: Any) -> tuple[int, ...]:
    shape = np.shape(value)
    return shape[: len(shape) - distribution.kind.rank]


@dataclass(frozen=True, slots=True)
class Stack:
    """Sites of one distribution whose arguments are single numbers, or one site of any kind."""

    sites: list[Site]

    @property
    def is_one(self) -> bool:
        return len(self.sites) == 1

    @property
    def distribution(self) -> Any:
        return self.sites[0].distribution

    def value(self) -> Any:
        """The values, side by side."""
        return self.sites[0].value if self.is_one else operand([s.value for s in self.sites])

    def args(self) -> list[Any]:
        """The arguments, side by side."""
        if self.is_one:
            return self.sites[0].args
        return [operand(column) for column in zip(*(s.args for s in self.sites), strict=True)]

    def batch(self) -> tuple[int, ...] | None:
        """The shape of the batch of all entries."""
        return self.sites[0].batch if self.is_one else (len(self.sites),)

    def tangents(self, by_operand: ByOperand, size: int) -> Tangents:
        """The derivatives of the arguments by the vector."""
        if self.is_one:
            return tangents_of(self.sites[0], by_operand)
        each = zip(*(s.operands for s in self.sites), strict=True)
        return [_side_by_side(column, by_operand, size) for column in each]


def _side_by_side(column: Sequence[Any], by_operand: ByOperand, size: int) -> Array | None:
    if not any(id(o) in by_operand for o in column):
        return None
    nothing = np.zeros(size)
    return np.stack([by_operand.get(id(o), nothing) for o in column]).T


def tangents_of(site: Site, by_operand: ByOperand) -> Tangents:
    """The derivatives of the arguments of one choice by the vector."""
    return [by_operand.get(id(o)) for o in site.operands]


class Stacked(NamedTuple):
    """The numbers of a stack."""

    distribution: Any
    batch: tuple[int, ...] | None
    value: Any
    args: list[Any]
    tangents: Tangents
    """The derivatives of the arguments; each is None if nothing was differentiated."""

    def information(self) -> Array | None:
        """The expected information; None where the distribution has no closed form."""
        return expected_information(self.distribution, self.args, self.tangents, self.batch)

    @property
    def moves(self) -> bool:
        """Whether an argument depends on the vector."""
        return any(t is not None for t in self.tangents)


def stacked(sites: Iterable[Site], by_operand: ByOperand, size: int) -> list[Stacked]:
    """The numbers of each stack of sites."""
    return [
        Stacked(s.distribution, s.batch(), s.value(), s.args(), s.tangents(by_operand, size))
        for s in stacks(sites)
    ]


def stacks(sites: Iterable[Site]) -> list[Stack]:
    """The sites in stacks: those of single numbers by distribution, any other by itself."""
    together: dict[Any, list[Site]] = {}
    for site in sites:
        joint, labels = isinstance(site.value, tuple), isinstance(site.value, str)
        one = not joint and not any(map(shape_of, (site.value, *site.operands)))
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
