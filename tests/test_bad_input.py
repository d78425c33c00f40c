"""What people do wrong: what they are told, and that nothing was changed by it.

Each row prepares models and returns the wrong thing to do. Every parameter, accumulator and update
state of the models that it shows to `watch` is compared, to the bit, before and after.
"""

# pyright: reportCallIssue=false, reportArgumentType=false, reportOperatorIssue=false

import math
from dataclasses import dataclass

import numpy as np
import pytest

from genparams import (
    ADAM,
    ChoiceMap,
    ParamStore,
    ParamUpdate,
    accumulate_param_gradients,
    gen,
    get_param,
    increment_param_grad,
    init_param,
    normal,
    param,
    poisson,
    positive,
    real,
    set_param,
    set_param_grad,
    simplex,
)
from genparams.dsl.combinators import map_, mask, switch, unfold
from genparams.dsl.custom import custom_gradient, custom_random
from genparams.errors import (
    AddressConflict,
    AddressError,
    ArgumentError,
    ConstraintError,
    DistributionError,
    GradientShapeError,
    InvalidValue,
    MissingChoice,
    NonFiniteGradient,
    NothingAccumulated,
    NotRunning,
    ShapeError,
    TracedValueError,
    UnaddressedChoice,
    UninitializedParameter,
    UnknownAddress,
    UnknownFunction,
    UnknownParameter,
    UnusedConstraint,
    UpdateError,
)


class Watch:
    """The models of a row: given parameters with gradients accumulated and an update under way."""

    def __init__(self):
        self.stores = []
        self.updates = []

    def __call__(self, f, constraints=None, **values):
        """Watch a function; with values it has parameters, and its update has taken a step."""
        for name, value in values.items():
            f.params.init(name, value, (constraints or {}).get(name, real))
        if values:
            update = ParamUpdate(ADAM(0.01), f)
            shapes = {name: p.shape for name, p in f.params.items()}
            update.apply(grads={name: np.ones(shape) for name, shape in shapes.items()})
            for name, shape in shapes.items():
                f.params[name].increment_grad(np.full(shape, 0.5))
            self.updates.append(update)
        self.stores.append(f.params)
        return f

    def snapshot(self):
        parameters = [
            (name, id(p), p.constraint, p.frozen, p.accumulated, p.fault)
            + tuple(map(bits, (p.value, p.coordinates, p.grad)))
            for store in self.stores
            for name, p in store.items()
        ]
        states = [{k: bits(v) for k, v in update.state_dict().items()} for update in self.updates]
        return parameters, states


def bits(value):
    value = np.asarray(value)
    return value.dtype.str, value.shape, value.tobytes()


def a_model(watch):
    @gen
    def line(xs):
        mean = param("slope") * xs + param("intercept")
        return normal(mean, param("noise")) @ "ys"

    return watch(line, {"noise": positive}, slope=1.0, intercept=[0.5, 0.5, 0.5], noise=2.0)


XS = np.array([0.0, 1.0, 2.0])


def model_with(watch, body, *args):
    """Simulating a model that has a parameter, declares another and then does what `body` says."""

    @gen
    def f(*args):
        param("kept")
        param("declared", 1.0)
        return body(*args)

    watch(f, kept=3.0)
    return lambda: f.simulate(args)


# --- Choices without an address


def a_choice_used_in_arithmetic(watch):
    return model_with(watch, lambda: 1.0 + normal(0.0, 1.0))


def a_choice_compared(watch):
    return model_with(watch, lambda: 1.0 if poisson(2.0) == 0 else 2.0)


def a_choice_returned(watch):
    return model_with(watch, lambda: normal(0.0, 1.0))


def a_choice_returned_by_a_callee(watch):
    inner = watch(gen(lambda: normal(0.0, 1.0)))
    return model_with(watch, lambda: inner() @ "inner")


def a_choice_as_an_argument(watch):
    return model_with(watch, lambda: normal(normal(0.0, 1.0), 1.0) @ "x")


def a_choice_as_an_argument_of_a_callee(watch):
    inner = watch(gen(lambda x: normal(x, 1.0) @ "x"))
    return model_with(watch, lambda: inner(normal(0.0, 1.0)) @ "inner")


def a_choice_among_the_arguments_of_numpy(watch):
    return model_with(watch, lambda: np.exp(normal(0.0, 1.0)))


def a_call_used_in_arithmetic(watch):
    inner = watch(gen(lambda: 1.0))
    return model_with(watch, lambda: inner() * 2.0)


# --- Addresses


def visits(watch, *addresses):
    def body():
        for address in addresses:
            normal(0.0, 1.0) @ address

    return model_with(watch, body)


@dataclass(frozen=True)
class Key:
    """Hashable by its type, and not by its value."""

    items: list


def a_constraint_that_is_never_visited(watch):
    line = a_model(watch)
    return lambda: line.generate((XS,), {"y": [1.0, 2.0, 3.0]})


def a_constraint_never_visited_by_a_model_that_declares(watch):
    f = watch(gen(lambda: normal(param("declared", 1.0), 1.0) @ "x"))
    return lambda: f.generate((), {"z": 1.0})


def a_constraint_on_the_address_of_a_call(watch):
    inner = watch(gen(lambda: normal(0.0, 1.0) @ "x"))
    f = watch(gen(lambda: inner() @ "part"))
    return lambda: f.generate((), {"part": 1.0})


def a_missing_address_in_assess(watch):
    line = a_model(watch)
    return lambda: line.assess((XS,), {})


def an_extra_address_in_assess(watch):
    line = a_model(watch)
    return lambda: line.assess((XS,), {"ys": XS, "zs": 1.0})


def constraints_that_overlap(watch):
    line = a_model(watch)
    return lambda: line.generate((XS,), {"ys": XS, ("ys", 0): 1.0})


def a_trace_asked_for_an_unknown_address(watch):
    trace = a_model(watch).simulate((XS,))
    return lambda: trace["yss"]


# --- Values


def a_constraint_of_the_wrong_shape(watch):
    line = a_model(watch)
    return lambda: line.generate((XS,), {"ys": [1.0, 2.0]})


def one_number_for_an_array(watch):
    line = a_model(watch)
    return lambda: line.assess((XS,), {"ys": 1.0})


def an_array_for_one_number(watch):
    f = watch(gen(lambda: normal(param("mu"), 1.0) @ "x"), mu=0.0)
    return lambda: f.generate((), {"x": [1.0, 2.0]})


def a_constraint_that_is_not_a_number(watch):
    f = watch(gen(lambda: normal(param("mu"), 1.0) @ "x"), mu=0.0)
    return lambda: f.generate((), {"x": "high"})


def a_constraint_that_is_nan(watch):
    f = watch(gen(lambda: normal(param("mu"), 1.0) @ "x"), mu=0.0)
    return lambda: f.generate((), {"x": math.nan})


def a_negative_scale(watch):
    return model_with(watch, lambda: normal(0.0, -1.0) @ ("noise", 3))


def a_scale_that_has_become_negative(watch):
    f = watch(gen(lambda: normal(0.0, param("std")) @ "x"), std=1.0)
    trace = f.simulate()
    set_param(f, "std", -0.5)
    return trace.accumulate_param_gradients


def arguments_of_a_distribution_that_do_not_fit_together(watch):
    return model_with(watch, lambda: normal(np.zeros(2), np.ones(3)) @ "x")


# --- Parameters


def a_parameter_never_initialised(watch):
    return model_with(watch, lambda: param("kpt"))


def a_parameter_never_initialised_in_a_callee(watch):
    @gen
    def callee():
        return param("mu")

    watch(callee)
    return model_with(watch, lambda: callee() @ "part")


def init_outside_the_constraint(watch):
    line = a_model(watch)
    return lambda: init_param(line, "noise", 0.0, constraint=positive)


def set_outside_the_constraint(watch):
    line = a_model(watch)
    return lambda: set_param(line, "noise", -1.0)


def set_outside_the_simplex(watch):
    f = watch(gen(lambda: param("p")), {"p": simplex}, p=[0.5, 0.5])
    return lambda: set_param(f, "p", [0.5, 0.6])


def an_init_in_a_model_outside_the_constraint(watch):
    return model_with(watch, lambda: param("std", -1.0, constraint=positive))


def a_model_method(action):
    def row(watch):
        line = a_model(watch)
        return lambda: action(line)

    return row


def param_outside(watch):
    a_model(watch)
    return lambda: param("slope")


def a_choice_outside(watch):
    a_model(watch)
    return lambda: normal(0.0, 1.0) @ "x"


def an_inlined_call_outside(watch):
    line = a_model(watch)
    return lambda: line.inline(XS)


# --- Arguments


def too_few_arguments_at_the_top(watch):
    line = a_model(watch)
    return lambda: line.simulate(())


def too_many_arguments_at_the_top(watch):
    line = a_model(watch)
    return lambda: line.assess((XS, XS), {"ys": XS})


def too_few_arguments_of_a_callee(watch):
    line = a_model(watch)
    return model_with(watch, lambda: line() @ "line")


def an_unknown_keyword_of_a_callee(watch):
    line = a_model(watch)
    return model_with(watch, lambda: line(XS, noise=1.0) @ "line")


def too_many_arguments_of_an_inlined_call(watch):
    line = a_model(watch)
    return model_with(watch, lambda: line.inline(XS, XS))


def wrong_arguments_of_a_distribution(watch):
    return model_with(watch, lambda: normal(0.0) @ "x")


def an_unknown_keyword_of_a_distribution(watch):
    return model_with(watch, lambda: normal(0.0, sd=1.0) @ "x")


def args_that_are_no_tuple(watch):
    line = a_model(watch)
    return lambda: line.simulate(XS)


def unknown_arg_grads(watch):
    a_model(watch)
    return lambda: gen(arg_grads=("xss",))(lambda xs: xs)


def arg_grads_given_as_text(watch):
    a_model(watch)
    return lambda: gen(arg_grads="xs")(lambda xs: xs)


# --- Updates


def an_update(**by_name):
    def row(watch):
        @gen
        def known_to_updates():
            return param("slope")

        watch(known_to_updates, slope=1.0)
        return lambda: (known_to_updates, ParamUpdate(ADAM(0.1), **by_name))

    return row


def two_live_functions_of_one_name(watch):
    def make():
        @gen
        def an_ambiguous_name():
            return param("a")

        return watch(an_ambiguous_name, a=1.0)

    both = [make(), make()]
    return lambda: (both, ParamUpdate(ADAM(0.1), an_ambiguous_name=["a"]))


def grads_of_the_wrong_shape(watch):
    a_model(watch)
    return lambda: watch.updates[0].apply(grads={"slope": 1.0, "intercept": [1.0, 2.0]})


def grads_for_an_unknown_parameter(watch):
    a_model(watch)
    return lambda: watch.updates[0].apply(grads={"slope": 1.0, "slop": 1.0})


def apply_with_nothing_accumulated(watch):
    line = a_model(watch)
    for name in line.params:
        line.params[name].zero_grad()
    return watch.updates[0].apply


def apply_a_gradient_that_is_not_finite(watch):
    @gen
    def overflowing():
        w = param("w")
        normal(w, 1.0) @ "good"
        normal(np.sqrt(w), 1.0) @ "bad"

    watch(overflowing, w=[1.0, 2.0])
    trace = overflowing.simulate()
    set_param(overflowing, "w", [0.0, 1.0])
    with np.errstate(divide="ignore"):
        trace.accumulate_param_gradients()
    return watch.updates[0].apply


def apply_nan_given_by_hand(watch):
    a_model(watch)
    return lambda: watch.updates[0].apply(grads={"slope": math.nan})


# --- Gradients


def at_gradient_time(body):
    """A body that runs, and fails when its gradient is taken."""

    def row(watch):
        f = watch(gen(lambda: body(param("a"), param("w"))), a=0.3, w=[1.0, 2.0])
        return f.simulate().accumulate_param_gradients

    return row


def exponential_by_math(a, w):
    return normal(0.0, math.exp(a)) @ "x"


def assignment_into_an_array(a, w):
    array = np.zeros(2)
    array[0] = a
    return normal(array, 1.0) @ "x"


def assignment_of_an_array(a, w):
    array = np.zeros((2, 2))
    array[0] = w
    return normal(array, 1.0) @ "x"


def addition_in_place(a, w):
    mean = np.zeros(2)
    mean += a
    return normal(mean, 1.0) @ "x"


def a_parameter_as_an_index(a, w):
    return normal(w[int(a)], 1.0) @ "x"


def a_retval_grad(returned, retval_grad):
    def row(watch):
        f = watch(gen(lambda: returned(param("w"))), w=[1.0, 2.0])
        trace = f.simulate()
        return lambda: trace.accumulate_param_gradients(retval_grad)

    return row


def one_failing_trace_among_several(watch):
    line = a_model(watch)
    bad = watch(gen(lambda: normal(0.0, math.exp(param("a"))) @ "x"), a=0.3)
    traces = [line.simulate((XS,)), bad.simulate(), line.simulate((XS,))]
    return lambda: accumulate_param_gradients(traces)


def more_scales_than_traces(watch):
    trace = a_model(watch).simulate((XS,))
    return lambda: accumulate_param_gradients([trace], scale=[1.0, 2.0])


# --- Edits of traces


def a_branching_trace(watch):
    @gen
    def below(x):
        return normal(x, param("std")) @ "v"

    @gen
    def other(x):
        return normal(x, 1.0) @ "v"

    @gen
    def branching(first):
        x = normal(param("mu"), 1.0) @ "x"
        param("declared", 1.0)
        poisson(2.0) @ ("deep", "count")
        return (below if first else other)(x) @ "part"

    watch(other)
    watch(below, std=1.0)
    return watch(branching, mu=0.5).simulate((True,))


def an_edit(action):
    def row(watch):
        trace = a_branching_trace(watch)
        return lambda: action(trace)

    return row


EDITS = {
    "an update that constrains an unvisited address": (
        an_edit(lambda t: t.update({"xx": 1.0})),
        UnusedConstraint,
        "branching never visited 'xx'; did you mean 'x'",
    ),
    "an update that constrains a call": (
        an_edit(lambda t: t.update({"part": 1.0})),
        UnusedConstraint,
        "'part' is a call; give values for the choices nested under it",
    ),
    "an update that changes the function at an address": (
        an_edit(lambda t: t.update({}, (False,))),
        AddressConflict,
        "the call at 'part' changed from below to other; give each function an address of its own",
    ),
    "a regeneration that changes the function at an address": (
        an_edit(lambda t: t.regenerate("x", (False,))),
        AddressConflict,
        "the call at 'part' changed from below to other",
    ),
    "a regeneration of an address that is not there": (
        an_edit(lambda t: t.regenerate(["x", "y"])),
        UnknownAddress,
        "there is nothing at or below the selected address 'y'",
    ),
    "a projection on an address that is not there": (
        an_edit(lambda t: t.project(("deep", "cuont"))),
        UnknownAddress,
        r"\('deep', 'cuont'\); did you mean \('deep', 'count'\)",
    ),
    "a choice gradient at an address that is not there": (
        an_edit(lambda t: t.choice_gradients("y")),
        UnknownAddress,
        "there is nothing at or below the selected address 'y'",
    ),
    "a choice gradient of a discrete choice": (
        an_edit(lambda t: t.choice_gradients(["x", "deep"])),
        DistributionError,
        r"\('deep', 'count'\) is discrete \(poisson\).*select continuous choices only",
    ),
    "a choice gradient with a retval_grad that does not fit": (
        an_edit(lambda t: t.choice_gradients("x", np.ones(2))),
        ShapeError,
        r"the return value has shape \(\); retval_grad has shape \(2,\)",
    ),
    "an edit with arguments that are no tuple": (
        an_edit(lambda t: t.update({}, True)),
        ArgumentError,
        r"one tuple and come first, got bool; write \(first,\)",
    ),
    "a merge of maps that both have a value": (
        an_edit(lambda t: t.choices.merge({"x": 1.0})),
        AddressConflict,
        "both maps have a value for 'x'",
    ),
    "a merge of a value below another": (
        an_edit(lambda t: t.choices.merge({("x", "y"): 1.0})),
        AddressConflict,
        r"\('x', 'y'\) is nested under the value for 'x'",
    ),
}


# --- Combinators


def combined(combinator, *args):
    """Simulating a model that has a parameter, declares another and runs a combinator."""

    def row(watch):
        kernel = watch(gen(lambda x, y: normal(param("mu") * x, 1.0) @ "x"), mu=1.0)
        return model_with(watch, lambda: combinator(kernel)(*args) @ "part")

    return row


COMBINATORS = {
    "map over unequal lengths": (
        combined(map_, [1.0, 2.0], [1.0]),
        ShapeError,
        "needs mapped arguments of one length, got x: 2, y: 1",
    ),
    "map over a number": (
        combined(map_, [1.0, 2.0], 1.0),
        ShapeError,
        r"the mapped argument y is 1\.0; give one entry for each call, or name it in shared=",
    ),
    "map over nothing": (
        combined(lambda kernel: map_(kernel, shared=("x", "y")), 1.0, 2.0),
        ShapeError,
        "of one length, got shared ones only",
    ),
    "map sharing an unknown argument": (
        combined(lambda kernel: map_(kernel, shared=("z",)), [1.0], [2.0]),
        ArgumentError,
        "has no argument 'z'; known: x, y",
    ),
    "map of a plain function": (
        combined(lambda _: map_(len), [1.0]),  # pyright: ignore[reportArgumentType]
        ArgumentError,
        "map_ takes a generative function, got .*@gen",
    ),
    "unfold with a negative length": (
        combined(unfold, -1, 1.0),
        ShapeError,
        "needs a length that is a whole number, at least 0, got -1",
    ),
    "unfold with half a step": (
        combined(unfold, 1.5, 1.0),
        ShapeError,
        r"needs a length that is a whole number, at least 0, got 1\.5",
    ),
    "switch with an unknown case": (
        combined(lambda kernel: switch(left=kernel, right=kernel), "rihgt", 1.0, 2.0),
        ArgumentError,
        "switch has no case 'rihgt'; did you mean right",
    ),
    "switch with a branch that is a distribution": (
        combined(lambda kernel: switch(kernel, normal), 1, 0.0),  # pyright: ignore[reportArgumentType]
        ArgumentError,
        r"case 1 of a switch takes a function of @gen, got normal\(mu, std\)",
    ),
    "a mask of a distribution": (
        combined(lambda kernel: mask(normal), True, 0.0),  # pyright: ignore[reportArgumentType]
        ArgumentError,
        r"mask takes a function of @gen, got normal\(mu, std\)",
    ),
}


# --- Gradients by hand


def by_hand(gradient):
    def row(watch):
        @gen
        def f():
            normal(param("mu"), 1.0) @ "x"
            return custom_gradient(lambda a, w: a * w, gradient)(param("mu"), param("w")) @ "y"

        trace = watch(f, mu=0.5, w=[1.0, 2.0]).simulate()
        return lambda: trace.accumulate_param_gradients(np.ones(2))

    return row


def random_by_hand(gradients):
    def row(watch):
        f = custom_random(
            lambda rng, m: rng.normal(m), lambda x, m: -x * x, gradients, ("m",), name="odd"
        )
        trace = watch(f, m=0.5).simulate()
        return trace.accumulate_param_gradients

    return row


BY_HAND = {
    "a gradient by hand of the wrong count": (
        by_hand(lambda inputs, r, g: (g @ inputs[1],)),
        GradientShapeError,
        "must be a tuple of 2, one for each input, got 1",
    ),
    "a gradient by hand of the wrong shape": (
        by_hand(lambda inputs, r, g: (g, g)),
        GradientShapeError,
        r"by its input 0 must have shape \(\), got \(2,\)",
    ),
    "gradients by hand of a random function of the wrong count": (
        random_by_hand(lambda x, m: (0.0,)),
        GradientShapeError,
        "gradient of odd must be a tuple of 2, one for each input, got 1",
    ),
    "gradients by hand of a random function of the wrong shape": (
        random_by_hand(lambda x, m: (0.0, [0.0])),
        GradientShapeError,
        r"gradient of odd by its input 1 must have shape \(\), got \(1,\)",
    ),
    "a gradient by hand with more parameters than inputs": (
        combined(lambda _: custom_gradient(lambda x: x, lambda i, r, g: (g,), ("a", "b")), 1.0),
        ArgumentError,
        r"takes 1 inputs, fewer than the parameters \('a', 'b'\)",
    ),
}


# --- A model that fails


def an_exception_in_a_nested_model(watch):
    def fails():
        param("also declared", 1.0)
        normal(0.0, 1.0) @ "x"
        raise KeyError("the model's own")

    inner = watch(gen(fails))
    return model_with(watch, lambda: inner() @ "inner")


ROWS = {
    a_choice_used_in_arithmetic: (UnaddressedChoice, r'normal\(\.\.\.\) @ "name"'),
    a_choice_compared: (UnaddressedChoice, r'poisson\(\.\.\.\) @ "name"'),
    a_choice_returned: (UnaddressedChoice, r'returned normal\(\.\.\.\).*@ "name"'),
    a_choice_returned_by_a_callee: (UnaddressedChoice, r"returned normal\(\.\.\.\)"),
    a_choice_as_an_argument: (UnaddressedChoice, r'mu of normal is normal\(\.\.\.\).*@ "name"'),
    a_choice_as_an_argument_of_a_callee: (UnaddressedChoice, r'normal\(\.\.\.\) @ "name"'),
    a_choice_among_the_arguments_of_numpy: (UnaddressedChoice, r'normal\(\.\.\.\) @ "name"'),
    a_call_used_in_arithmetic: (UnaddressedChoice, r'\(\.\.\.\) @ "name"'),
    a_constraint_that_is_never_visited: (UnusedConstraint, "line never visited 'y'.*'ys'"),
    a_constraint_never_visited_by_a_model_that_declares: (UnusedConstraint, "never visited 'z'"),
    a_constraint_on_the_address_of_a_call: (UnusedConstraint, "'part' is a call; give values"),
    a_missing_address_in_assess: (MissingChoice, "line needs a value for 'ys'"),
    an_extra_address_in_assess: (UnusedConstraint, "line never visited 'zs'.*'ys'"),
    constraints_that_overlap: (AddressConflict, r"\('ys', 0\) is nested under the value for 'ys'"),
    a_trace_asked_for_an_unknown_address: (UnknownAddress, "no choice at 'yss'.*'ys'"),
    a_constraint_of_the_wrong_shape: (ShapeError, r"at 'ys':.*shape \(3,\) here, got \(2,\)"),
    one_number_for_an_array: (ShapeError, r"at 'ys':.*shape \(3,\) here, got \(\)"),
    an_array_for_one_number: (ShapeError, r"at 'x':.*shape \(\) here, got \(2,\).*size=\(2,\)"),
    a_constraint_that_is_not_a_number: (DistributionError, "at 'x': expected numbers.*high"),
    a_constraint_that_is_nan: (DistributionError, "at 'x':.*NaN"),
    a_negative_scale: (DistributionError, r"\('noise', 3\): std of normal must be above 0.*-1\.0"),
    a_scale_that_has_become_negative: (DistributionError, r"at 'x':.*above 0.*-0\.5"),
    arguments_of_a_distribution_that_do_not_fit_together: (ShapeError, r"at 'x':.*\(2,\), \(3,\)"),
    a_parameter_never_initialised: (UninitializedParameter, r"init_param\(f, 'kpt'.*kept"),
    a_parameter_never_initialised_in_a_callee: (UninitializedParameter, r"init_param\(callee, 'mu"),
    init_outside_the_constraint: (ConstraintError, "is not positive: every entry must be above 0"),
    set_outside_the_constraint: (ConstraintError, "is not positive: every entry must be above 0"),
    set_outside_the_simplex: (ConstraintError, "is not simplex:.*sum to 1"),
    an_init_in_a_model_outside_the_constraint: (ConstraintError, "is not positive"),
    param_outside: (NotRunning, r"param\('slope'\) is outside.*@gen"),
    a_choice_outside: (NotRunning, r"normal\(\.\.\.\) @ 'x' is outside.*@gen"),
    an_inlined_call_outside: (NotRunning, r"line\.inline\(\.\.\.\) is outside"),
    too_few_arguments_at_the_top: (ArgumentError, r"line\(xs\) was given 0 arguments: missing"),
    too_many_arguments_at_the_top: (ArgumentError, r"line\(xs\) was given 2 arguments"),
    too_few_arguments_of_a_callee: (ArgumentError, r"line\(xs\) was given 0 arguments: missing"),
    an_unknown_keyword_of_a_callee: (ArgumentError, r"line\(xs\).*'noise'"),
    too_many_arguments_of_an_inlined_call: (ArgumentError, r"line\(xs\) was given 2 arguments"),
    wrong_arguments_of_a_distribution: (ArgumentError, r"write normal\(mu, std\); got 1 by pos"),
    an_unknown_keyword_of_a_distribution: (
        ArgumentError,
        r"normal\(mu, std\) has no argument 'sd'; write std",
    ),
    args_that_are_no_tuple: (
        ArgumentError,
        r"one tuple and come first, got ndarray; write \(xs,\)",
    ),
    unknown_arg_grads: (ArgumentError, "no argument 'xss'; did you mean xs"),
    arg_grads_given_as_text: (ArgumentError, r"write \('xs',\)"),
    two_live_functions_of_one_name: (UnknownFunction, "2 live functions.*pass the function"),
    grads_of_the_wrong_shape: (ShapeError, r"'intercept' must have shape \(3,\).*got \(2,\)"),
    grads_for_an_unknown_parameter: (UnknownParameter, "no parameter 'slop'.*slope"),
    apply_with_nothing_accumulated: (NothingAccumulated, r"line\.slope.*before apply"),
    apply_a_gradient_that_is_not_finite: (
        NonFiniteGradient,
        "overflowing's parameter 'w' is not finite at step 2; the log probability of 'bad' made it",
    ),
    apply_nan_given_by_hand: (NonFiniteGradient, "line's parameter 'slope' .* step 2"),
    one_failing_trace_among_several: (TracedValueError, r"write np\.exp"),
    more_scales_than_traces: (ShapeError, "1 traces need one scale or 1, got 2"),
    an_exception_in_a_nested_model: (KeyError, "the model's own"),
}

NAMED_ROWS = {
    "an address visited twice": (
        lambda watch: visits(watch, "x", "x"),
        AddressConflict,
        "f visited 'x' twice; give each choice its own address",
    ),
    "a choice below another": (
        lambda watch: visits(watch, "x", ("x", 1)),
        AddressConflict,
        r"f visited \('x', 1\), nested under the choice at 'x'",
    ),
    "a choice above another": (
        lambda watch: visits(watch, ("x", 1), "x"),
        AddressConflict,
        "f visited 'x' twice; other choices are nested under it",
    ),
    "an unhashable address": (
        lambda watch: visits(watch, ["x"]),
        AddressError,
        r"made of hashable keys, got \['x'\]",
    ),
    "an unhashable key in a path": (
        lambda watch: visits(watch, ("x", {})),
        AddressError,
        r"made of hashable keys, got \{\} in \('x', \{\}\)",
    ),
    "a path in a path": (
        lambda watch: visits(watch, ("x", (1, 2))),
        AddressError,
        r"flat tuple of keys.*write \('x', 1, 2\)",
    ),
    "an unhashable object inside a hashable key": (
        lambda watch: visits(watch, ("x", Key([1]))),
        AddressError,
        r"Key\(items=\[1\]\)\) is not hashable",
    ),
    "init_param with text": (
        a_model_method(lambda f: init_param(f, "slope", "steep")),
        InvalidValue,
        "parameter 'slope' must be a number or an array of numbers, got 'steep'",
    ),
    "set_param with another shape": (
        a_model_method(lambda f: set_param(f, "intercept", 0.0)),
        ShapeError,
        r"parameter 'intercept' has shape \(3,\), got \(\); init_param",
    ),
    "set_param of an unknown name": (
        a_model_method(lambda f: set_param(f, "slop", 0.0)),
        UnknownParameter,
        "line has no parameter 'slop'; did you mean slope",
    ),
    "get_param of an unknown name": (
        a_model_method(lambda f: get_param(f, "noize")),
        UnknownParameter,
        "did you mean noise",
    ),
    "set_param_grad of another shape": (
        a_model_method(lambda f: set_param_grad(f, "intercept", [1.0])),
        ShapeError,
        r"gradient of parameter 'intercept' must have shape \(3,\), got \(1,\)",
    ),
    "increment_param_grad of another shape": (
        a_model_method(lambda f: increment_param_grad(f, "slope", [1.0, 2.0])),
        ShapeError,
        r"gradient of parameter 'slope' must have shape \(\), got \(2,\)",
    ),
    "an update of an unknown function": (
        an_update(known_to_update=["slope"]),
        UnknownFunction,
        "no generative function is named 'known_to_update'; did you mean known_to_updates",
    ),
    "an update of an unknown parameter": (
        an_update(known_to_updates=["slope", "slop"]),
        UnknownParameter,
        "known_to_updates has no parameter 'slop'; did you mean slope",
    ),
    "an update of names given as text": (
        an_update(known_to_updates="slope"),
        UpdateError,
        r"write \['slope'\]",
    ),
    "math.exp of a parameter": (
        at_gradient_time(exponential_by_math),
        TracedValueError,
        r"math module.*write np\.exp.*line \d+ of .*test_bad_input\.py: .*math\.exp\(a\)",
    ),
    "assignment of a parameter into an array": (
        at_gradient_time(assignment_into_an_array),
        TracedValueError,
        r"assignment into an array.*np\.stack.*line \d+ of .*test_bad_input\.py",
    ),
    "assignment of an array of parameters": (
        at_gradient_time(assignment_of_an_array),
        TracedValueError,
        r"assignment into an array.*np\.stack.*line \d+ of .*test_bad_input\.py",
    ),
    "addition in place": (
        at_gradient_time(addition_in_place),
        TracedValueError,
        r"in-place.*x = x \+ y instead of x \+= y.*line \d+ of .*test_bad_input\.py",
    ),
    "a parameter as an index": (
        at_gradient_time(a_parameter_as_an_index),
        TracedValueError,
        r"int\(\).*discrete choice.*test_bad_input\.py",
    ),
    "retval_grad of another shape": (
        a_retval_grad(lambda w: w, np.ones(3)),
        ShapeError,
        r"return value has shape \(2,\); retval_grad has shape \(3,\)",
    ),
    "retval_grad of another length": (
        a_retval_grad(lambda w: (w, w), (np.ones(2),)),
        ShapeError,
        "return value has 2 parts",
    ),
    "retval_grad of other keys": (
        a_retval_grad(lambda w: {"a": w}, {"b": np.ones(2)}),
        ShapeError,
        r"dictionary with keys \['a'\]",
    ),
    "retval_grad of another shape in a part": (
        a_retval_grad(lambda w: {"a": (w, w[0])}, {"a": (None, np.ones(2))}),
        ShapeError,
        r"return value\['a'\]\[1\] has shape \(\); retval_grad has shape \(2,\)",
    ),
    "a retval_grad of a dictionary for a number": (
        a_retval_grad(lambda w: w[0], {"a": 1.0}),
        ShapeError,
        "return value",
    ),
    "a retval_grad where nothing is returned": (
        a_retval_grad(lambda w: None, 1.0),
        ShapeError,
        "return value",
    ),
}

TABLE = [
    pytest.param(row, error, message, id=row.__name__.replace("_", " "))
    for row, (error, message) in ROWS.items()
] + [
    pytest.param(row, error, message, id=name)
    for rows in (NAMED_ROWS, EDITS, COMBINATORS, BY_HAND)
    for name, (row, error, message) in rows.items()
]


@pytest.mark.parametrize(("row", "error", "message"), TABLE)
def test_a_mistake_is_told_and_changes_nothing(row, error, message):
    watch = Watch()
    wrong = row(watch)
    before = watch.snapshot()
    with pytest.raises(error, match=message):
        wrong()
    assert watch.snapshot() == before
    assert_the_library_still_works()


def assert_the_library_still_works():
    with pytest.raises(NotRunning):
        param("a")

    @gen
    def f():
        return normal(param("mu", 0.0), 1.0) @ "x"

    trace, weight = f.generate((), {"x": 1.0})
    update = ParamUpdate(ADAM(0.5), f)
    trace.accumulate_param_gradients()
    update.apply()
    assert weight == trace.log_prob
    assert f.params["mu"].value == pytest.approx(0.5, abs=1e-6)


def test_a_whole_number_as_a_parameter_works_as_a_float():
    @gen
    def f():
        return normal(param("a"), 1.0) @ "x"

    init_param(f, "a", 1)
    trace, _ = f.generate((), {"x": 2})
    update = ParamUpdate(ADAM(0.25), f)
    trace.accumulate_param_gradients()
    update.apply()
    assert get_param(f, "a") == pytest.approx(1.25, abs=1e-6)


def test_a_mistake_below_a_store_of_its_own_changes_nothing():
    theta = ParamStore(w=[1.0, 2.0])
    update = ParamUpdate(ADAM(0.1), theta)
    for wrong in ({"w": 1.0}, {"v": 1.0}, {"w": [math.inf, 0.0]}, {}):
        with pytest.raises((ShapeError, UnknownParameter, UpdateError)):
            update.apply(grads=wrong)
    assert theta["w"].value.tolist() == [1.0, 2.0]
    assert update.steps == 0


def test_a_choice_map_with_a_mistake_in_it_is_refused_before_anything_runs():
    ran = []
    f = gen(lambda: ran.append(1))
    with pytest.raises(AddressConflict):
        f.generate((), {"a": 1.0, ("a", "b"): 2.0})
    with pytest.raises(AddressConflict):
        f.assess((), ChoiceMap({"a": {"b": 1.0}, ("a", "b"): 2.0}))
    assert ran == []
