"""Constraints: bijections between natural values and unconstrained coordinates."""

import contextlib
import math
import pickle

import numpy as np
import pytest
from common import slope
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import special

from genparams import (
    ADAM,
    SGD,
    FixedStepGradientDescent,
    ParamStore,
    ParamUpdate,
    RMSProp,
    gen,
    get_param,
    interval,
    lower_cholesky,
    normal,
    ordered,
    param,
    positive,
    real,
    scale,
    set_param,
    simplex,
    unit_interval,
)
from genparams.autodiff import Tape, gradient, hessian, raw
from genparams.errors import ConstraintError, NonFiniteGradient, UpdateError

deterministic = settings(max_examples=60)
# name: the constraint, the shape of its coordinates, the shape of its values
SHAPES = {
    "real": (real, (3,), (3,)),
    "positive": (positive, (3,), (3,)),
    "positive-matrix": (positive, (2, 3), (2, 3)),
    "interval": (interval(-1.0, 3.0), (3,), (3,)),
    "unit_interval": (unit_interval, (2, 2), (2, 2)),
    "simplex": (simplex, (3,), (4,)),
    "simplex-of-two": (simplex, (1,), (2,)),
    "simplexes": (simplex, (2, 3), (2, 4)),
    "ordered": (ordered, (4,), (4,)),
    "ordered-of-one": (ordered, (1,), (1,)),
    "ordered-rows": (ordered, (2, 3), (2, 3)),
    "lower_cholesky": (lower_cholesky, (6,), (3, 3)),
    "lower_cholesky-of-one": (lower_cholesky, (1,), (1, 1)),
    "lower_cholesky-stack": (lower_cholesky, (2, 3), (2, 2, 2)),
}
every = pytest.mark.parametrize(
    ("constraint", "shape", "natural_shape"), [pytest.param(*v, id=k) for k, v in SHAPES.items()]
)


def theta_of(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@every
@pytest.mark.parametrize("seed", range(3))
def test_coordinates_and_back_is_the_identity(constraint, shape, natural_shape, seed):
    theta = theta_of(shape, seed)
    value = constraint.natural(theta)
    assert np.shape(value) == natural_shape
    np.testing.assert_allclose(constraint.coordinates(value), theta, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(
        constraint.natural(constraint.coordinates(value)), value, rtol=1e-12, atol=1e-13
    )


@every
def test_the_gradient_of_the_natural_value_is_that_of_finite_differences(
    constraint, shape, natural_shape
):
    theta, direction = theta_of(shape), 0.3 * theta_of(shape, 1)
    w = np.cos(np.arange(math.prod(natural_shape))).reshape(natural_shape)

    def f(t):
        value = constraint.natural(t)
        return np.sum(w * value + 0.5 * value * value)

    g = gradient(f, theta)
    assert g.shape == theta.shape
    np.testing.assert_allclose(
        np.sum(g * direction), slope(lambda h: f(theta + h * direction)), rtol=1e-8, atol=1e-10
    )

    def flat(v):
        return f(np.reshape(v, shape))

    np.testing.assert_allclose(
        hessian(flat, theta.ravel()) @ direction.ravel(),
        slope(lambda h: gradient(flat, theta.ravel() + h * direction.ravel())),
        rtol=1e-7,
        atol=1e-9,
    )


@every
def test_a_constraint_leaves_its_arguments_alone(constraint, shape, natural_shape):
    theta = theta_of(shape)
    value = np.array(constraint.natural(theta))
    before = theta.copy(), value.copy()
    constraint.coordinates(value)
    np.testing.assert_array_equal(theta, before[0])
    np.testing.assert_array_equal(value, before[1])


@every
def test_a_constraint_pickles_and_has_a_name(constraint, shape, natural_shape):
    again = pickle.loads(pickle.dumps(constraint))
    assert repr(again) == repr(constraint) == constraint.name
    np.testing.assert_array_equal(
        again.natural(theta_of(shape)), constraint.natural(theta_of(shape))
    )


@every
def test_every_coordinate_moves_the_value(constraint, shape, natural_shape):
    theta = theta_of(shape)
    for place in np.ndindex(*shape):
        moved = theta.copy()
        moved[place] += 0.5
        assert np.max(np.abs(constraint.natural(moved) - constraint.natural(theta))) > 1e-3


# --- Laws over every point


numbers = st.floats(-20.0, 20.0)


@deterministic
@given(arrays(float, array_shapes(max_dims=3, max_side=4), elements=numbers))
def test_positive_values_come_back(theta):
    value = positive.natural(theta)
    assert np.all(value > 0.0)
    np.testing.assert_allclose(positive.coordinates(value), theta, atol=1e-13)


@deterministic
@given(
    st.floats(-1e3, 1e3),
    st.floats(1e-3, 1e3),
    arrays(float, array_shapes(max_dims=2, max_side=4), elements=st.floats(-8.0, 8.0)),
)
def test_values_in_an_interval_come_back(low, width, theta):
    constraint = interval(low, low + width)
    value = constraint.natural(theta)
    assert np.all((value >= low) & (value <= low + width))
    inside = (value > low) & (value < low + width)
    again = constraint.natural(constraint.coordinates(value[inside]))
    np.testing.assert_allclose(again, value[inside], rtol=1e-9, atol=1e-9 * width)


@deterministic
@given(arrays(float, array_shapes(max_dims=3, max_side=4), elements=st.floats(-15.0, 15.0)))
def test_simplexes_come_back(theta):
    value = simplex.natural(theta)
    assert np.all(value > 0.0)
    np.testing.assert_allclose(np.sum(value, axis=-1), 1.0, rtol=1e-14)
    np.testing.assert_allclose(simplex.coordinates(value), theta, atol=1e-12)


@deterministic
@given(arrays(float, array_shapes(max_dims=2, max_side=4), elements=st.floats(-5.0, 5.0)))
def test_ordered_values_come_back(theta):
    value = ordered.natural(theta)
    assert np.all(np.diff(value, axis=-1) > 0.0)
    np.testing.assert_allclose(
        ordered.natural(ordered.coordinates(value)), value, rtol=1e-12, atol=1e-12
    )


@deterministic
@given(st.integers(1, 4), st.data())
def test_cholesky_factors_come_back(d, data):
    theta = data.draw(arrays(float, d * (d + 1) // 2, elements=st.floats(-5.0, 5.0)))
    factor = lower_cholesky.natural(theta)
    assert factor.shape == (d, d)
    np.testing.assert_array_equal(factor, np.tril(factor))
    assert np.all(np.diagonal(factor) > 0.0)
    np.testing.assert_allclose(lower_cholesky.coordinates(factor), theta, atol=1e-14)


# --- The coordinates that the module promises


def test_the_coordinates_are_those_of_statistics():
    assert positive.coordinates(2.5) == pytest.approx(math.log(2.5))
    assert unit_interval.coordinates(0.3) == pytest.approx(special.logit(0.3))
    assert interval(1.0, 5.0).coordinates(2.0) == pytest.approx(special.logit(0.25))
    np.testing.assert_allclose(
        simplex.coordinates(np.array([0.2, 0.3, 0.5])), np.log([0.4, 0.6]), rtol=1e-14
    )
    np.testing.assert_allclose(
        ordered.coordinates(np.array([-1.0, 1.0, 4.0])), [-1.0, math.log(2.0), math.log(3.0)]
    )
    np.testing.assert_allclose(
        lower_cholesky.coordinates(np.array([[2.0, 0.0], [-3.0, 4.0]])),
        [math.log(2.0), -3.0, math.log(4.0)],
    )


@pytest.mark.parametrize("constraint", [positive, unit_interval, interval(-1.0, 2.0)], ids=repr)
def test_a_single_number_has_a_single_coordinate(constraint):
    theta = constraint.coordinates(0.5)
    assert np.ndim(theta) == 0
    np.testing.assert_allclose(constraint.natural(theta), 0.5, rtol=1e-14)
    g = gradient(constraint.natural, float(theta))
    np.testing.assert_allclose(g, slope(lambda h: constraint.natural(float(theta) + h)), rtol=1e-9)


def test_the_interval_from_zero_to_one_is_the_unit_interval():
    assert interval(0, 1) == unit_interval
    assert repr(interval(0, 1)) == "unit_interval"
    assert repr(interval(-1, 2)) == "interval(-1.0, 2.0)"


@pytest.mark.parametrize("theta", [-40.0, 40.0, -700.0, 700.0])
def test_far_coordinates_give_values_without_warning_or_nan(theta):
    for constraint in (positive, unit_interval, interval(-1.0, 3.0)):
        assert np.isfinite(constraint.natural(theta))
        assert np.isfinite(gradient(constraint.natural, theta))
    assert np.all(np.isfinite(simplex.natural(np.array([theta, 0.0]))))
    assert np.all(np.isfinite(gradient(lambda t: simplex.natural(t)[0], np.array([theta, 0.0]))))


def test_a_value_near_an_end_of_the_unit_interval_keeps_its_digits():
    assert unit_interval.coordinates(1e-300) == pytest.approx(math.log(1e-300), rel=1e-14)
    near = 1.0 - 2.0**-52
    assert unit_interval.natural(unit_interval.coordinates(near)) == pytest.approx(near, abs=1e-16)


def test_a_value_near_an_end_of_a_shifted_interval_keeps_its_digits():
    constraint = interval(-1.0, 3.0)
    value = -1.0 + 1e-8
    assert constraint.coordinates(value) == pytest.approx(math.log((value + 1.0) / 4.0), rel=1e-9)


# --- Refusals

REFUSED = {
    "positive-zero": (positive, 0.0, "above 0"),
    "positive-negative": (positive, np.array([1.0, -1.0]), "above 0"),
    "positive-nan": (positive, np.array([1.0, math.nan]), "above 0"),
    "positive-infinite": (positive, math.inf, "finite"),
    "interval-low": (interval(-1.0, 2.0), -1.0, "strictly between -1.0 and 2.0"),
    "interval-high": (interval(-1.0, 2.0), 2.0, "strictly between -1.0 and 2.0"),
    "interval-outside": (interval(-1.0, 2.0), np.array([0.0, 5.0]), "strictly between"),
    "interval-nan": (interval(-1.0, 2.0), math.nan, "strictly between"),
    "unit-zero": (unit_interval, 0.0, "unit_interval"),
    "unit-one": (unit_interval, 1.0, "strictly between 0.0 and 1.0"),
    "simplex-zero": (simplex, np.array([0.0, 0.4, 0.6]), "above 0"),
    "simplex-one": (simplex, np.array([1.0, 0.0]), "above 0"),
    "simplex-negative": (simplex, np.array([-0.2, 0.6, 0.6]), "above 0"),
    "simplex-sum": (simplex, np.array([0.5, 0.6]), "sum to 1"),
    "simplex-row": (simplex, np.array([[0.5, 0.5], [0.5, 0.6]]), "sum to 1"),
    "simplex-nan": (simplex, np.array([math.nan, 0.5]), "above 0"),
    "simplex-number": (simplex, 1.0, "at least two entries"),
    "simplex-of-one": (simplex, np.array([1.0]), "at least two entries"),
    "ordered-tie": (ordered, np.array([1.0, 1.0, 2.0]), "above the one before it"),
    "ordered-falling": (ordered, np.array([1.0, 0.5]), "above the one before it"),
    "ordered-number": (ordered, 1.0, "array"),
    "ordered-infinite": (ordered, np.array([1.0, math.inf]), "finite"),
    "ordered-nan": (ordered, np.array([1.0, math.nan]), "finite"),
    "cholesky-upper": (lower_cholesky, np.array([[1.0, 0.5], [0.0, 1.0]]), "lower triangular"),
    "cholesky-zero": (lower_cholesky, np.array([[1.0, 0.0], [0.5, 0.0]]), "positive diagonal"),
    "cholesky-negative": (lower_cholesky, np.array([[1.0, 0.0], [0.5, -1.0]]), "positive diagonal"),
    "cholesky-wide": (lower_cholesky, np.ones((2, 3)), "square"),
    "cholesky-vector": (lower_cholesky, np.ones(3), "square"),
    "cholesky-number": (lower_cholesky, 1.0, "square"),
    "cholesky-nan": (lower_cholesky, np.array([[1.0, 0.0], [math.nan, 1.0]]), "lower triangular"),
    "cholesky-infinite": (
        lower_cholesky,
        np.array([[math.inf, 0.0], [0.0, 1.0]]),
        "lower triangular",
    ),
}


@pytest.mark.parametrize(
    ("constraint", "value", "message"), [pytest.param(*v, id=k) for k, v in REFUSED.items()]
)
def test_a_value_on_or_over_the_boundary_is_refused(constraint, value, message):
    with pytest.raises(ConstraintError, match=message) as caught:
        constraint.coordinates(value)
    assert constraint.name in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("low", "high"),
    [(1.0, 1.0), (2.0, 1.0), (0.0, math.inf), (-math.inf, 0.0), (math.nan, 1.0)],
)
def test_an_interval_needs_two_finite_bounds_in_order(low, high):
    with pytest.raises(ConstraintError, match="two finite bounds, low < high"):
        interval(low, high)


# --- Inside to the last bit

LEAST = {np.float32: 1.4e-45, np.float64: 5e-324}
BOUNDED = {
    **{k: (c, shape) for k, (c, shape, _) in SHAPES.items() if k != "real"},
    "real": (real, (3,)),
    "positive-number": (positive, ()),
    "unit_interval-number": (unit_interval, ()),
    "interval-number": (interval(-1.0, 3.0), ()),
    "interval-far": (interval(1e6, 1e6 + 1.0), (3,)),
    "interval-narrow": (interval(0.1, 0.1 + 1e-6), ()),
    "interval-wide": (interval(-1.7e308, 1.7e308), (2,)),
    "interval-wide-number": (interval(-1.7e308, 1.7e308), ()),
    "interval-below-0": (interval(-3.0, -1e-30), (2,)),
}
EXTREMES = [0.0, *(s * x for x in (1e-300, 1.0, 17.0, 40.0, 100.0, 746.0, 1e3) for s in (1, -1))]
EXTREMES += [-1e30, 1e30, -1e308, 1e308]
extremes = st.one_of(st.sampled_from(EXTREMES), st.floats(-1e3, 1e3), st.floats(-40.0, 40.0))
bounded = pytest.mark.parametrize(
    ("constraint", "shape"), [pytest.param(*v, id=k) for k, v in BOUNDED.items()]
)
precisions = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["double", "single"])


def is_strictly_inside(constraint, value, dtype):
    """Said once more, by itself."""
    x = np.asarray(value, dtype)
    if constraint is positive:
        return np.all((x > 0) & np.isfinite(x))
    if isinstance(constraint, type(unit_interval)):
        exact = x.astype(float)
        return np.all((constraint.low < exact) & (exact < constraint.high))
    if constraint is simplex:
        near = np.abs(np.sum(x, axis=-1) - 1.0) <= (1e-6 if dtype is np.float32 else 1e-14)
        return np.all(x > 0) and np.all(near)
    if constraint is ordered:
        return np.all(np.isfinite(x)) and np.all(x[..., 1:] > x[..., :-1])
    if constraint is lower_cholesky:
        diagonal = np.diagonal(x, axis1=-2, axis2=-1)
        return np.all(diagonal > 0) and np.all(np.isfinite(x)) and np.all(np.tril(x) == x)
    return np.all(np.isfinite(x))


def start(constraint, shape, dtype):
    """A parameter at coordinates 0, or None if no number of this type is inside."""
    theta = ParamStore()
    if dtype is np.float32 and scale_of(constraint, 0.0) > 1e300:
        with pytest.raises(ConstraintError, match=r"bounds .* are beyond single precision"):
            theta.init("a", np.zeros(shape, dtype)[()], constraint)
        return None
    begin = np.asarray(constraint.natural(np.zeros(shape, dtype)), dtype)
    return theta.init("a", begin[()], constraint)


def scale_of(constraint, value):
    """The size of the numbers that are rounded on the way to a value."""
    bounds = getattr(constraint, "low", 0.0), getattr(constraint, "high", 0.0)
    return max(np.max(np.abs(value), initial=0.0), *map(abs, bounds))


def moved_by(p, direction):
    """Step a parameter; whether it moved: a step that overflows is refused and changes nothing."""
    before = p.coordinates, p.value
    try:
        ParamUpdate(scale(1.0), p.store).apply(grads={"a": direction})
    except (UpdateError, NonFiniteGradient):
        np.testing.assert_array_equal(p.coordinates, before[0])
        np.testing.assert_array_equal(p.value, before[1])
        return False
    return True


@bounded
@precisions
@settings(max_examples=40)
@given(data=st.data())
def test_a_step_however_far_ends_strictly_inside_and_what_is_read_can_be_set(
    constraint, shape, dtype, data
):
    p = start(constraint, shape, dtype)
    if p is None:
        return
    limit = 3e38 if dtype is np.float32 else 1e308
    elements = extremes.filter(lambda x: abs(x) <= limit)
    for _ in range(2):
        moved_by(p, data.draw(arrays(dtype, shape, elements=elements))[()])
        value = get_param(p.store, "a")
        assert is_strictly_inside(constraint, value, dtype)
        assert np.asarray(p.coordinates).dtype == np.asarray(p.value).dtype
        set_param(p.store, "a", value)
        again = get_param(p.store, "a")
        np.testing.assert_array_equal(again, value)
        assert np.all(np.isfinite(p.coordinates))
        assert moved_by(p, np.zeros(shape, dtype)[()])
        assert is_strictly_inside(constraint, p.value, dtype)
        size = scale_of(constraint, value)
        tolerance = 2e-4 if dtype is np.float32 else 1e-11
        np.testing.assert_allclose(p.value, value, rtol=tolerance, atol=tolerance * size)


RULES = [ADAM(1.0), ADAM(100.0), SGD(50.0), RMSProp(10.0), FixedStepGradientDescent(300.0)]


@bounded
@precisions
@settings(max_examples=15)
@given(rule=st.sampled_from(RULES), seed=st.integers(0, 1000), data=st.data())
def test_random_steps_by_random_rules_stay_strictly_inside(
    constraint, shape, dtype, rule, seed, data
):
    p = start(constraint, shape, dtype)
    if p is None:
        return
    update, rng = ParamUpdate(rule, p.store), np.random.default_rng(seed)
    drift = rng.choice([-3.0, 0.0, 3.0], size=shape)
    for _ in range(8):
        with contextlib.suppress(UpdateError):  # an overflow
            update.apply(grads={"a": (rng.standard_normal(shape) + drift)[()]})
        assert is_strictly_inside(constraint, p.value, dtype)
        p.set(p.value)


@bounded
@precisions
@settings(max_examples=30)
@given(data=st.data())
def test_a_traced_value_is_the_plain_one_and_has_the_derivative_of_the_formula(
    constraint, shape, dtype, data
):
    if start(constraint, shape, dtype) is None:
        return
    elements = st.sampled_from([-800.0, -90.0, -40.0, 20.0, 45.0])
    theta = data.draw(arrays(dtype, shape, elements=st.floats(-30.0, 30.0, width=32) | elements))
    theta = float(theta) if not shape and dtype is np.float64 else theta[()]
    with np.errstate(over="ignore"):
        plain = np.asarray(constraint.natural(theta))
    if not np.all(np.isfinite(plain)):
        return
    tape = Tape()
    leaf = tape.leaf(theta)
    with np.errstate(over="ignore"):
        traced = constraint.natural(leaf)
    tolerance = 1e-6 if dtype is np.float32 else 1e-14
    size = scale_of(constraint, plain)
    np.testing.assert_allclose(raw(traced), plain, rtol=tolerance, atol=tolerance * size + 2e-45)
    if shape:
        assert raw(traced).dtype == plain.dtype == dtype
        assert is_strictly_inside(constraint, raw(traced), dtype)
    w = np.cos(np.arange(plain.size)).reshape(plain.shape)
    if dtype is np.float64 and np.max(np.abs(theta), initial=0.0) < 15.0:
        direction = np.random.default_rng(0).normal(size=shape)
        w = w / max(size, 1.0)
        (g,) = tape.gradients([(traced, w[()])], [leaf])
        expected = slope(lambda h: np.sum(w * constraint.natural(theta + h * direction)))
        np.testing.assert_allclose(np.sum(g * direction), expected, rtol=1e-6, atol=1e-9)


@bounded
@precisions
@pytest.mark.parametrize("far", [-1e3, -90.0, -50.0, 40.0, 1e3])
def test_a_model_sees_the_same_value_in_a_run_and_in_its_replay(constraint, shape, dtype, far):
    p = start(constraint, shape, dtype)
    if p is None:
        return
    direction = np.zeros(shape, dtype)
    direction[(0,) * len(shape)] = far
    moved_by(p, direction[()])
    if dtype is np.float64 or not shape:
        p.set(p.value)  # natural(theta) may now differ from the value by rounding
    seen = []

    @gen
    def reads():
        value = param("a")
        seen.append(np.array(raw(value)))
        return normal(np.sum(0.0 * value), 1.0) @ "y"

    f = reads.with_params(p.store)
    trace, _ = f.generate((), {"y": 0.0})
    trace.accumulate_param_gradients()
    first, last = seen[0], seen[-1]
    np.testing.assert_array_equal(first, last)
    np.testing.assert_array_equal(last, p.value)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_values_next_to_a_bound_have_finite_coordinates_and_come_back(dtype):
    tiny, one, top = dtype(LEAST[dtype]), dtype(1.0), np.finfo(dtype).max
    below_1 = np.nextafter(one, dtype(0.0))
    rows = [
        (positive, [tiny, top]),
        (unit_interval, [tiny, below_1]),
        (interval(-1.0, 3.0), [np.nextafter(dtype(-1), one), np.nextafter(dtype(3), one)]),
        (simplex, [tiny, one]),
        (simplex, [one, tiny]),
        (ordered, [one, np.nextafter(one, top), top]),
        (ordered, [-tiny, 0.0, tiny]),
        (lower_cholesky, [[tiny, 0.0], [top, top]]),
    ]
    for constraint, value in rows:
        value = np.array(value, dtype)
        theta = constraint.coordinates(value)
        assert np.all(np.isfinite(theta)), constraint
        assert theta.dtype == dtype
        back = constraint.natural(theta)
        assert back.dtype == dtype
        assert is_strictly_inside(constraint, back, dtype), constraint
        np.testing.assert_allclose(back, value, rtol=1e-4 if dtype is np.float32 else 1e-12)


def test_an_interval_without_a_number_inside_is_refused():
    with pytest.raises(ConstraintError, match="no number lies between"):
        interval(1.0, math.nextafter(1.0, 2.0))
    single = np.float32(0.5)
    with pytest.raises(ConstraintError, match="strictly between"):
        interval(0.5, 0.5 + 1e-12).coordinates(single)


def test_neighbours_too_far_apart_for_their_distance_are_refused():
    with pytest.raises(ConstraintError, match="the distance of two neighbours overflows"):
        ordered.coordinates(np.array([-1.5e308, 1.5e308]))
