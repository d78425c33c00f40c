"""Which rule applies to which function of numpy: the tables that `dispatch` reads."""

from collections.abc import Callable
from typing import Any

import numpy

from genparams.autodiff import functions, linalg, products, rearranging, reductions, statistics
from genparams.autodiff.tape import np, operand, raw, shape_of


def _outer_of(ufunc: numpy.ufunc) -> Callable[..., Any]:
    def rule(a: Any, b: Any) -> Any:
        a, b = operand(a), operand(b)
        return ufunc(np.reshape(a, shape_of(a) + (1,) * len(shape_of(b))), b)

    return rule


def _along(f: Callable[..., Any]) -> Callable[..., Any]:
    """A reduction as a method of its ufunc, along the first axis by default."""

    def rule(a: Any, axis: Any = 0, *, keepdims: bool = False) -> Any:
        return f(a, axis, keepdims=keepdims)

    return rule


def _running(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a, axis=0: f(a, axis)


def _of_that_name(module: Any, rules: Any, names: str) -> dict[Any, Callable[..., Any]]:
    """Functions of a module, each with the rule of its name."""
    return {getattr(module, name): getattr(rules, name) for name in names.split()}


# --- The tables

PRIMITIVES: dict[Any, Callable[..., Any]] = {
    np.sum: reductions.sum_,
    np.reshape: rearranging.reshape,
    np.ravel: rearranging.ravel,
    np.transpose: rearranging.transpose,
    np.broadcast_to: rearranging.broadcast_to,
    np.where: rearranging.where,
    np.concatenate: rearranging.concatenate,
    np.stack: rearranging.stack,
    np.copy: rearranging.copy,
    np.matmul: products.matmul,
    np.dot: products.dot,
}
"""Rules that compute their value with the same function of numpy, and need no comparison."""

COMPARED: dict[Any, Callable[..., Any]] = {
    **_of_that_name(np, statistics, "mean var std average nansum nanmean nanvar nanstd cov"),
    **_of_that_name(np, statistics, "corrcoef bincount sort quantile percentile median"),
    **_of_that_name(np, reductions, "prod ptp nanmax nanmin nanprod cumsum cumprod diff ediff1d"),
    **_of_that_name(np, reductions, "trapezoid"),
    **_of_that_name(np, products, "vdot inner outer tensordot kron trace cross einsum"),
    **_of_that_name(np, products, "convolve correlate"),
    **_of_that_name(np, functions, "clip interp nan_to_num polyval vander linspace logspace"),
    **_of_that_name(np, functions, "full_like sinc i0"),
    **_of_that_name(np.linalg, products, "outer tensordot matmul vecdot multi_dot matrix_power"),
    **_of_that_name(np.linalg, linalg, "inv solve lstsq det slogdet cholesky eigh eigvalsh svd"),
    **_of_that_name(np.linalg, linalg, "svdvals pinv qr norm vector_norm matrix_norm"),
    np.linalg.trace: products.linalg_trace,
    np.linalg.cross: products.linalg_cross,
    np.max: reductions.max_,
    np.amax: reductions.max_,
    np.min: reductions.min_,
    np.amin: reductions.min_,
    np.cumulative_sum: reductions.cumulative(reductions.cumsum, 0.0),
    np.cumulative_prod: reductions.cumulative(reductions.cumprod, 1.0),
    np.gradient: reductions.np_gradient,
    np.real: lambda val: val,
}
"""Rules whose value is compared with the value that numpy computes."""

FLAT = {
    *(np.shape, np.ndim, np.size, np.result_type, np.can_cast, np.common_type),
    *(np.iscomplexobj, np.isrealobj, np.isreal, np.iscomplex, np.isposinf, np.isneginf),
    *(np.argmax, np.argmin, np.argsort, np.argpartition, np.argwhere, np.nonzero, np.flatnonzero),
    *(np.nanargmax, np.nanargmin, np.lexsort, np.searchsorted, np.digitize, np.count_nonzero),
    *(np.all, np.any, np.isclose, np.allclose, np.array_equal, np.array_equiv, np.isin),
    *(np.zeros_like, np.ones_like, np.empty_like, np.linalg.matrix_rank),
    *(np.may_share_memory, np.shares_memory, np.imag),
}
"""Functions with a derivative of zero: the result is constant, or changes in jumps."""

TEXT = {np.array_repr, np.array_str, np.array2string}
"""Functions whose result is text. The text begins with a word, so that `float` does not read it."""

METHODS: dict[tuple[Any, str], Callable[..., Any]] = {
    (np.add, "reduce"): _along(reductions.sum_),
    (np.multiply, "reduce"): _along(reductions.prod),
    (np.maximum, "reduce"): _along(reductions.max_),
    (np.minimum, "reduce"): _along(reductions.min_),
    (np.logaddexp, "reduce"): _along(reductions.logsumexp),
    (np.add, "accumulate"): _running(reductions.cumsum),
    (np.multiply, "accumulate"): _running(reductions.cumprod),
    **{(u, "outer"): _outer_of(u) for u in (np.add, np.subtract, np.multiply, np.true_divide)},
    (np.matmul, "__call__"): products.matmul,
    (np.vecdot, "__call__"): products.vecdot,
    (np.divmod, "__call__"): lambda x, y, /: (np.floor_divide(x, y), np.remainder(x, y)),
    (np.modf, "__call__"): lambda x, /: (x - np.trunc(x), np.trunc(raw(x))),
}
for _name, _rule in (("matvec", products.matvec), ("vecmat", products.vecmat)):
    if hasattr(np, _name):  # numpy 2.2
        METHODS[getattr(np, _name), "__call__"] = _rule

ADVICE = {
    **dict.fromkeys((np.round, np.fix, np.rint), "the value as it is"),
    **dict.fromkeys((np.copyto, np.put, np.place, np.putmask), "np.where(condition, new, old)"),
    np.fill_diagonal: "np.where(np.eye(n, dtype=bool), new, old)",
    np.put_along_axis: "np.where(condition, new, old)",
    np.partition: "np.sort",
    **dict.fromkeys((np.unique, np.histogram), "it of constants"),
}
"""What to write in place of a function that is refused."""

LISTS = {np.concatenate, np.stack, np.linalg.multi_dot, np.einsum}
"""Functions whose first argument is a list of arrays, or whose rules stack by themselves."""
