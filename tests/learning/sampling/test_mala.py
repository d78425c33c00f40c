"""The Metropolis-adjusted Langevin algorithm: its acceptance by hand, and detailed balance."""

import functools
import math

import numpy as np
import pytest
from kernels import Scripted, chi_square, ranks
from scipy import stats

from genparams import exponential, gamma, gen, normal
from genparams.learning.sampling.coordinates import Coordinates
from genparams.learning.sampling.mala import mala
from genparams.learning.sampling.mcmc import mcmc

TAU = 0.3


@gen
def waiting():
    rate = gamma(2.0, rate=1.5) @ "rate"
    shift = normal(0.0, 1.0) @ "shift"
    return normal(shift + rate, 0.8) @ "y"


def log_q(to, start):
    """log q(to | start) of the proposal."""
    mean = start.u + TAU * start.gradient
    return float(np.sum(stats.norm.logpdf(to.u, mean, math.sqrt(2.0 * TAU))))


@pytest.mark.parametrize("z", [[0.5, -0.3], [-1.1, 0.9], [1.4, 1.2]])
def test_detailed_balance_holds_between_a_state_and_its_proposal(z):
    trace, _ = waiting.generate((), {"rate": 0.9, "shift": 0.4, "y": 1.0})
    selection = ["rate", "shift"]
    start = Coordinates(trace, selection).start
    to = start.u + TAU * start.gradient + math.sqrt(2.0 * TAU) * np.array(z)
    space = Coordinates(trace, selection)
    end = space.at(to)
    assert end is not None
    there = mala(trace, selection, step_size=TAU, rng=Scripted(z))
    z_back = (start.u - end.u - TAU * end.gradient) / math.sqrt(2.0 * TAU)
    back = mala(space.trace_at(to), selection, step_size=TAU, rng=Scripted(z_back))
    forwards = start.log_density + log_q(end, start) + math.log(there.accept_prob)
    backwards = end.log_density + log_q(start, end) + math.log(back.accept_prob)
    assert forwards == pytest.approx(backwards)
    assert max(there.accept_prob, back.accept_prob) == 1.0
    assert there.accepted == (np.random.default_rng(0).random() < there.accept_prob)
    if there.accepted:
        assert there.coordinates == pytest.approx(to)
        assert Coordinates(there.trace, selection).start.u == pytest.approx(to)
    else:
        assert there.trace is trace


def test_the_ranks_of_draws_of_the_prior_are_uniform():
    """Fails once in 10^4 seeds."""
    kernel = functools.partial(mala, selection=["rate", "shift"], step_size=TAU)
    found = ranks(kernel, lambda rng: waiting.simulate((), rng), lambda t: t["rate"], 150)
    assert chi_square(found, 10) < stats.chi2.ppf(1.0 - 1e-4, 9)


def test_a_gamma_posterior_has_its_moments():
    """Five standard errors of the mean, at 150 effective draws of 1000: 1 in 10^6 seeds."""

    @gen
    def times():
        rate = gamma(2.0, rate=1.5) @ "rate"
        return exponential(rate * np.ones(4)) @ "times"

    trace, _ = times.generate((), {"times": [0.3, 1.0, 0.7, 0.4]}, rng=0)
    found = mcmc(functools.partial(mala, selection="rate"), trace, 1000, 200, rng=0)
    posterior = stats.gamma(6.0, scale=1.0 / (1.5 + 2.4))
    draws = found.values["rate"]
    assert np.mean(draws) == pytest.approx(posterior.mean(), abs=5.0 * posterior.std() / 12.0)
    assert np.std(draws) == pytest.approx(posterior.std(), rel=0.3)
    assert found.accept_rate == pytest.approx([0.574], abs=0.15)


def test_a_proposal_without_density_is_divergent():
    @gen
    def overflowing():
        scale = gamma(2.0, scale=1.0) @ "scale"
        return normal(0.0, scale * scale) @ "x"

    trace, _ = overflowing.generate((), {"scale": 1.0, "x": 0.5})
    moved = mala(trace, "scale", step_size=1e6, rng=0)
    assert (moved.accepted, moved.divergent, moved.accept_prob) == (False, True, 0.0)
    assert moved.trace is trace
