"""Path derivatives by the distribution function, where no explicit one is known.

A draw is x = F^-1(u; a) for a uniform u that does not depend on the argument a. So F(x; a) = u
stays where it is while a moves, and

    dx/da = -(dF/da) / f(x) = -(1 / f(x)) P(X <= x) E[d log f(X) / da | X <= x]
                            =  (1 / f(x)) P(X >= x) E[d log f(X) / da | X >= x]

for the density f. The masses and the means are computed to nearly all digits by the quadrature of
`limits.masses`, on the side of x that is away from the middle of the distribution.

Reference: Figurnov, Mohamed and Mnih, 2018, Implicit reparameterization gradients,
https://arxiv.org/abs/1805.08498.
"""

from collections.abc import Callable, Sequence
from typing import Any

from genparams.autodiff import np
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.declaration import Slope
from genparams.dsl.distributions.limits.families import FAMILIES
from genparams.dsl.distributions.limits.masses import log_mass
from genparams.numeric import arrays, quiet

Slopes = Callable[..., Sequence[Slope]]
"""`slopes(m, x, *args)`: the derivative of a draw by each argument, as functions.

`m` holds the functions of single floats or of arrays.
"""


def number_or_array(value: Any) -> Any:
    """An array, or a float in place of an array without axes."""
    return value if np.ndim(value) else float(value)


def implicit(base: Distribution) -> Slopes:
    """The derivatives of a draw of a family that has nodes for its masses."""
    family = FAMILIES[base]

    @quiet
    def slopes(m: Any, x: Any, *args: Any) -> list[Slope]:
        low, high = family.edges(*args)
        below = np.asarray(family.to(x, *args) < 0.0)
        start, end = np.where(below, low, x), np.where(below, x, high)
        inside = (x > low) & (x < high)
        found = _once(lambda: _mass_over_density(base, x, start, end, args))

        def by_arg(i: int) -> Slope:
            @quiet
            def d() -> Any:
                share, by = found()
                each = np.where(below, -1.0, 1.0) * share * by[i]()
                return number_or_array(np.where(inside, each, 0.0))

            return d

        return [by_arg(i) for i in range(len(args))]

    return slopes


def between_limits(base: Distribution) -> Slopes:
    """The derivatives of a draw of a family between two limits, which may move too.

    With b the density of the family, M its mass between the limits l and h, and s = d log b / da,

        dx/da = -(P(l <= X <= x) / b(x)) (E[s | l <= X <= x] - E[s | l <= X <= h])
        dx/dl = b(l) P(x <= X <= h) / (M b(x)),    dx/dh = b(h) P(l <= X <= x) / (M b(x))
    """
    family = FAMILIES[base]

    @quiet
    def slopes(m: Any, x: Any, *args: Any) -> list[Slope]:
        *own, low, high = args
        lowest, highest = family.edges(*own)
        low, high = np.maximum(low, lowest), np.minimum(high, highest)
        inside = (x > low) & (x < high)
        left = _once(lambda: _mass_over_density(base, x, low, np.where(inside, x, high), own))
        right = _once(lambda: _mass_over_density(base, x, np.where(inside, x, low), high, own))
        whole = _once(lambda: log_mass(family, arrays, low, high, own))

        def by_arg(i: int) -> Slope:
            @quiet
            def d() -> Any:
                (below, by_left), (above, by_right) = left(), right()
                mean = whole()[1][i]()
                each = np.where(
                    below < above, below * (mean - by_left[i]()), above * (by_right[i]() - mean)
                )
                return number_or_array(np.where(inside, each, 0.0))

            return d

        def by_limit(limit: Any, other: Callable[[], Any], end: Any) -> Slope:
            @quiet
            def d() -> Any:
                there = (limit > lowest) & (limit < highest)
                at = np.where(there, limit, x)
                formula: Any = base.declared.formula
                share = other()[0] * np.exp(formula(arrays, at, *own)[0] - whole()[0])
                return number_or_array(
                    np.where(there & inside, share, np.where(x == end, 1.0, 0.0))
                )

            return d

        return [
            *(by_arg(i) for i in range(len(own))),
            by_limit(low, right, low),
            by_limit(high, left, high),
        ]

    return slopes


def _mass_over_density(
    base: Distribution, x: Any, low: Any, high: Any, args: Sequence[Any]
) -> tuple[Any, Sequence[Slope]]:
    """P(low <= X <= high) over the density at x, and the slopes of the log of that mass."""
    formula: Any = base.declared.formula
    x, low, high, *args = (np.asarray(v, dtype=float) for v in (x, low, high, *args))
    mass, by = log_mass(FAMILIES[base], arrays, low, high, args)
    return np.exp(mass - formula(arrays, x, *args)[0]), by  # pyright: ignore[reportReturnType]


def _once(f: Callable[[], Any]) -> Callable[[], Any]:
    """`f`, called once at most, without numpy's warnings."""
    found: list[Any] = []

    def remembered() -> Any:
        if not found:
            with np.errstate(all="ignore"):
                found.append(f())
        return found[0]

    return remembered
