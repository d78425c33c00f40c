"""The search for the maximum of a likelihood, by the default method or one of scipy's."""

from collections.abc import Callable
from typing import Any

import numpy as np

from genparams.dsl.likelihood.likelihood import Likelihood
from genparams.errors import FitError, InvalidValue, nearest
from genparams.learning.fitting.curvature import scale_of, spectrum
from genparams.learning.fitting.maximum import Found
from genparams.learning.fitting.objective import Objective, Watch
from genparams.learning.fitting.trust_region import NEAR, NEAR_BY_GRADIENTS, REASONS, climb
from genparams.types import Array

SCIPY = ("BFGS", "L-BFGS-B", "CG", "Newton-CG", "trust-ncg", "trust-krylov", "trust-exact")
SCIPY += ("TNC", "SLSQP", "Nelder-Mead", "Powell")
METHODS = ("newton", *SCIPY)
FINISH = 10
"""The most steps of the default method after another one has ended."""
CLEAR = 1e-6
"""A direction is not flat if its scaled curvature is more than this part of the largest."""
INTERRUPTED, FAILED = "interrupted", "stopped by an error of the model"
CUT_SHORT = (INTERRUPTED, FAILED)
TRUSTED = "converged by scipy's own test"
EDGE = "stopped at the edge of the support of a choice"
LARGE = 500
"""With more coordinates the default is a method without matrices of second derivatives."""
LARGEST = 4 * LARGE
"""With more coordinates scipy's word is taken for the end of its search."""


def search(
    likelihood: Likelihood,
    x: Array,
    free: Array | None = None,
    method: str | None = None,
    max_iterations: int = 2000,
    watch: Watch | None = None,
) -> Found:
    """Search for the maximum of a likelihood over its free coordinates, from x.

    Ctrl-C or an error of the model ends the search at the best point seen.

    Args:
        free: Which coordinates move; all of them by default.
        method: A name in `METHODS`; by default `default_method`.

    Raises:
        ChoicesDiffer: the model makes other choices than the traces have.
        FitError: the derivatives are not finite at x, and the method is "newton".
        Exception: an error of the model, if no point with a density was seen.
    """
    free = np.ones(len(x), bool) if free is None else free
    objective = Objective(likelihood, x, free, watch)
    method = method or default_method(objective.start.size)
    reason, message = _ended(objective, method, max_iterations)
    if objective.refusal is not None:
        if objective.best_log_prob == -np.inf:
            raise objective.refusal
        if reason in ("plateau", "stalled"):
            message += f"; on the way the model raised {brief_error(objective.refusal)}"
    if reason == "stalled" and _is_beside(objective.impossible, objective.best):
        message = EDGE
    at = objective.best, objective.best_log_prob
    counts = objective.iterations, objective.evaluations
    return Found(*at, reason in ("converged", TRUSTED), message, *counts, objective.at_best)


def _ended(objective: Objective, method: str, max_iterations: int) -> tuple[str, str]:
    """Search, and say why the search ended: a key of `REASONS` if it has one, and in words.

    Raises:
        KeyboardInterrupt, or an error of the model: before any point with a density was seen.
        FitError: as in `search`.
    """
    climber = _climbed if method == "newton" else _minimised
    try:
        reason = climber(objective, method, max_iterations)
        return reason, REASONS.get(reason, reason)
    except FitError:
        raise
    except (Exception, KeyboardInterrupt) as error:
        if objective.best_log_prob == -np.inf:
            raise
        if isinstance(error, KeyboardInterrupt):
            return INTERRUPTED, INTERRUPTED
        return FAILED, f"{FAILED}: {brief_error(error)}"


def _is_beside(x: Array | None, best: Array) -> bool:
    """Whether a point is next to the best one."""
    return x is not None and bool(np.all(np.abs(x - best) <= 1e-6 * np.maximum(np.abs(best), 1.0)))


def starts_from(x: Array, doubtful: Array) -> list[Array]:
    """x, and points where the doubtful coordinates are nearer to 0.

    A coordinate is doubtful at a bound, for example: the gradient is almost 0 there, even if the
    maximum is elsewhere.
    """
    if not np.any(doubtful):
        return [x]
    return [np.where(doubtful, share * x, x) for share in (1.0, 0.5, 0.25, 0.0)]


def brief_error(error: Exception) -> str:
    """An error in a few words."""
    return f"{type(error).__name__}: {str(error)[:200]}"


def default_method(size: int) -> str:
    """The method for so many coordinates."""
    return "newton" if size <= LARGE else "L-BFGS-B"


def method_of(name: str | None) -> str | None:
    """The name of a method.

    Raises:
        InvalidValue: there is none of that name.
    """
    if name is None:
        return None
    known = {m.lower(): m for m in METHODS}
    if not isinstance(name, str) or name.lower() not in known:
        raise InvalidValue(f"there is no method {name!r} of fit; {nearest(str(name), METHODS)}")
    return known[name.lower()]


def _climbed(objective: Objective, method: str, max_iterations: int) -> str:
    """Search by the default method.

    Raises:
        FitError: the derivatives are not finite at the start.
    """
    objective.find_scales()
    near = NEAR_BY_GRADIENTS if objective.is_costly else NEAR
    end = climb(objective, objective.start, max_iterations, near)
    if end.reason == "undefined":
        raise FitError(f'{REASONS["undefined"]}; start elsewhere, or give method="BFGS"')
    if end.reason == "converged":
        objective.move_best(end.x, end.at)
    else:
        _finish_where_curved(objective)
    return end.reason


def _finish_where_curved(objective: Objective) -> None:
    """Move the best point to the maximum along the directions that are not flat.

    A search stops short of that maximum if other directions are flat.
    """
    for _ in range(3):
        x = objective.best[objective.free]
        at = objective.newton(x)
        if not np.all(np.isfinite(at.matrix)):
            return
        scale = scale_of(at.matrix)
        values, vectors = spectrum(at.matrix, scale)
        q = vectors.T @ (at.gradient / scale)
        clear = values > CLEAR * np.max(np.abs(values))
        x = x + vectors @ np.where(clear, q / np.where(clear, values, 1.0), 0.0) / scale
        new = objective.gradient(x)
        if not new.log_prob >= at.log_prob - 1e-12 * max(1.0, abs(at.log_prob)):
            return
        objective.move_best(x, new)


def _minimised(objective: Objective, method: str, max_iterations: int) -> str:
    """Search by `scipy.optimize.minimize`; then judge its end.

    A few steps of the default method are the judge, up to `LARGEST` coordinates.
    """
    from scipy.optimize import minimize

    def value(x: Array) -> tuple[float, Array]:
        log_prob, g = objective.gradient(x)
        return (-log_prob, -g) if np.isfinite(log_prob) else (np.inf, np.zeros_like(g))

    named: dict[str, Any] = {"jac": True}
    if method in ("Newton-CG", "trust-ncg", "trust-krylov", "trust-exact"):
        named["hess"] = lambda x: objective.newton(x).matrix
    f: Callable[..., Any] = value
    if method in ("Nelder-Mead", "Powell"):
        named, f = {}, lambda x: value(x)[0]
    options: dict[str, Any] = {"maxfun" if method == "TNC" else "maxiter": max_iterations}
    if method == "L-BFGS-B":  # its own limit on the gain would end it three digits early
        options |= {"ftol": 0.0, "gtol": 1e-7, "maxcor": 20, "maxfun": 20 * max_iterations}
    done = minimize(f, objective.start, method=method, options=options, **named)
    objective.iterations = int(done.nit)
    if objective.best.size > LARGEST:
        return TRUSTED if done.success else _said(done)
    end = climb(objective, objective.best[objective.free], FINISH if done.success else 1)
    if end.reason != "converged":
        return _said(done)
    objective.move_best(end.x, end.at)
    return "converged"


def _said(done: Any) -> str:
    return f"scipy stopped short of a maximum: {done.message}"
