"""Leapfrog steps: reversible, volume preserving, of second order, and with the metric in them."""

import math
from typing import Any

import numpy as np
import pytest

from genparams import gamma, gen, mvnormal, normal
from genparams.errors import InvalidValue
from genparams.learning.sampling.coordinates import Coordinates
from genparams.learning.sampling.hamiltonian import (
    State,
    accept_prob,
    is_divergent,
    leapfrog,
    state_of,
)
from genparams.learning.sampling.hmc import hmc
from genparams.learning.sampling.mala import mala
from genparams.learning.sampling.metric import metric_of
from genparams.learning.sampling.nuts import nuts

DENSE = [[1.0, 0.3, 0.0], [0.3, 0.5, 0.1], [0.0, 0.1, 2.0]]


@gen
def curved():
    scale = gamma(2.0, scale=1.0) @ "scale"
    x = normal(np.zeros(2), scale) @ "x"
    return normal(x[0] * x[1], 0.5) @ "y"


def space_and_metric(metric: Any = DENSE):
    trace, _ = curved.generate((), {"scale": 0.8, "x": [0.5, -0.7], "y": 0.4})
    space = Coordinates(trace, ["scale", "x"])
    return space, metric_of(metric, space.size)


def stepped(space, metric, u, p, step=0.2):
    """The coordinates and momenta after one step."""
    point = space.at(u)
    after = leapfrog(space, metric, state_of(point, p, metric), step)
    assert after is not None
    return np.concatenate([after.point.u, after.p])


P = np.array([0.4, -1.1, 0.6])


@pytest.mark.parametrize("metric", [None, [1.0, 0.5, 2.0], DENSE])
def test_a_step_is_reversible(metric):
    space, sigma = space_and_metric(metric)
    ahead = stepped(space, sigma, space.start.u, P)
    back = stepped(space, sigma, ahead[:3], -ahead[3:])
    assert back == pytest.approx(np.concatenate([space.start.u, -P]), abs=1e-13)
    backwards = stepped(space, sigma, ahead[:3], ahead[3:], step=-0.2)
    assert backwards == pytest.approx(np.concatenate([space.start.u, P]), abs=1e-13)


@pytest.mark.parametrize("metric", [None, [1.0, 0.5, 2.0], DENSE])
def test_a_step_preserves_volume(metric):
    space, sigma = space_and_metric(metric)
    at = np.concatenate([space.start.u, P])

    def after(z):
        return stepped(space, sigma, z[:3], z[3:])

    columns = [after(at + h) - after(at - h) for h in 1e-5 * np.eye(6)]
    assert np.linalg.det(np.column_stack(columns) / 2e-5) == pytest.approx(1.0, abs=1e-8)


def test_the_position_moves_by_the_metric_times_the_momentum():
    @gen
    def standard():
        mvnormal(np.zeros(3), np.eye(3)) @ "x"

    trace, _ = standard.generate((), {"x": [0.5, -0.7, 0.2]})
    space, sigma = Coordinates(trace, "x"), metric_of(DENSE, 3)
    found = leapfrog(space, sigma, state_of(space.start, P, sigma), 0.2)
    assert found is not None
    half = P - 0.1 * space.start.u  # the gradient of the log density at u is -u
    u = space.start.u + 0.2 * np.array(DENSE) @ half
    assert found.point.u == pytest.approx(u)
    assert found.p == pytest.approx(half - 0.1 * u)
    assert found.velocity == pytest.approx(np.array(DENSE) @ found.p)
    kinetic = 0.5 * found.p @ np.array(DENSE) @ found.p
    assert found.energy == pytest.approx(0.5 * u @ u + 1.5 * math.log(2.0 * math.pi) + kinetic)


def test_the_energy_error_is_of_third_order_in_one_step():
    space, sigma = space_and_metric()
    start = state_of(space.start, P, sigma)

    def error(step):
        end = leapfrog(space, sigma, start, step)
        assert end is not None
        return end.energy - start.energy

    assert error(0.02) / error(0.01) == pytest.approx(8.0, rel=0.05)


def test_chances_and_divergences():
    space, sigma = space_and_metric()
    start = state_of(space.start, P, sigma)

    def above(rise):
        return State(start.point, start.p, start.velocity, start.energy + rise)

    assert accept_prob(start, above(-2.0)) == 1.0
    assert accept_prob(start, above(0.5)) == pytest.approx(math.exp(-0.5))
    assert accept_prob(start, above(math.inf)) == 0.0
    assert accept_prob(start, above(math.nan)) == 0.0
    assert accept_prob(start, None) == 0.0
    assert is_divergent(start, None)
    assert is_divergent(start, above(1001.0))
    assert is_divergent(start, above(math.nan))
    assert not is_divergent(start, above(999.0))


@pytest.mark.parametrize("kernel", [hmc, mala, nuts])
@pytest.mark.parametrize("step_size", [0.0, -1.0, math.nan, math.inf, "small", True])
def test_a_step_size_is_a_number_above_0(kernel, step_size):
    space, _ = space_and_metric()
    with pytest.raises(InvalidValue, match="step_size is a number above 0"):
        kernel(space.trace, ["scale", "x"], step_size=step_size)
