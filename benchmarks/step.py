"""One training step, and one `generate`, against the same written by hand in numpy; one run, one
thread.

    python benchmarks/step.py [--peers]

A time alone says nothing on a shared machine, so each figure is a ratio: the two are run in turns,
and the median of the pairwise ratios is printed. The step is `accumulate_param_gradients` and
`ADAM`'s `apply`. With `--peers`, Pyro and NumPyro join where they are installed. Each row first
checks that both ways give the same log likelihood.
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse  # noqa: E402  # the number of threads is read when numpy is loaded
import subprocess  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from statistics import median  # noqa: E402
from typing import Any  # noqa: E402

import by_hand  # noqa: E402
import numpy as np  # noqa: E402

from genparams import (  # noqa: E402
    ADAM,
    ParamUpdate,
    Trace,
    bernoulli,
    gen,
    init_param,
    lower_cholesky,
    mixture,
    mvnormal,
    normal,
    param,
    positive,
    simplex,
)


@dataclass(frozen=True)
class Workload:
    """A model on data, and the same by hand."""

    name: str
    target: float
    model: Any
    args: tuple
    constraints: dict
    step: by_hand.Step
    log_prob: Callable[[], float]
    repeats: int


def line_array() -> Workload:
    rng = np.random.default_rng(0)
    xs = np.linspace(-1.0, 1.0, 100)
    ys = 2.0 * xs + 1.0 + 0.3 * rng.standard_normal(100)

    @gen
    def line(xs):
        slope, intercept, noise = param("slope"), param("intercept"), param("noise")
        return normal(slope * xs + intercept, noise) @ "ys"

    _line_params(line)
    return Workload(
        "line, 100 points, one array choice",
        7.0,
        line,
        (xs,),
        {"ys": ys},
        by_hand.line_step(xs, ys),
        lambda: by_hand.line_log_prob(xs, ys, np.zeros(3)),
        400,
    )


def line_loop() -> Workload:
    rng = np.random.default_rng(0)
    xs = np.linspace(-1.0, 1.0, 1000)
    ys = 2.0 * xs + 1.0 + 0.3 * rng.standard_normal(1000)

    @gen
    def line_by_point(xs):
        slope, intercept, noise = param("slope"), param("intercept"), param("noise")
        for i, x in enumerate(xs):
            _ = normal(slope * x + intercept, noise) @ ("ys", i)

    _line_params(line_by_point)
    return Workload(
        "line, 1000 scalar choices in a loop",
        450.0,
        line_by_point,
        (xs,),
        {("ys", i): y for i, y in enumerate(ys)},
        by_hand.line_step(xs, ys),
        lambda: by_hand.line_log_prob(xs, ys, np.zeros(3)),
        15,
    )


def _line_params(f: Any) -> None:
    init_param(f, "slope", 0.0)
    init_param(f, "intercept", 0.0)
    init_param(f, "noise", 1.0, constraint=positive)


def logistic() -> Workload:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((100_000, 50))
    y = rng.random(100_000) < 1.0 / (1.0 + np.exp(-x @ rng.standard_normal(50)))

    @gen
    def logistic_regression(x):
        return bernoulli(logits=x @ param("w")) @ "y"

    init_param(logistic_regression, "w", np.zeros(50))
    numbers = y.astype(float)
    return Workload(
        "logistic regression, 100 000 x 50",
        1.1,
        logistic_regression,
        (x,),
        {"y": y},
        by_hand.logistic_step(x, numbers),
        lambda: by_hand.logistic_log_prob(x, numbers, np.zeros(50)),
        25,
    )


def mixture_of_normals() -> Workload:
    rng = np.random.default_rng(0)
    theta = by_hand.mixture_start()
    means = theta[4:14].reshape(5, 2)
    points = means[rng.integers(5, size=100_000)] + 0.7 * rng.standard_normal((100_000, 2))

    @gen
    def clusters(n):
        normals = mvnormal(param("means"), scale_tril=param("scale_tril"))
        return mixture(param("weights"), normals, size=n) @ "points"

    init_param(clusters, "weights", np.full(5, 0.2), constraint=simplex)
    init_param(clusters, "means", means)
    init_param(clusters, "scale_tril", np.stack([np.eye(2)] * 5), constraint=lower_cholesky)
    columns = np.ascontiguousarray(points.T)
    return Workload(
        "mixture of 5 normals in 2-D, 100 000 points",
        1.15,
        clusters,
        (len(points),),
        {"points": points},
        by_hand.mixture_step(columns),
        lambda: by_hand.mixture_log_prob(columns, theta),
        25,
    )


WORKLOADS = [line_array, line_loop, logistic, mixture_of_normals]


def ratio(ours: Callable[[], Any], hand: Callable[[], Any], repeats: int) -> float:
    """The median over pairs of runs, taken in turns, of one time over the other."""

    def seconds(f: Callable[[], Any], times: int) -> float:
        start = time.perf_counter()
        for _ in range(times):
            f()
        return (time.perf_counter() - start) / times

    seconds(ours, 2)
    mine, theirs = (max(1, int(0.002 / seconds(f, 2))) for f in (ours, hand))  # beyond the grain
    return median(seconds(ours, mine) / seconds(hand, theirs) for _ in range(repeats))


def import_seconds() -> tuple[float, bool]:
    """How long `import genparams` takes in a fresh interpreter, numpy and scipy included; whether
    scipy.stats came.
    """
    code = (
        "import sys, time; t = time.perf_counter(); import genparams; "
        "print(time.perf_counter() - t, 'scipy.stats' in sys.modules)"
    )
    runs = []
    for _ in range(5):
        out = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        seconds, stats = out.stdout.split()
        runs.append((float(seconds), stats == "True"))
    return min(runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", action="store_true", help="measure Pyro and NumPyro too")
    parser.add_argument("only", nargs="*", help="names of workloads")
    arguments = parser.parse_args()
    columns = ["step / by hand", "target", "generate / log density by hand"]
    print(f"{'workload':46}" + "".join(f"{c:>32}" for c in columns))
    for make in WORKLOADS:
        if arguments.only and make.__name__ not in arguments.only:
            continue
        work = make()
        trace, _ = work.model.generate(work.args, work.constraints)
        assert abs(trace.log_prob / work.log_prob() - 1.0) < 1e-9, "both ways must agree"
        update = ParamUpdate(ADAM(0.01), work.model)

        def step(trace: Trace = trace, update: ParamUpdate = update) -> float:
            log_prob, _ = trace.accumulate_param_gradients()
            update.apply()
            return log_prob

        stepped = ratio(step, work.step, work.repeats)
        generated = ratio(
            lambda work=work: work.model.generate(work.args, work.constraints),
            work.log_prob,
            work.repeats,
        )
        cells = [f"{stepped:.2f}", f"<= {work.target}", f"{generated:.2f}"]
        if arguments.peers:
            import peers

            cells += [
                f"{name} {ratio(f, work.step, 5):.1f}"
                for name, f in peers.steps(make.__name__, work)
            ]
        print(f"{work.name:46}" + "".join(f"{c:>32}" for c in cells))
    if not arguments.only:
        seconds, stats = import_seconds()
        print(f"import genparams: {seconds:.2f} s (target 0.35), scipy.stats loaded: {stats}")


if __name__ == "__main__":
    main()
