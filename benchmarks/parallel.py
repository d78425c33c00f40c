"""Gradients of many traces on several workers: measured on two, simulated on a thousand.

    python benchmarks/parallel.py [--traces 8000] [--rounds 3] [--workers 2] [--no-dask]

The first table is measured: the gradients of traces of about 1 ms each, placed once, against the
same call without workers. Each row checks that the sums are equal to the bit.

The second table is simulated. What one step costs the calling process is measured: to pack the
parameters, to submit a task, to receive an answer and to add it. Messages have their measured
sizes, on a network of 1 GB/s with 0.2 ms of latency. The calling process sends the tasks one after
another; each worker computes and answers; the answers are received one after another.
"""

import argparse
import logging
import pickle
import time
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from genparams import (
    LocalProcesses,
    accumulate_param_gradients,
    gen,
    init_param,
    normal,
    param,
    positive,
)
from genparams.dsl.parallel.placed import parts_for, place
from genparams.dsl.parallel.shards import shards
from genparams.dsl.sums import branches_of, total_of

STEPS = 70
BANDWIDTH, LATENCY = 1e9, 2e-4
"""Of the network that is assumed, in bytes for each second, and in seconds."""


@gen
def walk(weights):
    """A random walk of 70 steps with a drift, which takes about 1 ms to differentiate."""
    decay, drift, std = param("decay"), param("drift"), param("std")
    x = 0.0
    for step in range(STEPS):
        x = normal(decay * x + drift * weights[step], std) @ step
    return x


@gen
def wide(xs):
    """A model with many parameters."""
    return normal(param("weights") @ xs, 1.0) @ "y"


def walks(count: int) -> list[Any]:
    rng = np.random.default_rng(0)
    for name, value in (("decay", 0.9), ("drift", 0.3)):
        init_param(walk, name, value)
    init_param(walk, "std", 0.5, positive)
    return [walk.simulate((rng.normal(size=STEPS),), rng) for _ in range(count)]


def seconds(work: Any, rounds: int) -> float:
    """The shortest time of several."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def sums(function: Any) -> list[Any]:
    """The accumulators of a function, which are then emptied."""
    found = [p.grad for p in function.params.values()]
    for p in function.params.values():
        p.zero_grad()
    return found


# --- Measured


def measure(traces: list[Any], workers: int, rounds: int, dask: bool) -> float:
    """Print how much faster workers are; returns the time of one trace without workers.

    The clock says little while other work is done on the machine. So the speed is also computed
    from the time on processors: of this process, and of the worker that was busiest, added, as if
    they never worked at the same time.
    """
    accumulate_param_gradients(traces)  # the first gradient of a trace compares it with its run
    sums(walk)
    with ExitStack() as stack:
        local = stack.enter_context(LocalProcesses(workers))
        crews = {f"LocalProcesses({workers})": (local, lambda: times_of(local))}
        if dask:
            client = cluster(stack, workers)
            crews[f"dask, {workers} workers"] = (
                client,
                lambda: [*client.run(time.process_time).values()],
            )
        placed = {name: place(traces, executor) for name, (executor, _) in crews.items()}
        for each in placed.values():
            accumulate_param_gradients(each)  # sends the traces
            sums(walk)
        alone, together = [], {name: [] for name in placed}
        for _ in range(rounds):  # in turns, as other work comes and goes
            alone.append(timed(traces, lambda: []))
            expected = sums(walk)
            for name, each in placed.items():
                together[name].append(timed(each, crews[name][1]))
                assert sums(walk) == expected, "the sums must be equal to the bit"
    clock, busy = (min(column) for column in zip(*alone, strict=True))
    print(f"{len(traces)} traces of {1e3 * busy / len(traces):.2f} ms, placed once")
    print(f"{'':24}{'seconds':>10}{'speed':>10}{'by processor time':>20}{'target':>10}")
    print(f"{'this process':24}{clock:>10.2f}{1.0:>10.2f}{1.0:>20.2f}")
    for name, measured in together.items():
        mine, load = (min(column) for column in zip(*measured, strict=True))
        target = ">= 1.70" if workers == 2 else ""
        print(f"{name:24}{mine:>10.2f}{clock / mine:>10.2f}{busy / load:>20.2f}{target:>10}")
    return busy / len(traces)


def timed(traces: Any, workers: Any) -> tuple[float, float]:
    """The seconds of one step, by the clock and on processors."""
    before, start, own = workers(), time.perf_counter(), time.process_time()
    accumulate_param_gradients(traces)
    clock, own = time.perf_counter() - start, time.process_time() - own
    after = workers()
    return clock, own + max((b - a for a, b in zip(before, after, strict=True)), default=0.0)


def times_of(processes: LocalProcesses) -> list[float]:
    """The time that each process has been on a processor."""
    each = [processes.submit_to(i, time.process_time) for i in range(len(processes))]
    return [future.result() for future in each]


def cluster(stack: ExitStack, workers: int) -> Any:
    from distributed import Client, LocalCluster

    made = LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        dashboard_address=None,  # type: ignore[arg-type]
        silence_logs=logging.ERROR,
    )
    return stack.enter_context(Client(stack.enter_context(made)))


# --- Simulated


@dataclass(frozen=True)
class Costs:
    """What one step costs the calling process, in seconds, and its messages, in bytes."""

    pack: float
    """To pack the parameters, once."""
    submit: float
    """To submit one task."""
    add: float
    """To unpack one answer and add it."""
    sent: int
    received: int
    numbers: int
    """In the parameters."""


class Noting:
    """An executor that notes messages and computes at once."""

    def __init__(self) -> None:
        self.messages: list[tuple[bytes, bytes]] = []

    def submit(self, fn: Any, *args: Any) -> Any:
        from concurrent.futures import Future

        sent = pickle.dumps(args)
        answer = fn(*pickle.loads(sent))
        self.messages.append((sent, pickle.dumps(answer)))
        future: Future[Any] = Future()
        future.set_result(answer)
        return future


def costs(traces: list[Any], submit: float) -> Costs:
    """Measured with one trace in each task, so that what remains is the work of the caller."""
    noting = Noting()
    placed = place(traces, noting)
    accumulate_param_gradients(placed)
    noting.messages.clear()
    accumulate_param_gradients(placed)
    sent, received = (max(map(len, each)) for each in zip(*noting.messages, strict=True))
    answers = [pickle.loads(answer) for _, answer in noting.messages]
    function = traces[0].gen_fn

    from genparams.dsl.parallel.snapshot import Snapshot

    snapshot = Snapshot({function.params: function})
    pack = seconds(lambda: Snapshot({function.params: function}).parcel, 5)
    unpack = seconds(lambda: [pickle.loads(answer) for _, answer in noting.messages], 5)
    sums_of = [(branch, 1) for answer in answers for branch in answer.branches]
    add = seconds(lambda: total_of(sums_of), 5)
    serial = seconds(lambda: pickle.dumps(snapshot.parcel), 5)
    sums(function)
    count = len(answers)
    numbers = sum(np.size(p.coordinates) for p in function.params.values())
    return Costs(pack, submit + serial, (unpack + add) / count, sent, received, numbers)


def per_task(executor: Any, tasks: int = 400) -> float:
    """The seconds that an executor takes for each task that does nothing."""
    [future.result() for future in [executor.submit(int) for _ in range(20)]]

    def submitted() -> None:
        futures = [executor.submit(abs, i) for i in range(tasks)]
        for future in futures:
            future.result()

    return seconds(submitted, 3) / tasks


def simulated(traces: int, one: float, workers: int, cost: Costs) -> tuple[float, dict[str, float]]:
    """The seconds of a step, and the busy seconds of each part of it."""
    ranges = shards(traces, parts_for(workers), cost.numbers)
    count = len(ranges)
    answers = [len(branches_of(begin, end, traces)) for begin, end in ranges]
    send = cost.submit + cost.sent / BANDWIDTH
    receive = sum(answers) / count * (cost.add + cost.received / BANDWIDTH)
    free = [0.0] * workers
    arrivals = []
    for i in range(count):
        begins = max(cost.pack + (i + 1) * send + LATENCY, free[i % workers])
        free[i % workers] = begins + (ranges[i][1] - ranges[i][0]) * one
        arrivals.append(free[i % workers] + LATENCY)
    now = cost.pack + count * send
    for arrival in sorted(arrivals):
        now = max(now, arrival) + receive
    compute = traces * one / workers
    return now, {
        "computing": compute,
        "packing the parameters": cost.pack,
        "submitting tasks": count * cost.submit,
        "sending parameters": count * cost.sent / BANDWIDTH,
        "receiving gradients": sum(answers) * cost.received / BANDWIDTH,
        "adding gradients": sum(answers) * cost.add,
    }


def simulate(one: float, submit: dict[str, float]) -> None:
    init_param(wide, "weights", np.zeros(100_000))
    rng = np.random.default_rng(0)
    many = [wide.simulate((rng.normal(size=100_000),), rng) for _ in range(4)]
    few = walks(16)
    for name, each in submit.items():
        for model, traces in (("3 parameters", few), ("100 000 parameters", many)):
            cost = costs(traces, each)
            print()
            print(
                f"simulated, {name} ({1e3 * each:.2f} ms a task), {model}: "
                f"{cost.sent / 1e3:.1f} kB to each task and {cost.received / 1e3:.1f} kB back"
            )
            print(
                f"{'traces':>12}{'workers':>10}{'seconds':>10}{'efficiency':>12}   most other time"
            )
            for count in (8000, 8_000_000):
                for workers in (2, 10, 100, 1000):
                    total, parts = simulated(count, one, workers, cost)
                    rest = {k: v for k, v in parts.items() if k != "computing"}
                    worst = max(rest, key=lambda k: rest[k])
                    efficiency = parts["computing"] / total
                    print(
                        f"{count:>12}{workers:>10}{total:>10.3f}{efficiency:>12.1%}   "
                        f"{worst}, {rest[worst]:.3f} s"
                    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--traces", type=int, default=8000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--no-dask", action="store_true")
    asked = options.parse_args()
    dask = find_spec("distributed") is not None and not asked.no_dask
    one = measure(walks(asked.traces), asked.workers, asked.rounds, dask)
    with ExitStack() as stack:
        submit = {"LocalProcesses": per_task(stack.enter_context(LocalProcesses(2)))}
        if dask:
            submit["dask"] = per_task(cluster(stack, 2))
    simulate(one, submit)


if __name__ == "__main__":
    main()
