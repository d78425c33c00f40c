"""Rules without an epsilon, in single precision, and types that are too short for squares."""

import math

import numpy as np
import pytest

from genparams import (
    ADAM,
    LAMB,
    AdaBelief,
    AdaDelta,
    AdaGrad,
    Adamax,
    AdamW,
    AMSGrad,
    NAdam,
    ParamStore,
    ParamUpdate,
    RAdam,
    RMSProp,
    Yogi,
    elementwise,
    momentum_trace,
)
from genparams.errors import InvalidValue, UpdateError

WITHOUT = {
    "ADAM": lambda **k: ADAM(0.1, **k),
    "AdamW": lambda **k: AdamW(0.1, weight_decay=0.0, **k),
    "AMSGrad": lambda **k: AMSGrad(0.1, **k),
    "AdaBelief": lambda **k: AdaBelief(0.1, **k),
    "AdaGrad": lambda **k: AdaGrad(0.1, initial_accumulator_value=0.0, **k),
    "Adamax": lambda **k: Adamax(0.1, **k),
    "LAMB": lambda **k: LAMB(0.1, **k),
    "NAdam": lambda **k: NAdam(0.1, **k),
    "RAdam": lambda **k: RAdam(0.1, **k),
    "RMSProp": lambda **k: RMSProp(0.1, **k),
    "RMSProp outside": lambda **k: RMSProp(0.1, epsilon_in_root=False, **k),
    "RMSProp centered": lambda **k: RMSProp(0.1, bias_correction=True, **k),
    "Yogi": lambda **k: Yogi(0.1, initial_accumulator_value=0.0, **k),
}
each = pytest.mark.parametrize("make", WITHOUT.values(), ids=WITHOUT)


def moved(rule, gradients, dtype=np.float64):
    theta = ParamStore(a=np.ones(3, dtype), b=dtype(1.0))
    update = ParamUpdate(rule, theta)
    for g in gradients:
        update.apply(grads={"a": np.array([g, 0.0, -g]), "b": g})
    return np.array([*theta["a"].value, theta["b"].value])


@each
def test_epsilon_0_is_the_limit_of_a_small_one(make):
    gradients = [0.3, -0.2, 0.5, 0.1, 0.4, 0.3, 0.2, 0.1]
    with_none = moved(make(epsilon=0), gradients)
    with_some = moved(make(epsilon=1e-14), gradients)
    np.testing.assert_allclose(with_none, with_some, rtol=1e-6)
    assert with_none[1] == moved(make(epsilon=1e-14), gradients)[1]


@each
def test_a_gradient_of_0_without_an_epsilon_moves_nothing(make):
    np.testing.assert_array_equal(moved(make(epsilon=0), [0.0] * 8), 1.0)


def test_a_square_that_underflows_without_an_epsilon_is_refused():
    theta = ParamStore(a=np.ones(2), b=1.0)
    update = ParamUpdate(ADAM(0.1, epsilon=0.0), theta)
    for name, g in (("a", [1e-170, 1.0]), ("b", 1e-170)):
        with pytest.raises(UpdateError):
            update.apply(grads={name: g})
        np.testing.assert_array_equal(theta[name].value, 1.0)


def test_a_rule_that_would_never_move_refuses_epsilon_0():
    with pytest.raises(InvalidValue, match="epsilon must be above 0"):
        AdaDelta(epsilon=0.0)


@pytest.mark.parametrize("g", [1e-30, 1e-8, 1e-3, 1.0, 1e8])
def test_single_precision_moves_as_double_does(g):
    single = moved(ADAM(0.1, dtype="float32"), [g, g / 2, -g])
    double = moved(ADAM(0.1), [g, g / 2, -g])
    np.testing.assert_allclose(single, double, rtol=1e-5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ADAM(0.1, dtype="float16"),
        lambda: momentum_trace(0.9, dtype=np.float16),
        lambda: elementwise(lambda g, theta: g, dtype="half"),
    ],
)
def test_a_type_that_is_too_short_for_squares_is_refused(make):
    with pytest.raises(InvalidValue, match=r"at least float32, got float16: .*dtype='float32'"):
        make()


def test_yogi_does_not_move_without_a_gradient_where_optax_does():
    theta = ParamStore(a=1.0)
    ParamUpdate(Yogi(0.1), theta).apply(grads={"a": 0.0})
    assert theta["a"].value == 1.0


def test_yogi_is_the_formula_of_its_docstring():
    beta1, beta2, epsilon, m, v, x = 0.9, 0.999, 1e-3, 0.0, 1e-6, 1.0
    theta = ParamStore(a=1.0)
    update = ParamUpdate(Yogi(0.1), theta)
    for t, g in enumerate([0.3, -0.2, 0.0, 2.0], start=1):
        m = beta1 * m + (1 - beta1) * g
        v = v - (1 - beta2) * math.copysign(1.0, v - g * g) * g * g
        x += 0.1 * (m / (1 - beta1**t)) / (math.sqrt(v / (1 - beta2**t)) + epsilon)
        update.apply(grads={"a": g})
        assert theta["a"].value == pytest.approx(x, rel=1e-12)
