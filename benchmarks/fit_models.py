"""The models that `fit.py` fits, each with its data and where the search begins."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from genparams import (
    FitResult,
    Trace,
    bernoulli,
    datasets,
    fit,
    gen,
    init_param,
    mixture,
    normal,
    param,
    positive,
    simplex,
)


@dataclass(frozen=True)
class Problem:
    """A model with its data, and the values of its parameters at the start."""

    model: Any
    args: tuple
    constraints: dict
    start: Mapping[str, Any]

    def reset(self) -> None:
        """Move the parameters to the start."""
        for name, value in self.start.items():
            self.model.params[name].set(value)

    def fit(self, **options: Any) -> FitResult:
        """Fit from where the parameters are, with standard errors."""
        result = fit(self.model, self.args, self.constraints, **options)
        _ = result.std_errors
        return result

    def trace(self) -> Trace:
        return self.model.generate(self.args, self.constraints)[0]


def oring() -> Problem:
    table = datasets.oring()

    @gen
    def oring(temp):
        return bernoulli(logits=param("intercept") + param("slope") * temp) @ "distress"

    start = _initial(oring, intercept=0.0, slope=0.0)
    return Problem(oring, (table["temp"],), {"distress": table["distress"]}, start)


def old_faithful() -> Problem:
    points = datasets.faithful()["eruptions"]

    @gen
    def eruptions(n):
        normals = normal(param("means"), param("stds"))
        return mixture(param("weights"), normals, size=n) @ "eruptions"

    init_param(eruptions, "weights", np.full(2, 0.5), constraint=simplex)
    init_param(eruptions, "means", np.array([2.0, 4.5]))
    init_param(eruptions, "stds", np.full(2, 0.5), constraint=positive)
    start = {name: p.value for name, p in eruptions.params.items()}
    return Problem(eruptions, (len(points),), {"eruptions": points}, start)


def nist(name: str) -> Problem:
    """A set of nonlinear least squares, from its second start."""
    data = datasets.nist(name)

    @gen
    def curve(x):
        return normal(data.model(x, param("b")), param("sigma")) @ "y"

    init_param(curve, "b", data.starts[1])
    init_param(curve, "sigma", 1.0, constraint=positive)
    return Problem(curve, (data.x,), {"y": data.y}, {"b": data.starts[1], "sigma": 1.0})


def logistic(n: int, p: int) -> Problem:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, p))
    y = rng.random(n) < 1.0 / (1.0 + np.exp(-x @ rng.standard_normal(p)))

    @gen
    def logistic_regression(x):
        return bernoulli(logits=x @ param("w")) @ "y"

    start = _initial(logistic_regression, w=np.zeros(p))
    return Problem(logistic_regression, (x,), {"y": y}, start)


def _initial(model: Any, **start: Any) -> dict[str, Any]:
    for name, value in start.items():
        init_param(model, name, value)
    return start


def by_scipy(problem: Problem, method: str) -> Callable[[], Any]:
    """The same maximum by a call of scipy.optimize on the gradients of a trace, by hand.

    Every parameter is a number or an array, without a constraint or positive.
    """
    from scipy.optimize import minimize

    params = list(problem.model.params.values())
    shapes = [np.shape(p.coordinates) for p in params]
    start = np.concatenate([np.ravel(p.coordinates) for p in params])
    ends = np.cumsum([math.prod(shape) for shape in shapes])[:-1]
    natural = [np.exp if p.constraint is positive else np.asarray for p in params]
    trace = problem.trace()

    def value(x: np.ndarray) -> tuple[float, np.ndarray]:
        for p, f, part, shape in zip(params, natural, np.split(x, ends), shapes, strict=True):
            p.set(f(part).reshape(shape)[()])
            p.zero_grad()
        log_prob, _ = trace.accumulate_param_gradients()
        return -log_prob, -np.concatenate([np.ravel(p.grad) for p in params])

    return lambda: minimize(value, start, jac=True, method=method)
