"""Computes the fits of `world_references.json`: maximum likelihood in 40 digits by mpmath.

python tests/learning/fitting/world_references.py [name ...]

Each log-likelihood is written here once more, with all constants, in numbers of mpmath, without
genparams. Newton's method with central differences finds the maximum; the standard errors are of
the observed information there, on the scale of the parameters as they are named. All of it takes
some minutes. The file is from mpmath 1.4.1; statsmodels 0.15.0 has the same log-likelihoods for the
models that it knows: zero_inflated, neg_binomial, probit, multinomial_logit, ordered_logit, arma,
mixed.
"""

import json
import sys
from pathlib import Path

import mpmath as mp
import numpy as np
import world_data as d

from genparams import datasets

mp.mp.dps = 40
FILE = Path(__file__).with_suffix(".json")
STEP = mp.mpf("1e-10")
NODES = 120
"""Nodes of quadrature, more than in `worlds`, so that both agree with the integral."""


# --- Densities


def log_normal(x, mean, variance):
    return -((x - mean) ** 2) / (2 * variance) - mp.log(2 * mp.pi * variance) / 2


def log_poisson(x, rate):
    return x * mp.log(rate) - rate - mp.loggamma(x + 1)


def log_choose(n, x):
    return mp.loggamma(n + 1) - mp.loggamma(x + 1) - mp.loggamma(n - x + 1)


def log_binomial(x, n, eta):
    return log_choose(n, x) + x * eta - n * mp.log1p(mp.exp(eta))


def log_beta(a, b):
    return mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)


def log_neg_binomial(x, r, mean):
    return (
        mp.loggamma(x + r)
        - mp.loggamma(r)
        - mp.loggamma(x + 1)
        + r * mp.log(r / (r + mean))
        + x * mp.log(mean / (r + mean))
    )


def log_mvnormal(x, mean, cov):
    L = mp.cholesky(cov)
    z = mp.lu_solve(L, x - mean)
    d = len(x)
    half_log_det = mp.fsum(mp.log(L[i, i]) for i in range(d))
    return -mp.fsum(v * v for v in z) / 2 - half_log_det - d * mp.log(2 * mp.pi) / 2


def normal_nodes():
    """Nodes and log weights of an integral over a standard normal."""
    z, w = np.polynomial.hermite_e.hermegauss(NODES)
    return [
        (mp.mpf(a), mp.log(mp.mpf(b)) - mp.log(2 * mp.pi) / 2) for a, b in zip(z, w, strict=True)
    ]


def log_integral(log_f):
    """The log of the integral of exp(log_f(z)) over a standard normal."""
    terms = [w + log_f(z) for z, w in normal_nodes()]
    most = max(terms)
    return most + mp.log(mp.fsum(mp.exp(t - most) for t in terms))


def numbers(*arrays):
    """Rows of several arrays as numbers of mpmath."""
    return [tuple(mp.mpf(float(v)) for v in row) for row in zip(*arrays, strict=True)]


# --- Log-likelihoods of the parameters, in the order of their starts in MODELS


def weibull(shape, intercept, slope):
    total = mp.mpf(0)
    for x, time, limit in numbers(d.LIFE_X, d.LIFE_TIME, d.LIFE_LIMIT):
        scale = mp.exp(intercept + slope * x)
        total -= (time / scale) ** shape
        if time < limit:
            total += mp.log(shape / scale) + (shape - 1) * mp.log(time / scale)
    return total


def zero_inflated(share, intercept, slope):
    total = mp.mpf(0)
    for x, y in numbers(d.ZEROS_X, d.ZEROS_Y):
        p = (1 - share) * mp.exp(log_poisson(y, mp.exp(intercept + slope * x)))
        total += mp.log(p + share if y == 0 else p)
    return total


def neg_binomial(r, intercept, slope):
    return mp.fsum(
        log_neg_binomial(y, r, mp.exp(intercept + slope * x))
        for x, y in numbers(d.SPREAD_X, d.SPREAD_Y)
    )


def neg_binomial_alone(r, mean):
    return mp.fsum(log_neg_binomial(y, r, mean) for (y,) in numbers(d.SPREAD_Y))


def beta_binomial(alpha, beta):
    return mp.fsum(
        log_choose(n, y) + log_beta(y + alpha, n - y + beta) - log_beta(alpha, beta)
        for n, y in numbers(d.LITTER_N, d.LITTER_Y)
    )


def probit(a, b, c):
    return mp.fsum(
        mp.log(mp.ncdf((a + b * u + c * v) * (1 if y else -1)))
        for u, v, y in numbers(*d.PROBIT_X.T, d.PROBIT_Y)
    )


def multinomial_logit(*w):
    total = mp.mpf(0)
    for u, v, y in numbers(*d.CHOICE_X.T, d.CHOICE_Y):
        eta = [mp.mpf(0), w[0] + w[1] * u + w[2] * v, w[3] + w[4] * u + w[5] * v]
        total += eta[int(y)] - mp.log(mp.fsum(map(mp.exp, eta)))
    return total


def ordered_logit(slope, *cuts):
    def below(eta):
        return 1 / (1 + mp.exp(-eta))

    total = mp.mpf(0)
    for x, y in numbers(d.GRADE_X, d.GRADE_Y):
        ends = [mp.mpf(0), *(below(c - slope * x) for c in cuts), mp.mpf(1)]
        total += mp.log(ends[int(y) + 1] - ends[int(y)])
    return total


def gamma(shape, intercept, slope):
    total = mp.mpf(0)
    for x, y in numbers(d.CLAIM_X, d.CLAIM_Y):
        scale = mp.exp(intercept + slope * x) / shape
        total += (shape - 1) * mp.log(y) - y / scale - shape * mp.log(scale) - mp.loggamma(shape)
    return total


def student_t(df, intercept, slope, scale):
    constant = mp.log(scale) + mp.log(df) / 2 + log_beta(mp.mpf(1) / 2, df / 2)
    return mp.fsum(
        -(df + 1) / 2 * mp.log(1 + ((y - intercept - slope * x) / scale) ** 2 / df) - constant
        for x, y in numbers(d.HEAVY_X, d.HEAVY_Y)
    )


def tobit(intercept, slope, sigma):
    return mp.fsum(
        log_normal(y, intercept + slope * x, sigma**2)
        if y > 0
        else mp.log(mp.ncdf(-(intercept + slope * x) / sigma))
        for x, y in numbers(d.SPENT_X, d.SPENT_Y)
    )


def bivariate(mean1, mean2, std1, std2, rho):
    total = mp.mpf(0)
    for x, y in numbers(*d.PAIRS.T):
        u, v = (x - mean1) / std1, (y - mean2) / std2
        total -= (u * u - 2 * rho * u * v + v * v) / (2 * (1 - rho**2))
        total -= mp.log(2 * mp.pi * std1 * std2 * mp.sqrt(1 - rho**2))
    return total


def binomial_clusters(intercept, slope, spread):
    return mp.fsum(
        log_integral(lambda z, x=x, y=y: log_binomial(y, 12, intercept + slope * x + spread * z))
        for x, y in numbers(d.CLUSTER_X, d.CLUSTER_Y)
    )


def poisson_panel(intercept, slope, spread):
    def log_row(z, xs, ys):
        return mp.fsum(
            log_poisson(y, mp.exp(intercept + slope * x + spread * z))
            for x, y in zip(xs, ys, strict=True)
        )

    rows = zip(numbers(*d.PANEL_X.T), numbers(*d.PANEL_Y.T), strict=True)
    return mp.fsum(log_integral(lambda z, xs=xs, ys=ys: log_row(z, xs, ys)) for xs, ys in rows)


def mixed(intercept, slope, tau0, tau1, sigma):
    t = list(map(mp.mpf, d.GROWTH_T))
    n = range(len(t))
    cov = mp.matrix(
        [[tau0**2 + tau1**2 * t[i] * t[j] + (sigma**2 if i == j else 0) for j in n] for i in n]
    )
    mean = mp.matrix([intercept + slope * v for v in t])
    return mp.fsum(log_mvnormal(mp.matrix(y), mean, cov) for y in numbers(*d.GROWTH_Y.T))


def hidden_markov(stay0, stay1, rate0, rate1):
    move = [[stay0, 1 - stay0], [1 - stay1, stay1]]
    forward = [mp.mpf(1) / 2, mp.mpf(1) / 2]
    for (y,) in numbers(d.STORMS):
        seen = [f * mp.exp(log_poisson(y, r)) for f, r in zip(forward, (rate0, rate1), strict=True)]
        forward = [seen[0] * move[0][j] + seen[1] * move[1][j] for j in (0, 1)]
    return mp.log(mp.fsum(forward))


def arma(mean, phi, theta, sigma):
    """By the autocovariances and the recursion of Durbin and Levinson."""
    x = [y - mean for (y,) in numbers(d.SERIES)]
    cov = [sigma**2 * (1 + 2 * phi * theta + theta**2) / (1 - phi**2)]
    cov += [sigma**2 * (1 + phi * theta) * (phi + theta) / (1 - phi**2)]
    while len(cov) < len(x):
        cov.append(phi * cov[-1])
    weights, variance, total = [], cov[0], log_normal(x[0], 0, cov[0])
    for n in range(1, len(x)):
        last = (cov[n] - mp.fsum(w * cov[n - 1 - j] for j, w in enumerate(weights))) / variance
        weights = [w - last * v for w, v in zip(weights, weights[::-1], strict=True)] + [last]
        variance *= 1 - last**2
        predicted = mp.fsum(w * x[n - 1 - j] for j, w in enumerate(weights))
        total += log_normal(x[n], predicted, variance)
    return total


# --- The sets of NIST


def nonlinear(name, mean):
    """The log-likelihood of a set; the last parameter is sigma."""
    data = datasets.nist(name)

    def log_likelihood(*theta):
        *b, sigma = theta
        return mp.fsum(log_normal(y, mean(x, *b), sigma**2) for x, y in numbers(data.x, data.y))

    n = len(data.y)
    return log_likelihood, {"b": data.certified, "sigma": (data.sum_of_squares / n) ** 0.5}


def enso(x, b1, b2, b3, b4, b5, b6, b7, b8, b9):
    year, slow, fast = (2 * mp.pi * x / period for period in (12, b4, b7))
    return (
        b1
        + b2 * mp.cos(year)
        + b3 * mp.sin(year)
        + b5 * mp.cos(slow)
        + b6 * mp.sin(slow)
        + b8 * mp.cos(fast)
        + b9 * mp.sin(fast)
    )


MEANS = {
    "Misra1a": lambda x, b1, b2: b1 * (1 - mp.exp(-b2 * x)),
    "Misra1b": lambda x, b1, b2: b1 * (1 - (1 + b2 * x / 2) ** -2),
    "Chwirut2": lambda x, b1, b2, b3: mp.exp(-b1 * x) / (b2 + b3 * x),
    "DanWood": lambda x, b1, b2: b1 * x**b2,
    "Lanczos3": lambda x, b1, b2, b3, b4, b5, b6: (
        b1 * mp.exp(-b2 * x) + b3 * mp.exp(-b4 * x) + b5 * mp.exp(-b6 * x)
    ),
    "Gauss1": lambda x, b1, b2, b3, b4, b5, b6, b7, b8: (
        b1 * mp.exp(-b2 * x)
        + b3 * mp.exp(-((x - b4) ** 2) / b5**2)
        + b6 * mp.exp(-((x - b7) ** 2) / b8**2)
    ),
    "Kirby2": lambda x, b1, b2, b3, b4, b5: (b1 + b2 * x + b3 * x**2) / (1 + b4 * x + b5 * x**2),
    "ENSO": enso,
    "Eckerle4": lambda x, b1, b2, b3: b1 / b2 * mp.exp(-(((x - b3) / b2) ** 2) / 2),
    "Rat43": lambda x, b1, b2, b3, b4: b1 / (1 + mp.exp(b2 - b3 * x)) ** (1 / b4),
}

MODELS = {
    "weibull": (weibull, {"shape": 1.5, "intercept": 2.0, "slope": 0.5}),
    "zero_inflated": (zero_inflated, {"share": 0.3, "intercept": 0.8, "slope": 0.5}),
    "neg_binomial": (neg_binomial, {"r": 1.7, "intercept": 1.0, "slope": 0.6}),
    "neg_binomial_alone": (neg_binomial_alone, {"r": 1.7, "mean": 3.0}),
    "beta_binomial": (beta_binomial, {"alpha": 2.0, "beta": 5.0}),
    "probit": (probit, {"beta": [0.3, 0.8, -0.5]}),
    "multinomial_logit": (
        multinomial_logit,
        {"beta": [[0.5, 1.0, -0.5], [-0.3, -0.4, 0.8]]},
    ),
    "ordered_logit": (ordered_logit, {"slope": 1.2, "cuts": [-1.0, 0.5, 2.0]}),
    "gamma": (gamma, {"shape": 2.5, "intercept": 1.0, "slope": 0.7}),
    "student_t": (student_t, {"df": 3.0, "intercept": 1.0, "slope": 2.0, "scale": 0.5}),
    "tobit": (tobit, {"intercept": 0.5, "slope": 1.5, "sigma": 1.2}),
    "bivariate": (bivariate, {"means": [3.0, -1.0], "stds": [2.0, 0.5], "rho": 0.7}),
    "binomial_clusters": (
        binomial_clusters,
        {"intercept": 0.4, "slope": 0.9, "spread": 0.7},
    ),
    "poisson_panel": (poisson_panel, {"intercept": 0.5, "slope": 0.4, "spread": 0.6}),
    "mixed": (
        mixed,
        {"intercept": 10.0, "slope": 1.5, "tau0": 1.4, "tau1": 0.5, "sigma": 0.8},
    ),
    "hidden_markov": (hidden_markov, {"stay": [0.9, 0.8], "rates": [1.5, 6.0]}),
    "arma": (arma, {"mean": 2.0, "phi": 0.7, "theta": 0.4, "sigma": 1.3}),
} | {f"nist.{name}": nonlinear(name, mean) for name, mean in MEANS.items()}
"""Log-likelihoods, each with the point where Newton's method begins."""


# --- The maximum


def derivatives(f, at):
    """The gradient and the Hessian by central differences."""
    n = len(at)
    steps = [STEP * max(abs(v), STEP) for v in at]

    def moved(*moves):
        there = list(at)
        for i, sign in moves:
            there[i] += sign * steps[i]
        return f(*there)

    middle = f(*at)
    up, down = ([moved((i, s)) for i in range(n)] for s in (1, -1))
    g = mp.matrix([(up[i] - down[i]) / (2 * steps[i]) for i in range(n)])
    H = mp.matrix(n, n)
    for i in range(n):
        H[i, i] = (up[i] - 2 * middle + down[i]) / steps[i] ** 2
        for j in range(i):
            signs = [(a, b) for a in (1, -1) for b in (1, -1)]
            cross = mp.fsum(a * b * moved((i, a), (j, b)) for a, b in signs)
            H[i, j] = H[j, i] = cross / (4 * steps[i] * steps[j])
    return middle, g, H


def maximum(f, at):
    """The maximum near a point: its place, its standard errors and the log-likelihood there."""
    for _ in range(100):
        value, g, H = derivatives(f, at)
        step = mp.lu_solve(-H, g)
        gain = float(mp.re(mp.fdot(step, g)))
        if 0.0 <= gain < 1e-25:
            cov = mp.inverse(-H)
            return at, [mp.sqrt(cov[i, i]) for i in range(len(at))], value
        shrink = mp.mpf(1)
        while not is_better(f, [a + shrink * s for a, s in zip(at, step, strict=True)], value):
            shrink /= 2
        at = [a + shrink * s for a, s in zip(at, step, strict=True)]
    raise SystemExit("no maximum in 100 steps")


def is_better(f, at, value):
    found = f(*at)
    return isinstance(found, mp.mpf) and found >= value


def fit(name):
    f, start = MODELS[name]
    sizes = {p: np.shape(v) for p, v in start.items()}
    flat = [mp.mpf(float(v)) for value in start.values() for v in np.ravel(value)]
    at, errors, value = maximum(f, flat)
    return {
        "estimates": shaped(at, sizes),
        "std_errors": shaped(errors, sizes),
        "log_likelihood": float(value),
    }


def shaped(flat, sizes):
    """Flat numbers as floats and nested lists by name."""
    left = list(map(float, flat))
    found = {}
    for name, shape in sizes.items():
        n = int(np.prod(shape))
        found[name] = np.reshape(left[:n], shape).tolist()
        left = left[n:]
    return found


if __name__ == "__main__":
    known = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    for name in sys.argv[1:] or MODELS:
        known[name] = fit(name)
        print(name, known[name], flush=True)
        ordered = {name: known[name] for name in MODELS if name in known}
        FILE.write_text(json.dumps(ordered, indent=1) + "\n", encoding="utf-8")
