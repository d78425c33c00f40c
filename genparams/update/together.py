"""Several updates that take one step together: all of them, or none."""

from collections.abc import Iterable, Sequence

from genparams.errors import NothingAccumulated
from genparams.params import Changes, Parameter, lay_together, lock, place_of, restructured, swap
from genparams.update.param_update import ParamUpdate
from genparams.update.targets import dotted


def apply_together(updates: Sequence[ParamUpdate]) -> None:
    """Apply each update that has a gradient; if one fails, none has moved anything.

    Raises:
        NothingAccumulated: none has a gradient.
        NonFiniteGradient, UpdateError: as `ParamUpdate.apply`.
    """
    if len(updates) == 1:
        updates[0].apply()
        return
    with lock:
        covered = {update: update.covers() for update in updates}
        ready = [u for u, parameters in covered.items() if any(map(_has_gradient, parameters))]
        if not ready:
            every = [p for parameters in covered.values() for p in parameters]
            raise NothingAccumulated(f"no gradient was accumulated for {dotted(every)}")
        before = _records(p for update in ready for p in covered[update])
        for update in ready:
            before |= update.present()
        try:
            for update in ready:
                update.apply()
        except BaseException:
            swap({**before, **restructured()})
            raise


def _has_gradient(p: Parameter) -> bool:
    return p.accumulated and not p.frozen


def _records(parameters: Iterable[Parameter]) -> Changes:
    """The changes that bring back parameters as they are now.

    No step writes to the numbers in these records, and none moves a parameter to another memory.
    """
    parameters = list(parameters)
    for store in {p.store: None for p in parameters}:
        lay_together(store)
    found: Changes = {}
    for p in parameters:
        memory, _ = place_of(p)
        found[memory] = memory.now
        if p.shape:
            memory.now.theta.has_views = True
    return found
