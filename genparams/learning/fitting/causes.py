"""What can be wrong at the end of a search. Each function looks for one cause."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from genparams.constraints import Interval, Positive, Simplex
from genparams.dsl.likelihood.likelihood import Likelihood, Second
from genparams.dsl.likelihood.scales import may_have_scale
from genparams.dsl.likelihood.sites import Site
from genparams.errors import (
    AtBoundary,
    Collapse,
    FitWarning,
    FlatDirection,
    NotConverged,
    Separation,
)
from genparams.learning.fitting.curvature import scale_of, spectrum
from genparams.learning.fitting.entries import keys_of
from genparams.learning.fitting.maximum import Found
from genparams.learning.fitting.search import EDGE
from genparams.learning.fitting.trust_region import has_converged
from genparams.params import Parameter
from genparams.text import brackets, enumerated
from genparams.types import Array, Constraint, Real

FLAT = 1e-13
"""A scaled eigenvalue below this part of the largest may be 0 but for rounding."""
FAR = 14.0
"""A scale that moved by more in its logarithm, a factor of a million, may have collapsed."""
OUT = 4.0
"""A coordinate of a constraint that is further from 0 or from its start may go to a bound."""
LOST = 1e-8
"""The curvature of a plateau is at most this part of the curvature at the start."""
LEVEL = 1e-9
"""A change below this part of the log likelihood may be rounding."""


@dataclass
class Diagnosis:
    """What is known so far of the end of a search."""

    likelihood: Likelihood
    found: Found
    start: Array
    at: Second
    """The derivatives at the end; the matrix is minus the Hessian."""
    sites: list[Site]
    """The choices of all traces."""
    converged: bool
    missing: dict[int, str] = field(default_factory=dict)
    """What is wrong with a coordinate, by its place."""
    status: dict[Parameter, str] = field(default_factory=dict)
    warnings: list[FitWarning] = field(default_factory=list)

    @property
    def left(self) -> Array:
        """The coordinates about which nothing is wrong so far."""
        return np.array([j for j in range(len(self.found.x)) if j not in self.missing], int)

    @cached_property
    def first(self) -> Second:
        """The derivatives at the start; the matrix is the Hessian."""
        return self.likelihood.hessian(self.start)

    @cached_property
    def owners(self) -> list[Parameter]:
        """The parameter of each coordinate."""
        places = self.likelihood.vector.places.items()
        return [p for p, place in places for _ in range(place.stop - place.start)]

    @cached_property
    def names(self) -> list[str]:
        """The name of each coordinate: its parameter, with an index if it is one of several."""
        keys = keys_of(self.likelihood.vector.parameters)
        return [
            f"{key}[{', '.join(map(str, i))}]" if i else key
            for p, key in keys.items()
            for i in np.ndindex(*p.shape)
        ]

    def named(self, places: Iterable[int]) -> str:
        return enumerated([self.names[int(j)] for j in places])

    def kept(self, matrix: Array) -> Array:
        """The rows and columns of a matrix of the coordinates that are left."""
        return matrix[np.ix_(self.left, self.left)]

    def constraint(self, j: int) -> Constraint:
        return self.owners[j].constraint

    def say(self, kind: type[FitWarning], places: Iterable[int], status: str, text: str) -> None:
        """Record what is wrong with some coordinates."""
        for j in places:
            self.missing[int(j)] = text
            self.status[self.owners[int(j)]] = status
        self.warnings.append(kind(text))

    def change(self, move: Array) -> float:
        """The change of the log probability by a move: 0 within rounding, NaN if it fails."""
        try:
            change = self.likelihood.log_prob(self.found.x + move) - self.found.log_prob
        except Exception:  # whatever the model raises there
            return np.nan
        return 0.0 if abs(change) <= LEVEL * max(1.0, abs(self.found.log_prob)) else change

    def unit(self, j: int) -> Array:
        """A move by 1 along a coordinate."""
        return np.eye(len(self.found.x))[j]

    def size(self, j: int) -> float:
        """How far a coordinate moves to see whether anything depends on it."""
        return max(1.0, abs(float(self.found.x[j])))


def is_maximum(d: Diagnosis) -> bool:
    """Whether the search has converged in the coordinates that are left."""
    left = d.left
    if not left.size:
        return True
    at = Second(d.at.log_prob, d.at.gradient[left], d.kept(d.at.matrix))
    return has_converged(d.found.x[left], at)


# --- No bound


def find_exact_fit(d: Diagnosis) -> None:
    """Find standard deviations whose residuals are rounding errors."""
    if any(map(may_have_scale, d.sites)):
        found = d.likelihood.exact(d.found.x)
        if found:
            _say_collapse(d, found)


def find_unbounded(d: Diagnosis) -> None:
    """Find coordinates that went far, and along which the likelihood still rises."""
    moved, g = d.found.x - d.start, d.at.gradient
    is_real = np.array([isinstance(p.constraint, Real) for p in d.owners], bool)
    far = np.abs(moved) > np.where(is_real, 20.0 * FAR, FAR)
    found = np.flatnonzero(far & (moved * g > 0.0) & (np.abs(g) > 0.01))
    found = found[~np.isin(found, list(d.missing))]
    if found.size and not d.converged:
        _say_collapse(d, found)


def _say_collapse(d: Diagnosis, places: Iterable[int]) -> None:
    """Record that the likelihood has no bound: then no other coordinate has a standard error."""
    d.converged = False
    places = list(places)
    limit = "goes to its limit" if len(places) == 1 else "go to their limits"
    text = (
        f"the likelihood has no bound: it still rises as {d.named(places)} {limit}. A scale goes "
        "to 0 around single observations, or the model fits the data exactly; bound the scale from "
        "below with a prior or interval(low, high), or start elsewhere"
    )
    d.say(Collapse, places, "without bound", text)
    d.missing |= dict.fromkeys(map(int, d.left), text)


# --- Flat


def find_flat(d: Diagnosis) -> None:
    """Find coordinates, and combinations of them, that change nothing."""
    before, g = d.left, d.at.gradient
    dead = before[~np.any(d.kept(d.at.matrix) != 0.0, axis=1) & (g[before] == 0.0)]
    idle = [j for j in dead if not _matters(d, j)]
    level = [j for j in dead if j not in idle and not _mattered(d, j)]
    if idle:
        text = f"the log likelihood does not depend on {d.named(idle)} here"
        d.say(FlatDirection, idle, "flat", text)
    if level:
        d.converged = False
        d.say(
            NotConverged,
            level,
            "flat here",
            f"the log likelihood does not change near {d.named(level)}, and changes further away: "
            "a step, a branch or a clip has no slope to climb. Try values of it in turn, as an "
            "argument of the model, or start elsewhere",
        )
    elif d.left.size:
        _find_flat_combinations(d)
    if d.left.size < before.size and not d.converged and not level:
        d.converged = is_maximum(d) and bool(np.max(np.abs(g)) < 1e-6)


def _matters(d: Diagnosis, j: int) -> bool:
    """Whether the log likelihood changes somewhere along a coordinate."""
    moves = [t * d.size(j) * d.unit(j) for t in (0.1, -0.1, 1.0, -1.0, 10.0, -10.0)]
    return any(np.isfinite(change) and change != 0.0 for change in map(d.change, moves))


def _mattered(d: Diagnosis, j: int) -> bool:
    """Whether a coordinate went far from the start, and changed the log likelihood there."""
    far = abs(d.found.x[j] - d.start[j]) > OUT
    return far and bool(d.first.gradient[j] != 0.0 or np.any(d.first.matrix[j] != 0.0))


def _find_flat_combinations(d: Diagnosis) -> None:
    """Find the directions in which the curvature is 0.

    If the log likelihood changes on one side of a direction only, the other side leads to a
    plateau: the data do determine the combination.
    """
    left = d.left
    matrix = d.kept(d.at.matrix)
    if not np.all(np.diag(matrix) != 0.0):
        return
    scale = scale_of(matrix)
    values, vectors = spectrum(matrix, scale)
    largest = min(float(np.max(np.abs(values))), float(len(left)))  # more only if it is indefinite
    null = vectors[:, np.abs(values) <= FLAT * largest] / scale[:, None]
    slopes = null.T @ d.at.gradient[left]
    null = null[:, (np.abs(slopes) <= 1e-6) & ~_are_one_sided(d, left, null)]
    if not null.size:
        return
    shares = np.abs(null) * scale[:, None]
    involved = np.max(shares, axis=1) > 1e-6 * np.max(shares)
    _say_combination(d, left[involved], null[involved])


def _say_combination(d: Diagnosis, places: Array, null: Array) -> None:
    """Record that some coordinates are not determined apart, and name the first null direction."""
    direction, count = null[:, 0], null.shape[1]
    direction = direction / direction[np.argmax(np.abs(direction))]
    pairs = zip(places, direction, strict=True)
    along = ", ".join(f"{d.names[j]} by {c:.3g}" for j, c in pairs if abs(c) > 1e-6)
    way_out = "Freeze one of them, or write the model without it"
    if count > 1:
        way_out = f"{count} directions are free: write the model with {count} parameters fewer"
    d.say(
        FlatDirection,
        places,
        "flat combination",
        f"the data do not determine {d.named(places)} apart: moving {along} together "
        f"leaves the log likelihood where it is. {way_out}",
    )


def _are_one_sided(d: Diagnosis, left: Array, directions: Array) -> Array:
    """Whether the log likelihood changes far away on one side of each direction only."""
    found = []
    for direction in directions.T:
        sizes = np.array([d.size(j) for j in left])
        move = np.zeros(len(d.found.x))
        move[left] = direction / np.max(np.abs(direction) / sizes)
        changes = [d.change(t * move) for t in (1.0, -1.0)]
        found.append((changes[0] == 0.0) != (changes[1] == 0.0))
    return np.array(found, bool)


# --- Running off


def find_running_off(d: Diagnosis) -> None:
    """Find coordinates along whose step the likelihood rises towards a limit, without a maximum."""
    if d.converged or not d.left.size:
        return
    step = _newton_step(d)
    suspects = [j for j in d.left if abs(step[j]) > 1e-4 * max(abs(d.found.x[j]), 1e-3)]
    if not suspects or not _rises_along(d, step, suspects):
        return
    bounded = [j for j in suspects if _is_near_bound(d, j, float(step[j]))]
    for p in dict.fromkeys(d.owners[j] for j in bounded):
        _say_bound(d, p, [j for j in bounded if d.owners[j] is p], step)
    rest = [j for j in suspects if j not in bounded]
    idle = [j for j in rest if bounded and not _matters_near(d, j)]
    if idle:
        text = f"the log likelihood does not depend on {d.named(idle)} there"
        d.say(FlatDirection, idle, "flat", text)
    growing = [j for j in rest if j not in idle and step[j] * d.found.x[j] > 0.0]
    if growing:
        lost = [j for j in d.left if _is_lost(d, j, float(d.first.matrix[j, j]))]
        _say_separation(d, sorted({*growing, *lost}))


def _is_lost(d: Diagnosis, j: int, first: float) -> bool:
    """Whether the curvature of a coordinate has gone, beside that at the start or its size."""
    curvature = float(d.at.matrix[j, j])
    return curvature <= LOST * abs(first) or curvature * (1e3 * d.size(j)) ** 2 < 1.0


def _newton_step(d: Diagnosis) -> Array:
    """The step of Newton's method in the coordinates that are left, 0 in the others.

    Eigenvalues count by their size, so that the step goes uphill.
    """
    left, matrix = d.left, d.kept(d.at.matrix)
    g, scale = d.at.gradient[left], scale_of(matrix)
    values, vectors = spectrum(matrix, scale)
    sure = np.maximum(np.abs(values), 1e-14 * np.max(np.abs(values)))
    step = np.zeros(len(d.found.x))
    step[left] = vectors @ (vectors.T @ (g / scale) / sure) / scale
    return step


def _rises_along(d: Diagnosis, step: Array, suspects: list[int]) -> bool:
    """Whether no longer step of the suspects lowers the log likelihood."""
    move = np.where(np.isin(np.arange(len(step)), suspects), step, 0.0)
    return all(d.change(t * move) >= 0.0 for t in (1.0, 3.0, 9.0))


def _is_near_bound(d: Diagnosis, j: int, step: float) -> bool:
    """Whether a coordinate is on its way to a bound of its constraint."""
    constraint, x = d.constraint(j), float(d.found.x[j])
    if isinstance(constraint, Real) or (isinstance(constraint, Positive) and step > 0.0):
        return False
    return max(abs(x), abs(x - float(d.start[j]))) > OUT


def _matters_near(d: Diagnosis, j: int) -> bool:
    """Whether the log likelihood changes with a move by 1 of a coordinate."""
    return any(d.change(t * d.unit(j)) != 0.0 for t in (1.0, -1.0))


def _say_bound(d: Diagnosis, p: Parameter, places: list[int], step: Array) -> None:
    d.converged = False
    bound = _bound_of(p.constraint, float(step[places[0]]))
    names = _vanishing(d, p) if isinstance(p.constraint, Simplex) else [d.names[j] for j in places]
    goes = "goes" if len(names) == 1 else "go"
    d.say(
        AtBoundary,
        places,
        "at its bound",
        f"the likelihood is largest where {enumerated(names)} {goes} to the bound{bound} of "
        f"{p.constraint!r}, and has no standard error there",
    )


def _vanishing(d: Diagnosis, p: Parameter) -> list[str]:
    """The names of the smallest entries of a simplex: the coordinates are ratios of all entries."""
    value, key = (
        d.likelihood.vector.values(d.found.x)[p],
        keys_of(d.likelihood.vector.parameters)[p],
    )
    return [f"{key}{brackets(i)}" for i in np.ndindex(*value.shape) if value[i] < np.exp(-OUT)]


def _bound_of(constraint: Constraint, step: float) -> str:
    if isinstance(constraint, Positive | Simplex):
        return " 0"
    if isinstance(constraint, Interval):
        return f" {constraint.low if step < 0.0 else constraint.high:g}"
    return ""


def _say_separation(d: Diagnosis, places: list[int]) -> None:
    d.converged = False
    grows = "grows" if len(places) == 1 else "grow"
    d.say(
        Separation,
        places,
        "without maximum",
        f"the likelihood has no maximum: it rises without end as {d.named(places)} {grows} in "
        "size or in a combination, for example because the predictors separate the outcomes. The "
        "estimates are where the search stopped; take fewer predictors, or give priors",
    )


# --- No maximum of another kind


def find_edge(d: Diagnosis) -> None:
    """Find a support that moves with the parameters and whose edge is at a datum."""
    if d.found.message == EDGE and not d.converged:
        d.say(
            AtBoundary,
            d.left,
            "at the edge of a support",
            "the likelihood is largest where a datum is at the edge of the support of its "
            "distribution, which moves with the parameters. The slope is not 0 there, so that the "
            "curvature gives no standard errors",
        )


def _is_definite(matrix: Array) -> bool:
    scale = scale_of(matrix)
    lowest = np.linalg.eigvalsh(matrix / scale / scale[:, None])[0]
    return bool(np.all(np.diag(matrix) != 0.0) and lowest > 0.0)


def find_indefinite(d: Diagnosis) -> None:
    """Find a Hessian that no maximum has: it is not negative definite."""
    left, matrix = d.left, d.kept(d.at.matrix)
    if not left.size or _is_definite(matrix):
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
