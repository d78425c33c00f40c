"""What beginners do wrong: each mistake has an error of the library that says what to write.

Laws walk over every public function; the table holds mistakes that nothing but an example finds.
"""

# pyright: reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportIndexIssue=false, reportOptionalMemberAccess=false, reportGeneralTypeIssues=false
# pyright: reportOperatorIssue=false

import functools
import math
import pickle

import numpy as np
import pytest

import genparams
from genparams import (
    ADAM,
    SGD,
    ChoiceMap,
    FixedStepGradientDescent,
    ParamStore,
    ParamUpdate,
    ReduceOnPlateau,
    RMSProp,
    Rule,
    accumulate,
    accumulate_param_gradients,
    bernoulli,
    beta,
    binomial,
    by_name,
    categorical,
    check_gradients,
    cosine_decay,
    custom_gradient,
    custom_random,
    distribution,
    elementwise,
    exponential,
    gamma,
    gen,
    get_param,
    increment_param_grad,
    init_param,
    interval,
    load_checkpoint,
    map_,
    mask,
    mixture,
    normal,
    ordered,
    param,
    poisson,
    positive,
    project,
    recurse,
    save_checkpoint,
    select,
    set_param,
    set_param_grad,
    simplex,
    stateful,
    stateless,
    student_t,
    switch,
    transformed,
    truncated,
    unfold,
    unit_interval,
)
from genparams.constraints import lower_cholesky
from genparams.errors import (
    AddressError,
    ArgumentError,
    ConstraintError,
    GenParamsError,
    ImmutableError,
    InvalidValue,
    ShapeError,
    UnaddressedChoice,
    UninitializedParameter,
    UnknownAddress,
    UnknownAttribute,
    UnknownFunction,
    UnknownImport,
    UnknownParameter,
    UnusedConstraint,
    UpdateError,
)
from genparams.vocabulary import ELSEWHERE, OURS

XS = np.array([0.0, 1.0, 2.0])


@gen
def line(xs):
    slope, noise = param("slope", 0.0), param("noise", 1.0, constraint=positive)
    return normal(slope * xs, noise) @ "ys"


@gen
def inner(x):
    return normal(x, 1.0) @ "x"


@gen
def outer(x):
    return inner(x) @ "part"


@gen
def several(xs):
    return map_(inner)(xs) @ "g"


def a_trace():
    return line.generate((XS,), {"ys": XS})[0]


def a_run(body, *args):
    return lambda: gen(body).simulate(args)


def a_method():
    class Model:
        @gen
        def step(self, x):
            return x

    return Model


def an_asynchronous_function():
    async def f():
        return 1.0

    return gen(f)


def a_generator():
    def f():
        yield 1.0

    return gen(f)


RUNS = {
    "one number for the arguments": (
        lambda: line.simulate(5),
        ArgumentError,
        r"got int; write \(xs,\)",
    ),
    "a list for the arguments": (lambda: line.simulate([XS]), ArgumentError, r"write \(xs,\)"),
    "arguments by name": (
        lambda: line.simulate(xs=XS),
        ArgumentError,
        "no argument 'xs'; known: args",
    ),
    "no arguments for a function without": (
        lambda: gen(lambda: 1.0).simulate(5),
        ArgumentError,
        r"got int; write \(\)",
    ),
    "two arguments that are no tuple": (
        lambda: gen(lambda a, b: 1.0).simulate(5),
        ArgumentError,
        r"write \(a, b\)",
    ),
    "arguments and constraints swapped": (
        lambda: line.generate({"ys": XS}, (XS,)),
        InvalidValue,
        r"arguments come first in generate\(args, constraints\)",
    ),
    "constraints alone": (
        lambda: line.generate({"ys": XS}),
        ArgumentError,
        r"got dict.*choices come after them in generate\(args, constraints\)",
    ),
    "update swapped": (
        lambda: a_trace().update((XS,), {"ys": XS}),
        InvalidValue,
        r"after the choices in trace.update\(constraints, args\)",
    ),
    "constraints as a list": (
        lambda: line.generate((XS,), [1.0]),
        InvalidValue,
        "dictionary by address",
    ),
    "seed": (lambda: line.simulate((XS,), seed=1), ArgumentError, "'seed'; write rng"),
    "random_state": (lambda: line.propose((XS,), random_state=1), ArgumentError, "write rng"),
    "observations": (lambda: line.generate((XS,), obs={}), ArgumentError, "write constraints"),
    "a seed that is no number": (
        lambda: line.simulate((XS,), rng="a"),
        InvalidValue,
        "seed, or None",
    ),
    "a negative seed": (lambda: line.generate((XS,), {}, rng=-1), InvalidValue, "at least 0"),
    "generate not unpacked": (
        lambda: line.generate((XS,), {}).accumulate_param_gradients(),
        UnknownAttribute,
        r"write trace, weight = generate\(",
    ),
    "generate not unpacked, an address": (
        lambda: line.generate((XS,), {})["ys"],
        ArgumentError,
        r"write trace, weight = generate\(",
    ),
    "update not unpacked": (
        lambda: a_trace().update({}).log_prob,
        UnknownAttribute,
        r"write trace, weight, discard = update\(",
    ),
    "regenerate not unpacked": (
        lambda: a_trace().regenerate("ys").choices,
        UnknownAttribute,
        r"write trace, weight = regenerate\(",
    ),
    "propose not unpacked": (
        lambda: line.propose((XS,)).choices,
        UnknownAttribute,
        r"write choices, weight, retval = propose\(",
    ),
    "assess not unpacked": (
        lambda: line.assess((XS,), {"ys": XS}).log_prob,
        UnknownAttribute,
        r"write log_prob, retval = assess\(",
    ),
    "simulate unpacked": (
        lambda: [*line.simulate((XS,))],
        ArgumentError,
        "no parts to unpack",
    ),
    "a value at a call, not strict": (
        lambda: outer.generate((0.0,), {"part": 1.0}, strict=False),
        UnusedConstraint,
        "'part' is a call",
    ),
    "a value above choices, not strict": (
        lambda: gen(lambda: normal(0.0, 1.0) @ ("a", 0)).generate((), {"a": 1.0}, strict=False),
        UnusedConstraint,
        "are nested under it",
    ),
    "a map below a choice, not strict": (
        lambda: line.generate((XS,), {"ys": {0: 1.0}}, strict=False),
        UnusedConstraint,
        "'ys' is a choice and has one value",
    ),
    "an array for a map": (
        lambda: several.generate((XS,), {"g": XS}),
        UnusedConstraint,
        r"write \{'g': ChoiceMap.rows\(\{'x': array\}\)\}",
    ),
    "an array below a map": (
        lambda: several.generate((XS,), {("g", "x"): XS}),
        UnusedConstraint,
        r"write \{'g': ChoiceMap.rows\(\{'x': array\}\)\}",
    ),
    "an array for a map at the top": (
        lambda: map_(inner).generate((XS,), {"x": XS}),
        UnusedConstraint,
        r"write ChoiceMap.rows\(\{'x': array\}\)",
    ),
}

RECORDS = {
    "a choice assigned": (
        lambda: a_trace().__setitem__("ys", 1.0),
        ImmutableError,
        r"trace.update\(",
    ),
    "an attribute assigned": (
        lambda: setattr(a_trace(), "retval", 1.0),
        UnknownAttribute,
        "does not change",
    ),
    "score": (lambda: a_trace().score, UnknownAttribute, "write trace.log_prob"),
    "get_retval": (lambda: a_trace().get_retval(), UnknownAttribute, "write trace.retval"),
    "backward": (lambda: a_trace().backward(), UnknownAttribute, "accumulate_param_gradients"),
    "weight=": (
        lambda: a_trace().accumulate_param_gradients(weight=2.0),
        ArgumentError,
        "'weight'; write scale",
    ),
    "a choice below a choice": (
        lambda: a_trace().choices["ys", 0],
        UnknownAddress,
        "'ys' is a choice",
    ),
    "a view of a choice": (
        lambda: a_trace().choices.view("ys"),
        UnknownAddress,
        "'ys' is a choice",
    ),
    "a view below a choice": (
        lambda: ChoiceMap({"a": 1.0}).view(("a", 0)),
        UnknownAddress,
        "'a' is a choice",
    ),
    "an unhashable key": (lambda: ChoiceMap({"a": 1.0})[["a"]], AddressError, "hashable"),
    "an unhashable key asked for": (
        lambda: ["a"] in ChoiceMap({"a": 1.0}),
        AddressError,
        "hashable",
    ),
    "a choice map assigned": (lambda: ChoiceMap().__setitem__("a", 1.0), ImmutableError, "merge"),
    "a choice deleted": (lambda: ChoiceMap({"a": 1.0}).__delitem__("a"), ImmutableError, "without"),
    "pop": (lambda: ChoiceMap({"a": 1.0}).pop("a"), UnknownAttribute, "without"),
    "update": (lambda: ChoiceMap({"a": 1.0}).update({"b": 1.0}), UnknownAttribute, "merge"),
    "a choice map of a list": (lambda: ChoiceMap([1.0]), InvalidValue, "dictionary by address"),
    "a choice map by names": (lambda: ChoiceMap(a=1.0), ArgumentError, "no argument 'a'"),
    "NaN as a key": (lambda: ChoiceMap({math.nan: 1.0}), AddressError, "NaN"),
    "one key twice": (
        lambda: ChoiceMap({("a", 1): 1.0, "a": {True: 2.0}}),
        GenParamsError,
        "given twice",
    ),
    "rows of a number": (lambda: ChoiceMap.rows({"x": 1.0}), ShapeError, "one entry for each call"),
    "rows of several lengths": (
        lambda: ChoiceMap.rows({"x": [1.0], "y": [1.0, 2.0]}),
        ShapeError,
        "2 for 'y' and 1 for 'x'",
    ),
    "rows of nothing": (lambda: ChoiceMap.rows({}), ShapeError, "rows takes one array or several"),
}

MODELS = {
    "a float before @": (a_run(lambda: 1.0 @ "x"), ArgumentError, "is before @ must be a call"),
    "a function before @": (a_run(lambda: normal @ "x"), UnaddressedChoice, r"normal\(mu, std\) @"),
    "a function in arithmetic": (a_run(lambda: 1.0 + inner), UnaddressedChoice, r"inner\(x\) @"),
    "a call as an address": (
        a_run(lambda: normal(0.0, 1.0) @ inner(0.0)),
        AddressError,
        "hashable",
    ),
    "NaN as an address": (a_run(lambda: normal(0.0, 1.0) @ math.nan), AddressError, "NaN"),
    "an attribute of a call": (
        a_run(lambda: normal(0.0, 1.0).sum()),
        UnaddressedChoice,
        r'@ "name"\).sum',
    ),
    "a call in a returned dictionary": (
        a_run(lambda: {"a": [normal(0.0, 1.0)]}),
        UnaddressedChoice,
        "returned normal",
    ),
    "a constraint without a value": (
        a_run(lambda: param("s", constraint=positive)),
        ArgumentError,
        r"write param\('s', value, constraint=positive\)",
    ),
    "a keyword of param": (
        a_run(lambda: param("s", value=1.0)),
        ArgumentError,
        r'param\("name", value',
    ),
    "a constraint as text": (
        a_run(lambda: param("s", 1.0, constraint="positive")),
        ConstraintError,
        "one such as positive",
    ),
    "a parameter as a count": (
        a_run(lambda: list(range(param("n", 3)))),
        ArgumentError,
        "take a count or an index from an argument",
    ),
    "a list times a parameter": (
        a_run(lambda: param("a", 2.0) * [1.0]),
        ArgumentError,
        r"np.array",
    ),
    "a condition of an array": (
        a_run(lambda: 1 if param("w", [1.0, 2.0]) > 0 else 2),
        InvalidValue,
        "np.where",
    ),
    "a parameter changed in place": (
        a_run(lambda: param("w", [1.0, 2.0]).__setitem__(0, 1.0)),
        InvalidValue,
        "are not changed",
    ),
    "twice generative": (lambda: gen(inner), ArgumentError, "generative already"),
    "a class": (lambda: gen(Exception), ArgumentError, "def or lambda"),
    "a builtin function": (lambda: gen(math.exp), ArgumentError, "write a function around it"),
    "a partial function": (lambda: gen(functools.partial(max, 1)), ArgumentError, "def or lambda"),
    "a method": (a_method, ArgumentError, "step as a function outside the class"),
    "a class method": (
        lambda: gen(classmethod(lambda cls: 1)),
        ArgumentError,
        "@staticmethod above",
    ),
    "asynchronous": (an_asynchronous_function, ArgumentError, "def without async"),
    "a generator": (a_generator, ArgumentError, r"return \[\.\.\.\]"),
    "fit": (lambda: line.fit(XS), UnknownAttribute, r"ParamUpdate\(ADAM"),
    "log_prob of a function": (lambda: line.log_prob(XS), UnknownAttribute, "assess"),
    "sample of a function": (lambda: line.sample(XS), UnknownAttribute, "simulate"),
    "pdf": (lambda: normal.pdf(0.0), UnknownAttribute, "log_prob"),
    "rvs": (lambda: normal.rvs(0.0, 1.0), UnknownAttribute, r"sample\("),
    "a count for arg_grads": (
        lambda: unfold(normal, 3),
        ArgumentError,
        "arg_grads is a tuple of names",
    ),
    "a switch of nothing": (lambda: switch(), ArgumentError, r"such as switch\(f, g\)"),
    "numbers for functions": (lambda: custom_gradient(1.0, 2.0), ArgumentError, "two functions"),
    "a check of no model": (
        lambda: check_gradients(len),
        ArgumentError,
        r"check_gradients\(f, args",
    ),
    "a function for a trace": (
        lambda: accumulate_param_gradients(line),
        ArgumentError,
        "f.generate",
    ),
    "an unpacked keyword of a mixture": (
        lambda: mixture(weights=[1.0], comps=[normal(0.0, 1.0)]),
        ArgumentError,
        "did you mean components",
    ),
}


def gen_with(**values):
    @gen
    def f():
        return 1.0

    for name, value in values.items():
        init_param(f, name, value)
    return f


PARAMETERS = {
    "the name first": (lambda: init_param("slope", line, 1.0), UnknownFunction, "before the name"),
    "init=": (lambda: init_param(gen_with(), "a", init=1.0), ArgumentError, "'init'; write value"),
    "no value": (lambda: init_param(gen_with(), "a"), ArgumentError, "'value'"),
    "a pair for a constraint": (
        lambda: init_param(gen_with(), "a", 0.5, constraint=(0, 1)),
        ConstraintError,
        r"interval\(0, 1\)",
    ),
    "bounds=": (
        lambda: init_param(gen_with(), "a", 0.5, bounds=(0, 1)),
        ArgumentError,
        "write constraint",
    ),
    "text for an interval": (lambda: interval("a", "b"), ConstraintError, "two numbers"),
    "assigned to the store": (
        lambda: gen_with().params.__setitem__("a", 1.0),
        ImmutableError,
        r"init_param\(f, 'a', value\)",
    ),
    "one that there is not yet": (
        lambda: get_param(gen_with(), "a"),
        UnknownParameter,
        r"init_param\(f, 'a', value\)",
    ),
    "a dictionary for a store": (
        lambda: line.with_params({"slope": 1.0}),
        InvalidValue,
        r"ParamStore\(name=value",
    ),
    "read before it has a value": (
        a_run(lambda: param("a")),
        UninitializedParameter,
        r"param\('a', value\) in the model",
    ),
}

UPDATES = {
    "lr": (lambda: ADAM(lr=0.1), ArgumentError, "'lr'; write learning_rate"),
    "lr of a fixed step": (
        lambda: FixedStepGradientDescent(lr=0.1),
        ArgumentError,
        "write step_size",
    ),
    "betas": (lambda: ADAM(betas=(0.9, 0.99)), ArgumentError, "write beta1 and beta2"),
    "eps": (lambda: ADAM(eps=1e-8), ArgumentError, "write epsilon"),
    "momentum": (lambda: SGD(momentum=0.9), ArgumentError, "the rule Momentum has it"),
    "step": (lambda: ParamUpdate(ADAM(), line).step(), UnknownAttribute, r"update.apply\(\)"),
    "a rule and a function swapped": (
        lambda: ParamUpdate(line, ADAM()),
        UpdateError,
        "takes a rule",
    ),
    "select of a list": (lambda: select(["a", "b"]), AddressError, "hashable"),
}


@gen
def calls_in_a_mixture():
    parts = [normal(0.0, 1.0) @ "a", normal(1.0, 1.0) @ "b"]
    return mixture([0.5, 0.5], parts) @ "x"


def an_update():
    return ParamUpdate(ADAM(0.1), ParamStore(a=1.0))


def a_step(rule):
    return lambda: ParamUpdate(rule(), ParamStore(a=1.0)).apply({"a": 1.0})


FUNCTIONS = {
    "a schedule without a count": (
        lambda: ADAM(lambda: 0.1),
        InvalidValue,
        r"a schedule is a function of \(count\), and <lambda>\(\) is not",
    ),
    "a schedule that is not made": (lambda: ADAM(cosine_decay), InvalidValue, "'steps'"),
    "a schedule that gives nothing": (
        a_step(lambda: ADAM(lambda count: None)),
        InvalidValue,
        "got None at count 0",
    ),
    "a negative rate": (a_step(lambda: ADAM(lambda count: -0.1)), InvalidValue, "at least 0"),
    "a schedule that fails": (
        a_step(lambda: SGD(lambda count: 1.0 / count)),
        InvalidValue,
        r"fails at count 0 \(the first is 0\): ZeroDivisionError",
    ),
    "a number for a rule": (lambda: stateless(0.5), UpdateError, r"\(directions, theta\), got 0.5"),
    "a rule of one argument": (
        lambda: stateless(lambda g: g),
        UpdateError,
        r"\(directions, theta\), and <lambda>\(g\) is not",
    ),
    "a rule with a state, of two": (
        lambda: stateful(lambda theta: {}, lambda g, state: (g, state)),
        UpdateError,
        r"apply of stateful is a function of \(directions, state, theta\)",
    ),
    "a formula of one argument": (
        lambda: elementwise(lambda g: g),
        UpdateError,
        r"formula of elementwise is a function of \(g, theta\), and <lambda>\(g\) is not",
    ),
    "a formula without its fields": (
        lambda: elementwise(lambda g, theta: g, fields={"v": 0.0}),
        UpdateError,
        r"is a function of \(g, theta, v\)",
    ),
    "a formula in words": (lambda: elementwise("g"), UpdateError, "got 'g'"),
    "half a rule": (lambda: Rule(ADAM), ArgumentError, "argument: 'apply'"),
    "a projection that gives nothing": (
        a_step(lambda: project(SGD(0.1), lambda x: None)),
        UpdateError,
        "must give numbers, got None",
    ),
    "a projection of two": (
        lambda: project(SGD(0.1), lambda x, y: x),
        UpdateError,
        r"of \(array\), and <lambda>\(x, y\) is not",
    ),
    "a gradient of one argument": (
        lambda: custom_gradient(lambda x: x, lambda x: 2.0),
        ArgumentError,
        r"of \(inputs, r, g\), and <lambda>\(x\) is not",
    ),
    "gradients of a random function": (
        lambda: custom_random(None, lambda x, rate: 0.0, lambda x: (1.0,), params=["rate"]),
        ArgumentError,
        r"gradients of custom_random is a function of \(x, rate\)",
    ),
    "@distribution alone": (
        lambda: distribution(lambda x, m: -((x - m) ** 2)),
        ArgumentError,
        r"sample of @distribution\(sample=...\) is a function of \(rng, size\)",
    ),
    "a sampler without size": (
        lambda: distribution(lambda rng, m: m, lambda x, m: x - m),
        ArgumentError,
        "unexpected keyword argument 'size'",
    ),
    "a sampler of fewer arguments": (
        lambda: distribution(lambda rng, m, size: m, lambda x, m, s: x - m),
        ArgumentError,
        r"of \(rng, m, s, size\), and <lambda>\(rng, m, size\) is not",
    ),
    "a kernel without a step": (
        lambda: unfold(inner),
        ArgumentError,
        r"the kernel of unfold is a function of \(step, state\), and inner\(x\) is not",
    ),
    "an aggregate without results": (
        lambda: recurse(inner, inner),
        ArgumentError,
        r"aggregate of recurse is a function of \(value, results\)",
    ),
}

FLAGS = {
    name: (wrong, InvalidValue, f"{name} is True or False, got")
    for name, wrong in {
        "strict": lambda: line.generate((XS,), {}, strict="no"),
        "minimize": lambda: ParamUpdate(ADAM(0.1), line, minimize="yes"),
        "callees": lambda: ParamUpdate(ADAM(0.1), line, callees=["a"]),
        "mean": lambda: accumulate(ADAM(0.1), 2, "sum"),
        "decay_by_root": lambda: SGD(0.1, decay_by_root=None),
        "discrete": lambda: distribution(lambda rng, size: 0.0, lambda x: x, discrete=2),
        "maximize": lambda: ReduceOnPlateau(an_update(), maximize="max"),
        "partial": lambda: load_checkpoint("none.npz", partial="model"),
    }.items()
}

CALLS = {
    "loc": (lambda: normal(loc=0.0, scale=1.0), ArgumentError, "'loc'; write mu$"),
    "sigma": (lambda: normal(mu=0.0, sigma=1.0), ArgumentError, "'sigma'; write std$"),
    "p": (lambda: binomial(10, p=0.3), ArgumentError, "'p'; write probs$"),
    "lam": (lambda: poisson(lam=3.0), ArgumentError, "'lam'; write rate$"),
    "the scale of a rate": (lambda: exponential(scale=2.0), ArgumentError, "rate, which is 1 / sc"),
    "nu": (lambda: student_t(nu=3.0, loc=0.0, scale=1.0), ArgumentError, "'nu'; write df$"),
    "a": (lambda: beta(a=1.0, b=2.0), ArgumentError, "'a'; write alpha$"),
    "concentration": (
        lambda: gamma(concentration=2.0, rate=1.0),
        ArgumentError,
        r"gamma\(shape, scale=...\) or gamma\(shape, rate=...\) has no .*; write shape$",
    ),
    "shape for size": (lambda: normal(0.0, 1.0, shape=3), ArgumentError, "write size$"),
    "both of two forms": (
        lambda: bernoulli(0.5, logits=0.0),
        ArgumentError,
        r"write bernoulli\(probs\) or bernoulli\(logits=...\); got 1 by position and logits",
    ),
    "labels for probabilities": (
        lambda: categorical(["a", "b"], [0.5, 0.5]),
        ArgumentError,
        r"categorical\(probs, labels=...\)",
    ),
    "the address as an argument": (
        lambda: normal("x", 0.0, 1.0),
        ArgumentError,
        "the address comes after @",
    ),
    "a size that is no count": (
        a_run(lambda: normal(0.0, 1.0, size=2.5) @ "x"),
        ShapeError,
        "at 'x': size of normal is a whole number, at least 0, or a tuple .*got 2.5",
    ),
    "a negative size": (lambda: normal.sample(0.0, 1.0, size=-1), ShapeError, "got -1$"),
    "None as an argument": (
        a_run(lambda: normal(None, 1.0) @ "x"),
        ArgumentError,
        "at 'x': mu of normal must be a number or an array of numbers, got None",
    ),
    "a mixture swapped": (
        lambda: mixture([normal(0.0, 1.0), normal(1.0, 1.0)], [0.5, 0.5]),
        ArgumentError,
        r"got 0.5 .*; write mixture\(weights, components\)",
    ),
    "a mixture without a list": (
        lambda: mixture([0.5, 0.5], normal(0.0, 1.0), normal(1.0, 1.0)),
        ArgumentError,
        "the components of a mixture are one list",
    ),
    "calls that were run, in a mixture": (
        lambda: calls_in_a_mixture.simulate(),
        ArgumentError,
        "a call inside another takes no @",
    ),
    "a distribution that is not called": (
        lambda: truncated(normal, 0.0, 1.0),
        ArgumentError,
        r"got normal without its arguments; write truncated\(base, low, high\)",
    ),
    "transformed swapped": (
        lambda: transformed(positive, normal(0.0, 1.0)),
        ArgumentError,
        r"write transformed\(base, bijection\)",
    ),
    "a flag that is no flag": (
        lambda: mask(inner).simulate((0.0, True)),
        ArgumentError,
        "is True or False, got 0.0",
    ),
    "branches as a list": (lambda: switch([inner, inner]), ArgumentError, "one after the other"),
    "a call is run": (lambda: line(XS).simulate(), UnknownAttribute, r"write f.simulate\(args\)"),
    "a constraint called": (lambda: positive(), ArgumentError, "write constraint=positive$"),
    "a scale that is NaN": (
        lambda: a_trace().accumulate_param_gradients(scale=math.nan),
        InvalidValue,
        "scale must be a finite number, got nan",
    ),
    "T_max": (lambda: cosine_decay(0.1, T_max=10), ArgumentError, "'T_max'; write steps$"),
    "alpha of RMSProp": (lambda: RMSProp(alpha=0.9), ArgumentError, "learning_rate or rho$"),
    "lr by name": (lambda: by_name("adam", lr=0.1), InvalidValue, "'lr'; write learning_rate$"),
    "lr of an update": (
        lambda: ParamUpdate(ADAM(), line, lr=0.1),
        UpdateError,
        r"'lr'; the learning rate belongs to the rule, as in ADAM\(0.01\)",
    ),
    "maximize": (
        lambda: ParamUpdate(ADAM(), line, maximize=True),
        UpdateError,
        "every rule climbs",
    ),
    "a rule that is not made": (lambda: ParamUpdate(ADAM, line), UpdateError, "the function ADAM$"),
    "functions as a list": (
        lambda: ParamUpdate(ADAM(), [line]),
        UnknownFunction,
        r"write ParamUpdate\(rule, f\)",
    ),
    "one rate for all": (
        lambda: an_update().set_learning_rates(0.1),
        UpdateError,
        "rates are a dictionary by name, got 0.1; the names are '1 scale_by_state'",
    ),
    "no value for a plateau": (lambda: ReduceOnPlateau(an_update()).step(), ArgumentError, "value"),
    "two values for a store": (lambda: ParamStore(1.0, 2.0), ArgumentError, "too many positional"),
    "the norm of a step that was not recorded": (
        lambda: genparams.GradientTracer().global_norm(3),
        InvalidValue,
        "no record is of step 3: the records are empty",
    ),
    "steps by assignment": (
        lambda: setattr(an_update(), "steps", 3),
        UnknownAttribute,
        "it counts the steps",
    ),
    "a scale of a gradient that is no number": (
        lambda: increment_param_grad(line, "noise", 1.0, scale="x"),
        InvalidValue,
        "scale must be a finite number, got 'x'",
    ),
    "a model for the path": (
        lambda: save_checkpoint(line, model=line),
        InvalidValue,
        "the path of a checkpoint comes first, such as 'run.npz', got <generative",
    ),
    "no path to load": (lambda: load_checkpoint(None, model=line), InvalidValue, "got None"),
    "a seed of a distribution": (
        lambda: normal.sample(0.0, 1.0, seed=1),
        ArgumentError,
        r"sample\(..., rng=seed\)",
    ),
    "rates by assignment": (
        lambda: setattr(an_update(), "learning_rates", 0.1),
        UnknownAttribute,
        "the rate is update.learning_rate",
    ),
    "freezing a function": (lambda: line.freeze(), UnknownAttribute, r"f.params\[name\].freeze"),
}

MISTAKES = [
    pytest.param(wrong, error, message, id=f"{part}: {name}")
    for part, table in (
        ("runs", RUNS),
        ("records", RECORDS),
        ("models", MODELS),
        ("parameters", PARAMETERS),
        ("updates", UPDATES),
        ("functions", FUNCTIONS),
        ("flags", FLAGS),
        ("calls", CALLS),
    )
    for name, (wrong, error, message) in table.items()
]


@pytest.mark.parametrize(("wrong", "error", "message"), MISTAKES)
def test_a_mistake_is_answered_by_what_to_write(wrong, error, message):
    with pytest.raises(error, match=message) as raised:
        wrong()
    assert isinstance(raised.value, GenParamsError)
    assert len(str(raised.value)) < 400


# --- Laws over everything public

NOT_CALLED_BY_USERS = {
    "Call",
    "Constraint",
    "Distribution",
    "GenFunction",
    "GenerativeFunction",
    "GradientCheck",
    "Parameter",
    "ParamStore",  # its keywords are names of parameters
    "Rule",
    "Selection",
    "Trace",
    "chain",  # its keywords are settings to be shown
    "param",  # of a body, whose errors are answered there
}
CALLABLE = [
    name
    for name in genparams.__all__
    if callable(getattr(genparams, name))
    and name not in NOT_CALLED_BY_USERS
    and not (
        isinstance(getattr(genparams, name), type)
        and issubclass(getattr(genparams, name), BaseException)
    )
]


@pytest.mark.parametrize("name", CALLABLE)
def test_every_public_function_answers_a_wrong_keyword(name):
    with pytest.raises(GenParamsError) as raised:
        getattr(genparams, name)(no_argument_of_this_name=1)
    assert len(str(raised.value)) < 400


def test_what_neighbouring_libraries_call_an_argument_has_names_of_ours():
    import inspect

    ours = {
        argument
        for name in genparams.__all__
        if callable(getattr(genparams, name))
        and not isinstance(getattr(genparams, name), genparams.GenerativeFunction)
        and not issubclass(type(getattr(genparams, name)), type)
        for argument in inspect.signature(getattr(genparams, name)).parameters
    }
    ours |= {"args", "constraints", "rng", "retval_grad", "scale", "size"}
    ours |= {"maximize", "minimum", "steps", "end"}  # of classes
    for name in genparams.__all__:
        thing = getattr(genparams, name)
        if isinstance(thing, genparams.Distribution):
            ours |= {*inspect.signature(thing).parameters}
    assert {n for names in OURS.values() for n in names} <= ours
    assert not OURS.keys() & {"args", "constraints", "rng"}
    assert all(hint for hint in ELSEWHERE.values())


@pytest.mark.parametrize("name", ["Adam", "adam", "normall", "Normal", "vmap", "HMCC"])
def test_a_public_name_that_is_misspelt_is_answered(name):
    with pytest.raises(UnknownImport, match=f"no name '{name}'"):
        exec(f"from genparams import {name}")
    with pytest.raises(UnknownAttribute, match=f"no name '{name}'"):
        getattr(genparams, name)
    assert not hasattr(genparams, name)
    assert not hasattr(genparams, "__no_such_name__")


@pytest.mark.parametrize("f", [line, map_(inner), normal, mixture([1.0], [normal(0.0, 1.0)]).fn])
def test_dir_shows_what_a_user_needs(f):
    shown = {name for name in dir(f) if not name.startswith("__")}
    assert {"simulate", "generate", "propose", "assess"} <= shown
    assert all(hasattr(f, name) for name in shown)
    assert shown <= {
        *("simulate", "generate", "propose", "assess", "inline", "signature", "with_params"),
        *("params", "arg_grads", "arguments", "log_prob", "log_probs", "sample"),
        *("support", "has_gradients"),
    }


def bad_array(n=10_000):
    array = np.ones(n)
    array[[17, 400]] = -1.0, np.nan
    return array


@gen
def wide(n):
    return normal(0.0, 1.0, size=n) @ "ys"


@gen
def wide_scale(scale):
    return normal(np.zeros(len(scale)), scale) @ "ys"


LARGE = bad_array()
WRONG_SIMPLEX = np.where(np.arange(10_000) == 17, -1.0, 1e-4)
WRONG_FACTOR = np.eye(100)
WRONG_FACTOR[17, 17] = -1.0
ARRAYS = {
    "real": lambda: init_param(gen_with(), "a", LARGE),
    "positive": lambda: init_param(gen_with(), "a", LARGE, constraint=positive),
    "unit_interval": lambda: init_param(gen_with(), "a", LARGE, constraint=unit_interval),
    "interval": lambda: init_param(gen_with(), "a", LARGE, constraint=interval(-0.5, 2.0)),
    "simplex": lambda: init_param(gen_with(), "a", WRONG_SIMPLEX, constraint=simplex),
    "ordered": lambda: init_param(gen_with(), "a", np.zeros(10_000), constraint=ordered),
    "lower_cholesky": lambda: init_param(gen_with(), "a", WRONG_FACTOR, constraint=lower_cholesky),
    "set_param": lambda: set_param(gen_with(a=np.ones(10_000)), "a", LARGE),
    "param": a_run(lambda: param("a", LARGE, constraint=positive)),
    "a scale": lambda: wide_scale.simulate((LARGE,)),
    "a list of scales": lambda: wide_scale.simulate((LARGE.tolist(),)),
    "a probability": a_run(lambda: bernoulli(2.0 * np.abs(np.nan_to_num(LARGE))) @ "x"),
    "data": lambda: wide.generate((10_000,), {"ys": LARGE}),
    "a list of data": lambda: wide.generate((10_000,), {"ys": LARGE.tolist()}),
}
WHOLE_ARRAYS = {
    "another shape": lambda: set_param(gen_with(a=1.0), "a", LARGE),
    "a gradient": lambda: set_param_grad(gen_with(a=1.0), "a", LARGE.tolist()),
    "text": lambda: init_param(gen_with(), "a", ["text"] * 10_000),
    "constraints": lambda: line.generate((XS,), LARGE.tolist()),
    "choices": lambda: line.assess((XS,), [LARGE]),
    "an address": lambda: ChoiceMap()[LARGE.tolist()],
    "a path": lambda: ChoiceMap()["a", tuple(range(10_000))],
    "a length": lambda: unfold(inner).simulate((LARGE.tolist(), 1.0)),
    "a case": lambda: switch(inner).simulate((LARGE.tolist(), 1.0)),
    "a scale of gradients": lambda: a_trace().accumulate_param_gradients(scale=LARGE.tolist()),
    "a gradient of the return value": lambda: a_trace().accumulate_param_gradients(LARGE.tolist()),
    "gradients": lambda: ParamUpdate(ADAM(), gen_with(a=1.0)).apply(grads={"a": LARGE.tolist()}),
    "gradients without names": lambda: ParamUpdate(ADAM(), gen_with(a=1.0)).apply(LARGE.tolist()),
    "a store": lambda: ParamStore(LARGE.tolist()),
    "a rate": lambda: ADAM(LARGE.tolist()),
    "shared names": lambda: map_(inner, shared=LARGE.tolist()),
    "choices as a vector": lambda: ChoiceMap({"a": 1.0}).from_array(LARGE.tolist()),
    "a merge": lambda: ChoiceMap({"a": LARGE}).merge({"a": LARGE}),
    "a limit": a_run(lambda: truncated(LARGE, low=0.0) @ "x"),
    "components": a_run(lambda: mixture([1.0], LARGE.tolist()) @ "x"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_a_wrong_entry_of_a_large_array_is_named_by_its_index(name):
    with pytest.raises(GenParamsError) as raised:
        ARRAYS[name]()
    said = str(raised.value)
    assert len(said) < 400
    wanted = {"bernoulli": "0", "ordered": "1", "lower_cholesky": "17, 17"}
    assert "index" in said or "[" in said
    assert wanted.get(name, "") in said


@pytest.mark.parametrize("name", WHOLE_ARRAYS)
def test_no_message_holds_a_whole_array(name):
    with pytest.raises(GenParamsError) as raised:
        WHOLE_ARRAYS[name]()
    assert len(str(raised.value)) < 400


def test_an_entry_is_named_with_its_index_its_value_and_how_many_are_wrong():
    with pytest.raises(
        ConstraintError, match=r"^parameter 'a': -1\.0 at index 17 \(2 of 10000 ent"
    ):
        ARRAYS["positive"]()
    with pytest.raises(GenParamsError, match=r"^at 'ys': "):
        ARRAYS["a scale"]()


# --- What stays usable


def test_results_are_tuples_that_pickle():
    for results in (
        line.generate((XS,), {}, rng=0),
        line.propose((XS,), rng=0),
        line.assess((XS,), {"ys": XS}),
        a_trace().update({"ys": XS}),
        a_trace().regenerate("ys", rng=0),
    ):
        assert isinstance(results, tuple)
        assert results[0] is next(iter(results))
        assert len(results[:1]) == 1
        again = pickle.loads(pickle.dumps(results))
        assert type(again) is type(results)
        assert len(again) == len(results)
        assert not hasattr(results, "__no_such_name__")


def test_a_choice_map_gives_a_default_where_nothing_is():
    choices = ChoiceMap({"a": 1.0, "b": {"c": 2.0}})
    assert choices.get("q") is None
    assert choices.get("q", 0.0) == 0.0
    assert choices.get("a", 0.0) == 1.0
    assert choices.get(("b", "c"), 0.0) == 2.0
    assert choices.get("b") == ChoiceMap({"c": 2.0})
    assert choices.get(("a", "c"), 0.0) == 0.0
    assert choices.view("q") == ChoiceMap()
    assert choices.view(()) == choices
    assert "a" in choices
    assert "q" not in choices


def test_a_trace_knows_what_is_at_its_addresses():
    trace, _ = outer.generate((0.0,), {"part": {"x": 1.0}})
    assert "part" in trace
    assert ("part", "x") in trace
    assert "x" not in trace


def test_a_lenient_generate_lets_pass_what_another_run_may_visit():
    trace, weight = line.generate((XS,), {"ys": XS, "q": 1.0, ("r", 0): 2.0}, strict=False)
    assert weight == trace.log_prob


# --- Flags, functions of the user, and methods


def test_every_flag_is_true_or_false():
    import inspect

    checked = 0
    for name in CALLABLE:
        function = getattr(genparams, name)
        if isinstance(function, genparams.GenerativeFunction):
            continue
        for flag, p in inspect.signature(function).parameters.items():
            if type(p.default) is bool:
                with pytest.raises(InvalidValue, match=f"{flag} is True or False, got 'no'"):
                    function(**{flag: "no"})
                checked += 1
    assert checked >= 20


METHODS = {
    "Parameter": (ParamStore(a=1.0)["a"], ("set", "set_grad", "increment_grad")),
    "ParamStore": (ParamStore(a=1.0), ("init",)),
    "ParamUpdate": (an_update(), ("state_dict", "load_state_dict", "set_learning_rates")),
    "ReduceOnPlateau": (ReduceOnPlateau(an_update()), ("step", "load_state_dict")),
    "GradientTracer": (genparams.GradientTracer(), ("global_norm",)),
    "Trace": (a_trace(), ("accumulate_param_gradients", "update", "regenerate", "rescored")),
    "ChoiceMap": (ChoiceMap({"a": 1.0}), ("merge", "select", "without", "rows", "from_array")),
    "Selection": (select("a"), ("check",)),
    "GenFunction": (line, ("simulate", "generate", "propose", "assess", "with_params")),
}


@pytest.mark.parametrize(("thing", "names"), METHODS.values(), ids=METHODS)
def test_every_method_answers_a_wrong_keyword(thing, names):
    for name in names:
        with pytest.raises(ArgumentError, match="no argument 'no_argument_of_this_name'"):
            getattr(thing, name)(no_argument_of_this_name=1)


def test_a_schedule_that_fails_changes_nothing():
    theta = ParamStore(a=1.0)
    update = ParamUpdate(SGD(lambda count: 1.0 / (1 - count)), theta)
    update.apply({"a": 1.0})
    before = theta["a"].value, update.state_dict()
    with pytest.raises(InvalidValue, match="fails at count 1"):
        update.apply({"a": 1.0})
    assert (theta["a"].value, update.state_dict()) == before


def test_the_datasets_are_there_without_an_import():
    assert len(genparams.datasets.mtcars()["mpg"]) == 32
