"""Outliers in a regression line, by Metropolis-Hastings in blocks.

A gauge is checked at twelve settings x. Most readings y lie on a line, but some were copied
wrongly and may be anything:

    wrong[i] ~ bernoulli(rate)
    y[i] ~ normal(slope x[i] + intercept, noise), or normal(0, 10) if wrong[i]

No single move changes all of this well, so that a sweep is made of several: the line by a small
step from where it is, the noise by a step in its logarithm, the rate by a draw from its prior, and
each reading by changing its mind, right or wrong. A move of one reading runs this reading alone
again. The means of the chains are compared with the exact posterior: for each line, noise and rate
the readings are independent and either right or wrong, which leaves an integral over four numbers,
on a grid. Takes a few seconds.

Regression with outliers is the example of Gen's tutorial on iterative inference,
https://www.gen.dev.
"""

import functools

import numpy as np

from genparams import (
    bernoulli,
    beta,
    gamma,
    gen,
    lognormal,
    map_,
    mcmc,
    metropolis_hastings,
    normal,
)

X = np.linspace(-4.4, 4.4, 12)
Y = np.array([-6.5, -5.2, -4.7, -2.6, 7.9, -1.4, -0.1, 1.2, -0.7, 3.6, -4.0, 5.1])
WIDE = 10.0
REACH = 5.0
"""How many standard errors the mean of the chains may be from the exact answer."""


@gen
def reading(x, slope, intercept, noise, rate):
    if bernoulli(rate) @ "wrong":
        return normal(0.0, WIDE) @ "y"
    return normal(slope * x + intercept, noise) @ "y"


readings = map_(reading, shared=("slope", "intercept", "noise", "rate"))


@gen
def gauge(xs):
    slope = normal(0.0, 2.0) @ "slope"
    intercept = normal(0.0, 2.0) @ "intercept"
    noise = gamma(2.0, rate=4.0) @ "noise"
    rate = beta(1.0, 3.0) @ "rate"
    return readings(xs, slope, intercept, noise, rate) @ "readings"


@gen
def shift_line(trace):
    normal(trace["slope"], 0.08) @ "slope"
    normal(trace["intercept"], 0.2) @ "intercept"


@gen
def scale_noise(trace):
    lognormal(np.log(trace["noise"]), 0.5) @ "noise"


@gen
def change_mind(trace, i):
    bernoulli(0.0 if trace["readings", i, "wrong"] else 1.0) @ ("readings", i, "wrong")


def sweep(n):
    """The kernels of one sweep."""
    move = functools.partial
    return [
        move(metropolis_hastings, proposal=shift_line),
        move(metropolis_hastings, proposal=scale_noise),
        move(metropolis_hastings, selection="rate"),
        *(move(metropolis_hastings, proposal=change_mind, proposal_args=(i,)) for i in range(n)),
    ]


def first_line():
    """A line that a few wrong readings do not move: the median of the slopes of all pairs."""
    i, j = np.triu_indices(len(X), 1)
    slope = np.median((Y[j] - Y[i]) / (X[j] - X[i]))
    return {"slope": slope, "intercept": np.median(Y - slope * X), "noise": 0.5}


def main(sweeps=200, warmup=40, chains=8, rng=0):
    """Run some chains, and compare their means with the exact posterior means."""
    data = {("readings", i, "y"): y for i, y in enumerate(Y)}
    trace, _ = gauge.generate((X,), {**data, **first_line()}, rng)
    draws = mcmc(sweep(len(X)), trace, sweeps, warmup, chains, rng=rng)
    found = {name: draws.values[name] for name in ("slope", "intercept", "noise", "rate")}
    found |= {f"wrong[{i}]": draws.values["readings", i, "wrong"] for i in range(len(X))}
    reference = exact()
    print(draws)
    print(f"{'':12}{'chains':>10}{'+-':>10}{'exact':>10}")
    far = []
    for name, values in found.items():
        means = np.mean(values, axis=1)
        mean, error = means.mean(), means.std(ddof=1) / np.sqrt(chains)
        print(f"{name:12}{mean:10.4f}{error:10.4f}{reference[name]:10.4f}")
        if abs(mean - reference[name]) > REACH * max(error, 0.005):
            far.append(name)
    if far:
        raise SystemExit(f"not at the exact answer: {', '.join(far)}; this needs more sweeps")
    return {name: float(np.mean(values)) for name, values in found.items()}, reference


def exact():
    """The posterior means, by the midpoint rule on a grid."""
    slope, intercept = np.linspace(1.0, 1.6, 31), np.linspace(-1.6, 0.2, 31)
    noise, rate = np.linspace(0.1, 1.6, 25), (np.arange(12) + 0.5) / 12
    a, b, s = np.meshgrid(slope, intercept, noise, indexing="ij")
    fit = a[..., None] * X + b[..., None]
    right = np.exp(normal.log_probs(Y, fit, s[..., None]))[..., None, :]
    wide = np.exp(normal.log_probs(Y, 0.0, WIDE))
    p = rate[:, None]
    either = p * wide + (1.0 - p) * right
    log_prior = normal.log_probs(a, 0.0, 2.0) + normal.log_probs(b, 0.0, 2.0)
    log_prior = log_prior + gamma.log_probs(s, 2.0, rate=4.0)
    log_joint = log_prior[..., None] + beta.log_probs(rate, 1.0, 3.0) + np.log(either).sum(-1)
    weight = np.exp(log_joint - log_joint.max())
    weight /= weight.sum()
    wrong = np.einsum("abcd,abcdi->i", weight, p * wide / either)
    return {
        "slope": weight.sum((1, 2, 3)) @ slope,
        "intercept": weight.sum((0, 2, 3)) @ intercept,
        "noise": weight.sum((0, 1, 3)) @ noise,
        "rate": weight.sum((0, 1, 2)) @ rate,
        **{f"wrong[{i}]": x for i, x in enumerate(wrong)},
    }


if __name__ == "__main__":
    main()
