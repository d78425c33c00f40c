"""Checking gradients by differences: right models pass, wrong ones are told where."""

import numpy as np
import pytest

from genparams import (
    bernoulli,
    dirichlet,
    gen,
    hidden_markov,
    init_param,
    linear_gaussian,
    normal,
    param,
    poisson,
    positive,
    product,
)
from genparams.dsl.check import check_gradients
from genparams.dsl.custom import custom_gradient
from genparams.errors import UninitializedParameter, UnusedConstraint, WrongGradient


@gen(arg_grads=("x",))
def model(x, n=2):
    w = normal(param("w", [0.5, -1.0, 2.0]), param("std", 1.5, positive)) @ "w"
    k = poisson(2.0) @ "k"
    y = normal(x * w[0], 1.0, size=(n, 2)) @ ("deep", "y")
    return {"sum": np.sum(y) * x, "parts": (w, k, "text"), "flag": bernoulli(0.5) @ "b"}


def broken(factor):
    """The identity, with a gradient that is wrong by a factor."""
    return custom_gradient(lambda x: x, lambda inputs, r, g: (factor * g,))


def test_a_right_model_passes_and_every_entry_is_counted():
    check = check_gradients(model, (0.7,))
    assert check.error < 1e-6
    assert check.entries == 3 + 1 + 1 + 3 + 4
    assert check.error == pytest.approx(
        abs(check.given - check.difference) / max(1.0, abs(check.given), abs(check.difference))
    )
    assert [type(v) for v in (check.given, check.difference, check.error)] == [float] * 3


def test_a_check_repeats_with_its_seed_and_differs_with_another():
    assert check_gradients(model, (0.7,), rng=3) == check_gradients(model, (0.7,), rng=3)
    assert check_gradients(model, (0.7,), rng=3) != check_gradients(model, (0.7,), rng=4)


def test_choices_may_be_given():
    given = {"k": 3, "w": [1.0, 2.0, 3.0], "b": True, ("deep", "y"): np.zeros((2, 2))}
    assert check_gradients(model, (0.7,), given).entries == 12
    with pytest.raises(UnusedConstraint, match="'z'"):
        check_gradients(model, (0.7,), {"z": 1.0})


WRONG = {
    "a parameter": (
        gen(lambda f: normal(param("a", 1.0) + (f(param("b", 2.0)) @ "f"), 1.0) @ "x"),
        r"by <lambda>\.b is .*, by differences .*: error .*, the worst of 3",
    ),
    "an entry of a parameter": (
        gen(lambda f: (f(param("w", [1.0, 2.0, 3.0])[1]) @ "f") + np.sum(param("w"))),
        r"by <lambda>\.w\[1\] is ",
    ),
    "a choice": (
        gen(lambda f: f(normal(0.0, 1.0) @ ("deep", "x")) @ "f"),
        r"by choice \('deep', 'x'\) is ",
    ),
    "an entry of a choice": (
        gen(lambda f: f((normal(0.0, 1.0, size=(2, 2)) @ "m")[1, 0]) @ "f"),
        r"by choice 'm'\[1, 0\] is ",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_the_worst_entry_of_a_wrong_gradient_is_named(case):
    f, message = WRONG[case]
    check_gradients(f, (broken(1.0),), rng=1)
    with pytest.raises(WrongGradient, match=message):
        check_gradients(f, (broken(3.0),), rng=1)


def test_the_place_of_an_argument_is_named():
    f = broken(2.0)

    @gen(arg_grads=("settings",))
    def model(settings):
        return settings["mu"][0] + (f(settings["mu"][1][1]) @ "f")

    settings = {"mu": [1.0, np.array([2.0, 3.0])], "unused": (4.0, None)}
    with pytest.raises(WrongGradient, match=r"argument settings\['mu'\]\[1\]\[1\].* worst of 4"):
        check_gradients(model, (settings,))


def test_an_error_within_the_tolerance_passes():
    @gen
    def f(g):
        return g(param("a", 1.0)) @ "g"

    check = check_gradients(f, (broken(1.001),), tolerance=0.1)
    assert 1e-5 < check.error < 0.01
    assert check.worst == "f.a"
    with pytest.raises(WrongGradient):
        check_gradients(f, (broken(1.001),))


def test_a_gradient_that_is_not_a_number_is_wrong():
    @gen
    def f(g):
        return g(param("a", 1.0)) @ "g"

    with pytest.raises(WrongGradient, match="is nan"):
        check_gradients(f, (broken(np.nan),))


def test_nothing_to_differentiate_by_is_said():
    check = check_gradients(gen(lambda: poisson(2.0) @ "k"))
    assert (check.entries, check.error) == (0, 0.0)
    assert check.worst == "nothing to differentiate by"


def test_points_of_a_simplex_cannot_move_entry_by_entry_and_are_left_out():
    @gen
    def f():
        p = dirichlet(param("alpha", [2.0, 3.0, 4.0], positive)) @ "p"
        return normal(p[0], 1.0) @ "x"

    assert check_gradients(f).entries == 3 + 1


def test_a_distribution_is_checked_at_its_value():
    check = check_gradients(normal, (0.0, 2.0))
    assert (check.worst, check.entries) == ("choice ()", 1)


def test_frozen_parameters_are_constants():
    @gen
    def f():
        return normal(param("a", 0.0), param("b", 1.0, positive)) @ "x"

    f.simulate()
    f.params["a"].freeze()
    assert check_gradients(f).entries == 2


def test_a_check_changes_no_parameter_and_no_accumulator():
    model.simulate((1.0,))
    before = {name: (np.copy(p.value), p.accumulated) for name, p in model.params.items()}
    model.params["std"].increment_grad(2.0)
    check_gradients(model, (0.7,))
    assert model.params["std"].grad == 2.0
    assert all(np.array_equal(model.params[n].value, v) for n, (v, _) in before.items())
    model.params["std"].zero_grad()


def test_a_parameter_without_a_value_is_told():
    @gen
    def f():
        return normal(param("a"), 1.0) @ "x"

    with pytest.raises(UninitializedParameter, match="'a'"):
        check_gradients(f)
    init_param(f, "a", 1.0)
    assert check_gradients(f).entries == 2


@pytest.mark.parametrize(
    ("parts", "entries"),
    [
        ([normal(0.1, 1.0), normal([0.0, 1.0], 1.0)], 3),
        ([normal(0.1, 1.0), dirichlet([2.0, 3.0])], 0),
        ([normal(0.1, 1.0), poisson(2.0)], 0),
    ],
    ids=["other-shapes", "bound-entries", "discrete"],
)
def test_a_product_is_checked_where_all_its_entries_can_move(parts, entries):
    @gen
    def model():
        return product(parts) @ "x"

    assert check_gradients(model).entries == entries


@pytest.mark.parametrize(
    "call",
    [
        linear_gaussian(4, transition_std=0.5, observation_std=1.0, initial_cov=1.0),
        hidden_markov([0.4, 0.6], [[0.8, 0.2], [0.3, 0.7]], normal([0.0, 1.0], 1.0), 4),
    ],
    ids=["linear_gaussian", "hidden_markov"],
)
def test_a_missing_observation_does_not_move(call):
    @gen
    def model():
        return call @ "ys"

    assert check_gradients(model, (), {"ys": [0.3, np.nan, -0.2, np.nan]}).entries == 2
