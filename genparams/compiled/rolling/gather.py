"""Lists of values, one for each iteration of a loop, as arrays."""

import operator
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from genparams.compiled.algebra.builder import Builder, shape_of
from genparams.compiled.algebra.ir import Node
from genparams.compiled.rolling.batch import taken
from genparams.compiled.rolling.stream import CONSTANT

_PARTS = 6
"""The most parts that an array is put together of."""


class Gathering:
    """Lists as arrays, equal ones once.

    Args:
        value: Gives the node or constant of a listed value.
        owners: Gives for places the number of the rolled statement that each belongs to, or -1.
        rows: Gives the values of a rolled statement at places, as an array: in order or not.
    """

    def __init__(
        self,
        builder: Builder,
        value: Callable[[Any], Any],
        owners: Callable[[np.ndarray], np.ndarray],
        rows: Callable[[int, np.ndarray], Any],
    ):
        self.builder, self.value, self.owners, self.rows = builder, value, owners, rows
        self._constants: dict[Any, np.ndarray] = {}

    def listed(self, places: np.ndarray, values: Sequence[Any]) -> Any:
        """The array of listed values; those of rolled statements are taken at once."""
        owners = self.owners(places)
        cuts = (np.flatnonzero(np.diff(owners)) + 1).tolist()
        if len(cuts) >= _PARTS:
            return self._few(places, values)
        parts = []
        for low, high in zip([0, *cuts], [*cuts, len(places)], strict=True):
            if owners[low] >= 0:
                parts.append(self.rows(int(owners[low]), places[low:high]))
            else:
                parts.append(self._few(places[low:high], values[low:high]))
        return joined(self.builder, parts)

    def terms(self, places: np.ndarray, values: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """What the sum of values is the sum of: of arrays, along the first axis, and of others.

        There is an array for each rolled statement, and one of inputs. A value that is there n
        times is multiplied by n.
        """
        owners = self.owners(places)
        parts = [self._weighted(k, places[owners == k]) for k in np.unique(owners[owners >= 0])]
        rest = [self.value(v) for v, k in zip(values, owners, strict=True) if k < 0]
        times = Counter(map(self.builder.key, rest))
        by_key = {self.builder.key(v): v for v in rest}
        alone = [self.builder.make(np.multiply, (by_key[k], float(n))) for k, n in times.items()]
        given = [v for v in alone if getattr(v, "op", None) is None]
        if len(given) > _PARTS and len({*map(shape_of, given)}) == 1:
            made = [v for v in alone if getattr(v, "op", None) is not None]
            return [*parts, self.stacked(given)], made
        return parts, alone

    def _weighted(self, owner: int, places: np.ndarray) -> Any:
        """The values of a rolled statement, each times the number of its places."""
        places, times = np.unique(places, return_counts=True)
        found = self.rows(owner, places)
        if _is_backward(found):
            found, times = self.rows(owner, places[::-1]), times[::-1]
        if np.all(times == 1):
            return found
        times = times.astype(float).reshape(-1, *(1,) * (len(shape_of(found)) - 1))
        return self.builder.make(np.multiply, (found, times))

    def _few(self, places: np.ndarray, values: Sequence[Any]) -> Any:
        """The array of values, stacked without repetitions."""
        if np.all(places == CONSTANT):
            return self.stacked(values)
        each = zip(places.tolist(), values, strict=True)
        keys = [place if place != CONSTANT else self.builder.key(v) for place, v in each]
        at: dict[Any, int] = {}
        for key in keys:
            at.setdefault(key, len(at))
        by_key = dict(zip(keys, values, strict=True))
        made = self.stacked([self.value(by_key[key]) for key in at])
        if len(at) == len(keys):
            return made
        return taken(self.builder, made, self._constant(np.array([at[key] for key in keys])))

    def stacked(self, values: Sequence[Any]) -> Any:
        """Numbers, or arrays of one shape, along a new first axis."""
        if not any(isinstance(v, Node) for v in values):
            return self._constant(np.array(values))
        picked = self._picked(values)
        if picked is not None:
            return picked
        shape = (len(values), *max(map(shape_of, values), key=len))
        dtype = next(v.dtype for v in values if isinstance(v, Node))
        if len(shape) == 1:
            return self.builder.make(np.array, (tuple(values),), (), shape, dtype)
        parts = tuple([self.builder.broadcast(v, shape[1:]) for v in values])
        return self.builder.make(np.stack, (parts,), (("axis", 0),), shape, dtype)

    def _picked(self, values: Sequence[Any]) -> Any:
        """Entries of one array by one index; None if the values are something else."""
        first = values[0]
        if not isinstance(first, Node) or first.op is not operator.getitem:
            return None
        base, indices = first.args[0], []
        for v in values:
            if not isinstance(v, Node) or v.op is not operator.getitem or v.args[0] is not base:
                return None
            index = v.args[1] if type(v.args[1]) is tuple else (v.args[1],)
            if not all(type(k) is int for k in index):
                return None
            indices.append(index)
        if len({*map(len, indices)}) > 1:
            return None
        columns = [self._constant(c % n) for c, n in zip(np.array(indices).T, base.shape)]  # noqa: B905  # an index may be shorter
        if len(columns) == 1:
            return taken(self.builder, base, columns[0])
        shape = (len(values), *first.shape)
        return self.builder.make(operator.getitem, (base, tuple(columns)), (), shape, first.dtype)

    def _constant(self, a: np.ndarray) -> np.ndarray:
        """The array, or an equal one that was given before: the builder knows it."""
        return self._constants.setdefault((a.shape, a.dtype.str, a.tobytes()), a)


def _is_backward(a: Any) -> bool:
    """Whether an array is a slice of another in reverse."""
    if not isinstance(a, Node) or a.op is not operator.getitem:
        return False
    index = a.args[1]
    return isinstance(index, slice) and index.step is not None and index.step < 0


def joined(builder: Builder, parts: Sequence[Any]) -> Any:
    """Arrays one after another along the first axis."""
    parts = [p for p in parts if shape_of(p)[0]]
    if len(parts) == 1:
        return parts[0]
    shape = (sum(shape_of(p)[0] for p in parts), *shape_of(parts[0])[1:])
    dtype = next((p.dtype for p in parts if isinstance(p, Node)), float)
    return builder.make(np.concatenate, (tuple(parts),), (("axis", 0),), shape, dtype)
