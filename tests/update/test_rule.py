"""Rules and chains of rules against steps by hand. The laws of rules are in test_named_rules."""

import math

import numpy as np
import pytest

from genparams import (
    ADAM,
    FixedStepGradientDescent,
    GradientDescent,
    chain,
    scale,
    scale_by_adam,
    scale_by_inverse_time,
    stateless,
)
from genparams.errors import InvalidValue

GRADIENTS = (3.0, -1.0, 0.5)


def adam_by_hand():
    """Three steps of algorithm 1: rate 0.1, beta1 0.9, beta2 0.99, epsilon 1e-3."""
    m1 = 0.1 * 3.0
    v1 = 0.01 * 9.0
    m2 = 0.9 * m1 + 0.1 * -1.0
    v2 = 0.99 * v1 + 0.01 * 1.0
    m3 = 0.9 * m2 + 0.1 * 0.5
    v3 = 0.99 * v2 + 0.01 * 0.25
    return (
        0.1 * (m1 / 0.1) / (math.sqrt(v1 / 0.01) + 1e-3),
        0.1 * (m2 / (1 - 0.81)) / (math.sqrt(v2 / (1 - 0.9801)) + 1e-3),
        0.1 * (m3 / (1 - 0.729)) / (math.sqrt(v3 / (1 - 0.970299)) + 1e-3),
    )


STEPS = {
    "FixedStepGradientDescent": (FixedStepGradientDescent(0.1), (0.3, -0.1, 0.05)),
    "GradientDescent": (
        GradientDescent(0.2, 3.0),
        (0.2 * 3.0, 0.2 * (4.0 / 5.0) * -1.0, 0.2 * (4.0 / 6.0) * 0.5),
    ),
    "GradientDescent, beta 0": (GradientDescent(1.0, 0.0), (3.0, -1.0 / 2.0, 0.5 / 3.0)),
    "ADAM": (ADAM(0.1, 0.9, 0.99, 1e-3), adam_by_hand()),
    "scale": (scale(-2.0), (-6.0, 2.0, -1.0)),
    "chain": (chain(scale(2.0), scale_by_inverse_time(1.0, 1.0)), (6.0, -4.0 / 3.0, 0.5)),
    "chain of nothing": (chain(), GRADIENTS),
    "stateless": (
        stateless(lambda g, theta: {k: d - theta[k] for k, d in g.items()}),
        (2.0, -2.0, -0.5),
    ),
}


@pytest.mark.parametrize("name", STEPS)
def test_three_steps_are_those_written_by_hand(name):
    rule, expected = STEPS[name]
    theta = {"a": 1.0}
    state = rule.init(theta)
    for g, direction in zip(GRADIENTS, expected, strict=True):
        found, state = rule.apply({"a": g}, state, theta)
        assert found["a"] == pytest.approx(direction, rel=1e-14)


def test_a_parameter_without_a_direction_keeps_its_state_and_gets_none():
    rule = scale_by_adam()
    theta = {"a": 1.0, "b": 1.0}
    _, state = rule.apply({"a": 1.0, "b": 1.0}, rule.init(theta), theta)
    found, after = rule.apply({"a": 1.0}, state, theta)
    assert set(found) == {"a"}
    assert (after["t"]["a"], after["t"]["b"]) == (2, 1)
    assert (after["m"]["b"], after["v"]["b"]) == (state["m"]["b"], state["v"]["b"])


def test_adams_first_step_is_the_rate_whatever_the_gradient():
    for g in (1e-3, 1.0, 1e6):
        found, _ = ADAM(0.01).apply({"a": g}, ADAM(0.01).init({"a": 0.0}), {"a": 0.0})
        assert found["a"] == pytest.approx(0.01, rel=1e-4)


def test_adam_is_a_chain():
    theta = {"a": 1.0}
    adam, parts = ADAM(0.1, 0.8, 0.9, 1e-4), chain(scale_by_adam(0.8, 0.9, 1e-4), scale(0.1))
    first, second = adam.init(theta), parts.init(theta)
    for g in GRADIENTS:
        a, first = adam.apply({"a": g}, first, theta)
        b, second = parts.apply({"a": g}, second, theta)
        assert a == b


def test_chains_associate():
    a, b, c = scale_by_adam(), scale_by_inverse_time(0.5, 2.0), scale(-3.0)
    chains = [chain(a, b, c), chain(chain(a, b), c), chain(a, chain(b, c)), chain(chain(a, b, c))]
    theta = {"w": np.array([1.0, 2.0])}
    states = [rule.init(theta) for rule in chains]
    for g in GRADIENTS:
        found = []
        for i, rule in enumerate(chains):
            direction, states[i] = rule.apply({"w": np.array([g, -g])}, states[i], theta)
            found.append(direction["w"].tobytes())
        assert len(set(found)) == 1


def test_a_chain_may_hold_one_rule_twice():
    rule = chain(scale_by_inverse_time(1.0, 0.0), scale_by_inverse_time(1.0, 0.0))
    state = rule.init({"a": 0.0})
    _, state = rule.apply({"a": 1.0}, state, {"a": 0.0})
    found, _ = rule.apply({"a": 1.0}, state, {"a": 0.0})
    assert found["a"] == 0.25


def test_the_text_of_a_rule_shows_its_numbers():
    assert repr(ADAM(0.1)) == "ADAM(learning_rate=0.1, beta1=0.9, beta2=0.999, epsilon=1e-08)"
    assert repr(FixedStepGradientDescent(0.5)) == "FixedStepGradientDescent(step_size=0.5)"
    assert repr(GradientDescent(0.5, 2)) == "GradientDescent(step_size_init=0.5, step_size_beta=2)"
    assert repr(chain(scale_by_adam(), scale(2.0))) == (
        "chain(scale_by_adam(beta1=0.9, beta2=0.999, epsilon=1e-08), scale(factor=2.0))"
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FixedStepGradientDescent(0.0), "step_size must be above 0 and finite, got 0.0"),
        (lambda: FixedStepGradientDescent(math.nan), "step_size must be above 0"),
        (lambda: GradientDescent(-1.0, 1.0), "step_size_init must be above 0"),
        (lambda: GradientDescent(1.0, -1.0), "step_size_beta must be at least 0"),
        (lambda: ADAM(-0.1), "learning_rate must be above 0"),
        (lambda: ADAM(beta1=1.0), "beta1 must be at least 0 and below 1, got 1.0"),
        (lambda: ADAM(beta2=-0.1), "beta2 must be at least 0 and below 1"),
        (lambda: ADAM(epsilon=-1.0), "epsilon must be at least 0"),
    ],
)
def test_a_setting_outside_its_range_is_refused(make, message):
    with pytest.raises(InvalidValue, match=message):
        make()
