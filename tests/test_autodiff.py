"""Derivatives: every function that boxes know, nested, threaded, failing, and refused."""

import itertools
import math
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier

import autograd.numpy as anp
import numpy as np
import pytest
from common import slope
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, mutually_broadcastable_shapes
from scipy import special

from genparams.autodiff import Box, Tape, gradient, hessian, operand, raw, shape_of, sum_to
from genparams.autodiff.elementwise import DERIVATIVES
from genparams.errors import GenParamsError, TracedValueError
from genparams.numeric import arrays as on_arrays
from genparams.numeric import scalars

deterministic = settings(max_examples=60)


def check(f, x, order=2):
    """The gradient, and that of a gradient along a direction, against finite differences."""
    rng = np.random.default_rng(0)
    v, u = 0.3 * rng.normal(size=(2, *np.shape(x)))
    v, u = (float(v), float(u)) if not np.shape(x) else (v, u)
    g = gradient(f, x)
    assert shape_of(g) == np.shape(x)
    np.testing.assert_allclose(np.sum(g * v), slope(lambda h: f(x + h * v)), rtol=1e-7, atol=1e-8)
    if order == 2:

        def along(y):
            return np.sum(gradient(f, y) * u)

        np.testing.assert_allclose(
            np.sum(gradient(along, x) * v), slope(lambda h: along(x + h * v)), rtol=1e-6, atol=1e-7
        )


def weighed(function):
    """`function` made a number: its entries and their squares, summed with weights."""

    def f(x):
        y = function(x)
        w = np.cos(1.0 + np.arange(math.prod(shape_of(y)))).reshape(shape_of(y))
        return np.sum(w * y) + 0.5 * np.sum(y * y)

    return f


RNG = np.random.default_rng(5)
REAL = RNG.normal(size=(2, 3))
POSITIVE = np.exp(RNG.normal(size=(2, 3)))
UNIT = RNG.uniform(0.1, 0.9, (2, 3))
SQUARE = RNG.normal(size=(3, 3)) + 3.0 * np.eye(3)
STACK = RNG.normal(size=(2, 3, 3)) + 3.0 * np.eye(3)
CUBE = RNG.normal(size=(2, 3, 2))
VECTOR = RNG.normal(size=4)
A = RNG.normal(size=(3, 3))


# --- Elementwise functions

ELEMENTWISE = {
    np.negative: REAL,
    np.positive: REAL,
    np.exp: REAL,
    np.expm1: REAL,
    np.log: POSITIVE,
    np.log1p: POSITIVE,
    np.sqrt: POSITIVE,
    np.square: REAL,
    np.reciprocal: POSITIVE,
    np.sin: REAL,
    np.cos: REAL,
    np.tanh: REAL,
    np.absolute: REAL,
    special.expit: REAL,
    special.log_expit: REAL,
    special.logit: UNIT,
    special.gammaln: POSITIVE,
    special.psi: POSITIVE,
    special.erf: REAL,
    special.erfc: REAL,
    special.erfcx: REAL,
    special.i0e: REAL,
    special.i1e: REAL,
    special.ndtr: REAL,
    special.log_ndtr: REAL,
}
BINARY = {
    np.add: (REAL, REAL + 1.0),
    np.subtract: (REAL, REAL + 1.0),
    np.multiply: (REAL, REAL + 1.0),
    np.true_divide: (REAL, POSITIVE),
    np.power: (POSITIVE, REAL),
    np.maximum: (REAL, -REAL),
    np.minimum: (REAL, -REAL),
    np.logaddexp: (REAL, -REAL),
    special.betaln: (POSITIVE, UNIT),
    special.xlogy: (REAL, POSITIVE),
    special.xlog1py: (REAL, POSITIVE),
}


def label(value):
    """The name of a function; nothing for the point that stands beside it."""
    return value.__name__ if isinstance(value, np.ufunc) else ""


def test_every_elementwise_rule_has_a_row_in_these_tables():
    assert set(DERIVATIVES) >= {*ELEMENTWISE, *BINARY}


@pytest.mark.parametrize(("ufunc", "x"), ELEMENTWISE.items(), ids=label)
def test_an_elementwise_function_is_twice_differentiable(ufunc, x):
    check(weighed(ufunc), x)
    for one in x.flat[:3]:
        check(weighed(ufunc), float(one))


@pytest.mark.parametrize(
    ("ufunc", "x"),
    [pytest.param(u, x, id=u.__name__) for u, x in ELEMENTWISE.items() if hasattr(np, u.__name__)],
)
def test_an_elementwise_function_of_an_array_of_boxes_is_that_of_one_box(ufunc, x):
    one = gradient(lambda t: np.sum(ufunc(t)), x[0])
    rows = gradient(lambda t: np.sum(ufunc(np.array([t[0], t[1], t[2]]))), x[0])
    np.testing.assert_allclose(rows, one, rtol=1e-14)


@pytest.mark.parametrize(("ufunc", "pair"), BINARY.items(), ids=label)
def test_a_binary_function_is_twice_differentiable_in_each_and_both(ufunc, pair):
    x, y = pair
    check(weighed(lambda t: ufunc(t, y)), x)
    check(weighed(lambda t: ufunc(x, t)), y)
    check(weighed(lambda t: ufunc(t[0], t[1])), np.stack([x, y]))


@pytest.mark.parametrize(("ufunc", "pair"), BINARY.items(), ids=label)
def test_a_binary_function_broadcasts_a_number_against_an_array(ufunc, pair):
    x, y = pair
    check(weighed(lambda t: ufunc(t, y)), float(x[0, 0]))
    check(weighed(lambda t: ufunc(x, t)), float(y[0, 0]))
    check(weighed(lambda t: ufunc(t, y[0])), x[:, :1])
    check(weighed(lambda t: ufunc(x[:, :1], t)), y[0])


@pytest.mark.parametrize(("ufunc", "pair"), BINARY.items(), ids=label)
def test_a_binary_function_of_two_numbers_is_twice_differentiable(ufunc, pair):
    x, y = (float(a[0, 1]) for a in pair)
    check(weighed(lambda t: ufunc(t, y)), x)
    check(weighed(lambda t: ufunc(x, t)), y)
    check(weighed(lambda t: ufunc(t[0], t[1])), np.array([x, y]))


@deterministic
@given(mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3), st.booleans())
def test_gradients_through_broadcasting_have_the_shape_of_their_argument(shapes, left):
    a, b = (RNG.normal(size=shape) for shape in shapes.input_shapes)
    x, other = (a, b) if left else (b, a)
    x = float(x) if not np.ndim(x) else x

    def f(t):
        return np.sum(np.sin(t * other if left else other * t) + (t - other) / 3.0)

    g = gradient(f, x)
    assert np.shape(g) == np.shape(x)
    direction = np.cos(np.arange(np.size(x))).reshape(np.shape(x))
    np.testing.assert_allclose(
        np.sum(g * direction), slope(lambda h: f(x + h * direction)), rtol=1e-7, atol=1e-8
    )


# --- Operators

OPERATORS = {
    "box + y": lambda x, y: x + y,
    "y + box": lambda x, y: y + x,
    "box - y": lambda x, y: x - y,
    "y - box": lambda x, y: y - x,
    "box * y": lambda x, y: x * y,
    "y * box": lambda x, y: y * x,
    "box / y": lambda x, y: x / y,
    "y / box": lambda x, y: y / x,
    "box ** y": lambda x, y: x**y,
    "y ** box": lambda x, y: y**x,
    "-box + y": lambda x, y: -x + y,
    "+box * y": lambda x, y: +x * y,
    "abs(box) * y": lambda x, y: abs(x) * y,
}
OTHERS = {
    "float": 1.7,
    "int": 2,
    "np.float64": np.float64(1.7),
    "np.int64": np.int64(2),
    "array": np.array([0.5, 1.5, 2.5]),
    "column": np.array([[0.5], [1.5]]),
    "integers": np.array([1, 2, 3]),
    "zero-dimensional": np.array(1.7),
}


@pytest.mark.parametrize("other", [pytest.param(v, id=k) for k, v in OTHERS.items()])
@pytest.mark.parametrize("op", [pytest.param(v, id=k) for k, v in OPERATORS.items()])
def test_an_operator_takes_a_box_on_either_side(op, other):
    check(weighed(lambda t: op(t, other)), 1.3)
    check(weighed(lambda t: op(t, other)), POSITIVE)


@pytest.mark.parametrize("op", [pytest.param(v, id=k) for k, v in OPERATORS.items()])
def test_an_operator_takes_two_boxes(op):
    check(weighed(lambda t: op(t[0], t[1])), np.array([1.3, 0.7]))
    check(weighed(lambda t: op(t[0], t[1])), POSITIVE)
    check(weighed(lambda t: op(t, t)), 1.3)


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 0.0, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("x", [0.0, -1.5])
def test_whole_powers_are_twice_differentiable_everywhere(x, exponent):
    first = exponent * (x ** (exponent - 1) if exponent >= 1 else 0.0)
    second = exponent * (exponent - 1) * (x ** (exponent - 2) if exponent >= 2 else 0.0)
    assert gradient(lambda t: t**exponent, x) == pytest.approx(first)
    assert gradient(lambda t: gradient(lambda s: s**exponent, t), x) == pytest.approx(second)
    at = np.array([x, x])
    np.testing.assert_allclose(gradient(lambda t: np.sum(t**exponent), at), [first, first])


def test_comparisons_give_plain_truth_values():
    seen = []

    def f(t):
        seen.extend([t > 1.0, t < 1.0, t >= 2.0, t <= 2.0, t == 2.0, t != 2.0, t > 1.0])
        return t * 3.0 if t > 1.0 else t

    assert gradient(f, 2.0) == 3.0
    assert [bool(s) for s in seen] == [True, False, True, True, True, False, True]
    assert not any(isinstance(s, Box) for s in seen)


def test_a_comparison_of_an_array_makes_a_mask():
    def f(t):
        return np.sum(t[t > 0.0] ** 2)

    np.testing.assert_array_equal(gradient(f, np.array([1.0, -2.0, 3.0])), [2.0, 0.0, 6.0])


def test_the_remainder_and_the_floor_are_taken_apart():
    check(lambda t: (t % 2.0) ** 2, 3.3)
    assert gradient(lambda t: t // 2.0 + 0.0 * t, 3.3) == 0.0
    assert gradient(lambda t: np.floor(t) * t, 3.3) == 3.0


def test_a_tie_shares_the_gradient_of_a_maximum():
    assert gradient(lambda t: np.maximum(t, 1.0), 1.0) == 0.5
    assert gradient(lambda t: np.minimum(1.0, t), 1.0) == 0.5
    np.testing.assert_array_equal(gradient(lambda t: np.maximum(t[0], t[1]), np.ones(2)), 0.5)


# --- Functions of whole arrays

W6 = np.arange(1.0, 7.0)
WHOLE = {
    "sum": (np.sum, REAL),
    "sum-axis": (lambda x: np.sum(x, axis=0), REAL),
    "sum-negative-axis": (lambda x: np.sum(x, axis=-1), CUBE),
    "sum-axes": (lambda x: np.sum(x, axis=(0, 2)), CUBE),
    "sum-keepdims": (lambda x: np.sum(x, axis=(0, -1), keepdims=True), CUBE),
    "sum-all-keepdims": (lambda x: np.sum(x, keepdims=True), CUBE),
    "sum-numpy-axis": (lambda x: np.sum(x, axis=np.int64(1)), CUBE),
    "sum-of-number": (np.sum, 1.5),
    "sum-method": (lambda x: x.sum(axis=1), REAL),
    "add-reduce": (lambda x: np.add.reduce(x), REAL),
    "add-reduce-axis": (lambda x: np.add.reduce(x, axis=1), REAL),
    "mean": (np.mean, REAL),
    "mean-axis": (lambda x: np.mean(x, axis=1), REAL),
    "mean-axes": (lambda x: np.mean(x, axis=(0, 1), keepdims=True), CUBE),
    "mean-method": (lambda x: x.mean(), REAL),
    "reshape": (lambda x: np.reshape(x, (3, 2)), REAL),
    "reshape-columns": (lambda x: np.reshape(x, (3, 2), order="F"), REAL),
    "reshape-method": (lambda x: x.reshape(3, -1), REAL),
    "reshape-method-tuple": (lambda x: x.reshape((6,)), REAL),
    "ravel": (np.ravel, CUBE),
    "ravel-columns": (lambda x: np.ravel(x, order="F"), CUBE),
    "flatten": (lambda x: x.flatten(), CUBE),
    "transpose": (np.transpose, CUBE),
    "transpose-axes": (lambda x: np.transpose(x, (2, 0, 1)), CUBE),
    "transpose-negative-axes": (lambda x: np.transpose(x, (-1, 0, 1)), CUBE),
    "transpose-method": (lambda x: x.transpose(2, 0, 1), CUBE),
    "T": (lambda x: x.T, REAL),
    "broadcast_to": (lambda x: np.broadcast_to(x, (4, 2, 3)), REAL),
    "broadcast_to-ones": (lambda x: np.broadcast_to(x, (2, 4)), REAL[:, :1]),
    "broadcast_to-number": (lambda x: np.broadcast_to(x, (2, 4)), 1.5),
    "where": (lambda x: np.where(REAL > 0.0, x, x**2), REAL),
    "where-number": (lambda x: np.where(REAL > 0.0, x, 1.0), 1.5),
    "where-right": (lambda x: np.where(REAL > 0.0, 0.0, x), REAL[0]),
    "where-boxed-condition": (lambda x: np.where(x > 0.2, x, 3.0 * x * x), REAL),
    "matmul": (lambda x: A @ x, A),
    "matmul-left": (lambda x: x @ A, REAL),
    "matmul-vector": (lambda x: A @ x, A[0]),
    "vector-matmul": (lambda x: x @ A, A[0]),
    "matmul-both": (lambda x: x @ x, A),
    "matmul-vector-both": (lambda x: x @ x, A[0]),
    "matmul-matrix-vector": (lambda x: x @ A[0], A),
    "matmul-vector-matrix": (lambda x: A[0] @ x, A),
    "matmul-stack": (lambda x: STACK @ x, STACK),
    "matmul-stack-left": (lambda x: x @ STACK, STACK),
    "matmul-broadcast": (lambda x: STACK @ x, A),
    "np.matmul": (lambda x: np.matmul(A, x), A),
    "dot": (lambda x: np.dot(A, x), A[0]),
    "dot-left": (lambda x: np.dot(x, A), REAL),
    "dot-number": (lambda x: np.dot(x, A), 1.5),
    "dot-method": (lambda x: x.dot(A), REAL),
    "dot-vectors": (lambda x: np.dot(x, x), A[0]),
    "slogdet": (lambda x: np.linalg.slogdet(x)[1], SQUARE),
    "slogdet-stack": (lambda x: np.linalg.slogdet(x)[1], STACK),
    "copy": (np.copy, REAL),
    "copy-method": (lambda x: x.copy(), REAL),
    "item": (lambda x: x[0, 0].item(), REAL),
    "astype": (lambda x: x.astype(float), REAL),
    "index": (lambda x: x[1], REAL),
    "index-pair": (lambda x: x[1, 2], REAL),
    "index-negative": (lambda x: x[-1, ::-1], REAL),
    "index-slice": (lambda x: x[:, 1:], REAL),
    "index-ellipsis": (lambda x: x[..., 0], CUBE),
    "index-new-axis": (lambda x: x[:, None, :], REAL),
    "index-list": (lambda x: x[[0, 0, 1]], REAL),
    "index-repeated": (lambda x: x[np.array([0, 1, 0, 0])], VECTOR),
    "index-grid": (lambda x: x[np.array([[0, 1], [1, 3]])], VECTOR),
    "index-pairs": (lambda x: x[[0, 1, 1], [2, 0, 0]], REAL),
    "index-mask": (lambda x: x[REAL > 0.0], REAL),
    "index-slice-and-list": (lambda x: x[:, [0, 2, 2]], REAL),
    "index-numpy-integer": (lambda x: x[np.int64(1)], REAL),
    "iteration": (lambda x: sum(row * row for row in x), REAL),
    "unpacking": (lambda x: np.stack([*x][::-1]), REAL),
    "concatenate": (lambda x: np.concatenate([x, REAL, 2.0 * x]), REAL),
    "concatenate-axis": (lambda x: np.concatenate([x, x * x], axis=1), REAL),
    "concatenate-negative": (lambda x: np.concatenate((x, REAL), axis=-1), REAL),
    "concatenate-flat": (lambda x: np.concatenate([x, VECTOR], axis=None), REAL),
    "concatenate-unequal": (lambda x: np.concatenate([x[:1], VECTOR, x]), VECTOR),
    "stack": (lambda x: np.stack([x, REAL, x * x]), REAL),
    "stack-last": (lambda x: np.stack([x, REAL], axis=-1), REAL),
    "stack-middle": (lambda x: np.stack([x, x * x], axis=1), REAL),
    "stack-numbers": (lambda x: np.stack([x[0], 1.0, x[2]]), VECTOR),
    "stack-number": (lambda x: np.stack([x, 1.0, x * x]), 1.5),
    "hstack": (lambda x: np.hstack([x, REAL]), REAL),
    "hstack-vectors": (lambda x: np.hstack([x, 1.0, x[0]]), VECTOR),
    "hstack-cubes": (lambda x: np.hstack([x, 2.0 * x]), CUBE),
    "vstack": (lambda x: np.vstack([x, REAL]), REAL),
    "vstack-vectors": (lambda x: np.vstack([x, VECTOR]), VECTOR),
    "column_stack": (lambda x: np.column_stack([x, VECTOR, x * x]), VECTOR),
    "column_stack-mixed": (lambda x: np.column_stack([x, np.ones((4, 2))]), VECTOR),
    "append": (lambda x: np.append(x, 1.0), VECTOR),
    "append-box": (lambda x: np.append(VECTOR, x[0]), VECTOR),
    "append-flat": (lambda x: np.append(x, REAL), REAL),
    "append-axis": (lambda x: np.append(x, REAL, axis=1), REAL),
    "array-of-boxes": (lambda x: np.array([x[0], 2.0 * x[1], 1.0]), VECTOR),
    "array-of-arrays": (lambda x: np.array([x, 2.0 * x]), VECTOR),
    "array-of-lists": (lambda x: np.array([[x[0], 0.0], [x[1], x[2]]]), VECTOR),
    "array-of-boxes-at-array": (lambda x: np.array([x[0], x[1], x[2]]) @ A, VECTOR),
}


@pytest.mark.parametrize(("function", "x"), [pytest.param(*v, id=k) for k, v in WHOLE.items()])
def test_a_function_of_whole_arrays_is_twice_differentiable(function, x):
    check(weighed(function), x)


@pytest.mark.parametrize(("function", "x"), [pytest.param(*v, id=k) for k, v in WHOLE.items()])
def test_a_function_of_a_box_has_the_value_of_the_same_function_of_an_array(function, x):
    if not np.ndim(x):
        x = np.float64(x)
    seen = []
    gradient(lambda t: (seen.append(raw(operand(function(t)))), np.sum(t))[1], x)
    np.testing.assert_allclose(seen[0], function(x), rtol=1e-14, atol=1e-15)


FROM_AUTOGRAD = {
    "inv": (np.linalg.inv, SQUARE),
    "inv-stack": (np.linalg.inv, STACK),
    "det": (np.linalg.det, SQUARE),
    "solve": (lambda x: np.linalg.solve(x, A[0]), SQUARE),
    "solve-right": (lambda x: np.linalg.solve(SQUARE, x), A[0]),
    "cholesky": (lambda x: np.linalg.cholesky(x @ x.T + np.eye(3)), SQUARE),
    "norm": (np.linalg.norm, REAL),
    "sort": (np.sort, VECTOR),
    "einsum": (lambda x: np.einsum("ij,jk->ik", x, A), REAL),
    "einsum-right": (lambda x: np.einsum("ij,kj->ik", A, x), REAL),
    "einsum-both": (lambda x: np.einsum("ij,ij->i", x, x * x), REAL),
    "cumsum": (np.cumsum, VECTOR),
    "cumsum-axis": (lambda x: np.cumsum(x, axis=1), REAL),
    "prod": (np.prod, VECTOR),
    "prod-axis": (lambda x: np.prod(x, axis=0), REAL),
    "prod-method": (lambda x: x.prod(), VECTOR),
    "max": (np.max, VECTOR),
    "max-axis": (lambda x: np.max(x, axis=1), REAL),
    "min-axis-keepdims": (lambda x: np.min(x, axis=1, keepdims=True), REAL),
    "var": (np.var, VECTOR),
    "std": (lambda x: np.std(x, axis=1), REAL),
    "outer": (lambda x: np.outer(x, x), VECTOR),
    "inner": (lambda x: np.inner(x, A[0]), A[1]),
    "tensordot": (lambda x: np.tensordot(x, A, axes=([1], [0])), REAL),
    "kron": (lambda x: np.kron(x, A), REAL),
    "trace": (np.trace, SQUARE),
    "diag": (np.diag, SQUARE),
    "diag-of-vector": (np.diag, VECTOR),
    "diagonal": (np.diagonal, SQUARE),
    "diagonal-last-axes": (lambda x: np.diagonal(x, axis1=-2, axis2=-1), STACK),
    "tril": (np.tril, SQUARE),
    "triu": (lambda x: np.triu(x, 1), SQUARE),
    "swapaxes": (lambda x: np.swapaxes(x, 0, -1), CUBE),
    "moveaxis": (lambda x: np.moveaxis(x, 0, -1), CUBE),
    "squeeze": (lambda x: np.squeeze(x[:1]), REAL),
    "expand_dims": (lambda x: np.expand_dims(x, 1), REAL),
    "atleast_2d": (np.atleast_2d, VECTOR),
    "roll": (lambda x: np.roll(x, 1), VECTOR),
    "fliplr": (np.fliplr, REAL),
    "repeat": (lambda x: np.repeat(x, 3), VECTOR),
    "tile": (lambda x: np.tile(x, 2), VECTOR),
    "diff": (np.diff, VECTOR),
    "clip": (lambda x: np.clip(x, -0.5, 0.5), VECTOR),
    "tan": (np.tan, 0.3 * REAL),
    "sinh": (np.sinh, REAL),
    "cosh": (np.cosh, REAL),
    "arctan": (np.arctan, REAL),
    "arcsin": (np.arcsin, UNIT),
    "log2": (np.log2, POSITIVE),
    "log10": (np.log10, POSITIVE),
    "exp2": (np.exp2, REAL),
    "arctan2": (lambda x: np.arctan2(x, POSITIVE), REAL),
    "linspace": (lambda x: x[0] + (x[1] - x[0]) * np.linspace(0.0, 1.0, 5), VECTOR),
}


@pytest.mark.parametrize(
    ("function", "x"), [pytest.param(*v, id=k) for k, v in FROM_AUTOGRAD.items()]
)
def test_a_function_without_a_rule_here_takes_that_of_autograd(function, x):
    check(weighed(function), x)


@pytest.mark.parametrize(
    ("function", "x"), [pytest.param(*v, id=k) for k, v in FROM_AUTOGRAD.items()]
)
def test_a_fallback_has_the_value_of_the_plain_function(function, x):
    seen = []
    gradient(lambda t: (seen.append(raw(operand(function(t)))), np.sum(t))[1], x)
    np.testing.assert_allclose(seen[0], function(x), rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize(
    "name", ["exp", "sin", "sum", "mean", "dot", "sort", "cumsum", "tanh", "where", "sqrt", "outer"]
)
def test_autograd_s_numpy_may_be_written_in_place_of_numpy(name):
    calls = {
        "dot": lambda m, x: m.dot(x, x),
        "where": lambda m, x: m.where(VECTOR > 0.0, x, x * x),
        "sqrt": lambda m, x: m.sqrt(x * x + 1.0),
        "outer": lambda m, x: m.outer(x, x),
    }
    call = calls.get(name, lambda m, x: getattr(m, name)(x))
    np.testing.assert_allclose(
        gradient(weighed(lambda x: call(anp, x)), VECTOR),
        gradient(weighed(lambda x: call(np, x)), VECTOR),
        rtol=1e-14,
    )


def test_autograd_s_numpy_makes_arrays_of_boxes():
    check(weighed(lambda x: anp.array([x[0], x[1] * x[2], 1.0])), VECTOR)
    check(weighed(lambda x: anp.concatenate([x, x * x])), VECTOR)
    check(weighed(lambda x: anp.stack([x, x * x])), VECTOR)


# --- What a box is like


def test_a_box_has_the_attributes_of_its_array():
    seen = []
    gradient(lambda t: (seen.append(t), np.sum(t))[1], CUBE)
    (box,) = seen
    assert (box.shape, box.ndim, box.size, len(box)) == (CUBE.shape, 3, CUBE.size, 2)
    assert box.dtype == np.float64
    assert np.shape(box) == CUBE.shape
    assert np.ndim(box) == 3
    assert repr(box).startswith("traced")


def test_a_function_that_does_not_move_has_a_gradient_of_zero():
    assert gradient(lambda t: 3.0, 1.0) == 0.0
    np.testing.assert_array_equal(gradient(lambda t: np.sum(t > 0.0), REAL), np.zeros((2, 3)))
    np.testing.assert_array_equal(hessian(lambda v: 2.0 * v[0] + 1.0, [1.0, 2.0]), np.zeros((2, 2)))
    np.testing.assert_array_equal(hessian(lambda v: 4.0, [1.0, 2.0]), np.zeros((2, 2)))


def test_an_integer_is_differentiated_as_a_number():
    assert gradient(lambda t: t * t, 3) == 6.0
    np.testing.assert_array_equal(gradient(lambda t: np.sum(t * t), np.array([1, 2])), [2.0, 4.0])


def test_gradients_are_plain_floats_and_arrays():
    assert type(gradient(lambda t: t * t, 3.0)) is float
    assert type(gradient(lambda t: np.exp(t) * np.float64(2.0), np.float64(3.0))) is float
    assert type(gradient(abs, 2.0)) is float
    assert type(gradient(lambda t: np.sum(t), REAL)) is np.ndarray


def test_differentiating_leaves_its_argument_alone():
    x = REAL.copy()
    gradient(lambda t: np.sum(np.exp(t) * t), x)
    hessian(lambda t: np.sum(np.exp(t) * t), x[0])
    np.testing.assert_array_equal(x, REAL)


def test_a_value_used_many_times_has_the_sum_of_its_gradients():
    assert gradient(lambda t: sum(t for _ in range(1000)), 2.0) == 1000.0
    assert gradient(lambda t: t * t + t / t + t - t, 2.0) == 4.0


def test_a_long_chain_needs_no_recursion():
    def f(t):
        for _ in range(20_000):
            t = t + 1e-4 * t
        return t

    assert gradient(f, 1.0) == pytest.approx((1.0 + 1e-4) ** 20_000)


@deterministic
@given(
    arrays(
        float,
        array_shapes(max_dims=3, max_side=3),
        elements=st.floats(-3.0, 3.0, allow_subnormal=False),
    )
)
def test_the_gradient_of_half_the_sum_of_squares_is_the_point_itself(x):
    np.testing.assert_allclose(gradient(lambda t: 0.5 * np.sum(t * t), x), x, rtol=1e-15)


@deterministic
@given(mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3))
def test_sum_to_is_the_transpose_of_broadcasting(shapes):
    small, _ = shapes.input_shapes
    g = RNG.normal(size=shapes.result_shape)
    x = RNG.normal(size=small)
    found = sum_to(g, small)
    assert np.shape(found) == small
    np.testing.assert_allclose(np.sum(found * x), np.sum(g * np.broadcast_to(x, g.shape)))


# --- Nesting


def test_a_gradient_inside_a_gradient_does_not_mix_the_two():
    """d/dx [x d/dy (x + y)] is 1, and 2 for who confuses the perturbations."""
    assert gradient(lambda x: x * gradient(lambda y: x + y, 1.0), 1.0) == 1.0


def test_derivatives_nest_three_deep():
    def third(x):
        return gradient(lambda a: gradient(lambda b: gradient(lambda c: c**5, b), a), x)

    assert third(2.0) == pytest.approx(60.0 * 4.0)
    assert gradient(
        lambda x: gradient(lambda y: gradient(lambda z: x * y * y * z**3, 3.0), 2.0), 1.0
    ) == pytest.approx(2.0 * 2.0 * 27.0)


def test_inner_gradients_by_arrays_are_differentiable_by_outer_numbers():
    def f(s):
        return np.sum(gradient(lambda v: np.sum(np.exp(s * v)), VECTOR))

    check(f, 0.7)


def test_a_hessian_is_symmetric_and_that_of_finite_differences():
    def f(v):
        return np.log(1.0 + np.exp(v[0] * v[1])) + v[2] ** 3 * v[0] + np.sin(v[1] + v[3])

    found = hessian(f, VECTOR)
    np.testing.assert_allclose(found, found.T, rtol=1e-13)
    wanted = [slope(lambda h, e=e: gradient(f, VECTOR + h * e)) for e in np.eye(4)]
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-9)


def test_a_hessian_takes_rows_that_do_not_depend_on_each_other():
    found = hessian(lambda v: v[0] ** 2 + 3.0 * v[1], [1.0, 2.0])
    np.testing.assert_array_equal(found, [[2.0, 0.0], [0.0, 0.0]])


def test_a_quadratic_form_has_its_matrix_as_hessian():
    S = A + A.T
    np.testing.assert_allclose(hessian(lambda v: 0.5 * v @ S @ v, A[0]), S, rtol=1e-14)


# --- Threads


def test_threads_that_differentiate_at_once_do_not_disturb_each_other():
    """Every thread nests: d/dx [x d/dy (x y^3)] at y = x is 2 x 3 x^2 + 6 x^3."""
    barrier = Barrier(8)

    def nested(x):
        barrier.wait(timeout=10.0)
        return [gradient(lambda a: a * gradient(lambda b: a * b**3, a), x) for _ in range(200)]

    points = [0.5 + 0.25 * i for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for x, found in zip(points, pool.map(nested, points), strict=True):
            # x -> 3 x^4 has the derivative 12 x^3
            np.testing.assert_allclose(found, 12.0 * x**3, rtol=1e-13)


def test_a_thread_may_differentiate_inside_a_function_that_another_differentiates():
    def f(x):
        with ThreadPoolExecutor(2) as pool:
            halves = list(pool.map(lambda k: gradient(lambda y: x * y**k, 2.0), [2, 3]))
        return halves[0] * halves[1]

    assert gradient(f, 3.0) == pytest.approx(2.0 * 3.0 * 4.0 * 12.0)


# --- Failures


class Stop(Exception):
    pass


def test_an_exception_in_a_differentiated_function_leaves_everything_usable():
    def fails(t):
        gradient(lambda s: s * t, 2.0)
        raise Stop

    def fails_inside(t):
        return gradient(lambda s: s * t if s > 10.0 else fails(s), 2.0)

    for _ in range(3):
        for f in (fails, fails_inside):
            with pytest.raises(Stop):
                gradient(f, 1.0)
    assert gradient(lambda x: x * gradient(lambda y: x + y, 1.0), 1.0) == 1.0
    assert gradient(lambda x: gradient(lambda y: x * x * y * y, 3.0), 2.0) == 24.0


def test_an_exception_that_is_caught_inside_does_not_spoil_the_gradient():
    def f(t):
        with suppress(TracedValueError):
            gradient(lambda s: math.exp(s * t), 1.0)
        return t * t

    assert gradient(f, 3.0) == 6.0


# --- Refusals


def in_place(t):
    total = np.zeros(3)
    total += t
    return np.sum(total)


def assigned(t):
    t[0] = 1.0
    return np.sum(t)


REFUSED = {
    "math.exp": (lambda t: math.exp(t[0]), "math module.*write np.exp"),
    "float": (lambda t: float(t[0]), "float.*write np.exp"),
    "int": (lambda t: int(t[0]), r"int\(\)"),
    "range": (lambda t: sum(range(t[0])), r"int\(\).*what counts or indexes"),
    "list-index": (lambda t: [1.0, 2.0][t[0]], r"int\(\).*discrete choice"),
    "box-as-index": (lambda t: t[t[0]], "an index.*discrete choice"),
    "box-in-index": (lambda t: t[(t[0],)], "an index.*discrete choice"),
    "complex": (lambda t: complex(t[0]), r"int\(\)|complex"),
    "in-place": (in_place, r"in-place.*x = x \+ y instead of x \+= y"),
    "assignment": (assigned, r"assignment into an array.*np\.where.*np\.stack"),
    "out": (lambda t: np.exp(t, out=np.zeros(3)), "in-place"),
    "ufunc-option": (lambda t: np.exp(t, where=np.ones(3, bool)), "where"),
    "unknown-ufunc": (lambda t: np.gcd(t, 2), "gcd"),
    "integer-type": (lambda t: t.astype(int), "astype"),
    "special-without-rule": (lambda t: special.struve(0, t), "struve"),
    "round": (lambda t: np.round(t), "numpy.round.*the value as it is"),
    "full-svd": (lambda t: np.linalg.svd(np.outer(t, t[:2])), "full_matrices=False"),
}


@pytest.mark.parametrize(("f", "message"), [pytest.param(*v, id=k) for k, v in REFUSED.items()])
def test_a_use_that_would_lose_the_derivative_is_refused_with_a_way_out(f, message):
    with pytest.raises(TracedValueError, match=message):
        gradient(f, np.array([0.5, 1.5, 2.5]))


def test_a_refusal_shows_the_line_that_it_is_about():
    with pytest.raises(TracedValueError, match=r"test_autodiff\.py: .*math\.exp\(t\) \* 2"):
        gradient(lambda t: math.exp(t) * 2, 1.0)


def test_a_refusal_is_ours_and_a_type_error():
    assert issubclass(TracedValueError, GenParamsError)
    assert issubclass(TracedValueError, TypeError)


def test_a_single_number_has_no_length_and_an_unknown_attribute_is_none():
    with pytest.raises(TypeError, match="no length"):
        gradient(lambda t: len(t), 1.0)
    with pytest.raises(AttributeError, match="no attribute 'grad'"):
        gradient(lambda t: t.grad, 1.0)


def test_boxes_are_not_hashable():
    with pytest.raises(TypeError, match="a dictionary key, a set"):
        gradient(lambda t: len({t}), 1.0)


# --- Operands


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (1, 1.0),
        (True, 1.0),
        (np.int64(3), 3.0),
        (np.float32(0.5), 0.5),
        (np.array(2.0), 2.0),
        (np.array(2), 2.0),
        ([1, 2], np.array([1.0, 2.0])),
        ((1.0, 2), np.array([1.0, 2.0])),
        ([[1, 2], [3, 4]], np.array([[1.0, 2.0], [3.0, 4.0]])),
        (np.array([True, False]), np.array([1.0, 0.0])),
    ],
    ids=repr,
)
def test_an_operand_is_a_float_or_an_array_of_floats(value, wanted):
    found = operand(value)
    assert type(found) is type(wanted)
    np.testing.assert_array_equal(found, wanted)
    assert type(found) is float or found.dtype.kind == "f"


def test_a_list_of_boxes_becomes_one_box():
    check(lambda t: np.sum(operand([t[0], 2.0, [t[1]][0]]) ** 2), VECTOR)
    check(lambda t: np.sum(operand([[t[0], 0.0], [t[1], t[0]]]) ** 2), VECTOR)
    check(lambda t: np.sum(operand([t, t * t]) ** 2), VECTOR)


@pytest.mark.parametrize("value", ["a", None, 1j, ["a"], [None]], ids=repr)
def test_what_is_not_a_number_is_no_operand(value):
    with pytest.raises(TypeError, match="expected numbers"):
        operand(value)


# --- One formula, two kinds of numbers


ONE = {
    "log": [0.0, 1e-300, 0.5, 1e300, math.inf],
    "log1p": [-1.0, -0.5, 0.0, 1e-20, 1e300],
    "exp": [-800.0, -1.0, 0.0, 1.0, 700.0],
    "expm1": [-800.0, -1e-20, 0.0, 1.0, 700.0],
    "sqrt": [0.0, 0.5, 1e300],
    "abs": [-1.5, 0.0, 1.5],
    "sign": [-1.5, 0.0, 1.5],
    "gammaln": [0.5, 1.0, 2.0, 1e5],
    "psi": [0.5, 1.0, 1e5],
    "expit": [-800.0, -30.0, 0.0, 30.0, 800.0],
    "log_expit": [-800.0, -30.0, 0.0, 30.0, 800.0],
}
TWO = {
    "betaln": [(0.5, 2.0), (1e-3, 1e3)],
    "xlogy": [(0.0, 0.0), (2.0, 0.0), (0.0, 2.0), (2.0, 3.0), (-0.5, 0.0)],
    "xlog1py": [(0.0, -1.0), (2.0, -1.0), (2.0, 3.0), (-0.5, -1.0)],
}


@pytest.mark.parametrize("name", [*ONE, *TWO])
def test_the_functions_of_floats_agree_with_those_of_arrays(name):
    for arguments in [(x,) for x in ONE.get(name, [])] + TWO.get(name, []):
        found = getattr(scalars, name)(*arguments)
        assert isinstance(found, float)
        with np.errstate(divide="ignore"):
            (wanted,) = getattr(on_arrays, name)(*(np.array([x]) for x in arguments))
        np.testing.assert_allclose(found, wanted, rtol=1e-14)


def test_the_two_kinds_have_the_same_functions():
    assert vars(scalars).keys() == vars(on_arrays).keys()
    assert {*ONE, *TWO, "where"} <= vars(scalars).keys()


@pytest.mark.parametrize("condition", [True, False])
def test_a_choice_of_floats_agrees_with_that_of_arrays(condition):
    assert scalars.where(condition, 1.0, 2.0) == on_arrays.where(condition, 1.0, 2.0)


def test_tapes_are_numbered_as_they_are_made():
    levels = [Tape().level for _ in range(5)]
    assert all(a < b for a, b in itertools.pairwise(levels))


@pytest.mark.parametrize("function", [np.sum, np.mean], ids=lambda f: f.__name__)
def test_a_sum_or_a_mean_into_an_array_is_refused_and_not_ignored(function):
    with pytest.raises(TracedValueError, match="with out="):
        gradient(lambda x: function(x, out=np.zeros(())), np.ones(3))


def test_no_ufunc_has_both_a_derivative_and_a_rule_of_its_own():
    """`Box.__array_ufunc__` takes those with a derivative past the gate."""
    from genparams.autodiff.elementwise import DERIVATIVES
    from genparams.autodiff.gate import METHODS

    assert not {ufunc for ufunc, method in METHODS if method == "__call__"} & set(DERIVATIVES)
