"""`train` against the loop in the open: what its comfort costs.

    python benchmarks/train.py

Both take the same steps of the line model, and end with the same bits, which is checked first. The
target is a ratio of at most 1.10 for steps of 100 points.
"""

import bench  # first: it sets the number of threads
import numpy as np
from step import line_array

from genparams import ADAM, ParamUpdate, accumulate_param_gradients, init_param, positive, train

STEPS = 1000
POINTS = 100


def begin(line):
    init_param(line, "slope", 0.0)
    init_param(line, "intercept", 0.0)
    init_param(line, "noise", 1.0, constraint=positive)
    return ParamUpdate(ADAM(0.01), line)


def full(line, args, constraints):
    """All data in each step."""

    def ours():
        return train(line, (args, constraints), begin(line), steps=STEPS)

    def in_the_open():
        update = begin(line)
        trace, _ = line.generate(args, constraints)
        for _ in range(STEPS):
            trace.accumulate_param_gradients()
            update.apply()

    return ours, in_the_open


def minibatches(line, args, constraints):
    """Minibatches of 100 of 1000 points, in a new order each epoch."""
    xs, ys = (np.tile(a, 10) for a in (args[0], constraints["ys"]))
    n = len(xs)

    def ours():
        data = (xs,), {"ys": ys}
        train(line, data, begin(line), steps=STEPS, batch_size=POINTS, total=n, rng=0)

    def in_the_open():
        update, rng = begin(line), np.random.default_rng(0)
        order = np.empty(0, int)
        for _ in range(STEPS):
            if not len(order):
                order = rng.permutation(n)
            rows, order = order[:POINTS], order[POINTS:]
            trace, _ = line.generate((xs[rows],), {"ys": ys[rows]})
            trace.accumulate_param_gradients(scale=n / POINTS)
            update.apply()

    return ours, in_the_open


def pairs(line, args, constraints):
    """Ten pairs of arguments and data, of 100 points each, in minibatches of two."""
    data = [(args, constraints)] * 10

    def ours():
        train(line, data, begin(line), steps=STEPS, batch_size=2, shuffle=False)

    def in_the_open():
        update = begin(line)
        traces = [line.generate(*pair)[0] for pair in data]
        for step in range(STEPS):
            first = 2 * step % len(data)
            accumulate_param_gradients(traces[first : first + 2])
            update.apply()

    return ours, in_the_open


def values(line):
    return [p.value for p in line.params.values()]


def main() -> None:
    work = line_array()
    print(f"{'steps of the line model, 100 points':60}{'train / open loop':>20}{'target':>10}")
    for make in (full, minibatches, pairs):
        ours, in_the_open = make(work.model, work.args, work.constraints)
        ours()
        found = values(work.model)
        in_the_open()
        assert found == values(work.model), "both must end with the same bits"
        print(f"{make.__doc__:60}{bench.ratio(ours, in_the_open, 25):>20.3f}{'<= 1.10':>10}")


if __name__ == "__main__":
    main()
