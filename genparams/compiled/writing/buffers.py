"""Arrays that operations write their results into, each used again when nothing reads it."""

from collections.abc import Iterable, Sequence

import numpy as np

from genparams.compiled.algebra.builder import nodes_in
from genparams.compiled.algebra.ir import Node
from genparams.compiled.writing.calls import may_be_view


class Buffers:
    """The buffers of operations that run one after the other.

    Args:
        groups: What runs at one place: nodes, in order.
        kept: Nodes whose results are read later.
    """

    def __init__(self, groups: Sequence[Sequence[Node]], kept: Iterable[Node]):
        end = len(groups)
        self._last = dict.fromkeys(kept, end)  # the last place that reads what is at a node
        for place, nodes in reversed(list(enumerate(groups))):
            for n in reversed(nodes):
                until = max(place, self._last.get(n, -1)) if may_be_view(n) else place
                for a in nodes_in(n.args):
                    if a.shape == () and a.dtype is not None:
                        continue  # a single number is in no buffer
                    self._last[a] = max(self._last.get(a, -1), until)
        self._free: dict[tuple[tuple[int, ...], np.dtype], list[str]] = {}
        self._at: dict[Node, str] = {}
        self.made: list[tuple[str, tuple[int, ...], np.dtype]] = []

    def take(self, n: Node, name: str) -> str:
        """A buffer for the result of a node: a free one, or a new one of that name."""
        assert n.dtype is not None
        free = self._free.get((n.shape, n.dtype))
        if free:
            name = free.pop()
        else:
            self.made.append((name, n.shape, n.dtype))
        self._at[n] = name
        return name

    def release(self, place: int) -> None:
        """Free the buffers that nothing reads after a place."""
        for n in [n for n in self._at if self._last.get(n, -1) <= place]:
            assert n.dtype is not None
            self._free.setdefault((n.shape, n.dtype), []).append(self._at.pop(n))
