"""Parameter stores: floating point values of one shape, copied in and out."""

from typing import Any

import numpy as np
import pytest

from genparams import (
    FixedStepGradientDescent,
    ParamStore,
    ParamUpdate,
    gen,
    interval,
    ordered,
    param,
    positive,
    simplex,
)
from genparams.errors import (
    ConstraintError,
    GenParamsError,
    InvalidValue,
    ShapeError,
    UninitializedParameter,
    UnknownParameter,
)
from genparams.params import lookup


def test_a_store_stands_alone_with_its_parameters_by_name():
    theta = ParamStore(W=np.ones((3, 2)), b=0.5)
    assert list(theta) == ["W", "b"]
    assert len(theta) == 2
    assert "W" in theta
    assert theta["b"].value == 0.5
    assert theta["W"].value.tolist() == [[1.0, 1.0]] * 3


@pytest.mark.parametrize("wrong", [[], (), {}, "", 0, 0.0, False, set(), np.array([1.0, 2.0])])
def test_what_is_no_constraint_is_refused_also_if_it_is_false(wrong):
    message = "the constraint of parameter 'a' is one such as positive"
    store = ParamStore(b=1.0)
    with pytest.raises(ConstraintError, match=message):
        store.init("a", -1.0, wrong)
    with pytest.raises(ConstraintError, match=message):
        gen(lambda: param("a", -1.0, constraint=wrong)).simulate(())
    assert "a" not in store


def test_a_constraint_may_be_false():
    class Empty(type(positive)):
        def __len__(self):
            return 0

    empty = Empty()
    assert ParamStore().init("a", 2.0, empty).constraint is empty


def test_a_store_is_a_mapping_for_python_too():
    theta = ParamStore(W=np.ones(2), b=0.5)
    assert dict(theta) == {"W": theta["W"], "b": theta["b"]}
    assert {**theta} == dict(theta.items())
    assert [*theta.keys()] == [*theta]


def test_a_store_of_its_own_is_trained_by_gradients_given_by_hand():
    theta = ParamStore(W=[1.0, 2.0], b=0.5)
    update = ParamUpdate(FixedStepGradientDescent(0.1), theta)
    update.apply(grads={"W": [1.0, -1.0], "b": 10.0})
    np.testing.assert_allclose(theta["W"].value, [1.1, 1.9])
    assert theta["b"].value == 1.5
    theta["b"].increment_grad(5.0)
    update.apply()
    assert theta["b"].value == 2.0


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (3, 3.0),
        (True, 1.0),
        (np.int32(3), 3.0),
        (np.float64(3.0), 3.0),
        (np.array(3), 3.0),
    ],
    ids=repr,
)
def test_one_number_is_kept_as_a_float(given, kept):
    value = ParamStore(a=given)["a"].value
    assert type(value) is float
    assert value == kept


@pytest.mark.parametrize("given", [[1, 2], (1, 2), np.array([1, 2]), [True, 2.0]], ids=repr)
def test_lists_and_whole_numbers_are_kept_as_float64(given):
    parameter = ParamStore(a=given)["a"]
    assert parameter.value.dtype == parameter.grad.dtype == np.float64
    assert parameter.value.tolist() == [1.0, 2.0]


def test_single_precision_is_kept_through_gradients_and_updates():
    theta = ParamStore(w=np.array([1.0, 2.0], dtype=np.float32))
    update = ParamUpdate(FixedStepGradientDescent(0.1), theta)
    theta["w"].increment_grad(np.array([0.1, 0.2]))
    assert theta["w"].value.dtype == theta["w"].grad.dtype == np.float32
    update.apply()
    assert theta["w"].value.dtype == theta["w"].grad.dtype == np.float32
    theta["w"].set([3.0, 4.0])
    assert theta["w"].value.dtype == np.float32


@pytest.mark.parametrize("given", ["1.0", None, [1.0, "a"], 1j, [[1.0], [1.0, 2.0]], object()])
def test_what_is_not_made_of_numbers_is_refused(given):
    theta = ParamStore(a=1.0)
    with pytest.raises(InvalidValue, match="parameter 'a' must be a number or an array of numbers"):
        theta.init("a", given)
    with pytest.raises(InvalidValue, match="parameter 'a' must be a number"):
        theta["a"].set(given)
    assert theta["a"].value == 1.0


def test_changing_what_was_given_does_not_change_the_parameter():
    given, new, grad = np.zeros(2), np.ones(2), np.ones(2)
    theta = ParamStore(w=given)
    given[0] = 9.0
    assert theta["w"].value.tolist() == [0.0, 0.0]
    theta["w"].set(new)
    new[0] = 9.0
    assert theta["w"].value.tolist() == [1.0, 1.0]
    theta["w"].set_grad(grad)
    grad[0] = 9.0
    assert theta["w"].grad.tolist() == [1.0, 1.0]
    theta["w"].zero_grad()
    theta["w"].increment_grad(grad)
    grad[0] = 0.0
    assert theta["w"].grad.tolist() == [9.0, 1.0]


def test_what_was_handed_out_cannot_change_the_parameter():
    theta = ParamStore(w=np.zeros(2))
    with pytest.raises(ValueError, match="read-only"):
        theta["w"].value[0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        theta["w"].coordinates[0] = 1.0
    theta["w"].grad[0] = 1.0
    assert theta["w"].grad.tolist() == [0.0, 0.0]
    assert theta["w"].value.tolist() == [0.0, 0.0]


def test_an_array_that_was_handed_out_does_not_follow_the_parameter():
    theta = ParamStore(w=np.zeros(2))
    before = theta["w"].value
    ParamUpdate(FixedStepGradientDescent(1.0), theta).apply(grads={"w": [1.0, 1.0]})
    theta["w"].set([5.0, 5.0])
    assert before.tolist() == [0.0, 0.0]


def test_init_starts_a_parameter_anew():
    theta = ParamStore(a=1.0)
    theta["a"].freeze()
    theta["a"].set_grad(3.0)
    theta.init("a", [1.0, 2.0], positive)
    assert theta["a"].grad.tolist() == [0.0, 0.0]
    assert not theta["a"].accumulated
    assert not theta["a"].frozen
    assert theta["a"].constraint is positive


def test_an_init_that_fails_leaves_the_old_parameter():
    theta = ParamStore(a=1.0)
    theta["a"].set_grad(3.0)
    with pytest.raises(ConstraintError, match=r"-1.* is not positive"):
        theta.init("a", -1.0, positive)
    assert (theta["a"].value, theta["a"].grad) == (1.0, 3.0)
    with pytest.raises(ConstraintError):
        theta.init("b", -1.0, positive)
    assert "b" not in theta


def test_set_keeps_the_accumulator_and_refuses_another_shape_by_name():
    theta = ParamStore(w=[1.0, 2.0])
    theta["w"].set_grad([3.0, 4.0])
    theta["w"].set([5, 6])
    assert theta["w"].value.tolist() == [5.0, 6.0]
    assert theta["w"].grad.tolist() == [3.0, 4.0]
    for wrong in (1.0, [1.0], [[1.0, 2.0]], [1.0, 2.0, 3.0]):
        with pytest.raises(ShapeError, match=r"parameter 'w' has shape \(2,\), got"):
            theta["w"].set(wrong)
    assert theta["w"].value.tolist() == [5.0, 6.0]


@pytest.mark.parametrize(
    ("constraint", "value", "outside"),
    [
        (positive, 2.0, [0.0, -1.0, np.inf, np.nan]),
        (positive, [1.0, 2.0], [[1.0, 0.0]]),
        (interval(0.0, 2.0), 0.5, [0.0, 2.0, 3.0, np.nan]),
        (simplex, [0.2, 0.8], [[0.5, 0.6], [0.0, 1.0], [np.nan, 1.0]]),
        (ordered, [0.0, 1.0], [[1.0, 1.0], [1.0, 0.0]]),
    ],
    ids=lambda v: repr(v),
)
def test_a_constrained_parameter_keeps_its_natural_value_inside(constraint, value, outside):
    theta = ParamStore()
    theta.init("a", value, constraint)
    np.testing.assert_allclose(theta["a"].value, value, rtol=1e-14)
    before = np.array(theta["a"].value)
    for wrong in outside:
        with pytest.raises(ConstraintError, match=f"is not {constraint.name.split('(')[0]}"):
            theta["a"].set(wrong)
    np.testing.assert_array_equal(theta["a"].value, before)


def test_the_gradient_has_the_shape_of_the_coordinates():
    theta = ParamStore()
    theta.init("p", [0.2, 0.3, 0.5], simplex)
    assert theta["p"].shape == theta["p"].grad.shape == (2,)
    theta["p"].set_grad([1.0, 2.0])
    with pytest.raises(ShapeError, match=r"gradient of parameter 'p' .*\(2,\).*simplex.*\(3,\)"):
        theta["p"].set_grad([1.0, 2.0, 3.0])
    assert theta["p"].grad.tolist() == [1.0, 2.0]


def test_an_update_of_a_constrained_parameter_moves_its_coordinates():
    theta = ParamStore()
    theta.init("s", 2.0, positive)
    ParamUpdate(FixedStepGradientDescent(1.0), theta).apply(grads={"s": -50.0})
    assert theta["s"].value == pytest.approx(2.0 * np.exp(-50.0), rel=1e-12)
    assert theta["s"].coordinates == pytest.approx(np.log(2.0) - 50.0)


def test_an_unknown_parameter_gives_the_nearest_name():
    theta = ParamStore(slope=1.0)
    with pytest.raises(UnknownParameter, match=r"this store has no parameter 'slop'.*slope"):
        theta["slop"]
    with pytest.raises(LookupError):
        theta["slop"]
    with pytest.raises(UninitializedParameter, match=r"theta\.init\('b', value\)"):
        lookup(theta, "b")


def test_discard_forgets_a_parameter_that_is_there_or_not():
    theta = ParamStore(a=1.0)
    theta.discard("a")
    theta.discard("a")
    assert list(theta) == []


def test_stores_are_equal_when_their_parameters_are_and_as_keys_they_are_themselves():
    assert ParamStore(a=1.0) == ParamStore(a=1.0)
    assert ParamStore(a=1.0) != ParamStore(a=2.0)
    assert ParamStore(a=1.0) != ParamStore(b=1.0)
    frozen = ParamStore(a=1.0)
    frozen["a"].freeze()
    assert frozen != ParamStore(a=1.0)
    assert len({ParamStore(), ParamStore()}) == 2


def test_a_store_shows_itself_in_a_notebook():
    store = ParamStore(a=1.0)
    store.init("b", 2.0, positive)
    html = store._repr_html_()
    assert "theta" in html
    assert "positive" in html


def test_a_store_names_the_function_that_owns_it():
    @gen
    def owner_of_a_store():
        return param("a")

    with pytest.raises(UnknownParameter, match="owner_of_a_store has no parameter 'a'"):
        owner_of_a_store.params["a"]


def test_the_text_of_a_store_shows_values_constraints_and_what_is_frozen():
    theta = ParamStore(a=1.0)
    theta.init("s", 1.0, positive)
    theta["s"].freeze()
    assert repr(theta["a"]) == "Parameter('a', 1.0)"
    assert repr(theta["s"]) == "Parameter('s', 1.0, constraint=positive, frozen)"
    assert "Parameter('a', 1.0)" in repr(theta)


def test_every_refusal_is_an_error_of_the_library():
    with pytest.raises(GenParamsError):
        ParamStore(a="text")


def test_an_update_of_a_parameter_that_is_not_finite_is_seen_as_such():
    theta = ParamStore(a=[1.0, 2.0])
    update = ParamUpdate(FixedStepGradientDescent(1e-308), theta)
    theta["a"].set_grad([1e308, 1e308])  # finite, though its sum is not
    update.apply()
    np.testing.assert_allclose(theta["a"].value, [2.0, 3.0])


def test_a_store_is_made_of_a_mapping_too():
    assert ParamStore({"a b": 1.0}, c=2.0) == ParamStore(**{"a b": 1.0, "c": 2.0})
    assert [p.value for p in ParamStore({"a b": 1.0}, c=2.0).values()] == [1.0, 2.0]
    wrong: Any = [1.0]
    with pytest.raises(InvalidValue, match=r"values by name, ParamStore\(W=\.\.\., b=\.\.\.\)"):
        ParamStore(wrong)
