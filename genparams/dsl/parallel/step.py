"""One step: the gradients of traces at the present parameters, computed by workers.

The parameters are read once, and every worker gets the same values. The answers are added in the
order of the traces. What no worker has done is done here, so that an error is the error of a call
without workers.
"""

import warnings
from collections.abc import Sequence
from typing import Any

from genparams.dsl import gradients
from genparams.dsl.gradients import differentiate_trace
from genparams.dsl.interpreter import Run, keep_declared
from genparams.dsl.parallel.gathering import gathered
from genparams.dsl.parallel.parts import Part, part_of, total
from genparams.dsl.parallel.placed import Placed, placed_or_sent
from genparams.dsl.parallel.processes import ATTEMPTS
from genparams.dsl.parallel.snapshot import Snapshot
from genparams.dsl.parallel.tasks import Answer, Failed, Sums, Unknown, Unreadable
from genparams.errors import ComputedHere, NotPicklable, WorkersLost
from genparams.params import added, finite_scale, lock
from genparams.trace.trace import ArgGrads, Trace, count_gradient


def accumulate(
    traces: Sequence[Trace], scales: Sequence[float], executor: Any
) -> list[tuple[float, ArgGrads]]:
    """Add the gradients of traces, which workers compute, to the accumulators: all, or nothing."""
    placed = placed_or_sent(traces, executor)
    scales = [finite_scale(scale) for scale in scales]
    snapshot = Snapshot(placed.owners)
    answers = gathered(placed, snapshot, scales)
    here = _Here(placed, snapshot, scales)
    try:
        found = [
            _received(placed, snapshot, i, answer) or here.part(i, answer)
            for i, answer in enumerate(answers)
        ]
        here.warn()
        with lock:
            if here.runs and snapshot.is_past():  # what was computed here may be at other values
                return gradients.accumulate([*placed], [None] * len(placed), scales)
            keep_declared(here.runs, added(total(found, len(placed))))
    except BaseException:
        for run in here.runs:
            run.forget()
        raise
    _count(placed)
    return [result for part in found for result in part.results]


def _count(placed: Placed) -> None:
    """Count the gradients of traces that workers have taken of copies."""
    if not placed.crew.shares_traces:
        for trace in placed:
            count_gradient(trace)


def _received(
    placed: Placed, snapshot: Snapshot, i: int, answer: Answer | Exception
) -> Part | None:
    """The sums of a worker; None if they must be computed here.

    Raises:
        WorkersLost: the shard was given to several workers, which died.
        NotPicklable: a worker cannot load the shard.
    """
    begin, end = placed.ranges[i]
    if isinstance(answer, Sums):
        args = answer.arg_grads or [(None,) * len(trace.args) for trace in placed[begin:end]]
        return Part(
            (begin, end),
            list(zip(answer.log_probs, args, strict=True)),
            [{snapshot.slots[slot]: g for slot, g in one.items()} for one in answer.branches],
            {snapshot.slots[slot]: fault for slot, fault in answer.faults.items()},
        )
    if isinstance(answer, Exception) and placed.crew.replaces_workers:
        attempts = getattr(
            answer, "attempts", getattr(answer, "allowed_failures", ATTEMPTS - 1) + 1
        )
        work = f"the gradient of traces {begin} to {end - 1}"
        raise WorkersLost(work, attempts, getattr(answer, "why", str(answer))) from answer
    if isinstance(answer, Unreadable):
        raise NotPicklable(
            f"a function of traces {begin} to {end - 1}",
            f"a worker cannot load it ({answer.why}). What a notebook or a prompt defines can be "
            "sent if the package cloudpickle is installed, here and there",
        )
    return None


class _Here:
    """The shards of a step that are computed in the calling process."""

    def __init__(self, placed: Placed, snapshot: Snapshot, scales: Sequence[float]):
        self.runs: list[Run] = []
        """What is declared by these runs is kept or forgotten by the caller."""
        self._placed, self._snapshot, self._scales = placed, snapshot, scales
        self._reasons: dict[str, str] = {}

    def part(self, i: int, answer: Answer | Exception) -> Part:
        """The gradients of shard i.

        Its traces may read parameters that were not known to be read; the next step sends them.
        """
        begin, end = self._placed.ranges[i]
        what, why, first = f"{begin} to {end - 1}", _why(answer), len(self.runs)
        try:
            found = [differentiate_trace(t, None, self.runs) for t in self._placed[begin:end]]
        except Exception as error:
            error.add_note(f"while traces {what} were differentiated, after a worker: {why}")
            raise
        reads = [pair for run in self.runs[first:] for pair in run.reads.items()]
        new = [function for p, function in reads if p not in self._snapshot]
        self._placed.learn(new)
        if not new:
            self._reasons[what] = why
        return part_of(found, begin, len(self._placed), self._scales[begin:end])

    def warn(self) -> None:
        """Warn of work that workers should have done."""
        if self._reasons:
            warnings.warn(
                f"the calling process has differentiated traces {', '.join(self._reasons)}: "
                f"{next(iter(self._reasons.values()))}",
                ComputedHere,
                stacklevel=5,
            )


def _why(answer: Answer | Exception) -> str:
    if isinstance(answer, Unknown):
        return f"a worker met a parameter that was not sent to it, {', '.join(answer.names)}"
    if isinstance(answer, Failed):
        return f"a worker has failed with {answer.why}"
    return f"the executor has failed with {type(answer).__name__}: {answer}"
