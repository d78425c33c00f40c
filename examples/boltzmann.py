"""A restricted Boltzmann machine that learns handwritten digits and what they are called.

    p(x, y, h) = exp(-E) / Z,   E(x, y, h) = -b x - c h - h W x - y U h

x are the N pixels of an image, y one unit for each of the ten labels, h are Nh hidden units, and
every unit is 0 or 1. No model is run and no trace is kept: the parameters are in a bare
`ParamStore`, and their gradients, worked out by hand, go to `update.apply(grads=...)`.

    b (N)       how often a pixel is black         W (Nh, N)    between hidden units and pixels
    c (Nh)      how often a hidden unit is on      U (10, Nh)   between labels and hidden units

A label needs no bias of its own, as all ten are as frequent.

A gradient of log p(x, y) is the mean of -dE/dtheta over h given the data, less its mean over the
whole model. The second mean is out of reach, so that contrastive divergence takes it over samples
that are one step of Gibbs sampling away from the data. On a machine small enough to enumerate, the
same lines with the exact mean are checked against differences; on the digits, the share of unseen
images that get the right label is. Takes a few seconds, and needs scikit-learn for the images.

References: Hinton, 2002, Neural Computation 14, 1771-1800; Larochelle and Bengio, 2008,
"Classification using discriminative restricted Boltzmann machines", ICML.
"""

import time
from itertools import product

import numpy as np
from scipy.special import expit

from genparams import ADAM, ParamStore, ParamUpdate

LABELS = 10
GOAL = 0.9


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
    """x and y after one step: the hidden units are drawn given both, and then both given those."""
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
    """The likeliest label: each in turn is the one label unit that is on."""
    units = np.eye(LABELS)
    each = [log_unnormalised(theta, x, np.tile(y, (len(x), 1))) for y in units]
    return np.argmax(each, axis=0)


def main(Nh=100, epochs=80, batch=100, seed=0):
    """Train `Nh` hidden units on 1500 of the digits and name the other 297."""
    began = time.perf_counter()
    rng = np.random.default_rng(seed)
    error = exact_gradient_error(rng)
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

    found = {
        "trained": np.mean(classify(theta, x[:1500]) == label[:1500]),
        "unseen": np.mean(classify(theta, x[1500:]) == label[1500:]),
        "gradient_error": error,
    }
    report(found, time.perf_counter() - began)
    return found


def digits(rng):
    """1797 images of 8 by 8 pixels, each black or white, and their labels, shuffled."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise SystemExit("the images come with scikit-learn: pip install scikit-learn") from None
    grey, label = map(np.asarray, load_digits(return_X_y=True))
    order = rng.permutation(len(label))
    return (grey[order] >= 8.0).astype(float), label[order]


def exact_gradient_error(rng, N=4, Nh=3, labels=2):
    """How far the gradient by hand is from differences, with the model's mean exact."""
    states = np.array(list(product((0.0, 1.0), repeat=N + labels)))
    every = states[:, :N], states[:, N:]
    theta = start(N, Nh, labels, rng, spread=1.0)
    seen = rng.dirichlet(np.ones(len(states)))  # a data set in which each state has a share

    def mean_log_p():
        f = log_unnormalised(theta, *every)
        return seen @ (f - np.logaddexp.reduce(f))

    f = log_unnormalised(theta, *every)
    p = np.exp(f - np.logaddexp.reduce(f))
    by_hand = gradients(theta, (*every, seen), (*every, p))
    errors = []
    for name, g in by_hand.items():
        at = theta[name].value
        for place in np.ndindex(at.shape):
            step = np.zeros(at.shape)
            step[place] = 1e-5
            theta[name].set(at + step)
            ahead = mean_log_p()
            theta[name].set(at - step)
            errors.append(abs(g[place] - (ahead - mean_log_p()) / 2e-5))
        theta[name].set(at)
    return max(errors)


def report(found, seconds):
    print(f"gradients by hand and by differences differ by {found['gradient_error']:.1g}")
    print(f"{'':24}{'genparams':>12}{'goal':>8}")
    print(f"{'right, of those trained':24}{found['trained']:12.4f}")
    print(f"{'right, of those unseen':24}{found['unseen']:12.4f}{GOAL:8.2f}")
    print(f"in {seconds:.2f} seconds")
    if found["gradient_error"] > 1e-8:
        raise SystemExit("the gradient by hand is wrong")
    if found["unseen"] < GOAL:
        raise SystemExit("the machine is not at the goal: it needs more epochs")


if __name__ == "__main__":
    main()
