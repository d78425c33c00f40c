"""The warm-up of chains: what a kernel leaves open is learnt, what it was given is kept."""

import functools
import math

import numpy as np
import pytest

from genparams import gen, normal
from genparams.errors import InvalidValue
from genparams.learning.sampling.hmc import hmc
from genparams.learning.sampling.mala import mala
from genparams.learning.sampling.mcmc import mcmc
from genparams.learning.sampling.moved import Moved
from genparams.learning.sampling.nuts import nuts
from genparams.learning.sampling.warmup import open_arguments


@gen
def wide_and_narrow():
    a = normal(0.0, 10.0) @ "a"
    b = normal(0.02 * a, 0.1) @ "b"
    return a, b


def start():
    return wide_and_narrow.generate((), {"a": 1.0, "b": 0.1})[0]


BOTH = ["a", "b"]
COV = np.array([[100.0, 2.0], [2.0, 0.05]])


def test_a_dense_metric_is_the_covariance_of_the_posterior():
    kernel = functools.partial(nuts, selection=BOTH)
    found = mcmc(kernel, start(), draws=1, warmup=700, rng=0, metric="dense")
    metric = found.adapted[0][0]["metric"]
    roots = np.sqrt(np.diag(COV))
    assert metric / np.outer(roots, roots) == pytest.approx(COV / np.outer(roots, roots), abs=0.4)
    assert metric[0, 1] / math.sqrt(metric[0, 0] * metric[1, 1]) == pytest.approx(0.894, abs=0.05)


def test_a_diagonal_metric_has_the_variances():
    kernel = functools.partial(hmc, selection=BOTH, steps=5)
    found = mcmc(kernel, start(), draws=1, warmup=700, rng=0)
    assert np.log(found.adapted[0][0]["metric"] / np.diag(COV)) == pytest.approx(
        [0.0, 0.0], abs=1.0
    )


@pytest.mark.parametrize(("kernel", "usual"), [(hmc, 0.8), (nuts, 0.8), (mala, 0.574)])
def test_the_acceptance_comes_near_its_target(kernel, usual):
    """The mean of the logarithms of step sizes is smaller than the step size of the mean
    acceptance, here as in Stan: the acceptance comes to lie above the target."""

    @gen
    def standard():
        return normal(np.zeros(4), 1.0) @ "x"

    trace, found = standard.simulate((), 0), {}
    more = {"steps": 3} if kernel is hmc else {}
    for target in (None, 0.95):
        step = functools.partial(kernel, selection="x", **more)
        found[target] = mcmc(step, trace, 100, 200, rng=0, target_accept=target)
        assert -0.1 < found[target].accept_rate[0] - (target or usual) < 0.3
        assert found[target].adapted[0][0]["step_size"] == found[target].stats["step_size"][0, 0]
        assert np.ptp(found[target].stats["step_size"]) == 0.0
    chosen = [found[target].adapted[0][0]["step_size"] for target in (None, 0.95)]
    assert chosen[0] > chosen[1]


def test_what_a_kernel_was_given_is_kept():
    given = functools.partial(hmc, selection=BOTH, step_size=0.05, steps=2, metric=[100.0, 0.05])
    found = mcmc(given, start(), draws=3, warmup=30, rng=0)
    assert found.adapted == (({},),)
    assert np.all(found.stats["step_size"] == 0.05)
    metric_given = functools.partial(hmc, selection=BOTH, steps=2, metric=np.diag(COV))
    found = mcmc(metric_given, start(), draws=3, warmup=30, rng=0)
    assert found.adapted[0][0].keys() == {"step_size"}
    assert open_arguments(metric_given) == {"step_size": 0.1}
    assert open_arguments(given) == {}


def test_without_warm_up_nothing_is_learnt():
    found = mcmc(functools.partial(hmc, selection="b"), start(), draws=3, warmup=0, rng=0)
    assert found.adapted == (({},),)
    assert np.all(found.stats["step_size"] == 0.1)


def test_a_short_warm_up_learns_a_step_size_alone():
    found = mcmc(functools.partial(hmc, selection="b"), start(), draws=3, warmup=19, rng=0)
    assert found.adapted[0][0].keys() == {"step_size"}


def test_each_kernel_of_a_cycle_learns_its_own():
    kernels = [functools.partial(hmc, selection="a"), functools.partial(mala, selection="b")]
    found = mcmc(kernels, start(), draws=50, warmup=100, rng=0)
    first, second = (one["step_size"] for one in found.adapted[0])
    assert found.adapted[0][1].keys() == {"step_size"}  # mala has no metric
    assert first > 0.1 > second
    assert found.stats["step_size[0]"][0, 0] == first


def walk(trace, rng, step_size=1.0):
    """A random walk in b with a step size of its own."""
    other, weight, _ = trace.update({"b": trace["b"] + step_size * rng.normal()})
    chance = math.exp(min(0.0, weight))
    accepted = rng.random() < chance
    return Moved(other if accepted else trace, accepted, chance)


def test_any_kernel_with_a_step_size_learns_it():
    found = mcmc(walk, start(), draws=200, warmup=200, rng=0, target_accept=0.44)
    assert found.accept_rate[0] == pytest.approx(0.44, abs=0.12)
    assert 0.1 < found.adapted[0][0]["step_size"] < 0.5  # 2.4 standard deviations of 0.1


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"target_accept": 1.0}, "target_accept is a number between 0 and 1, got 1.0"),
        ({"target_accept": "high"}, "target_accept is a number between 0 and 1, got 'high'"),
        ({"metric": "full"}, "there is no metric of kind 'full'"),
        ({"metric": [1.0, 1.0]}, "there is no metric of kind"),
    ],
)
def test_what_a_warm_up_cannot_aim_at_is_refused(option, message):
    with pytest.raises(InvalidValue, match=message):
        mcmc(functools.partial(hmc, selection="b"), start(), draws=1, warmup=1, **option)
