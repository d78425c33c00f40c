"""The level of the Nile: a state space model, fitted by the errors of its predictions.

    flow of a year ~ normal(level, sqrt(var_eps))      change of level ~ normal(0, sqrt(var_eta))

Kalman's filter sums out the levels. Given the flows before it, the flow of a year is normal around
the prediction of the level, with variance F, so that each year is one choice. The first flow gives
the first prediction, as if nothing was known before it. Takes a second.

Reference: Durbin and Koopman, 2001, Time Series Analysis by State Space Methods, Oxford, chapter 2.
"""

from checking import check_fit, compare

from genparams import fit, gen, init_param, normal, param, positive
from genparams.datasets import nile

# Durbin and Koopman print 0.0973 and 798.37.
REFERENCE = {"signal to noise": 0.0973, "forecast": 798.37}


@gen
def local_level(first, years):
    """One choice for each year after the first; returns the levels predicted for these years."""
    var_eps, var_eta = param("var_eps"), param("var_eta")
    level, variance, predicted = first, var_eps + var_eta, []
    for t in range(1, years):
        predicted.append(level)
        F = variance + var_eps
        y = normal(level, F**0.5) @ ("y", t)
        gain = variance / F
        level = level + gain * (y - level)
        variance = variance * (1.0 - gain) + var_eta
    return predicted


def signal_to_noise(theta):
    return theta["var_eta"] / theta["var_eps"]


def main(draws=200):
    """Fit the two variances, and forecast the next flow; `draws` are for the interval of that."""
    init_param(local_level, "var_eps", 10000.0, constraint=positive)
    init_param(local_level, "var_eta", 1000.0, constraint=positive)

    table = nile()
    first, *flows = table["flow"]
    data = {("y", t): y for t, y in enumerate(flows, start=1)}
    result = fit(local_level, (first, len(table["flow"])), data)
    print(result.summary())
    check_fit(result, table.fits["local_level"])

    ratio = result.derive(signal_to_noise, constraint=positive)
    print(f"\n{ratio}\n\n{ratio.conf_int()}\n")
    years = len(table["flow"])
    forecast = result.predict((first, years + 1), constraints=data, draws=draws, rng=0)["y", years]
    low, high = forecast.interval()
    print(
        f"The flow of 1971 is forecast as {forecast.mean:.0f}, between {low:.0f} and {high:.0f}\n"
    )
    found = {"signal to noise": ratio.estimates, "forecast": float(forecast.mean)}
    compare(found, REFERENCE, tolerance=5e-5)
    return {**result.estimates, **found}


if __name__ == "__main__":
    main()
