"""Models whose fits are in print: the tables of `genparams.datasets` and the sets of NIST."""

import numpy as np
from world import World, computed, printed

from genparams import (
    bernoulli,
    binomial,
    datasets,
    exponential,
    gamma,
    gen,
    mixture,
    multinomial,
    normal,
    param,
    poisson,
    positive,
    simplex,
    unit_interval,
)

# --- A response and what it depends on


@gen
def line(x):
    mean = param("intercept", 0.0) + param("slope", 0.0) * x
    return normal(mean, param("sigma", 1.0, constraint=positive)) @ "y"


@gen
def logit(x):
    return bernoulli(logits=param("intercept", 0.0) + param("slope", 0.0) * x) @ "y"


@gen
def binomial_logit(n, x):
    return binomial(n, logits=param("intercept", 0.0) + param("slope", 0.0) * x) @ "y"


@gen
def binomial_cloglog(n, x):
    eta = param("intercept", 0.0) + param("slope", 0.0) * x
    return binomial(n, -np.expm1(-np.exp(eta))) @ "y"


@gen
def michaelis_menten(conc):
    mean = param("Vm", 1.0) * conc / (param("K", 1.0, constraint=positive) + conc)
    return normal(mean, param("sigma", 1.0, constraint=positive)) @ "rate"


@gen
def log_linear(outcome, treatment):
    eta = (
        param("intercept", 0.0)
        + param("outcome2", 0.0) * (outcome == 2.0)
        + param("outcome3", 0.0) * (outcome == 3.0)
        + param("treatment2", 0.0) * (treatment == 2.0)
        + param("treatment3", 0.0) * (treatment == 3.0)
    )
    return poisson(np.exp(eta)) @ "count"


@gen
def marginal(se):
    tau = param("tau", 1.0, constraint=positive)
    return normal(param("mu", 0.0), np.sqrt(se**2 + tau**2)) @ "y"


# --- One sample


@gen
def counts(n):
    return poisson(param("rate", 1.0, constraint=positive), size=n) @ "y"


@gen
def memoryless(n):
    return exponential(1.0 / param("mean", 1.0, constraint=positive), size=n) @ "hours"


@gen
def gamma_failures(n):
    shape = param("shape", 1.0, constraint=positive)
    scale = param("mean", 1.0, constraint=positive) / shape
    return gamma(shape, scale=scale, size=n) @ "hours"


@gen
def two_normals(n):
    share = param("share", 0.5, constraint=unit_interval)
    parts = [
        normal(param("mean1", 0.0), param("std1", 1.0, constraint=positive)),
        normal(param("mean2", 0.0), param("std2", 1.0, constraint=positive)),
    ]
    return mixture([share, 1.0 - share], parts, size=n) @ "waiting"


@gen
def normals(n):
    """The same mixture with arrays of parameters."""
    parts = normal(param("means"), param("stds", [1.0, 1.0], constraint=positive))
    return mixture(param("weights", [0.5, 0.5], constraint=simplex), parts, size=n) @ "waiting"


@gen
def linked(n):
    t = param("t", 0.5, constraint=unit_interval)
    return multinomial(n, [0.5 + t / 4.0, (1.0 - t) / 4.0, (1.0 - t) / 4.0, t / 4.0]) @ "count"


# --- In time


@gen
def local_level(first, n):
    """Each flow given the flows before it, by the Kalman filter; the first is known."""
    var_eps = param("var_eps", 1.0, constraint=positive)
    var_eta = param("var_eta", 1.0, constraint=positive)
    level, variance = first, var_eps
    for t in range(1, n):
        before = variance + var_eta
        total = before + var_eps
        flow = normal(level, np.sqrt(total)) @ ("flow", t)
        level = level + before / total * (flow - level)
        variance = before * var_eps / total


@gen
def step(years, break_after):
    early = param("early", 1.0, constraint=positive)
    late = param("late", 1.0, constraint=positive)
    return poisson(np.where(years <= break_after, early, late)) @ "count"


def tables():
    """A world for each fit of each table."""
    cars, flights, damage = datasets.mtcars(), datasets.oring(), datasets.oring_damage()
    beetles, enzyme, trial = datasets.beetles(), datasets.puromycin(), datasets.dobson()
    schools, kicks, failures = datasets.eight_schools(), datasets.horsekicks(), datasets.aircondit()
    geyser, animals, nile = datasets.faithful(), datasets.linkage(), datasets.nile()
    explosions = datasets.coal()
    treated = enzyme["state"] == "treated"
    deaths = np.repeat(kicks["deaths"], kicks["corps_years"].astype(int))
    years = np.arange(1851, 1963)
    yearly = np.bincount(explosions["date"].astype(int) - 1851, minlength=112)
    none = {"intercept": 0.0, "slope": 0.0}
    return [
        printed(
            "mtcars.line",
            cars.fits["line"],
            line,
            (cars["wt"],),
            {"y": cars["mpg"]},
            32,
            {**none, "sigma": 1.0},
            {**none, "sigma": 100.0},
        ),
        printed(
            "oring.logit",
            flights.fits["logit"],
            logit,
            (flights["temp"],),
            {"y": flights["distress"]},
            23,
            none,
            {"intercept": 5.0, "slope": 0.1},
        ),
        printed(
            "oring_damage.logit",
            damage.fits["logit"],
            binomial_logit,
            (6, damage["temp"]),
            {"y": damage["damaged"]},
            23,
            none,
        ),
        printed(
            "beetles.logit",
            beetles.fits["logit"],
            binomial_logit,
            (beetles["n"], beetles["dose"]),
            {"y": beetles["killed"]},
            8,
            none,
        ),
        printed(
            "beetles.cloglog",
            beetles.fits["cloglog"],
            binomial_cloglog,
            (beetles["n"], beetles["dose"]),
            {"y": beetles["killed"]},
            8,
            none,
            {"intercept": -10.0, "slope": 5.0},
        ),
        printed(
            "puromycin.treated",
            enzyme.fits["treated"],
            michaelis_menten,
            (enzyme["conc"][treated],),
            {"rate": enzyme["rate"][treated]},
            12,
            {"Vm": 1.0, "K": 1.0, "sigma": 1.0},
            {"Vm": 1000.0, "K": 5.0, "sigma": 100.0},
        ),
        printed(
            "dobson.log_linear",
            trial.fits["log_linear"],
            log_linear,
            (trial["outcome"], trial["treatment"]),
            {"count": trial["count"]},
            9,
            dict.fromkeys(trial.fits["log_linear"].estimates, 0.0),
        ),
        printed(
            "eight_schools.marginal",
            schools.fits["marginal"],
            marginal,
            (schools["se"],),
            {"y": schools["y"]},
            8,
            {"mu": 0.0, "tau": 10.0},
        ),
        printed(
            "horsekicks.poisson",
            kicks.fits["poisson"],
            counts,
            (200,),
            {"y": deaths},
            200,
            {"rate": 10.0},
            {"rate": 0.01},
        ),
        printed(
            "aircondit.exponential",
            failures.fits["exponential"],
            memoryless,
            (12,),
            {"hours": failures["hours"]},
            12,
            {"mean": 1.0},
            {"mean": 1e4},
        ),
        printed(
            "aircondit.gamma",
            failures.fits["gamma"],
            gamma_failures,
            (12,),
            {"hours": failures["hours"]},
            12,
            {"shape": 1.0, "mean": 1.0},
            {"shape": 10.0, "mean": 1000.0},
        ),
        printed(
            "faithful.mixture",
            geyser.fits["mixture"],
            two_normals,
            (272,),
            {"waiting": geyser["waiting"]},
            272,
            {"share": 0.5, "mean1": 60.0, "mean2": 70.0, "std1": 10.0, "std2": 10.0},
            {"share": 0.5, "mean1": 40.0, "mean2": 100.0, "std1": 5.0, "std2": 5.0},
        ),
        printed(
            "linkage.multinomial",
            animals.fits["multinomial"],
            linked,
            (197,),
            {"count": animals["count"]},
            1,
            {"t": 0.01},
            {"t": 0.99},
        ),
        printed(
            "nile.local_level",
            nile.fits["local_level"],
            local_level,
            (nile["flow"][0], 100),
            {("flow", t): nile["flow"][t] for t in range(1, 100)},
            99,
            {"var_eps": 1e4, "var_eta": 1e4},
            {"var_eps": 100.0, "var_eta": 100.0},
        ),
        printed(
            "coal.step",
            explosions.fits["step"],
            step,
            (years, 1891),
            {"count": yearly},
            112,
            {"early": 1.0, "late": 1.0},
            {"early": 0.01, "late": 50.0},
        ),
    ]


def in_arrays():
    """The mixture of Old Faithful with its parameters in arrays."""
    table = datasets.faithful()
    fit = table.fits["mixture"]

    def paired(numbers):
        share = numbers["share"]
        return {
            "weights": np.array([share, share]),
            "means": np.array([numbers["mean1"], numbers["mean2"]]),
            "stds": np.array([numbers["std1"], numbers["std2"]]),
        }

    estimates, errors = paired(fit.estimates), paired(fit.std_errors)
    estimates["weights"][1] = 1.0 - estimates["weights"][0]
    return World(
        "faithful_in_arrays",
        normals,
        (272,),
        {"waiting": table["waiting"]},
        {name: (estimates[name], errors[name]) for name in estimates},
        fit.log_likelihood,
        272,
        ({"weights": [0.5, 0.5], "means": [60.0, 70.0], "stds": [10.0, 10.0]},),
    )


# --- The sets of NIST


def nonlinear(name):
    """A set from both starts; sigma begins at 1."""
    data = datasets.nist(name)

    @gen
    def curve(x):
        mean = data.model(x, param("b"))
        return normal(mean, param("sigma", 1.0, constraint=positive)) @ "y"

    starts = [{"b": b, "sigma": 1.0} for b in data.starts]
    return computed(f"nist.{name}", curve, (data.x,), {"y": data.y}, len(data.y), *starts)


def nist_sets():
    """A world for each set."""
    return [nonlinear(name) for name in datasets.nist_names()]
