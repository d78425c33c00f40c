"""Wake-sleep, plain and reweighted: expected gradients by enumeration, and what is learned."""

from itertools import product

import numpy as np
import pytest
from cells import expectation

from genparams import (
    ADAM,
    SGD,
    ParamUpdate,
    bernoulli,
    gen,
    init_param,
    normal,
    param,
    positive,
    uniform,
    unit_interval,
)
from genparams.errors import (
    AddressConflict,
    ArgumentError,
    GuideMismatch,
    ImpossibleTrace,
    InvalidValue,
    NoDensity,
    NothingToTrain,
    UnknownAddress,
    UnusedConstraint,
    UpdateError,
)
from genparams.learning.latent.wake_sleep import reweighted_wake_sleep, wake_sleep


@gen
def lawn():
    rain = bernoulli(param("rain")) @ "rain"
    return bernoulli(param("wet")[int(rain)]) @ "wet"


@gen
def guess(observed):
    return bernoulli(param("rain")[int(observed["wet"])]) @ "rain"


A, W, T = 0.25, np.array([0.25, 0.75]), np.array([0.25, 0.5])
"""p(rain), p(wet | rain) and q(rain | wet): multiples of 1/4, so that draws can be enumerated."""
WET, DRY = ((), {"wet": True}), ((), {"wet": False})
BOTH = (False, True)


@pytest.fixture(autouse=True)
def start():
    start_again()


def start_again():
    init_param(lawn, "rain", A)
    init_param(lawn, "wet", W)
    init_param(guess, "rain", T)


def bern(x, probs):
    return probs if x else 1.0 - probs


def p(z, x):
    return bern(z, A) * bern(x, W[int(z)])


def q(z, x):
    return bern(z, T[int(x)])


def slope(x, probs):
    """The derivative of log bern(x, probs) by probs."""
    return 1.0 / probs if x else -1.0 / (1.0 - probs)


def by_model(z, x):
    """The gradient of log p(z, x) by `rain` and the two entries of `wet`."""
    by_wet = np.where(np.arange(2) == int(z), slope(x, W[int(z)]), 0.0)
    return np.array([slope(z, A), *by_wet])


def by_guide(z, x):
    """The gradient of log q(z | x) by the two entries of `rain`."""
    return np.where(np.arange(2) == int(x), slope(z, T[int(x)]), 0.0)


def updates():
    return ParamUpdate(SGD(1.0), lawn), ParamUpdate(SGD(1.0), guess)


def moved(learn):
    """How far one step of a rate of 1 moves the model, then the guide: their gradients."""
    start_again()
    history = learn()
    model = [lawn.params["rain"].value - A, *(lawn.params["wet"].value - W)]
    return np.array([*model, *(guess.params["rain"].value - T)]), history.log_prob[0]


# --- Wake-sleep


def test_the_expected_gradients_are_those_of_the_two_phases():
    """Over every draw of both phases: one choice of the guide, then two of the model."""
    found = expectation(
        lambda rng: moved(lambda: wake_sleep(lawn, guess, WET, *updates(), steps=1, rng=rng))[0],
        4,
        3,
    )
    wake = np.sum([q(z, True) * by_model(z, True) for z in BOTH], axis=0)
    sleep = np.sum([p(z, x) * by_guide(z, x) for z, x in product(BOTH, BOTH)], axis=0)
    np.testing.assert_allclose(found, [*wake, *sleep], rtol=1e-12, atol=1e-14)


def test_the_expected_objective_is_the_bound():
    found = expectation(
        lambda rng: moved(lambda: wake_sleep(lawn, guess, DRY, *updates(), steps=1, rng=rng))[1],
        4,
        3,
    )
    bound = sum(q(z, False) * np.log(p(z, False) / q(z, False)) for z in BOTH)
    assert found == pytest.approx(bound, rel=1e-12)


def test_several_draws_are_averaged():
    """With the guide held there is no sleep phase."""
    update, _ = updates()

    def learn(rng):
        return wake_sleep(lawn, guess, WET, update, num_samples=2, steps=1, rng=rng)

    found = expectation(lambda rng: moved(lambda: learn(rng))[0], 4, 2)
    wake = np.sum([q(z, True) * by_model(z, True) for z in BOTH], axis=0)
    np.testing.assert_allclose(found, [*wake, 0.0, 0.0], rtol=1e-12, atol=1e-14)


def test_without_an_update_the_model_is_held():
    _, update = updates()
    found, _ = moved(lambda: wake_sleep(lawn, guess, WET, None, update, steps=1, rng=0))
    assert np.all(found[:3] == 0.0)
    assert np.any(found[3:] != 0.0)
    assert not lawn.params["rain"].accumulated


# --- Reweighted wake-sleep


def exact_step(x, particles):
    """The expectation of the wake phase over every tuple of particles, and of the mean weight."""
    found, weight = np.zeros(5), 0.0
    for zs in product(BOTH, repeat=particles):
        w = np.array([p(z, x) / q(z, x) for z in zs])
        each = [np.concatenate([by_model(z, x), by_guide(z, x)]) for z in zs]
        chance = np.prod([q(z, x) for z in zs])
        found += chance * (w / w.sum()) @ np.array(each)
        weight += chance * w.mean()
    return found, weight


def reweighted(x, particles, sleep=0.0):
    def learn(rng):
        data, both = ((), {"wet": x}), updates()
        return reweighted_wake_sleep(
            lawn, guess, data, *both, num_particles=particles, sleep=sleep, steps=1, rng=rng
        )

    return lambda rng: moved(lambda: learn(rng))


@pytest.mark.parametrize("x", BOTH)
def test_the_expected_reweighted_gradients_are_those_of_every_tuple(x):
    found = expectation(lambda rng: reweighted(x, 2)(rng)[0], 4, 2)
    np.testing.assert_allclose(found, exact_step(x, 2)[0], rtol=1e-12, atol=1e-14)


def test_the_mean_weight_is_the_marginal_likelihood():
    """The exponential of the objective is unbiased."""
    found = expectation(lambda rng: np.exp(reweighted(True, 3)(rng)[1]), 4, 3)
    assert found == pytest.approx(p(False, True) + p(True, True), rel=1e-12)


def test_the_bias_falls_with_the_number_of_particles():
    """The gradient of log p(x) is the mean gradient under the posterior (Fisher's identity)."""
    marginal = sum(p(z, False) for z in BOTH)
    exact = sum(p(z, False) / marginal * by_model(z, False) for z in BOTH)
    biases = [
        np.abs(expectation(lambda rng, k=k: reweighted(False, k)(rng)[0], 4, k)[:3] - exact).max()
        for k in (1, 2, 3)
    ]
    assert biases[0] > 1.5 * biases[1] > 2.0 * biases[2]


def test_the_guide_learns_from_both_phases_in_the_given_shares():
    """One particle, whose weight is 1, then a draw of the model."""
    found = expectation(lambda rng: reweighted(True, 1, sleep=0.25)(rng)[0], 4, 3)
    wake = sum(q(z, True) * by_guide(z, True) for z in BOTH)
    sleep = sum(p(z, x) * by_guide(z, x) for z, x in product(BOTH, BOTH))
    np.testing.assert_allclose(found[3:], 0.75 * wake + 0.25 * sleep, rtol=1e-12, atol=1e-14)


def test_particles_without_weight_are_left_out():
    @gen
    def bounded():
        z = uniform(0.0, 1.0) @ "z"
        return normal(param("m", 0.0) + z, 1.0) @ "x"

    @gen
    def wide(observed):
        return normal(param("centre", 0.5), 1.0) @ "z"

    update = ParamUpdate(SGD(1.0), bounded)
    wide.simulate(({},), 0)
    rng = np.random.default_rng(0)
    zs = rng.normal(size=20) + 0.5
    inside = (zs > 0.0) & (zs < 1.0)
    assert 0 < inside.sum() < 20
    reweighted_wake_sleep(bounded, wide, ((), {"x": 1.0}), update, num_particles=20, steps=1, rng=0)
    z = zs[inside]
    w = np.exp(-0.5 * (1.0 - z) ** 2 + 0.5 * (z - 0.5) ** 2)
    assert bounded.params["m"].value == pytest.approx(w / w.sum() @ (1.0 - z), rel=1e-10)


# --- Particles as arrays


@gen
def signal(n, size):
    z = normal(param("mean", 0.5), 1.0, size=size) @ "z"
    shift = z[..., None] if size else z
    return normal(shift * np.ones(n), param("noise", 0.8, constraint=positive)) @ "ys"


@gen
def reader(ys, size):
    mean = param("slope", 0.4) * np.mean(ys, axis=-1)
    return normal(mean, param("std", 0.6, constraint=positive), size=size) @ "z"


YS = np.array([0.3, 1.4, 0.9])


def step_of(size, sleep):
    """The objective of a step with five particles, and the parameters after it."""
    store = {"mean": 0.5, "noise": 0.8}, {"slope": 0.4, "std": 0.6}
    for f, values in zip((signal, reader), store, strict=True):
        for name, value in values.items():
            init_param(f, name, value, constraint=positive if name in ("noise", "std") else None)
    history = reweighted_wake_sleep(
        signal,
        reader,
        ((3, size), {"ys": YS}),
        *[ParamUpdate(SGD(0.1), f) for f in (signal, reader)],
        guide_args=lambda args, observed: (observed["ys"], args[1]),
        num_particles=5,
        sleep=sleep,
        vectorized=size is not None,
        steps=1,
        rng=3,
    )
    values = [f.params[n].value for f in (signal, reader) for n in f.params]
    return np.array([history.log_prob[0], *values])


def test_particles_as_arrays_take_the_same_step():
    """A generator gives five draws at once as it gives them one by one."""
    np.testing.assert_allclose(step_of(5, 0.0), step_of(None, 0.0), rtol=1e-12)


def test_the_sleep_phase_of_arrays_is_the_mean_over_what_the_model_draws():
    step_of(5, 1.0)
    found = [reader.params[n].value for n in ("slope", "std")]
    rng = np.random.default_rng(3)
    rng.normal(size=5)  # of the guide, in the wake phase
    zs = 0.5 + rng.normal(size=5)
    means = np.mean(zs[:, None] + 0.8 * rng.normal(size=(5, 3)), axis=1)
    errors = zs - 0.4 * means
    slope = 0.4 + 0.1 * np.mean(errors * means) / 0.36
    log_std = np.log(0.6) + 0.1 * np.mean(errors**2 / 0.36 - 1.0)
    assert found == pytest.approx([slope, np.exp(log_std)], rel=1e-12)


# --- Learning


@gen
def days(n):
    rain = bernoulli(param("rain", A, constraint=unit_interval), size=n) @ "rain"
    return bernoulli(W[rain.astype(int)]) @ "wet"


@gen
def guesses(n, observed):
    table = param("rain", T, constraint=unit_interval)
    return bernoulli(table[observed["wet"].astype(int)]) @ "rain"


def test_wake_sleep_learns_the_maximum_and_the_posterior():
    """On 500 days of which 60 % are wet: p(rain) = 0.7 gives this share, in closed form.

    The largest errors of 100 seeds were 0.033 for p(rain) and 0.045 for the guide.
    """
    data = ((500,), {"wet": np.arange(500) < 300})
    guesses.simulate((1, {"wet": np.zeros(1)}), 0)
    days.simulate((1,), 0)
    both = ParamUpdate(ADAM(0.05), days), ParamUpdate(ADAM(0.1), guesses)
    history = wake_sleep(days, guesses, data, *both, steps=150, rng=0)
    last = {name: values[-50:].mean(axis=0) for name, values in history.params.items()}
    assert last["days.rain"] == pytest.approx(0.7, abs=0.05)
    posterior = [0.7 * 0.25 / 0.4, 0.7 * 0.75 / 0.6]
    assert last["guesses.rain"] == pytest.approx(posterior, abs=0.07)
    assert history.objective == "ELBO"
    entropy = 300 * np.log(0.6) + 200 * np.log(0.4)
    assert history.log_prob[-50:].mean() == pytest.approx(entropy, abs=10.0)


def test_reweighted_wake_sleep_learns_the_posterior_of_a_model_that_is_held():
    """The largest errors of 100 seeds were 0.053 and 0.078."""
    init_param(guess, "rain", [0.5, 0.1], constraint=unit_interval)
    update = ParamUpdate(ADAM(0.1), guess)
    history = reweighted_wake_sleep(
        lawn, guess, [WET, DRY], None, update, num_particles=5, steps=150, rng=0
    )
    assert history.params["rain"][-75:].mean(axis=0) == pytest.approx([0.1, 0.5], abs=0.1)
    assert history.objective == "log marginal likelihood"


@gen
def silent(observed):
    return None


def test_a_guide_that_leaves_a_choice_to_the_model_is_used_if_asked_for():
    update, _ = updates()

    def learn(rng):
        return wake_sleep(lawn, silent, WET, update, unguided="prior", steps=1, rng=rng)

    found = expectation(lambda rng: moved(lambda: learn(rng))[0], 4, 1)
    prior = sum(bern(z, A) * by_model(z, True) for z in BOTH)
    np.testing.assert_allclose(found[:3], prior, atol=1e-14)

    def weigh(rng):
        return reweighted_wake_sleep(lawn, silent, WET, update, num_particles=2, steps=1, rng=rng)

    found = expectation(lambda rng: np.exp(moved(lambda: weigh(rng))[1]), 4, 2)
    assert found == pytest.approx(p(False, True) + p(True, True), rel=1e-12)


@gen
def certain(observed):
    return bernoulli(1.0) @ "rain"


def test_minibatches_are_weighted_to_estimate_the_gradient_of_all_data():
    """A guide that is certain leaves nothing to chance."""
    update, _ = updates()
    data = [WET, DRY, WET]

    def learn(**options):
        return moved(lambda: wake_sleep(lawn, certain, data, update, rng=0, **options))[0]

    whole = learn(steps=1)
    first = learn(steps=1, batch_size=2, total=3, shuffle=False)
    each = [by_model(True, True), by_model(True, False)]
    np.testing.assert_allclose(whole[:3], 2.0 * each[0] + each[1])
    np.testing.assert_allclose(first[:3], 2.0 * (each[0] + each[1]))
    mean = learn(steps=1, reduction="mean")
    np.testing.assert_allclose(mean, whole / 3.0)


def test_a_resume_is_equal_to_the_bit_to_never_having_stopped(tmp_path):
    def run(steps, **options):
        data = [WET, DRY, WET]
        both = ParamUpdate(ADAM(0.01), lawn), ParamUpdate(ADAM(0.01), guess)
        return reweighted_wake_sleep(
            lawn, guess, data, *both, sleep=0.5, batch_size=2, steps=steps, rng=1, **options
        )

    whole = run(7)
    file = tmp_path / "run.npz"
    start_again()
    run(3, checkpoint=file)
    start_again()
    resumed = run(7, checkpoint=file, resume=True)
    np.testing.assert_array_equal(resumed.log_prob, whole.log_prob)
    np.testing.assert_array_equal(resumed.params["wet"], whole.params["wet"])


# --- Bad input


@gen
def nosy(observed):
    bernoulli(0.5) @ "rain"
    return bernoulli(0.5) @ "wet"


@gen
def misspelt(observed):
    return bernoulli(0.5) @ "rains"


@gen
def beside(observed):
    return bernoulli(0.5) @ ("wet", 0)


@gen
def bounded():
    z = uniform(0.0, 1.0) @ "z"
    return normal(param("shift", 0.0) + z, 1.0) @ "x"


@gen
def outside(observed):
    return normal(9.0, 0.1) @ "z"


def learn_outside(method):
    bounded.simulate((), 0)
    update = ParamUpdate(SGD(0.1), bounded)
    return lambda: method(bounded, outside, ((), {"x": 1.0}), update, steps=1, rng=0)


@gen
def sometimes():
    rain = bernoulli(1e-9) @ "rain"
    return bernoulli(0.5) @ "wet" if rain else None


def run(model, guide, data, **options):
    options = {"steps": 1, "rng": 0, **options}
    return lambda: wake_sleep(model, guide, data, ParamUpdate(SGD(0.1), lawn), **options)


def reweigh(data, **options):
    update = ParamUpdate(SGD(0.1), lawn)
    return lambda: reweighted_wake_sleep(lawn, guess, data, update, steps=1, rng=0, **options)


BAD = {
    "no data": (run(lawn, guess, []), InvalidValue, "no data"),
    "an observation that is never visited": (
        run(lawn, guess, ((), {"wets": True, "wet": True})),
        UnusedConstraint,
        "lawn never visited 'wets'; did you mean 'wet'",
    ),
    "a guide that makes an observed choice": (
        run(lawn, nosy, WET),
        AddressConflict,
        "the guide nosy makes a choice at 'wet', which is observed",
    ),
    "a guide that makes a choice under an observed one": (
        run(lawn, beside, WET),
        AddressConflict,
        r"the guide beside makes a choice at \('wet', 0\), which is observed",
    ),
    "a guide with a choice that the model does not make": (
        run(lawn, misspelt, WET),
        GuideMismatch,
        "makes a choice at 'rains', which lawn does not make; did you mean 'rain'",
    ),
    "a guide that leaves out a hidden choice": (
        run(lawn, silent, WET),
        GuideMismatch,
        "lawn makes the hidden choice 'rain', which the guide silent does not make; let the guide "
        'make it, or write unguided="prior"',
    ),
    "a guide with another support": (
        learn_outside(wake_sleep),
        ImpossibleTrace,
        "'z' of bounded has log probability -inf",
    ),
    "weights that are all zero": (
        learn_outside(reweighted_wake_sleep),
        NoDensity,
        "all 10 weights are zero",
    ),
    "an observed choice that the model does not make in the sleep phase": (
        lambda: wake_sleep(
            sometimes, certain, ((), {"wet": True}), None, updates()[1], steps=1, rng=0
        ),
        UnknownAddress,
        "a draw of sometimes has no choice at the observed address 'wet'",
    ),
    "no update": (
        lambda: wake_sleep(lawn, guess, WET, steps=1),
        UpdateError,
        "wake_sleep was given no update",
    ),
    "an update of another function": (
        lambda: wake_sleep(lawn, guess, WET, ParamUpdate(SGD(1.0), guess), steps=1),
        NothingToTrain,
        "model_update moves guess.rain, and lawn reads lawn.rain, lawn.wet only",
    ),
    "no end": (run(lawn, guess, WET, steps=None), ArgumentError, "how long"),
    "no kind of completion": (
        run(lawn, guess, WET, unguided="model"),
        InvalidValue,
        "there is no unguided of kind 'model'",
    ),
    "no draws": (run(lawn, guess, WET, num_samples=0), InvalidValue, "num_samples is a whole"),
    "no model": (run(len, guess, WET), ArgumentError, "model is a generative function"),
    "arguments of the guide in no tuple": (
        run(lawn, guess, WET, guide_args=lambda args, observed: observed),
        ArgumentError,
        r"guide_args returns the arguments of guess as a tuple, \(observed,\)",
    ),
    "no particles": (reweigh(WET, num_particles=0), InvalidValue, "num_particles is a whole"),
    "a share above 1": (reweigh(WET, sleep=1.5), InvalidValue, "sleep is the share"),
    "a share that is a flag": (reweigh(WET, sleep=True), InvalidValue, "sleep is the share"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_learned_is_refused(case):
    """And no parameter moves."""
    learn, error, message = BAD[case]
    with pytest.raises(error, match=message):
        learn()
    assert lawn.params["rain"].value == A
    assert not lawn.params["rain"].accumulated
