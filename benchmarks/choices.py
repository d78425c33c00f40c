"""Scalar choices: drawing them beside scoring them, and what truncation and a generator cost.

    python benchmarks/choices.py

Each figure is a ratio of times.
"""

from functools import partial
from typing import Any

import bench
import numpy as np

from genparams import Call, exponential, gen, laplace, logistic, normal, truncated, weibull


@gen
def walk(length):
    state = 0.0
    for i in range(length):
        state = normal(state, 1.0) @ i
    return state


@gen
def single(call):
    return call @ "x"


def scored(call: Call, x: float) -> partial:
    """A function of that choice alone, which is given."""
    return partial(single.generate, (call,), {"x": x})


def drawn(call: Call) -> partial:
    return partial(single.simulate, (call,), rng=np.random.default_rng(0))


def main() -> None:
    trace = walk.simulate((1000,), rng=0)
    given = partial(walk.generate, (1000,), trace.choices)
    figure = bench.ratio(partial(walk.simulate, (1000,)), given, 30)
    print(f"1000 scalar choices, simulate / generate with all given  {figure:8.2f}   target 2")

    one = partial(walk.generate, (1,), {0: 0.5})
    figure = bench.ratio(partial(walk.generate, (1,), {0: 0.5}, rng=0), one, 30)
    print(f"one choice given, with a seed / without                  {figure:8.2f}   above 1")

    print(f"\n{'truncated / not':30}{'generate':>10}{'simulate':>10}   target 4 of generate")
    rows: list[tuple[str, Any, Any, float]] = [
        ("normal, two limits", normal(0.0, 1.0), (-1.0, 2.0), 0.5),
        ("normal, a short stretch", normal(0.0, 1.0), (0.5, 0.5001), 0.50005),
        ("laplace, two limits", laplace(0.0, 1.0), (-1.0, 2.0), 0.5),
        ("logistic, one limit", logistic(0.0, 1.0), (-1.0, None), 0.5),
        ("exponential, two limits", exponential(1.0), (0.2, 2.0), 0.5),
        ("weibull, far out", weibull(2.0, 1.0), (3.0, 3.5), 3.2),
    ]
    for name, base, (low, high), x in rows:
        call = truncated(base, low, high)
        generate = bench.ratio(scored(call, x), scored(base, x), 30)
        simulate = bench.ratio(drawn(call), drawn(base), 30)
        print(f"{name:30}{generate:10.2f}{simulate:10.2f}")


if __name__ == "__main__":
    main()
