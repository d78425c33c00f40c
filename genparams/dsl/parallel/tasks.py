"""Tasks: what a worker does with a shard of traces, and what it answers.

A worker keeps the shards of placed traces, and finds them by their names. The parameters come with
every task and are in place of the worker's own while the shard is differentiated. A worker adds
nothing to an accumulator: it answers with sums. What it cannot do for sure it leaves to the caller:
every failure is an answer, and the caller finds the error itself by computing the shard again.
"""

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Any, NamedTuple

from genparams.dsl.execution import fingerprint
from genparams.dsl.gradients import Gradient, differentiate_trace, first_faults
from genparams.dsl.interpreter import Run
from genparams.dsl.parallel.branches import branches
from genparams.dsl.parallel.parcel import unpacked
from genparams.dsl.sums import pairwise_sum
from genparams.params import Parameter, ParamStore, carried, loose
from genparams.trace.origin import settle
from genparams.trace.trace import ArgGrads, Trace

Name = tuple[bytes, int]
"""The traces that were placed, and the number of the shard."""
Slot = tuple[int, str]
"""A parameter: the place of its owner in the message, and its name."""

LIMIT = 2**30
"""How many bytes of parcels a worker keeps the shards of."""


class Shard(NamedTuple):
    """A range of traces, and the functions whose parameters are sent."""

    begin: int
    traces: Sequence[Trace]
    owners: Sequence[Any]
    at_home: Sequence[bool]
    """Whether a trace is of the caller's process, or was used there."""
    counts: Sequence[int]
    """How many gradients of each trace were taken."""


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
    """The answer of a worker that does not have a shard."""


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


def answer(
    name: Name,
    parcel: bytes | None,
    values: bytes,
    scales: Sequence[float],
    keeps: bool,
    released: Sequence[bytes],
) -> Answer:
    """Compute a shard in a worker process.

    Args:
        parcel: The shard; None if the worker may have it.
        keeps: Whether it will be asked for again.
        released: Names of placed traces that are not needed any more.
    """
    for gone in released:
        _kept.release(gone)
    shard = _kept.get(name)
    try:
        if shard is None and parcel is None:
            return Absent()
        if shard is None:
            shard = _settled(unpacked(parcel or b""))
        given = _given(name[0], shard.owners, values)
    except MemoryError as error:
        return Failed(_words(error))
    except Exception as error:
        return Unreadable(_words(error))
    if keeps and parcel is not None:
        _kept.put(name, shard, len(parcel))
    return compute(shard, given, scales)


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
    terms = [one.scaled(scale) for one, scale in zip(found, scales, strict=True)]
    begin, end = shard.begin, shard.begin + len(terms)
    each = [pairwise_sum(terms[a - begin : b - begin]) for a, b in branches(begin, end)]
    with_args = any(trace.gen_fn.grad_places for trace in shard.traces)
    return Sums(
        [one.log_prob for one in found],
        [one.arg_grads for one in found] if with_args else None,
        [{slots[p]: g for p, g in branch.items()} for branch in each],
        {slots[p]: fault for p, fault in first_faults(found).items()},
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
    for trace, at_home, count in zip(shard.traces, shard.at_home, shard.counts, strict=True):
        if at_home:
            settle(trace)
        object.__setattr__(trace, "_gradients", count)
        object.__setattr__(trace, "_prints", tuple(map(fingerprint, trace.args)))
    return shard
