"""Shards: the ranges of traces that workers compute."""

from genparams.dsl.sums import BLOCK, Range


def shards(traces: int, count: int) -> list[Range]:
    """About `count` ranges of nearly equal length.

    Long ranges begin at a multiple of a power of 2 blocks of the sum, of at most 1/16 of their
    length, so that a worker answers with few sums.
    """
    count = max(1, min(count, traces))
    step = BLOCK if traces >= 2 * BLOCK * count else 1
    while step >= BLOCK and 32 * step * count <= traces:
        step *= 2
    cuts = [step * round(traces * i / count / step) for i in range(count)]
    return [(a, b) for a, b in zip(cuts, [*cuts[1:], traces], strict=True) if a < b]
