"""Eight schools: Monte Carlo EM, variational inference and nuts, beside the exact posterior.

Eight schools tried the same coaching for a test. The effect that each measured has a known standard
error, and the true effects vary around a common mean:

    y[j] ~ normal(theta[j], se[j]),   theta[j] = mu + tau z[j],   z[j] ~ normal(0, 1)
    mu ~ normal(0, 5),                tau ~ half_cauchy(5)

Given tau everything is normal, so that the posterior is known up to one integral over tau, which a
sum over 4000 quantiles of its prior computes to many digits. Beside it come:

    nuts                     draws of the posterior: its means and standard deviations
    black_box_vi             the nearest distribution under which all choices are independent: the
                             ELBO, a lower bound on log p(y), says how near
    monte_carlo_em           a parameter mu in place of its prior, tau and z integrated out by nuts:
                             the maximum of the marginal likelihood of mu

Takes about 15 seconds.

References: Rubin, 1981, Journal of Educational Statistics 6, 377-401; Gelman et al., 2013, Bayesian
Data Analysis, third edition, section 5.5, with these priors in the examples of Stan.
"""

from functools import partial

import numpy as np

from genparams import (
    ADAM,
    ParamUpdate,
    black_box_vi,
    cosine_decay,
    gen,
    half_cauchy,
    lognormal,
    mcmc,
    mcmc_e_step,
    monte_carlo_em,
    normal,
    nuts,
    param,
    positive,
)
from genparams.datasets import eight_schools
from genparams.reporting import Rounded, Table

SCHOOLS = eight_schools()
Y, SE = SCHOOLS["y"].astype(float), SCHOOLS["se"].astype(float)
NAMES = ["mu", "tau", *(f"theta {letter}" for letter in SCHOOLS["school"])]
DATA = {("effects", "y"): Y}
HIDDEN = [("effects", "tau"), ("effects", "z")]


@gen
def effects(mu):
    """The true effects; their measurements are choices."""
    tau = half_cauchy(5.0) @ "tau"
    z = normal(0.0, 1.0, size=8) @ "z"
    theta = mu + tau * z
    normal(theta, SE) @ "y"
    return theta


@gen
def with_prior():
    return effects(normal(0.0, 5.0) @ "mu") @ "effects"


@gen
def with_parameter():
    return effects(param("mu", 0.0)) @ "effects"


@gen
def guide():
    """Every hidden choice on its own, near its posterior."""
    normal(param("mu", 0.0), param("mu std", 1.0, constraint=positive)) @ "mu"
    log_tau = param("log tau", 0.0), param("log tau std", 1.0, constraint=positive)
    lognormal(*log_tau) @ ("effects", "tau")
    z = param("z", np.zeros(8)), param("z std", np.ones(8), constraint=positive)
    normal(*z) @ ("effects", "z")


# --- The exact answer


POINTS = 4000
TAUS = 5.0 * np.tan(0.5 * np.pi * (np.arange(POINTS) + 0.5) / POINTS)[:, None]
TOTALS = SE**2 + TAUS**2
"""The variance of each measurement around mu, for each tau."""


def normalized(log_weights):
    """Weights with sum 1, and the log of the mean weight."""
    top = np.max(log_weights)
    weights = np.exp(log_weights - top)
    return weights / np.sum(weights), float(top + np.log(np.mean(weights)))


def exact_posterior():
    """Mean and standard deviation of mu, tau and each effect, and log p(y).

    Given tau the measurements are normal around mu, so that mu and theta have normal posteriors.
    """
    prior = 5.0**2
    precision = 1.0 / prior + np.sum(1.0 / TOTALS, axis=1, keepdims=True)
    mu = np.sum(Y / TOTALS, axis=1, keepdims=True) / precision
    off = np.sum(Y**2 / TOTALS, axis=1, keepdims=True) - mu**2 * precision
    log_det = np.sum(np.log(2.0 * np.pi * TOTALS), axis=1, keepdims=True)
    weights, log_p = normalized(-0.5 * (off + log_det + np.log(prior * precision)))
    share = TAUS**2 / TOTALS  # of y in theta, given mu
    means = np.hstack([mu, TAUS, share * Y + (1.0 - share) * mu])
    own = np.hstack([1.0 / precision, 0.0 * TAUS, share * SE**2 + (1.0 - share) ** 2 / precision])
    mean = np.sum(weights * means, axis=0)
    std = np.sqrt(np.sum(weights * (own + (means - mean) ** 2), axis=0))
    return mean, std, log_p


def exact_maximum():
    """The mu of the largest marginal likelihood, by EM with exact expectations."""
    mu = float(np.mean(Y))
    for _ in range(100):
        log_p = np.sum(normal.log_probs(Y, mu, np.sqrt(TOTALS)), axis=1, keepdims=True)
        weights, _ = normalized(log_p)
        mu = float(np.sum(weights * Y / TOTALS) / np.sum(weights / TOTALS))
    return mu


# --- The three methods


def summary(traces):
    """Mean and standard deviation of mu, tau and each effect."""
    rows = []
    for trace in traces:
        mu, tau, z = trace["mu"], trace["effects", "tau"], trace["effects", "z"]
        rows.append([mu, tau, *(mu + tau * z)])
    return np.mean(rows, axis=0), np.std(rows, axis=0)


def by_nuts(draws, seed):
    trace, _ = with_prior.generate((), DATA, seed)
    kernel = partial(nuts, selection=["mu", *HIDDEN])
    warmup = min(300, draws)
    found = mcmc(kernel, trace, draws, warmup, chains=2, rng=seed, target_accept=0.9)
    return summary([trace for chain in found.traces for trace in chain])


def by_variational_inference(steps, seed):
    update = ParamUpdate(ADAM(cosine_decay(0.1, steps)), guide)
    history = black_box_vi(
        with_prior, (), DATA, guide, (), update, steps=steps, num_particles=5, rng=seed
    )
    rng = np.random.default_rng(seed)
    elbo = float(np.mean(history.log_prob[-steps // 3 :]))
    return *summary([guide.simulate((), rng) for _ in range(2000)]), elbo


def by_em(steps, seed):
    e_step = mcmc_e_step(partial(nuts, selection=HIDDEN), draws=20, warmup=100)
    history = monte_carlo_em(with_parameter, ((), DATA), e_step, steps=steps, rng=seed)
    return float(np.mean(history.params["mu"][steps // 3 :]))


def main(draws=1000, vi_steps=1500, em_steps=40, seed=1):
    """Estimate the effects by each method, and stop if one is not at its reference."""
    mean, std, log_p = exact_posterior()
    nuts_mean, nuts_std = by_nuts(draws, seed)
    vi_mean, vi_std, elbo = by_variational_inference(vi_steps, seed)
    em_mu, em_reference = by_em(em_steps, seed), exact_maximum()
    columns = [mean, std, nuts_mean, nuts_std, vi_mean, vi_std]
    headers = ("mean", "std", "nuts: mean", "std", "variational: mean", "std")
    rows = [(n, [Rounded(x, 3) for x in row]) for n, *row in zip(NAMES, *columns, strict=True)]
    print(Table(headers=headers, rows=rows))
    print(f"\nlog p(y) is {log_p:.3f}; the ELBO, a lower bound, is {elbo:.3f}")
    print(f"mu without a prior, by Monte Carlo EM: {em_mu:.2f}, at the maximum: {em_reference:.2f}")
    checks = {
        "nuts": np.all(np.abs(nuts_mean - mean) < 0.3 * std)
        and np.all(np.abs(nuts_std / std - 1.0) < 0.4),
        "variational": np.all(np.abs(vi_mean - mean) < std) and log_p - 0.6 < elbo < log_p + 0.05,
        "EM": abs(em_mu - em_reference) < 0.5,
    }
    far = [name for name, good in checks.items() if not good]
    if far:
        raise SystemExit(f"not at the reference: {', '.join(far)}; this needs more steps")
    return {"mean": mean, "std": std, "nuts": nuts_mean, "vi": vi_mean, "em": em_mu}


if __name__ == "__main__":
    main()
