"""Tasks: what a worker does with a shard of traces, and what it answers.

A worker keeps the shards of placed traces, and finds them by their names. The parameters come with
every task and are in place of the worker's own while the shard is differentiated. A worker adds
nothing to an accumulator: it answers with sums. What it cannot do for sure it leaves to the caller:
every failure is an answer, and the caller finds the error itself by computing the shard again.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any, NamedTuple

from genparams.dsl.execution import fingerprint
from genparams.dsl.gradients import Gradient, differentiate_trace
from genparams.dsl.interpreter import Run
from genparams.dsl.parallel.parcel import unpacked
from genparams.dsl.parallel.parts import part_of
from genparams.params import Parameter, ParamStore, carried, loose
from genparams.trace.origin import Origin
from genparams.trace.trace import ArgGrads, Trace

Name = tuple[bytes, int]
"""Of a shard: the name of the traces that were placed, and its number."""
Slot = tuple[int, str]
"""A parameter: the place of its owner in the message, and its name."""

LIMIT = 2**30
"""How many bytes of parcels a worker keeps the shards of."""


class Shard(NamedTuple):
    """A range of traces, and the functions whose parameters are sent."""

    begin: int
    terms: int
    """How many traces are in the whole sum."""
    traces: Sequence[Trace]
    owners: Sequence[Any]
    origins: Sequence[Origin | None]
    """Of traces that were made in another process than the caller's, and not yet used there."""
    counts: Sequence[int]
    """How many gradients of each trace were taken."""


class Task(NamedTuple):
    """What a worker is asked: a whole shard, or traces of several shards."""

    placed: bytes
    """The name of the traces that were placed."""
    shards: tuple[int, ...]
    picks: tuple[tuple[int, int], ...] | None
    """The shard and the place of each trace; None for the whole shard."""
    begin: int
    """The place of the first trace in the sum."""
    terms: int
    """How many traces are in the whole sum."""
    scales: Sequence[float]
    keeps: bool
    """Whether the shards will be asked for again."""
    released: Sequence[bytes]
    """Names of placed traces that are not needed any more."""


class Values(NamedTuple):
    """The parameters of the caller, for each owner."""

    name: bytes
    records: list[list[dict[str, Any]]]


class Sums(NamedTuple):
    """The answer of a worker that has computed its shard."""

    log_probs: list[float]
    arg_grads: list[ArgGrads] | None
    branches: list[dict[Slot, Any]]
    faults: dict[Slot, str]


class Absent(NamedTuple):
    """The answer of a worker that does not have some shards."""

    shards: tuple[int, ...]


class Unreadable(NamedTuple):
    """The answer of a worker that cannot load what it was sent."""

    why: str


class Failed(NamedTuple):
    """The answer of a worker that failed at a shard."""

    why: str


class Unknown(NamedTuple):
    """The answer of a worker whose runs read or declared parameters that were not sent."""

    names: tuple[str, ...]


Answer = Sums | Absent | Unreadable | Failed | Unknown


def answer(task: Task, parcels: Mapping[int, bytes], values: bytes) -> Answer:
    """Do a task in a worker process.

    Args:
        parcels: Shards that the worker may not have.
        values: The parameters.
    """
    for gone in task.released:
        _kept.release(gone)
    try:
        found = {i: _shard(task, i, parcels) for i in task.shards}
        absent = tuple(i for i, shard in found.items() if shard is None)
        if absent:
            return Absent(absent)
        shard = _asked(task, found)
        given = _given(task.placed, shard.owners, values)
    except MemoryError as error:
        return Failed(_words(error))
    except Exception as error:
        return Unreadable(_words(error))
    return compute(shard, given, task.scales)


def _shard(task: Task, i: int, parcels: Mapping[int, bytes]) -> Shard | None:
    """A shard that is kept here, or that came with the task."""
    name = task.placed, i
    shard = _kept.get(name)
    if shard is None and i in parcels:
        shard = _settled(unpacked(parcels[i]))
        if task.keeps:
            _kept.put(name, shard, len(parcels[i]))
    return shard


def _asked(task: Task, found: Mapping[int, Any]) -> Shard:
    """The traces that a task is about."""
    first = found[task.shards[0]]
    if task.picks is None:
        return first
    traces = [found[i].traces[j] for i, j in task.picks]
    return first._replace(begin=task.begin, terms=task.terms, traces=traces)


def compute(
    shard: Shard, given: Sequence[Sequence[Parameter]], scales: Sequence[float]
) -> Sums | Failed | Unknown:
    """The sums of a shard at given parameters, the parameters of each owner in a list."""
    stores = {f.params: mine for f, mine in zip(shard.owners, given, strict=True)}
    runs: list[Run] = []
    try:
        with carried(stores) as layer:
            try:
                found = [differentiate_trace(trace, None, runs) for trace in shard.traces]
                strange = _strange(layer, stores)
            finally:
                for run in runs:
                    run.forget()
            return Unknown(strange) if strange else _sums(shard, given, found, scales)
    except Exception as error:
        return Failed(_words(error))


def _strange(layer: Any, stores: dict[ParamStore, Sequence[Parameter]]) -> tuple[str, ...]:
    """The parameters that were not sent and that runs have declared."""
    return tuple(
        f"{name} of {store.owner or 'theta'}"
        for store, mine in layer.items()
        for name in mine.keys() - {p.name for p in stores.get(store, ())}
    )


def _sums(
    shard: Shard,
    given: Sequence[Sequence[Parameter]],
    found: Sequence[Gradient],
    scales: Sequence[float],
) -> Sums:
    slots = {p: (i, p.name) for i, mine in enumerate(given) for p in mine}
    part = part_of(found, shard.begin, shard.terms, scales)
    with_args = any(trace.gen_fn.grad_places for trace in shard.traces)
    return Sums(
        [log_prob for log_prob, _ in part.results],
        [arg_grads for _, arg_grads in part.results] if with_args else None,
        [{slots[p]: g for p, g in one.items()} for one in part.sums],
        {slots[p]: fault for p, fault in part.faults.items()},
    )


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


# --- What a worker keeps


class _Kept:
    """Shards by name, the latest used ones of at most `LIMIT` bytes."""

    def __init__(self) -> None:
        self._shards: OrderedDict[Name, tuple[Shard, int]] = OrderedDict()
        self._lock = Lock()

    def get(self, name: Name) -> Shard | None:
        with self._lock:
            if name not in self._shards:
                return None
            self._shards.move_to_end(name)
            return self._shards[name][0]

    def put(self, name: Name, shard: Shard, size: int) -> None:
        with self._lock:
            self._shards[name] = shard, size
            while len(self._shards) > 1 and sum(s for _, s in self._shards.values()) > LIMIT:
                self._shards.popitem(last=False)

    def release(self, placed: bytes) -> None:
        with self._lock:
            for name in [name for name in self._shards if name[0] == placed]:
                del self._shards[name]


_kept = _Kept()
_latest: dict[bytes, tuple[bytes, list[list[Parameter]]]] = {}
"""The parameters that were unpacked last, by the name of the placed traces."""


def _given(placed: bytes, owners: Sequence[Any], parcel: bytes) -> list[list[Parameter]]:
    """The parameters in a parcel, which is unpacked once for all shards of one step."""
    known = _latest.get(placed)
    if known is None or known[0] != parcel[:NAMED]:
        values: Values = unpacked(parcel[NAMED:])
        given = loosened(values.records, owners)
        _latest.clear()
        known = _latest[placed] = parcel[:NAMED], given
    return known[1]


NAMED = 16
"""The length of the name before the parcel of parameters."""


def loosened(records: Sequence[Sequence[Any]], owners: Sequence[Any]) -> list[list[Parameter]]:
    """Parameters made of the records of each owner."""
    return [
        [loose(record, f.params) for record in mine]
        for f, mine in zip(owners, records, strict=True)
    ]


def _settled(shard: Shard) -> Shard:
    """A shard whose traces are as they were in the process that sent them."""
    for trace, origin, count in zip(shard.traces, shard.origins, shard.counts, strict=True):
        object.__setattr__(trace, "_origin", origin)
        object.__setattr__(trace, "_gradients", count)
        object.__setattr__(trace, "_prints", tuple(map(fingerprint, trace.args)))
    return shard
