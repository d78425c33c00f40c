"""Counts of states and of transitions as plain loops, for a compiler of such loops."""

import numpy as np


def counted(codes, kinds):
    """As `markov_chain.counted`."""
    rows, length = codes.shape
    found = np.zeros((rows, kinds), dtype=np.int64)
    for n in range(rows):
        for t in range(length):
            found[n, codes[n, t]] += 1
    return found
