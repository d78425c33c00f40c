"""One training step of a Markov chain and of hidden Markov models, against one by hand.

    python benchmarks/hidden_markov.py

By hand, the hidden Markov model is the scaled forward-backward algorithm as a loop over time in
numpy; what needs no loop is one operation on arrays. Each row first checks that both ways give the
same log likelihood.
"""

from typing import Any

import bench
import by_hand
import numpy as np

from genparams import (
    ADAM,
    ParamUpdate,
    gen,
    hidden_markov,
    init_param,
    markov_chain,
    normal,
    param,
    positive,
    simplex,
)


@gen
def chain(n: int) -> Any:
    return markov_chain(param("initial"), param("transition"), n) @ "states"


@gen
def hidden(n: int) -> Any:
    emissions = normal(param("means"), param("stds"))
    return hidden_markov(param("initial"), param("transition"), emissions, n) @ "ys"


def softmax(free: np.ndarray) -> np.ndarray:
    """Probabilities by their logits, the last of which is 0."""
    logits = np.append(free, np.zeros((*free.shape[:-1], 1)), axis=-1)
    e = np.exp(logits)
    return e / e.sum(axis=-1, keepdims=True)


def by_logits(probs: np.ndarray, g: np.ndarray) -> np.ndarray:
    """From the gradient by probabilities to the gradient by free logits."""
    return (probs * (g - (g * probs).sum(axis=-1, keepdims=True)))[..., :-1]


def chain_by_hand(states: np.ndarray, count: int) -> by_hand.Step:
    """theta = (logits of the initial probabilities, logits of the transitions)."""
    theta = np.zeros((1 + count) * (count - 1))
    apply = by_hand.adam(theta)

    def step() -> float:
        initial = softmax(theta[: count - 1])
        transition = softmax(theta[count - 1 :].reshape(count, -1))
        before, after = states[:-1], states[1:]
        log_prob = np.log(initial[states[0]]) + np.log(transition[before, after]).sum()
        by_initial, by_transition = np.zeros(count), np.zeros((count, count))
        by_initial[states[0]] = 1.0 / initial[states[0]]
        np.add.at(by_transition, (before, after), 1.0 / transition[before, after])
        parts = by_logits(initial, by_initial), by_logits(transition, by_transition).ravel()
        apply(np.concatenate(parts))
        return float(log_prob)

    return step


def hidden_by_hand(ys: np.ndarray, count: int) -> by_hand.Step:
    """theta = (logits of the initial probabilities, of the transitions, means, log stds)."""
    free = count - 1
    theta = np.concatenate([np.zeros((1 + count) * free), np.arange(count), np.zeros(count)])
    apply = by_hand.adam(theta)
    n = len(ys)

    def step() -> float:
        initial = softmax(theta[:free])
        transition = softmax(theta[free : free + count * free].reshape(count, -1))
        means, stds = theta[-2 * count : -count], np.exp(theta[-count:])
        z = (ys[:, None] - means) / stds
        log_e = -0.5 * z * z - theta[-count:] - by_hand.HALF_LOG_TWO_PI
        top = log_e.max(axis=1)
        e = np.exp(log_e - top[:, None])
        alpha, beta, scale = np.empty((n, count)), np.empty((n, count)), np.empty(n)
        a = initial * e[0]
        for t in range(n):
            if t:
                a = (alpha[t - 1] @ transition) * e[t]
            scale[t] = a.sum()
            alpha[t] = a / scale[t]
        beta[-1] = 1.0
        for t in range(n - 1, 0, -1):
            beta[t - 1] = transition @ (e[t] * beta[t]) / scale[t]
        share = alpha * beta
        by_transition = alpha[:-1].T @ (e[1:] * beta[1:] / scale[1:, None])
        parts = [
            by_logits(initial, e[0] * beta[0] / scale[0]),
            by_logits(transition, by_transition).ravel(),
            (share * z).sum(axis=0) / stds,
            (share * (z * z - 1.0)).sum(axis=0),
        ]
        apply(np.concatenate(parts))
        return float(np.log(scale).sum() + top.sum())

    return step


def ratio(model: Any, address: str, value: np.ndarray, step: by_hand.Step) -> float:
    trace, log_prob = model.generate((len(value),), {address: value})
    assert abs(log_prob / step() - 1.0) < 1e-9, "both ways must agree"
    update = ParamUpdate(ADAM(0.01), model)

    def ours() -> None:
        trace.accumulate_param_gradients()
        update.apply()

    return bench.ratio(ours, step, 20)


def start(model: Any, count: int) -> None:
    even = np.full(count, 1.0 / count)
    init_param(model, "initial", even, constraint=simplex)
    init_param(model, "transition", np.tile(even, (count, 1)), constraint=simplex)


def main() -> None:
    print(f"{'workload':46}{'step / by hand':>20}")
    for count, n in ((4, 1000), (4, 10_000), (2, 1000), (8, 1000), (20, 1000)):
        start(hidden, count)
        init_param(hidden, "means", np.arange(count, dtype=float))
        init_param(hidden, "stds", np.ones(count), constraint=positive)
        transition = 0.8 * np.eye(count) + 0.2 / count
        emissions = normal(2.0 * np.arange(count), 0.7)
        initial = np.full(count, 1.0 / count)
        ys = hidden_markov(initial, transition, emissions, n).sample(rng=0)
        found = ratio(hidden, "ys", ys, hidden_by_hand(ys, count))
        print(f"{f'hidden_markov, {count} states, {n} steps':46}{found:20.2f}", flush=True)
    start(chain, 4)
    transition = 0.8 * np.eye(4) + 0.05
    states = markov_chain(np.full(4, 0.25), transition, 1000).sample(rng=0)
    found = ratio(chain, "states", states, chain_by_hand(states, 4))
    print(f"{'markov_chain, 4 states, 1000 steps':46}{found:20.2f}", flush=True)


if __name__ == "__main__":
    main()
