"""Placed traces: traces that workers keep, so that a step sends parameters and gets gradients.

The traces go to the workers once, in shards, with the names of the functions whose parameters they
read. A shard is asked for by its name; a worker that does not have it says so and is sent it.
"""

import os
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, overload
from weakref import finalize

from genparams.dsl.comparison import refuse_changed_arguments
from genparams.dsl.gradients import sequence_of_traces
from genparams.dsl.parallel.branches import Range, shards
from genparams.dsl.parallel.contents import pack_shard
from genparams.dsl.parallel.crews import Crew, crew_of
from genparams.dsl.parallel.tasks import Shard
from genparams.errors import ArgumentError
from genparams.mistakes import explained
from genparams.params import ParamStore
from genparams.text import brief
from genparams.trace.trace import Trace

_released: deque[bytes] = deque(maxlen=32)
"""The names of placed traces that are not in use any more, which the next tasks tell workers."""


class PlacedTraces(Sequence[Trace]):
    """Traces that the workers of an executor keep; made by `place`."""

    is_placed = True

    def __init__(self, traces: Sequence[Trace], executor: Any, keeps: bool):
        self.executor = executor
        self.keeps = keeps
        self.crew: Crew = crew_of(executor)
        self.owners: dict[ParamStore, Any] = {}
        """The functions whose parameters are sent, by their stores."""
        self._traces = list(traces)
        self.ranges: list[Range] = shards(len(self._traces), 4 * self.crew.workers)
        self._name = b""
        self._sent: set[int] = set()
        self.learn(f for trace in self._traces for f, _ in trace.parameters)

    @overload
    def __getitem__(self, i: int) -> Trace: ...
    @overload
    def __getitem__(self, i: slice) -> Sequence[Trace]: ...
    def __getitem__(self, i: Any) -> Any:
        return self._traces[i]

    def __len__(self) -> int:
        return len(self._traces)

    def __repr__(self) -> str:
        return f"<{len(self)} traces placed on {brief(self.executor)}>"

    # --- For the steps

    def learn(self, functions: Iterable[Any]) -> None:
        """Note whose parameters are read; if a function is new, the shards are sent again."""
        before = len(self.owners)
        for function in functions:
            self.owners.setdefault(function.params, function)
        if len(self.owners) > before or not self._name:
            if self._name:
                _released.append(self._name)
            self._name = os.urandom(16)
            self._sent.clear()
            if self.keeps:
                finalize(self, _released.append, self._name)

    def name(self, i: int) -> tuple[bytes, int]:
        """What shard i is called."""
        return self._name, i

    def shard(self, i: int) -> Shard:
        """Shard i, as it is in this process."""
        begin, end = self.ranges[i]
        mine = self._traces[begin:end]
        return Shard(
            begin,
            mine,
            [*self.owners.values()],
            [trace._origin is None for trace in mine],
            [trace._gradients for trace in mine],
        )

    def parcel(self, i: int, again: bool) -> bytes | None:
        """Shard i as bytes; None if it was sent before and is not asked for again."""
        if self.keeps and i in self._sent and not again:
            return None
        shard = self.shard(i)
        for trace in shard.traces:
            refuse_changed_arguments(trace)
        parcel = pack_shard(shard)
        self._sent.add(i)
        return parcel

    def released(self) -> tuple[bytes, ...]:
        """The names of what workers need not keep any more."""
        return tuple(_released)


@explained
def place(traces: Trace | Iterable[Trace], executor: Any) -> PlacedTraces:
    """Have the workers of an executor keep traces, so that they are sent once.

        placed = place(traces, executor)
        for step in range(100):
            accumulate_param_gradients(placed)
            update.apply()

    Each step then sends the present parameters, and gets back sums of gradients. The traces are
    sent at the first step, as they are then; the workers have copies. They are released when the
    object that this function returns is.

    Args:
        executor: As in `accumulate_param_gradients`.

    Returns:
        The traces as a sequence, for `accumulate_param_gradients`.

    Raises:
        ArgumentError: `traces` holds something else than traces, or `executor` is none.
    """
    several = sequence_of_traces(traces)
    if type(several) is PlacedTraces:
        raise ArgumentError("these traces are placed already; place the list they were made of")
    return PlacedTraces(several, executor, keeps=True)


def placed_or_sent(traces: Sequence[Trace], executor: Any) -> PlacedTraces:
    """Placed traces; others are sent with the work, and not kept."""
    if type(traces) is not PlacedTraces:
        return PlacedTraces(traces, executor, keeps=False)
    if executor is not None and executor is not traces.executor:
        raise ArgumentError(
            "these traces are placed on another executor; leave out executor=, or place them on it"
        )
    return traces
