"""Static likelihoods: log probabilities, gradients, Hessians and informations are replayed."""

import threading
import warnings

import numpy as np
import pytest
from static_models_table import MODELS
from test_trial_models import RIGHT, generated
from test_trial_models import model as trial_model

from genparams import (
    custom_gradient,
    datasets,
    fit,
    gen,
    get_param,
    half_cauchy,
    init_param,
    normal,
    nuts,
    param,
    positive,
    set_param,
)
from genparams.compiled.quantities import StaticQuantities
from genparams.dsl.likelihood.likelihood import Likelihood
from genparams.errors import ArgumentError, InvalidValue, NotStatic, StaticDiffers
from genparams.learning.sampling.coordinates import Coordinates
from genparams.params.vector import Vector

KINDS = ("gradient", "hessian", "information")
XS = np.linspace(-1.0, 1.0, 30)
YS = 2.0 * XS + 1.0 + 0.3 * np.random.default_rng(0).standard_normal(30)


def at_once(f):
    """The function, static, with quantities that are recorded at their first evaluation."""
    static = gen(static=True)(f.body).with_params(f.params)
    static.trace_quantities = StaticQuantities(f.__name__, after=1)
    return static


def likelihoods(trace, held=()):
    """The likelihood of a trace, interpreted and replayed, and what replays."""
    free = {f.params[name]: None for f, name in trace.parameters if name not in held}
    vector, evaluator = Vector(free), StaticQuantities(trace.gen_fn.__name__, after=1)
    static = Likelihood([trace], vector, {}, evaluators={trace.gen_fn: evaluator})
    return Likelihood([trace], vector, {}), static, evaluator


def hits(evaluator):
    """How often each quantity was replayed."""
    return {
        quantity.__name__: sum(kept.hits for some in programs.by_key.values() for kept in some)
        for quantity, programs in evaluator.programs.items()
    }


def assert_same(found, expected):
    assert (found is None) == (expected is None)
    for a, b in zip(found or (), expected or (), strict=True):
        scale = 1.0 + np.max(np.abs(b), initial=0.0)
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10 * scale)


def assert_replayed_as_interpreted(trace):
    plain, static, evaluator = likelihoods(trace)
    rng = np.random.default_rng(0)
    for _ in range(5):
        x = plain.vector.now() + 0.02 * rng.standard_normal(plain.vector.size)
        for kind in KINDS:
            assert_same(getattr(static, kind)(x), getattr(plain, kind)(x))
    assert all(hits(evaluator)[kind] == 4 for kind in ("gradient", "hessian"))


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_a_replay_gives_the_derivatives_of_the_interpreter(model):
    trace, _ = gen(model.body).generate(model.args, model.data)
    if trace.parameters:
        assert_replayed_as_interpreted(trace)


@pytest.mark.parametrize("code", RIGHT.values(), ids=list(RIGHT))
def test_models_as_users_write_them_are_replayed_as_interpreted(code):
    assert_replayed_as_interpreted(generated(trial_model(code, kept={})))


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
@pytest.mark.parametrize("jacobian", [True, False])
def test_the_density_of_a_sampler_is_replayed_as_interpreted(model, jacobian):
    f = gen(model.body)
    trace, _ = f.generate(model.args, model.data)
    selected = [a for a in trace.choices if np.asarray(trace[a]).dtype.kind == "f"]
    try:
        space = Coordinates(trace, selected, jacobian)
    except (ArgumentError, InvalidValue, ValueError):
        return
    rng = np.random.default_rng(0)
    points = [space.start.u + 0.05 * rng.standard_normal(space.size) for _ in range(5)]
    expected = [space.at(u) for u in points]
    f.trace_quantities = StaticQuantities(f.__name__, after=1)
    for u, then in zip(points, expected, strict=True):
        now = space.at(u)
        assert (now is None) == (then is None)
        if now is not None and then is not None:
            assert_same((now.log_density, now.gradient), (then.log_density, then.gradient))
    (count,) = hits(f.trace_quantities).values()
    assert count >= 3


# --- Other parameters, data and threads


def line():
    @gen
    def line(xs):
        mean = param("slope", 0.5) * xs + param("start", 0.1)
        return normal(mean, param("noise", 1.3, constraint=positive)) @ "ys"

    init_param(line, "slope", 0.5)
    init_param(line, "start", 0.1)
    init_param(line, "noise", 1.3, positive)
    return line


def test_a_parameter_that_is_held_may_be_set_between_replays():
    f = line()
    trace, _ = f.generate((XS,), {"ys": YS})
    plain, static, evaluator = likelihoods(trace, held=["start"])
    for value in (0.1, 0.1, 0.7, 0.7, -2.0):
        set_param(f, "start", value)
        assert_same(static.hessian(np.array([0.4, 0.1])), plain.hessian(np.array([0.4, 0.1])))
    assert hits(evaluator) == {"hessian": 4}


def test_a_parameter_may_be_frozen_or_made_anew_between_replays():
    f = line()
    trace, _ = f.generate((XS,), {"ys": YS})
    plain, static, evaluator = likelihoods(trace, held=["start"])
    x = np.array([0.4, 0.1])
    assert_same(static.hessian(x), plain.hessian(x))
    f.params["slope"].freeze()
    assert_same(static.hessian(x), plain.hessian(x))
    init_param(f, "start", 4.0)
    assert_same(static.hessian(x), plain.hessian(x))
    assert hits(evaluator) == {"hessian": 2}


def test_a_trace_of_other_data_of_the_same_shape_uses_the_same_program():
    f = line()
    evaluator = StaticQuantities("line", after=1)
    for seed in range(4):
        ys = YS + np.random.default_rng(seed).standard_normal(30)
        trace, _ = f.generate((XS + seed,), {"ys": ys})
        plain, static, _ = likelihoods(trace)
        static.evaluators[f] = evaluator  # type: ignore[index]
        x = plain.vector.now()
        assert_same(static.hessian(x), plain.hessian(x))
    assert hits(evaluator) == {"hessian": 3}
    (programs,) = evaluator.programs.values()
    assert len(programs.by_key) == 1


def test_data_of_another_shape_have_a_program_of_their_own():
    f, evaluator = line(), StaticQuantities("line", after=1)
    for n in (5, 8) * 5:
        trace, _ = f.generate((XS[:n],), {"ys": YS[:n]})
        plain, static, _ = likelihoods(trace)
        static.evaluators[f] = evaluator  # type: ignore[index]
        x = plain.vector.now()
        assert_same(static.hessian(x), plain.hessian(x))
    (programs,) = evaluator.programs.values()
    assert len(programs.by_key) == 2
    assert hits(evaluator)["hessian"] >= 6


def test_an_argument_that_was_changed_in_place_is_interpreted():
    f, xs = line(), XS.copy()
    trace, _ = f.generate((xs,), {"ys": YS})
    plain, static, _ = likelihoods(trace)
    x = plain.vector.now()
    static.gradient(x), static.gradient(x)
    xs[0] += 5.0
    assert_same(static.gradient(x), plain.gradient(x))


def test_a_branch_on_a_parameter_has_a_program_for_each_side():
    @gen
    def bent():
        a = param("a", 0.5)
        mean = a * a if a > 1.0 else -a
        return normal(mean, 1.0) @ "y"

    trace, _ = bent.generate((), {"y": 2.0})
    plain, static, evaluator = likelihoods(trace)
    for k in range(12):
        x = np.array([0.5 if k % 3 else 1.5])
        assert_same(static.hessian(x), plain.hessian(x))
    assert hits(evaluator)["hessian"] >= 7


def test_outside_of_the_domain_the_error_is_the_one_of_the_interpreter():
    @gen
    def f():
        return normal(0.0, param("std", 1.0)) @ "y"

    trace, _ = f.generate((), {"y": 2.0})
    plain, static, evaluator = likelihoods(trace)
    for at in (1.0, 1.1, 1.2):
        static.gradient(np.array([at]))
    with pytest.raises(ValueError, match="std"):
        plain.gradient(np.array([-1.0]))
    with pytest.raises(ValueError, match="std"):
        static.gradient(np.array([-1.0]))
    assert_same(static.gradient(np.array([1.3])), plain.gradient(np.array([1.3])))
    assert hits(evaluator) == {"gradient": 3}


def test_eight_threads_replay_one_program():
    f = line()
    trace, _ = f.generate((XS,), {"ys": YS})
    plain, static, _ = likelihoods(trace)
    points = [plain.vector.now() + 0.1 * k for k in range(8)]
    expected = [plain.hessian(x) for x in points]
    static.hessian(points[0])
    wrong = []

    def work(k):
        try:
            for _ in range(50):
                assert_same(static.hessian(points[k]), expected[k])
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


# --- What a recording cannot see, and what cannot be recorded


def test_a_global_that_changes_is_an_error_that_names_the_address():
    scale = [1.0]

    @gen
    def f():
        a = param("a", 0.5)
        _ = normal(a, 1.0) @ "first"
        return normal(a * scale[0], 1.0) @ "second"

    trace, _ = f.generate((), {"first": 1.0, "second": 2.0})
    _, static, _ = likelihoods(trace)
    static.gradient(np.array([0.5]))
    scale[0] = 3.0
    with pytest.raises(StaticDiffers, match="the gradient at 'second' is not what was recorded"):
        static.gradient(np.array([0.5]))


def test_in_check_mode_every_replay_is_compared(monkeypatch):
    monkeypatch.setenv("GENPARAMS_STATIC", "check")
    scale = [1.0]

    @gen
    def f():
        return normal(param("a", 0.5) * scale[0], 1.0) @ "y"

    trace, _ = f.generate((), {"y": 2.0})
    _, static, _ = likelihoods(trace)
    for _ in range(3):
        static.gradient(np.array([0.5]))
    scale[0] = 3.0
    with pytest.raises(StaticDiffers, match="at 'y'"):
        static.gradient(np.array([0.5]))


def test_what_cannot_be_recorded_is_interpreted_and_told_once():
    squared = custom_gradient(
        lambda a: float(a) ** 2, lambda args, retval, g: (g * 2.0 * float(args[0]),)
    )

    @gen
    def f():
        return normal(squared(param("a", 0.5)) @ "squared", 1.0) @ "y"

    trace, _ = f.generate((), {"y": 2.0})
    plain, static, _ = likelihoods(trace)
    with pytest.warns(NotStatic, match=r"evaluations of the gradient.*float\(\)"):
        static.gradient(np.array([0.5]))
    for at in (0.5, 0.6, 0.7):  # a second warning would be an error
        assert_same(static.gradient(np.array([at])), plain.gradient(np.array([at])))


# --- Fits


def local_level_model():
    @gen
    def local_level(ys):
        """A filter written as a loop."""
        q, r = param("q", 0.5, constraint=positive), param("r", 1.0, constraint=positive)
        mean, var = 0.0, 10.0
        for t in range(len(ys)):
            var = var + q
            total = var + r
            _ = normal(mean, np.sqrt(total)) @ t
            mean, var = mean + var / total * (ys[t] - mean), var * r / total

    init_param(local_level, "q", 0.5, positive)
    init_param(local_level, "r", 1.0, positive)
    rng = np.random.default_rng(1)
    ys = np.cumsum(rng.standard_normal(60)) + 0.8 * rng.standard_normal(60)
    return local_level, (ys,), {t: float(y) for t, y in enumerate(ys)}


FITS = {"a line": lambda: (line(), (XS,), {"ys": YS}), "a local level": local_level_model}


@pytest.mark.parametrize("make", FITS.values(), ids=list(FITS))
def test_a_static_fit_has_the_same_estimates_and_standard_errors(make):
    f, args, data = make()
    start = {name: get_param(f, name) for name in f.params}
    expected = fit(f, args, data)
    for name, value in start.items():
        set_param(f, name, value)
    found = fit(at_once(f), args, data)
    assert found.iterations == expected.iterations
    for name, value in expected.estimates.items():
        np.testing.assert_allclose(found.estimates[name], value, rtol=1e-8)
        np.testing.assert_allclose(found.std_errors[name], expected.std_errors[name], rtol=1e-7)


def test_a_static_function_keeps_its_programs_from_fit_to_fit():
    static = at_once(line())
    for _ in range(3):
        fit(static, (XS,), {"ys": YS})
    for programs in static.trace_quantities.programs.values():
        assert len(programs.by_key) == 1


def test_a_static_fit_with_a_prior_has_the_same_maximum():
    f = line()
    expected = fit(f, (XS,), {"ys": YS}, priors={"slope": normal(0.0, 0.1)})
    found = fit(at_once(f), (XS,), {"ys": YS}, priors={"slope": normal(0.0, 0.1)})
    np.testing.assert_allclose(found.estimates["slope"], expected.estimates["slope"], rtol=1e-8)


def test_a_bootstrap_of_a_static_fit_draws_the_same():
    f = line()
    expected = fit(f, (XS,), {"ys": YS}).bootstrap(6, rng=0)
    found = fit(f, (XS,), {"ys": YS}, static=True).bootstrap(6, rng=0)
    np.testing.assert_allclose(found.table, expected.table, rtol=1e-6, atol=1e-8)


def test_a_single_fit_of_few_evaluations_records_nothing():
    f = line()
    static = gen(static=True)(f.body).with_params(f.params)
    fit(static, (XS,), {"ys": YS})
    assert not any(p.by_key for p in static.trace_quantities.programs.values())


def test_static_is_true_or_false_and_the_backend_is_known():
    with pytest.raises(InvalidValue, match="static is True or False"):
        fit(line(), (XS,), {"ys": YS}, static="numpy")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="backend is one of"):
        fit(line(), (XS,), {"ys": YS}, static=True, backend="nump")


# --- Samplers


def test_a_chain_of_nuts_is_the_same_for_a_static_function():
    table = datasets.eight_schools()

    def schools(se):
        mu = normal(0.0, 5.0) @ "mu"
        tau = half_cauchy(5.0) @ "tau"
        theta = normal(mu, tau, size=8) @ "theta"
        _ = normal(theta, se) @ "y"

    chains = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for static in (False, True):
            f = gen(static=static)(schools)
            start = {"mu": 4.0, "tau": 3.0, "theta": np.full(8, 4.0), "y": table["y"].astype(float)}
            trace, _ = f.generate((table["se"].astype(float),), start)
            rng, taus = np.random.default_rng(0), []
            for _ in range(10):
                trace, _ = nuts(trace, ["mu", "tau", "theta"], step_size=0.2, rng=rng)
                taus.append(trace["tau"])
            chains.append(taus)
    np.testing.assert_allclose(*chains, rtol=1e-6)
