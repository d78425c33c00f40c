"""Several updates that take one step: all of them or none."""

import numpy as np
import pytest

from genparams import ADAM, SGD, ParamStore, ParamUpdate, positive, project
from genparams.errors import NonFiniteGradient, NothingAccumulated, UpdateError
from genparams.update.together import Together

BOXED = project(SGD(0.1), lambda x: np.clip(x, -9.0, 9.0))


def stores():
    theta = ParamStore(a=1.0, w=np.ones((2, 2)), c=np.full(2, 3.0))
    theta.init("s", 2.0, positive)
    return theta


def accumulate(theta, last=1.0):
    theta["a"].increment_grad(0.5)
    theta["w"].increment_grad(np.eye(2))
    theta["c"].increment_grad(np.ones(2))
    theta["s"].increment_grad(last)


def updates_of(theta):
    """Three updates whose parameters are in the same memories."""
    return [
        ParamUpdate(ADAM(0.1), {theta: ["a", "w"]}),
        ParamUpdate(BOXED, {theta: ["c"]}),
        ParamUpdate(ADAM(0.1), {theta: ["s"]}),
    ]


def state(theta, updates):
    values = {name: (p.value, p.grad, p.accumulated) for name, p in theta.items()}
    return values, [update.state_dict() for update in updates]


def same(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return np.array_equal(one, other)


def test_together_is_one_after_the_other():
    theta, phi = stores(), stores()
    together, apart = updates_of(theta), updates_of(phi)
    all_of_them = Together(together)
    for _ in range(3):
        accumulate(theta)
        accumulate(phi)
        all_of_them.apply()
        for update in apart:
            update.apply()
    assert same(state(theta, together), state(phi, apart))


@pytest.mark.parametrize("good", [0, 1, 2, 5])
def test_an_error_of_the_last_brings_the_first_back(good):
    theta = stores()
    updates = updates_of(theta)
    together = Together(updates)
    for _ in range(good):
        accumulate(theta)
        together.apply()
    accumulate(theta, last=np.inf)
    before = state(theta, updates)
    for _ in range(2):
        with pytest.raises(NonFiniteGradient):
            together.apply()
        assert same(state(theta, updates), before)
    # and afterwards all goes on as if the step had not been tried
    phi = stores()
    others = updates_of(phi)
    theta["s"].set_grad(1.0)
    for _ in range(good):
        accumulate(phi)
        Together(others).apply()
    accumulate(phi)
    for _ in range(2):
        together.apply()
        Together(others).apply()
        accumulate(theta)
        accumulate(phi)
    assert same(state(theta, updates), state(phi, others))


def test_arrays_that_nobody_has_read_are_brought_back_too():
    theta, phi = stores(), stores()
    together, twins = Together(updates_of(theta)), updates_of(phi)
    for _ in range(3):
        for store in (theta, phi):
            accumulate(store)
        together.apply()
        for update in twins:
            update.apply()
    for store in (theta, phi):
        accumulate(store, last=np.inf)
    with pytest.raises(NonFiniteGradient):
        together.apply()
    assert same(state(theta, []), state(phi, []))


def test_what_is_frozen_in_between_is_found():
    theta = stores()
    together = Together(updates := updates_of(theta))
    accumulate(theta)
    together.apply()
    theta["a"].freeze()
    theta["w"].freeze()
    accumulate(theta)
    together.apply()
    assert [update.steps for update in updates] == [1, 2, 2]


def test_an_overflow_of_the_last_brings_the_first_back():
    theta = ParamStore(a=1.0, b=1e308)
    updates = [
        ParamUpdate(ADAM(0.1), {theta: ["a"]}),
        ParamUpdate(SGD(1e308), {theta: ["b"]}),
    ]
    theta["a"].increment_grad(1.0)
    theta["b"].increment_grad(1.0)
    with pytest.raises(UpdateError):
        Together(updates).apply()
    assert (theta["a"].value, theta["b"].value, updates[0].steps) == (1.0, 1e308, 0)


def test_an_update_without_gradients_waits():
    theta = stores()
    updates = updates_of(theta)
    theta["a"].increment_grad(1.0)
    Together(updates).apply()
    assert [update.steps for update in updates] == [1, 0, 0]


def test_no_gradient_at_all_is_an_error():
    theta = stores()
    updates = updates_of(theta)
    with pytest.raises(NothingAccumulated, match=r"for theta\.a, theta\.w, theta\.c, theta\.s"):
        Together(updates).apply()
    theta["a"].freeze()
    theta["a"].increment_grad(1.0)
    with pytest.raises(NothingAccumulated):
        Together(updates).apply()
