"""Ten models as users write them, for a strict type checker: `test_types.py` runs it.

`assert_type` says what an editor knows. Nothing here may be reported.
"""

from collections.abc import Mapping
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

from genparams import (
    ADAM,
    Call,
    ChoiceMap,
    Distribution,
    GenerativeFunction,
    ParamStore,
    ParamUpdate,
    Trace,
    accumulate_param_gradients,
    bernoulli,
    beta,
    binomial,
    categorical,
    check_gradients,
    custom_gradient,
    custom_random,
    dirichlet,
    distribution,
    exponential,
    gamma,
    gen,
    get_param,
    init_param,
    map_,
    mask,
    mixture,
    multinomial,
    mvnormal,
    normal,
    param,
    poisson,
    positive,
    product,
    recurse,
    select,
    simplex,
    switch,
    truncated,
    unfold,
    uniform,
    zero_inflated,
)

Floats = NDArray[np.float64]


# --- 1: a line


@gen
def line(xs: Floats, degree: int = 1) -> Floats:
    slope, intercept = param("slope", 0.0), param("intercept", 0.0)
    noise = param("noise", 1.0, constraint=positive)
    ys = normal(slope * xs**degree + intercept, noise) @ "ys"
    return ys


def train_the_line(xs: Floats, ys: Floats) -> float:
    init_param(line, "slope", 0.0)
    trace, weight = line.generate((xs,), {"ys": ys}, rng=0)
    assert_type(trace, Trace)
    assert_type(weight, float)
    update = ParamUpdate(ADAM(0.05), line=["slope", "intercept", "noise"])
    for _ in range(10):
        log_prob, _ = trace.accumulate_param_gradients()
        update.apply()
        print(log_prob)
    log_prob, retval = line.assess((xs,), {"ys": ys})
    assert_type(retval, Floats)
    choices, _, _ = line.propose((xs,))
    assert_type(choices, ChoiceMap)
    return float(get_param(line, "slope")) + log_prob


# --- 2: a regression of counts


@gen
def visits(hours: Floats, days: int) -> int:
    rate = gamma(2.0, rate=1.0) @ "rate"
    total = 0
    for i in range(days):
        log_rate = normal(np.log(rate) + 0.1 * i, 0.5) @ ("log_rate", i)
        total += poisson(np.exp(log_rate) + 1.0) @ ("n", i)
    return total


# --- 3: several levels


@gen
def school(mean: float, std: float, errors: Floats) -> float:
    effect: float = normal(mean, std) @ "effect"
    normal(effect, errors) @ "scores"
    return effect


@gen
def schools(errors: list[Floats]) -> list[float]:
    mean = normal(0, 5) @ "mean"
    std = exponential(1.0) @ "std"
    effects = [school(mean, std, e) @ ("school", i) for i, e in enumerate(errors)]
    assert_type(effects, list[float])
    inlined = school.inline(mean, std, errors=errors[0])
    assert_type(inlined, float)
    return effects


# --- 4: classes


@gen
def classes(n: int) -> list[str]:
    weights = param("weights", np.ones(3) / 3, constraint=simplex)
    labels: list[str] = []
    for i in range(n):
        k = categorical(weights) @ ("k", i)
        label = categorical(probs=[0.2, 0.8], labels=["no", "yes"]) @ ("label", i)
        labels.append(f"{label} {k}")
    share = dirichlet(np.ones(3)) @ "share"
    assert_type(share, NDArray[np.float64])
    counts = multinomial(10, share) @ "counts"
    assert_type(counts, NDArray[np.int64])
    print(counts.sum(), share[0])
    return labels


# --- 5: a hidden Markov chain


@gen
def step(t: int, state: float, drift: float) -> float:
    state = normal(state + drift, 1.0) @ "state"
    normal(state, 0.1) @ "seen"
    return state


chain = unfold(step)


@gen
def walk(length: int) -> Floats:
    states = chain(length, 0.0, param("drift", 0.1)) @ "steps"
    assert_type(states, list[float])
    return np.array(states)


# --- 6: combinators


@gen
def near(x: float) -> float:
    return normal(x, 0.1) @ "y"


@gen
def far(x: float) -> str:
    return f"{normal(x, 10.0) @ 'y'}"


@gen
def split(depth: int) -> tuple[int, list[int]]:
    more = bernoulli(0.4) @ "more"
    return depth, [depth + 1, depth + 1] if more else []


@gen
def gather(value: int, results: list[int]) -> int:
    return value + sum(results)


@gen
def combined(xs: Floats) -> int:
    ys = map_(near)(xs) @ "map"
    assert_type(ys, list[float])
    either = switch(near, far)(0, 1.0) @ "switch"
    assert_type(either, float | str)
    maybe = mask(near)(True, 2.0) @ "mask"
    assert_type(maybe, float | None)
    return recurse(split, gather)(0) @ "tree"


# --- 7: recursion, whose return type is annotated


@gen
def tree(depth: int) -> int:
    if depth > 5 or bernoulli(logits=0.3) @ "leaf":
        return 1
    return tree(depth + 1) @ "left" + tree(depth + 1) @ "right"


# --- 8: distributions of others


@gen
def composed(n: int, data: Floats) -> float:
    two = mixture([0.3, 0.7], [normal(-1.0, 1.0), normal(1.0, 1.0)]) @ "two"
    cut = truncated(normal(0.0, 1.0), low=0.0) @ "cut"
    both = product([normal(0.0, 1.0), poisson(3.0)]) @ "both"
    assert_type(both, tuple[Any, ...])
    zeros = zero_inflated(0.2, poisson(2.0)) @ "zeros"
    point = mvnormal(np.zeros(2), scale_tril=np.eye(2)) @ "point"
    assert_type(point, NDArray[np.float64])
    seen = beta(2.0, np.float32(3.0), size=n) @ "seen"
    hits = binomial(10, logits=data) @ "hits"
    total = normal.log_prob(two, mu=0.0, std=1.0) + uniform(0.0, 1.0).log_prob(cut)
    return float(total + zeros + point[0] + seen[0] + hits.sum() + both[0])


# --- 9: functions and distributions of one's own


def log_density(x: Any, loc: Any, scale: Any) -> Any:
    z = (x - loc) / scale
    return -z - np.exp(-z) - np.log(scale)


def draw(rng: np.random.Generator, loc: Any, scale: Any, size: tuple[int, ...]) -> Any:
    return loc - scale * np.log(rng.exponential(size=size))


def slopes(inputs: Any, r: Any, g: Any) -> tuple[Any, ...]:
    return (np.cos(inputs[0]) * g,)


def sine_of(x: float) -> float:
    return float(np.sin(x))


def slow(x: Any, mean: Any) -> float:
    return float(-0.5 * (x - mean) ** 2)


def slow_slopes(x: Any, mean: Any) -> tuple[Any, ...]:
    return mean - x, x - mean


gumbel = distribution(draw, log_density, name="gumbel")
assert_type(gumbel, Distribution)
sine = custom_gradient(sine_of, slopes)
sines = custom_gradient(np.sin, lambda inputs, r, g: (np.cos(inputs[0]) * g,))
by_hand = custom_random(None, slow, slow_slopes)


@distribution(sample=draw)
def other_gumbel(x: Any, loc: Any, scale: Any = 1.0) -> Any:
    return log_density(x, loc, scale)


@gen(arg_grads=("x",))
def own(x: float) -> float:
    y = gumbel(x, 1.0) @ "y"
    other_gumbel(y, size=3) @ "more"
    z = sine(x) @ "sine"
    assert_type(z, float)
    w = sines(y) @ "sines"
    by_hand(z) @ "by hand"
    return z + w


# --- 10: helpers with types, and what a trace is good for


def log_likelihood(
    f: GenerativeFunction[[Floats, int], Floats], xs: Floats, data: Mapping[str, Any]
) -> float:
    return f.generate((xs, 1), data)[1]


def draws(call: Call[Any], n: int) -> list[Any]:
    return [call.sample(rng=i) for i in range(n)]


def priors(family: Distribution, scale: float) -> Call:
    return family(0.0, scale)


def any_model(model: GenerativeFunction, args: tuple[Any, ...]) -> Trace:
    return model.simulate(args, rng=1)


def edited(trace: Trace, xs: Floats) -> float:
    changed, weight, _ = trace.update({"ys": xs})
    again, other = changed.regenerate(select("ys"))
    print(log_likelihood(line, xs, {"ys": xs}), draws(priors(normal, 2.0), 3), trace["ys"])
    print(any_model(line, (xs,)).log_prob, any_model(normal, (0.0, 1.0)).choices)
    accumulate_param_gradients([trace, again], scale=0.5)
    print(check_gradients(line, (xs,)).error, trace.param_gradients())
    clone = line.with_params(ParamStore(slope=1.0))
    assert_type(clone(xs) @ "clone", Floats)
    for address, value in trace.choices.items():
        print(address, value)
    for name, parameter in line.params.items():
        print(name, parameter.value, parameter.grad)
    return weight + other
