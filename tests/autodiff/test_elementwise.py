"""Elementwise functions and operators: of numbers, of arrays, and of both."""

import numpy as np
import pytest
from derivatives_check import check, deterministic, slope
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

from genparams.autodiff import Box, gradient
from genparams.autodiff.elementwise import DERIVATIVES
from genparams.autodiff.rules import METHODS

RNG = np.random.default_rng(5)
REAL = RNG.normal(size=(2, 3))
POSITIVE = np.exp(RNG.normal(size=(2, 3)))


ANY = [np.negative, np.positive, np.exp, np.expm1, np.square, np.sin, np.cos, np.tanh, np.absolute]
ABOVE_0 = [np.log, np.log1p, np.sqrt, np.reciprocal]


@pytest.mark.parametrize(
    ("ufunc", "x"),
    [pytest.param(u, REAL[0], id=u.__name__) for u in ANY]
    + [pytest.param(u, POSITIVE[0], id=u.__name__) for u in ABOVE_0],
)
def test_an_elementwise_function_of_an_array_of_boxes_is_that_of_one_box(ufunc, x):
    one = gradient(lambda t: np.sum(ufunc(t)), x)
    rows = gradient(lambda t: np.sum(ufunc(np.array([t[0], t[1], t[2]]))), x)
    np.testing.assert_allclose(rows, one, rtol=1e-14)


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
