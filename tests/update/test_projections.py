"""Projections: known points, the laws of a nearest point, and scipy's general solver."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import minimize

from genparams.errors import InvalidValue, ShapeError
from genparams.update.projections import (
    project_ball,
    project_box,
    project_monotonic,
    project_monotonic_approximately,
    project_simplex,
)

deterministic = settings(max_examples=60)
LOW, HIGH = np.array([-1.0, 0.0, 0.5, 2.0, -np.inf]), np.array([1.0, 0.0, 3.0, np.inf, -1.0])
CENTER = np.array([1.0, 0.0, 0.0, -2.0, 0.5])
RISING = np.array([-1.0, 0.5, 0.5, 2.0, 3.0])

# the projection of five numbers; constraints as functions that must be at least 0, and must be 0
PROJECTIONS = {
    "box": (lambda x: project_box(x, LOW, HIGH), None, None),  # the solver takes its bounds
    "ball": (
        lambda x: project_ball(x, 1.5, CENTER),
        lambda y: 1.5**2 - np.sum((y - CENTER) ** 2),
        None,
    ),
    "simplex": (lambda x: project_simplex(x, total=2.0), lambda y: y, lambda y: np.sum(y) - 2.0),
    "monotonic": (project_monotonic, np.diff, None),
    "monotonic with a margin": (
        lambda x: project_monotonic(x, 0.3),
        lambda y: np.diff(y) - 0.3,
        None,
    ),
    "monotonic with a negative margin": (
        lambda x: project_monotonic(x, -0.2),
        lambda y: np.diff(y) + 0.2,
        None,
    ),
}
FUNCTIONS = {
    "box": lambda x: project_box(x, -1.0, 1.0),
    "ball": lambda x: project_ball(x, 1.0),
    "simplex": project_simplex,
    "monotonic": lambda x: project_monotonic(x, 0.5),
    "monotonic, approximately": lambda x: project_monotonic_approximately(x, 0.5),
}
fives = arrays(np.float64, 5, elements=st.floats(-5.0, 5.0))
each_projection = pytest.mark.parametrize("name", PROJECTIONS)
each_function = pytest.mark.parametrize("project", FUNCTIONS.values(), ids=FUNCTIONS)


def lacks(name, y):
    """By how much y fails to lie in the set."""
    _, least, zero = PROJECTIONS[name]
    if name == "box":
        return max(np.max(LOW - y), np.max(y - HIGH), 0.0)
    return max(-np.min(least(y)), 0.0 if zero is None else abs(zero(y)), 0.0)


# --- The laws of a nearest point


@each_projection
@deterministic
@given(x=fives)
def test_a_projection_lies_in_the_set(name, x):
    assert lacks(name, PROJECTIONS[name][0](x)) < 1e-12


@each_projection
@deterministic
@given(x=fives)
def test_a_projection_is_its_own_projection(name, x):
    project = PROJECTIONS[name][0]
    y = project(x)
    np.testing.assert_allclose(project(y), y, rtol=0.0, atol=1e-14)


@each_projection
@deterministic
@given(x=fives, other=fives)
def test_no_point_of_the_set_lies_ahead(name, x, other):
    """<x - P(x), y - P(x)> <= 0 for every y of the set: with convexity, P(x) is the nearest."""
    project = PROJECTIONS[name][0]
    near, y = project(x), project(other)  # onto the set, so that y may be any point of it
    assert np.dot(x - near, y - near) < 1e-11


@each_projection
@deterministic
@given(x=fives, other=fives)
def test_a_projection_brings_points_no_further_apart(name, x, other):
    project = PROJECTIONS[name][0]
    assert np.linalg.norm(project(x) - project(other)) <= np.linalg.norm(x - other) + 1e-12


@each_projection
@pytest.mark.parametrize("seed", range(5))
def test_a_projection_is_what_a_general_solver_finds(name, seed):
    project, least, zero = PROJECTIONS[name]
    x = np.random.default_rng(seed).normal(scale=2.0, size=5)
    constraints = [
        {"type": kind, "fun": function}
        for kind, function in (("ineq", least), ("eq", zero))
        if function is not None
    ]
    found = minimize(
        lambda y: np.sum((y - x) ** 2),
        project(np.zeros(5)),
        jac=lambda y: 2.0 * (y - x),
        bounds=list(zip(LOW, HIGH, strict=True)) if name == "box" else None,
        constraints=constraints,
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    np.testing.assert_allclose(project(x), found.x, atol=1e-6)


# --- Known points

KNOWN = {
    "a box": (project_box([-3.0, 0.5, 9.0], 0.0, 1.0), [0.0, 0.5, 1.0]),
    "half a line": (project_box([-3.0, 9.0], 0.0, np.inf), [0.0, 9.0]),
    "a box for each entry": (project_box([[5.0, 5.0]] * 2, 0.0, [[1.0], [2.0]]), [[1, 1], [2, 2]]),
    "a ball": (project_ball([3.0, 4.0], 1.0), [0.6, 0.8]),
    "a ball of all entries": (project_ball([[3.0, 0.0], [0.0, 4.0]], 1.0), [[0.6, 0], [0, 0.8]]),
    "a ball elsewhere": (project_ball([4.0, 6.0], 2.5, [1.0, 2.0]), [2.5, 4.0]),
    "within the ball": (project_ball([0.1, 0.2], 1.0), [0.1, 0.2]),
    "the middle of the ball": (project_ball([0.0, 0.0], 1.0), [0.0, 0.0]),
    "a ball and huge numbers": (project_ball([3e200, 4e200], 10.0), [6.0, 8.0]),
    "a ball and tiny numbers": (project_ball([3e-200, 4e-200], 1e-200), [6e-201, 8e-201]),
    "a simplex": (project_simplex([0.5, 0.8, -3.0]), [0.35, 0.65, 0.0]),
    "a corner": (project_simplex([5.0, 1.0, 0.0]), [1.0, 0.0, 0.0]),
    "the middle of a simplex": (project_simplex([7.0, 7.0, 7.0, 7.0]), [0.25] * 4),
    "a simplex of one": (project_simplex([-9.0]), [1.0]),
    "a simplex of 3": (project_simplex([1.0, 1.0], total=3.0), [1.5, 1.5]),
    "a simplex far away": (project_simplex([1e15, 1e15, 0.0]), [0.5, 0.5, 0.0]),
    "two fall": (project_monotonic([2.0, 1.0]), [1.5, 1.5]),
    "a pool": (project_monotonic([1.0, 4.0, 3.0, 2.0, 9.0]), [1.0, 3.0, 3.0, 3.0, 9.0]),
    "two too close": (project_monotonic([1.0, 1.0], 0.1), [0.95, 1.05]),
    "the others follow": (
        project_monotonic([5.0, 0.0, 0.0, 0.0, 0.0, 0.0, 9.0], 0.1),
        [3.5 / 6 + 0.1 * i for i in range(6)] + [9.0],  # the mean of 5 - 0.1 (0 + ... + 5)
    ),
    # the inputs and outputs of GoMLX's own test
    "GoMLX, inside": (
        project_monotonic_approximately([0.0, 1.0, 1.0, 2.0], 0.1),
        [0.0, 0.95, 1.05, 2.0],
    ),
    "GoMLX, two": (project_monotonic_approximately([1.0, 1.0], 0.1), [0.95, 1.05]),
    "GoMLX, three": (project_monotonic_approximately([1.0, 1.0, 1.0], 0.1), [0.9, 1.0, 1.1]),
    "GoMLX, by columns": (
        project_monotonic_approximately([[0.0], [1.1], [0.9], [2.0]], 0.1, axis=0),
        [[0.0], [0.95], [1.05], [2.0]],
    ),
    # right pass 5, 5.1, ..., 14.2; left pass -0.5, -0.4, ..., 0, 9
    "GoMLX, far": (
        project_monotonic_approximately([5.0, 0.0, 0.0, 0.0, 0.0, 0.0, 9.0], 0.1),
        [2.25, 2.35, 2.45, 2.55, 2.65, 2.75, 11.6],
    ),
}


@pytest.mark.parametrize(("found", "expected"), KNOWN.values(), ids=KNOWN)
def test_known_points(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-15)


# --- GoMLX's stand-in


def gomlx_pass(x, margin):
    """The right pass, one number at a time: the differences it leaves."""
    d = [b - a for a, b in pairwise(x)]
    for _ in range(3 if len(d) > 1 else 0):
        debts = [min(v - margin, 0.0) for v in d]
        d = [v - debt for v, debt in zip(d, debts, strict=True)]
        d = [d[0]] + [v + debt for v, debt in zip(d[1:], debts, strict=False)]
    return [max(v, margin) for v in d]


def gomlx(x, margin):
    right = [x[0]]
    for v in gomlx_pass(x, margin):
        right.append(right[-1] + v)
    left = [x[-1]]
    for v in gomlx_pass([-v for v in x[::-1]], margin):
        left.append(left[-1] - v)
    return [(a + b) / 2 for a, b in zip(right, left[::-1], strict=True)]


@deterministic
@given(st.lists(st.floats(-5.0, 5.0), min_size=2, max_size=9), st.floats(-0.5, 0.5))
def test_the_stand_in_is_that_written_one_number_at_a_time(x, margin):
    np.testing.assert_allclose(
        project_monotonic_approximately(x, margin), gomlx(x, margin), atol=1e-12
    )


@deterministic
@given(st.lists(st.floats(-5.0, 5.0), min_size=2, max_size=9), st.floats(-0.5, 0.5))
def test_the_stand_in_is_a_sequence_as_asked_and_no_nearer_than_the_nearest(x, margin):
    y = project_monotonic_approximately(x, margin)
    assert np.all(np.diff(y) >= margin - 1e-12)
    nearest = project_monotonic(x, margin)
    assert np.sum((y - x) ** 2) >= np.sum((nearest - x) ** 2) - 1e-11


# --- What every function keeps


@pytest.mark.parametrize(
    ("project", "x"),
    [
        (lambda x: project_box(x, -1.0, np.inf), RISING),
        (lambda x: project_ball(x, 4.0), RISING),
        (project_monotonic, RISING),
        (lambda x: project_monotonic(x, -0.1), RISING + 1e-17),
        (project_monotonic_approximately, RISING),
        (project_simplex, np.array([0.5, 0.25, 0.25])),
    ],
)
def test_a_point_of_the_set_comes_back_as_a_new_array(project, x):
    y = project(x)
    np.testing.assert_array_equal(y, x)
    assert not np.shares_memory(y, x)


@each_function
def test_the_input_is_left_alone(project):
    x = np.array([[3.0, -1.0, 2.0], [5.0, 5.0, 5.0]])
    x.flags.writeable = False
    project(x)


@each_function
def test_the_result_can_be_written_to(project):
    assert project(np.arange(6.0).reshape(2, 3)).flags.writeable


@each_function
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_kind_of_float_and_the_shape_stay(project, kind):
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(kind)
    y = project(x)
    assert y.dtype == kind
    assert y.shape == x.shape
    np.testing.assert_allclose(y, project(x.astype(float)), rtol=1e-6, atol=1e-6)


@each_function
def test_whole_numbers_become_floats(project):
    x = np.array([3, 1, 2])
    assert project(x).dtype == np.float64
    np.testing.assert_array_equal(project(x), project(x.astype(float)))
    np.testing.assert_array_equal(project([3, 1, 2]), project(x))


@each_function
def test_an_array_without_entries_stays_so(project):
    assert project(np.zeros((0, 3))).shape == (0, 3)


@pytest.mark.parametrize(
    "project", [project_simplex, project_monotonic, project_monotonic_approximately]
)
@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_every_slice_along_an_axis_is_projected_alone(project, axis):
    x = np.random.default_rng(1).normal(size=(3, 4, 2))
    np.testing.assert_allclose(
        project(x, axis=axis), np.apply_along_axis(project, axis, x), rtol=1e-13, atol=1e-15
    )


def test_a_box_and_a_ball_take_a_single_number():
    assert project_box(3.0, 0, 1) == 1.0
    assert project_ball(-3.0, 1.0, 1.0) == 0.0
    assert type(project_box(3, 0.0, 1.0)) is type(project_ball(3.0, 1.0)) is float
    assert project_ball(np.array(3.0), 1.0).shape == project_box(np.array(3.0), 0, 1).shape == ()


def test_a_box_and_a_ball_take_an_empty_array():
    assert project_box(np.zeros(0), 0.0, 1.0).shape == project_ball(np.zeros(0), 1.0).shape == (0,)


# --- What is refused

NAN = np.array([1.0, np.nan])
REFUSED = {
    "crossed bounds": (
        lambda: project_box([0.0, 0.0], [0.0, 2.0], 1.0),
        InvalidValue,
        r"low must be at most high, got low = 2.0 and high = 1.0 at \(1,\); write low=-inf",
    ),
    "crossed bounds of a number": (
        lambda: project_box(0.0, 2.0, 1.0),
        InvalidValue,
        "got low = 2.0 and high = 1.0; write",
    ),
    "a bound of NaN": (lambda: project_box(0.0, np.nan, 1.0), InvalidValue, "got low = nan"),
    "no number between": (lambda: project_box(0.0, np.inf, np.inf), InvalidValue, "low = inf"),
    "bounds of another shape": (
        lambda: project_box([0.0, 0.0], [0.0] * 3, 1.0),
        ShapeError,
        r"low of shape \(3,\) does not broadcast to x's shape \(2,\)",
    ),
    "bounds larger than x": (lambda: project_box(0.0, [0.0], 1.0), ShapeError, "does not broad"),
    "radius 0": (
        lambda: project_ball([1.0], 0.0),
        InvalidValue,
        "project_ball: radius must be above 0 and finite, got 0.0",
    ),
    "radius NaN": (lambda: project_ball([1.0], np.nan), InvalidValue, "radius must be"),
    "center of another shape": (
        lambda: project_ball([1.0], 1.0, [1.0, 2.0]),
        ShapeError,
        r"center of shape \(2,\) does not broadcast",
    ),
    "center NaN": (lambda: project_ball([1.0], 1.0, np.nan), InvalidValue, "center must be finite"),
    "total 0": (lambda: project_simplex([1.0], total=0.0), InvalidValue, "total must be above 0"),
    "no entries": (
        lambda: project_simplex(np.zeros((2, 0))),
        ShapeError,
        r"axis -1 must hold at least 1 point, got 0 in shape \(2, 0\)",
    ),
    "one point": (
        lambda: project_monotonic([1.0]),
        ShapeError,
        r"project_monotonic: axis -1 must hold at least 2 points, got 1 in shape \(1,\)",
    ),
    "one point, approximately": (
        lambda: project_monotonic_approximately(np.zeros((1, 3)), 0.1, axis=0),
        ShapeError,
        r"axis 0 must hold at least 2 points, got 1",
    ),
    "an axis too far": (
        lambda: project_monotonic(np.zeros((2, 3)), axis=2),
        ShapeError,
        r"axis 2 is out of range for an array of shape \(2, 3\); give one from -2 to 1",
    ),
    "no axis": (lambda: project_simplex(1.0), ShapeError, "a single number has no axis -1"),
    "an endless margin": (
        lambda: project_monotonic([1.0, 2.0], np.inf),
        InvalidValue,
        "margin must be a finite number",
    ),
    "words": (lambda: project_simplex(["a", "b"]), InvalidValue, "x must be real numbers, got"),
    "complex": (lambda: project_ball([1j], 1.0), InvalidValue, "x must be real numbers"),
}


@pytest.mark.parametrize(("call", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_what_has_no_answer_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


@each_function
@pytest.mark.parametrize("x", [[1.0, np.nan], [1.0, np.inf], [1.0, -np.inf]], ids=str)
def test_what_is_not_finite_is_refused_with_its_place(project, x):
    with pytest.raises(InvalidValue, match=r"x must be finite, got -?(nan|inf) at \(1,\); it has"):
        project(np.array(x))
