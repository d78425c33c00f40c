"""The training steps of the benchmarks as one would write them by hand in numpy.

Each `*_step` returns a function that takes one step of ADAM uphill on a log likelihood whose
gradient is written out, and gives the log likelihood before it. Parameters live in one flat vector
in unconstrained coordinates.
"""

from collections.abc import Callable

import numpy as np
from scipy import special

HALF_LOG_TWO_PI = 0.5 * np.log(2.0 * np.pi)

Step = Callable[[], float]


def adam(theta: np.ndarray, rate: float = 0.01) -> Callable[[np.ndarray], None]:
    """ADAM on one flat vector, in place."""
    m, v, t = np.zeros_like(theta), np.zeros_like(theta), 0

    def apply(g: np.ndarray) -> None:
        nonlocal m, v, t
        t += 1
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * (g * g)
        theta[:] += rate * (m / (1.0 - 0.9**t)) / (np.sqrt(v / (1.0 - 0.999**t)) + 1e-8)

    return apply


def adam_in_place(size: int) -> Callable[[], None]:
    """A step of ADAM along one gradient, by thirteen passes over the memory."""
    g = np.random.default_rng(0).standard_normal(size)
    p, m, v, a = np.zeros(size), np.zeros(size), np.zeros(size), np.empty(size)
    beta1, beta2, rate, epsilon, t = 0.9, 0.999, 0.001, 1e-8, 0

    def step() -> None:
        nonlocal t
        t += 1
        np.multiply(m, beta1, out=m)
        np.multiply(g, 1.0 - beta1, out=a)
        np.add(m, a, out=m)
        np.multiply(v, beta2, out=v)
        np.multiply(g, g, out=a)
        np.multiply(a, 1.0 - beta2, out=a)
        np.add(v, a, out=v)
        np.divide(v, 1.0 - beta2**t, out=a)
        np.sqrt(a, out=a)
        np.add(a, epsilon, out=a)
        np.divide(m, a, out=a)
        np.multiply(a, rate / (1.0 - beta1**t), out=a)
        np.add(p, a, out=p)

    return step


def line_log_prob(xs: np.ndarray, ys: np.ndarray, theta: np.ndarray) -> float:
    z = (ys - theta[0] * xs - theta[1]) / np.exp(theta[2])
    return -0.5 * (z @ z) - len(xs) * (theta[2] + HALF_LOG_TWO_PI)


def line_step(xs: np.ndarray, ys: np.ndarray) -> Step:
    """ys ~ normal(slope xs + intercept, noise); theta = (slope, intercept, log noise)."""
    theta = np.zeros(3)
    apply = adam(theta)

    def step() -> float:
        noise = np.exp(theta[2])
        z = (ys - theta[0] * xs - theta[1]) / noise
        square = z @ z
        log_prob = -0.5 * square - len(xs) * (theta[2] + HALF_LOG_TWO_PI)
        apply(np.array([z @ xs / noise, z.sum() / noise, square - len(xs)]))
        return log_prob

    return step


def line_minibatches(xs: np.ndarray, ys: np.ndarray, size: int) -> Step:
    """The line on minibatches, in a new order each epoch."""
    theta, order, rng = np.zeros(3), np.empty(0, int), np.random.default_rng(0)
    apply = adam(theta)

    def step() -> float:
        nonlocal order
        if not len(order):
            order = rng.permutation(len(xs))
        rows, order = order[:size], order[size:]
        x, y, noise = xs[rows], ys[rows], np.exp(theta[2])
        z = (y - theta[0] * x - theta[1]) / noise
        square = z @ z
        log_prob = -0.5 * square - size * (theta[2] + HALF_LOG_TWO_PI)
        apply(np.array([z @ x / noise, z.sum() / noise, square - size]))
        return log_prob

    return step


def logistic_log_prob(x: np.ndarray, y: np.ndarray, w: np.ndarray) -> float:
    logits = x @ w
    return y @ logits - np.logaddexp(0.0, logits).sum()


def logistic_step(x: np.ndarray, y: np.ndarray) -> Step:
    """y ~ bernoulli(logits=x @ w)."""
    w = np.zeros(x.shape[1])
    apply = adam(w)

    def step() -> float:
        logits = x @ w
        log_prob = y @ logits - np.logaddexp(0.0, logits).sum()
        apply(x.T @ (y - special.expit(logits)))
        return log_prob

    return step


def _mixture_terms(points: np.ndarray, theta: np.ndarray) -> tuple:
    """Log densities of 5 normals in 2-D at (2, n) points: one matrix product whitens by all of
    them.
    """
    logits, means, tril = theta[:4], theta[4:14].reshape(5, 2), theta[14:].reshape(5, 3)
    log_w = np.append(logits, 0.0)
    log_w = log_w - special.logsumexp(log_w)
    a, b, c = np.exp(tril[:, 0]), tril[:, 1], np.exp(tril[:, 2])
    inverse = np.zeros((5, 2, 2))
    inverse[:, 0, 0], inverse[:, 1, 0], inverse[:, 1, 1] = 1.0 / a, -b / (a * c), 1.0 / c
    shift = np.einsum("kij,kj->ki", inverse, means).reshape(10, 1)
    z = inverse.reshape(10, 2) @ points - shift
    square = (z * z).reshape(5, 2, -1).sum(axis=1)
    constant = log_w - tril[:, 0] - tril[:, 2] - 2.0 * HALF_LOG_TWO_PI
    joint = constant[:, None] - 0.5 * square
    top = joint.max(axis=0)
    joint -= top
    np.exp(joint, out=joint)
    mass = joint.sum(axis=0)
    return z, joint, mass, float(np.log(mass).sum() + top.sum()), log_w, inverse, a, c


def mixture_log_prob(points: np.ndarray, theta: np.ndarray) -> float:
    return _mixture_terms(points, theta)[3]


def mixture_start() -> np.ndarray:
    """Equal weights, means on a circle, unit covariances."""
    angle = 2.0 * np.pi * np.arange(5) / 5.0
    means = 2.0 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.concatenate([np.zeros(4), means.ravel(), np.zeros(15)])


def mixture_step(points: np.ndarray) -> Step:
    """points ~ a mixture of 5 normals in 2-D with full covariances, given by their Cholesky
    factors.
    """
    theta = mixture_start()
    apply = adam(theta)

    def step() -> float:
        z, share, mass, log_prob, log_w, inverse, a, c = _mixture_terms(points, theta)
        share /= mass
        count = share.sum(axis=1)
        z = z.reshape(5, 2, -1)
        weighted = z * share[:, None, :]
        first = np.einsum("kji,kj->ki", inverse, weighted.sum(axis=2))
        second = np.swapaxes(inverse, 1, 2) @ (weighted @ np.swapaxes(z, 1, 2))
        by_tril = np.stack(
            [second[:, 0, 0] * a - count, second[:, 1, 0], second[:, 1, 1] * c - count], axis=1
        )
        by_logits = count - np.exp(log_w) * count.sum()
        apply(np.concatenate([by_logits[:4], first.ravel(), by_tril.ravel()]))
        return log_prob

    return step
