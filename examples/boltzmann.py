"""A restricted Boltzmann machine that learns handwritten digits and their labels.

    p(x, y, h) = exp(-E) / Z,   E(x, y, h) = -b x - c h - h W x - y U h

x are the N pixels of an image, y one unit for each of the ten labels, h are Nh hidden units, and
every unit is 0 or 1. No model is run and no trace is kept: the parameters are in a `ParamStore` of
their own, and their gradients, derived by hand, go to `update.apply(grads=...)`.

    b (N)       how often a pixel is black         W (Nh, N)    between hidden units and pixels
    c (Nh)      how often a hidden unit is on      U (10, Nh)   between labels and hidden units

A label needs no bias, because all ten are equally frequent.

The gradient of log p(x, y) is the mean of -dE/dtheta over h given the data, minus its mean over the
whole model. The second mean cannot be computed for many units: contrastive divergence takes it over
samples that are one step of Gibbs sampling away from the data. For a machine with few units, the
same lines with the exact mean are checked against a difference. For the digits, the check is the
share of unseen images that get the right label. Takes a few seconds, and needs scikit-learn for
the images.

References: Hinton, 2002, Neural Computation 14, 1771-1800; Larochelle and Bengio, 2008,
"Classification using discriminative restricted Boltzmann machines", ICML.
"""

from itertools import product

import numpy as np
from checking import compare
from scipy.special import expit

from genparams import ADAM, ParamStore, ParamUpdate

LABELS = 10


def start(N, Nh, labels, rng, spread=0.01):
    """A store in which b and c are 0 and the weights are small and random."""
    return ParamStore(
        b=np.zeros(N),
        c=np.zeros(Nh),
        W=spread * rng.standard_normal((Nh, N)),
        U=spread * rng.standard_normal((labels, Nh)),
    )


def values(theta):
    return (theta[name].value for name in ("b", "c", "W", "U"))


def hidden(theta, x, y):
    """p(h = 1 | x, y), one row for each row of x and y."""
    _, c, W, U = values(theta)
    return expit(c + x @ W.T + y @ U)


def gibbs(theta, x, y, rng):
    """Draw the hidden units given x and y, and then x and y given the hidden units."""
    b, _, W, U = values(theta)
    h = coin(rng, hidden(theta, x, y))
    return coin(rng, expit(b + h @ W)), coin(rng, expit(h @ U.T))


def coin(rng, p):
    return (rng.random(p.shape) < p).astype(float)


def slopes(theta, x, y, weights):
    """The weighted sum of E[-dE/dtheta | x, y] over the rows of x and y."""
    h = hidden(theta, x, y)
    of = weights[:, np.newaxis]
    return {"b": weights @ x, "c": weights @ h, "W": (of * h).T @ x, "U": (of * y).T @ h}


def gradients(theta, data, model):
    """The gradient of the mean log p(x, y): `data` and `model` are each rows and their weights."""
    up, down = slopes(theta, *data), slopes(theta, *model)
    return {name: up[name] - down[name] for name in up}


def log_unnormalised(theta, x, y):
    """log sum_h exp(-E(x, y, h)), for each row of x and y."""
    b, c, W, U = values(theta)
    return x @ b + np.logaddexp(0.0, c + x @ W.T + y @ U).sum(axis=1)


def classify(theta, x):
    """The most likely label: in turn one of the label units is on."""
    units = np.eye(LABELS)
    each = [log_unnormalised(theta, x, np.tile(y, (len(x), 1))) for y in units]
    return np.argmax(each, axis=0)


def main(Nh=100, epochs=80, batch=100, seed=0):
    """Train `Nh` hidden units on 1500 of the digits and name the other 297."""
    rng = np.random.default_rng(seed)
    exact, difference = slopes_of_a_small_machine(rng)
    compare({"slope": exact}, {"slope": difference}, 1e-8)

    x, label = digits(rng)
    y = (label[:, np.newaxis] == np.arange(LABELS)).astype(float)
    theta = start(x.shape[1], Nh, LABELS, rng)
    update = ParamUpdate(ADAM(0.01), theta)
    weights = np.full(batch, 1.0 / batch)
    for _ in range(epochs):
        for rows in rng.permutation(1500).reshape(-1, batch):
            data = x[rows], y[rows]
            model = gibbs(theta, *data, rng)
            update.apply(grads=gradients(theta, (*data, weights), (*model, weights)))

    right = classify(theta, x) == label
    trained, unseen = np.mean(right[:1500]), np.mean(right[1500:])
    print(f"right labels: {trained:.1%} of the trained images, {unseen:.1%} of the others")
    if unseen < 0.9:
        raise SystemExit("less than 90% is right: this needs more epochs")
    return unseen


def digits(rng):
    """1797 images of 8 by 8 pixels, each black or white, and their labels, shuffled."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise SystemExit("the images come with scikit-learn: pip install scikit-learn") from None
    grey, label = map(np.asarray, load_digits(return_X_y=True))
    order = rng.permutation(len(label))
    return (grey[order] >= 8.0).astype(float), label[order]


def slopes_of_a_small_machine(rng, N=4, Nh=3, labels=2, step=1e-5):
    """The slope of the mean log p along a random direction: by hand, and as a difference."""
    states = np.array(list(product((0.0, 1.0), repeat=N + labels)))
    every = states[:, :N], states[:, N:]
    theta = start(N, Nh, labels, rng, spread=1.0)
    along = {name: rng.standard_normal(p.value.shape) for name, p in theta.items()}
    seen = rng.dirichlet(np.ones(len(states)))  # a data set in which each state has a share

    def log_p(move=0.0):
        there = {n: p.value + move * along[n] for n, p in theta.items()}
        f = log_unnormalised(ParamStore(there), *every)
        return f - np.logaddexp.reduce(f)

    by_hand = gradients(theta, (*every, seen), (*every, np.exp(log_p())))
    slope = sum(np.sum(g * along[name]) for name, g in by_hand.items())
    return slope, seen @ (log_p(step) - log_p(-step)) / (2.0 * step)


if __name__ == "__main__":
    main()
