"""The table of a fit: estimates, standard errors, tests against 0, intervals, and what to doubt.

An estimate and its interval are rounded to the decimal place at which the standard error has four
significant digits. A parameter with a constraint has no test against 0: 0 is not inside its
constraint, or is no special value there. If every parameter has a constraint, the columns of the
test are left out.
"""

import math
from collections.abc import Iterator, Mapping

import numpy as np

from genparams.errors import ShapeError
from genparams.learning.checks import one_of
from genparams.learning.fitting.intervals import check_level
from genparams.reporting.cells import Cell, Missing, PValue, Rounded, places
from genparams.reporting.fits import (
    Fit,
    criteria,
    criterion,
    flat,
    is_known,
    known,
    not_converged,
)
from genparams.reporting.table import Table
from genparams.text import counted
from genparams.types import real

ERROR_DIGITS = 4
"""The significant digits of a standard error."""
ESTIMATE_DIGITS = 10
"""The most significant digits of an estimate."""
MAY_BE_EMPTY = ("z", "P>|z|", "status")
"""The columns that are left out if no row has something to say in them."""
KINDS = {
    "observed": "observed information (inverse of minus the Hessian of the full {target})",
    "expected": "expected information (inverse of the mean of minus the Hessian of the {target})",
    "opg": "outer products (inverse of the sum of outer products of each observation's gradient)",
    "sandwich": "sandwich (inverse of the observed information around the outer products of each "
    "observation's gradient)",
}


def summary(result: Fit, level: float = 0.95) -> Table:
    """The table of a fit.

    z is the estimate over its standard error, and P>|z| the probability of a larger |z| under a
    standard normal distribution; parameters with a constraint have neither.

    Args:
        level: The probability of the intervals.

    Raises:
        InvalidValue: the level is not between 0 and 1, or the kind of standard error is not known.
        ShapeError: estimates, standard errors, intervals and entries differ in number.
    """
    percent = f"{100 * check_level(level):.10g}%"
    ends = [f"{percent} low", f"{percent} high"]
    headers, rows = _filled(
        ["estimate", "std. error", "z", "P>|z|", *ends, "status"], list(_rows(result, level))
    )
    return Table(_title(result), _facts(result), headers, rows, tuple(_notes(result)))


def _title(result: Fit) -> str:
    principle = "Maximum a posteriori" if result.priors else "Maximum likelihood"
    return f"{principle} fit of {result.function}"


def _facts(result: Fit) -> list[tuple[str, Cell]]:
    steps = counted(result.iterations, "iteration"), counted(result.evaluations, "evaluation")
    how = ", ".join(["yes" if result.converged else "no", result.method, *steps])
    unknown = "the number of observations is not known"
    posterior = criterion(result.log_posterior, "the log posterior is not known")
    return [
        *criteria(result).items(),
        *([("log posterior", posterior)] if result.priors else []),
        ("observations", known(result.num_obs, unknown)),
        ("parameters", result.num_params),
        *([("degrees of freedom", known(result.df_residual, unknown))] if _has_df(result) else []),
        ("converged", how),
    ]


def _has_df(result: Fit) -> bool:
    """Whether there are more observations than parameters, as far as is known."""
    return result.df_residual is None or not result.df_residual < 0


# --- Rows


def _rows(result: Fit, level: float) -> Iterator[tuple[str, list[Cell]]]:
    """The cells of each entry, the last of them its status, '' for ok."""
    estimates, std_errors = flat(result.estimates), flat(result.std_errors)
    ends = _intervals(result, level)
    owners = [name for name, value in result.estimates.items() for _ in range(np.size(value))]
    sizes = {len(result.entries), len(estimates), len(std_errors), len(ends)}
    if len(sizes) > 1:
        raise ShapeError(
            f"a fit of {result.function} has {len(result.entries)} entries, {len(estimates)} "
            f"estimates, {len(std_errors)} standard errors and {len(ends)} intervals; give one of "
            "each for every entry"
        )
    numbers = zip(result.entries, owners, estimates, std_errors, ends, strict=True)
    for entry, owner, estimate, std_error, (low, high) in numbers:
        status = "" if result.status[owner] == "ok" else result.status[owner]
        reason = result.missing.get(entry) or status or "it could not be computed"
        is_real = result.constraints[owner] == real
        row = [float(x) for x in (estimate, std_error, low, high)]
        yield entry, [*_row(*row, is_real=is_real, reason=reason), status]


def _filled(
    headers: list[str], rows: list[tuple[str, list[Cell]]]
) -> tuple[list[str], list[tuple[str, list[Cell]]]]:
    """The columns without those of tests and status in which every cell is empty."""
    kept = [
        j
        for j, header in enumerate(headers)
        if header not in MAY_BE_EMPTY or any(cells[j] != "" for _, cells in rows)
    ]
    return [headers[j] for j in kept], [(name, [cells[j] for j in kept]) for name, cells in rows]


def _intervals(result: Fit, level: float) -> np.ndarray:
    """The two ends of each entry."""
    ends = result.conf_int(level)
    if isinstance(ends, Mapping):
        ends = [ends[entry] for entry in result.entries]
    return np.reshape(np.asarray(ends, float), (-1, 2))


def _row(
    estimate: float, std_error: float, low: float, high: float, *, is_real: bool, reason: str
) -> list[Cell]:
    missing = Missing(reason)
    if not is_known(std_error):
        tests = [missing, missing] if is_real else ["", ""]
        return [known(estimate, reason), missing, *tests, missing, missing]
    shown = _places(std_error, [x for x in (estimate, low, high) if math.isfinite(x)])
    center, *ends = (_rounded(x, shown, is_real, reason) for x in (estimate, low, high))
    error = Rounded(std_error, places(std_error, ERROR_DIGITS))
    tests = _tests(estimate, std_error, reason) if is_real else ["", ""]
    return [center, error, *tests, *ends]


def _places(std_error: float, others: list[float]) -> int:
    """The decimal places of an estimate and its interval."""
    largest = max(map(abs, others), default=0.0)
    if not std_error or math.isinf(std_error):
        return places(largest, ERROR_DIGITS + 1)
    wanted = places(std_error, ERROR_DIGITS)
    return min(wanted, places(largest, ESTIMATE_DIGITS)) if largest else wanted


def _rounded(value: float, shown: int, is_real: bool, reason: str) -> Cell:
    """An estimate or an end of its interval; one that cannot be 0 is not rounded to 0."""
    if not is_known(value):
        return Missing(reason)
    return Rounded(value, shown if is_real else max(shown, places(value, 2)))


def _tests(estimate: float, std_error: float, reason: str) -> list[Cell]:
    """z, and the probability of a larger |z|."""
    if not std_error or not is_known(estimate) or not is_known(estimate / std_error):
        missing = Missing("the standard error is 0" if not std_error else reason)
        return [missing, missing]
    z = estimate / std_error
    return [Rounded(z, 3), PValue(math.erfc(abs(z) / math.sqrt(2.0)))]


# --- Notes


def _notes(result: Fit) -> Iterator[str]:
    yield _convention(result)
    yield from map(_sentence, result.notes)
    if result.priors:
        yield (
            f"Priors on {', '.join(result.priors)}: the log likelihood is not at its maximum, and "
            "AIC, AICc and BIC are not those of a maximum likelihood."
        )
    if any(constraint != real for constraint in result.constraints.values()):
        yield (
            "Intervals are computed in unconstrained coordinates. A parameter with a constraint "
            "has no test against 0."
        )
    yield from (f"Warning: {text}" for text in dict.fromkeys(_doubts(result)))


def _convention(result: Fit) -> str:
    """Which standard errors are shown."""
    kind = KINDS[one_of("standard error", result.kind, KINDS)]
    target = "log likelihood and log prior" if result.priors else "log likelihood"
    principle = "maximum a posteriori" if result.priors else "maximum likelihood"
    return (
        f"Standard errors: {kind.format(target=target)}, {principle}; no n/(n-p) "
        "correction as lm and nls use."
    )


def _sentence(text: str) -> str:
    """A text with a capital at its beginning and a point at its end."""
    return text[:1].upper() + text[1:].removesuffix(".") + "."


def _doubts(result: Fit) -> Iterator[str]:
    if not result.converged and not result.warnings:
        yield not_converged(result)
    shown = set(result.missing.values())
    yield from (text for text in result.warnings if _without_name(text) not in shown)


def _without_name(text: str) -> str:
    """A warning without the name of its class: `AtBoundary: ...`."""
    name, _, rest = text.partition(": ")
    return rest if name.isidentifier() else text
