# pyright: reportMissingImports=false
"""The workloads of `static.py` in JAX and optax, float64, on one processor.

A peer's step is one jitted function of the parameters, the state of ADAM and the data; its whole
loop is one jitted loop of these steps. Parameters are unconstrained, as they are by hand, and begin
at the same values, so that both take the same steps. Importing this raises ImportError where JAX or
optax is not installed.
"""

import os

if hasattr(os, "sched_setaffinity"):  # the one setting that JAX always heeds
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import by_hand
import jax
import numpy as np
import optax
import state_space
import static_models as models
import step as steps_by_trace
import variational
from jax import numpy as jnp
from jax.flatten_util import ravel_pytree
from jax.scipy.special import logsumexp

jax.config.update("jax_enable_x64", True)


class Model(NamedTuple):
    """A model in JAX."""

    log_prob: Callable[..., Any]
    """The log probability by parameters and data; a bound is by a key of random numbers, too."""
    theta: dict[str, Any]
    data: Iterator[tuple[Any, ...]] | tuple[Any, ...]
    """The data of every step, or of one after another."""
    rate: float = 0.01
    key: Any = None


class Peer:
    """The steps of a model in JAX. Parameters are one flat array, so that a call is quick."""

    def __init__(self, model: Model):
        self._model, self._rule = model, optax.adam(model.rate)
        theta, self._tree_of = ravel_pytree(jax.tree.map(jnp.asarray, model.theta))
        self._now = theta, self._rule.init(theta), model.key
        self._step, self._many = jax.jit(self._moved), jax.jit(self._repeated)
        self.has_one_data = isinstance(model.data, tuple)

    def step(self) -> float:
        """One step; the log probability before it."""
        self._now, log_prob = self._step(self._now, *self._data())
        return float(log_prob)

    def whole(self, steps: int) -> Any:
        """Many steps in one call."""
        return jax.block_until_ready(self._many(steps, self._now, *self._data()))

    def compile_seconds(self) -> float:
        """How long the first step takes."""
        start = time.perf_counter()
        self.step()
        return time.perf_counter() - start

    def _data(self) -> tuple[Any, ...]:
        data = self._model.data
        return data if isinstance(data, tuple) else next(data)

    def _moved(self, now: Any, *data: Any) -> tuple[Any, Any]:
        theta, state, key = now
        if key is not None:
            key, used = jax.random.split(key)
            data = used, *data
        loss, g = jax.value_and_grad(lambda t: -self._model.log_prob(self._tree_of(t), *data))(
            theta
        )
        updates, state = self._rule.update(g, state, theta)
        return (optax.apply_updates(theta, updates), state, key), -loss

    def _repeated(self, steps: Any, now: Any, *data: Any) -> Any:
        return jax.lax.fori_loop(0, steps, lambda _, now: self._moved(now, *data)[0], now)


def peer(name: str) -> Peer | None:
    """A workload in JAX; None for one that is a distribution of ours alone."""
    return Peer(MODELS[name]()) if name in MODELS else None


# --- Models of independent data


def normal(x: Any, mean: Any, log_std: Any) -> Any:
    z = (x - mean) / jnp.exp(log_std)
    return -0.5 * z * z - log_std - by_hand.HALF_LOG_TWO_PI


LINE = {"slope": 0.0, "intercept": 0.0, "noise": 0.0}


def line_log_prob(theta: Any, xs: Any, ys: Any) -> Any:
    return jnp.sum(normal(ys, theta["slope"] * xs + theta["intercept"], theta["noise"]))


def line() -> Model:
    work = steps_by_trace.line_array()
    return Model(
        line_log_prob, LINE, (jnp.asarray(work.args[0]), jnp.asarray(work.constraints["ys"]))
    )


def loop() -> Model:
    """Each point on its own, as the model is written.

    There is a key, which is not read: without one the compiler of a loop of these steps runs out of
    memory, at 22 GB.
    """
    work = steps_by_trace.line_loop()
    points = list(zip(work.args[0].tolist(), map(float, work.constraints.values()), strict=True))

    def log_prob(theta: Any, key: Any) -> Any:
        total = 0.0
        for x, y in points:
            total = total + normal(y, theta["slope"] * x + theta["intercept"], theta["noise"])
        return total

    return Model(log_prob, LINE, (), key=jax.random.PRNGKey(0))


def minibatch() -> Model:
    _, xs, ys = models.long_line()

    def batches() -> Iterator[tuple[Any, ...]]:
        rng = np.random.default_rng(0)
        while True:
            order = rng.permutation(len(xs))
            for start in range(0, len(xs), models.POINTS):
                rows = order[start : start + models.POINTS]
                yield xs[rows], ys[rows]

    return Model(line_log_prob, LINE, batches())


def logistic() -> Model:
    work = steps_by_trace.logistic()

    def log_prob(theta: Any, x: Any, y: Any) -> Any:
        logits = x @ theta["w"]
        return y @ logits - jnp.sum(jnp.logaddexp(0.0, logits))

    y = work.constraints["y"].astype(float)
    return Model(log_prob, {"w": np.zeros(50)}, (jnp.asarray(work.args[0]), jnp.asarray(y)))


def mixture() -> Model:
    """The whitened distances by products of 2 x 2 matrices, written out for columns of points."""
    work, start = steps_by_trace.mixture_of_normals(), by_hand.mixture_start()

    def log_prob(theta: Any, points: Any) -> Any:
        a, b, c = theta["tril"].T
        log_w = jax.nn.log_softmax(jnp.append(theta["logits"], 0.0))
        d = points[:, None, :] - theta["means"].T[:, :, None]
        first = d[0] * jnp.exp(-a)[:, None]
        second = (d[1] - b[:, None] * first) * jnp.exp(-c)[:, None]
        constant = log_w - a - c - 2.0 * by_hand.HALF_LOG_TWO_PI
        joint = constant[:, None] - 0.5 * (first * first + second * second)
        return jnp.sum(logsumexp(joint, axis=0))

    theta = {
        "logits": start[:4],
        "means": start[4:14].reshape(5, 2),
        "tril": start[14:].reshape(5, 3),
    }
    return Model(log_prob, theta, (jnp.asarray(work.constraints["points"].T.copy()),))


# --- Sequences


def kalman() -> Model:
    def log_prob(theta: Any, ys: Any) -> Any:
        phi, q, r = theta["phi"], jnp.exp(theta["q"]), jnp.exp(theta["r"])

        def filtered(now: Any, y: Any) -> Any:
            a, P = now
            F, v = P + r, y - a
            k = P / F
            term = -0.5 * (jnp.log(2.0 * jnp.pi * F) + v * v / F)
            return (phi * (a + k * v), phi * phi * P * (1.0 - k) + q), term

        return jnp.sum(jax.lax.scan(filtered, (0.0, state_space.START), ys)[1])

    return Model(log_prob, {"phi": 0.9, "q": 0.0, "r": 0.0}, (jnp.asarray(state_space.series()),))


def softmax(free: Any) -> Any:
    """Probabilities by their logits, the last of which is 0."""
    return jax.nn.softmax(jnp.concatenate([free, jnp.zeros((*free.shape[:-1], 1))], -1), axis=-1)


def forward() -> Model:
    n = models.STATES

    def log_prob(theta: Any, ys: Any) -> Any:
        moves = softmax(theta["transition"])
        e = jnp.exp(normal(ys[:, None], theta["means"], theta["log_stds"]))

        def filtered(alpha: Any, e: Any) -> Any:
            alpha = (alpha @ moves) * e
            mass = jnp.sum(alpha)
            return alpha / mass, jnp.log(mass)

        alpha = softmax(theta["initial"]) * e[0]
        mass = jnp.sum(alpha)
        return jnp.log(mass) + jnp.sum(jax.lax.scan(filtered, alpha / mass, e[1:])[1])

    theta = {
        "initial": np.zeros(n - 1),
        "transition": np.zeros((n, n - 1)),
        "means": np.arange(float(n)),
        "log_stds": np.zeros(n),
    }
    return Model(log_prob, theta, (jnp.asarray(models.hidden_states()),))


# --- Bounds


def regression() -> Model:
    def bound(theta: Any, key: Any, x: Any, y: Any) -> Any:
        z = jax.random.normal(key, (10,))
        w = theta["mean"] + jnp.exp(theta["log_std"]) * z
        log_p = jnp.sum(normal(y, x @ w, np.log(0.5))) - 0.5 * w @ w
        return log_p + 0.5 * z @ z + jnp.sum(theta["log_std"])

    theta = {"mean": np.zeros(10), "log_std": np.zeros(10)}
    data = tuple(map(jnp.asarray, variational.regression_data()))
    return Model(bound, theta, data, key=jax.random.PRNGKey(0))


def autoencoder() -> Model:
    def bound(theta: Any, key: Any, pixels: Any) -> Any:
        v0, a0, v1, a1, w0, b0, w1, b1 = (theta[name] for name in names)
        code = jnp.tanh(pixels @ v0 + a0) @ v1 + a1
        mean, log_std = code[:, :20], code[:, 20:]
        noise = jax.random.normal(key, mean.shape)
        z = mean + jnp.exp(log_std) * noise
        logits = jnp.tanh(z @ w0 + b0) @ w1 + b1
        log_p = jnp.sum(jax.nn.log_sigmoid((2.0 * pixels - 1.0) * logits)) - 0.5 * jnp.sum(z * z)
        return log_p + 0.5 * jnp.sum(noise * noise) + jnp.sum(log_std)

    theta = {f"{name} {p}": value for (name, p), value in variational.start().items()}
    names = list(theta)
    data = (jnp.asarray(variational.pictures()),)
    return Model(bound, theta, data, 0.001, jax.random.PRNGKey(0))


MODELS = {
    "line": line,
    "loop": loop,
    "logistic": logistic,
    "mixture": mixture,
    "kalman": kalman,
    "forward": forward,
    "regression": regression,
    "autoencoder": autoencoder,
    "minibatch": minibatch,
}
