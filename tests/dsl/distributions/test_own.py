"""A user's own distributions, and those of scipy.stats."""

import math
import pickle
import re
from typing import Any

import numpy as np
import pytest
from calls import FAILURE_RATE
from scipy import stats

from genparams import (
    Distribution,
    distribution,
    from_scipy,
    gen,
    mixture,
    normal,
    param,
    poisson,
    positive,
    product,
    transformed,
    zero_inflated,
)
from genparams.autodiff import gradient, hessian
from genparams.errors import ArgumentError, DistributionError, ShapeError, TracedValueError


def draw_gumbel(rng, loc, scale, size):
    return rng.gumbel(loc, scale, size)


def log_gumbel(x, loc, scale):
    """The Gumbel distribution."""
    z = (x - loc) / scale
    return -z - np.exp(-z) - np.log(scale)


def gumbel_gradients(x, loc, scale):
    z = (x - loc) / scale
    d = (np.exp(-z) - 1.0) / scale
    return d, -d, -z * d - 1.0 / scale


def log_geometric(x, p):
    return np.where(np.asarray(x) >= 0, np.log(p) + x * np.log1p(-p), -np.inf)


by_tape = distribution(draw_gumbel, log_gumbel)
by_hand = distribution(draw_gumbel, log_gumbel, gumbel_gradients, name="gumbel")
counts = distribution(
    lambda rng, p, size: rng.geometric(p, size) - 1, log_geometric, name="waits", discrete=True
)
scipys = from_scipy(stats.gumbel_r)
every_gumbel = pytest.mark.parametrize(
    "gumbel", [by_tape, by_hand, scipys], ids=["tape", "hand", "scipy"]
)
twice = pytest.mark.parametrize(
    "gumbel",
    [by_tape, by_hand, from_scipy(stats.gumbel_r, gradients=gumbel_gradients)],
    ids=["tape", "hand", "scipy"],
)
X = np.array([0.3, -1.0, 2.5])
POINT = np.array([0.7, 0.2, 1.3])


def at(gumbel: Distribution) -> Any:
    """The log density as a function of the value and both arguments, as one vector."""
    return lambda t: gumbel.log_prob_of(t[0], [t[1], t[2]])


@every_gumbel
def test_the_log_density_agrees_with_scipy(gumbel):
    wanted = stats.gumbel_r.logpdf(X, 0.2, 1.3)
    np.testing.assert_allclose([gumbel.log_prob(x, 0.2, 1.3) for x in X], wanted, rtol=1e-13)
    np.testing.assert_allclose(gumbel.log_prob(X, 0.2, 1.3, size=3), np.sum(wanted), rtol=1e-13)
    assert type(gumbel.log_prob(0.3, 0.2, 1.3)) is float


@every_gumbel
@pytest.mark.parametrize("seed", [0, 1])
def test_the_gradient_is_that_of_central_differences(gumbel, seed):
    v = np.random.default_rng(seed).normal(size=3)
    h = 1e-5
    f = at(gumbel)
    np.testing.assert_allclose(
        gradient(f, POINT) @ v, (f(POINT + h * v) - f(POINT - h * v)) / (2 * h), rtol=1e-7
    )


@every_gumbel
def test_gradients_are_summed_to_the_shape_of_an_argument(gumbel):
    loc = np.array([0.1, 0.5, -0.2])
    by_loc = gradient(lambda a: gumbel.log_prob(X, a, 1.3), loc)
    by_scale = gradient(lambda b: gumbel.log_prob(X, loc, b), 1.3)
    exact = np.stack(np.broadcast_arrays(*gumbel_gradients(X, loc, 1.3)))
    np.testing.assert_allclose(by_loc, exact[1], rtol=1e-8)
    np.testing.assert_allclose(by_scale, np.sum(exact[2]), rtol=1e-8)


@twice
@pytest.mark.parametrize("seed", [0, 1])
def test_second_derivatives_are_those_of_central_differences(gumbel, seed):
    v = np.random.default_rng(seed).normal(size=3)
    h = 1e-5
    f = at(gumbel)
    wanted = (gradient(f, POINT + h * v) - gradient(f, POINT - h * v)) / (2 * h)
    np.testing.assert_allclose(hessian(f, POINT) @ v, wanted, rtol=1e-6, atol=1e-8)


@every_gumbel
def test_draws_follow_the_density(gumbel):
    drawn = gumbel.sample(0.2, 1.3, size=4000, rng=0)
    assert stats.kstest(drawn, stats.gumbel_r(0.2, 1.3).cdf).pvalue > FAILURE_RATE
    assert type(gumbel.sample(0.2, 1.3, rng=0)) is float
    assert np.shape(gumbel.sample(np.zeros(3), 1.0, rng=0)) == (3,)


@every_gumbel
def test_it_trains_in_a_model_and_in_a_mixture(gumbel):
    @gen
    def model():
        weights = param("w", [0.4, 0.6])
        return (
            mixture(weights, gumbel(param("loc", [0.0, 1.0]), 1.3), size=3) @ "together",
            gumbel(0.1, param("s", 1.2)) @ "alone",
        )

    trace, _ = model.generate((), {"together": X, "alone": 0.4})
    trace.accumulate_param_gradients()
    found = {n: model.params[n].grad for n in ("w", "loc", "s")}

    def f(w, loc, s):
        density = np.exp(log_gumbel(X[:, None], loc, 1.3)) @ w
        return np.sum(np.log(density)) + log_gumbel(0.4, 0.1, s)

    w, loc, h = np.array([0.4, 0.6]), np.array([0.0, 1.0]), 1e-6
    for e in np.eye(2):
        np.testing.assert_allclose(
            found["w"] @ e, (f(w + h * e, loc, 1.2) - f(w - h * e, loc, 1.2)) / (2 * h), rtol=1e-6
        )
        np.testing.assert_allclose(
            found["loc"] @ e, (f(w, loc + h * e, 1.2) - f(w, loc - h * e, 1.2)) / (2 * h), rtol=1e-6
        )
    np.testing.assert_allclose(
        found["s"], (f(w, loc, 1.2 + h) - f(w, loc, 1.2 - h)) / (2 * h), rtol=1e-6
    )


@twice
def test_a_mixture_of_them_is_differentiated_twice(gumbel):
    def f(t):
        parts = [gumbel(t[0], t[1]), normal(0.0, 1.0)]
        return mixture(np.array([0.3, 0.7]), parts).fn.log_prob_of(
            0.4, [np.array([0.3, 0.7]), t[0], t[1], 0.0, 1.0]
        )

    t, v, h = np.array([0.2, 1.3]), np.array([0.7, -0.4]), 1e-5
    wanted = (gradient(f, t + h * v) - gradient(f, t - h * v)) / (2 * h)
    np.testing.assert_allclose(hessian(f, t) @ v, wanted, rtol=1e-6)


def test_one_of_their_own_goes_into_every_composite():
    call = transformed(by_tape(0.2, 1.3), positive)
    wanted = stats.gumbel_r.logpdf(math.log(2.0), 0.2, 1.3) - math.log(2.0)
    assert call.fn.log_prob(2.0, *call.args) == pytest.approx(wanted)
    call = zero_inflated(0.2, counts(0.3))
    assert call.fn.log_prob(0, *call.args) == pytest.approx(math.log(0.2 + 0.8 * 0.3))
    call = product([by_tape(0.2, 1.3), counts(0.3)])
    assert call.fn.log_prob((0.3, 2), *call.args) == pytest.approx(
        stats.gumbel_r.logpdf(0.3, 0.2, 1.3) + stats.geom.logpmf(3, 0.3)
    )


def test_a_discrete_one_has_whole_values_and_no_derivative_by_them():
    drawn = counts.sample(0.3, size=4000, rng=0)
    assert drawn.dtype == np.int64
    assert type(counts.sample(0.3, rng=0)) is int
    mass = stats.geom.pmf(np.arange(1, 6), 0.3)
    found = [np.sum(drawn == k) for k in range(5)]
    assert (
        stats.chisquare(
            [*found, 4000 - np.sum(found)], [*(4000 * mass), 4000 * (1 - np.sum(mass))]
        ).pvalue
        > FAILURE_RATE
    )
    assert counts.log_prob(-1, 0.3) == -np.inf
    np.testing.assert_allclose(
        gradient(lambda p: counts.log_prob([0, 4], p, size=2), 0.3), 2 / 0.3 - 4 / 0.7, rtol=1e-13
    )
    with pytest.raises(DistributionError, match="waits has no derivative by the value"):
        gradient(lambda x: counts.log_prob(x, 0.3), 1.0)


def test_it_may_be_made_by_a_decorator():
    @distribution(sample=draw_gumbel)
    def decorated(x, loc, scale):
        """The words of its own."""
        return log_gumbel(x, loc, scale)

    assert repr(decorated) == "decorated(loc, scale)"
    assert decorated.__doc__ == "The words of its own."
    assert decorated.log_prob(0.3, 0.2, scale=1.3) == by_tape.log_prob(0.3, 0.2, 1.3)


def test_a_gradient_given_is_used_as_it_is():
    wrong = distribution(draw_gumbel, log_gumbel, lambda x, loc, scale: (7.0, None, 5.0))
    assert gradient(lambda x: wrong.log_prob(x, 0.2, 1.3), 0.4) == 7.0
    assert gradient(lambda s: wrong.log_prob(X, 0.2, s, size=3), 1.3) == 15.0
    with pytest.raises(DistributionError, match=r"no derivative by loc.*gives None"):
        gradient(lambda a: wrong.log_prob(0.4, a, 1.3), 0.2)


# --- scipy


@pytest.mark.parametrize(
    ("family", "x", "args"),
    [
        (stats.gamma, 1.3, (2.0, 0.1, 1.5)),
        (stats.skewnorm, 0.3, (2.0, 0.1, 1.5)),
        (stats.genextreme, 0.3, (0.2, 0.1, 1.5)),
        (stats.beta, 0.3, (2.0, 3.0, 0.0, 1.0)),
        (stats.norminvgauss, 0.3, (1.5, 0.5, 0.1, 1.2)),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_continuous_one_of_scipy_has_its_density_and_numerical_gradients(family, x, args):
    made = from_scipy(family)
    assert made.log_prob(x, *args) == pytest.approx(float(family.logpdf(x, *args)), rel=1e-14)
    assert made.log_prob(x, *args[:-2]) == pytest.approx(float(family.logpdf(x, *args[:-2])))
    point = np.array([x, *args])
    v, h = np.random.default_rng(0).normal(size=len(point)), 1e-4

    def f(t):
        return made.log_prob_of(t[0], [t[i] for i in range(1, len(point))])

    slope = (f(point + h * v) - f(point - h * v)) / (2 * h)
    np.testing.assert_allclose(gradient(f, point) @ v, slope, rtol=1e-5)
    drawn = made.sample(*args, size=2000, rng=0)
    assert stats.kstest(drawn, lambda y: family.cdf(y, *args)).pvalue > FAILURE_RATE


def test_a_discrete_one_of_scipy_has_its_mass():
    binom = from_scipy(stats.binom)
    assert binom.log_prob(3, 10, 0.3) == pytest.approx(stats.binom.logpmf(3, 10, 0.3))
    assert binom.log_prob(4, 10, 0.3, loc=1) == pytest.approx(stats.binom.logpmf(3, 10, 0.3))
    assert type(binom.sample(10, 0.3, rng=0)) is int
    slope = gradient(lambda p: binom.log_prob(4, 10, p), 0.3)
    assert slope == pytest.approx(4 / 0.3 - 6 / 0.7, rel=1e-8)
    with pytest.raises(DistributionError, match="no numerical derivative by n"):
        gradient(lambda n: binom.log_prob(3, n, 0.3), 10.0)


def test_outside_a_support_of_scipy_density_and_gradients_are_zero():
    gamma = from_scipy(stats.gamma)
    assert gamma.log_prob(-1.0, 2.0) == -np.inf
    assert gradient(lambda a: gamma.log_prob(-1.0, a), 2.0) == 0.0
    assert gradient(lambda a: gamma.log_prob([-1.0, 1.0], a, size=2), 2.0) == pytest.approx(
        gradient(lambda a: gamma.log_prob(1.0, a), 2.0)
    )
    uniform = from_scipy(stats.uniform)
    assert gradient(lambda x: uniform.log_prob(x), 0.0) == 0.0


def test_it_says_that_its_gradients_are_numerical():
    assert "numerical" in str(from_scipy(stats.gamma).__doc__)
    assert repr(scipys) == str(scipys) == "gumbel_r(loc, scale) with numerical gradients"
    given = from_scipy(stats.gumbel_r, gradients=gumbel_gradients)
    assert "given" in str(given.__doc__)
    assert repr(given) == "gumbel_r(loc, scale)"
    with pytest.raises(DistributionError, match="numerical and have no derivatives; give grad"):
        hessian(at(from_scipy(stats.gumbel_r)), POINT)


# --- Refusals


def test_what_is_no_distribution_of_scipy_is_refused():
    for family in (stats.norm(0.0, 1.0), stats.multivariate_normal, 3.0):
        with pytest.raises(ArgumentError, match="from_scipy takes a distribution over numbers"):
            from_scipy(family)


def test_bad_arguments_are_refused():
    with pytest.raises(DistributionError, match=re.escape("log_prob of gamma is NaN at the value")):
        from_scipy(stats.gamma).log_prob(1.0, -2.0)
    with pytest.raises(DistributionError, match=r"scipy's gamma refuses a=-2\.0"):
        from_scipy(stats.gamma).sample(-2.0, rng=0)
    with pytest.raises(ArgumentError, match="write gamma"):
        from_scipy(stats.gamma).log_prob(1.0)
    with pytest.raises(ArgumentError, match="did you mean scale"):
        from_scipy(stats.gamma)(2.0, scal=1.0)


def test_a_log_density_that_is_summed_is_refused():
    summed = distribution(draw_gumbel, lambda x, a, b: np.sum(log_gumbel(x, a, b)), name="bad")
    with pytest.raises(ShapeError, match=r"log_prob of bad has shape \(\) for a batch of shape"):
        summed.log_prob(X, 0.0, 1.0, size=3)


def test_a_sampler_of_another_shape_is_refused():
    fixed = distribution(lambda rng, a, size: rng.normal(a), lambda x, a: x - a, name="bad")
    with pytest.raises(ShapeError, match=re.escape("sample of bad gave shape () for size (3,)")):
        fixed.sample(0.0, size=3)


def test_gradients_of_the_wrong_number_or_shape_are_refused():
    two = distribution(draw_gumbel, log_gumbel, lambda x, a, b: (1.0, 2.0), name="bad")
    with pytest.raises(ArgumentError, match="a tuple of 3, one for each of the value, loc, scale"):
        gradient(lambda a: two.log_prob(0.3, a, 1.0), 0.0)
    long = distribution(draw_gumbel, log_gumbel, lambda x, a, b: (x, np.ones(2), x), name="bad")
    with pytest.raises(ShapeError, match=r"gradient of bad by loc has shape \(2,\) for a batch"):
        gradient(lambda a: long.log_prob(X, a, 1.0, size=3), 0.0)


def test_what_are_not_functions_are_refused():
    with pytest.raises(ArgumentError, match=r"sample of @distribution.* is a function"):
        distribution(3.0, log_gumbel)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="and then each argument by name"):
        distribution(draw_gumbel, lambda x, *args: x)


def test_math_of_a_traced_value_is_told_again_with_the_replacement():
    bad = distribution(lambda rng, a, size: rng.normal(a, 1.0, size), lambda x, a: -math.exp(a) + x)
    assert bad.log_prob(0.0, 0.0) == -1.0
    with pytest.raises(TracedValueError, match=re.escape("np.exp")):
        gradient(lambda a: bad.log_prob(0.0, a), 0.0)


def test_a_size_of_a_poisson_in_scipy_is_that_of_the_library():
    other = from_scipy(stats.poisson)
    ours, theirs = poisson.log_prob([1, 2], 3.0, size=2), other.log_prob([1, 2], 3.0, size=2)
    assert ours == pytest.approx(theirs, rel=1e-13)


def test_an_argument_may_have_a_default():
    made = distribution(draw_gumbel, lambda x, loc=0.2, scale=1.3: log_gumbel(x, loc, scale))
    assert made.log_prob(0.3) == by_tape.log_prob(0.3, 0.2, 1.3)
    assert made.log_prob(0.3, scale=2.0) == by_tape.log_prob(0.3, 0.2, 2.0)


@pytest.mark.parametrize("made", [by_tape, counts, scipys], ids=["own", "discrete", "scipy"])
def test_a_trace_of_one_at_the_top_of_a_module_pickles(made):
    trace = made.simulate((0.3,) if made is counts else (0.3, 1.2), rng=0)
    copy = pickle.loads(pickle.dumps(trace))
    assert copy.choices == trace.choices
    assert copy.gen_fn is made


def test_a_sampler_of_what_are_no_values_is_refused():
    half = distribution(lambda rng, size: np.full(size, 0.5), lambda x: 0.0 * x, None, "bad", True)
    with pytest.raises(DistributionError, match="sample of bad gives whole numbers, got"):
        half.sample(size=2)
    none = distribution(lambda rng, size: np.full(size, np.nan), lambda x: 0.0 * x, name="bad")
    with pytest.raises(DistributionError, match="sample of bad gives numbers, got"):
        none.sample(size=2)


def test_an_argument_named_as_the_keyword_of_all_is_refused():
    with pytest.raises(ArgumentError, match="name that argument of log_prob something else"):
        distribution(draw_gumbel, lambda x, size: x / size)


def test_a_count_too_large_for_a_sampler_of_scipy_is_told():
    with pytest.raises(DistributionError, match="scipy's poisson refuses mu="):
        from_scipy(stats.poisson).sample(1e30)
