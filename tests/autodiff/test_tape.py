"""Gradients: of any function, nested, in threads, after errors; and what is refused."""

import itertools
import math
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier

import autograd.numpy as anp
import numpy as np
import pytest
from derivatives_check import check, deterministic, slope, weighed
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, mutually_broadcastable_shapes
from scipy import special

from genparams.autodiff import Tape, gradient, hessian, operand, sum_to
from genparams.errors import GenParamsError, TracedValueError

RNG = np.random.default_rng(5)
REAL = RNG.normal(size=(2, 3))
CUBE = RNG.normal(size=(2, 3, 2))
VECTOR = RNG.normal(size=4)
A = RNG.normal(size=(3, 3))


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
    with pytest.raises(TracedValueError, match=r"test_tape\.py: .*math\.exp\(t\) \* 2"):
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


def test_tapes_are_numbered_as_they_are_made():
    levels = [Tape().level for _ in range(5)]
    assert all(a < b for a, b in itertools.pairwise(levels))


@pytest.mark.parametrize("function", [np.sum, np.mean], ids=lambda f: f.__name__)
def test_a_sum_or_a_mean_into_an_array_is_refused_and_not_ignored(function):
    with pytest.raises(TracedValueError, match="with out="):
        gradient(lambda x: function(x, out=np.zeros(())), np.ones(3))
