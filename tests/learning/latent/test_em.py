"""Monte Carlo expectation maximisation: exact E steps, and those by inference."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product

import numpy as np
import pytest
from cells import Parts, expectation
from scipy import stats

from genparams import (
    SGD,
    ParamUpdate,
    bernoulli,
    fit,
    gen,
    init_param,
    mixture,
    normal,
    param,
    positive,
    unfold,
    unit_interval,
)
from genparams.dsl.likelihood.likelihood import Likelihood
from genparams.errors import (
    ArgumentError,
    InferenceError,
    InvalidValue,
    NoDensity,
    NotConverged,
    NothingToTrain,
    ProposalMismatch,
    ShapeError,
    UnusedConstraint,
)
from genparams.learning.latent.e_steps import (
    EStep,
    equally_weighted,
    filter_e_step,
    importance_e_step,
    mcmc_e_step,
)
from genparams.learning.latent.em import monte_carlo_em
from genparams.learning.sampling.hmc import hmc
from genparams.params.vector import Vector

YS = np.array([-1.3, 0.2, -0.4, 2.1, 3.0, 2.4, 1.9])


@gen
def pair():
    """One number from one of two normals."""
    high = bernoulli(param("share")) @ "high"
    means = param("means")
    return normal(means[int(high)], param("std")) @ "y"


DATA = [((), {"y": y}) for y in YS]


@pytest.fixture(autouse=True)
def start():
    begin_again()


def begin_again():
    init_param(pair, "share", 0.4, constraint=unit_interval)
    init_param(pair, "means", [-0.5, 1.5])
    init_param(pair, "std", 1.3, constraint=positive)


def by_enumeration(model, args, observed, rng):
    """Both values of `high`, with the log of the joint probability as weights."""
    traces = [model.generate(args, {**observed, "high": high})[0] for high in (False, True)]
    return traces, [trace.log_prob for trace in traces]


def log_marginal(share, means, std):
    densities = stats.norm.pdf(YS[:, None], means, std) @ [1.0 - share, share]
    return np.sum(np.log(densities))


def at(x):
    """The log marginal likelihood at these coordinates."""
    share = 1.0 / (1.0 + np.exp(-x[0]))
    return log_marginal(share, x[1:3], np.exp(x[3]))


def test_with_an_exact_e_step_the_gradient_is_that_of_the_marginal_likelihood():
    """Fisher's identity, against central differences in the coordinates."""
    x = np.array([np.log(0.4 / 0.6), -0.5, 1.5, np.log(1.3)])
    vector = Vector([pair.params[name] for name in ("share", "means", "std")])
    monte_carlo_em(pair, DATA, by_enumeration, ParamUpdate(SGD(1.0), pair), steps=1)
    h = 1e-5 * np.eye(4)
    slopes = [(at(x + step) - at(x - step)) / 2e-5 for step in h]
    np.testing.assert_allclose(vector.now() - x, slopes, rtol=1e-7, atol=1e-8)


def test_with_an_exact_e_step_every_iteration_climbs_to_the_maximum():
    """It is also the maximum that `fit` finds for the mixture with the choice summed out."""
    history = monte_carlo_em(pair, DATA, by_enumeration, steps=25)
    values = history.params
    each = zip(values["share"], values["means"], values["std"], strict=True)
    climbed = [log_marginal(*one) for one in each]
    assert np.all(np.diff(climbed) > -1e-12)
    best = fit(either, (len(YS),), {"ys": YS})
    assert best.log_likelihood == pytest.approx(climbed[-1], abs=1e-7)
    np.testing.assert_allclose(pair.params["means"].value, best.estimates["means"], atol=1e-3)
    assert history.objective == "expected complete log probability"
    assert history.stopped_because == "25 steps were taken"
    assert list(history.epochs) == list(range(1, 26))


@gen
def either(n):
    """The same numbers, with the choice between the normals summed out."""
    share, means = param("share", 0.4, unit_interval), param("means", np.array([-0.5, 1.5]))
    both = normal(means, param("std", 1.3, positive))
    return mixture([1.0 - share, share], both, size=n) @ "ys"


# --- E steps by inference


@gen
def guess_all(observed):
    return bernoulli(0.5) @ "high"


@gen
def guess(observed):
    return bernoulli(0.75 if observed["y"] > 1.0 else 0.25) @ "high"


def test_importance_sampling_weighs_the_gradient_and_estimates_the_marginal_likelihood():
    """Over every pair of draws of the proposal, each with the probabilities 1/4 and 3/4."""
    init_param(pair, "share", 0.25)
    means, std, y = np.array([-0.5, 1.5]), 1.3, 2.1

    def step(rng):
        init_param(pair, "means", means)
        e_step = importance_e_step(2, guess)
        update = ParamUpdate(SGD(1.0), {pair: ["means"]})
        history = monte_carlo_em(pair, ((), {"y": y}), e_step, update, steps=1, rng=rng)
        assert history.objective == "log marginal likelihood"
        return [np.exp(history.log_prob[0]), *(pair.params["means"].value - means)]

    found = expectation(step, 4, 2)
    p = np.array([0.75, 0.25]) * stats.norm.pdf(y, means, std)
    q = np.array([0.25, 0.75])
    gradient = np.zeros(2)
    for high in product((0, 1), repeat=2):
        w = (p / q)[list(high)]
        for k, v in zip(high, w / w.sum(), strict=True):
            gradient[k] += np.prod(q[list(high)]) * v * (y - means[k]) / std**2
    np.testing.assert_allclose(found, [p.sum(), *gradient], rtol=1e-12)


def test_later_gradient_steps_reweigh_the_estimate_of_the_marginal_likelihood():
    """With every value of the hidden choice drawn it is the marginal likelihood itself."""

    init_param(pair, "share", 0.5)
    update = ParamUpdate(SGD(0.1), {pair: ["means"]})
    data, e_step = ((), {"y": 2.1}), importance_e_step(2)
    history = monte_carlo_em(pair, data, e_step, update, steps=2, m_steps=2, rng=Parts((1, 0), 2))
    means = [np.array([-0.5, 1.5]), history.params["means"][0]]
    exact = [np.log(np.mean(stats.norm.pdf(2.1, m, 1.3))) for m in means]
    np.testing.assert_allclose(history.log_prob, exact, rtol=1e-12)
    assert list(history.epochs) == [1, 1]


def test_resampled_completions_have_equal_weights():
    seen = []
    plain = importance_e_step(30, resample=3)

    def noting(model, args, observed, rng):
        seen.append(plain.draw(model, args, observed, rng=rng))
        return seen[-1]

    update = ParamUpdate(SGD(0.01), pair)
    monte_carlo_em(pair, DATA[0], EStep(noting, plain.objective), update, steps=2, rng=0)
    assert [len(one.traces) for one in seen] == [3, 3]
    np.testing.assert_allclose(seen[0].weights, 1.0 / 3.0)


@gen
def factor(n):
    """Marginally each number is normal, with the variance load^2 + 1."""
    z = normal(np.zeros(n), 1.0) @ "z"
    return normal(param("mean", 0.0) + param("load", 0.5, positive) * z, 1.0) @ "xs"


XS = np.array([0.1, 3.2, -2.4, 1.7, 4.9, -0.6, 2.2, 0.4, -1.1, 2.6])


def gibbs(trace, rng):
    """A kernel that draws every z from its posterior, a normal."""
    mean, load = (factor.params[name].value for name in ("mean", "load"))
    var = 1.0 / (1.0 + load**2)
    z = rng.normal(load * var * (trace["xs"] - mean), np.sqrt(var))
    return trace.update({"z": z})[0], True


def start_factor():
    init_param(factor, "mean", 0.0)
    init_param(factor, "load", 0.5, constraint=positive)


def test_a_markov_chain_leads_to_the_maximum():
    """In closed form: the mean, and the variance less 1. The largest errors of 40 seeds were 0.21
    for the mean and 0.16 for the load.
    """
    start_factor()
    e_step = mcmc_e_step(gibbs, draws=10, warmup=10)
    data = ((len(XS),), {"xs": XS})
    history = monte_carlo_em(factor, data, e_step, steps=30, rng=0)
    last = {name: values[-20:].mean() for name, values in history.params.items()}
    assert last["mean"] == pytest.approx(np.mean(XS), abs=0.3)
    assert last["load"] == pytest.approx(np.sqrt(np.var(XS) - 1.0), abs=0.25)
    assert history.objective == "expected complete log probability"


def test_a_chain_goes_on_from_its_last_state_at_the_parameters_as_they_are():
    """Each kernel sees the state before, under the present parameters."""
    start_factor()
    seen = []

    def noting(trace, rng):
        assert not trace.is_stale
        seen.append(trace["z"].tolist())
        return gibbs(trace, rng)

    update = ParamUpdate(SGD(0.01), factor)
    data, e_step = ((2,), {"xs": XS[:2]}), mcmc_e_step(noting, draws=1, warmup=2)
    monte_carlo_em(factor, data, e_step, update, steps=3, rng=0)
    assert len(seen) == 2 + 3
    assert len({*map(tuple, seen)}) == 5


def test_a_kernel_learns_its_step_size_again_and_keeps_its_metric():
    start_factor()
    found = []

    def noting(trace, selection, step_size=0.5, metric=None, rng=None):
        found.append((step_size, metric))
        return hmc(trace, selection, step_size=step_size, steps=2, metric=metric, rng=rng)

    kernel = partial(noting, selection="z")
    data, e_step = ((2,), {"xs": XS[:2]}), mcmc_e_step(kernel, draws=1, warmup=30, rewarm=3)
    monte_carlo_em(factor, data, e_step, ParamUpdate(SGD(0.01), factor), steps=2, rng=0)
    settled, again = found[30], found[31:]
    steps = {step for step, _ in again}
    assert len(steps) == len(again) == 4
    assert settled[0] not in steps
    assert settled[1] is not None
    assert all(np.array_equal(metric, settled[1].value) for _, metric in again)


@gen
def weather_step(t, rain):
    chance = param("stay") if rain else 1.0 - param("stay")
    rain = bernoulli(chance) @ "rain"
    bernoulli(0.8 if rain else 0.3) @ "wet"
    return rain


weather = unfold(weather_step)
WET = np.array([True, False])
WEATHER = ((2, True), {(t, "wet"): wet for t, wet in enumerate(WET)})


def stages(args, observed):
    return [((t + 1, args[1]), {(t, "wet"): observed[t, "wet"]}) for t in range(args[0])]


def forward(stay):
    """p(wet) by the forward algorithm, after rain on the day before."""
    alpha = np.array([0.0, 1.0])
    for wet in WET:
        chance = np.array([0.3, 0.8])
        alpha = alpha @ [[stay, 1.0 - stay], [1.0 - stay, stay]]
        alpha = alpha * (chance if wet else 1.0 - chance)
    return alpha.sum()


def test_a_particle_filter_weighs_the_gradient_and_estimates_the_marginal_likelihood():
    """Over every draw of two particles that are not resampled. The estimate of the marginal
    likelihood is unbiased, and so is its product with the gradient.
    """

    def step(rng):
        init_param(weather_step, "stay", 0.75)
        e_step = filter_e_step(2, stages, ess_threshold=0.0)
        update = ParamUpdate(SGD(1.0), weather_step)
        history = monte_carlo_em(weather, WEATHER, e_step, update, steps=1, rng=rng)
        estimate = np.exp(history.log_prob[0])
        return [estimate, estimate * (weather_step.params["stay"].value - 0.75)]

    slope = (forward(0.75 + 1e-4) - forward(0.75 - 1e-4)) / 2e-4
    np.testing.assert_allclose(expectation(step, 4, 4), [forward(0.75), slope], rtol=1e-9)


def test_a_particle_filter_may_resample_before_each_stage():
    """The largest error of 100 seeds was 0.26."""
    init_param(weather_step, "stay", 0.75)
    e_step = filter_e_step(50, stages, ess_threshold=np.inf)
    update = ParamUpdate(SGD(1e-3), weather_step)
    history = monte_carlo_em(weather, WEATHER, e_step, update, steps=3, rng=0)
    assert history.objective == "log marginal likelihood"
    assert history.log_prob == pytest.approx(np.log(forward(0.75)), abs=0.4)


# --- Steps


def test_weights_count_in_the_value_and_its_derivatives():
    """A weight of 2 is a trace given twice, in the likelihood that an M step maximises."""
    traces = [pair.generate((), {"high": high, "y": 1.0})[0] for high in (False, True)]
    vector = Vector([pair.params[name] for name in ("share", "means", "std")])
    twice = Likelihood([traces[0], *[traces[1]] * 2], vector, {})
    weighted = Likelihood(traces, vector, {}, weights=[1.0, 2.0])
    x = vector.now() + 0.1
    assert weighted.log_prob(x) == pytest.approx(twice.log_prob(x), rel=1e-14)
    for kind in ("gradient", "hessian", "information"):
        for part, other in zip(getattr(weighted, kind)(x), getattr(twice, kind)(x), strict=True):
            np.testing.assert_allclose(part, other, rtol=1e-12)
    assert not weighted.scales(x).entries


def test_frozen_parameters_stay():
    pair.params["std"].freeze()
    monte_carlo_em(pair, DATA, by_enumeration, steps=2)
    assert pair.params["std"].value == pytest.approx(1.3)
    assert pair.params["means"].value[1] != 1.5


def test_a_plain_function_may_return_particles():
    def draw(model, args, observed, rng):
        trace, _ = model.generate(args, {**observed, "high": observed["y"] > 1.0})
        return equally_weighted([trace, trace])

    update = ParamUpdate(SGD(0.1), {pair: ["means"]})
    history = monte_carlo_em(pair, DATA, draw, update, steps=1)
    high = YS > 1.0
    log_probs = stats.norm.logpdf(YS, np.where(high, 1.5, -0.5), 1.3) + np.log(
        np.where(high, 0.4, 0.6)
    )
    assert history.log_prob[0] == pytest.approx(log_probs.sum(), rel=1e-12)


def test_a_resume_is_equal_to_the_bit_to_never_having_stopped(tmp_path):
    def run(steps, **options):
        update = ParamUpdate(SGD(0.05), pair)
        e_step = importance_e_step(3)
        return monte_carlo_em(pair, DATA, e_step, update, steps=steps, rng=4, **options)

    whole = run(5)
    file = tmp_path / "run.npz"
    begin_again()
    run(2, checkpoint=file)
    begin_again()
    resumed = run(5, checkpoint=file, resume=True)
    np.testing.assert_array_equal(resumed.log_prob, whole.log_prob)
    np.testing.assert_array_equal(resumed.params["means"], whole.params["means"])
    np.testing.assert_array_equal(resumed.epochs, whole.epochs)


def test_workers_give_the_same_bits():
    def run(executor):
        begin_again()
        update = ParamUpdate(SGD(0.05), pair)
        e_step = importance_e_step(2)
        return monte_carlo_em(pair, DATA, e_step, update, steps=2, rng=4, executor=executor)

    with ThreadPoolExecutor(2) as threads:
        np.testing.assert_array_equal(run(threads).params["means"], run(None).params["means"])


# --- Bad input


def of_importance(model=pair, data=DATA, **options):
    options = {"update": ParamUpdate(SGD(0.1), pair), "steps": 1, "rng": 0, **options}
    return lambda: monte_carlo_em(model, data, importance_e_step(2), **options)


def of_own(draw, objective="expected complete log probability"):
    update = ParamUpdate(SGD(0.1), pair)
    return lambda: monte_carlo_em(pair, DATA, EStep(draw, objective), update, steps=1)


def changing(trace, rng):
    return trace.update({"y": 0.0})[0], True


def completed(args, observed):
    return pair.generate(args, {**observed, "high": True})[0]


def ending(model, args, observed, rng):
    yield [completed(args, observed)], [0.0]


@gen
def outside(observed):
    return bernoulli(1.0) @ "high"


@gen
def never():
    high = bernoulli(0.0) @ "high"
    return normal(param("mean", 0.0), 1.0 + high) @ "y"


def of_never():
    never.simulate((), 0)
    update = ParamUpdate(SGD(0.1), never)
    return monte_carlo_em(never, DATA, importance_e_step(2, outside), update, steps=1)


def of_frozen():
    for name in ("share", "means", "std"):
        pair.params[name].freeze()
    return monte_carlo_em(pair, DATA, by_enumeration, steps=1)


BAD = {
    "no data": (of_importance(data=[]), InvalidValue, "no data"),
    "a stream": (of_importance(data=iter(DATA)), ArgumentError, "uses all data in each iteration"),
    "an observation that is never visited": (
        of_importance(data=((), {"z": 1.0})),
        UnusedConstraint,
        "pair never visited 'z'",
    ),
    "a proposal that makes an observed choice": (
        lambda: monte_carlo_em(
            pair, ((), {"high": True}), importance_e_step(2, guess_all), steps=1
        ),
        ProposalMismatch,
        "chooses 'high', which is observed",
    ),
    "weights that are all zero": (of_never, NoDensity, "all 2 weights are zero"),
    "a kernel that moves an observation": (
        lambda: monte_carlo_em(
            pair, DATA, mcmc_e_step(changing), ParamUpdate(SGD(0.1), pair), steps=1, rng=0
        ),
        InferenceError,
        "-1.3 was observed at 'y', and a trace of the E step has 0.0",
    ),
    "an update of another function": (
        of_importance(update=ParamUpdate(SGD(0.1), factor)),
        NothingToTrain,
        r"update moves factor\.\w+.*, and pair reads",
    ),
    "parameters that are all frozen": (
        of_frozen,
        NothingToTrain,
        "no parameter that is not frozen",
    ),
    "no samples": (lambda: importance_e_step(0), InvalidValue, "num_samples is a whole number"),
    "no draws": (lambda: mcmc_e_step(gibbs, draws=0), InvalidValue, "draws is a whole number"),
    "no kernel": (lambda: mcmc_e_step(3), ArgumentError, "a kernel is a function"),
    "no E step": (of_own(3), ArgumentError, "an E step is a function of"),
    "no stages": (
        lambda: monte_carlo_em(weather, WEATHER, filter_e_step(2, lambda a, o: []), steps=1),
        ArgumentError,
        r"stages leaves out the observation at \(0, 'wet'\)",
    ),
    "an objective that is not there": (
        of_own(by_enumeration, "log marginal likelihood"),
        InvalidValue,
        "the E step gives the log marginal likelihood nan",
    ),
    "another objective": (lambda: EStep(ending, "ELBO"), InvalidValue, "objective"),
    "no traces": (of_own(lambda m, a, o, rng: 0), ArgumentError, "an E step gives Particles"),
    "more weights than traces": (
        of_own(lambda m, a, o, rng: ([completed(a, o)], [0.0, 0.0])),
        ShapeError,
        "a log weight for each trace",
    ),
    "traces of another model": (
        of_own(lambda m, a, o, rng: ([factor.simulate((1,), 0)], [0.0])),
        ArgumentError,
        "traces of pair, got one of factor",
    ),
    "a generator that ends": (
        lambda: monte_carlo_em(pair, DATA, ending, ParamUpdate(SGD(0.1), pair), steps=2),
        ArgumentError,
        "the generator of an E step ended",
    ),
    "several M steps that go to the maximum": (
        lambda: monte_carlo_em(pair, DATA, by_enumeration, steps=1, m_steps=2),
        InvalidValue,
        "m_steps=2 is for gradient steps",
    ),
    "a checkpoint of a chain": (
        lambda: monte_carlo_em(pair, DATA, mcmc_e_step(gibbs), checkpoint="file.npz"),
        InvalidValue,
        "a checkpoint does not hold completions",
    ),
    "workers for a search": (
        lambda: monte_carlo_em(pair, DATA, by_enumeration, executor=0),
        InvalidValue,
        "executor is for gradient steps",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_maximised_is_refused(case):
    """And nothing waits in an accumulator."""
    learn, error, message = BAD[case]
    with pytest.raises(error, match=message):
        learn()
    assert not pair.params["means"].accumulated


def test_an_m_step_without_a_maximum_warns():
    """A single number from a normal: the likelihood of its standard deviation has no bound."""

    @gen
    def single():
        return normal(param("mean", 0.0), param("std", 1.0, positive)) @ "y"

    with pytest.warns(NotConverged, match="an M step of single did not end at a maximum"):
        monte_carlo_em(single, ((), {"y": 1.0}), importance_e_step(1), steps=1, rng=0)
