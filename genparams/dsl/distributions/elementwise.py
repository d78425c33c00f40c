"""Distributions whose entries are independent.

Most distributions are *elementwise*: every entry of the value is a draw of its own. Those are
written as one formula

    density(m, x, *args) -> log density, (derivative by x, derivative by each argument)

where `m` holds the functions of one float or of arrays, so that a scalar choice never touches
numpy.
"""

from collections.abc import Callable
from typing import Any

from genparams.autodiff import np, raw, scatter, shape_of, sum_product_to, sum_to
from genparams.dsl.distributions.base import Distribution, Pullback, Terms, is_one
from genparams.dsl.distributions.domains import Domain, Kind, real_number
from genparams.dsl.interpreter import Call
from genparams.numeric import arrays


def elementwise(
    *,
    draw: Callable[..., Any],
    support: Callable[..., Any] | None = None,
    kind: Kind = real_number,
    keywords: dict[str, Callable[..., Call]] | None = None,
    positional: int | None = None,
    joint: Callable[..., None] | None = None,
    name: str | None = None,
    within: str = "",
    **arguments: Domain,
) -> Callable[[Callable], Distribution]:
    """Make a distribution of one formula, `density(m, x, *args)`, that applies to every entry.

    Args:
        draw: `draw(rng, *args, size)` gives an array of that shape; one number if size is None.
        support: `support(x, *args)` tells where the density is not zero; None if it never is.
        kind: What a value is.
        keywords: Other parametrisations: a keyword, and the function that makes the call.
        positional: How many arguments may be given by position; all, unless said.
        joint: Raises unless the arguments fit together.
        within: The support in words; that of the kind, unless said.
        arguments: The domain of each argument, in order.
    """

    def make(density: Callable) -> Distribution:
        return Distribution(
            name or density.__name__,
            arguments,
            kind,
            draw,
            terms_of(density, support),
            density,
            support,
            keywords,
            positional,
            joint,
            doc=density.__doc__,
            within=within,
            single=True,
        )

    return make


def terms_of(density: Callable, support: Callable | None) -> Callable[..., Terms]:
    """The terms of an elementwise distribution over arrays and boxes."""

    def terms(x: Any, *args: Any) -> Terms:
        values = (x, *args)
        if support is not None:
            inside = np.asarray(support(*map(raw, values)))
            if not inside.all():
                return outside(values, inside)
        log_density, partials = density(arrays, *values)
        batch = shape_of(log_density)
        return log_density, [
            None if partial is None else _pullback(partial, v, batch)
            for partial, v in zip(partials, values, strict=True)
        ]

    def outside(values: tuple[Any, ...], inside: Any) -> Terms:
        """The terms where some entries have no density: for the others, in their places."""
        batch = np.broadcast_shapes(*map(shape_of, values))
        if not batch:
            return -np.inf, [lambda g, v=v: 0.0 * v for v in values]
        inside = np.broadcast_to(inside, batch)
        log_density, pulls = terms(*(np.broadcast_to(v, batch)[inside] for v in values))

        def pullback(pull: Pullback, shape: tuple[int, ...]) -> Pullback:
            def pull_back(g: Any) -> Any:
                g = np.broadcast_to(g, batch)[inside]
                return sum_to(scatter(pull(g), inside, batch), shape)

            return pull_back

        return np.where(inside, scatter(log_density, inside, batch), -np.inf), [
            None if pull is None else pullback(pull, shape_of(v))
            for pull, v in zip(pulls, values, strict=True)
        ]

    return terms


def _pullback(partial: Callable[[], Any], value: Any, batch: tuple[int, ...]) -> Pullback:
    """The pullback by a value of a batch of log densities, given their derivatives by it."""

    def pull(g: Any) -> Any:
        d, shape = partial(), shape_of(value)
        if shape_of(d) != batch:
            d = np.broadcast_to(d, batch)
        return sum_to(d, shape) if is_one(g) else sum_product_to(g, d, shape)

    return pull


def per(m: Any, x: Any, y: Any) -> Any:
    """x / y, and 0 where x is 0: the derivative by y of `m.xlogy(x, y)`."""
    return m.where(x == 0.0, 0.0, m.ratio(x, m.where(x == 0.0, 1.0, y)))
