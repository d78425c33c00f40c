"""The distribution that is uniform in each of several pieces."""

from typing import Any

from genparams.autodiff import as_array, np, raw, shape_of, sum_to
from genparams.dsl.distributions import signatures
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.declaration import Declaration, Pullback, Terms, is_one
from genparams.dsl.distributions.domains import Domain, finite, real_number, weights
from genparams.dsl.distributions.regions import Between
from genparams.dsl.distributions.signatures import called_as
from genparams.errors import ShapeError


def _pieces_fit(bounds: Any, probs: Any) -> None:
    k = shape_of(probs)[-1]
    if shape_of(bounds)[-1] != k + 1:
        raise ShapeError(
            f"bounds of piecewise_uniform must be one longer than probs, "
            f"got {shape_of(bounds)[-1]} and {k}"
        )


def _piecewise_uniform_terms(x: Any, bounds: Any, probs: Any) -> Terms:
    place = as_array(raw(x))[..., None]
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
            region=lambda bounds, probs: Between(bounds[..., 0], bounds[..., -1]),
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
