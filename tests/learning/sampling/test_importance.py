"""Importance sampling: unbiased by enumeration, and exact where the proposal is the posterior."""

from typing import Any

import numpy as np
import pytest
from transitions import flip, outcomes

from genparams import bernoulli, gen, normal, uniform
from genparams.errors import (
    ArgumentError,
    InvalidValue,
    NoDensity,
    ProposalMismatch,
    UnknownAddress,
    UnusedConstraint,
)
from genparams.learning.sampling.importance import importance_resampling, importance_sampling
from genparams.learning.sampling.particles import Particles, effective_sample_size


@gen
def forked():
    """The choices depend on a choice."""
    deep = flip(0.3) @ "deep"
    rate = flip(0.6) @ "a" * 0.5 + flip(0.2) @ "b" * 0.3 if deep else 0.1 + flip(0.7) @ "c" * 0.6
    flip(0.1 + 0.8 * rate) @ "y"


@gen
def guide(p):
    """Leaves `b`, and `c`, to the model."""
    if flip(p) @ "deep":
        flip(0.8) @ "a"


def evidence(f=lambda trace: 1.0):
    """The sum of p(t, y = 1) f(t) over all choices t."""
    each = outcomes(lambda rng: forked.simulate((), rng))
    return sum(prob * f(trace) for prob, trace in each if trace["y"] == 1)


CASES = [(1, None, ()), (2, None, ()), (1, guide, (0.6,)), (2, guide, (0.6,))]


@pytest.mark.parametrize(("n", "proposal", "args"), CASES)
def test_the_mean_weight_is_unbiased(n, proposal, args):
    def estimate(rng):
        return importance_sampling(
            forked, (), {"y": 1}, n, proposal=proposal, proposal_args=args, rng=rng
        )

    each = outcomes(estimate)
    assert sum(prob for prob, _ in each) == pytest.approx(1.0, rel=1e-12)
    mean = sum(prob * np.exp(found.log_marginal_likelihood) for prob, found in each)
    assert mean == pytest.approx(evidence(), rel=1e-12)

    def is_deep(trace):
        return float(trace["deep"])

    weighed = sum(
        prob * np.exp(found.log_marginal_likelihood) * found.expectation(is_deep)
        for prob, found in each
    )
    assert weighed == pytest.approx(evidence(is_deep), rel=1e-12)


YS = np.array([0.8, 1.9, 1.1])


@gen
def mean_of():
    mu = normal(0.0, 2.0) @ "mu"
    normal(mu, 0.5, size=3) @ "ys"


PRECISION = 1.0 / 4.0 + 3.0 / 0.25
CENTRE, WIDTH = YS.sum() / 0.25 / PRECISION, PRECISION**-0.5


def log_evidence():
    cov = 0.25 * np.eye(3) + 4.0
    return -0.5 * (YS @ np.linalg.solve(cov, YS) + np.linalg.slogdet(2.0 * np.pi * cov)[1])


@gen
def posterior(centre, width):
    normal(centre, width) @ "mu"


def test_the_posterior_as_proposal_has_equal_weights_and_the_exact_evidence():
    found = importance_sampling(
        mean_of, (), {"ys": YS}, 5, proposal=posterior, proposal_args=(CENTRE, WIDTH), rng=0
    )
    assert found.log_marginal_likelihood == pytest.approx(log_evidence(), abs=1e-12)
    np.testing.assert_allclose(found.weights, 0.2, rtol=1e-12)
    assert found.effective_sample_size == pytest.approx(5.0)
    assert found.values["mu"].shape == (5,)
    assert found.values["ys"].shape == (5, 3)


def test_a_wide_proposal_finds_the_normal_posterior():
    """2000 weighted draws: four tests of 4.5 standard errors, that fail once in 35 000 seeds."""
    found = importance_sampling(
        mean_of, (), {"ys": YS}, 2000, proposal=posterior, proposal_args=(1.0, 0.6), rng=3
    )
    n = found.effective_sample_size
    assert n > 500
    mean = found.expectation(lambda t: t["mu"])
    assert abs(mean - CENTRE) < 4.5 * WIDTH / np.sqrt(n)
    square = found.expectation(lambda t: (t["mu"] - CENTRE) ** 2)
    assert abs(square - WIDTH**2) < 4.5 * WIDTH**2 * np.sqrt(2.0 / n)
    error = np.sqrt((2000.0 / n - 1.0) / 2000.0)
    assert abs(found.log_marginal_likelihood - log_evidence()) < 4.5 * error
    again = found.resample(3000, "systematic", rng=1)
    assert np.all(again.weights == again.weights[0])
    assert again.log_marginal_likelihood == found.log_marginal_likelihood
    assert abs(np.mean(again.values["mu"]) - mean) < 0.01


def test_an_expectation_may_be_an_array():
    found = importance_sampling(mean_of, (), {"ys": YS}, 4, rng=0)
    both = found.expectation(lambda t: np.array([t["mu"], t["mu"] ** 2]))
    assert both == pytest.approx(
        [found.weights @ found.values["mu"], found.weights @ found.values["mu"] ** 2]
    )


def test_a_seed_repeats_to_the_bit():
    one, other = (importance_sampling(mean_of, (), {"ys": YS}, 4, rng=7) for _ in range(2))
    np.testing.assert_array_equal(one.log_weights, other.log_weights)
    assert one.traces == other.traces


def test_resampling_gives_one_of_the_traces_and_the_evidence():
    trace, log_ml = importance_resampling(
        mean_of, (), {"ys": YS}, 5, proposal=posterior, proposal_args=(CENTRE, WIDTH), rng=0
    )
    assert log_ml == pytest.approx(log_evidence(), abs=1e-12)
    np.testing.assert_array_equal(trace["ys"], YS)


def test_one_trace_in_proportion_to_the_weights():
    """400 traces: the number of heads is within 4 standard errors but once in 15 000 seeds."""

    @gen
    def coin():
        heads = bernoulli(0.5) @ "heads"
        bernoulli(0.9 if heads else 0.1) @ "y"

    rng = np.random.default_rng(5)
    heads = [
        importance_resampling(coin, (), {"y": True}, 2, rng=rng)[0]["heads"] for _ in range(400)
    ]
    expected = 0.25 + 0.5 * 0.9  # of two draws: both heads; one of each, then by the weights
    assert abs(np.mean(heads) - expected) < 4.0 * np.sqrt(expected * (1.0 - expected) / 400)


def test_a_trace_without_density_has_weight_zero():
    @gen
    def bounded():
        x = uniform(0.0, 1.0) @ "x"
        uniform(0.0, x) @ "y"

    found = importance_sampling(bounded, (), {"y": 0.5}, 20, rng=1)
    xs = found.values["x"]
    assert np.any(xs < 0.5)
    assert np.all((found.weights == 0.0) == (xs < 0.5))
    assert 0.5 < found.expectation(lambda t: t["x"] if t["x"] >= 0.5 else np.inf) < 1.0


def test_the_effective_sample_size_does_not_overflow():
    assert effective_sample_size(np.array([1e4, 1e4, -1e4])) == pytest.approx(2.0)


def test_particles_show_themselves():
    found = importance_sampling(mean_of, (), {"ys": YS}, 3, rng=0)
    assert isinstance(found, Particles)
    assert len(found) == 3
    assert repr(found).startswith("Particles(3, effective ")


@gen
def rash():
    normal(0.0, 1.0) @ "mu"
    normal(0.0, 1.0) @ "ys"


@gen
def vain():
    normal(0.0, 1.0) @ "mo"


@gen
def deep_b():
    flip(0.5) @ "b"


@gen
def impossible():
    x = uniform(0.0, 1.0) @ "x"
    uniform(x, 2.0) @ "y"


def sampled(observations: Any = None, n: Any = 4, model: Any = mean_of, **named: Any):
    return lambda: importance_sampling(
        model, (), {"ys": YS} if observations is None else observations, n, rng=0, **named
    )


MISTAKES = {
    "no samples": (sampled(n=0), InvalidValue, "num_samples is a whole number of at least 1"),
    "half a sample": (sampled(n=1.5), InvalidValue, "num_samples is a whole number"),
    "an observation that is not visited": (
        sampled({"y": YS}),
        UnusedConstraint,
        "mean_of never visited 'y'; did you mean 'ys'",
    ),
    "an observation that is not visited, with a proposal": (
        sampled({"y": YS}, proposal=posterior, proposal_args=(0.0, 1.0)),
        UnusedConstraint,
        "mean_of never visited 'y'; did you mean 'ys'",
    ),
    "a proposal at an observation": (
        sampled(proposal=rash),
        ProposalMismatch,
        "rash chooses 'ys', which is observed",
    ),
    "a proposal at another address": (
        sampled(proposal=vain),
        ProposalMismatch,
        "vain chooses 'mo', which mean_of did not visit in this run; did you mean 'mu'",
    ),
    "a proposal that the model follows only sometimes": (
        sampled({"y": 1, "deep": 0}, model=forked, proposal=deep_b),
        ProposalMismatch,
        "deep_b chooses 'b', which forked did not visit",
    ),
    "a proposal above an observation": (
        sampled({("ys", 0): 1.0}, proposal=rash),
        ProposalMismatch,
        "rash does not fit: a value for \\('ys', 0\\) is nested",
    ),
    "weights that are all zero": (
        sampled({"y": 3.0}, model=impossible),
        NoDensity,
        "all 4 weights are zero \\(4 of 4 traces\\): 'y' of impossible has log probability -inf",
    ),
    "no model": (sampled(model=lambda: 0), ArgumentError, "a model is a generative function"),
    "no proposal": (sampled(proposal=len), ArgumentError, "a proposal is a generative function"),
    "arguments of no proposal": (
        sampled(proposal_args=(1.0,)),
        ArgumentError,
        "without a proposal",
    ),
    "arguments that are no tuple": (
        sampled(proposal=posterior, proposal_args=1.0),
        ArgumentError,
        "proposal_args is a tuple, got 1.0; write \\(1.0,\\)",
    ),
    "observations in the place of arguments": (
        lambda: importance_sampling(mean_of, {"ys": YS}, (), 4),  # pyright: ignore
        InvalidValue,
        "choices are a dictionary by address",
    ),
    "an unknown scheme": (
        lambda: sampled()().resample(3, "sistematic"),
        InvalidValue,
        "did you mean systematic",
    ),
    "an unknown address": (
        lambda: sampled()().values["mo"],
        UnknownAddress,
        "did you mean 'mu'",
    ),
    "a choice of some traces": (
        lambda: importance_sampling(forked, (), {"y": 1}, 20, rng=0).values["a"],
        InvalidValue,
        "'a' is in . of 20 traces",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered(mistake):
    act, error, message = MISTAKES[mistake]
    with pytest.raises(error, match=message):
        act()
