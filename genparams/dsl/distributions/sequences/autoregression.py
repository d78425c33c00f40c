"""The log density of autoregressive series, and its gradients in closed form.

For the deviations d of a series from its mean, with coefficients phi_1, ..., phi_p,

    e_t = d_t - sum_i phi_i d_(t-i),    w_k = sum_(j <= k) phi_(p-k+j) d_j,    k = 1, ..., p

where d is 0 before the first value. If the series is stationary, d is normal with the inverse
covariance Q / std^2, and

    d^T Q d = sum_t e_t^2 - sum_k w_k^2,    log det Q = sum_k k log(1 - r_k^2)

for the partial autocorrelations r_k. The sums have no loop over time; the recursion from phi to r
has one over the p orders.

Reference: Gohberg and Semencul, 1972, for the inverse of a covariance of this kind;
Barndorff-Nielsen and Schou, 1973, for r.
"""

import math
from typing import Any

from genparams.autodiff import np, shape_of
from genparams.dsl.distributions.sequences import loops_autoregression
from genparams.program.recorded import recordable

_LOG_TWO_PI = math.log(2.0 * math.pi)

Densities = tuple[Any, Any, Any, Any]
"""The log density of each series, and its gradients by the deviations, the coefficients and std."""


@recordable(loops_autoregression.stationary)
def stationary(d: Any, phi: Any, std: Any) -> Densities:
    """The log density of whole series that are stationary; NaN or infinite where none is.

    Args:
        d: Deviations from the mean, a row of at least p for each series.
        phi: Coefficients, a row of p for each series.
        std: The standard deviation of an innovation, one for each series.
    """
    order, length = shape_of(phi)[1], shape_of(d)[1]
    head, backwards = d[:, :order], phi[:, ::-1]
    e, w = d - _filtered(phi, d, 1), _filtered(backwards, head, 0)
    log_det, log_det_by_phi = _log_det(phi)
    precision, square = std**-2.0, np.sum(e * e, axis=1) - np.sum(w * w, axis=1)
    log_density = _normal(length, std, square) + 0.5 * log_det

    by_head = np.concatenate([_adjoint(backwards, w, 0), np.zeros(_beyond(d, order))], axis=1)
    by_d = _adjoint(phi, e, 1) - e + by_head
    by_phi = _products(d, e, 1, order) + _products(head, w, 0, order)[:, ::-1]
    return (
        log_density,
        precision[:, None] * by_d,
        precision[:, None] * by_phi + 0.5 * log_det_by_phi,
        (square * precision - length) / std,
    )


@recordable(loops_autoregression.conditional)
def conditional(d: Any, phi: Any, std: Any) -> Densities:
    """The log density of all but the first p values of each series, given these."""
    order = shape_of(phi)[1]
    count = shape_of(d)[1] - order
    e = (d - _filtered(phi, d, 1))[:, order:]
    precision, square = std**-2.0, np.sum(e * e, axis=1)
    padded = np.concatenate([np.zeros((shape_of(d)[0], order)), e], axis=1)
    return (
        _normal(count, std, square),
        precision[:, None] * (_adjoint(phi, padded, 1) - padded),
        precision[:, None] * _products(d, padded, 1, order),
        (square * precision - count) / std,
    )


def _normal(count: int, std: Any, square: Any) -> Any:
    return -0.5 * square * std**-2.0 - count * (np.log(std) + 0.5 * _LOG_TWO_PI)


def _beyond(d: Any, order: int) -> tuple[int, int]:
    return shape_of(d)[0], shape_of(d)[1] - order


# --- Sums over lags


def _is_one(d: Any) -> bool:
    """Whether numpy's functions of one series are enough."""
    return type(d) is np.ndarray and len(d) == 1


def _lagged(d: Any, first: int, count: int) -> Any:
    """d_(t - first - i) at [:, i, t], and 0 before the first value."""
    rows, length = shape_of(d)
    padded = np.concatenate([np.zeros((rows, first + count - 1)), d], axis=1)
    starts = range(count - 1, -1, -1)
    return np.stack([padded[:, start : start + length] for start in starts], axis=1)


def _filtered(weights: Any, d: Any, first: int) -> Any:
    """sum_i weights_i d_(t - first - i) for each series and t."""
    if _is_one(d) and _is_one(weights):
        found = np.convolve(weights[0], d[0])
        return np.concatenate([np.zeros(first), found])[None, : len(d[0])]
    return (weights[:, None, :] @ _lagged(d, first, shape_of(weights)[1]))[:, 0, :]


def _adjoint(weights: Any, e: Any, first: int) -> Any:
    """sum_i weights_i e_(t + first + i): the transpose of `_filtered`."""
    return _filtered(weights, e[:, ::-1], first)[:, ::-1]


def _products(d: Any, e: Any, first: int, count: int) -> Any:
    """sum_t d_(t - first - i) e_t for each series and i."""
    if _is_one(d) and _is_one(e):
        x, y = d[0], e[0]
        lags = range(first, first + count)
        return np.array([[x[: max(len(x) - lag, 0)] @ y[lag:] for lag in lags]])
    return (_lagged(d, first, count) @ e[:, :, None])[:, :, 0]


# --- Partial autocorrelations


def step_down(phi: Any) -> list[Any]:
    """The coefficients of every order k = p, ..., 1, of which the last is r_k.

        phi^(k-1)_j = (phi^(k)_j + r_k phi^(k)_(k-j)) / (1 - r_k^2),    j = 1, ..., k - 1

    They predict a value from the k values before it.
    """
    orders = [phi]
    for k in range(shape_of(phi)[-1], 1, -1):
        phi, r = phi[..., : k - 1], phi[..., k - 1 : k]
        phi = (phi + r * phi[..., ::-1]) / ((1.0 - r) * (1.0 + r))
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
    orders = [list(phi[0]) if _is_one(phi) else [phi[:, j] for j in range(shape_of(phi)[1])]]
    while len(orders[-1]) > 1:
        *a, r = orders[-1]
        keep = (1.0 - r) * (1.0 + r)
        orders.append([(x + r * y) / keep for x, y in zip(a, a[::-1], strict=True)])
    log_det, below, g = 0.0, [], []
    for k, (*a, r) in enumerate(reversed(orders), 1):
        keep = (1.0 - r) * (1.0 + r)
        log_det = log_det + k * np.log(keep)
        each = zip(g, a[::-1], below, strict=True)
        by_r = sum((c * (x + 2.0 * r * b) for c, x, b in each), -2.0 * k * r)
        g = [(c + r * y) / keep for c, y in zip(g, g[::-1], strict=True)] + [by_r / keep]
        below = [*a, r]
    return log_det, np.array([g]) if _is_one(phi) else np.stack(g, axis=1)
