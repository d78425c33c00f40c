"""What the compiler may assume of floats."""

from typing import Any

import numpy as np

from genparams.compiled.algebra.ir import Node, Program

FAST = ("arcp", "contract", "nsz", "reassoc")
"""Sums in any order and products by reciprocals; but NaN and infinity are as they are."""
EXACT = ()


def assumptions(program: Program) -> tuple[str, ...]:
    """`FAST`, but nothing for a program that computes with rounding errors.

    Such a program takes something away again: c - (c - x) is x for real numbers, and the high half
    of the digits of x for floats (Dekker's product, Knuth's sum). A compiler that may order sums
    would make it x.
    """
    return EXACT if any(map(_takes_away_again, program.nodes)) else FAST


def _takes_away_again(n: Node) -> bool:
    if n.op not in (np.add, np.subtract):
        return False
    x, y = n.args
    return _has(x, y) or _has(y, x)


def _has(sum_: Any, x: Any) -> bool:
    """Whether a sum or a difference has the operand x."""
    if not isinstance(sum_, Node) or sum_.op not in (np.add, np.subtract):
        return False
    return isinstance(x, Node) and any(a is x for a in sum_.args)
