"""Changes of several parameters at once: what `swap` takes to edit them, and to add gradients.

Hold the lock from the call of one of these functions to the swap.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from genparams.params.memory import EMPTY, Edit
from genparams.params.records import Changes

if TYPE_CHECKING:
    from genparams.params.parameter import Parameter


def edited(edits: Mapping["Parameter", Edit], changes: Changes | None = None) -> Changes:
    """Changes that edit parameters, after other changes if there are any."""
    found = dict(changes or {})
    by_memory: dict[Any, dict[int, Edit]] = {}
    for p, edit in edits.items():
        memory, i = p._at
        by_memory.setdefault(memory, {})[i] = edit
    for memory, mine in by_memory.items():
        found[memory] = memory.edited(mine, found.get(memory, memory.now))
    return found


def emptied(parameters: Iterable["Parameter"], changes: Changes | None = None) -> Changes:
    """Changes that empty accumulators, after other changes if there are any."""
    return edited(dict.fromkeys(parameters, EMPTY), changes)


def added(grads: Iterable[tuple["Parameter", Any, str | None]]) -> Changes:
    """Changes that add gradients, which are known to fit, to the accumulators.

    Args:
        grads: Parameters with their gradients, and the address that made a gradient not finite. A
            parameter may occur several times.
    """
    changes: Changes = {}
    sums: dict[Parameter, Any] = {}
    edits: dict[Parameter, dict[str, Any]] = {}
    for p, g, fault in grads:
        if p.shape:
            old = sums.get(p, p.grad if p.accumulated else None)
            sums[p] = _sum(p, old, g)
        else:
            memory: Any = p._at[0]
            i, now = p._at[1], changes.get(memory)
            if now is None:
                now = changes[memory] = memory.with_own_grads()
            old = now.grad[i]
            now.grad[i] = float(g) if old is None else old + float(g)
        if fault is not None:
            edits.setdefault(p, {"fault": p.fault or fault})
    for p, total in sums.items():
        edits.setdefault(p, {})["grad"] = total
    return edited(edits, changes) if edits else changes


def _sum(p: "Parameter", old: Any, g: Any) -> np.ndarray:
    """An array added to what is accumulated, in the precision of the parameter."""
    if old is None and type(g) is np.ndarray and g.dtype == p.dtype:
        return g
    with np.errstate(over="ignore", invalid="ignore"):  # an update finds what is not finite
        total = np.asarray(g) if old is None else np.add(old, g)
        return total.astype(p.dtype, copy=False)
