"""Distributions over real numbers between bounds that are arguments, or around a circle."""

import math
from typing import Any

from genparams.autodiff import np, raw, shape_of, sum_to
from genparams.dsl.distributions import signatures
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.continuous import log_beta_density
from genparams.dsl.distributions.declaration import Declaration
from genparams.dsl.distributions.domains import (
    Domain,
    above_zero,
    at_least_zero,
    finite,
    lazy_finite,
    probability,
    real_number,
    weights,
)
from genparams.dsl.distributions.elementwise import elementwise
from genparams.dsl.distributions.pullbacks import Pullback, Terms, is_one
from genparams.dsl.distributions.signatures import called_as
from genparams.errors import ShapeError

# --- Around a circle


def _draw_von_mises(rng, mu, kappa, size):
    angle = mu + rng.vonmises(0.0, kappa, size)
    return np.mod(angle + math.pi, 2.0 * math.pi) - math.pi


def _one_less_mean_cosine(m, kappa):
    """1 - I1(kappa) / I0(kappa)."""
    large = kappa > 500.0

    def by_series():
        b = 1.0 / m.where(large, kappa, 500.0)
        rest = 1 / 8 + b * (25 / 128 + b * (13 / 32 + b * 1073 / 1024))
        return b * (1 / 2 + b * (1 / 8 + b * rest))

    def by_bessel():
        k = m.where(large, 500.0, kappa)
        return 1.0 - m.i1e(k) / m.i0e(k)

    return m.choose(large, by_series, by_bessel)


@called_as(signatures.von_mises)
@elementwise(
    mu=lazy_finite,
    kappa=at_least_zero,
    inside=lambda x, mu, kappa: (x >= -math.pi) & (x <= math.pi),
    support="the angles from -pi to pi",
    draw=_draw_von_mises,
)
def von_mises(m, x, mu, kappa):
    """The von Mises distribution of an angle x in [-pi, pi] around `mu`, any angle.

    log p(x) = kappa cos(x - mu) - log(2 pi I0(kappa))
    """
    off = x - mu
    half = m.sin(0.5 * off)
    return (
        -2.0 * kappa * (half * half) - m.log(2.0 * math.pi * m.i0e(kappa)),
        (
            lambda: -kappa * m.sin(off),
            lambda: kappa * m.sin(off),
            lambda: _one_less_mean_cosine(m, kappa) - 2.0 * (half * half),
        ),
    )


# --- Between bounds, in pieces


@called_as(signatures.beta_uniform)
@elementwise(
    theta=probability,
    alpha=above_zero,
    beta=above_zero,
    inside=lambda x, theta, alpha, beta: (x >= 0.0) & (x <= 1.0),
    support="the numbers from 0 to 1",
    draw=lambda rng, theta, alpha, beta, size: np.where(
        rng.random(size) < theta, rng.beta(alpha, beta, size), rng.random(size)
    ),
)
def beta_uniform(m, x, theta, alpha, beta):
    """beta(alpha, beta) with probability `theta`, else uniform on [0, 1].

    log p(x) = log(theta exp(log_beta(x)) + 1 - theta)

    where log_beta is the log density of beta(alpha, beta).
    """
    log_beta, partials = log_beta_density(m, x, alpha, beta)
    some = theta > 0.0
    log_first = m.where(some, m.log(m.where(some, theta, 1.0)) + log_beta, -math.inf)
    log_density = m.logaddexp(log_first, m.log1p(-theta))
    lasting = m.abs(log_density) < math.inf  # else all of the density is the beta's
    level = m.where(lasting, log_density, 0.0)

    def first():
        """The probability that x is from the beta."""
        return m.where(lasting, m.exp(m.where(lasting, log_first, 0.0) - level), 1.0)

    def through(partial):
        part = first()
        some = part > 0.0
        return m.where(some, part * m.where(some, partial(), 0.0), 0.0)

    def by_theta():
        ratio = m.exp(m.where(lasting, log_beta, 0.0) - level) - m.exp(-level)
        at_end = m.where(log_density > 0.0, m.ratio(1.0, m.where(lasting, 1.0, theta)), -math.inf)
        return m.where(lasting, ratio, at_end)

    return (
        log_density,
        (lambda: through(partials[0]), by_theta)
        + tuple(lambda p=partial: through(p) for partial in partials[1:]),
    )


def _pieces_fit(bounds: Any, probs: Any) -> None:
    k = shape_of(probs)[-1]
    if shape_of(bounds)[-1] != k + 1:
        raise ShapeError(
            f"bounds of piecewise_uniform must be one longer than probs, "
            f"got {shape_of(bounds)[-1]} and {k}"
        )


def _piecewise_uniform_terms(x: Any, bounds: Any, probs: Any) -> Terms:
    place = np.asarray(raw(x))[..., None]
    edges = raw(bounds)
    inside = (place[..., 0] > edges[..., 0]) & (place[..., 0] < edges[..., -1])
    here = (place >= edges[..., :-1]) & (place < edges[..., 1:]) & inside[..., None]
    p = np.where(here, probs, 1.0)
    width = np.where(here, bounds[..., 1:] - bounds[..., :-1], 1.0)

    def spread(g: Any) -> Any:
        g = np.broadcast_to(g, inside.shape) if is_one(g) else g
        return np.where(here, np.reshape(g, (*shape_of(g), 1)), 0.0)

    def by_bounds(g: Any) -> Any:
        share = spread(g) / width
        none = np.zeros((*here.shape[:-1], 1))
        share = np.concatenate([share, none], axis=-1) - np.concatenate([none, share], axis=-1)
        return sum_to(share, shape_of(bounds))

    pulls: tuple[Pullback, ...] = (
        lambda g: sum_to(0.0 * np.broadcast_to(g, inside.shape), shape_of(x)),
        by_bounds,
        lambda g: sum_to(spread(g) / p, shape_of(probs)),
    )
    log_density = np.sum(np.log(p) - np.log(width), axis=-1)
    return np.where(inside, log_density, -np.inf), pulls


def _draw_piecewise_uniform(rng: Any, bounds: Any, probs: Any, size: tuple[int, ...]) -> Any:
    above = np.cumsum(probs, axis=-1)
    u = rng.random(size)[..., None] if size else rng.random()
    piece = np.sum(u * above[..., -1:] >= above, axis=-1)[..., None]
    bounds = np.broadcast_to(bounds, (*piece.shape[:-1], np.shape(bounds)[-1]))
    low = np.take_along_axis(bounds, piece, -1)[..., 0]
    high = np.take_along_axis(bounds, piece + 1, -1)[..., 0]
    x = low + (high - low) * (1.0 - rng.random(size))
    return np.where(x < bounds[..., -1], x, 0.5 * (low + high))


piecewise_uniform = called_as(signatures.piecewise_uniform)(
    Distribution(
        Declaration(
            name="piecewise_uniform",
            arguments={
                "bounds": Domain(
                    "finite and increasing along the last axis",
                    finite.test,
                    rank=1,
                    member=lambda v: np.all(v[..., 1:] > v[..., :-1], axis=-1),
                ),
                "probs": weights,
            },
            kind=real_number,
            draw=_draw_piecewise_uniform,
            terms=_piecewise_uniform_terms,
            fit=_pieces_fit,
            support="the numbers between the first of bounds and the last",
            doc="""Uniform between neighbours of K + 1 increasing `bounds`, in piece k with
    probability probs[k].

    log p(x) = log probs[k] - log(bounds[k + 1] - bounds[k]),   bounds[k] <= x < bounds[k + 1]

    for bounds[0] < x < bounds[K]. `bounds` has shape (..., K + 1) and `probs` (..., K). The
    gradient by `probs` is for free entries, 1 / probs[k].
    """,
        )
    )
)
