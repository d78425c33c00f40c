"""What a mixture does beyond the laws of the table."""

import pickle
import re
from typing import Any

import numpy as np
import pytest
from calls import log_prob, sample
from scipy import special, stats

from genparams import (
    bernoulli,
    categorical,
    check_gradients,
    dirichlet,
    distribution,
    exponential,
    gamma,
    gen,
    laplace,
    mixture,
    mvnormal,
    normal,
    param,
    poisson,
    product,
    simplex,
    student_t,
    uniform,
)
from genparams.autodiff import gradient, hessian
from genparams.errors import ArgumentError, DistributionError, ShapeError

W = np.array([0.2, 0.3, 0.5])
MU = np.array([-1.0, 0.5, 3.0])
STD = np.array([0.5, 1.0, 2.0])


# --- Densities


def test_a_mixture_of_one_component_is_that_component():
    assert log_prob(0.7, mixture([1.0], [normal(0.2, 1.5)])) == normal.log_prob(0.7, 0.2, 1.5)
    assert log_prob(0.7, mixture([1.0], normal([0.2], [1.5]))) == normal.log_prob(0.7, 0.2, 1.5)


def test_one_call_and_a_list_of_calls_are_the_same_mixture():
    apart = mixture(W, [normal(mu, std) for mu, std in zip(MU, STD, strict=True)])
    for x in (-2.0, 0.0, 4.0):
        np.testing.assert_allclose(
            log_prob(x, mixture(W, normal(MU, STD))), log_prob(x, apart), rtol=1e-14
        )


def test_one_call_and_a_list_of_calls_have_the_same_gradient_by_the_weights():
    together = gradient(lambda w: log_prob(0.3, mixture(w, normal(MU, STD))), W)
    apart = gradient(
        lambda w: log_prob(
            0.3, mixture(w, [normal(mu, std) for mu, std in zip(MU, STD, strict=True)])
        ),
        W,
    )
    np.testing.assert_allclose(together, apart, rtol=1e-13)


def test_the_gradient_by_the_weights_is_that_of_free_entries():
    density = stats.norm.pdf(0.3, MU, STD)
    np.testing.assert_allclose(
        gradient(lambda w: log_prob(0.3, mixture(w, normal(MU, STD))), W),
        density / np.sum(W * density),
        rtol=1e-13,
    )


def test_the_gradient_by_the_means_weighs_each_component_by_its_share():
    joint = W * stats.norm.pdf(0.3, MU, STD)
    np.testing.assert_allclose(
        gradient(lambda mu: log_prob(0.3, mixture(W, normal(mu, STD))), MU),
        joint / np.sum(joint) * (0.3 - MU) / STD**2,
        rtol=1e-13,
    )


def test_parameters_shared_by_components_have_the_sum_of_their_gradients():
    def f(t):
        return log_prob(0.3, mixture([0.4, 0.6], [normal(t, 1.0), laplace(t, 2.0)]))

    h = 1e-6
    np.testing.assert_allclose(gradient(f, -0.4), (f(-0.4 + h) - f(-0.4 - h)) / (2 * h), rtol=1e-7)


def test_an_argument_may_be_shared_by_all_components():
    def shared(std):
        return log_prob(0.3, mixture(W, normal(MU, std)))

    def spread(std):
        return log_prob(0.3, mixture(W, normal(MU, std * np.ones(3))))

    assert shared(1.5) == spread(1.5)
    np.testing.assert_allclose(gradient(shared, 1.5), gradient(spread, 1.5), rtol=1e-13)
    call = mixture(W, normal(MU, 1.5), size=9)
    np.testing.assert_array_equal(sample(call), sample(mixture(W, normal(MU, [1.5] * 3), size=9)))


def test_a_covariance_may_be_shared_by_all_components():
    means = np.array([[0.0, 1.0, 2.0], [3.0, 1.0, -1.0]])
    x = np.array([[0.5, 0.5, 0.5], [1.0, 0.0, -1.0]])
    cov = np.eye(3) + 0.5

    def shared(cov):
        return log_prob(x, mixture([0.4, 0.6], mvnormal(means, cov), size=2))

    def spread(cov):
        return log_prob(x, mixture([0.4, 0.6], mvnormal(means, np.stack([cov, cov])), size=2))

    np.testing.assert_allclose(shared(cov), spread(cov), rtol=1e-14)
    np.testing.assert_allclose(gradient(shared, cov), gradient(spread, cov), rtol=1e-12)


def test_far_from_every_component_the_density_does_not_vanish():
    found = log_prob(100.0, mixture([0.5, 0.5], normal([0.0, 1.0], [1.0, 1.0])))
    wanted: Any = special.logsumexp(np.log(0.5) + stats.norm.logpdf(100.0, [0.0, 1.0], 1.0))
    np.testing.assert_allclose(found, wanted, rtol=1e-14)


def test_far_from_every_component_the_gradient_is_that_of_the_nearest():
    g = gradient(
        lambda mu: log_prob(1000.0, mixture([0.5, 0.5], normal(mu, [1.0, 1.0]))),
        np.array([0.0, 1.0]),
    )
    np.testing.assert_allclose(g, [0.0, 999.0], rtol=1e-13)


@pytest.mark.parametrize("x", [-1.0, 0.3, 60.0])
def test_a_weight_of_zero_takes_a_component_out(x):
    """At 60 the component that is left out would have by far the larger density."""
    with_it = mixture([0.4, 0.6, 0.0], normal([-1.0, 1.0, 60.0], [1.0, 2.0, 1.0]))
    without = mixture([0.4, 0.6], normal([-1.0, 1.0], [1.0, 2.0]))
    np.testing.assert_allclose(log_prob(x, with_it), log_prob(x, without), rtol=1e-14)
    g = gradient(
        lambda mu: log_prob(x, mixture([0.4, 0.6, 0.0], normal(mu, [1.0, 2.0, 1.0]))),
        np.array([-1.0, 1.0, 60.0]),
    )
    assert g[2] == 0.0
    assert np.all(np.isfinite(g))


def test_a_weight_of_zero_leaves_first_and_second_derivatives_finite():
    def f(mu):
        return log_prob(0.3, mixture([0.5, 0.5, 0.0], normal(mu, STD)))

    assert np.all(np.isfinite(gradient(f, MU)))
    assert np.all(np.isfinite(hessian(f, MU)))


def test_the_gradient_by_a_weight_of_zero_is_its_density_over_the_mixture_s():
    w = np.array([0.4, 0.6, 0.0])
    density = stats.norm.pdf(0.3, MU, STD)
    np.testing.assert_allclose(
        gradient(lambda w: log_prob(0.3, mixture(w, normal(MU, STD))), w),
        density / np.sum(w * density),
        rtol=1e-13,
    )


def test_a_component_without_density_at_the_value_is_passed_over():
    """A hurdle: half an exponential, half a normal, which also has values below zero."""

    def f(t):
        return log_prob(-0.5, mixture([0.5, 0.5], [exponential(t[0]), normal(t[1], 1.0)]))

    np.testing.assert_allclose(f([2.0, 0.1]), np.log(0.5) + stats.norm.logpdf(-0.5, 0.1, 1.0))
    at = np.array([2.0, 0.1])
    np.testing.assert_allclose(gradient(f, at), [0.0, -0.6], rtol=1e-14)
    np.testing.assert_allclose(hessian(f, at), [[0.0, 0.0], [0.0, -1.0]], atol=1e-14)


def test_outside_every_component_the_density_is_zero_and_so_is_the_gradient():
    def f(rate):
        return log_prob(-1.0, mixture([0.5, 0.5], exponential(rate)))

    rates = np.array([1.0, 2.0])
    assert f(rates) == -np.inf
    np.testing.assert_array_equal(gradient(f, rates), 0.0)
    np.testing.assert_array_equal(hessian(f, rates), 0.0)


def test_weights_may_differ_from_entry_to_entry():
    w = np.array([[0.1, 0.9], [0.8, 0.2], [0.5, 0.5]])
    x = np.array([0.0, 1.0, 2.0])
    call = mixture(w, normal([0.0, 2.0], [1.0, 0.5]))
    one_by_one = [log_prob(x[i], mixture(w[i], normal([0.0, 2.0], [1.0, 0.5]))) for i in range(3)]
    np.testing.assert_allclose(log_prob(x, call), sum(one_by_one), rtol=1e-14)
    assert sample(call).shape == (3,)
    assert gradient(lambda v: log_prob(x, mixture(v, normal([0.0, 2.0], [1.0, 0.5]))), w).shape == (
        3,
        2,
    )


@pytest.mark.parametrize(
    ("call", "values"),
    [
        (mixture([0.3, 0.7], bernoulli([0.2, 0.9])), [False, True]),
        (mixture([0.3, 0.7], bernoulli(logits=[0.0, -1.0])), [False, True]),
        (mixture([0.3, 0.7], categorical([[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]])), range(3)),
        (mixture([0.3, 0.7], categorical(logits=[[0.0, 1.0], [2.0, 0.0]])), range(2)),
        (mixture([0.3, 0.7], [poisson(1.0), categorical([0.5, 0.5])]), range(40)),
    ],
    ids=["bernoulli", "logits", "categorical", "categorical-logits", "poisson-and-categorical"],
)
def test_a_discrete_mixture_sums_to_one_over_its_values(call, values):
    np.testing.assert_allclose(sum(np.exp(log_prob(x, call)) for x in values), 1.0, rtol=1e-12)
    assert sample(call) in list(values)


def test_mixtures_can_be_components_of_mixtures():
    inner = mixture([0.5, 0.5], [normal(0.0, 1.0), laplace(1.0, 1.0)])
    outer = mixture([0.25, 0.75], [inner, student_t(3.0, 0.0, 1.0)])
    flat = mixture(
        [0.125, 0.125, 0.75], [normal(0.0, 1.0), laplace(1.0, 1.0), student_t(3.0, 0.0, 1.0)]
    )
    for x in (-1.0, 0.2, 5.0):
        np.testing.assert_allclose(log_prob(x, outer), log_prob(x, flat), rtol=1e-13)
    assert type(sample(outer)) is float


def test_a_gradient_flows_through_a_mixture_of_mixtures():
    x = np.array([-1.0, 0.2, 5.0])

    def f(t):
        inner = mixture([0.5, 0.5], [normal(t, 1.0), laplace(1.0, 1.0)])
        return log_prob(x, mixture([0.25, 0.75], [inner, student_t(3.0, t, 1.0)], size=3))

    h = 1e-6
    np.testing.assert_allclose(gradient(f, 0.4), (f(0.4 + h) - f(0.4 - h)) / (2 * h), rtol=1e-7)


@pytest.mark.parametrize(
    "call",
    [
        mixture([0.2, 0.3, 0.5], mvnormal(np.zeros((3, 2)), np.stack([np.eye(2)] * 3))),
        mixture([0.4, 0.6], mvnormal(np.zeros((2, 3)), scale_tril=np.stack([np.eye(3)] * 2))),
        mixture([0.4, 0.6], dirichlet(np.ones((2, 4)))),
        mixture([0.4, 0.6], [mvnormal(np.zeros(3), np.eye(3)), dirichlet(np.ones(3))]),
    ],
    ids=["more-components-than-axes", "fewer", "dirichlet", "apart"],
)
def test_a_draw_of_a_mixture_of_vectors_has_their_length(call):
    x = sample(call)
    assert x.ndim == 1
    assert np.isfinite(log_prob(x, call))
    many = mixture(call.args[0], [mvnormal(np.zeros(3), np.eye(3))] * len(call.args[0]), size=5)
    assert sample(many).shape == (5, 3)


def test_one_call_may_be_a_mixture_itself():
    """A mixture of three mixtures of two, whose own weights run over the outer components."""
    inner = np.array([[0.5, 0.5], [0.1, 0.9], [0.3, 0.7]])
    mu = np.arange(6.0).reshape(3, 2)

    def f(w, inner, mu, x=0.4):
        return log_prob(x, mixture(w, mixture(inner, normal(mu, 1.5))))

    flat = mixture((W[:, None] * inner).ravel(), normal(mu.ravel(), 1.5))
    np.testing.assert_allclose(f(W, inner, mu), log_prob(0.4, flat), rtol=1e-14)
    density = stats.norm.pdf(0.4, mu, 1.5)
    level = np.sum(W[:, None] * inner * density)
    np.testing.assert_allclose(
        gradient(lambda v: f(W, v, mu), inner), W[:, None] * density / level, rtol=1e-13
    )
    np.testing.assert_allclose(
        gradient(lambda v: f(v, inner, mu), W), np.sum(inner * density, axis=1) / level, rtol=1e-13
    )
    call = mixture(W, mixture(inner, normal(mu, 1.5)), size=7)
    assert sample(call).shape == (7,)


@pytest.mark.parametrize("size", [None, 3, (2, 3)])
def test_components_that_share_every_argument_are_one(size):
    x = np.random.default_rng(0).normal(size=() if size is None else size)

    def f(w, mu):
        return log_prob(x, mixture(w, normal(mu, 1.5), size))

    w = np.array([0.3, 0.7])
    np.testing.assert_allclose(f(w, 0.2), np.sum(stats.norm.logpdf(x, 0.2, 1.5)), rtol=1e-13)
    np.testing.assert_allclose(
        gradient(lambda v: f(w, v), 0.2), np.sum(x - 0.2) / 1.5**2, rtol=1e-12
    )
    np.testing.assert_allclose(gradient(lambda v: f(v, 0.2), w), np.full(2, x.size), rtol=1e-13)


def test_components_without_arguments_are_one():
    standard = distribution(
        lambda rng, size: rng.normal(size=size), lambda x: stats.norm.logpdf(x), lambda x: (-x,)
    )
    call: Any = mixture([0.3, 0.7], standard(), size=2)
    np.testing.assert_allclose(log_prob([0.2, 1.0], call), np.sum(stats.norm.logpdf([0.2, 1.0])))


def test_a_mixture_of_vectors_is_free_where_all_components_are():
    simplexes = [mvnormal(np.zeros(3), np.eye(3)), dirichlet(np.ones(3))]
    assert not mixture([0.5, 0.5], simplexes).fn.kind.free
    assert mixture([0.5, 0.5], simplexes[:1] * 2).fn.kind.free


def test_components_may_come_from_a_generator():
    calls = (normal(mu, 1.0) for mu in (0.0, 1.0))
    call = mixture([0.5, 0.5], calls)  # type: ignore[arg-type]
    assert log_prob(0.3, call) == log_prob(0.3, mixture([0.5, 0.5], normal([0.0, 1.0], [1.0, 1.0])))


# --- Of products


def of_products(together, w, mu, rate, size=None) -> Any:
    """Two components over a number and a count."""
    if together:
        return mixture(w, product([normal(mu, 1.2), poisson(rate)]), size)
    rows = [product([normal(mu[k], 1.2), poisson(rate[k])]) for k in range(2)]
    return mixture(w, rows, size)


def log_density_of_products(x, n, w, mu, rate) -> Any:
    joint = stats.norm.logpdf(x[..., None], mu, 1.2) + stats.poisson.logpmf(n[..., None], rate)
    return special.logsumexp(joint, axis=-1, b=w)


SHARES, CENTRES, RATES = np.array([0.3, 0.7]), np.array([-1.0, 2.0]), np.array([2.0, 6.0])
both_ways = pytest.mark.parametrize("together", [True, False], ids=["one-call", "list"])
sizes = pytest.mark.parametrize("size", [None, 4, (2, 3)])


@both_ways
@sizes
def test_all_entries_of_a_value_come_from_one_component(together, size):
    call = of_products(together, SHARES, CENTRES, RATES, size)
    x, n = sample(call)
    assert np.shape(x) == np.shape(n) == np.empty(0 if size is None else size).shape[: np.ndim(x)]
    wanted = log_density_of_products(np.asarray(x), np.asarray(n), SHARES, CENTRES, RATES)
    np.testing.assert_allclose(log_prob((x, n), call), np.sum(wanted), rtol=1e-13)


@both_ways
@sizes
def test_a_mixture_of_products_trains_in_a_model(together, size):
    @gen
    def latent_class():
        w = param("w", SHARES, simplex)
        return of_products(together, w, param("mu", CENTRES), param("rate", RATES), size) @ "x"

    trace = latent_class.simulate((), rng=1)
    assert check_gradients(latent_class, rng=1).entries == 5
    assert latent_class.assess((), {"x": trace["x"]})[0] == trace.log_prob
    moved, weight, _ = trace.update({"x": tuple(v + 1 for v in trace["x"])})
    assert weight == pytest.approx(moved.log_prob - trace.log_prob)
    assert pickle.loads(pickle.dumps(trace.choices)) == trace.choices
    with pytest.raises(DistributionError, match="is discrete"):
        trace.choice_gradients("x")


def test_continuous_entries_of_a_mixture_of_products_have_gradients():
    @gen
    def model():
        parts = product([normal([0.0, 1.0], 1.0), mvnormal([[0.0, 1.0], [2.0, 0.0]], np.eye(2))])
        return mixture(SHARES, parts, size=3) @ "x"

    assert check_gradients(model).entries == 3 + 6


def test_a_mixture_of_products_is_differentiated_twice():
    def f(t):
        call = mixture(SHARES, [product([normal(t[k], 1.2), poisson(4.0)]) for k in (0, 1)])
        return log_prob((0.4, 3.0), call)

    t, h = np.array([0.2, 1.3]), 1e-5
    for v in np.eye(2):
        wanted = (gradient(f, t + h * v) - gradient(f, t - h * v)) / (2 * h)
        np.testing.assert_allclose(hessian(f, t) @ v, wanted, rtol=1e-6, atol=1e-9)


@both_ways
def test_entries_of_a_draw_go_together(together):
    x, n = sample(of_products(together, SHARES, [0.0, 1e3], [1e3, 1.0], size=2000))
    np.testing.assert_array_equal(x > 500.0, n < 500)
    assert stats.binomtest(int(np.sum(x > 500.0)), 2000, 0.7).pvalue > 1e-4
    assert not x.flags.writeable


def test_a_mixture_of_products_goes_into_a_product_and_pickles():
    call = product([of_products(True, SHARES, CENTRES, RATES), normal(0.0, 1.0)])
    (x, n), y = sample(call)
    wanted = log_density_of_products(np.asarray(x), np.asarray(n), SHARES, CENTRES, RATES)
    assert log_prob(((x, n), y), call) == pytest.approx(wanted + normal.log_prob(y, 0.0, 1.0))
    inner = of_products(True, SHARES, CENTRES, RATES)
    trace = inner.fn.simulate(inner.args, rng=0)
    assert pickle.loads(pickle.dumps(trace)).gen_fn is inner.fn
    assert "rate of part 1" in repr(inner.fn)


def test_a_mixture_of_products_refuses_what_does_not_fit():
    with pytest.raises(ArgumentError, match="share one kind of value"):
        mixture(SHARES, [product([normal(0.0, 1.0)]), product([poisson(1.0)])])
    with pytest.raises(ArgumentError, match="share one kind of value"):
        mixture(SHARES, [product([normal(0.0, 1.0)]), normal(0.0, 1.0)])
    call = of_products(True, SHARES, CENTRES, RATES)
    with pytest.raises(ShapeError, match="is a tuple of 2 entries"):
        log_prob(1.0, call)
    with pytest.raises(ArgumentError, match="mu of part 0"):
        call.fn(1.0)
    for use in (sample, lambda c: log_prob((0.0, 1), c)):
        with pytest.raises(DistributionError, match="sum to 1"):
            use(of_products(True, [0.3, 0.8], CENTRES, RATES))
        with pytest.raises(ShapeError, match="rate of part 1 of a mixture of 2 components needs 2"):
            use(of_products(True, SHARES, CENTRES, np.ones(3)))
        with pytest.raises(DistributionError, match=r"rate of part 1.* must be"):
            use(of_products(False, SHARES, CENTRES, [1.0, -1.0]))


# --- Samples


def test_draws_come_from_each_component_as_often_as_its_weight():
    """The components are far apart; a right sampler fails a fresh seed once in 10,000."""
    centres = np.array([0.0, 1e3, 2e3])
    x = sample(mixture(W, normal(centres, np.ones(3)), size=3000))
    counts = np.bincount(np.round(x / 1e3).astype(int), minlength=3)
    assert stats.chisquare(counts, 3000 * W).pvalue > 1e-4


def test_entries_of_one_draw_choose_their_components_apart():
    x = sample(mixture([0.5, 0.5], [normal(-1e3, 1.0), normal(1e3, 1.0)], size=100))
    assert 20 < np.sum(x > 0.0) < 80


def test_a_vector_comes_from_one_component_as_a_whole():
    means = np.array([[0.0, 0.0], [1e3, 1e3]])
    x = sample(mixture([0.5, 0.5], mvnormal(means, np.stack([np.eye(2)] * 2)), size=100))
    np.testing.assert_array_equal(x[:, 0] > 500.0, x[:, 1] > 500.0)


# --- Inside a model


def test_a_mixture_in_a_model_reads_parameters_in_its_components():
    @gen
    def model(mu):
        return mixture(W, normal(mu, STD), size=4) @ "x"

    x = np.array([0.0, 1.0, 2.0, 3.0])
    weight, _ = model.assess((MU,), {"x": x})
    np.testing.assert_allclose(weight, log_prob(x, mixture(W, normal(MU, STD), size=4)))


# --- Refusals


def test_weights_that_do_not_sum_to_one_are_refused():
    with pytest.raises(DistributionError, match=r"weights of mixture of normal .* sum to 1"):
        log_prob(0.0, mixture([0.5, 0.6], normal([0.0, 1.0], [1.0, 1.0])))


def test_a_negative_weight_is_refused():
    with pytest.raises(DistributionError, match="weights of mixture of normal must be at least 0"):
        log_prob(0.0, mixture([1.5, -0.5], normal([0.0, 1.0], [1.0, 1.0])))


@pytest.mark.parametrize("use", [sample, lambda call: log_prob(0.0, call)], ids=["draw", "density"])
@pytest.mark.parametrize("count", [2, 4])
def test_another_number_of_weights_than_entries_is_refused(use, count):
    with pytest.raises(ShapeError, match=f"mixture of {count} components needs {count} entries"):
        use(mixture(np.full(count, 1.0 / count), normal(MU, STD)))


@pytest.mark.parametrize("use", [sample, lambda call: log_prob(0.0, call)], ids=["draw", "density"])
@pytest.mark.parametrize("count", [1, 3])
def test_another_number_of_weights_than_calls_is_refused(use, count):
    with pytest.raises(ShapeError, match="mixture of 2 components needs 2 weights"):
        use(mixture(np.full(count, 1.0 / count), [normal(0.0, 1.0), laplace(0.0, 1.0)]))


def test_a_wrong_argument_of_a_component_is_named_with_its_component():
    with pytest.raises(DistributionError, match=r"scale of component 1 of mixture .* above 0"):
        log_prob(0.0, mixture([0.5, 0.5], [normal(0.0, 1.0), laplace(0.0, -1.0)]))
    with pytest.raises(DistributionError, match="std of mixture of normal must be above 0"):
        log_prob(0.0, mixture([0.5, 0.5], normal([0.0, 1.0], [1.0, -1.0])))


@pytest.mark.parametrize("components", [[], ()], ids=["list", "tuple"])
def test_a_mixture_of_nothing_is_refused(components):
    with pytest.raises(ArgumentError, match="at least one component"):
        mixture([1.0], components)


def test_components_of_unlike_values_are_refused():
    with pytest.raises(ArgumentError, match="share one kind of value"):
        mixture([0.5, 0.5], [normal(0.0, 1.0), poisson(1.0)])
    with pytest.raises(ArgumentError, match="share one kind of value"):
        mixture([0.5, 0.5], [normal(0.0, 1.0), mvnormal([0.0], [[1.0]])])


def test_a_component_that_is_no_distribution_is_refused():
    @gen
    def model():
        return normal(0.0, 1.0) @ "x"

    others: list[Any] = [0.5, normal, model()]
    for wrong in others:
        with pytest.raises(ArgumentError, match=re.escape("distributions such as normal(mu, std)")):
            mixture([0.5, 0.5], [normal(0.0, 1.0), wrong])


def test_a_component_with_a_size_is_refused_and_told_where_it_goes():
    with pytest.raises(ArgumentError, match=re.escape("write mixture(..., size=3)")):
        mixture([0.5, 0.5], [normal(0.0, 1.0, size=3), normal(0.0, 1.0)])


def test_a_component_may_be_in_another_parametrisation():
    by_rate = mixture([0.5, 0.5], [gamma(2.0, rate=2.0), gamma(3.0, scale=1.0)])
    by_scale = mixture([0.5, 0.5], [gamma(2.0, scale=0.5), gamma(3.0, scale=1.0)])
    assert log_prob(1.3, by_rate) == log_prob(1.3, by_scale)


def test_arguments_of_a_component_that_do_not_fit_together_are_refused():
    for call in (
        mixture([0.5, 0.5], [uniform(2.0, 1.0), uniform(0.0, 1.0)]),
        mixture([0.5, 0.5], uniform([2.0, 0.0], [1.0, 1.0])),
    ):
        with pytest.raises(DistributionError, match="uniform needs low below high"):
            log_prob(0.5, call)
