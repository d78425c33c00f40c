"""Which traces go together: shards for workers, and branches of the sum.

The sum of gradients is pairwise, so its tree depends on nothing but the number of traces. A branch
is a range of traces whose sum is a part of that tree: 2^k traces from a multiple of 2^k on. A shard
is a range of traces that one worker computes. It returns one sum for each branch in its range.
"""

Range = tuple[int, int]


def shards(traces: int, count: int) -> list[Range]:
    """About `count` ranges of nearly equal length, which hold few branches each.

    A range begins at a multiple of a power of 2 that is at most 1/16 of its length.
    """
    count = max(1, min(count, traces))
    step = 1
    while 32 * step * count <= traces:
        step *= 2
    cuts = [step * round(traces * i / count / step) for i in range(count)]
    return [(a, b) for a, b in zip(cuts, [*cuts[1:], traces], strict=True) if a < b]


def branches(begin: int, end: int) -> list[Range]:
    """The largest branches that make up a range, in order."""
    found = []
    while begin < end:
        size = begin & -begin or 1 << end.bit_length()
        while begin + size > end:
            size //= 2
        found.append((begin, begin + size))
        begin += size
    return found
