"""A particle filter on the level of the Nile, beside Kalman's exact answer.

    level[t] ~ normal(level[t - 1], 38)        flow[t] ~ normal(level[t], 123)

Level and flow are normal, so that Kalman's filter gives log p(flows), and the mean of each level
given the flows up to its year, without error. The particle filter estimates both from traces of the
model. Several filters are run with other random numbers: how far their answers are from each other
is the Monte Carlo error, and their mean must be within four standard errors of the exact answer.
Takes a few seconds.

Reference: Durbin and Koopman, 2012, Time Series Analysis by State Space Methods, second edition,
Oxford, sections 2.2 and 12.3.
"""

import numpy as np

from genparams import ParticleFilter, gen, normal, unfold
from genparams.datasets import nile

FIRST_MEAN, FIRST_STD = 1000.0, 200.0
CHANGE, NOISE = 38.0, 123.0
REACH = 4.0
"""How many standard errors the mean of the filters may be from the exact answer."""


@gen
def year(t, level):
    """The level of a year, given the one before it, and the flow that is measured."""
    mean, std = (level, CHANGE) if t else (FIRST_MEAN, FIRST_STD)
    level = normal(mean, std) @ "level"
    normal(level, NOISE) @ "flow"
    return level


river = unfold(year)


def kalman(flows):
    """log p(flows), and the mean of each level given the flows up to its year."""
    mean, variance, log_marginal, means = FIRST_MEAN, FIRST_STD**2, 0.0, []
    for flow in flows:
        total = variance + NOISE**2
        log_marginal += normal.log_prob(flow, mean, total**0.5)
        mean += variance / total * (flow - mean)
        means.append(mean)
        variance = variance * NOISE**2 / total + CHANGE**2
    return log_marginal, np.array(means)


def filtered(flows, num_particles, rng):
    """The same by a particle filter."""
    particle_filter = ParticleFilter(river, num_particles, rng)
    particle_filter.initialize((1, None), {(0, "flow"): flows[0]})
    means = [mean_level(particle_filter)]
    for t in range(1, len(flows)):
        particle_filter.maybe_resample(method="systematic")
        particle_filter.step((t + 1, None), {(t, "flow"): flows[t]})
        means.append(mean_level(particle_filter))
    return particle_filter.log_marginal_likelihood, np.array(means)


def mean_level(particle_filter):
    """The mean of the last level, by the weights of the particles."""
    return particle_filter.particles.expectation(lambda trace: trace.retval[-1])


def main(years=40, num_particles=150, filters=6):
    """Filter the first years several times, and compare with Kalman's filter."""
    flows = nile()["flow"][:years]
    exact, levels = kalman(flows)
    rng = np.random.default_rng(1)
    runs = [filtered(flows, num_particles, rng) for _ in range(filters)]

    ratios = np.exp([log_marginal - exact for log_marginal, _ in runs])
    ratio, error = ratios.mean(), ratios.std(ddof=1) / np.sqrt(filters)
    means = np.array([means for _, means in runs])
    off = np.abs(means.mean(axis=0) - levels).mean()
    off_error = means.std(axis=0, ddof=1).mean() / np.sqrt(filters)
    print(f"log p(flows)   {exact:.3f} by Kalman's filter")
    print(f"               {exact + np.log(ratio):.3f} by {filters} x {num_particles} particles")
    print(f"p(flows)       the estimate is {ratio:.3f} of the exact value, +- {error:.3f}")
    print(f"levels         off by {off:.1f} on average, +- {off_error:.1f}")
    if abs(ratio - 1.0) > REACH * error or off > REACH * off_error:
        raise SystemExit("the particle filter is not at Kalman's answer")
    return {"ratio": ratio, "error": error, "off": off, "off error": off_error}


if __name__ == "__main__":
    main()
