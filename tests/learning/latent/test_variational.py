"""black_box_vi and black_box_vimco: what they learn, what they record, and what they refuse."""

import re
import warnings
from typing import Any

import numpy as np
import pytest
from scipy import special

from genparams import (
    ADAM,
    SGD,
    FixedStepGradientDescent,
    ParamUpdate,
    bernoulli,
    custom_random,
    gamma,
    gen,
    get_param,
    get_param_grad,
    init_param,
    map_,
    mvnormal,
    normal,
    param,
    poisson,
    positive,
    product,
    select,
)
from genparams.errors import (
    AddressConflict,
    ArgumentError,
    DistributionError,
    GuideMismatch,
    ImpossibleTrace,
    InvalidValue,
    NonFiniteGradient,
    NothingToTrain,
    ReplayDiffers,
    ShapeError,
    TracedValueError,
    UnknownAddress,
    UntrainedParameter,
    UnusedConstraint,
)
from genparams.learning.latent.bound_gradients import (
    accumulate_elbo_gradients,
    accumulate_vimco_gradients,
)
from genparams.learning.latent.variational import black_box_vi, black_box_vimco

YS = np.array([1.2, 0.3, 2.1, 1.6, 0.9])


@gen
def noisy(count):
    mu = normal(0.0, param("spread", 2.0, positive)) @ "mu"
    normal(mu, 1.0, size=count) @ "ys"


@gen
def guess():
    normal(param("mean"), param("std")) @ "mu"


@pytest.fixture(autouse=True)
def start():
    init_param(noisy, "spread", 2.0, constraint=positive)
    init_param(guess, "mean", 0.0)
    init_param(guess, "std", 1.0, constraint=positive)


def posterior(spread):
    """The mean and the standard deviation of mu, and log p(ys)."""
    precision = len(YS) + 1.0 / spread**2
    cov = np.eye(len(YS)) + spread**2
    log_p = -0.5 * YS @ np.linalg.solve(cov, YS) - 0.5 * np.linalg.slogdet(2.0 * np.pi * cov)[1]
    return YS.sum() / precision, precision**-0.5, log_p


def test_the_guide_becomes_the_posterior():
    """The pathwise gradient vanishes there for every draw, so that the steps end exactly."""
    update = ParamUpdate(SGD(0.02), guess)
    history = black_box_vi(
        noisy, (5,), {"ys": YS}, guess, (), update, steps=400, num_particles=8, rng=0
    )
    mean, std, log_p = posterior(2.0)
    assert get_param(guess, "mean") == pytest.approx(mean, abs=0.05)
    assert get_param(guess, "std") == pytest.approx(std, abs=0.05)
    assert history.objective == "ELBO"
    assert history.log_prob[-1] == pytest.approx(log_p, abs=0.05)
    assert get_param(noisy, "spread") == 2.0
    assert len(history.log_prob) == 400


def test_the_model_is_trained_with_the_guide():
    """The maximum of log p(ys) over the spread: spread^2 = mean^2 - 1 / n."""
    updates = [ParamUpdate(ADAM(0.02), guess), ParamUpdate(ADAM(0.02), noisy)]
    black_box_vi(noisy, (5,), {"ys": YS}, guess, (), updates, steps=600, num_particles=8, rng=1)
    assert get_param(noisy, "spread") == pytest.approx(np.sqrt(YS.mean() ** 2 - 0.2), abs=0.1)


def test_the_loop_in_the_open_gives_the_same_bits():
    update = ParamUpdate(ADAM(0.1), guess, noisy)
    rng, found = np.random.default_rng(3), []
    for _ in range(20):
        found.append(
            accumulate_elbo_gradients(noisy, (5,), {"ys": YS}, guess, num_particles=2, rng=rng)
        )
        update.apply()
    values = get_param(guess, "mean"), get_param(noisy, "spread")
    init_param(noisy, "spread", 2.0)
    init_param(guess, "mean", 0.0)
    init_param(guess, "std", 1.0)
    update = ParamUpdate(ADAM(0.1), guess, noisy)
    history = black_box_vi(
        noisy, (5,), {"ys": YS}, guess, (), update, steps=20, num_particles=2, rng=3
    )
    assert list(history.log_prob) == found
    assert (get_param(guess, "mean"), get_param(noisy, "spread")) == values


def test_a_run_that_is_resumed_gives_the_same_bits(tmp_path):
    def run(steps, **options):
        init_param(guess, "mean", 0.0)
        init_param(guess, "std", 1.0)
        update = ParamUpdate(ADAM(0.1), guess)
        return black_box_vi(
            noisy, (5,), {"ys": YS}, guess, (), update, steps=steps, rng=4, **options
        )

    whole = run(10)
    file = tmp_path / "run.npz"
    run(4, checkpoint=file)
    resumed = run(10, checkpoint=file, resume=True)
    assert list(resumed.log_prob) == list(whole.log_prob)
    assert list(resumed.params["mean"]) == list(whole.params["mean"])


def test_the_parameters_that_no_update_covers_get_no_gradient():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        black_box_vi(
            noisy, (5,), {"ys": YS}, guess, (), ParamUpdate(SGD(0.01), guess), steps=3, rng=0
        )
    assert not noisy.params["spread"].accumulated
    update = ParamUpdate(SGD(0.01), {guess: ["mean"]})
    with pytest.warns(UntrainedParameter, match=r"guess reads guess.std, and no update moves it"):
        black_box_vi(noisy, (5,), {"ys": YS}, guess, (), update, steps=3, rng=0)


def test_parameters_that_the_body_declares_are_trained_from_the_first_step():
    @gen
    def new():
        normal(param("mean", 0.0), param("std", 1.0, positive)) @ "mu"

    update = ParamUpdate(SGD(0.05), new)
    history = black_box_vi(noisy, (5,), {"ys": YS}, new, (), update, steps=2, rng=0)
    assert list(history.steps) == [1, 2]
    assert get_param(new, "mean") != 0.0


def test_several_samples_are_a_tighter_bound():
    update = ParamUpdate(FixedStepGradientDescent(1e-9), guess)
    options = {"update": update, "steps": 200, "rng": 0}
    one = black_box_vi(noisy, (5,), {"ys": YS}, guess, (), **options)
    many = black_box_vimco(noisy, (5,), {"ys": YS}, guess, (), num_particles=10, **options)
    assert many.objective == "multi-sample bound"
    log_p = posterior(2.0)[2]
    assert np.mean(one.log_prob) < np.mean(many.log_prob) < log_p + 0.2


@pytest.mark.parametrize("baseline", ["geometric", "arithmetic"])
def test_vimco_learns_a_discrete_posterior(baseline):
    @gen
    def model():
        rain = bernoulli(0.2) @ "rain"
        bernoulli(0.9 if rain else 0.1) @ "wet"

    @gen
    def guide():
        bernoulli(logits=param("logit", 0.0)) @ "rain"

    update = ParamUpdate(ADAM(0.05), guide)
    black_box_vimco(
        model,
        (),
        {"wet": True},
        guide,
        (),
        update,
        num_particles=5,
        baseline=baseline,
        steps=400,
        rng=0,
    )
    posterior = 0.2 * 0.9 / (0.2 * 0.9 + 0.8 * 0.1)
    assert special.expit(get_param(guide, "logit")) == pytest.approx(posterior, abs=0.15)


# --- Structured models


def test_choices_of_called_functions_and_of_combinators_are_guided():
    @gen
    def row(x):
        z = normal(0.0, 1.0) @ "z"
        normal(z + x, 1.0) @ "y"

    @gen
    def rows(xs):
        map_(row)(xs) @ "rows"

    @gen
    def row_guide(mean):
        normal(mean, param("std", 1.0, positive)) @ "z"

    @gen
    def guide(ys, xs):
        map_(row_guide)(list(param("slope", 0.0) * (np.array(ys) - np.array(xs)))) @ "rows"

    xs, ys = [0.0, 1.0, 2.0], [1.0, 0.5, 3.0]
    update = ParamUpdate(ADAM(0.05), guide, callees=True)
    observed = {("rows", i, "y"): y for i, y in enumerate(ys)}
    options: Any = {"steps": 60, "num_particles": 10, "rng": 0}
    black_box_vi(rows, (xs,), observed, guide, (ys, xs), update, **options)
    assert get_param(guide, "slope") == pytest.approx(0.5, abs=0.1)
    assert get_param(row_guide, "std") == pytest.approx(np.sqrt(0.5), abs=0.1)


def test_vectors_and_tuples_move_with_their_arguments():
    @gen
    def model():
        x = mvnormal(np.zeros(2), np.eye(2)) @ "x"
        pair = product([normal(0.0, 1.0), gamma(2.0, rate=1.0)]) @ "pair"
        normal(x[0] + pair[0] + pair[1], 1.0) @ "y"

    @gen
    def guide():
        mvnormal(param("mean", np.zeros(2)), np.eye(2)) @ "x"
        product([normal(param("a", 0.0), 1.0), gamma(param("b", 2.0, positive), rate=1.0)]) @ "pair"

    accumulate_elbo_gradients(model, (), {"y": 1.3}, guide, num_particles=3, rng=0)
    assert np.all(get_param_grad(guide, "mean") != 0.0)
    assert get_param_grad(guide, "a") != 0.0
    assert get_param_grad(guide, "b") != 0.0


def test_a_random_function_with_gradients_by_hand_has_the_score_function():
    coin = custom_random(
        lambda rng, p: rng.random() < p,
        lambda x, p: np.log(p if x else 1.0 - p),
        lambda x, p: (None, 1.0 / p if x else -1.0 / (1.0 - p)),
    )

    @gen
    def model():
        normal(1.0 if coin(0.5) @ "side" else 0.0, 1.0) @ "y"

    @gen
    def guide():
        coin(param("p", 0.5)) @ "side"

    found = accumulate_elbo_gradients(model, (), {"y": 2.0}, guide, rng=0)
    assert np.isfinite(found)
    assert get_param_grad(guide, "p") != 0.0


# --- The polynomial decoder of Gen.jl's issue 302


@gen
def decoder(count):
    c, lin, quad, cub = (param(name) for name in ("c", "lin", "quad", "cub"))
    for i in range(count):
        z = normal(0.0, 1.0) @ ("z", i)
        normal(c + lin * z + quad * z**2 + cub * z**3, 1.0) @ ("y", i)


@gen
def encoder(ys):
    c, lin, quad, cub = (param(name) for name in ("c", "lin", "quad", "cub"))
    for i, y in enumerate(ys):
        normal(c + lin * y + quad * y**2 + cub * y**3, np.exp(param("log_std"))) @ ("z", i)


@pytest.fixture
def polynomials():
    for f in (decoder, encoder):
        for name in ("c", "lin", "quad", "cub"):
            init_param(f, name, 0.0)
    init_param(encoder, "log_std", 0.0)
    z = np.random.default_rng(0).normal(size=20)
    ys = 1.0 - 2.0 * z + 0.5 * z**2 + np.random.default_rng(1).normal(size=20)
    return ys.tolist(), {("y", i): y for i, y in enumerate(ys)}


@pytest.mark.parametrize("estimator", [None, "score"])
def test_nothing_is_nan_on_the_polynomial_decoder(polynomials, estimator):
    ys, observed = polynomials
    options = {"baseline": "leave_one_out", "num_particles": 4} if estimator else {}
    history = black_box_vi(
        *(decoder, (20,), observed, encoder, (ys,)),
        ParamUpdate(ADAM(0.02), encoder, decoder),
        steps=60 if estimator else 150,
        estimator=estimator,
        rng=2,
        **options,
    )
    assert np.all(np.isfinite(history.log_prob))
    assert np.mean(history.log_prob[-10:]) > np.mean(history.log_prob[:10]) + 10.0
    assert all(np.all(np.isfinite(v)) for v in history.params.values())


@pytest.mark.parametrize("estimator", [None, "score"])
def test_steps_that_are_too_long_end_in_an_error_that_names_the_choice(polynomials, estimator):
    ys, observed = polynomials
    update = ParamUpdate(FixedStepGradientDescent(1.0), encoder, decoder)
    overflows = (ImpossibleTrace, GuideMismatch, NonFiniteGradient, DistributionError)
    with pytest.raises((*overflows, OverflowError)) as e:
        black_box_vi(
            *(decoder, (20,), observed, encoder, (ys,), update),
            steps=100,
            estimator=estimator,
            rng=2,
        )
    assert e.type is OverflowError or re.search(r"\('[yz]', \d+\)", str(e.value))
    for f in (decoder, encoder):
        for p in f.params.values():
            assert np.isfinite(p.value)
            assert not p.accumulated


# --- What is refused


@gen
def observed_too():
    normal(param("mean", 0.0), 1.0) @ "mu"
    normal(0.0, 1.0, size=5) @ "ys"


@gen
def misspelt():
    normal(param("mean", 0.0), 1.0) @ "nu"


@gen
def too_wide():
    normal(param("mean", -9.0), 1.0) @ "rate"


@gen
def counts():
    rate = gamma(2.0, rate=1.0) @ "rate"
    poisson(np.exp(0.1 * rate)) @ "count"


@gen
def continuous_count():
    normal(param("mean", 1.0), 1.0) @ "count"


@gen
def a_vector():
    normal(param("means", np.zeros(2)), 1.0) @ "mu"


@gen
def coins():
    bernoulli(param("p", 0.5)) @ "coin"


@gen
def coin_model():
    coin = bernoulli(0.5) @ "coin"
    normal(1.0 * coin, 1.0) @ "y"


@gen
def caught():
    mean = param("mean", 0.0)
    try:
        mean = float(mean)
    except TracedValueError:
        mean = 0.0
    normal(mean, 1.0) @ "mu"


@gen
def at_random():
    normal(param("mean", 0.0) + np.random.default_rng().normal(), 1.0) @ "mu"


@gen
def cut():
    normal(param("mean", 0.0), 1.0) @ "mu"
    normal(int(param("mean")), 1.0) @ "nu"


SEEN = {"ys": YS}
BAD = {
    "an observed choice": (
        (noisy, (5,), SEEN, observed_too, ()),
        {},
        AddressConflict,
        r"observed_too makes a choice at 'ys', which is observed; a guide makes the choices",
    ),
    "an observation that is not visited": (
        (noisy, (5,), {"yy": YS}, guess, ()),
        {},
        UnusedConstraint,
        r"noisy never visited 'yy'; did you mean 'ys'",
    ),
    "a choice that the model does not make": (
        (noisy, (5,), SEEN, misspelt, ()),
        {},
        GuideMismatch,
        r"misspelt makes a choice at 'nu', which the model noisy never visits; .*'mu'",
    ),
    "a value outside the support": (
        (counts, (), {"count": 3}, too_wide, ()),
        {},
        GuideMismatch,
        r"too_wide drew -\d.* at 'rate', where the log probability of the model counts is -inf: "
        r".*support of gamma.*transformed\(normal",
    ),
    "a number for a discrete choice": (
        (counts, (), {"rate": 3.0}, continuous_count, ()),
        {},
        GuideMismatch,
        r"'count' is continuous, and the model's is of poisson, which is discrete",
    ),
    "another shape": (
        (noisy, (5,), SEEN, a_vector, ()),
        {},
        GuideMismatch,
        r"choice at 'mu' does not fit the model: a value of normal has shape \(\) here, got \(2,\)",
    ),
    "an impossible observation": (
        (counts, (), {"count": -1}, too_wide, ()),
        {"estimator": "score"},
        (GuideMismatch, ImpossibleTrace),
        r"count|rate",
    ),
    "pathwise for a discrete choice": (
        (coin_model, (), {"y": 0.3}, coins, ()),
        {"estimator": "pathwise"},
        DistributionError,
        r"'coin' is a choice of bernoulli, which is discrete and has no path derivatives; write "
        r"estimator=\{'coin': \"score\"\}",
    ),
    "an estimator of another name": (
        (noisy, (5,), SEEN, guess, ()),
        {"estimator": "reparameterized"},
        InvalidValue,
        r'estimator is None, "score", "pathwise".*got',
    ),
    "an estimator for another choice": (
        (noisy, (5,), SEEN, guess, ()),
        {"estimator": {"nu": "score"}},
        UnknownAddress,
        r"nothing at or below the selected address 'nu'",
    ),
    "a baseline of one particle": (
        (noisy, (5,), SEEN, guess, ()),
        {"baseline": "leave_one_out"},
        InvalidValue,
        r"write num_particles=2 or more, got 1",
    ),
    "a baseline of another name": (
        (noisy, (5,), SEEN, guess, ()),
        {"baseline": "mean", "num_particles": 2},
        InvalidValue,
        r"no baseline of kind 'mean'",
    ),
    "no particle": (
        (noisy, (5,), SEEN, guess, ()),
        {"num_particles": 0},
        InvalidValue,
        r"num_particles is a whole number of at least 1, got 0",
    ),
    "arguments that are no tuple": (
        (noisy, 5, SEEN, guess, ()),
        {},
        ArgumentError,
        r"args of the model noisy is one tuple, got 5; write args=\(count,\)",
    ),
    "a function that is not generative": (
        (noisy, (5,), SEEN, np.sin, ()),
        {},
        ArgumentError,
        r"the guide is a generative function, got",
    ),
    "a body that goes on without a derivative": (
        (noisy, (5,), SEEN, caught, ()),
        {},
        TracedValueError,
        r"a body catches an error about a value that is being differentiated",
    ),
    "a body that draws by itself": (
        (noisy, (5,), SEEN, at_random, ()),
        {},
        ReplayDiffers,
        r"at 'mu' the log probability was .* The body draws at random by itself",
    ),
    "a use that would lose the derivative": (
        (noisy, (5,), SEEN, cut, ()),
        {},
        TracedValueError,
        r"int\(\) cannot take a value .* in cut after the choice 'mu'",
    ),
    "a scale that is not finite": (
        (noisy, (5,), SEEN, guess, ()),
        {"scale": np.nan},
        InvalidValue,
        r"scale must be a finite number",
    ),
}


@pytest.mark.parametrize("row", BAD, ids=str)
def test_bad_input_is_refused_and_accumulates_nothing(row):
    args, options, error, words = BAD[row]
    with pytest.raises(error, match=words):
        accumulate_elbo_gradients(*args, rng=0, **options)
    for f in (noisy, guess):
        assert not any(p.accumulated for p in f.params.values())


def test_vimco_needs_two_particles():
    update = ParamUpdate(SGD(0.1), guess)
    for count in (0, 1):
        with pytest.raises(InvalidValue, match="num_particles"):
            black_box_vimco(
                noisy, (5,), {"ys": YS}, guess, (), update, num_particles=count, steps=1
            )
    with pytest.raises(InvalidValue, match=r"2 or more, or black_box_vi for one particle"):
        accumulate_vimco_gradients(noisy, (5,), {"ys": YS}, guess, num_particles=1)
    with pytest.raises(InvalidValue, match=r"no baseline of kind 'mean'"):
        accumulate_vimco_gradients(noisy, (5,), {"ys": YS}, guess, num_particles=2, baseline="mean")


def test_an_update_of_other_functions_is_refused():
    init_param(coins, "p", 0.5)
    update = ParamUpdate(SGD(0.1), coins)
    with pytest.raises(NothingToTrain, match=r"moves coins.p, and the guide guess and the model"):
        black_box_vi(noisy, (5,), {"ys": YS}, guess, (), update, steps=3, rng=0)
    assert not any(p.accumulated for p in guess.params.values())


def test_an_estimator_may_be_given_by_selection():
    found = [
        accumulate_elbo_gradients(noisy, (5,), {"ys": YS}, guess, estimator=estimator, rng=0)
        for estimator in ({select("mu"): "score"}, "score")
    ]
    assert found[0] == found[1]
    assert get_param_grad(guess, "mean") != 0.0


# --- Particles as arrays


@gen
def noisy_particles(particles, count):
    mu = normal(0.0, 2.0, size=particles) @ "mu"
    normal(mu[:, None], 1.0, size=(particles, count)) @ "ys"


@gen
def guess_particles(particles):
    normal(param("mean", 0.0), param("std", 1.0, positive), size=particles) @ "mu"


@gen
def without_axis(particles, count):
    mu = normal(0.0, 2.0) @ "mu"
    normal(mu, 1.0, size=count) @ "ys"


@gen
def data_in_place_of_particles(particles, count):
    mu = normal(0.0, 2.0, size=particles) @ "mu"
    normal(mu, 1.0) @ "ys"


@gen
def particles_mixed(particles, count):
    mu = normal(0.0, 2.0, size=particles) @ "mu"
    normal(np.mean(mu) + mu[:, None], 1.0, size=(particles, count)) @ "ys"


@gen
def a_mean_for_each_particle(particles):
    normal(param("means", np.arange(5.0)), 1.0, size=particles) @ "mu"


@pytest.mark.parametrize("baseline", [None, "leave_one_out"])
def test_the_guide_becomes_the_posterior_with_particles_as_arrays(baseline):
    init_param(guess_particles, "mean", 0.0)
    init_param(guess_particles, "std", 1.0)
    black_box_vi(
        *(noisy_particles, (16, 5), {"ys": YS}, guess_particles, (16,)),
        ParamUpdate(ADAM(0.03), guess_particles),
        num_particles=16,
        vectorized=True,
        estimator="score" if baseline else None,
        baseline=baseline,
        steps=250,
        rng=0,
    )
    mean, std, _ = posterior(2.0)
    assert get_param(guess_particles, "mean") == pytest.approx(mean, abs=0.1)
    assert get_param(guess_particles, "std") == pytest.approx(std, abs=0.1)


@pytest.mark.parametrize("estimate", [accumulate_elbo_gradients, accumulate_vimco_gradients])
@pytest.mark.parametrize(
    ("model", "guide", "particles", "words"),
    [
        (without_axis, guess, 3, r"'mu' has shape \(\), without the 3 particles .*size=\(3,\)"),
        (data_in_place_of_particles, guess_particles, 5, r"5 particles are not independent.*'ys'"),
        (particles_mixed, guess_particles, 5, r"particles_mixed the 5 particles are not indep"),
        (noisy_particles, a_mean_for_each_particle, 5, r"a_mean_for_each_particle the 5 part"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_particles_that_are_no_independent_entries_are_refused(
    estimate, model, guide, particles, words
):
    args = () if guide is guess else (particles,)
    with pytest.raises(ShapeError, match=words):
        estimate(
            *(model, (particles, 5), {"ys": YS}, guide, args),
            num_particles=particles,
            vectorized=True,
            rng=0,
        )


def test_a_choice_without_the_axis_is_refused_by_name_in_the_score_function_too():
    with pytest.raises(ShapeError, match=r"'mu' has shape \(\), without the 3 particles"):
        accumulate_elbo_gradients(
            *(without_axis, (3, 5), {"ys": YS}, guess, ()),
            num_particles=3,
            vectorized=True,
            estimator="score",
            rng=0,
        )
