"""One step: the gradients of placed traces at the present parameters, by the workers.

The parameters are read once, and every worker gets the same values. The answers come in any order
and are added in the order of the traces. What a worker did not do is done by another one or, where
that does not help, here: then the error is the error of a call without workers.
"""

import warnings
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor
from queue import SimpleQueue
from typing import Any, NamedTuple

from genparams.dsl import gradients
from genparams.dsl.gradients import Gradient, differentiate_trace, first_faults
from genparams.dsl.interpreter import Run, keep_declared
from genparams.dsl.parallel.branches import Range, branches
from genparams.dsl.parallel.contents import pack_values
from genparams.dsl.parallel.placed import PlacedTraces, placed_or_sent
from genparams.dsl.parallel.processes import ATTEMPTS
from genparams.dsl.parallel.tasks import Absent, Shard, Sums, Unknown, Unreadable, loosened
from genparams.dsl.sums import PairwiseSum, pairwise_sum
from genparams.errors import ComputedHere, NotPicklable, WorkersLost
from genparams.params import Parameter, added, finite_scale, has_moved, lock, record_of
from genparams.trace.trace import ArgGrads, Trace, count_gradient


def accumulate(
    traces: Sequence[Trace], scales: Sequence[float], executor: Any
) -> list[tuple[float, ArgGrads]]:
    """Add the gradients of traces, which workers compute, to the accumulators: all, or nothing."""
    placed = placed_or_sent(traces, executor)
    step = _Step(placed, [finite_scale(scale) for scale in scales])
    try:
        found = [step.part(i, answer) for i, answer in enumerate(step.answers())]
        with lock:
            if step.has_mixed():
                return gradients.accumulate([*placed], [None] * len(placed), scales)
            keep_declared(step.runs, added(_total(found)))
    except BaseException:
        for run in step.runs:
            run.forget()
        raise
    return [result for part in found for result in part.results]


class _Part(NamedTuple):
    """The gradients of one shard."""

    begin_end: Range
    results: list[tuple[float, ArgGrads]]
    branches: list[dict[Parameter, Any]]
    faults: dict[Parameter, str]


def _total(found: Sequence[_Part]) -> list[tuple[Parameter, Any, str | None]]:
    """The sum of all shards for each parameter, and the first address that is at fault."""
    total: PairwiseSum[Parameter] = PairwiseSum()
    faults: dict[Parameter, str] = {}
    for part in found:
        for (begin, end), branch in zip(branches(*part.begin_end), part.branches, strict=True):
            total.add(branch, end - begin)
        faults = {**part.faults, **faults}
    return [(p, g, faults.get(p)) for p, g in total.total().items()]


class _Step:
    """The parameters of one step, and what was done with them."""

    def __init__(self, placed: PlacedTraces, scales: Sequence[float]):
        self.placed = placed
        self.scales = scales
        self.runs: list[Run] = []
        """The runs of shards that were computed here."""
        self._owners = [*placed.owners.values()]
        with lock:  # all of one moment
            self._parameters = [[*store.values()] for store in placed.owners]
            self._records = [[record_of(p) for p in mine] for mine in self._parameters]
            self._theta = {p: p.coordinates for mine in self._parameters for p in mine}
        self._slots = {(i, p.name): p for i, mine in enumerate(self._parameters) for p in mine}
        self._values: bytes | None = None

    def has_mixed(self) -> bool:
        """Whether shards may be at different parameters, as some were computed here."""
        return bool(self.runs) and any(has_moved(p, at) for p, at in self._theta.items())

    # --- Workers

    def answers(self) -> list[Any]:
        """What the workers say of each shard, in order: an answer, or the error of the worker."""
        count = len(self.placed.ranges)
        found: list[Any] = [None] * count
        attempts = [0] * count
        ended: SimpleQueue[int] = SimpleQueue()
        futures: dict[int, Any] = {}

        def submit(i: int, again: bool) -> None:
            order = Order(self, i, again)
            try:
                futures[i] = self.placed.crew.submit(order)
            except BrokenExecutor as error:
                found[i] = error
                return
            futures[i].add_done_callback(lambda _: ended.put(i))

        try:
            for i in range(count):
                submit(i, again=False)
            while futures:
                i = ended.get()
                found[i] = _answer_of(futures.pop(i))
                lost = isinstance(found[i], Exception) and self._may_try_again(found[i])
                attempts[i] += lost
                if type(found[i]) is Absent or (lost and attempts[i] < ATTEMPTS):
                    submit(i, again=True)
        except BaseException:
            for future in futures.values():
                future.cancel()
            raise
        return found

    def _may_try_again(self, error: Exception) -> bool:
        """Whether another worker may succeed; it has not been tried as often as it will be."""
        is_given_up = isinstance(error, WorkersLost) or type(error).__name__ == "KilledWorker"
        return self.placed.crew.replaces_workers and not is_given_up

    # --- Answers

    def part(self, i: int, answer: Any) -> _Part:
        """The gradients of a shard, from the answer of a worker or computed here."""
        begin, end = self.placed.ranges[i]
        if type(answer) is Sums:
            return self._received(i, answer)
        what = f"traces {begin} to {end - 1}"
        if isinstance(answer, Exception) and self.placed.crew.replaces_workers:
            attempts = getattr(answer, "attempts", ATTEMPTS)
            raise WorkersLost(f"the gradient of {what}", attempts, str(answer)) from answer
        if type(answer) is Unreadable:
            raise NotPicklable(
                f"a function of {what}",
                f"a worker cannot load it ({answer.why}). What a notebook defines can be sent if "
                "the package cloudpickle is installed, here and there",
            )
        return self._computed_here(i, what, answer)

    def _received(self, i: int, sums: Sums) -> _Part:
        begin, end = self.placed.ranges[i]
        traces = self.placed[begin:end]
        args = sums.arg_grads or [(None,) * len(trace.args) for trace in traces]
        if not self.placed.keeps and not self.placed.crew.shares_traces:
            for trace in traces:  # the worker has counted the gradients of its copies
                count_gradient(trace)
        return _Part(
            (begin, end),
            list(zip(sums.log_probs, args, strict=True)),
            [{self._slots[slot]: g for slot, g in branch.items()} for branch in sums.branches],
            {self._slots[slot]: fault for slot, fault in sums.faults.items()},
        )

    def _computed_here(self, i: int, what: str, answer: Any) -> _Part:
        """The gradients of a shard that no worker has computed."""
        begin, end = self.placed.ranges[i]
        first = len(self.runs)
        why = _why(answer)
        try:
            found = [differentiate_trace(t, None, self.runs) for t in self.placed[begin:end]]
        except Exception as error:
            error.add_note(f"at {what}, which a worker has tried before ({why})")
            raise
        if not self._learn(self.runs[first:]):
            warnings.warn(
                f"{what} were differentiated in the calling process: {why}",
                ComputedHere,
                stacklevel=6,
            )
        return _part_of(found, (begin, end), self.scales[begin:end])

    def _learn(self, runs: Sequence[Run]) -> bool:
        """Have what these runs read sent at the next step; returns whether any of it is new."""
        known = set(self._theta)
        new = [(p, f) for run in runs for p, f in run.reads.items() if p not in known]
        self.placed.learn(f for _, f in new)
        return bool(new)

    # --- Orders

    def values(self) -> bytes:
        """The parameters as bytes, the same for every shard."""
        if self._values is None:
            self._values = pack_values(self._records, self._owners)
        return self._values

    def given(self) -> list[list[Parameter]]:
        """The parameters for a worker of this process."""
        return loosened(self._records, self._owners)


class Order:
    """What a worker is asked to do with one shard."""

    def __init__(self, step: _Step, i: int, again: bool):
        begin, end = step.placed.ranges[i]
        self.step, self.i, self.again = step, i, again
        self.name = step.placed.name(i)
        self.scales = step.scales[begin:end]

    def shard(self) -> Shard:
        return self.step.placed.shard(self.i)

    def given(self) -> list[list[Parameter]]:
        return self.step.given()

    def parcel(self) -> bytes | None:
        return self.step.placed.parcel(self.i, self.again)

    def values(self) -> bytes:
        return self.step.values()

    def rest(self) -> tuple[bool, Sequence[bytes]]:
        return self.step.placed.keeps, self.step.placed.released()


def _answer_of(future: Any) -> Any:
    """The answer of a worker; or the error that shows that there is none."""
    try:
        return future.result()
    except Exception as error:
        return error


def _why(answer: Any) -> str:
    if type(answer) is Unknown:
        return f"a worker met a parameter that was not sent to it, {', '.join(answer.names)}"
    if isinstance(answer, Exception):
        return f"the executor has failed, {type(answer).__name__}: {answer}"
    return f"a worker has failed, {answer.why}"


def _part_of(found: Sequence[Gradient], where: Range, scales: Sequence[float]) -> _Part:
    begin = where[0]
    terms = [one.scaled(scale) for one, scale in zip(found, scales, strict=True)]
    return _Part(
        where,
        [(one.log_prob, one.arg_grads) for one in found],
        [pairwise_sum(terms[a - begin : b - begin]) for a, b in branches(*where)],
        first_faults(found),
    )
