"""A mixture of two normals: how long one waits for Old Faithful.

    waiting ~ weights[0] normal(means[0], stds[0]) + weights[1] normal(means[1], stds[1])

fitted by maximum likelihood to 272 waits. `simplex` keeps the weights positive with sum 1,
`ordered` keeps the components from changing places, `positive` keeps the standard deviations above
zero. Takes less than a second, and a few more for the picture.

    python examples/old_faithful.py --plot old_faithful.png
"""

import argparse

import numpy as np
from checking import compare

from genparams import (
    ADAM,
    ParamUpdate,
    cosine_decay,
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
from genparams.datasets import faithful

# Benaglia, Chauveau, Hunter and Young, 2009, "mixtools", Journal of Statistical Software 32 (6),
# print .361 .639, 54.6149 80.0911, 5.8712 5.8677 and -1034.00; these are more digits of that fit.
REFERENCE = {
    "weights": (0.360886074, 0.639113926),
    "means": (54.614856141, 80.091069403),
    "stds": (5.871219412, 5.867734424),
    "log_likelihood": -1034.0017498316079,
}


@gen
def geyser(n):
    components = normal(param("means"), param("stds"))
    return mixture(param("weights"), components, size=n) @ "waiting"


def main(steps=600, plot=None):
    """Fit the mixture; with `plot`, a path, also draw the data under the fitted density."""
    init_param(geyser, "weights", [0.5, 0.5], constraint=simplex)
    init_param(geyser, "means", [50.0, 90.0], constraint=ordered)
    init_param(geyser, "stds", [10.0, 10.0], constraint=positive)

    waiting = faithful()["waiting"]
    trace, _ = geyser.generate((len(waiting),), {"waiting": waiting})
    update = ParamUpdate(ADAM(cosine_decay(0.3, steps)), geyser)
    for _ in range(steps):
        trace.accumulate_param_gradients()
        update.apply()

    found = {name: get_param(geyser, name) for name in ("weights", "means", "stds")}
    found["log_likelihood"] = trace.rescored().log_prob
    compare(found, REFERENCE)
    if plot:
        draw(waiting, found, plot)
    return found


def draw(waiting, found, path):
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("the picture needs matplotlib: pip install genparams[examples] adds it")
        return
    x = np.linspace(waiting.min() - 5.0, waiting.max() + 5.0, 400)[:, np.newaxis]
    components = found["weights"] * np.exp(normal.log_probs(x, found["means"], found["stds"]))

    figure = Figure(figsize=(7.0, 4.0), layout="constrained")
    axes = figure.add_subplot()
    axes.hist(waiting, bins=18, density=True, color="0.85", label="272 waits")
    axes.plot(x, components, "--", label=["first component", "second component"])
    axes.plot(x, components.sum(axis=1), color="black", label="their mixture")
    axes.set(xlabel="minutes until the next eruption", ylabel="density", title="Old Faithful")
    axes.legend(frameon=False, loc="upper left")
    figure.savefig(path, dpi=150)
    print(f"the picture is in {path}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Fit two normals to the waits for Old Faithful.")
    parser.add_argument("--plot", metavar="PATH", help="save a picture of the fit there")
    main(plot=parser.parse_args().plot)
