"""The functions on a generative function's parameters, by name."""

import numpy as np
import pytest

from genparams import (
    gen,
    get_param,
    get_param_grad,
    increment_param_grad,
    init_param,
    normal,
    param,
    positive,
    set_param,
    set_param_grad,
    simplex,
    zero_param_grad,
)
from genparams.errors import (
    ConstraintError,
    DistributionError,
    InvalidValue,
    ShapeError,
    UnknownParameter,
)


@pytest.fixture
def f():
    @gen
    def f():
        return normal(param("w"), param("s")) @ "x"

    init_param(f, "w", [1.0, 2.0])
    init_param(f, "s", 2.0, constraint=positive)
    return f


def test_init_param_gives_a_value_and_empties_the_accumulator(f):
    set_param_grad(f, "w", [1.0, 1.0])
    init_param(f, "w", [3, 4, 5])
    assert get_param(f, "w").tolist() == [3.0, 4.0, 5.0]
    assert get_param_grad(f, "w").tolist() == [0.0, 0.0, 0.0]


def test_set_param_replaces_the_value_and_leaves_the_accumulator(f):
    set_param_grad(f, "w", [1.0, 2.0])
    set_param(f, "w", [3, 4])
    assert get_param(f, "w").tolist() == [3.0, 4.0]
    assert get_param_grad(f, "w").tolist() == [1.0, 2.0]


def test_set_param_grad_overwrites_and_increment_param_grad_adds(f):
    set_param_grad(f, "w", [1.0, 2.0])
    increment_param_grad(f, "w", [1.0, 1.0])
    increment_param_grad(f, "w", [2, 4], scale=0.5)
    assert get_param_grad(f, "w").tolist() == [3.0, 5.0]
    set_param_grad(f, "w", [0.5, 0.5])
    assert get_param_grad(f, "w").tolist() == [0.5, 0.5]


def test_zero_param_grad_empties_the_accumulator_and_leaves_the_value(f):
    set_param_grad(f, "s", 4.0)
    zero_param_grad(f, "s")
    assert get_param_grad(f, "s") == 0.0
    assert get_param(f, "s") == 2.0
    assert not f.params["s"].accumulated


def test_a_scalar_comes_out_as_a_float_and_an_array_as_a_copy(f):
    assert type(get_param(f, "s")) is float
    assert type(get_param_grad(f, "s")) is float
    get_param(f, "w")[0] = 100.0
    get_param_grad(f, "w")[0] = 100.0
    assert get_param(f, "w").tolist() == [1.0, 2.0]
    assert get_param_grad(f, "w").tolist() == [0.0, 0.0]


def test_values_are_natural_and_gradients_of_the_coordinates(f):
    init_param(f, "p", [0.5, 0.25, 0.25], constraint=simplex)
    np.testing.assert_allclose(get_param(f, "p"), [0.5, 0.25, 0.25], rtol=1e-15)
    assert get_param_grad(f, "p").shape == (2,)
    set_param(f, "p", [0.2, 0.2, 0.6])
    np.testing.assert_allclose(get_param(f, "p"), [0.2, 0.2, 0.6], rtol=1e-15)


@pytest.mark.parametrize(
    "use",
    [
        lambda f: get_param(f, "ww"),
        lambda f: set_param(f, "ww", 1.0),
        lambda f: get_param_grad(f, "ww"),
        lambda f: set_param_grad(f, "ww", 1.0),
        lambda f: zero_param_grad(f, "ww"),
        lambda f: increment_param_grad(f, "ww", 1.0),
    ],
)
def test_an_unknown_name_is_an_error_that_gives_the_nearest(f, use):
    with pytest.raises(UnknownParameter, match="f has no parameter 'ww'; did you mean w"):
        use(f)
    assert sorted(f.params) == ["s", "w"]


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda f: set_param(f, "w", 1.0), ShapeError, r"'w' has shape \(2,\), got \(\)"),
        (lambda f: set_param_grad(f, "w", 1.0), ShapeError, r"shape \(2,\), got \(\)"),
        (lambda f: increment_param_grad(f, "s", [1.0]), ShapeError, r"shape \(\).*got \(1,\)"),
        (lambda f: init_param(f, "s", 0.0, constraint=positive), ConstraintError, "not positive"),
        (lambda f: set_param(f, "s", -1.0), ConstraintError, "not positive"),
        (lambda f: init_param(f, "w", "text"), InvalidValue, "'w' must be a number"),
        (lambda f: set_param_grad(f, "w", "text"), InvalidValue, "gradient of parameter 'w'"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_and_nothing_changes(f, use, error, message):
    increment_param_grad(f, "w", [1.0, 2.0])
    with pytest.raises(error, match=message):
        use(f)
    assert get_param(f, "w").tolist() == [1.0, 2.0]
    assert get_param(f, "s") == 2.0
    assert get_param_grad(f, "w").tolist() == [1.0, 2.0]
    assert get_param_grad(f, "s") == 0.0


def test_a_parameter_initialised_with_a_whole_number_is_trained_as_a_float():
    @gen
    def g():
        return normal(param("a"), 1.0) @ "x"

    init_param(g, "a", 1)
    trace, _ = g.generate((), {"x": 1.5})
    trace.accumulate_param_gradients()
    assert get_param_grad(g, "a") == 0.5
    set_param(g, "a", 2)
    assert type(get_param(g, "a")) is float


# --- Shapes that follow an argument


def grown():
    @gen
    def f(n):
        return normal(param("a", np.zeros(n)), 1.0) @ "y"

    f.simulate((3,))
    return f


def test_a_first_value_of_another_shape_is_refused_and_changes_nothing():
    f = grown()
    set_param(f, "a", np.ones(3))
    with pytest.raises(ShapeError, match=r"'a' of f has shape \(3,\) .* shape \(4,\) here; write"):
        f.simulate((4,))
    assert get_param(f, "a").tolist() == [1.0, 1.0, 1.0]
    assert f.simulate((3,)).retval.shape == (3,)


def test_a_parameter_that_is_started_again_may_have_another_shape():
    f = grown()
    init_param(f, "a", np.zeros(4))
    assert f.simulate((4,)).retval.shape == (4,)
    assert f.simulate((3,)).retval.shape == (4,)  # the value of init_param counts


def test_a_run_that_fails_declares_no_shape():
    @gen
    def f(n):
        a = param("a", np.zeros(n))
        return normal(a, 1.0 if n == 4 else -1.0) @ "y"

    with pytest.raises(DistributionError):
        f.simulate((3,))
    assert f.simulate((4,)).retval.shape == (4,)
