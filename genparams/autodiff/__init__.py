"""Derivatives: a tape, the boxes that write on it, and the numpy functions that they know."""

from genparams.autodiff import batching, box, scipy_functions  # noqa: F401  # what boxes can do
from genparams.autodiff.batch import Batch, by_row
from genparams.autodiff.derivatives import columns, gradient, hessian, jacobian, rows
from genparams.autodiff.rearranging import scatter
from genparams.autodiff.refusals import last_refusal, refusal, user_line
from genparams.autodiff.tape import (
    Box,
    Tape,
    as_array,
    holds_box,
    mark_shared,
    np,
    operand,
    raw,
    shape_of,
    special,
    sum_product_to,
    sum_to,
    total,
    unbox,
)

__all__ = ["Batch", "Box", "Tape", "as_array", "by_row", "columns", "gradient", "hessian"]
__all__ += ["holds_box", "jacobian", "last_refusal", "mark_shared", "np", "rows"]
__all__ += ["operand", "raw", "refusal", "scatter", "shape_of", "special", "sum_product_to"]
__all__ += ["sum_to", "total", "unbox", "user_line"]
