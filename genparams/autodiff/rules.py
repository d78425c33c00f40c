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
    np.mean: statistics.mean,
    np.nansum: statistics.nansum,
    np.nanmean: statistics.nanmean,
    np.var: statistics.var,
    np.std: statistics.std,
    np.average: statistics.average,
    np.cov: statistics.cov,
    np.corrcoef: statistics.corrcoef,
    np.bincount: statistics.bincount,
    np.trapezoid: reductions.trapezoid,
    np.cumsum: reductions.cumsum,
    np.cumprod: reductions.cumprod,
    np.cumulative_sum: reductions.cumulative(reductions.cumsum, 0.0),
    np.cumulative_prod: reductions.cumulative(reductions.cumprod, 1.0),
    np.diff: reductions.diff,
    np.ediff1d: reductions.ediff1d,
    np.gradient: reductions.np_gradient,
    np.prod: reductions.prod,
    np.max: reductions.max_,
    np.amax: reductions.max_,
    np.min: reductions.min_,
    np.amin: reductions.min_,
    np.ptp: reductions.ptp,
    np.nanvar: statistics.nanvar,
    np.nanstd: statistics.nanstd,
    np.nanmax: reductions.nanmax,
    np.nanmin: reductions.nanmin,
    np.nanprod: reductions.nanprod,
    np.sort: statistics.sort,
    np.quantile: statistics.quantile,
    np.percentile: statistics.percentile,
    np.median: statistics.median,
    np.vdot: products.vdot,
    np.inner: products.inner,
    np.outer: products.outer,
    np.linalg.outer: products.outer,
    np.tensordot: products.tensordot,
    np.linalg.tensordot: products.tensordot,
    np.linalg.matmul: products.matmul,
    np.linalg.vecdot: products.vecdot,
    np.kron: products.kron,
    np.trace: products.trace,
    np.linalg.trace: products.linalg_trace,
    np.cross: products.cross,
    np.linalg.cross: products.linalg_cross,
    np.einsum: products.einsum,
    np.convolve: products.convolve,
    np.correlate: products.correlate,
    np.linalg.multi_dot: products.multi_dot,
    np.linalg.matrix_power: products.matrix_power,
    np.linalg.inv: linalg.inv,
    np.linalg.solve: linalg.solve,
    np.linalg.lstsq: linalg.lstsq,
    np.linalg.det: linalg.det,
    np.linalg.slogdet: linalg.slogdet,
    np.linalg.cholesky: linalg.cholesky,
    np.linalg.eigh: linalg.eigh,
    np.linalg.eigvalsh: linalg.eigvalsh,
    np.linalg.svd: linalg.svd,
    np.linalg.svdvals: linalg.svdvals,
    np.linalg.pinv: linalg.pinv,
    np.linalg.qr: linalg.qr,
    np.linalg.norm: linalg.norm,
    np.linalg.vector_norm: linalg.vector_norm,
    np.linalg.matrix_norm: linalg.matrix_norm,
    np.clip: functions.clip,
    np.interp: functions.interp,
    np.nan_to_num: functions.nan_to_num,
    np.polyval: functions.polyval,
    np.vander: functions.vander,
    np.linspace: functions.linspace,
    np.logspace: functions.logspace,
    np.full_like: functions.full_like,
    np.sinc: functions.sinc,
    np.i0: functions.i0,
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
