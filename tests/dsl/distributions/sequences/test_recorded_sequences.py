"""Static functions with sequences: gradients and second derivatives are replayed as interpreted."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from genparams import (
    autoregressive,
    autoregressive_coefficients,
    gaussian_process,
    gen,
    hidden_markov,
    interval,
    kernels,
    linear_gaussian,
    markov_chain,
    mvnormal,
    normal,
    param,
    poisson,
    positive,
    simplex,
)
from genparams.compiled.quantities import StaticQuantities
from genparams.dsl.likelihood import quantities
from genparams.dsl.quantities import evaluate

LENGTH = 24
X = np.linspace(0.1, 3.0, LENGTH)
ROWS = np.array([[0.8, 0.2], [0.3, 0.7]])
MOVES = np.stack([ROWS, ROWS.T / ROWS.T.sum(axis=1, keepdims=True)] * LENGTH)[: LENGTH - 1]


def start() -> Any:
    return param("start", [0.4, 0.6], constraint=simplex)


def moves(changing: bool = False) -> Any:
    return param("moves", MOVES if changing else ROWS, constraint=simplex)


def above(name: str, value: Any) -> Any:
    return param(name, value, constraint=positive)


def of_normal(n: int = LENGTH, **options: Any) -> Any:
    emissions = normal(param("means", [0.0, 1.0]), above("stds", [1.0, 0.7]))
    return hidden_markov(start(), moves(), emissions, n, **options)


def in_time(x: Any) -> Any:
    means = param("slope", 1.0) * x[:, None] + param("means", [0.0, 1.0])
    return hidden_markov(start(), moves(changing=True), normal(means, 0.5))


def counts() -> Any:
    return hidden_markov(start(), moves(), poisson(above("rates", [1.0, 3.0])), LENGTH)


def points() -> Any:
    means = param("means", [[0.0, 1.0], [2.0, 3.0]])
    return hidden_markov(start(), moves(), mvnormal(means, np.eye(2)), LENGTH)


def of_table(x: Any) -> Any:
    table = -0.5 * (x[:, None] - param("means", [0.0, 1.0])) ** 2
    return hidden_markov(start(), moves(), log_emissions=table)


def level(x: Any = 1.0, **options: Any) -> Any:
    given = {"initial_cov": above("start", 3.0), "initial_mean": param("mean", 0.2)}
    return linear_gaussian(
        LENGTH,
        transition=param("phi", 0.8),
        transition_cov=above("q", 0.5),
        observation=x,
        observation_offset=param("offset", 0.3),
        observation_std=above("r", 1.0),
        **(options or given),
    )


def trend(**options: Any) -> Any:
    return linear_gaussian(
        LENGTH,
        transition=[[1.0, 1.0], [0.0, 1.0]],
        transition_std=above("stds", [1.0, 0.5]),
        observation=[1.0, 0.0],
        observation_std=above("r", 1.0),
        initial_cov=10.0,
        **options,
    )


def vectors() -> Any:
    return linear_gaussian(
        LENGTH,
        transition=param("transition", [[0.5, 0.2], [-0.1, 0.3]]),
        transition_cov=above("q", 1.0),
        observation=np.eye(2),
        observation_cov=above("r", 1.0) * np.array([[1.0, 0.3], [0.3, 1.0]]),
        initial="stationary",
    )


def series(x: Any) -> Any:
    partial = param("partial", [0.5, 0.1], constraint=interval(-1.0, 1.0))
    phi = autoregressive_coefficients(partial)
    return autoregressive(phi, above("std", 1.0), LENGTH, param("slope", 0.2) * x)


def after(**options: Any) -> Any:
    given = {"initial": param("initial", [0.1, 0.2])}
    phi, std = param("phi", [0.4, 0.1]), above("std", 1.0)
    return autoregressive(phi, std, LENGTH, param("mean", 0.2), **(options or given))


def smooth(x: Any) -> Any:
    kernel = kernels.squared_exponential(above("scale", 1.0), above("length", 1.0))
    return gaussian_process(x, kernel, param("mean", 0.1), above("noise", 0.5))


def rough(x: Any) -> Any:
    kernel = kernels.matern(above("scale", 1.0), above("length", 1.0)) + kernels.white(0.3)
    kernel = kernel * kernels.periodic(1.0, 2.0, above("period", 2.0)) + kernels.linear(0.4)
    kernel = kernel + kernels.rational_quadratic(1.0, 1.0, above("alpha", 1.0))
    return gaussian_process(x, kernel, lambda x: param("slope", 0.1) * x, size=2)


def by_function(x: Any) -> Any:
    v = above("v", 0.3)
    return gaussian_process(x, lambda a, b: v * np.minimum(a[:, None], b), noise=above("n", 0.5))


class Row(NamedTuple):
    name: str
    call: Callable[..., Any]
    args: tuple[Any, ...] = ()
    may_miss: bool = False
    compiled: bool = False
    """Whether its gradient is compiled here: one row for each kernel that numba can compile."""


TABLE = [
    Row("chain", lambda: markov_chain(start(), moves(), LENGTH)),
    Row("changing chain", lambda: markov_chain(start(), moves(changing=True), LENGTH)),
    Row("chains", lambda: markov_chain(start(), moves(), LENGTH, size=3)),
    Row("hidden", of_normal, may_miss=True, compiled=True),
    Row("short hidden", lambda: of_normal(4), may_miss=True),
    Row("several hidden", lambda: of_normal(size=3), may_miss=True),
    Row("hidden, in time", in_time, (X,), may_miss=True),
    Row("hidden, counts", counts),
    Row("hidden, vectors", points, may_miss=True),
    Row("table", of_table, (X,)),
    Row("level", level, may_miss=True, compiled=True),
    Row("regression", level, (X,), may_miss=True, compiled=True),
    Row("stationary level", lambda: level(initial="stationary"), may_miss=True),
    Row("levels", lambda: level(initial_cov=2.0, size=2), may_miss=True),
    Row("trend", trend, may_miss=True),
    Row("trends", lambda: trend(size=2), may_miss=True),
    Row("vectors", vectors, may_miss=True),
    Row("series", series, (X,), compiled=True),
    Row("several series", lambda: after(size=3)),
    Row("conditional series", after, compiled=True),
    Row("smooth", smooth, (X,)),
    Row("rough", rough, (X,)),
    Row("function", by_function, (X,)),
]


def cases(rows: list[Row]) -> Any:
    """Each row, and again with missing observations where there may be some."""
    each = [(row, missing) for row in rows for missing in (False, True)[: 1 + row.may_miss]]
    ids = [row.name + (", missing" if missing else "") for row, missing in each]
    return pytest.mark.parametrize(("row", "missing"), each, ids=ids)


def body_of(row: Row) -> Callable[..., Any]:
    def body(*args: Any) -> Any:
        return row.call(*args) @ "y"

    return body


def data(row: Row, missing: bool, seed: int) -> np.ndarray:
    """A draw, or zeros where none can be drawn; some missing."""
    if row.name == "table":
        return np.zeros(LENGTH)
    y = np.array(gen(body_of(row)).simulate(row.args, rng=seed)["y"])
    if missing:
        (y if y.shape[0] in (4, LENGTH) else y.T)[[1, 3]] = np.nan
    return y


def assert_close(found: Any, expected: Any) -> None:
    for a, b in zip(found, expected, strict=True):
        scale = 1.0 + np.max(np.abs(b), initial=0.0)
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * scale)


def replays(row: Row, missing: bool, backend: str) -> None:
    """Gradients of three traces, static and not, along some moves of the parameters."""
    plain = gen(body_of(row))
    static = gen(static=True, backend=backend)(body_of(row))
    each = [{"y": data(row, missing, seed)} for seed in range(3)]
    traces = [plain.generate(row.args, ys)[0] for ys in each]
    static = static.with_params(plain.params)
    others = [static.generate(row.args, ys)[0] for ys in each]
    rng = np.random.default_rng(0)
    for _ in range(6):
        for trace, other in zip(traces, others, strict=True):
            (expected,), (found,) = (t.param_gradients().values() for t in (trace, other))
            assert_close(found.values(), expected.values())
        for p in plain.params.values():
            p.set(p.constraint.natural(p.coordinates + 0.01 * rng.standard_normal(p.shape or None)))
    assert static.trace_gradients.programs.reason is None
    (kept,) = [k for some in static.trace_gradients.programs.by_key.values() for k in some]
    assert kept.hits >= 15, "one program replays all traces"


@cases(TABLE)
def test_gradients_are_replayed_for_other_parameters_and_data(row, missing):
    replays(row, missing, "numpy")


@cases([row for row in TABLE if row.compiled])
def test_compiled_gradients_are_those_of_the_interpreter(row, missing, tmp_path, monkeypatch):
    monkeypatch.setenv("GENPARAMS_CACHE", str(tmp_path))
    pytest.importorskip("numba")
    replays(row, missing, "numba")


@cases(TABLE)
def test_second_derivatives_are_replayed(row, missing):
    f = gen(body_of(row))
    trace, _ = f.generate(row.args, {"y": data(row, missing, 0)})
    static, rng = StaticQuantities(f.__name__, after=1), np.random.default_rng(0)
    for _ in range(4):
        theta = {
            p: p.coordinates + 0.01 * rng.standard_normal(p.shape or None)
            for p in f.params.values()
        }
        expected = evaluate(quantities.hessian, trace, theta, {})
        assert_close(static.evaluate(quantities.hessian, trace, theta, {}), expected)
    programs = static.programs[quantities.hessian]
    assert programs.reason is None
    assert [kept.hits for some in programs.by_key.values() for kept in some] == [3]
