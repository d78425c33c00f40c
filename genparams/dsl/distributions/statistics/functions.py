"""The expected information, the moments and the distribution function of any distribution.

Each is a function of a distribution and its arguments, which are numbers and arrays of numbers.
Where no formula is known the result is None.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from genparams.dsl.distributions.base import AbstractDistribution, Distribution
from genparams.dsl.distributions.categorical import Labelled
from genparams.dsl.distributions.composite import Product
from genparams.dsl.distributions.parts import with_arguments
from genparams.dsl.distributions.statistics.contraction import count_of
from genparams.dsl.distributions.statistics.families import FAMILY_STATISTICS, OF_A_MIXTURE
from genparams.dsl.distributions.statistics.known import NOTHING, Statistics, Unknown
from genparams.errors import ArgumentError, ShapeError
from genparams.types import Size

_NOT_FINITE = Unknown("its expected information is not finite at these arguments")
_NO_TANGENT = Unknown("none of its arguments depends on a parameter")


def statistics_of(fn: Distribution) -> Statistics:
    """What is known of a distribution that is declared."""
    return fn.declared.statistics or FAMILY_STATISTICS.get(fn, NOTHING)


# --- The expected information


def expected_information(
    fn: AbstractDistribution, args: Sequence[Any], tangents: Sequence[Any], size: Size = None
) -> Any:
    """The expected information about the parameters on which the arguments of a choice depend.

        I = E[sum over the batch of s s^T],    s_i = d log p(x | args) / d theta_i

    a symmetric matrix of the shape (p, p) for p parameters; None where no formula is known, and
    then `why_unknown` says why.

    Args:
        fn: The distribution.
        args: Its arguments in order, numbers or arrays.
        tangents: For each argument its derivatives by the parameters, in the shape
            (p, *shape of the argument), or None where it does not depend on them.
        size: The size of the call, which the batch has if it is not None.

    Raises:
        ArgumentError: there is not one tangent for each argument.
        DistributionError: an argument is not in its domain.
        ShapeError: a tangent does not have the shape of its argument, or the arguments do not
            broadcast.
    """
    found = information_or_reason(fn, args, tangents, size)
    return None if isinstance(found, Unknown) else found


def why_unknown(
    fn: AbstractDistribution, args: Sequence[Any], tangents: Sequence[Any], size: Size = None
) -> str:
    """Why `expected_information` is None, as a sentence without its end; empty if it is not."""
    found = information_or_reason(fn, args, tangents, size)
    return f"{fn.__name__}: {found.reason}" if isinstance(found, Unknown) else ""


def information_or_reason(
    fn: AbstractDistribution, args: Sequence[Any], tangents: Sequence[Any], size: Size = None
) -> Any:
    """`expected_information`, or `Unknown` with the reason in place of None."""
    args = _arrays(fn, args)
    _check_tangents(fn, args, tangents)
    if all(t is None for t in tangents):
        return _NO_TANGENT
    if isinstance(fn, Labelled):
        return information_or_reason(fn.base, args, tangents, size)
    if isinstance(fn, Product):
        return _of_product(fn, args, tangents, size)
    if not isinstance(fn, Distribution):
        return Unknown(OF_A_MIXTURE)
    return _of_declared(fn, args, tangents, size)


def _arrays(fn: AbstractDistribution, args: Sequence[Any]) -> list[Any]:
    """The arguments as arrays and numbers of numpy, which divide by 0 without an error."""
    return [np.asarray(a, dtype=float)[()] for a in fn.operands(args)]


def _of_declared(fn: Distribution, args: Sequence[Any], tangents: Sequence[Any], size: Size) -> Any:
    declared = fn.declared
    declared.check(args)
    declared.check_lazy(args)
    batch = declared.batch_shape(args, size)
    for name, tangent in zip(fn.arguments, tangents, strict=True):
        if tangent is not None and not fn.arguments[name].smooth:
            return Unknown(f"it has no derivative by {name}")
    with np.errstate(all="ignore"):
        found = statistics_of(fn).information(args, tangents, batch)
    if isinstance(found, Unknown):
        return found
    return 0.5 * (found + found.T) if np.all(np.isfinite(found)) else _NOT_FINITE


def _of_product(fn: Product, args: Sequence[Any], tangents: Sequence[Any], size: Size) -> Any:
    """The sum over the parts, which are independent."""
    total = np.zeros((count_of(tangents),) * 2)
    pairs = zip(with_arguments(fn.parts, args), with_arguments(fn.parts, tangents), strict=True)
    for (part, own), (_, mine) in pairs:
        if all(t is None for t in mine):
            continue
        found = information_or_reason(part, own, mine, size)
        if isinstance(found, Unknown):
            return Unknown(f"of {part.__name__}, {found.reason}")
        total += found
    return total


def _check_tangents(fn: AbstractDistribution, args: Sequence[Any], tangents: Sequence[Any]) -> None:
    if len(tangents) != len(args):
        raise ArgumentError(
            f"{fn.__name__} has {len(args)} arguments and {len(tangents)} tangents; give one for "
            "each, None where there is none"
        )
    count = next((np.shape(t)[:1] for t in tangents if t is not None), ())
    for name, a, tangent in zip(fn.arguments, args, tangents, strict=True):
        wanted = (*count, *np.shape(a))
        if tangent is not None and np.shape(tangent) != wanted:
            raise ShapeError(
                f"the tangent of {name} of {fn.__name__} has shape {np.shape(tangent)}; the "
                f"parameters and its shape are {wanted}"
            )


# --- Moments and the distribution function


def mean(fn: AbstractDistribution, args: Sequence[Any]) -> Any:
    """The mean of each value of the batch, in the shape of a draw; None where it is not known.

    It is inf where it is infinite and NaN where it does not exist. For a product it is a tuple.
    """
    return _moment("mean", fn, args)


def variance(fn: AbstractDistribution, args: Sequence[Any]) -> Any:
    """The variance of each number of the batch, in the shape of a draw; None where not known."""
    return _moment("variance", fn, args)


def std(fn: AbstractDistribution, args: Sequence[Any]) -> Any:
    """The standard deviation of each number, in the shape of a draw; None where not known."""
    found = variance(fn, args)
    if found is None:
        return None
    return tuple(map(np.sqrt, found)) if isinstance(found, tuple) else np.sqrt(found)


def _moment(name: str, fn: AbstractDistribution, args: Sequence[Any]) -> Any:
    args = _arrays(fn, args)
    if isinstance(fn, Product):
        each = [_moment(name, part, own) for part, own in with_arguments(fn.parts, args)]
        return None if any(m is None for m in each) else tuple(each)
    if not isinstance(fn, Distribution):
        return None
    f = getattr(statistics_of(fn), name)
    if f is None:
        return None
    declared = fn.declared
    with np.errstate(all="ignore"):
        shape = declared.batch_shape(args, None) + declared.event_shape(args)
        return np.broadcast_to(f(*args), shape)


def cdf(fn: AbstractDistribution, x: Any, args: Sequence[Any]) -> Any:
    """P(X <= x) for each entry of x, which broadcasts with the arguments; None where not known."""
    if not isinstance(fn, Distribution) or fn.kind.rank:
        return None
    f = statistics_of(fn).cdf
    return None if f is None else f(np.asarray(x, dtype=float), *_arrays(fn, args))
