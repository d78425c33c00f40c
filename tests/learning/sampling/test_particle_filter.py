"""The particle filter: unbiased by enumeration, with every scheme, and what it refuses."""

import math

import numpy as np
import pytest
from transitions import Branching, Gridded, flip, outcomes

from genparams import gen, normal, unfold, uniform
from genparams.errors import (
    ArgumentError,
    InferenceError,
    InvalidValue,
    NoDensity,
    ProposalMismatch,
    UnusedConstraint,
)
from genparams.learning.sampling.importance import importance_sampling
from genparams.learning.sampling.metropolis import metropolis_hastings
from genparams.learning.sampling.particle_filter import ParticleFilter
from genparams.learning.sampling.resampling import SCHEMES

STAY = {0: 0.3, 1: 0.8}
SEEN = {0: 0.2, 1: 0.6}
"""With two particles every weight is a number of quarters, or half: a grid of quarters is exact."""


@gen
def switch(t, state):
    state = flip(STAY[state]) @ "x"
    flip(SEEN[state]) @ "y"
    return state


states = unfold(switch)


@gen
def guide(trace, t):
    """Chooses the state as the model does, and the last step better."""
    before = trace.retval[-1]
    flip(0.9 * STAY[before]) @ (t, "x")


@gen
def first():
    flip(0.7) @ (0, "x")


def evidence(ys):
    """p(ys) by the forward recursion."""
    alpha = np.array([1.0, 0.0])
    move = np.array([[1.0 - STAY[s], STAY[s]] for s in (0, 1)])
    for y in ys:
        seen = np.array([SEEN[s] if y else 1.0 - SEEN[s] for s in (0, 1)])
        alpha = (alpha @ move) * seen
    return alpha.sum()


def filtered(rng, method=None, guided=False, n=2, ys=(1, 1)):
    found = ParticleFilter(states, n, rng)
    found.initialize((1, 0), {(0, "y"): ys[0]}, first if guided else None)
    for t in range(1, len(ys)):
        if method:
            found.maybe_resample(math.inf, method)
        proposal, args = (guide, (t,)) if guided else (None, ())
        found.step((t + 1, 0), {(t, "y"): ys[t]}, proposal, args)
    return found


def mean_estimate(kind, *args):
    each = outcomes(lambda rng: filtered(rng, *args).log_marginal_likelihood, kind)
    assert sum(prob for prob, _ in each) == pytest.approx(1.0, rel=1e-12)
    return sum(prob * np.exp(log_ml) for prob, log_ml in each)


@pytest.mark.parametrize("guided", [False, True])
def test_the_marginal_likelihood_is_unbiased_without_resampling(guided):
    assert mean_estimate(Branching, None, guided) == pytest.approx(evidence((1, 1)), rel=1e-12)


@pytest.mark.parametrize("method", SCHEMES)
def test_the_marginal_likelihood_is_unbiased_with_resampling(method):
    assert mean_estimate(Gridded, method) == pytest.approx(evidence((1, 1)), rel=1e-12)


def test_a_long_filter_finds_the_evidence():
    """12 runs of 20 particles: the mean ratio is within 4.5 standard errors but once in 1000 seeds,
    by the t-distribution with 11 degrees of freedom.
    """
    ys = (1, 0, 1, 1, 0, 1)
    rng = np.random.default_rng(0)
    each = [filtered(rng, "systematic", False, 20, ys).log_marginal_likelihood for _ in range(12)]
    ratio = np.exp(np.array(each) - np.log(evidence(ys)))
    assert abs(np.mean(ratio) - 1.0) < 4.5 * np.std(ratio, ddof=1) / np.sqrt(12)
    assert np.std(ratio) < 0.5


def test_the_first_step_is_importance_sampling():
    found = ParticleFilter(states, 5, rng=3)
    found.initialize((1, 0), {(0, "y"): 1}, first)
    same = importance_sampling(states, (1, 0), {(0, "y"): 1}, 5, proposal=first, rng=3)
    np.testing.assert_array_equal(found.particles.log_weights, same.log_weights)
    assert found.particles.traces == same.traces
    assert found.log_marginal_likelihood == same.log_marginal_likelihood
    assert found.effective_sample_size == pytest.approx(same.effective_sample_size)


def test_resampling_waits_for_the_threshold():
    found = filtered(0, n=10)
    before = found.particles
    ess = found.effective_sample_size
    assert not found.maybe_resample(ess_threshold=ess)
    assert found.particles.traces == before.traces
    assert found.maybe_resample(ess_threshold=ess + 1e-9, method="residual")
    assert found.effective_sample_size == pytest.approx(10.0)
    assert found.log_marginal_likelihood == pytest.approx(before.log_marginal_likelihood)
    assert not found.maybe_resample()


def test_a_kernel_moves_the_traces_and_leaves_the_weights():
    found = filtered(1, n=6)
    before = found.particles

    def kernel(trace, rng):
        return metropolis_hastings(trace, (0, "x"), rng=rng)

    assert 0.0 < found.move(kernel) <= 1.0
    after = found.particles
    np.testing.assert_array_equal(before.log_weights, after.log_weights)
    assert before.traces != after.traces


def test_a_seeded_filter_repeats_to_the_bit():
    one, other = (filtered(4, "systematic", n=6).particles for _ in range(2))
    assert one.traces == other.traces
    np.testing.assert_array_equal(one.log_weights, other.log_weights)


@gen
def narrow(t, x):
    x = normal(x, 1.0) @ "x"
    uniform(x, x + 1.0) @ "y"
    return x


def test_a_trace_of_weight_zero_stays_so():
    found = ParticleFilter(unfold(narrow), 50, rng=0)
    found.initialize((1, 0.0), {(0, "y"): 0.5})
    dead = found.particles.weights == 0.0
    found.step((2, 0.0), {(1, "y"): 0.7})
    assert 0 < np.sum(dead) < 50
    assert np.all(found.particles.weights[dead] == 0.0)
    assert found.particles.values[1, "x"].shape == (50,)


def test_a_step_without_density_changes_nothing():
    found = ParticleFilter(unfold(narrow), 50, rng=0)
    found.initialize((1, 0.0), {(0, "y"): 0.5})
    before = found.particles
    with pytest.raises(NoDensity, match=r"all 50 weights are zero .*'y'.* probability -inf"):
        found.step((2, 0.0), {(1, "y"): 99.0})
    assert found.particles.traces == before.traces
    assert found.log_marginal_likelihood == before.log_marginal_likelihood


@gen
def backwards(trace):
    flip(0.5) @ (0, "x")


@gen
def looking(trace):
    flip(0.5) @ (2, "y")


@gen
def beyond(trace):
    flip(0.5) @ (7, "x")


def step(args, observations, *proposal):
    return lambda: filtered(0).step(args, observations, *proposal)


MISTAKES = {
    "no particles": (lambda: ParticleFilter(states, 0), InvalidValue, "num_particles is a whole"),
    "no model": (lambda: ParticleFilter(len, 3), ArgumentError, "a model is a generative"),
    "not initialized": (
        lambda: ParticleFilter(states, 3).step((1, 0), {}),
        InferenceError,
        "write filter.initialize",
    ),
    "no particles yet": (
        lambda: ParticleFilter(states, 3).maybe_resample(),
        InferenceError,
        "write filter.initialize",
    ),
    "a replaced choice": (
        step((3, 0), {(1, "y"): 0}),
        ProposalMismatch,
        "\\(1, 'y'\\), which the trace has, would be replaced",
    ),
    "a removed choice": (
        step((1, 0), {}),
        ProposalMismatch,
        "\\(1, '.'\\), which the trace has, is no longer visited",
    ),
    "a proposal of an old choice": (
        step((3, 0), {(2, "y"): 1}, backwards),
        ProposalMismatch,
        "\\(0, 'x'\\), which the trace has, would be replaced",
    ),
    "a proposal of an observation": (
        step((3, 0), {(2, "y"): 1}, looking),
        ProposalMismatch,
        "looking chooses \\(2, 'y'\\), which is observed",
    ),
    "a proposal beyond the model": (
        step((3, 0), {(2, "y"): 1}, beyond),
        UnusedConstraint,
        "never visited \\(7, 'x'\\)",
    ),
    "an observation beyond the model": (
        step((3, 0), {(3, "y"): 1}),
        UnusedConstraint,
        "never visited \\(3, 'y'\\)",
    ),
    "an unknown scheme": (
        lambda: filtered(0).maybe_resample(3, "residul"),
        InvalidValue,
        "did you mean residual",
    ),
    "a threshold in words": (
        lambda: filtered(0).maybe_resample("half"),  # pyright: ignore
        InvalidValue,
        "ess_threshold is a number, got 'half'",
    ),
    "a kernel that takes no trace": (
        lambda: filtered(0).move(lambda: 0),
        ArgumentError,
        "a kernel is a function of",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered(mistake):
    act, error, message = MISTAKES[mistake]
    with pytest.raises(error, match=message):
        act()


def test_a_filter_shows_itself():
    assert repr(ParticleFilter(states, 3)).endswith("3, not initialized)")
    assert "Particles(2, effective" in repr(filtered(0))
