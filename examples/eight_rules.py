"""Eight rules climb one hill: the risk of a damaged O-ring, from the same start.

    distress ~ bernoulli(logits = a + b (temp - 53) / 10)

53 degrees is the coldest flight, at one end of the data, so that a and b pull against each other:
the likelihood is a slanting ridge, seven times as long as it is wide, and each rule has a way of
its own along it. It prints the steps after which the log-likelihood is within 0.01 of its maximum
for good, and how far from the maximum likelihood estimate each rule ends: 0.001 at most, or it is
an error. Takes less than a second, and two more for the picture.

    python examples/eight_rules.py --plot eight_rules.png
"""

import argparse
import time

import numpy as np

from genparams import (
    ADAM,
    SGD,
    AdaDelta,
    AdaGrad,
    Lion,
    Momentum,
    Nesterov,
    ParamStore,
    ParamUpdate,
    RMSProp,
    bernoulli,
    cosine_decay,
    gen,
    param,
)
from genparams.datasets import oring

# The estimates that R prints for glm(distress ~ temp, binomial), to more digits, carried over to
# (temp - 53) / 10; and the log-likelihood there.
SLOPE = -0.23216274421859662
MAXIMUM = np.array([15.04290164770245 + 53.0 * SLOPE, 10.0 * SLOPE])
LOG_LIKELIHOOD = -10.157596343933413


def rules(steps):
    """The steps of the last three do not shrink by themselves; a falling rate makes them."""
    return {
        "SGD": SGD(0.15),
        "Momentum": Momentum(0.03),
        "Nesterov": Nesterov(0.03),
        "AdaGrad": AdaGrad(0.6),
        "ADAM": ADAM(0.1),
        "AdaDelta": AdaDelta(cosine_decay(1.0, steps), epsilon=1e-4),
        "RMSProp": RMSProp(cosine_decay(0.03, steps)),
        "Lion": Lion(cosine_decay(0.03, steps), beta2=0.9),
    }


@gen
def flights(warmth):
    return bernoulli(logits=param("a") + param("b") * warmth) @ "distress"


def main(steps=500, plot=None):
    """Climb with each rule; with `plot`, a path, also draw their ways over the likelihood."""
    start = time.perf_counter()
    table = oring()
    warmth, distress = (table["temp"] - 53.0) / 10.0, table["distress"]
    climbs = {name: climb(rule, warmth, distress, steps) for name, rule in rules(steps).items()}
    found = {}
    for name, (path, heights) in climbs.items():
        below = np.flatnonzero(heights < LOG_LIKELIHOOD - 0.01)
        found[name] = below[-1] + 1, np.linalg.norm(path[-1] - MAXIMUM)
    report(found, time.perf_counter() - start)
    if plot:
        draw(climbs, warmth, distress, plot)
    return found


def climb(rule, warmth, distress, steps):
    """The way of a rule, shape (steps + 1, 2), and the log-likelihoods before each step."""
    theta = ParamStore(a=0.0, b=0.0)
    trace, _ = flights.with_params(theta).generate((warmth,), {"distress": distress})
    update = ParamUpdate(rule, theta)
    path, heights = [(0.0, 0.0)], []
    for _ in range(steps):
        log_likelihood, _ = trace.accumulate_param_gradients()
        update.apply()
        path.append((theta["a"].value, theta["b"].value))
        heights.append(log_likelihood)
    return np.array(path), np.array(heights)


def report(found, seconds):
    print(f"{'':10}{'steps':>8}{'distance from the reference':>32}")
    for name, (steps, distance) in found.items():
        print(f"{name:10}{steps:8}{distance:32.1e}")
    print(f"in {seconds:.2f} seconds")
    if any(distance > 1e-3 for _, distance in found.values()):
        raise SystemExit("not every rule is at the reference: it needs more steps")


def draw(climbs, warmth, distress, file):
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("the picture needs matplotlib: pip install genparams[examples] adds it")
        return
    a, b = np.meshgrid(np.linspace(-1.0, 4.5, 120), np.linspace(-3.5, 0.5, 120))
    logits = a[..., np.newaxis] + b[..., np.newaxis] * warmth
    heights = np.sum(distress * logits - np.logaddexp(0.0, logits), axis=-1)
    levels = LOG_LIKELIHOOD - np.array([16.0, 8.0, 4.0, 2.0, 1.0, 0.3])

    figure = Figure(figsize=(10.0, 5.5), layout="constrained")
    panels = figure.subplots(2, 4, sharex=True, sharey=True)
    for axes, (name, (path, _)) in zip(panels.flat, climbs.items(), strict=True):
        axes.contour(a, b, heights, levels, colors="0.75", linewidths=0.8, linestyles="solid")
        axes.plot(*path.T, ".-", color="tab:blue", markersize=3.0, linewidth=0.8)
        axes.plot(*MAXIMUM, "+", color="tab:red", markersize=10.0)
        axes.set(title=name, xlim=(-1.0, 4.5), ylim=(-3.5, 0.5))
    figure.supxlabel("a")
    figure.supylabel("b")
    figure.savefig(file, dpi=150)
    print(f"the picture is in {file}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Fit one model by eight rules.")
    parser.add_argument("--plot", metavar="FILE", help="save a picture of their ways there")
    main(plot=parser.parse_args().plot)
