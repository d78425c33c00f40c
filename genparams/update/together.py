"""Several updates that take one step together: all of them, or none."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from genparams.errors import NothingAccumulated
from genparams.params import Changes, lay_together, lock, place_of, restructured, structure, swap
from genparams.params.memory import Arrays
from genparams.update.param_update import ParamUpdate
from genparams.update.targets import dotted


class Together:
    """Updates of different parameters."""

    def __init__(self, updates: Sequence[ParamUpdate]):
        self._updates = list(updates)
        self._structure: object = None
        self._places: dict[ParamUpdate, list[tuple[Any, int]]] = {}
        self._memories: list[Any] = []
        self._shared: list[Arrays] = []

    def apply(self) -> None:
        """Apply each update that has a gradient; if one fails, none has moved anything.

        Raises:
            NothingAccumulated: none has a gradient.
            NonFiniteGradient, UpdateError: as `ParamUpdate.apply`.
        """
        with lock:
            if self._structure is not structure.now:
                self._find()
            ready = [u for u, places in self._places.items() if _has_gradient(places)]
            if not ready:
                every = [p for update in self._updates for p in update.covers()]
                raise NothingAccumulated(f"no gradient was accumulated for {dotted(every)}")
            before = self._present(ready)
            try:
                for update in ready:
                    update.apply()
            except BaseException:
                swap({**before, **restructured()})
                raise

    def _find(self) -> None:
        """Find the places of the parameters that move, from which no step moves them away."""
        moving = {u: [p for p in u.covers() if not p.frozen] for u in self._updates}
        for store in {p.store: None for parameters in moving.values() for p in parameters}:
            lay_together(store)
        self._structure = structure.now
        self._places = {u: [place_of(p) for p in mine] for u, mine in moving.items()}
        used = Counter(m for places in self._places.values() for m in {m for m, _ in places})
        self._memories = [*used]
        self._shared = [m for m, count in used.items() if count > 1 and isinstance(m, Arrays)]

    def _present(self, ready: Sequence[ParamUpdate]) -> Changes:
        """The changes that bring everything back to how it is now.

        A step does not write to the record before it. Where a second step moves parameters of the
        same memory, it would, unless the record is marked as in use.
        """
        for memory in self._shared:
            memory.now.theta.has_views = True
        before: Changes = {memory: memory.now for memory in self._memories}
        for update in ready:
            before |= update.present()
        return before


def _has_gradient(places: Sequence[tuple[Any, int]]) -> bool:
    return any(memory.now.grad[i] is not None for memory, i in places)
