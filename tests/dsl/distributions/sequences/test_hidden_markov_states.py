"""The states of a hidden Markov chain given the observations, against every path."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy import stats

from genparams import (
    categorical,
    hidden_markov,
    hidden_markov_path,
    hidden_markov_smoother,
    hidden_markov_states,
    mvnormal,
    normal,
    uniform,
)
from genparams.errors import ArgumentError, DistributionError, ShapeError

FAILURE_RATE = 1e-4
"""How often a right sampler would fail one test, were its seed not fixed."""
INITIAL = np.array([0.2, 0.5, 0.3])
TRANSITION = np.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.0, 0.6, 0.4]])
MEANS, STDS = np.array([-1.0, 0.5, 2.0]), np.array([1.0, 0.5, 2.0])
YS = np.array([0.8, 2.7, np.nan, 2.1, -1.4])
TABLE = np.where(
    np.isnan(YS)[:, None], 0.0, stats.norm.logpdf(np.nan_to_num(YS)[:, None], MEANS, STDS)
)
PATHS = np.array(list(product(range(3), repeat=5)))
with np.errstate(divide="ignore"):
    JOINT = np.log(INITIAL)[PATHS[:, 0]] + TABLE[np.arange(5), PATHS].sum(axis=1)
    JOINT = JOINT + np.log(TRANSITION)[PATHS[:, :-1], PATHS[:, 1:]].sum(axis=1)
LOG_PROB = np.logaddexp.reduce(JOINT)
WEIGHT = np.exp(JOINT - LOG_PROB)

by_call = hidden_markov(INITIAL, TRANSITION, normal(MEANS, STDS), length=5)
by_table = hidden_markov(INITIAL, TRANSITION, log_emissions=TABLE)
by_steps = hidden_markov(INITIAL, [TRANSITION] * 4, normal([MEANS] * 5, STDS))
each_call = pytest.mark.parametrize("call", [by_call, by_table, by_steps])
wrong: Any = hidden_markov_smoother


@each_call
def test_the_smoother_agrees_with_every_path(call):
    found = hidden_markov_smoother(call, YS)
    for t in range(5):
        wanted = [WEIGHT[PATHS[:, t] == k].sum() for k in range(3)]
        np.testing.assert_allclose(found.probs[t], wanted, rtol=1e-12)
    for t in range(4):
        pair = 3 * PATHS[:, t] + PATHS[:, t + 1]
        wanted = np.bincount(pair, WEIGHT, minlength=9).reshape(3, 3)
        np.testing.assert_allclose(found.pairs[t], wanted, rtol=1e-12)
    np.testing.assert_allclose(found.log_prob, LOG_PROB, rtol=1e-14)


@each_call
def test_the_path_is_the_most_likely_one(call):
    states, log_prob = hidden_markov_path(call, YS)
    np.testing.assert_array_equal(states, PATHS[np.argmax(JOINT)])
    np.testing.assert_allclose(log_prob, np.max(JOINT), rtol=1e-14)


def test_drawn_states_have_the_probability_of_each_path():
    drawn = hidden_markov_states(by_call, YS, size=20_000, rng=0)
    seen = np.bincount(drawn @ 3 ** np.arange(5)[::-1], minlength=243)
    assert not np.any(seen[WEIGHT == 0.0])
    often = WEIGHT * 20_000 > 5.0
    pooled = np.append(seen[often], seen[~often].sum())
    wanted = 20_000 * np.append(WEIGHT[often], WEIGHT[~often].sum())
    assert stats.chisquare(pooled, wanted).pvalue > FAILURE_RATE
    assert hidden_markov_states(by_call, YS, rng=0).shape == (5,)


def test_a_long_sequence_is_decoded():
    means = np.array([-2.0, 0.0, 2.0])
    call = hidden_markov(INITIAL, TRANSITION, normal(means, 0.1), length=2000)
    ys = call.sample(rng=0)
    nearest = np.argmin(np.abs(ys[:, None] - means), axis=1)
    np.testing.assert_array_equal(hidden_markov_path(call, ys).states, nearest)
    np.testing.assert_array_equal(hidden_markov_smoother(call, ys).probs.argmax(axis=1), nearest)


def test_one_observation_has_no_pairs():
    call = hidden_markov(INITIAL, TRANSITION, mvnormal(np.zeros((3, 2)), np.eye(2)), length=1)
    found = hidden_markov_smoother(call, [[0.3, 0.1]])
    np.testing.assert_allclose(found.probs, INITIAL[None], rtol=1e-13)
    assert found.pairs.shape == (0, 3, 3)
    assert hidden_markov_path(call, [[0.3, 0.1]]).states == [1]


def test_the_smoother_agrees_with_statsmodels():
    """`MarkovRegression(ys, k_regimes=2, trend="c", switching_variance=True)` of statsmodels 0.15,
    smooth([0.9, 0.3, 0.1, 2.8, 0.25, 0.49]).smoothed_marginal_probabilities[:, 0].
    """
    ys = [0.3, -0.4, 0.1, 2.9, 3.6, 2.2, 0.5, -0.2, 3.1, 2.7, 0.0, -0.8]
    wanted = [9.9985392180245181e-01, 9.9999872410507706e-01, 9.9967342917656554e-01]
    wanted += [2.8172889225435661e-07, 3.7999005147960913e-12, 3.8259052669274354e-04]
    wanted += [9.9654594493659465e-01, 9.9992698323894136e-01, 3.0050176290990087e-08]
    wanted += [2.4432238044926167e-06, 9.9980990082064713e-01, 9.9999927303871727e-01]
    emissions = normal([0.1, 2.8], [0.5, 0.7])
    call = hidden_markov([0.75, 0.25], [[0.9, 0.1], [0.3, 0.7]], emissions, length=12)
    np.testing.assert_allclose(hidden_markov_smoother(call, ys).probs[:, 0], wanted, rtol=1e-10)


def test_wrong_arguments_say_what_to_write():
    with pytest.raises(ArgumentError, match=r"takes a call hidden_markov\(...\)"):
        wrong(normal(0.0, 1.0), YS)
    with pytest.raises(ArgumentError, match=r"takes a call hidden_markov\(...\)"):
        wrong(YS, by_call)
    several = hidden_markov(INITIAL, TRANSITION, normal(MEANS, STDS), length=5, size=2)
    with pytest.raises(ArgumentError, match="takes one sequence"):
        hidden_markov_path(several, np.stack([YS, YS]))
    with pytest.raises(ShapeError, match=r"shape \(5,\) here"):
        hidden_markov_smoother(by_call, YS[:4])
    with pytest.raises(DistributionError, match="sum to 1"):
        hidden_markov_path(hidden_markov(INITIAL + 0.1, TRANSITION, normal(MEANS, STDS), 5), YS)
    impossible = hidden_markov(INITIAL, TRANSITION, categorical(np.eye(3)), length=2)
    with pytest.raises(DistributionError, match="no finite log probability"):
        hidden_markov_smoother(impossible, [2, 0])
    with pytest.raises(ArgumentError, match="size of hidden_markov_states"):
        hidden_markov_states(by_call, YS, size=0)


def test_one_observation_has_no_transitions():
    for transition in (np.full((2, 2), 0.5), np.zeros((0, 2, 2))):
        call = hidden_markov([0.5, 0.5], transition, normal([0.0, 1.0], 1.0), 1)
        assert hidden_markov_states(call, [0.3], rng=0).shape == (1,)
        assert np.shape(call.sample(rng=0)) == (1,)


def test_impossible_observations_of_a_call_with_lists_are_told():
    call = hidden_markov([1.0, 0.0], [[0, 1.0], [1.0, 0]], uniform([0.0, 1.0], [1.0, 2.0]), 2)
    with pytest.raises(DistributionError, match="hidden_markov"):
        hidden_markov_smoother(call, [0.5, 0.5])
