"""Crews: one interface to whatever computes, so that the rest need not know which it is."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from os import cpu_count
from typing import Any, Protocol

from genparams.dsl.parallel.processes import LocalProcesses
from genparams.dsl.parallel.tasks import Answer, Name, Shard, Task, answer, compute
from genparams.errors import ArgumentError
from genparams.params import Parameter
from genparams.text import brief

BIG = 2**16
"""The size of a message, in bytes, from which dask sends it beside the scheduler."""


class Order(Protocol):
    """What a worker is asked, in the forms that different workers need."""

    @property
    def number(self) -> int: ...
    def task(self) -> Task: ...
    def parcels(self) -> Mapping[int, bytes]: ...
    def values(self) -> bytes: ...
    def shard(self) -> Shard: ...
    def given(self) -> Sequence[Sequence[Parameter]]: ...


class Crew(Protocol):
    """Workers that take tasks."""

    workers: int
    replaces_workers: bool
    """Whether work of a worker that died is done again by another one."""

    shares_traces: bool
    """Whether the workers use the traces themselves, and not copies."""

    def submit(self, order: Order) -> "Future[Answer]": ...


class Threads:
    """The threads of this process, which need nothing sent."""

    replaces_workers = False
    shares_traces = True

    def __init__(self, executor: ThreadPoolExecutor):
        self.executor = executor
        self.workers: int = executor._max_workers

    def submit(self, order: Order) -> "Future[Any]":
        return self.executor.submit(compute, order.shard(), order.given(), order.task().scales)


class Others:
    """Any executor: each task may go to each worker."""

    replaces_workers = False
    shares_traces = False

    def __init__(self, executor: Any):
        self.executor = executor
        count = getattr(executor, "_max_workers", None)
        self.workers = count if isinstance(count, int) else cpu_count() or 1

    def submit(self, order: Order) -> "Future[Any]":
        return self.executor.submit(answer, order.task(), order.parcels(), order.values())


class Processes:
    """Our own processes: a shard always goes to the same worker."""

    replaces_workers = True
    shares_traces = False

    def __init__(self, executor: LocalProcesses):
        self.executor = executor
        self.workers = len(executor)

    def submit(self, order: Order) -> "Future[Any]":
        place = order.number % self.workers
        sent = order.task(), order.parcels(), order.values()
        return self.executor.submit_to(place, answer, *sent)


class Dask:
    """The workers of a dask cluster, which dask chooses by where the data are.

    Shards that are kept are data of the cluster, and every task names those that it needs. So dask
    gives a task to a worker that has its shard, and moves the shard where that is better.
    """

    replaces_workers = True
    shares_traces = False

    def __init__(self, client: Any):
        self.client = client
        self.workers = max(1, len(client.nthreads()))
        self._data: dict[Name, Any] = {}
        self._values: tuple[bytes, Any] = b"", b""

    def submit(self, order: Order) -> "Future[Any]":
        task, parcels = order.task(), order.parcels()
        shards = {i: self._sent(parcel, task.keeps) for i, parcel in parcels.items()}
        if task.keeps:
            self._release(task)
            self._data |= {(task.placed, i): shard for i, shard in shards.items()}
            shards = {i: self._data[task.placed, i] for i in task.shards}
        values, (known, sent) = order.values(), self._values
        if known is not values or getattr(sent, "status", "finished") != "finished":
            sent = self._sent(values, keeps=False)  # once for all parts of a step
            self._values = values, sent
        return self.client.submit(answer, task, shards, sent, pure=False)

    def _sent(self, message: bytes, keeps: bool) -> Any:
        """A message as an argument; what is kept or large goes to a worker beside the scheduler."""
        if keeps or len(message) > BIG:
            return self.client.scatter(message, hash=False)
        return message

    def _release(self, task: Task) -> None:
        gone = [name for name in self._data if name[0] in task.released]
        for name in gone:
            del self._data[name]


def crew_of(executor: Any) -> Crew:
    """The workers of an executor.

    Raises:
        ArgumentError: it is not an executor.
    """
    if isinstance(executor, ThreadPoolExecutor):
        return Threads(executor)
    if isinstance(executor, LocalProcesses):
        return Processes(executor)
    is_dask = type(executor).__module__.partition(".")[0] == "distributed"
    if is_dask and hasattr(executor, "scatter") and not executor.asynchronous:
        if executor.status != "running":
            raise ArgumentError(f"this dask client is {executor.status}; make another, Client(...)")
        return Dask(executor)
    if isinstance(executor, type) or not callable(getattr(executor, "submit", None)):
        raise ArgumentError(
            "executor is an object with the method submit, such as LocalProcesses(2), a "
            f"concurrent.futures.ThreadPoolExecutor() or a dask Client, got {brief(executor)}"
        )
    return Others(executor)
