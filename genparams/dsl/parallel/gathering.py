"""Orders to workers, and their answers, which may come in any order and not at the first time."""

from collections import deque
from collections.abc import Collection, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from genparams.dsl.parallel.crews import Crew
from genparams.dsl.parallel.placed import Placed
from genparams.dsl.parallel.processes import ATTEMPTS
from genparams.dsl.parallel.snapshot import Snapshot
from genparams.dsl.parallel.tasks import Absent, Answer, Shard, Task
from genparams.errors import ArgumentError, GenParamsError, WorkersLost
from genparams.params import Parameter


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is asked to do: one part of the traces at given parameters."""

    placed: Placed
    snapshot: Snapshot
    number: int
    scales: Sequence[float]
    absent: Collection[int]
    """The shards that the worker has said that it does not have."""

    def task(self) -> Task:
        begin, end = self.placed.ranges[self.number]
        return self.placed.task(self.number, self.scales[begin:end])

    def parcels(self) -> dict[int, bytes]:
        return self.placed.parcels(self.number, self.absent)

    def values(self) -> bytes:
        return self.snapshot.parcel

    def shard(self) -> Shard:
        return self.placed.shard(self.number)

    def given(self) -> list[list[Parameter]]:
        return self.snapshot.copies()


def gathered(
    placed: Placed, snapshot: Snapshot, scales: Sequence[float]
) -> list[Answer | Exception]:
    """What the workers answer for each part, in order; or the error of a worker that died.

    A worker that does not have a shard is sent it. Where the crew replaces its workers, a task
    whose worker died is given to another one, three times at most. When all others are done, such
    tasks are done one at a time, so that it is known which one its workers die of.
    """
    answers: dict[int, Answer | Exception] = {}
    attempts = dict.fromkeys(range(len(placed.ranges)), 0)
    futures: dict[int, Any] = {}
    lost: deque[int] = deque()
    ended: SimpleQueue[int] = SimpleQueue()

    def submit(i: int, absent: Collection[int]) -> None:
        try:
            futures[i] = placed.crew.submit(Order(placed, snapshot, i, scales, absent))
        except BrokenExecutor as error:
            answers[i] = error
            return
        except RuntimeError as error:
            if isinstance(error, GenParamsError):
                raise
            raise ArgumentError(f"the executor takes no work ({error}); make another") from error
        futures[i].add_done_callback(lambda _: ended.put(i))

    try:
        for i in attempts:
            submit(i, ())
        while futures or lost:
            if not futures:
                submit(again := lost.popleft(), placed.task(again, ()).shards)
            i = ended.get()
            found = answers[i] = _answer(futures.pop(i))
            if isinstance(found, Absent):
                submit(i, found.shards)
            elif _may_try_again(found, placed.crew):
                attempts[i] += 1
                if attempts[i] < ATTEMPTS:
                    lost.append(i)
    except BaseException:
        for future in futures.values():
            future.cancel()
        raise
    return [answers[i] for i in attempts]


def _answer(future: Any) -> Any:
    try:
        return future.result()
    except Exception as error:
        return error


def _may_try_again(found: Any, crew: Crew) -> bool:
    """Whether another worker may succeed, and was not tried by the executor itself."""
    is_given_up = isinstance(found, WorkersLost) or type(found).__name__ == "KilledWorker"
    return isinstance(found, Exception) and crew.replaces_workers and not is_given_up
