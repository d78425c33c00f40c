"""What was observed: how many numbers, which values, and from what distributions."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from genparams.dsl.likelihood.sites import Site
from genparams.errors import ShapeError
from genparams.trace.trace import Trace
from genparams.types import show


def count_of(sites: Iterable[Sequence[Site]]) -> int:
    """The number of observations: the members of the batch of each choice."""
    return sum(_members(site) for trace in sites for site in trace)


def _members(site: Site) -> int:
    """The members of the batch of a choice; of a tuple with several batches, of the largest."""
    each = getattr(site.distribution, "log_probs_of", None)
    if each is None:
        return 1
    try:
        return int(np.size(each(site.value, site.args)))
    except ShapeError:
        return max(int(np.size(v)) for v in site.value)


def has_mixture(sites: Iterable[Sequence[Site]]) -> bool:
    """Whether a choice is from a mixture, or from a distribution with more zeros."""
    names = (site.distribution.__name__ for trace in sites for site in trace)
    return any(name.startswith(("mixture of", "zero_inflated")) for name in names)


def hash_of(traces: Iterable[Trace]) -> str:
    """A hash of the addresses and values of every choice."""
    digest = hashlib.sha256()
    for trace in traces:
        digest.update(b"trace")
        named = [(show(a), v) for a, v in trace.choices.items()]
        for address, value in sorted(named, key=lambda pair: pair[0]):
            digest.update(address.encode() + _bytes(value))
    return digest.hexdigest()


def _bytes(value: Any) -> bytes:
    if isinstance(value, (tuple, list)):
        return b"(" + b",".join(map(_bytes, value)) + b")"
    numbers = np.asarray(value)
    if numbers.dtype.kind not in "fiub":
        return repr(numbers.tolist()).encode()
    return repr(numbers.shape).encode() + (numbers.astype(float) + 0.0).tobytes()
