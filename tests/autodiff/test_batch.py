"""Many cotangents in one backward pass: the pass equals one pass for each."""

from typing import Any

import numpy as np
import pytest
from derivatives_check import check
from numpy_forms import forms_of, subjects
from numpy_law import POINTS, leaves, weights

from genparams.autodiff import (
    Batch,
    Box,
    Tape,
    by_row,
    columns,
    gradient,
    hessian,
    jacobian,
    raw,
    rows,
    shape_of,
)

RNG = np.random.default_rng(5)


# --- The law, over every function of numpy


def traced_run(form, points):
    """The tape of one run of a line, its sources, and the boxes of its result; None if refused."""
    tape: Any = Tape()
    sources = [tape.leaf(point) for point in points]
    boxes = [source * 1.0 for source in sources]
    try:
        result, _ = form.run(dict(zip(form.traced, boxes, strict=True)))
        found = [(i, leaf) for i, leaf in enumerate(leaves(result)) if leaf.boxes]
    except Exception:  # what is refused has no gradient
        return None
    outputs = [
        (i, box, index, leaf.value.shape)
        for i, leaf in found
        for box, index in leaf.boxes
        if box.tape is tape
    ]
    return (tape, sources, outputs) if outputs else None


def seeds_of(outputs, row):
    """A cotangent of each output."""
    made = []
    for i, box, index, shape in outputs:
        w = weights(i + 5 * row, shape)
        made.append((box, w if index is ... or index == () else float(w[index])))
    return made


def batched(seeds_by_row):
    """The cotangents of several rows as one batch for each output."""
    return [
        (each[0][0], Batch(np.stack([seed for _, seed in each])))
        for each in zip(*seeds_by_row, strict=True)
    ]


def rows_of(g, count):
    return g.value if type(g) is Batch else np.stack([g] * count)


def assert_close(found, wanted, what=""):
    """Equal to rounding: single precision where an array of it comes in, since the cotangents of
    numbers are in double precision in a batch.
    """
    found, wanted = np.asarray(raw(found), float), np.asarray(raw(wanted), float)
    assert found.shape == wanted.shape, what
    scale = 1.0 + np.max(np.abs(wanted[np.isfinite(wanted)]), initial=0.0)
    low = "float32" in what
    close = {"rtol": 1e-6 if low else 1e-10, "atol": (1e-6 if low else 1e-13) * scale}
    np.testing.assert_allclose(found, wanted, **close, err_msg=what)


def check_pass(tape, outputs, sources, count, what):
    """One pass with a batch against a pass for each row; returns both, by source."""
    by_row = [seeds_of(outputs, row) for row in range(count)]
    wanted = [tape.gradients(seeds, sources) for seeds in by_row]
    found = tape.gradients(batched(by_row), sources)
    pairs = []
    for g, *each in zip(found, *wanted, strict=True):
        if g is None:
            assert all(row is None for row in each)
            continue
        pair = rows_of(g, count), np.stack(each)
        assert_close(*pair, what)
        pairs.append(pair)
    return pairs


@pytest.mark.parametrize("subject", subjects())
def test_a_batch_of_cotangents_has_the_gradients_of_its_rows(subject):
    for i, form in enumerate(forms_of(subject)):
        made = traced_run(form, [POINTS[name] for name in form.traced])
        if made is not None:
            tape, sources, outputs = made
            with np.errstate(all="ignore"):
                for count in (1, 3) if i % 4 == 0 else (3,):
                    check_pass(tape, outputs, sources, count, form.text)


@pytest.mark.parametrize("subject", subjects())
def test_second_derivatives_by_batches_are_those_by_rows(subject):
    """Rows that are boxes of an outer tape, Hessians, and the columns of Jacobians."""
    for form in forms_of(subject)[::4]:
        outer = Tape()
        points = [outer.leaf(POINTS[name]) for name in form.traced]
        made = traced_run(form, points)
        if made is None:
            continue
        tape, sources, outputs = made
        with np.errstate(all="ignore"):
            try:
                by_row = [tape.gradients(seeds_of(outputs, r), sources) for r in range(2)]
            except (TypeError, ArithmeticError):  # it has no second derivative there
                continue
            for found, wanted in check_pass(tape, outputs, sources, 2, form.text):
                check_recorded(outer, points, found, wanted)
            check_hessian(outer, points, by_row[0], form.text)


def check_recorded(outer, points, found, wanted):
    """What the outer tape has recorded of a batch differentiates as what it has of the rows."""
    ends = [part for part in (found, wanted) if type(part) is Box]
    assert len(ends) in (0, 2)
    if ends:
        seed = weights(3, shape_of(found))
        for a, b in zip(*(outer.gradients([(e, seed)], points) for e in ends), strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                assert_close(a, b)


def check_hessian(outer, points, gradients, what):
    outputs = [
        (i, g, ..., shape_of(g))
        for i, g in enumerate(gradients)
        if type(g) is Box and g.tape is outer
    ]
    if outputs:
        check_pass(outer, outputs, points, 3, what)


@pytest.mark.parametrize("subject", subjects())
def test_the_columns_of_a_jacobian_are_its_rows_transposed(subject):
    for form in forms_of(subject)[::3]:
        made = traced_run(form, [POINTS[name] for name in form.traced])
        if made is None:
            continue
        tape, sources, outputs = made
        boxes = [box for _, box, _, _ in outputs]
        with np.errstate(all="ignore"):
            by_rows = rows(tape, boxes, sources)
            try:
                by_columns = columns(tape, boxes, sources)
            except TypeError:  # its pullback does not take a traced cotangent
                continue
        flat = [np.reshape(c, (len(c), np.prod(c.shape[1:], dtype=int))) for c in by_columns]
        if np.all(np.isfinite(by_rows)):  # a NaN is in its row, or in its column
            assert_close(np.concatenate(flat, axis=1).T, by_rows, form.text)


# --- A rule is a loop over rows

p = 3
ARRAYS = {
    "S": (),
    "V": (4,),
    "M": (4, 3),
    "N": (3, 4),
    "C": (2, 4, 3),
    "L": (1, 4, 1),
    "E": (0,),
    "D": (2, 3, 3),
}
ROWS = {name: RNG.normal(size=(p, *shape)) for name, shape in ARRAYS.items()}
PLAIN = {name.lower(): RNG.normal(size=shape) for name, shape in ARRAYS.items()}
PLAIN |= {"q": RNG.normal(size=(4, 4)) + 4.0 * np.eye(4), "index": np.array([2, 0, 2])}
PLAIN |= {"mask": np.array([True, False, True, True]), "np": np, "s": 1.3}

LINES = """
np.sum(S); np.sum(V); np.sum(C, axis=1); np.sum(C, axis=(0, -1), keepdims=True)
np.sum(C, (0, 2)); np.sum(M, axis=0, initial=1.0); np.mean(C); np.mean(C, axis=-1)
np.mean(M, 0, keepdims=True); np.cumsum(V); np.cumsum(M); np.cumsum(C, 1); np.cumsum(C, axis=-1)
np.prod(M, axis=1); np.max(M, axis=0); np.var(M); np.std(M, axis=1, ddof=1); np.linalg.norm(V)
np.reshape(M, (2, 6)); np.reshape(M, -1); np.reshape(M, (3, -1))
np.reshape(M, (6, 2), order="F"); np.reshape(S, (1, 1)); np.reshape(E, (0, 3)); np.ravel(C)
np.ravel(S); np.transpose(C); np.transpose(C, (1, 2, 0)); np.transpose(C, (-1, 0, 1))
np.transpose(S); M.T; C.mT; np.swapaxes(C, 0, -1); np.moveaxis(C, 0, -1)
np.moveaxis(C, (0, 1), (-1, 0)); np.rollaxis(C, 2); np.matrix_transpose(C); np.expand_dims(S, 0)
np.expand_dims(V, -1); np.expand_dims(V, (0, 2)); np.squeeze(L); np.squeeze(L, 0)
np.squeeze(L, axis=(0, -1)); np.squeeze(S); np.broadcast_to(S, (2, 3))
np.broadcast_to(V, (2, 4)); np.broadcast_to(S, ()); np.broadcast_to(L, c.shape); np.flip(V)
np.flip(C); np.flip(C, 1); np.flip(C, (0, -1)); np.fliplr(M); np.roll(M, 1); np.roll(M, 1, 0)
np.diagonal(D); np.diagonal(D, 1, 1, 2); np.diagonal(D, axis1=-1, axis2=-2)
np.trace(D, axis1=1, axis2=2); np.tril(D); np.triu(D, 1); np.tril(V); np.diag(V); np.tile(V, 2)
np.repeat(M, 2, axis=1); np.zeros_like(M); np.ones_like(S); np.full_like(M, 2.0); np.copy(M)
M.copy(); S[None]; S[...]; S[..., None]; V[0]; V[-1]; V[1:3]; V[::-1]; V[index]; V[mask]
V[[True, False, True, True]]; M[1]; M[1, 2]; M[:, 0]; M[..., None]; M[mask]; M[index]
M[:, index]; M[index, 1]; M[index[:, None], index]; M[mask, 1:]; C[0, mask]
C[[0, 1], :, [2, 0]]; C[:, :, 0]; C[..., index]; M[m > 0.0]; E[[]]; M[np.int64(1)]; V[:0]
M[None, :, None]; np.take(M, index, axis=1); np.take_along_axis(M, index[None, :], 0)
np.concatenate([V, v, V]); np.concatenate([M, m], axis=-1); np.concatenate((v, V), 0)
np.concatenate([M, m], axis=None); np.stack([V, v]); np.stack([S, s, S])
np.stack([M, m, M], axis=-1); np.stack([v, V], 1); np.vstack([V, v]); np.where(mask, V, 0.0)
np.where(V > 0.0, V, v); np.where(mask[:, None], m, M); np.where(mask, S, V); S * v; v * S
V * M.T; M * V[:, None]; C * M; C - m; V / S; 2.0 - V; V**2; 2.0**V; V % 0.7; V // 0.3; -V; +V
abs(V); S + 1.0; 1.0 / S; S * V; V * S; v - V; m * V[:, None]; np.float64(2.0) * V
V * np.float64(2.0); sum([V, V]); np.exp(M); np.arctan2(V, v); np.hypot(S, v); np.maximum(V, S)
np.add.reduce(M); np.multiply.outer(V, v); np.add.reduce(M, axis=1); np.isnan(V); V > v; v > V
V == V; np.modf(V); np.divmod(V, 0.3); np.exp(V, dtype=np.float32); M @ n; m @ N; M @ N; v @ M
V @ m; V @ M; n @ V; N @ v; N @ V; v @ V; V @ v; V @ V; c @ N; C @ n; c @ V[:3]; C @ v[:3]
n @ C; N @ c; v @ C; V @ c; N @ C; C @ N; V @ C; m @ V[:3, None]; q @ V[:, None]; q @ M; N @ q
C.mT @ q; C.mT @ V; q @ L; v @ L; q[None] @ M; np.matmul(q, V); np.vecdot(V, v)
np.linalg.matmul(m, N); np.dot(S, v); np.dot(2.0, V); np.dot(n, V); np.dot(M, N)
np.dot(c, V[:3]); np.dot(C, n); np.inner(V, v); np.outer(V, v); np.tensordot(n, C, (1, 1))
np.einsum("ij,j->i", n, V); np.einsum("ij,jk->ik", M, N); np.einsum("ii->i", D[0])
np.einsum("...i,i->...", N, V); np.einsum("ij,jk", n, M); np.einsum("i,i,i->", V, v, V)
np.einsum("aij->ji", C); np.linalg.solve(q, M); np.linalg.solve(q, V[:, None])
np.linalg.solve(q, V); np.linalg.solve(D, n[:, :3].T[:3]); np.linalg.inv(D)
np.linalg.slogdet(D @ D.mT); np.split(V, 2); np.sort(V); np.clip(V, -0.5, 0.5); V.sum()
M.mean(0); M.reshape(3, 4); M.reshape((12,)); M.transpose(1, 0); M.transpose(); M.flatten()
V.dot(v); list(M); V.max(); M.ravel()
"""


@pytest.mark.parametrize(
    "line", [part.strip() for part in LINES.replace("\n", ";").split(";") if part.strip()]
)
def test_a_function_of_a_batch_is_the_function_of_each_row(line):
    code = compile(line, "line", "eval")
    found = eval(code, PLAIN | {name: Batch(value) for name, value in ROWS.items()})
    wanted = [
        eval(code, PLAIN | {name: value[i] for name, value in ROWS.items()}) for i in range(p)
    ]
    parts = (
        zip(found, *wanted, strict=True)
        if isinstance(wanted[0], (tuple, list))
        else [(found, *wanted)]
    )
    for batch, *each in parts:
        assert type(batch) is Batch
        assert batch.shape == np.shape(each[0])
        np.testing.assert_allclose(batch.value, np.stack(each), rtol=1e-12, atol=1e-12)


# --- What a batch refuses: no row is taken for all


@pytest.mark.parametrize(
    "use",
    [
        lambda g: float(g[0]),
        lambda g: int(g[0]),
        lambda g: 1.0 if g[0] > 0.0 else 2.0,
        lambda g: np.asarray(g),
        lambda g: np.array([g, g]),
        lambda g: np.add(np.zeros(4), g, out=np.zeros(4)),
        lambda g: np.add.at(np.zeros(4), [0], g),
        lambda g: np.zeros(4).__iadd__(g),
        lambda g: np.zeros(4).__setitem__(0, g[0]),
        lambda g: {g},
        lambda g: len(g[0]),
    ],
)
def test_a_batch_is_not_one_number_or_one_array(use):
    with pytest.raises((TypeError, ValueError)):
        use(Batch(np.ones((3, 4))))


def test_a_function_by_row_may_do_anything_with_a_number():
    def function(g, k):
        return [np.array([float(g[0]) if g[0] > 0.0 else 0.0, k]), None]

    batch = Batch(np.array([[1.0, 2.0], [-1.0, 3.0]]))
    found, nothing = by_row(function)(batch, 5.0)
    assert nothing is None
    np.testing.assert_array_equal(found.value, [[1.0, 5.0], [0.0, 5.0]])
    np.testing.assert_array_equal(by_row(function)(np.array([1.0, 2.0]), 5.0)[0], [1.0, 5.0])


# --- Jacobians and Hessians

X = RNG.normal(size=(30, 4))


def hessian_by_rows(f, x):
    with Tape() as tape:
        source = tape.leaf(x)
        g = gradient(f, source)
        return np.stack([tape.gradients([(g, row)], [source])[0] for row in np.eye(len(x))])


FUNCTIONS = {
    "logistic": lambda v: np.sum(np.log1p(np.exp(X @ v))),
    "in a loop": lambda v: sum(np.exp(v[i] * v[i - 1]) for i in range(4)),
    "of groups": lambda v: np.sum(np.tanh(v)[np.arange(30) % 4] * X[:, 0] * v[0]),
    "log determinant": lambda v: np.linalg.slogdet(np.outer(v, v) + np.eye(4) * v[1])[1],
    "eigenvectors": lambda v: np.sum(np.linalg.eigh(np.outer(v, v) + np.diag(v))[1][0] * v),
    "two products": lambda v: np.sum((X @ np.outer(v, v)) ** 2),
}


@pytest.mark.parametrize("f", [pytest.param(f, id=name) for name, f in FUNCTIONS.items()])
def test_a_hessian_in_one_pass_is_that_of_one_pass_for_each_row(f):
    x = np.array([0.3, 1.1, 0.8, 1.9])
    assert_close(hessian(f, x), hessian_by_rows(f, x))


def test_a_hessian_of_many_rows_is_computed_in_blocks():
    A = RNG.normal(size=(40, 40))
    np.testing.assert_allclose(hessian(lambda v: 0.5 * v @ A @ v, A[0]), (A + A.T) / 2, atol=1e-13)


@pytest.mark.parametrize("largest", [1, 300, 2**23])
def test_blocks_of_any_size_give_the_same_rows_and_columns(largest):
    A = RNG.normal(size=(25, 20))
    with Tape() as tape:
        source: Any = tape.leaf(A[0])
        y = A @ source
        (found,) = columns(tape, [y], [source], largest)
        np.testing.assert_allclose(rows(tape, [y], [source], largest), A, rtol=1e-14)
    np.testing.assert_allclose(found, A.T, rtol=1e-14)


@pytest.mark.parametrize(
    ("f", "x", "wanted"),
    [
        (lambda v: X @ v, np.ones(4), X),
        (lambda v: X[:2] @ v, np.ones(4), X[:2]),
        (lambda t: t * t, 3.0, 6.0),
        (lambda t: t * X, 3.0, X),
        (lambda v: np.sum(v * v), np.ones(3), 2.0 * np.ones(3)),
        (lambda v: np.ones((3, 2)), np.ones(4), np.zeros((3, 2, 4))),
        (lambda v: [v[0] * v[1], 2.0, v[1]], np.array([3.0, 5.0]), [[5.0, 3.0], [0, 0], [0, 1]]),
        (lambda m: m.T, np.ones((2, 3)), np.eye(6).reshape(2, 3, 2, 3).transpose(1, 0, 2, 3)),
        (lambda v: v[:0], np.ones(3), np.zeros((0, 3))),
    ],
)
def test_a_jacobian_has_the_axes_of_the_result_and_then_those_of_the_argument(f, x, wanted):
    found = jacobian(f, x)
    assert np.shape(found) == np.shape(wanted)
    np.testing.assert_allclose(found, wanted, rtol=1e-14)


def test_rows_and_columns_of_several_outputs_and_sources_are_those_of_one_matrix():
    with Tape() as tape:
        leaves: list[Any] = [tape.leaf(v) for v in (np.array([1.0, 2.0]), 3.0, 1.0)]
        a, b, _ = leaves
        outputs = [a * b, 7.0, b * b, np.outer(a, a)]
        matrix, parts = rows(tape, outputs, leaves), columns(tape, outputs, leaves)
    wanted = [[3, 0, 1, 0], [0, 3, 2, 0], [0] * 4, [0, 0, 6, 0]]
    wanted += [[2, 0, 0, 0], [2, 1, 0, 0], [2, 1, 0, 0], [0, 4, 0, 0]]
    np.testing.assert_array_equal(matrix, wanted)
    assert [part.shape for part in parts] == [(4, 2), (4,), (4,), (4, 2, 2)]
    np.testing.assert_array_equal(np.concatenate([c.reshape(4, -1) for c in parts], 1).T, wanted)


def test_columns_of_what_cancels_in_a_sum_of_outputs_are_right():
    """A pullback may leave work out for a cotangent of zeros, and x - x has such a cotangent."""

    def f(v):
        first = np.linalg.eigh(np.outer(v, v) + np.diag(v))[1]
        return np.concatenate([np.ravel(first), -np.ravel(first)])

    x = np.array([0.3, 1.1])
    step = 1e-6
    wanted = [(f(x + step * e) - f(x - step * e)) / (2.0 * step) for e in np.eye(2)]
    np.testing.assert_allclose(jacobian(f, x), np.transpose(wanted), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("of", [hessian, jacobian], ids=lambda of: of.__name__)
def test_jacobians_and_hessians_are_differentiable_by_other_numbers(of):
    x = np.array([0.3, 1.1, 0.8, 1.9])

    def f(s):
        if of is hessian:
            return np.sum(hessian(lambda v: np.sum(np.exp(s * v) * v[0]), x))
        tall = np.sum(jacobian(lambda v: np.sin(s * (X @ v)), x))
        return tall + np.sum(jacobian(lambda v: np.sin(s * (X[:2] @ v)), x))

    check(f, 0.7)


def test_a_seed_of_many_goes_with_a_seed_for_all():
    with Tape() as tape:
        a: Any = tape.leaf(2.0)
        seeds = [(a * a, Batch(np.array([1.0, 10.0]))), (3.0 * a, 1.0)]
        (found,) = tape.gradients(seeds, [a])
    np.testing.assert_array_equal(found.value, [7.0, 43.0])


def test_rows_of_single_precision_are_right_to_single_precision():
    x = np.array([0.3, 1.1, 0.8, 1.9], np.float32)
    X32 = X.astype(np.float32)
    with Tape() as tape:
        source: Any = tape.leaf(x)
        y = np.tanh(X32[:3] @ source)
        assert y.dtype == np.float32
        found = rows(tape, [y], [source])
    wanted = (1.0 - np.tanh(X[:3] @ x) ** 2)[:, None] * X[:3]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
