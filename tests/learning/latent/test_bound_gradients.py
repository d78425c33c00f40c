"""Estimates of bounds and of their gradients: unbiased, by enumeration and by quadrature."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from cells import Parts
from cells import expectation as over_parts
from common import slope
from nodes import expectation as over_nodes

from genparams import (
    bernoulli,
    gen,
    get_param,
    get_param_grad,
    init_param,
    normal,
    param,
    set_param,
    zero_param_grad,
)
from genparams.learning.latent.bound_gradients import (
    accumulate_elbo_gradients,
    accumulate_vimco_gradients,
)


def gradients(names, accumulate):
    """The estimate and the gradients by name, in one vector; the accumulators are empty after."""
    for f, name in names:
        zero_param_grad(f, name)
    found = [accumulate()]
    for f, name in names:
        found.extend(np.ravel(get_param_grad(f, name)))
        zero_param_grad(f, name)
    return np.array(found)


def exact(names, bound):
    """A bound and its derivatives by the parameters, in one vector."""
    found = [bound()]
    for f, name in names:
        start = get_param(f, name)
        for index in np.ndindex(np.shape(start)):

            def moved(step, f=f, name=name, start=start, index=index):
                value = np.array(start, float)
                value[index] += step
                set_param(f, name, value)
                return bound()

            found.append(slope(moved))
        set_param(f, name, start)
    return np.array(found)


# --- Discrete choices, by enumeration


@gen
def alarm():
    burglary = bernoulli(param("burglary")) @ "burglary"
    quake = bernoulli(param("quake")) @ "quake"
    bernoulli(param("alarm")[int(burglary), int(quake)]) @ "alarm"


@gen
def suspicion():
    burglary = bernoulli(param("burglary")) @ "burglary"
    bernoulli(param("quake")[int(burglary)]) @ "quake"


@gen
def half_suspicion():
    bernoulli(param("burglary")) @ "burglary"


@pytest.fixture
def discrete():
    """The probabilities of what is drawn are multiples of 1/4, so that draws can be enumerated."""
    init_param(alarm, "burglary", 0.3)
    init_param(alarm, "quake", 0.25)
    init_param(alarm, "alarm", np.array([[0.2, 0.4], [0.8, 0.7]]))
    init_param(suspicion, "burglary", 0.75)
    init_param(suspicion, "quake", np.array([0.5, 0.25]))
    init_param(half_suspicion, "burglary", 0.5)
    of_model = [(alarm, name) for name in ("burglary", "quake", "alarm")]
    return of_model, [(suspicion, "burglary"), (suspicion, "quake")]


ALARM = {"alarm": True}


def mass(p, outcome):
    return p if outcome else 1.0 - p


def weights_of(guide):
    """For each outcome, q of the guide and log p - log q."""
    p_b, p_q, p_a = (get_param(alarm, name) for name in ("burglary", "quake", "alarm"))
    found = []
    for b, q in product([0, 1], repeat=2):
        by_quake = mass(p_q, q)
        p = mass(p_b, b) * by_quake * p_a[b, q]
        if guide is suspicion:
            by_quake = mass(get_param(guide, "quake")[b], q)
        guessed = mass(get_param(guide, "burglary"), b) * by_quake
        found.append((guessed, np.log(p) - np.log(guessed)))
    return found


def exact_bound(guide, particles, of):
    """The expectation of a function of the log weights of several particles."""
    outcomes = weights_of(guide)
    return sum(
        np.prod([q for q, _ in each]) * of(np.array([log_w for _, log_w in each]))
        for each in product(outcomes, repeat=particles)
    )


def mean(log_w):
    return log_w.mean()


def log_mean_exp(log_w):
    return np.log(np.mean(np.exp(log_w)))


ELBO, VIMCO = accumulate_elbo_gradients, accumulate_vimco_gradients


@pytest.mark.parametrize(
    ("estimate", "options", "of"),
    [
        (ELBO, {"num_particles": 1}, mean),
        (ELBO, {"num_particles": 2}, mean),
        (ELBO, {"num_particles": 2, "baseline": "leave_one_out"}, mean),
        (VIMCO, {"num_particles": 2, "baseline": "geometric"}, log_mean_exp),
        (VIMCO, {"num_particles": 2, "baseline": "arithmetic"}, log_mean_exp),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_discrete_gradients_have_their_expectation(discrete, estimate, options, of):
    names = discrete[0] + discrete[1]
    count = options["num_particles"]
    found = over_parts(
        lambda rng: gradients(
            names, lambda: estimate(alarm, (), ALARM, suspicion, rng=rng, **options)
        ),
        count=4,
        draws=2 * count,
    )
    expected = exact(names, lambda: exact_bound(suspicion, count, of))
    assert found == pytest.approx(expected, rel=1e-8, abs=1e-9)


@pytest.mark.parametrize(("estimate", "of"), [(ELBO, mean), (VIMCO, log_mean_exp)])
def test_a_choice_that_the_model_draws_itself_belongs_to_both(discrete, estimate, of):
    names = [*discrete[0], (half_suspicion, "burglary")]
    found = over_parts(
        lambda rng: gradients(
            names,
            lambda: estimate(alarm, (), ALARM, half_suspicion, num_particles=2, rng=rng),
        ),
        count=4,
        draws=4,
    )
    expected = exact(names, lambda: exact_bound(half_suspicion, 2, of))
    assert found == pytest.approx(expected, rel=1e-8, abs=1e-9)


@gen
def alarms(count):
    burglary = bernoulli(param("burglary"), size=count) @ "burglary"
    quake = bernoulli(param("quake"), size=count) @ "quake"
    table = param("alarm")
    bernoulli(table[burglary.astype(int), quake.astype(int)]) @ "alarm"


@gen
def suspicions(count):
    burglary = bernoulli(param("burglary"), size=count) @ "burglary"
    bernoulli(param("quake")[burglary.astype(int)]) @ "quake"


@pytest.mark.parametrize(
    ("estimate", "options"),
    [
        (ELBO, {}),
        (ELBO, {"baseline": "leave_one_out"}),
        (VIMCO, {"baseline": "geometric"}),
        (VIMCO, {"baseline": "arithmetic"}),
    ],
)
def test_particles_as_arrays_give_the_gradients_of_a_loop(discrete, estimate, options):
    pairs = {alarm: alarms, suspicion: suspicions}
    for one, many in pairs.items():
        for name in one.params:
            init_param(many, name, get_param(one, name))
    in_loop = discrete[0] + discrete[1]
    in_arrays = [(pairs[f], name) for f, name in in_loop]
    options = {**options, "num_particles": 3}
    for seed in range(8):
        parts = np.random.default_rng(seed).integers(0, 4, (3, 2))
        in_rows, in_columns = (tuple(a.ravel().tolist()) for a in (parts, parts.T))
        loop = gradients(
            in_loop,
            lambda parts=in_rows: estimate(
                alarm, (), ALARM, suspicion, rng=Parts(parts, 4), **options
            ),
        )
        arrays = gradients(
            in_arrays,
            lambda parts=in_columns: estimate(
                *(alarms, (3,), ALARM, suspicions, (3,)),
                vectorized=True,
                rng=Parts(parts, 4),
                **options,
            ),
        )
        assert arrays == pytest.approx(loop, rel=1e-12)


# --- Continuous choices, by quadrature


@gen
def mean_of(ys):
    mu = normal(param("centre"), 1.5) @ "mu"
    normal(mu, np.exp(param("log_noise")), size=len(ys)) @ "ys"


@gen
def near(count=None):
    normal(param("mean"), np.exp(param("log_std")), size=count) @ "mu"


YS = np.array([0.4, 1.9, 1.1])


@pytest.fixture
def continuous():
    for name, value in {"centre": 0.3, "log_noise": -0.2}.items():
        init_param(mean_of, name, value)
    for name, value in {"mean": 0.8, "log_std": -0.4}.items():
        init_param(near, name, value)
    return [(mean_of, "centre"), (mean_of, "log_noise"), (near, "mean"), (near, "log_std")]


def log_normal(x, mean, std):
    return -0.5 * ((x - mean) / std) ** 2 - np.log(std) - 0.5 * np.log(2.0 * np.pi)


def exact_elbo():
    """In closed form: the expectation of a square is the square of the mean plus the variance."""
    centre, noise = get_param(mean_of, "centre"), np.exp(get_param(mean_of, "log_noise"))
    mean, std = get_param(near, "mean"), np.exp(get_param(near, "log_std"))
    log_p = log_normal(mean, centre, 1.5) - 0.5 * (std / 1.5) ** 2
    log_p += np.sum(log_normal(YS, mean, noise)) - 0.5 * len(YS) * (std / noise) ** 2
    return log_p + 0.5 + np.log(std) + 0.5 * np.log(2.0 * np.pi)


@pytest.mark.parametrize(
    "options",
    [
        {"estimator": "pathwise"},
        {"estimator": "score"},
        {"estimator": "score", "num_particles": 2, "baseline": "leave_one_out"},
        {"num_particles": 2},
    ],
    ids=str,
)
def test_normal_gradients_have_their_expectation(continuous, options):
    found = over_nodes(
        lambda rng: gradients(
            continuous, lambda: ELBO(mean_of, (YS,), {"ys": YS}, near, rng=rng, **options)
        ),
        draws=options.get("num_particles", 1),
    )
    assert found == pytest.approx(exact(continuous, exact_elbo), rel=1e-9)


def log_weight(mu):
    noise = np.exp(get_param(mean_of, "log_noise"))
    log_p = log_normal(mu, get_param(mean_of, "centre"), 1.5) + np.sum(log_normal(YS, mu, noise))
    return log_p - log_normal(mu, get_param(near, "mean"), np.exp(get_param(near, "log_std")))


def test_the_pathwise_gradient_of_several_samples_is_the_derivative_at_fixed_noise(continuous):
    noise = (0.3, -1.1, 0.7)

    def bound():
        mean, std = get_param(near, "mean"), np.exp(get_param(near, "log_std"))
        return log_mean_exp(np.array([log_weight(mean + std * z) for z in noise]))

    class Given(np.random.Generator):
        def __init__(self):
            super().__init__(np.random.PCG64(0))
            self.left = list(noise)

        def standard_normal(self, size: Any = None, *args: Any, **named: Any) -> Any:
            return self.left.pop(0)

    found = gradients(
        continuous,
        lambda: VIMCO(mean_of, (YS,), {"ys": YS}, near, num_particles=3, rng=Given()),
    )
    assert found == pytest.approx(exact(continuous, bound), rel=1e-9)


def test_the_score_function_gradient_of_several_samples_has_its_expectation(continuous):
    set_param(mean_of, "log_noise", 0.5)
    ys = YS[:1]
    found = {
        estimator: over_nodes(
            lambda rng, estimator=estimator: gradients(
                continuous,
                lambda: VIMCO(
                    mean_of, (ys,), {"ys": ys}, near, num_particles=2, estimator=estimator, rng=rng
                ),
            ),
            draws=2,
            degree=16,
        )
        for estimator in ("score", "pathwise")
    }
    assert found["score"] == pytest.approx(found["pathwise"], rel=1e-5)


@gen
def means_of(count, ys):
    mu = normal(param("centre"), 1.5, size=count) @ "mu"
    normal(mu[:, None], np.exp(param("log_noise")), size=(count, len(ys))) @ "ys"


@pytest.mark.parametrize("estimator", ["pathwise", "score"])
@pytest.mark.parametrize(
    ("estimate", "options"),
    [(ELBO, {}), (ELBO, {"baseline": "leave_one_out"}), (VIMCO, {})],
)
def test_continuous_particles_as_arrays_are_those_of_a_loop(
    continuous, estimate, options, estimator
):
    for name in mean_of.params:
        init_param(means_of, name, get_param(mean_of, name))
    names = [(means_of if f is mean_of else f, name) for f, name in continuous]
    options = {**options, "num_particles": 3, "estimator": estimator}
    loop = gradients(
        continuous, lambda: estimate(mean_of, (YS,), {"ys": YS}, near, (), rng=5, **options)
    )
    arrays = gradients(
        names,
        lambda: estimate(
            means_of, (3, YS), {"ys": YS}, near, (3,), vectorized=True, rng=5, **options
        ),
    )
    assert arrays == pytest.approx(loop, rel=1e-12)


# --- Both kinds


@gen
def two_groups(y):
    which = bernoulli(param("share")) @ "which"
    x = normal(param("centres")[int(which)], 1.0) @ "x"
    normal(x, 0.7) @ "y"


@gen
def group_first():
    which = bernoulli(param("share")) @ "which"
    normal(param("means")[int(which)], np.exp(param("log_std"))) @ "x"


@gen
def number_first():
    x = normal(param("mean"), np.exp(param("log_std"))) @ "x"
    bernoulli(param("share")) @ "which"
    return x


@pytest.mark.parametrize("guide", [group_first, number_first])
@pytest.mark.parametrize("estimator", [None, {"x": "score"}, {"which": "score"}])
def test_each_choice_has_its_own_estimator(guide, estimator):
    init_param(two_groups, "share", 0.4)
    init_param(two_groups, "centres", np.array([-0.5, 1.5]))
    init_param(guide, "share", 0.25)
    init_param(guide, "log_std", -0.3)
    if guide is group_first:
        init_param(guide, "means", np.array([-0.2, 1.1]))
    else:
        init_param(guide, "mean", 0.6)
    names = [(f, name) for f in (two_groups, guide) for name in f.params]

    def std():
        return np.exp(get_param(guide, "log_std"))

    def mean_of(which):
        return get_param(guide, "mean") if guide is number_first else means()[which]

    def means():
        return get_param(guide, "means")

    def log_w(which, x):
        share = get_param(guide, "share")
        mean = (
            get_param(guide, "means")[which] if guide is group_first else get_param(guide, "mean")
        )
        centre = get_param(two_groups, "centres")[which]
        log_p = np.log(mass(get_param(two_groups, "share"), which)) + log_normal(x, centre, 1.0)
        std = np.exp(get_param(guide, "log_std"))
        return (
            log_p + log_normal(0.9, x, 0.7) - np.log(mass(share, which)) - log_normal(x, mean, std)
        )

    def bound():
        nodes, weights = np.polynomial.hermite_e.hermegauss(4)
        total = 0.0
        for which in (0, 1):
            x = mean_of(which) + std() * nodes
            share = mass(get_param(guide, "share"), which)
            total += share * np.sum(weights * log_w(which, x)) / weights.sum()
        return total

    found = over_nodes(
        lambda rng: gradients(
            names,
            lambda: ELBO(two_groups, (0.9,), {"y": 0.9}, guide, estimator=estimator, rng=rng),
        ),
        draws=1,
        parts=1,
        count=4,
    )
    assert found == pytest.approx(exact(names, bound), rel=1e-8, abs=1e-9)


@gen
def switched_on(y):
    x = normal(0.3, 1.0) @ "x"
    on = bernoulli(logits=param("slope") * x) @ "on"
    normal(x + 1.0 * on, 0.8) @ "y"


@gen
def switched():
    x = normal(param("mean"), np.exp(param("log_std"))) @ "x"
    bernoulli(logits=param("slope") * x) @ "on"


def test_the_score_of_a_choice_goes_through_the_choices_before_it():
    """The guide's on depends on x, whose value moves with the parameters: by fine quadrature."""
    for f, name, value in [
        (switched_on, "slope", 0.8),
        (switched, "mean", 0.4),
        (switched, "log_std", -0.5),
        (switched, "slope", 0.5),
    ]:
        init_param(f, name, value)
    names = [(switched_on, "slope"), *((switched, name) for name in switched.params)]
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    weights = weights / weights.sum()

    def expit(x):
        return 1.0 / (1.0 + np.exp(-x))

    def bound():
        std = np.exp(get_param(switched, "log_std"))
        x = get_param(switched, "mean") + std * nodes
        total = log_normal(x, 0.3, 1.0) - log_normal(x, get_param(switched, "mean"), std)
        p, q = (expit(get_param(f, "slope") * x) for f in (switched_on, switched))
        for on in (0.0, 1.0):
            p_on, q_on = (mass(v, on) for v in (p, q))
            total = total + q_on * (np.log(p_on) - np.log(q_on) + log_normal(1.3, x + on, 0.8))
        return np.sum(weights * total)

    class Both(np.random.Generator):
        """One node, and a uniform number below or above the probability of on."""

        def __init__(self, node, on):
            super().__init__(np.random.PCG64(0))
            self.node, self.on = node, on

        def standard_normal(self, size: Any = None, *args: Any, **named: Any) -> Any:
            return self.node

        def random(self, size: Any = None, *args: Any, **named: Any) -> Any:
            return 0.0 if self.on else 1.0

    found = np.zeros(5)
    for node, weight in zip(nodes, weights, strict=True):
        x = get_param(switched, "mean") + np.exp(get_param(switched, "log_std")) * node
        for on in (False, True):
            q = mass(expit(get_param(switched, "slope") * x), on)
            found += (
                weight
                * q
                * gradients(
                    names,
                    lambda node=node, on=on: ELBO(
                        switched_on, (1.3,), {"y": 1.3}, switched, rng=Both(node, on)
                    ),
                )
            )
    assert found == pytest.approx(exact(names, bound), rel=1e-8)


def test_the_scale_multiplies_the_gradient_and_not_the_estimate(continuous):
    def run(scale):
        return gradients(
            continuous, lambda: ELBO(mean_of, (YS,), {"ys": YS}, near, rng=3, scale=scale)
        )

    assert run(5.0)[0] == run(1.0)[0]
    assert run(5.0)[1:] == pytest.approx(5.0 * run(1.0)[1:])


def test_at_the_exact_posterior_the_leave_one_out_gradient_is_zero(discrete):
    """log p - log q is then the same number for every draw."""
    p = np.exp([w for _, w in weights_of(suspicion)]) * [q for q, _ in weights_of(suspicion)]
    p = (p / p.sum()).reshape(2, 2)
    set_param(suspicion, "burglary", p[1].sum())
    set_param(suspicion, "quake", p[:, 1] / p.sum(axis=1))
    found = gradients(
        discrete[1],
        lambda: ELBO(
            *(alarm, (), ALARM, suspicion), num_particles=3, baseline="leave_one_out", rng=0
        ),
    )
    assert found[1:] == pytest.approx(np.zeros(3), abs=1e-12)
