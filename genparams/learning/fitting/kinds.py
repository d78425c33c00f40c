"""The four kinds of covariance of an estimate, in unconstrained coordinates.

    observed    (-H)^-1, for the Hessian H of the full log likelihood
    expected    the inverse of the expectation of -H
    opg         the inverse of the sum of outer products of the gradients of each term
    sandwich    observed opg^-1 observed

With priors, each information has the curvature of the log prior added.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from genparams.dsl.likelihood.aside import simulate_at
from genparams.dsl.likelihood.likelihood import Likelihood
from genparams.learning.checks import one_of
from genparams.learning.fitting.covariance import Inverse, inverse_of
from genparams.learning.fitting.maximum import Maximum
from genparams.types import Array

TERMS, FEWEST, MOST = 100_000, 20, 2000
"""The terms to simulate for an expected information without a closed form, and the least and the
largest number of data sets.
"""
SEED = 20260


@dataclass(frozen=True, slots=True)
class Spread:
    """A covariance in coordinates, of those that take part in the curvature."""

    inverse: Inverse
    note: str = ""
    """How it was computed, where there is more than one way."""


def check_kind(kind: str) -> str:
    """A kind of standard error.

    Raises:
        InvalidValue: there is no such kind.
    """
    return one_of("standard error", kind, KINDS)


def spread(maximum: Maximum, kind: str, names: Sequence[str]) -> Spread:
    """The covariance of a kind, of the coordinates that `maximum.usable` names."""
    return KINDS[kind](maximum, names)


def _observed(maximum: Maximum, names: Sequence[str]) -> Spread:
    return Spread(inverse_of(_used(maximum, -maximum.hessian), names))


def _expected(maximum: Maximum, names: Sequence[str]) -> Spread:
    likelihood, x = maximum.likelihood, maximum.found.x
    found = replace(likelihood, priors={}).information(x)
    if found is not None:
        information, note = found.matrix, "expected information in closed form"
    else:
        information, draws = simulated_information(likelihood, x)
        note = f"expected information from {draws} simulated data sets, seed {SEED}"
    information = _used(maximum, information + _prior(likelihood, x))
    return Spread(inverse_of(information, names, "the expected log likelihood"), note)


def _opg(maximum: Maximum, names: Sequence[str]) -> Spread:
    likelihood, x = maximum.likelihood, maximum.found.x
    information = _used(maximum, _outer(likelihood, x) + _prior(likelihood, x))
    return Spread(inverse_of(information, names, "the sum of outer products of gradients"))


def _sandwich(maximum: Maximum, names: Sequence[str]) -> Spread:
    bread = _observed(maximum, names).inverse
    if bread.reason:
        return Spread(bread)
    middle = _used(maximum, _outer(maximum.likelihood, maximum.found.x))
    if not np.all(np.isfinite(middle)):
        return Spread(inverse_of(middle, names))
    return Spread(replace(bread, matrix=bread.matrix @ middle @ bread.matrix))


KINDS: dict[str, Callable[[Maximum, Sequence[str]], Spread]] = {
    "observed": _observed,
    "expected": _expected,
    "opg": _opg,
    "sandwich": _sandwich,
}


def _used(maximum: Maximum, matrix: Array) -> Array:
    usable = maximum.usable
    return matrix[np.ix_(usable, usable)]


def _outer(likelihood: Likelihood, x: Array) -> Array:
    """The sum of outer products of the gradients of each term, without the prior."""
    rows = likelihood.scores(x)
    return rows.T @ rows


def _prior(likelihood: Likelihood, x: Array) -> Array:
    """Minus the second derivatives of the log prior."""
    if not likelihood.priors:
        return np.zeros((len(x), len(x)))
    return -replace(likelihood, traces=()).hessian(x).matrix


def simulated_information(likelihood: Likelihood, x: Array) -> tuple[Array, int]:
    """The mean of the outer products of gradients over data simulated at x, and how many.

    The gradient of each term has mean 0 given the terms before it, so the sum of the outer
    products of each has the same mean as the outer product of the sum, and a smaller variance.
    """
    rng, values = np.random.default_rng(SEED), likelihood.natural(x)
    draws = int(np.clip(TERMS // max(len(likelihood.scores(x)), 1), FEWEST, MOST))
    total = np.zeros((len(x), len(x)))
    for _ in range(draws):
        traces = [simulate_at(t.gen_fn, t.args, values, rng) for t in likelihood.traces]
        total += _outer(replace(likelihood, traces=traces, priors={}), x)
    return total / draws, draws
