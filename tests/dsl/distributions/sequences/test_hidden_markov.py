"""Hidden Markov models: density, gradients, draws, missing observations, and wrong arguments."""

import pickle
from functools import partial
from itertools import product as paths_of
from typing import Any

import numpy as np
import pytest
from common import slope
from scipy import stats

from genparams import (
    bernoulli,
    categorical,
    check_gradients,
    fit,
    gamma,
    gen,
    hidden_markov,
    hmc,
    mixture,
    mvnormal,
    normal,
    param,
    poisson,
    positive,
    product,
    select,
    simplex,
)
from genparams.autodiff import gradient, hessian
from genparams.errors import ArgumentError, DistributionError, ShapeError

FAILURE_RATE = 1e-4
"""How often a right sampler would fail one test, were its seed not fixed."""
INITIAL = np.array([0.2, 0.5, 0.3])
TRANSITION = np.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]])
STEPS = np.stack([np.roll(TRANSITION, t, axis=1) for t in range(5)])
MEANS, STDS = np.array([-1.0, 0.5, 2.0]), np.array([1.0, 0.5, 2.0])
YS = np.array([0.8, 2.7, -0.7, 2.1, 0.1, -1.4])
COVS = np.array([[[1.0, 0.3], [0.3, 0.8]], [[0.5, 0.0], [0.0, 2.0]], [[2.0, -0.9], [-0.9, 1.0]]])
wrong: Any = hidden_markov  # called with arguments that a type checker would refuse


def over_paths(log_e, transition=TRANSITION, initial=INITIAL):
    """log p by every sequence of states, from a table of log emissions, (length, K)."""
    steps = np.broadcast_to(transition, (len(log_e) - 1, 3, 3))
    each = []
    for path in paths_of(range(3), repeat=len(log_e)):
        found = np.log(initial[path[0]]) + sum(log_e[t, s] for t, s in enumerate(path))
        found += sum(np.log(steps[t - 1][path[t - 1], path[t]]) for t in range(1, len(path)))
        each.append(found)
    return np.logaddexp.reduce(each)


def of_normals(ys: Any = YS, means: Any = MEANS, stds: Any = STDS):
    return stats.norm.logpdf(np.asarray(ys)[:, None], means, stds)


def softmax(u):
    e = np.exp(u)
    return e / np.sum(e, axis=-1, keepdims=True)


# --- Densities


VECTORS = np.column_stack([YS, YS[::-1]])
COUNTS = np.array([0, 3, 1, 1, 7, 2])
CASES = {
    "normal": (normal(MEANS, STDS), YS, of_normals()),
    "normal-shared-std": (normal(MEANS, 1.5), YS, of_normals(stds=1.5)),
    "normal-one-column": (normal([[0.1]], STDS), YS, of_normals(means=0.1)),
    "gamma": (
        gamma(STDS, rate=2.0),
        np.abs(YS),
        stats.gamma.logpdf(np.abs(YS)[:, None], STDS, scale=0.5),
    ),
    "poisson": (poisson(STDS), COUNTS, stats.poisson.logpmf(COUNTS[:, None], STDS)),
    "bernoulli": (
        bernoulli(INITIAL),
        COUNTS > 1,
        stats.bernoulli.logpmf((COUNTS > 1)[:, None], INITIAL),
    ),
    "categorical": (categorical(TRANSITION), COUNTS % 3, np.log(TRANSITION.T[COUNTS % 3])),
    "mvnormal": (
        mvnormal(np.stack([MEANS, STDS], axis=1), COVS),
        VECTORS,
        np.stack(
            [
                stats.multivariate_normal.logpdf(VECTORS, [m, s], c)
                for m, s, c in zip(MEANS, STDS, COVS, strict=True)
            ],
            axis=1,
        ),
    ),
    "mixture": (
        mixture(TRANSITION, normal(np.stack([MEANS] * 3), STDS)),
        YS,
        np.log(np.exp(of_normals()) @ TRANSITION.T),
    ),
}
each_case = pytest.mark.parametrize(("emissions", "ys", "log_e"), CASES.values(), ids=CASES)


@each_case
@pytest.mark.parametrize("transition", [TRANSITION, STEPS], ids=["one", "each step"])
def test_the_density_is_the_sum_over_all_paths(emissions, ys, log_e, transition):
    found = hidden_markov(INITIAL, transition, emissions, length=6).log_prob(ys)
    assert type(found) is float
    np.testing.assert_allclose(found, over_paths(log_e, transition), rtol=1e-12)


@each_case
def test_log_emissions_give_the_density_of_the_call(emissions, ys, log_e):
    found = hidden_markov(INITIAL, TRANSITION, log_emissions=log_e).log_prob(ys)
    wanted = hidden_markov(INITIAL, TRANSITION, emissions, length=6).log_prob(ys)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_one_observation_is_a_mixture():
    found = hidden_markov(INITIAL, TRANSITION, normal(MEANS, STDS), length=1).log_prob([0.3])
    wanted = mixture(INITIAL, normal(MEANS, STDS)).log_prob(0.3)
    np.testing.assert_allclose(found, wanted, rtol=1e-14)


def test_one_state_makes_independent_observations():
    found = hidden_markov([1.0], [[1.0]], normal([0.2], [1.5]), length=6).log_prob(YS)
    np.testing.assert_allclose(found, normal.log_prob(YS, 0.2, 1.5), rtol=1e-13)


def test_arguments_may_change_with_the_steps():
    means = MEANS + 0.3 * np.arange(6.0)[:, None]
    found = hidden_markov(INITIAL, TRANSITION, normal(means, STDS)).log_prob(YS)
    np.testing.assert_allclose(found, over_paths(of_normals(means=means)), rtol=1e-13)
    trend = 0.3 * np.arange(6.0)[:, None]
    found = hidden_markov(INITIAL, TRANSITION, normal(trend, STDS)).log_prob(YS)
    np.testing.assert_allclose(found, over_paths(of_normals(means=trend)), rtol=1e-13)
    covs = np.broadcast_to(COVS, (6, 3, 2, 2))
    table = hidden_markov(INITIAL, STEPS, mvnormal(np.zeros((3, 2)), covs)).log_prob(VECTORS)
    wanted = hidden_markov(INITIAL, STEPS, mvnormal(np.zeros((3, 2)), COVS)).log_prob(VECTORS)
    np.testing.assert_allclose(table, wanted, rtol=1e-12)


def test_a_batch_is_independent_sequences():
    batch = np.stack([YS, YS[::-1], YS + 1.0, YS]).reshape(2, 2, 6)
    call = hidden_markov(INITIAL, TRANSITION, normal(MEANS, STDS), length=6, size=(2, 2))
    alone = [over_paths(of_normals(ys)) for ys in batch.reshape(4, 6)]
    np.testing.assert_allclose(call.log_probs(batch), np.reshape(alone, (2, 2)), rtol=1e-12)
    np.testing.assert_allclose(call.log_prob(batch), sum(alone), rtol=1e-12)
    own = np.stack([MEANS + 0.1 * i for i in range(4)]).reshape(2, 2, 1, 3)
    found = hidden_markov(INITIAL, TRANSITION, normal(own, STDS), length=6).log_probs(batch)
    wanted = [
        over_paths(of_normals(ys, MEANS + 0.1 * i)) for i, ys in enumerate(batch.reshape(4, 6))
    ]
    np.testing.assert_allclose(found.ravel(), wanted, rtol=1e-12)
    tables = np.stack([of_normals(ys) for ys in batch.reshape(4, 6)])
    found = hidden_markov(INITIAL, TRANSITION, log_emissions=tables).log_probs(np.zeros((4, 6)))
    np.testing.assert_allclose(found, alone, rtol=1e-12)


def test_the_density_agrees_with_statsmodels():
    """`MarkovRegression(ys, k_regimes=2, trend="c", switching_variance=True)` of statsmodels 0.15,
    loglike([0.9, 0.3, 0.1, 2.8, 0.25, 0.49]), which begins in the stationary distribution.
    """
    ys = [0.3, -0.4, 0.1, 2.9, 3.6, 2.2, 0.5, -0.2, 3.1, 2.7, 0.0, -0.8]
    call = hidden_markov([0.75, 0.25], [[0.9, 0.1], [0.3, 0.7]], normal([0.1, 2.8], [0.5, 0.7]), 12)
    np.testing.assert_allclose(call.log_prob(ys), -17.032195395415627, rtol=1e-14)


def test_the_maximum_likelihood_agrees_with_statsmodels():
    """As above, `fit(search_reps=20)`: it stops where the log likelihood is right to 1e-8."""
    ys = np.array([0.3, -0.4, 0.1, 2.9, 3.6, 2.2, 0.5, -0.2, 3.1, 2.7, 0.0, -0.8])

    @gen
    def regimes(n):
        rows = param("rows", [[0.8, 0.2], [0.4, 0.6]], constraint=simplex)
        leave, back = rows[0, 1], rows[1, 0]
        initial = np.stack([back, leave]) / (back + leave)
        means = param("means", [0.0, 3.0])
        stds = param("stds", [0.5, 0.5], constraint=positive)
        return hidden_markov(initial, rows, normal(means, stds), length=n) @ "ys"

    found = fit(regimes, (12,), {"ys": ys})
    np.testing.assert_allclose(found.log_likelihood, -14.573887398254918, rtol=1e-9)
    np.testing.assert_allclose(
        found.estimates["means"], [-0.0714285164735509, 2.8999990674541984], atol=1e-5
    )
    np.testing.assert_allclose(
        found.estimates["stds"] ** 2, [0.1648984305299747, 0.2120026434732538], atol=1e-5
    )
    np.testing.assert_allclose(
        found.estimates["rows"][:, 0], [0.7133318891138165, 0.4436729402249577], atol=1e-4
    )
    assert all(np.all(np.isfinite(e)) for e in found.std_errors.values())


# --- Impossible and extreme


def test_what_no_state_can_give_has_probability_0():
    call = hidden_markov(INITIAL, TRANSITION, categorical(np.eye(3)), length=3)
    assert call.log_prob([0, 1, 3]) == -np.inf
    table = np.zeros((3, 3))
    table[1] = -np.inf
    found = hidden_markov(INITIAL, TRANSITION, log_emissions=table).log_prob(np.zeros(3))
    assert found == -np.inf


def test_observations_far_from_every_state_do_not_underflow():
    call = hidden_markov(INITIAL, TRANSITION, normal(MEANS, 1e-3), length=6)
    np.testing.assert_allclose(call.log_prob(YS), over_paths(of_normals(stds=1e-3)), rtol=1e-13)
    g = gradient(
        lambda m: hidden_markov(INITIAL, TRANSITION, normal(m, 1e-3), 6).log_prob(YS), MEANS
    )
    assert np.all(np.isfinite(g))


# --- Gradients


FREE = {
    "initial": (lambda u: hidden_markov(softmax(u), TRANSITION, normal(MEANS, STDS), 6), INITIAL),
    "transition": (
        lambda u: hidden_markov(INITIAL, softmax(u), normal(MEANS, STDS), 6),
        TRANSITION,
    ),
    "steps": (lambda u: hidden_markov(INITIAL, softmax(u), normal(MEANS, STDS)), STEPS),
    "means": (lambda u: hidden_markov(INITIAL, TRANSITION, normal(u, STDS), 6), MEANS),
    "stds": (lambda u: hidden_markov(INITIAL, TRANSITION, normal(MEANS, u), 6), STDS),
    "one-std": (lambda u: hidden_markov(INITIAL, TRANSITION, normal(MEANS, u), 6), np.array(0.7)),
    "means-of-steps": (
        lambda u: hidden_markov(INITIAL, TRANSITION, normal(u, STDS)),
        MEANS + 0.3 * np.arange(6.0)[:, None],
    ),
    "trend": (
        lambda u: hidden_markov(INITIAL, TRANSITION, normal(u, STDS)),
        0.3 * np.arange(6.0)[:, None],
    ),
    "log_emissions": (
        lambda u: hidden_markov(INITIAL, TRANSITION, log_emissions=u),
        of_normals(),
    ),
}
each_argument = pytest.mark.parametrize(("call", "at"), FREE.values(), ids=FREE)


def moved(f, at, seed):
    """f along a random direction, and the direction."""
    direction = np.random.default_rng(seed).normal(size=np.shape(at))
    return (lambda h: f(at + h * direction)), direction


@each_argument
@pytest.mark.parametrize("missing", [False, True])
def test_the_gradient_by_each_argument_agrees_with_differences(call, at, missing):
    ys = np.where(np.arange(6) == 2, np.nan, YS) if missing else YS
    f = lambda u: call(u).log_prob(ys)  # noqa: E731
    along, direction = moved(f, at, 1)
    found = np.sum(gradient(f, at) * direction)
    np.testing.assert_allclose(found, slope(along), rtol=1e-8)


@each_argument
def test_the_second_derivative_agrees_with_differences(call, at):
    f = lambda u: call(u).log_prob(YS)  # noqa: E731
    along, direction = moved(lambda u: gradient(f, u), at, 2)
    second = np.reshape(hessian(f, at), (np.size(at), np.size(at)))
    wanted = np.ravel(slope(along))
    np.testing.assert_allclose(second @ np.ravel(direction), wanted, rtol=1e-7, atol=1e-8)


def test_the_gradient_by_the_observations_agrees_with_differences():
    f = lambda ys: hidden_markov(INITIAL, TRANSITION, normal(MEANS, STDS), 6).log_prob(ys)  # noqa: E731
    along, direction = moved(f, YS, 3)
    np.testing.assert_allclose(np.sum(gradient(f, YS) * direction), slope(along), rtol=1e-8)
    of_vectors = hidden_markov(INITIAL, TRANSITION, mvnormal(np.zeros((3, 2)), COVS), 6)
    along, direction = moved(of_vectors.log_prob, VECTORS, 4)
    g = gradient(of_vectors.log_prob, VECTORS)
    np.testing.assert_allclose(np.sum(g * direction), slope(along), rtol=1e-8)


def test_the_gradient_by_each_sequence_of_a_batch_is_its_own():
    batch, g = np.stack([YS, YS[::-1], YS + 0.5]), np.array([0.5, -1.0, 2.0])

    def each(m):
        return hidden_markov(INITIAL, TRANSITION, normal(m, STDS), 6, size=3).log_probs(batch)

    def alone(m, ys):
        return hidden_markov(INITIAL, TRANSITION, normal(m, STDS), 6).log_prob(ys)

    wanted = g @ [gradient(partial(alone, ys=ys), MEANS) for ys in batch]
    found = gradient(lambda m: np.sum(g * each(m)), MEANS)
    np.testing.assert_allclose(found, wanted, rtol=1e-10)


@gen
def model(n):
    initial = param("initial", INITIAL, constraint=simplex)
    rows = param("rows", TRANSITION, constraint=simplex)
    means, stds = param("means", MEANS), param("stds", STDS, constraint=positive)
    return hidden_markov(initial, rows, normal(means, stds), length=n) @ "ys"


def test_the_gradients_of_a_model_agree_with_differences():
    assert check_gradients(model, (6,), {"ys": YS}).error < 1e-7


def test_a_trace_pickles_and_updates():
    trace = model.simulate((6,), rng=0)
    assert pickle.loads(pickle.dumps(trace)).log_prob == trace.log_prob
    new, weight, discard = trace.update({"ys": YS})
    np.testing.assert_allclose(weight, new.log_prob - trace.log_prob)
    np.testing.assert_array_equal(discard["ys"], trace["ys"])
    weight, _ = model.assess((6,), {"ys": YS})
    np.testing.assert_allclose(weight, over_paths(of_normals()), rtol=1e-12)


def test_a_sampler_that_follows_gradients_moves_latent_observations():
    @gen
    def latent():
        hidden_markov(INITIAL, TRANSITION, gamma([2.0, 3.0, 5.0], rate=1.0), length=4) @ "rates"

    trace = latent.simulate((), rng=0)
    new, _ = hmc(trace, select("rates"), rng=1)
    assert np.all(new["rates"] > 0.0)
    assert np.any(new["rates"] != trace["rates"])


# --- Missing observations


def test_a_missing_observation_does_not_count():
    ys = YS.copy()
    ys[[0, 3]] = np.nan
    table = of_normals()
    table[[0, 3]] = 0.0
    call = hidden_markov(INITIAL, TRANSITION, normal(MEANS, STDS), length=6)
    np.testing.assert_allclose(call.log_prob(ys), over_paths(table), rtol=1e-13)
    g = gradient(call.log_prob, ys)
    np.testing.assert_array_equal(g == 0.0, np.isnan(ys))
    assert np.all(np.isfinite(g))
    assert call.log_prob(np.full(6, np.nan)) == pytest.approx(0.0, abs=1e-14)
    trace, weight = model.generate((6,), {"ys": ys})
    assert weight == trace.log_prob


def test_a_vector_is_missing_as_a_whole():
    call = hidden_markov(INITIAL, TRANSITION, mvnormal(np.zeros((3, 2)), COVS), length=6)
    ys = VECTORS.copy()
    ys[2] = np.nan
    table = np.stack(
        [stats.multivariate_normal.logpdf(np.nan_to_num(ys), [0.0, 0.0], c) for c in COVS], axis=1
    )
    table[2] = 0.0
    np.testing.assert_allclose(call.log_prob(ys), over_paths(table), rtol=1e-12)
    ys[4, 1] = np.nan
    with pytest.raises(
        DistributionError, match="observation 4 of hidden_markov is missing in part"
    ):
        call.log_prob(ys)


# --- Draws


def test_draws_have_the_density():
    call = hidden_markov(INITIAL, STEPS[:2], categorical(TRANSITION), size=20_000)
    every = np.array(list(np.ndindex(3, 3, 3)))
    probs = np.exp(
        hidden_markov(INITIAL, STEPS[:2], categorical(TRANSITION), size=27).log_probs(every)
    )
    np.testing.assert_allclose(np.sum(probs), 1.0, rtol=1e-13)
    seen = np.bincount(call.sample(rng=1) @ [9, 3, 1], minlength=27)
    assert stats.chisquare(seen, 20_000 * probs).pvalue > FAILURE_RATE


def test_draws_of_vectors_and_of_steps_come_from_the_state():
    means = 100.0 * np.arange(3.0)
    drawn = hidden_markov([0.0, 1.0, 0.0], np.roll(np.eye(3), 1, axis=1), normal(means, 1e-3), 4)
    np.testing.assert_allclose(drawn.sample(rng=0), [100.0, 200.0, 0.0, 100.0], atol=0.01)
    by_step = means + 1000.0 * np.arange(4.0)[:, None]
    drawn = hidden_markov([0.0, 1.0, 0.0], np.eye(3), normal(by_step, 1e-3), size=2)
    np.testing.assert_allclose(
        drawn.sample(rng=0), [[100.0, 1100.0, 2100.0, 3100.0]] * 2, atol=0.01
    )
    corners = np.stack([means, -means], axis=1)
    drawn = hidden_markov([0.0, 0.0, 1.0], np.eye(3), mvnormal(corners, 1e-6 * np.eye(2)), 3)
    np.testing.assert_allclose(drawn.sample(rng=0), [[200.0, -200.0]] * 3, atol=0.01)


# --- Wrong arguments


EMISSIONS = normal(MEANS, STDS)
TABLE = of_normals()


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: wrong(INITIAL, TRANSITION), ArgumentError, "either emissions or log_emissions"),
        (
            lambda: wrong(INITIAL, TRANSITION, EMISSIONS, 6, log_emissions=TABLE),
            ArgumentError,
            "eit",
        ),
        (lambda: wrong(INITIAL, TRANSITION, EMISSIONS), ArgumentError, r"write length=len\(ys\)"),
        (lambda: wrong(INITIAL, TRANSITION, EMISSIONS, 0), ArgumentError, "above 0, got 0"),
        (lambda: wrong(INITIAL, TRANSITION, normal, 6), ArgumentError, "without its arguments"),
        (lambda: wrong(INITIAL, TRANSITION, MEANS, 6), ArgumentError, "takes a call"),
        (lambda: wrong(INITIAL, TRANSITION, product([EMISSIONS]), 6), ArgumentError, "product"),
        (
            lambda: wrong(INITIAL, TRANSITION, normal(MEANS, STDS, size=3), 6),
            ArgumentError,
            r"write hidden_markov\(..., size=3\)",
        ),
        (lambda: wrong(INITIAL, TRANSITION, log_emissions=MEANS), ShapeError, "a row for each"),
        (lambda: wrong(INITIAL, TRANSITION, log_emissions=TABLE, size=2), ArgumentError, "no size"),
        (lambda: wrong(INITIAL, TRANSITION, log_emissions=TABLE[:, :2]), ShapeError, r"\(6, 3\)"),
        (
            lambda: wrong(INITIAL, TRANSITION, log_emissions=TABLE * np.nan),
            DistributionError,
            "NaN",
        ),
        (
            lambda: wrong(INITIAL, TRANSITION, log_emissions=-np.inf * TABLE),
            DistributionError,
            "inf",
        ),
        (lambda: wrong(INITIAL, TRANSITION[:2], EMISSIONS, 6), ShapeError, "must be 3 x 3"),
        (lambda: wrong([0.4, 0.6], TRANSITION, EMISSIONS, 6), ShapeError, "must be 2 x 2"),
        (lambda: wrong(INITIAL, STEPS[:2], EMISSIONS, 6), ShapeError, "each of 5 steps"),
        (lambda: wrong(INITIAL, TRANSITION, normal([0.0, 1.0], 1.0), 6), ShapeError, "3 states"),
        (lambda: wrong(INITIAL, TRANSITION, normal(STEPS[0, :2], 1.0), 6), ShapeError, "6 observ"),
        (lambda: wrong(INITIAL, TRANSITION.T, EMISSIONS, 6), DistributionError, "which sums to"),
        (lambda: wrong(-INITIAL, TRANSITION, EMISSIONS, 6), DistributionError, "at least 0"),
        (lambda: wrong(INITIAL, TRANSITION, normal(MEANS, -STDS), 6), DistributionError, "above 0"),
        (lambda: wrong(INITIAL, TRANSITION, EMISSIONS, 5), ShapeError, r"shape \(5,\) here"),
        (
            lambda: wrong(INITIAL, TRANSITION, log_emissions=TABLE[:5]),
            ShapeError,
            r"begins with \(5",
        ),
    ],
)
def test_wrong_arguments_say_what_to_write(call, error, match):
    with pytest.raises(error, match=match):
        call().log_prob(YS)


def test_missing_counts_are_refused():
    with pytest.raises(DistributionError, match="NaN"):
        hidden_markov(INITIAL, TRANSITION, poisson(STDS), 2).log_prob([1.0, np.nan])


def test_log_emissions_cannot_be_drawn_and_ask_for_a_value():
    @gen
    def given():
        return hidden_markov(INITIAL, TRANSITION, log_emissions=TABLE) @ "ys"

    with pytest.raises(DistributionError, match="cannot be drawn"):
        given.simulate(())
    trace, weight = given.generate((), {"ys": VECTORS})
    np.testing.assert_allclose(weight, over_paths(TABLE), rtol=1e-12)
    assert trace["ys"].shape == (6, 2)


def test_an_impossible_sequence_is_explained():
    call = hidden_markov(INITIAL, TRANSITION, categorical(np.eye(3)), length=3)
    assert "log probability is -inf" in call.fn.why_impossible(np.array([0, 1, 3]), call.args)
    table = hidden_markov(INITIAL, TRANSITION, log_emissions=np.full((2, 3), -np.inf))
    assert "-inf of log_emissions" in table.fn.why_impossible(np.zeros(2), table.args)
