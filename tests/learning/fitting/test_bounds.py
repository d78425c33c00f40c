"""Profiles and bootstraps of fits at a bound, without a maximum, and with a flat direction."""

from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats

from genparams import bernoulli, gen, init_param, normal, param, positive
from genparams.errors import AtBoundary, FlatDirection, GenParamsWarning, Separation
from genparams.learning.fitting.fit import fit

DROP = 0.5 * stats.chi2.ppf(0.95, 1)
EFFECTS = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERRORS = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


@gen
def schools(errors):
    tau = param("tau", 5.0, positive)
    return normal(param("mu", 0.0), np.sqrt(errors**2 + tau**2)) @ "effects"


@pytest.fixture(scope="module")
def at_bound():
    init_param(schools, "tau", 5.0, constraint=positive)
    init_param(schools, "mu", 0.0)
    with pytest.warns(GenParamsWarning) as seen:
        result = fit(schools, (ERRORS,), {"effects": EFFECTS})
    assert AtBoundary in {w.category for w in seen}
    return result


def log_likelihood(mu, tau):
    return np.sum(stats.norm.logpdf(EFFECTS, mu, np.sqrt(ERRORS**2 + tau**2)))


def highest_at(mu):
    """The largest log likelihood over tau, which is at 0 near the estimate of mu only."""
    found: Any = optimize.minimize_scalar(
        lambda tau: -log_likelihood(mu, tau), bounds=(0.0, 60.0), method="bounded"
    )
    return max(-found.fun, log_likelihood(mu, 0.0))


def test_a_profile_lets_a_parameter_leave_its_bound(at_bound):
    top = highest_at(at_bound.estimates["mu"])
    assert at_bound.log_likelihood == pytest.approx(top)
    low, high = at_bound.profile("mu").conf_int()
    expected = optimize.brentq(lambda m: top - highest_at(m) - DROP, 10.0, 30.0)
    assert high == pytest.approx(expected, rel=1e-6)
    assert log_likelihood(high, 0.0) < top - DROP - 0.01  # tau at 0 gives a shorter interval
    assert top - highest_at(low) == pytest.approx(DROP, rel=1e-5)


def test_a_parameter_at_its_bound_has_a_profile_of_one_side(at_bound):
    def fall(tau):
        found: Any = optimize.minimize_scalar(lambda m: -log_likelihood(m, tau), bounds=(-20, 40))
        return at_bound.log_likelihood + found.fun - DROP

    ends = at_bound.conf_int(kind="profile")
    assert ends["tau"][0] == 0.0
    assert ends["tau"][1] == pytest.approx(optimize.brentq(fall, 1.0, 50.0), rel=1e-6)
    assert "below the estimate" in ends.missing["tau"]


def test_a_bootstrap_lets_a_parameter_leave_its_bound(at_bound):
    found = at_bound.bootstrap(40, rng=1)
    assert found.failed == 0
    tau = found.draws["tau"]
    assert 5 < np.sum(tau > 1.0) < 35
    assert np.std(found.draws["mu"]) == pytest.approx(at_bound.std_errors["mu"], rel=0.5)


@gen
def separated(x):
    return bernoulli(logits=param("a", 0.0) + param("b", 0.0) * x) @ "y"


def test_separation_has_an_interval_that_is_open_at_one_end():
    x = np.arange(-5.0, 6.0)
    y = x > 0.5
    for name in ("a", "b"):
        init_param(separated, name, 0.0)
    with pytest.warns(GenParamsWarning) as seen:
        result = fit(separated, (x,), {"y": y})
    assert Separation in {w.category for w in seen}

    def highest_at(b):
        found: Any = optimize.minimize_scalar(
            lambda a: np.sum(np.logaddexp(0.0, np.where(y, -1.0, 1.0) * (a + b * x)))
        )
        return -found.fun

    low, high = result.profile("b").conf_int()
    assert high == np.inf
    assert low == pytest.approx(
        optimize.brentq(lambda b: -highest_at(b) - DROP, 0.1, 5.0), rel=1e-6
    )
    assert "above the estimate" in result.profile("b").why_open()
    assert result.bootstrap(3, rng=0).failed == 3


@gen
def flat(n):
    a, b = param("a", 0.0), param("b", 0.0)
    return normal(a + b, param("s", 1.0, positive), size=n) @ "x"


def test_a_flat_direction_has_no_ends():
    for name in ("a", "b"):
        init_param(flat, name, 0.0)
    init_param(flat, "s", 1.0, constraint=positive)
    x = np.arange(5.0)
    with pytest.warns(FlatDirection):
        result = fit(flat, (5,), {"x": x})
    ends = result.conf_int(kind="profile")
    assert ends["a"] == ends["b"] == (-np.inf, np.inf)
    sigma = result.estimates["s"]

    def fall(r):
        return 5 * (np.log(r) - 0.5 * (1.0 - r**-2)) - DROP

    expected = [sigma * optimize.brentq(fall, *span) for span in ((0.2, 1.0), (1.0, 9.0))]
    assert ends["s"] == pytest.approx(tuple(expected), rel=1e-6)
    assert result.std_errors["s"] == pytest.approx(sigma / np.sqrt(10))
