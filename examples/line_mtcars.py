"""A straight line: how many miles a car goes on a gallon, given its weight.

    mpg ~ normal(intercept + slope wt, noise)

fitted by maximum likelihood to the 32 cars of `mtcars`. Takes less than a second.
"""

import time

from genparams import ADAM, ParamUpdate, gen, get_param, init_param, normal, param, positive
from genparams.datasets import mtcars

# Least squares: intercept and slope as R prints them for lm(mpg ~ wt), and sqrt(RSS / 32), to more
# digits. The log-likelihood is what R's logLik gives.
REFERENCE = {
    "intercept": 37.28512616734203,
    "slope": -5.344471572722677,
    "noise": 2.9491626859550,
    "log_likelihood": -80.01471449593808,
}
STAGES = ((0.5, 1000), (0.05, 500))


@gen
def cars(wt):
    mean = param("intercept") + param("slope") * wt
    return normal(mean, param("noise")) @ "mpg"


def main(stages=STAGES):
    """Fit the line; `stages` holds pairs of a learning rate and a number of steps."""
    start = time.perf_counter()
    init_param(cars, "intercept", 0.0)
    init_param(cars, "slope", 0.0)
    init_param(cars, "noise", 10.0, constraint=positive)

    table = mtcars()
    trace, _ = cars.generate((table["wt"],), {"mpg": table["mpg"]})
    for learning_rate, steps in stages:
        update = ParamUpdate(ADAM(learning_rate), cars)
        for _ in range(steps):
            trace.accumulate_param_gradients()
            update.apply()

    found = {name: get_param(cars, name) for name in ("intercept", "slope", "noise")}
    found["log_likelihood"], _ = cars.assess(trace.args, trace.choices)
    report(found, time.perf_counter() - start)
    return found


def report(found, seconds):
    print(f"{'':16}{'genparams':>14}{'reference':>14}")
    for name, value in REFERENCE.items():
        print(f"{name:16}{found[name]:14.6f}{value:14.6f}")
    print(f"in {seconds:.2f} seconds")
    if abs(found["log_likelihood"] - REFERENCE["log_likelihood"]) > 1e-4:
        raise SystemExit("the fit is not at the reference: it needs more steps")


if __name__ == "__main__":
    main()
