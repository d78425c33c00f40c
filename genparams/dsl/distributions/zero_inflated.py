"""Discrete distributions with more zeros."""

from typing import Any

from genparams.autodiff import np, raw, shape_of, sum_to
from genparams.dsl.call import Call
from genparams.dsl.distributions.base import Distribution
from genparams.dsl.distributions.declaration import Declaration, Terms
from genparams.dsl.distributions.domains import probability
from genparams.dsl.distributions.parts import base_of, made_of_parts
from genparams.dsl.distributions.statistics.composed import of_zero_inflated
from genparams.errors import ArgumentError
from genparams.mistakes import explained
from genparams.types import Numbers, R, Size


@explained
def zero_inflated(prob_zero: Numbers, base: Call[R], size: Size = None) -> Call[R]:
    """0 with probability `prob_zero`, else a draw of a discrete distribution.

        log p(0) = log(prob_zero + (1 - prob_zero) p_base(0))
        log p(x) = log(1 - prob_zero) + log p_base(x),    x != 0

    Args:
        prob_zero: The probability of a zero that does not come from the base.
        base: A call such as `poisson(rate)`, of a distribution over whole numbers.
        size: The shape of the batch, as for any distribution.

    Raises:
        ArgumentError: the base is continuous, or its values are vectors.
    """
    fn = base_of("zero_inflated", base, "zero_inflated(prob_zero, base)")
    if fn.kind.continuous or fn.kind.rank:
        why = "is continuous, so that a zero has no density" if fn.kind.continuous else "is not one"
        raise ArgumentError(
            "zero_inflated takes a distribution over whole numbers such as poisson(rate); "
            f"{fn.__name__} {why}"
        )
    return Call(_zero_inflated(fn), (prob_zero, *base.args), size)


@made_of_parts
def _zero_inflated(base: Distribution) -> Distribution:
    arguments = {"prob_zero": probability}
    for name, domain in base.arguments.items():
        label = f"{name} of {base.__name__}" if name in arguments else name
        arguments[label] = domain.within()

    def terms(x: Any, prob_zero: Any, *args: Any) -> Terms:
        log_f, pulls = base.declared.terms(x, *args)
        batch = np.broadcast_shapes(shape_of(log_f), shape_of(prob_zero), shape_of(x))
        log_f = np.broadcast_to(log_f, batch) if batch else log_f
        zero = np.broadcast_to(np.equal(raw(x), 0), batch)
        possible = np.isfinite(raw(log_f))
        stays = np.subtract(1.0, prob_zero)
        # No logarithm is of a probability of 0, since its gradient would be NaN.
        from_base = possible & (np.broadcast_to(raw(stays), batch) > 0.0)
        extra = zero & (np.broadcast_to(raw(prob_zero), batch) > 0.0)
        own = np.where(possible, log_f, 0.0) + np.log(np.where(from_base, stays, 1.0))
        more = np.log(np.where(extra, prob_zero, 1.0))
        both = np.logaddexp(np.where(from_base, own, more), np.where(extra, more, own))
        either = np.where(extra & from_base, both, np.where(extra, more, own))
        some = extra | from_base
        share = np.where(from_base, np.exp(own - either), 0.0)

        def to_prob_zero(g: Any) -> Any:
            less = -np.expm1(np.where(possible, log_f, -np.inf))  # 1 - p_base
            at_zero = less * np.exp(-np.where(zero & some, either, 0.0))
            elsewhere = np.where(possible, np.divide(-1.0, stays), 0.0)
            return sum_to(g * np.where(zero, at_zero, elsewhere), shape_of(prob_zero))

        def to_base(pull: Any) -> Any:
            return lambda g: pull(g * share)

        return np.where(some, either, -np.inf), [
            None,
            to_prob_zero,
            *(None if pull is None else to_base(pull) for pull in pulls[1:]),
        ]

    def draw(rng: Any, prob_zero: Any, *args: Any, size: tuple[int, ...]) -> Any:
        value = base.draw(rng, args, size or None)
        return np.where(rng.random(size) < prob_zero, np.zeros_like(value), value)

    return Distribution(
        Declaration(
            name=f"zero_inflated {base.__name__}",
            arguments=arguments,
            kind=base.kind,
            draw=draw,
            terms=terms,
            fit=lambda prob_zero, *args: base.declared.check_fit(args),
            block_width=base.declared.block_width,
            doc=zero_inflated.__doc__,
            support=f"0, and {base.support}",
            statistics=of_zero_inflated(base),
        )
    )
