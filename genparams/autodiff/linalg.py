"""Linear algebra. Decompositions have autograd's rules; only this file imports autograd."""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

from genparams.autodiff.batch import by_row
from genparams.autodiff.reductions import Axis, axes_of, max_, min_
from genparams.autodiff.refusals import refusal
from genparams.autodiff.tape import Box, np, operand, raw, shape_of, sum_to, unary, unbox


def _turned(a: Any) -> Any:
    return np.swapaxes(a, -1, -2)


def _column(g: Any) -> Any:
    return np.expand_dims(np.expand_dims(g, -1), -1)


def inv(a: Box) -> Any:
    value = np.linalg.inv(a.value)
    return unary(a, value, lambda g: -(_turned(value) @ g @ _turned(value)))


def solve(a: Any, b: Any) -> Any:
    """x where a x = b; stacks of matrices broadcast."""
    a, b = operand(a), operand(b)
    if len(shape_of(b)) == 1:
        return np.linalg.solve(a, np.expand_dims(b, -1))[..., 0]
    tape, (x, y) = unbox((a, b))
    value = np.linalg.solve(x, y)
    if tape is None:
        return value

    def back(g: Any) -> Any:
        return np.linalg.solve(_turned(x), g)

    edges = [
        (a, lambda g: sum_to(-(back(g) @ _turned(value)), shape_of(x))),
        (b, lambda g: sum_to(back(g), shape_of(y))),
    ]
    return tape.record(value, edges)


def det(a: Box) -> Any:
    value = np.linalg.det(a.value)
    return unary(a, value, lambda g, x=a.value: _column(g * value) * _turned(_inverse(x, "det")))


def _inverse(x: Any, of: str) -> Any:
    try:
        return np.linalg.inv(x)
    except np.linalg.LinAlgError:
        what = f"numpy.linalg.{of} of a singular matrix"
        raise refusal(what, "a matrix that has an inverse") from None


def slogdet(a: Box) -> tuple[Any, Any]:
    sign, value = np.linalg.slogdet(a.value)
    return sign, unary(a, value, lambda g, x=a.value: _column(g) * _turned(_inverse(x, "slogdet")))


# --- Decompositions


@cache
def _autograd_rule(name: str) -> Callable[..., Any]:
    """Autograd's maker of pullbacks for a function of numpy.linalg, imported at the first use."""
    import autograd.numpy
    from autograd.core import primitive_vjps

    return primitive_vjps[getattr(autograd.numpy.linalg, name)]


def _zeros_beside(g: Any, part: Any) -> Any:
    """A cotangent of zeros; traced where `g` is, since autograd's rules add `g` to it in place."""
    zeros = np.zeros(shape_of(part))
    return zeros + 0.0 * np.sum(g) if type(g) is Box else zeros


def _decomposition(name: str, a: Any, **options: Any) -> Any:
    """A function of numpy.linalg with autograd's rule: a box for each of its results."""
    if type(a) is not Box:
        return getattr(np.linalg, name)(a, **options)
    x = a.value
    results = _decomposition(name, x, **options)
    alone = not isinstance(results, tuple)
    parts = (results,) if alone else tuple(results)

    def pull_from(i: int) -> Callable[[Any], Any]:
        def pull(g: Any) -> Any:
            gs = tuple(g if k == i else _zeros_beside(g, p) for k, p in enumerate(parts))
            maker = _autograd_rule(name)((0,), results, (x,), options)
            return next(iter(maker(g if alone else gs)))

        return by_row(pull)

    made = [unary(a, part, pull_from(i)) for i, part in enumerate(parts)]
    return made[0] if alone else tuple(made)


def _from_lower(a: Any) -> Any:
    """The symmetric matrix with the lower triangle of `a`; numpy reads no other entries."""
    a = operand(a)
    return np.tril(a) + _turned(np.tril(a, -1))


def cholesky(a: Any, /, *, upper: bool = False) -> Any:
    low = _decomposition("cholesky", _from_lower(_turned(a) if upper else a))
    return _turned(low) if upper else low


def eigh(a: Any, UPLO: str = "L") -> Any:  # numpy's name
    if UPLO != "L":
        raise refusal(f"numpy.linalg.eigh with UPLO={UPLO!r}", "UPLO='L'")
    return _decomposition("eigh", _from_lower(a))


def eigvalsh(a: Any, UPLO: str = "L") -> Any:
    return eigh(a, UPLO)[0]


def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    if not compute_uv:
        return svd(a, full_matrices=False)[1]
    m, n = shape_of(a)[-2:]
    if full_matrices and m != n:
        raise refusal("numpy.linalg.svd with full matrices", "full_matrices=False")
    return _decomposition("svd", a, full_matrices=False)


def svdvals(x: Any, /) -> Any:
    return svd(x, compute_uv=False)


def pinv(a: Any) -> Any:
    return _decomposition("pinv", a)


def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    """The solution by the pseudo-inverse, the residuals, the rank and the singular values."""
    a, b = operand(a), operand(b)
    _, squares, rank, _ = np.linalg.lstsq(raw(a), raw(b), rcond)
    if rank < min(shape_of(a)):
        raise refusal("numpy.linalg.lstsq of a matrix of lower rank", "columns that differ")
    x = pinv(a) @ b
    off = b - a @ x
    squares = np.atleast_1d(np.sum(off * off, axis=0)) if squares.size else squares
    return x, squares, rank, svdvals(a)


def qr(a: Any, mode: str = "reduced") -> Any:
    """Q and R, differentiated through the Cholesky factor: R^T R = a^T a, Q = a R^-1.

    Reference: Walter and Lehmann, 2012, https://arxiv.org/abs/1001.1654, for full column rank.
    """
    rows, columns = shape_of(a)[-2:]
    if mode not in ("reduced", "r") or rows < columns:
        raise refusal(
            "numpy.linalg.qr in this form", "mode 'reduced', of a matrix no wider than it is high"
        )
    signs = np.sign(np.diagonal(np.linalg.qr(raw(a)).R, axis1=-2, axis2=-1))
    r = _turned(cholesky(_turned(a) @ a)) * np.expand_dims(signs, -1)
    return r if mode == "r" else (_turned(solve(_turned(r), _turned(a))), r)


# --- Norms


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    x = operand(x)
    axes = axes_of(x, axis)
    if ord is None or (len(axes) == 1 and ord == 2) or (len(axes) == 2 and ord == "fro"):
        return _root_of_squares(x, axes, keepdims)
    if len(axes) == 1:
        return _vector_norm(x, ord, axes[0], keepdims)
    if len(axes) == 2:
        return _matrix_norm(x, ord, axes, keepdims)
    raise refusal(f"a norm over {len(axes)} axes with ord={ord!r}", "ord=None")


def _root_of_squares(x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    """The Euclidean norm, without overflow or underflow of the squares."""
    top = np.max(np.absolute(raw(x)), axis=axes, keepdims=True, initial=0.0)
    scale = np.where((top > 0.0) & np.isfinite(top), top, 1.0)
    y = x / scale
    root = np.sqrt(np.sum(y * y, axis=axes, keepdims=keepdims))
    return root * np.reshape(scale, shape_of(root))


def _vector_norm(x: Any, ord: Any, axis: Axis, keepdims: bool) -> Any:
    size = np.absolute(x)
    if ord == math.inf:
        return max_(size, axis, keepdims=keepdims)
    if ord == -math.inf:
        return min_(size, axis, keepdims=keepdims)
    if ord == 0:
        raise refusal("a norm of order 0", "np.count_nonzero")
    total = np.sum(size if ord == 1 else size**ord, axis=axis, keepdims=keepdims)
    return total if ord == 1 else total ** (1.0 / ord)


def _matrix_norm(x: Any, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    x = np.moveaxis(x, axes, (-2, -1))
    if ord in (2, -2, "nuc"):
        values = svdvals(x)
    elif ord in (1, -1, math.inf, -math.inf):
        values = np.sum(np.absolute(x), axis=-2 if abs(ord) == 1 else -1)
    else:
        raise refusal(f"a matrix norm with ord={ord!r}", "'fro', 'nuc', 1, 2 or inf")
    result = np.sum(values, axis=-1) if ord == "nuc" else (max_ if ord > 0 else min_)(values, -1)
    return np.expand_dims(result, axes) if keepdims else result


def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    x = operand(x)
    axes = axes_of(x, axis)
    if ord == 2:
        return _root_of_squares(x, axes, keepdims)
    return _vector_norm(x, ord, axes, keepdims)


def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    return norm(x, ord, (-2, -1), keepdims)
