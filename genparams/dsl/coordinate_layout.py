"""Where the coordinates of each choice are in one vector u."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from genparams.autodiff import Box, raw, shape_of
from genparams.types import Address, Array


class Piece(NamedTuple):
    """Where the numbers of one leaf of the coordinates of a choice are in u."""

    start: int
    end: int
    shape: tuple[int, ...]

    def of(self, u: Array) -> Any:
        return u[self.start : self.end].reshape(self.shape) if self.shape else float(u[self.start])


@dataclass(frozen=True, slots=True)
class Layout:
    """The parts of u, and which density is asked for."""

    pieces: dict[Address, Any]
    """For each selected choice, in the order of the run, a piece or a tuple."""
    flat: list[Piece]
    """Every piece, in order."""
    size: int
    jacobian: bool
    """Whether log |d t / d u| is part of the density."""


def laid_out(chosen: dict[Address, Any], jacobian: bool) -> tuple[Layout, Array]:
    """The layout of boxed coordinates by address, and their numbers as one vector."""
    flat: list[Piece] = []
    numbers = [np.empty(0)]

    def placed(box: Box) -> Piece:
        numbers.append(np.ravel(raw(box)))
        start = flat[-1].end if flat else 0
        flat.append(Piece(start, start + len(numbers[-1]), shape_of(box)))
        return flat[-1]

    pieces = {address: map_tuples(placed, tree) for address, tree in chosen.items()}
    u = np.concatenate(numbers)
    return Layout(pieces, flat, len(u), jacobian), u


def map_tuples(f: Callable[[Any], Any], tree: Any) -> Any:
    """`map_leaves` where named tuples, the pieces, are leaves."""
    return tuple([map_tuples(f, part) for part in tree]) if type(tree) is tuple else f(tree)
