"""The forward-backward algorithm, in numpy and in loops, against sums over all paths."""

from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest

from genparams.autodiff import gradient, jacobian
from genparams.dsl.distributions.sequences import forward_backward as in_numpy
from genparams.dsl.distributions.sequences import loops_forward_backward as in_loops

kernel, loops = in_numpy.forward_backward, in_loops.forward_backward
both = pytest.mark.parametrize("forward_backward", [kernel, loops], ids=["numpy", "loops"])


def model(states, length, count=1, varying=False, seed=0):
    rng = np.random.default_rng(seed)
    initial = rng.dirichlet(np.ones(states), count)
    steps = length - 1 if varying else 1
    transition = rng.dirichlet(np.ones(states), (count, steps, states))
    return initial, transition, rng.normal(0.0, 3.0, (count, states, length))


def over_all_paths(initial, transition, log_e):
    """log p and the gradients by log p, of one sequence, by every path."""
    states, length = log_e.shape
    steps = np.broadcast_to(transition, (length - 1, states, states))
    paths = np.array(list(product(range(states), repeat=length)))
    with np.errstate(divide="ignore"):
        each = np.log(initial)[paths[:, 0]] + log_e[paths, np.arange(length)].sum(axis=1)
        for t in range(1, length):
            each = each + np.log(steps[t - 1])[paths[:, t - 1], paths[:, t]]
    log_p = np.logaddexp.reduce(each)
    weight = np.exp(each - log_p)
    posterior = np.array(
        [[weight[paths[:, t] == k].sum() for t in range(length)] for k in range(states)]
    )
    return log_p, posterior


def agree(found, wanted, rtol=1e-10):
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-12)


@both
@pytest.mark.parametrize("length", [1, 2, 3, 7])
@pytest.mark.parametrize("varying", [False, True])
def test_the_likelihood_is_the_sum_over_all_paths(forward_backward, length, varying):
    initial, transition, log_e = model(3, length, 1, varying)
    log_p, _, _, posterior = forward_backward(initial, transition, log_e)
    wanted = over_all_paths(initial[0], transition[0], log_e[0])
    agree((log_p[0], posterior[0]), wanted)


@both
def test_gradients_agree_with_differences_for_free_entries(forward_backward):
    arrays = model(3, 20, 2, varying=True, seed=1)
    _, *slopes = forward_backward(*arrays)
    rng = np.random.default_rng(2)
    for place, slope in enumerate(slopes):
        direction = arrays[place] * rng.normal(size=arrays[place].shape)

        def moved(h, place=place, direction=direction):
            near = [a + h * direction if i == place else a for i, a in enumerate(arrays)]
            return forward_backward(*near)[0]

        by_each = np.sum((slope * direction).reshape(2, -1), axis=1)
        np.testing.assert_allclose((moved(1e-5) - moved(-1e-5)) / 2e-5, by_each, rtol=1e-7)


@pytest.mark.parametrize("states", [2, 4, 9])
@pytest.mark.parametrize("length", [2, 17, 100, 1000])
@pytest.mark.parametrize("varying", [False, True])
def test_blocks_steps_logarithms_and_loops_agree(states, length, varying):
    arrays = model(states, length, 2, varying, seed=length)
    log_e = arrays[2]
    ways: list[Any] = [
        loops(*arrays),
        kernel(*arrays),
        in_numpy.scaled(*arrays[:2], log_e, in_numpy.by_steps),
        in_numpy.by_logs(*arrays[:2], log_e),
    ]
    if length > 2:
        ways.append(in_numpy.scaled(*arrays[:2], log_e, in_numpy.by_blocks))
    for found in ways[1:]:
        agree(found, ways[0], rtol=1e-8)


@both
@pytest.mark.parametrize("scale", [1.0, 30.0, 1e3, 1e6])
@pytest.mark.parametrize("seed", range(4))
def test_extreme_emissions_and_impossible_transitions_lose_nothing(forward_backward, scale, seed):
    initial, transition, log_e = model(3, 7, 1, seed=seed)
    transition[..., 1:, 0] = 0.0
    transition[..., 2, 1] = 0.0
    initial[0] = [1.0, 0.0, 0.0]
    log_e = scale * log_e
    log_e[0, 1, 3] = -np.inf
    log_p, _, _, posterior = forward_backward(initial, transition, log_e)
    wanted = over_all_paths(initial[0], transition[0], log_e[0])
    np.testing.assert_allclose(log_p[0], wanted[0], rtol=1e-13)
    np.testing.assert_allclose(posterior[0], wanted[1], atol=1e-15 * max(1.0, abs(wanted[0])))


@both
def test_a_state_that_was_ruled_out_by_far_may_turn_out_right(forward_backward):
    """From state 0 both states follow, from state 1 only itself; the end says state 0."""
    transition = np.array([[[[0.5, 0.5], [0.0, 1.0]]]])
    log_e = np.zeros((1, 2, 60))
    log_e[0, 0, 10:40] = -100.0
    log_e[0, 1, 40:] = -400.0
    log_p, _, slope, posterior = forward_backward(np.array([[0.5, 0.5]]), transition, log_e)
    np.testing.assert_allclose(log_p[0], -3000.0 + 60.0 * np.log(0.5), rtol=1e-14)
    np.testing.assert_allclose(posterior[0, 0], 1.0, rtol=1e-11)
    assert np.all(np.isfinite(slope))


@both
def test_an_impossible_sequence_has_log_probability_minus_infinity(forward_backward):
    identity = np.eye(2)[None, None]
    log_e = np.zeros((2, 2, 30))
    log_e[0, :, 4] = -np.inf
    log_e[1, 0, 3] = log_e[1, 1, 20] = -np.inf
    found = forward_backward(np.array([[0.5, 0.5]]), identity, log_e)
    assert list(found[0]) == [-np.inf, -np.inf]
    assert all(np.all(np.isfinite(slope)) for slope in found[1:])


@both
def test_an_infinite_density_makes_an_infinite_likelihood(forward_backward):
    initial, transition, log_e = model(2, 30)
    log_e[0, 1, 5] = np.inf
    assert forward_backward(initial, transition, log_e)[0] == [np.inf]


WAYS: dict[str, Any] = {
    "blocks": partial(in_numpy.scaled, vectors=in_numpy.by_blocks),
    "steps": partial(in_numpy.scaled, vectors=in_numpy.by_steps),
    "logarithms": in_numpy.by_logs,
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("varying", [False, True])
def test_the_gradient_can_be_differentiated(way, varying):
    initial, transition, log_e = model(2, 10, varying=varying, seed=3)
    size = transition.size

    def slope(a):
        return way(initial, a, log_e)[2]

    second = jacobian(slope, transition).reshape(size, size)
    for i in range(size):
        step = np.zeros(size)
        step[i] = 1e-6
        step = step.reshape(transition.shape)
        wanted = (slope(transition + step) - slope(transition - step)) / 2e-6
        np.testing.assert_allclose(second[:, i], wanted.ravel(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_the_gradient_by_tape_is_the_gradient_by_hand(way):
    arrays = model(3, 40, seed=4)
    _, *by_hand = way(*arrays)
    for place, slope in enumerate(by_hand):

        def likelihood(v, place=place):
            return way(*(v if i == place else a for i, a in enumerate(arrays)))[0][0]

        by_tape = gradient(likelihood, arrays[place])
        np.testing.assert_allclose(by_tape, slope, rtol=1e-9, atol=1e-12)


def test_numba_compiles_the_loops():
    numba = pytest.importorskip("numba")
    compiled = numba.njit(error_model="numpy")(loops)
    for scale in (1.0, 1e4):
        initial, transition, log_e = model(3, 12, 2)
        transition[..., 0] = 0.0
        agree(
            compiled(initial, transition, scale * log_e), loops(initial, transition, scale * log_e)
        )
