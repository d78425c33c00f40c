"""What a search for the maximum of a likelihood found, and what is known of each parameter."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from genparams.dsl.likelihood.likelihood import Likelihood, Second
from genparams.errors import FitWarning
from genparams.params import Parameter
from genparams.types import Array


class Found(NamedTuple):
    """The best point of a search."""

    x: Array
    """All coordinates of the vector."""
    log_prob: float
    """The log likelihood and the log prior there."""
    converged: bool
    message: str
    """Why the search ended, in words."""
    iterations: int
    evaluations: int
    at: Second | None = None
    """The derivatives there, if the search ended with them."""


@dataclass(frozen=True, slots=True)
class Maximum:
    """The best point of a search, with the curvature there and what is known of each parameter."""

    likelihood: Likelihood
    found: Found
    gradient: Array
    hessian: Array
    """The second derivatives of `log_prob` by the coordinates; NaN where they are not finite."""
    status: Mapping[Parameter, str]
    """`"ok"`, or what is wrong with a parameter in a few words."""
    missing: Mapping[int, str] = field(default_factory=dict)
    """Why a coordinate has no standard error, by its place in the vector. The coordinate takes no
    part in the curvature: the standard errors of the others are for this one held."""
    warnings: tuple[FitWarning, ...] = ()
    method: str = ""

    @property
    def usable(self) -> Array:
        """Which coordinates take part in the curvature."""
        free = np.ones(self.likelihood.vector.size, bool)
        free[list(self.missing)] = False
        return free
