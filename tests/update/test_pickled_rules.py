"""Rules and updates pickle and copy, and go on to the same bits."""

import copy
import gc
import pickle
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import genparams
from genparams import (
    ADAM,
    AdamW,
    GradientTracer,
    Momentum,
    ParamStore,
    ParamUpdate,
    Rule,
    accumulate,
    add_decayed_weights,
    add_noise,
    by_name,
    centralize,
    chain,
    clip,
    clip_by_global_norm,
    clip_by_norm,
    cosine_decay,
    elementwise,
    gen,
    identity,
    init_param,
    known_rules,
    momentum_trace,
    normal,
    only,
    param,
    partition,
    positive,
    project,
    project_box,
    scale,
    scale_by_inverse_time,
    scale_by_schedule,
    scale_by_state,
    scale_by_trust_ratio,
    stateful,
    stateless,
    with_schedule,
)
from genparams.errors import StateMismatch, UnknownParameter

NEEDED = {
    "fixedstepgradientdescent": {"step_size": 0.01},
    "gradientdescent": {"step_size_init": 0.01, "step_size_beta": 5.0},
}


def halved(g, theta):
    return {k: 0.5 * d for k, d in g.items()}


def no_state(theta):
    return {"seen": dict.fromkeys(theta, 0.0)}


def seen(g, state, theta):
    return dict(g), {"seen": {**state["seen"], **dict.fromkeys(g, 1.0)}}


def doubled(g, theta, kept):
    return 2.0 * g, kept + g * g


def is_a(key):
    return key.name == "a"


SCALED = [n for n in genparams.__all__ if n.startswith("scale_by_")]
RULES = {
    **{name: partial(by_name, name, **NEEDED.get(name, {})) for name in known_rules()},
    **{
        name: getattr(genparams, name)
        for name in SCALED
        if name not in ("scale_by_state", "scale_by_schedule", "scale_by_inverse_time")
    },
    "scale_by_state": lambda: scale_by_state(0.1),
    "scale_by_schedule": lambda: scale_by_schedule(cosine_decay(0.1, 10)),
    "scale_by_inverse_time": lambda: scale_by_inverse_time(0.1, 2.0),
    "accumulate": lambda: accumulate(ADAM(0.1), 2),
    "add_decayed_weights": lambda: add_decayed_weights(0.1),
    "a mask": lambda: add_decayed_weights(0.1, "a"),
    "add_noise": lambda: add_noise(seed=3),
    "centralize": centralize,
    "chain": lambda: chain(clip(1.0), ADAM(0.1), scale_by_trust_ratio()),
    "clip": lambda: clip(0.1),
    "clip_by_norm": lambda: clip_by_norm(0.1),
    "clip_by_global_norm": lambda: clip_by_global_norm(0.1),
    "elementwise": lambda: elementwise(doubled, fields={"kept": 0.0}, name="doubled"),
    "identity": lambda: chain(identity, scale(0.1)),
    "momentum_trace": lambda: momentum_trace(0.5, nesterov=True),
    "only": lambda: only(scale(0.1), is_a),
    "partition": lambda: partition({"a": AdamW(0.1, mask="a"), "*": Momentum(0.1)}),
    "project": lambda: project(ADAM(0.1), partial(project_box, low=-0.1, high=0.1)),
    "scale": lambda: scale(0.1),
    "stateful": lambda: stateful(no_state, seen, "seen"),
    "stateless": lambda: stateless(halved),
    "with_schedule": lambda: with_schedule(ADAM(0.1), cosine_decay(0.1, 10)),
    "a rule by its fields": lambda: Rule(no_state, seen, "by hand"),
    "a rule that was renamed": lambda: replace(stateful(no_state, seen), name="renamed"),
}
each_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


def made(rule):
    theta = ParamStore(a=np.linspace(-1, 1, 5), b=0.3, f=np.ones(3, np.float32))
    theta.init("s", 2.0, positive)
    return theta, ParamUpdate(rule, theta)


def go_on(update, theta, seed, steps=3):
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        update.apply(grads={n: rng.standard_normal(p.shape) for n, p in theta.items()})


def bits(theta, update):
    values = [np.asarray(p.value).tobytes() for p in theta.values()]
    return values, {k: v.tobytes() for k, v in update.state_dict().items()}


@each_rule
def test_a_pickled_rule_is_the_same_rule(rule):
    rule = rule()
    twin = pickle.loads(pickle.dumps(rule))
    assert repr(twin) == repr(rule)
    (one, first), (two, second) = made(rule), made(twin)
    go_on(first, one, 0)
    go_on(second, two, 0)
    assert bits(one, first) == bits(two, second)
    assert copy.copy(rule) is rule
    assert copy.deepcopy(rule) is rule


@each_rule
def test_a_pickled_update_goes_on_to_the_same_bits(rule):
    theta, update = made(rule())
    go_on(update, theta, 0)
    other, twin = pickle.loads(pickle.dumps((theta, update)))
    assert repr(twin) == repr(update)
    for moved, by in ((theta, update), (other, twin)):
        go_on(by, moved, 1)
    assert bits(theta, update) == bits(other, twin)


@pytest.mark.parametrize("copied", [copy.copy, lambda u: copy.copy(copy.copy(u))])
def test_a_copied_update_moves_the_same_parameters_from_a_state_of_its_own(copied):
    theta, update = made(ADAM(0.1))
    go_on(update, theta, 0)
    expected = bits(*made_again(3))
    twin = copied(update)
    state = update.state_dict()
    go_on(twin, theta, 5)
    for name, value in update.state_dict().items():
        np.testing.assert_array_equal(value, state[name])
    assert (update.steps, twin.steps) == (3, 6)
    assert bits(*made_again(3)) == expected


def made_again(steps):
    theta, update = made(ADAM(0.1))
    go_on(update, theta, 0, steps)
    return theta, update


def test_a_copy_does_not_spoil_the_original():
    theta, update = made(ADAM(0.1))
    go_on(update, theta, 0)
    copy.copy(update)
    twin = copy.copy(update)
    twin.learning_rate = 5.0
    go_on(update, theta, 1)
    other, reference = made(ADAM(0.1))
    go_on(reference, other, 0)
    go_on(reference, other, 1)
    assert bits(theta, update) == bits(other, reference)


def test_a_deep_copy_has_parameters_of_its_own():
    theta, update = made(ADAM(0.1))
    go_on(update, theta, 0)
    other, twin = copy.deepcopy((theta, update))
    before = bits(theta, update)
    go_on(twin, other, 1)
    assert bits(theta, update) == before
    go_on(update, theta, 1)
    assert bits(theta, update) == bits(other, twin)


@gen
def pickled_model():
    return normal(param("mu"), param("sd")) @ "x"


TARGETS = {
    "the function": lambda rule, **k: ParamUpdate(rule, pickled_model, **k),
    "by name": lambda rule, **k: ParamUpdate(rule, pickled_model=["mu"], **k),
    "by a dictionary": lambda rule, **k: ParamUpdate(rule, {pickled_model: ["sd"]}, **k),
    "callees": lambda rule, **k: ParamUpdate(rule, pickled_model, callees=True, **k),
}


@pytest.mark.parametrize("make", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("copied", [lambda u: pickle.loads(pickle.dumps(u)), copy.deepcopy])
def test_functions_go_by_their_names(make, copied):
    init_param(pickled_model, "mu", 0.0)
    init_param(pickled_model, "sd", 1.0, positive)
    tracer = GradientTracer()
    update = make(ADAM(0.1), minimize=True, on_nonfinite="skip", tracer=tracer)
    for p in update.parameters().values():
        p.increment_grad(1.0)
    update.apply()
    twin = copied(update)
    assert twin.parameters() == update.parameters()
    assert (twin.minimize, twin.on_nonfinite, twin.steps) == (True, "skip", 1)
    assert twin.tracer is not tracer
    assert twin.tracer.records == tracer.records
    assert {k: v.tolist() for k, v in twin.state_dict().items()} == {
        k: v.tolist() for k, v in update.state_dict().items()
    }


def test_an_update_whose_parameters_are_gone_is_not_unpickled():
    init_param(pickled_model, "mu", 0.0)
    init_param(pickled_model, "sd", 1.0)
    update = ParamUpdate(ADAM(0.1), pickled_model)
    named = ParamUpdate(ADAM(0.1), pickled_model=["mu"])
    whole, one = pickle.dumps(update), pickle.dumps(named)
    pickled_model.params.discard("mu")
    with pytest.raises(StateMismatch, match="pickled_model/mu is not in this update"):
        pickle.loads(whole)
    with pytest.raises(UnknownParameter, match="no parameter 'mu'"):
        pickle.loads(one)


def test_an_update_of_a_function_that_is_gone_says_so():
    def made():
        @gen
        def passing():
            return normal(param("mu"), 1.0) @ "x"

        init_param(passing, "mu", 0.0)
        return ParamUpdate(ADAM(0.1), {passing: ["mu"]})

    update = made()
    gc.collect()
    with pytest.raises(pickle.PicklingError, match=r"the function whose parameters .* is gone"):
        pickle.dumps(update)


def test_a_rule_of_a_local_function_says_which_does_not_pickle():
    with pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        pickle.dumps(stateless(lambda g, theta: dict(g)))
