"""Distributions whose entries are independent.

Most distributions are *elementwise*: every entry of the value is a draw of its own. They are
written as one formula

    formula(m, x, *args) -> log density, (derivative by x, derivative by each argument)

The derivatives are functions without arguments, called only if a gradient is wanted. `m` holds the
functions of single floats or of arrays, so that a scalar choice is computed without numpy.
"""

from collections.abc import Callable, Mapping
from typing import Any

from genparams.autodiff import as_array, np, raw, scatter, shape_of, sum_product_to, sum_to
from genparams.dsl.call import Call
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.declaration import Declaration, Formula, Pullback, Terms, is_one
from genparams.dsl.distributions.domains import Domain, ValueKind, real_number
from genparams.dsl.distributions.regions import WHOLE_LINE, RegionOf, always
from genparams.numeric import arrays


def elementwise(
    *,
    draw: Callable[..., Any],
    inside: Callable[..., Any] | None = None,
    region: RegionOf | None = None,
    support: str = "",
    kind: ValueKind = real_number,
    forms: Mapping[str, Callable[..., Call]] | None = None,
    keyword_only: int = 0,
    fit: Callable[..., None] | None = None,
    name: str | None = None,
    **arguments: Domain,
) -> Callable[[Formula], Distribution]:
    """Declare a distribution by one formula that applies to every entry.

    Args:
        draw: `draw(rng, *args, size)` gives an array of that shape; one number if size is None.
        inside, support, kind, forms, keyword_only, fit: As in `Declaration`.
        region: As in `Declaration`; where `inside` is None it is the whole line.
        name: The name of the formula, unless given.
        arguments: The domain of each argument, in order.
    """

    def make(formula: Formula) -> Distribution:
        return Distribution(
            Declaration(
                name=name or formula.__name__,
                arguments=arguments,
                kind=kind,
                draw=draw,
                terms=terms_of(formula, inside),
                formula=formula,
                inside=inside,
                region=always(WHOLE_LINE) if kind.continuous and inside is None else region,
                support=support,
                fit=fit,
                draws_floats=True,
                doc=formula.__doc__,
                forms=forms or {},
                keyword_only=keyword_only,
            )
        )

    return make


def terms_of(formula: Formula, inside: Callable | None) -> Callable[..., Terms]:
    """The terms of an elementwise distribution, for arrays and boxes."""

    def terms(x: Any, *args: Any) -> Terms:
        values = (x, *args)
        if inside is not None:
            there = as_array(inside(*map(raw, values)))
            if not there.all():
                return terms_inside(values, there)
        log_density, partials = formula(arrays, *values)
        batch = shape_of(log_density)
        return log_density, [
            None if partial is None else _pullback(partial, v, batch)
            for partial, v in zip(partials, values, strict=True)
        ]

    def terms_inside(values: tuple[Any, ...], there: Any) -> Terms:
        """The terms where only the entries `there` have a density, computed for these alone."""
        batch = np.broadcast_shapes(*map(shape_of, values))
        if not batch:
            return -np.inf, [lambda g, v=v: 0.0 * v for v in values]
        there = np.broadcast_to(there, batch)
        log_density, pulls = terms(*(np.broadcast_to(v, batch)[there] for v in values))

        def pullback(pull: Pullback, shape: tuple[int, ...]) -> Pullback:
            def pull_back(g: Any) -> Any:
                g = np.broadcast_to(g, batch)[there]
                return sum_to(scatter(pull(g), there, batch), shape)

            return pull_back

        return np.where(there, scatter(log_density, there, batch), -np.inf), [
            None if pull is None else pullback(pull, shape_of(v))
            for pull, v in zip(pulls, values, strict=True)
        ]

    return terms


def _pullback(partial: Callable[[], Any], value: Any, batch: tuple[int, ...]) -> Pullback:
    """The pullback from a batch of log densities to a value, given their derivatives by it."""

    def pull(g: Any) -> Any:
        d, shape = partial(), shape_of(value)
        if shape_of(d) != batch:
            d = np.broadcast_to(d, batch)
        return sum_to(d, shape) if is_one(g) else sum_product_to(g, d, shape)

    return pull


def per(m: Any, x: Any, y: Any) -> Any:
    """x / y, and 0 where x is 0: the derivative by y of `m.xlogy(x, y)`."""
    return m.where(x == 0.0, 0.0, m.ratio(x, m.where(x == 0.0, 1.0, y)))
