"""A variational autoencoder of handwritten digits, by the loop in the open.

The model draws a code and from it an image of 64 black or white pixels; the guide reads an image
and guesses the code. Both are networks of one hidden layer, and are trained together:

    z ~ normal(0, 1)                                        20 numbers
    pixels ~ bernoulli(logits=tanh(z w0 + b0) w1 + b1)
    guide:  z ~ normal(mean(pixels), std(pixels))

Each step takes the gradient of the evidence lower bound on a minibatch. At the end the bound of
images that were held out is compared with two models of the pixels that have no code: independent
pixels, and a mixture of ten such by expectation-maximisation. Takes five seconds, and needs
scikit-learn for the images.

    python examples/variational_autoencoder.py --plot digits.png

Reference: Kingma and Welling, 2014, https://arxiv.org/abs/1312.6114.
"""

import numpy as np
from pictures import picture, plot_path
from scipy import special

from genparams import (
    ADAM,
    ParamUpdate,
    accumulate_elbo_gradients,
    bernoulli,
    cosine_decay,
    gen,
    init_param,
    normal,
    param,
)

PIXELS, HIDDEN, CODE, HELD_OUT, BATCH = 64, 64, 20, 297, 100


@gen
def decoder(count):
    z = normal(0.0, 1.0, size=(count, CODE)) @ "z"
    hidden = np.tanh(z @ param("w0") + param("b0"))
    bernoulli(logits=hidden @ param("w1") + param("b1")) @ "pixels"


@gen
def encoder(images):
    hidden = np.tanh(images @ param("w0") + param("b0"))
    code = hidden @ param("w1") + param("b1")
    normal(code[:, :CODE], np.exp(code[:, CODE:])) @ "z"


def main(epochs=60, plot=None):
    """Train, and return the bounds per image; with `plot`, a path, also draw images."""
    images = digits()
    train, test = images[HELD_OUT:], images[:HELD_OUT]
    start(np.random.default_rng(0))
    rate = cosine_decay(0.02, epochs * len(train) // BATCH)
    update = ParamUpdate(ADAM(rate), encoder, decoder)
    rng = np.random.default_rng(1)
    for epoch in range(1, epochs + 1):
        order, total = rng.permutation(len(train)), 0.0
        for rows in order.reshape(-1, BATCH):
            batch = train[rows]
            total += accumulate_elbo_gradients(
                decoder, (BATCH,), {"pixels": batch}, encoder, (batch,), rng=rng
            )
            update.apply()
        if epoch % 10 == 0:
            print(f"epoch {epoch:3}   bound per image {total / len(train):8.2f}")
    found = {
        "autoencoder": bound(test, rng),
        "mixture": mixture_of_pixels(train, test, 10, rng),
        "pixels": mixture_of_pixels(train, test, 1, rng),
    }
    print("\nlog probability of an image that was held out")
    for name, log_prob in found.items():
        print(f"  {name:12} {log_prob:8.2f}{' or more' if name == 'autoencoder' else ''}")
    if plot:
        draw(plot, rng)
    if not found["autoencoder"] > found["mixture"] + 0.5:
        raise SystemExit("the codes explain too little: this needs more epochs")
    return found


def digits():
    """1797 images, black where the ink is more than half, in a random order."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise SystemExit("the images come with scikit-learn: pip install scikit-learn") from None
    ink = load_digits().data  # pyright: ignore[reportAttributeAccessIssue]
    return np.random.default_rng(2).permutation(ink > 8.0).astype(float)


def start(rng):
    """Small random weights."""
    sizes = [(encoder, PIXELS, 2 * CODE), (decoder, CODE, PIXELS)]
    for f, inputs, outputs in sizes:
        for i, (m, n) in enumerate([(inputs, HIDDEN), (HIDDEN, outputs)]):
            init_param(f, f"w{i}", rng.normal(size=(m, n)) / np.sqrt(m))
            init_param(f, f"b{i}", np.zeros(n))


def bound(images, rng, draws=50):
    """The evidence lower bound per image: log p - log q, for draws of the guide."""
    total = 0.0
    for _ in range(draws):
        choices, log_q, _ = encoder.propose((images,), rng)
        log_p, _ = decoder.assess((len(images),), {"z": choices["z"], "pixels": images})
        total += log_p - log_q
    return total / draws / len(images)


def mixture_of_pixels(train, test, count, rng, rounds=50):
    """The log probability per held-out image of a mixture of independent pixels."""
    share = rng.dirichlet(np.ones(count), len(train))

    def joint(images):
        log_odds = images @ np.log(p).T + (1.0 - images) @ np.log1p(-p).T
        return log_odds + np.log(weights)

    for _ in range(rounds):
        weights = (share.sum(axis=0) + 1.0) / (len(train) + count)
        p = (share.T @ train + 0.5) / (share.sum(axis=0)[:, None] + 1.0)
        share = special.softmax(joint(train), axis=1)
    return np.mean(special.logsumexp(joint(test), axis=1))


def draw(path, rng):
    """The probability of ink for a hundred codes of the model."""
    z = rng.normal(size=(100, CODE))
    w0, b0, w1, b1 = (decoder.params[name].value for name in ("w0", "b0", "w1", "b1"))
    ink = special.expit(np.tanh(z @ w0 + b0) @ w1 + b1).reshape(10, 10, 8, 8)
    ink = np.pad(ink, ((0, 0), (0, 0), (1, 1), (1, 1))).transpose(0, 2, 1, 3)
    with picture(path) as ax:
        ax.imshow(ink.reshape(100, 100), cmap="gray_r", vmin=0.0, vmax=1.0)
        ax.set(title="digits drawn by the decoder", xticks=[], yticks=[])


if __name__ == "__main__":
    main(plot=plot_path(__doc__))
