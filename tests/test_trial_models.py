"""Models as users and students write them: each gradient is right, or refused with their line.

The tables hold one row for each kind of fault that trials found: a form of code, run through the
public interface and compared with differences of the log probability.
"""

import collections
import contextlib
import fractions
import functools
import itertools
import linecache
import math
import statistics
import threading

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial.distance
import scipy.special
import scipy.stats

import genparams
from genparams import (
    GenParamsError,
    gen,
    get_param,
    init_param,
    normal,
    param,
    set_param,
)
from genparams.errors import ReplayDiffers, TracedValueError

VALUES = {
    "a": 0.7,
    "p": 1.3,
    "w": np.array([1.2, 0.55, 0.93]),
    "M": np.array([[0.3, 1.2, -0.5], [0.8, -0.7, 0.4]]),
}
X = np.array([0.5, 1.5, 2.25])
NAMES = {
    **vars(genparams),
    **{"gen": gen, "np": np, "scipy": scipy, "math": math, "x": X},
    **{"collections": collections, "contextlib": contextlib, "fractions": fractions},
    **{"functools": functools, "itertools": itertools, "statistics": statistics},
    **{"threading": threading, "__name__": "a_user"},
}
COUNT = itertools.count()


def model(code, **names):
    """A generative function whose body is that code: it sets `r`, the mean of its choice y."""
    lines = [f"{name} = param({name!r})" for name in VALUES] + code.strip().split("\n")
    lines += ["normal(r, 2.0) @ 'y'", "return r"]
    source = "@gen\ndef f():\n" + "".join(f"    {line}\n" for line in lines)
    file = f"<trial {next(COUNT)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    scope = {**NAMES, **names}
    exec(compile(source, file, "exec"), scope)
    for name, value in VALUES.items():
        init_param(scope["f"], name, value)
    return scope["f"]


def generated(f):
    y = np.asarray(f.simulate((), rng=1)["y"]) + 0.37
    return f.generate((), {"y": y if y.shape else float(y)})[0]


def differences(f, trace, name):
    start = get_param(f, name)
    found = np.zeros(np.shape(start))
    for place in np.ndindex(found.shape):
        step = np.zeros(found.shape)
        step[place] = 1e-5
        values = []
        for moved in (start + step, start - step):
            set_param(f, name, moved)
            values.append(trace.rescored().log_prob)
        found[place] = (values[0] - values[1]) / 2e-5
    set_param(f, name, start)
    return found


def assert_right(f):
    trace = generated(f)
    grads = trace.param_gradients()["f"]
    for name in VALUES:
        np.testing.assert_allclose(
            grads[name], differences(f, trace, name), rtol=1e-5, atol=1e-6, err_msg=name
        )


RIGHT = {
    # numpy turns these lists into arrays of objects by itself
    **{
        f"{function}({kind}{given})": f"r = np.{function}({kind}{given})"
        for function in ("mean", "std", "var", "average", "nanmean")
        for kind in (
            "[p, a]",
            "(p, a)",
            "[p, a, 1.0]",
            "np.array([p, 1.0])",
            "[[p, a], [1.0, 2.0]]",
        )
        for given in ("", ", axis=0")
    },
    "ddof of a list": "r = np.std([p, a, 1.0], ddof=1)",
    "mean of an array of objects": "r = np.array([p, a, 1.0]).mean()",
    "mean of a list of arrays": "r = np.mean([w, 2 * w], axis=0)",
    # what numpy's operators take beside an array
    **{
        f"{left} {symbol} {right}": f"r = {left} {symbol} {right}"
        for other in ("range(1, 4)", "collections.deque([1.0, 2.0, 3.0])")
        for symbol in ("+", "-", "*", "/", "**")
        for left, right in (("w", other), (other, "w"))
    },
    **{
        f"{left} {symbol} {right}": f"r = {left} {symbol} {right}"
        for symbol in ("+", "-", "*", "/")
        for left, right in (
            ("p", "fractions.Fraction(3, 2)"),
            ("fractions.Fraction(3, 2)", "p"),
            ("w", "fractions.Fraction(3, 2)"),
        )
    },
    "a flat change in place": "z = w * 1\nz //= 0.7\nr = z * p",
    "a change in place after a flat one": "z = w * 1\nz //= 0.7\nz += p\nr = z",
    # what a body may catch
    "a caught error and a traced way out": (
        "try:\n    z = float(p)\nexcept TypeError:\n    z = p\nr = z * a"
    ),
    "a caught error that changes nothing": (
        "with contextlib.suppress(TypeError):\n    math.exp(p)\nr = p * a"
    ),
    "an error that is no refusal": "try:\n    r = {}['q']\nexcept KeyError:\n    r = p",
    # containers, helpers, threads
    "a number kept between runs": "r = kept.setdefault('n', 3.0) * p",
    "a list as a buffer": "z = [0.0] * 3\nfor i in range(3):\n    z[i] = w[i] * p\nr = sum(z)",
    "a helper with a default list": (
        "def h(z, seen=[]):\n    seen.append(z)\n    return sum(seen)\nr = h(p) + h(a)"
    ),
    "threads": (
        "out = [0.0] * 3\n"
        "def work(i): out[i] = np.exp(w[i]) * p\n"
        "jobs = [threading.Thread(target=work, args=(i,)) for i in range(3)]\n"
        "for job in jobs: job.start()\n"
        "for job in jobs: job.join()\n"
        "r = sum(out)"
    ),
    "a generator": "def g():\n    for t in w:\n        yield t * p\nr = sum(g())",
    "the density of a distribution": "r = normal(p, 1.0).log_prob(0.3)",
    "a draw of constants": "r = normal(0.0, 1.0).sample(rng=0) * p",
}


@pytest.mark.parametrize("code", RIGHT.values(), ids=RIGHT)
def test_a_gradient_is_the_difference(code):
    assert_right(model(code, kept={}))


REFUSED = {
    # a key of a dictionary, a cache
    "a key": "z = {p: 1.0}\nr = z[p]",
    "a set": "r = sum({p, a})",
    "a cached helper": "r = functools.lru_cache(lambda z: 2.0 * z)(p)",
    # text from which a number is read again
    "float of a formatted number": "r = float(f'{p}')",
    "float of a rounded number": "r = float(f'{p:.2f}') * a",
    "float of format": "r = float('{:.17g}'.format(p))",
    "float of str": "r = float(str(p))",
    "an array from its text": "r = np.array(np.array2string(w).strip('[]').split(), dtype=float)",
    "numbers from array_str": "r = np.array(np.array_str(w).strip('[]').split(), dtype=float)",
    "a row from array_repr": "r = np.array(eval(np.array_repr(w), {'array': list}))",
    # a draw, whose derivative is not known
    "sample of a call": "r = normal(p, 1.0).sample(rng=0)",
    "sample of a distribution": "r = normal.sample(w, 1.0, rng=0)",
    "sample of a mixture": (
        "r = mixture([0.5, 0.5], [normal(p, 1.0), normal(0.0, 1.0)]).sample(rng=0)"
    ),
    "sample of a truncated call": "r = truncated(normal(p, 1.0), 0.0, 2.0).sample(rng=0)",
    "a parameter's value by its name": "r = get_param(f, 'p') * a",
    # functions that fail on traced values, each in a way of its own
    "scipy.linalg.solve": "r = scipy.linalg.solve(np.eye(3) * p, x)",
    "scipy.linalg.det": "r = scipy.linalg.det(np.eye(3) * p)",
    "scipy.stats.zscore": "r = scipy.stats.zscore(w)",
    "scipy.special.factorial": "r = scipy.special.factorial(p)",
    "cdist": "r = scipy.spatial.distance.cdist(M, M + 1.0)",
    "permutation": "r = np.random.default_rng(0).permutation(w)",
    "statistics.stdev": "r = statistics.stdev(w)",
    "is_integer": "p.is_integer()\nr = p",
    "an assertion about the type": "assert isinstance(p, float)\nr = p",
    "hypot of a list": "r = np.hypot([p, 1.0, a], x)",
    "det of an array of objects": "r = np.linalg.det(np.array([[p, a], [1.0, 2.0]]))",
    "cov of a list": "r = np.cov([p, a, 1.0])",
    "math.fsum": "r = math.fsum(w)",
}


@pytest.mark.parametrize("code", REFUSED.values(), ids=REFUSED)
def test_what_has_no_derivative_is_refused_with_the_line(code):
    trace = generated(model(code))
    with pytest.raises(TracedValueError, match=r"line \d+ of <trial \d+>: \w"):
        trace.param_gradients()


# --- Errors that only differentiation raises


@pytest.mark.parametrize(
    "error",
    [TypeError, ValueError, AttributeError, KeyError, RuntimeError, NotImplementedError, OSError],
)
def test_an_error_that_a_run_without_gradients_does_not_raise_is_about_traced_values(error):
    code = "if not isinstance(p, float):\n    raise error('no Box here')\nr = p"
    trace = generated(model(code, error=error))
    with pytest.raises(TracedValueError, match="ran with plain numbers fails") as caught:
        trace.param_gradients()
    assert isinstance(caught.value.__cause__, error)
    assert "raise error" in str(caught.value)
    assert "no a traced value here" in str(caught.value)


@pytest.mark.parametrize("error", [TypeError, ValueError, KeyError, RuntimeError])
def test_an_error_that_a_run_without_gradients_raises_too_stays_what_it_is(error):
    f = model("if p > 2.0:\n    raise error('too large')\nr = p", error=error)
    trace = generated(f)
    set_param(f, "p", 3.0)
    with pytest.raises(error, match="too large") as caught:
        trace.param_gradients()
    assert not isinstance(caught.value, GenParamsError)


# --- Errors that a body catches


CAUGHT = {
    "a constant of the same value": "try:\n    z = float(p)\nexcept Exception:\n    z = 1.3",
    "in a product": "try:\n    z = math.exp(p)\nexcept TypeError:\n    z = math.exp(1.3)",
    "suppressed": "z = 1.3\nwith contextlib.suppress(Exception):\n    z = np.float64(p)",
    "a key": "try:\n    z = {p: p}[p]\nexcept TypeError:\n    z = 1.3",
    "in a buffer": "z = np.full(3, 1.3)\ntry:\n    z[:] = p\nexcept Exception:\n    pass",
}


@pytest.mark.parametrize("code", CAUGHT.values(), ids=CAUGHT)
def test_a_derivative_that_is_lost_in_a_caught_error_is_an_error(code):
    trace = generated(model(code + "\nr = z * a"))
    with pytest.raises(ReplayDiffers, match="catches an error"):
        trace.param_gradients()


def test_a_derivative_by_an_argument_that_is_lost_in_a_caught_error_is_an_error():
    @gen(arg_grads=("q",))
    def f(q):
        try:
            r = float(q)
        except TypeError:
            r = 1.5
        normal(r, 1.0) @ "y"
        return r

    trace, _ = f.generate((1.5,), {"y": 0.2})
    with pytest.raises(ReplayDiffers, match="catches an error"):
        trace.accumulate_param_gradients()
    with pytest.raises(ReplayDiffers, match="catches an error"):
        trace.choice_gradients("y")


def test_a_derivative_by_a_choice_that_is_lost_in_a_caught_error_is_an_error():
    @gen
    def f():
        z = normal(0.0, 1.0) @ "z"
        try:
            mean = math.exp(z)
        except TypeError:
            mean = 1.0
        return normal(mean, 1.0) @ "y"

    trace, _ = f.generate((), {"z": 0.0, "y": 0.2})
    with pytest.raises(ReplayDiffers, match="catches an error"):
        trace.choice_gradients("z")
    np.testing.assert_allclose(trace.choice_gradients("y")[2]["y"], 0.8)


# --- Values that are kept after their gradient


LATER = {
    "a gradient": lambda f, trace: trace.param_gradients(),
    "accumulate": lambda f, trace: trace.accumulate_param_gradients(),
    "choice_gradients": lambda f, trace: trace.choice_gradients("y"),
    "simulate": lambda f, trace: f.simulate(()),
    "generate": lambda f, trace: f.generate((), {}),
    "propose": lambda f, trace: f.propose(()),
    "assess": lambda f, trace: f.assess((), trace.choices),
    "update": lambda f, trace: trace.update({"y": trace["y"]}),
    "regenerate": lambda f, trace: trace.regenerate("y"),
    "rescored": lambda f, trace: trace.rescored(),
}
KEPT = {
    "a number": "r = kept.setdefault('z', p)",
    "an array": "r = kept.setdefault('z', w).sum()",
    "an entry": "r = kept.setdefault('z', w)[0]",
    "a list": "r = kept.setdefault('z', [p, w])[0] * 2.0",
    "an array of objects": "r = np.sum(kept.setdefault('z', np.array([p, 1.0])))",
    "beside a new one": "r = np.stack([p, kept.setdefault('z', p)])",
    "in a product": "r = np.dot(kept.setdefault('z', w), w)",
    "in a condition's branch": "r = np.where(x > 1.0, kept.setdefault('z', w), p)",
    "of scipy": "r = scipy.special.gammaln(kept.setdefault('z', p))",
    "as it is read": "kept.setdefault('z', w)\nr = [t for t in kept['z']]",
}


@pytest.mark.parametrize("later", LATER.values(), ids=LATER)
@pytest.mark.parametrize("code", KEPT.values(), ids=KEPT)
def test_a_value_that_is_kept_after_its_gradient_is_an_error_when_it_is_used(code, later):
    kept = {}
    f = model(code, kept=kept)
    trace = generated(f)
    kept.clear()
    trace.param_gradients()  # keeps what it computes
    with pytest.raises(TracedValueError, match="again in each run"):
        later(f, trace)


def test_a_value_that_a_failed_gradient_leaves_behind_is_an_error_when_it_is_used():
    kept = {}
    f = model("r = kept.setdefault('z', 2.0 * p)\nif not isinstance(p, float): hash(p)", kept=kept)
    trace = generated(f)
    kept.clear()
    with pytest.raises(TracedValueError, match="key"):
        trace.param_gradients()
    with pytest.raises(TracedValueError, match="again in each run"):
        f.simulate(())


def test_a_value_of_a_gradient_in_another_thread_is_an_error():
    shared, entered, leave = {}, threading.Event(), threading.Event()

    def share(z):
        if not isinstance(z, float) and not shared:
            shared["z"] = z
            entered.set()
            leave.wait(10)
        return z

    trace = generated(model("r = share(p)", share=share))
    other = generated(model("r = 0.0 + given.get('z', p)", given=shared))
    thread = threading.Thread(target=trace.param_gradients)
    thread.start()
    assert entered.wait(10)
    try:
        with pytest.raises(TracedValueError, match="of another gradient"):
            other.param_gradients()
    finally:
        leave.set()
        thread.join()


NESTED = {
    "simulate": "r = inner.simulate((p,), rng=0).retval",
    "generate": "r = inner.generate((p,), {'z': 0.5})[1]",
    "assess": "r = inner.assess((p,), {'z': 0.5})[0]",
    "propose": "r = inner.propose((p,), rng=0)[1]",
}


@pytest.mark.parametrize("code", NESTED.values(), ids=NESTED)
def test_a_run_of_another_function_inside_a_gradient_takes_no_traced_values(code):
    @gen
    def inner(q):
        return normal(q, 1.0) @ "z"

    trace = generated(model(code, inner=inner))
    with pytest.raises(TracedValueError, match="inner without gradients"):
        trace.param_gradients()


def test_a_gradient_inside_of_a_body_is_a_constant_of_it():
    @gen
    def inner(q):
        return normal(q * param("b", 0.5), 1.0) @ "z"

    code = "g = inner.generate((2.0,), {'z': 0.3})[0].param_gradients()['inner']['b']\nr = g * p"
    assert_right(model(code, inner=inner))


def test_the_value_of_a_frozen_parameter_may_be_read_by_its_name_in_a_body():
    f = model("r = get_param(f, 'a') * p")
    f.params["a"].freeze()
    grads = generated(f).param_gradients()["f"]
    assert grads["p"] != 0.0
    assert "a" not in grads


# --- Functions that users bring


def own(log_prob):
    return genparams.distribution(
        sample=lambda rng, mu, sd, size: rng.normal(mu, sd, size), log_prob=log_prob, name="own"
    )


def by_type(x, mu, sd):
    share = 0.5 if isinstance(mu, (float, np.ndarray)) else 1.0
    return -share * ((x - mu) / sd) ** 2 - np.log(sd)


def by_error(x, mu, sd):
    try:
        return -0.5 * ((x - mu) / sd) ** 2 - np.log(np.asarray(sd, float))
    except TypeError:
        return -0.5 * ((x - mu) / sd) ** 2


@pytest.mark.parametrize("log_prob", [by_type, by_error])
@pytest.mark.parametrize("at", ["p", "w"])
def test_an_own_density_that_is_another_one_while_differentiated_is_an_error(log_prob, at):
    code = f"own({at}, 2.0 * a) @ 'own'\nr = p"
    f = model(code, own=own(log_prob))
    given = X if at == "w" else 0.5
    trace, _ = f.generate((), {"own": given, "y": 1.0})
    with pytest.raises(TracedValueError, match="another density while it is differentiated"):
        trace.param_gradients()


def test_an_own_density_may_be_a_list_of_densities():
    def as_list(x, mu, sd):
        return [-0.5 * ((t - m) / sd) ** 2 - np.log(sd) for t, m in zip(x, mu, strict=True)]

    f = model("own(w, p) @ 'own'\nr = p", own=own(as_list))
    trace, _ = f.generate((), {"own": X, "y": 1.0})
    grads = trace.param_gradients()["f"]
    for name in VALUES:
        np.testing.assert_allclose(grads[name], differences(f, trace, name), rtol=1e-5, atol=1e-6)


OTHERS = {
    "custom_gradient": (
        "c = custom_gradient(lambda x: x * p, lambda inputs, r, g: (1.3 * g,))\nr = c(a) @ 'c'"
    ),
    "custom_random": (
        "c = custom_random(None, lambda x, mu: -((x - mu) / p) ** 2,"
        " lambda x, mu: (None, 1.0), name='c')\nc(a) @ 'c'\nr = a"
    ),
    "distribution": "c = own(lambda x, mu, sd: -((x - mu) / p) ** 2)\nc(a, 1.0) @ 'c'\nr = a",
    "distribution of a vector": (
        "c = own(lambda x, mu, sd: -((x - mu) / p) ** 2)\nc(w, 1.0) @ 'c'\nr = a"
    ),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_traced_value_that_is_none_of_the_arguments_of_an_own_function_is_refused(kind):
    f = model(OTHERS[kind], own=own)
    data = {"y": 0.4} if kind == "custom_gradient" else {"y": 0.4, "c": 0.3}
    data |= {"c": X} if "vector" in kind else {}
    trace, _ = f.generate((), data)
    with pytest.raises(TracedValueError, match="give it as an argument"):
        trace.param_gradients()


def test_an_array_of_objects_does_not_pass_by_a_gradient_by_hand():
    code = (
        "c = custom_gradient(np.sum, lambda inputs, r, g: (3.0 * g * np.ones(2),))\n"
        "r = c(np.array([p, a])) @ 'c'"
    )
    trace = generated(model(code.replace("np.sum", "lambda z: np.sum(z)")))
    with pytest.raises(GenParamsError, match="give it as one array"):
        trace.param_gradients()


@pytest.mark.parametrize("gradient", [lambda x: x, lambda x, g: g, lambda x, r, g, h: g])
def test_a_gradient_by_hand_of_other_arguments_is_refused_where_it_is_given(gradient):
    with pytest.raises(GenParamsError, match=r"a function of \(inputs, r, g\)"):
        genparams.custom_gradient(np.sin, gradient)
