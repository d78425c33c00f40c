"""`kalman_scalar` as loops over numbers, for a compiler, with the same arguments and results."""

import math

import numpy as np

LOG_TWO_PI = math.log(2.0 * math.pi)


def kalman_scalar(
    y,
    mean,
    cov,
    transition,
    transition_offset,
    transition_cov,
    observation,
    observation_offset,
    observation_cov,
):
    length = len(y)
    A, c, Q = transition, transition_offset, transition_cov
    H, d, R = observation, observation_offset, observation_cov
    by_y, by_mean, by_cov = np.zeros(length), np.zeros(1), np.zeros(1)
    by_A, by_c, by_Q = np.zeros(len(A)), np.zeros(len(c)), np.zeros(len(Q))
    by_H, by_d, by_R = np.zeros(len(H)), np.zeros(len(d)), np.zeros(len(R))
    a, P, F = np.empty(length), np.empty(length), np.empty(length)
    v = np.zeros(length)
    log_prob = 0.0
    a[0], P[0] = mean[0], cov[0]
    for t in range(length):
        h, r = H[min(t, len(H) - 1)], R[min(t, len(R) - 1)]
        F[t] = h * h * P[t] + r
        filtered, spread = a[t], P[t]
        if not math.isnan(y[t]):
            if not F[t] > 0.0:
                log_prob = math.nan
                break
            v[t] = y[t] - d[min(t, len(d) - 1)] - h * a[t]
            log_prob -= 0.5 * (math.log(F[t]) + v[t] * v[t] / F[t] + LOG_TWO_PI)
            filtered += P[t] * h / F[t] * v[t]
            spread = P[t] * (r / F[t])
        if t + 1 < length:
            step = A[min(t, len(A) - 1)]
            a[t + 1] = step * filtered + c[min(t, len(c) - 1)]
            P[t + 1] = step * step * spread + Q[min(t, len(Q) - 1)]
    r1, N1 = 0.0, 0.0
    for t in range(length - 1, -1, -1):
        step = A[min(t, len(A) - 1)] if t + 1 < length else 0.0
        kept, gain, u = 1.0, 0.0, 0.0
        h = 0.0
        if not math.isnan(y[t]):
            h = H[min(t, len(H) - 1)]
            kept = R[min(t, len(R) - 1)] / F[t]
            gain = P[t] * h / F[t]
            u = v[t] / F[t]
        K, L = step * gain, step * kept
        r, N = h * u + L * r1, L * L * N1
        x = a[t] + P[t] * r
        u -= K * r1
        LPN = L * P[t] * N1
        if not math.isnan(y[t]):
            N += h * h / F[t]
            by_y[t] = -u
            by_d[min(t, len(d) - 1)] += u
            by_H[min(t, len(H) - 1)] += u * x - gain + K * LPN
            by_R[min(t, len(R) - 1)] += 0.5 * (u * u - 1.0 / F[t] - K * K * N1)
        if t + 1 < length:
            by_A[min(t, len(A) - 1)] += r1 * x - LPN
            by_c[min(t, len(c) - 1)] += r1
            by_Q[min(t, len(Q) - 1)] += 0.5 * (r1 * r1 - N1)
        r1, N1 = r, N
    by_mean[0], by_cov[0] = r1, 0.5 * (r1 * r1 - N1)
    return log_prob, by_y, by_mean, by_cov, by_A, by_c, by_Q, by_H, by_d, by_R


def are_covariances(each):
    """As `linear_gaussian_density.are_covariances`, by the pivots of a triangular factorisation."""
    count, n, _ = each.shape
    good = np.ones(count, dtype=np.bool_)
    root, L = np.empty(n), np.empty((n, n))
    for k in range(count):
        for i in range(n):
            root[i] = math.sqrt(each[k, i, i]) if each[k, i, i] > 0.0 else 1.0
        for i in range(n):
            for j in range(i + 1):
                scale = root[i] * root[j]
                if not abs(each[k, i, j] - each[k, j, i]) <= 1e-10 * scale:
                    good[k] = False
                rest = each[k, i, j] / scale + (1e-10 if i == j else 0.0)
                for m in range(j):
                    rest -= L[i, m] * L[j, m]
                if i > j:
                    L[i, j] = rest / L[j, j]
                elif rest > 0.0:
                    L[i, i] = math.sqrt(rest)
                else:
                    good[k], L[i, i] = False, 1.0
    return good
