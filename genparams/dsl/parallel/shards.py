"""Shards: the ranges of traces that workers compute."""

from genparams.dsl.sums import BLOCK, Range

MANY = 1000
"""From how many numbers in the parameters on an answer with many sums takes long to send."""


def shards(traces: int, count: int, numbers: int = 0) -> list[Range]:
    """About `count` ranges of nearly equal length.

    Long ranges begin at a multiple of a power of 2 blocks of the sum, of at most 1/16 of their
    length, so that a worker answers with few sums. A range shorter than a block is answered with
    the gradient of each trace.

    Args:
        numbers: How many numbers there are in the parameters. Of many there are no such answers,
            and rather fewer ranges.
    """
    step = 1
    if traces >= 2 * BLOCK * count or (numbers >= MANY and traces > BLOCK):
        step = BLOCK
    while step >= BLOCK and 32 * step * count <= traces:
        step *= 2
    count = max(1, min(count, -(-traces // step)))
    cuts = [step * round(traces * i / count / step) for i in range(count)]
    return [(a, b) for a, b in zip(cuts, [*cuts[1:], traces], strict=True) if a < b]
