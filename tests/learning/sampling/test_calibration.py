"""Simulation-based calibration: the rank of a draw of the prior in its own posterior is uniform.

The test statistic exceeds its bound once in 10^4 seeds, for each test.
"""

import functools

import numpy as np
import pytest
from kernels import chi_square, ranks
from scipy import stats

from genparams import beta, binomial, gen, normal
from genparams.learning.sampling.elliptical import elliptical_slice
from genparams.learning.sampling.metropolis import metropolis_hastings

BINS = 6
BOUND = stats.chi2.isf(1e-4, BINS - 1)


@gen
def coins():
    risk = beta(2.0, 3.0) @ "risk"
    binomial(12, risk) @ "heads"


@gen
def step_of_risk(trace):
    """An asymmetric proposal, which is drawn to 1."""
    beta(3.0 + 9.0 * trace["risk"], 10.0 - 9.0 * trace["risk"]) @ "risk"


@gen
def located():
    mu = normal(-1.0, 1.5) @ "mu"
    normal(mu, 0.8) @ "y"


@gen
def unit(trace):
    normal(0.0, 1.0) @ "z"


def rotated(trace, u, retval, proposal_args):
    """A reflection of the whitened choice and the new number: its determinant is 1."""
    angle, z = 0.9, (trace["mu"] + 1.0) / 1.5
    c, s = np.cos(angle), np.sin(angle)
    return {"mu": -1.0 + 1.5 * (c * z + s * u["z"])}, {"z": s * z - c * u["z"]}, 0.0


KERNELS = {
    "selection": (coins, "risk", functools.partial(metropolis_hastings, selection="risk")),
    "proposal": (coins, "risk", functools.partial(metropolis_hastings, proposal=step_of_risk)),
    "involution": (
        located,
        "mu",
        functools.partial(metropolis_hastings, proposal=unit, involution=rotated),
    ),
    "ellipse": (
        located,
        "mu",
        functools.partial(elliptical_slice, address="mu", mean=-1.0, cov=2.25),
    ),
}


@pytest.mark.parametrize("name", KERNELS)
def test_the_ranks_of_draws_of_the_prior_are_uniform(name):
    model, address, kernel = KERNELS[name]
    found = ranks(
        kernel, lambda rng: model.simulate((), rng), lambda t: t[address], 250, steps=BINS - 1
    )
    assert chi_square(found, BINS) < BOUND


def test_a_proposal_without_its_correction_does_not_make_uniform_ranks():
    def wrong(trace, rng):
        """It takes the proposal for a symmetric one."""
        new, weight, _ = trace.update(step_of_risk.propose((trace,), rng)[0])
        accepted = rng.random() < np.exp(min(weight, 0.0))
        return (new if accepted else trace), accepted

    found = ranks(
        wrong, lambda rng: coins.simulate((), rng), lambda t: t["risk"], 250, steps=BINS - 1
    )
    assert chi_square(found, BINS) > BOUND
