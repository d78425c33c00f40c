"""The O-ring study: the risk of damage to a seal of the space shuttle, given the temperature.

    distress ~ bernoulli(logits = intercept + slope temp)

fitted by maximum likelihood to the 23 flights before Challenger's last, and reported as a
statistician would: the table, an interval for the slope from the profile of the likelihood, the
likelihood-ratio test against a risk that does not depend on temperature, and the forecast for 31
degrees Fahrenheit, the temperature on the day of Challenger. Takes less than a second, and two more
for the picture.

    python examples/oring_study.py --plot oring.png

Reference: Dalal, Fowlkes and Hoadley, 1989, Journal of the American Statistical Association 84,
945-957.
"""

import numpy as np
from checking import check_fit, compare
from pictures import picture, plot_path

from genparams import bernoulli, fit, gen, init_param, param
from genparams.datasets import oring
from genparams.plotting import plot_curve, plot_profile

CHALLENGER = 31.0
# R: the ends of confint(glm(distress ~ temp, binomial)) for temp, and the difference of its null
# and residual deviance with the p-value, to more digits.
REFERENCE = {
    "profile interval": (-0.51543254, -0.06078626),
    "likelihood ratio": 7.951960,
    "p-value": 0.004804,
}


@gen
def flights(temp):
    return bernoulli(logits=param("intercept") + param("slope") * temp) @ "distress"


@gen
def same_risk(temp):
    return bernoulli(logits=param("intercept"), size=len(temp)) @ "distress"


def main(plot=None):
    """Report the study; with `plot`, a path, also draw the curve and the profile of its slope."""
    for function in (flights, same_risk):
        init_param(function, "intercept", 0.0)
    init_param(flights, "slope", 0.0)

    table = oring()
    args, data = (table["temp"],), {"distress": table["distress"]}
    result, null = fit(flights, args, data), fit(same_risk, args, data)
    print(result.summary())
    check_fit(result, table.fits["logit"])

    test = result.lr_test(null)
    print(f"\nDoes the risk depend on temperature?\n\n{test}\n")

    risk = result.predict((CHALLENGER,))["distress"]
    low, high = risk.conf_int()
    print(f"At 31 F the risk is {risk.mean:.4f}, with a 95% interval from {low:.2f} to {high:.2f};")
    print(f"but the coldest flight of the data was at {table['temp'].min():.0f} F.\n")

    found = {
        "profile interval": result.profile("slope").conf_int(),
        "likelihood ratio": test.statistic,
        "p-value": test.p_value,
    }
    compare(found, REFERENCE, tolerance=1e-6)
    if plot:
        draw(result, args[0], data["distress"], plot)
    return {**found, "risk": float(risk.mean), "low": float(low), "high": float(high)}


def draw(result, temp, distress, path):
    with picture(path, panels=2) as (left, right):
        plot_curve(result, np.linspace(30.0, 82.0, 200), observed=(temp, distress), ax=left)
        left.set(xlabel="degrees Fahrenheit at launch", ylabel="risk of distress")
        plot_profile(result, "slope", ax=right)


if __name__ == "__main__":
    main(plot=plot_path(__doc__))
