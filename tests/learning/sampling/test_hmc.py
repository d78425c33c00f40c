"""Hamiltonian Monte Carlo: its acceptance by hand, detailed balance, and known posteriors."""

import functools
import math

import numpy as np
import pytest
from kernels import Scripted, chi_square, ranks
from scipy import stats

from genparams import bernoulli, gamma, gen, normal, poisson
from genparams.errors import (
    ArgumentError,
    DistributionError,
    InvalidValue,
    ShapeError,
    StructureChange,
)
from genparams.learning.sampling.coordinates import Coordinates
from genparams.learning.sampling.hmc import hmc
from genparams.learning.sampling.mcmc import mcmc

BIN_LIMIT = stats.chi2.ppf(1.0 - 1e-4, 9)
"""What the distance from uniform ranks in 10 bins exceeds once in 10^4 seeds."""


@gen
def standard():
    return normal(0.0, 1.0) @ "x"


@gen
def pair():
    scale = gamma(2.0, scale=1.0) @ "scale"
    x = normal(0.0, scale) @ "x"
    return poisson(np.exp(x) + scale) @ "count"


def test_the_acceptance_probability_is_the_one_by_hand():
    trace, _ = standard.generate((), {"x": 0.7})
    u, p, step = 0.7, -1.9, 0.9
    for _ in range(3):
        p -= 0.5 * step * u
        u += step * p
        p -= 0.5 * step * u
    by_hand = math.exp(0.5 * (0.7**2 + 1.9**2) - 0.5 * (u**2 + p**2))
    moved = hmc(trace, "x", step_size=step, steps=3, rng=Scripted([-1.9]))
    assert by_hand < 1.0
    assert moved.accept_prob == pytest.approx(by_hand)
    assert moved.accepted == (np.random.default_rng(0).random() < by_hand)
    assert moved.trace["x"] == pytest.approx(u)
    assert moved.coordinates == pytest.approx([u])
    assert moved.stats["energy"] == pytest.approx(
        0.5 * (u**2 + p**2) + 0.5 * math.log(2.0 * math.pi)
    )
    assert (moved.stats["n_steps"], moved.stats["step_size"]) == (3.0, step)


@pytest.mark.parametrize("metric", [None, [0.5, 2.0], [[0.5, 0.3], [0.3, 2.0]]])
def test_detailed_balance_holds_between_a_state_and_its_proposal(metric):
    """pi(z) a(z, z') = pi(z') a(z', z) for z = (u, p), z' the end of the trajectory with -p'."""
    trace, _ = pair.generate((), {"scale": 0.8, "x": 0.4, "count": 3})
    z = np.array([1.3, -0.8])
    root = np.eye(2) if metric is None else np.diag(metric) if np.ndim(metric) == 1 else metric
    root = np.linalg.inv(np.linalg.cholesky(np.array(root))).T
    kernel = functools.partial(hmc, selection=["scale", "x"], step_size=0.4, steps=4, metric=metric)
    there = kernel(trace, rng=Scripted(z))
    assert there.accepted
    mass = np.linalg.inv(root @ root.T)

    def energy(state, p):
        return 0.5 * p @ mass @ p - Coordinates(state, ["scale", "x"]).start.log_density

    # the momentum at the end, from its energy along the way back
    ends = [root @ z]
    space, p, u = Coordinates(trace, ["scale", "x"]), root @ z, None
    point = space.start
    for _ in range(4):
        p = p + 0.2 * point.gradient
        u = point.u + 0.4 * mass @ p
        point = space.at(u)
        assert point is not None
        p = p + 0.2 * point.gradient
    ends.append(p)
    back = kernel(there.trace, rng=Scripted(np.linalg.solve(root, -p)))
    assert there.trace["x"] == pytest.approx(point.u[1])
    fall = energy(trace, ends[0]) - energy(there.trace, ends[1])
    assert there.accept_prob == pytest.approx(min(1.0, math.exp(fall)))
    assert back.accept_prob == pytest.approx(min(1.0, math.exp(-fall)))
    assert back.accepted
    assert back.trace["x"] == pytest.approx(trace["x"])
    assert back.trace["scale"] == pytest.approx(trace["scale"])


def test_the_ranks_of_draws_of_the_prior_are_uniform():
    """Fails once in 10^4 seeds."""
    kernel = functools.partial(hmc, selection=["scale", "x"], step_size=0.5, steps=3)
    found = ranks(kernel, lambda rng: pair.simulate((), rng), lambda t: t["scale"], 150)
    assert chi_square(found, 10) < BIN_LIMIT


def test_a_wrong_kernel_does_not_make_uniform_ranks():
    def wrong(trace, rng):
        moved = hmc(trace, ["scale", "x"], step_size=0.5, steps=3, rng=rng)
        return trace.update({"scale": 0.8 * moved.trace["scale"]})[0], True

    found = ranks(wrong, lambda rng: pair.simulate((), rng), lambda t: t["scale"], 60)
    assert chi_square(found, 10) > BIN_LIMIT


@gen
def correlated():
    a = normal(0.0, 1.0) @ "a"
    b = normal(0.8 * a, 0.6) @ "b"
    normal(a, 2.0) @ "y"
    return normal(b, 2.0) @ "z"


def test_a_normal_posterior_has_its_mean_and_covariance():
    """Five standard errors at 500 effective draws of 1000: 1 in 10^6 seeds."""
    cov, y = np.array([[1.0, 0.8], [0.8, 1.0]]), np.array([1.5, -1.0])
    trace, _ = correlated.generate((), {"y": y[0], "z": y[1]}, rng=0)
    kernel = functools.partial(hmc, selection=["a", "b"], steps=4)
    found = mcmc(kernel, trace, draws=1000, warmup=200, rng=1, metric="dense")
    gain = cov @ np.linalg.inv(cov + 4.0 * np.eye(2))
    draws = np.stack([found.values["a"][0], found.values["b"][0]])
    assert np.mean(draws, axis=1) == pytest.approx(gain @ y, abs=0.2)
    assert np.cov(draws) == pytest.approx(cov - gain @ cov, abs=0.25)


def test_a_rejected_step_returns_its_trace():
    trace, _ = standard.generate((), {"x": 0.7})
    moves = [hmc(trace, "x", step_size=1.9, steps=3, rng=seed) for seed in range(20)]
    assert {m.accepted for m in moves} == {True, False}
    for moved in moves:
        assert moved.accepted == (moved.trace is not trace)
        assert moved.coordinates == pytest.approx([moved.trace["x"]])


def test_an_unstable_trajectory_is_divergent():
    trace, _ = standard.generate((), {"x": 0.7})
    moved = hmc(trace, "x", step_size=5.0, steps=20, rng=0)
    assert (moved.accepted, moved.divergent) == (False, True)
    assert moved.accept_prob == 0.0


def test_a_trajectory_that_leaves_the_density_is_divergent():
    @gen
    def overflowing():
        scale = gamma(2.0, scale=1.0) @ "scale"
        return normal(0.0, np.exp(scale)) @ "x"

    trace, _ = overflowing.generate((), {"scale": 1.0, "x": 0.5})
    moved = hmc(trace, "scale", step_size=50.0, steps=20, rng=1)
    assert moved.divergent
    assert moved.trace is trace
    assert moved.stats["n_steps"] < 20


def test_the_same_seed_gives_the_same_bits():
    trace = pair.simulate((), 0)
    first, second = (hmc(trace, ["scale", "x"], rng=3) for _ in range(2))
    assert first.trace == second.trace


@gen
def branching():
    x = normal(0.0, 1.0) @ "x"
    return normal(x, 1.0) @ ("up" if x > 0.0 else "down")


@pytest.mark.parametrize(
    ("model", "selection", "more", "error", "message"),
    [
        (
            branching,
            "x",
            {"step_size": 1.0, "rng": Scripted([-2.0])},
            StructureChange,
            "visits 'down'",
        ),
        (pair, "count", {}, DistributionError, "at 'count': the choice is discrete"),
        (pair, "x", {"steps": 0}, InvalidValue, "steps is a whole number of at least 1"),
        (pair, "x", {"metric": [1.0, 1.0]}, ShapeError, "selected choices have 1 coordinates"),
        (pair, "x", {"rng": "seed"}, InvalidValue, "rng is a numpy.random.Generator"),
        (pair, "x", {"eps": 0.1}, ArgumentError, "has no argument 'eps'; write step_size"),
        (pair, "x", {"L": 5}, ArgumentError, "has no argument 'L'; write steps"),
        (pair, "x", {"mass_matrix": 1}, ArgumentError, "metric is its inverse"),
    ],
)
def test_what_cannot_be_asked_is_refused(model, selection, more, error, message):
    choices = {"x": 0.1, "up": 1.0} if model is branching else {"x": 0.1, "scale": 1.0, "count": 1}
    trace, _ = model.generate((), choices)
    with pytest.raises(error, match=message):
        hmc(trace, selection, **more)


def test_discrete_choices_move_by_another_kernel_of_the_cycle():
    @gen
    def switched():
        side = bernoulli(0.4) @ "side"
        x = normal(2.0 if side else -2.0, 1.5) @ "x"
        return normal(x, 2.0) @ "y"

    def flipped(trace, rng):
        other, weight, _ = trace.update({"side": not trace["side"]})
        accepted = bool(np.log(rng.random()) < weight)
        return (other, True) if accepted else (trace, False)

    trace, _ = switched.generate((), {"y": 0.5}, rng=0)
    kernels = [functools.partial(hmc, selection="x", step_size=0.8, steps=4), flipped]
    found = mcmc(kernels, trace, draws=800, warmup=20, rng=0)
    weights = np.array([0.6, 0.4]) * stats.norm.pdf(0.5, [-2.0, 2.0], math.hypot(1.5, 2.0))
    share = weights[1] / np.sum(weights)
    assert np.mean(found.values["side"]) == pytest.approx(share, abs=0.15)
