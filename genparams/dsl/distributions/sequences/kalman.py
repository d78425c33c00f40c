"""The Kalman filter of vectors of states, with its gradients, in numpy.

    x_0 ~ N(mean, cov),    x_t = A_t x_{t-1} + c_t + N(0, Q_t),    y_t = H_t x_t + d_t + N(0, R_t)

The formulas are those of `kalman_scalar`, with matrices. The filter carries a square root of P:
with P = S S^T, one triangular factorisation adds an observation, and one takes a step in time,

    [R^1/2  H S]         [F^1/2  0  ]
    [0      S  ] U    =  [G      S_f],  K_f = G F^-1/2,        [A S_f  Q^1/2] U' = [S'  0]

for orthogonal U and U'. No variance is a difference of others, so that an initial variance of 10^8
beside a noise of 1 leaves nearly all digits, and every matrix may be singular but F.

A variance that a step does not change, up to rounding, and that meets the same matrices and the
same missing entries at the next time, is not computed again. A missing entry of y is one with a
row 0 in H and a noise of variance 1 of its own.

References: Kailath, Sayed and Hassibi, 2000, Linear estimation, chapter 12; Durbin and Koopman,
2012, Time series analysis by state space methods, chapters 4 to 7.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from genparams.dsl.distributions.sequences import lapack
from genparams.dsl.distributions.sequences.kalman_scalar import LOG_TWO_PI, Array
from genparams.program.recorded import recordable

CLOSE = 2.0**-49
"""A change of a covariance, relative to its variances, that may be rounding error."""
SINGULAR = 1e-14
"""The least diagonal entry of F^1/2, relative to the length of its row, that is not taken as 0."""


class Model(NamedTuple):
    """The arguments of the model; A to R have an axis of time in front, of length 1 if all are one.

    `mean` has shape (n,), `cov` (n, n), `A` and `Q` (T - 1, n, n), `c` (T - 1, n), `H` (T, p, n),
    `d` (T, p), `R` (T, p, p).
    """

    mean: Array
    cov: Array
    A: Array
    c: Array
    Q: Array
    H: Array
    d: Array
    R: Array


class Filtered(NamedTuple):
    """The run of a filter. `at` says for each time where its matrices are in the arrays of them."""

    log_prob: float
    present: Array
    """Which entries of y are not missing."""
    a: Array
    v: Array
    at: Array
    P: Array
    Pf: Array
    """The covariance of the state given also the observation of the same time."""
    A: Array
    H: Array
    """H with a row 0 for each missing entry."""
    W: Array
    """F^-1/2, lower triangular."""
    Kf: Array
    """P H^T F^-1; then K = A Kf and L = A - K H."""
    K: Array
    L: Array


class Adjoint(NamedTuple):
    """r, N and u at each time; d log p / dd = u."""

    r: Array
    N: Array
    u: Array


@recordable()
def kalman(
    y: Array,
    mean: Array,
    cov: Array,
    transition: Array,
    transition_offset: Array,
    transition_cov: Array,
    observation: Array,
    observation_offset: Array,
    observation_cov: Array,
) -> tuple[Any, ...]:
    """log p(y), then its gradient by each argument, in the shape of the argument.

    `y` has shape (T, p), and is NaN where it is missing; the others are as in `Model`. The
    gradients by covariances are symmetric. log p(y) is NaN if some F is singular.
    """
    rest = transition, transition_offset, transition_cov
    rest += observation, observation_offset, observation_cov
    f = kalman_filter(y, Model(mean, cov, *rest))
    if math.isnan(f.log_prob):
        return (math.nan, *(np.full_like(v, math.nan) for v in (y, mean, cov, *rest)))
    r, N, u = kalman_adjoint(f)
    x = smoothed_means(f, f.a, f.v, r)
    at, r1, N1 = f.at[:-1], r[1:], N[1:]
    NAPf = N1 @ (f.A @ f.Pf)[at]
    Kt = turned(f.K)[at]
    by_H = outer(u, x) - turned(f.Kf)[f.at]
    by_H[:-1] += Kt @ NAPf
    by_H *= f.present[:, :, None]
    D = (turned(f.W) @ f.W)[f.at]
    D[:-1] += Kt @ N1 @ f.K[at]
    by_R = 0.5 * (outer(u, u) - D) * (f.present[:, :, None] & f.present[:, None, :])
    each = outer(r1, x[:-1]) - NAPf, r1, 0.5 * (outer(r1, r1) - N1), by_H, u, by_R
    by = [
        np.sum(g, axis=0, keepdims=True) if len(v) == 1 else g
        for v, g in zip(rest, each, strict=True)
    ]
    return f.log_prob, -u, r[0], 0.5 * (np.outer(r[0], r[0]) - N[0]), *by


def kalman_filter(y: Array, model: Model) -> Filtered:
    """The mean and the covariance of each state given what was observed before it."""
    mean, _, _, c, _, _, d, _ = model
    present, p = ~np.isnan(y), y.shape[1]
    at, A, H, S, post = _square_roots(present, model)
    root, G, Sf = post[:, :p, :p], post[:, p:, :p], post[:, p:, p:]
    diagonal = np.abs(np.diagonal(root, axis1=1, axis2=2))
    W = np.full_like(root, math.nan)
    if np.all(diagonal > SINGULAR * np.linalg.norm(root, axis=2)):
        W = np.linalg.inv(root)
    Kf = G @ W
    K = A @ Kf
    found = Filtered(
        math.nan, present, y, y, at, S @ turned(S), Sf @ turned(Sf), A, H, W, Kf, K, A - K @ H
    )
    a, v = filtered_means(found, np.where(present, y - d, 0.0), mean, c)
    w = times(W[at], v)
    log_dets = np.log(diagonal).sum(axis=1)[at].sum()
    log_prob = -float(0.5 * (np.sum(w * w) + present.sum() * LOG_TWO_PI) + log_dets)
    return found._replace(log_prob=log_prob, a=a, v=v)


def filtered_means(f: Filtered, z: Array, mean: Array, c: Array) -> tuple[Array, Array]:
    """a and v of observations z, which are y - d, and 0 where y is missing."""
    start = np.empty((len(z), len(mean)))
    start[0] = mean
    start[1:] = times(f.K[f.at[:-1]], z[:-1]) + c
    a = solved(f.L[f.at[:-1]], start, trans=1)
    return a, z - times(f.H[f.at], a)


def kalman_adjoint(f: Filtered) -> Adjoint:
    """The recursions of the disturbance smoother, which go backwards."""
    r, u = adjoint_means(f, f.v)
    WH = f.W @ f.H
    N = np.empty((len(r), *f.P.shape[1:]))
    information = turned(WH) @ WH
    N[-1] = information[f.at[-1]]
    t = len(r) - 2
    while t >= 0:
        k = f.at[t]
        N[t] = information[k] + f.L[k].T @ N[t + 1] @ f.L[k]
        first = int(np.searchsorted(f.at, k)) if f.at[t + 1] == k else t
        if first < t and _close(N[t], N[t + 1]):
            N[first:t] = N[t]
            t = first
        t -= 1
    return Adjoint(r, N, u)


def adjoint_means(f: Filtered, v: Array) -> tuple[Array, Array]:
    """r and u of the v of some observations."""
    u = times((turned(f.W) @ f.W)[f.at], v)
    r = solved(f.L[f.at[:-1]], times(turned(f.H)[f.at], u), trans=0)
    u[:-1] -= times(turned(f.K)[f.at[:-1]], r[1:])
    return r, u * f.present


def smoothed_means(f: Filtered, a: Array, v: Array, r: Array) -> Array:
    """a + P r, the means of the states given all observations; it keeps digits where P is large."""
    x = a + times(f.Kf[f.at], v)
    x[:-1] += times(turned(f.A @ f.Pf)[f.at[:-1]], r[1:])
    return x


def _square_roots(present: Array, model: Model) -> tuple[Array, ...]:
    """For each time the place of its matrices; A, H, S and [F^1/2 0; G Sf] at each place."""
    (length, p), n = present.shape, len(model.mean)
    A, H, R = model.A, model.H, model.R
    changes = np.flatnonzero(np.any(present[1:] != present[:-1], axis=1)) + 1
    if len(changes) or not present.all():
        H = np.where(present[:, :, None], H, 0.0)
        R = np.where(present[:, :, None] & present[:, None, :], R, np.eye(p))
    if max(map(len, (A, model.Q, model.H, model.R))) > 1:
        changes = np.arange(1, length)
    if len(A) != 1:
        A = np.append(A, np.zeros((1, n, n)), axis=0)  # after the last time, for nothing
    ends = np.append(changes, length)
    roots_Q, roots_R = turned(root_of(model.Q)), turned(root_of(R))

    step, sweep = np.zeros((p + n, p + n)), np.zeros((2 * n, n))
    triangle, small = np.triu(np.ones((p + n, p + n))), np.triu(np.ones((n, n)))
    at, times, roots, posts = np.empty(length, dtype=int), [], [], []
    S, P, t = root_of(model.cov).T, model.cov, 0
    while t < length:
        times.append(t)
        step[:p, :p] = roots_R[min(t, len(roots_R) - 1)]
        step[p:, :p] = S @ H[min(t, len(H) - 1)].T
        step[p:, p:] = S
        post = lapack.dgeqrf(step)[0] * triangle
        roots.append(S)
        posts.append(post)
        if len(roots_Q):
            sweep[:n] = post[p:, p:] @ A[min(t, len(A) - 1)].T
            sweep[n:] = roots_Q[min(t, len(roots_Q) - 1)]
            S = lapack.dgeqrf(sweep)[0][:n] * small
        old, P = P, S.T @ S
        end = ends[np.searchsorted(ends, t, side="right")] if _close(P, old) else t + 1
        at[t:end] = len(times) - 1
        t = int(end)
    places = np.array(times)
    A, H = (v[np.minimum(places, len(v) - 1)] for v in (A, H))
    return at, A, H, turned(np.array(roots)), turned(np.array(posts))


def root_of(cov: Array) -> Array:
    """A matrix S with cov = S S^T, of each of a stack of covariances, which may be singular."""
    scale = np.sqrt(np.diagonal(cov, axis1=-2, axis2=-1))
    scale = np.where(scale > 0.0, scale, 1.0)
    values, vectors = np.linalg.eigh(cov / (scale[..., :, None] * scale[..., None, :]))
    rounding = 4.0 * CLOSE * values.shape[-1]
    return (
        scale[..., :, None]
        * vectors
        * np.sqrt(np.where(values > rounding, values, 0.0))[..., None, :]
    )


def _close(P: Array, old: Array) -> bool:
    scale = np.sqrt(np.diagonal(P))
    return bool(np.all(np.abs(P - old) <= CLOSE * scale[:, None] * scale))


def solved(L: Array, b: Array, trans: int) -> Array:
    """x with x_{t+1} = L_t x_t + b_{t+1}, or with trans=0 backwards, x_t = L_t^T x_{t+1} + b_t."""
    length, n = b.shape
    if n == 0:
        return b
    width = 2 * n - 1
    band = np.zeros((length, n, width + 1))  # by columns: the entry (i, j) is at width + i - j
    for i in range(n):
        for j in range(n):
            band[1:, i, width - n + j - i] = -L[:, i, j]
    ab = band.reshape(length * n, width + 1).T
    return lapack.dtbsv(width, ab, b.ravel(), trans=trans, diag=1).reshape(length, n)


def turned(a: Array) -> Array:
    return np.swapaxes(a, -1, -2)


def times(a: Array, x: Array) -> Array:
    """A matrix times a vector at each time."""
    return (a @ x[:, :, None])[:, :, 0]


def outer(x: Array, y: Array) -> Array:
    return x[:, :, None] * y[:, None, :]
