"""Times between failures of an air-conditioning system: is the risk of a failure constant?

    hours ~ exponential(1 / mean)              a constant risk
    hours ~ gamma(shape, scale=mean / shape)   a risk that rises (shape > 1) or falls (shape < 1)

Both are fitted by maximum likelihood to 12 times from one aeroplane. The exponential is the gamma
of shape 1, so the likelihood-ratio test has one degree of freedom. Takes less than a second, and a
second more for the picture.

    python examples/air_conditioning.py --plot air_conditioning.png
"""

from checking import check_fit, compare
from pictures import picture, plot_path

from genparams import exponential, fit, gamma, gen, init_param, param, positive, reporting
from genparams.datasets import aircondit
from genparams.plotting import plot_qq

# Twice the difference of the log likelihoods of the two reference fits, and its tail of chi-square.
REFERENCE = {"likelihood ratio": 1.09881172, "p-value": 0.294527}


@gen
def constant_risk(n):
    return exponential(1.0 / param("mean"), size=n) @ "hours"


@gen
def changing_risk(n):
    shape = param("shape")
    return gamma(shape, scale=param("mean") / shape, size=n) @ "hours"


def main(plot=None):
    """Fit both; with `plot`, a path, also draw the quantiles of the residuals of both."""
    init_param(changing_risk, "shape", 1.0, constraint=positive)
    for function in (constant_risk, changing_risk):
        init_param(function, "mean", 100.0, constraint=positive)

    table = aircondit()
    args, data = (len(table["hours"]),), {"hours": table["hours"]}
    constant, changing = fit(constant_risk, args, data), fit(changing_risk, args, data)
    for result, name in ((constant, "exponential"), (changing, "gamma")):
        print(result.summary())
        check_fit(result, table.fits[name])
        print()

    test = changing.lr_test(constant)
    print(reporting.compare({"exponential": constant, "gamma": changing}))
    print(f"\n{test}\n\nThe data do not speak against a constant risk.\n")
    found = {"likelihood ratio": test.statistic, "p-value": test.p_value}
    compare(found, REFERENCE, tolerance=1e-6)
    if plot:
        with picture(plot, panels=2) as axes:
            for ax, result in zip(axes, (constant, changing), strict=True):
                plot_qq(result, ax=ax).set(title=result.function)
    return {**found, "aic": (constant.aic, changing.aic)}


if __name__ == "__main__":
    main(plot=plot_path(__doc__))
