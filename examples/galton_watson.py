"""A Galton-Watson process: a family tree in which every child has a random number of its own.

    children ~ poisson(mean),   for each node alike

`recurse` grows the tree: `node` draws the number of children and says from what each of them
grows, `family` makes a result of the children's results. No two trees have the same choices; each
adds its gradient to the one accumulator of `mean`. The estimate is checked against that of maximum
likelihood, all children over all nodes, and the trees that die out with more than one child to a
node against the generating function. Takes a few seconds.

Reference: Harris, 1963, The Theory of Branching Processes, Springer, chapter 1.
"""

import math
import time

import numpy as np

from genparams import (
    ADAM,
    ParamUpdate,
    accumulate_param_gradients,
    gen,
    get_param,
    init_param,
    param,
    poisson,
    positive,
    recurse,
)

SUBCRITICAL, SUPERCRITICAL = 0.7, 1.5
STAGES = ((0.1, 100), (0.01, 100))


@gen
def node(generations):
    """A node below which there is room for so many generations."""
    children = poisson(param("mean")) @ "children" if generations else 0
    return children, [generations - 1] * children


@gen
def family(children, families):
    """The number of nodes, and that of generations."""
    nodes = 1 + sum(nodes for nodes, _ in families)
    return nodes, 1 + max((generations for _, generations in families), default=0)


tree = recurse(node, family)


def main(trees=100, stages=STAGES, generations=6, grown=400, seed=2):
    """Fit the mean to `trees` trees; `stages` holds pairs of a learning rate and a number of steps.

    Then `grown` trees of a mean above 1 are cut off after so many `generations`.
    """
    start = time.perf_counter()
    rng = np.random.default_rng(seed)
    init_param(node, "mean", SUBCRITICAL, constraint=positive)
    traces = [tree.simulate((math.inf,), rng) for _ in range(trees)]

    init_param(node, "mean", 2.0, constraint=positive)
    for learning_rate, steps in stages:
        update = ParamUpdate(ADAM(learning_rate), node)
        for _ in range(steps):
            accumulate_param_gradients(traces, scale=1.0 / trees)
            update.apply()

    nodes = sum(trace.retval[0] for trace in traces)
    found = {"mean": get_param(node, "mean"), "closed_form": (nodes - trees) / nodes}
    found["extinct"], found["standard_error"] = extinct(grown, generations, rng)
    found["expected"] = generating_function(SUPERCRITICAL, generations)
    report(found, trees, nodes, generations, time.perf_counter() - start)
    return found


def extinct(grown, generations, rng):
    """The share of trees that end before they are cut off, and its standard error."""
    init_param(node, "mean", SUPERCRITICAL, constraint=positive)
    reached = [tree.simulate((generations,), rng).retval[1] for _ in range(grown)]
    share = np.mean([g <= generations for g in reached])
    return share, np.sqrt(share * (1.0 - share) / grown)


def generating_function(mean, generations):
    """q <- exp(mean (q - 1)) from 0: the probability that generation 1, 2, ... is empty."""
    q = 0.0
    for _ in range(generations):
        q = math.exp(mean * (q - 1.0))
    return q


def report(found, trees, nodes, generations, seconds):
    print(f"{trees} trees of {nodes} nodes")
    print(f"{'':28}{'genparams':>12}{'reference':>12}")
    print(f"{'mean number of children':28}{found['mean']:12.6f}{found['closed_form']:12.6f}")
    label = f"extinct in {generations} generations"
    print(f"{label:28}{found['extinct']:12.4f}{found['expected']:12.4f}")
    print(f"of which the first has a standard error of {found['standard_error']:.4f}; the second")
    print(f"goes to {generating_function(SUPERCRITICAL, 1000):.4f} with more generations")
    print(f"in {seconds:.2f} seconds")
    if abs(found["mean"] - found["closed_form"]) > 1e-4:
        raise SystemExit("the fit is not at the reference: it needs more steps")
    if abs(found["extinct"] - found["expected"]) > 4.0 * found["standard_error"]:
        raise SystemExit("the trees die out too often, or not often enough")


if __name__ == "__main__":
    main()
