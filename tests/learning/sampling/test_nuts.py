"""The no-U-turn sampler: known posteriors, calibration, its trees, and divergences."""

import functools
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from kernels import chi_square, ranks
from scipy import stats

from genparams import (
    beta,
    binomial,
    dirichlet,
    gamma,
    gen,
    multinomial,
    normal,
    poisson,
    uniform,
)
from genparams.errors import DivergentTrajectories, InvalidValue
from genparams.learning.sampling.mcmc import mcmc
from genparams.learning.sampling.nuts import nuts


@gen
def conjugate():
    rate = gamma(2.0, rate=0.5) @ "rate"
    share = beta(2.0, 1.5) @ "share"
    shares = dirichlet(np.array([1.0, 2.0, 3.0])) @ "shares"
    poisson(rate) @ "count"
    binomial(9, share) @ "wins"
    multinomial(12, shares) @ "votes"


def test_constrained_choices_have_the_moments_of_their_conjugate_posteriors():
    """Means within 5 standard errors at 250 effective draws: 1 in 10^6 seeds for each of 5."""
    data = {"count": 4, "wins": 7, "votes": np.array([2, 7, 3])}
    trace, _ = conjugate.generate((), data, rng=0)
    kernel = functools.partial(nuts, selection=["rate", "share", "shares"])
    found = mcmc(kernel, trace, draws=300, warmup=80, rng=1)
    posteriors = {
        "rate": stats.gamma(6.0, scale=1.0 / 1.5),
        "share": stats.beta(9.0, 3.5),
        **{k: stats.beta(a, 18.0 - a) for k, a in enumerate([3.0, 9.0, 6.0])},
    }
    for name, posterior in posteriors.items():
        draws = found.values["shares"][0, :, name] if isinstance(name, int) else found.values[name]
        assert np.mean(draws) == pytest.approx(posterior.mean(), abs=0.32 * posterior.std())
        assert np.std(draws) == pytest.approx(posterior.std(), rel=0.25)
    assert not np.any(found.divergent)


@gen
def nested():
    low = gamma(2.0, scale=1.0) @ "low"
    middle = uniform(low, low + 2.0) @ "middle"
    return normal(middle, 0.7) @ "y"


def test_the_ranks_of_draws_of_the_prior_are_uniform():
    """Fails once in 10^4 seeds for each choice, one of which has bounds that move."""
    kernel = functools.partial(nuts, selection=["low", "middle"], step_size=0.5)
    for of in ("low", "middle"):
        found = ranks(kernel, lambda rng: nested.simulate((), rng), lambda t, of=of: t[of], 80)
        assert chi_square(found, 10) < stats.chi2.ppf(1.0 - 1e-4, 9)


@gen
def line():
    a = normal(0.0, 1.0) @ "a"
    b = normal(0.9 * a, np.sqrt(1.0 - 0.81)) @ "b"
    return normal(a + b, 1.0) @ "y"


def test_a_correlated_normal_posterior_has_its_mean_and_covariance():
    """Five standard errors at 500 effective draws: 1 in 10^6 seeds."""
    trace, _ = line.generate((), {"y": 1.2}, rng=0)
    found = mcmc(functools.partial(nuts, selection=["a", "b"]), trace, 1000, 150, rng=0)
    cov, both = np.array([[1.0, 0.9], [0.9, 1.0]]), np.ones(2)
    gain = cov @ both / (1.0 + both @ cov @ both)
    draws = np.stack([found.values["a"][0], found.values["b"][0]])
    assert np.mean(draws, axis=1) == pytest.approx(gain * 1.2, abs=0.12)
    assert np.cov(draws) == pytest.approx(cov - np.outer(gain, both @ cov), abs=0.1)


def test_a_tree_ends_where_the_trajectory_turns():
    @gen
    def standard():
        return normal(0.0, 1.0) @ "x"

    # In one dimension a trajectory turns where its momentum changes sign, a quarter of a period
    # from the middle: after 15.7 steps.
    trace, _ = standard.generate((), {"x": 0.0})
    moves = [nuts(trace, "x", step_size=0.1, rng=seed) for seed in range(20)]
    assert {m.stats["tree_depth"] for m in moves} <= {4.0, 5.0}
    assert all(m.stats["n_steps"] < 2.0 ** (m.stats["tree_depth"] + 1.0) for m in moves)
    assert all(m.accept_prob > 0.99 for m in moves)
    short = [nuts(trace, "x", step_size=0.1, max_depth=2, rng=seed) for seed in range(20)]
    assert {m.stats["n_steps"] for m in short} == {3.0}
    assert {m.stats["tree_depth"] for m in short} == {2.0}


def test_the_states_of_a_trajectory_are_weighed_by_their_energy():
    """Draws of the posterior stay draws of it with steps of half of what is stable: such steps
    change the energy by much. Fails once in 10^4 seeds."""

    @gen
    def standard():
        return normal(0.0, 1.0) @ "x"

    rng = np.random.default_rng(0)
    after = []
    for _ in range(800):
        trace = standard.simulate((), rng)
        after.append(nuts(trace, "x", step_size=1.4, max_depth=2, rng=rng).trace["x"])
    assert stats.kstest(after, "norm").pvalue > 1e-4


@gen
def funnel():
    v = normal(0.0, 3.0) @ "v"
    return normal(np.zeros(4), np.exp(0.5 * v)) @ "x"


def test_divergences_in_the_funnel_are_counted():
    trace, _ = funnel.generate((), {"v": 0.0, "x": np.ones(4)})
    kernel = functools.partial(nuts, selection=["v", "x"], step_size=0.7, max_depth=4)
    with pytest.warns(DivergentTrajectories) as caught:
        found = mcmc(kernel, trace, draws=150, warmup=0, rng=0)
    count = int(np.sum(found.divergent))
    assert count > 0
    (warning,) = caught
    assert str(warning.message).startswith(f"{count} of 150 draws came after a divergent")
    assert warning.filename == __file__
    assert f"{count} divergent" in repr(found)


def test_the_same_seed_gives_the_same_bits_in_any_executor():
    trace, _ = line.generate((), {"y": 1.2}, rng=0)
    kernel = functools.partial(nuts, selection=["a", "b"])

    def run(executor):
        return mcmc(kernel, trace, 10, 25, chains=2, executor=executor, rng=4, metric="dense")

    here = run(None)
    with ThreadPoolExecutor(2) as threads:
        in_threads = run(threads)
    with ProcessPoolExecutor(1, get_context("fork")) as processes:
        elsewhere = run(processes)
    for other in (in_threads, elsewhere):
        assert np.array_equal(other.values["a"], here.values["a"])
        assert other.adapted[1][0]["step_size"] == here.adapted[1][0]["step_size"]
        assert np.array_equal(other.adapted[1][0]["metric"], here.adapted[1][0]["metric"])


def test_a_depth_is_a_whole_number():
    trace, _ = line.generate((), {"y": 1.2}, rng=0)
    with pytest.raises(InvalidValue, match="max_depth is a whole number of at least 1, got 0"):
        nuts(trace, "a", max_depth=0)
