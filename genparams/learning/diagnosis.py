"""What the end of a search says of each parameter: whether there is a maximum, and which parameters
it determines.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from genparams.constraints import Positive
from genparams.dsl.likelihood.likelihood import Likelihood, Second
from genparams.dsl.likelihood.scales import may_have_scale
from genparams.dsl.likelihood.sites import Site
from genparams.errors import (
    AtBoundary,
    Collapse,
    FitWarning,
    FlatDirection,
    IllConditioned,
    NotConverged,
    Separation,
)
from genparams.learning.covariance import inverse_of
from genparams.learning.maximum import Found, Maximum
from genparams.learning.observations import count_of
from genparams.learning.search import EDGE
from genparams.learning.trust_region import has_converged
from genparams.numeric import quiet
from genparams.params import Parameter
from genparams.text import counted
from genparams.types import Array, Constraint, Real

FLAT = 1e-13
"""An eigenvalue of the scaled curvature, beside the largest, that may be 0 but for rounding."""
FAR = 14.0
"""A distance on a logarithmic scale, a factor of a million, at which a scale has collapsed."""
POORLY_CONDITIONED = 1e8


@dataclass(slots=True)
class Diagnosis:
    """What is known so far of the end of a search. A matrix is minus the Hessian."""

    likelihood: Likelihood
    found: Found
    start: Array
    at: Second
    sites: list[Site]
    """The choices of all traces."""
    converged: bool
    missing: dict[int, str] = field(default_factory=dict)
    status: dict[Parameter, str] = field(default_factory=dict)
    warnings: list[FitWarning] = field(default_factory=list)

    @property
    def left(self) -> Array:
        """The coordinates about which nothing is wrong so far."""
        return np.array([j for j in range(len(self.found.x)) if j not in self.missing], int)

    def say(self, kind: type[FitWarning], places: Iterable[int], status: str, text: str) -> None:
        """Record what is wrong with some coordinates."""
        for j in places:
            self.missing[int(j)] = text
            self.status[self.owner(int(j))] = status
        self.warnings.append(kind(text))

    def owner(self, j: int) -> Parameter:
        """The parameter of a coordinate."""
        return next(p for p, place in self.likelihood.vector.places.items() if j < place.stop)

    def named(self, places: Iterable[int]) -> str:
        """The names of coordinates, as the end of a list."""
        names = coordinate_names(self.likelihood.vector)
        return listed([names[int(j)] for j in places])


@quiet
def diagnosed(likelihood: Likelihood, found: Found, start: Array, method: str) -> Maximum:
    """The end of a search with its curvature, the status of each parameter, and warnings."""
    at = found.at or likelihood.hessian(found.x)
    sites = [site for run in likelihood.sites(found.x) for site in run]
    d = Diagnosis(likelihood, found, start, at._replace(matrix=-at.matrix), sites, found.converged)
    if not np.all(np.isfinite(at.matrix)):
        d.say(NotConverged, d.left, "Hessian not finite", "the Hessian is not finite here")
    else:
        _find_exact_fit(d)
        _find_unbounded(d)
        _find_flat(d)
        if not d.converged:
            _find_running_off(d)
        _find_edge(d)
        _find_indefinite(d)
    _conclude(d)
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


def _message(d: Diagnosis) -> str:
    """Why the fit ended, in words."""
    kinds = {type(w) for w in d.warnings}
    if d.converged and FlatDirection in kinds and not d.found.converged:
        return "converged: the log likelihood is at its maximum, and some parameters are free there"
    endings = {
        Collapse: "stopped: the likelihood has no bound",
        Separation: "stopped: the likelihood has no maximum",
        AtBoundary: "stopped: the likelihood is largest at a bound",
    }
    found = [text for kind, text in endings.items() if kind in kinds]
    return found[0] if found and NotConverged not in kinds else d.found.message


# --- What can be wrong


def _find_unbounded(d: Diagnosis) -> None:
    """Coordinates that went far, and along which the likelihood still rises as fast."""
    moved, g = d.found.x - d.start, d.at.gradient
    scales = np.array([not isinstance(d.owner(j).constraint, Real) for j in range(len(g))], bool)
    far = np.abs(moved) > np.where(scales, FAR, 20.0 * FAR)
    found = np.flatnonzero(far & (moved * g > 0.0) & (np.abs(g) > 0.01))
    found = found[~np.isin(found, list(d.missing))]
    if found.size and not d.converged:
        _say_collapse(d, found)


def _say_collapse(d: Diagnosis, places: Iterable[int]) -> None:
    """There is no maximum, and so no other coordinate has a standard error either."""
    d.converged = False
    places = list(places)
    text = (
        f"the likelihood has no bound: it still rises as {d.named(places)} "
        f"{'goes to its limit' if len(places) == 1 else 'go to their limits'}. A scale goes to 0 "
        "around single observations, or the model fits the data exactly; bound the scale from "
        "below with a prior or interval(low, high), or start elsewhere"
    )
    d.say(Collapse, places, "without bound", text)
    d.missing |= dict.fromkeys(map(int, d.left), text)


def _find_exact_fit(d: Diagnosis) -> None:
    """Standard deviations of residuals that are rounding errors."""
    if not any(map(may_have_scale, d.sites)):
        return
    found = d.likelihood.scales(d.found.x).exact(d.sites)
    if found:
        d.converged = False
        _say_collapse(d, found)


def _find_flat(d: Diagnosis) -> None:
    """Coordinates, and combinations of them, that change nothing."""
    left = d.left
    matrix, g = d.at.matrix[np.ix_(left, left)], d.at.gradient[left]
    dead = left[~np.any(matrix != 0.0, axis=1) & (g == 0.0)]
    dead = dead[~_mattered(d, dead)]
    if dead.size:
        names = d.named(dead)
        d.say(FlatDirection, dead, "flat", f"the log likelihood does not depend on {names} here")
    left = d.left
    if left.size:
        _find_flat_combinations(d, left)
    if (dead.size or d.left.size < left.size) and not d.converged:
        d.converged = _is_maximum(d) and bool(np.max(np.abs(d.at.gradient)) < 1e-6)


def _mattered(d: Diagnosis, places: Array) -> Array:
    """Which coordinates changed the log likelihood at the start: they have run off since."""
    if not places.size:
        return np.zeros(0, bool)
    first = d.likelihood.hessian(d.start)
    return (first.gradient[places] != 0.0) | np.any(first.matrix[places] != 0.0, axis=1)


def _find_flat_combinations(d: Diagnosis, left: Array) -> None:
    scale = np.sqrt(np.abs(np.diag(d.at.matrix)))[left]
    if not np.all(scale > 0.0):
        return
    matrix = d.at.matrix[np.ix_(left, left)] / scale / scale[:, None]
    values, vectors = np.linalg.eigh(matrix)
    null = vectors[:, np.abs(values) <= FLAT * np.max(np.abs(values))]
    slope = null.T @ (d.at.gradient[left] / scale)
    if not null.size or np.any(np.abs(slope) > 1e-6):
        return
    involved = left[np.max(np.abs(null), axis=1) > 1e-6]
    direction = (null[:, 0] / scale)[np.isin(left, involved)]
    direction = direction / direction[np.argmax(np.abs(direction))]
    names = coordinate_names(d.likelihood.vector)
    along = ", ".join(f"{names[j]} by {c:.3g}" for j, c in zip(involved, direction, strict=False))
    d.say(
        FlatDirection,
        involved,
        "flat combination",
        f"the data do not determine {d.named(involved)} apart: moving {along} together leaves the "
        "log likelihood where it is. Freeze one of them, or write the model without it",
    )


def _find_running_off(d: Diagnosis) -> None:
    """Coordinates along whose step the likelihood rises to a limit that it never reaches."""
    left = d.left
    if not left.size:
        return
    step, suspects = _long_steps(d, left)
    if not suspects.size or not _rises_along(d, step, suspects):
        return
    x = d.found.x
    bounded = [j for j in suspects if _has_bound(d.owner(j).constraint, float(step[j]))]
    growing = [j for j in suspects if j not in bounded]
    for p in dict.fromkeys(map(d.owner, bounded)):
        mine = [j for j in bounded if d.owner(j) is p]
        at = d.likelihood.vector.values(x)[p]
        d.say(
            AtBoundary,
            mine,
            "at its bound",
            f"the likelihood is largest where {d.named(mine)} is at the bound of {p.constraint!r}: "
            f"the value goes to {_shown(at)}, and has no standard error there",
        )
    if growing:
        d.say(
            Separation,
            growing,
            "without maximum",
            f"the likelihood has no maximum: it rises without end as {d.named(growing)} "
            f"grow{'s' if len(growing) == 1 else ''}, for example because a combination of "
            "predictors separates the outcomes. The estimates are where the search stopped; take "
            "fewer predictors, or priors=",
        )


def _has_bound(constraint: Constraint, step: float) -> bool:
    """Whether a coordinate that goes the way of a step goes to a bound of its constraint."""
    return step < 0.0 if isinstance(constraint, Positive) else not isinstance(constraint, Real)


def _long_steps(d: Diagnosis, left: Array) -> tuple[Array, Array]:
    """The step of Newton's method, and the coordinates beside which it is long."""
    matrix, g = d.at.matrix[np.ix_(left, left)], d.at.gradient[left]
    scale = _scale_of(matrix)
    values, vectors = np.linalg.eigh(matrix / scale / scale[:, None])
    sure = np.maximum(np.abs(values), 1e-14 * np.max(np.abs(values)))
    step = np.zeros(len(d.found.x))
    step[left] = vectors @ (vectors.T @ (g / scale) / sure) / scale
    x = d.found.x[left]
    long = np.abs(step[left]) > 1e-4 * np.maximum(np.abs(x), 1e-3)
    return step, left[long]


def _rises_along(d: Diagnosis, step: Array, suspects: Array) -> bool:
    """Whether ever longer steps of the suspects lower the log likelihood nowhere."""
    direction = np.zeros_like(step)
    direction[suspects] = step[suspects]
    floor = d.found.log_prob - 1e-9 * max(1.0, abs(d.found.log_prob))
    try:
        return all(
            d.likelihood.log_prob(d.found.x + t * direction) >= floor for t in (1.0, 3.0, 9.0)
        )
    except Exception:  # whatever the model raises there
        return False


def _find_edge(d: Diagnosis) -> None:
    """A support that moves with the parameters, and ends at a datum."""
    if d.found.message == EDGE:
        d.say(
            AtBoundary,
            d.left,
            "at the edge of a support",
            "the likelihood is largest where a datum is at the edge of the support of its "
            "distribution, which moves with the parameters. The slope is not 0 there, so that the "
            "curvature gives no standard errors",
        )


def _find_indefinite(d: Diagnosis) -> None:
    left = d.left
    matrix = d.at.matrix[np.ix_(left, left)]
    scale = np.sqrt(np.abs(np.diag(matrix)))
    if not left.size or (np.all(scale > 0.0) and _is_definite(matrix / scale / scale[:, None])):
        return
    d.converged = False
    d.say(
        NotConverged,
        left,
        "Hessian not negative definite",
        f"the fit did not converge: {d.found.message}. The Hessian is not negative definite there, "
        "so that point is no maximum and has no standard errors; start elsewhere, or give "
        "restarts=10",
    )


def _conclude(d: Diagnosis) -> None:
    left = d.left
    if not d.converged and (not d.warnings or not _is_maximum(d)):
        d.warnings.append(NotConverged(f"the fit did not converge: {d.found.message}"))
    count = count_of([d.sites])
    if count < len(d.found.x) and not d.likelihood.priors:
        few, many = counted(count, "observation"), counted(len(d.found.x), "parameter")
        d.warnings.append(FlatDirection(f"{few} cannot determine {many}"))
    if left.size:
        names = coordinate_names(d.likelihood.vector)
        matrix = d.at.matrix[np.ix_(left, left)]
        condition = inverse_of(matrix, [names[j] for j in left]).condition
        if POORLY_CONDITIONED < condition < np.inf:
            d.warnings.append(
                IllConditioned(
                    f"the condition number is {condition:.3g}: one combination of the parameters "
                    "is determined that much worse than another one, in their units. Centre and "
                    "scale the predictors"
                )
            )


# --- Matrices


def _is_maximum(d: Diagnosis) -> bool:
    """Whether the search has converged in the coordinates that are left."""
    left = d.left
    if not left.size:
        return True
    at = Second(d.at.log_prob, d.at.gradient[left], d.at.matrix[np.ix_(left, left)])
    return has_converged(d.found.x[left], at)


def _scale_of(matrix: Array) -> Array:
    """The root of the diagonal; 1 for a coordinate without curvature."""
    scale = np.sqrt(np.abs(np.diag(matrix)))
    return np.where(scale > 0.0, scale, 1.0)


def _is_definite(scaled: Array) -> bool:
    return bool(np.linalg.eigvalsh(scaled)[0] > 0.0)


# --- Words


def coordinate_names(vector) -> list[str]:
    """A name for each coordinate: of its parameter, with an index if that has several."""
    names = []
    for p, place in vector.places.items():
        count = place.stop - place.start
        names += (
            [p.name]
            if not p.shape
            else [
                f"{p.name}[{', '.join(map(str, np.unravel_index(k, p.shape)))}]"
                for k in range(count)
            ]
        )
    return names


def listed(names: list[str]) -> str:
    """Names as in a sentence: a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _shown(value: object) -> str:
    return np.array2string(np.asarray(value), precision=3)
