"""Steps of linear Gaussian state-space models, over the same steps by hand.

    python benchmarks/state_space.py

A step is the gradient of log p(y) at 1,000 times by the Kalman filter, and ADAM. By hand it is a
loop over the times: of floats where the state is a number, of numpy arrays where it is a vector. A
kernel is the filter and its gradients alone, over the whole step by hand.
"""

from bench import ratio  # before numpy

# isort: split
import math
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from by_hand import adam

from genparams import ADAM, ParamUpdate, gen, init_param, linear_gaussian, param, positive
from genparams.dsl.distributions.sequences import loops_kalman
from genparams.dsl.distributions.sequences.kalman_scalar import kalman_scalar

LENGTH = 1000
START = 10.0
TREND = np.array([[1.0, 1.0], [0.0, 1.0]])


def series(seed: int = 0) -> np.ndarray:
    """A stationary AR(1) with noise."""
    rng, x = np.random.default_rng(seed), np.zeros(LENGTH)
    for t in range(1, LENGTH):
        x[t] = 0.9 * x[t - 1] + 0.5 * rng.normal()
    return x + rng.normal(size=LENGTH)


# --- A number as state


@gen
def with_noise(n):
    return (
        linear_gaussian(
            n,
            transition=param("phi"),
            transition_cov=param("q"),
            observation_cov=param("r"),
            initial_cov=START,
        )
        @ "ys"
    )


def with_noise_by_hand(ys: np.ndarray) -> Callable[[], float]:
    """theta = (phi, log q, log r). A missing observation is NaN."""
    theta = np.array([0.9, 0.0, 0.0])
    apply, values = adam(theta), ys.tolist()

    def step() -> float:
        phi, q, r = float(theta[0]), math.exp(theta[1]), math.exp(theta[2])
        a, P, log_prob, kept = 0.0, START, 0.0, []
        for y in values:
            if y == y:
                F, v = P + r, y - a
                k = P / F
                log_prob -= 0.5 * (math.log(2.0 * math.pi * F) + v * v / F)
            else:
                F, v, k = math.inf, 0.0, 0.0
            kept.append((a, P, F, v, k))
            a, P = phi * (a + k * v), phi * phi * P * (1.0 - k) + q
        da = dP = dphi = dq = dr = 0.0
        for a, P, F, v, k in reversed(kept):
            dphi += da * (a + k * v) + 2.0 * phi * dP * P * (1.0 - k)
            dq += dP
            dk = phi * da * v - phi * phi * dP * P
            dF = 0.5 * (v * v / F - 1.0) / F - dk * k / F
            dP = phi * phi * dP * (1.0 - k) + dk / F + dF
            da = phi * da - phi * da * k + v / F
            dr += dF
        apply(np.array([dphi, q * dq, r * dr]))
        return log_prob

    return step


# --- A level and a slope as state


@gen
def trend(n):
    return (
        linear_gaussian(
            n,
            transition=TREND,
            transition_std=param("stds"),
            observation=[1.0, 0.0],
            observation_std=param("noise"),
            initial_cov=START,
        )
        @ "ys"
    )


def trend_by_hand(ys: np.ndarray) -> Callable[[], float]:
    """theta = log of the two standard deviations of the state, and of the noise."""
    theta = np.zeros(3)
    apply, A = adam(theta), TREND

    def step() -> float:
        s1, s2, noise = np.exp(theta)
        Q, r = np.diag([s1 * s1, s2 * s2]), noise * noise
        a, P, log_prob, kept = np.zeros(2), START * np.eye(2), 0.0, []
        for y in ys:
            F, v = P[0, 0] + r, y - a[0]
            k = A @ P[:, 0] / F
            L = A.copy()
            L[:, 0] -= k
            log_prob -= 0.5 * (math.log(2.0 * math.pi * F) + v * v / F)
            kept.append((F, v, k, L))
            a, P = A @ a + k * v, A @ P @ L.T + Q
        r1, N1, dQ, dr = np.zeros(2), np.zeros((2, 2)), np.zeros((2, 2)), 0.0
        for F, v, k, L in reversed(kept):
            dQ += np.outer(r1, r1) - N1
            u = v / F - k @ r1
            dr += 0.5 * (u * u - 1.0 / F - k @ N1 @ k)
            r1, N1 = L.T @ r1, L.T @ N1 @ L
            r1[0] += v / F
            N1[0, 0] += 1.0 / F
        apply(np.array([dQ[0, 0] * s1 * s1, dQ[1, 1] * s2 * s2, 2.0 * dr * r]))
        return log_prob

    return step


# --- Measured


def steps_of(model: Any, ys: np.ndarray) -> Callable[[], Any]:
    trace, _ = model.generate((LENGTH,), {"ys": ys})
    update = ParamUpdate(ADAM(0.01), model)

    def step() -> float:
        log_prob, _ = trace.accumulate_param_gradients()
        update.apply()
        return log_prob

    return step


def compare(name: str, ours: Callable[[], Any], hand: Callable[[], Any], target: str = "") -> None:
    print(f"{name:44}{ratio(ours, hand, 30):8.3f}{target:>10}", flush=True)


def start() -> None:
    init_param(with_noise, "phi", 0.9)
    init_param(with_noise, "q", 1.0, constraint=positive)
    init_param(with_noise, "r", 1.0, constraint=positive)
    init_param(trend, "stds", np.ones(2), constraint=positive)
    init_param(trend, "noise", 1.0, constraint=positive)


def main() -> None:
    start()
    ys = series()
    missing = np.where(np.arange(LENGTH) % 10 == 3, np.nan, ys)
    for model, hand, values in (
        (with_noise, with_noise_by_hand, ys),
        (with_noise, with_noise_by_hand, missing),
        (trend, trend_by_hand, ys),
    ):
        start()
        mine, theirs = steps_of(model, values), hand(values)
        for _ in range(3):
            np.testing.assert_allclose(mine(), theirs(), rtol=1e-9)
    start()
    compare("AR(1) with noise", steps_of(with_noise, ys), with_noise_by_hand(ys), "<= 0.08")
    one = [np.array([v]) for v in (0.0, START, 0.9, 0.0, 1.0, 1.0, 0.0, 1.0)]
    compare("  its kernel", lambda: kalman_scalar(ys, *one), with_noise_by_hand(ys))
    if find_spec("numba"):
        import numba  # type: ignore[import-not-found]

        compiled = numba.njit(loops_kalman.kalman_scalar)
        compare(
            "  its kernel, compiled", lambda: compiled(ys, *one), with_noise_by_hand(ys), "<= 0.06"
        )
    compare("one in ten missing", steps_of(with_noise, missing), with_noise_by_hand(missing))
    compare("local linear trend", steps_of(trend, ys), trend_by_hand(ys))


if __name__ == "__main__":
    main()
