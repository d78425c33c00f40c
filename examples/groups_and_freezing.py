"""Groups of parameters: one is frozen first and trained later, and each has a rule of its own.

    trend  = intercept + slope (wt - mean wt)
    traits = X weights,    X four more traits of each car, with mean 0 and variance 1
    mpg ~ normal(trend + traits, 2.5)

A model of `mtcars` in two functions. First the weights are frozen at a guess, and the trend is
fitted to what they leave: least squares. Then the weights are trained too, and they alone decay:
ridge regression, with a penalty of DECAY |weights|^2 / 2. Both fits are checked against their
closed forms. Takes less than a second.
"""

import numpy as np
from checking import compare

from genparams import (
    ADAM,
    Nesterov,
    ParamUpdate,
    add_decayed_weights,
    chain,
    cosine_decay,
    gen,
    get_param,
    init_param,
    normal,
    param,
    partition,
    train,
)
from genparams.datasets import mtcars

NOISE = 2.5  # miles per gallon
DECAY = 2.0
TRAITS = ("hp", "qsec", "drat", "am")
GUESS = (-1.0, 1.0, 1.0, 1.0)


@gen
def trend(wt):
    return param("intercept") + param("slope") * wt


@gen
def traits(X):
    return X @ param("weights")


@gen
def cars(wt, X):
    mean = trend(wt) @ "trend" + traits(X) @ "traits"
    return normal(mean, NOISE) @ "mpg"


def main(steps=(200, 800)):
    """Train for so many steps with the weights frozen, and then for so many with all."""
    init_param(trend, "intercept", 0.0)
    init_param(trend, "slope", 0.0)
    init_param(traits, "weights", GUESS)

    table = mtcars()
    wt = table["wt"] - table["wt"].mean()
    X = np.stack([table[name] for name in TRAITS], axis=1)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    falling = cosine_decay(0.1, sum(steps))  # at a fixed rate ADAM does not settle
    rule = chain(
        add_decayed_weights(DECAY, mask="traits.*"),
        partition({"trend.*": Nesterov(0.03), "traits.*": ADAM(falling)}),
    )
    update = ParamUpdate(rule, cars, callees=True)

    found = {}
    traits.params["weights"].freeze()
    for name, count in zip(("frozen", "thawed"), steps, strict=True):
        train(cars, ((wt, X), {"mpg": table["mpg"]}), update, steps=count)
        found[f"{name} trend"] = get_param(trend, "intercept"), get_param(trend, "slope")
        found[f"{name} weights"] = get_param(traits, "weights")
        traits.params["weights"].thaw()

    design = np.stack([np.ones_like(wt), wt], axis=1)
    line, *_ = np.linalg.lstsq(design, table["mpg"] - X @ GUESS)
    fit = ridge(np.hstack([design, X]), table["mpg"])
    reference = {"frozen trend": line, "frozen weights": GUESS}
    reference |= {"thawed trend": fit[:2], "thawed weights": fit[2:]}
    compare(found, reference, 1e-6)
    return found


def ridge(design, y):
    """Where the gradient of log p(y) - DECAY |weights|^2 / 2 is zero."""
    penalty = np.diag([0.0, 0.0] + [DECAY] * len(TRAITS))
    return np.linalg.solve(design.T @ design / NOISE**2 + penalty, design.T @ y / NOISE**2)


if __name__ == "__main__":
    main()
