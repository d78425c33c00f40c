"""Random models: nested calls, branches, loops, fancy indexing and linear algebra, replayed."""

import numpy as np
import pytest
from test_static import assert_same, hits, move, parameters

from genparams import gen, normal, param, positive

N = 4


def tame(x):
    """Numbers that stay of moderate size."""
    return np.tanh(x)


SCALARS = [
    lambda s, t: s * t + 0.3,
    lambda s, t: s - 0.5 * t,
    lambda s, t: tame(s) / (1.0 + t * t),
    lambda s, t: np.exp(tame(s)) - t,
    lambda s, t: np.log1p(s * s) + np.sqrt(1.0 + t * t),
    lambda s, t: s if s > t else 0.7 * t,  # a branch
    lambda s, t: np.where(s > 0.2, s, 0.1 * t),
    lambda s, t: np.maximum(s, t) + np.abs(s - t),
]
"""From two numbers to one."""
TO_SCALAR = [
    lambda v, m, at: v @ m @ v,
    lambda v, m, at: np.sum(v[at]),
    lambda v, m, at: np.mean(np.exp(tame(m))),
    lambda v, m, at: np.linalg.slogdet(m @ m.T + np.eye(N))[1],
    lambda v, m, at: np.max(v) - np.min(m),
    lambda v, m, at: np.linalg.solve(m @ m.T + np.eye(N), v)[at[0]],
    lambda v, m, at: np.sum(np.linalg.cholesky(m @ m.T + np.eye(N))[at[1]]),
    lambda v, m, at: np.cumsum(v)[at[2]] * m[at[0], at[1]],
]
TO_VECTOR = [
    lambda s, v, m, at: s * v + v[at],
    lambda s, v, m, at: tame(m @ v),
    lambda s, v, m, at: np.sum(m[at], axis=0),
    lambda s, v, m, at: np.concatenate([v[:2], np.flip(v[2:]) * s]),
    lambda s, v, m, at: np.stack([s, v[0], m[0, 1], 2.0 * s]),
    lambda s, v, m, at: np.where(v > s, v, m[at[0]]),
]
TO_MATRIX = [
    lambda s, v, m, at: tame(m @ m.T) + s * np.eye(N),
    lambda s, v, m, at: m[at] * v,
    lambda s, v, m, at: tame(np.outer(v, v)) - m,
    lambda s, v, m, at: np.reshape(np.tile(v, N), (N, N)).T * s,
]


@gen
def nested(at, centre):
    """A function with a parameter of its own, called from the random ones."""
    shift = param("shift", 0.2)
    y = normal(centre + shift, 1.0) @ "y"
    return shift * at + 0.1 * y


def body_of(seed):
    """A body that makes the same random computation in every run."""
    rng = np.random.default_rng(seed)
    plan = rng.integers(0, 1_000_000, size=(int(rng.integers(3, 8)), 8)).tolist()
    count = int(rng.integers(2, 12))

    def once(k, codes, s, v, m, xs):
        at = np.array([codes[0] % N, codes[1] % N, codes[2] % N, codes[3] % N])
        s = SCALARS[codes[4] % len(SCALARS)](s, xs[k % len(xs)])
        s = tame(s) + 0.1 * TO_SCALAR[codes[5] % len(TO_SCALAR)](v, m, at)
        v = tame(TO_VECTOR[codes[6] % len(TO_VECTOR)](tame(s), v, m, at))
        m = 0.5 * tame(TO_MATRIX[codes[7] % len(TO_MATRIX)](tame(s), v, m, at)) + 0.1 * m
        return tame(s), v, m

    def model(xs):
        s, v = param("s", 0.4), param("v", np.array([0.3, -0.2, 0.5, 0.9]))
        m, scale = param("m", 0.3 * np.eye(N) + 0.1), param("scale", 1.2, constraint=positive)
        for k, codes in enumerate(plan):
            s, v, m = once(k, codes, s, v, m, xs)
            kind = codes[0] % 4
            if kind == 0:
                for t in range(count):  # a loop over choices
                    s = 0.9 * s + 0.1 * v[t % N] * xs[t % len(xs)]
                    _ = normal(s, scale) @ ("loop", k, t)
            elif kind == 1:
                s = s + nested(xs[k % len(xs)], s) @ ("call", k)
            elif kind == 2:
                _ = normal(v, scale) @ ("vector", k)
            else:
                _ = normal(m, scale) @ ("matrix", k)
        _ = normal(s + np.sum(v) + np.sum(m), scale) @ "last"

    return model


def compared(seed, backend):
    """A random model that is compared with its replay at several parameters and data."""
    body, rng = body_of(seed), np.random.default_rng(seed)
    plain = gen(body)
    trace = plain.simulate((rng.standard_normal(6),), rng=seed)
    static = gen(static=True, backend=backend)(body).with_params(plain.params)
    for _ in range(3):
        xs = rng.standard_normal(6)
        trace, _ = plain.generate((xs,), trace.choices)
        other, _ = static.generate((xs,), trace.choices)
        for _ in range(3):
            assert_same(parameters(other), parameters(trace))
            for store in {f.params for f, _ in trace.parameters}:
                move(store, rng)
    return static


@pytest.mark.parametrize("seed", range(60))
def test_a_random_model_is_replayed_as_interpreted(seed):
    static = compared(seed, "numpy")
    assert static.trace_gradients.programs.reason is None
    assert hits(static) >= 2
