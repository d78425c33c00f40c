"""Eight rules climb one hill: the risk of a damaged O-ring, from the same start.

    distress ~ bernoulli(logits = a + b (temp - 53) / 10)

53 degrees is the coldest flight, at one end of the data, so that a and b are correlated: the
likelihood is a slanting ridge, seven times as long as it is wide. For each rule this prints the
number of steps until the log-likelihood stays within 0.01 of its maximum, and the estimates at the
end, which are checked against the maximum to 0.001. Takes less than a second.
"""

import numpy as np
from checking import compare

from genparams import (
    ADAM,
    SGD,
    AdaDelta,
    AdaGrad,
    Lion,
    Momentum,
    Nesterov,
    ParamStore,
    ParamUpdate,
    RMSProp,
    bernoulli,
    cosine_decay,
    gen,
    param,
    train,
)
from genparams.datasets import oring

# The estimates that R prints for glm(distress ~ temp, binomial), to more digits, carried over to
# (temp - 53) / 10; and the log-likelihood there.
SLOPE = -0.23216274421859662
MAXIMUM = 15.04290164770245 + 53.0 * SLOPE, 10.0 * SLOPE
LOG_LIKELIHOOD = -10.157596343933413


def rules(steps):
    """The steps of the last three do not shrink by themselves: they have a falling rate."""
    return {
        "SGD": SGD(0.15),
        "Momentum": Momentum(0.03),
        "Nesterov": Nesterov(0.03),
        "AdaGrad": AdaGrad(0.6),
        "ADAM": ADAM(0.1),
        "AdaDelta": AdaDelta(cosine_decay(1.0, steps), epsilon=1e-4),
        "RMSProp": RMSProp(cosine_decay(0.03, steps)),
        "Lion": Lion(cosine_decay(0.03, steps), beta2=0.9),
    }


@gen
def flights(warmth):
    return bernoulli(logits=param("a") + param("b") * warmth) @ "distress"


def main(steps=500):
    found = {name: climb(name, rule, steps) for name, rule in rules(steps).items()}
    compare(found, dict.fromkeys(found, MAXIMUM), tolerance=2.5e-4)
    return found


def climb(name, rule, steps):
    """The estimates after so many steps of a rule, from (0, 0)."""
    table, theta = oring(), ParamStore(a=0.0, b=0.0)
    x = (table["temp"] - 53.0) / 10.0
    data = (x,), {"distress": table["distress"]}
    history = train(flights.with_params(theta), data, ParamUpdate(rule, theta), steps=steps)
    below = np.flatnonzero(history.log_prob < LOG_LIKELIHOOD - 0.01)
    print(f"{name} is near the maximum after {below[-1] + 1} steps")
    return theta["a"].value, theta["b"].value


if __name__ == "__main__":
    main()
