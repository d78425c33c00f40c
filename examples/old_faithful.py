"""A mixture of two normals: how long one waits for Old Faithful.

    waiting ~ weights[0] normal(means[0], stds[0]) + weights[1] normal(means[1], stds[1])

fitted by maximum likelihood to 272 waits. The constraints do the bookkeeping: `simplex` keeps the
weights a distribution, `ordered` keeps the components from changing places, `positive` keeps the
standard deviations above zero. Takes less than a second, and a few more for the picture.

    python examples/old_faithful.py --plot old_faithful.png
"""

import argparse
import time

import numpy as np

from genparams import (
    ADAM,
    ParamUpdate,
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
STAGES = ((0.3, 500), (0.03, 500))


@gen
def geyser(n):
    stays = normal(param("means"), param("stds"))
    return mixture(param("weights"), stays, size=n) @ "waiting"


def main(stages=STAGES, plot=None):
    """Fit the mixture; `stages` holds pairs of a learning rate and a number of steps.

    With `plot`, a path, also draw the data under the fitted density.
    """
    start = time.perf_counter()
    init_param(geyser, "weights", [0.5, 0.5], constraint=simplex)
    init_param(geyser, "means", [50.0, 90.0], constraint=ordered)
    init_param(geyser, "stds", [10.0, 10.0], constraint=positive)

    waiting = faithful()["waiting"]
    trace, _ = geyser.generate((len(waiting),), {"waiting": waiting})
    for learning_rate, steps in stages:
        update = ParamUpdate(ADAM(learning_rate), geyser)
        for _ in range(steps):
            trace.accumulate_param_gradients()
            update.apply()

    found = {name: get_param(geyser, name) for name in ("weights", "means", "stds")}
    found["log_likelihood"], _ = geyser.assess(trace.args, trace.choices)
    report(found, time.perf_counter() - start)
    if plot:
        draw(waiting, found, plot)
    return found


def report(found, seconds):
    print(f"{'':16}{'genparams':>26}{'reference':>26}")
    for name, value in REFERENCE.items():
        print(f"{name:16}{row(found[name])}{row(value)}")
    print(f"in {seconds:.2f} seconds")
    if abs(found["log_likelihood"] - REFERENCE["log_likelihood"]) > 1e-4:
        raise SystemExit("the fit is not at the reference: it needs more steps")


def row(value):
    return f"{' '.join(f'{v:12.6f}' for v in np.atleast_1d(value)):>26}"


def draw(waiting, found, path):
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("the picture needs matplotlib: pip install genparams[examples] adds it")
        return
    x = np.linspace(waiting.min() - 5.0, waiting.max() + 5.0, 400)[:, np.newaxis]
    z = (x - found["means"]) / found["stds"]
    parts = found["weights"] * np.exp(-0.5 * z**2) / (found["stds"] * np.sqrt(2.0 * np.pi))

    figure = Figure(figsize=(7.0, 4.0), layout="constrained")
    axes = figure.add_subplot()
    bins = [41.5 + 3.0 * k for k in range(19)]
    axes.hist(waiting, bins, density=True, color="0.85", label="272 waits")
    for k, (part, colour) in enumerate(zip(parts.T, ("tab:blue", "tab:orange"), strict=True)):
        label = f"{found['weights'][k]:.2f} normal({found['means'][k]:.1f}, {found['stds'][k]:.1f})"
        axes.plot(x, part, "--", color=colour, label=label)
    axes.plot(x, parts.sum(axis=1), color="black", label="their mixture")
    axes.set(xlabel="minutes until the next eruption", ylabel="density", title="Old Faithful")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper left")
    figure.savefig(path, dpi=150)
    print(f"the picture is in {path}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Fit two normals to the waits for Old Faithful.")
    parser.add_argument("--plot", metavar="PATH", help="save a picture of the fit there")
    main(plot=parser.parse_args().plot)
