"""Several fits of the same data, side by side."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from genparams.errors import InvalidValue
from genparams.reporting.cells import Cell, Missing, Rounded
from genparams.reporting.fits import Fit, criteria, criterion, is_known, not_converged
from genparams.reporting.table import Table


def compare(results: Mapping[str, Fit] | Sequence[Fit]) -> Table:
    """A row for each fit: log likelihood, parameters, information criteria, Akaike weights.

        delta_i = AIC_i - min_j AIC_j,    weight_i = exp(-delta_i / 2) / sum_j exp(-delta_j / 2)

    Fits of different data, which have another `data_id`, have no differences and no weights.

    Args:
        results: Fits by the names to show, or fits, which have the names of their functions.

    Raises:
        InvalidValue: there is no fit.

    Reference: Burnham and Anderson, 2002, Model Selection and Multimodel Inference, section 2.9.
    """
    fits = dict(results) if isinstance(results, Mapping) else _named(results)
    if not fits:
        raise InvalidValue("there is no fit to compare; write compare([one, other])")
    headers = ("log likelihood", "parameters", "AIC", "AICc", "BIC", "delta AIC", "weight")
    ranks = _ranks(list(fits.values()))
    rows = [
        (name, [*_cells(fit), *rank]) for (name, fit), rank in zip(fits.items(), ranks, strict=True)
    ]
    return Table("Comparison of fits", (), headers, rows, tuple(_notes(fits)))


def _named(results: Sequence[Fit]) -> dict[str, Fit]:
    """Fits by the names of their functions, with a number where a name repeats."""
    counts, named = Counter(fit.function for fit in results), {}
    seen: Counter[str] = Counter()
    for fit in results:
        seen[fit.function] += 1
        number = f" ({seen[fit.function]})" if counts[fit.function] > 1 else ""
        named[fit.function + number] = fit
    return named


def _cells(fit: Fit) -> list[Cell]:
    log_likelihood, *rest = criteria(fit).values()
    return [log_likelihood, fit.num_params, *rest]


def _ranks(fits: list[Fit]) -> list[list[Cell]]:
    """The difference from the best AIC, and the weight, of each fit."""
    if len({fit.data_id for fit in fits}) > 1:
        missing = Missing("the fits are of different data: other values, or at other addresses")
        return [[missing, missing] for _ in fits]
    finite = [fit.aic for fit in fits if is_known(fit.aic) and math.isfinite(fit.aic)]
    best = min(finite, default=0.0)
    total = math.fsum(math.exp((best - aic) / 2) for aic in finite)
    return [_rank(fit.aic, best, total) for fit in fits]


def _rank(aic: float, best: float, total: float) -> list[Cell]:
    if not is_known(aic) or math.isinf(aic):
        missing = Missing("AIC is not finite")
        return [missing, missing]
    return [criterion(aic - best, ""), Rounded(math.exp((best - aic) / 2) / total, 4)]


def _notes(fits: Mapping[str, Fit]) -> Iterator[str]:
    for name, fit in fits.items():
        if not fit.converged:
            yield f"Warning: {name} has {not_converged(fit)}"
        if fit.priors:
            yield f"Warning: {name} has priors: its criteria are not those of a maximum likelihood"
