"""What `fit` does beside finding a maximum, and what it refuses."""

import threading
import warnings
from typing import Any

import numpy as np
import pytest

from genparams import (
    ParamStore,
    bernoulli,
    exponential,
    fit,
    from_scipy,
    gamma,
    gen,
    get_param,
    init_param,
    mvnormal,
    normal,
    param,
    positive,
    product,
    uniform,
)
from genparams.errors import (
    ArgumentError,
    ChoicesDiffer,
    FitError,
    FitWarning,
    ImpossibleTrace,
    InvalidValue,
    LatentChoice,
    NotConverged,
    ShapeError,
    UnknownParameter,
    UnusedConstraint,
    WrongGradient,
)

X = np.arange(8.0)
Y = np.array([1.2, 2.9, 5.3, 6.8, 9.1, 10.7, 13.4, 14.9])


def lines():
    """A line with new parameters."""

    @gen
    def line(x):
        mean = param("a", 0.0) + param("b", 0.0) * x
        return normal(mean, param("sigma", 1.0, positive)) @ "y"

    return line


def least_squares():
    b, a = np.polyfit(X, Y, 1)
    return a, b, np.sqrt(np.mean((Y - a - b * X) ** 2))


# --- Methods

METHODS = ["newton", "BFGS", "l-bfgs-b", "CG", "Newton-CG", "trust-ncg", "trust-krylov"]
METHODS += ["trust-exact", "TNC", "SLSQP", "nelder-mead", "Powell"]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_ends_at_the_maximum_to_ten_digits(method):
    result = fit(lines(), (X,), {"y": Y}, method=method)
    assert result.converged
    assert result.method.lower() == method.lower()
    assert [*result.estimates.values()] == pytest.approx(least_squares(), rel=1e-10)
    assert result.iterations > 0
    assert result.evaluations > 0


def test_a_method_that_stops_early_has_not_converged():
    line = lines()
    with pytest.warns(NotConverged, match="stopped short of a maximum"):
        result = fit(line, (X,), {"y": Y}, method="L-BFGS-B", max_iterations=2)
    assert not result.converged
    assert get_param(line, "b") == result.estimates["b"]


def test_many_coordinates_are_fitted_without_a_matrix_at_each_step():
    y = np.random.default_rng(0).normal(size=600)

    @gen
    def means(n):
        return normal(param("mu", np.zeros(600)), 1.0) @ "y"

    result = fit(means, (600,), {"y": y})
    assert result.method == "L-BFGS-B"
    assert result.converged
    assert result.estimates["mu"] == pytest.approx(y, abs=1e-10)
    assert result.std_errors["mu"] == pytest.approx(np.ones(600), rel=1e-8)


def test_gradients_by_hand_have_a_hessian_by_differences():
    from scipy import stats

    y = stats.gumbel_r.rvs(3.0, 2.0, size=200, random_state=1)
    gumbel = from_scipy(stats.gumbel_r)

    @gen
    def storms(n):
        return gumbel(param("loc", 0.0), param("scale", 1.0, positive), size=n) @ "y"

    result = fit(storms, (200,), {"y": y})
    assert result.method == "newton with differences of gradients"
    assert [*result.estimates.values()] == pytest.approx(stats.gumbel_r.fit(y), rel=1e-5)


# --- What is fitted


def test_a_trace_and_several_traces_are_fitted_as_one_data_set():
    line = lines()
    one = fit(lines(), (X,), {"y": Y})
    traces = [line.generate((X[part],), {"y": Y[part]})[0] for part in (slice(3), slice(3, 8))]
    several = fit(traces)
    assert several.log_likelihood == pytest.approx(one.log_likelihood, rel=1e-12)
    assert several.std_errors["b"] == pytest.approx(one.std_errors["b"], rel=1e-8)
    assert fit(traces[0]).num_obs == 3


def test_several_functions_share_a_fit():
    @gen
    def failures(n):
        return exponential(param("rate", 1.0, positive), size=n) @ "t"

    @gen
    def readings(n):
        return normal(param("mu", 0.0), param("sd", 1.0, positive), size=n) @ "y"

    traces = [
        failures.generate((3,), {"t": np.array([1.0, 2.0, 6.0])})[0],
        readings.generate((8,), {"y": Y})[0],
    ]
    result = fit(traces)
    assert result.estimates["rate"] == pytest.approx(1.0 / 3.0)
    assert result.estimates["mu"] == pytest.approx(np.mean(Y))
    assert result.num_params == 3


def nested():
    @gen
    def inner(x):
        return param("slope", 0.0) * x

    @gen
    def outer(x):
        return normal(inner(x) @ "mean" + param("level", 0.0), 1.0) @ "y"

    return inner, outer


def test_parameters_of_nested_functions_are_fitted_unless_callees_is_false():
    inner, outer = nested()
    result = fit(outer, (X,), {"y": Y}, callees=False)
    assert result.num_params == 1
    assert get_param(inner, "slope") == 0.0
    assert result.estimates["level"] == pytest.approx(np.mean(Y))
    result = fit(outer, (X,), {"y": Y})
    a, b, _ = least_squares()
    assert result.estimates == pytest.approx({"level": a, "slope": b}, rel=1e-10)


def test_a_frozen_parameter_stays_and_counts_no_degree_of_freedom():
    line = lines()
    fit(line, (X,), {"y": Y})
    init_param(line, "b", 2.0)
    line.params["b"].freeze()
    result = fit(line, (X,), {"y": Y})
    assert (result.num_params, result.status["b"], get_param(line, "b")) == (2, "frozen", 2.0)
    assert result.estimates["a"] == pytest.approx(np.mean(Y - 2.0 * X))


def test_a_clone_is_fitted_over_its_own_store():
    line = lines()
    clone = line.with_params(ParamStore(a=0.0, b=0.0, sigma=1.0))
    init_param(clone, "sigma", 1.0, constraint=positive)
    result = fit(clone, (X,), {"y": Y})
    assert result.estimates["b"] == pytest.approx(least_squares()[1])
    assert "b" not in line.params


# --- Priors


def test_priors_give_the_maximum_of_the_posterior():
    @gen
    def mean(n):
        return normal(param("mu", 0.0), 2.0, size=n) @ "y"

    result = fit(mean, (8,), {"y": Y}, priors={"mu": normal(1.0, 0.5)})
    precision = 8 / 4.0 + 1 / 0.25
    assert result.estimates["mu"] == pytest.approx((np.sum(Y) / 4.0 + 1.0 / 0.25) / precision)
    assert result.std_errors["mu"] == pytest.approx(precision**-0.5)
    assert result.log_posterior == pytest.approx(
        result.log_likelihood + normal.log_prob(result.estimates["mu"], 1.0, 0.5)
    )


def test_a_prior_is_a_density_of_the_natural_value():
    @gen
    def failures(n):
        return exponential(param("rate", 1.0, positive), size=n) @ "t"

    t = np.array([1.0, 2.0, 6.0])
    result = fit(failures, (3,), {"t": t}, priors={"rate": gamma(shape=3.0, rate=2.0)})
    assert result.estimates["rate"] == pytest.approx((3 + 3.0 - 1.0) / (9.0 + 2.0))


def test_a_prior_makes_separated_data_have_a_maximum():
    @gen
    def separated(x):
        return bernoulli(logits=param("a", 0.0) + param("b", 0.0) * x) @ "y"

    priors = {"a": normal(0.0, 10.0), "b": normal(0.0, 2.0)}
    result = fit(separated, (X - 3.5,), {"y": (X > 3.5).astype(float)}, priors=priors)
    assert result.converged
    assert 0.0 < result.estimates["b"] < 10.0


def test_a_prior_of_a_nested_function_has_its_name():
    inner, outer = nested()
    tight = fit(outer, (X,), {"y": Y}, priors={"inner.slope": normal(0.0, 1e-3)})
    assert abs(tight.estimates["slope"]) < 1e-2
    assert inner.params["slope"].value == tight.estimates["slope"]


def test_a_prior_of_a_frozen_parameter_is_a_constant():
    line = lines()
    fit(line, (X,), DATA)
    line.params["b"].freeze()
    free = fit(line, (X,), DATA)
    held = fit(line, (X,), DATA, priors={"b": normal(0.0, 1.0)})
    assert held.estimates["a"] == pytest.approx(free.estimates["a"])
    assert held.std_errors["sigma"] == pytest.approx(free.std_errors["sigma"])


@pytest.mark.parametrize("method", ["newton", "BFGS"])
def test_a_start_where_a_prior_has_no_density_is_refused(method):
    with pytest.raises(FitError, match=r"the prior of 'a', uniform.* has no density at the start"):
        fit(lines(), (X,), DATA, priors={"a": uniform(5.0, 6.0)}, method=method)


# --- Searches


def test_restarts_keep_the_best_maximum_and_are_reproducible():
    y = np.array([-4.0, -3.9, -4.1, 6.0, 6.1, 5.9, 6.2, 5.8])

    def found(**options):
        @gen
        def wave(n):
            return normal(np.sin(param("f", 9.0) * np.arange(n)) * 5.0, 1.0) @ "y"

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)
            return fit(wave, (8,), {"y": y}, **options)

    once, again = found(), found(restarts=20, rng=1)
    assert again.log_likelihood > once.log_likelihood + 1.0
    assert again.estimates == found(restarts=20, rng=1).estimates


def test_restarts_outside_of_the_domain_are_left_out():
    @gen
    def plain(n):
        return normal(param("mu", 0.0), param("std", 2.0), size=n) @ "y"

    result = fit(plain, (8,), {"y": Y}, restarts=10, rng=1)  # some at a standard deviation below 0
    assert result.converged
    assert result.estimates["std"] == pytest.approx(np.std(Y))


def test_progress_is_shown_and_the_answer_is_the_same(capsys):
    shown = fit(lines(), (X,), {"y": Y}, progress=True)
    assert "log likelihood" in capsys.readouterr().err
    assert shown.estimates == fit(lines(), (X,), {"y": Y}).estimates
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("limit", [0.11, 0.15, 0.2])
def test_an_interrupt_leaves_the_best_point_and_says_so(limit):
    came = False

    @gen
    def stops(x):
        nonlocal came
        b = param("b", 0.1)
        if b > limit and not came:
            came = True
            raise KeyboardInterrupt
        return normal(param("a", 1.0) * np.exp(b * x), 1.0) @ "y"

    with pytest.warns(NotConverged, match="interrupted"):
        result = fit(stops, (X,), {"y": Y})
    assert came
    assert not result.converged
    assert result.message == "interrupted"
    assert get_param(stops, "a") == result.estimates["a"]
    trace, _ = stops.generate((X,), {"y": Y})
    assert trace.log_prob == result.log_likelihood


def test_an_interrupt_before_the_first_evaluation_is_raised():
    runs = 0

    @gen
    def stops(x):
        nonlocal runs
        runs += 1
        if runs == 3:  # after `generate` and the check of the start
            raise KeyboardInterrupt
        return normal(param("a", 1.0) * x, 1.0) @ "y"

    with pytest.raises(KeyboardInterrupt):
        fit(stops, (X,), {"y": Y})
    assert get_param(stops, "a") == 1.0


@pytest.mark.parametrize("error", [KeyError("boom"), TypeError("odd")])
def test_an_error_in_the_middle_leaves_the_best_point_and_says_so(error):
    @gen
    def fails(x):
        b = param("b", 0.0)
        if b > 1.0:
            raise error
        return normal(b * x, 1.0) @ "y"

    with pytest.warns(NotConverged, match=f"{type(error).__name__}.*{error.args[0]}"):
        result = fit(fails, (X,), {"y": Y})
    assert not result.converged
    assert get_param(fails, "b") == result.estimates["b"] <= 1.0


def test_an_error_at_the_start_is_raised_and_nothing_moves():
    @gen
    def broken(x):
        param("a", 0.0)
        raise KeyError("boom")

    with pytest.raises(KeyError, match="boom"):
        fit(broken, (X,), {"y": Y})


def test_parameters_outside_of_the_domain_are_avoided():
    @gen
    def roots(x):
        return normal(np.sqrt(1.0 - param("a", 0.9) * x / 8.0), 0.1) @ "y"

    y = np.sqrt(1.0 - 0.5 * X / 8.0)
    assert fit(roots, (X,), {"y": y}).estimates["a"] == pytest.approx(0.5, rel=1e-8)


def test_debug_checks_the_gradient_at_the_start():
    from genparams import custom_gradient

    wrong = custom_gradient(np.square, lambda inputs, r, g: (3.0 * inputs[0] * g,))

    @gen
    def model(n):
        return normal(wrong(param("a", 1.0)) @ "square" * np.ones(n), 1.0) @ "y"

    with pytest.raises(WrongGradient, match="along a random direction"):
        fit(model, (8,), {"y": Y}, debug=True)
    assert get_param(model, "a") == 1.0
    assert fit(lines(), (X,), {"y": Y}, debug=True).converged


# --- Refusals


@gen
def drawing(x):
    z = normal(0.0, 1.0) @ "z"
    return normal(z + param("a", 0.0) * x, 1.0) @ "y"


@gen
def jumping(x):
    a = param("a", 0.0)
    if a > 0.5:
        bernoulli(0.5) @ "extra"
    return normal(a * x, 1.0) @ "y"


@gen
def waiting(n):
    return exponential(param("rate", 1.0, positive), size=n) @ "t"


@gen
def steep(x):
    return normal(np.sqrt(param("a", 0.0)) * x, 1.0) @ "y"


@gen
def nothing_free(x):
    return normal(0.0 * x, 1.0) @ "y"


def frozen():
    line = lines()
    line.generate((X,), {"y": Y})
    for p in line.params.values():
        p.freeze()
    return line


DATA = {"y": Y}
loose: Any = fit  # called with wrong arguments
REFUSALS = [
    (lambda: fit(lines(), (X,), {"y": Y, "yy": 1.0}), UnusedConstraint, "never visited 'yy'"),
    (lambda: fit(drawing, (X,), DATA), LatentChoice, "chose 'z', for which there are no data"),
    (lambda: fit(jumping, (X,), DATA), ChoicesDiffer, "a jump .* 'extra'"),
    (lambda: fit(waiting, (2,), {"t": np.array([1.0, -1.0])}), ImpossibleTrace, "'t' of waiting"),
    (lambda: fit(steep, (X,), DATA), FitError, "by parameter 'a' is not finite at the start, 0.0"),
    (lambda: fit(nothing_free, (X,), DATA), FitError, "no free parameter to fit: it reads none"),
    (lambda: fit(frozen(), (X,), DATA), FitError, r"every parameter is frozen; thaw\(\) one"),
    (lambda: fit(lines()), ArgumentError, "takes the arguments, a tuple, and the data"),
    (lambda: fit(lines(), (X,)), ArgumentError, "takes the arguments, a tuple, and the data"),
    (lambda: loose(lines(), X, DATA), ArgumentError, "one tuple"),
    (lambda: fit(lambda x: x, (X,), DATA), ArgumentError, "a generative function or traces first"),
    (lambda: fit([1, 2]), ArgumentError, "a generative function, a trace or traces, got 1"),
    (lambda: fit([]), ArgumentError, "no traces"),
    (lambda: fit(lines(), (X,), DATA, method="newtn"), InvalidValue, "did you mean newton"),
    (lambda: fit(lines(), (X,), DATA, method="lbfgs"), InvalidValue, r"did you mean L-BFGS-B\?"),
    (lambda: fit(lines(), (X,), DATA, kind="robust"), InvalidValue, "kind"),
    (lambda: fit(lines(), (X,), DATA, restarts=-1), InvalidValue, "at least 0, got -1"),
    (lambda: loose(lines(), (X,), DATA, max_iterations=2.5), InvalidValue, "whole number"),
    (lambda: loose(lines(), (X,), DATA, restarts=1, rng="x"), InvalidValue, "rng is a numpy"),
    (lambda: loose(lines(), (X,), DATA, progress="no"), InvalidValue, "progress is True or False"),
    (lambda: fit(lines(), (X,), DATA, priors={"c": normal(0, 1)}), UnknownParameter, "'c'"),
    (lambda: fit(lines(), (X,), DATA, priors={"a": 3.0}), InvalidValue, r"such as normal\(0, 10\)"),
    (lambda: fit(lines(), (X,), DATA, labels={"c": ["x"]}), UnknownParameter, "'c'"),
    (lambda: fit(lines(), (X,), DATA, labels={"a": ["x", "y"]}), ShapeError, "a"),
    (lambda: loose(lines(), (X,), DATA, maxiter=3), ArgumentError, "max_iterations"),
]


@pytest.mark.parametrize(("act", "error", "words"), REFUSALS)
def test_bad_input_is_refused(act, error, words):
    with pytest.raises(error, match=words):
        act()


def test_a_refusal_moves_nothing():
    functions = (drawing, jumping, waiting, steep)
    seen = []
    for _ in range(2):  # the first runs declare the parameters
        for act, error, _ in REFUSALS[1:5]:
            with pytest.raises(error):
                act()
        seen.append([{name: p.value for name, p in f.params.items()} for f in functions])
    assert seen[0] == seen[1] == [{"a": 0.0}, {"a": 0.0}, {"rate": 1.0}, {"a": 0.0}]


def test_a_start_without_density_names_the_address_and_the_entry():
    @gen
    def bounded(x):
        return exponential(param("rate", 1.0, positive), size=2) @ ("site", 3)

    with pytest.raises(ImpossibleTrace, match=r"'site', 3.*at \[1\]"):
        fit(bounded, (X,), {("site", 3): np.array([1.0, -2.0])})


def test_two_fits_of_one_function_at_once_are_refused():
    inside, go_on = threading.Event(), threading.Event()
    runs = 0

    @gen
    def slow(x):
        nonlocal runs
        runs += 1
        if runs == 4:
            inside.set()
            go_on.wait(10)
        return normal(param("a", 0.0) * np.exp(0.2 * x), 1.0) @ "y"

    found = []
    first = threading.Thread(target=lambda: found.append(fit(slow, (X,), {"y": Y})))
    first.start()
    assert inside.wait(10)
    with pytest.raises(FitError, match="another fit of parameter 'a' is running"):
        fit(slow, (X,), {"y": Y})
    go_on.set()
    first.join()
    assert found[0].converged
    assert fit(slow, (X,), {"y": Y}).converged


def test_a_product_of_parts_of_other_shapes_is_fitted():
    @gen
    def pair(n):
        vector = mvnormal(np.zeros(2) + param("b", 0.0), np.eye(2))
        return product([normal(param("a", 0.0), 1.0), vector]) @ "pair"

    result = fit(pair, (1,), {"pair": (1.5, np.array([2.0, 4.0]))})
    assert result.estimates == pytest.approx({"a": 1.5, "b": 3.0})
