"""The Dirichlet and the multinomial distribution: vectors whose entries have a fixed sum."""

from dataclasses import dataclass
from typing import Any

from genparams.autodiff import as_array, np, raw, shape_of, special, sum_to
from genparams.dsl.distributions import signatures
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.declaration import Declaration, Terms, with_axes
from genparams.dsl.distributions.domains import (
    ValueKind,
    above_zero,
    bound_vector,
    count,
    weights,
    whole,
)
from genparams.dsl.distributions.elementwise import per
from genparams.dsl.distributions.regions import SIMPLEX, always
from genparams.dsl.distributions.signatures import called_as
from genparams.numeric import FEW, arrays, deviance, exact_product, log_near, psi_less_log, stirling

_TINY = 1e-307
"""Entries of a probability vector below which floats have fewer digits."""


def _dirichlet_terms(x: Any, alpha: Any) -> Terms:
    inside = np.all(raw(x) >= 0.0, axis=-1) & (np.abs(np.sum(raw(x), axis=-1) - 1.0) < 1e-8)
    there = inside[..., None]
    y = np.where(there, x, 1.0)
    mass = np.sum(alpha, axis=-1)
    large = inside & (raw(mass) > FEW)
    if np.any(large):
        large = large & np.all(raw(x) > _TINY, axis=-1)
    saddle = _DirichletSaddle(y, alpha, large)

    def plain() -> Any:
        kernel = np.sum(special.xlogy(alpha - 1.0, y), axis=-1)
        return kernel + special.gammaln(mass) - np.sum(special.gammaln(alpha), axis=-1)

    def plain_by_alpha() -> Any:
        return np.log(y) + with_axes(special.psi(mass), 1) - special.psi(alpha)

    def by_alpha(g: Any) -> Any:
        each = arrays.choose(large[..., None], saddle.by_alpha, plain_by_alpha)
        return sum_to(with_axes(g, 1) * np.where(there, each, 0.0), shape_of(alpha))

    def by_x(g: Any) -> Any:
        each = np.where(there, per(arrays, alpha - 1.0, y), 0.0)
        return sum_to(with_axes(g, 1) * each, shape_of(x))

    log_density = arrays.choose(large, saddle.log_density, plain)
    return np.where(inside, log_density, -np.inf), (by_x, by_alpha)


@dataclass(frozen=True, slots=True)
class _DirichletSaddle:
    """The Dirichlet by the difference alpha - mass x, after the formulas of Loader for counts.

    Where `asked` is False, x and alpha are 1.

    Reference: Loader, 2000, Fast and accurate computation of binomial probabilities.
    """

    x: Any
    alpha: Any
    asked: Any

    def _parts(self) -> tuple[Any, ...]:
        each = self.asked[..., None]
        a, x = np.where(each, self.alpha, 1.0), np.where(each, self.x, 1.0)
        mass, lost = _exact_sum(self.alpha)
        mass, lost = np.where(self.asked, mass, 1.0), np.where(self.asked, lost, 0.0)
        mean, lost_mean = exact_product(arrays, with_axes(mass, 1), x)
        return a, x, mass, lost, mean, lost_mean, a - mean

    def log_density(self) -> Any:
        a, x, mass, lost, mean, lost_mean, excess = self._parts()
        each = stirling(arrays, a) + deviance(arrays, a, mean, excess - lost_mean) - lost_mean
        whole, lost_whole = _exact_sum(excess)
        rest = np.sum(each + np.log(x) - np.log(a), axis=-1) + whole + (lost_whole - lost)
        return stirling(arrays, mass) - np.log(mass) - rest

    def by_alpha(self) -> Any:
        a, _, mass, lost, mean, lost_mean, excess = self._parts()
        shared = psi_less_log(arrays, mass) + lost / mass
        return (
            log_near(arrays, lost_mean - excess, a, lambda: np.log(mean) - np.log(a))
            + with_axes(shared, 1)
            - psi_less_log(arrays, a)
        )


def _exact_sum(a: Any) -> tuple[Any, Any]:
    """The sum along the last axis, and what rounding took from it (Knuth's two-sum)."""
    total, parts = np.sum(a, axis=-1), raw(a)
    sums = np.cumsum(parts, axis=-1)
    before = np.concatenate([np.zeros_like(sums[..., :1]), sums[..., :-1]], axis=-1)
    added = sums - before
    lost = before - (sums - added) + (parts - added)
    return total, sums[..., -1] - raw(total) + np.sum(lost, axis=-1)


def _draw_dirichlet(rng: Any, alpha: Any, size: tuple[int, ...]) -> Any:
    """Gamma draws over their sum; by logarithms where alpha < 1, since the draws may underflow."""
    shape = (*size, np.shape(alpha)[-1])
    if np.all(alpha >= 1.0):
        parts = rng.standard_gamma(alpha, shape)
    else:
        # A gamma(a + 1) draw times u^(1 / a) is a gamma(a) draw.
        logs = np.log(rng.standard_gamma(alpha + 1.0, shape)) - rng.exponential(size=shape) / alpha
        parts = np.exp(logs - np.max(logs, axis=-1, keepdims=True))
    return parts / np.sum(parts, axis=-1, keepdims=True)


def _off_the_simplex(row: Any) -> str:
    low = np.min(row)
    return f"has an entry {float(low)!r}" if low < 0.0 else _sum_in_words(row)


def _sum_in_words(row: Any) -> str:
    return f"sums to {float(np.sum(row)):.10g}"


def _no_counts(row: Any) -> str:
    bad = row[(row < 0) | (row != np.floor(row)) | ~np.isfinite(row)]
    return f"has an entry {bad[0].item()!r}" if bad.size else _sum_in_words(row)


dirichlet = called_as(signatures.dirichlet)(
    Distribution(
        Declaration(
            name="dirichlet",
            arguments={"alpha": above_zero.within(1)},
            kind=bound_vector,
            region=always(SIMPLEX),
            draw=_draw_dirichlet,
            terms=_dirichlet_terms,
            support="vectors of numbers of at least 0 that sum to 1",
            fault=_off_the_simplex,
            doc="""The Dirichlet distribution over vectors of positive numbers that sum to 1;
    `alpha` has shape (..., K).

    log p(x) = sum_k (alpha_k - 1) log x_k + log Gamma(sum_k alpha_k) - sum_k log Gamma(alpha_k)

    As `scipy.stats.dirichlet(alpha)`.

    The gradient by x is for free entries.
    """,
        )
    )
)


def _multinomial_terms(x: Any, n: Any, probs: Any) -> Terms:
    x = as_array(x)
    whole_up = np.all((x >= 0.0) & (x == np.floor(x)), axis=-1)
    inside = whole_up & (np.sum(np.where(np.isfinite(x), x, -1.0), axis=-1) == raw(n))
    batch = np.broadcast_shapes(inside.shape, shape_of(n), shape_of(probs)[:-1])
    inside = np.broadcast_to(inside, batch)
    there = inside[..., None]
    x, trials = np.where(there, x, 0.0), np.where(inside, raw(n), 0.0)[..., None]
    mean, lost = exact_product(arrays, trials, probs)
    excess = x - mean
    each = stirling(arrays, x) + deviance(arrays, x, mean, excess - lost) - lost
    rest = np.sum(each, axis=-1) + np.sum(excess, axis=-1)
    log_density = stirling(arrays, trials[..., 0]) - rest

    def by_probs(g: Any) -> Any:
        some = x > 0.0
        share = np.where(some, x, 0.0) / np.where(some, probs, 1.0)
        return sum_to(with_axes(g, 1) * share, shape_of(probs))

    return np.where(inside, log_density, -np.inf), (None, None, by_probs)


def _draw_multinomial(rng: Any, n: Any, probs: Any, size: tuple[int, ...]) -> Any:
    probs = probs / np.sum(probs, axis=-1, keepdims=True)
    return rng.multinomial(np.asarray(n, dtype=np.int64), probs, size)


multinomial = called_as(signatures.multinomial)(
    Distribution(
        Declaration(
            name="multinomial",
            arguments={"n": count, "probs": weights},
            kind=ValueKind(1, whole.convert),
            draw=_draw_multinomial,
            terms=_multinomial_terms,
            support="vectors of whole numbers from 0 on that sum to n",
            fault=_no_counts,
            event=lambda args: shape_of(args[1])[-1:],
            doc="""How often each of K outcomes came up in `n` trials; `probs` has shape (..., K).

    log p(x) = log n! + sum_k (x_k log probs_k - log x_k!)

    for whole x_k that sum to n. The gradient by `probs` is for free entries, x_k / probs_k.

    As `scipy.stats.multinomial(n, probs)`.
    """,
        )
    )
)
