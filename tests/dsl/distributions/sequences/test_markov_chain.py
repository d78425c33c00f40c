"""Markov chains: their density, gradients by counts, draws, and wrong arguments."""

import pickle
from typing import Any

import numpy as np
import pytest
from scipy import stats

from genparams import categorical, fit, gen, markov_chain, param, simplex
from genparams.autodiff import gradient, hessian
from genparams.dsl.distributions.sequences import loops_markov_chain
from genparams.dsl.distributions.sequences.markov_chain import counted
from genparams.errors import ArgumentError, DistributionError, ShapeError

INITIAL = np.array([0.2, 0.5, 0.3])
TRANSITION = np.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]])
STATES = np.array([1, 1, 0, 2, 2, 2, 0, 1])
FAILURE_RATE = 1e-4
"""How often a right sampler would fail one test, were its seed not fixed."""
STEPS = np.stack([np.roll(TRANSITION, t, axis=1) for t in range(7)])


wrong: Any = markov_chain  # called with arguments that a type checker would refuse


def by_hand(states, initial, steps):
    found = np.log(initial[states[0]])
    for t in range(1, len(states)):
        found += np.log(steps[t - 1][states[t - 1], states[t]])
    return found


def test_the_density_is_the_product_of_the_transitions():
    found = markov_chain(INITIAL, TRANSITION, 8).log_prob(STATES)
    np.testing.assert_allclose(found, by_hand(STATES, INITIAL, [TRANSITION] * 7), rtol=1e-14)
    assert type(found) is float


def test_each_step_may_have_its_own_transition():
    found = markov_chain(INITIAL, STEPS, 8).log_prob(STATES)
    np.testing.assert_allclose(found, by_hand(STATES, INITIAL, STEPS), rtol=1e-14)


def test_the_density_is_that_of_categorical_choices_one_after_the_other():
    @gen
    def one_by_one():
        s = categorical(INITIAL) @ 0
        for t in range(1, 8):
            s = categorical(TRANSITION[s]) @ t

    wanted, _ = one_by_one.assess((), dict(enumerate(STATES.tolist())))
    found = markov_chain(INITIAL, TRANSITION, 8).log_prob(STATES)
    np.testing.assert_allclose(found, wanted, rtol=1e-14)


def test_the_probabilities_of_all_sequences_sum_to_1():
    every = np.array(list(np.ndindex(3, 3, 3, 3)))
    each = markov_chain(INITIAL, TRANSITION, 4, size=81).log_probs(every)
    np.testing.assert_allclose(np.sum(np.exp(each)), 1.0, rtol=1e-13)


def test_one_state_is_a_sequence():
    assert markov_chain(INITIAL, TRANSITION, 1).log_prob([2]) == np.log(0.3)
    assert markov_chain(INITIAL, np.ones((0, 3, 3)), 1).log_prob([2]) == np.log(0.3)


def test_the_gradients_are_counts_over_probabilities():
    by_initial = gradient(lambda p: markov_chain(p, TRANSITION, 8).log_prob(STATES), INITIAL)
    np.testing.assert_allclose(by_initial, [0.0, 2.0, 0.0])
    counts = np.array([[0, 1, 1], [1, 1, 0], [1, 0, 2]])
    g = gradient(lambda a: markov_chain(INITIAL, a, 8).log_prob(STATES), TRANSITION)
    np.testing.assert_allclose(g, counts / TRANSITION, rtol=1e-14)
    second = hessian(lambda a: markov_chain(INITIAL, a, 8).log_prob(STATES), TRANSITION)
    np.testing.assert_allclose(second, np.diag((-counts / TRANSITION**2).ravel()), rtol=1e-13)


def test_the_gradient_by_each_step_is_at_its_transition():
    g = gradient(lambda a: markov_chain(INITIAL, a, 8).log_prob(STATES), STEPS)
    wanted = np.zeros_like(STEPS)
    for t in range(7):
        at = t, STATES[t], STATES[t + 1]
        wanted[at] = 1.0 / STEPS[at]
    np.testing.assert_allclose(g, wanted, rtol=1e-14)


def test_a_batch_is_independent_sequences():
    batch = np.stack([STATES, STATES[::-1]])
    each = markov_chain(INITIAL, TRANSITION, 8, size=2).log_probs(batch)
    alone = [markov_chain(INITIAL, TRANSITION, 8).log_prob(s) for s in batch]
    np.testing.assert_allclose(each, alone, rtol=1e-14)
    own = np.stack([STEPS, STEPS[::-1]])
    found = markov_chain(INITIAL, own, 8).log_prob(batch)
    np.testing.assert_allclose(
        found, sum(by_hand(s, INITIAL, a) for s, a in zip(batch, own, strict=True)), rtol=1e-14
    )


@pytest.mark.parametrize("states", [[0, 1, 3], [0, -1, 1], [0.5, 1.0, 1.0]])
def test_what_is_no_state_has_probability_0(states):
    assert markov_chain(INITIAL, TRANSITION, 3).log_prob(states) == -np.inf


def test_a_transition_of_probability_0_never_occurs():
    cycle = np.roll(np.eye(3), 1, axis=1)
    call = markov_chain([1.0, 0.0, 0.0], cycle, 5)
    np.testing.assert_array_equal(call.sample(rng=0), [0, 1, 2, 0, 1])
    assert call.log_prob([0, 1, 2, 0, 1]) == 0.0
    assert call.log_prob([0, 1, 2, 0, 2]) == -np.inf


@pytest.mark.parametrize("transition", [TRANSITION, STEPS[:3]], ids=["one", "each step"])
def test_draws_have_the_density(transition):
    call = markov_chain(INITIAL, transition, 4, size=20_000)
    drawn = call.sample(rng=1)
    assert drawn.dtype == np.int64
    every = np.array(list(np.ndindex(3, 3, 3, 3)))
    probs = np.exp(markov_chain(INITIAL, transition, 4, size=81).log_probs(every))
    seen = np.bincount(drawn @ [27, 9, 3, 1], minlength=81)
    assert stats.chisquare(seen, 20_000 * probs).pvalue > FAILURE_RATE


def test_a_batch_of_draws_may_have_a_transition_for_each_member():
    stay, move = np.eye(2), 1.0 - np.eye(2)
    drawn = markov_chain([1.0, 0.0], np.stack([[stay] * 3, [move] * 3]), 4).sample(rng=0)
    np.testing.assert_array_equal(drawn, [[0, 0, 0, 0], [0, 1, 0, 1]])


def test_the_fit_of_a_chain_is_its_frequencies():
    @gen
    def by_rows(n):
        start = [0.25, 0.25, 0.5]
        rows = param("rows", np.full((3, 3), 1.0 / 3.0), constraint=simplex)
        return markov_chain(start, rows, n) @ "states"

    states = markov_chain(INITIAL, TRANSITION, 400).sample(rng=2)
    counts = np.zeros((3, 3))
    np.add.at(counts, (states[:-1], states[1:]), 1.0)
    found = fit(by_rows, (400,), {"states": states})
    wanted = counts / counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.estimates["rows"], wanted, rtol=1e-6)
    total = counts.sum(axis=1, keepdims=True)
    errors = np.sqrt(wanted * (1.0 - wanted) / total)
    np.testing.assert_allclose(found.std_errors["rows"], errors, rtol=1e-5)


@gen
def chain(n):
    return markov_chain(INITIAL, TRANSITION, n) @ "states"


def test_a_trace_pickles_and_updates_with_another_length():
    trace = chain.simulate((6,), rng=0)
    again = pickle.loads(pickle.dumps(trace))
    assert again.log_prob == trace.log_prob
    longer = np.append(trace["states"], 1)
    new, weight, _ = trace.update({"states": longer}, args=(7,))
    np.testing.assert_allclose(weight, new.log_prob - trace.log_prob)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: markov_chain(INITIAL, TRANSITION, 0), ArgumentError, "length of markov_chain"),
        (lambda: wrong(INITIAL, TRANSITION, 2.5), ArgumentError, "length of markov_chain"),
        (lambda: wrong(INITIAL, TRANSITION), ArgumentError, "length"),
        (lambda: markov_chain(INITIAL, TRANSITION[:2], 3), ShapeError, "must be 3 x 3"),
        (lambda: markov_chain(INITIAL, TRANSITION[0], 3), ShapeError, "at least 2 axes"),
        (lambda: markov_chain(INITIAL, STEPS, 3), ShapeError, "a matrix for each of 2 steps"),
        (lambda: markov_chain(INITIAL, TRANSITION.T, 3), DistributionError, "which sums to 0.9"),
        (lambda: markov_chain(INITIAL + 0.1, TRANSITION, 3), DistributionError, "sum to 1"),
        (lambda: markov_chain(INITIAL, TRANSITION * np.nan, 3), DistributionError, "sum to 1"),
    ],
)
def test_wrong_arguments_say_what_to_write(call, error, match):
    with pytest.raises(error, match=match):
        call().log_prob([0, 1, 2])


def test_wrong_values_say_what_is_wrong():
    call = markov_chain(INITIAL, TRANSITION, 3)
    with pytest.raises(ShapeError, match=r"has shape \(3,\) here, got \(4,\)"):
        call.log_prob([0, 1, 2, 0])
    with pytest.raises(DistributionError, match="NaN"):
        call.log_prob([0.0, np.nan, 1.0])


def test_the_loops_count_the_same():
    codes = np.random.default_rng(0).integers(4, size=(5, 9))
    np.testing.assert_array_equal(loops_markov_chain.counted(codes, 4), counted(codes, 4))
