"""Steps of static functions, over the same steps by hand in numpy.

    python benchmarks/static.py [--parts] [--peers] [--first] [workload ...]

A step is the gradient of a log probability, or of a bound of one, and ADAM. In the user's own loop
it is `accumulate_param_gradients` and `apply`; the whole loop is inside `train` or `black_box_vi`.
By hand it is numpy; each row first checks that both ways give the same values in the first steps.
With `--parts` a row says where the time of the user's own loop goes, with `--peers` JAX joins where
it is installed, and `--first` measures the first steps in new processes.
"""

from bench import Work  # before numpy

# isort: split
import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import static_models as models
from static_models import Many, Step, Workload

CHECKED = 5
"""So many steps of both ways are compared."""
WHOLE = 50
"""So many in one call."""
SECONDS = 0.3
"""A run of the whole loop is of so many steps as take this long by hand."""
KEEPING = {
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
    "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
    "MALLOC_TOP_PAD_": str(2**26),
}
COLUMNS = ("interpreted", "numpy", "numpy, whole", "numba, whole")


def check_equal(work: Workload, **options: Any) -> None:
    """Both ways give the same log probabilities along the same steps: the same gradients, too."""
    ours, hand = work.loop(**options), work.by_hand()
    mine, theirs = ([step() for _ in range(CHECKED)] for step in (ours, hand))
    if not np.allclose(mine, theirs, rtol=1e-8):
        raise SystemExit(f"{work.name}: by hand the steps are others: {mine}, {theirs}")


def check_whole(work: Workload, **options: Any) -> None:
    """A loop of the library takes the same steps; its log probabilities may be of all data."""
    found, hand = work.whole(**options)(WHOLE).log_prob, work.by_hand()
    theirs = np.array([hand() for _ in range(WHOLE)])
    if not np.allclose(found / found[0], theirs / theirs[0], rtol=1e-6):
        raise SystemExit(f"{work.name}: by hand the steps are others: {found}, {theirs}")


def seconds(work: Work, times: int = 1) -> float:
    """The time of one run of many, without that of other processes: some runs take longer than the
    machine leaves one process alone."""
    start = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - start) / times


def ratio(ours: Work, hand: Step, before: Work | None = None) -> float:
    """The shortest time of a step over the shortest by hand, run in turns.

    Args:
        before: Runs before each of `ours`, and is not measured.
    """
    if before is not None:
        before()
    times, several = 1 if before else repeats(ours), repeats(hand)
    mine, theirs, begin = [], [], time.perf_counter()
    while len(mine) < 7 or time.perf_counter() < begin + 2.0:
        if before is not None:
            before()
        mine.append(seconds(ours, times))
        theirs.append(seconds(hand, several))
    return min(mine) / min(theirs)


def repeats(work: Work) -> int:
    """So many runs take two milliseconds: more than the grain of the clock."""
    return max(1, int(0.002 / min(seconds(work) for _ in range(5))))


def in_user_loop(work: Workload, **options: Any) -> float:
    """The ratio of a step in the user's own loop."""
    return ratio(work.loop(**options), work.by_hand())


def in_whole_loop(work: Workload, **options: Any) -> float:
    """The ratio of a step inside a loop of the library, which is checked first."""
    check_whole(work, **options)
    return whole_ratio(work.whole(**options), work.by_hand())


def whole_ratio(run: Many, hand: Step, rounds: int = 5) -> float:
    """The ratio of one of many steps."""
    steps = int(min(50_000, max(40, SECONDS / min(seconds(hand) for _ in range(5)))))
    run(steps)  # which records, compiles and compares
    mine, theirs, several = [], [], max(1, steps // 50)
    for _ in range(rounds):
        mine.append(seconds(lambda: run(steps)) / steps)
        theirs += [seconds(hand, several) for _ in range(5)]
    return min(mine) / min(theirs)


def keep_memory() -> None:
    """Begin this program again with an allocator that keeps what is freed.

    By default glibc gives arrays of megabytes back to the system, or not, as the heap happens to
    lie: the same step by hand takes 5 or 13 milliseconds. By hand is measured at its best.
    """
    if KEEPING.keys() <= os.environ.keys():
        return
    os.environ.update(KEEPING)
    os.execv(sys.executable, [sys.executable, *sys.argv])


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
        "accumulate": ratio(accumulate, hand),
        "apply": ratio(update.apply, hand, before=accumulate),
    }
    ahead = trace.gen_fn.trace_gradients.ahead(trace)
    if ahead is not None:
        code, theta, values = ahead[0].kept.code, ahead[0].positions.read()[0], ahead[0].values
        found["replay"] = ratio(lambda: code.step(*theta, values), hand)
    return found


# --- First steps


def first(name: str, backend: str) -> float:
    """The seconds from the first gradient to the end of the first replay, in a new process."""
    asked = [sys.executable, __file__, "--first-of", name, backend]
    run = subprocess.run(asked, capture_output=True, check=True, text=True)
    return float(run.stdout)


def print_first_of(name: str, backend: str) -> None:
    step = models.WORKLOADS[name].loop(static=True, backend=backend)
    print(seconds(step) + seconds(step))


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


def cell(found: float, target: float | None) -> str:
    """A ratio with its target."""
    return f"{found:.3f} {f'<= {target}' if target else '':7}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", action="store_true", help="show where the time goes")
    parser.add_argument("--peers", action="store_true", help="measure JAX too")
    parser.add_argument("--first", action="store_true", help="measure first steps only")
    parser.add_argument("--first-of", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("only", nargs="*", help="names of workloads")
    arguments = parser.parse_args()
    keep_memory()
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
    """The ratios of a peer's step, with the seconds that it is compiled, and of its whole loop."""
    import static_peers

    found = static_peers.peer(name)
    if found is None:
        return []
    hand, compiled = models.WORKLOADS[name].by_hand(), found.compile_seconds()
    check_peer(name, found)
    cells = [f"{ratio(found.step, hand):.2f} ({compiled:.1f} s)"]
    return [*cells, f"{whole_ratio(found.whole, hand):.3f}" if found.has_one_data else ""]


def check_peer(name: str, found: Any) -> None:
    """A peer takes the same steps, but where it draws other noise."""
    hand = models.WORKLOADS[name].by_hand()
    hand()
    mine, theirs = ([step() for _ in range(CHECKED)] for step in (found.step, hand))
    if name not in ("regression", "autoencoder") and not np.allclose(mine, theirs, rtol=1e-6):
        raise SystemExit(f"{name}: the steps of the peer are others: {mine}, {theirs}")


if __name__ == "__main__":
    main()
