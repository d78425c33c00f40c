"""Samplers that follow gradients, on eight schools.

A leapfrog step over one `choice_gradients` of the same trace, and effective draws per second of
`nuts` over the ones of Pyro's NUTS, if Pyro is installed: the same model, warm-up and number of
draws, one chain, the same estimator of the effective number of draws.

    python benchmarks/hmc.py [draws]
"""

# pyright: reportMissingImports=false

import functools
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from bench import ratio

from genparams import Trace, datasets, gen, half_cauchy, hmc, mcmc, normal, nuts
from genparams.learning.sampling.coordinates import Coordinates
from genparams.learning.sampling.hamiltonian import leapfrog, state_of
from genparams.learning.sampling.metric import metric_of

TABLE = datasets.eight_schools()
Y, SE = TABLE["y"].astype(float), TABLE["se"].astype(float)
WARMUP = 500


@gen
def centred(se):
    mu = normal(0.0, 5.0) @ "mu"
    tau = half_cauchy(5.0) @ "tau"
    theta = normal(mu, tau, size=8) @ "theta"
    normal(theta, se) @ "y"


@gen
def noncentred(se):
    mu = normal(0.0, 5.0) @ "mu"
    tau = half_cauchy(5.0) @ "tau"
    z = normal(0.0, 1.0, size=8) @ "z"
    normal(mu + tau * z, se) @ "y"


MODELS = {
    "centred": (centred, ["mu", "tau", "theta"]),
    "noncentred": (noncentred, ["mu", "tau", "z"]),
}
AT = {"mu": 4.0, "tau": 3.0, "theta": 4.0 + Y / 10.0, "z": Y / 30.0, "y": Y}


def trace_of(name: str) -> tuple[Trace, list[str]]:
    model, selection = MODELS[name]
    at = {address: AT[address] for address in (*selection, "y")}
    return model.generate((SE,), at)[0], selection


# --- A leapfrog step


def leapfrog_ratios(name: str) -> tuple[float, float]:
    """A leapfrog step, and a step of a trajectory of 20 with all that belongs to it, each over one
    gradient by the same choices.
    """
    trace, selection = trace_of(name)
    space = Coordinates(trace, selection)
    metric = metric_of(None, space.size)
    state = state_of(space.start, np.ones(space.size), metric)
    gradient = functools.partial(trace.choice_gradients, selection)
    step = ratio(lambda: leapfrog(space, metric, state, 0.1), gradient, rounds=40)
    kernel = functools.partial(hmc, trace, selection, step_size=0.1, steps=20, rng=0)
    return step, ratio(kernel, gradient, rounds=40) / 20.0


# --- Effective draws per second


def ours(name: str, draws: int) -> tuple[float, dict[str, np.ndarray]]:
    trace, selection = trace_of(name)
    start = time.perf_counter()
    found = mcmc(functools.partial(nuts, selection=selection), trace, draws, WARMUP, rng=0)
    seconds = time.perf_counter() - start
    return seconds, {a: found.values[a][0] for a in selection}


def pyros(name: str, draws: int, jit: bool) -> tuple[float, dict[str, np.ndarray]]:
    import pyro
    import pyro.distributions as dist
    import torch
    from pyro.infer import MCMC, NUTS

    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    pyro.clear_param_store()
    pyro.set_rng_seed(0)
    y, se = torch.tensor(Y), torch.tensor(SE)

    def model() -> None:
        mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
        tau = pyro.sample("tau", dist.HalfCauchy(5.0))
        if name == "centred":
            theta = pyro.sample("theta", dist.Normal(mu, tau).expand([8]).to_event(1))
        else:
            z = pyro.sample("z", dist.Normal(0.0, 1.0).expand([8]).to_event(1))
            theta = mu + tau * z
        pyro.sample("y", dist.Normal(theta, se).to_event(1), obs=y)

    kernel = NUTS(model, jit_compile=jit, ignore_jit_warnings=True)
    run = MCMC(kernel, num_samples=draws, warmup_steps=WARMUP, disable_progbar=True)
    start = time.perf_counter()
    run.run()
    seconds = time.perf_counter() - start
    return seconds, {k: v.numpy() for k, v in run.get_samples().items()}


def effective(draws: dict[str, np.ndarray]) -> float:
    """The least effective number of draws of any number, by Pyro's estimator."""
    import torch
    from pyro.ops.stats import effective_sample_size

    return min(
        float(torch.min(effective_sample_size(torch.tensor(np.asarray(v))[None], 0, 1)))
        for v in draws.values()
    )


def rate(run: Callable[..., tuple[float, Any]], *args: Any) -> float:
    """Effective draws per second, the warm-up included."""
    seconds, draws = run(*args)
    return effective(draws) / seconds


def main(draws: int = 1000) -> None:
    warnings.simplefilter("ignore")
    for name in MODELS:
        step, of_many = leapfrog_ratios(name)
        print(f"{name}: a leapfrog step {step:.2f} of one choice_gradients; in hmc {of_many:.2f}")
    for name in MODELS:
        try:
            theirs = max(rate(pyros, name, draws, jit) for jit in (False, True))
        except ImportError:
            print("Pyro is not installed")
            return
        mine = rate(ours, name, draws)
        print(
            f"{name}: {mine:.0f} effective draws per second, {mine / theirs:.1f} times Pyro's "
            f"{theirs:.0f}"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
