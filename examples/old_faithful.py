"""A mixture of two normals: how long one waits for Old Faithful.

    waiting ~ weights[0] normal(means[0], stds[0]) + weights[1] normal(means[1], stds[1])

fitted by maximum likelihood to 272 waits in two ways: by `train`, which takes steps of a rule along
gradients, and by `fit`, which needs no learning rate, ends by itself, and gives standard errors.
`simplex` keeps the weights positive with sum 1, `ordered` keeps the components from changing
places, `positive` keeps the standard deviations above zero. Takes a second, and two more for the
picture.

    python examples/old_faithful.py --plot old_faithful.png
"""

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
    train,
)
from genparams.datasets import faithful
from genparams.plotting import plot_mixture

ENTRIES = {
    "share": "weights[0]",
    "mean1": "means[0]",
    "mean2": "means[1]",
    "std1": "stds[0]",
    "std2": "stds[1]",
}
"""The entry of the parameters for each name of the reference fit."""


@gen
def geyser(n):
    components = normal(param("means"), param("stds"))
    return mixture(param("weights"), components, size=n) @ "waiting"


def main(steps=600, plot=None):
    """Fit the mixture twice; with `plot`, a path, also draw its density over the waits."""
    table = faithful()
    reference, waiting = table.fits["mixture"], table["waiting"]

    print(f"ADAM, {steps} steps and as many gradients:\n")
    found = by_steps(waiting, steps)
    compare(found, {**reference.estimates, "log_likelihood": reference.log_likelihood})

    start()
    result = fit(geyser, (len(waiting),), {"waiting": waiting})
    if plot:
        with picture(plot) as ax:
            plot_mixture(waiting, result, ax=ax)
            ax.set(xlabel="minutes until the next eruption", title="Old Faithful")
    print(f"\nfit, {result.evaluations} evaluations:\n\n{result.summary()}")
    check_fit(result, reference, ENTRIES)
    return found, result


def start():
    init_param(geyser, "weights", [0.5, 0.5], constraint=simplex)
    init_param(geyser, "means", [50.0, 90.0], constraint=ordered)
    init_param(geyser, "stds", [10.0, 10.0], constraint=positive)


def by_steps(waiting, steps):
    """The estimates by steps along gradients."""
    start()
    data = (len(waiting),), {"waiting": waiting}
    update = ParamUpdate(ADAM(cosine_decay(0.3, steps)), geyser)
    train(geyser, data, update, steps=steps)
    weights, means, stds = (get_param(geyser, name) for name in ("weights", "means", "stds"))
    found = [weights[0], *means, *stds, geyser.assess(*data)[0]]
    return dict(zip([*ENTRIES, "log_likelihood"], found, strict=True))


if __name__ == "__main__":
    main(plot=plot_path(__doc__))
