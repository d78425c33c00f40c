"""Edits of one entry of a long trace, against one run of the whole model.

    python benchmarks/edits.py

A sweep regenerates one choice of each entry in turn. Its ratio is the time of the sweep over the
time of one `generate`. An edit that runs the whole function would have the number of entries here.
"""

import bench
import numpy as np

from genparams import (
    ChoiceMap,
    Trace,
    bernoulli,
    gen,
    map_,
    metropolis_hastings,
    normal,
    select,
    unfold,
)


@gen
def point(x):
    wild = bernoulli(0.3) @ "wild"
    return normal(x, 5.0 if wild else 1.0) @ "y"


@gen
def points(xs):
    return map_(point)(xs) @ "points"


@gen
def step(t, state):
    state = normal(0.9 * state, 1.0) @ "state"
    _ = normal(state, 0.5) @ "seen"
    return state


@gen
def walk(n):
    return unfold(step)(n, 0.0) @ "steps"


def report(name: str, model, args: tuple, given: dict, addresses: list) -> None:
    """Print the ratio of a sweep over some addresses to one run of the model."""
    trace, _ = model.generate(args, given, rng=0)
    selections = [select(address) for address in addresses]
    rng = np.random.default_rng(1)

    def sweep() -> None:
        current: Trace = trace
        for selection in selections:
            current, _ = current.regenerate(selection, rng=rng)

    def chain() -> None:
        current: Trace = trace
        for selection in selections:
            current, _ = metropolis_hastings(current, selection, rng=rng)

    def whole() -> None:
        model.generate(args, given, rng=rng)

    edits, kernel = bench.ratio(sweep, whole, 5), bench.ratio(chain, whole, 5)
    print(f"{name:32} {len(addresses):6} {edits:12.2f} {kernel:12.2f}")


def main() -> None:
    print(f"{'model':32} {'sites':>6} {'regenerate':>12} {'M-H':>12}")
    for n in (500, 2000, 8000):
        ys = np.random.default_rng(0).normal(size=n)
        given = {"points": ChoiceMap.rows({"y": ys})}
        sites = [("points", i, "wild") for i in range(n)]
        report("map_, entries on their own", points, (np.zeros(n),), given, sites)
        given = {"steps": ChoiceMap.rows({"seen": ys})}
        sites = [("steps", i, "state") for i in range(n)]
        report("unfold, each step moves the next", walk, (n,), given, sites)


if __name__ == "__main__":
    main()
