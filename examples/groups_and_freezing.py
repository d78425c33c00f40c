"""Groups of parameters: one is frozen first and thawed later, and each has a rule of its own.

    trend  = intercept + slope (wt - mean wt)
    traits = X weights,    X four more traits of each car, with mean 0 and variance 1
    mpg ~ normal(trend + traits, 2.5)

A model of `mtcars` in two functions. First the weights are frozen at a guess, and the trend is
fitted to what they leave: least squares. Then they are thawed, and alone of all parameters they
decay: ridge regression, with a penalty of DECAY |weights|^2 / 2. Both fits are checked against
their closed forms, to 1e-6, and the frozen weights must not have moved at all. Takes less than a
second.
"""

import time

import numpy as np

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
    start = time.perf_counter()
    init_param(trend, "intercept", 0.0)
    init_param(trend, "slope", 0.0)
    init_param(traits, "weights", GUESS)

    table = mtcars()
    wt = table["wt"] - table["wt"].mean()
    X = np.stack([table[name] for name in TRAITS], axis=1)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    trace, _ = cars.generate((wt, X), {"mpg": table["mpg"]})
    falling = cosine_decay(0.1, sum(steps))  # at a fixed rate Adam sets off again in the end
    rule = chain(
        add_decayed_weights(DECAY, mask="traits.*"),
        partition({"trend.*": Nesterov(0.03), "traits.*": ADAM(falling)}),
    )
    update = ParamUpdate(rule, cars, callees=True)

    weights = traits.params["weights"]
    weights.freeze()
    train(update, trace, steps[0])
    frozen = estimates()
    weights.thaw()
    train(update, trace, steps[1])
    thawed = estimates()

    design = np.stack([np.ones_like(wt), wt], axis=1)
    line, *_ = np.linalg.lstsq(design, table["mpg"] - X @ GUESS)
    references = np.append(line, GUESS), ridge(np.hstack([design, X]), table["mpg"])
    report((frozen, thawed), references, time.perf_counter() - start)
    return frozen, thawed


def train(update, trace, steps):
    for _ in range(steps):
        trace.accumulate_param_gradients()
        update.apply()


def estimates():
    line = get_param(trend, "intercept"), get_param(trend, "slope")
    return np.append(line, get_param(traits, "weights"))


def ridge(design, y):
    """Where d/d theta of log p(y) - DECAY |weights|^2 / 2 is zero."""
    penalty = np.diag([0.0, 0.0] + [DECAY] * len(TRAITS))
    return np.linalg.solve(design.T @ design / NOISE**2 + penalty, design.T @ y / NOISE**2)


def report(found, references, seconds):
    print(f"{'':12}{'frozen':>12}{'reference':>12}{'thawed':>12}{'reference':>12}")
    columns = found[0], references[0], found[1], references[1]
    for name, *row in zip(("intercept", "slope", *TRAITS), *columns, strict=True):
        print(f"{name:12}{''.join(f'{value:12.6f}' for value in row)}")
    print(f"in {seconds:.2f} seconds")
    if np.any(found[0][2:] != GUESS):
        raise SystemExit("the frozen weights have moved")
    if np.max(np.abs(np.subtract(found, references))) > 1e-6:
        raise SystemExit("the fit is not at the reference: it needs more steps")


if __name__ == "__main__":
    main()
