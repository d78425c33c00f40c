"""The kernels of the Kalman filter: against 100 digits, against each other, and compiled."""

import itertools
from typing import Any

import numpy as np
import pytest

from genparams.dsl.distributions.sequences import kalman_scalar as scalar
from genparams.dsl.distributions.sequences import loops_kalman
from genparams.dsl.distributions.sequences.kalman import kalman
from genparams.dsl.distributions.sequences.linear_gaussian_density import are_covariances
from genparams.numeric import quiet

kalman_scalar = quiet(scalar.kalman_scalar)  # as the library calls it

mpmath: Any = pytest.importorskip("mpmath")
mp = mpmath.mp.clone()
mp.dps = 100
LENGTH = 5


def exact(y, args):
    """log p(y) and its gradients, by a dense normal and differences, with 100 digits.

    The arguments are in the order of the kernels, with neither an axis of time nor a batch.
    """
    base = [mp.matrix(np.atleast_1d(a).tolist()) for a in args]
    gradients = []
    for k, a in enumerate(args):
        g = np.zeros(a.shape)
        for at in np.ndindex(a.shape):
            h = mp.mpf(10) ** -40 * max(abs(mp.mpf(float(a[at]))), mp.mpf(10) ** -20)
            ends = []
            for side in (h, -h):
                moved = [v.copy() for v in base]
                if k in (1, 4, 7):  # a covariance stays symmetric
                    moved[k][at] += side / 2
                    moved[k][at[::-1]] += side / 2
                else:
                    moved[k][at if a.ndim > 1 else at[-1]] += side
                ends.append(exact_log_prob(y, *moved))
            g[at] = float((ends[0] - ends[1]) / (2 * h))
        gradients.append(g)
    return float(exact_log_prob(y, *base)), gradients


def exact_log_prob(y, mean, cov, A, c, Q, H, d, R):
    length, p = y.shape
    means, covs = [mean], {(0, 0): cov}
    for t in range(length - 1):
        means.append(A * means[t] + c)
        for s in range(t + 1):
            covs[t + 1, s] = A * covs[t, s]
        covs[t + 1, t + 1] = A * covs[t, t] * A.T + Q
    V, e = mp.matrix(length * p, length * p), mp.matrix(length * p, 1)
    for t in range(length):
        expected = H * means[t] + d
        for i in range(p):
            e[t * p + i] = mp.mpf(float(y[t, i])) - expected[i]
        for s in range(t + 1):
            block = H * covs[t, s] * H.T
            for i, j in itertools.product(range(p), range(p)):
                noise = R[i, j] if s == t else 0
                V[t * p + i, s * p + j] = V[s * p + j, t * p + i] = block[i, j] + noise
    root = mp.cholesky(V)
    w = mp.lu_solve(root, e)
    log_det = sum(mp.log(root[i, i]) for i in range(length * p))
    return -sum(v * v for v in w) / 2 - log_det - length * p * mp.log(2 * mp.pi) / 2


def simulated(args, rng):
    mean, cov, A, c, Q, H, d, R = args
    x = rng.multivariate_normal(mean, cov)
    ys = []
    for _ in range(LENGTH):
        ys.append(rng.multivariate_normal(H @ x + d, R))
        x = rng.multivariate_normal(A @ x + c, Q)
    return np.array(ys)


def errors(found, log_prob, gradients):
    """The relative error of log p and of each gradient, over its largest entry."""
    yield abs(found[0] - log_prob) / (1.0 + abs(log_prob))
    for g, true in zip(found[2:], gradients, strict=True):
        yield np.max(np.abs(np.reshape(g, true.shape) - true)) / np.max(np.abs(true))


SIZES = (0.0, 1e-8, 1.0, 1e8)
SCALARS = [
    (step, *sizes)
    for step, sizes in zip(
        itertools.cycle((0.5, 1.0, -0.9, 1.3)), itertools.product(SIZES, repeat=3), strict=False
    )
    if (sizes[0] or sizes[1]) and (sizes[1] or sizes[2])
]


@pytest.mark.parametrize(("step", "q", "r", "start"), SCALARS)
def test_variances_of_all_sizes_keep_their_digits(step, q, r, start):
    """Some variances are 0, and the others have ratios up to 10^16: y alone has errors of 10^-8."""
    args = [np.array(v) for v in ([0.3], [[start]], [[step]], [0.1], [[q]], [[0.8]], [0.2], [[r]])]
    y = simulated(args, np.random.default_rng(0))
    log_prob, gradients = exact(y, args)
    mean, cov, A, *rest = (a.ravel() for a in args)
    for found in (
        kalman_scalar(y[:, 0], mean, cov, A, *rest),
        kalman_scalar(y[:, 0], mean, cov, np.repeat(A, LENGTH - 1), *rest),
        kalman(y, args[0], args[1], *(a[None] for a in args[2:])),
    ):
        summed = [v.sum(keepdims=True) if np.ndim(v) == 1 else v for v in found[2:]]
        assert max(errors((found[0], None, *summed), log_prob, gradients)) < 1e-6


@pytest.mark.parametrize(
    ("q1", "q2", "r", "start"),
    list(itertools.product((0.0, 1e-4, 1e4), (0.0, 1.0), (1e-4, 1.0, 1e4), (1e-4, 1e4))),
)
def test_a_trend_keeps_its_digits(q1, q2, r, start):
    args = [
        np.array([0.3, 0.1]),
        start * np.array([[1.0, 0.5], [0.5, 1.0]]),
        np.array([[1.0, 1.0], [0.0, 1.0]]),
        np.array([0.1, 0.0]),
        np.diag([q1, q2]),
        np.array([[1.0, 0.1]]),
        np.array([0.2]),
        np.array([[r]]),
    ]
    y = simulated(args, np.random.default_rng(1))
    found = kalman(y, args[0], args[1], *(a[None] for a in args[2:]))
    assert max(errors(found, *exact(y, args))) < 1e-7


def arguments(length, n, p, varying, seed=0):
    rng = np.random.default_rng(seed)
    before, at = (length - 1, length) if varying else (1, 1)

    def cov(count, size):
        root = rng.normal(size=(count, size, size))
        return root @ np.swapaxes(root, 1, 2) + 0.1 * np.eye(size)

    return [
        rng.normal(size=(length, p)),
        rng.normal(size=n),
        cov(1, n)[0],
        0.4 * rng.normal(size=(before, n, n)),
        rng.normal(size=(before, n)),
        cov(before, n),
        rng.normal(size=(at, p, n)),
        rng.normal(size=(at, p)),
        cov(at, p),
    ]


def same(found, wanted, tolerance=1e-11):
    for a, b in zip(found, wanted, strict=True):
        assert np.size(a) == np.size(b)
        scale = 1.0 + np.max(np.abs(b), initial=0.0)
        np.testing.assert_allclose(np.ravel(a), np.ravel(b), atol=tolerance * scale)


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("varying", [False, True])
@pytest.mark.parametrize("length", [1, 2, 3, 300])
def test_numbers_are_vectors_of_one(length, varying, missing):
    args = arguments(length, 1, 1, varying)
    if missing:
        args[0][::3] = np.nan
    flat = [a.ravel() for a in args]
    found = kalman_scalar(*flat)
    assert all(np.shape(g) == a.shape for g, a in zip(found[1:], flat, strict=True))
    same(found, kalman(*args))
    same(loops_kalman.kalman_scalar(*flat), found)


def test_a_steady_state_is_the_same_as_every_step():
    """A copy of an argument for each time takes every step."""
    args = arguments(400, 3, 2, False)
    args[0][100:120, 0] = np.nan
    each = [*args[:3], np.repeat(args[3], 399, axis=0), *args[4:]]
    found, wanted = kalman(*args), list(kalman(*each))
    wanted[4] = wanted[4].sum(axis=0, keepdims=True)
    same(found, wanted, 1e-12)


def test_a_variance_that_settles_slowly_is_not_cut_off():
    """A random walk of small steps: its variance falls as 1 / t and never stays where it is."""
    y = np.random.default_rng(0).normal(size=3000)
    one = [np.array([v]) for v in (0.0, 1e4, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0)]
    found = kalman_scalar(y, *one)
    mean, total = 0.0, 1e4
    log_prob = 0.0
    for value in y:
        log_prob -= 0.5 * (np.log(2 * np.pi * (total + 1.0)) + (value - mean) ** 2 / (total + 1.0))
        mean, total = mean + total / (total + 1.0) * (value - mean), total / (total + 1.0)
    assert found[0] == pytest.approx(log_prob, rel=1e-12)


def test_arguments_are_left_alone():
    for n, p in ((1, 1), (2, 2)):
        args = arguments(6, n, p, False)
        args[0][2] = np.nan
        before = [a.copy() for a in args]
        kalman(*args)
        if n == 1:
            kalman_scalar(*(a.ravel() for a in args))
            kalman_scalar(np.nan_to_num(args[0].ravel()), *(a.ravel() for a in args[1:]))
        for a, b in zip(args, before, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_variance_of_0_has_no_density():
    y = np.zeros(3)
    zero = [np.array([v]) for v in (0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0)]
    with np.errstate(all="ignore"):
        assert not np.isfinite(kalman_scalar(y, *zero)[0])
        assert not np.isfinite(loops_kalman.kalman_scalar(y, *zero)[0])
        assert not np.isfinite(kalman_scalar(np.array([0.0, np.nan, 0.0]), *zero)[0])


def test_the_loops_know_covariances():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(40, 3, 2)) * 10.0 ** rng.uniform(-4.0, 4.0, size=(40, 3, 1))
    singular = root @ np.swapaxes(root, 1, 2)
    other = singular - 1e-7 * np.eye(3) * np.max(singular, axis=(1, 2), keepdims=True)
    askew = singular + np.array([[0.0, 1e-3, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    matrices = np.concatenate([singular, other, askew, np.zeros((1, 3, 3)), -np.eye(3)[None]])
    found = loops_kalman.are_covariances(matrices)
    np.testing.assert_array_equal(found, are_covariances(matrices))
    assert found[:40].all()
    assert not found[40:80].any()


def test_the_loops_can_be_compiled():
    numba: Any = pytest.importorskip("numba")
    compiled = numba.njit(loops_kalman.kalman_scalar)
    for varying in (False, True):
        flat = [a.ravel() for a in arguments(50, 1, 1, varying)]
        flat[0][7] = np.nan
        same(compiled(*flat), kalman_scalar(*flat))
