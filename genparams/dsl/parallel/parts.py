"""Parts of a step: the gradients of one shard, and the sum of all parts."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from genparams.dsl.gradients import Gradient, first_faults
from genparams.dsl.sums import BLOCK, Range, branches_of, total_of
from genparams.params import Parameter
from genparams.trace.trace import ArgGrads


class Part(NamedTuple):
    """The gradients of one shard."""

    where: Range
    results: list[tuple[float, ArgGrads]]
    sums: list[dict[Parameter, Any]]
    """One for each branch of the range."""
    faults: dict[Parameter, str]


def part_of(found: Sequence[Gradient], begin: int, terms: int, scales: Sequence[float]) -> Part:
    """The part that is made of the gradients of each trace, which begins at a place of all."""
    each = [one.scaled(scale) for one, scale in zip(found, scales, strict=True)]
    where = begin, begin + len(each)
    return Part(
        where,
        [(one.log_prob, one.arg_grads) for one in found],
        [
            total_of((term, 1) for term in each[a - begin : b - begin])
            for a, b in branches_of(*where, terms)
        ],
        first_faults(found),
    )


def total(parts: Sequence[Part], terms: int) -> list[tuple[Parameter, Any, str | None]]:
    """What is added for each parameter, in order, and the first address that is at fault."""
    sums = [
        (found, b - a)
        for part in parts
        for (a, b), found in zip(branches_of(*part.where, terms), part.sums, strict=True)
    ]
    faults: dict[Parameter, str] = {}
    for part in parts:
        faults = {**part.faults, **faults}
    each = [found for found, _ in sums] if terms <= BLOCK else [total_of(sums)]
    return [(p, g, faults.get(p)) for one in each for p, g in one.items()]
