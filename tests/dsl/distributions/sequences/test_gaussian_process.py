"""Gaussian processes and their kernels: densities, gradients, draws, posteriors."""

import pickle
import re
from typing import Any

import numpy as np
import pytest
from common import slope
from scipy import stats

from genparams import (
    fit,
    gaussian_process,
    gaussian_process_posterior,
    gen,
    hmc,
    kernels,
    normal,
    param,
    positive,
    select,
)
from genparams.autodiff import gradient, hessian, jacobian
from genparams.errors import ArgumentError, DistributionError, ShapeError

dense: Any = stats.multivariate_normal

X = np.array([-1.3, -0.4, 0.1, 0.9, 1.6, 2.2])
POINTS = np.array([[0.1, 1.0], [-0.5, 0.3], [0.8, -1.1], [1.4, 0.2], [-1.0, -0.6], [0.3, 0.4]])
Y = np.array([0.3, -0.5, 0.2, 1.1, 0.8, -0.1])


def traced(y, call):
    """The log density for a value or arguments that may be traced."""
    return call.fn.log_prob_of(y, list(call.args))


def by_hand(x1, x2, scale, length):
    """A squared exponential, as a user writes it."""
    return scale**2 * np.exp(-0.5 * ((x1[:, None] - x2[None, :]) / length) ** 2)


KERNELS: dict[str, tuple[Any, Any, list[float], float]] = {
    "squared_exponential": (kernels.squared_exponential, X, [1.2, 0.7], -6.3746325861664985),
    "matern 1/2": (
        lambda s, r: kernels.matern(s, r, nu=0.5),
        X,
        [1.2, 0.7],
        -7.189068616276803,
    ),
    "matern 3/2": (kernels.matern, X, [1.2, 0.7], -6.904179136648439),
    "matern 5/2": (
        lambda s, r: kernels.matern(s, r, nu=2.5),
        X,
        [1.2, 0.7],
        -6.763102059985073,
    ),
    "rational_quadratic": (
        kernels.rational_quadratic,
        X,
        [1.2, 0.7, 1.5],
        -6.47188703094139,
    ),
    "periodic": (kernels.periodic, X, [1.2, 0.7, 1.7], -7.116337893165678),
    "linear": (kernels.linear, X, [1.2], -11.340528555329614),
    "constant": (kernels.constant, X, [1.2], -10.052522142020095),
    "white": (kernels.white, X, [1.2], -7.521460549231919),
    "length scales": (
        lambda s, a, b: kernels.squared_exponential(s, np.stack([a, b])),
        POINTS,
        [1.2, 0.7, 1.3],
        -7.210880580835539,
    ),
    "sum": (
        lambda s, r, t, p: (
            kernels.squared_exponential(s, r) + kernels.periodic(t, np.sqrt(r / 0.7) * 0.7, p)
        ),
        X,
        [1.2, 0.7, 0.5, 1.7],
        -7.165256714438787,
    ),
    "product": (
        lambda s, r, q: kernels.squared_exponential(s, r) * kernels.matern(1.0, q),
        X,
        [1.2, 0.7, 1.1],
        -6.9426541238278565,
    ),
    "function": (
        lambda s, r: lambda x1, x2: by_hand(x1, x2, s, r),
        X,
        [1.2, 0.7],
        -6.3746325861664985,
    ),
}
every_kernel = pytest.mark.parametrize("name", KERNELS)


# --- The density


@every_kernel
def test_the_density_is_that_of_scikit_learn(name):
    """GaussianProcessRegressor(kernel, alpha=0.3**2, optimizer=None).fit(x, Y), with the kernels
    RBF, Matern, RationalQuadratic, ExpSineSquared, DotProduct(0.0), WhiteKernel and
    ConstantKernel(scale**2): its log_marginal_likelihood_value_.
    """
    make, x, theta, wanted = KERNELS[name]
    found = gaussian_process(x, make(*theta), noise=0.3).log_prob(Y)
    assert type(found) is float
    assert found == pytest.approx(wanted, rel=1e-12)


def test_the_density_is_a_normal_with_the_covariance_of_the_kernel():
    noise, mean = np.linspace(0.1, 0.6, 6), np.sin(X)
    cov = by_hand(X, X, 1.2, 0.7) + np.diag(noise**2)
    found = gaussian_process(X, kernels.squared_exponential(1.2, 0.7), mean, noise)
    assert found.log_prob(Y) == pytest.approx(dense.logpdf(Y, mean, cov), rel=1e-12)
    by_function = gaussian_process(X, kernels.squared_exponential(1.2, 0.7), np.sin, noise)
    assert by_function.log_prob(Y) == found.log_prob(Y)


def test_a_batch_is_that_many_functions():
    y = np.random.default_rng(0).normal(size=(4, 6))
    call = gaussian_process(X, kernels.matern(1.0, 0.5), 0.2, 0.3, size=4)
    each = [gaussian_process(X, kernels.matern(1.0, 0.5), 0.2, 0.3).log_prob(row) for row in y]
    np.testing.assert_allclose(call.log_probs(y), each, rtol=1e-12)
    assert call.log_prob(y) == pytest.approx(sum(each), rel=1e-12)


def test_one_input_is_one_normal_number():
    found = gaussian_process([2.0], kernels.constant(3.0), 1.0, 4.0).log_prob([2.5])
    assert found == pytest.approx(stats.norm.logpdf(2.5, 1.0, 5.0), rel=1e-13)


def test_inputs_far_from_0_keep_their_digits():
    near = gaussian_process(X, kernels.matern(1.2, 0.7), noise=0.3).log_prob(Y)
    far, back = (
        gaussian_process(x, kernels.matern(1.2, 0.7), noise=0.3).log_prob(Y)
        for x in (X + 2.0**30, X + 2.0**30 - 2.0**30)
    )
    assert far == pytest.approx(near, rel=1e-6)
    assert far == pytest.approx(back, rel=1e-14)


def test_a_value_that_is_infinite_has_density_0_and_no_gradient():
    y = np.array([*Y[:5], np.inf])

    def f(theta):
        return traced(y, gaussian_process(X, kernels.matern(theta[0], 0.7), noise=theta[1]))

    assert f([1.2, 0.3]) == -np.inf
    np.testing.assert_array_equal(gradient(f, np.array([1.2, 0.3])), 0.0)
    assert gaussian_process(X, kernels.matern(1.0, 0.7), noise=0.3).log_prob(1e200 * Y) == -np.inf


# --- Gradients


def flattened(name):
    """The log density by the value, the mean, the noise and the parameters of the kernel."""
    make, x, theta, _ = KERNELS[name]
    n = len(x)

    def f(t):
        call = gaussian_process(
            x, make(*[t[2 * n + 1 + i] for i in range(len(theta))]), t[n : 2 * n], t[2 * n]
        )
        return traced(t[:n], call)

    return f, np.array([*Y, *np.sin(Y), 0.3, *theta])


@every_kernel
def test_every_gradient_is_the_slope_of_the_log_density(name):
    f, at = flattened(name)
    found = gradient(f, at)
    for seed in range(3):
        step = 0.05 * np.random.default_rng(seed).normal(size=len(at))
        assert found @ step == pytest.approx(slope(lambda h: f(at + h * step)), rel=1e-7)  # noqa: B023


@every_kernel
def test_every_second_derivative_is_the_slope_of_the_gradient(name):
    f, at = flattened(name)
    found = hessian(f, at)
    np.testing.assert_allclose(found, found.T, rtol=1e-8, atol=1e-8)
    step = 0.05 * np.random.default_rng(5).normal(size=len(at))
    wanted = slope(lambda h: gradient(f, at + h * step))
    np.testing.assert_allclose(found @ step, wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("nu", [0.5, 1.5, 2.5])
def test_equal_inputs_have_gradients(nu):
    x = np.array([0.0, 0.0, 0.5, 0.5, 1.0, 1.2])

    def f(t):
        return traced(Y, gaussian_process(x, kernels.matern(t[0], t[1], nu), noise=t[2]))

    at, step = np.array([1.2, 0.7, 0.3]), np.array([0.1, -0.2, 0.05])
    assert gradient(f, at) @ step == pytest.approx(slope(lambda h: f(at + h * step)), rel=1e-8)
    wanted = slope(lambda h: gradient(f, at + h * step))
    np.testing.assert_allclose(hessian(f, at) @ step, wanted, rtol=1e-7)


@pytest.mark.parametrize(
    "name", ["squared_exponential", "matern 3/2", "periodic", "linear", "function"]
)
def test_the_gradient_flows_to_inputs(name):
    make, x, theta, _ = KERNELS[name]

    def f(x):
        return traced(Y, gaussian_process(x, make(*theta), noise=0.3))

    step = 0.3 * np.random.default_rng(0).normal(size=x.shape)
    assert gradient(f, x) @ step == pytest.approx(slope(lambda h: f(x + h * step)), rel=1e-7)


def test_the_gradient_of_a_covariance_between_other_inputs_is_its_slope():
    rng = np.random.default_rng(0)
    x1, x2, g = rng.normal(size=(4, 2)), rng.normal(size=(3, 2)), rng.normal(size=(4, 3))
    made = kernels.rational_quadratic

    def f(t):
        first, second = t[:8].reshape(4, 2), t[8:14].reshape(3, 2)
        return np.sum(g * made(t[14], t[15:17], t[17])(first, second))

    at = np.array([*x1.ravel(), *x2.ravel(), 1.2, 0.7, 1.3, 1.5])
    step = 0.1 * rng.normal(size=18)
    assert gradient(f, at) @ step == pytest.approx(slope(lambda h: f(at + h * step)), rel=1e-8)


def test_the_density_of_each_function_has_a_jacobian():
    y = np.random.default_rng(0).normal(size=(3, 6))

    def each(t):
        call = gaussian_process(X, kernels.matern(t[0], t[1]), t[2], t[3], size=3)
        return call.fn.log_probs_of(y, list(call.args))

    at, step = np.array([1.2, 0.7, 0.1, 0.3]), np.array([0.1, -0.2, 0.4, 0.05])
    wanted = slope(lambda h: each(at + h * step))
    np.testing.assert_allclose(jacobian(each, at) @ step, wanted, rtol=1e-8)


# --- Kernels


def test_kernels_add_and_multiply_with_each_other_and_with_functions():
    a, b = kernels.squared_exponential(1.2, 0.7), kernels.matern(0.8, 1.1)
    other = X[:2] + 0.05
    for x2 in (None, other):
        np.testing.assert_allclose((a + b)(X, x2), a(X, x2) + b(X, x2), rtol=1e-14)
        np.testing.assert_allclose((a * b)(X, x2), a(X, x2) * b(X, x2), rtol=1e-14)

    def user(x1, x2):
        return by_hand(x1, x2, 1.2, 0.7)

    np.testing.assert_allclose((b + user)(X, other), (b + a)(X, other), rtol=1e-13)
    np.testing.assert_allclose((user * b)(X), (a * b)(X), rtol=1e-13)
    assert repr(a + b * kernels.white(0.1)) == ("<kernel (squared_exponential + (matern * white))>")


@every_kernel
def test_a_kernel_between_inputs_and_themselves_is_that_of_the_inputs(name):
    make, x, theta, _ = KERNELS[name]
    if name in ("white", "function"):
        return
    kernel = make(*theta)
    np.testing.assert_allclose(kernel(x, x), kernel(x), rtol=1e-13, atol=1e-15)


def test_white_noise_is_of_each_value():
    kernel = kernels.white(0.5)
    np.testing.assert_array_equal(kernel(X), 0.25 * np.eye(6))
    np.testing.assert_array_equal(kernel(X, X[:2]), np.zeros((6, 2)))


# --- Draws and posteriors


def test_draws_have_the_covariance_of_the_process():
    """Their products with a random line are standard normal; 1 of 10000 right samplers fails."""
    kernel, noise = kernels.squared_exponential(1.2, 0.7), np.linspace(0.1, 0.6, 6)
    draws = gaussian_process(X, kernel, 2.0, noise, size=(400, 10)).sample(rng=0)
    assert draws.shape == (400, 10, 6)
    cov, line = kernel(X) + np.diag(noise**2), np.random.default_rng(1).normal(size=6)
    along = (draws.reshape(-1, 6) - 2.0) @ line / np.sqrt(line @ cov @ line)
    assert stats.kstest(along, "norm").pvalue > 1e-4


def test_the_posterior_is_that_of_scikit_learn():
    """GaussianProcessRegressor(1.44 * RBF(0.7), alpha=0.09, optimizer=None).predict."""
    kernel = kernels.squared_exponential(1.2, 0.7)
    found = gaussian_process_posterior([-0.7, 0.5, 3.0], X, Y, kernel, noise=0.3)
    np.testing.assert_allclose(found.mean, [-0.35282945, 0.73481608, -0.28617584], atol=1e-8)
    wanted = [
        [0.12858433, -0.01776096, 0.00137378],
        [-0.01776096, 0.0960919, -0.00837723],
        [0.00137378, -0.00837723, 0.95473044],
    ]
    np.testing.assert_allclose(found.cov, wanted, atol=1e-8)
    np.testing.assert_allclose(found.std, np.sqrt(np.diagonal(found.cov)), rtol=1e-14)


def test_the_posterior_with_a_mean_is_a_normal_given_the_values():
    kernel, new = kernels.matern(1.2, [0.7, 1.5], nu=2.5), POINTS[:3] + 0.3

    def mean(x):
        return 1.0 + x @ np.array([0.5, -0.5])

    noise = np.linspace(0.1, 0.6, 6)
    found = gaussian_process_posterior(new, POINTS, Y, kernel, mean, noise)
    gain = np.linalg.solve(kernel(POINTS) + np.diag(noise**2), kernel(POINTS, new))
    np.testing.assert_allclose(found.mean, mean(new) + (Y - mean(POINTS)) @ gain, rtol=1e-10)
    np.testing.assert_allclose(found.cov, kernel(new) - kernel(new, POINTS) @ gain, atol=1e-12)


def test_draws_of_a_posterior_have_its_moments_even_where_it_is_singular():
    found = gaussian_process_posterior(np.array([*X, 0.5]), X, Y, kernels.matern(1.0, 0.7))
    draws = found.sample(2000, rng=0)
    assert draws.shape == (2000, 7)
    np.testing.assert_allclose(draws[:, :6], np.broadcast_to(Y, (2000, 6)), atol=1e-6)
    assert np.std(draws[:, 6]) == pytest.approx(found.std[6], rel=0.08)
    assert found.sample(rng=0).shape == (7,)


# --- In models


@gen
def smooth(x):
    kernel = kernels.squared_exponential(
        param("scale", 1.0, positive), param("length", 1.0, positive)
    )
    return gaussian_process(x, kernel, noise=param("noise", 0.3, positive)) @ "ys"


def test_a_fit_finds_the_estimates_of_scikit_learn():
    """GaussianProcessRegressor(ConstantKernel(1.0) * RBF(1.0) + WhiteKernel(0.09), alpha=0.0), with
    an optimizer to full precision: the square roots of two entries of exp(kernel_.theta), one
    entry, and log_marginal_likelihood_value_.
    """
    x = np.linspace(0.0, 6.0, 40)
    ys = np.sin(2.0 * x) + 0.2 * np.cos(37.0 * np.arange(40) ** 2)
    result = fit(smooth, (x,), {"ys": ys})
    assert result.log_likelihood == pytest.approx(-0.34743602201699986, rel=1e-8)
    wanted = {"scale": 0.93382268, "length": 0.88871322, "noise": 0.15250084}
    for name, value in wanted.items():
        assert result.estimates[name] == pytest.approx(value, rel=1e-4)
        assert 0.0 < result.std_errors[name] < 1.0


def test_it_is_a_distribution_like_every_other():
    trace = smooth.simulate((X,), rng=0)
    assert trace["ys"].shape == (6,)
    weight, _ = smooth.assess((X,), {"ys": trace["ys"]})
    assert weight == trace.log_prob
    again, weight = smooth.generate((X,), {"ys": Y})
    assert weight == again.log_prob
    moved, weight, _ = again.update({"ys": trace["ys"]})
    assert weight == pytest.approx(trace.log_prob - again.log_prob, rel=1e-12)
    assert moved.log_prob == trace.log_prob


def test_hmc_moves_a_latent_function():
    @gen
    def model():
        f = gaussian_process(X, kernels.matern(1.0, 0.7)) @ "f"
        return normal(f, 0.5) @ "ys"

    trace, _ = model.generate((), {"ys": Y}, rng=0)
    gradients = trace.choice_gradients(select("f"))[2]
    cov = kernels.matern(1.0, 0.7)(X)
    wanted = -np.linalg.solve(cov, trace["f"]) + (Y - trace["f"]) / 0.25
    np.testing.assert_allclose(gradients["f"], wanted, rtol=1e-9)
    draws = hmc(trace, select("f"), rng=0)
    assert draws is not None


def test_its_distribution_pickles():
    call = gaussian_process(X, kernels.matern(1.0, 0.7))
    assert pickle.loads(pickle.dumps(call.fn)) is call.fn


# --- Wrong arguments

untyped: Any = gaussian_process
rough: Any = kernels.matern(1.0, 0.7)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: untyped(X, 1.0), ArgumentError, "a kernel is one of genparams.kernels"),
        (lambda: untyped(X, kernels.matern), ArgumentError, r"write kernels.matern\(\.\.\.\)"),
        (lambda: untyped(X, kernels.Kernel), ArgumentError, "a kernel is one of"),
        (lambda: untyped([], rough), ShapeError, "at least one input"),
        (lambda: untyped(1.0, rough), ShapeError, r"\(n,\) or \(n, d\)"),
        (lambda: untyped(np.zeros((2, 2, 2)), rough), ShapeError, r"\(n,\) or \(n, d\)"),
        (lambda: untyped(X * np.nan, rough), DistributionError, "x .* finite"),
        (lambda: untyped(["a"], rough), ArgumentError, "must be a number or an array"),
        (lambda: untyped(X, rough, Y[:3]), ShapeError, "mean .* each of 6 inputs"),
        (lambda: untyped(X, rough, 0.0, Y[:3]), ShapeError, "noise .* each of 6 inputs"),
        (lambda: untyped(X, rough, noise=np.ones((2, 6))), ShapeError, "noise .* 6 inputs"),
        (lambda: untyped(X, rough, noise=-1.0), DistributionError, "noise .* at least 0"),
        (lambda: untyped(X, rough, mean=np.nan), DistributionError, "mean .* finite"),
        (lambda: untyped(X, lambda a, b: a), ShapeError, r"a matrix of shape \(6, 6\)"),
        (
            lambda: untyped(X, lambda a, b: np.subtract.outer(a, b)),
            DistributionError,
            "finite and symmetric",
        ),
        (lambda: untyped(X, lambda a, b: -np.eye(6)), DistributionError, "positive definite"),
        (
            lambda: untyped(X, kernels.linear(1.0)),
            DistributionError,
            "values are dependent; give noise=",
        ),
        (lambda: untyped(X, rough, nois=1.0), ArgumentError, "no argument 'nois'"),
    ],
)
def test_a_wrong_argument_says_what_to_write(call, error, message):
    with pytest.raises(error, match=message):
        call().log_prob(Y)
    with pytest.raises(error, match=message):
        call().sample(rng=0)


make: Any = kernels


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: make.squared_exponential(0.0, 1.0), DistributionError, "scale .* above 0"),
        (lambda: make.squared_exponential(1.0, -1.0), DistributionError, "length_scale .* above 0"),
        (lambda: make.squared_exponential(1.0, [1.0, 0.0]), DistributionError, "above 0"),
        (lambda: make.squared_exponential([1.0, 2.0], 1.0), ShapeError, "scale .* is a number"),
        (lambda: make.squared_exponential(1.0), ArgumentError, "length_scale"),
        (lambda: make.matern(1.0, 1.0, nu=1), ArgumentError, "nu of matern is 0.5, 1.5 or 2.5"),
        (lambda: make.matern(1.0, 1.0, nu=[1.5]), ArgumentError, "nu of matern is 0.5, 1.5 or"),
        (lambda: make.periodic(1.0, 1.0, 0.0), DistributionError, "period .* above 0"),
        (lambda: make.rational_quadratic(1.0, 1.0, np.nan), DistributionError, "alpha .* above 0"),
        (lambda: make.matern(1.0, [1.0, 2.0])(X), ShapeError, "each of 1 coordinates"),
        (lambda: make.periodic(1.0, 1.0, [1.0, 2.0])(X), ShapeError, "each of 1 coordinates"),
        (lambda: make.linear(1.0, [1.0, 2.0])(X), ShapeError, "each of 1 coordinates"),
        (lambda: make.matern(1.0, 1.0)(X, POINTS), ShapeError, "the same coordinates"),
        (lambda: make.linear(1.0)(X, POINTS), ShapeError, "the same coordinates"),
        (lambda: 2.0 * make.white(1.0), ArgumentError, "write constant\\(scale\\)"),
        (lambda: make.white(1.0) + np.float64(1.0), ArgumentError, "write constant\\(scale\\)"),
    ],
)
def test_a_wrong_argument_of_a_kernel_says_what_to_write(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: gaussian_process_posterior(X, X, Y[:3], rough), ShapeError, "each of 6 inputs"),
        (lambda: gaussian_process_posterior(X, X, Y, rough, Y), ArgumentError, "function of x"),
        (lambda: gaussian_process_posterior(X, X, Y * np.nan, rough), DistributionError, "finite"),
        (lambda: gaussian_process_posterior(POINTS, X, Y, rough), ShapeError, "same coordinates"),
        (
            lambda: gaussian_process_posterior(X, X, Y, kernels.linear(1.0)),
            DistributionError,
            "positive definite",
        ),
    ],
)
def test_a_wrong_argument_of_a_posterior_says_what_to_write(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("y", [Y[:3], np.stack([Y, Y]), Y * np.nan])
def test_a_wrong_value_is_refused(y):
    @gen
    def model():
        return gaussian_process(X, rough) @ "ys"

    with pytest.raises((ShapeError, DistributionError), match=re.compile("shape|NaN")):
        model.generate((), {"ys": y})


@pytest.mark.parametrize("noise", [-0.1, [-0.1, 0.1], np.nan, np.inf])
def test_a_posterior_refuses_the_noise_that_a_process_refuses(noise):
    with pytest.raises(DistributionError, match="noise of gaussian_process must be at least 0"):
        gaussian_process_posterior(
            [0.5], [0.0, 1.0], [0.0, 1.0], kernels.matern(1.0, 1.0), noise=noise
        )
