"""Finding a learning rate: the range test, on how long one waits for Old Faithful.

    waiting ~ normal(intercept + slope (eruptions - 3), 6)

Minibatches at greater and greater rates show where the loss falls fastest and where it diverges.
Then training starts again at the rate of the fastest fall: up to it in a warm-up, down along a
cosine. The estimates are checked against least squares, to a tenth of their standard errors.
Gradient descent is unstable at rates above 2 / (the greatest curvature of the loss). The test sees
this only after the loss has grown, so it must stop between one and three times that rate. Takes
less than a second.

Reference: Smith, 2017, https://arxiv.org/abs/1506.01186, section 3.3.
"""

import numpy as np
from checking import compare

from genparams import (
    SGD,
    ParamUpdate,
    cosine_decay,
    gen,
    get_param,
    init_param,
    normal,
    param,
    train,
)
from genparams.datasets import faithful

NOISE = 6.0  # minutes; the estimates are the same for any
RATES = np.geomspace(1e-2, 1e3, 150)
BATCH = 16
WINDOW = 15  # losses that are averaged, since each minibatch has its own


@gen
def waits(x):
    return normal(param("intercept") + param("slope") * x, NOISE) @ "waiting"


def main(epochs=100, seed=0):
    """Find a rate, then train at it for so many passes through the data."""
    rng = np.random.default_rng(seed)
    x, y = faithful()["eruptions"] - 3.0, faithful()["waiting"]

    data = (x,), {"waiting": y}
    fastest, diverged = range_test(data, rng)
    steps = epochs * len(y) // BATCH
    warmup = steps // 10
    update = begin(cosine_decay(fastest, steps - warmup, warmup=warmup))
    train(waits, data, update, epochs=epochs, batch_size=BATCH, reduction="mean", rng=rng)

    design = np.stack([np.ones_like(x), x], axis=1)
    estimates, (squares,), _, _ = np.linalg.lstsq(design, y)
    errors = np.sqrt(np.diag(np.linalg.inv(design.T @ design)) * squares / len(y))
    unstable = 2.0 / np.linalg.eigvalsh(design.T @ design / (len(y) * NOISE**2))[-1]
    print(f"the loss falls fastest at a rate of {fastest:.2f}, and has diverged at {diverged:.1f};")
    print(f"gradient descent is unstable above {unstable:.1f}; the error in standard errors:")
    found = np.array([get_param(waits, "intercept"), get_param(waits, "slope")])
    compare({"error": (found - estimates) / errors}, {"error": (0.0, 0.0)}, 0.1, more="epochs")
    if not 1.0 < diverged / unstable < 3.0:
        raise SystemExit("the rate of divergence is not where the theory says")
    return {"estimates": found, "fastest": fastest, "diverged": diverged}


def begin(learning_rate):
    init_param(waits, "intercept", 0.0)
    init_param(waits, "slope", 0.0)
    return ParamUpdate(SGD(learning_rate), waits)


def range_test(data, rng):
    """The rate of the fastest fall between windows, and the rate at four times the least loss."""
    update, losses, means = begin(RATES[0]), [], []

    def raise_the_rate(event):
        losses.append(-event.log_prob)
        means.append(np.mean(losses[-WINDOW:]))
        if means[-1] > 4.0 * min(means):
            event.stop("the loss has diverged")
        elif event.step < len(RATES):
            update.learning_rate = float(RATES[event.step])

    options = {"steps": len(RATES), "batch_size": BATCH, "reduction": "mean", "rng": rng}
    train(waits, data, update, callbacks=[raise_the_rate], **options)
    change = np.subtract(means[2 * WINDOW - 1 :], means[WINDOW - 1 : -WINDOW])
    return RATES[WINDOW + np.argmin(change)], update.learning_rate


if __name__ == "__main__":
    main()
