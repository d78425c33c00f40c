"""Residuals of the choices of the data."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from genparams.dsl.execution import Rng, seeded
from genparams.dsl.likelihood.sites import Site
from genparams.errors import InvalidValue
from genparams.learning.checks import one_of
from genparams.learning.fitting.by_address import ByAddress, some
from genparams.learning.fitting.model import unchanged
from genparams.learning.fitting.moments import cdf_of, mean_of, std_of
from genparams.learning.fitting.predictions import each_of, numbered
from genparams.numeric import quiet
from genparams.types import Array, show

if TYPE_CHECKING:
    from genparams.learning.fitting.result import FitResult


@quiet
def residuals_of(result: "FitResult", kind: str, rng: Rng) -> ByAddress[Array]:
    """The residual of each choice, by address; with several traces under their numbers."""
    residual = KINDS[one_of("residual", kind, KINDS)]
    generator = seeded(rng)
    sites = numbered(unchanged(result, "residuals").sites)
    return some(*each_of(sites, lambda site: residual(site, generator)))


def _response(site: Site, rng: np.random.Generator) -> Array:
    """x - mean."""
    return _numbers(site) - mean_of(site)


def _pearson(site: Site, rng: np.random.Generator) -> Array:
    """(x - mean) / std."""
    return _response(site, rng) / std_of(site)


def _quantile(site: Site, rng: np.random.Generator) -> Array:
    """The standard normal quantile of P(X <= x), at random between P(X < x) and P(X <= x) for a
    discrete choice (Dunn and Smyth, 1996).
    """
    value = _numbers(site)
    below = cdf_of(site, value)
    if not site.distribution.kind.continuous:
        under = cdf_of(site, value - 1.0)
        below = under + rng.random(value.shape) * (below - under)
    return special.ndtri(below)


KINDS: dict[str, Callable[[Site, np.random.Generator], Array]] = {
    "response": _response,
    "pearson": _pearson,
    "quantile": _quantile,
}


def _numbers(site: Site) -> Array:
    value = np.asarray(site.value)
    if value.dtype.kind not in "fiub":
        raise InvalidValue(f"the choice at {show(site.address)} is no number: it has no residual")
    return value.astype(float)
