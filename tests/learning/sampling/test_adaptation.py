"""What a warm-up learns: step sizes by dual averaging, metrics in windows."""

import math

import numpy as np
import pytest

from genparams import gen, normal, uniform
from genparams.errors import NoStepSize
from genparams.learning.sampling.adaptation import DualAveraging, Moments, first_step_size, windows
from genparams.learning.sampling.coordinates import Coordinates
from genparams.learning.sampling.metric import metric_of


def test_dual_averaging_is_the_one_by_hand():
    """From a step of 0.5 and a target of 0.8: mu = log 5 = 1.6094379, gamma = 0.05, t0 = 10.

    t   accept   mean error                                step
    1   0.3      (0.8 - 0.3) / 11 = 0.0454545              exp(1.6094379 - 20 * 0.0454545)
    2   0.9      (11/12) 0.0454545 - 0.1 / 12 = 1/30       exp(1.6094379 - 20 sqrt(2) / 30)
    3   1.0      (12/13) / 30 - 0.2 / 13 = 0.2 / 13        exp(1.6094379 - 20 sqrt(3) 0.2 / 13)
    """
    state = DualAveraging.begun(0.5, 0.8)
    assert state.step_size == pytest.approx(0.5)
    logs = [
        math.log(5.0) - 20.0 * (0.5 / 11.0),
        math.log(5.0) - 20.0 * math.sqrt(2.0) / 30.0,
        math.log(5.0) - 20.0 * math.sqrt(3.0) * 0.2 / 13.0,
    ]
    mean = logs[0]  # the first has all of the weight
    for t, (accept, log_step) in enumerate(zip([0.3, 0.9, 1.0], logs, strict=True), start=1):
        state = state.after(accept)
        weight = t**-0.75
        mean = weight * log_step + (1.0 - weight) * mean
        assert math.log(state.step_size) == pytest.approx(log_step)
        assert math.log(state.mean) == pytest.approx(mean)


def test_dual_averaging_finds_the_step_size_of_its_target():
    """For a sampler whose acceptance is exp(-step): the target 0.8 is at step = -log 0.8."""
    state = DualAveraging.begun(3.0, 0.8)
    for _ in range(2000):
        state = state.after(math.exp(-state.step_size))
    assert state.mean == pytest.approx(-math.log(0.8), rel=0.03)


def test_without_a_step_the_first_step_size_is_kept():
    assert DualAveraging.begun(0.25, 0.8).mean == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("warmup", "first", "ends"),
    [
        (1000, 75, (99, 149, 249, 449, 949)),
        (500, 75, (99, 149, 249, 449)),
        (300, 75, (99, 149, 249)),
        (150, 75, (99,)),
        (149, 22, (134,)),
        (100, 15, (89,)),
        (20, 3, (17,)),
        (19, 19, ()),
        (0, 0, ()),
    ],
)
def test_the_windows_are_the_ones_of_stan(warmup, first, ends):
    plan = windows(warmup)
    assert (plan.first, plan.ends) == (first, ends)


@pytest.mark.parametrize("dense", [False, True])
def test_moments_are_the_ones_of_all_vectors(dense):
    draws = np.random.default_rng(0).normal(1e6, [1.0, 3.0], (40, 2))
    moments = Moments.begun(2, dense)
    for u in draws:
        moments = moments.after(u)
    cov = np.cov(draws.T)
    shrunk = 40.0 / 45.0 * (cov if dense else np.diag(cov))
    shrunk = shrunk + 1e-3 * 5.0 / 45.0 * (np.eye(2) if dense else np.ones(2))
    assert moments.mean == pytest.approx(np.mean(draws, axis=0))
    assert moments.metric == pytest.approx(shrunk, rel=1e-6)
    assert metric_of(moments.metric, 2).value == pytest.approx(shrunk, rel=1e-6)


@gen
def scaled(scale):
    return normal(np.zeros(3), scale) @ "x"


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_the_first_step_size_is_as_long_as_the_posterior_is_wide(scale):
    trace, _ = scaled.generate((scale,), {"x": scale * np.array([0.5, -1.0, 0.2])})
    space = Coordinates(trace, "x")
    rng = np.random.default_rng(0)
    found = first_step_size(space, metric_of(None, 3), rng)
    assert 0.1 < found / scale < 10.0
    with_metric = first_step_size(space, metric_of(scale**2 * np.ones(3), 3), rng)
    assert 0.1 < with_metric < 10.0


def test_a_density_without_slope_has_no_step_size():
    @gen
    def flat():
        x = normal(0.0, 1e12) @ "x"
        return uniform(-1.0, 1.0) @ "y", x

    trace, _ = flat.generate((), {"x": 0.0, "y": 0.5})
    with pytest.raises(NoStepSize, match=r"no step size fits flat near 2e\+07: however long"):
        first_step_size(Coordinates(trace, "x"), metric_of(None, 1), np.random.default_rng(0))


def test_a_density_that_jumps_at_the_start_has_no_step_size():
    @gen
    def edge():
        x = normal(0.0, 1.0) @ "x"
        return uniform(x, 1.0) @ "y"

    trace, _ = edge.generate((), {"x": 0.5, "y": 0.5})
    rng = np.random.default_rng(0)
    space = Coordinates(trace, "x")
    with pytest.raises(NoStepSize, match="however small its steps are"):
        first_step_size(_Walled(space), metric_of(None, 1), rng)  # type: ignore[arg-type]


class _Walled:
    """Coordinates with no density anywhere but at the start."""

    def __init__(self, space):
        self.start, self.trace = space.start, space.trace

    def at(self, u):
        return None
