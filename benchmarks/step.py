"""One training step, and one `generate`, against the same written by hand in numpy.

    python benchmarks/step.py [--peers] [workload ...]

The step is `accumulate_param_gradients` and `ADAM`'s `apply`. Each row first checks that both ways
give the same log likelihood. With `--peers`, Pyro and NumPyro join where they are installed.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import bench
import by_hand
import numpy as np
import peers

from genparams import (
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
    rounds: int

    def generate(self) -> tuple[Trace, float]:
        return self.model.generate(self.args, self.constraints)


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
        40,
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


def import_seconds() -> float:
    """How long `import genparams` takes in a fresh interpreter, numpy and scipy included."""
    code = "import time; t = time.perf_counter(); import genparams; print(time.perf_counter() - t)"
    run = [sys.executable, "-c", code]
    return min(float(subprocess.run(run, capture_output=True, check=True).stdout) for _ in range(5))


def figures(name: str, work: Workload, with_peers: bool) -> list[str]:
    """The ratios of one workload."""
    trace, log_prob = work.generate()
    assert abs(log_prob / work.log_prob() - 1.0) < 1e-9, "both ways must agree"
    update = ParamUpdate(ADAM(0.01), work.model)

    def step() -> None:
        trace.accumulate_param_gradients()
        update.apply()

    stepped = bench.ratio(step, work.step, work.rounds)
    generated = bench.ratio(work.generate, work.log_prob, work.rounds)
    others = peers.steps(name, work) if with_peers else ()
    return [
        f"{stepped:.2f}",
        f"<= {work.target}",
        f"{generated:.2f}",
        *(f"{peer} {bench.ratio(other, work.step, 5):.1f}" for peer, other in others),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", action="store_true", help="measure Pyro and NumPyro too")
    parser.add_argument("only", nargs="*", help="names of workloads")
    arguments = parser.parse_args()
    columns = ["step / by hand", "target", "generate / log density by hand"]
    print(f"{'workload':46}" + "".join(f"{c:>32}" for c in columns))
    for make in WORKLOADS:
        if not arguments.only or make.__name__ in arguments.only:
            work = make()
            cells = figures(make.__name__, work, arguments.peers)
            print(f"{work.name:46}" + "".join(f"{c:>32}" for c in cells), flush=True)
    if not arguments.only:
        print(f"import genparams: {import_seconds():.2f} s (target 0.35)")


if __name__ == "__main__":
    main()
