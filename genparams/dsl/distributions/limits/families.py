"""The families that can be truncated and censored, and the coordinate of each.

The coordinate y is chosen so that its density has one mode if possible: `gamma` is integrated along
log x, `beta` along the log odds. `categorical` is not among the families: its probabilities are a
table, which `categories.py` sums.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from genparams.autodiff import np, raw, special
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.continuous import (
    beta,
    cauchy,
    exponential,
    gamma,
    half_cauchy,
    half_normal,
    inv_gamma,
    laplace,
    logistic,
    lognormal,
    normal,
    student_t,
    uniform,
    von_mises,
    weibull,
)
from genparams.dsl.distributions.declaration import LogDensity
from genparams.dsl.distributions.discrete import (
    bernoulli,
    beta_binomial,
    binomial,
    geometric,
    neg_binomial,
    poisson,
    uniform_discrete,
)
from genparams.dsl.distributions.limits.family import Family
from genparams.dsl.distributions.limits.normal import normal_between
from genparams.dsl.distributions.limits.tails import CLOSED
from genparams.numeric import arrays, psi_less_log, stirling


def _above_zero(*args: Any) -> tuple[float, float]:
    return 0.0, math.inf


def _zero(*args: Any) -> Sequence[float]:
    return (0.0,)


def _by_density(
    base: Distribution, back: Callable, log_slope: Callable
) -> Callable[..., LogDensity]:
    """`Family.along` by the base's own density, given log dx/dy, `log_slope(y, *args)`."""

    density: Any = base.declared.formula

    def along(y: Any, *args: Any) -> LogDensity:
        log_f, partials = density(arrays, back(y, *args), *args)
        return log_f + log_slope(y, *args), partials[1:]

    return along


# --- Along a line, or along sinh


class _Curve(NamedTuple):
    """(x - loc) / scale as a function of y."""

    at: Callable[[Any], Any]
    inverse: Callable[[Any], Any]
    log_slope: Callable[[Any], Any]
    gap: Callable[[Any, Any], Any]
    """`gap(step, a)` is the distance in y from a to a + step."""


def _sinh_gap(step: Any, a: Any) -> Any:
    b = a + step
    root_a, root_b = np.sqrt(1.0 + a * a), np.sqrt(1.0 + b * b)
    same = raw(a) * raw(b) > 0.0
    together = np.where(same, a * root_b + b * root_a, 1.0)
    return np.arcsinh(np.where(same, step * (a + b) / together, b * root_a - a * root_b))


def _along(
    curve: _Curve,
    base: Distribution,
    frame: Callable[..., tuple[Any, Any]] = lambda loc, scale: (loc, scale),
    along: Callable[..., LogDensity] | None = None,
    **more: Any,
) -> Family:
    """x = loc + scale curve(y), where `frame(*args)` is loc and scale."""

    def to(x: Any, *args: Any) -> Any:
        loc, scale = frame(*args)
        return curve.inverse((x - loc) / scale)

    def back(y: Any, *args: Any) -> Any:
        loc, scale = frame(*args)
        return loc + scale * curve.at(y)

    def log_slope(y: Any, *args: Any) -> Any:
        return np.log(frame(*args)[1]) + curve.log_slope(y)

    def gap(width: Any, low: Any, *args: Any) -> Any:
        loc, scale = frame(*args)
        return curve.gap(width / scale, (low - loc) / scale)

    along = along or _by_density(base, back, log_slope)
    return Family(base, to, back, along, tails=CLOSED.get(base), gap=gap, **more)


_line = partial(_along, _Curve(lambda y: y, lambda u: u, lambda y: 0.0, lambda step, a: step))
_sinh = partial(  # where p(x) falls as a power, log p(y) falls linearly
    _along,
    _Curve(np.sinh, np.arcsinh, lambda y: np.logaddexp(y, -y) - math.log(2.0), _sinh_gap),
)


def _student_along(y: Any, df: Any, loc: Any, scale: Any) -> LogDensity:
    """log p(y) = log p(0) - df log cosh y, also where x overflows, for small df.

    x = loc + scale sqrt(df) sinh y
    """
    density: Any = student_t.declared.formula
    log_f0, by0 = density(arrays, loc, df, loc, scale)
    log_cosh = np.logaddexp(y, -y) - math.log(2.0)
    tanh = np.tanh(y)
    return (
        log_f0 + np.log(scale * np.sqrt(df)) - df * log_cosh,
        (
            lambda: by0[1]() + 0.5 * (df + 1.0) / df * tanh**2 - log_cosh,
            lambda: (df + 1.0) * tanh * np.exp(-log_cosh) / (scale * np.sqrt(df)),
            lambda: ((df + 1.0) * tanh**2 - 1.0) / scale,
        ),
    )


def _angles(mu: Any, kappa: Any) -> Sequence[Any]:
    """The top and the bottom of `von_mises`, in the order in which they come after -pi."""
    found = [np.mod(mu + turn, 2.0 * math.pi) - math.pi for turn in (0.0, math.pi)]
    return np.minimum(*found), np.maximum(*found)


# --- Along a logarithm


def _lognormal() -> Family:
    """log x = mu + sigma y."""

    def back(y: Any, mu: Any, sigma: Any) -> Any:
        return np.exp(mu + sigma * y)

    along = _by_density(lognormal, back, lambda y, mu, sigma: np.log(sigma) + mu + sigma * y)
    to = lambda x, mu, sigma: (np.log(x) - mu) / sigma  # noqa: E731
    return Family(
        lognormal,
        to,
        back,
        along,
        _above_zero,
        _zero,
        lambda width, low, mu, sigma: np.log1p(width / low) / sigma,
        CLOSED[lognormal],
    )


def _log_ratio(base: Distribution, unit: Callable, power: Callable, along: Callable) -> Family:
    """x = unit(*args) exp(y / power(*args)), for x > 0."""
    return Family(
        base,
        lambda x, *args: power(*args) * np.log(x / unit(*args)),
        lambda y, *args: unit(*args) * np.exp(y / power(*args)),
        along,
        _above_zero,
        _zero,
        lambda width, low, *args: power(*args) * np.log1p(width / low),
        CLOSED.get(base),
    )


def _weibull_along(y: Any, shape: Any, scale: Any) -> LogDensity:
    """y = shape log(x / scale): log p(y) = y - exp(y), at any y."""
    return (
        y - np.exp(y),
        (lambda: (1.0 - y * np.expm1(y)) / shape, lambda: shape / scale * np.expm1(y)),
    )


def _gamma(base: Distribution, unit: Callable[..., Any], sign: float, growth: float) -> Family:
    """x = unit(shape, other) exp(y), and u = sign y, for a gamma (sign 1) or its inverse (-1).

    log p(y) = log shape + shape log shape - log Gamma(shape + 1) - shape (exp(u) - u)

    at any y, to as many digits as u has. Its derivative by `other` is shape (exp(u) - 1) / other,
    times `growth`: -1 if the gamma's scale is the inverse of `other`.
    """

    def along(y: Any, shape: Any, other: Any) -> LogDensity:
        u = sign * y
        return (
            np.log(shape) - stirling(arrays, shape) - shape * (np.expm1(u) - u),
            (
                lambda: u - psi_less_log(arrays, shape),
                lambda: growth * shape * np.expm1(u) / other,
            ),
        )

    return _log_ratio(base, unit, lambda *args: 1.0, along)


# --- Along log odds


def _log_gain(y: Any, rest: Any) -> Any:
    """log(p / p0), where the log odds of p exceed the log odds of p0 = 1 - rest by y."""
    far = raw(y) < -500.0
    near = np.log1p(rest * np.expm1(-np.where(far, 0.0, y)))
    return np.where(far, y - np.log(rest), -near)


def _beta_along(y: Any, alpha: Any, beta: Any) -> LogDensity:
    """x / (1 - x) = alpha / beta exp(y), at any y.

    log p(y) = log p(0) + alpha log(x / x0) + beta log((1 - x) / (1 - x0)),   x0 at y = 0
    """
    n = alpha + beta
    gain, loss = _log_gain(y, beta / n), _log_gain(-y, alpha / n)
    log_f0 = (
        np.log(alpha)
        - np.log1p(alpha / beta)
        + stirling(arrays, n)
        - stirling(arrays, alpha)
        - stirling(arrays, beta)
    )

    def off(own: Any) -> Any:
        return psi_less_log(arrays, n) - psi_less_log(arrays, own)

    return (
        log_f0 + alpha * gain + beta * loss,
        (lambda: gain + off(alpha), lambda: loss + off(beta)),
    )


# --- Over whole numbers


def _whole(base: Distribution, **more: Any) -> Family:
    same = lambda x, *args: x  # noqa: E731
    along = _by_density(base, same, lambda y, *args: 0.0)
    return Family(base, same, same, along, **more)


def _from_zero(n: Any, *args: Any) -> tuple[Any, Any]:
    return 0.0, n


def _beta_binomial_turns(n: Any, alpha: Any, beta: Any) -> Sequence[Any]:
    """A top if alpha + beta > 2, a bottom if it is less.

    p(x + 1) > p(x) where (n - x) (x + alpha) > (x + 1) (n - x - 1 + beta).
    """
    bend = 2.0 - alpha - beta
    bend = np.where(bend == 0.0, 1e-300, bend)
    level = (n - 1.0 + beta - n * alpha) / bend
    return (np.clip(np.floor(level) + 1.0, -1.0, n),)


_logit_bernoulli = bernoulli(logits=0.0).fn
_logit_binomial = binomial(1, logits=0.0).fn
_gamma_by_rate = gamma(1.0, rate=1.0).fn
_bit = lambda probs: (0.0, 1.0)  # noqa: E731

FAMILIES: dict[Distribution, Family] = {
    family.base: family
    for family in (
        _line(normal, turns=_zero, between=normal_between),
        _line(laplace, turns=_zero),
        _line(logistic, turns=_zero),
        _line(half_normal, lambda scale: (0.0, scale), edges=_above_zero),
        _line(exponential, lambda rate: (0.0, 1.0 / rate), edges=_above_zero),
        _line(
            uniform,
            lambda low, high: (low, high - low),
            edges=lambda low, high: (low, high),
        ),
        _line(
            von_mises,
            lambda mu, kappa: (0.0, 1.0),
            edges=lambda mu, kappa: (-math.pi, math.pi),
            turns=_angles,
        ),
        _sinh(cauchy, turns=_zero),
        _sinh(half_cauchy, lambda scale: (0.0, scale), edges=_above_zero),
        _sinh(
            student_t,
            lambda df, loc, scale: (loc, scale * np.sqrt(df)),
            along=_student_along,
            turns=_zero,
        ),
        _lognormal(),
        _log_ratio(weibull, lambda shape, scale: scale, lambda shape, scale: shape, _weibull_along),
        _gamma(gamma, lambda shape, scale: shape * scale, sign=1.0, growth=1.0),
        _gamma(_gamma_by_rate, lambda shape, rate: shape / rate, sign=1.0, growth=-1.0),
        _gamma(inv_gamma, lambda shape, scale: scale / shape, sign=-1.0, growth=-1.0),
        Family(
            beta,
            lambda x, a, b: np.log(np.divide(x, 1.0 - x) * (b / a)),
            lambda y, a, b: special.expit(y + np.log(a / b)),
            _beta_along,
            lambda a, b: (0.0, 1.0),
            _zero,
            lambda width, low, a, b: np.log1p(width / low) - np.log1p(-width / (1.0 - low)),
        ),
        _whole(bernoulli, edges=_bit),
        _whole(_logit_bernoulli, edges=_bit),
        _whole(binomial, edges=_from_zero, turns=lambda n, p: (np.floor((n + 1.0) * p),)),
        _whole(
            _logit_binomial,
            edges=_from_zero,
            turns=lambda n, logits: (np.floor((n + 1.0) * special.expit(logits)),),
        ),
        _whole(poisson, edges=_above_zero, turns=lambda rate: (np.floor(rate),)),
        _whole(geometric, edges=_above_zero),
        _whole(
            neg_binomial,
            edges=_above_zero,
            turns=lambda r, p: (np.floor(np.maximum(r - 1.0, 0.0) * (1.0 - p) / p),),
        ),
        _whole(beta_binomial, edges=_from_zero, turns=_beta_binomial_turns),
        _whole(uniform_discrete, edges=lambda low, high: (low, high)),
    )
}
"""The families that can be truncated and censored."""
