"""The density of selected choices over one vector of unconstrained coordinates."""

import math

import numpy as np
import pytest
from scipy import stats

from genparams import (
    bernoulli,
    censored,
    dirichlet,
    exponential,
    gamma,
    gen,
    get_param_grad,
    init_param,
    mvnormal,
    normal,
    param,
    positive,
    product,
    set_param,
    truncated,
    uniform,
)
from genparams.errors import (
    ArgumentError,
    DistributionError,
    ImpossibleTrace,
    ReplayDiffers,
    StructureChange,
    UnknownAddress,
)
from genparams.learning.sampling.coordinates import Coordinates


@gen
def part(scale):
    low = exponential(scale) @ "low"
    return uniform(low, 2.0 * low + 1.0) @ "between"


@gen
def everything_at_once():
    scale = gamma(2.0, scale=1.0) @ "scale"
    inside = part(scale) @ "part"
    shares = dirichlet(np.array([1.0, 2.0, 3.0]) * scale) @ "shares"
    above = truncated(normal(np.zeros(2), scale), low=inside) @ "above"
    level, noise = product([normal(scale, 1.0), exponential(np.array([1.0, 2.0]))]) @ "pair"
    point = mvnormal(np.array([1.0, -1.0]), np.eye(2)) @ "point"
    held = bernoulli(0.3) @ "held"
    center = np.sum(above) * shares[0] + level * point[1] + held
    return normal(center, noise[0] + noise[1]) @ "y"


@gen
def decay():
    rate = exponential(param("prior")) @ "rate"
    return exponential(rate) @ "time"


def decaying(rate=0.7, time=1.3, prior=2.0):
    init_param(decay, "prior", prior, constraint=positive)
    return decay.generate((), {"rate": rate, "time": time})[0]


ALL = ["scale", "part", "shares", "above", "pair", "point"]


@pytest.mark.parametrize("selection", [ALL, [*reversed(ALL)], ["part"], [("part", "low"), "above"]])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("jacobian", [True, False])
def test_the_gradient_is_the_slope(selection, seed, jacobian):
    trace, _ = everything_at_once.generate((), {"y": 0.4}, rng=seed)
    space = Coordinates(trace, selection, jacobian)
    u = space.start.u + 0.1 * np.random.default_rng(seed).normal(size=space.size)
    at = space.at(u)
    assert at is not None
    for k, step in enumerate(1e-5 * np.eye(space.size)):
        up, down = space.at(u + step), space.at(u - step)
        assert up is not None
        assert down is not None
        difference = (up.log_density - down.log_density) / 2e-5
        assert at.gradient[k] == pytest.approx(difference, rel=1e-5, abs=1e-6)


def test_the_density_is_the_one_by_hand():
    space = Coordinates(decaying(rate=0.7), "rate")
    assert space.start.u == pytest.approx([math.log(0.7)])
    for u in (-1.0, 0.4):
        rate = math.exp(u)
        found = space.at(np.array([u]))
        assert found is not None
        by_hand = math.log(2.0) - 2.0 * rate + math.log(rate) - 1.3 * rate + u
        assert found.log_density == pytest.approx(by_hand)
        assert found.gradient == pytest.approx([-2.0 * rate + 1.0 - 1.3 * rate + 1.0])


def test_without_the_jacobian_it_is_the_density_of_the_choices():
    trace = decaying()
    assert Coordinates(trace, "rate", jacobian=False).start.log_density == trace.log_prob


def test_bounds_that_move_are_part_of_the_determinant():
    trace, _ = part.generate((1.5,), {"low": 0.8, "between": 1.7})
    space = Coordinates(
        trace,
        [
            (),
        ],
    )
    width, share = 0.8 + 1.0, (1.7 - 0.8) / 1.8
    log_det = math.log(0.8) + math.log(width * share * (1.0 - share))
    by_hand = stats.expon.logpdf(0.8, scale=1.0 / 1.5) - math.log(width) + log_det
    assert space.start.log_density == pytest.approx(by_hand)
    assert space.start.u == pytest.approx([math.log(0.8), math.log(share / (1.0 - share))])


def test_a_step_of_one_coordinate_moves_what_is_bounded_by_it():
    trace, _ = part.generate((1.5,), {"low": 0.8, "between": 1.7})
    space = Coordinates(trace, ["low", "between"])
    moved = space.trace_at(space.start.u + np.array([math.log(2.0), 0.0]))
    assert moved["low"] == pytest.approx(1.6)
    assert moved["between"] == pytest.approx(1.6 + (1.6 + 1.0) * 0.5)


def test_the_trace_there_is_the_updated_trace():
    trace, _ = everything_at_once.generate((), {"y": 0.4}, rng=1)
    space = Coordinates(trace, ALL)
    moved = space.trace_at(space.start.u + 0.1)
    assert moved == trace.update(moved.choices)[0]
    point = space.at(space.start.u + 0.1)
    assert point is not None
    assert Coordinates(moved, ALL).start.log_density == pytest.approx(point.log_density)
    assert Coordinates(moved, ALL).start.u == pytest.approx(space.start.u + 0.1)
    assert moved["held"] == trace["held"]
    assert not moved["shares"].flags.writeable


def test_parameters_are_at_their_present_values_and_nothing_is_accumulated():
    trace = decaying(rate=0.7, prior=2.0)
    set_param(decay, "prior", 5.0)
    space = Coordinates(trace, "rate")
    by_hand = math.log(5.0) - 5.0 * 0.7 + math.log(0.7) - 1.3 * 0.7 + math.log(0.7)
    assert space.start.log_density == pytest.approx(by_hand)
    set_param(decay, "prior", 9.0)  # the density stays the one at the start
    at = space.at(space.start.u)
    assert at is not None
    assert at.log_density == pytest.approx(by_hand)
    assert get_param_grad(decay, "prior") == 0.0


@pytest.mark.parametrize("u", [800.0, -800.0, math.nan])
def test_where_there_is_no_density_there_is_no_point(u):
    @gen
    def scaled():
        scale = gamma(0.5, scale=1.0) @ "scale"
        return normal(0.0, scale * scale) @ "y"

    trace, _ = scaled.generate((), {"scale": 1.0, "y": 0.5})
    assert Coordinates(trace, "scale").at(np.array([u])) is None


def test_errors_of_arithmetic_in_the_body_are_no_density():
    @gen
    def inverse():
        x = normal(0.0, 1.0) @ "x"
        return (
            normal(
                1.0 / np.linalg.inv(np.stack([np.stack([x, 0.0]), np.stack([0.0, 1.0])]))[0, 0], 1.0
            )
            @ "y"
        )

    trace, _ = inverse.generate((), {"x": 1.0, "y": 0.5})
    assert Coordinates(trace, "x").at(np.array([0.0])) is None


def test_other_errors_of_the_body_are_raised():
    @gen
    def fails():
        x = normal(0.0, 1.0) @ "x"
        if x > 1.0:
            raise KeyError("beyond")

    trace, _ = fails.generate((), {"x": 0.0})
    with pytest.raises(KeyError, match="beyond"):
        Coordinates(trace, "x").at(np.array([2.0]))


@gen
def branching():
    x = normal(0.0, 1.0) @ "x"
    if x > 0.0:
        normal(x, 1.0) @ "positive"
    else:
        normal(x, 1.0) @ "negative"


def test_a_change_of_structure_is_refused():
    trace, _ = branching.generate((), {"x": 1.0})
    space = Coordinates(trace, "x")
    with pytest.raises(StructureChange, match="branching visits 'negative', which the trace does"):
        space.at(np.array([-1.0]))
    with pytest.raises(StructureChange, match="metropolis_hastings"):
        space.trace_at(np.array([-1.0]))


def test_a_choice_that_vanishes_is_refused():
    @gen
    def shrinking():
        x = normal(0.0, 1.0) @ "x"
        return normal(x, 1.0) @ "y" if x > 0.0 else x

    trace, _ = shrinking.generate((), {"x": 1.0})
    with pytest.raises(StructureChange, match="no longer visits 'y'") as caught:
        Coordinates(trace, "x").at(np.array([-1.0]))
    assert (caught.value.address, caught.value.appears) == ("'y'", False)


def test_a_body_that_catches_a_lost_derivative_is_refused():
    @gen
    def catching():
        x = normal(0.0, 1.0) @ "x"
        try:
            mean = float(x)
        except TypeError:
            mean = 0.0 * x + 1.0
        return normal(mean, 1.0) @ "y"

    trace, _ = catching.generate((), {"x": 1.0, "y": 0.5})
    with pytest.raises(ReplayDiffers, match="catches an error"):
        Coordinates(trace, "x")


@gen
def limits(kind):
    rate = exponential(1.0) @ "rate"
    if kind == "discrete":
        bernoulli(0.5) @ "x"
    elif kind == "censored":
        censored(normal(rate, 1.0), low=0.0) @ "x"
    else:
        normal(rate, 1.0) @ "x"


@pytest.mark.parametrize(
    ("kind", "choices", "selection", "error", "message"),
    [
        ("discrete", {"x": 1}, "x", DistributionError, r"at 'x': the choice is discrete \(bern"),
        ("censored", {"x": 1.0}, "x", DistributionError, "at 'x'.*each limit has a probability"),
        ("", {"rate": 0.0}, "rate", DistributionError, r"at 'rate': the value 0\.0 is at a bound"),
        ("", {"rate": -1.0}, "x", ImpossibleTrace, "'rate' of limits has log probability -inf"),
        ("", {}, [], ArgumentError, "selects no choice"),
        ("", {}, "z", UnknownAddress, "z"),
    ],
)
def test_what_has_no_coordinates_is_refused(kind, choices, selection, error, message):
    trace, _ = limits.generate((kind,), {"rate": 0.5, **choices})
    with pytest.raises(error, match=message):
        Coordinates(trace, selection)


def test_what_is_no_trace_is_refused():
    with pytest.raises(ArgumentError, match=r"the first argument is a trace.*got 'x'"):
        Coordinates("x", "x")  # type: ignore[arg-type]
