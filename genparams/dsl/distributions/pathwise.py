"""Path derivatives: how a draw moves with the arguments of its distribution, the noise held.

A draw is x = h(noise; a) for noise whose distribution does not depend on the arguments a. Where h
is smooth, the gradient of an expectation goes through the draw:

    d/da E[f(x)] = E[f'(x) dx/da]

The derivative dx/da is written in x and a. Which h it is for does not matter where x is one number:
it is minus dF/da over the density, for the distribution function F. So it needs no noise, and is
known for a value that was drawn in any way. Families of location and scale have explicit formulas,
`implicit.py` has the others. Discrete distributions, mixtures and distributions of a user have
none; nothing is approximated.
"""

from collections.abc import Callable, Sequence
from typing import Any

from genparams.autodiff import Box, Tape, np, operand, raw, shape_of, sum_product_to, sum_to
from genparams.dsl.distributions import continuous as c
from genparams.dsl.distributions import transformed
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.composite import Product
from genparams.dsl.distributions.declaration import Pullback, Slope, once
from genparams.dsl.distributions.implicit import Slopes, between_limits, implicit
from genparams.dsl.distributions.limits import limited
from genparams.dsl.distributions.limits.families import FAMILIES
from genparams.dsl.distributions.multivariate import dirichlet
from genparams.dsl.distributions.mvnormal import mvnormal
from genparams.dsl.distributions.parts import with_arguments
from genparams.numeric import arrays, log_ratio, quiet, scalars

Path = Callable[[Any, Sequence[Any]], Sequence[Pullback]]
"""From a draw and the arguments to a pullback for each argument: from a gradient by the draw to the
gradient by the argument, in its shape."""


def has_path(distribution: Any) -> bool:
    """Whether the draws of a distribution have a derivative by every argument."""
    if distribution in PATHS:
        return True
    if isinstance(distribution, Product):
        return all(map(has_path, distribution.parts))
    return isinstance(distribution, Distribution) and path_of(distribution) is not None


def moving(tape: Tape, distribution: Any, x: Any, operands: Sequence[Any]) -> Any:
    """A draw as a box that moves with the operands on a tape; as it is if none is on the tape."""
    if isinstance(distribution, Product):
        parts = with_arguments(distribution.parts, operands)
        return tuple(moving(tape, part, v, own) for v, (part, own) in zip(x, parts, strict=True))
    boxed = [i for i, o in enumerate(operands) if type(o) is Box and o.tape is tape]
    if not boxed:
        return x
    args = [raw(o) for o in operands]
    slopes = PATHS.get(distribution)
    if slopes is not None and type(x) is float:
        found = slopes(scalars, x, *args)
        return tape.record(x, [(operands[i], float(found[i]())) for i in boxed])
    if slopes is not None:
        found = slopes(arrays, x, *args)
        pulls = {i: _pullback(found[i], shape_of(args[i])) for i in boxed}
    else:
        path: Any = path_of(distribution)
        pulls = [lambda g, pull=pull: pull(g) for pull in path(x, args)]
    return tape.record(x, [(operands[i], pulls[i]) for i in boxed])


def _pullback(slope: Slope, shape: tuple[int, ...]) -> Pullback:
    return lambda g: sum_product_to(g, slope(), shape)


def path_of(distribution: Any) -> Path | None:
    """The path derivatives of a distribution; None where none are known."""
    slopes = PATHS.get(distribution)
    if slopes is not None:
        return of_entries(slopes)
    if distribution in _OF_VECTORS:
        return _OF_VECTORS[distribution]
    recipe: Any = distribution.recipe or (None, ())
    make, parts = recipe
    if make is transformed._in_vectors:
        return path_of(*parts)
    if make is transformed._transformed:
        return _through(*parts)
    if make is limited._truncated and parts[0] in FAMILIES and parts[0].kind.continuous:
        return of_entries(between_limits(*parts))
    return None


def of_entries(slopes: Slopes) -> Path:
    """The path of a distribution whose entries are independent."""

    def path(x: Any, args: Sequence[Any]) -> list[Pullback]:
        found = slopes(arrays, x, *args)

        return [_pullback(d, shape_of(a)) for d, a in zip(found, args, strict=True)]

    return path


# --- Explicit formulas


def _located(m: Any, x: Any, loc: Any, scale: Any) -> Any:
    """x = loc + scale z."""
    return lambda: 1.0, lambda: (x - loc) / scale


def _scaled(m: Any, x: Any, scale: Any) -> Any:
    """x = scale z."""
    return (lambda: x / scale,)


def _rated(m: Any, x: Any, rate: Any) -> Any:
    """x = z / rate."""
    return (lambda: -x / rate,)


def _lognormal(m: Any, x: Any, mu: Any, sigma: Any) -> Any:
    """x = exp(mu + sigma z)."""
    return lambda: x, lambda: x * ((m.log(x) - mu) / sigma)


def _uniform(m: Any, x: Any, low: Any, high: Any) -> Any:
    """x = low + (high - low) z."""
    return lambda: (high - x) / (high - low), lambda: (x - low) / (high - low)


def _weibull(m: Any, x: Any, shape: Any, scale: Any) -> Any:
    """x = scale z^(1 / shape)."""

    def by_shape() -> Any:
        some = x > 0.0
        y = m.where(some, x, 1.0)
        return m.where(some, -y * log_ratio(m, y, scale) / shape, 0.0)

    return by_shape, lambda: x / scale


def _with(base: Any, explicit: dict[int, Callable[..., Any]]) -> Slopes:
    """The implicit derivatives of a family, but for the arguments at these places."""
    others = implicit(base)

    def slopes(m: Any, x: Any, *args: Any) -> Any:
        found = list(others(m, x, *args))
        for i, formula in explicit.items():
            found[i] = lambda formula=formula: formula(x, *args)
        return found

    return slopes


_gamma_by_rate = c.gamma(1.0, rate=1.0).fn

PATHS: dict[Any, Slopes] = {
    c.normal: _located,
    c.laplace: _located,
    c.logistic: _located,
    c.cauchy: _located,
    c.lognormal: _lognormal,
    c.uniform: _uniform,
    c.exponential: _rated,
    c.weibull: _weibull,
    c.half_normal: _scaled,
    c.half_cauchy: _scaled,
    c.student_t: _with(
        c.student_t,
        {1: lambda x, df, loc, scale: 1.0, 2: lambda x, df, loc, scale: (x - loc) / scale},
    ),
    c.gamma: _with(c.gamma, {1: lambda x, shape, scale: x / scale}),
    _gamma_by_rate: _with(_gamma_by_rate, {1: lambda x, shape, rate: -x / rate}),
    c.inv_gamma: _with(c.inv_gamma, {1: lambda x, shape, scale: x / scale}),
    c.beta: implicit(c.beta),
    c.von_mises: implicit(c.von_mises),
}
"""The derivatives of a draw by each argument, for families whose entries are independent."""


# --- Vectors


def _mvnormal_tril(x: Any, args: Sequence[Any]) -> list[Pullback]:
    """x = mean + L z."""
    mean, factor = args
    z = np.linalg.solve(factor, (x - mean)[..., None])

    def by_factor(g: Any) -> Any:
        return sum_to(np.tril(g[..., :, None] * np.swapaxes(z, -1, -2)), shape_of(factor))

    return [lambda g: sum_to(g, shape_of(mean)), by_factor]


def _mvnormal(x: Any, args: Sequence[Any]) -> list[Pullback]:
    """x = mean + L z for the Cholesky factor L of the covariance; the gradient is symmetric.

    With S the lower triangle of L^T G, its diagonal halved, where G is the gradient by L, the
    gradient by the covariance is the symmetric part of L^-T S L^-1.

    Reference: Murray, 2016, Differentiation of the Cholesky decomposition,
    https://arxiv.org/abs/1602.07527.
    """
    mean, cov = args
    factor = np.linalg.cholesky(cov)
    by_mean, by_factor = _mvnormal_tril(x, (mean, factor))

    def by_cov(g: Any) -> Any:
        inner = np.tril(np.swapaxes(factor, -1, -2) @ by_factor(g))
        inner = inner - 0.5 * inner * np.eye(shape_of(factor)[-1])
        inverse = np.linalg.inv(factor)
        found = np.swapaxes(inverse, -1, -2) @ inner @ inverse
        return 0.5 * (found + np.swapaxes(found, -1, -2))

    return [by_mean, by_cov]


def _dirichlet(x: Any, args: Sequence[Any]) -> list[Pullback]:
    """By alpha_j the entry x_j moves as a beta, and the others keep their proportions.

        dx_j / dalpha_j = b_j,    dx_i / dalpha_j = -b_j x_i / (1 - x_j)

    for the derivative b_j of a draw x_j of beta(alpha_j, sum of the other alphas).
    """
    (alpha,) = args
    others = np.sum(alpha, axis=-1, keepdims=True) - alpha

    @quiet
    def by_alpha(g: Any) -> Any:
        b = PATHS[c.beta](arrays, x, alpha, others)[0]()
        rest = np.sum(g * x, axis=-1, keepdims=True) - g * x
        share = np.where(x < 1.0, rest / np.where(x < 1.0, 1.0 - x, 1.0), 0.0)
        return sum_to(b * (g - share), shape_of(alpha))

    return [by_alpha]


_OF_VECTORS: dict[Any, Path] = {
    mvnormal: _mvnormal,
    mvnormal([0.0], scale_tril=[[1.0]]).fn: _mvnormal_tril,
    dirichlet: _dirichlet,
}


# --- Through a bijection


def _through(base: Any, bijection: Any) -> Path | None:
    """x = natural(y) for a draw y of the base."""
    of_base, count = path_of(base), len(base.arguments)
    if of_base is None:
        return None

    def path(x: Any, args: Sequence[Any]) -> list[Pullback]:
        own, extra = args[:count], args[count:]
        y = operand(bijection.inverse(x, *extra))
        tape = Tape()
        leaves = [tape.leaf(v) for v in (y, *extra)]
        value = bijection.natural(*leaves)
        back = once(lambda g: tape.gradients([(value, g)], leaves))
        by_base = [lambda g, pull=pull: pull(back(g)[0]) for pull in of_base(y, own)]
        return [*by_base, *(lambda g, i=i: back(g)[i] for i in range(1, len(leaves)))]

    return path
