"""Data as compiled functions take them: of one binding, or of one for each step of a loop."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class FlatData:
    """Data as a compiled function takes them.

    Args:
        numbers: The single floats.
        arrays: The others, flat.
    """

    numbers: np.ndarray
    arrays: list[np.ndarray]

    def replaced(self, k: int, values: np.ndarray) -> "FlatData":
        """The same with other values for array k."""
        flat = np.ascontiguousarray(values, self.arrays[k].dtype).ravel()
        return FlatData(self.numbers, [*self.arrays[:k], flat, *self.arrays[k + 1 :]])

    def named(self) -> dict[str, np.ndarray]:
        """The arrays by their names in the text of functions."""
        return {"n": self.numbers, **{f"d{i}": a for i, a in enumerate(self.arrays)}}


def together(bounds: Sequence[FlatData]) -> tuple[FlatData, dict[str, int]]:
    """The data of many steps as one.

    Arrays that are the same in all steps are kept once; the others are put one after the other.
    Returns the length that each of these others has in one step, too.
    """
    lengths, arrays = {}, []
    for name, *each in zip(bounds[0].named(), *(b.named().values() for b in bounds), strict=True):
        if all(_is_same(a, each[0]) for a in each):
            arrays.append(each[0])
        else:
            lengths[name] = len(each[0])
            arrays.append(np.concatenate(each))
    return FlatData(arrays[0], arrays[1:]), lengths


def _is_same(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether arrays are one piece of memory, or empty."""
    return a is b or not a.size or a.__array_interface__["data"] == b.__array_interface__["data"]
