"""A thousand calls of a kernel by a combinator, against the same loop inside one function.

    python benchmarks/combinators.py

Each figure is a ratio of times: drawing a trace, and one training step.
"""

from functools import partial
from typing import Any

import bench
import numpy as np

from genparams import ADAM, ParamUpdate, gen, init_param, map_, normal, param, unfold


@gen
def walk(length):
    state, keep = 0.0, param("keep")
    for i in range(length):
        state = normal(keep * state, 1.0) @ (i, "x")
    return state


@gen
def walk_step(i, state, keep):
    return normal(keep * state, 1.0) @ "x"


@gen
def walk_unfolded(length):
    return unfold(walk_step)(length, 0.0, param("keep")) @ "steps"


@gen
def points(xs):
    slope = param("slope")
    return [normal(slope * x, 1.0) @ (i, "y") for i, x in enumerate(xs)]


@gen
def point(x, slope):
    return normal(slope * x, 1.0) @ "y"


@gen
def points_mapped(xs):
    return map_(point, shared=("slope",))(xs, param("slope")) @ "points"


def main() -> None:
    xs = np.linspace(-1.0, 1.0, 1000)
    print(f"{'1000 scalar choices':24}{'simulate':>12}{'step':>12}   target 1.3")
    rows: list[tuple[str, Any, Any, tuple, str]] = [
        ("unfold / loop", walk_unfolded, walk, (1000,), "keep"),
        ("map_ / loop", points_mapped, points, (xs,), "slope"),
    ]
    for name, combined, loop, args, parameter in rows:
        steps = []
        for f in (combined, loop):
            init_param(f, parameter, 0.5)
            trace = f.simulate(args, rng=0)
            update = ParamUpdate(ADAM(1e-6), f)

            def train(trace=trace, update=update) -> None:
                trace.accumulate_param_gradients()
                update.apply()

            steps.append(train)
        drawn = bench.ratio(partial(combined.simulate, args), partial(loop.simulate, args), 30)
        print(f"{name:24}{drawn:12.2f}{bench.ratio(steps[0], steps[1], 30):12.2f}")


if __name__ == "__main__":
    main()
