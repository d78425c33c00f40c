# pyright: reportAttributeAccessIssue=false
"""Functions whose gradients the user gives, deterministic and random."""

import functools
import math
import pickle

import numpy as np
import pytest

from genparams import (
    ADAM,
    FixedStepGradientDescent,
    ParamUpdate,
    gen,
    get_param,
    init_param,
    normal,
    param,
    positive,
    set_param,
    simplex,
)
from genparams.autodiff import hessian
from genparams.dsl.check import check_gradients
from genparams.dsl.combinators import map_, unfold
from genparams.dsl.custom import custom_gradient, custom_random
from genparams.dsl.execution import natural
from genparams.dsl.interpreter import Run
from genparams.errors import (
    ArgumentError,
    DistributionError,
    GradientShapeError,
    UninitializedParameter,
    UnknownParameter,
    UnusedConstraint,
    WrongGradient,
)


def top(f):
    """A function that returns what `f` does, with the gradients by its arguments."""

    @gen(arg_grads=("args",))
    def whole(args):
        return f(*args) @ "f"

    return whole


def grads_by(f, args, g):
    return top(f).simulate((args,)).accumulate_param_gradients(g)[1][0]


# --- Deterministic functions


square = custom_gradient(lambda x: x * x, lambda inputs, r, g: (2.0 * inputs[0] * g,))
product = custom_gradient(
    lambda A, b: A @ b, lambda inputs, r, g: (np.outer(g, inputs[1]), inputs[0].T @ g)
)
A, B = np.arange(6.0).reshape(2, 3), np.array([1.0, -1.0, 2.0])


def test_a_deterministic_function_makes_no_choice_and_returns_what_it_computes():
    trace = square.simulate((3.0,))
    assert (trace.retval, len(trace.choices), trace.log_prob) == (9.0, 0, 0.0)
    assert square.generate((3.0,), {}) == (trace, 0.0)
    assert square.assess((3.0,), {}) == (0.0, 9.0)
    assert trace.project(()) == 0.0
    new, weight, discard = trace.update({}, (4.0,))
    assert (new.retval, weight, discard) == (16.0, 0.0, {})
    with pytest.raises(UnusedConstraint, match="it made no choices"):
        square.generate((3.0,), {"x": 1.0})


def test_the_gradient_by_hand_is_used():
    assert grads_by(square, (3.0,), 10.0) == (60.0,)
    by_a, by_b = grads_by(product, (A, B), np.array([1.0, 2.0]))
    np.testing.assert_array_equal(by_a, np.outer([1.0, 2.0], B))
    np.testing.assert_array_equal(by_b, A.T @ [1.0, 2.0])
    check_gradients(top(square), ((1.5,),))
    check_gradients(top(product), ((A, B),))


def test_a_wrong_gradient_is_used_as_it_is_given():
    wrong = custom_gradient(lambda x: x * x, lambda inputs, r, g: (7.0 * g,))
    assert grads_by(wrong, (3.0,), 2.0) == (14.0,)
    with pytest.raises(WrongGradient, match=r"argument args\[0\] is "):
        check_gradients(top(wrong), ((1.5,),))


def test_the_gradient_is_given_the_inputs_the_result_and_the_gradient_by_it():
    seen = []

    def gradient(inputs, r, g):
        seen.append((inputs, r, g))
        return g, g

    f = custom_gradient(lambda a, b: a + b, gradient)
    assert grads_by(f, (1.0, 2.0), 5.0) == (5.0, 5.0)
    assert seen == [((1.0, 2.0), 3.0, 5.0)]


def test_the_gradient_is_not_asked_for_where_nothing_flows():
    f = custom_gradient(lambda a: a, lambda inputs, r, g: (1 / 0,))
    trace = top(f).simulate(((1.0,),))
    assert trace.accumulate_param_gradients()[1] == ((0.0,),)
    f.simulate((1.0,)).accumulate_param_gradients(3.0)


def test_none_stands_for_no_gradient_wherever_else_the_input_goes():
    first = custom_gradient(lambda a, b: a * b, lambda inputs, r, g: (g * inputs[1], None))

    @gen(arg_grads=("x", "y"))
    def f(x, y):
        return x + (first(x, y) @ "f") + y, first(x, x) @ "twice"

    trace = f.simulate((3.0, 4.0))
    assert trace.accumulate_param_gradients((1.0, 10.0))[1] == (1.0 + 4.0 + 30.0, 1.0)
    by_a, by_b = grads_by(
        custom_gradient(lambda a, b: a, lambda inputs, r, g: (g, None)), (B, A), np.ones(3)
    )
    assert by_a.tolist() == [1.0, 1.0, 1.0]
    assert by_b.tolist() == np.zeros((2, 3)).tolist()


def test_an_input_that_is_no_number_has_none():
    f = custom_gradient(
        lambda x, mode: np.exp(x) if mode == "exp" else x,
        lambda inputs, r, g: (g * r if inputs[1] == "exp" else g, None),
    )

    @gen(arg_grads=("x",))
    def model(x, mode):
        return f(x, mode) @ "f"

    for mode, expected in (("exp", np.exp(2.0)), ("none", 1.0)):
        assert model.simulate((2.0, mode)).accumulate_param_gradients(1.0)[1][0] == expected


def test_defaults_and_keywords_work_as_in_python():
    f = custom_gradient(lambda x, k=3.0: k * x, lambda inputs, r, g: (g * inputs[1], g * inputs[0]))

    @gen(arg_grads=("x",))
    def model(x):
        return (f(x) @ "a") + (f(x, k=5.0) @ "b")

    trace = model.simulate((2.0,))
    assert trace.retval == 16.0
    assert trace.accumulate_param_gradients(1.0)[1] == (8.0,)
    assert f.simulate((2.0,)).retval == 6.0
    with pytest.raises(ArgumentError, match="unexpected keyword argument 'y'"):
        gen(lambda: f(2.0, y=1.0) @ "a").simulate()  # pyright: ignore[reportCallIssue]


def test_what_apply_takes_by_keyword_only_stays_at_its_default():
    f = custom_gradient(lambda x, *, k=2.0: k * x, lambda inputs, r, g: (2.0 * g,))
    assert f.simulate((3.0,)).retval == 6.0
    assert grads_by(f, (3.0,), 1.0) == (2.0,)
    with pytest.raises(ArgumentError, match="unexpected keyword argument 'k'"):
        gen(lambda: f(3.0, k=5.0) @ "a").simulate()
    assert custom_gradient(np.sin, lambda i, r, g: (g * np.cos(i[0]),)).simulate((0.0,)).retval == 0


def test_a_traced_number_inside_of_a_list_is_refused():
    """The gradient by hand would not be asked for."""
    f = custom_gradient(lambda xs: np.sum(xs), lambda inputs, r, g: (g * np.ones(2),))

    @gen(arg_grads=("x",))
    def model(x, pack):
        return f(pack(x)) @ "sum"

    assert model.simulate((1.0, lambda x: [x, x])).retval == 2.0
    stacked = model.simulate((1.0, lambda x: np.stack([x, x])))
    assert stacked.accumulate_param_gradients(1.0)[1] == (2.0, None)
    for pack in (lambda x: [x, x], lambda x: ([x], [x])):
        with pytest.raises(ArgumentError, match=r"input 0 of .* as one array, np.stack"):
            top(f).simulate(((pack(1.0),),)).accumulate_param_gradients(1.0)


def test_several_results_are_refused():
    f = custom_gradient(lambda x: (x, x), lambda inputs, r, g: (g,))
    with pytest.raises(ArgumentError, match="gives one number or array, got a tuple"):
        f.simulate((1.0,))


def test_a_second_derivative_is_that_of_the_gradient_by_hand():
    """Straight through a step: the function itself has no slope, and float() takes no box."""
    f = custom_gradient(lambda x: float(np.floor(x)), lambda inputs, r, g: (inputs[0] ** 2 * g,))

    def pairing(v):
        run = Run(lambda *_: None, natural)
        return run.execute(f(v[0])) * v[0]

    np.testing.assert_allclose(hessian(pairing, [1.5]), [[2 * 1.5**2 + 2 * 1.5**2]])
    np.testing.assert_allclose(
        hessian(lambda v: a_line().log_prob_of(0.3, [v[0], 0.5, 2.0]), [1.5]), [[-0.0625]]
    )


WRONG_GRADIENTS = {
    "too few": (lambda i, r, g: (g,), r"must be a tuple of 2, one for each input, got 1"),
    "too many": (lambda i, r, g: (g, g, g), r"must be a tuple of 2, one for each input, got 3"),
    "no tuple": (lambda i, r, g: g, "must be a tuple of 2"),
    "none": (lambda i, r, g: None, "must be a tuple of 2.*None"),
    "another shape": (
        lambda i, r, g: (g * np.ones(3), g * np.ones(3)),
        r"by its input 0 must have shape \(\), got \(3,\)",
    ),
    "a number for an array": (
        lambda i, r, g: (1.0, 1.0),
        r"by its input 1 must have shape \(3,\), got \(\)",
    ),
}


@pytest.mark.parametrize("case", WRONG_GRADIENTS)
def test_a_gradient_of_the_wrong_count_or_shape_is_refused_and_nothing_is_added(case):
    gradient, message = WRONG_GRADIENTS[case]

    def scaled(a, b):
        return a * b

    f = custom_gradient(scaled, gradient)

    @gen
    def model():
        normal(param("mu"), 1.0) @ "x"
        return f(param("mu"), param("w")) @ "f"

    init_param(model, "mu", 1.0)
    init_param(model, "w", B)
    trace = model.simulate()
    with pytest.raises(GradientShapeError, match=f"gradient of scaled {message}"):
        trace.accumulate_param_gradients(np.ones(3))
    assert not model.params["mu"].accumulated


def test_gradients_flow_through_it_in_the_middle_of_a_model():
    @gen
    def model(xs):
        w = param("w", [0.5, -0.3])
        hidden = square(np.exp(w)) @ "square"
        z = normal(hidden * xs, 1.0) @ "z"
        again = square(z * w) @ "again"
        return normal(np.sum(again), param("std", 2.0, positive)) @ "y"

    check = check_gradients(model, (np.array([1.0, 2.0]),), rng=1)
    assert check.entries == 2 + 1 + 2 + 1


def test_each_use_is_differentiated_at_its_own_gradient():
    @gen(arg_grads=("x",))
    def f(x):
        y = square(x) @ "once"
        return y, square(y) @ "twice", 3.0 * y

    trace = f.simulate((2.0,))
    g = (1.0, 10.0, 100.0)
    assert trace.accumulate_param_gradients(g)[1] == (4.0 * (1.0 + 10.0 * 8.0 + 300.0),)
    assert trace.accumulate_param_gradients((1.0, None, None))[1] == (4.0,)


def test_it_may_be_inlined_mapped_and_unfolded():
    @gen(arg_grads=("x",))
    def f(x):
        step = gen(lambda i, state: square.inline(state))
        a = square.inline(x)
        (b,) = map_(square)([a]) @ "map"
        return (unfold(step)(2, b) @ "unfold")[1]

    trace = f.simulate((1.1,))
    assert trace.retval == pytest.approx(1.1**16)
    assert trace.accumulate_param_gradients(1.0)[1][0] == pytest.approx(16.0 * 1.1**15)


def an_affine_map():
    def affine(x, slope, shift):
        return slope * x + shift

    def gradient(inputs, r, g):
        x, slope, _ = inputs
        return slope * g, np.sum(x * g), np.sum(g)

    f = custom_gradient(affine, gradient, params=("slope", "shift"))
    init_param(f, "slope", 2.0, positive)
    init_param(f, "shift", -1.0)
    return f


def test_parameters_of_its_own_follow_the_arguments():
    f = an_affine_map()
    trace = f.simulate((B,))
    assert trace.args == (B,)
    np.testing.assert_array_equal(trace.retval, 2.0 * B - 1.0)
    trace.accumulate_param_gradients(np.ones(3), scale=2.0)
    assert get_param(f, "shift") == -1.0
    assert f.params["shift"].grad == 6.0
    assert f.params["slope"].grad == pytest.approx(2.0 * np.sum(B) * 2.0)
    set_param(f, "slope", 3.0)
    assert trace.is_stale
    np.testing.assert_array_equal(trace.rescored().retval, 3.0 * B - 1.0)


def test_its_parameters_are_trained_like_any_others():
    f = an_affine_map()

    @gen
    def model(xs):
        return normal(f(xs) @ "mean", 1.0) @ "ys"

    check_gradients(model, (B,), rng=0)
    trace, _ = model.generate((B,), {"ys": 0.5 * B + 4.0})
    update = ParamUpdate(ADAM(0.1), model, callees=True)
    for _ in range(800):
        trace.accumulate_param_gradients()
        update.apply()
    assert get_param(f, "slope") == pytest.approx(0.5, abs=1e-4)
    assert get_param(f, "shift") == pytest.approx(4.0, abs=1e-4)


def test_a_function_with_parameters_is_known_by_its_name():
    f = an_affine_map()
    update = ParamUpdate(FixedStepGradientDescent(1.0), affine=["shift"])
    f.simulate((B,)).accumulate_param_gradients(np.ones(3))
    update.apply()
    assert get_param(f, "shift") == 2.0
    with pytest.raises(UnknownParameter, match="affine has no parameter 'shft'"):
        ParamUpdate(ADAM(), affine=["shft"])


def test_a_parameter_without_a_value_says_which_line_to_write():
    f = custom_gradient(lambda x, a: a * x, lambda i, r, g: (g, g), params=("a",))
    with pytest.raises(UninitializedParameter, match="'a'"):
        f.simulate((1.0,))


@pytest.mark.parametrize(
    "make",
    [
        lambda params: custom_gradient(lambda x: x, lambda i, r, g: (g,), params),
        lambda params: custom_random(lambda rng, x: x, lambda v, x: x, lambda v, x: (0, 0), params),
    ],
)
def test_names_of_parameters_that_do_not_fit_are_refused(make):
    with pytest.raises(ArgumentError, match=r"write \('ab',\)"):
        make("ab")
    with pytest.raises(ArgumentError, match="takes 1 inputs, fewer than the parameters"):
        make(("a", "b"))


# --- Random functions


def draw_line(rng, xs, slope, std):
    return slope * xs + std * rng.normal(size=np.shape(xs))


def line_log_prob(ys, xs, slope, std):
    z = (ys - slope * xs) / std
    return float(np.sum(-0.5 * z * z - np.log(std) - 0.5 * np.log(2.0 * np.pi)))


def line_gradients(ys, xs, slope, std):
    z = (ys - slope * xs) / std
    return -z / std, slope * z / std, np.sum(z * xs) / std, np.sum(z * z - 1.0) / std


def a_line():
    f = custom_random(
        draw_line, line_log_prob, line_gradients, ("slope", "std"), name="line_by_hand"
    )
    init_param(f, "slope", 0.5)
    init_param(f, "std", 2.0, positive)
    return f


@gen
def line(xs):
    return normal(param("slope", 0.5) * xs, param("std", 2.0, positive)) @ "ys"


YS = np.array([0.5, 0.0, 3.0])


def test_a_random_function_by_hand_executes_as_one_of_gen_does():
    f = a_line()
    trace = f.simulate((B,), rng=0)
    again = f.simulate((B,), rng=0)
    assert trace == again
    assert list(trace.choices) == [()]
    assert trace.retval is trace[()]
    with pytest.raises(ValueError, match="read-only"):
        trace.retval[0] = 1.0
    given, weight = f.generate((B,), {(): YS})
    expected = line.assess((B,), {"ys": YS})[0]
    assert weight == given.log_prob == pytest.approx(expected, rel=1e-12)
    assert f.assess((B,), {(): YS})[0] == weight
    choices, log_prob, retval = f.propose((B,), rng=0)
    assert (choices, log_prob) == (trace.choices, trace.log_prob)
    np.testing.assert_array_equal(retval, trace.retval)
    new, change, discard = given.update({(): YS + 1.0})
    assert change == pytest.approx(new.log_prob - weight)
    np.testing.assert_array_equal(discard[()], YS)
    assert f.simulate((B,)).regenerate(())[1] == 0.0


def test_its_gradients_are_those_of_the_same_model_in_the_language():
    f = a_line()
    line.simulate((B,))
    mine, theirs = f.generate((B,), {(): YS})[0], line.generate((B,), {"ys": YS})[0]
    found, expected = mine.param_gradients(), theirs.param_gradients()
    assert found["line_by_hand"] == pytest.approx(expected["line"], rel=1e-12)
    np.testing.assert_allclose(
        mine.choice_gradients(())[2][()], theirs.choice_gradients("ys")[2]["ys"], rtol=1e-12
    )
    mine.accumulate_param_gradients(scale=3.0)
    assert f.params["slope"].grad == pytest.approx(3.0 * expected["line"]["slope"])
    assert check_gradients(f, (B,)).entries == 5


def test_its_parameters_are_trained_by_any_rule():
    f = a_line()
    trace, _ = f.generate((B,), {(): YS})
    update = ParamUpdate(ADAM(0.05), f)
    for _ in range(1000):
        trace.accumulate_param_gradients()
        update.apply()
    slope = B @ YS / (B @ B)
    assert get_param(f, "slope") == pytest.approx(slope, abs=1e-4)
    assert get_param(f, "std") == pytest.approx(np.sqrt(np.mean((YS - slope * B) ** 2)), abs=1e-4)
    assert [name for _, name in update.parameters()] == ["slope", "std"]


def test_it_is_known_by_its_name():
    f = a_line()
    update = ParamUpdate(FixedStepGradientDescent(0.1), line_by_hand=["slope"])
    f.generate((B,), {(): YS})[0].accumulate_param_gradients()
    update.apply()
    assert get_param(f, "slope") != 0.5
    assert get_param(f, "std") == pytest.approx(2.0)


def test_inside_another_model_gradients_flow_into_and_out_of_it():
    f = a_line()

    @gen(arg_grads=("xs",))
    def model(xs):
        w = normal(param("mu", 0.3), 1.0) @ "w"
        ys = f(w * xs) @ ("deep", "ys")
        return normal(np.sum(ys) * param("mu"), 1.0) @ "z"

    check = check_gradients(model, (B,), rng=2)
    assert check.entries == 1 + 2 + 3 + 1 + 3 + 1
    trace = model.simulate((B,), rng=2)
    ParamUpdate(ADAM(0.1), model, callees=True)
    assert set(trace.param_gradients()) == {"model", "line_by_hand"}
    new, weight, _ = trace.update({("deep", "ys"): YS})
    assert weight == pytest.approx(new.log_prob - trace.log_prob, rel=1e-10)


def test_an_update_with_callees_moves_its_parameters():
    f = a_line()
    model = map_(f)
    trace = model.simulate(([B, 2.0 * B],), rng=0)
    assert list(trace.choices) == [(0,), (1,)]
    update = ParamUpdate(ADAM(0.1), model, callees=True)
    trace.accumulate_param_gradients()
    update.apply()
    assert get_param(f, "slope") != 0.5


def test_a_trace_is_stale_after_its_parameters_have_moved():
    f = a_line()
    trace = f.simulate((B,), rng=0)
    set_param(f, "std", 3.0)
    assert trace.is_stale
    assert trace.update({})[1] == pytest.approx(trace.rescored().log_prob - trace.log_prob)


def test_a_frozen_parameter_stays_a_constant():
    f = a_line()
    f.params["std"].freeze()
    assert set(f.simulate((B,)).param_gradients()["line_by_hand"]) == {"slope"}


def test_a_discrete_choice_by_hand_has_constrained_parameters():
    """A categorical by hand; its gradients by the probabilities reach the simplex's coordinates."""
    f = custom_random(
        lambda rng, p: int(rng.choice(len(p), p=p)),
        lambda k, p: float(np.log(p[k])),
        lambda k, p: (None, np.eye(len(p))[k] / p),
        params=("p",),
        name="face",
    )
    init_param(f, "p", [0.2, 0.3, 0.5], simplex)
    trace, weight = f.generate((), {(): 1})
    assert weight == pytest.approx(np.log(0.3))
    update = ParamUpdate(FixedStepGradientDescent(0.3), f)
    for _ in range(300):
        for face, count in enumerate((1, 3, 4)):
            f.generate((), {(): face})[0].accumulate_param_gradients(scale=count / 8.0)
        update.apply()
    np.testing.assert_allclose(get_param(f, "p"), [0.125, 0.375, 0.5], atol=1e-3)
    assert type(trace.retval) is int


def test_a_wrong_gradient_of_a_random_function_is_used_as_it_is_given_and_found():
    f = custom_random(
        lambda rng, m: rng.normal(m),
        lambda x, m: -0.5 * (x - m) ** 2,
        lambda x, m: (m - x, 17.0),
        params=("m",),
        name="wrong",
    )
    init_param(f, "m", 0.0)
    assert f.simulate(()).param_gradients() == {"wrong": {"m": 17.0}}
    with pytest.raises(WrongGradient, match=r"the gradient of wrong by wrong\.m is 17, "):
        check_gradients(f)


@pytest.mark.parametrize(
    ("gradients", "message"),
    [
        (lambda x, m: (0.0,), "must be a tuple of 2, one for each input, got 1"),
        (lambda x, m: (0.0, np.ones(2)), r"by its input 1 must have shape \(\), got \(2,\)"),
    ],
)
def test_gradients_of_a_random_function_are_checked(gradients, message):
    f = custom_random(
        lambda rng, m: rng.normal(m), lambda x, m: -x * x, gradients, ("m",), name="mistaken"
    )
    init_param(f, "m", 0.0)

    @gen
    def model():
        return f() @ ("deep", "x")

    with pytest.raises(GradientShapeError, match=rf"'deep', 'x'.*gradient of mistaken {message}"):
        model.simulate().accumulate_param_gradients()
    assert not f.params["m"].accumulated


def test_the_log_probability_is_one_number():
    f = custom_random(
        lambda rng: np.zeros(2), lambda x: -x * x, lambda x: (-2.0 * x,), name="vector"
    )
    with pytest.raises(GradientShapeError, match=r"vector must be one number, got shape \(2,\)"):
        f.simulate()


def test_the_wrong_number_of_arguments_is_refused():
    f = a_line()
    with pytest.raises(ArgumentError, match=r"line_by_hand\(xs\)> was given 2 arguments"):
        f.simulate((B, B))
    with pytest.raises(ArgumentError, match="was given 0 arguments: missing"):
        gen(lambda: f() @ "x").simulate()


def test_arguments_of_a_random_function_have_keywords_and_defaults():
    f = custom_random(
        lambda rng, mu, std: mu + std * rng.normal(),
        lambda x, mu, std=2.0: -(((x - mu) / std) ** 2),
        lambda x, mu, std: (0.0, 0.0, 0.0),
        name="far",
    )
    assert f.simulate((1.0,)).args == (1.0, 2.0)
    trace, _ = gen(lambda: f(std=1.0, mu=0.0) @ "x").generate((), {"x": 3.0})
    assert trace.log_prob == -9.0


def test_a_random_function_may_be_a_partial_one():
    scaled = functools.partial(lambda k, x, m: -k * (x - m) ** 2, 2.0)
    f = custom_random(lambda rng, m: m, scaled, lambda x, m: (0.0, 0.0))
    assert f.assess((1.0,), {(): 2.0})[0] == -2.0
    with pytest.raises(ArgumentError, match="partial takes 2 inputs, fewer than"):
        custom_gradient(scaled, lambda i, r, g: (g, g), params=("a", "b", "c"))


def test_without_a_sampler_the_choice_is_to_be_given():
    f = custom_random(None, line_log_prob, line_gradients, ("slope", "std"), name="given")
    init_param(f, "slope", 0.5)
    init_param(f, "std", 2.0, positive)
    trace, weight = f.generate((B,), {(): YS})
    assert weight == a_line().assess((B,), {(): YS})[0]
    assert trace.param_gradients()["given"].keys() == {"slope", "std"}
    with pytest.raises(DistributionError, match=r"'deep': given has no sample .*give its value"):
        gen(lambda: f(B) @ "deep").simulate()


def test_a_value_without_a_derivative_has_no_choice_gradient():
    coin = custom_random(
        lambda rng, p: bool(rng.random() < p),
        lambda x, p: float(np.log(p if x else 1.0 - p)),
        lambda x, p: (None, 1.0 / p if x else -1.0 / (1.0 - p)),
        name="coin",
    )
    with pytest.raises(DistributionError, match="coin has no derivative by its value"):
        coin.simulate((0.3,)).choice_gradients(())


def test_a_log_probability_that_is_nan_is_refused():
    f = custom_random(lambda rng: 1.0, lambda x: np.nan, lambda x: (0.0,), name="lost")
    with pytest.raises(DistributionError, match="the log probability of lost is NaN; return -np"):
        f.simulate()


def test_two_random_functions_by_hand_have_parameters_of_their_own():
    first, second = a_line(), a_line()
    set_param(first, "slope", 9.0)
    assert get_param(second, "slope") == 0.5


# --- Functions of numpy


sine = custom_gradient(np.sin, lambda inputs, r, g: (np.cos(inputs[0]) * g,), arg_grads=("x",))
angle = custom_gradient(
    np.arctan2,
    lambda inputs, r, g: (
        g * inputs[1] / (inputs[0] ** 2 + inputs[1] ** 2),
        -g * inputs[0] / (inputs[0] ** 2 + inputs[1] ** 2),
    ),
)
cosine = custom_gradient(math.cos, lambda inputs, r, g: (-math.sin(inputs[0]) * g,))
largest = custom_gradient(max, lambda inputs, r, g: tuple(g * (x == r) for x in inputs))


def test_a_function_of_numpy_or_of_python_has_a_gradient_by_hand():
    @gen
    def f():
        x, y = param("x", 0.5), param("y", 0.25)
        total = sine(x) @ "a" + angle(x, y) @ "b" + cosine(y) @ "c" + largest(x, y) @ "d"
        return normal(total, 1.0) @ "z"

    assert check_gradients(f).error < 1e-6
    assert check_gradients(sine, (np.array([0.5, 1.5]),)).error < 1e-6
    assert (sine.__name__, angle.argument_names) == ("sin", ["x1", "x2"])
    assert pickle.loads(pickle.dumps(sine)) is sine


def test_a_function_by_hand_has_gradients_by_arguments_that_are_named():
    cube = custom_gradient(
        lambda x, n: n * x**3,
        lambda inputs, r, g: (3 * inputs[1] * inputs[0] ** 2 * g, None),
        arg_grads=("x",),
    )
    assert cube.simulate((2.0, 1.0)).accumulate_param_gradients(1.0)[1] == (12.0, None)
    with pytest.raises(ArgumentError, match="no argument 'y'"):
        custom_gradient(lambda x: x, lambda inputs, r, g: (g,), arg_grads=("y",))
