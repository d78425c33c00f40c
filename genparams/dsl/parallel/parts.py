"""Parts of a step: the gradients of one shard, and the sum of all parts."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from genparams.dsl.gradients import Gradient, first_faults
from genparams.dsl.parallel.branches import Range, branches
from genparams.dsl.sums import PairwiseSum, pairwise_sum
from genparams.params import Parameter
from genparams.trace.trace import ArgGrads


class Part(NamedTuple):
    """The gradients of one shard."""

    where: Range
    results: list[tuple[float, ArgGrads]]
    sums: list[dict[Parameter, Any]]
    """One for each branch of the range."""
    faults: dict[Parameter, str]


def part_of(found: Sequence[Gradient], where: Range, scales: Sequence[float]) -> Part:
    """The part that is made of the gradients of each trace."""
    begin, _ = where
    terms = [one.scaled(scale) for one, scale in zip(found, scales, strict=True)]
    return Part(
        where,
        [(one.log_prob, one.arg_grads) for one in found],
        [pairwise_sum(terms[a - begin : b - begin]) for a, b in branches(*where)],
        first_faults(found),
    )


def total(parts: Sequence[Part]) -> list[tuple[Parameter, Any, str | None]]:
    """The sum of all parts for each parameter, and the first address that is at fault."""
    found: PairwiseSum[Parameter] = PairwiseSum()
    faults: dict[Parameter, str] = {}
    for part in parts:
        for (begin, end), branch in zip(branches(*part.where), part.sums, strict=True):
            found.add(branch, end - begin)
        faults = {**part.faults, **faults}
    return [(p, g, faults.get(p)) for p, g in found.total().items()]
