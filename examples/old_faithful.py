"""A mixture of two normals: how long one waits for Old Faithful.

    waiting ~ weights[0] normal(means[0], stds[0]) + weights[1] normal(means[1], stds[1])

fitted by maximum likelihood to 272 waits in two ways: by a loop of gradients and ADAM, which you can
interleave with anything else, and by `fit`, which needs no learning rate, ends by itself, and has
standard errors. `simplex` keeps the weights positive with sum 1, `ordered` keeps the components
from changing places, `positive` keeps the standard deviations above zero. Takes less than a second,
and two more for the picture.

    python examples/old_faithful.py --plot old_faithful.png
"""

import numpy as np
from checking import check_fit, compare
from pictures import picture, plot_path

from genparams import (
    ADAM,
    ParamUpdate,
    cosine_decay,
    fit,
    gen,
    get_param,
    init_param,
    mixture,
    normal,
    ordered,
    param,
    positive,
    simplex,
)
from genparams.datasets import ReferenceFit, faithful
from genparams.plotting import plot_mixture

NAMES = ("weights", "means", "stds")


@gen
def geyser(n):
    components = normal(param("means"), param("stds"))
    return mixture(param("weights"), components, size=n) @ "waiting"


def main(steps=600, plot=None):
    """Fit the mixture twice; with `plot`, a path, also draw its density over the waits."""
    table = faithful()
    reference, waiting = by_entry(table.fits["mixture"]), table["waiting"]
    known = {name: reference.estimates[name] for name in NAMES}
    known["log_likelihood"] = reference.log_likelihood

    print(f"ADAM, {steps} steps and as many gradients:\n")
    compare(by_steps(waiting, steps), known)

    start()
    result = fit(geyser, (len(waiting),), {"waiting": waiting})
    if plot:
        with picture(plot) as ax:
            plot_mixture(result, ax=ax)
            ax.set(xlabel="minutes until the next eruption", title="Old Faithful")
    print(f"\nfit, {result.evaluations} evaluations:\n\n{result.summary()}")
    check_fit(result, reference)
    return {**result.estimates, "log_likelihood": result.log_likelihood}


def start():
    init_param(geyser, "weights", [0.5, 0.5], constraint=simplex)
    init_param(geyser, "means", [50.0, 90.0], constraint=ordered)
    init_param(geyser, "stds", [10.0, 10.0], constraint=positive)


def by_steps(waiting, steps):
    """The estimates by a loop of gradients and updates."""
    start()
    trace, _ = geyser.generate((len(waiting),), {"waiting": waiting})
    update = ParamUpdate(ADAM(cosine_decay(0.3, steps)), geyser)
    for _ in range(steps):
        trace.accumulate_param_gradients()
        update.apply()
    found = {name: get_param(geyser, name) for name in NAMES}
    return {**found, "log_likelihood": trace.rescored().log_prob}


def by_entry(fit):
    """The reference fit of the mixture, with the parameters of `geyser`."""
    return ReferenceFit(
        fit.model,
        arranged(fit.estimates, 1.0 - fit.estimates["share"]),
        arranged(fit.std_errors, fit.std_errors["share"]),
        fit.log_likelihood,
        fit.printed,
    )


def arranged(values, other_share):
    return {
        "weights": np.array([values["share"], other_share]),
        "means": np.array([values["mean1"], values["mean2"]]),
        "stds": np.array([values["std1"], values["std2"]]),
    }


if __name__ == "__main__":
    main(plot=plot_path(__doc__))
