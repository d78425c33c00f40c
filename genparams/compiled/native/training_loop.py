"""The text of a training loop: gradients, and elementwise rules that move coordinates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genparams.program.write import indented, number_lines, text
from genparams.update.kernel import Kernel


@dataclass(frozen=True, slots=True)
class Group:
    """Coordinates that one rule moves.

    Args:
        kernel: The code of the rule.
        theta: Where they begin in the vector of all coordinates.
        gradient: Where their gradients begin in the vector of all gradients.
        count: How many there are.
    """

    kernel: Kernel
    theta: int
    gradient: int
    count: int


def loop_lines(
    groups: Sequence[Group], data: Sequence[str], moving: Mapping[str, int], length: int
) -> list[str]:
    """A function that takes steps, and returns how many it has taken.

    Coordinates and fields are changed only once all new ones are known to be finite.

    Args:
        data: What the gradient takes after the coordinates and the gradient.
        moving: Those that hold the data of all steps, and how long these are in one step.
        length: The length of the gradient.
    """
    column, moves, commits = 0, [], []
    for group in groups:
        moves += _moves(group, column)
        commits += _commits(group)
        program = group.kernel.program
        column += len(program.constants) + len(program.folded)
    given = ", ".join(data)
    now = ", ".join(
        f"{d}[it * {moving[d]}:(it + 1) * {moving[d]}]" if d in moving else d for d in data
    )
    return [
        f"def loop(theta_, fields_, constants_, log_probs_, norms_, path_, scale_, g_, {given}):",
        "  moved_ = np.empty_like(theta_)",
        "  kept_ = np.empty_like(fields_)",
        "  for it in range(len(constants_)):",
        f"    known, log_prob = gradient(theta_, g_, {now})",
        "    if not known or not abs(log_prob) < inf: return it",
        "    square = 0.0",
        f"    for i in range({length}):",
        "      g_[i] *= scale_[0]",
        "      square += g_[i] * g_[i]",
        "    if not square < 1e300: return it",
        "    wrong = 0",
        *indented(moves, 2),
        "    if wrong: return it",
        *indented(commits, 2),
        "    log_probs_[it] = log_prob",
        "    norms_[it] = sqrt(square)",
        "    for i in range(path_.shape[1]): path_[it, i] = theta_[i]",
        "  return len(constants_)",
        "",
    ]


def _moves(group: Group, column: int) -> list[str]:
    """New coordinates and fields of one group."""
    program = group.kernel.program
    constants: list[Any] = [*program.constants, *program.folded]
    moved, *kept = program.results
    at = _plus(group.theta)
    entry = [
        f"theta = theta_[{at}]",
        f"g = g_[{_plus(group.gradient)}]",
        *(f"{f.name} = fields_[{k}, {at}]" for k, f in enumerate(program.inputs[2:])),
        *number_lines(program.steps),
        f"moved_[{at}] = {text(moved)}",
        *(f"kept_[{k}, {at}] = {text(r)}" for k, r in enumerate(kept)),
        f"if not abs({text(moved)}) < inf: wrong += 1",
    ]
    return [
        *(f"{c.name} = constants_[it, {column + i}]" for i, c in enumerate(constants)),
        f"for i in range({group.count}):",
        *indented(entry),
    ]


def _commits(group: Group) -> list[str]:
    """The new coordinates and fields of one group take the place of the old ones."""
    at = _plus(group.theta)
    count = len(group.kernel.program.results) - 1
    return [
        f"for i in range({group.count}):",
        f"  theta_[{at}] = moved_[{at}]",
        *(f"  fields_[{k}, {at}] = kept_[{k}, {at}]" for k in range(count)),
    ]


def _plus(start: int) -> str:
    return f"i + {start}" if start else "i"
