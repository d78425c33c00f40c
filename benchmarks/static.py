"""Steps of static functions, over the same steps by hand in numpy.

    python benchmarks/static.py [--parts] [--peers] [--first] [workload ...]

A step is the gradient of a log probability, or of a bound of one, and ADAM. In the user's own loop
it is `accumulate_param_gradients` and `apply`; the whole loop is inside `train` or `black_box_vi`.
By hand it is numpy; each row first checks that both ways give the same values in the first steps.
With `--parts` a row says where the time of the user's own loop goes, with `--peers` JAX joins where
it is installed, and `--first` measures the first steps in new processes.
"""

import bench  # first: it sets the number of threads

# isort: split
import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import static_models as models
from static_models import Many, Step, Workload

CHECKED = 5
"""So many steps of both ways are compared."""
SECONDS = 0.3
"""A run of the whole loop is of so many steps as take this long by hand."""
COLUMNS = ("interpreted", "numpy", "numpy, whole", "numba, whole")


def check_equal(work: Workload, **options: Any) -> None:
    """Both ways give the same log probabilities along the same steps: the same gradients, too."""
    ours, hand = work.loop(**options), work.by_hand()
    mine, theirs = ([step() for _ in range(CHECKED)] for step in (ours, hand))
    if not np.allclose(mine, theirs, rtol=1e-8):
        raise SystemExit(f"{work.name}: by hand the steps are others: {mine}, {theirs}")


def seconds(step: Callable[[], Any], times: int) -> float:
    """The shortest time of one step, without the time of other processes: many steps in one call
    take longer than the machine leaves one process alone."""
    found = []
    for _ in range(times):
        start = time.process_time()
        step()
        found.append(time.process_time() - start)
    return min(found)


def in_user_loop(work: Workload, **options: Any) -> float:
    """The ratio of a step in the user's own loop."""
    ours, hand = work.loop(**options), work.by_hand()
    rounds = max(5, min(200, int(1.0 / max(0.002, seconds(ours, 6) + seconds(hand, 3)))))
    return bench.ratio(ours, hand, rounds)


def in_whole_loop(work: Workload, **options: Any) -> float:
    """The ratio of a step inside a loop of the library."""
    return whole_ratio(work.whole(**options), work.by_hand())


def whole_ratio(run: Many, hand: Step, rounds: int = 5) -> float:
    """The ratio of one of many steps."""
    steps = int(min(50_000, max(40, SECONDS / seconds(hand, 3))))
    run(steps)  # which records, compiles and compares
    mine, theirs, several = [], [], max(1, steps // 20)
    for _ in range(rounds):
        mine.append(seconds(lambda: run(steps), 1) / steps)
        theirs.append(seconds(lambda: [hand() for _ in range(several)], 3) / several)
    return min(mine) / min(theirs)


# --- Where the time goes


def parts(work: Workload) -> dict[str, float]:
    """The ratios of the parts of a step in the user's own loop, and of the replay alone."""
    assert work.opened is not None
    (trace, update), hand = work.opened(), work.by_hand()
    accumulate = trace.accumulate_param_gradients
    for _ in range(6):
        accumulate()
        update.apply()
    found = {
        "accumulate": bench.ratio(accumulate, hand, 30),
        "apply": bench.ratio(update.apply, hand, 30, before=accumulate),
    }
    ahead = trace.gen_fn.trace_gradients.ahead(trace)
    if ahead is not None:
        code, theta, values = ahead[0].kept.code, ahead[0].positions.read()[0], ahead[0].values
        found["replay"] = bench.ratio(lambda: code.step(*theta, values), hand, 30)
    return found


# --- First steps


def first(name: str, backend: str) -> float:
    """The seconds from the first gradient to the end of the first replay, in a new process."""
    asked = [sys.executable, __file__, "--first-of", name, backend]
    run = subprocess.run(asked, capture_output=True, check=True, text=True)
    return float(run.stdout)


def print_first_of(name: str, backend: str) -> None:
    step = models.WORKLOADS[name].loop(static=True, backend=backend)
    start = time.perf_counter()
    step()
    step()
    print(time.perf_counter() - start)


def first_steps(backends: Sequence[str]) -> None:
    print(f"{'seconds to the end of the first replay':44}" + f"{'new':>12}{'once more':>12}")
    for name in ("line", "loop"):
        for backend in backends:
            with tempfile.TemporaryDirectory() as folder:
                os.environ["GENPARAMS_CACHE"] = folder
                found = [first(name, backend), min(first(name, backend) for _ in range(3))]
            what = f"{models.WORKLOADS[name].name}, {backend}"
            print(f"{what:44}" + "".join(f"{s:12.3f}" for s in found), flush=True)


# --- The table


def row(name: str, backends: Sequence[str]) -> list[str]:
    work = models.WORKLOADS[name]
    check_equal(work)
    check_equal(work, static=True)
    cells = [f"{in_user_loop(work):.2f}"]
    cells.append(cell(in_user_loop(work, static=True), work.targets[0]))
    cells.append(cell(in_whole_loop(work, static=True), work.targets[1]))
    if "numba" in backends:
        check_equal(work, static=True, backend="numba")
        found = in_whole_loop(work, static=True, backend="numba")
        cells.append(cell(found, work.targets[2]))
    return cells


def cell(ratio: float, target: float | None) -> str:
    """A ratio with its target."""
    return f"{ratio:.3f} <= {target or '':<5}" if target else f"{ratio:.3f}         "


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", action="store_true", help="show where the time goes")
    parser.add_argument("--peers", action="store_true", help="measure JAX too")
    parser.add_argument("--first", action="store_true", help="measure first steps only")
    parser.add_argument("--first-of", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("only", nargs="*", help="names of workloads")
    arguments = parser.parse_args()
    if arguments.first_of:
        return print_first_of(*arguments.first_of)
    backends = ("numpy", "numba") if find_spec("numba") else ("numpy",)
    if not arguments.first:
        table(arguments, backends)
    if not arguments.only:
        first_steps(backends)


def table(arguments: Any, backends: Sequence[str]) -> None:
    columns = COLUMNS if "numba" in backends else COLUMNS[:-1]
    peers = ("peer's step", "peer, whole") if arguments.peers else ()
    print(f"{'step over the step by hand':44}" + "".join(f"{c:>17}" for c in (*columns, *peers)))
    for name in arguments.only or models.WORKLOADS:
        cells = row(name, backends)
        if arguments.peers:
            cells += peer_cells(name)
        print(f"{models.WORKLOADS[name].name:44}" + "".join(f"{c:>17}" for c in cells), flush=True)
        if arguments.parts and models.WORKLOADS[name].opened:
            found = parts(models.WORKLOADS[name])
            print("    " + ", ".join(f"{part} {ratio:.3f}" for part, ratio in found.items()))


def peer_cells(name: str) -> list[str]:
    """The ratios of a peer's step and of its whole loop, as far as it is installed."""
    import static_peers

    found = static_peers.steps(name)
    if found is None:
        return []
    hand = models.WORKLOADS[name].by_hand()
    step, whole, compiled = found
    cells = [f"{bench.ratio(step, hand, 20):.2f} ({compiled:.1f} s)"]
    return [*cells, "-" if whole is None else f"{whole_ratio(whole, hand):.3f}"]


if __name__ == "__main__":
    main()
