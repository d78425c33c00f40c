"""A Galton-Watson process: a family tree in which every person has a random number of children.

    children ~ poisson(mean),   for each person alike

`recurse` grows the tree: `person` draws the number of children, and `family` counts the people in a
tree from the counts of its branches. Two trees have different choices, but each adds its gradient
to the one accumulator of `mean`. The estimate is checked against the closed form of the maximum
likelihood estimate: the number of all children over the number of all people. Takes a second.

Reference: Harris, 1963, The Theory of Branching Processes, Springer, chapter 1.
"""

import numpy as np
from checking import compare

from genparams import (
    SGD,
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


@gen
def person(generation):
    children = poisson(param("mean")) @ "children"
    return children, [generation + 1] * children


@gen
def family(children, sizes):
    return 1 + sum(sizes)


tree = recurse(person, family)


def main(trees=100, steps=30, seed=2):
    """Grow `trees` with a mean of 0.7 children, and find the mean again."""
    rng = np.random.default_rng(seed)
    init_param(person, "mean", 0.7, constraint=positive)
    traces = [tree.simulate((0,), rng) for _ in range(trees)]

    init_param(person, "mean", 1.0, constraint=positive)
    update = ParamUpdate(SGD(0.3), person)
    for _ in range(steps):
        accumulate_param_gradients(traces, scale=1.0 / trees)
        update.apply()

    people = sum(trace.retval for trace in traces)
    found, reference = {"mean": get_param(person, "mean")}, {"mean": (people - trees) / people}
    print(f"{trees} trees of {people} people")
    compare(found, reference)
    return found, reference


if __name__ == "__main__":
    main()
