"""One training step of an autoregressive series and of a Gaussian process, against one by hand.

    python benchmarks/processes.py

By hand, the series is a loop over its values in floats, and the process is numpy with one Cholesky
factor and one inverse. Each row first checks that both ways give the same log likelihood.
"""

import math
from typing import Any

import bench
import by_hand
import numpy as np

from genparams import (
    ADAM,
    ParamUpdate,
    autoregressive,
    gaussian_process,
    gen,
    init_param,
    kernels,
    param,
    positive,
)


@gen
def series(n: int) -> Any:
    return autoregressive(param("phi"), param("std"), n, param("level")) @ "ys"


@gen
def smooth(x: np.ndarray) -> Any:
    kernel = kernels.squared_exponential(param("scale"), param("length"))
    return gaussian_process(x, kernel, noise=param("noise")) @ "ys"


def series_by_hand(ys: list[float]) -> by_hand.Step:
    """theta = (phi_1, phi_2, log std, level)."""
    theta = np.array([0.1, 0.1, 0.0, 0.0])
    apply = by_hand.adam(theta)
    n = len(ys)

    def step() -> float:
        a, b, log_std, level = theta.tolist()
        precision = math.exp(-2.0 * log_std)
        before, last = ys[0] - level, ys[1] - level
        w1, w2 = b * before, b * last + a * before
        e1, e2 = before, last - a * before
        square = e1 * e1 + e2 * e2 - w1 * w1 - w2 * w2
        by_a = e2 * before + w2 * before
        by_b = w1 * before + w2 * last
        by_level = e1 + e2 * (1.0 - a) - w1 * b - w2 * (a + b)
        rest = 1.0 - a - b
        for y in ys[2:]:
            d = y - level
            e = d - a * last - b * before
            square += e * e
            by_a += e * last
            by_b += e * before
            by_level += rest * e
            before, last = last, d
        r = a / (1.0 - b)
        by_r = -r / (1.0 - r * r)
        by_a = precision * by_a + by_r / (1.0 - b)
        by_b = precision * by_b + by_r * r / (1.0 - b) - 2.0 * b / (1.0 - b * b)
        apply(np.array([by_a, by_b, precision * square - n, precision * by_level]))
        log_det = math.log1p(-b * b) + 0.5 * math.log1p(-r * r)
        return log_det - 0.5 * precision * square - n * (log_std + by_hand.HALF_LOG_TWO_PI)

    return step


def smooth_by_hand(x: np.ndarray, ys: np.ndarray) -> by_hand.Step:
    """theta = (log scale, log length, log noise)."""
    theta = np.log([1.0, 1.0, 0.3])
    apply = by_hand.adam(theta)
    n, squares = len(x), (x[:, None] - x) ** 2

    def step() -> float:
        scale, length, noise = np.exp(theta)
        cov = scale**2 * np.exp(-0.5 / length**2 * squares)
        whole = cov + noise**2 * np.eye(n)
        factor, inverse = np.linalg.cholesky(whole), np.linalg.inv(whole)
        alpha = inverse @ ys
        g = 0.5 * (np.outer(alpha, alpha) - inverse)
        each = g * cov
        by_length = np.sum(each * squares) / length**2
        apply(np.array([2.0 * np.sum(each), by_length, 2.0 * noise**2 * np.trace(g)]))
        log_det = np.log(np.diagonal(factor)).sum()
        return float(-0.5 * (ys @ alpha) - log_det - n * by_hand.HALF_LOG_TWO_PI)

    return step


def ratio(model: Any, args: tuple, ys: np.ndarray, step: by_hand.Step, rounds: int) -> float:
    trace, log_prob = model.generate(args, {"ys": ys})
    assert abs(log_prob / step() - 1.0) < 1e-9, "both ways must agree"
    update = ParamUpdate(ADAM(0.01), model)

    def ours() -> None:
        trace.accumulate_param_gradients()
        update.apply()

    return bench.ratio(ours, step, rounds)


def start(model: Any, values: dict[str, Any], constrained: tuple[str, ...]) -> None:
    for name, value in values.items():
        init_param(model, name, value, constraint=positive if name in constrained else None)


def main() -> None:
    rng = np.random.default_rng(0)
    print(f"{'workload':46}{'step / by hand':>20}")
    for n in (100, 1000, 10_000):
        start(series, {"phi": [0.1, 0.1], "std": 1.0, "level": 0.0}, ("std",))
        ys = autoregressive([0.5, 0.3], 1.0, n, 0.2).sample(rng=0)
        found = ratio(series, (n,), ys, series_by_hand(ys.tolist()), 100)
        print(f"{f'autoregressive, p = 2, {n} values':46}{found:20.2f}", flush=True)
    for n in (50, 200, 1000):
        start(smooth, {"scale": 1.0, "length": 1.0, "noise": 0.3}, ("scale", "length", "noise"))
        x = np.linspace(0.0, 10.0, n)
        ys = np.sin(x) + 0.3 * rng.standard_normal(n)
        found = ratio(smooth, (x,), ys, smooth_by_hand(x, ys), 20 if n < 1000 else 5)
        print(f"{f'gaussian_process, {n} inputs':46}{found:20.2f}", flush=True)


if __name__ == "__main__":
    main()
