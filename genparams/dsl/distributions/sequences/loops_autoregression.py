"""The functions of `autoregression` over numbers, as plain loops for a compiler of such loops.

They take and return the same float64 arrays.
"""

import math

import numpy as np


def stationary(d, phi, std):
    rows, length = d.shape
    order = phi.shape[1]
    log_density, by_std = np.zeros(rows), np.zeros(rows)
    by_d, by_phi = np.zeros((rows, length)), np.zeros((rows, order))
    down, up = np.zeros((order + 1, order + 1)), np.zeros((order + 1, order + 1))
    for n in range(rows):
        precision = 1.0 / (std[n] * std[n])
        square = 0.0
        for t in range(length):
            e = d[n, t]
            for i in range(min(order, t)):
                e -= phi[n, i] * d[n, t - 1 - i]
            square += e * e
            by_d[n, t] -= precision * e
            for i in range(min(order, t)):
                by_d[n, t - 1 - i] += precision * e * phi[n, i]
                by_phi[n, i] += precision * e * d[n, t - 1 - i]
        for k in range(order):
            w = 0.0
            for j in range(k + 1):
                w += phi[n, order - 1 - k + j] * d[n, j]
            square -= w * w
            for j in range(k + 1):
                by_d[n, j] += precision * w * phi[n, order - 1 - k + j]
                by_phi[n, order - 1 - k + j] += precision * w * d[n, j]

        log_det = 0.0
        for j in range(order):
            down[order, j] = phi[n, j]
        for k in range(order, 0, -1):
            r = down[k, k - 1]
            keep = (1.0 - r) * (1.0 + r)
            if not keep > 0.0:
                log_det = math.nan
                break
            log_det += k * math.log(keep)
            for j in range(k - 1):
                down[k - 1, j] = (down[k, j] + r * down[k, k - 2 - j]) / keep
        if not (math.isfinite(log_det) and std[n] > 0.0):
            log_density[n] = math.nan
            continue
        for k in range(1, order + 1):
            r = down[k, k - 1]
            keep = (1.0 - r) * (1.0 + r)
            by_r = -2.0 * k * r
            for j in range(k - 1):
                by_r += up[k - 1, j] * (down[k, k - 2 - j] + 2.0 * r * down[k - 1, j])
                up[k, j] = (up[k - 1, j] + r * up[k - 1, k - 2 - j]) / keep
            up[k, k - 1] = by_r / keep
        for j in range(order):
            by_phi[n, j] += 0.5 * up[order, j]
        each = math.log(std[n]) + 0.5 * math.log(2.0 * math.pi)
        log_density[n] = 0.5 * (log_det - square * precision) - length * each
        by_std[n] = (square * precision - length) / std[n]
    return log_density, by_d, by_phi, by_std


def conditional(d, phi, std):
    rows, length = d.shape
    order = phi.shape[1]
    log_density, by_std = np.zeros(rows), np.zeros(rows)
    by_d, by_phi = np.zeros((rows, length)), np.zeros((rows, order))
    for n in range(rows):
        if not std[n] > 0.0:
            log_density[n] = math.nan
            continue
        precision = 1.0 / (std[n] * std[n])
        square = 0.0
        for t in range(order, length):
            e = d[n, t]
            for i in range(order):
                e -= phi[n, i] * d[n, t - 1 - i]
            square += e * e
            by_d[n, t] -= precision * e
            for i in range(order):
                by_d[n, t - 1 - i] += precision * e * phi[n, i]
                by_phi[n, i] += precision * e * d[n, t - 1 - i]
        count = length - order
        each = math.log(std[n]) + 0.5 * math.log(2.0 * math.pi)
        log_density[n] = -0.5 * square * precision - count * each
        by_std[n] = (square * precision - count) / std[n]
    return log_density, by_d, by_phi, by_std
