"""Tables of fits: as text, HTML, LaTeX, Markdown and data frames."""

from genparams.reporting.cells import Missing, PValue, Rounded
from genparams.reporting.comparison import compare
from genparams.reporting.hypotheses import hypothesis_table
from genparams.reporting.summary import summary
from genparams.reporting.table import Table

__all__ = ["Missing", "PValue", "Rounded", "Table", "compare", "hypothesis_table", "summary"]
