"""The text of a training loop: gradients, and elementwise rules that move coordinates."""

from collections.abc import Sequence
from typing import Any

from genparams.program.write import indented, number_lines, text
from genparams.update.kernel import Kernel

Group = tuple[Kernel, slice]
"""The code of a rule, and the part of the vector of coordinates that it moves."""


def loop_lines(groups: Sequence[Group], data: Sequence[str], length: int) -> list[str]:
    """A function that takes steps, and returns how many it has taken.

    Coordinates and fields are changed only once all new ones are known to be finite.

    Args:
        data: What the gradient takes after the coordinates and the gradient.
    """
    column, moves, commits = 0, [], []
    for kernel, part in groups:
        moves += _moves(kernel, part, column)
        commits += _commits(kernel, part)
        column += len(kernel.program.constants) + len(kernel.program.folded)
    given = ", ".join(data)
    return [
        f"def loop(theta_, fields_, constants_, log_probs_, norms_, g_, {given}):",
        "  moved_ = np.empty_like(theta_)",
        "  kept_ = np.empty_like(fields_)",
        "  for it in range(len(constants_)):",
        f"    known, log_prob = gradient(theta_, g_, {given})",
        "    if not known or not isfinite(log_prob): return it",
        "    square = 0.0",
        f"    for i in range({length}): square += g_[i] * g_[i]",
        "    if not square < 1e300: return it",
        "    wrong = 0",
        *indented(moves, 2),
        "    if wrong: return it",
        *indented(commits, 2),
        "    log_probs_[it] = log_prob",
        "    norms_[it] = sqrt(square)",
        "  return len(constants_)",
        "",
    ]


def _moves(kernel: Kernel, part: slice, column: int) -> list[str]:
    """New coordinates and fields of one group."""
    program = kernel.program
    constants: list[Any] = [*program.constants, *program.folded]
    moved, *kept = program.results
    entry = [
        "theta = theta_[i]",
        "g = g_[i]",
        *(f"{f.name} = fields_[{k}, i]" for k, f in enumerate(program.inputs[2:])),
        *number_lines(program.steps),
        f"moved_[i] = {text(moved)}",
        *(f"kept_[{k}, i] = {text(r)}" for k, r in enumerate(kept)),
        f"if {text(moved)} - {text(moved)} != 0.0: wrong += 1",
    ]
    return [
        *(f"{c.name} = constants_[it, {column + i}]" for i, c in enumerate(constants)),
        f"for i in range({part.start}, {part.stop}):",
        *indented(entry),
    ]


def _commits(kernel: Kernel, part: slice) -> list[str]:
    """The new coordinates and fields of one group take the place of the old ones."""
    count = len(kernel.program.results) - 1
    return [
        f"for i in range({part.start}, {part.stop}):",
        "  theta_[i] = moved_[i]",
        *(f"  fields_[{k}, i] = kept_[{k}, i]" for k in range(count)),
    ]
