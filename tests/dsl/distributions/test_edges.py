"""Distributions at the ends of their supports, outside, far out, and given what they refuse."""

# pyright: reportCallIssue=false

import contextlib
import math
import re

import numpy as np
import pytest
from scipy import stats

from genparams import (
    ParamStore,
    bernoulli,
    beta,
    beta_binomial,
    beta_uniform,
    binomial,
    categorical,
    cauchy,
    censored,
    dirichlet,
    exponential,
    gamma,
    gen,
    geometric,
    half_cauchy,
    half_normal,
    inv_gamma,
    laplace,
    logistic,
    lognormal,
    mixture,
    multinomial,
    mvnormal,
    neg_binomial,
    normal,
    param,
    piecewise_uniform,
    poisson,
    student_t,
    truncated,
    truncated_normal,
    uniform,
    uniform_discrete,
    von_mises,
    weibull,
)
from genparams.autodiff import gradient, hessian
from genparams.errors import (
    ArgumentError,
    DistributionError,
    GenParamsError,
    InvalidValue,
    ShapeError,
)

EYE = np.eye(2)


# --- Outside the support

# name: the log density as a function of the value and one vector of arguments, those arguments, a
# value inside, values outside.
OUTSIDE = {
    "uniform": (uniform, [-1.0, 2.0], 0.5, [-1.001, 2.5, math.inf, -math.inf]),
    "lognormal": (lognormal, [0.1, 0.7], 0.5, [0.0, -1.0, -math.inf]),
    "exponential": (exponential, [1.5], 0.5, [-0.1, -math.inf]),
    "gamma": (lambda a, b, size=None: gamma(a, scale=b, size=size), [2.0, 0.7], 0.5, [-0.1, -3.0]),
    "gamma-by-rate": (
        lambda a, b, size=None: gamma(a, rate=b, size=size),
        [2.0, 0.7],
        0.5,
        [-0.1, -3.0],
    ),
    "beta": (beta, [2.0, 3.0], 0.5, [-0.1, 1.1, math.inf]),
    "bernoulli": (bernoulli, [0.3], True, [2, -1, 0.5, math.inf]),
    "bernoulli-by-logits": (
        lambda logits, size=None: bernoulli(logits=logits, size=size),
        [0.3],
        True,
        [2, -1, 0.5],
    ),
    "binomial": (
        lambda p, size=None: binomial(5, p, size=size),
        [0.3],
        2,
        [-1, 6, 2.5, math.inf, -math.inf],
    ),
    "binomial-by-logits": (
        lambda t, size=None: binomial(5, logits=t, size=size),
        [0.3],
        2,
        [-1, 6, 2.5],
    ),
    "poisson": (poisson, [2.5], 2, [-1, 1.5, math.inf, -math.inf]),
    "inv_gamma": (inv_gamma, [2.0, 0.7], 0.5, [0.0, -1.0, 1e-320, math.inf]),
    "weibull": (weibull, [2.0, 0.7], 0.5, [-0.1, -math.inf]),
    "half_normal": (half_normal, [0.7], 0.5, [-0.1, -math.inf]),
    "half_cauchy": (half_cauchy, [0.7], 0.5, [-0.1, -math.inf]),
    "truncated_normal": (truncated_normal, [0.2, 0.7, -1.0, 2.0], 0.5, [-1.1, 2.1, math.inf]),
    "truncated_normal-above": (
        lambda mu, std, low, size=None: truncated_normal(mu, std, low, math.inf, size=size),
        [0.2, 0.7, -1.0],
        0.5,
        [-1.1, math.inf, -math.inf],
    ),
    "von_mises": (von_mises, [0.2, 0.7], 0.5, [-3.2, 3.2, math.inf]),
    "beta_uniform": (beta_uniform, [0.3, 2.0, 3.0], 0.5, [-0.1, 1.1, math.inf]),
    "piecewise_uniform": (
        lambda a, b, c, p, size=None: piecewise_uniform(
            np.stack([a, b, c]), np.stack([p, 1.0 - p]), size=size
        ),
        [0.0, 1.0, 3.0, 0.3],
        0.5,
        [-0.1, 0.0, 3.0, 3.1, math.inf, -math.inf],
    ),
    "geometric": (geometric, [0.3], 2, [-1, 1.5, math.inf]),
    "neg_binomial": (neg_binomial, [2.5, 0.3], 2, [-1, 1.5, math.inf]),
    "neg_binomial-large": (neg_binomial, [250.0, 0.3], 600, [-1, 1.5, math.inf]),
    "beta_binomial": (
        lambda a, b, size=None: beta_binomial(5, a, b, size=size),
        [2.5, 0.3],
        2,
        [-1, 6, 1.5, math.inf],
    ),
    "mixture": (
        lambda a, b, size=None: mixture([0.5, 0.5], [exponential(a), exponential(b)], size=size),
        [1.0, 2.0],
        0.5,
        [-0.1],
    ),
}
# The same for those whose argument is one vector.
OUTSIDE_OF_VECTORS = {
    "categorical": (categorical, [0.2, 0.3, 0.5], 1, [-1, 3, 0.5, math.inf]),
    "categorical-by-logits": (
        lambda logits, size=None: categorical(logits=logits, size=size),
        [0.2, 0.3, 0.5],
        1,
        [-1, 3, 0.5, math.inf],
    ),
    "dirichlet": (
        dirichlet,
        [2.0, 3.0, 1.5],
        [0.2, 0.3, 0.5],
        [[-0.1, 0.6, 0.5], [0.3, 0.3, 0.3], [2.0, -2.0, 1.0], [math.inf, 0.0, 0.0]],
    ),
    "multinomial": (
        lambda probs, size=None: multinomial(4, probs, size=size),
        [0.2, 0.3, 0.5],
        [2, 1, 1],
        [[-1, 3, 2], [2, 1, 2], [1.5, 1.5, 1.0], [math.inf, 0, 0], [math.inf, -math.inf, 4]],
    ),
}


def by_parts(make):
    return lambda v, size=None: make(*(v[i] for i in range(len(v))), size=size)


ALL_OUTSIDE = {
    **{name: (by_parts(make), *rest) for name, (make, *rest) in OUTSIDE.items()},
    **OUTSIDE_OF_VECTORS,
}
outside = pytest.mark.parametrize(
    ("make", "args", "inside", "value"),
    [
        pytest.param(make, np.array(args), inside, value, id=f"{name}-{value}")
        for name, (make, args, inside, values) in ALL_OUTSIDE.items()
        for value in values
    ],
)


def log_prob(x, call):
    return call.fn.log_prob(
        x, size=call.options, **dict(zip(call.fn.arguments, call.args, strict=True))
    )


@outside
def test_outside_the_support_the_log_density_is_minus_infinity(make, args, inside, value):
    assert log_prob(value, make(args)) == -math.inf
    assert log_prob([value], make(args, size=1)) == -math.inf
    assert math.isfinite(log_prob(inside, make(args)))


@outside
def test_one_entry_outside_the_support_takes_the_array_along(make, args, inside, value):
    assert log_prob([inside, value], make(args, size=2)) == -math.inf
    assert math.isfinite(log_prob([inside, inside], make(args, size=2)))


@outside
def test_outside_the_support_the_gradient_is_zero(make, args, inside, value):
    found = gradient(lambda v: log_prob(value, make(v)), args)
    np.testing.assert_array_equal(found, np.zeros_like(args))


@outside
def test_entries_outside_the_support_add_nothing_to_the_gradient(make, args, inside, value):
    np.testing.assert_allclose(
        gradient(lambda v: log_prob([inside, value], make(v, size=2)), args),
        gradient(lambda v: log_prob(inside, make(v)), args),
        rtol=1e-12,
    )


@outside
def test_entries_outside_the_support_add_nothing_to_second_derivatives(make, args, inside, value):
    np.testing.assert_allclose(
        hessian(lambda v: log_prob([inside, value], make(v, size=2)), args),
        hessian(lambda v: log_prob(inside, make(v)), args),
        rtol=1e-12,
        atol=1e-14,
    )


@outside
def test_outside_the_support_second_derivatives_are_zero(make, args, inside, value):
    found = hessian(lambda v: log_prob(value, make(v)), args)
    np.testing.assert_array_equal(found, np.zeros((args.size, args.size)))


EVERY = {
    "normal": normal(0.0, 1.0),
    "lognormal": lognormal(0.0, 1.0),
    "student_t": student_t(3.0, 0.0, 1.0),
    "laplace": laplace(0.0, 1.0),
    "uniform": uniform(0.0, 1.0),
    "exponential": exponential(1.0),
    "gamma": gamma(2.0, scale=1.0),
    "beta": beta(2.0, 2.0),
    "bernoulli": bernoulli(0.5),
    "bernoulli-by-logits": bernoulli(logits=0.5),
    "binomial": binomial(5, 0.5),
    "binomial-by-logits": binomial(5, logits=0.5),
    "categorical": categorical([0.5, 0.5]),
    "categorical-by-logits": categorical(logits=[0.5, 0.5]),
    "poisson": poisson(1.0),
    "cauchy": cauchy(0.0, 1.0),
    "logistic": logistic(0.0, 1.0),
    "inv_gamma": inv_gamma(2.0, 1.0),
    "weibull": weibull(2.0, 1.0),
    "half_normal": half_normal(1.0),
    "half_cauchy": half_cauchy(1.0),
    "truncated_normal": truncated_normal(0.0, 1.0, -1.0, 1.0),
    "von_mises": von_mises(0.0, 1.0),
    "beta_uniform": beta_uniform(0.5, 2.0, 2.0),
    "piecewise_uniform": piecewise_uniform([0.0, 1.0, 2.0], [0.5, 0.5]),
    "geometric": geometric(0.5),
    "neg_binomial": neg_binomial(2.0, 0.5),
    "beta_binomial": beta_binomial(5, 2.0, 2.0),
    "uniform_discrete": uniform_discrete(0, 5),
    "mixture": mixture([0.5, 0.5], normal([0.0, 1.0], [1.0, 1.0])),
}
CONTINUOUS = {name: call for name, call in EVERY.items() if call.fn.kind.continuous} | {
    "gamma-of-shape-below-1": gamma(0.5, scale=2.0),
    "gamma-of-shape-1": gamma(1.0, scale=2.0),
    "weibull-of-shape-below-1": weibull(0.5, 3.0),
    "truncated_normal-whole": truncated_normal(0.3, 2.0, -math.inf, math.inf),
    "mixture-of-calls": mixture([0.4, 0.6], [normal(0.0, 1.0), laplace(0.0, 1.0)]),
}


@pytest.mark.parametrize("call", [pytest.param(c, id=n) for n, c in CONTINUOUS.items()])
@pytest.mark.parametrize("x", [math.inf, -math.inf])
def test_an_infinite_value_has_no_density(call, x):
    assert log_prob(x, call) == -math.inf
    again = call.fn(*call.args, size=2) if call.fn is not gamma else None
    if again is not None:
        assert log_prob([0.5, x], again) == -math.inf


@pytest.mark.parametrize("x", [1e160, -1e160, 1e300])
@pytest.mark.parametrize("call", [normal(0.0, 1.0, size=2), student_t(3.0, 0.0, 1.0, size=2)])
def test_a_value_whose_square_overflows_gives_no_warning_and_no_nan(call, x):
    assert not math.isnan(log_prob([0.0, x], call))
    one = call.fn(*call.args)
    assert log_prob(x, one) == log_prob([x], call.fn(*call.args, size=1))


# --- At the ends of the support, against scipy

ENDS = {
    "uniform-low": (0.0, uniform(0.0, 2.0), -math.log(2.0)),
    "uniform-high": (2.0, uniform(0.0, 2.0), -math.log(2.0)),
    "exponential": (0.0, exponential(2.0), math.log(2.0)),
    "gamma-below-1": (0.0, gamma(0.5, scale=2.0), math.inf),
    "gamma-1": (0.0, gamma(1.0, scale=2.0), stats.gamma.logpdf(0.0, 1.0, scale=2.0)),
    "gamma-above-1": (0.0, gamma(1.5, scale=2.0), -math.inf),
    "beta-low-below-1": (0.0, beta(0.5, 0.5), math.inf),
    "beta-low-1": (0.0, beta(1.0, 2.0), stats.beta.logpdf(0.0, 1.0, 2.0)),
    "beta-low-above-1": (0.0, beta(2.0, 2.0), -math.inf),
    "beta-high-below-1": (1.0, beta(0.5, 0.5), math.inf),
    "beta-high-1": (1.0, beta(2.0, 1.0), stats.beta.logpdf(1.0, 2.0, 1.0)),
    "beta-high-above-1": (1.0, beta(2.0, 2.0), -math.inf),
    "beta-uniform": (0.0, beta(1.0, 1.0), 0.0),
    "laplace-at-its-centre": (0.5, laplace(0.5, 2.0), -math.log(4.0)),
    "poisson-of-nothing": (0, poisson(0.0), 0.0),
    "poisson-of-nothing-1": (1, poisson(0.0), -math.inf),
    "poisson-0": (0, poisson(2.0), -2.0),
    "binomial-never": (0, binomial(5, 0.0), 0.0),
    "binomial-never-1": (1, binomial(5, 0.0), -math.inf),
    "binomial-always": (5, binomial(5, 1.0), 0.0),
    "binomial-always-4": (4, binomial(5, 1.0), -math.inf),
    "binomial-of-no-trials": (0, binomial(0, 0.3), 0.0),
    "bernoulli-never": (False, bernoulli(0.0), 0.0),
    "bernoulli-never-true": (True, bernoulli(0.0), -math.inf),
    "bernoulli-always": (True, bernoulli(1.0), 0.0),
    "bernoulli-always-false": (False, bernoulli(1.0), -math.inf),
    "categorical-never": (0, categorical([0.0, 1.0]), -math.inf),
    "categorical-always": (1, categorical([0.0, 1.0]), 0.0),
    "categorical-of-one": (0, categorical([1.0]), 0.0),
    "categorical-by-infinite-logit": (0, categorical(logits=[-math.inf, 1.0]), -math.inf),
    "categorical-beside-infinite-logit": (1, categorical(logits=[-math.inf, 1.0]), 0.0),
    "inv_gamma": (1e-5, inv_gamma(2.0, 1e-300), stats.invgamma.logpdf(1e-5, 2.0, scale=1e-300)),
    "weibull-below-1": (0.0, weibull(0.5, 2.0), math.inf),
    "weibull-1": (0.0, weibull(1.0, 2.0), -math.log(2.0)),
    "weibull-above-1": (0.0, weibull(1.5, 2.0), -math.inf),
    "half_normal": (0.0, half_normal(2.0), stats.halfnorm.logpdf(0.0, scale=2.0)),
    "half_cauchy": (0.0, half_cauchy(2.0), stats.halfcauchy.logpdf(0.0, scale=2.0)),
    "truncated_normal-low": (
        -1.0,
        truncated_normal(0.0, 1.0, -1.0, 2.0),
        stats.truncnorm.logpdf(-1.0, -1.0, 2.0),
    ),
    "truncated_normal-high": (
        2.0,
        truncated_normal(0.0, 1.0, -1.0, 2.0),
        stats.truncnorm.logpdf(2.0, -1.0, 2.0),
    ),
    "truncated_normal-whole": (
        0.5,
        truncated_normal(0.0, 1.0, -math.inf, math.inf),
        stats.norm.logpdf(0.5),
    ),
    "von_mises-low": (-math.pi, von_mises(0.3, 2.0), stats.vonmises.logpdf(-math.pi, 2.0, 0.3)),
    "von_mises-high": (math.pi, von_mises(0.3, 2.0), stats.vonmises.logpdf(math.pi, 2.0, 0.3)),
    "von_mises-flat": (1.0, von_mises(0.3, 0.0), -math.log(2.0 * math.pi)),
    "beta_uniform-low-below-1": (0.0, beta_uniform(0.5, 0.5, 0.5), math.inf),
    "beta_uniform-low-1": (0.0, beta_uniform(0.5, 1.0, 3.0), math.log(2.0)),
    "beta_uniform-low-above-1": (0.0, beta_uniform(0.5, 2.0, 3.0), math.log(0.5)),
    "beta_uniform-all-uniform": (0.0, beta_uniform(0.0, 0.5, 0.5), 0.0),
    "beta_uniform-all-beta": (0.0, beta_uniform(1.0, 2.0, 2.0), -math.inf),
    "piecewise_uniform-within": (
        1.0,
        piecewise_uniform([0.0, 1.0, 3.0], [0.2, 0.8]),
        math.log(0.4),
    ),
    "piecewise_uniform-never": (0.5, piecewise_uniform([0.0, 1.0, 3.0], [0.0, 1.0]), -math.inf),
    "piecewise_uniform-beside": (
        1.5,
        piecewise_uniform([0.0, 1.0, 3.0], [0.0, 1.0]),
        -math.log(2.0),
    ),
    "geometric-always": (0, geometric(1.0), 0.0),
    "geometric-always-1": (1, geometric(1.0), -math.inf),
    "neg_binomial-always": (0, neg_binomial(2.5, 1.0), 0.0),
    "neg_binomial-always-1": (1, neg_binomial(2.5, 1.0), -math.inf),
    "neg_binomial-always-many": (100, neg_binomial(2.5, 1.0), -math.inf),
    "neg_binomial-always-none-of-many": (0, neg_binomial(250.0, 1.0), 0.0),
    "binomial-never-of-many": (0, binomial(1000, 0.0), 0.0),
    "binomial-never-of-many-1": (1, binomial(1000, 0.0), -math.inf),
    "binomial-always-of-many": (1000, binomial(1000, 1.0), 0.0),
    "binomial-always-of-many-999": (999, binomial(1000, 1.0), -math.inf),
    "poisson-of-nothing-100": (100, poisson(0.0), -math.inf),
    "beta_binomial-of-no-trials": (0, beta_binomial(0, 2.0, 3.0), 0.0),
    "beta_binomial-of-no-trials-of-many": (0, beta_binomial(0, 200.0, 3.0), 0.0),
    "beta_binomial-all": (100, beta_binomial(100, 1.0, 1.0), -math.log(101.0)),
    "uniform_discrete-low": (-2, uniform_discrete(-2, 2), -math.log(5.0)),
    "uniform_discrete-high": (2, uniform_discrete(-2, 2), -math.log(5.0)),
    "uniform_discrete-one": (3, uniform_discrete(3, 3), 0.0),
    "uniform_discrete-above": (3, uniform_discrete(-2, 2), -math.inf),
    "uniform_discrete-between": (0.5, uniform_discrete(-2, 2), -math.inf),
    "multinomial-of-no-trials": ([0, 0], multinomial(0, [0.3, 0.7]), 0.0),
    "multinomial-never": ([1, 4], multinomial(5, [0.0, 1.0]), -math.inf),
    "multinomial-always": ([0, 5], multinomial(5, [0.0, 1.0]), 0.0),
    "dirichlet-flat": ([0.0, 0.4, 0.6], dirichlet([1.0, 1.0, 1.0]), math.log(2.0)),
    "dirichlet-above-1": ([0.0, 0.4, 0.6], dirichlet([2.0, 1.0, 1.0]), -math.inf),
}
ends = pytest.mark.parametrize(
    ("x", "call", "wanted"), [pytest.param(*row, id=name) for name, row in ENDS.items()]
)


@ends
def test_at_the_end_of_the_support_the_density_is_its_limit(x, call, wanted):
    np.testing.assert_allclose(log_prob(x, call), wanted, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(
        log_prob([x], type(call)(call.fn, call.args, 1)), wanted, rtol=1e-14, atol=1e-15
    )


@ends
@pytest.mark.parametrize("size", [None, 1])
def test_at_the_end_of_the_support_a_gradient_is_a_number_or_infinite(x, call, wanted, size):
    """Never an exception, a warning or NaN, for any argument that has a derivative."""
    for i, name in enumerate(call.fn.arguments):
        if name == "n" or call.fn is uniform_discrete:
            continue

        def f(t, i=i):
            args = (*call.args[:i], t, *call.args[i + 1 :])
            return log_prob(x if size is None else [x], type(call)(call.fn, args, size))

        at = call.args[i]
        if name == "logits" and not np.all(np.isfinite(at)):
            continue
        assert not np.any(np.isnan(gradient(f, np.array(at) if np.ndim(at) else at)))


def test_the_gradient_of_a_flat_dirichlet_by_an_entry_of_zero_is_zero():
    g = gradient(lambda x: dirichlet.log_prob(x, [1.0, 1.0, 1.0]), np.array([0.0, 0.4, 0.6]))
    np.testing.assert_array_equal(g, 0.0)


def test_draws_of_a_dirichlet_that_is_all_corners_sum_to_one():
    """By 1e-4 a gamma draw underflows to zero in all entries more often than not."""
    x = dirichlet.sample([1e-4, 1e-4, 2e-4], size=4000, rng=0)
    np.testing.assert_allclose(np.sum(x, axis=1), 1.0, rtol=1e-14)
    corners = np.bincount(np.argmax(x, axis=1), minlength=3)
    assert stats.chisquare(corners, 4000 * np.array([0.25, 0.25, 0.5])).pvalue > 1e-4


def test_the_gradient_at_the_centre_of_a_laplace_is_halfway():
    assert gradient(lambda t: laplace.log_prob(0.5, t, 2.0), 0.5) == 0.0
    assert gradient(lambda t: laplace.log_prob(0.5, 0.5, t), 2.0) == -0.5


@pytest.mark.parametrize("x", [0, 1])
def test_logits_of_exactly_zero_are_twice_differentiable(x):
    def f(t):
        return bernoulli.log_prob(x, logits=t)

    assert f(0.0) == pytest.approx(-math.log(2.0), rel=1e-15)
    assert gradient(f, 0.0) == x - 0.5
    assert gradient(lambda t: gradient(f, t), 0.0) == -0.25
    np.testing.assert_array_equal(hessian(lambda v: f(v[0]), [0.0]), [[-0.25]])


def test_logits_of_exactly_zero_are_twice_differentiable_in_a_binomial_and_a_categorical():
    def f(t):
        return binomial.log_prob(2, 6, logits=t)

    assert gradient(f, 0.0) == -1.0
    assert gradient(lambda t: gradient(f, t), 0.0) == -1.5

    def g(v):
        return categorical.log_prob(1, logits=v)

    third = 1.0 / 3.0
    np.testing.assert_allclose(gradient(g, np.zeros(3)), [-third, 2 * third, -third], rtol=1e-15)
    np.testing.assert_allclose(
        hessian(g, np.zeros(3)), np.full((3, 3), third**2) - third * np.eye(3), rtol=1e-14
    )


def test_at_the_mean_a_normal_is_twice_differentiable():
    def f(v):
        return normal.log_prob(0.5, v[0], v[1])

    np.testing.assert_allclose(gradient(f, np.array([0.5, 2.0])), [0.0, -0.5])
    np.testing.assert_allclose(hessian(f, [0.5, 2.0]), [[-0.25, 0.0], [0.0, 0.25]], atol=1e-16)


@pytest.mark.parametrize("probs", [0.0, 1.0])
def test_a_certain_outcome_has_finite_derivatives(probs):
    """d/dp log p = 1 and d/dp log(1 - p) = -1 at the certain ends."""
    x = probs == 1.0
    wanted = 1.0 if x else -1.0
    assert gradient(lambda p: bernoulli.log_prob(x, p), probs) == wanted
    assert gradient(lambda p: bernoulli.log_prob([x], p, size=1), probs) == wanted
    assert gradient(lambda p: binomial.log_prob(3 * x, 3, p), probs) == 3.0 * wanted


def test_parameters_at_exactly_zero_rate_train_away_from_it():
    assert gradient(lambda rate: poisson.log_prob(0, rate), 0.0) == -1.0
    assert gradient(lambda rate: poisson.log_prob([0, 0], rate, size=2), 0.0) == -2.0


# --- Logits


@pytest.mark.parametrize("shift", [-1e4, 0.0, 1e4])
def test_logits_of_a_categorical_may_be_shifted_by_any_constant(shift):
    logits = np.array([0.0, 1.0, -2.0])
    np.testing.assert_allclose(
        categorical.log_prob(2, logits=logits + shift),
        categorical.log_prob(2, logits=logits),
        rtol=1e-11,
    )


def test_distant_logits_of_a_categorical_are_exact():
    assert categorical.log_prob(0, logits=[-1000.0, 0.0]) == -1000.0
    assert categorical.log_prob(1, logits=[-1000.0, 0.0]) == 0.0


# --- Draws at the ends


def test_certain_outcomes_are_always_drawn():
    assert not np.any(bernoulli.sample(0.0, size=1000, rng=0))
    assert np.all(bernoulli.sample(1.0, size=1000, rng=0))
    assert np.all(bernoulli.sample(logits=800.0, size=1000, rng=0))
    assert np.all(binomial.sample(7, 1.0, size=1000, rng=0) == 7)
    assert np.all(poisson.sample(0.0, size=1000, rng=0) == 0)
    assert np.all(categorical.sample([0.0, 1.0, 0.0], size=1000, rng=0) == 1)
    assert np.all(categorical.sample(logits=[-math.inf, 0.0], size=1000, rng=0) == 1)


def test_probabilities_that_sum_to_a_little_less_than_one_draw_no_further_category():
    probs = np.array([0.5, 0.5 - 5e-9])
    assert np.max(categorical.sample(probs, size=10_000, rng=0)) == 1


@pytest.mark.parametrize(
    ("low", "high"),
    [(30.0, 40.0), (-40.0, -30.0), (1e4, math.inf), (-math.inf, -1e4), (5.0, 5.0 + 1e-12)],
)
def test_draws_of_a_truncated_normal_stay_in_a_distant_tail(low, high):
    values = truncated_normal.sample(0.0, 1.0, low, high, size=1000, rng=0)
    assert np.all((values >= low) & (values <= high))
    assert len(set(values)) > 500


@pytest.mark.parametrize("mu", [-9.0, -3.1, 0.0, 3.1, 1000.0])
def test_draws_of_a_von_mises_are_angles_about_its_mean(mu):
    values = von_mises.sample(mu, 1e8, size=1000, rng=0)
    assert np.all(np.abs(values) <= math.pi)
    assert np.all(np.cos(values - mu) > 1.0 - 1e-6)


def test_pieces_that_do_not_fit_their_bounds_are_refused():
    with pytest.raises(ShapeError, match="one longer than probs, got 2 and 2"):
        piecewise_uniform.log_prob(0.5, [0.0, 1.0], [0.5, 0.5])


# --- Values of a wrong kind

every_scalar = pytest.mark.parametrize("call", [pytest.param(c, id=n) for n, c in EVERY.items()])


@every_scalar
def test_a_nan_is_refused_as_a_value(call):
    with pytest.raises(DistributionError, match="NaN"):
        log_prob(math.nan, call)
    with pytest.raises(DistributionError, match="NaN"):
        log_prob(np.array([0.0, math.nan]), type(call)(call.fn, call.args, 2))


@pytest.mark.parametrize("distribution", [mvnormal, dirichlet], ids=["mvnormal", "dirichlet"])
def test_a_nan_is_refused_in_a_vector(distribution):
    call = mvnormal(np.zeros(2), EYE) if distribution is mvnormal else dirichlet([1.0, 1.0])
    with pytest.raises(DistributionError, match="NaN"):
        log_prob([0.5, math.nan], call)


@every_scalar
@pytest.mark.parametrize("value", ["a", None, 1j, [None]], ids=["text", "none", "complex", "list"])
def test_what_is_not_a_number_is_refused_as_a_value(call, value):
    with pytest.raises(DistributionError, match="expected numbers"):
        log_prob(value, call)


def given(value, call):
    """A trace of one choice, whose value is given."""

    @gen
    def model():
        return call @ "x"

    return model.generate((), {"x": value})


@every_scalar
def test_an_array_for_a_single_choice_is_refused_and_told_of_size(call):
    with pytest.raises(ShapeError, match=re.escape("has shape () here, got (3,)")) as caught:
        given(np.ones(3), call)
    assert "size=(3,)" in str(caught.value)


@every_scalar
def test_a_single_number_for_a_sized_choice_is_refused(call):
    with pytest.raises(ShapeError, match=re.escape("has shape (3,) here, got ()")):
        log_prob(1.0, type(call)(call.fn, call.args, 3))


def test_a_value_of_another_shape_than_the_arguments_is_refused():
    with pytest.raises(ShapeError, match=re.escape("has shape (2,) here, got (3,)")):
        normal.log_prob(np.zeros(3), np.zeros(2), 1.0)
    with pytest.raises(ShapeError, match=re.escape("has shape (2,) here, got (3,)")):
        mvnormal.log_prob(np.zeros(3), np.zeros(2), EYE)
    with pytest.raises(ShapeError, match=re.escape("got (5, 2)")) as caught:
        given(np.zeros((5, 2)), mvnormal(np.zeros(2), EYE))
    assert "size=(5,)" in str(caught.value)


def test_arguments_that_do_not_fit_together_are_refused():
    with pytest.raises(ShapeError, match=r"arguments of normal do not fit .*\(2,\), \(3,\)"):
        normal.sample(np.zeros(2), np.ones(3))
    with pytest.raises(ShapeError, match=r"do not fit .* size 2"):
        normal.sample(np.zeros(3), 1.0, size=2)


def test_a_vector_argument_that_is_a_number_is_refused():
    for use in (lambda: categorical.sample(0.5), lambda: categorical.log_prob(0, 0.5)):
        with pytest.raises(ShapeError, match="probs of categorical needs at least 1 ax"):
            use()
    with pytest.raises(ShapeError, match="cov of mvnormal needs at least 2 axes"):
        mvnormal.log_prob([0.0, 0.0], [0.0, 0.0], [1.0, 1.0])
    with pytest.raises(ShapeError, match="mean of mvnormal needs at least 1 ax"):
        mvnormal.sample(0.0, EYE)


@pytest.mark.parametrize(
    ("mean", "cov"),
    [(np.zeros(3), EYE), (np.zeros(2), np.ones((2, 3))), (np.zeros(2), np.ones((3, 2)))],
    ids=["sizes", "wide", "tall"],
)
@pytest.mark.parametrize("name", ["cov", "scale_tril"])
def test_a_covariance_of_another_size_than_the_mean_is_refused(mean, cov, name):
    with pytest.raises(InvalidValue, match=name):
        mvnormal.log_prob(mean, mean, **{name: cov})
    with pytest.raises(InvalidValue, match=name):
        mvnormal.sample(mean, **{name: cov}, rng=0)


# --- Arguments outside their domain

BAD = {
    "normal-negative": (lambda: normal(0.0, -1.0), 0.0, "std"),
    "normal-zero": (lambda: normal(0.0, 0.0), 0.0, "std"),
    "normal-nan": (lambda: normal(0.0, math.nan), 0.0, "std"),
    "normal-array": (lambda: normal(0.0, [1.0, -1.0]), [0.0, 0.0], "std"),
    "lognormal": (lambda: lognormal(0.0, -1.0), 1.0, "sigma"),
    "student_t-df": (lambda: student_t(0.0, 0.0, 1.0), 1.0, "df"),
    "student_t-scale": (lambda: student_t(1.0, 0.0, -1.0), 1.0, "scale"),
    "laplace": (lambda: laplace(0.0, -2.0), 1.0, "scale"),
    "uniform-reversed": (lambda: uniform(2.0, 1.0), 1.5, "high"),
    "uniform-reversed-array": (lambda: uniform([0.0, 2.0], 1.0), [0.5, 1.5], "high"),
    "uniform-empty": (lambda: uniform(1.0, 1.0), 1.0, "high"),
    "exponential": (lambda: exponential(-1.0), 1.0, "rate"),
    "exponential-zero": (lambda: exponential(0.0), 1.0, "rate"),
    "gamma-shape": (lambda: gamma(-1.0, scale=1.0), 1.0, "shape"),
    "gamma-scale": (lambda: gamma(1.0, scale=-1.0), 1.0, "scale"),
    "gamma-rate": (lambda: gamma(1.0, rate=-1.0), 1.0, "rate"),
    "gamma-rate-zero": (lambda: gamma(1.0, rate=0.0), 1.0, "rate"),
    "gamma-rate-array": (lambda: gamma(1.0, rate=np.array([1.0, 0.0])), [1.0, 1.0], "rate"),
    "beta-alpha": (lambda: beta(-1.0, 1.0), 0.5, "alpha"),
    "beta-beta": (lambda: beta(1.0, 0.0), 0.5, "beta"),
    "bernoulli-above": (lambda: bernoulli(1.1), True, "probs"),
    "bernoulli-below": (lambda: bernoulli(-0.1), True, "probs"),
    "bernoulli-array": (lambda: bernoulli([0.5, 1.1]), [True, True], "probs"),
    "binomial-probs": (lambda: binomial(3, 1.5), 1, "probs"),
    "binomial-n": (lambda: binomial(-3, 0.5), 1, "n"),
    "binomial-part": (lambda: binomial(2.5, 0.5), 1, "n"),
    "binomial-n-by-logits": (lambda: binomial(2.5, logits=0.5), 1, "n"),
    "categorical-sum": (lambda: categorical([0.5, 0.6]), 1, "probs"),
    "categorical-negative": (lambda: categorical([1.5, -0.5]), 1, "probs"),
    "categorical-nan": (lambda: categorical([math.nan, 0.5]), 1, "probs"),
    "poisson": (lambda: poisson(-1.0), 1, "rate"),
    "mvnormal-indefinite": (
        lambda: mvnormal([0.0, 0.0], [[1.0, 2.0], [2.0, 1.0]]),
        [0.0, 0.0],
        "cov",
    ),
    "mvnormal-asymmetric": (
        lambda: mvnormal([0.0, 0.0], [[1.0, 0.5], [0.0, 1.0]]),
        [0.0, 0.0],
        "cov",
    ),
    "mvnormal-full": (
        lambda: mvnormal([0.0, 0.0], scale_tril=[[1.0, 0.5], [0.0, 1.0]]),
        [0.0, 0.0],
        "scale_tril",
    ),
    "mvnormal-negative": (
        lambda: mvnormal([0.0, 0.0], scale_tril=[[1.0, 0.0], [0.0, -1.0]]),
        [0.0, 0.0],
        "scale_tril",
    ),
    "dirichlet": (lambda: dirichlet([1.0, 0.0]), [0.5, 0.5], "alpha"),
    "dirichlet-infinite": (lambda: dirichlet([1.0, math.inf]), [0.5, 0.5], "alpha"),
    "cauchy": (lambda: cauchy(0.0, -1.0), 0.0, "scale"),
    "logistic": (lambda: logistic(0.0, 0.0), 0.0, "scale"),
    "inv_gamma-shape": (lambda: inv_gamma(-1.0, 1.0), 1.0, "shape"),
    "inv_gamma-scale": (lambda: inv_gamma(1.0, -1.0), 1.0, "scale"),
    "weibull-shape": (lambda: weibull(0.0, 1.0), 1.0, "shape"),
    "weibull-scale": (lambda: weibull(1.0, 0.0), 1.0, "scale"),
    "half_normal": (lambda: half_normal(0.0), 1.0, "scale"),
    "half_cauchy": (lambda: half_cauchy(-1.0), 1.0, "scale"),
    "truncated_normal-std": (lambda: truncated_normal(0.0, 0.0, -1.0, 1.0), 0.5, "std"),
    "truncated_normal-reversed": (lambda: truncated_normal(0.0, 1.0, 1.0, -1.0), 0.5, "high"),
    "truncated_normal-empty": (lambda: truncated_normal(0.0, 1.0, 1.0, 1.0), 1.0, "low"),
    "truncated_normal-nan": (lambda: truncated_normal(0.0, 1.0, math.nan, 1.0), 0.5, "low"),
    "von_mises": (lambda: von_mises(0.0, -1.0), 0.5, "kappa"),
    "beta_uniform-theta": (lambda: beta_uniform(1.5, 1.0, 1.0), 0.5, "theta"),
    "beta_uniform-beta": (lambda: beta_uniform(0.5, 1.0, 0.0), 0.5, "beta"),
    "piecewise_uniform-order": (
        lambda: piecewise_uniform([0.0, 2.0, 1.0], [0.5, 0.5]),
        0.5,
        "bounds",
    ),
    "piecewise_uniform-infinite": (
        lambda: piecewise_uniform([0.0, 1.0, math.inf], [0.5, 0.5]),
        0.5,
        "bounds",
    ),
    "piecewise_uniform-probs": (
        lambda: piecewise_uniform([0.0, 1.0, 2.0], [0.5, 0.6]),
        0.5,
        "probs",
    ),
    "geometric-zero": (lambda: geometric(0.0), 1, "probs"),
    "geometric-above": (lambda: geometric(1.1), 1, "probs"),
    "neg_binomial-r": (lambda: neg_binomial(0.0, 0.5), 1, "r"),
    "neg_binomial-probs": (lambda: neg_binomial(1.0, 0.0), 1, "probs"),
    "beta_binomial-n": (lambda: beta_binomial(2.5, 1.0, 1.0), 1, "n"),
    "beta_binomial-alpha": (lambda: beta_binomial(2, 0.0, 1.0), 1, "alpha"),
    "uniform_discrete-part": (lambda: uniform_discrete(0.5, 3), 1, "low"),
    "uniform_discrete-reversed": (lambda: uniform_discrete(3, 0), 1, "high"),
    "multinomial-n": (lambda: multinomial(2.5, [0.5, 0.5]), [1, 1], "n"),
    "multinomial-probs": (lambda: multinomial(2, [0.5, 0.6]), [1, 1], "probs"),
}
bad = pytest.mark.parametrize(
    ("make", "x", "name"), [pytest.param(*row, id=label) for label, row in BAD.items()]
)


@bad
def test_an_argument_outside_its_domain_is_refused_by_name(make, x, name):
    with pytest.raises(DistributionError, match=rf"\b{name}\b"):
        log_prob(x, make())


@bad
def test_an_argument_outside_its_domain_is_refused_before_drawing(make, x, name):
    def draw():
        call = make()
        return call.fn.sample(rng=0, **dict(zip(call.fn.arguments, call.args, strict=True)))

    with pytest.raises(DistributionError, match=rf"\b{name}\b"):
        draw()


@bad
def test_a_refusal_inside_a_model_names_the_address(make, x, name):
    @gen
    def model():
        return make() @ ("group", "x")

    with pytest.raises(DistributionError, match=re.escape("('group', 'x')")):
        model.assess((), {("group", "x"): x})


@bad
def test_a_refusal_while_differentiating_shows_the_plain_number(make, x, name):
    """An update may carry a parameter out of the domain; the message shows its value, not a box."""

    def differentiate():
        call = make()
        i = list(call.fn.arguments).index(name) if name in call.fn.arguments else 0
        at = np.asarray(call.args[i], dtype=float)
        at = at if at.ndim else float(at)

        def f(t):
            return log_prob(x, type(call)(call.fn, (*call.args[:i], t, *call.args[i + 1 :]), None))

        gradient(f, at)

    with pytest.raises(DistributionError, match=rf"\b{name}\b") as caught:
        differentiate()
    assert "traced" not in str(caught.value)


def test_a_trained_scale_that_leaves_its_domain_is_refused_by_name():
    @gen
    def model():
        return normal(0.0, param("std")) @ "y"

    wrong = model.with_params(ParamStore(std=-1.0))
    with pytest.raises(
        DistributionError, match=r"std of normal must be above 0 and finite, got -1\.0"
    ):
        wrong.simulate()


# --- Calls

WRONG_CALLS = {
    "too-few": (lambda: normal(0.0), "normal"),
    "too-many": (lambda: normal(0.0, 1.0, 2.0), "normal"),
    "none": (lambda: normal(), "normal"),
    "twice": (lambda: normal(0.0, 1.0, mu=2.0), "normal"),
    "near-name": (lambda: normal(0.0, sdt=1.0), r"did you mean std\?"),
    "near-alternative": (lambda: bernoulli(logit=1.0), r"did you mean logits\?"),
    "near-probs": (lambda: binomial(3, prob=1.0), r"did you mean probs\?"),
    "near-factor": (lambda: mvnormal([0.0], scale_trl=[[1.0]]), r"did you mean scale_tril\?"),
    "unlike-anything": (lambda: poisson(quux=1.0), "known: rate"),
    "gamma-by-position": (
        lambda: gamma(2.0, 3.0),
        r"write gamma\(shape, scale=\.\.\.\) or gamma\(shape, rate=\.\.\.\)",
    ),
    "gamma-alone": (lambda: gamma(2.0), "gamma"),
    "gamma-without-shape": (lambda: gamma(rate=2.0), "shape"),
    "gamma-both": (lambda: gamma(2.0, rate=1.0, scale=1.0), "gamma"),
    "gamma-by-position-and-rate": (lambda: gamma(2.0, 3.0, rate=1.0), "gamma"),
    "gamma-near": (lambda: gamma(2.0, rate=1.0, shap=1.0), r"did you mean shape\?"),
    "gamma-shape-twice": (lambda: gamma(2.0, rate=1.0, shape=1.0), "gamma"),
    "bernoulli-both": (lambda: bernoulli(0.5, logits=0.0), "bernoulli"),
    "bernoulli-both-by-name": (lambda: bernoulli(probs=0.5, logits=0.0), "probs"),
    "categorical-both": (lambda: categorical([0.5, 0.5], logits=[0.0, 0.0]), "categorical"),
    "mvnormal-both": (lambda: mvnormal([0.0], [[1.0]], scale_tril=[[1.0]]), "mvnormal"),
}


@pytest.mark.parametrize(
    ("make", "message"), [pytest.param(*row, id=label) for label, row in WRONG_CALLS.items()]
)
def test_a_wrong_call_is_refused_with_a_hint(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "same"),
    [
        (lambda: normal(mu=0.5, std=2.0), lambda: normal(0.5, 2.0)),
        (lambda: normal(0.5, std=2.0), lambda: normal(0.5, 2.0)),
        (lambda: normal(std=2.0, mu=0.5), lambda: normal(0.5, 2.0)),
        (lambda: gamma(shape=2.0, scale=0.5), lambda: gamma(2.0, scale=0.5)),
        (lambda: gamma(shape=2.0, rate=2.0), lambda: gamma(2.0, scale=0.5)),
        (lambda: student_t(df=3.0, loc=0.0, scale=2.0), lambda: student_t(3.0, 0.0, 2.0)),
        (lambda: uniform(low=0, high=2), lambda: uniform(0.0, 2.0)),
        (lambda: beta(alpha=2, beta=3), lambda: beta(2.0, 3.0)),
    ],
    ids=["names", "last", "order", "gamma", "rate", "student_t", "uniform", "beta"],
)
def test_arguments_may_be_given_by_name(make, same):
    assert log_prob(0.7, make()) == log_prob(0.7, same())


def test_logits_are_the_log_odds_of_probs():
    np.testing.assert_allclose(
        bernoulli.log_prob(True, logits=0.4), bernoulli.log_prob(True, 1.0 / (1.0 + np.exp(-0.4)))
    )
    np.testing.assert_allclose(
        binomial.log_prob(2, n=3, logits=0.4), binomial.log_prob(2, 3, 1.0 / (1.0 + np.exp(-0.4)))
    )
    np.testing.assert_allclose(
        categorical.log_prob(0, logits=np.log([2.0, 6.0])), categorical.log_prob(0, [0.25, 0.75])
    )
    np.testing.assert_allclose(
        mvnormal.log_prob([1.0, 2.0], [0.0, 0.0], scale_tril=2.0 * EYE),
        mvnormal.log_prob([1.0, 2.0], [0.0, 0.0], 4.0 * EYE),
    )


def test_a_rate_is_one_over_a_scale_for_every_form_of_it():
    for rate in (2.0, 2, np.float64(2.0)):
        assert gamma.log_prob(1.5, 3.0, rate=rate) == gamma.log_prob(1.5, 3.0, scale=0.5)
    for rates in ([2.0, 4.0], (2.0, 4.0), np.array([2, 4])):
        assert gamma.log_prob([1.5, 1.0], 3.0, rate=rates) == gamma.log_prob(
            [1.5, 1.0], 3.0, scale=[0.5, 0.25]
        )


def test_the_text_of_a_distribution_is_how_to_call_it():
    assert repr(normal) == "normal(mu, std)"
    assert repr(gamma) == "gamma(shape, scale=...) or gamma(shape, rate=...)"
    assert repr(bernoulli) == "bernoulli(probs) or bernoulli(logits=...)"


# --- The value's type


def test_values_given_from_outside_take_the_type_of_their_kind():
    @gen
    def model():
        bernoulli(0.5) @ "bit"
        bernoulli(0.5, size=2) @ "bits"
        poisson(1.0) @ "count"
        poisson(1.0, size=2) @ "counts"
        normal(0.0, 1.0) @ "number"
        normal(0.0, 1.0, size=2) @ "numbers"

    given = {
        "bit": 1,
        "bits": [0, 1.0],
        "count": 3.0,
        "counts": [1.0, 2.0],
        "number": 2,
        "numbers": np.array([1, 2], dtype=np.float32),
    }
    trace, _ = model.generate((), given)
    assert trace["bit"] is True
    assert trace["bits"].dtype == np.bool_
    assert type(trace["count"]) is int
    assert trace["counts"].dtype == np.int64
    assert type(trace["number"]) is float
    assert trace["numbers"].dtype == np.float64


def test_a_given_array_is_copied_and_the_copy_is_read_only():
    @gen
    def model():
        return normal(0.0, 1.0, size=2) @ "x"

    given = np.array([1.0, 2.0])
    trace, _ = model.generate((), {"x": given})
    given[0] = 7.0
    assert trace["x"].tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="read-only"):
        trace["x"][0] = 3.0


def test_a_distribution_alone_is_a_generative_function():
    trace = normal.simulate((0.0, 1.0), rng=0)
    assert trace.retval == normal.sample(0.0, 1.0, rng=0)
    assert trace.log_prob == normal.log_prob(trace.retval, 0.0, 1.0)
    with pytest.raises(ArgumentError, match="normal"):
        normal.simulate((0.0,))


def test_every_refusal_here_is_one_of_ours_and_of_the_builtin_it_resembles():
    for error, builtin in [
        (DistributionError, ValueError),
        (ShapeError, ValueError),
        (ArgumentError, TypeError),
    ]:
        assert issubclass(error, GenParamsError)
        assert issubclass(error, builtin)


# --- Rounding, overflow and empty batches at the border


def test_a_matrix_that_rounding_leaves_singular_is_named():
    near = [[0.11942843, 0.28393824], [0.28393824, 0.67505637]]
    rng = np.random.default_rng(0)
    for _ in range(200):
        a = rng.standard_normal(2)
        cov = np.outer(a, a) * (1.0 + 1e-16 * rng.standard_normal())
        for singular in (near, cov):
            with contextlib.suppress(DistributionError):  # and no other error
                mvnormal.log_prob(np.zeros(2), np.zeros(2), singular)


def test_a_covariance_that_was_inverted_twice_is_symmetric():
    cov = np.array([[2.0, 1.0, 0.0], [1.0, 2.0, 0.3], [0.0, 0.3, 1.0]])
    again = np.linalg.inv(np.linalg.inv(cov))
    z = np.zeros(3)
    assert mvnormal.log_prob(z, z, again) == pytest.approx(mvnormal.log_prob(z, z, cov), rel=1e-12)
    again[1, 2] = 0.2
    with pytest.raises(DistributionError, match="symmetric"):
        mvnormal.log_prob(z, z, again)


def test_a_draw_that_overflows_beyond_a_limit_is_recorded_at_the_limit():
    draws = censored(student_t(0.005, 0.0, 1.0), -1.0, 1.0, size=200).sample(rng=0)
    assert np.all(np.abs(draws) <= 1.0)
    assert np.any(draws == 1.0)
    assert np.any(draws == -1.0)


def test_an_empty_batch_of_a_truncated_count_is_drawn():
    assert truncated(poisson(np.ones(0)), 1, 3).sample(rng=0).shape == (0,)
