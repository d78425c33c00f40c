"""The Kalman filter of one state and one observation at each time, with its gradients, in numpy.

    x_0 ~ N(mean, cov),    x_t = A_t x_{t-1} + c_t + N(0, Q_t),    y_t = H_t x_t + d_t + N(0, R_t)

Let a and P be the mean and the variance of x_t given what was observed before t. A prime is for
the next time:

    F = H^2 P + R      v = y - d - H a      K = A P H / F      L = A - K H = A R / F
    a' = L a + K (y - d) + c                P' = A^2 P R / F + Q
    log p(y) = -(1/2) sum (log F + v^2 / F + log 2 pi)

Only the recursion of P is not linear. It adds terms that are at least 0, so it loses no digits.
The gradients come from the disturbance smoother, which goes backwards. It does not divide by Q or
R, so either may be 0:

    r = H v / F + L r'      N = H^2 / F + L^2 N'      u = v / F - K r'
    d log p / da = r        d log p / dP = (r^2 - N) / 2       d log p / dy = -u

Each linear recursion is a triangular matrix with two bands, which BLAS solves.

A model that is the same at all times, with every y present, needs less. P and N soon stay where
they are, up to rounding, and so do F, K and L. And v' = L v + b with
b = (y' - d) - A (y - d) - H c. So r / H is the solution of M diag(F) M^T s = (v_0, b), for the b of
all times, where M has ones on the diagonal and -L below: LAPACK goes both ways in one call.

References: Koopman and Shephard, 1992, Exact score for time series models in state space form;
Durbin and Koopman, 2012, Time series analysis by state space methods, chapters 4 and 7.
"""

import math
from typing import Any

import numpy as np

from genparams.dsl.distributions.sequences import lapack, loops_kalman
from genparams.program.recorded import recordable

LOG_TWO_PI = math.log(2.0 * math.pi)
CLOSE = 2.0**-52
"""A relative change of a variance that is no larger than the rounding error of one step."""

Array = np.ndarray[Any, Any]


@recordable(loops_kalman.kalman_scalar)
def kalman_scalar(
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

    `y` has shape (T,), and is NaN where it is missing; `mean` and `cov` have shape (1,). Each other
    argument has shape (1,), or one entry for each time: T for the observation, T - 1 for the
    transition. log p(y) is NaN or infinite where an F is 0.
    """
    z = y - observation_offset
    rest = (transition, transition_offset, transition_cov, observation, observation_cov)
    numbers = (float(mean[0]), float(cov[0]), *map(_one_or_all, rest))
    steady = len(z) > 1 and all(type(v) is float for v in numbers) and observation[0] != 0.0
    steady = steady and not math.isnan(z @ z)
    log_prob, by_y, *others = (_steady if steady else _any)(z, *numbers)
    by = [_like(v, g) for v, g in zip((mean, cov, *rest), others, strict=True)]
    return log_prob, by_y, *by[:6], -_like(observation_offset, by_y), by[6]


def _one_or_all(v: Array) -> Any:
    """A float in place of one entry for all times."""
    return float(v[0]) if len(v) == 1 else v


def _like(v: Array, g: Any) -> Array:
    """A gradient at each time, or its sum, in the shape of an argument."""
    if type(g) is float:
        return np.array([g])
    return g if len(g) == len(v) else g.sum(keepdims=True)


def _steady(
    z: Array, m: float, P0: float, A: float, c: float, Q: float, H: float, R: float
) -> tuple[Any, ...]:
    """log p and its gradients by y, m, P0, A, c, Q, H and R, where H is not 0."""
    AA, HH, length = A * A, H * H, len(z)
    head = [P0]  # the variances until they stay where they are
    g = HH / R if R > 0.0 else math.inf
    P = P0
    for _ in range(length - 1):
        new = AA * P / (1.0 + g * P) + Q
        if abs(new - P) <= CLOSE * new:
            break
        P = new
        head.append(P)
    P, known = np.array(head), len(head)
    times = np.ones(known)  # how often each of them is there
    times[-1] += length - known
    F = HH * P + R
    D = 1.0 / F
    PHD = P * D * H
    K, L = A * PHD, A * R * D

    b = np.empty(length)
    b[0] = z[0] - H * m
    np.multiply(z[:-1], -A, out=b[1:])
    b[1:] += z[1:]
    if c != 0.0:
        b[1:] -= H * c
    s, _ = lapack.dpttrs(_extended(F, length), _extended(-L, length)[:-1], b)
    by_y = -s
    s1 = s[1:]
    by_y[:-1] += A * s1
    log_prob = -0.5 * float(b @ s + times @ np.log(F) + length * LOG_TWO_PI)

    HHD, LL = (HH * D).tolist(), (L * L).tolist()
    n, tail = HHD[-1], 0.0  # the sum of N after the head
    for left in range(length - known, 0, -1):
        tail += n
        new = HHD[-1] + LL[-1] * n
        if abs(new - n) <= CLOSE * new:
            tail += (left - 1) * new
            break
        n = new
    N = [tail]
    for t in range(known - 2, -1, -1):
        N.append(n)
        n = HHD[t] + LL[t] * n
    N1 = np.array(N[::-1])  # after each time of the head; after the last, the sum
    LP = L * P
    s0, uu = float(s[0]), float(by_y @ by_y)
    return (
        log_prob,
        by_y,
        H * s0,
        0.5 * (HH * s0 * s0 - n),
        float(s1 @ z[:-1] + R * (s1 @ by_y[:-1]) - LP @ N1),
        H * (float(np.add.reduce(s)) - s0),
        0.5 * (HH * float(s1 @ s1) - sum(N)),
        float(-(by_y @ z + R * uu) / H - times @ PHD + (K * LP) @ N1),
        0.5 * float(uu - times @ D - (K * K) @ N1),
    )


def _extended(v: Array, length: int) -> Array:
    """An array that goes on with its last entry."""
    found = np.empty(length)
    found[: len(v)] = v
    found[len(v) :] = v[-1]
    return found


def _any(z: Array, m: float, P0: float, A: Any, c: Any, Q: Any, H: Any, R: Any) -> tuple[Any, ...]:
    """log p and its gradients, each at each time, by y, m, P0, A, c, Q, H and R."""
    present = ~np.isnan(z)
    z = np.where(present, z, 0.0)
    H, R = np.where(present, H, 0.0), np.where(present, R, 1.0)
    P = _variances(P0, A, Q, H, R)
    D = 1.0 / (H * H * P + R)
    PHD = P * D * H
    K, L = A * PHD[:-1], A * (R * D)[:-1]
    start = np.append(m, K * z[:-1] + c)
    band = _minus(L)
    a = lapack.dtbsv(1, band, start, trans=1, diag=1, overwrite_x=1)
    v = z - H * a
    u = v * D
    log_prob = 0.5 * float(np.log(D).sum() - v @ u - present.sum() * LOG_TWO_PI)

    r = lapack.dtbsv(1, band, H * u, diag=1, overwrite_x=1)
    N = lapack.dtbsv(1, _minus(L * L), H * H * D, diag=1, overwrite_x=1)
    x = a + P * r  # the mean of the state given all observations
    r1, N1 = r[1:], N[1:]
    LPN = L * P[:-1] * N1
    u[:-1] -= K * r1
    D[:-1] += K * K * N1
    PHD[:-1] -= K * LPN
    return (
        log_prob,
        -u,
        float(r[0]),
        0.5 * float(r[0] ** 2 - N[0]),
        r1 * x[:-1] - LPN,
        r1,
        0.5 * (r1 * r1 - N1),
        u * x - PHD,
        0.5 * (u * u - D) * present,
    )


def _variances(P: float, A: Any, Q: Any, H: Array, R: Array) -> Array:
    """The variance of each state given what was observed before it: P' = A^2 P / (1 + g P) + Q."""
    each = (H * H / R)[:-1].tolist()  # g; the last observation has no next state
    if type(A) is type(Q) is float:
        AA = A * A
        return np.array([P, *(P := AA * P / (1.0 + g * P) + Q for g in each)])
    steps = zip(each, *(np.broadcast_to(v, len(each)).tolist() for v in (A * A, Q)), strict=True)
    return np.array([P, *(P := aa * P / (1.0 + g * P) + q for g, aa, q in steps)])


def _minus(L: Array) -> Array:
    """The matrix with ones on its diagonal and -L above, as bands; BLAS does not read the ones."""
    band = np.empty((2, len(L) + 1), order="F")
    np.negative(L, out=band[0, 1:])
    return band
