"""The rearranging functions that models use most; rules of their own make them faster."""

from typing import Any

from genparams.autodiff.refusals import refusal
from genparams.autodiff.tape import Box, canonical, np, operand, raw, shape_of, sum_to, unary, unbox


def getitem(x: Any, index: Any) -> Any:
    """`x[index]`."""
    if type(x) is not Box:
        return np.float64(x)[index] if type(x) is float else x[index]
    if type(index) is Box or (isinstance(index, tuple) and any(type(i) is Box for i in index)):
        raise refusal("an index", "a constant or a discrete choice as the index")
    shape = x.shape
    return unary(x, getitem(x.value, index), lambda g: scatter(g, index, shape))


def scatter(g: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of a shape with `g` added at `index`: the pullback of `getitem`."""
    if type(g) is Box:
        return unary(g, scatter(g.value, index, shape), lambda h: getitem(h, index))
    zeros = np.zeros(shape)
    keys = index if isinstance(index, tuple) else (index,)
    if all(isinstance(k, (int, slice, np.integer)) or k is None or k is Ellipsis for k in keys):
        zeros[index] = g
    else:
        np.add.at(zeros, index, g)  # an index that may name an entry twice
    return zeros if shape else float(zeros)


def reshape(a: Box, /, shape: Any, order: str = "C") -> Any:
    if order == "F":
        places = np.reshape(np.arange(a.size).reshape(a.shape), shape, order="F")
        return reshape(a, (-1,))[places]
    if order != "C":
        raise refusal(f"reshape with order {order!r}", "order 'C' or 'F'")
    old = a.shape
    return unary(a, np.reshape(a.value, shape), lambda g: np.reshape(g, old))


def ravel(a: Box, order: str = "C") -> Any:
    return reshape(a, (-1,), order)


def transpose(a: Box, axes: Any = None) -> Any:
    if axes is None:
        return unary(a, np.transpose(a.value), lambda g: np.transpose(g))
    back = np.argsort([axis % a.ndim for axis in axes]).tolist()
    return unary(a, np.transpose(a.value, axes), lambda g: np.transpose(g, back))


def broadcast_to(array: Box, shape: Any, subok: bool = False) -> Any:
    old = array.shape
    return unary(array, np.broadcast_to(array.value, shape), lambda g: sum_to(g, old))


def where(condition: Any, x: Any, y: Any) -> Any:
    condition = raw(operand(condition) if not isinstance(condition, np.ndarray) else condition)
    x, y = operand(x), operand(y)
    tape, (a, b) = unbox((x, y))
    value = np.where(condition, a, b)
    if tape is None:
        return value
    edges = [
        (x, lambda g: sum_to(g * np.where(condition, 1.0, 0.0), shape_of(a))),
        (y, lambda g: sum_to(g * np.where(condition, 0.0, 1.0), shape_of(b))),
    ]
    return tape.record(value, edges)


def concatenate(arrays: Any, axis: int | None = 0) -> Any:
    parts = [operand(p) for p in arrays]
    if axis is None or not all(map(shape_of, parts)):
        parts, axis = [np.reshape(p, (-1,)) for p in parts], 0
    tape, values = unbox(parts)
    value = np.concatenate(values, axis=axis)
    if tape is None:
        return value
    axis = axis % len(shape_of(values[0]))
    end, edges = 0, []
    for part, v in zip(parts, values, strict=True):
        start, end = end, end + shape_of(v)[axis]
        here = (*(slice(None),) * axis, slice(start, end))
        edges.append((part, lambda g, here=here: g[here]))
    return tape.record(value, edges)


def stack(arrays: Any, axis: int = 0) -> Any:
    parts = [operand(p) for p in arrays]
    tape, values = unbox(parts)
    value = np.stack(values, axis=axis)
    if tape is None:
        return value
    here = (slice(None),) * (axis % len(shape_of(value)))
    edges = [(part, lambda g, i=i: canonical(g[(*here, i)])) for i, part in enumerate(parts)]
    return tape.record(value, edges)


def copy(a: Any, order: str = "K", subok: bool = False) -> Any:
    """The same value in a new box, which can be changed in place."""
    return a.tape.record(a.value, [(a, 1.0)])
