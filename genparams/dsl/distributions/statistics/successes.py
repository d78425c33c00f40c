"""The expected information of `neg_binomial` by r, the number of successes.

    psi'(r) - E[psi'(r + X)] = sum_j P(X > j) / (r + j)^2

The terms are positive. They follow from P(X = j + 1) = P(X = j) (1 - probs) (r + j) / (j + 1).
"""

from typing import Any

import numpy as np

from genparams.dsl.distributions.discrete import neg_binomial
from genparams.dsl.distributions.limits.families import FAMILIES
from genparams.dsl.distributions.statistics.sums import in_blocks, products
from genparams.numeric import quiet

_LARGEST_MEAN = 200.0
_LEAST_PROBS = 0.02
"""Beyond these the series needs thousands of terms, and the nodes of a quadrature are fewer."""


def by_r(r: Any, probs: Any) -> Any:
    """The information by r, of each member of the batch."""
    return in_blocks(lambda r, probs: [_by_r(r, probs)], r, probs)[0]


def _by_r(r: Any, probs: Any) -> Any:
    short = (r * (1.0 - probs) / probs < _LARGEST_MEAN) & (probs > _LEAST_PROBS)
    found = np.empty(np.shape(r))
    found[short] = _by_series(r[short], probs[short])
    if not np.all(short):
        long = ~short
        family, args = FAMILIES[neg_binomial], (r[long], probs[long])
        found[long] = products(family, [(0, 0)], 0.0, np.inf, args)[0, 0]
    return found


@quiet
def _by_series(r: Any, probs: Any) -> Any:
    mass = np.exp(r * np.log(probs))
    above = -np.expm1(r * np.log(probs))
    total = above / r**2
    mean, least, j = r * (1.0 - probs) / probs, 1e-18 * above, 0
    while np.any((mass > least) | (mean > j)):
        mass = mass * ((1.0 - probs) * (r + j) / (j + 1.0))
        j += 1
        above = np.maximum(above - mass, 0.0)
        total += above / (r + j) ** 2
    return total
