"""Which parameters share a memory: small ones of a store are side by side, and step at once."""

import math
from typing import Any

from genparams.params.memory import Arrays, Floats
from genparams.params.parameter import Parameter
from genparams.params.records import restructured, swap
from genparams.params.store import ParamStore

LARGE = 1 << 15
"""Arrays of at least this size have a memory of their own: to set another does not copy them."""


def lay_together(store: ParamStore) -> None:
    """Move the small parameters of a store into one memory for each kind of number."""
    groups: dict[Any, list[Parameter]] = {}
    for p in store.values():
        kind = p if math.prod(p.shape) >= LARGE else p.dtype if p.shape else None
        groups.setdefault(kind, []).append(p)
    for parameters in groups.values():
        _lay_together(parameters)


def _lay_together(parameters: list[Parameter]) -> None:
    memories = {p._at[0] for p in parameters}
    if len(memories) == 1 and parameters[0]._at[0].count == len(parameters):
        return
    entries = [memory.entry(i) for memory, i in (p._at for p in parameters)]
    together = (Floats if not parameters[0].shape else Arrays)(entries)
    swap(restructured())  # first: an interrupt after it leaves no plan of the old
    for i, p in enumerate(parameters):
        p._at = together, i


def place_of(p: Parameter) -> tuple[Floats | Arrays, int]:
    """The memory of a parameter, and its place there."""
    return p._at
