"""A straight line: how many miles a car goes on a gallon, given its weight.

    mpg ~ normal(intercept + slope wt, noise)

fitted by maximum likelihood to the 32 cars of `mtcars`. Takes less than a second.
"""

from checking import compare

from genparams import (
    ADAM,
    ParamUpdate,
    cosine_decay,
    gen,
    get_param,
    init_param,
    normal,
    param,
    positive,
    train,
)
from genparams.datasets import mtcars

# Least squares: intercept and slope as R prints them for lm(mpg ~ wt), and sqrt(RSS / 32), to more
# digits. The log-likelihood is what R's logLik gives.
REFERENCE = {
    "intercept": 37.28512616734203,
    "slope": -5.344471572722677,
    "noise": 2.9491626859550,
    "log_likelihood": -80.01471449593808,
}


@gen
def cars(wt):
    mean = param("intercept") + param("slope") * wt
    return normal(mean, param("noise")) @ "mpg"


def main(steps=1000):
    init_param(cars, "intercept", 0.0)
    init_param(cars, "slope", 0.0)
    init_param(cars, "noise", 10.0, constraint=positive)

    table = mtcars()
    data = (table["wt"],), {"mpg": table["mpg"]}
    train(cars, data, ParamUpdate(ADAM(cosine_decay(0.5, steps)), cars), steps=steps)

    found = {name: get_param(cars, name) for name in ("intercept", "slope", "noise")}
    found["log_likelihood"] = cars.assess(*data)[0]
    compare(found, REFERENCE)
    return found


if __name__ == "__main__":
    main()
