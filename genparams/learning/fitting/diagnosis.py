"""Whether a search ended at a maximum, and which parameters the data determine there.

`causes` has what can be wrong.
"""

import numpy as np

from genparams.dsl.likelihood.likelihood import Likelihood
from genparams.errors import (
    AtBoundary,
    Collapse,
    FlatDirection,
    IllConditioned,
    NotConverged,
    Separation,
)
from genparams.learning.fitting.causes import (
    Diagnosis,
    find_edge,
    find_exact_fit,
    find_flat,
    find_indefinite,
    find_running_off,
    find_unbounded,
    is_maximum,
)
from genparams.learning.fitting.covariance import inverse_of
from genparams.learning.fitting.maximum import Found, Maximum
from genparams.learning.fitting.search import CUT_SHORT
from genparams.numeric import quiet
from genparams.structure import leaves
from genparams.text import counted
from genparams.types import Array

POORLY_CONDITIONED = 1e8
"""A condition number above which `fit` warns."""
ENDINGS = {
    NotConverged: "",
    Collapse: "stopped: the likelihood has no bound",
    Separation: "stopped: the likelihood has no maximum",
    AtBoundary: "stopped: the likelihood is largest at a bound",
    FlatDirection: "converged: the likelihood is at its maximum, where some parameters are free",
}
"""The message of a fit by its warnings: the first kind here that it gave; "" keeps the search's."""


@quiet
def diagnosed(likelihood: Likelihood, found: Found, start: Array, method: str) -> Maximum:
    """The end of a search with its curvature, the status of each parameter, and warnings."""
    at = found.at or likelihood.hessian(found.x)
    sites = [site for run in likelihood.sites(found.x) for site in run]
    d = Diagnosis(likelihood, found, start, at._replace(matrix=-at.matrix), sites, found.converged)
    if not np.all(np.isfinite(at.matrix)):
        d.say(NotConverged, d.left, "Hessian not finite", "the Hessian is not finite there")
    elif not found.message.startswith(CUT_SHORT):
        for find in (find_exact_fit, find_unbounded, find_flat, find_running_off, find_edge):
            find(d)
        find_indefinite(d)
    _conclude(d)
    _warn_of_few_data(d)
    _warn_of_condition(d)
    return Maximum(
        likelihood=likelihood,
        found=d.found._replace(converged=d.converged, message=_message(d), at=None),
        gradient=at.gradient,
        hessian=at.matrix,
        status={p: d.status.get(p, "ok") for p in likelihood.vector.parameters},
        missing=d.missing,
        warnings=tuple(d.warnings),
        method=method,
    )


def _conclude(d: Diagnosis) -> None:
    """Where the search ended short of a maximum, warn; no coordinate has a standard error."""
    if d.converged or (d.warnings and is_maximum(d)):
        return
    d.converged = False
    if not any(isinstance(w, NotConverged) for w in d.warnings):
        text = f"the fit did not converge: {d.found.message}"
        d.say(NotConverged, d.left, "not converged", text)


def _warn_of_few_data(d: Diagnosis) -> None:
    """Warn if there are fewer numbers than parameters, and no prior."""
    numbers = sum(int(np.size(part)) for site in d.sites for part in leaves(site.value))
    if numbers < len(d.found.x) and not d.likelihood.priors:
        few, many = counted(numbers, "number"), counted(len(d.found.x), "parameter")
        d.warnings.append(FlatDirection(f"{few} of data cannot determine {many}"))


def _warn_of_condition(d: Diagnosis) -> None:
    """Warn if the condition number of the curvature is large."""
    left = d.left
    if not left.size:
        return
    condition = inverse_of(d.kept(d.at.matrix), [d.names[j] for j in left]).condition
    if POORLY_CONDITIONED < condition < np.inf:
        d.warnings.append(
            IllConditioned(
                f"the condition number is {condition:.3g}: in their units, one combination of the "
                "parameters is determined that much worse than another one. Centre the predictors, "
                "and take units in which the estimates have similar sizes"
            )
        )


def _message(d: Diagnosis) -> str:
    """Why the fit ended, in words."""
    if d.found.converged and d.converged:
        return d.found.message
    given = {type(w) for w in d.warnings}
    return next((text for kind, text in ENDINGS.items() if kind in given), "") or d.found.message
