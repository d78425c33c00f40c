"""The workloads of `static.py`: a model, its step by hand, and the steps that are measured."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import by_hand
import hidden_markov as hmm
import numpy as np
import state_space
import step as steps_by_trace
import variational

from genparams import (
    ADAM,
    ParamUpdate,
    Trace,
    accumulate_elbo_gradients,
    black_box_vi,
    distribution,
    gen,
    init_param,
    normal,
    param,
    positive,
    train,
)

Step = by_hand.Step
Many = Callable[[int], Any]
"""What takes a number of steps in one call."""


@dataclass(frozen=True)
class Workload:
    """A model on data, in every form that is measured.

    Each function begins anew, at the same parameters. The options of `loop` and `whole` are the
    options `static` and `backend` of `@gen`.
    """

    name: str
    targets: tuple[float | None, float | None, float | None]
    """Of numpy in the user's loop, numpy in the library's loop, numba in the library's loop."""
    by_hand: Callable[[], Step]
    loop: Callable[..., Step]
    """One step in the user's own loop; the log probability before it."""
    whole: Callable[..., Many]
    """Steps by a loop of the library."""
    opened: Callable[[], Any] | None = None
    """The parts of a step of a static function: what is differentiated, and the update."""


def again(model: Any, **options: Any) -> Any:
    """A function with the same body, other options, and parameters of the same values."""
    other = gen(**options)(model.body)
    for name, p in model.params.items():
        init_param(other, name, p.value, constraint=p.constraint)
    return other


@dataclass(frozen=True)
class OfTrace:
    """A model whose choices all have data."""

    model: Any
    args: tuple[Any, ...]
    constraints: dict[Any, Any]
    step: Step

    @classmethod
    def of(cls, work: Any) -> "OfTrace":
        """The same of a workload of `step.py`."""
        return cls(work.model, work.args, work.constraints, work.step)

    def opened(self, **options: Any) -> tuple[Trace, ParamUpdate]:
        model = again(self.model, **options)
        trace, _ = model.generate(self.args, self.constraints)
        return trace, ParamUpdate(ADAM(0.01), model)

    def loop(self, **options: Any) -> Step:
        trace, update = self.opened(**options)

        def step() -> float:
            log_prob, _ = trace.accumulate_param_gradients()
            update.apply()
            return log_prob

        return step

    def whole(self, **options: Any) -> Many:
        model = again(self.model, **options)
        update, data = ParamUpdate(ADAM(0.01), model), (self.args, self.constraints)
        return lambda steps: train(model, data, update, steps=steps)


def of_trace(name: str, targets: Any, make: Callable[[], OfTrace]) -> Workload:
    return Workload(
        name,
        targets,
        lambda: make().step,
        lambda **options: make().loop(**options),
        lambda **options: make().whole(**options),
        lambda: make().opened(static=True),
    )


# --- Sequences


def kalman() -> OfTrace:
    """An AR(1) with noise: the filter as a loop, whose predictions are the choices' arguments."""

    @gen
    def kalman_filter(n):
        phi, q, r = param("phi"), param("q"), param("r")
        a, P = 0.0, state_space.START
        for t in range(n):
            F = P + r
            y = normal(a, np.sqrt(F)) @ t
            k = P / F
            a, P = phi * (a + k * (y - a)), phi * phi * P * (1.0 - k) + q

    state_space.start()
    for name, p in state_space.with_noise.params.items():
        init_param(kalman_filter, name, p.value, constraint=p.constraint)
    ys = state_space.series()
    data = {t: float(y) for t, y in enumerate(ys)}
    return OfTrace(kalman_filter, (len(ys),), data, state_space.with_noise_by_hand(ys))


def linear_gaussian() -> OfTrace:
    state_space.start()
    ys = state_space.series()
    step = state_space.with_noise_by_hand(ys)
    return OfTrace(state_space.with_noise, (len(ys),), {"ys": ys}, step)


factor = distribution(
    lambda rng, log_weight, size: 0.0, lambda x, log_weight: log_weight + 0.0 * x, name="factor"
)
STATES = 4


def hidden_states() -> np.ndarray:
    """Begin `hidden_markov.hidden`, and draw data of four states."""
    hmm.start(hmm.hidden, STATES)
    init_param(hmm.hidden, "means", np.arange(STATES, dtype=float))
    init_param(hmm.hidden, "stds", np.ones(STATES), constraint=positive)
    even, moves = np.full(STATES, 1.0 / STATES), 0.8 * np.eye(STATES) + 0.2 / STATES
    emissions = normal(2.0 * np.arange(STATES), 0.7)
    return hmm.hidden_markov(even, moves, emissions, 1000).sample(rng=0)


def forward() -> OfTrace:
    """The forward algorithm as a loop, whose total is one density."""

    @gen
    def forward_algorithm(ys):
        moves, stds = param("transition"), param("stds")
        z = (ys[:, None] - param("means")) / stds
        e = np.exp(-0.5 * z * z - by_hand.HALF_LOG_TWO_PI) / stds
        alpha, total = param("initial"), 0.0
        for t in range(len(ys)):
            alpha = (alpha @ moves if t else alpha) * e[t]
            mass = np.sum(alpha)
            total = total + np.log(mass)
            alpha = alpha / mass
        _ = factor(total) @ "likelihood"

    ys = hidden_states()
    for name, p in hmm.hidden.params.items():
        init_param(forward_algorithm, name, p.value, constraint=p.constraint)
    step = hmm.hidden_by_hand(ys, STATES)
    return OfTrace(forward_algorithm, (ys,), {"likelihood": 0.0}, step)


def hidden_markov() -> OfTrace:
    ys = hidden_states()
    return OfTrace(hmm.hidden, (len(ys),), {"ys": ys}, hmm.hidden_by_hand(ys, STATES))


# --- Minibatches


POINTS = 100


def long_line() -> tuple[Any, np.ndarray, np.ndarray]:
    work, rng = steps_by_trace.line_array(), np.random.default_rng(1)
    xs = rng.uniform(-1.0, 1.0, 100 * POINTS)
    return work.model, xs, 2.0 * xs + 1.0 + 0.3 * rng.standard_normal(len(xs))


def minibatch_loop(**options: Any) -> Step:
    line, xs, ys = long_line()
    model, rng, order = again(line, **options), np.random.default_rng(0), np.empty(0, int)
    update = ParamUpdate(ADAM(0.01), model)

    def step() -> float:
        nonlocal order
        if not len(order):
            order = rng.permutation(len(xs))
        rows, order = order[:POINTS], order[POINTS:]
        trace, log_prob = model.generate((xs[rows],), {"ys": ys[rows]})
        trace.accumulate_param_gradients()
        update.apply()
        return log_prob

    return step


def minibatch_whole(**options: Any) -> Many:
    line, xs, ys = long_line()
    model, data = again(line, **options), ((xs,), {"ys": ys})
    update = ParamUpdate(ADAM(0.01), model)
    return lambda steps: train(model, data, update, steps=steps, batch_size=POINTS, rng=0)


# --- Variational inference


@dataclass(frozen=True)
class OfBound:
    """A model and its guide."""

    model: Any
    args: tuple[Any, ...]
    observations: dict[Any, Any]
    guide: Any
    guide_args: tuple[Any, ...]
    rate: float
    seed: int

    def _made(
        self, options: dict[str, Any]
    ) -> tuple[tuple[Any, Any, Any, Any, Any], ParamUpdate, np.random.Generator]:
        model, guide = again(self.model, **options), again(self.guide, **options)
        moved: list[Any] = [f for f in (model, guide) if len(f.params)]
        update = ParamUpdate(ADAM(self.rate), *moved)
        problem = model, self.args, self.observations, guide, self.guide_args
        return problem, update, np.random.default_rng(self.seed)

    def loop(self, **options: Any) -> Step:
        problem, update, rng = self._made(options)

        def step() -> float:
            bound = accumulate_elbo_gradients(*problem, rng=rng)
            update.apply()
            return bound

        return step

    def whole(self, **options: Any) -> Many:
        problem, update, rng = self._made(options)
        return lambda steps: black_box_vi(*problem, update, steps=steps, rng=rng)


def regression() -> OfBound:
    x, y = variational.regression_data()
    init_param(variational.weights, "mean", np.zeros(10))
    init_param(variational.weights, "std", np.ones(10), constraint=positive)
    return OfBound(variational.regression, (x,), {"y": y}, variational.weights, (), 0.01, 1)


def autoencoder() -> OfBound:
    pixels = variational.pictures()
    models = {"encoder": variational.encoder, "decoder": variational.decoder}
    for (name, parameter), value in variational.start().items():
        init_param(models[name], parameter, value)
    observed = {"pixels": pixels == 1.0}
    args = (len(pixels),)
    return OfBound(models["decoder"], args, observed, models["encoder"], (pixels,), 0.001, 4)


def of_bound(
    name: str, targets: Any, make: Callable[[], OfBound], hand: Callable[[], Step]
) -> Workload:
    return Workload(
        name,
        targets,
        hand,
        lambda **options: make().loop(**options),
        lambda **options: make().whole(**options),
    )


WORKLOADS = {
    "line": of_trace(
        "line, 100 points", (1.4, 0.5, 0.05), lambda: OfTrace.of(steps_by_trace.line_array())
    ),
    "loop": of_trace(
        "1000 scalar choices in a loop",
        (1.5, 0.5, 0.06),
        lambda: OfTrace.of(steps_by_trace.line_loop()),
    ),
    "logistic": of_trace(
        "logistic, 100 000 x 50",
        (0.75, 0.75, 0.6),
        lambda: OfTrace.of(steps_by_trace.logistic()),
    ),
    "mixture": of_trace(
        "mixture of 5 in 2-D, 100 000",
        (0.6, 0.6, 0.35),
        lambda: OfTrace.of(steps_by_trace.mixture_of_normals()),
    ),
    "kalman": of_trace("Kalman filter as a loop, T = 1000", (1.6, None, 0.08), kalman),
    "linear_gaussian": of_trace("linear_gaussian, T = 1000", (0.08, None, 0.06), linear_gaussian),
    "forward": of_trace("forward algorithm as a loop, T = 1000", (3.0, None, 0.06), forward),
    "hidden_markov": of_trace("hidden_markov, T = 1000", (0.3, None, 0.03), hidden_markov),
    "regression": of_bound(
        "Bayesian regression ELBO, 1000 x 10",
        (1.5, 0.8, 0.3),
        regression,
        lambda: variational.regression_by_hand(*variational.regression_data()),
    ),
    "autoencoder": of_bound(
        "variational autoencoder",
        (1.1, 1.05, None),
        autoencoder,
        lambda: variational.autoencoder_by_hand(variational.pictures()),
    ),
    "minibatch": Workload(
        "a new minibatch of 100 at each step",
        (2.5, 1.5, 0.3),
        lambda: by_hand.line_minibatches(*long_line()[1:], POINTS),
        minibatch_loop,
        minibatch_whole,
    ),
}
"""The rows of the table, by name."""
