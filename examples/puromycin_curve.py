"""A saturating curve: how fast an enzyme works, given the concentration of what it works on.

    rate ~ normal(Vm conc / (K + conc), sigma)         Michaelis and Menten, 1913

fitted by maximum likelihood to 12 reactions in cells treated with puromycin. A chemist asks for
functions of the parameters: the slope Vm / K at low concentrations, and the rate at 0.5 parts per
million. Each has a standard error by the delta method. Takes less than a second, and a second more
for the picture.

    python examples/puromycin_curve.py --plot puromycin.png
"""

import numpy as np
from checking import check_fit, compare
from pictures import picture, plot_path

from genparams import fit, gen, init_param, normal, param, positive
from genparams.datasets import puromycin
from genparams.plotting import plot_curve, plot_residuals

# The model with these two as its parameters, fitted by Newton's method without genparams: estimates
# and standard errors.
REFERENCE = {
    "slope": (3316.897877973581, 337.8133346577098),
    "rate at 0.5": (188.50888102338155, 4.072522897063373),
}


@gen
def reaction(conc):
    return normal(rate(param("Vm"), param("K"), conc), param("sigma")) @ "rate"


def rate(Vm, K, conc):
    return Vm * conc / (K + conc)


def wanted(theta):
    Vm, K = theta["Vm"], theta["K"]
    return {"slope": Vm / K, "rate at 0.5": rate(Vm, K, 0.5)}


def main(plot=None):
    """Fit the curve; with `plot`, a path, also draw it, and the residuals."""
    init_param(reaction, "Vm", 150.0, constraint=positive)
    init_param(reaction, "K", 0.1, constraint=positive)
    init_param(reaction, "sigma", 20.0, constraint=positive)

    table = puromycin()
    treated = table["state"] == "treated"
    conc, rates = table["conc"][treated], table["rate"][treated]
    result = fit(reaction, (conc,), {"rate": rates})
    print(result.summary())
    check_fit(result, table.fits["treated"])

    derived = result.derive(wanted, constraint=positive)
    print(f"\n{derived}\n\n{derived.conf_int()}\n")
    found = {n: (derived.estimates[n], derived.std_errors[n]) for n in REFERENCE}
    compare(found, REFERENCE)
    if plot:
        with picture(plot, panels=2) as (left, right):
            plot_curve(result, np.linspace(0.01, 1.2, 200), observed=(conc, rates), ax=left)
            left.set(xlabel="parts per million", ylabel="counts per minute per minute")
            plot_residuals(result, ax=right)
    return found


if __name__ == "__main__":
    main(plot=plot_path(__doc__))
