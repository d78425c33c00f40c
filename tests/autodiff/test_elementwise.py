"""Elementwise functions and operators: of numbers, of arrays, and of both."""

import numpy as np
import pytest
from derivatives_check import check, deterministic, slope, weighed
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes
from scipy import special

from genparams.autodiff import Box, gradient
from genparams.autodiff.elementwise import DERIVATIVES
from genparams.autodiff.rules import METHODS

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


def test_no_ufunc_has_both_a_derivative_and_a_rule_of_its_own():
    """`Box.__array_ufunc__` takes those with a derivative past `METHODS`."""
    assert not {ufunc for ufunc, method in METHODS if method == "__call__"} & set(DERIVATIVES)
