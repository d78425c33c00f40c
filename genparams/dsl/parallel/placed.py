"""Placed traces: traces that workers keep, so that a step sends parameters and gets gradients.

The traces go to the workers once, in shards, with the functions whose parameters they read. A shard
is asked for by its name; a worker that does not have it says so and is sent it.
"""

import math
import os
from bisect import bisect_right
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol, overload
from weakref import finalize

from genparams.dsl.comparison import refuse_changed_arguments
from genparams.dsl.gradients import sequence_of_traces
from genparams.dsl.parallel.contents import pack_shard
from genparams.dsl.parallel.crews import Crew, crew_of
from genparams.dsl.parallel.shards import shards
from genparams.dsl.parallel.tasks import Shard, Task
from genparams.dsl.sums import Range
from genparams.errors import ArgumentError
from genparams.mistakes import closed, explained
from genparams.params import ParamStore
from genparams.text import brief
from genparams.trace.trace import Trace

_released: deque[bytes] = deque(maxlen=32)
"""The names of placed traces that are not in use any more, which the next tasks tell workers."""


class Placed(Protocol):
    """Traces in parts, each of which is a task for a worker."""

    crew: Crew
    ranges: list[Range]
    """The parts."""

    @property
    def owners(self) -> Mapping[ParamStore, Any]:
        """The functions whose parameters are sent, by their stores."""
        ...

    def learn(self, functions: Iterable[Any]) -> None:
        """Note whose parameters are read."""
        ...

    def task(self, i: int, scales: Sequence[float]) -> Task: ...
    def parcels(self, i: int, absent: Collection[int]) -> dict[int, bytes]: ...
    def shard(self, i: int) -> Shard:
        """The traces of part i, as they are in this process."""
        ...

    @overload
    def __getitem__(self, i: int) -> Trace: ...
    @overload
    def __getitem__(self, i: slice) -> Sequence[Trace]: ...
    def __len__(self) -> int: ...


@closed()
class PlacedTraces(Sequence[Trace]):
    """Traces that the workers of an executor keep; made by `place`."""

    is_placed = True
    executor: Any
    crew: Crew
    owners: dict[ParamStore, Any]
    ranges: list[Range]
    _traces: list[Trace]
    _keeps: bool
    _name: bytes
    _sent: set[int]

    def __init__(self, traces: Sequence[Trace], executor: Any, keeps: bool):
        self.executor = executor
        self.crew: Crew = crew_of(executor)
        self.owners: dict[ParamStore, Any] = {}
        self._traces = list(traces)
        self._keeps = keeps
        self._name = b""
        self._sent: set[int] = set()
        self.learn(f for trace in self._traces for f, _ in trace.parameters)
        self.ranges: list[Range] = self.parts(len(self), parts_for(self.crew.workers))

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

    def chosen(self, places: Iterable[int]) -> "ChosenTraces":
        """Some of these traces, such as a minibatch, for `accumulate_param_gradients`.

        A worker is sent any shard that it needs and does not have, so after some minibatches in
        random order each worker has all traces.
        """
        return ChosenTraces(self, [range(len(self))[i] for i in places])

    # --- What workers are sent

    def parts(self, traces: int, count: int) -> list[Range]:
        """The ranges of so many traces that are computed together."""
        numbers = sum(math.prod(p.shape) for store in self.owners for p in store.values())
        return shards(traces, count, numbers)

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
            if self._keeps:
                finalize(self, _released.append, self._name)

    def task(self, i: int, scales: Sequence[float]) -> Task:
        """The task of computing shard i."""
        return self.picked((i,), None, self.ranges[i][0], len(self), scales)

    def picked(
        self, shards: tuple[int, ...], picks: Any, begin: int, terms: int, scales: Sequence[float]
    ) -> Task:
        """The task of computing traces of some shards."""
        released = tuple(_released)
        return Task(self._name, shards, picks, begin, terms, scales, self._keeps, released)

    def parcels(self, i: int, absent: Collection[int]) -> dict[int, bytes]:
        """Shard i as bytes, if a worker may not have it."""
        return self.parcels_of([i], absent)

    def parcels_of(self, shards: Iterable[int], absent: Collection[int]) -> dict[int, bytes]:
        """The shards that no worker has, or that a worker said that it does not have."""
        wanted = [i for i in shards if i in absent or i not in self._sent]
        found = {i: self._parcel(i) for i in wanted}
        if self._keeps:
            self._sent.update(wanted)
        return found

    def _parcel(self, i: int) -> bytes:
        shard = self.shard(i)
        for trace in shard.traces:
            refuse_changed_arguments(trace)
        return pack_shard(shard)

    def shard(self, i: int) -> Shard:
        begin, end = self.ranges[i]
        return self.shard_of(begin, len(self), self._traces[begin:end])

    def shard_of(self, begin: int, terms: int, traces: Sequence[Trace]) -> Shard:
        """A shard of these traces."""
        origins = [trace._origin for trace in traces]
        counts = [trace._gradients for trace in traces]
        return Shard(begin, terms, traces, [*self.owners.values()], origins, counts)


class ChosenTraces(Sequence[Trace]):
    """Some placed traces in some order; made by `PlacedTraces.chosen`."""

    is_placed = True

    def __init__(self, placed: PlacedTraces, places: Sequence[int]):
        self._placed, self._places = placed, places
        self.executor, self.crew = placed.executor, placed.crew
        self.ranges: list[Range] = placed.parts(len(places), self.crew.workers)

    @property
    def owners(self) -> dict[ParamStore, Any]:
        return self._placed.owners

    @overload
    def __getitem__(self, i: int) -> Trace: ...
    @overload
    def __getitem__(self, i: slice) -> Sequence[Trace]: ...
    def __getitem__(self, i: Any) -> Any:
        found = self._places[i]
        return [self._placed[j] for j in found] if isinstance(i, slice) else self._placed[found]

    def __len__(self) -> int:
        return len(self._places)

    def __repr__(self) -> str:
        return f"<{len(self)} of {self._placed!r}>"

    def learn(self, functions: Iterable[Any]) -> None:
        self._placed.learn(functions)

    def task(self, i: int, scales: Sequence[float]) -> Task:
        begin, end = self.ranges[i]
        picks = tuple(map(self._where, self._places[begin:end]))
        shards = tuple({s: None for s, _ in picks})
        return self._placed.picked(shards, picks, begin, len(self), scales)

    def _where(self, place: int) -> tuple[int, int]:
        """The shard of a trace, and its place there."""
        i = bisect_right(self._placed.ranges, place, key=lambda r: r[0]) - 1
        return i, place - self._placed.ranges[i][0]

    def parcels(self, i: int, absent: Collection[int]) -> dict[int, bytes]:
        return self._placed.parcels_of(self.task(i, ()).shards, absent)

    def shard(self, i: int) -> Shard:
        begin, end = self.ranges[i]
        return self._placed.shard_of(begin, len(self), self[begin:end])


def parts_for(workers: int) -> int:
    """How many tasks to make: several for each of few workers, so that none is idle for long."""
    return max(workers, min(4 * workers, 64))


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
        The traces as a sequence, for `accumulate_param_gradients`. Its method `chosen(places)`
        gives some of them, such as a minibatch.

    Raises:
        ArgumentError: `traces` holds something else than traces, or `executor` is none.
    """
    several = sequence_of_traces(traces)
    if isinstance(several, PlacedTraces | ChosenTraces):
        raise ArgumentError("these traces are placed already; place the list they were made of")
    return PlacedTraces(several, executor, keeps=True)


def placed_or_sent(traces: Sequence[Trace], executor: Any) -> Placed:
    """Placed traces; others are sent with the work, and not kept."""
    if not isinstance(traces, PlacedTraces | ChosenTraces):
        return PlacedTraces(traces, executor, keeps=False)
    if executor is not None and executor is not traces.executor:
        raise ArgumentError(
            "these traces are placed on another executor; leave out executor=, or place them on it"
        )
    return traces
