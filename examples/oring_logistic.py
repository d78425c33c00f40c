"""Logistic regression: the risk of a damaged O-ring, given the temperature at launch.

    distress ~ bernoulli(logits = a + b (temp - mean temp))

fitted by maximum likelihood to the 23 shuttle flights before Challenger's last. The temperature is
centred, because without this a and b are almost inseparable, and a rule that uses only gradients
is slow. The answer is printed on the original scale. Takes less than a second.
"""

from checking import compare
from scipy.special import expit

from genparams import ADAM, ParamUpdate, bernoulli, cosine_decay, gen, get_param, init_param, param
from genparams.datasets import oring

# The coefficients that R prints for glm(distress ~ temp, binomial), and its log-likelihood, to more
# digits. R's residual deviance, 20.315, is minus twice the log-likelihood.
REFERENCE = {
    "intercept": 15.04290164770245,
    "slope": -0.23216274421859662,
    "log_likelihood": -10.157596343933413,
}


@gen
def flights(warmth):
    return bernoulli(logits=param("a") + param("b") * warmth) @ "distress"


def main(steps=1000):
    init_param(flights, "a", 0.0)
    init_param(flights, "b", 0.0)

    table = oring()
    mean = table["temp"].mean()
    trace, _ = flights.generate((table["temp"] - mean,), {"distress": table["distress"]})
    update = ParamUpdate(ADAM(cosine_decay(0.1, steps)), flights)
    for _ in range(steps):
        trace.accumulate_param_gradients()
        update.apply()

    a, b = get_param(flights, "a"), get_param(flights, "b")
    print(
        f"at 31 degrees, as on the day of Challenger, the risk is {expit(a + b * (31 - mean)):.4f}"
    )
    found = {"intercept": a - b * mean, "slope": b, "log_likelihood": trace.rescored().log_prob}
    compare(found, REFERENCE)
    return found


if __name__ == "__main__":
    main()
