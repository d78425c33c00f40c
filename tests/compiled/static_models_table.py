"""Models of every kind that the language has, for the laws of static functions.

A row has a body, arguments and data. The body declares its parameters.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from genparams import (
    bernoulli,
    beta,
    binomial,
    categorical,
    censored,
    custom_gradient,
    dirichlet,
    distribution,
    exponential,
    gamma,
    gen,
    interval,
    lower_cholesky,
    map_,
    mask,
    mixture,
    mvnormal,
    normal,
    ordered,
    param,
    poisson,
    positive,
    product,
    simplex,
    student_t,
    switch,
    unfold,
    unit_interval,
)

RNG = np.random.default_rng(7)
XS = np.linspace(-1.0, 1.0, 12)
YS = 2.0 * XS + 1.0 + 0.3 * RNG.standard_normal(12)
GROUPS = np.array([0, 1, 2, 0, 1, 2, 2, 2, 1, 0, 0, 1])
COUNTS = np.array([0, 3, 1, 2, 20, 40, 1, 0, 2, 5, 7, 1])


@dataclass(frozen=True)
class Model:
    name: str
    body: Callable[..., Any]
    args: tuple[Any, ...] = ()
    data: dict[Any, Any] = field(default_factory=dict)
    arg_grads: tuple[str, ...] = ()


def line(xs):
    slope, start = param("slope", 0.5), param("start", 0.1)
    return normal(slope * xs + start, param("noise", 1.3, constraint=positive)) @ "ys"


def by_point(xs, ys):
    slope, start, noise = param("slope", 0.5), param("start", 0.1), param("noise", 1.0, positive)
    for i, x in enumerate(xs):
        _ = normal(slope * x + start, noise) @ ("y", i)


def random_walk(n):
    drift, noise = param("drift", 0.1), param("noise", 0.7, positive)
    obs = param("obs", 0.5, positive)
    x = 0.0
    for t in range(n):
        x = normal(x + drift, noise) @ ("x", t)
        _ = normal(x, obs) @ ("y", t)
    return x


def autoregression(ys):
    a, b, noise = param("a", 0.3), param("b", -0.2), param("noise", 1.0, positive)
    for t in range(2, len(ys)):
        _ = normal(a * ys[t - 1] + b * ys[t - 2], noise) @ t


def kalman(ys):
    """The filter of a local level, whose innovations are choices."""
    q, r = param("q", 0.5, constraint=positive), param("r", 1.0, constraint=positive)
    mean, var = 0.0, 10.0
    for t in range(len(ys)):
        var = var + q
        total = var + r
        _ = normal(mean, np.sqrt(total)) @ t
        gain = var / total
        mean = mean + gain * (ys[t] - mean)
        var = (1.0 - gain) * var


def forward(ys):
    """The forward algorithm of a hidden Markov model, as one own density."""
    means = param("means", np.array([-1.0, 0.5, 2.0]))
    start = param("start", np.full(3, 1 / 3), constraint=simplex)
    move = param("move", np.full((3, 3), 1 / 3), constraint=simplex)
    alpha, total = start, 0.0
    for t in range(len(ys)):
        if t:
            alpha = alpha @ move
        alpha = alpha * np.exp(-0.5 * (ys[t] - means) ** 2)
        mass = np.sum(alpha)
        total = total + np.log(mass)
        alpha = alpha / mass
    _ = factor(total) @ "likelihood"


factor = distribution(
    lambda rng, log_weight, size: 0.0, lambda x, log_weight: log_weight + 0.0 * x, name="factor"
)


@gen
def group_level(tau):
    return normal(param("mu", 0.2), tau) @ "effect"


def nested(groups, xs):
    tau = param("tau", 0.8, constraint=positive)
    effects = [group_level(tau) @ ("group", g) for g in range(3)]
    for i in range(len(xs)):
        _ = normal(effects[int(groups[i])] * xs[i], 0.5) @ ("y", i)


def nested_loops(xs):
    a, b = param("a", 0.4), param("b", 1.1, constraint=positive)
    for g in range(4):
        level = normal(a, b) @ ("level", g)
        for i in range(3):
            _ = normal(level + xs[3 * g + i], b) @ ("y", g, i)


def indexed(groups):
    beta_, noise = param("beta", np.array([0.1, 0.5, -0.3])), param("noise", 1.0, positive)
    return normal(beta_[groups], noise) @ "ys"


def branch(xs):
    a = param("a", 0.5)
    centre = a * a if a > 0.4 else -a
    return normal(centre * xs, 1.0) @ "ys"


def alternating(xs):
    a, b = param("a", 0.5), param("b", 0.9)
    for i in range(len(xs)):
        _ = normal((a if i % 2 else b) * xs[i], 1.0) @ i


def logistic_regression(xs):
    w = param("w", np.array([0.2, -0.4]))
    return bernoulli(logits=w[0] + w[1] * xs) @ "ys"


def poisson_regression(xs):
    a, b = param("a", 0.4), param("b", -0.1)
    return poisson(np.exp(a + b * xs)) @ "counts"


def clusters(n):
    w = param("w", np.array([0.3, 0.7]), constraint=simplex)
    mu, sd = param("mu", np.array([-1.0, 1.0]), ordered), param("sd", np.ones(2), positive)
    return mixture(w, normal(mu, sd), size=n) @ "ys"


def planes(n):
    factor_ = param("factor", np.eye(2), constraint=lower_cholesky)
    return mvnormal(param("mean", np.zeros(2)), scale_tril=factor_, size=n) @ "points"


def covariance(n):
    spread, share = param("spread", 1.2, positive), param("share", 0.3, interval(-0.9, 0.9))
    cov = spread * (np.eye(3) + share * (np.ones((3, 3)) - np.eye(3)) * 0.4)
    low = np.linalg.cholesky(cov)
    shift = np.linalg.solve(cov, np.array([1.0, 2.0, 3.0]))
    return mvnormal(shift, scale_tril=low, size=n) @ "points"


def matrices(xs):
    m = param("m", np.array([[1.0, 0.2], [0.1, 2.0]]))
    sign, log_det = np.linalg.slogdet(m)
    inverse = np.linalg.inv(m)
    at = np.stack([xs, xs**2]).T @ inverse
    return normal(np.sum(at, axis=1) + log_det + sign, 1.0) @ "ys"


def many_sites():
    a = param("a", 1.5, constraint=positive)
    _ = exponential(a) @ "e"
    _ = gamma(a, scale=2.0) @ "g"
    _ = beta(a, 2.0) @ "b"
    _ = student_t(3.0, a, 1.0) @ "t"
    _ = dirichlet(np.array([1.0, 2.0, 3.0]) * a) @ "d"
    _ = binomial(10, param("p", 0.4, constraint=unit_interval)) @ "n"
    _ = categorical(logits=np.array([0.0, 1.0, 2.0]) * a) @ "k"


def survival(ends):
    return censored(exponential(param("rate", 0.5, constraint=positive)), high=ends) @ "times"


def pairs(n):
    a = param("a", 0.5)
    return product([normal(a, 1.0), poisson(np.exp(a))], size=n) @ "pairs"


@gen
def kernel(x, slope):
    return normal(slope * x + param("k", 0.3), 1.0) @ "y"


def mapped(xs):
    return map_(kernel, shared=("slope",))(xs, slope=param("slope", 0.7)) @ "points"


@gen
def step(t, state, decay):
    return normal(decay * state, param("walk", 0.6, constraint=positive)) @ "x"


def unfolded(n):
    return unfold(step)(n, 0.5, param("decay", 0.9)) @ "chain"


@gen
def left():
    return normal(param("l", 0.1), 1.0) @ "z"


@gen
def right():
    return normal(param("r", 0.4), 2.0) @ "z"


def switched(which):
    return switch(left, right)(which) @ "branch"


def masked(flags):
    for i, flag in enumerate(flags):
        _ = mask(left)(flag) @ i


sine = custom_gradient(np.sin, lambda inputs, r, g: (np.cos(inputs[0]) * g,))


def by_hand(xs):
    return normal(sine(param("a", 0.4) * xs) @ "sine", 1.0) @ "ys"


def dictionary(options):
    a = param("a", 0.5)
    _ = normal(a * options["x"] + options["n"], options["sd"]) @ "y"


def with_statistics(xs):
    a = param("a", np.array([0.3, 0.9, -0.4, 0.2]))
    top = np.max(a) - np.min(a)
    spread = np.std(a) + np.var(a) + np.mean(a)
    order = np.sort(a)[1] + np.cumsum(a)[2] + np.prod(a)
    _ = normal(top * xs + spread, np.exp(0.1 * order)) @ "ys"


def rearranged(xs):
    a = param("a", np.arange(6.0).reshape(2, 3) / 5.0)
    b = np.concatenate([a[0], a[1, ::-1]])
    c = np.where(b > 0.3, b, np.flip(b) ** 2)
    _ = normal(np.roll(c, 1)[:, None] * xs, 1.0) @ "ys"


def ends(sizes, xs):
    """Whole numbers of an array that is an argument decide how much of others is used."""
    a = param("a", np.linspace(0.1, 0.9, 12))
    for g in range(2):
        n = sizes[g]
        _ = normal(a[: n + 1] * xs[: n + 1], 1.0) @ ("head", g)
        if n > 2:
            _ = normal(a[n], 1.0) @ ("entry", g)


def elementary(xs):
    a, b = param("a", 0.7), param("b", 1.4)
    mean = np.sin(a * xs) + np.arctan(b * xs) + np.tanh(a) - np.log1p(b * b) + np.sqrt(1.0 + a * a)
    mean = mean + np.hypot(a, b) + np.abs(a - b) + np.maximum(a, xs) + np.minimum(b, xs) + a**b
    _ = normal(mean, 1.0) @ "ys"


def gradients_of_arguments(x, scale):
    return normal(param("a", 0.3) * x, scale) @ "y"


HALF = {("x", t): float(v) for t, v in enumerate(0.3 * RNG.standard_normal(20))}
MODELS = [
    Model("line", line, (XS,), {"ys": YS}),
    Model("by point", by_point, (XS, YS), {("y", i): float(y) for i, y in enumerate(YS)}),
    Model(
        "random walk",
        random_walk,
        (20,),
        {**HALF, **{("y", t): float(v) for t, v in enumerate(RNG.standard_normal(20))}},
    ),
    Model("autoregression", autoregression, (YS,), {t: float(YS[t]) for t in range(2, 12)}),
    Model("kalman", kalman, (YS,), {t: float(y) for t, y in enumerate(YS)}),
    Model("forward", forward, (YS,), {"likelihood": 0.0}),
    Model(
        "nested",
        nested,
        (GROUPS.tolist(), XS),
        {
            **{("group", g, "effect"): 0.3 * g for g in range(3)},
            **{("y", i): float(y) for i, y in enumerate(YS)},
        },
    ),
    Model(
        "nested loops",
        nested_loops,
        (XS,),
        {
            **{("level", g): 0.1 * g for g in range(4)},
            **{("y", g, i): float(YS[3 * g + i]) for g in range(4) for i in range(3)},
        },
    ),
    Model("indexed", indexed, (GROUPS,), {"ys": YS}),
    Model("branch", branch, (XS,), {"ys": YS}),
    Model("alternating", alternating, (XS,), {i: float(y) for i, y in enumerate(YS)}),
    Model("logistic regression", logistic_regression, (XS,), {"ys": YS > 1.0}),
    Model("poisson regression", poisson_regression, (XS,), {"counts": COUNTS}),
    Model("clusters", clusters, (12,), {"ys": YS}),
    Model("planes", planes, (6,), {"points": YS.reshape(6, 2)}),
    Model("covariance", covariance, (4,), {"points": YS.reshape(4, 3)}),
    Model("matrices", matrices, (XS,), {"ys": YS}),
    Model(
        "many sites",
        many_sites,
        (),
        {"e": 0.4, "g": 1.2, "b": 0.3, "t": -0.5, "d": np.array([0.2, 0.5, 0.3]), "n": 4, "k": 2},
    ),
    Model("survival", survival, (np.full(12, 2.0),), {"times": np.minimum(np.abs(YS), 2.0)}),
    Model("by hand", by_hand, (XS,), {"ys": YS}),
    Model("mapped", mapped, (XS,), {("points", i, "y"): float(y) for i, y in enumerate(YS)}),
    Model("pairs", pairs, (12,), {"pairs": (YS, COUNTS)}),
    Model("unfolded", unfolded, (5,), {("chain", t, "x"): float(YS[t]) for t in range(5)}),
    Model("switched", switched, (1,), {("branch", "z"): 0.7}),
    Model("masked", masked, ([True, False, True],), {(0, "z"): 0.7, (2, "z"): -0.2}),
    Model("dictionary", dictionary, ({"x": XS, "n": 2, "sd": 1.5},), {"y": YS}),
    Model("statistics", with_statistics, (XS,), {"ys": YS}),
    Model("rearranged", rearranged, (XS[:4],), {"ys": RNG.standard_normal((6, 4))}),
    Model(
        "ends",
        ends,
        (np.array([2, 4]), XS),
        {("head", 0): YS[:3], ("head", 1): YS[:5], ("entry", 1): 0.3},
    ),
    Model("elementary", elementary, (XS,), {"ys": YS}),
    Model("arguments", gradients_of_arguments, (XS, 1.5), {"y": YS}, ("x", "scale")),
]
