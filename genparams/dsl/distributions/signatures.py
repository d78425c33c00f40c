"""How each distribution is called: its arguments, their types, and the type of its value.

The functions here have no bodies. `called_as` gives the signature of one to a distribution, for
`inspect.signature`, type checkers and editors.

The value of most distributions is a number if every argument is a number, else an array. A type
checker cannot tell which, since parameters and results of numpy are `Any` to it. So these values
are `Any` too, as numpy's own results are.
"""

from __future__ import annotations  # shown by their names

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from numpy import float64, int64
from numpy.typing import NDArray

from genparams.dsl.distributions.base import Distribution
from genparams.types import Numbers, P, R, Size


def called_as(signature: Callable[P, R]) -> Callable[[Distribution], Distribution[P, R]]:
    """Give a distribution the signature of a function, for `inspect.signature` and type checkers.

    The distribution's `__wrapped__` is that function.
    """

    def declare(made: Distribution) -> Any:
        made.__wrapped__ = signature
        made.__signature__ = inspect.signature(signature)
        made.__annotations__ = signature.__annotations__
        return made

    return declare


# --- Real numbers


def normal(mu: Numbers, std: Numbers, *, size: Size = None) -> Any: ...
def lognormal(mu: Numbers, sigma: Numbers, *, size: Size = None) -> Any: ...
def student_t(df: Numbers, loc: Numbers, scale: Numbers, *, size: Size = None) -> Any: ...
def located(loc: Numbers, scale: Numbers, *, size: Size = None) -> Any: ...
def scaled(scale: Numbers, *, size: Size = None) -> Any: ...
def between(low: Numbers, high: Numbers, *, size: Size = None) -> Any: ...
def rated(rate: Numbers, *, size: Size = None) -> Any: ...
def gamma(
    shape: Numbers, *, scale: Numbers = ..., rate: Numbers = ..., size: Size = None
) -> Any: ...
def shaped(shape: Numbers, scale: Numbers, *, size: Size = None) -> Any: ...
def beta(alpha: Numbers, beta: Numbers, *, size: Size = None) -> Any: ...
def von_mises(mu: Numbers, kappa: Numbers, *, size: Size = None) -> Any: ...
def beta_uniform(theta: Numbers, alpha: Numbers, beta: Numbers, *, size: Size = None) -> Any: ...
def piecewise_uniform(bounds: Numbers, probs: Numbers, *, size: Size = None) -> Any: ...
def truncated_normal(
    mu: Numbers, std: Numbers, low: Numbers, high: Numbers, *, size: Size = None
) -> Any: ...


# --- Whole numbers and truth values


def bernoulli(probs: Numbers = ..., *, logits: Numbers = ..., size: Size = None) -> Any: ...
def binomial(
    n: Numbers, probs: Numbers = ..., *, logits: Numbers = ..., size: Size = None
) -> Any: ...
def beta_binomial(n: Numbers, alpha: Numbers, beta: Numbers, *, size: Size = None) -> Any: ...
def geometric(probs: Numbers, *, size: Size = None) -> Any: ...
def neg_binomial(r: Numbers, probs: Numbers, *, size: Size = None) -> Any: ...
def categorical(
    probs: Numbers = ...,
    *,
    logits: Numbers = ...,
    labels: Sequence[str] | NDArray[Any] = ...,
    size: Size = None,
) -> Any: ...


# --- Vectors


def dirichlet(alpha: Numbers, *, size: Size = None) -> NDArray[float64]: ...
def multinomial(n: Numbers, probs: Numbers, *, size: Size = None) -> NDArray[int64]: ...
def mvnormal(
    mean: Numbers, cov: Numbers = ..., *, scale_tril: Numbers = ..., size: Size = None
) -> NDArray[float64]: ...
