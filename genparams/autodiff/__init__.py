"""Derivatives: a tape, the boxes that write on it, and the numpy functions that they know."""

from genparams.autodiff import box, scipy_functions  # noqa: F401  # what boxes can do
from genparams.autodiff.derivatives import gradient, hessian
from genparams.autodiff.refusals import last_refusal, refusal, user_line
from genparams.autodiff.shapes import scatter
from genparams.autodiff.tape import (
    Box,
    Tape,
    holds_box,
    np,
    operand,
    paired,
    raw,
    shape_of,
    share,
    special,
    strip,
    sum_to,
    total,
)

__all__ = [
    "Box",
    "Tape",
    "gradient",
    "hessian",
    "holds_box",
    "last_refusal",
    "np",
    "operand",
    "paired",
    "raw",
    "refusal",
    "scatter",
    "shape_of",
    "share",
    "special",
    "strip",
    "sum_to",
    "total",
    "user_line",
]
