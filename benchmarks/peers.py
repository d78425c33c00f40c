# pyright: reportMissingImports=false
"""The benchmarks' workloads in Pyro and NumPyro, float64, one thread; whichever is installed."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np


def steps(name: str, work: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    """For each peer, its name and one training step: maximum likelihood by its SVI and ADAM."""
    for peer in (_pyro, _numpyro):
        try:
            step = peer(name, work)
        except ImportError:
            continue
        if step is not None:
            yield peer.__name__[1:], step


def _data(name: str, work: Any) -> tuple[np.ndarray, np.ndarray]:
    if name == "mixture_of_normals":
        return np.zeros(0), work.constraints["points"]
    if name == "line_loop":
        return work.args[0], np.array(list(work.constraints.values()))
    return work.args[0], np.asarray(next(iter(work.constraints.values())), dtype=float)


def _pyro(name: str, work: Any) -> Callable[[], Any] | None:
    import pyro
    import pyro.distributions as dist
    import torch
    from torch.distributions import constraints

    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    pyro.clear_param_store()
    x, y = (torch.tensor(a) for a in _data(name, work))

    def line(x: Any, y: Any) -> None:
        slope, intercept = (
            pyro.param("slope", torch.tensor(0.0)),
            pyro.param("b", torch.tensor(0.0)),
        )
        noise = pyro.param("noise", torch.tensor(1.0), constraint=constraints.positive)
        if name == "line_loop":
            for i in range(len(x)):
                pyro.sample(f"y{i}", dist.Normal(slope * x[i] + intercept, noise), obs=y[i])
        else:
            pyro.sample("y", dist.Normal(slope * x + intercept, noise).to_event(1), obs=y)

    def logistic(x: Any, y: Any) -> None:
        w = pyro.param("w", torch.zeros(x.shape[1]))
        pyro.sample("y", dist.Bernoulli(logits=x @ w).to_event(1), obs=y)

    def mixture(x: Any, y: Any) -> None:
        weights = pyro.param("weights", torch.full((5,), 0.2), constraint=constraints.simplex)
        angle = 2.0 * np.pi * torch.arange(5) / 5.0
        means = pyro.param("means", 2.0 * torch.stack([angle.cos(), angle.sin()], 1))
        tril = pyro.param(
            "tril", torch.stack([torch.eye(2)] * 5), constraint=constraints.lower_cholesky
        )
        components = dist.MultivariateNormal(means, scale_tril=tril)
        both = dist.MixtureSameFamily(dist.Categorical(weights), components)
        with pyro.plate("points", len(y)):
            pyro.sample("y", both, obs=y)

    models = {"logistic": logistic, "mixture_of_normals": mixture}
    adam = pyro.optim.Adam({"lr": 0.01})
    model = models.get(name, line)
    svi = pyro.infer.SVI(model, lambda x, y: None, adam, pyro.infer.Trace_ELBO())
    return lambda: svi.step(x, y)


def _numpyro(name: str, work: Any) -> Callable[[], Any] | None:
    import jax
    import numpyro
    import numpyro.distributions as dist
    from jax import numpy as jnp
    from numpyro.distributions import constraints

    if name == "line_loop":
        return None  # unrolled into one program, it takes minutes to compile
    jax.config.update("jax_enable_x64", True)
    x, y = (jnp.asarray(a) for a in _data(name, work))

    def line(x: Any, y: Any) -> None:
        slope, intercept = numpyro.param("slope", 0.0), numpyro.param("intercept", 0.0)
        noise = numpyro.param("noise", 1.0, constraint=constraints.positive)
        numpyro.sample("y", dist.Normal(slope * x + intercept, noise).to_event(1), obs=y)

    def logistic(x: Any, y: Any) -> None:
        w = numpyro.param("w", jnp.zeros(x.shape[1]))
        numpyro.sample("y", dist.Bernoulli(logits=x @ w).to_event(1), obs=y)

    def mixture(x: Any, y: Any) -> None:
        weights = numpyro.param("weights", jnp.full(5, 0.2), constraint=constraints.simplex)
        angle = 2.0 * np.pi * jnp.arange(5) / 5.0
        means = numpyro.param("means", 2.0 * jnp.stack([jnp.cos(angle), jnp.sin(angle)], 1))
        start = jnp.stack([jnp.eye(2)] * 5)
        tril = numpyro.param("tril", start, constraint=constraints.lower_cholesky)
        components = dist.MultivariateNormal(means, scale_tril=tril)
        both = dist.MixtureSameFamily(dist.Categorical(weights), components)
        numpyro.sample("y", both.expand([len(y)]).to_event(1), obs=y)

    models = {"logistic": logistic, "mixture_of_normals": mixture}
    model = models.get(name, line)
    elbo = numpyro.infer.Trace_ELBO()
    svi = numpyro.infer.SVI(model, lambda x, y: None, numpyro.optim.Adam(0.01), elbo)
    state = svi.init(jax.random.PRNGKey(0), x, y)
    update = jax.jit(svi.update)

    def step() -> Any:
        nonlocal state
        state, loss = update(state, x, y)
        return loss.block_until_ready()

    return step
