"""Named rules: three steps written out by hand, the laws that all keep, and two other systems."""

import copy
import math
import pickle
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from genparams.errors import InvalidValue
from genparams.params import ParamStore
from genparams.update.adaptive import (
    scale_by_adadelta,
    scale_by_adam,
    scale_by_adamax,
    scale_by_amsgrad,
    scale_by_belief,
    scale_by_nadam,
    scale_by_radam,
    scale_by_rms,
    scale_by_rss,
    scale_by_stddev,
    scale_by_yogi,
)
from genparams.update.clipping import scale_by_trust_ratio
from genparams.update.momentum import momentum_trace, scale_by_lion
from genparams.update.named_rules import (
    ADAM,
    LAMB,
    LARS,
    SGD,
    AdaBelief,
    AdaDelta,
    AdaGrad,
    Adamax,
    AdamW,
    AMSGrad,
    FixedStepGradientDescent,
    GradientDescent,
    Lion,
    Momentum,
    NAdam,
    Nesterov,
    RAdam,
    RMSProp,
    Yogi,
)
from genparams.update.param_update import ParamUpdate
from genparams.update.rule import chain, stateless
from genparams.update.scaling import scale, scale_by_inverse_time
from genparams.update.schedules import cosine_decay, one_over_sqrt, polynomial_decay

GRADIENTS = (3.0, -1.0, 0.5)
THETA = 2.0

# --- Three steps by hand: gradients 3, -1, 0.5 at theta = 2, with beta1 = 0.9 and beta2 = 0.99

M = (0.3, 0.17, 0.203)
"""m <- 0.9 m + 0.1 g."""
V = (0.09, 0.0991, 0.100609)
"""v <- 0.99 v + 0.01 g^2."""
C1 = (0.1, 0.19, 0.271)
"""1 - 0.9^t."""
C2 = (0.01, 0.0199, 0.029701)
"""1 - 0.99^t."""


def adam(t, epsilon=1e-3, root=0.0):
    return (M[t] / C1[t]) / (math.sqrt(V[t] / C2[t] + root) + epsilon)


def amsgrad_by_hand():
    """The squares 9, 0.25, 0.25 with beta2 = 0.5: 4.5, 2.375, 1.3125, so that the first is top."""
    m1, m2, m3 = 0.1 * 3.0, 0.27 + 0.1 * -0.5, 0.198 + 0.1 * 0.5
    return (
        (m1 / 0.1) / (math.sqrt(4.5 / 0.5) + 1e-3),
        (m2 / 0.19) / (math.sqrt(4.5 / 0.75) + 1e-3),
        (m3 / 0.271) / (math.sqrt(4.5 / 0.875) + 1e-3),
    )


def belief_by_hand():
    s1 = 0.01 * (3.0 - 0.3) ** 2 + 1e-4
    s2 = 0.99 * s1 + 0.01 * (-1.0 - 0.17) ** 2 + 1e-4
    s3 = 0.99 * s2 + 0.01 * (0.5 - 0.203) ** 2 + 1e-4
    return (
        (0.3 / 0.1) / (math.sqrt(s1 / 0.01) + 1e-3),
        (0.17 / 0.19) / (math.sqrt(s2 / 0.0199) + 1e-3),
        (0.203 / 0.271) / (math.sqrt(s3 / 0.029701) + 1e-3),
    )


def radam_by_hand():
    """With beta2 = 0.9 and threshold 4 the last of five steps of gradient 2 is rectified."""
    last = 19.0
    rho4 = last - 8 * 0.9**4 / (1 - 0.9**4)
    rho5 = last - 10 * 0.9**5 / (1 - 0.9**5)
    assert rho4 < 4.0 < rho5
    r = math.sqrt((rho5 - 4) * (rho5 - 2) * last / ((last - 4) * (last - 2) * rho5))
    return (2.0, 2.0, 2.0, 2.0, r * 2.0 / (2.0 + 1e-3))


def nadam_by_hand():
    mu1, mu2, mu3, mu4 = (0.9 * (1 - 0.5 * 0.96 ** (0.5 * t)) for t in (1, 2, 3, 4))
    c1, c2, c3, c4 = mu1, mu1 * mu2, mu1 * mu2 * mu3, mu1 * mu2 * mu3 * mu4
    means = (
        (1 - mu1) * 3.0 / (1 - c1) + mu2 * 0.3 / (1 - c2),
        (1 - mu2) * -1.0 / (1 - c2) + mu3 * 0.17 / (1 - c3),
        (1 - mu3) * 0.5 / (1 - c3) + mu4 * 0.203 / (1 - c4),
    )
    return tuple(means[t] / (math.sqrt(V[t] / C2[t]) + 1e-3) for t in range(3))


def nadam_of_constant_momentum_by_hand():
    means = (
        0.1 * 3.0 / 0.1 + 0.9 * 0.3 / 0.19,
        0.1 * -1.0 / 0.19 + 0.9 * 0.17 / 0.271,
        0.1 * 0.5 / 0.271 + 0.9 * 0.203 / 0.3439,
    )
    return tuple(means[t] / (math.sqrt(V[t] / C2[t]) + 1e-3) for t in range(3))


def yogi_by_hand():
    v1 = 4.0 + 0.01 * 9.0  # v < g^2
    v2 = v1 - 0.01 * 1.0  # v > g^2
    v3 = v2 - 0.01 * 0.25
    return tuple((M[t] / C1[t]) / (math.sqrt(v / C2[t]) + 1e-3) for t, v in enumerate((v1, v2, v3)))


def rms_by_hand(form):
    """v <- 0.8 v + 0.2 g^2, m <- 0.8 m + 0.2 g."""
    v = (1.8, 1.64, 1.362)
    m = (0.6, 0.28, 0.324)
    c = (0.2, 0.36, 0.488)
    return tuple(g / form(v[t], m[t], c[t]) for t, g in enumerate(GRADIENTS))


def adadelta_by_hand():
    d1 = 3.0 * math.sqrt(0.1) / math.sqrt(1.8 + 0.1)
    u1 = 0.2 * d1**2
    d2 = -1.0 * math.sqrt(u1 + 0.1) / math.sqrt(1.64 + 0.1)
    u2 = 0.8 * u1 + 0.2 * d2**2
    return d1, d2, 0.5 * math.sqrt(u2 + 0.1) / math.sqrt(1.362 + 0.1)


def momentum_by_hand(rate=lambda t: 0.1):
    v1 = rate(0) * 3.0
    v2 = 0.5 * v1 + rate(1) * -1.0
    return v1, v2, 0.5 * v2 + rate(2) * 0.5


def lars_by_hand():
    """Penalised gradients 2.8, -1.2, 0.3, each brought to length 0.01 |theta| = 0.02."""
    v1 = 0.1 * 0.02
    v2 = 0.5 * v1 - 0.1 * 0.02
    return v1, v2, 0.5 * v2 + 0.1 * 0.02


def slowed(t):
    """Inverse decay with gamma = 1 and a rate of 0.1."""
    return 0.1 / (1 + t)


ADAM_NUMBERS = (0.1, 0.9, 0.99, 1e-3)
THREE_ADAMS = tuple(0.1 * adam(t) for t in range(3))

BY_HAND = {
    "scale_by_adam": (scale_by_adam(0.9, 0.99, 1e-3), [adam(t) for t in range(3)]),
    "scale_by_adam, in the root": (
        scale_by_adam(0.9, 0.99, 1e-3, epsilon_root=0.5),
        [adam(t, root=0.5) for t in range(3)],
    ),
    "scale_by_amsgrad": (scale_by_amsgrad(0.9, 0.5, 1e-3), amsgrad_by_hand(), (3.0, -0.5, 0.5)),
    "scale_by_belief": (scale_by_belief(0.9, 0.99, 1e-3, epsilon_root=1e-4), belief_by_hand()),
    "scale_by_radam": (scale_by_radam(0.9, 0.9, 1e-3, threshold=4.0), radam_by_hand(), (2.0,) * 5),
    "scale_by_nadam": (scale_by_nadam(0.9, 0.99, 1e-3, 0.5), nadam_by_hand()),
    "scale_by_nadam, constant": (
        scale_by_nadam(0.9, 0.99, 1e-3, None),
        nadam_of_constant_momentum_by_hand(),
    ),
    "scale_by_adamax": (
        scale_by_adamax(0.9, 0.5, 1e-3),
        [0.3 / 0.1 / 3.001, 0.17 / 0.19 / 1.5005, 0.203 / 0.271 / 0.75025],
    ),
    "scale_by_yogi": (
        scale_by_yogi(0.9, 0.99, 1e-3, initial_accumulator_value=4.0),
        yogi_by_hand(),
    ),
    "scale_by_lion": (
        scale_by_lion(0.9, 0.8),  # m: 0, 0.6, 0.28
        [math.copysign(1.0, 0.3), math.copysign(1.0, 0.54 - 0.1), math.copysign(1.0, 0.302)],
    ),
    "scale_by_rms": (scale_by_rms(0.8, 0.1), rms_by_hand(lambda v, m, c: math.sqrt(v + 0.1))),
    "scale_by_rms, epsilon outside": (
        scale_by_rms(0.8, 0.1, epsilon_in_root=False),
        rms_by_hand(lambda v, m, c: math.sqrt(v) + 0.1),
    ),
    "scale_by_rms, GoMLX's": (
        scale_by_rms(0.8, 0.1, epsilon_in_root=False, bias_correction=True),
        rms_by_hand(lambda v, m, c: math.sqrt(v / c) + 0.1),
    ),
    "scale_by_rms, initial scale": (
        scale_by_rms(0.8, 0.1, initial_scale=1.0),
        [3.0 / math.sqrt(2.7), -1.0 / math.sqrt(2.38), 0.5 / math.sqrt(1.974)],
    ),
    "scale_by_rms, centered": (
        scale_by_rms(0.8, 0.1, centered=True),
        rms_by_hand(lambda v, m, c: math.sqrt(v - m**2 + 0.1)),
    ),
    "scale_by_stddev": (
        scale_by_stddev(0.8, 0.1, epsilon_in_root=False),
        rms_by_hand(lambda v, m, c: math.sqrt(v - m**2) + 0.1),
    ),
    "scale_by_stddev, corrected": (
        scale_by_stddev(0.8, 0.1, bias_correction=True),
        rms_by_hand(lambda v, m, c: math.sqrt(v / c - (m / c) ** 2 + 0.1)),
    ),
    "scale_by_rss": (
        scale_by_rss(0.1, 0.01),
        [3.0 / math.sqrt(9.11), -1.0 / math.sqrt(10.11), 0.5 / math.sqrt(10.36)],
    ),
    "scale_by_adadelta": (scale_by_adadelta(0.8, 0.1), adadelta_by_hand()),
    "scale_by_trust_ratio": (
        scale_by_trust_ratio(0.0, 0.1, 1.0),
        [0.1 * 2.0 * 3.0 / 4.0, 0.1 * 2.0 * -1.0 / 2.0, 0.1 * 2.0 * 0.5 / 1.5],
    ),
    "scale_by_trust_ratio, least norm": (
        scale_by_trust_ratio(2.5),
        [2.5 * 3.0 / 3.0, 2.5 * -1.0 / 2.5, 2.5 * 0.5 / 2.5],
    ),
    "trace": (momentum_trace(0.5), [3.0, 0.5, 0.75]),
    "trace, nesterov": (momentum_trace(0.5, nesterov=True), [4.5, -0.75, 0.875]),
    "SGD": (SGD(0.1), [0.3, -0.1, 0.05]),
    "SGD, everything": (
        SGD(0.1, decay=1.0, decay_by_root=True, weight_decay=0.5, clip_step=0.15),
        [0.15, -0.1 / 2 * 2.0 / math.sqrt(2), -0.1 / 3 * 0.5 / math.sqrt(3)],
    ),
    "SGD, schedule": (SGD(one_over_sqrt(0.1)), [0.3, -0.1 / math.sqrt(2), 0.05 / math.sqrt(3)]),
    "Momentum": (Momentum(0.1, 0.5), momentum_by_hand()),
    "Momentum, decay": (Momentum(0.1, 0.5, decay=1.0), momentum_by_hand(slowed)),
    "Momentum, no velocity": (Momentum(0.1, 0.0, weight_decay=0.5), [0.2, -0.2, -0.05]),
    "Nesterov": (Nesterov(0.1, 0.5), [0.45, -0.075, 0.0875]),
    "Nesterov, decay": (
        Nesterov(0.1, 0.5, decay=1.0),
        [0.5 * v + slowed(t) * GRADIENTS[t] for t, v in enumerate(momentum_by_hand(slowed))],
    ),
    "ADAM": (ADAM(*ADAM_NUMBERS), THREE_ADAMS),
    "ADAM, everything": (
        ADAM(*ADAM_NUMBERS, decay=1.0, backoff_steps=1, clip_step=0.015, dtype="float64"),
        [0.0, 0.015, 0.1 * adam(2) / 3],
    ),
    "AdamW": (
        AdamW(*ADAM_NUMBERS, weight_decay=0.25),
        [0.1 * (adam(t) - 0.25 * 2.0) for t in range(3)],
    ),
    "AdamW, clipped": (
        AdamW(*ADAM_NUMBERS, weight_decay=2.0, clip_step=0.35),
        [0.1 * (adam(0) - 4.0), -0.35, -0.35],
    ),
    "AdamW, of others": (AdamW(*ADAM_NUMBERS, mask="b"), THREE_ADAMS),
    "Adamax": (
        Adamax(0.1, 0.9, 0.5, 1e-3),
        [0.3 / 3.001, 0.1 * 0.17 / 0.19 / 1.5005, 0.1 * 0.203 / 0.271 / 0.75025],
    ),
    "AMSGrad": (
        AMSGrad(0.1, 0.9, 0.5, 1e-3),
        [0.1 * d for d in amsgrad_by_hand()],
        (3.0, -0.5, 0.5),
    ),
    "NAdam": (NAdam(*ADAM_NUMBERS, momentum_decay=0.5), [0.1 * d for d in nadam_by_hand()]),
    "RAdam": (
        RAdam(0.1, 0.9, 0.9, 1e-3, threshold=4.0),
        [0.1 * d for d in radam_by_hand()],
        (2.0,) * 5,
    ),
    "AdaBelief": (AdaBelief(*ADAM_NUMBERS, epsilon_root=1e-4), [0.1 * d for d in belief_by_hand()]),
    "Yogi": (Yogi(*ADAM_NUMBERS, initial_accumulator_value=4.0), [0.1 * d for d in yogi_by_hand()]),
    "RMSProp": (RMSProp(0.1, 0.8, 0.1), rms_by_hand(lambda v, m, c: math.sqrt(v + 0.1) / 0.1)),
    "RMSProp, momentum": (
        RMSProp(0.1, 0.0, 1e-12, momentum=0.5, nesterov=True),  # of signs: 1, -1/2, 3/4
        [0.15, -0.125, 0.1375],
    ),
    "AdaGrad": (
        AdaGrad(0.1, 0.1, 0.01),
        [0.3 / math.sqrt(9.11), -0.1 / math.sqrt(10.11), 0.05 / math.sqrt(10.36)],
    ),
    "AdaDelta": (AdaDelta(0.5, 0.8, 0.1), [0.5 * d for d in adadelta_by_hand()]),
    "Lion": (Lion(0.1, 0.9, 0.8, weight_decay=0.25), [0.05, 0.05, 0.05]),
    "LAMB": (LAMB(0.1, weight_decay=0.5), [0.1 * 2.0 * s for s in (-1.0, -1.0, -1.0)]),
    "LARS": (LARS(0.1, 0.5, 0.1, 0.01), lars_by_hand()),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_the_steps_are_those_written_by_hand(name):
    rule, expected, *given = BY_HAND[name]
    theta = {"a": THETA}
    state = rule.init(theta)
    for g, direction in zip(given[0] if given else GRADIENTS, expected, strict=True):
        found, state = rule.apply({"a": g}, state, theta)
        assert found["a"] == pytest.approx(direction, rel=1e-13)


# --- Laws

DEFAULTS = [
    *(scale_by_adam(), scale_by_amsgrad(), scale_by_belief(), scale_by_radam(), scale_by_nadam()),
    *(scale_by_adamax(), scale_by_yogi(), scale_by_lion(), scale_by_rms(), scale_by_rss()),
    *(scale_by_rss(0.0), scale_by_rms(epsilon_in_root=False), scale_by_stddev()),
    *(scale_by_stddev(bias_correction=True), scale_by_stddev(epsilon_in_root=False)),
    *(scale_by_adadelta(), scale_by_trust_ratio(), momentum_trace(), momentum_trace(nesterov=True)),
    *(FixedStepGradientDescent(0.1), GradientDescent(0.1, 1.0), SGD(), Momentum(), Nesterov()),
    *(ADAM(), AdamW(), Adamax(), AMSGrad(), NAdam(), RAdam(), AdaBelief(), Yogi(), RMSProp()),
    *(AdaGrad(), AdaDelta(), Lion(), LAMB(), LARS()),
    *(SGD(decay=0.1, decay_by_root=True, clip_step=1.0), RMSProp(momentum=0.9, nesterov=True)),
    *(ADAM(decay=0.1, backoff_steps=2, clip_step=1.0, dtype="float64"), LAMB(weight_decay=0.1)),
    *(scale(-2.0), chain(), chain(scale(2.0), scale_by_inverse_time(1.0, 1.0))),
    stateless(lambda g, theta: {k: d - theta[k] for k, d in g.items()}),
]
ELEMENTWISE = [rule for rule in DEFAULTS if rule.pieces is not None]
every = pytest.mark.parametrize("rule", DEFAULTS, ids=repr)
each_elementwise = pytest.mark.parametrize("rule", ELEMENTWISE, ids=repr)


def parameters(value):
    """One of each kind: a float, a matrix, one of float32, one with nothing in it."""
    return {
        "scalar": float(value),
        "matrix": np.full((2, 3), value),
        "single": np.full(4, value, np.float32),
        "cube": np.full((2, 1, 2), value),
        "empty": np.zeros(0),
    }


def walk(rule, gradients, value=1.0):
    """The directions of steps along `gradients`, each the same for all parameters."""
    theta = parameters(value)
    state = rule.init(theta)
    for g in gradients:
        found, state = rule.apply(parameters(g), state, theta)
        yield found, state


@every
def test_directions_have_the_kind_and_shape_of_their_parameters(rule):
    wide = "float64" in repr(rule)
    for found, _ in walk(rule, GRADIENTS):
        assert type(found["scalar"]) is float
        assert {k: np.shape(d) for k, d in found.items()} == {
            k: np.shape(x) for k, x in parameters(0.0).items()
        }
        assert wide or found["single"].dtype == np.float32
        assert found["matrix"].dtype == np.float64


@every
def test_fields_have_the_type_of_their_parameters(rule):
    def fields(state):
        for name, part in state.items():
            if isinstance(part, dict) and "scalar" in part and name != "t":
                yield part
            elif isinstance(part, dict):
                yield from fields(part)

    wide = "float64" in repr(rule)
    for _, state in walk(rule, GRADIENTS):
        for field in fields(state):
            assert type(field["scalar"]) is float
            assert field["single"].dtype == (np.float64 if wide else np.float32)


@every
def test_a_zero_gradient_moves_nothing(rule):
    for found, _ in walk(rule, [0.0] * 10, value=0.0):
        for d in found.values():
            assert np.all(np.asarray(d) == 0.0)


@every
@pytest.mark.parametrize("value", [0.0, 1.0, -1e-6, 1e18])
@pytest.mark.parametrize(
    "gradients",
    [
        (0.0,) * 5,
        (1e-6,) * 5,
        (1e-20, 0.0, -1e-20),
        (1e-40, 1e-40, 0.0),
        (1e18, 0.0, -1e18, 1e-18),
        (0.0, 0.0, 1e18, 1e18),
        (1.0, 0.0, 0.0),
    ],
    ids=str,
)
def test_directions_are_finite(rule, gradients, value):
    for found, _ in walk(rule, gradients, value):
        for d in found.values():
            assert np.all(np.isfinite(d))


@every
@pytest.mark.parametrize("g", [1e150, -1e150, 1e-160, 1e-300, 5e-324])
def test_directions_are_finite_however_large_or_small_the_gradient(rule, g):
    theta = {"a": 1.0, "w": np.ones(3)}
    state = rule.init(theta)
    for sign in (1.0, 0.0, 1.0, -1.0, 1.0):
        found, state = rule.apply({"a": sign * g, "w": np.full(3, sign * g)}, state, theta)
        assert math.isfinite(found["a"])
        assert np.all(np.isfinite(found["w"]))


def test_the_spread_of_gradients_that_stay_the_same_never_falls_below_zero():
    """Axon and optax make NaN of the first at step 330."""
    rule = scale_by_stddev()
    constant = np.array([15551.0, *np.random.default_rng(0).normal(size=200)])
    theta = {"w": np.zeros(201), "single": np.zeros(201, np.float32)}
    state = rule.init(theta)
    for _ in range(500):
        g = {"w": constant, "single": constant.astype(np.float32)}
        found, state = rule.apply(g, state, theta)
        assert all(np.all(np.isfinite(d)) for d in found.values())


@each_elementwise
def test_an_array_takes_the_steps_of_its_entries(rule):
    theta = {"w": np.array([[1.0], [2.0], [-3.0]])}
    alone = [{"a": float(x)} for x in theta["w"][:, 0]]
    state, states = rule.init(theta), [rule.init(x) for x in alone]
    for g in np.random.default_rng(0).normal(size=(8, 3)):
        found, state = rule.apply({"w": g.reshape(3, 1)}, state, theta)
        for i in range(3):
            entry, states[i] = rule.apply({"a": float(g[i])}, states[i], alone[i])
            assert found["w"][i, 0] == pytest.approx(entry["a"], rel=1e-12, abs=1e-300)


def locked(tree):
    """A copy of a dictionary of dictionaries of arrays in which nothing can be written to."""
    if isinstance(tree, dict | MappingProxyType):
        return MappingProxyType({k: locked(v) for k, v in tree.items()})
    if isinstance(tree, np.ndarray):
        tree = tree.copy()
        tree.setflags(write=False)
    return tree


@every
def test_a_rule_leaves_its_inputs_alone(rule):
    theta = parameters(1.0)
    state = rule.init(locked(theta))
    for g in GRADIENTS:
        given = parameters(g)
        once, after = rule.apply(locked(given), locked(state), locked(theta))
        twice, again = rule.apply(locked(given), locked(state), locked(theta))
        assert repr(once) == repr(twice)
        assert repr(after) == repr(again)
        state = after


@every
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda state: pickle.loads(pickle.dumps(state))])
def test_a_copied_state_goes_on_in_the_same_way(rule, copied):
    theta = parameters(1.0)
    *_, (_, state) = walk(rule, GRADIENTS)
    twin = copied(state)
    assert repr(rule.apply(parameters(2.0), twin, theta)) == repr(
        rule.apply(parameters(2.0), state, theta)
    )


@every
@pytest.mark.parametrize("minimize", [False, True])
def test_an_update_takes_the_steps_of_the_rule(rule, minimize):
    """It is the code generated from the formula that an update runs."""
    rng = np.random.default_rng(1)
    start = {"a": 0.5, "b": -1.5, "w": rng.normal(size=(2, 3)), "v": rng.normal(size=3)}
    store = ParamStore(**start)
    update = ParamUpdate(rule, store, minimize=minimize)
    theta = {k: np.array(x) if np.ndim(x) else x for k, x in start.items()}
    state = rule.init(theta)
    for _ in range(8):
        g = {
            k: rng.normal(size=np.shape(x)) if np.ndim(x) else rng.normal()
            for k, x in theta.items()
        }
        update.apply(grads=g)
        uphill = {k: -d if minimize else d for k, d in g.items()}
        found, state = rule.apply(uphill, state, theta)
        theta = {k: x + found[k] for k, x in theta.items()}
    for k, x in theta.items():
        np.testing.assert_allclose(store[k].value, x, rtol=1e-11, atol=1e-13)


def test_a_parameter_that_joins_late_starts_as_it_would_have_alone():
    for rule in (ADAM(), NAdam(), RAdam(), AdaBelief(), Adamax(), Yogi()):
        theta = {"a": 1.0, "b": 1.0}
        state = rule.init(theta)
        for g in GRADIENTS:
            _, state = rule.apply({"a": g}, state, theta)
        late, _ = rule.apply({"b": 3.0}, state, theta)
        alone, _ = rule.apply({"b": 3.0}, rule.init({"b": 1.0}), {"b": 1.0})
        assert late == alone


def test_the_type_of_the_computation_can_be_wider_or_narrower():
    theta = {"w": np.ones(2, np.float32), "a": 1.0}
    for dtype in ("float64", np.float64, np.dtype("float64")):
        state = ADAM(dtype=dtype).init(theta)
        assert state["0 scale_by_adam"]["m"]["w"].dtype == np.float64
    wide, narrow = ParamStore(w=np.ones(3, np.float32)), ParamStore(w=np.ones(3))
    ParamUpdate(ADAM(0.1, dtype="float64"), wide).apply(grads={"w": np.ones(3, np.float32)})
    ParamUpdate(ADAM(0.1, dtype="float32"), narrow).apply(grads={"w": np.ones(3)})
    assert (wide["w"].value.dtype, narrow["w"].value.dtype) == (np.float32, np.float64)
    for store in (wide, narrow):
        np.testing.assert_allclose(store["w"].value, 1.1, rtol=1e-6)


# --- What the settings mean


def test_a_number_as_rate_can_be_set_and_a_schedule_cannot():
    theta = ParamStore(a=0.0)
    update = ParamUpdate(SGD(0.5), theta)
    update.apply(grads={"a": 1.0})
    update.learning_rate = 0.25
    update.apply(grads={"a": 1.0})
    assert theta["a"].value == 0.75
    update = ParamUpdate(SGD(lambda count: 1.0 / (1 + count)), theta)
    update.apply(grads={"a": 1.0})
    update.apply(grads={"a": 1.0})
    assert theta["a"].value == 2.25
    assert not update.learning_rates


def test_the_rate_is_inside_the_velocity_of_momentum():
    theta = ParamStore(a=0.0)
    update = ParamUpdate(Momentum(0.1, 0.5), theta)
    update.apply(grads={"a": 1.0})
    update.learning_rate = 0.01
    update.apply(grads={"a": 0.0})
    assert theta["a"].value == pytest.approx(0.1 + 0.05)


def test_weights_decay_alone_where_the_mask_says_so():
    theta = ParamStore(kernel=np.ones(2), bias=np.ones(2), scale=1.0)
    zero = {"kernel": np.zeros(2), "bias": np.zeros(2), "scale": 0.0}
    for make in (SGD, Momentum, Nesterov, AdamW, Lion, partial(LAMB, epsilon=1e-3), LARS):
        before = theta["kernel"].value.copy()
        update = ParamUpdate(make(0.1, weight_decay=0.5, mask="kernel"), theta)
        for _ in range(2):
            update.apply(grads=zero)
        assert np.all(theta["kernel"].value < before)
        assert theta["bias"].value.tolist() == [1.0, 1.0]
        assert theta["scale"].value == 1.0


def test_weight_decay_shrinks_in_an_update_that_minimises_too():
    theta = ParamStore(a=1.0)
    ParamUpdate(AdamW(0.1, weight_decay=0.5), theta, minimize=True).apply(grads={"a": 0.0})
    assert theta["a"].value == pytest.approx(0.95)


def test_backoff_fills_the_means_and_moves_nothing():
    waiting, prompt = ADAM(0.1, backoff_steps=2), ADAM(0.1)
    first, second = ParamStore(a=1.0), ParamStore(a=1.0)
    waits, goes = ParamUpdate(waiting, first), ParamUpdate(prompt, second)
    steps = []
    for g in (*GRADIENTS, 2.0):
        before, other = first["a"].value, second["a"].value
        waits.apply(grads={"a": g})
        goes.apply(grads={"a": g})
        steps.append((first["a"].value - before, second["a"].value - other))
    assert [step for step, _ in steps[:2]] == [0.0, 0.0]
    assert [step for step, _ in steps[2:]] == pytest.approx([step for _, step in steps[2:]])


def test_a_trust_ratio_is_one_where_a_length_is_zero():
    rule = scale_by_trust_ratio(trust_coefficient=0.5)
    found, _ = rule.apply({"a": 3.0, "w": np.zeros(2)}, {}, {"a": 0.0, "w": np.ones(2)})
    assert found["a"] == 3.0
    assert found["w"].tolist() == [0.0, 0.0]


def test_a_trust_ratio_takes_parameters_of_every_rank():
    rule = scale_by_trust_ratio()
    g = {k: np.full(s, 2.0) for k, s in {"a": (3,), "b": (2, 3), "c": (2, 3, 4)}.items()}
    theta = {k: np.ones(d.shape) for k, d in g.items()}
    found, _ = rule.apply(g, {}, theta)
    for k, d in found.items():
        np.testing.assert_allclose(d, theta[k], rtol=1e-15)


def test_the_text_of_a_rule_shows_its_numbers_and_the_options_in_use():
    assert repr(SGD()) == "SGD(learning_rate=0.1)"
    assert repr(ADAM(decay=0.1, dtype="float32")) == (
        "ADAM(learning_rate=0.001, beta1=0.9, beta2=0.999, epsilon=1e-08, decay=0.1, "
        "dtype='float32')"
    )
    assert repr(AdamW(one_over_sqrt(0.1), weight_decay=0, mask="*kernel")) == (
        "AdamW(learning_rate=one_over_sqrt(init=0.1), beta1=0.9, beta2=0.999, epsilon=1e-08, "
        "weight_decay=0, mask='*kernel')"
    )
    assert repr(scale_by_rms(centered=True, epsilon_in_root=False)) == (
        "scale_by_rms(decay=0.9, epsilon=1e-08, epsilon_in_root=False, centered=True)"
    )
    assert repr(momentum_trace(nesterov=True)) == "momentum_trace(decay=0.9, nesterov=True)"


def test_numbers_of_numpys_leave_the_type_of_an_array_alone():
    rule = Momentum(np.float64(0.1), np.float64(0.9), weight_decay=np.float64(0.1))
    theta = {"w": np.ones(2, np.float32)}
    found, _ = rule.apply({"w": np.ones(2, np.float32)}, rule.init(theta), theta)
    assert found["w"].dtype == np.float32


LOOSE: Any = ADAM
"""Which may be called with what its types forbid."""


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ADAM(-0.1), r"ADAM: learning_rate must be above 0, or a schedule, got -0.1; wri"),
        (lambda: LOOSE("fast"), "learning_rate must be above 0, or a schedule, got 'fast'"),
        (lambda: ADAM(True), "learning_rate must be above 0, or a schedule, got True"),
        (lambda: ADAM(math.inf), "learning_rate must be above 0, or a schedule, got inf"),
        (lambda: ADAM(beta1=1.0), "beta1 must be at least 0 and below 1, got 1.0; write beta1=0.9"),
        (lambda: ADAM(beta2=math.nan), "beta2 must be at least 0 and below 1, got nan"),
        (lambda: ADAM(epsilon=-1.0), "epsilon must be at least 0 and finite, got -1.0"),
        (lambda: ADAM(decay=-1.0), "ADAM: decay must be at least 0 and finite, got -1.0"),
        (lambda: LOOSE(backoff_steps=1.5), "ADAM: backoff_steps must be a whole number from 0 on"),
        (lambda: ADAM(backoff_steps=-1), "backoff_steps must be a whole number from 0 on, got -1"),
        (lambda: ADAM(clip_step=0.0), "ADAM: clip_step must be above 0 and finite, got 0.0"),
        (lambda: ADAM(dtype="int32"), "dtype must be a type of floats, got 'int32'; write dtype="),
        (lambda: ADAM(dtype="floaty"), "dtype must be a type of floats, got 'floaty'"),
        (
            lambda: AdamW(weight_decay=-0.1),
            "AdamW: weight_decay must be at least 0 and finite, got -0.1",
        ),
        (lambda: SGD(0.0), "SGD: learning_rate must be above 0"),
        (lambda: SGD(clip_step=-1.0), "SGD: clip_step must be above 0 and finite, got -1.0"),
        (lambda: Momentum(rho=1.0), "Momentum: rho must be at least 0 and below 1, got 1.0"),
        (lambda: Nesterov(rho=-0.5), "Nesterov: rho must be at least 0 and below 1, got -0.5"),
        (lambda: RMSProp(rho=1.0), "RMSProp: rho must be at least 0 and below 1"),
        (lambda: RMSProp(momentum=1.0), "RMSProp: momentum must be at least 0 and below 1"),
        (lambda: LARS(momentum=2.0), "LARS: momentum must be at least 0 and below 1, got 2.0"),
        (
            lambda: LARS(trust_coefficient=0.0),
            "trust_coefficient must be above 0 and finite, got 0.0",
        ),
        (lambda: RAdam(threshold=3.0), "threshold must be at least 4, got 3.0"),
        (
            lambda: NAdam(momentum_decay=-1.0),
            "momentum_decay must be at least 0 and finite, got -1.0",
        ),
        (lambda: AdaGrad(initial_accumulator_value=-1.0), "initial_accumulator_value must be at l"),
        (lambda: AdaDelta(rho=1.0), "rho must be at least 0 and below 1"),
        (lambda: scale_by_belief(epsilon_root=-1.0), "epsilon_root must be at least 0"),
        (lambda: scale_by_yogi(epsilon_root=-1.0), "epsilon_root must be at least 0"),
        (lambda: momentum_trace(1.0), "momentum_trace: decay must be at least 0 and below 1"),
        (
            lambda: GradientDescent(0.1, -1.0),
            "step_size_beta must be at least 0 and finite, got -1.0",
        ),
    ],
)
def test_a_setting_outside_its_range_is_refused(make, message):
    with pytest.raises(InvalidValue, match=message):
        make()


# --- Climbing


def quadratic(theta):
    """The gradient of -(a^2 + 10 (b - 1)^2) / 2."""
    a, b = theta
    return np.array([-a, -10.0 * (b - 1.0)])


def rosenbrock(theta):
    """The gradient of -((1 - a)^2 + 100 (b - a^2)^2), whose top is at (1, 1)."""
    a, b = theta
    return np.array([2.0 * (1.0 - a) + 400.0 * a * (b - a * a), -200.0 * (b - a * a)])


STEPS = 5000
"""Of each climb."""


def fall(rate, warmup=0):
    """A rate that falls to 0 along half a cosine."""
    return cosine_decay(rate, STEPS - warmup, warmup=warmup)


CLIMBS = {
    "FixedStepGradientDescent": (FixedStepGradientDescent(2e-3), 1e-3, 5e-2),
    "GradientDescent": (GradientDescent(2e-3, 1e5), 1e-3, 5e-2),
    "SGD": (SGD(2e-3), 1e-3, 5e-2),
    "Momentum": (Momentum(1e-3), 1e-12, 1e-8),
    "Nesterov": (Nesterov(1e-3), 1e-12, 1e-8),
    "ADAM": (ADAM(fall(0.3)), 1e-12, 1e-11),
    "AdamW": (AdamW(fall(0.3), weight_decay=1e-12), 1e-11, 1e-9),
    "Adamax": (Adamax(fall(1.0)), 1e-12, 1e-8),
    "AMSGrad": (AMSGrad(fall(0.3)), 1e-12, 1e-11),
    "NAdam": (NAdam(fall(0.1)), 1e-12, 5e-2),
    "RAdam": (RAdam(fall(0.1, warmup=1000)), 1e-12, 1e-11),
    "AdaBelief": (AdaBelief(fall(0.3)), 1e-12, 1e-11),
    "Yogi": (Yogi(fall(0.3)), 1e-12, 1e-11),
    "RMSProp": (RMSProp(fall(0.01)), 1e-12, 5e-2),
    "AdaGrad": (AdaGrad(fall(1.0)), 1e-12, 2e-1),
    "AdaDelta": (AdaDelta(fall(0.3)), 1e-12, 1e-1),
    "Lion": (Lion(fall(0.02)), 1e-7, 1e-3),
    "LAMB": (LAMB(fall(0.03)), 1e-5, 1e-4),
    "LARS": (LARS(fall(3.0)), 1e-5, 1e-3),
}


@pytest.mark.parametrize("name", CLIMBS)
@pytest.mark.parametrize("hill", [quadratic, rosenbrock])
def test_a_rule_climbs(name, hill):
    """As an update of a loss: it is given the gradients of the negative of the hill."""
    rule, near_quadratic, near_rosenbrock = CLIMBS[name]
    start, top, near = {
        quadratic: ((3.0, -2.0), (0.0, 1.0), near_quadratic),
        rosenbrock: ((-1.2, 1.0), (1.0, 1.0), near_rosenbrock),
    }[hill]
    theta = ParamStore(x=start)
    update = ParamUpdate(rule, theta, minimize=True)
    for _ in range(STEPS):
        update.apply(grads={"x": -hill(theta["x"].value)})
    assert np.max(np.abs(theta["x"].value - top)) < near


# --- Two other systems, over 20 random steps

SHAPES = {"matrix": (3, 4), "vector": (5,), "scalar": ()}


def twenty_steps(rule):
    """Where 20 random gradients of a loss lead, and those gradients."""
    rng = np.random.default_rng(7)
    start = {k: rng.normal(size=shape) for k, shape in SHAPES.items()}
    grads = [{k: rng.normal(size=shape) for k, shape in SHAPES.items()} for _ in range(20)]
    theta = start
    state = rule.init(theta)
    for g in grads:
        directions, state = rule.apply({k: -d for k, d in g.items()}, state, theta)
        theta = {k: x + directions[k] for k, x in theta.items()}
    return start, grads, theta


TINY = 1e-30
"""An epsilon too small to be seen, where the two systems have it in other places."""

TORCH = {
    "SGD": (SGD(0.1), "SGD", {"lr": 0.1}),
    "SGD, weight decay": (SGD(0.1, weight_decay=0.2), "SGD", {"lr": 0.1, "weight_decay": 0.2}),
    "Momentum": (Momentum(0.1, 0.8), "SGD", {"lr": 0.1, "momentum": 0.8}),
    "Momentum, weight decay": (
        Momentum(0.1, 0.8, weight_decay=0.2),
        "SGD",
        {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.2},
    ),
    "Nesterov": (
        Nesterov(0.1, 0.8, weight_decay=0.2),
        "SGD",
        {"lr": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.2},
    ),
    "ADAM": (ADAM(), "Adam", {}),
    "ADAM, other numbers": (
        ADAM(0.1, 0.7, 0.9, 1e-3),
        "Adam",
        {"lr": 0.1, "betas": (0.7, 0.9), "eps": 1e-3},
    ),
    "AdamW": (AdamW(), "AdamW", {}),
    "AMSGrad": (AMSGrad(0.1, 0.9, 0.6), "Adam", {"lr": 0.1, "betas": (0.9, 0.6), "amsgrad": True}),
    "Adamax": (Adamax(), "Adamax", {}),
    "NAdam": (NAdam(), "NAdam", {}),
    "NAdam, other numbers": (
        NAdam(0.1, 0.7, 0.9, 1e-3, 0.1),
        "NAdam",
        {"lr": 0.1, "betas": (0.7, 0.9), "eps": 1e-3, "momentum_decay": 0.1},
    ),
    "RAdam": (RAdam(0.1, 0.9, 0.99, TINY), "RAdam", {"lr": 0.1, "betas": (0.9, 0.99), "eps": TINY}),
    "RMSProp": (RMSProp(0.01, 0.99, epsilon_in_root=False), "RMSprop", {}),
    "RMSProp, centered": (
        RMSProp(0.01, 0.99, 1e-3, epsilon_in_root=False, centered=True),
        "RMSprop",
        {"eps": 1e-3, "centered": True},
    ),
    "RMSProp, momentum": (
        RMSProp(0.01, 0.99, 1e-8, 0.8, epsilon_in_root=False),
        "RMSprop",
        {"momentum": 0.8},
    ),
    "AdaGrad": (AdaGrad(0.01, 0.0, TINY), "Adagrad", {"eps": TINY}),
    "AdaGrad, decay": (
        AdaGrad(0.01, 0.3, TINY, decay=0.1),
        "Adagrad",
        {"eps": TINY, "initial_accumulator_value": 0.3, "lr_decay": 0.1},
    ),
    "AdaDelta": (AdaDelta(), "Adadelta", {}),
}


@pytest.mark.parametrize("name", TORCH)
def test_the_steps_are_those_of_torch(name, request):
    torch = pytest.importorskip("torch")
    request.addfinalizer(partial(torch.set_default_dtype, torch.get_default_dtype()))
    torch.set_default_dtype(torch.float64)  # in which NAdam then keeps its product of momenta
    rule, optimizer, settings = TORCH[name]
    start, grads, found = twenty_steps(rule)
    theta = {k: torch.tensor(x) for k, x in start.items()}
    theirs = getattr(torch.optim, optimizer)(list(theta.values()), **settings)
    for g in grads:
        for k, x in theta.items():
            x.grad = torch.tensor(g[k])
        theirs.step()
    for k, x in theta.items():
        np.testing.assert_allclose(found[k], x.numpy(), rtol=1e-10, atol=1e-10)


OPTAX = {
    "scale_by_adam": (scale_by_adam(epsilon_root=1e-3), "scale_by_adam", {"eps_root": 1e-3}),
    "scale_by_belief": (scale_by_belief(), "scale_by_belief", {}),
    "scale_by_radam": (scale_by_radam(epsilon_root=1e-3), "scale_by_radam", {"eps_root": 1e-3}),
    "scale_by_nadam": (scale_by_nadam(momentum_decay=None), "scale_by_adam", {"nesterov": True}),
    "scale_by_adamax": (scale_by_adamax(), "scale_by_adamax", {}),
    "scale_by_yogi": (
        scale_by_yogi(initial_accumulator_value=1e-13, epsilon_root=1e-3),
        "scale_by_yogi",
        {"initial_accumulator_value": 1e-13, "eps_root": 1e-3},
    ),
    "scale_by_lion": (scale_by_lion(), "scale_by_lion", {}),
    "scale_by_rms": (scale_by_rms(initial_scale=0.3), "scale_by_rms", {"initial_scale": 0.3}),
    "scale_by_rms, GoMLX's": (
        scale_by_rms(0.999, 1e-7, epsilon_in_root=False, bias_correction=True),
        "scale_by_rms",
        {"decay": 0.999, "eps": 1e-7, "eps_in_sqrt": False, "bias_correction": True},
    ),
    "scale_by_stddev": (scale_by_stddev(), "scale_by_stddev", {}),
    "scale_by_stddev, corrected": (
        scale_by_stddev(epsilon=0.1, bias_correction=True),
        "scale_by_stddev",
        {"eps": 0.1, "bias_correction": True},
    ),
    "scale_by_rss": (scale_by_rss(), "scale_by_rss", {}),
    "scale_by_adadelta": (scale_by_adadelta(), "scale_by_adadelta", {}),
    "scale_by_trust_ratio": (
        scale_by_trust_ratio(0.5, 0.3, 0.1),
        "scale_by_trust_ratio",
        {"min_norm": 0.5, "trust_coefficient": 0.3, "eps": 0.1},
    ),
    "trace": (momentum_trace(0.8), "trace", {"decay": 0.8}),
    "trace, nesterov": (
        momentum_trace(0.8, nesterov=True),
        "trace",
        {"decay": 0.8, "nesterov": True},
    ),
    "AdamW": (AdamW(0.1, weight_decay=0.2), "adamw", {"weight_decay": 0.2}),
    "AdaBelief": (AdaBelief(0.1), "adabelief", {}),
    "RAdam": (RAdam(0.1), "radam", {}),
    "RMSProp": (
        RMSProp(0.1, 0.9, 1e-8, 0.8, nesterov=True, centered=True),
        "rmsprop",
        {"momentum": 0.8, "nesterov": True, "centered": True},
    ),
    "AdaGrad": (AdaGrad(0.1), "adagrad", {}),
    "AdaDelta": (AdaDelta(0.1), "adadelta", {}),
    "Lion": (Lion(0.1, weight_decay=0.2), "lion", {"weight_decay": 0.2}),
    "LAMB": (LAMB(0.1, weight_decay=0.2), "lamb", {"weight_decay": 0.2}),
    "LARS": (
        LARS(0.1, weight_decay=0.2, nesterov=True),
        "lars",
        {"weight_decay": 0.2, "nesterov": True},
    ),
    "Momentum": (Momentum(0.1), "sgd", {"momentum": 0.9}),
    "schedule": (
        ADAM(polynomial_decay(0.1, 0.0, 2.0, 30)),
        "adam",
        {"learning_rate": lambda count: 0.1 * (1 - count.astype("float64") / 30) ** 2},
    ),
}


@pytest.mark.parametrize("name", OPTAX)
def test_the_steps_are_those_of_optax(name):
    jax = pytest.importorskip("jax")
    optax = pytest.importorskip("optax")
    rule, theirs, settings = OPTAX[name]
    with jax.enable_x64(True):
        if theirs.startswith("scale_by") or theirs == "trace":
            system = optax.chain(getattr(optax, theirs)(**settings), optax.scale(-0.1))
            rule = chain(rule, scale(0.1))
        else:
            system = getattr(optax, theirs)(**{"learning_rate": 0.1, **settings})
        start, grads, found = twenty_steps(rule)
        theta = {k: jax.numpy.asarray(x) for k, x in start.items()}
        state = system.init(theta)
        for g in grads:
            steps, state = system.update(
                {k: jax.numpy.asarray(d) for k, d in g.items()}, state, theta
            )
            theta = optax.apply_updates(theta, steps)
        for k, x in theta.items():
            assert x.dtype == np.float64
            np.testing.assert_allclose(found[k], x, rtol=1e-10, atol=1e-10)
