"""The log density of autoregressive series, and its gradients in closed form.

For the deviations d of a series from its mean, with coefficients phi_1, ..., phi_p,

    e_t = d_t - sum_i phi_i d_(t-i),    w_k = sum_(j <= k) phi_(p-k+j) d_j,    k = 1, ..., p

where d is 0 before the first value. If the series is stationary, d is normal with the inverse
covariance Q / std^2, and

    d^T Q d = sum_t e_t^2 - sum_k w_k^2,    log det Q = sum_k k log(1 - r_k^2)

for the partial autocorrelations r_k. Both sums are matrix products over the whole series; only the
recursion from phi to r has a loop, over the p orders.

Reference: Gohberg and Semencul, 1972, for the inverse of the first p values' covariance; Box,
Jenkins and Reinsel, Time series analysis, appendix A7.4; Barndorff-Nielsen and Schou, 1973, for r.
"""

import math
from typing import Any

from genparams.autodiff import np, shape_of

_LOG_TWO_PI = math.log(2.0 * math.pi)

Densities = tuple[Any, Any, Any, Any]
"""The log density of each series, and its gradients by the deviations, the coefficients and std."""


def stationary(d: Any, phi: Any, std: Any) -> Densities:
    """The log density of whole series that are stationary; NaN or infinite where none is.

    Args:
        d: Deviations from the mean, a row of at least p for each series.
        phi: Coefficients, a row of p for each series.
        std: The standard deviation of an innovation, one for each series.
    """
    order = shape_of(phi)[1]
    past, head = _lagged(d, 1, order), _lagged(d[:, :order], 0, order)
    backwards = phi[:, ::-1]
    e, w = d - _weighted(phi, past), _weighted(backwards, head)
    log_det, log_det_by_phi = _log_det(phi)
    precision, square = std**-2.0, np.sum(e * e, axis=1) - np.sum(w * w, axis=1)
    log_density = _normal(shape_of(d)[1], std, square) + 0.5 * log_det

    by_head = _adjoint(backwards, w, 0)
    beyond = np.zeros((shape_of(d)[0], shape_of(d)[1] - order))
    by_d = _adjoint(phi, e, 1) - e + np.concatenate([by_head, beyond], axis=1)
    by_phi = _products(past, e) + _products(head, w)[:, ::-1]
    return (
        log_density,
        precision[:, None] * by_d,
        precision[:, None] * by_phi + 0.5 * log_det_by_phi,
        (square * precision - shape_of(d)[1]) / std,
    )


def conditional(d: Any, phi: Any, std: Any) -> Densities:
    """The log density of all but the first p values of each series, given these."""
    order = shape_of(phi)[1]
    past = _lagged(d, 1, order)[:, :, order:]
    e = d[:, order:] - _weighted(phi, past)
    precision, square = std**-2.0, np.sum(e * e, axis=1)
    before = np.zeros((shape_of(d)[0], order))
    padded = np.concatenate([before, e], axis=1)
    return (
        _normal(shape_of(e)[1], std, square),
        precision[:, None] * (_adjoint(phi, padded, 1) - padded),
        precision[:, None] * _products(past, e),
        (square * precision - shape_of(e)[1]) / std,
    )


def _normal(count: int, std: Any, square: Any) -> Any:
    return -0.5 * square * std**-2.0 - count * (np.log(std) + 0.5 * _LOG_TWO_PI)


def _lagged(d: Any, first: int, count: int) -> Any:
    """d_(t - first - i) at [:, i, t], and 0 before the first value."""
    rows, length = shape_of(d)
    padded = np.concatenate([np.zeros((rows, first + count - 1)), d], axis=1)
    starts = range(count - 1, -1, -1)
    return np.stack([padded[:, start : start + length] for start in starts], axis=1)


def _weighted(weights: Any, lagged: Any) -> Any:
    """sum_i weights_i lagged[i, t] for each series."""
    return (weights[:, None, :] @ lagged)[:, 0, :]


def _products(lagged: Any, e: Any) -> Any:
    """sum_t lagged[i, t] e_t for each series."""
    return (lagged @ e[:, :, None])[:, :, 0]


def _adjoint(weights: Any, e: Any, first: int) -> Any:
    """sum_i weights_i e_(t + first + i): the transpose of `_weighted` by the lags."""
    return _weighted(weights, _lagged(e[:, ::-1], first, shape_of(weights)[1]))[:, ::-1]


# --- Partial autocorrelations


def step_down(phi: Any) -> list[Any]:
    """The coefficients of every order k = p, ..., 1, of which the last is r_k.

        phi^(k-1)_j = (phi^(k)_j + r_k phi^(k)_(k-j)) / (1 - r_k^2),    j = 1, ..., k - 1

    They predict a value from the k values before it.
    """
    orders = [phi]
    for k in range(shape_of(phi)[-1], 1, -1):
        phi, r = phi[..., : k - 1], phi[..., k - 1 : k]
        phi = (phi + r * phi[..., ::-1]) / (1.0 - r * r)
        orders.append(phi)
    return orders


def step_up(partial: Any) -> Any:
    """The coefficients with these partial autocorrelations: the inverse of `step_down`."""
    phi = partial[..., :1]
    for k in range(2, shape_of(partial)[-1] + 1):
        r = partial[..., k - 1 : k]
        phi = np.concatenate([phi - r * phi[..., ::-1], r], axis=-1)
    return phi


def _log_det(phi: Any) -> tuple[Any, Any]:
    """log det Q, and its gradient by phi, by the steps down in reverse."""
    log_det, g = 0.0, None
    for k, a in enumerate(reversed(step_down(phi)), 1):
        r = a[:, k - 1 :]
        keep = 1.0 - r * r
        log_det = log_det + k * np.log(keep[:, 0])
        by_r = -2.0 * k * r
        if g is None:
            g = by_r / keep
            continue
        head = a[:, : k - 1]
        below = (head + r * head[:, ::-1]) / keep
        by_r = by_r + np.sum(g * (head[:, ::-1] + 2.0 * r * below), axis=1, keepdims=True)
        g = np.concatenate([g + r * g[:, ::-1], by_r], axis=1) / keep
    return log_det, g
