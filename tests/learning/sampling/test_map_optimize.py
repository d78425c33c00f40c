"""The mode of a posterior, against closed forms."""

import numpy as np
import pytest

from genparams import (
    beta,
    dirichlet,
    gamma,
    gen,
    init_param,
    normal,
    param,
    poisson,
    set_param,
    uniform,
)
from genparams.errors import (
    ArgumentError,
    DistributionError,
    InvalidValue,
    NotConverged,
    UnknownAddress,
)
from genparams.learning.sampling.map_optimize import map_optimize

YS = np.array([0.8, 1.9, 1.1])


@gen
def mean_of():
    mu = normal(0.0, 2.0) @ "mu"
    normal(mu, 0.5, size=3) @ "ys"


def test_the_mode_of_a_normal_posterior():
    trace, _ = mean_of.generate((), {"ys": YS}, rng=0)
    found = map_optimize(trace, "mu")
    assert found["mu"] == pytest.approx(YS.sum() / 0.25 / (0.25 + 3.0 / 0.25), rel=1e-8)
    np.testing.assert_array_equal(found["ys"], YS)


def test_the_mode_is_of_the_values_and_not_of_their_coordinates():
    """The mode of a gamma density with shape a is (a - 1) / rate; of the logarithm it is a / rate.

    The modes of a beta and a Dirichlet density are those of the posterior given counts.
    """

    @gen
    def all_kinds(n):
        rate = gamma(3.0, rate=1.0) @ "rate"
        poisson(rate, size=4) @ "counts"
        beta(2.0, 5.0) @ "risk"
        dirichlet(np.array([2.0, 3.0, 4.0])) @ "shares"

    trace, _ = all_kinds.generate((4,), {"counts": [2, 0, 3, 1]}, rng=1)
    found = map_optimize(trace, ["rate", "risk", "shares"])
    assert found["rate"] == pytest.approx((3.0 + 6.0 - 1.0) / (1.0 + 4.0), rel=1e-6)
    assert found["risk"] == pytest.approx(1.0 / 5.0, rel=1e-6)
    assert found["shares"] == pytest.approx(np.array([1.0, 2.0, 3.0]) / 6.0, rel=1e-6)
    assert found.log_prob > trace.log_prob


def test_only_the_selected_choices_move():
    @gen
    def two():
        a = normal(0.0, 1.0) @ "a"
        normal(a, 1.0) @ "b"

    trace, _ = two.generate((), {"a": 2.0, "b": 9.0})
    assert map_optimize(trace, "b")["a"] == 2.0
    assert map_optimize(trace, "b")["b"] == pytest.approx(2.0, abs=1e-7)
    assert map_optimize(trace, "a")["a"] == pytest.approx(4.5, abs=1e-7)


def test_the_mode_at_a_bound_is_approached():
    @gen
    def falling():
        gamma(1.0, rate=2.0) @ "x"

    trace, _ = falling.generate((), {"x": 0.7})
    assert 0.0 < map_optimize(trace, "x")["x"] < 1e-6


def test_a_mode_is_left_where_it_is():
    trace, _ = mean_of.generate((), {"ys": YS}, rng=0)
    once = map_optimize(trace, "mu")
    assert map_optimize(once, "mu")["mu"] == pytest.approx(once["mu"], abs=1e-9)


def test_the_mode_is_at_the_present_parameters():
    @gen
    def centred():
        normal(param("mu"), 1.0) @ "x"

    init_param(centred, "mu", 0.0)
    trace, _ = centred.generate((), {"x": 0.5})
    set_param(centred, "mu", 3.0)
    assert map_optimize(trace, "x")["x"] == pytest.approx(3.0, abs=1e-7)


def test_a_density_without_bound_is_a_warning():
    @gen
    def collapsing():
        s = uniform(0.0, 1.0) @ "s"
        normal(0.0, s, size=3) @ "y"

    trace, _ = collapsing.generate((), {"s": 0.5, "y": np.zeros(3)})
    with pytest.warns(NotConverged, match="stopped short of a maximum"):
        found = map_optimize(trace, "s")
    assert found["s"] < 0.01


MISTAKES = {
    "a discrete choice": ("k", DistributionError, "discrete"),
    "an unknown address": ("m", UnknownAddress, "did you mean 'mu'"),
    "an empty selection": ([], ArgumentError, "selects no choice"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered(mistake):
    @gen
    def counted():
        mu = gamma(2.0, rate=1.0) @ "mu"
        poisson(mu) @ "k"

    selection, error, message = MISTAKES[mistake]
    with pytest.raises(error, match=message):
        map_optimize(counted.simulate((), 0), selection)


def test_the_number_of_iterations_is_checked():
    trace, _ = mean_of.generate((), {"ys": YS}, rng=0)
    with pytest.raises(InvalidValue, match="max_iterations is a whole number"):
        map_optimize(trace, "mu", 0)
