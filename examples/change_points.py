"""Change points: when did explosions in British coal mines become rarer?

The number of explosions in each of 112 years is Poisson, and its rate jumps now and then. Two
models say so. In `one_break` the rates are parameters. The fit takes turns: the year of the break
is the best of all, found by changing the trace; then the rates climb by their gradients. In
`breaks` the number of jumps is a choice too, so that one trace has more choices than another, and
the Metropolis-Hastings algorithm walks from trace to trace: it draws some choices anew and accepts
with the weight of that. Its answer is checked against the exact one, which is within reach as each
rate can be integrated out and three counts of jumps can be enumerated. Takes a few seconds.

Reference: Raftery and Akman, 1986, "Bayesian analysis of a Poisson process with a change-point",
Biometrika 73, 85-89, for the model with one break.
"""

import time

import numpy as np
from scipy.special import gammaln

from genparams import (
    ADAM,
    ParamUpdate,
    gamma,
    gen,
    get_param,
    init_param,
    param,
    poisson,
    positive,
    uniform_discrete,
)
from genparams.datasets import coal

FIRST = 1851
# The best break is after 1891: 127 explosions in 41 years, then 64 in 71.
REFERENCE = {"after": 1891, "early": 127 / 41, "late": 64 / 71, "log_likelihood": -168.575997}
SHAPE, RATE = 2.0, 1.0  # of the gamma distribution from which `breaks` draws each rate
MOST = 2
STAGES = ((0.1, 100), (0.1, 200), (0.01, 200))


@gen
def one_break(n):
    at = uniform_discrete(1, n - 1) @ "at"
    rates = np.where(np.arange(n) < at, param("early"), param("late"))
    return poisson(rates) @ "explosions"


@gen
def era(n):
    return uniform_discrete(1, n - 1) @ "at", gamma(SHAPE, rate=RATE) @ "rate"


@gen
def breaks(n):
    """Each era begins at a year of its own and lasts until the next one begins."""
    count = uniform_discrete(0, MOST) @ "count"
    begun = [era(n) @ ("era", k) for k in range(count)]
    begun = [(0, gamma(SHAPE, rate=RATE) @ "first rate"), *sorted(begun, key=lambda e: e[0])]
    starts, rates = map(np.array, zip(*begun, strict=True))
    last_begun = np.searchsorted(starts, np.arange(n), side="right") - 1
    return poisson(rates[last_begun]) @ "explosions"


def main(stages=STAGES, sweeps=3000, seed=0):
    """Fit one break; then take so many `sweeps` through the traces of `breaks`.

    `stages` holds pairs of a learning rate and a number of steps.
    """
    start = time.perf_counter()
    explosions = np.bincount(np.floor(coal()["date"]).astype(int) - FIRST, minlength=112)
    found = maximum_likelihood(explosions, stages)
    found["counts"] = metropolis_hastings(explosions, sweeps, np.random.default_rng(seed))
    found["exact"] = exact(explosions)
    report(found, time.perf_counter() - start)
    return found


def maximum_likelihood(explosions, stages):
    n = len(explosions)
    init_param(one_break, "early", 2.0, constraint=positive)
    init_param(one_break, "late", 1.0, constraint=positive)
    trace, _ = one_break.generate((n,), {"at": n // 2, "explosions": explosions})
    for learning_rate, steps in stages:
        moved = [trace.update({"at": at}) for at in range(1, n)]
        trace, _, _ = max(moved, key=lambda new: new[1])
        update = ParamUpdate(ADAM(learning_rate), one_break)
        for _ in range(steps):
            trace.accumulate_param_gradients()
            update.apply()
    return {
        "after": FIRST + trace["at"] - 1,
        "early": get_param(one_break, "early"),
        "late": get_param(one_break, "late"),
        "log_likelihood": trace.rescored().project("explosions"),
    }


def metropolis_hastings(explosions, sweeps, rng):
    """How large a share of the sweeps ends at 0, 1, 2 breaks.

    A move draws the selected choices, and whatever a new count asks for, from the model. Then the
    weight is the log of the ratio in the rule of acceptance. A move without a selection lets two
    eras change places, which changes no probability: so each of them may be the one to go.
    From one seed to another the shares of 3000 sweeps have a standard deviation of some 0.03.
    """
    counts = np.zeros(MOST + 1)
    trace, _ = breaks.generate((len(explosions),), {"explosions": explosions}, rng)
    for _ in range(sweeps):
        count = trace["count"]
        if count == 2:
            here, there = (trace.choices["era", k] for k in (0, 1))
            trace, _, _ = trace.update({("era", 0): there, ("era", 1): here})
        eras = [("era", k) for k in range(count)]
        parts = [(*e, name) for e in eras for name in ("at", "rate")]
        for selection in ["first rate", *eras, *parts, "count"]:
            new, weight = trace.regenerate(selection, rng=rng)
            if np.log(rng.random()) < weight:
                trace = new
        counts[trace["count"]] += 1
    return counts / sweeps


def exact(explosions):
    """The probability of 0, 1 and 2 breaks, given the explosions.

    A run of years from i to j with s explosions in all has, its rate integrated out, the
    probability  RATE^SHAPE / Gamma(SHAPE) Gamma(SHAPE + s) / (RATE + j - i)^(SHAPE + s),  but for
    the factorials of the counts, which are the same in all cases.
    """
    n = len(explosions)
    total = np.concatenate([[0.0], np.cumsum(explosions)])
    i, j = np.arange(n + 1)[:, np.newaxis], np.arange(n + 1)
    s, years = np.maximum(total[j] - total[i], 0.0), np.maximum(j - i, 0)
    run = SHAPE * np.log(RATE) - gammaln(SHAPE) + gammaln(SHAPE + s)
    run -= (SHAPE + s) * np.log(RATE + years)
    at = np.arange(1, n)
    low, high = np.minimum(at[:, np.newaxis], at), np.maximum(at[:, np.newaxis], at)
    cases = [run[0, n], run[0, at] + run[at, n], run[0, low] + run[low, high] + run[high, n]]
    largest = max(np.max(case) for case in cases)
    p = np.array([np.mean(np.exp(case - largest)) for case in cases])
    return p / p.sum()


def report(found, seconds):
    print(f"{'':20}{'genparams':>14}{'reference':>14}")
    print(f"{'break after':20}{found['after']:14}{REFERENCE['after']:14}")
    for name in ("early", "late", "log_likelihood"):
        print(f"{name:20}{found[name]:14.6f}{REFERENCE[name]:14.6f}")
    for count, (p, q) in enumerate(zip(found["counts"], found["exact"], strict=True)):
        print(f"{f'p({count} breaks)':20}{p:14.3f}{q:14.3f}")
    print(f"in {seconds:.2f} seconds")
    if abs(found["log_likelihood"] - REFERENCE["log_likelihood"]) > 1e-4:
        raise SystemExit("the fit is not at the reference: it needs more steps")
    if np.max(np.abs(found["counts"] - found["exact"])) > 0.1:
        raise SystemExit("the walk is not at the exact answer: it needs more sweeps")


if __name__ == "__main__":
    main()
