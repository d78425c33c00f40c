"""The derivatives in a direction of the gradients of `kalman`, for second derivatives.

Write D for the derivative of a quantity in the direction. The gain K is the one that makes P'
least, so that its derivative is not in that of P':

    D P' = L DP L^T + X + X^T + DQ + K DR K^T,    X = (DA - K DH) P L^T

Every other derivative is that of a formula of `kalman`, and each recursion is linear.
"""

from collections.abc import Sequence

import numpy as np

from genparams.dsl.distributions.sequences.kalman import (
    Model,
    kalman_adjoint,
    kalman_filter,
    outer,
    smoothed_means,
    solved,
    times,
    turned,
)
from genparams.dsl.distributions.sequences.kalman_scalar import Array
from genparams.program.recorded import recordable

SMALL = 4
"""The states up to which a recursion of matrices is solved as one of vectors."""


@recordable()
def kalman_tangent(values: Sequence[Array], direction: Sequence[Array]) -> list[Array]:
    """The derivative of the gradient by each argument of `kalman`, in a direction of all of them.

    Args:
        values: The arguments of `kalman`.
        direction: An array like each of them. Of a covariance its symmetric part counts.
    """
    y, *args = values
    f = kalman_filter(y, Model(*args))
    r, N, u = kalman_adjoint(f)
    P, H, W, Kf, K, L = (each[f.at] for each in (f.P, f.H, f.W, f.Kf, f.K, f.L))
    M, w = turned(W) @ W, times(turned(W) @ W, f.v)
    LP = (f.A @ f.Pf)[f.at]  # = L P, with more digits
    Lt, Ht, Kt = turned(L), turned(H), turned(K)

    both = f.present[:, :, None] & f.present[:, None, :]
    dy, dm, dP0, dA, dc, dQ, dH, dd, dR = direction
    dA, dc, dQ = (_padded(each) for each in (dA, dc, _symmetric(dQ)))
    dz = np.where(f.present, dy - dd, 0.0)
    dH, dR = np.where(f.present[:, :, None], dH, 0.0), np.where(both, _symmetric(dR), 0.0)

    moved = dA - K @ dH
    X = moved @ turned(LP)
    dP = _recursion(L[:-1], _symmetric(dP0), X + turned(X) + dQ + K @ dR @ Kt)
    PdH = P @ turned(dH)
    dF = H @ dP @ Ht + H @ PdH + turned(H @ PdH) + dR
    dK = moved @ Kf + (L @ dP @ Ht + LP @ turned(dH) - K @ dR) @ M
    dL = moved - dK @ H
    dKf = (dP @ Ht + PdH - Kf @ dF) @ M
    dM = -M @ dF @ M
    gap = dz - times(dH, f.a)
    start = times(dA, f.a) + times(dK, f.v) + times(K, gap) + dc
    da = solved(L[:-1], np.append(dm[None], start[:-1], axis=0), trans=1)
    dv = gap - times(H, da)
    dw = times(M, dv - times(dF, w))

    r1, N1 = _next(r), _next(N)
    dr = solved(L[:-1], times(turned(dH), w) + times(Ht, dw) + times(turned(dL), r1), trans=0)
    Y = turned(dH) @ M @ H + turned(dL) @ N1 @ L
    C = Y + turned(Y) + Ht @ dM @ H
    dN = _recursion(Lt[-2::-1], C[-1], C[-2::-1])[::-1]
    dr1, dN1 = _next(dr), _next(dN)
    du = (dw - times(turned(dK), r1) - times(Kt, dr1)) * f.present
    x, dx = smoothed_means(f, f.a, f.v, r), da + times(dP, r) + times(P, dr)
    N1LP = N1 @ LP
    dN1LP = dN1 @ LP + N1 @ (dL @ P + L @ dP)
    KNK = turned(dK) @ N1 @ K
    dD = dM + KNK + turned(KNK) + Kt @ dN1 @ K
    by_H = outer(du, x) + outer(u, dx) - turned(dKf) + turned(dK) @ N1LP + Kt @ dN1LP

    each = [
        outer(dr1, x) + outer(r1, dx) - dN1LP,
        dr1,
        0.5 * (_twice(dr1, r1) - dN1),
        by_H * f.present[:, :, None],
        du,
        0.5 * (_twice(du, u) - dD) * both,
    ]
    by = [
        np.sum(g, axis=0, keepdims=True) if len(v) == 1 else g[: len(v)]
        for v, g in zip(args[2:], each, strict=True)
    ]
    return [-du, dr[0], 0.5 * (_twice(dr[:1], r[:1])[0] - dN[0]), *by]


def _recursion(L: Array, first: Array, B: Array) -> Array:
    """X_0 = first and X_{t+1} = L_t X_t L_t^T + B_t."""
    n = len(first)
    X = np.append(first[None], B[: len(L)], axis=0)
    if n <= SMALL:
        both = (L[:, :, None, :, None] * L[:, None, :, None, :]).reshape(-1, n * n, n * n)
        return solved(both, X.reshape(-1, n * n), trans=1).reshape(-1, n, n)
    for t, one in enumerate(L):
        X[t + 1] += one @ X[t] @ one.T
    return X


def _next(v: Array) -> Array:
    """What is at the next time; 0 after the last."""
    return np.append(v[1:], np.zeros_like(v[:1]), axis=0)


def _padded(v: Array) -> Array:
    return v if len(v) == 1 else np.append(v, np.zeros((1, *v.shape[1:])), axis=0)


def _symmetric(v: Array) -> Array:
    return 0.5 * (v + turned(v))


def _twice(x: Array, y: Array) -> Array:
    return outer(x, y) + outer(y, x)
