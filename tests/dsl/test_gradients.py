# pyright: reportAttributeAccessIssue=false
"""Gradients: the derivative of a replay, against central differences of the log probability."""

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple

import autograd.numpy as anp
import numpy as np
import pytest

from genparams import (
    ADAM,
    FixedStepGradientDescent,
    ParamStore,
    ParamUpdate,
    accumulate_param_gradients,
    bernoulli,
    binomial,
    categorical,
    gen,
    get_param_grad,
    init_param,
    interval,
    lower_cholesky,
    mvnormal,
    normal,
    ordered,
    param,
    poisson,
    positive,
    set_param,
    simplex,
    unit_interval,
)
from genparams.autodiff import hessian
from genparams.dsl.replay import replay
from genparams.errors import (
    DistributionError,
    MissingChoice,
    ShapeError,
    TracedValueError,
    UninitializedParameter,
    UnusedConstraint,
)

STEP = 1e-5


def move(parameter, delta):
    """Move a parameter along its unconstrained coordinates."""
    parameter.set(parameter.constraint.natural(parameter.coordinates + delta))


def parameters_of(*owners):
    return [p for owner in owners for _, p in owner.params.items()]


def paired(retval, grad):
    """The sum of the products of a return value's parts with a gradient's."""
    if grad is None:
        return 0.0
    if isinstance(grad, dict):
        return sum(paired(retval[key], g) for key, g in grad.items())
    if isinstance(grad, (tuple, list)):
        return sum(map(paired, retval, grad))
    return float(np.sum(np.asarray(retval) * grad))


def objective(trace, args, retval_grad=None):
    log_prob, retval = trace.gen_fn.assess(args, trace.choices)
    return log_prob + paired(retval, retval_grad)


def check_param_gradients(trace, parameters, retval_grad=None):
    """Compare with a central difference along a random direction, at two parameter settings."""
    rng = np.random.default_rng(1)
    for _ in range(2):
        for p in parameters:
            p.zero_grad()
        log_prob, _ = trace.accumulate_param_gradients(retval_grad)
        assert log_prob == pytest.approx(objective(trace, trace.args), rel=1e-12, abs=1e-12)
        found = 0.0
        directions = [rng.normal(size=p.shape) for p in parameters]
        for p, d in zip(parameters, directions, strict=True):
            assert np.shape(p.grad) == p.shape
            found += np.sum(p.grad * d)
        sides = []
        for step in (STEP, -2.0 * STEP):
            for p, d in zip(parameters, directions, strict=True):
                move(p, step * d)
            sides.append(objective(trace, trace.args, retval_grad))
        assert found == pytest.approx((sides[0] - sides[1]) / (2.0 * STEP), rel=1e-6, abs=1e-7)
        for p in parameters:
            move(p, 0.3 * rng.normal(size=p.shape))


def check_arg_grad(trace, place, retval_grad=None):
    """Compare the gradient by one array or number among the arguments with a central difference."""
    value = np.asarray(trace.args[place], dtype=float)
    found = trace.accumulate_param_gradients(retval_grad)[1][place]
    assert np.shape(found) == value.shape
    direction = np.random.default_rng(2).normal(size=value.shape)

    def at(step):
        args = list(trace.args)
        args[place] = value + step * direction
        return objective(trace, tuple(args), retval_grad)

    slope = (at(STEP) - at(-STEP)) / (2.0 * STEP)
    assert np.sum(found * direction) == pytest.approx(slope, rel=1e-6, abs=1e-7)


# --- Models, each with what it takes to trace it


def a_line():
    @gen
    def f(xs):
        return normal(param("slope", 0.5) * xs + param("intercept", -1.0), 0.7) @ "ys"

    return f, (np.linspace(-1.0, 1.0, 6),), [f]


def a_loop_of_scalars():
    @gen
    def f(n):
        total = 0.0
        for i in range(n):
            total = total + normal(param("a", 0.3) * total + param("b", -0.2), 1.5) @ i
        return total

    return f, (5,), [f]


def every_constraint():
    @gen
    def f():
        mean = normal(param("low", 0.5, interval(-1.0, 3.0)), param("std", 2.0, positive)) @ "mean"
        bernoulli(param("p", 0.3, unit_interval)) @ ("b", 0)
        k = categorical(param("probs", [0.2, 0.5, 0.3], simplex)) @ "k"
        cut = param("cuts", [-1.0, 0.5, 2.0], ordered)
        root = param("root", [[1.0, 0.0], [0.5, 2.0]], lower_cholesky)
        mvnormal(np.array([0.0, 1.0]), root @ root.T) @ "v"
        return normal(mean + cut[k], 1.0) @ "x"

    return f, (), [f]


def an_array_made_of_parameters():
    @gen
    def f():
        weights = np.array([param("a", 0.3), param("b", -0.4)])
        matrix = np.array([[param("a"), 1.0], [2.0, param("b")]])
        return normal(matrix @ weights, 1.0) @ "x"

    return f, (), [f]


def matrices():
    @gen
    def f(xs):
        hidden = np.tanh(
            xs @ param("W", [[0.1, 0.2, -0.3], [0.4, -0.5, 0.6]]) + param("b", [0.0] * 3)
        )
        return normal(np.sum(hidden * param("v", [1.0, -1.0, 0.5]), axis=1), 0.3) @ "y"

    return f, (np.arange(8.0).reshape(4, 2) / 5.0,), [f]


def numpy_of_autograd():
    @gen
    def f(xs):
        a = param("a", [0.1, 0.2])
        mean = anp.dot(xs, anp.exp(a)) + anp.sum(anp.sin(a)) * anp.array([1.0, 2.0, 3.0])
        return normal(mean, anp.sqrt(1.0 + anp.square(a[0]))) @ "y"

    return f, (np.arange(6.0).reshape(3, 2),), [f]


def nested_calls():
    @gen
    def inner(shift):
        x = normal(shift * param("gain", 1.2), 1.0) @ "x"
        return param("offset", 0.4) * x + shift

    @gen
    def outer():
        first = inner(param("start", 0.7)) @ "first"
        second = inner(first) @ ("second", 0)
        return normal(second * first, 2.0) @ "y"

    return outer, (), [outer, inner]


def an_inlined_call():
    @gen
    def prior():
        return normal(param("mu", 0.2), param("std", 1.3, positive)) @ "x"

    @gen
    def f():
        return normal(prior.inline() + param("mu", 3.0) ** 2, 1.0) @ "y"

    return f, (), [f, prior]


def recursion():
    @gen
    def chained(n, state):
        state = normal(param("decay", 0.8) * state, 0.5) @ "x"
        return (
            state * param("gain", 1.1)
            if n == 0
            else chained(n - 1, state * param("gain", 1.1)) @ "n"
        )

    return chained, (3, 1.0), [chained]


def data_dependent_control_flow():
    @gen
    def f():
        n = poisson(param("rate", 3.0, positive)) @ "n"
        mean = param("a", 0.5)
        for _ in range(n):
            mean = mean * param("a") + (1.0 if mean > 0 else -1.0)
        return normal(mean, 1.0) @ "x"

    return f, (), [f]


def a_parameter_that_does_not_matter():
    @gen
    def f():
        param("unused", [1.0, 2.0])
        return normal(param("mu", 1.0), 1.0) @ "x"

    return f, (), [f]


MODELS = [
    a_line,
    a_loop_of_scalars,
    every_constraint,
    an_array_made_of_parameters,
    matrices,
    numpy_of_autograd,
    nested_calls,
    an_inlined_call,
    recursion,
    data_dependent_control_flow,
    a_parameter_that_does_not_matter,
]


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_parameter_gradients_agree_with_central_differences(make):
    f, args, owners = make()
    trace = f.simulate(args, rng=4)
    check_param_gradients(trace, parameters_of(*owners))


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_gradients_include_those_of_the_return_value(make):
    f, args, owners = make()
    trace = f.simulate(args, rng=5)
    g = np.random.default_rng(0).normal(size=np.shape(trace.retval))
    check_param_gradients(trace, parameters_of(*owners), g)


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_an_old_trace_is_differentiated_at_todays_parameters(make):
    f, args, owners = make()
    old = f.simulate(args, rng=6)
    updates = [ParamUpdate(ADAM(0.1), owner) for owner in owners]
    old.accumulate_param_gradients()
    for update in updates:
        update.apply()
    fresh, _ = f.generate(args, old.choices)
    assert old.param_gradients().keys() == fresh.param_gradients().keys()
    for owner, grads in old.param_gradients().items():
        for name, g in grads.items():
            np.testing.assert_array_equal(g, fresh.param_gradients()[owner][name])
    check_param_gradients(old, parameters_of(*owners))


# --- The bug that all this is for


def test_after_an_update_an_old_trace_never_mixes_old_and_new_values():
    """Gen.jl#205: the callee's value depends on its own parameter and is an argument further on."""

    @gen
    def scaled(x):
        return param("factor", 2.0) * x

    @gen
    def doubly_nested(x):
        y = scaled(x) @ "scaled"
        return normal(y * param("shift", 1.0), 1.0) @ "z"

    @gen
    def top():
        x = normal(param("mu", 0.5), 1.0) @ "x"
        y = scaled(x) @ "scaled"
        z = doubly_nested(y) @ "nested"
        return normal(y * z, 1.0) @ "out"

    old = top.simulate((), rng=3)
    update = ParamUpdate(FixedStepGradientDescent(0.05), top, scaled, doubly_nested)
    old.accumulate_param_gradients()
    update.apply()
    factor = scaled.params["factor"]
    found = old.param_gradients()["scaled"]["factor"]
    now = factor.value

    def log_prob(value):
        set_param(scaled, "factor", value)
        return top.assess((), old.choices)[0]

    slope = (log_prob(now + STEP) - log_prob(now - STEP)) / (2.0 * STEP)
    set_param(scaled, "factor", now)
    assert found == pytest.approx(slope, rel=1e-6)
    assert found != pytest.approx(old.param_gradients()["top"]["mu"])
    check_param_gradients(
        old, [factor, top.params["mu"], doubly_nested.params["shift"]], retval_grad=0.7
    )


def test_a_trace_whose_choices_no_longer_fit_says_so():
    @gen
    def f():
        if param("a", 1.0) > 0:
            return normal(param("a"), 1.0) @ "positive"
        return normal(param("a"), 1.0) @ "negative"

    @gen
    def g():
        if param("a", 1.0) > 0:
            return normal(param("a"), 1.0) @ "positive"

    old, other = f.simulate(), g.simulate()
    set_param(f, "a", -1.0)
    set_param(g, "a", -1.0)
    with pytest.raises(MissingChoice, match="visits 'negative', which this trace does not have"):
        old.accumulate_param_gradients()
    with pytest.raises(UnusedConstraint, match="no longer visits 'positive'"):
        other.accumulate_param_gradients()


# --- Accumulating


def two_parameters():
    @gen
    def f(x):
        return normal(param("a") * x, 1.0) @ "y", normal(param("b"), 1.0) @ "z"

    init_param(f, "a", 1.0)
    init_param(f, "b", [0.0, 1.0])
    return f


def test_gradients_add_up_and_scale_multiplies_them():
    f = two_parameters()
    trace, _ = f.generate((2.0,), {"y": 5.0, "z": [1.0, 1.0]})
    trace.accumulate_param_gradients()
    assert f.params["a"].grad == 6.0
    np.testing.assert_array_equal(f.params["b"].grad, [1.0, 0.0])
    trace.accumulate_param_gradients(scale=0.5)
    assert f.params["a"].grad == 9.0
    np.testing.assert_array_equal(f.params["b"].grad, [1.5, 0.0])


def test_scale_multiplies_the_return_values_part_and_not_what_is_returned():
    @gen(arg_grads=("x",))
    def f(x):
        normal(param("a", 1.0) * x, 1.0) @ "y"
        return param("a") * x * x

    trace, _ = f.generate((2.0,), {"y": 5.0})
    log_prob, (by_x,) = trace.accumulate_param_gradients(retval_grad=10.0, scale=3.0)
    assert f.params["a"].grad == 3.0 * (6.0 + 40.0)
    assert by_x == 3.0 + 40.0
    assert log_prob == trace.log_prob


def test_several_traces_are_accumulated_at_once_with_one_scale_or_one_each():
    f = two_parameters()
    traces = [f.generate((x,), {"y": 0.0, "z": [0.0, 0.0]})[0] for x in (1.0, 2.0)]
    found = accumulate_param_gradients(traces)
    assert f.params["a"].grad == -1.0 - 4.0
    assert [log_prob for log_prob, _ in found] == [t.log_prob for t in traces]
    f.params["a"].zero_grad()
    accumulate_param_gradients((t for t in traces), scale=0.5)
    assert f.params["a"].grad == -2.5
    f.params["a"].zero_grad()
    accumulate_param_gradients(traces, scale=[2.0, 10.0])
    assert f.params["a"].grad == -42.0
    f.params["a"].zero_grad()
    accumulate_param_gradients(traces[0], scale=2)
    assert f.params["a"].grad == -2.0
    with pytest.raises(ShapeError, match="2 traces need one scale or 2, got 3"):
        accumulate_param_gradients(traces, scale=[1.0, 2.0, 3.0])


@pytest.mark.parametrize("scale", [np.float64(0.5), np.float32(0.5), np.array(0.5)], ids=repr)
def test_a_scale_may_be_any_number_of_numpy(scale):
    f = two_parameters()
    trace, _ = f.generate((1.0,), {"y": 3.0, "z": [0.0, 0.0]})
    accumulate_param_gradients([trace, trace], scale)
    assert f.params["a"].grad == 2.0
    trace.accumulate_param_gradients(scale=scale)
    assert f.params["a"].grad == 3.0


def test_traces_of_different_functions_are_accumulated_at_once():
    f, g = two_parameters(), two_parameters()
    given = {"y": 0.0, "z": [0.0, 0.0]}
    accumulate_param_gradients([f.generate((1.0,), given)[0], g.generate((2.0,), given)[0]])
    assert (f.params["a"].grad, g.params["a"].grad) == (-1.0, -4.0)


def test_if_one_trace_fails_nothing_is_added():
    f = two_parameters()

    @gen
    def fails():
        return normal(0.0, math.exp(param("s", 0.0))) @ "x"

    good, bad = f.simulate((1.0,)), fails.simulate()
    for traces in ([good, bad], [good, good, bad, good]):
        with pytest.raises(TracedValueError):
            accumulate_param_gradients(traces)
        assert f.params["a"].grad == 0.0
        assert not f.params["a"].accumulated
        assert f.params["b"].grad.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("scale", [np.ones(2), [2.0], None, "2"], ids=repr)
def test_a_scale_that_is_no_number_adds_nothing(scale):
    @gen
    def f():
        normal(param("b"), 1.0) @ "z"
        normal(param("a"), 1.0) @ "y"

    init_param(f, "a", 1.0)
    init_param(f, "b", [0.0, 1.0])
    trace = f.simulate()
    with pytest.raises((TypeError, ValueError)):
        trace.accumulate_param_gradients(scale=scale)
    assert (f.params["a"].grad, f.params["b"].grad.tolist()) == (0.0, [0.0, 0.0])
    assert not f.params["b"].accumulated


def test_param_gradients_are_returned_by_name_and_accumulate_nothing():
    f = two_parameters()
    trace, _ = f.generate((2.0,), {"y": 5.0, "z": [1.0, 1.0]})
    found = trace.param_gradients()
    assert found["f"]["a"] == 6.0
    assert found["f"]["b"].tolist() == [1.0, 0.0]
    assert f.params["a"].grad == 0.0
    assert not f.params["a"].accumulated


def test_gradients_of_one_function_over_two_stores_stay_apart():
    f = two_parameters()
    g = f.with_params(ParamStore(a=3.0, b=[0.0, 0.0]))

    @gen
    def both():
        f(1.0) @ "f"
        g(1.0) @ "g"

    trace, _ = both.generate((), {k: {"y": 0.0, "z": [0.0, 0.0]} for k in "fg"})
    trace.accumulate_param_gradients()
    assert (f.params["a"].grad, g.params["a"].grad) == (-1.0, -3.0)


def test_choices_are_held_fixed():
    @gen
    def f():
        x = normal(param("mu", 1.0), 1.0) @ "x"
        return x * x

    trace, _ = f.generate((), {"x": 2.0})
    assert trace.param_gradients(retval_grad=5.0)["f"]["mu"] == 1.0


def test_a_constrained_parameter_has_the_gradient_of_its_coordinates():
    @gen
    def f():
        return normal(0.0, param("std", 2.0, positive)) @ "x"

    trace, _ = f.generate((), {"x": 6.0})
    assert trace.param_gradients()["f"]["std"] == pytest.approx(9.0 - 1.0)
    assert np.shape(f.params["std"].grad) == ()


def test_a_frozen_parameter_gets_no_gradient_and_does_not_move():
    f = two_parameters()
    f.params["a"].freeze()
    trace = f.simulate((1.0,))
    update = ParamUpdate(ADAM(0.1), f)
    assert set(trace.param_gradients()["f"]) == {"b"}
    trace.accumulate_param_gradients()
    update.apply()
    assert (f.params["a"].value, f.params["a"].grad) == (1.0, 0.0)
    assert f.params["b"].value.tolist() != [0.0, 1.0]
    f.params["a"].thaw()
    assert set(trace.param_gradients()["f"]) == {"a", "b"}


def test_a_model_without_parameters_has_no_gradients():
    @gen
    def f():
        return normal(0.0, 1.0) @ "x"

    trace = f.simulate()
    assert trace.param_gradients() == {}
    assert trace.accumulate_param_gradients() == (trace.log_prob, ())


def test_numpy_and_the_numpy_of_autograd_give_the_same():
    def make(np):
        @gen
        def f(xs):
            w = param("w", [0.3, -0.2])
            return normal(np.tanh(np.dot(xs, w)) + np.mean(w), np.exp(0.1 * np.sum(w))) @ "y"

        return f

    xs = np.arange(6.0).reshape(3, 2)
    ys = {"y": [0.1, 0.2, 0.3]}
    plain, _ = make(np).generate((xs,), ys)
    theirs, _ = make(anp).generate((xs,), ys)
    assert plain.log_prob == theirs.log_prob
    np.testing.assert_allclose(
        plain.param_gradients()["f"]["w"], theirs.param_gradients()["f"]["w"], rtol=1e-14
    )


def test_a_parameter_that_reaches_an_argument_without_derivative_is_an_error():
    @gen
    def f():
        return binomial(param("n", 3.0), 0.5) @ "x"

    with pytest.raises(DistributionError, match=r"'x': .*no derivative by n"):
        f.simulate().accumulate_param_gradients()


def test_a_parameter_forgotten_after_the_trace_was_made_is_named():
    f = two_parameters()
    trace = f.simulate((1.0,))
    f.params.discard("a")
    with pytest.raises(UninitializedParameter, match="'a'"):
        trace.accumulate_param_gradients()
    assert f.params["b"].grad.tolist() == [0.0, 0.0]


# --- Arguments


def test_argument_gradients_are_given_where_asked_and_none_elsewhere():
    @gen(arg_grads=("mu", "xs"))
    def f(mu, n, xs):
        return normal(mu * xs, 1.0 + n) @ "y"

    trace = f.simulate((0.5, 2, np.arange(3.0)), rng=0)
    by_mu, by_n, by_xs = trace.accumulate_param_gradients()[1]
    assert type(by_mu) is float
    assert by_n is None
    assert by_xs.shape == (3,)
    check_arg_grad(trace, 0)
    check_arg_grad(trace, 2)


def test_argument_gradients_have_the_place_of_defaults_too():
    @gen(arg_grads=("b",))
    def f(a=1.0, b=2.0):
        return normal(a * b, 1.0) @ "x"

    trace, _ = f.generate((3.0,), {"x": 7.0})
    assert trace.accumulate_param_gradients()[1] == (None, 3.0)


def test_whole_numbers_are_differentiated_as_floats():
    @gen(arg_grads=("mu",))
    def f(mu):
        return normal(mu, 1.0) @ "x"

    trace, _ = f.generate((1,), {"x": 3.0})
    assert trace.accumulate_param_gradients()[1] == (2.0,)


def test_argument_gradients_of_nested_containers_have_their_structure():
    @gen(arg_grads=("settings",))
    def f(settings):
        mean, (scale, shifts) = settings["mean"], settings["rest"]
        return normal(mean * scale + shifts["s"], 1.0) @ "x"

    settings = {"mean": 2.0, "rest": (np.array([1.0, -1.0]), {"s": 0.5, "unused": 3.0})}
    trace, _ = f.generate((settings,), {"x": [4.0, 0.0]})
    (found,) = trace.accumulate_param_gradients()[1]
    residual = np.array([4.0 - 2.5, 0.0 + 1.5])
    assert found["mean"] == pytest.approx(residual @ [1.0, -1.0])
    np.testing.assert_allclose(found["rest"][0], 2.0 * residual)
    assert found["rest"][1] == {"s": pytest.approx(residual.sum()), "unused": 0.0}


class Ends(NamedTuple):
    low: float
    high: float


def test_named_tuples_are_containers_like_others():
    @gen(arg_grads=("ends",))
    def f(ends):
        normal(ends.high - ends.low, 1.0) @ "x"
        return Ends(ends.low * 2.0, ends.high)

    trace, _ = f.generate((Ends(1.0, 3.0),), {"x": 7.0})
    (found,) = trace.accumulate_param_gradients(retval_grad=Ends(10.0, 100.0))[1]
    assert found == Ends(-5.0 + 20.0, 5.0 + 100.0)


def test_argument_gradients_flow_through_nested_calls():
    @gen
    def inner(x):
        return normal(x * param("a", 2.0), 1.0) @ "i", x**3

    @gen(arg_grads=("x",))
    def outer(x):
        _, cube = inner(x * x) @ "inner"
        return normal(cube, 1.0) @ "y"

    check_arg_grad(outer.simulate((0.8,), rng=0), 0)


def test_an_unused_argument_has_gradient_zero():
    @gen(arg_grads=("a", "b"))
    def f(a, b):
        return normal(0.0, 1.0) @ "x"

    by_a, by_b = f.simulate((1.0, np.ones(2))).accumulate_param_gradients()[1]
    assert by_a == 0.0
    assert by_b.tolist() == [0.0, 0.0]


def test_the_return_value_may_be_the_argument_itself():
    @gen(arg_grads=("x",))
    def f(x):
        return x

    assert f.simulate((3.0,)).accumulate_param_gradients(retval_grad=2.0)[1] == (2.0,)


# --- Return values


RETURN_VALUES = {
    "a number": (lambda a, w: a * a, 0.7),
    "an array": (lambda a, w: a * w, np.array([1.0, -2.0])),
    "a matrix": (lambda a, w: np.stack([w, w * w]) * a, np.array([[1.0, 2.0], [3.0, 4.0]])),
    "a tuple": (lambda a, w: (a * a, w * a), (2.0, np.array([1.0, 1.0]))),
    "a tuple with a part left out": (lambda a, w: (a * a, w * a), (None, np.array([1.0, 3.0]))),
    "a list": (lambda a, w: [a * w[0], a, 3.0], [1.0, 2.0, 5.0]),
    "a list as an array": (lambda a, w: [a * w[0], a], np.array([1.0, 2.0])),
    "a dictionary": (lambda a, w: {"s": a**3, "v": w}, {"s": 2.0, "v": np.array([0.5, 0.5])}),
    "a dictionary with a key left out": (lambda a, w: {"s": a**3, "v": w}, {"s": 2.0}),
    "nested": (
        lambda a, w: {"u": (a, [w, {"z": a * w}]), "name": "text"},
        {"u": (1.0, [None, {"z": np.array([1.0, -1.0])}])},
    ),
    "nothing": (lambda a, w: (a, w), None),
    "constants": (lambda a, w: (1.0, np.ones(2)), (1.0, np.ones(2))),
}


@pytest.mark.parametrize("case", RETURN_VALUES)
def test_the_gradient_of_a_return_value_of_any_structure_is_included(case):
    returned, retval_grad = RETURN_VALUES[case]

    @gen
    def inner():
        a, w = param("a", 0.8), param("w", [0.5, -1.5])
        normal(w, np.exp(a)) @ "x"
        return returned(a, w)

    @gen
    def outer():
        return inner() @ "inner"

    for f in (inner, outer):
        trace = f.simulate((), rng=0)
        check_param_gradients(trace, parameters_of(inner), retval_grad)


@pytest.mark.parametrize(
    ("returned", "retval_grad"),
    [
        (lambda w: w, 1.0),
        (lambda w: w, np.ones(3)),
        (lambda w: w[0], np.ones(2)),
        (lambda w: (w, w), (np.ones(2),)),
        (lambda w: (w, w), 1.0),
        (lambda w: {"a": w}, {"b": np.ones(2)}),
        (lambda w: {"a": w}, np.ones(2)),
        (lambda w: w[0], {"a": 1.0}),
        (lambda w: w[0], "text"),
        (lambda w: None, 1.0),
    ],
)
def test_a_retval_grad_that_does_not_fit_is_refused(returned, retval_grad):
    @gen
    def f():
        return returned(param("w", [1.0, 2.0]))

    with pytest.raises(ShapeError, match="return value"):
        f.simulate().accumulate_param_gradients(retval_grad)
    assert not f.params["w"].accumulated


# --- Threads and higher derivatives


def test_threads_that_differentiate_at_once_add_up_to_the_serial_sum():
    f, args, (owner,) = matrices()
    traces = [f.simulate(args, rng=i) for i in range(40)]
    names = list(owner.params)
    accumulate_param_gradients(traces)
    serial = {name: owner.params[name].grad for name in names}
    for name in names:
        owner.params[name].zero_grad()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda trace: trace.accumulate_param_gradients(), traces))
    for name in names:
        np.testing.assert_allclose(owner.params[name].grad, serial[name], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "make",
    [a_line, a_loop_of_scalars, an_inlined_call, nested_calls, every_constraint, matrices],
    ids=lambda make: make.__name__,
)
def test_second_derivatives_agree_with_differences_of_the_gradient(make):
    f, args, owners = make()
    trace = f.simulate(args, rng=2)
    parameters = parameters_of(*owners)
    sizes = [math.prod(p.shape) for p in parameters]
    ends = np.cumsum(sizes).tolist()
    theta = np.concatenate([np.ravel(p.coordinates) for p in parameters])

    def log_prob(vector):
        def read(parameter):
            i = parameters.index(parameter)
            part = vector[ends[i] - sizes[i] : ends[i]]
            return parameter.constraint.natural(np.reshape(part, parameter.shape))

        run, _ = replay(trace, read, trace.args)
        return sum(run.log_probs.values())

    direction = np.random.default_rng(0).normal(size=theta.size)

    def gradient_at(step):
        for p, end, size in zip(parameters, ends, sizes, strict=True):
            flat = (theta + step * direction)[end - size : end]
            p.set(p.constraint.natural(np.reshape(flat, p.shape)))
            p.zero_grad()
        trace.accumulate_param_gradients()
        return np.concatenate([np.ravel(p.grad) for p in parameters])

    found = hessian(log_prob, theta)
    np.testing.assert_allclose(found, found.T, atol=1e-9)
    slope = (gradient_at(STEP) - gradient_at(-STEP)) / (2.0 * STEP)
    np.testing.assert_allclose(found @ direction, slope, rtol=1e-5, atol=1e-6)


# --- What autograd and numpy would say in riddles


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (lambda a, w: math.exp(a), r"math module.*write np\.exp"),
        (lambda a, w: float(a), r"float\(\)"),
        (lambda a, w: range(a), r"int\(\)"),
        (lambda a, w: np.zeros(3).__setitem__(0, a), r"assignment into an array.*np\.stack"),
        (lambda a, w: np.zeros(2).__setitem__(slice(0, 2), w), r"assignment into an array"),
        (lambda a, w: np.zeros(2).__iadd__(w), r"in-place arithmetic.*x = x \+ y"),
        (lambda a, w: w.__setitem__(0, 1.0), r"assignment into an array"),
    ],
)
def test_a_use_that_would_lose_the_derivative_names_the_line_and_the_replacement(body, message):
    @gen
    def f(traced):
        a, w = param("a", 1.0), param("w", [1.0, 2.0])
        if traced:
            body(a, w)
        return normal(a, 1.0) @ "x"

    f.simulate((False,))
    old = f.simulate((False,))
    trace = replace(old, args=(True,))
    with pytest.raises(TracedValueError, match=message) as caught:
        trace.accumulate_param_gradients()
    assert "test_gradients.py" in str(caught.value)
    assert not f.params["a"].accumulated


def test_an_error_of_the_model_comes_out_of_a_gradient_as_it_is():
    class Odd(ValueError):
        pass

    flag = []

    @gen
    def f():
        if flag:
            raise Odd("the model's own")
        return normal(param("a", 1.0), 1.0) @ "x"

    trace = f.simulate()
    flag.append(True)
    with pytest.raises(Odd, match="the model's own") as caught:
        trace.accumulate_param_gradients()
    assert caught.value.__cause__ is not caught.value


@pytest.mark.parametrize("f", [np.sqrt, np.log, lambda a: a**0.5])
def test_an_infinite_derivative_of_a_number_is_one_as_it_is_of_an_array(f):
    """Wherever a model can be run, it can be differentiated; `apply` then refuses the gradient."""

    @gen
    def model(x):
        y = f(param("a", 1.0)) if x else 0.0
        return normal(0.0, 1.0) @ "x", y

    model.simulate((False,))
    trace = model.simulate((True,))
    init_param(model, "a", np.zeros(1))
    with np.errstate(divide="ignore"):
        trace.accumulate_param_gradients(retval_grad=(None, np.ones(1)))
    assert not np.isfinite(model.params["a"].grad[0])
    init_param(model, "a", 0.0)
    with np.errstate(divide="ignore"):
        trace.accumulate_param_gradients(retval_grad=(None, 1.0))
    assert not np.isfinite(model.params["a"].grad)


# --- Gradients belong to who asked for them


def test_the_gradients_of_two_inputs_do_not_share_memory():
    @gen(arg_grads=("x", "y"))
    def total(x, y):
        return param("a", np.ones(3)) + param("b", np.zeros(3)) + x + y

    trace = total.simulate((np.ones(3), np.ones(3)))
    seed = np.array([1.0, 2.0, 3.0])
    grads = trace.param_gradients(seed)["total"]
    _, (by_x, by_y) = trace.accumulate_param_gradients(seed)
    for g in (grads["a"], by_x, seed):
        g *= 2.0
    for g in (grads["b"], by_y, total.params["a"].grad):
        assert g.tolist() == [1.0, 2.0, 3.0]


def test_gradients_of_several_traces_are_at_the_same_parameters_while_another_thread_moves_them():
    hooks: list = []

    @gen
    def model():
        if hooks:
            hooks.pop()()
        normal(param("mu", 0.0), 1.0) @ "x"

    traces = [model.generate((), {"x": 1.0})[0] for _ in range(2)]

    def move():
        thread = threading.Thread(target=lambda: set_param(model, "mu", 3.0))
        thread.start()
        thread.join()

    hooks += [move, lambda: None]  # mu moves once the first trace was differentiated
    accumulate_param_gradients(traces)
    assert get_param_grad(model, "mu") == 2.0 * (1.0 - 3.0)
