"""The table of a hypothesis test."""

from genparams.reporting.cells import Cell, Missing, PValue
from genparams.reporting.fits import HypothesisTest, is_known, known
from genparams.reporting.table import Table


def hypothesis_table(test: HypothesisTest) -> Table:
    """The statistic, the degrees of freedom and the p-value of a test, and its message."""
    reason = test.message or "it could not be computed"
    cells = [known(test.statistic, reason), known(test.df, reason), _p_value(test.p_value, reason)]
    is_missing = any(isinstance(cell, Missing) for cell in cells)
    notes = () if is_missing or not test.message else (test.message,)
    return Table("Hypothesis test", (), ("statistic", "df", "P"), [("", cells)], notes)


def _p_value(value: float | None, reason: str) -> Cell:
    return PValue(value) if value is not None and is_known(value) else Missing(reason)
