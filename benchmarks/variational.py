"""A step of variational inference, over the same step written by hand in numpy.

    python benchmarks/variational.py

A step draws from the guide, takes the gradient of the ELBO by the pathwise estimator and moves the
parameters by ADAM. By hand the gradient is written out, with the same draws in the same order. The
regression is trained by `black_box_vi`, the autoencoder by the loop in the open, as one would with
minibatches.
"""

from bench import ratio  # before numpy

# isort: split
from collections.abc import Callable

import numpy as np
from by_hand import HALF_LOG_TWO_PI, adam
from scipy import special

from genparams import (
    ADAM,
    ParamUpdate,
    accumulate_elbo_gradients,
    bernoulli,
    black_box_vi,
    gen,
    init_param,
    normal,
    param,
    positive,
)

Step = Callable[[], float]
STEPS = 50
"""Steps in one run that is measured."""


# --- Bayesian linear regression


@gen
def regression(x):
    w = normal(0.0, 1.0, size=x.shape[1]) @ "w"
    normal(x @ w, 0.5) @ "y"


@gen
def weights():
    normal(param("mean"), param("std")) @ "w"


def regression_data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, 10))
    return x, x @ rng.normal(size=10) + 0.5 * rng.normal(size=1000)


def regression_steps(x, y) -> Step:
    """Steps by the loop of the library; the last estimate."""
    init_param(weights, "mean", np.zeros(10))
    init_param(weights, "std", np.ones(10), constraint=positive)
    update, rng = ParamUpdate(ADAM(0.01), weights), np.random.default_rng(1)

    def steps():
        history = black_box_vi(
            regression, (x,), {"y": y}, weights, (), update, steps=STEPS, rng=rng
        )
        return history.log_prob[-1]

    return steps


def regression_by_hand(x, y) -> Step:
    theta, rng = np.zeros(20), np.random.default_rng(1)
    apply = adam(theta)
    constant = len(y) * (np.log(0.5) + HALF_LOG_TWO_PI)

    def step():
        mean, log_std = theta[:10], theta[10:]
        std = np.exp(log_std)
        z = rng.normal(size=10)
        w = mean + std * z
        off = (y - x @ w) / 0.5
        elbo = -0.5 * (off @ off) - constant - 0.5 * (w @ w) + 0.5 * (z @ z) + log_std.sum()
        by_w = x.T @ off / 0.5 - w
        apply(np.concatenate([by_w, by_w * std * z + 1.0]))
        return elbo

    return step


# --- A variational autoencoder on pictures of 64 pixels

SIZES = {"encoder": [(64, 64), (64, 40)], "decoder": [(20, 64), (64, 64)]}


@gen
def decoder(count):
    z = normal(0.0, 1.0, size=(count, 20)) @ "z"
    hidden = np.tanh(z @ param("w0") + param("b0"))
    bernoulli(logits=hidden @ param("w1") + param("b1")) @ "pixels"


@gen
def encoder(pixels):
    hidden = np.tanh(pixels @ param("w0") + param("b0"))
    code = hidden @ param("w1") + param("b1")
    normal(code[:, :20], np.exp(code[:, 20:])) @ "z"


def pictures():
    rng = np.random.default_rng(2)
    return (rng.random((128, 64)) < 0.3).astype(float)


def start():
    """The first values of all weights, by function and name."""
    rng = np.random.default_rng(3)
    found = {}
    for name, sizes in SIZES.items():
        for i, (m, n) in enumerate(sizes):
            found[name, f"w{i}"] = rng.normal(size=(m, n)) * np.sqrt(1.0 / m)
            found[name, f"b{i}"] = np.zeros(n)
    return found


def autoencoder_step(pixels) -> Step:
    for (name, parameter), value in start().items():
        init_param({"encoder": encoder, "decoder": decoder}[name], parameter, value)
    update, rng = ParamUpdate(ADAM(0.001), encoder, decoder), np.random.default_rng(4)
    observed = {"pixels": pixels == 1.0}
    count = len(pixels)

    def step():
        found = accumulate_elbo_gradients(decoder, (count,), observed, encoder, (pixels,), rng=rng)
        update.apply()
        return found

    return step


def autoencoder_by_hand(pixels) -> Step:
    values = start()
    theta = np.concatenate([v.ravel() for v in values.values()])
    apply, rng = adam(theta, 0.001), np.random.default_rng(4)
    ends = np.cumsum([v.size for v in values.values()])[:-1]
    shapes = [v.shape for v in values.values()]

    def step():
        parts = np.split(theta, ends)
        v0, a0, v1, a1, w0, b0, w1, b1 = (p.reshape(s) for p, s in zip(parts, shapes, strict=True))
        hidden = np.tanh(pixels @ v0 + a0)
        code = hidden @ v1 + a1
        mean, log_std = code[:, :20], code[:, 20:]
        std = np.exp(log_std)
        noise = rng.normal(size=mean.shape)
        z = mean + std * noise
        inner = np.tanh(z @ w0 + b0)
        logits = inner @ w1 + b1
        side = (2.0 * pixels - 1.0) * logits
        log_p = np.minimum(side, 0.0) - np.log1p(np.exp(-np.abs(side)))
        elbo = log_p.sum() - 0.5 * (z * z).sum() + 0.5 * (noise * noise).sum() + log_std.sum()

        by_logits = pixels - special.expit(logits)
        by_inner = (by_logits @ w1.T) * (1.0 - inner * inner)
        by_z = by_inner @ w0.T - z
        by_code = np.concatenate([by_z, by_z * std * noise + 1.0], axis=1)
        by_hidden = (by_code @ v1.T) * (1.0 - hidden * hidden)
        grads = [
            *(pixels.T @ by_hidden, by_hidden.sum(axis=0)),
            *(hidden.T @ by_code, by_code.sum(axis=0)),
            *(z.T @ by_inner, by_inner.sum(axis=0)),
            *(inner.T @ by_logits, by_logits.sum(axis=0)),
        ]
        apply(np.concatenate([g.ravel() for g in grads]))
        return elbo

    return step


# --- Checks, and the table


def repeated(step: Step) -> Step:
    """Several steps; the last estimate."""

    def steps():
        for _ in range(STEPS - 1):
            step()
        return step()

    return steps


def check_equal(ours: Step, theirs: Step, what: str) -> None:
    """Both give the same estimates, so that both do the same work."""
    mine, other = ([step() for _ in range(3)] for step in (ours, theirs))
    if not np.allclose(mine, other, rtol=1e-8):
        raise SystemExit(f"{what}: by hand the steps are others: {mine}, {other}")


def main(rounds: int = 100) -> dict[str, float]:
    x, y = regression_data()
    pixels = pictures()
    rows = [
        (
            "linear regression, 1000 x 10",
            lambda: regression_steps(x, y),
            lambda: repeated(regression_by_hand(x, y)),
        ),
        (
            "autoencoder, 64-64-20-64-64",
            lambda: repeated(autoencoder_step(pixels)),
            lambda: repeated(autoencoder_by_hand(pixels)),
        ),
    ]
    print("a step of variational inference, over the same step by hand")
    found = {}
    for what, make, make_by_hand in rows:
        check_equal(make(), make_by_hand(), what)
        found[what] = ratio(make(), make_by_hand(), rounds)
        print(f"  {what:32} {found[what]:6.2f}")
    return found


if __name__ == "__main__":
    main()
