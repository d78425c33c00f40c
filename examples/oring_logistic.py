"""Logistic regression: the risk of a damaged O-ring, given the temperature at launch.

    distress ~ bernoulli(logits = a + b (temp - mean temp))

fitted by maximum likelihood to the 23 shuttle flights before Challenger's last. The temperature is
centred because a first-order rule needs it: from zero degrees, far outside the data, intercept and
slope would be all but inseparable. The answer is printed on the original scale. Takes less than a
second.
"""

import time

import numpy as np

from genparams import ADAM, ParamUpdate, bernoulli, gen, get_param, init_param, param
from genparams.datasets import oring

# The coefficients that R prints for glm(distress ~ temp, binomial), and its log-likelihood, to more
# digits. R's residual deviance, 20.315, is minus twice the log-likelihood.
REFERENCE = {
    "intercept": 15.04290164770245,
    "slope": -0.23216274421859662,
    "log_likelihood": -10.157596343933413,
}
STAGES = ((0.1, 600), (0.01, 600))


@gen
def flights(warmth):
    return bernoulli(logits=param("a") + param("b") * warmth) @ "distress"


def main(stages=STAGES):
    """Fit the curve; `stages` holds pairs of a learning rate and a number of steps."""
    start = time.perf_counter()
    init_param(flights, "a", 0.0)
    init_param(flights, "b", 0.0)

    table = oring()
    mean = table["temp"].mean()
    trace, _ = flights.generate((table["temp"] - mean,), {"distress": table["distress"]})
    for learning_rate, steps in stages:
        update = ParamUpdate(ADAM(learning_rate), flights)
        for _ in range(steps):
            trace.accumulate_param_gradients()
            update.apply()

    a, b = get_param(flights, "a"), get_param(flights, "b")
    log_likelihood, _ = flights.assess(trace.args, trace.choices)
    found = {"intercept": a - b * mean, "slope": b, "log_likelihood": log_likelihood}
    report(found, time.perf_counter() - start)
    return found


def report(found, seconds):
    print(f"{'':16}{'genparams':>14}{'reference':>14}")
    for name, value in REFERENCE.items():
        print(f"{name:16}{found[name]:14.6f}{value:14.6f}")
    for temp in (31, 53, 70, 81):
        risk = 1.0 / (1.0 + np.exp(-found["intercept"] - found["slope"] * temp))
        print(f"at {temp} degrees the risk is {risk:.4f}")
    print(f"in {seconds:.2f} seconds")
    if abs(found["log_likelihood"] - REFERENCE["log_likelihood"]) > 1e-4:
        raise SystemExit("the fit is not at the reference: it needs more steps")


if __name__ == "__main__":
    main()
