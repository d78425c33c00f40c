"""Maximum likelihood to convergence."""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from genparams.dsl.call import Call
from genparams.dsl.distributions.base import AbstractDistribution
from genparams.dsl.execution import Rng, seeded
from genparams.dsl.function import GenerativeFunction
from genparams.dsl.gradients import differentiate
from genparams.dsl.likelihood.likelihood import Likelihood
from genparams.errors import (
    ArgumentError,
    ChoicesDiffer,
    Collapse,
    FitError,
    InvalidValue,
    LatentChoice,
    NotConverged,
    UnknownParameter,
    WrongGradient,
    nearest,
)
from genparams.learning.checks import check_count
from genparams.learning.fitting.diagnosis import diagnosed
from genparams.learning.fitting.evaluators import check_static, evaluators_of
from genparams.learning.fitting.kinds import check_kind
from genparams.learning.fitting.maximum import Maximum
from genparams.learning.fitting.objective import OUTSIDE, Watch
from genparams.learning.fitting.result import FitResult
from genparams.learning.fitting.search import INTERRUPTED, default_method, method_of, search
from genparams.learning.progress import Report, shown
from genparams.mistakes import explained
from genparams.params import Parameter, lock
from genparams.params.vector import Vector
from genparams.structure import leaves
from genparams.text import brief, enumerated
from genparams.trace.choices import choice_values
from genparams.trace.trace import Trace
from genparams.types import Array, show

_busy: set[Parameter] = set()
"""The parameters of the fits that are running; change it under the lock."""


@explained
def fit(
    f: Any,
    args: tuple[Any, ...] | None = None,
    constraints: Mapping[Any, Any] | None = None,
    *,
    priors: Mapping[str, Any] | None = None,
    kind: str = "observed",
    labels: Mapping[str, Sequence[str]] | None = None,
    method: str | None = None,
    restarts: int = 0,
    rng: Rng = None,
    callees: bool = True,
    max_iterations: int = 2000,
    progress: bool = False,
    debug: bool = False,
    static: bool = False,
    backend: str = "numpy",
) -> FitResult:
    """Fit parameters by maximum likelihood, and move them to the maximum.

        fit(f, args, constraints)   the likelihood of the data in `constraints`
        fit(traces)                 of the choices of one trace or several, of any functions

    The log likelihood is maximised over the unconstrained coordinates of every parameter that the
    runs read and that is not frozen, from where the parameters are.

    Args:
        f: A generative function, or a trace, or several traces whose log likelihoods are added.
        args: The arguments of `f`, a tuple.
        constraints: The data: a value for every choice.
        priors: A distribution for some parameters, such as `{"slope": normal(0, 10)}`, over their
            natural values. The result is then the maximum of the posterior density of these
            values. A parameter of a nested function is `"name.parameter"`.
        kind: The convention of the standard errors: "observed", "expected", "opg" or "sandwich".
        labels: Names of the entries of array parameters, for tables.
        method: "newton" (see `learning.trust_region`), the default up to 500 coordinates; or a
            method of `scipy.optimize.minimize`. The default above is "L-BFGS-B". Up to 2000
            coordinates a step of "newton" judges the end of each.
        restarts: How many more searches begin at random points around the start. The result is of
            the best maximum.
        rng: For the restarts: a generator, a seed, or None.
        callees: Whether parameters of nested functions are fitted too.
        max_iterations: The most steps of each search.
        progress: Whether a bar shows the log likelihood.
        debug: Whether the gradient at the start is compared with a difference of log likelihoods.
        static: Whether log likelihoods and their derivatives are recorded and replayed, as for a
            function that `@gen(static=True)` makes. The estimates are the same, but for rounding.
            It pays where there are many evaluations, as in a bootstrap or a profile; for many fits
            of one function, `@gen(static=True)` keeps what was recorded from fit to fit.
        backend: What runs the recorded code with `static`: "numpy", or "numba" where it is
            installed.

    Returns:
        The estimates, with their standard errors, intervals and tests. If the search does not
        converge, or Ctrl-C or an error of the model stops it, the parameters are at the best point
        seen, and `converged` and `message` say so.

    Raises:
        ArgumentError: the arguments fit neither of the two forms above; or there is no such
            backend.
        MissingExtra: `backend` is "numba", which cannot be imported.
        InvalidValue: an option has a value that it does not take, or a prior is no distribution.
        UnknownParameter: no run reads a parameter that has a prior or labels.
        ShapeError: a parameter has more or fewer entries than labels.
        LatentChoice: a choice has no data.
        ImpossibleTrace: the data have no density at the start.
        ChoicesDiffer: the model makes other choices at other parameters.
        FitError: there is no free parameter or no observation; a prior has no density at the start,
            or the derivatives are not finite there; or another fit of the same parameters is
            running.
        WrongGradient: with `debug`, the gradient at the start is wrong.

    Warns:
        FitWarning: there is no maximum, or the data do not determine every parameter.
    """
    chosen = method_of(method)
    check_kind(kind)
    check_count("restarts", restarts, 0)
    check_count("max_iterations", max_iterations, 0)
    check_static(static)
    traces = _traces(f, args, constraints)
    values = [part for trace in traces for part in leaves([*trace.choices.values()])]
    if not any(map(np.size, values)):
        raise FitError(f"the data of {traces[0].gen_fn.__name__} have no observations")
    _check_start(traces)
    vector = Vector(_free(traces, callees))
    with _alone(vector.parameters):
        start = vector.now()
        likelihood = Likelihood(
            traces,
            vector,
            _priors(traces, priors or {}),
            _held(traces, vector),
            evaluators=evaluators_of(traces, backend) if static else {},
        )
        _check_priors(likelihood, start)
        if debug:
            _check_gradient(likelihood, start)
        starts = [start, *_starts(start, restarts, rng)]
        chosen = chosen or default_method(vector.size)
        maximum = _best(likelihood, starts, chosen, max_iterations, progress)
        result = FitResult.of(maximum, labels=labels, kind=kind)
        vector.move_to(maximum.found.x)
    for warning in maximum.warnings:
        warnings.warn(warning, stacklevel=3)
    return result


# --- The data


def _traces(f: Any, args: Any, constraints: Any) -> list[Trace]:
    """The traces to fit.

    Raises:
        ArgumentError: these are no traces, or no function with its arguments and data.
        LatentChoice: a choice has no data.
    """
    if isinstance(f, GenerativeFunction):
        if args is None or constraints is None:
            raise ArgumentError(
                f"fit({f.__name__}, ...) takes the arguments, a tuple, and the data: write "
                f'fit({f.__name__}, args, {{"address": value}})'
            )
        return [_trace(f, args, constraints)]
    if isinstance(f, Call):
        raise ArgumentError(
            f"fit takes a function and its arguments apart: write fit({f.fn.__name__}, args, "
            f'{{"address": value}}), got {brief(f)}'
        )
    if args is not None or constraints is not None:
        raise ArgumentError(f"fit takes a generative function or traces first, got {brief(f)}")
    several = isinstance(f, Iterable) and not isinstance(f, Trace | Mapping)
    traces: list[Any] = list(f) if several else [f]
    for trace in traces:
        if not isinstance(trace, Trace):
            raise ArgumentError(
                f"fit takes a generative function, a trace or traces, got {brief(trace)}; write "
                "fit(f, args, constraints)"
            )
    if not traces:
        raise ArgumentError("fit was given no traces")
    return traces


def _trace(f: Any, args: tuple[Any, ...], constraints: Mapping[Any, Any]) -> Trace:
    """The trace of a function with all choices given.

    Raises:
        LatentChoice: a choice has no data.
    """
    trace, _ = f.generate(args, constraints, rng=0)
    given = choice_values(constraints)
    latent = [show(a) for a in trace.choices if a not in given]
    if latent:
        some = f"{enumerated(latent[:3])}{' and more' if len(latent) > 3 else ''}"
        raise LatentChoice(
            f"{f.__name__} chose {some}, for which there are no data, so that its likelihood would "
            "change from call to call. Give the data, sum or integrate the choice out in the model "
            "(a mixture, a marginal distribution), or train by a loop for incomplete data"
        )
    return trace


def _check_start(traces: Sequence[Trace]) -> None:
    """Refuse a start where the log likelihood or its gradient is not finite.

    Raises:
        ImpossibleTrace: a choice has no density there.
        ReplayDiffers: the function of a trace gives other results when it runs again.
        FitError: a gradient is not finite.
    """
    for trace, done in zip(traces, differentiate(traces, [None] * len(traces)), strict=True):
        for parameter, address in done.faults.items():
            where = f": the log probability at {address} makes it so" if address else ""
            raise FitError(
                f"the gradient of {trace.gen_fn.__name__} by parameter {parameter.name!r} is not "
                f"finite at the start, {brief(parameter.value)}{where}; start elsewhere"
            )


# --- The parameters


def _free(traces: Sequence[Trace], callees: bool) -> list[Parameter]:
    """The parameters that the traces read and that are not frozen.

    Raises:
        FitError: there is none.
    """
    read = {
        function.params[name]: None
        for trace in traces
        for function, name in trace.parameters
        if callees or function is trace.gen_fn
    }
    free = [p for p in read if not p.frozen]
    if not free:
        names = enumerated(sorted({t.gen_fn.__name__ for t in traces}))
        why = "every parameter is frozen; thaw() one" if read else 'it reads none; write param("a")'
        raise FitError(f"{names} has no free parameter to fit: {why}")
    return free


def _held(traces: Sequence[Trace], vector: Vector) -> dict[Parameter, Any]:
    """The values of the parameters that the traces read and that are not fitted."""
    read = [function.params[name] for trace in traces for function, name in trace.parameters]
    return {p: p.value for p in read if p not in vector.places}


def _priors(traces: Sequence[Trace], given: Mapping[str, Any]) -> dict[Parameter, Any]:
    """The priors by parameter.

    Raises:
        UnknownParameter: no run reads a parameter of that name, or several functions have one.
        InvalidValue: a prior is no call of a distribution.
    """
    known: dict[str, set[Parameter]] = {}
    for trace in traces:
        for function, name in trace.parameters:
            for key in (name, f"{function.__name__}.{name}"):
                known.setdefault(key, set()).add(function.params[name])
    found = {}
    for name, call in given.items():
        if name not in known:
            raise UnknownParameter(f"no run reads a parameter {name!r}; {nearest(name, known)}")
        if len(known[name]) > 1:
            raise UnknownParameter(
                f"several functions have a parameter {name!r}; write 'function.{name}'"
            )
        if not isinstance(call, Call) or not isinstance(call.fn, AbstractDistribution):
            raise InvalidValue(
                f"the prior of {name!r} is a distribution with its arguments, such as "
                f"normal(0, 10), got {brief(call)}"
            )
        found[next(iter(known[name]))] = call
    return found


def _check_priors(likelihood: Likelihood, x: Array) -> None:
    """Refuse a start where a prior has no density.

    Raises:
        FitError: there is such a prior.
    """
    values = likelihood.natural(x)
    for p, call in likelihood.priors.items():
        if not np.isfinite(call.log_prob(values[p])):
            raise FitError(
                f"the prior of {p.name!r}, {brief(call)}, has no density at the start, "
                f"{brief(values[p])}; start elsewhere"
            )


@contextmanager
def _alone(parameters: Iterable[Parameter]) -> Iterator[None]:
    """Refuse a second fit of parameters while a first one runs.

    Raises:
        FitError: another fit of one of them is running.
    """
    mine = set(parameters)
    with lock:
        if mine & _busy:
            name = next(iter(mine & _busy)).name
            raise FitError(
                f"another fit of parameter {name!r} is running, in another thread or around this "
                "one; fit clones, f.with_params(store)"
            )
        _busy.update(mine)
    try:
        yield
    finally:
        with lock:
            _busy.difference_update(mine)


# --- The search


def _starts(start: Array, restarts: int, rng: Rng) -> list[Array]:
    """Random points around the start; each standard deviation is the size of a coordinate, or 1."""
    if restarts == 0:
        return []
    generator = seeded(rng)
    spread = np.maximum(np.abs(start), 1.0)
    return [start + spread * generator.normal(size=start.size) for _ in range(restarts)]


def _best(
    likelihood: Likelihood,
    starts: Sequence[Array],
    method: str,
    max_iterations: int,
    progress: bool,
) -> Maximum:
    """The best of the maxima that the searches found: a converged one, if there is one.

    A start after the first is left out if no search can begin there.

    Raises:
        ChoicesDiffer: the model makes other choices at other parameters.
        FitError: no search can begin at the first start.
    """
    found: list[Maximum] = []
    with shown("fit", progress) as report:
        watch = _counting(report)
        for start in starts:
            try:
                end = search(likelihood, start, None, method, max_iterations, watch)
            except ChoicesDiffer:
                raise
            except (FitError, *OUTSIDE):
                if not found:
                    raise
                continue
            if np.isfinite(end.log_prob):
                found.append(diagnosed(likelihood, end, start, _described(likelihood, method)))
            if end.message == INTERRUPTED:
                break
    return max(found, key=lambda m: (_is_an_end(m), m.found.log_prob))


def _is_an_end(maximum: Maximum) -> bool:
    """Whether the likelihood is nowhere higher around a point, at a bound or without end too."""
    return not any(isinstance(w, NotConverged | Collapse) for w in maximum.warnings)


def _counting(report: Report) -> Watch:
    """A watcher that counts the evaluations of all searches, and reports each."""
    count = 0

    def watch(x: Array, log_prob: float) -> None:
        nonlocal count
        count += 1
        report(count, f"log likelihood {log_prob:.6g}")

    return watch


def _described(likelihood: Likelihood, method: str) -> str:
    return f"{method} with differences of gradients" if likelihood.refusals else method


def _check_gradient(likelihood: Likelihood, x: Array) -> None:
    """Compare the gradient with a central difference along a random direction.

    Raises:
        WrongGradient: they differ.
    """
    direction = np.random.default_rng(0).normal(size=x.size) * np.maximum(np.abs(x), 1.0)
    slope = float(likelihood.gradient(x).gradient @ direction)
    found = [
        (likelihood.log_prob(x + h * direction) - likelihood.log_prob(x - h * direction)) / (2 * h)
        for h in (1e-4, 1e-5)
    ]
    # rounding and the next term of the difference, which is larger for the longer step
    error = 10.0 * abs(found[0] - found[1]) + 1e-6 * (abs(slope) + abs(likelihood.log_prob(x)))
    if not abs(slope - found[1]) <= error:
        raise WrongGradient(
            f"along a random direction the gradient at the start is {slope:.8g}, and the "
            f"difference of log likelihoods is {found[1]:.8g}"
        )
