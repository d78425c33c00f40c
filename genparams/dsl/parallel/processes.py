"""Local processes: an executor that outlives its workers.

Each worker is a process of its own with one piece of work at a time, so that it is known which work
a dying worker had. That work is done again by a fresh worker in its place.
"""

import os
import signal
from collections import deque
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, wait
from importlib import import_module
from threading import RLock
from typing import Any, NamedTuple

from genparams.errors import ArgumentError, WorkersLost
from genparams.mistakes import closed, explained
from genparams.text import brief

ATTEMPTS = 3
"""How many workers a piece of work may end, as a rule, before it is given up."""


class Work(NamedTuple):
    """A piece of work that waits or runs."""

    future: "Future[Any]"
    function: Callable[..., Any]
    args: tuple[Any, ...]
    named: dict[str, Any]
    attempts: int


@explained
@closed()
class LocalProcesses(Executor):
    """Processes on this machine, with the interface of `concurrent.futures.Executor`.

        with LocalProcesses(2) as processes:
            accumulate_param_gradients(traces, executor=processes)

    They are started when they are first needed, by the method `spawn`, which imports the main
    module again: a script that uses them does its work under `if __name__ == "__main__":`. A worker
    that dies, for lack of memory or by a signal, is replaced, and its work is done again.

    Args:
        workers: How many; None for one for each processor.
        attempts: How many workers a piece of work may end before it is given up.

    Raises:
        ArgumentError: `workers` or `attempts` is not a whole number of at least 1.
        WorkersLost: from the result of work that was given up.
    """

    _lanes: "list[_Lane]"
    _is_open: bool

    def __init__(self, workers: int | None = None, attempts: int = ATTEMPTS):
        count = (os.cpu_count() or 1) if workers is None else workers
        for what, number in (("workers", count), ("attempts", attempts)):
            if type(number) is not int or number < 1:
                raise ArgumentError(
                    f"LocalProcesses takes the number of {what}, at least 1, got {brief(number)}"
                )
        self._lanes = [_Lane(attempts) for _ in range(count)]
        self._is_open = True

    def __len__(self) -> int:
        return len(self._lanes)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Have a function called by the worker that has the least to do."""
        place = min(range(len(self)), key=lambda i: self._lanes[i].waiting)
        return self.submit_to(place, fn, *args, **kwargs)

    def submit_to(
        self, place: int, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> "Future[Any]":
        """Have a function called by a certain worker, numbered from 0."""
        if not self._is_open:
            raise ArgumentError("these processes were shut down; make others, LocalProcesses(2)")
        work = Work(Future(), fn, args, kwargs, attempts=0)
        self._lanes[place].put(work)
        return work.future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers, when what was submitted is done or cancelled."""
        self._is_open = False
        for lane in self._lanes:
            lane.close(wait, cancel_futures)


class _Lane:
    """One worker, and the work that waits for it."""

    def __init__(self, attempts: int) -> None:
        self._attempts = attempts
        self._pool: Any = None
        self._queue: deque[Work] = deque()
        self._running: Future[Any] | None = None
        """What a user waits for while the worker is busy."""
        self._is_closing = False
        self._lock = RLock()

    @property
    def waiting(self) -> int:
        return len(self._queue) + (self._running is not None)

    def put(self, work: Work) -> None:
        with self._lock:
            self._queue.append(work)
            self._next()

    def close(self, waits: bool, cancels: bool) -> None:
        with self._lock:
            while cancels and self._queue:
                self._queue.popleft().future.cancel()
            self._is_closing = True
            self._next()
            left = [work.future for work in self._queue]
            left += [] if self._running is None else [self._running]
            pool = self._pool
        if waits:
            wait(left)
            if pool is not None:
                pool.shutdown(True)

    def _next(self) -> None:
        """Give the worker its next work, if it is free; hold the lock."""
        while self._running is None and self._queue:
            work = self._queue.popleft()
            if work.attempts or work.future.set_running_or_notify_cancel():
                self._start(work)
        if self._is_closing and self._running is None and self._pool is not None:
            self._pool.shutdown(False)

    def _start(self, work: Work) -> None:
        if self._pool is None:
            self._pool = _new_process()
        try:
            done = self._pool.submit(work.function, *work.args, **work.named)
        except BrokenExecutor:  # it died while it had nothing to do
            self._pool = None
            self._start(work)
            return
        self._running = work.future
        done.add_done_callback(lambda done: self._ended(work, done))

    def _ended(self, work: Work, done: "Future[Any]") -> None:
        """Pass on a result; or do the work again, if the worker has died."""
        error = done.exception()
        lost = isinstance(error, BrokenExecutor)
        again = lost and work.attempts + 1 < self._attempts
        with self._lock:
            self._running = None
            if lost:
                self._pool = None
            if again:
                self._queue.appendleft(work._replace(attempts=work.attempts + 1))
            self._next()
        if again:
            return
        if lost:
            work.future.set_exception(WorkersLost("the work", work.attempts + 1, str(error)))
        elif error is not None:
            work.future.set_exception(error)
        else:
            work.future.set_result(done.result())


def _new_process() -> Any:
    """A pool of one process; what makes it takes some time to import."""
    make = import_module("concurrent.futures.process").ProcessPoolExecutor
    return make(1, import_module("multiprocessing").get_context("spawn"), initializer=_begin)


def _begin() -> None:
    """A worker leaves Ctrl-C to the process that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
