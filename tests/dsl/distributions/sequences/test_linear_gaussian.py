"""Linear Gaussian state-space models: density, gradients, draws, states, and wrong arguments."""

import pickle
from typing import Any, NamedTuple

import numpy as np
import pytest
from common import slope
from scipy import stats

from genparams import (
    datasets,
    fit,
    gen,
    hmc,
    init_param,
    linear_gaussian,
    linear_gaussian_filter,
    linear_gaussian_forecast,
    linear_gaussian_smoother,
    linear_gaussian_states,
    mvnormal,
    normal,
    param,
    positive,
    select,
)
from genparams.autodiff import gradient, hessian, jacobian
from genparams.dsl.distributions.sequences.linear_gaussian_density import NAMES
from genparams.errors import ArgumentError, DistributionError, ShapeError

dense: Any = stats.multivariate_normal

NILE: Any = datasets.nile()["flow"]
A = np.array([[0.9, 0.3], [-0.2, 0.6]])
Q = np.array([[0.5, 0.1], [0.1, 0.2]])
H = np.array([[1.0, 0.3], [0.2, -1.0], [0.5, 0.5]])
R = np.array([[0.4, 0.1, 0.0], [0.1, 0.5, 0.2], [0.0, 0.2, 0.3]])
LENGTH = 5


def local_level(length, **other):
    given: dict[str, Any] = {"transition_cov": 1469.1, "observation_cov": 15099.0}
    given["initial_cov"] = 1e7
    return linear_gaussian(length, **given | other)


def random(scalar_state, scalar_seen, varying, seed=0, length=LENGTH) -> dict[str, Any]:
    """Arguments of every shape."""
    rng = np.random.default_rng(seed)
    n, p = (() if scalar_state else (2,)), (() if scalar_seen else (3,))
    before, at = ((length - 1,), (length,)) if varying else ((), ())

    def cov(front, shape):
        if not shape:
            return rng.uniform(0.3, 1.0, front) if front else float(rng.uniform(0.3, 1.0))
        root = rng.normal(size=(*front, *shape, *shape))
        return root @ np.swapaxes(root, -1, -2) + 0.3 * np.eye(*shape)

    return {
        "initial_mean": rng.normal(size=n),
        "initial_cov": cov((), n),
        "transition": 0.5 * rng.normal(size=before + n + n),
        "transition_offset": rng.normal(size=before + n),
        "transition_cov": cov(before, n),
        "observation": rng.normal(size=at + p + n),
        "observation_offset": rng.normal(size=at + p),
        "observation_cov": cov(at, p),
    }


SHAPES = [
    (scalar_state, scalar_seen, varying)
    for scalar_state in (True, False)
    for scalar_seen in (True, False)
    for varying in (False, True)
]


class Joint(NamedTuple):
    """The joint normal distribution of all states and all observations."""

    x: Any
    xx: Any
    y: Any
    yy: Any
    xy: Any


def joint(length, given) -> Joint:
    m, P = given["initial_mean"], given["initial_cov"]
    n = np.shape(m)[0] if np.ndim(m) else 1
    p = np.shape(given["observation_cov"])[-1] if np.ndim(given["observation_cov"]) > 1 else 1

    def each(name, times, *shape):
        return np.broadcast_to(np.reshape(given[name], (-1, *shape)), (times, *shape))

    step, Qs = each("transition", length - 1, n, n), each("transition_cov", length - 1, n, n)
    c = each("transition_offset", length - 1, n)
    Hs, Rs = each("observation", length, p, n), each("observation_cov", length, p, p)
    x, xx = np.zeros((length, n)), np.zeros((length, n, length, n))
    x[0], xx[0, :, 0] = m, P
    for t in range(length - 1):
        x[t + 1] = step[t] @ x[t] + c[t]
        for s in range(t + 1):
            xx[t + 1, :, s] = step[t] @ xx[t, :, s]
            xx[s, :, t + 1] = xx[t + 1, :, s].T
        xx[t + 1, :, t + 1] = step[t] @ xx[t, :, t] @ step[t].T + Qs[t]
    xy = np.einsum("tisj,spj->tisp", xx, Hs)
    yy = np.einsum("tpi,tisq->tpsq", Hs, xy)
    for t in range(length):
        yy[t, :, t] += Rs[t]
    y = np.einsum("tpi,ti->tp", Hs, x) + each("observation_offset", length, p)
    a, b = length * n, length * p
    return Joint(x.ravel(), xx.reshape(a, a), y.ravel(), yy.reshape(b, b), xy.reshape(a, b))


def given_seen(found: Joint, ys, upto=None):
    """The mean and the covariance of all states given the observations that are not missing."""
    flat = np.ravel(ys)
    seen = ~np.isnan(flat) & (np.arange(len(flat)) < (len(flat) if upto is None else upto))
    gain = found.xy[:, seen] @ np.linalg.inv(found.yy[np.ix_(seen, seen)])
    return found.x + gain @ (flat - found.y)[seen], found.xx - gain @ found.xy[:, seen].T


def wanted(ys, length, given):
    found, flat = joint(length, given), np.ravel(ys)
    seen = ~np.isnan(flat)
    return dense.logpdf(flat[seen], found.y[seen], found.yy[np.ix_(seen, seen)])


def with_missing(ys, seed=0):
    rng = np.random.default_rng(seed)
    return np.where(rng.random(np.shape(ys)) < 0.3, np.nan, ys)


# --- The density


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize("length", [1, 2, 5, 40])
def test_the_density_is_a_dense_normal(shapes, length):
    given = random(*shapes, length=length)
    call = linear_gaussian(length, **given)
    ys = call.sample(rng=1)
    found = call.log_prob(ys)
    assert type(found) is float
    assert found == pytest.approx(wanted(ys, length, given), rel=1e-11)
    if length > 2:
        ys = with_missing(ys)
        assert call.log_prob(ys) == pytest.approx(wanted(ys, length, given), rel=1e-11)


def test_the_density_of_a_local_level_is_that_of_statsmodels():
    """UnobservedComponents(nile, "llevel"), ssm.initialize_known([0], [[1e7]]), no burn-in."""
    assert local_level(100).log_prob(NILE) == pytest.approx(-641.5855784594156, rel=1e-13)
    missing = NILE.copy()
    missing[20:40] = missing[60:80] = np.nan
    assert local_level(100).log_prob(missing) == pytest.approx(-389.6269775255986, rel=1e-12)


def test_the_density_of_arma_is_that_of_statsmodels():
    """SARIMAX((nile - mean) / 100, order=(2, 0, 1)).loglike([0.6, 0.2, -0.3, 2.0])."""
    effect = np.array([1.0, -0.3])
    call = linear_gaussian(
        100,
        transition=[[0.6, 1.0], [0.2, 0.0]],
        transition_cov=2.0 * np.outer(effect, effect),
        observation=[1.0, 0.0],
        observation_cov=0.0,
        initial="stationary",
    )
    ys = (NILE - np.mean(NILE)) / 100.0
    assert call.log_prob(ys) == pytest.approx(-177.65329934242104, rel=1e-12)
    ahead = linear_gaussian_forecast(call, ys, 3)
    mean = [-1.320843725121005, -1.151206235072603, -0.954892486067763]
    np.testing.assert_allclose(ahead.mean, mean, rtol=1e-9)
    np.testing.assert_allclose(ahead.cov, [2.0, 2.18, 2.4688], rtol=1e-9)


def test_a_local_linear_trend_is_that_of_statsmodels():
    """UnobservedComponents(nile, "lltrend") at [14000, 1200, 3], with a known start."""
    call = linear_gaussian(
        100,
        transition=[[1.0, 1.0], [0.0, 1.0]],
        transition_cov=np.diag([1200.0, 3.0]),
        observation=[1.0, 0.0],
        observation_cov=14000.0,
        initial_mean=[1000.0, 0.0],
        initial_cov=np.diag([1e4, 100.0]),
    )
    assert call.log_prob(NILE) == pytest.approx(-640.5682770717323, rel=1e-12)
    found = linear_gaussian_smoother(call, NILE)
    np.testing.assert_allclose(found.mean[50], [829.0253151103827, -2.255315042957581], rtol=1e-9)
    cov = [[2050.36882643009, -2.324286348579384], [-2.324286348579378, 30.682644041882163]]
    np.testing.assert_allclose(found.cov[50], cov, rtol=1e-9)


def test_a_series_with_no_dynamics_is_independent_normals():
    call = linear_gaussian(
        4, transition=0.0, transition_std=2.0, observation_std=1.5, initial_cov=4.0
    )
    ys = np.array([0.3, -2.0, 5.0, 1.0])
    assert call.log_prob(ys) == pytest.approx(normal(0.0, 2.5).log_prob(ys), rel=1e-14)


def test_standard_deviations_are_independent_noises():
    given = random(False, False, False)
    given |= {"transition_cov": np.diag([0.25, 4.0]), "observation_cov": np.diag([0.01, 1.0, 9.0])}
    ys = linear_gaussian(LENGTH, **given).sample(rng=0)
    wanted = linear_gaussian(LENGTH, **given).log_prob(ys)
    del given["transition_cov"], given["observation_cov"]
    given |= {"transition_std": [0.5, 2.0], "observation_std": [0.1, 1.0, 3.0]}
    assert linear_gaussian(LENGTH, **given).log_prob(ys) == pytest.approx(wanted, rel=1e-13)


def test_a_stationary_start_does_not_change_in_a_step():
    call = linear_gaussian(
        3,
        transition=A,
        transition_offset=[1.0, -0.5],
        transition_cov=Q,
        observation_cov=R,
        observation=H,
        initial="stationary",
    )
    mean, cov = call.args[:2]
    np.testing.assert_allclose(A @ mean + [1.0, -0.5], mean, rtol=1e-13)
    np.testing.assert_allclose(A @ cov @ A.T + Q, cov, rtol=1e-13)
    one = linear_gaussian(
        3,
        transition=0.8,
        transition_offset=1.0,
        transition_cov=0.36,
        observation_cov=1.0,
        initial="stationary",
    )
    assert one.args[:2] == pytest.approx((5.0, 1.0))


def test_missing_observations_contribute_nothing():
    ys = np.full(6, np.nan)
    call = local_level(6)
    assert call.log_prob(ys) == 0.0
    ys[2] = 900.0
    assert call.log_prob(ys) == pytest.approx(
        normal(0.0, np.sqrt(1e7 + 2 * 1469.1 + 15099.0)).log_prob(900.0), rel=1e-13
    )
    masked = np.ma.masked_invalid(ys)
    assert call.log_prob(masked) == call.log_prob(ys)


def test_an_infinite_observation_has_no_density():
    ys = np.array([1.0, np.inf, 0.0])
    for call in (local_level(3), local_level(3, transition=[[1.0]], observation=[1.0])):
        assert call.log_prob(ys) == -np.inf
        g = gradient(
            lambda q, call=call: call.fn.log_prob_of(ys, [*call.args[:4], q, *call.args[5:]]),
            call.args[4],
        )
        assert np.all(g == 0.0)


def test_a_singular_covariance_is_refused():
    call = linear_gaussian(3, transition_cov=0.0, observation_cov=0.0, initial_cov=1.0)
    with pytest.raises(DistributionError, match="is singular or overflows; with more noise"):
        call.log_prob([1.0, 1.0, 1.0])
    twice = linear_gaussian(
        3,
        transition_cov=1.0,
        observation=[1.0, 1.0],
        observation_cov=np.zeros((2, 2)),
        initial_cov=1.0,
    )
    with pytest.raises(DistributionError, match="singular"):
        twice.log_prob(np.ones((3, 2)))
    with pytest.raises(DistributionError, match="singular"):
        linear_gaussian_smoother(call, [1.0, 1.0, 1.0])


def test_a_batch_is_independent_sequences():
    given = random(False, True, False)
    call = linear_gaussian(LENGTH, **given, size=(2, 3))
    ys = call.sample(rng=0)
    assert ys.shape == (2, 3, LENGTH)
    one = linear_gaussian(LENGTH, **given)
    each = [[one.log_prob(y) for y in row] for row in ys]
    np.testing.assert_allclose(call.log_probs(ys), each, rtol=1e-14)
    assert call.log_prob(ys) == pytest.approx(np.sum(each), rel=1e-14)

    def total(step):
        return traced(ys, linear_gaussian(LENGTH, **given | {"transition": step}, size=(2, 3)))

    def all_of_them(h):
        args = given | {"transition": given["transition"] + h}
        call = linear_gaussian(LENGTH, **args, size=(2, 3))
        return call.fn.log_probs_of(ys, call.args)

    by_each = slope(all_of_them)
    np.testing.assert_allclose(jacobian(all_of_them, 0.0), by_each, rtol=1e-7)
    g = gradient(total, given["transition"])
    assert np.sum(g) == pytest.approx(slope(lambda h: total(given["transition"] + h)), rel=1e-8)


# --- Gradients


def along(given, name, seed=2):
    """A direction in which an argument moves and stays in its domain."""
    d = np.random.default_rng(seed).normal(size=np.shape(given[name]))
    if name.endswith("cov") and np.ndim(d) > 1:
        return d + np.swapaxes(d, -1, -2)
    return d if d.ndim else float(d)


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("shapes", SHAPES)
def test_every_gradient_is_a_difference_of_densities(shapes, missing):
    given = random(*shapes)
    ys = linear_gaussian(LENGTH, **given).sample(rng=1)
    ys = with_missing(ys) if missing else ys
    for name in NAMES:

        def log_prob(value, name=name):
            return traced(ys, linear_gaussian(LENGTH, **given | {name: value}))

        d = along(given, name)
        g = gradient(log_prob, given[name])
        assert np.shape(g) == np.shape(given[name])
        change = slope(lambda h, f=log_prob, d=d, v=given[name]: f(v + h * d))
        assert np.sum(g * d) == pytest.approx(change, rel=1e-7, abs=1e-8), name
    call = linear_gaussian(LENGTH, **given)
    g = gradient(lambda y: traced(y, call), ys)
    assert np.array_equal(g == 0.0, np.isnan(ys))
    d = np.random.default_rng(3).normal(size=np.shape(ys))
    assert np.sum(g * d) == pytest.approx(slope(lambda h: call.log_prob(ys + h * d)), rel=1e-7)


def traced(ys, call):
    """The log density for a value or arguments that may be traced."""
    return call.fn.log_prob_of(ys, list(call.args))


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("shapes", SHAPES)
def test_second_derivatives_are_differences_of_gradients(shapes, missing):
    given = random(*shapes)
    ys = linear_gaussian(LENGTH, **given).sample(rng=1)
    ys = with_missing(ys) if missing else ys
    directions = [along(given, name) for name in NAMES]

    def log_prob(theta):
        args = {name: given[name] + theta[i] * directions[i] for i, name in enumerate(NAMES)}
        return traced(
            np.where(np.isnan(ys), np.nan, ys + theta[8]), linear_gaussian(LENGTH, **args)
        )

    found = hessian(log_prob, np.zeros(9))
    by_difference = [
        slope(lambda h, i=i: gradient(log_prob, 0.3 * h * np.eye(9)[i])) / 0.3 for i in range(9)
    ]
    np.testing.assert_allclose(found, by_difference, rtol=1e-5, atol=1e-5 * np.abs(found).max())
    np.testing.assert_allclose(found, found.T, rtol=1e-9, atol=1e-12 * np.abs(found).max())


def test_a_large_model_has_second_derivatives():
    """More states than the number up to which matrices are solved as vectors."""
    rng = np.random.default_rng(0)
    step = 0.3 * rng.normal(size=(5, 5))

    def log_prob(theta):
        call = linear_gaussian(
            8,
            transition=theta[0] * step,
            transition_cov=theta[1],
            observation=np.ones(5),
            observation_cov=theta[2],
            initial_cov=theta[3],
        )
        return traced(ys, call)

    ys = rng.normal(size=8)
    x = np.array([1.1, 0.5, 0.7, 1.3])
    found = hessian(log_prob, x)
    by_difference = [
        slope(lambda h, i=i: gradient(log_prob, x + h * np.eye(4)[i])) for i in range(4)
    ]
    np.testing.assert_allclose(found, by_difference, rtol=1e-7)


def test_third_derivatives_are_refused():
    call = local_level(3)

    def cubic(q):
        def first(q):
            return gradient(lambda q: traced(np.ones(3), local_level(3, transition_cov=q)), q)

        return gradient(first, q)

    assert np.isfinite(cubic(3.0))
    with pytest.raises(Exception, match="a third derivative of linear_gaussian"):
        gradient(cubic, 3.0)
    assert call.log_prob(np.ones(3)) < 0.0


# --- Draws and states


@pytest.mark.parametrize("shapes", SHAPES)
def test_draws_have_the_mean_and_the_covariance(shapes):
    given = random(*shapes)
    call = linear_gaussian(LENGTH, **given, size=20000)
    ys = call.sample(rng=0).reshape(20000, -1)
    found = joint(LENGTH, given)
    spread = np.sqrt(np.diag(found.yy))
    assert np.all(np.abs(ys.mean(axis=0) - found.y) < 5.0 * spread / np.sqrt(20000))
    scale = spread[:, None] * spread
    assert np.all(np.abs(np.cov(ys.T) - found.yy) < 0.06 * scale)


def test_arguments_with_a_batch_are_drawn_one_by_one():
    call = linear_gaussian(4, transition_cov=1.0, observation_cov=1.0, initial_cov=1.0)
    means = np.array([0.0, 1e6])
    ys = call.fn.draw(np.random.default_rng(0), [means, *call.args[1:]], None)
    assert ys.shape == (2, 4)
    assert np.all(ys[1] > 9e5)
    each = call.fn.log_probs_of(ys, [means, *call.args[1:]])
    assert each[0] == pytest.approx(call.log_prob(ys[0]), rel=1e-14)


@pytest.mark.parametrize("shapes", SHAPES)
def test_filtered_and_smoothed_states_are_conditional_normals(shapes):
    given = random(*shapes)
    call = linear_gaussian(LENGTH, **given)
    ys = with_missing(call.sample(rng=1))
    whole, n = joint(LENGTH, given), 1 if shapes[0] else 2
    p = np.size(ys) // LENGTH
    mean, cov = given_seen(whole, ys)
    found = linear_gaussian_smoother(call, ys)
    blocks = cov.reshape(LENGTH, n, LENGTH, n)
    np.testing.assert_allclose(np.ravel(found.mean), mean, rtol=1e-10, atol=1e-10)
    for t in range(LENGTH):
        np.testing.assert_allclose(np.reshape(found.cov[t], (n, n)), blocks[t, :, t], atol=1e-12)
    for t in range(LENGTH - 1):
        lag = np.reshape(found.lag_cov[t], (n, n))
        np.testing.assert_allclose(lag, blocks[t + 1, :, t], atol=1e-12)

    states = linear_gaussian_filter(call, ys)
    seen, seen_cov = whole.xy.reshape(LENGTH, n, -1), whole.yy.reshape(LENGTH, p, LENGTH, p)
    assert seen.shape[0] == seen_cov.shape[0]
    for t in range(LENGTH):
        for upto, m, c in (
            ((t + 1) * p, states.mean, states.cov),
            (t * p, states.predicted_mean, states.predicted_cov),
        ):
            mean, cov = given_seen(whole, ys, upto)
            np.testing.assert_allclose(np.ravel(m[t]), mean.reshape(LENGTH, n)[t], atol=1e-11)
            own = cov.reshape(LENGTH, n, LENGTH, n)[t, :, t]
            np.testing.assert_allclose(np.reshape(c[t], (n, n)), own, atol=1e-11)


def test_states_of_the_nile_are_those_of_statsmodels():
    """smooth([15099, 1469.1]) and get_forecast(3) of the local level."""
    call = local_level(100)
    states, smooth = linear_gaussian_filter(call, NILE), linear_gaussian_smoother(call, NILE)
    at = [0, 1, 50, 99]
    mean = [1118.3114615242446, 1140.1084391635109, 827.4208324821408, 798.3702926083578]
    cov = [15076.236390674487, 7894.557530882994, 4032.157941808782, 4032.157941808782]
    np.testing.assert_allclose(states.mean[at], mean, rtol=1e-12)
    np.testing.assert_allclose(states.cov[at], cov, rtol=1e-9)
    mean = [1111.2202575681306, 1110.529257011893, 829.550451101484, 798.3702926083578]
    cov = [4030.532767337336, 3242.0569992450105, 2326.756869814384, 4032.1579418087827]
    np.testing.assert_allclose(smooth.mean[at], mean, rtol=1e-12)
    np.testing.assert_allclose(smooth.cov[at], cov, rtol=1e-9)
    ahead = linear_gaussian_forecast(call, NILE, 3)
    np.testing.assert_allclose(ahead.mean, [798.3702926083578] * 3, rtol=1e-12)
    cov = [20600.257941809046, 22069.357941809045, 23538.457941809047]
    np.testing.assert_allclose(ahead.cov, cov, rtol=1e-9)
    np.testing.assert_allclose(ahead.state_cov, np.subtract(cov, 15099.0), rtol=1e-9)


def test_forecasts_are_predictions_of_missing_observations():
    given = random(False, False, False)
    call, longer = linear_gaussian(LENGTH, **given), linear_gaussian(LENGTH + 2, **given)
    ys = with_missing(call.sample(rng=3))
    ahead = linear_gaussian_forecast(call, ys, 2)
    found = linear_gaussian_filter(longer, np.append(ys, np.full((2, 3), np.nan), axis=0))
    np.testing.assert_allclose(ahead.mean, found.observation_mean[-2:], rtol=1e-13)
    np.testing.assert_allclose(ahead.cov, found.observation_cov[-2:], rtol=1e-13)
    np.testing.assert_allclose(ahead.state_mean, found.mean[-2:], rtol=1e-13)
    np.testing.assert_allclose(ahead.state_cov, found.cov[-2:], rtol=1e-13)


@pytest.mark.parametrize("shapes", SHAPES)
def test_states_are_drawn_from_their_distribution_given_the_observations(shapes):
    given = random(*shapes)
    call = linear_gaussian(LENGTH, **given)
    ys = with_missing(call.sample(rng=1))
    draws = linear_gaussian_states(call, ys, size=10000, rng=0).reshape(10000, -1)
    mean, cov = given_seen(joint(LENGTH, given), ys)
    spread = np.sqrt(np.diag(cov))
    assert np.all(np.abs(draws.mean(axis=0) - mean) < 5.0 * spread / 100.0)
    assert np.all(np.abs(np.cov(draws.T) - cov) < 0.07 * spread[:, None] * spread)
    one = linear_gaussian_states(call, ys, rng=0)
    assert one.shape == (LENGTH,) if shapes[0] else (LENGTH, 2)


# --- In models


@gen
def level(n):
    start = normal(1000.0, 100.0) @ "start"
    q, r = param("q"), param("r")
    return (
        linear_gaussian(n, transition_std=q, observation_std=r, initial_mean=start, initial_cov=1e4)
        @ "ys"
    )


@pytest.fixture
def local():
    init_param(level, "q", 40.0, constraint=positive)
    init_param(level, "r", 120.0, constraint=positive)
    return level


def test_a_model_runs_in_every_way(local):
    trace = local.simulate((10,), rng=0)
    assert trace["ys"].shape == (10,)
    assert not trace["ys"].flags.writeable
    ys = np.array([1120.0, np.nan, 963.0, 1210.0, np.nan])
    found, weight = local.generate((5,), {"ys": ys}, rng=0)
    np.testing.assert_array_equal(found["ys"], ys)
    total, _ = local.assess((5,), {"start": found["start"], "ys": ys})
    assert total == pytest.approx(found.log_prob, rel=1e-14)
    assert weight == pytest.approx(found.log_prob - normal(1000.0, 100.0).log_prob(found["start"]))
    other, change, discard = found.update({"ys": NILE[:5]})
    assert other.log_prob - found.log_prob == pytest.approx(change)
    np.testing.assert_array_equal(discard["ys"], ys)
    choices, _, _ = local.propose((4,), rng=1)
    assert choices["ys"].shape == (4,)
    back = pickle.loads(pickle.dumps(found))
    assert back.log_prob == found.log_prob
    np.testing.assert_array_equal(back["ys"], ys)


def test_gradients_flow_to_parameters_and_choices(local):
    ys = np.where(np.arange(100) % 7 == 3, np.nan, NILE)
    trace, _ = local.generate((100,), {"ys": ys, "start": 1050.0})
    log_prob, _ = trace.accumulate_param_gradients()
    assert log_prob == pytest.approx(trace.log_prob, rel=1e-13)
    _, values, gradients = trace.choice_gradients(select("start", "ys"))
    assert values["start"] == 1050.0
    change = slope(lambda h: local.assess((100,), {"ys": ys, "start": 1050.0 + 100.0 * h})[0])
    assert 100.0 * gradients["start"] == pytest.approx(change, rel=1e-8)
    assert np.array_equal(gradients["ys"] == 0.0, np.isnan(ys))


def test_a_fit_of_the_nile_is_that_of_durbin_and_koopman():
    """Variances 15099 and 1469.1: Durbin and Koopman, 2012, section 2.10, with a diffuse start."""

    @gen
    def nile(n):
        return (
            linear_gaussian(
                n,
                transition_cov=param("level", 1000.0, constraint=positive),
                observation_cov=param("noise", 10000.0, constraint=positive),
                initial_cov=1e7,
            )
            @ "flow"
        )

    found = fit(nile, (100,), {"flow": NILE})
    assert found.converged
    assert found.estimates["noise"] == pytest.approx(15098.5, abs=2.0)
    assert found.estimates["level"] == pytest.approx(1469.2, abs=1.0)
    assert found.log_likelihood == pytest.approx(-641.585578346, abs=1e-8)

    def log_prob(theta):
        call = linear_gaussian(
            100, transition_cov=theta[0], observation_cov=theta[1], initial_cov=1e7
        )
        return traced(NILE, call)

    x = np.array([found.estimates["level"], found.estimates["noise"]])
    errors = np.sqrt(np.diag(np.linalg.inv(-hessian(log_prob, x))))
    assert found.std_errors["level"] == pytest.approx(errors[0], rel=1e-4)
    assert found.std_errors["noise"] == pytest.approx(errors[1], rel=1e-4)


def test_a_latent_series_is_sampled_by_its_gradient():
    @gen
    def latent():
        x = (
            linear_gaussian(
                3, transition=0.5, transition_std=1.0, observation_std=0.1, initial="stationary"
            )
            @ "x"
        )
        return normal(x, 1.0) @ "y"

    trace, _ = latent.generate((), {"y": np.ones(3)}, rng=0)
    moved, accepted = hmc(trace, select("x"), step_size=0.1, steps=5, rng=0)
    assert accepted
    assert not np.any(moved["x"] == trace["x"])


def test_a_call_is_the_same_distribution_again():
    first, second = local_level(4), local_level(4, transition_cov=2.0)
    assert first.fn is second.fn
    assert pickle.loads(pickle.dumps(first.fn)) is first.fn
    assert first.fn is not local_level(5).fn


# --- Wrong arguments


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (
            {"transition_cov": None},
            ArgumentError,
            "transition_cov and transition_std, got neither",
        ),
        (
            {"transition_std": 1.0},
            ArgumentError,
            "transition_cov and transition_std, got both",
        ),
        ({"observation_cov": None}, ArgumentError, "needs one of observation_cov"),
        ({"initial_cov": None}, ArgumentError, "needs the variance of the first state"),
        ({"initial": "stationary"}, ArgumentError, "initial of linear_gaussian takes the place"),
        ({"initial_cov": None, "initial": "diffuse"}, ArgumentError, 'is "stationary" or None'),
        (
            {"initial_cov": None, "initial": "stationary"},
            DistributionError,
            "no stationary start: .* 1, which",
        ),
        (
            {"initial_cov": None, "initial": "stationary", "transition": 4 * [0.5]},
            DistributionError,
            "the same at all times",
        ),
        (
            {"length": 0},
            ArgumentError,
            "is a whole number above 0, got 0",
        ),
        ({"length": 2.5}, ArgumentError, "length of linear_gaussian is a whole number"),
        ({"transition": [[1.0, 0.0]]}, ShapeError, "transition of linear_gaussian has shape"),
        (
            {"transition": [1.0, 1.0]},
            ShapeError,
            r"\(4,\) with one for each time, got shape \(2,\)",
        ),
        (
            {"transition_offset": np.ones(5)},
            ShapeError,
            r"\(4,\) with one for each time, got shape \(5,\)",
        ),
        (
            {"transition": np.eye(2)},
            ShapeError,
            r"observation of .* has shape \(2,\) here",
        ),
        ({"observation_cov": np.ones((2, 3))}, ShapeError, "observation"),
        (
            {"initial_mean": [1.0, 2.0]},
            ShapeError,
            r"initial_mean of .* has shape \(\) here",
        ),
        (
            {"observation_cov": None, "observation_std": np.ones((2, 2))},
            ShapeError,
            "a number or a vector",
        ),
        (
            {"transition_cov": None, "transition_std": -1.0},
            DistributionError,
            "transition_std of .* must be at least 0",
        ),
        ({"transition": "one"}, ArgumentError, "transition of linear_gaussian must be a number"),
    ],
)
def test_wrong_arguments_are_explained(given, error, message):
    given = {"length": 5, "transition_cov": 1.0, "observation_cov": 1.0, "initial_cov": 1.0} | given
    with pytest.raises(error, match=message):
        linear_gaussian(**given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"transition_cov": -1.0}, "transition_cov of linear_gaussian must be at least 0"),
        ({"observation_cov": np.nan}, "observation_cov of linear_gaussian must be at least 0"),
        ({"transition": np.nan}, "transition of linear_gaussian must be finite"),
        ({"observation_offset": np.inf}, "observation_offset of linear_gaussian must be finite"),
        ({"initial_mean": np.array([0.0, np.nan])[1]}, "initial_mean of linear_gaussian must be"),
    ],
)
def test_arguments_outside_their_domain_are_refused(given, message):
    call = linear_gaussian(
        **{"length": 3, "transition_cov": 1.0, "observation_cov": 1.0, "initial_cov": 1.0} | given
    )
    with pytest.raises(DistributionError, match=message):
        call.log_prob(np.ones(3))
    with pytest.raises(DistributionError, match=message):
        call.sample(rng=0)


@pytest.mark.parametrize(
    "cov", [[[1.0, 2.0], [2.0, 1.0]], [[1.0, 0.2], [0.1, 1.0]], [[0.0, 1.0], [1.0, 0.0]]]
)
def test_a_matrix_that_is_no_covariance_is_refused(cov):
    call = linear_gaussian(
        3, transition=A, transition_cov=cov, observation=H, observation_cov=R, initial_cov=1.0
    )
    with pytest.raises(DistributionError, match="must be finite, symmetric and positive semid"):
        call.log_prob(np.ones((3, 3)))


def test_values_of_the_wrong_kind_are_refused():
    call = local_level(3)
    with pytest.raises(ShapeError, match=r"a value of linear_gaussian has shape \(3,\) here"):
        call.log_prob(np.ones(4))
    with pytest.raises(DistributionError, match="expected numbers, NaN where missing, got"):
        call.log_prob(["a", "b", "c"])
    assert call.log_prob([1, 2, 3]) == call.log_prob([1.0, 2.0, 3.0])


def test_questions_about_states_need_a_call_of_one_sequence():
    ys = np.ones(3)
    with pytest.raises(ArgumentError, match=r"takes a call linear_gaussian\(...\) and"):
        linear_gaussian_filter(normal(0.0, 1.0), ys)
    with pytest.raises(ArgumentError, match=r"takes one sequence; call .* without size"):
        linear_gaussian_smoother(local_level(3, size=2), ys)
    with pytest.raises(ArgumentError, match="needs a model that is the same at all times"):
        linear_gaussian_forecast(local_level(3, observation=[1.0, 2.0, 3.0]), ys, 2)
    with pytest.raises(ArgumentError, match="steps of linear_gaussian_forecast is a whole number"):
        linear_gaussian_forecast(local_level(3), ys, 0)
    with pytest.raises(DistributionError, match="takes finite observations"):
        linear_gaussian_filter(local_level(3), [1.0, np.inf, 1.0])
    with pytest.raises(ShapeError):
        linear_gaussian_states(local_level(3), np.ones(2))
    with pytest.raises(DistributionError, match=r"transition_cov of .* must be at least"):
        linear_gaussian_states(local_level(3, transition_cov=-1.0), ys)


def test_the_density_of_one_time_is_a_multivariate_normal():
    call = linear_gaussian(
        1, transition=A, transition_cov=Q, observation=H, observation_cov=R, initial_cov=Q
    )
    y = np.array([[0.3, 1.0, -0.4]])
    assert call.log_prob(y) == pytest.approx(mvnormal(np.zeros(3), H @ Q @ H.T + R).log_prob(y[0]))
